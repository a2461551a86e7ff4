//! The rule against a model of three replicas in which it is known who knew what.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::state::testing::{Draw, birth, fold, rdn, stamp, update, value};
use crate::state::{Csn, EntryState, OriginId};

const REPLICAS: usize = 3;
/// A register: every write is a clear and a value.
const TITLE: u32 = 1;
/// Any number of values.
const MAIL: u32 = 2;

#[derive(Default)]
struct Log(BTreeMap<Stamp, Update>);

impl History for Log {
    fn update(&mut self, stamp: Stamp) -> Option<Update> {
        self.0.get(&stamp).cloned()
    }

    fn known_later(&mut self, stamp: Stamp) -> Option<Vec<(OriginId, u64)>> {
        let later = self
            .0
            .values()
            .filter(|update| update.stamp.csn.origin() == stamp.csn.origin() && update.stamp.sequence > stamp.sequence);
        later.min_by_key(|update| update.stamp.sequence).map(|update| update.known.clone())
    }

    fn is_coming(&mut self, stamp: Stamp) -> bool {
        !self.0.contains_key(&stamp)
    }

    fn each_spilled(&mut self, _: AttributeId, _: &mut dyn FnMut(ValueKey, Cell)) {}

    fn is_bookkeeping(&self, attribute: AttributeId) -> bool {
        attribute.0 > MAIL
    }
}

struct Replica {
    state: EntryState,
    log: Log,
    /// How far each origin's updates are here.
    vector: BTreeMap<OriginId, u64>,
    lost: Vec<Lost>,
    questions: BTreeSet<Question>,
}

struct Model {
    draw: Draw,
    replicas: Vec<Replica>,
    rows: Vec<Vec<Update>>,
    /// What the writer of each update held.
    truth: BTreeMap<Stamp, BTreeSet<Stamp>>,
    causal: bool,
    texts: u64,
    /// Whether updates say how far others were held.
    says_known: bool,
}

impl Model {
    fn new(seed: u64, causal: bool, says_known: bool) -> Self {
        let add = Delta::Birth { rdn: rdn(&[(MAIL, "x")]), parent: EntryUuid([9; 16]) };
        let add = update(birth(), vec![add, value(TITLE, 0, true, "boss"), value(MAIL, 0, true, "a")]);
        let replica = || Replica {
            state: fold([&add]),
            log: Log([(add.stamp, add.clone())].into()),
            vector: BTreeMap::new(),
            lost: Vec::new(),
            questions: BTreeSet::new(),
        };
        Self {
            draw: Draw(seed),
            replicas: (0..REPLICAS).map(|_| replica()).collect(),
            rows: vec![Vec::new(); REPLICAS],
            truth: BTreeMap::new(),
            causal,
            texts: 0,
            says_known,
        }
    }

    fn deltas(&mut self, may_die: bool) -> Vec<Delta> {
        self.texts += 1;
        let (fresh, common) = (format!("t{}", self.texts), ["a", "b", "c"][self.draw.below(3) as usize]);
        match self.draw.below(12) {
            0..4 => vec![Delta::Clear(AttributeId(TITLE)), value(TITLE, 0, true, &fresh)],
            // Taken away twice is the same content.
            4 if may_die => vec![Delta::Clear(AttributeId(TITLE))],
            5..8 => vec![value(MAIL, 0, self.draw.chance(50), common)],
            8 => vec![Delta::Clear(AttributeId(MAIL)), value(MAIL, 0, true, common)],
            9 => vec![Delta::Rdn(rdn(&[(7, &fresh)]))],
            10 => vec![Delta::Parent(EntryUuid([self.texts as u8; 16]))],
            _ if may_die => vec![Delta::Dead],
            _ => vec![value(MAIL, 0, true, common)],
        }
    }

    fn write(&mut self, at: usize, may_die: bool) {
        let deltas = self.deltas(may_die);
        let (replica, origin) = (&mut self.replicas[at], OriginId(at as u64 + 10));
        if replica.state.dead.is_some() {
            return;
        }
        let sequence = self.rows[at].len() as u64 + 1;
        let ms = replica.state.max_stamp().csn.ms() + self.draw.below(2);
        let ms = ms.max(self.rows[at].last().map_or(2, |last| last.stamp.csn.ms() + 1));
        let csn = Csn::new(ms, (self.texts % 1000) as u16, origin).max(Csn::new(
            replica.state.max_stamp().csn.ms() + 1,
            0,
            origin,
        ));
        let stamp = Stamp { csn, sequence };
        let replaced = deltas.iter().map(|delta| replica.state.replaced_by(delta)).collect();
        let known = if self.says_known { replica.vector.clone().into_iter().collect() } else { Vec::new() };
        let update = update(stamp, deltas).replacing(replaced).knowing(known);
        self.truth.insert(stamp, replica.log.0.keys().copied().collect());
        assert_eq!(
            lost_by_joining(&replica.state, &update, &mut replica.log).lost,
            [],
            "a local change overrides nothing unseen"
        );
        replica.state.apply(&update);
        replica.log.0.insert(stamp, update.clone());
        self.rows[at].push(update);
    }

    /// Takes the next update of another origin, if there is one that may come.
    fn receive(&mut self, at: usize, from: usize) -> bool {
        let origin = OriginId(from as u64 + 10);
        let replica = &mut self.replicas[at];
        let held = replica.vector.get(&origin).copied().unwrap_or(0);
        let Some(update) = self.rows[from].get(held as usize).filter(|_| at != from).cloned() else { return false };
        if self.causal && !self.truth[&update.stamp].iter().all(|known| replica.log.0.contains_key(known)) {
            return false;
        }
        let found = lost_by_joining(&replica.state, &update, &mut replica.log);
        replica.lost.extend(found.lost);
        replica.questions.extend(found.questions);
        replica.state.apply(&update);
        replica.vector.insert(origin, held + 1);
        replica.log.0.insert(update.stamp, update.clone());
        for question in std::mem::take(&mut replica.questions) {
            if question.awaited == update.stamp {
                let found = answer(&question, update.clone(), &mut replica.log);
                replica.lost.extend(found.lost);
                replica.questions.extend(found.questions);
            } else {
                replica.questions.insert(question);
            }
        }
        true
    }

    fn run(&mut self, steps: u64, may_die: bool) {
        for _ in 0..steps {
            let (at, from) = (self.draw.below(3) as usize, self.draw.below(3) as usize);
            if self.draw.chance(45) {
                self.write(at, may_die);
            } else {
                self.receive(at, from);
            }
        }
        while (0..REPLICAS * REPLICAS).any(|pair| self.receive(pair / REPLICAS, pair % REPLICAS)) {}
    }

    fn knew(&self, who: Stamp, what: Stamp) -> bool {
        self.truth.get(&who).is_some_and(|known| known.contains(&what))
    }

    fn assert_only_concurrent(&self, seed: u64) {
        for lost in self.replicas.iter().flat_map(|replica| &replica.lost) {
            assert_ne!(lost.winner, lost.loser, "seed {seed}");
            assert!(!self.knew(lost.winner, lost.loser), "seed {seed}: the winner knew: {lost:?}");
            assert!(!self.knew(lost.loser, lost.winner), "seed {seed}: the loser knew: {lost:?}");
            assert_ne!(lost.winner_content, lost.loser_content, "seed {seed}");
        }
    }

    /// Of the writes of a place those that nobody replaced knowingly and that are not shown.
    fn unseen(&self, place: &Place) -> BTreeSet<Stamp> {
        let writes: BTreeMap<Stamp, Stamp> = self
            .rows
            .iter()
            .flatten()
            .filter_map(|update| Some((update.stamp, *update.replaced.get(delta_at(update, place)?)?)))
            .collect();
        let shown = writes.keys().max().copied();
        let replaced: BTreeSet<Stamp> = writes.values().copied().collect();
        writes.into_keys().filter(|stamp| Some(*stamp) != shown && !replaced.contains(stamp)).collect()
    }
}

#[test]
fn only_changes_of_which_neither_knew_the_other_are_told() {
    let mut told = 0;
    for seed in 0..1500 {
        let mut model = Model::new(seed, seed % 2 == 0, seed % 3 != 0);
        model.run(60, true);
        model.assert_only_concurrent(seed);
        told += model.replicas.iter().map(|replica| replica.lost.len()).sum::<usize>();
    }
    assert!(told > 5_000, "the model makes conflicts: {told}");
}

#[test]
fn every_replica_tells_of_every_lost_content_of_a_register() {
    let mut lost = 0;
    for seed in 0..1500 {
        let mut model = Model::new(seed, seed % 2 == 0, seed % 3 != 0);
        model.run(50, false);
        for place in [Place::Attribute(AttributeId(TITLE)), Place::Rdn, Place::Parent] {
            let unseen = model.unseen(&place);
            lost += unseen.len();
            for (number, replica) in model.replicas.iter().enumerate() {
                assert_eq!(replica.questions, BTreeSet::new(), "seed {seed}, replica {number}");
                let told: BTreeSet<Stamp> =
                    replica.lost.iter().filter(|lost| lost.place == place).map(|lost| lost.loser).collect();
                let missing: Vec<_> = unseen.difference(&told).collect();
                assert_eq!(missing, Vec::<&Stamp>::new(), "seed {seed}, replica {number}, {place:?}");
            }
        }
    }
    assert!(lost > 2_000, "the model loses content: {lost}");
}

/// Two changes apart, the first of them older; both ways of meeting tell the same.
fn meet(one: Vec<Delta>, other: Vec<Delta>) -> Vec<Lost> {
    let add = Delta::Birth { rdn: rdn(&[(9, "x")]), parent: EntryUuid([9; 16]) };
    let add = update(birth(), vec![add, value(TITLE, 0, true, "boss"), value(MAIL, 0, true, "a")]);
    let base = fold([&add]);
    let written = |deltas: Vec<Delta>, at: u64, origin: u64| {
        let replaced = deltas.iter().map(|delta| base.replaced_by(delta)).collect();
        update(stamp(at, origin), deltas).replacing(replaced)
    };
    let (one, other) = (written(one, 5, 2), written(other, 6, 3));
    let [forth, back] = [(&one, &other), (&other, &one)].map(|(first, second)| {
        let mut log = Log([&add, first].map(|update| (update.stamp, update.clone())).into());
        lost_by_joining(&fold([&add, first]), second, &mut log).lost
    });
    assert_eq!(forth, back);
    forth
}

fn title(text: &str) -> Vec<Delta> {
    vec![Delta::Clear(AttributeId(TITLE)), value(TITLE, 0, true, text)]
}

fn texts(values: &[&str]) -> Content {
    Content::Values(values.iter().map(|text| CellValue::Text(text.as_bytes().to_vec())).collect())
}

#[test]
fn of_two_titles_the_older_is_lost_whichever_way_they_meet() {
    let lost = meet(title("CEO"), title("CTO"));
    let [lost] = lost.as_slice() else { panic!("{lost:?}") };
    assert_eq!((lost.winner, lost.loser, lost.rule), (stamp(6, 3), stamp(5, 2), Rule::NewerReplace));
    assert_eq!((&lost.winner_content, &lost.loser_content), (&texts(&["CTO"]), &texts(&["CEO"])));
}

#[test]
fn the_same_content_twice_is_no_conflict() {
    assert_eq!(meet(title("CEO"), title("ceo")), []);
    let add = vec![value(MAIL, 0, true, "b")];
    assert_eq!(meet(add.clone(), add), []);
    let gone = vec![value(MAIL, 0, false, "a")];
    assert_eq!(meet(gone.clone(), gone), []);
    let clear = vec![Delta::Clear(AttributeId(TITLE))];
    assert_eq!(meet(clear.clone(), clear), []);
}

#[test]
fn different_values_and_different_attributes_are_no_conflict() {
    assert_eq!(meet(vec![value(MAIL, 0, true, "b")], vec![value(MAIL, 0, true, "c")]), []);
    assert_eq!(meet(title("CEO"), vec![value(MAIL, 0, true, "c")]), []);
    assert_eq!(meet(vec![Delta::Clear(AttributeId(MAIL))], vec![value(MAIL, 0, true, "c")]), []);
}

#[test]
fn a_value_added_is_lost_by_a_newer_deletion_of_all() {
    let lost = meet(vec![value(MAIL, 0, true, "b"), value(MAIL, 1, true, "c")], vec![Delta::Clear(AttributeId(MAIL))]);
    let told: Vec<_> = lost.iter().map(|lost| (lost.rule, lost.loser_content.clone())).collect();
    assert_eq!(told, [(Rule::ClearOverAdd, texts(&["b"])), (Rule::ClearOverAdd, texts(&["c"]))]);
}

#[test]
fn a_deleted_title_is_lost_by_a_newer_title_and_the_other_way_round() {
    let clear = vec![Delta::Clear(AttributeId(TITLE))];
    let lost = meet(clear.clone(), title("CEO"));
    assert_eq!((lost.len(), lost[0].rule, &lost[0].loser_content), (1, Rule::NewerReplace, &texts(&[])));
    let lost = meet(title("CEO"), clear);
    assert_eq!((lost.len(), lost[0].rule, &lost[0].loser_content), (1, Rule::NewerReplace, &texts(&["CEO"])));
}

#[test]
fn a_value_deleted_and_kept_by_a_newer_replace_is_told_of() {
    let kept = vec![Delta::Clear(AttributeId(MAIL)), value(MAIL, 0, true, "a"), value(MAIL, 1, true, "b")];
    let lost = meet(vec![value(MAIL, 0, false, "a")], kept);
    let [lost] = lost.as_slice() else { panic!("{lost:?}") };
    let without = Content::Without(vec![CellValue::Text(b"a".to_vec())]);
    assert_eq!((lost.rule, &lost.loser_content), (Rule::AddOverDelete, &without));
}

#[test]
fn a_change_of_a_deleted_entry_is_lost_whatever_its_time() {
    for (one, other) in [(vec![Delta::Dead], title("CEO")), (title("CEO"), vec![Delta::Dead])] {
        let lost = meet(one, other);
        let [lost] = lost.as_slice() else { panic!("{lost:?}") };
        assert_eq!(lost.rule, Rule::DeleteOverChange);
        assert_eq!((&lost.winner_content, &lost.loser_content), (&Content::Dead, &texts(&["CEO"])));
    }
}

#[test]
fn of_two_renames_and_of_two_moves_the_older_is_lost() {
    let rename = |text: &str| vec![Delta::Rdn(rdn(&[(9, text)]))];
    let place = |uuid: u8| vec![Delta::Parent(EntryUuid([uuid; 16]))];
    let lost = meet(rename("y"), rename("z"));
    assert_eq!((lost.len(), lost[0].rule, lost[0].loser), (1, Rule::NewerRename, stamp(5, 2)));
    let lost = meet(place(1), place(2));
    assert_eq!((lost.len(), lost[0].rule), (1, Rule::NewerMove));
    assert_eq!(lost[0].loser_content, Content::Parent(EntryUuid([1; 16])));
    assert_eq!(meet(rename("y"), place(1)), []);
}

#[test]
fn what_a_forgotten_record_would_tell_is_not_claimed() {
    let add = update(birth(), vec![value(TITLE, 0, true, "boss")]);
    let silent = update(stamp(6, 3), title("CTO"));
    let late = update(stamp(5, 2), title("CEO")).replacing(vec![birth(), birth()]);
    let state = fold([&add, &silent]);
    assert_eq!(lost_by_joining(&state, &late, &mut Log::default()).lost, []);
    assert_eq!(lost_by_joining(&state, &late, &mut Log([(silent.stamp, silent)].into())).lost, []);
}
