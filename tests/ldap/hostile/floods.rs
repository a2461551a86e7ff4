//! More than anybody needs: requests without end, searches that are given up at once, wrong passwords, answers unread.

use std::time::Duration;

use super::{others_are_served, strain, with_crowd};
use crate::support::client::Client;
use crate::support::request::{self, REPLACE, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, Subject};
use crate::support::strain::Use;
use crate::support::wait::{Stopwatch, wait_until};
use crate::support::{code, oid};
use crate::{ANN, BOB};

/// T-43: requests sent without reading an answer. The server stops reading; once the answers are read, none is missing. slapd
/// ends a connection with more than so many requests pending (`conn_max_pending_auth`).
#[test]
fn a_flood_of_small_requests_is_read_as_fast_as_its_answers() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(Setup::default());
    let mut other = server.person("bob");
    let before = Use::of(&server);
    let count = 100_000 * strain();
    let socket = Client::socket(server.address());
    let mut reader = Client::over(socket.try_clone().expect("a socket can be shared"));
    let sender = std::thread::spawn(move || {
        let mut sender = Client::over(socket);
        let mut sent = 0;
        // In pieces, as a program would that writes as fast as it can.
        while sent < count {
            let piece: Vec<u8> = (sent..(sent + 500).min(count))
                .flat_map(|id| request::message(id as i64 + 1, &request::extended(oid::WHO_AM_I, None), &[]))
                .collect();
            if sender.try_send_bytes(&piece).is_err() {
                break;
            }
            sent += 500;
        }
    });
    let used = others_are_served("a flood of requests, unread", &server, &mut other, before);
    assert!(used.held_kib < 16 * 1024, "{} KiB", used.held_kib);
    let mut answered = 0;
    for _ in 0..count {
        let message = reader.receive().expect("every request is answered");
        answered += 1;
        assert_eq!(message.id, answered, "{message:?}");
    }
    sender.join().expect("the sender ends");
}

/// A search that is given up costs what it has cost until then: 1,000 of them keep no CPU busy. (slapd ends the connection, as
/// above.)
#[test]
fn abandoned_searches_are_work_no_more() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(with_crowd(2_000, 100).with_setting("limits.lookthrough=0"));
    let mut other = server.person("bob");
    let mut client = server.admin();
    let before = Use::of(&server);
    let long = Search::subtree(SUFFIX, "(|(description=*nowhere*)(description=*neither*))").encode();
    let count = 1_000 * strain() as i64;
    for id in 1..=count {
        client.send_bytes(&request::message(10 + 2 * id, &long, &[]));
        client.send_bytes(&request::message(11 + 2 * id, &request::abandon(10 + 2 * id), &[]));
    }
    others_are_served("abandoned searches", &server, &mut other, before);
    // The connection is of use at once, and the server has nothing left to do.
    assert_eq!(client.who_am_i(), format!("dn:{ADMIN}"));
    let used = before.since(&server);
    assert!(used.cpu < 20.0 * strain() as f64, "{} s of CPU for searches that nobody waits for", used.cpu);
    let mut last = Use::of(&server).cpu;
    wait_until("rest", || {
        let watch = Stopwatch::start();
        while watch.elapsed() < Duration::from_millis(200) {
            std::thread::yield_now();
        }
        let now = Use::of(&server).cpu;
        let is_at_rest = now - last < 0.1;
        last = now;
        is_at_rest
    });
}

/// Passwords cost 20 ms of a core each, by design. They wait in a line of their own; when it is full the answer is busy. (slapd
/// answers only the last of several binds that are sent together.)
#[test]
fn a_flood_of_binds_starves_nobody() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(Setup::default());
    // Ann's password is stored as what new ones are, which is dear to verify.
    server.admin().modify(ANN, &[(REPLACE, "userPassword", &["ann-secret"])]).expect(code::SUCCESS);
    let mut other = server.person("bob");
    let before = Use::of(&server);
    let mut attackers: Vec<(Client, Vec<i64>)> = (0..20)
        .map(|_| {
            let mut client = server.anonymous();
            let wrong = request::bind_simple(3, ANN, b"wrong");
            let ids = (0..4 * strain()).map(|_| client.send(&wrong)).collect();
            (client, ids)
        })
        .collect();
    others_are_served("a flood of wrong passwords", &server, &mut other, before);
    for (client, ids) in &mut attackers {
        for id in ids {
            client.outcome_of(*id).expect_one_of(&[code::INVALID_CREDENTIALS, code::BUSY]);
        }
    }
    assert_eq!(other.who_am_i(), format!("dn:{BOB}"));
}

/// T-42, T-46: a hundred dumps that nobody reads stop neither readers nor writers, and hold little memory. Two of them stop
/// slapd for good, which is why it is not asked.
#[test]
fn dumps_left_unread_stop_nobody() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(with_crowd(2_000, 2_000).with_setting("limits.connections_per_address=1000"));
    let mut other = server.admin();
    let before = Use::of(&server);
    let deaf: Vec<Client> = (0..100 * strain())
        .map(|_| {
            let mut client = server.bound(ADMIN, ADMIN_PASSWORD);
            for _ in 0..3 {
                client.send(&Search::subtree(SUFFIX, "(objectClass=*)").encode());
            }
            client
        })
        .collect();
    others_are_served("100 dumps unread", &server, &mut other, before);
    let used = before.since(&server);
    assert!(used.held_kib < 64 * 1024 * strain() as u64, "{} KiB more", used.held_kib);
    other.modify(BOB, &[(REPLACE, "title", &["Written meanwhile"])]).expect(code::SUCCESS);
    // Whoever reads after all gets everything that was there; unless so much time has passed that it was given up.
    let mut reader = deaf.into_iter().last().expect("a hundred");
    let mut entries = 0;
    while let Some(message) = reader.receive_for(2).filter(|message| message.operation.tag != 0x65) {
        entries += usize::from(message.operation.tag == 0x64);
    }
    assert!(
        entries >= 2_000 || reader.try_perform(&request::extended(oid::WHO_AM_I, None)).is_none(),
        "{entries} entries"
    );
}

/// T-45: how much memory an answer takes is bounded by the server, whatever page, view or order a client asks for.
#[test]
fn sizes_that_clients_name_bound_no_memory() {
    use crate::support::request::Control;
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(with_crowd(2_000, 1_000));
    let mut client = server.admin();
    let everything = Search::subtree(SUFFIX, "(objectClass=*)").attributes(&["cn"]);
    client.search(&everything).expect(code::SUCCESS);
    let before = Use::of(&server);
    for _ in 0..5 * strain() {
        for control in [Control::paged(i64::from(i32::MAX), b""), Control::sort(&["description", "cn"])] {
            client.with(control).search(&everything).expect(code::SUCCESS);
        }
        // 2^31 - 1 entries before and after, of a list that the client believes to be as long.
        let most = i64::from(i32::MAX);
        client.with(Control::sort(&["cn"])).with(Control::view_at(most, most, 1, most));
        client.search(&everything).expect(code::SUCCESS);
        client
            .with(Control::dereference(&[("manager", &["cn", "description"])]))
            .search(&everything)
            .expect(code::SUCCESS);
    }
    let used = before.since(&server);
    println!("pages, views, orders: {:.2} s CPU, {} KiB more", used.cpu, used.held_kib);
    assert!(used.held_kib < 32 * 1024, "{} KiB more", used.held_kib);
}
