//! From slapd's privileges to rights: what they come to for an entry, its attributes, and what is below it.

use super::attributes::{self, Class, Group};
use super::decision::{Function, Functions, TooComplex};
use super::evaluate::{Ask, Evaluation, Masks, Result, USERS};
use super::rule::{Rule, Target, privilege};
use super::tree::{Place, Tree};
use super::{Problem, Translation, render};
use crate::policy::rights::Right;
use crate::schema::Schema;
use std::collections::{BTreeMap, BTreeSet};

/// Most named entries times attributes that rules tell apart.
const CASES_MAX: usize = 20_000;
/// What is given, and to what of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Given {
    /// To a group of attributes.
    Attributes(usize, Right),
    /// To the entry as a whole.
    Entry(Right),
    /// Not to be given: renaming.
    NoRename,
}

/// The function of one privilege.
fn of(masks: &Masks, privilege: u8) -> Function {
    masks.get(privilege.trailing_zeros() as usize).copied().unwrap_or(Function::NEVER)
}

/// Puts `rules` into ACI.
pub(super) fn translate(schema: &Schema, rules: &[Rule], translation: &mut Translation) -> std::result::Result<(), ()> {
    let groups = attributes::groups(schema, rules);
    let regions = rules.iter().flat_map(|rule| match &rule.target {
        Target::Region(region) => Some(region.base.clone()),
        _ => None,
    });
    let tree = Tree::new(schema, &translation.suffix, regions);
    if tree.places().len() * groups.len() > CASES_MAX {
        return Err(());
    }
    let mut evaluation = Evaluation {
        schema,
        rules,
        tree,
        groups,
        functions: Functions::default(),
        about_entry: Vec::new(),
        about_who: Vec::new(),
        possible: Function::ALWAYS,
        refused: BTreeSet::new(),
    };
    let given = evaluation.run(translation).map_err(|TooComplex| ())?;
    translation.rules = render::rules(&evaluation, &given)?;
    translation.refused.extend(evaluation.refused);
    Ok(())
}

impl Evaluation<'_> {
    /// Where the rules that are about a group stand.
    fn origins(&self, group: usize) -> String {
        let about = self.groups.get(group).map(|group| group.rules.as_slice()).unwrap_or_default();
        let origins = self.rules.iter().zip(about).filter(|(_, is_about)| **is_about);
        let origins: Vec<&str> = origins.map(|(rule, _)| rule.origin.as_str()).take(4).collect();
        origins.join(", ")
    }

    fn refuse(&mut self, group: usize, detail: String) {
        let origin = self.origins(group);
        self.refused.insert(Problem { origin, detail });
    }

    fn place_text(&self, place: Place) -> String {
        let dn = self.tree.dn(place.named).map(ToString::to_string).unwrap_or_default();
        match place.depth {
            0 => dn,
            1 => format!("entries right below {dn}"),
            _ => format!("entries further below {dn}"),
        }
    }

    fn group_text(&self, group: usize) -> String {
        let classes = self.groups.get(group).map(|group| group.classes.as_slice()).unwrap_or_default();
        let name = |class: &Class| match class {
            Class::Children => "children".to_owned(),
            Class::Entry => "entry".to_owned(),
            Class::Named(index) => self.schema.attribute_type_at(*index).name().to_owned(),
            Class::Other => "other attributes".to_owned(),
        };
        let names: Vec<String> = classes.iter().take(3).map(name).collect();
        names.join(", ")
    }

    /// Both functions where they should be one; told where they are not.
    fn one(&mut self, one: Function, other: Function, group: usize, detail: &str, place: Place) -> Result<Function> {
        let (one, other) =
            (self.functions.simplify(one, self.possible)?, self.functions.simplify(other, self.possible)?);
        if one != other {
            let detail = format!("{} of {}: {detail}", self.group_text(group), self.place_text(place));
            self.refuse(group, detail);
        }
        self.functions.both(one, other)
    }

    fn run(&mut self, translation: &mut Translation) -> Result<Vec<(Place, Given, Function)>> {
        let places = self.tree.places();
        let role = |groups: &[Group], class| groups.iter().position(|group| group.holds(class)).unwrap_or(usize::MAX);
        let (entry, children) = (role(&self.groups, Class::Entry), role(&self.groups, Class::Children));
        let attribute_groups: Vec<usize> =
            (0..self.groups.len()).filter(|group| *group != entry && *group != children).collect();
        let dn_groups: Vec<usize> = attribute_groups
            .iter()
            .copied()
            .filter(|at| self.groups.get(*at).is_some_and(|group| group.is_dn))
            .collect();
        // All questions first: what goes together is asked of all of them.
        let mut raw = BTreeMap::new();
        for place in &places {
            for group in 0..self.groups.len() {
                raw.insert((*place, group, false), self.masks(*place, group, false, false)?);
            }
            for group in &dn_groups {
                raw.insert((*place, *group, true), self.masks(*place, *group, true, false)?);
            }
        }
        let mut above = BTreeMap::new();
        for place in &places {
            let mut found = Vec::new();
            for superior in self.tree.superiors(self.schema, *place) {
                found.push(self.masks(superior, children, false, true)?);
            }
            above.insert(*place, found);
        }
        self.find_possible()?;
        let mut given = Vec::new();
        for place in places {
            let entry_masks = raw.get(&(place, entry, false)).copied().unwrap_or([Function::NEVER; 8]);
            let superiors = above.remove(&place).unwrap_or_default();
            self.at_place(place, children, &entry_masks, &superiors, &raw, &attribute_groups, &mut given)?;
        }
        self.check_search(entry, &mut given)?;
        self.logins(&raw, translation)?;
        self.disclosures(&given, translation);
        Ok(given)
    }

    #[expect(clippy::too_many_arguments, reason = "one step of a loop, cut out to be read by itself")]
    fn at_place(
        &mut self,
        place: Place,
        children: usize,
        entry_masks: &Masks,
        superiors: &[Masks],
        raw: &BTreeMap<(Place, usize, bool), Masks>,
        attribute_groups: &[usize],
        given: &mut Vec<(Place, Given, Function)>,
    ) -> Result<()> {
        let may_see = of(entry_masks, privilege::READ);
        let may_search = of(entry_masks, privilege::SEARCH);
        let mut here: Vec<(Given, Function)> = Vec::new();
        for group in attribute_groups {
            let plain = raw.get(&(place, *group, false)).copied().unwrap_or([Function::NEVER; 8]);
            let own = raw.get(&(place, *group, true)).copied().unwrap_or(plain);
            let differs = "one's own name among the values may be read, searched or compared otherwise than the others";
            for (privilege, right) in [
                (privilege::READ, Right::Read),
                (privilege::SEARCH, Right::Search),
                (privilege::COMPARE, Right::Compare),
            ] {
                let mut function = self.one(of(&plain, privilege), of(&own, privilege), *group, differs, place)?;
                if right != Right::Compare {
                    function = self.functions.both(function, may_see)?;
                }
                here.push((Given::Attributes(*group, right), function));
            }
            let half = "values may be added and not deleted, or deleted and not added";
            let writes = self.one(of(&plain, privilege::ADD), of(&plain, privilege::DELETE), *group, half, place)?;
            here.push((Given::Attributes(*group, Right::Write), writes));
            let writes_own = self.one(of(&own, privilege::ADD), of(&own, privilege::DELETE), *group, half, place)?;
            let writes_own = self.functions.except(writes_own, writes)?;
            here.push((Given::Attributes(*group, Right::SelfWrite), writes_own));
        }
        here.push((Given::Entry(Right::Read), may_see));
        here.push((Given::Entry(Right::Search), may_search));
        let above = |evaluation: &mut Self, privilege| -> Result<Function> {
            let mut masks = superiors.iter();
            let Some(first) = masks.next() else { return Ok(Function::NEVER) };
            let mut function = of(first, privilege);
            for other in masks {
                let detail = "an entry right below and one further below give different rights to what is below them";
                function = evaluation.one(function, of(other, privilege), children, detail, place)?;
            }
            Ok(function)
        };
        let (adds, deletes) = (above(self, privilege::ADD)?, above(self, privilege::DELETE)?);
        let may_add = self.functions.both(of(entry_masks, privilege::ADD), adds)?;
        let may_delete = self.functions.both(of(entry_masks, privilege::DELETE), deletes)?;
        here.push((Given::Entry(Right::Add), may_add));
        here.push((Given::Entry(Right::Delete), may_delete));
        let may_rename = self.functions.both(may_add, may_delete)?;
        let mut writes = Function::NEVER;
        for (what, function) in here {
            let function = self.settle(function, place, what == Given::Entry(Right::Add))?;
            if matches!(what, Given::Attributes(_, Right::Write | Right::SelfWrite)) {
                writes = self.functions.either(writes, function)?;
            }
            if function != Function::NEVER {
                given.push((place, what, function));
            }
        }
        let may_rename = self.settle(may_rename, place, false)?;
        let forbidden = self.functions.not(may_rename)?;
        let forbidden = self.functions.simplify(forbidden, self.possible)?;
        let concerned = self.functions.both(writes, forbidden)?;
        let concerned = self.functions.both(concerned, self.possible)?;
        // Where nobody writes, nobody renames: then it is no harm to forbid it to all.
        let forbidden = if writes == Function::NEVER { Function::ALWAYS } else { forbidden };
        if concerned != Function::NEVER || forbidden == Function::ALWAYS {
            given.push((place, Given::NoRename, forbidden));
        }
        Ok(())
    }

    /// What holds for some answers to the questions that have another answer for every entry.
    fn for_some_entry(&mut self, function: Function) -> Result<Function> {
        let mut function = function;
        for question in self.functions.questions(function) {
            let is_relative = matches!(
                self.asked(question),
                Some(
                    Ask::Attribute { .. }
                        | Ask::Filter(_)
                        | Ask::Owner { .. }
                        | Ask::Rdn { .. }
                        | Ask::SelfEntry
                        | Ask::Superior
                        | Ask::Unknown { .. }
                )
            );
            if is_relative {
                let (no, yes) =
                    (self.functions.given(function, question, false)?, self.functions.given(function, question, true)?);
                function = self.functions.either(no, yes)?;
            }
        }
        Ok(function)
    }

    /// Whoever has a right on an entry may search from it here; slapd asks for search on `entry`. That is no matter where
    /// they see nothing below; where they do, they lose their rights on the entry.
    fn check_search(&mut self, entry: usize, given: &mut Vec<(Place, Given, Function)>) -> Result<()> {
        let of_place = |given: &[(Place, Given, Function)], place, wanted: fn(Given) -> bool| -> Vec<Function> {
            let here = given.iter().filter(|(at, what, _)| *at == place && wanted(*what));
            here.map(|(_, _, function)| *function).collect()
        };
        for place in self.tree.places() {
            let may_search = of_place(given, place, |what| what == Given::Entry(Right::Search));
            let may_search = may_search.first().copied().unwrap_or(Function::NEVER);
            let mut hidden = Function::NEVER;
            for function in of_place(given, place, |what| what != Given::NoRename) {
                hidden = self.functions.either(hidden, function)?;
            }
            hidden = self.functions.except(hidden, may_search)?;
            hidden = self.functions.both(hidden, self.possible)?;
            let hidden = self.for_some_entry(hidden)?;
            let mut seen = Function::NEVER;
            let mut places = self.tree.places();
            places.retain(|below| self.tree.may_be_below(*below, place));
            for below in places {
                for function in of_place(given, below, |what| what == Given::Entry(Right::Read)) {
                    let function = self.functions.both(function, self.possible)?;
                    let function = self.for_some_entry(function)?;
                    seen = self.functions.either(seen, function)?;
                }
            }
            if self.functions.both(hidden, seen)? == Function::NEVER {
                continue;
            }
            let detail = format!(
                "{}: somebody has a right there and may not search from it, and sees what is below; here who has a right on an \
                 entry may search from it. Give search on entry, too.",
                self.place_text(place)
            );
            self.refuse(entry, detail);
            for (at, what, function) in given.iter_mut() {
                if *at == place && *what != Given::NoRename {
                    *function = self.functions.both(*function, may_search)?;
                }
            }
        }
        given.retain(|(_, _, function)| *function != Function::NEVER);
        Ok(())
    }

    /// Tells where not everybody may try a password.
    fn logins(&mut self, raw: &BTreeMap<(Place, usize, bool), Masks>, translation: &mut Translation) -> Result<()> {
        let Some(password) = self.schema.attribute_type("userPassword").map(|attribute| attribute.index) else {
            return Ok(());
        };
        let Some(group) = self.groups.iter().position(|group| group.holds(Class::Named(password))) else {
            return Ok(());
        };
        let users = self.users()?;
        let anonymous = self.functions.except(self.possible, users)?;
        let mut places = Vec::new();
        for ((place, _, _), masks) in raw.iter().filter(|((_, of, is_own), _)| *of == group && !is_own) {
            let auth = self.functions.simplify(of(masks, privilege::AUTH), anonymous)?;
            if auth != Function::ALWAYS {
                places.push(self.place_text(*place));
            }
        }
        if !places.is_empty() {
            let detail = format!(
                "not everybody may log in with a password as {} (auth on userPassword); no rule here keeps anybody from logging in. \
                 Where that is meant, lock the accounts or take the passwords away.",
                places.join("; ")
            );
            translation.logins.push(Problem { origin: self.origins(group), detail });
        }
        Ok(())
    }

    /// Tells who may read passwords.
    fn disclosures(&self, given: &[(Place, Given, Function)], translation: &mut Translation) {
        let is_secret = |group: usize| {
            self.groups.get(group).is_some_and(|group| {
                group.classes.iter().any(
                    |class| matches!(class, Class::Named(index) if self.schema.attribute_type_at(*index).is_secret()),
                )
            })
        };
        let is_wide = |function: Function| {
            function == Function::ALWAYS || self.functions.node(function).is_some_and(|node| node.question == USERS)
        };
        let mut wide = given.iter().filter_map(|(_, what, function)| match what {
            Given::Attributes(group, Right::Read) if is_secret(*group) && is_wide(*function) => Some(*group),
            _ => None,
        });
        if let Some(group) = wide.next() {
            translation.remarks.push(format!(
                "everybody, or everybody who has logged in, may read passwords in some place, as before ({})",
                self.origins(group)
            ));
        }
    }
}
