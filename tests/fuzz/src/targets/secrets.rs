//! What proves who somebody is: stored passwords, SCRAM, tokens and the keys that sign them, invitations.

use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use entente::policy::password_hash::{self, Verdict};
use entente::policy::scram::{Channel, ClientFirst, ScramHash, Verifier};
use entente::policy::token::{self, KeySet, TokenError, TokenRules};
use entente::replication::invite::Token;
use entente::replication::{NodeId, Role};

use super::texts;

pub(super) fn stored_password_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "{SSHA}RVrYKa6nAv9eazYhtJfw4AgxI+eT06Ch",
        "{SSHA512}3SY3GvTjTMldr/5hTeAL2Hjv9vrM44Ifyl22uyKgqwSzBkj/8LvXiVVtaGSPIsKVCa8Rcc1e9YhWhCSvaHtQleu2wtM0KJ3H",
        "{PBKDF2-SHA1}10$UNp9K0I6VhjqQSW3AFgQbw$.1Em7h3.zftWgT6M8espcSMM0Eg",
        "{ARGON2}$argon2i$v=19$m=64,t=3,p=2$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik",
        "{CRYPT}$5$rounds=1000$BU$gIBidxYQILf6M9EA48gITYwhsIzIUTE4hDtJEVJh5d7",
        "{CRYPT}$2b$04$GwP7PSGWeEnEYR9QbLhcNu29I0a2uPZKAy8EY.QR.khaG7obvsh8W",
        "{CLEARTEXT}secret",
    ])
}

/// No stored value panics, and none that has a hash fits the empty password or one that nobody chose.
pub(super) fn stored_password(input: &[u8]) -> bool {
    let verdict = password_hash::verify(input, b"a password that nobody chose");
    let empty = password_hash::verify(input, b"");
    assert_ne!(empty, Verdict::Match);
    assert!(verdict != Verdict::Match || !password_hash::is_hashed(input));
    let _ = (password_hash::is_costly(input), password_hash::needs_rehash(input), password_hash::has_scheme(input));
    verdict != Verdict::Unusable
}

/// Ends one message of a conversation; no UTF-8 has it.
const END: u8 = 0xfe;
const SCRAM_ITERATIONS: u32 = 2;
const SCRAM_SALT: &[u8] = b"salt of nobody";
/// The server's part of a nonce.
const SCRAM_NONCE: &str = "server";

struct Bound;

impl Channel for Bound {
    fn binding(&self, kind: &str) -> Option<Vec<u8>> {
        (kind == "tls-exporter").then(|| vec![9; 32])
    }
}

/// What a client answers to the challenge, from its first message on.
fn scram_last(verifier_of: ScramHash, header: &[u8], bare: &str, nonce: &str) -> String {
    let first = format!("r={nonce}{SCRAM_NONCE},s={},i={SCRAM_ITERATIONS}", STANDARD.encode(SCRAM_SALT));
    let without_proof = format!("c={},r={nonce}{SCRAM_NONCE}", STANDARD.encode(header));
    let signed = format!("{bare},{first},{without_proof}");
    let proof = proof_of(verifier_of, signed.as_bytes());
    format!("{without_proof},p={}", STANDARD.encode(proof))
}

/// RFC 5802 3, as a client does it; the password is `secret`.
fn proof_of(hash: ScramHash, signed: &[u8]) -> Vec<u8> {
    use aws_lc_rs::{digest, hmac, pbkdf2};
    let (algorithm, sha, derive, length) = match hash {
        ScramHash::Sha256 => (hmac::HMAC_SHA256, &digest::SHA256, pbkdf2::PBKDF2_HMAC_SHA256, 32),
        ScramHash::Sha512 => (hmac::HMAC_SHA512, &digest::SHA512, pbkdf2::PBKDF2_HMAC_SHA512, 64),
    };
    let mut salted = vec![0; length];
    let iterations = std::num::NonZeroU32::new(SCRAM_ITERATIONS).expect("not zero");
    pbkdf2::derive(derive, iterations, SCRAM_SALT, b"secret", &mut salted);
    let mac = |key: &[u8], bytes: &[u8]| hmac::sign(&hmac::Key::new(algorithm, key), bytes).as_ref().to_vec();
    let client_key = mac(&salted, b"Client Key");
    let signature = mac(digest::digest(sha, &client_key).as_ref(), signed);
    client_key.iter().zip(&signature).map(|(key, mask)| key ^ mask).collect()
}

/// Flags (1: `-PLUS`, 2: `-PLUS` is offered, 4: SHA-512), the first message, 0xFE, the last one.
pub(super) fn scram_seeds() -> Vec<Vec<u8>> {
    let talk = |flags: u8, header: &str, binding: &[u8], bare: &str, nonce: &str| {
        let hash = if flags & 4 == 0 { ScramHash::Sha256 } else { ScramHash::Sha512 };
        let last = scram_last(hash, &[header.as_bytes(), binding].concat(), bare, nonce);
        [&[flags], header.as_bytes(), bare.as_bytes(), &[END], last.as_bytes()].concat()
    };
    vec![
        talk(0, "n,,", b"", "n=user,r=rOprNGfwEbeRWgbNEkqO", "rOprNGfwEbeRWgbNEkqO"),
        talk(4, "y,a=dn:cn=2Cother,", b"", "n=u=3Ds=2Cer,r=abc,x=extension", "abc"),
        talk(3, "p=tls-exporter,,", &[9; 32], "n=user,r=~!", "~!"),
    ]
}

/// A conversation by SCRAM: no panic; whoever is let in has sent a proof that only the password gives, over exactly what
/// was said.
pub(super) fn scram(input: &[u8]) -> bool {
    let Some((flags, messages)) = input.split_first() else { return false };
    let verifier = Verifier::parse(messages);
    if let Some(verifier) = &verifier {
        assert_eq!(Verifier::parse(verifier.to_text().as_bytes()).as_ref(), Some(verifier));
    }
    let mut messages = messages.splitn(2, |byte| *byte == END);
    let first = messages.next().unwrap_or_default();
    let read = ClientFirst::read(first, flags & 1 != 0, flags & 2 != 0, &Bound);
    let Ok(first_message) = read else { return verifier.is_some() };
    assert!(!first_message.user.is_empty());
    let hash = if flags & 4 == 0 { ScramHash::Sha256 } else { ScramHash::Sha512 };
    let (challenge, exchange) = first_message.challenge(SCRAM_SALT, SCRAM_ITERATIONS, SCRAM_NONCE);
    let last = messages.next().unwrap_or_default();
    let Ok(end) = exchange.read_final(last) else { return true };
    let verifier = Verifier::derive(hash, b"secret", SCRAM_SALT, SCRAM_ITERATIONS).expect("a password");
    if end.verify(&verifier).is_ok() {
        let text = |bytes| std::str::from_utf8(bytes).expect("was read as text");
        let bare = text(first).splitn(3, ',').nth(2).expect("was read");
        let (without_proof, proof) = text(last).rsplit_once(",p=").expect("was read");
        let wanted = proof_of(hash, format!("{bare},{challenge},{without_proof}").as_bytes());
        assert_eq!(STANDARD.decode(proof).ok(), Some(wanted));
    }
    true
}

const NOW_S: i64 = 1_700_000_000;

fn signer() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes")
}

pub(super) fn signer_keys() -> String {
    let x = URL_SAFE_NO_PAD.encode(signer().public_key().as_ref());
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","use":"sig","x":"{x}"}}]}}"#)
}

/// Header, 0xFE, claims: signed by the target, so that mutants come to where claims are read.
pub(super) fn token_seeds() -> Vec<Vec<u8>> {
    let token = |header: &str, claims: &str| [header.as_bytes(), &[END], claims.as_bytes()].concat();
    vec![
        token(
            r#"{"alg":"EdDSA","kid":"a"}"#,
            r#"{"iss":"https://id","aud":["x","ldap"],"sub":"ann","exp":1700000060,"nbf":1699999999.5,"iat":1}"#,
        ),
        token(r#"{"alg":"EdDSA"}"#, r#"{"iss":"https://id","aud":"ldap","sub":"u","exp":1e12}"#),
        b"e30.e30.AAAA".to_vec(),
    ]
}

fn sign(pair: &Ed25519KeyPair, input: &[u8]) -> String {
    let mut halves = input.splitn(2, |byte| *byte == END);
    let (header, claims) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes())))
}

/// The token that an input of [`token`] stands for.
pub(super) fn signed(input: &[u8]) -> String {
    sign(&signer(), input)
}

/// A token: no panic; one that is believed says issuer and audience in so many words.
pub(super) fn token(input: &[u8]) -> bool {
    static PARTS: LazyLock<(Ed25519KeyPair, KeySet)> =
        LazyLock::new(|| (signer(), KeySet::read(signer_keys().as_bytes()).expect("a key")));
    let rules = TokenRules {
        issuer: "https://id".to_owned(),
        audience: "ldap".to_owned(),
        user_claim: "sub".to_owned(),
        skew_s: 10,
    };
    let (pair, keys) = &*PARTS;
    if let Ok(text) = std::str::from_utf8(input) {
        assert!(token::verify(text, keys, &rules, NOW_S).is_err(), "nobody has signed it");
    }
    let text = sign(pair, input);
    let claims = input.splitn(2, |byte| *byte == END).nth(1).unwrap_or_default();
    match token::verify(&text, keys, &rules, NOW_S) {
        Ok(user) => {
            let said = String::from_utf8_lossy(claims);
            assert!(!user.is_empty() && said.contains("iss") && said.contains("aud") && said.contains("exp"));
            true
        }
        Err(TokenError::Claim(_)) => true,
        Err(_) => false,
    }
}

pub(super) fn key_set_seeds() -> Vec<Vec<u8>> {
    let rsa = r#"{"keys":[{"kty":"RSA","kid":"r","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86z","e":"AQAB"},{"kty":"oct","k":"AA"}]}"#;
    let ec = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
    let mut seeds = texts(&[rsa, ec]);
    seeds.push(signer_keys().into_bytes());
    seeds
}

/// A set of an issuer's keys, and a token that none of them has signed: no panic.
pub(super) fn key_set(input: &[u8]) -> bool {
    let Some(keys) = KeySet::read(input) else { return false };
    assert!(!keys.is_empty() && keys.len() <= token::KEYS_MAX);
    true
}

pub(super) fn invitation_seeds() -> Vec<Vec<u8>> {
    let invitation = |addresses: &[&str]| Token {
        expires_s: 1_700_000_000,
        role: Role::Supplier,
        node: NodeId([1; 16]),
        authority: [2; 32],
        secret: [3; 32].into(),
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
    };
    let line = |invitation: Token| invitation.encode().as_bytes().to_vec();
    vec![line(invitation(&["one.example:7389", "[2001:db8::1]:7389"])), line(invitation(&[]))]
}

/// The line that invites a member, also with its checksum made right: no panic, and what is read is written the same.
pub(super) fn invitation(input: &[u8]) -> bool {
    let read_back = |text: &str| match Token::decode(text) {
        Ok(token) => {
            assert!(Token::decode(&token.encode()).as_ref() == Ok(&token));
            true
        }
        Err(_) => false,
    };
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let is_read = read_back(text);
    let Ok(mut bytes) = URL_SAFE_NO_PAD.decode(text.trim()) else { return is_read };
    bytes.truncate(bytes.len().saturating_sub(4));
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    bytes.extend_from_slice(&sum.as_ref()[..4]);
    read_back(&URL_SAFE_NO_PAD.encode(&bytes)) || is_read
}
