//! Rights of ACI 3.0 and sets of them.

use std::fmt;

/// One right that a rule allows or denies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Right {
    /// See an attribute's values in a search result; without an attribute: see that the entry is there.
    Read,
    /// Use an attribute in a search filter.
    Search,
    /// Use an attribute in a compare request.
    Compare,
    /// Modify an attribute; without an attribute: rename the entry.
    Write,
    /// Add the entry.
    Add,
    /// Delete the entry.
    Delete,
    /// Add or delete one's own DN as a value of the attribute, and nothing else of it.
    SelfWrite,
    /// Act as the entry (proxied authorisation).
    Proxy,
    /// Move the entry to another superior (389: `moddn`; OpenDJ: `export` here and `import` there).
    ModDn,
}

impl Right {
    /// All rights, in the order in which rules print them.
    pub const ALL: [Self; 9] = [
        Self::Read,
        Self::Search,
        Self::Compare,
        Self::Write,
        Self::Add,
        Self::Delete,
        Self::SelfWrite,
        Self::Proxy,
        Self::ModDn,
    ];

    /// The word of ACI 3.0.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::Compare => "compare",
            Self::Write => "write",
            Self::Add => "add",
            Self::Delete => "delete",
            Self::SelfWrite => "selfwrite",
            Self::Proxy => "proxy",
            Self::ModDn => "moddn",
        }
    }

    /// Whether the right concerns the entry as a whole whatever attributes a rule names: add, delete, proxy, moving
    /// and, for want of an attribute when renaming, write. So 389-DS.
    pub const fn ignores_target_attributes(self) -> bool {
        matches!(self, Self::Add | Self::Delete | Self::Proxy | Self::ModDn | Self::Write)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u16);

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// What the word `all` stands for: everything but proxy, as in 389-DS 2.3.
    pub const ALL_WORD: Self = Self(0b1_0111_1111);
    /// Really every right.
    pub const EVERY: Self = Self(0b1_1111_1111);

    /// The set with `right` added.
    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | (1 << right as u16))
    }

    /// The set without `right`.
    #[must_use]
    pub const fn without(self, right: Right) -> Self {
        Self(self.0 & !(1 << right as u16))
    }

    /// `right` if it is in the set, and nothing else.
    #[must_use]
    pub const fn only(self, right: Right) -> Self {
        Self(self.0 & (1 << right as u16))
    }

    /// The rights of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `right` is in the set.
    pub const fn contains(self, right: Right) -> bool {
        self.0 & (1 << right as u16) != 0
    }

    /// Whether all of `other` is in the set.
    pub const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The rights in the set, in the order of [`Right::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.contains(*right))
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        rights.into_iter().fold(Self::NONE, Self::with)
    }
}

/// As ACI 3.0 writes it: `read, search` or `all, proxy`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = *self;
        let mut separator = "";
        if self.contains_all(Self::ALL_WORD) {
            f.write_str("all")?;
            rest = Self(self.0 & !Self::ALL_WORD.0);
            separator = ", ";
        }
        for right in rest.iter() {
            write!(f, "{separator}{right}")?;
            separator = ", ";
        }
        Ok(())
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}
