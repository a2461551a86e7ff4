//! Virtual list views: draft-ietf-ldapext-ldapv3-vlv-09. No index has to be set up for them.

use crate::rfc2891_sort::{in_order, people, sorted};
use crate::support::ber::{Element, integer, octets, sequence, tlv};
use crate::support::client::{Client, Found};
use crate::support::request::{Control, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::{code, oid};
use crate::{PEOPLE, add_person};

const BY_SURNAME: &str = "sn:caseIgnoreOrderingMatch";

/// Target position, content count, result.
#[track_caller]
fn view(found: &Found) -> (i64, i64, i64) {
    let value = Element::whole(&found.outcome.control(oid::VLV_RESPONSE)).expect("BER");
    let parts = value.children().expect("BER");
    (parts[0].number(), parts[1].number(), parts[2].number())
}

#[track_caller]
fn context(found: &Found) -> Vec<u8> {
    let value = Element::whole(&found.outcome.control(oid::VLV_RESPONSE)).expect("BER");
    value.children().expect("BER")[3].content.clone()
}

/// Ten people with surnames b, d, f … t.
fn ten(name: &str) -> (Client, String) {
    let letters = ["t", "b", "r", "d", "p", "f", "n", "h", "l", "j"];
    let list: Vec<(&str, &str, &[&str])> = letters.iter().map(|letter| (*letter, *letter, &[][..])).collect();
    people(name, &list)
}

fn look(client: &mut Client, branch: &str, view: Control) -> Found {
    client.with(Control::sort(&[BY_SURNAME])).with(view).search(&Search::subtree(branch, "(uid=*)"))
}

#[test]
fn by_offset_the_window_stands_around_the_place() {
    let (mut client, branch) = ten("vlv-offset");
    let found = look(&mut client, &branch, Control::view_at(1, 2, 4, 0)).expect(code::SUCCESS);
    assert_eq!((in_order(&found).join(""), view(&found)), ("fhjl".to_owned(), (4, 10, 0)));
    let found = look(&mut client, &branch, Control::view_at(5, 1, 1, 0)).expect(code::SUCCESS);
    assert_eq!((in_order(&found).join(""), view(&found)), ("bd".to_owned(), (1, 10, 0)));
    let found = look(&mut client, &branch, Control::view_at(2, 5, 10, 10)).expect(code::SUCCESS);
    assert_eq!((in_order(&found).join(""), view(&found)), ("prt".to_owned(), (10, 10, 0)));
    assert_eq!(sorted(&found).0, 0);
}

/// VLV draft 6.1: the place is scaled from the length that the client believes in.
#[test]
fn an_offset_is_scaled_from_the_length_that_the_client_believes_in() {
    let (mut client, branch) = ten("vlv-scaled");
    let found = look(&mut client, &branch, Control::view_at(0, 0, 50, 100)).expect(code::SUCCESS);
    assert_eq!((in_order(&found).join(""), view(&found)), ("j".to_owned(), (5, 10, 0)));
    let found = look(&mut client, &branch, Control::view_at(0, 0, 100, 100)).expect(code::SUCCESS);
    assert_eq!((in_order(&found).join(""), view(&found)), ("t".to_owned(), (10, 10, 0)));
}

#[test]
fn by_value_the_window_stands_around_the_first_at_or_behind_it() {
    let (mut client, branch) = ten("vlv-value");
    for (value, window, position) in [("G", "fhj", 4), ("h", "fhj", 4), ("a", "bd", 1), ("t", "rt", 10), ("z", "t", 11)]
    {
        let found = look(&mut client, &branch, Control::view_of(1, 1, value)).expect(code::SUCCESS);
        assert_eq!((in_order(&found).join("").as_str(), view(&found)), (window, (position, 10, 0)), "{value}");
    }
}

/// In reverse order "at or behind" is at or below the value.
#[test]
fn by_value_in_reverse_order() {
    let (mut client, branch) = ten("vlv-reverse");
    let keys = || Control::sort(&[&format!("-{BY_SURNAME}")]);
    let search = Search::subtree(&branch, "(uid=*)");
    let found = client.with(keys()).with(Control::view_of(1, 1, "g")).search(&search).expect(code::SUCCESS);
    assert_eq!((in_order(&found).join(""), view(&found)), ("hfd".to_owned(), (8, 10, 0)));
}

/// An address book that types ahead: a new letter is a new target in the same list, which may have changed meanwhile.
#[test]
fn the_list_is_as_it_is_now() {
    let (mut client, branch) = ten("vlv-now");
    let found = look(&mut client, &branch, Control::view_at(0, 0, 1, 0)).expect(code::SUCCESS);
    assert_eq!(view(&found), (1, 10, 0));
    add_person(&mut client, &branch, "new");
    // slapd keeps the list of a connection.
    only_entente_from_here!(Unserved);
    let found = look(&mut client, &branch, Control::view_of(0, 0, "person")).expect(code::SUCCESS);
    assert_eq!((in_order(&found).join(""), view(&found)), ("new".to_owned(), (9, 11, 0)));
}

#[test]
fn an_empty_list_has_no_places() {
    let mut client = Server::shared().admin();
    let search = Search::subtree(PEOPLE, "(uid=nobody)");
    for target in [Control::view_at(3, 3, 1, 0), Control::view_of(3, 3, "a")] {
        let found = client.with(Control::sort(&[BY_SURNAME])).with(target).search(&search);
        assert!(found.entries.is_empty());
        if !Subject::current().is_slapd() {
            assert_eq!((found.outcome.code, view(&found)), (code::SUCCESS, (0, 0, 0)));
        }
    }
}

/// VLV draft 6.2, 7: places are counted from 1 to the length given.
#[test]
fn places_outside_the_list_are_a_range_error() {
    let (mut client, branch) = ten("vlv-range");
    for (offset, count) in [(11, 10), (0, 10)] {
        let found = look(&mut client, &branch, Control::view_at(0, 1, offset, count));
        if !Subject::current().is_slapd() {
            assert_eq!(found.outcome.code, code::VIRTUAL_LIST_VIEW_ERROR);
            assert_eq!(view(&found).2, i64::from(code::OFFSET_RANGE_ERROR));
            assert!(found.entries.is_empty());
        }
    }
}

/// VLV draft 5: a list has an order.
#[test]
fn a_view_without_a_sort_is_refused() {
    let mut client = Server::shared().admin();
    let found = client.with(Control::view_at(0, 1, 1, 0)).search(&Search::base(PEOPLE).scope(1));
    assert!(found.outcome.code != code::SUCCESS && found.entries.is_empty());
    if !Subject::current().is_slapd() {
        assert_eq!(view(&found).2, i64::from(code::SORT_CONTROL_MISSING));
    }
    let unsortable = Control::sort(&["noSuchAttribute"]);
    let found = client.with(unsortable).with(Control::view_at(0, 1, 1, 0)).search(&Search::base(PEOPLE).scope(1));
    assert!(found.outcome.code != code::SUCCESS && found.entries.is_empty());
}

/// VLV draft 6.2: the context id says which list is meant.
#[test]
fn a_context_id_is_of_one_list() {
    let (mut client, branch) = ten("vlv-context");
    let with_context = |id: &[u8]| {
        let value = sequence(&[integer(0), integer(1), tlv(0x81, b"b"), octets(id)]);
        Control::critical(oid::VLV_REQUEST, Some(value))
    };
    let found = look(&mut client, &branch, Control::view_at(0, 0, 1, 0)).expect(code::SUCCESS);
    let id = context(&found);
    let found = look(&mut client, &branch, with_context(&id)).expect(code::SUCCESS);
    assert_eq!(in_order(&found).join(""), "bd");
    let other = client.with(Control::sort(&["uid:caseIgnoreOrderingMatch"])).with(with_context(&id));
    let other = other.search(&Search::subtree(&branch, "(uid=*)"));
    // slapd keeps one list a connection, whatever it is called.
    let expected = Subject::current().pick((code::VIRTUAL_LIST_VIEW_ERROR, 0), (code::SUCCESS, 2));
    assert_eq!((other.outcome.code, other.entries.len()), expected);
    only_entente_from_here!(Unserved);
    assert_eq!(look(&mut client, &branch, with_context(b"nonsense")).outcome.code, code::VIRTUAL_LIST_VIEW_ERROR);
}

/// Two ways to cut a list into parts do not go together.
#[test]
fn pages_and_views_do_not_go_together() {
    let (mut client, branch) = ten("vlv-paged");
    let search = Search::subtree(&branch, "(uid=*)");
    let ask = |client: &mut Client, paged: Control| {
        client.with(Control::sort(&[BY_SURNAME])).with(Control::view_at(0, 2, 1, 0)).with(paged).search(&search)
    };
    assert_eq!(ask(&mut client, Control::paged(2, b"")).outcome.code, code::UNWILLING_TO_PERFORM);
    let optional = ask(&mut client, Control::paged(2, b"").optional());
    // slapd refuses both.
    let expected = Subject::current().pick((code::SUCCESS, 3), (code::UNWILLING_TO_PERFORM, 0));
    assert_eq!((optional.outcome.code, optional.entries.len()), expected);
}

#[test]
fn a_broken_view_is_a_protocol_error() {
    let server = Server::shared();
    for value in [None, Some(vec![]), Some(b"\x30\x00".to_vec()), Some(b"\x30\x06\x02\x01\xFF\x02\x01\x00".to_vec())] {
        let mut client = server.admin();
        let control = Control::critical(oid::VLV_REQUEST, value);
        let id = client.with(Control::sort(&[BY_SURNAME])).with(control).send(&Search::base(PEOPLE).encode());
        if let Some(message) = client.receive_for(id) {
            assert_ne!(message.operation.tag, 0x64, "an entry for a broken view");
        }
    }
}

/// Bytes that the process has for itself, not those of the data file.
fn own_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process_id().expect("it runs")));
    let status = status.expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its own memory");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
}

/// T-45 (hostile.md): of a list of 50,000 a part is sent without the list being gathered; what one sort may take would
/// hold a tenth of it.
#[test]
fn a_part_of_a_long_list_takes_no_memory_for_the_rest() {
    only_entente!(Cost);
    const COUNT: u64 = 50_000;
    let name = |place: u64| format!("n{:05}", place - 1);
    let mut entries = String::with_capacity(6 << 20);
    for index in 0..COUNT {
        // In no order.
        let sn = name(index * 7_919 % COUNT + 1);
        entries +=
            &format!("dn: uid=u{index},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: u{index}\ncn: {sn}\nsn: {sn}\n\n");
    }
    let setup = Setup::default().with_entries(&entries).with_setting("limits.sort_bytes=262144");
    let server = Server::start(setup);
    let mut client = server.admin();
    let search = Search::subtree(PEOPLE, "(uid=u*)").attributes(&["sn"]);
    let names = |found: &Found| found.entries.iter().map(|entry| entry.value("sn")).collect::<Vec<_>>();
    // Whole it cannot be sorted; the first of it can be found.
    let whole = client.with(Control::sort(&[BY_SURNAME])).search(&search).expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
    assert_eq!(sorted(&whole).0, i64::from(code::ADMIN_LIMIT_EXCEEDED));
    let first = client.with(Control::sort(&[BY_SURNAME])).search(&search.clone().size_limit(2));
    assert_eq!((sorted(&first).0, names(&first)), (0, vec![name(1), name(2)]));
    let before = own_bytes(&server);
    for (window, place) in [((0, 9), 1), ((2, 2), 25_000), ((5, 5), COUNT as i64)] {
        let view_at = Control::view_at(window.0, window.1, place, 0);
        let found = client.with(Control::sort(&[BY_SURNAME])).with(view_at).search(&search).expect(code::SUCCESS);
        assert_eq!(view(&found), (place, COUNT as i64, 0));
        let places = (place - window.0).max(1)..=(place + window.1).min(COUNT as i64);
        assert_eq!(names(&found), places.map(|place| name(place as u64)).collect::<Vec<_>>());
    }
    let view_of = Control::view_of(1, 1, "N43210");
    let found = client.with(Control::sort(&[BY_SURNAME])).with(view_of).search(&search).expect(code::SUCCESS);
    assert_eq!((names(&found), view(&found)), (vec![name(43_210), name(43_211), name(43_212)], (43_211, 50_000, 0)));
    let grown = own_bytes(&server).saturating_sub(before);
    println!("{grown} bytes more after four views");
    assert!(grown < 8 << 20, "{grown} bytes");
}
