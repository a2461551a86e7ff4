//! Acting as somebody else: the one function that decides who may, for proxied authorization (RFC 4370) and whatever
//! else names an authorisation identity (RFC 4513 5.2.1.8).
//!
//! Whoever has the right `proxy` on an entry may act as it, and the administrator as any entry; from then on only the
//! rights of that entry count. Acting as nobody (an empty identity) is open to all.
//!
//! Invariants
//! - never-root: nobody becomes the administrator by acting as it, whatever rules say; only the administrator is.
//! - Whoever has not authenticated acts as nobody else.
//! - One answer, authorizationDenied, to names that are not there and to those one may not act as.

use super::bind::{entry_identity, may_bind};
use super::control::{RequestControls, RequestKind};
use super::outcome::{OperationError, Outcome};
use super::{Directory, Session};
use crate::dit::{Entry, View};
use crate::model::{Assertion, Dn, Filter, ResultCode, Scope};
use crate::policy::requester::{Authentication, Requester, RequesterKind};
use crate::policy::rights::Right;
use crate::search::{AllSearchable, CompiledFilter, RunOptions, SearchRun, Step};
use crate::wire::Controls;
use std::borrow::Cow;
use std::sync::Arc;

/// Entries looked at to find out whom `u:name` means, where `uid` is not indexed.
const LOOK_THROUGH_MAX: u64 = 5_000;

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
        let controls = RequestControls::read(controls, kind)?;
        let acting = match &controls.proxied {
            None => None,
            Some(authorization_id) => {
                let requester = self.act_as(&session.requester, authorization_id)?;
                let mut acting = Session::new(requester, session.connection.clone());
                acting.paged = session.paged.clone();
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
        Ok(requester.with_identity(kind, requester.authentication.clone()))
    }

    fn has_proxy_right(&self, requester: &Requester, view: View<'_>, entry: &Entry<'_>) -> Outcome<bool> {
        Ok(self.access(requester, view)?.granted(entry, Right::Proxy).for_entry())
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
                Some(entry) => Ok(Identity::Entry(entry_identity(view, &entry, dn_key)?)),
                None => Ok(Identity::Unknown),
            };
        }
        if form.eq_ignore_ascii_case("u") { by_user_name(view, name) } else { Ok(Identity::Unknown) }
    }
}

/// The one entry whose `uid` this is.
fn by_user_name(view: View<'_>, name: &str) -> Outcome<Identity> {
    let assertion = Assertion { attribute: Cow::Borrowed("uid"), value: Cow::Borrowed(name.as_bytes()) };
    let filter = Arc::new(CompiledFilter::compile(view.catalog().schema(), &Filter::Equality(assertion)));
    let mut found = None;
    for suffix in view.suffixes()? {
        let options = RunOptions {
            lookthrough_max: Some(LOOK_THROUGH_MAX),
            manage_dsa_it: true,
            wanted: Some(2),
            ..RunOptions::new(Scope::Subtree)
        };
        let mut run = SearchRun::new(view, suffix, Arc::clone(&filter), options)?;
        let mut walk = run.walk(view, &AllSearchable)?;
        loop {
            match walk.next()? {
                Step::Entry(entry) if may_bind(&entry) => {
                    if found.replace(entry.id).is_some_and(|other| other != entry.id) {
                        return Ok(Identity::Unknown);
                    }
                }
                Step::Entry(_) | Step::Reference(_) | Step::Yield => {}
                Step::LookthroughExceeded => return Ok(Identity::Unknown),
                Step::Done => break,
            }
        }
    }
    let Some(entry) = found.map(|id| view.entry(id)).transpose()?.flatten() else { return Ok(Identity::Unknown) };
    let text = view.dn_text(entry.id)?.unwrap_or_default();
    let dn_key = view.catalog().schema().dn_key(&Dn::parse(&text)?);
    Ok(Identity::Entry(entry_identity(view, &entry, dn_key)?))
}

fn denied() -> OperationError {
    OperationError::new(
        ResultCode::AUTHORIZATION_DENIED,
        "you may not act as this identity; ask the administrator for a rule that gives you the right proxy on its entry",
    )
}
