//! A second evaluator, as plain as the documentation of the rules: everything at once, nothing compiled, names as
//! lower-case text. Shares with the real one the parsed rule and the facts of the connection, nothing else.

use super::world::{Person, attributes};
use crate::model::Scope;
use crate::policy::aci::{
    Aci, AttributePattern, AuthMethod, BindRule, BindTest, Effect, NamePattern, UserAttrKind, UserPattern,
};
use crate::policy::requester::Authentication;
use crate::policy::rights::Right;

/// What is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Object {
    EntryAsWhole,
    /// By first name.
    Attribute(&'static str),
    Unknown,
}

pub(super) struct Case<'a> {
    pub(super) rules: &'a [(&'static str, Aci)],
    pub(super) person: &'a Person,
    pub(super) entry: &'static str,
    pub(super) right: Right,
    pub(super) object: Object,
}

const OPERATIONAL: [&str; 3] = ["createTimestamp", "entryUUID", "aci"];

type Truth = Option<bool>;

fn not(truth: Truth, really: bool) -> Truth {
    if really { truth.map(|truth| !truth) } else { truth }
}

fn and(truths: impl IntoIterator<Item = Truth>) -> Truth {
    let truths: Vec<Truth> = truths.into_iter().collect();
    if truths.contains(&Some(false)) {
        Some(false)
    } else if truths.contains(&None) {
        None
    } else {
        Some(true)
    }
}

fn or(truths: impl IntoIterator<Item = Truth>) -> Truth {
    not(and(truths.into_iter().map(|truth| not(truth, true))), true)
}

fn normal(dn: &str) -> String {
    dn.to_lowercase().replace(", ", ",")
}

/// `*` stands for any text.
fn wild(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => (0..=text.len()).any(|skip| wild(&pattern[1..], &text[skip..])),
        Some(first) => text.starts_with(first) && wild(&pattern[1..], &text[1..]),
    }
}

fn is_below(dn: &str, base: &str) -> bool {
    dn == base || dn.ends_with(&format!(",{base}"))
}

fn in_scope(scope: Scope, base: &str, dn: &str) -> bool {
    match scope {
        Scope::Base => dn == base,
        Scope::Subtree => is_below(dn, base),
        Scope::Subordinate => is_below(dn, base) && dn != base,
        Scope::OneLevel => dn.split_once(',').is_some_and(|(_, superior)| superior == base),
    }
}

fn has(dn: &str, name: &str, value: &str) -> bool {
    attributes(dn).iter().any(|(held, text)| *held == name && text.eq_ignore_ascii_case(value))
}

fn filter(dn: &str, text: &str) -> Truth {
    match text {
        "(employeeType=boss)" => Some(has(dn, "employeeType", "boss")),
        "(&(objectClass=person)(!(employeeType=boss)))" => {
            Some(has(dn, "objectClass", "person") && !has(dn, "employeeType", "boss"))
        }
        "(noSuchAttribute=x)" => None,
        "(|(mail=*)(ou=groups))" => {
            Some(attributes(dn).iter().any(|(name, _)| *name == "mail") || has(dn, "ou", "groups"))
        }
        "(objectClass=*)" => Some(true),
        _ => panic!("{text}"),
    }
}

fn is_member(person: &str, group: &str) -> bool {
    match normal(group).as_str() {
        "cn=admins,ou=groups,dc=x" | "cn=all,ou=groups,dc=x" => person == "uid=bob,ou=people,dc=x",
        _ => false,
    }
}

impl Case<'_> {
    fn me(&self) -> Option<&str> {
        self.person.requester.dn().filter(|_| self.person.requester.entry_uuid().is_some())
    }

    pub(super) fn is_allowed(&self) -> bool {
        if self.person.requester.is_administrator() {
            return true;
        }
        let counts = |effect: Effect, truth: Truth| match effect {
            Effect::Allow => truth == Some(true),
            Effect::Deny => truth != Some(false),
        };
        let any = |effect: Effect| {
            self.rules.iter().any(|(holder, aci)| {
                is_below(self.entry, holder)
                    && self.covers(aci, effect)
                    && aci.permissions.iter().any(|permission| {
                        permission.effect == effect
                            && permission.rights.contains(self.right)
                            && counts(effect, and([self.target(holder, aci), self.bind(&permission.bind_rule)]))
                    })
            })
        };
        any(Effect::Allow) && !any(Effect::Deny)
    }

    fn covers(&self, aci: &Aci, effect: Effect) -> bool {
        let Some(target) = &aci.target_attributes else {
            return self.object == Object::EntryAsWhole;
        };
        let listed = |name: &str| {
            target.names.iter().any(|pattern| match pattern {
                AttributePattern::AllUser => !OPERATIONAL.contains(&name),
                AttributePattern::AllOperational => OPERATIONAL.contains(&name),
                AttributePattern::Name(listed) => {
                    listed.eq_ignore_ascii_case(name)
                        || listed == "commonName" && name == "cn"
                        || listed == "name" && ["cn", "sn"].contains(&name)
                }
                AttributePattern::Wildcard(pattern) => {
                    wild(&pattern.to_lowercase(), &name.to_lowercase())
                        || name == "cn" && wild(&pattern.to_lowercase(), "commonname")
                        || name == "sn" && wild(&pattern.to_lowercase(), "surname")
                }
            })
        };
        let names_unknown = target.names.contains(&AttributePattern::Name("noSuchAttribute".into()));
        match self.object {
            Object::EntryAsWhole => {
                matches!(self.right, Right::Add | Right::Delete | Right::Proxy | Right::ModDn | Right::Write)
            }
            Object::Attribute("userPassword")
                if effect == Effect::Allow && matches!(self.right, Right::Read | Right::Search | Right::Compare) =>
            {
                !target.negated && target.names.contains(&AttributePattern::Name("userPassword".into()))
            }
            Object::Attribute(name) if target.negated => !OPERATIONAL.contains(&name) && !listed(name),
            Object::Attribute(name) => listed(name),
            Object::Unknown if names_unknown && effect == Effect::Deny => true,
            Object::Unknown if names_unknown && target.negated => false,
            Object::Unknown => target.names.contains(&AttributePattern::AllUser) != target.negated,
        }
    }

    fn target(&self, holder: &str, aci: &Aci) -> Truth {
        let scope = aci.target_scope.unwrap_or(Scope::Subtree);
        let place = match &aci.target {
            None => in_scope(scope, holder, self.entry),
            Some(target) => {
                let fits = match &target.name {
                    NamePattern::Dn(dn) => in_scope(scope, &normal(dn), self.entry),
                    NamePattern::Pattern(pattern) => wild(&normal(pattern), self.entry),
                };
                fits != target.negated
            }
        };
        let content = aci.target_filter.as_ref().map(|target| not(filter(self.entry, &target.filter), target.negated));
        and([Some(place), content.unwrap_or(Some(true))])
    }

    fn bind(&self, rule: &BindRule) -> Truth {
        match rule {
            BindRule::And(parts) => and(parts.iter().map(|part| self.bind(part))),
            BindRule::Or(parts) => or(parts.iter().map(|part| self.bind(part))),
            BindRule::Not(inner) => not(self.bind(inner), true),
            BindRule::Test(test) => self.test(test),
        }
    }

    fn user(&self, pattern: &UserPattern) -> Truth {
        let superior = self.entry.split_once(',').map(|(_, superior)| superior);
        let me = self.me();
        match pattern {
            UserPattern::Anyone => Some(true),
            UserPattern::All => Some(!self.person.requester.is_anonymous()),
            UserPattern::SelfEntry => Some(me == Some(self.entry)),
            UserPattern::Parent => Some(me.is_some() && me == superior),
            UserPattern::Name(NamePattern::Dn(dn)) => Some(me == Some(normal(dn).as_str())),
            UserPattern::Name(NamePattern::Pattern(text)) => Some(me.is_some_and(|me| wild(&normal(text), me))),
            UserPattern::Search { base, scope, filter: text } => match me {
                Some(me) if in_scope(*scope, &normal(base), me) => filter(me, text),
                _ => Some(false),
            },
        }
    }

    fn test(&self, test: &BindTest) -> Truth {
        let requester = &self.person.requester;
        match test {
            BindTest::UserDn { negated, users } => not(or(users.iter().map(|pattern| self.user(pattern))), *negated),
            BindTest::GroupDn { negated, groups } => {
                let fits = self.me().is_some_and(|me| groups.iter().any(|group| is_member(me, group)));
                Some(fits != *negated)
            }
            BindTest::UserAttr { attribute, .. } if attribute == "noSuchAttribute" => None,
            BindTest::UserAttr { negated, levels, attribute, kind } => {
                let fits = self.me().is_some_and(|me| {
                    levels.iter().any(|level| {
                        let superiors = self.entry.splitn(usize::from(*level) + 1, ',').collect::<Vec<_>>();
                        let dn = superiors.get(usize::from(*level)).copied().unwrap_or_default();
                        let skipped = *level == 0 && self.right == Right::Add;
                        let held = attributes(dn).iter().filter(|(name, _)| *name == attribute && !skipped);
                        held.into_iter().any(|(_, value)| match kind {
                            UserAttrKind::UserDn => normal(value) == me,
                            UserAttrKind::GroupDn => is_member(me, value),
                            UserAttrKind::LdapUrl => false,
                            UserAttrKind::Value(wanted) => value == wanted && has(me, attribute, wanted),
                        })
                    })
                });
                Some(fits != *negated)
            }
            BindTest::Ip { negated, networks } => {
                let fits = requester.peer.is_some_and(|peer| {
                    networks.iter().any(|network| match network.to_string().as_str() {
                        "192.0.2.0/24" => peer.to_string().starts_with("192.0.2."),
                        "2001:db8::/32" => peer.to_string().starts_with("2001:db8:"),
                        other => panic!("{other}"),
                    })
                });
                Some(fits != *negated)
            }
            BindTest::Dns { .. } => None,
            BindTest::AuthMethod { negated, method } => {
                let fits = match (method, &requester.authentication) {
                    (AuthMethod::None, _)
                    | (AuthMethod::Simple, Authentication::Simple)
                    | (AuthMethod::Ssl, Authentication::ClientCertificate)
                    | (AuthMethod::Sasl(None), Authentication::Sasl(_) | Authentication::ClientCertificate) => true,
                    (AuthMethod::Sasl(Some(wanted)), Authentication::Sasl(held)) => wanted == held,
                    (AuthMethod::Sasl(Some(wanted)), Authentication::ClientCertificate) => wanted == "EXTERNAL",
                    _ => false,
                };
                Some(fits != *negated)
            }
            BindTest::Ssf(comparison, bits) => Some(comparison.holds(&requester.ssf, bits)),
            BindTest::TimeOfDay(comparison, minutes) => {
                Some(comparison.holds(&self.person.time.minute_of_day, minutes))
            }
            BindTest::DayOfWeek { negated, days } => Some(days.contains(&self.person.time.day) != *negated),
        }
    }
}
