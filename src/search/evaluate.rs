//! Whether an entry matches: three-valued, item by item (RFC 4511 4.5.1.7).
//!
//! AND and OR stop at the first item that decides. Values are read where they stand in the record; links are compared
//! by the entryUUID that they hold, so that a rename of the target needs no rendering here. What a filter names (the
//! target of a DN assertion, a chain of links) is looked up once and remembered in the [`Judge`] of a search.

mod searched;
mod truth;

use super::SearchError;
use super::assertion::Test;
use super::collective::Collective;
use super::compile::{CompiledFilter, Leaf, Node, Subject};
use super::computed::Computed;
use super::membership::{chain_to, is_in_a_group, is_member, is_nested_member, list_has};
use super::roles::{has_role, roles_of};
use crate::dit::{AttributeInfo, Entry, View, link_key, text_link_key};
use crate::model::attribute::option_is_meant;
use crate::model::{Attribute, Dn, EntryUuid};
use crate::schema::{AttributeTypeIndex, MatchingRule, Schema};
use crate::state::AttributeId;
use crate::storage::{AttributeSlice, EntryId, IndexKind, VALUE_ENCRYPTED, VALUE_LINKS, VALUE_SPILLED, index_key};
use hashbrown::HashSet;

pub use truth::{AllSearchable, AttributeGate, Truth};

/// Judges one entry. For many, a [`super::SearchRun`] keeps buffers and what the filter names.
///
/// # Errors
/// [`SearchError::Dit`]; [`SearchError::TooLarge`] when a chain of links is too long.
pub fn evaluate<'t>(
    filter: &CompiledFilter,
    view: View<'t>,
    entry: &Entry<'t>,
    gate: &dyn AttributeGate,
) -> Result<Truth, SearchError> {
    Judge::new(filter).judge(filter, view, entry, gate)
}

/// Judges what is no entry of the tree: the root DSE, the subschema, an entry about to be added. DNs are compared by
/// name, chains by their first link.
pub fn evaluate_attributes(filter: &CompiledFilter, schema: &Schema, attributes: &[Attribute]) -> Truth {
    if !filter.is_for(schema) {
        return Truth::Undefined;
    }
    let mut buffer = Vec::new();
    let answer = decide(&filter.root, &mut |leaf: &Leaf| -> Result<Truth, std::convert::Infallible> {
        Ok(attributes_truth(leaf, schema, attributes, &mut buffer))
    });
    match answer {
        Ok(truth) => truth,
    }
}

fn attributes_truth(leaf: &Leaf, schema: &Schema, attributes: &[Attribute], buffer: &mut Vec<u8>) -> Truth {
    if matches!(leaf.test, Test::Always) {
        return Truth::True;
    }
    let mut answer = Truth::False;
    for attribute in attributes {
        let Some(found) = schema.attribute_type(attribute.description.name()) else { continue };
        let meant = match leaf.subject {
            Subject::Type(index) | Subject::Computed(index, _) => {
                schema.attribute_type_at(index).subtypes.contains(&found.index)
            }
            Subject::Fitting(rule) => fits(rule, schema, found.index),
        };
        if !meant || !has_options(attribute.description.options(), &leaf.options) {
            continue;
        }
        for value in &attribute.values {
            match leaf.test.holds(schema, value, buffer) {
                Truth::True => return Truth::True,
                Truth::Undefined => answer = Truth::Undefined,
                Truth::False => {}
            }
        }
    }
    answer
}

/// AND, OR and NOT over whatever judges the items.
fn decide<E>(node: &Node, judge: &mut impl FnMut(&Leaf) -> Result<Truth, E>) -> Result<Truth, E> {
    Ok(match node {
        Node::Constant(truth) => *truth,
        Node::Leaf(leaf) => judge(leaf)?,
        Node::Not(node) => decide(node, judge)?.negated(),
        Node::And(nodes) => {
            let mut answer = Truth::True;
            for node in nodes {
                match decide(node, judge)? {
                    Truth::False => return Ok(Truth::False),
                    Truth::Undefined => answer = Truth::Undefined,
                    Truth::True => {}
                }
            }
            answer
        }
        Node::Or(nodes) => {
            let mut answer = Truth::False;
            for node in nodes {
                match decide(node, judge)? {
                    Truth::True => return Ok(Truth::True),
                    Truth::Undefined => answer = Truth::Undefined,
                    Truth::False => {}
                }
            }
            answer
        }
    })
}

/// Buffers and memories for judging entries by one filter; those of a search live as long as it does.
#[derive(Debug, Default)]
pub(super) struct Judge {
    memos: Vec<Memo>,
    buffer: Vec<u8>,
    /// Read when a filter first looks at a collective attribute.
    collective: Option<Collective>,
}

/// What a leaf names.
#[derive(Debug, Default)]
enum Memo {
    #[default]
    Unknown,
    /// The entry named, if there is one.
    Target(Option<Target>),
    /// All entries whose links lead to the one named.
    Chain(HashSet<EntryId>),
    /// A group, and groups known to lie outside it.
    Group { group: Option<EntryId>, outside: HashSet<EntryId> },
}

#[derive(Clone, Copy, Debug)]
struct Target {
    id: EntryId,
    uuid: EntryUuid,
}

impl Judge {
    pub(super) fn new(filter: &CompiledFilter) -> Self {
        let mut memos = Vec::new();
        memos.resize_with(filter.memos, Memo::default);
        Self { memos, buffer: Vec::new(), collective: None }
    }

    pub(super) fn judge<'t>(
        &mut self,
        filter: &CompiledFilter,
        view: View<'t>,
        entry: &Entry<'t>,
        gate: &dyn AttributeGate,
    ) -> Result<Truth, SearchError> {
        if !filter.is_for(view.catalog().schema()) {
            return Err(SearchError::SchemaChanged);
        }
        let gate = (!gate.unrestricted()).then_some(gate);
        decide(&filter.root, &mut |leaf: &Leaf| self.leaf(leaf, view, entry, gate))
    }

    fn leaf<'t>(
        &mut self,
        leaf: &Leaf,
        view: View<'t>,
        entry: &Entry<'t>,
        gate: Option<&dyn AttributeGate>,
    ) -> Result<Truth, SearchError> {
        let answer = match leaf.subject {
            Subject::Type(index) => self.of_type(leaf, index, view, entry, gate)?,
            Subject::Computed(index, computed) => {
                if gate.is_some_and(|gate| !gate.searchable(entry, index)) {
                    Truth::Undefined
                } else {
                    self.computed(leaf, computed, view, entry)?
                }
            }
            Subject::Fitting(rule) => self.fitting(leaf, rule, view, entry, gate)?,
        };
        if leaf.dn_attributes && answer != Truth::True {
            return self.in_dn(leaf, view, entry, gate, answer);
        }
        Ok(answer)
    }

    fn of_type<'t>(
        &mut self,
        leaf: &Leaf,
        index: AttributeTypeIndex,
        view: View<'t>,
        entry: &Entry<'t>,
        gate: Option<&dyn AttributeGate>,
    ) -> Result<Truth, SearchError> {
        let always = matches!(leaf.test, Test::Always);
        if always && gate.is_none() {
            return Ok(Truth::True);
        }
        let catalog = view.catalog();
        let mut answer = Truth::False;
        let mut asked = None;
        for &id in catalog.of_type(index) {
            let Some(info) = catalog.attribute(id) else { continue };
            if !leaf.options.is_empty() && !has_options(&info.options, &leaf.options) {
                continue;
            }
            if let (Some(gate), Some(own)) = (gate, info.attribute_type) {
                // Descriptions of one type stand together more often than not.
                let allowed = match asked {
                    Some((of, allowed)) if of == own => allowed,
                    _ => gate.searchable(entry, own),
                };
                asked = Some((own, allowed));
                if !allowed {
                    answer = Truth::Undefined;
                    continue;
                }
            }
            if always {
                return Ok(Truth::True);
            }
            let truth = match entry.attribute(id) {
                Some(_) if matches!(leaf.test, Test::Chain { .. }) => self.chain(leaf, view, entry, gate)?,
                Some(slice) => self.values(leaf, info, &slice, view, entry)?,
                None if info.collective => self.shared(leaf, id, view, entry)?,
                None => continue,
            };
            match truth {
                Truth::True => return Ok(Truth::True),
                Truth::Undefined => answer = Truth::Undefined,
                Truth::False => {}
            }
        }
        self.with_searched(leaf, view, entry, gate, answer)
    }

    /// The values of a collective attribute, which a subentry has for the entry.
    fn shared(
        &mut self,
        leaf: &Leaf,
        id: AttributeId,
        view: View<'_>,
        entry: &Entry<'_>,
    ) -> Result<Truth, SearchError> {
        if self.collective.is_none() {
            self.collective = Some(Collective::load(view)?);
        }
        let Some(collective) = &self.collective else { return Ok(Truth::False) };
        Ok(collective.judge(leaf, id, view, entry, &mut self.buffer)?.unwrap_or(Truth::False))
    }

    /// The stored values of one attribute.
    fn values<'t>(
        &mut self,
        leaf: &Leaf,
        info: &AttributeInfo,
        slice: &AttributeSlice<'t>,
        view: View<'t>,
        entry: &Entry<'t>,
    ) -> Result<Truth, SearchError> {
        let schema = view.catalog().schema();
        match &leaf.test {
            Test::Always | Test::Present => return Ok(Truth::True),
            Test::Names { dn, key } if info.links => {
                return self.links(leaf, (dn, key), info, slice, view, entry);
            }
            Test::Equal { rule, key, .. } if slice.flags & VALUE_SPILLED != 0 && listed(info, leaf, *rule, schema) => {
                let mut normal = Vec::with_capacity(key.len() + 8);
                view.catalog().equality_key(info.base, key, &mut normal);
                return Ok(Truth::from(list_has(view.reader(), &normal, entry.id)?));
            }
            _ => {}
        }
        if slice.flags & (VALUE_SPILLED | VALUE_LINKS | VALUE_ENCRYPTED) == 0 {
            // Most often a value stands as it is asked for: no key is made to see that.
            if let Test::Equal { raw, .. } = &leaf.test
                && slice.values().any(|value| value == raw)
            {
                return Ok(Truth::True);
            }
            return Ok(any_holds(&leaf.test, schema, slice.values(), &mut self.buffer));
        }
        if view.is_current(entry, slice) {
            return Ok(any_holds(&leaf.test, schema, slice.values(), &mut self.buffer));
        }
        let values = view.values(entry, slice)?;
        Ok(any_holds(&leaf.test, schema, values.iter().map(Vec::as_slice), &mut self.buffer))
    }

    /// Whether one of the links leads to the entry named, or one of the plain names is the name.
    fn links<'t>(
        &mut self,
        leaf: &Leaf,
        (dn, key): (&Dn, &[u8]),
        info: &AttributeInfo,
        slice: &AttributeSlice<'t>,
        view: View<'t>,
        entry: &Entry<'t>,
    ) -> Result<Truth, SearchError> {
        let target = self.target(leaf, dn, view)?;
        let schema = view.catalog().schema();
        if slice.flags & VALUE_SPILLED != 0 && info.indexed.equality && leaf.options.is_empty() {
            let normals = [target.map(|target| link_key(target.uuid)), Some(text_link_key(schema, dn))];
            for normal in normals.into_iter().flatten() {
                let mut at = Vec::with_capacity(normal.len() + 8);
                index_key(info.base, IndexKind::Equality, &normal, &mut at);
                if list_has(view.reader(), &at, entry.id)? {
                    return Ok(Truth::True);
                }
            }
            return Ok(Truth::False);
        }
        if slice.flags & VALUE_SPILLED != 0 {
            let values = view.values(entry, slice)?;
            return Ok(any_holds(&leaf.test, schema, values.iter().map(Vec::as_slice), &mut self.buffer));
        }
        let (targets, _) = slice.targets.as_chunks::<16>();
        if target.is_some_and(|target| targets.contains(&target.uuid.0)) {
            return Ok(Truth::True);
        }
        if targets.contains(&EntryUuid::NIL.0) {
            let plain = slice.values().zip(targets).filter(|(_, target)| **target == EntryUuid::NIL.0);
            for (value, _) in plain {
                if Dn::parse_bytes(value).is_ok_and(|named| schema.dn_key(&named) == *key) {
                    return Ok(Truth::True);
                }
            }
        }
        Ok(Truth::False)
    }

    fn chain<'t>(
        &mut self,
        leaf: &Leaf,
        view: View<'t>,
        entry: &Entry<'t>,
        gate: Option<&dyn AttributeGate>,
    ) -> Result<Truth, SearchError> {
        let Test::Chain { dn } = &leaf.test else { return Ok(Truth::Undefined) };
        if !matches!(self.memos.get(leaf.memo), Some(Memo::Chain(_))) {
            let chain = chain_of(leaf, dn, view, gate)?;
            if let Some(memo) = self.memos.get_mut(leaf.memo) {
                *memo = Memo::Chain(chain.into_iter().collect());
            }
        }
        match self.memos.get(leaf.memo) {
            Some(Memo::Chain(chain)) => Ok(Truth::from(chain.contains(&entry.id))),
            _ => Ok(Truth::Undefined),
        }
    }

    fn computed<'t>(
        &mut self,
        leaf: &Leaf,
        computed: Computed,
        view: View<'t>,
        entry: &Entry<'t>,
    ) -> Result<Truth, SearchError> {
        match (computed, &leaf.test) {
            (_, Test::Always) => return Ok(Truth::True),
            (
                Computed::EntryUuid | Computed::NsUniqueId | Computed::ObjectGuid,
                Test::Equal { key, rule: MatchingRule::UuidMatch, .. },
            ) => {
                return Ok(Truth::from(entry.record.uuid().0 == key.as_slice()));
            }
            (Computed::EntryDn, Test::Names { dn, .. }) => {
                let target = self.target(leaf, dn, view)?;
                return Ok(Truth::from(target.is_some_and(|target| target.id == entry.id)));
            }
            (Computed::MemberOf | Computed::IsMemberOf, Test::Present) => {
                return Ok(Truth::from(is_in_a_group(view, entry)?));
            }
            (Computed::MemberOf, Test::Names { dn, .. }) => {
                return Ok(match self.target(leaf, dn, view)? {
                    Some(target) => Truth::from(is_member(view, entry, target.id)?),
                    None => Truth::False,
                });
            }
            (Computed::NsRole, Test::Present) => return Ok(Truth::from(!roles_of(view, entry)?.is_empty())),
            (Computed::NsRole, Test::Names { dn, .. }) => {
                return Ok(match self.target(leaf, dn, view)? {
                    Some(target) => Truth::from(has_role(view, entry, target.id)?),
                    None => Truth::False,
                });
            }
            (Computed::MemberOf, Test::Chain { dn })
            | (Computed::IsMemberOf, Test::Names { dn, .. } | Test::Chain { dn }) => {
                return self.nested_member(leaf, dn, view, entry);
            }
            _ => {}
        }
        let values = computed.values(view, entry)?;
        let schema = view.catalog().schema();
        Ok(any_holds(&leaf.test, schema, values.iter().map(Vec::as_slice), &mut self.buffer))
    }

    fn nested_member<'t>(
        &mut self,
        leaf: &Leaf,
        dn: &Dn,
        view: View<'t>,
        entry: &Entry<'t>,
    ) -> Result<Truth, SearchError> {
        let Some(memo) = self.memos.get_mut(leaf.memo) else { return Ok(Truth::Undefined) };
        if !matches!(memo, Memo::Group { .. }) {
            *memo = Memo::Group { group: view.resolve(dn)?.entry, outside: HashSet::new() };
        }
        match memo {
            Memo::Group { group: Some(group), outside } => {
                Ok(Truth::from(is_nested_member(view, entry, *group, outside)?))
            }
            _ => Ok(Truth::False),
        }
    }

    /// All attributes that the rule fits.
    fn fitting<'t>(
        &mut self,
        leaf: &Leaf,
        rule: MatchingRule,
        view: View<'t>,
        entry: &Entry<'t>,
        gate: Option<&dyn AttributeGate>,
    ) -> Result<Truth, SearchError> {
        let catalog = view.catalog();
        let mut answer = Truth::False;
        for slice in entry.record.attributes() {
            let Some(info) = catalog.attribute(slice.id) else { continue };
            let Some(own) = info.attribute_type.filter(|own| fits(rule, catalog.schema(), *own)) else { continue };
            if gate.is_some_and(|gate| !gate.searchable(entry, own)) {
                answer = Truth::Undefined;
                continue;
            }
            match self.values(leaf, info, &slice, view, entry)? {
                Truth::True => return Ok(Truth::True),
                Truth::Undefined => answer = Truth::Undefined,
                Truth::False => {}
            }
        }
        if catalog.has_collective() && self.collective.is_none() {
            self.collective = Some(Collective::load(view)?);
        }
        let shown = match &self.collective {
            Some(collective) => collective.values_of(view, entry)?,
            None => Vec::new(),
        };
        for (id, values) in shown {
            let own = catalog.attribute(id).and_then(|info| info.attribute_type);
            let Some(own) = own.filter(|own| fits(rule, catalog.schema(), *own)) else { continue };
            if gate.is_some_and(|gate| !gate.searchable(entry, own)) {
                answer = Truth::Undefined;
                continue;
            }
            let values = values.iter().map(Vec::as_slice);
            match any_holds(&leaf.test, catalog.schema(), values, &mut self.buffer) {
                Truth::True => return Ok(Truth::True),
                Truth::Undefined => answer = Truth::Undefined,
                Truth::False => {}
            }
        }
        self.with_searched(leaf, view, entry, gate, answer)
    }

    /// The types and values in the entry's DN (RFC 4511 4.5.1.7.7, dnAttributes).
    fn in_dn<'t>(
        &mut self,
        leaf: &Leaf,
        view: View<'t>,
        entry: &Entry<'t>,
        gate: Option<&dyn AttributeGate>,
        mut answer: Truth,
    ) -> Result<Truth, SearchError> {
        let schema = view.catalog().schema();
        let mut text = Vec::with_capacity(96);
        view.write_dn(entry, &mut text)?;
        let Ok(dn) = Dn::parse_bytes(&text) else { return Ok(answer) };
        for ava in dn.rdns().iter().flat_map(|rdn| rdn.avas()) {
            let Some(found) = schema.attribute_type(&ava.attribute) else { continue };
            let meant = match leaf.subject {
                Subject::Type(index) | Subject::Computed(index, _) => {
                    schema.attribute_type_at(index).subtypes.contains(&found.index)
                }
                Subject::Fitting(rule) => fits(rule, schema, found.index),
            };
            if !meant || !leaf.options.is_empty() {
                continue;
            }
            if gate.is_some_and(|gate| !gate.searchable(entry, found.index)) {
                answer = Truth::Undefined;
                continue;
            }
            match leaf.test.holds(schema, &ava.value, &mut self.buffer) {
                Truth::True => return Ok(Truth::True),
                Truth::Undefined => answer = Truth::Undefined,
                Truth::False => {}
            }
        }
        Ok(answer)
    }

    fn target<'t>(&mut self, leaf: &Leaf, dn: &Dn, view: View<'t>) -> Result<Option<Target>, SearchError> {
        let Some(memo) = self.memos.get_mut(leaf.memo) else { return Ok(None) };
        if let Memo::Target(target) = memo {
            return Ok(*target);
        }
        let target = match view.resolve(dn)?.entry {
            Some(id) => view.entry(id)?.map(|entry| Target { id, uuid: entry.record.uuid() }),
            None => None,
        };
        *memo = Memo::Target(target);
        Ok(target)
    }
}

/// All entries whose links of the leaf's type lead to the entry named. Groups that a search leads to it count where the leaf
/// says so and the asker may know of the entry.
pub(super) fn chain_of(
    leaf: &Leaf,
    dn: &Dn,
    view: View<'_>,
    gate: Option<&dyn AttributeGate>,
) -> Result<Vec<EntryId>, SearchError> {
    let Subject::Type(index) = leaf.subject else { return Ok(Vec::new()) };
    let Some(target) = view.resolve(dn)?.entry else { return Ok(Vec::new()) };
    let Some(target) = view.entry(target)? else { return Ok(Vec::new()) };
    let by_search = leaf.searched.is_some() && gate.is_none_or(|gate| gate.knows(&target));
    chain_to(view, &bases(view, index), target.record.uuid(), by_search)
}

/// The bare attributes under which the index has the values of a type and its subtypes, each once.
pub(super) fn bases(view: View<'_>, index: AttributeTypeIndex) -> Vec<AttributeId> {
    let catalog = view.catalog();
    let mut bases: Vec<AttributeId> = Vec::new();
    for info in catalog.of_type(index).iter().filter_map(|id| catalog.attribute(*id)) {
        if !bases.contains(&info.base) {
            bases.push(info.base);
        }
    }
    bases
}

/// Whether the index answers for the values of this description alone.
fn listed(info: &AttributeInfo, leaf: &Leaf, rule: MatchingRule, schema: &Schema) -> bool {
    let equality = info.attribute_type.and_then(|index| schema.attribute_type_at(index).equality);
    info.indexed.equality
        && !info.links
        && leaf.options.is_empty()
        && equality.is_some_and(|equality| equality.shares_key(rule))
}

fn any_holds<'v>(test: &Test, schema: &Schema, values: impl Iterator<Item = &'v [u8]>, buffer: &mut Vec<u8>) -> Truth {
    let mut answer = Truth::False;
    for value in values {
        match test.holds(schema, value, buffer) {
            Truth::True => return Truth::True,
            Truth::Undefined => answer = Truth::Undefined,
            Truth::False => {}
        }
    }
    answer
}

/// Whether a rule asked without a type is about values of this one.
pub(super) fn fits(rule: MatchingRule, schema: &Schema, index: AttributeTypeIndex) -> bool {
    let attribute_type = schema.attribute_type_at(index);
    let own = [attribute_type.equality, attribute_type.ordering, attribute_type.substring];
    attribute_type.syntax.oid() == rule.assertion_syntax() || own.contains(&Some(rule))
}

fn has_options(options: &[String], asked: &[String]) -> bool {
    asked.iter().all(|asked| options.iter().any(|option| option_is_meant(asked, option)))
}
