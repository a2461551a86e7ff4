//! Signed tokens (RFC 7519, RFC 7515): whether an issuer that is known says who somebody is.
//!
//! The keys are a JSON Web Key Set (RFC 7517); RS256, ES256 and EdDSA with Ed25519 are verified, by aws-lc. No other
//! algorithm is looked at, `none` and the symmetric ones least of all: which one is used follows from the key, and the
//! token must agree, so that no public key is ever taken for a secret.
//!
//! Invariants
//! - Nothing of a token is believed before its signature fits.
//! - A token without an end, from another issuer or for another audience proves nothing.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Most keys of a set that are kept.
pub const KEYS_MAX: usize = 64;
/// Longest key set that is read, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// Why a token proves nothing. For the log of the server; the client hears `invalid_token`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url with JSON inside.
    #[error("it is no signed token")]
    Malformed,
    /// No key of the set is of this id and algorithm.
    #[error("no key of the issuer is the token's; perhaps the keys are to be read again")]
    UnknownKey,
    /// The signature does not fit.
    #[error("its signature does not fit")]
    Signature,
    /// What it says does not fit.
    #[error("{0}")]
    Claim(&'static str),
}

/// A public key of an issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Key {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Key {
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn fits(&self, signed: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature),
            Self::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(signed, signature),
        };
        verified.is_ok()
    }
}

/// The keys of an issuer.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct KeySet(Vec<(Option<String>, Key)>);

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JSON Web Key Set; keys of other kinds are passed over. `None`: it is none, or has no key of use here.
    pub fn read(json: &[u8]) -> Option<Self> {
        if json.len() > KEY_SET_BYTES_MAX {
            return None;
        }
        let set: Jwks = serde_json::from_slice(json).ok()?;
        let keys: Vec<_> = set.keys.iter().filter_map(Jwk::key).take(KEYS_MAX).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Jwk {
    fn key(&self) -> Option<(Option<String>, Key)> {
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |field: &Option<String>| URL_SAFE_NO_PAD.decode(field.as_deref()?.trim_end_matches('=')).ok();
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Key::Rsa { n: bytes(&self.n)?, e: bytes(&self.e)? },
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                Key::P256([&[4][..], &x, &y].concat())
            }
            ("OKP", Some("Ed25519")) => Key::Ed25519(bytes(&self.x).filter(|x| x.len() == 32)?),
            _ => return None,
        };
        let agrees = self.alg.as_deref().is_none_or(|alg| alg == key.algorithm());
        agrees.then(|| (self.kid.clone(), key))
    }
}

/// What a token must say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRules {
    /// `iss`.
    pub issuer: String,
    /// `aud`, or one of it.
    pub audience: String,
    /// The claim that names the user.
    pub user_claim: String,
    /// Seconds that the issuer's clock may differ.
    pub skew_s: i64,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Who the token says its bearer is, at `now_s` (unix seconds).
///
/// # Errors
/// See [`TokenError`].
pub fn verify(token: &str, keys: &KeySet, rules: &TokenRules, now_s: i64) -> Result<String, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Malformed)?;
    if header.crit.is_some() {
        // RFC 7515 4.1.11: it asks for an extension, and there is none here.
        return Err(TokenError::Malformed);
    }
    let (signature, claims) = (decode(signature)?, decode(claims)?);
    let mut found = false;
    let mut fits = false;
    for (id, key) in &keys.0 {
        let is_it = header.kid.is_none() || id.is_none() || *id == header.kid;
        if is_it && key.algorithm() == header.alg {
            found = true;
            fits |= key.fits(signed.as_bytes(), &signature);
        }
    }
    match (found, fits) {
        (_, true) => {}
        (true, false) => return Err(TokenError::Signature),
        (false, false) => return Err(TokenError::UnknownKey),
    }
    let claims: Map<String, Value> = serde_json::from_slice(&claims).map_err(|_| TokenError::Malformed)?;
    judge(&claims, rules, now_s)
}

fn judge(claims: &Map<String, Value>, rules: &TokenRules, now_s: i64) -> Result<String, TokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(rules.issuer.as_str()) {
        return Err(TokenError::Claim("it is from another issuer"));
    }
    let is_for_us = match claims.get("aud") {
        Some(Value::String(one)) => *one == rules.audience,
        Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(rules.audience.as_str())),
        _ => false,
    };
    if !is_for_us {
        return Err(TokenError::Claim("it is for another audience"));
    }
    // NumericDate may have a fraction (RFC 7519 2).
    let time = |name: &str| claims.get(name).map(|value| value.as_f64().map(|seconds| seconds as i64));
    match time("exp") {
        Some(Some(end)) if now_s < end.saturating_add(rules.skew_s) => {}
        Some(Some(_)) => return Err(TokenError::Claim("it has expired")),
        _ => return Err(TokenError::Claim("it never ends")),
    }
    for (name, fault) in [("nbf", "it is not valid yet"), ("iat", "it was made in a time to come")] {
        match time(name) {
            None => {}
            Some(Some(start)) if start <= now_s.saturating_add(rules.skew_s) => {}
            _ => return Err(TokenError::Claim(fault)),
        }
    }
    let user = text(&rules.user_claim).filter(|user| !user.is_empty());
    user.map(str::to_owned).ok_or(TokenError::Claim("it does not name the user"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

    const NOW: i64 = 1_700_000_000;

    fn rules() -> TokenRules {
        TokenRules { issuer: "https://id".into(), audience: "ldap".into(), user_claim: "sub".into(), skew_s: 10 }
    }

    fn encode(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    struct Signer(Ed25519KeyPair);

    impl Signer {
        fn new() -> Self {
            Self(Ed25519KeyPair::generate().unwrap())
        }

        fn keys(&self) -> KeySet {
            let x = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
            let jwk = serde_json::json!({"keys": [{"kty": "oct", "k": "AA"}, {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x}]});
            KeySet::read(jwk.to_string().as_bytes()).unwrap()
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let signed = format!("{}.{}", encode(header), encode(claims));
            let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
            format!("{signed}.{signature}")
        }
    }

    fn claims() -> Value {
        serde_json::json!({"iss": "https://id", "aud": ["x", "ldap"], "sub": "ann", "exp": NOW + 60, "nbf": NOW})
    }

    #[test]
    fn a_token_of_the_issuer_names_the_user() {
        let signer = Signer::new();
        let header = serde_json::json!({"alg": "EdDSA", "kid": "a"});
        let token = signer.sign(&header, &claims());
        assert_eq!(signer.keys().len(), 1, "a symmetric key is no key");
        assert_eq!(verify(&token, &signer.keys(), &rules(), NOW).as_deref(), Ok("ann"));
        assert_eq!(verify(&token, &Signer::new().keys(), &rules(), NOW), Err(TokenError::Signature));
        let other = signer.sign(&serde_json::json!({"alg": "EdDSA", "kid": "b"}), &claims());
        assert_eq!(verify(&other, &signer.keys(), &rules(), NOW), Err(TokenError::UnknownKey));
    }

    /// RFC 8725 2.1: the token does not choose how it is verified.
    #[test]
    fn no_other_algorithm_is_taken() {
        let signer = Signer::new();
        for alg in ["none", "HS256", "ES256", "RS256", ""] {
            let token = signer.sign(&serde_json::json!({"alg": alg, "kid": "a"}), &claims());
            assert_eq!(verify(&token, &signer.keys(), &rules(), NOW), Err(TokenError::UnknownKey), "{alg}");
        }
        let critical = signer.sign(&serde_json::json!({"alg": "EdDSA", "crit": ["x"]}), &claims());
        assert_eq!(verify(&critical, &signer.keys(), &rules(), NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn es256_is_verified() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let jwk = serde_json::json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y}]});
        let keys = KeySet::read(jwk.to_string().as_bytes()).unwrap();
        let signed = format!("{}.{}", encode(&serde_json::json!({"alg": "ES256"})), encode(&claims()));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        assert_eq!(verify(&token, &keys, &rules(), NOW).as_deref(), Ok("ann"));
    }

    #[test]
    fn what_a_token_says_must_fit() {
        let signer = Signer::new();
        let header = serde_json::json!({"alg": "EdDSA"});
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            verify(&signer.sign(&header, &claims), &signer.keys(), &rules(), NOW)
        };
        assert!(with("exp", (NOW - 9).into()).is_ok(), "within the skew");
        for (name, value) in [
            ("iss", "https://other".into()),
            ("aud", "other".into()),
            ("aud", Value::Null),
            ("exp", (NOW - 10).into()),
            ("exp", Value::Null),
            ("exp", "tomorrow".into()),
            ("nbf", (NOW + 11).into()),
            ("iat", (NOW + 11).into()),
            ("sub", "".into()),
            ("sub", 7.into()),
        ] {
            assert!(matches!(with(name, value.clone()), Err(TokenError::Claim(_))), "{name} {value}");
        }
        for bad in ["", "a", "a.b", "a.b.c", "..", "e30.e30.!"] {
            assert!(verify(bad, &signer.keys(), &rules(), NOW).is_err(), "{bad}");
        }
    }
}
