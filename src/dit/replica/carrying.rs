//! What is changed of an entry that was made again elsewhere meanwhile.

use super::returning::{assert_all_equal, three_nodes};
use super::*;
use crate::state::{Csn, Stamp, Update};
use std::time::Duration;

impl Replica {
    /// Takes what `other` holds and is missing here in one transaction, as a node that takes changes of clients.
    fn hear(&self, other: &Self) {
        self.write(|writing| {
            for origin in [OriginId(1), other.origin()] {
                for record in other.records(origin, self.sequence(origin)) {
                    assert!(matches!(writing.receive(&record).unwrap(), Receipt::Applied { .. }));
                }
            }
            writing.carry_over().unwrap();
        });
        self.assert_sound();
    }

    fn delete(&self, uuid: u8) {
        self.change(uuid, |_| vec![Delta::Dead]);
    }
}

/// The first of three makes Ann, Bob and the group again. The second has changed them before that, and goes on to after it.
fn made_again_and_changed_meanwhile() -> [Replica; 3] {
    let nodes = three_nodes();
    let [maker, other, _] = &nodes;
    other.set(3, "title", "older than the birth", true);
    maker.clock.advance(Duration::from_secs(1));
    maker.set(1, "o", "tick", true);
    let old = maker.origin();
    maker.write(|writing| {
        writing.rotate_origin().unwrap();
        writing.repeat_tail(old, 1).unwrap();
    });
    maker.set(3, "street", "of the new one", true);
    other.clock.advance(Duration::from_secs(2));
    other.set(3, "mail", "late@x", true);
    other.set(3, "description", "x", false);
    other.delete(4);
    nodes
}

#[track_caller]
fn assert_carried_over(nodes: &[Replica; 3]) {
    assert_all_equal([&nodes[0], &nodes[1], &nodes[2]]);
    for node in nodes {
        assert_eq!(node.values(3, "mail"), ["ann@x", "late@x"]);
        assert_eq!(node.values(3, "description"), ["y"]);
        assert_eq!(node.values(3, "street"), ["of the new one"]);
        assert!(node.values(3, "title").is_empty(), "whoever made the entry again had, or passed over, what is older");
        assert!(node.values(4, "cn").is_empty(), "deleted by who saw the first");
    }
}

#[test]
fn what_is_changed_of_an_entry_before_its_new_birth_is_heard_of_goes_over_to_it() {
    let nodes = made_again_and_changed_meanwhile();
    nodes[1].hear(&nodes[0]);
    assert_carried_over(&nodes);
}

#[test]
fn what_was_carried_over_is_not_again_when_something_else_is_heard() {
    let nodes = made_again_and_changed_meanwhile();
    nodes[1].hear(&nodes[0]);
    let written = nodes[1].sequence(nodes[1].origin());
    nodes[0].set(3, "street", "heard later", true);
    nodes[0].delete(5);
    nodes[1].hear(&nodes[0]);
    assert_eq!(nodes[1].sequence(nodes[1].origin()), written);
}

/// It took no changes of clients when it heard of the birth: it is itself to write again what it wrote.
#[test]
fn what_is_written_again_of_an_entry_that_was_made_again_goes_over_to_it() {
    let nodes = made_again_and_changed_meanwhile();
    nodes[1].catch_up(&nodes[0]);
    assert_eq!(nodes[1].values(3, "mail"), ["ann@x"], "nobody has carried it over");
    let old = nodes[1].origin();
    nodes[1].write(|writing| {
        writing.rotate_origin().unwrap();
        writing.reissue_tail(old, 0).unwrap();
    });
    nodes[1].assert_sound();
    assert_carried_over(&nodes);
}

/// Two write the same tail again: the end of the first incarnation is no deletion of the entry, whichever is shown.
#[test]
fn the_end_of_an_incarnation_that_goes_on_is_not_carried_over() {
    let nodes = made_again_and_changed_meanwhile();
    let old = nodes[0].dit.read().unwrap().view().incarnations(EntryUuid([3; 16])).unwrap();
    nodes[0].write(|writing| {
        let births: Vec<Stamp> = old.iter().map(|id| writing.state(*id).unwrap().unwrap().birth).collect();
        let (first, last) = (*births.iter().min().unwrap(), *births.iter().max().unwrap());
        let csn = Csn::new(last.csn.ms() + 1, 0, OriginId(9));
        let stamp = Stamp { csn, sequence: 1 };
        let end = Update::new(stamp, EntryUuid([3; 16]), first, String::new(), vec![Delta::Dead]);
        assert_eq!(writing.continued(end.clone()).unwrap().birth, last, "a client's deletion");
        assert_eq!(writing.continued(end.going_on()).unwrap().birth, first);
    });
}
