//! Content synchronisation (RFC 4533): a search whose result a client keeps, brought up to date from the log.
//!
//! Without a usable cookie everything is sent, and whatever the client has and was not named is gone (the present
//! phase). With one, exactly the entries that the log names since are looked at: those that are in the content now are
//! sent, the others are named as deleted. In the persist stage the same is done after each commit, from the position
//! that the client has; nothing is queued for it, so that a slow client costs no memory, and one that falls behind the
//! log's beginning hears e-syncRefreshRequired.
//!
//! Invariants
//! - What is sent is as of now or newer than the cookie says, never older: a cookie is given after all up to it is sent.
//! - What the requester may not see is not sent; a change of access rules, or of the groups, roles, own values and values of
//!   superiors by which they know the requester, ends in a refresh of everything.
//! - A node that does not hold all of a cookie says busy: it would send older content than the client has.
//!
//! Also sent as changed are entries whose own content stayed and whose appearance did not: those that link to an entry
//! which was renamed, moved or deleted, and those below a renamed one. Not the latter for slapd's consumer, which keeps a
//! tree, where their names follow.
//!
//! ```text
//! cookie   positions as text     gather   which entries, in which order     emit   entries and deletes as messages
//! told     superiors before what is below them
//! persistent    the older kind of following     row    the changes that it reads
//! ```

mod cookie;
mod emit;
mod gather;
mod persistent;
mod row;
mod told;

use super::access::Asker;
use super::control::RequestControls;
use super::outcome::{OperationError, Outcome};
use super::search::{Pause, Running};
use super::{Directory, Session, paged};
use crate::dit::{DitError, LogRange, LoggedChange, View};
use crate::model::{EntryUuid, Filter, ResultCode, Scope};
use crate::policy::requester::Requester;
use crate::search::{Collective, groups_of_nested};
use crate::state::UpdateVector;
use crate::storage::{EntryId, MetaName};
use crate::wire::sync::{SYNC_INFO, SyncInfo, SyncMode, SyncRequest, done_control};
use crate::wire::{ResponseControl, SearchRequest, response};
use cookie::{Brought, Maker, Position};
use emit::{Emission, Sending};
pub(super) use emit::{SendAs, shows};
use gather::{Changes, Read, Signs};
pub(super) use persistent::{Following, TOO_SLOW};
pub(super) use row::{Next, Row};

/// A new cookie is told after so many changes of which none was in the content.
const SILENT_CHANGES_MAX: u64 = 1_000;

/// How a step ended.
pub(super) enum Standing {
    /// There is more to do.
    More,
    /// Nothing, until the next commit.
    Waits,
    /// It ends so.
    Ends(ResultCode, &'static str, Option<ResponseControl>),
}

/// See the module.
pub(super) struct SyncSearch {
    id: i32,
    asker: Asker,
    /// The requester, and the groups that it was in.
    circle: Vec<EntryUuid>,
    /// What entries share by collective attributes ([`Collective::mark`]).
    shared: u64,
    /// By what access rules know the requester ([`Asker::mark`]).
    mark: u64,
    running: Box<Running>,
    mode: SyncMode,
    reload_hint: bool,
    maker: Maker,
    /// What the client has.
    position: Position,
    /// It came with a cookie: it has entries with entryCSNs of ours.
    had_cookie: bool,
    /// It is slapd's consumer.
    keeps_tree: bool,
    /// Something was sent that is newer than `position`.
    drifted: bool,
    /// Changes since the last cookie that the client was told.
    silent: u64,
    question: Question,
    stage: Stage,
}

/// What the search depends on besides the entries themselves.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) scope: Scope,
    /// The entry that it begins at.
    pub(super) base: EntryUuid,
    /// Names decide what is in the content: who is moved or renamed takes along what is below.
    pub(super) names: bool,
    /// Groups decide it, or are shown.
    pub(super) groups: bool,
}

enum Stage {
    /// Everything is sent.
    Everything,
    /// What changed is sent.
    Changes {
        /// In the refresh stage.
        refresh: bool,
        work: Box<Changes>,
    },
    Emitting {
        refresh: bool,
        work: Box<Emission>,
    },
    /// All is sent.
    Standing,
}

impl SyncSearch {
    /// A search with a sync request control. `running` is the plain search, not begun.
    pub(super) fn new(
        session: &Session,
        view: View<'_>,
        id: i32,
        request: &SearchRequest<'_>,
        controls: &RequestControls,
        sync: &SyncRequest,
        running: Box<Running>,
    ) -> Outcome<Self> {
        if request.deref.derefs_in_searching() {
            // RFC 4533 3.
            return Err(refused(
                ResultCode::PROTOCOL_ERROR,
                "aliases are not followed in a search that is kept in step",
            ));
        }
        if controls.paged.is_some() {
            return Err(refused(ResultCode::UNWILLING_TO_PERFORM, "a search that is kept in step has no pages"));
        }
        let vector = view.update_vector()?;
        let cluster =
            view.reader().meta(MetaName::Cluster)?.and_then(|id| id.first_chunk().copied()).unwrap_or_default();
        let mark = running.asker().mark();
        let shared = Collective::load(view)?.mark(view)?;
        let question = question_hash(request, controls, &session.requester) ^ mark ^ shared;
        let mut maker = Maker::new(cluster, question);
        let brought = sync.cookie.as_ref().map_or(Brought::Nothing, |cookie| maker.read(cookie, &vector));
        if let Brought::Position(position) = &brought
            && let Some(missing) = missing(position, &vector)
        {
            return Err(OperationError::new(ResultCode::BUSY, missing));
        }
        // slapd's consumer has the hint set always, and asks the same again when it is honoured.
        let is_whole = sync.cookie.as_deref().is_some_and(Maker::is_whole);
        let keeps_tree = !is_whole && sync.cookie.as_deref().is_some_and(|cookie| cookie.starts_with(b"rid="));
        let base = view.entry(running.base())?;
        let is_suffix = base.is_some_and(|base| base.record.parent() == EntryId::NONE);
        let mut made = Self {
            id,
            asker: running.asker().clone(),
            mark,
            circle: circle_of(view, &session.requester)?,
            shared,
            question: Question {
                scope: request.scope,
                base: base.map_or(EntryUuid::NIL, |base| base.record.uuid()),
                names: !keeps_tree
                    || names_places(&request.filter)
                    || !session.requester.is_administrator()
                    || !is_suffix,
                groups: mentions_groups(request),
            },
            running,
            mode: sync.mode,
            reload_hint: sync.reload_hint && is_whole,
            maker,
            position: Position::default(),
            keeps_tree,
            had_cookie: brought != Brought::Nothing,
            drifted: false,
            silent: 0,
            stage: Stage::Standing,
        };
        match brought {
            Brought::Position(position) => {
                let work = Box::new(Changes::new(&position, &vector));
                made.position = position;
                made.stage = Stage::Changes { refresh: true, work };
            }
            Brought::Foreign if sync.reload_hint => {
                return Err(refused(ResultCode::E_SYNC_REFRESH_REQUIRED, NOT_OURS));
            }
            _ => made.send_everything(view, &vector)?,
        }
        Ok(made)
    }

    /// Whether it goes on until somebody ends it.
    pub(super) fn is_endless(&self) -> bool {
        self.mode == SyncMode::RefreshAndPersist
    }

    /// Goes on; appends some `bytes_max` bytes.
    pub(super) fn step(&mut self, directory: &Directory, out: &mut Vec<u8>, bytes_max: usize) -> Outcome<Standing> {
        let start = out.len();
        if let Stage::Everything = self.stage {
            return self.step_everything(directory, out, bytes_max);
        }
        let snapshot = directory.dit().read()?;
        let view = snapshot.view();
        let vector = view.update_vector()?;
        if !self.asker.is_administrator() {
            self.asker = directory.access.renew(&directory.dit, &self.asker, view)?.asker();
            let mark = self.asker.mark();
            if self.mark != mark {
                self.maker.question ^= self.mark ^ mark;
                self.mark = mark;
                return self.lost(view, &vector, self.is_refreshing(), OTHER_RULES);
            }
        }
        let inherited = self.asker.inherited(view);
        let shared = Collective::load(view)?.mark(view)?;
        if self.shared != shared {
            self.maker.question ^= self.shared ^ shared;
            self.shared = shared;
            return self.lost(view, &vector, self.is_refreshing(), OTHER_SHARED);
        }
        loop {
            match &mut self.stage {
                Stage::Everything => return Ok(Standing::More),
                Stage::Standing => {
                    let later = Position::of(&vector);
                    if later.sequences.iter().all(|(origin, held)| self.position.sequence(*origin) >= *held) {
                        return Ok(Standing::Waits);
                    }
                    let work = Box::new(Changes::new(&self.position, &vector));
                    self.stage = Stage::Changes { refresh: false, work };
                }
                Stage::Changes { refresh, work } => {
                    let refresh = *refresh;
                    let signs = Signs { circle: &self.circle, inherited: &inherited };
                    match work.read(view, signs)? {
                        Read::More if work.count % 4_096 < 64 && work.count > 4_096 => return Ok(Standing::More),
                        Read::More => {}
                        Read::Lost => return self.lost(view, &vector, refresh, TOO_OLD),
                        Read::Done if work.rules && !self.asker.is_administrator() => {
                            return self.lost(view, &vector, refresh, OTHER_RULES);
                        }
                        Read::Done => {
                            let work = std::mem::take(&mut **work);
                            let Some(work) = Emission::new(view, work, &self.question)? else {
                                return self.lost(view, &vector, refresh, TOO_MUCH);
                            };
                            self.stage = Stage::Emitting { refresh, work: Box::new(work) };
                        }
                    }
                }
                Stage::Emitting { refresh, work } => {
                    let refresh = *refresh;
                    let teller = emit::Teller {
                        id: self.id,
                        sid: self.maker.sid(work.changes.target()),
                        is_exact: !self.drifted,
                        question: self.question,
                        running: &mut self.running,
                    };
                    let room = bytes_max.saturating_sub(out.len() - start);
                    match work.step(directory, &self.asker, (view, &vector), teller, out, room)? {
                        Sending::Done => {}
                        Sending::More => {
                            self.drifted = true;
                            return Ok(Standing::More);
                        }
                        Sending::Lost => return self.lost(view, &vector, refresh, TOO_OLD),
                    }
                    let (sent, changes) = (work.sent, work.changes.count);
                    let target = work.changes.target().clone();
                    // Entries were looked at in this snapshot; at other than the target they may be newer.
                    self.drifted = Position::of(&vector).sequences != target.sequences;
                    self.position.advance(&target);
                    self.silent += changes;
                    self.stage = Stage::Standing;
                    if refresh {
                        return Ok(self.refreshed(out, true));
                    }
                    if sent > 0 || self.silent >= SILENT_CHANGES_MAX {
                        self.silent = 0;
                        let cookie = self.maker.cookie(&self.position);
                        self.tell(out, &SyncInfo::NewCookie(cookie));
                    }
                }
            }
            if out.len() - start >= bytes_max {
                return Ok(Standing::More);
            }
        }
    }

    fn is_refreshing(&self) -> bool {
        matches!(self.stage, Stage::Changes { refresh: true, .. } | Stage::Emitting { refresh: true, .. })
    }

    fn step_everything(&mut self, directory: &Directory, out: &mut Vec<u8>, bytes_max: usize) -> Outcome<Standing> {
        Ok(match self.running.step(directory, self.id, out, bytes_max)? {
            Pause::Budget | Pause::PageFull => Standing::More,
            Pause::End(ResultCode::SUCCESS, _) => {
                self.running.send_as(None);
                self.running.selection().show_entry_csn(None);
                self.running.forget_plan();
                // The walk may have seen more than the position says.
                self.drifted = true;
                self.stage = Stage::Standing;
                self.refreshed(out, false)
            }
            Pause::End(code, text) => Standing::Ends(code, text, None),
        })
    }

    /// The refresh stage is over. `deletes`: what left the content was named.
    fn refreshed(&mut self, out: &mut Vec<u8>, deletes: bool) -> Standing {
        self.silent = 0;
        let for_foreign = self.maker.first_cookie(&self.position);
        let is_told_in_two = for_foreign.is_some();
        let cookie = for_foreign.unwrap_or_else(|| self.maker.cookie(&self.position));
        if self.mode == SyncMode::RefreshOnly {
            return Standing::Ends(ResultCode::SUCCESS, "", Some(done_control(&cookie, deletes)));
        }
        let cookie = Some(cookie);
        self.tell(
            out,
            &match deletes {
                true => SyncInfo::RefreshDelete { cookie, done: true },
                false => SyncInfo::RefreshPresent { cookie, done: true },
            },
        );
        if is_told_in_two {
            let cookie = self.maker.cookie(&self.position);
            self.tell(out, &SyncInfo::NewCookie(cookie));
        }
        Standing::More
    }

    fn tell(&self, out: &mut Vec<u8>, info: &SyncInfo) {
        response::intermediate(out, self.id, Some(SYNC_INFO), Some(&info.encode()), &[]);
    }

    /// What changed cannot be told: everything is sent anew, or the client is told to ask for that.
    fn lost(&mut self, view: View<'_>, vector: &UpdateVector, refresh: bool, why: &'static str) -> Outcome<Standing> {
        if !refresh || self.reload_hint {
            return Ok(Standing::Ends(ResultCode::E_SYNC_REFRESH_REQUIRED, why, None));
        }
        self.send_everything(view, vector)?;
        Ok(Standing::More)
    }

    fn send_everything(&mut self, view: View<'_>, vector: &UpdateVector) -> Outcome<()> {
        let time_ms = self.position.time_ms.max(self.maker.time_ms()).max(newest_ms(view, vector)?);
        let fresh = Position { time_ms, ..Position::of(vector) };
        let since = std::mem::replace(&mut self.position, fresh);
        let since = (self.keeps_tree && !since.sequences.is_empty()).then_some(since);
        let csn = self.had_cookie.then(|| self.position.clone());
        self.maker.take_over(&self.position);
        let sid = self.maker.sid(&self.position);
        self.running.plan(view)?;
        self.running.send_as(Some(SendAs::new(csn, sid, since)));
        self.stage = Stage::Everything;
        Ok(())
    }
}

const NOT_OURS: &str = "the sync cookie is not of this directory and this search; begin without one";
const TOO_OLD: &str = "changes since the sync cookie are not kept any more; begin without one";
const OTHER_RULES: &str = "access rules, or what they know you by (groups, values of superiors), changed since the sync cookie; begin without one";
const OTHER_SHARED: &str =
    "values that entries share (collective attributes) changed since the sync cookie; begin without one";
const TOO_MUCH: &str = "more entries are concerned than can be told apart; begin without a sync cookie";

fn refused(code: ResultCode, text: &'static str) -> OperationError {
    OperationError::new(code, text)
}

/// Why this node cannot serve a client that has more than it holds.
fn missing(position: &Position, vector: &UpdateVector) -> Option<String> {
    let beyond = position.beyond(vector);
    let (origin, sequence) = beyond.first()?;
    let held = vector.sequence(*origin);
    Some(format!(
        "this server holds {held} of the {sequence} changes of origin {origin}, which the cookie has; try again"
    ))
}

/// The time of the newest change that is kept of each origin.
pub(super) fn newest_ms(view: View<'_>, vector: &UpdateVector) -> Result<u64, DitError> {
    let clock = view.reader().meta(MetaName::Clock)?.and_then(|bytes| bytes.first_chunk::<16>());
    let mut newest = clock.map_or(0, |clock| crate::state::Csn::from_be_bytes(*clock).ms());
    for (origin, position) in vector.iter().filter(|(_, position)| position.sequence > 0) {
        if let LogRange::Records(records) = view.log_range(origin, position.sequence, 1)?
            && let Some(record) = records.first()
        {
            newest = newest.max(LoggedChange::read(view, record)?.stamp.csn.ms());
        }
    }
    Ok(newest)
}

/// `contextCSN` of a suffix, as OpenLDAP's tools want it: one value for each origin.
///
/// # Errors
/// Storage.
pub(super) fn context_csns(view: View<'_>) -> Result<Vec<String>, DitError> {
    let vector = view.update_vector()?;
    let time_ms = newest_ms(view, &vector)?;
    Ok(Position { time_ms, ..Position::of(&vector) }.csns())
}

/// The requester and the groups that it is in, through others too.
fn circle_of(view: View<'_>, requester: &Requester) -> Outcome<Vec<EntryUuid>> {
    let Some(uuid) = requester.entry_uuid() else { return Ok(Vec::new()) };
    let mut circle = vec![uuid];
    if let Some(entry) = view.by_uuid(uuid)?.map(|id| view.entry(id)).transpose()?.flatten() {
        for group in groups_of_nested(view, &entry)? {
            circle.extend(view.entry(group)?.map(|group| group.record.uuid()));
        }
    }
    Ok(circle)
}

fn question_hash(request: &SearchRequest<'_>, controls: &RequestControls, requester: &Requester) -> u64 {
    let who = match requester.entry_uuid() {
        Some(uuid) => uuid.0,
        None => [u8::from(requester.is_administrator()); 16],
    };
    let mut bytes = paged::fingerprint(request, controls).to_be_bytes().to_vec();
    bytes.extend_from_slice(&who);
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// Whether a filter looks at names.
fn names_places(filter: &Filter<'_>) -> bool {
    let text = filter.to_string().to_ascii_lowercase();
    text.contains(":dn:") || text.contains("entrydn")
}

fn mentions_groups(request: &SearchRequest<'_>) -> bool {
    let is_group = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.contains("memberof") || name.contains("nsrole")
    };
    request.attributes.iter().any(|name| is_group(name)) || is_group(&request.filter.to_string())
}
