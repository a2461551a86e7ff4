//! Three trees on disk that write, exchange records and whole entries, forget, trim, and restart at random times, with wild
//! clocks. At the end all exchange everything; then they must hold the same, and each be sound. The pure model of the
//! same rules is `state::cluster_model`; here the tables, the log and the sums take part.

use super::*;
use crate::state::{BUCKETS, Csn, StableCut, Stamp, UpdateVector};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const REPLICAS: usize = 3;
const GROUP: u8 = 2;
const MEMBERS: u64 = 90;

/// Numbers from a seed (splitmix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub(super) struct Cluster {
    draw: Draw,
    replicas: Vec<Option<Replica>>,
    /// What each replica held when it wrote its number n.
    rows: Vec<BTreeMap<u64, UpdateVector>>,
    /// At each replica: what the others are known to hold.
    seen: Vec<Vec<UpdateVector>>,
    next_uuid: u8,
    /// The last one is away: the others do not wait for it, nor hear of it.
    away: bool,
    /// The rule: absence is forgotten only when every replica holds the change.
    forgets_when_stable: bool,
}

fn origin(replica: usize) -> OriginId {
    OriginId(replica as u64 + 1)
}

/// Everything that clients see of an entry.
pub(super) type Shown = (String, i64, i64, Vec<(String, Vec<String>)>);

impl Cluster {
    pub(super) fn new(seed: u64, schema: &Arc<Schema>, forgets_when_stable: bool) -> Self {
        Self::of(seed, forgets_when_stable, |at| Replica::new(origin(at).0, schema))
    }

    /// One of which some replicas encrypt, each with a key of its own.
    fn encrypting(seed: u64, schema: &Arc<Schema>) -> Self {
        Self::of(seed, true, |at| match at {
            0 => Replica::new(origin(at).0, schema),
            _ => Replica::encrypting(origin(at).0, schema),
        })
    }

    fn of(seed: u64, forgets_when_stable: bool, make: impl Fn(usize) -> Replica) -> Self {
        let replicas: Vec<Replica> = (0..REPLICAS)
            .map(|at| {
                let Replica { dit, clock, folder, schema } = make(at);
                drop(dit);
                let options = model_options(&folder);
                let dit = Dit::open(options, Arc::clone(&schema), clock.clone()).unwrap();
                Replica { dit, clock, folder, schema }
            })
            .collect();
        let first = &replicas[0];
        first.suffix();
        first.add(GROUP, "cn=group,dc=example,dc=com", &[("objectClass", &["groupOfNames"]), ("cn", &["group"])]);
        first.change(GROUP, |writing| (0..70).map(|number| cell(writing, "member", &member(number), true)).collect());
        for other in &replicas[1..] {
            other.follow(first);
        }
        let vector = first.dit.read().unwrap().view().update_vector().unwrap();
        Self {
            draw: Draw(seed),
            replicas: replicas.into_iter().map(Some).collect(),
            rows: vec![BTreeMap::new(); REPLICAS],
            seen: vec![vec![vector; REPLICAS]; REPLICAS],
            next_uuid: 10,
            away: false,
            forgets_when_stable,
        }
    }

    fn at(&self, at: usize) -> &Replica {
        self.replicas[at].as_ref().unwrap()
    }

    fn any(&mut self) -> usize {
        self.draw.below(REPLICAS as u64 - u64::from(self.away)) as usize
    }

    fn vector(&self, at: usize) -> UpdateVector {
        self.at(at).dit.read().unwrap().view().update_vector().unwrap()
    }

    /// Writes one change; now and then with a stamp from far ahead.
    fn write(&mut self, at: usize, target: impl FnOnce(&mut Writing<'_>) -> Option<(Target, Vec<Delta>)>) {
        let wild = self.draw.chance(5);
        let vector = self.vector(at);
        let step = Duration::from_millis(self.draw.below(4));
        let replica = self.at(at);
        replica.clock.advance(step);
        replica.write(|writing| {
            let Some((target, deltas)) = target(writing) else { return };
            let clock = writing.clock;
            if wild {
                writing.clock.follow(Csn::new(writing.now_ms() + 3_600_000, 0, origin(at)));
            }
            writing.change(target, "cn=test", deltas).unwrap();
            if wild {
                // The time was right again.
                writing.clock = crate::state::HybridClock::resume(origin(at), clock.last(), writing.clock.bumped());
            }
        });
        let written = self.at(at).sequence(origin(at));
        self.rows[at].insert(written, vector);
    }

    /// A new entry below the suffix or any other, with a name that others have too.
    fn add(&mut self, at: usize) {
        self.next_uuid += 1;
        let uuid = self.next_uuid;
        let name = format!("p{}", if self.draw.chance(40) { self.draw.below(4) } else { u64::from(uuid) });
        let below = self.live(at);
        let below = below.get(self.draw.below(2 * below.len() as u64) as usize).copied();
        self.write(at, |writing| {
            let parent = below.unwrap_or(EntryUuid([1; 16]));
            let parent = writing.view().by_uuid(parent).unwrap()?;
            let dn = format!("cn={name},{}", writing.view().dn_text(parent).unwrap()?);
            let dn = Dn::parse(&dn).unwrap();
            if writing.view().resolve(&dn).unwrap().entry.is_some() {
                return None;
            }
            let attributes = [("objectClass", "inetOrgPerson"), ("cn", &name), ("uidNumber", "5")]
                .map(|(name, value)| (attribute(writing, name), vec![value.as_bytes().to_vec()]));
            let deltas = birth_deltas(writing, &dn, parent, &attributes).unwrap();
            Some((Target::New(EntryUuid([uuid; 16])), deltas))
        });
    }

    /// Entries that can be chosen for a change.
    fn live(&self, at: usize) -> Vec<EntryUuid> {
        let here = self.at(at).dit.read().unwrap();
        let is_live = |uuid: &EntryUuid| uuid.0[0] > GROUP && here.view().by_uuid(*uuid).unwrap().is_some();
        heads(self.at(at)).into_iter().map(|(uuid, _)| uuid).filter(is_live).collect()
    }

    fn change(&mut self, at: usize) {
        let live = self.live(at);
        let chosen = live.get(self.draw.below(live.len() as u64) as usize).copied();
        let other = live.get(self.draw.below(2 * live.len() as u64) as usize).copied();
        let kind = self.draw.below(26);
        let (text, number) = (if self.draw.chance(50) { "a" } else { "b" }, self.draw.below(MEMBERS));
        let several = 1 + self.draw.below(12);
        self.write(at, |writing| {
            let group = kind < 6;
            let uuid = if group { EntryUuid([GROUP; 16]) } else { chosen? };
            let id = writing.view().by_uuid(uuid).unwrap()?;
            let deltas = match kind {
                0..3 => vec![cell(writing, "member", &member(number), true)],
                3..5 => {
                    (number..number + several).map(|number| cell(writing, "member", &member(number), false)).collect()
                }
                5 if number < 4 => vec![Delta::Clear(attribute(writing, "member"))],
                5 => vec![cell(writing, "description", text, true)],
                6..11 => vec![cell(writing, "description", text, true)],
                11..16 => vec![cell(writing, "description", text, false)],
                16 => vec![Delta::Clear(attribute(writing, "description"))],
                17..19 => {
                    let description = attribute(writing, "description");
                    vec![Delta::Clear(description), cell(writing, "description", text, true)]
                }
                19 => {
                    let rdn = crate::model::Rdn::parse(&format!("cn=p{}", number % 4)).unwrap();
                    vec![Delta::Rdn(rdn_state(writing, &rdn).unwrap())]
                }
                20..22 => {
                    let number = attribute(writing, "uidNumber");
                    let origin = writing.origin();
                    writing.state(id).unwrap()?.count_delta(number, origin, 1).into_iter().collect()
                }
                22..24 => {
                    let parent = other.unwrap_or(EntryUuid([1; 16]));
                    let below = writing.view().by_uuid(parent).unwrap()?;
                    if writing.view().is_within(below, id).unwrap() {
                        return None;
                    }
                    vec![Delta::Parent(parent)]
                }
                _ if writing.view().subordinate_count(id).unwrap() > 0 => return None,
                _ => vec![Delta::Dead],
            };
            Some((Target::Existing(id), deltas))
        });
    }

    /// Sends the target what it lacks by records, of each origin all or some; whole entries where the log has gone.
    fn send(&mut self, source: usize, target: usize, all: bool) {
        for from in (0..REPLICAS).filter(|from| *from != target) {
            let (held, there) = (self.at(target).sequence(origin(from)), self.at(source).sequence(origin(from)));
            if there <= held {
                continue;
            }
            let upto = if !all && self.draw.chance(50) { held + self.draw.below(there - held + 1) } else { there };
            // A little earlier than needed, and with a gap before it: neither may harm.
            let first = held.saturating_sub(self.draw.below(3)) + 1;
            let range = self.at(source).dit.read().unwrap().view().log_range(origin(from), first, usize::MAX).unwrap();
            let LogRange::Records(records) = range else {
                if all {
                    self.exchange(source, target);
                }
                continue;
            };
            let replica = self.at(target);
            let mut taken = Vec::new();
            replica.write(|writing| {
                if let Some(beyond) = records.iter().find(|record| record.sequence > held + 1) {
                    assert_eq!(writing.receive(beyond).unwrap(), Receipt::Gap { held });
                }
                for record in records.iter().filter(|record| record.sequence <= upto) {
                    match writing.receive(record).unwrap() {
                        Receipt::Applied { .. } => taken.push(record.sequence),
                        receipt => assert_eq!(receipt, Receipt::Known),
                    }
                }
            });
            for sequence in taken {
                if let Some(row) = self.rows[from].get(&sequence) {
                    self.seen[target][from].clone_from(row);
                }
            }
        }
    }

    /// Joins all entries of the source into the target, which then holds what the source holds.
    fn exchange(&mut self, source: usize, target: usize) {
        if source == target || self.at(source).sequence(origin(target)) > self.at(target).sequence(origin(target)) {
            return;
        }
        let (vector, bytes_max) = (self.vector(source), 200 + self.draw.below(4000) as usize);
        let clock = self.at(source).write(|writing| writing.clock.last());
        let fills = bytes_max % 2 == 0;
        let theirs = heads(self.at(source));
        let replica = self.at(target);
        let gone: Vec<(EntryUuid, Stamp)> = heads(replica).difference(&theirs).copied().collect();
        let mut mark = None;
        loop {
            let (piece, next) =
                self.at(source).dit.read().unwrap().view().portable_entries(mark.as_ref(), bytes_max).unwrap();
            replica.write(|writing| {
                writing.follow_clock(clock);
                if fills {
                    writing.begin_fill().unwrap();
                }
                for entry in &piece {
                    assert!(!matches!(writing.merge_entry(entry).unwrap(), Merged::Undecodable(_)));
                }
            });
            mark = next;
            if mark.is_none() {
                break;
            }
        }
        replica.write(|writing| {
            for (uuid, birth) in &gone {
                writing.drop_if_deleted_at(*uuid, *birth, &vector).unwrap();
            }
            writing.take_vector(&vector).unwrap();
            writing.end_fill().unwrap();
        });
        for from in (0..REPLICAS).filter(|from| *from != target) {
            let row = self.seen[source][from].clone();
            self.seen[target][from].join(&row);
        }
    }

    /// What every replica is known to hold, as `at` knows it.
    fn cut(&self, at: usize) -> StableCut {
        let own = self.vector(at);
        let here = REPLICAS - usize::from(self.away);
        let others = self.seen[at].iter().enumerate().take(here).filter(|(other, _)| *other != at);
        let stable =
            if self.forgets_when_stable { others.fold(own, |stable, (_, seen)| stable.meet(seen)) } else { own };
        stable.iter().map(|(origin, position)| (origin, position.sequence)).collect()
    }

    fn step(&mut self) {
        let (at, source) = (self.any(), self.any());
        match self.draw.below(100) {
            0..10 => self.add(at),
            10..55 => self.change(at),
            55..60 => self.write(at, |writing| {
                Some((Target::Existing(writing.view().by_uuid(EntryUuid([1; 16])).unwrap()?), Vec::new()))
            }),
            60..78 => self.send(source, at, false),
            78..84 => self.exchange(source, at),
            84..96 => {
                let (cut, work) = (self.cut(at), 1 + self.draw.below(40) as usize);
                self.at(at).write(|writing| writing.settle(&cut, &StableCut::new(), work).unwrap());
            }
            96..98 => {
                let floors = self.cut(at);
                self.at(at).write(|writing| writing.trim_log(&floors, 20).unwrap());
            }
            _ => {
                let Replica { dit, clock, folder, schema } = self.replicas[at].take().unwrap();
                drop(dit);
                let dit = Dit::open(model_options(&folder), Arc::clone(&schema), clock.clone()).unwrap();
                self.replicas[at] = Some(Replica { dit, clock, folder, schema });
            }
        }
    }

    /// Lives for some steps, and then lets everybody take everything from everybody.
    fn run(mut self, steps: usize) -> Self {
        for _ in 0..steps {
            self.step();
        }
        for _ in 0..2 {
            for (source, target) in (0..REPLICAS * REPLICAS).map(|pair| (pair / REPLICAS, pair % REPLICAS)) {
                self.send(source, target, true);
            }
        }
        self
    }

    /// Lives, sends the last one away, lives on without it while it writes for itself, and takes it back.
    pub(super) fn with_one_away(mut self, steps: usize) -> Vec<Replica> {
        let last = REPLICAS - 1;
        (0..steps).for_each(|_| self.step());
        // Its end is agreed: the others hold the same of it.
        (0..2).for_each(|_| (0..last * last).for_each(|pair| self.send(pair / last, pair % last, true)));
        let end = self.at(0).sequence(origin(last));
        self.away = true;
        for _ in 0..steps {
            match self.draw.below(100) {
                0..5 => self.add(last),
                5..25 => self.change(last),
                _ => self.step(),
            }
        }
        (0..2).for_each(|_| (0..last * last).for_each(|pair| self.send(pair / last, pair % last, true)));
        let bytes_max = 100 + self.draw.below(4000) as usize;
        self.at(last).return_to(self.at(0), end, bytes_max);
        self.replicas.into_iter().flatten().collect()
    }

    fn assert_equal(&self) {
        let first = self.at(0);
        for replica in self.replicas.iter().flatten() {
            replica.assert_sound();
            let (one, other) = (first.dit.read().unwrap(), replica.dit.read().unwrap());
            assert_eq!(one.view().update_vector().unwrap(), other.view().update_vector().unwrap());
            let (ours, theirs) = (shown(first), shown(replica));
            for uuid in ours.keys().chain(theirs.keys()) {
                assert_eq!(ours.get(uuid), theirs.get(uuid), "entry {uuid}");
            }
            assert_eq!(one.view().digest_buckets().unwrap(), other.view().digest_buckets().unwrap());
            assert_eq!(one.view().digest().unwrap(), other.view().digest().unwrap());
        }
    }

    fn has_equal_digests(&self) -> bool {
        let digest = |replica: &Replica| replica.dit.read().unwrap().view().digest().unwrap();
        self.replicas.iter().flatten().all(|replica| digest(replica) == digest(self.at(0)))
    }
}

fn model_options(folder: &tempfile::TempDir) -> Options {
    Options { recycle_retention_ms: 3, log_records_min: 2, ..options(folder) }
}

/// Which runs a test makes: more with `ENTENTE_MODEL_SEEDS=1000 cargo test --lib trees_`.
pub(super) fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("ENTENTE_MODEL_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(12)
}

fn member(number: u64) -> String {
    format!("cn=m{number},o=elsewhere")
}

/// Entries that are here, also deleted ones.
pub(super) fn heads(replica: &Replica) -> BTreeSet<(EntryUuid, Stamp)> {
    let all: BTreeSet<u16> = (0..BUCKETS as u16).collect();
    let heads = replica.dit.read().unwrap().view().bucket_heads(&all).unwrap();
    heads.into_iter().map(|head| (head.uuid, head.birth)).collect()
}

pub(super) fn shown(replica: &Replica) -> BTreeMap<EntryUuid, Shown> {
    let snapshot = replica.dit.read().unwrap();
    let view = snapshot.view();
    let mut all = BTreeMap::new();
    for (uuid, _) in heads(replica) {
        let Some(entry) = view.by_uuid(uuid).unwrap().and_then(|id| view.entry(id).unwrap()) else { continue };
        let mut attributes: Vec<(String, Vec<String>)> = entry
            .record
            .attributes()
            .map(|slice| {
                (
                    view.catalog().attribute(slice.id).unwrap().key.clone(),
                    view.values(&entry, &slice)
                        .unwrap()
                        .into_iter()
                        .map(|value| String::from_utf8(value).unwrap())
                        .collect(),
                )
            })
            .collect();
        attributes.sort();
        let (created, modified) = (entry.record.created_ms(), entry.record.modified_ms());
        all.insert(uuid, (view.dn_text(entry.id).unwrap().unwrap(), created, modified, attributes));
    }
    all
}

/// same-updates-same-content, with disk: nodes of equal vectors have equal digests and show the same.
#[test]
fn trees_that_exchanged_everything_show_the_same() {
    let schema = Arc::new(Schema::builtin());
    for seed in seeds() {
        Cluster::new(seed, &schema, true).run(120).assert_equal();
    }
}

/// The same where some encrypt and others do not: what is encrypted is the same on all.
#[test]
fn trees_of_which_some_encrypt_show_the_same() {
    let schema = Arc::new(Schema::builtin());
    for seed in seeds() {
        Cluster::encrypting(seed, &schema).run(120).assert_equal();
    }
}

/// A member without encryption names entries as it likes: nothing of it is refused, and all is shown.
#[test]
fn a_name_of_an_encrypted_attribute_from_elsewhere_is_taken() {
    let schema = Arc::new(Schema::builtin());
    let (plain, mut encrypting) = (Replica::new(1, &schema), Replica::encrypting(2, &schema));
    plain.suffix();
    plain.add(3, "mail=ann@x,dc=example,dc=com", &[("objectClass", &["inetOrgPerson"]), ("mail", &["ann@x"])]);
    encrypting.follow(&plain);
    assert_eq!(shown(&plain), shown(&encrypting));
    encrypting.assert_sound();
    encrypting.set(3, "description", "x", true);
    plain.follow(&encrypting);
    plain.set(3, "mail", "other@x", true);
    encrypting.follow(&plain);
    assert_eq!(shown(&plain), shown(&encrypting));
    encrypting = encrypting.reopen();
    encrypting.assert_sound();
    let Replica { dit, clock, folder, .. } = encrypting;
    drop(dit);
    let dit = Dit::open_to_encrypt(options(&folder), Arc::clone(&schema), clock.clone()).unwrap();
    assert_eq!(encrypt_anew(&dit, &mut |_, _| {}).unwrap().named, 1);
}

/// The rule left out must make them differ: that proves the model sees it.
#[test]
fn forgetting_what_not_all_hold_would_make_trees_differ() {
    let schema = Arc::new(Schema::builtin());
    let mut seeds = 0..60;
    assert!(seeds.any(|seed| !Cluster::new(seed, &schema, false).run(120).has_equal_digests()));
}
