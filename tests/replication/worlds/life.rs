//! Lives: what one replica can have been through, each run once.
//!
//! A replica's content depends on its own history alone: what clients asked of it and what it received, in which order.
//! Many worlds share their replicas' histories, so each history is run once, from a copy of the files of the
//! history before it, and is then known by a number. Two histories after which vector, clock and content are the same
//! count as one.

use crate::case::Ask;
use crate::replica::Replica;
use entente::state::{BucketSum, LogRecord, OriginId, UpdateVector};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

pub(super) const NAMES: [char; 3] = ['A', 'B', 'C'];

/// Lives whose files are kept.
const FILED_MAX: usize = 4_000;

/// Number of a life.
pub(super) type LifeId = usize;

/// What happens to one replica.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Event {
    /// A client asks for the family's n-th operation.
    Ask(usize),
    /// What a replica, as it was in that life, wrote itself comes here.
    Deliver(LifeId),
}

/// Origin, number, chain.
type VectorKey = Vec<(u64, u64, [u8; 16])>;
/// What is shown, by DN.
type Shown = BTreeMap<String, BTreeMap<String, Vec<String>>>;

struct Life {
    replica: usize,
    /// Its files; none if they were given up and are to be made again.
    folder: Option<Arc<TempDir>>,
    vector: UpdateVector,
    /// All that it wrote itself since the beginning.
    written: Vec<LogRecord>,
    /// How it came about.
    before: Option<(LifeId, Event)>,
}

/// What a vector stands for.
#[derive(Clone, Copy)]
struct Content {
    digest: BucketSum,
    /// Hash of what is shown.
    shown: u64,
    /// How many entries that are no phantoms.
    live: u64,
    /// Of the first life that had it.
    of: LifeId,
}

/// All lives of a family.
pub(super) struct Lives {
    root: PathBuf,
    operations: Vec<Ask>,
    /// How far ahead each clock is, in milliseconds.
    ahead_ms: [u64; 3],
    lives: Vec<Life>,
    known: HashMap<(LifeId, Event), LifeId>,
    equal: HashMap<(usize, VectorKey, Vec<u8>), LifeId>,
    contents: HashMap<VectorKey, Content>,
    /// Lives that have files, oldest first, but for those in the beginning.
    filed: VecDeque<LifeId>,
    origins: [u64; 3],
    /// The sequence of the first replica's origin in the beginning.
    begun: u64,
}

/// Where files cost least.
pub(super) fn root() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn folder(root: &Path) -> TempDir {
    tempfile::Builder::new().prefix("entente-worlds-").tempdir_in(root).unwrap()
}

fn key_of(vector: &UpdateVector) -> VectorKey {
    vector.iter().map(|(origin, position)| (origin.0, position.sequence, position.chain)).collect()
}

impl Lives {
    /// Replicas that all hold what `base` makes, and nothing else.
    pub(super) fn begin(base: &[Ask], operations: Vec<Ask>, ahead_ms: [u64; 3]) -> (Self, [LifeId; 3]) {
        let root = root();
        let mut lives = Self {
            root: root.clone(),
            operations,
            ahead_ms,
            lives: Vec::new(),
            known: HashMap::new(),
            equal: HashMap::new(),
            contents: HashMap::new(),
            filed: VecDeque::new(),
            origins: [1, 2, 3],
            begun: 0,
        };
        let mut first: Option<Replica> = None;
        let begun = std::array::from_fn(|at| {
            let mut replica = Replica::in_folder(NAMES[at], folder(&root), 0);
            replica.number(lives.origins[at]);
            match &first {
                None => base.iter().for_each(|ask| {
                    let (code, diagnostic) = replica.ask(ask);
                    assert_eq!(code, "success", "{ask:?}: {diagnostic}");
                }),
                Some(first) => _ = replica.take(first, OriginId(lives.origins[0]), usize::MAX),
            }
            lives.begun = replica.vector().sequence(OriginId(lives.origins[0]));
            let life = lives.enter(&replica, at, None);
            if at == 0 {
                first = Some(replica);
            }
            life
        });
        (lives, begun)
    }

    pub(super) fn count(&self) -> usize {
        self.lives.len()
    }

    /// What becomes of a life; the same number if the event changes nothing or is refused.
    pub(super) fn after(&mut self, life: LifeId, event: Event) -> LifeId {
        let event = match event {
            Event::Deliver(from) if self.lacks(life, from) == 0 => return life,
            event => event,
        };
        if let Some(known) = self.known.get(&(life, event.clone())) {
            return *known;
        }
        let after = self.run(life, &event);
        self.known.insert((life, event), after);
        after
    }

    /// How many records of the replica of `from` are not held in `life`.
    fn lacks(&self, life: LifeId, from: LifeId) -> usize {
        let origin = OriginId(self.origins[self.lives[from].replica]);
        let (held, there) = (self.lives[life].vector.sequence(origin), self.lives[from].vector.sequence(origin));
        there.saturating_sub(held) as usize
    }

    fn run(&mut self, id: LifeId, event: &Event) -> LifeId {
        match self.play(id, event) {
            Some(replica) => self.enter(&replica, self.lives[id].replica, Some((id, event.clone()))),
            None => id,
        }
    }

    /// The replica after the event; none if that was refused.
    fn play(&mut self, id: LifeId, event: &Event) -> Option<Replica> {
        let files = self.files(id);
        let at = self.lives[id].replica;
        let place = folder(&self.root);
        std::fs::copy(files.path().join("data.mdb"), place.path().join("data.mdb")).unwrap();
        let replica = Replica::in_folder(NAMES[at], place, self.ahead_ms[at]);
        match event {
            Event::Ask(number) => {
                let ask = self.operations[*number].clone();
                let (code, diagnostic) = match ask {
                    Ask::Import { dn, attributes, .. } => self.import(&replica, at, dn, attributes),
                    ask => replica.ask(&ask),
                };
                if code != "success" {
                    let told = self.told(at, event);
                    assert!(code.parse::<i64>().is_err(), "{}\n{told}: {code} {diagnostic}", self.story(id));
                    return None;
                }
            }
            Event::Deliver(from) => {
                let count = self.lacks(id, *from);
                let written = &self.lives[*from].written;
                replica.receive(written[written.len() - count..].to_vec());
            }
        }
        Some(replica)
    }

    /// The files of a life, made again if need be.
    fn files(&mut self, id: LifeId) -> Arc<TempDir> {
        if let Some(folder) = &self.lives[id].folder {
            return Arc::clone(folder);
        }
        let (before, event) = self.lives[id].before.clone().unwrap();
        let folder = self.play(before, &event).unwrap().folder();
        self.file(id, Arc::clone(&folder));
        folder
    }

    fn file(&mut self, id: LifeId, folder: Arc<TempDir>) {
        self.lives[id].folder = Some(folder);
        if self.lives[id].before.is_some() {
            self.filed.push_back(id);
        }
        if self.filed.len() > FILED_MAX {
            let oldest = self.filed.pop_front().unwrap();
            self.lives[oldest].folder = None;
        }
    }

    /// Adds an entry whose entryUUID says who added it as his how manieth.
    fn import(
        &self,
        replica: &Replica,
        at: usize,
        dn: String,
        attributes: Vec<(String, Vec<String>)>,
    ) -> (String, String) {
        let superior = dn.split_once(',').map_or("suffix", |(_, superior)| superior);
        let code = match (replica.is_phantom(&dn), replica.is_phantom(superior)) {
            (Some(false), _) => "entryAlreadyExists",
            (_, None) => "noSuchObject",
            _ => {
                let written =
                    replica.vector().sequence(OriginId(self.origins[at])) - if at == 0 { self.begun } else { 0 };
                let uuid = 100 + 40 * at as u8 + u8::try_from(written).unwrap();
                return replica.ask(&Ask::Import { uuid, dn, attributes });
            }
        };
        (code.to_owned(), String::new())
    }

    /// Takes a replica in as it is now, looking whether it is sound and shows what others of its vector show.
    fn enter(&mut self, replica: &Replica, at: usize, before: Option<(LifeId, Event)>) -> LifeId {
        let id = self.lives.len();
        let vector = replica.vector();
        let own = OriginId(self.origins[at]);
        let written = replica.records(own, if at == 0 { self.begun } else { 0 }).unwrap();
        let key = key_of(&vector);
        self.lives.push(Life { replica: at, folder: None, vector, written, before });
        let story = || self.story(id);
        let faults = replica.faults();
        assert!(faults.is_empty(), "{}\ncheck: {faults:#?}", story());
        let (digest, shown) = (replica.digest(), replica.shown());
        assert_tree(&shown, &story);
        let live = shown.values().filter(|entry| !is_phantom(entry)).count() as u64;
        assert!(
            live == digest.count || replica.waiting() > 0,
            "{}\nof {} live entries are shown: {:#?}",
            story(),
            digest.count,
            shown.keys()
        );
        let mut hasher = DefaultHasher::new();
        shown.hash(&mut hasher);
        let content = Content { digest, shown: hasher.finish(), live, of: id };
        let other = *self.contents.entry(key.clone()).or_insert(content);
        if (other.digest, other.shown) != (content.digest, content.shown) {
            let (before, event) = self.lives[other.of].before.clone().unwrap();
            let other_shown = self.play(before, &event).unwrap().shown();
            let stories = format!("{}\nbut\n{}", self.story(id), self.story(other.of));
            panic!("{stories}\ndiffer ({digest:?}, {:?}):\n{}", other.digest, differences(&shown, &other_shown));
        }
        let same = (at, key, replica.stamped());
        if let Some(equal) = self.equal.get(&same) {
            self.lives.pop();
            return *equal;
        }
        self.equal.insert(same, id);
        self.file(id, replica.folder());
        id
    }

    /// Everybody gets everything, in the order of origins or the other way round.
    pub(super) fn deliver_all(&mut self, world: [LifeId; 3], backwards: bool) {
        let after: Vec<LifeId> = (0..3)
            .map(|to| {
                let mut froms: Vec<usize> = (0..3).filter(|from| *from != to).collect();
                if backwards {
                    froms.reverse();
                }
                froms.into_iter().fold(world[to], |life, from| self.after(life, Event::Deliver(world[from])))
            })
            .collect();
        let vectors: HashSet<VectorKey> = after.iter().map(|life| key_of(&self.lives[*life].vector)).collect();
        let stories = || after.iter().map(|life| self.story(*life)).collect::<Vec<_>>().join("\nand\n");
        // What equal vectors show was compared when the lives came about.
        assert_eq!(vectors.len(), 1, "{}", stories());
        let content = vectors.iter().next().and_then(|vector| self.contents.get(vector));
        let lost = content.is_none_or(|content| content.live != content.digest.count);
        assert!(!lost, "live entries are not shown:\n{}", stories());
    }

    /// How a life came about.
    fn story(&self, id: LifeId) -> String {
        let mut lines = Vec::new();
        let mut at = self.lives.get(id);
        while let Some(life) = at {
            lines.extend(life.before.as_ref().map(|(_, event)| self.told(life.replica, event)));
            at = life.before.as_ref().and_then(|(before, _)| self.lives.get(*before));
        }
        lines.reverse();
        lines.join("\n")
    }

    fn told(&self, at: usize, event: &Event) -> String {
        match event {
            Event::Ask(number) => format!("{} {:?}", NAMES[at], self.operations[*number]),
            Event::Deliver(from) => {
                let from = &self.lives[*from];
                let last = from.vector.sequence(OriginId(self.origins[from.replica]));
                format!("{} takes {} up to {last}", NAMES[at], NAMES[from.replica])
            }
        }
    }
}

fn is_phantom(entry: &BTreeMap<String, Vec<String>>) -> bool {
    let flags =
        entry.get("(facts)").and_then(|facts| facts.get(2)).and_then(|facts| facts.split(' ').next()?.parse().ok());
    flags.is_some_and(|flags: u32| flags & u32::from(entente::storage::ENTRY_PHANTOM) != 0)
}

/// Every superior is there; that names are unique was seen when they were read.
fn assert_tree(shown: &Shown, story: &impl Fn() -> String) {
    for dn in shown.keys().filter(|dn| *dn != crate::replica::SUFFIX) {
        let superior = dn.split_once(',').map(|(_, superior)| superior);
        assert!(superior.is_some_and(|superior| shown.contains_key(superior)), "{}\n{dn} hangs nowhere", story());
    }
}

fn differences(one: &Shown, other: &Shown) -> String {
    let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differing = names.into_iter().filter(|dn| one.get(*dn) != other.get(*dn));
    differing.map(|dn| format!("{dn}:\n  {:?}\n  {:?}", one.get(dn), other.get(dn))).collect::<Vec<_>>().join("\n")
}
