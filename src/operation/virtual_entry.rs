//! Entries that are not in the tree: the root DSE, the subschema, cn=monitor. Searched and compared like others.
//!
//! They are outside the access rules: root DSE and subschema are for anybody, before any bind, because clients find out
//! from them how to go on (RFC 4512 4.4, 5.1); cn=monitor is for the administrator alone, and absent for all others.

use super::control::RequestControls;
use super::outcome::{OperationError, Outcome};
use super::selection::Selection;
use super::{Directory, Session, monitor, paged, root_dse, subschema_entry};
use crate::dit::View;
use crate::model::{Attribute, AttributeDescription, Dn, Rdn, ResultCode, Scope};
use crate::search::{CompiledFilter, evaluate_attributes};
use crate::wire::{LdapResult, ResponseKind, SearchEntry, SearchRequest, response};
use std::sync::Arc;

/// An entry that is not in the tree.
#[derive(Clone, Debug)]
pub(super) struct VirtualEntry {
    pub(super) dn: String,
    pub(super) attributes: Arc<Vec<Attribute>>,
}

/// Which of them a DN is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Subschema,
    Monitor,
}

fn place_of(dn: &Dn) -> Option<Place> {
    let Some(last) = dn.rdns().last() else { return Some(Place::Root) };
    if is_named(last, "subschema") && dn.rdns().len() == 1 {
        return Some(Place::Subschema);
    }
    is_named(last, "monitor").then_some(Place::Monitor)
}

fn is_named(rdn: &Rdn, name: &str) -> bool {
    match rdn.avas() {
        [ava] => {
            let is_cn = ava.attribute.eq_ignore_ascii_case("cn")
                || ava.attribute.eq_ignore_ascii_case("commonName")
                || ava.attribute == "2.5.4.3";
            is_cn && ava.value.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
        }
        _ => false,
    }
}

/// The entry with exactly this name; `None` when the name belongs to the tree.
///
/// # Errors
/// noSuchObject for a name below cn=monitor that is not there or not for the requester.
pub(super) fn find(directory: &Directory, session: &Session, view: View<'_>, dn: &Dn) -> Outcome<Option<VirtualEntry>> {
    Ok(match place_of(dn) {
        None => None,
        Some(Place::Root) => Some(root_dse::entry(directory, session, view)?),
        Some(Place::Subschema) => Some(subschema_entry::entry(directory, view)),
        Some(Place::Monitor) => {
            if !session.requester.is_administrator() {
                return Err(OperationError::no_such_object(""));
            }
            let [rest @ .., _] = dn.rdns() else { return Ok(None) };
            let wanted = match rest {
                [] => Some(None),
                [rdn] => Some(Some(rdn)),
                _ => None,
            };
            let found = monitor::entries(directory).into_iter().find(|entry| match (&wanted, &entry.name) {
                (Some(None), None) => true,
                (Some(Some(rdn)), Some(name)) => is_named(rdn, name),
                _ => false,
            });
            match found {
                Some(entry) => Some(entry.entry),
                None => return Err(OperationError::no_such_object(monitor::DN)),
            }
        }
    })
}

/// Answers a search whose base is one of these entries; `None` when the base belongs to the tree.
pub(super) fn search(
    directory: &Directory,
    session: &Session,
    view: View<'_>,
    dn: &Dn,
    id: i32,
    request: &SearchRequest<'_>,
    controls: &RequestControls,
) -> Outcome<Option<Vec<u8>>> {
    if dn.is_root() && request.scope != Scope::Base {
        return Ok(None);
    }
    let Some(base) = find(directory, session, view, dn)? else { return Ok(None) };
    let schema = view.catalog().schema();
    if let Some(assertion) = &controls.assertion {
        let filter = CompiledFilter::compile(schema, assertion);
        if !evaluate_attributes(&filter, schema, &base.attributes).is_true() {
            return Err(OperationError::new(ResultCode::ASSERTION_FAILED, "the base entry does not match"));
        }
    }
    let below = if place_of(dn) == Some(Place::Monitor) && dn.rdns().len() == 1 && request.scope != Scope::Base {
        monitor::entries(directory).into_iter().filter(|entry| entry.name.is_some()).map(|entry| entry.entry).collect()
    } else {
        Vec::new()
    };
    let with_base = matches!(request.scope, Scope::Base | Scope::Subtree);
    let filter = CompiledFilter::compile(schema, &request.filter);
    let selection = Selection::new(view.catalog(), request.attributes.iter().copied(), request.types_only);
    let mut out = Vec::new();
    let mut result = LdapResult::plain(ResultCode::SUCCESS);
    let mut sent = 0_u32;
    for entry in with_base.then_some(base).into_iter().chain(below) {
        if !evaluate_attributes(&filter, schema, &entry.attributes).is_true() {
            continue;
        }
        if request.size_limit != 0 && sent >= request.size_limit {
            result = LdapResult::plain(ResultCode::SIZE_LIMIT_EXCEEDED);
            break;
        }
        let mut pdu = SearchEntry::begin(&mut out, id, entry.dn.as_bytes());
        selection.write_attributes(schema, &entry.attributes, &mut pdu);
        pdu.finish(&[]);
        sent += 1;
        directory.metrics.entries_sent_total.increment();
    }
    let paged = controls.paged.as_ref().map(|_| paged::response(u64::from(sent), &[]));
    response::result(&mut out, id, ResponseKind::SearchDone, &result, paged.as_slice());
    Ok(Some(out))
}

/// An attribute by name; the name is one of ours.
pub(super) fn attribute<V: AsRef<[u8]>>(name: &str, values: impl IntoIterator<Item = V>) -> Option<Attribute> {
    let values: Vec<Vec<u8>> = values.into_iter().map(|value| value.as_ref().to_vec()).collect();
    let description = AttributeDescription::parse(name).ok()?;
    (!values.is_empty()).then_some(Attribute { description, values })
}
