//! Random births, moves, renames and deaths in random orders, with repetitions, on real trees: after every update the
//! tree is what a naive computation makes of the same set of updates.

mod model;

use crate::clock::Clock;
use crate::dit::{Dit, Options, Writing};
use crate::model::{AttributeDescription, EntryUuid};
use crate::schema::Schema;
use crate::state::{AttributeId, CellValue, Csn, Delta, EntryState, OriginId, Stamp, Update, ValueKey};
use crate::storage::{ENTRY_LOSER, ENTRY_PHANTOM, EntryId, Table, uuid2id_key};
use model::{Kind, Op, What, naive_view};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A tree that takes updates of anybody.
struct Tree {
    dit: Dit,
    cn: AttributeId,
    dc: AttributeId,
    member: AttributeId,
    context: AttributeId,
    _folder: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { durable: false, map_bytes: 1 << 26, ..Options::new(folder.path()) };
        let dit = Dit::open(options, Arc::new(Schema::builtin()), Clock::simulated(1_000)).unwrap();
        let mut writing = Writing::begin(&dit).unwrap();
        let mut number = |name: &str| writing.intern(&AttributeDescription::parse(name).unwrap()).unwrap();
        let (cn, dc, member, context) = (number("cn"), number("dc"), number("member"), number("contextName"));
        writing.commit().unwrap();
        Self { dit, cn, dc, member, context, _folder: folder }
    }

    fn deltas(&self, op: &Op) -> Vec<Delta> {
        let rdn = |name: &str, attribute: AttributeId, type_text: &str| crate::state::RdnState {
            avas: vec![crate::state::RdnAva {
                attribute,
                key: ValueKey::of_normal(name.as_bytes()),
                value: name.as_bytes().to_vec(),
                type_text: type_text.to_owned(),
            }],
        };
        let cell = |attribute, key, value| Delta::Cell { attribute, key, order: 0, present: true, value };
        match &op.what {
            What::Birth { parent: EntryUuid::NIL, name } => vec![
                Delta::Birth { rdn: rdn(name, self.dc, "dc"), parent: EntryUuid::NIL },
                cell(self.context, ValueKey::of_normal(b"dc=r"), CellValue::Text(format!("dc={name}").into_bytes())),
            ],
            What::Birth { parent, name } => vec![Delta::Birth { rdn: rdn(name, self.cn, "cn"), parent: *parent }],
            What::Move(parent) => vec![Delta::Parent(*parent)],
            What::Rename(name) => vec![Delta::Rdn(rdn(name, self.cn, "cn"))],
            What::Death => vec![Delta::Dead],
            What::Link(target) => vec![cell(self.member, ValueKey::link(*target), CellValue::Link(*target))],
            What::Text(dn) => {
                let view_dn = crate::model::Dn::parse(dn).unwrap();
                let key = ValueKey::of_normal(&self.dit.catalog().schema().dn_key(&view_dn));
                vec![cell(self.member, key, CellValue::Text(dn.clone().into_bytes()))]
            }
        }
    }

    fn receive(&self, op: &Op) {
        let mut writing = Writing::begin(&self.dit).unwrap();
        let update = Update::new(op.stamp, op.uuid, op.birth, "cn=test".to_owned(), self.deltas(op));
        for origin in [update.stamp.csn.origin(), update.birth.csn.origin()] {
            Arc::make_mut(&mut writing.catalog).intern_origin(&mut writing.txn, origin).unwrap();
            writing.catalog_changed = true;
        }
        let dot = update.birth.dot();
        let key = uuid2id_key(update.uuid, Some((dot.origin, dot.sequence)));
        let known = writing.txn.reader().get(Table::Uuid2Id, &key).unwrap().map(EntryId::from_key);
        let id = match known {
            Some(id) => id,
            None => {
                writing.last_id += 1;
                let id = EntryId(writing.last_id);
                let mode = crate::storage::PutMode::Upsert;
                writing.txn.put(Table::Uuid2Id, &key, &id.to_key(), mode).unwrap();
                id
            }
        };
        let state: Option<EntryState> = writing.state(id).unwrap();
        writing.join(id, state, &update).unwrap();
        writing.commit().unwrap();
    }

    /// Every entry that is shown, with its name.
    fn shown(&self) -> BTreeMap<String, (EntryUuid, Kind)> {
        let snapshot = self.dit.read().unwrap();
        let view = snapshot.view();
        let mut shown = BTreeMap::new();
        let mut cursor = view.reader().cursor(Table::Id2Entry).unwrap();
        let mut item = cursor.first().unwrap();
        while let Some((key, _)) = item {
            item = cursor.next().unwrap();
            let id = EntryId::from_key(key);
            let entry = view.entry(id).unwrap().unwrap();
            let kind = match (entry.record.flags() & ENTRY_PHANTOM != 0, entry.record.flags() & ENTRY_LOSER != 0) {
                (true, true) => continue,
                (true, false) => Kind::Phantom,
                (false, true) => Kind::Loser,
                (false, false) => Kind::Live,
            };
            let name = view.dn_text(id).unwrap().unwrap();
            let dn = crate::model::Dn::parse(&name).unwrap();
            assert_eq!(view.resolve(&dn).unwrap().entry, Some(id), "{name} leads to its entry");
            let superior = view.superior(&entry);
            let siblings: Vec<EntryId> = view.children(superior).unwrap().map(Result::unwrap).collect();
            assert!(siblings.contains(&id), "{name} is among the children of its superior");
            assert_eq!(
                siblings.len() as u64,
                if superior == EntryId::NONE {
                    siblings.len() as u64
                } else {
                    view.subordinate_count(superior).unwrap()
                }
            );
            assert_eq!(shown.insert(name.clone(), (entry.record.uuid(), kind)), None, "{name} is shown once");
        }
        shown
    }

    /// The names in the order in which a walk down the tree meets them.
    fn walked(&self) -> Vec<String> {
        let snapshot = self.dit.read().unwrap();
        let view = snapshot.view();
        let mut walked = Vec::new();
        let mut left: Vec<EntryId> = vec![EntryId::NONE];
        while let Some(id) = left.pop() {
            walked.extend(view.dn_text(id).unwrap());
            let children: Vec<EntryId> = view.children(id).unwrap().map(Result::unwrap).collect();
            left.extend(children.into_iter().rev());
        }
        walked
    }

    #[track_caller]
    fn assert_sound(&self) {
        crate::dit::fixture::assert_sound(&self.dit);
    }
}

fn uuid(n: usize) -> EntryUuid {
    let mut bytes = [0xee; 16];
    bytes[15] = n as u8;
    EntryUuid(bytes)
}

fn stamp(time: u64, sequence: u64) -> Stamp {
    Stamp { csn: Csn::new(time, sequence as u16, OriginId(1 + sequence % 3)), sequence }
}

/// A history: entry 0 is the suffix.
fn history() -> impl Strategy<Value = Vec<Op>> {
    let entries = 2..7_usize;
    entries
        .prop_flat_map(|entries| {
            let births = prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize, 1..12_u64), entries);
            let changes = prop::collection::vec(
                (0..10_u8, 0..entries, 0..=entries, 0..3_usize, 0..12_u64, any::<prop::sample::Index>()),
                0..14,
            );
            (births, changes)
        })
        .prop_map(|(births, changes)| {
            let names = ["x", "y", "z"];
            let mut ops = vec![Op {
                stamp: stamp(1, 1),
                uuid: uuid(0),
                birth: stamp(1, 1),
                what: What::Birth { parent: EntryUuid::NIL, name: "r".to_owned() },
            }];
            let mut born = vec![stamp(1, 1)];
            for (at, (parent, name, time)) in births.iter().enumerate() {
                let stamp = stamp(*time, at as u64 + 2);
                let what = What::Birth { parent: uuid(parent.index(at + 1)), name: names[*name].to_owned() };
                ops.push(Op { stamp, uuid: uuid(at + 1), birth: stamp, what });
                born.push(stamp);
            }
            for (at, (kind, entry, other, name, later, _)) in changes.iter().enumerate() {
                let birth = born[entry + 1];
                let what = match kind {
                    0..=3 => What::Move(uuid(*other)),
                    4..=5 => What::Rename(names[*name].to_owned()),
                    6..=7 => What::Death,
                    8 => What::Link(uuid(*other)),
                    _ => What::Text(format!("cn={},cn={},dc=r", names[*name], names[other % 3])),
                };
                let stamp = stamp(birth.csn.ms() + later, 100 + at as u64);
                ops.push(Op { stamp, uuid: uuid(entry + 1), birth, what });
            }
            ops
        })
}

/// Births of names below superiors, entry by entry; the older claim comes first.
fn births(entries: &[(usize, Option<usize>, &str)]) -> Vec<Op> {
    let birth = |(time, (entry, parent, name)): (usize, &(usize, Option<usize>, &str))| {
        let stamp = stamp(time as u64 + 1, time as u64 + 1);
        let what = What::Birth { parent: parent.map_or(EntryUuid::NIL, uuid), name: (*name).to_owned() };
        Op { stamp, uuid: uuid(*entry), birth: stamp, what }
    };
    entries.iter().enumerate().map(birth).collect()
}

#[test]
fn an_entry_that_moves_below_one_whose_name_is_held_below_itself_parts_from_it_before_a_name_is_read() {
    let (suffix, winner, loser, given_way, holder, linking, other) = (0, 1, 2, 3, 4, 5, 6);
    let mut ops = births(&[
        (suffix, None, "r"),
        (winner, Some(suffix), "x"),
        (loser, Some(suffix), "x"),
        (holder, Some(loser), "z"),
        (given_way, Some(winner), "z"),
        (other, Some(loser), "y"),
        (linking, Some(winner), "y"),
    ]);
    for (sequence, entry, what) in [(21, linking, What::Link(uuid(holder))), (22, loser, What::Move(uuid(given_way)))] {
        let birth = ops.iter().find(|op| op.uuid == uuid(entry)).unwrap().birth;
        ops.push(Op { stamp: stamp(sequence, sequence), uuid: uuid(entry), birth, what });
    }
    let tree = Tree::new();
    for (at, op) in ops.iter().enumerate() {
        tree.receive(op);
        assert_eq!(tree.shown(), naive_view(&ops[..=at]));
    }
    tree.assert_sound();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn the_tree_is_a_function_of_the_set_of_updates(
        (ops, order) in history().prop_flat_map(|ops| {
            let all = ops.len();
            let order: Vec<usize> = (0..all).chain((0..all).step_by(4)).collect();
            (Just(ops), Just(order).prop_shuffle())
        })
    ) {
        let tree = Tree::new();
        let mut arrived: Vec<Op> = Vec::new();
        for at in order {
            tree.receive(&ops[at]);
            arrived.push(ops[at].clone());
            let expected = naive_view(&arrived);
            prop_assert_eq!(tree.shown(), expected);
        }
        tree.assert_sound();
        let other = Tree::new();
        ops.iter().for_each(|op| other.receive(op));
        prop_assert_eq!(tree.walked(), other.walked());
        let shown = tree.shown();
        for (name, (_, kind)) in &shown {
            if let Some((_, superior)) = name.split_once(',') {
                prop_assert!(shown.contains_key(superior), "the superior of {name} is shown");
            }
            let below = format!(",{name}");
            let is_above_live =
                shown.iter().any(|(other, (_, kind))| other.ends_with(&below) && *kind != Kind::Phantom);
            prop_assert!(*kind != Kind::Phantom || is_above_live, "{name} is a phantom above nothing");
        }
        for op in ops.iter().filter(|op| matches!(op.what, What::Birth { .. })) {
            let dead = ops.iter().any(|other| other.uuid == op.uuid && other.what == What::Death);
            prop_assert!(dead || shown.values().any(|(uuid, _)| *uuid == op.uuid), "a live entry is lost");
        }
    }
}
