//! T-20 of the hostile tests: right x target x attribute x requester over generated rules, compiled against naive.
//!
//! `ENTENTE_ACCESS_CASES` sets how many cases are compared, `ENTENTE_ACCESS_SEED` where the generator begins.

use super::reference::{Case, Object, move_verdict};
use super::world::{ENTRIES, Entry, Person, SCHEMA};
use crate::model::Scope;
use crate::policy::access::{
    AccessCompiler, EntryFacts, LocalTime, Move, MovePlace, MoveVerdict, RequestPart, ValueChange,
};
use crate::policy::aci::*;
use crate::policy::requester::Authentication;
use crate::policy::rights::{Right, Rights};
use std::sync::Arc;

/// Cases in a usual test run.
const CASES: usize = 1_000_000;

/// splitmix64: small, seeded, the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.roll(items.len())].clone()
    }

    fn some<T: Clone>(&mut self, items: &[T], most: usize) -> Vec<T> {
        (0..=self.roll(most)).map(|_| self.pick(items)).collect()
    }
}

const FILTERS: [&str; 4] = [
    "(employeeType=boss)",
    "(&(objectClass=person)(!(employeeType=boss)))",
    "(noSuchAttribute=x)",
    "(|(mail=*)(ou=groups))",
];
const PATTERNS: [&str; 6] = [
    "uid=*,ou=people,dc=x",
    "*,ou=people,dc=x",
    "UID=*,dc=x",
    "cn=*,ou=groups, dc=x",
    "*=*n*,dc=x",
    "uid=a*n,ou=*,dc=x",
];
const SCOPES: [Scope; 4] = [Scope::Base, Scope::OneLevel, Scope::Subtree, Scope::Subordinate];
const OBJECTS: [Object; 11] = [
    Object::EntryAsWhole,
    Object::Attribute("cn"),
    Object::Attribute("sn"),
    Object::Attribute("mail"),
    Object::Attribute("telephoneNumber"),
    Object::Attribute("userPassword"),
    Object::Attribute("objectClass"),
    Object::Attribute("createTimestamp"),
    Object::Attribute("entryUUID"),
    Object::Attribute("aci"),
    Object::Unknown,
];
/// Asked with the right to write.
const VALUES: [Object; 6] = [
    Object::Value("mail", ValueChange::Add(b"new@X")),
    Object::Value("mail", ValueChange::Delete(b"ann@y")),
    Object::Value("employeeType", ValueChange::Add(b"Boss")),
    Object::Value("employeeType", ValueChange::Delete(b"staff")),
    Object::Value("cn", ValueChange::Add(b"Carol")),
    Object::Value("sn", ValueChange::Add(b"Adams")),
];
/// Asked with the right to read.
const PARTS: [Object; 4] =
    [Object::Control("1.1"), Object::Control("1.2"), Object::Extension("1.1"), Object::Extension("1.3")];
const MACRO_TARGETS: [&str; 9] = [
    "($dn),dc=x",
    "($dn)",
    "ou=people,($dn)",
    "ou=people, ($dn),DC=x",
    "ou=groups,($dn)",
    "ou=west,($dn)",
    "uid=*,($dn),dc=x",
    "uid=*,ou=people,($dn)",
    "ou=*,($dn)",
];
const MACRO_FILTERS: [&str; 3] = ["(manager=uid=carol,[$dn])", "(owner=cn=admins,ou=groups,($dn))", "(ou=[$dn])"];

fn name(dice: &mut Dice) -> NamePattern {
    if dice.one_in(3) {
        NamePattern::Pattern(dice.pick(&PATTERNS).into())
    } else {
        let dn = dice.pick(ENTRIES).0;
        NamePattern::Dn(if dice.one_in(2) { dn.to_uppercase() } else { dn.replace(',', ", ") })
    }
}

/// Some of the texts as templates; those with `$dn` only where the target says what that is.
fn template(dice: &mut Dice, texts: &[&str], with_dn: bool) -> NamePattern {
    let text = loop {
        let text = dice.pick(texts);
        if with_dn || !text.contains("$dn") {
            break text;
        }
    };
    let rule = format!(r#"(target="ldap:///($dn)")(version 3.0; acl ""; allow (read) userdn="ldap:///{text}";)"#);
    let mut aci = Aci::parse(&rule).unwrap();
    match aci.permissions.remove(0).bind_rule {
        BindRule::Test(BindTest::UserDn { users, .. }) => match users.into_iter().next() {
            Some(UserPattern::Name(name)) => name,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

const MACRO_USERS: [&str; 7] = [
    "uid=bob,[$dn]",
    "uid=*,ou=people,($dn)",
    "uid=*,($dn),dc=x",
    "uid=dora,ou=people,[$dn],dc=x",
    "($attr.manager)",
    "uid=*,($attr.owner)",
    "uid=($attr.employeeType),($dn)",
];
const MACRO_GROUPS: [&str; 5] = [
    "cn=admins,ou=groups,[$dn]",
    "cn=admins,ou=groups,($dn)",
    "cn=admins,ou=groups,[$dn],dc=x",
    "cn=($attr.cn),ou=groups,dc=x",
    "($attr.owner)",
];

fn value_filters(dice: &mut Dice) -> ValueFilters {
    let mut list = |most: usize| -> Vec<ValueFilter> {
        let mut items = dice.some(
            &[
                ("mail", "(mail=*@x)"),
                ("employeeType", "(employeeType=boss)"),
                ("cn", "(!(cn=carol))"),
                ("name", "(name=a*)"),
            ],
            most,
        );
        items.sort_unstable();
        items.dedup();
        items.into_iter().map(|(name, filter)| ValueFilter { attribute: name.into(), filter: filter.into() }).collect()
    };
    let filters = ValueFilters { add: list(2), delete: list(1) };
    match dice.roll(4) {
        0 => ValueFilters { delete: Vec::new(), ..filters },
        1 => ValueFilters { add: Vec::new(), ..filters },
        _ => filters,
    }
}

fn oids(dice: &mut Dice) -> OidList {
    OidList { negated: dice.one_in(4), oids: dice.some(&["1.1", "1.2", "1.3", "*"].map(String::from), 1) }
}

fn user(dice: &mut Dice, with_dn: bool) -> UserPattern {
    match dice.roll(if with_dn { 16 } else { 9 }) {
        8..=15 => UserPattern::Name(template(dice, &MACRO_USERS, with_dn)),
        0 => UserPattern::Anyone,
        1 => UserPattern::All,
        2 | 3 => UserPattern::SelfEntry,
        4 => UserPattern::Parent,
        5 | 6 => UserPattern::Name(name(dice)),
        _ => UserPattern::Search {
            base: dice.pick(ENTRIES).0.into(),
            scope: dice.pick(&SCOPES),
            filter: dice.pick(&FILTERS).into(),
        },
    }
}

fn comparison(dice: &mut Dice) -> Comparison {
    use Comparison::*;
    dice.pick(&[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
}

fn test(dice: &mut Dice, with_dn: bool) -> BindTest {
    let negated = dice.one_in(4);
    if dice.one_in(12) {
        let roles = match with_dn && dice.one_in(2) {
            true => vec![template(dice, &["cn=chief,ou=people,[$dn]", "cn=clerk,($dn)", "($attr.seeAlso)"], true)],
            false => dice
                .some(&["cn=clerk,dc=x", "CN=Chief,ou=people,dc=x", "cn=none,dc=x"], 2)
                .into_iter()
                .map(|name| NamePattern::Dn(name.into()))
                .collect(),
        };
        return BindTest::RoleDn { negated, roles };
    }
    match dice.roll(if with_dn { 18 } else { 15 }) {
        0..=4 => BindTest::UserDn { negated, users: (0..=dice.roll(2)).map(|_| user(dice, with_dn)).collect() },
        14..=17 => BindTest::GroupDn { negated, groups: vec![template(dice, &MACRO_GROUPS, with_dn)] },
        5 | 6 => BindTest::GroupDn {
            negated,
            groups: dice
                .some(&["cn=admins,ou=groups,dc=x", "CN=all,ou=groups,dc=x", "cn=none,dc=x"], 2)
                .into_iter()
                .map(|name| NamePattern::Dn(name.into()))
                .collect(),
        },
        7 | 8 => {
            let mut levels = dice.some(&[0u8, 1, 2], 2);
            levels.sort_unstable();
            levels.dedup();
            let (attribute, kind) = dice.pick(&[
                ("manager", UserAttrKind::UserDn),
                ("owner", UserAttrKind::UserDn),
                ("owner", UserAttrKind::GroupDn),
                ("seeAlso", UserAttrKind::GroupDn),
                ("seeAlso", UserAttrKind::RoleDn),
                ("nsRoleDN", UserAttrKind::RoleDn),
                ("employeeType", UserAttrKind::Value("boss".into())),
                ("noSuchAttribute", UserAttrKind::UserDn),
            ]);
            BindTest::UserAttr { negated, levels, attribute: attribute.into(), kind }
        }
        9 => {
            let network = dice.pick(&[("192.0.2.0", 24), ("2001:db8::", 32)]);
            BindTest::Ip { negated, networks: vec![IpNetwork::new(network.0.parse().unwrap(), network.1).unwrap()] }
        }
        10 => BindTest::AuthMethod {
            negated,
            method: dice.pick(&[
                AuthMethod::None,
                AuthMethod::Simple,
                AuthMethod::Ssl,
                AuthMethod::Sasl(None),
                AuthMethod::Sasl(Some("EXTERNAL".into())),
            ]),
        },
        11 => BindTest::Ssf(comparison(dice), dice.pick(&[0, 128, 256])),
        12 if dice.one_in(2) => BindTest::TimeOfDay(comparison(dice), dice.pick(&[0, 720, 1080])),
        12 => BindTest::DayOfWeek { negated, days: vec![dice.pick(&[Day::Monday, Day::Sunday])] },
        _ => BindTest::Dns { negated, hosts: vec!["*.example.com".into()] },
    }
}

fn bind_rule(dice: &mut Dice, depth: usize, with_dn: bool) -> BindRule {
    match dice.roll(if depth == 0 { 5 } else { 8 }) {
        5 => BindRule::Not(Box::new(bind_rule(dice, depth - 1, with_dn))),
        6 => BindRule::And((0..2 + dice.roll(2)).map(|_| bind_rule(dice, depth - 1, with_dn)).collect()),
        7 => BindRule::Or((0..2 + dice.roll(2)).map(|_| bind_rule(dice, depth - 1, with_dn)).collect()),
        _ => BindRule::Test(test(dice, with_dn)),
    }
}

fn rule(dice: &mut Dice) -> Aci {
    let names = [
        AttributePattern::AllUser,
        AttributePattern::AllUser,
        AttributePattern::AllOperational,
        AttributePattern::Name("CN".into()),
        AttributePattern::Name("commonName".into()),
        AttributePattern::Name("name".into()),
        AttributePattern::Name("mail".into()),
        AttributePattern::Name("userPassword".into()),
        AttributePattern::Name("entryUUID".into()),
        AttributePattern::Name("noSuchAttribute".into()),
        AttributePattern::Wildcard("tele*".into()),
        AttributePattern::Wildcard("*NAME".into()),
    ];
    let with_dn = dice.one_in(3);
    let permission = |dice: &mut Dice| {
        let effect = if dice.one_in(4) { Effect::Deny } else { Effect::Allow };
        let rights = if dice.one_in(3) { Rights::EVERY } else { dice.some(&Right::ALL, 4).into_iter().collect() };
        Permission { effect, rights, bind_rule: bind_rule(dice, 2, with_dn) }
    };
    Aci {
        name: "generated".into(),
        target: match with_dn {
            true => Some(Target { negated: false, name: template(dice, &MACRO_TARGETS, true) }),
            false => dice.one_in(3).then(|| Target { negated: dice.one_in(4), name: name(dice) }),
        },
        move_from: dice.one_in(8).then(|| Target { negated: dice.one_in(5), name: name(dice) }),
        move_to: dice.one_in(8).then(|| Target { negated: dice.one_in(5), name: name(dice) }),
        target_scope: (!with_dn && dice.one_in(4)).then(|| dice.pick(&SCOPES)),
        target_filter: dice.one_in(4).then(|| TargetFilter {
            negated: dice.one_in(3),
            filter: dice.pick(if with_dn { &MACRO_FILTERS[..] } else { &FILTERS[..] }).into(),
        }),
        target_attributes: (!dice.one_in(5))
            .then(|| TargetAttributes { negated: dice.one_in(4), names: dice.some(&names, 2) }),
        value_filters: dice.one_in(4).then(|| value_filters(dice)),
        controls: dice.one_in(10).then(|| oids(dice)),
        extended_operations: dice.one_in(10).then(|| oids(dice)),
        permissions: (0..=dice.roll(1)).map(|_| permission(dice)).collect(),
    }
}

fn person(dice: &mut Dice) -> Person {
    let mut person = Person::new(dice.pick(&["nobody", "ann", "ann", "bob", "bob", "carol", "dora", "dora", "admin"]));
    let requester = &mut person.requester;
    requester.host = dice.pick(&[None, Some("mail.example.com"), Some("mail.example.net")]).map(Into::into);
    requester.peer = dice.pick(&[None, Some("192.0.2.9".parse().unwrap()), Some("2001:db8::1".parse().unwrap())]);
    requester.ssf = dice.pick(&[0, 128, 256]);
    if !requester.is_anonymous() {
        requester.authentication = dice.pick(&[
            Authentication::Simple,
            Authentication::Sasl("PLAIN".into()),
            Authentication::Sasl("EXTERNAL".into()),
            Authentication::ClientCertificate,
        ]);
    }
    person.time = LocalTime { minute_of_day: dice.pick(&[0, 720, 1200]), day: dice.pick(&[Day::Monday, Day::Sunday]) };
    person
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

#[test]
fn compiled_and_naive_evaluation_agree_over_generated_rules() {
    let wanted = setting("ENTENTE_ACCESS_CASES").map_or(CASES, |cases| usize::try_from(cases).unwrap());
    let seed = setting("ENTENTE_ACCESS_SEED").unwrap_or(1);
    let mut dice = Dice(seed);
    let compiler = AccessCompiler::new(Arc::clone(&SCHEMA));
    let index_of = |object| match object {
        Object::Attribute(name) | Object::Value(name, _) => Some(SCHEMA.attribute_type(name).expect(name).index),
        _ => None,
    };
    let (mut cases, mut allowed_count, mut same_for_all, mut sets) = (0usize, 0usize, 0usize, 0usize);
    while cases < wanted {
        sets += 1;
        let rules: Vec<(&'static str, Aci)> = (0..=dice.roll(4))
            .map(|_| {
                (
                    dice.pick(&[
                        "dc=x",
                        "dc=x",
                        "dc=x",
                        "ou=people,dc=x",
                        "uid=ann,ou=people,dc=x",
                        "ou=groups,dc=x",
                        "ou=west,dc=x",
                    ]),
                    rule(&mut dice),
                )
            })
            .collect();
        let compiled: Vec<_> = rules
            .iter()
            .map(|(holder, aci)| {
                let text = aci.to_string();
                (*holder, Arc::new(compiler.compile(holder, [text.as_bytes()])))
            })
            .collect();
        for _ in 0..2 {
            let person = person(&mut dice);
            for (dn, _) in ENTRIES {
                let applicable: Vec<_> = compiled
                    .iter()
                    .filter(|(holder, _)| dn == holder || dn.ends_with(&format!(",{holder}")))
                    .map(|(_, rules)| Arc::clone(rules))
                    .collect();
                let access = compiler.for_requester(&applicable, &person.context(), &person);
                let entry = Entry(dn);
                let mut decision = access.entry(&entry, &person);
                for right in Right::ALL {
                    let rights = decision.rights(right);
                    same_for_all += usize::from(access.same_for_all(right).is_some());
                    let special = match right {
                        Right::Write => &VALUES[..],
                        Right::Read => &PARTS[..],
                        _ => &[],
                    };
                    for object in OBJECTS.iter().chain(special).copied() {
                        let index = index_of(object);
                        let with_entry = || {
                            applicable
                                .iter()
                                .map(|rules| (&entry as &dyn EntryFacts, Arc::clone(rules)))
                                .collect::<Vec<_>>()
                        };
                        let permits = |part| compiler.permits(&with_entry(), &person.context(), &person, part);
                        let case = Case { rules: &rules, person: &person, entry: dn, right, object };
                        let expected = case.is_allowed();
                        let given = match (object, index) {
                            (Object::Control(oid), _) => permits(RequestPart::Control(oid)),
                            (Object::Extension(oid), _) => permits(RequestPart::ExtendedOperation(oid)),
                            (Object::Value(_, change), Some(index)) => decision.allows_value(index, change),
                            (_, Some(index)) => rights.for_attribute(index),
                            (Object::Unknown, None) => rights.for_unknown(),
                            (_, None) => rights.for_entry(),
                        };
                        let explain = || {
                            let texts: Vec<_> = rules.iter().map(|(holder, aci)| format!("{holder}: {aci}")).collect();
                            let question = (right, index);
                            let told = compiler.explain(&applicable, &person.context(), &person, &entry, question);
                            format!(
                                "seed {seed}: {right} {object:?} of {dn} by {person:?}\n{}\n{told}",
                                texts.join("\n")
                            )
                        };
                        assert_eq!(given, expected, "{}", explain());
                        let is_explained = matches!(object, Object::EntryAsWhole | Object::Attribute(_));
                        if is_explained && cases % 16 == 0 {
                            let question = (right, index);
                            let told = compiler.explain(&applicable, &person.context(), &person, &entry, question);
                            assert_eq!(told.is_allowed(), expected, "{}", explain());
                        }
                        cases += 1;
                        allowed_count += usize::from(expected);
                    }
                }
            }
        }
    }
    println!("{sets} rule sets, {cases} cases, {allowed_count} allowed, {same_for_all} rights same for all entries");
    assert!(allowed_count * 50 > cases, "the generator hardly allows anything: {allowed_count} of {cases}");
    assert!(allowed_count * 2 < cases, "the generator allows nearly everything: {allowed_count} of {cases}");
}

/// Moves of each entry below each other one.
const MOVE_CASES: usize = 100_000;

#[test]
fn compiled_and_naive_evaluation_agree_about_moves() {
    let seed = setting("ENTENTE_ACCESS_SEED").unwrap_or(1);
    let mut dice = Dice(seed ^ 0x6d6f_7665);
    let compiler = AccessCompiler::new(Arc::clone(&SCHEMA));
    let moves: Vec<(&'static str, &'static str, &'static str)> = ENTRIES
        .iter()
        .flat_map(|(leaves, _)| ENTRIES.iter().map(move |(superior, _)| (*leaves, *superior)))
        .filter(|(leaves, superior)| *leaves != "dc=x" && !superior.ends_with(leaves))
        .map(|(leaves, superior)| {
            let rdn = leaves.split(',').next().unwrap();
            (leaves, superior, &*Box::leak(format!("{rdn},{superior}").into_boxed_str()))
        })
        .collect();
    let mut counts = [0_usize; 3];
    let mut cases = 0;
    while cases < MOVE_CASES {
        let rules: Vec<(&'static str, Aci)> = (0..=dice.roll(5))
            .map(|_| {
                let mut rule = rule(&mut dice);
                if !dice.one_in(3) && rule.target.as_ref().is_none_or(|target| !target.negated) {
                    rule.move_to = Some(Target { negated: dice.one_in(5), name: name(&mut dice) });
                }
                for permission in &mut rule.permissions {
                    permission.rights = permission.rights.with(Right::ModDn);
                }
                (dice.pick(&["dc=x", "dc=x", "ou=people,dc=x", "ou=groups,dc=x", "ou=west,dc=x"]), rule)
            })
            .collect();
        let compiled: Vec<_> = rules
            .iter()
            .map(|(holder, aci)| (*holder, Arc::new(compiler.compile(holder, [aci.to_string().as_bytes()]))))
            .collect();
        let rules_at = |dn: &str| -> Vec<_> {
            let above = |holder: &str| dn == holder || dn.ends_with(&format!(",{holder}"));
            compiled.iter().filter(|(holder, _)| above(holder)).map(|(_, rules)| Arc::clone(rules)).collect()
        };
        let person = person(&mut dice);
        if person.requester.is_administrator() {
            continue;
        }
        for (leaves, superior, arrives) in &moves {
            cases += 1;
            let (here, there) = (rules_at(leaves), rules_at(superior));
            let moving = Move {
                leaves: MovePlace { entry: &Entry(leaves), rules: &here },
                superior: MovePlace { entry: &Entry(superior), rules: &there },
                arrives: MovePlace { entry: &Entry(arrives), rules: &there },
            };
            let given = compiler.judge_move(&person.context(), &person, &moving);
            let told = || {
                let texts: Vec<_> = rules.iter().map(|(holder, aci)| format!("{holder}: {aci}")).collect();
                let told = compiler.explain_move(&person.context(), &person, &moving);
                format!("seed {seed}: {leaves} below {superior} by {person:?}\n{}\n{told}", texts.join("\n"))
            };
            assert_eq!(given, move_verdict(&rules, &person, (leaves, superior, arrives)), "{}", told());
            counts[given as usize] += 1;
            if cases % 8 == 0 {
                let may = |entry, rules: &[_], right| {
                    let access = compiler.for_requester(rules, &person.context(), &person);
                    access.entry(&Entry(entry), &person).rights(right).for_entry()
                };
                let leaving = may(leaves, &here, Right::ModDn) || may(leaves, &here, Right::Delete);
                let arriving = may(arrives, &there, Right::ModDn) || may(arrives, &there, Right::Add);
                let expected = match given {
                    MoveVerdict::Allowed => true,
                    MoveVerdict::Denied => false,
                    MoveVerdict::Unsaid => leaving && arriving,
                };
                let explained = compiler.explain_move(&person.context(), &person, &moving);
                assert_eq!(explained.is_allowed(), expected, "{}", told());
            }
        }
    }
    assert!(counts.iter().all(|count| *count > MOVE_CASES / 100), "{counts:?}");
}
