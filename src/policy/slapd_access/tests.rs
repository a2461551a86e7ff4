//! Rules in, ACI out; what they come to beside a real slapd is in `tests/peers/access_slapd.rs`.

use super::*;
use proptest::prelude::*;

fn translated(rules: &str) -> Translation {
    let text = format!("database mdb\nsuffix dc=x\n{rules}");
    translate(&Schema::builtin(), &text, None).unwrap()
}

fn texts(rules: &str) -> Vec<String> {
    let translation = translated(rules);
    assert_eq!((translation.refused, translation.logins), (Vec::new(), Vec::new()));
    translation.rules.iter().map(ToString::to_string).collect()
}

fn refusals(rules: &str) -> Vec<String> {
    translated(rules).refused.iter().map(ToString::to_string).collect()
}

fn errors(text: &str) -> Vec<String> {
    translate(&Schema::builtin(), text, None).unwrap_err().iter().map(ToString::to_string).collect()
}

const PASSWORDS: &str = "access to attrs=userPassword by self write by anonymous auth\n";

#[test]
fn who_may_write_an_attribute_may_not_rename() {
    let rules = texts(&format!("{PASSWORDS}access to * by users read"));
    let is_there = |text: &str| rules.iter().any(|rule| rule.contains(text));
    assert!(
        is_there(
            r#"(targetattr = "userPassword")(version 3.0; acl "slapd 1 2"; allow (read, search, compare, write) userdn = "ldap:///self";)"#
        ),
        "{rules:#?}"
    );
    assert!(is_there(r#"no renaming"; deny (write) userdn = "ldap:///anyone";)"#));
    assert!(is_there(
        r#"(targetattr != "userPassword")(version 3.0; acl "slapd 2"; allow (read, search, compare) userdn = "ldap:///all";)"#
    ));
}

#[test]
fn what_comes_first_is_taken_out_of_what_comes_later() {
    let rules = texts(&format!("{PASSWORDS}access to dn.subtree=ou=a,dc=x by users search\naccess to * by users read"));
    let outside = r#"(target != "ldap:///ou=a,dc=x")"#;
    assert!(rules.iter().any(|rule| rule.starts_with(outside) && rule.contains("allow (read, search)")), "{rules:#?}");
    // What may be searched and not read is not seen; to compare is left of it.
    let inside = rules.iter().filter(|rule| !rule.starts_with(outside) && rule.contains("\"ldap:///all\""));
    assert!(inside.clone().count() > 0 && inside.clone().all(|rule| !rule.contains("read")), "{rules:#?}");
}

/// Found by mutation: a filter may be written without its parentheses, and comes to stand inside of another.
#[test]
fn a_filter_without_parentheses_is_one_with_them() {
    let rest = "attrs=cn by users read\naccess to * by * search";
    let bare = texts(&format!("access to filter=objectClass=person {rest}"));
    assert_eq!(bare, texts(&format!("access to filter=(objectClass=person) {rest}")));
    assert!(bare.iter().any(|rule| rule.contains("(!(objectClass=person))")), "{bare:#?}");
}

#[test]
fn clauses_go_on_and_rules_break() {
    let one = "access to * by users read by anonymous break\naccess to * by anonymous auth by * search";
    let other = "access to * by users +rscxd by anonymous +0 break\naccess to * by anonymous +x continue by users write by * +d";
    assert_eq!(texts(one), texts(other));
}

#[test]
fn both_forms_of_configuration_are_read_alike() {
    let conf = "include /etc/ldap/schema/core.schema\naccess to dn.base=\"\" by * read\n\ndatabase mdb\nsuffix \"dc=x\"\n# a comment\n  goes on\naccess to attrs=userPassword\n  by self write\n  by anonymous auth\naccess to *\n\tby users read\n";
    let ldif = "dn: olcDatabase={-1}frontend,cn=config\nobjectClass: olcFrontendConfig\nolcAccess: {0}to dn.base=\"\" by * read\n\ndn: olcDatabase={1}mdb,cn=config\nobjectClass: olcMdbConfig\nolcSuffix: dc=x\nolcAccess: {1}to * by users read\nolcAccess: {0}to attrs=userPassword by self write by anony\n mous auth\n";
    let read = |text: &str| {
        let translation = translate(&Schema::builtin(), text, None).unwrap();
        assert_eq!(translation.refused, []);
        (translation.suffix.to_string(), translation.rules)
    };
    assert_eq!(read(conf), read(ldif));
}

#[test]
fn what_no_rule_here_says_is_refused_by_its_line() {
    for (rule, word) in [
        ("access to * by domain.subtree=x{y read", "no host name"),
        ("access to * by domain=x.*.y read", "no host name"),
        ("access to attrs=mail val.regex=@x$ by users read", "val.regex"),
        ("access to dn.regex=\"^(uid|cn)=.*,dc=x$\" by users read", "regular expression"),
        ("access to * by set=\"user/manager & this\" read", "sets"),
        ("access to * by sockname=IP=127.0.0.1 read", "address"),
        ("access to * by users =ra", "added and not deleted"),
        ("access to attrs=member by users selfread", "own name"),
        (
            "access to dn.one=dc=x attrs=children by users write\naccess to * by users read\naccess to * by users read",
            "further below",
        ),
    ] {
        let told = refusals(&format!("{PASSWORDS}{rule}\naccess to * by users write"));
        assert!(told.iter().any(|told| told.contains(word) && told.contains("line 4")), "{rule}: {told:#?}");
    }
}

#[test]
fn what_is_refused_gives_nobody_more() {
    // Who fits the set would get nothing: so nobody else gets anything, for all may fit.
    let hidden =
        translated("access to attrs=userPassword by anonymous auth\naccess to * by set=\"user/x\" none by users read");
    assert!(!hidden.refused.is_empty());
    assert!(hidden.rules.iter().all(|rule| !rule.to_string().contains("allow")), "{:#?}", hidden.rules);
    // Who fits the set would get more: what all get is kept.
    let more =
        translated("access to attrs=userPassword by anonymous auth\naccess to * by set=\"user/x\" write by users read");
    let texts: Vec<String> = more.rules.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.contains("allow (read, search, compare) userdn = \"ldap:///all\"")),
        "{texts:#?}"
    );
    assert!(texts.iter().all(|text| !text.contains("allow (write)") && !text.contains("add")), "{texts:#?}");
}

/// slapd.access(5): `group/groupOfURLs/memberURL` judges the requester by the search; groupdn knows such groups.
#[test]
fn groups_by_search_are_groups() {
    let listed = texts(&format!("{PASSWORDS}access to * by group=\"cn=g,dc=x\" write by users read"));
    for path in ["groupOfURLs/memberURL", "groupOfURLs/memberURL.exact", "groupOfURLs/member", "x/memberurl"] {
        let searched = texts(&format!("{PASSWORDS}access to * by group/{path}=\"cn=g,dc=x\" write by users read"));
        assert_eq!(searched, listed, "{path}");
    }
    let refused = refusals("access to * by group/groupOfURLs/labeledURI=\"cn=g,dc=x\" read").join("");
    assert!(refused.contains("member, uniqueMember and memberURL"), "{refused}");
}

#[test]
fn rules_that_keep_people_from_logging_in_are_told() {
    let translation = translated("access to * by users read");
    assert!(
        translation.logins.iter().any(|problem| problem.detail.contains("userPassword")),
        "{:?}",
        translation.logins
    );
    assert_eq!(translated(&format!("{PASSWORDS}access to * by users read")).logins, []);
}

#[test]
fn faults_are_told_with_their_line() {
    let of = |rule: &str| errors(&format!("database mdb\nsuffix dc=x\n{rule}")).join("\n");
    for (rule, word) in [
        ("access to", "after to"),
        ("access from * by * read", "expected to"),
        ("access to *", "expected by"),
        ("access to * by users reed", "reed"),
        ("access to * by nobody read", "nobody"),
        ("access to attrs=nosuchthing by users read", "nosuchthing"),
        ("access to filter=(a by users read", "filter"),
        ("access to * by dn.exact=nonsense read", "nonsense"),
        ("access to * by users read \"", "quotation mark"),
        ("include /etc/ldap/more.conf", "in the place of this line"),
    ] {
        let told = of(rule);
        assert!(told.contains(word) && told.contains("line 3"), "{rule}: {told}");
    }
    assert!(errors("access to * by * read").join("").contains("--suffix"));
    assert!(errors("database mdb\nsuffix dc=x\ndatabase mdb\nsuffix dc=y").join("").contains("dc=x; dc=y"));
}

#[test]
fn every_rule_that_comes_out_is_read_back() {
    let rules = format!(
        "{PASSWORDS}access to dn.regex=\"^(.+,)?uid=([^,]+),ou=p,dc=x$\" attrs=cn,entry by dn.exact,expand=\"uid=$2,ou=p,dc=x\" write by peername.ip=10.0.0.0%255.0.0.0 read\n\
         access to dn.one=ou=p,dc=x filter=(title=a*b) attrs=cn,mail by dnattr=manager write by domain.subtree=example.com ssf=128 read\n\
         access to * by group.exact=\"cn=a,dc=x\" write by dn.one=\"ou=p,dc=x\" read"
    );
    let translation = translated(&rules);
    assert!(translation.rules.len() > 5);
    for rule in &translation.rules {
        assert_eq!(Aci::parse(&rule.to_string()).as_ref(), Ok(rule));
    }
}

/// Words of which rules are made, right and wrong.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "access",
        "to",
        "by",
        "*",
        "users",
        "self",
        "anonymous",
        "read",
        "write",
        "none",
        "break",
        "continue",
        "stop",
        "=rw",
        "+a",
        "-z",
        "selfwrite",
        "attrs=cn,@person",
        "attrs=!person,entry",
        "attrs=children",
        "dn.subtree=ou=a,dc=x",
        "dn.one=dc=x",
        "dn.regex=^(.+,)?uid=([^,]+),dc=x$",
        "dn.exact,expand=uid=$2,dc=x",
        "filter=(cn=a)",
        "dnattr=manager",
        "group=cn=g,dc=x",
        "peername.ip=10.0.0.1",
        "ssf=1",
        "set=user",
        "val=x",
        "\"",
        "\\",
        "\n",
        "\n ",
        "#",
        "database mdb",
        "suffix dc=x",
        "\ndn: olcDatabase={1}mdb,cn=config\nolcSuffix: dc=x\nolcAccess: {0}to",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => ".{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever is given, an answer comes, and what comes out is a rule.
    #[test]
    fn no_text_is_too_much(words in prop::collection::vec(word(), 0..40)) {
        let text = format!("database mdb\nsuffix dc=x\naccess to {}", words.join(" "));
        if let Ok(translation) = translate(&Schema::builtin(), &text, None) {
            for rule in &translation.rules {
                let read = Aci::parse(&rule.to_string());
                prop_assert_eq!(read.as_ref(), Ok(rule));
            }
        }
    }
}
