//! Access rules (ACI 3.0) as clients meet them; the same rules in slapd's words prove the cases.
//!
//! An attribute that one may not read is Undefined in filters; an entry that one may not see answers like an absent one.

use crate::support::request::{self, ADD, Control, DELETE, ONE, REPLACE, Search};
use crate::support::server::{ADMIN, SUFFIX, Server, Setup, Subject};
use crate::support::{code, oid};
use crate::{ANN, BOB, GROUPS, PEOPLE};

/// slapd's first rule.
const PASSWORDS: &str = "access to attrs=userPassword by self =xw by anonymous auth by * none\n";

/// A set-up with these rules; slapd's always let people authenticate.
fn with(aci: &[&str], slapd: &str) -> Server {
    let access = format!("{PASSWORDS}{slapd}\n");
    Server::start(Setup::default().with_access(aci, &access))
}

const ANYONE_READS: &str = r#"(targetattr != "userPassword")(version 3.0; acl "anyone"; allow (read, search, compare) userdn = "ldap:///anyone";)"#;
const USERS_READ: &str = r#"(targetattr != "userPassword")(version 3.0; acl "users"; allow (read, search, compare) userdn = "ldap:///all";)"#;

#[test]
fn without_rules_anonymous_sees_the_root_and_the_schema_only() {
    let server = with(&[USERS_READ], "access to * by users read by * none");
    let mut client = server.anonymous();
    client.read_attributes("", &["*", "+"]);
    client.read_attributes("cn=Subschema", &["objectClasses"]);
    for base in [SUFFIX, PEOPLE, ANN] {
        assert!(client.search(&Search::base(base)).entries.is_empty(), "{base}");
    }
    assert!(client.search(&Search::subtree(SUFFIX, "(uid=ann)")).entries.is_empty());
    assert_eq!(server.person("bob").names(PEOPLE, "(uid=ann)"), ["ann"]);
}

/// The name of the client's machine, confirmed by its address, decides; where there is none, neither `=` nor `!=` gives.
#[test]
fn the_name_of_the_clients_host_is_looked_up_for_rules_that_ask() {
    only_entente!(Access);
    let name = dns_lookup::lookup_addr(&std::net::Ipv4Addr::LOCALHOST.into()).ok();
    let allow =
        |bind: &str| format!(r#"(targetattr = "*")(version 3.0; acl "host"; allow (read, search, compare) {bind};)"#);
    let rules = ["people", "groups"].map(|branch| format!(r#"(target = "ldap:///ou={branch},{SUFFIX}")"#));
    let known = name.clone().unwrap_or_else(|| "localhost".to_owned());
    let [people, groups] = &rules;
    let server = with(
        &[
            &format!("{people}{}", allow(&format!(r#"dns = "mail.example.com || {known}""#))),
            &format!("{groups}{}", allow(&format!(r#"dns != "{known}""#))),
        ],
        "",
    );
    let mut client = server.anonymous();
    // Requests that are sent together are answered in their order, though the first waits for the name.
    let (first, second) = (client.send(&Search::base(PEOPLE).encode()), client.send(&Search::base(GROUPS).encode()));
    let (first, second) = (client.found_for(first), client.found_for(second));
    assert_eq!(first.entries.len(), usize::from(name.is_some()), "{name:?}");
    assert!(second.entries.is_empty());
    // A connection that changes who it is stays where it is.
    client.bind(ANN, "ann-secret").expect(code::SUCCESS);
    assert_eq!(client.search(&Search::base(PEOPLE)).entries.len(), usize::from(name.is_some()));
    assert!(client.search(&Search::base(GROUPS)).entries.is_empty());
}

/// hostile.md T-22.
#[test]
fn invisible_entry_answers_like_an_absent_one() {
    let server = with(&[USERS_READ], "access to * by users read by * none");
    let mut client = server.anonymous();
    let there = client.search(&Search::base(ANN)).outcome;
    let absent = client.search(&Search::base(format!("uid=nobody,{PEOPLE}"))).outcome;
    assert_eq!(
        (there.code, &there.matched_dn, &there.diagnostic),
        (absent.code, &absent.matched_dn, &absent.diagnostic)
    );
    there.expect(code::NO_SUCH_OBJECT);
    let there = client.compare(ANN, "sn", "Example");
    let absent = client.compare(&format!("uid=nobody,{PEOPLE}"), "sn", "Example");
    assert_eq!(
        (there.code, &there.matched_dn, &there.diagnostic),
        (absent.code, &absent.matched_dn, &absent.diagnostic)
    );
    let below = client.search(&Search::base(format!("cn=x,{ANN}"))).outcome;
    assert_eq!(below.matched_dn, "", "matchedDN must not name what may not be seen");
}

/// T-21: what may not be read is Undefined, so neither it nor its negation finds anybody.
#[test]
fn attribute_that_may_not_be_searched_is_undefined() {
    let server = with(
        &[
            r#"(targetattr != "userPassword || mobile || description")(version 3.0; acl "some"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
        ],
        "access to attrs=mobile,description by * none\naccess to * by * read",
    );
    let mut client = server.anonymous();
    for filter in [
        "(mobile=*)",
        "(mobile=+15550200)",
        "(!(mobile=*))",
        "(!(description=likes maps))",
        "(description=l*)",
        "(&(uid=ann)(mobile=*))",
        "(userPassword=*)",
        "(!(userPassword=*))",
    ] {
        assert!(client.names(PEOPLE, filter).is_empty(), "{filter}");
    }
    assert_eq!(client.names(PEOPLE, "(|(uid=ann)(mobile=*))"), ["ann"]);
    let entry = client.read(ANN);
    assert!(entry.has("cn") && !entry.has("mobile") && !entry.has("description"), "{entry:?}");
    assert!(!client.read_attributes(ANN, &["mobile"]).has("mobile"));
    assert!(!client.search(&Search::base(ANN).types_only()).single().has("mobile"));
    let compared = client.compare(ANN, "mobile", "+1 555 0200");
    compared.expect_one_of(&[code::INSUFFICIENT_ACCESS_RIGHTS, code::NO_SUCH_ATTRIBUTE]);
    // The administrator is bound by no rule.
    assert_eq!(server.admin().names(PEOPLE, "(mobile=*)"), ["ann"]);
}

#[test]
fn self_rule_lets_people_write_their_own_entry_only() {
    let server = with(
        &[
            ANYONE_READS,
            r#"(targetattr = "telephoneNumber || mobile")(version 3.0; acl "self"; allow (write) userdn = "ldap:///self";)"#,
        ],
        "access to attrs=telephoneNumber,mobile by self write by * read\naccess to * by * read",
    );
    let mut client = server.person("ann");
    client.modify(ANN, &[(REPLACE, "mobile", &["+1 555 9999"])]).expect(code::SUCCESS);
    client.modify(ANN, &[(REPLACE, "title", &["Queen"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    client.modify(BOB, &[(REPLACE, "mobile", &["+1 555 9999"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    // One forbidden modification forbids the whole list.
    let list: [(i64, &str, &[&str]); 2] = [(REPLACE, "mobile", &["+1"]), (REPLACE, "title", &["Queen"])];
    client.modify(ANN, &list).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    assert_eq!(client.read(ANN).value("mobile"), "+1 555 9999");
}

#[test]
fn group_rule_lets_its_members_in_and_follows_the_group() {
    let server = with(
        &[
            ANYONE_READS,
            r#"(target = "ldap:///ou=people,dc=example,dc=com")(targetattr = "*")(version 3.0; acl "staff"; allow (write, add, delete) groupdn = "ldap:///cn=staff,ou=groups,dc=example,dc=com";)"#,
        ],
        "access to dn.subtree=\"ou=people,dc=example,dc=com\" by group/groupOfNames/member=\"cn=staff,ou=groups,dc=example,dc=com\" write by * read\naccess to * by * read",
    );
    let mut ann = server.person("ann");
    ann.modify(BOB, &[(REPLACE, "title", &["Baker"])]).expect(code::SUCCESS);
    let dn = crate::add_person(&mut ann, PEOPLE, "new");
    ann.delete(&dn).expect(code::SUCCESS);
    ann.modify(&format!("cn=staff,{GROUPS}"), &[(ADD, "description", &["x"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    let mut carol = server.person("carol");
    carol.modify(BOB, &[(REPLACE, "title", &["Thief"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    // She joins, and may from then on, on the connection that stands already.
    server
        .admin()
        .modify(&format!("cn=staff,{GROUPS}"), &[(ADD, "member", &[&format!("uid=carol,{PEOPLE}")])])
        .expect(code::SUCCESS);
    carol.modify(BOB, &[(REPLACE, "title", &["Builder"])]).expect(code::SUCCESS);
}

#[test]
fn target_limits_a_rule_to_a_subtree() {
    let server = with(
        &[
            r#"(target = "ldap:///ou=groups,dc=example,dc=com")(targetattr = "*")(version 3.0; acl "groups"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
        ],
        "access to dn.subtree=\"ou=groups,dc=example,dc=com\" by * read\naccess to * by * none",
    );
    let mut client = server.anonymous();
    assert_eq!(client.names(GROUPS, "(cn=staff)"), ["staff"]);
    client.search(&Search::base(PEOPLE)).expect(code::NO_SUCH_OBJECT);
}

#[test]
fn target_filter_limits_a_rule_to_entries_of_a_kind() {
    let server = with(
        &[
            r#"(targetfilter = "(objectClass=posixAccount)")(targetattr != "userPassword")(version 3.0; acl "unix"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
            r#"(target = "ldap:///ou=people,dc=example,dc=com")(targetfilter = "(ou=people)")(targetattr = "*")(version 3.0; acl "branch"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
        ],
        "access to filter=(objectClass=posixAccount) by * read\naccess to dn.base=\"ou=people,dc=example,dc=com\" by * read\naccess to * by * none",
    );
    let mut client = server.anonymous();
    assert_eq!(client.names(PEOPLE, "(uid=*)"), ["bob", "carol"]);
    client.search(&Search::base(ANN)).expect(code::NO_SUCH_OBJECT);
}

/// In ACI a deny wins over every allow.
#[test]
fn deny_wins_over_allow() {
    let server = with(
        &[
            ANYONE_READS,
            r#"(targetattr = "telephoneNumber")(version 3.0; acl "not bob"; deny (read, search, compare) userdn = "ldap:///uid=bob,ou=people,dc=example,dc=com";)"#,
        ],
        "access to attrs=telephoneNumber by dn.base=\"uid=bob,ou=people,dc=example,dc=com\" none by * read\naccess to * by * read",
    );
    assert!(!server.person("bob").read(ANN).has("telephoneNumber"));
    assert!(server.person("carol").read(ANN).has("telephoneNumber"));
    assert!(server.person("bob").names(PEOPLE, "(telephoneNumber=*)").is_empty());
}

/// Search without read: found, but nothing shown; read without search: shown when found by other means.
#[test]
fn search_and_read_are_rights_of_their_own() {
    let server = with(
        &[
            r#"(targetattr != "userPassword || mobile")(version 3.0; acl "read"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
            r#"(targetattr = "mobile")(version 3.0; acl "search only"; allow (search) userdn = "ldap:///anyone";)"#,
        ],
        "access to attrs=mobile by * search\naccess to * by * read",
    );
    let mut client = server.anonymous();
    assert_eq!(client.names(PEOPLE, "(mobile=+15550200)"), ["ann"]);
    assert!(!client.read(ANN).has("mobile"));
}

/// T-16: what shapes an answer obeys the rules too.
#[test]
fn read_entry_controls_show_only_what_may_be_read() {
    let server = with(
        &[
            r#"(targetattr != "userPassword || mobile")(version 3.0; acl "read"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
            r#"(targetattr = "title || mobile")(version 3.0; acl "self"; allow (write) userdn = "ldap:///self";)"#,
        ],
        "access to attrs=mobile by self =w by * none\naccess to attrs=title by self write by * read\naccess to * by * read",
    );
    let mut client = server.person("ann");
    let outcome = client
        .with(Control::read_entry(oid::POST_READ, &["title", "mobile", "userPassword"]))
        .modify(ANN, &[(REPLACE, "title", &["Queen"])])
        .expect(code::SUCCESS);
    let text = String::from_utf8_lossy(&outcome.control(oid::POST_READ)).into_owned();
    assert!(text.contains("Queen") && !text.contains("555") && !text.contains("SSHA"), "{text}");
}

/// T-16, T-21: neither the values that are asked for, nor the place in a list, nor other people's rights tell what may not
/// be read.
#[test]
fn what_shapes_an_answer_tells_nothing_that_may_not_be_read() {
    let server = with(
        &[
            r#"(targetattr != "userPassword || mobile")(version 3.0; acl "read"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
        ],
        "access to attrs=mobile by * none\naccess to * by * read",
    );
    let mut client = server.person("bob");
    let asked = Search::base(ANN).attributes(&["mobile", "userPassword", "mail"]);
    for guess in ["(mobile=*)", "(mobile=+15550200)", "(mobile=+1*)", "(userPassword=*)"] {
        let entry = client.with(Control::matched_values(&[guess])).search(&asked).single();
        assert!(!entry.has("mobile") && !entry.has("userPassword"), "{guess}: {entry:?}");
    }
    // An assertion is judged as a filter is.
    client
        .with(Control::assertion("(mobile=*)"))
        .modify(ANN, &[(REPLACE, "title", &["x"])])
        .expect_one_of(&[code::ASSERTION_FAILED, code::INSUFFICIENT_ACCESS_RIGHTS]);
    // slapd sorts by what may not be read.
    only_entente_from_here!(Unserved);
    // Where an entry would stand by what may not be read, is not told: all stand alike, and the second key decides.
    let everybody = Search::subtree(PEOPLE, "(uid=*)").attributes(&["uid"]);
    let mut list = |keys: &[&str]| {
        let found = client.with(Control::sort(keys)).with(Control::view_at(0, 2, 1, 0)).search(&everybody);
        found.expect(code::SUCCESS).dns()
    };
    assert_eq!(list(&["mobile", "uid"]), list(&["uid"]));
    assert_eq!(list(&["-mobile", "uid"]), list(&["uid"]));
    let subject = Control::critical(oid::EFFECTIVE_RIGHTS, Some(format!("dn:{ANN}").into_bytes()));
    client.with(subject).search(&Search::base(ANN)).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
}

/// T-22: every operation answers alike about what is not there and what may not be seen, to the byte.
#[test]
fn every_operation_answers_alike_about_the_invisible_and_the_absent() {
    let server = with(
        &[
            r#"(target = "ldap:///ou=groups,dc=example,dc=com")(targetattr = "*")(version 3.0; acl "groups"; allow (read, search, compare, write, add, delete) userdn = "ldap:///all";)"#,
        ],
        "access to dn.subtree=\"ou=groups,dc=example,dc=com\" by users write by * none\naccess to * by * none",
    );
    let mut client = server.person("carol");
    // As long as the name that is there.
    let absent = "uid=nun,ou=people,dc=example,dc=com";
    let mut answers = |dn: &str| {
        let requests = [
            Search::base(dn).encode(),
            Search::base(dn).scope(ONE).encode(),
            request::compare(dn, "sn", b"x"),
            request::modify(dn, &[(REPLACE, "title", &["x"])]),
            request::delete(dn),
            request::modify_dn(dn, "uid=other", true, None),
            request::modify_dn(dn, "uid=other", true, Some(GROUPS)),
            request::add(&format!("cn=x,{dn}"), &[("objectClass", &["device"]), ("cn", &["x"])]),
            request::modify_dn(&format!("cn=staff,{GROUPS}"), "cn=staff", false, Some(dn)),
        ];
        requests.map(|operation| {
            let outcome = client.perform(&operation);
            (outcome.code, outcome.matched_dn, outcome.diagnostic)
        })
    };
    let (hidden, missing) = (answers(BOB), answers(absent));
    // slapd's answers to changes tell them apart.
    assert_eq!(hidden[..3], missing[..3]);
    only_entente_from_here!(Unserved);
    assert_eq!(hidden, missing);
    assert!(hidden.iter().all(|(code, matched, _)| *code == code::NO_SUCH_OBJECT && matched.is_empty()), "{hidden:?}");
}

/// Rules live in the tree: changed over LDAP they hold from the next request on.
#[test]
fn changed_rule_holds_from_the_next_request_on() {
    let access = format!("{PASSWORDS}access to * by users read by * none\n");
    let config = format!("database config\nrootdn {ADMIN}\n");
    let server = Server::start(Setup::default().with_access(&[USERS_READ], &access).with_slapd_global(&config));
    // The second of its rules, behind the one about passwords.
    let change = |aci: &str, slapd: &str| {
        let replaced: [(i64, &str, &[&str]); 2] =
            [(DELETE, "olcAccess", &["{1}"]), (ADD, "olcAccess", &[&format!("{{1}}to * {slapd}")])];
        let outcome = match Subject::current() {
            Subject::Entente => server.admin().modify(SUFFIX, &[(REPLACE, "aci", &[aci])]),
            Subject::Slapd => server.admin().modify("olcDatabase={1}mdb,cn=config", &replaced),
        };
        outcome.expect(code::SUCCESS);
    };
    let mut client = server.anonymous();
    assert!(client.search(&Search::subtree(PEOPLE, "(uid=ann)")).entries.is_empty());
    change(ANYONE_READS, "by * read");
    assert_eq!(client.names(PEOPLE, "(uid=ann)"), ["ann"]);
    change(USERS_READ, "by users read by * none");
    assert!(client.search(&Search::subtree(PEOPLE, "(uid=ann)")).entries.is_empty());
}

/// A rule that cannot be read is refused when it is written, and says where it is wrong.
#[test]
fn malformed_rule_is_refused_when_written() {
    only_entente!(Access);
    let server = with(&[USERS_READ], "");
    for rule in [
        "nonsense",
        r#"(targetattr = "*")(version 3.0; acl "x"; allow (fly) userdn = "ldap:///anyone";)"#,
        r#"(targetattr = "*")(version 3.0; acl "x"; allow (read) userdn = "ldap:///anyone""#,
    ] {
        let outcome = server.admin().modify(SUFFIX, &[(ADD, "aci", &[rule])]);
        assert_ne!(outcome.code, code::SUCCESS, "{rule}: {outcome:?}");
        assert!(!outcome.diagnostic.is_empty());
    }
    // What is known and not served is refused with what to write instead.
    for (subject, advice) in [
        (r#"userattr = "($attr.manager)#ROLEDN""#, "write the names out"),
        (r#"dns = "ma*.example.com""#, "fits no host"),
    ] {
        let rule = format!(r#"(targetattr = "*")(version 3.0; acl "x"; allow (read) {subject};)"#);
        let outcome = server.admin().modify(SUFFIX, &[(ADD, "aci", &[&rule])]);
        outcome.clone().expect_one_of(&[code::INVALID_ATTRIBUTE_SYNTAX, code::UNWILLING_TO_PERFORM]);
        assert!(outcome.diagnostic.contains(advice), "{outcome:?}");
    }
}

/// `targetcontrol`: what a rule names is for those whom a rule allows; the rest is free.
#[test]
fn a_control_that_a_rule_names_is_for_those_whom_one_allows() {
    only_entente!(Access);
    let server = with(
        &[
            USERS_READ,
            r#"(targetcontrol = "1.2.840.113556.1.4.473")(version 3.0; acl "sort"; allow (read) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#,
            r#"(target = "ldap:///ou=groups,dc=example,dc=com")(targetcontrol = "1.3.6.1.1.12")(version 3.0; acl "assert"; deny (read) userdn = "ldap:///all";)"#,
        ],
        "",
    );
    let sorted = Search::subtree(PEOPLE, "(uid=*)");
    let mut ann = server.person("ann");
    ann.with(Control::sort(&["uid"])).search(&sorted).expect(code::SUCCESS);
    let mut bob = server.person("bob");
    let refused = bob.with(Control::sort(&["uid"])).search(&sorted).expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
    assert!(refused.outcome.diagnostic.contains("targetcontrol"), "{:?}", refused.outcome);
    // Not critical, it is passed over (RFC 4511 4.1.11).
    assert!(!bob.with(Control::sort(&["uid"]).optional()).search(&sorted).expect(code::SUCCESS).entries.is_empty());
    server.admin().with(Control::sort(&["uid"])).search(&sorted).expect(code::SUCCESS);
    // A deny holds where its target is.
    bob.with(Control::assertion("(ou=people)")).search(&Search::base(PEOPLE)).expect(code::SUCCESS);
    bob.with(Control::assertion("(ou=groups)"))
        .search(&Search::base(GROUPS))
        .expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
}

/// `extop`: the same for extended operations.
#[test]
fn an_extended_operation_that_a_rule_names_is_for_those_whom_one_allows() {
    only_entente!(Access);
    let server = with(
        &[
            USERS_READ,
            r#"(extop = "1.3.6.1.4.1.4203.1.11.3")(version 3.0; acl "who am I"; allow (read) userdn = "ldap:///all";)"#,
            r#"(extop = "1.3.6.1.4.1.4203.1.11.1")(version 3.0; acl "passwords"; deny (read) userdn = "ldap:///uid=bob,ou=people,dc=example,dc=com";)"#,
        ],
        "",
    );
    let who = request::extended("1.3.6.1.4.1.4203.1.11.3", None);
    server.anonymous().perform(&who).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    server.person("bob").perform(&who).expect(code::SUCCESS);
    server.admin().perform(&who).expect(code::SUCCESS);
    let change = request::password_modify(None, Some("bob-secret"), Some("Another secret 7"));
    let refused = server.person("bob").perform(&change).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    assert!(refused.diagnostic.contains("extop"), "{refused:?}");
}

/// A rule of values alone makes an entry visible to who may write it, and the values are judged one by one.
#[test]
fn a_rule_that_lets_write_some_values_needs_no_other() {
    let server = with(
        &[
            r#"(targattrfilters = "add=title:(title=cook*), del=title:(title=*)")(version 3.0; acl "cooks"; allow (write) userdn = "ldap:///all";)"#,
        ],
        "access to attrs=title val.regex=\"^[Cc]ook.*\" by users write by * none\naccess to attrs=title by users =z by * none\naccess to attrs=entry by users read by * none\naccess to * by * none",
    );
    let mut ann = server.person("ann");
    ann.modify(BOB, &[(REPLACE, "title", &["Cook"])]).expect(code::SUCCESS);
    ann.modify(BOB, &[(ADD, "title", &["Chief"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    // slapd asks everybody to bind first (8, strongerAuthRequired).
    let expected = Subject::current().pick(code::NO_SUCH_OBJECT, 8);
    server.anonymous().modify(BOB, &[(REPLACE, "title", &["Cook"])]).expect(expected);
}

/// Macros put values in as values: who may write an attribute names nobody else by a comma or a star in it.
#[test]
fn a_value_in_a_macro_is_never_more_than_a_value() {
    only_entente!(Access);
    let server = with(
        &[
            USERS_READ,
            r#"(targetattr = "title")(version 3.0; acl "friends"; allow (write) userdn = "ldap:///uid=($attr.description),ou=people,dc=example,dc=com";)"#,
        ],
        "",
    );
    let mut admin = server.admin();
    let mut ann = server.person("ann");
    for (value, expected) in [
        ("ann", code::SUCCESS),
        ("*", code::INSUFFICIENT_ACCESS_RIGHTS),
        ("a*", code::INSUFFICIENT_ACCESS_RIGHTS),
        ("bob,ou=people,dc=example,dc=com||ldap:///uid=ann", code::INSUFFICIENT_ACCESS_RIGHTS),
        ("x,uid=ann", code::INSUFFICIENT_ACCESS_RIGHTS),
    ] {
        admin.modify(BOB, &[(REPLACE, "description", &[value])]).expect(code::SUCCESS);
        ann.modify(BOB, &[(REPLACE, "title", &["x"])]).expect(expected);
    }
}

/// The rules themselves are not for people's eyes unless a rule says so by name or by `*`… and never for their pens.
#[test]
fn people_do_not_write_rules() {
    let access = format!("{PASSWORDS}access to * by * read\n");
    let config = format!("database config\nrootdn {ADMIN}\naccess to * by * read\n");
    let server = Server::start(Setup::default().with_access(&[ANYONE_READS], &access).with_slapd_global(&config));
    let (dn, rules) = Subject::current().pick((SUFFIX, "aci"), ("olcDatabase={1}mdb,cn=config", "olcAccess"));
    server.person("ann").modify(dn, &[(REPLACE, rules, &[])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
}
