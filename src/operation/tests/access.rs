//! Access rules of the tree: visibility, Undefined, groups, and that changes hold at once.

use super::support::{ANN, ANYONE, Ask, BOB, GROUP, House, PEOPLE, SUFFIX};
use crate::dit::Target;
use crate::model::{DerefAliases, ResultCode};
use crate::state::Delta;

const USERS: &str = r#"(targetattr != "userPassword")(version 3.0; acl "users"; allow (read, search, compare) userdn = "ldap:///all";)"#;
const STAFF: &str = r#"(targetattr = "*")(version 3.0; acl "staff"; allow (read, search) groupdn = "ldap:///cn=staff,dc=example,dc=com";)"#;

/// hostile.md T-22.
#[test]
fn an_invisible_entry_answers_like_an_absent_one() {
    let house = House::new(&[USERS]);
    let mut session = house.anonymous();
    let there = house.search(&mut session, &Ask::base(ANN));
    let absent = house.search(&mut session, &Ask::base("uid=nobody,ou=people,dc=example,dc=com"));
    assert_eq!((there.code, &there.matched_dn), (ResultCode::NO_SUCH_OBJECT, &absent.matched_dn));
    assert_eq!(there.matched_dn, "");
    assert_eq!(house.compare(&session, ANN, "sn", "ann"), ResultCode::NO_SUCH_OBJECT);
    assert_eq!(house.search(&mut session, &Ask::sub("", "(uid=ann)")).code, ResultCode::NO_SUCH_OBJECT);
    assert_eq!(house.search(&mut house.person_session(BOB), &Ask::base(ANN)).names(), ["uid=ann"]);
}

/// hostile.md T-21.
#[test]
fn what_may_not_be_searched_is_undefined_and_what_may_not_be_read_is_not_sent() {
    let house = House::new(&[ANYONE]);
    let mut session = house.anonymous();
    for filter in ["(mobile=*)", "(!(mobile=*))", "(&(uid=ann)(mobile=*))", "(userPassword=*)", "(!(userPassword=*))"] {
        assert!(house.search(&mut session, &Ask::sub(PEOPLE, filter)).entries.is_empty(), "{filter}");
    }
    assert_eq!(house.search(&mut session, &Ask::sub(PEOPLE, "(|(uid=ann)(mobile=*))")).names(), ["uid=ann"]);
    assert!(house.search(&mut session, &Ask::sub(PEOPLE, "(:caseIgnoreMatch:=+1 555 0200)")).entries.is_empty());
    let found =
        house.search(&mut session, &Ask::base(ANN).attributes(&["*", "+", "mobile", "userPassword", "@person"]));
    assert_eq!(found.attribute_names(), ["cn", "cn;lang-de", "objectClass", "sn", "title", "uid"]);
    assert_eq!(house.search(&mut house.administrator(), &Ask::sub(PEOPLE, "(mobile=*)")).names(), ["uid=ann"]);
}

#[test]
fn a_rule_about_oneself_is_judged_entry_by_entry() {
    let own = r#"(targetattr = "mobile")(version 3.0; acl "own"; allow (read, search) userdn = "ldap:///self";)"#;
    let house = House::new(&[ANYONE, own]);
    house.set(BOB, "mobile", "+1 555 0300", true);
    let mut ann = house.person_session(ANN);
    assert_eq!(house.search(&mut ann, &Ask::sub(PEOPLE, "(mobile=*)")).names(), ["uid=ann"]);
    let found = house.search(&mut ann, &Ask::sub(PEOPLE, "(uid=*)").attributes(&["mobile"]));
    let with: Vec<_> = found.entries.iter().filter(|(_, attributes)| !attributes.is_empty()).collect();
    assert_eq!((found.entries.len(), with.len()), (3, 1));
}

#[test]
fn membership_opens_at_once_and_closes_at_once() {
    let house = House::new(&[STAFF]);
    let (mut ann, mut bob) = (house.person_session(ANN), house.person_session(BOB));
    let all = Ask::sub(PEOPLE, "(uid=*)");
    assert_eq!(house.search(&mut ann, &all).entries.len(), 3);
    assert_eq!(house.search(&mut bob, &all).code, ResultCode::NO_SUCH_OBJECT);
    house.set(GROUP, "member", BOB, true);
    assert_eq!(house.search(&mut bob, &all).entries.len(), 3);
    house.set(GROUP, "member", BOB, false);
    assert_eq!(house.search(&mut bob, &all).code, ResultCode::NO_SUCH_OBJECT);
    house.delete(GROUP);
    assert_eq!(house.search(&mut ann, &all).code, ResultCode::NO_SUCH_OBJECT);
}

#[test]
fn a_group_in_the_group_counts() {
    let house = House::new(&[STAFF]);
    let inner = "cn=inner,dc=example,dc=com";
    house.add(20, inner, &[("objectClass", &["groupOfNames"]), ("cn", &["inner"]), ("member", &[BOB])]);
    house.set(GROUP, "member", inner, true);
    assert_eq!(house.search(&mut house.person_session(BOB), &Ask::base(ANN)).names(), ["uid=ann"]);
}

#[test]
fn a_changed_rule_holds_from_the_next_request_on() {
    let house = House::new(&[USERS]);
    let mut session = house.anonymous();
    assert!(house.search(&mut session, &Ask::base(ANN)).entries.is_empty());
    house.set(SUFFIX, "aci", ANYONE, true);
    assert_eq!(house.search(&mut session, &Ask::base(ANN)).names(), ["uid=ann"]);
    house.set(SUFFIX, "aci", ANYONE, false);
    assert!(house.search(&mut session, &Ask::base(ANN)).entries.is_empty());
}

#[test]
fn rules_deeper_in_the_tree_add_to_those_above() {
    let house = House::new(&[USERS]);
    let deny = r#"(targetattr = "title")(version 3.0; acl "no titles"; deny (read, search) userdn = "ldap:///all";)"#;
    house.set(PEOPLE, "aci", deny, true);
    house.set(BOB, "aci", ANYONE, true);
    let mut carol = house.person_session("uid=carol,ou=people,dc=example,dc=com");
    assert!(house.search(&mut carol, &Ask::sub(SUFFIX, "(title=*)")).entries.is_empty());
    assert!(house.search(&mut carol, &Ask::base(ANN).attributes(&["title"])).attribute_names().is_empty());
    let mut anonymous = house.anonymous();
    let found = house.search(&mut anonymous, &Ask::base(BOB));
    assert_eq!(found.names(), ["uid=bob"]);
    assert!(house.search(&mut anonymous, &Ask::base(ANN)).entries.is_empty());
}

#[test]
fn a_rule_that_cannot_be_read_denies_everything_below() {
    let house = House::new(&[ANYONE]);
    house.set(PEOPLE, "aci", "nonsense", true);
    assert_eq!(house.search(&mut house.anonymous(), &Ask::base(ANN)).code, ResultCode::NO_SUCH_OBJECT);
    assert_eq!(house.search(&mut house.anonymous(), &Ask::base(SUFFIX)).names(), ["dc=example"]);
}

#[test]
fn who_is_deleted_has_no_rights_left() {
    let house = House::new(&[USERS]);
    let mut bob = house.person_session(BOB);
    assert_eq!(house.search(&mut bob, &Ask::base(ANN)).names(), ["uid=ann"]);
    house.delete(BOB);
    assert_eq!(house.search(&mut bob, &Ask::base(ANN)).code, ResultCode::NO_SUCH_OBJECT);
}

#[test]
fn target_filters_choose_entries() {
    let cooks = r#"(targetfilter = "(title=cook)")(targetattr = "uid || title")(version 3.0; acl "cooks"; allow (read, search) userdn = "ldap:///anyone";)"#;
    let house = House::new(&[cooks]);
    let mut session = house.anonymous();
    fn by_uid(base: &str) -> Ask<'_> {
        Ask { filter: "(uid=*)", ..Ask::base(base) }
    }
    assert_eq!(house.search(&mut session, &by_uid(ANN)).attribute_names(), ["title", "uid"]);
    assert_eq!(house.search(&mut session, &by_uid(BOB)).code, ResultCode::NO_SUCH_OBJECT);
    house.set(BOB, "title", "Cook", true);
    assert_eq!(house.search(&mut session, &by_uid(BOB)).names(), ["uid=bob"]);
}

/// A filter on a type looks at its subtypes: title is a name, and so is sn.
#[test]
fn a_filter_on_a_supertype_tells_nothing_of_subtypes_that_may_not_be_searched() {
    let users = r#"(targetattr != "userPassword || title")(version 3.0; acl "users"; allow (read, search) userdn = "ldap:///anyone";)"#;
    let house = House::new(&[users]);
    let mut session = house.anonymous();
    for filter in ["(name=cook)", "(name=coo*)", "(name:caseIgnoreMatch:=cook)", "(!(name=cook))"] {
        assert!(house.search(&mut session, &Ask::sub(PEOPLE, filter)).entries.is_empty(), "{filter}");
    }
    assert_eq!(house.search(&mut session, &Ask::sub(PEOPLE, "(name=anna)")).names(), ["uid=ann"]);
    assert_eq!(house.search(&mut house.administrator(), &Ask::sub(PEOPLE, "(name=cook)")).names(), ["uid=ann"]);
}

#[test]
fn rules_hold_and_change_however_many_there_are() {
    let house = House::new(&[USERS]);
    for number in 0..70 {
        let other = format!(
            r#"(targetattr = "title")(version 3.0; acl "{number}"; deny (read) userdn = "ldap:///uid={number},dc=x";)"#
        );
        house.set(PEOPLE, "aci", &other, true);
    }
    let mut session = house.anonymous();
    assert_eq!(house.search(&mut session, &Ask::base(PEOPLE)).code, ResultCode::NO_SUCH_OBJECT);
    house.set(PEOPLE, "aci", ANYONE, true);
    assert_eq!(house.search(&mut session, &Ask::base(PEOPLE)).names(), ["ou=people"]);
    assert_eq!(house.search(&mut session, &Ask::base(ANN)).names(), ["uid=ann"]);
    house.set(PEOPLE, "aci", ANYONE, false);
    assert_eq!(house.search(&mut session, &Ask::base(PEOPLE)).code, ResultCode::NO_SUCH_OBJECT);
    assert_eq!(house.search(&mut session, &Ask::base(ANN)).code, ResultCode::NO_SUCH_OBJECT);
}

/// hostile.md T-22.
#[test]
fn an_invisible_alias_leads_nowhere() {
    let hidden = r#"(target = "ldap:///ou=hidden,dc=example,dc=com")(targetattr = "*")(version 3.0; acl "hide"; deny (all) userdn = "ldap:///anyone";)"#;
    let house = House::new(&[ANYONE, hidden]);
    house.add(20, "ou=hidden,dc=example,dc=com", &[("objectClass", &["organizationalUnit"]), ("ou", &["hidden"])]);
    let target = [("found", ANN), ("lost", "uid=nobody,dc=example,dc=com")];
    for (uuid, (name, leads_to)) in (21..).zip(target) {
        let dn = format!("uid={name},ou=hidden,dc=example,dc=com");
        let classes = ["alias", "extensibleObject"];
        house.add(uuid, &dn, &[("objectClass", &classes), ("uid", &[name]), ("aliasedObjectName", &[leads_to])]);
    }
    fn ask(base: &str) -> Ask<'_> {
        Ask { deref: DerefAliases::Always, ..Ask::base(base) }
    }
    for name in ["found", "lost", "absent"] {
        let dn = format!("uid={name},ou=hidden,dc=example,dc=com");
        let heard = house.search(&mut house.anonymous(), &ask(&dn));
        assert_eq!((heard.code, heard.matched_dn.as_str()), (ResultCode::NO_SUCH_OBJECT, SUFFIX), "{name}");
    }
    let found = house.search(&mut house.administrator(), &ask("uid=found,ou=hidden,dc=example,dc=com"));
    assert_eq!(found.names(), ["uid=ann"]);
}

/// A request that began before a move decides by the rules after it, and leaves nothing wrong behind.
#[test]
fn a_view_from_before_a_move_spoils_no_later_decision() {
    let house = House::new(&[]);
    let (open, closed) = ("ou=open,dc=example,dc=com", "ou=closed,dc=example,dc=com");
    let nobody = r#"(targetattr = "*")(version 3.0; acl "closed"; deny (all) userdn = "ldap:///anyone";)"#;
    house.add(20, open, &[("objectClass", &["organizationalUnit"]), ("ou", &["open"])]);
    let to =
        house.add(21, closed, &[("objectClass", &["organizationalUnit"]), ("ou", &["closed"]), ("aci", &[nobody])]);
    let device: [(&str, &[&str]); 3] = [("objectClass", &["device"]), ("cn", &["x"]), ("aci", &[ANYONE])];
    let moved = house.add(22, &format!("cn=x,{open}"), &device);
    let session = house.anonymous();
    let before = house.directory.dit().read().unwrap();
    house.write(move |writing| {
        let superior = writing.view().entry(to).unwrap().unwrap().record.uuid();
        writing.change(Target::Existing(moved), "cn=test", vec![Delta::Parent(superior)]).unwrap();
    });
    let access = house.directory.access(&session.requester, before.view()).unwrap();
    access.is_visible(&before.view().entry(moved).unwrap().unwrap());
    drop(access);
    drop(before);
    let found = house.search(&mut house.anonymous(), &Ask::base(&format!("cn=x,{closed}")));
    assert_eq!(found.code, ResultCode::NO_SUCH_OBJECT);
}
