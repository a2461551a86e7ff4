use super::*;

/// Found by fuzzing: such a list was printed as two names.
#[test]
fn quoted_text_in_a_list_of_elements_is_refused() {
    let text = "( 2.5.6.6 NAME 'person' MUST ( sn $ 'Directory String' ) )";
    assert!(definition::ObjectClassDefinition::parse(text).is_err());
    let text = "( 2.5.4.3 NAME 'cn' SUP 'a name' )";
    assert!(definition::AttributeTypeDefinition::parse(text).is_err());
}

#[test]
fn builtin_schema_is_sound() {
    let schema = Schema::builtin();
    assert!(schema.attribute_types().len() > 250, "{}", schema.attribute_types().len());
    assert!(schema.object_classes().len() > 70, "{}", schema.object_classes().len());
    for attribute in schema.attribute_types() {
        assert_eq!(schema.attribute_type(&attribute.oid).map(|known| known.index), Some(attribute.index));
        assert!(attribute.equality.is_some(), "{}", attribute.name());
    }
}
