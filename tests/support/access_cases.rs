//! Access rules with what they come to: the same rules and the same questions for Entente (`tests/ldap`) and for 389
//! Directory Server (`tests/peers`), which proves the cases.
//!
//! Each scenario begins with the same small tree below `ou=rules`, whose entry holds the scenario's rules and no others.

mod scenarios;
mod whole;

use super::client::Client;
use super::code;
use super::request::{ADD, ONE, Search};
use scenarios::SCENARIOS;
use whole::WHOLE;

/// Where the tree of the scenarios is.
const TREE: &str = "ou=rules,dc=example,dc=com";
const PASSWORD: &str = "a secret for rules";

/// Rules, and who may do what under them.
pub(crate) struct Scenario {
    /// What is shown.
    pub(crate) name: &'static str,
    /// `@` stands for the tree.
    rules: &'static [&'static str],
    steps: &'static [Step],
}

/// Who, what, and whether it is allowed. Names are relative to the tree; no name is anonymous.
type Step = (&'static str, Act, bool);

/// What somebody tries.
pub(crate) enum Act {
    /// Read an attribute of an entry.
    Read(&'static str, &'static str),
    /// Find an entry by a filter.
    Find(&'static str, &'static str),
    /// Compare a value.
    Compare(&'static str, &'static str, &'static str),
    Modify(&'static str, i64, &'static str, &'static [&'static str]),
    /// Add a person, with one attribute besides.
    Add(&'static str, &'static str, &'static str),
    Delete(&'static str),
    /// Another RDN.
    Rename(&'static str, &'static str),
    /// Another superior.
    Move(&'static str, &'static str),
}
use Act::{Add, Compare, Delete, Find, Modify, Move, Read, Rename};

const ANN: &str = "uid=ann,ou=people";
const BOB: &str = "uid=bob,ou=people";
const CAROL: &str = "uid=carol,ou=people";
const DORA: &str = "uid=dora,ou=people,ou=west";
const EVE: &str = "uid=eve,ou=people,ou=south,ou=west";
const DIRK: &str = "uid=dirk,ou=people,ou=west";
const NEW: &str = "uid=new,ou=people";

/// Reads for everybody who has authenticated, so that the other rules are seen alone.
const READ: &str =
    r#"(targetattr != "userPassword")(version 3.0; acl "read"; allow (read, search, compare) userdn = "ldap:///all";)"#;

/// What 389 2.3.1 answers otherwise: it takes `!=` of userattr for `=`, IPv4 networks by their prefix fit nobody there, and of a
/// client on loopback it knows no name, so that neither `dns = "localhost"` nor `dns != "localhost"` is true, and `dns = "*"` at
/// times.
pub(crate) const OTHERWISE_ON_389: [&str; 6] = [
    "userattr: not: step 1 by 'uid=ann,ou=people' is true",
    "userattr: not: step 2 by 'uid=carol,ou=people' is false",
    "ip: a network by its prefix: step 1 by '' is false",
    "dns: names of the loopback address: step 1 by '' is false",
    "dns: names of the loopback address: step 4 by '' is false",
    "dns: names of the loopback address: step 6 by '' is false",
];

/// Roles: name, class, and what says who has it.
const ROLES: [(&str, &str, &str, &[&str]); 4] = [
    ("cn=clerks", "nsManagedRoleDefinition", "", &[]),
    ("cn=bosses,ou=people", "nsFilteredRoleDefinition", "nsRoleFilter", &["(title=boss)"]),
    ("cn=seniors", "nsNestedRoleDefinition", "nsRoleDN", &["cn=clerks,@", "cn=bosses,ou=people,@"]),
    ("cn=west,ou=west", "nsManagedRoleDefinition", "", &[]),
];

fn absolute(name: &str) -> String {
    format!("{name},{TREE}")
}

/// Removes what a scenario left, and makes the tree anew with its rules.
fn prepare(admin: &mut Client, scenario: &Scenario) {
    for (name, ..) in ROLES {
        admin.delete(&absolute(name)).expect_one_of(&[code::SUCCESS, code::NO_SUCH_OBJECT]);
    }
    let mut dns = Vec::new();
    let found = admin.search(&Search::subtree("dc=example,dc=com", "(objectClass=*)").attributes(&["1.1"]));
    dns.extend(found.dns().into_iter().filter(|dn| dn.to_lowercase().ends_with(TREE)));
    dns.sort_by_key(|dn| std::cmp::Reverse(dn.split(',').count()));
    for dn in dns {
        admin.delete(&dn).expect(code::SUCCESS);
    }
    let rules: Vec<String> = scenario.rules.iter().map(|rule| rule.replace('@', TREE)).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let unit: (&str, &[&str]) = ("objectClass", &["top", "organizationalUnit"]);
    let top: Vec<(&str, &[&str])> = match rules.is_empty() {
        true => vec![unit, ("ou", &["rules"])],
        false => vec![unit, ("ou", &["rules"]), ("aci", &rules)],
    };
    let made = admin.add(TREE, &top);
    assert_eq!(made.code, code::SUCCESS, "{}: {made:?}", scenario.name);
    for name in ["ou=people", "ou=groups", "ou=west", "ou=people,ou=west", "ou=groups,ou=west", "ou=south,ou=west"] {
        add_unit(admin, name);
    }
    add_unit(admin, "ou=people,ou=south,ou=west");
    add_unit(admin, "ou=groups,ou=south,ou=west");
    let person = |admin: &mut Client, name: &str, more: &[(&str, &str)]| {
        let uid = name.split([',', '=']).nth(1).unwrap();
        let classes: (&str, &[&str]) = ("objectClass", &["top", "person", "organizationalPerson", "inetOrgPerson"]);
        let more: Vec<(&str, String)> = more.iter().map(|(name, value)| (*name, value.replace('@', TREE))).collect();
        let more: Vec<(&str, [&str; 1])> = more.iter().map(|(name, value)| (*name, [value.as_str()])).collect();
        let mut attributes: Vec<(&str, &[&str])> = vec![classes];
        let own = [uid];
        attributes.extend([("uid", &own[..]), ("cn", &own[..]), ("sn", &own[..]), ("userPassword", &[PASSWORD][..])]);
        attributes.extend(more.iter().map(|(name, value)| (*name, &value[..])));
        admin.add(&absolute(name), &attributes).expect(code::SUCCESS);
    };
    let people = format!("uid=ann,ou=people,{TREE}");
    person(admin, ANN, &[("departmentNumber", "sales"), ("manager", "uid=bob,ou=people,@")]);
    person(admin, BOB, &[("title", "boss"), ("mobile", "1"), ("description", "x"), ("manager", &people)]);
    let found_by = format!("ldap:///ou=people,{TREE}??one?(title=boss)");
    person(
        admin,
        CAROL,
        &[("seeAlso", "cn=admins,ou=groups,@"), ("departmentNumber", "sales"), ("labeledURI", &found_by)],
    );
    person(admin, DORA, &[]);
    person(admin, DIRK, &[("employeeType", "dora"), ("seeAlso", "cn=admins,ou=groups,ou=west,@")]);
    person(admin, EVE, &[]);
    let phone: [(&str, &[&str]); 2] = [("objectClass", &["top", "device"]), ("cn", &["phone"])];
    admin.add(&absolute("cn=phone,uid=ann,ou=people"), &phone).expect(code::SUCCESS);
    for (name, member) in [
        ("cn=admins,ou=groups", BOB),
        ("cn=all,ou=groups", "cn=admins,ou=groups"),
        ("cn=admins,ou=groups,ou=west", DORA),
        ("cn=admins,ou=groups,ou=south,ou=west", EVE),
    ] {
        let member = absolute(member);
        let attributes: [(&str, &[&str]); 2] = [("objectClass", &["top", "groupOfNames"]), ("member", &[&member])];
        admin.add(&absolute(name), &attributes).expect(code::SUCCESS);
    }
    for (name, kind, attribute, values) in ROLES {
        let classes = ["top", "ldapSubEntry", "nsRoleDefinition", kind];
        let values: Vec<String> = values.iter().map(|value| value.replace('@', TREE)).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut attributes: Vec<(&str, &[&str])> = vec![("objectClass", &classes)];
        if !values.is_empty() {
            attributes.push((attribute, &values));
        }
        admin.add(&absolute(name), &attributes).expect(code::SUCCESS);
    }
    for (name, roles) in
        [(CAROL, &["cn=clerks", "cn=west,ou=west"][..]), (DORA, &["cn=clerks"]), (EVE, &["cn=west,ou=west"])]
    {
        let roles: Vec<String> = roles.iter().map(|role| absolute(role)).collect();
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        admin.modify(&absolute(name), &[(ADD, "nsRoleDN", &roles)]).expect(code::SUCCESS);
    }
    for (name, filter) in [("cn=finders,ou=groups", "(title=boss)"), ("cn=westerners,ou=groups", "(employeeType=dora)")]
    {
        let url = format!("ldap:///{TREE}??sub?{filter}");
        let attributes: [(&str, &[&str]); 2] = [("objectClass", &["top", "groupOfURLs"]), ("memberURL", &[&url])];
        admin.add(&absolute(name), &attributes).expect(code::SUCCESS);
    }
    let wide: [(&str, &[&str]); 2] =
        [("objectClass", &["top", "groupOfNames"]), ("member", &[&absolute("cn=westerners,ou=groups")])];
    admin.add(&absolute("cn=wide,ou=groups"), &wide).expect(code::SUCCESS);
    let clerks = absolute("cn=clerks");
    admin.modify(&absolute(BOB), &[(ADD, "secretary", &[&clerks])]).expect(code::SUCCESS);
    admin
        .modify(&absolute("ou=people"), &[(ADD, "seeAlso", &[&absolute("cn=admins,ou=groups")])])
        .expect(code::SUCCESS);
    admin.modify(&absolute("ou=people,ou=west"), &[(ADD, "seeAlso", &[&absolute(CAROL)])]).expect(code::SUCCESS);
}

fn add_unit(admin: &mut Client, name: &str) {
    let attributes: [(&str, &[&str]); 1] = [("objectClass", &["top", "organizationalUnit"])];
    admin.add(&absolute(name), &attributes).expect(code::SUCCESS);
}

fn is_allowed(client: &mut Client, act: &Act) -> bool {
    let done = |outcome: super::client::Outcome| outcome.code == code::SUCCESS;
    match act {
        Read(name, attribute) => {
            let search = Search::base(absolute(name)).attributes(&[attribute]);
            client.search(&search).entries.iter().any(|entry| entry.has(attribute))
        }
        Find(base, filter) => {
            !client.search(&Search::base(absolute(base)).scope(ONE).filter(filter)).entries.is_empty()
        }
        Compare(name, attribute, value) => {
            let compared = client.compare(&absolute(name), attribute, value).code;
            [code::COMPARE_TRUE, code::COMPARE_FALSE].contains(&compared)
        }
        Modify(name, kind, attribute, values) => {
            let values: Vec<String> = values.iter().map(|value| value.replace('@', TREE)).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            done(client.modify(&absolute(name), &[(*kind, attribute, &values)]))
        }
        Add(name, attribute, value) => {
            let value = value.replace('@', TREE);
            let attributes: [(&str, &[&str]); 4] = [
                ("objectClass", &["top", "person", "organizationalPerson", "inetOrgPerson"]),
                ("cn", &["New"]),
                ("sn", &["New"]),
                (attribute, &[&value]),
            ];
            done(client.add(&absolute(name), &attributes))
        }
        Delete(name) => done(client.delete(&absolute(name))),
        Rename(name, rdn) => done(client.modify_dn(&absolute(name), rdn, true, None)),
        Move(name, superior) => {
            let rdn = name.split(',').next().unwrap();
            done(client.modify_dn(&absolute(name), rdn, false, Some(&absolute(superior))))
        }
    }
}

/// Plays every scenario; `connect` gives a connection. Returns how many questions were asked, and those that were answered
/// otherwise than expected in each of `plays` plays of their scenario: 389 now and then overlooks the rules of an entry
/// that is added under a name deleted just before.
pub(crate) fn play(admin: &mut Client, connect: &dyn Fn() -> Client, plays: usize) -> (usize, Vec<String>) {
    let (mut asked, mut wrong) = (0, Vec::new());
    for scenario in SCENARIOS.iter().chain(WHOLE) {
        let mut still: Vec<String> = Vec::new();
        for play in 0..plays {
            let answers = play_one(admin, connect, scenario);
            still = if play == 0 { answers } else { still.into_iter().filter(|told| answers.contains(told)).collect() };
            if still.is_empty() {
                break;
            }
        }
        asked += scenario.steps.len();
        wrong.extend(still);
    }
    (asked, wrong)
}

/// The questions of a scenario that are answered otherwise than expected.
fn play_one(admin: &mut Client, connect: &dyn Fn() -> Client, scenario: &Scenario) -> Vec<String> {
    prepare(admin, scenario);
    let mut wrong = Vec::new();
    for (number, (who, act, expected)) in scenario.steps.iter().enumerate() {
        let mut client = connect();
        if !who.is_empty() {
            client.bind(&absolute(who), PASSWORD).expect(code::SUCCESS);
        }
        let given = is_allowed(&mut client, act);
        if given != *expected {
            wrong.push(format!("{}: step {} by '{who}' is {given}", scenario.name, number + 1));
        }
    }
    wrong
}
