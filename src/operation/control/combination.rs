//! Controls that do not go together.
//!
//! Most controls say different things of one request and all hold at once. Some pairs cannot: a search that goes on for
//! ever has no last page. Of such a pair the one named second gives way: critical, it refuses the request, else it is
//! passed over as RFC 4511 4.1.11 has it for controls that do not fit.

use super::{RequestControls, SYNC_REQUEST};
use crate::model::ResultCode;
use crate::operation::outcome::{OperationError, Outcome};
use crate::wire::control::{
    ACCOUNT_USABILITY, DEREFERENCE, EFFECTIVE_RIGHTS, LIST_VIEW_REQUEST, MATCHED_VALUES, PAGED_RESULTS,
    PERSISTENT_SEARCH, SORT_REQUEST,
};

/// Pairs of which the second one gives way.
const APART: &[(&str, &[&str])] = &[
    (
        SYNC_REQUEST,
        &[
            PAGED_RESULTS,
            SORT_REQUEST,
            LIST_VIEW_REQUEST,
            MATCHED_VALUES,
            DEREFERENCE,
            EFFECTIVE_RIGHTS,
            ACCOUNT_USABILITY,
            PERSISTENT_SEARCH,
        ],
    ),
    (PERSISTENT_SEARCH, &[PAGED_RESULTS, SORT_REQUEST, LIST_VIEW_REQUEST]),
    (LIST_VIEW_REQUEST, &[PAGED_RESULTS]),
];

impl RequestControls {
    /// Takes out what does not go with the rest.
    ///
    /// # Errors
    /// unwillingToPerform, naming both controls.
    pub(super) fn settle(&mut self) -> Outcome<()> {
        if self.no_op && self.transaction.is_some() {
            return Err(OperationError::new(
                ResultCode::UNWILLING_TO_PERFORM,
                "an update of a transaction cannot be tried alone; leave out the control for no operation",
            ));
        }
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
            ACCOUNT_USABILITY => self.account_usability,
            DEREFERENCE => self.dereference.is_some(),
            EFFECTIVE_RIGHTS => self.effective_rights.is_some(),
            LIST_VIEW_REQUEST => self.list_view.is_some(),
            MATCHED_VALUES => self.matched_values.is_some(),
            PAGED_RESULTS => self.paged.is_some(),
            PERSISTENT_SEARCH => self.persistent.is_some(),
            SORT_REQUEST => self.sort.is_some(),
            SYNC_REQUEST => self.sync.is_some(),
            _ => false,
        }
    }

    fn leave_out(&mut self, oid: &str) {
        match oid {
            ACCOUNT_USABILITY => self.account_usability = false,
            DEREFERENCE => self.dereference = None,
            EFFECTIVE_RIGHTS => self.effective_rights = None,
            LIST_VIEW_REQUEST => self.list_view = None,
            MATCHED_VALUES => self.matched_values = None,
            PAGED_RESULTS => self.paged = None,
            PERSISTENT_SEARCH => self.persistent = None,
            SORT_REQUEST => self.sort = None,
            _ => {}
        }
    }
}
