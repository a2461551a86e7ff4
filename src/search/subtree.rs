//! Which entries a subentry speaks of: `subtreeSpecification` (RFC 3672 2.1, in the string form of appendix A), resolved
//! in one snapshot.
//!
//! A subtree begins at the administrative point, which is the superior of the subentry, or at `base` below it; it may be
//! cut off (chopBefore, chopAfter, minimum, maximum) and refined by object class. Subentries are never in it.

use super::SearchError;
use super::compile::CompiledFilter;
use super::evaluate::{AllSearchable, evaluate, evaluate_attributes};
use crate::dit::{Entry, View};
use crate::model::{Assertion, Attribute, Dn, EntryUuid, Filter};
use crate::schema::Schema;
use crate::storage::{ENTRY_SUBENTRY, EntryId};
use std::borrow::Cow;

/// Longest text that is read, in bytes.
const TEXT_BYTES_MAX: usize = 16_384;
/// Depth of a refinement.
const DEPTH_MAX: usize = 16;

/// A specification as it is written: names are relative to the administrative point, those of exclusions to the base.
#[derive(Debug, Default)]
pub struct SubtreeSpecification {
    base: Option<Dn>,
    chop_before: Vec<Dn>,
    chop_after: Vec<Dn>,
    minimum: usize,
    maximum: Option<usize>,
    refinement: Option<Filter<'static>>,
}

/// The entries that it means.
#[derive(Clone, Debug)]
pub struct Area {
    base: EntryId,
    chop_before: Vec<EntryId>,
    chop_after: Vec<EntryId>,
    minimum: usize,
    maximum: Option<usize>,
    refinement: Option<CompiledFilter>,
    /// Exclusions that name what is not there.
    unresolved: usize,
}

/// What is wrong with a text, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no subtree specification (RFC 3672): at byte {at}: {detail}, as in {{ base \"ou=people\", minimum 1 }}")]
pub struct SpecificationError {
    /// The first byte that is not understood.
    pub at: usize,
    /// What would be.
    pub detail: &'static str,
}

impl SubtreeSpecification {
    /// Reads the text.
    ///
    /// # Errors
    /// What was expected where.
    pub fn parse(text: &str) -> Result<Self, SpecificationError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(SpecificationError { at: TEXT_BYTES_MAX, detail: "the text is too long" });
        }
        let mut reader = Reader { rest: text, wants: "" };
        Self::read(&mut reader).ok_or_else(|| SpecificationError {
            at: text.len() - reader.rest.trim_start().len(),
            detail: if reader.wants.is_empty() { "expected the end" } else { reader.wants },
        })
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut read = Self::default();
        reader.expect("{")?;
        if reader.take("}") {
            return reader.end().map(|()| read);
        }
        loop {
            reader.wants = "expected base, specificExclusions, minimum, maximum or specificationFilter";
            let before = reader.rest;
            match reader.word() {
                "base" => read.base = Some(reader.name()?),
                "specificExclusions" => reader.exclusions(&mut read)?,
                "minimum" => read.minimum = reader.number()?,
                "maximum" => read.maximum = Some(reader.number()?),
                "specificationFilter" => read.refinement = Some(reader.refinement(DEPTH_MAX)?),
                _ => {
                    reader.rest = before;
                    return None;
                }
            }
            if !reader.take(",") {
                break;
            }
        }
        reader.expect("}")?;
        reader.end().map(|()| read)
    }

    /// The area below the administrative point `point`; `None` when there is nothing of its base.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn resolve(&self, view: View<'_>, point: EntryId) -> Result<Option<Area>, SearchError> {
        let Some(point) = view.dn_text(point)?.and_then(|text| Dn::parse(&text).ok()) else { return Ok(None) };
        let below = |above: &Dn, local: &Dn| Dn::from_rdns(local.rdns().iter().chain(above.rdns()).cloned().collect());
        let base = self.base.as_ref().map_or_else(|| point.clone(), |local| below(&point, local));
        let Some(id) = view.resolve(&base)?.entry else { return Ok(None) };
        let mut unresolved = 0;
        let mut ids = |names: &[Dn]| -> Result<Vec<EntryId>, SearchError> {
            let mut ids = Vec::with_capacity(names.len());
            for name in names {
                match view.resolve(&below(&base, name))?.entry {
                    Some(id) => ids.push(id),
                    None => unresolved += 1,
                }
            }
            Ok(ids)
        };
        let (chop_before, chop_after) = (ids(&self.chop_before)?, ids(&self.chop_after)?);
        let schema = view.catalog().schema();
        Ok(Some(Area {
            base: id,
            chop_before,
            chop_after,
            minimum: self.minimum,
            maximum: self.maximum,
            refinement: self.refinement.as_ref().map(|filter| CompiledFilter::compile(schema, filter)),
            unresolved,
        }))
    }
}

impl Area {
    /// The entry at which it begins.
    pub fn base(&self) -> EntryId {
        self.base
    }

    /// What the names in the specification mean now: an area without them has the same, or others have their names.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn named(&self, view: View<'_>) -> Result<Vec<EntryUuid>, SearchError> {
        let mut named = Vec::with_capacity(1 + self.chop_before.len() + self.chop_after.len());
        for id in std::iter::once(&self.base).chain(&self.chop_before).chain(&self.chop_after) {
            named.extend(view.entry(*id)?.map(|entry| entry.record.uuid()));
        }
        Ok(named)
    }

    /// Whether everything that the specification names is there; what is not may come, and is not in the area then.
    pub fn is_resolved(&self) -> bool {
        self.unresolved == 0
    }

    /// Whether an entry is in it. `above`: its superiors, the nearest first.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn has(&self, view: View<'_>, entry: &Entry<'_>, above: &[EntryId]) -> Result<bool, SearchError> {
        if entry.record.flags() & ENTRY_SUBENTRY != 0 || !self.reaches(Some(entry.id), above) {
            return Ok(false);
        }
        match &self.refinement {
            Some(refinement) => Ok(evaluate(refinement, view, entry, &AllSearchable)?.is_true()),
            None => Ok(true),
        }
    }

    /// The same of an entry that is about to be added. `above`: its superiors, the nearest first.
    pub fn will_have(&self, schema: &Schema, attributes: &[Attribute], above: &[EntryId]) -> bool {
        let refined = |filter: &CompiledFilter| evaluate_attributes(filter, schema, attributes).is_true();
        self.reaches(None, above) && self.refinement.as_ref().is_none_or(refined)
    }

    /// Whether an entry stands where it could be in it.
    fn reaches(&self, entry: Option<EntryId>, above: &[EntryId]) -> bool {
        let depth = if entry == Some(self.base) {
            0
        } else {
            match above.iter().position(|id| *id == self.base) {
                Some(at) => at + 1,
                None => return false,
            }
        };
        if depth < self.minimum || self.maximum.is_some_and(|maximum| depth > maximum) {
            return false;
        }
        let path = above.get(..depth).unwrap_or_default();
        !entry.is_some_and(|entry| self.chop_before.contains(&entry))
            && !path.iter().any(|id| self.chop_before.contains(id) || self.chop_after.contains(id))
    }
}

/// What is left of the text.
struct Reader<'a> {
    rest: &'a str,
    /// What has to come next, in words.
    wants: &'static str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &'static str) -> Option<()> {
        self.wants = match token {
            "{" => "expected {",
            "}" => "expected , or }",
            ":" => "expected :",
            _ => "expected a name between quotation marks",
        };
        self.take(token).then_some(())
    }

    fn end(&mut self) -> Option<()> {
        self.wants = "expected the end";
        self.rest.trim().is_empty().then_some(())
    }

    fn number(&mut self) -> Option<usize> {
        self.wants = "expected a number";
        let before = self.rest;
        let number = self.word().parse().ok();
        if number.is_none() {
            self.rest = before;
        }
        number
    }

    /// Letters, digits, dots and hyphens.
    fn word(&mut self) -> &'a str {
        let text = self.rest.trim_start();
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c))).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.rest = rest;
        word
    }

    /// A name between quotation marks; one within is doubled.
    fn name(&mut self) -> Option<Dn> {
        let before = self.rest;
        self.expect("\"")?;
        let mut name = String::new();
        loop {
            let (part, rest) = self.rest.split_once('"')?;
            name.push_str(part);
            self.rest = rest;
            match rest.strip_prefix('"') {
                Some(rest) => {
                    name.push('"');
                    self.rest = rest;
                }
                None => {
                    let name = Dn::parse(&name).ok();
                    if name.is_none() {
                        self.rest = before;
                    }
                    return name;
                }
            }
        }
    }

    fn exclusions(&mut self, read: &mut SubtreeSpecification) -> Option<()> {
        self.expect("{")?;
        if self.take("}") {
            return Some(());
        }
        loop {
            self.wants = "expected chopBefore or chopAfter";
            let before = self.rest;
            let names = match self.word() {
                "chopBefore" => &mut read.chop_before,
                "chopAfter" => &mut read.chop_after,
                _ => {
                    self.rest = before;
                    return None;
                }
            };
            self.expect(":")?;
            names.push(self.name()?);
            if !self.take(",") {
                return self.expect("}");
            }
        }
    }

    fn refinement(&mut self, depth: usize) -> Option<Filter<'static>> {
        self.wants = "the filter is nested too deeply";
        let depth = depth.checked_sub(1)?;
        self.wants = "expected item, and, or or not";
        let before = self.rest;
        let kind = self.word();
        if !["item", "and", "or", "not"].contains(&kind) {
            self.rest = before;
            return None;
        }
        self.expect(":")?;
        Some(match kind {
            "item" => {
                let class = self.word();
                if class.is_empty() {
                    self.wants = "expected an object class";
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
        assert!(SubtreeSpecification::parse("{}").is_ok() && SubtreeSpecification::parse(" { } ").is_ok());
    }

    /// Each is told with the byte at which it stops to be one.
    #[test]
    fn what_is_no_specification_is_said_with_the_place() {
        let deep = format!("{{ specificationFilter {}item:a }}", "not:".repeat(40));
        for (text, at, detail) in [
            ("", 0, "expected {"),
            ("{", 1, "expected base"),
            ("{}x", 2, "expected the end"),
            ("{ base ou=x }", 7, "between quotation marks"),
            ("{ base \"ou\" }", 7, "between quotation marks"),
            ("{ minimum x }", 10, "a number"),
            ("{ base \"ou=x\" maximum 1 }", 14, "expected , or }"),
            ("{ other 1 }", 2, "expected base"),
            ("{ specificExclusions { chop:\"ou=x\" } }", 23, "chopBefore or chopAfter"),
            ("{ specificationFilter all:{} }", 22, "item, and, or or not"),
            ("{ specificationFilter item: }", 28, "an object class"),
            (&deep, 86, "too deeply"),
        ] {
            let error = SubtreeSpecification::parse(text).unwrap_err();
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.to_string().contains(detail), "{text}: {error}");
        }
    }
}
