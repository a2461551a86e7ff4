//! Backups that are put back: into a cluster that went on, where there is none any more, and beside the node they are of.

use std::path::{Path, PathBuf};

use super::node::{Node, person};
use crate::support::ber;
use crate::support::program::run;
use crate::support::request::{Control, REPLACE, Search};
use crate::support::server::{check, export};
use crate::support::wait::wait_until;
use crate::support::{code, oid};

#[track_caller]
fn backup(node: &Node, folder: &Path) -> PathBuf {
    let file = folder.join("backup.zst");
    run(node.command(&["backup"]).arg(&file)).expect_success();
    file
}

#[track_caller]
fn restore(node: &Node, file: &Path, more: &[&str]) -> String {
    run(node.command(&["restore"]).args(more).arg(file)).expect_success()
}

/// Alarms that are about this data directory, as the status shows them.
#[track_caller]
fn alarms(node: &Node) -> Vec<String> {
    let status = node.status();
    let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
    alarms.iter().filter_map(|alarm| alarm["text"].as_str()).map(str::to_owned).collect()
}

#[test]
fn an_old_backup_put_back_into_a_cluster_that_went_on_takes_its_own_later_changes_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "supplier");
    a.describe("ann", "before the backup");
    let file = backup(&a, folder.path());
    a.describe("ann", "after the backup");
    a.describe("bob", "after the backup");
    b.describe("carol", "after the backup, by b");
    b.wait_for_description("bob", "after the backup");
    a.wait_until_equal();
    let origin = a.status()["origin"].clone();
    a.stop();
    let said = restore(&a, &file, &["--replace"]);
    assert!(said.contains("under a new origin"), "{said}");
    a.serve();
    a.wait_until_open();
    for (uid, text) in [("ann", "after the backup"), ("bob", "after the backup"), ("carol", "after the backup, by b")] {
        assert_eq!(a.description(uid), text, "it takes no change before it holds all that it once held");
    }
    assert!(a.said().contains("a copy was restored"), "{}", a.said());
    wait_until("the alarm about it to end with it", || !alarms(&a).iter().any(|text| text.contains("cop")));
    assert_ne!(a.status()["origin"], origin);
    a.describe("bob", "written again");
    b.wait_for_description("bob", "written again");
    a.wait_until_equal();
    b.wait_until_equal();
    a.stop();
    check(&a.data());
}

/// The other members are gone for good, machines and all.
#[test]
fn a_backup_put_back_on_an_empty_machine_is_a_cluster_that_others_can_join() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let mut b = a.joined("b", "supplier");
    a.describe("ann", "in the backup");
    a.wait_until_equal();
    let file = backup(&a, folder.path());
    a.kill();
    b.kill();
    let mut c = Node::at(folder.path(), "c");
    restore(&c, &file, &[]);
    c.serve();
    // Nobody says that this is an old copy, and after some seconds it believes that nobody will.
    c.wait_until_open();
    c.describe("bob", "by the restored one");
    c.replica(&["retire", "b"]).expect_success();
    assert_eq!(c.description("ann"), "in the backup");
    let d = c.joined("d", "supplier");
    d.describe("carol", "by the newcomer");
    c.wait_for_description("carol", "by the newcomer");
    c.wait_until_equal();
    d.wait_until_equal();
    c.stop();
    check(&c.data());
}

/// T-50.
#[test]
fn a_backup_served_beside_the_node_it_is_of_becomes_a_member_of_its_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "supplier");
    a.wait_until_equal();
    wait_until("b to be found", || a.sees("b")["addresses"][0].is_string());
    let file = backup(&a, folder.path());
    a.describe("ann", "by the original");
    let mut copy = Node::at(folder.path(), "copy");
    restore(&copy, &file, &[]);
    copy.serve();
    wait_until("the copy to be a member of its own", || copy.status()["node"] != a.status()["node"]);
    copy.wait_until_open();
    assert!(alarms(&copy).iter().any(|text| text.contains("one of the two is a copy")), "{:?}", alarms(&copy));
    copy.describe("bob", "by the copy");
    for node in [&a, &b, &copy] {
        node.wait_for_description("bob", "by the copy");
        node.wait_for_description("ann", "by the original");
        wait_until("all three", || node.status()["members"].as_array().map_or(0, Vec::len) == 2);
        node.wait_until_equal();
    }
    assert_eq!(export(&a.data()), export(&copy.data()));
}

/// Of two members one is dead, and what is put on its machine, at its address, is a backup of the other, which runs.
#[test]
fn a_backup_of_the_one_member_put_on_the_machine_of_the_other_finds_the_one_it_is_of() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let mut b = a.joined("b", "supplier");
    b.wait_until_equal();
    wait_until("b to be found", || a.sees("b")["addresses"][0].is_string());
    let file = backup(&a, folder.path());
    a.describe("ann", "by the original, after the backup");
    b.kill();
    let mut copy = Node::at(folder.path(), "copy").at_the_address_of(&b);
    restore(&copy, &file, &[]);
    copy.serve();
    wait_until("the copy to be a member of its own", || copy.status()["node"] != a.status()["node"]);
    copy.wait_until_open();
    copy.describe("bob", "by the copy");
    a.wait_for_description("bob", "by the copy");
    copy.wait_for_description("ann", "by the original, after the backup");
    a.replica(&["retire", "--now", "b"]).expect_success();
    a.wait_until_equal();
    copy.wait_until_equal();
    assert_eq!(export(&a.data()), export(&copy.data()));
}

/// Gives ann a title; the session token of that.
#[track_caller]
fn title(node: &Node, title: &str) -> String {
    let wanted = Control::not_critical(oid::SESSION_TOKEN, None);
    let mut client = node.client();
    let written = client.with(wanted).modify(&person("ann"), &[(REPLACE, "title", &[title])]).expect(code::SUCCESS);
    String::from_utf8(written.control(oid::SESSION_TOKEN)).expect("a token is text")
}

/// What a node answers to a search for ann with a token, for which it need not wait: code, text and title.
fn search(node: &Node, token: &str) -> (u32, String, String) {
    let value = ber::sequence(&[ber::octets(token), ber::integer(0)]);
    let mut client = node.client();
    let found = client.with(Control::critical(oid::SESSION_TOKEN, Some(value))).search(&Search::base(person("ann")));
    let titles = found.entries.first().map(|entry| entry.values("title").concat());
    (found.outcome.code, found.outcome.diagnostic.clone(), titles.unwrap_or_default())
}

/// Two members that are equal; an old copy of the second one's data is put back when `later` is over.
#[track_caller]
fn put_back(folder: &Path, later: impl FnOnce(&mut Node, &mut Node)) -> [Node; 2] {
    let mut a = Node::found(folder, "a");
    a.serve();
    let mut b = a.joined("b", "supplier");
    a.wait_until_equal();
    b.stop();
    let old = folder.join("old");
    b.copy_data_to(&old);
    b.serve();
    b.wait_until_open();
    a.wait_until_equal();
    later(&mut a, &mut b);
    std::fs::remove_dir_all(b.data()).expect("its disk is lost");
    std::fs::rename(old, b.data()).expect("our folder");
    [a, b]
}

#[test]
fn a_token_of_changes_that_are_lost_with_a_disk_is_refused_at_once_and_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut token = String::new();
    let [mut a, mut b] = put_back(folder.path(), |a, b| {
        a.stop();
        token = title(b, "nobody else has it");
        b.kill();
    });
    a.serve();
    assert_eq!(search(&a, &token).0, code::BUSY, "b may still bring it");
    b.serve();
    b.wait_until_open();
    a.wait_until_equal();
    for node in [&a, &b] {
        wait_until("the loss to be known", || search(node, &token).0 == code::UNWILLING_TO_PERFORM);
        let text = search(node, &token).1;
        assert!(text.contains("is lost") && text.contains("begin anew without this session token"), "{text}");
    }
    let token = title(&b, "later");
    wait_until("a token of later", || search(&a, &token) == (code::SUCCESS, String::new(), "later".to_owned()));
}

#[test]
fn a_token_of_changes_that_an_old_copy_wrote_again_under_another_origin_is_met() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [mut a, mut b] = put_back(folder.path(), |a, b| {
        b.describe("bob", "since the copy");
        a.wait_for_description("bob", "since the copy");
        a.wait_until_equal();
        a.stop();
        b.kill();
    });
    b.serve();
    // Nobody says that this is an old copy.
    b.wait_until_open();
    let token = title(&b, "written by the old copy");
    assert_eq!(search(&b, &token).0, code::SUCCESS);
    // Its next run knows no better, but has another origin; what the one before wrote goes over to that.
    b.kill();
    b.serve();
    a.serve();
    b.wait_until_open();
    a.wait_until_equal();
    for node in [&a, &b] {
        let vector = node.status()["vector"].clone();
        let held = |origin: &str| vector[origin].as_u64().unwrap_or(0);
        let is_held =
            |part: &str| part.split_once(':').is_some_and(|(origin, last)| held(origin) >= last.parse().unwrap());
        assert!(!token.split(',').all(is_held), "its numbers are gone: {token} {vector}");
        let found = (code::SUCCESS, String::new(), "written by the old copy".to_owned());
        assert_eq!(search(node, &token), found, "{token} {vector}");
    }
    a.describe("bob", "and on");
    b.wait_for_description("bob", "and on");
}
