//! What an administrator is shown of the cluster, on the command line and below cn=monitor.

use std::path::Path;
use std::sync::Arc;

use entente::clock::Clock;
use entente::dit::{Dit, Options};
use entente::schema::Schema;

use super::node::{Node, person};
use crate::support::code;
use crate::support::request::Search;
use crate::support::server::{SUFFIX, check};
use crate::support::wait::wait_until;

#[test]
fn the_status_tells_who_lacks_what_for_how_long_and_who_holds_back_whom() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "supplier");
    let mut c = a.joined("c", "supplier");
    for node in [&a, &b, &c] {
        node.wait_until_equal();
        node.wait_until_open();
    }
    c.kill();
    for number in 0..7 {
        a.describe("ann", &format!("by a {number}"));
    }
    for number in 0..5 {
        b.describe("bob", &format!("by b {number}"));
    }
    wait_until("what c lacks, by origin", || {
        let seen = a.sees("c");
        let of = |node: &Node| seen["backlog"][node.status()["origin"].as_str().unwrap()].as_u64();
        (of(&a), of(&b)) == (Some(7), Some(5)) && seen["connected"] == false
    });
    let status = a.status();
    assert_eq!((&status["conflicts"], &status["suspects"]), (&0.into(), &0.into()), "{status}");
    assert!(status["certificate_ends_s"].as_i64().is_some_and(|at| at > 1_700_000_000), "{status}");
    assert!(status["cut_held_by"].to_string().contains("c ("), "{status}");
    wait_until("b to be equal", || a.sees("b")["verdict"] == "EQUAL");
    let (there, gone) = (a.sees("b"), a.sees("c"));
    for name in [
        "connected_ms",
        "heard_ms_ago",
        "apply_rate",
        "round_trip_ms",
        "clock_offset_ms",
        "sent_bytes",
        "received_bytes",
    ] {
        assert!(there[name].is_number(), "{name}: {there}");
    }
    assert_eq!(gone["verdict"], "CATCHING UP");
    assert!(
        gone["backlog_age_ms"].is_number() && gone["addresses"][0].is_string() && gone["holds_cut"] == true,
        "{gone}"
    );
    wait_until("why c is not reached", || a.sees("c")["unreachable"].is_string());
    // What b has said comes a moment after what it holds.
    let mut text = String::new();
    wait_until("c alone to hold the cut back", || {
        text = a.replica(&["status"]).expect_success();
        text.contains("the stable cut waits for: c")
    });
    for part in [
        "members dial it at: 127.",
        "certificate until",
        "the stable cut waits for: c",
        "connected for",
        "round trip",
        "its clock",
        "changes/s",
        "sent ",
        "not connected, heard",
        "it lacks: ",
        "the oldest for",
        "known at: 127.",
        "holds back the stable cut",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // The same for who asks by LDAP.
    wait_until("the same below cn=monitor", || {
        let found = a.client().search(&Search::subtree("cn=monitor", "(cn=replication*)")).expect(code::SUCCESS);
        let shown = format!(
            "{:?}",
            found
                .entries
                .iter()
                .map(|entry| format!(
                    "{:?}",
                    entry
                        .attributes
                        .iter()
                        .map(|(name, values)| (
                            name,
                            values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
                        ))
                        .collect::<Vec<_>>()
                ))
                .collect::<Vec<_>>()
        );
        found.entries.len() == 3
            && [
                "backlog_total",
                "backlog_age_ms",
                "unreachable",
                "round_trip_ms",
                "verdict",
                "cut_held_by",
                "conflicts",
                "addresses",
            ]
            .iter()
            .all(|name| shown.contains(name))
    });
    c.serve();
    a.wait_until_equal();
}

/// Makes one entry of a node that does not run another than its log says, as a fault of a disk or a program would.
#[track_caller]
fn damage(data: &Path, folder: &Path, uuid: &str) {
    let scratch = folder.join("scratch");
    std::fs::create_dir_all(&scratch).expect("our folder");
    std::fs::copy(data.join("data.mdb"), scratch.join("data.mdb")).expect("our folder");
    let open =
        |data: &Path| Dit::open(Options::new(data), Arc::new(Schema::builtin()), Clock::system()).expect("its data");
    let elsewhere = open(&scratch);
    let change = vec![("description", vec![b"nobody wrote this".to_vec()])];
    elsewhere
        .change_offline(|writing| {
            writing.rotate_origin()?;
            writing.put_entry(&person("ann"), &change)
        })
        .expect("it is written");
    let snapshot = elsewhere.read().expect("a snapshot");
    let (entries, _) = snapshot.view().portable_entries(None, 1 << 24).expect("entries");
    let entry = entries.iter().find(|entry| entry.uuid.to_string() == uuid).expect("it is there");
    open(data).change_offline(|writing| writing.merge_entry(entry)).expect("it is merged");
}

#[test]
fn an_entry_that_differs_though_all_hold_the_same_changes_is_named_and_repaired() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let mut b = a.joined("b", "supplier");
    a.wait_until_equal();
    let search = Search::base(person("ann")).attributes(&["entryUUID"]);
    let uuid = a.client().search(&search).expect(code::SUCCESS).entries[0].value("entryUUID");
    b.stop();
    damage(&b.data(), folder.path(), &uuid);
    b.serve();
    a.wait_for_saying("digests differ from b");
    a.wait_for_saying("were made equal with b");
    a.wait_until_equal();
    wait_until("b to hear of it", || b.sees("a")["verdict"] == "EQUAL");
    b.wait_until_equal();
    let text = a.replica(&["verify", "--digests"]).expect_success();
    assert!(text.starts_with(&format!("EQUAL {SUFFIX} b (")), "{text}");
    assert!(
        text.contains("repaired: differed from b") && text.contains(&format!("uid=ann,ou=people,{SUFFIX} ({uuid})")),
        "{text}"
    );
    let here = |text: &str| text.lines().find(|line| line.contains("entries, digest")).map(str::to_owned);
    let there = b.replica(&["verify", "--digests"]).expect_success();
    assert!(here(&text).is_some() && here(&text) == here(&there), "{text}\n{there}");
    assert_eq!(a.description("ann"), b.description("ann"));
    a.stop();
    b.stop();
    check(&a.data());
    check(&b.data());
}

#[test]
fn a_member_that_is_given_another_name_is_called_so_everywhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let (mut b, mut c) = (a.joined("b", "supplier"), a.joined("c", "consumer"));
    for (node, name) in [(&mut b, "berlin"), (&mut c, "cologne")] {
        node.stop();
        node.serve_as(name);
        wait_until(&format!("{name} to be known"), || a.sees(name)["connected"] == true);
    }
    wait_until("both to know one another", || b.sees("cologne").is_object() && c.sees("berlin").is_object());
    // Nobody is there twice.
    assert_eq!(a.status()["members"].as_array().map(Vec::len), Some(2), "{}", a.status());
}

/// Nobody tells the node that starts again what the member holds that is down: it knows that itself, also after a crash.
#[test]
fn what_a_member_lacks_that_is_down_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let mut b = a.joined("b", "supplier");
    b.wait_until_equal();
    let before = a.status()["vector"].as_object().unwrap().clone();
    b.stop();
    for number in 0..5 {
        a.describe("ann", &format!("{number}"));
    }
    let lacked = |node: &Node| {
        let (status, seen) = (node.status(), node.sees("b"));
        let vector = status["vector"].as_object().unwrap();
        let number = |value: Option<&serde_json::Value>| value.and_then(serde_json::Value::as_u64).unwrap_or(0);
        let expected =
            vector.iter().map(|(origin, at)| (origin.clone(), number(Some(at)) - number(before.get(origin))));
        let is_of_b = |origin: &String| seen["origins"].as_array().unwrap().iter().any(|of| of == origin);
        let expected = expected.filter(|(origin, count)| *count > 0 && !is_of_b(origin));
        let expected: serde_json::Map<_, _> = expected.map(|(origin, count)| (origin, count.into())).collect();
        assert_eq!(seen["backlog"], serde_json::Value::Object(expected), "{seen}");
        assert!(seen["backlog_age_ms"].is_u64() && seen["heard_ms_ago"].is_u64(), "{seen}");
        (seen["backlog_total"].as_u64().unwrap(), seen["backlog_age_ms"].as_u64().unwrap())
    };
    wait_until("the five to be lacked", || a.sees("b")["backlog_total"] == 5);
    let age_ms = lacked(&a).1;
    a.stop();
    a.serve();
    a.wait_until_open();
    let (total, age_after_ms) = lacked(&a);
    assert!(total >= 5 && age_after_ms >= age_ms, "{total} {age_after_ms} {age_ms}");
    a.describe("ann", "one more");
    wait_until("one more to be lacked", || a.sees("b")["backlog_total"].as_u64() > Some(total));
    a.kill();
    a.serve();
    a.wait_until_open();
    assert!(lacked(&a).0 > total, "{}", a.sees("b"));
    b.serve();
    b.wait_until_equal();
    wait_until("nothing to be lacked", || a.sees("b")["backlog_total"] == 0);
}
