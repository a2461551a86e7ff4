//! Which entries a subentry speaks of: `subtreeSpecification` (RFC 3672 2.1, in the string form of appendix A), resolved
//! in one snapshot.
//!
//! A subtree begins at the administrative point, which is the superior of the subentry, or at `base` below it; it may be
//! cut off (chopBefore, chopAfter, minimum, maximum) and refined by object class. Subentries are never in it.

use super::SearchError;
use super::compile::CompiledFilter;
use super::evaluate::{AllSearchable, evaluate};
use crate::dit::{Entry, View};
use crate::model::{Assertion, Dn, Filter};
use crate::storage::{ENTRY_SUBENTRY, EntryId};
use std::borrow::Cow;

/// Longest text that is read, in bytes.
const TEXT_BYTES_MAX: usize = 16_384;
/// Depth of a refinement.
const DEPTH_MAX: usize = 16;

/// A specification as it is written: names are relative to the administrative point, those of exclusions to the base.
#[derive(Debug, Default)]
pub(super) struct SubtreeSpecification {
    base: Option<Dn>,
    chop_before: Vec<Dn>,
    chop_after: Vec<Dn>,
    minimum: usize,
    maximum: Option<usize>,
    refinement: Option<Filter<'static>>,
}

/// The entries that it means.
#[derive(Clone, Debug)]
pub(super) struct Area {
    base: EntryId,
    chop_before: Vec<EntryId>,
    chop_after: Vec<EntryId>,
    minimum: usize,
    maximum: Option<usize>,
    refinement: Option<CompiledFilter>,
}

impl SubtreeSpecification {
    /// Reads the text; `None` when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let mut reader = Reader(text);
        let mut read = Self::default();
        reader.expect("{")?;
        if reader.take("}") {
            return reader.is_at_end().then_some(read);
        }
        loop {
            match reader.word() {
                "base" => read.base = Some(reader.name()?),
                "specificExclusions" => reader.exclusions(&mut read)?,
                "minimum" => read.minimum = reader.word().parse().ok()?,
                "maximum" => read.maximum = Some(reader.word().parse().ok()?),
                "specificationFilter" => read.refinement = Some(reader.refinement(DEPTH_MAX)?),
                _ => return None,
            }
            if !reader.take(",") {
                break;
            }
        }
        reader.expect("}")?;
        reader.is_at_end().then_some(read)
    }

    /// The area below the administrative point `point`; `None` when there is nothing of its base.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub(super) fn resolve(&self, view: View<'_>, point: EntryId) -> Result<Option<Area>, SearchError> {
        let Some(point) = view.dn_text(point)?.and_then(|text| Dn::parse(&text).ok()) else { return Ok(None) };
        let below = |above: &Dn, local: &Dn| Dn::from_rdns(local.rdns().iter().chain(above.rdns()).cloned().collect());
        let base = self.base.as_ref().map_or_else(|| point.clone(), |local| below(&point, local));
        let Some(id) = view.resolve(&base)?.entry else { return Ok(None) };
        let ids = |names: &[Dn]| -> Result<Vec<EntryId>, SearchError> {
            let mut ids = Vec::with_capacity(names.len());
            for name in names {
                ids.extend(view.resolve(&below(&base, name))?.entry);
            }
            Ok(ids)
        };
        let schema = view.catalog().schema();
        Ok(Some(Area {
            base: id,
            chop_before: ids(&self.chop_before)?,
            chop_after: ids(&self.chop_after)?,
            minimum: self.minimum,
            maximum: self.maximum,
            refinement: self.refinement.as_ref().map(|filter| CompiledFilter::compile(schema, filter)),
        }))
    }
}

impl Area {
    /// The entry at which it begins.
    pub(super) fn base(&self) -> EntryId {
        self.base
    }

    /// Whether an entry is in it. `above`: its superiors, the nearest first.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub(super) fn has(&self, view: View<'_>, entry: &Entry<'_>, above: &[EntryId]) -> Result<bool, SearchError> {
        if entry.record.flags() & ENTRY_SUBENTRY != 0 {
            return Ok(false);
        }
        let depth = if entry.id == self.base {
            0
        } else {
            match above.iter().position(|id| *id == self.base) {
                Some(at) => at + 1,
                None => return Ok(false),
            }
        };
        if depth < self.minimum || self.maximum.is_some_and(|maximum| depth > maximum) {
            return Ok(false);
        }
        let path = above.get(..depth).unwrap_or_default();
        if self.chop_before.contains(&entry.id)
            || path.iter().any(|id| self.chop_before.contains(id) || self.chop_after.contains(id))
        {
            return Ok(false);
        }
        match &self.refinement {
            Some(refinement) => Ok(evaluate(refinement, view, entry, &AllSearchable)?.is_true()),
            None => Ok(true),
        }
    }
}

/// What is left of the text.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn take(&mut self, token: &str) -> bool {
        self.0 = self.0.trim_start();
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Option<()> {
        self.take(token).then_some(())
    }

    fn is_at_end(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// Letters, digits, dots and hyphens.
    fn word(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c))).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        word
    }

    /// A name between quotation marks; one within is doubled.
    fn name(&mut self) -> Option<Dn> {
        self.expect("\"")?;
        let mut name = String::new();
        loop {
            let (part, rest) = self.0.split_once('"')?;
            name.push_str(part);
            self.0 = rest;
            match rest.strip_prefix('"') {
                Some(rest) => {
                    name.push('"');
                    self.0 = rest;
                }
                None => return Dn::parse(&name).ok(),
            }
        }
    }

    fn exclusions(&mut self, read: &mut SubtreeSpecification) -> Option<()> {
        self.expect("{")?;
        if self.take("}") {
            return Some(());
        }
        loop {
            let names = match self.word() {
                "chopBefore" => &mut read.chop_before,
                "chopAfter" => &mut read.chop_after,
                _ => return None,
            };
            self.expect(":")?;
            names.push(self.name()?);
            if !self.take(",") {
                return self.expect("}");
            }
        }
    }

    fn refinement(&mut self, depth: usize) -> Option<Filter<'static>> {
        let depth = depth.checked_sub(1)?;
        let kind = self.word();
        self.expect(":")?;
        Some(match kind {
            "item" => {
                let class = self.word();
                if class.is_empty() {
                    return None;
                }
                let value = Cow::Owned(class.as_bytes().to_vec());
                Filter::Equality(Assertion { attribute: Cow::Borrowed("objectClass"), value })
            }
            "not" => Filter::Not(Box::new(self.refinement(depth)?)),
            "and" => Filter::And(self.refinements(depth)?),
            "or" => Filter::Or(self.refinements(depth)?),
            _ => return None,
        })
    }

    fn refinements(&mut self, depth: usize) -> Option<Vec<Filter<'static>>> {
        self.expect("{")?;
        let mut list = Vec::new();
        if self.take("}") {
            return Some(list);
        }
        loop {
            list.push(self.refinement(depth)?);
            if !self.take(",") {
                self.expect("}")?;
                return Some(list);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications_are_read_as_rfc_3672_writes_them() {
        let read = SubtreeSpecification::parse(
            r#"{ base "ou=people", specificExclusions { chopBefore:"ou=x", chopAfter:"cn=a\""b" }, minimum 1, maximum 4,
                specificationFilter and:{ item:person, not:or:{ item:2.5.6.14, item:room } } }"#,
        )
        .unwrap();
        assert_eq!((read.base.unwrap().to_string(), read.minimum, read.maximum), ("ou=people".to_owned(), 1, Some(4)));
        assert_eq!((read.chop_before.len(), read.chop_after.len()), (1, 1));
        let text = read.refinement.unwrap().to_string();
        assert_eq!(text, "(&(objectClass=person)(!(|(objectClass=2.5.6.14)(objectClass=room))))");
        assert!(SubtreeSpecification::parse("{}").is_some() && SubtreeSpecification::parse(" { } ").is_some());
    }

    #[test]
    fn what_is_no_specification_is_none() {
        let deep = format!("{{ specificationFilter {}item:a }}", "not:".repeat(40));
        for text in
            ["", "{", "{}x", "{ base ou=x }", "{ minimum x }", "{ base \"ou=x\" maximum 1 }", "{ other 1 }", &deep]
        {
            assert!(SubtreeSpecification::parse(text).is_none(), "{text}");
        }
    }
}
