//! `~=` (RFC 4511 4.5.1.7.6: what it means is up to the server) and telephone numbers (RFC 4517 4.2.29).

use crate::PEOPLE;
use crate::support::client::Client;
use crate::support::code;
use crate::support::server::Server;

#[track_caller]
fn named(client: &mut Client, branch: &str, uid: &str, cn: &str, sn: &str, telephone: &[&str]) {
    let mut attributes: Vec<(&str, &[&str])> =
        vec![("objectClass", &["inetOrgPerson"]), ("uid", std::slice::from_ref(&uid))];
    let (cn, sn) = ([cn], [sn]);
    attributes.push(("cn", &cn));
    attributes.push(("sn", &sn));
    if !telephone.is_empty() {
        attributes.push(("telephoneNumber", telephone));
    }
    client.add(&format!("uid={uid},{branch}"), &attributes).expect(code::SUCCESS);
}

/// What slapd finds too.
#[test]
fn a_name_is_found_by_how_it_sounds() {
    let mut client = Server::shared().admin();
    assert_eq!(client.names(PEOPLE, "(sn~=smyth)"), ["carol"]);
    assert_eq!(client.names(PEOPLE, "(sn~=Smith)"), ["carol"]);
    assert!(client.names(PEOPLE, "(sn~=wolf)").is_empty());
}

#[test]
fn names_are_found_across_spellings_and_scripts() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("approximate");
    named(&mut client, &branch, "mueller", "Jörg Müller", "Müller", &[]);
    named(&mut client, &branch, "maier", "Karla Maier", "Maier", &[]);
    named(&mut client, &branch, "petrov", "Пётр Петров", "Петров", &[]);
    named(&mut client, &branch, "lee", "李小龙", "李", &[]);
    named(&mut client, &branch, "oconnor", "Pat O'Connor", "O’Connor", &[]);
    for (filter, expected) in [
        ("(cn~=Mueller)", "mueller"),
        ("(cn~=Joerg Muller)", "mueller"),
        ("(cn~=Мюллер)", "mueller"),
        ("(cn~=Meyer)", "maier"),
        ("(cn~=Petrov)", "petrov"),
        ("(cn~=Петорв)", "petrov"),
        ("(cn~=Xiao Long)", "lee"),
        ("(cn~=oconnor)", "oconnor"),
        ("(sn~=oconnor)", "oconnor"),
        ("(cn~=Pat Connor)", "oconnor"),
        ("(cn~=O Connor)", "oconnor"),
        ("(sn~=O'Conor)", "oconnor"),
        ("(&(objectClass=person)(cn~=Carla Mayer))", "maier"),
    ] {
        assert_eq!(client.names(&branch, filter), [expected], "{filter}");
    }
    assert!(client.names(&branch, "(cn~=Mueller Meyer)").is_empty());
    assert!(client.names(&branch, "(cn~=O'Brien)").is_empty());
    // The index follows a change of the name.
    client.modify(&format!("uid=maier,{branch}"), &[(2, "cn", &["Karla Wolf"])]).expect(code::SUCCESS);
    assert!(client.names(&branch, "(cn~=Meyer)").is_empty());
    assert_eq!(client.names(&branch, "(cn~=Wolff)"), ["maier"]);
}

#[test]
fn a_caller_is_found_by_the_number_as_it_is_dialled() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("telephone");
    named(&mut client, &branch, "one", "One", "One", &["+1 (555) 010-99"]);
    named(&mut client, &branch, "two", "Two", "Two", &["+49 30 123456", "555-010-99"]);
    for (filter, expected) in [
        ("(telephoneNumber=55501099)", &["one", "two"][..]),
        ("(telephoneNumber=5501099)", &["one"]),
        ("(telephoneNumber=1 555 010 99)", &["one"]),
        ("(telephoneNumber=+155501099)", &["one"]),
        ("(telephoneNumber=*5501099)", &["one", "two"]),
        ("(|(telephoneNumber=030/123456)(mobile=030/123456)(ipPhone=030/123456))", &["two"]),
        ("(telephoneNumber=+4930123456)", &["two"]),
        // Another country; too short; the very number, by the name of its rule.
        ("(telephoneNumber=+44 55501099)", &[]),
        ("(telephoneNumber=501099)", &[]),
        ("(telephoneNumber:telephoneNumberMatch:=5501099)", &[]),
    ] {
        assert_eq!(client.names(&branch, filter), expected, "{filter}");
    }
}

/// The trunk zero that many write into an international number, `(0)`, is no other number: not for who asks for all of it, for how
/// it begins or for what it ends in, and not for who wrote it in the entry.
#[test]
fn an_international_number_is_found_with_its_trunk_zero_and_without() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("trunk-zero");
    named(&mut client, &branch, "with", "With", "With", &["+49 (0)30 1234"]);
    named(&mut client, &branch, "without", "Without", "Without", &["+49 30 1234"]);
    named(&mut client, &branch, "rome", "Rome", "Rome", &["+39 06 123456"]);
    let both = &["with", "without"][..];
    for (filter, expected) in [
        ("(telephoneNumber=+49301234)", both),
        (r"(telephoneNumber=+49 \280\2930 1234)", both),
        ("(telephoneNumber~=+49301234)", both),
        ("(telephoneNumber=+4930*)", both),
        (r"(telephoneNumber=+49\280\2930*)", both),
        ("(telephoneNumber=*+4930*)", both),
        ("(telephoneNumber=*+49301234)", both),
        ("(telephoneNumber=+4930*34)", both),
        ("(|(telephoneNumber=+49 30 12*)(mobile=+49 30 12*)(ipPhone=+49 30 12*))", both),
        // As it is dialled in the town's own country, and from others.
        ("(telephoneNumber=030 1234)", both),
        ("(telephoneNumber=0049301234)", both),
        ("(telephoneNumber=+4931*)", &[]),
        ("(&(sn=with)(!(telephoneNumber=+4930*)))", &[]),
        // In Italy the zero belongs to the number.
        ("(telephoneNumber=+396*)", &[]),
        ("(telephoneNumber=+3906*)", &["rome"]),
        // The very number, by the name of its rule.
        ("(telephoneNumber:telephoneNumberMatch:=+49301234)", &["without"]),
    ] {
        assert_eq!(client.names(&branch, filter), expected, "{filter}");
    }
}
