//! Filters: RFC 4511 4.5.1.7, matching by RFC 4517 and 4518, `(&)` and `(|)` of RFC 4526.

use crate::support::request::Search;
use crate::support::server::{SUFFIX, Server, Subject};
use crate::support::{ber, code, oid};
use crate::{ANN, EVERYBODY, GROUPS, PEOPLE};

/// Each filter below ou=people finds exactly these people.
#[track_caller]
fn finds(cases: &[(&str, &[&str])]) {
    let mut client = Server::shared().admin();
    for (filter, expected) in cases {
        assert_eq!(client.names(PEOPLE, filter), *expected, "{filter}");
    }
}

fn all_but(uid: &str) -> Vec<&'static str> {
    EVERYBODY.into_iter().filter(|name| *name != uid).collect()
}

#[test]
fn equality_ignores_case_and_insignificant_space() {
    finds(&[
        ("(cn=Ann Example)", &["ann"]),
        ("(CN=ANN example)", &["ann"]),
        ("(cn=  ann    EXAMPLE  )", &["ann"]),
        ("(mail=ANN@example.COM)", &["ann"]),
        ("(cn=Ann)", &[]),
        ("(cn=AnnExample)", &[]),
    ]);
}

/// RFC 4518 2: case folding and normalisation for all scripts.
#[test]
fn equality_folds_and_normalises_unicode() {
    finds(&[
        ("(cn=JÜRGEN Groß)", &["juergen"]),
        ("(cn=ju\u{308}rgen groß)", &["juergen"]),
        ("(sn=groß)", &["juergen"]),
        ("(cn=Ju\u{ad}rgen Groß)", &[]),
        ("(cn=Jür\u{ad}gen Groß)", if Subject::current().is_slapd() { &[] } else { &["juergen"] }),
    ]);
}

/// RFC 4518 2.2, appendix B.2 of RFC 3454: `ß` folds to `ss`. slapd folds letter by letter.
#[test]
fn sharp_s_folds_to_double_s() {
    finds(&[("(sn=GROSS)", if Subject::current().is_slapd() { &[] } else { &["juergen"] })]);
}

/// RFC 4517 4.2.29: blanks and hyphens do not count in telephone numbers.
#[test]
fn telephone_numbers_ignore_blanks_and_hyphens() {
    finds(&[
        ("(telephoneNumber=+15550100)", &["ann"]),
        ("(telephoneNumber=+1 555-0100)", &["ann"]),
        ("(mobile=+1 5550200)", &["ann"]),
        ("(telephoneNumber=*0101)", &["bob"]),
        ("(telephoneNumber=+44*)", &["dave"]),
        // Ours takes a number without a plus sign for one that somebody dials.
        ("(telephoneNumber=15550100)", Subject::current().pick(&["ann"], &[])),
        ("(telephoneNumber=+5550100)", &[]),
    ]);
}

#[test]
fn presence_finds_who_has_the_attribute() {
    finds(&[
        ("(mail=*)", &["ann", "bob", "carol", "juergen", "star"]),
        ("(!(mail=*))", &["dave", "people"]),
        ("(uidNumber=*)", &["bob", "carol"]),
        ("(jpegPhoto=*)", &["ann"]),
        ("(objectClass=*)", &["ann", "bob", "carol", "dave", "juergen", "people", "star"]),
    ]);
}

#[test]
fn substrings_match_at_the_ends_and_in_the_middle() {
    finds(&[
        ("(cn=Ann*)", &["ann"]),
        ("(cn=*smith)", &["carol"]),
        ("(cn=*o*)", &["bob", "carol", "dave", "juergen", "star"]),
        ("(cn=*amp*)", &["ann"]),
        ("(cn=c*l*h)", &["carol"]),
        ("(cn=*a*n*e*)", &["ann", "dave", "star"]),
        ("(cn=b*b*b*)", &["bob"]),
        ("(cn=b*b*b*b*)", &[]),
        ("(mail=*@example.com)", &["ann", "bob", "carol", "juergen", "star"]),
        ("(cn=ann*example)", &["ann"]),
        ("(cn=ann exa*xample)", &[]),
        ("(sn=*ROß)", &["juergen"]),
        ("(cn=*x)", &[]),
        ("(cn=zz*)", &[]),
    ]);
}

/// RFC 4515 3: what is special in a filter's text is escaped, and is ordinary in values.
#[test]
fn escaped_characters_are_ordinary_values() {
    finds(&[
        ("(cn=Star \\2a \\28Odd\\29 \\5c Name)", &["star"]),
        ("(cn=*\\2a*)", &["star"]),
        ("(cn=*\\5c*)", &["star"]),
        ("(cn=*\\28odd\\29*)", &["star"]),
        ("(sn=O'Neil)", &["dave"]),
    ]);
}

#[test]
fn and_or_not_combine() {
    finds(&[
        ("(&(title=engineer)(uid=bob))", &["bob"]),
        ("(|(uid=ann)(uid=dave))", &["ann", "dave"]),
        ("(!(uid=ann))", &["bob", "carol", "dave", "juergen", "people", "star"]),
        ("(&(objectClass=person)(!(|(uid=ann)(uid=bob))))", &["carol", "dave", "juergen", "star"]),
        ("(&(title=engineer)(!(title=engineer)))", &[]),
        ("(|(&(uid=ann)(sn=example))(&(uid=bob)(sn=example)))", &["ann"]),
        ("(&(uid=ann))", &["ann"]),
        ("(|(uid=ann))", &["ann"]),
        ("(!(!(uid=ann)))", &["ann"]),
    ]);
}

/// RFC 4526.
#[test]
fn empty_and_is_true_and_empty_or_is_false() {
    let everything = ["ann", "bob", "carol", "dave", "juergen", "people", "star"];
    finds(&[
        ("(&)", &everything),
        ("(|)", &[]),
        ("(!(|))", &everything),
        ("(!(&))", &[]),
        ("(&(&)(uid=ann))", &["ann"]),
    ]);
}

/// RFC 4511 4.5.1.7: an attribute that nobody knows is Undefined, and Undefined is neither True nor False.
#[test]
fn unknown_attribute_is_undefined() {
    let everybody_but_ann = all_but("ann");
    finds(&[
        ("(noSuchAttribute=x)", &[]),
        ("(!(noSuchAttribute=x))", &[]),
        ("(noSuchAttribute=*)", &[]),
        ("(!(noSuchAttribute=*))", &[]),
        ("(noSuchAttribute=*x*)", &[]),
        ("(noSuchAttribute>=x)", &[]),
        ("(noSuchAttribute<=x)", &[]),
        ("(noSuchAttribute~=x)", &[]),
        ("(|(uid=ann)(noSuchAttribute=x))", &["ann"]),
        ("(&(uid=ann)(noSuchAttribute=x))", &[]),
        ("(&(uid=ann)(!(noSuchAttribute=x)))", &[]),
        ("(&(uid=*)(!(&(uid=ann)(noSuchAttribute=x))))", &everybody_but_ann),
        ("(!(|(uid=ann)(noSuchAttribute=x)))", &[]),
        ("(mailacceptinggeneralid=ann@example.com)", &[]),
    ]);
}

/// RFC 4511 4.5.1.7: a value that is not of the attribute's syntax is Undefined as well.
#[test]
fn value_of_the_wrong_syntax_is_undefined() {
    finds(&[
        ("(uidNumber=abc)", &[]),
        ("(!(uidNumber=abc))", &[]),
        ("(manager=no dn)", &[]),
        ("(!(manager=no dn))", &[]),
        ("(|(uid=ann)(uidNumber=abc))", &["ann"]),
        ("(createTimestamp>=yesterday)", &[]),
        ("(cn=\\ff\\fe)", &[]),
    ]);
}

/// RFC 4511 4.5.1.7: a known attribute that an entry lacks is False, so its negation is True.
#[test]
fn absent_attribute_is_false() {
    let without_title = ["dave", "people", "star"];
    finds(&[("(!(title=*))", &without_title), ("(&(uid=dave)(!(title=x)))", &["dave"])]);
}

#[test]
fn ordering_compares_numbers_as_numbers() {
    finds(&[
        ("(uidNumber>=1002)", &["carol"]),
        ("(uidNumber<=1001)", &["bob"]),
        ("(uidNumber>=999)", &["bob", "carol"]),
        ("(uidNumber>=10000)", &[]),
        ("(&(uidNumber=*)(!(uidNumber=0)))", &["bob", "carol"]),
        ("(uidNumber=01001)", &[]),
    ]);
}

/// RFC 4517 4.2.17, 3.3.13: every form of GeneralizedTime; Keycloak sends `.0Z`.
#[test]
fn timestamps_compare_in_every_form() {
    let everything: &[&str] = &["ann", "bob", "carol", "dave", "juergen", "people", "star"];
    finds(&[
        ("(createTimestamp>=20200101000000Z)", everything),
        ("(createTimestamp>=20200101000000.0Z)", everything),
        ("(createTimestamp>=202001010000Z)", everything),
        ("(createTimestamp>=2020010100Z)", everything),
        ("(createTimestamp>=20200101000000+0530)", everything),
        ("(modifyTimestamp>=20200101000000,5Z)", everything),
        ("(createTimestamp<=20200101000000Z)", &[]),
        ("(|(createTimestamp>=20990101000000.0Z)(modifyTimestamp>=20990101000000.0Z))", &[]),
    ]);
}

/// RFC 4512 2.5.1: an assertion on a supertype holds for its subtypes.
#[test]
fn supertype_in_a_filter_covers_its_subtypes() {
    finds(&[
        ("(name=Smith)", &["carol"]),
        ("(name=Ann Example)", &["ann"]),
        ("(name=*uild*)", &["bob"]),
        ("(name=people)", &["people"]),
    ]);
}

/// RFC 4512 2.5.2: the same for options.
#[test]
fn description_in_a_filter_covers_its_options() {
    finds(&[
        ("(cn=Anna Beispiel)", &["ann"]),
        ("(cn;lang-de=Anna Beispiel)", &["ann"]),
        ("(cn;LANG-DE=anna*)", &["ann"]),
        ("(cn;lang-de=Ann Example)", &[]),
        ("(cn;lang-de=*)", &["ann"]),
        ("(cn;lang-fr=*)", &[]),
    ]);
}

/// RFC 4512 1.4: an OID names a type wherever a name does.
#[test]
fn attribute_may_be_given_by_oid() {
    finds(&[("(2.5.4.3=Ann Example)", &["ann"]), ("(0.9.2342.19200300.100.1.3=ann@example.com)", &["ann"])]);
}

/// RFC 4512 3.3: an entry belongs to the superclasses of its classes.
#[test]
fn object_class_covers_its_superclasses() {
    finds(&[
        ("(objectClass=person)", &EVERYBODY),
        ("(objectclass=INETORGPERSON)", &EVERYBODY),
        ("(objectClass=2.5.6.6)", &EVERYBODY),
        ("(objectClass=top)", &["ann", "bob", "carol", "dave", "juergen", "people", "star"]),
        ("(objectClass=posixAccount)", &["bob", "carol"]),
        ("(objectClass=noSuchClass)", &[]),
    ]);
}

/// RFC 4517 4.2.15.
#[test]
fn dn_values_compare_as_names() {
    finds(&[
        ("(manager=uid=ann,ou=people,dc=example,dc=com)", &["bob", "carol"]),
        ("(manager=UID=Ann , OU=People,DC=example,DC=com)", &["bob", "carol"]),
        ("(manager=uid=nobody,ou=people,dc=example,dc=com)", &[]),
    ]);
    let mut client = Server::shared().admin();
    assert_eq!(client.names(GROUPS, &format!("(member={})", ANN.to_uppercase())), ["staff"]);
    assert_eq!(client.names(GROUPS, &format!("(uniqueMember={ANN})")), ["unique"]);
}

/// RFC 4511 4.5.1.7.6: greater and less need an ordering rule; approximate falls back to equality.
#[test]
fn approximate_match_finds_at_least_what_is_equal() {
    let mut client = Server::shared().admin();
    assert!(client.names(PEOPLE, "(sn~=smith)").contains(&"carol".to_owned()));
    assert!(client.names(PEOPLE, "(uidNumber~=1001)").contains(&"bob".to_owned()));
}

/// RFC 4511 4.5.1.7.7.
#[test]
fn extensible_match_uses_the_rule_named() {
    finds(&[
        ("(sn:caseExactMatch:=Smith)", &["carol"]),
        ("(sn:caseExactMatch:=smith)", &[]),
        ("(sn:2.5.13.5:=Smith)", &["carol"]),
        ("(sn:=SMITH)", &["carol"]),
        ("(sn:noSuchRule:=x)", &[]),
        ("(!(sn:noSuchRule:=x))", &[]),
    ]);
}

/// RFC 4511 4.5.1.7.7: without an attribute the rule is tried on all that it fits.
#[test]
fn extensible_match_without_an_attribute_tries_all_that_fit() {
    finds(&[("(:caseExactMatch:=Carol Smith)", &["carol"]), ("(:caseExactMatch:=carol smith)", &[])]);
}

/// RFC 4511 4.5.1.7.7 dnAttributes: attributes of the name count too.
#[test]
fn extensible_match_may_look_into_the_name() {
    finds(&[
        ("(ou:dn:=people)", &["ann", "bob", "carol", "dave", "juergen", "people", "star"]),
        ("(&(uid=ann)(dc:dn:=example))", &["ann"]),
        ("(ou:dn:caseExactMatch:=People)", &[]),
        ("(ou:=people)", &["people"]),
    ]);
}

/// The bit rules that Active Directory's users bring along.
#[test]
fn bit_rules_test_integers() {
    let and = oid::BIT_AND;
    let or = "1.2.840.113556.1.4.804";
    finds(&[
        (&format!("(uidNumber:{and}:=1)"), &["bob"]),
        (&format!("(uidNumber:{and}:=2)"), &["carol"]),
        (&format!("(uidNumber:{and}:=1000)"), &["bob", "carol"]),
        (&format!("(uidNumber:{or}:=3)"), &["bob", "carol"]),
        (&format!("(uidNumber:{or}:=4)"), &[]),
    ]);
}

/// RFC 5020, X.501 hasSubordinates.
#[test]
fn computed_attributes_can_be_filtered() {
    let mut client = Server::shared().admin();
    finds(&[(&format!("(entryDN={ANN})"), &["ann"])]);
    assert_eq!(client.names(PEOPLE, "(hasSubordinates=TRUE)"), ["people"]);
    assert_eq!(client.names(PEOPLE, "(&(uid=*)(hasSubordinates=FALSE))"), EVERYBODY);
}

/// An entryUUID finds its entry (RFC 4530), spelled in either case.
#[test]
fn entry_uuid_finds_its_entry() {
    let mut client = Server::shared().admin();
    let uuid = client.read_attributes(ANN, &["entryUUID"]).value("entryUUID");
    assert_eq!(client.names(SUFFIX, &format!("(entryUUID={uuid})")), ["ann"]);
    assert_eq!(client.names(SUFFIX, &format!("(entryUUID={})", uuid.to_uppercase())), ["ann"]);
    assert_eq!(client.names(SUFFIX, "(entryUUID=00000000-0000-0000-0000-000000000000)"), Vec::<String>::new());
}

/// RFC 4511 4.5.1.7: an empty assertion value is no directory string.
#[test]
fn empty_assertion_value_finds_nobody() {
    finds(&[("(cn=)", &[]), ("(mail=)", &[])]);
}

/// Filters of reasonable depth work; beyond the limit the request is refused, not the server harmed.
#[test]
fn deep_filters_are_answered_or_refused() {
    let mut client = Server::shared().admin();
    let nested = |depth: usize| {
        let mut filter = crate::support::filter::encode("(uid=ann)");
        for _ in 0..depth {
            filter = ber::tlv(0xA0, &filter);
        }
        Search::subtree(PEOPLE, "(&)").raw_filter(filter)
    };
    assert_eq!(client.search(&nested(30)).expect(code::SUCCESS).names(), ["ann"]);
    if !Subject::current().is_slapd() {
        let found = client.search(&nested(1000));
        found.outcome.expect_one_of(&[code::PROTOCOL_ERROR, code::UNWILLING_TO_PERFORM]);
        assert_eq!(client.names(PEOPLE, "(uid=ann)"), ["ann"]);
    }
}

/// What a keystroke in a mail client sends: thirty substrings, most of attributes that nobody here has.
#[test]
fn wide_or_of_substrings_is_answered() {
    let terms: String =
        ["cn", "sn", "mail", "givenName", "o", "ou", "title", "description", "telephoneNumber", "noSuch"]
            .iter()
            .flat_map(|name| [format!("({name}=*sm*)"), format!("({name}=sm*)"), format!("({name}=*sm)")])
            .collect();
    finds(&[(&format!("(|{terms})"), &["carol"])]);
}
