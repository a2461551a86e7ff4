//! Values that one entry of a subtree alone may have: rules are values of `uniqueAttribute`, and the configuration of slapd's
//! overlay unique.

use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{ADD, DELETE, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::{ANN, BOB, PEOPLE, add_person};

/// A server whose slapd has this rule from the beginning.
fn unique(uri: &str) -> Setup {
    let lines = format!("overlay unique\nunique_uri {uri}\n");
    Setup::default().with_slapd_global("moduleload unique\n").with_slapd_lines(&lines)
}

#[track_caller]
fn add_rule(client: &mut Client, branch: &str, rules: &[&str]) {
    if !Subject::current().is_slapd() {
        client.modify(branch, &[(ADD, "uniqueAttribute", rules)]).expect(code::SUCCESS);
    }
}

#[test]
fn a_value_that_another_entry_has_is_refused_with_its_name() {
    let server = Server::start(unique("ldap:///ou=unique,dc=example,dc=com?mail,uid?sub"));
    let (mut client, branch) = server.branch("unique");
    let (one, two) = (add_person(&mut client, &branch, "one"), add_person(&mut client, &branch, "two"));
    add_rule(&mut client, &branch, &["mail+mozillaSecondEmail", "uid"]);
    client.modify(&one, &[(ADD, "mail", &["one@example.com"])]).expect(code::SUCCESS);
    // Equal by the attribute's rule, in the other attribute of the rule, by add and by modify.
    client.modify(&two, &[(ADD, "mail", &["ONE@example.com"])]).expect(code::CONSTRAINT_VIOLATION);
    if !Subject::current().is_slapd() {
        for (attribute, value) in [("mail", "ONE@example.com"), ("mozillaSecondEmail", "one@example.com")] {
            let classes =
                client.modify(&two, &[(ADD, "objectClass", &["mozillaAbPersonAlpha"]), (REPLACE, attribute, &[value])]);
            let refused = classes.expect(code::CONSTRAINT_VIOLATION);
            assert!(refused.diagnostic.contains(&one), "{}", refused.diagnostic);
        }
    }
    let three = format!("cn=three,{branch}");
    let attributes: [(&str, &[&str]); 3] =
        [("objectClass", &["inetOrgPerson"]), ("sn", &["Three"]), ("mail", &["one@example.com"])];
    client.add(&three, &attributes).expect(code::CONSTRAINT_VIOLATION);
    client
        .add(&format!("cn=four,{branch}"), &[("objectClass", &["inetOrgPerson"]), ("sn", &["x"]), ("uid", &["two"])])
        .expect(code::CONSTRAINT_VIOLATION);
    client.modify_dn(&two, "uid=one+cn=A Person", true, None).expect(code::CONSTRAINT_VIOLATION);
    // Its own value an entry may write again, and what is free anybody may take.
    client.modify(&one, &[(REPLACE, "mail", &["One@Example.com", "uno@example.com"])]).expect(code::SUCCESS);
    client.modify(&one, &[(DELETE, "mail", &["one@example.com"])]).expect(code::SUCCESS);
    client.add(&three, &attributes).expect(code::SUCCESS);
    // Outside the subtree nothing is asked, and what comes in is.
    let (_, other) = server.branch("unique-outside");
    let stranger = add_person(&mut client, &other, "one");
    // Both are so; slapd sees the value first.
    let expected = Subject::current().pick(code::ENTRY_ALREADY_EXISTS, code::CONSTRAINT_VIOLATION);
    client.modify_dn(&stranger, "uid=one", false, Some(&branch)).expect(expected);
    // slapd looks at the new RDN alone.
    let expected = Subject::current().pick(code::CONSTRAINT_VIOLATION, code::SUCCESS);
    client.modify_dn(&stranger, "cn=A Person", false, Some(&branch)).expect(expected);
}

/// The refusal tells that the value is taken to everybody, and by whom only to who may see that entry (T-22).
#[test]
fn who_holds_the_value_is_told_to_who_may_see_it_alone() {
    only_entente!(Diagnostic);
    let hidden = r#"(target = "ldap:///uid=bob,ou=people,dc=example,dc=com")(targetattr = "* || +")(version 3.0; acl "bob hides"; deny (all) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#;
    let read = r#"(targetattr = "*")(version 3.0; acl "read"; allow (read, search) userdn = "ldap:///all";)"#;
    let own = r#"(targetattr = "mail")(version 3.0; acl "own"; allow (write) userdn = "ldap:///self";)"#;
    let server = Server::start(Setup::default().with_access(&[hidden, read, own], ""));
    server.admin().modify(PEOPLE, &[(ADD, "uniqueAttribute", &["mail"])]).expect(code::SUCCESS);
    for (uid, other, sees) in [("ann", "carol", false), ("carol", "ann", true)] {
        let mut client = server.person(uid);
        let own = format!("uid={uid},{PEOPLE}");
        assert_eq!(client.search(&Search::base(BOB)).outcome.code == code::SUCCESS, sees, "{uid}");
        let refused = client.modify(&own, &[(ADD, "mail", &["bob@example.com"])]).expect(code::CONSTRAINT_VIOLATION);
        assert_eq!(refused.diagnostic.to_lowercase().contains("uid=bob"), sees, "{uid}: {}", refused.diagnostic);
        assert_eq!(refused.matched_dn, "", "{uid}");
        // The same for a value of an entry that both see.
        let taken = format!("{other}@example.com");
        let refused = client.modify(&own, &[(ADD, "mail", &[&taken])]).expect(code::CONSTRAINT_VIOLATION);
        assert!(refused.diagnostic.contains(&format!("uid={other}")), "{uid}: {}", refused.diagnostic);
    }
}

/// T-21: whoever may neither read nor search the attribute of an entry does not learn from the refusal that the entry has
/// the value; that some entry has it cannot be hidden. Tried by modify, by add, and by a move to below the rule.
#[test]
fn who_holds_the_value_is_told_to_who_may_read_or_search_it_alone() {
    only_entente!(Diagnostic);
    let rule = |target: &str, name: &str, rights: &str| {
        format!(
            r#"{target}(version 3.0; acl "{name}"; {rights} userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#
        )
    };
    let entry = |uid: &str, attribute: &str| {
        format!(r#"(target = "ldap:///uid={uid},ou=people,dc=example,dc=com")(targetattr = "{attribute}")"#)
    };
    let rules = [
        rule(r#"(targetattr = "*")"#, "all", "allow (all)"),
        // bob: nothing of it; carol: it can be found; dave: it can be seen; erin: not as the rule's other attribute.
        rule(&entry("bob", "mail"), "bob", "deny (read, search, compare)"),
        rule(&entry("carol", "mail"), "carol", "deny (read, compare)"),
        rule(&entry("dave", "mail"), "dave", "deny (search, compare)"),
        rule(&entry("erin", "mozillaSecondEmail"), "erin", "deny (read, search, compare)"),
    ];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let server = Server::start(Setup::default().with_access(&rules, ""));
    let mut admin = server.admin();
    add_person(&mut admin, PEOPLE, "erin");
    for uid in ["bob", "carol", "dave", "erin"] {
        let dn = format!("uid={uid},{PEOPLE}");
        if uid == "erin" {
            let second: [(i64, &str, &[&str]); 2] = [
                (ADD, "objectClass", &["mozillaAbPersonAlpha"]),
                (ADD, "mozillaSecondEmail", &["erin-taken@example.com"]),
            ];
            admin.modify(&dn, &second).expect(code::SUCCESS);
        } else {
            admin.modify(&dn, &[(REPLACE, "mail", &[&format!("{uid}-taken@example.com")])]).expect(code::SUCCESS);
        }
    }
    let (_, outside) = server.branch("unique-moved");
    let own = add_person(&mut admin, &outside, "moved");
    let below = add_person(&mut admin, &own, "below");
    admin.modify(PEOPLE, &[(ADD, "uniqueAttribute", &["mail+mozillaSecondEmail"])]).expect(code::SUCCESS);
    let mut ann = server.person("ann");
    for (uid, is_told) in [("bob", false), ("carol", true), ("dave", true), ("erin", false)] {
        let value = format!("{uid}-taken@example.com");
        let new = format!("cn=new,{PEOPLE}");
        let person: [(&str, &[&str]); 3] = [("objectClass", &["inetOrgPerson"]), ("sn", &["x"]), ("mail", &[&value])];
        admin.modify(&below, &[(REPLACE, "mail", &[&value])]).expect(code::SUCCESS);
        for (what, refused) in [
            ("modify", ann.modify(ANN, &[(ADD, "mail", &[&value])])),
            ("add", ann.add(&new, &person)),
            ("move", ann.modify_dn(&own, "uid=moved", false, Some(PEOPLE))),
        ] {
            let refused = refused.expect(code::CONSTRAINT_VIOLATION);
            let named = refused.diagnostic.contains(&format!("uid={uid},"));
            assert_eq!(named, is_told, "{what}, {uid}: {}", refused.diagnostic);
            assert_eq!(refused.diagnostic.contains("another entry has it"), !is_told, "{what}: {}", refused.diagnostic);
        }
    }
}

#[test]
fn a_rule_may_be_about_some_entries_only() {
    let uri = "ldap:///ou=unique-filter,dc=example,dc=com?employeeNumber?sub?(employeeType=staff)";
    let server = Server::start(unique(uri));
    let (mut client, branch) = server.branch("unique-filter");
    let (one, two) = (add_person(&mut client, &branch, "one"), add_person(&mut client, &branch, "two"));
    let rule = "employeeNumber (employeeType=staff)";
    add_rule(&mut client, &branch, &[rule]);
    client.modify(&one, &[(ADD, "employeeNumber", &["7"])]).expect(code::SUCCESS);
    client.modify(&two, &[(ADD, "employeeNumber", &["7"])]).expect(code::SUCCESS);
    client.modify(&one, &[(ADD, "employeeType", &["staff"])]).expect(code::SUCCESS);
    // slapd judges changes of the attribute itself.
    let expected = Subject::current().pick(code::CONSTRAINT_VIOLATION, code::SUCCESS);
    client.modify(&two, &[(ADD, "employeeType", &["staff"])]).expect(expected);
    only_entente_from_here!(Unserved);
    client
        .modify(&two, &[(ADD, "employeeType", &["staff"]), (REPLACE, "employeeNumber", &["8"])])
        .expect(code::SUCCESS);
}

#[test]
fn a_rule_that_cannot_be_kept_is_refused() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("unique-wrong");
    for rule in ["nosuch", "userPassword", "manager", "mail (uid="] {
        let refused = client.modify(&branch, &[(ADD, "uniqueAttribute", &[rule])]);
        refused.expect(code::INVALID_ATTRIBUTE_SYNTAX);
    }
}

/// What was shared before there was a rule is told, and does not keep the entries from being changed.
#[test]
fn values_shared_before_the_rule_are_listed_and_may_stay() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("unique-before");
    let (one, two) = (add_person(&mut client, &branch, "one"), add_person(&mut client, &branch, "two"));
    for dn in [&one, &two] {
        client.modify(dn, &[(ADD, "mail", &["shared@example.com"])]).expect(code::SUCCESS);
    }
    client.modify(&branch, &[(ADD, "uniqueAttribute", &["mail"])]).expect(code::SUCCESS);
    client.modify(&two, &[(REPLACE, "title", &["x"])]).expect(code::SUCCESS);
    let uuid = |client: &mut Client, dn: &str| client.read_attributes(dn, &["entryUUID"]).value("entryUUID");
    let (first, second) = (uuid(&mut client, &one), uuid(&mut client, &two));
    let flag = |client: &mut Client, dn: &str| {
        client.read_attributes(dn, &["replUniqueViolation"]).values("replUniqueViolation")
    };
    assert_eq!(flag(&mut client, &two), [format!("unique attribute=mail winner={first}")]);
    assert_eq!(flag(&mut client, &one), [format!("unique attribute=mail loser={second}")]);
    let sharers = |client: &mut Client, filter: &str| {
        let found = client.search(&Search::subtree(&branch, filter)).expect(code::SUCCESS);
        found.dns()
    };
    assert_eq!(sharers(&mut client, "(replUniqueViolation=*)"), [one.to_lowercase(), two.to_lowercase()]);
    assert_eq!(sharers(&mut client, "(!(replUniqueViolation=*))"), [branch.to_lowercase()]);
    assert!(sharers(&mut client, "(replSchemaViolation=*)").is_empty());
    let filter = format!("(&(conflictKind=unique-violation)(conflictEntry={two}))");
    let search = Search::base("cn=conflicts").scope(crate::support::request::ONE).filter(&filter);
    assert_eq!(client.search(&search).single().value("description"), format!("unique attribute=mail winner={first}"));
    client.modify(&two, &[(DELETE, "mail", &[])]).expect(code::SUCCESS);
    assert!(flag(&mut client, &one).is_empty());
    assert!(sharers(&mut client, "(replUniqueViolation=*)").is_empty());
    assert!(client.search(&search).expect(code::SUCCESS).entries.is_empty());
}

#[test]
fn what_comes_with_a_subtree_that_moves_is_judged_too() {
    only_entente!(Unserved);
    let (mut client, branch) = Server::shared().branch("unique-move");
    client.modify(&branch, &[(ADD, "uniqueAttribute", &["mail"])]).expect(code::SUCCESS);
    let there = add_person(&mut client, &branch, "there");
    client.modify(&there, &[(ADD, "mail", &["there@example.com"])]).expect(code::SUCCESS);
    let (_, outside) = Server::shared().branch("unique-move-outside");
    let team = format!("ou=team,{outside}");
    client.add(&team, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    let inner = format!("ou=inner,{team}");
    client.add(&inner, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    let (one, two) = (add_person(&mut client, &team, "one"), add_person(&mut client, &inner, "two"));
    client.modify(&two, &[(ADD, "mail", &["There@example.com"])]).expect(code::SUCCESS);
    // A value of an entry that is there.
    let refused = client.modify_dn(&team, "ou=team", true, Some(&branch)).expect(code::CONSTRAINT_VIOLATION);
    assert!(refused.diagnostic.contains(&two) && refused.diagnostic.contains(&there), "{}", refused.diagnostic);
    // A value of two entries that come together.
    for dn in [&one, &two] {
        client.modify(dn, &[(REPLACE, "mail", &["both@example.com"])]).expect(code::SUCCESS);
    }
    client.modify_dn(&team, "ou=team", true, Some(&branch)).expect(code::CONSTRAINT_VIOLATION);
    client.modify(&two, &[(REPLACE, "mail", &["two@example.com"])]).expect(code::SUCCESS);
    client.modify_dn(&team, "ou=team", true, Some(&branch)).expect(code::SUCCESS);
    // Within the subtree of the rule nothing is judged anew.
    client.modify_dn(&format!("ou=inner,ou=team,{branch}"), "ou=inner", true, Some(&branch)).expect(code::SUCCESS);
}

#[test]
fn a_rule_about_what_every_entry_shares_is_refused() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("unique-class");
    let refused =
        client.modify(&branch, &[(ADD, "uniqueAttribute", &["objectClass"])]).expect(code::CONSTRAINT_VIOLATION);
    assert!(refused.diagnostic.contains("identifies no entry"), "{}", refused.diagnostic);
}
