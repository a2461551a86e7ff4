//! Controls that do not go together.
//!
//! Most controls say different things of one request and all hold at once. Some pairs cannot: a search that goes on for
//! ever has no last page. Of such a pair the one named second gives way: critical, it refuses the request, else it is
//! passed over as RFC 4511 4.1.11 has it for controls that do not fit.

use super::{RequestControls, SYNC_REQUEST};
use crate::model::ResultCode;
use crate::operation::outcome::{OperationError, Outcome};
use crate::wire::control::{LIST_VIEW_REQUEST, PAGED_RESULTS, SORT_REQUEST};

/// Pairs of which the second one gives way.
const APART: &[(&str, &[&str])] =
    &[(SYNC_REQUEST, &[PAGED_RESULTS, SORT_REQUEST, LIST_VIEW_REQUEST]), (LIST_VIEW_REQUEST, &[PAGED_RESULTS])];

impl RequestControls {
    /// Takes out what does not go with the rest.
    ///
    /// # Errors
    /// unwillingToPerform, naming both controls.
    pub(super) fn settle(&mut self) -> Outcome<()> {
        for (stays, others) in APART {
            if !self.has(stays) {
                continue;
            }
            for other in *others {
                if !self.has(other) {
                    continue;
                }
                if self.is_critical(other) {
                    return Err(OperationError::new(
                        ResultCode::UNWILLING_TO_PERFORM,
                        format!("the controls {stays} and {other} do not go together; ask in two requests"),
                    ));
                }
                self.leave_out(other);
            }
        }
        Ok(())
    }

    fn has(&self, oid: &str) -> bool {
        match oid {
            LIST_VIEW_REQUEST => self.list_view.is_some(),
            PAGED_RESULTS => self.paged.is_some(),
            SORT_REQUEST => self.sort.is_some(),
            SYNC_REQUEST => self.sync.is_some(),
            _ => false,
        }
    }

    fn leave_out(&mut self, oid: &str) {
        match oid {
            LIST_VIEW_REQUEST => self.list_view = None,
            PAGED_RESULTS => self.paged = None,
            SORT_REQUEST => self.sort = None,
            _ => {}
        }
    }
}
