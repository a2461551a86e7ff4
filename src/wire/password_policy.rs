//! Controls about passwords: the password policy response (draft-behera-ldap-password-policy-10 6.2) and Netscape's two
//! (draft-vchu-ldap-pwd-policy), which SSSD and nslcd read where the client did not ask for the former.

use super::ber::{self, Writer};
use super::response::ResponseControl;

/// Password policy, in request and response.
pub const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";
/// The password has expired (Netscape); only in responses.
pub const PASSWORD_EXPIRED: &str = "2.16.840.1.113730.3.4.4";
/// The password will expire; the value is how many seconds are left, as text (Netscape); only in responses.
pub const PASSWORD_EXPIRING: &str = "2.16.840.1.113730.3.4.5";

/// What the client is warned of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordWarning {
    /// Binds left with an expired password.
    GraceAuthNsRemaining(i64),
    /// Seconds until the password expires.
    TimeBeforeExpiration(i64),
}

/// What is wrong, with the numbers of the draft; the last one is OpenLDAP's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordError {
    /// The password is too old.
    PasswordExpired = 0,
    /// Too many failures, or locked by hand.
    AccountLocked = 1,
    /// Only a change of the password is allowed.
    ChangeAfterReset = 2,
    /// The owner may not change it.
    PasswordModNotAllowed = 3,
    /// The old password must come along.
    MustSupplyOldPassword = 4,
    /// Too simple.
    InsufficientPasswordQuality = 5,
    /// Too few characters.
    PasswordTooShort = 6,
    /// Changed too short a time ago.
    PasswordTooYoung = 7,
    /// One of the last ones.
    PasswordInHistory = 8,
    /// Too many characters.
    PasswordTooLong = 9,
}

/// The password policy response control.
pub fn password_policy(warning: Option<PasswordWarning>, error: Option<PasswordError>) -> ResponseControl {
    let mut value = Vec::with_capacity(16);
    let mut writer = Writer::new(&mut value);
    let sequence = writer.begin(ber::SEQUENCE);
    if let Some(warning) = warning {
        // Explicit around a CHOICE, implicit inside.
        let choice = writer.begin(ber::context_constructed(0));
        match warning {
            PasswordWarning::TimeBeforeExpiration(seconds) => writer.integer(ber::context(0), seconds),
            PasswordWarning::GraceAuthNsRemaining(count) => writer.integer(ber::context(1), count),
        }
        writer.end(choice);
    }
    if let Some(error) = error {
        writer.integer(ber::context(1), error as i64);
    }
    writer.end(sequence);
    ResponseControl { oid: PASSWORD_POLICY, critical: false, value: Some(value) }
}

/// Netscape's control for an expired password, or one that must be changed.
pub fn netscape_expired() -> ResponseControl {
    ResponseControl { oid: PASSWORD_EXPIRED, critical: false, value: Some(b"0".to_vec()) }
}

/// Netscape's control for a password that expires in `seconds`.
pub fn netscape_expiring(seconds: i64) -> ResponseControl {
    ResponseControl { oid: PASSWORD_EXPIRING, critical: false, value: Some(seconds.to_string().into_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draft 6.2, by hand.
    #[test]
    fn response_is_encoded_as_the_draft_says() {
        let value = |warning, error| password_policy(warning, error).value.unwrap();
        assert_eq!(value(None, None), [0x30, 0]);
        assert_eq!(value(None, Some(PasswordError::PasswordInHistory)), [0x30, 3, 0x81, 1, 8]);
        let warning = Some(PasswordWarning::TimeBeforeExpiration(600));
        assert_eq!(value(warning, None), [0x30, 6, 0xa0, 4, 0x80, 2, 2, 0x58]);
        let warning = Some(PasswordWarning::GraceAuthNsRemaining(0));
        let error = Some(PasswordError::PasswordExpired);
        assert_eq!(value(warning, error), [0x30, 8, 0xa0, 3, 0x81, 1, 0, 0x81, 1, 0]);
        assert_eq!(netscape_expiring(86_400).value.unwrap(), b"86400");
    }
}
