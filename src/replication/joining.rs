//! Becoming a member: one question and one answer over TLS, before anything is replicated.
//!
//! The server proves itself by the authority whose fingerprint the token holds; the joiner by the token's secret. A
//! member that found a copy of itself running asks the same way for a second identity, and proves itself by its first
//! one's certificate. Either way the answer is a certificate for the key that was sent, and whom to dial.
//!
//! Question and answer are JSON in one length-prefixed frame each: they come once in the life of a member, and a newer
//! program must be able to say more.
//!
//! Invariants
//! - The member's entry is committed before the answer goes out, so that what is copied afterwards has it.
//! - The secret is compared in constant time and is never logged; why it was refused is told, for whoever has it may
//!   know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use zeroize::Zeroizing;

use super::dial::{self, DialError};
use super::identity::{Identity, PublicKey, from_hexadecimal, hexadecimal, node_of};
use super::invite::{ADDRESSES_MAX, Token};
use super::membership::{self, Appearance, InviteError};
use super::message::{FORMAT_TOLD, VERSIONS, VersionRange};
use super::trust::join_client_config;
use super::{Member, MemberState, NodeId, Role};
use crate::dit::{Dit, DitError, Writer, Writing};
use crate::state::OriginId;

/// Longest question or answer, in bytes: a few hundred members.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// How long the other side may take.
const TIME_MAX: Duration = Duration::from_secs(15);

/// Why somebody did not become a member.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The other node could not be reached, or proved to be another.
    #[error("cannot reach the node that invited: {0}")]
    Dial(#[from] DialError),
    /// Frames.
    #[error("the connection to the node that invited broke: {0}")]
    Io(#[from] std::io::Error),
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// It took too long.
    #[error("the node that invited does not answer")]
    Silent,
    /// Its answer makes no sense here.
    #[error("the node that invited gave an answer that this program does not understand: {0}")]
    Strange(&'static str),
}

impl JoinError {
    /// What became of a change, as a refusal.
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub fn from_invite(error: InviteError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// What is asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Question {
    /// By a token's secret.
    Join {
        secret: String,
        node: String,
        origin: u64,
        key: String,
        name: String,
        /// What members of version 1 want to be the same: [`FORMAT_TOLD`].
        format: u32,
        /// The oldest and the newest version that the new one speaks; one of version 1 does not say.
        #[serde(default)]
        versions: Option<(u32, u32)>,
    },
    /// By the certificate of a member that needs a second identity.
    Enrol { node: String, key: String, name: String },
    /// By the certificate of a member that writes nothing itself: how it is called and reached.
    Appear {
        name: String,
        addresses: Vec<String>,
        urls: Vec<String>,
        /// `None`: it does not say.
        #[serde(default)]
        site: Option<String>,
    },
}

/// What is answered.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Accepted(Box<AcceptedText>),
    Done,
    Refused(String),
}

#[derive(Serialize, Deserialize)]
struct AcceptedText {
    cluster: String,
    certificate: String,
    authority: String,
    members: Vec<MemberText>,
}

/// A member as text, here and in what an unfinished join remembers.
#[derive(Serialize, Deserialize)]
struct MemberText {
    node: String,
    name: String,
    addresses: Vec<String>,
    key: String,
    role: String,
    state: String,
    origins: Vec<u64>,
    site: String,
    finals: Vec<(u64, u64)>,
}

impl MemberText {
    fn of(member: &Member) -> Self {
        Self {
            node: hexadecimal(&member.node.0),
            name: member.name.clone(),
            addresses: member.addresses.clone(),
            key: hexadecimal(&member.fingerprint),
            role: membership::role_text(member.role).to_owned(),
            state: membership::state_text(member.state).to_owned(),
            origins: member.origins.iter().map(|origin| origin.0).collect(),
            site: member.site.clone(),
            finals: member.finals.iter().map(|(origin, last)| (origin.0, *last)).collect(),
        }
    }

    fn read(self) -> Option<Member> {
        let state = [MemberState::Active, MemberState::Suspended, MemberState::Retired];
        Some(Member {
            node: node_of(&self.node)?,
            name: self.name,
            addresses: self.addresses,
            fingerprint: from_hexadecimal(&self.key)?.try_into().ok()?,
            role: membership::role_of(&self.role)?,
            state: state.into_iter().find(|state| membership::state_text(*state) == self.state)?,
            origins: self.origins.into_iter().map(OriginId).collect(),
            site: self.site,
            finals: self.finals.into_iter().map(|(origin, last)| (OriginId(origin), last)).collect::<BTreeMap<_, _>>(),
        })
    }
}

/// What a new member knows before it has any content.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The cluster.
    pub cluster: [u8; 16],
    /// The new member's certificate.
    pub certificate: CertificateDer<'static>,
    /// The authority's.
    pub authority: CertificateDer<'static>,
    /// All members, the new one included.
    pub members: Vec<Member>,
}

/// Members as bytes, for a join to go on with after an interruption.
pub fn encode_members(members: &[Member]) -> Vec<u8> {
    let texts: Vec<MemberText> = members.iter().map(MemberText::of).collect();
    serde_json::to_vec(&texts).unwrap_or_default()
}

/// Reads what [`encode_members`] wrote; what makes no sense is left out.
pub fn decode_members(bytes: &[u8]) -> Vec<Member> {
    let texts: Vec<MemberText> = serde_json::from_slice(bytes).unwrap_or_default();
    texts.into_iter().filter_map(MemberText::read).collect()
}

/// Asks the node that invited to make `node` a member.
///
/// # Errors
/// [`JoinError`].
pub async fn join(
    token: &Token,
    node: NodeId,
    origin: u64,
    identity: &Identity,
    name: &str,
) -> Result<Accepted, JoinError> {
    let config = join_client_config(token.authority, None).map_err(|_| JoinError::Strange("TLS 1.3 is not there"))?;
    let stream = dial::tls(config, token.node, &token.addresses).await?;
    let question = Question::Join {
        secret: STANDARD.encode(&token.secret[..]),
        node: hexadecimal(&node.0),
        origin,
        key: hexadecimal(identity.public_key().as_bytes()),
        name: name.to_owned(),
        format: FORMAT_TOLD,
        versions: Some((VERSIONS.oldest, VERSIONS.newest)),
    };
    let accepted = ask(stream, &question).await?;
    if membership::authority_fingerprint(&accepted.authority) != token.authority {
        return Err(JoinError::Strange("its authority is not the token's"));
    }
    Ok(accepted)
}

/// Asks another member to make `node` a member beside the one that `own` is the identity of.
///
/// # Errors
/// [`JoinError`].
pub async fn enrol(
    own: &Identity,
    peer: &Member,
    node: NodeId,
    identity: &Identity,
    name: &str,
) -> Result<Accepted, JoinError> {
    let authority = membership::authority_fingerprint(own.authority());
    let config = join_client_config(authority, Some(own)).map_err(|_| JoinError::Strange("the own certificate"))?;
    let stream = dial::tls(config, peer.node, &peer.addresses).await?;
    let question = Question::Enrol {
        node: hexadecimal(&node.0),
        key: hexadecimal(identity.public_key().as_bytes()),
        name: name.to_owned(),
    };
    ask(stream, &question).await
}

/// Has a supplier write how this member is reached.
///
/// # Errors
/// [`JoinError`].
pub async fn appear(own: &Identity, peer: &Member, appearance: &Appearance) -> Result<(), JoinError> {
    let authority = membership::authority_fingerprint(own.authority());
    let config = join_client_config(authority, Some(own)).map_err(|_| JoinError::Strange("the own certificate"))?;
    let stream = dial::tls(config, peer.node, &peer.addresses).await?;
    let question = Question::Appear {
        name: appearance.name.clone(),
        addresses: appearance.addresses.clone().unwrap_or_default(),
        urls: appearance.urls.clone().unwrap_or_default(),
        site: appearance.site.clone(),
    };
    match put(stream, &question).await? {
        Answer::Done => Ok(()),
        Answer::Refused(reason) => Err(JoinError::Refused(reason)),
        Answer::Accepted(_) => Err(JoinError::Strange("an answer to something else")),
    }
}

async fn put(stream: impl AsyncRead + AsyncWrite + Unpin, question: &Question) -> Result<Answer, JoinError> {
    let mut frames = framed(stream);
    let bytes = Zeroizing::new(serde_json::to_vec(question).unwrap_or_default());
    let exchange = async {
        frames.send(Bytes::copy_from_slice(&bytes)).await?;
        frames.next().await.ok_or(JoinError::Silent)?.map_err(JoinError::from)
    };
    let answer = tokio::time::timeout(TIME_MAX, exchange).await.map_err(|_| JoinError::Silent)??;
    serde_json::from_slice(&answer).map_err(|_| JoinError::Strange("no answer of this protocol"))
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, question: &Question) -> Result<Accepted, JoinError> {
    match put(stream, question).await? {
        Answer::Done => Err(JoinError::Strange("an answer to something else")),
        Answer::Refused(reason) => Err(JoinError::Refused(reason)),
        Answer::Accepted(text) => {
            let der = |text: &str| STANDARD.decode(text).map(CertificateDer::from);
            let strange = |_| JoinError::Strange("no certificate");
            Ok(Accepted {
                cluster: from_hexadecimal(&text.cluster)
                    .and_then(|bytes| bytes.try_into().ok())
                    .ok_or(JoinError::Strange("no cluster"))?,
                certificate: der(&text.certificate).map_err(strange)?,
                authority: der(&text.authority).map_err(strange)?,
                members: text.members.into_iter().filter_map(MemberText::read).collect(),
            })
        }
    }
}

fn framed<S: AsyncRead + AsyncWrite>(stream: S) -> Framed<S, LengthDelimitedCodec> {
    let codec = LengthDelimitedCodec::builder().max_frame_length(FRAME_BYTES_MAX).new_codec();
    Framed::new(stream, codec)
}

/// Answers one who wants to become a member. `member`: who it is already, by its certificate. Returns the new member
/// once its entry is committed; the caller makes it believed before [`Admitted::answer`].
///
/// # Errors
/// [`JoinError`]: nobody became a member; whoever asked was told.
pub async fn admit<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    member: Option<NodeId>,
    dit: &Arc<Dit>,
    writer: &Writer,
) -> Result<Admitted<S>, JoinError> {
    let mut frames = framed(stream);
    let read = tokio::time::timeout(TIME_MAX, frames.next()).await.map_err(|_| JoinError::Silent)?;
    let bytes = Zeroizing::new(read.ok_or(JoinError::Silent)??.to_vec());
    let question = serde_json::from_slice(&bytes).map_err(|_| JoinError::Strange("no question of this protocol"));
    let made = match (question, member) {
        (Ok(Question::Appear { name, addresses, urls, site }), Some(member)) => {
            let said = Appearance { name, addresses: Some(addresses), urls: Some(urls), site };
            write_appearance(member, said, writer).await.map(|()| (member, Answer::Done))
        }
        (Ok(question), _) => match make_member(question, member, writer).await {
            Ok(made) => accepted(dit, &made).map(|text| (made.0, Answer::Accepted(Box::new(text)))),
            Err(error) => Err(error),
        },
        (Err(error), _) => Err(error),
    };
    match made {
        Ok((node, answer)) => Ok(Admitted { frames, node, answer }),
        Err(error) => {
            let answer = serde_json::to_vec(&Answer::Refused(error.to_string())).unwrap_or_default();
            // It may be gone; the reason is logged here too.
            let _ = tokio::time::timeout(TIME_MAX, frames.send(Bytes::from(answer))).await;
            let _ = tokio::time::timeout(TIME_MAX, SinkExt::<Bytes>::close(&mut frames)).await;
            Err(error)
        }
    }
}

/// A new member that waits for its answer.
pub struct Admitted<S> {
    frames: Framed<S, LengthDelimitedCodec>,
    answer: Answer,
    /// Who it is.
    pub node: NodeId,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Admitted<S> {
    /// Sends the answer.
    ///
    /// # Errors
    /// [`JoinError`]: the member may ask again.
    pub async fn answer(mut self) -> Result<(), JoinError> {
        let bytes = serde_json::to_vec(&self.answer).unwrap_or_default();
        let sending = async {
            self.frames.send(Bytes::from(bytes)).await?;
            SinkExt::<Bytes>::close(&mut self.frames).await
        };
        Ok(tokio::time::timeout(TIME_MAX, sending).await.map_err(|_| JoinError::Silent)??)
    }
}

async fn make_member(
    question: Question,
    member: Option<NodeId>,
    writer: &Writer,
) -> Result<(NodeId, PublicKey), JoinError> {
    let (secret, node, origin, key, name) = match question {
        Question::Join { secret, node, origin, key, name, versions, .. } => {
            let (oldest, newest) = versions.unwrap_or((1, 1));
            let theirs = VersionRange { oldest, newest };
            if VERSIONS.agree(theirs).is_none() {
                return Err(JoinError::Refused(VERSIONS.advice("the new one", theirs)));
            }
            let secret = STANDARD.decode(secret).map_err(|_| JoinError::Strange("no secret"))?;
            (Some(Zeroizing::new(secret)), node, Some(origin), key, name)
        }
        Question::Enrol { node, key, name } => (None, node, None, key, name),
        Question::Appear { .. } => return Err(JoinError::Strange("no certificate came with it")),
    };
    let node = node_of(&node).ok_or(JoinError::Strange("no node id"))?;
    let key = from_hexadecimal(&key).and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
    let key = key.ok_or(JoinError::Strange("no public key"))?;
    let name = sound_name(&name);
    let fingerprint = key.fingerprint();
    change(writer, move |writing| {
        membership::demand_supplier(writing.view())?;
        let role = match (&secret, member) {
            (Some(secret), _) => membership::take_invite(writing, secret, node, fingerprint, &name),
            (None, Some(twin)) => take_twin(writing, twin, node, fingerprint, &name),
            (None, None) => Err(InviteError::Unknown),
        }?;
        if let Some(origin) = origin {
            membership::put_origin(writing, node, OriginId(origin))?;
        }
        Ok(role)
    })
    .await?
    .map_err(|error| JoinError::Refused(error.to_string()))?;
    Ok((node, key))
}

/// A name as an entry may hold it.
fn sound_name(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(128).collect()
}

async fn write_appearance(member: NodeId, said: Appearance, writer: &Writer) -> Result<(), JoinError> {
    let sound = |texts: Vec<String>| -> Vec<String> {
        texts.into_iter().filter(|text| text.len() <= 255 && !text.is_empty()).take(ADDRESSES_MAX).collect()
    };
    // An empty list is a node that nobody can dial: what is known stays, as with a name that is not set.
    let appearance = Appearance {
        name: sound_name(&said.name),
        addresses: said.addresses.map(sound).filter(|addresses| !addresses.is_empty()),
        urls: said.urls.map(sound),
        site: said.site.as_deref().map(sound_name),
    };
    change(writer, move |writing| {
        membership::demand_supplier(writing.view())?;
        let members = membership::members(writing.view())?.into_iter();
        let mut taking_part = members.filter(|known| known.state != MemberState::Retired);
        let Some(known) = taking_part.find(|known| known.node == member) else {
            return Err(InviteError::Unknown);
        };
        Ok(membership::put_member(writing, member, known.fingerprint, known.role, &appearance)?)
    })
    .await?
    .map_err(|error| JoinError::Refused(error.to_string()))
}

/// A second identity for a copy of a member: of the same role.
fn take_twin(
    writing: &mut Writing<'_>,
    twin: NodeId,
    node: NodeId,
    fingerprint: [u8; 32],
    name: &str,
) -> Result<Role, InviteError> {
    let members = membership::members(writing.view())?;
    let Some(first) = members.iter().find(|member| member.node == twin) else { return Err(InviteError::Unknown) };
    let taken = members.iter().any(|member| member.node == node && member.fingerprint != fingerprint);
    if taken || first.state != MemberState::Active {
        return Err(InviteError::Used);
    }
    let appearance = Appearance { name: name.to_owned(), ..Appearance::default() };
    membership::put_member(writing, node, fingerprint, first.role, &appearance)?;
    Ok(first.role)
}

fn accepted(dit: &Arc<Dit>, (node, key): &(NodeId, PublicKey)) -> Result<AcceptedText, JoinError> {
    let failed = |error: &dyn std::fmt::Display| JoinError::Refused(format!("the node that invited: {error}"));
    let snapshot = dit.read().map_err(|error| failed(&error))?;
    let view = snapshot.view();
    let authority = membership::authority(view).map_err(|error| failed(&error))?;
    let authority = authority.ok_or_else(|| failed(&"it has no authority"))?;
    let now_s = i64::try_from(dit.clock().wall_ms() / 1000).unwrap_or(i64::MAX);
    let certificate = authority.sign(*node, key, now_s).map_err(|error| failed(&error))?;
    let members = membership::members(view).map_err(|error| failed(&error))?;
    Ok(AcceptedText {
        cluster: hexadecimal(&membership::cluster_id(view).map_err(|error| failed(&error))?),
        certificate: STANDARD.encode(&certificate),
        authority: STANDARD.encode(authority.certificate()),
        members: members.iter().map(MemberText::of).collect(),
    })
}

/// Runs a change through the writer and waits for its commit. What `work` returns is handed back; what it wrote stays
/// even if that is a refusal, so it must refuse before it writes.
///
/// # Errors
/// [`JoinError::Refused`] when the writer does not take or not store it.
pub async fn change<T: Send + 'static>(
    writer: &Writer,
    work: impl FnOnce(&mut Writing<'_>) -> Result<T, InviteError> + Send + 'static,
) -> Result<Result<T, InviteError>, JoinError> {
    let (tell, told) = oneshot::channel();
    let refused = |error: &DitError| JoinError::Refused(format!("the change was not stored: {error}"));
    writer
        .submit(Box::new(move |writing| {
            let outcome = work(writing);
            let broken = match &outcome {
                Err(InviteError::Dit(error)) => Some(DitError::State { id: 0, detail: error.to_string() }),
                _ => None,
            };
            let completion: crate::dit::Completion = Box::new(move |committed| {
                // Nobody waits any more when the node stops.
                let _ = tell.send(committed.map(|()| outcome).map_err(ToString::to_string));
            });
            match broken {
                None => Ok(completion),
                Some(error) => Err((error, completion)),
            }
        }))
        .map_err(|error| refused(&error))?;
    match told.await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(text)) => Err(JoinError::Refused(format!("the change was not stored: {text}"))),
        Err(_) => Err(JoinError::Refused("the node is stopping".to_owned())),
    }
}
