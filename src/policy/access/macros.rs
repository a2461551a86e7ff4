//! Names with macros, ready to be compared: the part of an entry's name that `($dn)` of a target stands for, and requesters
//! named by what comes of it (`aci::Template`).
//!
//! Everything here goes by whole RDNs. `ou=groups,($dn),dc=x` fits every entry at or below an `ou=groups` that stands
//! somewhere below `dc=x`, and `($dn)` is all between the leftmost of those and `dc=x`; it is never empty. With a star
//! (`ou=*,($dn),dc=x`) what stands before the macro is the beginning of the entry's own name, and each star is what is in
//! one RDN. So 389-DS; it compares text, so that there `ou=groups` is found in the middle of another RDN, too.

use super::EntryFacts;
use super::bind_rule::{Subject, Verdict, name_key};
use crate::model::{Dn, Rdn};
use crate::policy::aci::{Form, Piece, Template};
use crate::policy::name_pattern::{NameGlob, is_pattern, normal_name, split_unescaped};
use crate::schema::Schema;

/// One RDN of a pattern.
#[derive(Clone, Debug)]
enum RdnPattern {
    Key(Vec<u8>),
    Glob(NameGlob),
}

impl RdnPattern {
    fn new(schema: &Schema, text: &str) -> Option<Self> {
        if is_pattern(text) {
            return NameGlob::new(schema, text).map(Self::Glob);
        }
        Rdn::parse(text.trim()).ok().map(|rdn| Self::Key(schema.rdn_key(&rdn)))
    }

    fn list(schema: &Schema, text: &str) -> Option<Vec<Self>> {
        split_unescaped(text, ',').into_iter().map(|part| Self::new(schema, part)).collect()
    }

    fn fits(&self, schema: &Schema, rdn: &Rdn) -> bool {
        match self {
            Self::Key(key) => schema.rdn_key(rdn) == *key,
            Self::Glob(glob) => normal_name(schema, &rdn.to_string()).is_some_and(|name| glob.fits(&name)),
        }
    }
}

fn all_fit(schema: &Schema, patterns: &[RdnPattern], rdns: &[Rdn]) -> bool {
    patterns.len() == rdns.len() && patterns.iter().zip(rdns).all(|(pattern, rdn)| pattern.fits(schema, rdn))
}

/// The target of a rule with `($dn)`.
#[derive(Clone, Debug)]
pub(super) struct MacroTarget {
    before: Vec<RdnPattern>,
    after: Vec<RdnPattern>,
    /// What stands before begins the entry's own name.
    is_anchored: bool,
}

impl MacroTarget {
    /// `None` where it cannot be judged.
    pub(super) fn new(schema: &Schema, template: &Template) -> Option<Self> {
        let at = template.pieces().iter().position(|piece| *piece == Piece::Dn)?;
        let text = |piece: Option<&Piece>| match piece {
            Some(Piece::Text(text)) => text.trim().trim_matches(',').to_owned(),
            _ => String::new(),
        };
        let list = |text: &str| if text.is_empty() { Some(Vec::new()) } else { RdnPattern::list(schema, text) };
        let before = list(&text(at.checked_sub(1).and_then(|before| template.pieces().get(before))))?;
        let after = list(&text(template.pieces().get(at + 1)))?;
        let is_anchored = before.iter().any(|pattern| matches!(pattern, RdnPattern::Glob(_)));
        Some(Self { before, after, is_anchored })
    }

    /// What `($dn)` is for the entry of this name; `None` when the entry is not in the target.
    pub(super) fn matched(&self, schema: &Schema, dn: &str) -> Option<Vec<Rdn>> {
        let dn = Dn::parse(dn).ok()?;
        let rdns = dn.rdns();
        let (rest, after) = rdns.split_at_checked(rdns.len().checked_sub(self.after.len())?)?;
        if !all_fit(schema, &self.after, after) {
            return None;
        }
        let length = self.before.len();
        let starts = if self.is_anchored || length == 0 { 0..=0 } else { 0..=rest.len().checked_sub(length)? };
        for start in starts {
            let found = rest.get(start..start + length)?;
            if all_fit(schema, &self.before, found) {
                let matched = rest.get(start + length..)?;
                return (!matched.is_empty()).then(|| matched.to_vec());
            }
        }
        None
    }
}

/// What a name with macros is the name of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MacroKind {
    /// The requester.
    User,
    /// A group that the requester is in.
    Group,
    /// A role that the requester has.
    Role,
}

/// A requester named with macros.
#[derive(Clone, Debug)]
pub(super) struct MacroName {
    template: Template,
    kind: MacroKind,
}

impl MacroName {
    pub(super) fn new(template: &Template, kind: MacroKind) -> Self {
        Self { template: template.clone(), kind }
    }

    /// Whether the requester is one of those that the text stands for (or in such a group, or has such a role). `dn`: what `($dn)` of
    /// the target is.
    pub(super) fn names(&self, subject: &Subject<'_>, entry: &dyn EntryFacts, dn: &[Rdn]) -> Verdict {
        let mut values = |name: &str| {
            let mut values = Vec::new();
            if let Some(attribute) = subject.schema.attribute_type(name) {
                entry.values(0, attribute, &mut |value| values.push(value.to_vec()));
            }
            values
        };
        let texts = self.template.expand(dn, &mut values, Form::Name)?;
        Some(texts.iter().any(|text| self.is_named(subject, text)))
    }

    fn is_named(&self, subject: &Subject<'_>, text: &str) -> bool {
        let schema = subject.schema;
        let requester = subject.context.requester;
        if is_pattern(text) {
            let own = requester.dn().and_then(|dn| Dn::parse(dn).ok());
            let patterns = RdnPattern::list(schema, text);
            return own.zip(patterns).is_some_and(|(own, patterns)| all_fit(schema, &patterns, own.rdns()));
        }
        name_key(schema, text).is_some_and(|(key, _)| match self.kind {
            MacroKind::User => requester.dn_key() == Some(&key),
            MacroKind::Group => subject.facts.is_member(&key),
            MacroKind::Role => subject.facts.has_role(&key),
        })
    }
}

/// A filter with macros: true when one of those that it stands for is.
pub(super) fn filter_fits(template: &Template, entry: &dyn EntryFacts, dn: &[Rdn]) -> Verdict {
    let texts = template.expand(dn, &mut |_| Vec::new(), Form::Filter)?;
    let mut verdict = Some(false);
    for text in texts {
        match crate::model::Filter::parse(&text).ok().and_then(|filter| entry.matches_once(&filter)) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => verdict = None,
        }
    }
    verdict
}
