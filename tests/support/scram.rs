//! The client's side of SCRAM (RFC 5802), written for the tests and sharing no code with the server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use super::client::{Client, Outcome};
use super::code;
use super::request;

/// Which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length");
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(key).expect("any length");
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    fn digest(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        }
    }

    /// RFC 5802 2.2, by its definition.
    fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut last = self.hmac(password.as_bytes(), &[salt, &1_u32.to_be_bytes()].concat());
        let mut sum = last.clone();
        for _ in 1..iterations {
            last = self.hmac(password.as_bytes(), &last);
            sum.iter_mut().zip(&last).for_each(|(sum, byte)| *sum ^= byte);
        }
        sum
    }
}

/// What a client wants of an exchange.
#[derive(Clone, Debug)]
pub(crate) struct Scram<'a> {
    pub(crate) mechanism: &'a str,
    pub(crate) hash: Hash,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) authorization_id: &'a str,
    /// `n`, `y` or `p=…`.
    pub(crate) flag: &'a str,
    /// The data of the channel.
    pub(crate) channel: Vec<u8>,
}

impl<'a> Scram<'a> {
    pub(crate) fn new(mechanism: &'a str, user: &'a str, password: &'a str) -> Self {
        let hash = if mechanism.contains("512") { Hash::Sha512 } else { Hash::Sha256 };
        Self { mechanism, hash, user, password, authorization_id: "", flag: "n", channel: Vec::new() }
    }

    /// The challenge that the server answers the first message with.
    #[track_caller]
    pub(crate) fn challenge(&self, client: &mut Client) -> Outcome {
        let first = format!("{}{}", self.header(), self.bare());
        client.perform(&request::bind_sasl("", self.mechanism, Some(first.as_bytes())))
    }

    fn header(&self) -> String {
        let authorization = match self.authorization_id {
            "" => String::new(),
            name => format!("a={}", name.replace('=', "=3D").replace(',', "=2C")),
        };
        format!("{},{authorization},", self.flag)
    }

    fn bare(&self) -> String {
        let user = self.user.replace('=', "=3D").replace(',', "=2C");
        format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL")
    }

    /// The whole exchange; on success the server's signature was right.
    #[track_caller]
    pub(crate) fn bind(&self, client: &mut Client) -> Outcome {
        let outcome = self.challenge(client);
        if outcome.code != code::SASL_BIND_IN_PROGRESS {
            return outcome;
        }
        let challenge = String::from_utf8(outcome.value.expect("a challenge")).expect("UTF-8");
        let field = |name: &str| {
            let found = challenge.split(',').find_map(|part| part.strip_prefix(name));
            found.unwrap_or_else(|| panic!("no {name} in {challenge}")).to_owned()
        };
        let (nonce, salt) = (field("r="), STANDARD.decode(field("s=")).expect("base64"));
        let iterations: u32 = field("i=").parse().expect("a number");
        assert!(nonce.starts_with("fyko+d2lbbFgONRv9qkxdawL") && nonce.len() > 40, "{nonce}");
        let bound = [self.header().as_bytes(), &self.channel].concat();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(bound));
        let signed = format!("{},{challenge},{without_proof}", self.bare());
        let salted = self.hash.salted(self.password, &salt, iterations);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let signature = self.hash.hmac(&self.hash.digest(&client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, mask)| key ^ mask).collect();
        let last = format!("{without_proof},p={}", STANDARD.encode(proof));
        let outcome = client.perform(&request::bind_sasl("", self.mechanism, Some(last.as_bytes())));
        if outcome.code == code::SUCCESS {
            let server_key = self.hash.hmac(&salted, b"Server Key");
            let expected = format!("v={}", STANDARD.encode(self.hash.hmac(&server_key, signed.as_bytes())));
            let word = String::from_utf8(outcome.value.clone().expect("the server's signature")).expect("UTF-8");
            assert_eq!(word, expected, "the server does not know the password either");
        }
        outcome
    }
}
