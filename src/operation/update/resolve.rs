//! Deciding a conflict: a modify of its entry below cn=conflicts that replaces `conflictState`, or a delete of it, which
//! dismisses.
//!
//! To restore is an ordinary change that does again what the losing side had done, by all rules of such a change (names,
//! schema); an entry that is deleted comes back as it was, what was changed in it included. What became of the
//! conflict is written to the entry in the same transaction, so that it holds on all members.

use super::{Context, Done, Failure, Work, modify, modify_dn, place, undelete};
use crate::dit::{Conflict, ConflictKind, ConflictPlace, ConflictState, SideContent, Standing, View, Writing};
use crate::model::{Attribute, AttributeDescription, Dn, EntryUuid, Modification, ModificationKind, Rdn, ResultCode};
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::{conflict_entry, virtual_entry};
use crate::policy::requester::Requester;
use crate::state::CellValue;
use crate::state::conflict::Rule;
use crate::wire::{ModificationRequest, Request};

/// What the request wants of an entry below cn=conflicts or cn=deleted; `None` when it is about something else, or not
/// the administrator's.
///
/// # Errors
/// invalidDNSyntax; unwillingToPerform for a change that such an entry does not take.
pub(super) fn read(requester: &Requester, request: &Request<'_>) -> Outcome<Option<Work>> {
    let name = match request {
        Request::Modify(request) => request.dn,
        Request::Delete { dn } => dn,
        _ => return Ok(None),
    };
    if !requester.is_administrator() {
        return Ok(None);
    }
    let dn = Dn::parse(name)?;
    match (virtual_entry::below(&dn), request) {
        ([Some(rdn), ..], Request::Modify(request)) => decision(rdn, &request.modifications).map(Some),
        ([Some(rdn), ..], _) => Ok(Some(Work::Resolve { id: name_of(rdn)?, state: ConflictState::Dismissed })),
        ([_, Some(rdn), _], Request::Modify(request)) => undelete::read(rdn, &request.modifications).map(Some),
        ([.., Some(rdn)], Request::Modify(request)) => place::read(rdn, &request.modifications).map(Some),
        ([_, Some(_), _], _) => Err(OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "the entry is deleted already; it goes altogether when its time is over",
        )),
        _ => Ok(None),
    }
}

fn name_of(rdn: &Rdn) -> Outcome<String> {
    virtual_entry::one_of(rdn, &["cn", "commonName", "2.5.4.3"])
        .ok_or_else(|| OperationError::no_such_object("cn=conflicts"))
}

fn decision(rdn: &Rdn, modifications: &[ModificationRequest<'_>]) -> Outcome<Work> {
    let mut state = None;
    for modification in modifications {
        let is_state = modification.attribute.eq_ignore_ascii_case("conflictState");
        match (is_state, modification.kind, modification.values.as_slice()) {
            (true, ModificationKind::Delete, _) => {}
            (true, ModificationKind::Add | ModificationKind::Replace, [value]) => {
                state = std::str::from_utf8(value).ok().and_then(ConflictState::from_name);
            }
            _ => state = None,
        }
    }
    let state = state.ok_or_else(|| {
        OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "of a conflict only conflictState can be changed: to dismissed, restored or open",
        )
    })?;
    Ok(Work::Resolve { id: name_of(rdn)?, state })
}

/// Decides the conflict `id`.
///
/// # Errors
/// noSuchObject; unwillingToPerform where it cannot be restored; what the restoring change may give.
pub(super) fn perform(
    context: &Context,
    writing: &mut Writing<'_>,
    id: &str,
    state: ConflictState,
) -> Result<Done, Failure> {
    let Some(conflict) = writing.view().conflict(id)? else {
        return match conflict_entry::standing(writing.view(), id)? {
            Some(standing) => decide_standing(context, writing, &standing, state),
            None => Err(OperationError::new(
                ResultCode::NO_SUCH_OBJECT,
                "there is no such conflict, or no more: what follows from the data goes when its cause goes",
            )
            .matched(conflict_entry::DN)
            .into()),
        };
    };
    let Some(entry) = writing.view().incarnation(conflict.uuid, conflict.birth)? else {
        return Err(OperationError::new(
            ResultCode::NO_SUCH_OBJECT,
            "the entry of this conflict is gone altogether; there is nothing left to decide",
        )
        .into());
    };
    let was = writing.view().conflict_state(&conflict)?;
    if was == state {
        return Ok(Done::default());
    }
    let done = match state {
        ConflictState::Restored => restore(context, writing, &conflict)?,
        ConflictState::Open | ConflictState::Dismissed => Done::default(),
    };
    writing.decide_conflict(entry, &conflict.id, state, &context.author()).map_err(Failure::Broken)?;
    Ok(done)
}

/// Decides what is wrong with an entry as it is: it can be left so, and a deleted entry be brought back.
fn decide_standing(
    context: &Context,
    writing: &mut Writing<'_>,
    standing: &Standing,
    state: ConflictState,
) -> Result<Done, Failure> {
    match state {
        ConflictState::Restored if standing.kind == ConflictKind::Phantom => {
            let Some(found) = writing.view().state_of(standing.entry)? else { return Ok(Done::default()) };
            undelete::perform(context, writing, found.uuid, None)
        }
        ConflictState::Restored => {
            let text = format!("there is nothing to restore; {}", standing.kind.remedy());
            Err(OperationError::new(ResultCode::UNWILLING_TO_PERFORM, text).into())
        }
        _ if standing.state == state => Ok(Done::default()),
        _ => {
            let decided = writing.decide_conflict(standing.entry, &standing.name, state, &context.author());
            decided.map_err(Failure::Broken)?;
            Ok(Done::default())
        }
    }
}

/// Does again what the losing side had done.
fn restore(context: &Context, writing: &mut Writing<'_>, conflict: &Conflict) -> Result<Done, Failure> {
    let view = writing.view();
    let live = view.by_uuid(conflict.uuid)?;
    if live.is_none() || conflict.rule == Rule::DeleteOverChange {
        if live.is_some() {
            return Err(refused("the entry is there again, with what was changed in it; dismiss the conflict").into());
        }
        return undelete::perform(context, writing, conflict.uuid, None);
    }
    let dn = match live {
        Some(id) => Dn::parse(&view.dn_text(id)?.unwrap_or_default()).map_err(OperationError::from)?,
        None => return Err(OperationError::no_such_object("").into()),
    };
    let rdn_now = dn.rdn().cloned();
    match (&conflict.place, &conflict.loser.content) {
        (_, SideContent::Unsaid { .. }) => Err(refused(
            "what the losing side wrote is not kept: it was secret, or too large. Write it anew, and dismiss the conflict",
        )
        .into()),
        (ConflictPlace::Name, SideContent::Name(name)) => {
            let new_rdn = Rdn::parse(name).map_err(OperationError::from)?;
            let renaming = modify_dn::Renaming { new_rdn: &new_rdn, delete_old_rdn: true, new_superior: None };
            modify_dn::perform(context, writing, &dn, &renaming)
        }
        (ConflictPlace::Superior, SideContent::Superior(superior)) => {
            let new_superior = superior_of(view, *superior)?;
            let Some(rdn) = rdn_now else { return Err(OperationError::no_such_object("").into()) };
            let renaming =
                modify_dn::Renaming { new_rdn: &rdn, delete_old_rdn: false, new_superior: Some(&new_superior) };
            modify_dn::perform(context, writing, &dn, &renaming)
        }
        (ConflictPlace::Attribute(key), content) => {
            let catalog = view.catalog();
            let info = catalog.find_key(key).and_then(|id| catalog.attribute(id));
            let description = info.and_then(|info| AttributeDescription::parse(&info.name).ok());
            let Some(description) = description else {
                return Err(refused("the schema does not know the attribute here").into());
            };
            let (kind, values) = match content {
                SideContent::Without(values) => (ModificationKind::Delete, values.as_slice()),
                SideContent::Values(values) if conflict.rule == Rule::NewerReplace => {
                    (ModificationKind::Replace, values.as_slice())
                }
                SideContent::Values(values) => (ModificationKind::Add, values.as_slice()),
                _ => (ModificationKind::Replace, &[][..]),
            };
            let values = texts(view, values)?;
            let modification = Modification { kind, attribute: Attribute { description, values } };
            modify::perform(context, writing, &dn, &[modification])
        }
        _ => Err(refused(&format!("there is nothing to restore; {}", conflict.kind().remedy())).into()),
    }
}

fn refused(text: &str) -> OperationError {
    OperationError::new(ResultCode::UNWILLING_TO_PERFORM, text)
}

fn superior_of(view: View<'_>, uuid: EntryUuid) -> Outcome<Dn> {
    let gone = || refused("the superior that the losing side chose is deleted; bring that back first");
    let id = view.by_uuid(uuid)?.ok_or_else(gone)?;
    Ok(Dn::parse(&view.dn_text(id)?.ok_or_else(gone)?)?)
}

/// Values as a client would send them; those that name an entry that is gone are left out.
fn texts(view: View<'_>, values: &[CellValue]) -> Outcome<Vec<Vec<u8>>> {
    let mut texts = Vec::with_capacity(values.len());
    for value in values {
        match value {
            CellValue::Text(text) => texts.push(text.clone()),
            CellValue::Link(target) => {
                if let Some(id) = view.by_uuid(*target)? {
                    texts.extend(view.dn_text(id)?.map(String::into_bytes));
                }
            }
        }
    }
    Ok(texts)
}
