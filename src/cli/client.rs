//! A small LDAP client: what the online commands speak with.
//!
//! Uses `ldap3_proto`'s codec, which is right on this side of the wire: the answers come from a server that we chose. One
//! request at a time; the answer to anything else ends the connection.

mod arguments;
mod entry;
mod tls;

pub use arguments::{ConnectArgs, read_password};
pub use entry::{print_entry, print_reference, text_or_base64};
pub use tls::Trust;

use super::output::CliError;
use crate::model::ResultCode;
use crate::transport::ListenUrl;
use crate::wire::ber;
use bytes::BytesMut;
use futures_util::StreamExt;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapExtendedRequest, LdapMsg, LdapOp, LdapResult, LdapSearchRequest, SaslCredentials,
};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::{Decoder, Encoder, Framed};
use zeroize::Zeroizing;

/// Longest answer, in bytes; an entry with many photos fits.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long a connection may take to come about, TLS included.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// A stream of whatever kind.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Who the client says it is.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Nobody.
    Anonymous,
    /// Whom the server knows by other means: the user of a Unix socket.
    External,
    /// A DN with its password.
    Simple {
        /// The DN.
        dn: String,
        /// The password; never shown.
        password: Zeroizing<String>,
    },
}

/// How to reach a server, and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is.
    pub url: ListenUrl,
    /// Whether to ask for TLS on a plain connection (StartTLS).
    pub start_tls: bool,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// As whom.
    pub identity: Identity,
}

/// An open, bound connection.
pub struct Connection {
    wire: Framed<Box<dyn Wire>, LdapCodec>,
    last_id: i32,
}

/// A request as it goes over the wire, with a control that is critical and has no value.
///
/// # Errors
/// The request is longer than a message may be.
pub fn encode(id: i32, operation: LdapOp, control: Option<&str>) -> Result<Vec<u8>, CliError> {
    let too_long = |error: &dyn std::fmt::Display| CliError::new(format!("the request cannot be sent: {error}"));
    let mut bytes = BytesMut::new();
    let mut codec = LdapCodec::new(Some(ANSWER_BYTES_MAX), None);
    codec.encode(LdapMsg::new(id, operation), &mut bytes).map_err(|error| too_long(&error))?;
    let Some(control) = control else { return Ok(bytes.to_vec()) };
    let parts = ber::Reader::new(&bytes).expect(ber::SEQUENCE).map_err(|error| too_long(&error))?;
    let mut out = Vec::with_capacity(bytes.len() + control.len() + 16);
    let mut writer = ber::Writer::new(&mut out);
    let message = writer.begin(ber::SEQUENCE);
    writer.raw(parts);
    let list = writer.begin(ber::context_constructed(0));
    let one = writer.begin(ber::SEQUENCE);
    writer.octets(control.as_bytes());
    writer.boolean(ber::BOOLEAN, true);
    writer.end(one);
    writer.end(list);
    writer.end(message);
    Ok(out)
}

/// The result in the bytes of an answer to a change.
///
/// # Errors
/// They are not such an answer.
pub fn decode_result(bytes: &[u8]) -> Result<LdapResult, CliError> {
    let mut bytes = BytesMut::from(bytes);
    match LdapCodec::new(Some(ANSWER_BYTES_MAX), None).decode(&mut bytes) {
        Ok(Some(message)) => result_of(message.op),
        _ => Err(unexpected()),
    }
}

fn result_of(answer: LdapOp) -> Result<LdapResult, CliError> {
    match answer {
        LdapOp::AddResponse(result)
        | LdapOp::DelResponse(result)
        | LdapOp::ModifyResponse(result)
        | LdapOp::ModifyDNResponse(result) => Ok(result),
        _ => Err(unexpected()),
    }
}

/// Runs a command's conversation.
///
/// # Errors
/// What the conversation gives, or that the runtime cannot be made.
pub fn run_async<T>(conversation: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("cannot start: {error}")))?
        .block_on(conversation)
}

/// An error when a result is not a success: the code's name and what the server said to it.
///
/// # Errors
/// The result as text.
pub fn expect_success(result: &LdapResult) -> Result<(), CliError> {
    let code = result_code(result);
    if code == ResultCode::SUCCESS {
        return Ok(());
    }
    let mut text = format!("{} ({})", code.name(), code.0);
    if !result.message.is_empty() {
        text.push_str(&format!(": {}", crate::model::escape_for_log(&result.message)));
    }
    if !result.matcheddn.is_empty() {
        text.push_str(&format!("; the nearest entry is {}", result.matcheddn));
    }
    if !result.referral.is_empty() {
        text.push_str(&format!("; ask {}", result.referral.join(" or ")));
    }
    Err(CliError::new(text))
}

/// The code as ours.
pub fn result_code(result: &LdapResult) -> ResultCode {
    ResultCode(result.code.clone() as u32)
}

impl Connection {
    /// Connects, speaks TLS where asked, binds.
    ///
    /// # Errors
    /// The server cannot be reached, its certificate is not believed, or it refuses the bind.
    pub async fn open(target: &Target) -> Result<Self, CliError> {
        let opening = async {
            let mut connection = Self::over(reach(target).await?);
            if target.start_tls {
                connection = connection.start_tls(target).await?;
            }
            connection.bind(&target.identity).await?;
            Ok(connection)
        };
        match tokio::time::timeout(CONNECT_TIME_MAX, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(CliError::new(format!(
                "{} does not answer within {} s; is that a directory server?",
                target.url,
                CONNECT_TIME_MAX.as_secs()
            ))),
        }
    }

    fn over(stream: Box<dyn Wire>) -> Self {
        Self { wire: Framed::new(stream, LdapCodec::new(Some(ANSWER_BYTES_MAX), None)), last_id: 0 }
    }

    async fn start_tls(mut self, target: &Target) -> Result<Self, CliError> {
        let request = LdapExtendedRequest { name: crate::wire::extended::START_TLS.to_owned(), value: None };
        match self.request(LdapOp::ExtendedRequest(request)).await? {
            LdapOp::ExtendedResponse(response) => expect_success(&response.res)?,
            _ => return Err(unexpected()),
        }
        let parts = self.wire.into_parts();
        if !parts.read_buf.is_empty() {
            return Err(CliError::new(
                "the server sent more than its answer before TLS began; the connection was ended",
            ));
        }
        let host = match &target.url {
            ListenUrl::Tcp { host, .. } => host.clone(),
            ListenUrl::Unix { .. } => "localhost".to_owned(),
        };
        Ok(Self { last_id: self.last_id, ..Self::over(Box::new(tls::wrap(parts.io, &host, &target.trust).await?)) })
    }

    async fn bind(&mut self, identity: &Identity) -> Result<(), CliError> {
        let (dn, cred) = match identity {
            Identity::Anonymous => return Ok(()),
            Identity::External => {
                let sasl = SaslCredentials { mechanism: "EXTERNAL".to_owned(), credentials: Vec::new() };
                (String::new(), LdapBindCred::SASL(sasl))
            }
            Identity::Simple { dn, password } => (dn.clone(), LdapBindCred::Simple(password.to_string())),
        };
        let request = LdapBindRequest { version: 3, dn, cred };
        match self.request(LdapOp::BindRequest(request)).await? {
            LdapOp::BindResponse(response) => {
                expect_success(&response.res).map_err(|error| CliError::new(format!("bind: {error}")))
            }
            _ => Err(unexpected()),
        }
    }

    /// Sends a request and gives its one answer.
    ///
    /// # Errors
    /// The connection ended, or the server ended it and said why.
    pub async fn request(&mut self, operation: LdapOp) -> Result<LdapOp, CliError> {
        let id = self.send(operation).await?;
        self.answer(id).await
    }

    /// A request whose answer is only a result: add, delete, modify, modify DN.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub async fn change(&mut self, operation: LdapOp) -> Result<LdapResult, CliError> {
        result_of(self.request(operation).await?)
    }

    /// [`Connection::change`] with a control, critical and without value.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub async fn change_with(&mut self, operation: LdapOp, control: Option<&str>) -> Result<LdapResult, CliError> {
        self.last_id += 1;
        let bytes = encode(self.last_id, operation, control)?;
        self.send_bytes(&bytes).await?;
        result_of(self.answer(self.last_id).await?)
    }

    /// Searches; each entry and each reference goes to `each` as it comes.
    ///
    /// # Errors
    /// As [`Connection::request`], and what `each` gives.
    pub async fn search(
        &mut self,
        request: LdapSearchRequest,
        mut each: impl FnMut(LdapOp) -> Result<(), CliError>,
    ) -> Result<LdapResult, CliError> {
        let id = self.send(LdapOp::SearchRequest(request)).await?;
        loop {
            match self.answer(id).await? {
                LdapOp::SearchResultDone(result) => return Ok(result),
                answer @ (LdapOp::SearchResultEntry(_) | LdapOp::SearchResultReference(_)) => each(answer)?,
                LdapOp::IntermediateResponse(_) => {}
                _ => return Err(unexpected()),
            }
        }
    }

    /// The stream, and what was read of it already: for a conversation of another kind.
    pub fn into_parts(self) -> (Box<dyn Wire>, BytesMut) {
        let parts = self.wire.into_parts();
        (parts.io, parts.read_buf)
    }

    /// Says good-bye.
    pub async fn close(mut self) {
        // The answers are in; whether the farewell arrives changes nothing.
        let _ = self.send(LdapOp::UnbindRequest).await;
    }

    async fn send(&mut self, operation: LdapOp) -> Result<i32, CliError> {
        self.last_id += 1;
        let bytes = encode(self.last_id, operation, None)?;
        self.send_bytes(&bytes).await?;
        Ok(self.last_id)
    }

    async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let broken = |error: std::io::Error| CliError::new(format!("the connection broke: {error}"));
        let stream = self.wire.get_mut();
        stream.write_all(bytes).await.map_err(broken)?;
        stream.flush().await.map_err(broken)
    }

    async fn answer(&mut self, id: i32) -> Result<LdapOp, CliError> {
        match self.wire.next().await {
            Some(Ok(message)) if message.msgid == id => Ok(message.op),
            Some(Ok(LdapMsg { msgid: 0, op: LdapOp::ExtendedResponse(notice), .. })) => {
                let code = result_code(&notice.res);
                Err(CliError::new(format!(
                    "the server ended the connection: {} ({}) {}",
                    code.name(),
                    code.0,
                    crate::model::escape_for_log(&notice.res.message)
                )))
            }
            Some(Ok(_)) => Err(unexpected()),
            Some(Err(error)) => Err(CliError::new(format!("the answer cannot be read: {error}"))),
            None => Err(CliError::new("the server closed the connection")),
        }
    }
}

fn unexpected() -> CliError {
    CliError::new("the server gave an answer that does not belong to the request; is that a directory server?")
}

async fn reach(target: &Target) -> Result<Box<dyn Wire>, CliError> {
    let unreachable = |error: std::io::Error| {
        let advice = match error.kind() {
            std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound => "; is a server running there?",
            _ => "",
        };
        CliError::new(format!("cannot connect to {}: {error}{advice}", target.url))
    };
    match &target.url {
        ListenUrl::Unix { path } => {
            let stream = tokio::net::UnixStream::connect(path).await.map_err(unreachable)?;
            Ok(Box::new(stream))
        }
        ListenUrl::Tcp { host, port, tls } => {
            let stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
            // Requests are small and each waits for its answer.
            stream.set_nodelay(true).map_err(unreachable)?;
            if *tls { Ok(Box::new(tls::wrap(stream, host, &target.trust).await?)) } else { Ok(Box::new(stream)) }
        }
    }
}
