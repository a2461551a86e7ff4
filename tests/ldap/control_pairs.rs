//! All pairs of controls, on each operation, critical and not: every request is answered with a code that makes sense, and
//! the server goes on. The pairs are generated; what each control does has its own file.

use crate::support::ber::{boolean, enumerated, integer, octets, sequence};
use crate::support::client::Client;
use crate::support::request::{self, Control, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject, check};
use crate::support::{code, oid};
use crate::{ANN, BOB, PEOPLE, add_person};

/// Every control that the root DSE announces and that a request may have, with a value that is right.
fn controls() -> Vec<Control> {
    let with_value = |oid: &str, value: Vec<u8>| Control::critical(oid, Some(value));
    vec![
        Control::paged(3, b""),
        Control::sort(&["sn", "-cn"]),
        Control::view_at(1, 2, 1, 0),
        Control::matched_values(&["(cn=*)"]),
        Control::dereference(&[("manager", &["cn"])]),
        with_value(oid::EFFECTIVE_RIGHTS, format!("dn:{BOB}").into_bytes()),
        Control::plain(oid::ACCOUNT_USABILITY),
        Control::plain(oid::DONT_USE_COPY),
        with_value(oid::PERSISTENT_SEARCH, sequence(&[integer(15), boolean(false), boolean(true)])),
        with_value(oid::SYNC_REQUEST, sequence(&[enumerated(1)])),
        with_value(oid::SUBENTRIES, boolean(false)),
        Control::plain(oid::SUBENTRIES_ALONE),
        Control::assertion("(objectClass=*)"),
        Control::read_entry(oid::PRE_READ, &["cn"]),
        Control::read_entry(oid::POST_READ, &["cn"]),
        Control::plain(oid::TREE_DELETE),
        Control::plain(oid::PERMISSIVE_MODIFY),
        Control::plain(oid::NO_OPERATION),
        Control::plain(oid::RELAX_RULES),
        Control::proxied(&format!("dn:{BOB}")),
        Control::plain(oid::AUTHORIZATION_IDENTITY_REQUEST),
        Control::plain(oid::PASSWORD_POLICY),
        with_value(oid::SESSION_TRACKING, sequence(&[octets("::1"), octets("h"), octets("1.2"), octets("u")])),
        with_value(oid::TRANSACTION, b"none such".to_vec()),
        Control::manage_dsa_it(),
        Control::plain(oid::SESSION_TOKEN),
        with_value(oid::DURABILITY, sequence(&[enumerated(0), integer(0), integer(1)])),
        Control::plain("2.25.226734431000227364254570923804739913085.3.10"),
        Control::plain("1.2.840.113556.1.4.417"),
        Control::plain(oid::UNKNOWN),
    ]
}

/// Codes that a request with two controls may end with: done, refused for a reason that names a control, or refused for
/// the rights of whom it is made as.
const SANE: [u32; 18] = [
    code::SUCCESS,
    code::OPERATIONS_ERROR,
    code::PROTOCOL_ERROR,
    code::SIZE_LIMIT_EXCEEDED,
    code::COMPARE_FALSE,
    code::COMPARE_TRUE,
    code::UNAVAILABLE_CRITICAL_EXTENSION,
    code::NO_SUCH_OBJECT,
    code::INSUFFICIENT_ACCESS_RIGHTS,
    code::UNWILLING_TO_PERFORM,
    code::NOT_ALLOWED_ON_NON_LEAF,
    code::ENTRY_ALREADY_EXISTS,
    code::VIRTUAL_LIST_VIEW_ERROR,
    code::ASSERTION_FAILED,
    code::NO_OPERATION,
    code::INVALID_CREDENTIALS,
    code::CANCELED,
    code::ADMIN_LIMIT_EXCEEDED,
];

#[track_caller]
fn sane(code: u32, what: &str) {
    assert!(SANE.contains(&code), "{what}: result code {code}");
}

/// Sends a search and what ends it if it does not end itself.
fn search(client: &mut Client, search: &Search, what: &str) {
    let id = client.send(&search.encode());
    let cancel = client.send(&request::cancel(id));
    sane(client.found_or_canceled(id), what);
    let canceled = client.outcome_of(cancel).code;
    assert!([code::SUCCESS, code::NO_SUCH_OPERATION, code::TOO_LATE].contains(&canceled), "{what}: cancel {canceled}");
}

/// T-12.
#[test]
fn all_pairs_of_controls_are_answered() {
    if Subject::current().is_slapd() {
        return;
    }
    let mut server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("pairs");
    let all = controls();
    let mut asked = 0_u32;
    for (at, first) in all.iter().enumerate() {
        for second in all.iter().skip(at + 1) {
            for criticality in [[true, true], [true, false], [false, true], [false, false]] {
                let pair = [first, second].map(Clone::clone);
                let what = format!("{} and {}, critical {criticality:?}", first.oid, second.oid);
                let attach = |client: &mut Client| {
                    for (control, critical) in pair.iter().zip(criticality) {
                        client.with(Control { critical, ..control.clone() });
                    }
                };
                attach(&mut client);
                search(&mut client, &Search::subtree(PEOPLE, "(uid=*)"), &what);
                attach(&mut client);
                search(&mut client, &Search::base(""), &what);
                attach(&mut client);
                sane(client.compare(ANN, "sn", "Example").code, &what);
                attach(&mut client);
                sane(client.modify(ANN, &[(REPLACE, "title", &["Director"])]).code, &what);
                attach(&mut client);
                sane(
                    client.add(&format!("cn=p,{branch}"), &[("objectClass", &["person"]), ("sn", &["p"])]).code,
                    &what,
                );
                attach(&mut client);
                sane(client.modify_dn(&format!("cn=p,{branch}"), "cn=q", true, None).code, &what);
                for name in ["p", "q"] {
                    attach(&mut client);
                    sane(client.delete(&format!("cn={name},{branch}")).code, &what);
                    // Whatever the pair left is gone before the next one.
                    client.delete(&format!("cn={name},{branch}"));
                }
                attach(&mut client);
                sane(client.perform(&request::extended(oid::WHO_AM_I, None)).code, &what);
                asked += 9;
            }
        }
    }
    assert!(asked > 10_000, "{asked} requests");
    for pair in all.windows(2) {
        let mut client = server.anonymous();
        for control in pair {
            client.with(control.clone());
        }
        sane(client.bind(ANN, "ann-secret").code, "bind");
    }
    // The server is as it was.
    add_person(&mut client, &branch, "last");
    assert_eq!(client.names(&branch, "(uid=*)"), ["last"]);
    drop(client);
    server.stop();
    check(&server.data());
}

/// What the root DSE announces is what the pairs are made of.
#[test]
fn the_pairs_are_made_of_all_controls_that_are_announced() {
    if Subject::current().is_slapd() {
        return;
    }
    let announced = Server::shared().anonymous().read_attributes("", &["supportedControl"]).values("supportedControl");
    let responses = [
        oid::SORT_RESPONSE,
        oid::VLV_RESPONSE,
        oid::ENTRY_CHANGE,
        oid::AUTHORIZATION_IDENTITY_RESPONSE,
        oid::PASSWORD_EXPIRED,
        oid::PASSWORD_EXPIRING,
    ];
    let paired: Vec<_> = controls().into_iter().map(|control| control.oid).collect();
    for control in announced.iter().filter(|control| !responses.contains(&control.as_str())) {
        assert!(paired.contains(control), "{control} is announced and in no pair");
    }
    for control in paired.iter().filter(|control| *control != oid::UNKNOWN) {
        assert!(announced.contains(control), "{control} is served and not announced");
    }
}
