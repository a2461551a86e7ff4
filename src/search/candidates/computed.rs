//! Plans for computed attributes: identities, names, memberships and roles.
//!
//! Nothing is stored of them, so each asks another index for the same: that of entryUUID, of names, of the links of groups.

use super::Planner;
use super::plan::{Planned, joined};
use crate::model::EntryUuid;
use crate::schema::{AttributeTypeIndex, MatchingRule};
use crate::search::SearchError;
use crate::search::assertion::Test;
use crate::search::compile::Leaf;
use crate::search::computed::Computed;
use crate::search::membership::{members_of, members_of_any, members_of_nested};
use crate::search::roles::{self, Role};
use crate::storage::{EntryId, IndexKind};
use hashbrown::HashSet;

/// Roles whose holders are planned for one nested role, which each name the next; with more of them all entries are looked
/// at.
const PLANNED_ROLES_MAX: usize = 64;

impl Planner<'_> {
    pub(super) fn computed(
        &self,
        leaf: &Leaf,
        index: AttributeTypeIndex,
        computed: Computed,
    ) -> Result<Planned, SearchError> {
        let catalog = self.view.catalog();
        match (computed, &leaf.test) {
            (_, Test::Always) => Ok(Planned::everything(false)),
            (Computed::MemberOf | Computed::IsMemberOf, Test::Present) => unless_too_large(members_of_any(self.view)),
            (
                Computed::EntryUuid | Computed::NsUniqueId | Computed::ObjectGuid,
                Test::Equal { rule: MatchingRule::UuidMatch, key, .. },
            ) => {
                let uuid = key.as_slice().try_into().map(EntryUuid).unwrap_or(EntryUuid::NIL);
                Ok(Planned::one(self.view.by_uuid(uuid)?))
            }
            (Computed::EntryDn, Test::Names { dn, .. }) => Ok(Planned::one(self.view.resolve(dn)?.entry)),
            (Computed::MemberOf, Test::Names { dn, .. }) => match self.view.resolve(dn)?.entry {
                Some(group) => unless_too_large(members_of(self.view, group)),
                None => Ok(Planned::nothing()),
            },
            (Computed::MemberOf, Test::Chain { dn })
            | (Computed::IsMemberOf, Test::Names { dn, .. } | Test::Chain { dn }) => match self.view.resolve(dn)?.entry
            {
                Some(group) => unless_too_large(members_of_nested(self.view, group)),
                None => Ok(Planned::nothing()),
            },
            (Computed::NsRole, Test::Present) => {
                // Who has a nested role has one that is not.
                let managed = roles::role_dn(self.view).and_then(|base| Some((base, catalog.attribute(base)?)));
                let mut plans = match managed {
                    Some((base, info)) if info.indexed.presence => vec![self.list(base, IndexKind::Presence, &[])?],
                    Some(_) => return Ok(Planned::everything(true)),
                    None => Vec::new(),
                };
                let mut visited = HashSet::new();
                for role in roles::filtered(self.view)? {
                    plans.push(self.role(role, &mut visited)?);
                }
                Ok(joined(plans))
            }
            (Computed::NsRole, Test::Names { dn, .. }) => match self.view.resolve(dn)?.entry {
                Some(role) => self.role(role, &mut HashSet::new()),
                None => Ok(Planned::nothing()),
            },
            (Computed::CreateTimestamp | Computed::ModifyTimestamp, test) => {
                let base = catalog.base_of(self.schema().attribute_type_at(index));
                let Some((base, info)) = base.and_then(|base| Some((base, catalog.attribute(base)?))) else {
                    return Ok(Planned::everything(true));
                };
                match test {
                    Test::Equal { .. } | Test::Ordered { .. } => {
                        Ok(self.base(leaf, base, info)?.unwrap_or_else(|| Planned::everything(true)))
                    }
                    _ => Ok(Planned::everything(true)),
                }
            }
            _ => Ok(Planned::everything(true)),
        }
    }

    /// Those who may have a role.
    fn role(&self, id: EntryId, visited: &mut HashSet<EntryId>) -> Result<Planned, SearchError> {
        if !visited.insert(id) {
            return Ok(Planned::nothing());
        }
        if visited.len() > PLANNED_ROLES_MAX {
            return Ok(Planned::everything(true));
        }
        let Some(role) = self.view.entry(id)? else { return Ok(Planned::nothing()) };
        let plans = match Role::defined_by(self.view, &role)? {
            None | Some(Role::Filtered(None)) => return Ok(Planned::nothing()),
            Some(Role::Filtered(Some(filter))) => return self.node(&filter.root),
            Some(Role::Managed) => match roles::managed_keys(self.view, &role)? {
                Some(keys) => keys.into_iter().map(|key| self.list_at(key)).collect::<Result<Vec<_>, _>>()?,
                None => return Ok(Planned::everything(true)),
            },
            Some(Role::Nested(named)) => {
                named.into_iter().map(|id| self.role(id, visited)).collect::<Result<Vec<_>, _>>()?
            }
        };
        Ok(joined(plans))
    }
}

/// A chain or group that is too long to gather is found by looking at every entry instead.
pub(super) fn unless_too_large(ids: Result<Vec<EntryId>, SearchError>) -> Result<Planned, SearchError> {
    match ids {
        Ok(ids) => Ok(Planned::ids(ids)),
        Err(SearchError::TooLarge { .. }) => Ok(Planned::everything(false)),
        Err(error) => Err(error),
    }
}
