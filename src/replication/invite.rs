//! The token that an invitation is handed over by: one line that a person copies from one terminal to another.
//!
//! It says where to go, whose certificate to believe there (the fingerprint of the cluster's authority), and holds a
//! secret that is good for one member until it expires. Its last bytes are a checksum, so that a line cut short in
//! copying is told as such.
//!
//! ```text
//! base64url( version u8 | expires u64 unix s | role u8 | node 16 | authority 32 | secret 32
//!            | count u8, then for each address length u8, text | first 4 bytes of the SHA-256 of all before )
//! ```

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{NodeId, Role};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
/// Addresses in a token.
pub const ADDRESSES_MAX: usize = 16;
/// Longest token that is read, in characters.
const TEXT_MAX: usize = 8192;

/// What a token says.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// When it ends, unix seconds.
    pub expires_s: u64,
    /// What the new member will be there for.
    pub role: Role,
    /// The node that invited.
    pub node: NodeId,
    /// SHA-256 of the certificate of the cluster's authority.
    pub authority: [u8; 32],
    /// The secret.
    pub secret: Zeroizing<[u8; 32]>,
    /// Where the inviting node takes connections: `host:port`.
    pub addresses: Vec<String>,
}

/// Never shows the secret.
impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Token");
        shown.field("node", &self.node).field("expires_s", &self.expires_s).field("addresses", &self.addresses);
        shown.finish_non_exhaustive()
    }
}

/// Why a text is no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// A character or length that no token has.
    #[error("that is no token: copy the whole line that `entente invite` printed last")]
    Shape,
    /// The checksum differs.
    #[error("the token is not whole: copy the whole line that `entente invite` printed last")]
    Damaged,
    /// Written by a newer program.
    #[error("the token is from a newer version of this program; use that one here too")]
    Version,
}

impl Token {
    /// The one line.
    pub fn encode(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![VERSION]);
        bytes.extend_from_slice(&self.expires_s.to_be_bytes());
        bytes.push(role_number(self.role));
        bytes.extend_from_slice(&self.node.0);
        bytes.extend_from_slice(&self.authority);
        bytes.extend_from_slice(&self.secret[..]);
        let addresses = self.addresses.iter().filter(|address| address.len() <= usize::from(u8::MAX));
        let addresses: Vec<&String> = addresses.take(ADDRESSES_MAX).collect();
        bytes.push(addresses.len() as u8);
        for address in addresses {
            bytes.push(address.len() as u8);
            bytes.extend_from_slice(address.as_bytes());
        }
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        Zeroizing::new(URL_SAFE_NO_PAD.encode(&bytes[..]))
    }

    /// Reads the line.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > TEXT_MAX {
            return Err(TokenError::Shape);
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Shape)?);
        let (body, checked) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(TokenError::Shape)?;
        if checksum(body) != *checked {
            return Err(TokenError::Damaged);
        }
        let mut reader = Reader(body);
        if reader.array::<1>()? != [VERSION] {
            return Err(TokenError::Version);
        }
        let expires_s = u64::from_be_bytes(reader.array()?);
        let [role] = reader.array::<1>()?;
        let (node, authority) = (NodeId(reader.array()?), reader.array()?);
        let secret = Zeroizing::new(reader.array()?);
        let [count] = reader.array::<1>()?;
        if usize::from(count) > ADDRESSES_MAX {
            return Err(TokenError::Damaged);
        }
        let mut addresses = Vec::new();
        for _ in 0..count {
            let [length] = reader.array::<1>()?;
            let text = std::str::from_utf8(reader.bytes(usize::from(length))?).map_err(|_| TokenError::Damaged)?;
            addresses.push(text.to_owned());
        }
        if !reader.0.is_empty() {
            return Err(TokenError::Damaged);
        }
        Ok(Self { expires_s, role: role_of(role)?, node, authority, secret, addresses })
    }

    /// How the invitation's entry names the secret.
    pub fn secret_digest(secret: &[u8]) -> [u8; 32] {
        Sha256::digest(secret).into()
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    digest.first_chunk().copied().unwrap_or_default()
}

fn role_number(role: Role) -> u8 {
    match role {
        Role::Supplier => 0,
        Role::Consumer => 1,
        Role::Hub => 2,
    }
}

fn role_of(number: u8) -> Result<Role, TokenError> {
    match number {
        0 => Ok(Role::Supplier),
        1 => Ok(Role::Consumer),
        2 => Ok(Role::Hub),
        _ => Err(TokenError::Version),
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], TokenError> {
        let (part, rest) = self.0.split_first_chunk::<N>().ok_or(TokenError::Damaged)?;
        self.0 = rest;
        Ok(*part)
    }

    fn bytes(&mut self, count: usize) -> Result<&'b [u8], TokenError> {
        let (part, rest) = self.0.split_at_checked(count).ok_or(TokenError::Damaged)?;
        self.0 = rest;
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            expires_s: 1_795_000_000,
            role: Role::Hub,
            node: NodeId([3; 16]),
            authority: [4; 32],
            secret: Zeroizing::new([5; 32]),
            addresses: vec!["192.0.2.1:7636".to_owned(), "ldap1.example.com:7636".to_owned()],
        }
    }

    #[test]
    fn a_token_is_one_line_and_is_read_back() {
        let line = token().encode();
        assert!(line.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{}", *line);
        assert_eq!(Token::decode(&format!("  {}\n", *line)), Ok(token()));
    }

    #[test]
    fn a_token_that_lost_or_changed_a_character_is_told() {
        let line = token().encode();
        assert!(Token::decode(&line[..line.len() - 1]).is_err());
        assert_eq!(Token::decode(""), Err(TokenError::Shape));
        assert_eq!(Token::decode("no token!"), Err(TokenError::Shape));
        for at in 0..line.len() - 1 {
            let mut other: Vec<char> = line.chars().collect();
            other[at] = if other[at] == 'A' { 'B' } else { 'A' };
            assert!(Token::decode(&other.into_iter().collect::<String>()).is_err(), "{at}");
        }
    }

    #[test]
    fn a_token_of_more_addresses_than_are_written_or_with_more_behind_them_is_not_read() {
        let line = Token { addresses: vec![String::new(); ADDRESSES_MAX], ..token() }.encode();
        assert!(Token::decode(&line).is_ok());
        let bytes = URL_SAFE_NO_PAD.decode(line.as_bytes()).unwrap();
        let count_at = bytes.len() - CHECKSUM_BYTES - ADDRESSES_MAX - 1;
        for count in [ADDRESSES_MAX as u8 + 1, ADDRESSES_MAX as u8] {
            let mut body = bytes[..bytes.len() - CHECKSUM_BYTES].to_vec();
            body[count_at] = count;
            body.push(0);
            body.extend_from_slice(&checksum(&body));
            assert_eq!(Token::decode(&URL_SAFE_NO_PAD.encode(&body)), Err(TokenError::Damaged));
        }
    }

    #[test]
    fn a_token_does_not_show_its_secret() {
        assert!(!format!("{:?}", token()).contains("5, 5"));
    }
}
