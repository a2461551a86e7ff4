//! Rules for one requester, and the decision for an entry.

use super::attribute_set::{AttributeRights, AttributeSet, Universe};
use super::bind_rule::{Expression, Subject, Verdict};
use super::compile::{CompiledRules, Judged, Rule};
use super::value_filters::ValueChange;
use super::{AccessCompiler, AccessContext, EntryFacts, LocalTime, RequesterFacts};
use crate::policy::aci::Effect;
use crate::policy::requester::Requester;
use crate::policy::rights::{Right, Rights};
use crate::schema::{AttributeTypeIndex, Schema};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// What some rules reach: attributes, and the entry as a whole.
#[derive(Clone, Debug)]
struct Reach {
    attributes: AttributeSet,
    entry: bool,
}

impl Reach {
    fn add(&mut self, rule: &Rule, effect: Effect, right: Right) {
        self.attributes.add(rule.attributes(effect, right));
        self.entry |= rule.is_for_entry(right);
    }

    /// Whether adding the rule would change nothing.
    fn covers(&self, rule: &Rule, effect: Effect, right: Right) -> bool {
        (self.entry || !rule.is_for_entry(right)) && self.attributes.contains_all(rule.attributes(effect, right))
    }
}

/// What is the same for all entries, for one right.
#[derive(Clone, Debug)]
struct Fixed {
    allowed: Reach,
    denied: Reach,
    /// The answer when no entry-dependent rule can change it.
    rights: AttributeRights,
    is_final: bool,
}

/// A permission that depends on the entry.
#[derive(Clone, Debug)]
struct Open {
    rules: Arc<CompiledRules>,
    rule_index: usize,
    effect: Effect,
    rights: Rights,
    bind_rule: Expression,
}

impl Open {
    fn rule(&self) -> Option<&Rule> {
        self.rules.rules.get(self.rule_index)
    }
}

/// All rules that apply to some entries, decided for one requester as far as can be without an entry.
///
/// Good for every entry under the same rule holders, as long as those rules, the requester, its groups and, where
/// [`Self::depends_on_time`], the minute stand.
pub struct CompiledAccess {
    schema: Arc<Schema>,
    universe: Arc<Universe>,
    requester: Requester,
    time: LocalTime,
    fixed: Vec<Fixed>,
    open: Vec<Open>,
    depends_on_time: bool,
}

/// Where the fixed part of a right stands.
const fn slot(right: Right) -> usize {
    right as usize
}

impl AccessCompiler {
    /// Decides for `context` what can be decided without an entry. `rules` are those of an entry and of all its
    /// superiors, in any order; the result holds for all entries that have the same ones.
    ///
    /// Cost: one evaluation of every bind rule; group memberships and filters on the requester are asked of `facts`.
    pub fn for_requester(
        &self,
        rules: &[Arc<CompiledRules>],
        context: &AccessContext<'_>,
        facts: &dyn RequesterFacts,
    ) -> CompiledAccess {
        let subject = Subject { schema: &self.schema, context: *context, facts };
        let nothing = Reach { attributes: self.universe.none.clone(), entry: false };
        let mut allowed = vec![nothing.clone(); Right::ALL.len()];
        let mut denied = vec![nothing; Right::ALL.len()];
        let mut open = Vec::new();
        let mut depends_on_time = false;
        if context.requester.is_administrator() {
            allowed.fill(Reach { attributes: self.universe.all.clone(), entry: true });
        } else {
            for holder in rules {
                for (rule_index, rule) in holder.rules.iter().enumerate() {
                    for permission in &rule.permissions {
                        depends_on_time |= permission.bind_rule.depends_on_time();
                        let (effect, rights) = (permission.effect, permission.rights);
                        let bind_rule = permission.bind_rule.reduce(&mut |test| subject.answer(test));
                        match (&bind_rule, effect) {
                            (Expression::Known(Some(false)), _) | (Expression::Known(None), Effect::Allow) => {}
                            (Expression::Known(_), _) if rule.is_for_every_entry() => {
                                let reaches = if effect == Effect::Allow { &mut allowed } else { &mut denied };
                                for (reach, right) in reaches.iter_mut().zip(Right::ALL) {
                                    if rights.contains(right) {
                                        reach.add(rule, effect, right);
                                    }
                                }
                            }
                            _ => open.push(Open { rules: Arc::clone(holder), rule_index, effect, rights, bind_rule }),
                        }
                    }
                }
            }
        }
        let fixed = Right::ALL.into_iter().zip(allowed.into_iter().zip(denied));
        let fixed = fixed.map(|(right, (allowed, denied))| self.fixed(right, allowed, denied, &open)).collect();
        CompiledAccess {
            schema: Arc::clone(&self.schema),
            universe: Arc::clone(&self.universe),
            requester: context.requester.clone(),
            time: context.time,
            fixed,
            open,
            depends_on_time,
        }
    }

    fn fixed(&self, right: Right, allowed: Reach, denied: Reach, open: &[Open]) -> Fixed {
        let mut attributes = allowed.attributes.clone();
        attributes.remove(&denied.attributes);
        let rights = self.universe.rights(attributes, allowed.entry && !denied.entry);
        // Final when no open allow can add to it and no open deny can take from it.
        let changes = |open: &Open, rule: &Rule| match open.effect {
            Effect::Allow => !allowed.covers(rule, open.effect, right),
            Effect::Deny => {
                rights.for_entry() && rule.is_for_entry(right) || rights.has_any_of(rule.attributes(open.effect, right))
            }
        };
        let mut concerned = open.iter().filter(|open| open.rights.contains(right));
        let is_final = !concerned.any(|open| open.rule().is_some_and(|rule| changes(open, rule)));
        Fixed { allowed, denied, rights, is_final }
    }
}

impl CompiledAccess {
    /// Whether every right is the same for all entries under these rules.
    pub fn is_entry_independent(&self) -> bool {
        self.fixed.iter().all(|fixed| fixed.is_final)
    }

    /// What holds for every entry under these rules; `None` when it depends on the entry.
    pub fn same_for_all(&self, right: Right) -> Option<&AttributeRights> {
        self.fixed.get(slot(right)).filter(|fixed| fixed.is_final).map(|fixed| &fixed.rights)
    }

    /// Whether a rule asks for the time, so that the result should not be kept beyond the minute.
    pub fn depends_on_time(&self) -> bool {
        self.depends_on_time
    }

    /// Whether some rule lets values of an attribute be written and others not, so that [`EntryAccess::allows_value`] may
    /// say more than [`EntryAccess::allows`].
    pub fn asks_values(&self) -> bool {
        self.open.iter().any(|open| open.rule().is_some_and(Rule::has_value_filters))
    }

    /// Begins decisions about one entry; conditions are evaluated when first needed and remembered.
    ///
    /// `facts` must be about the requester that this was made for.
    pub fn entry<'a>(&'a self, entry: &'a dyn EntryFacts, facts: &'a dyn RequesterFacts) -> EntryAccess<'a> {
        EntryAccess { access: self, entry, facts, verdicts: SmallVec::new() }
    }
}

/// Decisions about one entry.
pub struct EntryAccess<'a> {
    access: &'a CompiledAccess,
    entry: &'a dyn EntryFacts,
    facts: &'a dyn RequesterFacts,
    /// For each open permission, the remembered verdicts: for adding, for deleting, and for every other right.
    verdicts: SmallVec<[[Option<Verdict>; 3]; 8]>,
}

impl<'a> EntryAccess<'a> {
    /// For which attributes the right holds.
    ///
    /// Cost: nothing when the right is the same for all entries; else at most one evaluation of each open rule.
    pub fn rights(&mut self, right: Right) -> Cow<'a, AttributeRights> {
        let access = self.access;
        let Some(fixed) = access.fixed.get(slot(right)) else {
            return Cow::Owned(access.universe.rights(access.universe.none.clone(), false));
        };
        if fixed.is_final {
            return Cow::Borrowed(&fixed.rights);
        }
        let mut allowed = fixed.allowed.clone();
        for (index, open) in access.open.iter().enumerate() {
            if open.effect == Effect::Allow
                && open.rights.contains(right)
                && let Some(rule) = open.rule()
                && !allowed.covers(rule, open.effect, right)
                && self.verdict(index, open, rule, right) == Some(true)
            {
                allowed.add(rule, open.effect, right);
            }
        }
        let mut denied = fixed.denied.clone();
        let is_nothing = !allowed.entry && allowed.attributes.is_empty();
        for (index, open) in access.open.iter().enumerate().filter(|_| !is_nothing) {
            if open.effect == Effect::Deny
                && open.rights.contains(right)
                && let Some(rule) = open.rule()
                && !denied.covers(rule, open.effect, right)
                && self.verdict(index, open, rule, right) != Some(false)
            {
                denied.add(rule, open.effect, right);
            }
        }
        allowed.attributes.remove(&denied.attributes);
        Cow::Owned(access.universe.rights(allowed.attributes, allowed.entry && !denied.entry))
    }

    /// Whether the right holds for one attribute, or (`None`) for the entry as a whole.
    pub fn allows(&mut self, right: Right, attribute: Option<AttributeTypeIndex>) -> bool {
        let rights = self.rights(right);
        match attribute {
            Some(attribute) => rights.for_attribute(attribute),
            None => rights.for_entry(),
        }
    }

    /// Whether the value may be written. Says yes wherever [`Self::allows`] says so of write and the attribute.
    ///
    /// Cost: one look at the value for each rule with `targattrfilters` that names the attribute.
    pub fn allows_value(&mut self, attribute: AttributeTypeIndex, change: ValueChange<'_>) -> bool {
        let access = self.access;
        let right = Right::Write;
        let Some(fixed) = access.fixed.get(slot(right)) else { return false };
        let bit = attribute.0 as usize;
        let mut counts = |effect: Effect, wanted: fn(Verdict) -> bool| {
            access.open.iter().enumerate().any(|(index, open)| {
                open.effect == effect
                    && open.rights.contains(right)
                    && open.rule().is_some_and(|rule| {
                        wanted(rule.is_for_value(&access.schema, effect, attribute, change))
                            && wanted(self.verdict(index, open, rule, right))
                    })
            })
        };
        (fixed.allowed.attributes.contains(bit) || counts(Effect::Allow, |verdict| verdict == Some(true)))
            && !fixed.denied.attributes.contains(bit)
            && !counts(Effect::Deny, |verdict| verdict != Some(false))
    }

    fn verdict(&mut self, index: usize, open: &Open, rule: &Rule, right: Right) -> Verdict {
        let access = self.access;
        if self.verdicts.is_empty() {
            self.verdicts.resize(access.open.len(), [None; 3]);
        }
        let kind = match right {
            Right::Add => 0,
            Right::Delete => 1,
            _ => 2,
        };
        let remembered = self.verdicts.get_mut(index).and_then(|verdicts| verdicts.get_mut(kind));
        if let Some(Some(verdict)) = remembered {
            return *verdict;
        }
        let context = AccessContext { requester: &access.requester, time: access.time };
        let subject = Subject { schema: &access.schema, context, facts: self.facts };
        let verdict = rule.applies(&open.bind_rule, &subject, Judged { entry: self.entry, right });
        if let Some(remembered) = remembered {
            *remembered = Some(verdict);
        }
        verdict
    }
}
