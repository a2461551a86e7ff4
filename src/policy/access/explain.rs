//! Why a right is given or refused, rule by rule; for operators and for tests.

use super::bind_rule::{Subject, Verdict};
use super::compile::CompiledRules;
use super::{AccessCompiler, AccessContext, EntryFacts, RequesterFacts};
use crate::policy::aci::Effect;
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use std::fmt;
use std::sync::Arc;

/// A decision and all rules that were looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The right asked about.
    pub right: Right,
    /// What was decided, and by which rule.
    pub outcome: Outcome,
    /// Every permission of every rule handed in, in their order.
    pub rules: Vec<RuleReport>,
}

/// What decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Allowed: the administrator is not judged.
    Administrator,
    /// Allowed by the permission with this index in [`Explanation::rules`], and denied by none.
    AllowedBy(usize),
    /// Denied by the permission with this index.
    DeniedBy(usize),
    /// Denied, because nothing allows it.
    NothingAllows,
}

/// One permission of one rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleReport {
    /// DN of the entry that holds the rule.
    pub holder: String,
    /// The rule's name.
    pub name: String,
    /// Allow or deny.
    pub effect: Effect,
    /// Whether it counts here.
    pub verdict: RuleVerdict,
}

/// Whether a permission counts, or the first reason why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleVerdict {
    /// It counts.
    Applies,
    /// It is about other rights.
    OtherRight,
    /// The entry is not in its target.
    OtherTarget,
    /// It is about other attributes, or not about the entry as a whole.
    OtherAttribute,
    /// The entry does not match its filter.
    OtherFilter,
    /// It is about other requesters, connections or times.
    OtherRequester,
    /// A condition cannot be judged: an allow does not count, a deny does.
    Unknown,
}

impl RuleVerdict {
    const fn text(self) -> &'static str {
        match self {
            Self::Applies => "applies",
            Self::OtherRight => "is about other rights",
            Self::OtherTarget => "is about other entries (target)",
            Self::OtherAttribute => "is about other attributes (targetattr)",
            Self::OtherFilter => "is about other entries (targetfilter)",
            Self::OtherRequester => "is about other requesters (bind rule)",
            Self::Unknown => "cannot be judged: gives nothing, takes if it is a deny",
        }
    }
}

impl Explanation {
    /// Whether the right is given.
    pub const fn is_allowed(&self) -> bool {
        matches!(self.outcome, Outcome::Administrator | Outcome::AllowedBy(_))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = |index: usize| self.rules.get(index).map_or("", |rule| &rule.name);
        match self.outcome {
            Outcome::Administrator => writeln!(f, "{}: allowed, the administrator is not judged", self.right)?,
            Outcome::AllowedBy(index) => writeln!(f, "{}: allowed by \"{}\"", self.right, rule(index))?,
            Outcome::DeniedBy(index) => writeln!(f, "{}: denied by \"{}\"", self.right, rule(index))?,
            Outcome::NothingAllows => writeln!(f, "{}: denied, nothing allows it", self.right)?,
        }
        for report in &self.rules {
            let effect = if report.effect == Effect::Allow { "allow" } else { "deny" };
            writeln!(f, "  {effect} \"{}\" of {} {}", report.name, report.holder, report.verdict.text())?;
        }
        Ok(())
    }
}

impl AccessCompiler {
    /// Decides one right on one attribute, or (`None`) on the entry as a whole, and tells why. Evaluates every rule
    /// afresh; the answer equals that of [`super::EntryAccess::allows`].
    pub fn explain(
        &self,
        rules: &[Arc<CompiledRules>],
        context: &AccessContext<'_>,
        facts: &dyn RequesterFacts,
        entry: &dyn EntryFacts,
        question: (Right, Option<AttributeTypeIndex>),
    ) -> Explanation {
        let (right, attribute) = question;
        let subject = Subject { schema: &self.schema, context: *context, facts };
        let mut reports = Vec::new();
        for holder in rules {
            for rule in &holder.rules {
                for permission in &rule.permissions {
                    let mut bind_rule =
                        || permission.bind_rule.evaluate(&mut |test| subject.answer_entry(test, entry, right));
                    let verdict = if !permission.rights.contains(right) {
                        RuleVerdict::OtherRight
                    } else if !rule.is_for(permission.effect, right, attribute) {
                        RuleVerdict::OtherAttribute
                    } else {
                        first_reason(&mut [
                            (RuleVerdict::OtherTarget, &mut || rule.target_fits(&self.schema, entry)),
                            (RuleVerdict::OtherFilter, &mut || rule.filter_fits(entry)),
                            (RuleVerdict::OtherRequester, &mut bind_rule),
                        ])
                    };
                    reports.push(RuleReport {
                        holder: holder.holder_dn.clone(),
                        name: rule.name.clone(),
                        effect: permission.effect,
                        verdict,
                    });
                }
            }
        }
        let counts = |report: &RuleReport, effect| {
            report.effect == effect
                && (report.verdict == RuleVerdict::Applies
                    || report.verdict == RuleVerdict::Unknown && effect == Effect::Deny)
        };
        let find = |effect| reports.iter().position(|report| counts(report, effect));
        let outcome = if context.requester.is_administrator() {
            Outcome::Administrator
        } else if let Some(index) = find(Effect::Deny) {
            Outcome::DeniedBy(index)
        } else {
            find(Effect::Allow).map_or(Outcome::NothingAllows, Outcome::AllowedBy)
        };
        Explanation { right, outcome, rules: reports }
    }
}

/// The first condition that is false; unknown when one is and none is false.
fn first_reason(conditions: &mut [(RuleVerdict, &mut dyn FnMut() -> Verdict)]) -> RuleVerdict {
    let mut verdict = RuleVerdict::Applies;
    for (reason, holds) in conditions {
        match holds() {
            Some(true) => {}
            Some(false) => return *reason,
            None => verdict = RuleVerdict::Unknown,
        }
    }
    verdict
}
