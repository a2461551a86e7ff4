//! SearchRequest (RFC 4511 4.5.1).

use crate::model::{DerefAliases, Filter, Scope};

use super::ber::{self, Reader};
use super::error::Malformed;
use super::filter;
use super::request::{dn_text, text};

/// Most attributes a search may ask for: every type of a large schema fits.
pub const SEARCH_ATTRIBUTES_MAX: usize = 4_096;

/// A search (RFC 4511 4.5.1).
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRequest<'a> {
    /// Name of the base entry; empty for the root DSE.
    pub base: &'a str,
    /// How far below the base.
    pub scope: Scope,
    /// Which aliases are followed.
    pub deref: DerefAliases,
    /// Most entries wanted; 0: no limit asked for.
    pub size_limit: u32,
    /// Most seconds to spend; 0: no limit asked for.
    pub time_limit: u32,
    /// Whether names without values are wanted.
    pub types_only: bool,
    /// Which entries.
    pub filter: Filter<'a>,
    /// Attributes wanted, as spelled; `""` stands for one that is not UTF-8, so that a list of unknown attributes
    /// never becomes the empty list, which means all.
    pub attributes: Vec<&'a str>,
}

impl<'a> SearchRequest<'a> {
    #[inline]
    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let base = reader.octets()?;
        let scope = reader.enumerated()?;
        let deref = reader.enumerated()?;
        let size_limit = reader.integer()?;
        let time_limit = reader.integer()?;
        let types_only = reader.boolean()?;
        let filter = filter::decode(&mut reader)?;
        let attributes = attribute_selection(reader.enter(ber::SEQUENCE)?)?;
        reader.finish_extensible(0)?;
        Ok(Self {
            base: dn_text(base)?,
            scope: u32::try_from(scope)
                .ok()
                .and_then(Scope::from_number)
                .ok_or_else(|| Malformed::protocol(format!("search scope {scope} is not known")))?,
            deref: u32::try_from(deref)
                .ok()
                .and_then(DerefAliases::from_number)
                .ok_or_else(|| Malformed::protocol(format!("alias dereferencing {deref} is not known")))?,
            size_limit: limit("size", size_limit)?,
            time_limit: limit("time", time_limit)?,
            types_only,
            filter,
            attributes,
        })
    }
}

/// INTEGER (0 .. maxInt).
fn limit(name: &str, value: i64) -> Result<u32, Malformed> {
    i32::try_from(value)
        .and_then(u32::try_from)
        .map_err(|_| Malformed::protocol(format!("{name} limit {value} is not between 0 and 2147483647")))
}

/// AttributeSelection: also the value of the read entry controls.
pub(super) fn attribute_selection(mut reader: Reader<'_>) -> Result<Vec<&str>, Malformed> {
    // A guess that mostly saves the second allocation, and never exceeds three times the bytes.
    let mut attributes = Vec::with_capacity((reader.rest().len() / 6).min(SEARCH_ATTRIBUTES_MAX));
    while !reader.is_empty() {
        if attributes.len() == SEARCH_ATTRIBUTES_MAX {
            return Err(Malformed::protocol(format!("more than {SEARCH_ATTRIBUTES_MAX} attributes are asked for")));
        }
        attributes.push(text(reader.octets()?).unwrap_or(""));
    }
    Ok(attributes)
}
