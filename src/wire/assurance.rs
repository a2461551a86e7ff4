//! Two controls of our own: which changes a request must see or a change must outlive this server by.
//!
//! *Session token* (request and response): the response names the changes that it may have shown or made, as text
//! `origin:number,origin:number`; a later request that carries the text, to whichever node, sees all of them or hears
//! busy, or unwillingToPerform where one of them is lost with the disk of the server that made it. Request value: `SEQUENCE { token OCTET STRING, waitMs INTEGER OPTIONAL }`, or none to get a token alone.
//! Response value: the text.
//!
//! *Durability* (changes): who besides this server must hold the change before it is answered. Request value:
//! `SEQUENCE { level ENUMERATED { local 0, quorum 1, site 2, all 3 }, members INTEGER, waitMs INTEGER }`, where `members`
//! is said for a quorum. Response value: `SEQUENCE { acked INTEGER, wanted INTEGER, nodes SEQUENCE OF OCTET STRING }`,
//! the honest count, also when the time was over.

use super::ber::{self, BerError, Reader, Writer};
use super::control::Control;
use super::error::Malformed;

/// The session token control.
pub const SESSION_TOKEN: &str = "2.25.226734431000227364254570923804739913085.3.1";
/// The durability control.
pub const DURABILITY: &str = "2.25.226734431000227364254570923804739913085.3.2";

/// Longest wait that can be asked for, in milliseconds.
pub const WAIT_MS_MAX: u64 = 30_000;
/// Longest token that is read, in bytes: some hundred origins.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The value of a session token control in a request: token, and how long to wait for it.
///
/// # Errors
/// protocolError.
pub fn decode_token<'a>(control: &Control<'a>) -> Result<(&'a str, Option<u64>), Malformed> {
    let Some(value) = control.value else { return Ok(("", None)) };
    let mut outer = Reader::new(value);
    let mut reader = outer.enter(ber::SEQUENCE)?;
    outer.finish()?;
    let token = reader.octets()?;
    let wait = if reader.is_empty() { None } else { Some(wait_ms(reader.integer()?)?) };
    reader.finish_extensible(0)?;
    let token = std::str::from_utf8(token).ok().filter(|token| token.len() <= TOKEN_BYTES_MAX);
    Ok((token.ok_or_else(|| Malformed::protocol("a session token is text of at most 16384 bytes"))?, wait))
}

/// Who must hold a change before it is answered, besides this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DurabilityLevel {
    /// Nobody.
    #[default]
    Local,
    /// So many other members.
    Quorum(u32),
    /// Every supplier of this site.
    Site,
    /// Every supplier.
    All,
}

/// The value of a durability control: level, and how long to wait, in milliseconds.
///
/// # Errors
/// protocolError.
pub fn decode_durability(control: &Control<'_>) -> Result<(DurabilityLevel, u64), Malformed> {
    let mut outer = Reader::new(control.required_value()?);
    let mut reader = outer.enter(ber::SEQUENCE)?;
    outer.finish()?;
    let (level, members, wait) = (reader.enumerated()?, reader.integer()?, reader.integer()?);
    reader.finish_extensible(0)?;
    let level = match level {
        0 => DurabilityLevel::Local,
        1 => match u32::try_from(members) {
            Ok(members @ 1..=1000) => DurabilityLevel::Quorum(members),
            _ => return Err(Malformed::protocol("a quorum is of 1 to 1000 other members")),
        },
        2 => DurabilityLevel::Site,
        3 => DurabilityLevel::All,
        other => return Err(Malformed::protocol(format!("durability level {other} is not known"))),
    };
    Ok((level, wait_ms(wait)?))
}

fn wait_ms(wait: i64) -> Result<u64, Malformed> {
    let wait = u64::try_from(wait).map_err(|_| Malformed::protocol("a wait is not negative"))?;
    Ok(wait.min(WAIT_MS_MAX))
}

/// The value of a durability control in a response.
pub fn durability_response<N: AsRef<str>>(nodes: &[N], wanted: u32) -> Vec<u8> {
    let mut value = Vec::with_capacity(64);
    let mut writer = Writer::new(&mut value);
    let sequence = writer.begin(ber::SEQUENCE);
    writer.integer(ber::INTEGER, nodes.len() as i64);
    writer.integer(ber::INTEGER, i64::from(wanted));
    let list = writer.begin(ber::SEQUENCE);
    for node in nodes {
        writer.octets(node.as_ref().as_bytes());
    }
    writer.end(list);
    writer.end(sequence);
    value
}

/// The inverse of [`durability_response`]: nodes, and how many were wanted.
///
/// # Errors
/// [`BerError`].
pub fn decode_durability_response(value: &[u8]) -> Result<(Vec<String>, i64), BerError> {
    let mut outer = Reader::new(value);
    let mut reader = outer.enter(ber::SEQUENCE)?;
    reader.integer()?;
    let wanted = reader.integer()?;
    let mut list = reader.enter(ber::SEQUENCE)?;
    let mut nodes = Vec::new();
    while !list.is_empty() {
        nodes.push(String::from_utf8_lossy(list.octets()?).into_owned());
    }
    Ok((nodes, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(value: &[u8]) -> Control<'_> {
        Control { oid: DURABILITY, critical: false, value: Some(value) }
    }

    #[test]
    fn levels_are_read_and_others_refused() {
        let read =
            |level, members, wait| decode_durability(&control(&[0x30, 9, 10, 1, level, 2, 1, members, 2, 1, wait]));
        assert_eq!(read(1, 2, 100).unwrap(), (DurabilityLevel::Quorum(2), 100));
        assert_eq!(read(3, 0, 0).unwrap(), (DurabilityLevel::All, 0));
        assert!(read(1, 0, 1).is_err() && read(4, 0, 1).is_err() && read(0, 0, 0x80).is_err());
        assert!(decode_durability(&control(&[0x30, 0])).is_err());
    }

    #[test]
    fn tokens_are_read_with_and_without_a_wait() {
        let none = Control { oid: SESSION_TOKEN, critical: false, value: None };
        assert_eq!(decode_token(&none).unwrap(), ("", None));
        assert_eq!(decode_token(&control(b"\x30\x04\x04\x02ab")).unwrap(), ("ab", None));
        assert_eq!(decode_token(&control(b"\x30\x07\x04\x02ab\x02\x01\x05")).unwrap(), ("ab", Some(5)));
        assert!(decode_token(&control(b"\x30\x04\x04\x02a\xff")).is_err());
    }

    #[test]
    fn the_count_is_read_back() {
        let value = durability_response(&["one", "two"], 3);
        assert_eq!(decode_durability_response(&value).unwrap(), (vec!["one".to_owned(), "two".to_owned()], 3));
    }
}
