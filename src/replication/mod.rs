//! How masters come to hold the same: what peers say to each other, and what a node does about it.
//!
//! A [`Replicator`] is a plain value, one for each node: it is fed with what happened ([`Input`]) and asked for what is to be
//! done ([`Output`]). It has no socket, no clock, no thread and no store, so the same code runs under tokio and in
//! the deterministic simulation (`tests/simulation`). [`store`] carries out what it asks of the tree.
//!
//! ```text
//! socket -> codec -> Input::Received  -> Replicator -> Output::Send  -> codec -> socket
//! dit    -> Input::Committed          ->            -> Output::Read  -> store (snapshot)          -> Input::Answered
//! timer  -> Input::Tick               ->            -> Output::Write -> store (write transaction) -> Input::Answered
//! ```
//!
//! What is promised
//! - Completeness goes by sequence, never by time: a change is asked for until it is here, from whoever has it.
//! - An acknowledgement is sent after the durable commit, so it cannot lie.
//! - Nothing a peer sends can make a node refuse its own clients; nothing a peer sends is without a limit.
//! - Equal vectors mean equal content; where digests say otherwise it is repaired and told.
//!
//! Not here: joins (`state`), applying (`dit`), sockets and certificates (the driver).

pub mod codec;
pub mod dial;
pub mod door;
mod engine;
pub mod identity;
pub mod invite;
pub mod joining;
pub mod member;
pub mod membership;
pub mod message;
pub mod replicator;
pub mod service;
pub mod session;
pub mod status;
pub mod store;
pub mod trust;

pub use member::{Member, MemberState, Role, SessionId};
pub use message::Message;
pub use replicator::{
    Alarm, Answer, CloseReason, Contact, Durability, Holding, Input, Local, LocalWrites, MemberStatus, MemberVerdict,
    Now, Options, Output, PeerStatus, ReadRequest, Replicator, RequestId, Status, Ticket, WriteRequest,
};

pub use crate::state::NodeId;
