//! Lost changes are written down where they meet, with both sides, alike on all members.

use super::*;
use crate::state::conflict::Rule;
use crate::state::{CellValue, RdnState};

/// Two members with the suffix and a person in common.
pub(super) fn pair() -> [Replica; 2] {
    let schema = Arc::new(Schema::builtin());
    let [one, other] = [Replica::new(1, &schema), Replica::new(2, &schema)];
    one.suffix();
    one.person(3, "Ann");
    other.follow(&one);
    [one, other]
}

pub(super) fn meet(pair: &[Replica; 2]) {
    let [one, other] = pair;
    one.follow(other);
    other.follow(one);
    one.assert_sound();
    other.assert_sound();
}

pub(super) fn set_title(replica: &Replica, title: &str) {
    replica.change(3, |writing| {
        let title = cell(writing, "title", title, true);
        let attribute = attribute(writing, "title");
        vec![Delta::Clear(attribute), title]
    });
}

pub(super) fn conflicts(replica: &Replica) -> Vec<Conflict> {
    replica.dit.read().unwrap().view().conflicts().unwrap()
}

fn state(replica: &Replica, conflict: &Conflict) -> ConflictState {
    replica.dit.read().unwrap().view().conflict_state(conflict).unwrap()
}

pub(super) fn texts(side: &Side) -> Vec<String> {
    match &side.content {
        SideContent::Values(values) => values
            .iter()
            .map(|value| match value {
                CellValue::Text(text) => String::from_utf8(text.clone()).unwrap(),
                CellValue::Link(target) => target.to_string(),
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_losing_title_is_kept_with_both_sides_and_the_same_name_on_both_members() {
    let pair = pair();
    set_title(&pair[0], "CEO");
    pair[1].clock.advance(std::time::Duration::from_secs(1));
    set_title(&pair[1], "CTO");
    meet(&pair);
    assert_eq!(pair.each_ref().map(|member| member.values(3, "title")), [["CTO"], ["CTO"]]);
    let [here, there] = pair.each_ref().map(conflicts);
    assert_eq!(here, there);
    let [conflict] = here.as_slice() else { panic!("{here:?}") };
    assert_eq!((conflict.uuid, conflict.rule), (EntryUuid([3; 16]), Rule::NewerReplace));
    assert_eq!(conflict.dn, format!("cn=Ann,{SUFFIX}"));
    assert_eq!((texts(&conflict.winner), texts(&conflict.loser)), (vec!["CTO".into()], vec!["CEO".into()]));
    assert_eq!((conflict.winner.requester.as_str(), conflict.loser.requester.as_str()), ("cn=test", "cn=test"));
}

#[test]
fn changes_one_after_the_other_are_no_conflict() {
    let pair = pair();
    for (member, title) in [(0, "CEO"), (1, "CTO"), (0, "CFO")] {
        set_title(&pair[member], title);
        meet(&pair);
    }
    assert_eq!(pair.each_ref().map(conflicts), [vec![], vec![]]);
}

#[test]
fn a_dismissal_holds_on_all_members() {
    let pair = pair();
    set_title(&pair[0], "CEO");
    set_title(&pair[1], "CTO");
    meet(&pair);
    let conflict = conflicts(&pair[0]).remove(0);
    assert_eq!(pair.each_ref().map(|member| state(member, &conflict)), [ConflictState::Open; 2]);
    let found = conflict.clone();
    let id = pair[1].id(3);
    pair[1].write(|writing| writing.decide_conflict(id, &found.id, ConflictState::Dismissed, "cn=test").unwrap());
    meet(&pair);
    assert_eq!(pair.each_ref().map(|member| state(member, &conflict)), [ConflictState::Dismissed; 2]);
    assert_eq!(conflicts(&pair[0]).len(), 1, "the dismissal is no conflict");
}

#[test]
fn a_secret_is_not_kept_only_that_there_was_one() {
    let pair = pair();
    for (member, secret) in [(0, "{SSHA}first"), (1, "{SSHA}second")] {
        pair[member].change(3, |writing| {
            let cell = cell(writing, "userPassword", secret, true);
            vec![Delta::Clear(attribute(writing, "userPassword")), cell]
        });
    }
    meet(&pair);
    let found = conflicts(&pair[0]);
    let [conflict] = found.as_slice() else { panic!("{found:?}") };
    assert!(conflict.is_secret);
    assert_eq!(conflict.loser.content, SideContent::Unsaid { count: 1 });
    let snapshot = pair[0].dit.read().unwrap();
    let mut cursor = snapshot.view().reader().cursor(crate::storage::Table::Conflicts).unwrap();
    let mut item = cursor.first().unwrap();
    while let Some((_, record)) = item {
        assert!(!record.windows(6).any(|window| window == b"{SSHA}"));
        item = cursor.next().unwrap();
    }
}

#[test]
fn a_change_of_an_entry_deleted_elsewhere_is_told_of() {
    for order in [[0, 1], [1, 0]] {
        let pair = pair();
        pair[order[0]].change(3, |_| vec![Delta::Dead]);
        set_title(&pair[order[1]], "CEO");
        meet(&pair);
        let [here, there] = pair.each_ref().map(conflicts);
        assert_eq!(here, there);
        let [conflict] = here.as_slice() else { panic!("{here:?}") };
        assert_eq!(conflict.rule, Rule::DeleteOverChange);
        assert_eq!((texts(&conflict.loser), &conflict.winner.content), (vec!["CEO".into()], &SideContent::Deleted));
        assert_eq!(conflict.dn, format!("cn=Ann,{SUFFIX}"));
    }
}

#[test]
fn of_two_renames_the_losing_name_is_kept() {
    let pair = pair();
    for (member, name) in [(0, "Anna"), (1, "Annie")] {
        pair[member].change(3, |writing| {
            let rdn: RdnState = rdn_state(writing, &crate::model::Rdn::parse(&format!("cn={name}")).unwrap()).unwrap();
            vec![cell(writing, "cn", "Ann", false), cell(writing, "cn", name, true), Delta::Rdn(rdn)]
        });
    }
    meet(&pair);
    let found = conflicts(&pair[1]);
    let [conflict] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((conflict.rule, &conflict.place), (Rule::NewerRename, &ConflictPlace::Name));
    assert_eq!(conflict.loser.content, SideContent::Name("cn=Anna".into()));
}

#[test]
fn a_value_of_a_large_attribute_is_watched_like_any_other() {
    let pair = pair();
    let numbers: Vec<String> = (0..200).map(|number| format!("room {number}")).collect();
    pair[0].change(3, |writing| numbers.iter().map(|text| cell(writing, "description", text, true)).collect());
    meet(&pair);
    pair[0].set(3, "description", "room 200", true);
    pair[1].clock.advance(std::time::Duration::from_secs(1));
    pair[1].change(3, |writing| vec![Delta::Clear(attribute(writing, "description"))]);
    meet(&pair);
    let [here, there] = pair.each_ref().map(conflicts);
    assert_eq!(here, there);
    let told: Vec<_> = here.iter().map(|conflict| (conflict.rule, texts(&conflict.loser))).collect();
    assert_eq!(told, [(Rule::ClearOverAdd, vec!["room 200".to_owned()])]);
}

/// Where the log dropped what the other lacked (`replication.log_records_max`), its later records say what their writer had
/// not met by then.
#[test]
fn a_change_lost_to_one_whose_record_is_dropped_is_told_where_that_was_written() {
    let pair = pair();
    set_title(&pair[1], "CTO");
    pair[0].clock.advance(std::time::Duration::from_secs(1));
    let before = pair[0].sequence(OriginId(1));
    set_title(&pair[0], "CEO");
    pair[0].set(3, "description", "later", true);
    pair[0].write(|writing| writing.drop_log_below(OriginId(1), before + 2, 10).unwrap());
    pair[0].follow(&pair[1]);
    assert_eq!(pair[0].values(3, "title"), ["CEO"]);
    let found = conflicts(&pair[0]);
    let [conflict] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((texts(&conflict.winner), texts(&conflict.loser)), (vec!["CEO".into()], vec!["CTO".into()]));
    assert_eq!(untold(&pair[0]), []);
    pair[0].assert_sound();
}

#[test]
fn a_change_of_an_entry_whose_deletion_left_the_log_is_told_of() {
    let pair = pair();
    set_title(&pair[1], "CTO");
    pair[0].clock.advance(std::time::Duration::from_secs(1));
    let before = pair[0].sequence(OriginId(1));
    pair[0].change(3, |_| vec![Delta::Dead]);
    pair[0].set(1, "description", "later", true);
    pair[0].write(|writing| writing.drop_log_below(OriginId(1), before + 2, 10).unwrap());
    pair[0].follow(&pair[1]);
    let found = conflicts(&pair[0]);
    let [conflict] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((conflict.rule, &conflict.winner.content), (Rule::DeleteOverChange, &SideContent::Deleted));
    assert_eq!((texts(&conflict.loser), untold(&pair[0])), (vec!["CTO".into()], vec![]));
}

/// No record of its writer is left that says what it had not met.
#[test]
fn what_cannot_be_told_any_more_is_said_to_be_untold() {
    let pair = pair();
    set_title(&pair[1], "CTO");
    pair[0].clock.advance(std::time::Duration::from_secs(1));
    let before = pair[0].sequence(OriginId(1));
    set_title(&pair[0], "CEO");
    pair[0].write(|writing| writing.drop_log_below(OriginId(1), before + 2, 10).unwrap());
    pair[0].follow(&pair[1]);
    assert_eq!(conflicts(&pair[0]), []);
    let number = before + 1;
    let told = untold(&pair[0]);
    assert_eq!(told, [(OriginId(1), number, number, 1)]);
    pair[0].assert_sound();
    pair[0].clock.advance(std::time::Duration::from_millis(KEPT_MS + 1_000));
    pair[0].write(|writing| writing.sweep_conflicts().unwrap());
    assert_eq!(untold(&pair[0]), [], "after ninety days nobody asks");
}

/// By origin: first, last, how many.
fn untold(replica: &Replica) -> Vec<(OriginId, u64, u64, u64)> {
    let ranges = replica.dit.read().unwrap().view().untold_conflicts().unwrap();
    ranges.iter().map(|range| (range.origin, range.first, range.last, range.count)).collect()
}
