//! A second evaluator, as plain as the documentation of the rules: everything at once, nothing compiled, names as
//! lower-case text. Shares with the real one the parsed rule and the facts of the connection, nothing else.

use super::world::{Person, attributes};
use crate::model::Scope;
use crate::policy::access::{MoveVerdict, ValueChange};
use crate::policy::aci::{
    Aci, AttributePattern, AuthMethod, BindRule, BindTest, Effect, NamePattern, OidList, Permission, Piece, Target,
    Template, UserAttrKind, UserPattern, ValueFilter,
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
    /// Writing a value of an attribute.
    Value(&'static str, ValueChange<'static>),
    /// Using a control.
    Control(&'static str),
    /// Using an extended operation.
    Extension(&'static str),
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

/// What `($dn)` of a target is for an entry: text between commas.
fn matched(target: &str, entry: &str) -> Option<String> {
    let (before, after) = target.split_once("($dn)")?;
    let (before, after) = (before.trim_end_matches(','), after.trim_start_matches(','));
    let rest = if after.is_empty() { entry } else { entry.strip_suffix(after)?.strip_suffix(',')? };
    let parts: Vec<&str> = rest.split(',').collect();
    let wanted: Vec<&str> = before.split(',').filter(|part| !part.is_empty()).collect();
    let fits = |start: usize| {
        start + wanted.len() <= parts.len() && (0..wanted.len()).all(|at| wild(wanted[at], parts[start + at]))
    };
    let starts = if before.contains('*') { 0..1 } else { 0..parts.len() };
    let start = starts.into_iter().find(|start| fits(*start))?;
    Some(parts[start + wanted.len()..].join(",")).filter(|dn| !dn.is_empty())
}

fn written(template: &Template) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => normal(text),
        Piece::Dn => "($dn)".into(),
        Piece::DnLevels => "[$dn]".into(),
        Piece::Attribute(name) => format!("($attr.{name})"),
    };
    template.pieces().iter().map(piece).collect()
}

/// The texts that one with macros stands for.
fn expansions(text: &str, dn: &str, entry: &str) -> Vec<String> {
    let levels: Vec<&str> = dn.match_indices(',').map(|(at, _)| &dn[at + 1..]).collect();
    let levels = if text.contains("[$dn]") { [vec![dn], levels].concat() } else { vec![dn] };
    let mut texts: Vec<String> = levels.iter().map(|level| text.replace("($dn)", dn).replace("[$dn]", level)).collect();
    while let Some(with) = texts.iter().find(|text| text.contains("($attr.")).cloned() {
        let name = with.split_once("($attr.").unwrap().1.split_once(')').unwrap().0.to_owned();
        let values: Vec<String> =
            attributes(entry).iter().filter(|(held, _)| *held == name).map(|(_, value)| normal(value)).collect();
        let made = |text: &String| {
            values.iter().map(|value| text.replace(&format!("($attr.{name})"), value)).collect::<Vec<_>>()
        };
        texts = texts.iter().flat_map(made).collect();
    }
    texts
}

fn value_fits(filter: &ValueFilter, value: &str) -> bool {
    let value = value.to_lowercase();
    match filter.filter.as_str() {
        "(mail=*@x)" => value.ends_with("@x"),
        "(employeeType=boss)" => value == "boss",
        "(!(cn=carol))" => value != "carol",
        "(name=a*)" => value.starts_with('a'),
        other => panic!("{other}"),
    }
}

fn is_member(person: &str, group: &str) -> bool {
    match normal(group).as_str() {
        "cn=admins,ou=groups,ou=west,dc=x" => person == "uid=dora,ou=people,ou=west,dc=x",
        "cn=admins,ou=groups,dc=x" | "cn=all,ou=groups,dc=x" => person == "uid=bob,ou=people,dc=x",
        _ => false,
    }
}

fn has_role(person: &str, role: &str) -> bool {
    match normal(role).as_str() {
        "cn=clerk,dc=x" => person == "uid=ann,ou=people,dc=x",
        "cn=chief,ou=people,dc=x" => person == "uid=bob,ou=people,dc=x",
        _ => false,
    }
}

/// Whether a name in a rule means the attribute, or a supertype of it.
fn is_listed(listed: &str, name: &str) -> bool {
    listed.eq_ignore_ascii_case(name)
        || listed == "commonName" && name == "cn"
        || listed == "name" && ["cn", "ou", "sn"].contains(&name)
}

fn speaks_of_moves(aci: &Aci) -> bool {
    aci.move_from.is_some() || aci.move_to.is_some()
}

/// What rules about moves say of one from `leaves` to below `superior`, to be `arrives`.
pub(super) fn move_verdict(
    rules: &[(&'static str, Aci)],
    person: &Person,
    (leaves, superior, arrives): (&'static str, &'static str, &'static str),
) -> MoveVerdict {
    let case = |entry| Case { rules, person, entry, right: Right::ModDn, object: Object::EntryAsWhole };
    let lies = |place: &Option<Target>, dn: &str| {
        place.as_ref().is_none_or(|place| {
            let fits = match &place.name {
                NamePattern::Dn(base) => in_scope(Scope::Subtree, &normal(base), dn),
                NamePattern::Pattern(pattern) => wild(&normal(pattern), dn),
                NamePattern::Macro(_) => panic!("macros are refused there"),
            };
            fits != place.negated
        })
    };
    let of_moddn = |effect: Effect, speaks: bool| {
        rules
            .iter()
            .filter(move |(_, aci)| {
                aci.controls.is_none() && aci.extended_operations.is_none() && speaks_of_moves(aci) == speaks
            })
            .flat_map(move |(holder, aci)| {
                let permissions = aci.permissions.iter().filter(move |permission| permission.effect == effect);
                permissions
                    .filter(|permission| permission.rights.contains(Right::ModDn))
                    .map(move |of| (holder, aci, of))
            })
    };
    let applies = |(holder, aci, permission): (&&'static str, &Aci, &Permission)| -> Truth {
        and([
            Some(is_below(superior, holder)),
            Some(lies(&aci.move_from, leaves)),
            Some(lies(&aci.move_to, superior)),
            case(superior).applies(holder, aci, permission),
        ])
    };
    let is_taken_at = |dn: &'static str| {
        of_moddn(Effect::Deny, false)
            .any(|(holder, aci, of)| is_below(dn, holder) && case(dn).applies(holder, aci, of) != Some(false))
    };
    if of_moddn(Effect::Deny, true).any(|rule| applies(rule) != Some(false)) {
        MoveVerdict::Denied
    } else if !of_moddn(Effect::Allow, true).any(|rule| applies(rule) == Some(true)) {
        MoveVerdict::Unsaid
    } else if is_taken_at(leaves) || is_taken_at(arrives) {
        MoveVerdict::Denied
    } else {
        MoveVerdict::Allowed
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
        match self.object {
            Object::Control(oid) => return self.may_use(|aci| aci.controls.as_ref(), oid),
            Object::Extension(oid) => return self.may_use(|aci| aci.extended_operations.as_ref(), oid),
            _ => {}
        }
        let counts = |effect: Effect, truth: Truth| match effect {
            Effect::Allow => truth == Some(true),
            Effect::Deny => truth != Some(false),
        };
        let any = |effect: Effect| {
            self.rules.iter().any(|(holder, aci)| {
                is_below(self.entry, holder)
                    && aci.controls.is_none()
                    && aci.extended_operations.is_none()
                    && self.covers(aci, effect)
                    && aci.permissions.iter().any(|permission| {
                        permission.effect == effect
                            && permission.rights.contains(self.right)
                            && !(self.right == Right::ModDn && speaks_of_moves(aci))
                            && counts(effect, self.applies(holder, aci, permission))
                    })
            })
        };
        any(Effect::Allow) && !any(Effect::Deny)
    }

    fn applies(&self, holder: &str, aci: &Aci, permission: &Permission) -> Truth {
        let (place, dn) = self.place(holder, aci);
        and([Some(place), self.content(aci, &dn), Some(self.entry_values(aci)), self.bind(&permission.bind_rule, &dn)])
    }

    fn may_use<'a>(&'a self, list: impl Fn(&'a Aci) -> Option<&'a OidList>, oid: &str) -> bool {
        let concerned = self.rules.iter().filter(|(holder, aci)| {
            is_below(self.entry, holder)
                && list(aci).is_some_and(|list| {
                    (list.oids.contains(&"*".to_owned()) || list.oids.contains(&oid.to_owned())) != list.negated
                })
        });
        let (mut named, mut allowed, mut denied) = (false, false, false);
        for (holder, aci) in concerned {
            for permission in aci.permissions.iter().filter(|permission| permission.rights.contains(Right::Read)) {
                let truth = self.applies(holder, aci, permission);
                match permission.effect {
                    Effect::Allow => {
                        named |= self.place(holder, aci).0;
                        allowed |= truth == Some(true);
                    }
                    Effect::Deny => denied |= truth != Some(false),
                }
            }
        }
        !denied && (allowed || !named)
    }

    /// An entry that is added or deleted: every value of the attributes that are asked.
    fn entry_values(&self, aci: &Aci) -> bool {
        let filters = match (self.right, &aci.value_filters) {
            (Right::Add, Some(filters)) => &filters.add,
            (Right::Delete, Some(filters)) => &filters.delete,
            _ => return true,
        };
        attributes(self.entry).iter().all(|(name, value)| {
            filters.iter().all(|filter| !is_listed(&filter.attribute, name) || value_fits(filter, value))
        })
    }

    /// A value that is written, or any, as far as the rule asks values.
    fn covers_values(&self, aci: &Aci, effect: Effect) -> Option<bool> {
        let filters = aci.value_filters.as_ref()?;
        match self.object {
            Object::Value(name, change) => {
                let (list, value) = match change {
                    ValueChange::Add(value) => (&filters.add, value),
                    ValueChange::Delete(value) => (&filters.delete, value),
                };
                let filter = list.iter().find(|filter| is_listed(&filter.attribute, name))?;
                Some(value_fits(filter, std::str::from_utf8(value).unwrap()))
            }
            Object::Attribute(name) if self.right == Right::Write => {
                let asks = filters.add.iter().chain(&filters.delete).any(|filter| is_listed(&filter.attribute, name));
                asks.then_some(effect == Effect::Deny)
            }
            _ => None,
        }
    }

    fn covers(&self, aci: &Aci, effect: Effect) -> bool {
        if let Some(covers) = self.covers_values(aci, effect) {
            return covers;
        }
        let Some(target) = &aci.target_attributes else {
            return self.object == Object::EntryAsWhole;
        };
        let listed = |name: &str| {
            target.names.iter().any(|pattern| match pattern {
                AttributePattern::AllUser => !OPERATIONAL.contains(&name),
                AttributePattern::AllOperational => OPERATIONAL.contains(&name),
                AttributePattern::Name(listed) => is_listed(listed, name),
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
            Object::Attribute(name) | Object::Value(name, _) if target.negated => {
                !OPERATIONAL.contains(&name) && !listed(name)
            }
            Object::Attribute(name) | Object::Value(name, _) => listed(name),
            Object::Unknown if names_unknown && effect == Effect::Deny => true,
            Object::Unknown if names_unknown && target.negated => false,
            Object::Unknown => target.names.contains(&AttributePattern::AllUser) != target.negated,
            Object::Control(_) | Object::Extension(_) => false,
        }
    }

    /// Whether the entry is in the target, and what `($dn)` is.
    fn place(&self, holder: &str, aci: &Aci) -> (bool, String) {
        let scope = aci.target_scope.unwrap_or(Scope::Subtree);
        let Some(target) = &aci.target else { return (in_scope(scope, holder, self.entry), String::new()) };
        let fits = match &target.name {
            NamePattern::Dn(dn) => in_scope(scope, &normal(dn), self.entry),
            NamePattern::Macro(template) => {
                let dn = matched(&written(template), self.entry);
                return (dn.is_some(), dn.unwrap_or_default());
            }
            NamePattern::Pattern(pattern) => wild(&normal(pattern), self.entry),
        };
        (fits != target.negated, String::new())
    }

    fn content(&self, aci: &Aci, dn: &str) -> Truth {
        let Some(target) = &aci.target_filter else { return Some(true) };
        let truth = if target.filter.contains("$dn") {
            let holds = |text: &String| {
                let (name, value) = text.trim_matches(['(', ')']).split_once('=').unwrap();
                has(self.entry, name, value)
            };
            Some(expansions(&target.filter, dn, self.entry).iter().any(holds))
        } else {
            filter(self.entry, &target.filter)
        };
        not(truth, target.negated)
    }

    fn bind(&self, rule: &BindRule, dn: &str) -> Truth {
        match rule {
            BindRule::And(parts) => and(parts.iter().map(|part| self.bind(part, dn))),
            BindRule::Or(parts) => or(parts.iter().map(|part| self.bind(part, dn))),
            BindRule::Not(inner) => not(self.bind(inner, dn), true),
            BindRule::Test(test) => self.test(test, dn),
        }
    }

    fn user(&self, pattern: &UserPattern, dn: &str) -> Truth {
        let superior = self.entry.split_once(',').map(|(_, superior)| superior);
        let me = self.me();
        match pattern {
            UserPattern::Anyone => Some(true),
            UserPattern::All => Some(!self.person.requester.is_anonymous()),
            UserPattern::SelfEntry => Some(me == Some(self.entry)),
            UserPattern::Parent => Some(me.is_some() && me == superior),
            UserPattern::Name(NamePattern::Dn(dn)) => Some(me == Some(normal(dn).as_str())),
            UserPattern::Name(NamePattern::Macro(template)) => Some(me.is_some_and(|me| {
                expansions(&written(template), dn, self.entry).iter().any(|text| {
                    let (mine, theirs) = (me.split(',').collect::<Vec<_>>(), text.split(',').collect::<Vec<_>>());
                    mine.len() == theirs.len() && mine.iter().zip(theirs).all(|(mine, theirs)| wild(theirs, mine))
                })
            })),
            UserPattern::Name(NamePattern::Pattern(text)) => Some(me.is_some_and(|me| wild(&normal(text), me))),
            UserPattern::Search { base, scope, filter: text } => match me {
                Some(me) if in_scope(*scope, &normal(base), me) => filter(me, text),
                _ => Some(false),
            },
        }
    }

    fn test(&self, test: &BindTest, dn: &str) -> Truth {
        let requester = &self.person.requester;
        match test {
            BindTest::UserDn { negated, users } => {
                not(or(users.iter().map(|pattern| self.user(pattern, dn))), *negated)
            }
            BindTest::GroupDn { negated, groups } => {
                let names = |group: &NamePattern| match group {
                    NamePattern::Dn(dn) => vec![dn.clone()],
                    NamePattern::Macro(template) => expansions(&written(template), dn, self.entry),
                    NamePattern::Pattern(pattern) => panic!("{pattern}"),
                };
                let fits = self.me().is_some_and(|me| groups.iter().flat_map(names).any(|group| is_member(me, &group)));
                Some(fits != *negated)
            }
            BindTest::RoleDn { negated, roles } => {
                let fits = self.me().is_some_and(|me| {
                    roles.iter().any(|role| match role {
                        NamePattern::Dn(dn) => has_role(me, dn),
                        NamePattern::Macro(template) => {
                            expansions(&written(template), dn, self.entry).iter().any(|role| has_role(me, role))
                        }
                        NamePattern::Pattern(pattern) => panic!("{pattern}"),
                    })
                });
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
                            UserAttrKind::RoleDn => has_role(me, value),
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
            BindTest::Dns { negated, hosts } => {
                assert_eq!(hosts.as_slice(), ["*.example.com"]);
                requester.host.as_deref().map(|host| (host == "mail.example.com") != *negated)
            }
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
