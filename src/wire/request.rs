//! Requests (RFC 4511 4.2 to 4.14) decoded into types that borrow from the PDU.
//!
//! Strict: each component stands where the grammar puts it, has the type the grammar gives it and lies inside its
//! parent, or the request is refused. Nothing is dropped on the way, because a filter or a list of modifications that
//! lost a member means something else. The one tolerance is the one RFC 4511 4 demands: well-formed components
//! with unknown context tags at the end of a SEQUENCE are ignored (but not beside the operation and the controls,
//! where such a thing is a control list with a wrong tag and might be critical).
//!
//! Invariants
//! - Values are bytes; names and descriptions are text. A DN that is not UTF-8 refuses its request with
//!   invalidDNSyntax; an attribute that is not UTF-8 is undefinedAttributeType where it is to be written or compared,
//!   and the unknown attribute `""` where it is only asked for or searched by.
//! - Every list has a limit; memory stays within a small multiple of the PDU.
//! - An error knows message id and operation when those could be read ([`DecodeError`]).
//! - `Debug` shows no value: passwords pass through here.
//!
//! Not here: DN, attribute and URL syntax (`model`), which version or mechanism is served (`operation`), the meaning of
//! controls (`wire::control` parses their values on demand).

use std::fmt;

use crate::model::ModificationKind;
use crate::model::ResultCode;

use super::ber::{self, Reader};
use super::control::Controls;
use super::error::{DecodeError, Malformed};
use super::search::SearchRequest;
use super::update;

/// Identifier octets of the operations a client may send (RFC 4511 4.2 to 4.12).
pub mod operation_tag {
    /// BindRequest.
    pub const BIND: u8 = 0x60;
    /// UnbindRequest.
    pub const UNBIND: u8 = 0x42;
    /// SearchRequest.
    pub const SEARCH: u8 = 0x63;
    /// ModifyRequest.
    pub const MODIFY: u8 = 0x66;
    /// AddRequest.
    pub const ADD: u8 = 0x68;
    /// DelRequest.
    pub const DELETE: u8 = 0x4a;
    /// ModifyDNRequest.
    pub const MODIFY_DN: u8 = 0x6c;
    /// CompareRequest.
    pub const COMPARE: u8 = 0x6e;
    /// AbandonRequest.
    pub const ABANDON: u8 = 0x50;
    /// ExtendedRequest.
    pub const EXTENDED: u8 = 0x77;
}

/// One LDAPMessage with a request (RFC 4511 4.1.1).
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// Message id, 1 to 2147483647.
    pub id: i32,
    /// What is asked.
    pub request: Request<'a>,
    /// The controls that came with it.
    pub controls: Controls<'a>,
}

/// What a client asks (RFC 4511 4.2 to 4.12).
#[derive(Clone, Debug, PartialEq)]
pub enum Request<'a> {
    /// Authenticate (4.2).
    Bind(BindRequest<'a>),
    /// End the session (4.3); no answer.
    Unbind,
    /// Find entries (4.5).
    Search(SearchRequest<'a>),
    /// Change an entry (4.6).
    Modify(ModifyRequest<'a>),
    /// Make an entry (4.7).
    Add(AddRequest<'a>),
    /// Remove a leaf entry (4.8).
    Delete {
        /// Name of the entry.
        dn: &'a str,
    },
    /// Rename or move an entry (4.9).
    ModifyDn(ModifyDnRequest<'a>),
    /// Compare an assertion with an entry (4.10).
    Compare(CompareRequest<'a>),
    /// Stop the operation with this message id (4.11); no answer.
    Abandon(i32),
    /// An extended operation (4.12).
    Extended(ExtendedRequest<'a>),
}

/// A bind (RFC 4511 4.2).
#[derive(Clone, Debug, PartialEq)]
pub struct BindRequest<'a> {
    /// Protocol version, 1 to 127; only 3 is LDAPv3.
    pub version: u8,
    /// Name to bind as; empty for anonymous and for most SASL mechanisms.
    pub name: &'a str,
    /// How.
    pub authentication: Authentication<'a>,
}

/// The authentication choice of a bind.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// A password, as bytes.
    Simple(&'a [u8]),
    /// A SASL exchange.
    Sasl {
        /// Mechanism name; empty aborts a negotiation (RFC 4511 4.2.1).
        mechanism: &'a str,
        /// Credentials; absent and empty differ (RFC 4422 3).
        credentials: Option<&'a [u8]>,
    },
    /// Any other choice, by its identifier octet: authMethodNotSupported.
    Unknown(u8),
}

impl fmt::Debug for Authentication<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(password) => write!(formatter, "Simple({})", Hidden(password)),
            Self::Sasl { mechanism, credentials } => {
                write!(formatter, "Sasl({mechanism:?}, {:?})", credentials.map(Hidden))
            }
            Self::Unknown(tag) => write!(formatter, "Unknown({tag:#04x})"),
        }
    }
}

/// A modify (RFC 4511 4.6).
#[derive(Clone, Debug, PartialEq)]
pub struct ModifyRequest<'a> {
    /// Name of the entry.
    pub dn: &'a str,
    /// What to do, in this order, all or nothing.
    pub modifications: Vec<ModificationRequest<'a>>,
}

/// One line of a modify.
#[derive(Clone, PartialEq)]
pub struct ModificationRequest<'a> {
    /// Add, delete, replace or increment (RFC 4525).
    pub kind: ModificationKind,
    /// Attribute description as spelled.
    pub attribute: &'a str,
    /// Values: one or more for add, exactly one for increment.
    pub values: Vec<&'a [u8]>,
}

impl fmt::Debug for ModificationRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {:?} ({} values)", self.kind, self.attribute, self.values.len())
    }
}

/// An add (RFC 4511 4.7).
#[derive(Clone, Debug, PartialEq)]
pub struct AddRequest<'a> {
    /// Name of the new entry.
    pub dn: &'a str,
    /// Its attributes, as sent: one attribute may come twice.
    pub attributes: Vec<AttributeRequest<'a>>,
}

/// One attribute of an add.
#[derive(Clone, PartialEq)]
pub struct AttributeRequest<'a> {
    /// Attribute description as spelled.
    pub attribute: &'a str,
    /// One or more values.
    pub values: Vec<&'a [u8]>,
}

impl fmt::Debug for AttributeRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} ({} values)", self.attribute, self.values.len())
    }
}

/// A modifyDN (RFC 4511 4.9).
#[derive(Clone, Debug, PartialEq)]
pub struct ModifyDnRequest<'a> {
    /// Name of the entry.
    pub dn: &'a str,
    /// Its new RDN.
    pub new_rdn: &'a str,
    /// Whether the values of the old RDN go.
    pub delete_old_rdn: bool,
    /// Name of the new superior; absent: it stays where it is.
    pub new_superior: Option<&'a str>,
}

/// A compare (RFC 4511 4.10).
#[derive(Clone, PartialEq)]
pub struct CompareRequest<'a> {
    /// Name of the entry.
    pub dn: &'a str,
    /// Attribute description as spelled.
    pub attribute: &'a str,
    /// Assertion value.
    pub value: &'a [u8],
}

impl fmt::Debug for CompareRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Compare({:?}, {:?}, {})", self.dn, self.attribute, Hidden(self.value))
    }
}

/// An extended operation (RFC 4511 4.12).
#[derive(Clone, PartialEq)]
pub struct ExtendedRequest<'a> {
    /// Object identifier of the operation.
    pub name: &'a str,
    /// Its value, undecoded (`wire::extended`).
    pub value: Option<&'a [u8]>,
}

impl fmt::Debug for ExtendedRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Extended({:?}, {:?})", self.name, self.value.map(Hidden))
    }
}

/// Shows how long a value is, not what it is.
pub(super) struct Hidden<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hidden<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl<'a> Message<'a> {
    /// Decodes one PDU: exactly the bytes of one frame.
    ///
    /// Borrows everything from `pdu`. Cost: linear in its length; two allocations for a plain search, none for bind,
    /// unbind, compare, delete, modifyDN, abandon and extended.
    ///
    /// # Errors
    /// [`DecodeError`], which says whether the request alone is refused or the session must end.
    #[inline]
    pub fn decode(pdu: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut message_id, mut operation_tag) = (None, None);
        decode_message(pdu, &mut message_id, &mut operation_tag)
            .map_err(|malformed| DecodeError::new(message_id, operation_tag, malformed))
    }
}

impl Request<'_> {
    /// Identifier octet of the request.
    pub const fn operation_tag(&self) -> u8 {
        match self {
            Self::Bind(_) => operation_tag::BIND,
            Self::Unbind => operation_tag::UNBIND,
            Self::Search(_) => operation_tag::SEARCH,
            Self::Modify(_) => operation_tag::MODIFY,
            Self::Add(_) => operation_tag::ADD,
            Self::Delete { .. } => operation_tag::DELETE,
            Self::ModifyDn(_) => operation_tag::MODIFY_DN,
            Self::Compare(_) => operation_tag::COMPARE,
            Self::Abandon(_) => operation_tag::ABANDON,
            Self::Extended(_) => operation_tag::EXTENDED,
        }
    }

    /// Name of the operation in lower case, for logs and counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bind(_) => "bind",
            Self::Unbind => "unbind",
            Self::Search(_) => "search",
            Self::Modify(_) => "modify",
            Self::Add(_) => "add",
            Self::Delete { .. } => "delete",
            Self::ModifyDn(_) => "modifyDN",
            Self::Compare(_) => "compare",
            Self::Abandon(_) => "abandon",
            Self::Extended(_) => "extended",
        }
    }
}

#[inline]
fn decode_message<'a>(
    pdu: &'a [u8],
    message_id: &mut Option<i32>,
    operation_tag: &mut Option<u8>,
) -> Result<Message<'a>, Malformed> {
    let mut outer = Reader::new(pdu);
    let mut reader = outer.enter(ber::SEQUENCE)?;
    outer.finish()?;
    let id = message_id_of(reader.integer()?)?;
    *message_id = Some(id);
    *operation_tag = reader.peek();
    let (tag, content) = reader.element()?;
    let request = decode_request(tag, content)?;
    let controls = match reader.optional(ber::context_constructed(0))? {
        Some(controls) => Controls::decode(controls)?,
        None => Controls::NONE,
    };
    reader.finish()?;
    Ok(Message { id, request, controls })
}

/// RFC 4511 4.1.1.1: a request has a non-zero id of at most 2^31 - 1.
#[inline]
fn message_id_of(value: i64) -> Result<i32, Malformed> {
    match i32::try_from(value) {
        Ok(id) if id > 0 => Ok(id),
        _ => Err(Malformed::fatal(format!("message id {value} is not between 1 and 2147483647"))),
    }
}

#[inline]
fn decode_request(tag: u8, content: &[u8]) -> Result<Request<'_>, Malformed> {
    let mut reader = Reader::new(content);
    match tag {
        operation_tag::SEARCH => SearchRequest::decode(reader).map(Request::Search),
        operation_tag::BIND => decode_bind(reader).map(Request::Bind),
        operation_tag::UNBIND => reader.finish().map(|()| Request::Unbind).map_err(Malformed::from),
        operation_tag::MODIFY => update::decode_modify(reader).map(Request::Modify),
        operation_tag::ADD => update::decode_add(reader).map(Request::Add),
        operation_tag::DELETE => Ok(Request::Delete { dn: dn_text(content)? }),
        operation_tag::MODIFY_DN => update::decode_modify_dn(reader).map(Request::ModifyDn),
        operation_tag::COMPARE => decode_compare(reader).map(Request::Compare),
        operation_tag::ABANDON => abandon_id(ber::integer(content)?).map(Request::Abandon),
        operation_tag::EXTENDED => {
            let name = text(reader.expect(ber::context(0))?)
                .map_err(|()| Malformed::protocol("the name of the extended operation is not UTF-8"))?;
            let value = reader.optional(ber::context(1))?;
            reader.finish_extensible(2)?;
            Ok(Request::Extended(ExtendedRequest { name, value }))
        }
        _ => Err(Malformed::fatal(format!("{tag:#04x} is not the tag of a request"))),
    }
}

/// An id to abandon or cancel may be any that the grammar allows, zero included; nothing runs under zero.
pub(super) fn abandon_id(value: i64) -> Result<i32, Malformed> {
    match i32::try_from(value) {
        Ok(id) if id >= 0 => Ok(id),
        _ => Err(Malformed::protocol(format!("message id {value} is not between 0 and 2147483647"))),
    }
}

#[inline]
fn decode_bind(mut reader: Reader<'_>) -> Result<BindRequest<'_>, Malformed> {
    let version = reader.integer()?;
    let name = reader.octets()?;
    let (tag, content) = reader.element()?;
    reader.finish_extensible(4)?;
    let Ok(version @ 1..=127) = u8::try_from(version) else {
        return Err(Malformed::protocol(format!("protocol version {version} is not between 1 and 127")));
    };
    let name = dn_text(name)?;
    let authentication = if tag == ber::context(0) {
        Authentication::Simple(content)
    } else if tag == ber::context_constructed(3) {
        let mut sasl = Reader::new(content);
        let mechanism = sasl.octets()?;
        let credentials = sasl.optional(ber::OCTET_STRING)?;
        sasl.finish_extensible(0)?;
        let mechanism = text(mechanism).map_err(|()| {
            Malformed::with_code(ResultCode::AUTH_METHOD_NOT_SUPPORTED, "the SASL mechanism is not UTF-8")
        })?;
        Authentication::Sasl { mechanism, credentials }
    } else {
        Authentication::Unknown(tag)
    };
    Ok(BindRequest { version, name, authentication })
}

fn decode_compare(mut reader: Reader<'_>) -> Result<CompareRequest<'_>, Malformed> {
    let dn = reader.octets()?;
    let mut assertion = reader.enter(ber::SEQUENCE)?;
    reader.finish_extensible(0)?;
    let attribute = assertion.octets()?;
    let value = assertion.octets()?;
    assertion.finish_extensible(0)?;
    Ok(CompareRequest { dn: dn_text(dn)?, attribute: attribute_text(attribute)?, value })
}

#[inline]
pub(super) fn text(bytes: &[u8]) -> Result<&str, ()> {
    std::str::from_utf8(bytes).map_err(|_| ())
}

/// RFC 4511 4.1.3: a DN is UTF-8 text.
#[inline]
pub(super) fn dn_text(bytes: &[u8]) -> Result<&str, Malformed> {
    text(bytes).map_err(|()| Malformed::with_code(ResultCode::INVALID_DN_SYNTAX, "the name is not UTF-8"))
}

/// RFC 4511 4.1.4: an attribute description is ASCII text; nothing else can name a known attribute.
#[inline]
pub(super) fn attribute_text(bytes: &[u8]) -> Result<&str, Malformed> {
    text(bytes).map_err(|()| {
        Malformed::with_code(ResultCode::UNDEFINED_ATTRIBUTE_TYPE, "the attribute description is not UTF-8")
    })
}
