//! Transactions: RFC 5805.

use crate::support::ber::{Element, boolean, octets, sequence};
use crate::support::client::{Client, Outcome};
use crate::support::request::{self, ADD, Control, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject, check};
use crate::support::{code, oid};
use crate::{ANN, add_person};

pub(crate) fn start(client: &mut Client) -> Vec<u8> {
    let outcome = client.perform(&request::extended(oid::START_TRANSACTION, None)).expect(code::SUCCESS);
    outcome.value.expect("an identifier")
}

pub(crate) fn within(identifier: &[u8]) -> Control {
    Control::critical(oid::TRANSACTION, Some(identifier.to_vec()))
}

pub(crate) fn end(client: &mut Client, commit: bool, identifier: &[u8]) -> Outcome {
    let mut parts = Vec::new();
    if !commit {
        parts.push(boolean(false));
    }
    parts.push(octets(identifier));
    client.perform(&request::extended(oid::END_TRANSACTION, Some(&sequence(&parts))))
}

const PERSON: [(&str, &[&str]); 3] = [("objectClass", &["person"]), ("cn", &["x"]), ("sn", &["x"])];

#[test]
fn updates_are_made_together_at_the_end() {
    let mut server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("txn");
    let old = add_person(&mut client, &branch, "old");
    let new = format!("cn=new,{branch}");
    let identifier = start(&mut client);
    client.with(within(&identifier)).add(&new, &PERSON).expect(code::SUCCESS);
    // Each update sees what those before it did.
    client.with(within(&identifier)).modify(&new, &[(REPLACE, "sn", &["later"])]).expect(code::SUCCESS);
    client.with(within(&identifier)).modify_dn(&new, "cn=newer", true, None).expect(code::SUCCESS);
    client.with(within(&identifier)).delete(&old).expect(code::SUCCESS);
    // Nobody sees anything of it before the end.
    assert_eq!(client.names(&branch, "(objectClass=person)"), ["old"]);
    end(&mut client, true, &identifier).expect(code::SUCCESS);
    assert_eq!(client.names(&branch, "(objectClass=person)"), ["newer"]);
    assert_eq!(client.read(&format!("cn=newer,{branch}")).values("sn"), ["later"]);
    // It is over.
    assert_ne!(end(&mut client, true, &identifier).code, code::SUCCESS);
    drop(client);
    if !Subject::current().is_slapd() {
        server.stop();
        check(&server.data());
    }
}

/// RFC 5805 2.2: what cannot be part of a transaction is refused at once, and with it the transaction.
#[test]
fn the_schema_is_not_changed_within_a_transaction() {
    only_entente!(Own);
    let server = Server::start(Setup::default());
    let mut client = server.admin();
    let definition = "( 1.3.6.1.4.1.32473.76.1 NAME 'txnHat' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )";
    let identifier = start(&mut client);
    let refused = client.with(within(&identifier)).modify("cn=subschema", &[(ADD, "attributeTypes", &[definition])]);
    let refused = refused.expect(code::UNWILLING_TO_PERFORM);
    assert!(refused.diagnostic.contains("change cn=subschema first, by itself"), "{}", refused.diagnostic);
    end(&mut client, true, &identifier).expect(code::UNWILLING_TO_PERFORM);
    client.modify("cn=subschema", &[(ADD, "attributeTypes", &[definition])]).expect(code::SUCCESS);
}

#[test]
fn a_transaction_that_is_given_up_does_nothing() {
    let (mut client, branch) = Server::shared().branch("txn-abort");
    let identifier = start(&mut client);
    client.with(within(&identifier)).add(&format!("cn=x,{branch}"), &PERSON).expect(code::SUCCESS);
    end(&mut client, false, &identifier).expect(code::SUCCESS);
    assert!(client.names(&branch, "(objectClass=person)").is_empty());
}

/// RFC 5805 2.3: the first update that is refused takes all back; the response names it.
#[test]
fn one_refused_update_takes_all_back() {
    let mut server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("txn");
    let identifier = start(&mut client);
    for index in 0..20 {
        client.with(within(&identifier)).add(&format!("cn=x{index},{branch}"), &PERSON_ONLY).expect(code::SUCCESS);
    }
    let control = within(&identifier);
    let bad = client.with(control).send(&request::modify(&format!("cn=nobody,{branch}"), &[(ADD, "title", &["x"])]));
    client.outcome_of(bad).expect(code::SUCCESS);
    client.with(within(&identifier)).add(&format!("cn=y,{branch}"), &PERSON_ONLY).expect(code::SUCCESS);
    let outcome = end(&mut client, true, &identifier);
    assert_ne!(outcome.code, code::SUCCESS);
    assert!(client.names(&branch, "(objectClass=person)").is_empty());
    only_entente_from_here!(Breaks);
    assert_eq!(outcome.code, code::NO_SUCH_OBJECT);
    let value = Element::whole(&outcome.value.expect("txnEndRes")).expect("BER");
    assert_eq!(value.children().expect("BER")[0].number(), bad);
    // Nothing of it is in the way of what comes next.
    client.add(&format!("cn=x1,{branch}"), &PERSON_ONLY).expect(code::SUCCESS);
    drop(client);
    server.stop();
    check(&server.data());
}

const PERSON_ONLY: [(&str, &[&str]); 2] = [("objectClass", &["person"]), ("sn", &["x"])];

/// RFC 5805 2.3: controls of the updates come with the end.
#[test]
fn response_controls_come_with_the_end() {
    only_entente!(Unserved);
    let (mut client, branch) = Server::shared().branch("txn-controls");
    let dn = add_person(&mut client, &branch, "p");
    let identifier = start(&mut client);
    let post_read = Control::read_entry(oid::POST_READ, &["title"]);
    let id = client.with(within(&identifier)).with(post_read).send(&request::modify(&dn, &[(ADD, "title", &["Cook"])]));
    assert!(client.outcome_of(id).expect(code::SUCCESS).controls.is_empty());
    let value = end(&mut client, true, &identifier).expect(code::SUCCESS).value.expect("txnEndRes");
    let list = Element::whole(&value).expect("BER").children().expect("BER")[0].children().expect("BER");
    let update = list[0].children().expect("BER");
    assert_eq!((list.len(), update[0].number(), update[1].tag), (1, id, 0xA0));
    let text = String::from_utf8_lossy(&value).into_owned();
    assert!(text.contains(oid::POST_READ) && text.contains("Cook"), "{text}");
}

/// RFC 5805 2.2, 3: what is refused when it is gathered, and what cannot be gathered.
#[test]
fn what_cannot_be_gathered_is_refused() {
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("txn-refused");
    let dn = add_person(&mut client, &branch, "p");
    let change: [(i64, &str, &[&str]); 1] = [(ADD, "title", &["x"])];
    // slapd has a code of its own for it.
    let expected = Subject::current().pick(code::OPERATIONS_ERROR, 0x4121);
    client.with(within(b"nonsense")).modify(&dn, &change).expect(expected);
    let identifier = start(&mut client);
    client.with(within(&identifier).optional()).modify(&dn, &change).expect(code::PROTOCOL_ERROR);
    client.with(within(&identifier)).search(&Search::base(&dn)).expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
    // A transaction is of one connection.
    server.admin().with(within(&identifier)).modify(&dn, &change).expect(expected);
    assert_eq!(end(&mut server.admin(), true, &identifier).code, expected);
    // slapd gathers what it refuses in the end.
    only_entente_from_here!(Unserved);
    // An update that the schema refuses spoils it: the others are not made without it.
    let other = start(&mut client);
    client.with(within(&other)).modify(&dn, &change).expect(code::SUCCESS);
    client.with(within(&other)).modify(&dn, &[(ADD, "noSuchAttribute", &["x"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    client.with(within(&other)).modify(&dn, &change).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    end(&mut client, true, &other).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    assert!(!client.read(&dn).has("title"));
    let no_op = Control::plain(oid::NO_OPERATION);
    let third = start(&mut client);
    client.with(within(&third)).with(no_op).modify(&dn, &change).expect(code::UNWILLING_TO_PERFORM);
    client.perform(&request::extended(oid::START_TRANSACTION, Some(b"x"))).expect(code::PROTOCOL_ERROR);
    client.perform(&request::extended(oid::END_TRANSACTION, None)).expect(code::PROTOCOL_ERROR);
    let start_request = request::extended(oid::START_TRANSACTION, None);
    assert_ne!(server.anonymous().perform(&start_request).code, code::SUCCESS);
}

/// A change that somebody else makes before the end counts: nothing was locked, nothing is lost.
#[test]
fn an_assertion_guards_against_changes_in_between() {
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("txn-assert");
    let (from, to) = (add_person(&mut client, &branch, "from"), add_person(&mut client, &branch, "to"));
    for dn in [&from, &to] {
        client.modify(dn, &[(REPLACE, "employeeNumber", &["10"])]).expect(code::SUCCESS);
    }
    let transfer = |client: &mut Client, between: &mut dyn FnMut(&mut Client)| {
        let identifier = start(client);
        let guarded = Control::assertion("(employeeNumber=10)");
        client.with(within(&identifier)).with(guarded).modify(&from, &[(REPLACE, "employeeNumber", &["9"])]);
        client.with(within(&identifier)).modify(&to, &[(REPLACE, "employeeNumber", &["11"])]);
        between(client);
        end(client, true, &identifier).code
    };
    let code = transfer(&mut client, &mut |client| {
        client.modify(&from, &[(REPLACE, "employeeNumber", &["0"])]).expect(code::SUCCESS);
    });
    assert_eq!((code, client.read(&to).value("employeeNumber").as_str()), (code::ASSERTION_FAILED, "10"));
    client.modify(&from, &[(REPLACE, "employeeNumber", &["10"])]).expect(code::SUCCESS);
    assert_eq!(transfer(&mut client, &mut |_| ()), code::SUCCESS);
    assert_eq!(client.read(&from).value("employeeNumber"), "9");
    assert_eq!(client.read(&to).value("employeeNumber"), "11");
}

/// RFC 5805 2.4: whoever becomes somebody else has its transactions aborted, and is told which.
#[test]
fn a_bind_aborts_with_a_notice() {
    only_entente!(Unserved);
    let (mut client, branch) = Server::shared().branch("txn-bind");
    let identifier = start(&mut client);
    client.with(within(&identifier)).add(&format!("cn=x,{branch}"), &PERSON).expect(code::SUCCESS);
    let id = client.send(&request::bind_simple(3, ANN, b"ann-secret"));
    let notice = client.receive_for(0).expect("a notice");
    let notice = crate::support::client::parse_outcome(&notice).expect("an extended response");
    assert_eq!(
        (notice.name.as_deref(), notice.value.as_deref()),
        (Some(oid::ABORTED_TRANSACTION), Some(&identifier[..]))
    );
    client.outcome_of(id).expect(code::SUCCESS);
    assert_ne!(end(&mut client, true, &identifier).code, code::SUCCESS);
    assert!(client.names(&branch, "(objectClass=person)").is_empty());
}

#[test]
fn limits_of_a_transaction_are_kept() {
    only_entente!(Setting);
    let setup = Setup::default()
        .with_setting("limits.transaction_updates=3")
        .with_setting("limits.transaction_bytes=8192")
        .with_setting("limits.transaction_s=5");
    let server = Server::start(setup);
    let (mut client, branch) = server.branch("txn");
    let identifier = start(&mut client);
    for index in 0..3 {
        client.with(within(&identifier)).add(&format!("cn=x{index},{branch}"), &PERSON_ONLY).expect(code::SUCCESS);
    }
    client.with(within(&identifier)).add(&format!("cn=x4,{branch}"), &PERSON_ONLY).expect(code::ADMIN_LIMIT_EXCEEDED);
    end(&mut client, true, &identifier).expect(code::ADMIN_LIMIT_EXCEEDED);
    let identifier = start(&mut client);
    let long = "x".repeat(9_000);
    let outcome = client.with(within(&identifier)).modify(&branch, &[(ADD, "description", &[&long])]);
    outcome.expect(code::ADMIN_LIMIT_EXCEEDED);
    end(&mut client, false, &identifier).expect(code::SUCCESS);
    assert!(client.names(&branch, "(objectClass=person)").is_empty());
    // One that stays open is aborted with a notice when its time is over.
    let identifiers: Vec<_> = (0..4).map(|_| start(&mut client)).collect();
    client.perform(&request::extended(oid::START_TRANSACTION, None)).expect(code::ADMIN_LIMIT_EXCEEDED);
    let mut other = server.admin();
    crate::support::wait::wait_for_within(crate::support::wait::PATIENCE, "the time to be over", || {
        other.who_am_i();
        (client.perform(&request::extended(oid::START_TRANSACTION, None)).code == code::SUCCESS).then_some(())
    });
    let notice = client.receive_for(0).expect("a notice");
    let notice = crate::support::client::parse_outcome(&notice).expect("an extended response");
    assert!(identifiers.contains(&notice.value.expect("which transaction")));
}

/// Clear passwords are hashed when the transaction ends, before the writer sees them.
#[test]
fn passwords_of_a_transaction_are_hashed() {
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("txn-password");
    let dn = add_person(&mut client, &branch, "p");
    let identifier = start(&mut client);
    client.with(within(&identifier)).modify(&dn, &[(ADD, "userPassword", &["p-secret"])]).expect(code::SUCCESS);
    end(&mut client, true, &identifier).expect(code::SUCCESS);
    // slapd hashes by another operation alone.
    let stored = client.read_attributes(&dn, &["userPassword"]).value("userPassword");
    assert!(stored.starts_with(Subject::current().pick("{ARGON2}", "p-secret")), "{stored}");
    server.anonymous().bind(&dn, "p-secret").expect(code::SUCCESS);
}

/// Whoever reads meanwhile sees none of it or all of it.
#[test]
fn readers_see_none_or_all() {
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("txn-readers");
    let mut reader = server.admin();
    for round in 0..3 {
        let identifier = start(&mut client);
        for index in 0..150 {
            let dn = format!("cn={round}-{index},{branch}");
            client.with(within(&identifier)).add(&dn, &PERSON_ONLY).expect(code::SUCCESS);
        }
        let value = sequence(&[octets(&identifier)]);
        let id = client.send(&request::extended(oid::END_TRANSACTION, Some(&value)));
        loop {
            let count = reader.names(&branch, "(objectClass=person)").len();
            assert!(count == round * 150 || count == (round + 1) * 150, "{count} after {round} rounds");
            if count == (round + 1) * 150 {
                break;
            }
        }
        client.outcome_of(id).expect(code::SUCCESS);
    }
}

/// RFC 5805 2.2: password modify (RFC 3062) is one of the updates. Not in slapd.
#[test]
fn passwords_are_set_with_the_other_updates_or_not_at_all() {
    only_entente!(Unserved);
    let server = Server::shared();
    let (mut client, branch) = server.branch("txn-3062");
    let person = add_person(&mut client, &branch, "p");
    let set = |new| request::password_modify(Some(&person), None, new);
    let binds = |dn: &str, password: &str| server.anonymous().bind(dn, password).code == code::SUCCESS;
    let identifier = start(&mut client);
    client.with(within(&identifier)).perform(&set(Some("first-secret"))).expect(code::SUCCESS);
    assert!(!binds(&person, "first-secret"), "not before the end");
    end(&mut client, true, &identifier).expect(code::SUCCESS);
    assert!(binds(&person, "first-secret"));
    // Of an entry that the transaction itself adds, and made up by the server.
    let identifier = start(&mut client);
    let new = format!("uid=new,{branch}");
    let entry: [(&str, &[&str]); 3] = [("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["x"])];
    client.with(within(&identifier)).add(&new, &entry).expect(code::SUCCESS);
    let made = client.with(within(&identifier)).perform(&request::password_modify(Some(&new), None, None));
    let value = Element::whole(&made.expect(code::SUCCESS).value.expect("a password")).expect("BER");
    let made = value.children().expect("BER")[0].text();
    end(&mut client, true, &identifier).expect(code::SUCCESS);
    assert!(binds(&new, &made));
    // With a later update refused, with a wrong old password, or given up, it stays as it was.
    let identifier = start(&mut client);
    client.with(within(&identifier)).perform(&set(Some("second-secret"))).expect(code::SUCCESS);
    client.with(within(&identifier)).delete(&format!("uid=nobody,{branch}")).expect(code::SUCCESS);
    end(&mut client, true, &identifier).expect(code::NO_SUCH_OBJECT);
    let identifier = start(&mut client);
    let wrong = request::password_modify(Some(&person), Some("wrong"), Some("second-secret"));
    let id = client.with(within(&identifier)).send(&wrong);
    client.outcome_of(id).expect(code::SUCCESS);
    let refused = end(&mut client, true, &identifier).expect(code::INVALID_CREDENTIALS);
    let value = Element::whole(&refused.value.expect("txnEndRes")).expect("BER");
    assert_eq!(value.children().expect("BER")[0].number(), id);
    let identifier = start(&mut client);
    client.with(within(&identifier)).perform(&set(Some("second-secret"))).expect(code::SUCCESS);
    end(&mut client, false, &identifier).expect(code::SUCCESS);
    assert!(binds(&person, "first-secret") && !binds(&person, "second-secret"));
}
