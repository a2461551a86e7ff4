//! OpenLDAP's access rules and what `entente access import` makes of them: the same questions to a real slapd under the one
//! and to Entente under the other, by real operations.
//!
//! Who × entry × attribute × (read, search, compare, write), one's own name as a value, adding below, deleting, renaming; and which
//! entries are found at all. What somebody may do is done, and the administrator puts it back.

use crate::support::client::Client;
use crate::support::code;
use crate::support::program::{entente, run};
use crate::support::request::{ADD, REPLACE, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, Subject};
use std::collections::BTreeMap;

/// A rule set: what it shows, the rules (`@` is the suffix), and further arguments of the import.
struct Case {
    name: &'static str,
    rules: &'static str,
    arguments: &'static [&'static str],
}

const fn case(name: &'static str, rules: &'static str) -> Case {
    Case { name, rules, arguments: &[] }
}

const CASES: &[Case] = &[
    case(
        "what Debian's slapd begins with",
        "access to attrs=userPassword by self write by anonymous auth by * none
access to attrs=employeeType by self write by * read
access to * by * read",
    ),
    case(
        "own password, administrators write, users read",
        "access to attrs=userPassword
   by self write
   by group.exact=\"cn=admins,ou=groups,@\" write
   by anonymous auth
   by * none
# everything else
access to *
   by self write
   by group.exact=\"cn=admins,ou=groups,@\" write
   by users read
   by anonymous auth",
    ),
    case(
        "a service that sees passwords, and one that sees little",
        "access to attrs=userPassword by dn.exact=\"uid=svc,ou=services,@\" read by self =xw by anonymous auth
access to attrs=entry,uid,cn,mail by dn.exact=\"uid=svc,ou=services,@\" read by users read
access to * by dn.exact=\"uid=svc,ou=services,@\" none by users read",
    ),
    case(
        "Postfix: mail attributes for a service, nothing else for it",
        "access to attrs=userPassword by self write by anonymous auth
access to dn.subtree=\"ou=people,@\" attrs=entry,mail,uid,objectClass by dn.base=\"uid=svc,ou=services,@\" read by users read
access to dn.base=\"@\" attrs=entry by * search
access to dn.subtree=\"ou=people,@\" by self write by users read
access to * by users search",
    ),
    case(
        "address book for everybody, own data for people, a hidden branch",
        "access to dn.subtree=\"ou=private,@\" attrs=userPassword by self write by anonymous auth
access to dn.subtree=\"ou=private,@\" by group=\"cn=admins,ou=groups,@\" write by * none
access to attrs=userPassword by self write by anonymous auth by * none
access to attrs=telephoneNumber,title,description by self write by * read
access to dn.children=\"ou=people,@\" by dn.exact=\"uid=carol,ou=people,@\" write by * read
access to * by * read",
    ),
    case(
        "who may add and delete: children and entry",
        "access to attrs=userPassword by anonymous auth by * none
access to dn.base=\"ou=people,@\" attrs=children by dn.exact=\"uid=carol,ou=people,@\" write by * read
access to dn.one=\"ou=people,@\" attrs=entry by dn.exact=\"uid=carol,ou=people,@\" write by * read
access to dn.subtree=\"ou=groups,@\" by group=\"cn=staff,ou=groups,@\" write by * read
access to * by * read",
    ),
    case(
        "owners and managers",
        "access to attrs=userPassword by self write by anonymous auth
access to filter=(objectClass=groupOfNames) attrs=member by dnattr=owner write by users read
access to attrs=member by users selfwrite by * read
access to attrs=title by dnattr=manager write by users read
access to * by users read",
    ),
    case(
        "one's own name among members",
        "access to attrs=userPassword by anonymous auth
access to dn.exact=\"cn=open,ou=groups,@\" attrs=member by users selfwrite by users read
access to * by users read",
    ),
    case(
        "continue and break, adding and taking",
        "access to attrs=userPassword by anonymous auth
access to dn.subtree=\"ou=people,@\" by dn.exact=\"uid=carol,ou=people,@\" write by * break
access to attrs=mail by users +0 break by * none
access to * by users =rscx continue by group=\"cn=staff,ou=groups,@\" +w continue by dn.exact=\"uid=bob,ou=people,@\" -r stop",
    ),
    case(
        "classes of attributes",
        "access to attrs=userPassword by self write by anonymous auth
access to attrs=@person by self write by users read
access to attrs=!organizationalPerson by group=\"cn=admins,ou=groups,@\" write by users read
access to * by users search",
    ),
    case(
        "filters",
        "access to attrs=userPassword by anonymous auth
access to filter=(title=Boss) attrs=title,mail,description by group=\"cn=admins,ou=groups,@\" write by self read by * none
access to filter=\"(&(objectClass=inetOrgPerson)(!(mail=*)))\" attrs=telephoneNumber,title by * read
access to dn.subtree=\"ou=people,@\" filter=(uid=ann) attrs=entry,uid,objectClass by users read
access to * by users read by * search",
    ),
    case(
        "regular expressions for one level, and people named by them",
        "access to attrs=userPassword by anonymous auth
access to dn.regex=\"^uid=[^,]+,ou=people,@$\" attrs=title by self write by dn.regex=\"^uid=[^,]+,ou=services,@$\" write by users read
access to dn.regex=\"^.+,ou=groups,@$\" by dn.children=\"ou=people,@\" read by * search
access to dn.regex=\"^(.+,)?ou=private,@$\" by dn.one=\"ou=services,@\" read
access to * by * read",
    ),
    Case {
        name: "a private address book below each person",
        rules: "access to attrs=userPassword by self write by anonymous auth
access to dn.regex=\"^(.+,)?uid=([^,]+),ou=people,@$\" by dn.exact,expand=\"uid=$2,ou=people,@\" write by * none
access to * by users read",
        arguments: &["--narrow"],
    },
    case(
        "nested groups by a set, addresses",
        "access to attrs=userPassword by anonymous auth
access to attrs=title by set=\"user & [cn=staff,ou=groups,@]/member*\" write by group=\"cn=staff,ou=groups,@\" read by peername.ip=127.0.0.0%255.0.0.0 search
access to attrs=mail by peername.ip=192.0.2.0%255.255.255.0 read by ssf=128 write by users search
access to * by users read",
    ),
    case(
        "a group by search",
        "access to attrs=userPassword by anonymous auth
access to attrs=title by group/groupOfURLs/memberURL=\"cn=engineers,ou=groups,@\" write by users read
access to attrs=mail by group/groupOfURLs/memberURL.exact=\"cn=bosses,ou=groups,@\" read by * none
access to * by users read",
    ),
    Case {
        name: "people see their own password, everybody may search and see nothing",
        rules: "access to attrs=userPassword by anonymous auth by self =xwrsc
access to * by self write by users read by anonymous search",
        arguments: &[],
    },
    case("no rule", ""),
];

const DATA: &str = "dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=services,dc=example,dc=com
objectClass: organizationalUnit
ou: services

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: ou=private,dc=example,dc=com
objectClass: organizationalUnit
ou: private

dn: cn=secret,ou=private,dc=example,dc=com
objectClass: inetOrgPerson
cn: secret
sn: secret
title: Spy
telephoneNumber: 7

dn: uid=ann,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: Lee
title: Boss
mail: ann@example.com
telephoneNumber: 1
description: d
userPassword: ann-secret

dn: uid=bob,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Ray
title: Engineer
telephoneNumber: 2
manager: uid=carol,ou=people,dc=example,dc=com
userPassword: bob-secret

dn: uid=carol,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: carol
cn: Carol
sn: May
mail: carol@example.com
userPassword: carol-secret

dn: ou=book,uid=bob,ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: book
description: of Bob

dn: cn=friend,ou=book,uid=bob,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
cn: friend
sn: friend
telephoneNumber: 3

dn: uid=svc,ou=services,dc=example,dc=com
objectClass: inetOrgPerson
uid: svc
cn: Service
sn: Service
userPassword: svc-secret

dn: cn=admins,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: admins
member: uid=ann,ou=people,dc=example,dc=com

dn: cn=staff,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: staff
owner: uid=ann,ou=people,dc=example,dc=com
member: uid=bob,ou=people,dc=example,dc=com
member: cn=admins,ou=groups,dc=example,dc=com

dn: cn=open,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: open
owner: uid=bob,ou=people,dc=example,dc=com
member: uid=svc,ou=services,dc=example,dc=com

dn: cn=engineers,ou=groups,dc=example,dc=com
objectClass: groupOfURLs
cn: engineers
memberURL: ldap:///ou=people,dc=example,dc=com??one?(title=Engineer)

dn: cn=bosses,ou=groups,dc=example,dc=com
objectClass: groupOfURLs
cn: bosses
memberURL: ldap:///dc=example,dc=com??one?(title=Boss)
memberURL: ldap:///uid=ann,ou=people,dc=example,dc=com??base?(title=boss)
";

const WHO: [&str; 5] = ["", "uid=ann,ou=people", "uid=bob,ou=people", "uid=carol,ou=people", "uid=svc,ou=services"];
const ENTRIES: [&str; 11] = [
    "",
    "ou=people",
    "uid=ann,ou=people",
    "uid=bob,ou=people",
    "uid=carol,ou=people",
    "ou=book,uid=bob,ou=people",
    "cn=friend,ou=book,uid=bob,ou=people",
    "uid=svc,ou=services",
    "cn=secret,ou=private",
    "cn=open,ou=groups",
    "cn=staff,ou=groups",
];
const ATTRIBUTES: [&str; 11] = [
    "objectClass",
    "uid",
    "cn",
    "title",
    "mail",
    "telephoneNumber",
    "description",
    "member",
    "manager",
    "userPassword",
    "creatorsName",
];

fn absolute(name: &str) -> String {
    if name.is_empty() { SUFFIX.to_owned() } else { format!("{name},{SUFFIX}") }
}

/// An entry's user attributes, to be put back.
type Kept = Vec<(String, Vec<String>)>;

fn kept(admin: &mut Client, dn: &str) -> Kept {
    let names = ["objectClass", "uid", "cn", "sn", "ou", "dc", "o", "title", "mail", "telephoneNumber", "description"];
    let more = ["member", "owner", "manager", "userPassword"];
    let names: Vec<&str> = names.into_iter().chain(more).collect();
    let entry = admin.read_attributes(dn, &names);
    let values = |name: &&str| ((*name).to_owned(), entry.values(name));
    names.iter().filter(|name| entry.has(name)).map(values).collect()
}

fn put_back(admin: &mut Client, dn: &str, kept: &Kept) {
    let values: Vec<(&str, Vec<&str>)> =
        kept.iter().map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect())).collect();
    let attributes: Vec<(&str, &[&str])> = values.iter().map(|(name, values)| (*name, values.as_slice())).collect();
    admin.add(dn, &attributes).expect(code::SUCCESS);
}

/// What named an entry that was gone for a moment.
fn put_back_links(admin: &mut Client) {
    let (ann, bob, carol, svc) = (WHO[1], WHO[2], WHO[3], WHO[4]);
    let links: [(&str, &str, &[&str]); 6] = [
        ("cn=admins,ou=groups", "member", &[ann]),
        ("cn=staff,ou=groups", "member", &[bob, "cn=admins,ou=groups"]),
        ("cn=staff,ou=groups", "owner", &[ann]),
        ("cn=open,ou=groups", "member", &[svc]),
        ("cn=open,ou=groups", "owner", &[bob]),
        (bob, "manager", &[carol]),
    ];
    for (entry, name, values) in links {
        let values: Vec<String> = values.iter().map(|value| absolute(value)).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        admin.modify(&absolute(entry), &[(REPLACE, name, &values)]).expect(code::SUCCESS);
    }
}

/// What somebody may do, by question.
fn answers(server: &Server, who: &str) -> BTreeMap<String, bool> {
    let mut admin = server.bound(ADMIN, ADMIN_PASSWORD);
    let mut client = server.anonymous();
    if !who.is_empty() {
        let password = format!("{}-secret", who.split(['=', ',']).nth(1).unwrap());
        client.bind(&absolute(who), &password).expect(code::SUCCESS);
    }
    let mut answers = BTreeMap::new();
    let mut told = |question: String, is_so: bool| {
        answers.insert(format!("'{who}' {question}"), is_so);
    };
    let found = client.search(&Search::subtree(SUFFIX, "(objectClass=*)").attributes(&["1.1"])).dns();
    let found: Vec<String> = found.iter().map(|dn| dn.to_lowercase()).collect();
    for entry in ENTRIES {
        let dn = absolute(entry);
        told(format!("finds {entry}"), found.contains(&dn.to_lowercase()));
        let shown = client.search(&Search::base(&dn).attributes(&["*", "+"])).entries;
        let attributes = kept(&mut admin, &dn);
        for name in ATTRIBUTES {
            let has = name == "creatorsName" || attributes.iter().any(|(known, _)| known == name);
            if has {
                told(format!("reads {name} of {entry}"), shown.iter().any(|entry| entry.has(name)));
                let search = Search::base(&dn).filter(&format!("({name}=*)")).attributes(&["1.1"]);
                told(format!("searches {name} of {entry}"), !client.search(&search).entries.is_empty());
            }
            if has && name != "creatorsName" {
                let value = match name {
                    "manager" | "member" => ADMIN,
                    "objectClass" => "person",
                    _ => "x",
                };
                let compared = client.compare(&dn, name, value).code;
                let is_compared = [code::COMPARE_TRUE, code::COMPARE_FALSE].contains(&compared);
                told(format!("compares {name} of {entry}"), is_compared);
            }
        }
        for name in ["title", "mail", "telephoneNumber", "description", "userPassword"] {
            let is_unit = attributes.iter().any(|(name, _)| name == "ou" || name == "o");
            let is_group = attributes.iter().any(|(name, _)| name == "member");
            if (is_unit && ["title", "mail"].contains(&name)) || (is_group && name != "description") {
                continue;
            }
            let before: Vec<&str> = attributes
                .iter()
                .filter(|(known, _)| known == name)
                .flat_map(|(_, values)| values.iter().map(String::as_str))
                .collect();
            let is_written = client.modify(&dn, &[(REPLACE, name, &["9"])]).code == code::SUCCESS;
            told(format!("writes {name} of {entry}"), is_written);
            if is_written {
                admin.modify(&dn, &[(REPLACE, name, &before)]).expect(code::SUCCESS);
            }
        }
        if let Some((_, members)) = attributes.iter().find(|(name, _)| name == "member") {
            let before: Vec<&str> = members.iter().map(String::as_str).collect();
            for (what, value) in [("own name", absolute(who)), ("another name", absolute("ou=people"))] {
                if who.is_empty() || before.contains(&value.as_str()) {
                    continue;
                }
                let is_added = client.modify(&dn, &[(ADD, "member", &[&value])]).code == code::SUCCESS;
                told(format!("adds {what} to member of {entry}"), is_added);
                if is_added {
                    admin.modify(&dn, &[(REPLACE, "member", &before)]).expect(code::SUCCESS);
                }
            }
            let is_replaced =
                client.modify(&dn, &[(REPLACE, "member", &[&absolute("ou=people")])]).code == code::SUCCESS;
            told(format!("replaces member of {entry}"), is_replaced);
            if is_replaced {
                admin.modify(&dn, &[(REPLACE, "member", &before)]).expect(code::SUCCESS);
            }
        }
        let below = format!("cn=new,{dn}");
        let new: [(&str, &[&str]); 3] = [("objectClass", &["inetOrgPerson"]), ("cn", &["new"]), ("sn", &["new"])];
        let is_added = client.add(&below, &new).code == code::SUCCESS;
        told(format!("adds below {entry}"), is_added);
        if is_added {
            admin.delete(&below).expect(code::SUCCESS);
        }
        let is_leaf = !["", "ou=people", "uid=bob,ou=people", "ou=book,uid=bob,ou=people"].contains(&entry);
        if is_leaf && entry != who {
            let is_deleted = client.delete(&dn).code == code::SUCCESS;
            told(format!("deletes {entry}"), is_deleted);
            if is_deleted {
                put_back(&mut admin, &dn, &attributes);
                put_back_links(&mut admin);
            }
        }
        if is_leaf {
            let (attribute, value) = entry.split(',').next().unwrap().split_once('=').unwrap();
            let renamed = format!("{attribute}=other,{}", dn.split_once(',').unwrap().1);
            let is_renamed = client.modify_dn(&dn, &format!("{attribute}=other"), true, None).code == code::SUCCESS;
            told(format!("renames {entry}"), is_renamed);
            if is_renamed {
                admin.modify_dn(&renamed, &format!("{attribute}={value}"), true, None).expect(code::SUCCESS);
            }
        }
    }
    answers
}

/// The rules of a slapd, as `entente access import` puts them.
fn imported(slapd: &Server, arguments: &[&str]) -> Result<Vec<String>, String> {
    let mut command = entente();
    command.args(["--json", "access", "import"]).arg(slapd.folder().join("slapd.conf")).args(arguments);
    let finished = run(&mut command);
    let value: serde_json::Value =
        serde_json::from_str(&finished.stdout).map_err(|error| format!("{error}: {}", finished.stderr))?;
    let rules = value["aci"].as_array().ok_or_else(|| value.to_string())?;
    Ok(rules.iter().map(|rule| rule.as_str().unwrap().to_owned()).collect())
}

#[test]
fn imported_rules_come_to_what_slapd_makes_of_them() {
    let setup = Setup { ldif: DATA.to_owned(), ..Setup::default() };
    let server = Server::start_subject(Subject::Entente, setup.clone().with_access(&[], ""));
    let wanted = std::env::var("ENTENTE_CASE").unwrap_or_default();
    let (mut asked, mut wrong) = (0, Vec::new());
    for case in CASES.iter().filter(|case| case.name.contains(&wanted)) {
        let rules = format!("{}\n", case.rules.replace('@', SUFFIX));
        // In the classes of attributes, @ begins the name of a class.
        let rules = rules.replace(&format!("attrs={SUFFIX}person"), "attrs=@person");
        let slapd = Server::start_subject(Subject::Slapd, setup.clone().with_access(&[], &rules));
        let aci = match imported(&slapd, case.arguments) {
            Ok(aci) => aci,
            Err(why) => {
                wrong.push(format!("{}: {why}", case.name));
                continue;
            }
        };
        println!("{}: {} rules\n  {}", case.name, aci.len(), aci.join("\n  "));
        let aci: Vec<&str> = aci.iter().map(String::as_str).collect();
        server.admin().modify(SUFFIX, &[(REPLACE, "aci", &aci)]).expect(code::SUCCESS);
        for who in WHO {
            let (theirs, ours) = std::thread::scope(|scope| {
                let theirs = scope.spawn(|| answers(&slapd, who));
                let ours = answers(&server, who);
                (theirs.join().expect("slapd's answers"), ours)
            });
            asked += theirs.len();
            for (question, answer) in &theirs {
                let own = ours.get(question);
                if own != Some(answer) {
                    wrong.push(format!("{}: {question}: slapd {answer}, Entente {own:?}", case.name));
                }
            }
        }
    }
    println!("{asked} questions");
    assert!(wrong.is_empty(), "{} of {asked}: {wrong:#?}", wrong.len());
}
