//! Candidates read piece by piece from what a plan names.
//!
//! A [`Sequence`] is owned and knows how far it has read, so that it goes on in a later snapshot; the cursors of the
//! snapshot at hand are in an [`Open`]. One branch is read after the other and each only as far as it is asked for:
//! an OR with a size limit stops when the limit is full. Ids that came before are left out by remembering them, up to
//! a bound; beyond it the search goes over to scanning, which repeats nothing.

use super::SearchError;
use super::candidates::{List, Plan, Range};
use crate::dit::View;
use crate::storage::{EntryId, IndexCursor, Postings};
use hashbrown::HashSet;

/// Keys and ids read in one go, whatever they yield.
const STEPS_MAX: usize = 2_048;
/// Ids remembered so as not to be repeated.
const SEEN_MAX: usize = 1_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Sequence {
    branches: Vec<Branch>,
    at: usize,
    /// Whether an id may come twice.
    repeats: bool,
    seen: HashSet<EntryId>,
}

#[derive(Debug)]
enum Branch {
    Ids { ids: Vec<EntryId>, at: usize },
    Lists { lists: Vec<List>, after: EntryId },
    Range { range: Range, after: Option<(Vec<u8>, EntryId)> },
}

/// Cursors of one snapshot on the branch being read.
#[derive(Default)]
pub(super) enum Open<'t> {
    #[default]
    Nothing,
    Lists(Vec<OpenList<'t>>),
    Range {
        cursor: Box<IndexCursor<'t>>,
        item: Option<(&'t [u8], EntryId)>,
    },
}

pub(super) struct OpenList<'t> {
    postings: Postings<'t>,
    head: Option<EntryId>,
}

/// How a reading ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Filled {
    /// There may be more.
    More,
    /// All was read.
    End,
    /// Too many ids to remember: what is left must be found by a scan that leaves out those seen.
    Overflow,
}

impl Sequence {
    /// A sequence over `Ids`, `Lists`, `Range` or `Any` of these.
    pub(super) fn new(plan: Plan) -> Self {
        let plans = match plan {
            Plan::Any(plans) => plans,
            plan => vec![plan],
        };
        let branches: Vec<Branch> = plans.into_iter().filter_map(Branch::new).collect();
        let repeats = branches.len() > 1 || branches.iter().any(|branch| matches!(branch, Branch::Range { .. }));
        Self { branches, at: 0, repeats, seen: HashSet::new() }
    }

    /// The ids given out so far, as far as they were remembered.
    pub(super) fn into_seen(self) -> HashSet<EntryId> {
        self.seen
    }

    /// Reads about `wanted` ids into `out` (emptied first), ascending. Returns how it ended and the work it was.
    pub(super) fn fill<'t>(
        &mut self,
        view: View<'t>,
        open: &mut Open<'t>,
        wanted: usize,
        out: &mut Vec<EntryId>,
    ) -> Result<(Filled, usize), SearchError> {
        out.clear();
        let mut steps = 0;
        while out.len() < wanted && steps < STEPS_MAX {
            let Some(branch) = self.branches.get_mut(self.at) else { break };
            let ended = branch.read(view, open, wanted - out.len(), STEPS_MAX - steps, out, &mut steps)?;
            if ended {
                self.at += 1;
                *open = Open::Nothing;
            }
        }
        let ended = self.at >= self.branches.len();
        if self.repeats {
            out.sort_unstable();
            out.dedup();
            if !(ended && self.seen.is_empty()) {
                let seen = &mut self.seen;
                out.retain(|id| seen.insert(*id));
            }
        }
        let filled = match (ended, self.seen.len() > SEEN_MAX) {
            (true, _) => Filled::End,
            (false, true) => Filled::Overflow,
            (false, false) => Filled::More,
        };
        Ok((filled, steps))
    }
}

impl Branch {
    fn new(plan: Plan) -> Option<Self> {
        match plan {
            Plan::Ids(ids) => Some(Self::Ids { ids, at: 0 }),
            Plan::Lists(lists) => Some(Self::Lists { lists, after: EntryId::NONE }),
            Plan::Range(range) => Some(Self::Range { range, after: None }),
            Plan::Any(_) | Plan::Everything { .. } | Plan::Nothing => None,
        }
    }

    /// Reads at most `wanted` ids in at most `steps_max` steps. Returns whether the branch has ended.
    fn read<'t>(
        &mut self,
        view: View<'t>,
        open: &mut Open<'t>,
        wanted: usize,
        steps_max: usize,
        out: &mut Vec<EntryId>,
        steps: &mut usize,
    ) -> Result<bool, SearchError> {
        match self {
            Self::Ids { ids, at } => {
                let rest = ids.get(*at..).unwrap_or_default();
                let taken = rest.get(..wanted).unwrap_or(rest);
                out.extend_from_slice(taken);
                *at += taken.len();
                *steps += taken.len() / 16 + 1;
                Ok(*at >= ids.len())
            }
            Self::Lists { lists, after } => read_lists(view, lists, after, open, (wanted, steps_max), out, steps),
            Self::Range { range, after } => read_range(view, range, after, open, (wanted, steps_max), out, steps),
        }
    }
}

fn read_lists<'t>(
    view: View<'t>,
    lists: &[List],
    after: &mut EntryId,
    open: &mut Open<'t>,
    (wanted, steps_max): (usize, usize),
    out: &mut Vec<EntryId>,
    steps: &mut usize,
) -> Result<bool, SearchError> {
    if !matches!(open, Open::Lists(_)) {
        let mut opened = Vec::with_capacity(lists.len());
        for list in lists {
            let Some(mut postings) = Postings::open(view.reader(), &list.key)? else { return Ok(true) };
            let head = if *after == EntryId::NONE {
                postings.next()?
            } else {
                postings.seek(EntryId(after.0.saturating_add(1)))?
            };
            opened.push(OpenList { postings, head });
        }
        *open = Open::Lists(opened);
    }
    let Open::Lists(opened) = open else { return Ok(true) };
    let Some((driver, others)) = opened.split_first_mut() else { return Ok(true) };
    let (mut taken, mut used) = (0, 0);
    while taken < wanted && used < steps_max {
        let Some(mut id) = driver.head else {
            *steps += used;
            return Ok(true);
        };
        used += 1;
        *after = id;
        let mut agreed = true;
        for other in others.iter_mut() {
            if other.head.is_some_and(|head| head < id) {
                other.head = other.postings.seek(id)?;
            }
            match other.head {
                None => {
                    *steps += used;
                    return Ok(true);
                }
                Some(head) if head > id => {
                    id = head;
                    agreed = false;
                    break;
                }
                Some(_) => {}
            }
        }
        if agreed {
            out.push(id);
            taken += 1;
            driver.head = driver.postings.next()?;
        } else {
            driver.head = driver.postings.seek(id)?;
        }
    }
    *steps += used;
    Ok(false)
}

fn read_range<'t>(
    view: View<'t>,
    range: &Range,
    after: &mut Option<(Vec<u8>, EntryId)>,
    open: &mut Open<'t>,
    (wanted, steps_max): (usize, usize),
    out: &mut Vec<EntryId>,
    steps: &mut usize,
) -> Result<bool, SearchError> {
    let (mut cursor, mut item) = match std::mem::take(open) {
        Open::Range { cursor, item } => (cursor, item),
        _ => begin_range(view, range, after.as_ref())?,
    };
    let (mut taken, mut used) = (0, 0);
    let mut judged: Option<&[u8]> = None;
    while taken < wanted && used < steps_max {
        let Some((key, id)) = item.filter(|(key, _)| range.reaches(key)) else {
            *steps += used;
            return Ok(true);
        };
        used += 1;
        if judged != Some(key) {
            judged = Some(key);
            if range.passes_over(key) {
                cursor.pass_key(key)?;
                if range.until.is_none() {
                    used += cursor.pass_keys(&range.within, steps_max - used, |key| range.passes_over(key))?;
                }
                item = cursor.next()?;
                continue;
            }
        }
        out.push(id);
        taken += 1;
        item = cursor.next()?;
    }
    *steps += used;
    // Where to go on: at the item that was not taken.
    *after = item.map(|(key, id)| (key.to_vec(), id));
    let ended = item.is_none_or(|(key, _)| !range.reaches(key));
    *open = Open::Range { cursor, item };
    Ok(ended)
}

type Opened<'t> = (Box<IndexCursor<'t>>, Option<(&'t [u8], EntryId)>);

fn begin_range<'t>(
    view: View<'t>,
    range: &Range,
    from: Option<&(Vec<u8>, EntryId)>,
) -> Result<Opened<'t>, SearchError> {
    // The key may be gone since, or the ids under it that had not been read: it goes on with what comes next.
    let (key, id) = from.map_or((range.from.as_slice(), EntryId::NONE), |(key, id)| (key.as_slice(), *id));
    let mut cursor = Box::new(IndexCursor::seek(view.reader(), key, id)?);
    let item = cursor.next()?;
    Ok((cursor, item))
}

/// All ids of a plan, ascending; `None` when there are more than `ids_max` or finding them takes more than
/// `steps_max` steps.
pub(super) fn collect(
    view: View<'_>,
    plan: &Plan,
    ids_max: usize,
    steps_max: usize,
) -> Result<Option<Vec<EntryId>>, SearchError> {
    let mut sequence = Sequence::new(plan.clone());
    sequence.repeats = false;
    let (mut open, mut all, mut batch, mut work) = (Open::Nothing, Vec::new(), Vec::new(), 0);
    loop {
        let (filled, steps) = sequence.fill(view, &mut open, ids_max.saturating_add(1).min(STEPS_MAX), &mut batch)?;
        all.append(&mut batch);
        work += steps;
        if all.len() > ids_max {
            all.sort_unstable();
            all.dedup();
            if all.len() > ids_max {
                return Ok(None);
            }
        }
        if filled == Filled::End {
            all.sort_unstable();
            all.dedup();
            return Ok(Some(all));
        }
        if work > steps_max {
            return Ok(None);
        }
    }
}
