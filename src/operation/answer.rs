//! The one answer to a request that is answered later: by the writer after its commit, by the hashing pool, or by whoever
//! carries out an order.
//!
//! Invariant
//! - answered-once: every request is answered exactly once, even if whoever was to answer is dropped.

use super::OperationError;
use super::update::Reply;
use crate::model::ResultCode;
use crate::wire::password_policy::password_policy;
use crate::wire::{LdapResult, ResponseControl, ResponseKind, response};

/// The one answer that a request gets. Dropped, it answers that the server could not come to it.
pub(super) struct Answer {
    reply: Option<Reply>,
    id: i32,
    kind: ResponseKind,
    /// What a dropped request is told.
    pub(super) dropped: (ResultCode, &'static str),
    /// What a password policy objects to is said in a control.
    pub(super) says_policy: bool,
}

impl Answer {
    pub(super) fn new(reply: Reply, id: i32, kind: ResponseKind) -> Self {
        let dropped = (ResultCode::UNAVAILABLE, "the server could not come to the change; it was not made");
        Self { reply: Some(reply), id, kind, dropped, says_policy: false }
    }

    pub(super) fn send(mut self, result: &LdapResult<'_>, value: Option<&[u8]>, controls: &[ResponseControl]) {
        if let Some(reply) = self.reply.take() {
            reply(self.encode(result, value, controls));
        }
    }

    pub(super) fn refuse(self, error: &OperationError) {
        self.refuse_with(error, None);
    }

    /// [`Answer::refuse`] with what the response of an extended operation says besides.
    pub(super) fn refuse_with(self, error: &OperationError, value: Option<&[u8]>) {
        let policy = error.password.filter(|_| self.says_policy).map(|error| password_policy(None, Some(error)));
        self.send(&error.as_result(), value, policy.as_slice());
    }

    fn encode(&self, result: &LdapResult<'_>, value: Option<&[u8]>, controls: &[ResponseControl]) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self.kind {
            ResponseKind::Extended => response::extended(&mut out, self.id, result, None, value, controls),
            kind => response::result(&mut out, self.id, kind, result, controls),
        }
        out
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            let (code, text) = self.dropped;
            reply(self.encode(&LdapResult::new(code, text), None, &[]));
        }
    }
}
