//! Extended operations that are answered at once (RFC 4511 4.12): Who am I?, the start of a transaction, and the refusal of those not known.
//!
//! StartTLS and Cancel are about a connection and its requests, so `server` has them; password modify and
//! the end of a transaction are changes (`update`).

use super::control::RequestKind;
use super::{Directory, OperationError, Session};
use crate::model::ResultCode;
use crate::wire::transaction::{END_TRANSACTION, START_TRANSACTION};
use crate::wire::{Controls, ExtendedRequest, LdapResult, extended, response};

/// Object identifiers of the extended operations served, as `supportedExtension` shows them.
pub const SUPPORTED_EXTENSIONS: [&str; 6] = [
    extended::CANCEL,
    extended::START_TLS,
    extended::PASSWORD_MODIFY,
    extended::WHO_AM_I,
    START_TRANSACTION,
    END_TRANSACTION,
];

impl Directory {
    /// Appends the answer to an extended operation other than StartTLS, Cancel, password modify and the end of a transaction.
    pub fn extended(
        &self,
        session: &Session,
        id: i32,
        request: &ExtendedRequest<'_>,
        controls: &Controls<'_>,
        out: &mut Vec<u8>,
    ) {
        let answer = match request.name {
            extended::WHO_AM_I => who_am_i(self, session, request, controls).map(String::into_bytes),
            START_TRANSACTION => self.start_transaction(session, request, controls),
            _ => Err(OperationError::new(
                ResultCode::PROTOCOL_ERROR,
                "this extended operation is not served; the root DSE's supportedExtension names those that are",
            )),
        };
        match answer {
            Ok(value) => {
                let result = LdapResult::plain(ResultCode::SUCCESS);
                response::extended(out, id, &result, None, Some(&value), &[]);
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
    directory: &Directory,
    session: &Session,
    request: &ExtendedRequest<'_>,
    controls: &Controls<'_>,
) -> Result<String, OperationError> {
    let asked = directory.asked(session, controls, RequestKind::Extended)?;
    if request.value.is_some() {
        return Err(OperationError::new(ResultCode::PROTOCOL_ERROR, "Who am I? has no value (RFC 4532 2.1)"));
    }
    Ok(asked.session(session).requester.authorization_id())
}
