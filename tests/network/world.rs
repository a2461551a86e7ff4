//! A cluster on its network: three to five members, what goes wrong between them, and how each story must end.

use std::collections::BTreeSet;
use std::time::Duration;

use tempfile::TempDir;

use super::book::Book;
use super::namespace::Bridge;
use super::node::Node;
use super::writers::BRANCH;
use crate::support::client::Found;
use crate::support::code;
use crate::support::program::run;
use crate::support::request::Search;
use crate::support::server::{check, export, init};
use crate::support::wait::{Deadline, wait_for_within};

/// How long nodes may take to be equal once nothing is wrong any more: sessions that lost their peer in silence have to
/// be noticed and made anew.
const EQUAL_WITHIN: Duration = Duration::from_secs(60);
/// Names in the order of their making.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Nodes and their network. Dropping it ends them all and removes every trace.
pub(crate) struct World {
    // In this order: processes end before their machines go, those before the bridge.
    pub(crate) nodes: Vec<Node>,
    bridge: Bridge,
    folder: TempDir,
}

impl World {
    /// So many members, served: the first founded the cluster and invited the others.
    #[track_caller]
    pub(crate) fn of(count: usize) -> Self {
        let mut world = Self::with_machines(count);
        world.found();
        for index in 1..count {
            world.join(0, index);
        }
        world.equal();
        world.open();
        world
    }

    /// Waits until clients may write on each node.
    #[track_caller]
    pub(crate) fn open(&self) {
        self.nodes.iter().for_each(Node::wait_until_open);
    }

    /// So many machines, with nothing on them yet.
    #[track_caller]
    pub(crate) fn with_machines(count: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut world = Self { nodes: Vec::new(), bridge: Bridge::make(), folder };
        for _ in 0..count {
            world.machine();
        }
        world
    }

    /// One more machine; its number.
    #[track_caller]
    pub(crate) fn machine(&mut self) -> usize {
        let index = self.nodes.len();
        let namespace = self.bridge.attach(NAMES[index], index + 1);
        self.nodes.push(Node::new(NAMES[index], namespace, self.folder.path()));
        index
    }

    /// The first node begins a cluster.
    #[track_caller]
    pub(crate) fn found(&mut self) {
        init(&self.nodes[0].data(), self.folder.path());
        self.nodes[0].serve();
        let branch = [("objectClass", &["organizationalUnit"][..])];
        self.nodes[0].client().add(BRANCH, &branch).expect(code::SUCCESS);
    }

    /// One node invites another machine.
    #[track_caller]
    pub(crate) fn join(&mut self, from: usize, to: usize) {
        self.join_as(from, to, "supplier");
    }

    /// The same, with a role.
    #[track_caller]
    pub(crate) fn join_as(&mut self, from: usize, to: usize, role: &str) {
        let token = self.nodes[from].invite(role);
        self.nodes[to].join(&token);
        self.nodes[to].serve();
    }

    /// Nothing goes between the two any more.
    #[track_caller]
    pub(crate) fn cut(&self, one: usize, other: usize) {
        self.cut_towards(one, other);
        self.cut_towards(other, one);
    }

    /// What `from` sends does not reach `to`; answers still would.
    #[track_caller]
    pub(crate) fn cut_towards(&self, from: usize, to: usize) {
        self.nodes[to].namespace.ignore(&self.nodes[from].namespace);
    }

    /// Nothing goes between the two sides any more.
    #[track_caller]
    pub(crate) fn part(&self, side: &[usize]) {
        for one in side {
            for other in (0..self.nodes.len()).filter(|other| !side.contains(other)) {
                self.cut(*one, other);
            }
        }
    }

    /// Only these pairs hear each other.
    #[track_caller]
    pub(crate) fn link_only(&self, links: &[(usize, usize)]) {
        for one in 0..self.nodes.len() {
            for other in one + 1..self.nodes.len() {
                if !links.contains(&(one, other)) && !links.contains(&(other, one)) {
                    self.cut(one, other);
                }
            }
        }
    }

    /// All links are whole.
    #[track_caller]
    pub(crate) fn heal(&self) {
        self.nodes.iter().for_each(|node| node.namespace.heal());
    }

    /// Waits until each node says that all are equal.
    #[track_caller]
    pub(crate) fn equal(&self) {
        for node in &self.nodes {
            let mut last = None;
            let is_equal = |last: &mut Option<_>| {
                let verified = node.replica(&["verify", "--wait", "2"]);
                assert_ne!(verified.status.code(), Some(2), "{verified:#?}\n{}", self.stories());
                let is_equal = verified.status.success();
                *last = Some(verified);
                is_equal.then_some(())
            };
            let deadline = Deadline::after(EQUAL_WITHIN);
            while is_equal(&mut last).is_none() {
                assert!(!deadline.is_over(), "{} is not equal with all: {last:#?}\n{}", node.name, self.stories());
            }
        }
    }

    /// What all nodes said and how they stand, for a failure's message.
    fn stories(&self) -> String {
        let story = |node: &Node| {
            let stands = if node.runs() { node.replica(&["status"]).stdout } else { "does not run".to_owned() };
            format!("--- {}\n{}\n{stands}\n", node.name, node.said())
        };
        self.nodes.iter().map(story).collect()
    }

    /// The end of every story: all links whole, all nodes equal; see the module `main`.
    #[track_caller]
    pub(crate) fn settle(&mut self, book: &Book) {
        self.heal();
        self.equal();
        self.exports_agree();
        for node in &self.nodes {
            book.compare(&node.name, &written(node).entries, &export(&node.data()));
        }
        self.clear();
        self.equal();
        self.exports_agree();
        for node in &mut self.nodes {
            node.stop();
            check(&node.data());
        }
        let first = export(&self.nodes[0].data());
        assert!(self.nodes.iter().all(|node| export(&node.data()) == first), "exports of stopped nodes differ");
    }

    /// Exports of all nodes are the same to the byte.
    #[track_caller]
    pub(crate) fn exports_agree(&self) {
        let first = export(&self.nodes[0].data());
        for node in &self.nodes[1..] {
            let other = export(&node.data());
            if first != other {
                let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
                    (first.split("\n\n").collect(), other.split("\n\n").collect());
                let lines =
                    |records: Vec<&&str>| records.iter().map(|record| format!("{record}\n\n")).collect::<String>();
                panic!(
                    "exports differ (only in their order, where nothing follows).\nOnly of {}:\n{}Only of {}:\n{}",
                    self.nodes[0].name,
                    lines(ours.difference(&theirs).collect()),
                    node.name,
                    lines(theirs.difference(&ours).collect()),
                );
            }
        }
    }

    /// A client deletes everything that was written, on the last node, as it finds it.
    #[track_caller]
    fn clear(&self) {
        let node = self.nodes.last().expect("there are nodes");
        let mut client = node.client();
        wait_for_within(EQUAL_WITHIN, "an empty branch", || {
            let mut dns: Vec<_> = written(node).entries.into_iter().map(|entry| entry.dn).collect();
            dns.sort_by_key(|dn| std::cmp::Reverse(dn.matches(',').count()));
            for dn in &dns {
                // A phantom goes with its last subordinate; who lost a name has it back once the other is gone, and is met
                // by it the next time, with what that is in.
                let expected = [code::SUCCESS, code::NO_SUCH_OBJECT, code::NOT_ALLOWED_ON_NON_LEAF];
                client.delete(dn).expect_one_of(&expected);
            }
            written(node).entries.is_empty().then_some(())
        });
    }

    /// A copy of the data file of a node that does not run.
    #[track_caller]
    pub(crate) fn copy_data(&self, from: usize, to: &std::path::Path) {
        assert!(!self.nodes[from].runs(), "a file copy of a running node may be torn");
        std::fs::create_dir_all(to).expect("our folder");
        run(std::process::Command::new("cp").arg("-a").arg(self.nodes[from].data().join(".")).arg(to)).expect_success();
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// Entries whose name another one holds are shown to whom asks for them.
pub(crate) const EVERYTHING: &str = "(|(objectClass=*)(replConflict=*))";

/// Everything below the branch, with what the book is about.
#[track_caller]
pub(crate) fn written(node: &Node) -> Found {
    let search = Search::subtree(BRANCH, EVERYTHING).scope(crate::support::request::CHILDREN);
    let wanted = ["objectClass", "entryUUID", "uid", "ou", "description", "carLicense"];
    node.client().search(&search.attributes(&wanted)).expect(code::SUCCESS)
}
