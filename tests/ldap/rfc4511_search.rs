//! Search: RFC 4511 4.5 (scopes, bases, limits, abandon, pipelining) and its referrals.

use crate::support::client::Client;
use crate::support::request::{self, BASE, CHILDREN, Control, ONE, SUB, Search};
use crate::support::server::{SUFFIX, Server, Setup, Subject};
use crate::support::{ber, code};
use crate::{ANN, EVERYBODY, GROUPS, PEOPLE};

/// RFC 4511 4.5.1.2.
#[test]
fn base_scope_finds_the_base_only() {
    let found = Server::shared().admin().search(&Search::base(PEOPLE).scope(BASE)).expect(code::SUCCESS);
    assert_eq!(found.dns(), [PEOPLE]);
}

/// RFC 4511 4.5.1.2.
#[test]
fn one_level_scope_finds_the_immediate_subordinates_without_the_base() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::base(PEOPLE).scope(ONE).attributes(&["1.1"])).expect(code::SUCCESS);
    assert_eq!(found.names(), EVERYBODY);
    let found = client.search(&Search::base(SUFFIX).scope(ONE).filter("(ou=people)")).expect(code::SUCCESS);
    assert_eq!(found.dns(), [PEOPLE]);
    let below_a_leaf = client.search(&Search::base(ANN).scope(ONE)).expect(code::SUCCESS);
    assert!(below_a_leaf.entries.is_empty());
}

/// RFC 4511 4.5.1.2.
#[test]
fn subtree_scope_finds_the_base_and_all_below() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::base(PEOPLE).scope(SUB).attributes(&["1.1"])).expect(code::SUCCESS);
    assert_eq!(found.entries.len(), 1 + EVERYBODY.len());
    assert_eq!(client.names(SUFFIX, "(uid=ann)"), ["ann"]);
}

/// draft-sermersheim-ldap-subordinate-scope.
#[test]
fn subordinate_scope_finds_all_below_without_the_base() {
    let (mut client, branch) = Server::shared().branch("subordinate-scope");
    let inner = format!("ou=inner,{branch}");
    client.add(&inner, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    crate::add_person(&mut client, &inner, "deep");
    let found = client.search(&Search::base(&branch).scope(CHILDREN)).expect(code::SUCCESS);
    assert_eq!(found.names(), ["deep", "inner"]);
}

/// RFC 4511 4.5.1.2: the enumeration is extensible, but a scope nobody knows cannot be served.
#[test]
fn unknown_scope_is_a_protocol_error() {
    let mut client = Server::shared().admin();
    client.search(&Search::base(PEOPLE).scope(9)).expect(code::PROTOCOL_ERROR);
    assert_eq!(client.who_am_i(), "dn:cn=admin,dc=example,dc=com");
}

/// RFC 4511 4.5.1.3: the same for alias dereferencing.
#[test]
fn unknown_deref_aliases_is_a_protocol_error() {
    Server::shared().admin().search(&Search::base(PEOPLE).deref(7)).expect(code::PROTOCOL_ERROR);
}

/// RFC 4511 4.1.9: matchedDN names the nearest entry that is there.
#[test]
fn search_of_an_absent_base_is_no_such_object_with_the_matched_dn() {
    let mut client = Server::shared().admin();
    let missing = format!("cn=x,ou=nowhere,{PEOPLE}");
    for scope in [BASE, ONE, SUB] {
        let found = client.search(&Search::base(&missing).scope(scope)).expect(code::NO_SUCH_OBJECT);
        assert_eq!(found.outcome.matched_dn, PEOPLE);
    }
}

/// A base outside all suffixes.
#[test]
fn search_of_a_foreign_base_is_no_such_object_without_matched_dn() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::base("dc=elsewhere,dc=net")).expect(code::NO_SUCH_OBJECT);
    assert_eq!(found.outcome.matched_dn, "");
    // A superior of the suffix is as foreign.
    client.search(&Search::base("dc=com")).expect(code::NO_SUCH_OBJECT);
}

/// RFC 4511 4.1.3, RFC 4514.
#[test]
fn search_with_a_base_that_is_no_dn_is_invalid_dn_syntax() {
    let mut client = Server::shared().admin();
    for base in [&b"people"[..], b"ou=people,,dc=example", b"=x", b"ou=\\zz", b"ou=\xff\xfe,dc=example,dc=com"] {
        let found = client.search(&Search::base(base));
        assert_eq!(found.outcome.code, code::INVALID_DN_SYNTAX, "{base:?}: {found:?}");
    }
}

/// RFC 4514 2, 3: one name has many spellings.
#[test]
fn base_may_be_spelled_in_any_equivalent_way() {
    let mut client = Server::shared().admin();
    for base in [
        "UID=ANN,OU=PEOPLE,DC=EXAMPLE,DC=COM",
        "uid = ann , ou = people , dc = example , dc = com",
        "0.9.2342.19200300.100.1.1=ann,2.5.4.11=people,dc=example,dc=com",
        "userid=ann,organizationalUnitName=people,domainComponent=example,dc=com",
        "uid=#0403616e6e,ou=people,dc=example,dc=com",
        "uid=\\61nn,ou=people,dc=example,dc=com",
    ] {
        // slapd does not read the form of RFC 4514 2.4 for attributes that have a text form.
        if Subject::current().is_slapd() && base.contains('#') {
            continue;
        }
        assert_eq!(client.read_attributes(base, &["uid"]).dn, ANN, "{base}");
    }
}

/// Old macOS and many scanners leave the base empty. slapd answers noSuchObject unless told a default base.
#[test]
fn subtree_of_the_empty_base_is_that_of_the_suffix() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::subtree("", "(uid=ann)"));
    match Subject::current() {
        Subject::Entente => assert_eq!(found.expect(code::SUCCESS).dns(), [ANN]),
        Subject::Slapd => assert!(found.expect(code::NO_SUCH_OBJECT).entries.is_empty()),
    }
}

/// RFC 4511 4.5.1.4: the entries up to the limit come, and the result says that there are more.
#[test]
fn size_limit_gives_that_many_entries_and_size_limit_exceeded() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::subtree(PEOPLE, "(uid=*)").size_limit(2)).expect(code::SIZE_LIMIT_EXCEEDED);
    assert_eq!(found.entries.len(), 2);
}

/// RFC 4511 4.5.1.4: as many as there are is not too many.
#[test]
fn size_limit_of_exactly_the_number_of_entries_is_success() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::subtree(PEOPLE, "(uid=*)").size_limit(6)).expect(code::SUCCESS);
    assert_eq!(found.entries.len(), 6);
    client.search(&Search::subtree(PEOPLE, "(uid=*)").size_limit(i64::from(i32::MAX))).expect(code::SUCCESS);
}

/// Vault sends 2147483647; a larger or negative number is not in the ASN.1 (RFC 4511 4.5.1).
#[test]
fn limits_outside_their_range_are_a_protocol_error() {
    let server = Server::shared();
    for (size, time) in [(-1, 0), (0, -1), (1 << 31, 0)] {
        let mut client = server.admin();
        let id = client.send(&Search::base(PEOPLE).size_limit(size).time_limit(time).encode());
        // slapd reads 2^31 into an int and answers; what matters is that it is never silent.
        match client.receive_for(id) {
            Some(message) if Subject::current().is_slapd() && message.operation.tag == 0x64 => {}
            Some(message) => {
                let outcome = crate::support::client::parse_outcome(&message).expect("a result");
                outcome.expect(code::PROTOCOL_ERROR);
            }
            None => {}
        }
    }
}

/// The server's own limit binds people, not the administrator.
#[test]
fn server_size_limit_binds_all_but_the_administrator() {
    let server = Server::start(Setup::default().with_size_limit(3));
    let mut person = server.person("ann");
    let found = person.search(&Search::subtree(PEOPLE, "(uid=*)")).expect(code::SIZE_LIMIT_EXCEEDED);
    assert_eq!(found.entries.len(), 3);
    // A client may ask for less, never for more.
    let found = person.search(&Search::subtree(PEOPLE, "(uid=*)").size_limit(2)).expect(code::SIZE_LIMIT_EXCEEDED);
    assert_eq!(found.entries.len(), 2);
    let found = person.search(&Search::subtree(PEOPLE, "(uid=*)").size_limit(5)).expect(code::SIZE_LIMIT_EXCEEDED);
    assert_eq!(found.entries.len(), 3);
    person.search(&Search::subtree(PEOPLE, "(|(uid=ann)(uid=bob)(uid=carol))")).expect(code::SUCCESS);
    assert_eq!(server.admin().names(PEOPLE, "(uid=*)"), EVERYBODY);
}

/// RFC 4511 4.5.1.5: a limit that suffices changes nothing.
#[test]
fn generous_time_limit_changes_nothing() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::subtree(PEOPLE, "(uid=*)").time_limit(60)).expect(code::SUCCESS);
    assert_eq!(found.entries.len(), 6);
}

/// RFC 4511 4.11: nothing is answered to an abandon, known or not, and the connection goes on.
#[test]
fn abandon_of_an_unknown_id_is_ignored() {
    let mut client = Server::shared().admin();
    for id in [0, 77, 2_147_483_647] {
        client.send(&request::abandon(id));
    }
    assert_eq!(client.who_am_i(), "dn:cn=admin,dc=example,dc=com");
}

/// Evolution abandons each search that has ended already.
#[test]
fn abandon_of_a_finished_search_is_ignored() {
    let mut client = Server::shared().admin();
    let id = client.send(&Search::subtree(PEOPLE, "(uid=*)").encode());
    client.found_for(id).expect(code::SUCCESS);
    client.send(&request::abandon(id));
    assert_eq!(client.names(PEOPLE, "(uid=bob)"), ["bob"]);
}

/// RFC 4511 4.11: an abandoned search may end without a result; everything else goes on.
#[test]
fn abandon_of_a_running_search_leaves_the_connection_in_order() {
    let mut client = Server::shared().admin();
    let search = request::message(100, &Search::subtree(SUFFIX, "(objectClass=*)").encode(), &[]);
    let abandon = request::message(101, &request::abandon(100), &[]);
    let who = request::message(102, &request::extended(crate::support::oid::WHO_AM_I, None), &[]);
    client.send_bytes(&[search, abandon, who].concat());
    client.outcome_of(102).expect(code::SUCCESS);
    assert_eq!(client.names(PEOPLE, "(uid=bob)"), ["bob"]);
}

/// RFC 4511 3.1: requests may be sent without waiting; each is answered under its own id.
#[test]
fn pipelined_requests_are_all_answered() {
    let mut client = Server::shared().admin();
    let ids: Vec<_> = (0..200)
        .map(|index| {
            let uid = EVERYBODY[index % EVERYBODY.len()];
            (client.send(&Search::subtree(PEOPLE, &format!("(uid={uid})")).encode()), uid)
        })
        .collect();
    for (id, uid) in ids {
        assert_eq!(client.found_for(id).expect(code::SUCCESS).names(), [uid]);
    }
}

/// T-04: TCP keeps no message borders: a request may arrive in any pieces.
#[test]
fn request_delivered_byte_by_byte_is_answered_the_same() {
    let mut client = Server::shared().admin();
    let bytes = request::message(500, &Search::subtree(PEOPLE, "(uid=ann)").encode(), &[]);
    for byte in &bytes {
        client.send_bytes(&[*byte]);
    }
    assert_eq!(client.found_for(500).expect(code::SUCCESS).dns(), [ANN]);
}

/// RFC 4511 4.5.3: an entry of class referral is not returned but told as a reference.
#[test]
fn search_over_a_referral_returns_a_reference() {
    let mut client = Server::shared().admin();
    let base = format!("ou=referrals,{SUFFIX}");
    for scope in [ONE, SUB] {
        let found = client.search(&Search::base(&base).scope(scope)).expect(code::SUCCESS);
        assert_eq!(found.references.len(), 1, "{found:?}");
        let url = &found.references[0][0];
        assert!(url.starts_with("ldap://other.example.net/ou=away,dc=example,dc=net"), "{url}");
        assert!(!found.dns().contains(&format!("ou=away,{base}")));
    }
    // RFC 4511 4.5.3: a reference of a one-level search must be followed with base scope.
    let found = client.search(&Search::base(&base).scope(ONE)).expect(code::SUCCESS);
    assert!(found.references[0][0].ends_with("??base"), "{:?}", found.references);
}

/// RFC 4511 4.5.3: references are not subject to the filter, for nobody here knows what is behind them.
#[test]
fn references_come_whatever_the_filter_says() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::subtree(SUFFIX, "(uid=ann)")).expect(code::SUCCESS);
    assert_eq!(found.names(), ["ann"]);
    let away = |urls: &Vec<String>| urls[0].starts_with("ldap://other.example.net/ou=away,dc=example,dc=net");
    assert!(found.references.iter().any(away), "{found:?}");
}

/// RFC 4511 4.5.3: clients that read nothing behind a reference (curl) have all entries before it; neither a limit nor a
/// page counts it.
#[test]
fn references_come_behind_all_entries() {
    let (mut client, branch) = Server::shared().branch("references-last");
    let url = "ldap://other.example.net/dc=example,dc=net";
    let away = format!("ou=away,{branch}");
    client.add(&away, &[("objectClass", &["referral", "extensibleObject"]), ("ref", &[url])]).expect(code::SUCCESS);
    for uid in ["c", "a", "b"] {
        crate::add_person(&mut client, &branch, uid);
    }
    let people = Search::subtree(&branch, "(uid=*)").attributes(&["uid"]);
    let is_ours = !Subject::current().is_slapd();
    let tags = |client: &mut Client, id: i64| {
        let mut tags = Vec::new();
        while tags.last() != Some(&0x65) {
            tags.push(client.receive_for(id).expect("an answer").operation.tag);
        }
        tags
    };
    // slapd sorts by uid only where a rule is named.
    let orders: &[bool] = if is_ours { &[false, true] } else { &[false] };
    for &sorted in orders {
        if sorted {
            client.with(Control::sort(&["uid"]));
        }
        let id = client.send(&people.encode());
        let mut tags = tags(&mut client, id);
        if !is_ours {
            tags.sort_unstable_by_key(|tag| [0x64, 0x73, 0x65].iter().position(|known| known == tag));
        }
        assert_eq!(tags, [0x64, 0x64, 0x64, 0x73, 0x65], "sorted: {sorted}");
    }
    let limited = client.search(&people.clone().size_limit(2)).expect(code::SIZE_LIMIT_EXCEEDED);
    assert_eq!(limited.entries.len(), 2);
    let enough = client.search(&people.clone().size_limit(3)).expect(code::SUCCESS);
    assert_eq!((enough.entries.len(), enough.references.len()), (3, 1));
    for &sorted in orders {
        let (mut pages, mut references, mut cookie) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            if sorted {
                client.with(Control::sort(&["uid"]));
            }
            let found = client.with(Control::paged(2, &cookie)).search(&people).expect(code::SUCCESS);
            pages.push(found.entries.len());
            references.push(found.references.len());
            cookie = crate::rfc2696_paged::cookie(&found).0;
            if cookie.is_empty() {
                break;
            }
        }
        assert_eq!(pages, [2, 1], "sorted: {sorted}");
        if is_ours {
            assert_eq!(references, [0, 1], "sorted: {sorted}");
        }
    }
}

/// RFC 3296 5.5: with ManageDsaIT the referral entry is an ordinary one.
#[test]
fn search_with_manage_dsa_it_returns_the_referral_entry() {
    let mut client = Server::shared().admin();
    let base = format!("ou=referrals,{SUFFIX}");
    let found = client.with(Control::manage_dsa_it()).search(&Search::base(&base).scope(SUB)).expect(code::SUCCESS);
    assert!(found.references.is_empty());
    assert_eq!(found.dns(), [format!("ou=away,{base}"), base]);
}

/// RFC 4511 4.1.10, RFC 3296 5.2: a base at or below a referral is told by a referral result.
#[test]
fn search_at_or_below_a_referral_is_a_referral_result() {
    let mut client = Server::shared().admin();
    let referral = format!("ou=away,ou=referrals,{SUFFIX}");
    let at = client.search(&Search::base(&referral)).expect(code::REFERRAL).outcome;
    assert!(at.referrals[0].starts_with("ldap://other.example.net/ou=away,dc=example,dc=net"), "{at:?}");
    assert_eq!(at.matched_dn, referral);
    let below = client.search(&Search::base(format!("cn=x,{referral}")).scope(SUB)).expect(code::REFERRAL).outcome;
    assert!(below.referrals[0].starts_with("ldap://other.example.net/cn=x,ou=away,dc=example,dc=net"), "{below:?}");
    assert_eq!(below.matched_dn, referral);
}

/// RFC 4511 4.1.11.
#[test]
fn unknown_critical_control_is_unavailable_critical_extension() {
    let mut client = Server::shared().admin();
    let control = || Control::critical(crate::support::oid::UNKNOWN, Some(b"x".to_vec()));
    client.with(control()).search(&Search::base(PEOPLE)).expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
    let refused = client.with(control()).delete(&format!("uid=nobody,{PEOPLE}"));
    refused.expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
    client.with(control()).bind(ANN, "ann-secret").expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
}

/// RFC 4511 4.1.11: criticality false means: do it without.
#[test]
fn unknown_control_that_is_not_critical_is_ignored() {
    let mut client = Server::shared().admin();
    let control = Control::not_critical(crate::support::oid::UNKNOWN, None);
    assert_eq!(client.with(control).search(&Search::base(ANN)).single().dn, ANN);
}

/// RFC 4511 4.12: an extended operation that nobody knows is protocolError.
#[test]
fn unknown_extended_operation_is_a_protocol_error() {
    let mut client = Server::shared().admin();
    let outcome =
        client.perform(&request::extended(crate::support::oid::UNKNOWN, Some(b"x"))).expect(code::PROTOCOL_ERROR);
    assert_eq!(outcome.value, None);
    assert_eq!(client.who_am_i(), "dn:cn=admin,dc=example,dc=com");
}

/// RFC 4511 4.1.1.1: a large id comes back as it is.
#[test]
fn any_positive_message_id_comes_back() {
    let mut client = Server::shared().admin();
    for id in [127, 128, 255, 256, 65_535, 8_388_608, 2_147_483_647] {
        client.send_bytes(&request::message(id, &Search::base(ANN).encode(), &[]));
        assert_eq!(client.found_for(id).expect(code::SUCCESS).dns(), [ANN]);
    }
}

/// Non-minimal lengths and non-FF booleans are BER though not DER; RFC 4511 5.1 restricts neither lengths nor senders' TRUE
/// to DER for receivers in the field: slapd reads them, so do we.
#[test]
fn longer_length_forms_are_understood() {
    let mut client = Server::shared().admin();
    let inner = [ber::integer(900), Search::base(ANN).encode()].concat();
    let mut bytes = vec![0x30, 0x84, 0, 0, (inner.len() >> 8) as u8, (inner.len() & 0xFF) as u8];
    bytes.extend_from_slice(&inner);
    client.send_bytes(&bytes);
    assert_eq!(client.found_for(900).expect(code::SUCCESS).dns(), [ANN]);
}

/// A search asked by many at once is answered to each.
#[test]
fn many_connections_search_at_once() {
    let server = Server::shared();
    let mut clients: Vec<Client> = (0..50).map(|_| server.anonymous()).collect();
    let ids: Vec<i64> =
        clients.iter_mut().map(|client| client.send(&Search::subtree(GROUPS, "(cn=staff)").encode())).collect();
    for (client, id) in clients.iter_mut().zip(ids) {
        assert_eq!(client.found_for(id).expect(code::SUCCESS).names(), ["staff"]);
    }
}
