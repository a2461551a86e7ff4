//! Undelete: deleted entries come back with their entryUUID, what they had, and their memberships.

use super::*;

const GROUP: &str = "cn=staff,ou=groups,dc=example,dc=com";

fn uuid_of(house: &House, dn: &str) -> EntryUuid {
    house.see(dn, |_, entry| entry.record.uuid()).unwrap()
}

/// The name of a deleted entry.
fn bin(uuid: EntryUuid) -> String {
    format!("entryUUID={uuid},cn=deleted")
}

fn undelete(house: &House, uuid: EntryUuid, to: Option<&str>) -> Heard {
    let to: Vec<&str> = to.into_iter().collect();
    let mut list: Vec<(ModificationKind, &str, &[&str])> = vec![(ModificationKind::Delete, "isDeleted", &[])];
    if !to.is_empty() {
        list.push((ModificationKind::Replace, "distinguishedName", &to));
    }
    let dn = bin(uuid);
    house.ask_with(&house.admin(), &modify_request(&dn, &list), &[(control::SHOW_DELETED, None)])
}

fn staffed() -> (House, EntryUuid) {
    let house = House::new();
    house.add(&house.admin(), GROUP, &[("objectClass", &["groupOfNames"]), ("member", &[ANN, BOB])]).is(OK);
    let list: [(ModificationKind, &str, &[&str]); 1] = [(ModificationKind::Add, "description", &["b", "a"])];
    house.modify(&house.admin(), ANN, &list).is(OK);
    let ann = uuid_of(&house, ANN);
    (house, ann)
}

#[test]
fn an_entry_comes_back_as_it_was_and_into_its_groups() {
    let (house, ann) = staffed();
    house.delete(&house.admin(), ANN).is(OK);
    assert_eq!(house.values(GROUP, "member"), [BOB]);
    undelete(&house, ann, None).is(OK);
    assert_eq!(uuid_of(&house, ANN), ann);
    assert_eq!(house.values(ANN, "description"), ["b", "a"]);
    assert_eq!(house.values(ANN, "userPassword"), ["{SHA}ann"]);
    assert_eq!(house.values(ANN, "modifiersName"), [ADMIN]);
    let mut members = house.values(GROUP, "member");
    members.sort();
    assert_eq!(members, [ANN, BOB]);
    undelete(&house, ann, None).is(ResultCode::NO_SUCH_OBJECT);
}

#[test]
fn an_entry_comes_back_more_than_once() {
    let (house, ann) = staffed();
    for _ in 0..3 {
        house.delete(&house.admin(), ANN).is(OK);
        house.clock.advance(Duration::from_secs(1));
        undelete(&house, ann, None).is(OK);
    }
    assert_eq!(house.values(ANN, "description"), ["b", "a"]);
    assert_eq!(house.values(GROUP, "member").len(), 2);
}

#[test]
fn an_entry_comes_back_elsewhere_when_its_name_is_taken() {
    let (house, ann) = staffed();
    house.delete(&house.admin(), ANN).is(OK);
    house.person("ann");
    undelete(&house, ann, None).is(ResultCode::ENTRY_ALREADY_EXISTS);
    let other = format!("uid=anna,ou=groups,{SUFFIX}");
    undelete(&house, ann, Some(&other)).is(OK);
    assert_eq!(uuid_of(&house, &other), ann);
    assert!(house.values(GROUP, "member").contains(&other));
    let mut uids = house.values(&other, "uid");
    uids.sort();
    assert_eq!(uids, ["ann", "anna"], "the old name stays a value");
}

#[test]
fn a_superior_comes_back_before_what_was_below() {
    let house = House::new();
    let admin = house.admin();
    let (ann, people) = (uuid_of(&house, ANN), uuid_of(&house, PEOPLE));
    for dn in [ANN, BOB, PEOPLE] {
        house.delete(&admin, dn).is(OK);
    }
    let refused = undelete(&house, ann, None).is(ResultCode::NO_SUCH_OBJECT);
    assert!(refused.diagnostic.contains(PEOPLE), "{}", refused.diagnostic);
    undelete(&house, people, None).is(OK);
    undelete(&house, ann, None).is(OK);
    assert_eq!(uuid_of(&house, ANN), ann);
}

#[test]
fn a_group_of_very_many_members_comes_back_whole() {
    let (house, _) = staffed();
    let admin = house.admin();
    let rooms: Vec<String> = (0..100).map(|number| format!("room {number}")).collect();
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    house.modify(&admin, GROUP, &[(ModificationKind::Add, "description", &rooms)]).is(OK);
    let group = uuid_of(&house, GROUP);
    house.delete(&admin, GROUP).is(OK);
    undelete(&house, group, None).is(OK);
    assert_eq!(house.values(GROUP, "description").len(), 100);
    assert_eq!(house.values(GROUP, "member"), [ANN, BOB]);
}

#[test]
fn only_the_administrator_undeletes_and_only_by_deleting_is_deleted() {
    let (house, ann) = staffed();
    house.delete(&house.admin(), ANN).is(OK);
    let dn = bin(ann);
    let list: [(ModificationKind, &str, &[&str]); 1] = [(ModificationKind::Delete, "isDeleted", &[])];
    house.modify(&house.user(BOB), &dn, &list).is(ResultCode::NO_SUCH_OBJECT);
    let other: [(ModificationKind, &str, &[&str]); 1] = [(ModificationKind::Replace, "description", &["x"])];
    house.modify(&house.admin(), &dn, &other).is(ResultCode::UNWILLING_TO_PERFORM);
    house.delete(&house.admin(), &dn).is(ResultCode::UNWILLING_TO_PERFORM);
    undelete(&house, EntryUuid([9; 16]), None).is(ResultCode::NO_SUCH_OBJECT);
    assert!(!house.exists(ANN));
}
