//! Extended operations: their names, and the values of those that have one (RFC 4511 4.12).

use std::fmt;

use super::ber::{self, Reader, Writer};
use super::error::Malformed;
use super::request::{Hidden, abandon_id};

/// App passwords made, listed, revoked, our own: JSON in, JSON out.
pub const APP_PASSWORD: &str = "2.25.226734431000227364254570923804739913085.4.103";
/// Cancel: abandon with an answer (RFC 3909).
pub const CANCEL: &str = "1.3.6.1.1.8";
/// An order about the cluster, our own: JSON in, JSON out; for the administrator.
pub const CLUSTER_ORDER: &str = "2.25.226734431000227364254570923804739913085.4.102";
/// Notice of disconnection, the unsolicited notification (RFC 4511 4.4.1).
pub const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";
/// Password modify (RFC 3062).
pub const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";
/// Reindex, our own: the index built anew while the node serves. No value; for the administrator.
pub const REINDEX: &str = "2.25.226734431000227364254570923804739913085.4.101";
/// StartTLS (RFC 4511 4.14).
pub const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// Who am I? (RFC 4532).
pub const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";

/// Value of a password modify request (RFC 3062 2).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct PasswordModify<'a> {
    /// Whose password; absent: the requester's. A DN or another form of identity.
    pub user_identity: Option<&'a [u8]>,
    /// The password so far, if the client knows it.
    pub old_password: Option<&'a [u8]>,
    /// The password wanted; absent: the server makes one up and answers with it.
    pub new_password: Option<&'a [u8]>,
}

impl fmt::Debug for PasswordModify<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PasswordModify")
            .field("user_identity", &self.user_identity.map(String::from_utf8_lossy))
            .field("old_password", &self.old_password.map(Hidden))
            .field("new_password", &self.new_password.map(Hidden))
            .finish()
    }
}

impl<'a> PasswordModify<'a> {
    /// Decodes the value of the request; an absent value is all fields absent.
    ///
    /// # Errors
    /// protocolError.
    pub fn decode(value: Option<&'a [u8]>) -> Result<Self, Malformed> {
        let Some(value) = value else { return Ok(Self::default()) };
        let mut reader = only_sequence(value)?;
        let user_identity = reader.optional(ber::context(0))?;
        let old_password = reader.optional(ber::context(1))?;
        let new_password = reader.optional(ber::context(2))?;
        reader.finish()?;
        Ok(Self { user_identity, old_password, new_password })
    }

    /// The value of the request, for a client.
    pub fn encode(&self) -> Vec<u8> {
        let mut value = Vec::new();
        let mut writer = Writer::new(&mut value);
        let sequence = writer.begin(ber::SEQUENCE);
        for (number, field) in [(0, self.user_identity), (1, self.old_password), (2, self.new_password)] {
            if let Some(field) = field {
                writer.primitive(ber::context(number), field);
            }
        }
        writer.end(sequence);
        value
    }
}

/// Value of a password modify response that tells a password the server made up (RFC 3062 2).
pub fn generated_password(password: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(password.len() + 8);
    let mut writer = Writer::new(&mut value);
    let sequence = writer.begin(ber::SEQUENCE);
    writer.primitive(ber::context(0), password);
    writer.end(sequence);
    value
}

/// The password that a password modify response tells, for a client; absent if the server made up none.
///
/// # Errors
/// protocolError.
pub fn decode_generated_password(value: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let mut reader = only_sequence(value)?;
    let password = reader.optional(ber::context(0))?;
    reader.finish_extensible(1)?;
    Ok(password)
}

/// Decodes the value of a cancel request: message id of the operation to cancel (RFC 3909 2.1).
///
/// # Errors
/// protocolError, when it is absent too.
pub fn cancel_id(value: Option<&[u8]>) -> Result<i32, Malformed> {
    let mut reader = only_sequence(value.ok_or_else(|| Malformed::protocol("a cancel without a message id"))?)?;
    let id = reader.integer()?;
    reader.finish_extensible(0)?;
    abandon_id(id)
}

fn only_sequence(value: &[u8]) -> Result<Reader<'_>, Malformed> {
    let mut outer = Reader::new(value);
    let reader = outer.enter(ber::SEQUENCE)?;
    outer.finish()?;
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResultCode;

    /// RFC 3062 2: every field is optional, and so is the value.
    #[test]
    fn password_modify_without_fields_is_read() {
        assert_eq!(PasswordModify::decode(None), Ok(PasswordModify::default()));
        assert_eq!(PasswordModify::decode(Some(&[0x30, 0])), Ok(PasswordModify::default()));
    }

    #[test]
    fn password_modify_is_read_back() {
        for (user_identity, old_password, new_password) in [
            (Some(&b"uid=ann,dc=example"[..]), Some(&b"old\xff"[..]), Some(&b""[..])),
            (None, Some(b"old"), None),
            (None, None, Some(b"new")),
        ] {
            let request = PasswordModify { user_identity, old_password, new_password };
            assert_eq!(PasswordModify::decode(Some(&request.encode())), Ok(request));
        }
    }

    #[test]
    fn password_modify_with_misplaced_or_constructed_fields_is_refused() {
        for value in [
            &[0x30, 6, 0x82, 1, b'n', 0x81, 1, b'o'][..],
            &[0x30, 6, 0x82, 1, b'n', 0x82, 1, b'o'],
            &[0x30, 3, 0xa2, 1, b'n'],
            &[0x30, 3, 0x04, 1, b'n'],
            &[0x30, 3, 0x82, 2, b'n'],
            &[0x30, 0, 0],
            &[],
        ] {
            let error = PasswordModify::decode(Some(value)).unwrap_err();
            assert_eq!(error.code, ResultCode::PROTOCOL_ERROR, "{value:x?}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let request = PasswordModify { new_password: Some(b"secret"), ..PasswordModify::default() };
        assert!(!format!("{request:?}").contains("secret"));
        assert!(format!("{request:?}").contains("6 bytes"));
    }

    #[test]
    fn generated_password_is_read_back() {
        assert_eq!(decode_generated_password(&generated_password(b"x7!")), Ok(Some(&b"x7!"[..])));
        assert_eq!(decode_generated_password(&[0x30, 0]), Ok(None));
    }

    /// RFC 3909 2.1.
    #[test]
    fn cancel_wants_a_message_id() {
        assert_eq!(cancel_id(Some(&[0x30, 3, 2, 1, 7])), Ok(7));
        for value in [None, Some(&[][..]), Some(&[0x30, 0]), Some(&[0x30, 3, 2, 1, 0xff]), Some(&[2, 1, 7])] {
            assert_eq!(cancel_id(value).unwrap_err().code, ResultCode::PROTOCOL_ERROR);
        }
    }
}
