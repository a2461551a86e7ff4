//! Extended operations that are answered at once (RFC 4511 4.12): Who am I?, and the refusal of those not known.
//!
//! StartTLS and Cancel are about a connection and its requests, so `server` has them; password modify is a change
//! (`update`).

use super::control::{RequestControls, RequestKind};
use super::{Directory, OperationError, Session};
use crate::model::ResultCode;
use crate::wire::{Controls, ExtendedRequest, LdapResult, extended, response};

/// Object identifiers of the extended operations served, as `supportedExtension` shows them.
pub const SUPPORTED_EXTENSIONS: [&str; 4] =
    [extended::CANCEL, extended::START_TLS, extended::PASSWORD_MODIFY, extended::WHO_AM_I];

impl Directory {
    /// Appends the answer to an extended operation other than StartTLS, Cancel and password modify.
    pub fn extended(
        &self,
        session: &Session,
        id: i32,
        request: &ExtendedRequest<'_>,
        controls: &Controls<'_>,
        out: &mut Vec<u8>,
    ) {
        let answer = match request.name {
            extended::WHO_AM_I => who_am_i(session, request, controls),
            _ => Err(OperationError::new(
                ResultCode::PROTOCOL_ERROR,
                "this extended operation is not served; the root DSE's supportedExtension names those that are",
            )),
        };
        match answer {
            Ok(value) => {
                let result = LdapResult::plain(ResultCode::SUCCESS);
                response::extended(out, id, &result, None, Some(value.as_bytes()), &[]);
            }
            Err(error) => {
                let result = LdapResult::new(error.code, &error.diagnostic);
                response::extended(out, id, &result, None, None, &[]);
            }
        }
    }
}

/// RFC 4532.
fn who_am_i(
    session: &Session,
    request: &ExtendedRequest<'_>,
    controls: &Controls<'_>,
) -> Result<String, OperationError> {
    RequestControls::read(controls, RequestKind::Extended)?;
    if request.value.is_some() {
        return Err(OperationError::new(ResultCode::PROTOCOL_ERROR, "Who am I? has no value (RFC 4532 2.1)"));
    }
    Ok(session.requester.authorization_id())
}
