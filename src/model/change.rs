//! What a client asks to be changed (RFC 4511 4.6 to 4.9), parsed, before any schema has seen it.

use super::attribute::Attribute;
use super::dn::{Dn, Rdn};

/// What one line of a modify does. In the order of the protocol's numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ModificationKind {
    /// Add the values (0).
    Add,
    /// Take the values away; without values, the whole attribute (1).
    Delete,
    /// The attribute has these values and no others afterwards; without values, it is gone (2).
    Replace,
    /// Add the one integer value to each value (3, RFC 4525).
    Increment,
}

impl ModificationKind {
    /// From the number on the wire.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Add),
            1 => Some(Self::Delete),
            2 => Some(Self::Replace),
            3 => Some(Self::Increment),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::Add => 0,
            Self::Delete => 1,
            Self::Replace => 2,
            Self::Increment => 3,
        }
    }

    /// From the word of an LDIF change record (RFC 2849), in any case.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Add, Self::Delete, Self::Replace, Self::Increment]
            .into_iter()
            .find(|kind| kind.word().eq_ignore_ascii_case(word))
    }

    /// The word of an LDIF change record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Delete => "delete",
            Self::Replace => "replace",
            Self::Increment => "increment",
        }
    }
}

/// One line of a modify; the list of them takes effect whole or not at all.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Modification {
    /// What to do.
    pub kind: ModificationKind,
    /// The attribute and the values it is about, in the order given.
    pub attribute: Attribute,
}

/// One change to one entry.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    /// A new entry.
    Add {
        /// Its name.
        dn: Dn,
        /// Its attributes, in the order given.
        attributes: Vec<Attribute>,
    },
    /// A leaf goes.
    Delete {
        /// Its name.
        dn: Dn,
    },
    /// Attributes of an entry change.
    Modify {
        /// Its name.
        dn: Dn,
        /// What to do, in this order.
        modifications: Vec<Modification>,
    },
    /// The entry, and all below it, gets another name or another place.
    ModifyDn {
        /// Its name so far.
        dn: Dn,
        /// Its RDN from now on.
        new_rdn: Rdn,
        /// Whether the values of the old RDN leave the entry.
        delete_old_rdn: bool,
        /// Its superior from now on; `None` keeps it where it is.
        new_superior: Option<Dn>,
    },
}

impl Change {
    /// The name of the entry that changes (its name so far).
    pub const fn dn(&self) -> &Dn {
        match self {
            Self::Add { dn, .. } | Self::Delete { dn } | Self::Modify { dn, .. } | Self::ModifyDn { dn, .. } => dn,
        }
    }
}
