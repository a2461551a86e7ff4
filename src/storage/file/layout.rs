//! What stands where in a data file: meta pages, pages, nodes, the record of a tree.
//!
//! ```text
//! page     0 number u64 | 8 pad u16 (LEAF2: bytes of a value) | 10 flags u16 | 12 lower u16 | 14 upper u16 | 16 offsets u16…
//!          an overflow page has how many pages it takes (u32) in the place of lower and upper, then the data
//! node     0 low u16 | 2 high u16 (leaf: bytes of the data; branch: page, with the flags as its top) | 4 flags u16
//!          | 6 bytes of the key u16 | 8 key | data
//! tree     0 pad u32 | 4 flags u16 | 6 depth u16 | 8 branch pages u64 | 16 leaf pages | 24 overflow pages | 32 entries | 40 root
//! meta     16 magic u32 | 20 version u32 | 24 address u64 | 32 map size u64 | 40 free list (tree; its pad is the page size)
//!          | 88 main tree | 136 last page u64 | 144 transaction u64
//! ```
//!
//! Nothing here believes a number: every access is one that can fail.

/// Bytes before the offsets of a page.
pub(super) const PAGE_HEAD: usize = 16;
/// Bytes before the key of a node.
pub(super) const NODE_HEAD: usize = 8;
/// Bytes of the record of a tree.
pub(super) const TREE_BYTES: usize = 48;
/// Bytes of a meta page that say something.
pub(super) const META_BYTES: usize = 152;
/// The root of a tree that has none.
pub(super) const NO_PAGE: u64 = u64::MAX;
/// The longest key, and the longest value of those that have several.
pub(super) const KEY_MAX: usize = 511;
/// Levels of a tree that LMDB can go down.
pub(super) const DEPTH_MAX: u16 = 32;

pub(super) const BRANCH: u16 = 0x01;
pub(super) const LEAF: u16 = 0x02;
pub(super) const OVERFLOW: u16 = 0x04;
pub(super) const META: u16 = 0x08;
pub(super) const DIRTY: u16 = 0x10;
pub(super) const LEAF2: u16 = 0x20;
pub(super) const SUB: u16 = 0x40;

/// The data is on an overflow page.
pub(super) const NODE_BIG: u16 = 0x01;
/// The data is the record of a tree.
pub(super) const NODE_TREE: u16 = 0x02;
/// The data is a page, or the record of a tree, of values.
pub(super) const NODE_VALUES: u16 = 0x04;

/// Flags of trees.
pub(super) const DUP_SORT: u16 = 0x04;
pub(super) const INTEGER_KEY: u16 = 0x08;
pub(super) const DUP_FIXED: u16 = 0x10;
pub(super) const INTEGER_DUP: u16 = 0x20;

const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The record of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tree {
    pub(super) pad: u32,
    pub(super) flags: u16,
    pub(super) depth: u16,
    pub(super) branches: u64,
    pub(super) leaves: u64,
    pub(super) overflows: u64,
    pub(super) entries: u64,
    pub(super) root: u64,
}

impl Tree {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            pad: u32_at(bytes, 0)?,
            flags: u16_at(bytes, 4)?,
            depth: u16_at(bytes, 6)?,
            branches: u64_at(bytes, 8)?,
            leaves: u64_at(bytes, 16)?,
            overflows: u64_at(bytes, 24)?,
            entries: u64_at(bytes, 32)?,
            root: u64_at(bytes, 40)?,
        })
    }
}

/// A meta page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    pub(super) page_bytes: usize,
    pub(super) free: Tree,
    pub(super) main: Tree,
    pub(super) last_page: u64,
    pub(super) transaction: u64,
}

impl Meta {
    /// # Errors
    /// In words.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let cut = "is cut off";
        if u16_at(bytes, 10).ok_or(cut)? & META == 0 {
            return Err("is no meta page");
        }
        if u32_at(bytes, 16).ok_or(cut)? != MAGIC {
            return Err("does not say that this is an LMDB file");
        }
        if u32_at(bytes, 20).ok_or(cut)? != VERSION {
            return Err("has a version that is not known here");
        }
        let tree = |at: usize| bytes.get(at..).and_then(Tree::read).ok_or(cut);
        let (free, main) = (tree(40)?, tree(88)?);
        let page_bytes = usize::try_from(free.pad).unwrap_or(usize::MAX);
        if !page_bytes.is_power_of_two() || !(4_096..=32_768).contains(&page_bytes) {
            return Err("has an impossible size of pages");
        }
        if free.flags != INTEGER_KEY {
            return Err("has flags that this program never sets");
        }
        if main.flags != 0 {
            return Err("has flags of the main tree that this program never sets");
        }
        let (last_page, transaction) = (u64_at(bytes, 136).ok_or(cut)?, u64_at(bytes, 144).ok_or(cut)?);
        if transaction > u64::MAX >> 1 {
            return Err("has an impossible transaction number");
        }
        Ok(Self { page_bytes, free, main, last_page, transaction })
    }
}

/// A branch or leaf page, or a page of values inside a node, whose bounds are sound.
#[derive(Clone, Copy)]
pub(super) struct Page<'p> {
    bytes: &'p [u8],
    pub(super) number: u64,
    pub(super) pad: usize,
    pub(super) flags: u16,
    /// Nodes, or values on a LEAF2 page.
    pub(super) count: usize,
    upper: usize,
}

impl<'p> Page<'p> {
    /// # Errors
    /// In words.
    pub(super) fn read(bytes: &'p [u8]) -> Result<Self, &'static str> {
        let cut = "is cut off";
        let number = u64_at(bytes, 0).ok_or(cut)?;
        let pad = usize::from(u16_at(bytes, 8).ok_or(cut)?);
        let flags = u16_at(bytes, 10).ok_or(cut)?;
        let (lower, upper) = (usize::from(u16_at(bytes, 12).ok_or(cut)?), usize::from(u16_at(bytes, 14).ok_or(cut)?));
        if lower < PAGE_HEAD || lower % 2 != 0 || lower > upper || upper > bytes.len() {
            return Err("has bounds of its free space that are not inside it");
        }
        Ok(Self { bytes, number, pad, flags, count: (lower - PAGE_HEAD) / 2, upper })
    }

    /// # Errors
    /// In words.
    pub(super) fn node(&self, index: usize) -> Result<Node<'p>, &'static str> {
        let beyond = "has a node that reaches beyond it";
        let offset = usize::from(u16_at(self.bytes, PAGE_HEAD + 2 * index).ok_or(beyond)?);
        if offset < self.upper || offset % 2 != 0 {
            return Err("has a node where there is none");
        }
        let node = self.bytes.get(offset..).ok_or(beyond)?;
        let (low, high) = (u16_at(node, 0).ok_or(beyond)?, u16_at(node, 2).ok_or(beyond)?);
        let (flags, key_bytes) = (u16_at(node, 4).ok_or(beyond)?, usize::from(u16_at(node, 6).ok_or(beyond)?));
        let after = node.get(NODE_HEAD..).ok_or(beyond)?;
        let (key, rest) = after.split_at_checked(key_bytes).ok_or(beyond)?;
        if key_bytes > KEY_MAX {
            return Err("has a key that is too long");
        }
        Ok(Node { offset, number: u32::from(low) | u32::from(high) << 16, flags, key, rest })
    }

    /// The values of a LEAF2 page, each of `size` bytes.
    ///
    /// # Errors
    /// In words.
    pub(super) fn values(&self, size: usize) -> Result<&'p [u8], &'static str> {
        let room = self.bytes.len() - PAGE_HEAD;
        let taken = self.count.checked_mul(size).filter(|taken| *taken <= room).ok_or("has more values than room")?;
        let lower = PAGE_HEAD + 2 * self.count;
        if self.upper - lower > room - taken {
            return Err("claims more free space than it has");
        }
        self.bytes.get(PAGE_HEAD..PAGE_HEAD + taken).ok_or("has more values than room")
    }
}

/// A node; of what comes after the key only as much as its kind says is its own.
#[derive(Clone, Copy)]
pub(super) struct Node<'p> {
    pub(super) offset: usize,
    number: u32,
    pub(super) flags: u16,
    pub(super) key: &'p [u8],
    rest: &'p [u8],
}

impl<'p> Node<'p> {
    /// On a branch page: the page below.
    pub(super) fn child(&self) -> u64 {
        u64::from(self.number) | u64::from(self.flags) << 32
    }

    /// On a leaf page: how many bytes the record has, here or on an overflow page.
    pub(super) fn data_bytes(&self) -> usize {
        self.number as usize
    }

    /// On a leaf page: the record, or the page number of one on an overflow page.
    ///
    /// # Errors
    /// It reaches beyond the page.
    pub(super) fn data(&self) -> Result<&'p [u8], &'static str> {
        let bytes = if self.flags & NODE_BIG != 0 { 8 } else { self.data_bytes() };
        self.rest.get(..bytes).ok_or("has a node that reaches beyond it")
    }
}

/// Which bytes of a page belong to a node already: two bytes a bit.
pub(super) struct Taken {
    words: Vec<u64>,
}

impl Taken {
    pub(super) fn new() -> Self {
        Self { words: Vec::new() }
    }

    /// Starts with a page of so many bytes.
    pub(super) fn clear(&mut self, bytes: usize) {
        self.words.clear();
        self.words.resize(bytes.div_ceil(128), 0);
    }

    /// Takes `bytes` at the even `offset`; false when some of them were taken before.
    pub(super) fn take(&mut self, offset: usize, bytes: usize) -> bool {
        let (mut bit, end) = (offset / 2, (offset + bytes).div_ceil(2));
        while bit < end {
            let in_word = bit % 64;
            let bits = (64 - in_word).min(end - bit);
            let mask = (u64::MAX >> (64 - bits)) << in_word;
            match self.words.get_mut(bit / 64) {
                Some(word) if *word & mask == 0 => *word |= mask,
                _ => return false,
            }
            bit += bits;
        }
        true
    }
}
