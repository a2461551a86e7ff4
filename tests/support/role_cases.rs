//! Roles, and who has them: the same tree for Entente (`tests/ldap`) and for 389 Directory Server (`tests/peers`), which
//! proves the cases.

use super::client::Client;
use super::code;
use super::request::{ADD, Search};

/// Where the tree is.
pub(crate) const TREE: &str = "ou=roles,dc=example,dc=com";

/// Name, class, and what says who has it.
const ROLES: [(&str, &str, &str, &[&str]); 13] = [
    ("cn=man", "nsManagedRoleDefinition", "", &[]),
    ("cn=mana,ou=a", "nsManagedRoleDefinition", "", &[]),
    ("cn=fil", "nsFilteredRoleDefinition", "nsRoleFilter", &["(title=mover)"]),
    ("cn=filc,ou=c", "nsFilteredRoleDefinition", "nsRoleFilter", &["(objectClass=person)"]),
    ("cn=not", "nsFilteredRoleDefinition", "nsRoleFilter", &["(&(objectClass=person)(!(title=mover)))"]),
    ("cn=nest", "nsNestedRoleDefinition", "nsRoleDN", &["cn=man,@", "cn=filc,ou=c,@"]),
    ("cn=nesta,ou=a", "nsNestedRoleDefinition", "nsRoleDN", &["cn=man,@", "cn=filc,ou=c,@"]),
    ("cn=nestnest", "nsNestedRoleDefinition", "nsRoleDN", &["cn=nest,@"]),
    ("cn=ring1", "nsNestedRoleDefinition", "nsRoleDN", &["cn=ring2,@"]),
    ("cn=ring2", "nsNestedRoleDefinition", "nsRoleDN", &["cn=ring1,@", "cn=mana,ou=a,@"]),
    ("cn=alone1", "nsNestedRoleDefinition", "nsRoleDN", &["cn=alone2,@"]),
    ("cn=alone2", "nsNestedRoleDefinition", "nsRoleDN", &["cn=alone1,@"]),
    ("cn=byrole", "nsFilteredRoleDefinition", "nsRoleFilter", &["(nsRole=cn=man,@)"]),
];

/// Who, the roles that the entry itself names, and those that it has.
const PEOPLE: [(&str, &[&str], &[&str]); 4] = [
    (
        "uid=m1,ou=a",
        &["cn=man", "cn=mana,ou=a", "cn=gone", "cn=fil"],
        &["cn=fil", "cn=man", "cn=mana,ou=a", "cn=nest", "cn=nesta,ou=a", "cn=nestnest", "cn=ring1", "cn=ring2"],
    ),
    ("uid=m2,ou=c", &["cn=man", "cn=mana,ou=a"], &["cn=filc,ou=c", "cn=man", "cn=nest", "cn=nestnest", "cn=not"]),
    ("uid=m3,ou=c", &["cn=nest"], &["cn=filc,ou=c", "cn=nest", "cn=nestnest", "cn=not"]),
    ("uid=m4,ou=b", &["cn=mana,ou=a"], &["cn=not"]),
];

fn absolute(name: &str) -> String {
    format!("{name},{TREE}")
}

/// Makes the tree.
#[track_caller]
pub(crate) fn make(admin: &mut Client) {
    let unit: (&str, &[&str]) = ("objectClass", &["top", "organizationalUnit"]);
    for dn in [TREE.to_owned(), absolute("ou=a"), absolute("ou=b"), absolute("ou=c")] {
        admin.add(&dn, &[unit]).expect(code::SUCCESS);
    }
    for (name, class, attribute, values) in ROLES {
        let values: Vec<String> = values.iter().map(|value| value.replace('@', TREE)).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let classes = ["top", "ldapSubEntry", "nsRoleDefinition", class];
        let mut attributes: Vec<(&str, &[&str])> = vec![("objectClass", &classes)];
        if !values.is_empty() {
            attributes.push((attribute, &values));
        }
        admin.add(&absolute(name), &attributes).expect(code::SUCCESS);
    }
    for (name, roles, _) in PEOPLE {
        let title = if name.contains("m1") { "mover" } else { "sitter" };
        let classes: &[&str] = &["top", "person", "organizationalPerson", "inetOrgPerson"];
        let attributes: [(&str, &[&str]); 4] =
            [("objectClass", classes), ("cn", &["x"]), ("sn", &["x"]), ("title", &[title])];
        admin.add(&absolute(name), &attributes).expect(code::SUCCESS);
        let roles: Vec<String> = roles.iter().map(|role| absolute(role)).collect();
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        admin.modify(&absolute(name), &[(ADD, "nsRoleDN", &roles)]).expect(code::SUCCESS);
    }
}

/// What is told otherwise than expected: roles of people, people of roles, and comparisons.
pub(crate) fn wrong(admin: &mut Client) -> Vec<String> {
    let mut wrong = Vec::new();
    let short = |dn: &String| dn.strip_suffix(&format!(",{TREE}")).unwrap_or(dn).to_owned();
    let mut check = |what: String, mut given: Vec<String>, expected: Vec<&str>| {
        given.sort();
        if given != expected {
            wrong.push(format!("{what}: {given:?} instead of {expected:?}"));
        }
    };
    for (name, _, roles) in PEOPLE {
        let told = admin.read_attributes(&absolute(name), &["nsRole"]).values("nsRole");
        check(name.to_owned(), told.iter().map(short).collect(), roles.to_vec());
    }
    // Entries of nested roles have what their own nsRoleDN names, too; 389 shows these in no usual search.
    let everybody: Vec<&str> = PEOPLE.iter().map(|(name, ..)| *name).collect();
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    for (role, ..) in ROLES {
        let filter = format!("(nsRole={})", absolute(role));
        let people = format!("(&(objectClass=person){filter})");
        let found = admin.search(&Search::subtree(TREE, &people).attributes(&["1.1"])).dns();
        let holders = PEOPLE.iter().filter(|(_, _, roles)| roles.contains(&role)).map(|(name, ..)| *name).collect();
        check(filter.clone(), found.iter().map(short).collect(), sorted(holders));
        let filter = format!("(&(objectClass=person)(!{filter}))");
        let found = admin.search(&Search::subtree(TREE, &filter).attributes(&["1.1"])).dns();
        let others = PEOPLE.iter().filter(|(_, _, roles)| !roles.contains(&role)).map(|(name, ..)| *name).collect();
        check(filter, found.iter().map(short).collect(), sorted(others));
    }
    let found = admin.search(&Search::subtree(TREE, "(&(nsRole=*)(objectClass=person))").attributes(&["1.1"])).dns();
    check("(nsRole=*)".to_owned(), found.iter().map(short).collect(), sorted(everybody));
    for (role, expected) in [("cn=nest", code::COMPARE_TRUE), ("cn=mana,ou=a", code::COMPARE_FALSE)] {
        let given = admin.compare(&absolute("uid=m2,ou=c"), "nsRole", &absolute(role)).code;
        check(format!("compare {role}"), vec![given.to_string()], vec![&*expected.to_string()]);
    }
    wrong
}
