//! Stored passwords: does a clear password fit one, and how is a new one stored.
//!
//! Directories carry decades of password schemes, and a moved directory must let everybody in on the first day
//! without knowing a single clear password. So every scheme that OpenLDAP, 389-DS and OpenDJ write and that is worth its
//! name is verified, and exactly one is written: Argon2id. A stored value is data that somebody else may have written, so it is treated as hostile.
//!
//! Invariants
//! - A malformed, truncated or unknown `{SCHEME}` value never matches any password, the empty one included
//!   (an attacker who can shorten a hash must not gain a prefix that fits).
//! - Cost parameters inside a value are capped before any work is done: [`ARGON2_MEMORY_KIB_MAX`] and its siblings.
//!   What is above is [`Verdict::Unusable`], not slow.
//! - Comparisons take the same time wherever the difference is.
//!
//! Deliberately not here: which values an entry has, policy (expiry, lockout), and where the work runs; ask
//! [`is_costly`] before verifying on a thread that must not wait.

mod argon;
mod crypt;
mod digest;
mod pbkdf2;
mod yescrypt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use argon::{ARGON2_LANES_MAX, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_MAX, ARGON2_WORK_KIB_MAX};
pub use crypt::{BCRYPT_COST_MAX, CRYPT_PASSWORD_BYTES_MAX, CRYPT_ROUNDS_MAX};
pub use pbkdf2::PBKDF2_WORK_MAX;
pub use yescrypt::YESCRYPT_MEMORY_BYTES_MAX;

/// Longest stored value that is looked at, in bytes; the longest real one (389's `{PBKDF2_SHA256}`) has 448.
pub const STORED_BYTES_MAX: usize = 2048;

/// Length of a generated password, in characters: 20 of 32 letters are 100 bits.
pub const GENERATED_CHARACTERS: usize = 20;

/// Letters of generated passwords: no 0, 1, l or o, which people misread.
const GENERATED_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// What a comparison of a stored value with a clear password found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The password fits.
    Match,
    /// The stored value is sound, the password does not fit it.
    Mismatch,
    /// Nothing can fit this value: malformed, truncated, an unknown scheme, or dearer than the caps allow.
    Unusable,
}

impl Verdict {
    fn of(fits: bool) -> Self {
        if fits { Self::Match } else { Self::Mismatch }
    }
}

/// Base64 as found in stored values: both padded and not, unused bits ignored.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// How a stored value wants to be verified; borrows from the value.
enum Stored<'v> {
    Clear(&'v [u8]),
    Digest(digest::Algorithm, &'v str),
    Argon2(&'v str),
    Pbkdf2(pbkdf2::Algorithm, &'v str),
    Crypt(&'v str),
    /// `{SCHEME}` that is not ours, or a known one followed by something that is not text.
    Unknown,
}

impl Stored<'_> {
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

/// Splits `{SCHEME}rest`. `None` when the value does not begin with a scheme: such a value is a clear password.
fn split_scheme(stored: &[u8]) -> Option<(&str, &[u8])> {
    let inner = stored.strip_prefix(b"{")?;
    let end = inner.iter().position(|&byte| byte == b'}')?;
    let (name, rest) = inner.split_at_checked(end)?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.');
    if name.is_empty() || !name.iter().all(is_name) {
        return None;
    }
    Some((std::str::from_utf8(name).ok()?, rest.strip_prefix(b"}")?))
}

fn parse(stored: &[u8]) -> Stored<'_> {
    let Some((scheme, rest)) = split_scheme(stored) else {
        return Stored::Clear(stored);
    };
    // 389-DS writes {PBKDF2_SHA256}, OpenLDAP {PBKDF2-SHA256}.
    let scheme = scheme.to_ascii_uppercase().replace('_', "-");
    if matches!(scheme.as_str(), "CLEARTEXT" | "CLEAR") {
        return Stored::Clear(rest);
    }
    let Ok(text) = std::str::from_utf8(rest) else {
        return Stored::Unknown;
    };
    if let Some(algorithm) = digest::Algorithm::of_scheme(&scheme) {
        return Stored::Digest(algorithm, text);
    }
    if let Some(algorithm) = pbkdf2::Algorithm::of_scheme(&scheme) {
        return Stored::Pbkdf2(algorithm, text);
    }
    match scheme.as_str() {
        "ARGON2" | "ARGON2I" | "ARGON2D" | "ARGON2ID" => Stored::Argon2(text),
        "CRYPT" | "BCRYPT" | "CRYPT-SHA256" | "CRYPT-SHA512" => Stored::Crypt(text),
        _ => Stored::Unknown,
    }
}

/// Whether `password` (clear, as the client sent it) fits `stored` (one value of `userPassword`).
///
/// A value without a `{SCHEME}` is a clear password. Cost: see [`is_costly`]; at most about two seconds and
/// 256 MiB at the caps, about 20 ms and 19 MiB for what [`hash`] writes.
pub fn verify(stored: &[u8], password: &[u8]) -> Verdict {
    if stored.len() > STORED_BYTES_MAX {
        return Verdict::Unusable;
    }
    match parse(stored) {
        Stored::Clear(clear) => Verdict::of(digest::same_clear(clear, password)),
        Stored::Digest(algorithm, text) => digest::verify(algorithm, text, password),
        Stored::Argon2(text) => argon::verify(text, password),
        Stored::Pbkdf2(algorithm, text) => pbkdf2::verify(algorithm, text, password),
        Stored::Crypt(text) => crypt::verify(text, password),
        Stored::Unknown => Verdict::Unusable,
    }
}

/// Whether [`verify`] takes milliseconds rather than microseconds: Argon2, PBKDF2, bcrypt and crypt.
pub fn is_costly(stored: &[u8]) -> bool {
    matches!(parse(stored), Stored::Argon2(_) | Stored::Pbkdf2(..) | Stored::Crypt(_))
}

/// Whether the value is in one of the hashed schemes known here. A clear password that merely begins with an unknown
/// `{word}` is not: it is to be hashed like any other.
pub fn is_hashed(value: &[u8]) -> bool {
    !matches!(parse(value), Stored::Clear(_) | Stored::Unknown)
}

/// Whether the value begins with any `{SCHEME}` except `{CLEARTEXT}`, known or not; for imports, which keep what
/// they do not know.
pub fn has_scheme(value: &[u8]) -> bool {
    !matches!(parse(value), Stored::Clear(_))
}

/// The clear password that a value of clear text is, without its `{CLEARTEXT}`; `None` of any `{SCHEME}` else.
pub fn clear_text(value: &[u8]) -> Option<&[u8]> {
    match parse(value) {
        Stored::Clear(clear) => Some(clear),
        _ => None,
    }
}

/// How a value is stored, if no password will ever be verified against such ones: an unknown `{SCHEME}`, or a kind of
/// crypt(3) that is not served. Cheap; says nothing of single values that are broken.
pub fn unserved_scheme(value: &[u8]) -> Option<String> {
    let (scheme, rest) = split_scheme(value)?;
    match parse(value) {
        Stored::Crypt(text) => crypt::unserved(text).map(|kind| format!("{{CRYPT}}{kind}")),
        // A known scheme with what is no text is broken.
        Stored::Unknown if parse(format!("{{{scheme}}}").as_bytes()).is_unknown() => {
            // For SCRAM alone, and verified there.
            let is_scram = scheme.to_ascii_uppercase().starts_with("SCRAM-SHA-");
            (!is_scram || rest.is_empty()).then(|| format!("{{{}}}", scheme.to_ascii_uppercase()))
        }
        _ => None,
    }
}

/// Whether a value that a password just fitted should be stored anew: anything but Argon2id at the present cost
/// or above.
pub fn needs_rehash(stored: &[u8]) -> bool {
    match parse(stored) {
        Stored::Argon2(text) => !argon::is_current(text),
        _ => true,
    }
}

/// A clear password as it is to be stored: `{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
///
/// Cost: about 20 ms and 19 MiB; the salt is new in every call. Verified by OpenLDAP's argon2 module as well.
///
/// # Panics
/// When the operating system gives no random bytes: a password with a predictable salt must not be stored.
pub fn hash(password: &[u8]) -> Vec<u8> {
    let mut salt = [0u8; 16];
    random(&mut salt);
    argon::hash(password, &salt)
}

/// Whether coming to `verdict` about `stored` took at least the work of [`dummy_verify`].
pub fn spent_a_hash(stored: &[u8], verdict: Verdict) -> bool {
    verdict != Verdict::Unusable && !needs_rehash(stored)
}

/// Hashes at the cost of new ones or above that were computed on this thread so far.
#[cfg(test)]
pub fn full_hashes() -> u32 {
    argon::FULL_HASHES.get()
}

/// Spends what verifying a value made by [`hash`] spends, so that every failure costs the time of one with a present value.
pub fn dummy_verify(password: &[u8]) {
    let verdict = verify(argon::DUMMY, password);
    std::hint::black_box(verdict);
}

/// A random password for RFC 3062 requests without one: [`GENERATED_CHARACTERS`] letters and digits, 100 bits.
///
/// # Panics
/// When the operating system gives no random bytes.
pub fn generate() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0u8; GENERATED_CHARACTERS]);
    random(bytes.as_mut());
    let letter = |byte: &u8| GENERATED_ALPHABET.get(usize::from(byte % 32)).copied().map(char::from);
    Zeroizing::new(bytes.iter().filter_map(letter).collect())
}

/// Fills `bytes` with random ones.
///
/// # Panics
/// When the operating system gives none: a secret that can be guessed must not be made.
pub fn random_bytes(bytes: &mut [u8]) {
    random(bytes);
}

/// A password as it is compared by SCRAM: other blanks are blanks, what cannot be seen is nothing, and the rest is in
/// normal form KC (RFC 4013). `None` for what is no text, is empty, or has control characters.
pub fn prepare(password: &[u8]) -> Option<Zeroizing<String>> {
    let text = std::str::from_utf8(password).ok()?;
    let mapped = text.chars().filter_map(|letter| match letter {
        '\u{ad}'
        | '\u{34f}'
        | '\u{1806}'
        | '\u{180b}'..='\u{180d}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' => None,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Some(' '),
        other => Some(other),
    });
    let mapped = Zeroizing::new(mapped.collect::<String>());
    let prepared =
        Zeroizing::new(icu_normalizer::ComposingNormalizerBorrowed::new_nfkc().normalize(&mapped).into_owned());
    let is_fine = !prepared.is_empty() && !prepared.chars().any(char::is_control);
    is_fine.then_some(prepared)
}

fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// Compares two byte strings of public length without telling where they differ.
fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests;
