//! The walk: from the meta pages through the free list and every tree, each page once.
//!
//! What is demanded of each page is what LMDB assumes of it: numbers inside the file, the kind that its place calls for, its
//! own number in its head, nodes inside the page and not over each other, keys in order within a tree (or it would not find
//! what is there), every leaf as deep as the tree says, counts that agree with the tree's record, no page used twice or used
//! and free at once. A page that is neither used nor free is lost room, counted and no fault.

use super::layout::{
    BRANCH, DEPTH_MAX, DIRTY, DUP_FIXED, DUP_SORT, INTEGER_DUP, INTEGER_KEY, KEY_MAX, LEAF, LEAF2, META_BYTES, Meta,
    NO_PAGE, NODE_BIG, NODE_HEAD, NODE_TREE, NODE_VALUES, Node, OVERFLOW, PAGE_HEAD, Page, SUB, TREE_BYTES, Taken,
    Tree, u16_at, u32_at, u64_at,
};
use super::source::Source;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::io;

/// Tables in a file: far more than there are.
const TABLES_MAX: usize = 256;
/// Pages that a file may say to have beyond its end: those at its end that were freed before they were ever written.
const PAGES_BEYOND_MAX: u64 = 1 << 20;
/// The longest record: two values of the longest request there can be, with all that belongs to them.
const RECORD_BYTES_MAX: usize = 1 << 30;
/// Page numbers of the free list read at a time.
const FREE_PIECE: usize = 8_192;

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

/// How keys are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Bytes,
    /// Native numbers of eight bytes.
    Number,
}

impl Order {
    fn of(is_number: bool) -> Self {
        if is_number { Self::Number } else { Self::Bytes }
    }

    fn fits(self, key: &[u8]) -> bool {
        self == Self::Bytes || key.len() == 8
    }

    fn compare(self, left: &[u8], right: &[u8]) -> Ordering {
        match self {
            Self::Bytes => left.cmp(right),
            Self::Number => u64_at(left, 0).cmp(&u64_at(right, 0)),
        }
    }
}

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

/// What the next key must be beyond.
#[derive(Default)]
struct Bound {
    key: Vec<u8>,
    is_set: bool,
    /// The key itself may come.
    may_equal: bool,
}

impl Bound {
    fn admits(&self, order: Order, key: &[u8]) -> bool {
        !self.is_set
            || match order.compare(key, &self.key) {
                Ordering::Greater => true,
                Ordering::Equal => self.may_equal,
                Ordering::Less => false,
            }
    }

    fn set(&mut self, key: &[u8], may_equal: bool) {
        self.key.clear();
        self.key.extend_from_slice(key);
        (self.is_set, self.may_equal) = (true, may_equal);
    }
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

    /// One node of a leaf page.
    fn record(
        &mut self,
        walked: &Walked<'_>,
        number: u64,
        node: &Node<'_>,
        data: &[u8],
        counted: &mut Counted,
    ) -> Result<(), WalkError> {
        let here = |what: What| unsound(number, walked.name, what);
        let kind = || here("has a record of a kind that its table does not have".into());
        counted.entries += 1;
        match walked.leaves {
            Leaves::Records(_) if node.flags & !NODE_BIG != 0 => return Err(kind()),
            Leaves::Records(false) if node.flags == 0 => {}
            Leaves::Records(wanted) => {
                let key = node.key;
                if node.flags & NODE_BIG == 0 {
                    self.records.record(walked.name, key, data).map_err(|what| here(what.into()))?;
                } else {
                    let first = u64_at(data, 0).unwrap_or(NO_PAGE);
                    let bytes = node.data_bytes();
                    counted.overflows += self.overflow(walked.name, number, first, bytes)?;
                    if wanted {
                        self.read_long(walked.name, first, bytes)?;
                        let long = std::mem::take(&mut self.long);
                        self.records
                            .record(walked.name, key, &long)
                            .map_err(|what| unsound(first, walked.name, what))?;
                        self.long = long;
                    }
                }
            }
            Leaves::Tables => {
                if node.flags != NODE_TREE || data.len() != TREE_BYTES {
                    return Err(kind());
                }
                let tree = Tree::read(data).ok_or_else(kind)?;
                if self.tables.len() >= TABLES_MAX || node.key.is_empty() {
                    return Err(here("has more tables than there are".into()));
                }
                self.tables.push((String::from_utf8_lossy(node.key).into_owned(), number, tree));
            }
            Leaves::Free(newest) => {
                if node.flags & !NODE_BIG != 0 {
                    return Err(kind());
                }
                if !(1..=newest).contains(&u64_at(node.key, 0).unwrap_or(0)) {
                    return Err(here("has free pages of a commit that was not yet".into()));
                }
                self.free_pages(number, node, data, counted)?;
            }
            Leaves::Values(size, order) => match node.flags {
                0 if data.len() == size => {}
                NODE_VALUES => {
                    let page = Page::read(data).map_err(|what| here(what.into()))?;
                    let is_sound = page.flags == LEAF | LEAF2 | SUB | DIRTY && page.pad == size && page.count > 0;
                    if !is_sound || page.number < 2 || page.number == NO_PAGE {
                        return Err(here("has values of a key in a page that is none".into()));
                    }
                    counted.entries += page.count as u64 - 1;
                    values(&page, size, order, &mut Bound::default()).map_err(here)?;
                }
                flags if flags == NODE_VALUES | NODE_TREE && data.len() == TREE_BYTES => {
                    let tree = Tree::read(data).ok_or_else(kind)?;
                    let flags = DUP_FIXED | if order == Order::Number { INTEGER_KEY } else { 0 };
                    if tree.flags != flags || tree.pad as usize != size || tree.root == NO_PAGE {
                        return Err(here("has values of a key in a tree of another kind".into()));
                    }
                    self.tree(&Walked { name: walked.name, order, leaves: Leaves::Value(size) }, number, &tree)?;
                    counted.entries += tree.entries.saturating_sub(1);
                }
                _ => return Err(kind()),
            },
            Leaves::Value(_) => return Err(kind()),
        }
        Ok(())
    }

    /// The pages of a record that is too long for a leaf; how many there are.
    fn overflow(&mut self, place: &str, from: u64, first: u64, bytes: usize) -> Result<u64, WalkError> {
        let from_here = |what: What| unsound(from, place, what);
        if first < 2 || first > self.last_page {
            return Err(from_here(format!("leads to page {first}, and there is none").into()));
        }
        if first >= self.pages_in_file {
            return Err(unsound(first, place, "is beyond the end of the file, which was cut off"));
        }
        let mut head = [0; PAGE_HEAD];
        self.source.read(first * self.page_bytes as u64, &mut head)?;
        let count = u64::from(u32_at(&head, 12).unwrap_or(0));
        if u64_at(&head, 0) != Some(first) || u16_at(&head, 10) != Some(OVERFLOW) {
            return Err(unsound(first, place, "is no overflow page, where one must be"));
        }
        if bytes > RECORD_BYTES_MAX || count * (self.page_bytes as u64) < (PAGE_HEAD + bytes) as u64 {
            return Err(from_here("has a record that is longer than the pages that hold it".into()));
        }
        self.claim(first, count).map_err(|what| unsound(first, place, what))?;
        if first + count > self.pages_in_file {
            return Err(unsound(first, place, "goes on beyond the end of the file, which was cut off"));
        }
        Ok(count)
    }

    fn read_long(&mut self, place: &str, first: u64, bytes: usize) -> Result<(), WalkError> {
        self.long.clear();
        self.long.try_reserve(bytes).map_err(|_| unsound(first, place, "has a record that is longer than memory"))?;
        self.long.resize(bytes, 0);
        Ok(self.source.read(first * self.page_bytes as u64 + PAGE_HEAD as u64, &mut self.long)?)
    }

    /// A list of free pages: how many, then their numbers, falling. There may be room behind.
    fn free_pages(
        &mut self,
        number: u64,
        node: &Node<'_>,
        data: &[u8],
        counted: &mut Counted,
    ) -> Result<(), WalkError> {
        let place = "free list";
        let here = |what: What| unsound(number, place, what);
        let bytes = node.data_bytes();
        if bytes < 8 || !bytes.is_multiple_of(8) {
            return Err(here("has a list of free pages of an odd length".into()));
        }
        let start = if node.flags & NODE_BIG == 0 {
            None
        } else {
            let first = u64_at(data, 0).unwrap_or(NO_PAGE);
            counted.overflows += self.overflow(place, number, first, bytes)?;
            Some(first * self.page_bytes as u64 + PAGE_HEAD as u64)
        };
        let mut piece = vec![0; bytes.min(8 * FREE_PIECE)];
        let (mut count, mut before) = (None, NO_PAGE);
        let mut done = 0;
        while done < bytes {
            let length = piece.len().min(bytes - done);
            let piece = piece.get_mut(..length).unwrap_or_default();
            match start {
                Some(start) => self.source.read(start + done as u64, piece)?,
                None => piece.copy_from_slice(data.get(done..done + length).unwrap_or_default()),
            }
            done += length;
            for page in piece.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)) {
                match &mut count {
                    None if page > (bytes / 8 - 1) as u64 => {
                        return Err(here("has a list of free pages that is longer than its record".into()));
                    }
                    None => count = Some(page),
                    Some(0) => return Ok(()),
                    Some(left) => {
                        *left -= 1;
                        if page >= before {
                            return Err(here("has a list of free pages that is not in order".into()));
                        }
                        before = page;
                        self.claim(page, 1).map_err(here)?;
                        self.free_count += 1;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The values of one key that stand on a page, in order.
fn values(page: &Page<'_>, size: usize, order: Order, bound: &mut Bound) -> Result<(), What> {
    if size == 0 || size > KEY_MAX {
        return Err("has values of an impossible length".into());
    }
    let mut last: Option<&[u8]> = None;
    for value in page.values(size)?.chunks_exact(size) {
        let is_next = match last {
            Some(last) => order.compare(value, last) == Ordering::Greater,
            None => bound.admits(order, value),
        };
        if !is_next {
            return Err("has values that are not in order".into());
        }
        last = Some(value);
    }
    if let Some(last) = last {
        bound.set(last, false);
    }
    Ok(())
}
