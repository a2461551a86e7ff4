//! Functions as ACI: the questions about the entry become targets, those about who asks become bind rules.

use super::attributes;
use super::decision::{Function, Question};
use super::evaluate::{Ask, Evaluation, USERS};
use super::give::Given;
use super::tree::{Part, Place, Reach};
use super::who;
use crate::model::Scope;
use crate::policy::aci::{
    ACI_BYTES_MAX, Aci, BindRule, BindTest, Effect, NamePattern, Permission, Target, TargetAttributes, TargetFilter,
    UserPattern,
};
use crate::policy::rights::{Right, Rights};
use std::collections::BTreeMap;

/// Most ACI that rules may come to.
const RULES_MAX: usize = 512;
/// Most ways in which the questions about the entry may be answered for one right.
const CUBES_MAX: usize = 64;

/// Nothing is said of why: the rules come to too much, or to what no ACI says.
pub(super) type Result<T> = std::result::Result<T, ()>;
/// Answers to questions about the entry.
type Cube = Vec<(Question, bool)>;

/// The ACI that together give what was found.
pub(super) fn rules(evaluation: &Evaluation<'_>, given: &[(Place, Given, Function)]) -> Result<Vec<Aci>> {
    let mut by_what: BTreeMap<(Given, Function), Vec<Place>> = BTreeMap::new();
    for (place, what, function) in given {
        by_what.entry((*what, *function)).or_default().push(*place);
    }
    let mut together: BTreeMap<(Vec<Place>, Function), Vec<Given>> = BTreeMap::new();
    for ((what, function), places) in by_what {
        together.entry((places, function)).or_default().push(what);
    }
    let mut rules = Vec::new();
    for ((places, function), whats) in &together {
        let mut by_who: BTreeMap<Function, Vec<Cube>> = BTreeMap::new();
        collect_cubes(evaluation, *function, &mut Vec::new(), &mut by_who)?;
        for (asked, cubes) in by_who {
            let bind_rule = who::rule(evaluation, asked)?;
            for part in evaluation.tree.parts(places) {
                for shape in shapes(evaluation, &part, asked, &cubes)? {
                    for (attributes, effect, rights) in permissions(evaluation, whats) {
                        let name = name(evaluation, whats, places);
                        rules.push(shape.aci(name, attributes, effect, rights, bind_rule.clone()));
                        if rules.len() > RULES_MAX {
                            return Err(());
                        }
                    }
                }
            }
        }
    }
    let is_short = |aci: &Aci| aci.to_string().len() <= ACI_BYTES_MAX;
    if rules.iter().all(is_short) { Ok(rules) } else { Err(()) }
}

/// What of a rule is about entries.
struct Shape {
    target: Option<Target>,
    scope: Option<Scope>,
    filter: Option<String>,
}

impl Shape {
    fn aci(
        &self,
        name: String,
        target_attributes: Option<TargetAttributes>,
        effect: Effect,
        rights: Rights,
        bind_rule: BindRule,
    ) -> Aci {
        Aci {
            name,
            target: self.target.clone(),
            move_from: None,
            move_to: None,
            target_scope: self.scope,
            target_filter: self.filter.clone().map(|filter| TargetFilter { negated: false, filter }),
            target_attributes,
            value_filters: None,
            controls: None,
            extended_operations: None,
            permissions: vec![Permission { effect, rights, bind_rule }],
        }
    }
}

/// Takes the questions about the entry apart from those about who asks.
fn collect_cubes(
    evaluation: &Evaluation<'_>,
    function: Function,
    path: &mut Cube,
    by_who: &mut BTreeMap<Function, Vec<Cube>>,
) -> Result<()> {
    let node = evaluation.functions.node(function);
    let about_entry = node.filter(|node| {
        matches!(evaluation.asked(node.question), Some(Ask::Filter(_) | Ask::Rdn { .. })) && node.question != USERS
    });
    match about_entry {
        Some(node) => {
            for (answer, next) in [(true, node.yes), (false, node.no)] {
                path.push((node.question, answer));
                collect_cubes(evaluation, next, path, by_who)?;
                path.pop();
            }
        }
        None if function != Function::NEVER => {
            by_who.entry(function).or_default().push(path.clone());
            if by_who.values().map(Vec::len).sum::<usize>() > CUBES_MAX {
                return Err(());
            }
        }
        None => {}
    }
    Ok(())
}

/// A value in a filter (RFC 4515 3).
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '*' | '(' | ')' | '\\' | '\0' => out.push_str(&format!("\\{:02x}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out
}

fn all_of(mut parts: Vec<String>) -> Option<String> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(format!("(&{})", parts.concat())),
    }
}

/// The owner that a function asks for, by the entry above.
fn owner_base(evaluation: &Evaluation<'_>, asked: Function) -> Option<usize> {
    evaluation.functions.questions(asked).into_iter().find_map(|question| match evaluation.asked(question) {
        Some(Ask::Owner { base, .. }) => Some(*base),
        _ => None,
    })
}

/// The targets that are a part of the tree, where the questions about the entry are answered in one of these ways.
fn shapes(evaluation: &Evaluation<'_>, part: &Part, asked: Function, cubes: &[Cube]) -> Result<Vec<Shape>> {
    let dn = |named: usize| evaluation.tree.dn(named).map(ToString::to_string).ok_or(());
    let here = dn(part.named)?;
    let owner = owner_base(evaluation, asked);
    let mut except = Vec::new();
    for (named, is_whole) in &part.except {
        let name = escaped(&dn(*named)?);
        except.push(match is_whole {
            true => format!("(!(entryDN:dnSubtreeMatch:={name}))"),
            false => format!("(!(entryDN={name}))"),
        });
    }
    // Cubes that only ask filters join in one filter; a pattern of names needs a rule of its own.
    let mut filters: Vec<String> = Vec::new();
    let mut patterns: Vec<(Target, Option<String>)> = Vec::new();
    let mut is_free = false;
    for cube in cubes {
        let mut parts = Vec::new();
        let mut pattern = None;
        for (question, answer) in cube {
            match evaluation.asked(*question) {
                Some(Ask::Filter(filter)) if *answer => parts.push(filter.clone()),
                Some(Ask::Filter(filter)) => parts.push(format!("(!{filter})")),
                Some(Ask::Rdn { base, rdn_type }) if pattern.is_none() => {
                    let name = NamePattern::Pattern(format!("{rdn_type}=*,{}", dn(*base)?));
                    pattern = Some(Target { negated: !answer, name });
                }
                _ => return Err(()),
            }
        }
        let filter = all_of(parts);
        match (pattern, filter) {
            (Some(pattern), filter) => patterns.push((pattern, filter)),
            (None, Some(filter)) => filters.push(filter),
            (None, None) => is_free = true,
        }
    }
    let mut shapes = Vec::new();
    let scope_filter = |scope: Scope| {
        let name = escaped(&here);
        match scope {
            Scope::Base => Some(format!("(entryDN={name})")),
            Scope::OneLevel => Some(format!("(entryDN:dnOneLevelMatch:={name})")),
            Scope::Subtree => Some(format!("(entryDN:dnSubtreeMatch:={name})")),
            Scope::Subordinate => Some(format!("(entryDN:dnSubordinateMatch:={name})")),
        }
    };
    if let Reach::Deep = part.reach {
        except.push(format!("(!(entryDN:dnOneLevelMatch:={}))", escaped(&here)));
    }
    let scope = match part.reach {
        Reach::Scope(scope) => scope,
        Reach::Deep => Scope::Subordinate,
    };
    for (target, filter) in patterns {
        if owner.is_some() {
            return Err(());
        }
        let parts: Vec<String> = scope_filter(scope).into_iter().chain(except.iter().cloned()).chain(filter).collect();
        shapes.push(Shape { target: Some(target), scope: None, filter: all_of(parts) });
    }
    if !is_free && filters.is_empty() {
        return Ok(shapes);
    }
    let filter = match filters.len() {
        _ if is_free => None,
        1 => filters.pop(),
        _ => Some(format!("(|{})", filters.concat())),
    };
    if let Some(base) = owner {
        if base != part.named {
            return Err(());
        }
        let scope = if scope == Scope::Subordinate { None } else { scope_filter(scope) };
        let parts: Vec<String> = scope.into_iter().chain(except).chain(filter).collect();
        let name = macro_names(&here)?.0;
        shapes.push(Shape { target: Some(Target { negated: false, name }), scope: None, filter: all_of(parts) });
        return Ok(shapes);
    }
    let is_suffix = part.named == 0;
    if let ([(named, true)], None, true, Scope::Subtree) = (part.except.as_slice(), &filter, is_suffix, scope) {
        let target = Target { negated: true, name: NamePattern::Dn(dn(*named)?) };
        shapes.push(Shape { target: Some(target), scope: None, filter: None });
        return Ok(shapes);
    }
    let target = (!is_suffix).then_some(Target { negated: false, name: NamePattern::Dn(here.clone()) });
    let scope = (scope != Scope::Subtree).then_some(scope);
    shapes.push(Shape { target, scope, filter: all_of(except.into_iter().chain(filter).collect()) });
    Ok(shapes)
}

/// `ldap:///($dn),BASE` and `ldap:///[$dn],BASE`.
pub(super) fn macro_names(base: &str) -> Result<(NamePattern, NamePattern)> {
    let name = NamePattern::Dn(base.to_owned());
    let sample = Shape { target: Some(Target { negated: false, name }), scope: None, filter: None };
    let anyone = BindRule::Test(BindTest::UserDn { negated: false, users: vec![UserPattern::Anyone] });
    let text = sample.aci(String::new(), None, Effect::Allow, Rights::NONE.with(Right::Read), anyone).to_string();
    let text = text.replace("ldap:///anyone", "ldap:///[$dn],x=y").replacen("ldap:///", "ldap:///($dn),", 1);
    let aci = Aci::parse(&text).map_err(|_| ())?;
    let target = aci.target.map(|target| target.name).ok_or(())?;
    let text = text.replace("ldap:///[$dn],x=y", &{
        let NamePattern::Macro(_) = &target else { return Err(()) };
        let start = text.find("ldap:///($dn),").ok_or(())? + "ldap:///($dn),".len();
        let end = text.get(start..).and_then(|rest| rest.find('"')).ok_or(())?;
        format!("ldap:///[$dn],{}", text.get(start..start + end).ok_or(())?)
    });
    let aci = Aci::parse(&text).map_err(|_| ())?;
    let mut found = None;
    for permission in &aci.permissions {
        permission.bind_rule.visit(&mut |test| {
            if let BindTest::UserDn { users, .. } = test
                && let Some(UserPattern::Name(name)) = users.first()
            {
                found = Some(name.clone());
            }
        });
    }
    found.map(|owner| (target, owner)).ok_or(())
}

/// Which attributes, and what of them: one ACI each.
fn permissions(evaluation: &Evaluation<'_>, whats: &[Given]) -> Vec<(Option<TargetAttributes>, Effect, Rights)> {
    let mut by_group: BTreeMap<usize, Vec<Right>> = BTreeMap::new();
    let mut entry = Rights::NONE;
    let mut permissions = Vec::new();
    for what in whats {
        match what {
            Given::Attributes(group, right) => by_group.entry(*group).or_default().push(*right),
            Given::Entry(right) => entry = entry.with(*right),
            Given::NoRename => permissions.push((None, Effect::Deny, Rights::NONE.with(Right::Write))),
        }
    }
    if !entry.is_empty() {
        permissions.push((None, Effect::Allow, entry));
    }
    let mut by_rights: BTreeMap<Vec<Right>, Vec<usize>> = BTreeMap::new();
    for (group, rights) in by_group {
        by_rights.entry(rights).or_default().push(group);
    }
    for (rights, groups) in by_rights {
        for attributes in attributes::targets(evaluation.schema, &evaluation.groups, &groups, &rights) {
            permissions.push((Some(attributes), Effect::Allow, rights.iter().copied().collect()));
        }
    }
    permissions
}

/// Which of slapd's rules had a part in it.
fn name(evaluation: &Evaluation<'_>, whats: &[Given], places: &[Place]) -> String {
    let is_about = |index: usize| {
        whats.iter().any(|what| match what {
            Given::Attributes(group, _) => {
                evaluation.groups.get(*group).and_then(|group| group.rules.get(index)) == Some(&true)
            }
            Given::Entry(_) | Given::NoRename => evaluation.groups.iter().any(|group| {
                group.rules.get(index) == Some(&true)
                    && (group.holds(attributes::Class::Entry) || group.holds(attributes::Class::Children))
            }),
        })
    };
    let rules = evaluation.rules.iter().enumerate().filter(|(index, rule)| {
        let fits = match &rule.target {
            super::rule::Target::Region(region) => {
                places.iter().any(|place| evaluation.tree.is_in(evaluation.schema, region, *place))
            }
            _ => true,
        };
        fits && is_about(*index)
    });
    let numbers: Vec<String> = rules.map(|(index, _)| (index + 1).to_string()).take(12).collect();
    let no_rename = if whats.contains(&Given::NoRename) { ", no renaming" } else { "" };
    format!("slapd {}{no_rename}", numbers.join(" "))
}
