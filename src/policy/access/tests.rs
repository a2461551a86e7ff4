//! Decisions in words, and a comparison with a naive evaluator over generated rules (`matrix`).

mod matrix;
mod reference;
mod world;

use super::*;
use crate::policy::rights::Right;
use world::{Entry, Person, SCHEMA};

const ANN: &str = "uid=ann,ou=people,dc=x";
const BOB: &str = "uid=bob,ou=people,dc=x";

fn compiler() -> AccessCompiler {
    AccessCompiler::new(Arc::clone(&SCHEMA))
}

fn compile(rules: &[&str]) -> Arc<CompiledRules> {
    Arc::new(compiler().compile("dc=x", rules.iter().map(|rule| rule.as_bytes())))
}

/// Rights of `person` on `entry` under rules that stand at `dc=x`.
fn rights(rules: &[&str], person: &str, entry: &'static str, right: Right) -> AttributeRights {
    let person = Person::new(person);
    let access = compiler().for_requester(&[compile(rules)], &person.context(), &person);
    access.entry(&Entry(entry), &person).rights(right).into_owned()
}

fn may(rules: &[&str], person: &str, entry: &'static str, right: Right, attribute: &str) -> bool {
    rights(rules, person, entry, right).for_attribute(SCHEMA.attribute_type(attribute).unwrap().index)
}

const READ_ALL: &str = r#"(targetattr="*")(version 3.0; acl "all"; allow (read) userdn="ldap:///anyone";)"#;
const DENY_CN: &str = r#"(targetattr="cn")(version 3.0; acl "no cn"; deny (read) userdn="ldap:///anyone";)"#;

#[test]
fn without_a_rule_nobody_but_the_administrator_may_anything() {
    for right in Right::ALL {
        assert!(rights(&[], "ann", ANN, right).is_nothing());
        let all = rights(&[], "admin", ANN, right);
        assert!(all.for_entry() && all.for_all_user() && all.for_all_operational() && all.for_unknown());
    }
}

#[test]
fn deny_beats_allow_and_does_not_bind_the_administrator() {
    assert!(may(&[READ_ALL], "ann", BOB, Right::Read, "cn"));
    assert!(!may(&[READ_ALL, DENY_CN], "ann", BOB, Right::Read, "cn"));
    assert!(!may(&[DENY_CN, READ_ALL], "ann", BOB, Right::Read, "cn"));
    assert!(may(&[READ_ALL, DENY_CN], "ann", BOB, Right::Read, "sn"));
    assert!(may(&[READ_ALL, DENY_CN], "admin", BOB, Right::Read, "cn"));
}

#[test]
fn star_is_user_attributes_and_plus_operational_ones() {
    let plus = r#"(targetattr="+")(version 3.0; acl "p"; allow (read) userdn="ldap:///anyone";)"#;
    let star = rights(&[READ_ALL], "nobody", BOB, Right::Read);
    assert!(star.for_all_user_but_secret() && !star.for_all_operational() && star.for_unknown());
    let plus_only = rights(&[plus], "nobody", BOB, Right::Read);
    assert!(!plus_only.for_all_user_but_secret() && plus_only.for_all_operational_but_secret());
    assert!(!plus_only.for_unknown());
    let both = rights(&[READ_ALL, plus], "nobody", BOB, Right::Read);
    assert!(both.for_all_user_but_secret() && both.for_all_operational_but_secret());
    assert!(!both.for_all_user() && !both.for_all_operational());
    let plain = SCHEMA.attribute_types().filter(|attribute| !attribute.is_secret()).count();
    assert_eq!(both.attributes().count(), plain);
    let denied = rights(&[READ_ALL, DENY_CN], "nobody", BOB, Right::Read);
    assert!(!denied.for_all_user_but_secret());
}

/// A rule of 389-DS that lets everybody read `*` would publish every password hash.
#[test]
fn secrets_are_disclosed_by_name_only() {
    let rule = |names: &str, right: &str| {
        format!(r#"(targetattr{names})(version 3.0; acl "s"; allow ({right}) userdn="ldap:///anyone";)"#)
    };
    for names in ["=\"*\"", "=\"* || +\"", "!=\"cn\"", "=\"userP*\""] {
        for right in [Right::Read, Right::Search, Right::Compare] {
            assert!(!may(&[&rule(names, right.word())], "ann", ANN, right, "userPassword"), "{names} {right}");
        }
        assert!(may(&[&rule(names, "write")], "ann", ANN, Right::Write, "userPassword"), "{names}");
    }
    assert!(may(&[&rule("=\"userPassword\"", "read")], "ann", ANN, Right::Read, "userPassword"));
    let all = rule("=\"* || userPassword\"", "read");
    let deny = r#"(targetattr="user*")(version 3.0; acl "d"; deny (read) userdn="ldap:///anyone";)"#;
    assert!(may(&[&all], "ann", ANN, Right::Read, "userPassword"));
    assert!(!may(&[&all, deny], "ann", ANN, Right::Read, "userPassword"));
}

#[test]
fn a_name_covers_its_subtypes() {
    let rule = r#"(targetattr="name")(version 3.0; acl "n"; allow (read) userdn="ldap:///anyone";)"#;
    assert!(may(&[rule], "nobody", BOB, Right::Read, "cn"));
    assert!(may(&[rule], "nobody", BOB, Right::Read, "name"));
    assert!(!may(&[rule], "nobody", BOB, Right::Read, "mail"));
}

/// An unreadable value may have been a deny: below its holder nothing is given until it is repaired.
#[test]
fn an_unreadable_rule_denies_everything() {
    let broken = "(targetattr=\"cn\")(version 3.0; acl \"b\"; deny (read) userdn=\"ldap:///cn\";)";
    assert!(rights(&[READ_ALL, broken], "ann", BOB, Right::Read).is_nothing());
    assert!(rights(&[READ_ALL, broken], "admin", BOB, Right::Read).for_all_user_but_secret());
    let compiled = compile(&[READ_ALL, broken]);
    assert_eq!(compiled.problems().len(), 1);
    assert!(compiled.problems()[0].is_fatal && compiled.problems()[0].detail.contains("is not a DN"));
}

#[test]
fn problems_name_what_has_no_effect() {
    let rules = [
        r#"(targetattr="cn || noSuchAttribute")(version 3.0; acl "a"; allow (read) userdn="ldap:///all";)"#,
        r#"(target="ldap:///dc=other")(targetattr="cn")(version 3.0; acl "b"; allow (read) dns="h*.example";)"#,
    ];
    let compiled = compile(&rules);
    let details: Vec<_> = compiled.problems().iter().map(|problem| problem.detail.as_str()).collect();
    assert_eq!(details.len(), 3);
    assert!(details[0].contains("noSuchAttribute") && details[1].contains("fits no host"));
    assert!(details[2].contains("not below the entry"));
    assert!(compiled.problems().iter().all(|problem| !problem.is_fatal));
}

/// So that an added entry cannot name its own author as manager and thereby let itself be added.
#[test]
fn userattr_of_the_entry_itself_never_allows_adding_it() {
    let rule = r#"(targetattr="*")(version 3.0; acl "m"; allow (add, write) userattr="manager#USERDN";)"#;
    let inherited = r#"(version 3.0; acl "m"; allow (add) userattr="parent[0,1].manager#USERDN";)"#;
    assert!(rights(&[rule], "bob", ANN, Right::Write).for_entry());
    assert!(!rights(&[rule], "bob", ANN, Right::Add).for_entry());
    assert!(rights(&[inherited], "carol", ANN, Right::Add).for_entry());
    assert!(!rights(&[inherited], "bob", ANN, Right::Add).for_entry());
}

#[test]
fn a_host_whose_name_is_not_known_is_given_nothing_and_denied_everything() {
    let allow = r#"(targetattr="*")(version 3.0; acl "d"; allow (read) dns="*.example.com";)"#;
    let not = r#"(targetattr="*")(version 3.0; acl "d"; allow (read) dns!="*.example.com";)"#;
    let deny = r#"(targetattr="*")(version 3.0; acl "d"; deny (read) dns!="*.example.com";)"#;
    assert!(rights(&[allow], "ann", BOB, Right::Read).is_nothing());
    assert!(rights(&[not], "ann", BOB, Right::Read).is_nothing());
    assert!(rights(&[READ_ALL, deny], "ann", BOB, Right::Read).is_nothing());
}

#[test]
fn a_dns_test_asks_for_the_name_of_the_clients_host() {
    let test = |bind: &str| format!(r#"(targetattr="sn")(version 3.0; acl "d"; allow (read) {bind};)"#);
    for (host, bind, fits) in [
        ("mail.example.com", r#"dns="*.example.com""#, true),
        ("a.b.example.com", r#"dns="*.Example.com""#, true),
        ("example.com", r#"dns="*.example.com""#, false),
        ("myexample.com", r#"dns="*.example.com""#, false),
        ("mail.example.com", r#"dns="mail.example.com.""#, true),
        ("mail.example.com", r#"dns="mail.example""#, false),
        ("mail.example.com", r#"dns="a.example || mail.example.com""#, true),
        ("mail.example.com", r#"dns!="*.example.com""#, false),
        ("mail.example.net", r#"dns!="*.example.com""#, true),
        ("mail.example.net", r#"dns="*""#, true),
        ("mail.example.net", r#"dns="m*.example.net""#, false),
        ("mail.example.net", r#"not dns="*.example.com" and userdn="ldap:///anyone""#, true),
    ] {
        let mut ann = Person::new("ann");
        ann.requester.host = Some(host.into());
        let rules = compile(&[&test(bind)]);
        assert!(rules.asks_for_host());
        let access = compiler().for_requester(&[rules], &ann.context(), &ann);
        assert_eq!(!access.entry(&Entry(BOB), &ann).rights(Right::Read).is_nothing(), fits, "{host} {bind}");
    }
    assert!(!compile(&[READ_ALL]).asks_for_host());
}

#[test]
fn rights_that_depend_on_no_entry_are_answered_once() {
    let own = r#"(targetattr="telephoneNumber")(version 3.0; acl "o"; allow (write) userdn="ldap:///self";)"#;
    let ann = Person::new("ann");
    let access = compiler().for_requester(&[compile(&[READ_ALL, DENY_CN, own])], &ann.context(), &ann);
    assert!(access.same_for_all(Right::Read).is_some_and(|rights| !rights.for_all_user_but_secret()));
    assert!(access.same_for_all(Right::Write).is_none());
    assert!(!access.is_entry_independent());
    let mut decision = access.entry(&Entry(BOB), &ann);
    assert!(matches!(decision.rights(Right::Read), Cow::Borrowed(_)));
    // For somebody without an entry nothing depends on one.
    let nobody = Person::new("nobody");
    let access = compiler().for_requester(&[compile(&[READ_ALL, own])], &nobody.context(), &nobody);
    assert!(access.is_entry_independent());
    assert!(access.same_for_all(Right::Write).is_some_and(AttributeRights::is_nothing));
    // An entry-dependent rule that can change nothing does not cost the shortcut.
    let own_read = r#"(targetattr="cn")(version 3.0; acl "o"; allow (read) userdn="ldap:///self";)"#;
    let access = compiler().for_requester(&[compile(&[READ_ALL, own_read])], &ann.context(), &ann);
    assert!(access.is_entry_independent());
}

#[test]
fn rules_with_times_say_so() {
    let night = r#"(targetattr="*")(version 3.0; acl "n"; allow (read) timeofday > "1800" or dayofweek = "sun";)"#;
    let ann = Person::new("ann");
    let access = compiler().for_requester(&[compile(&[night])], &ann.context(), &ann);
    assert!(access.depends_on_time() && access.same_for_all(Right::Read).is_some_and(AttributeRights::is_nothing));
    let access = compiler().for_requester(&[compile(&[READ_ALL])], &ann.context(), &ann);
    assert!(!access.depends_on_time());
}

#[test]
fn an_explanation_names_the_rule_that_decides() {
    let person = Person::new("ann");
    let rules = [compile(&[READ_ALL, DENY_CN])];
    let cn = SCHEMA.attribute_type("cn").unwrap().index;
    let explain =
        |attribute, right| compiler().explain(&rules, &person.context(), &person, &Entry(BOB), (right, attribute));
    let denied = explain(Some(cn), Right::Read);
    assert_eq!(denied.outcome, Outcome::DeniedBy(1));
    assert!(denied.to_string().starts_with("read: denied by \"no cn\"\n  allow \"all\" of dc=x applies"));
    let mail = SCHEMA.attribute_type("mail").unwrap().index;
    let allowed = explain(Some(mail), Right::Read);
    assert_eq!((allowed.outcome, allowed.rules[1].verdict), (Outcome::AllowedBy(0), RuleVerdict::OtherAttribute));
    let nothing = explain(Some(cn), Right::Write);
    assert_eq!((nothing.outcome, nothing.rules[0].verdict), (Outcome::NothingAllows, RuleVerdict::OtherRight));
    assert_eq!(explain(None, Right::Read).outcome, Outcome::NothingAllows);
}

#[test]
fn rules_of_the_root_are_about_the_root_alone() {
    let person = Person::new("ann");
    let rules = Arc::new(compiler().compile("", [READ_ALL.as_bytes()]));
    let access = compiler().for_requester(&[rules], &person.context(), &person);
    assert!(access.entry(&Entry(BOB), &person).rights(Right::Read).is_nothing());
    assert!(access.entry(&Entry(""), &person).rights(Right::Read).for_all_user_but_secret());
}

#[test]
fn a_url_in_an_attribute_finds_the_requester() {
    let rule = r#"(targetattr="*")(version 3.0; acl "u"; allow (read) userdn="ldap:///ou=people,dc=x??one?(employeeType=boss)";)"#;
    assert!(rights(&[rule], "bob", ANN, Right::Read).for_all_user_but_secret());
    assert!(rights(&[rule], "ann", ANN, Right::Read).is_nothing());
    assert!(rights(&[rule], "nobody", ANN, Right::Read).is_nothing());
}

#[test]
fn search_and_read_together_are_what_both_give() {
    let search = r#"(targetattr="cn || mail")(version 3.0; acl "s"; allow (search) userdn="ldap:///anyone";)"#;
    let read = rights(&[READ_ALL, DENY_CN, search], "ann", BOB, Right::Read);
    let search = rights(&[READ_ALL, DENY_CN, search], "ann", BOB, Right::Search);
    let both = read.both(&search);
    let names: Vec<_> = both.attributes().map(|index| SCHEMA.attribute_type_at(index).name()).collect();
    assert_eq!(names, ["mail"]);
    assert!(!both.for_all_user() && !both.is_no_attribute());
}

#[test]
fn local_time_is_taken_from_unix_time() {
    let thursday = LocalTime::from_unix_ms(0, 0);
    assert_eq!((thursday.minute_of_day, thursday.day), (0, Day::Thursday));
    let before = LocalTime::from_unix_ms(0, -3_600);
    assert_eq!((before.minute_of_day, before.day), (23 * 60, Day::Wednesday));
    // 2026-11-22 12:34 UTC, a Sunday.
    let sunday = LocalTime::from_unix_ms(1_795_350_840_000, 0);
    assert_eq!((sunday.minute_of_day, sunday.day), (12 * 60 + 34, Day::Sunday));
    let _ = LocalTime::from_unix_ms(u64::MAX, i32::MIN);
}

/// The rules that `init` and the example write mean what their comments say.
#[test]
fn shipped_rules_give_contacts_and_never_passwords() {
    let rules_of = |ldif: &str| -> Vec<String> {
        let unfolded = ldif.replace("\n ", "");
        let first_entry = unfolded.split("\n\n").find(|record| record.contains("\naci: ")).unwrap().to_owned();
        let rules = first_entry.lines().filter_map(|line| line.strip_prefix("aci: "));
        rules.map(|rule| rule.replace("dc=example,dc=com", "dc=x")).collect()
    };
    let bootstrap = rules_of(include_str!("../../../ldif/bootstrap.ldif"));
    let example = rules_of(include_str!("../../../ldif/example.ldif"));
    for (rules, is_public) in [(&bootstrap, false), (&example, true)] {
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        assert_eq!(compile(&rules).problems(), []);
        for attribute in ["cn", "mail", "telephoneNumber", "jpegPhoto", "title", "objectClass"] {
            for right in [Right::Read, Right::Search, Right::Compare] {
                assert_eq!(may(&rules, "nobody", BOB, right, attribute), is_public, "{attribute}");
                assert!(may(&rules, "ann", BOB, right, attribute), "{attribute}");
            }
        }
        for person in ["nobody", "ann", "bob"] {
            for attribute in SCHEMA.attribute_types().filter(|attribute| attribute.is_secret()) {
                for right in [Right::Read, Right::Search, Right::Compare] {
                    assert!(!may(&rules, person, ANN, right, attribute.name()), "{person} {}", attribute.name());
                }
            }
            assert!(!may(&rules, person, ANN, Right::Read, "aci"));
            let notes = ["entryUUID", "createTimestamp", "modifyTimestamp", "hasSubordinates", "memberOf", "nsRole"];
            for attribute in notes {
                let expected = is_public || person != "nobody";
                assert_eq!(may(&rules, person, ANN, Right::Read, attribute), expected, "{person} {attribute}");
            }
        }
        for attribute in ["telephoneNumber", "jpegPhoto", "userPassword"] {
            assert!(may(&rules, "ann", ANN, Right::Write, attribute));
            assert!(!may(&rules, "ann", BOB, Right::Write, attribute));
            assert!(!may(&rules, "nobody", ANN, Right::Write, attribute));
        }
        assert!(!may(&rules, "ann", ANN, Right::Write, "cn"));
        assert!(!may(&rules, "ann", ANN, Right::Write, "aci"));
        assert!(rights(&rules, "ann", ANN, Right::Delete).is_nothing());
    }
}
