//! `{ARGON2}`: the PHC text form (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`), all three variants.

use super::{Verdict, decode_base64, same_bytes};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// Most memory a stored value may ask for, in KiB; above it the value is unusable.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Most passes over the memory.
pub const ARGON2_PASSES_MAX: u32 = 64;
/// Most lanes (p); they are computed one after the other.
pub const ARGON2_LANES_MAX: u32 = 16;
/// Most memory times passes, in KiB: about two seconds of one core.
pub const ARGON2_WORK_KIB_MAX: u64 = 2 * 1024 * 1024;

/// Cost of new hashes: OWASP's recommendation for Argon2id with one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

#[cfg(test)]
thread_local! {
    /// Hashes at the cost of new ones or above that were computed on this thread.
    pub(super) static FULL_HASHES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Fits no known password; costs what a real one costs.
pub(super) const DUMMY: &[u8] =
    b"{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct Parsed {
    algorithm: Algorithm,
    version: Version,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

fn parse(text: &str) -> Option<Parsed> {
    let mut fields = text.strip_prefix('$')?.split('$');
    let algorithm = match fields.next()? {
        "argon2id" => Algorithm::Argon2id,
        "argon2i" => Algorithm::Argon2i,
        "argon2d" => Algorithm::Argon2d,
        _ => return None,
    };
    let mut field = fields.next()?;
    let mut version = Version::V0x10;
    if let Some(number) = field.strip_prefix("v=") {
        version = match number {
            "16" => Version::V0x10,
            "19" => Version::V0x13,
            _ => return None,
        };
        field = fields.next()?;
    }
    let mut costs = field.split(',');
    let memory_kib = costs.next()?.strip_prefix("m=")?.parse().ok()?;
    let passes = costs.next()?.strip_prefix("t=")?.parse().ok()?;
    let lanes = costs.next()?.strip_prefix("p=")?.parse().ok()?;
    let salt = decode_base64(fields.next()?)?;
    let hash = decode_base64(fields.next()?)?;
    if costs.next().is_some() || fields.next().is_some() {
        return None; // key ids and associated data: nobody writes them into directories
    }
    Some(Parsed { algorithm, version, memory_kib, passes, lanes, salt, hash })
}

impl Parsed {
    fn is_affordable(&self) -> bool {
        self.memory_kib <= ARGON2_MEMORY_KIB_MAX
            && self.passes <= ARGON2_PASSES_MAX
            && self.lanes <= ARGON2_LANES_MAX
            && u64::from(self.memory_kib) * u64::from(self.passes) <= ARGON2_WORK_KIB_MAX
            && (8..=64).contains(&self.salt.len())
            && (16..=64).contains(&self.hash.len())
    }
}

pub(super) fn verify(text: &str, password: &[u8]) -> Verdict {
    let Some(parsed) = parse(text).filter(Parsed::is_affordable) else {
        return Verdict::Unusable;
    };
    let Ok(params) = Params::new(parsed.memory_kib, parsed.passes, parsed.lanes, Some(parsed.hash.len())) else {
        return Verdict::Unusable;
    };
    let mut computed = vec![0u8; parsed.hash.len()];
    let argon2 = Argon2::new(parsed.algorithm, parsed.version, params);
    let outcome = argon2.hash_password_into(password, &parsed.salt, &mut computed);
    #[cfg(test)]
    if outcome.is_ok() && is_current(text) {
        FULL_HASHES.set(FULL_HASHES.get() + 1);
    }
    match outcome {
        Ok(()) => Verdict::of(same_bytes(&computed, &parsed.hash)),
        Err(_) => Verdict::Unusable,
    }
}

/// Whether the value is Argon2id of version 19 at the present cost or above.
pub(super) fn is_current(text: &str) -> bool {
    parse(text).is_some_and(|parsed| {
        parsed.algorithm == Algorithm::Argon2id
            && parsed.version == Version::V0x13
            && parsed.memory_kib >= MEMORY_KIB
            && parsed.passes >= PASSES
            && parsed.hash.len() >= 32
            && parsed.salt.len() >= 16
    })
}

pub(super) fn hash(password: &[u8], salt: &[u8; 16]) -> Vec<u8> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).expect("these costs are within Argon2's bounds");
    let mut computed = [0u8; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, &mut computed)
        .expect("salt and output have lengths that Argon2 takes, and a password is shorter than 4 GiB");
    format!(
        "{{ARGON2}}$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${}",
        BASE64_STANDARD_NO_PAD.encode(salt),
        BASE64_STANDARD_NO_PAD.encode(computed)
    )
    .into_bytes()
}
