//! Access rules as text: ACI 3.0, the syntax of 389-DS, OpenDJ and Oracle, so that rules move over with the data.
//!
//! ```text
//! (targetattr = "telephoneNumber || jpegPhoto")(version 3.0; acl "own contact data"; allow (write) userdn = "ldap:///self";)
//! ```
//!
//! [`Aci::parse`] accepts what those servers accept, as far as its meaning is kept here, and says for the rest what is
//! wrong, where, and what could stand there. What is parsed is checked whole (DNs, filters, addresses), so a value
//! that got in can be compiled; printing and parsing again gives an equal rule.
//!
//! Choices where the servers differ or are lax
//! - `and` and `or` have equal precedence and group to the left; `not` binds tighter. So documented by 389-DS, and
//!   printed with parentheses so that nobody has to know.
//! - Values may be written without quotation marks (old guides do); they are printed with them.
//! - `import` and `export` (OpenDJ) are read as `moddn`; `userdnattr` and `groupdnattr` as `userattr`.
//! - Refused with a reason, because ignoring them would change who may do what: macros in `userattr`, in `target_from`
//!   and `target_to` and in URLs with a filter, a target with `($dn)` and `!=` or `targetscope`.
//!
//! Deliberately not here: attribute types and DN equality (they need the schema) and any decision: `access`.

mod parse;
mod print;
mod targets;
mod template;
pub(super) mod values;

pub use targets::{OidList, ValueFilter, ValueFilters};
pub(in crate::policy) use template::Form;
pub use template::{EXPANSIONS_MAX, Piece, Template};

use super::rights::Rights;
use crate::model::Scope;
use std::net::IpAddr;

/// Longest rule that is read, in bytes.
pub const ACI_BYTES_MAX: usize = 32 * 1024;
/// Deepest nesting of parentheses and `not` in a bind rule.
pub const BIND_RULE_DEPTH_MAX: usize = 32;
/// Most tests (`userdn = …`) in one bind rule.
pub const BIND_RULE_TESTS_MAX: usize = 128;
/// Highest level in `parent[0,1,…]`; 389-DS has the same.
pub const PARENT_LEVEL_MAX: u8 = 4;

/// One access rule: what it is about and who gets or loses what there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aci {
    /// The name after `acl`, for people and for `explain`.
    pub name: String,
    /// `target`: narrows the rule to a part of the holder's subtree.
    pub target: Option<Target>,
    /// `target_from`: narrows `moddn` to entries that are moved from there.
    pub move_from: Option<Target>,
    /// `target_to`: narrows `moddn` to entries that are moved to a superior there.
    pub move_to: Option<Target>,
    /// `targetscope`: how far below the target (or the holder); subtree when absent.
    pub target_scope: Option<Scope>,
    /// `targetfilter`: narrows the rule to entries that match.
    pub target_filter: Option<TargetFilter>,
    /// `targetattr`: the attributes; absent: the rule is about entries as a whole only.
    pub target_attributes: Option<TargetAttributes>,
    /// `targattrfilters`: the attributes of which some values may be written.
    pub value_filters: Option<ValueFilters>,
    /// `targetcontrol`: the rule is about the use of these controls.
    pub controls: Option<OidList>,
    /// `extop`: the rule is about these extended operations.
    pub extended_operations: Option<OidList>,
    /// At least one.
    pub permissions: Vec<Permission>,
}

/// `(target = "ldap:///…")`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Written with `!=`.
    pub negated: bool,
    /// The DN or pattern, percent-decoded.
    pub name: NamePattern,
}

/// A DN as text, or a pattern with `*`, which stands for any text, commas included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NamePattern {
    /// A DN (RFC 4514), spelled as written.
    Dn(String),
    /// A DN with macros; a `*` in it stands for what is in one RDN.
    Macro(Template),
    /// A DN with unescaped `*` somewhere, spelled as written.
    Pattern(String),
}

/// `(targetfilter = "…")`; the text is a filter of RFC 4515.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetFilter {
    /// Written with `!=`.
    pub negated: bool,
    /// A filter that parses, spelled as written; `($dn)` and `[$dn]` may stand in it.
    pub filter: String,
}

/// `(targetattr = "…")`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetAttributes {
    /// Written with `!=`: every user attribute except these.
    pub negated: bool,
    /// At least one.
    pub names: Vec<AttributePattern>,
}

/// One item of a `targetattr` list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttributePattern {
    /// `*`: all user attributes.
    AllUser,
    /// `+`: all operational attributes.
    AllOperational,
    /// A name or OID as spelled; covers subtypes and all options.
    Name(String),
    /// A name with `*` in it, such as `tele*`.
    Wildcard(String),
}

/// Whether a permission gives or takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Gives, unless any rule denies.
    Allow,
    /// Takes, whatever other rules allow.
    Deny,
}

/// `allow (read, search) BIND_RULE;`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permission {
    /// Allow or deny.
    pub effect: Effect,
    /// Never empty.
    pub rights: Rights,
    /// To whom.
    pub bind_rule: BindRule,
}

/// Who, from where, how authenticated, when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BindRule {
    /// All of them; at least two.
    And(Vec<Self>),
    /// Any of them; at least two.
    Or(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// A single test.
    Test(BindTest),
}

/// How a number is compared: the fact stands left, the rule's number right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// The sign as written in a rule.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether `fact` compares to `bound` as the sign says.
    pub fn holds<T: Ord>(self, fact: &T, bound: &T) -> bool {
        match self {
            Self::Equal => fact == bound,
            Self::NotEqual => fact != bound,
            Self::Less => fact < bound,
            Self::LessOrEqual => fact <= bound,
            Self::Greater => fact > bound,
            Self::GreaterOrEqual => fact >= bound,
        }
    }
}

/// One test of a bind rule. `negated` says that it was written with `!=`; lists are alternatives and never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BindTest {
    /// `userdn`
    UserDn {
        /// Written with `!=`.
        negated: bool,
        /// Joined by `||`.
        users: Vec<UserPattern>,
    },
    /// `groupdn`: member of the group, nested groups included.
    GroupDn {
        /// Written with `!=`.
        negated: bool,
        /// Joined by `||`; none has a `*`.
        groups: Vec<NamePattern>,
    },
    /// `roledn`: has the role, nested roles included.
    RoleDn {
        /// Written with `!=`.
        negated: bool,
        /// Joined by `||`; none has a `*`.
        roles: Vec<NamePattern>,
    },
    /// `userattr = "manager#USERDN"`
    UserAttr {
        /// Written with `!=`.
        negated: bool,
        /// 0 is the entry itself, 1 its superior, and so on; `[0]` without `parent[…]`. At least one.
        levels: Vec<u8>,
        /// The attribute as spelled.
        attribute: String,
        /// What the attribute must hold.
        kind: UserAttrKind,
    },
    /// `ip`: the peer's address; a local connection has none.
    Ip {
        /// Written with `!=`.
        negated: bool,
        /// Joined by `,` or `||`.
        networks: Vec<IpNetwork>,
    },
    /// `dns`
    Dns {
        /// Written with `!=`.
        negated: bool,
        /// Host names in lower case, possibly with `*.` in front; see [`HostPattern`].
        hosts: Vec<String>,
    },
    /// `authmethod`
    AuthMethod {
        /// Written with `!=`.
        negated: bool,
        /// How the requester must have authenticated.
        method: AuthMethod,
    },
    /// `ssf`: strength of the connection's protection in bits.
    Ssf(Comparison, u32),
    /// `timeofday`: minutes after midnight.
    TimeOfDay(Comparison, u16),
    /// `dayofweek`
    DayOfWeek {
        /// Written with `!=`.
        negated: bool,
        /// In the order of the week.
        days: Vec<Day>,
    },
}

/// One alternative of `userdn`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserPattern {
    /// `ldap:///anyone`: everybody, anonymous included.
    Anyone,
    /// `ldap:///all`: everybody who has authenticated.
    All,
    /// `ldap:///self`: the entry itself.
    SelfEntry,
    /// `ldap:///parent`: the entry's superior.
    Parent,
    /// A DN or a pattern.
    Name(NamePattern),
    /// `ldap:///BASE??SCOPE?FILTER`: requesters whose own entry is found by it.
    Search {
        /// Base DN as written.
        base: String,
        /// Base when absent, as RFC 4516 says.
        scope: Scope,
        /// A filter that parses, as written; `(objectClass=*)` when absent.
        filter: String,
    },
}

/// The part after `#` in `userattr`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserAttrKind {
    /// `#USERDN` or `#SELFDN`: a value is the requester's DN.
    UserDn,
    /// `#GROUPDN`: a value names a group that the requester is a member of.
    GroupDn,
    /// `#ROLEDN`: a value names a role that the requester has.
    RoleDn,
    /// `#LDAPURL`: a value is an LDAP URL that finds the requester's entry.
    LdapUrl,
    /// Any other text: both the entry and the requester's own entry hold this value.
    Value(String),
}

/// Addresses that share their first bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpNetwork {
    /// Host bits are zero.
    address: IpAddr,
    prefix_bits: u8,
}

impl IpNetwork {
    /// The network of `address`; host bits are cleared. `None` when the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix_bits: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) => {
                let shift = 32u32.checked_sub(u32::from(prefix_bits))?;
                IpAddr::V4((u32::MAX.checked_shl(shift).unwrap_or(0) & v4.to_bits()).into())
            }
            IpAddr::V6(v6) => {
                let shift = 128u32.checked_sub(u32::from(prefix_bits))?;
                IpAddr::V6((u128::MAX.checked_shl(shift).unwrap_or(0) & v6.to_bits()).into())
            }
        };
        Some(Self { address, prefix_bits })
    }

    /// By how many bits its addresses differ; 0: it is one address.
    pub fn host_bits(&self) -> u8 {
        let bits = if self.address.is_ipv4() { 32 } else { 128 };
        bits - self.prefix_bits.min(bits)
    }

    /// Whether `address` is in the network; an IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::new(address.to_canonical(), self.prefix_bits) == Some(*self)
    }
}

/// `authmethod`
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthMethod {
    /// `none`: authentication is not required, so everybody fits. So 389-DS and OpenDJ.
    None,
    /// `simple`
    Simple,
    /// `ssl`: a TLS client certificate.
    Ssl,
    /// `sasl`, or `sasl MECHANISM` (upper case here).
    Sasl(Option<String>),
}

/// A day of the week.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(missing_docs, reason = "the days of the week")]
pub enum Day {
    Sunday,
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
}

impl Day {
    /// Sunday first.
    pub const ALL: [Self; 7] =
        [Self::Sunday, Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday];

    /// The three letters used in rules.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sunday => "sun",
            Self::Monday => "mon",
            Self::Tuesday => "tue",
            Self::Wednesday => "wed",
            Self::Thursday => "thu",
            Self::Friday => "fri",
            Self::Saturday => "sat",
        }
    }
}

/// Why a text is not an access rule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("at byte {offset}: {detail}")]
pub struct AciError {
    /// Where in the text, in bytes from 0.
    pub offset: usize,
    /// What was expected there, with the words that are allowed.
    pub detail: String,
}

impl Aci {
    /// Reads one value of `aci`.
    ///
    /// Cost: linear in the text, which is at most [`ACI_BYTES_MAX`] bytes; nesting is bounded.
    ///
    /// # Errors
    /// [`AciError`] with the position and what may stand there; the caller refuses the value
    /// (invalidAttributeSyntax).
    pub fn parse(text: &str) -> Result<Self, AciError> {
        parse::aci(text)
    }

    /// As [`Self::parse`], for a value as stored.
    ///
    /// # Errors
    /// As [`Self::parse`]; also for bytes that are not UTF-8.
    pub fn parse_bytes(value: &[u8]) -> Result<Self, AciError> {
        match std::str::from_utf8(value) {
            Ok(text) => Self::parse(text),
            Err(error) => Err(AciError { offset: error.valid_up_to(), detail: "the rule is not UTF-8 text".into() }),
        }
    }

    /// What can be read and fits nothing, in words, one text each: names of hosts with a star in the middle.
    pub fn warnings(&self) -> Vec<String> {
        let mut hosts = Vec::new();
        for permission in &self.permissions {
            permission.bind_rule.visit(&mut |test| {
                if let BindTest::Dns { hosts: names, .. } = test {
                    hosts.extend(names.iter().filter(|name| HostPattern::new(name) == HostPattern::Nothing));
                }
            });
        }
        let text = |name: &String| {
            format!(
                "rule \"{}\": dns = \"{name}\" fits no host: a star stands for what is in front of the first dot that is \
                 written. Write host.example.com or *.example.com.",
                self.name
            )
        };
        hosts.into_iter().map(text).collect()
    }
}

/// Which hosts a name in a `dns` test means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostPattern {
    /// `*`: every host that has a name.
    Any,
    /// `*.example.com`: those below, at any depth; the text is `.example.com`.
    Below(String),
    /// This one.
    Host(String),
    /// None: a star stands where it means nothing.
    Nothing,
}

impl HostPattern {
    /// Reads a name of a `dns` test. As in 389 a star stands alone or in front of the first dot.
    pub fn new(name: &str) -> Self {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        match name.strip_prefix('*') {
            Some("") => Self::Any,
            Some(rest) if rest.starts_with('.') && !rest.contains('*') => Self::Below(rest.to_owned()),
            None if !name.contains('*') => Self::Host(name),
            _ => Self::Nothing,
        }
    }

    /// Whether `host` (in lower case, without a dot at its end) is meant.
    pub fn fits(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(end) => host.len() > end.len() && host.ends_with(end.as_str()),
            Self::Host(name) => host == name,
            Self::Nothing => false,
        }
    }
}

impl BindRule {
    /// Calls `see` for every test, left to right.
    pub fn visit<'r>(&'r self, see: &mut dyn FnMut(&'r BindTest)) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.visit(see)),
            Self::Not(inner) => inner.visit(see),
            Self::Test(test) => see(test),
        }
    }
}

#[cfg(test)]
mod tests;
