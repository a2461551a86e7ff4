//! What speaks to a member over a real socket and should not: broken frames, other protocols, certificates of others,
//! members that say more than they may. Each ends its own session with a named error, and costs nothing else.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use entente::clock::Clock;
use entente::dit::{Dit, Options};
use entente::replication::codec::MessageCodec;
use entente::replication::identity::{Authority, Identity};
use entente::replication::message::{Hello, PeerError, Push, VERSIONS};
use entente::replication::trust::Trust;
use entente::replication::{Member, Message, NodeId, Role, dial, membership};
use entente::schema::Schema;
use entente::state::{Csn, OriginId, UpdateVector};
use entente::storage::MetaName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::{Decoder, Encoder};

use super::node::Node;
use crate::support::wait::{Deadline, PATIENCE, wait_until};

/// Between two things said.
const BREATH: Duration = Duration::from_millis(200);

/// What a data directory says of its node.
struct Papers {
    identity: Identity,
    node: NodeId,
    cluster: [u8; 16],
    origin: OriginId,
    vector: UpdateVector,
    members: Vec<Member>,
}

impl Papers {
    /// Of a node that does not run.
    #[track_caller]
    fn of(data: &Path) -> Self {
        let dit = Dit::open(Options::new(data), Arc::new(Schema::builtin()), Clock::system()).expect("its data");
        let snapshot = dit.read().expect("a snapshot");
        let view = snapshot.view();
        let stored = view.reader().meta(MetaName::Member).expect("meta").expect("it is a member").to_vec();
        Self {
            identity: Identity::decode(&stored).expect("an identity"),
            node: membership::node_id(view).expect("a node id"),
            cluster: membership::cluster_id(view).expect("a cluster"),
            origin: membership::origin(view).expect("an origin"),
            vector: view.update_vector().expect("a vector"),
            members: membership::members(view).expect("members"),
        }
    }

    fn hello(&self, role: Role) -> Hello {
        Hello {
            versions: VERSIONS,
            features: 0,
            cluster: self.cluster,
            node: self.node,
            origin: self.origin,
            boot: 1,
            role,
            wall_ms: Clock::system().wall_ms(),
            clock: Csn::NONE,
            vector: self.vector.clone(),
            floors: Vec::new(),
        }
    }

    /// Dials `to` on this machine with these papers; what TLS said if it did not come to anything.
    fn dial(&self, to: &str, address: SocketAddr) -> Result<Stranger, String> {
        let trust = Trust::new(self.node, self.identity.clone());
        trust.set_members(&self.members);
        let member = self.members.iter().find(|member| member.name == to).expect("it knows whom it dials");
        let runtime = Runtime::new().expect("a runtime");
        let wire = runtime
            .block_on(dial::member(&trust, member.node, &[address.to_string()]))
            .map_err(|error| error.to_string())?;
        Ok(Stranger { runtime, wire, read: BytesMut::new() })
    }
}

/// A connection to a member.
struct Stranger {
    runtime: Runtime,
    wire: TlsStream<TcpStream>,
    read: BytesMut,
}

impl Stranger {
    fn send(&mut self, bytes: &[u8]) {
        // It may be closed already, which is told by what comes back.
        let _ = self.runtime.block_on(async {
            self.wire.write_all(bytes).await?;
            self.wire.flush().await
        });
    }

    fn say(&mut self, message: &Message) {
        self.send(&frame(message));
    }

    /// What the member says until it names an error or hangs up.
    #[track_caller]
    fn listen(&mut self) -> Option<PeerError> {
        self.listen_while(&[])
    }

    /// The same, saying something again and again meanwhile.
    #[track_caller]
    fn listen_while(&mut self, said: &[u8]) -> Option<PeerError> {
        let deadline = Deadline::after(PATIENCE);
        let mut codec = MessageCodec::default();
        while !deadline.is_over() {
            self.send(said);
            let (wire, read) = (&mut self.wire, &mut self.read);
            let heard = self.runtime.block_on(async { tokio::time::timeout(BREATH, wire.read_buf(read)).await });
            if let Ok(Ok(0) | Err(_)) = heard {
                return None;
            }
            while let Some(message) = codec.decode(&mut self.read).expect("members speak well") {
                if let Message::Error { error, .. } = message {
                    return Some(error);
                }
            }
        }
        panic!("the session goes on");
    }
}

fn frame(message: &Message) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    MessageCodec::default().encode(message, &mut bytes).expect("it is short");
    bytes.to_vec()
}

/// Two members; the second one does not run, and its papers are used by others.
fn robbed(folder: &Path, role: &str) -> (Node, Node, Papers) {
    let mut a = Node::found(folder, "a");
    a.serve();
    let mut b = a.joined("b", role);
    a.wait_until_equal();
    b.stop();
    let papers = Papers::of(&b.data());
    (a, b, papers)
}

/// The cluster goes on as if nothing had been.
#[track_caller]
fn goes_on(a: &Node, b: &mut Node) {
    b.serve();
    a.describe("ann", "all the same");
    b.wait_for_description("ann", "all the same");
    a.wait_until_equal();
    b.wait_until_equal();
}

#[test]
fn a_broken_or_foreign_frame_ends_its_session_with_a_named_error_and_costs_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, mut b, papers) = robbed(folder.path(), "supplier");
    let hello = frame(&Message::Hello(Box::new(papers.hello(Role::Supplier))));
    let mut flipped = hello.clone();
    *flipped.last_mut().expect("a frame") ^= 1;
    let mut version = hello.clone();
    version[4] = 9;
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("a flipped bit", flipped, "the frame is corrupt"),
        ("another version", version, "frame version 9"),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "speaks another protocol"),
        ("LDAP", b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00".to_vec(), "speaks another protocol"),
        ("four gigabytes", vec![0xff; 64], "over the limit"),
        ("less than a header", vec![0, 0, 0, 1, 1, 0, 0, 0], "over the limit"),
    ];
    for (name, bytes, said) in cases {
        let mut stranger = papers.dial("a", a.members_address()).expect("its certificate is good");
        stranger.send(&bytes);
        assert_eq!(stranger.listen(), Some(PeerError::CorruptFrame), "{name}");
        a.wait_for_saying(said);
    }
    // Half a frame, and then nothing: the session is ended for its silence, and the memory of a frame is not taken.
    let before = a.anonymous_kib();
    let halves: Vec<Stranger> = (0..8)
        .map(|_| {
            let mut stranger = papers.dial("a", a.members_address()).expect("its certificate is good");
            stranger.send(&[0x03, 0xff, 0xff, 0xff, 1, 0]);
            stranger
        })
        .collect();
    assert!(a.anonymous_kib() < before + (32 << 10), "64 MiB are promised, and not taken");
    drop(halves);
    goes_on(&a, &mut b);
}

#[test]
fn a_hello_that_does_not_fit_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, mut b, papers) = robbed(folder.path(), "supplier");
    let hello = || papers.hello(Role::Supplier);
    let cases = [
        (Hello { cluster: [7; 16], ..hello() }, PeerError::ClusterMismatch),
        (Hello { node: NodeId([7; 16]), ..hello() }, PeerError::IdentityMismatch),
        (
            Hello { versions: entente::replication::message::VersionRange { oldest: 90, newest: 99 }, ..hello() },
            PeerError::VersionMismatch,
        ),
    ];
    for (hello, expected) in cases {
        let mut stranger = papers.dial("a", a.members_address()).expect("its certificate is good");
        stranger.say(&Message::Hello(Box::new(hello)));
        assert_eq!(stranger.listen(), Some(expected));
    }
    a.wait_for_saying("speaks versions 90 to 99");
    a.wait_for_saying("upgrade this node to a release between the two first");
    goes_on(&a, &mut b);
}

/// T-49: what a member may send is what its membership says.
#[test]
fn a_consumer_that_sends_changes_of_its_own_is_refused_and_none_is_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, mut b, papers) = robbed(folder.path(), "consumer");
    let before = a.status()["vector"].clone();
    for origin in [
        papers.origin,
        OriginId(0x77),
        OriginId(u64::from_str_radix(a.status()["origin"].as_str().unwrap(), 16).unwrap()),
    ] {
        let mut stranger = papers.dial("a", a.members_address()).expect("its certificate is good");
        // It lies about its role, too.
        stranger.say(&Message::Hello(Box::new(papers.hello(Role::Supplier))));
        let push = Push { origin, answers: None, first: 1, chain: [1; 16], records: vec![vec![1, 2, 3]] };
        // Roles change, so for a moment it is only not listened to.
        let refused = stranger.listen_while(&frame(&Message::Push(push)));
        assert_eq!(refused, Some(PeerError::NotAllowed), "{origin:?}");
    }
    a.wait_for_saying("which its membership does not allow");
    assert_eq!(a.status()["vector"], before);
    goes_on(&a, &mut b);
}

/// T-49: a supplier, too, sends what somebody answers for, and speaks as itself.
#[test]
fn a_supplier_that_sends_an_origin_of_nobody_or_speaks_as_anothers_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, mut b, papers) = robbed(folder.path(), "supplier");
    let before = a.status()["vector"].clone();
    let hello = papers.hello(Role::Supplier);
    let push = Push { origin: OriginId(0x77), answers: None, first: 1, chain: [1; 16], records: vec![vec![1, 2, 3]] };
    let mut stranger = papers.dial("a", a.members_address()).expect("its certificate is good");
    stranger.say(&Message::Hello(Box::new(hello.clone())));
    assert_eq!(stranger.listen_while(&frame(&Message::Push(push))), Some(PeerError::NotAllowed));
    a.wait_for_saying("which no member's entry names and no member answers for");
    let of_a = OriginId(u64::from_str_radix(a.status()["origin"].as_str().unwrap(), 16).unwrap());
    let mut stranger = papers.dial("a", a.members_address()).expect("its certificate is good");
    stranger.say(&Message::Hello(Box::new(Hello { origin: of_a, ..hello })));
    assert_eq!(stranger.listen(), Some(PeerError::ForeignOrigin));
    a.wait_for_saying("says that it writes under origin");
    assert_eq!(a.status()["vector"], before);
    goes_on(&a, &mut b);
}

/// T-53, T-52: certificates that are not a member's, or this member's own.
#[test]
fn certificates_of_strangers_and_its_own_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, mut b, papers) = robbed(folder.path(), "supplier");
    let now_s = i64::try_from(Clock::system().wall_ms() / 1000).expect("not so late");
    let certified = |authority: &Authority, node: NodeId| {
        let identity = Identity::create().expect("a key");
        let certificate = authority.sign(node, identity.public_key(), now_s).expect("a certificate");
        identity.certified(certificate, authority.certificate().clone())
    };
    // Of another cluster; the answer is not even looked at.
    let foreign = Authority::create([3; 16], now_s).expect("an authority");
    let stranger = Papers { identity: certified(&foreign, papers.node), ..Papers::of(&b.data()) };
    assert!(stranger.dial("a", a.members_address()).is_err());
    // Of this cluster's authority, for a key that no entry names, as whoever has stolen the authority's key could make it.
    let authority = {
        let dit = Dit::open(Options::new(b.data()), Arc::new(Schema::builtin()), Clock::system()).expect("its data");
        let snapshot = dit.read().expect("a snapshot");
        membership::authority(snapshot.view()).expect("it can be read").expect("there is one")
    };
    for node in [papers.node, NodeId([9; 16])] {
        let forged = Papers { identity: certified(&authority, node), node, ..Papers::of(&b.data()) };
        let refused = forged.dial("a", a.members_address()).map(|mut stranger| stranger.listen());
        assert!(matches!(refused, Err(_) | Ok(None)), "{refused:?}");
        a.wait_for_saying("no entry of a member names its key");
    }
    goes_on(&a, &mut b);
}

/// T-52: the address of a member leads to itself.
#[test]
fn a_member_whose_address_leads_to_itself_does_not_talk_to_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, mut b, _) = robbed(folder.path(), "supplier");
    let own = a.members_address().to_string();
    a.replica(&["address", "b", &own]).expect_success();
    wait_until("the reason in the status", || {
        a.sees("b")["unreachable"].as_str().is_some_and(|why| why.contains(&own) && why.contains("certificate"))
    });
    assert_eq!(a.sees("b")["connected"], false);
    let text = a.replica(&["address", "b", "ldap://b"]).expect_failure();
    assert!(text.contains("HOST:PORT"), "{text}");
    // b says itself where it is.
    goes_on(&a, &mut b);
    wait_until("the address that b said", || a.sees("b")["addresses"][0] != own.as_str());
}

/// Somebody who only holds a port open costs an attempt now and then.
#[test]
fn an_address_at_which_nobody_answers_is_tried_again_and_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, mut b, _) = robbed(folder.path(), "supplier");
    let mute = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = mute.local_addr().expect("it is bound").to_string();
    a.replica(&["address", "b", &address]).expect_success();
    a.describe("bob", "meanwhile");
    wait_until("the reason in the status", || {
        a.replica(&["status"]).expect_success().contains("no answer within 10 s")
    });
    goes_on(&a, &mut b);
}
