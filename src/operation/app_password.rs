//! App passwords: several named secrets for one account, each for one program, each revocable by itself.
//!
//! A program that knows the password of a person can do whatever the person can, and cannot be locked out without the
//! person. So an account may have further secrets: the server makes them up (100 bits), shows each once, and keeps a salted
//! SHA-512 of it, which for a secret of that size is as good as a slow hash and does not make every bind with a password
//! pay for every program. They work in a simple bind and in PLAIN; a lock of the account holds for them too, the expiry
//! of the password does not.
//!
//! Invariants
//! - Only the owner and the administrator make, list and revoke them, and not by a session that came in with one: a
//!   program cannot give itself a second life.
//! - The secret is nowhere but in the one answer.

use super::answer::Answer;
use super::outcome::Outcome;
use super::password_policy::{cell, clear, second_text};
use super::{Directory, ExtendedCall, OperationError, Session, lookup};
use crate::dit::{Committed, Completion, DitError, Entry, Target, View, Writing};
use crate::model::{AttributeDescription, Dn, EntryUuid, ResultCode};
use crate::policy::password_hash::{self, Verdict, random_bytes, verify};
use crate::policy::password_policy::SECOND;
use crate::schema::time::parse_generalized_time;
use crate::state::Delta;
use crate::storage::EntryId;
use crate::wire::LdapResult;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use std::sync::Arc;

/// App passwords of one account.
const APP_PASSWORDS_MAX: usize = 32;
/// Characters of a name.
const NAME_CHARACTERS_MAX: usize = 64;
/// The last use is written when the one in the tree is older.
const LAST_USE_APART_US: i64 = 3_600 * SECOND;
/// Who is said to have written the last use.
const AUTHOR: &str = "cn=password policy";

/// A secret that fitted.
pub(super) struct AppPassword {
    /// Of which program.
    pub(super) name: String,
}

/// The app password of an entry that this is. Cost: a hash of a microsecond for each.
pub(super) fn of(view: View<'_>, entry: &Entry<'_>, password: &[u8]) -> Option<AppPassword> {
    let values = values_of(view, entry, "appPassword");
    let fitting =
        values.iter().filter_map(|value| parts(value)).find(|(_, _, hash)| verify(hash, password) == Verdict::Match)?;
    Some(AppPassword { name: String::from_utf8_lossy(fitting.0).into_owned() })
}

/// What is asked for in the value of the extended operation, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
struct Order {
    action: Action,
    /// Whose; the requester's own if not said.
    dn: Option<String>,
    /// Of which program; not for `list`.
    name: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Action {
    Add,
    List,
    Revoke,
}

/// One line of a list.
#[derive(Serialize)]
struct Listed {
    name: String,
    created: String,
    #[serde(rename = "lastUse")]
    last_use: Option<String>,
}

impl Directory {
    /// Takes an order about app passwords.
    pub(super) fn app_password_order(self: &Arc<Self>, call: ExtendedCall<'_>) {
        let read = call.read(self, |asked, own, value| self.read_order(asked.session(own), value));
        let (change, answer) = match read {
            None => return,
            Some((Step::Answer(text), answer)) => return tell(answer, Ok(text)),
            Some((Step::Change(change), answer)) => (change, answer),
        };
        let submitted = self.writer().submit(Box::new(move |writing: &mut Writing<'_>| {
            let outcome = change(writing);
            let completed = |outcome: Outcome<String>| -> Completion {
                Box::new(move |committed: Committed<'_>| {
                    let outcome = match committed {
                        Ok(()) => outcome,
                        Err(_) => Err(OperationError::new(ResultCode::UNAVAILABLE, "the change was not made")),
                    };
                    tell(answer, outcome);
                })
            };
            match outcome {
                Ok(text) => Ok(completed(Ok(text))),
                Err(Refusal::Refused(error)) => Ok(completed(Err(error))),
                Err(Refusal::Broken(error)) => Err((error, completed(Ok(String::new())))),
            }
        }));
        if let Err(error) = submitted {
            // The answer went with the job, and says that the server could not come to it.
            tracing::debug!(%error, "an order about app passwords was not taken");
        }
    }

    fn read_order(&self, session: &Session, value: Option<&[u8]>) -> Outcome<Step> {
        let malformed = |text: String| OperationError::new(ResultCode::PROTOCOL_ERROR, text);
        let order: Order = serde_json::from_slice(value.unwrap_or_default())
            .map_err(|error| malformed(format!("the order is not understood: {error}")))?;
        if session.by_app_password {
            let text = "app passwords are managed with the password of the account, not with one of them";
            return Err(OperationError::insufficient_access(text));
        }
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        let nobody = || OperationError::no_such_object("");
        let entry = match &order.dn {
            Some(text) => lookup::named(view, &Dn::parse(text)?)?,
            None => {
                let own = session.requester.entry_uuid().map(|uuid| view.by_uuid(uuid)).transpose()?.flatten();
                own.map(|id| view.entry(id)).transpose()?.flatten()
            }
        };
        let entry = entry.filter(super::act_as::may_bind);
        let is_own = entry.as_ref().is_some_and(|entry| session.requester.entry_uuid() == Some(entry.record.uuid()));
        if !is_own && !session.requester.is_administrator() {
            return Err(OperationError::insufficient_access("app passwords are for their owner and the administrator"));
        }
        let entry = entry.ok_or_else(nobody)?;
        if order.action == Action::List {
            let text = serde_json::to_string(&list(view, &entry)).map_err(|error| malformed(error.to_string()))?;
            return Ok(Step::Answer(text));
        }
        self.check_gate()?;
        let name = order.name.filter(|name| is_name(name)).ok_or_else(|| {
            malformed(format!("a name has 1 to {NAME_CHARACTERS_MAX} letters that can be seen, and no #"))
        })?;
        let (uuid, author) = (entry.record.uuid(), session.requester.dn().unwrap_or_default().to_owned());
        let now_us = self.now_us();
        Ok(Step::Change(Box::new(move |writing| {
            let view = writing.view();
            let id = view
                .by_uuid(uuid)
                .map_err(refuse)?
                .ok_or_else(|| Refusal::Refused(OperationError::no_such_object("")))?;
            let held = match view.entry(id).map_err(refuse)? {
                Some(entry) => values_of(view, &entry, "appPassword"),
                None => Vec::new(),
            };
            let known: Vec<&Vec<u8>> =
                held.iter().filter(|value| parts(value).is_some_and(|parts| parts.0 == name.as_bytes())).collect();
            let (deltas, text) = match order.action {
                Action::Add => {
                    if !known.is_empty() {
                        let text = "there is an app password of this name; revoke it first, or choose another name";
                        return Err(Refusal::Refused(OperationError::new(ResultCode::ATTRIBUTE_OR_VALUE_EXISTS, text)));
                    }
                    if held.len() >= APP_PASSWORDS_MAX {
                        let text = format!("an account has at most {APP_PASSWORDS_MAX} app passwords");
                        return Err(Refusal::Refused(OperationError::new(ResultCode::ADMIN_LIMIT_EXCEEDED, text)));
                    }
                    let secret = password_hash::generate();
                    let value = format!("{name}#{}#{}", second_text(now_us), hash_of(&secret));
                    let delta = cell(writing, "appPassword", value.as_bytes(), true).map_err(Refusal::Refused)?;
                    let text = serde_json::json!({ "name": name, "password": secret.as_str() }).to_string();
                    (vec![delta], text)
                }
                _ => {
                    if known.is_empty() {
                        let text = "there is no app password of this name";
                        return Err(Refusal::Refused(OperationError::new(ResultCode::NO_SUCH_ATTRIBUTE, text)));
                    }
                    let mut deltas = Vec::new();
                    for value in known {
                        deltas.push(cell(writing, "appPassword", value, false).map_err(Refusal::Refused)?);
                    }
                    deltas.extend(without_use(writing, id, &name).map_err(Refusal::Refused)?);
                    (deltas, serde_json::json!({ "name": name }).to_string())
                }
            };
            writing.change(Target::Existing(id), &author, deltas).map_err(Refusal::Broken)?;
            Ok(text)
        })))
    }

    /// A program came in with its secret.
    pub(super) fn note_app_password(self: &Arc<Self>, uuid: EntryUuid, name: &str) {
        let now_us = self.now_us();
        let is_recent = || -> Outcome<bool> {
            let snapshot = self.dit.read()?;
            let view = snapshot.view();
            let Some(entry) = view.by_uuid(uuid)?.map(|id| view.entry(id)).transpose()?.flatten() else {
                return Ok(true);
            };
            Ok(last_use(view, &entry, name).is_some_and(|used| now_us < used + LAST_USE_APART_US))
        };
        if is_recent().unwrap_or(true) || self.is_gate_waiting() || self.check_gate().is_err() {
            return;
        }
        let name = name.to_owned();
        // A full queue: the next use is written.
        let _ = self.writer().submit(Box::new(move |writing: &mut Writing<'_>| {
            let done = || -> Completion { Box::new(|_: Committed<'_>| {}) };
            let change = |writing: &mut Writing<'_>| -> Outcome<Option<(EntryId, Vec<Delta>)>> {
                let Some(id) = writing.view().by_uuid(uuid)? else { return Ok(None) };
                let mut deltas = without_use(writing, id, &name)?;
                let value = format!("{name}#{}", second_text(now_us));
                deltas.push(cell(writing, "appPasswordLastUse", value.as_bytes(), true)?);
                Ok(Some((id, deltas)))
            };
            match change(writing) {
                Ok(Some((id, deltas))) => match writing.change(Target::Existing(id), AUTHOR, deltas) {
                    Ok(_) => Ok(done()),
                    Err(error) => Err((error, done())),
                },
                Ok(None) => Ok(done()),
                Err(error) => {
                    tracing::error!(%error, "the last use of an app password could not be written");
                    Ok(done())
                }
            }
        }));
    }
}

type Change = Box<dyn FnOnce(&mut Writing<'_>) -> Result<String, Refusal> + Send>;

enum Step {
    Answer(String),
    Change(Change),
}

enum Refusal {
    Refused(OperationError),
    Broken(DitError),
}

fn refuse(error: DitError) -> Refusal {
    Refusal::Refused(error.into())
}

fn tell(answer: Answer, outcome: Outcome<String>) {
    match outcome {
        Ok(text) => answer.send(&LdapResult::plain(ResultCode::SUCCESS), Some(text.as_bytes()), &[]),
        Err(error) => answer.refuse(&error),
    }
}

/// `name#time#hash`.
fn parts(value: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut parts = value.splitn(3, |byte| *byte == b'#');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

fn is_name(name: &str) -> bool {
    (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(|letter| letter.is_control() || letter == '#')
}

fn hash_of(secret: &str) -> String {
    let mut salt = [0; 16];
    random_bytes(&mut salt);
    let mut hashed = Sha512::new().chain_update(secret.as_bytes()).chain_update(salt).finalize().to_vec();
    hashed.extend_from_slice(&salt);
    format!("{{SSHA512}}{}", STANDARD.encode(hashed))
}

fn values_of(view: View<'_>, entry: &Entry<'_>, name: &str) -> Vec<Vec<u8>> {
    let id = AttributeDescription::parse(name).ok().and_then(|name| view.catalog().find(&name));
    let slice = id.and_then(|id| entry.record.any_attribute(id));
    slice.map(|slice| slice.values().map(<[u8]>::to_vec).collect()).unwrap_or_default()
}

/// When a program last came, in unix microseconds: the newest, as several suppliers may have written one.
fn last_use(view: View<'_>, entry: &Entry<'_>, name: &str) -> Option<i64> {
    let values = values_of(view, entry, "appPasswordLastUse");
    let uses = values.iter().filter_map(|value| {
        let mut parts = value.splitn(2, |byte| *byte == b'#');
        let is_it = parts.next()? == name.as_bytes();
        is_it.then(|| parse_generalized_time(parts.next()?)).flatten()
    });
    uses.max().map(|ms| ms * 1_000)
}

/// The deltas that take the last use of a program away.
fn without_use(writing: &mut Writing<'_>, id: EntryId, name: &str) -> Outcome<Vec<Delta>> {
    let held = {
        let view = writing.view();
        view.entry(id)?.map(|entry| values_of(view, &entry, "appPasswordLastUse")).unwrap_or_default()
    };
    let prefix = format!("{name}#");
    if held.iter().all(|value| value.starts_with(prefix.as_bytes())) {
        return Ok(clear(writing, id, "appPasswordLastUse")?.into_iter().collect());
    }
    let gone = held.iter().filter(|value| value.starts_with(prefix.as_bytes()));
    gone.map(|value| cell(writing, "appPasswordLastUse", value, false)).collect()
}

fn list(view: View<'_>, entry: &Entry<'_>) -> Vec<Listed> {
    let values = values_of(view, entry, "appPassword");
    let mut listed: Vec<Listed> = values
        .iter()
        .filter_map(|value| {
            let (name, created, _) = parts(value)?;
            let name = String::from_utf8_lossy(name).into_owned();
            let last_use = last_use(view, entry, &name).map(second_text);
            Some(Listed { name, created: String::from_utf8_lossy(created).into_owned(), last_use })
        })
        .collect();
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_secret_fits_its_hash_alone() {
        let secret = password_hash::generate();
        let hash = hash_of(&secret);
        assert_eq!(verify(hash.as_bytes(), secret.as_bytes()), Verdict::Match);
        assert_eq!(verify(hash.as_bytes(), b"another"), Verdict::Mismatch);
        assert!(!password_hash::is_costly(hash.as_bytes()));
    }

    #[test]
    fn names_that_would_break_the_value_are_none() {
        assert!(is_name("Ann's phone") && is_name("päckchen"));
        for bad in ["", " x", "a#b", "a\nb", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
