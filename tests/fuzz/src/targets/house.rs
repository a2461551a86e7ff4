//! A directory on disk for the length of a run, in a folder that is unlinked as soon as it is open.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use entente::clock::Clock;
use entente::dit::{Completion, Dit, Options as DitOptions, Target, Writer, Writing, birth_deltas, check};
use entente::metrics::Metrics;
use entente::model::{Dn, EntryUuid};
use entente::operation::sasl::{KeySource, SaslOptions, TokenOptions};
use entente::operation::{
    BindStep, ConnectionFacts, Directory, ExtendedCall, Options, Progress, Reply, Session, UpdateStep,
};
use entente::policy::requester::{Authentication, Requester, RequesterKind};
use entente::policy::scram::ScramHash;
use entente::policy::token::TokenRules;
use entente::schema::Schema;
use entente::storage::EntryId;
use entente::wire::{Controls, Message, Request, frame_length};

use crate::model::ldif::{LdifBody, LdifReader, UrlPolicy};

/// People, groups, aliases and referrals of the tests.
const DATA: &str = include_str!("../../../support/data.ldif");
/// Everybody reads, ann writes.
const ACI: [&str; 2] = [
    r#"(targetattr != "userPassword")(version 3.0; acl "read"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
    r#"(targetattr = "*")(version 3.0; acl "write"; allow (all, proxy) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#,
];
pub(super) const SUFFIX: &str = "dc=example,dc=com";
pub(super) const ANN: &str = "uid=ann,ou=people,dc=example,dc=com";
pub(super) const BOB: &str = "uid=bob,ou=people,dc=example,dc=com";
/// Steps of one search before it is called endless.
const STEPS_MAX: usize = 100_000;
/// What the writer may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct House {
    pub(super) directory: Arc<Directory>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.directory.writer().stop();
        if let Some(thread) = self.writer.take() {
            let _ = thread.join();
        }
    }
}

/// Who sends.
#[derive(Clone, Copy)]
pub(super) enum Who {
    Anonymous,
    Ann,
    Administrator,
}

impl Who {
    pub(super) fn of(octet: u8) -> Self {
        match octet % 3 {
            0 => Self::Anonymous,
            1 => Self::Ann,
            _ => Self::Administrator,
        }
    }
}

impl House {
    pub(super) fn new() -> Self {
        static MADE: Mutex<u64> = Mutex::new(0);
        let number = {
            let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
            *made += 1;
            *made
        };
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = folder.join(format!("entente-fuzz-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let mut options = DitOptions::new(&folder);
        options.map_bytes = 1 << 30;
        options.origin_seed = Some(1);
        let dit = Dit::open(options, Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000));
        // What is open stays while the process lives, and nothing is left behind.
        let _ = std::fs::remove_dir_all(&folder);
        let dit = Arc::new(dit.expect("a new directory opens"));
        dit.set_administrator("cn=admin", b"{CLEARTEXT}admin").expect("storage works");
        let (writer, thread) = Writer::start(Arc::clone(&dit), 64).expect("a thread can be made");
        let rules = TokenRules {
            issuer: "https://id".to_owned(),
            audience: "ldap".to_owned(),
            user_claim: "sub".to_owned(),
            skew_s: 10,
        };
        let token = TokenOptions { rules, keys: KeySource::Url("test".to_owned()), attribute: "uid".to_owned() };
        let sasl =
            SaslOptions { plain_without_tls: true, simple_by_user: true, token: Some(token), ..SaslOptions::default() };
        let options = Options { scram: ScramHash::ALL.to_vec(), scram_iterations: 1, sasl, ..Options::default() };
        let directory = Directory::new(dit, writer, options, Arc::new(Metrics::default()));
        directory.set_key_fetch(Box::new(|_| Ok(super::secrets::signer_keys().into_bytes())));
        let house = Self { directory, writer: Some(thread) };
        house.fill();
        house
    }

    fn fill(&self) {
        let mut number = 0_u8;
        for record in LdifReader::new(DATA.as_bytes(), UrlPolicy::Refuse) {
            let record = record.expect("test data is right");
            let LdifBody::Entry(mut attributes) = record.body else { panic!("test data is content") };
            number += 1;
            if number == 1 {
                let values = ACI.map(|rule| rule.as_bytes().to_vec()).to_vec();
                let description = crate::model::AttributeDescription::parse("aci").expect("a name");
                attributes.push(crate::model::Attribute { description, values });
            }
            self.write(move |writing| {
                let attributes: Vec<_> = attributes
                    .into_iter()
                    .map(|attribute| (writing.intern(&attribute.description).expect("known"), attribute.values))
                    .collect();
                let dn = &Dn::parse(&record.dn).expect("test data is right");
                let resolution = writing.view().resolve(dn).expect("storage works");
                let parent =
                    if resolution.missing == 1 { resolution.matched.expect("it is here") } else { EntryId::NONE };
                let parent = if number == 1 { EntryId::NONE } else { parent };
                let deltas = birth_deltas(writing, dn, parent, &attributes).expect("test data is right");
                writing.change(Target::New(EntryUuid([number; 16])), "cn=test", deltas).expect("storage works");
            });
        }
    }

    fn write(&self, work: impl FnOnce(&mut Writing<'_>) + Send + 'static) {
        let (sender, receiver) = channel();
        let job = move |writing: &mut Writing<'_>| {
            work(writing);
            let completion: Completion = Box::new(move |committed| {
                let _ = sender.send(committed.is_ok());
            });
            Ok(completion)
        };
        self.directory.writer().submit(Box::new(job)).expect("the writer works");
        assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true));
    }

    pub(super) fn session(&self, who: Who) -> Session {
        let connection = ConnectionFacts { id: 1, address: None, is_local: true, unix: None, tls: None };
        let nobody = Requester::anonymous(None, 0, true);
        let kind = match who {
            Who::Anonymous => return Session::new(nobody, connection),
            Who::Administrator => RequesterKind::Administrator { dn: "cn=admin".into() },
            Who::Ann => {
                let snapshot = self.directory.dit().read().expect("storage works");
                let view = snapshot.view();
                let dn = Dn::parse(ANN).expect("a name");
                let found = view.resolve(&dn).expect("storage works").entry;
                let entry = found.and_then(|id| view.entry(id).expect("storage works"));
                let uuid = entry.map_or(EntryUuid::NIL, |entry| entry.record.uuid());
                RequesterKind::Entry { uuid, dn: ANN.to_owned(), dn_key: view.catalog().schema().dn_key(&dn) }
            }
        };
        Session::new(nobody.with_identity(kind, Authentication::Simple), connection)
    }

    /// One request to its end; the answers. `hashes`: what costs 20 ms of a core is run too.
    pub(super) fn perform(&self, session: &mut Session, message: &Message<'_>, hashes: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some((error, control)) = self.directory.restricts(session, message) {
            let kind = entente::wire::ResponseKind::of_request(message.request.operation_tag());
            if let Some(kind) = kind {
                error.respond(&mut out, message.id, kind, control.as_slice());
            }
            return out;
        }
        if self.directory.has_to_wait(&message.controls).is_some() {
            return out;
        }
        let (id, controls) = (message.id, &message.controls);
        match &message.request {
            Request::Search(request) => {
                let mut task = self.directory.search(session, id, request, controls);
                for _ in 0..STEPS_MAX {
                    match task.step(&self.directory, &mut out, 64 * 1024) {
                        Progress::More => {}
                        Progress::Waits => {
                            task.cancel(&mut out);
                            return out;
                        }
                        Progress::Done => return out,
                    }
                }
                panic!("a search has no end: {message:?}");
            }
            Request::Compare(request) => {
                if let Some(answer) = self.directory.compare(session, id, request, controls, &mut out) {
                    out.extend(answer());
                }
            }
            Request::Bind(request) => {
                let exchange = session.exchange.take();
                let fresh = self.session(Who::Anonymous);
                *session = Session { exchange: None, ..fresh };
                match self.directory.bind(session, id, request, controls, exchange) {
                    BindStep::Done(outcome) => self.bound(session, outcome, &mut out),
                    BindStep::Hash(decide) if hashes => self.bound(session, decide(), &mut out),
                    BindStep::Hash(_) => {}
                }
            }
            Request::Extended(request) if ExtendedCall::is_later(request.name) => {
                let (reply, answers) = reply();
                let step = self.directory.extended_later(ExtendedCall { session, id, request, controls, reply });
                self.answered(step, &answers, hashes, &mut out);
            }
            Request::Extended(request) => self.directory.extended(session, id, request, controls, &mut out),
            Request::Abandon(_) | Request::Unbind => {}
            Request::Add(_) | Request::Delete { .. } | Request::Modify(_) | Request::ModifyDn(_) => {
                let (reply, answers) = reply();
                let step = self.directory.update(session, id, &message.request, controls, reply);
                self.answered(step, &answers, hashes, &mut out);
            }
        }
        out
    }

    fn bound(&self, session: &mut Session, outcome: entente::operation::BindOutcome, out: &mut Vec<u8>) {
        session.requester = outcome.requester;
        session.must_change_password = outcome.must_change_password;
        session.by_app_password = outcome.by_app_password;
        session.exchange = outcome.exchange;
        out.extend_from_slice(&outcome.response);
    }

    fn answered(&self, step: UpdateStep, answers: &Receiver<Vec<u8>>, hashes: bool, out: &mut Vec<u8>) {
        if let UpdateStep::Hash(job) = step {
            if hashes { job() } else { drop(job) }
        }
        out.extend(answers.recv_timeout(PATIENCE).expect("every change is answered"));
        assert!(!self.directory.writer().is_poisoned(), "the writer has failed");
    }

    /// Everything computed anew is what is stored.
    pub(super) fn check(&self) {
        let report = check(self.directory.dit(), &mut |_, _| {}).expect("storage works");
        assert_eq!(report.difference_count, 0, "{:#?}", report.differences);
    }
}

fn reply() -> (Reply, Receiver<Vec<u8>>) {
    let (sender, receiver) = channel();
    let reply: Reply = Box::new(move |response| {
        let _ = sender.send(response);
    });
    (reply, receiver)
}

/// What came back is whole messages; their identifier octets.
pub(super) fn answers(out: &[u8]) -> Vec<u8> {
    let mut rest = out;
    let mut tags = Vec::new();
    while !rest.is_empty() {
        let length = frame_length(rest, out.len()).expect("an answer is a message").expect("a whole header");
        let (frame, behind) = rest.split_at(length);
        let mut reader = entente::wire::ber::Reader::new(frame);
        let mut message = reader.enter(entente::wire::ber::SEQUENCE).expect("an answer is a message");
        message.integer().expect("an answer has an id");
        tags.push(message.element().expect("an answer has an operation").0);
        rest = behind;
    }
    tags
}

/// No controls.
pub(super) const NONE: Controls<'static> = Controls::NONE;
