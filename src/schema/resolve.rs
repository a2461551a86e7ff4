//! From definitions to a schema: names resolved, superiors found, rules and attributes inherited.
//!
//! Files come from several hands and overlap: an administrator's copy of `inetorgperson` next to ours is the normal
//! case. So a definition may be repeated when it says nothing new (description, origin and suggested length aside): the
//! first one stands. One OID or name with two meanings is refused, and the message names both places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::attribute_options::AttributeOptions;
use super::definition::{AttributeTypeDefinition, ClassKind, ContentRuleDefinition, ObjectClassDefinition};
use super::element::{AttributeType, AttributeTypeIndex, ContentRule, ObjectClass, ObjectClassIndex, extension};
use super::matching_rule::{MatchingRule, RuleKind};
use super::name_table::NameTable;
use super::source::{Definitions, Place, SchemaError, SchemaSource};
use super::syntax::Syntax;
use super::{Schema, definition::SyntaxDefinition};

/// Attributes with values that are sets of members, besides those marked `X-REPL-MERGE 'set'`.
const MEMBERSHIP_NAMES: &[&str] = &["member", "uniqueMember", "memberUid"];
/// Attributes with values that are credentials, besides those marked `X-SECRET 'TRUE'`.
const SECRET_NAMES: &[&str] =
    &["userPassword", "authPassword", "pwdHistory", "sambaNTPassword", "sambaLMPassword", "krbPrincipalKey"];

/// Classes that require what their groups consist of.
const GROUPS: &[(&str, &str)] = &[("2.5.6.9", "member"), ("2.5.6.17", "uniqueMember")];

/// The schema of these sources; with `empty_groups` what [`GROUPS`] require is only allowed.
pub(super) fn resolve(sources: &[SchemaSource<'_>], empty_groups: bool) -> Result<Schema, SchemaError> {
    let mut definitions = Definitions::default();
    for source in sources {
        definitions.read(source)?;
    }
    if empty_groups {
        definitions.object_classes.iter_mut().for_each(|(_, class)| let_be_empty(class));
    }
    let Definitions { attribute_types, object_classes, content_rules, syntaxes, .. } = definitions;
    let syntax_names = Syntaxes::new(syntaxes)?;

    let (attribute_definitions, attribute_names) = register(attribute_types, "attribute type", &NameTable::default())?;
    let attribute_types = resolve_attribute_types(&attribute_definitions, &attribute_names, &syntax_names)?;
    let (class_definitions, class_names) = register(object_classes, "object class", &attribute_names)?;
    let object_classes = resolve_object_classes(&class_definitions, &class_names, &attribute_names)?;

    static IDENTITIES: AtomicU64 = AtomicU64::new(1);
    let mut schema = Schema {
        empty_groups,
        options: AttributeOptions::default(),
        files: Arc::default(),
        online: Vec::new(),
        extends: Vec::new(),
        identity: IDENTITIES.fetch_add(1, Ordering::Relaxed),
        attribute_types,
        attribute_names,
        object_classes,
        class_names,
        content_rules: Vec::new(),
        substituted_syntaxes: syntax_names.substituted.into_values().map(|(_, definition)| definition).collect(),
    };
    let mut rules = Vec::new();
    for (place, definition) in content_rules {
        rules.push(resolve_content_rule(&schema, place, definition)?);
    }
    schema.content_rules = rules;
    Ok(schema)
}

fn let_be_empty(class: &mut ObjectClassDefinition) {
    let Some((_, members)) = GROUPS.iter().find(|(oid, _)| *oid == class.oid) else { return };
    let (moved, must) =
        std::mem::take(&mut class.must).into_iter().partition(|name| name.eq_ignore_ascii_case(members));
    let moved: Vec<String> = moved;
    class.must = must;
    class.may.extend(moved);
}

/// What registering needs to know of a definition.
trait Named {
    fn oid(&self) -> &str;
    fn names(&self) -> &[String];
    /// Whether `other`, which came later, says nothing new: description, extensions and suggested length aside, it may
    /// only leave out.
    /// `attributes` knows which names of attributes are one.
    fn covers(&self, other: &Self, attributes: &NameTable) -> bool;
}

impl Named for AttributeTypeDefinition {
    fn oid(&self) -> &str {
        &self.oid
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn covers(&self, other: &Self, _attributes: &NameTable) -> bool {
        covers_words(&self.names, &other.names)
            && same_word(self.superior.as_ref(), other.superior.as_ref())
            && compatible_rule(self.equality.as_ref(), other.equality.as_ref())
            && compatible_rule(self.ordering.as_ref(), other.ordering.as_ref())
            && compatible_rule(self.substring.as_ref(), other.substring.as_ref())
            && self.syntax == other.syntax
            && self.single_value == other.single_value
            && self.collective == other.collective
            && self.no_user_modification == other.no_user_modification
            && self.usage == other.usage
    }
}

impl Named for ObjectClassDefinition {
    fn oid(&self) -> &str {
        &self.oid
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn covers(&self, other: &Self, attributes: &NameTable) -> bool {
        let contains = |all: &[String], some: &[String]| {
            some.iter().all(|word| {
                let position = attributes.find(word);
                all.iter().any(|known| {
                    known.eq_ignore_ascii_case(word) || (position.is_some() && attributes.find(known) == position)
                })
            })
        };
        covers_words(&self.names, &other.names)
            && covers_words(&self.superiors, &other.superiors)
            && self.kind == other.kind
            && contains(&self.must, &other.must)
            && contains(&other.must, &self.must)
            && contains(&self.may, &other.may)
    }
}

fn same_word(left: Option<&String>, right: Option<&String>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => left.eq_ignore_ascii_case(right),
        (None, None) => true,
        _ => false,
    }
}

/// Whether two definitions can live with one rule. A rule that only one of them declares is no contradiction: types
/// without a rule get the one natural to their syntax anyway.
fn compatible_rule(left: Option<&String>, right: Option<&String>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => {
            left.eq_ignore_ascii_case(right)
                || MatchingRule::find(left).is_some_and(|rule| MatchingRule::find(right) == Some(rule))
        }
        _ => true,
    }
}

fn covers_words(all: &[String], some: &[String]) -> bool {
    some.iter().all(|word| all.iter().any(|other| other.eq_ignore_ascii_case(word)))
}

type Registered<'a, T> = (Vec<(Place<'a>, T)>, NameTable);

/// Drops repetitions, refuses clashes, and gives every OID and name its position.
fn register<'a, T: Named>(
    found: Vec<(Place<'a>, T)>,
    element: &str,
    attributes: &NameTable,
) -> Result<Registered<'a, T>, SchemaError> {
    let mut kept: Vec<(Place<'a>, T)> = Vec::with_capacity(found.len());
    let mut table = NameTable::default();
    for (place, definition) in found {
        if let Some((other_place, other)) = table.find(definition.oid()).and_then(|position| kept.get(position)) {
            if other.oid() == definition.oid() && other.covers(&definition, attributes) {
                continue;
            }
            return Err(place.error(format!(
                "{element} {} is defined differently at {other_place}: remove one of the two or give this one an OID of its own",
                definition.oid()
            )));
        }
        let position = position_of(kept.len());
        let words = std::iter::once(definition.oid()).chain(definition.names().iter().map(String::as_str));
        for word in words {
            if let Err(taken) = table.insert(word, position)
                && taken != position
            {
                let other_place = kept.get(taken as usize).map_or(place, |(place, _)| *place);
                return Err(place.error(format!(
                    "{element} name '{word}' is taken at {other_place}: choose another name for {}",
                    definition.oid()
                )));
            }
        }
        kept.push((place, definition));
    }
    Ok((kept, table))
}

fn position_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Positions such that every element comes after its superiors; cycles are refused.
fn superiors_first(
    count: usize,
    superiors: impl Fn(usize) -> Vec<usize>,
    cycle: impl Fn(usize) -> SchemaError,
) -> Result<Vec<usize>, SchemaError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; count];
    let mut order = Vec::with_capacity(count);
    for start in 0..count {
        // Depth first with a stack of our own: files may hold chains of any length.
        let mut stack = vec![(start, false)];
        while let Some((position, leaving)) = stack.pop() {
            let Some(mark) = marks.get_mut(position) else { continue };
            match (*mark, leaving) {
                (_, true) => {
                    *mark = Mark::Done;
                    order.push(position);
                }
                (Mark::Done, false) => {}
                (Mark::Open, false) => return Err(cycle(position)),
                (Mark::New, false) => {
                    *mark = Mark::Open;
                    stack.push((position, true));
                    stack.extend(superiors(position).into_iter().map(|superior| (superior, false)));
                }
            }
        }
    }
    Ok(order)
}

/// Syntaxes by OID, those defined in files by `X-SUBST` among them.
struct Syntaxes {
    substituted: BTreeMap<String, (Syntax, SyntaxDefinition)>,
}

impl Syntaxes {
    fn new(definitions: Vec<(Place<'_>, SyntaxDefinition)>) -> Result<Self, SchemaError> {
        let mut substituted = BTreeMap::new();
        for (place, definition) in definitions {
            if Syntax::from_oid(&definition.oid).is_some() {
                continue;
            }
            let Some(base) = extension(&definition.extensions, "X-SUBST").and_then(Syntax::from_oid) else {
                return Err(place.error(format!(
                    "syntax {} is unknown: add X-SUBST with the OID of a known syntax that judges its values",
                    definition.oid
                )));
            };
            substituted.insert(definition.oid.clone(), (base, definition));
        }
        Ok(Self { substituted })
    }

    fn find(&self, oid: &str) -> Option<Syntax> {
        Syntax::from_oid(oid).or_else(|| self.substituted.get(oid).map(|(syntax, _)| *syntax))
    }
}

fn resolve_attribute_types(
    definitions: &[(Place<'_>, AttributeTypeDefinition)],
    names: &NameTable,
    syntaxes: &Syntaxes,
) -> Result<Vec<AttributeType>, SchemaError> {
    let mut superiors: Vec<Option<usize>> = Vec::with_capacity(definitions.len());
    for (place, definition) in definitions {
        let superior = match &definition.superior {
            None => None,
            Some(word) => Some(names.find(word).ok_or_else(|| {
                place.error(format!("SUP {word} is no known attribute type: define it or correct the name"))
            })?),
        };
        superiors.push(superior);
    }
    let superior_of = |position: usize| superiors.get(position).copied().flatten();
    let order = superiors_first(
        definitions.len(),
        |position| superior_of(position).into_iter().collect(),
        |position| match definitions.get(position) {
            Some((place, definition)) => {
                place.error(format!("attribute type {} refines itself through SUP: break the circle", definition.oid))
            }
            None => Place { source: "", line: 0 }.error("attribute types refine each other in a circle"),
        },
    )?;
    let mut resolved: Vec<Option<AttributeType>> = vec![None; definitions.len()];
    for position in order {
        let Some((place, definition)) = definitions.get(position) else { continue };
        let superior = superior_of(position).and_then(|at| resolved.get(at)?.as_ref());
        let attribute = attribute_type(*place, definition, position_of(position), superior, syntaxes)?;
        if let Some(slot) = resolved.get_mut(position) {
            *slot = Some(attribute);
        }
    }
    let mut types: Vec<AttributeType> = resolved.into_iter().flatten().collect();
    for position in 0..types.len() {
        let mut above = Some(position);
        while let Some(superior) = above {
            if let Some(superior_type) = types.get_mut(superior) {
                superior_type.subtypes.push(AttributeTypeIndex(position_of(position)));
            }
            above = superior_of(superior);
        }
    }
    Ok(types)
}

fn attribute_type(
    place: Place<'_>,
    definition: &AttributeTypeDefinition,
    position: u32,
    superior: Option<&AttributeType>,
    syntaxes: &Syntaxes,
) -> Result<AttributeType, SchemaError> {
    let syntax = match (&definition.syntax, superior) {
        (Some(oid), _) => syntaxes.find(oid).ok_or_else(|| {
            place.error(format!(
                "SYNTAX {oid} is unknown: use one of RFC 4517, or add an ldapSyntaxes definition with X-SUBST"
            ))
        })?,
        (None, Some(superior)) => superior.syntax,
        (None, None) => return Err(place.error("an attribute type needs SYNTAX or SUP")),
    };
    if let Some(superior) = superior
        && superior.usage != definition.usage
    {
        return Err(place.error(format!(
            "USAGE is {} but SUP {} has {}: write the same USAGE",
            definition.usage.name(),
            superior.name(),
            superior.usage.name()
        )));
    }
    let declared = |word: Option<&String>, kind: RuleKind| match word {
        None => Ok(None),
        Some(word) => match MatchingRule::find(word) {
            Some(rule) if rule.kind() == kind => Ok(Some(rule)),
            Some(rule) => Err(place.error(format!("{} is no rule of this kind: see its name", rule.name()))),
            None => Err(place.error(format!("matching rule {word} is unknown: use one of RFC 4517"))),
        },
    };
    let equality = declared(definition.equality.as_ref(), RuleKind::Equality)?
        .or_else(|| superior.and_then(|superior| superior.equality))
        .unwrap_or_else(|| syntax.natural_equality());
    let ordering = declared(definition.ordering.as_ref(), RuleKind::Ordering)?
        .or_else(|| superior.and_then(|superior| superior.ordering))
        .or_else(|| equality.natural_ordering());
    let substring = declared(definition.substring.as_ref(), RuleKind::Substring)?
        .or_else(|| superior.and_then(|superior| superior.substring))
        .or_else(|| equality.natural_substring());
    let named =
        |list: &[&str]| definition.names.iter().any(|name| list.iter().any(|known| known.eq_ignore_ascii_case(name)));
    let marked = |keyword: &str, word: &str| {
        extension(&definition.extensions, keyword).is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    Ok(AttributeType {
        index: AttributeTypeIndex(position),
        oid: definition.oid.clone(),
        names: definition.names.clone(),
        superior: superior.map(|superior| superior.index),
        subtypes: Vec::new(),
        equality: Some(equality),
        ordering,
        substring,
        syntax,
        single_value: definition.single_value,
        collective: definition.collective || superior.is_some_and(|superior| superior.collective),
        no_user_modification: definition.no_user_modification,
        usage: definition.usage,
        obsolete: definition.obsolete,
        description: definition.description.clone(),
        length_bound: definition.length_bound.or_else(|| superior.and_then(|superior| superior.length_bound)),
        extensions: definition.extensions.clone(),
        definition: definition.clone(),
        membership: named(MEMBERSHIP_NAMES) || marked("X-REPL-MERGE", "set"),
        sealed: marked("X-SEALED", "TRUE"),
        volatile: marked("X-VOLATILE", "TRUE"),
        secret: named(SECRET_NAMES) || marked("X-SECRET", "TRUE") || superior.is_some_and(|superior| superior.secret),
    })
}

fn resolve_object_classes(
    definitions: &[(Place<'_>, ObjectClassDefinition)],
    names: &NameTable,
    attribute_names: &NameTable,
) -> Result<Vec<ObjectClass>, SchemaError> {
    let mut superiors: Vec<Vec<usize>> = Vec::with_capacity(definitions.len());
    for (place, definition) in definitions {
        let mut above = Vec::new();
        for word in &definition.superiors {
            above.push(names.find(word).ok_or_else(|| {
                place.error(format!("SUP {word} is no known object class: define it or correct the name"))
            })?);
        }
        // Every class but top itself refines top, said or not (RFC 4512 2.4.1).
        if above.is_empty()
            && let Some(top) = names.find("top")
            && definition.kind != ClassKind::Abstract
        {
            above.push(top);
        }
        superiors.push(above);
    }
    let order = superiors_first(
        definitions.len(),
        |position| superiors.get(position).cloned().unwrap_or_default(),
        |position| match definitions.get(position) {
            Some((place, definition)) => {
                place.error(format!("object class {} refines itself through SUP: break the circle", definition.oid))
            }
            None => Place { source: "", line: 0 }.error("object classes refine each other in a circle"),
        },
    )?;
    let mut resolved: Vec<Option<ObjectClass>> = vec![None; definitions.len()];
    for position in order {
        let Some((place, definition)) = definitions.get(position) else { continue };
        let index = ObjectClassIndex(position_of(position));
        let mut class = ObjectClass {
            index,
            oid: definition.oid.clone(),
            names: definition.names.clone(),
            kind: definition.kind,
            superiors: vec![index],
            must: attribute_list(*place, &definition.must, attribute_names)?,
            may: attribute_list(*place, &definition.may, attribute_names)?,
            obsolete: definition.obsolete,
            description: definition.description.clone(),
            stands_alone: match extension(&definition.extensions, "X-STANDS-ALONE") {
                None => None,
                Some(word) => Some(names.find(word).map(|at| ObjectClassIndex(position_of(at))).ok_or_else(|| {
                    place
                        .error(format!("X-STANDS-ALONE {word} is no known object class: define it or correct the name"))
                })?),
            },
            definition: definition.clone(),
        };
        for above in superiors.get(position).into_iter().flatten() {
            let Some(superior) = resolved.get(*above).and_then(Option::as_ref) else { continue };
            let kinds_fit = match class.kind {
                ClassKind::Abstract => superior.kind == ClassKind::Abstract,
                ClassKind::Structural => superior.kind != ClassKind::Auxiliary,
                ClassKind::Auxiliary => superior.kind != ClassKind::Structural,
            };
            if !kinds_fit {
                return Err(place.error(format!(
                    "{} class {} cannot refine {} class {} (RFC 4512 2.4): change SUP or the kind",
                    class.kind.name(),
                    class.name(),
                    superior.kind.name(),
                    superior.name()
                )));
            }
            class.superiors.extend_from_slice(&superior.superiors);
            class.must.extend_from_slice(&superior.must);
            class.may.extend_from_slice(&superior.may);
        }
        class.may.extend_from_slice(&class.must);
        tidy(&mut class.superiors);
        tidy(&mut class.must);
        tidy(&mut class.may);
        if let Some(slot) = resolved.get_mut(position) {
            *slot = Some(class);
        }
    }
    Ok(resolved.into_iter().flatten().collect())
}

fn tidy<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}

fn attribute_list(
    place: Place<'_>,
    words: &[String],
    names: &NameTable,
) -> Result<Vec<AttributeTypeIndex>, SchemaError> {
    let mut list = Vec::with_capacity(words.len());
    for word in words {
        let position = names.find(word).ok_or_else(|| {
            place.error(format!("{word} is no known attribute type: define it or take it out of this list"))
        })?;
        list.push(AttributeTypeIndex(position_of(position)));
    }
    tidy(&mut list);
    Ok(list)
}

fn resolve_content_rule(
    schema: &Schema,
    place: Place<'_>,
    definition: ContentRuleDefinition,
) -> Result<ContentRule, SchemaError> {
    let class = schema.object_class(&definition.oid).filter(|class| class.kind == ClassKind::Structural);
    let class = class.ok_or_else(|| {
        place.error(format!(
            "{} is no structural object class: a content rule begins with the OID of one",
            definition.oid
        ))
    })?;
    if schema.content_rule(class.index).is_some() {
        return Err(place.error(format!("class {} has a content rule already: keep one", class.name())));
    }
    let mut auxiliary = Vec::new();
    for word in &definition.auxiliary {
        let known = schema.object_class(word).filter(|class| class.kind == ClassKind::Auxiliary);
        auxiliary.push(known.map(|class| class.index).ok_or_else(|| {
            place.error(format!("AUX {word} is no known auxiliary class: define it or take it out of this list"))
        })?);
    }
    tidy(&mut auxiliary);
    let names = &schema.attribute_names;
    Ok(ContentRule {
        class: class.index,
        auxiliary,
        must: attribute_list(place, &definition.must, names)?,
        may: attribute_list(place, &definition.may, names)?,
        not: attribute_list(place, &definition.not, names)?,
        definition,
    })
}

#[cfg(test)]
mod tests;
