//! `targattrfilters`: which values may be written.
//!
//! As 389-DS has it: a value that is written must fit the filter that the list has for its attribute; then `targetattr`
//! is not asked. What the list does not name, `targetattr` says. An entry that is added (deleted) must fit with every
//! value of every attribute that the list for adding (deleting) names.

use super::EntryFacts;
use super::attribute_set::{AttributeSet, Universe};
use super::bind_rule::Verdict;
use crate::model::{Attribute, AttributeDescription, Filter};
use crate::policy::aci::{ValueFilter, ValueFilters};
use crate::policy::rights::Right;
use crate::schema::{AttributeTypeIndex, Schema};
use crate::search::{CompiledFilter, Truth, evaluate_attributes};
use std::sync::Arc;

/// A value that comes or goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueChange<'v> {
    /// It comes.
    Add(&'v [u8]),
    /// It goes.
    Delete(&'v [u8]),
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct ValueRules {
    add: Vec<ValueRule>,
    delete: Vec<ValueRule>,
    /// All attributes of both lists.
    pub(super) attributes: AttributeSet,
}

#[derive(Clone, Debug)]
struct ValueRule {
    attribute: AttributeTypeIndex,
    covered: AttributeSet,
    description: AttributeDescription,
    filter: Arc<CompiledFilter>,
}

impl ValueRule {
    fn new(
        schema: &Schema,
        universe: &Universe,
        written: &ValueFilter,
        problem: &mut dyn FnMut(String),
    ) -> Option<Self> {
        let Some(attribute) = schema.attribute_type(&written.attribute) else {
            problem(format!("targattrfilters names {}, which the schema does not know", written.attribute));
            return None;
        };
        let mut covered = universe.none.clone();
        Universe::insert_with_subtypes(&mut covered, attribute);
        // The parser has read it already.
        let filter = CompiledFilter::compile(schema, &Filter::parse(&written.filter).ok()?);
        let description = AttributeDescription::parse(&written.attribute).ok()?;
        Some(Self { attribute: attribute.index, covered, description, filter: Arc::new(filter) })
    }

    fn fits(&self, schema: &Schema, value: &[u8]) -> Verdict {
        let held = Attribute { description: self.description.clone(), values: vec![value.to_vec()] };
        match evaluate_attributes(&self.filter, schema, &[held]) {
            Truth::True => Some(true),
            Truth::False => Some(false),
            Truth::Undefined => None,
        }
    }
}

impl ValueRules {
    pub(super) fn new(
        schema: &Schema,
        universe: &Universe,
        written: &ValueFilters,
        problem: &mut dyn FnMut(String),
    ) -> Self {
        let mut list = |filters: &[ValueFilter]| -> Vec<ValueRule> {
            filters.iter().filter_map(|filter| ValueRule::new(schema, universe, filter, problem)).collect()
        };
        let (add, delete) = (list(&written.add), list(&written.delete));
        let mut attributes = universe.none.clone();
        add.iter().chain(&delete).for_each(|rule| attributes.add(&rule.covered));
        Self { add, delete, attributes }
    }

    /// Whether the entry may be added (deleted) as far as its values are asked; true for every other right.
    pub(super) fn entry_fits(&self, schema: &Schema, entry: &dyn EntryFacts, right: Right) -> Verdict {
        let rules = match right {
            Right::Add => &self.add,
            Right::Delete => &self.delete,
            _ => return Some(true),
        };
        let mut verdict = Some(true);
        for rule in rules {
            entry.values(0, schema.attribute_type_at(rule.attribute), &mut |value| {
                if verdict != Some(false) {
                    verdict = match rule.fits(schema, value) {
                        Some(true) => verdict,
                        other => other,
                    };
                }
            });
        }
        verdict
    }

    /// Whether the value fits; `None` when the list does not name its attribute.
    pub(super) fn value_fits(
        &self,
        schema: &Schema,
        attribute: AttributeTypeIndex,
        change: ValueChange<'_>,
    ) -> Option<Verdict> {
        let (rules, value) = match change {
            ValueChange::Add(value) => (&self.add, value),
            ValueChange::Delete(value) => (&self.delete, value),
        };
        let rule = rules.iter().find(|rule| rule.covered.contains(attribute.0 as usize))?;
        Some(rule.fits(schema, value))
    }
}
