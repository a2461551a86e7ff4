//! One access rule of slapd as a value: `to WHAT by WHO ACCESS CONTROL …` (slapd.access(5)).
//!
//! What is written wrongly is an error. What is written rightly but cannot be said in a rule here stays in the rule as
//! something unknown with the reason ([`Target::Unknown`], [`Who::Unknown`]), so that the order of the rules around it stays what
//! it was.

use super::configuration::Directive;
use super::region::{self, Region};
use crate::model::{Dn, Filter};

/// Most `by` in one rule.
const CLAUSES_MAX: usize = 256;

/// What may be done; `write` is adding and deleting.
pub(super) mod privilege {
    pub(crate) const DISCLOSE: u8 = 1;
    pub(crate) const AUTH: u8 = 2;
    pub(crate) const COMPARE: u8 = 4;
    pub(crate) const SEARCH: u8 = 8;
    pub(crate) const READ: u8 = 16;
    pub(crate) const ADD: u8 = 32;
    pub(crate) const DELETE: u8 = 64;
    pub(crate) const MANAGE: u8 = 128;
}
use privilege::{ADD, AUTH, COMPARE, DELETE, DISCLOSE, MANAGE, READ, SEARCH};

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) origin: String,
    pub(super) target: Target,
    /// Of those entries the ones that match.
    pub(super) filter: Option<String>,
    /// `None`: all, and the entry and its children as a whole.
    pub(super) attributes: Option<Vec<Item>>,
    /// Why the rule is about some values only, which cannot be said here.
    pub(super) values: Option<String>,
    pub(super) clauses: Vec<Clause>,
}

/// Which entries.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Everything,
    Region(Region),
    Unknown(String),
}

/// An item of `attrs=`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Item {
    Children,
    /// What a class allows.
    Class(String),
    Entry,
    Name(String),
    /// All but what a class allows.
    NotClass(String),
}

/// `by …`: all of `who` must fit.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    pub(super) who: Vec<Who>,
    /// For the value that is the requester's own name.
    pub(super) is_own_value: bool,
    pub(super) change: Change,
    pub(super) control: Control,
}

/// Who.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Anonymous,
    Anyone,
    Attribute(String),
    Domain {
        name: String,
        is_subtree: bool,
    },
    Group {
        dn: Dn,
        is_nested: bool,
    },
    Ip(String),
    /// The entry directly below the base of the target's expression, above what is asked about.
    Owner,
    Region(Region),
    SelfEntry,
    /// Bits, and whether a local connection has none.
    Ssf(u32),
    Unknown(String),
    Users,
}

/// What a clause does to what was given before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Add(u8),
    Remove(u8),
    Set(u8),
}

/// What comes after a clause that fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Control {
    /// The next rule.
    Break,
    /// The next clause.
    Continue,
    Stop,
}

impl Rule {
    /// Reads the words after `access`.
    ///
    /// # Errors
    /// What is wrong, and what could stand there.
    pub(super) fn parse(directive: &Directive, same: &dyn Fn(&Dn, &Dn) -> bool) -> Result<Self, String> {
        let mut rule = Self {
            origin: directive.origin.clone(),
            target: Target::Everything,
            filter: None,
            attributes: None,
            values: None,
            clauses: Vec::new(),
        };
        let mut words = directive.words.iter().map(String::as_str).peekable();
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("to")) {
            return Err("expected to and what the rule is about, such as: access to * by users read".into());
        }
        let mut has_target = false;
        while let Some(word) = words.next_if(|word| !word.eq_ignore_ascii_case("by")) {
            rule.read_what(word)?;
            has_target = true;
        }
        if !has_target {
            return Err("expected *, dn…=, filter= or attrs= after to".into());
        }
        while words.next().is_some() {
            let mut clause = Vec::new();
            while let Some(word) = words.next_if(|word| !word.eq_ignore_ascii_case("by")) {
                clause.push(word);
            }
            rule.clauses.push(read_clause(&clause, &rule.target, same)?);
            if rule.clauses.len() > CLAUSES_MAX {
                return Err(format!("the rule has more than {CLAUSES_MAX} by"));
            }
        }
        if rule.clauses.is_empty() {
            return Err("expected by and who, such as: by users read".into());
        }
        Ok(rule)
    }

    fn read_what(&mut self, word: &str) -> Result<(), String> {
        if word == "*" {
            return Ok(());
        }
        let (left, right) = word
            .split_once('=')
            .ok_or_else(|| format!("expected *, dn…=, filter=, attrs= or val…= after to, found {word}"))?;
        let left = left.to_ascii_lowercase();
        let (keyword, style) = left.split_once('.').unwrap_or((&left, ""));
        match keyword {
            "dn" => self.target = read_target(style, right)?,
            "filter" => {
                let filter = Filter::parse(right).map_err(|error| format!("the filter {right}: {error}"))?;
                self.filter = Some(filter.to_string());
            }
            "attr" | "attrs" | "attributes" => {
                let items: Result<Vec<Item>, String> = right.split(',').map(read_item).collect();
                self.attributes = Some(items?);
            }
            _ if keyword == "val" || keyword.starts_with("val/") => {
                self.values = Some(format!(
                    "{left} picks some values of an attribute; here a rule is about all values (only which ones may be \
                     written can be said, with targattrfilters)"
                ));
            }
            _ => return Err(format!("expected *, dn…=, filter=, attrs= or val…= after to, found {word}")),
        }
        Ok(())
    }
}

fn is_everything(expression: &str) -> bool {
    ["*", ".*", "^.*$", ".*$", "^.*"].contains(&expression)
}

fn parsed(text: &str) -> Result<Dn, String> {
    if text.contains('*') {
        return Err(format!("{text}: a star in a name would be a pattern here"));
    }
    Dn::parse(text).map_err(|error| format!("{text} is no DN: {error}"))
}

fn read_target(style: &str, text: &str) -> Result<Target, String> {
    if style == "regex" {
        return Ok(match region::parse(text) {
            _ if is_everything(text) => Target::Everything,
            Ok(region) => Target::Region(region),
            Err(why) => Target::Unknown(why),
        });
    }
    if text == "*" {
        return Ok(Target::Everything);
    }
    let depths = Region::style(style).ok_or_else(|| {
        format!("expected dn.exact, dn.base, dn.one, dn.subtree, dn.children or dn.regex, found dn.{style}")
    })?;
    let base = parsed(text)?;
    if base.rdns().is_empty() && depths != [true, false, false] {
        return Ok(Target::Unknown("everything is *, not what is below the root".into()));
    }
    Ok(Target::Region(Region::new(base, depths)))
}

fn read_item(item: &str) -> Result<Item, String> {
    let item = item.trim();
    let lower = item.to_ascii_lowercase();
    match (lower.as_str(), lower.split_at_checked(1)) {
        ("entry", _) => Ok(Item::Entry),
        ("children", _) => Ok(Item::Children),
        (_, Some(("@", class))) => Ok(Item::Class(class.to_owned())),
        (_, Some(("!", class))) => Ok(Item::NotClass(class.to_owned())),
        ("" | "*", _) => Err("expected the name of an attribute in attrs=; without attrs= a rule is about all".into()),
        _ => Ok(Item::Name(lower.strip_suffix(";binary").unwrap_or(&lower).to_owned())),
    }
}

fn read_clause(words: &[&str], target: &Target, same: &dyn Fn(&Dn, &Dn) -> bool) -> Result<Clause, String> {
    let mut clause = Clause {
        who: Vec::new(),
        is_own_value: false,
        // What slapd takes an access that is left out for.
        change: Change::Add(0),
        control: Control::Stop,
    };
    let mut words = words.iter().copied().peekable();
    while let Some(word) = words.peek() {
        match read_who(word, target, same)? {
            Some(who) => clause.who.push(who),
            None => break,
        }
        words.next();
    }
    if clause.who.is_empty() {
        return Err(match words.next() {
            Some(word) => format!("expected who after by (*, users, self, dn…=, group…=, …), found {word}"),
            None => "expected who after by".into(),
        });
    }
    let control = |word: &str| match word.to_ascii_lowercase().as_str() {
        "break" => Some(Control::Break),
        "continue" => Some(Control::Continue),
        "stop" => Some(Control::Stop),
        _ => None,
    };
    if let Some(word) = words.next_if(|word| control(word).is_none()) {
        (clause.is_own_value, clause.change) = read_access(word)?;
    }
    if let Some(found) = words.peek().and_then(|word| control(word)) {
        clause.control = found;
        words.next();
    }
    match words.next() {
        Some(word) => Err(format!("expected by, or nothing, after what is given; found {word}")),
        None => Ok(clause),
    }
}

/// `read`, `=rscx`, `+w`, `selfwrite`.
fn read_access(word: &str) -> Result<(bool, Change), String> {
    let refused = || {
        format!(
            "expected none, disclose, auth, compare, search, read, write, manage, or =, + or - and some of mwazrscxd0; found {word}"
        )
    };
    let lower = word.to_ascii_lowercase();
    let (is_own_value, text) = match lower.strip_prefix("self") {
        Some(rest) => (true, rest),
        None if lower.starts_with("realself") => return Err(refused()),
        None => (false, lower.as_str()),
    };
    let disclose = DISCLOSE;
    let auth = disclose | AUTH;
    let compare = auth | COMPARE;
    let search = compare | SEARCH;
    let read = search | READ;
    let level = match text {
        "none" => Some(0),
        "disclose" => Some(disclose),
        "auth" => Some(auth),
        "compare" => Some(compare),
        "search" => Some(search),
        "read" => Some(read),
        "add" => Some(read | ADD),
        "delete" => Some(read | DELETE),
        "write" => Some(read | ADD | DELETE),
        "manage" => Some(read | ADD | DELETE | MANAGE),
        _ => None,
    };
    if let Some(level) = level {
        return Ok((is_own_value, Change::Set(level)));
    }
    let (sign, letters) = text.split_at_checked(1).ok_or_else(refused)?;
    let mut privileges = 0;
    for letter in letters.chars() {
        privileges |= match letter {
            'm' => MANAGE,
            'w' => ADD | DELETE,
            'a' => ADD,
            'z' => DELETE,
            'r' => READ,
            's' => SEARCH,
            'c' => COMPARE,
            'x' => AUTH,
            'd' => DISCLOSE,
            '0' => 0,
            _ => return Err(refused()),
        };
    }
    let change = match sign {
        "=" => Change::Set(privileges),
        "+" => Change::Add(privileges),
        "-" => Change::Remove(privileges),
        _ => return Err(refused()),
    };
    Ok((is_own_value, change))
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// `None`: the word does not say who.
fn read_who(word: &str, target: &Target, same: &dyn Fn(&Dn, &Dn) -> bool) -> Result<Option<Who>, String> {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "*" => return Ok(Some(Who::Anyone)),
        "anonymous" | "dn.anonymous" => return Ok(Some(Who::Anonymous)),
        "users" | "dn.users" => return Ok(Some(Who::Users)),
        "self" | "dn.self" => return Ok(Some(Who::SelfEntry)),
        "aci" | "realself" | "realusers" | "realanonymous" => {
            return Ok(Some(Who::Unknown(format!("by {lower} cannot be said in a rule here"))));
        }
        _ => {}
    }
    let Some((left, right)) = word.split_once('=') else {
        let is_level = lower.starts_with("self.") || lower.starts_with("self.level");
        return Ok(is_level.then(|| Who::Unknown(format!("by {lower} cannot be said in a rule here"))));
    };
    let left = left.to_ascii_lowercase();
    let (keyword, style) = left.split_once('.').unwrap_or((&left, ""));
    let (keyword, path) = keyword.split_once('/').unwrap_or((keyword, ""));
    let unknown = |why: &str| Ok(Some(Who::Unknown(format!("by {word}: {why}"))));
    match keyword {
        "dn" => read_named(style, right, target, same).map(Some),
        "dnattr" => Ok(Some(Who::Attribute(right.to_owned()))),
        "group" if style.is_empty() || ["exact", "base"].contains(&style) => match path {
            "" | "groupofnames" | "groupofnames/member" | "groupofuniquenames/uniquemember" => {
                Ok(Some(Who::Group { dn: parsed(right)?, is_nested: false }))
            }
            // slapd judges the requester by the search itself, as groupdn does here.
            _ if ["/member", "/uniquemember", "/memberurl"].iter().any(|end| path.ends_with(end)) => {
                Ok(Some(Who::Group { dn: parsed(right)?, is_nested: false }))
            }
            _ => unknown("members are looked up in member, uniqueMember and memberURL only"),
        },
        "group" => unknown("a group that is put together from the target is not read; name it"),
        "peername" => read_peer(style, right, word),
        // To slapd a star alone is every host; within a name it would say more here than there.
        "domain" if !(is_host_name(right) || right == "*" && ["", "exact", "base"].contains(&style)) => {
            unknown("this is no host name; write host.example.com")
        }
        "domain" => match style {
            "" | "exact" | "base" => Ok(Some(Who::Domain { name: right.to_ascii_lowercase(), is_subtree: false })),
            "sub" | "subtree" => Ok(Some(Who::Domain { name: right.to_ascii_lowercase(), is_subtree: true })),
            _ => unknown("write the domain, or domain.subtree"),
        },
        "ssf" | "tls_ssf" => match right.parse() {
            Ok(bits) => Ok(Some(Who::Ssf(bits))),
            Err(_) => Err(format!("expected a number of bits after {keyword}=, found {right}")),
        },
        "set" => read_set(style, right, word),
        "transport_ssf" | "sasl_ssf" => unknown("here a connection has one strength: ssf"),
        "sockname" | "sockurl" => unknown("here no rule asks at which address somebody came in"),
        "realdn" | "realdnattr" => unknown("here who acts as somebody else is that one to every rule"),
        "aci" | "dynacl" => unknown("rules in entries are ACI of slapd's own kind"),
        _ => Ok(None),
    }
}

fn read_named(style: &str, text: &str, target: &Target, same: &dyn Fn(&Dn, &Dn) -> bool) -> Result<Who, String> {
    let (style, expands) = match style.split_once(',') {
        Some((style, "expand")) => (style, true),
        None if style == "expand" => ("", true),
        None => (style, false),
        Some((_, word)) => return Err(format!("expected expand after the style, found {word}")),
    };
    if style == "regex" || expands {
        if style == "regex" && is_everything(text) {
            return Ok(Who::Anyone);
        }
        if style == "regex" && [".+", "^.+", "^.+$", ".+$"].contains(&text) {
            return Ok(Who::Users);
        }
        if text.trim_end_matches('$').contains('$') {
            let owner = match target {
                Target::Region(region) if Region::style(style) == Some([true, false, false]) || style == "regex" => {
                    region::is_owner(text, region, same)
                }
                _ => Err(format!("{text} is put together from a target of another kind than is read")),
            };
            return Ok(owner.map_or_else(Who::Unknown, |()| Who::Owner));
        }
        if style == "regex" {
            return Ok(match region::parse(text) {
                Ok(region) if region.rdn_type.is_none() || region.depths == [false, true, false] => Who::Region(region),
                Ok(_) => Who::Unknown(format!("by dn.regex={text} asks for a type in the middle of a name")),
                Err(why) => Who::Unknown(why),
            });
        }
    }
    match (style, text) {
        ("" | "exact" | "base", "") => return Ok(Who::Anonymous),
        ("" | "exact" | "base", "*") => return Ok(Who::Anyone),
        _ => {}
    }
    match Region::style(style) {
        Some(depths) => Ok(Who::Region(Region::new(parsed(text)?, depths))),
        None if style.starts_with("level") => Ok(Who::Unknown(format!("by dn.{style} cannot be said in a rule here"))),
        None => Err(format!("expected dn.exact, dn.one, dn.subtree, dn.children or dn.regex, found dn.{style}")),
    }
}

fn read_peer(style: &str, text: &str, word: &str) -> Result<Option<Who>, String> {
    let unknown = |why: &str| Ok(Some(Who::Unknown(format!("by {word}: {why}"))));
    if text.contains('{') {
        return unknown("here no rule asks for the port");
    }
    let is_mask = |mask: &str| {
        mask.parse::<std::net::Ipv4Addr>()
            .is_ok_and(|mask| mask.to_bits().count_zeros() == mask.to_bits().trailing_zeros())
    };
    match (style, text.split_once('%')) {
        ("ip", None) if text.parse::<std::net::Ipv4Addr>().is_ok() => Ok(Some(Who::Ip(text.to_owned()))),
        ("ip", Some((address, mask))) if address.parse::<std::net::Ipv4Addr>().is_ok() && is_mask(mask) => {
            Ok(Some(Who::Ip(format!("{address}+{mask}"))))
        }
        ("ipv6", None) if text.parse::<std::net::Ipv6Addr>().is_ok() => Ok(Some(Who::Ip(text.to_owned()))),
        _ => unknown("write peername.ip=ADDRESS or peername.ip=ADDRESS%MASK with a mask of leading ones"),
    }
}

/// The sets that say what other words say as well.
fn read_set(style: &str, text: &str, word: &str) -> Result<Option<Who>, String> {
    let unknown = || {
        Ok(Some(Who::Unknown(format!(
            "by {word}: of sets only \"user & this/ATTRIBUTE\", \"user & [GROUP]/member\" and \"user & [GROUP]/member*\" are read"
        ))))
    };
    let parts: Vec<&str> = text.split('&').map(str::trim).collect();
    let other = match parts.as_slice() {
        ["user", other] | [other, "user"] if style.is_empty() || style == "exact" => *other,
        _ => return unknown(),
    };
    let is_name = |name: &str| crate::model::attribute::is_attribute_type(name.as_bytes());
    if let Some(attribute) = other.strip_prefix("this/").filter(|attribute| is_name(attribute)) {
        return Ok(Some(Who::Attribute(attribute.to_owned())));
    }
    let group = other.strip_prefix('[').and_then(|rest| rest.split_once("]/"));
    match group {
        Some((dn, attribute))
            if ["member", "uniquemember", "member*"].contains(&attribute.to_ascii_lowercase().as_str()) =>
        {
            Ok(Some(Who::Group { dn: parsed(dn)?, is_nested: attribute.ends_with('*') }))
        }
        _ => unknown(),
    }
}
