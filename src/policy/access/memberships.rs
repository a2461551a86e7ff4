//! Which groups and roles some rules ask about, so that who asks need be looked up in no others.

use crate::model::Dn;
use crate::policy::aci::{Aci, BindTest, NamePattern, UserAttrKind, UserPattern};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct AskedMemberships {
    /// Groups by name.
    pub groups: Vec<Dn>,
    /// Roles by name.
    pub roles: Vec<Dn>,
    /// Entries or macros say which groups: it may be any.
    pub any_group: bool,
    /// Entries or macros say which roles: it may be any.
    pub any_role: bool,
    /// They look at what stands in the requester's own entry.
    pub own_entry: bool,
    /// Attributes, as rules spell them, whose values in a superior decide about what is below it (`parent[1]` in userattr).
    pub inherited: Vec<String>,
}

impl AskedMemberships {
    /// Adds what other rules ask about.
    pub fn extend(&mut self, other: &Self) {
        self.groups.extend_from_slice(&other.groups);
        self.roles.extend_from_slice(&other.roles);
        self.any_group |= other.any_group;
        self.any_role |= other.any_role;
        self.own_entry |= other.own_entry;
        self.inherited.extend_from_slice(&other.inherited);
    }

    /// Whether they ask about groups.
    pub fn asks_for_groups(&self) -> bool {
        self.any_group || !self.groups.is_empty()
    }

    /// Whether they ask about roles.
    pub fn asks_for_roles(&self) -> bool {
        self.any_role || !self.roles.is_empty()
    }

    pub(super) fn note(&mut self, aci: &Aci) {
        for permission in &aci.permissions {
            permission.bind_rule.visit(&mut |test| {
                if let BindTest::UserAttr { levels, attribute, .. } = test
                    && levels.iter().any(|level| *level > 0)
                {
                    self.inherited.push(attribute.clone());
                }
                match test {
                    BindTest::GroupDn { groups, .. } => note(groups, &mut self.groups, &mut self.any_group),
                    BindTest::RoleDn { roles, .. } => note(roles, &mut self.roles, &mut self.any_role),
                    BindTest::UserAttr { kind: UserAttrKind::GroupDn, .. } => self.any_group = true,
                    BindTest::UserAttr { kind: UserAttrKind::RoleDn, .. } => self.any_role = true,
                    BindTest::UserAttr { kind: UserAttrKind::LdapUrl | UserAttrKind::Value(_), .. } => {
                        self.own_entry = true;
                    }
                    BindTest::UserDn { users, .. } => {
                        self.own_entry |= users.iter().any(|user| matches!(user, UserPattern::Search { .. }));
                    }
                    _ => {}
                }
            });
        }
    }
}

fn note(names: &[NamePattern], known: &mut Vec<Dn>, any: &mut bool) {
    for name in names {
        match name {
            NamePattern::Dn(text) => known.extend(Dn::parse(text).ok()),
            _ => *any = true,
        }
    }
}
