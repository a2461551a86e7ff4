//! What stands in quotation marks: `ldap:///` names, filters, addresses, times.

use super::parse::{Sign, Value, trim};
use super::{
    AciError, AuthMethod, BindTest, Comparison, Day, IpNetwork, NamePattern, PARENT_LEVEL_MAX, Piece, Template,
    UserAttrKind, UserPattern,
};
use crate::model::attribute::is_attribute_type;
use crate::model::{Dn, Filter, Scope};
use crate::policy::name_pattern;
use std::net::{IpAddr, Ipv4Addr};

/// Keywords of bind rules.
pub(super) const TEST_WORDS: [&str; 12] = [
    "userdn",
    "groupdn",
    "roledn",
    "userattr",
    "userdnattr",
    "groupdnattr",
    "ip",
    "dns",
    "authmethod",
    "ssf",
    "timeofday",
    "dayofweek",
];

/// Macros of 389-DS; where they are not served, taken literally they would never match what their author meant.
const MACROS: [&str; 3] = ["($dn)", "[$dn]", "($attr."];

/// `ldap:///DN?ATTRIBUTES?SCOPE?FILTER`, percent-decoded. RFC 4516 in the form that rules use: no host, and blanks
/// may stand as they are.
pub(super) struct Url {
    dn: String,
    attributes: Option<String>,
    scope: Option<String>,
    filter: Option<String>,
    /// The DN, where it has macros.
    template: Option<Template>,
    offset: usize,
}

fn error(offset: usize, detail: impl Into<String>) -> AciError {
    AciError { offset, detail: detail.into() }
}

fn refuse_macros(text: &str, offset: usize) -> Result<(), AciError> {
    let lower = text.to_ascii_lowercase();
    match MACROS.into_iter().find(|name| lower.contains(name)) {
        Some(name) => Err(error(offset, format!("the macro {name} is not supported here; write the names out"))),
        None => Ok(()),
    }
}

fn percent_decoded(text: &str, offset: usize) -> Result<String, AciError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = if byte == b'%' { after.split_first_chunk::<2>() } else { None };
        let code = digits.and_then(|(digits, after)| {
            let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
            Some((u8::from_str_radix(text, 16).ok()?, after))
        });
        let (decoded, after) = code.unwrap_or((byte, after));
        bytes.push(decoded);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| error(offset, "the percent escapes do not make UTF-8 text"))
}

impl Url {
    pub(super) fn parse(text: &str, offset: usize) -> Result<Self, AciError> {
        let start = text.get(.."ldap:///".len()).unwrap_or_default();
        if !start.eq_ignore_ascii_case("ldap:///") {
            return Err(error(offset, format!("expected ldap:/// and a name (no host), found '{text}'")));
        }
        let text = text.get(start.len()..).unwrap_or_default();
        if text.contains('?') {
            refuse_macros(text, offset)?;
        }
        let template = Template::parse(text, offset, |piece| percent_decoded(piece, offset))?;
        let mut parts = text.splitn(4, '?');
        let mut part = || parts.next().map(|part| percent_decoded(part, offset)).transpose();
        let dn = part()?.unwrap_or_default();
        Ok(Self { dn, attributes: part()?, scope: part()?, filter: part()?, template, offset })
    }

    fn has_query(&self) -> bool {
        self.attributes.is_some()
    }

    /// As the name of an entry, or a pattern.
    pub(super) fn into_name(self) -> Result<NamePattern, AciError> {
        if self.has_query() {
            return Err(error(self.offset, "expected a DN without ? parts"));
        }
        if let Some(template) = self.template {
            return match template.name_problem() {
                Some(problem) => Err(error(self.offset, problem)),
                None => Ok(NamePattern::Macro(template)),
            };
        }
        name(self.dn, self.offset)
    }

    /// As what a rule is about: of macros, one `($dn)` alone may stand there.
    pub(super) fn into_target(self) -> Result<NamePattern, AciError> {
        let offset = self.offset;
        let name = self.into_name()?;
        if let NamePattern::Macro(template) = &name {
            let macros: Vec<_> = template.pieces().iter().filter(|piece| !matches!(piece, Piece::Text(_))).collect();
            if macros != [&Piece::Dn] {
                return Err(error(offset, "a target takes one ($dn), and no other macro"));
            }
            let after = template.pieces().iter().skip_while(|piece| **piece != Piece::Dn).nth(1);
            if matches!(after, Some(Piece::Text(text)) if name_pattern::is_pattern(text)) {
                return Err(error(offset, "in a target, * stands before ($dn) only"));
            }
        }
        Ok(name)
    }

    /// As a name without stars.
    fn into_group(self) -> Result<NamePattern, AciError> {
        let offset = self.offset;
        let has_star = |piece: &Piece| matches!(piece, Piece::Text(text) if name_pattern::is_pattern(text));
        match self.into_name()? {
            NamePattern::Pattern(_) => Err(error(offset, "expected a DN without *")),
            NamePattern::Macro(template) if template.pieces().iter().any(has_star) => {
                Err(error(offset, "expected a DN without *"))
            }
            name => Ok(name),
        }
    }

    fn into_user(self) -> Result<UserPattern, AciError> {
        if !self.has_query() {
            let word = self.dn.to_ascii_lowercase();
            return Ok(match word.as_str() {
                "anyone" => UserPattern::Anyone,
                "all" => UserPattern::All,
                "self" => UserPattern::SelfEntry,
                "parent" => UserPattern::Parent,
                _ => UserPattern::Name(self.into_name()?),
            });
        }
        if self.attributes.is_some_and(|attributes| !attributes.is_empty()) {
            return Err(error(self.offset, "expected no attribute list in this URL: ldap:///BASE??SCOPE?FILTER"));
        }
        let scope = match self.scope.as_deref().unwrap_or_default() {
            "" => Scope::Base,
            word => Scope::from_word(word).ok_or_else(|| error(self.offset, "expected the scope base, one or sub"))?,
        };
        Dn::parse(&self.dn).map_err(|cause| error(self.offset, format!("not a DN: {cause}")))?;
        let text = self.filter.as_deref().filter(|text| !text.is_empty()).unwrap_or("(objectClass=*)");
        Ok(UserPattern::Search { base: self.dn, scope, filter: filter(text, self.offset)? })
    }
}

fn name(text: String, offset: usize) -> Result<NamePattern, AciError> {
    if name_pattern::is_pattern(&text) {
        return if name_pattern::is_valid_pattern(&text) {
            Ok(NamePattern::Pattern(text))
        } else {
            Err(error(offset, format!("'{text}' is not a DN with *; write for example uid=*,ou=people,dc=example")))
        };
    }
    match Dn::parse(&text) {
        Ok(_) => Ok(NamePattern::Dn(text)),
        Err(cause) => Err(error(offset, format!("'{text}' is not a DN: {cause}"))),
    }
}

/// The text back when it is a filter.
pub(super) fn filter(text: &str, offset: usize) -> Result<String, AciError> {
    refuse_macros(text, offset)?;
    match Filter::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(cause) => Err(error(offset, format!("not a filter: {cause}"))),
    }
}

/// The text back when it is a filter, perhaps with `($dn)` and `[$dn]` in it.
pub(super) fn target_filter(text: &str, offset: usize) -> Result<String, AciError> {
    match filter_template(text)? {
        None => filter(text, offset),
        Some(template) => match template.filter_problem() {
            Some(problem) => Err(error(offset, problem)),
            None => Ok(text.to_owned()),
        },
    }
}

/// The text of a `targetfilter` as a template; `None` when it has no macro.
pub(in crate::policy) fn filter_template(text: &str) -> Result<Option<Template>, AciError> {
    Template::parse(text, 0, |piece| Ok(piece.to_owned()))
}

/// Whether `($dn)` or `[$dn]` stands in the text of a filter.
pub(super) fn has_dn_macro(text: &str) -> bool {
    filter_template(text).is_ok_and(|template| template.is_some_and(|template| template.uses_dn()))
}

/// Reads a URL stored in an attribute (`userattr = "…#LDAPURL"`) as `userdn` reads one in a rule.
pub(in crate::policy) fn user_url(text: &str) -> Option<UserPattern> {
    Url::parse(text, 0).and_then(Url::into_user).ok()
}

/// The alternatives of a list.
fn alternatives(value: &Value) -> impl Iterator<Item = &str> {
    value.text.split("||").map(trim)
}

/// The items of a list separated by `,` or `|`, without empty ones.
fn items(value: &Value) -> impl Iterator<Item = &str> {
    value.text.split([',', '|']).map(str::trim).filter(|part| !part.is_empty())
}

/// One test; `word` is one of [`TEST_WORDS`].
pub(super) fn test(word: &str, sign: Sign, sign_offset: usize, value: &Value) -> Result<BindTest, AciError> {
    if word == "ssf" {
        let bits = value.text.trim().parse().map_err(|_| value.error("expected a number of bits, such as \"128\""))?;
        return Ok(BindTest::Ssf(comparison(sign), bits));
    }
    if word == "timeofday" {
        return time_of_day(value).map(|minutes| BindTest::TimeOfDay(comparison(sign), minutes));
    }
    let negated = match sign {
        Sign::Equal => false,
        Sign::NotEqual => true,
        _ => return Err(error(sign_offset, format!("{word} takes = or !="))),
    };
    match word {
        "userdn" => {
            let user = |text| Url::parse(text, value.offset)?.into_user();
            Ok(BindTest::UserDn { negated, users: alternatives(value).map(user).collect::<Result<_, _>>()? })
        }
        "groupdn" | "roledn" => {
            let name = |text| Url::parse(text, value.offset)?.into_group();
            let names = alternatives(value).map(name).collect::<Result<_, _>>()?;
            Ok(match word {
                "groupdn" => BindTest::GroupDn { negated, groups: names },
                _ => BindTest::RoleDn { negated, roles: names },
            })
        }
        "userattr" => user_attr(negated, value),
        "userdnattr" | "groupdnattr" => {
            let kind = if word == "userdnattr" { UserAttrKind::UserDn } else { UserAttrKind::GroupDn };
            let (levels, attribute) = inherited_attribute(value.text.trim(), value)?;
            Ok(BindTest::UserAttr { negated, levels, attribute, kind })
        }
        "ip" => {
            let networks: Vec<_> = items(value).map(|part| ip_network(part, value)).collect::<Result<_, _>>()?;
            if networks.is_empty() { Err(ip_error("", value)) } else { Ok(BindTest::Ip { negated, networks }) }
        }
        "dns" => {
            let hosts = alternatives(value).map(|host| host_name(host, value)).collect::<Result<_, _>>()?;
            Ok(BindTest::Dns { negated, hosts })
        }
        "authmethod" => auth_method(value).map(|method| BindTest::AuthMethod { negated, method }),
        _ => {
            let mut days: Vec<_> = items(value).map(|part| day(part, value)).collect::<Result<_, _>>()?;
            days.sort();
            days.dedup();
            if days.is_empty() { Err(day_error("", value)) } else { Ok(BindTest::DayOfWeek { negated, days }) }
        }
    }
}

fn comparison(sign: Sign) -> Comparison {
    match sign {
        Sign::Equal => Comparison::Equal,
        Sign::NotEqual => Comparison::NotEqual,
        Sign::Less => Comparison::Less,
        Sign::LessOrEqual => Comparison::LessOrEqual,
        Sign::Greater => Comparison::Greater,
        Sign::GreaterOrEqual => Comparison::GreaterOrEqual,
    }
}

/// `attribute#KIND` or `parent[0,1].attribute#KIND`.
fn user_attr(negated: bool, value: &Value) -> Result<BindTest, AciError> {
    refuse_macros(&value.text, value.offset)?;
    let Some((left, kind)) = trim(&value.text).split_once('#') else {
        return Err(value.error("expected attribute#USERDN, #GROUPDN, #ROLEDN, #SELFDN, #LDAPURL or #value"));
    };
    let kind = match kind.to_ascii_uppercase().as_str() {
        "USERDN" | "SELFDN" => UserAttrKind::UserDn,
        "GROUPDN" => UserAttrKind::GroupDn,
        "LDAPURL" => UserAttrKind::LdapUrl,
        "ROLEDN" => UserAttrKind::RoleDn,
        "" => return Err(value.error("expected USERDN, GROUPDN, ROLEDN, SELFDN, LDAPURL or a value after #")),
        _ => UserAttrKind::Value(kind.to_owned()),
    };
    let (levels, attribute) = inherited_attribute(left.trim(), value)?;
    Ok(BindTest::UserAttr { negated, levels, attribute, kind })
}

fn inherited_attribute(text: &str, value: &Value) -> Result<(Vec<u8>, String), AciError> {
    let (levels, attribute) = match text.get(..7) {
        Some(start) if start.eq_ignore_ascii_case("parent[") => {
            let Some((levels, attribute)) = text.get(7..).and_then(|rest| rest.split_once("].")) else {
                return Err(value.error("expected parent[0,1].attribute"));
            };
            let level = |text: &str| text.trim().parse().ok().filter(|level| *level <= PARENT_LEVEL_MAX);
            let Some(mut levels) = levels.split(',').map(level).collect::<Option<Vec<u8>>>() else {
                return Err(value.error(format!("expected levels from 0 to {PARENT_LEVEL_MAX} in parent[…]")));
            };
            levels.sort_unstable();
            levels.dedup();
            (levels, attribute.trim())
        }
        _ => (vec![0], text),
    };
    if is_attribute_type(attribute.as_bytes()) {
        Ok((levels, attribute.to_owned()))
    } else {
        Err(value.error(format!("'{attribute}' is not an attribute name")))
    }
}

fn ip_error(text: &str, value: &Value) -> AciError {
    value.error(format!("'{text}' is no address; write 192.0.2.7, 192.0.2.*, 192.0.2.0/24 or 2001:db8::/32"))
}

/// `A`, `A/bits`, `A+netmask`, and IPv4 with trailing `*`.
fn ip_network(text: &str, value: &Value) -> Result<IpNetwork, AciError> {
    let parsed = if let Some((address, bits)) = text.split_once('/') {
        address.parse().ok().zip(bits.parse().ok()).and_then(|(address, bits)| IpNetwork::new(address, bits))
    } else if let Some((address, mask)) = text.split_once('+') {
        address.parse().ok().zip(mask.parse().ok()).and_then(|(address, mask)| masked(address, mask))
    } else if text.contains('*') {
        starred(text)
    } else {
        text.parse::<IpAddr>().ok().and_then(|address| {
            let address = address.to_canonical();
            IpNetwork::new(address, if address.is_ipv4() { 32 } else { 128 })
        })
    };
    parsed.ok_or_else(|| ip_error(text, value))
}

fn masked(address: Ipv4Addr, mask: Ipv4Addr) -> Option<IpNetwork> {
    let bits = mask.to_bits().leading_ones();
    let is_prefix = mask.to_bits().count_ones() == bits;
    IpNetwork::new(address.into(), u8::try_from(bits).ok()?).filter(|_| is_prefix)
}

/// `10.1.*` and `10.1.*.*`: the stars come last.
fn starred(text: &str) -> Option<IpNetwork> {
    let parts: Vec<&str> = text.split('.').collect();
    let fixed = parts.iter().take_while(|part| **part != "*").count();
    if parts.len() > 4 || fixed == parts.len() || parts.iter().skip(fixed).any(|part| *part != "*") {
        return None;
    }
    let mut octets = [0u8; 4];
    for (octet, part) in octets.iter_mut().zip(parts.iter().take(fixed)) {
        *octet = part.parse().ok()?;
    }
    IpNetwork::new(Ipv4Addr::from(octets).into(), u8::try_from(fixed * 8).ok()?)
}

fn host_name(host: &str, value: &Value) -> Result<String, AciError> {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*');
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err(value.error(format!("'{host}' is no host name; write host.example.com or *.example.com")));
    }
    Ok(host.to_ascii_lowercase())
}

fn auth_method(value: &Value) -> Result<AuthMethod, AciError> {
    let text = value.text.trim().to_ascii_lowercase();
    match text.as_str() {
        "none" => Ok(AuthMethod::None),
        "simple" => Ok(AuthMethod::Simple),
        "ssl" => Ok(AuthMethod::Ssl),
        "sasl" => Ok(AuthMethod::Sasl(None)),
        _ => {
            let mechanism = text.strip_prefix("sasl").filter(|rest| rest.starts_with([' ', '\t'])).map(str::trim);
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            match mechanism {
                Some(mechanism) if mechanism.bytes().all(is_name) => {
                    Ok(AuthMethod::Sasl(Some(mechanism.to_ascii_uppercase())))
                }
                _ => Err(value.error("expected one of none, simple, ssl, sasl, \"sasl MECHANISM\"")),
            }
        }
    }
}

fn time_of_day(value: &Value) -> Result<u16, AciError> {
    let text = value.text.trim();
    let is_number = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let digits = text.get(..2).zip(text.get(2..)).filter(|_| is_number);
    let minutes = digits.and_then(|(hours, minutes)| {
        let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours < 24 && minutes < 60 || (hours, minutes) == (24, 0)).then_some(hours * 60 + minutes)
    });
    minutes.ok_or_else(|| value.error("expected four digits from 0000 to 2400, such as \"1830\""))
}

fn day_error(text: &str, value: &Value) -> AciError {
    value.error(format!("'{text}' is no day; expected one of sun, mon, tue, wed, thu, fri, sat"))
}

fn day(text: &str, value: &Value) -> Result<Day, AciError> {
    let word = text.to_ascii_lowercase();
    Day::ALL.into_iter().find(|day| day.word() == word).ok_or_else(|| day_error(text, value))
}
