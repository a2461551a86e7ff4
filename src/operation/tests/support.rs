//! A directory in a temporary folder, and answers decoded.

use crate::clock::Clock;
use crate::dit::{Completion, Dit, Options as DitOptions, Target, Writer, Writing, birth_deltas, value_of};
use crate::metrics::Metrics;
use crate::model::{AttributeDescription, DerefAliases, Dn, EntryUuid, Filter, ResultCode, Scope};
use crate::operation::{ConnectionFacts, Directory, Options, Progress, Session};
use crate::policy::requester::{Authentication, Requester, RequesterKind};
use crate::schema::Schema;
use crate::state::Delta;
use crate::storage::EntryId;
use crate::wire::ber::{self, Reader};
use crate::wire::control::{PAGED_RESULTS, PagedResults};
use crate::wire::{CompareRequest, Controls, Message, SearchRequest};
use std::sync::Arc;

pub(super) const SUFFIX: &str = "dc=example,dc=com";
pub(super) const PEOPLE: &str = "ou=people,dc=example,dc=com";
pub(super) const ANN: &str = "uid=ann,ou=people,dc=example,dc=com";
pub(super) const BOB: &str = "uid=bob,ou=people,dc=example,dc=com";
pub(super) const GROUP: &str = "cn=staff,dc=example,dc=com";
/// Everybody reads everything but passwords and mobile numbers.
pub(super) const ANYONE: &str = r#"(targetattr != "userPassword || mobile")(version 3.0; acl "anyone"; allow (read, search, compare) userdn = "ldap:///anyone";)"#;

pub(super) struct House {
    pub(super) directory: Arc<Directory>,
    pub(super) clock: Clock,
    writer: Option<std::thread::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Drop for House {
    fn drop(&mut self) {
        self.directory.writer().stop();
        if let Some(thread) = self.writer.take() {
            thread.join().unwrap();
        }
    }
}

type Attributes = Vec<(String, Vec<String>)>;

/// One search or compare, answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) entries: Vec<(String, Attributes)>,
    pub(super) references: Vec<Vec<String>>,
    pub(super) code: ResultCode,
    pub(super) matched_dn: String,
    pub(super) referrals: Vec<String>,
    pub(super) cookie: Option<Vec<u8>>,
}

impl Answer {
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.entries.iter().map(|(dn, _)| dn.split(',').next().unwrap()).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn attribute_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.entries[0].1.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        let found = self.entries[0].1.iter().find(|(known, _)| known == name);
        found.map_or_else(Vec::new, |(_, values)| values.iter().map(String::as_str).collect())
    }
}

/// What to search; `Ask::sub(base, filter)` and the like, then change fields.
pub(super) struct Ask<'a> {
    pub(super) base: &'a str,
    pub(super) scope: Scope,
    pub(super) deref: DerefAliases,
    pub(super) filter: &'a str,
    pub(super) attributes: &'a [&'a str],
    pub(super) size_limit: u32,
    pub(super) time_limit: u32,
    pub(super) types_only: bool,
    pub(super) page: Option<(i32, &'a [u8])>,
    pub(super) bytes_max: usize,
}

impl<'a> Ask<'a> {
    pub(super) fn sub(base: &'a str, filter: &'a str) -> Self {
        Self {
            base,
            scope: Scope::Subtree,
            deref: DerefAliases::Never,
            filter,
            attributes: &[],
            size_limit: 0,
            time_limit: 0,
            types_only: false,
            page: None,
            bytes_max: usize::MAX,
        }
    }

    pub(super) fn base(base: &'a str) -> Self {
        Self { scope: Scope::Base, ..Self::sub(base, "(objectClass=*)") }
    }

    pub(super) fn attributes(self, attributes: &'a [&'a str]) -> Self {
        Self { attributes, ..self }
    }
}

impl House {
    pub(super) fn new(aci: &[&str]) -> Self {
        Self::with_options(aci, Options::default())
    }

    pub(super) fn with_options(aci: &[&str], options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(1_700_000_000_000);
        let schema = Arc::new(Schema::builtin());
        let dit = Arc::new(Dit::open(DitOptions::new(folder.path()), schema, clock.clone()).unwrap());
        let (writer, thread) = Writer::start(Arc::clone(&dit), 16).unwrap();
        let directory = Directory::new(dit, writer, options, Arc::new(Metrics::default()));
        let house = Self { directory, clock, writer: Some(thread), _folder: folder };
        let mut suffix: Vec<(&str, &[&str])> = vec![("objectClass", &["domain"]), ("dc", &["example"])];
        if !aci.is_empty() {
            suffix.push(("aci", aci));
        }
        house.add(1, SUFFIX, &suffix);
        house.add(2, PEOPLE, &[("objectClass", &["organizationalUnit"]), ("ou", &["people"])]);
        house.person(3, "ann", &[("cn;lang-de", &["Anna"]), ("mobile", &["+1 555 0200"]), ("title", &["Cook"])]);
        house.person(4, "bob", &[("manager", &[ANN]), ("description", &["likes maps"])]);
        house.person(5, "carol", &[]);
        house.add(6, GROUP, &[("objectClass", &["groupOfNames"]), ("cn", &["staff"]), ("member", &[ANN])]);
        house
    }

    /// Changes the tree through its writer.
    pub(super) fn write<T: Send + 'static>(&self, work: impl FnOnce(&mut Writing<'_>) -> T + Send + 'static) -> T {
        let (sender, receiver) = std::sync::mpsc::channel();
        let job = move |writing: &mut Writing<'_>| {
            let outcome = work(writing);
            let completion: Completion = Box::new(move |committed| {
                committed.unwrap();
                sender.send(outcome).unwrap();
            });
            Ok(completion)
        };
        self.directory.writer().submit(Box::new(job)).unwrap();
        receiver.recv().unwrap()
    }

    pub(super) fn add(&self, uuid: u8, dn: &str, attributes: &[(&str, &[&str])]) -> EntryId {
        let dn = Dn::parse(dn).unwrap();
        let attributes: Vec<(AttributeDescription, Vec<Vec<u8>>)> = attributes
            .iter()
            .map(|(name, values)| {
                let values = values.iter().map(|value| value.as_bytes().to_vec()).collect();
                (AttributeDescription::parse(name).unwrap(), values)
            })
            .collect();
        self.write(move |writing| {
            let attributes: Vec<_> =
                attributes.into_iter().map(|(name, values)| (writing.intern(&name).unwrap(), values)).collect();
            let resolution = writing.view().resolve(&dn).unwrap();
            let parent = if resolution.missing == 1 { resolution.matched.unwrap() } else { EntryId::NONE };
            let deltas = birth_deltas(writing, &dn, parent, &attributes).unwrap();
            writing.change(Target::New(EntryUuid([uuid; 16])), "cn=test", deltas).unwrap().0
        })
    }

    pub(super) fn person(&self, uuid: u8, uid: &str, more: &[(&str, &[&str])]) -> EntryId {
        let (uids, names, passwords) = ([uid], [uid], ["{SSHA}x"]);
        let mut attributes: Vec<(&str, &[&str])> = vec![("objectClass", &["inetOrgPerson"])];
        attributes.extend([
            ("uid", &uids[..]),
            ("cn", &names[..]),
            ("sn", &names[..]),
            ("userPassword", &passwords[..]),
        ]);
        attributes.extend_from_slice(more);
        self.add(uuid, &format!("uid={uid},{PEOPLE}"), &attributes)
    }

    /// Adds (`true`) or takes away one value.
    pub(super) fn set(&self, dn: &str, name: &str, value: &str, present: bool) {
        let (dn, name) = (Dn::parse(dn).unwrap(), AttributeDescription::parse(name).unwrap());
        let value = value.as_bytes().to_vec();
        self.write(move |writing| {
            let attribute = writing.intern(&name).unwrap();
            let view = writing.view();
            let id = view.resolve(&dn).unwrap().entry.unwrap();
            let info = view.catalog().attribute(attribute).unwrap();
            let (key, value) = value_of(&view, info, &value).unwrap();
            let delta = Delta::Cell { attribute, key, order: 0, present, value };
            writing.change(Target::Existing(id), "cn=test", vec![delta]).unwrap();
        });
    }

    pub(super) fn delete(&self, dn: &str) {
        let dn = Dn::parse(dn).unwrap();
        self.write(move |writing| {
            let id = writing.view().resolve(&dn).unwrap().entry.unwrap();
            writing.change(Target::Existing(id), "cn=test", vec![Delta::Dead]).unwrap();
        });
    }

    fn session(requester: Requester) -> Session {
        let connection = ConnectionFacts { id: 1, address: None, is_local: true, unix: None, tls: None };
        Session::new(requester, connection)
    }

    pub(super) fn anonymous(&self) -> Session {
        Self::session(Requester::anonymous(None, 0, true))
    }

    pub(super) fn administrator(&self) -> Session {
        let kind = RequesterKind::Administrator { dn: "cn=admin,dc=example,dc=com".into() };
        Self::session(self.anonymous().requester.with_identity(kind, Authentication::Simple))
    }

    pub(super) fn person_session(&self, dn: &str) -> Session {
        let snapshot = self.directory.dit().read().unwrap();
        let view = snapshot.view();
        let parsed = Dn::parse(dn).unwrap();
        let id = view.resolve(&parsed).unwrap().entry.unwrap();
        let uuid = view.entry(id).unwrap().unwrap().record.uuid();
        let kind = RequesterKind::Entry { uuid, dn: dn.to_owned(), dn_key: view.catalog().schema().dn_key(&parsed) };
        Self::session(self.anonymous().requester.with_identity(kind, Authentication::Simple))
    }

    pub(super) fn search(&self, session: &mut Session, ask: &Ask<'_>) -> Answer {
        let request = SearchRequest {
            base: ask.base,
            scope: ask.scope,
            deref: ask.deref,
            size_limit: ask.size_limit,
            time_limit: ask.time_limit,
            types_only: ask.types_only,
            filter: Filter::parse(ask.filter).unwrap(),
            attributes: ask.attributes.to_vec(),
        };
        let page = ask.page.map(|(size, cookie)| PagedResults { size, cookie }.encode());
        let pdu = controls_pdu(page.as_deref().map(|value| (PAGED_RESULTS, value)));
        let controls = Message::decode(&pdu).unwrap().controls;
        let mut task = self.directory.search(session, 7, &request, &controls);
        let mut out = Vec::new();
        while task.step(&self.directory, &mut out, ask.bytes_max) == Progress::More {}
        decode(&out)
    }

    pub(super) fn compare(&self, session: &Session, dn: &str, attribute: &str, value: &str) -> ResultCode {
        let mut out = Vec::new();
        let request = CompareRequest { dn, attribute, value: value.as_bytes() };
        if let Some(answer) = self.directory.compare(session, 7, &request, &Controls::NONE, &mut out) {
            out = answer();
        }
        decode(&out).code
    }
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, 0x82, (content.len() >> 8) as u8, content.len() as u8];
    out.extend_from_slice(content);
    out
}

/// A delete request: some message to have controls decoded from.
fn controls_pdu(control: Option<(&str, &[u8])>) -> Vec<u8> {
    let mut content = [tlv(2, &[1]), tlv(0x4a, b"dc=x")].concat();
    if let Some((oid, value)) = control {
        content.extend(tlv(0xa0, &tlv(0x30, &[tlv(4, oid.as_bytes()), tlv(4, value)].concat())));
    }
    tlv(0x30, &content)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn decode(mut bytes: &[u8]) -> Answer {
    let mut answer = Answer {
        entries: Vec::new(),
        references: Vec::new(),
        code: ResultCode::OTHER,
        matched_dn: String::new(),
        referrals: Vec::new(),
        cookie: None,
    };
    let mut is_done = false;
    while !bytes.is_empty() {
        assert!(!is_done, "nothing comes after the result");
        let length = crate::wire::frame_length(bytes, usize::MAX).unwrap().unwrap();
        let (pdu, rest) = bytes.split_at(length);
        bytes = rest;
        let mut outer = Reader::new(pdu);
        let mut message = outer.enter(ber::SEQUENCE).unwrap();
        assert_eq!(message.integer().unwrap(), 7);
        let (tag, content) = message.element().unwrap();
        let mut operation = Reader::new(content);
        match tag {
            0x64 => {
                let dn = text(operation.octets().unwrap());
                let mut list = operation.enter(ber::SEQUENCE).unwrap();
                let mut attributes = Vec::new();
                while !list.is_empty() {
                    let mut attribute = list.enter(ber::SEQUENCE).unwrap();
                    let name = text(attribute.octets().unwrap());
                    let mut set = attribute.enter(ber::SET).unwrap();
                    let mut values = Vec::new();
                    while !set.is_empty() {
                        values.push(text(set.octets().unwrap()));
                    }
                    attributes.push((name, values));
                }
                answer.entries.push((dn, attributes));
            }
            0x73 => {
                let mut urls = Vec::new();
                while !operation.is_empty() {
                    urls.push(text(operation.octets().unwrap()));
                }
                answer.references.push(urls);
            }
            _ => {
                is_done = true;
                answer.code = ResultCode(operation.enumerated().unwrap() as u32);
                answer.matched_dn = text(operation.octets().unwrap());
                operation.octets().unwrap();
                if let Some(list) = operation.optional(ber::context_constructed(3)).unwrap() {
                    let mut list = Reader::new(list);
                    while !list.is_empty() {
                        answer.referrals.push(text(list.octets().unwrap()));
                    }
                }
                if let Some(list) = message.optional(ber::context_constructed(0)).unwrap() {
                    let mut control = Reader::new(list).enter(ber::SEQUENCE).unwrap();
                    assert_eq!(control.octets().unwrap(), PAGED_RESULTS.as_bytes());
                    answer.cookie = Some(PagedResults::decode(control.octets().unwrap()).unwrap().cookie.to_vec());
                }
            }
        }
    }
    assert!(is_done, "a result comes");
    answer
}
