//! From a Kerberos principal to an entry, by the rules of the settings; and GSSAPI's settings themselves, which are read and
//! checked whether or not this program can speak it.
//!
//! Invariants
//! - A rule that finds several entries finds none: a principal means one entry or nobody, and never the administrator.
//! - What a principal consists of is compared as values, never put into the text of a filter (hostile.md T-54).
//! - A name of another realm is never taken for one of ours, whatever it is spelled like: realms are compared exactly.

use crate::model::AttributeDescription;
use std::path::PathBuf;

/// Longest principal that is read, in bytes.
const PRINCIPAL_BYTES_MAX: usize = 1_024;

/// Settings of GSSAPI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KerberosOptions {
    /// The file with the key of the service.
    pub keytab: PathBuf,
    /// The service, as `ldap/ldap.example.com@EXAMPLE.COM`.
    pub principal: String,
    /// How a principal leads to an entry; the first rule that finds one decides.
    pub map: Vec<PrincipalRule>,
}

/// How a principal leads to an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PrincipalRule {
    /// An entry has the whole principal, with its realm, in this attribute.
    Principal {
        /// As krbPrincipalName.
        attribute: String,
    },
    /// An entry has in `attribute` the name of a principal of `realm` that is one name.
    Realm {
        /// As EXAMPLE.COM.
        realm: String,
        /// As uid.
        attribute: String,
    },
    /// [`PrincipalRule::Realm`] for the realm of the service and the attribute that names users.
    User,
}

impl PrincipalRule {
    /// Reads `user`, `realm:EXAMPLE.COM=uid`, `principal=krbPrincipalName`.
    pub fn parse(text: &str) -> Option<Self> {
        let name = |text: &str| {
            AttributeDescription::parse(text.trim()).ok()?;
            Some(text.trim().to_owned())
        };
        let text = text.trim();
        if text == "user" {
            return Some(Self::User);
        }
        if let Some(attribute) = text.strip_prefix("principal=") {
            return Some(Self::Principal { attribute: name(attribute)? });
        }
        let (realm, attribute) = text.strip_prefix("realm:")?.rsplit_once('=')?;
        let realm = realm.trim().to_owned();
        (!realm.is_empty()).then_some(Self::Realm { realm, attribute: name(attribute)? })
    }
}

/// A principal in its parts (RFC 4120 6.1, 6.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    /// What `/` separates.
    pub components: Vec<String>,
    /// Behind the `@`.
    pub realm: String,
}

impl Principal {
    /// Reads `NAME/INSTANCE@REALM` as Kerberos prints it: `\` before `/`, `@` and `\` that are part of a name (RFC 1964 2.1.1).
    /// `None`: no realm, an empty part, a part with control characters, or too long.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > PRINCIPAL_BYTES_MAX {
            return None;
        }
        let mut parts = vec![String::new()];
        let mut has_realm = false;
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let taken = match character {
                '\\' => characters.next().filter(|escaped| matches!(escaped, '/' | '@' | '\\'))?,
                '/' if !has_realm => {
                    parts.push(String::new());
                    continue;
                }
                '@' if !has_realm => {
                    has_realm = true;
                    parts.push(String::new());
                    continue;
                }
                '@' => return None,
                character if character.is_control() => return None,
                character => character,
            };
            parts.last_mut()?.push(taken);
        }
        if !has_realm || parts.iter().any(String::is_empty) {
            return None;
        }
        let realm = parts.pop()?;
        Some(Self { components: parts, realm })
    }

    /// The name of a principal of this realm that is one name: people have such, hosts and services do not.
    pub fn user_of(&self, realm: &str) -> Option<&str> {
        match self.components.as_slice() {
            [name] if self.realm == realm => Some(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_or_refused_whole() {
        assert_eq!(PrincipalRule::parse(" user "), Some(PrincipalRule::User));
        let wanted = PrincipalRule::Realm { realm: "EXAMPLE.COM".into(), attribute: "uid".into() };
        assert_eq!(PrincipalRule::parse("realm:EXAMPLE.COM=uid"), Some(wanted));
        let wanted = PrincipalRule::Principal { attribute: "krbPrincipalName".into() };
        assert_eq!(PrincipalRule::parse("principal=krbPrincipalName"), Some(wanted));
        for bad in ["", "users", "realm:=uid", "realm:A", "realm:A=", "realm:A=a b", "principal=", "principal"] {
            assert_eq!(PrincipalRule::parse(bad), None, "{bad}");
        }
    }

    /// RFC 1964 2.1.1: what is quoted belongs to the name.
    #[test]
    fn a_principal_is_read_in_its_parts() {
        let parse = |text: &str| Principal::parse(text).map(|read| (read.components.join("|"), read.realm));
        let read = |components: &str, realm: &str| Some((components.to_owned(), realm.to_owned()));
        assert_eq!(parse("ann@EXAMPLE.COM"), read("ann", "EXAMPLE.COM"));
        assert_eq!(parse("ldap/host@EXAMPLE.COM"), read("ldap|host", "EXAMPLE.COM"));
        assert_eq!(parse(r"a\@b\/c\\d@R"), read(r"a@b/c\d", "R"));
        for bad in ["", "ann", "ann@", "@R", "ann@R@S", "a//b@R", r"a\", r"a\nb@R", "a\nb@R", &"a".repeat(2_000)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_user_is_one_name_of_the_very_realm() {
        let user = |text: &str| Principal::parse(text).and_then(|read| read.user_of("EXAMPLE.COM").map(str::to_owned));
        assert_eq!(user("ann@EXAMPLE.COM").as_deref(), Some("ann"));
        for other in ["ann@OTHER.COM", "ann@example.com", "ann/admin@EXAMPLE.COM", r"ann\@EXAMPLE.COM@OTHER.COM"] {
            assert_eq!(user(other), None, "{other}");
        }
    }
}
