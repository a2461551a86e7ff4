//! The tree through its one door: state, view, index and counters agree after every change.

use super::fixture::{self, attribute, cell};
use super::*;
use crate::clock::Clock;
use crate::model::{AttributeDescription, Dn, EntryUuid};
use crate::schema::Schema;
use crate::state::{CellValue, Delta, ValueKey};
use crate::storage::{EntryId, IndexKind, MetaName, Postings, index_key};
use std::sync::Arc;
use std::sync::mpsc::channel;

struct Tree {
    dit: Arc<Dit>,
    _folder: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dit =
            Dit::open(Options::new(folder.path()), Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000))
                .unwrap();
        let tree = Self { dit: Arc::new(dit), _folder: folder };
        tree.add(1, "dc=example,dc=com", &[("objectClass", &["domain"]), ("dc", &["example"])]);
        tree.add(2, "ou=people,dc=example,dc=com", &[("objectClass", &["organizationalUnit"]), ("ou", &["people"])]);
        tree
    }

    fn write<T>(&self, work: impl FnOnce(&mut Writing<'_>) -> T) -> T {
        fixture::write(&self.dit, work)
    }

    fn add(&self, uuid: u8, dn: &str, attributes: &[(&str, &[&str])]) -> EntryId {
        fixture::add(&self.dit, uuid, dn, attributes)
    }

    fn person(&self, uuid: u8, name: &str, more: &[(&str, &[&str])]) -> EntryId {
        let mut attributes: Vec<(&str, &[&str])> = vec![("objectClass", &["inetOrgPerson"])];
        let (cn, sn) = ([name], [name]);
        attributes.push(("cn", &cn));
        attributes.push(("sn", &sn));
        attributes.extend_from_slice(more);
        self.add(uuid, &format!("cn={name},ou=people,dc=example,dc=com"), &attributes)
    }

    fn change(&self, id: EntryId, deltas: impl FnOnce(&mut Writing<'_>) -> Vec<Delta>) {
        fixture::change(&self.dit, id, deltas);
    }

    fn values(&self, id: EntryId, name: &str) -> Vec<String> {
        fixture::values(&self.dit, id, name).unwrap()
    }

    fn dn(&self, id: EntryId) -> Option<String> {
        self.dit.read().unwrap().view().dn_text(id).unwrap()
    }

    #[track_caller]
    fn assert_sound(&self) {
        fixture::assert_sound(&self.dit);
    }
}

fn rename(writing: &mut Writing<'_>, rdn: &str) -> Vec<Delta> {
    vec![Delta::Rdn(rdn_state(writing, &crate::model::Rdn::parse(rdn).unwrap()).unwrap())]
}

#[test]
fn an_added_entry_is_found_by_name_identity_and_value() {
    let tree = Tree::new();
    let ann = tree.person(3, "Ann", &[("mail", &["ann@example.com", "a@example.com"])]);
    let snapshot = tree.dit.read().unwrap();
    let view = snapshot.view();
    let resolved = view.resolve(&Dn::parse("CN=ann, OU=People,dc=EXAMPLE,dc=com").unwrap()).unwrap();
    assert_eq!(resolved.entry, Some(ann));
    assert_eq!(view.by_uuid(EntryUuid([3; 16])).unwrap(), Some(ann));
    let absent = view.resolve(&Dn::parse("cn=x,cn=bob,ou=people,dc=example,dc=com").unwrap()).unwrap();
    assert_eq!((absent.entry, absent.missing), (None, 2));
    assert_eq!(view.dn_text(absent.matched.unwrap()).unwrap().unwrap(), "ou=people,dc=example,dc=com");
    let mail = view.catalog().find(&AttributeDescription::parse("mail").unwrap()).unwrap();
    let mut key = Vec::new();
    index_key(mail, IndexKind::Equality, b"a@example.com", &mut key);
    let mut postings = Postings::open(view.reader(), &key).unwrap().unwrap();
    assert_eq!((postings.count(), postings.next().unwrap()), (1, Some(ann)));
    assert_eq!(view.subordinate_count(EntryId(2)).unwrap(), 1);
    assert_eq!(tree.values(ann, "mail"), ["ann@example.com", "a@example.com"]);
    tree.assert_sound();
}

#[test]
fn values_are_added_and_removed_with_their_index_keys() {
    let tree = Tree::new();
    let ann = tree.person(3, "Ann", &[("mail", &["a@x"])]);
    tree.change(ann, |writing| vec![cell(writing, "mail", "b@x", true), cell(writing, "mail", "A@X", false)]);
    assert_eq!(tree.values(ann, "mail"), ["b@x"]);
    tree.assert_sound();
    tree.change(ann, |writing| vec![Delta::Clear(attribute(writing, "mail"))]);
    assert!(tree.values(ann, "mail").is_empty());
    tree.assert_sound();
}

#[test]
fn renaming_a_target_shows_in_every_referrer_without_touching_its_state() {
    let tree = Tree::new();
    let ann = tree.person(3, "Ann", &[]);
    let bob = tree.person(4, "Bob", &[("manager", &["cn=Ann,ou=people,dc=example,dc=com"])]);
    tree.change(ann, |writing| rename(writing, "cn=Anna"));
    assert_eq!(tree.values(bob, "manager"), ["cn=Anna,ou=people,dc=example,dc=com"]);
    tree.change(EntryId(2), |writing| rename(writing, "ou=staff"));
    assert_eq!(tree.dn(ann).unwrap(), "cn=Anna,ou=staff,dc=example,dc=com");
    assert_eq!(tree.values(bob, "manager"), ["cn=Anna,ou=staff,dc=example,dc=com"]);
    tree.assert_sound();
}

#[test]
fn a_deleted_target_vanishes_from_groups() {
    let tree = Tree::new();
    let ann = tree.person(3, "Ann", &[]);
    tree.person(4, "Bob", &[]);
    let members = ["cn=ann,ou=people,dc=example,dc=com", "cn=bob,ou=people,dc=example,dc=com"];
    let group = tree.add(
        5,
        "cn=all,dc=example,dc=com",
        &[("objectClass", &["groupOfNames"]), ("cn", &["all"]), ("member", &members)],
    );
    tree.change(ann, |_| vec![Delta::Dead]);
    assert_eq!(tree.values(group, "member"), ["cn=Bob,ou=people,dc=example,dc=com"]);
    assert_eq!(tree.dn(ann), None);
    tree.assert_sound();
}

#[test]
fn an_attribute_of_many_values_spills_and_stays_exact() {
    let tree = Tree::new();
    let group = tree.add(
        5,
        "cn=all,dc=example,dc=com",
        &[("objectClass", &["posixGroup"]), ("cn", &["all"]), ("gidNumber", &["1"])],
    );
    let names: Vec<String> = (0..200).map(|n| format!("user{n:03}")).collect();
    for chunk in names.chunks(50) {
        tree.change(group, |writing| chunk.iter().map(|name| cell(writing, "memberUid", name, true)).collect());
        tree.assert_sound();
    }
    assert_eq!(tree.values(group, "memberUid"), names);
    tree.change(group, |writing| {
        vec![cell(writing, "memberUid", "user007", false), cell(writing, "memberUid", "zoe", true)]
    });
    assert_eq!(tree.values(group, "memberUid").len(), 200);
    tree.assert_sound();
    tree.change(group, |writing| vec![Delta::Clear(attribute(writing, "memberUid"))]);
    assert!(tree.values(group, "memberUid").is_empty());
    tree.assert_sound();
    tree.change(group, |_| vec![Delta::Dead]);
    tree.assert_sound();
}

#[test]
fn bulk_load_links_forward_and_backward_alike() {
    let folder = tempfile::tempdir().unwrap();
    let dit = Dit::open(
        Options { durable: false, ..Options::new(folder.path()) },
        Arc::new(Schema::builtin()),
        Clock::simulated(1),
    )
    .unwrap();
    let mut load = BulkLoad::begin(&dit).unwrap();
    let mut add = |uuid: u8, dn: &str, attributes: &[(&str, &[&str])]| {
        let writing = load.writing();
        let dn = Dn::parse(dn).unwrap();
        let attributes = fixture::values_of(writing, attributes);
        let parent = writing.view().resolve(&dn).unwrap().matched.unwrap_or(EntryId::NONE);
        let deltas = birth_deltas(writing, &dn, parent, &attributes).unwrap();
        load.add(EntryUuid([uuid; 16]), "import", deltas).unwrap()
    };
    add(1, "dc=x", &[("objectClass", &["domain"]), ("dc", &["x"])]);
    let many: Vec<String> = (0..70).map(|n| format!("cn=p{n},dc=x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let big = add(2, "cn=big,dc=x", &[("objectClass", &["groupOfNames"]), ("cn", &["big"]), ("member", &many)]);
    let group = add(3, "cn=g,dc=x", &[("objectClass", &["groupOfNames"]), ("cn", &["g"]), ("member", &["cn=p1,dc=x"])]);
    for n in 0..70_u8 {
        add(
            10 + n,
            &format!("cn=p{n},dc=x"),
            &[("objectClass", &["person"]), ("cn", &[&format!("p{n}")]), ("sn", &["p"])],
        );
    }
    load.finish().unwrap();
    let tree = Tree { dit: Arc::new(dit), _folder: folder };
    let snapshot = tree.dit.read().unwrap();
    let sequence = snapshot.view().reader().meta_u64(MetaName::Sequence).unwrap();
    let floors: Vec<u64> = snapshot.view().log_floors().unwrap().into_values().collect();
    assert_eq!(floors, [sequence + 1], "the log begins behind the load");
    drop(snapshot);
    tree.assert_sound();
    tree.change(EntryId(1), |_| Vec::new());
    let first = tree.dit.read().unwrap().view().by_uuid(EntryUuid([11; 16])).unwrap().unwrap();
    tree.change(first, |writing| rename(writing, "cn=renamed"));
    assert_eq!(tree.values(group, "member"), ["cn=renamed,dc=x"]);
    assert_eq!(tree.values(big, "member").len(), 70);
    assert!(tree.values(big, "member").contains(&"cn=renamed,dc=x".to_owned()), "spilled links follow a rename");
    tree.assert_sound();
    reindex(&tree.dit, &mut |_, _| {}).unwrap();
    tree.assert_sound();
}

#[test]
fn the_writer_answers_after_the_commit_and_groups_what_waits() {
    let tree = Tree::new();
    let ann = tree.person(3, "Ann", &[]);
    let (writer, thread) = Writer::start(Arc::clone(&tree.dit), 1024).unwrap();
    let (answers, answered) = channel();
    for n in 0..100 {
        let answers = answers.clone();
        writer
            .submit(Box::new(move |writing| {
                let delta = cell(writing, "mail", &format!("m{n}@x"), true);
                writing.change(Target::Existing(ann), "cn=test", vec![delta]).unwrap();
                Ok(Box::new(move |committed: Committed<'_>| answers.send(committed.is_ok()).unwrap()))
            }))
            .unwrap();
    }
    assert!((0..100).all(|_| answered.recv_timeout(std::time::Duration::from_secs(120)).unwrap()));
    writer.stop();
    thread.join().unwrap();
    assert_eq!(tree.values(ann, "mail").len(), 100);
    tree.assert_sound();
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let tree = Tree::new();
    let ann = tree.person(3, "Ann", &[("mail", &["a@x"])]);
    let Tree { dit, _folder } = tree;
    drop(Arc::into_inner(dit).unwrap());
    let dit = Dit::open(Options::new(_folder.path()), Arc::new(Schema::builtin()), Clock::simulated(1)).unwrap();
    let tree = Tree { dit: Arc::new(dit), _folder };
    assert_eq!(tree.values(ann, "mail"), ["a@x"]);
    tree.change(ann, |writing| vec![cell(writing, "mail", "b@x", true)]);
    assert_eq!(tree.values(ann, "mail"), ["a@x", "b@x"]);
    tree.assert_sound();
}

/// Keys of nearness were others then: what an earlier program left is not searched by them.
#[test]
fn an_index_that_an_earlier_program_made_is_made_anew_at_the_start() {
    let tree = Tree::new();
    tree.person(3, "Pat O'Connor", &[]);
    let recorded = |dit: &Dit| {
        let snapshot = dit.read().unwrap();
        String::from_utf8(snapshot.view().reader().meta(MetaName::IndexConfiguration).unwrap().unwrap().to_vec())
            .unwrap()
    };
    let now = recorded(&tree.dit);
    let (_, rest) = now.split_once('|').unwrap();
    let before = format!("2|{rest}");
    assert_eq!(IndexOptions::from_fingerprint(&before), None);
    tree.write(|writing| writing.txn.put_meta(MetaName::IndexConfiguration, before.as_bytes()).unwrap());
    let Tree { dit, _folder } = tree;
    drop(Arc::into_inner(dit).unwrap());
    let dit = Dit::open(Options::new(_folder.path()), Arc::new(Schema::builtin()), Clock::simulated(1)).unwrap();
    assert_eq!(recorded(&dit), now);
    Tree { dit: Arc::new(dit), _folder }.assert_sound();
}

/// T-47.
#[test]
fn a_flipped_bit_in_a_view_is_found_and_never_shown() {
    let tree = Tree::new();
    let ann = tree.person(3, "Ann", &[]);
    let mut writing = Writing::begin(&tree.dit).unwrap();
    let mut record =
        writing.txn.reader().get(crate::storage::Table::Id2Entry, &ann.to_key()).unwrap().unwrap().to_vec();
    *record.last_mut().unwrap() ^= 4;
    writing.txn.put(crate::storage::Table::Id2Entry, &ann.to_key(), &record, crate::storage::PutMode::Upsert).unwrap();
    writing.commit().unwrap();
    assert!(tree.dit.read().unwrap().view().entry(ann).is_err());
    assert_eq!(check(&tree.dit, &mut |_, _| {}).unwrap().difference_count, 1);
}

#[test]
fn a_value_key_of_text_and_link_are_different_identities() {
    let tree = Tree::new();
    tree.person(3, "Ann", &[]);
    let snapshot = tree.dit.read().unwrap();
    let view = snapshot.view();
    let manager = view.catalog().find(&AttributeDescription::parse("manager").unwrap());
    let Some(info) = manager.and_then(|id| view.catalog().attribute(id)) else { panic!("manager is numbered") };
    let (key, value) = value_of(&view, info, b"cn=ann,ou=people,dc=example,dc=com").unwrap();
    assert_eq!((key, value), (ValueKey::link(EntryUuid([3; 16])), CellValue::Link(EntryUuid([3; 16]))));
    let (key, value) = value_of(&view, info, b"cn=nobody,dc=example,dc=com").unwrap();
    assert!(key.as_link().is_none());
    assert_eq!(value, CellValue::Text(b"cn=nobody,dc=example,dc=com".to_vec()));
}

#[test]
fn classes_rules_and_passwords_stay_in_the_record_however_many_they_are() {
    let tree = Tree::new();
    let many: Vec<String> = (0..70).map(|n| format!("{{SSHA}}{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let ann = tree.person(3, "Ann", &[("userPassword", &many), ("aci", &many)]);
    let snapshot = tree.dit.read().unwrap();
    let entry = snapshot.view().entry(ann).unwrap().unwrap();
    assert_ne!(entry.record.flags() & crate::storage::ENTRY_HAS_ACI, 0);
    for name in ["userPassword", "aci"] {
        let id = snapshot.view().catalog().find(&AttributeDescription::parse(name).unwrap()).unwrap();
        assert_eq!(entry.attribute(id).unwrap().values().count(), 70, "{name}");
    }
    drop(snapshot);
    tree.assert_sound();
}

/// Index keys stand under the bare type, whichever description calls for them.
#[test]
fn what_a_spilled_description_loses_another_one_keeps_in_the_index() {
    let tree = Tree::new();
    let many: Vec<String> = (0..70).map(|n| format!("text {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let ann = tree.person(3, "Ann", &[("description;lang-en", &many), ("description", &["text 1", "text 2"])]);
    tree.assert_sound();
    tree.change(ann, |writing| vec![cell(writing, "description;lang-en", "text 1", false)]);
    tree.assert_sound();
    tree.change(ann, |writing| vec![cell(writing, "description", "text 2", false)]);
    tree.assert_sound();
    tree.change(ann, |writing| vec![Delta::Clear(attribute(writing, "description"))]);
    tree.assert_sound();
    tree.change(ann, |writing| vec![Delta::Clear(attribute(writing, "description;lang-en"))]);
    tree.assert_sound();
}

/// By pieces values share keys, and an update touches only some of them.
#[test]
fn pieces_that_one_of_many_spilled_values_loses_the_others_keep_in_the_index() {
    let tree = Tree::new();
    let many: Vec<String> = (0..70).map(|n| format!("mail{n:02}@example.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let ann = tree.person(3, "Ann", &[("mail", &many)]);
    let has = |piece: &[u8]| {
        let snapshot = tree.dit.read().unwrap();
        let mail = snapshot.view().catalog().find(&AttributeDescription::parse("mail").unwrap()).unwrap();
        let mut key = Vec::new();
        index_key(mail, IndexKind::Substring, piece, &mut key);
        Postings::has(snapshot.view().reader(), &key, ann).unwrap()
    };
    tree.change(ann, |writing| vec![cell(writing, "mail", "mail07@example.com", false)]);
    assert_eq!([b"07@", b"mai", b"exa"].map(|piece| has(piece)), [false, true, true]);
    tree.assert_sound();
}

#[test]
fn spilled_values_share_keys_by_pieces_and_with_other_descriptions_of_their_type_alone() {
    let tree = Tree::new();
    let many: Vec<String> = (0..70).map(|n| format!("text {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let shares = |uuid, name: &str, values: &[(&str, &[&str])]| {
        let id = tree.person(uuid, name, values);
        let snapshot = tree.dit.read().unwrap();
        let record = snapshot.view().entry(id).unwrap().unwrap().record;
        view_keys::shares_spilled_keys(snapshot.view().catalog(), [&record, &record])
    };
    assert!(!shares(3, "Ann", &[("description", &many), ("mail", &["a@x"])]), "each value has keys of its own");
    assert!(shares(4, "Bob", &[("mail", &many)]), "pieces");
    assert!(shares(5, "Cem", &[("description", &many), ("description;lang-en", &["text 1"])]));
    assert!(!shares(6, "Dan", &[("mail", &["a@x"]), ("mail;lang-en", &["a@x"])]), "nothing is spilled");
}

/// A node that was started once without its schema files, or whose index was built anew without them.
#[test]
fn another_schema_has_the_index_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let text = "dn: cn=schema\nattributeTypes: ( 1.3.6.1.4.1.99999.1 NAME 'badge' EQUALITY caseIgnoreMatch \
                SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )\n";
    let whole = || Schema::builtin_and(&[crate::schema::SchemaSource { name: "own", text }]).unwrap();
    let open = |schema| Dit::open(Options::new(folder.path()), Arc::new(schema), Clock::simulated(1)).unwrap();
    let badges = |dit: &Dit| {
        let snapshot = dit.read().unwrap();
        let id = snapshot.view().catalog().find_key("1.3.6.1.4.1.99999.1").unwrap();
        let mut key = Vec::new();
        index_key(id, IndexKind::Equality, b"x7", &mut key);
        Postings::open(snapshot.view().reader(), &key).unwrap().map_or(0, |postings| postings.count())
    };
    let tree = Tree { dit: Arc::new(open(whole())), _folder: tempfile::tempdir().unwrap() };
    tree.add(1, "dc=x,dc=y", &[("objectClass", &["domain"]), ("dc", &["x"]), ("badge", &["X7"])]);
    assert_eq!(badges(&tree.dit), 1);
    drop(tree);
    assert_eq!(badges(&open(Schema::builtin())), 0);
    assert_eq!(badges(&open(whole())), 1);
}

/// Whoever may write one attribute cannot use up the numbers of all.
#[test]
fn options_of_one_type_are_only_so_many() {
    let tree = Tree::new();
    tree.write(|writing| {
        let mut intern = |name: &str| writing.intern(&AttributeDescription::parse(name).unwrap());
        for n in 0..256 {
            intern(&format!("mobile;x-{n}")).unwrap();
        }
        assert!(matches!(intern("mobile;x-more"), Err(DitError::TooManyOptions { .. })));
        intern("mobile;x-7").unwrap();
        intern("cn;x-more").unwrap();
    });
}

/// A snapshot may be of a commit that is not published yet, or that another process made.
#[test]
fn snapshot_explains_numbers_that_the_catalog_in_memory_lacks() {
    let tree = Tree::new();
    let before = tree.dit.catalog();
    let ann = tree.person(3, "Ann", &[("carLicense", &["AB 12"])]);
    tree.write(|writing| writing.rotate_origin().unwrap());
    tree.change(ann, |writing| vec![cell(writing, "employeeNumber", "7", true)]);
    tree.dit.publish(Some(before), None, false);
    assert_eq!(tree.values(ann, "employeeNumber"), ["7"]);
    assert_eq!(tree.values(ann, "carLicense"), ["AB 12"]);
    tree.assert_sound();
}
