//! Conflicts: shown with both sides below cn=conflicts, restored by an ordinary change, dismissed.

use super::*;
use crate::dit::{Completion, ConflictState, LogRange, Receipt, Target, Writing, rdn_state, value_of};
use crate::model::{Filter, Rdn, Scope};
use crate::operation::virtual_entry;
use crate::search::{AllSearchable, CompiledFilter, RunOptions, SearchRun, Step};
use crate::state::{Delta, OriginId};
use crate::storage::MetaName;

/// Another member, which starts as a copy of the house by its log.
struct Member {
    dit: Arc<Dit>,
    writer: Writer,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.writer.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Member {
    fn of(house: &House) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = DitOptions { durable: false, ..DitOptions::new(folder.path()) };
        let dit = Arc::new(Dit::open(options, Arc::new(Schema::builtin()), house.clock.clone()).unwrap());
        let (writer, thread) = Writer::start(Arc::clone(&dit), 16).unwrap();
        let member = Self { dit, writer, thread: Some(thread), _folder: folder };
        member.meet(house);
        member
    }

    /// Each takes what the other has written.
    fn meet(&self, house: &House) {
        let own = house.directory.dit();
        send(own, &self.dit, &self.writer);
        send(&self.dit, own, house.directory.writer());
    }

    fn change(&self, uuid: EntryUuid, deltas: impl FnOnce(&mut Writing<'_>) -> Vec<Delta> + Send + 'static) {
        write(&self.writer, move |writing| {
            let id = writing.view().by_uuid(uuid).unwrap().unwrap();
            let deltas = deltas(writing);
            writing.change(Target::Existing(id), "cn=elsewhere", deltas).unwrap();
        });
    }
}

fn write<T: Send + 'static>(writer: &Writer, work: impl FnOnce(&mut Writing<'_>) -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    let job = move |writing: &mut Writing<'_>| {
        let outcome = work(writing);
        let completion: Completion = Box::new(move |committed| {
            committed.unwrap();
            sender.send(outcome).unwrap();
        });
        Ok(completion)
    };
    writer.submit(Box::new(job)).unwrap();
    receiver.recv().unwrap()
}

fn send(from: &Dit, to: &Dit, writer: &Writer) {
    let snapshot = from.read().unwrap();
    let origin = OriginId(snapshot.view().reader().meta_u64(MetaName::Origin).unwrap());
    let held = to.read().unwrap().view().update_vector().unwrap().sequence(origin);
    let LogRange::Records(records) = snapshot.view().log_range(origin, held + 1, usize::MAX).unwrap() else {
        panic!("trimmed")
    };
    for record in records {
        let receipt = write(writer, move |writing| writing.receive(&record).unwrap());
        assert!(matches!(receipt, Receipt::Applied { .. }), "{receipt:?}");
    }
}

fn cell(writing: &mut Writing<'_>, name: &str, value: &str, present: bool) -> Delta {
    let attribute = writing.intern(&AttributeDescription::parse(name).unwrap()).unwrap();
    let view = writing.view();
    let (key, value) = value_of(&view, view.catalog().attribute(attribute).unwrap(), value.as_bytes()).unwrap();
    Delta::Cell { attribute, key, order: 0, present, value }
}

fn replaced(writing: &mut Writing<'_>, name: &str, value: &str) -> Vec<Delta> {
    let cell = cell(writing, name, value, true);
    let attribute = writing.intern(&AttributeDescription::parse(name).unwrap()).unwrap();
    vec![Delta::Clear(attribute), cell]
}

fn ann(house: &House) -> EntryUuid {
    house.see(ANN, |_, entry| entry.record.uuid()).unwrap()
}

/// The names of all conflicts.
fn conflicts(house: &House) -> Vec<String> {
    let snapshot = house.directory.dit().read().unwrap();
    let found = snapshot.view().conflicts().unwrap();
    found.into_iter().map(|conflict| format!("cn={},cn=conflicts", conflict.id)).collect()
}

fn shown(house: &House, dn: &str, name: &str) -> Vec<String> {
    let snapshot = house.directory.dit().read().unwrap();
    let found = virtual_entry::find(&house.directory, &house.admin(), snapshot.view(), &Dn::parse(dn).unwrap());
    let entry = found.unwrap().unwrap();
    let attribute = entry.attributes.iter().find(|attribute| attribute.description.name() == name);
    let values = attribute.map(|attribute| attribute.values.clone()).unwrap_or_default();
    values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
}

fn decide(house: &House, dn: &str, state: ConflictState) -> Heard {
    let list: [(ModificationKind, &str, &[&str]); 1] = [(ModificationKind::Replace, "conflictState", &[state.name()])];
    house.modify(&house.admin(), dn, &list)
}

/// The house writes first, the member a second later; then they meet.
fn titles() -> (House, Member, String) {
    let house = House::new();
    let member = Member::of(&house);
    house.modify(&house.admin(), ANN, &[(ModificationKind::Replace, "title", &["CEO"])]).is(OK);
    house.clock.advance(Duration::from_secs(1));
    member.change(ann(&house), |writing| replaced(writing, "title", "CTO"));
    member.meet(&house);
    let found = conflicts(&house);
    assert_eq!(found.len(), 1, "{found:?}");
    (house, member, found.into_iter().next().unwrap())
}

#[test]
fn a_conflict_is_shown_with_both_sides() {
    let (house, _member, dn) = titles();
    assert_eq!(house.values(ANN, "title"), ["CTO"]);
    for (name, value) in [
        ("conflictState", "open"),
        ("conflictKind", "lost-update"),
        ("conflictRule", "newer-replace"),
        ("conflictAttribute", "title"),
        ("conflictEntry", ANN),
        ("winningValue", "CTO"),
        ("losingValue", "CEO"),
        ("winningRequester", "cn=elsewhere"),
        ("losingRequester", ADMIN),
        ("losingTime", "20231114221320Z"),
        ("winningTime", "20231114221321Z"),
    ] {
        assert_eq!(shown(&house, &dn, name), [value], "{name}");
    }
}

#[test]
fn restoring_writes_the_losing_value_again_on_all_members() {
    let (house, member, dn) = titles();
    decide(&house, &dn, ConflictState::Restored).is(OK);
    assert_eq!(house.values(ANN, "title"), ["CEO"]);
    assert_eq!(shown(&house, &dn, "conflictState"), ["restored"]);
    member.meet(&house);
    let snapshot = member.dit.read().unwrap();
    let view = snapshot.view();
    let conflict = view.conflicts().unwrap().remove(0);
    assert_eq!(view.conflict_state(&conflict).unwrap(), ConflictState::Restored);
    assert_eq!(conflicts(&house).len(), 1, "the restoring is no conflict");
}

#[test]
fn a_conflict_is_dismissed_by_deleting_it_and_opened_again() {
    let (house, _member, dn) = titles();
    house.delete(&house.user(BOB), &dn).is(ResultCode::NO_SUCH_OBJECT);
    house.delete(&house.admin(), &dn).is(OK);
    assert_eq!(shown(&house, &dn, "conflictState"), ["dismissed"]);
    house.clock.advance(Duration::from_secs(1));
    decide(&house, &dn, ConflictState::Open).is(OK);
    assert_eq!(shown(&house, &dn, "conflictState"), ["open"]);
    assert_eq!(house.values(ANN, "title"), ["CTO"]);
    house.delete(&house.admin(), "cn=0-0,cn=conflicts").is(ResultCode::NO_SUCH_OBJECT);
    let list: [(ModificationKind, &str, &[&str]); 1] = [(ModificationKind::Replace, "losingValue", &["x"])];
    house.modify(&house.admin(), &dn, &list).is(ResultCode::UNWILLING_TO_PERFORM);
}

#[test]
fn a_change_lost_with_its_entry_is_restored_by_bringing_the_entry_back() {
    let house = House::new();
    let member = Member::of(&house);
    let uuid = ann(&house);
    house.delete(&house.admin(), ANN).is(OK);
    member.change(uuid, |writing| replaced(writing, "title", "CTO"));
    member.meet(&house);
    let dn = conflicts(&house).remove(0);
    assert_eq!(shown(&house, &dn, "winningChange"), ["deleted"]);
    assert_eq!(shown(&house, &dn, "conflictEntry"), [ANN]);
    decide(&house, &dn, ConflictState::Restored).is(OK);
    assert_eq!(house.values(ANN, "title"), ["CTO"]);
    assert_eq!(ann(&house), uuid);
    assert_eq!(shown(&house, &dn, "conflictState"), ["restored"]);
    member.meet(&house);
    member.change(uuid, |writing| replaced(writing, "title", "CFO"));
    member.meet(&house);
    assert_eq!(house.values(ANN, "title"), ["CFO"], "both go on with the new incarnation");
}

#[test]
fn a_lost_name_is_restored_by_a_rename() {
    let house = House::new();
    let member = Member::of(&house);
    let uuid = ann(&house);
    house.rename(&house.admin(), ANN, "uid=anna", true, None).is(OK);
    house.clock.advance(Duration::from_secs(1));
    member.change(uuid, |writing| {
        let rdn = rdn_state(writing, &Rdn::parse("uid=annie").unwrap()).unwrap();
        vec![cell(writing, "uid", "ann", false), cell(writing, "uid", "annie", true), Delta::Rdn(rdn)]
    });
    member.meet(&house);
    assert!(house.exists(&format!("uid=annie,{PEOPLE}")));
    let found = conflicts(&house);
    let dn = found.iter().find(|dn| shown(&house, dn, "conflictRule") == ["newer-rename"]).unwrap();
    assert_eq!(shown(&house, dn, "losingValue"), ["uid=anna"]);
    decide(&house, dn, ConflictState::Restored).is(OK);
    assert!(house.exists(&format!("uid=anna,{PEOPLE}")));
}

#[test]
fn a_lost_secret_is_told_of_and_not_restored() {
    let house = House::new();
    let member = Member::of(&house);
    house.modify(&house.admin(), ANN, &[(ModificationKind::Replace, "userPassword", &["{SHA}one"])]).is(OK);
    house.clock.advance(Duration::from_secs(1));
    member.change(ann(&house), |writing| replaced(writing, "userPassword", "{SHA}two"));
    member.meet(&house);
    let dn = conflicts(&house).remove(0);
    assert_eq!(
        (shown(&house, &dn, "losingChange"), shown(&house, &dn, "losingValue")),
        (vec!["unsaid".into()], vec![])
    );
    decide(&house, &dn, ConflictState::Restored).is(ResultCode::UNWILLING_TO_PERFORM);
    decide(&house, &dn, ConflictState::Dismissed).is(OK);
}

#[test]
fn an_entry_that_merged_changes_broke_is_listed_until_it_is_mended() {
    let house = House::new();
    let member = Member::of(&house);
    let uuid = ann(&house);
    let listed = format!("cn=schema-violation.{uuid},cn=conflicts");
    member.change(uuid, |writing| vec![cell(writing, "sn", "Person", false)]);
    member.meet(&house);
    assert_eq!(shown(&house, &listed, "conflictEntry"), [ANN]);
    assert!(shown(&house, &listed, "description")[0].contains("sn"));
    let violations = |house: &House| {
        let computed = crate::search::Computed::ReplSchemaViolation;
        house.see(ANN, |view, entry| computed.values(view, entry).unwrap().len()).unwrap()
    };
    let found = |house: &House, text: &str| {
        let snapshot = house.directory.dit().read().unwrap();
        let (view, schema) = (snapshot.view(), snapshot.view().catalog().schema());
        let filter = CompiledFilter::compile(schema, &Filter::parse(text).unwrap());
        let top = view.resolve(&Dn::parse(SUFFIX).unwrap()).unwrap().entry.unwrap();
        let mut run = SearchRun::new(view, top, Arc::new(filter), RunOptions::new(Scope::Subtree)).unwrap();
        let mut walk = run.walk(view, &AllSearchable).unwrap();
        let mut names = Vec::new();
        loop {
            match walk.next().unwrap() {
                Step::Entry(entry) => names.extend(view.dn_text(entry.id).unwrap()),
                Step::Done => return names,
                _ => {}
            }
        }
    };
    assert_eq!(violations(&house), 1);
    assert_eq!(found(&house, "(replSchemaViolation=*)"), [ANN]);
    assert!(!found(&house, "(!(replSchemaViolation=*))").contains(&ANN.to_owned()));
    house.modify(&house.admin(), ANN, &[(ModificationKind::Replace, "title", &["CEO"])]).is(OK);
    house.modify(&house.admin(), ANN, &[(ModificationKind::Add, "sn", &["Person"])]).is(OK);
    assert_eq!(violations(&house), 0);
    assert!(found(&house, "(replSchemaViolation=*)").is_empty());
    let snapshot = house.directory.dit().read().unwrap();
    let name = Dn::parse(&listed).unwrap();
    virtual_entry::find(&house.directory, &house.admin(), snapshot.view(), &name).unwrap_err();
}

#[test]
fn a_deleted_entry_above_a_new_one_is_listed_as_a_phantom_until_it_is_brought_back() {
    let house = House::new();
    let member = Member::of(&house);
    let groups = format!("ou=groups,{SUFFIX}");
    let uuid = house.see(&groups, |_, entry| entry.record.uuid()).unwrap();
    member.change(uuid, |_| vec![Delta::Dead]);
    let group = format!("cn=staff,{groups}");
    house.add(&house.admin(), &group, &[("objectClass", &["groupOfNames"]), ("member", &[ANN])]).is(OK);
    member.meet(&house);
    let snapshot = house.directory.dit().read().unwrap();
    let listed = snapshot.view().conflicting_entries(EntryId(0)).unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    drop(snapshot);
    assert_eq!(shown(&house, &format!("cn=phantom.{uuid},cn=conflicts"), "conflictEntry"), [groups.as_str()]);
    let list: [(ModificationKind, &str, &[&str]); 1] = [(ModificationKind::Delete, "isDeleted", &[])];
    house.modify(&house.admin(), &format!("entryUUID={uuid},cn=deleted"), &list).is(OK);
    assert_eq!(house.values(&groups, "ou"), ["groups"]);
    assert!(house.exists(&group), "what was below is below again");
}

#[test]
fn a_phantom_is_restored_and_a_broken_entry_dismissed_by_name() {
    let house = House::new();
    let member = Member::of(&house);
    let groups = format!("ou=groups,{SUFFIX}");
    let uuid = house.see(&groups, |_, entry| entry.record.uuid()).unwrap();
    let person = ann(&house);
    member.change(uuid, |_| vec![Delta::Dead]);
    member.change(person, |writing| vec![cell(writing, "sn", "Person", false)]);
    let group = format!("cn=staff,{groups}");
    house.add(&house.admin(), &group, &[("objectClass", &["groupOfNames"]), ("member", &[ANN])]).is(OK);
    member.meet(&house);
    let phantom = format!("cn=phantom.{uuid},cn=conflicts");
    assert!(shown(&house, &phantom, "conflictRemedy")[0].contains("restore"));
    decide(&house, &phantom, ConflictState::Restored).is(OK);
    assert_eq!(house.values(&groups, "ou"), ["groups"]);
    decide(&house, &phantom, ConflictState::Restored).is(ResultCode::NO_SUCH_OBJECT);
    let broken = format!("cn=schema-violation.{person},cn=conflicts");
    decide(&house, &broken, ConflictState::Restored).is(ResultCode::UNWILLING_TO_PERFORM);
    decide(&house, &broken, ConflictState::Dismissed).is(OK);
    assert_eq!(shown(&house, &broken, "conflictState"), ["dismissed"]);
    let open = house.directory.dit().read().unwrap().view().open_conflicts().unwrap();
    assert!(!open.contains_key(&crate::dit::ConflictKind::SchemaViolation), "{open:?}");
}

#[test]
fn an_entry_without_a_superior_is_seen_below_lost_and_found_and_put_elsewhere() {
    let house = House::new();
    let uuid = EntryUuid([9; 16]);
    let dn = format!("cn=stray,{SUFFIX}");
    let parsed = Dn::parse(&dn).unwrap();
    write(house.directory.writer(), move |writing| {
        let attributes: Vec<_> = [("objectClass", "person"), ("cn", "stray"), ("sn", "Stray")]
            .map(|(name, value)| {
                let id = writing.intern(&AttributeDescription::parse(name).unwrap()).unwrap();
                (id, vec![value.as_bytes().to_vec()])
            })
            .into();
        let parent = writing.view().resolve(&parsed.superior().unwrap()).unwrap().entry.unwrap();
        let mut deltas = crate::dit::birth_deltas(writing, &parsed, parent, &attributes).unwrap();
        for delta in &mut deltas {
            if let Delta::Birth { parent, .. } = delta {
                *parent = EntryUuid([10; 16]);
            }
        }
        writing.change(Target::New(uuid), "cn=elsewhere", deltas).unwrap();
    });
    assert!(!house.exists(&dn));
    let lost = format!("entryUUID={uuid},cn=lost\\+found");
    assert_eq!(shown(&house, &lost, "sn"), ["Stray"]);
    assert_eq!(shown(&house, &format!("cn=lost-superior.{uuid},cn=conflicts"), "conflictKind"), ["lost-superior"]);
    // Who is told of it, and why, by the rules for where it stands.
    let rule = r#"(targetattr = "isDeleted || sn")(version 3.0; acl "found"; allow (read) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#;
    house.modify(&house.admin(), SUFFIX, &[(ModificationKind::Add, "aci", &[rule])]).is(OK);
    let reads = |who: &str, attribute: Option<&str>| {
        let entry = Dn::parse(&lost).unwrap();
        let connection = Requester::anonymous(None, 0, true);
        let dit = house.directory.dit();
        let question = crate::operation::access::AccessQuestion {
            requester: crate::operation::access::requester_named(dit, &Dn::parse(who).unwrap(), &connection).unwrap(),
            entry: &entry,
            attribute,
            moved_to: None,
            rights: &[crate::policy::rights::Right::Read],
            time: crate::policy::access::LocalTime::from_unix_ms(0, 0),
        };
        let told = crate::operation::access::explain_access(dit, &question).unwrap();
        (told.instead.unwrap().0, told.explanations.iter().all(|explanation| explanation.is_allowed()))
    };
    // Of its superior no name is known, so it stands in no suffix, and the rules of none speak of it: ann is told that it is that
    // entry that she may not read, bob that he is told of none.
    assert_eq!(reads(ANN, None), ("cn=stray".to_owned(), false));
    assert_eq!(reads(ANN, Some("sn")), ("cn=stray".to_owned(), false));
    assert_eq!(reads(BOB, None), (SUFFIX.to_owned(), false));
    let place = |to: &str| {
        let list: [(ModificationKind, &str, &[&str]); 1] = [(ModificationKind::Replace, "distinguishedName", &[to])];
        house.modify(&house.admin(), &lost, &list)
    };
    place("cn=other,dc=example,dc=com").is(ResultCode::NAMING_VIOLATION);
    place("cn=stray,ou=nowhere,dc=example,dc=com").is(ResultCode::NO_SUCH_OBJECT);
    let home = format!("cn=stray,{PEOPLE}");
    place(&home).is(OK);
    assert_eq!(house.values(&home, "sn"), ["Stray"]);
    place(&home).is(ResultCode::NO_SUCH_OBJECT);
    house.modify(&house.admin(), &home, &[(ModificationKind::Replace, "description", &["found"])]).is(OK);
}
