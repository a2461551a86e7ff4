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

mod computed;
mod plan;

use super::SearchError;
use super::assertion::{Parts, Test};
use super::collective::Collective;
use super::compile::{Leaf, Node, OBJECT_CLASS, Subject};
use super::computed::Computed;
use super::dynamic;
use super::evaluate::{Truth, bases, chain_of};
use super::source::collect;
use crate::dit::{AttributeInfo, LONG_PIECE, View, grams_of, link_key, text_link_key, uid_text_key};
use crate::schema::sound::{WordKeys, telephone_tail};
use crate::schema::{MatchingRule, Schema};
use crate::state::AttributeId;
use crate::storage::{IndexKind, Postings, Table, index_key};
use computed::unless_too_large;
pub(super) use plan::{List, Plan, Planned, Range};
use plan::{intersection, ordered, range, union};

/// Lists up to this many ids are read while planning.
const SHORT_LIST: u64 = 64;
/// With so few candidates known, planning stops: judging them is cheaper.
const FEW: u64 = 16;
/// Ids read to find out how long a range is, at least and at most.
const PROBE_MIN: u64 = 128;
const PROBE_MAX: u64 = 2_048;
/// Pieces of a substring that are looked up.
const PIECES_MAX: usize = 8;
/// Entries whose values of an encrypted attribute are looked at although no index knows their order; with more of them the
/// search is one that no index serves.
const DECRYPTED_MAX: u64 = 4_096;

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
            Test::Chain { dn } => return unless_too_large(chain_of(leaf, dn, self.view, None)),
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
        if let Some(base) = leaf.searched.and_then(|_| dynamic::member_url(self.view.catalog())) {
            // Any group by search may have members that are not stored.
            if !self.view.catalog().attribute(base).is_some_and(|info| info.indexed.presence) {
                return Ok(Planned::everything(true));
            }
            let groups = self.list(base, IndexKind::Presence, &[])?;
            count = count.zip(groups.count).map(|(sum, more)| sum.saturating_add(more));
            plans.push(groups.plan);
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

fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// Whether keys of the rule are text, which has characters to cut pieces at.
fn has_characters(rule: MatchingRule) -> bool {
    !rule.shares_key(MatchingRule::OctetStringMatch)
}
