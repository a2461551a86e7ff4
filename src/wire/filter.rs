//! Search filters on the wire (RFC 4511 4.5.1.7).
//!
//! A filter that lost a component would match other entries, so anything that does not fit refuses the whole request;
//! but an attribute or rule whose name is not UTF-8 is merely unknown (it becomes `""`), and evaluates to Undefined
//! like any other unknown one. Values are bytes. `(&)` and `(|)` are allowed (RFC 4526).
//!
//! Invariants
//! - Depth is at most [`FILTER_DEPTH_MAX`], components at most [`FILTER_NODES_MAX`], parts of one substring assertion at
//!   most [`SUBSTRING_PARTS_MAX`]; each is checked before anything is allocated for the component.

use std::borrow::Cow;

use crate::model::filter::{FILTER_DEPTH_MAX, FILTER_NODES_MAX, SUBSTRING_PARTS_MAX};
use crate::model::{Assertion, Extensible, Filter, Substrings};

use super::ber::{self, Reader};
use super::error::Malformed;
use super::request::text;

const AND: u8 = ber::context_constructed(0);
const OR: u8 = ber::context_constructed(1);
const NOT: u8 = ber::context_constructed(2);
const EQUALITY: u8 = ber::context_constructed(3);
const SUBSTRINGS: u8 = ber::context_constructed(4);
const GREATER_OR_EQUAL: u8 = ber::context_constructed(5);
const LESS_OR_EQUAL: u8 = ber::context_constructed(6);
const PRESENT: u8 = ber::context(7);
const APPROX: u8 = ber::context_constructed(8);
const EXTENSIBLE: u8 = ber::context_constructed(9);

const INITIAL: u8 = ber::context(0);
const ANY: u8 = ber::context(1);
const FINAL: u8 = ber::context(2);

/// Takes one filter from `reader`.
pub(super) fn decode<'a>(reader: &mut Reader<'a>) -> Result<Filter<'a>, Malformed> {
    Limits { nodes_left: FILTER_NODES_MAX }.filter(reader, FILTER_DEPTH_MAX)
}

struct Limits {
    nodes_left: usize,
}

impl Limits {
    fn take_node(&mut self) -> Result<(), Malformed> {
        self.nodes_left = self
            .nodes_left
            .checked_sub(1)
            .ok_or_else(|| Malformed::protocol(format!("the filter has more than {FILTER_NODES_MAX} components")))?;
        Ok(())
    }

    fn filter<'a>(&mut self, reader: &mut Reader<'a>, depth_left: usize) -> Result<Filter<'a>, Malformed> {
        let depth_left = depth_left.checked_sub(1).ok_or_else(|| {
            Malformed::protocol(format!("the filter is nested deeper than {FILTER_DEPTH_MAX} levels"))
        })?;
        self.take_node()?;
        let (tag, content) = reader.element()?;
        let mut inner = Reader::new(content);
        match tag {
            AND => self.filters(inner, depth_left).map(Filter::And),
            OR => self.filters(inner, depth_left).map(Filter::Or),
            NOT => {
                let negated = self.filter(&mut inner, depth_left)?;
                inner.finish()?;
                Ok(Filter::Not(Box::new(negated)))
            }
            EQUALITY => assertion(inner).map(Filter::Equality),
            SUBSTRINGS => substrings(inner),
            GREATER_OR_EQUAL => assertion(inner).map(Filter::GreaterOrEqual),
            LESS_OR_EQUAL => assertion(inner).map(Filter::LessOrEqual),
            PRESENT => Ok(Filter::Present(name(content))),
            APPROX => assertion(inner).map(Filter::Approx),
            EXTENSIBLE => extensible(inner).map(Filter::Extensible),
            _ => Err(Malformed::protocol(format!("{tag:#04x} is not the tag of a filter"))),
        }
    }

    fn filters<'a>(&mut self, mut reader: Reader<'a>, depth_left: usize) -> Result<Vec<Filter<'a>>, Malformed> {
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(self.filter(&mut reader, depth_left)?);
        }
        Ok(filters)
    }
}

/// The attribute or rule that these bytes name; one that is not text is one that nobody knows.
fn name(bytes: &[u8]) -> Cow<'_, str> {
    Cow::Borrowed(text(bytes).unwrap_or(""))
}

fn assertion(mut reader: Reader<'_>) -> Result<Assertion<'_>, Malformed> {
    let attribute = name(reader.octets()?);
    let value = Cow::Borrowed(reader.octets()?);
    reader.finish_extensible(0)?;
    Ok(Assertion { attribute, value })
}

/// SubstringFilter: `initial` may only stand first, `final` only last, and there is at least one part.
///
/// An empty part constrains nothing (some clients send `(cn=*ann**)` as three parts): it is left out, and what has
/// only such parts asks for presence, as in the text form.
fn substrings(mut reader: Reader<'_>) -> Result<Filter<'_>, Malformed> {
    let attribute = name(reader.octets()?);
    let mut parts = reader.enter(ber::SEQUENCE)?;
    reader.finish_extensible(0)?;
    if parts.is_empty() {
        return Err(Malformed::protocol("a substring filter without substrings"));
    }
    let (mut initial, mut any, mut last) = (None, Vec::new(), None);
    let (mut count, mut ended) = (0, false);
    while !parts.is_empty() {
        let (tag, content) = parts.element()?;
        let is_first = count == 0;
        count += 1;
        if count > SUBSTRING_PARTS_MAX {
            return Err(Malformed::protocol(format!("a substring filter of more than {SUBSTRING_PARTS_MAX} parts")));
        }
        let part = (!content.is_empty()).then_some(Cow::Borrowed(content));
        match tag {
            INITIAL if is_first => initial = part,
            ANY if !ended => any.extend(part),
            FINAL if !ended => (last, ended) = (part, true),
            _ => return Err(Malformed::protocol("the parts of a substring filter are out of order")),
        }
    }
    if initial.is_none() && any.is_empty() && last.is_none() {
        return Ok(Filter::Present(attribute));
    }
    Ok(Filter::Substrings(Substrings { attribute, initial, any, last }))
}

/// MatchingRuleAssertion: the value must be there, and a rule or an attribute.
fn extensible(mut reader: Reader<'_>) -> Result<Extensible<'_>, Malformed> {
    let rule = reader.optional(ber::context(1))?.map(name);
    let attribute = reader.optional(ber::context(2))?.map(name);
    let Some(value) = reader.optional(ber::context(3))? else {
        return Err(Malformed::protocol("an extensible filter without a value"));
    };
    let dn_attributes = reader.optional(ber::context(4))?.map(ber::boolean).transpose()?.unwrap_or(false);
    reader.finish_extensible(5)?;
    if rule.is_none() && attribute.is_none() {
        return Err(Malformed::protocol("an extensible filter with neither rule nor attribute"));
    }
    Ok(Extensible { rule, attribute, value: Cow::Borrowed(value), dn_attributes })
}
