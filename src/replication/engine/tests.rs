//! What the task does between the store and the replicator, with sessions that nobody is at the other end of.

use super::*;
use crate::clock::Clock;
use crate::dit::{Options, Writer};
use crate::replication::Role;
use crate::replication::message::{Beacon, Hello, VERSIONS, vector_check};
use crate::replication::service::ServiceOptions;
use crate::schema::Schema;
use crate::state::Csn;

const SESSION: SessionId = SessionId(1);
const PEER: NodeId = NodeId([2; 16]);

async fn engine(folder: &std::path::Path) -> Engine {
    let options = Options { durable: false, map_bytes: 1 << 26, ..Options::new(folder) };
    let dit = Arc::new(Dit::open(options, Arc::new(Schema::builtin()), Clock::system()).unwrap());
    let (writer, _) = Writer::start(Arc::clone(&dit), 16).unwrap();
    let options = ServiceOptions {
        host: "127.0.0.1".to_owned(),
        port: Some(0),
        advertise: Vec::new(),
        compression: Compression::Never,
        name: "a".to_owned(),
        machine: "a".to_owned(),
        site: String::new(),
        urls: Vec::new(),
        limits: crate::replication::Options::default(),
    };
    let parts = Parts { dit, writer, options, gate: Box::new(|_, _| {}), filled: None };
    Engine::start(parts, mpsc::channel(1).1, Arc::default()).await.unwrap()
}

impl Engine {
    fn hear(&mut self, message: Message) {
        self.handle(Input::Received { session: SESSION, message });
    }

    fn greeted(&mut self) {
        self.handle(Input::Connected { session: SESSION, peer: PEER, dialled: true });
        let cluster = membership::cluster_id(self.parts.dit.read().unwrap().view()).unwrap();
        self.hear(Message::Hello(Box::new(Hello {
            versions: VERSIONS,
            features: 0,
            cluster,
            node: PEER,
            origin: OriginId(2),
            boot: 2,
            role: Role::Supplier,
            wall_ms: self.now().wall_ms,
            clock: Csn::NONE,
            vector: Default::default(),
            floors: Vec::new(),
        })));
    }
}

/// What was read for the peer was of a commit that was not announced here yet. A node that takes itself for an old copy
/// takes no changes, and writes its own again: others lose what they changed meanwhile.
#[tokio::test]
async fn what_a_peer_says_is_judged_beside_what_is_stored_though_that_commit_was_not_told_yet() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine(folder.path()).await;
    engine.greeted();
    let origin = engine.replicator.status(engine.now()).origin;
    let dit = Arc::clone(&engine.parts.dit);
    dit.change_offline(|writing| {
        let made = membership::open_invite(writing, [1; 32], u64::MAX, Role::Supplier);
        made.unwrap();
        Ok(())
    })
    .unwrap();
    let held = store::holding(&dit).unwrap();
    assert!(held.vector.sequence(origin) > engine.replicator.status(engine.now()).vector.sequence(origin));
    let now = engine.now();
    engine.hear(Message::Beacon(Box::new(Beacon {
        check: vector_check(&held.vector),
        vector: held.vector.clone(),
        is_whole: true,
        wants_whole: false,
        digest: None,
        clock: held.clock,
        wall_ms: now.wall_ms,
        sent_ms: now.monotonic_ms,
        echo: None,
        reply: false,
        rows: Vec::new(),
        silent: Vec::new(),
        silences: Vec::new(),
    })));
    assert_eq!(engine.alarms, VecDeque::new());
    let status = engine.replicator.status(engine.now());
    assert_eq!((status.local_writes, status.origin, status.vector), (LocalWrites::Open, origin, held.vector));
    engine.parts.writer.stop();
}
