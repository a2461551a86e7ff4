//! Synthetic runs: what each judgement must find.

use entente::model::EntryUuid;
use entente::state::{Csn, Delta, EntryState, OriginId, RdnAva, RdnState, Stamp, Update, ValueKey};

use super::{AttributeId, Issued, Oracle, Verdict, names};

const SUFFIX: EntryUuid = EntryUuid([b's'; 16]);

fn uuid(number: u8) -> EntryUuid {
    let mut uuid = EntryUuid([number; 16]);
    uuid.0[0] = b'o';
    uuid
}

fn stamp(ms: u64) -> Stamp {
    Stamp { csn: Csn::with_epoch(0, ms, 0, OriginId(1)), sequence: ms }
}

fn rdn(name: &str) -> RdnState {
    let ava = RdnAva {
        attribute: AttributeId(0),
        key: ValueKey::of_normal(name.as_bytes()),
        value: name.as_bytes().to_vec(),
        type_text: "ou".to_owned(),
    };
    RdnState { avas: vec![ava] }
}

/// A run as it was promised, and the states that it left.
#[derive(Default)]
struct Told {
    oracle: Oracle,
    states: Vec<EntryState>,
}

impl Told {
    fn with(mut self, ms: u64, of: EntryUuid, birth: u64, deltas: Vec<Delta>) -> Self {
        let update = Update::new(stamp(ms), of, stamp(birth), String::new(), deltas);
        self.oracle.issued.push(Issued { update, certain: true, lost: false });
        self
    }

    /// A birth, of which the state is left.
    fn born(self, ms: u64, of: EntryUuid, parent: EntryUuid, name: &str) -> Self {
        let birth = Delta::Birth { rdn: rdn(name), parent };
        let mut told = self.with(ms, of, ms, vec![birth]);
        let mut state = EntryState::unborn(of, stamp(ms));
        (state.born, state.rdn, state.parent) = (true, (stamp(ms), rdn(name)), (stamp(ms), parent));
        told.states.push(state);
        told
    }

    fn moved(self, ms: u64, of: EntryUuid, birth: u64, parent: EntryUuid) -> Self {
        self.with(ms, of, birth, vec![Delta::Parent(parent)])
    }

    fn state(&mut self, of: EntryUuid) -> &mut EntryState {
        self.states.iter_mut().find(|state| state.uuid == of).expect("it was born")
    }
}

fn three() -> Told {
    Told::default()
        .born(1, SUFFIX, EntryUuid::NIL, "x")
        .born(2, uuid(1), SUFFIX, "a")
        .born(3, uuid(2), SUFFIX, "b")
        .born(4, uuid(3), SUFFIX, "c")
}

#[test]
fn of_two_moves_the_newer_must_hold() {
    let mut told = three().moved(5, uuid(3), 4, uuid(1)).moved(6, uuid(3), 4, uuid(2));
    told.state(uuid(3)).parent = (stamp(5), uuid(1));
    assert!(told.oracle.judge_superiors(&told.states).unwrap_err().contains("must stand below"));
    told.state(uuid(3)).parent = (stamp(6), uuid(2));
    let judged = Verdict::Judged { moves: 2, skipped: 0 };
    assert_eq!(told.oracle.judge_superiors(&told.states), Ok(judged));
}

#[test]
fn a_move_that_was_not_made_is_a_broken_promise() {
    let told = three().moved(5, uuid(3), 4, uuid(1));
    assert!(told.oracle.judge_superiors(&told.states).is_err());
}

#[test]
fn the_newer_of_two_moves_that_make_a_circle_must_not_be_made() {
    let mut told = three().moved(5, uuid(1), 2, uuid(2)).moved(6, uuid(2), 3, uuid(1));
    told.state(uuid(2)).parent = (stamp(6), uuid(1));
    assert!(told.oracle.judge_superiors(&told.states).is_err());
    told.state(uuid(2)).parent = (stamp(3), SUFFIX);
    told.state(uuid(1)).parent = (stamp(5), uuid(2));
    let judged = Verdict::Judged { moves: 2, skipped: 1 };
    assert_eq!(told.oracle.judge_superiors(&told.states), Ok(judged));
}

#[test]
fn an_uncertain_move_may_be_made_or_not() {
    let mut told = three().moved(5, uuid(3), 4, uuid(1));
    told.oracle.doubt(|_, csn| csn == stamp(5).csn);
    assert!(told.oracle.judge_superiors(&told.states).is_ok());
    told.state(uuid(3)).parent = (stamp(5), uuid(1));
    assert!(told.oracle.judge_superiors(&told.states).is_ok());
}

#[test]
fn of_two_renames_the_newer_must_hold() {
    let renamed = |name| vec![Delta::Rdn(rdn(name))];
    let mut told = three().with(5, uuid(3), 4, renamed("d")).with(6, uuid(3), 4, renamed("e"));
    assert!(told.oracle.judge(&told.states).unwrap_err().contains("its name is that of"));
    told.state(uuid(3)).rdn = (stamp(5), rdn("d"));
    assert!(told.oracle.judge(&told.states).is_err());
    told.state(uuid(3)).rdn = (stamp(6), rdn("d"));
    assert!(told.oracle.judge(&told.states).unwrap_err().contains("was given as"));
    told.state(uuid(3)).rdn = (stamp(6), rdn("e"));
    assert_eq!(told.oracle.judge(&told.states), Ok(()));
}

#[test]
fn the_oldest_claim_has_the_name_and_what_is_below_the_others_stands_below_it() {
    let mut told = three().born(7, uuid(4), uuid(3), "below");
    told.state(uuid(3)).rdn = (stamp(6), rdn("a"));
    let names = names(&told.states);
    assert_eq!(names[&uuid(1)], "ou=a,ou=x");
    assert_eq!(names[&uuid(3)], format!("ou=a+entryUUID={},ou=x", uuid(3)));
    assert_eq!(names[&uuid(4)], "ou=below,ou=a,ou=x");
}

#[test]
fn a_dead_entry_keeps_its_name_for_what_lives_below_it() {
    let mut told = three().born(7, uuid(4), uuid(3), "below");
    told.state(uuid(3)).dead = Some(stamp(8));
    told.state(uuid(2)).dead = Some(stamp(8));
    let names = names(&told.states);
    assert_eq!(names[&uuid(4)], "ou=below,ou=c,ou=x");
    assert_eq!((names.get(&uuid(3)), names.get(&uuid(2))), (None, None));
}
