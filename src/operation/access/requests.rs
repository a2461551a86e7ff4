//! Which controls and extended operations the rules leave to whom (`targetcontrol`, `extop`).
//!
//! A control is judged where the entry stands that the request names, or the nearest one above it that is there; controls
//! of a bind are not judged, for who asks is not known yet. An extended operation is about no entry: the rules of the
//! whole tree count, each where it stands.

use super::Access;
use super::facts::{OwnFacts, TreeEntry};
use crate::model::Dn;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::{Directory, Session};
use crate::policy::access::{AccessContext, EntryFacts, RequestPart};
use crate::storage::EntryId;
use std::sync::Arc;

impl Access<'_> {
    /// Whether the control may be used in a request about the entry `at`, or whose nearest superior it is.
    pub(in crate::operation) fn may_use_control(&self, at: EntryId, oid: &str) -> bool {
        let Some(decided) = &self.decided else { return true };
        if !decided.book.has_request_rules {
            return true;
        }
        let permits = || -> Outcome<bool> {
            let Some(entry) = self.view.entry(at)? else { return Ok(true) };
            let facts = TreeEntry { access: self, view: self.view, entry };
            let rules = decided.rules_at(self.holder_above(decided, at)?);
            let rules: Vec<_> = rules.into_iter().map(|rules| (&facts as &dyn EntryFacts, rules)).collect();
            let context = AccessContext { requester: &decided.requester, time: decided.time };
            let own = OwnFacts { decided, view: self.view };
            Ok(decided.book.compiler.permits(&rules, &context, &own, RequestPart::Control(oid)))
        };
        permits().unwrap_or_else(|error| {
            tracing::error!(%error, "the use of a control could not be decided, and is denied");
            false
        })
    }

    fn may_use_extended(&self, oid: &str) -> Outcome<bool> {
        let Some(decided) = &self.decided else { return Ok(true) };
        if !decided.book.has_request_rules {
            return Ok(true);
        }
        let mut holders = Vec::new();
        for (id, rules) in decided.book.rules.iter().filter(|(_, rules)| rules.has_request_rules()) {
            let Some(entry) = self.view.entry(*id)? else { continue };
            holders.push((TreeEntry { access: self, view: self.view, entry }, Arc::clone(rules)));
        }
        let rules: Vec<_> =
            holders.iter().map(|(facts, rules)| (facts as &dyn EntryFacts, Arc::clone(rules))).collect();
        let context = AccessContext { requester: &decided.requester, time: decided.time };
        let own = OwnFacts { decided, view: self.view };
        Ok(decided.book.compiler.permits(&rules, &context, &own, RequestPart::ExtendedOperation(oid)))
    }
}

impl Directory {
    /// Whether the rules leave this extended operation to the requester.
    ///
    /// # Errors
    /// insufficientAccessRights; storage.
    pub(in crate::operation) fn check_extended(&self, session: &Session, oid: &str) -> Outcome<()> {
        if session.requester.is_administrator() {
            return Ok(());
        }
        let snapshot = self.dit().read()?;
        if self.access(&session.requester, snapshot.view())?.may_use_extended(oid)? {
            return Ok(());
        }
        Err(OperationError::insufficient_access(
            "an access rule (extop) keeps this extended operation from you; ask the administrator for one that allows it",
        ))
    }

    /// The controls, by OID, that the rules keep from the requester in a request about `target`.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn forbidden_controls<'c>(
        &self,
        session: &Session,
        oids: impl Iterator<Item = &'c str>,
        target: &str,
    ) -> Outcome<Vec<&'c str>> {
        let mut oids = oids.peekable();
        if session.requester.is_administrator() || oids.peek().is_none() {
            return Ok(Vec::new());
        }
        let snapshot = self.dit().read()?;
        let view = snapshot.view();
        let access = self.access(&session.requester, view)?;
        let Ok(dn) = Dn::parse(target) else { return Ok(Vec::new()) };
        let found = view.resolve(&dn)?;
        let Some(at) = found.entry.or(found.matched) else { return Ok(Vec::new()) };
        Ok(oids.filter(|oid| !access.may_use_control(at, oid)).collect())
    }
}
