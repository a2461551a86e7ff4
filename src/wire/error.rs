//! Why bytes are not a request, and what follows for the session.
//!
//! RFC 4511 4.1.1 draws the line: where the message, its id, its operation or "the encoding structures or lengths of
//! data fields" cannot be trusted, the server sends a notice of disconnection and closes; everything else that cannot
//! be parsed is answered for that request alone. [`Malformed::ends_session`] is that line.

use std::borrow::Cow;

use crate::model::ResultCode;

use super::ber::BerError;

/// Why a part of a message, a control value or the value of an extended operation could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Malformed {
    /// What to answer.
    pub code: ResultCode,
    /// Whether the encoding itself is broken. Inside a control value or an extended operation's value it is not the
    /// message that broke: there only `code` counts.
    pub ends_session: bool,
    /// What is wrong, for the client to read.
    pub detail: Cow<'static, str>,
}

impl Malformed {
    /// protocolError for this request.
    #[cold]
    pub(super) fn protocol(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::with_code(ResultCode::PROTOCOL_ERROR, detail)
    }

    /// Another result code for this request.
    #[cold]
    pub(super) fn with_code(code: ResultCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, ends_session: false, detail: detail.into() }
    }

    /// The end of the session.
    #[cold]
    pub(super) fn fatal(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { ends_session: true, ..Self::protocol(detail) }
    }
}

impl From<BerError> for Malformed {
    #[cold]
    fn from(error: BerError) -> Self {
        Self::fatal(error.to_string())
    }
}

/// Why a frame is not a request, with as much of the request as could be told.
///
/// What to do with it: [`super::response::refusal`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct DecodeError {
    /// Message id, 1 or more, if it could be read.
    pub message_id: Option<i32>,
    /// Identifier octet of the operation, if it could be read; of any value.
    pub operation_tag: Option<u8>,
    /// What to answer: protocolError, or a code that says more (invalidDNSyntax for a name that is not UTF-8).
    pub code: ResultCode,
    /// Whether RFC 4511 4.1.1 wants the session ended by a notice of disconnection. Otherwise the request alone is
    /// answered; its id and operation are then known.
    pub ends_session: bool,
    /// What is wrong, for the client to read.
    pub detail: String,
}

impl DecodeError {
    #[cold]
    pub(super) fn new(message_id: Option<i32>, operation_tag: Option<u8>, malformed: Malformed) -> Self {
        let Malformed { code, ends_session, detail } = malformed;
        Self { message_id, operation_tag, code, ends_session, detail: detail.into_owned() }
    }
}
