//! The walk: from the meta pages through the free list and every tree, each page once.
//!
//! What is demanded of each page is what LMDB assumes of it: numbers inside the file, the kind that its place calls for, its
//! own number in its head, nodes inside the page and not over each other, keys in order within a tree (or it would not find
//! what is there), every leaf as deep as the tree says, counts that agree with the tree's record, no page used twice or used
//! and free at once. A page that is neither used nor free is lost room, counted and no fault.

mod order;
mod record;

use super::layout::{
    BRANCH, DEPTH_MAX, DUP_SORT, INTEGER_DUP, INTEGER_KEY, LEAF, LEAF2, META_BYTES, Meta, NO_PAGE, NODE_HEAD,
    PAGE_HEAD, Page, Taken, Tree, u16_at, u64_at,
};
use super::source::Source;
use order::{Bound, Order, values};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::io;

/// Pages that a file may say to have beyond its end: those at its end that were freed before they were ever written.
const PAGES_BEYOND_MAX: u64 = 1 << 20;

/// What a sound file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Soundness {
    /// Pages up to the last one that was ever used.
    pub pages: u64,
    /// Pages on the free list.
    pub free: u64,
    /// Pages that are neither used nor free.
    pub lost: u64,
}

/// The first thing that is wrong with a data file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("page {page} ({place}) {what}")]
pub struct Unsound {
    /// The page, counted from 0.
    pub page: u64,
    /// The table that it belongs to.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

/// Why a walk ended.
#[derive(Debug)]
pub(super) enum WalkError {
    Io(io::Error),
    Unsound(Unsound),
}

impl From<io::Error> for WalkError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A table as this program opens it.
pub(super) struct Expected {
    pub(super) name: &'static str,
    pub(super) flags: u16,
    /// Where a key has several values: the bytes of each.
    pub(super) value_bytes: usize,
}

/// Who looks at records on the way.
pub(super) trait Records {
    /// Whether those of this table are to be read.
    fn wants(&self, table: &str) -> bool;

    /// # Errors
    /// In words.
    fn record(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), String>;
}

type What = Cow<'static, str>;

/// What the leaves of a tree hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// Lists of free pages, of commits up to this one.
    Free(u64),
    /// One record a key; whether somebody looks at them.
    Records(bool),
    /// Records of trees.
    Tables,
    /// One or more values of so many bytes a key.
    Values(usize, Order),
    /// The values themselves, of so many bytes.
    Value(usize),
}

/// A tree to walk.
struct Walked<'n> {
    name: &'n str,
    order: Order,
    leaves: Leaves,
}

#[derive(Default)]
struct Counted {
    branches: u64,
    leaves: u64,
    overflows: u64,
    entries: u64,
}

struct Walk<'s, S: ?Sized> {
    source: &'s S,
    records: &'s mut dyn Records,
    page_bytes: usize,
    pages_in_file: u64,
    last_page: u64,
    /// A bit for each page that was come to.
    seen: Vec<u64>,
    seen_count: u64,
    free_count: u64,
    /// Pages' buffers that are not in use.
    spare: Vec<Vec<u8>>,
    /// What belongs to a node already, of the leaf page and of the branch page at hand: below a leaf page there may be trees.
    taken: Taken,
    taken_on_branch: Taken,
    /// The records of trees found in the main tree.
    tables: Vec<(String, u64, Tree)>,
    long: Vec<u8>,
}

/// Walks the newest state, or that of the commit `number`.
pub(super) fn walk<S: Source + ?Sized>(
    source: &S,
    expected: &[Expected],
    number: Option<u64>,
    records: &mut dyn Records,
) -> Result<Soundness, WalkError> {
    let meta = newest(source, number)?;
    let pages_in_file = source.length() / meta.page_bytes as u64;
    let at = meta.transaction % 2;
    if meta.last_page < 1 || meta.last_page > pages_in_file.saturating_mul(2).saturating_add(PAGES_BEYOND_MAX) {
        return Err(unsound(at, "meta", "says that the file ends where it cannot"));
    }
    let words = usize::try_from(meta.last_page / 64 + 1).unwrap_or(usize::MAX);
    let mut walk = Walk {
        source,
        records,
        page_bytes: meta.page_bytes,
        pages_in_file,
        last_page: meta.last_page,
        seen: vec![0; words],
        seen_count: 0,
        free_count: 0,
        spare: Vec::new(),
        taken: Taken::new(),
        taken_on_branch: Taken::new(),
        tables: Vec::new(),
        long: Vec::new(),
    };
    let free = Walked { name: "free list", order: Order::Number, leaves: Leaves::Free(meta.transaction) };
    walk.tree(&free, at, &meta.free)?;
    walk.tree(&Walked { name: "main", order: Order::Bytes, leaves: Leaves::Tables }, at, &meta.main)?;
    for (name, page, tree) in std::mem::take(&mut walk.tables) {
        let known = expected.iter().find(|expected| expected.name == name);
        if known.map_or(tree.flags & !INTEGER_KEY != 0, |known| known.flags != tree.flags) {
            return Err(unsound(page, "main", format!("says that table {name} is of another kind than it is")));
        }
        let leaves = match known {
            Some(known) if known.flags & DUP_SORT != 0 => {
                Leaves::Values(known.value_bytes, Order::of(known.flags & INTEGER_DUP != 0))
            }
            _ => Leaves::Records(walk.records.wants(&name)),
        };
        walk.tree(&Walked { name: &name, order: Order::of(tree.flags & INTEGER_KEY != 0), leaves }, page, &tree)?;
    }
    let pages = walk.last_page + 1;
    Ok(Soundness { pages, free: walk.free_count, lost: (pages - 2).saturating_sub(walk.seen_count) })
}

fn unsound(page: u64, place: &str, what: impl Into<What>) -> WalkError {
    WalkError::Unsound(Unsound { page, place: place.to_owned(), what: what.into().into_owned() })
}

/// The meta page that LMDB goes by, after a look at both.
fn newest<S: Source + ?Sized>(source: &S, number: Option<u64>) -> Result<Meta, WalkError> {
    let read = |page: u64, offset: u64| {
        let mut bytes = [0; META_BYTES];
        if source.length() < offset + META_BYTES as u64 {
            return Err(unsound(page, "meta", "is cut off"));
        }
        source.read(offset, &mut bytes)?;
        Meta::read(&bytes).map_err(|what| unsound(page, "meta", what))
    };
    let first = read(0, 0)?;
    let second = read(1, first.page_bytes as u64)?;
    if source.length() < 2 * first.page_bytes as u64 {
        return Err(unsound(1, "meta", "is cut off"));
    }
    if first.page_bytes != second.page_bytes {
        return Err(unsound(1, "meta", "has another size of pages than the other one"));
    }
    if let Some(number) = number {
        let meta = if number % 2 == 0 { first } else { second };
        return if meta.transaction == number {
            Ok(meta)
        } else {
            Err(WalkError::Io(io::Error::new(io::ErrorKind::Interrupted, "too many commits meanwhile")))
        };
    }
    let (at, newer, older) =
        if first.transaction < second.transaction { (1, second, first) } else { (0, first, second) };
    if newer.transaction % 2 != at || (newer.transaction == older.transaction && newer.transaction != 0) {
        return Err(unsound(at, "meta", "has a transaction number that belongs to the other one"));
    }
    Ok(newer)
}

impl<S: Source + ?Sized> Walk<'_, S> {
    /// Comes to `count` pages from `page` on, each for the first time.
    fn claim(&mut self, page: u64, count: u64) -> Result<(), What> {
        let end = page.checked_add(count).filter(|end| *end <= self.last_page + 1);
        let Some(end) = end.filter(|_| page > 1) else {
            return Err(format!("leads to page {page}, and there is none").into());
        };
        for page in page..end {
            let word = self.seen.get_mut((page / 64) as usize).ok_or("leads beyond all pages")?;
            let bit = 1 << (page % 64);
            if *word & bit != 0 {
                return Err(format!("leads to page {page}, which is in use or free already").into());
            }
            *word |= bit;
        }
        self.seen_count += count;
        Ok(())
    }

    /// Reads a page that was claimed.
    fn page(&mut self, number: u64, place: &str) -> Result<Vec<u8>, WalkError> {
        if number >= self.pages_in_file {
            return Err(unsound(number, place, "is beyond the end of the file, which was cut off"));
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.resize(self.page_bytes, 0);
        self.source.read(number * self.page_bytes as u64, &mut bytes)?;
        if u64_at(&bytes, 0) != Some(number) {
            return Err(unsound(number, place, "is not the one that it says it is"));
        }
        Ok(bytes)
    }

    /// `from`: the page that holds the tree's record.
    fn tree(&mut self, walked: &Walked<'_>, from: u64, tree: &Tree) -> Result<(), WalkError> {
        let place = walked.name;
        let mut counted = Counted::default();
        if tree.root == NO_PAGE {
            if tree.depth != 0 {
                return Err(unsound(from, place, "says that an empty tree is deep"));
            }
        } else if !(1..=DEPTH_MAX).contains(&tree.depth) {
            return Err(unsound(from, place, "says that a tree is deeper than one can be, or not at all"));
        } else {
            self.claim(tree.root, 1).map_err(|what| unsound(from, place, what))?;
            self.levels(walked, tree, &mut counted)?;
        }
        let is = (counted.branches, counted.leaves, counted.overflows, counted.entries);
        let says = (tree.branches, tree.leaves, tree.overflows, tree.entries);
        if is != says {
            let what = format!(
                "says that a tree has {says:?} branch pages, leaf pages, overflow pages and entries, and it has {is:?}"
            );
            return Err(unsound(from, place, what));
        }
        Ok(())
    }

    fn levels(&mut self, walked: &Walked<'_>, tree: &Tree, counted: &mut Counted) -> Result<(), WalkError> {
        let place = walked.name;
        let mut bound = Bound::default();
        // The branch pages from the root down to where the walk is, with the node that comes next.
        let mut above: Vec<(u64, Vec<u8>, usize)> = Vec::new();
        let mut number = tree.root;
        loop {
            let bytes = self.page(number, place)?;
            let here = |what: What| unsound(number, place, what);
            let flags = u16_at(&bytes, 10).unwrap_or_default();
            if above.len() + 1 == usize::from(tree.depth) {
                let wanted = if matches!(walked.leaves, Leaves::Value(_)) { LEAF | LEAF2 } else { LEAF };
                if flags != wanted {
                    return Err(here("is no leaf page, where one must be".into()));
                }
                counted.leaves += 1;
                self.leaf(walked, number, &bytes, &mut bound, counted)?;
                self.spare.push(bytes);
            } else {
                if flags != BRANCH {
                    return Err(here("is no branch page, where one must be".into()));
                }
                counted.branches += 1;
                self.branch(walked, &bytes).map_err(here)?;
                above.push((number, bytes, 0));
            }
            // On to the next page below the lowest branch page that has one.
            number = loop {
                let Some((at, bytes, next)) = above.last_mut() else { return Ok(()) };
                let here = |what: What| unsound(*at, place, what);
                let page = Page::read(bytes).map_err(|what| here(what.into()))?;
                if *next == page.count {
                    if let Some((_, bytes, _)) = above.pop() {
                        self.spare.push(bytes);
                    }
                    continue;
                }
                let node = page.node(*next).map_err(|what| here(what.into()))?;
                // The first of a branch page stands for all that is less.
                if *next > 0 {
                    if !bound.admits(walked.order, node.key) {
                        return Err(here("has keys that are not in order".into()));
                    }
                    bound.set(node.key, true);
                }
                *next += 1;
                let (at, child) = (*at, node.child());
                self.claim(child, 1).map_err(|what| unsound(at, place, what))?;
                break child;
            };
        }
    }

    /// Whether the nodes of a branch page are sound; where they lead is looked at one by one.
    fn branch(&mut self, walked: &Walked<'_>, bytes: &[u8]) -> Result<(), What> {
        let page = Page::read(bytes)?;
        let few = if matches!(walked.leaves, Leaves::Free(_)) { 1 } else { 2 };
        if page.count < few {
            return Err("has fewer pages below it than a branch page must".into());
        }
        self.taken_on_branch.clear(bytes.len());
        for index in 0..page.count {
            let node = page.node(index)?;
            if !self.taken_on_branch.take(node.offset, NODE_HEAD + node.key.len()) {
                return Err("has nodes that lie over each other".into());
            }
            if index > 0 && !walked.order.fits(node.key) {
                return Err("has a key of another length than its table has".into());
            }
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        walked: &Walked<'_>,
        number: u64,
        bytes: &[u8],
        bound: &mut Bound,
        counted: &mut Counted,
    ) -> Result<(), WalkError> {
        let here = |what: What| unsound(number, walked.name, what);
        let page = Page::read(bytes).map_err(|what| here(what.into()))?;
        if page.count == 0 {
            return Err(here("is empty, and would have been taken away".into()));
        }
        if let Leaves::Value(size) = walked.leaves {
            counted.entries += page.count as u64;
            return values(&page, size, walked.order, bound).map_err(here);
        }
        self.taken.clear(bytes.len());
        let node_max = (((self.page_bytes - PAGE_HEAD) / 2) & !1) - 2;
        let mut last: Option<&[u8]> = None;
        for index in 0..page.count {
            let node = page.node(index).map_err(|what| here(what.into()))?;
            let data = node.data().map_err(|what| here(what.into()))?;
            let length = NODE_HEAD + node.key.len() + data.len();
            if length > node_max {
                return Err(here("has a record that is too long to be there".into()));
            }
            if !self.taken.take(node.offset, length) {
                return Err(here("has records that lie over each other".into()));
            }
            let is_next = match last {
                Some(last) => walked.order.compare(node.key, last) == Ordering::Greater,
                None => bound.admits(walked.order, node.key),
            };
            if !walked.order.fits(node.key) || !is_next {
                return Err(here("has keys that are not in order".into()));
            }
            last = Some(node.key);
            self.record(walked, number, &node, data, counted)?;
        }
        if let Some(last) = last {
            bound.set(last, false);
        }
        Ok(())
    }
}
