//! Where a DN leads, and what aliases add to a search (RFC 4511 4.5.1.3).
//!
//! An alias is followed by name: the target need not be here, and may be an alias itself. Circles end by counting.
//! Where no entry is an alias, which is nearly everywhere, dereferencing costs one look-up.

use super::SearchError;
use super::compile::OBJECT_CLASS;
use super::scope::Territory;
use crate::dit::{Entry, View};
use crate::model::{DerefAliases, Dn, Rdn, Scope};
use crate::storage::{ENTRY_ALIAS, ENTRY_REFERRAL, EntryId, IndexKind, Postings, Table, ViewRecord, index_key};

/// Aliases followed one after another.
const HOPS_MAX: usize = 16;
/// Entries of one class that a search considers before it begins.
const CLASS_ENTRIES_MAX: usize = 10_000;
/// Places that aliases may add to a search.
const PLACES_MAX: usize = 1_000;

const ALIASED_OBJECT_NAME: &str = "2.5.4.1";

/// Where a DN leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// To an entry.
    Entry(EntryId),
    /// To a referral entry, or below one (never when referrals are managed).
    Referral {
        /// The referral entry.
        entry: EntryId,
        /// How many RDNs of the DN asked for are below it.
        missing: usize,
    },
    /// Nowhere.
    Missing {
        /// The deepest entry on the way; `None` outside every suffix.
        matched: Option<EntryId>,
    },
    /// Into a circle of aliases, or to an alias whose target is not here.
    AliasProblem {
        /// The alias last followed.
        alias: EntryId,
    },
}

/// Follows `dn`, over aliases when `deref` says so. `manage_dsa_it`: referral entries are entries like others.
/// Cost: one look-up for each RDN.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn find_base(view: View<'_>, dn: &Dn, deref: DerefAliases, manage_dsa_it: bool) -> Result<Base, SearchError> {
    find_base_by(view, dn, deref, manage_dsa_it, &|_| true)
}

/// [`find_base`] for somebody to whom aliases are absent unless `may_follow` says otherwise.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn find_base_by(
    view: View<'_>,
    dn: &Dn,
    deref: DerefAliases,
    manage_dsa_it: bool,
    may_follow: &dyn Fn(&Entry<'_>) -> bool,
) -> Result<Base, SearchError> {
    let mut followed = dn.clone();
    let mut alias = None;
    for _ in 0..HOPS_MAX {
        let resolution = view.resolve(&followed)?;
        let Some(matched) = resolution.matched else {
            return Ok(alias.map_or(Base::Missing { matched: None }, |alias| Base::AliasProblem { alias }));
        };
        let Some(entry) = view.entry(matched)? else { return Ok(Base::Missing { matched: None }) };
        if !manage_dsa_it && entry.record.flags() & ENTRY_REFERRAL != 0 {
            return Ok(Base::Referral { entry: matched, missing: resolution.missing });
        }
        if deref.derefs_finding_base() && entry.record.flags() & ENTRY_ALIAS != 0 {
            if !may_follow(&entry) {
                return Ok(Base::Missing { matched: Some(view.superior(&entry)) });
            }
            alias = Some(matched);
            let Some(target) = target_of(view, &entry) else { return Ok(Base::AliasProblem { alias: matched }) };
            let below = followed.rdns().get(..resolution.missing).unwrap_or_default();
            let rdns: Vec<Rdn> = below.iter().chain(target.rdns()).cloned().collect();
            followed = Dn::from_rdns(rdns);
            continue;
        }
        return Ok(match (resolution.entry, alias) {
            (Some(id), _) => Base::Entry(id),
            (None, Some(alias)) => Base::AliasProblem { alias },
            (None, None) => Base::Missing { matched: Some(matched) },
        });
    }
    Ok(Base::AliasProblem { alias: alias.unwrap_or(EntryId::NONE) })
}

/// Adds to `territory` what the aliases in it lead to, and the aliases in that.
pub(super) fn extend(view: View<'_>, territory: &mut Territory) -> Result<(), SearchError> {
    if territory.scope() == Scope::Base {
        return Ok(());
    }
    let mut pending = of_class(view, "alias", ENTRY_ALIAS)?;
    loop {
        let before = pending.len();
        let mut outside = Vec::new();
        for id in pending {
            let Some(entry) = view.entry(id)? else { continue };
            if id == territory.base() || !territory.contains(view, &entry)? {
                outside.push(id);
                continue;
            }
            let Some(target) = follow(view, &entry)? else { continue };
            if !territory.contains(view, &target)? {
                territory.add(target.id);
                if territory.added() > PLACES_MAX {
                    return Err(SearchError::TooLarge { what: "places that aliases lead to", limit: PLACES_MAX });
                }
            }
        }
        if outside.len() == before || outside.is_empty() || territory.scope() == Scope::OneLevel {
            return Ok(());
        }
        pending = outside;
    }
}

/// The entries of an object class that the record's flags mark too, in ascending order.
pub(super) fn of_class(view: View<'_>, class: &str, flag: u16) -> Result<Vec<EntryId>, SearchError> {
    let catalog = view.catalog();
    let schema = catalog.schema();
    let attribute = schema.attribute_type(OBJECT_CLASS).and_then(|found| catalog.base_of(found));
    let indexed = attribute.filter(|id| catalog.attribute(*id).is_some_and(|info| info.indexed.equality));
    let key = indexed.zip(schema.canonical_oid(class)).map(|(attribute, oid)| {
        let mut key = Vec::with_capacity(32);
        index_key(attribute, IndexKind::Equality, oid.as_bytes(), &mut key);
        key
    });
    marked_entries(view, key.as_deref(), flag, CLASS_ENTRIES_MAX)
}

/// The entries that the index lists under `key`, or, where there is no such index, those whose records `flag` marks; in
/// ascending order. Cost: with the index O(entries found), else a walk over all records.
///
/// # Errors
/// [`SearchError::TooLarge`]: more than `entries_max`. [`SearchError::Dit`].
pub fn marked_entries(
    view: View<'_>,
    key: Option<&[u8]>,
    flag: u16,
    entries_max: usize,
) -> Result<Vec<EntryId>, SearchError> {
    let mut found = Vec::new();
    let mut add = |id: EntryId| {
        if found.len() >= entries_max {
            return Err(SearchError::TooLarge { what: "aliases or referrals", limit: entries_max });
        }
        found.push(id);
        Ok(())
    };
    if let Some(key) = key {
        if let Some(mut list) = Postings::open(view.reader(), key)? {
            while let Some(id) = list.next()? {
                add(id)?;
            }
        }
        return Ok(found);
    }
    let mut cursor = view.reader().cursor(Table::Id2Entry)?.reading_ahead();
    let mut item = cursor.first()?;
    while let Some((key, record)) = item {
        let id = EntryId::from_key(key);
        if ViewRecord::open(id, record)?.flags() & flag != 0 {
            add(id)?;
        }
        item = cursor.next()?;
    }
    Ok(found)
}

/// The entry that an alias leads to in the end; `None` when it leads nowhere.
fn follow<'t>(view: View<'t>, alias: &Entry<'t>) -> Result<Option<Entry<'t>>, SearchError> {
    let mut at = *alias;
    for _ in 0..HOPS_MAX {
        let Some(target) = target_of(view, &at) else { return Ok(None) };
        let Some(id) = view.resolve(&target)?.entry else { return Ok(None) };
        let Some(entry) = view.entry(id)? else { return Ok(None) };
        if entry.record.flags() & ENTRY_ALIAS == 0 {
            return Ok(Some(entry));
        }
        at = entry;
    }
    Ok(None)
}

fn target_of(view: View<'_>, alias: &Entry<'_>) -> Option<Dn> {
    let catalog = view.catalog();
    let attribute = catalog.base_of(catalog.schema().attribute_type(ALIASED_OBJECT_NAME)?)?;
    let slice = alias.attribute(attribute)?;
    slice.values().next().and_then(|value| Dn::parse_bytes(value).ok())
}
