//! `{CRYPT}` of the scrypt kind: yescrypt (`$y$`, what Debian, Fedora and others write into shadow files) and plain scrypt
//! (`$7$`). Only parameters that crypt(3) writes are read: yescrypt in its own mode with one lane and no further rounds.
//! `$gy$`, yescrypt over Russian hashes, is unusable.

use super::{Verdict, same_bytes};
use ::yescrypt::{Mode, Params, yescrypt};

/// Most memory that a stored value may ask for, in bytes: 0.6 s of one core, for each lane. What Debian writes asks for 16 MiB,
/// 30 ms.
pub const YESCRYPT_MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most lanes of `$7$`; they are computed one after the other.
const LANES_MAX: u32 = 4;

const HASH_BYTES: usize = 32;
const HASH_CHARACTERS: usize = 43;
/// What crypt(3) takes.
const SALT_BYTES_MAX: usize = 64;

/// The digits of crypt(3), from 0 to 63.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn digit(letter: u8) -> Option<u32> {
    DIGITS.iter().position(|known| *known == letter).and_then(|value| u32::try_from(value).ok())
}

/// A number, its lowest digit first.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().rev().try_fold(0u32, |sum, letter| sum.checked_mul(64)?.checked_add(digit(*letter)?))
}

/// Bytes as crypt(3) writes them: three in four digits, the lowest first.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for digits in text.chunks(4) {
        let [low, middle, high, _] = number(digits)?.to_le_bytes();
        let whole = [low, middle, high];
        bytes.extend_from_slice(whole.get(..digits.len() * 6 / 8).filter(|bytes| !bytes.is_empty())?);
    }
    Some(bytes)
}

struct Parsed<'v> {
    params: Params,
    salt: Vec<u8>,
    hash: &'v str,
}

/// `params$salt$hash` behind `$y$`. The parameters that crypt(3) writes have one digit each: mode, logarithm of N less one,
/// r less one.
fn parse_yescrypt(rest: &str) -> Option<Parsed<'_>> {
    let mut fields = rest.split('$');
    let [b'j', logarithm, r] = fields.next()?.as_bytes() else { return None };
    let (logarithm, r) = (digit(*logarithm)? + 1, digit(*r)? + 1);
    let salt = decode(fields.next()?.as_bytes())?;
    let hash = fields.next()?;
    let parsed = Parsed { params: affordable(Mode::Rw, logarithm, r, 1)?, salt, hash };
    fields.next().is_none().then_some(parsed)
}

/// `Nrrrrrpppppsalt$hash` behind `$7$`; the salt is taken as it is written.
fn parse_scrypt(rest: &str) -> Option<Parsed<'_>> {
    let (settings, hash) = rest.split_once('$')?;
    let (&[logarithm], numbers) = settings.as_bytes().split_first_chunk::<1>()?;
    let (r, numbers) = numbers.split_first_chunk::<5>()?;
    let (p, salt) = numbers.split_first_chunk::<5>()?;
    let params = affordable(Mode::Classic, digit(logarithm)?, number(r)?, number(p)?)?;
    Some(Parsed { params, salt: salt.to_vec(), hash })
}

/// Checked before any work.
fn affordable(mode: Mode, logarithm: u32, r: u32, p: u32) -> Option<Params> {
    let n = 1u64.checked_shl(logarithm).filter(|n| *n > 1)?;
    let bytes = n.checked_mul(128)?.checked_mul(u64::from(r))?;
    let is_affordable = (1..=LANES_MAX).contains(&p) && r >= 1 && bytes <= YESCRYPT_MEMORY_BYTES_MAX;
    is_affordable.then(|| Params::new(mode, n, r, p).ok()).flatten()
}

fn verify(parsed: Option<Parsed<'_>>, password: &[u8]) -> Verdict {
    let Some(Parsed { params, salt, hash }) = parsed.filter(|parsed| {
        parsed.hash.len() == HASH_CHARACTERS && !parsed.salt.is_empty() && parsed.salt.len() <= SALT_BYTES_MAX
    }) else {
        return Verdict::Unusable;
    };
    let Some(expected) = decode(hash.as_bytes()).filter(|bytes| bytes.len() == HASH_BYTES) else {
        return Verdict::Unusable;
    };
    let mut computed = [0; HASH_BYTES];
    match yescrypt(password, &salt, &params, &mut computed) {
        Ok(()) => Verdict::of(same_bytes(&computed, &expected)),
        Err(_) => Verdict::Unusable,
    }
}

/// `rest`: what stands behind `$y$`.
pub(super) fn verify_yescrypt(rest: &str, password: &[u8]) -> Verdict {
    verify(parse_yescrypt(rest), password)
}

/// `rest`: what stands behind `$7$`.
pub(super) fn verify_scrypt(rest: &str, password: &[u8]) -> Verdict {
    verify(parse_scrypt(rest), password)
}
