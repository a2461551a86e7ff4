//! To whom the entries that are not in the tree are told besides the administrator: cn=changelog, cn=conflicts, cn=deleted,
//! cn=lost+found and cn=monitor.
//!
//! They have no place in the tree, so no rule stands above them. Each has an attribute that stands for it
//! ([`Feed::marker`]), and a rule must name that attribute, as it must name passwords: whoever may read `*` is not told of
//! anything by that. What is about an entry is told to whom the rules let read the marker of that entry, where it stands or
//! stood, and with it only what may be read of that entry. What is about the server is told to whom the rules let read the
//! marker of a suffix.
//!
//! Invariants
//! - Who may read the marker of no suffix finds none of these entries, by search, compare and the root DSE.
//! - Nothing is changed through them but by the administrator (`update/resolve`).

use super::access::{Access, Granted};
use super::outcome::Outcome;
use super::{changelog, conflict_entry, deleted_entry, lost_entry, monitor};
use crate::dit::View;
use crate::model::{Attribute, Dn, EntryUuid};
use crate::policy::rights::Right;

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Feed {
    Changelog,
    Conflicts,
    Deleted,
    LostFound,
    Monitor,
}

impl Feed {
    /// The name of the entry above.
    pub(super) fn top(self) -> &'static str {
        match self {
            Self::Changelog => changelog::DN,
            Self::Conflicts => conflict_entry::DN,
            Self::Deleted => deleted_entry::DN,
            Self::LostFound => lost_entry::DN,
            Self::Monitor => monitor::DN,
        }
    }

    /// The attribute that a rule must name. Its definition has `X-SECRET`, so that no pattern names it.
    pub(super) fn marker(self) -> &'static str {
        match self {
            Self::Changelog => "changeNumber",
            Self::Conflicts => "conflictKind",
            Self::Deleted | Self::LostFound => "isDeleted",
            Self::Monitor => "monitoredInfo",
        }
    }

    /// Whether some of it may be told to the requester: it may read the marker of some suffix.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn is_for(self, view: View<'_>, access: &Access<'_>) -> Outcome<bool> {
        if access.is_administrator() {
            return Ok(true);
        }
        for suffix in view.suffixes()? {
            if let Some(entry) = view.entry(suffix)?
                && self.is_marked(view, &access.granted(&entry, Right::Read))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_marked(self, view: View<'_>, granted: &Granted) -> bool {
        let marker = view.catalog().schema().attribute_type(self.marker()).map(|found| found.index);
        marker.is_some() && granted.for_attribute(marker)
    }

    /// What the requester may read of the entry that something is about; `None` when it is not told of it. `name`, and
    /// `attributes` as far as they are known: of an entry that is not in the tree.
    ///
    /// # Errors
    /// Storage; invalidDNSyntax for a name that is none.
    pub(super) fn readable(
        self,
        view: View<'_>,
        access: &Access<'_>,
        uuid: EntryUuid,
        name: &str,
        attributes: &[Attribute],
    ) -> Outcome<Option<Granted>> {
        if access.is_administrator() {
            return Ok(Some(Granted::Everything));
        }
        let entry = view.by_uuid(uuid)?.map(|id| view.entry(id)).transpose()?.flatten();
        let granted = match entry {
            Some(entry) => access.granted(&entry, Right::Read),
            None => {
                let dn = Dn::parse(name)?;
                access.granted_new(&dn, view.resolve(&dn)?.matched, attributes, Right::Read)
            }
        };
        Ok(self.is_marked(view, &granted).then_some(granted))
    }
}

/// Takes out what may not be read of the entry that these attributes are of.
pub(super) fn keep_readable(view: View<'_>, granted: &Granted, attributes: &mut Vec<Attribute>) {
    let schema = view.catalog().schema();
    attributes.retain(|attribute| {
        let found = schema.attribute_type(attribute.description.name()).map(|found| found.index);
        granted.for_attribute(found)
    });
}
