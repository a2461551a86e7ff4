//! Three commands for a second supplier, and who is not let in.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use entente::storage::{Environment, MetaName, Options};
use lmdb::Transaction;

use super::node::{Node, person};
use crate::support::program::{Program, entente, run};
use crate::support::request::{Control, REPLACE, Search};
use crate::support::server::{ADMIN, DATA, SUFFIX, check, export};
use crate::support::wait::{Deadline, wait_until};
use crate::support::{code, oid};

/// T-51: count and digest are compared at the end.
#[test]
fn three_commands_make_a_second_supplier_and_both_take_changes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let token = a.invite(&[]);
    let mut b = Node::at(folder.path(), "b");
    let said = b.join(&token).expect_success();
    assert!(said.contains("count and digest"), "{said}");
    b.serve();
    a.describe("ann", "written on a");
    b.describe("bob", "written on b");
    b.wait_for_description("ann", "written on a");
    a.wait_for_description("bob", "written on b");
    let added = format!("uid=new,ou=people,{SUFFIX}");
    let attributes: [(&str, &[&str]); 4] =
        [("objectClass", &["inetOrgPerson"]), ("uid", &["new"]), ("cn", &["New"]), ("sn", &["New"])];
    b.client().add(&added, &attributes).expect(code::SUCCESS);
    wait_until("the new entry on a", || a.client().names(SUFFIX, "(uid=new)") == ["new"]);
    a.client().delete(&added).expect(code::SUCCESS);
    wait_until("the entry to go on b", || b.client().names(SUFFIX, "(uid=new)").is_empty());
    a.wait_until_equal();
    b.wait_until_equal();
    let line = a.replica(&["verify"]).expect_success();
    assert!(line.starts_with(&format!("EQUAL {SUFFIX} b (")), "{line}");
    wait_until("a session that was measured", || {
        b.sees("a")["connected"] == true && b.sees("a")["round_trip_ms"].is_number()
    });
    let status = b.status();
    assert_eq!(status["members"][0]["name"], "a", "{status}");
    assert_eq!((&status["members"][0]["connected"], &status["writes"]), (&true.into(), &"open".into()), "{status}");
    let text = b.replica(&["status"]).expect_success();
    assert!(text.contains("connected for") && text.contains("round trip"), "{text}");
    wait_until("both below cn=monitor", || b.client().names("cn=monitor", "(cn=replication*)").len() == 2);
    a.stop();
    b.stop();
    check(&a.data());
    check(&b.data());
    assert_eq!(export(&a.data()), export(&b.data()));
}

/// The sum that a node which does not run keeps of its entries, and members compare, is made wrong.
#[track_caller]
fn spoil_digest(data: &Path) {
    let environment = Environment::open(&Options::new(data)).expect("its data");
    let mut writing = environment.write().expect("a transaction");
    let mut sum = writing.reader().meta(MetaName::Digest).expect("meta").expect("it has a sum").to_vec();
    *sum.last_mut().expect("a sum has bytes") ^= 1;
    writing.put_meta(MetaName::Digest, &sum).expect("it is written");
    writing.commit().expect("it is committed");
}

/// T-51: a member whose content is not the others' is not reported as one that is.
#[test]
fn a_join_that_ends_with_another_digest_fails_and_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let token = a.invite(&[]);
    a.stop();
    spoil_digest(&a.data());
    a.serve();
    let b = Node::at(folder.path(), "b");
    let said = b.join(&token).expect_failure();
    assert!(said.contains("its digest is not that of the other members"), "{said}");
    assert!(said.contains("Remove the folder and join again"), "{said}");
}

#[test]
fn an_invitation_made_while_nobody_serves_holds_once_somebody_does() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    let token = a.invite(&[]);
    a.serve();
    let b = Node::at(folder.path(), "b");
    b.join(&token).expect_success();
    a.stop();
    assert_eq!(export(&a.data()), export(&b.data()));
}

#[test]
fn a_folder_with_files_of_somebody_else_is_not_joined_into() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let token = a.invite(&[]);
    let mut b = Node::at(folder.path(), "b");
    std::fs::create_dir_all(b.data()).expect("our folder");
    let letter = b.data().join("letter.txt");
    std::fs::write(&letter, "dear aunt").expect("our folder");
    let refused = b.join(&token).expect_failure();
    assert!(refused.contains("letter.txt") && refused.contains("choose an empty folder"), "{refused}");
    assert!(!b.data().join("data.mdb").exists());
    std::fs::remove_file(&letter).expect("our folder");
    // Settings of the node may be there before it.
    std::fs::write(b.data().join("entente.toml"), "[replication]\nsite = \"berlin\"\n").expect("our folder");
    b.join(&token).expect_success();
    b.serve();
    wait_until("b to be known at berlin", || a.sees("b")["site"] == "berlin");
}

#[test]
fn an_invitation_that_went_is_not_listed_among_what_people_deleted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    a.invite(&[]);
    let mut client = a.client();
    let invites = client.search(&Search::subtree("cn=invites,cn=cluster", "(inviteExpires=*)")).expect(code::SUCCESS);
    client.delete(&invites.entries[0].dn).expect(code::SUCCESS);
    client.delete(&person("ann")).expect(code::SUCCESS);
    let list = run(&mut a.command(&["undelete", "--list"])).expect_success();
    assert!(list.contains("uid=ann") && !list.contains("cn=cluster"), "{list}");
}

#[test]
fn a_token_is_good_for_one_member() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let token = a.invite(&[]);
    Node::at(folder.path(), "b").join(&token).expect_success();
    let text = Node::at(folder.path(), "c").join(&token).expect_failure();
    assert!(text.contains("used already"), "{text}");
    // Whoever used it may run the command again: there is nothing left to do.
    let text = Node::at(folder.path(), "b").join(&token).expect_success();
    assert!(text.contains("is a member of that cluster already"), "{text}");
    // Another cluster's invitation does not make it another's member.
    let mut other = Node::found(folder.path(), "other");
    other.serve();
    let text = Node::at(folder.path(), "b").join(&other.invite(&[])).expect_failure();
    assert!(text.contains("holds a directory already"), "{text}");
}

/// The usual people and so many others, 6 KB each.
fn crowd(people: usize) -> String {
    let text = "x".repeat(6_000);
    let many: String = (0..people)
        .map(|number| {
            format!(
                "dn: uid=m{number},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: m{number}\ncn: m{number}\nsn: m\n\
                 description: {number} {text}\n\n"
            )
        })
        .collect();
    format!("{DATA}\n{many}")
}

/// Killed at some moment while states flow: the second run takes what the first one left.
#[test]
fn a_join_that_was_killed_half_way_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found_with(folder.path(), "a", &crowd(6_000));
    a.serve();
    let token = a.invite(&[]);
    let mut b = Node::at(folder.path(), "b");
    let mut first = Program::start(&mut b.join_command(&token));
    wait_until("a part of the content on disk", || {
        assert!(!first.has_ended(), "it ended before it was killed: {}", first.said());
        committed_entries(&b.data()) > 1_000
    });
    first.kill();
    // Nobody else may use the token now, and the folder is not served half full.
    let text = Node::at(folder.path(), "c").join(&token).expect_failure();
    assert!(text.contains("used already"), "{text}");
    let again = run(b.join_command(&token).arg("--json"));
    let said = again.stderr.clone();
    assert!(said.contains("going on with the join that was begun before"), "{again:?}");
    let done: serde_json::Value = serde_json::from_str(&again.expect_success()).expect("JSON");
    let (received, entries) = (done["received"].as_u64().unwrap(), done["entries"].as_u64().unwrap());
    assert!(entries > 6_000 && received < entries, "{done} {said}");
    println!("{received} of {entries} entries came in the second run");
    b.serve();
    a.wait_until_equal();
    b.wait_until_equal();
    a.stop();
    b.stop();
    check(&b.data());
    assert_eq!(export(&a.data()), export(&b.data()));
}

/// A client changes, adds, renames and deletes at a node, one after the other, until it is told to stop. How often it did.
fn write_until(node: &Node, stop: &AtomicBool) -> usize {
    let mut client = node.client();
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let (one, other) = (person(&format!("m{}", done * 7 % 2_000)), person(&format!("w{done}")));
        client.modify(&one, &[(REPLACE, "title", &[&format!("title {done}")])]).expect(code::SUCCESS);
        let attributes: [(&str, &[&str]); 3] = [("objectClass", &["inetOrgPerson"]), ("cn", &["w"]), ("sn", &["w"])];
        client.add(&other, &attributes).expect(code::SUCCESS);
        match done % 3 {
            0 => client.delete(&other),
            1 => client.modify_dn(&other, &format!("uid=r{done}"), true, None),
            _ => client.modify(&one, &[(REPLACE, "description", &["short"])]),
        }
        .expect(code::SUCCESS);
        done += 1;
    }
    done
}

/// replication.md 3.11, 4.6: init interrupted at every chunk, while clients write to the member that gives it.
#[test]
fn a_join_that_is_killed_after_every_part_while_clients_write_comes_to_its_end_and_loses_nothing() {
    const PEOPLE: usize = 6_000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found_with(folder.path(), "a", &crowd(PEOPLE));
    a.serve();
    let token = a.invite(&[]);
    let mut b = Node::at(folder.path(), "b");
    let stop = AtomicBool::new(false);
    let (kills, written) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&a, &stop));
        let (mut kills, mut held) = (0, 0);
        // What clients add meanwhile comes after these, change by change.
        while held < PEOPLE {
            let mut join = Program::start(&mut b.join_command(&token));
            wait_until("another part on disk", || {
                assert!(!join.has_ended(), "it ended before it was killed: {}", join.said());
                committed_entries(&b.data()) > held
            });
            join.kill();
            let now = committed_entries(&b.data());
            assert!(now > held, "after {kills} kills {now} entries are held, and {held} were");
            (kills, held) = (kills + 1, now);
        }
        b.join(&token).expect_success();
        stop.store(true, Ordering::Relaxed);
        (kills, writer.join().expect("every write was answered"))
    });
    println!("killed {kills} times, {written} rounds of writes");
    assert!(kills >= 4 && written > kills, "killed {kills} times while {written} rounds were written");
    b.serve();
    a.wait_until_equal();
    b.wait_until_equal();
    a.stop();
    b.stop();
    check(&b.data());
    assert_eq!(export(&a.data()), export(&b.data()));
}

/// What another process finds in the data file: whole commits alone, whatever else was written already. 0 before the file
/// has its tables.
fn committed_entries(data: &Path) -> usize {
    let count = || -> lmdb::Result<usize> {
        let flags = lmdb::EnvironmentFlags::READ_ONLY | lmdb::EnvironmentFlags::NO_TLS;
        let file = lmdb::Environment::new().set_flags(flags).set_max_dbs(1).open(data)?;
        let entries = file.open_db(Some("entries"))?;
        Ok(file.begin_ro_txn()?.stat(entries)?.entries())
    };
    count().unwrap_or_default()
}

/// Between any two steps: what was done is found again by the next run.
#[test]
fn a_join_that_was_killed_at_the_very_beginning_can_be_run_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let token = a.invite(&[]);
    let b = Node::at(folder.path(), "b");
    for _ in 0..4 {
        let mut begun = Program::start(&mut b.join_command(&token));
        wait_until("a data file", || begun.has_ended() || b.data().join("data.mdb").exists());
        begun.kill();
    }
    b.join(&token).expect_success();
    a.stop();
    assert_eq!(export(&a.data()), export(&b.data()));
}

#[test]
fn tokens_that_expired_or_were_cut_or_are_of_another_cluster_let_nobody_in() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let short = a.invite(&["--expires", "1s"]);
    let two_seconds = Deadline::after(Duration::from_secs(2));
    wait_until("a second to be over, however it is rounded", || two_seconds.is_over());
    let text = Node::at(folder.path(), "b").join(&short).expect_failure();
    assert!(text.contains("expired"), "{text}");
    let token = a.invite(&[]);
    let text = Node::at(folder.path(), "b").join(&token[..token.len() - 3]).expect_failure();
    assert!(text.contains("whole line"), "{text}");
    // Another cluster where the first one was: its authority is not the token's.
    a.stop();
    let mut other = Node::found(folder.path(), "other").at_the_address_of(&a);
    other.serve();
    other.invite(&[]);
    let text = Node::at(folder.path(), "b").join(&token).expect_failure();
    assert!(text.contains("UnknownIssuer") || text.contains("certificate"), "{text}");
    assert!(!Node::at(folder.path(), "b").data().join("entente.toml").exists());
}

#[test]
fn what_is_no_member_costs_the_others_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "supplier");
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00", &[0; 64]]
    {
        let mut stream = TcpStream::connect(a.members_address()).expect("it listens");
        stream.write_all(bytes).expect("it reads");
    }
    a.wait_for_saying("was refused");
    a.describe("ann", "all the same");
    b.wait_for_description("ann", "all the same");
}

#[test]
fn the_administrator_and_its_password_are_the_same_everywhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "supplier");
    let file = folder.path().join("new-password");
    std::fs::write(&file, "another-secret\n").expect("our folder");
    let mut command = entente();
    command.arg("passwd").arg("--data").arg(a.data()).arg("--new-password-file").arg(&file).arg(ADMIN);
    run(&mut command).expect_success();
    wait_until("the new password on b", || b.binds_as(ADMIN, "another-secret"));
    // What members share is for the administrator alone, and its secrets for nobody.
    let mut client = b.bound(ADMIN, "another-secret");
    let found = client.search(&Search::subtree("cn=cluster", "(objectClass=*)").attributes(&["*", "+"]));
    let found = found.expect(code::SUCCESS);
    assert!(found.entries.len() >= 5, "{found:?}");
    for entry in &found.entries {
        for secret in ["clusterAuthorityKey", "administratorPassword", "inviteSecret"] {
            assert!(!entry.has(secret), "{entry:?}");
        }
    }
    let mut ann = b.bound(&person("ann"), "ann-secret");
    ann.search(&Search::subtree("cn=cluster", "(objectClass=*)")).expect(code::NO_SUCH_OBJECT);
}

#[test]
fn a_consumer_takes_everything_and_sends_writers_to_a_supplier() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let b = a.joined("b", "consumer");
    a.describe("ann", "for everybody");
    b.wait_for_description("ann", "for everybody");
    assert_eq!(b.status()["writes"], "read-only");
    let refused = b.client().modify(&person("ann"), &[(REPLACE, "description", &["by a consumer"])]);
    assert_eq!(refused.code, code::REFERRAL, "{refused:?}");
    assert_eq!(refused.referrals, [a.url()], "{refused:?}");
    assert_eq!(b.description("ann"), "for everybody");
    // RFC 6171 3: who wants no copy is sent to where the original is, by search and compare.
    let no_copy = || Control::critical(oid::DONT_USE_COPY, None);
    let mut reader = b.client();
    let found = reader.with(no_copy()).search(&Search::base(person("ann")));
    assert_eq!((found.outcome.code, found.entries.len()), (code::REFERRAL, 0), "{found:?}");
    assert_eq!(found.outcome.referrals, [a.url()]);
    let compared = reader.with(no_copy()).compare(&person("ann"), "description", "for everybody");
    assert_eq!((compared.code, compared.referrals), (code::REFERRAL, vec![a.url()]));
    a.client().with(no_copy()).search(&Search::base(person("ann"))).single();
    a.wait_until_equal();
}

/// Where no port is fixed it is the one used last; whoever took it does not keep the member from being found.
#[test]
fn a_member_whose_port_is_taken_says_so_and_is_found_where_it_is_then() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let a = Node::found(folder.path(), "a");
    let any_port = format!("replication.listen={}", a.members_address().ip());
    let mut a = a.with_setting(&any_port);
    a.serve();
    let b = a.joined("b", "supplier");
    wait_until("b to be found", || a.sees("b")["addresses"][0].is_string());
    a.stop();
    let before = b.sees("a")["addresses"][0].as_str().expect("it was told").to_owned();
    let _taken = std::net::TcpListener::bind(&before).expect("nobody is there");
    a.serve();
    a.wait_for_saying("the port at which other members know this node is taken");
    wait_until("a to be found where it is", || b.sees("a")["addresses"][0] != before.as_str());
    b.describe("ann", "all the same");
    a.wait_for_description("ann", "all the same");
}
