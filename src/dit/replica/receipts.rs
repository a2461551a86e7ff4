//! Every receipt, and what a received update leaves behind.

use super::*;
use crate::state::encoding::update::encode_update;
use crate::state::hybrid_clock::WallVerdict;
use crate::state::{CellValue, Csn, OriginPosition, Stamp, StateError, Update, ValueKey};

fn pair() -> (Replica, Replica) {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    one.suffix();
    (one, two)
}

/// A record that origin 9 might have sent after `before`.
fn forged(before: &OriginPosition, update: &Update, name: &str) -> LogRecord {
    let mut bytes = Vec::new();
    encode_update(update, |_| Some(name), &mut bytes).unwrap();
    let chain = before.chain_next(&bytes);
    LogRecord { origin: OriginId(9), sequence: before.sequence + 1, chain, bytes }
}

fn stamp(ms: u64, sequence: u64) -> Stamp {
    Stamp { csn: Csn::new(ms, 0, OriginId(9)), sequence }
}

/// An update by origin 9 that adds a value to the suffix of origin 1.
fn update_of_suffix(one: &Replica, ms: u64, sequence: u64) -> Update {
    let birth = one.write(|writing| writing.state(EntryId(1)).unwrap().unwrap().birth);
    let delta = Delta::Cell {
        attribute: AttributeId(0),
        key: ValueKey::of_normal(b"x"),
        order: 0,
        present: true,
        value: CellValue::Text(b"x".to_vec()),
    };
    Update::new(stamp(ms, sequence), EntryUuid([1; 16]), birth, "cn=nine".to_owned(), vec![delta])
}

const DESCRIPTION: &str = "2.5.4.13";
const NOW_MS: u64 = 1_700_000_000_000;

#[test]
fn record_that_follows_is_applied_and_kept_for_others() {
    let (one, two) = pair();
    one.person(3, "Ann");
    one.set(3, "mail", "ann@example.com", true);
    two.follow(&one);
    assert_eq!(two.values(3, "mail"), ["ann@example.com"]);
    assert_eq!(two.records(OriginId(1), 0), one.records(OriginId(1), 0), "records are handed on as they came");
    assert_eq!(
        two.dit.read().unwrap().view().update_vector().unwrap(),
        one.dit.read().unwrap().view().update_vector().unwrap()
    );
    two.assert_sound();
    let two = two.reopen();
    assert_eq!(two.sequence(OriginId(1)), 3);
    two.set(3, "mail", "a@example.com", true);
    one.follow(&two);
    assert_eq!(one.values(3, "mail"), ["ann@example.com", "a@example.com"]);
    one.assert_sound();
}

#[test]
fn record_that_is_held_is_known_and_another_under_its_number_is_a_fork() {
    let (one, two) = pair();
    one.person(3, "Ann");
    two.follow(&one);
    for record in one.records(OriginId(1), 0) {
        assert_eq!(two.receive(&record), Receipt::Known);
        assert_eq!(two.receive(&LogRecord { chain: [7; 16], ..record }), Receipt::Fork);
    }
    two.assert_sound();
}

#[test]
fn record_beyond_the_next_is_a_gap() {
    let (one, two) = pair();
    one.person(3, "Ann");
    let records = one.records(OriginId(1), 0);
    assert_eq!(two.receive(&records[1]), Receipt::Gap { held: 0 });
    assert!(matches!(two.receive(&records[0]), Receipt::Applied { .. }));
    assert!(matches!(two.receive(&records[1]), Receipt::Applied { .. }));
}

#[test]
fn record_whose_chain_does_not_follow_is_a_fork() {
    let (one, two) = pair();
    let mut record = one.records(OriginId(1), 0).remove(0);
    record.bytes.push(0);
    assert_eq!(two.receive(&record), Receipt::Fork);
}

#[test]
fn own_record_that_is_not_held_asks_for_another_origin() {
    let (one, _) = pair();
    let update = update_of_suffix(&one, NOW_MS, 2);
    let position = one.dit.read().unwrap().view().update_vector().unwrap().position(OriginId(1));
    let record = LogRecord { origin: OriginId(1), ..forged(&position, &update, DESCRIPTION) };
    assert_eq!(one.receive(&record), Receipt::Own);
}

#[test]
fn record_that_cannot_be_read_stops_its_origin_and_changes_nothing() {
    let (one, _) = pair();
    let start = OriginPosition::default();
    let bytes = vec![77];
    let newer = LogRecord { origin: OriginId(9), sequence: 1, chain: start.chain_next(&bytes), bytes };
    assert_eq!(one.receive(&newer), Receipt::Undecodable(StateError::UnknownVersion { version: 77 }));
    let misplaced = forged(&start, &update_of_suffix(&one, NOW_MS, 5), DESCRIPTION);
    assert_eq!(one.receive(&misplaced), Receipt::Undecodable(StateError::Malformed { what: "place of an update" }));
    assert_eq!(one.sequence(OriginId(9)), 0);
    one.assert_sound();
}

#[test]
fn wild_stamp_is_applied_and_not_followed() {
    let (one, _) = pair();
    let hour = 60 * 60 * 1000;
    let record = forged(&OriginPosition::default(), &update_of_suffix(&one, NOW_MS + hour, 1), DESCRIPTION);
    assert_eq!(one.receive(&record), Receipt::Applied { ahead_ms: Some(hour) });
    assert_eq!(one.values(1, "description"), ["x"]);
    one.set(1, "o", "later", true);
    let csn = |name: &str| {
        one.write(|writing| {
            let attribute = attribute(writing, name);
            writing.state(EntryId(1)).unwrap().unwrap().attribute(attribute).unwrap().newest().csn
        })
    };
    assert!(csn("o").ms() < NOW_MS + hour, "the clock did not follow");
    one.set(1, "description", "x", false);
    assert!(one.values(1, "description").is_empty(), "and what the wild stamp hit can be changed");
    one.assert_sound();
}

#[test]
fn jump_of_the_wall_clock_reaches_no_stamp_before_it_is_accepted() {
    let (one, two) = pair();
    let hour = 60 * 60 * 1000;
    one.clock.step(hour);
    one.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(one.dit.observe_wall(&[]), WallVerdict::StepRefused { offset_ms: hour });
    one.set(1, "o", "after the jump", true);
    let newest =
        |replica: &Replica| replica.write(|writing| writing.state(EntryId(1)).unwrap().unwrap().max_stamp().csn.ms());
    assert!(newest(&one).abs_diff(NOW_MS) <= 2_000);
    assert_eq!(one.dit.accept_wall(), hour);
    one.set(1, "o", "once it is accepted", true);
    assert!(newest(&one) >= NOW_MS + hour.unsigned_abs());
    two.follow(&one);
    two.assert_sound();
}

/// Its stamp is ahead since it had to be newer than what another's clock had stamped: whoever wrote it is not to blame.
#[test]
fn change_of_what_was_stamped_far_ahead_is_no_reason_for_an_alarm() {
    let (one, two) = pair();
    two.follow(&one);
    let hour = 60 * 60 * 1000;
    let wild = forged(&OriginPosition::default(), &update_of_suffix(&one, NOW_MS + hour, 1), DESCRIPTION);
    for replica in [&one, &two] {
        assert_eq!(replica.receive(&wild), Receipt::Applied { ahead_ms: Some(hour) });
    }
    one.set(1, "description", "x", false);
    let records = one.records(OriginId(1), two.sequence(OriginId(1)));
    assert_eq!(two.receive(records.last().unwrap()), Receipt::Applied { ahead_ms: None });
    assert!(two.values(1, "description").is_empty());
}

#[test]
fn stamp_a_little_ahead_is_followed_over_a_restart() {
    let (one, two) = pair();
    one.clock.advance(std::time::Duration::from_secs(60));
    one.set(1, "o", "from one", true);
    two.follow(&one);
    let two = two.reopen();
    two.set(1, "description", "from two", true);
    one.follow(&two);
    let newest = one.write(|writing| writing.state(EntryId(1)).unwrap().unwrap().max_stamp());
    assert_eq!(newest.csn.origin(), OriginId(2), "what was written after is newer");
}

#[test]
fn update_before_the_birth_of_its_entry_waits_for_it() {
    let (one, two) = pair();
    let three = Replica::new(3, &one.schema);
    two.follow(&one);
    one.person(3, "Ann");
    two.follow(&one);
    two.set(3, "mail", "ann@example.com", true);
    for record in one.records(OriginId(1), 0).iter().take(1) {
        three.receive(record);
    }
    three.follow(&two);
    assert!(three.values(3, "mail").is_empty());
    three.assert_sound();
    three.follow(&one);
    assert_eq!(three.values(3, "mail"), ["ann@example.com"]);
    three.assert_sound();
}

#[test]
fn attribute_type_that_the_schema_does_not_know_is_kept_and_handed_on() {
    let (one, two) = pair();
    let record = forged(&OriginPosition::default(), &update_of_suffix(&one, NOW_MS, 1), "1.3.6.1.4.1.99999.1;lang-de");
    two.follow(&one);
    assert!(matches!(two.receive(&record), Receipt::Applied { ahead_ms: None }));
    two.assert_sound();
    let two = two.reopen();
    assert_eq!(two.records(OriginId(9), 0), [record]);
    let snapshot = two.dit.read().unwrap();
    let unknown = snapshot.view().catalog().find_key("1.3.6.1.4.1.99999.1;lang-de").unwrap();
    let entry = snapshot.view().entry(EntryId(1)).unwrap().unwrap();
    assert_eq!(entry.attribute(unknown).unwrap().values().collect::<Vec<_>>(), [b"x"]);
}

/// 4.6: a type is added on one node and used there; a node that does not know it hands the change on to one that does,
/// and shows it by name once its own schema has it.
#[test]
fn a_type_that_comes_before_its_schema_is_handed_on_and_shown_when_the_schema_comes() {
    let text = "dn: cn=new,cn=schema\nobjectClass: top\nobjectClass: ldapSubEntry\nobjectClass: subschema\ncn: new\n\
        attributeTypes: ( 1.3.6.1.4.1.99999.7 NAME 'shoeSize' EQUALITY caseIgnoreMatch \
        SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )\n";
    let newer = crate::schema::SchemaSource { name: "new.ldif", text };
    let newer = Arc::new(Schema::builtin_and(&[newer]).unwrap());
    let older = Arc::new(Schema::builtin());
    let (a, between, b) = (Replica::new(1, &newer), Replica::new(2, &older), Replica::new(3, &newer));
    a.suffix();
    a.person(3, "Ann");
    a.set(3, "shoeSize", "Forty-Two", true);
    between.follow(&a);
    between.assert_sound();
    assert!(between.values(3, "shoeSize").is_empty(), "it has no name here");
    for record in between.records(OriginId(1), 0) {
        assert!(matches!(b.receive(&record), Receipt::Applied { .. }));
    }
    assert_eq!(b.values(3, "shoeSize"), ["Forty-Two"]);
    let buckets = |replica: &Replica| replica.dit.read().unwrap().view().digest_buckets().unwrap();
    assert_eq!(buckets(&between), buckets(&b), "the same content, whoever can read it");
    let between = Replica { schema: newer, ..between }.reopen();
    assert_eq!(between.values(3, "shoeSize"), ["Forty-Two"]);
    // What is known now is told of by its name when it is deleted by another spelling.
    between.set(3, "shoeSize", "forty-two", false);
    b.follow(&between);
    assert!(b.values(3, "shoeSize").is_empty());
    b.assert_sound();
}

#[test]
fn log_is_read_in_pieces_and_says_what_it_has_trimmed() {
    let (one, _) = pair();
    for number in 0..5 {
        one.set(1, "o", &format!("{number}"), true);
    }
    let snapshot = one.dit.read().unwrap();
    let Ok(LogRange::Records(records)) = snapshot.view().log_range(OriginId(1), 3, 1) else { panic!() };
    assert_eq!(records.iter().map(|record| record.sequence).collect::<Vec<_>>(), [3]);
    assert_eq!(snapshot.view().log_range(OriginId(1), 7, 1000).unwrap(), LogRange::Records(Vec::new()));
    assert_eq!(snapshot.view().log_range(OriginId(5), 1, 1000).unwrap(), LogRange::Records(Vec::new()));
    drop(snapshot);
    one.write(|writing| writing.drop_log_below(OriginId(1), 3, 10).unwrap());
    let snapshot = one.dit.read().unwrap();
    assert_eq!(snapshot.view().log_range(OriginId(1), 2, 1000).unwrap(), LogRange::Trimmed { first_kept: 3 });
    drop(snapshot);
    one.assert_sound();
}

/// What was made together is read from the log together, however small the pieces are that were asked for.
#[test]
fn records_made_together_are_not_cut_apart() {
    let (one, two) = pair();
    let before = one.sequence(OriginId(1));
    let id = one.id(1);
    let made: Result<(), DitError> = one.write(|writing| {
        writing.together(|writing| {
            for number in 0..3 {
                let deltas = vec![cell(writing, "o", &format!("{number}"), true)];
                writing.change(Target::Existing(id), "cn=test", deltas)?;
            }
            Ok(())
        })
    });
    made.unwrap();
    one.set(1, "o", "alone", true);
    let snapshot = one.dit.read().unwrap();
    let pieces = |from| match snapshot.view().log_range(OriginId(1), from, 1).unwrap() {
        LogRange::Records(records) => records.iter().map(|record| record.sequence - before).collect::<Vec<_>>(),
        LogRange::Trimmed { .. } => panic!("trimmed"),
    };
    assert_eq!(pieces(before + 1), [1, 2, 3]);
    assert_eq!(pieces(before + 4), [4]);
    drop(snapshot);
    two.follow(&one);
    assert_eq!(two.values(1, "o").len(), 4);
    two.assert_sound();
}
