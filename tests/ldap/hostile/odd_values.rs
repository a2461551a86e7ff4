//! Values that are nothing, or nearly what they should be, wherever a client can put them: T-10, T-11.

use crate::support::ber::{boolean, constructed, enumerated, integer, octets, sequence, tlv};
use crate::support::client::Client;
use crate::support::request::{self, ADD, Control, REPLACE, Search};
use crate::support::server::{Server, Subject};
use crate::support::{code, oid};
use crate::{ANN, PEOPLE};

/// An answer, or the end of the connection, which is opened anew; never an internal fault.
#[track_caller]
fn answered(server: &Server, client: &mut Client, what: &str, operation: &[u8]) -> Option<u32> {
    let id = client.try_send(operation);
    let mut code = None;
    while let Some(message) = id.and_then(|id| client.receive_for(id)) {
        if ![0x64, 0x73, 0x79].contains(&message.operation.tag) {
            code = Some(crate::support::client::parse_outcome(&message).expect("a result").code);
            break;
        }
    }
    match code {
        Some(code) => assert_ne!(code, 80, "{what} is an internal fault"),
        None => *client = server.admin(),
    }
    code
}

/// T-10: CSNs, UUIDs, times, certificates, numbers and names that are broken, in assertions of every kind, in compare, in
/// values, in controls.
#[test]
fn broken_values_are_answered_in_every_position() {
    let server = Server::shared();
    let (mut client, branch) = server.branch("broken-values");
    let dn = format!("uid=broken,{branch}");
    crate::add_person(&mut client, &branch, "broken");
    let broken: [&[u8]; 26] = [
        b"",
        b" ",
        b"\0",
        b"#",
        b"######",
        b"20261122",
        b"20261122123000.000000Z",
        b"20261122123000.000000Z#000000#001",
        b"20261122123000.000000Z#000000#001#000000#",
        b"20261322123000.000000Z#000000#001#000000",
        b"99999999999999.999999Z#ffffff#fff#ffffff",
        b"20261122123000.000000Z#gggggg#001#000000",
        b"\xff\xff\xff\xff#000000#001#000000",
        b"00000000-0000-0000-0000-00000000000",
        b"00000000-0000-0000-0000-000000000000-",
        b"zzzzzzzz-0000-0000-0000-000000000000",
        b"00000000000",
        b"202611221230",
        b"20261122126000Z",
        b"20260230000000Z",
        b"20261122123000.Z",
        b"20261122123000+9999",
        b"-0",
        b"99999999999999999999999999999999999999999",
        b"{ serialNumber 1, issuer \"cn=",
        b"cn=\"",
    ];
    let attributes = [
        "entryCSN",
        "contextCSN",
        "entryUUID",
        "createTimestamp",
        "modifyTimestamp",
        "pwdChangedTime",
        "pwdAccountLockedTime",
        "userCertificate;binary",
        "userCertificate",
        "cACertificate;binary",
        "uidNumber",
        "member",
        "entryDN",
        "memberOf",
        "telephoneNumber",
        "jpegPhoto",
        "objectClass",
        "hasSubordinates",
        "numSubordinates",
        "subschemaSubentry",
        "aci",
    ];
    for attribute in attributes {
        for value in broken {
            let what = format!("{attribute} {:?}", value.escape_ascii().to_string());
            for tag in [0xA3, 0xA5, 0xA6, 0xA8] {
                let filter = constructed(tag, &[octets(attribute), octets(value)]);
                answered(&server, &mut client, &what, &Search::subtree(&branch, "(&)").raw_filter(filter).encode());
            }
            let substrings = sequence(&[tlv(0x80, value), tlv(0x81, value), tlv(0x82, value)]);
            let filter = constructed(0xA4, &[octets(attribute), substrings]);
            answered(&server, &mut client, &what, &Search::subtree(&branch, "(&)").raw_filter(filter).encode());
            for rule in ["2.5.13.34", "certificateExactMatch", "UUIDMatch", "CSNMatch", "generalizedTimeMatch"] {
                let filter =
                    constructed(0xA9, &[tlv(0x81, rule.as_bytes()), tlv(0x82, attribute.as_bytes()), tlv(0x83, value)]);
                answered(&server, &mut client, &what, &Search::subtree(&branch, "(&)").raw_filter(filter).encode());
            }
            answered(&server, &mut client, &what, &request::compare(&dn, attribute, value));
        }
        // As a value: some are right for some attribute (and taken back), none is an internal fault.
        for value in broken {
            let modification = |kind: i64| {
                let attribute = sequence(&[octets(attribute), constructed(0x31, &[octets(value)])]);
                constructed(0x66, &[octets(&dn), sequence(&[sequence(&[enumerated(kind), attribute])])])
            };
            let what = format!("a value of {attribute}: {:?}", value.escape_ascii().to_string());
            if answered(&server, &mut client, &what, &modification(ADD)) == Some(code::SUCCESS) {
                answered(&server, &mut client, &what, &modification(1));
            }
        }
    }
    assert_eq!(client.names(&branch, "(uid=broken)"), ["broken"]);
}

/// T-10, T-15: the same in the values of controls that carry something of the server's own.
#[test]
fn broken_cookies_and_tokens_are_answered() {
    let server = Server::shared();
    let mut client = server.admin();
    let broken: [&[u8]; 12] = [
        b"",
        b"\0",
        b"x",
        b"rid=",
        b"rid=001,csn=",
        b"rid=001,csn=20261122123000.000000Z#000000#001#000000",
        b"rid=001,ent=00,csn=;;;",
        b"rid=001,ent=zz",
        b"0123456789ab:",
        b"0123456789ab:99999999999999999999",
        &[0xff; 16],
        &[0x41; 20_000],
    ];
    for value in broken {
        let what = value.escape_ascii().to_string().chars().take(60).collect::<String>();
        let searches = [
            vec![Control::paged(5, value)],
            vec![Control::critical(oid::SYNC_REQUEST, Some(sequence(&[enumerated(1), octets(value)])))],
            vec![Control::critical(oid::SESSION_TOKEN, Some(value.to_vec()))],
            vec![Control::sort(&["cn"]), {
                let place = constructed(0xA0, &[integer(1), integer(0)]);
                Control::critical(oid::VLV_REQUEST, Some(sequence(&[integer(0), integer(1), place, octets(value)])))
            }],
        ];
        for controls in searches {
            for control in controls {
                client.with(control);
            }
            answered(&server, &mut client, &what, &Search::subtree(PEOPLE, "(uid=*)").encode());
        }
        client.with(Control::critical(oid::TRANSACTION, Some(value.to_vec())));
        answered(&server, &mut client, &what, &request::modify(ANN, &[(REPLACE, "title", &["x"])]));
        for name in [oid::CANCEL, oid::PASSWORD_MODIFY, oid::WHO_AM_I, "1.3.6.1.1.21.3"] {
            answered(&server, &mut client, &what, &request::extended(name, Some(value)));
        }
        for mechanism in ["EXTERNAL", "PLAIN", "SCRAM-SHA-256", "OAUTHBEARER", "", "\0"] {
            let mut stranger = server.anonymous();
            stranger.try_perform(&request::bind_sasl("", mechanism, Some(value)));
        }
    }
    assert_eq!(server.admin().names(PEOPLE, "(uid=ann)"), ["ann"]);
}

/// T-11: nothing at all, where something is expected.
#[test]
fn empty_things_are_answered() {
    let server = Server::shared();
    let (mut client, branch) = server.branch("empty-things");
    let dn = crate::add_person(&mut client, &branch, "empty");
    let no_values = |operation: u8, kind: Option<i64>| {
        let attribute = sequence(&[octets("title"), constructed(0x31, &[])]);
        let item = kind.map_or_else(|| attribute.clone(), |kind| sequence(&[enumerated(kind), attribute.clone()]));
        constructed(operation, &[octets(&dn), sequence(&[item])])
    };
    let operations: Vec<(&str, Vec<u8>)> = vec![
        ("new rdn", request::modify_dn(&dn, "", true, None)),
        ("new rdn without a value", request::modify_dn(&dn, "uid=", true, None)),
        ("new rdn without a type", request::modify_dn(&dn, "=empty", true, None)),
        ("new superior", request::modify_dn(&dn, "uid=moved", true, Some(""))),
        ("rename of the root", request::modify_dn("", "uid=x", true, None)),
        ("delete of the root", request::delete("")),
        ("add of the root", request::add("", &[("objectClass", &["top"])])),
        ("add without attributes", request::add(&format!("uid=x,{branch}"), &[])),
        ("add of an attribute without values", no_values(0x68, None)),
        ("add with an empty name", request::add(&format!("uid=x,{branch}"), &[("", &["x"])])),
        ("modify of the root", request::modify("", &[(REPLACE, "title", &["x"])])),
        ("modify of nothing", request::modify(&dn, &[])),
        ("modify with an empty name", request::modify(&dn, &[(REPLACE, "", &["x"])])),
        ("modify that adds no values", no_values(0x66, Some(ADD))),
        ("modify that increments by nothing", no_values(0x66, Some(3))),
        ("modify with an empty value", request::modify(&dn, &[(REPLACE, "title", &[""])])),
        ("compare with an empty name", request::compare(&dn, "", b"x")),
        ("compare with an empty value", request::compare(&dn, "title", b"")),
        ("compare of the root", request::compare("", "objectClass", b"top")),
        ("an extended request without a name", request::extended("", None)),
        ("an empty value of password modify", request::extended(oid::PASSWORD_MODIFY, Some(b""))),
        ("an empty value of cancel", request::extended(oid::CANCEL, Some(b""))),
    ];
    for (what, operation) in operations {
        answered(&server, &mut client, what, &operation);
    }
    for filter in [
        constructed(0xA3, &[octets(""), octets("")]),
        constructed(0xA3, &[octets("cn"), octets("")]),
        constructed(0xA4, &[octets("cn"), sequence(&[tlv(0x81, b"")])]),
        constructed(0xA9, &[tlv(0x81, b""), tlv(0x83, b"")]),
        constructed(0xA9, &[tlv(0x82, b""), tlv(0x83, b"")]),
        tlv(0x87, b""),
        constructed(0xA0, &[]),
        constructed(0xA1, &[]),
    ] {
        let search = Search::subtree(&branch, "(&)").raw_filter(filter.clone());
        answered(&server, &mut client, &format!("{filter:02x?}"), &search.encode());
        answered(&server, &mut client, "attribute names", &search.attributes(&["", ""]).encode());
    }
    if !Subject::current().is_slapd() {
        for control in [oid::SORT_REQUEST, oid::VLV_REQUEST, oid::MATCHED_VALUES, oid::DEREFERENCE, oid::ASSERTION] {
            for value in
                [None, Some(Vec::new()), Some(sequence(&[])), Some(sequence(&[sequence(&[])])), Some(boolean(true))]
            {
                client.with(Control::critical(control, value));
                answered(&server, &mut client, control, &Search::subtree(&branch, "(uid=*)").encode());
            }
        }
    }
    assert_eq!(server.admin().names(&branch, "(|(uid=empty)(uid=moved))").len(), 1);
}
