use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::dit::{Dit, Options};
use crate::schema::Schema;

const B: NodeId = NodeId([2; 16]);
const KEY: [u8; 32] = [7; 32];
const SECRET: &[u8] = b"a secret of a token";

struct House {
    dit: Dit,
    clock: Clock,
    _folder: tempfile::TempDir,
}

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(1_700_000_000_000);
    let dit = Dit::open(Options::new(folder.path()), Arc::new(Schema::builtin()), clock.clone()).unwrap();
    dit.set_administrator("cn=admin,dc=example", b"{X}1").unwrap();
    let house = House { dit, clock, _folder: folder };
    house.write(found).unwrap();
    house
}

impl House {
    fn write<T, E>(&self, work: impl FnOnce(&mut Writing<'_>) -> Result<T, E>) -> Result<T, E> {
        self.dit.change_offline(|writing| Ok(work(writing))).unwrap()
    }

    fn invite(&self, expires_s: u64) {
        self.write(|writing| open_invite(writing, Token::secret_digest(SECRET), expires_s, Role::Consumer)).unwrap();
    }

    fn take(&self, secret: &[u8], node: NodeId, key: [u8; 32]) -> Result<Role, InviteError> {
        self.write(|writing| take_invite(writing, secret, node, key, "b"))
    }

    fn members(&self) -> Vec<Member> {
        members(self.dit.read().unwrap().view()).unwrap()
    }
}

#[test]
fn founding_twice_changes_nothing_and_the_authority_stays() {
    let house = house();
    let before = house.dit.read().unwrap().view().cluster_entries().unwrap();
    house.write(found).unwrap();
    assert!(house.dit.read().unwrap().view().cluster_entries().unwrap() == before);
    assert!(authority(house.dit.read().unwrap().view()).unwrap().is_some());
}

#[test]
fn an_invitation_makes_one_member_of_its_role() {
    let house = house();
    assert!(!has_invites(house.dit.read().unwrap().view()).unwrap());
    house.invite(1_700_000_060);
    assert!(has_invites(house.dit.read().unwrap().view()).unwrap());
    assert!(matches!(house.take(b"another", B, KEY), Err(InviteError::Unknown)));
    assert_eq!(house.take(SECRET, B, KEY).unwrap(), Role::Consumer);
    let members = house.members();
    assert_eq!((members[0].node, members[0].role, members[0].fingerprint), (B, Role::Consumer, KEY));
    assert_eq!(members[0].state, MemberState::Active);
    // The answer may have been lost: the same key may ask again, another may not.
    assert_eq!(house.take(SECRET, B, KEY).unwrap(), Role::Consumer);
    assert!(matches!(house.take(SECRET, NodeId([3; 16]), [8; 32]), Err(InviteError::Used)));
    assert_eq!(house.members().len(), 1);
}

#[test]
fn an_expired_invitation_opens_nothing_and_goes_with_the_next() {
    let house = house();
    house.invite(1_700_000_060);
    house.clock.advance(Duration::from_secs(61));
    assert!(matches!(house.take(SECRET, B, KEY), Err(InviteError::Expired)));
    assert!(house.members().is_empty());
    assert_eq!(house.write(drop_expired).unwrap(), 0);
    assert!(matches!(house.take(SECRET, B, KEY), Err(InviteError::Unknown)));
}

#[test]
fn an_invitation_cannot_take_over_a_member_that_is_there() {
    let house = house();
    house.write(|writing| put_member(writing, B, KEY, Role::Supplier, &Appearance::default())).unwrap();
    house.invite(1_700_000_060);
    assert!(matches!(house.take(SECRET, B, [8; 32]), Err(InviteError::Used)));
    assert_eq!(house.members()[0].fingerprint, KEY);
}

#[test]
fn a_member_is_read_as_it_was_written() {
    let house = house();
    let appearance = Appearance {
        name: "b".to_owned(),
        addresses: Some(vec!["b.example:7636".to_owned()]),
        urls: Some(vec!["ldap://b.example".to_owned()]),
        site: Some("berlin".to_owned()),
    };
    let finals = [(OriginId(0xabc), 12)].into();
    house
        .write(|writing| {
            put_member(writing, B, KEY, Role::Supplier, &appearance)?;
            put_origin(writing, B, OriginId(0xabc))?;
            put_origin(writing, B, OriginId(0xdef))?;
            put_origin(writing, B, OriginId(0xdef))?;
            put_state(writing, B, MemberState::Suspended, &finals)?;
            put_role(writing, B, Role::Hub)
        })
        .unwrap();
    let member = house.members().remove(0);
    assert_eq!((member.name.as_str(), member.role, member.state), ("b", Role::Hub, MemberState::Suspended));
    assert_eq!((member.addresses, member.site.as_str()), (vec!["b.example:7636".to_owned()], "berlin"));
    assert_eq!(member.origins, [OriginId(0xabc), OriginId(0xdef)]);
    assert_eq!(member.finals, finals);
    assert!(supplier_urls(house.dit.read().unwrap().view(), NodeId([1; 16])).unwrap().is_empty());
    // What a node says of itself leaves role and state alone.
    house.write(|writing| put_member(writing, B, KEY, Role::Supplier, &Appearance::default())).unwrap();
    let member = house.members().remove(0);
    assert_eq!((member.role, member.state), (Role::Hub, MemberState::Suspended));
    assert_eq!((member.addresses, member.site.as_str()), (vec!["b.example:7636".to_owned()], "berlin"));
    // A site that it does not say any more is one that it does not stand at.
    let nowhere = Appearance { site: Some(String::new()), ..Appearance::default() };
    house.write(|writing| put_member(writing, B, KEY, Role::Supplier, &nowhere)).unwrap();
    assert_eq!(house.members()[0].site, "");
}

/// Its last change says that it is the last one, with the very number under which it is made.
#[test]
fn a_supplier_that_is_asked_to_leave_ends_its_origin_with_that_change() {
    let house = house();
    let node = node_id(house.dit.read().unwrap().view()).unwrap();
    let put = |writing: &mut Writing<'_>| {
        put_member(writing, node, KEY, Role::Supplier, &Appearance::default())?;
        let origin = writing.origin();
        put_origin(writing, node, origin)
    };
    house.write(put).unwrap();
    for (asked, role, state) in
        [(Asked::Reader(Role::Hub), Role::Hub, MemberState::Active), (Asked::Retired, Role::Hub, MemberState::Retired)]
    {
        house.write(|writing| put_asked(writing, node, asked)).unwrap();
        assert_eq!(asked_of(house.dit.read().unwrap().view(), node).unwrap(), Some(asked));
        house.write(|writing| leave(writing, node, asked)).unwrap();
        let snapshot = house.dit.read().unwrap();
        assert_eq!(asked_of(snapshot.view(), node).unwrap(), None);
        let own = house.members().remove(0);
        assert_eq!((own.role, own.state), (role, state));
        let origin = origin(snapshot.view()).unwrap();
        assert_eq!(own.finals.get(&origin), Some(&snapshot.view().update_vector().unwrap().sequence(origin)));
    }
    let refused = house.write(|writing| demand_supplier(writing.view()));
    assert!(matches!(refused, Err(InviteError::ReadOnly)), "{refused:?}");
}
