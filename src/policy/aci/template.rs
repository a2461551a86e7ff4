//! Macros of 389-DS in names and filters: `ldap:///cn=admins,ou=groups,[$dn],dc=example`.
//!
//! `($dn)` is the part of the entry's name that `($dn)` in the rule's target stands for; `[$dn]` is that part and then
//! what is left of it when RDNs are taken away from the left, one after the other, until one is left; `($attr.NAME)` is
//! each value of an attribute of the entry. A text with macros so stands for several texts, and fits when one does.
//!
//! Invariants
//! - `($dn)` and `[$dn]` stand for whole RDNs, between commas; so what an entry is called cannot change how a name is cut.
//! - What is put in is escaped: no value of an entry brings a comma, a star or a parenthesis with a meaning. 389-DS puts
//!   values in as they are, so that who may write an attribute may name other groups by it.
//! - At most [`EXPANSIONS_MAX`] texts come of one; with more the test counts as unknown.

use super::AciError;
use crate::model::attribute::is_attribute_type;
use crate::model::{Ava, Dn, Filter, Rdn};
use crate::policy::name_pattern;

/// Most texts that one with macros may stand for.
pub const EXPANSIONS_MAX: usize = 256;

/// A text with macros.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// A part of a text with macros.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// `($attr.NAME)`
    Attribute(String),
    /// `($dn)`
    Dn,
    /// `[$dn]`
    DnLevels,
    /// What stands as it is.
    Text(String),
}

impl Piece {
    /// As written in a rule; a text piece is empty here.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Attribute(name) => format!("($attr.{name})"),
            Self::Dn => "($dn)".into(),
            Self::DnLevels => "[$dn]".into(),
            Self::Text(_) => String::new(),
        }
    }
}

/// What a text with macros becomes, which says how what is put in is escaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::policy) enum Form {
    /// A filter (RFC 4515).
    Filter,
    /// A name (RFC 4514), perhaps with stars.
    Name,
}

/// The first macro in the text: where it begins, where what follows it begins, and what it is. An error for something that
/// begins like a macro and is none.
fn next_macro(text: &str) -> Result<Option<(usize, usize, Piece)>, String> {
    let lower = text.to_ascii_lowercase();
    let places = ["($dn)", "[$dn]", "($attr."].map(|word| lower.find(word).map(|at| (at, word)));
    let Some((at, word)) = places.into_iter().flatten().min() else { return Ok(None) };
    let after = at + word.len();
    match word {
        "($dn)" => Ok(Some((at, after, Piece::Dn))),
        "[$dn]" => Ok(Some((at, after, Piece::DnLevels))),
        _ => {
            let rest = text.get(after..).unwrap_or_default();
            let name = rest.split_once(')').map(|(name, _)| name).filter(|name| is_attribute_type(name.as_bytes()));
            let name = name.ok_or("expected the name of an attribute and ) after ($attr.")?;
            Ok(Some((at, after + name.len() + 1, Piece::Attribute(name.to_owned()))))
        }
    }
}

impl Template {
    /// Cuts a text into its pieces; `None` when there is no macro in it. `text_piece` reads what is between macros.
    ///
    /// # Errors
    /// Something that begins like a macro and is none; what `text_piece` says.
    pub(super) fn parse(
        text: &str,
        offset: usize,
        text_piece: impl Fn(&str) -> Result<String, AciError>,
    ) -> Result<Option<Self>, AciError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        let error = |detail: String| AciError { offset, detail };
        while let Some((at, after, piece)) = next_macro(rest).map_err(error)? {
            let before = rest.get(..at).unwrap_or_default();
            if !before.is_empty() {
                pieces.push(Piece::Text(text_piece(before)?));
            }
            pieces.push(piece);
            rest = rest.get(after..).unwrap_or_default();
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(text_piece(rest)?));
        }
        Ok(Some(Self { pieces }))
    }

    /// The parts in their order; no two texts follow one another.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether the entry's name is asked for: then the target of the rule must say which part of it.
    pub fn uses_dn(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Dn | Piece::DnLevels))
    }

    /// What is wrong with the text as a name.
    pub(super) fn name_problem(&self) -> Option<String> {
        for (index, piece) in self.pieces.iter().enumerate() {
            if !matches!(piece, Piece::Dn | Piece::DnLevels) {
                continue;
            }
            let is_edge = |neighbour: Option<&Piece>, is_comma: fn(&str) -> bool| match neighbour {
                None => true,
                Some(Piece::Text(text)) => is_comma(text.trim()),
                Some(_) => false,
            };
            let before = index.checked_sub(1).and_then(|before| self.pieces.get(before));
            if !is_edge(before, |text| text.ends_with(',') && !text.ends_with("\\,"))
                || !is_edge(self.pieces.get(index + 1), |text| text.starts_with(','))
            {
                return Some(format!("{} stands for whole RDNs: write it between commas", piece.word()));
            }
        }
        let sample = Rdn::parse("x=y").ok()?;
        let texts = self.expand(&[sample], &mut |_| vec![b"x=y".to_vec()], Form::Name)?;
        let is_name = |text: &String| {
            let is_pattern = name_pattern::is_pattern(text);
            if is_pattern { name_pattern::is_valid_pattern(text) } else { Dn::parse(text).is_ok() }
        };
        texts.iter().find(|text| !is_name(text)).map(|text| format!("'{text}', as it would become, is not a DN"))
    }

    /// What is wrong with the text as a filter.
    pub(super) fn filter_problem(&self) -> Option<String> {
        if self.pieces.iter().any(|piece| matches!(piece, Piece::Attribute(_))) {
            return Some("($attr.…) stands for the requester's name only, not in targetfilter".into());
        }
        let sample = Rdn::parse("x=y").ok()?;
        let texts = self.expand(&[sample], &mut |_| Vec::new(), Form::Filter)?;
        texts.iter().find_map(|text| Filter::parse(text).err()).map(|cause| format!("not a filter: {cause}"))
    }

    /// Every text that it stands for. `dn`: what `($dn)` of the target is; `values` gives those of an attribute.
    /// `None` when there are more than [`EXPANSIONS_MAX`].
    pub(in crate::policy) fn expand(
        &self,
        dn: &[Rdn],
        values: &mut dyn FnMut(&str) -> Vec<Vec<u8>>,
        form: Form,
    ) -> Option<Vec<String>> {
        let has_levels = self.pieces.contains(&Piece::DnLevels);
        let levels = if has_levels { dn.len() } else { 1 };
        let mut texts = Vec::new();
        for level in 0..levels {
            let mut made = vec![String::new()];
            for piece in &self.pieces {
                let parts = match piece {
                    Piece::Text(text) => vec![text.clone()],
                    Piece::Dn => vec![put_in(&joined(dn), form)],
                    Piece::DnLevels => vec![put_in(&joined(dn.get(level..).unwrap_or_default()), form)],
                    Piece::Attribute(name) => {
                        let is_value = made.first().is_some_and(|before| is_in_value(before));
                        let text = |value: Vec<u8>| if is_value { escaped(value) } else { rdns(&value) };
                        values(name).into_iter().filter_map(text).map(|text| put_in(&text, form)).collect()
                    }
                };
                if made.len() * parts.len() > EXPANSIONS_MAX {
                    return None;
                }
                made = made.iter().flat_map(|before| parts.iter().map(move |part| format!("{before}{part}"))).collect();
            }
            texts.append(&mut made);
            if texts.len() > EXPANSIONS_MAX {
                return None;
            }
        }
        Some(texts)
    }
}

fn joined(dn: &[Rdn]) -> String {
    dn.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Whether what comes next in a name belongs to the value of an attribute that has begun.
fn is_in_value(before: &str) -> bool {
    let mut is_in = false;
    let mut characters = before.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '=' => is_in = true,
            ',' | '+' => is_in = false,
            _ => {}
        }
    }
    is_in
}

/// A value as it is written after `type=`.
fn escaped(value: Vec<u8>) -> Option<String> {
    let rdn = Rdn::new(vec![Ava { attribute: "x".into(), value }])?;
    rdn.to_string().strip_prefix("x=").map(str::to_owned)
}

/// A value that is a name of its own; one that is none stands for nothing.
fn rdns(value: &[u8]) -> Option<String> {
    let dn = Dn::parse_bytes(value).ok().filter(|dn| !dn.is_root())?;
    Some(joined(dn.rdns()))
}

/// Escapes what would have a meaning: stars in names; stars, parentheses and backslashes in filters.
fn put_in(text: &str, form: Form) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match (form, character) {
            (Form::Name, '*') => out.push_str("\\2a"),
            (Form::Filter, '*' | '(' | ')' | '\\' | '\0') => out.push_str(&format!("\\{:02x}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out
}
