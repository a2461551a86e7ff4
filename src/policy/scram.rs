//! SCRAM as a server (RFC 5802, RFC 7677 for SHA-256; SHA-512 in the same way), with channel binding.
//!
//! The client proves that it knows the password without sending it; the server proves that it knows a verifier of it.
//! What is kept is a salted verifier from which nobody can log in elsewhere. Everything here is a value fed with
//! messages: where the verifier comes from, and what an unknown name is answered with, is decided above.
//!
//! Invariants
//! - A message that is not exactly of the grammar fails; nothing in it is skipped but extensions that may be (`m=` fails).
//! - A client that could have bound the channel and was made to believe that it cannot (flag `y` where the `-PLUS`
//!   mechanism was offered) fails (RFC 5802 6).
//! - Proofs are compared in the same time wherever they differ.

use super::password_hash::{prepare, random_bytes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Longest message of a client, in bytes: names and nonces are short.
pub const MESSAGE_BYTES_MAX: usize = 4_096;
/// Most iterations of a verifier that is believed; clients pay for them.
pub const ITERATIONS_MAX: u32 = 10_000_000;

/// The hash function of a mechanism.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScramHash {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl ScramHash {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The mechanism without channel binding.
    pub const fn mechanism(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism with channel binding.
    pub const fn mechanism_plus(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256-PLUS",
            Self::Sha512 => "SCRAM-SHA-512-PLUS",
        }
    }

    /// The hash of a mechanism without channel binding.
    pub fn of(mechanism: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| mechanism.eq_ignore_ascii_case(hash.mechanism()))
    }

    fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        fn of<M: Mac + KeyInit>(key: &[u8], bytes: &[u8]) -> Vec<u8> {
            let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
            mac.update(bytes);
            mac.finalize().into_bytes().to_vec()
        }
        match self {
            Self::Sha256 => of::<Hmac<Sha256>>(key, bytes),
            Self::Sha512 => of::<Hmac<Sha512>>(key, bytes),
        }
    }

    fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(vec![0; self.bytes()]);
        match self {
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut out),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut out),
        }
        out
    }
}

/// What a password is verified by.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// Of which mechanism.
    pub hash: ScramHash,
    /// How often the password was hashed.
    pub iterations: u32,
    /// With which salt.
    pub salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({}, {} iterations)", self.hash.mechanism(), self.iterations)
    }
}

impl Verifier {
    /// A verifier with a new salt; `None` for a password that is no text. Cost: some 10 ms for each 50,000 iterations.
    pub fn make(hash: ScramHash, password: &[u8], iterations: u32) -> Option<Self> {
        let mut salt = [0; 16];
        random_bytes(&mut salt);
        Self::derive(hash, password, &salt, iterations)
    }

    /// The verifier of a password with this salt; `None` for a password that is no text.
    pub fn derive(hash: ScramHash, password: &[u8], salt: &[u8], iterations: u32) -> Option<Self> {
        let password = prepare(password)?;
        let salted = hash.salted(password.as_bytes(), salt, iterations);
        let stored_key = hash.digest(&hash.hmac(&salted, b"Client Key"));
        let server_key = hash.hmac(&salted, b"Server Key");
        Some(Self { hash, iterations, salt: salt.to_vec(), stored_key, server_key })
    }

    /// `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey` (RFC 5803 3).
    pub fn to_text(&self) -> String {
        let (salt, stored) = (STANDARD.encode(&self.salt), STANDARD.encode(&self.stored_key));
        let server = STANDARD.encode(&self.server_key);
        format!("{}${}:{salt}${stored}:{server}", self.hash.mechanism(), self.iterations)
    }

    /// Reads what [`Verifier::to_text`] writes, and the same as a value of userPassword, `{SCRAM-SHA-256}…$…$…`, as Cyrus and
    /// Dovecot write it. `None` for anything else.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let (scheme, rest) = match text.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => text.split_once('$')?,
        };
        let hash = ScramHash::of(scheme.trim())?;
        let (info, keys) = rest.split_once('$')?;
        let (iterations, salt) = info.split_once(':').or_else(|| info.split_once(','))?;
        let (stored, server) = keys.split_once(':').or_else(|| keys.split_once(','))?;
        let iterations = iterations.trim().parse().ok().filter(|count| (1..=ITERATIONS_MAX).contains(count))?;
        let decode = |text: &str| STANDARD.decode(text.trim()).ok();
        let (salt, stored_key, server_key) = (decode(salt)?, decode(stored)?, decode(server)?);
        let fits = !salt.is_empty() && stored_key.len() == hash.bytes() && server_key.len() == hash.bytes();
        fits.then_some(Self { hash, iterations, salt, stored_key, server_key })
    }
}

/// Why an exchange fails; whoever is not the client's author is told nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScramError {
    /// Not of the grammar.
    #[error("the message is not one of RFC 5802 7")]
    Malformed,
    /// The client binds a channel where it may not, or not where it must, or to another one.
    #[error("the channel binding does not fit this connection")]
    ChannelBinding,
    /// The proof does not fit.
    #[error("the proof does not fit")]
    Proof,
}

/// The data of this connection's channel for a type of binding.
pub trait Channel {
    /// `None` where the connection has no such binding.
    fn binding(&self, kind: &str) -> Option<Vec<u8>>;
}

/// The first message of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFirst {
    /// Whose password.
    pub user: String,
    /// Whom to act as; empty: the user.
    pub authorization_id: String,
    nonce: String,
    bare: String,
    /// What `c=` of the last message must say.
    binding: Vec<u8>,
}

impl ClientFirst {
    /// Reads the message. `is_plus`: of a `-PLUS` mechanism; `plus_offered`: such a one was offered on this connection.
    /// A client of Cyrus SASL binds the channel and names the mechanism without `-PLUS`: what it binds is verified alike.
    ///
    /// # Errors
    /// [`ScramError::Malformed`], [`ScramError::ChannelBinding`].
    pub fn read(message: &[u8], is_plus: bool, plus_offered: bool, channel: &dyn Channel) -> Result<Self, ScramError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(ScramError::Malformed);
        }
        let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed)?;
        let (flag, rest) = text.split_once(',').ok_or(ScramError::Malformed)?;
        let (authorization, bare) = rest.split_once(',').ok_or(ScramError::Malformed)?;
        let header = format!("{flag},{authorization},");
        let mut binding = header.into_bytes();
        match (flag, is_plus) {
            ("n", false) => {}
            ("y", false) if !plus_offered => {}
            _ => match flag.strip_prefix("p=") {
                Some(kind) => binding.extend(channel.binding(kind).ok_or(ScramError::ChannelBinding)?),
                None if is_plus || flag == "y" => return Err(ScramError::ChannelBinding),
                None => return Err(ScramError::Malformed),
            },
        }
        let authorization_id = match authorization.strip_prefix("a=") {
            Some(name) => sasl_name(name)?,
            None if authorization.is_empty() => String::new(),
            None => return Err(ScramError::Malformed),
        };
        let mut parts = bare.split(',');
        let user = parts.next().and_then(|part| part.strip_prefix("n=")).ok_or(ScramError::Malformed)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or(ScramError::Malformed)?;
        let is_printable = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b',';
        if nonce.is_empty() || !nonce.bytes().all(is_printable) || !parts.all(is_extension) {
            return Err(ScramError::Malformed);
        }
        let user = sasl_name(user)?;
        if user.is_empty() {
            return Err(ScramError::Malformed);
        }
        Ok(Self { user, authorization_id, nonce: nonce.to_owned(), bare: bare.to_owned(), binding })
    }

    /// The server's first message, and the exchange that waits for the client's last one. `own` is the server's part of
    /// the nonce: printable, without comma, different every time.
    pub fn challenge(self, salt: &[u8], iterations: u32, own: &str) -> (String, Exchange) {
        let nonce = format!("{}{own}", self.nonce);
        let challenge = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
        let exchange = Exchange { nonce, opening: format!("{},{challenge}", self.bare), binding: self.binding };
        (challenge, exchange)
    }
}

/// An exchange whose challenge was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchange {
    nonce: String,
    opening: String,
    binding: Vec<u8>,
}

/// The client's last message, of the right form and bound to the right channel; its proof is not looked at yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFinal {
    proof: Vec<u8>,
    signed: String,
}

impl Exchange {
    /// Reads the client's last message.
    ///
    /// # Errors
    /// [`ScramError::Malformed`], for another nonce too; [`ScramError::ChannelBinding`].
    pub fn read_final(&self, message: &[u8]) -> Result<ClientFinal, ScramError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(ScramError::Malformed);
        }
        let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or(ScramError::Malformed)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or(ScramError::Malformed)?;
        if nonce != self.nonce || !parts.all(is_extension) {
            return Err(ScramError::Malformed);
        }
        let binding = STANDARD.decode(binding).map_err(|_| ScramError::Malformed)?;
        if !bool::from(binding.ct_eq(&self.binding)) {
            return Err(ScramError::ChannelBinding);
        }
        let proof = STANDARD.decode(proof).map_err(|_| ScramError::Malformed)?;
        Ok(ClientFinal { proof, signed: format!("{},{without_proof}", self.opening) })
    }
}

impl ClientFinal {
    /// The server's last message, if the proof fits the verifier.
    ///
    /// # Errors
    /// [`ScramError::Proof`].
    pub fn verify(&self, verifier: &Verifier) -> Result<String, ScramError> {
        let hash = verifier.hash;
        if self.proof.len() != hash.bytes() {
            return Err(ScramError::Proof);
        }
        let signature = hash.hmac(&verifier.stored_key, self.signed.as_bytes());
        let client_key: Vec<u8> = self.proof.iter().zip(&signature).map(|(proof, mask)| proof ^ mask).collect();
        if !bool::from(hash.digest(&client_key).ct_eq(&verifier.stored_key)) {
            return Err(ScramError::Proof);
        }
        Ok(format!("v={}", STANDARD.encode(hash.hmac(&verifier.server_key, self.signed.as_bytes()))))
    }
}

/// An attribute that may be passed over: any letter but `m`, which asks for what is not here.
fn is_extension(part: &str) -> bool {
    let mut letters = part.chars();
    letters.next().is_some_and(|letter| letter.is_ascii_alphabetic() && letter != 'm') && letters.next() == Some('=')
}

/// A `saslname`: `=2C` is a comma, `=3D` an equals sign.
fn sasl_name(text: &str) -> Result<String, ScramError> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        name.push_str(before);
        name.push(match after.get(..2) {
            Some("2C") => ',',
            Some("3D") => '=',
            _ => return Err(ScramError::Malformed),
        });
        rest = after.get(2..).unwrap_or_default();
    }
    name.push_str(rest);
    if name.contains('\0') { Err(ScramError::Malformed) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bound;

    impl Channel for Bound {
        fn binding(&self, kind: &str) -> Option<Vec<u8>> {
            (kind == "tls-exporter").then(|| b"channel".to_vec())
        }
    }

    /// RFC 7677 3, whole.
    #[test]
    fn the_example_of_rfc_7677_passes() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::derive(ScramHash::Sha256, b"pencil", &salt, 4096).unwrap();
        let first = ClientFirst::read(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", false, false, &Bound).unwrap();
        assert_eq!((first.user.as_str(), first.authorization_id.as_str()), ("user", ""));
        let (challenge, exchange) = first.challenge(&salt, 4096, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        assert_eq!(challenge, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let last = exchange.read_final(last.as_bytes()).unwrap();
        assert_eq!(last.verify(&verifier).unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let other = Verifier::derive(ScramHash::Sha256, b"pencil2", &salt, 4096).unwrap();
        assert_eq!(last.verify(&other), Err(ScramError::Proof));
    }

    #[test]
    fn a_verifier_is_read_as_it_is_written() {
        for hash in ScramHash::ALL {
            let made = Verifier::make(hash, "pässword".as_bytes(), 4096).unwrap();
            assert_eq!(Verifier::parse(made.to_text().as_bytes()).as_ref(), Some(&made));
            let braced = format!("{{{}}}{}", hash.mechanism(), made.to_text().split_once('$').unwrap().1);
            assert_eq!(Verifier::parse(braced.as_bytes()).as_ref(), Some(&made));
        }
        for bad in [
            "",
            "SCRAM-SHA-256$0:AA==$AA==:AA==",
            "SCRAM-SHA-1$4096:AA==$AA==:AA==",
            "{SCRAM-SHA-256}4096",
            "{SCRAM-SHA-256",
            "\u{7f}",
        ] {
            assert_eq!(Verifier::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    /// RFC 5802 6: no downgrade, no other channel.
    #[test]
    fn the_channel_is_bound_as_was_offered() {
        let read = |message: &str, is_plus, offered| ClientFirst::read(message.as_bytes(), is_plus, offered, &Bound);
        let denied = Err(ScramError::ChannelBinding);
        assert!(read("y,,n=u,r=x", false, false).is_ok());
        assert_eq!(read("y,,n=u,r=x", false, true), denied);
        assert_eq!(read("n,,n=u,r=x", true, true), denied);
        for is_plus in [true, false] {
            assert_eq!(read("p=tls-unique,,n=u,r=x", is_plus, true), denied);
        }
        let first = read("p=tls-exporter,a=dn:x,n=u,r=x", true, true).unwrap();
        assert_eq!(first.authorization_id, "dn:x");
        assert_eq!(read("p=tls-exporter,a=dn:x,n=u,r=x", false, true), Ok(first.clone()), "as Cyrus SASL does");
        let (_, exchange) = first.challenge(b"s", 4096, "y");
        let last = |bound: &[u8]| format!("c={},r=xy,p=AAAA", STANDARD.encode(bound));
        assert!(exchange.read_final(last(b"p=tls-exporter,a=dn:x,channel").as_bytes()).is_ok());
        assert_eq!(
            exchange.read_final(last(b"p=tls-exporter,a=dn:x,another").as_bytes()),
            Err(ScramError::ChannelBinding)
        );
        assert_eq!(exchange.read_final(last(b"p=tls-exporter,,channel").as_bytes()), Err(ScramError::ChannelBinding));
    }

    /// T-10: nothing that is not a message passes for one.
    #[test]
    fn malformed_messages_fail() {
        for bad in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=",
            "n,,n=,r=x",
            "n,,n=u",
            "n,,n=u,r=",
            "n,,m=x,n=u,r=x",
            "n,x,n=u,r=x",
            "z,,n=u,r=x",
            "n,,n=u=,r=x",
            "n,,n=u=2,r=x",
            "n,,n=u=41,r=x",
            "n,,n=u\0,r=x",
            "n,,n=u,r=x,m=1",
            "n,,n=u,r=x y",
            "n,,r=x,n=u",
        ] {
            let read = ClientFirst::read(bad.as_bytes(), false, false, &Bound);
            assert_eq!(read, Err(ScramError::Malformed), "{bad:?}");
        }
        let name = ClientFirst::read(b"n,,n=a=2Cb=3D,r=x", false, false, &Bound).unwrap().user;
        assert_eq!(name, "a,b=");
        assert!(ClientFirst::read(&[b'n'; MESSAGE_BYTES_MAX + 1], false, false, &Bound).is_err());
        let (_, exchange) = ClientFirst::read(b"n,,n=u,r=x", false, false, &Bound).unwrap().challenge(b"s", 4096, "y");
        for bad in [
            "",
            "c=biws",
            "c=biws,r=xy",
            "c=biws,r=x,p=AAAA",
            "c=!,r=xy,p=AAAA",
            "c=biws,r=xy,p=!",
            "r=xy,c=biws,p=AA==",
        ] {
            assert_eq!(exchange.read_final(bad.as_bytes()), Err(ScramError::Malformed), "{bad:?}");
        }
    }
}
