//! Get effective rights, as 389 Directory Server has it. Not in slapd.

use crate::support::ber::{octets, sequence};
use crate::support::request::{Control, Search};
use crate::support::server::{ADMIN, Server, Setup};
use crate::support::{code, oid};
use crate::{ANN, BOB, GROUPS, PEOPLE, add_person};

const RULES: [&str; 3] = [
    r#"(targetattr = "cn || sn || title")(version 3.0; acl "some"; allow (read, search) userdn = "ldap:///anyone";)"#,
    r#"(targetattr = "cn")(version 3.0; acl "compare"; allow (compare) userdn = "ldap:///all";)"#,
    r#"(targetattr = "title || userPassword")(version 3.0; acl "own"; allow (write) userdn = "ldap:///self";)"#,
];

fn rights_of(subject: &str) -> Control {
    Control::critical(oid::EFFECTIVE_RIGHTS, Some(subject.as_bytes().to_vec()))
}

#[test]
fn rights_are_told_as_rules_have_them() {
    only_entente!(Foreign);
    let server = Server::start(Setup::default().with_access(&RULES, ""));
    let mut admin = server.admin();
    let names = Search::base(ANN).attributes(&["cn", "title", "mail", "createTimestamp"]);
    let entry = admin.with(rights_of(&format!("dn:{ANN}"))).search(&names).single();
    assert_eq!(entry.value("entryLevelRights"), "vn");
    assert_eq!(entry.value("attributeLevelRights"), "cn:rsc, createTimestamp:none, mail:none, title:rswo");
    let entry = admin.with(rights_of(&format!("dn:{BOB}"))).search(&names).single();
    assert_eq!(entry.value("entryLevelRights"), "v");
    assert_eq!(entry.value("attributeLevelRights"), "cn:rsc, createTimestamp:none, mail:none, title:rs");
    let entry = admin.with(rights_of("dn:")).search(&names).single();
    assert_eq!(entry.value("attributeLevelRights"), "cn:rs, createTimestamp:none, mail:none, title:rs");
    let entry = admin.with(rights_of(&format!("dn:{ADMIN}"))).search(&names).single();
    assert_eq!(entry.value("entryLevelRights"), "vadn");
    assert!(entry.value("attributeLevelRights").contains("mail:rscwoWO"), "{entry:?}");
}

/// The list of attributes may be in the control, as 389's clients send it; `*` is those of the entry.
#[test]
fn attributes_are_asked_for_in_the_control_too() {
    only_entente!(Foreign);
    let server = Server::start(Setup::default().with_access(&RULES, ""));
    let mut admin = server.admin();
    let value = sequence(&[octets(format!("dn:{ANN}")), sequence(&[octets("secretary")])]);
    let control = Control::critical(oid::EFFECTIVE_RIGHTS, Some(value));
    let entry = admin.with(control).search(&Search::base(ANN).attributes(&["*"])).single();
    let rights = entry.value("attributeLevelRights");
    assert!(
        rights.contains("secretary:none") && rights.contains("cn:rsc") && rights.contains("userPassword:wo"),
        "{rights}"
    );
}

/// One's own rights are one's own business; others' are the administrator's.
#[test]
fn only_the_administrator_asks_for_others() {
    only_entente!(Foreign);
    let server = Server::start(Setup::default().with_access(&RULES, ""));
    let mut ann = server.person("ann");
    let search = Search::base(ANN).filter("(cn=*)").attributes(&["title"]);
    assert_eq!(
        ann.with(rights_of(&format!("dn:{ANN}"))).search(&search).single().value("attributeLevelRights"),
        "title:rswo"
    );
    let own = Control::critical(oid::EFFECTIVE_RIGHTS, None);
    assert_eq!(ann.with(own).search(&search).single().value("attributeLevelRights"), "title:rswo");
    for other in [format!("dn:{BOB}"), format!("dn:{ADMIN}"), "dn:".to_owned(), "dn:uid=nobody".to_owned()] {
        let found = ann.with(rights_of(&other)).search(&search);
        assert_eq!((found.outcome.code, found.entries.len()), (code::INSUFFICIENT_ACCESS_RIGHTS, 0), "{other}");
    }
    let nobody = server.admin().with(rights_of("dn:uid=nobody,dc=example,dc=com")).search(&search);
    nobody.expect(code::NO_SUCH_OBJECT);
    let found = server.anonymous().with(rights_of("dn:")).search(&search);
    assert_eq!(found.outcome.code, code::INSUFFICIENT_ACCESS_RIGHTS);
}

/// What is below cn=deleted and cn=conflicts is told by the rules for the entry that it is about, and its rights too: ann is
/// told of who was among the people and what may be read there, of the groups nothing.
#[test]
fn rights_are_told_of_what_is_not_in_the_tree() {
    only_entente!(Foreign);
    const TOLD: &str = r#"(targetattr = "objectClass || uid || title || employeeNumber || isDeleted || conflictKind")(version 3.0; acl "told"; allow (read, search, compare) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#;
    const NOT: &str = r#"(target = "ldap:///ou=groups,dc=example,dc=com")(targetattr = "isDeleted || conflictKind")(version 3.0; acl "not groups"; deny (read) userdn = "ldap:///all";)"#;
    const UNIQUE: &str =
        r#"(targetattr = "uniqueAttribute")(version 3.0; acl "u"; allow (read) userdn = "ldap:///all";)"#;
    let server = Server::start(Setup::default().with_access(&[TOLD, NOT, UNIQUE], ""));
    let mut admin = server.admin();
    for branch in [PEOPLE, GROUPS] {
        let gone = add_person(&mut admin, branch, &format!("gone-{}", &branch[3..6]));
        admin.modify(&gone, &[(0, "title", &["Cook"]), (0, "mail", &["gone@example.com"])]).expect(code::SUCCESS);
        admin.delete(&gone).expect(code::SUCCESS);
        let shared = add_person(&mut admin, branch, &format!("shares-{}", &branch[3..6]));
        admin.modify(&shared, &[(0, "employeeNumber", &["77"])]).expect(code::SUCCESS);
    }
    admin.modify("dc=example,dc=com", &[(0, "uniqueAttribute", &["employeeNumber"])]).expect(code::SUCCESS);
    let mut rights = |subject: &str, base: &str, filter: &str, attributes: &[&str]| {
        let search = Search::base(base).scope(1).filter(filter).attributes(attributes);
        let entry = admin.with(rights_of(subject)).search(&search).single();
        (entry.value("entryLevelRights"), entry.value("attributeLevelRights"))
    };
    let (ann, bob, admin_id) = (format!("dn:{ANN}"), format!("dn:{BOB}"), format!("dn:{ADMIN}"));
    let names = ["title", "mail", "uid"];
    let told = |level: &str, list: &str| (level.to_owned(), list.to_owned());
    let gone = "(uid=gone-peo)";
    assert_eq!(rights(&ann, "cn=deleted", gone, &names), told("v", "mail:none, title:rsc, uid:rsc"));
    assert_eq!(rights(&bob, "cn=deleted", gone, &names), told("none", "mail:none, title:none, uid:none"));
    assert_eq!(rights("dn:", "cn=deleted", gone, &names), told("none", "mail:none, title:none, uid:none"));
    assert_eq!(rights(&admin_id, "cn=deleted", gone, &names), told("v", "mail:rsc, title:rsc, uid:rsc"));
    let hidden = "(uid=gone-gro)";
    assert_eq!(rights(&ann, "cn=deleted", hidden, &names), told("none", "mail:none, title:none, uid:none"));
    let kind = ["conflictKind"];
    let clash = |who: &str, branch: &str| format!("(conflictEntry=uid={who},{branch})");
    let (seen, unseen) = (clash("shares-peo", PEOPLE), clash("shares-gro", GROUPS));
    assert_eq!(rights(&ann, "cn=conflicts", &seen, &kind), told("v", "conflictKind:rsc"));
    assert_eq!(rights(&ann, "cn=conflicts", &unseen, &kind), told("none", "conflictKind:none"));
    assert_eq!(rights(&bob, "cn=conflicts", &seen, &kind), told("none", "conflictKind:none"));
    // Ann may ask for herself, and is told what she is told else.
    let search = Search::base("cn=deleted").scope(1).attributes(&["title", "mail"]);
    let own = server.person("ann").with(rights_of(&ann)).search(&search).single();
    assert_eq!(own.value("attributeLevelRights"), "mail:none, title:rsc");
    // The root DSE is for anybody, cn=lost+found for whom a rule tells it.
    let top = |server: &Server, subject: &str, base: &str| {
        server.admin().with(rights_of(subject)).search(&Search::base(base).attributes(&["objectClass"])).single()
    };
    assert_eq!(top(&server, "dn:", "").value("entryLevelRights"), "v");
    assert_eq!(top(&server, &ann, "cn=lost\\+found").value("attributeLevelRights"), "objectClass:rsc");
    assert_eq!(top(&server, &bob, "cn=lost\\+found").value("attributeLevelRights"), "objectClass:none");
}

/// 389's form for the attributes of a class that the entry does not have.
#[test]
fn rights_to_the_attributes_of_a_class_are_told_one_by_one() {
    only_entente!(Foreign);
    let mut client = Server::shared().admin();
    let value = sequence(&[octets("dn:"), sequence(&[octets("*@inetOrgPerson")])]);
    let control = || Control::critical(oid::EFFECTIVE_RIGHTS, Some(value.clone()));
    let search = Search::base("dc=example,dc=com").attributes(&["1.1"]);
    let by_control = client.with(control()).search(&search).single().value("attributeLevelRights");
    let bare = Control::critical(oid::EFFECTIVE_RIGHTS, Some(b"dn:".to_vec()));
    let search = Search::base("dc=example,dc=com").attributes(&["*@inetOrgPerson"]);
    let by_list = client.with(bare).search(&search).single().value("attributeLevelRights");
    for told in [by_control, by_list] {
        for name in ["mail:", "employeeNumber:", "sn:"] {
            assert!(told.split(", ").any(|part| part.starts_with(name)), "{name} {told}");
        }
    }
}

#[test]
fn a_subject_that_cannot_be_read_is_refused_with_what_to_send() {
    only_entente!(Foreign);
    let mut client = Server::shared().admin();
    let control = Control::critical(oid::EFFECTIVE_RIGHTS, Some(b"uid=ann,dc=example,dc=com".to_vec()));
    let refused = client.with(control).search(&Search::base("dc=example,dc=com")).outcome;
    assert_eq!(refused.code, code::PROTOCOL_ERROR);
    assert!(refused.diagnostic.contains("as dn: and a DN"), "{}", refused.diagnostic);
}
