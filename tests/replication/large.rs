//! What a text case would be too long for: entries of very many attributes and values, thousands of changes from several
//! masters. Covers 4.2 acceptance_test test_many_attrs and test_csnpurge_large_valueset, 4.2 stress/replication.
//!
//! `ENTENTE_STRESS=50000 cargo test --release --test replication four_masters -- --nocapture` for as many entries a
//! master as there the other server's test has.

use crate::case::Ask;
use crate::replica::{Replica, whole};
use entente::state::StableCut;

const PERSON: &str = "uid=ann,ou=people";

fn add(replica: &Replica, dn: &str) {
    assert_eq!(replica.ask(&Ask::Add { dn: dn.to_owned(), attributes: Vec::new() }).0, "success", "{dn}");
}

fn modify(replica: &Replica, kind: &str, list: impl IntoIterator<Item = (String, Vec<String>)>) {
    let list = list.into_iter().map(|(name, values)| (kind.to_owned(), name, values)).collect();
    let (code, diagnostic) = replica.ask(&Ask::Modify { dn: PERSON.to_owned(), list });
    assert_eq!(code, "success", "{diagnostic}");
}

fn tree(names: &[char]) -> Vec<Replica> {
    let replicas: Vec<Replica> = names.iter().map(|name| Replica::new(*name)).collect();
    ["suffix", "ou=people"].into_iter().for_each(|dn| add(&replicas[0], &whole(dn)));
    replicas
}

/// Everything to everybody; then all are the same.
fn sync(replicas: &[Replica]) {
    for to in replicas {
        for from in replicas {
            to.take(from, from.origin(), usize::MAX);
        }
    }
    let (first, others) = replicas.split_first().unwrap();
    for other in others {
        assert_eq!(other.digest(), first.digest());
        assert_eq!(other.conflicts(), first.conflicts());
    }
    replicas.iter().for_each(|replica| assert_eq!(replica.faults(), Vec::<String>::new()));
}

/// What all hold is forgotten; each has written since.
fn settle(replicas: &[Replica]) {
    let vector = replicas[0].vector();
    let cut: StableCut = vector.iter().map(|(origin, position)| (origin, position.sequence)).collect();
    for replica in replicas {
        replica.settle(cut.clone());
    }
}

#[test]
fn two_hundred_attributes_added_on_two_masters_and_taken_away_again_leave_nothing() {
    let replicas = tree(&['A', 'B']);
    add(&replicas[0], &whole(PERSON));
    sync(&replicas);
    let names = |from: u32, to: u32| (from..to).map(|number| format!("description;lang-x-{number}"));
    let valued = |name: String| (name.clone(), vec![name]);
    modify(&replicas[0], "add", names(0, 120).map(valued));
    modify(&replicas[1], "add", names(80, 200).map(valued));
    sync(&replicas);
    for replica in &replicas {
        for name in names(0, 200) {
            assert_eq!(replica.values(PERSON, &name), Some(vec![name]));
        }
    }
    modify(&replicas[0], "delete", names(0, 150).map(|name| (name, Vec::new())));
    modify(&replicas[1], "delete", names(50, 200).map(|name| (name, Vec::new())));
    sync(&replicas);
    for replica in &replicas {
        for name in names(0, 200) {
            assert_eq!(replica.values(PERSON, &name), Some(Vec::new()), "{name}");
        }
    }
    assert_eq!(replicas[0].conflicts(), [], "the same was written on both sides");
}

#[test]
fn values_of_a_very_large_set_that_all_know_are_gone_are_forgotten() {
    const VALUES: u32 = 2_000;
    let replicas = tree(&['A', 'B']);
    add(&replicas[0], &whole(PERSON));
    sync(&replicas);
    let mails = |from: u32, to: u32| (from..to).map(|number| format!("m{number}@example.com")).collect::<Vec<_>>();
    modify(&replicas[0], "add", [("mail".to_owned(), mails(0, VALUES))]);
    sync(&replicas);
    modify(&replicas[0], "delete", [("mail".to_owned(), mails(0, VALUES / 2))]);
    modify(&replicas[1], "delete", [("mail".to_owned(), mails(VALUES / 4, VALUES - 10))]);
    sync(&replicas);
    let cells = |replica: &Replica| replica.large_cells();
    assert_eq!(replicas.iter().map(cells).collect::<Vec<_>>(), [VALUES as usize; 2], "absence is known");
    for replica in &replicas {
        replica.be_at(1_000);
        modify(replica, "add", [("mail".to_owned(), vec![format!("{}@example.com", replica.name)])]);
    }
    sync(&replicas);
    settle(&replicas);
    assert_eq!(replicas.iter().map(cells).collect::<Vec<_>>(), [12; 2], "and forgotten");
    sync(&replicas);
    for replica in &replicas {
        let mut left = mails(VALUES - 10, VALUES);
        left.extend(["A@example.com".to_owned(), "B@example.com".to_owned()]);
        left.sort_unstable();
        let mut shown = replica.values(PERSON, "mail").unwrap();
        shown.sort_unstable();
        assert_eq!(shown, left);
    }
}

#[test]
fn four_masters_add_and_delete_and_agree() {
    let entries: u32 = std::env::var("ENTENTE_STRESS").map_or(250, |text| text.parse().unwrap());
    let replicas = tree(&['A', 'B', 'C', 'D']);
    sync(&replicas);
    let dn = |replica: &Replica, number: u32| whole(&format!("uid={}{number},ou=people", replica.name));
    for number in 0..entries {
        replicas.iter().for_each(|replica| add(replica, &dn(replica, number)));
        if number % 100 == 50 {
            // Some hear of some meanwhile.
            replicas[number as usize % 4].take(
                &replicas[(number as usize + 1) % 4],
                replicas[(number as usize + 1) % 4].origin(),
                30,
            );
        }
    }
    sync(&replicas);
    let count = |replica: &Replica| replica.children("ou=people").unwrap().len() as u32;
    assert_eq!(replicas.iter().map(count).collect::<Vec<_>>(), [4 * entries; 4]);
    // Each deletes what the next one added.
    for number in 0..entries {
        for (at, replica) in replicas.iter().enumerate() {
            let dn = dn(&replicas[(at + 1) % 4], number);
            assert_eq!(replica.ask(&Ask::Delete { dn: dn.clone() }).0, "success", "{dn}");
        }
    }
    sync(&replicas);
    assert_eq!(replicas.iter().map(count).collect::<Vec<_>>(), [0; 4]);
}
