//! Entries that are not in the tree: the root DSE, the subschema, and what is below cn=monitor, cn=conflicts,
//! cn=deleted, cn=lost+found and cn=changelog. Searched and compared like others.
//!
//! They are outside the access rules: root DSE and subschema are for anybody, before any bind, because clients find out
//! from them how to go on (RFC 4512 4.4, 5.1); the others are for the administrator, for whom rules tell them (`telling`), and
//! absent for everybody else.

use super::outcome::{OperationError, Outcome};
use super::telling::Feed;
use super::{
    Directory, Session, changelog, conflict_entry, deleted_entry, lost_entry, monitor, root_dse, subschema_entry,
};
use crate::dit::View;
use crate::model::{Attribute, AttributeDescription, Dn, Filter, Rdn, Scope};
use std::sync::Arc;

/// An entry that is not in the tree.
#[derive(Clone, Debug)]
pub(super) struct VirtualEntry {
    pub(super) dn: String,
    pub(super) attributes: Arc<Vec<Attribute>>,
}

/// Takes the entries below one of them, each with its position; false ends the visit.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&[u8], VirtualEntry) -> Outcome<bool>;

/// Which of them a DN is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Subschema,
    /// One of those with entries below, or such an entry.
    Of(Feed),
}

fn place_of(dn: &Dn) -> Option<Place> {
    let Some(last) = dn.rdns().last() else { return Some(Place::Root) };
    let is_top = dn.rdns().len() == 1;
    [
        ("subschema", Place::Subschema),
        ("monitor", Place::Of(Feed::Monitor)),
        ("conflicts", Place::Of(Feed::Conflicts)),
        ("deleted", Place::Of(Feed::Deleted)),
        ("lost+found", Place::Of(Feed::LostFound)),
        ("changelog", Place::Of(Feed::Changelog)),
    ]
    .into_iter()
    .find(|(name, place)| is_named(last, name) && (is_top || *place != Place::Subschema))
    .map(|(_, place)| place)
}

/// The value of an RDN of one value, if its attribute has one of these names.
pub(super) fn one_of(rdn: &Rdn, names: &[&str]) -> Option<String> {
    match rdn.avas() {
        [ava] if names.iter().any(|name| ava.attribute.eq_ignore_ascii_case(name)) => {
            Some(String::from_utf8_lossy(ava.value.trim_ascii()).into_owned())
        }
        _ => None,
    }
}

fn is_named(rdn: &Rdn, name: &str) -> bool {
    one_of(rdn, &["cn", "commonName", "2.5.4.3"]).is_some_and(|value| value.eq_ignore_ascii_case(name))
}

/// Whether the name is that of the subschema entry.
pub(super) fn is_subschema(dn: &Dn) -> bool {
    !dn.is_root() && matches!(place_of(dn), Some(Place::Subschema))
}

/// The RDN of a name directly below cn=conflicts (first), cn=deleted (second) or cn=lost+found (third).
pub(super) fn below(dn: &Dn) -> [Option<&Rdn>; 3] {
    let [rdn, _] = dn.rdns() else { return [None; 3] };
    let place = place_of(dn);
    [Feed::Conflicts, Feed::Deleted, Feed::LostFound].map(|wanted| (place == Some(Place::Of(wanted))).then_some(rdn))
}

/// Which of those with entries below a name belongs to.
pub(super) fn feed_of(dn: &Dn) -> Option<Feed> {
    match place_of(dn) {
        Some(Place::Of(feed)) => Some(feed),
        _ => None,
    }
}

/// The entry with exactly this name; `None` when the name belongs to the tree.
///
/// # Errors
/// noSuchObject for a name below cn=monitor and its like that is not there or not for the requester.
pub(super) fn find(directory: &Directory, session: &Session, view: View<'_>, dn: &Dn) -> Outcome<Option<VirtualEntry>> {
    let feed = match place_of(dn) {
        None => return Ok(None),
        Some(Place::Root) => return root_dse::entry(directory, session, view).map(Some),
        Some(Place::Subschema) => return Ok(Some(subschema_entry::entry(directory, view))),
        Some(Place::Of(feed)) => feed,
    };
    let access = directory.access(&session.requester, view)?;
    if !feed.is_for(view, &access)? {
        return Err(OperationError::no_such_object(""));
    }
    let found = match (dn.rdns(), feed) {
        ([_], Feed::Conflicts) => Some(conflict_entry::top(view)?),
        ([_], Feed::Deleted) => Some(deleted_entry::top()),
        ([_], Feed::LostFound) => Some(lost_entry::top()),
        ([_], Feed::Changelog) => Some(changelog::top()),
        ([rdn, _], Feed::Changelog) => changelog::find(view, &access, rdn)?,
        ([rdn, _], Feed::Conflicts) => conflict_entry::find(view, &access, rdn)?,
        ([rdn, _], Feed::Deleted) => deleted_entry::find(view, &access, rdn)?,
        ([rdn, _], Feed::LostFound) => lost_entry::find(view, &access, rdn)?,
        ([rest @ .., _], _) if rest.len() < 2 => {
            let is_it = |name: &Option<String>| match (rest, name) {
                ([], None) => true,
                ([rdn], Some(name)) => is_named(rdn, name),
                _ => false,
            };
            monitor::entries(directory).into_iter().find(|entry| is_it(&entry.name)).map(|entry| entry.entry)
        }
        _ => None,
    };
    found.map(Some).ok_or_else(|| OperationError::no_such_object(feed.top()))
}

/// Whether a search from there is one of these: where one of the tree begins with an empty base, it is not.
pub(super) fn is_base(dn: &Dn, scope: Scope) -> bool {
    place_of(dn).is_some() && !(dn.is_root() && scope != Scope::Base)
}

/// The entries directly below one of them, from the one after the position `after` on; none is named by an empty position.
///
/// # Errors
/// Storage; adminLimitExceeded where too many would have to be looked at.
pub(super) fn visit_below(
    dn: &Dn,
    directory: &Directory,
    session: &Session,
    view: View<'_>,
    after: &[u8],
    filter: &Filter<'_>,
    visit: Visit<'_>,
) -> Outcome<()> {
    let ([_], Some(feed)) = (dn.rdns(), feed_of(dn)) else { return Ok(()) };
    let access = directory.access(&session.requester, view)?;
    match feed {
        Feed::Changelog => changelog::visit(view, &access, after, filter, visit),
        Feed::Conflicts => conflict_entry::visit(view, &access, after, visit),
        Feed::Deleted => deleted_entry::visit(view, &access, after, visit),
        Feed::LostFound => lost_entry::visit(view, &access, after, visit),
        Feed::Monitor => {
            let after = after.try_into().map_or(0, u64::from_be_bytes);
            let below = monitor::entries(directory).into_iter().filter(|entry| entry.name.is_some());
            for (position, entry) in (1..).zip(below).skip_while(|(position, _)| *position <= after) {
                if !visit(&position.to_be_bytes(), entry.entry)? {
                    break;
                }
            }
            Ok(())
        }
    }
}

/// An attribute by name; the name is one of ours.
pub(super) fn attribute<V: AsRef<[u8]>>(name: &str, values: impl IntoIterator<Item = V>) -> Option<Attribute> {
    let values: Vec<Vec<u8>> = values.into_iter().map(|value| value.as_ref().to_vec()).collect();
    let description = AttributeDescription::parse(name).ok()?;
    (!values.is_empty()).then_some(Attribute { description, values })
}
