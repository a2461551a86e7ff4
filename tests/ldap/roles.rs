//! Roles of 389 Directory Server: computed, so that nobody has one any more that he should not have. Not in slapd.

use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{ADD, DELETE, REPLACE, Search};
use crate::support::role_cases;
use crate::support::server::{Server, Setup};
use crate::{ANN, BOB, PEOPLE, add_person};

#[track_caller]
fn roles(client: &mut Client, dn: &str) -> Vec<String> {
    let mut values = client.read_attributes(dn, &["nsRole"]).values("nsRole");
    values.sort();
    values
}

fn define(client: &mut Client, dn: &str, class: &str, attribute: &str, values: &[&str]) {
    let classes = [class];
    let mut attributes: Vec<(&str, &[&str])> = vec![("objectClass", &classes)];
    if !values.is_empty() {
        attributes.push((attribute, values));
    }
    client.add(dn, &attributes).expect(code::SUCCESS);
}

const MANAGED: &str = "nsManagedRoleDefinition";
const FILTERED: &str = "nsFilteredRoleDefinition";
const NESTED: &str = "nsNestedRoleDefinition";

/// `tests/peers` asks 389 the same.
#[test]
fn who_has_which_role_is_what_389_says() {
    only_entente!(Foreign);
    let mut admin = Server::shared().admin();
    role_cases::make(&mut admin);
    let wrong = role_cases::wrong(&mut admin);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ns_role_is_operational_and_nobodys_to_write() {
    only_entente!(Foreign);
    let (mut client, branch) = Server::shared().branch("roles-shown");
    let person = add_person(&mut client, &branch, "p");
    let role = format!("cn=r,{branch}");
    define(&mut client, &role, FILTERED, "nsRoleFilter", &["(uid=p)"]);
    assert!(!client.read(&person).has("nsRole"));
    assert_eq!(client.read_attributes(&person, &["+"]).values("nsRole"), [role.as_str()]);
    assert_eq!(client.read_attributes(&person, &["NSROLE"]).values("NSROLE"), [role.as_str()]);
    client.modify(&person, &[(REPLACE, "nsRole", &[&role])]).expect(code::CONSTRAINT_VIOLATION);
    // Its filter, or the roles that it contains, must be there.
    let without = client.add(&format!("cn=x,{branch}"), &[("objectClass", &[FILTERED])]);
    without.expect(code::OBJECT_CLASS_VIOLATION);
}

#[test]
fn roles_follow_every_change() {
    only_entente!(Foreign);
    let (mut client, branch) = Server::shared().branch("roles-follow");
    let (inner, outer) = (format!("ou=inner,{branch}"), format!("ou=outer,{branch}"));
    for unit in [&inner, &outer] {
        client.add(unit, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    }
    let person = add_person(&mut client, &inner, "p");
    let (managed, filtered, nested) = (format!("cn=m,{inner}"), format!("cn=f,{inner}"), format!("cn=n,{branch}"));
    // Named before it is there.
    client.modify(&person, &[(ADD, "nsRoleDN", &[&managed])]).expect(code::SUCCESS);
    assert!(roles(&mut client, &person).is_empty());
    define(&mut client, &managed, MANAGED, "", &[]);
    define(&mut client, &filtered, FILTERED, "nsRoleFilter", &["(title=Boss)"]);
    define(&mut client, &nested, NESTED, "nsRoleDN", &[&filtered]);
    assert_eq!(roles(&mut client, &person), std::slice::from_ref(&managed));
    client.modify(&person, &[(REPLACE, "title", &["boss"])]).expect(code::SUCCESS);
    assert_eq!(roles(&mut client, &person), [filtered.clone(), managed.clone(), nested.clone()]);
    assert_eq!(client.names(&branch, &format!("(&(uid=*)(nsRole={nested}))")), ["p"]);
    client.modify(&filtered, &[(REPLACE, "nsRoleFilter", &["(title=Clerk)"])]).expect(code::SUCCESS);
    assert_eq!(roles(&mut client, &person), std::slice::from_ref(&managed));
    assert!(client.names(&branch, &format!("(nsRole={nested})")).is_empty());
    // Another name of the role; another place of who has it.
    client.modify_dn(&managed, "cn=renamed", true, None).expect(code::SUCCESS);
    let renamed = format!("cn=renamed,{inner}");
    assert_eq!(roles(&mut client, &person), std::slice::from_ref(&renamed));
    assert_eq!(client.names(&branch, &format!("(nsRole={renamed})")), ["p"]);
    client.modify_dn(&person, "uid=p", false, Some(&outer)).expect(code::SUCCESS);
    let person = format!("uid=p,{outer}");
    assert!(roles(&mut client, &person).is_empty());
    assert!(client.names(&branch, &format!("(nsRole={renamed})")).is_empty());
    // The role may be for another subtree, too.
    client.modify(&renamed, &[(ADD, "nsRoleScopeDN", &[&outer])]).expect(code::SUCCESS);
    assert_eq!(roles(&mut client, &person), std::slice::from_ref(&renamed));
    client.delete(&renamed).expect(code::SUCCESS);
    assert!(roles(&mut client, &person).is_empty());
}

/// An entry may name more roles than its record holds, and a filter that breaks or leads in a circle is one that nobody fits.
#[test]
fn many_roles_and_useless_filters_do_no_harm() {
    only_entente!(Foreign);
    let (mut client, branch) = Server::shared().branch("roles-many");
    let person = add_person(&mut client, &branch, "p");
    let names: Vec<String> = (0..100).map(|number| format!("cn=r{number:02},{branch}")).collect();
    for name in &names {
        define(&mut client, name, MANAGED, "", &[]);
    }
    let values: Vec<&str> = names.iter().map(String::as_str).collect();
    client.modify(&person, &[(ADD, "nsRoleDN", &values)]).expect(code::SUCCESS);
    assert_eq!(roles(&mut client, &person), names);
    assert_eq!(client.names(&branch, &format!("(nsRole={})", names[70])), ["p"]);
    client.modify(&person, &[(DELETE, "nsRoleDN", &[&names[70]])]).expect(code::SUCCESS);
    assert!(client.names(&branch, &format!("(nsRole={})", names[70])).is_empty());
    for (number, filter) in ["(cn=", "(nsRole=*)", "(userPassword=*)", "(:caseIgnoreMatch:=p)"].iter().enumerate() {
        let name = format!("cn=bad{number},{branch}");
        define(&mut client, &name, FILTERED, "nsRoleFilter", &[filter]);
        assert!(client.names(&branch, &format!("(nsRole={name})")).is_empty(), "{filter}");
    }
    // A group by search may not ask for roles, nor be the way to a circle.
    let group = format!("cn=g,{branch}");
    let url = format!("ldap:///{branch}??sub?(nsRole={})", names[1]);
    client.add(&group, &[("objectClass", &["groupOfURLs"]), ("memberURL", &[&url])]).expect(code::SUCCESS);
    assert!(client.names(&branch, &format!("(memberOf={group})")).is_empty());
    // A chain of nested roles, longer than a plan follows.
    let chain: Vec<String> = (0..80).map(|number| format!("cn=c{number:02},{branch}")).collect();
    for (number, name) in chain.iter().enumerate() {
        let next = chain.get(number + 1).unwrap_or(&names[3]);
        define(&mut client, name, NESTED, "nsRoleDN", &[next]);
    }
    assert_eq!(client.names(&branch, &format!("(&(uid=*)(nsRole={}))", chain[0])), ["p"]);
    assert_eq!(roles(&mut client, &person).len(), 99 + 80);
}

/// What people become by their attributes, rules know from the next request on.
#[test]
fn rules_follow_roles_and_groups_by_search() {
    only_entente!(Foreign);
    let rules = [
        r#"(targetattr = "sn")(version 3.0; acl "f"; allow (read) roledn = "ldap:///cn=bosses,ou=people,dc=example,dc=com";)"#,
        r#"(targetattr = "cn")(version 3.0; acl "m"; allow (read) roledn = "ldap:///cn=clerks,ou=people,dc=example,dc=com";)"#,
        r#"(targetattr = "uid")(version 3.0; acl "g"; allow (read) groupdn = "ldap:///cn=found,ou=groups,dc=example,dc=com";)"#,
        r#"(targetattr = "objectClass")(version 3.0; acl "s"; allow (search) userdn = "ldap:///all";)"#,
    ];
    let server = Server::start(Setup::default().with_access(&rules, ""));
    let (mut admin, mut ann) = (server.admin(), server.person("ann"));
    let mut seen = |admin: &mut Client, change: &dyn Fn(&mut Client)| -> String {
        change(admin);
        let found = ann.search(&Search::base(BOB));
        let mut names: Vec<String> = found.entries.iter().flat_map(|entry| entry.names()).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(seen(&mut admin, &|_| ()), "");
    let (bosses, clerks) = (format!("cn=bosses,{PEOPLE}"), format!("cn=clerks,{PEOPLE}"));
    let url = format!("ldap:///{PEOPLE}??one?(employeeType=found)");
    assert_eq!(
        seen(&mut admin, &|admin| {
            define(admin, &bosses, FILTERED, "nsRoleFilter", &["(title=Chief)"]);
            define(admin, &clerks, MANAGED, "", &[]);
            let group: [(&str, &[&str]); 2] = [("objectClass", &["groupOfURLs"]), ("memberURL", &[&url])];
            admin.add("cn=found,ou=groups,dc=example,dc=com", &group).expect(code::SUCCESS);
        }),
        ""
    );
    let set = |attribute: &'static str, value: Option<String>| {
        move |admin: &mut Client| {
            let values: Vec<&str> = value.as_deref().into_iter().collect();
            admin.modify(ANN, &[(REPLACE, attribute, &values)]).expect(code::SUCCESS);
        }
    };
    assert_eq!(seen(&mut admin, &set("title", Some("chief".into()))), "sn");
    assert_eq!(seen(&mut admin, &set("nsRoleDN", Some(clerks.clone()))), "cn sn");
    assert_eq!(seen(&mut admin, &set("employeeType", Some("found".into()))), "cn sn uid");
    assert_eq!(seen(&mut admin, &set("title", None)), "cn uid");
    assert_eq!(seen(&mut admin, &set("nsRoleDN", None)), "uid");
    assert_eq!(seen(&mut admin, &set("employeeType", None)), "");
    let all = |admin: &mut Client| {
        admin.modify(&bosses, &[(REPLACE, "nsRoleFilter", &["(uid=ann)"])]).expect(code::SUCCESS);
    };
    assert_eq!(seen(&mut admin, &all), "sn");
}
