//! What binds leave behind: remembered at once, written behind, at most once a second for each account.
//!
//! A failure that were a commit of its own would let anybody who can connect keep the disk of every supplier busy. A
//! failure that were only in the tree would let a guesser try many passwords before the first one is written. So the
//! memory counts, and the tree gets what has come together: the first failure at once, the others of the next second in
//! one change. While an account is locked nothing is noted, so that an attack on it costs no commits at all.
//!
//! Invariants
//! - What is in the tree already and still here counts once: failures are a set of moments.
//! - A moment is used once on this node, and carries digits of its origin: failures on two nodes are two.
//! - At most [`MARKS_MAX`] accounts are remembered; beyond that a failure is written without being remembered.
//!
//! Lost when the machine dies: what came in the last second.

use super::state::{cell, clear, instant_text, micros, second_text};
use super::{Account, state_of};
use crate::dit::{Committed, Completion, DitError, Target, Writing};
use crate::model::{AttributeDescription, EntryUuid};
use crate::operation::Directory;
use crate::operation::outcome::Outcome;
use crate::policy::password_policy::{FAILURES_MAX, LOCKED_FOREVER_US, PasswordState, SECOND, Standing};
use crate::state::Delta;
use crate::storage::EntryId;
use hashbrown::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Accounts remembered; about 200 bytes each.
const MARKS_MAX: usize = 50_000;
/// Least time between two writes for one account, in microseconds.
const WRITES_APART_US: i64 = SECOND;
/// A last success is written when the one in the tree is older than this part of the idle time that locks.
const IDLE_PARTS: i64 = 20;
/// Who is said to have made the change.
const AUTHOR: &str = "cn=password policy";

/// What is not written yet of one account.
#[derive(Clone, Default, Debug)]
struct Mark {
    /// A success: failures in the tree no longer count.
    cleared: bool,
    failures_us: Vec<i64>,
    graces_us: Vec<i64>,
    success_us: Option<i64>,
    /// The tree does not say yet that the account is locked.
    locks: bool,
    written_us: i64,
    in_writing: bool,
}

impl Mark {
    fn is_empty(&self) -> bool {
        !self.cleared
            && self.failures_us.is_empty()
            && self.graces_us.is_empty()
            && self.success_us.is_none()
            && !self.locks
    }

    /// Puts it on top of what the tree says.
    fn merge(&self, state: &mut PasswordState) {
        if self.cleared {
            state.failures_us.clear();
            state.locked_us = state.locked_us.filter(|locked| *locked == LOCKED_FOREVER_US);
        }
        for (held, new) in [(&mut state.failures_us, &self.failures_us), (&mut state.grace_uses_us, &self.graces_us)] {
            held.extend(new);
            held.sort_unstable();
            held.dedup();
        }
        state.last_success_us = state.last_success_us.max(self.success_us);
    }

    /// Takes away what has been written.
    fn settle(&mut self, written: &Self) {
        self.failures_us.retain(|failure| !written.failures_us.contains(failure));
        self.graces_us.retain(|grace| !written.graces_us.contains(grace));
        if self.success_us == written.success_us {
            self.success_us = None;
        }
        self.cleared &= !written.cleared;
        self.locks &= !written.locks;
    }
}

/// See the module.
#[derive(Default)]
pub(in crate::operation) struct Marks {
    known: Mutex<HashMap<EntryUuid, Mark>>,
    last_us: AtomicI64,
}

impl Marks {
    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<EntryUuid, Mark>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `stored` reads from the tree, with what is not written yet on top. Read while nothing can be settled, so that
    /// what has just been written is in one of the two, however long ago the bind began.
    pub(super) fn merged(&self, uuid: EntryUuid, stored: impl FnOnce() -> PasswordState) -> PasswordState {
        let known = self.known();
        let mut state = stored();
        if let Some(mark) = known.get(&uuid) {
            mark.merge(&mut state);
        }
        state
    }

    /// The password is another one, or an administrator has unlocked: what was remembered is over.
    pub(in crate::operation) fn forget(&self, uuid: EntryUuid) {
        self.known().remove(&uuid);
    }

    /// A moment that no other failure of this node has.
    fn moment(&self, now_us: i64, origin: u64) -> i64 {
        let own_digits = i64::try_from(origin % 1_000).unwrap_or_default();
        let wanted = now_us + own_digits;
        let before = self.last_us.fetch_max(wanted, Ordering::Relaxed);
        if wanted > before { wanted } else { self.last_us.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Directory {
    /// A wrong password came for the account.
    pub(in crate::operation) fn note_failure(self: &Arc<Self>, account: &Account) {
        let Some(policy) = account.policy.as_deref().filter(|policy| policy.counts_failures()) else { return };
        let now_us = self.now_us();
        let origin = self.origin_digits();
        self.note(account.uuid, |mark| {
            // Judged under the lock: of many guesses at once those that come after the lock are not noted.
            let mut state = self.stored_now(account);
            mark.merge(&mut state);
            if state.standing(Some(policy), now_us) != Standing::Open {
                // An attempt on what is locked changes nothing; but that it is may not be said in the tree yet.
                mark.locks |= state.locked_us.is_none() && state.failures(policy, now_us).locked_us.is_some();
            } else if mark.failures_us.len() < FAILURES_MAX {
                mark.failures_us.push(self.marks.moment(now_us, origin));
            }
        });
    }

    /// A right password came for the account, and it was let in.
    pub(in crate::operation) fn note_success(self: &Arc<Self>, account: &Account, uses_grace: bool) {
        let Some(policy) = account.policy.as_deref() else { return };
        let now_us = self.now_us();
        let state = self.state_now(account);
        let clears = !state.failures_us.is_empty() || state.locked_us.is_some();
        let apart_us = (policy.max_idle_s * SECOND / IDLE_PARTS).min(86_400 * SECOND);
        let success = policy.max_idle_s > 0 && state.last_success_us.is_none_or(|last| now_us >= last + apart_us);
        if !clears && !success && !uses_grace {
            return;
        }
        let origin = self.origin_digits();
        self.note(account.uuid, |mark| {
            if clears {
                mark.cleared = true;
                mark.failures_us.clear();
                mark.locks = false;
            }
            if success {
                mark.success_us = Some(now_us);
            }
            if uses_grace && mark.graces_us.len() < FAILURES_MAX {
                mark.graces_us.push(self.marks.moment(now_us, origin));
            }
        });
    }

    fn origin_digits(&self) -> u64 {
        self.dit
            .read()
            .ok()
            .and_then(|snapshot| snapshot.view().reader().meta_u64(crate::storage::MetaName::Origin).ok())
            .unwrap_or_default()
    }

    fn note(self: &Arc<Self>, uuid: EntryUuid, change: impl FnOnce(&mut Mark)) {
        let now_us = self.now_us();
        let writes = {
            let mut known = self.marks.known();
            if known.len() >= MARKS_MAX && !known.contains_key(&uuid) {
                known.retain(|_, mark| !mark.is_empty());
                if known.len() >= MARKS_MAX {
                    tracing::warn!("too many accounts are being guessed at to remember them all");
                    return;
                }
            }
            let mark = known.entry(uuid).or_default();
            change(mark);
            !mark.is_empty() && !mark.in_writing && now_us >= mark.written_us + WRITES_APART_US
        };
        if writes {
            self.write_mark(uuid);
        }
    }

    /// Writes what is due. To be called about once a second; with `all` before the node stops.
    pub fn write_marks(self: &Arc<Self>, all: bool) {
        let now_us = self.now_us();
        let mut due = Vec::new();
        self.marks.known().retain(|uuid, mark| {
            let is_old = all || now_us >= mark.written_us + WRITES_APART_US;
            if is_old && !mark.in_writing && !mark.is_empty() {
                due.push(*uuid);
            }
            !mark.is_empty() || !is_old || mark.in_writing
        });
        due.into_iter().for_each(|uuid| self.write_mark(uuid));
    }

    fn write_mark(self: &Arc<Self>, uuid: EntryUuid) {
        if self.is_gate_waiting() || self.check_gate().is_err() {
            return;
        }
        let directory = Arc::clone(self);
        let job = move |writing: &mut Writing<'_>| -> Result<Completion, (DitError, Completion)> {
            let mark = {
                let mut known = directory.marks.known();
                let Some(mark) = known.get_mut(&uuid).filter(|mark| !mark.is_empty() && !mark.in_writing) else {
                    return Ok(Box::new(|_: Committed<'_>| {}));
                };
                mark.in_writing = true;
                mark.written_us = directory.now_us();
                mark.clone()
            };
            let outcome = write(&directory, writing, uuid, &mark);
            let is_gone = matches!(outcome, Ok(Written::Gone));
            let completion: Completion = Box::new(move |committed: Committed<'_>| {
                let mut known = directory.marks.known();
                if is_gone {
                    known.remove(&uuid);
                } else if let Some(held) = known.get_mut(&uuid) {
                    held.in_writing = false;
                    if committed.is_ok() {
                        held.settle(&mark);
                    }
                }
            });
            match outcome {
                Ok(Written::Broken(error)) => Err((error, completion)),
                Ok(_) => Ok(completion),
                Err(error) => {
                    tracing::error!(%error, "what a bind changed could not be written");
                    Ok(completion)
                }
            }
        };
        // Where the queue is full the next tick tries again.
        let _ = self.writer().submit(Box::new(job));
    }
}

enum Written {
    Yes,
    /// The entry is not there any more.
    Gone,
    /// Storage failed: the transaction is to be dropped.
    Broken(DitError),
}

fn write(directory: &Directory, writing: &mut Writing<'_>, uuid: EntryUuid, mark: &Mark) -> Outcome<Written> {
    let Some(id) = writing.view().by_uuid(uuid)? else { return Ok(Written::Gone) };
    let deltas = deltas_of(directory, writing, id, mark)?;
    if deltas.is_empty() {
        return Ok(Written::Yes);
    }
    Ok(match writing.change(Target::Existing(id), AUTHOR, deltas) {
        Ok(_) => Written::Yes,
        Err(error) => Written::Broken(error),
    })
}

fn deltas_of(directory: &Directory, writing: &mut Writing<'_>, id: EntryId, mark: &Mark) -> Outcome<Vec<Delta>> {
    let now_us = directory.now_us();
    let (policy, stored, failure_texts) = {
        let view = writing.view();
        let Some(entry) = view.entry(id)? else { return Ok(Vec::new()) };
        let policy = directory.policies.book(directory.dit())?.policy_of(view, &entry)?;
        let description = AttributeDescription::parse("pwdFailureTime")?;
        let slice = view.catalog().find(&description).and_then(|found| entry.attribute(found));
        let texts: Vec<Vec<u8>> = slice.map(|slice| slice.values().map(<[u8]>::to_vec).collect()).unwrap_or_default();
        (policy, state_of(view, &entry)?, texts)
    };
    let mut state = stored.clone();
    mark.merge(&mut state);
    let mut deltas = Vec::new();
    if mark.cleared {
        deltas.extend(clear(writing, id, "pwdFailureTime")?);
    } else {
        // What no longer counts is forgotten, so that the attribute does not grow.
        let kept_from = policy.as_ref().map_or(i64::MIN, |policy| match policy.failure_count_interval_s {
            0 => i64::MIN,
            interval_s => now_us - interval_s * SECOND,
        });
        let surplus = state.failures_us.len().saturating_sub(FAILURES_MAX);
        let oldest_kept = state.failures_us.get(surplus).copied().unwrap_or(i64::MIN).max(kept_from);
        for text in failure_texts.iter().filter(|text| micros(text).is_none_or(|time| time < oldest_kept)) {
            deltas.push(cell(writing, "pwdFailureTime", text, false)?);
        }
    }
    for failure in mark.failures_us.iter().filter(|failure| !stored.failures_us.contains(failure) || mark.cleared) {
        deltas.push(cell(writing, "pwdFailureTime", instant_text(*failure).as_bytes(), true)?);
    }
    for grace in mark.graces_us.iter().filter(|grace| !stored.grace_uses_us.contains(grace)) {
        deltas.push(cell(writing, "pwdGraceUseTime", instant_text(*grace).as_bytes(), true)?);
    }
    let locked = policy.as_deref().and_then(|policy| state.failures(policy, now_us).locked_us);
    let wanted = match (locked, state.locked_us) {
        (_, Some(LOCKED_FOREVER_US)) => None,
        (Some(locked), known) => Some(locked).filter(|locked| known != Some(locked.div_euclid(SECOND) * SECOND)),
        (None, _) => None,
    };
    if wanted.is_some() || (mark.cleared && stored.locked_us.is_some_and(|locked| locked != LOCKED_FOREVER_US)) {
        deltas.extend(clear(writing, id, "pwdAccountLockedTime")?);
    }
    if let Some(locked) = wanted {
        deltas.push(cell(writing, "pwdAccountLockedTime", second_text(locked).as_bytes(), true)?);
    }
    if let Some(success) = mark.success_us.filter(|success| stored.last_success_us.is_none_or(|last| last < *success)) {
        deltas.extend(clear(writing, id, "pwdLastSuccess")?);
        deltas.push(cell(writing, "pwdLastSuccess", second_text(success).as_bytes(), true)?);
    }
    Ok(deltas)
}
