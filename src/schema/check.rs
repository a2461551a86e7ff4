//! Whether a set of object classes and attributes may be an entry (RFC 4512 2.4, 4.1.6).
//!
//! All violations are found, not the first only: whoever repairs an entry wants the whole list. A violation carries
//! names, so that a message can say what to do.
//!
//! Not here: values (`Syntax::validate`), who may write what, naming of the entry, and whether a violation refuses a
//! change: a replicated one is taken in any case (`dit`).

use super::definition::ClassKind;
use super::element::{AttributeType, AttributeTypeIndex, ContentRule, ObjectClass, ObjectClassIndex};
use super::{Schema, Usage};

/// One way in which an entry breaks the schema. Names are spelled as the schema spells them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// No objectClass value at all.
    #[error("the entry has no objectClass: add one that is structural, as inetOrgPerson")]
    NoObjectClass,
    /// A class nobody defined.
    #[error("objectClass {class} is not in the schema: correct the name or add its definition")]
    UnknownClass {
        /// As the client spelled it.
        class: String,
    },
    /// Only abstract and auxiliary classes.
    #[error("the entry has no structural object class: add one beside {classes}, as inetOrgPerson")]
    NoStructuralClass {
        /// The classes present, joined by commas.
        classes: String,
    },
    /// Two structural classes of which neither refines the other.
    #[error("{first} and {second} are both structural and neither refines the other: keep one")]
    TwoStructuralClasses {
        /// The one that came first.
        first: String,
        /// The other one.
        second: String,
    },
    /// An attribute that a class requires is absent.
    #[error("objectClass {class} requires {attribute}: add a value")]
    MissingAttribute {
        /// Who requires it.
        class: String,
        /// What is missing.
        attribute: String,
    },
    /// An attribute that no class of the entry allows.
    #[error("no object class of the entry allows {attribute}: remove it{}", suggestion(.classes))]
    NotAllowedAttribute {
        /// What is not allowed.
        attribute: String,
        /// Auxiliary classes that would allow it; at most three.
        classes: Vec<String>,
    },
    /// Several values of a single-valued attribute. To the client: constraintViolation.
    #[error("{attribute} takes one value and was given {count}: keep one")]
    SeveralValues {
        /// The attribute.
        attribute: String,
        /// How many.
        count: usize,
    },
    /// A content rule does not list this auxiliary class.
    #[error(
        "entries of {class} may not have auxiliary class {auxiliary}: the content rule of {class} does not list it"
    )]
    AuxiliaryNotAllowed {
        /// The structural class.
        class: String,
        /// The auxiliary one.
        auxiliary: String,
    },
    /// A content rule precludes this attribute.
    #[error("entries of {class} may not have {attribute}: the content rule of {class} precludes it")]
    PrecludedAttribute {
        /// The structural class.
        class: String,
        /// The attribute.
        attribute: String,
    },
}

fn suggestion(classes: &[String]) -> String {
    if classes.is_empty() { String::new() } else { format!(", or add objectClass {}", classes.join(" or ")) }
}

/// All ways in which these classes and attributes break the schema; empty when they make an entry.
///
/// `object_classes`: the values of objectClass as written; superior classes need not be listed. `attributes`: one item
/// per attribute description present with the number of its values (descriptions that differ in options only come
/// separately); objectClass itself may be among them. Operational attributes are always allowed. Attributes that the
/// schema does not know are the caller's to refuse.
///
/// Cost: O(attributes × log of what the classes allow).
pub fn check_entry<'s>(
    schema: &'s Schema,
    object_classes: &[&str],
    attributes: impl IntoIterator<Item = (&'s AttributeType, usize)>,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut classes: Vec<&ObjectClass> = Vec::with_capacity(object_classes.len());
    for name in object_classes {
        match schema.object_class(name) {
            Some(class) => classes.push(class),
            None => violations.push(Violation::UnknownClass { class: (*name).to_owned() }),
        }
    }
    let structural = match most_specific(&classes, object_classes) {
        Ok(class) => Some(class),
        // An unknown class may have been the structural one: do not complain twice.
        Err(_) if !violations.is_empty() => None,
        Err(violation) => {
            violations.push(violation);
            None
        }
    };
    if let Some(alone) =
        structural.filter(|class| class.kind == ClassKind::Auxiliary).and_then(|class| class.stands_alone)
    {
        classes.push(schema.object_class_at(alone));
    }
    let rule = structural.and_then(|class| schema.content_rule(class.index));
    if let (Some(rule), Some(class)) = (rule, structural) {
        check_auxiliaries(rule, class, &classes, &mut violations);
    }

    let anything_goes = classes.iter().any(|class| class.oid == EXTENSIBLE_OBJECT);
    let object_class_type = schema.attribute_type("objectClass").map(|known| known.index);
    let mut present: Vec<AttributeTypeIndex> = object_class_type.into_iter().collect();
    for (attribute, count) in attributes {
        present.push(attribute.index);
        if attribute.single_value && count > 1 {
            violations.push(Violation::SeveralValues { attribute: attribute.name().to_owned(), count });
        }
        if attribute.usage != Usage::UserApplications {
            continue;
        }
        if let (Some(rule), Some(class)) = (rule, structural)
            && rule.not.binary_search(&attribute.index).is_ok()
        {
            violations.push(Violation::PrecludedAttribute {
                class: class.name().to_owned(),
                attribute: attribute.name().to_owned(),
            });
            continue;
        }
        if attribute.collective {
            // RFC 3671 2: such attributes stand in subentries of their class alone, and in others are shown only.
            if !classes.iter().any(|class| class.oid == COLLECTIVE_ATTRIBUTE_SUBENTRY) {
                violations.push(Violation::NotAllowedAttribute {
                    attribute: attribute.name().to_owned(),
                    classes: vec!["collectiveAttributeSubentry (to a subentry)".to_owned()],
                });
            }
            continue;
        }
        let allowed = anything_goes
            || classes.iter().any(|class| class.may.binary_search(&attribute.index).is_ok())
            || rule.is_some_and(|rule| {
                rule.may.binary_search(&attribute.index).is_ok() || rule.must.binary_search(&attribute.index).is_ok()
            });
        if !allowed {
            violations.push(Violation::NotAllowedAttribute {
                attribute: attribute.name().to_owned(),
                classes: classes_allowing(schema, attribute.index),
            });
        }
    }

    present.sort_unstable();
    let mut missing: Vec<AttributeTypeIndex> = Vec::new();
    let required = classes.iter().map(|class| (class.name(), class.must.as_slice()));
    let required =
        required.chain(rule.into_iter().zip(structural).map(|(rule, class)| (class.name(), rule.must.as_slice())));
    for (class, must) in required {
        for index in must {
            if present.binary_search(index).is_err() && !missing.contains(index) {
                missing.push(*index);
                violations.push(Violation::MissingAttribute {
                    class: class.to_owned(),
                    attribute: schema.attribute_type_at(*index).name().to_owned(),
                });
            }
        }
    }
    violations
}

/// RFC 3671 2.1.
const COLLECTIVE_ATTRIBUTE_SUBENTRY: &str = "2.5.17.2";
/// RFC 4512 4.3.
const EXTENSIBLE_OBJECT: &str = "1.3.6.1.4.1.1466.101.120.111";

impl Schema {
    /// The most specific structural class among these: what the entry is (RFC 4512 2.4.2), kept as
    /// structuralObjectClass. Without one, an auxiliary class that may stand alone takes its place.
    ///
    /// # Errors
    /// An unknown class, none that is structural, or two of which neither refines the other.
    pub fn structural_class(&self, object_classes: &[&str]) -> Result<&ObjectClass, Violation> {
        let mut classes = Vec::with_capacity(object_classes.len());
        for name in object_classes {
            let class = self.object_class(name);
            classes.push(class.ok_or_else(|| Violation::UnknownClass { class: (*name).to_owned() })?);
        }
        most_specific(&classes, object_classes)
    }

    /// These classes and all they refine, each once, sorted: what a search for a superior class must find.
    pub fn classes_with_superiors(&self, object_classes: &[&str]) -> Vec<ObjectClassIndex> {
        let known = object_classes.iter().filter_map(|name| self.object_class(name));
        let mut all: Vec<_> = known.flat_map(|class| class.superiors.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn most_specific<'s>(classes: &[&'s ObjectClass], spelled: &[&str]) -> Result<&'s ObjectClass, Violation> {
    let mut found: Option<&ObjectClass> = None;
    for class in classes.iter().filter(|class| class.kind == ClassKind::Structural) {
        found = match found {
            Some(other) if other.refines(class.index) => Some(other),
            Some(other) if !class.refines(other.index) => {
                return Err(Violation::TwoStructuralClasses {
                    first: other.name().to_owned(),
                    second: class.name().to_owned(),
                });
            }
            _ => Some(class),
        };
    }
    // Data written for RFC 2307 has posixGroup as its only class.
    let found = found.or_else(|| classes.iter().copied().find(|class| class.stands_alone.is_some()));
    match found {
        Some(class) => Ok(class),
        None if spelled.is_empty() => Err(Violation::NoObjectClass),
        None => Err(Violation::NoStructuralClass { classes: spelled.join(", ") }),
    }
}

fn check_auxiliaries(
    rule: &ContentRule,
    structural: &ObjectClass,
    classes: &[&ObjectClass],
    violations: &mut Vec<Violation>,
) {
    for class in classes.iter().filter(|class| class.kind == ClassKind::Auxiliary) {
        if rule.auxiliary.binary_search(&class.index).is_err() {
            violations.push(Violation::AuxiliaryNotAllowed {
                class: structural.name().to_owned(),
                auxiliary: class.name().to_owned(),
            });
        }
    }
}

fn classes_allowing(schema: &Schema, attribute: AttributeTypeIndex) -> Vec<String> {
    schema
        .object_classes()
        .filter(|class| class.kind == ClassKind::Auxiliary && class.may.binary_search(&attribute).is_ok())
        .take(3)
        .map(|class| class.name().to_owned())
        .collect()
}

#[cfg(test)]
mod tests;
