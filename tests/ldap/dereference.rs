//! Dereference: draft-masarati-ldap-deref, as SSSD and nslcd ask for the members of a group.

use crate::support::ber::Element;
use crate::support::client::Found;
use crate::support::request::{ADD, Control, DELETE, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::wait::wait_until;
use crate::support::{code, oid};
use crate::{ANN, BOB, GROUPS, PEOPLE};

type Attributes = Vec<(String, Vec<String>)>;

/// For each name in the response: attribute, name, and what came of the entry named.
#[track_caller]
fn named(found: &Found, index: usize) -> Vec<(String, String, Attributes)> {
    let value = found.control_of(index, oid::DEREFERENCE).expect("a dereference response");
    let list = Element::whole(&value).expect("BER").children().expect("BER");
    let read = |item: &Element| {
        let parts = item.children().expect("BER");
        let attributes = parts.get(2).map(|list| {
            assert_eq!(list.tag, 0xA0, "attrVals");
            let attributes = list.children().expect("BER");
            let read = |attribute: &Element| {
                let parts = attribute.children().expect("BER");
                (parts[0].text(), parts[1].children().expect("BER").iter().map(Element::text).collect())
            };
            attributes.iter().map(read).collect()
        });
        (parts[0].text(), parts[1].text(), attributes.unwrap_or_default())
    };
    list.iter().map(read).collect()
}

#[test]
fn attributes_of_entries_named_come_along() {
    let mut client = Server::shared().admin();
    let control = Control::dereference(&[("manager", &["uid", "cn"])]);
    let found = client.with(control).search(&Search::base(BOB)).expect(code::SUCCESS);
    let list = named(&found, 0);
    assert_eq!(list.len(), 1);
    let (attribute, name, attributes) = &list[0];
    assert_eq!((attribute.as_str(), name.as_str()), ("manager", ANN));
    assert!(attributes.contains(&("uid".to_owned(), vec!["ann".to_owned()])), "{attributes:?}");
}

/// SSSD's question: a group's members with what a passwd entry is made of.
#[test]
fn members_of_a_group_come_with_the_group() {
    let mut client = Server::shared().admin();
    let control = Control::dereference(&[("member", &["objectClass", "uid", "uidNumber"])]);
    let search = Search::subtree(GROUPS, &format!("(member={ANN})")).attributes(&["cn", "member"]);
    let found = client.with(control).search(&search).expect(code::SUCCESS);
    for (index, entry) in found.entries.iter().enumerate() {
        let list = named(&found, index);
        let mut names: Vec<_> = list.iter().map(|(_, name, _)| name.clone()).collect();
        names.sort();
        assert_eq!(names, entry.values("member"));
        let ann = list.iter().find(|(_, name, _)| name == ANN).expect("ann is a member");
        assert!(ann.2.iter().any(|(name, values)| name == "uid" && values == &["ann"]));
    }
    assert!(!found.entries.is_empty());
}

/// An entry that names nobody has no response.
#[test]
fn nothing_named_is_no_response() {
    let mut client = Server::shared().admin();
    let control = Control::dereference(&[("manager", &["uid"])]);
    let found = client.with(control).search(&Search::base(ANN)).expect(code::SUCCESS);
    assert!(found.control_of(0, oid::DEREFERENCE).is_none());
}

/// T-16, T-21 of the hostile tests: no more is told of an entry than a search would tell.
#[test]
fn what_may_not_be_read_does_not_come_along() {
    let some = r#"(target = "ldap:///uid=bob,ou=people,dc=example,dc=com")(targetattr != "userPassword")(version 3.0; acl "bob"; allow (read, search) userdn = "ldap:///anyone";)"#;
    let slapd = "access to attrs=userPassword by anonymous auth\n\
                 access to dn.base=\"uid=bob,ou=people,dc=example,dc=com\" by * read\naccess to * by * none\n";
    let server = Server::start(Setup::default().with_access(&[some], slapd));
    let control = || Control::dereference(&[("manager", &["uid", "cn", "userPassword"])]);
    let found = server.anonymous().with(control()).search(&Search::base(BOB)).expect(code::SUCCESS);
    assert_eq!(named(&found, 0), [("manager".to_owned(), ANN.to_owned(), Vec::new())]);
    let found = server.admin().with(control()).search(&Search::base(BOB)).expect(code::SUCCESS);
    assert!(named(&found, 0)[0].2.iter().any(|(name, _)| name == "userPassword"));
}

/// What is no name is refused where the client insists, and passed over else.
#[test]
fn attributes_that_name_nobody_are_refused_where_critical() {
    let mut client = Server::shared().admin();
    for attribute in ["cn", "noSuchAttribute"] {
        let control = || Control::dereference(&[(attribute, &["uid"])]);
        assert_eq!(client.with(control()).search(&Search::base(BOB)).outcome.code, code::PROTOCOL_ERROR, "{attribute}");
        if Subject::current().is_slapd() {
            continue;
        }
        let found = client.with(control().optional()).search(&Search::base(BOB)).expect(code::SUCCESS);
        assert!(found.control_of(0, oid::DEREFERENCE).is_none());
    }
    for value in [None, Some(vec![]), Some(b"\x30\x00".to_vec()), Some(b"\x30\x04\x30\x02\x04\x00".to_vec())] {
        let mut client = Server::shared().admin();
        let id = client.with(Control::critical(oid::DEREFERENCE, value)).send(&Search::base(PEOPLE).encode());
        if let Some(message) = client.receive_for(id)
            && !Subject::current().is_slapd()
        {
            assert_ne!(message.operation.tag, 0x64, "an entry for a broken control");
        }
    }
}

/// A rename shows in the name and in what comes with it.
#[test]
fn renamed_entries_come_under_their_new_names() {
    let (mut client, branch) = Server::shared().branch("deref-rename");
    let boss = crate::add_person(&mut client, &branch, "boss");
    let worker = crate::add_person(&mut client, &branch, "worker");
    client.modify(&worker, &[(REPLACE, "manager", &[&boss])]).expect(code::SUCCESS);
    client.modify_dn(&boss, "uid=chief", true, None).expect(code::SUCCESS);
    // slapd's overlay follows a little later.
    wait_until("the new name", || client.read(&worker).value("manager").contains("chief"));
    let found = client.with(Control::dereference(&[("manager", &["uid"])])).search(&Search::base(&worker));
    let list = named(&found, 0);
    assert_eq!(list[0].1, format!("uid=chief,{branch}"));
    assert_eq!(list[0].2, [("uid".to_owned(), vec!["chief".to_owned()])]);
}

/// memberOf and isMemberOf are computed; their names are dereferenced as stored ones are.
#[test]
fn groups_of_a_member_come_with_the_member() {
    let (mut client, branch) = Server::shared().branch("deref-groups");
    let person = crate::add_person(&mut client, &branch, "inner");
    let (inner, outer) = (format!("cn=inner,{branch}"), format!("cn=outer,{branch}"));
    for (group, member) in [(&inner, &person), (&outer, &inner)] {
        client.add(group, &[("objectClass", &["groupOfNames"]), ("member", &[member])]).expect(code::SUCCESS);
    }
    let both = [("memberOf", vec![&inner]), ("isMemberOf", vec![&inner, &outer])];
    for (attribute, groups) in both.into_iter().take(Subject::current().pick(2, 1)) {
        let control = Control::dereference(&[(attribute, &["cn"])]);
        let found = client.with(control).search(&Search::base(&person)).expect(code::SUCCESS);
        let mut list = named(&found, 0);
        list.sort();
        let wanted: Vec<_> = groups
            .into_iter()
            .map(|group| {
                let cn = group.split(['=', ',']).nth(1).unwrap_or_default().to_owned();
                (attribute.to_owned(), group.clone(), vec![("cn".to_owned(), vec![cn])])
            })
            .collect();
        assert_eq!(list, wanted);
    }
}

/// Who may not read memberOf of an entry is not told its groups by another way.
#[test]
fn groups_that_may_not_be_read_do_not_come_along() {
    let some =
        r#"(targetattr = "cn || uid")(version 3.0; acl "names"; allow (read, search) userdn = "ldap:///anyone";)"#;
    let slapd = "access to attrs=entry,children,objectClass,cn,uid by * read\naccess to * by * none\n";
    let server = Server::start(Setup::default().with_access(&[some], slapd));
    if Subject::current().is_slapd() {
        // Its overlay knows what is written since it runs.
        let member: [(i64, &str, &[&str]); 2] = [(DELETE, "member", &[ANN]), (ADD, "member", &[ANN])];
        for change in member {
            server.admin().modify(&format!("cn=staff,{GROUPS}"), &[change]).expect(code::SUCCESS);
        }
    }
    let control = || Control::dereference(&[("memberOf", &["cn"])]);
    let found = server.anonymous().with(control()).search(&Search::base(ANN)).expect(code::SUCCESS);
    assert!(found.control_of(0, oid::DEREFERENCE).is_none());
    let found = server.admin().with(control()).search(&Search::base(ANN)).expect(code::SUCCESS);
    assert!(found.control_of(0, oid::DEREFERENCE).is_some());
}
