//! What a filter item asks of one value, its assertion normalised once.
//!
//! Most rules are comparisons of keys (`schema::matching_rule`): the key of the assertion is made when the filter is
//! compiled, the key of a value when it is looked at, into a buffer that is used again. Values that stand exactly as
//! asserted are not normalised at all.

use super::evaluate::Truth;
use crate::model::Dn;
use crate::schema::sound::{WordKeys, dials, is_near, near_keys};
use crate::schema::{MatchingRule, Schema};
use memchr::memmem::Finder;

/// See the module.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// True of every entry: the attribute is always there.
    Always,
    /// The attribute has a value.
    Present,
    /// The value's key equals.
    Equal {
        rule: MatchingRule,
        key: Vec<u8>,
        /// The assertion as it came; a value with these bytes needs no key.
        raw: Vec<u8>,
    },
    /// The value's key is in order at or after, or at or before, or before.
    Ordered { rule: MatchingRule, key: Vec<u8>, order: Order },
    /// The value's key has these parts, in order and apart.
    Contains(Parts),
    /// The value is equal, or sounds like it.
    Sounds { rule: MatchingRule, key: Vec<u8>, words: Vec<WordKeys> },
    /// The value is this telephone number, which has no country, or the international number that it means.
    Dialled { key: Vec<u8> },
    /// A rule that is no comparison of keys.
    Rule { rule: MatchingRule, assertion: Vec<u8> },
    /// The value names this entry.
    Names { dn: Dn, key: Vec<u8> },
    /// The value names this entry, or one whose value does, and so on.
    Chain { dn: Dn },
}

/// Which side of the assertion a value must be on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    AtLeast,
    AtMost,
    Before,
}

/// Parts of a substring assertion as keys.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) rule: MatchingRule,
    pub(super) initial: Option<Vec<u8>>,
    pub(super) any: Vec<Finder<'static>>,
    pub(super) last: Option<Vec<u8>>,
}

impl Parts {
    /// Whether a value's key has the parts.
    pub(super) fn fit(&self, key: &[u8]) -> bool {
        let mut rest = key;
        if let Some(initial) = &self.initial {
            match rest.strip_prefix(initial.as_slice()) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        if let Some(last) = &self.last {
            match rest.strip_suffix(last.as_slice()) {
                Some(before) => rest = before,
                None => return false,
            }
        }
        for part in &self.any {
            match part.find(rest).and_then(|at| rest.get(at + part.needle().len()..)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        true
    }

    /// The same with another first part; `None`: `other` knows none.
    pub(super) fn with_first(&self, other: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Self> {
        let mut parts = self.clone();
        if let Some(initial) = &mut parts.initial {
            *initial = other(initial)?;
        } else if let Some(any) = parts.any.first_mut() {
            *any = Finder::new(&other(any.needle())?).into_owned();
        } else {
            *parts.last.as_mut()? = other(self.last.as_deref()?)?;
        }
        Some(parts)
    }

    /// What the beginning of a key says already.
    fn foresee(&self, beginning: &[u8]) -> Option<bool> {
        if self.last.is_none() && self.fit(beginning) {
            return Some(true);
        }
        let initial = self.initial.as_deref()?;
        let both = initial.len().min(beginning.len());
        (initial.get(..both) != beginning.get(..both)).then_some(false)
    }
}

impl Test {
    /// Whether one value satisfies the test; `Always` and `Present` are true of any value, of a chain only the direct
    /// link is judged. `buffer` is for keys.
    pub(super) fn holds(&self, schema: &Schema, value: &[u8], buffer: &mut Vec<u8>) -> Truth {
        match self {
            Self::Always | Self::Present => Truth::True,
            Self::Equal { rule, key, raw } => {
                if value == raw {
                    return Truth::True;
                }
                if foreseen(*rule, value, buffer, |beginning| (!key.starts_with(beginning)).then_some(false)).is_some()
                {
                    return Truth::False;
                }
                keyed(*rule, schema, value, buffer, |found| found == key)
            }
            Self::Ordered { rule, key, order } => keyed(*rule, schema, value, buffer, |found| match order {
                Order::AtLeast => found >= key.as_slice(),
                Order::AtMost => found <= key.as_slice(),
                Order::Before => found < key.as_slice(),
            }),
            Self::Contains(parts) => match foreseen(parts.rule, value, buffer, |beginning| parts.foresee(beginning)) {
                Some(answer) => Truth::from(answer),
                None => keyed(parts.rule, schema, value, buffer, |found| parts.fit(found)),
            },
            Self::Sounds { rule, key, words } => keyed(*rule, schema, value, buffer, |found| {
                if found == key {
                    return true;
                }
                is_near(words, &near_keys(*rule, found))
            }),
            Self::Dialled { key } => keyed(MatchingRule::TelephoneNumberMatch, schema, value, buffer, |found| {
                found == key.as_slice() || dials(key, found)
            }),
            Self::Rule { rule, assertion } => match rule.is_match(schema, value, assertion) {
                Ok(answer) => Truth::from(answer),
                Err(_) => Truth::Undefined,
            },
            Self::Names { dn, key } => match Dn::parse_bytes(value) {
                Ok(named) => Truth::from(named == *dn || schema.dn_key(&named) == *key),
                Err(_) => Truth::Undefined,
            },
            Self::Chain { dn } => match Dn::parse_bytes(value) {
                Ok(named) => Truth::from(schema.dn_equal(&named, dn)),
                Err(_) => Truth::Undefined,
            },
        }
    }
}

/// What the ASCII beginning of a text in another script says: normalising it all costs fifty times as much.
fn foreseen(
    rule: MatchingRule,
    value: &[u8],
    buffer: &mut Vec<u8>,
    judge: impl FnOnce(&[u8]) -> Option<bool>,
) -> Option<bool> {
    if value.is_ascii() {
        return None;
    }
    buffer.clear();
    rule.key_beginning(value, buffer);
    judge(buffer)
}

fn keyed(
    rule: MatchingRule,
    schema: &Schema,
    value: &[u8],
    buffer: &mut Vec<u8>,
    judge: impl FnOnce(&[u8]) -> bool,
) -> Truth {
    buffer.clear();
    match rule.key(schema, value, buffer) {
        Ok(()) => Truth::from(judge(buffer)),
        Err(_) => Truth::Undefined,
    }
}
