//! What a client reads before it knows anything: root DSE (RFC 4512 5.1) and subschema (4.2), without binding.

use crate::support::request::{ONE, Search};
use crate::support::server::{SUFFIX, Server};
use crate::support::{code, oid};
use crate::{ANN, PEOPLE};

#[test]
fn root_dse_is_readable_before_bind() {
    let mut client = Server::shared().anonymous();
    let names = ["namingContexts", "supportedLDAPVersion", "subschemaSubentry"];
    let entry = client.read_attributes("", &names);
    assert_eq!(entry.dn, "");
    assert_eq!(entry.value("namingContexts"), SUFFIX);
    assert_eq!(entry.value("supportedLDAPVersion"), "3");
    assert_eq!(entry.value("subschemaSubentry").to_lowercase(), "cn=subschema");
}

/// RFC 4512 5.1.3, 5.1.4, 5.1.5: what is announced.
#[test]
fn root_dse_announces_controls_extensions_and_features() {
    let mut client = Server::shared().anonymous();
    let entry = client.read_attributes("", &["supportedControl", "supportedExtension", "supportedFeatures"]);
    for control in [oid::MANAGE_DSA_IT, oid::PAGED_RESULTS, oid::ASSERTION, oid::PRE_READ, oid::POST_READ] {
        assert!(entry.values("supportedControl").contains(&control.to_owned()), "{control}: {entry:?}");
    }
    for extension in [oid::WHO_AM_I, oid::PASSWORD_MODIFY, oid::CANCEL] {
        assert!(entry.values("supportedExtension").contains(&extension.to_owned()), "{extension}: {entry:?}");
    }
    let features = [oid::ALL_OPERATIONAL, oid::OBJECT_CLASS_ATTRIBUTES, oid::TRUE_FALSE_FILTERS, oid::MODIFY_INCREMENT];
    for feature in features {
        assert!(entry.values("supportedFeatures").contains(&feature.to_owned()), "{feature}: {entry:?}");
    }
}

/// RFC 4512 5.1: base scope, and any presence filter on objectClass in any case.
#[test]
fn root_dse_answers_the_usual_filters() {
    let mut client = Server::shared().anonymous();
    for filter in ["(objectClass=*)", "(objectclass=*)", "(OBJECTCLASS=top)", "(|(objectClass=*)(cn=x))"] {
        client.search(&Search::base("").filter(filter)).single();
    }
    // Its attributes are operational: `*` does not bring them.
    let entry = client.read_attributes("", &["*"]);
    assert!(entry.has("objectClass") && !entry.has("supportedControl"), "{entry:?}");
    let entry = client.read_attributes("", &["*", "+"]);
    assert!(entry.has("supportedControl") && entry.has("namingContexts"), "{entry:?}");
}

/// The spelling of ldap3: a wrong case and the plus twice.
#[test]
fn root_dse_answers_the_request_of_ldap3() {
    let names = [
        "altServer",
        "namingContexts",
        "supportedControl",
        "supportedExtension",
        "supportedFeatures",
        "supportedCapabilities",
        "supportedLdapVersion",
        "supportedSASLMechanisms",
        "vendorName",
        "vendorVersion",
        "subschemaSubentry",
        "*",
        "+",
        "+",
    ];
    let entry = Server::shared().anonymous().search(&Search::base("").attributes(&names).deref(3)).single();
    assert!(entry.has("supportedLDAPVersion") && entry.has("namingContexts"), "{entry:?}");
    assert_eq!(entry.bytes("namingContexts").len(), 1);
}

/// SSSD's list, mostly of attributes of other servers.
#[test]
fn root_dse_answers_the_request_of_sssd() {
    let names = [
        "*",
        "altServer",
        "namingContexts",
        "supportedControl",
        "supportedExtension",
        "supportedFeatures",
        "supportedLDAPVersion",
        "supportedSASLMechanisms",
        "domainControllerFunctionality",
        "defaultNamingContext",
        "lastUSN",
        "highestCommittedUSN",
    ];
    let entry = Server::shared().anonymous().read_attributes("", &names);
    assert_eq!(entry.value("namingContexts"), SUFFIX);
}

/// RFC 4512 4.2: the subschema named by subschemaSubentry, for anybody, in any spelling.
#[test]
fn subschema_is_readable_before_bind() {
    let mut client = Server::shared().anonymous();
    for (base, filter) in [
        ("cn=subschema", "(objectClass=subschema)"),
        ("cn=Subschema", "(objectClass=*)"),
        ("CN = SubSchema", "(objectclass=subschema)"),
    ] {
        let search = Search::base(base).filter(filter).attributes(&["objectClasses", "attributeTypes"]);
        let entry = client.search(&search).single();
        let has = |name: &str, text: &str| entry.values(name).iter().any(|value| value.contains(text));
        assert!(has("objectClasses", "'inetOrgPerson'"), "{base}");
        assert!(has("objectClasses", "'posixAccount'"), "{base}");
        assert!(has("attributeTypes", "'telephoneNumber'"), "{base}");
        assert!(has("attributeTypes", "1.3.6.1.4.1.1466.115.121.1.50"), "{base}");
    }
}

/// RFC 4512 4.2: syntaxes, rules and the use of rules are published too.
#[test]
fn subschema_publishes_syntaxes_and_matching_rules() {
    let names = ["ldapSyntaxes", "matchingRules", "matchingRuleUse", "objectClass", "cn"];
    let entry = Server::shared().anonymous().read_attributes("cn=Subschema", &names);
    assert!(entry.values("ldapSyntaxes").iter().any(|value| value.contains("1.3.6.1.4.1.1466.115.121.1.15")));
    assert!(entry.values("matchingRules").iter().any(|value| value.contains("'caseIgnoreMatch'")));
    assert!(entry.values("matchingRuleUse").iter().any(|value| value.contains("APPLIES")));
    assert!(entry.values("objectClass").iter().any(|value| value.eq_ignore_ascii_case("subschema")));
    assert_eq!(entry.value("cn").to_lowercase(), "subschema");
}

/// Every definition is in parentheses and begins with an OID, no two with the same one.
#[test]
fn subschema_definitions_are_well_formed() {
    let mut client = Server::shared().anonymous();
    for name in ["objectClasses", "attributeTypes", "matchingRules", "ldapSyntaxes"] {
        let values = client.read_attributes("cn=Subschema", &[name]).values(name);
        assert!(values.len() > 20, "{name}");
        let mut oids: Vec<&str> = values
            .iter()
            .map(|value| {
                assert!(value.starts_with("( ") && value.ends_with(')'), "{value}");
                value.split_whitespace().nth(1).expect("an OID after the parenthesis")
            })
            .collect();
        oids.sort_unstable();
        let count = oids.len();
        oids.dedup();
        assert_eq!(oids.len(), count, "{name}: an OID is defined twice");
    }
}

/// python-ldap asks the subschema entry for its own subschemaSubentry; phpLDAPadmin asks any entry.
#[test]
fn subschema_subentry_is_named_by_every_entry_and_by_the_subschema_itself() {
    let server = Server::shared();
    let mut client = server.admin();
    for dn in ["", SUFFIX, PEOPLE, ANN, "cn=Subschema"] {
        let value = client.read_attributes(dn, &["subschemaSubentry"]).value("subschemaSubentry");
        assert_eq!(value.to_lowercase(), "cn=subschema", "{dn}");
    }
}

/// The root's subordinates are not enumerated: one-level of the root DSE is not the way to find suffixes for slapd,
/// and an error for nobody.
#[test]
fn one_level_of_the_root_ends_in_order() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::base("").scope(ONE));
    found.outcome.expect_one_of(&[code::SUCCESS, code::NO_SUCH_OBJECT]);
}

/// The subschema is not for writing by people.
#[test]
fn subschema_and_root_dse_cannot_be_written_by_people() {
    let mut client = Server::shared().person("ann");
    for dn in ["cn=Subschema", ""] {
        let outcome = client.modify(dn, &[(crate::support::request::ADD, "description", &["x"])]);
        assert_ne!(outcome.code, code::SUCCESS, "{dn}: {outcome:?}");
        let outcome = client.delete(dn);
        assert_ne!(outcome.code, code::SUCCESS, "{dn}: {outcome:?}");
    }
}
