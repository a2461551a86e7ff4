//! Elements read, refused, and written back.

use super::*;
use proptest::prelude::*;

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out));
    out
}

/// X.690 8.1.3.6: the indefinite form, which RFC 4511 5.1 forbids.
#[test]
fn indefinite_length_is_refused() {
    assert_eq!(Reader::new(&[0x30, 0x80, 0, 0]).element(), Err(BerError::LengthForm(0x80)));
}

#[test]
fn more_than_four_length_octets_are_refused() {
    for first in 0x85..=0xff {
        let mut bytes = vec![0x30, first];
        bytes.extend([0; 127]);
        assert_eq!(Reader::new(&bytes).element(), Err(BerError::LengthForm(first)));
    }
}

#[test]
fn length_beyond_the_end_is_refused() {
    for bytes in [&[4_u8, 2, 0][..], &[4, 0x84, 0xff, 0xff, 0xff, 0xff], &[4, 0x81], &[4, 0x82, 1], &[4], &[]] {
        assert_eq!(Reader::new(bytes).element(), Err(BerError::Overrun), "{bytes:x?}");
    }
}

/// Several widespread clients always write four length octets.
#[test]
fn length_with_leading_zero_octets_is_read() {
    assert_eq!(Reader::new(&[4, 0x84, 0, 0, 0, 1, 7]).octets(), Ok(&[7_u8][..]));
}

#[test]
fn tag_number_of_31_and_more_is_refused() {
    for tag in [0x1f, 0x3f, 0x5f, 0x7f, 0x9f, 0xbf, 0xdf, 0xff] {
        assert_eq!(Reader::new(&[tag, 0, 0]).element(), Err(BerError::TagNumber));
    }
}

/// RFC 4511 5.1: OCTET STRING is primitive only.
#[test]
fn constructed_octet_string_is_refused() {
    let error = Reader::new(&[0x24, 3, 4, 1, 7]).octets();
    assert_eq!(error, Err(BerError::UnexpectedTag { expected: 4, found: 0x24 }));
}

#[test]
fn integer_of_no_or_nine_octets_is_refused() {
    assert_eq!(integer(&[]), Err(BerError::IntegerLength(0)));
    assert_eq!(integer(&[0; 9]), Err(BerError::IntegerLength(9)));
}

#[test]
fn integer_keeps_its_sign() {
    assert_eq!(integer(&[0xff]), Ok(-1));
    assert_eq!(integer(&[0x80, 0]), Ok(-32768));
    assert_eq!(integer(&[0, 0xff]), Ok(255));
    assert_eq!(integer(&[0, 0, 0, 0, 5]), Ok(5));
}

#[test]
fn boolean_is_one_octet() {
    assert_eq!(boolean(&[]), Err(BerError::BooleanLength(0)));
    assert_eq!(boolean(&[0xff, 0xff]), Err(BerError::BooleanLength(2)));
    assert_eq!(boolean(&[0]), Ok(false));
    assert_eq!(boolean(&[1]), Ok(true));
}

/// RFC 4511 4: unknown trailing components of a SEQUENCE are ignored, anything else is not.
#[test]
fn only_context_specific_elements_unknown_to_the_grammar_may_trail() {
    assert_eq!(Reader::new(&[0x87, 1, 0, 0xa9, 0]).finish_extensible(7), Ok(()));
    assert_eq!(Reader::new(&[0x87, 1, 0, 0xa9, 0]).finish_extensible(8), Err(BerError::Trailing(5)));
    assert_eq!(Reader::new(&[0x04, 0]).finish_extensible(0), Err(BerError::Trailing(2)));
    assert_eq!(Reader::new(&[0x87, 2, 0]).finish_extensible(0), Err(BerError::Overrun));
    assert_eq!(Reader::new(&[0x87, 0]).finish(), Err(BerError::Trailing(2)));
}

#[test]
fn elements_of_every_size_class_are_read_back() {
    for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 16_777_215, 16_777_216] {
        let content = vec![7; length];
        let plain = written(|writer| writer.octets(&content));
        assert_eq!(plain.len(), header_length(length) + length);
        let begun = written(|writer| {
            let mark = writer.begin(OCTET_STRING);
            writer.raw(&content);
            writer.end(mark);
        });
        assert!(plain == begun, "the two ways to write {length} bytes differ");
        let mut reader = Reader::new(&plain);
        assert_eq!(reader.octets().unwrap().len(), length);
        assert!(reader.is_empty());
    }
}

#[test]
fn fixed_length_is_patched() {
    let bytes = written(|writer| {
        let mark = writer.begin_fixed(SEQUENCE);
        writer.octets(b"ab");
        writer.end_fixed(mark);
    });
    assert_eq!(bytes, [0x30, 0x84, 0, 0, 0, 4, 4, 2, b'a', b'b']);
}

proptest! {
    #[test]
    fn integers_are_read_back_and_minimal(value: i64) {
        let bytes = written(|writer| writer.integer(INTEGER, value));
        prop_assert_eq!(Reader::new(&bytes).integer(), Ok(value));
        let content = &bytes[2..];
        if let [first, second, ..] = content {
            prop_assert!(!matches!((first, second & 0x80), (0, 0) | (0xff, 0x80)));
        }
    }

    #[test]
    fn small_integers_are_read_back(value in -70_000_i64..70_000) {
        let bytes = written(|writer| writer.integer(ENUMERATED, value));
        prop_assert_eq!(Reader::new(&bytes).enumerated(), Ok(value));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut reader = Reader::new(&bytes);
        while let Ok((_, content)) = reader.element() {
            prop_assert!(content.len() <= bytes.len());
            let _ = integer(content);
            let _ = boolean(content);
        }
    }
}
