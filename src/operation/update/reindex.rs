//! Building the index anew while the node serves: an extended operation of our own, without value, for the
//! administrator.
//!
//! It is work for the writer like any change: other changes wait until it is committed, readers go on with the index
//! that is there. The answer comes after the commit.

use super::{Answer, Reply, Work, submit};
use crate::model::ResultCode;
use crate::operation::control::RequestKind;
use crate::operation::outcome::OperationError;
use crate::operation::{Directory, Session};
use crate::wire::{Controls, ResponseKind};
use std::sync::Arc;

impl Directory {
    /// Takes a reindex request; `reply` gets its response, after the commit or at once when it is refused.
    pub fn reindex(
        self: &Arc<Self>,
        session: &Session,
        id: i32,
        value: Option<&[u8]>,
        controls: &Controls<'_>,
        reply: Reply,
    ) {
        let answer = Answer::new(reply, id, ResponseKind::Extended);
        let prepared = self.asked(session, controls, RequestKind::Extended).and_then(|asked| {
            let session = asked.session(session);
            if value.is_some() {
                return Err(OperationError::new(ResultCode::PROTOCOL_ERROR, "reindex has no value"));
            }
            if !session.requester.is_administrator() {
                return Err(OperationError::new(
                    ResultCode::INSUFFICIENT_ACCESS_RIGHTS,
                    "only the administrator may have the index built anew",
                ));
            }
            Ok(self.context(session, asked.controls.clone()))
        });
        match prepared {
            Ok(context) => submit(context, Work::Reindex, answer, None),
            Err(error) => answer.refuse(&error),
        }
    }
}
