//! What was last heard of the other members, written into the store so that the next run knows it: rarely, for a commit costs
//! a flush.
//!
//! It is written at the end, every ten minutes, and soon after a member fell silent, so that a crash later knows what that
//! member holds. The record is of this node alone: version, then for each member id, when it was heard (unix milliseconds,
//! plus one; 0 for never), for how long it was silent while this node ran (milliseconds), and origin and number of what it
//! holds. A record that cannot be read is as none.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Engine, MetaName, NodeId, ServiceError, View};
use crate::dit::LogRange;
use crate::replication::{Contact, joining};
use crate::state::encoding::bytes::{Reader, put_varint};
use crate::state::encoding::update::decode_update;
use crate::state::{AttributeId, OriginId, StateError, UpdateVector};

const VERSION: u8 = 1;
/// Between two looks at whether somebody fell silent, ticks: ten seconds.
const LOOK_TICKS: u64 = 100;
/// Between two writes at most, ticks: ten minutes.
const NOTE_TICKS: u64 = 6_000;
/// A member that was not heard of for so long may not come back soon, milliseconds.
const SILENT_MS: u64 = 15_000;
/// The end of the node waits so long for the write.
const END_WAIT: Duration = Duration::from_secs(2);

/// What was written last.
#[derive(Debug, Default)]
pub(super) struct Noted {
    contacts: Vec<Contact>,
    at_tick: u64,
}

impl Engine {
    /// Writes down what was heard of members if it is time.
    pub(super) fn note_contacts(&mut self) {
        if !self.ticks.is_multiple_of(LOOK_TICKS) {
            return;
        }
        let contacts = self.replicator.contacts(self.now());
        let is_last_word = |contact: &Contact| contact.silent_ms >= SILENT_MS;
        let is_news = |contact: &Contact| {
            let noted = self.contacts.contacts.iter().find(|noted| noted.node == contact.node);
            noted.is_none_or(|noted| noted.held != contact.held)
        };
        let is_due = self.ticks >= self.contacts.at_tick + NOTE_TICKS;
        if !contacts.is_empty() && (is_due || contacts.iter().any(|contact| is_last_word(contact) && is_news(contact)))
        {
            let encoded = encode(&contacts);
            self.contacts = Noted { contacts, at_tick: self.ticks };
            self.spawn_change(move |writing| Ok(writing.put_meta(MetaName::Contacts, &encoded)?));
        }
    }

    /// The same as the node ends.
    pub(super) async fn note_contacts_at_end(&self) {
        let contacts = self.replicator.contacts(self.now());
        if contacts.is_empty() {
            return;
        }
        let encoded = encode(&contacts);
        let work =
            joining::change(&self.parts.writer, move |writing| Ok(writing.put_meta(MetaName::Contacts, &encoded)?));
        if !matches!(tokio::time::timeout(END_WAIT, work).await, Ok(Ok(Ok(())))) {
            tracing::warn!("what was last heard of the other members is not written down");
        }
    }
}

/// What the run before heard, with when the oldest change was made that each member lacks of what is held (`vector`).
pub(super) fn kept(view: View<'_>, vector: &UpdateVector) -> Result<Vec<Contact>, ServiceError> {
    let bytes = view.reader().meta(MetaName::Contacts).map_err(crate::dit::DitError::from)?;
    let mut contacts = bytes.map(decode).transpose().unwrap_or_default().unwrap_or_default();
    let mut made: BTreeMap<(OriginId, u64), Option<u64>> = BTreeMap::new();
    for contact in &mut contacts {
        for (origin, position) in vector.iter() {
            let first = contact.held.get(&origin).copied().unwrap_or(0) + 1;
            if first > position.sequence {
                continue;
            }
            let at_ms = match made.get(&(origin, first)) {
                Some(known) => *known,
                None => made_ms(view, origin, first)?,
            };
            made.insert((origin, first), at_ms);
            contact.lacking_since_ms.extend(at_ms.map(|at_ms| (origin, at_ms)));
        }
    }
    Ok(contacts)
}

/// When a change was made, or the oldest after it that the log still has; unix milliseconds.
fn made_ms(view: View<'_>, origin: OriginId, sequence: u64) -> Result<Option<u64>, ServiceError> {
    let records = match view.log_range(origin, sequence, 1)? {
        LogRange::Trimmed { first_kept } => match view.log_range(origin, first_kept, 1)? {
            LogRange::Records(records) => records,
            LogRange::Trimmed { .. } => Vec::new(),
        },
        LogRange::Records(records) => records,
    };
    let of = |bytes: &[u8]| {
        let mut attributes = (0..).map(AttributeId);
        decode_update(bytes, |_| attributes.next()).ok().map(|update| update.stamp.csn.ms())
    };
    Ok(records.first().and_then(|record| of(&record.bytes)))
}

fn encode(contacts: &[Contact]) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_varint(&mut out, contacts.len() as u64);
    for contact in contacts {
        out.extend_from_slice(&contact.node.0);
        put_varint(&mut out, contact.heard_ms.map_or(0, |at_ms| at_ms.saturating_add(1)));
        put_varint(&mut out, contact.silent_ms);
        put_varint(&mut out, contact.held.len() as u64);
        for (origin, sequence) in &contact.held {
            put_varint(&mut out, origin.0);
            put_varint(&mut out, *sequence);
        }
    }
    out
}

fn decode(bytes: &[u8]) -> Result<Vec<Contact>, StateError> {
    let mut reader = Reader::new(bytes);
    reader.version(VERSION)?;
    let count = reader.count(19)?;
    let mut contacts = Vec::with_capacity(count);
    for _ in 0..count {
        let node = NodeId(reader.array()?);
        let (heard, silent_ms, origins) = (reader.varint()?, reader.varint()?, reader.count(2)?);
        let mut held = BTreeMap::new();
        for _ in 0..origins {
            held.insert(OriginId(reader.varint()?), reader.varint()?);
        }
        let heard_ms = heard.checked_sub(1);
        contacts.push(Contact { node, held, heard_ms, silent_ms, lacking_since_ms: BTreeMap::new() });
    }
    reader.finish()?;
    Ok(contacts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_come_back_as_they_were_written_and_no_bytes_do_harm() {
        let held = BTreeMap::from([(OriginId(7), 3), (OriginId(1 << 47), u64::MAX)]);
        let contacts = vec![
            Contact {
                node: NodeId([1; 16]),
                held,
                heard_ms: Some(1_700_000_000_000),
                silent_ms: 5,
                ..Contact::default()
            },
            Contact { node: NodeId([2; 16]), ..Contact::default() },
        ];
        let bytes = encode(&contacts);
        assert_eq!(decode(&bytes), Ok(contacts));
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "{end}");
        }
        assert!(decode(&[VERSION, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err(), "a count beyond its bytes");
    }
}
