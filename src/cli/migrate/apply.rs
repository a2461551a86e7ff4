//! What the old server says, made so here: entries by entryUUID, only what differs is written.
//!
//! Putting an entry twice writes nothing the second time, so that an interrupted pass is simply done again. An entry whose
//! superior has not come yet waits for it.

use super::consumer::Incoming;
use crate::cli::import::{is_left_out, stored_password};
use crate::cli::output::CliError;
use crate::dit::{
    Committed, Completion, Dit, DitError, Target, ValueError, View, Writer, Writing, birth_deltas, rdn_state, value_of,
};
use crate::model::{AttributeDescription, Dn, EntryUuid};
use crate::policy::password_hash::unserved_scheme;
use crate::schema::time::parse_generalized_time;
use crate::state::{AttributeId, Delta, ValueKey};
use crate::storage::EntryId;
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// Who is written into the log as having made the changes.
const AUTHOR: &str = "migrate";

/// What was done.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(super) struct Tally {
    /// Entries that were written or deleted.
    pub(super) changed: u64,
    /// Entries that could not be taken, with the reasons.
    pub(super) refused: BTreeMap<String, String>,
    /// Attributes and object classes that the schema does not know: how many entries have them.
    pub(super) unknown: BTreeMap<String, u64>,
    /// Passwords that were taken and will never be verified, by how they are stored.
    pub(super) unserved_passwords: BTreeMap<String, u64>,
}

/// An order to the store.
pub(super) enum Order {
    /// The entry is so.
    Put(Incoming),
    /// The entry is gone.
    Remove(EntryUuid),
}

enum Outcome {
    Same,
    Changed,
    /// Its superior is not here.
    Waits,
    Refused(String),
}

/// The store that is being filled.
pub(super) struct Store {
    dit: Arc<Dit>,
    writer: Writer,
    thread: Option<std::thread::JoinHandle<()>>,
    waiting: Vec<Incoming>,
    pub(super) tally: Tally,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.writer.stop();
        if let Some(thread) = self.thread.take() {
            // It has committed what it took, or said why not.
            let _ = thread.join();
        }
    }
}

impl Store {
    pub(super) fn open(dit: Dit) -> Result<Self, CliError> {
        let dit = Arc::new(dit);
        let (writer, thread) = Writer::start(Arc::clone(&dit), 16).map_err(|error| failed(&error))?;
        Ok(Self { dit, writer, thread: Some(thread), waiting: Vec::new(), tally: Tally::default() })
    }

    /// Does all of it in one transaction, and on disk when this returns.
    ///
    /// # Errors
    /// The store failed; nothing of it was done.
    pub(super) fn apply(&mut self, orders: Vec<Order>) -> Result<(), CliError> {
        let mut orders: Vec<Order> = orders.into_iter().collect();
        orders.extend(std::mem::take(&mut self.waiting).into_iter().map(Order::Put));
        let (told, outcome) = sync_channel(1);
        let job = Box::new(move |writing: &mut Writing<'_>| {
            let mut tally = Tally::default();
            let done = perform(writing, orders, &mut tally);
            let told = told.clone();
            match done {
                Ok(waiting) => {
                    let completion: Completion = Box::new(move |committed: Committed<'_>| {
                        // Whoever asked waits for it.
                        let _ = told.send(committed.map(|()| (waiting, tally)).map_err(ToString::to_string));
                    });
                    Ok(completion)
                }
                Err(error) => {
                    let text = error.to_string();
                    let completion: Completion = Box::new(move |_: Committed<'_>| {
                        let _ = told.send(Err(text));
                    });
                    Err((error, completion))
                }
            }
        });
        self.writer.submit(job).map_err(|error| failed(&error))?;
        let outcome = outcome.recv().map_err(|_| CliError::new("the writer stopped; run: entente check"))?;
        let (waiting, tally) = outcome.map_err(CliError::new)?;
        self.waiting = waiting;
        self.tally.changed += tally.changed;
        self.tally.refused.extend(tally.refused);
        for (name, count) in tally.unknown {
            *self.tally.unknown.entry(name).or_default() += count;
        }
        for (scheme, count) in tally.unserved_passwords {
            *self.tally.unserved_passwords.entry(scheme).or_default() += count;
        }
        Ok(())
    }

    /// Entries that wait for their superiors.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Removes what is at or below `base` and was not mentioned.
    ///
    /// # Errors
    /// As [`Store::apply`].
    pub(super) fn remove_others(&mut self, base: &Dn, mentioned: &HashSet<EntryUuid>) -> Result<(), CliError> {
        let mut gone = Vec::new();
        {
            let snapshot = self.dit.read().map_err(|error| failed(&error))?;
            let view = snapshot.view();
            let Some(base) = view.resolve(base).map_err(|error| failed(&error))?.entry else { return Ok(()) };
            let mut below = vec![base];
            while let Some(id) = below.pop() {
                if let Some(entry) = view.entry(id).map_err(|error| failed(&error))?
                    && !mentioned.contains(&entry.record.uuid())
                {
                    gone.push(entry.record.uuid());
                }
                for child in view.children(id).map_err(|error| failed(&error))? {
                    below.push(child.map_err(|error| failed(&error))?);
                }
            }
        }
        // What was found below comes first.
        gone.reverse();
        let mut gone = gone.into_iter().map(Order::Remove).peekable();
        while gone.peek().is_some() {
            self.apply(gone.by_ref().take(512).collect())?;
        }
        Ok(())
    }
}

fn failed(error: &DitError) -> CliError {
    CliError::new(error.to_string())
}

fn perform(writing: &mut Writing<'_>, orders: Vec<Order>, tally: &mut Tally) -> Result<Vec<Incoming>, DitError> {
    let mut waiting = Vec::new();
    for order in orders {
        match order {
            Order::Remove(uuid) => {
                waiting.retain(|incoming: &Incoming| incoming.uuid != uuid);
                if let Some(id) = writing.view().by_uuid(uuid)? {
                    writing.change(Target::Existing(id), AUTHOR, vec![Delta::Dead])?;
                    tally.changed += 1;
                }
            }
            Order::Put(incoming) => {
                waiting.retain(|earlier: &Incoming| earlier.uuid != incoming.uuid);
                note(writing, incoming, &mut waiting, tally)?;
            }
        }
    }
    // A superior may have come behind what is below it.
    loop {
        let before = waiting.len();
        for incoming in std::mem::take(&mut waiting) {
            note(writing, incoming, &mut waiting, tally)?;
        }
        if waiting.len() == before || waiting.is_empty() {
            return Ok(waiting);
        }
    }
}

fn note(
    writing: &mut Writing<'_>,
    incoming: Incoming,
    waiting: &mut Vec<Incoming>,
    tally: &mut Tally,
) -> Result<(), DitError> {
    match put(writing, &incoming, tally) {
        Ok(Outcome::Same) => {}
        Ok(Outcome::Changed) => tally.changed += 1,
        Ok(Outcome::Waits) => waiting.push(incoming),
        Ok(Outcome::Refused(reason)) | Err(ValueError::Invalid { detail: reason, .. }) => {
            tally.refused.insert(incoming.dn, reason);
        }
        Err(error @ ValueError::Encrypted { .. }) => {
            tally.refused.insert(incoming.dn, error.to_string());
        }
        Err(ValueError::Dit(DitError::Storage(error))) => return Err(DitError::Storage(error)),
        Err(ValueError::Dit(error)) => {
            tally.refused.insert(incoming.dn, error.to_string());
        }
    }
    Ok(())
}

fn put(writing: &mut Writing<'_>, incoming: &Incoming, tally: &mut Tally) -> Result<Outcome, ValueError> {
    let Ok(dn) = Dn::parse(&incoming.dn) else {
        return Ok(Outcome::Refused("the DN cannot be read".to_owned()));
    };
    let (attributes, unserved) = number(writing, incoming, tally)?;
    let mut tell = || {
        for scheme in &unserved {
            *tally.unserved_passwords.entry(scheme.clone()).or_default() += 1;
        }
    };
    let found = writing.view().by_uuid(incoming.uuid)?;
    let own_parent = match found {
        Some(id) => {
            let view = writing.view();
            view.entry(id)?.map(|entry| view.superior(&entry))
        }
        None => None,
    };
    let superior = dn.superior().unwrap_or_default();
    let parent = match own_parent {
        // A suffix stays where it is.
        Some(EntryId::NONE) => EntryId::NONE,
        _ => match writing.view().resolve(&superior)?.entry {
            Some(parent) => parent,
            None => return Ok(Outcome::Waits),
        },
    };
    let Some(id) = found else {
        let values: Vec<_> = attributes.into_iter().collect();
        let deltas = birth_deltas(writing, &dn, parent, &values)?;
        writing.change(Target::New(incoming.uuid), AUTHOR, deltas)?;
        tell();
        return Ok(Outcome::Changed);
    };
    let mut deltas = Vec::new();
    let Some(state) = writing.state(id)? else { return Ok(Outcome::Same) };
    if parent != EntryId::NONE {
        if let Some(rdn) = dn.rdn() {
            let rdn = rdn_state(writing, rdn)?;
            if rdn != state.rdn.1 {
                deltas.push(Delta::Rdn(rdn));
            }
        }
        let uuid = writing.view().entry(parent)?.map(|parent| parent.record.uuid());
        deltas.extend(uuid.filter(|_| own_parent != Some(parent)).map(Delta::Parent));
    }
    differences(&writing.view(), id, &attributes, &mut deltas)?;
    if deltas.is_empty() {
        return Ok(Outcome::Same);
    }
    // The time of the old server's change holds only if it is told with the change.
    let view = writing.view();
    let known = *view.catalog().well_known();
    if let Some(values) = attributes.get(&known.modify_timestamp)
        && !deltas.iter().any(|delta| matches!(delta, Delta::Clear(id) if *id == known.modify_timestamp))
    {
        replace(&view, known.modify_timestamp, values, &mut deltas)?;
    }
    writing.change(Target::Existing(id), AUTHOR, deltas)?;
    tell();
    Ok(Outcome::Changed)
}

type Numbered = BTreeMap<AttributeId, Vec<Vec<u8>>>;

/// The attributes that are kept, by number, and how new passwords are stored that will never be verified; unknown attributes
/// are counted.
fn number(
    writing: &mut Writing<'_>,
    incoming: &Incoming,
    tally: &mut Tally,
) -> Result<(Numbered, Vec<String>), ValueError> {
    let (mut numbered, mut unserved) = (Numbered::new(), Vec::new());
    let schema = Arc::clone(writing.view().catalog().schema());
    for (name, values) in &incoming.attributes {
        let Ok(description) = AttributeDescription::parse(name) else { continue };
        if is_left_out(description.name()) {
            continue;
        }
        let Some(known) = schema.attribute_type(description.name()) else {
            *tally.unknown.entry(description.name().to_owned()).or_default() += 1;
            continue;
        };
        if schema.attribute_options().unknown_in(&description).is_some() {
            *tally.unknown.entry(description.to_string()).or_default() += 1;
            continue;
        }
        if known.oid == "2.5.4.0" {
            let classes = values.iter().filter_map(|value| std::str::from_utf8(value).ok());
            for class in classes.filter(|class| schema.object_class(class).is_none()) {
                *tally.unknown.entry(format!("objectClass {class}")).or_default() += 1;
            }
        }
        let is_secret = known.is_secret();
        let id = writing.intern(&description)?;
        let held = if is_secret { stored_values(&writing.view(), incoming.uuid, id)? } else { Vec::new() };
        if is_secret {
            unserved.extend(
                values.iter().filter(|value| !held.contains(*value)).filter_map(|value| unserved_scheme(value)),
            );
        }
        let stored = |value: &Vec<u8>| if is_secret { stored_password(value, &held) } else { value.clone() };
        numbered.entry(id).or_default().extend(values.iter().map(stored));
    }
    Ok((numbered, unserved))
}

fn stored_values(view: &View<'_>, uuid: EntryUuid, attribute: AttributeId) -> Result<Vec<Vec<u8>>, DitError> {
    let Some(id) = view.by_uuid(uuid)? else { return Ok(Vec::new()) };
    let Some(entry) = view.entry(id)? else { return Ok(Vec::new()) };
    entry.attribute(attribute).map_or(Ok(Vec::new()), |slice| view.values(&entry, &slice))
}

/// Deltas from what entry `id` has to `wanted`.
fn differences(view: &View<'_>, id: EntryId, wanted: &Numbered, deltas: &mut Vec<Delta>) -> Result<(), ValueError> {
    let Some(entry) = view.entry(id)? else { return Ok(()) };
    let known = view.catalog().well_known();
    let times =
        [(known.create_timestamp, entry.record.created_ms()), (known.modify_timestamp, entry.record.modified_ms())];
    for (attribute, values) in wanted {
        let Some(info) = view.catalog().attribute(*attribute) else { continue };
        if let Some((_, shown)) = times.iter().find(|(time, _)| time == attribute) {
            let told = values.first().and_then(|value| parse_generalized_time(value));
            if told.is_some_and(|told| told / 1000 != shown / 1000) {
                replace(view, *attribute, values, deltas)?;
            }
            continue;
        }
        let held = match entry.attribute(*attribute) {
            Some(slice) => view.values(&entry, &slice)?,
            None => Vec::new(),
        };
        let keys = |values: &[Vec<u8>]| -> Result<HashMap<ValueKey, usize>, ValueError> {
            let keyed = values.iter().enumerate().map(|(index, value)| Ok((value_of(view, info, value)?.0, index)));
            keyed.collect()
        };
        let (held_keys, wanted_keys) = (keys(&held)?, keys(values)?);
        for (key, index) in &held_keys {
            let is_same =
                wanted_keys.get(key).is_some_and(|wanted| values.get(*wanted) == held.get(*index) || info.links);
            if !is_same && !wanted_keys.contains_key(key) {
                let value = crate::state::CellValue::Text(Vec::new());
                deltas.push(Delta::Cell { attribute: *attribute, key: key.clone(), order: 0, present: false, value });
            }
        }
        for (order, value) in values.iter().enumerate() {
            let (key, cell) = value_of(view, info, value)?;
            let is_held = held_keys.get(&key).is_some_and(|index| held.get(*index) == Some(value) || info.links);
            if !is_held && !deltas.iter().any(|delta| matches!(delta, Delta::Cell { attribute: at, key: known, .. } if at == attribute && *known == key)) {
                deltas.push(Delta::Cell { attribute: *attribute, key, order: order as u32, present: true, value: cell });
            }
        }
    }
    for slice in entry.record.attributes() {
        if !wanted.contains_key(&slice.id) && slice.id != known.aci {
            deltas.push(Delta::Clear(slice.id));
        }
    }
    Ok(())
}

fn replace(
    view: &View<'_>,
    attribute: AttributeId,
    values: &[Vec<u8>],
    deltas: &mut Vec<Delta>,
) -> Result<(), ValueError> {
    let Some(info) = view.catalog().attribute(attribute) else { return Ok(()) };
    deltas.push(Delta::Clear(attribute));
    for (order, value) in values.iter().enumerate() {
        let (key, value) = value_of(view, info, value)?;
        deltas.push(Delta::Cell { attribute, key, order: order as u32, present: true, value });
    }
    Ok(())
}
