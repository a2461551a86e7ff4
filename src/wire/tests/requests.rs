//! What each request of RFC 4511 decodes to, and which are refused with what.

use super::build::*;
use crate::model::filter::{FILTER_DEPTH_MAX, FILTER_NODES_MAX, SUBSTRING_PARTS_MAX};
use crate::model::{DerefAliases, Filter, ModificationKind, ResultCode, Scope};
use crate::wire::*;

fn decode(pdu: &[u8]) -> Message<'_> {
    Message::decode(pdu).unwrap()
}

fn request(pdu: &[u8]) -> Request<'_> {
    decode(pdu).request
}

/// The refusal of one request of a session that goes on.
fn refused(pdu: &[u8]) -> DecodeError {
    let error = Message::decode(pdu).unwrap_err();
    assert!(!error.ends_session, "{error:?}");
    assert_eq!(error.message_id, Some(7));
    assert!(error.operation_tag.is_some());
    error
}

/// The end of the session.
fn fatal(pdu: &[u8]) -> DecodeError {
    let error = Message::decode(pdu).unwrap_err();
    assert!(error.ends_session, "{error:?}");
    assert_eq!(error.code, ResultCode::PROTOCOL_ERROR);
    error
}

fn bind(authentication: Vec<u8>) -> Vec<u8> {
    message(parts(0x60, &[integer(3), string("uid=ann"), authentication]))
}

fn filter_of(pdu: &[u8]) -> Filter<'_> {
    match request(pdu) {
        Request::Search(search) => search.filter,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_request_of_the_corpus_decodes_to_its_operation() {
    for (name, pdu) in corpus() {
        let message = decode(&pdu);
        assert_eq!(message.id, 7);
        assert!(name.contains(message.request.name()), "{name} became {}", message.request.name());
    }
}

/// RFC 4511 4.2: the password is an octet string.
#[test]
fn simple_password_is_bytes() {
    let pdu = bind(element(0x80, &[0xff, 0, 0xfe]));
    let Request::Bind(bind) = request(&pdu) else { panic!() };
    assert_eq!((bind.version, bind.name), (3, "uid=ann"));
    assert_eq!(bind.authentication, Authentication::Simple(&[0xff, 0, 0xfe]));
}

/// RFC 4511 4.2, RFC 4422 3: no initial response and an empty one differ.
#[test]
fn absent_and_empty_sasl_credentials_differ() {
    for (sasl, want) in [
        (vec![string("PLAIN")], None),
        (vec![string("PLAIN"), string("")], Some(&b""[..])),
        (vec![string("PLAIN"), string("x")], Some(b"x")),
    ] {
        let pdu = bind(parts(0xa3, &sasl));
        let Request::Bind(bind) = request(&pdu) else { panic!() };
        assert_eq!(bind.authentication, Authentication::Sasl { mechanism: "PLAIN", credentials: want });
    }
}

/// RFC 4511 4.2: an unknown choice is authMethodNotSupported, so it must decode.
#[test]
fn unknown_authentication_choice_decodes() {
    for tag in [0x81, 0x82, 0xa5, 0xa0] {
        let pdu = bind(element(tag, b""));
        let Request::Bind(bind) = request(&pdu) else { panic!() };
        assert_eq!(bind.authentication, Authentication::Unknown(tag));
    }
}

/// RFC 4511 4.2: the server answers protocolError to a version it does not speak, so it must see it.
#[test]
fn bind_of_ldapv2_decodes() {
    let pdu = message(parts(0x60, &[integer(2), string(""), element(0x80, b"")]));
    let Request::Bind(bind) = request(&pdu) else { panic!() };
    assert_eq!(bind.version, 2);
}

#[test]
fn bind_version_outside_1_to_127_is_protocol_error() {
    for version in [integer(0), integer(-1), element(2, &[0, 128])] {
        let error = refused(&message(parts(0x60, &[version, string(""), element(0x80, b"")])));
        assert_eq!((error.code, error.operation_tag), (ResultCode::PROTOCOL_ERROR, Some(0x60)));
    }
}

#[test]
fn name_that_is_not_utf8_is_invalid_dn_syntax() {
    let name = b"uid=\xff";
    let mut search = search_parts(present("cn"));
    search[0] = string(name);
    for operation in [
        parts(0x60, &[integer(3), string(name), element(0x80, b"")]),
        parts(0x63, &search),
        parts(0x66, &[string(name), sequence(&[])]),
        parts(0x68, &[string(name), sequence(&[])]),
        element(0x4a, name),
        parts(0x6c, &[string(name), string("uid=a"), boolean(true)]),
        parts(0x6c, &[string("uid=a"), string(name), boolean(true)]),
        parts(0x6c, &[string("uid=a"), string("uid=b"), boolean(true), element(0x80, name)]),
        parts(0x6e, &[string(name), sequence(&[string("cn"), string("")])]),
    ] {
        let tag = operation[0];
        let error = refused(&message(operation));
        assert_eq!((error.code, error.operation_tag), (ResultCode::INVALID_DN_SYNTAX, Some(tag)));
    }
}

#[test]
fn attribute_to_write_or_compare_that_is_not_utf8_is_undefined_attribute_type() {
    let name = string(b"c\xffn");
    for operation in [
        parts(
            0x66,
            &[string(""), sequence(&[sequence(&[enumerated(2), sequence(&[name.clone(), element(0x31, b"")])])])],
        ),
        parts(0x68, &[string(""), sequence(&[sequence(&[name.clone(), parts(0x31, &[string("x")])])])]),
        parts(0x6e, &[string(""), sequence(&[name, string("x")])]),
    ] {
        assert_eq!(refused(&message(operation)).code, ResultCode::UNDEFINED_ATTRIBUTE_TYPE);
    }
}

/// RFC 4511 4.3: the content is NULL.
#[test]
fn unbind_with_content_ends_the_session() {
    let error = fatal(&message(element(0x42, &[0])));
    assert_eq!((error.message_id, error.operation_tag), (Some(7), Some(0x42)));
}

/// RFC 4511 4.5.1, with subordinate scope as the fourth.
#[test]
fn search_decodes_with_every_scope_and_alias_choice() {
    let scopes = [Scope::Base, Scope::OneLevel, Scope::Subtree, Scope::Subordinate];
    let derefs = [DerefAliases::Never, DerefAliases::InSearching, DerefAliases::FindingBase, DerefAliases::Always];
    for number in 0..4_i8 {
        let mut fields = search_parts(present("objectClass"));
        fields[1] = enumerated(number);
        fields[2] = enumerated(number);
        fields[3] = element(2, &[0x7f, 0xff, 0xff, 0xff]);
        fields[4] = integer(60);
        fields[5] = boolean(true);
        fields[7] = sequence(&[string("cn"), string(""), string("1.1"), string(b"\xff")]);
        let pdu = message(parts(0x63, &fields));
        let want = SearchRequest {
            base: "dc=example",
            scope: scopes[number as usize],
            deref: derefs[number as usize],
            size_limit: 2_147_483_647,
            time_limit: 60,
            types_only: true,
            filter: Filter::Present("objectClass".into()),
            attributes: vec!["cn", "", "1.1", ""],
        };
        assert_eq!(request(&pdu), Request::Search(want));
    }
}

#[test]
fn search_with_unknown_choice_or_negative_limit_is_protocol_error() {
    for (field, value) in [
        (1, enumerated(4)),
        (1, enumerated(-1)),
        (2, enumerated(4)),
        (3, integer(-1)),
        (4, integer(-1)),
        (3, element(2, &[0, 0x80, 0, 0, 0])),
    ] {
        let mut fields = search_parts(present("cn"));
        fields[field] = value;
        assert_eq!(refused(&message(parts(0x63, &fields))).code, ResultCode::PROTOCOL_ERROR);
    }
}

#[test]
fn search_with_any_part_missing_or_doubled_is_refused() {
    let fields = search_parts(present("cn"));
    for part in 0..fields.len() {
        let mut missing = fields.clone();
        missing.remove(part);
        assert!(Message::decode(&message(parts(0x63, &missing))).is_err(), "part {part} missing");
        let mut doubled = fields.clone();
        doubled.insert(part, fields[part].clone());
        assert!(Message::decode(&message(parts(0x63, &doubled))).is_err(), "part {part} doubled");
    }
}

#[test]
fn more_attributes_than_the_limit_are_refused() {
    let mut fields = search_parts(present("cn"));
    fields[7] = sequence(&vec![string("a"); SEARCH_ATTRIBUTES_MAX]);
    decode(&message(parts(0x63, &fields)));
    fields[7] = sequence(&vec![string("a"); SEARCH_ATTRIBUTES_MAX + 1]);
    assert_eq!(refused(&message(parts(0x63, &fields))).code, ResultCode::PROTOCOL_ERROR);
}

/// RFC 4511 4.5.1.7, written back by RFC 4515.
#[test]
fn every_filter_decodes() {
    for (filter, want) in [
        (assertion(0xa3, "uid", "ann"), "(uid=ann)"),
        (assertion(0xa5, "uid", "ann"), "(uid>=ann)"),
        (assertion(0xa6, "uid", "ann"), "(uid<=ann)"),
        (assertion(0xa8, "uid", "ann"), "(uid~=ann)"),
        (present("cn;lang-de"), "(cn;lang-de=*)"),
        (parts(0xa0, &[present("a"), present("b")]), "(&(a=*)(b=*))"),
        (parts(0xa1, &[present("a"), parts(0xa2, &[present("b")])]), "(|(a=*)(!(b=*)))"),
        // RFC 4526.
        (element(0xa0, b""), "(&)"),
        (element(0xa1, b""), "(|)"),
        (parts(0xa4, &[string("cn"), sequence(&[element(0x80, b"a")])]), "(cn=a*)"),
        (parts(0xa4, &[string("cn"), sequence(&[element(0x81, b"a"), element(0x81, b"b")])]), "(cn=*a*b*)"),
        (parts(0xa4, &[string("cn"), sequence(&[element(0x82, b"a")])]), "(cn=*a)"),
        (parts(0xa9, &[element(0x82, b"cn"), element(0x83, b"a")]), "(cn:=a)"),
        (parts(0xa9, &[element(0x81, b"2.5.13.2"), element(0x83, b"")]), "(:2.5.13.2:=)"),
        (parts(0xa9, &[element(0x82, b"cn"), element(0x83, b"a"), element(0x84, &[0xff])]), "(cn:dn:=a)"),
        (parts(0xa9, &[element(0x82, b"cn"), element(0x83, b"a"), element(0x84, &[0])]), "(cn:=a)"),
    ] {
        let pdu = search(filter);
        assert_eq!(filter_of(&pdu).to_string(), want);
    }
}

/// Photos, certificates and binary identifiers are asserted too.
#[test]
fn assertion_value_is_bytes() {
    let pdu = search(assertion(0xa3, "objectGUID", [0xff, 0, 0x80]));
    let Filter::Equality(assertion) = filter_of(&pdu) else { panic!() };
    assert_eq!(&*assertion.value, [0xff, 0, 0x80]);
}

/// RFC 4511 4.5.1.7: an attribute that is not recognised makes its filter Undefined, not the request wrong.
#[test]
fn attribute_or_rule_in_a_filter_that_is_not_utf8_is_an_unknown_one() {
    let pdu = search(parts(0xa1, &[present("cn"), assertion(0xa3, b"c\xff", "x"), element(0x87, b"\xfe")]));
    let Filter::Or(filters) = filter_of(&pdu) else { panic!() };
    let Filter::Equality(assertion) = &filters[1] else { panic!() };
    assert_eq!(assertion.attribute, "");
    assert_eq!(filters[2], Filter::Present("".into()));
    let pdu = search(parts(0xa9, &[element(0x81, b"\xff"), element(0x82, b"\xff"), element(0x83, b"x")]));
    let Filter::Extensible(extensible) = filter_of(&pdu) else { panic!() };
    assert_eq!((extensible.rule.as_deref(), extensible.attribute.as_deref()), (Some(""), Some("")));
}

#[test]
fn not_takes_one_filter() {
    fatal(&search(parts(0xa2, &[present("a"), present("b")])));
    fatal(&search(element(0xa2, b"")));
}

/// RFC 4511 4.5.1.7.2.
#[test]
fn substrings_are_at_least_one_and_in_order() {
    let substrings = |list: &[Vec<u8>]| search(parts(0xa4, &[string("cn"), sequence(list)]));
    let (initial, any, last) = (element(0x80, b"i"), element(0x81, b"a"), element(0x82, b"f"));
    for list in [
        vec![],
        vec![any.clone(), initial.clone()],
        vec![initial.clone(), initial.clone()],
        vec![last.clone(), any.clone()],
        vec![last.clone(), last.clone()],
        vec![last.clone(), initial.clone()],
        vec![element(0x82, b""), any.clone()],
        vec![element(0x80, b""), initial.clone()],
        vec![element(0x83, b"x")],
        vec![string("x")],
        vec![any.clone(); SUBSTRING_PARTS_MAX + 1],
    ] {
        assert_eq!(refused(&substrings(&list)).code, ResultCode::PROTOCOL_ERROR);
    }
    decode(&substrings(&vec![any; SUBSTRING_PARTS_MAX]));
    assert_eq!(filter_of(&substrings(&[initial, last])).to_string(), "(cn=i*f)");
}

/// Clients that build `(cn=*x**)` from an empty field.
#[test]
fn empty_substring_constrains_nothing() {
    let substrings = |list: &[Vec<u8>]| search(parts(0xa4, &[string("cn"), sequence(list)]));
    let empty = element(0x81, b"");
    let pdu = substrings(&[element(0x80, b""), element(0x81, b"x"), empty.clone(), element(0x82, b"")]);
    assert_eq!(filter_of(&pdu).to_string(), "(cn=*x*)");
    let pdu = substrings(&[empty.clone(), empty]);
    assert_eq!(filter_of(&pdu).to_string(), "(cn=*)");
}

/// RFC 4511 4.5.1.7.7.
#[test]
fn extensible_filter_has_a_value_and_a_rule_or_an_attribute() {
    for list in [
        vec![element(0x81, b"r"), element(0x82, b"cn")],
        vec![element(0x83, b"x")],
        vec![element(0x83, b"x"), element(0x84, &[0xff])],
        vec![],
    ] {
        assert_eq!(refused(&search(parts(0xa9, &list))).code, ResultCode::PROTOCOL_ERROR);
    }
    for list in [
        vec![element(0x82, b"cn"), element(0x83, b"x"), element(0x81, b"r")],
        vec![element(0x82, b"cn"), element(0x83, b"x"), element(0x83, b"y")],
        vec![element(0x82, b"cn"), element(0x83, b"x"), element(0x84, b"")],
        vec![element(0x82, b"cn"), element(0x83, b"x"), boolean(true)],
    ] {
        fatal(&search(parts(0xa9, &list)));
    }
}

#[test]
fn unknown_filter_is_protocol_error() {
    for tag in [0xaa, 0x80, 0x83, 0x04, 0x30, 0xa7] {
        assert_eq!(refused(&search(element(tag, b""))).code, ResultCode::PROTOCOL_ERROR);
    }
}

#[test]
fn filter_is_nested_up_to_the_limit_and_no_deeper() {
    let nested = |depth: usize| (1..depth).fold(present("a"), |filter, _| parts(0xa2, &[filter]));
    decode(&search(nested(FILTER_DEPTH_MAX)));
    let error = refused(&search(nested(FILTER_DEPTH_MAX + 1)));
    assert_eq!(error.code, ResultCode::PROTOCOL_ERROR);
    refused(&search(nested(10_000)));
}

#[test]
fn filter_has_components_up_to_the_limit_and_no_more() {
    let wide = |count: usize| parts(0xa1, &vec![present("a"); count - 1]);
    decode(&search(wide(FILTER_NODES_MAX)));
    assert_eq!(refused(&search(wide(FILTER_NODES_MAX + 1))).code, ResultCode::PROTOCOL_ERROR);
}

/// RFC 4511 4.6, RFC 4525.
#[test]
fn modify_decodes_in_order() {
    let corpus = corpus();
    let (_, pdu) = corpus.iter().find(|(name, _)| *name == "modify").unwrap();
    let Request::Modify(modify) = request(pdu) else { panic!() };
    assert_eq!(modify.dn, "uid=ann,dc=example");
    let lines: Vec<_> = modify.modifications.iter().map(|line| (line.kind, line.values.clone())).collect();
    assert_eq!(
        lines,
        [
            (ModificationKind::Add, vec![&b"a@x"[..], b"b@x"]),
            (ModificationKind::Delete, vec![]),
            (ModificationKind::Replace, vec![b"c@x"]),
            (ModificationKind::Increment, vec![b"1"]),
        ]
    );
    assert!(modify.modifications.iter().all(|line| line.attribute == "mail"));
}

#[test]
fn modification_without_its_values_or_of_unknown_kind_is_protocol_error() {
    for (kind, values) in
        [(0, vec![]), (3, vec![]), (3, vec![string("1"), string("2")]), (4, vec![string("1")]), (-1, vec![])]
    {
        let line = sequence(&[enumerated(kind), sequence(&[string("a"), parts(0x31, &values)])]);
        let error = refused(&message(parts(0x66, &[string(""), sequence(&[line])])));
        assert_eq!(error.code, ResultCode::PROTOCOL_ERROR);
    }
}

/// RFC 4511 4.7, 4.1.7: an attribute of an entry has values.
#[test]
fn add_of_an_attribute_without_values_is_protocol_error() {
    let item = sequence(&[string("cn"), element(0x31, b"")]);
    let error = refused(&message(parts(0x68, &[string("cn=a"), sequence(&[item])])));
    assert_eq!(error.code, ResultCode::PROTOCOL_ERROR);
}

#[test]
fn add_keeps_repeated_attributes_apart_for_the_operation_to_judge() {
    let item = sequence(&[string("cn"), parts(0x31, &[string("a")])]);
    let pdu = message(parts(0x68, &[string("cn=a"), sequence(&[item.clone(), item])]));
    let Request::Add(add) = request(&pdu) else { panic!() };
    assert_eq!(add.attributes.len(), 2);
}

/// RFC 4511 4.9: an absent new superior leaves the entry where it is, an empty one is the root.
#[test]
fn absent_and_empty_new_superior_differ() {
    let fields = [string("uid=a"), string("uid=b"), boolean(false)];
    let pdu = message(parts(0x6c, &fields));
    let Request::ModifyDn(modify_dn) = request(&pdu) else { panic!() };
    assert_eq!((modify_dn.delete_old_rdn, modify_dn.new_superior), (false, None));
    let pdu = message(parts(0x6c, &[fields.concat(), element(0x80, b"")]));
    let Request::ModifyDn(modify_dn) = request(&pdu) else { panic!() };
    assert_eq!(modify_dn.new_superior, Some(""));
}

/// A move must not become a rename because its target is written another way.
#[test]
fn new_superior_in_another_form_ends_the_session() {
    for tag in [0xa0, 0x04, 0x30] {
        fatal(&message(parts(0x6c, &[string("uid=a"), string("uid=b"), boolean(false), element(tag, b"")])));
    }
}

#[test]
fn abandon_of_a_negative_id_is_protocol_error() {
    assert_eq!(refused(&message(element(0x50, &[0xff]))).code, ResultCode::PROTOCOL_ERROR);
    assert_eq!(request(&message(element(0x50, &[0]))), Request::Abandon(0));
}

#[test]
fn extended_request_keeps_its_value_undecoded() {
    let pdu = message(parts(0x77, &[element(0x80, b"1.2.3"), element(0x81, b"\xff")]));
    assert_eq!(request(&pdu), Request::Extended(ExtendedRequest { name: "1.2.3", value: Some(b"\xff") }));
    let pdu = message(parts(0x77, &[element(0x80, b"1.2.3")]));
    assert_eq!(request(&pdu), Request::Extended(ExtendedRequest { name: "1.2.3", value: None }));
    assert_eq!(refused(&message(parts(0x77, &[element(0x80, b"\xff")]))).code, ResultCode::PROTOCOL_ERROR);
    fatal(&message(parts(0x77, &[element(0x81, b"x")])));
}

/// RFC 4511 4.1.1.1.
#[test]
fn message_id_is_between_1_and_2147483647() {
    let delete = element(0x4a, b"");
    for id in [integer(0), integer(-1), element(2, &[0, 0x80, 0, 0, 0]), element(2, b""), string("7")] {
        let error = fatal(&sequence(&[id, delete.clone()]));
        assert_eq!((error.message_id, error.operation_tag), (None, None));
    }
    assert_eq!(decode(&sequence(&[element(2, &[0x7f, 0xff, 0xff, 0xff]), delete])).id, i32::MAX);
}

/// RFC 4511 4.1.1: an operation that is no request ends the session; the error still knows what it was.
#[test]
fn unknown_operation_ends_the_session() {
    for tag in [0x61, 0x64, 0x65, 0x78, 0x70, 0x40, 0x62, 0x6a, 0x04, 0x30] {
        let error = fatal(&message(element(tag, b"")));
        assert_eq!((error.message_id, error.operation_tag), (Some(7), Some(tag)));
    }
}

/// RFC 4511 4: unknown trailing components of a SEQUENCE are ignored.
#[test]
fn unknown_component_at_the_end_of_an_operation_is_ignored() {
    let extension = element(0x9e, b"new");
    let mut fields = search_parts(present("cn"));
    fields.push(extension.clone());
    decode(&message(parts(0x63, &fields)));
    decode(&message(parts(0x60, &[integer(3), string(""), element(0x80, b""), extension.clone()])));
    decode(&message(parts(0x6c, &[string("a=b"), string("a=c"), boolean(true), extension])));
}

/// RFC 4511 4.1.11.
#[test]
fn controls_keep_order_criticality_and_value() {
    let pdu = with_controls(&[
        sequence(&[string("1.1")]),
        sequence(&[string("1.2"), boolean(true)]),
        sequence(&[string("1.3"), boolean(false), string("")]),
        sequence(&[string("1.4"), string("\u{0}")]),
    ]);
    let controls = decode(&pdu).controls;
    let list: Vec<_> = controls.iter().map(|control| (control.oid, control.critical, control.value)).collect();
    assert_eq!(
        list,
        [("1.1", false, None), ("1.2", true, None), ("1.3", false, Some(&b""[..])), ("1.4", false, Some(b"\0"))]
    );
    assert_eq!(controls.len(), 4);
    assert!(controls.find("1.2").unwrap().critical);
    assert_eq!(controls.find("1.5"), None);
    assert!(decode(&with_controls(&[])).controls.is_empty());
}

#[test]
fn seventeen_controls_are_protocol_error() {
    let controls: Vec<_> =
        (0..=control::CONTROLS_MAX).map(|number| sequence(&[string(format!("1.{number}"))])).collect();
    assert_eq!(decode(&with_controls(&controls[1..])).controls.len(), control::CONTROLS_MAX);
    assert_eq!(refused(&with_controls(&controls)).code, ResultCode::PROTOCOL_ERROR);
}

#[test]
fn control_that_comes_twice_is_protocol_error() {
    let control = sequence(&[string("1.2.3")]);
    let other = sequence(&[string("1.2"), boolean(true)]);
    let again = sequence(&[string("1.2.3"), boolean(true)]);
    assert_eq!(refused(&with_controls(&[control, other, again])).code, ResultCode::PROTOCOL_ERROR);
}

#[test]
fn control_type_that_is_not_utf8_is_protocol_error() {
    assert_eq!(refused(&with_controls(&[sequence(&[string(b"\xff")])])).code, ResultCode::PROTOCOL_ERROR);
}

/// A critical control must not vanish because of where or how it stands.
#[test]
fn control_list_in_the_wrong_wrapper_ends_the_session() {
    let control = sequence(&[string("1.2.3"), boolean(true)]);
    for tag in [0xa1, 0x80, 0x30, 0xbe] {
        let pdu = sequence(&[integer(7), element(0x4a, b"uid=a"), parts(tag, std::slice::from_ref(&control))]);
        fatal(&pdu);
    }
    for broken in [
        sequence(&[string("1.2.3"), string("x"), boolean(true)]),
        sequence(&[boolean(true), string("1.2.3")]),
        sequence(&[string("1.2.3"), boolean(true), string("x"), string("y")]),
        sequence(&[]),
        string("1.2.3"),
    ] {
        fatal(&with_controls(&[control.clone(), broken]));
    }
}

#[test]
fn control_values_are_parsed_on_demand() {
    use control::*;
    for (size, cookie) in [(0, &b""[..]), (i32::MAX, b"\xff\0"), (500, &[7; 300])] {
        let paged = PagedResults { size, cookie };
        assert_eq!(PagedResults::decode(&paged.encode()), Ok(paged));
    }
    for value in
        [&[0x30, 5, 2, 1, 0xff, 4, 0][..], &[0x30, 3, 2, 1, 5], &[0x30, 5, 2, 1, 5, 4, 0, 0], &[], &[0x30, 2, 4, 0]]
    {
        assert_eq!(PagedResults::decode(value).unwrap_err().code, ResultCode::PROTOCOL_ERROR);
    }
    let filter = assertion(0xa3, "uid", "ann");
    assert_eq!(assertion_filter(&filter).unwrap().to_string(), "(uid=ann)");
    for value in [&[][..], &[0xa2, 0], &[0x87, 1, b'a', 0]] {
        assert_eq!(assertion_filter(value).unwrap_err().code, ResultCode::PROTOCOL_ERROR);
    }
    let deep = (1..=FILTER_DEPTH_MAX).fold(present("a"), |filter, _| parts(0xa2, &[filter]));
    assert!(assertion_filter(&deep).is_err());
    assert_eq!(read_entry_selection(&sequence(&[string("cn"), string("+")])), Ok(vec!["cn", "+"]));
    assert!(read_entry_selection(&string("cn")).is_err());
    let absent = Control { oid: PAGED_RESULTS, critical: true, value: None };
    assert_eq!(absent.required_value().unwrap_err().code, ResultCode::PROTOCOL_ERROR);
}

/// RFC 4511 4: an extension of a control is passed over and its value stays; found by `tests/fuzz`, where `ldap3_proto` takes the
/// extension for the value.
#[test]
fn extension_of_a_control_does_not_hide_its_value() {
    let control = sequence(&[string("1.2.3"), boolean(true), string("value"), element(0x81, b"x")]);
    let pdu = with_controls(&[control]);
    let read = decode(&pdu).controls.find("1.2.3").unwrap();
    assert_eq!((read.critical, read.value), (true, Some(&b"value"[..])));
}

/// Logs print requests with `Debug`.
#[test]
fn values_are_not_shown() {
    for (name, pdu) in corpus() {
        let shown = format!("{:?}", decode(&pdu));
        for secret in ["secret", "a@x", "115, 101"] {
            assert!(!shown.contains(secret), "{name}: {shown}");
        }
    }
}
