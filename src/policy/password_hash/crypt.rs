//! `{CRYPT}` and `{BCRYPT}`: what crypt(3) writes, limited to bcrypt (`$2a$`, `$2b$`, `$2y$`), SHA-crypt (`$5$`, `$6$`),
//! yescrypt (`$y$`) and scrypt (`$7$`). DES and MD5 crypt (`$1$`) are unusable: whoever has the data has those passwords, and
//! an import says so. So is `$2x$`, which marks a faulty bcrypt.

use super::{Verdict, yescrypt};
use sha_crypt::{PasswordVerifier, ShaCrypt};

/// Most rounds of SHA-crypt that a stored value may ask for: about one second of one core.
pub const CRYPT_ROUNDS_MAX: u32 = 1_000_000;
/// Highest bcrypt cost (the logarithm of the rounds): about two seconds of one core.
pub const BCRYPT_COST_MAX: u32 = 15;
/// Longest password that SHA-crypt is asked about, in bytes: its work grows with length times rounds, and crypt(3)
/// itself takes no more.
pub const CRYPT_PASSWORD_BYTES_MAX: usize = 512;

/// Fewest rounds that crypt(3) ever writes.
const CRYPT_ROUNDS_MIN: u32 = 1_000;

pub(super) fn verify(text: &str, password: &[u8]) -> Verdict {
    let text = text.trim_end();
    if let Some(rest) = text.strip_prefix("$5$") {
        sha_crypt(text, rest, 43, password)
    } else if let Some(rest) = text.strip_prefix("$6$") {
        sha_crypt(text, rest, 86, password)
    } else if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
        bcrypt(text, password)
    } else if let Some(rest) = text.strip_prefix("$y$") {
        yescrypt::verify_yescrypt(rest, password)
    } else if let Some(rest) = text.strip_prefix("$7$") {
        yescrypt::verify_scrypt(rest, password)
    } else {
        Verdict::Unusable
    }
}

/// What kind of crypt(3) is never verified here, if this is one: `$1$`, `DES`, or `no password` where an account is locked.
pub(super) fn unserved(text: &str) -> Option<&str> {
    const SERVED: [&str; 7] = ["$5$", "$6$", "$2a$", "$2b$", "$2y$", "$y$", "$7$"];
    if SERVED.iter().any(|prefix| text.starts_with(prefix)) {
        return None;
    }
    match text.strip_prefix('$').and_then(|rest| rest.find('$')) {
        Some(end) => text.get(..end + 2),
        None if text.is_empty() || text.starts_with(['*', '!']) => Some(" without a password"),
        None => Some(" DES"),
    }
}

/// `[rounds=N$]salt$hash`. Everything is checked before the work: the crate takes far larger rounds.
fn sha_crypt(text: &str, rest: &str, hash_characters: usize, password: &[u8]) -> Verdict {
    let mut rest = rest;
    let mut rounds = 5_000u32;
    if let Some(after) = rest.strip_prefix("rounds=") {
        let Some((number, salt_and_hash)) = after.split_once('$') else {
            return Verdict::Unusable;
        };
        rounds = number.parse().unwrap_or(0);
        rest = salt_and_hash;
    }
    let Some((_salt, hash)) = rest.split_once('$') else {
        return Verdict::Unusable;
    };
    if !(CRYPT_ROUNDS_MIN..=CRYPT_ROUNDS_MAX).contains(&rounds) || hash.len() != hash_characters {
        return Verdict::Unusable;
    }
    if password.len() > CRYPT_PASSWORD_BYTES_MAX {
        return Verdict::Mismatch;
    }
    match ShaCrypt::default().verify_password(password, text) {
        Ok(()) => Verdict::Match,
        Err(sha_crypt::password_hash::Error::PasswordInvalid) => Verdict::Mismatch,
        Err(_) => Verdict::Unusable,
    }
}

/// bcrypt looks at the first 72 bytes of a password and at none after a NUL, so a password with a NUL never fits.
fn bcrypt(text: &str, password: &[u8]) -> Verdict {
    let cost = text.get(4..6).and_then(|digits| digits.parse::<u32>().ok());
    if !cost.is_some_and(|cost| (4..=BCRYPT_COST_MAX).contains(&cost)) {
        return Verdict::Unusable;
    }
    match ::bcrypt::verify(password, text) {
        Ok(fits) => Verdict::of(fits && !password.contains(&0)),
        Err(_) => Verdict::Unusable,
    }
}
