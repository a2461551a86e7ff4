use super::*;
use crate::schema::definition::{AttributeTypeDefinition, ObjectClassDefinition};

/// Found by fuzzing: such a list was printed as two names.
#[test]
fn quoted_text_in_a_list_of_elements_is_refused() {
    let text = "( 2.5.6.6 NAME 'person' MUST ( sn $ 'Directory String' ) )";
    assert!(ObjectClassDefinition::parse(text).is_err());
    let text = "( 2.5.4.3 NAME 'cn' SUP 'a name' )";
    assert!(AttributeTypeDefinition::parse(text).is_err());
}

#[test]
fn builtin_schema_is_sound() {
    let schema = Schema::builtin();
    assert!(schema.attribute_types().len() > 250, "{}", schema.attribute_types().len());
    assert!(schema.object_classes().len() > 70, "{}", schema.object_classes().len());
    for attribute in schema.attribute_types() {
        for word in attribute.names.iter().chain([&attribute.oid]) {
            assert_eq!(schema.attribute_type(&word.to_uppercase()).map(|known| known.index), Some(attribute.index));
        }
        assert!(attribute.equality.is_some(), "{}", attribute.name());
        assert!(attribute.subtypes.contains(&attribute.index));
        let printed = attribute.definition.to_string();
        assert_eq!(AttributeTypeDefinition::parse(&printed).as_ref(), Ok(&attribute.definition), "{printed}");
    }
    for class in schema.object_classes() {
        let printed = class.definition.to_string();
        assert_eq!(ObjectClassDefinition::parse(&printed).as_ref(), Ok(&class.definition), "{printed}");
    }
}

#[test]
fn groups_require_a_member_unless_they_may_be_empty() {
    let repeated = "objectClasses: ( 2.5.6.9 NAME 'groupOfNames' SUP top STRUCTURAL MUST ( cn $ member ) )";
    let sources = [SchemaSource { name: "site.ldif", text: repeated }];
    for (schema, expected) in
        [(Schema::builtin_and(&sources).unwrap(), true), (Schema::builtin_with_empty_groups(&sources).unwrap(), false)]
    {
        let online = schema.with_online(&[]).unwrap();
        for (class, members) in [("groupOfNames", "member"), ("groupOfUniqueNames", "uniqueMember")] {
            let members = schema.attribute_type(members).unwrap().index;
            for schema in [&schema, &online] {
                let class = schema.object_class(class).unwrap();
                assert_eq!(class.must.contains(&members), expected, "{class:?}");
                assert!(class.may.contains(&members), "{class:?}");
            }
        }
    }
}

#[test]
fn a_search_on_name_reaches_all_names() {
    let schema = Schema::builtin();
    let name = schema.attribute_type("name").unwrap();
    let subtypes: Vec<_> = name.subtypes.iter().map(|index| schema.attribute_type_at(*index).name()).collect();
    for expected in ["cn", "sn", "ou", "o", "givenName", "l", "c", "title", "mozillaNickname", "fileAs"] {
        assert!(subtypes.contains(&expected), "{expected}");
    }
}

/// Clients sort and search by whatever they show, whether or not its standard declares a rule.
#[test]
fn text_can_be_sorted_and_searched_without_declared_rules() {
    let schema = Schema::builtin();
    for name in ["cn", "mail", "displayName", "labeledURI", "uniqueIdentifier", "mozillaHomeUrl", "c", "telexNumber"] {
        let attribute = schema.attribute_type(name).unwrap();
        assert!(attribute.substring.is_some() && attribute.ordering.is_some(), "{name}");
    }
    for name in ["facsimileTelephoneNumber", "telephoneNumber", "postalAddress", "homeFax"] {
        assert!(schema.attribute_type(name).unwrap().substring.is_some(), "{name}");
    }
    for name in ["uidNumber", "createTimestamp", "entryUUID", "entryCSN", "mailPreferenceOption"] {
        assert!(schema.attribute_type(name).unwrap().ordering.is_some(), "{name}");
    }
    assert!(schema.attribute_type("userPassword").unwrap().substring.is_none());
    assert!(schema.attribute_type("userPassword").unwrap().ordering.is_none());
}

#[test]
fn kinds_of_attributes_are_told_apart() {
    let schema = Schema::builtin();
    let of = |name: &str| schema.attribute_type(name).unwrap();
    assert!(of("member").is_dn_valued() && of("member").is_membership());
    assert!(!of("uniqueMember").is_dn_valued() && of("uniqueMember").names_entries());
    assert!(of("uniqueMember").may_have_uid() && of("uniqueMember").is_membership());
    assert!(of("memberUid").is_membership() && !of("manager").is_membership());
    assert!(of("userPassword").is_secret() && of("nisSecretKey").is_secret() && !of("cn").is_secret());
    assert!(of("aci").is_operational() && !of("aci").no_user_modification);
    assert!(of("memberOf").is_operational() && of("memberOf").no_user_modification && of("memberOf").is_dn_valued());
    assert!(of("userCertificate").syntax.is_binary_transfer() && !of("jpegPhoto").syntax.is_binary_transfer());
    assert_eq!(of("entryVersion").ordering, Some(MatchingRule::CaseIgnoreOrderingMatch));
}

#[test]
fn names_nobody_defined_are_not_found() {
    let schema = Schema::builtin();
    for name in ["", "nonsense", "cn;lang-de", "2.5.4", "1.1", "*", "+", "çn"] {
        assert!(schema.attribute_type(name).is_none() && schema.object_class(name).is_none(), "{name}");
    }
}

#[test]
fn files_of_an_administrator_add_to_what_is_built_in() {
    let text = "attributeTypes: ( 1.1.1 NAME 'badge' SUP name )\nobjectClasses: ( 1.1.2 NAME 'staff' SUP top AUXILIARY MAY badge )\n";
    let schema = Schema::builtin_and(&[SchemaSource { name: "site.ldif", text }]).unwrap();
    assert!(schema.attribute_type("badge").is_some() && schema.attribute_type("cn").is_some());
    assert_eq!(schema.canonical_oid("STAFF"), Some("1.1.2"));
}
