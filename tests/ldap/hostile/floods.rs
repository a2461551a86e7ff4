//! More than anybody needs: requests without end, searches that are given up at once, wrong passwords, answers unread.

use std::time::Duration;

use super::{others_are_served, others_wait_as_before, strain, with_crowd};
use crate::support::client::Client;
use crate::support::request::{self, REPLACE, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup};
use crate::support::strain::{Use, Waits};
use crate::support::wait::{Deadline, Stopwatch, wait_until};
use crate::support::{code, oid};
use crate::{ANN, BOB};

/// T-43: requests sent without reading an answer. The server stops reading; once the answers are read, none is missing. slapd
/// ends a connection with more than so many requests pending (`conn_max_pending_auth`).
#[test]
fn a_flood_of_small_requests_is_read_as_fast_as_its_answers() {
    only_entente!(Cost);
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

/// A search that is given up costs what it has cost until then, before it began as in the midst of it. (slapd ends the
/// connection, as above.)
#[test]
fn abandoned_searches_are_work_no_more() {
    only_entente!(Cost);
    // More entries than are looked through before the next request is read.
    let server = Server::start(with_crowd(3_000, 500).with_setting("limits.lookthrough=0"));
    let mut other = server.person("bob");
    let mut client = server.admin();
    let long = Search::subtree(SUFFIX, "(|(description=*nowhere*)(description=*neither*))");
    let whole = Use::of(&server);
    for _ in 0..5 {
        client.search(&long).expect(code::SUCCESS);
    }
    let one = whole.since(&server).cpu / 5.0;
    // Fifty at work, given up in the midst: what they have left to do would be seen for long.
    let searches: Vec<i64> = (0..50).map(|_| client.send(&long.encode())).collect();
    for id in &searches {
        client.send(&request::abandon(*id));
    }
    assert_eq!(client.who_am_i(), format!("dn:{ADMIN}"));
    let told = Use::of(&server);
    rests(&server);
    let after = told.since(&server).cpu;
    println!("fifty searches of {one:.3} s each, given up: {after:.2} s of CPU after that");
    assert!(after < 0.05 * 50.0 * one + 0.05, "{after} s of CPU after fifty searches of {one} s were given up");
    // And a thousand that are given up as soon as they are asked.
    let before = Use::of(&server);
    let count = 1_000 * strain() as i64;
    for id in 1..=count {
        client.send_bytes(&request::message(1_000 + 2 * id, &long.encode(), &[]));
        client.send_bytes(&request::message(1_001 + 2 * id, &request::abandon(1_000 + 2 * id), &[]));
    }
    others_are_served("abandoned searches", &server, &mut other, before);
    // The connection is of use at once, and the server has nothing left to do.
    assert_eq!(client.who_am_i(), format!("dn:{ADMIN}"));
    rests(&server);
    let used = before.since(&server).cpu;
    let all = one * count as f64;
    assert!(used < 0.1 * all, "{used} s of CPU for searches that nobody waits for; all of them would take {all} s");
}

/// Waits until the server does nothing: a fifth of a second with at most two hundredths of CPU.
#[track_caller]
fn rests(server: &Server) {
    wait_until("rest", || {
        let (watch, before) = (Stopwatch::start(), Use::of(server));
        while watch.elapsed() < Duration::from_millis(200) {
            Deadline::after(Duration::from_millis(10)).pause();
        }
        before.since(server).cpu < 0.025
    });
}

/// Passwords cost 20 ms of a core each, by design. They wait in a line of their own; when it is full the answer is busy. (slapd
/// answers only the last of several binds that are sent together.)
#[test]
fn a_flood_of_binds_starves_nobody() {
    only_entente!(Cost);
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
    only_entente!(Cost);
    let server = Server::start(with_crowd(2_000, 2_000).with_setting("limits.connections_per_address=1000"));
    let mut other = server.admin();
    let calm = Waits::of(&mut other, ANN, 500);
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
    let during = Waits::of(&mut other, ANN, 500);
    others_are_served("100 dumps unread", &server, &mut other, before);
    let used = before.since(&server);
    assert!(used.held_kib < 64 * 1024 * strain() as u64, "{} KiB more", used.held_kib);
    other.modify(BOB, &[(REPLACE, "title", &["Written meanwhile"])]).expect(code::SUCCESS);
    others_wait_as_before("100 dumps unread", &mut other, &calm, &during);
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

/// T-45: how much memory an answer takes is bounded by the server, whatever page, view or order a client asks for: at any
/// time (the peak that Linux notes), while sixteen ask and read nothing yet. All of their answers together would be 130 MB.
#[test]
fn sizes_that_clients_name_bound_no_memory() {
    use crate::support::request::Control;
    only_entente!(Cost);
    let server = Server::start(with_crowd(4_000, 2_000));
    let everything = Search::subtree(SUFFIX, "(objectClass=*)");
    // What is read of the data file is mapped from now on.
    server.admin().search(&everything).expect(code::SUCCESS);
    let most = i64::from(i32::MAX);
    let asked: [(&str, Vec<Control>); 4] = [
        ("a page of 2^31 - 1", vec![Control::paged(most, b"")]),
        ("an order of all", vec![Control::sort(&["description", "cn"])]),
        // 2^31 - 1 entries before and after, of a list that the client believes to be as long.
        ("a view of 2^31 - 1", vec![Control::sort(&["description"]), Control::view_at(most, most, 1, most)]),
        ("superiors of all", vec![Control::dereference(&[("manager", &["cn", "description"])])]),
    ];
    for (what, controls) in asked {
        let mut clients: Vec<Client> = (0..16 * strain()).map(|_| server.admin()).collect();
        Use::forget_peak(&server);
        let before = Use::of(&server);
        let ids: Vec<i64> = clients
            .iter_mut()
            .map(|client| {
                for control in &controls {
                    client.with(control.clone());
                }
                client.send(&everything.encode())
            })
            .collect();
        let mut entries = 0;
        for (client, id) in clients.iter_mut().zip(ids) {
            entries += client.found_for(id).entries.len();
        }
        let used = before.since(&server);
        println!("{what}: {:.2} s CPU, {} KiB more at the peak, {entries} entries", used.cpu, used.peak_kib);
        assert!(used.peak_kib < 40 * 1024 * strain() as u64, "{what}: {} KiB more at the peak", used.peak_kib);
    }
}
