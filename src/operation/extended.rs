//! Extended operations (RFC 4511 4.12): those answered at once (Who am I?, the start of a transaction, and the refusal of
//! those not known), and the way that the others go, which are answered later.
//!
//! StartTLS and Cancel are about a connection and its requests, so `server` has them.

use super::act_as::Asked;
use super::answer::Answer;
use super::control::RequestKind;
use super::update::{Reply, UpdateStep};
use super::{Directory, OperationError, Outcome, Session};
use crate::model::ResultCode;
use crate::wire::password_policy::PASSWORD_POLICY;
use crate::wire::transaction::{END_TRANSACTION, START_TRANSACTION, TRANSACTION};
use crate::wire::{Controls, ExtendedRequest, LdapResult, ResponseKind, extended, response};
use std::sync::Arc;

/// Object identifiers of the extended operations served, as `supportedExtension` shows them.
pub const SUPPORTED_EXTENSIONS: [&str; 6] = [
    extended::CANCEL,
    extended::START_TLS,
    extended::PASSWORD_MODIFY,
    extended::WHO_AM_I,
    START_TRANSACTION,
    END_TRANSACTION,
];

/// Those that are answered later.
const LATER: [&str; 5] =
    [extended::PASSWORD_MODIFY, END_TRANSACTION, extended::CLUSTER_ORDER, extended::APP_PASSWORD, extended::REINDEX];

/// A request that is answered later: all that such an operation is given.
pub struct ExtendedCall<'a> {
    /// Who asks.
    pub session: &'a Session,
    /// Its message id.
    pub id: i32,
    /// What for.
    pub request: &'a ExtendedRequest<'a>,
    /// With which controls.
    pub controls: &'a Controls<'a>,
    /// Takes the response PDU.
    pub reply: Reply,
}

impl<'a> ExtendedCall<'a> {
    /// Whether the operation of this name is answered later.
    pub fn is_later(name: &str) -> bool {
        LATER.contains(&name)
    }

    /// Finds out what is asked: reads the controls, decides as whom, and hands both with the value to `read`. A refusal is
    /// answered here, and spoils the transaction that the request was to be a part of; `None` then.
    pub(super) fn read<T>(
        self,
        directory: &Directory,
        read: impl FnOnce(&Asked, &'a Session, Option<&'a [u8]>) -> Outcome<T>,
    ) -> Option<(T, Answer)> {
        let mut answer = Answer::new(self.reply, self.id, ResponseKind::Extended);
        answer.says_policy = self.controls.find(PASSWORD_POLICY).is_some();
        let kind = match self.request.name {
            extended::PASSWORD_MODIFY => RequestKind::PasswordModify,
            _ => RequestKind::Extended,
        };
        let asked = directory.asked(self.session, self.controls, kind);
        match asked.and_then(|asked| read(&asked, self.session, self.request.value)) {
            Ok(read) => Some((read, answer)),
            Err(error) => {
                if let Some(identifier) = self.controls.find(TRANSACTION).and_then(|control| control.value) {
                    self.session.transactions.spoil(identifier, &error);
                }
                answer.refuse(&error);
                None
            }
        }
    }
}

impl Directory {
    /// Refuses an extended operation that the access rules keep from the requester; says whether it did.
    pub fn refuses_extended(&self, session: &Session, id: i32, oid: &str, out: &mut Vec<u8>) -> bool {
        let Err(error) = self.check_extended(session, oid) else { return false };
        response::extended(out, id, &error.as_result(), None, None, &[]);
        true
    }

    /// Takes a request that is answered later ([`ExtendedCall::is_later`]).
    pub fn extended_later(self: &Arc<Self>, call: ExtendedCall<'_>) -> UpdateStep {
        match call.request.name {
            extended::PASSWORD_MODIFY => return self.password_modify(call),
            END_TRANSACTION => return self.end_transaction(call),
            extended::CLUSTER_ORDER => self.cluster_order(call),
            extended::APP_PASSWORD => self.app_password_order(call),
            extended::REINDEX => self.reindex(call),
            _ => {
                let refused: Option<((), Answer)> = call.read(self, |_, _, _| Err(unknown()));
                debug_assert!(refused.is_none(), "a refusal is answered at once");
            }
        }
        UpdateStep::Queued
    }

    /// Appends the answer to an extended operation other than StartTLS, Cancel and those that are answered later.
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
            _ => Err(unknown()),
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

fn unknown() -> OperationError {
    OperationError::new(
        ResultCode::PROTOCOL_ERROR,
        "this extended operation is not served; the root DSE's supportedExtension names those that are",
    )
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
