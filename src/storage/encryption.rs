//! Encryption of what rests in the data file: the keys, and the form of what they encrypted.
//!
//! ```text
//! key number 8, nonce 12, ciphertext, tag 16          what is encrypted
//! 16 bytes                                            a normal form in the index
//! ```
//!
//! The cipher is AES-256-GCM-SIV (RFC 8452). Bound to each ciphertext is its *place*: the table, the record's key and, inside
//! a view, the attribute. So what somebody moves to another record, or changes by a bit, does not open.
//!
//! The nonce is the beginning of an HMAC-SHA-256, under a key of its own, of place and content. No counter has to survive a
//! crash, a restored backup or a copied folder, and no random number is drawn. It comes twice only when the same content
//! comes to the same place again, and then the ciphertext is the same, too, which tells that and nothing else; should two
//! contents of one place ever meet in 96 bits, GCM-SIV is the mode in which a repeated nonce gives away no more than
//! equality. It also makes a view a function of its state again, which is what `entente check` compares.
//!
//! A normal form in the index is the first half of an HMAC-SHA-256 of it, under a third key: equal values stay equal, and
//! nobody without the key finds a value by trying all. It does not depend on the attribute, so that a rule about several
//! attributes compares them by their keys; two encrypted attributes with one value show that they have one.
//!
//! Keys are lines of a file, 32 bytes each in hexadecimal or Base64. The first one encrypts, all of them decrypt; each
//! ciphertext names its key by a number made from it.
//!
//! Invariants
//! - What is encrypted does not say so itself: a record does by its checksum (`record`), a view by a flag, a sum by its length.
//! - No key, and nothing that was decrypted, is in a message or a debug text.
//! - Whatever does not decrypt is [`StorageError::Encryption`], in words, and never an answer.

use super::StorageError;
use crate::state::AttributeId;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

const KEY_BYTES: usize = 32;
const HEAD_BYTES: usize = 8 + NONCE_LEN;
const TAG_BYTES: usize = 16;
/// By how much what is encrypted is longer than its content.
pub const ENCRYPTED_BYTES_MORE: usize = HEAD_BYTES + TAG_BYTES;
/// Bytes of a normal form in the index.
pub const FORM_BYTES: usize = 16;
/// Keys in one file: the current one, and those before it until everything is encrypted anew.
const KEYS_MAX: usize = 16;
/// A key file is not larger than this.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// What a key is called: made from it, and says nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyNumber([u8; 8]);

impl KeyNumber {
    /// Reads what its text form says.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes())))?
    }
}

impl std::fmt::Display for KeyNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl std::fmt::Debug for KeyNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Where something encrypted stands.
#[derive(Clone, Copy, Debug)]
pub struct CipherPlace<'k> {
    /// The table.
    pub table: &'static str,
    /// The record's key.
    pub key: &'k [u8],
    /// Inside a record: which attribute.
    pub attribute: Option<AttributeId>,
}

impl CipherPlace<'_> {
    /// Every part with its length before it, so that no two places are written alike.
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.key.len());
        for part in [self.table.as_bytes(), self.key] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
        out.extend(self.attribute.into_iter().flat_map(|attribute| attribute.0.to_le_bytes()));
        out
    }

    fn words(&self) -> String {
        format!("{} at key {}", self.table, super::record::hex(self.key))
    }
}

struct Key {
    number: KeyNumber,
    cipher: LessSafeKey,
    nonces: hmac::Key,
    forms: hmac::Key,
}

impl Key {
    fn new(secret: &[u8; KEY_BYTES]) -> Result<Self, StorageError> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = |purpose: &str| hmac::sign(&root, purpose.as_bytes());
        let broken = |_| StorageError::Encryption("the cipher AES-256-GCM-SIV cannot be set up".to_owned());
        let cipher = UnboundKey::new(&AES_256_GCM_SIV, derived("entente encryption 1: content").as_ref());
        let number = derived("entente encryption 1: number");
        let number = number.as_ref().first_chunk::<8>().copied().unwrap_or_default();
        let part = |purpose: &str| hmac::Key::new(hmac::HMAC_SHA256, derived(purpose).as_ref());
        Ok(Self {
            number: KeyNumber(number),
            cipher: LessSafeKey::new(cipher.map_err(broken)?),
            nonces: part("entente encryption 1: nonces"),
            forms: part("entente encryption 1: normal forms"),
        })
    }
}

/// The keys of a node; the first one encrypts.
pub struct Keyring {
    first: Key,
    others: Vec<Key>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.numbers()).finish()
    }
}

impl Keyring {
    /// Reads a key file: a key a line, empty lines and those that begin with `#` aside.
    ///
    /// # Errors
    /// [`StorageError::Encryption`]: it cannot be read, others may use it, or it holds no keys.
    pub fn read(path: &Path) -> Result<Self, StorageError> {
        let refused = |detail: String| StorageError::Encryption(format!("key file {}: {detail}", path.display()));
        let file = std::fs::File::open(path).map_err(|error| refused(error.to_string()))?;
        let mode = file.metadata().map_err(|error| refused(error.to_string()))?.mode() & 0o777;
        if mode & 0o027 != 0 {
            return Err(refused(format!("may be used by others (mode {mode:03o}); chmod 600")));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| refused(error.to_string()))?;
        Self::parse(&text).map_err(refused)
    }

    /// The keys in the text of a key file; the error says what is wrong with it.
    fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let secret = secret_of(line).ok_or_else(|| {
                format!("line {}: a key is 32 bytes, as 64 hexadecimal digits or in Base64", index + 1)
            })?;
            if keys.len() == KEYS_MAX {
                return Err(format!("more than {KEYS_MAX} keys; take out those that nothing is encrypted with"));
            }
            keys.push(Key::new(&secret).map_err(|error| error.to_string())?);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or("it holds no key; make one with: entente encryption create-key FILE")?;
        Ok(Self { first, others: keys.collect() })
    }

    /// A new key as a line of a key file.
    ///
    /// # Errors
    /// [`StorageError::Encryption`]: the operating system gives no random numbers.
    pub fn new_key() -> Result<Zeroizing<String>, StorageError> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *secret)
            .map_err(|_| StorageError::Encryption("the operating system gives no random numbers".to_owned()))?;
        Ok(Zeroizing::new(secret.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The same keys with that of this number first; `None` if there is none.
    #[must_use]
    pub fn led_by(self, number: KeyNumber) -> Option<Self> {
        let mut keys: Vec<Key> = std::iter::once(self.first).chain(self.others).collect();
        let place = keys.iter().position(|key| key.number == number)?;
        let first = keys.remove(place);
        Some(Self { first, others: keys })
    }

    /// The number of the key that encrypts.
    pub fn number(&self) -> KeyNumber {
        self.first.number
    }

    /// The numbers of all keys, that of the one that encrypts first.
    pub fn numbers(&self) -> impl Iterator<Item = KeyNumber> {
        self.keys().map(|key| key.number)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// `clear` encrypted for `place`.
    ///
    /// # Errors
    /// [`StorageError::Encryption`]: the cipher refuses, as it does beyond 64 GiB.
    pub fn encrypt(&self, place: CipherPlace<'_>, clear: &[u8]) -> Result<Vec<u8>, StorageError> {
        let bound = place.bytes();
        let mut nonce = hmac::Context::with_key(&self.first.nonces);
        nonce.update(&(bound.len() as u32).to_le_bytes());
        nonce.update(&bound);
        nonce.update(clear);
        let nonce = nonce.sign().as_ref().first_chunk::<NONCE_LEN>().copied().unwrap_or_default();
        let mut out = Vec::with_capacity(ENCRYPTED_BYTES_MORE + clear.len());
        out.extend_from_slice(&self.first.number.0);
        out.extend_from_slice(&nonce);
        let mut content = Vec::with_capacity(clear.len() + TAG_BYTES);
        content.extend_from_slice(clear);
        self.first
            .cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut content)
            .map_err(|_| StorageError::Encryption(format!("{} cannot be encrypted", place.words())))?;
        out.extend_from_slice(&content);
        Ok(out)
    }

    /// What was encrypted for `place`.
    ///
    /// # Errors
    /// [`StorageError::Encryption`]: the key is missing; or the bytes were changed, or belong somewhere else.
    pub fn decrypt(&self, place: CipherPlace<'_>, bytes: &[u8]) -> Result<Vec<u8>, StorageError> {
        let parts = || {
            let (number, rest) = bytes.split_first_chunk::<8>()?;
            let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
            Some((KeyNumber(*number), *nonce, rest))
        };
        let (number, nonce, content) = parts()
            .ok_or_else(|| StorageError::Encryption(format!("{} is too short for what is encrypted", place.words())))?;
        let key = self.keys().find(|key| key.number == number).ok_or_else(|| {
            StorageError::Encryption(format!(
                "{} is encrypted with key {number}, which is not in the key file (storage.encryption_key_file)",
                place.words()
            ))
        })?;
        let mut content = content.to_vec();
        let opened = key
            .cipher
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(place.bytes()), &mut content)
            .map(|clear| clear.len());
        match opened {
            Ok(length) => {
                content.truncate(length);
                Ok(content)
            }
            Err(_) => {
                content.zeroize();
                Err(StorageError::Encryption(format!(
                    "{} does not decrypt: it was changed, or stood somewhere else before",
                    place.words()
                )))
            }
        }
    }

    /// The form in which the index has a normal form.
    pub fn form(&self, normal: &[u8]) -> [u8; FORM_BYTES] {
        hmac::sign(&self.first.forms, normal).as_ref().first_chunk::<FORM_BYTES>().copied().unwrap_or_default()
    }
}

/// What was encrypted for `place`, by whoever may have keys.
///
/// # Errors
/// As [`Keyring::decrypt`]; without a keyring, that one is needed.
pub fn decrypted(keyring: Option<&Keyring>, place: CipherPlace<'_>, bytes: &[u8]) -> Result<Vec<u8>, StorageError> {
    match keyring {
        Some(keyring) => keyring.decrypt(place, bytes),
        None => Err(StorageError::Encryption(format!(
            "{} is encrypted; name the key file in storage.encryption_key_file",
            place.words()
        ))),
    }
}

fn secret_of(line: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut secret = Zeroizing::new([0; KEY_BYTES]);
    if line.len() == 2 * KEY_BYTES {
        for (place, pair) in secret.iter_mut().zip(line.as_bytes().as_chunks::<2>().0) {
            *place = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        return line.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(secret);
    }
    let decoded = STANDARD.decode(line).or_else(|_| STANDARD_NO_PAD.decode(line)).ok().map(Zeroizing::new)?;
    secret.copy_from_slice(decoded.get(..).filter(|decoded| decoded.len() == KEY_BYTES)?);
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

    fn place(key: &[u8]) -> CipherPlace<'_> {
        CipherPlace { table: "id2state", key, attribute: None }
    }

    #[test]
    fn what_is_encrypted_comes_back_and_holds_nothing_of_the_content() {
        let keyring = Keyring::parse(ONE).unwrap();
        let bytes = keyring.encrypt(place(b"7"), b"canary canary").unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
        assert_eq!(bytes.len(), 13 + ENCRYPTED_BYTES_MORE);
        assert_eq!(decrypted(Some(&keyring), place(b"7"), &bytes).unwrap(), b"canary canary");
    }

    #[test]
    fn every_flipped_bit_is_an_error_in_words() {
        let keyring = Keyring::parse(ONE).unwrap();
        let bytes = keyring.encrypt(place(b"7"), b"content").unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = keyring.decrypt(place(b"7"), &bad).unwrap_err().to_string();
            assert!(error.starts_with("id2state at key 37 "), "bit {bit}: {error}");
        }
    }

    #[test]
    fn what_is_moved_to_another_place_does_not_open() {
        let keyring = Keyring::parse(ONE).unwrap();
        let here = CipherPlace { table: "id2entry", key: b"7", attribute: Some(AttributeId(3)) };
        let bytes = keyring.encrypt(here, b"content").unwrap();
        assert!(keyring.decrypt(here, &bytes).is_ok());
        let others = [
            CipherPlace { key: b"8", ..here },
            CipherPlace { table: "log", ..here },
            CipherPlace { attribute: Some(AttributeId(4)), ..here },
            CipherPlace { attribute: None, ..here },
        ];
        for other in others {
            let error = keyring.decrypt(other, &bytes).unwrap_err().to_string();
            assert!(error.contains("stood somewhere else before"), "{error}");
        }
    }

    #[test]
    fn a_nonce_comes_twice_only_with_the_same_content_at_the_same_place() {
        let keyring = Keyring::parse(ONE).unwrap();
        let nonce = |place, content: &[u8]| keyring.encrypt(place, content).unwrap()[8..HEAD_BYTES].to_vec();
        assert_eq!(nonce(place(b"7"), b"a"), nonce(place(b"7"), b"a"));
        assert_ne!(nonce(place(b"7"), b"a"), nonce(place(b"7"), b"b"));
        assert_ne!(nonce(place(b"7"), b"a"), nonce(place(b"8"), b"a"));
        // The same bytes divided otherwise between place and content.
        assert_ne!(nonce(place(b"7"), b"8a"), nonce(place(b"78"), b"a"));
    }

    #[test]
    fn another_key_is_told_by_its_number_and_an_old_key_still_decrypts() {
        let old = Keyring::parse(ONE).unwrap();
        let new = Keyring::parse(TWO).unwrap();
        let both = Keyring::parse(&format!("# the new one first\n{TWO}\n\n{ONE}\n")).unwrap();
        let bytes = old.encrypt(place(b"7"), b"content").unwrap();
        let error = new.decrypt(place(b"7"), &bytes).unwrap_err().to_string();
        assert!(error.contains(&old.number().to_string()), "{error}");
        assert_eq!(both.decrypt(place(b"7"), &bytes).unwrap(), b"content");
        assert_eq!(both.number(), new.number());
        assert_eq!(both.led_by(old.number()).unwrap().number(), old.number());
        assert_ne!(old.form(b"ann"), new.form(b"ann"));
        assert_eq!(KeyNumber::parse(&old.number().to_string()), Some(old.number()));
        let error = decrypted(None, place(b"7"), &bytes).unwrap_err().to_string();
        assert!(error.contains("storage.encryption_key_file"), "{error}");
    }

    #[test]
    fn a_key_is_read_in_hexadecimal_and_base64_and_nothing_else() {
        let hexadecimal = "0102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
        assert_eq!(Keyring::parse(hexadecimal).unwrap().number(), Keyring::parse(TWO).unwrap().number());
        for bad in ["", "# none", "short", &ONE[..62], &"g".repeat(64), &"+1".repeat(32), "AQIDBA=="] {
            assert!(Keyring::parse(bad).is_err(), "{bad}");
        }
        assert!(Keyring::parse(&Keyring::new_key().unwrap()).is_ok());
        assert_ne!(*Keyring::new_key().unwrap(), *Keyring::new_key().unwrap());
        assert!(Keyring::parse(&[ONE; KEYS_MAX + 1].join("\n")).unwrap_err().contains("more than 16 keys"));
    }

    #[test]
    fn a_key_file_that_others_may_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, ONE).unwrap();
        for (mode, is_taken) in
            [(0o600, true), (0o400, true), (0o440, true), (0o640, true), (0o644, false), (0o660, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Keyring::read(&path).is_ok(), is_taken, "{mode:o}");
        }
        assert!(!format!("{:?}", Keyring::read(&folder.path().join("none")).unwrap_err()).is_empty());
    }
}
