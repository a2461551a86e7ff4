//! Transactions (RFC 5805): updates that are gathered in a session and then made all together, or not at all.
//!
//! Until its end a transaction is a list in memory: nothing is tried, nothing is locked, nobody waits. At the end its
//! updates run one after another in a write transaction of their own; each sees what those before it did, and the first
//! that is refused takes all of them back. So they become visible in one commit, and
//! their records in the log are joined, so that other nodes show them in one commit too.
//!
//! Invariants
//! - all-or-nothing: the writer drops its transaction unless every update was made.
//! - A transaction ends with the session's identity: a bind, StartTLS and the end of the connection abort it.
//! - What a session may gather is bounded in updates, bytes and time, and by [`OPEN_MAX`] transactions.
//! - An update that could not be gathered spoils its transaction: the end cannot make the others alone.

use super::{
    Answer, Context, Failure, Promise, UpdateStep, Work, completion, password_change, password_modify, secret, take,
};
use crate::dit::{Committed, DitError, Job};
use crate::model::{Change, ResultCode};
use crate::operation::control::{RequestControls, RequestKind};
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::{Directory, ExtendedCall, Session};
use crate::state::{Dot, OriginId};
use crate::wire::transaction::{ABORTED_TRANSACTION, EndTransaction, end_response};
use crate::wire::{Controls, ExtendedRequest, LdapResult, response};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Transactions that one session may have open.
const OPEN_MAX: usize = 4;
/// Updates of one transaction that bring clear passwords; each costs 20 ms and more when the transaction ends.
const PASSWORDS_MAX: usize = 16;
/// Bytes of a transaction's identifier.
const IDENTIFIER_BYTES: usize = 16;

/// What an update asks for.
pub(super) enum Part {
    Work(Work),
    /// A password is hashed at the end.
    Password(password_modify::Wanted),
}

impl Part {
    /// Whether it brings a clear password.
    fn wants_hashing(&self) -> bool {
        match self {
            Self::Work(Work::Change(change)) => secret::wants_hashing(change),
            Self::Work(_) => false,
            Self::Password(_) => true,
        }
    }
}

/// An update that waits for the end of its transaction.
struct Gathered {
    /// Its message id.
    id: i32,
    context: Context,
    part: Part,
}

/// An update that the writer can make.
struct Ready {
    id: i32,
    context: Context,
    work: Work,
}

impl Gathered {
    /// The update with its passwords hashed; for the hashing pool where there are any.
    fn ready(self) -> Outcome<Ready> {
        let Self { id, mut context, part } = self;
        let work = match part {
            Part::Password(wanted) => password_modify::hash(&mut context, wanted)?,
            Part::Work(Work::Change(mut change)) if secret::wants_hashing(&change) => {
                password_change::check(&context, &change)?;
                context.verifiers = secret::verifiers(&context, &change);
                secret::hash(&context, &mut change)?;
                Work::Change(change)
            }
            Part::Work(work) => work,
        };
        Ok(Ready { id, context, work })
    }
}

struct Open {
    identifier: [u8; IDENTIFIER_BYTES],
    ends_at: Duration,
    updates: Vec<Gathered>,
    bytes: usize,
    passwords: usize,
    /// Why it cannot be committed any more.
    spoiled: Option<OperationError>,
}

/// The open transactions of one session. A clone is the same store.
#[derive(Clone, Default)]
pub struct Transactions(Arc<Mutex<Vec<Open>>>);

impl std::fmt::Debug for Transactions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Transactions({} open)", self.lock().len())
    }
}

impl Transactions {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Gives up all of them, with a notice for each appended to `out` (RFC 5805 2.4).
    pub fn abort(&self, out: &mut Vec<u8>) {
        let open = std::mem::take(&mut *self.lock());
        for open in open {
            notice(out, &open.identifier, "the identity of the session changed");
        }
    }

    /// Gives up those whose time is over, with a notice for each. Cost: next to nothing where none is open.
    pub fn expire(&self, now: Duration, out: &mut Vec<u8>) {
        self.lock().retain(|open| {
            let is_over = now >= open.ends_at;
            if is_over {
                notice(out, &open.identifier, "it was open for too long; begin anew, and end it sooner");
            }
            !is_over
        });
    }

    fn begin(&self, ends_at: Duration) -> Outcome<[u8; IDENTIFIER_BYTES]> {
        let mut identifier = [0; IDENTIFIER_BYTES];
        getrandom::fill(&mut identifier).map_err(|error| OperationError::internal(&error))?;
        let mut open = self.lock();
        if open.len() >= OPEN_MAX {
            return Err(OperationError::new(
                ResultCode::ADMIN_LIMIT_EXCEEDED,
                format!("{OPEN_MAX} transactions are open on this connection; end one first"),
            ));
        }
        open.push(Open { identifier, ends_at, updates: Vec::new(), bytes: 0, passwords: 0, spoiled: None });
        Ok(identifier)
    }

    /// Takes an update into its transaction.
    pub(super) fn gather(&self, id: i32, context: Context, part: Part) -> Outcome<()> {
        let limits = context.directory.options().limits;
        let identifier = context.controls.transaction.clone().unwrap_or_default();
        let mut all = self.lock();
        let open = all.iter_mut().find(|open| open.identifier == *identifier).ok_or_else(unknown)?;
        if let Some(error) = &open.spoiled {
            return Err(error.clone());
        }
        let bytes = open.bytes.saturating_add(bytes_of(&part));
        let passwords = open.passwords + usize::from(part.wants_hashing());
        let too_much = if open.updates.len() >= limits.transaction_updates as usize {
            Some(format!("more than {} updates (limits.transaction_updates)", limits.transaction_updates))
        } else if bytes > limits.transaction_bytes as usize {
            Some(format!("more than {} bytes (limits.transaction_bytes)", limits.transaction_bytes))
        } else if passwords > PASSWORDS_MAX {
            Some(format!("more than {PASSWORDS_MAX} clear passwords"))
        } else {
            None
        };
        if let Some(too_much) = too_much {
            let text = format!("a transaction cannot have {too_much}; it can only be given up now");
            let error = OperationError::new(ResultCode::ADMIN_LIMIT_EXCEEDED, text);
            open.updates = Vec::new();
            open.spoiled = Some(error.clone());
            return Err(error);
        }
        (open.bytes, open.passwords) = (bytes, passwords);
        open.updates.push(Gathered { id, context, part });
        Ok(())
    }

    /// An update of the transaction was refused before it could be gathered.
    pub(in crate::operation) fn spoil(&self, identifier: &[u8], error: &OperationError) {
        if let Some(open) = self.lock().iter_mut().find(|open| open.identifier == *identifier) {
            open.updates = Vec::new();
            open.spoiled.get_or_insert_with(|| error.clone());
        }
    }

    fn end(&self, identifier: &[u8]) -> Outcome<Open> {
        let mut open = self.lock();
        let at = open.iter().position(|open| open.identifier == *identifier).ok_or_else(unknown)?;
        Ok(open.swap_remove(at))
    }
}

fn unknown() -> OperationError {
    OperationError::new(
        ResultCode::OPERATIONS_ERROR,
        "no transaction of this identifier is open on this connection; it may have been aborted",
    )
}

/// Aborted Transaction Notice (RFC 5805 2.4).
fn notice(out: &mut Vec<u8>, identifier: &[u8], why: &str) {
    let result = LdapResult::new(ResultCode::OTHER, why);
    response::extended(out, 0, &result, Some(ABORTED_TRANSACTION), Some(identifier), &[]);
}

/// What an update keeps in memory, about.
fn bytes_of(part: &Part) -> usize {
    const EACH: usize = 64;
    let values = |values: &[Vec<u8>]| values.iter().map(|value| value.len() + EACH).sum::<usize>() + 2 * EACH;
    EACH * 8
        + match part {
            Part::Work(Work::Change(Change::Add { attributes, .. })) => {
                attributes.iter().map(|attribute| values(&attribute.values)).sum()
            }
            Part::Work(Work::Change(Change::Modify { modifications, .. })) => {
                modifications.iter().map(|modification| values(&modification.attribute.values)).sum()
            }
            _ => 0,
        }
}

impl Directory {
    /// Begins a transaction; appends the response.
    pub(in crate::operation) fn start_transaction(
        &self,
        session: &Session,
        request: &ExtendedRequest<'_>,
        controls: &Controls<'_>,
    ) -> Outcome<Vec<u8>> {
        self.asked(session, controls, RequestKind::Extended)?;
        if request.value.is_some() {
            return Err(OperationError::new(ResultCode::PROTOCOL_ERROR, "the start of a transaction has no value"));
        }
        if session.requester.is_anonymous() {
            return Err(OperationError::new(
                ResultCode::STRONGER_AUTH_REQUIRED,
                "transactions are for whoever has bound; bind first",
            ));
        }
        let seconds = self.options().limits.transaction_s;
        let ends_at = self.dit().clock().monotonic() + Duration::from_secs(u64::from(seconds));
        session.transactions.begin(ends_at).map(|identifier| identifier.to_vec())
    }

    /// Ends a transaction: makes its updates, or gives them up.
    pub(in crate::operation) fn end_transaction(self: &Arc<Self>, call: ExtendedCall<'_>) -> UpdateStep {
        let read = call.read(self, |_, session, value| {
            let end = EndTransaction::decode(value)?;
            let open = session.transactions.end(end.identifier)?;
            match open.spoiled {
                Some(error) if end.commit => Err(error),
                _ if end.commit => self.check_gate().map(|()| Some(open.updates)),
                _ => Ok(None),
            }
        });
        let (updates, mut answer) = match read {
            None => return UpdateStep::Queued,
            Some((None, answer)) => {
                answer.send(&LdapResult::plain(ResultCode::SUCCESS), None, &[]);
                return UpdateStep::Queued;
            }
            Some((Some(updates), answer)) => (updates, answer),
        };
        let directory = Arc::clone(self);
        let is_costly = updates.iter().any(|update| update.part.wants_hashing());
        if is_costly {
            answer.dropped = (ResultCode::BUSY, "too many passwords are being hashed; nothing was changed");
        }
        let work = move || {
            let mut ready = Vec::with_capacity(updates.len());
            for update in updates {
                let id = update.id;
                match update.ready() {
                    Ok(update) => ready.push(update),
                    Err(error) => return answer.refuse_with(&error, end_response(Some(id), &[]).as_deref()),
                }
            }
            make(&directory, ready, answer);
        };
        if is_costly {
            return UpdateStep::Hash(Box::new(work));
        }
        work();
        UpdateStep::Queued
    }
}

/// Has the writer make all updates, once the gate for changes lets them pass.
fn make(directory: &Arc<Directory>, updates: Vec<Ready>, mut answer: Answer) {
    if !directory.is_gate_waiting() {
        return submit(directory, updates, answer);
    }
    answer.dropped = (ResultCode::BUSY, "too many changes are waiting; nothing was changed");
    let this = Arc::clone(directory);
    directory.pass_gate(Box::new(move || match this.check_gate() {
        Ok(()) => submit(&this, updates, answer),
        Err(error) => answer.refuse(&error),
    }));
}

fn submit(directory: &Arc<Directory>, updates: Vec<Ready>, mut answer: Answer) {
    answer.dropped = (ResultCode::UNAVAILABLE, "the server could not come to the transaction; nothing was changed");
    let last = |read: fn(&RequestControls) -> bool| updates.iter().any(|update| read(&update.context.controls));
    let promise = Promise {
        directory: Arc::clone(directory),
        token: last(|controls| controls.session_token.is_some()),
        asked: updates.iter().rev().find_map(|update| update.context.controls.durability),
        dot: Dot { origin: OriginId(0), sequence: 0 },
    };
    let shared = Arc::new(Mutex::new(Some(answer)));
    let in_job = Arc::clone(&shared);
    let job: Job = Box::new(move |writing| {
        let made = writing.together(|writing| {
            let mut controls = Vec::with_capacity(updates.len());
            for Ready { id, context, work } in &updates {
                controls.push((*id, context.perform(writing, work).map_err(|failure| (*id, failure))?.controls));
            }
            Ok(controls)
        });
        let controls = match made {
            Ok(controls) => controls,
            Err((id, Failure::Refused(error))) => {
                return Err((DitError::Withdrawn, refused(take(&in_job), id, error)));
            }
            Err((id, Failure::Again)) => {
                let error = OperationError::new(
                    ResultCode::ADMIN_LIMIT_EXCEEDED,
                    "more values name what would be renamed or deleted than one commit changes; do that by itself",
                );
                return Err((DitError::Withdrawn, refused(take(&in_job), id, error)));
            }
            Err((_, Failure::Broken(error))) => {
                let answer = take(&in_job);
                return Err((error, completion(answer, Ok(super::Done::default()), None, promise)));
            }
        };
        let promise = Promise { dot: writing.last_dot(), ..promise };
        Ok(completion(take(&in_job), Ok(super::Done::default()), end_response(None, &controls), promise))
    });
    if let Err(error) = directory.writer().submit_alone(job)
        && let Some(answer) = take(&shared)
    {
        let code = if directory.writer().is_poisoned() { ResultCode::UNAVAILABLE } else { ResultCode::BUSY };
        answer.refuse(&OperationError::new(code, error.to_string()));
    }
}

/// Tells which update could not be made.
fn refused(answer: Option<Answer>, id: i32, error: OperationError) -> crate::dit::Completion {
    Box::new(move |_: Committed<'_>| {
        if let Some(answer) = answer {
            answer.send(&error.as_result(), end_response(Some(id), &[]).as_deref(), &[]);
        }
    })
}
