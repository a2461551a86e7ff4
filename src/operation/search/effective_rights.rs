//! Effective rights: what somebody may do with each entry found, as attributes of it, in the letters of 389 Directory
//! Server.
//!
//! `entryLevelRights`: `v` see it, `a` add it, `d` delete it, `n` rename it. `attributeLevelRights`, for each attribute:
//! `r` read, `s` search, `c` compare, `w` add values, `o` take values away, `W` and `O` the same with one's own name only.
//! `none` where there is no right.

use super::form::Looking;
use crate::dit::{Catalog, Entry};
use crate::model::ResultCode;
use crate::operation::act_as::Identity;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::selection::Selection;
use crate::operation::{Directory, Session};
use crate::policy::requester::{Authentication, Requester, RequesterKind};
use crate::policy::rights::Right;
use crate::wire::SearchEntry;
use crate::wire::control::EffectiveRights;

/// See the module.
pub(in crate::operation) struct RightsOf {
    subject: Requester,
    /// Attributes wanted besides those that the search asks for.
    besides: Selection,
}

impl RightsOf {
    /// Whose rights are to be told. One may ask for one's own; the administrator for everybody's.
    ///
    /// # Errors
    /// insufficientAccessRights; noSuchObject where the subject is not there.
    pub(super) fn new(
        directory: &Directory,
        catalog: &Catalog,
        session: &Session,
        wanted: &EffectiveRights,
    ) -> Outcome<Self> {
        let own = &session.requester;
        let subject = match &wanted.subject {
            None => own.clone(),
            Some(authorization_id) => {
                let snapshot = directory.dit().read()?;
                let kind = match directory.identify(snapshot.view(), authorization_id.trim())? {
                    Identity::Anonymous => RequesterKind::Anonymous,
                    Identity::Entry(kind) => kind,
                    Identity::Administrator if own.is_administrator() => own.kind.clone(),
                    Identity::Administrator | Identity::Unknown if own.is_administrator() => {
                        return Err(OperationError::no_such_object(""));
                    }
                    Identity::Administrator | Identity::Unknown => return Err(not_yours()),
                };
                let authentication = match kind {
                    RequesterKind::Anonymous => Authentication::None,
                    _ => Authentication::Simple,
                };
                own.with_identity(kind, authentication)
            }
        };
        if !own.is_administrator() && (subject.entry_uuid() != own.entry_uuid() || own.is_anonymous()) {
            return Err(not_yours());
        }
        let besides = Selection::new(catalog, wanted.attributes.iter().map(String::as_str).chain([""]), false);
        Ok(Self { subject, besides })
    }

    /// Adds the rights to an entry that is being sent.
    pub(super) fn write<'v>(
        &self,
        at: &Looking<'_, 'v>,
        entry: &Entry<'v>,
        selection: &Selection,
        out: &mut SearchEntry<'_>,
    ) -> Outcome<()> {
        let access = at.directory.access(&self.subject, at.view)?;
        let granted = |right| access.granted(entry, right);
        let (read, search, compare) = (granted(Right::Read), granted(Right::Search), granted(Right::Compare));
        let (write, own_name) = (granted(Right::Write), granted(Right::SelfWrite));
        let of_entry = [
            ('v', access.is_visible(entry)),
            ('a', granted(Right::Add).for_entry()),
            ('d', granted(Right::Delete).for_entry()),
            ('n', write.for_entry()),
        ];
        out.attribute_values(b"entryLevelRights", [letters(&of_entry)]);
        let schema = at.view.catalog().schema();
        let mut names = selection.named_types(at.view, entry);
        names.extend(self.besides.named_types(at.view, entry));
        names.sort_by(|(left, _), (right, _)| left.cmp(right));
        names.dedup_by(|(_, left), (_, right)| left == right);
        let mut list = String::new();
        for (name, index) in names {
            let index = Some(index);
            let changes = !schema.attribute_type(&name).is_some_and(|found| found.no_user_modification);
            let (writes, own) = (write.for_attribute(index) && changes, own_name.for_attribute(index) && changes);
            let of_attribute = [
                ('r', read.for_attribute(index)),
                ('s', search.for_attribute(index)),
                ('c', compare.for_attribute(index)),
                ('w', writes),
                ('o', writes),
                ('W', own),
                ('O', own),
            ];
            if !list.is_empty() {
                list.push_str(", ");
            }
            list.push_str(&name);
            list.push(':');
            list.push_str(&letters(&of_attribute));
        }
        let list = if list.is_empty() { "*:none".to_owned() } else { list };
        out.attribute_values(b"attributeLevelRights", [list]);
        Ok(())
    }
}

fn letters(rights: &[(char, bool)]) -> String {
    let held: String = rights.iter().filter(|(_, is_held)| *is_held).map(|(letter, _)| *letter).collect();
    if held.is_empty() { "none".to_owned() } else { held }
}

fn not_yours() -> OperationError {
    OperationError::new(
        ResultCode::INSUFFICIENT_ACCESS_RIGHTS,
        "you may ask for your own effective rights; the administrator may ask for everybody's",
    )
}
