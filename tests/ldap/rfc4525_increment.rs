//! Modify-increment: RFC 4525.

use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{INCREMENT, REPLACE};
use crate::support::server::{Server, Subject};

fn counter(name: &str) -> (Client, String) {
    let (mut client, branch) = Server::shared().branch(name);
    let dn = format!("ou=counter,{branch}");
    let classes: &[&str] = &["organizationalUnit", "extensibleObject"];
    client.add(&dn, &[("objectClass", classes), ("uidNumber", &["10"])]).expect(code::SUCCESS);
    (client, dn)
}

#[test]
fn increment_adds_to_the_value() {
    let (mut client, dn) = counter("increment");
    for (by, sum) in [("1", "11"), ("5", "16"), ("-20", "-4"), ("0", "-4")] {
        client.modify(&dn, &[(INCREMENT, "uidNumber", &[by])]).expect(code::SUCCESS);
        assert_eq!(client.read(&dn).value("uidNumber"), sum);
    }
    assert_eq!(client.names(&dn, "(uidNumber=-4)"), ["counter"]);
}

#[test]
fn increment_of_an_absent_attribute_is_no_such_attribute() {
    let (mut client, dn) = counter("increment-absent");
    client.modify(&dn, &[(INCREMENT, "gidNumber", &["1"])]).expect(code::NO_SUCH_ATTRIBUTE);
}

/// RFC 4525 1: one value, an integer attribute.
#[test]
fn increment_by_no_number_or_of_no_number_is_refused() {
    let (mut client, dn) = counter("increment-bad");
    for outcome in [
        client.modify(&dn, &[(INCREMENT, "uidNumber", &["many"])]),
        client.modify(&dn, &[(INCREMENT, "uidNumber", &[])]),
        client.modify(&dn, &[(INCREMENT, "uidNumber", &["1", "2"])]),
        client.modify(&dn, &[(INCREMENT, "ou", &["1"])]),
    ] {
        assert_ne!(outcome.code, code::SUCCESS, "{outcome:?}");
    }
    assert_eq!(client.read(&dn).value("uidNumber"), "10");
}

/// Nothing is lost between many who count at once.
#[test]
fn increments_of_many_clients_all_count() {
    let server = Server::shared();
    let (mut client, branch) = server.branch("increment-many");
    let dn = format!("ou=counter,{branch}");
    let classes: &[&str] = &["organizationalUnit", "extensibleObject"];
    client.add(&dn, &[("objectClass", classes), ("uidNumber", &["0"])]).expect(code::SUCCESS);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, dn) = (server.admin(), dn.clone());
            std::thread::spawn(move || {
                for _ in 0..25 {
                    client.modify(&dn, &[(INCREMENT, "uidNumber", &["1"])]).expect(code::SUCCESS);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no increment fails");
    }
    assert_eq!(client.read(&dn).value("uidNumber"), "200");
}

/// Far beyond 64 bits an integer is still one (RFC 4517 3.3.16); slapd stops at the machine's number.
#[test]
fn increment_neither_wraps_nor_harms_at_the_edge() {
    let (mut client, dn) = counter("increment-edge");
    client.modify(&dn, &[(REPLACE, "uidNumber", &["9223372036854775807"])]).expect(code::SUCCESS);
    let outcome = client.modify(&dn, &[(INCREMENT, "uidNumber", &["1"])]);
    let value = client.read(&dn).value("uidNumber");
    if !Subject::current().is_slapd() {
        match outcome.code {
            code::SUCCESS => assert_eq!(value, "9223372036854775808"),
            _ => assert_eq!(value, "9223372036854775807"),
        }
    }
}
