//! Requests that are large or deep within the size of a message: refused at once, or done in time that others do not feel.

use std::time::Duration;

use super::{others_are_served, strain, with_crowd};
use crate::support::ber::{constructed, octets, sequence, tlv};
use crate::support::filter;
use crate::support::request::{self, ADD, Control, Search};
use crate::support::server::{SUFFIX, Server, Setup, Subject};
use crate::support::strain::Use;
use crate::support::wait::Stopwatch;
use crate::support::{code, oid};
use crate::{ANN, PEOPLE};

/// What a refusal may take, in a debug build that shares its cores.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A name of 10,000 parts, 50 KB: 389 takes 20 s for one. Refused before anything is looked up, wherever a name can stand.
#[test]
fn names_of_ten_thousand_parts_are_refused_at_once() {
    let server = Server::start(Setup::default());
    let long = vec!["cn=a"; 10_000].join(",");
    let mut client = server.admin();
    let value = [("objectClass", &["groupOfNames"][..]), ("cn", &["g"]), ("member", &[long.as_str()])];
    let requests: Vec<(&str, Vec<u8>)> = vec![
        ("search base", Search::base(&long).encode()),
        ("assertion", Search::subtree(SUFFIX, &format!("(manager={long})")).encode()),
        ("entryDN", Search::subtree(SUFFIX, &format!("(entryDN={long})")).encode()),
        ("compare", request::compare(ANN, "manager", long.as_bytes())),
        ("compare by name", request::compare(&long, "cn", b"x")),
        ("delete", request::delete(&long)),
        ("rename", request::modify_dn(&long, "cn=b", true, None)),
        ("new superior", request::modify_dn(ANN, "uid=ann", true, Some(&long))),
        ("new rdn", request::modify_dn(ANN, &vec!["cn=a"; 10_000].join("+"), true, None)),
        ("add", request::add(&long, &[("objectClass", &["device"]), ("cn", &["a"])])),
        ("value", request::add(&format!("cn=g,{SUFFIX}"), &value)),
        ("modify", request::modify(ANN, &[(ADD, "manager", &[&long])])),
        ("bind", request::bind_simple(3, &long, b"secret")),
    ];
    let before = Use::of(&server);
    for (what, operation) in requests {
        let watch = Stopwatch::start();
        let id = client.send(&operation);
        let code = client.found_or_canceled(id);
        let took = watch.elapsed();
        println!("{what}: result {code} after {took:?}");
        assert!(Subject::current().is_slapd() || took < AT_ONCE, "{what}: {took:?}");
        assert!(
            Subject::current().is_slapd() || what == "assertion" || what == "entryDN" || code != code::SUCCESS,
            "{what}"
        );
    }
    let used = before.since(&server);
    println!("names of 10,000 parts: {:.2} s CPU", used.cpu);
    assert_eq!(server.anonymous().names(PEOPLE, "(uid=ann)"), ["ann"]);
}

/// An OR of 20,000 items in one message is too much to mean anything; 1,000 of them, with no index to go by, are judged
/// entry by entry in pieces short enough for others to come between.
#[test]
fn filters_of_thousands_of_items_hold_nobody_up() {
    let server = Server::start(with_crowd(400 * strain(), 400));
    let mut other = server.person("bob");
    let or = |count: usize| {
        let items: Vec<_> =
            (0..count).map(|number| filter::encode(&format!("(description=*nowhere{number}*)"))).collect();
        Search::subtree(SUFFIX, "(&)").raw_filter(constructed(0xA1, &items)).encode()
    };
    let mut client = server.admin();
    if !Subject::current().is_slapd() {
        let watch = Stopwatch::start();
        let id = client.send(&or(20_000));
        assert_ne!(client.found_or_canceled(id), code::SUCCESS, "20,000 items are refused");
        assert!(watch.elapsed() < AT_ONCE, "{:?}", watch.elapsed());
    }
    let before = Use::of(&server);
    let mut attackers: Vec<_> = (0..4)
        .map(|_| {
            let mut client = server.admin();
            let id = client.send(&or(1_000));
            (client, id)
        })
        .collect();
    others_are_served("an OR of 1,000 substrings without an index", &server, &mut other, before);
    for (client, id) in &mut attackers {
        assert_eq!(client.found_or_canceled(*id), code::SUCCESS);
    }
    println!("four of them: {:.2} s CPU", before.since(&server).cpu);
    // Who is not the administrator is bound by the limit on what is looked at without an index.
    let mut person = server.person("ann");
    let id = person.send(&or(1_000));
    person.found_or_canceled(id);
}

/// T-05: filters nested beyond the limit are refused wherever one can stand: in a search, in controls, in URLs, in access
/// rules, in rules of uniqueness.
#[test]
fn deep_filters_are_refused_on_every_way_in() {
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("deep");
    for depth in [65, 200, 5_000] {
        let mut encoded = filter::encode("(uid=ann)");
        let mut text = "(uid=ann)".to_owned();
        for _ in 0..depth {
            encoded = tlv(0xA2, &encoded);
            text = format!("(!{text})");
        }
        let mut client = server.admin();
        let refused = |what: &str, client: &mut crate::support::client::Client, operation: &[u8]| {
            if Subject::current().is_slapd() {
                // Its limit is that of the message.
                let id = client.send(operation);
                while client.receive_for(id).is_some_and(|message| message.operation.tag == 0x64) {}
                *client = server.admin();
                return;
            }
            let outcome = client.try_perform(operation);
            // A message that cannot be read whole ends the session (RFC 4511 4.1.1).
            let Some(outcome) = outcome else {
                *client = server.admin();
                return;
            };
            assert_ne!(outcome.code, code::SUCCESS, "{what} at depth {depth}");
        };
        refused("search", &mut client, &Search::subtree(SUFFIX, "(&)").raw_filter(encoded.clone()).encode());
        client.with(Control::critical(oid::ASSERTION, Some(encoded.clone())));
        refused("assertion", &mut client, &Search::base(ANN).encode());
        client.with(Control::critical(oid::MATCHED_VALUES, Some(sequence(&[encoded.clone()]))));
        refused("matched values", &mut client, &Search::base(ANN).encode());
        if Subject::current().is_slapd() {
            continue;
        }
        let rule = format!(r#"(targetfilter={text})(version 3.0; acl "deep"; allow (read) userdn="ldap:///anyone";)"#);
        refused("access rule", &mut client, &request::modify(SUFFIX, &[(ADD, "aci", &[&rule])]));
        let rule = format!(r#"(version 3.0; acl "deep"; allow (read) userdn="ldap:///{SUFFIX}??sub?{text}";)"#);
        refused("URL in a rule", &mut client, &request::modify(SUFFIX, &[(ADD, "aci", &[&rule])]));
        let unique = format!("uid {text}");
        refused("uniqueness", &mut client, &request::modify(SUFFIX, &[(ADD, "uniqueAttribute", &[&unique])]));
    }
    assert_eq!(server.admin().names(PEOPLE, "(uid=ann)"), ["ann"]);
    only_entente_from_here!(Own);
    // A group by a URL that is too deep is a group of nobody.
    let url = format!("ldap:///{SUFFIX}??sub?{}(uid=ann){}", "(!".repeat(200), ")".repeat(200));
    let group = format!("cn=deep,{branch}");
    let attributes: [(&str, &[&str]); 3] =
        [("objectClass", &["groupOfURLs"]), ("cn", &["deep"]), ("memberURL", &[&url])];
    if client.add(&group, &attributes).code == code::SUCCESS {
        assert_eq!(client.names(SUFFIX, &format!("(memberOf={group})")), Vec::<String>::new());
    }
    assert_eq!(client.names(PEOPLE, "(uid=ann)"), ["ann"]);
}

/// T-14: a request has at most 16 controls, each once.
#[test]
fn controls_are_few_and_each_comes_once() {
    let mut client = Server::shared().admin();
    client.with(Control::manage_dsa_it()).with(Control::manage_dsa_it());
    let twice = client.try_perform(&request::compare(ANN, "sn", b"Example"));
    assert!(twice.is_none_or(|outcome| outcome.code == code::PROTOCOL_ERROR));
    only_entente_from_here!(Setting);
    let mut client = Server::shared().admin();
    let with = |client: &mut crate::support::client::Client, count: usize| {
        for number in 0..count {
            client.with(Control { critical: false, ..Control::plain(&format!("1.2.3.{number}")) });
        }
        client.try_perform(&request::compare(ANN, "sn", b"Example")).map(|outcome| outcome.code)
    };
    assert_eq!(with(&mut client, 16), Some(code::COMPARE_TRUE));
    assert!(matches!(with(&mut client, 17), None | Some(code::PROTOCOL_ERROR | code::ADMIN_LIMIT_EXCEEDED)));
}

/// A value of a megabyte, a thousand values, a thousand attributes asked for: large, allowed, and no burden to others.
#[test]
fn large_requests_of_who_may_send_them_are_done() {
    let server = Server::start(Setup::default());
    let mut other = server.person("bob");
    let mut client = server.admin();
    let before = Use::of(&server);
    let large = "x".repeat(1_000_000);
    client.modify(ANN, &[(ADD, "description", &[&large])]).expect(code::SUCCESS);
    let many: Vec<String> = (0..5_000).map(|number| format!("title {number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    client.modify(ANN, &[(ADD, "title", &many)]).expect(code::SUCCESS);
    let names: Vec<String> = (0..1_000).map(|number| format!("unknown{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(client.search(&Search::base(ANN).attributes(&names)).expect(code::SUCCESS).entries.len(), 1);
    let substrings: Vec<Vec<u8>> = (0..200).map(|number| tlv(0x81, format!("{number}").as_bytes())).collect();
    let substrings = constructed(0xA4, &[octets("description"), sequence(&substrings)]);
    client.search(&Search::subtree(SUFFIX, "(&)").raw_filter(substrings)).expect(code::SUCCESS);
    others_are_served("large requests", &server, &mut other, before);
}
