//! Rules about requests: `targetcontrol` and `extop`, which OpenDJ and its relatives have.
//!
//! A rule with one of these targets is about the use of controls or extended operations, and gives or takes nothing else;
//! the right that counts is `read`. Here, other than there, what no rule names is free for everybody: a control shows
//! nothing that the other rules do not give. What an allow names is for those alone whom one allows, and what a deny names
//! is not for those whom it denies.

use super::bind_rule::Subject;
use super::compile::{CompiledRules, Judged, Rule};
use super::{AccessCompiler, AccessContext, EntryFacts, RequesterFacts};
use crate::policy::aci::{Effect, OidList};
use crate::policy::rights::Right;
use std::sync::Arc;

/// What somebody wants to use, by its OID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestPart<'o> {
    /// A control of a request.
    Control(&'o str),
    /// An extended operation.
    ExtendedOperation(&'o str),
}

/// A rule about requests.
#[derive(Clone, Debug)]
pub(super) struct RequestRule {
    pub(super) rule: Rule,
    pub(super) controls: Option<OidList>,
    pub(super) extended_operations: Option<OidList>,
}

impl RequestRule {
    fn covers(&self, part: RequestPart<'_>) -> bool {
        let (list, oid) = match part {
            RequestPart::Control(oid) => (&self.controls, oid),
            RequestPart::ExtendedOperation(oid) => (&self.extended_operations, oid),
        };
        list.as_ref().is_some_and(|list| list.covers(oid))
    }
}

impl CompiledRules {
    /// Whether some rule here is about controls or extended operations.
    pub fn has_request_rules(&self) -> bool {
        !self.requests.is_empty()
    }
}

impl AccessCompiler {
    /// Whether the requester may use a control in a request about `entry`, or an extended operation. `rules`: those of the
    /// entry and its superiors, or for an extended operation those of every holder with the holder as the entry.
    ///
    /// Cost: one evaluation of every rule about requests.
    pub fn permits(
        &self,
        rules: &[(&dyn EntryFacts, Arc<CompiledRules>)],
        context: &AccessContext<'_>,
        facts: &dyn RequesterFacts,
        part: RequestPart<'_>,
    ) -> bool {
        if context.requester.is_administrator() {
            return true;
        }
        let subject = Subject { schema: &self.schema, context: *context, facts };
        let (mut is_named, mut is_allowed) = (false, false);
        for (entry, holder) in rules {
            for request in holder.requests.iter().filter(|request| request.covers(part)) {
                let judged = Judged { entry: *entry, right: Right::Read };
                let permissions = request.rule.permissions.iter();
                for permission in permissions.filter(|permission| permission.rights.contains(Right::Read)) {
                    let verdict = request.rule.applies(&permission.bind_rule, &subject, judged);
                    match permission.effect {
                        Effect::Deny if verdict != Some(false) => return false,
                        Effect::Deny => {}
                        Effect::Allow => {
                            is_named |= request.rule.target_fits(&self.schema, *entry).0 != Some(false);
                            is_allowed |= verdict == Some(true);
                        }
                    }
                }
            }
        }
        is_allowed || !is_named
    }
}
