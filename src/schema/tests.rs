use super::*;

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
