//! The rules of one entry, ready to be judged.

use super::AccessCompiler;
use super::EntryFacts;
use super::attribute_set::{AttributeSet, Universe};
use super::bind_rule::{Case, Expression, Subject, Verdict, is_in_scope, name_key};
use super::macros::{self, MacroTarget};
use super::memberships::AskedMemberships;
use super::moves::MoveRule;
use super::requests::RequestRule;
use super::value_filters::{ValueChange, ValueRules};
use crate::model::{Filter, Rdn, Scope};
use crate::policy::aci::{
    Aci, AttributePattern, Effect, NamePattern, Target, TargetAttributes, TargetFilter, Template, values,
};
use crate::policy::name_pattern::{NameGlob, attribute_fits, normal_name};
use crate::policy::rights::{Right, Rights};
use crate::schema::{AttributeTypeIndex, Schema};
use std::sync::Arc;

/// A rule that does not do what its text says, for the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleProblem {
    /// The rule's name, or its text when it cannot be read.
    pub rule: String,
    /// What is wrong and what follows from it.
    pub detail: String,
    /// The rule cannot be read, and everything below its holder is denied until it is repaired.
    pub is_fatal: bool,
}

/// The rules that one entry holds, compiled.
#[derive(Clone, Debug)]
pub struct CompiledRules {
    pub(super) holder_dn: String,
    pub(super) rules: Vec<Rule>,
    /// Those about controls and extended operations.
    pub(super) requests: Vec<RequestRule>,
    /// Those about moves between places.
    pub(super) moves: Vec<MoveRule>,
    memberships: AskedMemberships,
    problems: Vec<RuleProblem>,
}

impl CompiledRules {
    /// The entry that holds the rules.
    pub fn holder_dn(&self) -> &str {
        &self.holder_dn
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether some rule here asks for the name of the client's host.
    pub fn asks_for_host(&self) -> bool {
        self.rules
            .iter()
            .chain(self.requests.iter().map(|request| &request.rule))
            .chain(self.moves.iter().map(|of_move| &of_move.rule))
            .any(|rule| rule.permissions.iter().any(|permission| permission.bind_rule.depends_on_host()))
    }

    /// Which groups and roles the rules ask about.
    pub fn memberships(&self) -> &AskedMemberships {
        &self.memberships
    }

    /// What is wrong with the rules; for a log line or a check.
    pub fn problems(&self) -> &[RuleProblem] {
        &self.problems
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    /// Rules in the root DSE are about the root DSE alone.
    is_root_only: bool,
    target: Option<CompiledTarget>,
    filter: Option<CompiledTargetFilter>,
    has_attributes: bool,
    covered: Covered,
    values: Option<Box<ValueRules>>,
    pub(super) permissions: Vec<CompiledPermission>,
    /// The rule as written, for explanations; none for one that cannot be read.
    pub(super) source: Option<Arc<Aci>>,
}

#[derive(Clone, Debug)]
struct CompiledTargetFilter {
    negated: bool,
    filter: FilterText,
}

#[derive(Clone, Debug)]
enum FilterText {
    Fixed(Filter<'static>),
    Macro(Template),
}

/// What a rule is judged about.
#[derive(Clone, Copy)]
pub(super) struct Judged<'a> {
    pub(super) entry: &'a dyn EntryFacts,
    pub(super) right: Right,
}

/// What a `targetattr` covers; it depends on what is done with it.
#[derive(Clone, Debug)]
struct Covered {
    /// By an allow of read, search or compare: secret attributes only when named.
    disclosed: AttributeSet,
    /// By an allow of anything else.
    allowed: AttributeSet,
    /// By a deny: with a name that the schema does not know, all unknown attributes.
    denied: AttributeSet,
    /// By an allow to write every value: without those of which only some may be written.
    written: AttributeSet,
    /// By a deny to write some value or other.
    write_denied: AttributeSet,
}

impl Covered {
    fn nothing(universe: &Universe) -> Self {
        let none = &universe.none;
        Self {
            disclosed: none.clone(),
            allowed: none.clone(),
            denied: none.clone(),
            written: none.clone(),
            write_denied: none.clone(),
        }
    }

    fn with_values(mut self, values: Option<&ValueRules>) -> Self {
        (self.written, self.write_denied) = (self.allowed.clone(), self.denied.clone());
        if let Some(values) = values {
            self.written.remove(&values.attributes);
            self.write_denied.add(&values.attributes);
        }
        self
    }
}

#[derive(Clone, Debug)]
pub(super) struct CompiledPermission {
    pub(super) effect: Effect,
    pub(super) rights: Rights,
    pub(super) bind_rule: Expression,
}

#[derive(Clone, Debug)]
pub(super) struct CompiledTarget {
    negated: bool,
    name: TargetName,
}

impl CompiledTarget {
    /// Whether the entry lies in it; not for one with macros.
    pub(super) fn fits(&self, schema: &Schema, entry: &dyn EntryFacts) -> Verdict {
        let fits = match &self.name {
            TargetName::Key { key, rdns, scope } => {
                Some(is_in_scope(*scope, key, *rdns, &entry.dn_key(), || entry.rdn_count()))
            }
            TargetName::Glob(glob) => normal_name(schema, &entry.dn()).map(|name| glob.fits(&name)),
            TargetName::Macro(_) | TargetName::Unknown => None,
        };
        fits.map(|fits| fits != self.negated)
    }
}

#[derive(Clone, Debug)]
enum TargetName {
    Key {
        key: Vec<u8>,
        rdns: usize,
        scope: Scope,
    },
    Glob(NameGlob),
    Macro(MacroTarget),
    /// Cannot be judged.
    Unknown,
}

impl Rule {
    /// The attributes that the rule is about.
    pub(super) fn attributes(&self, effect: Effect, right: Right) -> &AttributeSet {
        match (effect, right) {
            (Effect::Deny, Right::Write) => &self.covered.write_denied,
            (Effect::Allow, Right::Write) => &self.covered.written,
            (Effect::Deny, _) => &self.covered.denied,
            (Effect::Allow, Right::Read | Right::Search | Right::Compare) => &self.covered.disclosed,
            (Effect::Allow, _) => &self.covered.allowed,
        }
    }

    /// Whether the rule is about the entry as a whole for this right.
    pub(super) fn is_for_entry(&self, right: Right) -> bool {
        !self.has_attributes || right.ignores_target_attributes()
    }

    /// Whether the rule is about the attribute, or (`None`) about the entry as a whole.
    pub(super) fn is_for(&self, effect: Effect, right: Right, attribute: Option<AttributeTypeIndex>) -> bool {
        match attribute {
            Some(index) => self.attributes(effect, right).contains(index.0 as usize),
            None => self.is_for_entry(right),
        }
    }

    /// Whether target and filter leave nothing to ask an entry below the holder.
    pub(super) fn is_for_every_entry(&self) -> bool {
        !self.is_root_only && self.target.is_none() && self.filter.is_none() && self.values.is_none()
    }

    /// Whether values are asked before something of an attribute may be written.
    pub(super) fn has_value_filters(&self) -> bool {
        self.values.is_some()
    }

    /// Whether values of this attribute are asked.
    pub(super) fn has_value_filter_of(&self, attribute: AttributeTypeIndex) -> bool {
        self.values.as_ref().is_some_and(|values| values.attributes.contains(attribute.0 as usize))
    }

    /// Whether the rule is about writing this value.
    pub(super) fn is_for_value(
        &self,
        schema: &Schema,
        effect: Effect,
        attribute: AttributeTypeIndex,
        change: ValueChange<'_>,
    ) -> Verdict {
        if let Some(verdict) = self.values.as_ref().and_then(|values| values.value_fits(schema, attribute, change)) {
            return verdict;
        }
        let covered = if effect == Effect::Deny { &self.covered.denied } else { &self.covered.allowed };
        Some(covered.contains(attribute.0 as usize))
    }

    /// Whether the values of an entry that is added or deleted are such as the rule is about.
    pub(super) fn values_fit(&self, schema: &Schema, judged: Judged<'_>) -> Verdict {
        match &self.values {
            None => Some(true),
            Some(values) => values.entry_fits(schema, judged.entry, judged.right),
        }
    }

    /// Whether the entry lies in the rule's target, and what `($dn)` is then.
    pub(super) fn target_fits(&self, schema: &Schema, entry: &dyn EntryFacts) -> (Verdict, Vec<Rdn>) {
        if self.is_root_only && !entry.dn_key().is_empty() {
            return (Some(false), Vec::new());
        }
        match &self.target {
            Some(CompiledTarget { name: TargetName::Macro(target), .. }) => {
                target.matched(schema, &entry.dn()).map_or((Some(false), Vec::new()), |dn| (Some(true), dn))
            }
            Some(target) => (target.fits(schema, entry), Vec::new()),
            None => (Some(true), Vec::new()),
        }
    }

    /// Whether the entry matches the rule's filter. `dn`: what `($dn)` is.
    pub(super) fn filter_fits(&self, entry: &dyn EntryFacts, dn: &[Rdn]) -> Verdict {
        let Some(CompiledTargetFilter { negated, filter }) = &self.filter else { return Some(true) };
        let matches = match filter {
            FilterText::Fixed(filter) => entry.matches(filter),
            FilterText::Macro(template) => macros::filter_fits(template, entry, dn),
        };
        matches.map(|matches| matches != *negated)
    }

    /// Target, what is left of a bind rule, values and filter, in this order; the dear ones last.
    pub(super) fn applies(&self, bind_rule: &Expression, subject: &Subject<'_>, judged: Judged<'_>) -> Verdict {
        let mut verdict = Some(true);
        let (target, dn) = self.target_fits(subject.schema, judged.entry);
        let case = Case { judged, dn: &dn };
        let mut is_false = |part: Verdict| {
            if part.is_none() {
                verdict = None;
            }
            part == Some(false)
        };
        if is_false(target)
            || is_false(bind_rule.evaluate(&mut |test| subject.answer_entry(test, case)))
            || is_false(self.values_fit(subject.schema, judged))
            || is_false(self.filter_fits(judged.entry, &dn))
        {
            return Some(false);
        }
        verdict
    }

    /// The rule with other rights, where some of its permissions have any; each permission keeps its place.
    fn with_rights(&self, rights: impl Fn(Rights) -> Rights) -> Option<Self> {
        let mut rule = self.clone();
        rule.permissions.iter_mut().for_each(|permission| permission.rights = rights(permission.rights));
        rule.permissions.iter().any(|permission| !permission.rights.is_empty()).then_some(rule)
    }

    /// Denies everything to everybody: stands for a value that cannot be read.
    fn unreadable(universe: &Universe) -> Self {
        Self {
            name: "a rule that cannot be read".into(),
            is_root_only: false,
            target: None,
            filter: None,
            has_attributes: false,
            covered: Covered { denied: universe.all.clone(), ..Covered::nothing(universe) }.with_values(None),
            values: None,
            source: None,
            permissions: vec![CompiledPermission {
                effect: Effect::Deny,
                rights: Rights::EVERY,
                bind_rule: Expression::Known(Some(true)),
            }],
        }
    }
}

impl AccessCompiler {
    /// Compiles the `aci` values of one entry. `holder_dn` is the entry's DN; the empty one is the root DSE, whose
    /// rules are about it alone.
    ///
    /// Never fails: what cannot be read denies everything and is in [`CompiledRules::problems`], as is what is read
    /// but cannot have the effect that its author expects. Cost: parsing, and one walk over the schema for each
    /// attribute name with a star.
    pub fn compile<'v>(&self, holder_dn: &str, values: impl IntoIterator<Item = &'v [u8]>) -> CompiledRules {
        let mut compiled = CompiledRules {
            holder_dn: holder_dn.to_owned(),
            rules: Vec::new(),
            requests: Vec::new(),
            moves: Vec::new(),
            memberships: AskedMemberships::default(),
            problems: Vec::new(),
        };
        let holder = name_key(&self.schema, holder_dn);
        for value in values {
            let parsed = Aci::parse_bytes(value).map_err(|error| error.to_string());
            match parsed.and_then(|aci| Ok((aci, holder.as_ref().ok_or("the holder's name is not a DN")?))) {
                Ok((aci, (key, rdns))) => self.compile_rule(&mut compiled, aci, key, *rdns),
                Err(error) => {
                    let detail = format!("{error}; everything below \"{holder_dn}\" is denied until it is repaired");
                    let rule = String::from_utf8_lossy(value).into_owned();
                    compiled.problems.push(RuleProblem { rule, detail, is_fatal: true });
                    compiled.rules.push(Rule::unreadable(&self.universe));
                }
            }
        }
        compiled
    }

    fn compile_rule(&self, compiled: &mut CompiledRules, aci: Aci, holder_key: &[u8], holder_rdns: usize) {
        let mut problem = |detail: String| {
            compiled.problems.push(RuleProblem { rule: aci.name.clone(), detail, is_fatal: false });
        };
        aci.warnings().into_iter().for_each(&mut problem);
        compiled.memberships.note(&aci);
        let covered = match &aci.target_attributes {
            Some(attributes) => self.covered(attributes, &mut problem),
            None => Covered::nothing(&self.universe),
        };
        let values = aci.value_filters.as_ref();
        let values =
            values.map(|filters| Box::new(ValueRules::new(&self.schema, &self.universe, filters, &mut problem)));
        let filter = aci.target_filter.as_ref().and_then(target_filter);
        let target = self.target(aci.target.as_ref(), aci.target_scope, holder_key, holder_rdns, &mut problem);
        let permissions = aci.permissions.iter().map(|permission| CompiledPermission {
            effect: permission.effect,
            rights: permission.rights,
            bind_rule: Expression::lower(&self.schema, &permission.bind_rule),
        });
        let rule = Rule {
            name: aci.name.clone(),
            is_root_only: holder_key.is_empty(),
            target,
            filter,
            has_attributes: aci.target_attributes.is_some(),
            covered: covered.with_values(values.as_deref()),
            values,
            permissions: permissions.collect(),
            source: None,
        };
        if aci.controls.is_some() || aci.extended_operations.is_some() {
            let (controls, extended_operations) = (aci.controls, aci.extended_operations);
            compiled.requests.push(RequestRule { rule, controls, extended_operations });
        } else if aci.move_from.is_some() || aci.move_to.is_some() {
            let place = |target: &Option<Target>, holder: &[u8], problem: &mut dyn FnMut(String)| {
                target.as_ref().map(|target| self.place(target, Scope::Subtree, holder, problem))
            };
            let from = place(&aci.move_from, &[], &mut problem);
            let to = place(&aci.move_to, holder_key, &mut problem);
            let rule = Rule { source: Some(Arc::new(aci)), ..rule };
            // Its other rights are not about moves.
            compiled.rules.extend(rule.with_rights(|rights| rights.without(Right::ModDn)));
            let of_move = rule.with_rights(|rights| rights.only(Right::ModDn));
            compiled.moves.extend(of_move.map(|rule| MoveRule { rule, from, to }));
        } else {
            compiled.rules.push(Rule { source: Some(Arc::new(aci)), ..rule });
        }
    }

    fn target(
        &self,
        target: Option<&Target>,
        scope: Option<Scope>,
        holder_key: &[u8],
        holder_rdns: usize,
        problem: &mut dyn FnMut(String),
    ) -> Option<CompiledTarget> {
        let scope = scope.unwrap_or(Scope::Subtree);
        let Some(target) = target else {
            let name = TargetName::Key { key: holder_key.to_vec(), rdns: holder_rdns, scope };
            return (scope != Scope::Subtree).then_some(CompiledTarget { negated: false, name });
        };
        Some(self.place(target, scope, holder_key, problem))
    }

    /// `holder_key`: below what it should be, or there is a problem.
    fn place(
        &self,
        target: &Target,
        scope: Scope,
        holder_key: &[u8],
        problem: &mut dyn FnMut(String),
    ) -> CompiledTarget {
        let name = match &target.name {
            NamePattern::Dn(dn) => match name_key(&self.schema, dn) {
                Some((key, rdns)) => {
                    if !key.starts_with(holder_key) {
                        problem(format!("the target \"{dn}\" is not below the entry that holds the rule"));
                    }
                    TargetName::Key { key, rdns, scope }
                }
                None => TargetName::Unknown,
            },
            NamePattern::Pattern(text) => {
                NameGlob::new(&self.schema, text).map_or(TargetName::Unknown, TargetName::Glob)
            }
            NamePattern::Macro(template) => {
                MacroTarget::new(&self.schema, template).map_or(TargetName::Unknown, TargetName::Macro)
            }
        };
        CompiledTarget { negated: target.negated, name }
    }

    fn covered(&self, attributes: &TargetAttributes, problem: &mut dyn FnMut(String)) -> Covered {
        let universe = &self.universe;
        let mut by_name = universe.none.clone();
        let mut by_pattern = universe.none.clone();
        let mut names_unknown = false;
        for pattern in &attributes.names {
            match pattern {
                AttributePattern::AllUser => by_pattern.add(&universe.user),
                AttributePattern::AllOperational => by_pattern.add(&universe.operational),
                AttributePattern::Name(name) => match self.schema.attribute_type(name) {
                    Some(attribute) => Universe::insert_with_subtypes(&mut by_name, attribute),
                    None => {
                        names_unknown = true;
                        problem(format!("targetattr names {name}, which the schema does not know"));
                    }
                },
                AttributePattern::Wildcard(pattern) => {
                    for attribute in self.schema.attribute_types() {
                        if attribute.names.iter().any(|name| attribute_fits(pattern, name)) {
                            Universe::insert_with_subtypes(&mut by_pattern, attribute);
                        }
                    }
                }
            }
        }
        let mut allowed = by_name.clone();
        allowed.add(&by_pattern);
        if attributes.negated {
            let mut rest = universe.user.clone();
            rest.remove(&allowed);
            allowed = rest;
            by_name = universe.none.clone();
        }
        let mut denied = allowed.clone();
        if names_unknown {
            let mut unknown = universe.none.clone();
            unknown.insert(universe.unknown);
            denied.add(&unknown);
            if attributes.negated {
                allowed.remove(&unknown);
            }
        }
        let mut disclosed = allowed.clone();
        disclosed.remove(&universe.secret);
        disclosed.add(&by_name);
        Covered { disclosed, allowed, denied, ..Covered::nothing(universe) }
    }
}

/// The parser has read it already.
fn target_filter(target: &TargetFilter) -> Option<CompiledTargetFilter> {
    let filter = match values::filter_template(&target.filter).ok()? {
        Some(template) => FilterText::Macro(template),
        None => FilterText::Fixed(Filter::parse(&target.filter).ok()?),
    };
    Some(CompiledTargetFilter { negated: target.negated, filter })
}
