//! What members of a cluster say to each other, and what a load balancer says first.

use bytes::BytesMut;
use entente::replication::codec::MessageCodec;
use entente::replication::message::{
    Ack, Beacon, Echo, Hello, Interest, Moment, PeerError, Push, Row, Silence, Snapshot, Standing, VERSIONS,
};
use entente::replication::{MemberState, Message as PeerMessage, NodeId, Role};
use entente::state::{BucketSum, Csn, Dot, OriginId, OriginPosition, PortableEntry, UpdateVector};
use entente::transport::{PROXY_HEADER_BYTES_MAX, ProxyHeader, proxy_header as read_header};
use tokio_util::codec::{Decoder, Encoder};

/// Messages of most kinds, as content and as frames.
pub(super) fn peer_seeds() -> Vec<Vec<u8>> {
    let origin = OriginId(0x0102_0304_0506);
    let vector =
        UpdateVector::from_positions([(origin, OriginPosition { sequence: 9, chain: [7; 16], closed: Some(9) })]);
    let held = Moment { vector: vector.clone(), clock: Csn::new(5, 0, origin), standing: MemberState::Active };
    let digest = Some(BucketSum { count: 3, sum: 99 });
    let node = NodeId([1; 16]);
    let uuid = entente::model::EntryUuid([2; 16]);
    let birth = Dot { origin, sequence: 1 };
    let entry = PortableEntry { uuid, birth, bytes: vec![1, 2, 3] };
    let messages = [
        PeerMessage::Hello(Box::new(Hello {
            versions: VERSIONS,
            features: 0,
            cluster: [3; 16],
            node,
            origin,
            boot: 4,
            role: Role::Supplier,
            wall_ms: 5,
            clock: held.clock,
            vector: vector.clone(),
            floors: vec![(origin, 2)],
        })),
        PeerMessage::Push(Push {
            origin,
            answers: None,
            first: 1,
            chain: [0; 16],
            records: vec![b"record".to_vec(), Vec::new()],
        }),
        PeerMessage::Ack(Ack { risen: vector.clone(), check: 1, digest, clock: held.clock }),
        PeerMessage::Beacon(Box::new(Beacon {
            vector,
            is_whole: true,
            check: 1,
            wants_whole: true,
            digest,
            clock: held.clock,
            wall_ms: 1,
            sent_ms: 2,
            echo: Some(Echo { sent_ms: 3, held_ms: 4 }),
            reply: true,
            rows: vec![Row { node, origin, age_ms: 1, held: vec![(origin, 8)], digest: None }],
            silent: vec![node],
            silences: vec![Silence { node, age_ms: 2, silent: vec![node] }],
        })),
        PeerMessage::Interest(Interest { all_but: true, origins: vec![origin], held: vec![(origin, 4)] }),
        PeerMessage::Snapshot(Snapshot {
            exchange: 1,
            held,
            after: vec![1],
            next: Some(vec![2]),
            entries_total: 1,
            entries: vec![entry],
        }),
        PeerMessage::EntriesRequest { exchange: 1, wanted: vec![(uuid, birth)] },
        PeerMessage::Standing(Standing {
            state: MemberState::Suspended,
            finals: vec![(origin, 3)],
            held_before: Vec::new(),
            twin: Some(1),
        }),
        PeerMessage::Error { error: PeerError::Flooding, detail: "words".to_owned() },
    ];
    let mut seeds = Vec::new();
    for message in &messages {
        let mut content = Vec::new();
        message.encode(&mut content);
        seeds.push(content);
        let mut frame = BytesMut::new();
        if MessageCodec::default().encode(message, &mut frame).is_ok() {
            seeds.push(frame.to_vec());
        }
    }
    seeds
}

/// Any bytes, as a message and as frames: no panic. What is read says the same when written and read again.
pub(super) fn replication_message(input: &[u8]) -> bool {
    let mut frames = BytesMut::from(input);
    let framed = matches!(MessageCodec::default().decode(&mut frames), Ok(Some(_)));
    let Ok(Some(message)) = PeerMessage::decode(input) else { return framed };
    let mut again = Vec::new();
    message.encode(&mut again);
    assert_eq!(PeerMessage::decode(&again).ok().flatten(), Some(message));
    true
}

/// Headers of both versions, for IPv4, IPv6, and of a balancer that speaks for itself.
pub(super) fn proxy_header_seeds() -> Vec<Vec<u8>> {
    let version_2 = |command: u8, family: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, content].concat()
    };
    vec![
        version_2(0x21, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 1, 133, 0x04, 0, 1, 9]),
        version_2(0x21, 0x21, &[9; 36]),
        version_2(0x20, 0x00, &[]),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 389\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 389\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
    ]
}

/// Read as the server reads: never more than was asked for, always forward, and in the end it is a header or none.
pub(super) fn proxy_header(input: &[u8]) -> bool {
    let mut held = 0;
    loop {
        match read_header(&input[..held]) {
            Ok(ProxyHeader::Needs(needed)) => {
                assert!(needed > held && needed <= PROXY_HEADER_BYTES_MAX);
                if needed > input.len() {
                    return false;
                }
                held = needed;
            }
            Ok(ProxyHeader::Own) => return true,
            Ok(ProxyHeader::Client(address)) => {
                assert_eq!(address.ip(), address.ip().to_canonical());
                return true;
            }
            Err(_) => return false,
        }
    }
}
