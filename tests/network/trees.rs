//! Trees that change on both sides of a cut in ways that contradict each other.

use super::book::Book;
use super::world::{World, written};
use super::writers::BRANCH;
use crate::support::client::Client;
use crate::support::code;

fn unit(client: &mut Client, dn: &str) {
    client.add(dn, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
}

fn person(client: &mut Client, dn: &str) {
    client.add(dn, &[("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["x"])]).expect(code::SUCCESS);
}

/// A move below an entry that the other side deleted is enough to stop other directories for good.
#[test]
fn a_subtree_moved_below_what_the_other_side_deleted_stops_nobody() {
    let mut world = World::of(3);
    let mut client = world.nodes[0].client();
    for dn in [format!("ou=doomed,{BRANCH}"), format!("ou=tree,{BRANCH}"), format!("ou=inner,ou=tree,{BRANCH}")] {
        unit(&mut client, &dn);
    }
    for number in 0..20 {
        person(&mut client, &format!("uid=t{number},ou=inner,ou=tree,{BRANCH}"));
    }
    world.equal();
    // c is away: here the place goes, there a whole tree moves to it.
    world.part(&[2]);
    client.delete(&format!("ou=doomed,{BRANCH}")).expect(code::SUCCESS);
    client
        .add(&format!("uid=after,{BRANCH}"), &[("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["x"])])
        .expect(code::SUCCESS);
    let mut away = world.nodes[2].client();
    let place = format!("ou=doomed,{BRANCH}");
    away.modify_dn(&format!("ou=tree,{BRANCH}"), "ou=tree", false, Some(&place)).expect(code::SUCCESS);
    person(&mut away, &format!("uid=new,ou=inner,ou=tree,{place}"));
    world.heal();
    world.equal();
    for node in &world.nodes {
        let names = node.client().names(BRANCH, "(uid=*)");
        assert_eq!(names.len(), 22, "{}: {names:?}", node.name);
    }
    // Replication goes on, and the tree can be moved to where a person wants it.
    let tree = client.search(&crate::support::request::Search::subtree(BRANCH, "(ou=tree)")).expect(code::SUCCESS);
    let tree = tree.entries.first().expect("the tree is there").dn.clone();
    client.modify_dn(&tree, "ou=tree", false, Some(BRANCH)).expect(code::SUCCESS);
    world.equal();
    for node in &world.nodes {
        let dns = written(node).dns();
        assert!(dns.contains(&format!("uid=new,ou=inner,ou=tree,{BRANCH}")), "{}: {dns:?}", node.name);
        assert!(!dns.iter().any(|dn| dn.contains("doomed")), "{}: {dns:?}", node.name);
    }
    world.settle(&Book::default());
}

/// Each side moves its unit into the other's: together that would be a circle.
#[test]
fn moves_that_together_make_a_circle_leave_a_tree() {
    let mut world = World::of(3);
    let mut client = world.nodes[0].client();
    for name in ["one", "two", "three"] {
        unit(&mut client, &format!("ou={name},{BRANCH}"));
        person(&mut client, &format!("uid=in-{name},ou={name},{BRANCH}"));
    }
    world.equal();
    for node in 0..3 {
        world.part(&[node]);
    }
    for (node, (name, into)) in [("one", "two"), ("two", "three"), ("three", "one")].into_iter().enumerate() {
        let (dn, superior) = (format!("ou={name},{BRANCH}"), format!("ou={into},{BRANCH}"));
        let moved = world.nodes[node].client().modify_dn(&dn, &format!("ou={name}"), false, Some(&superior));
        moved.expect(code::SUCCESS);
    }
    world.heal();
    world.equal();
    for node in &world.nodes {
        assert_eq!(node.client().names(BRANCH, "(uid=in-*)").len(), 3, "{}", node.name);
    }
    world.settle(&Book::default());
}
