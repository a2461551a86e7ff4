//! How an entry that was found is sent: its name, the attributes chosen, and what goes with it.

use crate::dit::{Catalog, Entry, View};
use crate::operation::access::{Access, Granted};
use crate::operation::outcome::Outcome;
use crate::operation::selection::Selection;
use crate::wire::{ResponseControl, SearchEntry};

/// See the module.
pub(in crate::operation) struct Form {
    pub(super) selection: Selection,
    name: Vec<u8>,
}

impl Form {
    pub(super) fn new(selection: Selection) -> Self {
        Self { selection, name: Vec::with_capacity(96) }
    }

    /// Takes in what the catalog has learned since; to be called with every new snapshot.
    pub(super) fn renew(&mut self, catalog: &Catalog) {
        self.selection.renew(catalog);
    }

    /// Appends the entry as a message, `control` with it. `granted`: what of it may be read.
    pub(super) fn send<'v>(
        &mut self,
        view: View<'v>,
        _access: &Access<'v>,
        entry: &Entry<'v>,
        granted: &Granted,
        id: i32,
        control: Option<ResponseControl>,
        out: &mut Vec<u8>,
    ) -> Outcome<()> {
        self.name.clear();
        view.write_dn(entry, &mut self.name)?;
        let mut pdu = SearchEntry::begin(out, id, &self.name);
        self.selection.write(view, entry, granted, &mut pdu)?;
        pdu.finish(control.as_slice());
        Ok(())
    }
}
