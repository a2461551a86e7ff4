//! What one node of a leaf page leads to: a record, the record of a tree, values, or free pages.

use super::super::layout::{
    DIRTY, DUP_FIXED, INTEGER_KEY, LEAF, LEAF2, NO_PAGE, NODE_BIG, NODE_TREE, NODE_VALUES, Node, OVERFLOW, PAGE_HEAD,
    Page, SUB, TREE_BYTES, Tree, u16_at, u32_at, u64_at,
};
use super::super::source::Source;
use super::order::{Bound, Order, values};
use super::{Counted, Leaves, Walk, WalkError, Walked, What, unsound};

/// Tables in a file: far more than there are.
const TABLES_MAX: usize = 256;
/// The longest record: two values of the longest request there can be, with all that belongs to them.
const RECORD_BYTES_MAX: usize = 1 << 30;
/// Page numbers of the free list read at a time.
const FREE_PIECE: usize = 8_192;

impl<S: Source + ?Sized> Walk<'_, S> {
    /// One node of a leaf page.
    pub(super) fn record(
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
