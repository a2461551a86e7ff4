//! Who has a name when several entries have it.
//!
//! Masters that cannot talk to each other may give one name twice. The entries of one normalised RDN below one superior
//! are ordered: live before phantom, then by claim (the newest of birth, naming and placing; the older claim is first,
//! so that nobody takes a name that somebody has), then by entryUUID. The first has the name. The others keep theirs in
//! the state; they are shown with their entryUUID in the RDN, or not at all if they are dead, and what is below them is
//! shown below the first, where names may meet again. When the first goes, the next has the name in the same
//! transaction. Nothing of it is written to any state: it is the same on every master.
//!
//! An entry that leaves its place takes back at once what was decided below it together with others. So only entries at one
//! depth below a suffix ever stand for one another, and the way up in the view ends, whatever has still to be decided.
//!
//! Cost: nothing where a name is given once; for a name given again, the children of all but the largest of the group.

use super::adoption::Adopted;
use crate::dit::derive::name_key;
use crate::dit::{DitError, Mutant, Writing};
use crate::model::EntryUuid;
use crate::state::{Csn, EntryState, Stamp};
use crate::storage::{EntryId, Table, dn2id_key};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The order of those who have one name: the smallest has it.
type Claim = (bool, Csn, EntryUuid, Stamp);

struct Claimant {
    claim: Claim,
    id: EntryId,
    parent: EntryId,
}

impl Writing<'_> {
    /// After an entry came to a place or stayed there: asks for a decision where it is not alone.
    pub(super) fn ask_for_name(
        &mut self,
        id: EntryId,
        parent: EntryId,
        name: Vec<u8>,
        stays: bool,
    ) -> Result<(), DitError> {
        if self.is_bulk {
            return Ok(());
        }
        let undecided = if self.adoption.is_empty() {
            !stays && {
                let mut cursor = self.txn.reader().cursor(Table::Dn2Id)?;
                cursor.seek_exact(&dn2id_key(parent, &name))?.is_some() && cursor.next_duplicate()?.is_some()
            }
        } else {
            !stays || self.adoption.is_adopted(id) || self.adoption.has_losers(id)
        };
        if undecided {
            self.follow.names.push_back((parent, name));
        }
        Ok(())
    }

    /// The entry, which is no longer in the tree table at this place, has no part in its name any more.
    pub(super) fn give_up_name(&mut self, id: EntryId, parent: EntryId, name: &[u8]) -> Result<(), DitError> {
        let host = self.adoption.host(id);
        let group: Vec<EntryId> = self.adoption.group(host).collect();
        let undecided = std::mem::take(&mut self.follow.names);
        self.ask_for_children(&group, false)?;
        self.set_winner(id, None)?;
        // The others need a winner before anything reads a name through the old one.
        let rest: Vec<EntryId> = group.iter().copied().filter(|other| *other != id).collect();
        if host == id
            && let Some(next) = rest.first()
        {
            for other in &rest {
                let hidden_below = self.adoption.get(*other).and_then(|adopted| adopted.hidden_below);
                self.set_winner(*other, (other != next).then_some(Adopted { winner: *next, hidden_below }))?;
            }
        }
        let mut below = parent;
        for other in rest {
            let Some(entry) = self.view().entry(other)? else { continue };
            let uuid = entry.record.uuid();
            below = entry.record.parent();
            self.rules_changed = true;
            self.follow.look_at(other);
            self.follow.refer(uuid, false);
        }
        self.spell_anew(&group)?;
        self.decide_name(below, name)?;
        // What was one below them parts now, and what is below that, while the entry's record is the old one: at the new
        // place it may stand below one whose name is held by an entry below itself.
        while let Some((parent, name)) = self.follow.names.pop_front() {
            self.decide_name(parent, &name)?;
        }
        self.follow.names = undecided;
        Ok(())
    }

    /// Names of what is below these may be spelled otherwise, or have another superior.
    fn spell_anew(&mut self, group: &[EntryId]) -> Result<(), DitError> {
        for id in group {
            if self.view().own_subordinate_count(*id)? > 0 {
                self.naming_stamp += 1;
                break;
            }
        }
        Ok(())
    }

    /// Decides who has a name below `parent` and all that stand with it.
    pub(super) fn decide_name(&mut self, parent: EntryId, name: &[u8]) -> Result<(), DitError> {
        let mut claimants = self.claimants(parent, name)?;
        claimants.sort_unstable_by_key(|claimant| claimant.claim);
        let Some(winner) = claimants.first().map(|first| first.id) else { return Ok(()) };
        let mut changed = Vec::new();
        for Claimant { claim, id, parent } in &claimants {
            let adopted = (*id != winner).then_some(Adopted { winner, hidden_below: claim.0.then_some(*parent) });
            if self.adoption.get(*id) != adopted {
                changed.push((*id, adopted));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let group: BTreeSet<EntryId> = claimants.iter().map(|claimant| claimant.id).collect();
        self.ask_for_groups(&group)?;
        for (id, adopted) in &changed {
            self.set_winner(*id, *adopted)?;
        }
        self.rules_changed = true;
        self.spell_anew(&group.iter().copied().collect::<Vec<_>>())?;
        for claimant in &claimants {
            if let Some(state) = self.state(claimant.id)? {
                self.show_again(claimant.id, &state)?;
                self.follow.refer(state.uuid, false);
            }
        }
        Ok(())
    }

    fn claimants(&self, parent: EntryId, name: &[u8]) -> Result<Vec<Claimant>, DitError> {
        let view = self.view();
        let mut named = Vec::new();
        for parent in self.adoption.group(self.adoption.host(parent)) {
            let mut cursor = view.reader().cursor(Table::Dn2Id)?;
            let mut item = cursor.seek_exact(&dn2id_key(parent, name))?;
            while let Some((_, id)) = item {
                named.push((parent, EntryId::from_key(id)));
                item = cursor.next_duplicate()?;
            }
        }
        if let [(parent, id)] = named.as_slice() {
            // Alone: whatever the claim.
            let claim = (false, Csn::NONE, EntryUuid::NIL, Stamp::NONE);
            return Ok(vec![Claimant { claim, id: *id, parent: *parent }]);
        }
        let mut claimants = Vec::with_capacity(named.len());
        for (parent, id) in named {
            let Some(state) = self.state(id)? else { continue };
            let phantom = !self.stands_for_itself(id, &state)?;
            let mut claim = claim_of(&state, phantom);
            if self.dit().lacks(Mutant::NoCollisionOrder) {
                claim = (phantom, Csn::NONE, EntryUuid::NIL, Stamp::NONE);
            }
            claimants.push(Claimant { claim, id, parent });
        }
        Ok(claimants)
    }

    fn set_winner(&mut self, id: EntryId, adopted: Option<Adopted>) -> Result<(), DitError> {
        if self.adoption.get(id) == adopted {
            return Ok(());
        }
        self.forget_names();
        Arc::make_mut(&mut self.adoption).set(&mut self.txn, id, adopted)
    }

    /// Before entries become one group: names below them may meet, or part.
    fn ask_for_groups(&mut self, group: &BTreeSet<EntryId>) -> Result<(), DitError> {
        let mut before: Vec<Vec<EntryId>> = Vec::new();
        for id in group {
            if !before.iter().any(|class| class.contains(id)) {
                before.push(self.adoption.group(self.adoption.host(*id)).collect());
            }
        }
        for class in before.iter().filter(|class| class.iter().any(|id| !group.contains(id))) {
            self.ask_for_children(class, false)?;
        }
        if before.len() < 2 {
            return Ok(());
        }
        let mut sized = Vec::with_capacity(before.len());
        for class in before {
            let class: Vec<EntryId> = class.into_iter().filter(|id| group.contains(id)).collect();
            let mut count = 0;
            for id in &class {
                count += self.view().own_subordinate_count(*id)?;
            }
            sized.push((count, class));
        }
        sized.sort_unstable();
        sized.pop();
        for (_, class) in sized {
            self.ask_for_children(&class, true)?;
        }
        Ok(())
    }

    /// Asks for a decision on the names of children of `parents`: of all, or of those that have no name alone.
    fn ask_for_children(&mut self, parents: &[EntryId], all: bool) -> Result<(), DitError> {
        let view = self.view();
        let mut names = Vec::new();
        let few = self.adoption.len() as u64;
        for parent in parents {
            let is_concerned = |id: EntryId| self.adoption.is_adopted(id) || self.adoption.has_losers(id);
            let mut note = |id: EntryId| -> Result<(), DitError> {
                if let Some(entry) = view.entry(id)?.filter(|entry| entry.record.parent() == *parent) {
                    let name = name_key(view.catalog(), *parent, &String::from_utf8_lossy(entry.record.rdn()));
                    names.extend(parents.iter().map(|parent| (*parent, name.clone())));
                }
                Ok(())
            };
            if all || view.own_subordinate_count(*parent)? <= few {
                for child in view.own_children(*parent)? {
                    let child = child?;
                    if all || is_concerned(child) {
                        note(child)?;
                    }
                }
            } else {
                let concerned: BTreeSet<EntryId> =
                    self.adoption.iter().flat_map(|(loser, winner)| [loser, winner]).collect();
                concerned.into_iter().try_for_each(&mut note)?;
            }
        }
        self.follow.names.extend(names);
        Ok(())
    }
}

/// What an entry claims its name by.
pub(in crate::dit) fn claim_of(state: &EntryState, phantom: bool) -> Claim {
    let csn = state.parent.0.csn.max(state.rdn.0.csn).max(state.birth.csn);
    (phantom, csn, state.uuid, state.birth)
}
