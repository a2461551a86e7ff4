//! BER, requests, responses, controls (RFC 4511): the bytes of the LDAP door, and nothing of their meaning.
//!
//! Written here because what general codecs do on hostile input changes the meaning of requests (a truncated child
//! is dropped, a move without its target becomes a rename), ties values to UTF-8, and costs many times the CPU and
//! memory; see [`ber`] and [`request`](Message) for the rules kept instead. `ldap3_proto` is the second opinion in tests.
//!
//! The way of a request: [`frame_length`] on the connection's buffer, [`Message::decode`] on one frame, answers through
//! [`response`] into one output buffer; what did not decode is answered by [`response::refusal`].
//!
//! Invariants
//! - Any bytes: no panic, no recursion without limit, memory within a small multiple of the PDU.
//! - A PDU means what RFC 4511 says it means, or it is refused.
//! - No schema, no clock, no I/O.

pub mod assurance;
pub mod ber;
pub mod control;
mod error;
pub mod extended;
mod filter;
mod frame;
pub mod password_policy;
mod request;
pub mod response;
mod search;
pub mod sync;
pub mod transaction;
mod update;

#[cfg(test)]
mod tests;

pub use control::{Control, Controls};
pub use error::{DecodeError, Malformed};
pub use frame::{FrameDecoder, FrameError, PDU_BYTES_MAX, PDU_BYTES_MAX_BEFORE_BIND, frame_length};
pub use request::{
    AddRequest, AttributeRequest, Authentication, BindRequest, CompareRequest, ExtendedRequest, Message,
    ModificationRequest, ModifyDnRequest, ModifyRequest, Request, operation_tag,
};
pub use response::{LdapResult, ResponseControl, ResponseKind, SearchEntry};
pub use search::{SEARCH_ATTRIBUTES_MAX, SearchRequest};
pub use update::{ADD_ATTRIBUTES_MAX, MODIFICATIONS_MAX, VALUES_MAX};
