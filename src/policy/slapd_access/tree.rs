//! The tree as rules see it: the entries that they name, and how far below the nearest of those something stands.
//!
//! However many entries there are, rules that name k of them tell at most 3k places apart: at a named entry, directly below
//! it, and further below, as long as nothing nearer is named. A rule's target is a set of places, and every set of places can
//! be said as targets of ACI.

use super::region::Region;
use crate::model::{Dn, Scope};
use crate::schema::Schema;

/// A DN that some rule names, or the suffix.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) dn: Dn,
    key: Vec<u8>,
}

impl Named {
    fn rdns(&self) -> usize {
        self.dn.rdns().len()
    }
}

/// Where an entry is: the nearest named entry at or above it, and 0 (that is it), 1 (directly below) or 2 (further below).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Place {
    pub(super) named: usize,
    pub(super) depth: usize,
}

/// How much of what is below a named entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    Scope(Scope),
    /// More than one level below.
    Deep,
}

/// A part of the tree that one ACI can be about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Part {
    pub(super) named: usize,
    pub(super) reach: Reach,
    /// Without these: named entries, whole subtrees of them or (false) they alone.
    pub(super) except: Vec<(usize, bool)>,
}

/// What an entry's place says about the entry right below a region's base that it is at or below.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ancestor {
    /// It is the entry of this name.
    Is(Dn),
    /// It may be any.
    Any,
    /// There is none.
    None,
}

/// All named entries; the suffix is the first.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    named: Vec<Named>,
}

impl Tree {
    pub(super) fn new(schema: &Schema, suffix: &Dn, others: impl IntoIterator<Item = Dn>) -> Self {
        let key = schema.dn_key(suffix);
        let mut named = vec![Named { dn: suffix.clone(), key: key.clone() }];
        for dn in others {
            let own = schema.dn_key(&dn);
            if own.starts_with(&key) && named.iter().all(|known| known.key != own) {
                named.push(Named { dn, key: own });
            }
        }
        Self { named }
    }

    pub(super) fn dn(&self, named: usize) -> Option<&Dn> {
        self.named.get(named).map(|named| &named.dn)
    }

    pub(super) fn places(&self) -> Vec<Place> {
        let of = |named| (0..3).map(move |depth| Place { named, depth });
        (0..self.named.len()).flat_map(of).collect()
    }

    /// Which named entry this is.
    pub(super) fn find(&self, schema: &Schema, dn: &Dn) -> Option<usize> {
        let key = schema.dn_key(dn);
        self.named.iter().position(|named| named.key == key)
    }

    fn is_below(&self, named: usize, above: usize) -> bool {
        let keys = self.named.get(named).zip(self.named.get(above));
        keys.is_some_and(|(named, above)| named.key != above.key && named.key.starts_with(&above.key))
    }

    /// The nearest named entry above.
    fn above(&self, named: usize) -> Option<usize> {
        let candidates = (0..self.named.len()).filter(|above| self.is_below(named, *above));
        candidates.max_by_key(|above| self.named.get(*above).map_or(0, Named::rdns))
    }

    fn place_of(&self, schema: &Schema, dn: &Dn) -> Option<Place> {
        let key = schema.dn_key(dn);
        let above = (0..self.named.len()).filter(|at| self.named.get(*at).is_some_and(|at| key.starts_with(&at.key)));
        let named = above.max_by_key(|above| self.named.get(*above).map_or(0, Named::rdns))?;
        let depth = dn.rdns().len() - self.named.get(named)?.rdns();
        Some(Place { named, depth: depth.min(2) })
    }

    /// Where the superior of an entry at this place may be; nowhere above the suffix.
    pub(super) fn superiors(&self, schema: &Schema, place: Place) -> Vec<Place> {
        let Place { named, depth } = place;
        match depth {
            0 => {
                let superior = self.dn(named).and_then(Dn::superior);
                superior.and_then(|dn| self.place_of(schema, &dn)).into_iter().collect()
            }
            1 => vec![Place { named, depth: 0 }],
            _ => vec![Place { named, depth: 1 }, Place { named, depth: 2 }],
        }
    }

    /// How far below `base` the place is (2: or further); `None` when it is not at or below.
    fn depth_below(&self, schema: &Schema, base: &Dn, place: Place) -> Option<usize> {
        let named = self.named.get(place.named)?;
        if !named.key.starts_with(&schema.dn_key(base)) {
            return None;
        }
        Some((named.rdns() - base.rdns().len() + place.depth).min(2))
    }

    /// Whether the place is in the region, its RDN type apart.
    pub(super) fn is_in(&self, schema: &Schema, region: &Region, place: Place) -> bool {
        let depth = self.depth_below(schema, &region.base, place);
        depth.is_some_and(|depth| region.depths.get(depth) == Some(&true))
    }

    /// What is right below the region's base, at or above the place.
    pub(super) fn ancestor(&self, schema: &Schema, base: &Dn, place: Place) -> Ancestor {
        let Some(named) = self.named.get(place.named) else { return Ancestor::None };
        match self.depth_below(schema, base, place) {
            None | Some(0) => Ancestor::None,
            Some(_) if named.rdns() == base.rdns().len() => Ancestor::Any,
            Some(_) => {
                let mut dn = named.dn.clone();
                while dn.rdns().len() > base.rdns().len() + 1 {
                    dn = dn.superior().unwrap_or_default();
                }
                Ancestor::Is(dn)
            }
        }
    }

    /// Whether an entry at one place may be below an entry at another.
    pub(super) fn may_be_below(&self, below: Place, above: Place) -> bool {
        if below.named == above.named {
            return below.depth > above.depth || below.depth == 2;
        }
        self.is_below(below.named, above.named)
    }

    /// The parts that together are these places.
    pub(super) fn parts(&self, places: &[Place]) -> Vec<Part> {
        let mut parts = Vec::new();
        self.add_parts(0, places, &mut parts);
        parts
    }

    fn is_whole(&self, named: usize, places: &[Place]) -> bool {
        let mut all = (0..self.named.len()).filter(|at| *at == named || self.is_below(*at, named));
        all.all(|named| (0..3).all(|depth| places.contains(&Place { named, depth })))
    }

    fn add_parts(&self, named: usize, places: &[Place], parts: &mut Vec<Part>) {
        let whole = |named| self.is_whole(named, places);
        if whole(named) {
            parts.push(Part { named, reach: Reach::Scope(Scope::Subtree), except: Vec::new() });
            return;
        }
        let has = |named, depth| places.contains(&Place { named, depth });
        let reaches: &[Reach] = match [0, 1, 2].map(|depth| has(named, depth)) {
            [true, true, true] => &[Reach::Scope(Scope::Subtree)],
            [false, true, true] => &[Reach::Scope(Scope::Subordinate)],
            [true, false, false] => &[Reach::Scope(Scope::Base)],
            [false, true, false] => &[Reach::Scope(Scope::OneLevel)],
            [true, true, false] => &[Reach::Scope(Scope::Base), Reach::Scope(Scope::OneLevel)],
            [false, false, true] => &[Reach::Deep],
            [true, false, true] => &[Reach::Scope(Scope::Base), Reach::Deep],
            [false, false, false] => &[],
        };
        let below: Vec<usize> = (0..self.named.len()).filter(|at| self.above(*at) == Some(named)).collect();
        let is_directly_below =
            |at: usize| self.named.get(at).map(Named::rdns) == self.named.get(named).map(|named| named.rdns() + 1);
        for reach in reaches {
            let except = below.iter().filter_map(|at| match reach {
                Reach::Scope(Scope::Subtree | Scope::Subordinate) => (!whole(*at)).then_some((*at, true)),
                Reach::Scope(Scope::OneLevel) => (is_directly_below(*at) && !has(*at, 0)).then_some((*at, false)),
                Reach::Scope(Scope::Base) => None,
                Reach::Deep => Some((*at, true)),
            });
            parts.push(Part { named, reach: *reach, except: except.collect() });
        }
        let covers_whole = matches!(reaches.first(), Some(Reach::Scope(Scope::Subtree | Scope::Subordinate)));
        for at in below {
            if !(covers_whole && whole(at)) {
                self.add_parts(at, places, parts);
            }
        }
    }
}
