//! Content synchronisation: RFC 4533. slapd serves it by its overlay syncprov.

mod known_by_groups;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::ber::{self, Element};
use crate::support::client::{Client, Entry, Message};
use crate::support::request::{self, ADD, Control, DELETE, ONE, REPLACE, Search};
use crate::support::server::{SUFFIX, Server, Setup, Subject};
use crate::support::slapd::SYNCPROV;
use crate::support::{code, oid};

const ONLY: i64 = 1;
const PERSIST: i64 = 3;

/// RFC 4533 2.2.
fn sync_control(mode: i64, cookie: Option<&[u8]>, reload_hint: bool) -> Control {
    let mut parts = vec![ber::enumerated(mode)];
    parts.extend(cookie.map(ber::octets));
    if reload_hint {
        parts.push(ber::boolean(true));
    }
    Control::critical(oid::SYNC_REQUEST, Some(ber::sequence(&parts)))
}

/// What came, in order.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    /// State, entryUUID, entry.
    Entry(i64, Vec<u8>, Entry),
    Gone(Vec<Vec<u8>>),
    /// Those that are there still, unchanged.
    Present(Vec<Vec<u8>>),
    Cookie(Vec<u8>),
    /// Deletes were named; cookie.
    Refreshed(bool, Vec<u8>),
    /// Code; deletes were named; cookie.
    End(u32, bool, Vec<u8>),
}

/// What a message says; a cookie that comes with an entry is another event (RFC 4533 2.3).
fn events(message: &Message) -> Vec<Event> {
    let mut events = vec![event(message)];
    if let Some((_, value)) = message.controls.iter().find(|(name, _)| name == oid::SYNC_STATE) {
        let parts = Element::whole(value.as_deref().unwrap()).unwrap().children().unwrap();
        events.extend(parts.get(2).map(|cookie| Event::Cookie(cookie.content.clone())));
    }
    events
}

fn event(message: &Message) -> Event {
    match message.operation.tag {
        0x64 => {
            let entry = Entry::parse(&message.operation).expect("a well-formed entry");
            let (_, value) = message.controls.iter().find(|(name, _)| name == oid::SYNC_STATE).expect("a sync state");
            let parts = Element::whole(value.as_deref().unwrap()).unwrap().children().unwrap();
            Event::Entry(parts[0].number(), parts[1].content.clone(), entry)
        }
        0x79 => {
            let parts = message.operation.children().unwrap();
            assert_eq!(parts[0].text(), oid::SYNC_INFO);
            let info = Element::whole(&parts[1].content).unwrap();
            if info.tag == 0x80 {
                return Event::Cookie(info.content);
            }
            let parts = info.children().unwrap();
            let cookie = parts.iter().find(|part| part.tag == 4).map(|part| part.content.clone()).unwrap_or_default();
            match info.tag {
                0xA1 | 0xA2 => {
                    assert!(parts.iter().all(|part| part.tag != 1), "refreshDone is true, and not said");
                    Event::Refreshed(info.tag == 0xA1, cookie)
                }
                _ => {
                    let set = parts.iter().find(|part| part.tag == 0x31).expect("a set of names");
                    let uuids = set.children().unwrap().into_iter().map(|uuid| uuid.content).collect();
                    if parts.iter().any(|part| part.tag == 1) { Event::Gone(uuids) } else { Event::Present(uuids) }
                }
            }
        }
        0x65 => {
            let outcome = crate::support::client::parse_outcome(message).unwrap();
            let control = outcome.controls.iter().find(|(name, _)| name == oid::SYNC_DONE);
            let parts =
                control.map(|(_, value)| Element::whole(value.as_deref().unwrap()).unwrap().children().unwrap());
            let parts = parts.unwrap_or_default();
            let cookie = parts.iter().find(|part| part.tag == 4).map(|part| part.content.clone()).unwrap_or_default();
            Event::End(outcome.code, parts.iter().any(|part| part.tag == 1), cookie)
        }
        other => panic!("a message with tag {other:02x}"),
    }
}

/// A copy kept by the rules of RFC 4533, nothing else.
#[derive(Default)]
struct Copy {
    entries: BTreeMap<Vec<u8>, Entry>,
    named: Vec<Vec<u8>>,
    cookie: Option<Vec<u8>>,
    /// Entries that came in the last refresh or since.
    sent: usize,
}

impl Copy {
    fn take(&mut self, event: &Event) {
        match event {
            // RFC 4533 3.3.1: unchanged, and sent without its attributes.
            Event::Entry(0, uuid, _) => self.named.push(uuid.clone()),
            Event::Entry(3, uuid, _) => {
                self.entries.remove(uuid);
            }
            Event::Entry(_, uuid, entry) => {
                self.sent += 1;
                self.named.push(uuid.clone());
                self.entries.insert(uuid.clone(), entry.clone());
            }
            Event::Gone(uuids) => uuids.iter().for_each(|uuid| {
                self.entries.remove(uuid);
            }),
            Event::Present(uuids) => self.named.extend_from_slice(uuids),
            Event::Cookie(cookie) => self.cookie = Some(cookie.clone()),
            Event::Refreshed(deletes, cookie) | Event::End(0, deletes, cookie) => {
                let named = std::mem::take(&mut self.named);
                if !deletes {
                    self.entries.retain(|uuid, _| named.contains(uuid));
                }
                self.cookie = Some(cookie.clone());
            }
            Event::End(..) => {}
        }
    }

    /// One refreshOnly search; returns its result code.
    #[track_caller]
    fn poll(&mut self, client: &mut Client, search: &Search) -> u32 {
        self.sent = 0;
        let control = sync_control(ONLY, self.cookie.as_deref(), false);
        let id = client.with(control).send(&search.encode());
        loop {
            for event in events(&client.receive_for(id).expect("an answer")) {
                self.take(&event);
                if let Event::End(code, ..) = event {
                    return code;
                }
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let leaf = |entry: &Entry| entry.dn.split(',').next().unwrap_or_default().to_owned();
        let mut names: Vec<_> = self.entries.values().map(leaf).collect();
        names.sort();
        names
    }

    /// Fails unless the copy is what a search finds.
    #[track_caller]
    fn expect_equal(&self, client: &mut Client, search: &Search) {
        let found = client.search(search).expect(code::SUCCESS);
        let ours: BTreeMap<_, _> = self.entries.values().map(plain).collect();
        let theirs: BTreeMap<_, _> = found.entries.iter().map(plain).collect();
        assert_eq!(ours, theirs);
    }
}

fn plain(entry: &Entry) -> (String, BTreeMap<String, Vec<Vec<u8>>>) {
    let attributes = entry.attributes.iter().map(|(name, values)| {
        let mut values = values.clone();
        values.sort();
        (name.to_lowercase(), values)
    });
    (entry.dn.to_lowercase(), attributes.collect())
}

fn everything(base: &str) -> Search {
    Search::subtree(base, "(objectClass=*)")
}

/// A refreshAndPersist search whose refresh stage is over.
#[track_caller]
fn persisting(client: &mut Client, copy: &mut Copy, search: &Search) -> i64 {
    copy.sent = 0;
    let control = sync_control(PERSIST, copy.cookie.as_deref(), false);
    let id = client.with(control).send(&search.encode());
    loop {
        for event in events(&client.receive_for(id).expect("an answer")) {
            copy.take(&event);
            match event {
                Event::Refreshed(..) => return id,
                Event::End(code, ..) => panic!("it ended with {code}"),
                _ => {}
            }
        }
    }
}

/// Takes what comes up to the next cookie.
#[track_caller]
fn next_round(client: &mut Client, copy: &mut Copy, id: i64) -> Vec<Event> {
    let mut round = Vec::new();
    loop {
        for event in events(&client.receive_for(id).expect("an answer")) {
            copy.take(&event);
            round.push(event);
        }
        match round.last() {
            // A cookie alone says that something has changed elsewhere.
            Some(Event::Cookie(_)) if round.len() == 1 => round.clear(),
            Some(Event::Cookie(_)) => return round,
            Some(Event::End(code, ..)) => panic!("it ended with {code}"),
            _ => {}
        }
    }
}

/// For slapd one of its own: while others write, it leaves out what has just been written.
fn provider() -> Arc<Server> {
    match Subject::current() {
        Subject::Entente => Server::shared(),
        Subject::Slapd => Server::kept(Setup::default().with_slapd_lines(SYNCPROV)),
    }
}

#[test]
fn without_a_cookie_everything_comes_as_added() {
    let server = provider();
    let (mut client, branch) = server.branch("sync-initial");
    for uid in ["a", "b", "c"] {
        crate::add_person(&mut client, &branch, uid);
    }
    let mut copy = Copy::default();
    assert_eq!(copy.poll(&mut client, &everything(&branch)), code::SUCCESS);
    assert_eq!(copy.names(), ["ou=sync-initial", "uid=a", "uid=b", "uid=c"]);
    copy.expect_equal(&mut client, &everything(&branch));
    assert!(copy.cookie.as_ref().is_some_and(|cookie| cookie.starts_with(b"rid=000,")));
}

/// RFC 4533 3.3.2: with a cookie, what changed and nothing else.
#[test]
fn with_a_cookie_only_changes_come() {
    let server = provider();
    let (mut client, branch) = server.branch("sync-changes");
    for uid in ["a", "b", "c", "d"] {
        crate::add_person(&mut client, &branch, uid);
    }
    let search = everything(&branch);
    let mut copy = Copy::default();
    copy.poll(&mut client, &search);
    assert_eq!(copy.poll(&mut client, &search), code::SUCCESS);
    assert_eq!(copy.sent, 0, "nothing changed");
    client.modify(&format!("uid=a,{branch}"), &[(ADD, "title", &["Dr"])]).expect(code::SUCCESS);
    client.modify(&format!("uid=a,{branch}"), &[(ADD, "title", &["Prof"])]).expect(code::SUCCESS);
    client.delete(&format!("uid=b,{branch}")).expect(code::SUCCESS);
    client.modify_dn(&format!("uid=c,{branch}"), "uid=cc", true, None).expect(code::SUCCESS);
    crate::add_person(&mut client, &branch, "e");
    crate::add_person(&mut client, &branch, "f");
    client.delete(&format!("uid=f,{branch}")).expect(code::SUCCESS);
    assert_eq!(copy.poll(&mut client, &search), code::SUCCESS);
    assert!(["uid=a", "uid=cc", "uid=e"].iter().all(|name| copy.names().contains(&(*name).to_owned())));
    // slapd does not always tell of what was deleted.
    only_entente_from_here!(Breaks);
    assert_eq!(copy.sent, 3, "a, cc and e");
    copy.expect_equal(&mut client, &search);
}

/// A filter decides anew what is in the content.
#[test]
fn what_leaves_or_enters_the_filter_is_told() {
    let server = provider();
    let (mut client, branch) = server.branch("sync-filter");
    for uid in ["a", "b"] {
        crate::add_person(&mut client, &branch, uid);
    }
    let search = Search::subtree(&branch, "(title=chief)");
    let mut copy = Copy::default();
    copy.poll(&mut client, &search);
    assert!(copy.entries.is_empty());
    client.modify(&format!("uid=a,{branch}"), &[(ADD, "title", &["chief"])]).expect(code::SUCCESS);
    copy.poll(&mut client, &search);
    assert_eq!(copy.names(), ["uid=a"]);
    client.modify(&format!("uid=a,{branch}"), &[(DELETE, "title", &["chief"])]).expect(code::SUCCESS);
    client.modify(&format!("uid=b,{branch}"), &[(ADD, "title", &["chief"])]).expect(code::SUCCESS);
    copy.poll(&mut client, &search);
    assert_eq!(copy.names(), ["uid=b"]);
}

/// A subtree that is moved out of what is copied takes along what is below, and brings it back.
#[test]
fn moved_subtrees_leave_and_enter_whole() {
    let server = provider();
    let (mut client, branch) = server.branch("sync-moves");
    for ou in ["in", "out"] {
        let dn = format!("ou={ou},{branch}");
        client.add(&dn, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    }
    let (inside, outside) = (format!("ou=in,{branch}"), format!("ou=out,{branch}"));
    let team = format!("ou=team,{inside}");
    client.add(&team, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    for uid in ["a", "b"] {
        crate::add_person(&mut client, &team, uid);
    }
    let search = everything(&inside);
    let mut copy = Copy::default();
    copy.poll(&mut client, &search);
    assert_eq!(copy.entries.len(), 4);
    client.modify_dn(&team, "ou=team", false, Some(&outside)).expect(code::SUCCESS);
    copy.poll(&mut client, &search);
    assert_eq!(copy.names(), ["ou=in"]);
    client.modify_dn(&format!("ou=team,{outside}"), "ou=team", false, Some(&inside)).expect(code::SUCCESS);
    copy.poll(&mut client, &search);
    // slapd says of what comes along that it is there still.
    only_entente_from_here!(Breaks);
    copy.expect_equal(&mut client, &search);
    assert_eq!(copy.entries.len(), 4);
}

/// One level, and the base alone.
#[test]
fn narrower_scopes_are_kept_in_step() {
    let server = provider();
    let (mut client, branch) = server.branch("sync-scopes");
    let below = format!("ou=below,{branch}");
    client.add(&below, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    let searches = [everything(&branch).scope(ONE), Search::base(&branch)];
    let mut copies = [Copy::default(), Copy::default()];
    for (copy, search) in copies.iter_mut().zip(&searches) {
        copy.poll(&mut client, search);
    }
    crate::add_person(&mut client, &branch, "a");
    crate::add_person(&mut client, &below, "b");
    client.delete(&format!("uid=b,{below}")).expect(code::SUCCESS);
    client.modify(&branch, &[(ADD, "description", &["changed"])]).expect(code::SUCCESS);
    for (copy, search) in copies.iter_mut().zip(&searches) {
        copy.poll(&mut client, search);
        copy.expect_equal(&mut client, search);
    }
    client.delete(&below).expect(code::SUCCESS);
    for (copy, search) in copies.iter_mut().zip(&searches) {
        copy.poll(&mut client, search);
        copy.expect_equal(&mut client, search);
    }
}

/// A group looks different when a member is renamed or deleted, though nobody wrote to it.
#[test]
fn groups_are_sent_when_their_members_change_names() {
    let server = provider();
    let (mut client, branch) = server.branch("sync-groups");
    let (a, b) = (crate::add_person(&mut client, &branch, "a"), crate::add_person(&mut client, &branch, "b"));
    let group: [(&str, &[&str]); 2] = [("objectClass", &["groupOfNames"]), ("member", &[&a, &b])];
    client.add(&format!("cn=g,{branch}"), &group).expect(code::SUCCESS);
    let search = everything(&branch);
    let mut copy = Copy::default();
    copy.poll(&mut client, &search);
    client.modify_dn(&a, "uid=aa", true, None).expect(code::SUCCESS);
    copy.poll(&mut client, &search);
    // slapd's overlay changes the group without a word to the provider.
    assert_eq!(copy.sent, Subject::current().pick(2, 1));
    only_entente_from_here!(Unserved);
    copy.expect_equal(&mut client, &search);
    client.delete(&b).expect(code::SUCCESS);
    copy.poll(&mut client, &search);
    copy.expect_equal(&mut client, &search);
}

/// RFC 4533 3.4: after the refresh, changes as they come.
#[test]
fn changes_come_while_the_search_persists() {
    let server = provider();
    let (mut writer, branch) = server.branch("sync-persist");
    let mut client = server.admin();
    let search = everything(&branch);
    let mut copy = Copy::default();
    let id = persisting(&mut client, &mut copy, &search);
    let a = crate::add_person(&mut writer, &branch, "a");
    let events = next_round(&mut client, &mut copy, id);
    assert!(matches!(events.as_slice(), [Event::Entry(1, _, entry), Event::Cookie(_)] if entry.dn == a), "{events:?}");
    writer.modify(&a, &[(REPLACE, "sn", &["Other"])]).expect(code::SUCCESS);
    let events = next_round(&mut client, &mut copy, id);
    assert!(
        matches!(events.as_slice(), [Event::Entry(2, _, entry), Event::Cookie(_)] if entry.value("sn") == "Other"),
        "{events:?}"
    );
    writer.delete(&a).expect(code::SUCCESS);
    let events = next_round(&mut client, &mut copy, id);
    assert!(
        matches!(events.as_slice(), [Event::Entry(3, _, entry), Event::Cookie(_)] if entry.dn == a && entry.attributes.is_empty()),
        "{events:?}"
    );
    copy.expect_equal(&mut writer, &search);
    // The connection is there for others, and the search can be ended.
    assert_eq!(client.who_am_i(), "dn:cn=admin,dc=example,dc=com");
    only_entente_from_here!(Breaks);
    client.perform(&request::cancel(id)).expect(code::SUCCESS);
    assert!(matches!(event(&client.receive_for(id).unwrap()), Event::End(code::CANCELED, ..)));
}

/// The cookie of a search that persisted goes on where it stopped.
#[test]
fn an_abandoned_search_goes_on_with_its_last_cookie() {
    let server = provider();
    let (mut writer, branch) = server.branch("sync-resume");
    let search = everything(&branch);
    let mut copy = Copy::default();
    let mut client = server.admin();
    let id = persisting(&mut client, &mut copy, &search);
    crate::add_person(&mut writer, &branch, "a");
    next_round(&mut client, &mut copy, id);
    drop(client);
    crate::add_person(&mut writer, &branch, "b");
    let mut client = server.admin();
    persisting(&mut client, &mut copy, &search);
    assert_eq!(copy.sent, 1);
    copy.expect_equal(&mut writer, &search);
}

/// Names that are swapped or taken over come in an order in which a tree can take them.
#[test]
fn names_are_left_before_they_are_taken() {
    let server = provider();
    let (mut client, branch) = server.branch("sync-swap");
    for uid in ["a", "b", "c"] {
        crate::add_person(&mut client, &branch, uid);
    }
    let search = everything(&branch);
    let mut copy = Copy::default();
    copy.poll(&mut client, &search);
    for (from, to) in [("a", "x"), ("b", "a"), ("x", "b")] {
        client.modify_dn(&format!("uid={from},{branch}"), &format!("uid={to}"), true, None).expect(code::SUCCESS);
    }
    client.delete(&format!("uid=c,{branch}")).expect(code::SUCCESS);
    crate::add_person(&mut client, &branch, "c");
    let mut tree: BTreeMap<_, _> = copy.entries.iter().map(|(uuid, entry)| (entry.dn.clone(), uuid.clone())).collect();
    let id = client.with(sync_control(ONLY, copy.cookie.as_deref(), false)).send(&search.encode());
    loop {
        let event = event(&client.receive_for(id).unwrap());
        copy.take(&event);
        match event {
            Event::Entry(3, uuid, _) => tree.retain(|_, other| *other != uuid),
            Event::Gone(uuids) => tree.retain(|_, uuid| !uuids.contains(uuid)),
            Event::Entry(_, uuid, entry) => {
                tree.retain(|_, other| *other != uuid);
                // Whoever takes a name away takes its value out of the entry; under a passing name too.
                let (kind, value) = entry.dn.split(',').next().and_then(|rdn| rdn.split_once('=')).expect("an RDN");
                assert!(entry.values(kind).contains(&value.to_owned()), "{} lacks {kind}: {value}", entry.dn);
                let before = tree.insert(entry.dn.clone(), uuid);
                // slapd sends what changed as it finds it.
                assert!(before.is_none() || Subject::current().is_slapd(), "{} is taken still", entry.dn);
            }
            _ => break,
        }
    }
    copy.expect_equal(&mut client, &search);
}

/// Neither nonsense, nor another search's cookie, nor one of another directory is used.
#[test]
fn a_cookie_of_something_else_begins_anew_or_is_refused() {
    let server = provider();
    let (mut client, branch) = server.branch("sync-cookies");
    crate::add_person(&mut client, &branch, "a");
    let search = everything(&branch);
    let mut copy = Copy::default();
    copy.poll(&mut client, &search);
    let own = copy.cookie.clone().unwrap();
    let foreign = b"rid=001,csn=20200101000000.000000Z#000000#001#000000".to_vec();
    for cookie in [b"nonsense".to_vec(), vec![0xff; 40], foreign.clone(), own.clone()] {
        let other = Search::subtree(&branch, "(uid=*)");
        // slapd's cookies are good for every search, and a time is a time to it wherever it is from; it begins anew whatever the
        // hint says.
        if Subject::current().is_slapd() && (cookie == own || cookie == foreign) {
            continue;
        }
        // slapd's consumer sets the hint always, and would come back with the same cookie for ever.
        if cookie != foreign && !Subject::current().is_slapd() {
            let id = client.with(sync_control(ONLY, Some(&cookie), true)).send(&other.encode());
            let outcome = event(&client.receive_for(id).unwrap());
            assert!(matches!(outcome, Event::End(4096, ..)), "{outcome:?}");
        }
        let mut copy = Copy { cookie: Some(cookie), ..Copy::default() };
        assert_eq!(copy.poll(&mut client, &other), code::SUCCESS, "{:?}", copy.cookie);
        assert_eq!(copy.names(), ["uid=a"], "{:?}", copy.cookie);
    }
    only_entente_from_here!(Unserved);
    // Another requester sees other things.
    let mut ann = server.person("ann");
    let id = ann.with(sync_control(ONLY, Some(&own), true)).send(&search.encode());
    assert!(matches!(event(&ann.receive_for(id).unwrap()), Event::End(4096, ..)));
}

/// RFC 4533 3; and what is no content.
#[test]
fn requests_that_cannot_be_kept_in_step_are_refused() {
    let server = provider();
    let mut client = server.admin();
    let mut outcome = |search: &Search, control: Control| {
        let id = client.with(control).send(&search.encode());
        match event(&client.receive_for(id).unwrap()) {
            Event::End(code, ..) => code,
            other => panic!("{other:?}"),
        }
    };
    let search = everything(SUFFIX);
    assert_eq!(outcome(&search.clone().deref(3), sync_control(ONLY, None, false)), code::PROTOCOL_ERROR);
    assert_eq!(outcome(&search, sync_control(2, None, false)), code::PROTOCOL_ERROR);
    assert_eq!(outcome(&search, Control::critical(oid::SYNC_REQUEST, None)), code::PROTOCOL_ERROR);
    assert_eq!(outcome(&Search::base(""), sync_control(ONLY, None, false)), code::UNAVAILABLE_CRITICAL_EXTENSION);
    assert_eq!(outcome(&everything("cn=nowhere"), sync_control(ONLY, None, false)), code::NO_SUCH_OBJECT);
}

/// T-24 of the hostile tests: access rules hold, and their change begins everything anew.
#[test]
fn only_what_may_be_read_is_sent() {
    let server = Server::start(Setup::default().with_slapd_lines(SYNCPROV));
    let (mut admin, branch) = server.branch("sync-access");
    let a = crate::add_person(&mut admin, &branch, "a");
    let mut ann = server.person("ann");
    let search = everything(&branch).attributes(&["*", "userPassword"]);
    let mut copy = Copy::default();
    copy.poll(&mut ann, &search);
    admin.modify(&a, &[(ADD, "userPassword", &["secret-1"])]).expect(code::SUCCESS);
    copy.poll(&mut ann, &search);
    assert!(copy.entries.values().all(|entry| !entry.has("userPassword")), "{:?}", copy.entries);
    let hide = r#"(targetattr = "*")(target = "ldap:///uid=a,ou=sync-access,dc=example,dc=com")(version 3.0; acl "hidden"; deny (all) userdn = "ldap:///anyone";)"#;
    only_entente_from_here!(Access);
    admin.modify(SUFFIX, &[(ADD, "aci", &[hide])]).expect(code::SUCCESS);
    assert_eq!(copy.poll(&mut ann, &search), code::SUCCESS);
    copy.expect_equal(&mut ann, &search);
    assert_eq!(copy.entries.len(), 1);
}

/// The cookie outlives a restart, also a hard one.
#[test]
fn a_cookie_is_good_after_a_restart() {
    let mut server = Server::start(Setup::default().with_slapd_lines(SYNCPROV));
    let search = everything(crate::PEOPLE);
    let mut copy = Copy::default();
    let mut client = server.admin();
    copy.poll(&mut client, &search);
    crate::add_person(&mut client, crate::PEOPLE, "new");
    drop(client);
    server.kill();
    server.restart();
    let mut client = server.admin();
    assert_eq!(copy.poll(&mut client, &search), code::SUCCESS);
    assert_eq!(copy.sent, 1);
    copy.expect_equal(&mut client, &search);
}

/// RFC 4533 2.2 has references among the content. Here referrals are content as entries, with ManageDsaIT (RFC 3296), as replicas
/// ask; without it slapd sends their references with a state, and we leave them out.
#[test]
fn referrals_are_content_with_manage_dsa_it() {
    let server = provider();
    let (mut client, branch) = server.branch("sync-referrals");
    let urls: &[&str] = &["ldap://other.example.net/ou=away,dc=example,dc=net"];
    let dn = format!("ou=away,{branch}");
    client.add(&dn, &[("objectClass", &["referral", "extensibleObject"]), ("ref", urls)]).expect(code::SUCCESS);
    let search = everything(&branch);
    let mut copy = Copy::default();
    client.with(Control::manage_dsa_it());
    assert_eq!(copy.poll(&mut client, &search), code::SUCCESS);
    assert_eq!(copy.names(), ["ou=away", "ou=sync-referrals"]);
    let found = client.with(sync_control(ONLY, None, false)).search(&search).expect(code::SUCCESS);
    assert_eq!((found.entries.len(), found.references.len()), Subject::current().pick((1, 0), (1, 1)));
}

/// As monitoring of OpenLDAP reads it.
#[test]
fn the_suffix_shows_a_context_csn_that_rises() {
    let server = provider();
    let (mut client, branch) = server.branch("sync-context");
    let before = client.read_attributes(SUFFIX, &["contextCSN"]).value("contextCSN");
    crate::add_person(&mut client, &branch, "a");
    let after = client.read_attributes(SUFFIX, &["contextCSN"]).value("contextCSN");
    assert!(before < after, "{before} {after}");
    assert!(!client.read(SUFFIX).has("contextCSN"));
    let names = client.read_attributes("", &["supportedControl"]).values("supportedControl");
    assert!(names.contains(&oid::SYNC_REQUEST.to_owned()));
}
