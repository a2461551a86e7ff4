//! One run through what the old server says: what is to be written next, and who was mentioned, for at the end of a refresh
//! that does not name who is gone, all others are.

use super::apply::{Order, Store};
use super::consumer::Event;
use crate::cli::output::CliError;
use crate::model::{Dn, EntryUuid};
use hashbrown::HashSet;

/// What came and is not applied yet, and what was mentioned in this refresh.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) orders: Vec<Order>,
    mentioned: HashSet<EntryUuid>,
    is_refreshed: bool,
}

impl Pass {
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Put(incoming) => {
                if !self.is_refreshed {
                    self.mentioned.insert(incoming.uuid);
                }
                self.orders.push(Order::Put(incoming));
            }
            Event::Present(uuids) => self.mentioned.extend(uuids),
            Event::Gone(uuids) => self.orders.extend(uuids.into_iter().map(Order::Remove)),
            _ => {}
        }
    }

    pub(super) fn apply(&mut self, store: &mut Store) -> Result<(), CliError> {
        if self.orders.is_empty() { Ok(()) } else { store.apply(std::mem::take(&mut self.orders)) }
    }

    pub(super) fn refreshed(&mut self, store: &mut Store, base: &Dn, deletes: bool) -> Result<(), CliError> {
        self.apply(store)?;
        if !deletes {
            store.remove_others(base, &self.mentioned)?;
        }
        self.is_refreshed = true;
        self.mentioned = HashSet::new();
        Ok(())
    }
}
