//! Building the index anew while the node serves: an extended operation of our own, without value, for the
//! administrator.
//!
//! It is work for the writer like any change: other changes wait until it is committed, readers go on with the index
//! that is there. The answer comes after the commit.

use super::{Work, submit};
use crate::model::ResultCode;
use crate::operation::outcome::OperationError;
use crate::operation::{Directory, ExtendedCall};
use std::sync::Arc;

impl Directory {
    /// Takes a reindex request; it is answered after the commit, or at once when it is refused.
    pub(in crate::operation) fn reindex(self: &Arc<Self>, call: ExtendedCall<'_>) {
        let read = call.read(self, |asked, own, value| {
            let session = asked.session(own);
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
        if let Some((context, answer)) = read {
            submit(context, Work::Reindex, answer, None);
        }
    }
}
