//! Tree delete: draft-armijo-ldap-treedelete. slapd announces it nowhere and serves it in few backends.

use crate::support::client::Client;
use crate::support::request::{self, Control, Search};
use crate::support::server::{SUFFIX, Server, Setup, Subject, check};
use crate::support::{code, oid};
use crate::{PEOPLE, add_person};

fn tree_delete() -> Control {
    Control::plain(oid::TREE_DELETE)
}

fn grow(client: &mut Client, branch: &str) {
    for name in ["a", "b"] {
        let dn = format!("ou={name},{branch}");
        client.add(&dn, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
        for uid in ["x", "y"] {
            add_person(client, &dn, uid);
        }
    }
}

#[test]
fn an_entry_goes_with_all_below_it() {
    only_entente!(Unserved);
    let mut server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("tree");
    grow(&mut client, &branch);
    client.delete(&branch).expect(code::NOT_ALLOWED_ON_NON_LEAF);
    let pre_read = Control::read_entry(oid::PRE_READ, &["ou"]);
    let outcome = client.with(tree_delete()).with(pre_read).delete(&branch).expect(code::SUCCESS);
    assert!(!outcome.control(oid::PRE_READ).is_empty());
    assert!(client.search(&Search::subtree(SUFFIX, "(|(uid=x)(ou=tree)(ou=a))")).entries.is_empty());
    client.search(&Search::base(&branch)).expect(code::NO_SUCH_OBJECT);
    // The name is free again, and a leaf goes as well.
    client.add(&branch, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    client.with(tree_delete()).delete(&branch).expect(code::SUCCESS);
    drop(client);
    server.stop();
    check(&server.data());
}

/// All or nothing: one entry that may not be deleted keeps the tree.
#[test]
fn nothing_goes_where_something_may_not() {
    only_entente!(Unserved);
    let allow = r#"(targetattr = "*")(version 3.0; acl "all"; allow (all) userdn = "ldap:///all";)"#;
    let server = Server::start(Setup::default().with_access(&[allow], ""));
    let (mut admin, branch) = server.branch("tree");
    grow(&mut admin, &branch);
    let deny = r#"(target = "ldap:///uid=y,ou=b,ou=tree,dc=example,dc=com")(version 3.0; acl "kept"; deny (delete) userdn = "ldap:///all";)"#;
    admin.modify(SUFFIX, &[(request::ADD, "aci", &[deny])]).expect(code::SUCCESS);
    let mut ann = server.person("ann");
    ann.with(tree_delete()).delete(&branch).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    assert_eq!(admin.search(&Search::subtree(&branch, "(objectClass=*)")).entries.len(), 7);
    ann.with(tree_delete()).delete(&format!("ou=a,{branch}")).expect(code::SUCCESS);
    assert_eq!(admin.search(&Search::subtree(&branch, "(objectClass=*)")).entries.len(), 4);
}

#[test]
fn a_tree_beyond_the_limit_is_refused() {
    only_entente!(Unserved);
    let server = Server::start(Setup::default().with_setting("limits.tree_delete=5"));
    let (mut admin, branch) = server.branch("tree");
    grow(&mut admin, &branch);
    admin.with(tree_delete()).delete(&branch).expect(code::ADMIN_LIMIT_EXCEEDED);
    assert_eq!(admin.search(&Search::subtree(&branch, "(objectClass=*)")).entries.len(), 7);
    admin.with(tree_delete()).delete(&format!("ou=a,{branch}")).expect(code::SUCCESS);
    admin.with(tree_delete()).delete("cn=cluster").expect(code::UNWILLING_TO_PERFORM);
}

/// The control has no value and belongs to deletes.
#[test]
fn tree_delete_of_other_operations_is_no_tree_delete() {
    let mut client = Server::shared().admin();
    let search = Search::base(PEOPLE);
    client.with(tree_delete()).search(&search).expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
    client.with(tree_delete().optional()).search(&search).expect(code::SUCCESS);
    if !Subject::current().is_slapd() {
        let with_value = Control::critical(oid::TREE_DELETE, Some(b"x".to_vec()));
        client.with(with_value).delete("uid=nobody,dc=example,dc=com").expect(code::PROTOCOL_ERROR);
    }
}
