//! Sets of attribute types as bits over one schema's dense indexes.
//!
//! Joining what rules allow and taking away what they deny is then a few words of arithmetic, so that a decision for
//! an entry costs less than looking at its attributes. One bit more stands for all attributes that the schema does
//! not know; they count as user attributes.

use crate::schema::{AttributeType, AttributeTypeIndex, Schema};
use smallvec::SmallVec;

/// Words kept without allocation: 1,024 attribute types.
type Words = SmallVec<[u64; 16]>;

/// A set of attribute types of one schema.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct AttributeSet {
    words: Words,
}

impl AttributeSet {
    fn empty(bits: usize) -> Self {
        Self { words: SmallVec::from_elem(0, bits.div_ceil(64)) }
    }

    pub(super) fn insert(&mut self, bit: usize) {
        if let Some(word) = self.words.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    pub(super) fn contains(&self, bit: usize) -> bool {
        self.words.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(mine, theirs)| *mine |= theirs);
    }

    pub(super) fn remove(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(mine, theirs)| *mine &= !theirs);
    }

    pub(super) fn retain(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(mine, theirs)| *mine &= theirs);
    }

    pub(super) fn contains_all(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).all(|(mine, theirs)| theirs & !mine == 0)
    }

    fn contains_all_but(&self, other: &Self, except: &Self) -> bool {
        let words = self.words.iter().zip(other.words.iter().zip(&except.words));
        words.into_iter().all(|(mine, (theirs, except))| theirs & !except & !mine == 0)
    }

    fn meets(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| theirs & mine != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    fn bits(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let word = *word;
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| index * 64 + bit)
        })
    }
}

/// The attribute types of one schema, as sets.
#[derive(Clone, Debug)]
pub(super) struct Universe {
    /// User attributes and the unknown ones.
    pub(super) user: AttributeSet,
    pub(super) operational: AttributeSet,
    /// Passwords and the like, user and operational.
    pub(super) secret: AttributeSet,
    /// Nothing, in the right size.
    pub(super) none: AttributeSet,
    /// Everything.
    pub(super) all: AttributeSet,
    /// The bit for attributes that the schema does not know.
    pub(super) unknown: usize,
}

impl Universe {
    pub(super) fn new(schema: &Schema) -> Self {
        let unknown = schema.attribute_types().len();
        let none = AttributeSet::empty(unknown + 1);
        let (mut user, mut operational, mut secret) = (none.clone(), none.clone(), none.clone());
        for attribute in schema.attribute_types() {
            let set = if attribute.is_operational() { &mut operational } else { &mut user };
            set.insert(attribute.index.0 as usize);
            if attribute.is_secret() {
                secret.insert(attribute.index.0 as usize);
            }
        }
        user.insert(unknown);
        let mut all = user.clone();
        all.add(&operational);
        Self { user, operational, secret, none, all, unknown }
    }

    pub(super) fn insert_with_subtypes(set: &mut AttributeSet, attribute: &AttributeType) {
        set.insert(attribute.index.0 as usize);
        attribute.subtypes.iter().for_each(|subtype| set.insert(subtype.0 as usize));
    }

    /// What a right reaches, given the attributes it reaches and whether it reaches the entry as a whole.
    pub(super) fn rights(&self, attributes: AttributeSet, entry: bool) -> AttributeRights {
        AttributeRights {
            entry,
            all_user: attributes.contains_all(&self.user),
            all_plain_user: attributes.contains_all_but(&self.user, &self.secret),
            all_operational: attributes.contains_all(&self.operational),
            all_plain_operational: attributes.contains_all_but(&self.operational, &self.secret),
            unknown: self.unknown,
            attributes,
        }
    }
}

/// For which attributes of an entry a requester has one right. The answer of a decision; cheap to ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttributeRights {
    entry: bool,
    all_user: bool,
    all_plain_user: bool,
    all_operational: bool,
    all_plain_operational: bool,
    unknown: usize,
    attributes: AttributeSet,
}

impl AttributeRights {
    /// Whether the right holds for the entry as a whole: adding, deleting, moving, acting as it; for write:
    /// renaming it; for read: seeing that it is there even where no attribute may be read.
    pub const fn for_entry(&self) -> bool {
        self.entry
    }

    /// Whether the right holds for every user attribute, secret ones included, so that all of them may be copied
    /// unlooked at.
    pub const fn for_all_user(&self) -> bool {
        self.all_user
    }

    /// Whether the right holds for every user attribute that is not secret (`AttributeType::is_secret`): an entry
    /// without a secret attribute may be copied unlooked at.
    pub const fn for_all_user_but_secret(&self) -> bool {
        self.all_plain_user
    }

    /// Whether the right holds for every operational attribute.
    pub const fn for_all_operational(&self) -> bool {
        self.all_operational
    }

    /// Whether the right holds for every operational attribute that is not secret.
    pub const fn for_all_operational_but_secret(&self) -> bool {
        self.all_plain_operational
    }

    /// Whether the right holds for this attribute, with any options.
    pub fn for_attribute(&self, attribute: AttributeTypeIndex) -> bool {
        self.attributes.contains(attribute.0 as usize)
    }

    /// Whether the right holds for attributes that the schema does not know.
    pub fn for_unknown(&self) -> bool {
        self.attributes.contains(self.unknown)
    }

    /// Whether the right holds for nothing at all: such an entry is answered like an absent one.
    pub fn is_nothing(&self) -> bool {
        !self.entry && self.attributes.is_empty()
    }

    /// Whether the right holds for at least one of these.
    pub(super) fn has_any_of(&self, attributes: &AttributeSet) -> bool {
        self.attributes.meets(attributes)
    }

    /// Whether the right holds for no attribute.
    pub fn is_no_attribute(&self) -> bool {
        self.attributes.is_empty()
    }

    /// The known attributes for which the right holds, in the order of the schema.
    pub fn attributes(&self) -> impl Iterator<Item = AttributeTypeIndex> {
        let unknown = self.unknown;
        let index = move |bit: usize| u32::try_from(bit).ok().filter(|_| bit != unknown).map(AttributeTypeIndex);
        self.attributes.bits().filter_map(index)
    }

    /// What two rights have in common: with read and search joined, what may be both asked for and seen.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        let mut attributes = self.attributes.clone();
        attributes.retain(&other.attributes);
        Self {
            entry: self.entry && other.entry,
            all_user: self.all_user && other.all_user,
            all_plain_user: self.all_plain_user && other.all_plain_user,
            all_operational: self.all_operational && other.all_operational,
            all_plain_operational: self.all_plain_operational && other.all_plain_operational,
            unknown: self.unknown,
            attributes,
        }
    }
}
