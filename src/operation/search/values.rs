//! Matched values (RFC 3876): of an entry's values only those are sent that fit an item of a filter.

use crate::model::{Attribute, AttributeDescription, Filter};
use crate::schema::Schema;
use crate::search::{CompiledFilter, evaluate_attributes};

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::operation) struct ValuesFilter {
    items: Vec<CompiledFilter>,
}

impl ValuesFilter {
    pub(super) fn new(schema: &Schema, items: &[Filter<'_>]) -> Self {
        Self { items: items.iter().map(|item| CompiledFilter::compile(schema, item)).collect() }
    }

    /// Leaves the values of an attribute that fit an item. `name`: its description.
    pub(in crate::operation) fn retain(&self, schema: &Schema, name: &str, values: &mut Vec<Vec<u8>>) {
        let Ok(description) = AttributeDescription::parse(name) else { return values.clear() };
        let mut one = [Attribute { description, values: vec![Vec::new()] }];
        values.retain_mut(|value| {
            let [attribute] = &mut one;
            if let Some(place) = attribute.values.first_mut() {
                std::mem::swap(place, value);
            }
            let fits = self.items.iter().any(|item| evaluate_attributes(item, schema, &one).is_true());
            let [attribute] = &mut one;
            if let Some(place) = attribute.values.first_mut() {
                std::mem::swap(place, value);
            }
            fits
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_fit_no_item_go() {
        let schema = Schema::builtin();
        let items = ["(cn=ann*)", "(mail=*@example.com)", "(uidNumber>=5)"].map(|text| Filter::parse(text).unwrap());
        let filter = ValuesFilter::new(&schema, &items);
        let left = |name: &str, values: &[&str]| {
            let mut values: Vec<Vec<u8>> = values.iter().map(|value| value.as_bytes().to_vec()).collect();
            filter.retain(&schema, name, &mut values);
            values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(left("cn", &["Anna", "Bert", "ANNE"]), ["Anna", "ANNE"]);
        assert_eq!(left("cn;lang-de", &["Anna", "Bert"]), ["Anna"]);
        assert_eq!(left("mail", &["a@example.com", "a@example.org"]), ["a@example.com"]);
        assert_eq!(left("uidNumber", &["4", "5", "10"]), ["5", "10"]);
        assert!(left("sn", &["Anna"]).is_empty());
    }
}
