//! Frames come back in any pieces; what is corrupt or foreign is refused by name.

use proptest::prelude::*;

use super::*;
use crate::replication::message::Push;
use crate::state::OriginId;

fn push(bytes: usize) -> Message {
    Message::Push(Push {
        origin: OriginId(5),
        answers: None,
        first: 1,
        chain: [3; 16],
        records: vec![vec![b'x'; bytes], b"y".to_vec()],
    })
}

fn frame(message: &Message, compress: bool) -> BytesMut {
    let mut out = BytesMut::new();
    MessageCodec { compress, ..MessageCodec::default() }.encode(message, &mut out).unwrap();
    out
}

proptest! {
    #[test]
    fn frames_come_back_in_any_pieces(sizes in proptest::collection::vec(0..3000usize, 1..5), piece in 1..500usize, compress: bool) {
        let messages: Vec<Message> = sizes.into_iter().map(push).collect();
        let mut stream = BytesMut::new();
        messages.iter().for_each(|message| MessageCodec { compress, ..MessageCodec::default() }.encode(message, &mut stream).unwrap());
        let mut codec = MessageCodec::default();
        let (mut input, mut read) = (BytesMut::new(), Vec::new());
        for part in stream.chunks(piece) {
            input.extend_from_slice(part);
            while let Some(message) = codec.decode(&mut input).unwrap() {
                read.push(message);
            }
        }
        prop_assert_eq!(read, messages);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn a_flipped_bit_is_never_a_message(at in any::<proptest::sample::Index>(), bit in 0..8u8, compress: bool) {
        let mut bytes = frame(&push(700), compress);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // In the length a flip may ask for more bytes than there are; then nothing is read either.
        let read = MessageCodec::default().decode(&mut bytes);
        prop_assert!(!matches!(read, Ok(Some(_))), "{:?}", read);
    }

    #[test]
    fn hostile_streams_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = MessageCodec::default().decode(&mut BytesMut::from(bytes.as_slice()));
    }
}

#[test]
fn other_protocols_on_this_port_are_refused_at_their_first_bytes() {
    for foreign in [&b"GET / HTTP/1.1\r\n"[..], b"\x30\x84\x00\x00\x00\x10", b"\x16\x03\x01\x02\x00\x01"] {
        let refused = MessageCodec::default().decode(&mut BytesMut::from(foreign));
        assert!(
            matches!(refused, Err(CodecError::FrameTooLong { .. } | CodecError::UnknownFrame { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn compression_is_used_where_it_is_asked_for_and_worth_it() {
    assert!(frame(&push(10_000), true).len() < 500);
    assert!(frame(&push(10_000), false).len() > 10_000);
    assert_eq!(frame(&push(10), true), frame(&push(10), false));
}

#[test]
fn a_small_frame_that_unpacks_to_a_huge_one_is_refused() {
    let content = zstd::bulk::compress(&vec![0; FRAME_BYTES_MAX + 1], 1).unwrap();
    let mut bytes = BytesMut::new();
    bytes.put_u32((OVERHEAD + content.len()) as u32);
    bytes.put_u8(VERSION);
    bytes.put_u8(COMPRESSED);
    bytes.put_u64(checksum(COMPRESSED, &content));
    bytes.put_slice(&content);
    assert!(matches!(MessageCodec::default().decode(&mut bytes), Err(CodecError::FrameTooLong { .. })));
}
