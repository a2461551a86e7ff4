//! Plans: which entries may match, read from the indexes.
//!
//! Each item of a filter becomes a source of candidates with an estimate of how many there are. An AND takes its
//! cheapest item and, where lists are long, intersects it with others; an OR is the union of its items. What no index
//! answers is *everything*: alone it means a scan, inside an AND it costs nothing.
//!
//! Invariants
//! - Every entry for which the filter is True is among the candidates. Index keys drop options, cut long values and
//!   know nothing of access, so there may be more; each candidate is judged again.
//! - An item that can only be False or Undefined has no candidates: an AND with it, or an OR of thirty attributes
//!   that nobody uses, costs nothing.

use super::SearchError;
use super::assertion::{Order, Parts, Test};
use super::collective::Collective;
use super::compile::{Leaf, Node, OBJECT_CLASS, Subject};
use super::computed::Computed;
use super::evaluate::{Truth, bases, chain_of};
use super::membership::{members_of, members_of_any, members_of_nested};
use super::roles::{self, Role};
use super::source::collect;
use crate::dit::{AttributeInfo, LONG_PIECE, View, grams_of, link_key, text_link_key, uid_text_key};
use crate::model::EntryUuid;
use crate::schema::sound::{WordKeys, telephone_tail};
use crate::schema::{AttributeTypeIndex, MatchingRule, Schema};
use crate::state::AttributeId;
use crate::storage::{EntryId, INDEX_KEY_BYTES_MAX, IndexKind, Postings, Table, index_key};
use hashbrown::HashSet;

/// Lists up to this many ids are read while planning.
const SHORT_LIST: u64 = 64;
/// With so few candidates known, planning stops: judging them is cheaper.
const FEW: u64 = 16;
/// Ids read to find out how long a range is, at least and at most.
const PROBE_MIN: u64 = 128;
const PROBE_MAX: u64 = 2_048;
/// Pieces of a substring that are looked up, and lists that are intersected.
const PIECES_MAX: usize = 8;
const LISTS_MAX: usize = 4;
/// Entries whose values of an encrypted attribute are looked at although no index knows their order; with more of them the
/// search is one that no index serves.
const DECRYPTED_MAX: u64 = 4_096;
/// Roles whose holders are planned for one nested role, which each name the next; with more of them all entries are looked
/// at.
const PLANNED_ROLES_MAX: usize = 64;
/// How much of a normal form an index key keeps in order (the rest may be a hash).
const ORDERED_BYTES: usize = INDEX_KEY_BYTES_MAX - 16;

/// Where candidates come from.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// There are none.
    Nothing,
    /// These, ascending.
    Ids(Vec<EntryId>),
    /// Those in all of these lists; the shortest first.
    Lists(Vec<List>),
    /// Those under a range of keys.
    Range(Range),
    /// Those of any: `Ids`, `Lists` and `Range` only.
    Any(Vec<Self>),
    /// No index says. `counted`: looking at them is limited (look-through).
    Everything { counted: bool },
}

/// The ids under one key.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) key: Vec<u8>,
    pub(super) count: u64,
}

/// The ids under a range of keys of one attribute and kind.
#[derive(Clone, Debug)]
pub(super) struct Range {
    /// What all keys begin with.
    pub(super) within: Vec<u8>,
    /// The first key.
    pub(super) from: Vec<u8>,
    /// The last key, and all that begin with it; `None`: no end but that of `within`.
    pub(super) until: Option<Vec<u8>>,
    /// What the keys must have, where they are whole.
    pub(super) parts: Option<Parts>,
    /// Where in a key the normal form begins.
    pub(super) normal_at: usize,
}

impl Range {
    /// Whether candidates under `key` need not be looked at.
    pub(super) fn passes_over(&self, key: &[u8]) -> bool {
        let Some(parts) = &self.parts else { return false };
        match key.get(self.normal_at..) {
            Some(normal) if normal.len() < INDEX_KEY_BYTES_MAX => !parts.fit(normal),
            _ => false,
        }
    }

    /// Whether `key` is still in the range.
    pub(super) fn reaches(&self, key: &[u8]) -> bool {
        key.starts_with(&self.within)
            && self.until.as_ref().is_none_or(|until| key <= until.as_slice() || key.starts_with(until))
    }
}

/// A plan and how many candidates it has, where that is known.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) count: Option<u64>,
}

impl Planned {
    fn nothing() -> Self {
        Self { plan: Plan::Nothing, count: Some(0) }
    }

    fn ids(ids: Vec<EntryId>) -> Self {
        if ids.is_empty() {
            return Self::nothing();
        }
        let count = ids.len() as u64;
        Self { plan: Plan::Ids(ids), count: Some(count) }
    }

    fn one(id: Option<EntryId>) -> Self {
        Self::ids(id.into_iter().collect())
    }

    fn range(range: Range) -> Self {
        Self { plan: Plan::Range(range), count: None }
    }

    fn everything(counted: bool) -> Self {
        Self { plan: Plan::Everything { counted }, count: None }
    }
}

/// Makes plans in one snapshot.
pub(super) struct Planner<'t> {
    view: View<'t>,
    entries: u64,
    /// Ids read to find out how long a range is.
    probe_max: u64,
}

impl<'t> Planner<'t> {
    /// `wanted`: how many entries the caller will take. For few, little is worth knowing beforehand.
    pub(super) fn new(view: View<'t>, wanted: Option<u64>) -> Result<Self, SearchError> {
        let probe_max = wanted.map_or(PROBE_MAX, |wanted| wanted.saturating_mul(4).clamp(PROBE_MIN, PROBE_MAX));
        Ok(Self { view, entries: view.reader().count(Table::Id2Entry)?, probe_max })
    }

    /// How many entries there are.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// A guess for a source whose size is not known.
    pub(super) fn guess(&self) -> u64 {
        (self.entries / 16).max(PROBE_MAX * 2)
    }

    pub(super) fn node(&self, node: &Node) -> Result<Planned, SearchError> {
        match node {
            Node::Constant(Truth::True) => Ok(Planned::everything(false)),
            Node::Constant(_) => Ok(Planned::nothing()),
            Node::And(nodes) => self.conjunction(nodes),
            Node::Or(nodes) => self.disjunction(nodes),
            Node::Not(node) => Ok(match &**node {
                Node::Leaf(leaf) if matches!(leaf.test, Test::Always) => Planned::nothing(),
                _ => Planned::everything(true),
            }),
            Node::Leaf(leaf) => self.leaf(leaf),
        }
    }

    fn conjunction(&self, nodes: &[Node]) -> Result<Planned, SearchError> {
        let mut order: Vec<&Node> = nodes.iter().collect();
        order.sort_by_key(|node| self.rank(node));
        let mut best: Option<Planned> = None;
        let mut lists: Vec<List> = Vec::new();
        let mut unsized_plans = Vec::new();
        let mut counted = false;
        for node in order {
            let planned = self.node(node)?;
            match (&planned.plan, planned.count) {
                (Plan::Nothing, _) => return Ok(planned),
                (Plan::Everything { counted: scan }, _) => {
                    counted |= *scan;
                    continue;
                }
                (_, None) => {
                    unsized_plans.push(planned.plan);
                    continue;
                }
                (Plan::Lists(more), _) => lists.extend_from_slice(more),
                _ => {}
            }
            let count = planned.count.unwrap_or(u64::MAX);
            if best.as_ref().is_none_or(|best| best.count.is_none_or(|known| count < known)) {
                best = Some(planned);
            }
            if count <= FEW {
                break;
            }
        }
        let mut known = best.as_ref().and_then(|best| best.count).unwrap_or(u64::MAX);
        if known > FEW {
            let mut guessed = None;
            for plan in unsized_plans {
                let ids_max = known.min(self.probe_max) as usize;
                match collect(self.view, &plan, ids_max, ids_max.saturating_mul(2))? {
                    Some(ids) => {
                        known = known.min(ids.len() as u64);
                        best = Some(Planned::ids(ids));
                    }
                    None if guessed.is_none() => guessed = Some(plan),
                    None => {}
                }
                if known <= FEW {
                    break;
                }
            }
            if let Some(plan) = guessed.filter(|_| known > self.guess()) {
                best = Some(Planned { plan, count: None });
            }
        }
        Ok(match best {
            None => Planned::everything(counted),
            Some(Planned { plan: Plan::Lists(_), count }) => Planned { plan: Plan::Lists(intersection(lists)), count },
            Some(planned) => planned,
        })
    }

    /// What is likely to be short or cheap to ask comes first.
    fn rank(&self, node: &Node) -> u8 {
        let Node::Leaf(leaf) = node else { return if matches!(node, Node::Not(_)) { 9 } else { 5 } };
        match (&leaf.subject, &leaf.test) {
            (
                Subject::Computed(
                    _,
                    Computed::EntryUuid | Computed::NsUniqueId | Computed::ObjectGuid | Computed::EntryDn,
                ),
                Test::Equal { .. } | Test::Names { .. },
            ) => 0,
            (Subject::Type(index), Test::Equal { .. }) => {
                if self.schema().attribute_type_at(*index).oid == OBJECT_CLASS { 6 } else { 1 }
            }
            (Subject::Type(_), Test::Names { .. } | Test::Dialled { .. }) => 1,
            (Subject::Computed(..), Test::Names { .. }) | (_, Test::Chain { .. }) => 4,
            (_, Test::Contains(_) | Test::Sounds { .. }) => 3,
            (_, Test::Ordered { .. }) => 5,
            (_, Test::Present) => 7,
            _ => 8,
        }
    }

    fn disjunction(&self, nodes: &[Node]) -> Result<Planned, SearchError> {
        let mut plans = Vec::with_capacity(nodes.len());
        let mut count = Some(0_u64);
        let mut scan: Option<bool> = None;
        for node in nodes {
            let planned = self.node(node)?;
            match planned.plan {
                Plan::Nothing => continue,
                Plan::Everything { counted } => scan = Some(scan.unwrap_or(true) && counted),
                Plan::Any(inner) => plans.extend(inner),
                plan => plans.push(plan),
            }
            count = count.zip(planned.count).map(|(sum, more)| sum.saturating_add(more));
        }
        if let Some(counted) = scan {
            return Ok(Planned::everything(counted));
        }
        Ok(union(plans, count))
    }

    fn leaf(&self, leaf: &Leaf) -> Result<Planned, SearchError> {
        if leaf.dn_attributes {
            return Ok(Planned::everything(true));
        }
        let index = match leaf.subject {
            Subject::Type(index) => index,
            Subject::Computed(index, computed) => return self.computed(leaf, index, computed),
            Subject::Fitting(_) => return Ok(Planned::everything(true)),
        };
        match &leaf.test {
            Test::Always => return Ok(Planned::everything(false)),
            Test::Chain { dn } => return unless_too_large(chain_of(leaf, dn, self.view)),
            _ => {}
        }
        let mut plans = Vec::new();
        let mut count = Some(0_u64);
        for base in bases(self.view, index) {
            let info = self.view.catalog().attribute(base);
            let Some(planned) = info.map(|info| self.base(leaf, base, info)).transpose()?.flatten() else {
                return Ok(Planned::everything(true));
            };
            match planned.plan {
                Plan::Nothing => continue,
                Plan::Everything { .. } => return Ok(planned),
                Plan::Any(inner) => plans.extend(inner),
                plan => plans.push(plan),
            }
            count = count.zip(planned.count).map(|(sum, more)| sum.saturating_add(more));
        }
        let is_collective =
            |base: &AttributeId| self.view.catalog().attribute(*base).is_some_and(|info| info.collective);
        for base in bases(self.view, index).into_iter().filter(is_collective) {
            // The index has the subentry alone.
            let Some(ids) = Collective::load(self.view)?.candidates(leaf, base, self.view)? else {
                return Ok(Planned::everything(true));
            };
            if !ids.is_empty() {
                count = count.map(|sum| sum.saturating_add(ids.len() as u64));
                plans.push(Plan::Ids(ids));
            }
        }
        Ok(union(plans, count))
    }

    /// The candidates of a leaf among the values of one attribute; `None` when no index knows.
    fn base(&self, leaf: &Leaf, base: AttributeId, info: &AttributeInfo) -> Result<Option<Planned>, SearchError> {
        let equality = info.attribute_type.and_then(|index| self.schema().attribute_type_at(index).equality);
        let serves = |rule: MatchingRule| {
            info.indexed.equality && !info.links && equality.is_some_and(|equality| equality.shares_key(rule))
        };
        Ok(match &leaf.test {
            Test::Present if info.indexed.presence => Some(self.list(base, IndexKind::Presence, &[])?),
            Test::Equal { rule: MatchingRule::UniqueMemberMatch, key, .. }
                if info.indexed.equality
                    && info.links
                    && info
                        .attribute_type
                        .is_some_and(|index| self.schema().attribute_type_at(index).may_have_uid()) =>
            {
                Some(self.list(base, IndexKind::Equality, &uid_text_key(key))?)
            }
            Test::Equal { rule, key, .. } if serves(*rule) => Some(self.list(base, IndexKind::Equality, key)?),
            // The index of what is encrypted knows no order: what has the attribute at all is looked at, unless it is much.
            Test::Ordered { .. } | Test::Contains(_) | Test::Sounds { .. } | Test::Dialled { .. } if info.encrypted => {
                self.few_present(base, info)?
            }
            Test::Ordered { rule, key, order } if serves(*rule) => Some(Planned::range(ordered(base, key, *order))),
            Test::Names { dn, key } if info.indexed.equality => {
                if !info.links {
                    return Ok(Some(self.list(base, IndexKind::Equality, key)?));
                }
                let text = self.list(base, IndexKind::Equality, &text_link_key(self.schema(), dn))?;
                let target = match self.view.resolve(dn)?.entry {
                    Some(id) => self.view.entry(id)?,
                    None => None,
                };
                let Some(target) = target else { return Ok(Some(text)) };
                let link = self.list(base, IndexKind::Equality, &link_key(target.record.uuid()))?;
                let count = link.count.zip(text.count).map(|(link, text)| link + text);
                Some(union(vec![link.plan, text.plan], count))
            }
            Test::Sounds { rule, key, words }
                if info.indexed.approx && equality == Some(*rule) && (info.indexed.equality || !words.is_empty()) =>
            {
                Some(self.sounds(base, words, key)?)
            }
            Test::Dialled { key } if info.indexed.approx && serves(MatchingRule::TelephoneNumberMatch) => {
                let tail = telephone_tail(key).unwrap_or_default();
                Some(self.list(base, IndexKind::Approx, tail)?)
            }
            Test::Contains(parts) => {
                let pieces = info.indexed.substring
                    && !info.links
                    && equality.is_some_and(|equality| equality.shares_key(parts.rule))
                    && has_characters(parts.rule);
                self.contains(base, parts, serves(parts.rule), pieces)?
            }
            _ => None,
        })
    }

    /// Candidates of an item of sounds: those of the word that fewest values have.
    fn sounds(&self, base: AttributeId, words: &[WordKeys], key: &[u8]) -> Result<Planned, SearchError> {
        // A value without words is near to nothing but itself.
        let mut best = if words.is_empty() { Some(self.list(base, IndexKind::Equality, key)?) } else { None };
        for word in words {
            let (mut plans, mut count) = (Vec::with_capacity(word.len()), Some(0_u64));
            for sound in word {
                let planned = self.list(base, IndexKind::Approx, sound)?;
                count = count.zip(planned.count).map(|(sum, more)| sum.saturating_add(more));
                plans.push(planned.plan);
            }
            let planned = union(plans, count);
            if best.as_ref().is_none_or(|best| planned.count < best.count) {
                best = Some(planned);
            }
        }
        Ok(best.unwrap_or_else(Planned::nothing))
    }

    /// Candidates of a substring item: a range of the values when it says how they begin, else their pieces, else all
    /// values of the attribute, looked at in the index.
    fn contains(
        &self,
        base: AttributeId,
        parts: &Parts,
        values: bool,
        pieces: bool,
    ) -> Result<Option<Planned>, SearchError> {
        let initial = parts.initial.as_deref().unwrap_or_default();
        let whole = parts.any.is_empty() && parts.last.is_none();
        let by_values = |prefix: &[u8]| {
            let rest = (!whole).then(|| parts.clone());
            Planned::range(range(base, IndexKind::Equality, prefix, rest))
        };
        if values && (characters(initial) >= 3 || (whole && !initial.is_empty())) {
            return Ok(Some(by_values(initial)));
        }
        if pieces && let Some(planned) = self.pieces(base, parts)? {
            return Ok(Some(planned));
        }
        if values && !initial.is_empty() {
            return Ok(Some(by_values(initial)));
        }
        let short = parts.any.iter().map(|part| part.needle()).chain((!initial.is_empty()).then_some(initial));
        let short = short.filter(|part| !part.is_empty()).max_by_key(|part| characters(part));
        if let Some(part) = short.filter(|_| pieces) {
            let found = Plan::Range(range(base, IndexKind::Substring, part, None));
            let long = self.list(base, IndexKind::Substring, LONG_PIECE)?.plan;
            return Ok(Some(union(vec![found, long], None)));
        }
        Ok(values.then(|| by_values(&[])))
    }

    /// Candidates by pieces of three characters; `None` when no part has one.
    fn pieces(&self, base: AttributeId, parts: &Parts) -> Result<Option<Planned>, SearchError> {
        let inner = parts.any.iter().map(|part| part.needle()).chain(parts.initial.as_deref());
        let mut pieces: Vec<_> = inner.flat_map(grams_of).filter(|piece| piece.last() != Some(&0)).collect();
        // The end of a value is marked, and its last characters have pieces of their own.
        pieces.extend(parts.last.as_deref().into_iter().flat_map(grams_of));
        pieces.retain(|piece| piece.as_slice() != LONG_PIECE);
        pieces.sort_unstable();
        pieces.dedup();
        if pieces.is_empty() {
            return Ok(None);
        }
        // Spread over the parts when there are many: neighbours say much the same.
        let step = pieces.len().div_ceil(PIECES_MAX);
        let long = self.list(base, IndexKind::Substring, LONG_PIECE)?;
        let mut lists: Vec<List> = Vec::new();
        let mut best: Option<Planned> = None;
        for piece in pieces.iter().step_by(step) {
            let planned = self.list(base, IndexKind::Substring, piece)?;
            if let Plan::Lists(more) = &planned.plan {
                lists.extend_from_slice(more);
            }
            if best.as_ref().is_none_or(|best| planned.count < best.count) {
                best = Some(planned);
            }
            if best.as_ref().and_then(|best| best.count).is_some_and(|count| count <= FEW) {
                break;
            }
        }
        let Some(best) = best else { return Ok(None) };
        let best = match best {
            Planned { plan: Plan::Lists(_), count } => Planned { plan: Plan::Lists(intersection(lists)), count },
            best => best,
        };
        let count = best.count.zip(long.count).map(|(best, long)| best + long);
        Ok(Some(union(vec![best.plan, long.plan], count)))
    }

    fn computed(&self, leaf: &Leaf, index: AttributeTypeIndex, computed: Computed) -> Result<Planned, SearchError> {
        let catalog = self.view.catalog();
        match (computed, &leaf.test) {
            (_, Test::Always) => Ok(Planned::everything(false)),
            (Computed::MemberOf | Computed::IsMemberOf, Test::Present) => unless_too_large(members_of_any(self.view)),
            (
                Computed::EntryUuid | Computed::NsUniqueId | Computed::ObjectGuid,
                Test::Equal { rule: MatchingRule::UuidMatch, key, .. },
            ) => {
                let uuid = key.as_slice().try_into().map(EntryUuid).unwrap_or(EntryUuid::NIL);
                Ok(Planned::one(self.view.by_uuid(uuid)?))
            }
            (Computed::EntryDn, Test::Names { dn, .. }) => Ok(Planned::one(self.view.resolve(dn)?.entry)),
            (Computed::MemberOf, Test::Names { dn, .. }) => match self.view.resolve(dn)?.entry {
                Some(group) => unless_too_large(members_of(self.view, group)),
                None => Ok(Planned::nothing()),
            },
            (Computed::MemberOf, Test::Chain { dn })
            | (Computed::IsMemberOf, Test::Names { dn, .. } | Test::Chain { dn }) => match self.view.resolve(dn)?.entry
            {
                Some(group) => unless_too_large(members_of_nested(self.view, group)),
                None => Ok(Planned::nothing()),
            },
            (Computed::NsRole, Test::Present) => {
                // Who has a nested role has one that is not.
                let managed = roles::role_dn(self.view).and_then(|base| Some((base, catalog.attribute(base)?)));
                let mut plans = match managed {
                    Some((base, info)) if info.indexed.presence => vec![self.list(base, IndexKind::Presence, &[])?],
                    Some(_) => return Ok(Planned::everything(true)),
                    None => Vec::new(),
                };
                let mut visited = HashSet::new();
                for role in roles::filtered(self.view)? {
                    plans.push(self.role(role, &mut visited)?);
                }
                Ok(joined(plans))
            }
            (Computed::NsRole, Test::Names { dn, .. }) => match self.view.resolve(dn)?.entry {
                Some(role) => self.role(role, &mut HashSet::new()),
                None => Ok(Planned::nothing()),
            },
            (Computed::CreateTimestamp | Computed::ModifyTimestamp, test) => {
                let base = catalog.base_of(self.schema().attribute_type_at(index));
                let Some((base, info)) = base.and_then(|base| Some((base, catalog.attribute(base)?))) else {
                    return Ok(Planned::everything(true));
                };
                match test {
                    Test::Equal { .. } | Test::Ordered { .. } => {
                        Ok(self.base(leaf, base, info)?.unwrap_or_else(|| Planned::everything(true)))
                    }
                    _ => Ok(Planned::everything(true)),
                }
            }
            _ => Ok(Planned::everything(true)),
        }
    }

    /// Those who may have a role.
    fn role(&self, id: EntryId, visited: &mut HashSet<EntryId>) -> Result<Planned, SearchError> {
        if !visited.insert(id) {
            return Ok(Planned::nothing());
        }
        if visited.len() > PLANNED_ROLES_MAX {
            return Ok(Planned::everything(true));
        }
        let Some(role) = self.view.entry(id)? else { return Ok(Planned::nothing()) };
        let plans = match Role::defined_by(self.view, &role)? {
            None | Some(Role::Filtered(None)) => return Ok(Planned::nothing()),
            Some(Role::Filtered(Some(filter))) => return self.node(&filter.root),
            Some(Role::Managed) => match roles::managed_keys(self.view, &role)? {
                Some(keys) => keys.into_iter().map(|key| self.list_at(key)).collect::<Result<Vec<_>, _>>()?,
                None => return Ok(Planned::everything(true)),
            },
            Some(Role::Nested(named)) => {
                named.into_iter().map(|id| self.role(id, visited)).collect::<Result<Vec<_>, _>>()?
            }
        };
        Ok(joined(plans))
    }

    /// The entries that have values of `base`, where the index has them and they are few.
    fn few_present(&self, base: AttributeId, info: &AttributeInfo) -> Result<Option<Planned>, SearchError> {
        if !info.indexed.presence {
            return Ok(None);
        }
        let present = self.list(base, IndexKind::Presence, &[])?;
        Ok(present.count.is_some_and(|count| count <= DECRYPTED_MAX).then_some(present))
    }

    /// The ids under one key; short lists are read here and now.
    fn list(&self, base: AttributeId, kind: IndexKind, normal: &[u8]) -> Result<Planned, SearchError> {
        let mut key = Vec::with_capacity(normal.len() + 8);
        match kind {
            IndexKind::Equality => self.view.catalog().equality_key(base, normal, &mut key),
            _ => drop(index_key(base, kind, normal, &mut key)),
        }
        self.list_at(key)
    }

    fn list_at(&self, key: Vec<u8>) -> Result<Planned, SearchError> {
        let Some(mut list) = Postings::open(self.view.reader(), &key)? else { return Ok(Planned::nothing()) };
        let count = list.count();
        if count > SHORT_LIST {
            return Ok(Planned { plan: Plan::Lists(vec![List { key, count }]), count: Some(count) });
        }
        let mut ids = Vec::with_capacity(count as usize);
        while let Some(id) = list.next()? {
            ids.push(id);
        }
        Ok(Planned::ids(ids))
    }

    fn schema(&self) -> &'t Schema {
        self.view.catalog().schema()
    }
}

/// A chain or group that is too long to gather is found by looking at every entry instead.
fn unless_too_large(ids: Result<Vec<EntryId>, SearchError>) -> Result<Planned, SearchError> {
    match ids {
        Ok(ids) => Ok(Planned::ids(ids)),
        Err(SearchError::TooLarge { .. }) => Ok(Planned::everything(false)),
        Err(error) => Err(error),
    }
}

/// The candidates of any of these.
fn joined(planned: Vec<Planned>) -> Planned {
    let mut plans = Vec::with_capacity(planned.len());
    let mut count = Some(0_u64);
    for planned in planned {
        if let Plan::Everything { .. } = planned.plan {
            return planned;
        }
        count = count.zip(planned.count).map(|(sum, more)| sum.saturating_add(more));
        plans.push(planned.plan);
    }
    union(plans, count)
}

fn union(plans: Vec<Plan>, count: Option<u64>) -> Planned {
    let mut flat = Vec::with_capacity(plans.len());
    for plan in plans {
        match plan {
            Plan::Nothing => {}
            Plan::Any(inner) => flat.extend(inner),
            plan => flat.push(plan),
        }
    }
    if flat.len() > 1 {
        return Planned { plan: Plan::Any(flat), count };
    }
    flat.pop().map_or_else(Planned::nothing, |plan| Planned { plan, count })
}

/// The shortest list and those that narrow it for less than judging costs.
fn intersection(mut lists: Vec<List>) -> Vec<List> {
    lists.sort_by_key(|list| list.count);
    lists.dedup_by(|one, other| one.key == other.key);
    lists.truncate(LISTS_MAX);
    lists
}

fn prefix_of(base: AttributeId, kind: IndexKind) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    index_key(base, kind, &[], &mut key);
    key
}

/// Keys that begin with `prefix`.
fn range(base: AttributeId, kind: IndexKind, prefix: &[u8], parts: Option<Parts>) -> Range {
    let mut within = prefix_of(base, kind);
    let normal_at = within.len();
    within.extend_from_slice(prefix.get(..ORDERED_BYTES).unwrap_or(prefix));
    Range { from: within.clone(), within, until: None, parts, normal_at }
}

/// Keys on one side of `key`.
fn ordered(base: AttributeId, key: &[u8], order: Order) -> Range {
    let within = prefix_of(base, IndexKind::Equality);
    let normal_at = within.len();
    let mut edge = within.clone();
    edge.extend_from_slice(key.get(..ORDERED_BYTES).unwrap_or(key));
    match order {
        Order::AtLeast => Range { within, from: edge, until: None, parts: None, normal_at },
        Order::AtMost | Order::Before => {
            Range { from: within.clone(), within, until: Some(edge), parts: None, normal_at }
        }
    }
}

fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// Whether keys of the rule are text, which has characters to cut pieces at.
fn has_characters(rule: MatchingRule) -> bool {
    !rule.shares_key(MatchingRule::OctetStringMatch)
}
