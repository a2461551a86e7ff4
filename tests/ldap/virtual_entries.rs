//! What is not in the tree (root DSE, `cn=subschema`, `cn=monitor`, `cn=changelog`, `cn=deleted`, `cn=conflicts`,
//! `cn=lost+found`) is searched with the same controls as the tree; what cannot be had is refused where it is critical
//! (RFC 4511 4.1.11). Entente's alone.

use crate::persistent_search::{following, next};
use crate::rfc2696_paged::cookie;
use crate::rfc2891_sort::sorted;
use crate::support::ber::{Element, enumerated, sequence};
use crate::support::client::{Client, Entry, Found};
use crate::support::request::{self, Control, ONE, REPLACE, SUB, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, Server, Setup};
use crate::support::{code, oid};
use crate::{BOB, add_person};

const FEEDS: [&str; 5] = ["cn=monitor", "cn=changelog", "cn=deleted", "cn=conflicts", "cn=lost\\+found"];
const ADD: i64 = 1;
const DELETE: i64 = 2;

/// A server with ten people more than others have, of whom three were deleted; with the number of the change before.
fn server() -> (Server, Client, String, u64) {
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("virtual");
    let before = root_number(&mut client, "lastChangeNumber");
    for uid in ["j", "b", "d", "a", "c", "i", "h", "g", "f", "e"] {
        add_person(&mut client, &branch, uid);
    }
    for uid in ["d", "a", "c"] {
        client.delete(&format!("uid={uid},{branch}")).expect(code::SUCCESS);
    }
    (server, client, branch, before)
}

fn root_number(client: &mut Client, name: &str) -> u64 {
    client.search(&Search::base("").attributes(&[name])).single().value(name).parse().expect("a number")
}

fn numbers(found: &Found) -> Vec<u64> {
    found.entries.iter().map(|entry| entry.value("changeNumber").parse().expect("a number")).collect()
}

fn changes() -> Search {
    Search::base("cn=changelog").scope(ONE).filter("(changeType=add)").attributes(&["changeNumber", "targetDN"])
}

fn keeping_in_step() -> Control {
    Control::critical(oid::SYNC_REQUEST, Some(sequence(&[enumerated(1)])))
}

/// RFC 2891: the entries come in order, and the response says so; by pages too.
#[test]
fn entries_come_in_the_order_asked_for() {
    only_entente!(Own);
    let (_server, mut client, _, _) = server();
    let in_order = numbers(&client.search(&changes()).expect(code::SUCCESS));
    let backwards: Vec<u64> = in_order.iter().rev().copied().collect();
    assert!(in_order.len() > 10 && in_order.is_sorted());
    let found = client.with(Control::sort(&["-changeNumber"])).search(&changes()).expect(code::SUCCESS);
    assert_eq!((numbers(&found), sorted(&found).0), (backwards.clone(), 0));
    let (mut seen, mut at) = (Vec::new(), Vec::new());
    loop {
        client.with(Control::sort(&["-changeNumber"])).with(Control::paged(3, &at));
        let found = client.search(&changes()).expect(code::SUCCESS);
        assert!(found.entries.len() <= 3);
        seen.extend(numbers(&found));
        at = cookie(&found).0;
        if at.is_empty() {
            break;
        }
    }
    assert_eq!(seen, backwards);
    // The recycle bin by what the entries had, the monitor by name, with the entry above among them.
    let bin = Search::base("cn=deleted").scope(ONE).attributes(&["uid"]);
    let found = client.with(Control::sort(&["uid"])).search(&bin).expect(code::SUCCESS);
    let uids: Vec<String> = found.entries.iter().map(|entry| entry.value("uid")).collect();
    assert_eq!((uids, sorted(&found).0), (vec!["a".to_owned(), "c".to_owned(), "d".to_owned()], 0));
    let monitor = Search::base("cn=monitor").scope(SUB).attributes(&["cn"]);
    let found = client.with(Control::sort(&["cn"])).search(&monitor).expect(code::SUCCESS);
    let names: Vec<String> = found.entries.iter().map(|entry| entry.value("cn")).collect();
    assert!(names.len() > 4 && names.is_sorted() && names.contains(&"monitor".to_owned()), "{names:?}");
    // One entry is in order too.
    for base in ["", "cn=subschema"] {
        let search = Search::base(base).attributes(&["1.1"]);
        assert_eq!(sorted(&client.with(Control::sort(&["cn"])).search(&search).expect(code::SUCCESS)).0, 0);
    }
}

/// RFC 2891 2: a key that is none is said, and refuses the search where the client insists.
#[test]
fn a_key_that_is_none_is_said() {
    only_entente!(Own);
    let mut client = Server::shared().admin();
    for base in FEEDS.into_iter().chain(["", "cn=subschema"]) {
        let search = Search::base(base).attributes(&["1.1"]);
        let found = client.with(Control::sort(&["noSuchThing"])).search(&search);
        let found = found.expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
        assert_eq!(sorted(&found), (code::NO_SUCH_ATTRIBUTE.into(), Some("noSuchThing".to_owned())), "{base}");
        let found = client.with(Control::sort(&["noSuchThing"]).optional()).search(&search).expect(code::SUCCESS);
        assert_eq!((found.entries.len(), sorted(&found).0), (1, code::NO_SUCH_ATTRIBUTE.into()), "{base}");
    }
}

/// The VLV draft: a part of the list, with place and length.
#[test]
fn a_list_view_shows_a_part() {
    only_entente!(Own);
    let (_server, mut client, _, _) = server();
    let all = numbers(&client.search(&changes()).expect(code::SUCCESS));
    client.with(Control::sort(&["changeNumber"])).with(Control::view_at(1, 2, 4, 0));
    let found = client.search(&changes()).expect(code::SUCCESS);
    assert_eq!(numbers(&found), all[2..6]);
    let value = Element::whole(&found.outcome.control(oid::VLV_RESPONSE)).expect("BER");
    let parts: Vec<i64> = value.children().expect("BER").iter().take(3).map(Element::number).collect();
    assert_eq!(parts, [4, all.len() as i64, 0]);
    client.with(Control::view_at(1, 2, 4, 0)).search(&changes()).expect(code::VIRTUAL_LIST_VIEW_ERROR);
}

/// RFC 3876: of the values those that fit; draft-masarati-ldap-deref: what the entries that are named have.
#[test]
fn values_are_chosen_and_names_are_followed() {
    only_entente!(Own);
    let (_server, mut client, branch, _) = server();
    let all = ["*", "+"];
    let control = Control::matched_values(&["(supportedLDAPVersion=*)", "(supportedControl=1.3.6.1.1.12)"]);
    let root = client.with(control).search(&Search::base("").attributes(&all)).single();
    assert_eq!((root.names().len(), root.values("supportedControl")), (2, vec!["1.3.6.1.1.12".to_owned()]));
    let control = Control::matched_values(&["(cn=mon*)"]);
    let found = client.with(control).search(&Search::base("cn=monitor").scope(SUB)).expect(code::SUCCESS);
    assert!(found.entries.len() > 4);
    let named: Vec<&Entry> = found.entries.iter().filter(|entry| !entry.names().is_empty()).collect();
    assert_eq!((named.len(), named[0].names()), (1, vec!["cn".to_owned()]));
    let control = Control::dereference(&[("lastKnownParent", &["ou"])]);
    let bin = Search::base("cn=deleted").scope(ONE).filter("(uid=d)").attributes(&["1.1"]);
    let found = client.with(control).search(&bin).expect(code::SUCCESS);
    let value = found.control_of(0, oid::DEREFERENCE).expect("a dereference response");
    let said = String::from_utf8_lossy(&value).into_owned();
    assert!(said.contains(&branch) && said.contains("virtual"), "{said:?}");
    let own = Control::critical(oid::EFFECTIVE_RIGHTS, Some(format!("dn:{BOB}").into_bytes()));
    let entry = client.with(own).search(&Search::base("cn=monitor")).single();
    assert_eq!(entry.value("entryLevelRights"), "none");
}

/// RFC 4511 4.1.11: refused, with the place where it works; and nothing else where the client does not insist.
#[test]
fn what_is_no_content_to_be_followed_is_not() {
    only_entente!(Own);
    let mut client = Server::shared().admin();
    for base in FEEDS.into_iter().chain(["", "cn=subschema"]) {
        let search = Search::base(base).attributes(&["1.1"]);
        let mut controls = vec![(keeping_in_step(), "namingContexts")];
        if base != "cn=changelog" {
            controls.push((following(15, true, true), "cn=changelog"));
        }
        for (control, place) in controls {
            let found = client.with(control.clone()).search(&search).expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
            assert!(found.entries.is_empty() && found.outcome.diagnostic.contains(place), "{base}: {found:?}");
            let found = client.with(control.optional()).search(&search).expect(code::SUCCESS);
            assert_eq!((found.entries.len(), found.outcome.controls.len()), (1, 0), "{base}");
        }
    }
}

/// RFC 2696 3: a cookie is of its connection, its search and its requester, and is good once.
#[test]
fn a_cookie_is_of_its_connection_and_its_search() {
    only_entente!(Own);
    let (server, mut client, _, _) = server();
    let page = |client: &mut Client, search: &Search, at: &[u8]| client.with(Control::paged(2, at)).search(search);
    let bin = || Search::base("cn=deleted").scope(ONE);
    let monitor = || Search::base("cn=monitor").scope(SUB);
    for search in [changes, bin, monitor] {
        let search = search();
        let first = page(&mut client, &search, b"").expect(code::SUCCESS);
        let at = cookie(&first).0;
        assert!(first.entries.len() == 2 && at.len() >= 16, "{at:?}");
        // Of another connection, forged as positions are, and garbage.
        page(&mut server.admin(), &search, &at).expect(code::UNWILLING_TO_PERFORM);
        for forged in [&[0xff][..], &1_u64.to_be_bytes(), b"garbage", &[0; 16]] {
            page(&mut client, &search, forged).expect(code::UNWILLING_TO_PERFORM);
        }
        let second = page(&mut client, &search, &at).expect(code::SUCCESS);
        assert!(!second.entries.is_empty() && second.entries.iter().all(|entry| !first.entries.contains(entry)));
        page(&mut client, &search, &at).expect(code::UNWILLING_TO_PERFORM);
        // With another filter, and at another base.
        for other in [search.clone().filter("(objectClass=top)"), Search::subtree("dc=example,dc=com", "(cn=*)")] {
            let at = cookie(&page(&mut client, &search, b"").expect(code::SUCCESS)).0;
            page(&mut client, &other, &at).expect(code::UNWILLING_TO_PERFORM);
        }
        let at = cookie(&page(&mut client, &search, b"").expect(code::SUCCESS)).0;
        // A bind ends what waits, of the same name too.
        client.bind(ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
        page(&mut client, &search, &at).expect(code::UNWILLING_TO_PERFORM);
    }
}

/// draft-ietf-ldapext-psearch-03: whoever follows the changelog is told each change as it comes.
#[test]
fn the_changelog_is_followed() {
    only_entente!(Own);
    let (server, mut writer, branch, before) = server();
    // From a number on: what is there already, and then what comes.
    let mut client = server.admin();
    let filter = format!("(&(changeNumber>={})(changeType=delete))", before + 1);
    let search = Search::base("cn=changelog").scope(SUB).filter(&filter).attributes(&["changeNumber", "targetDN"]);
    let all = client.with(following(15, false, true)).send(&search.encode());
    let mut newcomer = server.admin();
    let fresh = newcomer.with(following(ADD, true, true)).send(&search.encode());
    let mut deaf = server.admin();
    let nothing = deaf.with(following(DELETE, true, true)).send(&search.encode());
    for uid in ["d", "a", "c"] {
        let (entry, note) = next(&mut client, all);
        assert_eq!((entry.value("targetDN"), note), (format!("uid={uid},{branch}"), None), "without a note");
    }
    // The searches stand when a later request is answered.
    for client in [&mut newcomer, &mut deaf] {
        client.who_am_i();
    }
    add_person(&mut writer, &branch, "k");
    for uid in ["k", "b"] {
        writer.delete(&format!("uid={uid},{branch}")).expect(code::SUCCESS);
        for (client, id) in [(&mut client, all), (&mut newcomer, fresh)] {
            let (entry, note) = next(client, id);
            assert_eq!((entry.value("targetDN"), note), (format!("uid={uid},{branch}"), Some(ADD)));
            assert_eq!(entry.dn, format!("changeNumber={},cn=changelog", entry.value("changeNumber")));
        }
    }
    for (client, id) in [(&mut client, all), (&mut newcomer, fresh), (&mut deaf, nothing)] {
        client.perform(&request::cancel(id)).expect(code::SUCCESS);
        assert_eq!(client.found_or_canceled(id), code::CANCELED);
    }
}

/// draft-good-ldap-changelog 4: the numbers of the root DSE are those of entries that are there.
#[test]
fn the_root_dse_says_the_first_and_the_last_number_that_are_there() {
    only_entente!(Own);
    let server = Server::start(Setup::default());
    let mut client = server.admin();
    // What the node does for itself is no entry: there is none, and the next one will be the first.
    assert!(client.search(&changes().filter("(objectClass=*)")).expect(code::SUCCESS).entries.is_empty());
    let none = ["firstChangeNumber", "lastChangeNumber"].map(|name| root_number(&mut client, name));
    assert_eq!(none[0], none[1] + 1);
    let (mut client, branch) = server.branch("numbers");
    let bounds = |client: &mut Client| {
        let all = numbers(&client.search(&changes().filter("(objectClass=*)")).expect(code::SUCCESS));
        let said = ["firstChangeNumber", "lastChangeNumber"].map(|name| root_number(client, name));
        assert_eq!(said, [all[0], all[all.len() - 1]]);
        said
    };
    let [first, last] = bounds(&mut client);
    assert_eq!(first, none[0]);
    add_person(&mut client, &branch, "k");
    assert_eq!(bounds(&mut client), [first, last + 1]);
}

/// Cancel (RFC 3909) has nothing to cancel where a search was answered at once.
#[test]
fn a_search_that_does_not_follow_ends() {
    only_entente!(Own);
    let mut client = Server::shared().admin();
    let id = client.with(following(15, true, true).optional()).send(&Search::base("cn=monitor").encode());
    assert_eq!(client.found_for(id).expect(code::SUCCESS).entries.len(), 1);
    client.perform(&request::cancel(id)).expect(code::NO_SUCH_OPERATION);
}

/// RFC 4511 4.6 to 4.9: what is there and is not written is unwillingToPerform to who can read it; to others it is not there.
#[test]
fn what_the_server_tells_is_not_written() {
    only_entente!(Own);
    let mut admin = Server::shared().admin();
    let mut ann = Server::shared().person("ann");
    for name in ["cn=monitor", "cn=changelog", "cn=deleted", "cn=conflicts", "cn=lost\\+found"] {
        for (client, expected) in [(&mut admin, code::UNWILLING_TO_PERFORM), (&mut ann, code::NO_SUCH_OBJECT)] {
            client.modify(name, &[(REPLACE, "description", &["x"])]).expect(expected);
            client.delete(name).expect(expected);
            client.modify_dn(name, "cn=other", true, None).expect(expected);
        }
    }
    for name in ["changeNumber=7,cn=changelog", "cn=x,cn=monitor", "cn=x,cn=subschema", "cn=changelog"] {
        for controls in [false, true] {
            let control = if controls { Control::critical(oid::RELAX_RULES, None) } else { Control::manage_dsa_it() };
            let outcome = admin.with(control).add(name, &[("objectClass", &["device"])]);
            let outcome = outcome.expect(code::UNWILLING_TO_PERFORM);
            assert!(outcome.diagnostic.contains("can be read, not written"), "{name}: {}", outcome.diagnostic);
        }
    }
    let outcome = admin.delete("cn=monitor").expect(code::UNWILLING_TO_PERFORM);
    assert!(outcome.diagnostic.contains("can be read, not written"), "{}", outcome.diagnostic);
    admin.delete("cn=none,cn=monitor").expect(code::NO_SUCH_OBJECT);
}
