//! Which attributes a search returns, and how they are spelled: RFC 4511 4.5.1.8, RFC 4512 2.5, RFC 3673, RFC 4529.

use crate::support::ber::Element;
use crate::support::code;
use crate::support::request::Search;
use crate::support::server::{Server, Subject};
use crate::{ANN, BOB, PEOPLE};

/// RFC 4511 4.5.1.8: an empty list means all user attributes.
#[test]
fn empty_attribute_list_gives_all_user_attributes_and_no_operational_ones() {
    let mut client = Server::shared().admin();
    for names in [&[][..], &["*"]] {
        let entry = client.read_attributes(ANN, names);
        for name in ["cn", "sn", "mail", "jpegPhoto", "objectClass", "uid", "cn;lang-de", "description"] {
            assert!(entry.has(name), "{name} of {entry:?}");
        }
        for name in ["createTimestamp", "modifyTimestamp", "entryUUID", "structuralObjectClass", "memberOf"] {
            assert!(!entry.has(name), "{name} of {entry:?}");
        }
    }
}

/// RFC 3673.
#[test]
fn plus_gives_all_operational_attributes_and_no_user_ones() {
    let mut client = Server::shared().admin();
    let entry = client.read_attributes(ANN, &["+"]);
    for name in ["createTimestamp", "modifyTimestamp", "entryUUID", "structuralObjectClass", "subschemaSubentry"] {
        assert!(entry.has(name), "{name} of {entry:?}");
    }
    assert!(!entry.has("cn"), "{entry:?}");
    let both = client.read_attributes(ANN, &["*", "+"]);
    assert!(both.has("cn") && both.has("createTimestamp"), "{both:?}");
}

/// RFC 4511 4.5.1.8: `1.1` alone asks for no attributes, beside others it means nothing.
#[test]
fn no_attributes_is_asked_for_by_its_oid() {
    let mut client = Server::shared().admin();
    assert!(client.read_attributes(ANN, &["1.1"]).attributes.is_empty());
    assert_eq!(client.read_attributes(ANN, &["1.1", "uid"]).names(), ["uid"]);
}

/// RFC 4511 4.5.1.7 typesOnly.
#[test]
fn types_only_gives_names_without_values() {
    let mut client = Server::shared().admin();
    let entry = client.search(&Search::base(ANN).types_only()).single();
    assert!(entry.has("mail"));
    assert!(entry.attributes.iter().all(|(_, values)| values.is_empty()), "{entry:?}");
    let entry = client.search(&Search::base(ANN).types_only().attributes(&["mail", "createTimestamp"])).single();
    assert_eq!(entry.names(), ["createTimestamp", "mail"]);
}

/// RFC 4511 4.5.1.8: unknown names are ignored; so are empty and repeated ones, as SSSD and Gitea send them.
#[test]
fn unknown_empty_and_repeated_names_are_ignored() {
    let mut client = Server::shared().admin();
    let names = ["uid", "mail", "", "noSuchAttribute", "dn", "distinguishedName", "uid", "UID", "1.2.3.4", "mail"];
    let entry = client.read_attributes(ANN, &names);
    let mut seen: Vec<_> = entry.names().iter().map(|name| name.to_lowercase()).collect();
    seen.dedup();
    assert_eq!(seen, ["mail", "uid"], "{entry:?}");
    assert_eq!(entry.attributes.len(), 2, "an attribute comes once: {entry:?}");
    // Nothing of it known, though asked for: nothing comes.
    assert!(client.read_attributes(ANN, &["noSuchAttribute"]).attributes.is_empty());
}

/// go-ldap and ldapts look names up by exact spelling. slapd answers in the schema's spelling.
#[test]
fn names_come_back_as_the_client_spelled_them() {
    let mut client = Server::shared().admin();
    let entry = client.read_attributes(ANN, &["MAIL", "GivenName", "2.5.4.4", "objectclass"]);
    let ours = ["2.5.4.4", "GivenName", "MAIL", "objectclass"];
    let slapd = ["givenName", "mail", "objectClass", "sn"];
    assert_eq!(entry.names(), Subject::current().pick(ours, slapd));
    // Unasked, the schema's spelling.
    let entry = client.read(ANN);
    assert!(entry.names().contains(&"givenName".to_owned()) && entry.names().contains(&"objectClass".to_owned()));
}

/// The alternative names of a type ask for it as well (RFC 4512 4.1.2).
#[test]
fn every_name_of_a_type_asks_for_it() {
    let mut client = Server::shared().admin();
    let entry = client.read_attributes(ANN, &["commonName", "surname", "rfc822Mailbox"]);
    assert_eq!(entry.attributes.len(), 4, "cn, cn;lang-de, sn, mail: {entry:?}");
}

/// RFC 4512 2.5.1: a description asks for all its subtypes by inheritance.
#[test]
fn supertype_asks_for_its_subtypes() {
    let mut client = Server::shared().admin();
    let entry = client.read_attributes(ANN, &["name"]);
    for name in ["cn", "sn", "givenName", "title", "cn;lang-de"] {
        assert!(entry.has(name), "{name} of {entry:?}");
    }
    assert!(!entry.has("mail") && !entry.has("uid"), "{entry:?}");
}

/// RFC 4512 2.5.2: a description without options asks for those with options too, one with options for its own only.
#[test]
fn options_narrow_what_is_asked_for() {
    let mut client = Server::shared().admin();
    assert_eq!(client.read_attributes(ANN, &["cn"]).names(), ["cn", "cn;lang-de"]);
    let entry = client.read_attributes(ANN, &["cn;lang-de"]);
    assert_eq!(entry.value("cn;lang-de"), "Anna Beispiel");
    assert_eq!(entry.attributes.len(), 1);
    assert!(client.read_attributes(ANN, &["cn;lang-fr"]).attributes.is_empty());
}

/// RFC 4529.
#[test]
fn object_class_asks_for_the_attributes_that_it_allows() {
    let mut client = Server::shared().admin();
    let entry = client.read_attributes(BOB, &["@posixAccount"]);
    for name in ["uid", "cn", "uidNumber", "gidNumber", "homeDirectory", "loginShell"] {
        assert!(entry.has(name), "{name} of {entry:?}");
    }
    for name in ["mail", "title", "manager", "givenName"] {
        assert!(!entry.has(name), "{name} of {entry:?}");
    }
    // Inherited from person and organizationalPerson; and an unknown class is ignored.
    let entry = client.read_attributes(BOB, &["@inetOrgPerson", "@noSuchClass"]);
    assert!(entry.has("sn") && entry.has("title") && entry.has("mail"), "{entry:?}");
    assert!(!entry.has("homeDirectory"), "{entry:?}");
}

/// Passwords go to nobody here but the administrator and never by `*` to others.
#[test]
fn passwords_are_not_returned_to_people() {
    let mut client = Server::shared().person("bob");
    for names in [&["*"][..], &["userPassword"], &["*", "+"], &["@person"]] {
        assert!(!client.read_attributes(ANN, names).has("userPassword"));
    }
}

/// Values are octets: a photo comes back as it went in.
#[test]
fn binary_values_come_back_unchanged() {
    let mut client = Server::shared().admin();
    let photo = client.read_attributes(ANN, &["jpegPhoto"]).bytes("jpegPhoto");
    assert_eq!(photo[0][..4], [0xFF, 0xD8, 0xFF, 0xE0]);
    assert!(photo[0].ends_with(&[0xFF, 0xD9]));
}

/// RFC 4511 4.5.1.8: an attribute selector is an LDAPString, whatever stands in it.
#[test]
fn selector_that_is_not_a_description_is_ignored() {
    let mut client = Server::shared().admin();
    let entry = client.read_attributes(ANN, &["uid", "c n", "cn;", "*cn", "-", "cn;lang de"]);
    assert_eq!(entry.names(), ["uid"]);
}

/// A thousand selectors are many but no error.
#[test]
fn long_attribute_list_is_answered() {
    let names: Vec<String> = (0..1000).map(|index| format!("x-{index}")).collect();
    let mut list: Vec<&str> = names.iter().map(String::as_str).collect();
    list.push("uid");
    assert_eq!(Server::shared().admin().read_attributes(ANN, &list).names(), ["uid"]);
}

/// Entries without any of the attributes asked for are found all the same.
#[test]
fn entries_without_the_attributes_asked_for_are_returned_empty() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::subtree(PEOPLE, "(uid=dave)").attributes(&["mail"])).expect(code::SUCCESS);
    assert_eq!(found.names(), ["dave"]);
    assert!(found.entries[0].attributes.is_empty());
}

/// The bytes of the answer are what RFC 4511 4.5.2 says: objectName, then a SEQUENCE OF PartialAttribute.
#[test]
fn entry_on_the_wire_has_the_shape_of_the_rfc() {
    let mut client = Server::shared().admin();
    let id = client.send(&Search::base(ANN).attributes(&["uid"]).encode());
    let message = client.receive_for(id).expect("an entry");
    assert_eq!(message.operation.tag, 0x64);
    // Compared by tags and contents: BER leaves the form of lengths open.
    let children = |element: &Element, tag: u8| {
        assert_eq!(element.tag, tag);
        element.children().expect("BER")
    };
    let parts = children(&message.operation, 0x64);
    assert_eq!((parts.len(), parts[0].tag, parts[0].text()), (2, 0x04, ANN.to_owned()));
    let list = children(&parts[1], 0x30);
    let attribute = children(&list[0], 0x30);
    assert_eq!((list.len(), attribute.len(), attribute[0].tag, attribute[0].text()), (1, 2, 0x04, "uid".to_owned()));
    let values = children(&attribute[1], 0x31);
    assert_eq!((values.len(), values[0].tag, values[0].text()), (1, 0x04, "ann".to_owned()));
}
