//! A replica: a tree with its writer and operation layer, in a folder of its own, at a time of its own.

use crate::case::Ask;
use entente::clock::Clock;
use entente::dit::{
    Conflict, ConflictKind, ConflictState, Dit, Entry, LogRange, Merged, MoveOutcome, Options, Receipt, Target, View,
    Writer, Writing, birth_deltas, check,
};
use entente::metrics::Metrics;
use entente::model::{AttributeDescription, Dn, EntryUuid, ModificationKind};
use entente::operation::{ConnectionFacts, Directory, Options as Settings, Session, UpdateStep};
use entente::policy::requester::{Authentication, Requester, RequesterKind};
use entente::schema::Schema;
use entente::state::{BucketSum, LogRecord, OriginId, StableCut, UpdateVector};
use entente::storage::{ENTRY_LOSER, ENTRY_PHANTOM, EntryId, MetaName, Table};
use entente::wire::ber::{self, Reader};
use entente::wire::{
    AddRequest, AttributeRequest, Message, ModificationRequest, ModifyDnRequest, ModifyRequest, Request,
};
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const SUFFIX: &str = "dc=example,dc=com";
const ADMIN: &str = "cn=admin,dc=example,dc=com";
/// When all cases begin.
const START_MS: u64 = 1_700_000_000_000;
static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(Schema::builtin()));

pub(crate) struct Replica {
    pub(crate) name: char,
    directory: Option<Arc<Directory>>,
    thread: Option<JoinHandle<()>>,
    clock: Clock,
    folder: Arc<tempfile::TempDir>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.close();
    }
}

/// The whole DN of a name in a case.
pub(crate) fn whole(dn: &str) -> String {
    match dn {
        "suffix" => SUFFIX.to_owned(),
        dn if dn.contains("dc=") => dn.to_owned(),
        dn => format!("{dn},{SUFFIX}"),
    }
}

impl Replica {
    pub(crate) fn new(name: char) -> Self {
        Self::in_folder(name, tempfile::tempdir().unwrap(), 0)
    }

    /// What is in the folder, if there is anything, at a time after the start.
    pub(crate) fn in_folder(name: char, folder: tempfile::TempDir, at_ms: u64) -> Self {
        let clock = Clock::simulated(START_MS + at_ms);
        let mut replica = Self { name, directory: None, thread: None, clock, folder: Arc::new(folder) };
        replica.open();
        replica
    }

    /// Gives an empty replica an origin of this number, so that runs repeat.
    pub(crate) fn number(&mut self, origin: u64) {
        let mut txn = self.dit().environment().write().unwrap();
        txn.put_meta(MetaName::Origin, &origin.to_be_bytes()).unwrap();
        txn.commit().unwrap();
        self.reopen();
    }

    /// The folder, which stays as long as somebody has it.
    pub(crate) fn folder(&self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.folder)
    }

    /// What later stamps are above.
    pub(crate) fn stamped(&self) -> Vec<u8> {
        self.see(|view| view.reader().meta(MetaName::Clock).unwrap().map_or_else(Vec::new, <[u8]>::to_vec))
    }

    fn open(&mut self) {
        let options = Options { durable: false, map_bytes: 1 << 28, ..Options::new(self.folder.path()) };
        let dit = Arc::new(Dit::open(options, Arc::clone(&SCHEMA), self.clock.clone()).unwrap());
        let (writer, thread) = Writer::start(Arc::clone(&dit), 1024).unwrap();
        self.directory = Some(Directory::new(dit, writer, Settings::default(), Arc::new(Metrics::default())));
        self.thread = Some(thread);
    }

    fn close(&mut self) {
        if let Some(directory) = self.directory.take() {
            directory.writer().stop();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    pub(crate) fn reopen(&mut self) {
        self.close();
        self.open();
    }

    fn directory(&self) -> &Arc<Directory> {
        self.directory.as_ref().unwrap()
    }

    fn dit(&self) -> &Arc<Dit> {
        self.directory().dit()
    }

    fn see<T>(&self, look: impl FnOnce(View<'_>) -> T) -> T {
        look(self.dit().read().unwrap().view())
    }

    fn write<T: Send + 'static>(&self, work: impl FnOnce(&mut Writing<'_>) -> T + Send + 'static) -> T {
        let (sender, receiver) = channel();
        let job = move |writing: &mut Writing<'_>| {
            let outcome = work(writing);
            let completion: entente::dit::Completion = Box::new(move |committed| {
                committed.unwrap();
                sender.send(outcome).unwrap();
            });
            Ok(completion)
        };
        self.directory().writer().submit(Box::new(job)).unwrap();
        receiver.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// Moves the clock to a time of the case, if it is not there yet.
    pub(crate) fn be_at(&self, at_ms: u64) {
        let ahead = (START_MS + at_ms).saturating_sub(self.clock.wall_ms());
        self.clock.advance(Duration::from_millis(ahead));
    }

    /// Asks as the administrator; returns the result code's name, or its number.
    pub(crate) fn ask(&self, request: &Ask) -> (String, String) {
        match request {
            Ask::Import { uuid, dn, attributes } => {
                self.import(*uuid, &whole(dn), attributes);
                ("success".to_owned(), String::new())
            }
            Ask::Add { dn, attributes } => {
                let dn = match dn.split_once(',') {
                    Some((rdn, superior)) if superior.contains("+*,") => format!("{rdn},{}", self.named(superior)),
                    _ => whole(dn),
                };
                let attributes = with_class(&dn, attributes);
                let attributes = attributes
                    .iter()
                    .map(|(name, values)| AttributeRequest {
                        attribute: name,
                        values: values.iter().map(String::as_bytes).collect(),
                    })
                    .collect();
                self.send(&Request::Add(AddRequest { dn: &dn, attributes }))
            }
            Ask::Modify { dn, list } => {
                let dn = self.named(dn);
                let modifications = list
                    .iter()
                    .map(|(kind, name, values)| ModificationRequest {
                        kind: match kind.as_str() {
                            "add" => ModificationKind::Add,
                            "delete" => ModificationKind::Delete,
                            "increment" => ModificationKind::Increment,
                            _ => ModificationKind::Replace,
                        },
                        attribute: name,
                        values: values.iter().map(String::as_bytes).collect(),
                    })
                    .collect();
                self.send(&Request::Modify(ModifyRequest { dn: &dn, modifications }))
            }
            Ask::Rename { dn, new_rdn, delete_old, superior } => {
                let (dn, superior) = (self.named(dn), superior.as_deref().map(|superior| self.named(superior)));
                self.send(&Request::ModifyDn(ModifyDnRequest {
                    dn: &dn,
                    new_rdn,
                    delete_old_rdn: *delete_old,
                    new_superior: superior.as_deref(),
                }))
            }
            Ask::Decide { kind, state } => {
                let kind = ConflictKind::from_name(kind).unwrap_or_else(|| panic!("{kind} is no kind of conflict"));
                let name = self.see(|view| {
                    let logged = view.conflicts().unwrap().into_iter().filter(|conflict| {
                        conflict.kind() == kind && view.conflict_state(conflict).unwrap() == ConflictState::Open
                    });
                    let standing = view.conflicting_entries(EntryId::NONE).unwrap().into_iter();
                    let standing = standing.flat_map(|id| view.standings(id).unwrap());
                    let standing = standing.filter(|found| found.kind == kind && found.state == ConflictState::Open);
                    logged.map(|conflict| conflict.id).chain(standing.map(|found| found.name)).next()
                });
                let Some(name) = name else { return ("noSuchObject".to_owned(), "no open conflict".to_owned()) };
                let replace = ModificationRequest {
                    kind: ModificationKind::Replace,
                    attribute: "conflictState",
                    values: vec![state.as_bytes()],
                };
                let dn = format!("cn={name},cn=conflicts");
                self.send(&Request::Modify(ModifyRequest { dn: &dn, modifications: vec![replace] }))
            }
            Ask::Delete { dn } => self.send(&Request::Delete { dn: &self.named(dn) }),
        }
    }

    fn send(&self, request: &Request<'_>) -> (String, String) {
        let kind = RequesterKind::Administrator { dn: ADMIN.to_owned() };
        let requester = Requester::anonymous(None, 256, true).with_identity(kind, Authentication::Simple);
        let connection = ConnectionFacts { id: 1, address: None, is_local: true, unix: None, tls: None };
        let session = Session::new(requester, connection);
        let (answer, answered) = channel();
        let reply = Box::new(move |pdu: Vec<u8>| answer.send(pdu).unwrap());
        // An unbind without controls, for its empty list.
        let controls = Message::decode(&[0x30, 5, 2, 1, 7, 0x42, 0]).unwrap().controls;
        match self.directory().update(&session, 7, request, &controls, reply) {
            UpdateStep::Queued => {}
            UpdateStep::Hash(hash) => hash(),
        }
        let pdu = answered.recv_timeout(Duration::from_secs(60)).unwrap();
        let mut message = Reader::new(&pdu).enter(ber::SEQUENCE).unwrap();
        message.integer().unwrap();
        let mut result = Reader::new(message.element().unwrap().1);
        let code = result.enumerated().unwrap();
        result.octets().unwrap();
        let diagnostic = String::from_utf8_lossy(result.octets().unwrap()).into_owned();
        (code_name(code), diagnostic)
    }

    fn import(&self, uuid: u8, dn: &str, attributes: &[(String, Vec<String>)]) {
        let dn_parsed = Dn::parse(dn).unwrap();
        let mut attributes = with_class(dn, attributes);
        for ava in dn_parsed.rdn().unwrap().avas() {
            let value = String::from_utf8_lossy(&ava.value).into_owned();
            match attributes.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(&ava.attribute)) {
                Some((_, values)) if values.contains(&value) => {}
                Some((_, values)) => values.push(value),
                None => attributes.push((ava.attribute.clone(), vec![value])),
            }
        }
        self.write(move |writing| {
            let attributes: Vec<_> = attributes
                .into_iter()
                .map(|(name, values)| {
                    let id = writing.intern(&AttributeDescription::parse(&name).unwrap()).unwrap();
                    (id, values.into_iter().map(String::into_bytes).collect())
                })
                .collect();
            let superior = dn_parsed.superior().unwrap();
            let parent = writing.view().resolve(&superior).unwrap().entry.unwrap();
            let deltas = birth_deltas(writing, &dn_parsed, parent, &attributes).unwrap();
            writing.change(Target::New(EntryUuid([uuid; 16])), ADMIN, deltas).unwrap();
        });
    }

    /// The DN of an entry in a case; `RDN+*,SUPERIOR` is the one whose name another has.
    fn named(&self, dn: &str) -> String {
        let Some((rdn, superior)) = dn.split_once("+*,") else { return whole(dn) };
        let found = self.see(|view| {
            let superior = view.resolve(&Dn::parse(&whole(superior)).unwrap()).unwrap().entry?;
            for child in view.children(superior).unwrap() {
                let entry = view.entry(child.unwrap()).unwrap()?;
                let is_it = entry.record.rdn().eq_ignore_ascii_case(rdn.as_bytes());
                if is_it && entry.record.flags() & ENTRY_LOSER != 0 {
                    return view.dn_text(entry.id).unwrap();
                }
            }
            None
        });
        found.unwrap_or_else(|| format!("{rdn},cn=nobody-lost,{SUFFIX}"))
    }

    /// Looks at an entry by name.
    pub(crate) fn at<T>(&self, dn: &str, look: impl FnOnce(View<'_>, &Entry<'_>) -> T) -> Option<T> {
        let dn = self.named(dn);
        self.see(|view| {
            let id = view.resolve(&Dn::parse(&dn).unwrap()).unwrap().entry?;
            Some(look(view, &view.entry(id).unwrap()?))
        })
    }

    pub(crate) fn is_phantom(&self, dn: &str) -> Option<bool> {
        self.at(dn, |_, entry| entry.record.flags() & ENTRY_PHANTOM != 0)
    }

    pub(crate) fn losers(&self, dn: &str) -> usize {
        self.at(dn, |view, entry| {
            view.adoption().group(entry.id).skip(1).filter(|id| !view.adoption().is_hidden(*id)).count()
        })
        .unwrap_or(0)
    }

    pub(crate) fn values(&self, dn: &str, name: &str) -> Option<Vec<String>> {
        self.at(dn, |view, entry| {
            if let Some(computed) = entente::search::Computed::ALL.iter().find(|computed| computed.name() == name) {
                return texts(computed.values(view, entry).unwrap());
            }
            let attribute = view.catalog().find(&AttributeDescription::parse(name).unwrap());
            let slice = attribute.and_then(|attribute| entry.attribute(attribute));
            slice.map_or_else(Vec::new, |slice| texts(view.values(entry, &slice).unwrap()))
        })
    }

    pub(crate) fn children(&self, dn: &str) -> Option<Vec<String>> {
        self.at(dn, |view, entry| {
            let mut names = Vec::new();
            for child in view.children(entry.id).unwrap() {
                let child = view.entry(child.unwrap()).unwrap().unwrap();
                if child.record.flags() & ENTRY_LOSER == 0 {
                    names.push(String::from_utf8_lossy(child.record.rdn()).into_owned());
                }
            }
            names.sort_unstable();
            names
        })
    }

    pub(crate) fn skipped_moves(&self) -> usize {
        self.see(|view| view.moves().unwrap().iter().filter(|(_, outcome)| *outcome != MoveOutcome::Made).count())
    }

    pub(crate) fn moves(&self) -> usize {
        self.see(|view| view.moves().unwrap().len())
    }

    pub(crate) fn waiting(&self) -> u64 {
        check(self.dit(), &mut |_, _| {}).unwrap().waiting
    }

    pub(crate) fn open_conflicts(&self, kind: &str) -> u64 {
        let kind = ConflictKind::from_name(kind).unwrap_or_else(|| panic!("{kind} is no kind of conflict"));
        self.see(|view| view.open_conflicts().unwrap().get(&kind).copied().unwrap_or(0))
    }

    /// What was written down of lost changes: the name, what is lost, who wrote it, and what became of it.
    pub(crate) fn conflicts(&self) -> Vec<(String, String)> {
        self.see(|view| {
            let found =
                view.conflicts().unwrap().into_iter().filter(|conflict| conflict.kind() != ConflictKind::Repair);
            let told = found.map(|conflict| {
                let state = view.conflict_state(&conflict).unwrap().name();
                let Conflict { id, rule, loser, .. } = conflict;
                (id, format!("{rule:?} {:?} by {} {state}", loser.content, loser.requester))
            });
            told.collect()
        })
    }

    /// Cells, present and absent, of attributes of very many values.
    pub(crate) fn large_cells(&self) -> usize {
        self.see(|view| usize::try_from(view.reader().count(Table::BigValues).unwrap()).unwrap())
    }

    pub(crate) fn vector(&self) -> UpdateVector {
        self.see(|view| view.update_vector().unwrap())
    }

    pub(crate) fn origin(&self) -> OriginId {
        self.write(|writing| writing.origin())
    }

    /// The records of an origin after one of its numbers; none if the log does not reach back.
    pub(crate) fn records(&self, origin: OriginId, after: u64) -> Option<Vec<LogRecord>> {
        match self.see(|view| view.log_range(origin, after + 1, usize::MAX).unwrap()) {
            LogRange::Records(records) => Some(records),
            LogRange::Trimmed { .. } => None,
        }
    }

    /// Takes the next records of an origin from another replica, at most so many. Returns how many came: none
    /// if its log does not reach back.
    pub(crate) fn take(&self, from: &Self, origin: OriginId, count: usize) -> usize {
        let held = self.vector().sequence(origin);
        let Some(mut records) = from.records(origin, held) else { return 0 };
        records.truncate(count);
        let came = records.len();
        self.receive(records);
        came
    }

    /// Takes records, each twice.
    pub(crate) fn receive(&self, records: Vec<LogRecord>) {
        let name = self.name;
        self.write(move |writing| {
            for record in &records {
                let receipt = writing.receive(record).unwrap();
                assert!(matches!(receipt, Receipt::Applied { .. }), "{name} says {receipt:?}");
                // What comes twice changes nothing.
                assert_eq!(writing.receive(record).unwrap(), Receipt::Known);
            }
        });
    }

    /// Takes the whole entries of another replica.
    pub(crate) fn exchange(&self, from: &Self) {
        let theirs = from.vector();
        let parts = from.see(|view| view.portable_entries(None, usize::MAX).unwrap().0);
        self.write(move |writing| {
            for part in &parts {
                let merged = writing.merge_entry(part).unwrap();
                assert!(!matches!(merged, Merged::Undecodable(_)), "{merged:?}");
            }
            writing.take_vector(&theirs).unwrap();
        });
    }

    pub(crate) fn settle(&self, cut: StableCut) {
        self.be_at(self.clock.wall_ms() - START_MS + 1);
        self.write(move |writing| writing.settle(&cut, &StableCut::new(), usize::MAX).unwrap());
    }

    pub(crate) fn digest(&self) -> BucketSum {
        self.see(|view| view.digest().unwrap())
    }

    /// What `entente check` says against it.
    pub(crate) fn faults(&self) -> Vec<String> {
        check(self.dit(), &mut |_, _| {}).unwrap().differences
    }

    /// Everything that is shown: DN to attributes and what else the view says.
    pub(crate) fn shown(&self) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
        self.see(|view| {
            let mut shown = BTreeMap::new();
            let mut queue = vec![EntryId::NONE];
            while let Some(above) = queue.pop() {
                for child in view.children(above).unwrap() {
                    let entry = view.entry(child.unwrap()).unwrap().unwrap();
                    queue.push(entry.id);
                    let mut attributes = BTreeMap::new();
                    for slice in entry.record.attributes() {
                        let info = view.catalog().attribute(slice.id).unwrap();
                        attributes.insert(info.name.clone(), texts(view.values(&entry, &slice).unwrap()));
                    }
                    let flags = entry.record.flags() & (ENTRY_PHANTOM | ENTRY_LOSER);
                    let count = view.subordinate_count(entry.id).unwrap();
                    let facts = [entry.record.uuid().to_string(), format!("{:?}", entry.record.csn())];
                    attributes
                        .insert("(facts)".to_owned(), [facts.to_vec(), vec![format!("{flags} {count}")]].concat());
                    let dn = view.dn_text(entry.id).unwrap().unwrap();
                    assert_eq!(view.resolve(&Dn::parse(&dn).unwrap()).unwrap().entry, Some(entry.id), "{dn}");
                    assert!(shown.insert(dn.clone(), attributes).is_none(), "{dn} is shown twice");
                }
            }
            shown
        })
    }
}

fn texts(values: Vec<Vec<u8>>) -> Vec<String> {
    values.into_iter().map(|value| String::from_utf8_lossy(&value).into_owned()).collect()
}

/// Classes that follow from the name, and what they demand, where the case says nothing.
fn with_class(dn: &str, attributes: &[(String, Vec<String>)]) -> Vec<(String, Vec<String>)> {
    let mut whole = attributes.to_vec();
    let has = |name: &str| attributes.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    if has("objectClass") {
        return whole;
    }
    let mut set = |name: &str, value: &str| whole.push((name.to_owned(), vec![value.to_owned()]));
    if dn.starts_with("dc=") {
        set("objectClass", "domain");
    } else if dn.starts_with("ou=") {
        set("objectClass", "organizationalUnit");
    } else if has("member") {
        set("objectClass", "groupOfNames");
    } else if has("gidNumber") {
        set("objectClass", "posixGroup");
    } else {
        set("objectClass", "inetOrgPerson");
        let is_named = dn.starts_with("cn=");
        for name in ["cn", "sn"].into_iter().filter(|name| !(has(name) || is_named && *name == "cn")) {
            set(name, "Name");
        }
    }
    whole
}

fn code_name(code: i64) -> String {
    let name = match code {
        0 => "success",
        16 => "noSuchAttribute",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        32 => "noSuchObject",
        53 => "unwillingToPerform",
        64 => "namingViolation",
        65 => "objectClassViolation",
        66 => "notAllowedOnNonLeaf",
        67 => "notAllowedOnRDN",
        68 => "entryAlreadyExists",
        other => return other.to_string(),
    };
    name.to_owned()
}
