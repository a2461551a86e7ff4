//! Searches that wait for the next page (RFC 2696), by cookie.
//!
//! A cookie is random and belongs to one session: what is behind it lives with the connection, and nothing of it can be
//! forged, guessed or carried elsewhere. It is good once; the next page brings another. Several searches may wait at
//! a time, so that two address books over one connection do not end each other; beyond [`KEPT_MAX`] the oldest goes.

use super::access::Asker;
use super::control::RequestControls;
use super::outcome::{OperationError, Outcome};
use super::search::{Rest, Running};
use crate::model::ResultCode;
use crate::policy::requester::Requester;
use crate::wire::control::{PAGED_RESULTS, PagedResults};
use crate::wire::{LdapResult, ResponseControl, ResponseKind, SearchRequest, response};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// Searches that may wait in one session.
const KEPT_MAX: usize = 8;
/// Bytes of a cookie.
const COOKIE_BYTES: usize = 16;

/// A search that waits.
pub(super) enum Waiting {
    /// Of the tree.
    Tree(Box<Running>),
    /// Of what is not in the tree.
    Virtual(Box<Rest>),
}

impl Waiting {
    fn asker(&self) -> &Asker {
        match self {
            Self::Tree(running) => running.asker(),
            Self::Virtual(rest) => rest.asker(),
        }
    }
}

struct Kept {
    cookie: [u8; COOKIE_BYTES],
    fingerprint: u128,
    waiting: Waiting,
}

/// The paged searches of one session. A clone is the same store.
#[derive(Clone, Default)]
pub struct PagedStore(Arc<Mutex<VecDeque<Kept>>>);

impl std::fmt::Debug for PagedStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PagedStore({} searches)", self.len())
    }
}

impl PagedStore {
    /// How many searches wait.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all; their cookies are refused from now on. For a bind.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Keeps a search; returns its cookie.
    pub(super) fn put(&self, waiting: Waiting, fingerprint: u128) -> Outcome<Vec<u8>> {
        let mut cookie = [0; COOKIE_BYTES];
        getrandom::fill(&mut cookie).map_err(|error| OperationError::internal(&error))?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Kept { cookie, fingerprint, waiting });
        Ok(cookie.to_vec())
    }

    /// Takes the search behind a cookie, if it is the one that was asked for, and by the same requester.
    pub(super) fn take(&self, cookie: &[u8], fingerprint: u128, requester: &Requester) -> Outcome<Waiting> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|kept| kept.cookie == cookie);
        let found = at.and_then(|at| kept.remove(at)).ok_or_else(not_yours)?;
        let is_same = found.fingerprint == fingerprint && found.waiting.asker().is(requester);
        if is_same { Ok(found.waiting) } else { Err(not_yours()) }
    }
}

/// The cookie is refused.
pub(super) fn not_yours() -> OperationError {
    OperationError::new(
        ResultCode::UNWILLING_TO_PERFORM,
        "the paged results cookie is not of this search, or is too old; begin the search again without a cookie",
    )
}

/// What must stay the same from page to page.
pub(super) fn fingerprint(request: &SearchRequest<'_>, controls: &RequestControls) -> u128 {
    let SearchRequest { base, scope, deref, size_limit, types_only, filter, attributes, .. } = request;
    let mut text = String::new();
    let written = write!(
        text,
        "{base:?} {scope:?} {deref:?} {size_limit} {types_only} {filter} {attributes:?} {} {:?} {} {:?} {:?} {:?} {:?} {} {:?}",
        controls.manage_dsa_it,
        controls.subentries,
        controls.manage_conflicts,
        controls.sort,
        controls.matched_values,
        controls.dereference,
        controls.effective_rights,
        controls.account_usability,
        controls.proxied
    );
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
    xxhash_rust::xxh3::xxh3_128(text.as_bytes())
}

/// The control of a response; an empty cookie says that there is no more.
pub(super) fn response(estimate: u64, cookie: &[u8]) -> ResponseControl {
    let value = PagedResults { size: i32::try_from(estimate).unwrap_or(i32::MAX), cookie };
    ResponseControl { oid: PAGED_RESULTS, critical: false, value: Some(value.encode()) }
}

/// The answer to a page of size 0, which ends a search.
pub(super) fn ended(id: i32) -> Vec<u8> {
    let mut out = Vec::new();
    let result = LdapResult::plain(ResultCode::SUCCESS);
    response::result(&mut out, id, ResponseKind::SearchDone, &result, &[response(0, &[])]);
    out
}
