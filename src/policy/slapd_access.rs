//! OpenLDAP's access rules, as ACI that mean the same.
//!
//! slapd asks its rules in order: the first whose target fits, in it the first `by` that fits; at the end nothing is given
//! (slapd.access(5)). ACI have no order: what any allows is given unless any denies. So rules are not put into other words
//! one by one. What the whole list gives is computed for every kind of place (`tree`), every kind of attribute
//! (`attributes`) and every privilege as a function of questions about who asks and about the entry (`evaluate`, `decision`),
//! then for every right (`give`), and these functions are written as ACI about disjoint targets (`render`).
//!
//! Invariants
//! - Nobody gets more than slapd gives. What cannot be said exactly is told ([`Translation::refused`]), and what is written
//!   then gives only what slapd gives whatever the answer to the unasked question is.
//! - What is not told is exact: reading, searching, comparing, writing, one's own name among values, adding, deleting, renaming.
//!
//! How privileges are taken
//! - An attribute is read where it and the entry may be read; it is searched where it may be searched and the entry may
//!   be read, for else no answer shows it.
//! - Adding and deleting ask for the entry and for its superior's `children`; here both are rights on the entry.
//! - slapd lets nobody rename who may not write `entry`; here who may write an attribute may, so that is denied apart.
//! - Logging in needs no right here: rules that keep it from somebody are told (`auth`). `disclose` follows from other
//!   rights, `manage` is `write`. A move is judged as a deletion and an addition, which come to the same.
//! - `rootdn` is above slapd's rules as the administrator is above ours.
//!
//! Not here: overlays, `limits`, and who may log in.

mod attributes;
mod configuration;
mod decision;
mod evaluate;
mod give;
mod region;
mod render;
mod rule;
#[cfg(test)]
mod tests;
mod tree;
mod who;

use super::aci::Aci;
use crate::model::Dn;
use crate::schema::Schema;
use configuration::{Configuration, Database, Directive, RULES_MAX, TEXT_BYTES_MAX};
use rule::Rule;

/// Something about the configuration, with where it stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    /// The line, or the value of `olcAccess`.
    pub origin: String,
    /// What is the matter and what to do.
    pub detail: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.origin, self.detail)
    }
}

/// Rules that mean what slapd's mean.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The entry that is to hold them, and no others; every other entry below is to hold none.
    pub suffix: Dn,
    /// The rules.
    pub rules: Vec<Aci>,
    /// slapd's rules in the order in which it asks them, with where they stand; names of [`Self::rules`] refer to them by
    /// number from 1.
    pub sources: Vec<String>,
    /// What cannot be said exactly. Where this is empty the rules mean the same; otherwise they give less.
    pub refused: Vec<Problem>,
    /// That rules keep somebody from logging in, which rules here do not.
    pub logins: Vec<Problem>,
    /// What one should know.
    pub remarks: Vec<String>,
}

/// Puts the rules of slapd's configuration (`slapd.conf`, or LDIF of `cn=config`) for one suffix into ACI.
///
/// `suffix` says which database; it may be left out where there is one only. `schema` is that of the directory.
/// Cost: bounded by limits on the text, the number of rules and the size of what they come to.
///
/// # Errors
/// The configuration or a rule in it cannot be read, or the rules come to too much; all that was found.
pub fn translate(schema: &Schema, text: &str, suffix: Option<&Dn>) -> Result<Translation, Vec<Problem>> {
    let whole = |detail: String| vec![Problem { origin: "the configuration".into(), detail }];
    if text.len() > TEXT_BYTES_MAX {
        return Err(whole(format!("{} bytes, at most {TEXT_BYTES_MAX} are read", text.len())));
    }
    let mut configuration = Configuration::read(text);
    let mut problems = std::mem::take(&mut configuration.problems);
    let same = |one: &Dn, other: &Dn| schema.dn_key(one) == schema.dn_key(other);
    let (suffix, database) = choose(&configuration, suffix, &same).map_err(whole)?;
    let directives: Vec<&Directive> = database.rules.iter().chain(&configuration.global.rules).collect();
    if directives.len() > RULES_MAX {
        return Err(whole(format!("{} access rules, at most {RULES_MAX} are read", directives.len())));
    }
    let mut rules = Vec::new();
    for directive in &directives {
        let parsed = Rule::parse(directive, &same);
        match parsed.and_then(|rule| attributes::unknown_names(schema, &rule).map_or(Ok(rule), Err)) {
            Ok(rule) => rules.push(rule),
            Err(detail) => problems.push(Problem { origin: directive.origin.clone(), detail }),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut remarks = Vec::new();
    if rules.is_empty() {
        remarks.push("there is no access rule: slapd lets everybody read everything, passwords included".to_owned());
        let words = ["to", "*", "by", "*", "read"].map(str::to_owned).to_vec();
        let directive = Directive { origin: "slapd without rules".into(), words };
        rules.extend(Rule::parse(&directive, &same));
    }
    let judges_added = database.judges_added.as_ref().or(configuration.global.judges_added.as_ref());
    let sources = directives.iter().map(|directive| format!("{}: {}", directive.origin, directive.words.join(" ")));
    let mut translation = Translation {
        suffix,
        rules: Vec::new(),
        sources: sources.collect(),
        refused: Vec::new(),
        logins: Vec::new(),
        remarks,
    };
    if let Some(origin) = judges_added {
        translation.refused.push(Problem {
            origin: origin.clone(),
            detail: "attributes of an entry that is added are judged one by one; here who may add an entry may give it any attributes"
                .into(),
        });
    }
    give::translate(schema, &rules, &mut translation).map_err(|()| {
        whole(
            "the rules come to too many cases, or to a mixture of cases that no ACI says; translate them in parts"
                .to_owned(),
        )
    })?;
    Ok(translation)
}

/// The database of the suffix.
fn choose<'c>(
    configuration: &'c Configuration,
    suffix: Option<&Dn>,
    same: &dyn Fn(&Dn, &Dn) -> bool,
) -> Result<(Dn, &'c Database), String> {
    let mut known = Vec::new();
    for database in &configuration.databases {
        for text in &database.suffixes {
            let dn = Dn::parse(text).map_err(|error| format!("the suffix {text} is no DN: {error}"))?;
            if suffix.is_none_or(|suffix| same(suffix, &dn)) && !dn.rdns().is_empty() {
                known.push((dn, database));
            }
        }
    }
    let names: Vec<String> = known.iter().map(|(dn, _)| dn.to_string()).collect();
    match (known.len(), suffix) {
        (1, _) => known.pop().ok_or_else(String::new),
        // Rules alone, without the lines around them.
        (0, Some(suffix)) if configuration.databases.is_empty() => Ok((suffix.clone(), &configuration.none)),
        (0, Some(suffix)) => Err(format!("no database has the suffix {suffix}")),
        (0, None) => Err("no database has a suffix; say which with --suffix DN".into()),
        _ => Err(format!("there are several suffixes, {}; say which with --suffix DN", names.join("; "))),
    }
}
