//! Bind: what is decided at once, what is handed back to be hashed, and who one is afterwards.

use super::support::{ANN, BOB, House};
use crate::model::ResultCode;
use crate::operation::sasl::{LocalUserOptions, SaslOptions};
use crate::operation::{BindOutcome, BindStep, ClientFacts, ConnectionFacts, LocalUser, Options, Session, TlsFacts};
use crate::policy::password_hash;
use crate::policy::requester::{Authentication, RequesterKind};
use crate::policy::throttle::ThrottleOptions;
use crate::wire::{self, BindRequest, Controls};

/// `secret`.
const SSHA: &str = "{SSHA}1G904nLkTkGWjKNnQuB/hpWXC/hzYWx0c2FsdA==";
/// The same, at the lowest cost.
const BCRYPT_OF_SECRET: &str = "{CRYPT}$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
const ADMINISTRATOR: &str = "cn=admin,dc=example,dc=com";

impl House {
    fn bind(&self, session: &Session, name: &str, authentication: wire::Authentication<'_>) -> BindStep {
        let request = BindRequest { version: 3, name, authentication };
        self.directory.bind(session, 1, &request, &Controls::NONE, None)
    }

    fn simple(&self, name: &str, password: &str) -> BindStep {
        self.bind(&self.anonymous(), name, wire::Authentication::Simple(password.as_bytes()))
    }

    fn external(&self, session: &Session, credentials: Option<&str>) -> BindOutcome {
        let credentials = credentials.map(str::as_bytes);
        done(self.bind(session, "", wire::Authentication::Sasl { mechanism: "EXTERNAL", credentials }))
    }

    fn over(&self, facts: ConnectionFacts) -> Session {
        Session::new(self.anonymous().requester, facts)
    }
}

/// Decided without hashing.
#[track_caller]
fn done(step: BindStep) -> BindOutcome {
    match step {
        BindStep::Done(outcome) => outcome,
        BindStep::Hash(_) => panic!("this bind hashes"),
    }
}

/// Decided by hashing.
#[track_caller]
fn hashed(step: BindStep) -> BindOutcome {
    match step {
        BindStep::Done(outcome) => panic!("this bind does not hash: {}", outcome.code),
        BindStep::Hash(decide) => decide(),
    }
}

/// Where many binds may fail at once.
fn house() -> House {
    let throttle = ThrottleOptions { per_account: 0, per_address: 0, ..ThrottleOptions::default() };
    let house = House::with_options(&[], Options { throttle, ..Options::default() });
    house.set(ANN, "userPassword", SSHA, true);
    house
}

/// T-25: what fails costs the same whatever it fails by; what succeeds by a digest costs nothing more.
#[test]
fn every_failure_hashes_and_says_the_same() {
    let house = house();
    let failures = [
        hashed(house.simple(ANN, "wrong")),
        hashed(house.simple("uid=nobody,ou=people,dc=example,dc=com", "secret")),
        hashed(house.simple("dc=elsewhere", "secret")),
        hashed(house.simple(BOB, "secret")),
        hashed(house.simple("ou=people,dc=example,dc=com", "secret")),
        hashed(house.simple(ADMINISTRATOR, "secret")),
    ];
    for failure in &failures {
        assert_eq!(failure.code, ResultCode::INVALID_CREDENTIALS);
        assert_eq!(failure.response, failures[0].response);
        assert!(failure.requester.is_anonymous());
    }
    let outcome = done(house.simple("UID=Ann,ou=people, dc=example,dc=com", "secret"));
    assert_eq!((outcome.code, outcome.requester.dn()), (ResultCode::SUCCESS, Some(ANN)));
    assert_eq!(outcome.requester.authentication, Authentication::Simple);
}

/// T-25: nor by what is stored. The hashes at the cost of new ones are counted, not the time: every failure has one, which
/// is the stored value's own where that is a present one.
#[test]
fn a_failure_hashes_once_whatever_is_stored() {
    let house = house();
    let present = String::from_utf8(password_hash::hash(b"secret")).unwrap();
    let cases: &[&[&str]] = &[
        &[],
        &["secret"],
        &[SSHA],
        &["{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="],
        &["{PBKDF2-SHA256}10000$7F6VOCVVJqZeAxuGv2WuvQ$Lv5OkhJkinJwnQ2BjmbxqI0R1YOPuze9Rh/uKaaX/LA"],
        &["{ARGON2}$argon2i$v=19$m=64,t=3,p=2$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik"],
        &["{CRYPT}$5$BU$gIBidxYQILf6M9EA48gITYwhsIzIUTE4hDtJEVJh5d7"],
        &["{CRYPT}$6$qo$p0q6hfOjiHziR6SNifycCKytVCNDU/AGNcubEUqANiFc9UAMiha469r2wawPyJzsEU7LnPQoA0OHo.4..Lm15/"],
        &["{CRYPT}$2b$05$aayEWpWAXYVrIo.nhbMuUOBciJXaawbFrpsRorI95NrNhPt14vIZa"],
        // Nothing fits these, and finding that out costs nothing.
        &["{CRYPT}$y$j9T$broken"],
        &["{SSHA}===="],
        &["{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$$"],
        &[
            "{ARGON2}$argon2id$v=19$m=4294967295,t=3,p=2$K3G0miB2uMlipGwyFtGrtA$sT1PJnWLjQ/cr8StUFUR+jlaVrsCoEJjVGsMe/+B1Ik",
        ],
        &["{PBKDF2-SHA256}4294967295$7F6VOCVVJqZeAxuGv2WuvQ$Lv5OkhJkinJwnQ2BjmbxqI0R1YOPuze9Rh/uKaaX/LA"],
        &["{X-UNKNOWN}secret"],
        // Several values, and a present one.
        &[SSHA, "{CRYPT}$6$qo$broken", "{CRYPT}$2b$05$aayEWpWAXYVrIo.nhbMuUOBciJXaawbFrpsRorI95NrNhPt14vIZa"],
        &[&present],
        &[&present, SSHA, "{CRYPT}$y$j9T$broken"],
    ];
    let unknown = hashed(house.simple("uid=nobody,ou=people,dc=example,dc=com", "wrong"));
    for stored in cases {
        stored.iter().for_each(|value| house.set(BOB, "userPassword", value, true));
        let before = password_hash::full_hashes();
        let failure = hashed(house.simple(BOB, "wrong"));
        assert_eq!(password_hash::full_hashes() - before, 1, "{stored:?}");
        assert_eq!((failure.code, &failure.response), (ResultCode::INVALID_CREDENTIALS, &unknown.response));
        stored.iter().for_each(|value| house.set(BOB, "userPassword", value, false));
    }
}

/// T-25: the right password of a locked account takes as long as a wrong one.
#[test]
fn a_locked_account_hashes_for_the_right_password_too() {
    let house = house();
    house.set(BOB, "pwdAccountLockedTime", "000001010000Z", true);
    for stored in
        [SSHA.to_owned(), BCRYPT_OF_SECRET.to_owned(), String::from_utf8(password_hash::hash(b"secret")).unwrap()]
    {
        house.set(BOB, "userPassword", &stored, true);
        for password in ["secret", "wrong"] {
            let before = password_hash::full_hashes();
            assert_eq!(hashed(house.simple(BOB, password)).code, ResultCode::INVALID_CREDENTIALS);
            assert_eq!(password_hash::full_hashes() - before, 1, "{stored} {password}");
        }
        house.set(BOB, "userPassword", &stored, false);
    }
}

/// What succeeds costs nothing beyond its own scheme.
#[test]
fn a_success_hashes_nothing_that_is_not_stored() {
    let house = house();
    house.set(BOB, "userPassword", BCRYPT_OF_SECRET, true);
    let before = password_hash::full_hashes();
    assert_eq!(done(house.simple(ANN, "secret")).code, ResultCode::SUCCESS);
    assert_eq!(hashed(house.simple(BOB, "secret")).code, ResultCode::SUCCESS);
    assert_eq!(password_hash::full_hashes(), before);
}

/// The administrator is no entry, so whatever is in the tree cannot lock it out; an entry of that name stays an entry.
#[test]
fn the_administrator_binds_beside_an_entry_of_its_name() {
    let house = house();
    house.directory.dit().set_administrator(ADMINISTRATOR, b"root-secret").unwrap();
    let outcome = done(house.simple("CN=Admin,dc=example,dc=com", "root-secret"));
    assert!(outcome.requester.is_administrator());
    assert_eq!(outcome.requester.dn(), Some(ADMINISTRATOR));
    house.add(
        9,
        ADMINISTRATOR,
        &[("objectClass", &["person"]), ("cn", &["admin"]), ("sn", &["x"]), ("userPassword", &[SSHA])],
    );
    assert!(done(house.simple(ADMINISTRATOR, "root-secret")).requester.is_administrator());
    let outcome = done(house.simple(ADMINISTRATOR, "secret"));
    assert!(matches!(outcome.requester.kind, RequesterKind::Entry { .. }));
    assert_eq!(hashed(house.simple(ADMINISTRATOR, "wrong")).code, ResultCode::INVALID_CREDENTIALS);
}

/// RFC 4513 5.1.2; T-39, T-40.
#[test]
fn half_a_simple_bind_authenticates_nobody() {
    let house = house();
    assert_eq!(done(house.simple("", "")).code, ResultCode::SUCCESS);
    assert!(done(house.simple("", "")).requester.is_anonymous());
    assert_eq!(done(house.simple(ANN, "")).code, ResultCode::UNWILLING_TO_PERFORM);
    assert_eq!(done(house.simple("", "secret")).code, ResultCode::INVALID_CREDENTIALS);
    assert_eq!(done(house.simple("no dn", "secret")).code, ResultCode::INVALID_DN_SYNTAX);
}

/// RFC 4513 5.2.3.
#[test]
fn external_takes_the_word_of_the_carrier_and_of_nobody_else() {
    let house = house();
    house.directory.dit().set_administrator(ADMINISTRATOR, b"root-secret").unwrap();
    let facts = house.anonymous().connection;
    assert_eq!(house.external(&house.over(facts.clone()), None).code, ResultCode::INVALID_CREDENTIALS);
    let socket = |uid| house.over(ConnectionFacts { unix: Some(LocalUser { uid, gid: uid }), ..facts.clone() });
    let owner = house.external(&socket(0), None);
    assert!(owner.requester.is_administrator());
    assert_eq!(house.external(&socket(0), Some("dn:cn=admin,dc=example,dc=com")).code, ResultCode::SUCCESS);
    let acting = house.external(&socket(0), Some("dn:uid=ann,ou=people,dc=example,dc=com"));
    assert_eq!((acting.code, acting.requester.dn()), (ResultCode::SUCCESS, Some(ANN)));
    assert_eq!(house.external(&socket(54_321), None).code, ResultCode::INVALID_CREDENTIALS);
    let certificate = |subject: Option<&str>| {
        let client = subject.map(|subject| ClientFacts { subject: subject.to_owned(), ..ClientFacts::default() });
        let tls = TlsFacts { ssf: 256, version: "TLSv1.3", client, ..TlsFacts::default() };
        house.over(ConnectionFacts { tls: Some(Box::new(tls)), ..facts.clone() })
    };
    let ann = house.external(&certificate(Some("UID=ann,OU=people,DC=example,DC=com")), Some(""));
    assert_eq!(ann.requester.dn(), Some(ANN));
    assert_eq!(ann.requester.authentication, Authentication::ClientCertificate);
    // The administrator has no certificate of that name: a certificate names an entry.
    for subject in [None, Some(ADMINISTRATOR), Some("CN=nobody"), Some("no dn")] {
        assert_eq!(house.external(&certificate(subject), None).code, ResultCode::INVALID_CREDENTIALS, "{subject:?}");
    }
}

/// One entry alone, by both numbers; and only below the base.
#[test]
fn a_user_of_this_machine_is_the_entry_with_its_numbers() {
    let house = house();
    house.set(ANN, "uidNumber", "54321", true);
    house.set(ANN, "gidNumber", "100", true);
    let facts = house.anonymous().connection;
    let external = |uid, gid| {
        let facts = ConnectionFacts { unix: Some(LocalUser { uid, gid }), ..facts.clone() };
        house.external(&house.over(facts), None)
    };
    let map = |base: Option<&str>| {
        let base = base.map(|base| crate::model::Dn::parse(base).unwrap());
        let (user_attribute, group_attribute) = ("uidNumber".to_owned(), "gidNumber".to_owned());
        let local_users = Some(LocalUserOptions { user_attribute, group_attribute, base });
        let sasl = SaslOptions { local_users, ..SaslOptions::default() };
        house.directory.set_options(Options { sasl, ..Options::default() });
    };
    assert_eq!(external(54_321, 100).code, ResultCode::INVALID_CREDENTIALS, "off unless set");
    map(None);
    assert_eq!(external(54_321, 100).requester.dn(), Some(ANN));
    assert_eq!(external(54_321, 101).code, ResultCode::INVALID_CREDENTIALS);
    assert_eq!(external(54_322, 100).code, ResultCode::INVALID_CREDENTIALS);
    for (base, code) in [
        ("ou=people,dc=example,dc=com", ResultCode::SUCCESS),
        (BOB, ResultCode::INVALID_CREDENTIALS),
        ("ou=nowhere,dc=example,dc=com", ResultCode::INVALID_CREDENTIALS),
    ] {
        map(Some(base));
        assert_eq!(external(54_321, 100).code, code, "{base}");
    }
    map(None);
    house.set(BOB, "uidNumber", "54321", true);
    house.set(BOB, "gidNumber", "100", true);
    assert_eq!(external(54_321, 100).code, ResultCode::INVALID_CREDENTIALS, "two have the numbers");
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    let house = house();
    let session = house.anonymous();
    let request = |version, authentication| BindRequest { version, name: "", authentication };
    for (version, authentication, code) in [
        (2, wire::Authentication::Simple(b""), ResultCode::PROTOCOL_ERROR),
        (3, wire::Authentication::Unknown(0x89), ResultCode::AUTH_METHOD_NOT_SUPPORTED),
        (3, wire::Authentication::Sasl { mechanism: "PLAIN", credentials: None }, ResultCode::CONFIDENTIALITY_REQUIRED),
        (3, wire::Authentication::Sasl { mechanism: "", credentials: None }, ResultCode::AUTH_METHOD_NOT_SUPPORTED),
    ] {
        let step = house.directory.bind(&session, 1, &request(version, authentication), &Controls::NONE, None);
        assert_eq!(done(step).code, code);
    }
}
