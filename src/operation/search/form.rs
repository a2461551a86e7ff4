//! How an entry that was found is sent: its name, the attributes chosen, and what goes with it.

use super::dereference::Dereferencer;
use super::effective_rights::RightsOf;
use super::values::ValuesFilter;
use crate::dit::{Catalog, Entry, View};
use crate::operation::access::{Access, Granted};
use crate::operation::control::RequestControls;
use crate::operation::outcome::Outcome;
use crate::operation::selection::Selection;
use crate::operation::virtual_entry::VirtualEntry;
use crate::operation::{Directory, Session};
use crate::wire::control::DEREFERENCE;
use crate::wire::{ResponseControl, SearchEntry};

/// Where and for whom entries are looked at in one step.
pub(in crate::operation) struct Looking<'s, 'v> {
    pub(in crate::operation) directory: &'s Directory,
    pub(in crate::operation) view: View<'v>,
    pub(in crate::operation) access: &'s Access<'v>,
    /// The message that answers belong to.
    pub(in crate::operation) id: i32,
}

/// What goes with entries besides their attributes.
#[derive(Default)]
struct Extras {
    dereferencer: Option<Dereferencer>,
    rights: Option<RightsOf>,
    usability: bool,
}

/// See the module.
pub(in crate::operation) struct Form {
    pub(super) selection: Selection,
    name: Vec<u8>,
    /// None for most searches.
    extras: Option<Box<Extras>>,
}

impl Form {
    pub(super) fn new(
        directory: &Directory,
        catalog: &Catalog,
        session: &Session,
        mut selection: Selection,
        controls: &RequestControls,
    ) -> Outcome<Self> {
        if let Some(items) = &controls.matched_values {
            selection.only_values(ValuesFilter::new(catalog.schema(), items));
        }
        let dereferencer = match &controls.dereference {
            Some(wanted) => Dereferencer::new(catalog, wanted, controls.is_critical(DEREFERENCE))?,
            None => None,
        };
        let rights = match &controls.effective_rights {
            Some(wanted) => Some(RightsOf::new(directory, catalog, session, wanted)?),
            None => None,
        };
        let usability = controls.account_usability;
        let has_extras = dereferencer.is_some() || rights.is_some() || usability;
        let extras = has_extras.then(|| Box::new(Extras { dereferencer, rights, usability }));
        Ok(Self { selection, name: Vec::with_capacity(96), extras })
    }

    /// Takes in what the catalog has learned since; to be called with every new snapshot.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn renew(&mut self, view: View<'_>) -> Outcome<()> {
        self.selection.renew(view)?;
        if let Some(dereferencer) = self.extras.as_mut().and_then(|extras| extras.dereferencer.as_mut()) {
            dereferencer.renew(view)?;
        }
        Ok(())
    }

    /// Appends the entry as a message, `control` with it. `granted`: what of it may be read.
    pub(in crate::operation) fn send<'v>(
        &mut self,
        at: &Looking<'_, 'v>,
        entry: &Entry<'v>,
        granted: &Granted,
        control: Option<ResponseControl>,
        out: &mut Vec<u8>,
    ) -> Outcome<()> {
        self.name.clear();
        at.view.write_dn(entry, &mut self.name)?;
        self.send_named(at, entry, granted, control, out)
    }

    /// [`Form::send`] under a name that the entry had before.
    pub(in crate::operation) fn send_under<'v>(
        &mut self,
        name: &str,
        at: &Looking<'_, 'v>,
        (entry, granted): (&Entry<'v>, &Granted),
        control: Option<ResponseControl>,
        out: &mut Vec<u8>,
    ) -> Outcome<()> {
        self.name.clear();
        self.name.extend_from_slice(name.as_bytes());
        self.send_named(at, entry, granted, control, out)
    }

    /// Appends an entry that is not in the tree: as the requester is told it.
    pub(in crate::operation) fn send_told(
        &self,
        at: &Looking<'_, '_>,
        entry: &VirtualEntry,
        control: Option<ResponseControl>,
        out: &mut Vec<u8>,
    ) -> Outcome<()> {
        let mut controls: Vec<ResponseControl> = control.into_iter().collect();
        let extras = self.extras.as_deref();
        if let Some(dereferencer) = extras.and_then(|extras| extras.dereferencer.as_ref()) {
            controls.extend(dereferencer.response_told(at, &entry.attributes)?);
        }
        let mut pdu = SearchEntry::begin(out, at.id, entry.dn.as_bytes());
        self.selection.write_attributes(at.view.catalog().schema(), &entry.attributes, &mut pdu);
        if let Some(rights) = extras.and_then(|extras| extras.rights.as_ref()) {
            rights.write_told(at, entry, &self.selection, &mut pdu)?;
        }
        pdu.finish(&controls);
        Ok(())
    }

    fn send_named<'v>(
        &mut self,
        at: &Looking<'_, 'v>,
        entry: &Entry<'v>,
        granted: &Granted,
        control: Option<ResponseControl>,
        out: &mut Vec<u8>,
    ) -> Outcome<()> {
        if self.selection.wants_policy() {
            self.selection.show_policy(at.directory.policy_name(at.view, entry)?);
        }
        let Some(extras) = &self.extras else {
            let mut pdu = SearchEntry::begin(out, at.id, &self.name);
            self.selection.write(at.view, entry, (at.access, granted), &mut pdu)?;
            pdu.finish(control.as_slice());
            return Ok(());
        };
        let mut controls: Vec<ResponseControl> = control.into_iter().collect();
        if let Some(dereferencer) = &extras.dereferencer {
            controls.extend(dereferencer.response(at, entry, granted)?);
        }
        if extras.usability {
            controls.extend(at.directory.usability(at.view, at.access, entry)?.map(|usability| usability.control()));
        }
        let mut pdu = SearchEntry::begin(out, at.id, &self.name);
        self.selection.write(at.view, entry, (at.access, granted), &mut pdu)?;
        if let Some(rights) = &extras.rights {
            rights.write(at, entry, &self.selection, &mut pdu)?;
        }
        pdu.finish(&controls);
        Ok(())
    }
}
