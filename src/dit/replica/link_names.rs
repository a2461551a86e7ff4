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

/// A name that is given twice: Ann (3) of the first node, who loses it to an older Ann (4) of the second. A group (8) of both
/// names that she has, and of one below hers, as text: written by a third node before it had any of these.
fn twice_given(schema: &Arc<Schema>) -> [Replica; 3] {
    let nodes = [1, 2, 3].map(|origin| Replica::new(origin, schema));
    nodes[0].suffix();
    nodes[1].follow(&nodes[0]);
    nodes[2].follow(&nodes[0]);
    let loser = format!("cn=Ann+entryUUID={},{SUFFIX}", EntryUuid([3; 16]));
    nodes[2].add(8, &format!("cn=few,{SUFFIX}"), &[("objectClass", &["groupOfNames"]), ("cn", &["few"])]);
    for name in [format!("cn=Ann,{SUFFIX}"), loser, format!("cn=Bob,cn=Ann,{SUFFIX}")] {
        nodes[2].set(8, "member", &name, true);
    }
    nodes[1].person(4, "Ann");
    nodes[0].clock.advance(std::time::Duration::from_secs(1));
    nodes[0].person(3, "Ann");
    let below: [(&str, &[&str]); 2] = [("objectClass", &["device"]), ("cn", &["Bob"])];
    nodes[0].add(7, &format!("cn=Bob,cn=Ann,{SUFFIX}"), &below);
    nodes
}

fn deliver(nodes: &[Replica; 3], order: [(usize, usize); 6]) {
    for (to, from) in order {
        nodes[to].follow(&nodes[from]);
    }
}

const ORDERS: [[(usize, usize); 6]; 3] = [
    [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)],
    [(0, 2), (0, 1), (1, 2), (1, 0), (2, 1), (2, 0)],
    [(2, 1), (2, 0), (1, 2), (1, 0), (0, 2), (0, 1)],
];

fn members(node: &Replica) -> Vec<String> {
    let mut members = node.values(8, "member");
    members.sort();
    members
}

#[test]
fn text_of_a_name_given_twice_names_who_has_it_in_whatever_order_changes_come() {
    let schema = Arc::new(Schema::builtin());
    for order in ORDERS {
        let nodes = twice_given(&schema);
        deliver(&nodes, order);
        for node in &nodes {
            let loser = format!("cn=Ann+entryUUID={},{SUFFIX}", EntryUuid([3; 16]));
            assert_eq!(members(node), [loser, format!("cn=Ann,{SUFFIX}"), format!("cn=Bob,cn=Ann,{SUFFIX}")]);
            node.assert_sound();
        }
        // The winner leaves the name: so does the loser its name with an entryUUID, and what is below it stays.
        rename(&nodes[1], 4, "Anna");
        deliver(&nodes, order);
        for node in &nodes {
            let names = ["cn=Ann", "cn=Anna", "cn=Bob,cn=Ann"].map(|name| format!("{name},{SUFFIX}"));
            assert_eq!(members(node), names);
            node.assert_sound();
        }
        // By now they are links, all of them.
        rename(&nodes[0], 3, "Anne");
        deliver(&nodes, order);
        for node in &nodes {
            let names = ["cn=Anna", "cn=Anne", "cn=Bob,cn=Anne"].map(|name| format!("{name},{SUFFIX}"));
            assert_eq!(members(node), names);
            node.assert_sound();
        }
    }
}

#[test]
fn texts_below_the_winner_of_a_name_follow_the_loser_whose_they_are() {
    let schema = Arc::new(Schema::builtin());
    for order in ORDERS {
        let nodes = twice_given(&schema);
        deliver(&nodes, order);
        rename(&nodes[2], 3, "Anne");
        deliver(&nodes, order);
        for node in &nodes {
            let names = ["cn=Ann", "cn=Anne", "cn=Bob,cn=Anne"].map(|name| format!("{name},{SUFFIX}"));
            assert_eq!(members(node), names);
            node.assert_sound();
        }
        nodes[1].change(4, |_| vec![Delta::Dead]);
        deliver(&nodes, order);
        for node in &nodes {
            assert_eq!(members(node), ["cn=Anne", "cn=Bob,cn=Anne"].map(|name| format!("{name},{SUFFIX}")));
            node.assert_sound();
        }
    }
}

#[test]
fn deleted_winner_of_a_name_leaves_the_loser_its_memberships() {
    let schema = Arc::new(Schema::builtin());
    for order in ORDERS {
        let nodes = twice_given(&schema);
        deliver(&nodes, order);
        nodes[2].change(4, |_| vec![Delta::Dead]);
        deliver(&nodes, order);
        for node in &nodes {
            assert_eq!(members(node), ["cn=Ann", "cn=Bob,cn=Ann"].map(|name| format!("{name},{SUFFIX}")));
            node.assert_sound();
        }
    }
}

/// A group (8) by uniqueMember, of Ann (3), once with a UID (RFC 4517 3.3.21), and of one below her.
fn unique_group(node: &Replica) {
    node.suffix();
    node.person(3, "Ann");
    node.add(4, &format!("cn=Bob,cn=Ann,{SUFFIX}"), &[("objectClass", &["device"]), ("cn", &["Bob"])]);
    node.add(8, &format!("cn=few,{SUFFIX}"), &[("objectClass", &["groupOfUniqueNames"]), ("cn", &["few"])]);
    for name in ["cn=Ann", "cn=Bob,cn=Ann"] {
        node.set(8, "uniqueMember", &format!("{name},{SUFFIX}"), true);
    }
}

fn unique_members(node: &Replica) -> Vec<String> {
    let mut members = node.values(8, "uniqueMember");
    members.sort();
    members
}

#[test]
fn unique_members_come_back_with_an_undelete() {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    unique_group(&one);
    two.follow(&one);
    two.change(4, |_| vec![Delta::Dead]);
    one.follow(&two);
    assert_eq!(unique_members(&one), [format!("cn=Ann,{SUFFIX}")]);
    rename(&one, 3, "Anna");
    one.undelete(4);
    two.follow(&one);
    for node in [&one, &two] {
        assert_eq!(unique_members(node), ["cn=Anna", "cn=Bob,cn=Anna"].map(|name| format!("{name},{SUFFIX}")));
        node.assert_sound();
    }
}

#[test]
fn unique_members_have_the_one_name_that_two_renames_at_once_leave() {
    let schema = Arc::new(Schema::builtin());
    let nodes = [1, 2, 3].map(|origin| Replica::new(origin, &schema));
    unique_group(&nodes[0]);
    nodes[1].follow(&nodes[0]);
    nodes[2].follow(&nodes[0]);
    rename(&nodes[0], 3, "Anna");
    nodes[1].clock.advance(std::time::Duration::from_secs(1));
    rename(&nodes[1], 3, "Anne");
    nodes[2].follow(&nodes[1]);
    nodes[2].follow(&nodes[0]);
    nodes[0].follow(&nodes[1]);
    nodes[1].follow(&nodes[0]);
    for node in &nodes {
        assert_eq!(unique_members(node), ["cn=Anne", "cn=Bob,cn=Anne"].map(|name| format!("{name},{SUFFIX}")));
        node.assert_sound();
    }
}

/// What is below an entry without the name is shown below the one that has it, and does not go with that one.
#[test]
fn values_with_a_uid_follow_the_entry_that_they_name_and_not_the_winner_of_its_superiors_name() {
    let schema = Arc::new(Schema::builtin());
    let nodes = twice_given(&schema);
    deliver(&nodes, ORDERS[0]);
    nodes[0].add(9, &format!("cn=uids,{SUFFIX}"), &[("objectClass", &["groupOfUniqueNames"]), ("cn", &["uids"])]);
    let with_uid = |name: &str| format!("{name},{SUFFIX}#'01'B");
    for name in ["cn=Ann", "cn=Bob,cn=Ann"] {
        nodes[0].set(9, "uniqueMember", &with_uid(name), true);
    }
    rename(&nodes[0], 4, "Anna");
    let mut shown = nodes[0].values(9, "uniqueMember");
    shown.sort();
    assert_eq!(shown, [with_uid("cn=Anna"), with_uid("cn=Bob,cn=Ann")]);
    nodes[0].assert_sound();
    nodes[0].change(7, |_| vec![Delta::Dead]);
    assert_eq!(nodes[0].values(9, "uniqueMember"), [with_uid("cn=Anna")]);
    nodes[0].assert_sound();
}
