//! The consumer's side of content synchronisation (RFC 4533): a search, and what comes of it as events.
//!
//! `ldap3_proto` writes the request; answers are read by `wire`, because that codec loses the cookie of a refresh whose
//! other fields have their defaults.
//!
//! An entry's identity is the entryUUID that clients of the old server see. OpenLDAP gives the same in the sync control;
//! 389 gives its nsUniqueId there, whatever the entry has as entryUUID. Which is which is learned from the entries, so that
//! for 389 each search begins without a cookie (`Migration::usable`).

use crate::cli::client::{Connection, Target, Wire};
use crate::cli::output::CliError;
use crate::model::{EntryUuid, ResultCode};
use crate::wire::FrameDecoder;
use crate::wire::ber::{self, BerError, Reader};
use crate::wire::sync::{
    SYNC_DONE, SYNC_INFO, SYNC_STATE, StateValue, SyncInfo, SyncMode, SyncState, decode_done, decode_state,
};
use bytes::{Buf, BytesMut};
use futures_util::StreamExt;
use hashbrown::HashMap;
use ldap3_proto::LdapCodec;
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapDerefAliases, LdapFilter, LdapMsg, LdapOp, LdapSearchRequest, LdapSearchScope, SyncRequestMode,
};
use tokio::io::AsyncWriteExt;
use tokio_util::codec::{Encoder, FramedRead};

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The search's message id; a bind has used a lower one.
const ID: i32 = 1_000;

/// An entry as the provider has it.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) uuid: EntryUuid,
    pub(super) dn: String,
    pub(super) attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// What the provider says.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// The entry is so.
    Put(Incoming),
    /// The entry is there, unchanged.
    Present(Vec<EntryUuid>),
    /// The entry is gone.
    Gone(Vec<EntryUuid>),
    /// All up to this cookie was told.
    Cookie(Vec<u8>),
    /// The refresh stage is over. `deletes`: what is gone was named, else what was not named is gone.
    Refreshed { cookie: Option<Vec<u8>>, deletes: bool },
    /// The search is over.
    End { code: ResultCode, text: String, cookie: Option<Vec<u8>>, deletes: bool },
}

/// A running search.
pub(super) struct Consumer {
    frames: FramedRead<Box<dyn Wire>, FrameDecoder>,
    identities: Identities,
}

/// entryUUIDs by what the sync control says instead; only where the two differ.
#[derive(Debug, Default)]
struct Identities(HashMap<EntryUuid, EntryUuid>);

impl Identities {
    fn own(&mut self, event: &mut Event) {
        match event {
            Event::Put(incoming) => {
                let named = incoming.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case("entryUUID"));
                let text =
                    named.and_then(|(_, values)| values.first()).and_then(|value| std::str::from_utf8(value).ok());
                if let Some(own) =
                    text.and_then(|text| text.parse::<EntryUuid>().ok()).filter(|own| *own != incoming.uuid)
                {
                    self.0.insert(incoming.uuid, own);
                }
                incoming.uuid = self.of(incoming.uuid);
            }
            Event::Present(uuids) | Event::Gone(uuids) => uuids.iter_mut().for_each(|uuid| *uuid = self.of(*uuid)),
            _ => {}
        }
    }

    fn of(&self, uuid: EntryUuid) -> EntryUuid {
        self.0.get(&uuid).copied().unwrap_or(uuid)
    }
}

impl Consumer {
    /// Connects and begins.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the bind.
    pub(super) async fn open(
        target: &Target,
        base: &str,
        mode: SyncMode,
        cookie: Option<&[u8]>,
    ) -> Result<Self, CliError> {
        let (mut stream, buffered) = Connection::open(target).await?.into_parts();
        let op = LdapOp::SearchRequest(LdapSearchRequest {
            base: base.to_owned(),
            scope: LdapSearchScope::Subtree,
            aliases: LdapDerefAliases::Never,
            sizelimit: 0,
            timelimit: 0,
            typesonly: false,
            filter: LdapFilter::Present("objectClass".to_owned()),
            attrs: vec!["*".to_owned(), "+".to_owned()],
        });
        let mode = match mode {
            SyncMode::RefreshOnly => SyncRequestMode::RefreshOnly,
            SyncMode::RefreshAndPersist => SyncRequestMode::RefreshAndPersist,
        };
        let cookie = cookie.map(<[u8]>::to_vec);
        let ctrl = vec![
            LdapControl::SyncRequest { criticality: true, mode, cookie, reload_hint: false },
            LdapControl::ManageDsaIT { criticality: false },
        ];
        let mut bytes = BytesMut::new();
        let broken = |error: std::io::Error| CliError::new(format!("the connection broke: {error}"));
        LdapCodec::new(None, None).encode(LdapMsg { msgid: ID, op, ctrl }, &mut bytes).map_err(broken)?;
        stream.write_all(&bytes).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let mut frames = FramedRead::new(stream, FrameDecoder::new(ANSWER_BYTES_MAX));
        frames.read_buffer_mut().extend_from_slice(buffered.chunk());
        Ok(Self { frames, identities: Identities::default() })
    }

    /// The next event; `None` for what does not matter.
    ///
    /// # Errors
    /// The connection ended, or what came is no LDAP.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Event>>, CliError> {
        match self.frames.next().await {
            Some(Ok(frame)) => {
                let unreadable = |error| CliError::new(format!("the answer cannot be read: {error}"));
                let mut events = read(&frame).map_err(unreadable)?;
                events.iter_mut().for_each(|event| self.identities.own(event));
                Ok(Some(events))
            }
            Some(Err(error)) => Err(CliError::new(format!("the connection broke: {error}"))),
            None => Err(CliError::new("the server closed the connection")),
        }
    }
}

/// One message as events; an entry with a cookie is two.
fn read(frame: &[u8]) -> Result<Vec<Event>, BerError> {
    let mut message = Reader::new(frame).enter(ber::SEQUENCE)?;
    message.integer()?;
    let (tag, content) = message.element()?;
    let mut operation = Reader::new(content);
    let controls = message.optional(ber::context_constructed(0))?.unwrap_or_default();
    Ok(match tag {
        0x64 => entry(&mut operation, control(controls, SYNC_STATE)?)?,
        0x65 => {
            let (code, text) = result(&mut operation)?;
            let (cookie, deletes) = match control(controls, SYNC_DONE)? {
                Some(value) => decode_done(value)?,
                None => (None, false),
            };
            vec![Event::End { code, text, cookie, deletes }]
        }
        0x79 => {
            let name = operation.optional(ber::context(0))?;
            match operation.optional(ber::context(1))?.filter(|_| name == Some(SYNC_INFO.as_bytes())) {
                Some(value) => info(SyncInfo::decode(value)?),
                None => Vec::new(),
            }
        }
        0x78 => {
            let (code, text) = result(&mut operation)?;
            vec![Event::End { code, text, cookie: None, deletes: true }]
        }
        _ => Vec::new(),
    })
}

fn entry(operation: &mut Reader<'_>, state: Option<&[u8]>) -> Result<Vec<Event>, BerError> {
    let dn = String::from_utf8_lossy(operation.octets()?).into_owned();
    // Without a state it does not belong to the content.
    let Some(state) = state else { return Ok(Vec::new()) };
    let StateValue { state, uuid, cookie } = decode_state(state)?;
    let uuid = EntryUuid(uuid);
    let event = match state {
        SyncState::Delete => Event::Gone(vec![uuid]),
        SyncState::Present => Event::Present(vec![uuid]),
        SyncState::Add | SyncState::Modify => {
            let mut list = operation.enter(ber::SEQUENCE)?;
            let mut attributes = Vec::new();
            while !list.is_empty() {
                let mut attribute = list.enter(ber::SEQUENCE)?;
                let name = String::from_utf8_lossy(attribute.octets()?).into_owned();
                let mut set = attribute.enter(ber::SET)?;
                let mut values = Vec::new();
                while !set.is_empty() {
                    values.push(set.octets()?.to_vec());
                }
                attributes.push((name, values));
            }
            Event::Put(Incoming { uuid, dn, attributes })
        }
    };
    Ok(std::iter::once(event).chain(cookie.map(Event::Cookie)).collect())
}

fn info(info: SyncInfo) -> Vec<Event> {
    match info {
        SyncInfo::NewCookie(cookie) => vec![Event::Cookie(cookie)],
        SyncInfo::RefreshDelete { cookie, done: true } => vec![Event::Refreshed { cookie, deletes: true }],
        SyncInfo::RefreshPresent { cookie, done: true } => vec![Event::Refreshed { cookie, deletes: false }],
        // Another phase follows, and its end counts.
        SyncInfo::RefreshDelete { .. } | SyncInfo::RefreshPresent { .. } => Vec::new(),
        SyncInfo::IdSet { deletes, uuids, .. } => {
            let uuids = uuids.into_iter().map(EntryUuid).collect();
            vec![if deletes { Event::Gone(uuids) } else { Event::Present(uuids) }]
        }
    }
}

fn result(operation: &mut Reader<'_>) -> Result<(ResultCode, String), BerError> {
    let code = ResultCode(u32::try_from(operation.enumerated()?).unwrap_or(u32::MAX));
    operation.octets()?;
    Ok((code, String::from_utf8_lossy(operation.octets()?).into_owned()))
}

/// The value of a control in the list.
fn control<'a>(list: &'a [u8], oid: &str) -> Result<Option<&'a [u8]>, BerError> {
    let mut list = Reader::new(list);
    while !list.is_empty() {
        let mut control = list.enter(ber::SEQUENCE)?;
        let name = control.octets()?;
        control.optional(ber::BOOLEAN)?;
        let value = control.optional(ber::OCTET_STRING)?;
        if name == oid.as_bytes() {
            return Ok(value);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_uuid_that_clients_see_is_the_identity() {
        let [unique, own, other] = [EntryUuid([1; 16]), EntryUuid([2; 16]), EntryUuid([3; 16])];
        let put = |uuid: EntryUuid, attributes| Event::Put(Incoming { uuid, dn: "o=x".to_owned(), attributes });
        let mut identities = Identities::default();
        let mut events = [
            put(unique, vec![("EntryUUID".to_owned(), vec![own.to_text().to_vec()])]),
            put(other, Vec::new()),
            Event::Gone(vec![unique, other]),
        ];
        events.iter_mut().for_each(|event| identities.own(event));
        let [Event::Put(one), Event::Put(two), Event::Gone(gone)] = &events else { panic!("{events:?}") };
        assert_eq!((one.uuid, two.uuid, gone.as_slice()), (own, other, [own, other].as_slice()));
    }
}
