//! Language tags and ranges: RFC 3866.

use crate::support::code;
use crate::support::request::{ADD, DELETE, Search};
use crate::support::server::Server;

/// RFC 3866 3: a tag makes a description of its own; without one, all are meant.
#[test]
fn a_range_means_the_languages_in_it() {
    let (mut client, branch) = Server::shared().branch("languages");
    let dn = crate::add_person(&mut client, &branch, "p");
    client
        .modify(
            &dn,
            &[
                (ADD, "title;lang-en", &["lift"]),
                (ADD, "title;lang-en-us", &["elevator"]),
                (ADD, "title;lang-de", &["Aufzug"]),
                (ADD, "title", &["plain"]),
            ],
        )
        .expect(code::SUCCESS);
    // 3.2: in filters.
    for (filter, finds) in [
        ("(title=elevator)", true),
        ("(title;lang-en-us=elevator)", true),
        ("(title;lang-en-=elevator)", true),
        ("(title;lang-en-=lift)", true),
        ("(title;lang-=aufzug)", true),
        ("(title;lang-de-=lift)", false),
        ("(title;lang-en=elevator)", false),
        ("(title;lang-=plain)", false),
        ("(title;lang-=*)", true),
        ("(title;lang-fr-=*)", false),
    ] {
        let expected: &[&str] = if finds { &["p"] } else { &[] };
        assert_eq!(client.names(&branch, filter), expected, "{filter}");
    }
    // 3.1: in what is asked for.
    for (asked, expected) in [
        ("title;lang-en-", &["elevator", "lift"][..]),
        ("title;lang-de", &["Aufzug"]),
        ("title;lang-", &["Aufzug", "elevator", "lift"]),
        ("title", &["Aufzug", "elevator", "lift", "plain"]),
    ] {
        let entry = client.search(&Search::base(&dn).attributes(&[asked])).single();
        let mut values: Vec<String> = entry
            .attributes
            .iter()
            .flat_map(|(_, values)| values.iter().map(|value| String::from_utf8(value.clone()).unwrap()))
            .collect();
        values.sort();
        assert_eq!(values, expected, "{asked}");
    }
}

/// RFC 3866 2.2: a range is no description of values.
#[test]
fn a_range_is_not_written() {
    let (mut client, branch) = Server::shared().branch("languages-written");
    let dn = crate::add_person(&mut client, &branch, "p");
    let refused = client.modify(&dn, &[(ADD, "title;lang-en-", &["x"])]);
    refused.expect_one_of(&[code::UNDEFINED_ATTRIBUTE_TYPE, code::PROTOCOL_ERROR]);
    let refused = client.modify(&dn, &[(DELETE, "title;lang-", &[])]);
    refused.expect_one_of(&[code::UNDEFINED_ATTRIBUTE_TYPE, code::PROTOCOL_ERROR]);
}
