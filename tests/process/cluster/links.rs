//! Links that are slow, and members that stand still: what they cost the others.

use std::time::Duration;

use rustix::process::Signal;

use super::node::{Node, person};
use super::proxy::behind_a_proxy;
use crate::support::code;
use crate::support::request::REPLACE;
use crate::support::wait::wait_until;

/// What 100 changes of 4 KiB each cost on the way between two members, in bytes, and whether it was compressed.
#[track_caller]
fn bytes_between(compression: &str, delay: Duration) -> (u64, bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let setting = format!("replication.compression={compression}");
    let (one, near) = behind_a_proxy(Node::found(folder.path(), "one").with_setting(&setting), delay);
    let (other, far) = behind_a_proxy(Node::at(folder.path(), "other").with_setting(&setting), delay);
    let mut one = one;
    one.serve();
    let other = other.joining(&one);
    one.wait_until_equal();
    let is_slow = delay >= Duration::from_millis(10);
    wait_until("a round trip", || one.sees("other")["round_trip_ms"].as_u64().is_some_and(|ms| !is_slow || ms >= 5));
    let compresses = |node: &Node, name: &str| node.sees(name)["compressed"] == true;
    let mut client = one.client();
    if compression == "auto" && is_slow {
        let mut round = 0;
        wait_until("the link to be found slow", || {
            // Members that have something to say measure the way every second.
            round += 1;
            client.modify(&person("ann"), &[(REPLACE, "title", &[&round.to_string()])]).expect(code::SUCCESS);
            compresses(&one, "other") && compresses(&other, "one")
        });
        one.wait_until_equal();
    } else if compression == "auto" {
        // A machine that is busy makes a way long; the shortest of the last samples counts.
        let mut round = 0;
        let is_near = |node: &Node, name: &str| node.sees(name)["round_trip_ms"].as_u64().is_some_and(|ms| ms < 5);
        wait_until("the link to be found near", || {
            round += 1;
            client.modify(&person("ann"), &[(REPLACE, "title", &[&round.to_string()])]).expect(code::SUCCESS);
            let are_plain = !compresses(&one, "other") && !compresses(&other, "one");
            are_plain && is_near(&one, "other") && is_near(&other, "one")
        });
        one.wait_until_equal();
    }
    let before = near.bytes() + far.bytes();
    for number in 0..100 {
        let text = format!("{number} {}", "a sentence that comes again and again. ".repeat(100));
        client.modify(&person("ann"), &[(REPLACE, "description", &[&text])]).expect(code::SUCCESS);
    }
    one.wait_until_equal();
    (near.bytes() + far.bytes() - before, compresses(&one, "other"))
}

#[test]
fn a_slow_link_is_noticed_and_what_goes_over_it_is_compressed() {
    let (plain, was_compressed) = bytes_between("never", Duration::from_millis(10));
    assert!(!was_compressed && plain > 100 * 3_500, "{plain}");
    let (packed, was_compressed) = bytes_between("auto", Duration::from_millis(10));
    assert!(was_compressed && packed < plain / 4, "{packed} of {plain}");
    let (near, was_compressed) = bytes_between("auto", Duration::ZERO);
    println!("plain {plain}, compressed {packed}, near {near} bytes");
    assert!(!was_compressed && near > 100 * 3_500, "{near}");
}

/// 24 MiB of changes that it does not take: neither is memory filled with them, nor does anybody wait.
#[test]
fn a_member_that_stands_still_costs_the_others_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "supplier");
    let c = a.joined("c", "supplier");
    for node in [&a, &b, &c] {
        node.wait_until_equal();
    }
    let mut client = a.client();
    let text = |number: usize| format!("{number} {}", "x".repeat(96 << 10));
    let mut write = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let changed = client.modify(&person("ann"), &[(REPLACE, "description", &[&text(number)])]);
            changed.expect(code::SUCCESS);
        }
    };
    write(0..50);
    a.wait_until_equal();
    let before = a.anonymous_kib();
    c.signal(Signal::STOP);
    write(50..300);
    b.wait_for_description("ann", &text(299));
    let grown = a.anonymous_kib().saturating_sub(before);
    println!("24 MiB of changes wait for c: {grown} KiB more memory");
    assert!(grown < 16 << 10, "{grown} KiB");
    let seen = a.sees("c");
    assert!(seen["backlog_total"].as_u64().is_some_and(|count| count >= 200), "{seen}");
    assert!(seen["under_way_bytes"].as_u64().unwrap_or(0) < 5 << 20, "{seen}");
    assert_eq!(seen["holds_cut"], true, "{seen}");
    c.signal(Signal::CONT);
    for node in [&a, &b, &c] {
        node.wait_until_equal();
        assert_eq!(node.description("ann"), text(299));
    }
}
