//! Members that are killed, copied, restored from an old copy, or leave.

use std::path::Path;

use super::node::Node;
use crate::support::server::{check, export};
use crate::support::wait::wait_until;

#[test]
fn a_member_that_was_killed_catches_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let mut b = a.joined("b", "supplier");
    b.describe("bob", "before");
    a.wait_for_description("bob", "before");
    b.kill();
    for index in 0..50 {
        a.describe("ann", &format!("while b is away {index}"));
    }
    let verified = a.replica(&["verify", "--wait", "1"]).expect_status(1);
    assert!(verified.stdout.starts_with("CATCHING UP"), "{verified:?}");
    b.serve();
    b.wait_for_description("ann", "while b is away 49");
    b.describe("bob", "after");
    a.wait_for_description("bob", "after");
    a.wait_until_equal();
    b.wait_until_equal();
}

#[test]
fn three_members_agree_whoever_is_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "supplier");
    let mut c = b.joined("c", "supplier");
    a.describe("ann", "from a");
    b.describe("bob", "from b");
    c.describe("carol", "from c");
    a.wait_until_equal();
    c.stop();
    a.describe("ann", "from a again");
    b.describe("bob", "from b again");
    b.wait_for_description("ann", "from a again");
    a.kill();
    c.serve();
    // What a wrote comes from b.
    c.wait_for_description("ann", "from a again");
    a.serve();
    for node in [&a, &b, &c] {
        node.wait_until_equal();
        assert_eq!(node.description("bob"), "from b again");
    }
}

/// A supplier that was killed and got the data file that it had before its last changes, which the other member of that role
/// holds; and that member. It has noticed.
#[track_caller]
fn put_back_from_an_old_copy(folder: &Path, role: &str) -> (Node, Node) {
    let mut a = Node::found(folder, "a");
    a.serve();
    let b = a.joined("b", role);
    a.describe("ann", "before the copy");
    b.wait_for_description("ann", "before the copy");
    a.stop();
    let copy = folder.join("copy");
    a.copy_data_to(&copy);
    a.serve();
    a.describe("ann", "after the copy");
    a.describe("bob", "after the copy");
    b.wait_for_description("bob", "after the copy");
    a.kill();
    // Into the same file, so that only the other member can notice.
    std::fs::write(a.data().join("data.mdb"), std::fs::read(copy.join("data.mdb")).unwrap()).unwrap();
    a.serve();
    a.wait_for_saying("a copy was restored");
    (a, b)
}

#[test]
fn a_data_directory_put_back_from_an_old_copy_loses_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, b) = put_back_from_an_old_copy(folder.path(), "supplier");
    a.wait_for_description("bob", "after the copy");
    assert_eq!(a.description("ann"), "after the copy");
    wait_until("a to take changes", || a.status()["writes"] == "open");
    a.describe("bob", "written again");
    b.wait_for_description("bob", "written again");
    a.wait_until_equal();
    b.wait_until_equal();
    check(&a.data());
}

#[test]
fn a_reader_that_is_newer_than_a_supplier_put_back_from_an_old_copy_is_filled_anew_by_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, b) = put_back_from_an_old_copy(folder.path(), "consumer");
    let node = b.status()["node"].clone();
    wait_until("a to take changes", || a.status()["writes"] == "open");
    a.describe("carol", "since the restore");
    b.wait_for_saying("takes the whole content anew");
    b.wait_for_saying("what was here before is kept");
    wait_until("b to answer again", || {
        b.said().rsplit_once("is kept").is_some_and(|(_, since)| since.contains("ready"))
    });
    b.wait_for_description("carol", "since the restore");
    assert_eq!(b.description("ann"), "before the copy");
    a.wait_until_equal();
    b.wait_until_equal();
    assert_eq!((b.status()["node"].clone(), b.status()["writes"].as_str()), (node, Some("read-only")));
    assert_eq!(a.status()["members"].as_array().map(Vec::len), Some(1));
    check(&b.data());
    assert!(!b.data().join("anew").exists());
    assert!(b.status()["alarms"].to_string().contains("is kept in"), "{}", b.status()["alarms"]);
    assert!(export(&b.data().join("replaced")).contains("description: after the copy"), "what it alone held");
}

/// Wherever it was: before the new content was whole, or before it was in place.
#[test]
fn a_reader_that_is_killed_while_it_is_filled_anew_ends_equal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, mut b) = put_back_from_an_old_copy(folder.path(), "consumer");
    b.wait_for_saying("takes the whole content anew");
    b.kill();
    b.serve();
    a.wait_until_equal();
    assert_eq!(b.description("ann"), "before the copy");
    check(&b.data());
}

/// T-50.
#[test]
fn a_copy_that_is_served_beside_its_original_becomes_a_member_of_its_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "supplier");
    a.describe("ann", "before the copy");
    b.wait_for_description("ann", "before the copy");
    wait_until("a to know where b is", || a.status()["members"][0]["addresses"][0].is_string());
    a.stop();
    let mut copy = Node::at(folder.path(), "copy");
    a.copy_data_to(&copy.data());
    a.serve();
    a.describe("ann", "by the original");
    copy.serve();
    wait_until("the copy to be a member of its own", || copy.status()["node"] != a.status()["node"]);
    wait_until("the copy to take changes", || copy.status()["writes"] == "open");
    copy.describe("bob", "by the copy");
    for node in [&a, &b, &copy] {
        node.wait_for_description("bob", "by the copy");
        node.wait_for_description("ann", "by the original");
    }
    for node in [&a, &b, &copy] {
        wait_until("all three", || node.status()["members"].as_array().map_or(0, Vec::len) == 2);
        node.wait_until_equal();
    }
}

#[test]
fn a_member_that_was_retired_is_not_let_in_any_more() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "supplier");
    let c = a.joined("c", "supplier");
    c.describe("ann", "the last of c");
    a.wait_for_description("ann", "the last of c");
    a.wait_until_equal();
    a.replica(&["retire", "c"]).expect_success();
    wait_until("c to be retired", || {
        a.status()["members"]
            .as_array()
            .is_some_and(|members| members.iter().all(|member| member["name"] != "c" || member["state"] == "retired"))
    });
    wait_until("c to take no changes", || c.status()["writes"] == "withdrawn");
    b.describe("bob", "without c");
    a.wait_for_description("bob", "without c");
    a.wait_until_equal();
    assert_eq!(a.description("ann"), "the last of c");
    let exported = export(&a.data());
    assert!(exported.contains("the last of c"));
}
