//! Equal content has equal digests on two nodes, and the sums stay those of the entries.

use super::*;
use crate::state::{BUCKETS, BucketSum, bucket_of};
use std::collections::BTreeSet;

fn pair() -> (Replica, Replica) {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    one.suffix();
    (one, two)
}

fn digest(replica: &Replica) -> BucketSum {
    replica.dit.read().unwrap().view().digest().unwrap()
}

#[test]
fn nodes_of_equal_content_have_equal_digests_whatever_numbers_they_gave() {
    let (one, two) = pair();
    two.write(|writing| attribute(writing, "roomNumber"));
    one.set(1, "description", "x", true);
    one.person(3, "Ann");
    assert_ne!(digest(&one), digest(&two));
    two.follow(&one);
    assert_eq!(digest(&one), digest(&two));
    assert_eq!(digest(&one).count, 2);
    one.change(3, |_| vec![Delta::Dead]);
    assert_ne!(digest(&one), digest(&two));
    two.follow(&one);
    assert_eq!(digest(&one), digest(&two));
    assert_eq!(digest(&one).count, 1, "only live entries count");
    one.assert_sound();
    two.assert_sound();
}

#[test]
fn sums_of_many_commits_and_of_one_large_commit_are_those_of_the_entries() {
    let (one, two) = pair();
    for number in 3..150 {
        one.person(number, &format!("p{number}"));
        if number % 40 == 0 {
            one.assert_sound();
        }
    }
    let sums = one.dit.read().unwrap().view().digest_buckets().unwrap();
    assert_eq!((sums.len(), sums.iter().map(|sum| sum.count).sum::<u64>()), (BUCKETS, 148));
    let records = one.records(OriginId(1), 0);
    two.write(|writing| records.iter().for_each(|record| _ = writing.receive(record).unwrap()));
    assert_eq!(two.dit.read().unwrap().view().digest_buckets().unwrap(), sums);
    let two = two.reopen();
    two.assert_sound();
    assert_eq!(digest(&one), digest(&two));
}

#[test]
fn heads_of_a_bucket_name_its_entries_also_the_deleted() {
    let (one, _) = pair();
    one.person(3, "Ann");
    one.person(4, "Bob");
    one.change(4, |_| vec![Delta::Dead]);
    let buckets: BTreeSet<u16> = [3, 4].map(|uuid| bucket_of(EntryUuid([uuid; 16]))).into();
    let snapshot = one.dit.read().unwrap();
    let heads = snapshot.view().bucket_heads(&buckets).unwrap();
    assert_eq!(heads.iter().map(|head| head.uuid.0[0]).collect::<Vec<_>>(), [3, 4]);
    assert!(heads[0].digest.is_some() && heads[1].digest.is_none());
    assert_eq!(heads[0].birth.sequence, 2);
    let sum = snapshot.view().digest_buckets().unwrap()[usize::from(bucket_of(EntryUuid([3; 16])))];
    assert_eq!((sum.count, Some(sum.sum)), (1, heads[0].digest.map(|digest| digest.0)));
}

/// Of a deleted entry nothing is digested, and its deletion is newer than what the two do not have in common.
#[test]
fn heads_of_a_deleted_entry_tell_that_it_was_moved_on_one_side_only() {
    let (one, two) = pair();
    one.person(3, "Ann");
    one.add(4, "ou=new,dc=example,dc=com", &[("objectClass", &["organizationalUnit"]), ("ou", &["new"])]);
    two.follow(&one);
    two.clock.advance(std::time::Duration::from_secs(60));
    two.change(3, |_| vec![Delta::Dead]);
    one.change(3, |_| vec![Delta::Parent(EntryUuid([4; 16]))]);
    one.follow(&two);
    let head = |node: &Replica| {
        let buckets = [bucket_of(EntryUuid([3; 16]))].into();
        node.dit.read().unwrap().view().bucket_heads(&buckets).unwrap()
    };
    assert!(head(&one)[0].digest.is_none() && head(&two)[0].digest.is_none());
    assert_ne!(head(&one), head(&two));
    two.follow(&one);
    assert_eq!(head(&one), head(&two));
}

#[test]
fn spilled_attribute_digests_like_on_a_node_that_received_it_otherwise() {
    let (one, two) = pair();
    one.add(5, "cn=group,dc=example,dc=com", &[("objectClass", &["groupOfNames"]), ("cn", &["group"])]);
    let texts: Vec<String> = (0..100).map(|number| format!("cn=p{number},dc=example,dc=com")).collect();
    one.change(5, |writing| texts.iter().map(|text| cell(writing, "member", text, true)).collect());
    one.set(5, "member", &texts[7], false);
    two.follow(&one);
    assert_eq!(two.values(5, "member").len(), 99);
    assert_eq!(digest(&one), digest(&two));
    one.assert_sound();
    two.assert_sound();
}
