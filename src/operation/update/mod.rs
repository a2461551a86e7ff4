//! Writing: add, delete, modify, modify DN, and the password modify operation (RFC 4511 4.6 to 4.9, RFC 3062).
//!
//! All five go one way. On the connection's thread the request is made an owned change and whatever the schema alone
//! can say against it is said ([`intake`]). Passwords are hashed on the server's hashing pool. Then the change waits
//! in the writer's queue, and inside the writer's transaction everything else is decided, in this order: where the
//! name leads (with referrals), who may do it, what is asserted, what is there already, what the schema says of the
//! result. Only then is anything written; the answer goes out after the commit.
//!
//! Invariants
//! - refused-untouched: a refused change has put nothing into the transaction, but perhaps a number for an attribute
//!   description that was new.
//! - durable-answer: success is said after the commit; if that fails, so is the failure said.
//! - answered-once: every request is answered exactly once, even if its job is dropped unrun ([`Answer`]).
//! - No clear password is stored, logged or kept in the queue; none is hashed on the writer's thread.
//! - An entry on which the requester has no right is answered like an absent one.
//!
//! ```text
//! intake    request -> owned change            add, delete, modify, modify_dn    one operation each, in the transaction
//! secret    hashing clear passwords            edit        a list of modifications folded to its effects
//! target    names to entries, referrals        held        what an attribute holds before the list
//! sound     schema of the result               reads       the entry before and after, for the client
//! password_change    what a password policy says
//! password_modify    RFC 3062                          reindex     the index built anew
//! schema_change    definitions of cn=subschema          beside_tree    what is asked and read of entries beside the tree
//! unique    values that one entry alone may have
//! resolve   conflicts restored or dismissed            undelete    deleted entries brought back
//! delete_tree    a subtree at once                           transaction    updates all together (RFC 5805)
//! ```

mod add;
mod beside_tree;
mod delete;
mod delete_tree;
mod edit;
mod held;
mod intake;
mod modify;
mod modify_dn;
mod password_change;
mod password_modify;
mod place;
mod reads;
mod reindex;
mod resolve;
mod schema_change;
mod secret;
mod sound;
mod target;
mod transaction;
mod undelete;
mod unique;

use super::answer::Answer;
use super::assurance::{Acknowledged, DurabilityRequest, durability_control};
use super::control::{RequestControls, RequestKind};
use super::outcome::{OperationError, Outcome};
use super::{Directory, Session, virtual_entry};
use crate::dit::{Committed, Completion, ConflictState, DitError, Job, Writing};
use crate::model::{Change, Dn, EntryUuid, ResultCode, Scope};
use crate::policy::requester::Requester;
use crate::state::{Dot, OriginId};
use crate::storage::EntryId;
use crate::wire::assurance::DurabilityLevel;
use crate::wire::password_policy::PASSWORD_POLICY;
use crate::wire::transaction::TRANSACTION;
use crate::wire::{Controls, LdapResult, Request, ResponseControl, ResponseKind};
use std::sync::Arc;
pub use transaction::Transactions;

/// Takes the complete response PDU: after the commit, or at once when refused before queueing. Must not block.
pub type Reply = Box<dyn FnOnce(Vec<u8>) + Send>;

/// What the caller has left to do.
#[must_use = "a hashing step must be run on the hashing pool"]
pub enum UpdateStep {
    /// Nothing: the reply was called, or will be.
    Queued,
    /// A password is to be hashed or verified, which takes 20 ms and more: run this on the hashing pool; it hashes and
    /// then queues. Dropped unrun, it answers `busy`.
    Hash(Box<dyn FnOnce() + Send>),
}

/// What a change came to, before the commit.
#[derive(Default)]
struct Done {
    controls: Vec<ResponseControl>,
}

/// Why a change inside the transaction was not made.
enum Failure {
    /// Nothing was written.
    Refused(OperationError),
    /// Something may have been written: the transaction is to be dropped.
    Broken(DitError),
    /// Very many values say the name that would go, and some were made links (see [`link_ahead`]): that is to be committed,
    /// and the change tried again.
    Again,
}

impl<E: Into<OperationError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// Who asked, with which controls: what a change carries with it into the queue.
struct Context {
    directory: Arc<Directory>,
    requester: Requester,
    controls: RequestControls,
    /// The entry of the request, where that is beside the tree.
    beside: Option<Dn>,
    /// SCRAM verifiers of the password that the change sets.
    verifiers: Vec<String>,
}

/// What waits in the writer's queue.
enum Work {
    Change(Change),
    AdministratorPassword {
        hash: Vec<u8>,
        /// The stored value that the old password fitted.
        expected: Option<Vec<u8>>,
    },
    Reindex,
    /// Definitions come and go.
    Schema(Vec<schema_change::Step>),
    /// What becomes of a conflict.
    Resolve {
        id: String,
        state: ConflictState,
    },
    /// A deleted entry comes back, perhaps under another name.
    Undelete {
        uuid: EntryUuid,
        to: Option<Dn>,
    },
    /// An entry whose superior is not here gets one.
    Place {
        uuid: EntryUuid,
        to: Dn,
    },
}

impl Context {
    /// Who is written down as creator and modifier.
    fn author(&self) -> String {
        self.requester.dn().unwrap_or("cn=anonymous").to_owned()
    }

    /// Does the work in the transaction.
    fn perform(&self, writing: &mut Writing<'_>, work: &Work) -> Result<Done, Failure> {
        let Some(dn) = &self.beside else { return self.make(writing, work) };
        let mut done = Done::default();
        beside_tree::before(self, writing.view(), dn, &mut done)?;
        done.controls.extend(self.asked_already().make(writing, work)?.controls);
        beside_tree::after(self, writing, dn, &mut done);
        Ok(done)
    }

    fn make(&self, writing: &mut Writing<'_>, work: &Work) -> Result<Done, Failure> {
        let change = match work {
            Work::Change(change) => change,
            Work::AdministratorPassword { hash, expected } => {
                if expected
                    .as_ref()
                    .is_some_and(|expected| writing.administrator_password().ok().as_ref() != Some(expected))
                {
                    let advice = "the password was changed by somebody else just now; try again";
                    return Err(OperationError::new(ResultCode::BUSY, advice).into());
                }
                writing.set_administrator_password(hash).map_err(Failure::Broken)?;
                return Ok(Done::default());
            }
            Work::Schema(steps) => return schema_change::perform(self, writing, steps),
            Work::Resolve { id, state } => return resolve::perform(self, writing, id, *state),
            Work::Undelete { uuid, to } => return undelete::perform(self, writing, *uuid, to.as_ref()),
            Work::Place { uuid, to } => return place::perform(self, writing, *uuid, to),
            Work::Reindex => {
                writing.reindex(&mut |_, _| {}).map_err(Failure::Broken)?;
                return Ok(Done::default());
            }
        };
        match change {
            Change::Add { dn, attributes } => add::perform(self, writing, dn, attributes),
            Change::Delete { dn } => delete::perform(self, writing, dn),
            Change::Modify { dn, modifications } => modify::perform(self, writing, dn, modifications),
            Change::ModifyDn { dn, new_rdn, delete_old_rdn, new_superior } => {
                let renaming = modify_dn::Renaming {
                    new_rdn,
                    delete_old_rdn: *delete_old_rdn,
                    new_superior: new_superior.as_ref(),
                };
                modify_dn::perform(self, writing, dn, &renaming)
            }
        }
    }
}

/// Before a change that takes the name from the entry `id` (and `with_subordinates` from what is below it): very many texts that
/// say it become links in commits of their own. Call it when all else is decided, before anything is written.
fn link_ahead(
    context: &Context,
    writing: &mut Writing<'_>,
    id: EntryId,
    with_subordinates: bool,
) -> Result<(), Failure> {
    // Of a trial nothing stays, and what belongs together has one commit.
    if context.controls.no_op {
        return Ok(());
    }
    match writing.link_texts_ahead(id, &context.author(), with_subordinates) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Failure::Again),
        Err(error) => Err(Failure::Broken(error)),
    }
}

impl Directory {
    /// Takes an add, delete, modify or modify DN request; `reply` gets its response.
    ///
    /// Returns at once. What can be refused by the schema alone is refused before this returns; the rest is decided
    /// in the writer's transaction and answered after its commit. Changes that need no hashing are made in the order
    /// of these calls.
    pub fn update(
        self: &Arc<Self>,
        session: &Session,
        id: i32,
        request: &Request<'_>,
        controls: &Controls<'_>,
        reply: Reply,
    ) -> UpdateStep {
        let (response, kind, dn) = match request {
            Request::Add(add) => (ResponseKind::Add, RequestKind::Add, add.dn),
            Request::Delete { dn } => (ResponseKind::Delete, RequestKind::Delete, *dn),
            Request::ModifyDn(modify_dn) => (ResponseKind::ModifyDn, RequestKind::ModifyDn, modify_dn.dn),
            Request::Modify(modify) => (ResponseKind::Modify, RequestKind::Modify, modify.dn),
            _ => (ResponseKind::Modify, RequestKind::Modify, ""),
        };
        let mut answer = Answer::new(reply, id, response);
        answer.says_policy = controls.find(PASSWORD_POLICY).is_some();
        let prepared = self.asked_about(session, controls, kind, dn).and_then(|asked| {
            let session = asked.session(session);
            self.check_gate()?;
            let ours = match resolve::read(&session.requester, request)? {
                Some(work) => Some(work),
                None => schema_change::read(&session.requester, request)?,
            };
            if asked.controls.transaction.is_some() && matches!(ours, Some(Work::Schema(_))) {
                // The updates after it are read by the schema in force, long before the transaction ends.
                return Err(OperationError::new(
                    ResultCode::UNWILLING_TO_PERFORM,
                    "the schema is not changed within a transaction: change cn=subschema first, by itself, and begin the \
                     transaction then",
                ));
            }
            let beside = ours.is_some().then(|| Dn::parse(dn)).transpose()?;
            let work = match ours {
                Some(work) => work,
                None => {
                    self.check_is_no_view(session, request, dn)?;
                    let giving = intake::Giving::of(&session.requester, &asked.controls)?;
                    Work::Change(intake::read(self.dit().catalog().schema(), giving, request)?)
                }
            };
            Ok((Context { beside, ..self.context(session, asked.controls.clone()) }, work))
        });
        match prepared {
            Err(error) => {
                if let Some(identifier) = controls.find(TRANSACTION).and_then(|control| control.value) {
                    session.transactions.spoil(identifier, &error);
                }
                answer.refuse(&error);
            }
            Ok((context, work)) if context.controls.transaction.is_some() => {
                match session.transactions.gather(id, context, transaction::Part::Work(work)) {
                    Ok(()) => answer.send(&LdapResult::plain(ResultCode::SUCCESS), None, &[]),
                    Err(error) => answer.refuse(&error),
                }
            }
            Ok((context, Work::Change(change))) if secret::wants_hashing(&change) => {
                return hash_first(context, change, answer);
            }
            Ok((context, work)) => queue(context, work, answer, None),
        }
        UpdateStep::Queued
    }

    /// What is told beside the tree (cn=monitor and its like) follows from other things, and is not written.
    ///
    /// # Errors
    /// unwillingToPerform, insufficientAccessRights; noSuchObject, where the requester is not told of it.
    fn check_is_no_view(&self, session: &Session, request: &Request<'_>, name: &str) -> Outcome<()> {
        let mut dn = Dn::parse(name)?;
        if matches!(request, Request::Add(_))
            && let Some(superior) = dn.superior().filter(|superior| !superior.is_root())
        {
            dn = superior;
        }
        if dn.is_root() || !virtual_entry::is_base(&dn, Scope::Base) {
            return Ok(());
        }
        let snapshot = self.dit().read()?;
        match virtual_entry::find(self, session, snapshot.view(), &dn)? {
            Some(_) if session.requester.is_administrator() => Err(OperationError::new(
                ResultCode::UNWILLING_TO_PERFORM,
                format!("{dn} is what the server tells of itself and of what was done: it can be read, not written"),
            )),
            Some(_) => Err(OperationError::insufficient_access(
                "you may read this, and nobody writes it; what is to be decided there, the administrator decides",
            )),
            None => Ok(()),
        }
    }

    fn context(self: &Arc<Self>, session: &Session, controls: RequestControls) -> Context {
        let (directory, requester) = (Arc::clone(self), session.requester.clone());
        Context { directory, requester, controls, beside: None, verifiers: Vec::new() }
    }
}

fn hash_first(mut context: Context, mut change: Change, mut answer: Answer) -> UpdateStep {
    answer.dropped = (ResultCode::BUSY, "too many passwords are being hashed; try again later");
    UpdateStep::Hash(Box::new(move || {
        if let Err(error) = password_change::check(&context, &change) {
            return answer.refuse(&error);
        }
        context.verifiers = secret::verifiers(&context, &change);
        if let Err(error) = secret::hash(&context, &mut change) {
            return answer.refuse(&error);
        }
        queue(context, Work::Change(change), answer, None);
    }))
}

/// Hands the work to the writer, once the gate for changes lets it pass.
fn queue(context: Context, work: Work, mut answer: Answer, value: Option<Vec<u8>>) {
    if !context.directory.is_gate_waiting() {
        return submit(context, work, answer, value);
    }
    answer.dropped = (ResultCode::BUSY, "too many changes are waiting; try again later");
    let directory = Arc::clone(&context.directory);
    directory.pass_gate(Box::new(move || match context.directory.check_gate() {
        Ok(()) => submit(context, work, answer, value),
        Err(error) => answer.refuse(&error),
    }));
}

/// Hands the work to the writer. `value`: what the response of an extended operation says on success.
fn submit(context: Context, work: Work, mut answer: Answer, value: Option<Vec<u8>>) {
    answer.dropped = (ResultCode::UNAVAILABLE, "the server could not come to the change; it was not made");
    let directory = Arc::clone(&context.directory);
    let promise = Promise {
        directory: Arc::clone(&directory),
        token: context.controls.session_token.is_some(),
        asked: context.controls.durability,
        dot: Dot { origin: OriginId(0), sequence: 0 },
    };
    // The answer is shared with the job only so that a job that is not taken can be answered with the reason.
    let shared = Arc::new(std::sync::Mutex::new(Some(answer)));
    let in_job = Arc::clone(&shared);
    let is_trial = context.controls.no_op;
    let job: Job = Box::new(move |writing| {
        let outcome = context.perform(writing, &work);
        let answer = take(&in_job);
        let promise = Promise { dot: writing.last_dot(), ..promise };
        match outcome {
            Ok(_) if is_trial => Err((DitError::Withdrawn, completion(answer, Err(no_operation()), None, promise))),
            Ok(done) => Ok(completion(answer, Ok(done), value, promise)),
            Err(Failure::Refused(error)) => Ok(completion(answer, Err(error), None, promise)),
            Err(Failure::Broken(error)) => Err((error, completion(answer, Ok(Done::default()), None, promise))),
            Err(Failure::Again) => Ok(Box::new(move |committed: Committed<'_>| match (answer, committed) {
                (Some(answer), Ok(())) => submit(context, work, answer, value),
                (Some(answer), Err(error)) => answer.refuse(&not_committed(error)),
                (None, _) => {}
            })),
        }
    });
    let writer = directory.writer();
    let submitted = if is_trial { writer.submit_alone(job) } else { writer.submit(job) };
    if let Err(error) = submitted
        && let Some(answer) = take(&shared)
    {
        let code = if directory.writer().is_poisoned() { ResultCode::UNAVAILABLE } else { ResultCode::BUSY };
        answer.refuse(&OperationError::new(code, error.to_string()));
    }
}

/// The answer to a change that would have been made (draft-zeilenga-ldap-noop).
fn no_operation() -> OperationError {
    OperationError::new(ResultCode::NO_OPERATION, "the change would have been made")
}

fn take(shared: &std::sync::Mutex<Option<Answer>>) -> Option<Answer> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
}

/// What is left to do after the commit: to answer. A refusal stands whatever becomes of the commit.
fn completion(answer: Option<Answer>, outcome: Outcome<Done>, value: Option<Vec<u8>>, promise: Promise) -> Completion {
    Box::new(move |committed: Committed<'_>| {
        let Some(answer) = answer else { return };
        match (outcome, committed) {
            (Err(error), _) => answer.refuse(&error),
            (Ok(done), Ok(())) => promise.keep(answer, done, value),
            (Ok(_), Err(error)) => answer.refuse(&not_committed(error)),
        }
    })
}

/// What a change that is committed owes its client before the answer.
struct Promise {
    directory: Arc<Directory>,
    token: bool,
    asked: Option<DurabilityRequest>,
    dot: Dot,
}

impl Promise {
    /// Answers, at once or when others hold the change too.
    fn keep(self, answer: Answer, mut done: Done, value: Option<Vec<u8>>) {
        if self.token {
            done.controls.extend(self.directory.token_control());
        }
        let success = LdapResult::plain(ResultCode::SUCCESS);
        let request = self.asked.unwrap_or_else(|| self.directory.options().durability);
        if request.level == DurabilityLevel::Local {
            if self.asked.is_some() {
                done.controls.push(durability_control(&Acknowledged { met: true, ..Acknowledged::default() }));
            }
            return answer.send(&success, value.as_deref(), &done.controls);
        }
        let is_asked = self.asked.is_some();
        let reply = Box::new(move |acknowledged: Acknowledged| {
            if is_asked || !acknowledged.met {
                done.controls.push(durability_control(&acknowledged));
            }
            answer.send(&success, value.as_deref(), &done.controls);
        });
        self.directory.acknowledgements().wait_for(self.dot, request, reply);
    }
}

/// The commit of a group failed: nothing of it is stored. The writer has logged why.
fn not_committed(error: &DitError) -> OperationError {
    match error {
        DitError::Storage(crate::storage::StorageError::Full(_)) => OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "the change was not made: the server has no room for more data; it can still be read",
        ),
        DitError::Unavailable(reason) => {
            OperationError::new(ResultCode::UNAVAILABLE, format!("the change was not made: {reason}"))
        }
        _ => OperationError::new(
            ResultCode::UNAVAILABLE,
            "the change was not made: the server could not store it; its log says more. It may be tried again",
        ),
    }
}

#[cfg(test)]
mod tests;
