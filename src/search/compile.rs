//! Filters made ready: attributes resolved, assertion values normalised once.
//!
//! What a filter means depends on the schema only, not on which attributes are stored: numbers of attributes are
//! looked up when an entry is judged, so that a compiled filter may be kept (access rules) while the catalog grows.
//! It must be compiled anew for another schema.
//!
//! What cannot be judged becomes Undefined here and is folded: an AND with an item that is never True finds nothing,
//! without a look at any entry.

use super::assertion::{Order, Parts, Test};
use super::computed::Computed;
use super::evaluate::{Truth, fits};
use super::membership::MEMBER;
use crate::model::attribute::split_options;
use crate::model::{Assertion, AttributeDescription, Dn, Extensible, Filter, Substrings};
use crate::schema::sound::{asked_keys, is_spoken, other_form, telephone_tail};
use crate::schema::{AttributeType, AttributeTypeIndex, MatchingRule, RuleKind, Schema, SubstringPart, split_uid};
use memchr::memmem::Finder;

/// So many items of a filter cost about as much as getting the entry does.
const ITEMS_PER_COST: usize = 8;

/// A filter ready to judge entries of one schema. See the module.
#[derive(Clone, Debug)]
pub struct CompiledFilter {
    pub(super) root: Node,
    /// How many leaves have a `memo` number.
    pub(super) memos: usize,
    types: Vec<AttributeTypeIndex>,
    /// How many items there are to judge an entry by.
    items: usize,
    /// The schema it is for; 0: any.
    schema: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(Truth),
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Leaf(Box<Leaf>),
}

impl Node {
    /// How many items there are.
    fn items(&self) -> usize {
        match self {
            Self::Constant(_) => 0,
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().map(Self::items).sum(),
            Self::Not(node) => node.items(),
            Self::Leaf(_) => 1,
        }
    }

    fn each_leaf(&mut self, see: &mut impl FnMut(&mut Leaf)) {
        match self {
            Self::Constant(_) => {}
            Self::And(nodes) | Self::Or(nodes) => nodes.iter_mut().for_each(|node| node.each_leaf(see)),
            Self::Not(node) => node.each_leaf(see),
            Self::Leaf(leaf) => see(leaf),
        }
    }

    /// Whether some item is so.
    pub(super) fn any_leaf(&self, is_so: &dyn Fn(&Leaf) -> bool) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().any(|node| node.any_leaf(is_so)),
            Self::Not(node) => node.any_leaf(is_so),
            Self::Leaf(leaf) => is_so(leaf),
        }
    }
}

/// One item of a filter.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) subject: Subject,
    /// Options that a description must have, lower case.
    pub(super) options: Vec<String>,
    pub(super) test: Test,
    /// Whether the entry's DN is looked at too.
    pub(super) dn_attributes: bool,
    /// Where what the leaf names is remembered during a search.
    pub(super) memo: usize,
    /// `member`, where members that a search finds count as its values (`dynamic`).
    pub(super) searched: Option<AttributeTypeIndex>,
}

/// Of what attributes an item speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    /// A type and its subtypes.
    Type(AttributeTypeIndex),
    /// A type whose values are computed.
    Computed(AttributeTypeIndex, Computed),
    /// All types that a rule fits.
    Fitting(MatchingRule),
}

impl CompiledFilter {
    /// Compiles `filter` for `schema`. Never fails: what the schema does not know is Undefined.
    pub fn compile(schema: &Schema, filter: &Filter<'_>) -> Self {
        let mut compiler = Compiler { schema, memos: 0, types: Vec::new() };
        let root = compiler.node(filter);
        let items = root.items();
        Self { root, memos: compiler.memos, types: compiler.types, items, schema: schema.identity() }
    }

    /// Whether it may be asked about entries that this schema explains.
    pub fn is_for(&self, schema: &Schema) -> bool {
        self.schema == 0 || schema.understands(self.schema)
    }

    /// Members that groups find by search count as values of their `member` from now on, as clients see them. Not for filters
    /// that say who is a member or may do something: these would ask for themselves.
    #[must_use]
    pub fn with_searched_members(mut self, schema: &Schema) -> Self {
        if let Some(member) = schema.attribute_type(MEMBER)
            && self.is_for(schema)
        {
            self.root.each_leaf(&mut |leaf| {
                let is_meant = match leaf.subject {
                    Subject::Type(index) => schema.attribute_type_at(index).subtypes.contains(&member.index),
                    Subject::Computed(..) => false,
                    Subject::Fitting(rule) => fits(rule, schema, member.index),
                };
                leaf.searched = (is_meant && leaf.options.is_empty()).then_some(member.index);
            });
        }
        self
    }

    /// The filter that is true of every entry, `(&)`.
    pub fn everything() -> Self {
        Self { root: Node::Constant(Truth::True), memos: 0, types: Vec::new(), items: 0, schema: 0 }
    }

    /// What judging one entry costs, in entries that are judged by a plain filter.
    pub(super) fn cost(&self) -> usize {
        1 + self.items / ITEMS_PER_COST
    }

    /// The attribute types that the filter looks at, each once: those that it names, and their subtypes.
    pub fn attribute_types(&self) -> &[AttributeTypeIndex] {
        &self.types
    }
}

struct Compiler<'s> {
    schema: &'s Schema,
    memos: usize,
    types: Vec<AttributeTypeIndex>,
}

impl<'s> Compiler<'s> {
    fn node(&mut self, filter: &Filter<'_>) -> Node {
        let leaf = match filter {
            Filter::And(filters) => return self.all(filters),
            Filter::Or(filters) => return self.any(filters),
            Filter::Not(filter) => {
                return match self.node(filter) {
                    Node::Constant(truth) => Node::Constant(truth.negated()),
                    node => Node::Not(Box::new(node)),
                };
            }
            Filter::Equality(assertion) => {
                if let Some(node) = self.class(assertion) {
                    return node;
                }
                self.equality(assertion)
            }
            Filter::Substrings(substrings) => self.substrings(substrings),
            Filter::GreaterOrEqual(assertion) => self.ordered(assertion, Order::AtLeast),
            Filter::LessOrEqual(assertion) => self.ordered(assertion, Order::AtMost),
            Filter::Present(attribute) => self.present(attribute),
            Filter::Approx(assertion) => self.approx(assertion),
            Filter::Extensible(extensible) => self.extensible(extensible),
        };
        match leaf {
            Some(leaf) => match other_number(filter, &leaf) {
                Some(other) => Node::Or([leaf, other].map(|leaf| Node::Leaf(Box::new(leaf))).into()),
                None => Node::Leaf(Box::new(leaf)),
            },
            None => Node::Constant(Truth::Undefined),
        }
    }

    fn all(&mut self, filters: &[Filter<'_>]) -> Node {
        let mut nodes = Vec::with_capacity(filters.len());
        for filter in filters {
            match self.node(filter) {
                Node::Constant(Truth::True) => {}
                Node::Constant(Truth::False) => return Node::Constant(Truth::False),
                Node::And(inner) => nodes.extend(inner),
                node => nodes.push(node),
            }
        }
        match nodes.len() {
            0 => Node::Constant(Truth::True),
            1 => nodes.pop().unwrap_or(Node::Constant(Truth::True)),
            _ => Node::And(nodes),
        }
    }

    fn any(&mut self, filters: &[Filter<'_>]) -> Node {
        let mut nodes = Vec::with_capacity(filters.len());
        let mut undefined = false;
        for filter in filters {
            match self.node(filter) {
                Node::Constant(Truth::False) => {}
                Node::Constant(Truth::True) => return Node::Constant(Truth::True),
                // One is enough to keep the OR from being False, which a NOT around it would notice.
                Node::Constant(Truth::Undefined) if undefined => {}
                Node::Constant(Truth::Undefined) => {
                    undefined = true;
                    nodes.push(Node::Constant(Truth::Undefined));
                }
                Node::Or(inner) => nodes.extend(inner),
                node => nodes.push(node),
            }
        }
        match nodes.len() {
            0 => Node::Constant(Truth::False),
            1 => nodes.pop().unwrap_or(Node::Constant(Truth::False)),
            _ => Node::Or(nodes),
        }
    }

    /// The attribute type and the options of a description; `None` when the schema does not know it.
    fn attribute(&mut self, description: &str) -> Option<(&'s AttributeType, Vec<String>)> {
        let (name, options) = split_options(description);
        let found = self.schema.attribute_type(name)?;
        let options = if options.is_empty() {
            Vec::new()
        } else {
            let parsed = AttributeDescription::parse(description).ok()?;
            if self.schema.attribute_options().unknown_in(&parsed).is_some() {
                return None;
            }
            // How values travel is no property of the values (RFC 4522 3).
            parsed.options().iter().filter(|option| *option != "binary").cloned().collect()
        };
        for index in std::iter::once(&found.index).chain(&found.subtypes) {
            if !self.types.contains(index) {
                self.types.push(*index);
            }
        }
        Some((found, options))
    }

    fn leaf(&mut self, attribute_type: &AttributeType, options: Vec<String>, test: Test) -> Leaf {
        let subject = match Computed::of(attribute_type) {
            Some(computed) if options.is_empty() => Subject::Computed(attribute_type.index, computed),
            _ => Subject::Type(attribute_type.index),
        };
        self.leaf_of(subject, options, test)
    }

    fn leaf_of(&mut self, subject: Subject, options: Vec<String>, test: Test) -> Leaf {
        let memo = self.memos;
        if matches!(test, Test::Names { .. } | Test::Chain { .. }) {
            self.memos += 1;
        }
        Leaf { subject, options, test, dn_attributes: false, memo, searched: None }
    }

    fn present(&mut self, attribute: &str) -> Option<Leaf> {
        let (found, options) = self.attribute(attribute)?;
        let always = match Computed::of(found) {
            Some(computed) => !computed.may_be_absent(),
            None => found.oid == OBJECT_CLASS,
        };
        let test = if always && options.is_empty() { Test::Always } else { Test::Present };
        Some(self.leaf(found, options, test))
    }

    fn equality(&mut self, assertion: &Assertion<'_>) -> Option<Leaf> {
        let (found, options) = self.attribute(&assertion.attribute)?;
        let test = match Computed::of(found).and_then(|computed| computed.alias_of_uuid(&assertion.value)) {
            // Another form of the entryUUID is looked up by that.
            Some(uuid) => {
                Test::Equal { rule: MatchingRule::UuidMatch, key: uuid.0.to_vec(), raw: assertion.value.to_vec() }
            }
            None => self.equal_or_dialled(found.equality?, &assertion.value)?,
        };
        Some(self.leaf(found, options, test))
    }

    /// A telephone number without its country is what somebody dialled: telephones look up callers so. With a plus sign,
    /// or by naming the rule, a client asks for this very number (RFC 4517 4.2.29).
    fn equal_or_dialled(&self, rule: MatchingRule, value: &[u8]) -> Option<Test> {
        if rule == MatchingRule::TelephoneNumberMatch {
            let key = self.key(rule, value)?;
            if !key.starts_with(b"+") && telephone_tail(&key).is_some() {
                return Some(Test::Dialled { key });
            }
        }
        self.equal(rule, value)
    }

    /// An entry is of a class when it is of one that refines it, whether its values say both or not (RFC 4512 2.4.1).
    /// `None`: no class that others refine.
    fn class(&mut self, assertion: &Assertion<'_>) -> Option<Node> {
        let schema = self.schema;
        let (name, options) = split_options(&assertion.attribute);
        let found = schema.attribute_type(name).filter(|found| found.oid == OBJECT_CLASS && options.is_empty())?;
        // Blanks around a class are insignificant here as they are where its values are compared.
        let class = schema.object_class(std::str::from_utf8(&assertion.value).ok()?.trim())?;
        let rule = found.equality?;
        let mut tests = vec![self.equal(rule, &assertion.value)?];
        for refining in schema.object_classes() {
            if refining.index != class.index && refining.refines(class.index) {
                tests.push(self.equal(rule, refining.name().as_bytes())?);
            }
        }
        if tests.len() == 1 {
            return None;
        }
        if tests.len() == schema.object_classes().len() {
            // Every class refines top.
            return Some(Node::Leaf(Box::new(self.present(&assertion.attribute)?)));
        }
        self.attribute(&assertion.attribute)?;
        let leaves = tests.into_iter().map(|test| Node::Leaf(Box::new(self.leaf(found, Vec::new(), test))));
        Some(Node::Or(leaves.collect()))
    }

    fn equal(&self, rule: MatchingRule, value: &[u8]) -> Option<Test> {
        let has_uid = || std::str::from_utf8(value).is_ok_and(|text| split_uid(text).1.is_some());
        // A name without a UID is equal to names without one (RFC 4517 4.2.31).
        if rule == MatchingRule::DistinguishedNameMatch || (rule == MatchingRule::UniqueMemberMatch && !has_uid()) {
            let dn = Dn::parse_bytes(value).ok()?;
            let key = self.schema.dn_key(&dn);
            return Some(Test::Names { dn, key });
        }
        if rule == MatchingRule::InChainMatch {
            return Some(Test::Chain { dn: Dn::parse_bytes(value).ok()? });
        }
        if !rule.is_key_rule() {
            return Some(Test::Rule { rule, assertion: value.to_vec() });
        }
        Some(Test::Equal { rule, key: self.key(rule, value)?, raw: value.to_vec() })
    }

    fn ordered(&mut self, assertion: &Assertion<'_>, order: Order) -> Option<Leaf> {
        let (found, options) = self.attribute(&assertion.attribute)?;
        let rule = found.ordering?;
        let key = self.key(rule, &assertion.value)?;
        Some(self.leaf(found, options, Test::Ordered { rule, key, order }))
    }

    fn approx(&mut self, assertion: &Assertion<'_>) -> Option<Leaf> {
        let (found, options) = self.attribute(&assertion.attribute)?;
        let rule = found.equality?;
        let test = if is_spoken(rule) {
            let key = self.key(rule, &assertion.value)?;
            let words = asked_keys(rule, &key);
            Test::Sounds { rule, key, words }
        } else {
            self.equal_or_dialled(rule, &assertion.value)?
        };
        Some(self.leaf(found, options, test))
    }

    fn substrings(&mut self, substrings: &Substrings<'_>) -> Option<Leaf> {
        let (found, options) = self.attribute(&substrings.attribute)?;
        // Generous to attributes whose definition names no rule for substrings: that of their equality serves.
        let rule = found.substring.or(found.equality)?;
        let any: Vec<&[u8]> = substrings.any.iter().map(AsRef::as_ref).collect();
        let parts = parts_of(rule, substrings.initial.as_deref(), &any, substrings.last.as_deref())?;
        Some(self.leaf(found, options, Test::Contains(parts)))
    }

    fn extensible(&mut self, extensible: &Extensible<'_>) -> Option<Leaf> {
        let rule = match &extensible.rule {
            Some(name) => Some(self.schema.matching_rule(name)?),
            None => None,
        };
        let mut leaf = match &extensible.attribute {
            Some(attribute) => {
                let (found, options) = self.attribute(attribute)?;
                let rule = rule.or(found.equality)?;
                if rule == MatchingRule::InChainMatch && !found.names_entries() {
                    return None;
                }
                let test = self.extensible_test(rule, &extensible.value)?;
                self.leaf(found, options, test)
            }
            None => {
                let rule = rule.filter(|rule| *rule != MatchingRule::InChainMatch)?;
                let test = self.extensible_test(rule, &extensible.value)?;
                self.leaf_of(Subject::Fitting(rule), Vec::new(), test)
            }
        };
        leaf.dn_attributes = extensible.dn_attributes;
        Some(leaf)
    }

    fn extensible_test(&self, rule: MatchingRule, value: &[u8]) -> Option<Test> {
        match rule.kind() {
            RuleKind::Equality => self.equal(rule, value),
            // An ordering rule by name is true of what comes before the assertion (X.520).
            RuleKind::Ordering => Some(Test::Ordered { rule, key: self.key(rule, value)?, order: Order::Before }),
            RuleKind::Substring => substring_assertion(rule, value).map(Test::Contains),
        }
    }

    fn key(&self, rule: MatchingRule, value: &[u8]) -> Option<Vec<u8>> {
        let mut key = Vec::with_capacity(value.len());
        rule.key(self.schema, value, &mut key).ok()?;
        Some(key)
    }
}

/// The item for the other form of the international number that `leaf` asks for, or for the beginning of one
/// ([`other_form`]); not where the client names a rule.
fn other_number(filter: &Filter<'_>, leaf: &Leaf) -> Option<Leaf> {
    let is_meant = |rule: MatchingRule| rule.shares_key(MatchingRule::TelephoneNumberMatch);
    let test = match (filter, &leaf.test) {
        (Filter::Extensible(_), _) => None,
        (_, Test::Equal { rule, key, .. }) if is_meant(*rule) => {
            let key = other_form(key)?;
            Some(Test::Equal { rule: *rule, raw: key.clone(), key })
        }
        (_, Test::Contains(parts)) if is_meant(parts.rule) => parts.with_first(other_form).map(Test::Contains),
        _ => None,
    };
    test.map(|test| Leaf { test, ..leaf.clone() })
}

/// objectClass, which every entry has.
pub(super) const OBJECT_CLASS: &str = "2.5.4.0";

fn parts_of(rule: MatchingRule, initial: Option<&[u8]>, any: &[&[u8]], last: Option<&[u8]>) -> Option<Parts> {
    let key = |part: SubstringPart, value: &[u8]| {
        let mut key = Vec::with_capacity(value.len());
        rule.substring_key(part, value, &mut key).ok()?;
        Some(key)
    };
    let initial = initial.map(|value| key(SubstringPart::Initial, value).ok_or(())).transpose().ok()?;
    let last = last.map(|value| key(SubstringPart::Last, value).ok_or(())).transpose().ok()?;
    let mut parts = Vec::with_capacity(any.len());
    for value in any {
        parts.push(Finder::new(&key(SubstringPart::Any, value)?).into_owned());
    }
    Some(Parts { rule, initial, any: parts, last })
}

/// `a*b*c` as a value (RFC 4517 3.3.30): `\2A` is an asterisk, `\5C` a backslash.
fn substring_assertion(rule: MatchingRule, value: &[u8]) -> Option<Parts> {
    let mut pieces: Vec<Vec<u8>> = vec![Vec::new()];
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'*', _) => pieces.push(Vec::new()),
            (b'\\', [b'2', b'a' | b'A', after @ ..]) => {
                pieces.last_mut()?.push(b'*');
                rest = after;
            }
            (b'\\', [b'5', b'c' | b'C', after @ ..]) => {
                pieces.last_mut()?.push(b'\\');
                rest = after;
            }
            _ => pieces.last_mut()?.push(byte),
        }
    }
    if pieces.len() < 2 {
        return None;
    }
    let last = pieces.pop().filter(|piece| !piece.is_empty());
    let mut pieces = pieces.into_iter();
    let initial = pieces.next().filter(|piece| !piece.is_empty());
    let any: Vec<Vec<u8>> = pieces.filter(|piece| !piece.is_empty()).collect();
    if initial.is_none() && last.is_none() && any.is_empty() {
        return None;
    }
    let any: Vec<&[u8]> = any.iter().map(Vec::as_slice).collect();
    parts_of(rule, initial.as_deref(), &any, last.as_deref())
}
