//! Password modify (RFC 3062): one's own password or another's, with the old one or without, made up if none is given.
//!
//! The requester needs the right to write `userPassword` of the entry; the old password, where it is given, must fit
//! besides. Whoever lacks the right learns nothing of the old password, for it is not looked at. The administrator is
//! no entry: its own password is kept beside the tree and changes in the same writer's transaction.
//!
//! Invariants
//! - No password passes a connection that others could read.
//! - What was verified is what is replaced: if the stored value changed in between, the operation fails.

use super::secret::{self, STORED_PASSWORDS_MAX};
use super::{Answer, Context, Reply, UpdateStep, Work, password_change, queue};
use crate::model::{Attribute, AttributeDescription, Change, Dn, Modification, ModificationKind, ResultCode};
use crate::operation::control::RequestKind;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::{Directory, Session};
use crate::policy::password_hash::{self, Verdict};
use crate::policy::requester::RequesterKind;
use crate::wire::extended::{PasswordModify, generated_password};
use crate::wire::password_policy::PASSWORD_POLICY;
use crate::wire::{Controls, ResponseKind};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Whose password.
enum Owner {
    Administrator,
    Entry(Dn),
}

/// A request made owned.
struct Wanted {
    owner: Owner,
    old: Option<Zeroizing<Vec<u8>>>,
    new: Option<Zeroizing<Vec<u8>>>,
}

impl Directory {
    /// Takes a password modify request with the value of the extended operation; `reply` gets its response.
    ///
    /// Returns at once. Nearly always there is something to hash: run the step on the hashing pool.
    pub fn password_modify(
        self: &Arc<Self>,
        session: &Session,
        id: i32,
        value: Option<&[u8]>,
        controls: &Controls<'_>,
        reply: Reply,
    ) -> UpdateStep {
        let mut answer = Answer::new(reply, id, ResponseKind::Extended);
        answer.says_policy = controls.find(PASSWORD_POLICY).is_some();
        let prepared = self.asked(session, controls, RequestKind::Extended).and_then(|asked| {
            let session = asked.session(session);
            check_confidential(self, session)?;
            self.check_gate()?;
            let wanted = wanted(self, session, PasswordModify::decode(value)?)?;
            Ok((self.context(session, asked.controls.clone()), wanted))
        });
        match prepared {
            Err(error) => {
                answer.refuse(&error);
                UpdateStep::Queued
            }
            Ok((mut context, wanted)) => {
                answer.dropped = (ResultCode::BUSY, "too many passwords are being hashed; try again later");
                UpdateStep::Hash(Box::new(move || match hash(&mut context, wanted) {
                    Ok((work, value)) => queue(context, work, answer, value),
                    Err(error) => answer.refuse(&error),
                }))
            }
        }
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
        Some(identity) => {
            let dn = Dn::parse_bytes(identity.strip_prefix(b"dn:").unwrap_or(identity)).map_err(|error| {
                OperationError::new(
                    ResultCode::INVALID_DN_SYNTAX,
                    format!("the user is to be named by DN, as uid=ann,ou=people,dc=example,dc=com: {error}"),
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
    let wanted = Wanted { owner, old: request.old_password.map(owned), new: request.new_password.map(owned) };
    if wanted.new.as_ref().is_some_and(|new| new.is_empty()) {
        return Err(OperationError::new(
            ResultCode::CONSTRAINT_VIOLATION,
            "an empty password would let nobody in; leave the new password out to have one made",
        ));
    }
    Ok(wanted)
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

/// Verifies the old password and hashes the new one: what to do, and what to answer on success. For the hashing pool.
fn hash(context: &mut Context, wanted: Wanted) -> Outcome<(Work, Option<Vec<u8>>)> {
    let description = AttributeDescription::parse("userPassword")?;
    let stored = match &wanted.owner {
        Owner::Administrator => {
            context.directory.dit().administrator()?.map(|(_, stored)| stored).into_iter().collect()
        }
        Owner::Entry(dn) => secret::stored_passwords(context, dn, &description)?,
    };
    let expected = match &wanted.old {
        None => None,
        Some(old) => {
            let fits = |stored: &&Vec<u8>| password_hash::verify(stored, old) == Verdict::Match;
            let found = stored.iter().take(STORED_PASSWORDS_MAX).find(fits).cloned();
            Some(found.ok_or_else(|| {
                OperationError::new(
                    ResultCode::INVALID_CREDENTIALS,
                    "the old password is not right; nothing was changed",
                )
            })?)
        }
    };
    let (new, value) = match wanted.new {
        Some(new) => (new, None),
        None => {
            let made = Zeroizing::new(password_hash::generate().as_bytes().to_vec());
            let value = generated_password(&made);
            (made, Some(value))
        }
    };
    if let Owner::Entry(dn) = &wanted.owner {
        // One that the server made up is as good as any.
        let clear = if value.is_some() { Vec::new() } else { vec![new.as_slice()] };
        password_change::check_modify(context, dn, &clear, expected.is_some())?;
        context.verifiers = secret::verifiers_of(context, &new);
    }
    let hash = password_hash::hash(&new);
    let work = match wanted.owner {
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
    };
    Ok((work, value))
}
