//! Changes as clients meet them, on a directory in a temporary folder with its writer.

use super::*;
use crate::clock::Clock;
use crate::dit::{Dit, Entry, Options as DitOptions, View, Writer, check};
use crate::metrics::Metrics;
use crate::model::{AttributeDescription, Dn, EntryUuid, ModificationKind};
use crate::operation::{ConnectionFacts, Options, Session};
use crate::policy::requester::{Authentication, RequesterKind};
use crate::schema::Schema;
use crate::wire::ber::{self, Reader};
use crate::wire::{
    AddRequest, AttributeRequest, Message, ModificationRequest, ModifyDnRequest, ModifyRequest, control, extended,
};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

mod adding;
mod deleting;
mod modifying;
mod passwords;
mod recycling;
mod renaming;
mod resolving;

const SUFFIX: &str = "dc=example,dc=com";
const PEOPLE: &str = "ou=people,dc=example,dc=com";
const ANN: &str = "uid=ann,ou=people,dc=example,dc=com";
const BOB: &str = "uid=bob,ou=people,dc=example,dc=com";
const ADMIN: &str = "cn=admin,dc=example,dc=com";

/// What a client hears.
#[derive(Debug, Default)]
struct Heard {
    code: u32,
    matched_dn: String,
    diagnostic: String,
    referrals: Vec<String>,
    value: Option<Vec<u8>>,
    controls: Vec<u8>,
}

impl Heard {
    fn read(pdu: &[u8]) -> Self {
        let mut message = Reader::new(pdu).enter(ber::SEQUENCE).unwrap();
        assert_eq!(message.integer().unwrap(), 7);
        let mut result = Reader::new(message.element().unwrap().1);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut heard = Self {
            code: u32::try_from(result.enumerated().unwrap()).unwrap(),
            matched_dn: text(result.octets().unwrap()),
            diagnostic: text(result.octets().unwrap()),
            ..Self::default()
        };
        if let Some(list) = result.optional(ber::context_constructed(3)).unwrap() {
            let mut list = Reader::new(list);
            while !list.is_empty() {
                heard.referrals.push(text(list.octets().unwrap()));
            }
        }
        heard.value = result.optional(ber::context(11)).unwrap().map(<[u8]>::to_vec);
        heard.controls = message.optional(ber::context_constructed(0)).unwrap().unwrap_or_default().to_vec();
        heard
    }

    #[track_caller]
    fn is(self, code: ResultCode) -> Self {
        assert_eq!(ResultCode(self.code), code, "{self:?}");
        if code != ResultCode::SUCCESS && code != ResultCode::REFERRAL {
            assert!(!self.diagnostic.is_empty(), "a refusal says what to do");
        }
        self
    }
}

struct House {
    directory: Arc<Directory>,
    clock: Clock,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Drop for House {
    fn drop(&mut self) {
        self.directory.writer().stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        if !std::thread::panicking() {
            let report = check(self.directory.dit(), &mut |_, _| {}).unwrap();
            assert!(report.differences.is_empty(), "{:#?}", report.differences);
        }
    }
}

/// What users may do in the house: read, write their own description and phone, and join groups.
const RULES: [&str; 4] = [
    r#"(targetattr != "userPassword || mobile")(version 3.0; acl "users read"; allow (read, search, compare) userdn = "ldap:///all";)"#,
    r#"(targetattr = "description || telephoneNumber || userPassword || cn")(version 3.0; acl "own"; allow (write) userdn = "ldap:///self";)"#,
    r#"(targetattr = "member")(version 3.0; acl "join"; allow (selfwrite) userdn = "ldap:///all";)"#,
    r#"(target = "ldap:///ou=hidden,dc=example,dc=com")(targetattr = "*")(version 3.0; acl "hide"; deny (all) userdn = "ldap:///anyone";)"#,
];

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(1_700_000_000_000);
        let options = DitOptions { durable: false, ..DitOptions::new(folder.path()) };
        let dit = Arc::new(Dit::open(options, Arc::new(Schema::builtin()), clock.clone()).unwrap());
        dit.set_administrator(ADMIN, b"admin-secret").unwrap();
        let (writer, thread) = Writer::start(Arc::clone(&dit), 1024).unwrap();
        let directory = Directory::new(dit, writer, Options::default(), Arc::new(Metrics::default()));
        let house = Self { directory, clock, thread: Some(thread), _folder: folder };
        let admin = house.admin();
        house.add(&admin, SUFFIX, &[("objectClass", &["domain"]), ("dc", &["example"]), ("aci", &RULES)]).is(OK);
        for ou in ["people", "groups", "hidden"] {
            house.add(&admin, &format!("ou={ou},{SUFFIX}"), &[("objectClass", &["organizationalUnit"])]).is(OK);
        }
        for uid in ["ann", "bob"] {
            house.person(uid);
        }
        house
    }

    fn person(&self, uid: &str) -> String {
        let dn = format!("uid={uid},{PEOPLE}");
        let password = format!("{{SHA}}{uid}");
        let attributes: [(&str, &[&str]); 4] =
            [("objectClass", &["inetOrgPerson"]), ("cn", &[uid]), ("sn", &["Person"]), ("userPassword", &[&password])];
        self.add(&self.admin(), &dn, &attributes).is(OK);
        dn
    }

    fn session(&self, kind: RequesterKind) -> Session {
        let anonymous = Requester::anonymous(None, 256, true);
        let requester = anonymous.with_identity(kind, Authentication::Simple);
        let connection = ConnectionFacts { id: 1, address: None, is_local: true, unix: None, tls: None };
        Session::new(requester, connection)
    }

    fn admin(&self) -> Session {
        self.session(RequesterKind::Administrator { dn: ADMIN.to_owned() })
    }

    fn user(&self, dn: &str) -> Session {
        let uuid = self.see(dn, |_, entry| entry.record.uuid()).unwrap();
        let dn_key = self.directory.dit().catalog().schema().dn_key(&Dn::parse(dn).unwrap());
        self.session(RequesterKind::Entry { uuid, dn: dn.to_owned(), dn_key })
    }

    fn anonymous(&self) -> Session {
        self.session(RequesterKind::Anonymous)
    }

    /// Sends a request with controls (each: OID and value) and waits for the answer.
    fn ask_with(&self, session: &Session, request: &Request<'_>, controls: &[(&str, Option<Vec<u8>>)]) -> Heard {
        let pdu = with_controls(controls);
        let controls = Message::decode(&pdu).unwrap().controls;
        let (answer, answered) = channel();
        let reply = Box::new(move |pdu| answer.send(pdu).unwrap());
        run(self.directory.update(session, 7, request, &controls, reply));
        Heard::read(&answered.recv_timeout(Duration::from_secs(60)).unwrap())
    }

    fn ask(&self, session: &Session, request: &Request<'_>) -> Heard {
        self.ask_with(session, request, &[])
    }

    fn add(&self, session: &Session, dn: &str, attributes: &[(&str, &[&str])]) -> Heard {
        self.ask(session, &add_request(dn, attributes))
    }

    fn delete(&self, session: &Session, dn: &str) -> Heard {
        self.ask(session, &Request::Delete { dn })
    }

    fn modify(&self, session: &Session, dn: &str, list: &[(ModificationKind, &str, &[&str])]) -> Heard {
        self.ask(session, &modify_request(dn, list))
    }

    fn rename(&self, session: &Session, dn: &str, new_rdn: &str, delete_old_rdn: bool, to: Option<&str>) -> Heard {
        self.ask(session, &Request::ModifyDn(ModifyDnRequest { dn, new_rdn, delete_old_rdn, new_superior: to }))
    }

    fn see<T>(&self, dn: &str, look: impl FnOnce(View<'_>, &Entry<'_>) -> T) -> Option<T> {
        let snapshot = self.directory.dit().read().unwrap();
        let view = snapshot.view();
        let id = view.resolve(&Dn::parse(dn).unwrap()).unwrap().entry?;
        let entry = view.entry(id).unwrap()?;
        Some(look(view, &entry))
    }

    fn exists(&self, dn: &str) -> bool {
        self.see(dn, |_, _| ()).is_some()
    }

    #[track_caller]
    fn values(&self, dn: &str, name: &str) -> Vec<String> {
        let values = self.see(dn, |view, entry| {
            let attribute = view.catalog().find(&AttributeDescription::parse(name).unwrap());
            let slice = attribute.and_then(|attribute| entry.attribute(attribute));
            slice.map_or_else(Vec::new, |slice| view.values(entry, &slice).unwrap())
        });
        let values = values.unwrap_or_else(|| panic!("{dn} is there"));
        values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
    }

    /// Changes stamped so far.
    fn sequence(&self) -> u64 {
        let snapshot = self.directory.dit().read().unwrap();
        snapshot.view().reader().meta_u64(crate::storage::MetaName::Sequence).unwrap()
    }
}

const OK: ResultCode = ResultCode::SUCCESS;

fn run(step: UpdateStep) {
    if let UpdateStep::Hash(work) = step {
        work();
    }
}

fn add_request<'a>(dn: &'a str, attributes: &'a [(&'a str, &'a [&'a str])]) -> Request<'a> {
    let attributes = attributes
        .iter()
        .map(|(attribute, values)| AttributeRequest {
            attribute,
            values: values.iter().map(|value| value.as_bytes()).collect(),
        })
        .collect();
    Request::Add(AddRequest { dn, attributes })
}

fn modify_request<'a>(dn: &'a str, list: &'a [(ModificationKind, &'a str, &'a [&'a str])]) -> Request<'a> {
    let modifications = list
        .iter()
        .map(|(kind, attribute, values)| ModificationRequest {
            kind: *kind,
            attribute,
            values: values.iter().map(|value| value.as_bytes()).collect(),
        })
        .collect();
    Request::Modify(ModifyRequest { dn, modifications })
}

/// A message with these controls, all critical.
fn with_controls(list: &[(&str, Option<Vec<u8>>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = ber::Writer::new(&mut out);
    let envelope = writer.begin(ber::SEQUENCE);
    writer.integer(ber::INTEGER, 7);
    writer.primitive(0x4a, b"dc=x");
    if !list.is_empty() {
        let controls = writer.begin(ber::context_constructed(0));
        for (oid, value) in list {
            let control = writer.begin(ber::SEQUENCE);
            writer.octets(oid.as_bytes());
            writer.boolean(ber::BOOLEAN, true);
            if let Some(value) = value {
                writer.octets(value);
            }
            writer.end(control);
        }
        writer.end(controls);
    }
    writer.end(envelope);
    out
}

/// The control value of an assertion `(attribute=value)`.
fn equals(attribute: &str, value: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut writer = ber::Writer::new(&mut out);
    let filter = writer.begin(0xa3);
    writer.octets(attribute.as_bytes());
    writer.octets(value.as_bytes());
    writer.end(filter);
    Some(out)
}

/// The control value of a pre-read or post-read.
fn wants(names: &[&str]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut writer = ber::Writer::new(&mut out);
    let list = writer.begin(ber::SEQUENCE);
    names.iter().for_each(|name| writer.octets(name.as_bytes()));
    writer.end(list);
    Some(out)
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn a_job_that_is_dropped_unrun_is_answered() {
    let (answer, answered) = channel();
    let answer = Answer::new(Box::new(move |pdu| answer.send(pdu).unwrap()), 7, ResponseKind::Add);
    drop(answer);
    Heard::read(&answered.recv().unwrap()).is(ResultCode::UNAVAILABLE);
}

#[test]
fn hashing_that_is_dropped_unrun_is_busy() {
    let house = House::new();
    let (answer, answered) = channel();
    let list: [(ModificationKind, &str, &[&str]); 1] = [(ModificationKind::Replace, "userPassword", &["clear"])];
    let reply = Box::new(move |pdu| answer.send(pdu).unwrap());
    let step = house.directory.update(&house.admin(), 7, &modify_request(ANN, &list), &Controls::NONE, reply);
    assert!(matches!(step, UpdateStep::Hash(_)));
    drop(step);
    Heard::read(&answered.recv().unwrap()).is(ResultCode::BUSY);
}

/// RFC 4511 4.1.11.
#[test]
fn unknown_critical_control_is_unavailable_critical_extension() {
    let house = House::new();
    let heard = house.ask_with(&house.admin(), &Request::Delete { dn: ANN }, &[("1.2.3.4", None)]);
    heard.is(ResultCode::UNAVAILABLE_CRITICAL_EXTENSION);
    assert!(house.exists(ANN));
}

#[test]
fn the_root_dse_is_not_changed() {
    let house = House::new();
    house.delete(&house.admin(), "").is(ResultCode::UNWILLING_TO_PERFORM);
    house.delete(&house.admin(), "nobody").is(ResultCode::INVALID_DN_SYNTAX);
}
