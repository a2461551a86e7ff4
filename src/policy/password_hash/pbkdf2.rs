//! `{PBKDF2…}`: OpenLDAP's and 389's text form, OpenDJ's, and 389's older binary form.

use super::{Verdict, decode_base64, same_bytes};
use ::pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

/// Most iterations times output blocks that a stored value may ask for: about one second of one core.
pub const PBKDF2_WORK_MAX: u64 = 4_000_000;

/// 389's `{PBKDF2_SHA256}`: iterations (u32, network order), salt, hash, all in one base64 text.
const BINARY_SALT_BYTES: usize = 64;
const BINARY_HASH_BYTES: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    /// The algorithm of a scheme name in upper case, `_` written as `-`, without braces.
    pub(super) fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "PBKDF2" | "PBKDF2-SHA1" => Some(Self::Sha1),
            "PBKDF2-SHA256" | "PBKDF2-HMAC-SHA256" => Some(Self::Sha256),
            "PBKDF2-SHA512" | "PBKDF2-HMAC-SHA512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn output_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

struct Parsed {
    iterations: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// `iterations$salt$hash`, base64 with `.` for `+` and without padding (OpenLDAP), or the plain kind (389).
/// The hash must have the digest's full length: PBKDF2's output is a stream, so a shortened hash would still fit.
fn parse_text(algorithm: Algorithm, text: &str) -> Option<Parsed> {
    let mut fields = text.trim_end().split('$');
    let iterations = fields.next()?.parse().ok()?;
    let salt = decode_base64(&fields.next()?.replace('.', "+"))?;
    let hash = decode_base64(&fields.next()?.replace('.', "+"))?;
    let is_whole = fields.next().is_none() && hash.len() == algorithm.output_bytes() && !salt.is_empty();
    is_whole.then_some(Parsed { iterations, salt, hash })
}

/// `iterations:` and in base64 the hash, then the salt (OpenDJ; 8 or 16 bytes of salt).
fn parse_colon(algorithm: Algorithm, iterations: &str, text: &str) -> Option<Parsed> {
    let bytes = decode_base64(text.trim_end())?;
    let (hash, salt) = bytes.split_at_checked(algorithm.output_bytes())?;
    let iterations = iterations.parse().ok()?;
    (!salt.is_empty()).then(|| Parsed { iterations, salt: salt.to_vec(), hash: hash.to_vec() })
}

fn parse_binary(text: &str) -> Option<Parsed> {
    let bytes = decode_base64(text.trim_end())?;
    let (iterations, rest) = bytes.split_first_chunk::<4>()?;
    let (salt, hash) = rest.split_at_checked(BINARY_SALT_BYTES)?;
    (hash.len() == BINARY_HASH_BYTES).then(|| Parsed {
        iterations: u32::from_be_bytes(*iterations),
        salt: salt.to_vec(),
        hash: hash.to_vec(),
    })
}

pub(super) fn verify(algorithm: Algorithm, text: &str, password: &[u8]) -> Verdict {
    let parsed = if let Some((iterations, rest)) = text.split_once(':') {
        parse_colon(algorithm, iterations, rest)
    } else if algorithm == Algorithm::Sha256 && !text.contains('$') {
        parse_binary(text)
    } else {
        parse_text(algorithm, text)
    };
    let Some(parsed) = parsed else {
        return Verdict::Unusable;
    };
    let blocks = parsed.hash.len().div_ceil(algorithm.output_bytes()) as u64;
    if parsed.iterations == 0 || u64::from(parsed.iterations) * blocks > PBKDF2_WORK_MAX {
        return Verdict::Unusable;
    }
    let mut computed = vec![0u8; parsed.hash.len()];
    match algorithm {
        Algorithm::Sha1 => pbkdf2_hmac::<Sha1>(password, &parsed.salt, parsed.iterations, &mut computed),
        Algorithm::Sha256 => pbkdf2_hmac::<Sha256>(password, &parsed.salt, parsed.iterations, &mut computed),
        Algorithm::Sha512 => pbkdf2_hmac::<Sha512>(password, &parsed.salt, parsed.iterations, &mut computed),
    }
    Verdict::of(same_bytes(&computed, &parsed.hash))
}
