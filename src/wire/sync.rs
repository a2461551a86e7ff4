//! Content synchronisation (RFC 4533): the values of its controls and of its intermediate response, both ways.
//!
//! The server writes states, infos and ends and reads requests; the consumer in `cli` does the opposite. A cookie is
//! bytes here; what is in it is the business of whoever made it.

use super::ber::{self, BerError, Reader, Writer};
use super::control::Control;
use super::error::Malformed;
use super::response::ResponseControl;

/// Sync Request control (RFC 4533 2.2).
pub const SYNC_REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
/// Sync State control, with each entry (RFC 4533 2.3).
pub const SYNC_STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
/// Sync Done control, with the end of a search (RFC 4533 2.4).
pub const SYNC_DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
/// Name of the Sync Info intermediate response (RFC 4533 2.5).
pub const SYNC_INFO: &str = "1.3.6.1.4.1.4203.1.9.1.4";

/// Longest cookie that is read, in bytes: some hundred origins fit.
pub const COOKIE_BYTES_MAX: usize = 16 * 1024;

/// Whether the search goes on after the copy is up to date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncMode {
    /// It ends.
    RefreshOnly,
    /// Changes are sent as they come.
    RefreshAndPersist,
}

/// What a client asks for (RFC 4533 2.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncRequest {
    /// Once, or for good.
    pub mode: SyncMode,
    /// What the client's copy is as of; none: it has no copy.
    pub cookie: Option<Vec<u8>>,
    /// Whether the client rather hears e-syncRefreshRequired than gets everything again.
    pub reload_hint: bool,
}

impl SyncRequest {
    /// Decodes the control's value.
    ///
    /// # Errors
    /// protocolError.
    pub fn decode(control: &Control<'_>) -> Result<Self, Malformed> {
        let mut outer = Reader::new(control.required_value()?);
        let mut reader = outer.enter(ber::SEQUENCE)?;
        outer.finish()?;
        let mode = match reader.enumerated()? {
            1 => SyncMode::RefreshOnly,
            3 => SyncMode::RefreshAndPersist,
            other => return Err(Malformed::protocol(format!("sync mode {other} is neither 1 nor 3"))),
        };
        let cookie = reader.optional(ber::OCTET_STRING)?;
        let reload_hint = reader.optional(ber::BOOLEAN)?.map(ber::boolean).transpose()?.unwrap_or(false);
        reader.finish_extensible(0)?;
        if cookie.is_some_and(|cookie| cookie.len() > COOKIE_BYTES_MAX) {
            return Err(Malformed::protocol(format!("a sync cookie of more than {COOKIE_BYTES_MAX} bytes")));
        }
        // Some clients send an empty one for none.
        Ok(Self { mode, cookie: cookie.filter(|cookie| !cookie.is_empty()).map(<[u8]>::to_vec), reload_hint })
    }

    /// The control's value, for a client.
    pub fn encode(&self) -> Vec<u8> {
        value(|writer| {
            writer.integer(ber::ENUMERATED, if self.mode == SyncMode::RefreshOnly { 1 } else { 3 });
            if let Some(cookie) = &self.cookie {
                writer.octets(cookie);
            }
            if self.reload_hint {
                writer.boolean(ber::BOOLEAN, true);
            }
        })
    }
}

/// What an entry that comes is (RFC 4533 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncState {
    /// Unchanged; without attributes.
    Present,
    /// New in the content.
    Add,
    /// Changed.
    Modify,
    /// No longer in the content; without attributes.
    Delete,
}

/// The Sync State control of an entry.
pub fn state_control(state: SyncState, uuid: &[u8; 16]) -> ResponseControl {
    let value = value(|writer| {
        writer.integer(ber::ENUMERATED, state as i64);
        writer.octets(uuid);
    });
    ResponseControl { oid: SYNC_STATE, critical: false, value: Some(value) }
}

/// A Sync State control taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateValue {
    /// What the entry is.
    pub state: SyncState,
    /// entryUUID.
    pub uuid: [u8; 16],
    /// What the copy is as of with this entry in it.
    pub cookie: Option<Vec<u8>>,
}

/// Decodes a Sync State control.
///
/// # Errors
/// [`BerError`]; an unknown state or a UUID of another length is one too.
pub fn decode_state(value: &[u8]) -> Result<StateValue, BerError> {
    let mut outer = Reader::new(value);
    let mut reader = outer.enter(ber::SEQUENCE)?;
    let state = match reader.enumerated()? {
        0 => SyncState::Present,
        1 => SyncState::Add,
        2 => SyncState::Modify,
        3 => SyncState::Delete,
        _ => return Err(BerError::IntegerLength(1)),
    };
    let uuid = uuid_of(reader.octets()?)?;
    let cookie = reader.optional(ber::OCTET_STRING)?.map(<[u8]>::to_vec);
    Ok(StateValue { state, uuid, cookie })
}

/// The Sync Done control. `deletes`: what left the content was named; else what was not named has left it.
pub fn done_control(cookie: &[u8], deletes: bool) -> ResponseControl {
    let value = value(|writer| {
        writer.octets(cookie);
        if deletes {
            writer.boolean(ber::BOOLEAN, true);
        }
    });
    ResponseControl { oid: SYNC_DONE, critical: false, value: Some(value) }
}

/// Decodes a Sync Done control: cookie, and whether deletes were named.
///
/// # Errors
/// [`BerError`].
pub fn decode_done(value: &[u8]) -> Result<(Option<Vec<u8>>, bool), BerError> {
    let mut outer = Reader::new(value);
    let mut reader = outer.enter(ber::SEQUENCE)?;
    let cookie = reader.optional(ber::OCTET_STRING)?.map(<[u8]>::to_vec);
    let deletes = reader.optional(ber::BOOLEAN)?.map(ber::boolean).transpose()?.unwrap_or(false);
    Ok((cookie, deletes))
}

/// The value of a Sync Info message (RFC 4533 2.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyncInfo {
    /// The copy is as of this cookie now.
    NewCookie(Vec<u8>),
    /// A refresh phase ends in which deletes were named.
    RefreshDelete {
        /// As of what.
        cookie: Option<Vec<u8>>,
        /// Whether the refresh stage ends with it.
        done: bool,
    },
    /// A refresh phase ends in which all that remains was named.
    RefreshPresent {
        /// As of what.
        cookie: Option<Vec<u8>>,
        /// Whether the refresh stage ends with it.
        done: bool,
    },
    /// Entries by name alone.
    IdSet {
        /// As of what.
        cookie: Option<Vec<u8>>,
        /// They are gone; else they are still there.
        deletes: bool,
        /// entryUUIDs.
        uuids: Vec<[u8; 16]>,
    },
}

impl SyncInfo {
    /// The responseValue.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        match self {
            Self::NewCookie(cookie) => writer.primitive(ber::context(0), cookie),
            Self::RefreshDelete { cookie, done } | Self::RefreshPresent { cookie, done } => {
                let number = if matches!(self, Self::RefreshDelete { .. }) { 1 } else { 2 };
                let mark = writer.begin(ber::context_constructed(number));
                if let Some(cookie) = cookie {
                    writer.octets(cookie);
                }
                if !done {
                    writer.boolean(ber::BOOLEAN, false);
                }
                writer.end(mark);
            }
            Self::IdSet { cookie, deletes, uuids } => {
                let mark = writer.begin(ber::context_constructed(3));
                if let Some(cookie) = cookie {
                    writer.octets(cookie);
                }
                if *deletes {
                    writer.boolean(ber::BOOLEAN, true);
                }
                let set = writer.begin(ber::SET);
                for uuid in uuids {
                    writer.octets(uuid);
                }
                writer.end(set);
                writer.end(mark);
            }
        }
        out
    }

    /// The inverse of [`SyncInfo::encode`].
    ///
    /// # Errors
    /// [`BerError`].
    pub fn decode(value: &[u8]) -> Result<Self, BerError> {
        let mut outer = Reader::new(value);
        let (tag, content) = outer.element()?;
        outer.finish()?;
        if tag == ber::context(0) {
            return Ok(Self::NewCookie(content.to_vec()));
        }
        let mut reader = Reader::new(content);
        let cookie = reader.optional(ber::OCTET_STRING)?.map(<[u8]>::to_vec);
        let flag = reader.optional(ber::BOOLEAN)?.map(ber::boolean).transpose()?;
        if tag == ber::context_constructed(1) {
            return Ok(Self::RefreshDelete { cookie, done: flag.unwrap_or(true) });
        }
        if tag == ber::context_constructed(2) {
            return Ok(Self::RefreshPresent { cookie, done: flag.unwrap_or(true) });
        }
        if tag != ber::context_constructed(3) {
            return Err(BerError::UnexpectedTag { expected: ber::context_constructed(3), found: tag });
        }
        let mut set = reader.enter(ber::SET)?;
        let mut uuids = Vec::new();
        while !set.is_empty() {
            uuids.push(uuid_of(set.octets()?)?);
        }
        Ok(Self::IdSet { cookie, deletes: flag.unwrap_or(false), uuids })
    }
}

fn uuid_of(octets: &[u8]) -> Result<[u8; 16], BerError> {
    octets.try_into().map_err(|_| BerError::IntegerLength(octets.len()))
}

fn value(content: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let mut writer = Writer::new(&mut out);
    let sequence = writer.begin(ber::SEQUENCE);
    content(&mut writer);
    writer.end(sequence);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(value: &[u8]) -> Control<'_> {
        Control { oid: SYNC_REQUEST, critical: true, value: Some(value) }
    }

    #[test]
    fn requests_are_read_back() {
        for (mode, cookie, reload_hint) in [
            (SyncMode::RefreshOnly, None, false),
            (SyncMode::RefreshAndPersist, Some(b"rid=001".to_vec()), false),
            (SyncMode::RefreshOnly, Some(vec![0; 300]), true),
        ] {
            let request = SyncRequest { mode, cookie, reload_hint };
            assert_eq!(SyncRequest::decode(&control(&request.encode())).unwrap(), request);
        }
    }

    #[test]
    fn other_modes_and_broken_values_are_refused() {
        for value in [&[][..], &[0x30, 0], &[0x30, 3, 10, 1, 2], &[0x30, 3, 2, 1, 1], &[0x30, 4, 10, 1, 1, 4]] {
            assert!(SyncRequest::decode(&control(value)).is_err(), "{value:x?}");
        }
    }

    /// RFC 4533 2.5: refreshDone is true where it is not said, refreshDeletes false.
    #[test]
    fn infos_are_read_back_with_their_defaults() {
        let cookie = Some(b"c".to_vec());
        for info in [
            SyncInfo::NewCookie(b"c".to_vec()),
            SyncInfo::RefreshDelete { cookie: cookie.clone(), done: true },
            SyncInfo::RefreshPresent { cookie: None, done: false },
            SyncInfo::IdSet { cookie: None, deletes: true, uuids: vec![[1; 16], [2; 16]] },
            SyncInfo::IdSet { cookie, deletes: false, uuids: Vec::new() },
        ] {
            assert_eq!(SyncInfo::decode(&info.encode()).unwrap(), info);
        }
        assert!(
            SyncInfo::decode(&[0xa2, 0])
                .is_ok_and(|info| info == SyncInfo::RefreshPresent { cookie: None, done: true })
        );
        assert!(SyncInfo::decode(&[0xa4, 0]).is_err() && SyncInfo::decode(&[]).is_err());
    }

    #[test]
    fn states_and_ends_are_read_back() {
        let value = state_control(SyncState::Delete, &[7; 16]).value.unwrap();
        let expected = StateValue { state: SyncState::Delete, uuid: [7; 16], cookie: None };
        assert_eq!(decode_state(&value).unwrap(), expected);
        let value = done_control(b"c", true).value.unwrap();
        assert_eq!(decode_done(&value).unwrap(), (Some(b"c".to_vec()), true));
    }
}
