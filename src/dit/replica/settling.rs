//! What is forgotten, when, and what is not.

use super::*;
use crate::state::{Csn, EntryState, StableCut, Stamp};
use crate::storage::Table;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn node() -> Replica {
    let one = Replica::new(1, &Arc::new(Schema::builtin()));
    one.suffix();
    one.person(3, "Ann");
    one
}

impl Replica {
    fn state(&self, id: EntryId) -> Option<EntryState> {
        self.write(|writing| writing.state(id).unwrap())
    }

    fn digest(&self) -> crate::state::BucketSum {
        self.dit.read().unwrap().view().digest().unwrap()
    }

    /// Brings a deleted entry back where it was; gives its deletion and its new birth.
    pub(super) fn undelete(&self, uuid: u8) -> (Stamp, Stamp) {
        let uuid = EntryUuid([uuid; 16]);
        let deleted = self.dit.read().unwrap().view().deleted(uuid).unwrap().unwrap();
        let birth = self.write(|writing| {
            let (rdn, author) = (deleted.state.rdn.1.clone(), cell(writing, "description", "back", true));
            let deltas = writing.undelete_deltas(&deleted, rdn, deleted.state.parent.1, author).unwrap();
            writing.change(Target::New(uuid), "cn=test", deltas).unwrap().1
        });
        (deleted.dead, birth)
    }

    /// Settles all that is here of every origin, as if all members held it.
    fn settle_all(&self) -> Settled {
        let vector = self.dit.read().unwrap().view().update_vector().unwrap();
        self.settle(&vector.iter().map(|(origin, position)| (origin, position.sequence)).collect())
    }

    fn settle(&self, cut: &StableCut) -> Settled {
        self.settle_known(cut, &StableCut::new())
    }

    fn settle_known(&self, cut: &StableCut, known: &StableCut) -> Settled {
        let mut sum = Settled::default();
        loop {
            let settled = self.write(|writing| writing.settle(cut, known, 10).unwrap());
            sum.forgotten += settled.forgotten;
            sum.purged += settled.purged;
            if !settled.more {
                return sum;
            }
        }
    }

    /// How many cells and clears say that something is gone, of the entry's own record.
    fn absences(&self, id: EntryId) -> usize {
        let attributes = self.state(id).map(|state| state.attributes).unwrap_or_default();
        let count = |held: &crate::state::AttributeState| {
            held.cells.values().filter(|cell| !cell.present).count() + usize::from(held.clear.is_some())
        };
        attributes.values().map(count).sum()
    }

    fn count(&self, table: Table) -> u64 {
        self.dit.read().unwrap().view().reader().count(table).unwrap()
    }
}

const ANN: EntryId = EntryId(2);

#[test]
fn absence_that_all_hold_is_forgotten_and_nothing_else_changes() {
    let one = node();
    one.set(3, "mail", "a@x", true);
    one.set(3, "mail", "a@x", false);
    one.change(3, |writing| vec![Delta::Clear(attribute(writing, "o"))]);
    one.set(1, "o", "tick", true);
    let newest = one.state(ANN).unwrap().max_stamp();
    let digest = one.dit.read().unwrap().view().digest().unwrap();
    assert_eq!(one.absences(ANN), 2);
    assert_eq!(one.settle(&[(OriginId(1), 3)].into()), Settled::default(), "not all hold it");
    assert_eq!(one.settle_all().forgotten, 1);
    assert_eq!(one.absences(ANN), 0);
    assert_eq!(one.state(ANN).unwrap().max_stamp(), newest, "the time of the last change stays");
    assert_eq!(one.dit.read().unwrap().view().digest().unwrap(), digest);
    one.assert_sound();
    assert_eq!(one.settle_all(), Settled::default());
}

#[test]
fn absence_whose_stamp_is_not_older_than_the_clock_waits() {
    let (one, two) = (node(), Replica::new(2, &Arc::new(Schema::builtin())));
    two.follow(&one);
    two.clock.advance(Duration::from_secs(3600));
    two.set(3, "mail", "a@x", false);
    one.follow(&two);
    assert_eq!(one.settle_all().forgotten, 0);
    assert_eq!((one.absences(ANN), one.count(Table::Unsettled)), (1, 1));
    one.clock.advance(Duration::from_secs(3601));
    one.set(1, "o", "tick", true);
    let one = one.reopen();
    assert_eq!(one.settle_all().forgotten, 1);
    assert_eq!((one.absences(ANN), one.count(Table::Unsettled)), (0, 0));
    one.assert_sound();
}

#[test]
fn absence_whose_record_was_trimmed_or_never_came_is_forgotten_too() {
    let (one, two) = (node(), Replica::new(2, &Arc::new(Schema::builtin())));
    one.set(3, "mail", "a@x", false);
    one.set(1, "o", "tick", true);
    let (entries, _) = one.dit.read().unwrap().view().portable_entries(None, 1 << 20).unwrap();
    let vector = one.dit.read().unwrap().view().update_vector().unwrap();
    two.write(|writing| {
        writing.follow_clock(Csn::new(1_700_000_000_000, 100, OriginId(1)));
        entries.iter().for_each(|entry| _ = writing.merge_entry(entry).unwrap());
        writing.take_vector(&vector).unwrap();
    });
    two.set(1, "o", "tick", true);
    one.write(|writing| writing.drop_log_below(OriginId(1), 9, 10).unwrap());
    for node in [&one, &two] {
        assert_eq!((node.absences(ANN), node.count(Table::Unsettled)), (1, 1));
        assert_eq!(node.settle_all().forgotten, 1);
        assert_eq!((node.absences(ANN), node.count(Table::Unsettled)), (0, 0));
        node.assert_sound();
    }
}

#[test]
fn cells_of_a_spilled_attribute_are_forgotten_one_by_one_until_nothing_is_left_of_it() {
    let one = node();
    one.add(5, "cn=group,dc=example,dc=com", &[("objectClass", &["groupOfNames"]), ("cn", &["group"])]);
    let texts: Vec<String> = (0..70).map(|number| format!("cn=p{number},dc=example,dc=com")).collect();
    one.change(5, |writing| texts.iter().map(|text| cell(writing, "member", text, true)).collect());
    one.change(5, |writing| texts[..20].iter().map(|text| cell(writing, "member", text, false)).collect());
    one.set(1, "o", "tick", true);
    assert_eq!(one.count(Table::BigValues), 70);
    one.settle_all();
    assert_eq!(one.count(Table::BigValues), 50);
    one.assert_sound();
    one.change(5, |writing| texts[20..].iter().map(|text| cell(writing, "member", text, false)).collect());
    one.set(1, "o", "tock", true);
    assert_eq!(one.settle_all().forgotten, 1);
    assert_eq!(one.count(Table::BigValues), 0);
    let state = one.state(EntryId(3)).unwrap();
    assert!(state.attributes.values().all(|held| held.spilled.is_none()));
    one.assert_sound();
}

#[test]
fn deleted_entry_is_kept_whole_for_its_time_and_then_does_not_come_back() {
    let (one, two) = (node(), Replica::new(2, &Arc::new(Schema::builtin())));
    two.follow(&one);
    let before = two.dit.read().unwrap().view().portable_entries(None, 1 << 20).unwrap().0;
    one.change(3, |_| vec![Delta::Dead]);
    one.clock.advance(29 * DAY);
    one.set(1, "o", "tick", true);
    assert_eq!(one.settle_all().purged, 0);
    assert!(one.state(ANN).unwrap().attributes.len() > 2, "the body is there");
    one.clock.advance(2 * DAY);
    one.set(1, "o", "tock", true);
    assert_eq!(one.settle(&[(OriginId(1), 2)].into()).purged, 0, "not all know of it");
    assert_eq!(one.settle_all().purged, 1);
    assert_eq!(one.state(ANN), None);
    assert_eq!((one.count(Table::Deleted), one.count(Table::Uuid2Id)), (0, 1));
    one.assert_sound();
    two.set(3, "mail", "late@x", true);
    one.follow(&two);
    let ann = before.iter().find(|entry| entry.uuid == EntryUuid([3; 16])).unwrap();
    assert_eq!(one.write(|writing| writing.merge_entry(ann).unwrap()), Merged::Deleted);
    assert_eq!(one.state(ANN), None);
    one.assert_sound();
}

/// Two deletes Ann without knowing of Bob below her, and shows her as a phantom; one has deleted Bob and then hears that Ann
/// is deleted, so that it never shows the phantom. All hold her deletion, and two does not hold Bob's.
#[test]
fn deleted_entry_stays_until_all_know_that_nothing_is_below_it() {
    let (one, two) = (node(), Replica::new(2, &Arc::new(Schema::builtin())));
    two.follow(&one);
    let below = |name: &str| format!("cn={name},cn=Ann,{SUFFIX}");
    let person = [("objectClass", &["person"][..]), ("cn", &["x"]), ("sn", &["x"])];
    one.add(4, &below("Bob"), &person);
    let common = one.sequence(OriginId(1));
    two.change(3, |_| vec![Delta::Dead]);
    two.follow(&one);
    one.change(4, |_| vec![Delta::Dead]);
    one.follow(&two);
    let past_retention = |node: &Replica| {
        node.clock.advance(31 * DAY);
        node.set(1, "o", "tick", true);
    };
    past_retention(&one);
    for _ in 0..2 {
        assert_eq!(one.settle(&[(OriginId(1), common), (OriginId(2), two.sequence(OriginId(2)))].into()).purged, 0);
    }
    two.add(5, &below("Cid"), &person);
    one.follow(&two);
    two.follow(&one);
    for node in [&one, &two] {
        assert_eq!(node.dit.read().unwrap().view().dn_text(node.id(5)).unwrap(), Some(below("Cid")));
    }
    one.change(5, |_| vec![Delta::Dead]);
    two.follow(&one);
    past_retention(&one);
    (0..2).for_each(|_| past_retention(&two));
    one.follow(&two);
    two.follow(&one);
    for node in [&one, &two] {
        assert_eq!(node.settle_all().purged, 3, "Ann, Bob and Cid");
        node.assert_sound();
    }
}

#[test]
fn log_is_trimmed_below_its_floors_but_for_the_newest_records() {
    let one = node();
    for number in 0..20 {
        one.set(3, "description", &format!("{number}"), true);
    }
    let Replica { dit, clock, folder, schema } = one;
    drop(dit);
    let options = Options { log_records_min: 5, ..options(&folder) };
    let dit = Dit::open(options, Arc::clone(&schema), clock.clone()).unwrap();
    let one = Replica { dit, clock, folder, schema };
    let floor = |one: &Replica| one.dit.read().unwrap().view().log_floors().unwrap()[&OriginId(1)];
    let last = one.sequence(OriginId(1));
    assert_eq!(one.write(|writing| writing.trim_log(&[(OriginId(1), 10)].into(), 4).unwrap()), 4);
    assert_eq!(floor(&one), 5);
    one.write(|writing| writing.trim_log(&[(OriginId(1), 10)].into(), 100).unwrap());
    assert_eq!(floor(&one), 10);
    one.assert_sound();
    one.write(|writing| writing.trim_log(&[(OriginId(1), u64::MAX)].into(), 100).unwrap());
    assert_eq!(floor(&one), last - 4);
    one.assert_sound();
}

#[test]
fn log_over_its_limit_loses_the_oldest_records_of_the_longest() {
    let one = node();
    let Replica { dit, clock, folder, schema } = one;
    drop(dit);
    let options = Options { log_records_max: 10, ..options(&folder) };
    let dit = Dit::open(options, Arc::clone(&schema), clock.clone()).unwrap();
    let one = Replica { dit, clock, folder, schema };
    for number in 0..20 {
        one.set(3, "description", &format!("{number}"), number % 2 == 0);
    }
    assert_eq!(one.count(Table::Log), 10);
    one.assert_sound();
    assert_eq!(one.settle_all().forgotten, 1);
    assert_eq!(one.absences(ANN), 1, "the last one is as new as the clock");
    one.set(1, "o", "tick", true);
    one.settle_all();
    assert_eq!(one.absences(ANN), 0);
    one.assert_sound();
}

#[test]
fn log_over_its_limit_loses_first_what_all_suppliers_hold_and_keeps_the_newest_of_each_origin() {
    let (one, two) = (node(), Replica::new(2, &Arc::new(Schema::builtin())));
    two.follow(&one);
    for number in 0..12 {
        one.set(3, "description", &format!("{number}"), true);
    }
    for number in 0..4 {
        two.set(3, "description", &format!("two {number}"), true);
    }
    one.follow(&two);
    let settled = one.sequence(OriginId(2)) - 1;
    let (last, held) = (one.sequence(OriginId(1)), one.sequence(OriginId(2)));
    one.write(|writing| {
        let mut of_two = writing.held(OriginId(2)).unwrap();
        of_two.settled = settled;
        writing.set_held(OriginId(2), of_two);
    });
    let Replica { dit, clock, folder, schema } = one;
    drop(dit);
    let floors = |limit| {
        let options = Options { log_records_max: limit, ..options(&folder) };
        let dit = Dit::open(options, Arc::clone(&schema), clock.clone()).unwrap();
        fixture::write(&dit, |writing| writing.trim_to_limit().unwrap());
        let floors = dit.read().unwrap().view().log_floors().unwrap();
        (floors[&OriginId(1)], floors[&OriginId(2)])
    };
    let all = last + held;
    assert_eq!(floors(all - 2), (1, 3), "though the other log is longer");
    assert_eq!(floors(all - settled - 3), (4, settled + 1));
    assert_eq!(floors(1), (last, held));
}

/// What stands below what is not here yet is judged when that comes, however long all hold the move.
#[test]
fn move_that_waits_for_a_birth_is_not_forgotten_before_that_came() {
    let schema = Arc::new(Schema::builtin());
    let (one, two, three) = (node(), Replica::new(2, &schema), Replica::new(3, &schema));
    two.follow(&one);
    two.add(4, "ou=new,dc=example,dc=com", &[("objectClass", &["organizationalUnit"]), ("ou", &["new"])]);
    one.follow(&two);
    one.change(3, |_| vec![Delta::Parent(EntryUuid([4; 16]))]);
    three.follow(&one);
    three.clock.advance(Duration::from_secs(1));
    three.set(1, "o", "tick", true);
    three.settle_all();
    three.follow(&two);
    let name = |node: &Replica| node.dit.read().unwrap().view().dn_text(node.id(3)).unwrap();
    assert_eq!(name(&three).as_deref(), Some("cn=Ann,ou=new,dc=example,dc=com"));
    assert_eq!(name(&three), name(&one));
    three.set(1, "o", "tock", true);
    three.settle_all();
    assert_eq!(three.count(Table::Moves), 0);
    three.assert_sound();
}

/// All disks that held the new superior went back to old copies: what was moved below it stays where it was, and newer moves
/// are forgotten as ever.
#[test]
fn move_that_waits_for_a_birth_that_nobody_holds_is_forgotten_unmade() {
    let schema = Arc::new(Schema::builtin());
    let (one, two, three) = (node(), Replica::new(2, &schema), Replica::new(3, &schema));
    two.follow(&one);
    two.add(4, "ou=new,dc=example,dc=com", &[("objectClass", &["organizationalUnit"]), ("ou", &["new"])]);
    one.follow(&two);
    one.change(3, |_| vec![Delta::Parent(EntryUuid([4; 16]))]);
    one.add(5, "ou=other,dc=example,dc=com", &[("objectClass", &["organizationalUnit"]), ("ou", &["other"])]);
    one.person(6, "Bob");
    three.follow(&one);
    let held = || -> StableCut {
        let vector = three.dit.read().unwrap().view().update_vector().unwrap();
        vector.iter().map(|(origin, position)| (origin, position.sequence)).collect()
    };
    let known = held();
    three.change(6, |_| vec![Delta::Parent(EntryUuid([5; 16]))]);
    three.clock.advance(Duration::from_secs(1));
    three.set(1, "o", "tick", true);
    three.settle_all();
    assert_eq!(three.dit.read().unwrap().view().moves().unwrap().len(), 2, "somebody may still hold it");
    three.settle_known(&held(), &known);
    assert_eq!(three.count(Table::Moves), 0);
    let name = |uuid| three.dit.read().unwrap().view().dn_text(three.id(uuid)).unwrap();
    assert_eq!(name(3).as_deref(), Some("cn=Ann,dc=example,dc=com"));
    three.assert_sound();
}

/// Who has forgotten the first incarnation takes the second birth for the beginning; who has not, plays it as a move.
#[test]
fn birth_is_newer_than_all_that_the_entry_was_before_whatever_the_clock_says() {
    let schema = Arc::new(Schema::builtin());
    let (one, two, three) = (Replica::new(1, &schema), Replica::new(2, &schema), Replica::new(3, &schema));
    one.suffix();
    two.follow(&one);
    two.clock.advance(DAY);
    two.person(3, "Ann");
    two.change(3, |_| vec![Delta::Dead]);
    one.follow(&two);
    three.follow(&one);
    three.follow(&two);
    three.clock.advance(32 * DAY);
    three.set(1, "o", "tick", true);
    assert_eq!(three.settle_all().purged, 1);
    one.follow(&three);
    let (dead, birth) = one.undelete(3);
    assert!(birth > dead, "csn-rises");
    three.follow(&one);
    assert_eq!(one.digest(), three.digest());
    one.assert_sound();
    three.assert_sound();
}

/// Its first birth was written under numbers of an origin that stand for something else here, and will never come.
#[test]
fn second_birth_comes_after_the_moves_of_a_first_that_is_not_here() {
    let schema = Arc::new(Schema::builtin());
    let [one, two, three, four] = [1, 2, 3, 4].map(|origin| Replica::new(origin, &schema));
    one.suffix();
    one.add(4, "ou=new,dc=example,dc=com", &[("objectClass", &["organizationalUnit"]), ("ou", &["new"])]);
    four.follow(&one);
    one.person(3, "Ann");
    two.follow(&one);
    two.change(3, |_| vec![Delta::Parent(EntryUuid([4; 16]))]);
    three.follow(&one);
    three.follow(&two);
    three.change(3, |_| vec![Delta::Dead]);
    three.undelete(3);
    four.follow(&two);
    four.follow(&three);
    assert_eq!(three.digest(), four.digest());
    three.assert_sound();
    four.assert_sound();
}

/// It knows the third birth from the log, which does not say what was before.
#[test]
fn births_that_come_whole_after_a_later_one_stand_before_it() {
    let schema = Arc::new(Schema::builtin());
    let [one, two, three, four] = [1, 2, 3, 4].map(|origin| Replica::new(origin, &schema));
    one.suffix();
    four.follow(&one);
    one.person(3, "Ann");
    two.follow(&one);
    two.change(3, |_| vec![Delta::Dead]);
    two.undelete(3);
    three.follow(&one);
    three.follow(&two);
    three.change(3, |_| vec![Delta::Dead]);
    three.undelete(3);
    four.follow(&three);
    four.initialise(&three, 1 << 20);
    let edges = |node: &Replica| node.dit.read().unwrap().view().edges_of(EntryUuid([3; 16])).unwrap();
    assert_eq!(edges(&four), edges(&three));
    assert_eq!(four.digest(), three.digest());
    three.assert_sound();
    four.assert_sound();
}

/// It came unborn with what its first incarnation stood below then, and that was moved since.
#[test]
fn second_birth_that_comes_whole_stands_where_the_first_was_moved_meanwhile() {
    let schema = Arc::new(Schema::builtin());
    let [one, two, three, four] = [1, 2, 3, 4].map(|origin| Replica::new(origin, &schema));
    one.suffix();
    one.add(4, "ou=new,dc=example,dc=com", &[("objectClass", &["organizationalUnit"]), ("ou", &["new"])]);
    one.person(3, "Ann");
    two.follow(&one);
    two.change(3, |_| vec![Delta::Dead]);
    two.undelete(3);
    one.follow(&two);
    one.set(3, "mail", "ann@x", true);
    three.follow(&one);
    four.initialise(&three, 1 << 20);
    two.follow(&one);
    two.change(3, |_| vec![Delta::Parent(EntryUuid([4; 16]))]);
    four.initialise(&two, 1 << 20);
    let name = |node: &Replica| node.dit.read().unwrap().view().dn_text(node.id(3)).unwrap();
    assert_eq!(name(&four).as_deref(), Some("cn=Ann,ou=new,dc=example,dc=com"));
    assert_eq!(four.digest(), two.digest());
    two.assert_sound();
    four.assert_sound();
}

/// The one was brought back twice at the same time; what was born last died first, and one has forgotten it.
#[test]
fn phantom_of_an_entry_born_more_than_once_has_one_name_whatever_was_forgotten_of_it() {
    let (one, two) = (node(), Replica::new(2, &Arc::new(Schema::builtin())));
    one.add(4, "ou=unit,dc=example,dc=com", &[("objectClass", &["organizationalUnit"]), ("ou", &["unit"])]);
    one.change(4, |_| vec![Delta::Dead]);
    two.follow(&one);
    one.undelete(4);
    two.clock.advance(Duration::from_secs(1));
    two.undelete(4);
    two.change(4, |_| vec![Delta::Dead]);
    one.follow(&two);
    two.follow(&one);
    one.change(4, |writing| {
        let rdn = crate::model::Rdn::parse("ou=renamed").unwrap();
        vec![Delta::Rdn(rdn_state(writing, &rdn).unwrap())]
    });
    one.person(5, "Bob");
    one.change(5, |_| vec![Delta::Parent(EntryUuid([4; 16]))]);
    two.follow(&one);
    one.clock.advance(31 * DAY);
    one.set(1, "o", "tick", true);
    assert!(one.settle_all().purged > 0);
    assert_eq!(one.dit.read().unwrap().view().incarnations(EntryUuid([4; 16])).unwrap().len(), 1);
    two.follow(&one);
    one.change(4, |_| vec![Delta::Dead]);
    two.follow(&one);
    let name = |node: &Replica| node.dit.read().unwrap().view().dn_text(node.id(5)).unwrap();
    assert_eq!(name(&one).as_deref(), Some("cn=Bob,ou=renamed,dc=example,dc=com"));
    assert_eq!(name(&two), name(&one));
    one.assert_sound();
    two.assert_sound();
}

/// Where numbers are set back, the birth would be one that is still to come.
#[test]
fn deleted_entry_stays_until_all_hold_its_birth() {
    let (one, two) = (node(), Replica::new(2, &Arc::new(Schema::builtin())));
    two.follow(&one);
    two.change(3, |_| vec![Delta::Dead]);
    two.clock.advance(31 * DAY);
    two.set(1, "o", "tick", true);
    let birth = one.sequence(OriginId(1));
    let all_but_birth = [(OriginId(1), birth - 1), (OriginId(2), two.sequence(OriginId(2)))].into();
    assert_eq!(two.settle(&all_but_birth).purged, 0);
    assert_eq!(two.settle_all().purged, 1);
}

/// Who does not know yet that the last entry below a deleted one is gone shows that one still, and may add below it.
#[test]
fn deleted_entry_stays_until_all_hold_that_nothing_is_below_it() {
    let (one, two) = (node(), Replica::new(2, &Arc::new(Schema::builtin())));
    let unit: [(&str, &[&str]); 2] = [("objectClass", &["organizationalUnit"]), ("ou", &["gone"])];
    one.add(4, "ou=gone,dc=example,dc=com", &unit);
    two.follow(&one);
    let person: [(&str, &[&str]); 3] = [("objectClass", &["inetOrgPerson"]), ("cn", &["Bob"]), ("sn", &["b"])];
    two.add(5, "cn=Bob,ou=gone,dc=example,dc=com", &person);
    one.change(4, |_| vec![Delta::Dead]);
    one.follow(&two);
    two.follow(&one);
    one.clock.advance(31 * DAY);
    two.clock.advance(31 * DAY);
    let both_hold = [(OriginId(1), one.sequence(OriginId(1))), (OriginId(2), two.sequence(OriginId(2)))].into();
    one.change(5, |_| vec![Delta::Dead]);
    assert_eq!(one.settle(&both_hold).purged, 0, "two shows it still");
    let person: [(&str, &[&str]); 3] = [("objectClass", &["inetOrgPerson"]), ("cn", &["Cid"]), ("sn", &["c"])];
    two.add(6, "cn=Cid,ou=gone,dc=example,dc=com", &person);
    one.follow(&two);
    two.follow(&one);
    let name = |node: &Replica| node.dit.read().unwrap().view().dn_text(node.id(6)).unwrap();
    assert_eq!(name(&one).as_deref(), Some("cn=Cid,ou=gone,dc=example,dc=com"));
    assert_eq!(name(&two), name(&one));
    one.change(6, |_| vec![Delta::Dead]);
    one.set(1, "o", "tick", true);
    assert_eq!(one.settle_all().purged, 1, "its time has passed, that of those below it has not");
    one.assert_sound();
    two.assert_sound();
}

/// Two's clock is far ahead, so that its moves are kept when what they led through was deleted long ago. One plays them again, as
/// Ann's new superior comes after Ann's move; two need not. A guest that did not come to the middle first, as what is above that
/// is not here any more, would still stand below its friend when this one is moved below it.
#[test]
fn what_stood_above_those_that_kept_moves_name_stays_with_them() {
    let schema = Arc::new(Schema::builtin());
    let [one, two, three, four] = [1, 2, 3, 4].map(|origin| Replica::new(origin, &schema));
    let unit = |node: &Replica, uuid: u8, name: &str, superior: &str| {
        let attributes: [(&str, &[&str]); 2] = [("objectClass", &["organizationalUnit"]), ("ou", &[name])];
        node.add(uuid, &format!("ou={name},{superior}"), &attributes);
    };
    let below = |superior: u8| move |_: &mut Writing<'_>| vec![Delta::Parent(EntryUuid([superior; 16]))];
    one.suffix();
    one.person(3, "Ann");
    unit(&one, 4, "top", SUFFIX);
    unit(&one, 5, "middle", &format!("ou=top,{SUFFIX}"));
    unit(&one, 7, "friend", SUFFIX);
    unit(&one, 6, "guest", &format!("ou=friend,{SUFFIX}"));
    two.follow(&one);
    two.clock.advance(60 * DAY);
    two.change(6, below(5));
    two.change(7, below(6));
    two.change(6, below(1));
    one.follow(&two);
    one.change(5, |_| vec![Delta::Dead]);
    one.change(4, |_| vec![Delta::Dead]);
    one.clock.advance(32 * DAY);
    one.set(1, "o", "tick", true);
    two.follow(&one);
    assert_eq!(one.settle_all().purged, 0, "the move to one of them may be played again");
    three.follow(&one);
    three.follow(&two);
    unit(&three, 8, "new", SUFFIX);
    [&one, &two, &three].iter().for_each(|other| four.follow(other));
    four.change(3, below(8));
    two.follow(&three);
    two.follow(&four);
    one.follow(&four);
    one.follow(&three);
    let name = |node: &Replica| node.dit.read().unwrap().view().dn_text(node.id(7)).unwrap();
    assert_eq!(name(&two).as_deref(), Some("ou=friend,ou=guest,dc=example,dc=com"));
    assert_eq!(name(&one), name(&two));
    assert_eq!(one.digest(), two.digest());
    one.assert_sound();
    one.clock.advance(60 * DAY);
    one.set(1, "o", "tick", true);
    assert_eq!(one.settle_all().purged, 2, "the moves are forgotten");
    one.assert_sound();
}
