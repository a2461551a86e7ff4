//! Password modify (RFC 3062): one's own password or another's, with the old one or without, made up if none is given.
//!
//! The requester needs the right to write `userPassword` of the entry; the old password, where it is given, must fit
//! besides, and wrong ones make the next ones wait (`bind/throttling`). Whoever lacks the right learns nothing of the old password, for it is not looked at. The administrator is
//! no entry: its own password is kept beside the tree and changes in the same writer's transaction.
//!
//! Invariants
//! - No password passes a connection that others could read.
//! - What was verified is what is replaced: if the stored value changed in between, the operation fails.

use super::secret;
use super::transaction::Part;
use super::{Context, UpdateStep, Work, password_change, queue};
use crate::model::{Attribute, AttributeDescription, Change, Dn, Modification, ModificationKind, ResultCode};
use crate::operation::act_as::Identity;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::{Directory, ExtendedCall, Session};
use crate::policy::password_hash;
use crate::policy::requester::RequesterKind;
use crate::wire::LdapResult;
use crate::wire::extended::{PasswordModify, generated_password};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Whose password.
enum Owner {
    Administrator,
    Entry(Dn),
}

/// A request made owned.
pub(super) struct Wanted {
    owner: Owner,
    old: Option<Zeroizing<Vec<u8>>>,
    new: Option<Zeroizing<Vec<u8>>>,
    /// The server made the new one up.
    is_made_up: bool,
}

impl Wanted {
    /// Makes a password up if none is given; the value of the response then.
    fn make_up(&mut self) -> Option<Vec<u8>> {
        if self.new.is_some() {
            return None;
        }
        let made = Zeroizing::new(password_hash::generate().as_bytes().to_vec());
        let value = generated_password(&made);
        (self.new, self.is_made_up) = (Some(made), true);
        Some(value)
    }
}

impl Directory {
    /// Takes a password modify request.
    ///
    /// Returns at once. Nearly always there is something to hash: run the step on the hashing pool. In a transaction
    /// (RFC 5805) that is done at its end; a password that is made up is told now, and holds from then on.
    pub(in crate::operation) fn password_modify(self: &Arc<Self>, call: ExtendedCall<'_>) -> UpdateStep {
        let (transactions, id) = (call.session.transactions.clone(), call.id);
        let read = call.read(self, |asked, own, value| {
            let session = asked.session(own);
            check_confidential(self, session)?;
            self.check_gate()?;
            let wanted = wanted(self, session, PasswordModify::decode(value)?)?;
            Ok((self.context(session, asked.controls.clone()), wanted))
        });
        let Some(((mut context, mut wanted), mut answer)) = read else { return UpdateStep::Queued };
        let value = wanted.make_up();
        if context.controls.transaction.is_some() {
            match transactions.gather(id, context, Part::Password(wanted)) {
                Ok(()) => answer.send(&LdapResult::plain(ResultCode::SUCCESS), value.as_deref(), &[]),
                Err(error) => answer.refuse(&error),
            }
            return UpdateStep::Queued;
        }
        answer.dropped = (ResultCode::BUSY, "too many passwords are being hashed; try again later");
        UpdateStep::Hash(Box::new(move || match hash(&mut context, wanted) {
            Ok(work) => queue(context, work, answer, value),
            Err(error) => answer.refuse(&error),
        }))
    }
}

/// As for a simple bind: TLS, a local socket, or what the settings let pass.
fn check_confidential(directory: &Directory, session: &Session) -> Outcome<()> {
    let options = directory.options();
    let connection = &session.connection;
    let is_confidential = connection.tls.is_some()
        || (connection.is_local && (connection.address.is_none() || options.loopback_needs_no_tls))
        || !options.require_tls_for_simple_bind;
    if is_confidential {
        return Ok(());
    }
    Err(OperationError::new(
        ResultCode::CONFIDENTIALITY_REQUIRED,
        "passwords are not taken over clear text; use ldaps or StartTLS",
    ))
}

fn wanted(directory: &Directory, session: &Session, request: PasswordModify<'_>) -> Outcome<Wanted> {
    let owner = match request.user_identity {
        None => own_name(directory, session)?,
        Some(identity) if identity.starts_with(b"u:") => Owner::Entry(user_named(directory, session, identity)?),
        Some(identity) => {
            let dn = Dn::parse_bytes(identity.strip_prefix(b"dn:").unwrap_or(identity)).map_err(|error| {
                OperationError::new(
                    ResultCode::INVALID_DN_SYNTAX,
                    format!("name the user by DN, as uid=ann,ou=people,dc=example,dc=com, or as u:ann: {error}"),
                )
            })?;
            if is_administrator(directory, &dn)? {
                if !session.requester.is_administrator() {
                    return Err(OperationError::no_such_object(""));
                }
                Owner::Administrator
            } else {
                Owner::Entry(dn)
            }
        }
    };
    let owned = |password: &[u8]| Zeroizing::new(password.to_vec());
    let (old, new) = (request.old_password.map(owned), request.new_password.map(owned));
    let wanted = Wanted { owner, old, new, is_made_up: false };
    if wanted.new.as_ref().is_some_and(|new| new.is_empty()) {
        return Err(OperationError::new(
            ResultCode::CONSTRAINT_VIOLATION,
            "an empty password would let nobody in; leave the new password out to have one made",
        ));
    }
    Ok(wanted)
}

/// The entry of the user `u:NAME`; what the requester may not see is not there.
fn user_named(directory: &Directory, session: &Session, identity: &[u8]) -> Outcome<Dn> {
    let nobody = || OperationError::no_such_object("");
    let snapshot = directory.dit().read()?;
    let view = snapshot.view();
    let text = std::str::from_utf8(identity).map_err(|_| nobody())?;
    let Identity::Entry(RequesterKind::Entry { uuid, .. }) = directory.identify(view, text)? else {
        return Err(nobody());
    };
    let id = view.by_uuid(uuid)?.ok_or_else(nobody)?;
    let entry = view.entry(id)?.ok_or_else(nobody)?;
    if !directory.access(&session.requester, view)?.is_visible(&entry) {
        return Err(nobody());
    }
    Ok(Dn::parse(&view.dn_text(id)?.ok_or_else(nobody)?)?)
}

/// The requester, under the name that it has now.
fn own_name(directory: &Directory, session: &Session) -> Outcome<Owner> {
    match &session.requester.kind {
        RequesterKind::Administrator { .. } => Ok(Owner::Administrator),
        RequesterKind::Anonymous => Err(OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "nobody is bound on this connection; bind first, or name the user",
        )),
        RequesterKind::Entry { uuid, .. } => {
            let snapshot = directory.dit().read()?;
            let view = snapshot.view();
            let id = view.by_uuid(*uuid)?.ok_or_else(|| OperationError::no_such_object(""))?;
            Ok(Owner::Entry(Dn::parse(&view.dn_text(id)?.unwrap_or_default())?))
        }
    }
}

fn is_administrator(directory: &Directory, dn: &Dn) -> Outcome<bool> {
    let Some((name, _)) = directory.dit().administrator()? else { return Ok(false) };
    let catalog = directory.dit().catalog();
    Ok(Dn::parse(&name).is_ok_and(|name| catalog.schema().dn_equal(&name, dn)))
}

/// Verifies the old password and hashes the new one: what to do. For the hashing pool.
pub(super) fn hash(context: &mut Context, wanted: Wanted) -> Outcome<Work> {
    let description = AttributeDescription::parse("userPassword")?;
    let expected = match &wanted.old {
        None => None,
        Some(old) => {
            let (dn, stored) = match &wanted.owner {
                Owner::Administrator => {
                    let known = context.directory.dit().administrator()?;
                    let (name, stored) = known.ok_or_else(|| OperationError::no_such_object(""))?;
                    (Dn::parse(&name)?, vec![stored])
                }
                Owner::Entry(dn) => (dn.clone(), secret::stored_passwords(context, dn, &description)?),
            };
            Some(secret::fitting(context, &dn, &stored, old)?.ok_or_else(|| {
                OperationError::new(
                    ResultCode::INVALID_CREDENTIALS,
                    "the old password is not right; nothing was changed",
                )
            })?)
        }
    };
    let new = wanted.new.unwrap_or_default();
    if let Owner::Entry(dn) = &wanted.owner {
        // One that the server made up is as good as any.
        let clear = if wanted.is_made_up { Vec::new() } else { vec![new.as_slice()] };
        password_change::check_modify(context, dn, &clear, expected.is_some())?;
        context.verifiers = secret::verifiers_of(context, &new);
    }
    let hash = password_hash::hash(&new);
    Ok(match wanted.owner {
        Owner::Administrator => Work::AdministratorPassword { hash, expected },
        Owner::Entry(dn) => {
            let line = |kind, value| {
                let attribute = Attribute { description: description.clone(), values: vec![value] };
                Modification { kind, attribute }
            };
            let verified = expected.map(|expected| line(ModificationKind::Delete, expected));
            let modifications = verified.into_iter().chain([line(ModificationKind::Replace, hash)]).collect();
            Work::Change(Change::Modify { dn, modifications })
        }
    })
}
