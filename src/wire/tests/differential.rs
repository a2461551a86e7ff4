//! `ldap3_proto` as the second opinion: what it writes we read to the same meaning, and what we write it reads so.

use super::meaning::same;
use crate::model::ResultCode;
use crate::wire::LdapResult as OurResult;
use crate::wire::*;
use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::LdapResult as TheirResult;
use ldap3_proto::proto::*;
use proptest::option;
use proptest::prelude::*;
use tokio_util::codec::{Decoder as _, Encoder as _};

fn encode(message: LdapMsg) -> BytesMut {
    let mut out = BytesMut::new();
    LdapCodec::new(Some(1 << 20), None).encode(message, &mut out).unwrap();
    out
}

/// What `ldap3_proto` reads of one message of ours.
fn theirs(pdu: &[u8]) -> LdapMsg {
    let mut buffer = BytesMut::from(pdu);
    let message = LdapCodec::new(Some(1 << 20), None).decode(&mut buffer).unwrap().unwrap();
    assert!(buffer.is_empty(), "bytes after the message");
    message
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9=,+ ]{0,12}", "\\PC{0,6}", Just("uid=ann,ou=people,dc=example".to_owned()), "x{120,300}"]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..12), prop::collection::vec(any::<u8>(), 120..300)]
}

fn filter() -> impl Strategy<Value = LdapFilter> {
    let substring = (option::of("[a-z]{1,4}"), prop::collection::vec("[a-z]{0,3}", 0..3), option::of("[a-z]{1,4}"))
        .prop_filter("at least one part", |(initial, any, last)| initial.is_some() || !any.is_empty() || last.is_some())
        .prop_map(|(initial, any, final_)| LdapSubstringFilter { initial, any, final_ });
    let extensible = (option::of(text()), text(), text(), any::<bool>(), any::<bool>()).prop_map(
        |(rule, name, match_value, dn_attributes, by_rule)| LdapMatchingRuleAssertion {
            type_: (!by_rule || rule.is_none()).then_some(name),
            matching_rule: rule,
            match_value,
            dn_attributes,
        },
    );
    let leaf = prop_oneof![
        (text(), text()).prop_map(|(attribute, value)| LdapFilter::Equality(attribute, value)),
        (text(), text()).prop_map(|(attribute, value)| LdapFilter::GreaterOrEqual(attribute, value)),
        (text(), text()).prop_map(|(attribute, value)| LdapFilter::LessOrEqual(attribute, value)),
        (text(), text()).prop_map(|(attribute, value)| LdapFilter::Approx(attribute, value)),
        text().prop_map(LdapFilter::Present),
        (text(), substring).prop_map(|(attribute, parts)| LdapFilter::Substring(attribute, parts)),
        extensible.prop_map(LdapFilter::Extensible),
    ];
    leaf.prop_recursive(5, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(LdapFilter::And),
            prop::collection::vec(inner.clone(), 0..5).prop_map(LdapFilter::Or),
            inner.prop_map(|filter| LdapFilter::Not(Box::new(filter))),
        ]
    })
}

fn attribute(values_min: usize) -> impl Strategy<Value = LdapPartialAttribute> {
    (text(), prop::collection::vec(bytes(), values_min..4))
        .prop_map(|(atype, vals)| LdapPartialAttribute { atype, vals })
}

fn modification() -> impl Strategy<Value = LdapModify> {
    prop_oneof![
        (Just(LdapModifyType::Add), attribute(1)),
        (Just(LdapModifyType::Delete), attribute(0)),
        (Just(LdapModifyType::Replace), attribute(0)),
        (
            Just(LdapModifyType::Increment),
            attribute(1).prop_map(|mut attribute| {
                attribute.vals.truncate(1);
                attribute
            })
        ),
    ]
    .prop_map(|(operation, modification)| LdapModify { operation, modification })
}

fn search() -> impl Strategy<Value = LdapOp> {
    let scope = prop_oneof![
        Just(LdapSearchScope::Base),
        Just(LdapSearchScope::OneLevel),
        Just(LdapSearchScope::Subtree),
        Just(LdapSearchScope::Children)
    ];
    let aliases = prop_oneof![
        Just(LdapDerefAliases::Never),
        Just(LdapDerefAliases::InSearching),
        Just(LdapDerefAliases::FindingBaseObj),
        Just(LdapDerefAliases::Always)
    ];
    let limits = (0..=i32::MAX, 0..=i32::MAX, any::<bool>());
    (text(), scope, aliases, limits, filter(), prop::collection::vec(text(), 0..6)).prop_map(
        |(base, scope, aliases, (sizelimit, timelimit, typesonly), filter, attrs)| {
            LdapOp::SearchRequest(LdapSearchRequest {
                base,
                scope,
                aliases,
                sizelimit,
                timelimit,
                typesonly,
                filter,
                attrs,
            })
        },
    )
}

fn operation() -> impl Strategy<Value = LdapOp> {
    let credentials = prop_oneof![
        text().prop_map(LdapBindCred::Simple),
        (text(), bytes())
            .prop_map(|(mechanism, credentials)| LdapBindCred::SASL(SaslCredentials { mechanism, credentials })),
    ];
    prop_oneof![
        (1_i64..=127, text(), credentials).prop_map(|(version, dn, cred)| LdapOp::BindRequest(LdapBindRequest {
            version,
            dn,
            cred
        })),
        Just(LdapOp::UnbindRequest),
        search(),
        search(),
        (text(), prop::collection::vec(modification(), 0..4))
            .prop_map(|(dn, changes)| LdapOp::ModifyRequest(LdapModifyRequest { dn, changes })),
        (text(), prop::collection::vec(attribute(1), 0..4))
            .prop_map(|(dn, attributes)| LdapOp::AddRequest(LdapAddRequest { dn, attributes })),
        text().prop_map(LdapOp::DelRequest),
        (text(), text(), any::<bool>(), option::of(text())).prop_map(|(dn, newrdn, deleteoldrdn, new_superior)| {
            LdapOp::ModifyDNRequest(LdapModifyDNRequest { dn, newrdn, deleteoldrdn, new_superior })
        }),
        (text(), text(), bytes()).prop_map(|(dn, atype, val)| LdapOp::CompareRequest(LdapCompareRequest {
            dn,
            atype,
            val
        })),
        (0..=i32::MAX).prop_map(LdapOp::AbandonRequest),
        (text(), option::of(bytes()))
            .prop_map(|(name, value)| LdapOp::ExtendedRequest(LdapExtendedRequest { name, value })),
    ]
}

fn controls() -> impl Strategy<Value = Vec<LdapControl>> {
    let control = (any::<bool>(), option::of(bytes()));
    prop::collection::vec(control, 0..=control::CONTROLS_MAX).prop_map(|controls| {
        let unknown = |(number, (criticality, value))| LdapControl::Unknown {
            oid: format!("1.3.6.1.4.1.99999.{number}"),
            criticality,
            value,
        };
        controls.into_iter().enumerate().map(unknown).collect()
    })
}

fn result_code() -> impl Strategy<Value = (u32, LdapResultCode)> {
    prop_oneof![
        Just((0, LdapResultCode::Success)),
        Just((6, LdapResultCode::CompareTrue)),
        Just((32, LdapResultCode::NoSuchObject)),
        Just((80, LdapResultCode::Other)),
        Just((123, LdapResultCode::AuthorizationError)),
        Just((4096, LdapResultCode::EsyncRefreshRequired)),
    ]
}

/// The result in their words; they read no referrals.
fn their_result(code: LdapResultCode, matched_dn: &str, diagnostic: &str) -> TheirResult {
    TheirResult { code, matcheddn: matched_dn.to_owned(), message: diagnostic.to_owned(), referral: vec![] }
}

fn our_controls(controls: &[(bool, Option<Vec<u8>>)]) -> Vec<ResponseControl> {
    let one = |(critical, value): &(bool, Option<Vec<u8>>)| ResponseControl {
        oid: "1.3.6.1.4.1.99999.1",
        critical: *critical,
        value: value.clone(),
    };
    controls.iter().map(one).collect()
}

fn their_controls(controls: &[(bool, Option<Vec<u8>>)]) -> Vec<LdapControl> {
    let one = |(criticality, value): &(bool, Option<Vec<u8>>)| LdapControl::Unknown {
        oid: "1.3.6.1.4.1.99999.1".to_owned(),
        criticality: *criticality,
        value: value.clone(),
    };
    controls.iter().map(one).collect()
}

proptest! {
    #[test]
    fn request_written_by_ldap3_proto_means_the_same_to_us(
        msgid in 1..=i32::MAX, op in operation(), ctrl in controls(),
    ) {
        let message = LdapMsg { msgid, op, ctrl };
        let pdu = encode(message.clone());
        prop_assert_eq!(frame_length(&pdu, usize::MAX), Ok(Some(pdu.len())));
        let ours = Message::decode(&pdu).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        prop_assert!(same(&ours, &message), "{ours:?}\n{message:?}");
    }

    #[test]
    fn request_with_bytes_changed_that_both_read_means_the_same_to_both(
        op in operation(),
        ctrl in controls(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut pdu = encode(LdapMsg { msgid: 5, op, ctrl });
        for (position, byte) in changes {
            let position = position.index(pdu.len());
            pdu[position] = byte;
        }
        if let Ok(ours) = Message::decode(&pdu) {
            let read = LdapCodec::new(Some(1 << 20), None).decode(&mut pdu.clone());
            if let Ok(Some(theirs)) = read {
                prop_assert!(same(&ours, &theirs), "{ours:?}\n{theirs:?}\n{:x?}", &pdu[..]);
            }
        }
    }

    #[test]
    fn result_of_ours_means_the_same_to_ldap3_proto(
        id in 0..=i32::MAX,
        (number, code) in result_code(),
        matched_dn in text(),
        diagnostic in text(),
        controls in prop::collection::vec((any::<bool>(), option::of(bytes())), 0..3),
    ) {
        let ours = OurResult { code: ResultCode(number), matched_dn: &matched_dn, diagnostic: &diagnostic, referrals: &[] };
        let want = their_result(code, &matched_dn, &diagnostic);
        for (kind, op) in [
            (ResponseKind::SearchDone, LdapOp::SearchResultDone(want.clone())),
            (ResponseKind::Modify, LdapOp::ModifyResponse(want.clone())),
            (ResponseKind::Add, LdapOp::AddResponse(want.clone())),
            (ResponseKind::Delete, LdapOp::DelResponse(want.clone())),
            (ResponseKind::ModifyDn, LdapOp::ModifyDNResponse(want.clone())),
            (ResponseKind::Compare, LdapOp::CompareResult(want.clone())),
            (ResponseKind::Bind, LdapOp::BindResponse(LdapBindResponse { res: want.clone(), saslcreds: None })),
        ] {
            let mut out = Vec::new();
            response::result(&mut out, id, kind, &ours, &our_controls(&controls));
            prop_assert_eq!(theirs(&out), LdapMsg { msgid: id, op, ctrl: their_controls(&controls) });
        }
    }

    #[test]
    fn bind_extended_and_intermediate_responses_mean_the_same_to_ldap3_proto(
        (number, code) in result_code(),
        diagnostic in text(),
        sasl in option::of(bytes()),
        name in option::of("[0-9.]{1,20}"),
        value in option::of(bytes()),
    ) {
        let ours = OurResult::new(ResultCode(number), &diagnostic);
        let res = their_result(code, "", &diagnostic);
        let mut out = Vec::new();
        response::bind_result(&mut out, 9, &ours, sasl.as_deref(), &[]);
        let op = LdapOp::BindResponse(LdapBindResponse { res: res.clone(), saslcreds: sasl });
        prop_assert_eq!(theirs(&out), LdapMsg::new(9, op));

        out.clear();
        response::extended(&mut out, 9, &ours, name.as_deref(), value.as_deref(), &[]);
        let op = LdapOp::ExtendedResponse(LdapExtendedResponse { res, name: name.clone(), value: value.clone() });
        prop_assert_eq!(theirs(&out), LdapMsg::new(9, op));

        out.clear();
        response::intermediate(&mut out, 9, name.as_deref(), value.as_deref(), &[]);
        let op = LdapOp::IntermediateResponse(LdapIntermediateResponse::Raw { name, value });
        prop_assert_eq!(theirs(&out), LdapMsg::new(9, op));
    }

    #[test]
    fn search_entry_of_ours_means_the_same_to_ldap3_proto(
        id in 1..=i32::MAX,
        dn in text(),
        attributes in prop::collection::vec(attribute(0), 0..5),
        controls in prop::collection::vec((any::<bool>(), option::of(bytes())), 0..3),
    ) {
        let op = LdapOp::SearchResultEntry(LdapSearchResultEntry { dn: dn.clone(), attributes: attributes.clone() });
        let want = LdapMsg { msgid: id, op, ctrl: their_controls(&controls) };
        let (mut by_values, mut by_set) = (Vec::new(), Vec::new());
        let mut entry = SearchEntry::begin(&mut by_values, id, dn.as_bytes());
        for attribute in &attributes {
            entry.attribute_values(attribute.atype.as_bytes(), &attribute.vals);
        }
        entry.finish(&our_controls(&controls));
        let mut entry = SearchEntry::begin(&mut by_set, id, dn.as_bytes());
        for attribute in &attributes {
            let mut set = Vec::new();
            let mut writer = ber::Writer::new(&mut set);
            let mark = writer.begin(ber::SET);
            attribute.vals.iter().for_each(|value| writer.octets(value));
            writer.end(mark);
            entry.attribute(attribute.atype.as_bytes(), &set);
        }
        entry.finish(&our_controls(&controls));
        prop_assert_eq!(&theirs(&by_values), &want);
        prop_assert_eq!(by_values, by_set);
    }
}

#[test]
fn search_reference_means_the_same_to_ldap3_proto() {
    let urls = ["ldap://b.example/dc=b??sub".to_owned(), "ldaps://c.example/dc=b??sub".to_owned()];
    let mut out = Vec::new();
    response::search_reference(&mut out, 4, &urls, &[]);
    let LdapOp::SearchResultReference(reference) = theirs(&out).op else { panic!() };
    assert_eq!(reference.uris, urls);
}

#[test]
fn paged_results_mean_the_same_to_ldap3_proto() {
    let paged = LdapControl::SimplePagedResults { size: 77, cookie: b"c\xff".to_vec() };
    let pdu = encode(LdapMsg { msgid: 1, op: LdapOp::DelRequest(String::new()), ctrl: vec![paged.clone()] });
    let message = Message::decode(&pdu).unwrap();
    let value = message.controls.find(control::PAGED_RESULTS).unwrap().required_value().unwrap();
    let ours = control::PagedResults::decode(value).unwrap();
    assert_eq!(ours, control::PagedResults { size: 77, cookie: b"c\xff" });

    let mut out = Vec::new();
    let control = ResponseControl { oid: control::PAGED_RESULTS, critical: false, value: Some(ours.encode()) };
    response::result(&mut out, 1, ResponseKind::SearchDone, &OurResult::plain(ResultCode::SUCCESS), &[control]);
    assert_eq!(theirs(&out).ctrl, [paged]);
}

#[test]
fn password_modify_means_the_same_to_ldap3_proto() {
    let request = LdapPasswordModifyRequest {
        user_identity: Some("uid=ann".to_owned()),
        old_password: None,
        new_password: Some("new".to_owned()),
    };
    let extended: LdapExtendedRequest = request.into();
    assert_eq!(extended.name, extended::PASSWORD_MODIFY);
    let ours = extended::PasswordModify::decode(extended.value.as_deref()).unwrap();
    let want =
        extended::PasswordModify { user_identity: Some(b"uid=ann"), old_password: None, new_password: Some(b"new") };
    assert_eq!(ours, want);
    assert_eq!(Some(ours.encode()), extended.value);

    let mut out = Vec::new();
    let success = OurResult::plain(ResultCode::SUCCESS);
    response::extended(&mut out, 1, &success, None, Some(&extended::generated_password(b"made-up")), &[]);
    let LdapOp::ExtendedResponse(response) = theirs(&out).op else { panic!() };
    let response = LdapPasswordModifyResponse::try_from(&response).unwrap();
    assert_eq!(response.gen_password.as_deref(), Some("made-up"));
}
