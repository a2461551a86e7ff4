//! When a supplier may write no more, or leave.

use super::*;

const THIRD: OriginId = OriginId(3);

fn listed(of_peer: &[OriginId], ended: &[(OriginId, u64)]) -> Input {
    let own = Member { node: node(1), origins: vec![OURS], ..Member::default() };
    let finals = ended.iter().copied().collect();
    Input::Members(vec![own, Member { node: node(2), origins: of_peer.to_vec(), finals, ..Member::default() }])
}

/// One that was a reader before speaks as an origin that is over until its content is complete, and then as one that its entry does
/// not name until it takes changes.
#[test]
fn another_supplier_takes_changes_when_its_entry_names_the_origin_as_which_it_speaks_and_no_end_of_it() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    fed.beacon(&held);
    assert!(fed.replicator.is_another_open());
    fed.feed(listed(&[THEIRS], &[(THEIRS, 5)]));
    assert!(!fed.replicator.is_another_open(), "it becomes a supplier and has begun no origin yet");
    fed.feed(listed(&[THIRD], &[]));
    assert!(!fed.replicator.is_another_open(), "its own entry does not say yet as which it writes");
    fed.feed(listed(&[THEIRS], &[]));
    assert!(fed.replicator.is_another_open());
    fed.at_ms += fed.replicator.options.hearsay_ms_max + 1;
    fed.feed(Input::Disconnected { session: SESSION });
    assert!(!fed.replicator.is_another_open(), "nobody has heard it for long");
}

/// Whoever made the third member's change believes it safe with this node, and may send it no more.
#[test]
fn all_is_handed_over_when_another_supplier_holds_what_others_made_too() {
    let held = [(OURS, 4), (THEIRS, 5), (THIRD, 2)];
    let mut fed = Fed::new(&held, &[(OURS, 4), (THEIRS, 5)]);
    let is_done_after = |fed: &mut Fed, held: &[(OriginId, u64)]| {
        fed.beacon(held);
        fed.replicator.is_all_handed_over()
    };
    assert!(!is_done_after(&mut fed, &[(OURS, 4), (THEIRS, 5), (THIRD, 1)]));
    assert!(!is_done_after(&mut fed, &[(OURS, 3), (THEIRS, 5), (THIRD, 2)]), "nor its own last change");
    assert!(is_done_after(&mut fed, &[(OURS, 4), (THEIRS, 4), (THIRD, 2)]), "it has what it writes itself");
}
