//! One round of a digest, salted or not: `{SSHA}` and family. Fast to verify, and as fast to guess.

use super::{Verdict, decode_base64, same_bytes};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Longest salt that is taken, in bytes; the usual ones have 4 to 16.
const SALT_BYTES_MAX: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Function {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// Digest and whether a salt follows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Algorithm {
    function: Function,
    is_salted: bool,
}

impl Algorithm {
    /// The algorithm of a scheme name in upper case, without braces.
    pub(super) fn of_scheme(scheme: &str) -> Option<Self> {
        let (function, is_salted) = match scheme {
            "MD5" => (Function::Md5, false),
            "SMD5" => (Function::Md5, true),
            "SHA" | "SHA1" => (Function::Sha1, false),
            "SSHA" | "SSHA1" => (Function::Sha1, true),
            "SHA256" => (Function::Sha256, false),
            "SSHA256" => (Function::Sha256, true),
            "SHA384" => (Function::Sha384, false),
            "SSHA384" => (Function::Sha384, true),
            "SHA512" => (Function::Sha512, false),
            "SSHA512" => (Function::Sha512, true),
            _ => return None,
        };
        Some(Self { function, is_salted })
    }

    fn output_bytes(self) -> usize {
        match self.function {
            Function::Md5 => 16,
            Function::Sha1 => 20,
            Function::Sha256 => 32,
            Function::Sha384 => 48,
            Function::Sha512 => 64,
        }
    }
}

fn fits<D: Digest>(password: &[u8], salt: &[u8], expected: &[u8]) -> bool {
    same_bytes(&D::new().chain_update(password).chain_update(salt).finalize(), expected)
}

pub(super) fn verify(algorithm: Algorithm, text: &str, password: &[u8]) -> Verdict {
    let decoded = decode_base64(text.trim_end());
    let Some((expected, salt)) = decoded.as_deref().and_then(|bytes| bytes.split_at_checked(algorithm.output_bytes()))
    else {
        return Verdict::Unusable;
    };
    // A salted value without salt is a truncated one.
    if salt.is_empty() == algorithm.is_salted || salt.len() > SALT_BYTES_MAX {
        return Verdict::Unusable;
    }
    Verdict::of(match algorithm.function {
        Function::Md5 => fits::<Md5>(password, salt, expected),
        Function::Sha1 => fits::<Sha1>(password, salt, expected),
        Function::Sha256 => fits::<Sha256>(password, salt, expected),
        Function::Sha384 => fits::<Sha384>(password, salt, expected),
        Function::Sha512 => fits::<Sha512>(password, salt, expected),
    })
}

/// Compares clear passwords through their digests, so that the length of the stored one does not show either.
/// An empty stored value fits nothing.
pub(super) fn same_clear(stored: &[u8], password: &[u8]) -> bool {
    let same = same_bytes(&Sha256::digest(stored), &Sha256::digest(password));
    same && !stored.is_empty()
}
