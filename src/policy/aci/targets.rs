//! Targets that are lists: values that may be written (`targattrfilters`), controls (`targetcontrol`) and extended
//! operations (`extop`).

use super::parse::{Value, trim};
use super::{AciError, values};
use crate::model::Filter;
use crate::model::attribute::is_attribute_type;

/// Most attributes in one `targattrfilters`, and most OIDs in a list.
const ITEMS_MAX: usize = 64;

/// `(targattrfilters = "add=ATTRIBUTE:FILTER && …, del=ATTRIBUTE:FILTER && …")`
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ValueFilters {
    /// For values that come, and for entries that are added.
    pub add: Vec<ValueFilter>,
    /// For values that go, and for entries that are deleted.
    pub delete: Vec<ValueFilter>,
}

/// Which values of an attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValueFilter {
    /// The attribute as spelled.
    pub attribute: String,
    /// A filter that parses and names this attribute alone, as spelled.
    pub filter: String,
}

/// `(targetcontrol = "OID || OID")` and `(extop = "OID || OID")`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OidList {
    /// Written with `!=`: all but these.
    pub negated: bool,
    /// At least one; `*` is every one.
    pub oids: Vec<String>,
}

impl OidList {
    /// Whether the list is about this OID.
    pub fn covers(&self, oid: &str) -> bool {
        self.oids.iter().any(|listed| listed == "*" || listed == oid) != self.negated
    }
}

const FORM: &str = "add=ATTRIBUTE:(FILTER) && …, del=ATTRIBUTE:(FILTER) && …";

/// The attribute names that a filter asks for; `None` for an item that names no attribute.
fn names_in<'f>(filter: &'f Filter<'_>, names: &mut Vec<&'f str>) -> Option<()> {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().try_for_each(|part| names_in(part, names)),
        Filter::Not(inner) => names_in(inner, names),
        Filter::Equality(assertion)
        | Filter::GreaterOrEqual(assertion)
        | Filter::LessOrEqual(assertion)
        | Filter::Approx(assertion) => {
            names.push(&assertion.attribute);
            Some(())
        }
        Filter::Substrings(substrings) => {
            names.push(&substrings.attribute);
            Some(())
        }
        Filter::Present(name) => {
            names.push(name);
            Some(())
        }
        Filter::Extensible(extensible) => {
            names.push(extensible.attribute.as_ref()?);
            Some(())
        }
    }
}

/// One filter from the start of the text, and what follows it.
fn take_filter(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with('(') {
        return None;
    }
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(text.split_at(at + 1));
        }
    }
    None
}

/// Reads the value of `targattrfilters`.
pub(super) fn value_filters(value: &Value) -> Result<ValueFilters, AciError> {
    let expected = |found: &str| {
        let shown: String = found.chars().take(24).collect();
        value.error(format!("expected {FORM}; found '{shown}'"))
    };
    let mut read = ValueFilters::default();
    let mut rest = trim(&value.text);
    while !rest.is_empty() {
        let (word, after) = rest.split_once('=').ok_or_else(|| expected(rest))?;
        let list = match word.trim().to_ascii_lowercase().as_str() {
            "add" => &mut read.add,
            "del" | "delete" => &mut read.delete,
            _ => return Err(expected(rest)),
        };
        if !list.is_empty() {
            return Err(value.error(format!("{} stands twice; join the filters with &&", word.trim())));
        }
        rest = after;
        loop {
            let (name, after) = rest.split_once(':').ok_or_else(|| expected(rest))?;
            let name = name.trim();
            if !is_attribute_type(name.as_bytes()) {
                return Err(value.error(format!("'{name}' is not an attribute name")));
            }
            let (filter, after) = take_filter(after.trim_start()).ok_or_else(|| expected(after))?;
            list.push(value_filter(name, filter, value)?);
            if list.len() > ITEMS_MAX {
                return Err(value.error(format!("more than {ITEMS_MAX} attributes")));
            }
            rest = after.trim_start();
            match rest.strip_prefix("&&") {
                Some(after) => rest = after,
                None => break,
            }
        }
        rest = match rest.strip_prefix([',', ';']) {
            Some(after) => after.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(expected(rest)),
        };
    }
    if read.add.is_empty() && read.delete.is_empty() { Err(expected("")) } else { Ok(read) }
}

fn value_filter(attribute: &str, text: &str, value: &Value) -> Result<ValueFilter, AciError> {
    let filter = values::filter(text, value.offset)?;
    let is_plain = Filter::parse(&filter).is_ok_and(|parsed| {
        let mut names = Vec::new();
        names_in(&parsed, &mut names).is_some() && names.iter().all(|name| name.eq_ignore_ascii_case(attribute))
    });
    if !is_plain {
        let detail =
            format!("the filter {text} must be about {attribute}, whose values it is to judge, and nothing else");
        return Err(value.error(detail));
    }
    Ok(ValueFilter { attribute: attribute.to_owned(), filter })
}

/// Reads a list of OIDs.
pub(super) fn oids(negated: bool, value: &Value) -> Result<OidList, AciError> {
    let oids: Vec<String> = value.text.split("||").map(|oid| oid.trim().to_owned()).collect();
    let is_oid = |oid: &str| {
        let is_arc = |arc: &str| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
        oid == "*" || oid.contains('.') && oid.split('.').all(is_arc)
    };
    if let Some(wrong) = oids.iter().find(|oid| !is_oid(oid)) {
        return Err(value.error(format!("'{wrong}' is no OID; write 1.2.840.113556.1.4.319, joined by ||, or *")));
    }
    if oids.len() > ITEMS_MAX {
        return Err(value.error(format!("more than {ITEMS_MAX} OIDs")));
    }
    Ok(OidList { negated, oids })
}
