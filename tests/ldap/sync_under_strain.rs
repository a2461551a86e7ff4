//! Content synchronisation (RFC 4533) by clients that do not play by the rules: they read nothing, come in crowds, bring
//! damaged cookies. Nothing of it costs the server memory, or anybody else his answers.

use std::time::Duration;

use crate::support::ber;
use crate::support::client::Client;
use crate::support::request::{Control, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::wait::Stopwatch;
use crate::support::{code, oid};

fn sync_control(mode: i64, cookie: Option<&[u8]>) -> Control {
    let mut parts = vec![ber::enumerated(mode)];
    parts.extend(cookie.map(ber::octets));
    Control::critical(oid::SYNC_REQUEST, Some(ber::sequence(&parts)))
}

fn persist(client: &mut Client, base: &str) -> i64 {
    client.with(sync_control(3, None)).send(&Search::subtree(base, "(objectClass=*)").encode())
}

/// Memory of its own that the server holds, in KiB; what is mapped from files does not count.
fn held_kib(server: &Server) -> u64 {
    let file = format!("/proc/{}/status", server.process_id().expect("it runs"));
    let text = std::fs::read_to_string(file).expect("the server runs");
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Reads until the entry with this RDN comes.
#[track_caller]
fn read_until(client: &mut Client, id: i64, rdn: &str) {
    loop {
        let message = client.receive_for(id).expect("the search goes on");
        assert_ne!(message.operation.tag, 0x65, "the search ended");
        if message.operation.tag == 0x64 && message.operation.children().unwrap()[0].text().starts_with(rdn) {
            return;
        }
    }
}

/// T-44: Nothing is queued for who does not read: 30 such clients, and 12 MB of changes that each of them would have to be sent.
#[test]
fn a_persisting_client_that_does_not_read_costs_no_memory() {
    only_entente!(Cost);
    stalled_followers_cost_no_memory("sync-stalled", || sync_control(3, None));
}

/// T-44: the same with a persistent search (draft-ietf-ldapext-psearch).
#[test]
fn a_persistent_search_that_is_not_read_costs_no_memory() {
    only_entente!(Foreign);
    let all = || ber::sequence(&[ber::integer(15), ber::boolean(false), ber::boolean(true)]);
    stalled_followers_cost_no_memory("psearch-stalled", || Control::critical(oid::PERSISTENT_SEARCH, Some(all())));
}

#[track_caller]
fn stalled_followers_cost_no_memory(name: &str, follows: impl Fn() -> Control) {
    let server = Server::start(Setup::default());
    let (mut writer, branch) = server.branch(name);
    let people: Vec<_> = (0..20).map(|number| crate::add_person(&mut writer, &branch, &format!("p{number}"))).collect();
    let mut stalled: Vec<(Client, i64)> = (0..30)
        .map(|_| {
            let mut client = server.admin();
            let id = client.with(follows()).send(&Search::subtree(&branch, "(objectClass=*)").encode());
            (client, id)
        })
        .collect();
    let before = held_kib(&server);
    let watch = Stopwatch::start();
    for round in 0..60 {
        for (number, dn) in people.iter().enumerate() {
            let text = format!("{round} {number} ").repeat(1_000);
            writer.modify(dn, &[(REPLACE, "description", &[&text])]).expect(code::SUCCESS);
        }
    }
    let grown = held_kib(&server).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    crate::add_person(&mut writer, &branch, "last");
    // Who takes nothing for thirty seconds is given up.
    if watch.elapsed() < Duration::from_secs(25) {
        let (client, id) = stalled.first_mut().expect("thirty");
        read_until(client, *id, "uid=last,");
    }
}

/// A thousand searches that persist, on forty connections: each sees the change, and they hold little.
#[test]
fn a_thousand_persisting_searches_see_a_change() {
    only_entente!(Cost);
    let server = Server::start(Setup::default());
    let (mut writer, branch) = server.branch("sync-crowd");
    let before = held_kib(&server);
    let mut crowd: Vec<(Client, Vec<i64>)> = (0..40)
        .map(|_| {
            let mut client = server.admin();
            let ids = (0..25).map(|_| persist(&mut client, &branch)).collect();
            (client, ids)
        })
        .collect();
    crate::add_person(&mut writer, &branch, "seen");
    for (client, ids) in &mut crowd {
        for id in ids {
            read_until(client, *id, "uid=seen,");
        }
    }
    let grown = held_kib(&server).saturating_sub(before);
    assert!(grown < 100 * 1024, "{grown} KiB more");
    assert_eq!(crowd[0].0.who_am_i(), "dn:cn=admin,dc=example,dc=com");
}

/// Every byte of a cookie changed, cut short at every place, and far too long: the whole content comes, or what changed, or a
/// refusal; the connection lives.
#[test]
fn a_damaged_cookie_harms_nobody() {
    let (mut client, branch) = Server::shared().branch("sync-damaged");
    crate::add_person(&mut client, &branch, "a");
    let search = Search::subtree(&branch, "(objectClass=*)");
    let found = client.with(sync_control(1, None)).search(&search).expect(code::SUCCESS);
    let done = ber::Element::whole(&found.outcome.control(oid::SYNC_DONE)).unwrap().children().unwrap();
    let own = done[0].content.clone();
    let mut cookies: Vec<Vec<u8>> = (0..own.len()).map(|length| own[..length].to_vec()).collect();
    for place in 0..own.len() {
        for with in [0x00, b'0', b'f', b',', b';', 0xff] {
            let mut cookie = own.clone();
            cookie[place] = with;
            cookies.push(cookie);
        }
    }
    for cookie in cookies {
        let found = client.with(sync_control(1, Some(&cookie))).search(&search);
        let allowed = [code::SUCCESS, code::BUSY, 4096, Subject::current().pick(4096, code::UNWILLING_TO_PERFORM)];
        assert!(
            allowed.contains(&found.outcome.code),
            "{} for {}",
            found.outcome.code,
            String::from_utf8_lossy(&cookie)
        );
        // All of it, or nothing where the cookie still says what it said; another time is nothing wrong in slapd.
        assert!(
            [0, 2].contains(&found.entries.len()) || Subject::current().is_slapd(),
            "{} for {}",
            found.entries.len(),
            String::from_utf8_lossy(&cookie)
        );
    }
    for length in [1 << 12, 1 << 16, 1 << 20, 3 << 20] {
        let found = client.with(sync_control(1, Some(&vec![b'7'; length]))).search(&search);
        assert!([code::SUCCESS, code::PROTOCOL_ERROR].contains(&found.outcome.code), "{}", found.outcome.code);
    }
    assert_eq!(client.who_am_i(), "dn:cn=admin,dc=example,dc=com");
}
