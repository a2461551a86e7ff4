//! Members that leave, are waited for no longer, come back, or become something else.

use std::path::Path;
use std::time::Duration;

use super::node::{Node, person};
use crate::support::code;
use crate::support::request::{REPLACE, Search};
use crate::support::server::{SUFFIX, check, export};
use crate::support::wait::{Deadline, wait_for, wait_until};

fn three(folder: &Path) -> [Node; 3] {
    let mut a = Node::found(folder, "a");
    a.serve();
    let b = a.joined("b", "supplier");
    let c = a.joined("c", "supplier");
    for node in [&a, &b, &c] {
        node.wait_until_equal();
        node.wait_until_open();
    }
    [a, b, c]
}

/// `write` on `node` while `others` are not there; afterwards nobody runs.
#[track_caller]
fn alone(node: &mut Node, others: &mut [&mut Node], write: impl Fn(&Node)) {
    others.iter_mut().for_each(|other| other.stop());
    // Writers wait until it is sure that nobody will tell it better.
    write(node);
    node.stop();
}

fn add(node: &Node, uid: &str) {
    let attributes: [(&str, &[&str]); 4] =
        [("objectClass", &["inetOrgPerson"]), ("uid", &[uid]), ("cn", &[uid]), ("sn", &[uid])];
    node.client().add(&person(uid), &attributes).expect(code::SUCCESS);
}

fn has(node: &Node, uid: &str) -> bool {
    !node.client().names(SUFFIX, &format!("(uid={uid})")).is_empty()
}

#[test]
fn a_suspended_member_holds_nobody_back_and_brings_its_unsent_changes_when_it_returns() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [mut a, mut b, mut c] = three(folder.path());
    add(&a, "doomed");
    wait_until("it on c", || has(&c, "doomed"));
    alone(&mut c, &mut [&mut a, &mut b], |c| {
        c.describe("carol", "unsent");
        add(c, "newcomer");
    });
    a.serve();
    b.serve();
    a.describe("ann", "while c is away");
    wait_until("c to hold back the cut", || a.sees("c")["holds_cut"] == true);
    a.replica(&["suspend", "c"]).expect_success();
    for node in [&a, &b] {
        wait_until("nobody to wait for c", || {
            let status = node.status();
            let held = status["cut_held_by"].as_array().map_or(0, Vec::len);
            let cut = status["stable_cut"].as_object().map_or(0, serde_json::Map::len);
            node.sees("c")["state"] == "suspended" && held == 0 && cut > 0
        });
        let verified = node.replica(&["verify", "--wait", "0"]).stdout;
        assert!(verified.contains("(suspended: nothing waits for it)"), "{verified}");
    }
    // What c has not seen is forgotten, and yet does not come back with it.
    a.client().delete(&person("doomed")).expect(code::SUCCESS);
    a.describe("carol", "by a, later");
    b.wait_for_description("carol", "by a, later");
    let origin_before = origin(&a, "c");
    c.serve();
    c.wait_until_open();
    for node in [&a, &b, &c] {
        node.wait_until_equal();
        assert!(has(node, "newcomer") && !has(node, "doomed"));
        assert_eq!(node.description("ann"), "while c is away");
        // Written again when it returned, and yet not newer than what was written later.
        assert_eq!(node.description("carol"), "by a, later");
    }
    assert_eq!(a.sees("c")["state"], "active");
    assert_ne!(origin(&a, "c"), origin_before, "its changes are new ones");
    c.describe("bob", "after its return");
    a.wait_for_description("bob", "after its return");
    for node in [&mut a, &mut b, &mut c] {
        node.stop();
        check(&node.data());
    }
    assert_eq!(export(&a.data()), export(&c.data()));
}

/// Origins of another's entry, as an administrator reads them.
fn origin(node: &Node, name: &str) -> Vec<String> {
    let search = Search::subtree("cn=members,cn=cluster", &format!("(memberName={name})"));
    let found = node.client().search(&search.attributes(&["memberOrigin"])).expect(code::SUCCESS);
    found.entries[0].values("memberOrigin")
}

#[test]
fn a_member_that_is_suspended_while_it_runs_comes_back_by_itself_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [a, b, c] = three(folder.path());
    let origin_before = origin(&a, "c");
    let said = a.replica(&["suspend", "c"]).expect_success();
    assert!(said.contains("but it runs") && said.contains("within a minute") && said.contains("retire c"), "{said}");
    // What it takes meanwhile, if it is asked before it has heard of it, is not lost.
    let asked = c.client().modify(&person("bob"), &[(REPLACE, "description", &["meanwhile"])]);
    assert!([code::SUCCESS, code::REFERRAL].contains(&asked.code), "{asked:?}");
    // When it was heard again: within a minute.
    let deadline = Deadline::after(Duration::from_secs(60));
    while a.sees("c")["state"] != "active" {
        assert!(!deadline.is_over(), "c is not back by itself: {}\nit said\n{}", a.sees("c"), c.said());
        deadline.pause();
    }
    wait_until("c to go on under a new origin", || origin(&a, "c") != origin_before);
    c.wait_until_open();
    if asked.code == code::SUCCESS {
        a.wait_for_description("bob", "meanwhile");
    }
    c.describe("ann", "again");
    for node in [&a, &b, &c] {
        node.wait_for_description("ann", "again");
        node.wait_until_equal();
    }
}

/// What it took before it was asked to leave is with the others when it has left: the last of many writes included.
#[test]
fn a_member_that_runs_hands_over_all_it_has_before_it_leaves() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [a, mut b, c] = three(folder.path());
    let mut client = c.client();
    let (over, mut last) = (std::sync::atomic::AtomicBool::new(false), String::new());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut last = String::new();
            for number in 0.. {
                let text = format!("write {number}");
                let had_left = over.load(std::sync::atomic::Ordering::Relaxed);
                let written = client.modify(&person("ann"), &[(REPLACE, "description", &[&text])]);
                match written.code {
                    code::SUCCESS => last = text,
                    code::REFERRAL => return last,
                    other => panic!("{other}: {written:?}"),
                }
                assert!(!had_left, "changes were taken after it had left");
            }
            last
        });
        wait_until("some writes", || a.description("ann").starts_with("write"));
        let said = a.replica(&["retire", "c"]).expect_success();
        assert!(said.contains("has left"), "{said}");
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        last = writer.join().expect("the writer does not panic");
    });
    assert!(!last.is_empty());
    a.wait_for_description("ann", &last);
    b.wait_for_description("ann", &last);
    assert_eq!(a.sees("c")["state"], "retired");
    // Who was away meanwhile is told of it, and takes what c wrote from the others.
    a.wait_until_equal();
    b.kill();
    a.describe("bob", "without c");
    b.serve();
    b.wait_for_description("bob", "without c");
    a.wait_until_equal();
    c.wait_for_saying("has left its cluster");
    assert_eq!(c.status()["writes"], "withdrawn");
    assert!(!c.said().contains("was retired while it was away"), "it left in good order: {}", c.said());
    // Whoever has left is not behind, however much is written after it.
    let seen = a.sees("c");
    assert_eq!(seen["verdict"], "retired", "{seen}");
    assert_eq!((seen["backlog_total"].as_u64(), seen["missing_total"].as_u64()), (Some(0), Some(0)), "{seen}");
    // What is told there is a moment older than the status.
    let told = wait_for("the same below cn=monitor", || {
        let search = Search::subtree("cn=monitor", "(monitoredInfo=state: retired)");
        let found = a.client().search(&search).expect(code::SUCCESS).entries;
        found.first().map(|entry| entry.values("monitoredInfo"))
    });
    assert!(told.contains(&"verdict: retired".to_owned()) && told.contains(&"backlog_total: 0".to_owned()), "{told:?}");
}

#[test]
fn a_member_that_was_retired_while_it_was_away_is_told_and_can_be_taken_back_with_its_changes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [mut a, mut b, mut c] = three(folder.path());
    alone(&mut c, &mut [&mut a, &mut b], |c| c.describe("carol", "unsent"));
    a.serve();
    b.serve();
    a.wait_until_open();
    a.replica(&["retire", "c"]).expect_success();
    a.describe("ann", "without c");
    b.wait_for_description("ann", "without c");
    a.wait_until_equal();
    c.serve();
    c.wait_for_saying("was retired while it was away");
    wait_until("c to take no changes", || c.status()["writes"] == "withdrawn");
    let refused = c.client().modify(&person("ann"), &[(REPLACE, "description", &["lost?"])]);
    assert!([code::REFERRAL, code::UNWILLING_TO_PERFORM].contains(&refused.code), "{refused:?}");
    assert_eq!(a.description("carol"), b.description("carol"));
    assert_ne!(a.description("carol"), "unsent");
    // Whom it dialled first: it asks nobody else.
    wait_until("one of the others to say so", || {
        [&a, &b].iter().any(|node| node.said().contains("was retired; it is told so"))
    });
    a.replica(&["resume", "c"]).expect_success();
    c.wait_until_open();
    for node in [&a, &b, &c] {
        node.wait_for_description("carol", "unsent");
        node.wait_for_description("ann", "without c");
        node.wait_until_equal();
    }
}

/// Only b has the last changes of c when c is retired on a.
#[test]
fn late_changes_of_a_retired_member_are_still_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [mut a, mut b, mut c] = three(folder.path());
    a.stop();
    c.describe("carol", "only b has heard");
    b.wait_for_description("carol", "only b has heard");
    c.stop();
    b.stop();
    a.serve();
    a.describe("ann", "nobody else is there");
    a.replica(&["retire", "--now", "c"]).expect_success();
    assert_ne!(a.description("carol"), "only b has heard");
    b.serve();
    for node in [&a, &b] {
        node.wait_for_description("carol", "only b has heard");
        node.wait_for_description("ann", "nobody else is there");
        node.wait_until_equal();
    }
}

#[test]
fn a_supplier_that_becomes_a_consumer_loses_no_change_and_can_become_a_supplier_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [a, b, c] = three(folder.path());
    for number in 0..50 {
        c.describe("carol", &format!("write {number}"));
    }
    a.replica(&["set-role", "c", "consumer"]).expect_success();
    wait_until("c to only read", || c.status()["writes"] == "read-only");
    let refused = c.client().modify(&person("ann"), &[(REPLACE, "description", &["no"])]);
    assert_eq!(refused.code, code::REFERRAL, "{refused:?}");
    let mut urls = [a.url(), b.url()];
    let mut referrals = refused.referrals;
    urls.sort();
    referrals.sort();
    assert_eq!(referrals, urls);
    for node in [&a, &b, &c] {
        node.wait_for_description("carol", "write 49");
        node.wait_until_equal();
    }
    // A newcomer takes what c wrote when it was a supplier from the others.
    let d = b.joined("d", "supplier");
    assert_eq!(d.description("carol"), "write 49");
    // Orders about the cluster are a supplier's.
    let text = c.replica(&["retire", "a"]).expect_failure();
    assert!(text.contains("only reads") && text.contains('a'), "{text}");
    let text = run_invite(&c);
    assert!(text.contains("only reads"), "{text}");
    a.replica(&["set-role", "c", "supplier"]).expect_success();
    c.wait_until_open();
    c.describe("bob", "a supplier again");
    for node in [&a, &b, &c, &d] {
        node.wait_for_description("bob", "a supplier again");
        node.wait_until_equal();
    }
}

#[track_caller]
fn run_invite(node: &Node) -> String {
    crate::support::program::run(&mut node.set_command(&["invite"])).expect_failure()
}

#[test]
fn the_last_supplier_stays_and_nobody_suspends_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "consumer");
    for words in [&["retire", "a"][..], &["set-role", "a", "consumer"], &["suspend", "a"]] {
        let text = a.replica(words).expect_failure();
        assert!(text.contains("only supplier"), "{words:?}: {text}");
    }
    a.replica(&["set-role", "b", "supplier"]).expect_success();
    b.wait_until_open();
    let text = a.replica(&["suspend", "a"]).expect_failure();
    assert!(text.contains("on another member"), "{text}");
    let text = a.replica(&["retire", "nobody"]).expect_failure();
    assert!(text.contains("there is no member nobody"), "{text}");
    // It may leave by itself.
    a.replica(&["retire", "a"]).expect_success();
    wait_until("b to be alone", || b.sees("a")["state"] == "retired" && b.status()["writes"] == "open");
    b.describe("ann", "alone");
}
