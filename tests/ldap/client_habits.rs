//! What clients take for granted and no single RFC's test asks: habits of mail programs, phones and login services that
//! cost users a contact or a login where a server does not know them.

use crate::support::ber::{enumerated, sequence};
use crate::support::request::{self, ADD, Control, DELETE, REPLACE, Search};
use crate::support::server::{SUFFIX, Server, Setup, Subject};
use crate::support::slapd::SYNCPROV;
use crate::support::wait::wait_until;
use crate::support::{code, oid};
use crate::{ANN, PEOPLE};

/// Nextcloud, Keycloak and what was set up for 389 or Active Directory keep people by the identity that server had.
#[test]
fn the_identity_of_an_entry_is_also_told_and_found_as_other_servers_write_it() {
    only_entente!(Foreign);
    let mut client = Server::shared().admin();
    let entry = client.read_attributes(ANN, &["entryUUID", "nsuniqueid", "objectGUID"]);
    let uuid = entry.value("entryUUID");
    let digits: String = uuid.chars().filter(|letter| *letter != '-').collect();
    let grouped = entry.value("nsuniqueid");
    assert_eq!(grouped.split('-').map(str::len).collect::<Vec<_>>(), [8, 8, 8, 8], "{grouped}");
    assert_eq!(grouped.replace('-', ""), digits);
    let guid = entry.bytes("objectGUID").remove(0);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let turned: Vec<u8> = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map(|place| guid[place]).to_vec();
    assert_eq!(hex(&turned), digits);
    let escaped: String = guid.iter().map(|byte| format!("\\{byte:02x}")).collect();
    for filter in [
        format!("(nsUniqueId={grouped})"),
        format!("(nsUniqueId={})", grouped.to_uppercase()),
        format!("(objectGUID={escaped})"),
        format!("(&(objectClass=person)(objectGUID={escaped}))"),
    ] {
        assert_eq!(client.names(SUFFIX, &filter), ["ann"], "{filter}");
    }
    for filter in ["(nsUniqueId=00000000-00000000-00000000-00000000)", "(nsUniqueId=x)", "(objectGUID=x)"] {
        assert_eq!(client.names(SUFFIX, filter), Vec::<String>::new(), "{filter}");
    }
    client.compare(ANN, "nsUniqueId", &grouped).expect(code::COMPARE_TRUE);
    // Who asks for all operational attributes is told once who it is.
    let all = client.read_attributes(ANN, &["+"]);
    assert!(all.has("entryUUID") && !all.has("nsUniqueId") && !all.has("objectGUID"), "{all:?}");
    client.modify(ANN, &[(REPLACE, "objectGUID", &["0123456789abcdef"])]).expect(code::CONSTRAINT_VIOLATION);
}

/// Address books search all that they show by substrings, whether the RFC of an attribute names a rule for that or not;
/// slapd finds nobody where it names none.
#[test]
fn every_text_is_found_by_a_part_of_it() {
    let (mut client, branch) = Server::shared().branch("parts");
    let dn = format!("cn=parts,{branch}");
    let texts: &[(&str, &str, &str)] = &[
        ("facsimileTelephoneNumber", "+49 30 7654321", "*76543*"),
        ("labeledURI", "https://example.com/people/parts home", "*people/par*"),
        ("carLicense", "B-XY 4711", "*XY*"),
        ("departmentNumber", "Purchase 12", "*chase*"),
        ("employeeType", "freelancer", "*lance*"),
        ("preferredLanguage", "de-AT", "*AT"),
        ("roomNumber", "E 117", "E*"),
        ("destinationIndicator", "WIEN", "*IE*"),
        ("x121Address", "2624 5555", "*555*"),
        ("internationalISDNNumber", "49307654", "*3076*"),
        ("postalAddress", "Main Street 1$Springfield", "*street 1*"),
        ("homePostalAddress", "Lane 2$Shelbyville", "*shelby*"),
    ];
    let mut attributes: Vec<(&str, &[&str])> = vec![("objectClass", &["inetOrgPerson"]), ("sn", &["Parts"])];
    let values: Vec<[&str; 1]> = texts.iter().map(|(_, value, _)| [*value]).collect();
    attributes.extend(texts.iter().zip(&values).map(|((name, ..), value)| (*name, value.as_slice())));
    client.add(&dn, &attributes).expect(code::SUCCESS);
    for (name, _, part) in texts {
        // Without a rule of the RFC it is Undefined in slapd.
        let has_none = ["facsimileTelephoneNumber", "labeledURI"].contains(name);
        let expected: &[&str] = if has_none && Subject::current().is_slapd() { &[] } else { &["parts"] };
        assert_eq!(client.names(&branch, &format!("({name}={part})")), expected, "({name}={part})");
        assert_eq!(client.names(&branch, &format!("({name}=*nowhere*)")), Vec::<String>::new(), "{name}");
    }
}

/// `( ! ( objectClass=person ) )` as people write it has a blank in its value: of somebody who is a person by a class that
/// refines it, it is false all the same. A rule that shows what is no person must not show people.
#[test]
fn blanks_around_a_class_do_not_matter() {
    let mut client = Server::shared().admin();
    if Subject::current().is_slapd() {
        // What is no OID is Undefined there, and so is its opposite.
        assert!(client.names(PEOPLE, "(|(objectClass=person )(!(objectClass=person )))").is_empty());
    }
    only_entente_from_here!(Lax);
    let everybody = client.names(PEOPLE, "(objectClass=person)");
    assert_eq!(everybody.len(), 6, "{everybody:?}");
    for blank in ["(objectClass=person )", "(objectClass= person)", "(objectClass= 2.5.6.6 )"] {
        assert_eq!(client.names(PEOPLE, blank), everybody, "{blank}");
        assert_eq!(client.names(PEOPLE, &format!("(!{blank})")), ["people"], "{blank}");
    }
}

/// People write filters with blanks between their parts; Jenkins' own are like that. In BER there are none, but in the
/// texts that a server reads itself: access rules and the URLs of groups (RFC 4516).
#[test]
fn blanks_are_taken_in_the_filters_of_rules_and_groups() {
    only_entente!(Access);
    let setup = Setup::default()
        .with_access(
            &[
                r#"(targetattr = "*")(targetfilter = " ( & ( objectClass=inetOrgPerson ) (| (uid=ann) (uid=bob) ) ) ")(version 3.0; acl "two"; allow (read, search) userdn = "ldap:///anyone";)"#,
                r#"(targetattr = "*")(targetfilter = "( ! ( objectClass=person ) )")(version 3.0; acl "no people"; allow (read, search) userdn = "ldap:///anyone";)"#,
            ],
            "",
        )
        .with_entries(
            "dn: cn=engineers,ou=groups,dc=example,dc=com\nobjectClass: groupOfURLs\ncn: engineers\n\
             memberURL: ldap:///ou=people,dc=example,dc=com??sub?( & ( title=Engineer ) ( | (uid=bob) (uid=carol) ) )",
        );
    let server = Server::start(setup);
    assert_eq!(server.anonymous().names(PEOPLE, "(uid=*)"), ["ann", "bob"]);
    let members = server.admin().names(PEOPLE, &format!("(memberOf=cn=engineers,ou=groups,{SUFFIX})"));
    assert_eq!(members, ["bob", "carol"]);
}

/// passwd, web forms and Roundcube's plugin write the password as a value; some take the old one away by its value.
#[test]
fn a_password_is_changed_by_modify_in_both_ways() {
    let server = Server::start(Setup::default());
    let mut ann = server.person("ann");
    ann.modify(ANN, &[(REPLACE, "userPassword", &["ann-secret-2"])]).expect(code::SUCCESS);
    server.anonymous().bind(ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
    let mut ann = server.bound(ANN, "ann-secret-2");
    let changes: &[(_, _, &[&str])] =
        &[(DELETE, "userPassword", &["ann-secret-2"]), (ADD, "userPassword", &["ann-secret-3"])];
    // The stored value is a hash; that the old one fits is told by the hash. slapd compares octets.
    if !Subject::current().is_slapd() {
        let wrong: &[(_, _, &[&str])] = &[(DELETE, "userPassword", &["wrong"]), (ADD, "userPassword", &["stolen-1"])];
        assert_ne!(ann.modify(ANN, wrong).code, code::SUCCESS);
        server.anonymous().bind(ANN, "stolen-1").expect(code::INVALID_CREDENTIALS);
        ann.modify(ANN, changes).expect(code::SUCCESS);
        server.anonymous().bind(ANN, "ann-secret-2").expect(code::INVALID_CREDENTIALS);
        server.bound(ANN, "ann-secret-3");
    }
}

/// RFC 4511 4.14.1: StartTLS while something else is at work is an operationsError; the connection goes on in clear.
#[test]
fn start_tls_waits_for_nothing_that_is_outstanding() {
    let server = Server::start(Setup::default().with_tls().with_slapd_lines(SYNCPROV));
    let mut client = server.anonymous();
    // refreshAndPersist (RFC 4533): runs until it is abandoned.
    let value = sequence(&[enumerated(3)]);
    let lasting = client
        .with(Control::critical(oid::SYNC_REQUEST, Some(value)))
        .send(&Search::subtree(PEOPLE, "(uid=nobody)").encode());
    client.perform(&request::extended(oid::START_TLS, None)).expect(code::OPERATIONS_ERROR);
    assert_eq!(client.names(PEOPLE, "(uid=ann)"), ["ann"]);
    client.send(&request::abandon(lasting));
    let start = request::extended(oid::START_TLS, None);
    if Subject::current().is_slapd() {
        // It gives up a little later.
        wait_until("the end of the search", || client.perform(&start).code == code::SUCCESS);
    } else {
        client.perform(&start).expect(code::SUCCESS);
    }
}

/// A mechanism that a clear connection has not is answered with what TLS would add.
#[test]
fn a_mechanism_that_is_not_offered_is_answered_with_what_tls_adds() {
    only_entente!(Diagnostic);
    let mut client = Server::shared().anonymous();
    let credentials = request::bind_sasl("", "CRAM-MD5", None);
    let refused = client.perform(&credentials).expect(code::AUTH_METHOD_NOT_SUPPORTED);
    assert!(refused.diagnostic.contains("TLS (StartTLS or ldaps) adds: EXTERNAL"), "{}", refused.diagnostic);
}
