//! The targets: a name, seeds that are accepted, and a function that panics when a property does not hold.

use std::sync::{Arc, LazyLock};

use bytes::BytesMut;
use entente::policy::access::AccessCompiler;
use entente::policy::aci::Aci;
use entente::policy::password_hash::{self, Verdict};
use entente::schema::definition::{
    AttributeTypeDefinition, ContentRuleDefinition, ObjectClassDefinition, SyntaxDefinition,
};
use entente::schema::{MatchingRule, RuleKind, Schema, SchemaSource, SubstringPart, Syntax};
use entente::replication::codec::MessageCodec;
use entente::replication::message::{
    Ack, Beacon, Echo, Hello, Interest, Moment, PeerError, Push, Row, Snapshot, Standing, VERSIONS,
};
use entente::replication::{MemberState, Message as PeerMessage, NodeId, Role};
use entente::state::{BucketSum, Csn, Dot, OriginId, OriginPosition, PortableEntry, UpdateVector};
use ldap3_proto::LdapCodec;
use tokio_util::codec::{Decoder, Encoder};

use crate::model::ldif::{LdifReader, LdifRecord, LdifWriter, UrlPolicy};
use crate::model::{Dn, Filter, LdapUrl};
use crate::wire::{self, Message};
use crate::{build, meaning};

/// One target.
pub(crate) struct Target {
    /// As given on the command line.
    pub(crate) name: &'static str,
    /// Inputs to begin with.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Whether the input was accepted; panics when a property does not hold.
    pub(crate) run: fn(&[u8]) -> bool,
}

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "ber_message", seeds: message_seeds, run: ber_message },
    Target { name: "dn_text", seeds: dn_seeds, run: dn_text },
    Target { name: "filter_text", seeds: filter_seeds, run: filter_text },
    Target { name: "ldap_url", seeds: url_seeds, run: ldap_url },
    Target { name: "ldif", seeds: ldif_seeds, run: ldif },
    Target { name: "aci", seeds: aci_seeds, run: aci },
    Target { name: "stored_password", seeds: stored_password_seeds, run: stored_password },
    Target { name: "schema_text", seeds: schema_seeds, run: schema_text },
    Target { name: "schema_value", seeds: value_seeds, run: schema_value },
    Target { name: "replication_message", seeds: peer_seeds, run: replication_message },
];

fn texts(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

fn message_seeds() -> Vec<Vec<u8>> {
    build::corpus().into_iter().map(|(_, pdu)| pdu).collect()
}

/// Any bytes: no panic. What `ldap3_proto` reads too means the same to both; what we refuse can be answered.
fn ber_message(input: &[u8]) -> bool {
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
        assert!(meaning::same(&message, &theirs), "{message:?}\n{theirs:?}");
    }
    true
}

fn dn_seeds() -> Vec<Vec<u8>> {
    // RFC 4514 4, and what older servers write.
    texts(&[
        "",
        "UID=jsmith,DC=example,DC=net",
        "OU=Sales+CN=J.  Smith,DC=example,DC=net",
        "CN=James \\\"Jim\\\" Smith\\, III,DC=example,DC=net",
        "CN=Before\\0dAfter,DC=example,DC=net",
        "1.3.6.1.4.1.1466.0=#04024869",
        "CN=Lu\\C4\\8Di\\C4\\87",
        "cn=\"quoted, value\",dc=example",
        "cn=\\ space\\ ,dc=\\#x",
    ])
}

/// What parses is printed to text that parses to the same.
fn dn_text(input: &[u8]) -> bool {
    let Ok(dn) = Dn::parse_bytes(input) else { return false };
    let text = dn.to_string();
    assert_eq!(Dn::parse(&text).as_ref(), Ok(&dn), "{text:?}");
    true
}

fn filter_seeds() -> Vec<Vec<u8>> {
    // RFC 4515 4, and what mail programs send.
    texts(&[
        "(cn=Babs Jensen)",
        "(!(cn=Tim Howes))",
        "(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))",
        "(o=univ*of*mich*)",
        "(seeAlso=)",
        "(cn:caseExactMatch:=Fred Flintstone)",
        "(cn:=Betty Rubble)",
        "(sn:dn:2.4.6.8.10:=Barney Rubble)",
        "(o:dn:=Ace Industry)",
        "(:1.2.3:=Wilma Flintstone)",
        "(:DN:2.4.6.8.10:=Dino)",
        "(o=Parens R Us \\28for all your parenthetical needs\\29)",
        "(bin=\\00\\00\\00\\04)",
        "(sn=Lu\\c4\\8di\\c4\\87)",
        "(&)",
        "( | (uidNumber>=1000) (gidNumber<=2000)(cn~=an))",
    ])
}

/// As [`dn_text`].
fn filter_text(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(filter) = Filter::parse(text) else { return false };
    let printed = filter.to_string();
    assert_eq!(Filter::parse(&printed).as_ref(), Ok(&filter), "{printed:?}");
    true
}

fn url_seeds() -> Vec<Vec<u8>> {
    // RFC 4516 4.
    texts(&[
        "ldap:///o=University%20of%20Michigan,c=US",
        "ldap://ldap1.example.net/o=University%20of%20Michigan,c=US?postalAddress",
        "ldap://ldap1.example.net:6666/o=University%20of%20Michigan,c=US??sub?(cn=Babs%20Jensen)",
        "LDAP://ldap1.example.com/c=GB?objectClass?ONE",
        "ldap://ldap3.example.com/o=Babsco,c=US???(four-octet=%5c00%5c00%5c00%5c04)",
        "ldap:///??sub??e-bindname=cn=Manager%2cdc=example%2cdc=com",
        "ldap:///??sub??!e-bindname=cn=Manager%2cdc=example%2cdc=com",
        "ldaps://[2001:db8::1]:636/dc=example",
        "ldapi://%2fvar%2frun%2fldapi",
    ])
}

/// As [`dn_text`].
fn ldap_url(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(url) = LdapUrl::parse(text) else { return false };
    let printed = url.to_string();
    assert_eq!(LdapUrl::parse(&printed).as_ref(), Ok(&url), "{printed:?}");
    true
}

fn ldif_seeds() -> Vec<Vec<u8>> {
    // After RFC 2849, "Examples of LDAP Data Interchange Format".
    texts(&[
        "version: 1\ndn: cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com\nobjectclass: top\ncn: Barbara\n \
         Jensen\nsn: Jensen\ndescription:: V2hhdCBhIGNhcmVmdWwgcmVhZGVyIHlvdSBhcmUh\n",
        "# comment\n going on\ndn:: dWlkPWFubg==\ncontrol: 1.2.840.113556.1.4.805 true\nchangetype: delete\n\n\
         dn: cn=a\nchangetype: modrdn\nnewrdn: cn=b\ndeleteoldrdn: 1\nnewsuperior: ou=c\n",
        "dn: cn=a\r\nchangetype: modify\r\nadd: mail\r\nmail: a@x\r\nmail: b@x\r\n-\r\ndelete: sn\r\n-\r\nreplace: cn\r\n\
         cn: a\r\n-\r\nincrement: n\r\nn: 1\r\n-\r\n",
        "dn: cn=a\nchangetype: add\nobjectClass: person\ncn;lang-de: \u{fc}\nx:\ny::\nz: \n",
    ])
}

/// Any bytes: no panic, no file read. Records that are well-formed are written to text that reads as the same.
fn ldif(input: &[u8]) -> bool {
    let read = |text: &[u8]| LdifReader::new(text, UrlPolicy::Refuse).collect::<Vec<_>>();
    let results = read(input);
    let is_accepted = !results.is_empty() && results.iter().all(Result::is_ok);
    let records: Vec<LdifRecord> = results.into_iter().flatten().collect();
    let mut writer = LdifWriter::new(Vec::new());
    let _ = writer.version();
    for record in &records {
        let _ = writer.change(record);
    }
    let text = writer.into_inner();
    let again = read(&text);
    assert_eq!(again.len(), records.len(), "{}", text.escape_ascii());
    for (again, record) in again.into_iter().zip(&records) {
        let again = again.unwrap_or_else(|error| panic!("{error}\n{}", text.escape_ascii()));
        assert_eq!((&again.dn, &again.controls, &again.body), (&record.dn, &record.controls, &record.body));
    }
    is_accepted
}

fn schema_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'a, \\27name\\27' SUP name )",
        "( 1.2.3 NAME 'x' OBSOLETE EQUALITY caseIgnoreMatch ORDERING caseIgnoreOrderingMatch SUBSTR \
         caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{64} SINGLE-VALUE NO-USER-MODIFICATION USAGE \
         directoryOperation X-ORIGIN ( 'RFC 4519' 'us' ) )",
        "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( userPassword $ telephoneNumber ) )",
        "( 2.5.6.6 NAME 'rule' AUX ( a $ b ) MUST cn MAY sn NOT mail )",
        "( 1.3.6.1.4.1.1466.115.121.1.15 DESC 'Directory String' X-SUBST '1.2.3' )",
    ])
}

/// A definition that parses is printed to text that parses to the same; as part of a file it is no panic either.
fn schema_text(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let mut is_accepted = false;
    macro_rules! read_back {
        ($($definition:ident)*) => {$(
            if let Ok(definition) = $definition::parse(text) {
                let printed = definition.to_string();
                assert_eq!($definition::parse(&printed).as_ref(), Ok(&definition), "{printed:?}");
                is_accepted = true;
            }
        )*};
    }
    read_back!(AttributeTypeDefinition ObjectClassDefinition ContentRuleDefinition SyntaxDefinition);
    for attribute in ["attributeTypes", "objectClasses", "dITContentRules", "ldapSyntaxes"] {
        let text = format!("dn: cn=fuzz,cn=schema\n{attribute}: {text}\n");
        let _ = Schema::load(&[SchemaSource { name: "fuzz", text: &text }]);
    }
    is_accepted
}

fn value_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "Ann  Meyer",
        " Stra\u{df}e \u{ad}\u{130}stanbul ",
        "12 34-5",
        "-0042",
        "20261122123000.5+0130",
        "2611221230Z",
        "TRUE",
        "'0101'B",
        "1.3.6.1.4.1",
        "uid=ann,dc=example#'01'B",
        "Main Street$Town$\\24 5",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "20261122123000.000000Z#000000#001#000000",
        "( 2.5.4.3 NAME 'cn' )",
        "ldap:///dc=example??sub",
    ])
}

/// Every syntax and every matching rule on any value: no panic, errors leave nothing behind, and a value matches itself.
fn schema_value(input: &[u8]) -> bool {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::builtin);
    let mut is_accepted = false;
    for syntax in Syntax::ALL {
        is_accepted |= syntax.validate(input).is_ok() && *syntax != Syntax::OctetString;
    }
    for rule in MatchingRule::ALL.iter().copied() {
        let mut key = Vec::new();
        let has_key = rule.key(&SCHEMA, input, &mut key).is_ok();
        assert!(has_key || key.is_empty(), "{} leaves {key:x?}", rule.name());
        let matches = rule.is_match(&SCHEMA, input, input);
        if rule.kind() == RuleKind::Equality && rule.is_key_rule() {
            assert_eq!(matches.ok(), has_key.then_some(true), "{}", rule.name());
        }
        for part in [SubstringPart::Initial, SubstringPart::Any, SubstringPart::Last] {
            let mut part_key = Vec::new();
            let has_part = rule.substring_key(part, input, &mut part_key).is_ok();
            assert!(has_part || part_key.is_empty(), "{} leaves {part_key:x?}", rule.name());
        }
    }
    is_accepted
}

fn aci_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "(targetattr=\"cn || tele* || +\")(version 3.0; acl \"a \\\"b\\\"\"; allow (read, search) userdn=\"ldap:///anyone\";)",
        "(target=\"ldap:///uid=*,ou=people,dc=x\")(targetscope=\"onelevel\")(targetattr!=\"userPassword\")(version 3.0; acl \
         \"b\"; deny (all, proxy) not (userdn=\"ldap:///self || ldap:///dc=x??sub?(|(cn=a*)(sn=%41))\" or \
         groupdn!=\"ldap:///cn=g,dc=x\") and ip=\"192.0.2.*,2001:db8::/32\"; allow (moddn) ssf>=\"56\";)",
        "(targetfilter=(&(objectClass=person)(!(cn=\\28))))(version 3.0;acl \"c\";allow(write)(userattr=\"parent[0,1].manager#USERDN\" \
         and (dns=\"*.x.example\" or authmethod=\"sasl EXTERNAL\") and timeofday<\"1830\" and dayofweek=\"Sun, Mon\");)",
    ])
}

/// A rule that parses is printed to text that parses to an equal rule, and compiles; what does not parse compiles to a
/// rule that is reported.
fn aci(input: &[u8]) -> bool {
    static COMPILER: LazyLock<AccessCompiler> = LazyLock::new(|| AccessCompiler::new(Arc::new(Schema::builtin())));
    let compiled = COMPILER.compile("dc=x", [input]);
    let Ok(rule) = Aci::parse_bytes(input) else {
        assert!(compiled.problems().iter().any(|problem| problem.is_fatal));
        return false;
    };
    assert!(!compiled.problems().iter().any(|problem| problem.is_fatal));
    let printed = rule.to_string();
    assert_eq!(Aci::parse(&printed).as_ref(), Ok(&rule), "{printed:?}");
    true
}

fn stored_password_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "{SSHA}RVrYKa6nAv9eazYhtJfw4AgxI+eT06Ch",
        "{SSHA512}3SY3GvTjTMldr/5hTeAL2Hjv9vrM44Ifyl22uyKgqwSzBkj/8LvXiVVtaGSPIsKVCa8Rcc1e9YhWhCSvaHtQleu2wtM0KJ3H",
        "{PBKDF2-SHA1}10$UNp9K0I6VhjqQSW3AFgQbw$.1Em7h3.zftWgT6M8espcSMM0Eg",
        "{ARGON2}$argon2i$v=19$m=64,t=3,p=2$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik",
        "{CRYPT}$5$rounds=1000$BU$gIBidxYQILf6M9EA48gITYwhsIzIUTE4hDtJEVJh5d7",
        "{CRYPT}$2b$04$GwP7PSGWeEnEYR9QbLhcNu29I0a2uPZKAy8EY.QR.khaG7obvsh8W",
        "{CLEARTEXT}secret",
    ])
}

/// No stored value panics, and none that has a hash fits the empty password or one that nobody chose.
fn stored_password(input: &[u8]) -> bool {
    let verdict = password_hash::verify(input, b"a password that nobody chose");
    let empty = password_hash::verify(input, b"");
    assert_ne!(empty, Verdict::Match);
    assert!(verdict != Verdict::Match || !password_hash::is_hashed(input));
    let _ = (password_hash::is_costly(input), password_hash::needs_rehash(input), password_hash::has_scheme(input));
    verdict != Verdict::Unusable
}

/// Messages of most kinds, as content and as frames.
fn peer_seeds() -> Vec<Vec<u8>> {
    let origin = OriginId(0x0102_0304_0506);
    let vector = UpdateVector::from_positions([(origin, OriginPosition { sequence: 9, chain: [7; 16], closed: Some(9) })]);
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
            format_level: 1,
            role: Role::Supplier,
            wall_ms: 5,
            clock: held.clock,
            vector: vector.clone(),
            floors: vec![(origin, 2)],
        })),
        PeerMessage::Push(Push { origin, first: 1, chain: [0; 16], records: vec![b"record".to_vec(), Vec::new()] }),
        PeerMessage::Ack(Ack { risen: vector.clone(), check: 1, digest }),
        PeerMessage::Beacon(Box::new(Beacon {
            vector,
            digest,
            wall_ms: 1,
            sent_ms: 2,
            echo: Some(Echo { sent_ms: 3, held_ms: 4 }),
            reply: true,
            rows: vec![Row { node, origin, age_ms: 1, held: vec![(origin, 8)] }],
            silent: vec![node],
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
fn replication_message(input: &[u8]) -> bool {
    let mut frames = BytesMut::from(input);
    let framed = matches!(MessageCodec::default().decode(&mut frames), Ok(Some(_)));
    let Ok(Some(message)) = PeerMessage::decode(input) else { return framed };
    let mut again = Vec::new();
    message.encode(&mut again);
    assert_eq!(PeerMessage::decode(&again).ok().flatten(), Some(message));
    true
}
