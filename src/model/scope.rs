//! How far a search reaches, and what it does with aliases (RFC 4511 4.5.1.2 and 4.5.1.3).

use std::fmt;

/// Which entries below the base a search looks at. In the order of the protocol's numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// The base entry alone (0).
    Base,
    /// The entries directly below the base, without it (1).
    OneLevel,
    /// The base and everything below it (2).
    Subtree,
    /// Everything below the base, without it (3, draft-sermersheim-ldap-subordinate-scope).
    Subordinate,
}

impl Scope {
    /// From the number on the wire.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Base),
            1 => Some(Self::OneLevel),
            2 => Some(Self::Subtree),
            3 => Some(Self::Subordinate),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::Base => 0,
            Self::OneLevel => 1,
            Self::Subtree => 2,
            Self::Subordinate => 3,
        }
    }

    /// From the word of an LDAP URL (RFC 4516 2), in any case; the long forms `onelevel`, `subtree`, `subordinate`
    /// and `children` are taken too, since configurations use them.
    pub fn from_word(word: &str) -> Option<Self> {
        let words: [(&str, Self); 8] = [
            ("base", Self::Base),
            ("one", Self::OneLevel),
            ("onelevel", Self::OneLevel),
            ("sub", Self::Subtree),
            ("subtree", Self::Subtree),
            ("subord", Self::Subordinate),
            ("subordinate", Self::Subordinate),
            ("children", Self::Subordinate),
        ];
        words.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, scope)| scope)
    }

    /// The word of an LDAP URL: `base`, `one`, `sub` or `subord`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::OneLevel => "one",
            Self::Subtree => "sub",
            Self::Subordinate => "subord",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// When aliases are followed. In the order of the protocol's numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DerefAliases {
    /// Aliases are entries like any other (0).
    Never,
    /// Below the base, not in naming it (1).
    InSearching,
    /// In naming the base, not below it (2).
    FindingBase,
    /// Both (3).
    Always,
}

impl DerefAliases {
    /// From the number on the wire.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Never),
            1 => Some(Self::InSearching),
            2 => Some(Self::FindingBase),
            3 => Some(Self::Always),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::Never => 0,
            Self::InSearching => 1,
            Self::FindingBase => 2,
            Self::Always => 3,
        }
    }

    /// True when an alias below the base is followed.
    pub const fn derefs_in_searching(self) -> bool {
        matches!(self, Self::InSearching | Self::Always)
    }

    /// True when an alias on the way to the base is followed.
    pub const fn derefs_finding_base(self) -> bool {
        matches!(self, Self::FindingBase | Self::Always)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_read_back() {
        for number in 0..4 {
            let scope = Scope::from_number(number).unwrap();
            assert_eq!(scope.number(), number);
            assert_eq!(Scope::from_word(scope.word()), Some(scope));
            assert_eq!(DerefAliases::from_number(number).unwrap().number(), number);
        }
        assert_eq!(Scope::from_number(4), None);
        assert_eq!(Scope::from_word("SUB"), Some(Scope::Subtree));
        assert_eq!(Scope::from_word("all"), None);
    }
}
