//! Acting as somebody else: the one function that decides who may, for proxied authorization (RFC 4370) and for the
//! authorisation identity of SASL PLAIN, SCRAM, OAUTHBEARER, GSSAPI and EXTERNAL (RFC 4513 5.2.1.8; hostile.md T-17, T-19).
//!
//! Whoever has the right `proxy` on an entry may act as it, and the administrator as any entry; from then on only the
//! rights of that entry count. Acting as nobody (an empty identity) is open to all.
//!
//! Invariants
//! - never-root: nobody becomes the administrator by acting as it, whatever rules say; only the administrator is.
//! - Whoever has not authenticated acts as nobody else; nobody crosses from one suffix into another, or acts as an account
//!   that is locked.
//! - One answer, authorizationDenied, to names that are not there and to those one may not act as.

use super::control::{RequestControls, RequestKind};
use super::lookup;
use super::outcome::{OperationError, Outcome};
use super::own_limits::own_limits;
use super::{Directory, Session};
use crate::dit::{Entry, View};
use crate::model::{Assertion, Dn, Filter, ResultCode};
use crate::policy::password_policy::Standing;
use crate::policy::requester::{Authentication, Requester, RequesterKind};
use crate::policy::rights::Right;
use crate::storage::{ENTRY_LOSER, ENTRY_PHANTOM, EntryId};
use crate::wire::Controls;
use std::borrow::Cow;

/// Longest name of a user that is looked for, in bytes.
const USER_BYTES_MAX: usize = 1_024;

/// A request's controls, and who it is made as.
pub(super) struct Asked {
    pub(super) controls: RequestControls,
    acting: Option<Session>,
}

impl Asked {
    /// The session of whom the request is made as; `own`: of who made it.
    pub(super) fn session<'s>(&'s self, own: &'s Session) -> &'s Session {
        self.acting.as_ref().unwrap_or(own)
    }
}

/// Whom an authorisation identity means.
pub(super) enum Identity {
    /// Nobody.
    Anonymous,
    /// The administrator.
    Administrator,
    /// An entry.
    Entry(RequesterKind),
    /// Nothing that is here.
    Unknown,
}

impl Directory {
    /// Reads the controls of a request and decides who it is made as.
    ///
    /// # Errors
    /// As [`RequestControls::read`]; authorizationDenied.
    pub(super) fn asked(&self, session: &Session, controls: &Controls<'_>, kind: RequestKind) -> Outcome<Asked> {
        self.asked_as(session, RequestControls::read(controls, kind)?)
    }

    /// As [`Self::asked`], for a request about the entry `target`: controls that the rules keep from who made it are not
    /// served.
    ///
    /// # Errors
    /// As [`Self::asked`].
    pub(super) fn asked_about(
        &self,
        session: &Session,
        controls: &Controls<'_>,
        kind: RequestKind,
        target: &str,
    ) -> Outcome<Asked> {
        let oids = controls.iter().map(|control| control.oid);
        let forbidden = self.forbidden_controls(session, oids, target)?;
        self.asked_as(session, RequestControls::read_without(controls, kind, &forbidden)?)
    }

    fn asked_as(&self, session: &Session, controls: RequestControls) -> Outcome<Asked> {
        let acting = match &controls.proxied {
            None => None,
            Some(authorization_id) => {
                let requester = self.act_as(&session.requester, authorization_id)?;
                let mut acting = Session::new(requester, session.connection.clone());
                acting.paged = session.paged.clone();
                acting.by_app_password = session.by_app_password;
                Some(acting)
            }
        };
        Ok(Asked { controls, acting })
    }

    /// `requester` as the identity `authorization_id` (`dn:…`, `u:…` or empty), if it may be that.
    ///
    /// # Errors
    /// authorizationDenied; storage.
    pub(super) fn act_as(&self, requester: &Requester, authorization_id: &str) -> Outcome<Requester> {
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        let mut limits = None;
        let (kind, is_allowed) = match self.identify(view, authorization_id)? {
            Identity::Anonymous => {
                return Ok(requester.with_identity(RequesterKind::Anonymous, Authentication::None));
            }
            Identity::Administrator if requester.is_administrator() => return Ok(requester.clone()),
            Identity::Administrator | Identity::Unknown => return Err(denied()),
            Identity::Entry(kind) => {
                let is_allowed = match &kind {
                    RequesterKind::Entry { uuid, .. } if !requester.is_anonymous() => {
                        let entry = view.by_uuid(*uuid)?.map(|id| view.entry(id)).transpose()?.flatten();
                        match entry {
                            Some(entry) => {
                                limits = own_limits(view, &entry);
                                requester.entry_uuid() == Some(*uuid)
                                    || self.has_proxy_right(requester, view, &entry)?
                            }
                            None => false,
                        }
                    }
                    _ => false,
                };
                (kind, is_allowed)
            }
        };
        if !is_allowed {
            return Err(denied());
        }
        Ok(requester.with_identity(kind, requester.authentication.clone()).with_limits(limits))
    }

    fn has_proxy_right(&self, requester: &Requester, view: View<'_>, entry: &Entry<'_>) -> Outcome<bool> {
        if requester.is_administrator() {
            return Ok(true);
        }
        let own = requester.entry_uuid().map(|uuid| view.by_uuid(uuid)).transpose()?.flatten();
        let Some(own) = own.map(|id| view.entry(id)).transpose()?.flatten() else { return Ok(false) };
        Ok(suffix_of(view, &own)? == suffix_of(view, entry)?
            && self.standing(&self.account(view, entry)?) != Standing::Locked
            && self.access(requester, view)?.granted(entry, Right::Proxy).for_entry())
    }

    /// Whom an authorisation identity means, whoever asks.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn identify(&self, view: View<'_>, authorization_id: &str) -> Outcome<Identity> {
        let schema = view.catalog().schema();
        if authorization_id.is_empty() {
            return Ok(Identity::Anonymous);
        }
        // RFC 4422 appendix A, RFC 4616 2: none has a NUL. Matching rules would pass over it (RFC 4518 2.2).
        if authorization_id.contains('\0') {
            return Ok(Identity::Unknown);
        }
        let (form, name) = authorization_id.split_once(':').unwrap_or(("", authorization_id));
        if form.eq_ignore_ascii_case("dn") {
            if name.trim().is_empty() {
                return Ok(Identity::Anonymous);
            }
            let Ok(dn) = Dn::parse(name) else { return Ok(Identity::Unknown) };
            let dn_key = schema.dn_key(&dn);
            if self.administrator_named(view, &dn_key)?.is_some() {
                return Ok(Identity::Administrator);
            }
            let entry = match view.resolve(&dn)?.entry {
                Some(id) => view.entry(id)?.filter(may_bind),
                None => None,
            };
            return match entry {
                Some(entry) => Ok(Identity::Entry(self.identity_of(view, &entry)?)),
                None => Ok(Identity::Unknown),
            };
        }
        if !form.eq_ignore_ascii_case("u") {
            return Ok(Identity::Unknown);
        }
        match self.user_named(view, name)?.filter(may_bind) {
            Some(entry) => Ok(Identity::Entry(self.identity_of(view, &entry)?)),
            None => Ok(Identity::Unknown),
        }
    }

    /// An entry as the requester that it becomes.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn identity_of(&self, view: View<'_>, entry: &Entry<'_>) -> Outcome<RequesterKind> {
        let mut dn = Vec::with_capacity(64);
        view.write_dn(entry, &mut dn)?;
        let dn = String::from_utf8_lossy(&dn).into_owned();
        let dn_key = Dn::parse(&dn).map(|dn| view.catalog().schema().dn_key(&dn)).unwrap_or_default();
        Ok(RequesterKind::Entry { uuid: entry.record.uuid(), dn, dn_key })
    }

    /// The one entry that has this name in the attribute that the settings name; none where several have it.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn user_named<'v>(&self, view: View<'v>, name: &str) -> Outcome<Option<Entry<'v>>> {
        let options = self.options();
        self.user_with(view, &options.sasl.user_attribute, name)
    }

    /// The one entry below the users' base with this value of an attribute; none where several have it.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn user_with<'v>(&self, view: View<'v>, attribute: &str, value: &str) -> Outcome<Option<Entry<'v>>> {
        if value.is_empty() || value.len() > USER_BYTES_MAX {
            return Ok(None);
        }
        let options = self.options();
        let base = match &options.sasl.user_base {
            None => EntryId::NONE,
            Some(dn) => match lookup::named(view, dn)? {
                Some(entry) => entry.id,
                None => return Ok(None),
            },
        };
        let wanted = Assertion { attribute: Cow::Borrowed(attribute), value: Cow::Borrowed(value.as_bytes()) };
        let mut found = lookup::find(view, base, &Filter::Equality(wanted), 2)?;
        Ok(if found.len() == 1 { found.pop() } else { None })
    }
}

/// Nobody is known by a name that another entry has, or by one that is only there for what is below it.
pub(super) fn may_bind(entry: &Entry<'_>) -> bool {
    entry.record.flags() & (ENTRY_LOSER | ENTRY_PHANTOM) == 0
}

fn suffix_of(view: View<'_>, entry: &Entry<'_>) -> Outcome<EntryId> {
    Ok(view.superiors(entry)?.last().copied().unwrap_or(entry.id))
}

fn denied() -> OperationError {
    OperationError::new(
        ResultCode::AUTHORIZATION_DENIED,
        "you may not act as this identity; ask the administrator for a rule that gives you the right proxy on its entry",
    )
}
