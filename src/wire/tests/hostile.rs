//! Bytes that nobody sends by accident: no panic, no changed meaning.

use super::build::*;
use crate::wire::*;
use bytes::BytesMut;
use proptest::prelude::*;
use tokio_util::codec::Decoder;

/// Ends of the operation inside a PDU of the corpus: there the optional control list may be missing.
fn end_of_operation(pdu: &[u8]) -> usize {
    let mut outer = ber::Reader::new(pdu);
    let mut reader = outer.enter(ber::SEQUENCE).unwrap();
    reader.integer().unwrap();
    reader.element().unwrap();
    pdu.len() - reader.rest().len()
}

/// The same content under an outer length that fits.
fn rewrap(content: &[u8]) -> Vec<u8> {
    element(ber::SEQUENCE, content)
}

fn header_length_of(pdu: &[u8]) -> usize {
    if pdu[1] < 0x80 { 2 } else { 2 + usize::from(pdu[1] & 0x7f) }
}

#[test]
fn request_cut_at_any_byte_is_no_request() {
    for (name, pdu) in corpus() {
        for length in 0..pdu.len() {
            assert!(Message::decode(&pdu[..length]).is_err(), "{name} cut at {length}");
        }
    }
}

/// The cut is hidden by an outer length that fits: whatever then decodes must be the request whole, less its controls.
#[test]
fn request_cut_at_any_byte_with_a_fitting_length_keeps_its_meaning_or_is_refused() {
    for (name, pdu) in corpus() {
        let whole = Message::decode(&pdu).unwrap();
        let header = header_length_of(&pdu);
        for length in header..pdu.len() {
            let cut = rewrap(&pdu[header..length]);
            match Message::decode(&cut) {
                Ok(message) => {
                    assert_eq!(length, end_of_operation(&pdu), "{name} cut at {length}");
                    assert_eq!(message.request, whole.request);
                    assert!(message.controls.is_empty());
                }
                Err(error) => assert!(error.ends_session, "{name} cut at {length}: {error}"),
            }
        }
    }
}

#[test]
fn request_with_bytes_after_it_is_refused() {
    for (name, mut pdu) in corpus() {
        pdu.push(0);
        assert!(Message::decode(&pdu).unwrap_err().ends_session, "{name}");
    }
}

/// T-04: RFC 4511 4.1.1: the frame is the same however it arrives.
#[test]
fn request_arriving_byte_by_byte_is_the_same_request() {
    let corpus = corpus();
    let stream: Vec<u8> = corpus.iter().flat_map(|(_, pdu)| pdu.clone()).collect();
    for step in [1, 2, 3, 7, 1000] {
        let (mut buffer, mut decoder, mut frames) = (BytesMut::new(), FrameDecoder::new(PDU_BYTES_MAX), Vec::new());
        for piece in stream.chunks(step) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                frames.push(frame);
            }
        }
        assert_eq!(frames.len(), corpus.len());
        for (frame, (_, pdu)) in frames.iter().zip(&corpus) {
            assert_eq!(Message::decode(frame), Message::decode(pdu));
        }
    }
}

/// A decoder that keeps the good children of a broken parent turns this filter into `(&(uid=bob))` or `(&)`.
#[test]
fn filter_with_a_child_that_overruns_it_ends_the_session() {
    let good = assertion(0xa3, "uid", "bob");
    let broken = [0xa3, 40, 4, 3, b'u', b'i', b'd'];
    for children in [[&good[..], &broken].concat(), [&broken[..], &good].concat(), broken.to_vec()] {
        let error = Message::decode(&search(element(0xa0, &children))).unwrap_err();
        assert!(error.ends_session);
        assert_eq!((error.message_id, error.operation_tag), (Some(7), Some(operation_tag::SEARCH)));
    }
}

/// The same for a modify, which would lose its second line, and for a control list, which would lose a critical control.
#[test]
fn modification_or_control_that_overruns_its_list_ends_the_session() {
    let line = sequence(&[enumerated(1), sequence(&[string("mail"), element(0x31, b"")])]);
    let mut broken = line.clone();
    broken[1] += 1;
    let pdu = message(parts(0x66, &[string("uid=a"), sequence(&[line, broken])]));
    assert!(Message::decode(&pdu).unwrap_err().ends_session);

    let control = sequence(&[string("1.2.3")]);
    let mut broken = sequence(&[string("1.2.4"), boolean(true)]);
    broken[1] += 1;
    assert!(Message::decode(&with_controls(&[control, broken])).unwrap_err().ends_session);
}

#[test]
fn indefinite_length_anywhere_ends_the_session() {
    for pdu in [
        &[0x30, 0x80, 2, 1, 7, 0x42, 0, 0, 0][..],
        &[0x30, 7, 2, 1, 7, 0x42, 0x80, 0, 0],
        &[0x30, 0x0a, 2, 1, 7, 0x77, 5, 0x80, 0x80, b'1', 0, 0],
    ] {
        assert!(Message::decode(pdu).unwrap_err().ends_session);
    }
}

#[test]
fn length_of_sixteen_octets_ends_the_session() {
    let mut content = vec![2, 1, 7, 0x4a, 0x90];
    content.extend([0; 15]);
    content.extend([1, b'a']);
    assert!(Message::decode(&rewrap(&content)).unwrap_err().ends_session);
}

#[test]
fn outer_tag_other_than_sequence_ends_the_session() {
    let (_, pdu) = &corpus()[0];
    for tag in [0x10, 0x31, 0x70, 0xb0, 0xf0] {
        let mut pdu = pdu.clone();
        pdu[0] = tag;
        assert!(Message::decode(&pdu).unwrap_err().ends_session);
    }
}

/// Every element made one byte shorter or longer, its parents left as they are.
#[test]
fn request_with_any_length_octet_changed_is_refused_or_unchanged() {
    for (name, pdu) in corpus() {
        let whole = Message::decode(&pdu).unwrap();
        let mut lengths = Vec::new();
        length_octets(&pdu, 0, &mut lengths);
        assert!(lengths.len() >= 3, "{name}");
        for position in lengths {
            for change in [1_u8, 0xff, 2, 0xfe] {
                let mut changed = pdu.clone();
                changed[position] = changed[position].wrapping_add(change);
                if let Ok(message) = Message::decode(&changed) {
                    assert_eq!(message, whole, "{name}: the length at {position} changed by {change}");
                }
            }
        }
    }
}

/// Positions of all length octets of short form, constructed elements walked into.
fn length_octets(bytes: &[u8], offset: usize, lengths: &mut Vec<usize>) {
    let mut at = 0;
    while at < bytes.len() {
        let (header, length) = match bytes[at + 1] {
            short @ 0..=127 => {
                lengths.push(offset + at + 1);
                (2, usize::from(short))
            }
            _ => (4, usize::from(bytes[at + 2]) << 8 | usize::from(bytes[at + 3])),
        };
        if bytes[at] & 0x20 != 0 {
            length_octets(&bytes[at + header..at + header + length], offset + at + header, lengths);
        }
        at += header + length;
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = frame_length(&bytes, 1000);
        let _ = Message::decode(&bytes);
        let _ = Message::decode(&rewrap(&bytes));
        let _ = control::PagedResults::decode(&bytes);
        let _ = control::assertion_filter(&bytes);
        let _ = control::read_entry_selection(&bytes);
        let _ = extended::PasswordModify::decode(Some(&bytes));
        let _ = extended::cancel_id(Some(&bytes));
    }

    #[test]
    fn random_operation_never_panics(tag: u8, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let pdu = message(element(tag, &bytes));
        if let Err(error) = Message::decode(&pdu) {
            let mut out = Vec::new();
            response::refusal(&mut out, &error);
        }
    }

    #[test]
    fn corpus_with_bytes_changed_never_panics(
        index in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let corpus = corpus();
        let (_, pdu) = index.get(&corpus);
        let mut changed = pdu.clone();
        for (position, byte) in changes {
            let position = position.index(changed.len());
            changed[position] = byte;
        }
        if let Ok(message) = Message::decode(&changed) {
            prop_assert!(message.id > 0);
            prop_assert_eq!(message.controls.iter().count(), message.controls.len());
        }
    }
}
