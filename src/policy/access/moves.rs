//! Rules about moves: `moddn` with `target_from` and `target_to`, as 389-DS has them.
//!
//! Such a rule is about a move as a whole. It is looked for at and above the superior that the entry will have, and judged
//! about that superior: this lies in `target_to` (and in `target`, and fits `targetfilter`, `self` and `userattr`), and the
//! entry that is moved lies in `target_from`. What it does not say may be anywhere: without `target_from` entries come from
//! everywhere. One such rule is enough for a move; one that denies it is enough to refuse it.
//!
//! `moddn` without either is, stricter than in 389-DS, about leaving and about arriving, each judged where it happens: who
//! gives it in one subtree gives nothing of another one away. To deny, it counts for both.

use super::bind_rule::{Subject, Verdict};
use super::compile::{CompiledPermission, CompiledRules, CompiledTarget, Judged, Rule};
use super::{AccessCompiler, AccessContext, EntryFacts, RequesterFacts};
use crate::policy::aci::Effect;
use crate::policy::rights::Right;
use crate::schema::Schema;
use std::sync::Arc;

/// A rule about moves.
#[derive(Clone, Debug)]
pub(super) struct MoveRule {
    /// Its permissions have the right `moddn` or none.
    pub(super) rule: Rule,
    pub(super) from: Option<CompiledTarget>,
    pub(super) to: Option<CompiledTarget>,
}

impl MoveRule {
    /// Whether entry and superior are where the rule says.
    pub(super) fn places_fit(&self, schema: &Schema, moving: &Move<'_>) -> Verdict {
        let fits = |target: &Option<CompiledTarget>, entry: &dyn EntryFacts| {
            target.as_ref().map_or(Some(true), |target| target.fits(schema, entry))
        };
        match (fits(&self.from, moving.leaves.entry), fits(&self.to, moving.superior.entry)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    fn applies(&self, permission: &CompiledPermission, subject: &Subject<'_>, moving: &Move<'_>) -> Verdict {
        let judged = Judged { entry: moving.superior.entry, right: Right::ModDn };
        match (self.places_fit(subject.schema, moving), self.rule.applies(&permission.bind_rule, subject, judged)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), applies) => applies,
            (None, _) => None,
        }
    }
}

/// An entry that a move is about, with the rules that hold there.
#[derive(Clone, Copy)]
pub struct MovePlace<'a> {
    /// What is known of it.
    pub entry: &'a dyn EntryFacts,
    /// Those of the entry and its superiors.
    pub rules: &'a [Arc<CompiledRules>],
}

/// A move to another superior.
#[derive(Clone, Copy)]
pub struct Move<'a> {
    /// The entry where it is.
    pub leaves: MovePlace<'a>,
    /// The superior that it will have.
    pub superior: MovePlace<'a>,
    /// The entry where it will be.
    pub arrives: MovePlace<'a>,
}

/// What rules about moves say of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoveVerdict {
    /// One gives it, and no rule with the right `moddn` takes it.
    Allowed,
    /// One takes it.
    Denied,
    /// Neither: leaving and arriving are judged by the other rules.
    Unsaid,
}

impl AccessCompiler {
    /// What the rules about moves say of one. Whoever is not given it by them may still have the rights to leave and to
    /// arrive.
    ///
    /// Cost: next to nothing where there is no such rule; else an evaluation of each, and of each other deny of `moddn`.
    pub fn judge_move(
        &self,
        context: &AccessContext<'_>,
        facts: &dyn RequesterFacts,
        moving: &Move<'_>,
    ) -> MoveVerdict {
        let subject = Subject { schema: &self.schema, context: *context, facts };
        let mut verdict = MoveVerdict::Unsaid;
        for of_move in moving.superior.rules.iter().flat_map(|holder| &holder.moves) {
            for permission in of_move.rule.permissions.iter().filter(|of| of.rights.contains(Right::ModDn)) {
                match (permission.effect, of_move.applies(permission, &subject, moving)) {
                    (Effect::Deny, Some(true) | None) => return MoveVerdict::Denied,
                    (Effect::Allow, Some(true)) => verdict = MoveVerdict::Allowed,
                    _ => {}
                }
            }
        }
        if verdict == MoveVerdict::Allowed
            && [moving.leaves, moving.arrives].iter().any(|place| is_denied(&subject, place))
        {
            return MoveVerdict::Denied;
        }
        verdict
    }
}

/// Whether a rule that is not about places takes `moddn` from the entry.
fn is_denied(subject: &Subject<'_>, place: &MovePlace<'_>) -> bool {
    let judged = Judged { entry: place.entry, right: Right::ModDn };
    place.rules.iter().flat_map(|holder| &holder.rules).any(|rule| {
        rule.permissions.iter().any(|permission| {
            permission.effect == Effect::Deny
                && permission.rights.contains(Right::ModDn)
                && rule.applies(&permission.bind_rule, subject, judged) != Some(false)
        })
    })
}
