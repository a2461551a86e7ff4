//! Access rules back to text, in one spelling: quoted values, lower-case words, parentheses wherever `and` meets `or`.

use super::{
    Aci, AttributePattern, AuthMethod, BindRule, BindTest, Day, Effect, IpNetwork, NamePattern, OidList, Permission,
    Piece, UserAttrKind, UserPattern, ValueFilter, ValueFilters,
};
use crate::model::Scope;
use std::fmt::{self, Display, Formatter, Write};

/// `=` or `!=`.
fn sign(negated: bool) -> &'static str {
    if negated { "!=" } else { "=" }
}

/// A value in quotation marks. Backslashes stand for themselves (DNs and filters have them); only a quotation mark
/// gets one more.
struct Quoted<'t>(&'t str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            if character == '"' {
                f.write_char('\\')?;
            }
            f.write_char(character)?;
        }
        f.write_char('"')
    }
}

fn joined<T>(items: &[T], separator: &str, text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(separator)
}

/// A part of a URL: what would end it, split the list or read as an escape or a macro is percent-encoded.
fn url_part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_edge = out.is_empty() || characters.peek().is_none();
        match character {
            '%' => out.push_str("%25"),
            '?' => out.push_str("%3F"),
            '"' => out.push_str("%22"),
            '$' => out.push_str("%24"),
            ' ' if is_edge => out.push_str("%20"),
            '|' if is_edge || characters.peek() == Some(&'|') => out.push_str("%7C"),
            _ => out.push(character),
        }
    }
    out
}

fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Base => "base",
        Scope::OneLevel => "onelevel",
        Scope::Subtree => "subtree",
        Scope::Subordinate => "subordinate",
    }
}

fn name_url(name: &NamePattern) -> String {
    let text = match name {
        NamePattern::Dn(text) | NamePattern::Pattern(text) => url_part(text),
        NamePattern::Macro(template) => {
            let piece = |piece: &Piece| match piece {
                Piece::Text(text) => url_part(text),
                piece => piece.word(),
            };
            template.pieces().iter().map(piece).collect()
        }
    };
    format!("ldap:///{text}")
}

impl Display for ValueFilters {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (word, filters) in [("add", &self.add), ("del", &self.delete)] {
            if filters.is_empty() {
                continue;
            }
            let filter = |filter: &ValueFilter| format!("{}:{}", filter.attribute, filter.filter);
            write!(f, "{separator}{word}={}", joined(filters, " && ", filter))?;
            separator = ", ";
        }
        Ok(())
    }
}

impl Display for OidList {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", sign(self.negated), self.oids.join(" || "))
    }
}

fn user_url(user: &UserPattern) -> String {
    match user {
        UserPattern::Anyone => "ldap:///anyone".into(),
        UserPattern::All => "ldap:///all".into(),
        UserPattern::SelfEntry => "ldap:///self".into(),
        UserPattern::Parent => "ldap:///parent".into(),
        UserPattern::Name(name) => name_url(name),
        UserPattern::Search { base, scope, filter } => {
            format!("ldap:///{}??{}?{}", url_part(base), scope.word(), url_part(filter))
        }
    }
}

impl Display for AttributePattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AllUser => "*",
            Self::AllOperational => "+",
            Self::Name(name) | Self::Wildcard(name) => name,
        })
    }
}

impl Display for IpNetwork {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl Display for BindTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserDn { negated, users } => {
                write!(f, "userdn {} {}", sign(*negated), Quoted(&joined(users, " || ", user_url)))
            }
            Self::GroupDn { negated, groups } => {
                let urls = joined(groups, " || ", name_url);
                write!(f, "groupdn {} {}", sign(*negated), Quoted(&urls))
            }
            Self::RoleDn { negated, roles } => {
                let urls = joined(roles, " || ", name_url);
                write!(f, "roledn {} {}", sign(*negated), Quoted(&urls))
            }
            Self::UserAttr { negated, levels, attribute, kind } => {
                let parents = match levels.as_slice() {
                    [0] => String::new(),
                    levels => format!("parent[{}].", joined(levels, ",", u8::to_string)),
                };
                let kind = match kind {
                    UserAttrKind::UserDn => "USERDN",
                    UserAttrKind::GroupDn => "GROUPDN",
                    UserAttrKind::RoleDn => "ROLEDN",
                    UserAttrKind::LdapUrl => "LDAPURL",
                    UserAttrKind::Value(value) => value,
                };
                write!(f, "userattr {} {}", sign(*negated), Quoted(&format!("{parents}{attribute}#{kind}")))
            }
            Self::Ip { negated, networks } => {
                write!(f, "ip {} \"{}\"", sign(*negated), joined(networks, ",", IpNetwork::to_string))
            }
            Self::Dns { negated, hosts } => write!(f, "dns {} {}", sign(*negated), Quoted(&hosts.join(" || "))),
            Self::AuthMethod { negated, method } => {
                write!(f, "authmethod {} ", sign(*negated))?;
                match method {
                    AuthMethod::None => f.write_str("\"none\""),
                    AuthMethod::Simple => f.write_str("\"simple\""),
                    AuthMethod::Ssl => f.write_str("\"ssl\""),
                    AuthMethod::Sasl(None) => f.write_str("\"sasl\""),
                    AuthMethod::Sasl(Some(mechanism)) => write!(f, "\"sasl {mechanism}\""),
                }
            }
            Self::Ssf(comparison, bits) => write!(f, "ssf {} \"{bits}\"", comparison.sign()),
            Self::TimeOfDay(comparison, minutes) => {
                write!(f, "timeofday {} \"{:02}{:02}\"", comparison.sign(), minutes / 60, minutes % 60)
            }
            Self::DayOfWeek { negated, days } => {
                write!(f, "dayofweek {} \"{}\"", sign(*negated), joined(days, ", ", |day: &Day| day.word().into()))
            }
        }
    }
}

impl Display for BindRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            Self::And(parts) => (parts, " and "),
            Self::Or(parts) => (parts, " or "),
            Self::Not(inner) => return write!(f, "not {}", Grouped(inner)),
            Self::Test(test) => return test.fmt(f),
        };
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                f.write_str(word)?;
            }
            write!(f, "{}", Grouped(part))?;
        }
        Ok(())
    }
}

/// A part of a bind rule, in parentheses unless it is a single test.
struct Grouped<'r>(&'r BindRule);

impl Display for Grouped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            BindRule::Test(test) => test.fmt(f),
            rule => write!(f, "({rule})"),
        }
    }
}

impl Display for Permission {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        write!(f, "{effect} ({}) {};", self.rights, self.bind_rule)
    }
}

/// One line in the spelling described above.
impl Display for Aci {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (word, target) in [("target", &self.target), ("target_from", &self.move_from), ("target_to", &self.move_to)]
        {
            if let Some(target) = target {
                write!(f, "({word} {} {})", sign(target.negated), Quoted(&name_url(&target.name)))?;
            }
        }
        if let Some(scope) = self.target_scope {
            write!(f, "(targetscope = \"{}\")", scope_word(scope))?;
        }
        if let Some(target) = &self.target_filter {
            write!(f, "(targetfilter {} {})", sign(target.negated), Quoted(&target.filter))?;
        }
        if let Some(target) = &self.target_attributes {
            let names = joined(&target.names, " || ", AttributePattern::to_string);
            write!(f, "(targetattr {} \"{names}\")", sign(target.negated))?;
        }
        if let Some(filters) = &self.value_filters {
            write!(f, "(targattrfilters = {})", Quoted(&filters.to_string()))?;
        }
        if let Some(controls) = &self.controls {
            write!(f, "(targetcontrol {controls})")?;
        }
        if let Some(operations) = &self.extended_operations {
            write!(f, "(extop {operations})")?;
        }
        write!(f, "(version 3.0; acl {};", Quoted(&self.name))?;
        for permission in &self.permissions {
            write!(f, " {permission}")?;
        }
        f.write_char(')')
    }
}
