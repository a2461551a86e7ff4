//! Matched values: RFC 3876.

use crate::support::request::{Control, Search};
use crate::support::server::{Server, Subject};
use crate::support::{code, oid};
use crate::{ANN, GROUPS};

/// RFC 3876 3: values that fit no item stay away.
#[test]
fn only_values_that_fit_are_sent() {
    let mut client = Server::shared().admin();
    let search = || Search::base(ANN).attributes(&["mail", "cn"]);
    assert_eq!(client.search(&search()).single().values("mail").len(), 2);
    let entry = client.with(Control::matched_values(&["(mail=ann.*)"])).search(&search()).single();
    assert_eq!(entry.values("mail"), ["ann.example@example.com"]);
    assert!(entry.values("cn").is_empty());
    let several = Control::matched_values(&["(mail=ann@example.com)", "(cn=*)"]);
    let entry = client.with(several).search(&search()).single();
    assert_eq!((entry.values("mail"), entry.values("cn").len()), (vec!["ann@example.com".to_owned()], 1));
}

/// The values filter chooses values, the search filter entries.
#[test]
fn entries_without_fitting_values_are_sent_all_the_same() {
    let mut client = Server::shared().admin();
    let nothing = Control::matched_values(&["(mail=nobody@example.com)"]);
    let entry = client.with(nothing).search(&Search::base(ANN).attributes(&["mail"])).single();
    assert!(entry.values("mail").is_empty());
}

/// Names are compared as names: one member out of a group.
#[test]
fn one_member_of_a_group_is_found_among_many() {
    let mut client = Server::shared().admin();
    let groups = client.search(&Search::subtree(GROUPS, &format!("(member={ANN})")).attributes(&["member"]));
    let most = groups.entries.iter().map(|entry| entry.values("member").len()).max().unwrap_or_default();
    assert!(most > 1, "a group with several members is among the data");
    let item = "(member=UID=Ann, ou=people, dc=example,dc=com)";
    let search = Search::subtree(GROUPS, &format!("(member={ANN})")).attributes(&["member"]);
    let found = client.with(Control::matched_values(&[item])).search(&search).expect(code::SUCCESS);
    assert!(found.entries.iter().all(|entry| entry.values("member").len() == 1), "{found:?}");
}

#[test]
fn types_only_is_as_without_it() {
    let mut client = Server::shared().admin();
    let control = Control::matched_values(&["(mail=nobody)"]);
    let entry = client.with(control).search(&Search::base(ANN).attributes(&["mail"]).types_only()).single();
    assert_eq!(entry.names(), ["mail"]);
}

/// RFC 3876 3: simple items only.
#[test]
fn a_filter_that_is_not_simple_is_a_protocol_error() {
    let mut client = Server::shared().admin();
    let values: [Option<Vec<u8>>; 5] = [
        None,
        Some(vec![]),
        Some(b"\x30\x00".to_vec()),
        Some(b"\x30\x02\xA0\x00".to_vec()),
        Some(b"\x04\x00".to_vec()),
    ];
    for value in values {
        // slapd passes over what it does not know.
        if Subject::current().is_slapd() && value.as_ref().is_some_and(|value| !value.is_empty()) {
            continue;
        }
        let found = client.with(Control::critical(oid::MATCHED_VALUES, value.clone())).search(&Search::base(ANN));
        assert_ne!(found.outcome.code, code::SUCCESS, "{value:?}");
    }
}
