//! Options of attribute descriptions that are not recognized: RFC 4512 2.5, "MUST be treated as an unrecognized attribute
//! type".

use crate::support::code;
use crate::support::request::{ADD, Control, DELETE, INCREMENT, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::{ANN, PEOPLE, add_person};

/// RFC 4511 4.6, 4.7: undefinedAttributeType.
#[test]
fn a_description_with_an_unknown_option_is_not_written() {
    let (mut client, branch) = Server::shared().branch("options-written");
    let dn = add_person(&mut client, &branch, "p");
    for kind in [ADD, REPLACE] {
        let refused = client.modify(&dn, &[(kind, "title;foo", &["x"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
        if !Subject::current().is_slapd() {
            assert!(refused.diagnostic.contains("binary, lang-*"), "{}", refused.diagnostic);
            assert!(refused.diagnostic.contains("schema.attribute_options"), "{}", refused.diagnostic);
        }
    }
    client.modify(&dn, &[(INCREMENT, "uidNumber;foo", &["1"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    client.modify(&dn, &[(ADD, "title;lang-de;foo", &["x"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    client.modify(&dn, &[(ADD, "title;x-foo", &["x"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    let attributes: [(&str, &[&str]); 4] =
        [("objectClass", &["inetOrgPerson"]), ("cn", &["A"]), ("sn", &["B"]), ("sn;foo", &["C"])];
    client.add(&format!("uid=q,{branch}"), &attributes).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    client.modify(&dn, &[(ADD, "title;lang-de", &["x"])]).expect(code::SUCCESS);
    client.compare(&dn, "title;lang-de", "x").expect(code::COMPARE_TRUE);
}

/// RFC 4511 4.5.1.7: an item about it is Undefined, and so is its opposite; 4.5.1.8: asked for, it is nothing.
#[test]
fn a_description_with_an_unknown_option_is_nothing_in_a_search() {
    let mut client = Server::shared().admin();
    for filter in ["(cn;foo=*)", "(!(cn;foo=*))", "(cn;foo=ann*)", "(!(cn;foo=nobody))", "(cn;lang-de;foo=*)"] {
        assert!(client.names(PEOPLE, filter).is_empty(), "{filter}");
    }
    assert_eq!(client.names(PEOPLE, "(&(uid=ann)(!(cn;lang-fr=*)))"), ["ann"]);
    assert_eq!(client.read_attributes(ANN, &["uid", "cn;foo"]).names(), ["uid"]);
    client.compare(ANN, "cn;foo", "x").expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    // RFC 2891 2.
    let sorted = client.with(Control::sort(&["cn;foo"])).search(&Search::subtree(PEOPLE, "(uid=*)"));
    // slapd says of which kind the fault is.
    sorted.expect(Subject::current().pick(code::UNAVAILABLE_CRITICAL_EXTENSION, code::NO_SUCH_ATTRIBUTE));
}

/// As OpenLDAP's `attributeoptions`. What was written under an option can be taken away when it is recognized no more.
#[test]
fn the_administrator_names_further_options() {
    let options = r#"schema.attribute_options=["lang-", "phonetic", "x-"]"#;
    let setup = Setup::default().with_setting(options).with_slapd_global("attributeoptions lang- phonetic x-\n");
    let mut server = Server::start(setup);
    let mut client = server.admin();
    client.modify(ANN, &[(ADD, "cn;lang-ja;Phonetic", &["an"]), (ADD, "title;x-own", &["boss"])]).expect(code::SUCCESS);
    assert_eq!(client.names(PEOPLE, "(cn;phonetic=an)"), ["ann"]);
    assert_eq!(client.read_attributes(ANN, &["title;x-own"]).values("title;x-own"), ["boss"]);
    let refused = client.modify(ANN, &[(ADD, "title;foo", &["x"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    only_entente_from_here!(Setting);
    assert!(refused.diagnostic.contains("binary, lang-*, phonetic, x-*"), "{}", refused.diagnostic);
    drop(client);
    server.stop();
    server.restart_with(&["schema.attribute_options=[]"]);
    let mut client = server.admin();
    assert!(client.names(PEOPLE, "(cn;phonetic=an)").is_empty());
    client.modify(ANN, &[(DELETE, "cn;lang-ja;phonetic", &["an"])]).expect(code::SUCCESS);
    client.modify(ANN, &[(REPLACE, "title;x-own", &[])]).expect(code::SUCCESS);
    client.modify(ANN, &[(ADD, "cn;lang-ja", &["x"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    let left = client.read(ANN).names();
    assert!(!left.iter().any(|name| name.contains("x-own") || name.contains("phonetic")), "{left:?}");
}
