//! A small blocking LDAP client: one socket, one caller, nothing hidden.
//!
//! Answers that belong to another request are set aside, so that tests may pipeline. A read never waits longer than
//! [`PATIENCE`]; a server that stays silent fails the test that asked.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::ber::Element;
use super::request::{self, AttributeValues, Control, Search};
use super::wait::PATIENCE;
use super::{code, oid};

/// Anything that carries bytes both ways.
pub(crate) trait Transport: Read + Write + Send {}
impl<T: Read + Write + Send> Transport for T {}

/// A message from the server (RFC 4511 4.1.1).
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: i64,
    pub(crate) operation: Element,
    pub(crate) controls: Vec<(String, Option<Vec<u8>>)>,
}

/// An LDAPResult with what an extended or bind response adds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) code: u32,
    pub(crate) matched_dn: String,
    pub(crate) diagnostic: String,
    pub(crate) referrals: Vec<String>,
    pub(crate) name: Option<String>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) controls: Vec<(String, Option<Vec<u8>>)>,
}

impl Outcome {
    /// Fails unless the result code is `expected`; shows the whole outcome.
    #[track_caller]
    pub(crate) fn expect(self, expected: u32) -> Self {
        assert_eq!(self.code, expected, "result code; whole outcome: {self:?}");
        self
    }

    /// Fails unless the result code is one of `expected`, where an RFC leaves the choice.
    #[track_caller]
    pub(crate) fn expect_one_of(self, expected: &[u32]) -> Self {
        assert!(expected.contains(&self.code), "result code is none of {expected:?}; whole outcome: {self:?}");
        self
    }

    /// The value of the response control `oid`, which must be there.
    #[track_caller]
    pub(crate) fn control(&self, oid: &str) -> Vec<u8> {
        let found = self.controls.iter().find(|(name, _)| name == oid);
        let (_, value) = found.unwrap_or_else(|| panic!("no response control {oid} in {self:?}"));
        value.clone().unwrap_or_default()
    }
}

/// A SearchResultEntry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    /// In the order sent, names as the server spelled them.
    pub(crate) attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    pub(crate) fn parse(element: &Element) -> Result<Self, String> {
        let parts = element.children()?;
        let [dn, list] = parts.as_slice() else { return Err("entry of other than two parts".to_owned()) };
        let mut attributes = Vec::new();
        for attribute in list.children()? {
            let parts = attribute.children()?;
            let [name, values] = parts.as_slice() else { return Err("attribute of other than two parts".to_owned()) };
            let values = values.children()?.into_iter().map(|value| value.content).collect();
            attributes.push((name.text(), values));
        }
        Ok(Self { dn: dn.text(), attributes })
    }

    /// Values of the attribute, name compared without case; empty when it is not there.
    pub(crate) fn bytes(&self, name: &str) -> Vec<Vec<u8>> {
        let mut found = self.attributes.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map(|(_, values)| values.clone()).unwrap_or_default()
    }

    /// [`Entry::bytes`] as text, sorted.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let mut values: Vec<_> =
            self.bytes(name).iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        values.sort();
        values
    }

    /// The only value.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> String {
        let values = self.values(name);
        assert_eq!(values.len(), 1, "values of {name} in {self:?}");
        values.into_iter().next().unwrap_or_default()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// Attribute names as spelled by the server, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.attributes.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }
}

/// Everything a search brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) entries: Vec<Entry>,
    /// The controls that came with each of the entries.
    pub(crate) entry_controls: Vec<Vec<(String, Option<Vec<u8>>)>>,
    pub(crate) references: Vec<Vec<String>>,
    pub(crate) outcome: Outcome,
}

impl Found {
    /// Fails unless the search ended with `expected`.
    #[track_caller]
    pub(crate) fn expect(self, expected: u32) -> Self {
        assert_eq!(self.outcome.code, expected, "result code of the search; whole answer: {self:?}");
        self
    }

    /// The value of the control `oid` that came with the entry at `index`.
    pub(crate) fn control_of(&self, index: usize, oid: &str) -> Option<Vec<u8>> {
        let controls = self.entry_controls.get(index)?;
        controls.iter().find(|(name, _)| name == oid).map(|(_, value)| value.clone().unwrap_or_default())
    }

    /// DNs in lower case, sorted.
    pub(crate) fn dns(&self) -> Vec<String> {
        let mut dns: Vec<_> = self.entries.iter().map(|entry| entry.dn.to_lowercase()).collect();
        dns.sort();
        dns
    }

    /// Values of the leftmost RDN of each entry found, sorted: enough to say who was found.
    pub(crate) fn names(&self) -> Vec<String> {
        let leaf = |dn: &str| dn.split(',').next().unwrap_or_default().split_once('=').unwrap_or_default().1.to_owned();
        let mut names: Vec<_> = self.entries.iter().map(|entry| leaf(&entry.dn)).collect();
        names.sort();
        names
    }

    /// The only entry of a successful search.
    #[track_caller]
    pub(crate) fn single(self) -> Entry {
        assert_eq!(self.outcome.code, code::SUCCESS, "whole answer: {self:?}");
        assert_eq!(self.entries.len(), 1, "one entry expected: {self:?}");
        self.entries.into_iter().next().expect("length was checked")
    }
}

/// A connection.
pub(crate) struct Client {
    stream: Box<dyn Transport>,
    unread: Vec<u8>,
    set_aside: VecDeque<Message>,
    id_last: i64,
    controls: Vec<Control>,
    /// What must not go while this connection stands: the server shared with other tests.
    kept: Option<std::sync::Arc<super::server::Server>>,
}

impl Client {
    /// Connects in clear.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(Self::socket(address))
    }

    /// A bare socket with the usual patience.
    #[track_caller]
    pub(crate) fn socket(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("server takes the connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout is not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("timeout is not zero");
        stream.set_nodelay(true).expect("a TCP socket");
        stream
    }

    /// Speaks LDAP over a stream that stands already.
    pub(crate) fn over(stream: impl Transport + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            unread: Vec::new(),
            set_aside: VecDeque::new(),
            id_last: 0,
            controls: Vec::new(),
            kept: None,
        }
    }

    /// Keeps the server running as long as this connection is there.
    pub(crate) fn keeping(mut self, server: Option<std::sync::Arc<super::server::Server>>) -> Self {
        self.kept = server;
        self
    }

    /// Attaches a control to the next request.
    pub(crate) fn with(&mut self, control: Control) -> &mut Self {
        self.controls.push(control);
        self
    }

    /// Sends an operation with the controls attached and returns its message id.
    #[track_caller]
    pub(crate) fn send(&mut self, operation: &[u8]) -> i64 {
        self.id_last += 1;
        let controls = std::mem::take(&mut self.controls);
        self.send_bytes(&request::message(self.id_last, operation, &controls));
        self.id_last
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes).expect("server takes the bytes");
    }

    pub(crate) fn try_send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends an operation where the server may have closed already; `None` then.
    pub(crate) fn try_send(&mut self, operation: &[u8]) -> Option<i64> {
        self.id_last += 1;
        let bytes = request::message(self.id_last, operation, &std::mem::take(&mut self.controls));
        self.try_send_bytes(&bytes).ok().map(|()| self.id_last)
    }

    /// The next message from the server; `None` when it closed the connection.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Option<Message> {
        if let Some(message) = self.set_aside.pop_front() {
            return Some(message);
        }
        self.receive_new()
    }

    #[track_caller]
    fn receive_new(&mut self) -> Option<Message> {
        loop {
            match Element::total_length(&self.unread) {
                Ok(Some(total)) if self.unread.len() >= total => {
                    let bytes: Vec<u8> = self.unread.drain(..total).collect();
                    return Some(parse_message(&bytes).unwrap_or_else(|error| panic!("answer {bytes:02x?}: {error}")));
                }
                Ok(_) => {}
                Err(error) => panic!("answer begins {:02x?}: {error}", self.unread),
            }
            let mut chunk = [0; 16384];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("server silent for {} s", PATIENCE.as_secs())
                }
                Err(_) => return None,
            }
        }
    }

    /// The next message with this id; others are set aside. `None` when the connection ended first.
    #[track_caller]
    pub(crate) fn receive_for(&mut self, id: i64) -> Option<Message> {
        if let Some(index) = self.set_aside.iter().position(|message| message.id == id) {
            return self.set_aside.remove(index);
        }
        loop {
            let message = self.receive_new()?;
            if message.id == id {
                return Some(message);
            }
            self.set_aside.push_back(message);
        }
    }

    /// Sends an operation and returns its result.
    #[track_caller]
    pub(crate) fn perform(&mut self, operation: &[u8]) -> Outcome {
        let id = self.send(operation);
        self.outcome_of(id)
    }

    /// The result of a request sent before.
    #[track_caller]
    pub(crate) fn outcome_of(&mut self, id: i64) -> Outcome {
        let message = self.receive_for(id).expect("server answers instead of closing the connection");
        parse_outcome(&message).unwrap_or_else(|error| panic!("{error}: {message:02x?}"))
    }

    /// Sends an operation where the connection may go away; `None` when it did.
    pub(crate) fn try_perform(&mut self, operation: &[u8]) -> Option<Outcome> {
        let id = self.try_send(operation)?;
        let message = self.receive_for(id)?;
        Some(parse_outcome(&message).unwrap_or_else(|error| panic!("{error}: {message:02x?}")))
    }

    #[track_caller]
    pub(crate) fn bind(&mut self, name: &str, password: &str) -> Outcome {
        self.perform(&request::bind_simple(3, name, password.as_bytes()))
    }

    #[track_caller]
    pub(crate) fn search(&mut self, search: &Search) -> Found {
        let id = self.send(&search.encode());
        self.found_for(id)
    }

    /// Everything up to the SearchResultDone of a search sent before.
    #[track_caller]
    pub(crate) fn found_for(&mut self, id: i64) -> Found {
        let mut found = Found::default();
        loop {
            let message = self.receive_for(id).expect("server answers instead of closing the connection");
            match message.operation.tag {
                0x64 => {
                    found.entries.push(Entry::parse(&message.operation).expect("a well-formed entry"));
                    found.entry_controls.push(message.controls);
                }
                0x73 => {
                    let urls = message.operation.children().expect("a well-formed reference");
                    found.references.push(urls.iter().map(Element::text).collect());
                }
                0x65 => {
                    found.outcome = parse_outcome(&message).expect("a well-formed result");
                    return found;
                }
                // What a control asks for between the entries (RFC 4533).
                0x79 => {}
                other => panic!("answer to a search with tag {other:02x}"),
            }
        }
    }

    /// The result code of a search that may bring anything before it: entries, references, intermediate responses.
    #[track_caller]
    pub(crate) fn found_or_canceled(&mut self, id: i64) -> u32 {
        loop {
            let message = self.receive_for(id).expect("server answers instead of closing the connection");
            match message.operation.tag {
                0x64 | 0x73 | 0x79 => {}
                _ => return parse_outcome(&message).expect("a well-formed result").code,
            }
        }
    }

    /// The entry at `dn` with all its user attributes.
    #[track_caller]
    pub(crate) fn read(&mut self, dn: &str) -> Entry {
        self.search(&Search::base(dn)).single()
    }

    /// The entry at `dn` with the attributes named.
    #[track_caller]
    pub(crate) fn read_attributes(&mut self, dn: &str, names: &[&str]) -> Entry {
        self.search(&Search::base(dn).attributes(names)).single()
    }

    /// Who the filter finds below `base` (values of their leftmost RDN, sorted).
    #[track_caller]
    pub(crate) fn names(&mut self, base: &str, filter: &str) -> Vec<String> {
        self.search(&Search::subtree(base, filter).attributes(&["1.1"])).expect(code::SUCCESS).names()
    }

    #[track_caller]
    pub(crate) fn add(&mut self, dn: &str, attributes: &[AttributeValues<'_>]) -> Outcome {
        self.perform(&request::add(dn, attributes))
    }

    #[track_caller]
    pub(crate) fn delete(&mut self, dn: &str) -> Outcome {
        self.perform(&request::delete(dn))
    }

    #[track_caller]
    pub(crate) fn modify(&mut self, dn: &str, modifications: &[(i64, &str, &[&str])]) -> Outcome {
        self.perform(&request::modify(dn, modifications))
    }

    #[track_caller]
    pub(crate) fn modify_dn(&mut self, dn: &str, new_rdn: &str, delete_old: bool, superior: Option<&str>) -> Outcome {
        self.perform(&request::modify_dn(dn, new_rdn, delete_old, superior))
    }

    #[track_caller]
    pub(crate) fn compare(&mut self, dn: &str, attribute: &str, value: &str) -> Outcome {
        self.perform(&request::compare(dn, attribute, value.as_bytes()))
    }

    /// Who am I? (RFC 4532): the authzId.
    #[track_caller]
    pub(crate) fn who_am_i(&mut self) -> String {
        let outcome = self.perform(&request::extended(oid::WHO_AM_I, None)).expect(code::SUCCESS);
        String::from_utf8_lossy(&outcome.value.unwrap_or_default()).into_owned()
    }
}

fn parse_message(bytes: &[u8]) -> Result<Message, String> {
    let whole = Element::whole(bytes)?;
    if whole.tag != 0x30 {
        return Err(format!("message with tag {:02x}", whole.tag));
    }
    let mut parts = whole.children()?.into_iter();
    let id = parts.next().filter(|part| part.tag == 2).ok_or("no message id")?.number();
    let operation = parts.next().ok_or("no operation")?;
    let mut controls = Vec::new();
    if let Some(list) = parts.next() {
        if list.tag != 0xA0 {
            return Err(format!("controls with tag {:02x}", list.tag));
        }
        for control in list.children()? {
            let parts = control.children()?;
            let name = parts.first().filter(|part| part.tag == 4).ok_or("control without a name")?.text();
            controls.push((name, parts.iter().skip(1).find(|part| part.tag == 4).map(|part| part.content.clone())));
        }
    }
    Ok(Message { id, operation, controls })
}

/// Reads the LDAPResult of any response that has one.
pub(crate) fn parse_outcome(message: &Message) -> Result<Outcome, String> {
    if !matches!(message.operation.tag, 0x61 | 0x65 | 0x67 | 0x69 | 0x6B | 0x6D | 0x6F | 0x78) {
        return Err(format!("tag {:02x} has no result", message.operation.tag));
    }
    let mut parts = message.operation.children()?.into_iter();
    let code = parts.next().filter(|part| part.tag == 0x0A).ok_or("no result code")?.number();
    let matched_dn = parts.next().filter(|part| part.tag == 4).ok_or("no matchedDN")?.text();
    let diagnostic = parts.next().filter(|part| part.tag == 4).ok_or("no diagnosticMessage")?.text();
    let mut outcome = Outcome {
        code: u32::try_from(code).map_err(|_| "negative result code")?,
        matched_dn,
        diagnostic,
        controls: message.controls.clone(),
        ..Outcome::default()
    };
    for part in parts {
        match part.tag {
            0xA3 => outcome.referrals = part.children()?.iter().map(Element::text).collect(),
            0x87 | 0x8B => outcome.value = Some(part.content),
            0x8A => outcome.name = Some(part.text()),
            other => return Err(format!("result part with tag {other:02x}")),
        }
    }
    Ok(outcome)
}
