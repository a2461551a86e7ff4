//! A small directory in memory, and people who ask.

use crate::model::{Dn, EntryUuid, Filter};
use crate::policy::access::{AccessContext, EntryFacts, LocalTime, RequesterFacts};
use crate::policy::aci::Day;
use crate::policy::requester::{Authentication, Requester, RequesterKind};
use crate::schema::{AttributeType, Schema};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

pub(super) static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(Schema::builtin()));

/// Name and attributes of every entry; superiors first.
pub(super) const ENTRIES: &[(&str, &[(&str, &str)])] = &[
    ("dc=x", &[("objectClass", "domain"), ("dc", "x")]),
    (
        "ou=people,dc=x",
        &[("objectClass", "organizationalUnit"), ("ou", "people"), ("manager", "uid=carol,ou=people,dc=x")],
    ),
    (
        "uid=ann,ou=people,dc=x",
        &[
            ("objectClass", "person"),
            ("cn", "Ann Adams"),
            ("sn", "Adams"),
            ("mail", "ann@x"),
            ("employeeType", "staff"),
            ("manager", "UID=Bob,ou=people,dc=x"),
            ("nsRoleDN", "cn=clerk,dc=x"),
        ],
    ),
    (
        "uid=bob,ou=people,dc=x",
        &[
            ("objectClass", "person"),
            ("cn", "Bob Brown"),
            ("sn", "Brown"),
            ("employeeType", "boss"),
            ("manager", "uid=carol,ou=people,dc=x"),
            ("nsRoleDN", "CN=Chief,ou=people,dc=x"),
            ("seeAlso", "cn=clerk,dc=x"),
        ],
    ),
    (
        "uid=carol,ou=people,dc=x",
        &[("objectClass", "person"), ("cn", "Carol"), ("sn", "Clark"), ("employeeType", "boss")],
    ),
    (
        "cn=phone,uid=ann,ou=people,dc=x",
        &[("objectClass", "device"), ("cn", "phone"), ("owner", "uid=ann,ou=people,dc=x")],
    ),
    ("ou=groups,dc=x", &[("objectClass", "organizationalUnit"), ("ou", "groups")]),
    (
        "cn=admins,ou=groups,dc=x",
        &[
            ("objectClass", "groupOfNames"),
            ("cn", "admins"),
            ("member", "uid=bob,ou=people,dc=x"),
            ("owner", "cn=all,ou=groups,dc=x"),
        ],
    ),
    (
        "cn=all,ou=groups,dc=x",
        &[
            ("objectClass", "groupOfNames"),
            ("cn", "all"),
            ("member", "cn=admins,ou=groups,dc=x"),
            ("seeAlso", "cn=admins,ou=groups,dc=x"),
        ],
    ),
    ("ou=west,dc=x", &[("objectClass", "organizationalUnit"), ("ou", "west"), ("owner", "cn=admins,ou=groups,dc=x")]),
    ("ou=people,ou=west,dc=x", &[("objectClass", "organizationalUnit"), ("ou", "people")]),
    (
        "uid=dora,ou=people,ou=west,dc=x",
        &[
            ("objectClass", "person"),
            ("cn", "Dora"),
            ("cn", "all"),
            ("sn", "Dean"),
            ("mail", "dora@west"),
            ("mail", "dora@x"),
            ("manager", "uid=bob,ou=people,dc=x"),
            ("manager", "uid=carol,ou=people,dc=x"),
        ],
    ),
    ("ou=groups,ou=west,dc=x", &[("objectClass", "organizationalUnit"), ("ou", "groups")]),
    (
        "cn=admins,ou=groups,ou=west,dc=x",
        &[("objectClass", "groupOfNames"), ("cn", "admins"), ("member", "uid=dora,ou=people,ou=west,dc=x")],
    ),
];

pub(super) fn key(dn: &str) -> Vec<u8> {
    SCHEMA.dn_key(&Dn::parse(dn).unwrap())
}

pub(super) fn uuid(dn: &str) -> Option<EntryUuid> {
    let number = ENTRIES.iter().position(|(name, _)| *name == dn)?;
    Some(EntryUuid([u8::try_from(number).unwrap() + 1; 16]))
}

fn superior(dn: &str) -> Option<&str> {
    dn.split_once(',').map(|(_, superior)| superior)
}

pub(super) fn attributes(dn: &str) -> &'static [(&'static str, &'static str)] {
    ENTRIES.iter().find(|(name, _)| *name == dn).map_or(&[], |(_, attributes)| attributes)
}

/// An entry of the world.
pub(super) struct Entry(pub(super) &'static str);

/// Filters as the tests need them: values without case, attributes without subtypes, unknown names are Undefined.
fn matches(dn: &str, filter: &Filter<'_>) -> Option<bool> {
    let values = |name: &str| -> Option<Vec<String>> {
        SCHEMA.attribute_type(name)?;
        let held = attributes(dn).iter().filter(|(held, _)| held.eq_ignore_ascii_case(name));
        Some(held.map(|(_, value)| value.to_lowercase()).collect())
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().to_lowercase();
    match filter {
        Filter::And(parts) => {
            let truths: Vec<_> = parts.iter().map(|part| matches(dn, part)).collect();
            if truths.contains(&Some(false)) { Some(false) } else { truths.into_iter().min().unwrap_or(Some(true)) }
        }
        Filter::Or(parts) => {
            let truths: Vec<_> = parts.iter().map(|part| matches(dn, part)).collect();
            if truths.contains(&Some(true)) { Some(true) } else { truths.into_iter().min().unwrap_or(Some(false)) }
        }
        Filter::Not(inner) => matches(dn, inner).map(|truth| !truth),
        Filter::Equality(assertion) => Some(values(&assertion.attribute)?.contains(&text(&assertion.value))),
        Filter::Present(name) => Some(!values(name)?.is_empty()),
        _ => None,
    }
}

impl EntryFacts for Entry {
    fn uuid(&self) -> Option<EntryUuid> {
        uuid(self.0)
    }

    fn superior_uuid(&self) -> Option<EntryUuid> {
        superior(self.0).and_then(uuid)
    }

    fn dn_key(&self) -> Cow<'_, [u8]> {
        Cow::Owned(key(self.0))
    }

    fn dn(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn matches(&self, filter: &Filter<'_>) -> Option<bool> {
        matches(self.0, filter)
    }

    fn matches_once(&self, filter: &Filter<'_>) -> Option<bool> {
        matches(self.0, filter)
    }

    fn values(&self, level: u8, attribute: &AttributeType, see: &mut dyn FnMut(&[u8])) {
        let dn = (0..level).try_fold(self.0, |dn, _| superior(dn));
        for (name, value) in dn.map_or(&[][..], attributes) {
            if SCHEMA.attribute_type(name).is_some_and(|held| attribute.subtypes.contains(&held.index)) {
                see(value.as_bytes());
            }
        }
    }
}

/// Somebody of the world, or nobody.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) requester: Requester,
    pub(super) time: LocalTime,
}

impl Person {
    pub(super) fn new(name: &str) -> Self {
        let anonymous = Requester::anonymous(Some("192.0.2.7".parse().unwrap()), 0, false);
        let named = ENTRIES.iter().find(|(dn, _)| dn.starts_with(&format!("uid={name},")));
        let dn = named.map_or_else(|| format!("uid={name},ou=people,dc=x"), |(dn, _)| (*dn).to_owned());
        let requester = match (name, uuid(&dn)) {
            ("admin", _) => anonymous.with_identity(RequesterKind::Administrator { dn }, Authentication::Simple),
            (_, Some(uuid)) => {
                let dn_key = key(&dn);
                anonymous.with_identity(RequesterKind::Entry { uuid, dn, dn_key }, Authentication::Simple)
            }
            _ => anonymous,
        };
        Self { requester, time: LocalTime { minute_of_day: 12 * 60, day: Day::Monday } }
    }

    pub(super) fn context(&self) -> AccessContext<'_> {
        AccessContext { requester: &self.requester, time: self.time }
    }
}

impl RequesterFacts for Person {
    fn is_member(&self, group: &[u8]) -> bool {
        let Some(me) = self.requester.dn_key() else {
            return false;
        };
        let members = |group: &[u8]| -> Vec<Vec<u8>> {
            let dn = ENTRIES.iter().map(|(dn, _)| dn).find(|dn| key(dn) == group);
            let held = dn.map_or(&[][..], |dn| attributes(dn)).iter().filter(|(name, _)| *name == "member");
            held.map(|(_, value)| key(value)).collect()
        };
        members(group).iter().any(|member| member == me || members(member).iter().any(|inner| inner == me))
    }

    fn has_role(&self, role: &[u8]) -> bool {
        let dn = self.requester.dn().filter(|_| self.requester.entry_uuid().is_some());
        let held = dn.map_or(&[][..], attributes).iter().filter(|(name, _)| *name == "nsRoleDN");
        held.into_iter().any(|(_, value)| key(value) == role)
    }

    fn requester_matches(&self, filter: &Filter<'_>) -> Option<bool> {
        matches(self.requester.dn().filter(|_| self.requester.entry_uuid().is_some())?, filter)
    }
}
