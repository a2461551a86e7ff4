//! Lockout by a password policy in a cluster: whoever guesses does not get more guesses for asking several members.

use super::node::{Node, person};
use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{REPLACE, Search};
use crate::support::server::{SUFFIX, check};
use crate::support::wait::wait_until;

/// Values of an operational attribute of ann.
fn of_ann(node: &Node, name: &str) -> Vec<String> {
    node.client().search(&Search::base(person("ann")).attributes(&[name])).single().values(name)
}

/// draft-behera-ldap-password-policy-10 5.3.4: failures are state of the entry, and so they replicate.
#[test]
fn failures_on_two_members_lock_the_account_on_both() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let policy: [(&str, &[&str]); 7] = [
        ("objectClass", &["subentry", "pwdPolicy"]),
        ("cn", &["policy"]),
        ("subtreeSpecification", &["{}"]),
        ("pwdAttribute", &["userPassword"]),
        ("pwdLockout", &["TRUE"]),
        ("pwdMaxFailure", &["4"]),
        ("pwdFailureCountInterval", &["0"]),
    ];
    a.client().add(&format!("cn=policy,{SUFFIX}"), &policy).expect(code::SUCCESS);
    let mut b = a.joined("b", "supplier");
    a.wait_until_equal();
    let guess = |node: &Node| {
        for _ in 0..2 {
            assert!(!node.binds_as(&person("ann"), "wrong"));
        }
    };
    guess(&a);
    wait_until("two failures on b", || of_ann(&b, "pwdFailureTime").len() == 2);
    assert!(b.binds_as(&person("bob"), "bob-secret"), "nobody else is concerned");
    assert!(of_ann(&b, "pwdAccountLockedTime").is_empty());
    guess(&b);
    for node in [&a, &b] {
        wait_until("the lock", || of_ann(node, "pwdAccountLockedTime").len() == 1);
        assert!(!node.binds_as(&person("ann"), "ann-secret"), "the right password does not help any more");
    }
    // Set anew on one member the password works on both, with all guesses forgotten.
    let mut client: Client = a.client();
    client.modify(&person("ann"), &[(REPLACE, "userPassword", &["new-secret"])]).expect(code::SUCCESS);
    for node in [&a, &b] {
        wait_until("the account to be open", || of_ann(node, "pwdAccountLockedTime").is_empty());
        wait_until("the new password", || node.binds_as(&person("ann"), "new-secret"));
        assert!(of_ann(node, "pwdFailureTime").is_empty());
    }
    a.wait_until_equal();
    drop(client);
    a.stop();
    b.stop();
    check(&a.data());
    check(&b.data());
}
