//! Responses (RFC 4511 4.1.9 to 4.13), appended to an output buffer as BER.
//!
//! Encoders write straight into the connection's buffer: no tree, no copy. Lengths are minimal, except around a
//! search entry, where three lengths take the fixed form `84 xx xx xx xx` so that nothing moves when the entry ends.
//!
//! Invariants
//! - The buffer holds whole messages only: a [`SearchEntry`] that is dropped before it is finished leaves nothing.
//! - A message with a result always has matchedDN and diagnosticMessage, empty or not, as the grammar demands.

use crate::model::ResultCode;

use super::ber::{self, Mark, Writer, application_constructed};
use super::error::DecodeError;
use super::extended::NOTICE_OF_DISCONNECTION;
use super::request::operation_tag;

/// LDAPResult (RFC 4511 4.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LdapResult<'a> {
    /// Result code.
    pub code: ResultCode,
    /// Name of the nearest entry that exists, for noSuchObject and its like; else empty.
    pub matched_dn: &'a str,
    /// Text for a human; may be empty.
    pub diagnostic: &'a str,
    /// LDAP URLs of other servers; only with the code referral.
    pub referrals: &'a [String],
}

impl<'a> LdapResult<'a> {
    /// Just a code.
    pub const fn plain(code: ResultCode) -> Self {
        Self::new(code, "")
    }

    /// A code and a text.
    pub const fn new(code: ResultCode, diagnostic: &'a str) -> Self {
        Self { code, matched_dn: "", diagnostic, referrals: &[] }
    }
}

/// The responses that are an LDAPResult and nothing more is needed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseKind {
    /// AddResponse.
    Add,
    /// BindResponse.
    Bind,
    /// CompareResponse.
    Compare,
    /// DelResponse.
    Delete,
    /// ExtendedResponse without name and value.
    Extended,
    /// ModifyResponse.
    Modify,
    /// ModifyDNResponse.
    ModifyDn,
    /// SearchResultDone.
    SearchDone,
}

impl ResponseKind {
    /// What answers a request with this identifier octet; `None` for unbind, abandon and what is no request.
    pub const fn of_request(tag: u8) -> Option<Self> {
        Some(match tag {
            operation_tag::ADD => Self::Add,
            operation_tag::BIND => Self::Bind,
            operation_tag::COMPARE => Self::Compare,
            operation_tag::DELETE => Self::Delete,
            operation_tag::EXTENDED => Self::Extended,
            operation_tag::MODIFY => Self::Modify,
            operation_tag::MODIFY_DN => Self::ModifyDn,
            operation_tag::SEARCH => Self::SearchDone,
            _ => return None,
        })
    }

    /// Identifier octet of the response.
    pub const fn tag(self) -> u8 {
        application_constructed(match self {
            Self::Bind => 1,
            Self::SearchDone => 5,
            Self::Modify => 7,
            Self::Add => 9,
            Self::Delete => 11,
            Self::ModifyDn => 13,
            Self::Compare => 15,
            Self::Extended => 24,
        })
    }
}

/// A control that goes with a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseControl {
    /// Object identifier.
    pub oid: &'static str,
    /// Criticality; clients ignore it in responses.
    pub critical: bool,
    /// Encoded value.
    pub value: Option<Vec<u8>>,
}

const SEARCH_ENTRY: u8 = application_constructed(4);
const SEARCH_REFERENCE: u8 = application_constructed(19);
const INTERMEDIATE: u8 = application_constructed(25);
const REFERRAL: u8 = ber::context_constructed(3);
const SERVER_SASL_CREDENTIALS: u8 = ber::context(7);
const RESPONSE_NAME: u8 = ber::context(10);
const RESPONSE_VALUE: u8 = ber::context(11);
const CONTROLS: u8 = ber::context_constructed(0);

/// Appends the message around one operation whose tag is `tag` and whose content `content` writes.
fn message(out: &mut Vec<u8>, id: i32, tag: u8, controls: &[ResponseControl], content: impl FnOnce(&mut Writer<'_>)) {
    let mut writer = Writer::new(out);
    let envelope = writer.begin(ber::SEQUENCE);
    writer.integer(ber::INTEGER, i64::from(id));
    let operation = writer.begin(tag);
    content(&mut writer);
    writer.end(operation);
    append_controls(&mut writer, controls);
    writer.end(envelope);
}

pub(super) fn append_controls(writer: &mut Writer<'_>, controls: &[ResponseControl]) {
    if controls.is_empty() {
        return;
    }
    let list = writer.begin(CONTROLS);
    append_each(writer, controls);
    writer.end(list);
}

fn append_each(writer: &mut Writer<'_>, controls: &[ResponseControl]) {
    for control in controls {
        let item = writer.begin(ber::SEQUENCE);
        writer.octets(control.oid.as_bytes());
        if control.critical {
            writer.boolean(ber::BOOLEAN, true);
        }
        if let Some(value) = &control.value {
            writer.octets(value);
        }
        writer.end(item);
    }
}

fn append_result(writer: &mut Writer<'_>, result: &LdapResult<'_>) {
    writer.integer(ber::ENUMERATED, i64::from(result.code.0));
    writer.octets(result.matched_dn.as_bytes());
    writer.octets(result.diagnostic.as_bytes());
    if !result.referrals.is_empty() {
        let list = writer.begin(REFERRAL);
        for url in result.referrals {
            writer.octets(url.as_bytes());
        }
        writer.end(list);
    }
}

/// Appends a response that is an LDAPResult.
pub fn result(
    out: &mut Vec<u8>,
    id: i32,
    operation: ResponseKind,
    result: &LdapResult<'_>,
    controls: &[ResponseControl],
) {
    message(out, id, operation.tag(), controls, |writer| append_result(writer, result));
}

/// Appends a BindResponse (RFC 4511 4.2.2), with `sasl` as serverSaslCreds.
pub fn bind_result(
    out: &mut Vec<u8>,
    id: i32,
    result: &LdapResult<'_>,
    sasl: Option<&[u8]>,
    controls: &[ResponseControl],
) {
    message(out, id, ResponseKind::Bind.tag(), controls, |writer| {
        append_result(writer, result);
        if let Some(sasl) = sasl {
            writer.primitive(SERVER_SASL_CREDENTIALS, sasl);
        }
    });
}

/// A response that is encoded already with more controls; what is no message stays as it is.
pub fn with_controls(pdu: &[u8], controls: &[ResponseControl]) -> Vec<u8> {
    let parts = || -> Result<_, ber::BerError> {
        let mut reader = ber::Reader::new(pdu).enter(ber::SEQUENCE)?;
        let id = reader.integer()?;
        let operation = reader.element()?;
        Ok((id, operation, reader.optional(CONTROLS)?.unwrap_or_default()))
    };
    let Ok((id, (tag, operation), before)) = parts() else { return pdu.to_vec() };
    let mut out = Vec::with_capacity(pdu.len() + 64);
    let mut writer = Writer::new(&mut out);
    let envelope = writer.begin(ber::SEQUENCE);
    writer.integer(ber::INTEGER, id);
    writer.primitive(tag, operation);
    let list = writer.begin(CONTROLS);
    writer.raw(before);
    append_each(&mut writer, controls);
    writer.end(list);
    writer.end(envelope);
    out
}

/// Appends an ExtendedResponse (RFC 4511 4.12).
pub fn extended(
    out: &mut Vec<u8>,
    id: i32,
    result: &LdapResult<'_>,
    name: Option<&str>,
    value: Option<&[u8]>,
    controls: &[ResponseControl],
) {
    message(out, id, ResponseKind::Extended.tag(), controls, |writer| {
        append_result(writer, result);
        if let Some(name) = name {
            writer.primitive(RESPONSE_NAME, name.as_bytes());
        }
        if let Some(value) = value {
            writer.primitive(RESPONSE_VALUE, value);
        }
    });
}

/// Appends an IntermediateResponse (RFC 4511 4.13).
pub fn intermediate(
    out: &mut Vec<u8>,
    id: i32,
    name: Option<&str>,
    value: Option<&[u8]>,
    controls: &[ResponseControl],
) {
    message(out, id, INTERMEDIATE, controls, |writer| {
        if let Some(name) = name {
            writer.primitive(ber::context(0), name.as_bytes());
        }
        if let Some(value) = value {
            writer.primitive(ber::context(1), value);
        }
    });
}

/// Appends a SearchResultReference (RFC 4511 4.5.3). `urls` has at least one; each LDAP URL names the DN and scope to go
/// on with.
pub fn search_reference(out: &mut Vec<u8>, id: i32, urls: &[String], controls: &[ResponseControl]) {
    message(out, id, SEARCH_REFERENCE, controls, |writer| {
        for url in urls {
            writer.octets(url.as_bytes());
        }
    });
}

/// Appends a notice of disconnection (RFC 4511 4.4.1); close after sending it.
pub fn notice_of_disconnection(out: &mut Vec<u8>, code: ResultCode, diagnostic: &str) {
    extended(out, 0, &LdapResult::new(code, diagnostic), Some(NOTICE_OF_DISCONNECTION), None, &[]);
}

/// Appends what answers a frame that could not be decoded, as RFC 4511 4.1.1 wants it: a response to that request, nothing
/// for an abandon, or a notice of disconnection. Returns whether the session ends now.
pub fn refusal(out: &mut Vec<u8>, error: &DecodeError) -> bool {
    match (error.message_id, error.operation_tag) {
        (Some(id), Some(tag)) if !error.ends_session => {
            if let Some(kind) = ResponseKind::of_request(tag) {
                result(out, id, kind, &LdapResult::new(error.code, &error.detail), &[]);
            }
            tag == operation_tag::UNBIND
        }
        _ => {
            notice_of_disconnection(out, ResultCode::PROTOCOL_ERROR, &error.detail);
            true
        }
    }
}

/// A SearchResultEntry (RFC 4511 4.5.2) while it is being written. No allocation beyond the growth of the buffer.
///
/// Dropped before [`SearchEntry::finish`], it takes back what it wrote.
#[derive(Debug)]
#[must_use = "an entry that is not finished is taken back"]
pub struct SearchEntry<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    marks: Option<Marks>,
}

#[derive(Debug)]
struct Marks {
    envelope: Option<Mark>,
    operation: Mark,
    attributes: Mark,
}

impl<'o> SearchEntry<'o> {
    /// Begins the message `id` with the entry `dn` (UTF-8 text).
    pub fn begin(out: &'o mut Vec<u8>, id: i32, dn: &[u8]) -> Self {
        let start = out.len();
        let mut writer = Writer::new(out);
        let envelope = writer.begin_fixed(ber::SEQUENCE);
        writer.integer(ber::INTEGER, i64::from(id));
        Self::begin_operation(out, start, Some(envelope), dn)
    }

    /// Begins an entry without a message around it: the value of a pre-read or post-read response (RFC 4527 3).
    pub fn begin_value(out: &'o mut Vec<u8>, dn: &[u8]) -> Self {
        let start = out.len();
        Self::begin_operation(out, start, None, dn)
    }

    fn begin_operation(out: &'o mut Vec<u8>, start: usize, envelope: Option<Mark>, dn: &[u8]) -> Self {
        let mut writer = Writer::new(out);
        let operation = writer.begin_fixed(SEARCH_ENTRY);
        writer.octets(dn);
        let attributes = writer.begin_fixed(ber::SEQUENCE);
        Self { out, start, marks: Some(Marks { envelope, operation, attributes }) }
    }

    /// Adds an attribute whose values are encoded already: `set_of_values` is one complete SET element.
    #[inline]
    pub fn attribute(&mut self, name: &[u8], set_of_values: &[u8]) {
        let mut writer = Writer::new(self.out);
        writer.header(ber::SEQUENCE, ber::header_length(name.len()) + name.len() + set_of_values.len());
        writer.octets(name);
        writer.raw(set_of_values);
    }

    /// Adds the name of an attribute without values, as typesOnly wants.
    #[inline]
    pub fn attribute_names_only(&mut self, name: &[u8]) {
        self.attribute(name, &[ber::SET, 0]);
    }

    /// Adds an attribute with these values.
    pub fn attribute_values<V: AsRef<[u8]>>(&mut self, name: &[u8], values: impl IntoIterator<Item = V>) {
        let mut writer = Writer::new(self.out);
        let attribute = writer.begin(ber::SEQUENCE);
        writer.octets(name);
        let set = writer.begin(ber::SET);
        for value in values {
            writer.octets(value.as_ref());
        }
        writer.end(set);
        writer.end(attribute);
    }

    /// Adds attributes that are encoded already: `attributes` is a run of complete PartialAttribute elements.
    #[inline]
    pub fn encoded_attributes(&mut self, attributes: &[u8]) {
        self.out.extend_from_slice(attributes);
    }

    /// Bytes written so far, headers included.
    pub fn bytes(&self) -> usize {
        self.out.len().saturating_sub(self.start)
    }

    /// Ends the entry. `controls` go with the message; a value ([`SearchEntry::begin_value`]) carries none.
    pub fn finish(mut self, controls: &[ResponseControl]) {
        let Some(marks) = self.marks.take() else { return };
        let mut writer = Writer::new(self.out);
        writer.end_fixed(marks.attributes);
        writer.end_fixed(marks.operation);
        if let Some(envelope) = marks.envelope {
            append_controls(&mut writer, controls);
            writer.end_fixed(envelope);
        }
    }
}

impl Drop for SearchEntry<'_> {
    fn drop(&mut self) {
        if self.marks.is_some() {
            self.out.truncate(self.start);
        }
    }
}
