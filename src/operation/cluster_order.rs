//! What this floor lets the cluster do: orders of the administrator are handed on, and changes wait at a gate.
//!
//! Orders about members (invite, retire, status) come as an extended operation of our own; what they mean is known to
//! whoever handed in the [`Operator`]. The gate says whether changes of clients are taken at all: a member that only
//! reads, or one that has just come back from an old copy, takes none and says where else to go.

use super::outcome::{OperationError, Outcome};
use super::{Directory, ExtendedCall};
use crate::model::ResultCode;
use crate::wire::LdapResult;
use std::sync::Arc;

/// Changes that wait at the gate.
const HELD_BACK_MAX: usize = 4096;

/// Takes an order (JSON) and calls back with the answer (JSON), or with a text that says why not. Must not block.
pub type Operator = Box<dyn Fn(Vec<u8>, OrderReply) + Send + Sync>;
/// See [`Operator`].
pub type OrderReply = Box<dyn FnOnce(Result<Vec<u8>, String>) + Send>;

/// Whether changes of clients are taken.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum WriteGate {
    /// They are.
    #[default]
    Open,
    /// They wait until it opens or closes.
    Waiting,
    /// They are not.
    Closed {
        /// The result code where no other server is named.
        code: ResultCode,
        /// Why, and what to do.
        text: String,
        /// LDAP URLs of servers that take them.
        elsewhere: Vec<String>,
    },
}

impl Directory {
    /// Hands in who carries out orders.
    pub fn set_operator(&self, operator: Operator) {
        *self.operator.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Arc::new(operator));
    }

    /// Opens or closes the gate for changes to come.
    pub fn set_write_gate(&self, gate: WriteGate) {
        let released = {
            let mut held = self.held_back.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let released = if gate == WriteGate::Waiting { Vec::new() } else { std::mem::take(&mut *held) };
            self.write_gate.store(Arc::new(gate));
            released
        };
        released.into_iter().for_each(|change| change());
    }

    /// Runs a change now, or once the gate no longer waits. Where too many wait it is dropped, which answers it.
    pub(super) fn pass_gate(&self, change: Box<dyn FnOnce() + Send>) {
        let mut held = self.held_back.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if **self.write_gate.load() != WriteGate::Waiting {
            drop(held);
            return change();
        }
        if held.len() < HELD_BACK_MAX {
            held.push(change);
        }
    }

    /// Whether changes have to wait.
    pub(super) fn is_gate_waiting(&self) -> bool {
        **self.write_gate.load() == WriteGate::Waiting
    }

    /// Whether the gate is open, or will be.
    ///
    /// # Errors
    /// referral, or the gate's own code.
    pub(super) fn check_gate(&self) -> Outcome<()> {
        match &**self.write_gate.load() {
            WriteGate::Open | WriteGate::Waiting => Ok(()),
            WriteGate::Closed { code, text, elsewhere } if elsewhere.is_empty() => {
                Err(OperationError::new(*code, text.clone()))
            }
            WriteGate::Closed { text, elsewhere, .. } => {
                let mut error = OperationError::referral(elsewhere.clone());
                error.diagnostic.clone_from(text);
                Err(error)
            }
        }
    }

    /// Takes an order about the cluster.
    pub(super) fn cluster_order(&self, call: ExtendedCall<'_>) {
        let operator = self.operator.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let read = call.read(self, |asked, own, value| {
            if !asked.session(own).requester.is_administrator() {
                let text = "only the administrator gives orders about the cluster";
                return Err(OperationError::new(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, text));
            }
            let order = value.ok_or_else(|| OperationError::new(ResultCode::PROTOCOL_ERROR, "an order has a value"))?;
            let operator = operator.ok_or_else(|| {
                OperationError::new(ResultCode::UNWILLING_TO_PERFORM, "this server does not replicate")
            })?;
            Ok((operator, order.to_vec()))
        });
        let Some(((operator, order), answer)) = read else { return };
        operator(
            order,
            Box::new(move |outcome| match outcome {
                Ok(value) => answer.send(&LdapResult::plain(ResultCode::SUCCESS), Some(&value), &[]),
                Err(text) => answer.refuse(&OperationError::new(ResultCode::UNWILLING_TO_PERFORM, text)),
            }),
        );
    }
}
