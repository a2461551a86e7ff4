//! Conversations with a directory, through the same functions that the door calls.
//!
//! What the server makes up in a conversation (a nonce, the cookie of a page, the name of a transaction) cannot stand in a
//! seed, so inputs hold a mark of the same length, which is replaced by what came.

use std::cell::RefCell;
use std::sync::{LazyLock, Mutex, PoisonError};

use entente::wire::control as oid;
use entente::wire::transaction::{END_TRANSACTION, START_TRANSACTION, TRANSACTION};
use entente::wire::{Authentication, BindRequest, extended};

use super::house::{ANN, BOB, House, NONE, SUFFIX, Who, answers};
use super::{messages, secrets};
use crate::build::{self, boolean, element, enumerated, integer, message, parts, sequence, string};
use crate::wire::{Message, Request};

/// Ends one message of a SASL exchange; no UTF-8 has it.
const END: u8 = 0xfe;
/// Stands for the server's nonce, and for the proof that goes with the rest.
const NONCE_MARK: &str = "@NONCE@";
/// Stands for what the last page brought.
const COOKIE_MARK: &[u8; 16] = b"@@paged-cookie@@";
/// Stands for the transaction that was begun.
const TRANSACTION_MARK: &[u8; 16] = b"@@@transaction@@";
/// Inputs that one directory takes before it is looked through and made anew.
const INPUTS_OF_A_HOUSE: u32 = 4_096;
/// One of so many inputs has its passwords hashed.
const HASHED_ONE_IN: usize = 64;

static READ_ONLY: LazyLock<Mutex<House>> = LazyLock::new(|| Mutex::new(House::new()));

const MECHANISMS: [&str; 7] =
    ["EXTERNAL", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "GSSAPI"];

/// The mechanism's place among [`MECHANISMS`], then messages, each but the last ended by 0xFE.
pub(super) fn sasl_seeds() -> Vec<Vec<u8>> {
    let talk = |mechanism: u8, messages: &[&[u8]]| [&[mechanism][..], &messages.join(&END)].concat();
    let mut seeds = vec![
        talk(0, &[b""]),
        talk(0, &[b"dn:uid=ann,ou=people,dc=example,dc=com"]),
        talk(1, &[b"\0ann\0ann-secret"]),
        talk(1, &[b"u:bob\0dn:uid=ann,ou=people,dc=example,dc=com\0ann-secret"]),
        talk(2, &[b"n,,n=ann,r=fyko+d2lbbFgONRv9qkxdawL", b"c=biws,r=@NONCE@,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="]),
        talk(3, &[b"y,a=u:bob,n=dn:uid=3Dann=2Cdc=3Dx,r=abc,x=y", b"c=eSxhPXU6Ym9iLA==,r=@NONCE@,p=AAAA"]),
        talk(4, &[b"p=tls-exporter,,n=ann,r=abc"]),
        talk(5, &[b"n,a=u:ann,\x01host=h\x01port=389\x01auth=Bearer e30.e30.AA\x01\x01", b"\x01"]),
        talk(6, &[b"anything"]),
    ];
    // A token that is taken.
    for token in secrets::token_seeds() {
        let token = secrets::signed(&token);
        seeds.push(talk(5, &[format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}").as_bytes()]));
    }
    seeds
}

/// A conversation by any mechanism: each message gets one answer of the right kind, and nobody is let in by a message that is
/// not one of the seeds' proofs.
pub(super) fn sasl_bind(input: &[u8]) -> bool {
    let Some((number, messages)) = input.split_first() else { return false };
    let mechanism = MECHANISMS[usize::from(*number) % MECHANISMS.len()];
    let house = READ_ONLY.lock().unwrap_or_else(PoisonError::into_inner);
    let mut session = house.session(Who::Anonymous);
    let mut nonce = String::new();
    let mut went_on = false;
    for credentials in messages.split(|byte| *byte == END).take(4) {
        let credentials = replaced(credentials, NONCE_MARK.as_bytes(), nonce.as_bytes());
        let request = BindRequest {
            version: 3,
            name: "",
            authentication: Authentication::Sasl { mechanism, credentials: Some(&credentials) },
        };
        let message = Message { id: 7, request: Request::Bind(request), controls: NONE };
        // PLAIN may cost an Argon2id; the others cost one iteration.
        let out = house.perform(&mut session, &message, mechanism != "PLAIN");
        if out.is_empty() {
            assert_eq!(mechanism, "PLAIN");
            return true;
        }
        assert_eq!(answers(&out), [0x61]);
        went_on |= session.exchange.is_some() || !session.requester.is_anonymous();
        if !session.requester.is_anonymous() {
            let is_proved = match mechanism {
                "OAUTHBEARER" => contains(&credentials, b"eyJ"),
                "PLAIN" => credentials.ends_with(b"-secret"),
                _ => false,
            };
            assert!(
                is_proved,
                "{mechanism} lets in {:?} as {:?}",
                credentials.escape_ascii().to_string(),
                session.requester
            );
        }
        nonce = String::from_utf8_lossy(&out)
            .split_once("r=")
            .and_then(|(_, rest)| rest.split(',').next().map(str::to_owned))
            .unwrap_or_default();
        if session.exchange.is_none() {
            break;
        }
    }
    went_on
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn replaced(text: &[u8], mark: &[u8], by: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(by);
        rest = &rest[at + mark.len()..];
    }
    out.extend_from_slice(rest);
    out
}

fn with_controls(operation: Vec<u8>, controls: &[Vec<u8>]) -> Vec<u8> {
    sequence(&[integer(7), operation, parts(0xa0, controls)])
}

fn search_with(base: &str, filter: Vec<u8>, controls: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut parts_of = build::search_parts(filter);
    parts_of[0] = string(base);
    parts_of[7] = sequence(&[]);
    let controls: Vec<_> =
        controls.iter().map(|(oid, value)| sequence(&[string(oid), boolean(true), string(value)])).collect();
    if controls.is_empty() { message(parts(0x63, &parts_of)) } else { with_controls(parts(0x63, &parts_of), &controls) }
}

/// Who asks (0 nobody, 1 ann, 2 the administrator), then requests.
pub(super) fn reading_seeds() -> Vec<Vec<u8>> {
    let said = |who: u8, requests: &[Vec<u8>]| [&[who][..], &requests.concat()].concat();
    let everything = || build::present("objectClass");
    let mut seeds = vec![
        said(0, &[search_with(SUFFIX, build::assertion(0xa3, "uid", "ann"), &[])]),
        said(
            1,
            &[
                search_with(SUFFIX, everything(), &[(oid::PAGED_RESULTS, sequence(&[integer(3), string("")]))]),
                search_with(
                    SUFFIX,
                    everything(),
                    &[(oid::PAGED_RESULTS, sequence(&[integer(3), string(COOKIE_MARK)]))],
                ),
            ],
        ),
        said(2, &[search_with("cn=monitor", everything(), &[])]),
        said(2, &[search_with("", everything(), &[]), search_with("cn=subschema", everything(), &[])]),
        said(2, &[search_with("cn=changelog", build::assertion(0xa5, "changeNumber", "1"), &[])]),
        said(1, &[message(parts(0x6e, &[string(ANN), sequence(&[string("sn"), string("Example")])]))]),
        said(1, &[message(parts(0x77, &[element(0x80, extended::WHO_AM_I.as_bytes())]))]),
        said(0, &[message(parts(0x60, &[integer(3), string("cn=nobody"), element(0x80, b"")]))]),
    ];
    let controls = messages::control_seeds();
    for value in &controls {
        let Some((number, value)) = value.split_first() else { continue };
        let oid = entente::operation::control::SUPPORTED_CONTROLS[usize::from(*number)];
        seeds.push(said(1, &[search_with(SUFFIX, build::assertion(0xa3, "sn", "smith"), &[(oid, value.to_vec())])]));
    }
    let sort = sequence(&[sequence(&[string("sn")])]);
    let view = sequence(&[integer(1), integer(2), parts(0xa0, &[integer(3), integer(9)])]);
    let both = [(oid::SORT_REQUEST, sort), (oid::LIST_VIEW_REQUEST, view)];
    seeds.push(said(2, &[search_with(SUFFIX, everything(), &both)]));
    for pdu in build::corpus() {
        seeds.push([&[1][..], &pdu.1].concat());
    }
    seeds
}

/// Splits off the requests of an input.
fn requests(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Ok(Some(length)) = crate::wire::frame_length(bytes, bytes.len()) {
        let (frame, rest) = bytes.split_at(length);
        frames.push(frame);
        bytes = rest;
    }
    frames
}

/// Requests that change nothing: each gets its answers, the last of them final, and none is an internal fault.
pub(super) fn reading(input: &[u8]) -> bool {
    let Some((who, rest)) = input.split_first() else { return false };
    let house = READ_ONLY.lock().unwrap_or_else(PoisonError::into_inner);
    converse(&house, Who::of(*who), rest, false)
}

/// Who asks, then requests that change things too.
pub(super) fn writing_seeds() -> Vec<Vec<u8>> {
    let said = |who: u8, requests: &[Vec<u8>]| [&[who][..], &requests.concat()].concat();
    let attribute = |name: &str, values: &[&str]| {
        sequence(&[string(name), parts(0x31, &values.iter().map(string).collect::<Vec<_>>())])
    };
    let add = |dn: &str, attributes: &[(&str, &[&str])]| {
        let list: Vec<_> = attributes.iter().map(|(name, values)| attribute(name, values)).collect();
        message(parts(0x68, &[string(dn), sequence(&list)]))
    };
    let modify = |dn: &str, steps: &[(i8, &str, &[&str])]| {
        let list: Vec<_> =
            steps.iter().map(|(kind, name, values)| sequence(&[enumerated(*kind), attribute(name, values)])).collect();
        message(parts(0x66, &[string(dn), sequence(&list)]))
    };
    let person = format!("uid=new,ou=people,{SUFFIX}");
    let policy = format!("cn=policy,{SUFFIX}");
    let in_transaction = |operation: Vec<u8>| {
        with_controls(operation, &[sequence(&[string(TRANSACTION), boolean(true), string(TRANSACTION_MARK)])])
    };
    vec![
        said(
            2,
            &[add(
                &person,
                &[("objectClass", &["inetOrgPerson"]), ("uid", &["new"]), ("cn", &["New"]), ("sn", &["New"])],
            )],
        ),
        said(
            2,
            &[modify(BOB, &[(0, "mail", &["b@x"]), (1, "title", &[]), (2, "sn", &["B"]), (3, "uidNumber", &["1"])])],
        ),
        said(2, &[modify(BOB, &[(2, "userPassword", &["secret"])])]),
        said(
            1,
            &[message(parts(0x6c, &[string(BOB), string("uid=rob"), boolean(true), element(0x80, SUFFIX.as_bytes())]))],
        ),
        said(2, &[message(element(0x4a, BOB.as_bytes()))]),
        said(
            2,
            &[add(
                &policy,
                &[
                    ("objectClass", &["subentry", "pwdPolicy"]),
                    ("cn", &["policy"]),
                    ("subtreeSpecification", &["{ base \"ou=people\" }"]),
                    ("pwdAttribute", &["userPassword"]),
                    ("pwdMaxAge", &["86400"]),
                    ("pwdMaxFailure", &["3"]),
                    ("pwdLockout", &["TRUE"]),
                    ("pwdMinLength", &["8"]),
                ],
            )],
        ),
        said(2, &[modify(SUFFIX, &[(0, "uniqueAttribute", &["uid+mail (objectClass=inetOrgPerson)"])])]),
        said(
            2,
            &[modify(
                "cn=subschema",
                &[
                    (
                        0,
                        "attributeTypes",
                        &["( 1.3.9.1 NAME 'fuzzed' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )"],
                    ),
                    (0, "objectClasses", &["( 1.3.9.2 NAME 'fuzzer' AUXILIARY MAY ( fuzzed $ cn ) )"]),
                ],
            )],
        ),
        said(2, &[modify("cn=subschema", &[(1, "attributeTypes", &["( 1.3.9.1 )"])])]),
        said(
            2,
            &[modify(
                SUFFIX,
                &[(0, "aci", &["(targetattr=\"*\")(version 3.0; acl \"x\"; allow (write) userdn=\"ldap:///self\";)"])],
            )],
        ),
        said(
            2,
            &[
                message(parts(0x77, &[element(0x80, START_TRANSACTION.as_bytes())])),
                in_transaction(element(0x4a, BOB.as_bytes())),
                message(parts(
                    0x77,
                    &[
                        element(0x80, END_TRANSACTION.as_bytes()),
                        element(0x81, &sequence(&[boolean(true), string(TRANSACTION_MARK)])),
                    ],
                )),
            ],
        ),
        said(
            1,
            &[message(parts(
                0x77,
                &[
                    element(0x80, extended::PASSWORD_MODIFY.as_bytes()),
                    element(0x81, &sequence(&[element(0x80, BOB.as_bytes()), element(0x82, b"new-secret")])),
                ],
            ))],
        ),
        said(
            2,
            &[with_controls(
                parts(0x66, &[string(BOB), sequence(&[sequence(&[enumerated(2), attribute("title", &["x"])])])]),
                &[
                    sequence(&[string(oid::POST_READ), boolean(true), string(sequence(&[string("*"), string("+")]))]),
                    sequence(&[string(oid::ASSERTION), boolean(true), string(build::present("cn"))]),
                    sequence(&[string(oid::PERMISSIVE_MODIFY)]),
                ],
            )],
        ),
        said(
            2,
            &[with_controls(
                element(0x4a, format!("ou=people,{SUFFIX}").as_bytes()),
                &[sequence(&[string(oid::TREE_DELETE), boolean(true)])],
            )],
        ),
        said(
            2,
            &[add(
                &format!("cn=dyn,{SUFFIX}"),
                &[
                    ("objectClass", &["groupOfURLs"]),
                    ("cn", &["dyn"]),
                    ("memberURL", &["ldap:///dc=example,dc=com??sub?(title=Engineer)"]),
                ],
            )],
        ),
    ]
}

struct Written {
    house: House,
    inputs: u32,
}

/// As [`reading`], with changes; now and then everything that follows from the entries is computed anew and compared.
pub(super) fn writing(input: &[u8]) -> bool {
    thread_local! {
        static WRITTEN: RefCell<Option<Written>> = const { RefCell::new(None) };
    }
    let Some((who, rest)) = input.split_first() else { return false };
    WRITTEN.with_borrow_mut(|written| {
        if written.as_ref().is_some_and(|written| written.inputs >= INPUTS_OF_A_HOUSE) {
            *written = None;
        }
        let written = written.get_or_insert_with(|| Written { house: House::new(), inputs: 0 });
        written.inputs += 1;
        let is_done = converse(&written.house, Who::of(*who), rest, rest.len() % HASHED_ONE_IN == 0);
        if written.inputs % 512 == 0 {
            written.house.check();
        }
        is_done
    })
}

fn converse(house: &House, who: Who, bytes: &[u8], hashes: bool) -> bool {
    let mut session = house.session(who);
    let (mut cookie, mut transaction) = (Vec::new(), Vec::new());
    let mut is_done = false;
    let bytes = bytes.to_vec();
    for frame in requests(&bytes).into_iter().take(8) {
        let mut frame = frame.to_vec();
        if cookie.len() == COOKIE_MARK.len() {
            frame = replaced(&frame, COOKIE_MARK, &cookie);
        }
        if transaction.len() == TRANSACTION_MARK.len() {
            frame = replaced(&frame, TRANSACTION_MARK, &transaction);
        }
        let Ok(request) = Message::decode(&frame) else { break };
        let out = house.perform(&mut session, &request, hashes);
        let tags = answers(&out);
        if let Some((last, others)) = tags.split_last() {
            assert!(![0x64, 0x73, 0x79].contains(last), "{request:?} ends with {last:#04x}");
            assert!(
                others.iter().all(|tag| [0x64, 0x73, 0x79].contains(tag)),
                "{request:?} is answered twice: {tags:x?}"
            );
        }
        is_done |= contains(&out, &[0x0a, 0x01, 0x00, 0x04, 0x00]);
        // The last sixteen octets of an answer are the cookie, or the name of the transaction, where there is one.
        let tail = out.get(out.len().saturating_sub(16)..).unwrap_or_default().to_vec();
        match &request.request {
            Request::Search(_) => cookie = tail,
            Request::Extended(request) if request.name == START_TRANSACTION => transaction = tail,
            _ => {}
        }
    }
    is_done
}
