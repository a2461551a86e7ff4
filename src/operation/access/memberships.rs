//! In which groups and roles somebody is, as far as rules ask.
//!
//! Groups that list their members and managed roles are looked up once for a generation of rules, which changes with them.
//! Groups by search and filtered roles follow from any attribute: where a rule asks for such a one, what is found is good for
//! one request only.

use crate::dit::{Entry, View};
use crate::model::Dn;
use crate::operation::outcome::Outcome;
use crate::policy::access::AskedMemberships;
use crate::search::{
    has_role, is_role_by_filter, listed_groups_of_nested, roles_of, searched_group_has, searched_groups,
};
use crate::storage::EntryId;
use hashbrown::HashSet;

/// See the module.
#[derive(Default)]
pub(super) struct Memberships {
    /// Names (as keys) of the groups.
    pub(super) groups: HashSet<Vec<u8>>,
    /// Names (as keys) of the roles; of those alone that rules ask about.
    pub(super) roles: HashSet<Vec<u8>>,
    /// Found by what may change without a new generation.
    pub(super) is_momentary: bool,
    /// A hash of what its own entry says, where rules look at that; else 0.
    own_entry: u64,
}

impl Memberships {
    /// Those of `entry`. Cost: a look-up for each group; where rules ask for groups by search or roles, a judgement for each
    /// that they ask for.
    pub(super) fn of(view: View<'_>, entry: &Entry<'_>, asked: &AskedMemberships) -> Outcome<Self> {
        let mut this = Self::default();
        let mut groups: HashSet<EntryId> = listed_groups_of_nested(view, entry)?.into_iter().collect();
        if asked.asks_for_groups() {
            this.add_searched(view, entry, asked, &mut groups)?;
        }
        this.groups = keys_of(view, groups)?;
        if asked.asks_for_roles() {
            this.add_roles(view, entry, asked)?;
        }
        if asked.own_entry {
            this.own_entry = hash_of(view, entry)?;
        }
        Ok(this)
    }

    /// A number that is another one when these are, 0 for none: the same on all members of a cluster.
    pub(super) fn mark(&self) -> u64 {
        if self.groups.is_empty() && self.roles.is_empty() && self.own_entry == 0 {
            return 0;
        }
        let mut bytes = self.own_entry.to_be_bytes().to_vec();
        for (kind, keys) in [(1, &self.groups), (2, &self.roles)] {
            let mut keys: Vec<&Vec<u8>> = keys.iter().collect();
            keys.sort_unstable();
            for key in keys {
                bytes.push(kind);
                bytes.extend_from_slice(&(key.len() as u64).to_be_bytes());
                bytes.extend_from_slice(key);
            }
        }
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }

    fn add_searched(
        &mut self,
        view: View<'_>,
        entry: &Entry<'_>,
        asked: &AskedMemberships,
        groups: &mut HashSet<EntryId>,
    ) -> Outcome<()> {
        let searched = searched_groups(view)?;
        if searched.is_empty() {
            return Ok(());
        }
        let named = resolved(view, &asked.groups)?;
        for id in searched {
            let Some(group) = view.entry(id)? else { continue };
            let above = listed_groups_of_nested(view, &group)?;
            if asked.any_group || named.contains(&id) || above.iter().any(|above| named.contains(above)) {
                self.is_momentary = true;
                if searched_group_has(view, &group, entry)? {
                    groups.insert(id);
                    groups.extend(above);
                }
            }
        }
        Ok(())
    }

    fn add_roles(&mut self, view: View<'_>, entry: &Entry<'_>, asked: &AskedMemberships) -> Outcome<()> {
        let mut roles = HashSet::new();
        if asked.any_role {
            self.is_momentary = true;
            roles.extend(roles_of(view, entry)?);
        }
        for role in resolved(view, &asked.roles)? {
            self.is_momentary |= is_role_by_filter(view, role)?;
            if has_role(view, entry, role)? {
                roles.insert(role);
            }
        }
        self.roles = keys_of(view, roles)?;
        Ok(())
    }
}

/// What people write into an entry, as a number; what the server notes is left out.
fn hash_of(view: View<'_>, entry: &Entry<'_>) -> Outcome<u64> {
    let mut said: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
    for slice in entry.record.attributes() {
        let Some(info) = view.catalog().attribute(slice.id).filter(|info| !info.operational) else { continue };
        let mut values = view.values(entry, &slice)?;
        values.sort_unstable();
        said.push((info.name.to_ascii_lowercase(), values));
    }
    said.sort_unstable();
    let mut bytes = Vec::new();
    for text in
        said.iter().flat_map(|(name, values)| std::iter::once(name.as_bytes()).chain(values.iter().map(Vec::as_slice)))
    {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text);
    }
    Ok(xxhash_rust::xxh3::xxh3_64(&bytes))
}

fn resolved(view: View<'_>, names: &[Dn]) -> Outcome<HashSet<EntryId>> {
    let mut found = HashSet::new();
    for name in names {
        found.extend(view.resolve(name)?.entry);
    }
    Ok(found)
}

fn keys_of(view: View<'_>, ids: HashSet<EntryId>) -> Outcome<HashSet<Vec<u8>>> {
    let mut keys = HashSet::with_capacity(ids.len());
    for id in ids {
        if let Some(text) = view.dn_text(id)? {
            keys.insert(view.catalog().schema().dn_key(&Dn::parse(&text)?));
        }
    }
    Ok(keys)
}
