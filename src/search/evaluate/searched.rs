//! Members that groups find by search (`dynamic`), as values of their `member` in filters of clients.

use super::{Judge, any_holds};
use crate::dit::{Entry, View};
use crate::search::SearchError;
use crate::search::assertion::Test;
use crate::search::compile::Leaf;
use crate::search::dynamic::{has_any, has_member, is_group, searched_members};
use crate::search::evaluate::{AllSearchable, AttributeGate, Truth};

impl Judge {
    /// What the item says of the entry where it says `stored` of the values that the entry has.
    pub(super) fn with_searched<'t>(
        &mut self,
        leaf: &Leaf,
        view: View<'t>,
        entry: &Entry<'t>,
        gate: Option<&dyn AttributeGate>,
        stored: Truth,
    ) -> Result<Truth, SearchError> {
        let Some(member) = leaf.searched.filter(|_| stored != Truth::True && is_group(view, entry)) else {
            return Ok(stored);
        };
        if gate.is_some_and(|gate| !gate.searchable(entry, member)) {
            return Ok(Truth::Undefined);
        }
        let truth = match &leaf.test {
            Test::Always => Truth::True,
            Test::Present => Truth::from(has_any(view, entry, gate.unwrap_or(&AllSearchable))?),
            Test::Chain { .. } => self.chain(leaf, view, entry, gate)?,
            Test::Names { dn, .. } => {
                let target = self.target(leaf, dn, view)?;
                match target.map(|target| view.entry(target.id)).transpose()?.flatten() {
                    Some(target) if gate.is_none_or(|gate| gate.knows(&target)) => {
                        Truth::from(has_member(view, entry, &target)?)
                    }
                    _ => Truth::False,
                }
            }
            test => {
                let names = searched_members(view, entry, gate.unwrap_or(&AllSearchable))?;
                any_holds(test, view.catalog().schema(), names.iter().map(Vec::as_slice), &mut self.buffer)
            }
        };
        Ok(if truth == Truth::False { stored } else { truth })
    }
}
