//! Whole LDAP messages, and the values inside them that have a grammar of their own.

use bytes::BytesMut;
use entente::operation::control::SUPPORTED_CONTROLS;
use entente::operation::{RequestControls, RequestKind};
use entente::wire::ber::{self, Reader};
use entente::wire::control as oid;
use entente::wire::{assurance, extended, sync, transaction};
use ldap3_proto::LdapCodec;
use tokio_util::codec::Decoder;

use crate::build::{self, boolean, element, enumerated, integer, parts, sequence, string};
use crate::meaning;
use crate::wire::{self, Message};

pub(super) fn message_seeds() -> Vec<Vec<u8>> {
    build::corpus().into_iter().map(|(_, pdu)| pdu).collect()
}

/// Any bytes: no panic. What `ldap3_proto` reads too means the same to both; what we refuse can be answered.
pub(super) fn ber_message(input: &[u8]) -> bool {
    let frame = wire::frame_length(input, wire::PDU_BYTES_MAX);
    let message = match Message::decode(input) {
        Ok(message) => message,
        Err(error) => {
            let mut out = Vec::new();
            let ends = wire::response::refusal(&mut out, &error);
            assert!(ends || error.message_id.is_some());
            assert!(matches!(wire::frame_length(&out, out.len()), Ok(Some(_))) || out.is_empty());
            return false;
        }
    };
    assert_eq!(frame, Ok(Some(input.len())));
    for control in &message.controls {
        if let Some(value) = control.value {
            let _ = wire::control::PagedResults::decode(value);
            let _ = wire::control::assertion_filter(value);
            let _ = wire::control::read_entry_selection(value);
        }
    }
    if let wire::Request::Extended(extended) = &message.request {
        let _ = wire::extended::PasswordModify::decode(extended.value);
        let _ = wire::extended::cancel_id(extended.value);
    }
    let mut buffer = BytesMut::from(input);
    if let Ok(Some(theirs)) = LdapCodec::default().decode(&mut buffer) {
        // ldap3_proto takes the last part of a control for its value, whatever its tag (RFC 4511 4: it is an extension).
        let is_same = meaning::same(&message, &theirs) || extends_a_control(input).unwrap_or(false);
        assert!(is_same, "{message:?}\n{theirs:?}");
    }
    true
}

/// Whether some control of a message has a part behind its value.
fn extends_a_control(input: &[u8]) -> Option<bool> {
    let mut outer = Reader::new(input);
    let mut message = outer.enter(ber::SEQUENCE).ok()?;
    message.integer().ok()?;
    message.element().ok()?;
    let mut controls = Reader::new(message.optional(ber::context_constructed(0)).ok()??);
    while !controls.is_empty() {
        let mut control = controls.enter(ber::SEQUENCE).ok()?;
        control.octets().ok()?;
        control.optional(ber::BOOLEAN).ok()?;
        control.optional(ber::OCTET_STRING).ok()?;
        if !control.is_empty() {
            return Some(true);
        }
    }
    Some(false)
}

/// The control's place among those that are served, then its value.
pub(super) fn control_seeds() -> Vec<Vec<u8>> {
    let number = |wanted: &str| SUPPORTED_CONTROLS.iter().position(|known| *known == wanted).unwrap_or(0) as u8;
    let filter = build::assertion(0xa3, "cn", "ann");
    let values: Vec<(&str, Vec<u8>)> = vec![
        (oid::PAGED_RESULTS, sequence(&[integer(20), string([7; 16])])),
        (
            oid::SORT_REQUEST,
            sequence(&[
                sequence(&[string("sn"), element(0x80, b"caseIgnoreOrderingMatch"), element(0x81, &[0xff])]),
                sequence(&[string("-cn")]),
            ]),
        ),
        (
            oid::LIST_VIEW_REQUEST,
            sequence(&[integer(1), integer(2), parts(0xa0, &[integer(3), integer(9)]), string("context")]),
        ),
        (oid::LIST_VIEW_REQUEST, sequence(&[integer(1), integer(2), element(0x81, b"meyer")])),
        (
            oid::MATCHED_VALUES,
            sequence(&[
                filter.clone(),
                build::present("mail"),
                parts(0xa4, &[string("cn"), sequence(&[element(0x80, b"a"), element(0x81, b"n")])]),
                parts(0xa9, &[element(0x81, b"caseExactMatch"), element(0x83, b"x")]),
            ]),
        ),
        (oid::DEREFERENCE, sequence(&[sequence(&[string("manager"), sequence(&[string("cn"), string("mail")])])])),
        (oid::EFFECTIVE_RIGHTS, b"dn:uid=ann,dc=example".to_vec()),
        (oid::EFFECTIVE_RIGHTS, sequence(&[string("dn:"), string("cn"), string("*")])),
        (oid::PERSISTENT_SEARCH, sequence(&[integer(15), boolean(true), boolean(true)])),
        (oid::ASSERTION, parts(0xa0, &[filter, parts(0xa2, &[build::present("sn")])])),
        (oid::PRE_READ, sequence(&[string("*"), string("+")])),
        (oid::POST_READ, sequence(&[string("cn;lang-de")])),
        (oid::PROXIED_AUTHORIZATION, b"u:ann".to_vec()),
        (
            oid::SESSION_TRACKING,
            sequence(&[string("192.0.2.1"), string("host"), string("1.3.6.1.4.1.21008.108.63.1.3"), string("ann")]),
        ),
        (transaction::TRANSACTION, vec![5; 16]),
        (entente::operation::control::SUBENTRIES, boolean(true)),
        (
            sync::SYNC_REQUEST,
            sequence(&[enumerated(3), string("rid=001,csn=20261122123000.000000Z#000000#001#000000")]),
        ),
        (sync::SYNC_REQUEST, sequence(&[enumerated(1), boolean(true)])),
        (assurance::SESSION_TOKEN, b"0123456789ab:7,0123456789ac:9".to_vec()),
        (assurance::DURABILITY, sequence(&[enumerated(2), integer(2), integer(50)])),
    ];
    values.into_iter().map(|(oid, value)| [&[number(oid)], &value[..]].concat()).collect()
}

/// The value of any control, on any operation, critical or not: read or refused, and the same whatever the criticality,
/// but for operations that the control does not belong to (RFC 4511 4.1.11).
pub(super) fn control_value(input: &[u8]) -> bool {
    let Some((number, value)) = input.split_first() else { return false };
    let known = SUPPORTED_CONTROLS[usize::from(*number) % SUPPORTED_CONTROLS.len()];
    let pdu = |critical| {
        let control = sequence(&[string(known), boolean(critical), string(value)]);
        build::with_controls(&[control])
    };
    let (critical, passing) = (pdu(true), pdu(false));
    let (Ok(critical), Ok(passing)) = (Message::decode(&critical), Message::decode(&passing)) else {
        panic!("a control with any value is a control")
    };
    use RequestKind::{Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, Search};
    let mut is_read = false;
    for kind in [Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, Search] {
        match (RequestControls::read(&critical.controls, kind), RequestControls::read(&passing.controls, kind)) {
            (Ok(_), Ok(_)) => is_read = true,
            (Err(error), Ok(read)) => {
                assert_eq!(error.code.0, 12, "{error:?}");
                assert_eq!(read, RequestControls::default(), "what does not belong is passed over");
            }
            (Err(critical), Err(passing)) => assert_eq!(critical.code, passing.code),
            // RFC 4370 3, RFC 5805 2.2, RFC 6171 3: these must be critical.
            (Ok(_), Err(error)) => {
                let wanted = [oid::PROXIED_AUTHORIZATION, transaction::TRANSACTION, oid::DONT_USE_COPY];
                assert!(wanted.contains(&known), "{error:?}");
            }
        }
    }
    // What clients of ours read of a server's answers.
    let _ = (sync::decode_state(value), sync::decode_done(value), assurance::decode_durability_response(value));
    if let Ok(info) = sync::SyncInfo::decode(value) {
        assert_eq!(sync::SyncInfo::decode(&info.encode()).as_ref(), Ok(&info));
    }
    is_read
}

pub(super) fn extended_seeds() -> Vec<Vec<u8>> {
    vec![
        sequence(&[element(0x80, b"uid=ann,dc=x"), element(0x81, b"old"), element(0x82, b"new")]),
        sequence(&[element(0x82, b"new")]),
        sequence(&[integer(7)]),
        sequence(&[boolean(true), string([3; 16])]),
        sequence(&[string([3; 16])]),
        sequence(&[element(0x80, b"generated")]),
    ]
}

/// The value of any extended request or response of ours. What is read is written to what reads as the same.
pub(super) fn extended_value(input: &[u8]) -> bool {
    let change = extended::PasswordModify::decode(Some(input));
    if let Ok(change) = &change {
        assert_eq!(extended::PasswordModify::decode(Some(&change.encode())).as_ref(), Ok(change));
    }
    let cancel = extended::cancel_id(Some(input));
    let end = transaction::EndTransaction::decode(Some(input));
    let generated = extended::decode_generated_password(input);
    if let Ok(Some(password)) = &generated {
        assert_eq!(extended::decode_generated_password(&extended::generated_password(password)), Ok(Some(*password)));
    }
    change.is_ok() || cancel.is_ok() || end.is_ok() || generated.is_ok()
}
