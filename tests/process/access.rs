//! `entente access explain`: beside a node that serves, with the same answers as get effective rights.

use std::process::Command;

use crate::support::code;
use crate::support::program::{entente, run};
use crate::support::request::{Control, Search};
use crate::support::server::{Server, Setup};
use crate::support::{ber, oid};

const ANN: &str = "uid=ann,ou=people,dc=example,dc=com";
const BOB: &str = "uid=bob,ou=people,dc=example,dc=com";
const STAFF: &str = "cn=staff,ou=groups,dc=example,dc=com";

const RULES: [&str; 7] = [
    r#"(targetattr != "userPassword || mobile")(version 3.0; acl "read"; allow (read, search) userdn = "ldap:///all";)"#,
    r#"(targetattr = "title || mobile")(version 3.0; acl "own"; allow (write) userdn = "ldap:///self";)"#,
    r#"(target = "ldap:///ou=people,dc=example,dc=com")(targetfilter = "(objectClass=posixAccount)")(targetattr = "*")(version 3.0; acl "unix"; allow (all) groupdn = "ldap:///cn=staff,ou=groups,dc=example,dc=com";)"#,
    r#"(targetattr = "title")(version 3.0; acl "no titles"; deny (write) userdn = "ldap:///uid=bob,ou=people,dc=example,dc=com" and ip != "192.0.2.*";)"#,
    r#"(targattrfilters = "add=employeeType:(employeeType=guest)")(version 3.0; acl "guests"; allow (write) userdn = "ldap:///all";)"#,
    r#"(target = "ldap:///ou=people,($dn),dc=com")(targetattr = "description")(version 3.0; acl "macro"; allow (write) groupdn = "ldap:///cn=staff,ou=groups,[$dn],dc=com";)"#,
    r#"(targetattr = "member")(version 3.0; acl "join"; allow (selfwrite) userdn = "ldap:///all";)"#,
];

fn explain(server: &Server, subject: &str, on: &str, more: &[&str]) -> Command {
    let mut command = entente();
    command.args(["access", "explain", "--data"]).arg(server.data()).args(["--as", subject, "--on", on]).args(more);
    command
}

/// T-20 of the hostile tests: what a rule comes to is told alike by both who tell it.
#[test]
fn explanations_say_what_effective_rights_say() {
    let server = Server::start(Setup::default().with_access(&RULES, ""));
    let mut admin = server.admin();
    let names = ["cn", "description", "employeeType", "member", "mobile", "title", "userPassword"];
    let mut compared = 0;
    for subject in [ANN, BOB, "uid=carol,ou=people,dc=example,dc=com", ""] {
        for on in [ANN, BOB, STAFF] {
            let value = ber::sequence(&[ber::octets(format!("dn:{subject}")), ber::sequence(&names.map(ber::octets))]);
            let control = Control::critical(oid::EFFECTIVE_RIGHTS, Some(value));
            let entry = admin.with(control).search(&Search::base(on).attributes(&["1.1"])).single();
            let told = entry.value("attributeLevelRights");
            let mut command = explain(&server, subject, on, &["--json", "--ssf", "0", "--ip", "127.0.0.1"]);
            let rights = ["read", "search", "compare", "write", "selfwrite"];
            command.args(rights.iter().flat_map(|right| ["--right", right]));
            command.args(names.iter().flat_map(|name| ["--attribute", name]));
            let printed = run(&mut command).stdout;
            for (name, line) in names.iter().zip(printed.lines()) {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                let list = value["rights"].as_array().unwrap();
                let letters = ["r", "s", "c", "wo", "WO"];
                let held: String = list
                    .iter()
                    .zip(letters)
                    .filter(|(right, _)| right["allowed"] == serde_json::Value::Bool(true))
                    .map(|(_, letters)| letters)
                    .collect();
                let held = if held.is_empty() { "none".to_owned() } else { held };
                assert!(
                    told.split(", ").any(|part| part == format!("{name}:{held}")),
                    "{subject} on {on}: {held} {told}"
                );
                assert_eq!(list.len(), rights.len());
                compared += list.len();
            }
        }
    }
    assert_eq!(compared, 4 * 3 * names.len() * 5);
}

#[test]
fn an_explanation_names_the_rule_and_the_part_that_does_not_fit() {
    let server = Server::start(Setup::default().with_access(&RULES, ""));
    let on_title = ["--attribute", "title", "--right", "write"];
    let denied = run(&mut explain(&server, BOB, BOB, &on_title)).expect_status(1).stdout;
    assert!(denied.contains("write: denied by \"no titles\""), "{denied}");
    assert!(denied.contains("allow \"own\" of dc=example,dc=com applies"), "{denied}");
    let from_there = [&on_title[..], &["--ip", "192.0.2.7"]].concat();
    let allowed = run(&mut explain(&server, BOB, BOB, &from_there)).expect_success();
    assert!(allowed.contains("write: allowed by \"own\""), "{allowed}");
    assert!(allowed.contains("ip != \"192.0.2.0/24\", but the connection comes from 192.0.2.7"), "{allowed}");
    let other = run(&mut explain(&server, BOB, ANN, &["--attribute", "mobile"])).expect_status(1).stdout;
    assert!(other.contains("read: denied, nothing allows it"), "{other}");
    assert!(other.contains("targetattr != \"userPassword || mobile\""), "{other}");
    assert!(other.contains("userdn = \"ldap:///self\", but the requester is uid=bob"), "{other}");
    let some = run(&mut explain(&server, ANN, STAFF, &["--attribute", "employeeType", "--right", "write"])).stdout;
    assert!(some.contains("some values of the attribute only (targattrfilters)"), "{some}");
    let carol = "uid=carol,ou=people,dc=example,dc=com";
    let named = run(&mut explain(&server, carol, BOB, &["--attribute", "description", "--right", "write"])).stdout;
    let macro_text = r#"groupdn = "ldap:///cn=staff,ou=groups,[$dn],dc=com" where ($dn) is dc=example, but uid=carol"#;
    assert!(named.contains(macro_text), "{named}");
    let nobody = run(&mut explain(&server, "", ANN, &["--attribute", "cn", "--right", "read"])).expect_status(1).stdout;
    assert!(nobody.contains("has not authenticated"), "{nobody}");
    let admin = run(&mut explain(&server, "cn=admin,dc=example,dc=com", ANN, &[])).expect_success();
    assert!(admin.contains("the administrator is not judged"), "{admin}");
    let new = run(&mut explain(&server, ANN, "uid=new,ou=people,dc=example,dc=com", &["--right", "add"]));
    assert!(new.stdout.contains("as if it were about to be added"), "{}", new.stdout);
    let nowhere = run(&mut explain(&server, ANN, "uid=x,ou=y,dc=example,dc=com", &[])).expect_failure();
    assert!(nowhere.contains("there is no entry"), "{nowhere}");
    run(&mut explain(&server, ANN, ANN, &["--attribute", "nonsense"])).expect_failure();
    let root = run(&mut explain(&server, ANN, "", &[])).expect_failure();
    assert!(root.contains("the root DSE is judged by no rule"), "{root}");
    server.admin().search(&Search::base(ANN)).expect(code::SUCCESS);
}

/// Of each way to say who is meant: what is so instead; and methods are asked about in the words that rules have for them.
#[test]
fn an_explanation_says_what_is_so_instead() {
    let bind_rules = [
        (r#"groupdn = "ldap:///cn=staff,ou=groups,dc=example,dc=com""#, "is not in it"),
        (r#"groupdn != "ldap:///cn=all,dc=example,dc=com""#, "is in it"),
        (r#"roledn = "ldap:///cn=role,dc=example,dc=com""#, "has it not"),
        (r#"userattr = "manager#USERDN""#, "is not named there"),
        (r#"userattr = "parent[1].seeAlso#GROUPDN""#, "is in no group that is named there"),
        (r#"userattr = "description#boss""#, "and the entry do not both have that value"),
        (r#"authmethod = "sasl EXTERNAL""#, "but it was a simple bind"),
    ];
    let rules: Vec<String> = bind_rules
        .iter()
        .enumerate()
        .map(|(at, (rule, _))| format!(r#"(targetattr = "title")(version 3.0; acl "{at}"; allow (write) {rule};)"#))
        .collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let server = Server::start(Setup::default().with_access(&rules, ""));
    let mut admin = server.admin();
    let (stranger, people) = ("uid=stranger,dc=example,dc=com", "cn=all,dc=example,dc=com");
    admin.add(stranger, &[("objectClass", &["inetOrgPerson"]), ("cn", &["S"]), ("sn", &["S"])]).expect(code::SUCCESS);
    admin.add(people, &[("objectClass", &["groupOfNames"]), ("member", &[stranger])]).expect(code::SUCCESS);
    let on_title = ["--attribute", "title", "--right", "write"];
    let told = run(&mut explain(&server, stranger, BOB, &on_title)).expect_status(1).stdout;
    for (rule, fact) in bind_rules {
        let fact = if fact.starts_with("but") { fact.to_owned() } else { format!("but {stranger} {fact}") };
        assert!(told.contains(&format!("{rule}, {fact}")), "{rule}: {told}");
    }
    for method in ["sasl EXTERNAL", "SASL external", "EXTERNAL"] {
        let more = [&on_title[..], &["--authmethod", method]].concat();
        let told = run(&mut explain(&server, stranger, BOB, &more)).expect_success();
        assert!(told.contains("write: allowed by \"6\""), "{method}: {told}");
    }
    for method in ["none", "sasl", "sasl EXTERNAL now", "no/method", "a-mechanism-of-21-bytes"] {
        let more = [&on_title[..], &["--authmethod", method]].concat();
        let refused = run(&mut explain(&server, stranger, BOB, &more)).expect_failure();
        assert!(refused.contains("--authmethod"), "{method}: {refused}");
    }
}

/// What is not in the tree is told by the rules for an attribute of a suffix, and so explained.
#[test]
fn reading_the_monitor_is_explained() {
    let rule = r#"(targetattr = "monitoredInfo")(version 3.0; acl "watchers"; allow (read) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#;
    let server = Server::start(Setup::default().with_access(&[RULES[0], rule], ""));
    for (subject, on, allowed) in [
        (ANN, "cn=monitor", true),
        (BOB, "cn=monitor", false),
        (ANN, "cn=deleted", false),
        (ANN, "cn=changelog", false),
    ] {
        let printed = run(&mut explain(&server, subject, on, &[]));
        assert!(printed.stdout.contains("told to whom the rules let read"), "{}", printed.stdout);
        assert_eq!(printed.status.success(), allowed, "{subject} {on}: {}", printed.stdout);
    }
}

/// What is below cn=deleted and cn=conflicts is told by the rules for the entry that it is about, and so explained.
#[test]
fn reading_what_is_about_an_entry_is_explained_by_the_rules_for_that() {
    const ALL: &str = r#"(targetattr = "objectClass || uid || title || isDeleted || conflictKind")(version 3.0; acl "all of it"; allow (read, search) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#;
    const NOT: &str = r#"(target = "ldap:///ou=groups,dc=example,dc=com")(targetattr = "isDeleted || conflictKind")(version 3.0; acl "not groups"; deny (read) userdn = "ldap:///all";)"#;
    const UNIQUE: &str =
        r#"(targetattr = "uniqueAttribute")(version 3.0; acl "u"; allow (read) userdn = "ldap:///all";)"#;
    let server = Server::start(Setup::default().with_access(&[ALL, NOT, UNIQUE], ""));
    let mut admin = server.admin();
    let person = |admin: &mut crate::support::client::Client, uid: &str, branch: &str| {
        let dn = format!("uid={uid},ou={branch},dc=example,dc=com");
        let classes: (&str, &[&str]) = ("objectClass", &["inetOrgPerson"]);
        let attributes = [classes, ("cn", &[uid]), ("sn", &[uid]), ("employeeNumber", &["77"])];
        admin.add(&dn, &attributes).expect(code::SUCCESS);
        dn
    };
    let (gone, hidden) = (person(&mut admin, "gone", "people"), person(&mut admin, "hidden", "groups"));
    for dn in [&gone, &hidden] {
        admin.delete(dn).expect(code::SUCCESS);
    }
    let other = person(&mut admin, "other", "groups");
    person(&mut admin, "more", "people");
    admin.modify("dc=example,dc=com", &[(0, "uniqueAttribute", &["employeeNumber"])]).expect(code::SUCCESS);
    let mut named = |base: &str, filter: &str| {
        let search = Search::base(base).scope(1).filter(filter);
        admin.search(&search).expect(code::SUCCESS).dns().remove(0)
    };
    let (in_bin, hidden_in_bin) = (named("cn=deleted", "(uid=gone)"), named("cn=deleted", "(uid=hidden)"));
    let clash = named("cn=conflicts", "(conflictEntry=uid=more,ou=people,dc=example,dc=com)");
    let hidden_clash = named("cn=conflicts", &format!("(conflictEntry={other})"));
    for (subject, on, attribute, allowed, says) in [
        (ANN, &in_bin, None, true, "isDeleted of uid=gone,ou=people,dc=example,dc=com"),
        (ANN, &in_bin, Some("title"), true, "title of uid=gone,ou=people,dc=example,dc=com"),
        (ANN, &in_bin, Some("mail"), false, "mail of uid=gone,ou=people,dc=example,dc=com"),
        (ANN, &hidden_in_bin, Some("title"), false, "isDeleted of uid=hidden,ou=groups,dc=example,dc=com"),
        (ANN, &hidden_in_bin, None, false, "not groups"),
        (ANN, &clash, None, true, "conflictKind of uid=more,ou=people,dc=example,dc=com"),
        (ANN, &hidden_clash, None, false, "conflictKind of uid=other,ou=groups,dc=example,dc=com"),
        (BOB, &in_bin, None, false, "isDeleted of dc=example,dc=com"),
    ] {
        let more: Vec<&str> = attribute.iter().flat_map(|name| ["--attribute", *name]).collect();
        let printed = run(&mut explain(&server, subject, on, &more));
        assert!(printed.stdout.contains(says), "{subject} {on}: {}", printed.stdout);
        assert_eq!(printed.status.success(), allowed, "{subject} {on}: {}", printed.stdout);
    }
    let absent = "entryUUID=00000000-0000-7000-8000-000000000000,cn=deleted";
    assert!(run(&mut explain(&server, ANN, absent, &[])).expect_failure().contains("there is no entry"));
}

const SLAPD: &str = "# as on a Debian machine
include /etc/ldap/schema/core.schema
database mdb
suffix \"dc=example,dc=com\"
access to attrs=userPassword
  by self write
  by anonymous auth
access to dn.subtree=\"ou=groups,dc=example,dc=com\" by set=\"user/title & [boss]\" write by * read
access to * by * read
";

/// What is printed is LDIF that `entente modify` takes, and what is refused is told by its line and gives nothing.
#[test]
fn rules_of_openldap_are_imported_by_modify() {
    let server = Server::start(Setup::default().with_access(&[], ""));
    let file = server.folder().join("slapd.conf");
    std::fs::write(&file, SLAPD).unwrap();
    let import = |more: &[&str]| {
        let mut command = entente();
        command.args(["access", "import"]).arg(&file).arg("--data").arg(server.data()).args(more);
        run(&mut command)
    };
    let refused = import(&[]).expect_failure();
    assert!(refused.contains("line 8") && refused.contains("of sets only"), "{refused}");
    let narrow = import(&["--narrow"]).expect_status(1).stdout;
    assert!(narrow.contains("# REFUSED, given to nobody: line 8"), "{narrow}");
    let rules = server.folder().join("rules.ldif");
    std::fs::write(&rules, &narrow).unwrap();
    let (mut ann, mut anonymous) = (server.person("ann"), server.anonymous());
    assert!(anonymous.search(&Search::base(STAFF)).entries.is_empty());
    run(entente().arg("modify").arg("--data").arg(server.data()).arg(&rules)).expect_success();
    assert!(anonymous.read(STAFF).has("member"));
    ann.modify(ANN, &[(2, "userPassword", &["changed"])]).expect(code::SUCCESS);
    ann.modify(ANN, &[(2, "title", &["changed"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    ann.modify(STAFF, &[(2, "description", &["changed"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
}

#[test]
fn of_an_entry_as_a_whole_it_is_said_that_it_is_seen_and_how_attributes_are_asked_for() {
    let all = r#"(targetattr = "*")(version 3.0; acl "all"; allow (read, search, compare) userdn = "ldap:///all";)"#;
    let server = Server::start(Setup::default().with_access(&[all], ""));
    let seen = run(&mut explain(&server, BOB, ANN, &["--right", "read"])).expect_success();
    assert!(seen.contains("the entry as a whole: seen (v of get effective rights)"), "{seen}");
    assert!(seen.contains("read: the entry is seen, since rules give rights to its attributes"), "{seen}");
    assert!(seen.contains("is about attributes (targetattr): ask with --attribute NAME"), "{seen}");
    assert!(!seen.contains("other attributes"), "{seen}");
    run(&mut explain(&server, BOB, ANN, &["--right", "read", "--attribute", "cn"])).expect_success();
    let unseen = run(&mut explain(&server, "", ANN, &["--right", "read"])).expect_status(1).stdout;
    assert!(unseen.contains("not seen") && unseen.contains("denied, nothing allows it"), "{unseen}");
}

/// What is said of a move is what happens (target_from and target_to, as in 389 Directory Server).
#[test]
fn a_move_is_explained_as_it_is_judged() {
    const MOVE: &str = r#"(target_from = "ldap:///ou=people,dc=example,dc=com")(target_to = "ldap:///ou=groups,dc=example,dc=com")(version 3.0; acl "there"; allow (moddn) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#;
    let server = Server::start(Setup::default().with_access(&[RULES[0], MOVE], ""));
    let (people, groups) = ("ou=people,dc=example,dc=com", "ou=groups,dc=example,dc=com");
    let carol = "uid=carol,ou=people,dc=example,dc=com";
    let to = |subject: &str, on: &str, superior: &str| run(&mut explain(&server, subject, on, &["--to", superior]));
    let allowed = to(ANN, carol, groups).expect_success();
    assert!(allowed.contains("moddn: allowed by \"there\"") && !allowed.contains("a move wants"), "{allowed}");
    assert!(allowed.contains(&format!("{ANN} and a move of {carol} to {groups}:")), "{allowed}");
    for (subject, on, superior) in [(BOB, carol, groups), (ANN, STAFF, people), (ANN, carol, "dc=example,dc=com")] {
        let denied = to(subject, on, superior).expect_status(1).stdout;
        assert!(denied.contains("moddn: denied, nothing allows it"), "{subject} {on} {superior}: {denied}");
        assert!(denied.contains("\"there\""), "the rule that does not fit is named: {denied}");
        assert!(denied.contains("a move wants a rule with moddn"), "{denied}");
    }
    assert!(to(ANN, carol, "ou=nowhere,dc=example,dc=com").expect_failure().contains("there is no entry ou=nowhere"));
    let mut command = explain(&server, ANN, carol, &["--to", groups, "--json"]);
    let value: serde_json::Value = serde_json::from_str(&run(&mut command).expect_success()).expect("JSON");
    assert_eq!(value["rights"][0]["right"], "moddn");
    let rdn = "uid=carol";
    server.person("bob").modify_dn(carol, rdn, true, Some(groups)).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    server.person("ann").modify_dn(STAFF, "cn=staff", true, Some(people)).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    server.person("ann").modify_dn(carol, rdn, true, Some(groups)).expect(code::SUCCESS);
}
