//! Effective rights: what somebody may do with each entry found, as attributes of it, in the letters of 389 Directory
//! Server.
//!
//! `entryLevelRights`: `v` see it, `a` add it, `d` delete it, `n` rename it. `attributeLevelRights`, for each attribute:
//! `r` read, `s` search, `c` compare, `w` add values, `o` take values away, `W` and `O` the same with one's own name only.
//! `none` where there is no right. Of what is not in the tree (`virtual_entry`): what the subject is told of it may be read,
//! found and compared by it, and nothing else is told as a right.

use super::form::Looking;
use crate::dit::{Catalog, Entry};
use crate::model::{Attribute, Dn, ResultCode};
use crate::operation::act_as::Identity;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::selection::Selection;
use crate::operation::virtual_entry::{self, VirtualEntry};
use crate::operation::{ConnectionFacts, Directory, Session};
use crate::policy::requester::{Authentication, Requester, RequesterKind};
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use crate::wire::SearchEntry;
use crate::wire::control::EffectiveRights;

/// See the module.
pub(in crate::operation) struct RightsOf {
    subject: Requester,
    /// From where it would ask.
    connection: ConnectionFacts,
    /// Attributes wanted besides those that the search asks for.
    besides: Selection,
}

impl RightsOf {
    /// Whose rights are to be told. One may ask for one's own; the administrator for everybody's.
    ///
    /// # Errors
    /// insufficientAccessRights; noSuchObject where the subject is not there.
    pub(in crate::operation) fn new(
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
        Ok(Self { subject, connection: session.connection.clone(), besides })
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
        let names = [selection.named_types(at.view, entry), self.besides.named_types(at.view, entry)].concat();
        let rights = |name: &str, index| {
            let index = Some(index);
            let changes = !schema.attribute_type(name).is_some_and(|found| found.no_user_modification);
            let (writes, own) = (write.for_attribute(index) && changes, own_name.for_attribute(index) && changes);
            letters(&[
                ('r', read.for_attribute(index)),
                ('s', search.for_attribute(index)),
                ('c', compare.for_attribute(index)),
                ('w', writes),
                ('o', writes),
                ('W', own),
                ('O', own),
            ])
        };
        out.attribute_values(b"attributeLevelRights", [list_of(names, rights)]);
        Ok(())
    }

    /// The same for an entry that is not in the tree, as the requester is told it.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn write_told(
        &self,
        at: &Looking<'_, '_>,
        entry: &VirtualEntry,
        selection: &Selection,
        out: &mut SearchEntry<'_>,
    ) -> Outcome<()> {
        let view = at.view;
        let subject = Session::new(self.subject.clone(), self.connection.clone());
        let told = match virtual_entry::find(at.directory, &subject, view, &Dn::parse(&entry.dn)?) {
            Ok(told) => told.map(|told| told.attributes),
            Err(error) if error.code == ResultCode::NO_SUCH_OBJECT => None,
            Err(error) => return Err(error),
        };
        out.attribute_values(b"entryLevelRights", [letters(&[('v', told.is_some())])]);
        let schema = view.catalog().schema();
        let types = |attributes: &[Attribute]| -> Vec<AttributeTypeIndex> {
            let found = attributes.iter().filter_map(|attribute| schema.attribute_type(attribute.description.name()));
            found.map(|found| found.index).collect()
        };
        let present = types(&entry.attributes);
        let readable = told.map(|attributes| types(&attributes)).unwrap_or_default();
        let names = [selection, &self.besides].map(|wanted| wanted.named_among(schema, present.iter().copied()));
        let rights = |_: &str, index| letters(&['r', 's', 'c'].map(|letter| (letter, readable.contains(&index))));
        out.attribute_values(b"attributeLevelRights", [list_of(names.concat(), rights)]);
        Ok(())
    }
}

/// `name:letters, …`, each type once, in the order of names.
fn list_of(
    mut names: Vec<(String, AttributeTypeIndex)>,
    rights: impl Fn(&str, AttributeTypeIndex) -> String,
) -> String {
    names.sort_by(|(left, _), (right, _)| left.cmp(right));
    names.dedup_by(|(_, left), (_, right)| left == right);
    let list: Vec<String> = names.iter().map(|(name, index)| format!("{name}:{}", rights(name, *index))).collect();
    if list.is_empty() { "*:none".to_owned() } else { list.join(", ") }
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
