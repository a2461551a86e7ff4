//! Suffix entries that were there before: they stay where the file is about entries below them, and keep their access rules
//! where the file brings none. An import locks nobody out by accident, and tells where it takes rules away.

use crate::dit::{ClusterEntry, DitError, NamedValues, View};
use crate::model::{AttributeDescription, Dn};
use crate::schema::Schema;
use crate::storage::EntryId;

/// A naming context of the data before.
pub(super) struct Suffix {
    pub(super) key: Vec<u8>,
    /// The access rules that its first entry had.
    pub(super) rules: Vec<Vec<u8>>,
    /// That entry.
    pub(super) entry: ClusterEntry,
    /// Whether it is in the new data, from the file or from before.
    pub(super) is_here: bool,
}

impl Suffix {
    /// The suffix whose first entry is `id`; `None` where that has no readable name.
    pub(super) fn of(view: View<'_>, schema: &Schema, id: EntryId) -> Result<Option<Self>, DitError> {
        let Some(entry) = view.entry(id)? else { return Ok(None) };
        let Ok(dn) = Dn::parse_bytes(entry.record.rdn()) else { return Ok(None) };
        let mut attributes = NamedValues::new();
        for slice in entry.record.attributes() {
            if let Some(info) = view.catalog().attribute(slice.id) {
                attributes.push((info.name.clone(), view.values(&entry, &slice)?));
            }
        }
        let aci = AttributeDescription::parse("aci").ok().and_then(|description| view.catalog().find(&description));
        let rules = match aci.and_then(|aci| entry.attribute(aci)) {
            Some(slice) => view.values(&entry, &slice)?,
            None => Vec::new(),
        };
        let entry = ClusterEntry { dn: dn.to_string(), uuid: entry.record.uuid(), attributes };
        Ok(Some(Self { key: schema.dn_key(&dn), rules, entry, is_here: false }))
    }

    /// Whether an entry of this name is below the suffix.
    pub(super) fn is_above(&self, key: &[u8]) -> bool {
        key.len() > self.key.len() && key.starts_with(&self.key)
    }
}

/// A suffix entry that the file did not bring.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeptSuffix {
    /// Its name.
    pub dn: String,
    /// How many access rules it has.
    pub rules: usize,
}

/// Access rules of a suffix entry that those of the file took the place of.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ReplacedRules {
    /// The suffix entry.
    pub dn: String,
    /// How many of those before are gone.
    pub gone: usize,
    /// How many it has now.
    pub now: usize,
}

/// Access rules that give every attribute, of which none names memberOf. Elsewhere (389 Directory Server) memberOf is among
/// all attributes; here it is operational, and those are named (RFC 4512 3.4).
#[derive(Clone, Debug, Default)]
pub(super) struct AllAttributes {
    stars: u64,
    names_groups: bool,
}

impl AllAttributes {
    /// Takes in one value of `aci`.
    pub(super) fn see(&mut self, rule: &[u8]) {
        let text: String =
            String::from_utf8_lossy(rule).chars().filter(|character| !character.is_whitespace()).collect();
        let text = text.to_ascii_lowercase();
        self.stars += u64::from(text.contains("(targetattr=\"*\")"));
        self.names_groups |= text.contains("memberof");
    }

    /// How many rules leave memberOf out that may not have meant to.
    pub(super) fn without_groups(&self) -> u64 {
        if self.names_groups { 0 } else { self.stars }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_about_all_attributes_count_until_one_names_member_of() {
        let mut seen = AllAttributes::default();
        for rule in [
            &b"(targetattr = \"*\")(version 3.0; acl \"a\"; allow (read) userdn=\"ldap:///all\";)"[..],
            b"(targetattr=\"cn || *\")(version 3.0; acl \"b\"; allow (read) userdn=\"ldap:///all\";)",
            b"(targetattr=\"*\")(version 3.0; acl \"c\"; allow (read) userdn=\"ldap:///self\";)",
        ] {
            seen.see(rule);
        }
        assert_eq!(seen.without_groups(), 2);
        seen.see(b"(targetattr=\"uid || memberOf\")(version 3.0; acl \"d\"; allow (read) userdn=\"ldap:///all\";)");
        assert_eq!(seen.without_groups(), 0);
    }
}
