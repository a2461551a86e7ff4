//! Whether a new password is good enough.
//!
//! Length is what counts; beside it only what attackers try first is refused: passwords that hold a name of their
//! owner, and those of hardly any different characters. Rules about kinds of characters are left out on purpose: they
//! make passwords that people write down and programs guess (NIST SP 800-63B 5.1.1.2).

use super::PasswordPolicy;

/// Least different characters of a password.
const DIFFERENT_MIN: usize = 4;
/// Names shorter than this, in characters, are found in too many good passwords.
const NAME_CHARACTERS_MIN: usize = 4;

/// What is wrong with a new password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quality {
    /// It holds a name of its owner, or hardly any different characters.
    Insufficient,
    /// More characters than are allowed.
    TooLong,
    /// Fewer characters than are asked for.
    TooShort,
}

/// Looks at a new password in clear. `names`: what its owner is called.
///
/// # Errors
/// What is wrong with it; nothing is where the policy does not look.
pub fn check_quality(policy: &PasswordPolicy, password: &[u8], names: &[String]) -> Result<(), Quality> {
    if !policy.check_quality {
        return Ok(());
    }
    let text = String::from_utf8_lossy(password).to_lowercase();
    let length = text.chars().count();
    if length < policy.min_length {
        return Err(Quality::TooShort);
    }
    if policy.max_length > 0 && length > policy.max_length {
        return Err(Quality::TooLong);
    }
    let mut different: Vec<char> = text.chars().collect();
    different.sort_unstable();
    different.dedup();
    let names_owner = names
        .iter()
        .map(|name| name.to_lowercase())
        .any(|name| name.chars().count() >= NAME_CHARACTERS_MIN && text.contains(&name));
    if different.len() < DIFFERENT_MIN || names_owner {
        return Err(Quality::Insufficient);
    }
    Ok(())
}
