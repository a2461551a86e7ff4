//! Who may change what: the questions that an add, delete, modify and modify DN ask of the rules.

use super::Access;
use super::facts::{OwnFacts, ProspectiveEntry, TreeEntry};
use crate::dit::Entry;
use crate::model::{Attribute, Dn};
use crate::operation::outcome::{OperationError, Outcome};
use crate::policy::access::{AccessContext, Explanation, Move, MovePlace, MoveVerdict, ValueChange};
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use crate::storage::EntryId;

/// What of an attribute is written.
#[derive(Clone, Copy, Debug)]
pub(in crate::operation) enum Written<'v> {
    /// Any value.
    Every,
    /// These values come.
    Added(&'v [Vec<u8>]),
    /// These values go, by name.
    Deleted(&'v [Vec<u8>]),
    /// Those that are there go, and these come in their place.
    Replaced(&'v [Vec<u8>]),
}

impl Access<'_> {
    /// Whether an entry may be added. `superior`: where; `None` for a new suffix, which is the administrator's.
    pub fn may_add(&self, dn: &Dn, superior: Option<EntryId>, attributes: &[Attribute]) -> bool {
        self.granted_new(dn, superior, attributes, Right::Add).for_entry()
    }

    /// Whether the entry may be deleted.
    pub fn may_delete(&self, entry: &Entry<'_>) -> bool {
        self.granted(entry, Right::Delete).for_entry()
    }

    /// Whether the attribute may be written so. Where one may write some values only, each that comes or goes is judged;
    /// who may write nothing but the own name, may add and delete that.
    ///
    /// Cost: a look at the rules; with rules about values (`targattrfilters`) a look at each value that comes or goes.
    pub(in crate::operation) fn may_write(
        &self,
        entry: &Entry<'_>,
        attribute: AttributeTypeIndex,
        written: Written<'_>,
    ) -> bool {
        self.granted(entry, Right::Write).for_attribute(Some(attribute))
            || self.may_write_values(entry, attribute, written)
            || self.may_write_own_name(entry, attribute, written)
    }

    fn may_write_own_name(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex, written: Written<'_>) -> bool {
        let (Written::Added(values) | Written::Deleted(values)) = written else { return false };
        let Some(own) = self.decided.as_ref().and_then(|decided| decided.requester.dn_key()) else { return false };
        let schema = self.view.catalog().schema();
        let is_own = |value: &Vec<u8>| Dn::parse_bytes(value).is_ok_and(|dn| schema.dn_key(&dn) == own);
        self.granted(entry, Right::SelfWrite).for_attribute(Some(attribute)) && values.iter().all(is_own)
    }

    fn may_write_values(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex, written: Written<'_>) -> bool {
        let Some(decided) = &self.decided else { return true };
        let Ok(scope) = self.scope_of(decided, entry) else { return false };
        if !scope.access.asks_values() {
            return false;
        }
        let facts = TreeEntry { access: self, view: self.view, entry: *entry };
        let own = OwnFacts { decided, view: self.view };
        let mut decision = scope.access.entry(&facts, &own);
        let mut all = |values: &[Vec<u8>], comes: bool| {
            let change = |value| if comes { ValueChange::Add(value) } else { ValueChange::Delete(value) };
            values.iter().all(|value| decision.allows_value(attribute, change(value.as_slice())))
        };
        match written {
            Written::Every => false,
            Written::Added(values) => all(values, true),
            Written::Deleted(values) => all(values, false),
            Written::Replaced(values) => {
                self.held(entry, attribute).is_some_and(|held| all(&held, false)) && all(values, true)
            }
        }
    }

    /// The values of the attribute, with any options; `None` when they cannot be read.
    fn held(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex) -> Option<Vec<Vec<u8>>> {
        let mut held = Vec::new();
        for id in self.view.catalog().of_type(attribute) {
            if let Some(slice) = entry.attribute(*id) {
                held.extend(self.view.values(entry, &slice).ok()?);
            }
        }
        Some(held)
    }

    /// Whether the entry may be renamed where it is; its RDN's attributes are asked for apart ([`Self::may_write`]).
    pub fn may_rename(&self, entry: &Entry<'_>) -> bool {
        self.granted(entry, Right::Write).for_entry()
    }

    /// Whether the entry may be moved below `superior`, to be `dn` there: a rule about moves (`target_from`, `target_to`) says
    /// so, or it may leave (moddn or delete here), and may arrive (moddn or add there). `attributes`: those that it will have.
    pub fn may_move(&self, entry: &Entry<'_>, dn: &Dn, superior: EntryId, attributes: &[Attribute]) -> bool {
        match self.judged_move(entry, dn, superior, attributes) {
            Ok(MoveVerdict::Allowed) => return true,
            Ok(MoveVerdict::Denied) => return false,
            Ok(MoveVerdict::Unsaid) => {}
            Err(error) => {
                tracing::error!(%error, entry = entry.id.0, "a move could not be decided, and is denied");
                return false;
            }
        }
        let leaves = self.granted(entry, Right::ModDn).for_entry() || self.may_delete(entry);
        let arrives = || {
            self.granted_new(dn, Some(superior), attributes, Right::ModDn).for_entry()
                || self.may_add(dn, Some(superior), attributes)
        };
        leaves && arrives()
    }

    fn judged_move(
        &self,
        entry: &Entry<'_>,
        dn: &Dn,
        superior: EntryId,
        attributes: &[Attribute],
    ) -> Outcome<MoveVerdict> {
        let Some(decided) = &self.decided else { return Ok(MoveVerdict::Allowed) };
        let own = OwnFacts { decided, view: self.view };
        let context = AccessContext { requester: &decided.requester, time: decided.time };
        let compiler = &decided.book.compiler;
        self.with_move(entry, (dn, superior, attributes), |moving| compiler.judge_move(&context, &own, moving))
    }

    /// Why the entry may be moved so or not.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn explain_move(
        &self,
        entry: &Entry<'_>,
        (dn, superior, attributes): (&Dn, EntryId, &[Attribute]),
    ) -> Outcome<Option<Explanation>> {
        let Some(decided) = &self.decided else { return Ok(None) };
        let own = OwnFacts { decided, view: self.view };
        let context = AccessContext { requester: &decided.requester, time: decided.time };
        let compiler = &decided.book.compiler;
        let explain = |moving: &Move<'_>| compiler.explain_move(&context, &own, moving);
        self.with_move(entry, (dn, superior, attributes), explain).map(Some)
    }

    fn with_move<T>(
        &self,
        entry: &Entry<'_>,
        (dn, superior, attributes): (&Dn, EntryId, &[Attribute]),
        judge: impl FnOnce(&Move<'_>) -> T,
    ) -> Outcome<T> {
        let (Some(decided), Some(above)) = (&self.decided, self.view.entry(superior)?) else {
            return Err(OperationError::no_such_object(""));
        };
        let rules_at = |id| Ok::<_, OperationError>(decided.rules_at(self.holder_above(decided, id)?));
        let (rules_here, rules_there) = (rules_at(entry.id)?, rules_at(superior)?);
        let here = TreeEntry { access: self, view: self.view, entry: *entry };
        let above = TreeEntry { access: self, view: self.view, entry: above };
        let there = ProspectiveEntry { access: self, view: self.view, dn, superior, attributes };
        Ok(judge(&Move {
            leaves: MovePlace { entry: &here, rules: &rules_here },
            superior: MovePlace { entry: &above, rules: &rules_there },
            arrives: MovePlace { entry: &there, rules: &rules_there },
        }))
    }
}
