//! What a member is asked to do by itself.
//!
//! A supplier that is to leave, or to write no more, is asked to by its entry ([`put_asked`]) and says so itself
//! ([`leave`]): that is its last change, so whoever has heard of it holds everything before it, and the end of its origin
//! is no guess.

use super::{
    InviteError, NodeId, member_dn, members, node_id, one, put_into, role_of, role_text, state_of, state_text, texts,
};
use crate::dit::{DitError, View, Writing};
use crate::replication::{MemberState, Role};

/// What a supplier is asked to become by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// A member that has left.
    Retired,
    /// A member that writes nothing: consumer or hub.
    Reader(Role),
}

/// What `node` is asked to become, if anything.
///
/// # Errors
/// [`DitError::Storage`].
pub fn asked_of(view: View<'_>, node: NodeId) -> Result<Option<Asked>, DitError> {
    let Some(entry) = view.entry_named(&member_dn(node))? else { return Ok(None) };
    let text = texts(view, &entry, "memberAsked")?.into_iter().next().unwrap_or_default();
    Ok(match role_of(&text) {
        Some(role) => Some(Asked::Reader(role)).filter(|_| !role.may_originate()),
        None => (state_of(&text) == Some(MemberState::Retired)).then_some(Asked::Retired),
    })
}

/// Refuses to change the cluster on a member that writes nothing: nobody would take its change.
///
/// # Errors
/// [`InviteError::ReadOnly`]; [`InviteError::Dit`].
pub fn demand_supplier(view: View<'_>) -> Result<(), InviteError> {
    let own = node_id(view)?;
    match members(view)?.iter().find(|member| member.node == own) {
        Some(own) if !own.role.may_originate() => Err(InviteError::ReadOnly),
        _ => Ok(()),
    }
}

/// Asks a member to become something by itself.
///
/// # Errors
/// [`DitError`].
pub fn put_asked(writing: &mut Writing<'_>, node: NodeId, asked: Asked) -> Result<(), DitError> {
    let text = match asked {
        Asked::Retired => state_text(MemberState::Retired),
        Asked::Reader(role) => role_text(role),
    };
    put_into(writing, node, &[("memberAsked", one(text))])
}

/// This node does what it is asked: its last change says that it is the last one.
///
/// # Errors
/// [`DitError`].
pub fn leave(writing: &mut Writing<'_>, node: NodeId, asked: Asked) -> Result<(), DitError> {
    let Some(own) = members(writing.view())?.into_iter().find(|member| member.node == node) else { return Ok(()) };
    let vector = writing.view().update_vector()?;
    let last = writing.last_dot();
    let mut finals = own.finals;
    for origin in own.origins {
        finals.entry(origin).or_insert_with(|| vector.sequence(origin));
    }
    finals.insert(last.origin, last.sequence + 1);
    let finals = finals.iter().map(|(origin, last)| format!("{:012x} {last}", origin.0).into_bytes()).collect();
    let what = match asked {
        Asked::Retired => ("memberState", one(state_text(MemberState::Retired))),
        Asked::Reader(role) => ("memberRole", one(role_text(role))),
    };
    put_into(writing, node, &[what, ("memberFinal", finals), ("memberAsked", Vec::new())])
}
