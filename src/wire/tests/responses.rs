//! The bytes of responses, where `ldap3_proto` does not look.

use super::build::*;
use crate::model::ResultCode;
use crate::wire::*;

fn refusal_of(pdu: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let ends = response::refusal(&mut out, &Message::decode(pdu).unwrap_err());
    (out, ends)
}

/// RFC 4511 4.1.9, 4.5.2.
#[test]
fn lengths_of_a_result_are_minimal() {
    let mut out = Vec::new();
    response::result(&mut out, 1, ResponseKind::SearchDone, &LdapResult::plain(ResultCode::SUCCESS), &[]);
    assert_eq!(out, [0x30, 12, 2, 1, 1, 0x65, 7, 10, 1, 0, 4, 0, 4, 0]);
}

/// RFC 4511 4.1.10: which `ldap3_proto` does not read.
#[test]
fn referral_lists_its_urls_after_the_diagnostic() {
    let mut out = Vec::new();
    let referrals = ["ldap://b/".to_owned()];
    let result = LdapResult { code: ResultCode::REFERRAL, matched_dn: "dc=a", diagnostic: "go", referrals: &referrals };
    response::result(&mut out, 7, ResponseKind::Compare, &result, &[]);
    let referral = parts(0xa3, &[string("ldap://b/")]);
    assert_eq!(out, message(parts(0x6f, &[enumerated(10), string("dc=a"), string("go"), referral])));
}

#[test]
fn search_entry_takes_fixed_lengths_outside_and_minimal_ones_inside() {
    let mut out = vec![0xee];
    let mut entry = SearchEntry::begin(&mut out, 2, b"a=b");
    entry.attribute(b"cn", &[0x31, 3, 4, 1, b'x']);
    entry.attribute_names_only(b"sn");
    entry.encoded_attributes(&[0x30, 5, 4, 1, b'z', 0x31, 0]);
    entry.finish(&[]);
    let want = [
        &[0xee, 0x30, 0x84, 0, 0, 0, 46, 2, 1, 2, 0x64, 0x84, 0, 0, 0, 37, 4, 3, b'a', b'=', b'b'][..],
        &[0x30, 0x84, 0, 0, 0, 26],
        &[0x30, 9, 4, 2, b'c', b'n', 0x31, 3, 4, 1, b'x'],
        &[0x30, 6, 4, 2, b's', b'n', 0x31, 0],
        &[0x30, 5, 4, 1, b'z', 0x31, 0],
    ];
    assert_eq!(out, want.concat());
}

#[test]
fn search_entry_that_is_dropped_leaves_nothing() {
    let mut out = vec![1, 2, 3];
    let mut entry = SearchEntry::begin(&mut out, 2, b"a=b");
    entry.attribute_values(b"cn", ["x", "y"]);
    assert!(entry.bytes() > 20);
    drop(entry);
    assert_eq!(out, [1, 2, 3]);
}

/// RFC 4527 3: the value is a SearchResultEntry.
#[test]
fn read_entry_value_is_an_entry_without_a_message() {
    let mut out = Vec::new();
    let mut entry = SearchEntry::begin_value(&mut out, b"uid=ann");
    entry.attribute_values(b"cn", [b"Ann".as_slice()]);
    entry.finish(&[]);
    let mut outer = ber::Reader::new(&out);
    let mut reader = outer.enter(0x64).unwrap();
    outer.finish().unwrap();
    assert_eq!(reader.octets().unwrap(), b"uid=ann");
    let attributes = reader.expect(ber::SEQUENCE).unwrap();
    reader.finish().unwrap();
    assert_eq!(attributes, sequence(&[string("cn"), parts(0x31, &[string("Ann")])]));
}

/// RFC 4511 4.4.1.
#[test]
fn notice_of_disconnection_has_id_zero_and_its_name() {
    let mut out = Vec::new();
    response::notice_of_disconnection(&mut out, ResultCode::UNAVAILABLE, "shutting down");
    let name = element(0x8a, b"1.3.6.1.4.1.1466.20036");
    let operation = parts(0x78, &[enumerated(52), string(""), string("shutting down"), name]);
    assert_eq!(out, sequence(&[integer(0), operation]));
}

/// RFC 4511 4.1.1: the request is answered by its own kind of response and the session goes on.
#[test]
fn request_that_cannot_be_understood_is_answered() {
    let mut fields = search_parts(present("cn"));
    fields[3] = integer(-1);
    let (out, ends) = refusal_of(&message(parts(0x63, &fields)));
    assert!(!ends);
    assert_eq!(&out[2..5], [2, 1, 7]);
    assert_eq!((out[5], &out[7..10]), (0x65, &[10, 1, 2][..]));

    let (out, ends) = refusal_of(&message(element(0x4a, b"\xff")));
    assert!(!ends);
    assert_eq!((out[5], &out[7..10]), (0x6b, &[10, 1, 34][..]));
}

#[test]
fn broken_encoding_is_answered_by_a_notice_of_disconnection() {
    let (out, ends) = refusal_of(&message(element(0x63, &[0xff])));
    assert!(ends);
    assert_eq!(&out[2..5], [2, 1, 0]);
    assert_eq!(out[5], 0x78);
}

/// RFC 4511 4.11: there is no response to an abandon.
#[test]
fn abandon_that_cannot_be_understood_is_not_answered() {
    assert_eq!(refusal_of(&message(element(0x50, &[0xff]))), (vec![], false));
}
