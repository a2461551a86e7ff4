//! Get effective rights, as 389 Directory Server has it. Not in slapd.

use crate::support::ber::{octets, sequence};
use crate::support::request::{Control, Search};
use crate::support::server::{ADMIN, Server, Setup, Subject};
use crate::support::{code, oid};
use crate::{ANN, BOB};

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
    if Subject::current().is_slapd() {
        return;
    }
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
    if Subject::current().is_slapd() {
        return;
    }
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
    if Subject::current().is_slapd() {
        return;
    }
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
