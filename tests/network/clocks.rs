//! Clocks that are wrong: an hour ahead, a day back, a month ahead from the start, jumping while the node serves.

use entente::clock::Clock;
use entente::schema::time::format_generalized_time;

use super::node::Node;
use super::world::World;
use super::writers::Writers;
use crate::support::code;
use crate::support::request::REPLACE;
use crate::support::wait::wait_until;

const SUFFIX: &str = "dc=example,dc=com";
const DAY_S: i64 = 86_400;

/// Writes on a node, and demands that the stamp is of now by the right clock.
#[track_caller]
fn stamps_with_the_right_time(node: &Node, text: &str) {
    let at = |later_s: i64| {
        let now_ms = i64::try_from(Clock::system().wall_ms()).expect("not so late");
        format_generalized_time(now_ms + later_s * 1_000)[..14].to_owned()
    };
    let before = at(-60);
    let mut client = node.client();
    client.modify(SUFFIX, &[(REPLACE, "description", &[text])]).expect(code::SUCCESS);
    let stamp = client.read_attributes(SUFFIX, &["entryCSN"]).values("entryCSN").first().cloned().expect("a stamp");
    assert!((before..at(60)).contains(&stamp[..14].to_owned()), "{stamp} after {text}");
}

fn alarms(node: &Node) -> String {
    let status = node.status();
    let alarms = status["alarms"].as_array().expect("a list").iter();
    alarms.map(|alarm| alarm["text"].to_string()).collect::<Vec<_>>().join("\n")
}

/// T-48.
#[test]
fn clocks_an_hour_ahead_and_a_day_back_do_not_keep_nodes_apart() {
    let mut world = World::of(3);
    for (node, offset_s) in [(1, 3_600), (2, -DAY_S)] {
        world.nodes[node].stop();
        world.nodes[node].set_clock(offset_s);
        world.nodes[node].serve();
    }
    let writers = Writers::start_on(&world, &[0, 2], 30);
    writers.write(60);
    world.settle(&writers.stop());
}

#[test]
fn a_clock_that_jumps_under_a_running_node_reaches_nobodys_changes() {
    let mut world = World::of(3);
    world.nodes[1].stop();
    world.nodes[1].set_clock(0);
    world.nodes[1].serve();
    world.open();
    let writers = Writers::start(&world, 31);
    for offset_s in [3_600, -DAY_S, 5, 0] {
        world.nodes[1].set_clock(offset_s);
        let is_near = |ms: Option<i64>| ms.is_some_and(|ms| (ms - offset_s * 1_000).abs() < 2_000);
        wait_until("the node to see its clock jump", || {
            is_near(world.nodes[1].status()["clock_jumped_ms"].as_i64().or(Some(0)))
        });
        stamps_with_the_right_time(&world.nodes[1], &format!("a jump by {offset_s} s"));
        let name = &world.nodes[1].status()["node"];
        wait_until("the other to see it", || {
            let status = world.nodes[0].status();
            let members = status["members"].as_array().expect("a list");
            let member = members.iter().find(|member| member["node"] == *name).expect("it is a member");
            is_near(member["clock_offset_ms"].as_i64())
        });
        writers.write(25);
    }
    assert!(alarms(&world.nodes[1]).contains("entente replica clock accept"), "{}", alarms(&world.nodes[1]));
    world.settle(&writers.stop());
}

#[test]
fn a_start_with_a_clock_ahead_of_the_others_takes_no_changes_until_it_is_right_or_accepted() {
    let mut world = World::of(3);
    world.nodes[1].stop();
    world.nodes[1].set_clock(3_600);
    world.nodes[1].serve();
    wait_until("changes to be held", || world.nodes[1].status()["writes"] == "held");
    let refused = world.nodes[1].client().modify(SUFFIX, &[(REPLACE, "description", &["ahead"])]);
    assert_ne!(refused.code, code::SUCCESS);
    assert!(alarms(&world.nodes[1]).contains("Set the clock"), "{}", alarms(&world.nodes[1]));
    world.nodes[1].set_clock(0);
    world.open();
    stamps_with_the_right_time(&world.nodes[1], "the clock was set");
    world.nodes[1].stop();
    world.nodes[1].set_clock(3_600);
    world.nodes[1].serve();
    wait_until("changes to be held again", || world.nodes[1].status()["writes"] == "held");
    world.nodes[1].replica(&["clock", "accept"]).expect_success();
    assert_eq!(world.nodes[1].status()["writes"], "open");
    world.nodes[1].client().modify(SUFFIX, &[(REPLACE, "description", &["accepted"])]).expect(code::SUCCESS);
    world.equal();
}

/// All three were set ahead, and have been set right.
#[test]
fn after_stamps_of_the_future_a_new_epoch_stamps_with_the_right_time_on_all_members() {
    let mut world = World::of(3);
    let refused = world.nodes[0].replica(&["clock", "epoch"]).expect_failure();
    assert!(refused.contains("a new epoch would leave nothing behind"), "{refused}");
    for offset_s in [DAY_S, 0] {
        world.nodes.iter_mut().for_each(Node::stop);
        for node in &mut world.nodes {
            node.set_clock(offset_s);
            node.serve();
        }
        world.open();
        world.nodes[1].client().modify(SUFFIX, &[(REPLACE, "description", &["ahead"])]).expect(code::SUCCESS);
        world.equal();
    }
    let tomorrow = Clock::system().wall_ms() + 23 * 3_600_000;
    let tomorrow = format_generalized_time(i64::try_from(tomorrow).expect("not so late"))[..14].to_owned();
    let stamp = |node: &Node| node.client().read_attributes(SUFFIX, &["entryCSN"]).values("entryCSN")[0].clone();
    assert!(stamp(&world.nodes[1]) > tomorrow, "its clock is right, and its stamps follow those of before");
    let said = world.nodes[0].replica(&["clock", "epoch"]).expect_success();
    assert!(said.contains("epoch 1"), "{said}");
    for node in &world.nodes {
        wait_until("the epoch", || node.status()["clock_epoch"] == 1);
        stamps_with_the_right_time(node, "the epoch began");
    }
    world.equal();
    world.nodes[2].stop();
    world.nodes[2].serve();
    world.open();
    stamps_with_the_right_time(&world.nodes[2], "it was started again");
    for node in &world.nodes {
        assert!(!alarms(node).contains("ahead of this node"), "{}", alarms(node));
    }
    world.equal();
}

/// Alone at first: nobody tells it better, and nobody believes it; it heals once the clock is right.
#[test]
fn a_start_a_month_ahead_of_all_is_over_once_the_clock_is_right() {
    let mut world = World::of(2);
    world.nodes[0].stop();
    world.nodes[1].stop();
    world.nodes[1].set_clock(30 * DAY_S);
    world.nodes[1].serve();
    wait_until("changes to be held", || world.nodes[1].status()["writes"] == "held");
    world.nodes[1].set_clock(0);
    world.nodes[0].serve();
    world.open();
    world.equal();
    stamps_with_the_right_time(&world.nodes[1], "the clock was set");
}
