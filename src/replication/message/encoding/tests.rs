//! Messages come back as they were sent, and no bytes whatever do harm.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Beacon, Echo, Hello, Moment, Row, Silence, VersionRange};
use super::fields::ERRORS;
use super::*;
use crate::dit::EntryHead;
use crate::model::EntryUuid;
use crate::replication::member::{MemberState, Role};
use crate::state::{
    BucketSum, Csn, Dot, EntryDigest, NodeId, OriginId, OriginPosition, PortableEntry, Stamp, UpdateVector,
};

fn origin_id() -> impl Strategy<Value = OriginId> {
    any::<u64>().prop_map(OriginId::new)
}

fn vector() -> impl Strategy<Value = UpdateVector> {
    let position = (any::<u64>(), any::<[u8; 16]>(), any::<Option<u64>>())
        .prop_map(|(sequence, chain, closed)| OriginPosition { sequence, chain, closed });
    vec((origin_id(), position), 0..5).prop_map(UpdateVector::from_positions)
}

fn numbers() -> impl Strategy<Value = Vec<(OriginId, u64)>> {
    vec((origin_id(), any::<u64>()), 0..5)
}

fn sum() -> impl Strategy<Value = BucketSum> {
    (any::<u64>(), any::<u128>()).prop_map(|(count, sum)| BucketSum { count, sum })
}

fn member_state() -> impl Strategy<Value = MemberState> {
    prop_oneof![Just(MemberState::Active), Just(MemberState::Suspended), Just(MemberState::Retired)]
}

fn moment() -> impl Strategy<Value = Moment> {
    (vector(), any::<[u8; 16]>(), member_state()).prop_map(|(vector, clock, standing)| Moment {
        vector,
        clock: Csn::from_be_bytes(clock),
        standing,
    })
}

fn dot() -> impl Strategy<Value = (EntryUuid, Dot)> {
    (any::<[u8; 16]>(), origin_id(), any::<u64>())
        .prop_map(|(uuid, origin, sequence)| (EntryUuid(uuid), Dot { origin, sequence }))
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (any::<[u8; 16]>(), any::<u64>()).prop_map(|(csn, sequence)| Stamp { csn: Csn::from_be_bytes(csn), sequence })
}

fn states() -> impl Strategy<Value = Vec<PortableEntry>> {
    vec((dot(), vec(any::<u8>(), 0..40)), 0..4).prop_map(|states| {
        states.into_iter().map(|((uuid, birth), bytes)| PortableEntry { uuid, birth, bytes }).collect()
    })
}

fn hello() -> impl Strategy<Value = Message> {
    (
        (any::<u32>(), any::<u32>(), any::<u64>(), any::<[u8; 16]>(), any::<[u8; 16]>(), origin_id()),
        (any::<u64>(), 0..3u8, any::<u64>(), vector(), numbers(), any::<[u8; 16]>()),
    )
        .prop_map(
            |((oldest, newest, features, cluster, node, origin), (boot, role, wall_ms, vector, floors, clock))| {
                Message::Hello(Box::new(Hello {
                    versions: VersionRange { oldest, newest },
                    features,
                    cluster,
                    node: NodeId(node),
                    origin,
                    boot,
                    role: [Role::Consumer, Role::Hub, Role::Supplier][usize::from(role)],
                    wall_ms,
                    clock: Csn::from_be_bytes(clock),
                    vector,
                    floors,
                }))
            },
        )
}

fn beacon() -> impl Strategy<Value = Message> {
    let row = (any::<[u8; 16]>(), origin_id(), any::<u64>(), numbers(), proptest::option::of(sum()))
        .prop_map(|(node, origin, age_ms, held, digest)| Row { node: NodeId(node), origin, age_ms, held, digest });
    let echo = proptest::option::of((any::<u64>(), any::<u64>()));
    (
        vector(),
        proptest::option::of(sum()),
        any::<u64>(),
        any::<u64>(),
        echo,
        any::<[bool; 3]>(),
        vec(row, 0..4),
        vec(any::<[u8; 16]>(), 0..3),
        (any::<u64>(), any::<[u8; 16]>(), vec((any::<[u8; 16]>(), any::<u64>(), vec(any::<[u8; 16]>(), 0..3)), 0..3)),
    )
        .prop_map(|(vector, digest, wall_ms, sent_ms, echo, flags, rows, silent, (check, clock, silences))| {
            let [reply, is_whole, wants_whole] = flags;
            let nodes = |nodes: Vec<[u8; 16]>| nodes.into_iter().map(NodeId).collect();
            let word = |(node, age_ms, silent)| Silence { node: NodeId(node), age_ms, silent: nodes(silent) };
            Message::Beacon(Box::new(Beacon {
                vector,
                is_whole,
                check,
                wants_whole,
                digest,
                clock: Csn::from_be_bytes(clock),
                wall_ms,
                sent_ms,
                echo: echo.map(|(sent_ms, held_ms)| Echo { sent_ms, held_ms }),
                reply,
                rows,
                silent: nodes(silent),
                silences: silences.into_iter().map(word).collect(),
            }))
        })
}

fn small() -> impl Strategy<Value = Message> {
    prop_oneof![
        (
            origin_id(),
            proptest::option::of(any::<[u8; 16]>()),
            1..u64::MAX / 2,
            any::<[u8; 16]>(),
            vec(vec(any::<u8>(), 0..50), 0..6)
        )
            .prop_map(|(origin, answers, first, chain, records)| {
                let answers = answers.map(NodeId);
                Message::Push(Push { origin, answers, first, chain, records })
            }),
        (vector(), proptest::option::of(sum()), any::<u64>(), any::<[u8; 16]>()).prop_map(
            |(risen, digest, check, clock)| Message::Ack(Ack {
                risen,
                digest,
                check,
                clock: Csn::from_be_bytes(clock)
            })
        ),
        (any::<bool>(), vec(origin_id(), 0..4), numbers())
            .prop_map(|(all_but, origins, held)| Message::Interest(Interest { all_but, origins, held })),
        (origin_id(), any::<u64>(), any::<u64>()).prop_map(|(origin, first, last)| Message::Request {
            origin,
            first,
            last
        }),
        (origin_id(), any::<u64>()).prop_map(|(origin, first_kept)| Message::Trimmed { origin, first_kept }),
        (origin_id(), vec(any::<u64>(), 0..5))
            .prop_map(|(origin, sequences)| Message::ChainsRequest { origin, sequences }),
        (origin_id(), vec((any::<u64>(), any::<[u8; 16]>()), 0..5))
            .prop_map(|(origin, chains)| Message::Chains { origin, chains }),
        (member_state(), numbers(), numbers(), any::<Option<u64>>()).prop_map(|(state, finals, held_before, twin)| {
            Message::Standing(Standing { state, finals, held_before, twin })
        }),
        (0..ERRORS.len(), "\\PC{0,40}").prop_map(|(index, detail)| Message::Error { error: ERRORS[index], detail }),
    ]
}

fn exchange() -> impl Strategy<Value = Message> {
    let head =
        (any::<[u8; 16]>(), stamp(), any::<u64>(), any::<Option<u128>>()).prop_map(|(uuid, birth, changes, digest)| {
            EntryHead { uuid: EntryUuid(uuid), birth, changes, digest: digest.map(EntryDigest) }
        });
    prop_oneof![
        any::<u64>().prop_map(|exchange| Message::BucketsRequest { exchange }),
        (any::<u64>(), moment(), vec(sum(), 0..5)).prop_map(|(exchange, held, sums)| Message::Buckets(Buckets {
            exchange,
            held,
            sums
        })),
        (any::<u64>(), vec(any::<u16>(), 0..5))
            .prop_map(|(exchange, buckets)| Message::HeadsRequest { exchange, buckets }),
        (any::<u64>(), moment(), vec(any::<u16>(), 0..5), vec(head, 0..5))
            .prop_map(|(exchange, held, buckets, heads)| Message::Heads(Heads { exchange, held, buckets, heads })),
        (any::<u64>(), vec(dot(), 0..5)).prop_map(|(exchange, wanted)| Message::EntriesRequest { exchange, wanted }),
        (any::<u64>(), moment(), vec(dot(), 0..5), states(), any::<bool>()).prop_map(
            |(exchange, held, absent, entries, more)| {
                Message::Entries(Entries { exchange, held, absent, entries, more })
            }
        ),
        (any::<u64>(), vec(any::<u8>(), 0..9))
            .prop_map(|(exchange, after)| Message::SnapshotRequest { exchange, after }),
        (
            any::<u64>(),
            moment(),
            vec(any::<u8>(), 0..9),
            proptest::option::of(vec(any::<u8>(), 0..9)),
            any::<u64>(),
            states()
        )
            .prop_map(|(exchange, held, after, next, entries_total, entries)| {
                Message::Snapshot(Snapshot { exchange, held, after, next, entries_total, entries })
            }),
    ]
}

/// Any message.
pub(in crate::replication) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![hello(), beacon(), small(), exchange()]
}

proptest! {
    #[test]
    fn a_message_comes_back(message in message()) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        prop_assert_eq!(Message::decode(&bytes), Ok(Some(message)));
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_and_do_no_harm(
        message in message(), at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok(Some(read)) = Message::decode(&bytes) {
            let mut again = Vec::new();
            read.encode(&mut again);
            prop_assert_eq!(Message::decode(&again), Ok(Some(read)));
        }
    }

    #[test]
    fn hostile_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes);
    }
}

#[test]
fn an_unknown_field_is_skipped_unless_it_must_be_understood() {
    let mut bytes = Vec::new();
    let message = Message::Trimmed { origin: OriginId(7), first_kept: 3 };
    message.encode(&mut bytes);
    let mut optional = bytes.clone();
    put_varint(&mut optional, 100);
    put_bytes(&mut optional, b"news");
    assert_eq!(Message::decode(&optional), Ok(Some(message)));
    put_varint(&mut bytes, 101);
    put_bytes(&mut bytes, b"news");
    assert_eq!(Message::decode(&bytes), Err(StateError::UnknownField { tag: 101 }));
}

#[test]
fn an_unknown_kind_is_skipped_unless_it_must_be_understood() {
    assert_eq!(Message::decode(&[100]), Ok(None));
    assert_eq!(Message::decode(&[101]), Err(StateError::UnknownField { tag: 101 }));
}

#[test]
fn a_push_whose_numbers_wrap_is_refused() {
    let push = Push {
        origin: OriginId(1),
        answers: None,
        first: u64::MAX,
        chain: [0; 16],
        records: vec![Vec::new(), Vec::new()],
    };
    let mut bytes = Vec::new();
    Message::Push(push).encode(&mut bytes);
    assert!(Message::decode(&bytes).is_err());
}

#[test]
fn versions_agree_on_the_newest_in_common() {
    let range = |oldest, newest| VersionRange { oldest, newest };
    assert_eq!(range(1, 3).agree(range(2, 5)), Some(3));
    assert_eq!(range(1, 1).agree(range(2, 5)), None);
}

#[test]
fn who_has_no_version_in_common_is_told_whom_to_upgrade() {
    let range = |oldest, newest| VersionRange { oldest, newest };
    let told = range(3, 4).advice("b", range(1, 2));
    assert!(told.contains("b speaks versions 1 to 2") && told.contains("upgrade b to a release between"), "{told}");
    let told = range(1, 2).advice("b", range(3, 3));
    assert!(
        told.contains("b speaks version 3 of") && told.contains("upgrade this node to a release between"),
        "{told}"
    );
}
