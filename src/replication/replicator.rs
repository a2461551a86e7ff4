//! One node's part in replication, as a value.

mod interface;

use std::collections::BTreeMap;

pub use interface::{
    Alarm, Answer, Applied, CloseReason, Durability, ExchangeStatus, Holding, Input, Local, LocalWrites, MemberStatus,
    MemberVerdict, Now, Options, Output, PeerStatus, ReadRequest, RequestId, Status, Ticket, WriteRequest,
};

/// One node's part in replication.
#[derive(Debug)]
pub struct Replicator {
    local: Local,
    options: Options,
}

impl Replicator {
    /// A node that has just started.
    pub fn new(local: Local, options: Options) -> Self {
        Self { local, options }
    }

    /// Takes note of what happened and says what is to be done. Cost: proportional to the input and what it causes.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        let _ = (now, input, out, &self.options);
    }

    /// What an operator is shown.
    pub fn status(&self, _now: Now) -> Status {
        Status {
            node: self.local.node,
            origin: self.local.holding.origin,
            local_writes: LocalWrites::Starting,
            vector: self.local.holding.vector.clone(),
            digest: self.local.holding.digest,
            stable_cut: BTreeMap::new(),
            members: Vec::new(),
            cut_held_by: Vec::new(),
            exchange: None,
            quarantined: Vec::new(),
            applied_total: 0,
        }
    }
}
