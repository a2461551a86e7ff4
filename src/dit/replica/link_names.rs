//! Names of what links lead to, where the links are many or come before what they lead to.

use super::*;

fn rename(node: &Replica, uuid: u8, name: &str) {
    node.change(uuid, |writing| {
        let rdn = crate::model::Rdn::parse(&format!("cn={name}")).unwrap();
        vec![cell(writing, "cn", name, true), Delta::Rdn(rdn_state(writing, &rdn).unwrap())]
    });
}

/// A group (5) below `superior` of so many that they do not stand in its record, with Ann (3) and itself.
fn group(node: &Replica, superior: &str) {
    node.add(5, &format!("cn=group,{superior}"), &[("objectClass", &["groupOfNames"]), ("cn", &["group"])]);
    node.change(5, |writing| {
        let others = (0..70).map(|number| format!("cn=m{number:02},o=elsewhere"));
        let members = others.chain([format!("cn=Ann,{SUFFIX}"), format!("cn=group,{superior}")]);
        members.map(|text| cell(writing, "member", &text, true)).collect::<Vec<_>>()
    });
}

fn links(node: &Replica) -> Vec<String> {
    node.values(5, "member").into_iter().filter(|text| !text.ends_with("o=elsewhere")).collect()
}

#[test]
fn group_that_waited_for_its_superior_shows_the_names_that_its_members_have_by_then() {
    let schema = Arc::new(Schema::builtin());
    let nodes = [1, 2, 3].map(|origin| Replica::new(origin, &schema));
    nodes[0].suffix();
    nodes[0].person(3, "Ann");
    nodes[1].follow(&nodes[0]);
    let units = format!("ou=units,{SUFFIX}");
    nodes[1].add(6, &units, &[("objectClass", &["organizationalUnit"]), ("ou", &["units"])]);
    nodes[2].follow(&nodes[0]);
    nodes[2].follow(&nodes[1]);
    group(&nodes[2], &units);
    nodes[0].follow(&nodes[2]);
    assert!(links(&nodes[0]).is_empty(), "its superior is not here");
    rename(&nodes[0], 3, "Anna");
    nodes[0].follow(&nodes[1]);
    let mut shown = links(&nodes[0]);
    shown.sort();
    assert_eq!(shown, [format!("cn=Anna,{SUFFIX}"), format!("cn=group,{units}")]);
    nodes[0].assert_sound();
    rename(&nodes[0], 3, "Anne");
    assert!(links(&nodes[0]).contains(&format!("cn=Anne,{SUFFIX}")));
    nodes[0].assert_sound();
}

#[test]
fn deleted_group_that_stays_for_what_is_below_it_keeps_no_names() {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    one.suffix();
    one.person(3, "Ann");
    group(&one, SUFFIX);
    two.follow(&one);
    two.add(7, &format!("cn=below,cn=group,{SUFFIX}"), &[("objectClass", &["device"]), ("cn", &["below"])]);
    one.change(5, |_| vec![Delta::Dead]);
    one.follow(&two);
    two.follow(&one);
    rename(&one, 3, "Anna");
    two.follow(&one);
    for node in [&one, &two] {
        assert!(node.values(5, "member").is_empty());
        node.assert_sound();
    }
}

/// Ann's name is given again by another master, which did it first: she has it with her entryUUID from then on.
#[test]
fn link_to_an_entry_that_loses_its_name_while_a_directory_is_taken_in_shows_its_new_one() {
    let schema = Arc::new(Schema::builtin());
    let nodes = [1, 2, 3].map(|origin| Replica::new(origin, &schema));
    nodes[0].suffix();
    nodes[1].follow(&nodes[0]);
    nodes[1].person(4, "Ann");
    nodes[0].clock.advance(std::time::Duration::from_secs(1));
    nodes[0].person(3, "Ann");
    group(&nodes[0], SUFFIX);
    nodes[0].add(8, &format!("cn=few,{SUFFIX}"), &[("objectClass", &["groupOfNames"]), ("cn", &["few"])]);
    nodes[0].set(8, "member", &format!("cn=Ann,{SUFFIX}"), true);
    nodes[0].follow(&nodes[1]);
    nodes[2].set_up_fill(&nodes[0], 1 << 20, usize::MAX);
    nodes[2].write(|writing| writing.end_fill().unwrap());
    for node in [&nodes[0], &nodes[2]] {
        node.assert_sound();
        assert!(node.values(8, "member")[0].contains("entryUUID="), "{:?}", node.values(8, "member"));
    }
    assert_eq!(links(&nodes[2]), links(&nodes[0]));
}

/// Ann is deleted and undeleted on one node, and renamed on the other meanwhile: her second life has the name of before, and
/// so has all that is below her, however far down.
#[test]
fn links_to_what_is_below_an_undeleted_entry_show_the_name_of_its_second_life() {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    one.suffix();
    one.person(3, "Ann");
    let below = |name: &str, superior: &str| format!("cn={name},{superior},{SUFFIX}");
    one.add(4, &below("Bob", "cn=Ann"), &[("objectClass", &["device"]), ("cn", &["Bob"])]);
    one.add(7, &below("Cid", "cn=Bob,cn=Ann"), &[("objectClass", &["device"]), ("cn", &["Cid"])]);
    two.follow(&one);
    one.change(3, |_| vec![Delta::Dead]);
    one.undelete(3);
    rename(&two, 3, "Anna");
    two.add(8, &format!("cn=few,{SUFFIX}"), &[("objectClass", &["groupOfNames"]), ("cn", &["few"])]);
    two.set(8, "member", &below("Cid", "cn=Bob,cn=Anna"), true);
    assert_eq!(two.values(8, "member"), [below("Cid", "cn=Bob,cn=Anna")]);
    two.follow(&one);
    one.follow(&two);
    for node in [&one, &two] {
        assert_eq!(node.values(8, "member"), [below("Cid", "cn=Bob,cn=Ann")]);
        node.assert_sound();
    }
}

/// A group (8) that names Ann, and 5 as many others as do not stand in its record, before she (3) is there.
fn groups_of_ann_to_be(node: &Replica) {
    node.suffix();
    group(node, SUFFIX);
    node.add(8, &format!("cn=few,{SUFFIX}"), &[("objectClass", &["groupOfNames"]), ("cn", &["few"])]);
    node.set(8, "member", &format!("cn=Ann,{SUFFIX}"), true);
    node.person(3, "Ann");
}

fn assert_name(nodes: [&Replica; 2], name: Option<&str>) {
    let text = name.map(|name| format!("cn={name},{SUFFIX}"));
    for node in nodes {
        assert_eq!(node.values(8, "member"), text.clone().into_iter().collect::<Vec<_>>());
        let mut expected: Vec<_> = text.clone().into_iter().chain([format!("cn=group,{SUFFIX}")]).collect();
        expected.sort();
        let mut shown = links(node);
        shown.sort();
        assert_eq!(shown, expected);
        node.assert_sound();
    }
}

#[test]
fn texts_become_links_in_the_transaction_that_takes_their_name_away() {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    groups_of_ann_to_be(&one);
    two.follow(&one);
    assert_name([&one, &two], Some("Ann"));
    let before = two.sequence(two.origin());
    rename(&two, 3, "Anna");
    assert_eq!(two.sequence(two.origin()), before + 3, "two groups and Ann");
    one.follow(&two);
    assert_name([&one, &two], Some("Anna"));
    rename(&one, 3, "Anne");
    two.follow(&one);
    assert_eq!(two.sequence(two.origin()), before + 3);
    assert_name([&one, &two], Some("Anne"));
    one.change(3, |_| vec![Delta::Dead]);
    two.follow(&one);
    assert_name([&one, &two], None);
    two.person(4, "Ann");
    one.follow(&two);
    assert_name([&one, &two], None);
    one.undelete(3);
    two.follow(&one);
    assert_name([&one, &two], Some("Anne"));
}

#[test]
fn deletion_makes_links_of_texts_that_an_undelete_finds_again() {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    groups_of_ann_to_be(&one);
    two.follow(&one);
    two.change(3, |_| vec![Delta::Dead]);
    one.follow(&two);
    assert_name([&one, &two], None);
    one.undelete(3);
    two.follow(&one);
    assert_name([&one, &two], Some("Ann"));
}

/// A name of which the index keeps a hash.
#[test]
fn texts_of_very_long_names_become_links_too() {
    let schema = Arc::new(Schema::builtin());
    let node = Replica::new(1, &schema);
    node.suffix();
    let unit = |letter: &str| format!("ou={},{SUFFIX}", letter.repeat(300));
    let long = "l".repeat(200);
    group(&node, SUFFIX);
    node.add(8, &format!("cn=few,{SUFFIX}"), &[("objectClass", &["groupOfNames"]), ("cn", &["few"])]);
    for group in [5, 8] {
        for name in ["k", &long] {
            node.set(group, "member", &format!("cn={name},{}", unit("u")), true);
        }
    }
    let ou = "u".repeat(300);
    node.add(6, &unit("u"), &[("objectClass", &["organizationalUnit"]), ("ou", &[&ou])]);
    node.add(3, &format!("cn={long},{}", unit("u")), &[("objectClass", &["device"]), ("cn", &[&long])]);
    node.change(6, |writing| {
        let rdn = crate::model::Rdn::parse(&format!("ou={}", "v".repeat(300))).unwrap();
        vec![Delta::Rdn(rdn_state(writing, &rdn).unwrap())]
    });
    let mut shown = node.values(8, "member");
    shown.sort();
    assert_eq!(shown, [format!("cn=k,{}", unit("u")), format!("cn={long},{}", unit("v"))]);
    assert!(links(&node).contains(&format!("cn={long},{}", unit("v"))));
    node.assert_sound();
    rename(&node, 3, "short");
    assert!(node.values(8, "member").contains(&format!("cn=short,{}", unit("v"))));
    node.assert_sound();
}
