//! The schema changed while the server runs, by modify of `cn=subschema` (RFC 4512 4.2). slapd keeps its definitions
//! below cn=config.

use crate::support::ber::Element;
use crate::support::client::{Client, Entry, Outcome};
use crate::support::request::{ADD, Control, DELETE, REPLACE, Search};
use crate::support::server::{ADMIN, Server, Setup, Subject};
use crate::support::{code, oid};

const SUBSCHEMA: &str = "cn=subschema";

/// A server whose administrator may change the schema.
fn server() -> Server {
    Server::start(Setup::default().with_slapd_global(&format!("database config\nrootdn {ADMIN}\n")))
}

/// Changes definitions where they are kept.
#[track_caller]
fn change(client: &mut Client, changes: &[(i64, &str, &[&str])]) -> Outcome {
    if !Subject::current().is_slapd() {
        return client.modify(SUBSCHEMA, changes);
    }
    let name = |name: &str| if name == "attributeTypes" { "olcAttributeTypes" } else { "olcObjectClasses" };
    let changes: Vec<_> = changes.iter().map(|(kind, kept, values)| (*kind, name(kept), *values)).collect();
    client.modify("cn=schema,cn=config", &changes)
}

fn is_published(client: &mut Client, attribute: &str, word: &str) -> bool {
    let search = Search::base(SUBSCHEMA).attributes(&[attribute]);
    client.search(&search).single().values(attribute).iter().any(|value| value.contains(word))
}

/// RFC 4512 4.1.2: NO-USER-MODIFICATION is for operational, COLLECTIVE for user attributes; RFC 3671 2: a collective one is not
/// single-valued.
#[test]
fn a_type_that_says_something_against_itself_is_refused_with_what_to_write() {
    let server = server();
    let mut client = server.admin();
    for (words, says) in [
        (
            "SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 NO-USER-MODIFICATION",
            "leave it out, or write USAGE directoryOperation",
        ),
        ("SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE COLLECTIVE", "leave SINGLE-VALUE or COLLECTIVE out"),
        ("SUP c-l SINGLE-VALUE", "leave SINGLE-VALUE or COLLECTIVE out"),
        ("SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 COLLECTIVE USAGE dSAOperation", "or leave USAGE out"),
    ] {
        let definition = format!("( 1.3.6.1.4.1.32473.75.1 NAME 'odd' {words} )");
        let refused = change(&mut client, &[(ADD, "attributeTypes", &[&definition])]);
        // slapd minds the first of them alone, and calls it another error.
        if Subject::current().is_slapd() {
            assert!(refused.code == code::OTHER || !words.ends_with("NO-USER-MODIFICATION"), "{refused:?}");
            continue;
        }
        let refused = refused.expect(code::UNWILLING_TO_PERFORM);
        assert!(refused.diagnostic.contains("odd: ") && refused.diagnostic.contains(says), "{}", refused.diagnostic);
    }
    only_entente_from_here!(Lax);
    assert!(!is_published(&mut client, "attributeTypes", "'odd'"));
}

#[test]
fn a_type_and_a_class_are_added_used_refused_and_removed() {
    // Its own: searches of others that are under way would have to begin anew.
    let mut server = server();
    let (mut client, branch) = server.branch("schema-online");
    let hat = "( 1.3.6.1.4.1.32473.70.1 NAME 'hatSize' EQUALITY integerMatch ORDERING integerOrderingMatch \
               SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )";
    let class = "( 1.3.6.1.4.1.32473.70.2 NAME 'hatted' AUXILIARY MAY hatSize )";
    let person = crate::add_person(&mut client, &branch, "p");
    client.modify(&person, &[(ADD, "hatSize", &["58"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    // The class alone does not hold together; nothing of the request is done.
    let refused = change(&mut client, &[(ADD, "objectClasses", &[class])]);
    let refused = refused.expect(Subject::current().pick(code::UNWILLING_TO_PERFORM, code::OTHER));
    assert!(refused.diagnostic.contains("hatSize"), "{}", refused.diagnostic);
    assert!(!is_published(&mut client, "objectClasses", "'hatted'"));

    let mut definitions: Vec<(i64, &str, &[&str])> =
        vec![(ADD, "objectClasses", std::slice::from_ref(&class)), (ADD, "attributeTypes", std::slice::from_ref(&hat))];
    // slapd reads them one by one.
    if Subject::current().is_slapd() {
        definitions.reverse();
    }
    change(&mut client, &definitions).expect(code::SUCCESS);
    assert!(is_published(&mut client, "attributeTypes", "'hatSize'"));
    assert!(is_published(&mut client, "objectClasses", "'hatted'"));
    client.modify(&person, &[(ADD, "objectClass", &["hatted"]), (ADD, "hatSize", &["58"])]).expect(code::SUCCESS);
    // The index knows it, and the rule of its definition is used.
    assert_eq!(client.names(&branch, "(hatSize=58)"), ["p"]);
    assert_eq!(client.names(&branch, "(hatSize>=57)"), ["p"]);
    assert_eq!(client.names(&branch, "(objectClass=hatted)"), ["p"]);

    // What slapd does with a configuration in one file is gone with it, and nothing of it is taken away before.
    only_entente_from_here!(Unserved);
    // It is all there after a restart.
    drop(client);
    server.stop();
    server.restart();
    let mut client = server.admin();
    assert_eq!(client.names(&branch, "(hatSize>=57)"), ["p"]);

    // In use: refused, with the count. A class needs its attributes.
    client.modify(SUBSCHEMA, &[(DELETE, "attributeTypes", &[hat])]).expect(code::UNWILLING_TO_PERFORM);
    let refused = client.modify(SUBSCHEMA, &[(DELETE, "objectClasses", &[class])]).expect(code::UNWILLING_TO_PERFORM);
    assert!(refused.diagnostic.contains("in use by 1 entries"), "{}", refused.diagnostic);
    let text = hat.replace("integerMatch", "caseIgnoreMatch").replace("ORDERING integerOrderingMatch ", "");
    let text = text.replace("121.1.27", "121.1.15");
    let redefined = [(DELETE, "attributeTypes", &[hat][..]), (ADD, "attributeTypes", &[text.as_str()])];
    client.modify(SUBSCHEMA, &redefined).expect(code::UNWILLING_TO_PERFORM);
    // What allows more is no harm.
    let described = hat.replace("EQUALITY", "DESC 'of the head' EQUALITY");
    client
        .modify(SUBSCHEMA, &[(DELETE, "attributeTypes", &[hat]), (ADD, "attributeTypes", &[&described])])
        .expect(code::SUCCESS);
    assert!(is_published(&mut client, "attributeTypes", "of the head"));

    client.modify(&person, &[(DELETE, "hatSize", &[]), (DELETE, "objectClass", &["hatted"])]).expect(code::SUCCESS);
    client
        .modify(SUBSCHEMA, &[(DELETE, "objectClasses", &[class]), (DELETE, "attributeTypes", &[hat])])
        .expect(code::SUCCESS);
    assert!(!is_published(&mut client, "attributeTypes", "'hatSize'"));
    client.modify(&person, &[(ADD, "hatSize", &["58"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    assert!(client.names(&branch, "(hatSize=58)").is_empty());
}

#[test]
fn what_the_program_defines_stays_and_wrong_definitions_are_refused() {
    let server = server();
    let mut client = server.admin();
    if Subject::current().is_slapd() {
        for wrong in ["( 2.5.4.3 NAME 'cn' SUP name )", "( 1.3.6.1.4.1.32473.70.3 NAME 'sn' SUP name )", "( 1.2.3 NAME"]
        {
            // It says error of another kind to all of them.
            change(&mut client, &[(ADD, "attributeTypes", &[wrong])]).expect(code::OTHER);
        }
        let gone: [(i64, &str, &[&str]); 1] = [(DELETE, "attributeTypes", &["( 1.3.6.1.4.1.32473.70.99 )"])];
        assert_ne!(change(&mut client, &gone).code, code::SUCCESS);
        change(&mut server.person("ann"), &gone).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    }
    only_entente_from_here!(Unserved);
    client.modify(SUBSCHEMA, &[(DELETE, "attributeTypes", &["2.5.4.3"])]).expect(code::UNWILLING_TO_PERFORM);
    client
        .modify(SUBSCHEMA, &[(DELETE, "attributeTypes", &["1.3.6.1.4.1.32473.70.99"])])
        .expect(code::NO_SUCH_ATTRIBUTE);
    client
        .modify(SUBSCHEMA, &[(ADD, "attributeTypes", &["( 2.5.4.3 NAME 'cn' SUP name )"])])
        .expect(code::ATTRIBUTE_OR_VALUE_EXISTS);
    client
        .modify(SUBSCHEMA, &[(ADD, "attributeTypes", &["( 1.3.6.1.4.1.32473.70.3 NAME 'sn' SUP name )"])])
        .expect(code::UNWILLING_TO_PERFORM);
    client.modify(SUBSCHEMA, &[(ADD, "attributeTypes", &["( 1.2.3 NAME"])]).expect(code::INVALID_ATTRIBUTE_SYNTAX);
    client.modify(SUBSCHEMA, &[(REPLACE, "cn", &["x"])]).expect(code::UNWILLING_TO_PERFORM);
    client.delete(SUBSCHEMA).expect(code::UNWILLING_TO_PERFORM);
    let mut ann = server.person("ann");
    ann.modify(SUBSCHEMA, &[(DELETE, "attributeTypes", &["2.5.4.3"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
}

/// RFC 4512 4.1: a definition begins with a numeric OID; a word there, as 389 takes it, is refused online.
#[test]
fn a_definition_without_an_oid_in_numbers_is_refused() {
    let server = server();
    let mut client = server.admin();
    for (attribute, text) in [
        ("attributeTypes", "( shoe-oid NAME 'shoe' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )"),
        ("objectClasses", "( shod-oid NAME 'shod' AUXILIARY MAY cn )"),
    ] {
        let refused = change(&mut client, &[(ADD, attribute, &[text])]);
        let refused = refused.expect(Subject::current().pick(code::INVALID_ATTRIBUTE_SYNTAX, code::OTHER));
        let says = Subject::current().pick("no OID in numbers", "OID could not be expanded");
        assert!(refused.diagnostic.contains(says), "{}", refused.diagnostic);
    }
}

#[test]
fn an_attribute_type_that_a_class_names_is_refused_with_the_class_and_its_use() {
    only_entente!(Unserved);
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("schema-named");
    let hat = "( 1.3.6.1.4.1.32473.71.1 NAME 'hatSize' SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )";
    let class = "( 1.3.6.1.4.1.32473.71.2 NAME 'hatted' AUXILIARY MAY hatSize )";
    client
        .modify(SUBSCHEMA, &[(ADD, "attributeTypes", &[hat]), (ADD, "objectClasses", &[class])])
        .expect(code::SUCCESS);
    let refused = client.modify(SUBSCHEMA, &[(DELETE, "attributeTypes", &[hat])]).expect(code::UNWILLING_TO_PERFORM);
    assert!(refused.diagnostic.contains("of the object class hatted: change"), "{}", refused.diagnostic);
    let person = crate::add_person(&mut client, &branch, "p");
    client.modify(&person, &[(ADD, "objectClass", &["hatted"]), (ADD, "hatSize", &["58"])]).expect(code::SUCCESS);
    let refused = client.modify(SUBSCHEMA, &[(DELETE, "attributeTypes", &[hat])]).expect(code::UNWILLING_TO_PERFORM);
    assert!(refused.diagnostic.contains("hatted, and 1 entries have values"), "{}", refused.diagnostic);
    client.delete(&person).expect(code::SUCCESS);
    client
        .modify(SUBSCHEMA, &[(DELETE, "attributeTypes", &[hat]), (DELETE, "objectClasses", &[class])])
        .expect(code::SUCCESS);
}

/// RFC 4528 3, RFC 4527 3, MS-ADTS: what a control asks for is done here too, and a critical one is never passed over.
#[test]
fn controls_of_a_change_hold_for_the_schema() {
    only_entente!(Unserved);
    let server = Server::start(Setup::default());
    let mut client = server.admin();
    let text = "( 1.3.6.1.4.1.32473.74.1 NAME 'capSize' SUP name )";
    let add = [(ADD, "attributeTypes", &[text][..])];
    let when = |filter: &str| Control::assertion(filter);
    let refused = client.with(when("(cn=other)")).modify(SUBSCHEMA, &add).expect(code::ASSERTION_FAILED);
    assert!(refused.diagnostic.contains("nothing was changed"), "{}", refused.diagnostic);
    assert!(!is_published(&mut client, "attributeTypes", "'capSize'"));
    let read = |oid| Control::read_entry(oid, &["attributeTypes", "cn"]);
    let has_cap = |outcome: &Outcome, oid| {
        let entry = Entry::parse(&Element::whole(&outcome.control(oid)).unwrap()).unwrap();
        assert_eq!((entry.dn.as_str(), entry.value("cn").as_str()), (SUBSCHEMA, "subschema"));
        entry.values("attributeTypes").iter().any(|value| value.contains("'capSize'"))
    };
    let outcome = client
        .with(when("(cn=subschema)"))
        .with(read(oid::PRE_READ))
        .with(read(oid::POST_READ))
        .modify(SUBSCHEMA, &add)
        .expect(code::SUCCESS);
    assert!(!has_cap(&outcome, oid::PRE_READ) && has_cap(&outcome, oid::POST_READ));
    // What is there already, and what is not.
    let permissive = || Control::plain(oid::PERMISSIVE_MODIFY);
    client.modify(SUBSCHEMA, &add).expect(code::ATTRIBUTE_OR_VALUE_EXISTS);
    client.with(permissive()).modify(SUBSCHEMA, &add).expect(code::SUCCESS);
    let other = text.replace("SUP name", "DESC 'other' SUP name");
    client
        .with(permissive())
        .modify(SUBSCHEMA, &[(ADD, "attributeTypes", &[&other])])
        .expect(code::ATTRIBUTE_OR_VALUE_EXISTS);
    for count in 0..2 {
        client.with(permissive()).modify(SUBSCHEMA, &[(DELETE, "attributeTypes", &[text])]).expect(code::SUCCESS);
        assert!(!is_published(&mut client, "attributeTypes", "'capSize'"), "{count}");
    }
    let built_in = client.with(permissive()).modify(SUBSCHEMA, &[(DELETE, "attributeTypes", &["2.5.4.3"])]);
    assert!(built_in.expect(code::UNWILLING_TO_PERFORM).diagnostic.contains("stays"));
}
