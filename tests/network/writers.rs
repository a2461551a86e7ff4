//! One writer a node: adds, changes, renames, moves and deletes over few names, so that nodes meet on most of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::book::{Book, Change};
use super::node::{Node, connect};
use super::world::{EVERYTHING, World};
use crate::support::ber::Element;
use crate::support::client::{Client, Entry, Outcome};
use crate::support::request::{self, ADD, Control, REPLACE, Search};
use crate::support::wait::{Deadline, wait_until};
use crate::support::workload::Dice;
use crate::support::{code, oid};

/// Everything is written below this.
pub(crate) const BRANCH: &str = "ou=written,dc=example,dc=com";
/// Names of people, and of what they are in.
const PEOPLE: usize = 20;
const UNITS: usize = 5;
/// Between two requests of a writer.
const PACE: Duration = Duration::from_millis(10);
/// What a node may say to a request that was sensible when it was made: somebody else was first, or the node takes no
/// changes at this moment.
const EXPECTED: [u32; 10] = [
    code::REFERRAL,
    code::NO_SUCH_OBJECT,
    51, // busy
    52, // unavailable
    code::UNWILLING_TO_PERFORM,
    code::NOT_ALLOWED_ON_NON_LEAF,
    code::ENTRY_ALREADY_EXISTS,
    code::ATTRIBUTE_OR_VALUE_EXISTS,
    code::AFFECTS_MULTIPLE_DSAS,
    code::ASSERTION_FAILED,
];

/// Writers that run. Dropping them ends them.
pub(crate) struct Writers {
    over: Arc<AtomicBool>,
    threads: Vec<(JoinHandle<Book>, Arc<AtomicUsize>)>,
}

impl Writers {
    /// One for each node.
    pub(crate) fn start(world: &World, seed: u64) -> Self {
        Self::start_on(world, &(0..world.nodes.len()).collect::<Vec<_>>(), seed)
    }

    /// One for each of these nodes.
    pub(crate) fn start_on(world: &World, nodes: &[usize], seed: u64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let start = |index: &usize| {
            let answered = Arc::new(AtomicUsize::new(0));
            let writer = Writer::new(&world.nodes[*index], seed, *index);
            let (over, count) = (Arc::clone(&over), Arc::clone(&answered));
            (std::thread::spawn(move || writer.run(&over, &count)), answered)
        };
        Self { threads: nodes.iter().map(start).collect(), over }
    }

    /// Waits until each writer got so many more successes.
    #[track_caller]
    pub(crate) fn write(&self, more: usize) {
        let goals: Vec<_> = self.threads.iter().map(|(_, count)| count.load(Ordering::Relaxed) + more).collect();
        wait_until(&format!("{more} more answered writes of each writer"), || {
            let mut all = self.threads.iter().zip(&goals);
            all.all(|((thread, count), goal)| thread.is_finished() || count.load(Ordering::Relaxed) >= *goal)
        });
    }

    /// Waits until one writer got so many more successes.
    #[track_caller]
    pub(crate) fn write_on(&self, writer: usize, more: usize) {
        let (thread, count) = &self.threads[writer];
        let goal = count.load(Ordering::Relaxed) + more;
        wait_until("answered writes of one writer", || thread.is_finished() || count.load(Ordering::Relaxed) >= goal);
    }

    /// Ends them; what they know.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Book {
        self.over.store(true, Ordering::Relaxed);
        let mut book = Book::default();
        for (thread, _) in self.threads.drain(..) {
            book.merge(thread.join().expect("a writer was answered as expected"));
        }
        println!("{} changes were acknowledged", book.answered);
        book
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for (thread, _) in self.threads.drain(..) {
            // The test has failed already.
            let _ = thread.join();
        }
    }
}

struct Writer {
    node: String,
    socket: PathBuf,
    dice: Dice,
    book: Book,
    made: usize,
    run: u64,
}

/// A request.
enum Wish {
    Add {
        operation: Vec<u8>,
        /// Units are in nobody's book: they may be shown after their end, while there is something in them.
        is_person: bool,
    },
    /// Something else for the entry with this entryUUID, with what the book shall note.
    Change { operation: Vec<u8>, uuid: String, change: Option<Change> },
}

impl Writer {
    fn new(node: &Node, seed: u64, index: usize) -> Self {
        let dice = Dice(seed.wrapping_mul(1000).wrapping_add(index as u64));
        Self { node: node.name.clone(), socket: node.socket(), dice, book: Book::default(), made: 0, run: seed }
    }

    /// Writes until it is over; a node that goes away is asked again until it is back.
    fn run(mut self, over: &AtomicBool, count: &AtomicUsize) -> Book {
        let mut connection = None;
        while !over.load(Ordering::Relaxed) {
            let pace = Deadline::after(PACE);
            connection = connection.or_else(|| connect(&self.socket));
            connection = connection.take().and_then(|mut client| {
                let goes_on = self.step(&mut client);
                count.store(self.book.answered, Ordering::Relaxed);
                goes_on.map(|()| client)
            });
            while !pace.is_over() {
                pace.pause();
            }
        }
        self.book
    }

    /// `None` when the connection has ended.
    fn step(&mut self, client: &mut Client) -> Option<()> {
        self.made += 1;
        let text = format!("{}-{}-{}", self.run, self.node, self.made);
        match self.wish(client, &text)? {
            Wish::Add { operation, is_person } => {
                client.with(Control::read_entry(oid::POST_READ, &["entryUUID"]));
                let outcome = client.try_perform(&operation)?;
                if is_done(&outcome) && is_person {
                    self.book.note(&self.node, &uuid_of(&outcome), Change::Added(text));
                }
            }
            Wish::Change { operation, uuid, change } => {
                client.with(Control::assertion(&format!("(entryUUID={uuid})")));
                let outcome = client.try_perform(&operation);
                let Some(change) = change else { return outcome.map(|outcome| _ = is_done(&outcome)) };
                match outcome {
                    Some(outcome) if is_done(&outcome) => self.book.note(&self.node, &uuid, change),
                    Some(_) => {}
                    None => {
                        self.book.note_unsure(&self.node, &uuid, change);
                        return None;
                    }
                }
            }
        }
        Some(())
    }

    /// What to do next, by what the node shows.
    fn wish(&mut self, client: &mut Client, text: &str) -> Option<Wish> {
        let kind = self.dice.roll(100);
        let of_unit = (85..100).contains(&kind);
        let (name, other) = if of_unit {
            (format!("ou=u{}", self.dice.roll(UNITS)), String::new())
        } else {
            (format!("uid=p{}", self.dice.roll(PEOPLE)), format!("uid=p{}", self.dice.roll(PEOPLE)))
        };
        let unit = self.unit(client)?;
        let mut found = find(client, &format!("({name})"))?;
        if found.is_empty() || kind < 20 {
            let dn = format!("{name},{unit}");
            let operation = match of_unit {
                true => request::add(&dn, &[("objectClass", &["organizationalUnit"])]),
                false => request::add(
                    &dn,
                    &[("objectClass", &["inetOrgPerson"]), ("cn", &[text]), ("sn", &[text]), ("description", &[text])],
                ),
            };
            return Some(Wish::Add { operation, is_person: !of_unit });
        }
        // Two of one name stand in different places, or one of them lost it.
        let entry = found.swap_remove(self.dice.roll(found.len()));
        // Who lost a name has its entryUUID beside it, which is no part of the name.
        let rdn = entry.dn.split([',', '+']).next().unwrap_or_default().to_owned();
        let (operation, change) = match kind {
            0..60 => {
                let changes: [(i64, &str, &[&str]); 2] =
                    [(REPLACE, "description", &[text]), (ADD, "carLicense", &[text])];
                (request::modify(&entry.dn, &changes), Some(Change::Described(text.to_owned())))
            }
            60..68 => (request::modify_dn(&entry.dn, &other, true, None), None),
            68..77 | 90..95 => (request::modify_dn(&entry.dn, &rdn, false, Some(&unit)), None),
            77..85 => (request::delete(&entry.dn), Some(Change::Deleted)),
            85..90 => (request::modify(&entry.dn, &[(REPLACE, "description", &[text])]), None),
            _ => (request::delete(&entry.dn), None),
        };
        Some(Wish::Change { operation, uuid: entry.value("entryUUID"), change })
    }

    /// A unit, or the branch itself.
    fn unit(&mut self, client: &mut Client) -> Option<String> {
        let found = find(client, &format!("(ou=u{})", self.dice.roll(UNITS + 2)))?;
        Some(found.into_iter().next().map_or_else(|| BRANCH.to_owned(), |entry| entry.dn))
    }
}

/// Success; fails where the answer is none that a sensible request may get.
#[track_caller]
fn is_done(outcome: &Outcome) -> bool {
    let is_expected = outcome.code == code::SUCCESS || EXPECTED.contains(&outcome.code);
    assert!(is_expected, "a writer was answered with {outcome:?}");
    outcome.code == code::SUCCESS
}

/// From the answer's post-read control (RFC 4527).
#[track_caller]
fn uuid_of(outcome: &Outcome) -> String {
    let value = Element::whole(&outcome.control(oid::POST_READ)).expect("well-formed BER");
    Entry::parse(&value).expect("an entry").value("entryUUID")
}

/// Entries below the branch; `None` when the connection has ended.
fn find(client: &mut Client, filter: &str) -> Option<Vec<Entry>> {
    let filter = format!("(&{filter}{EVERYTHING})");
    let id = client.try_send(&Search::subtree(BRANCH, &filter).attributes(&["entryUUID"]).encode())?;
    let mut found = Vec::new();
    loop {
        let message = client.receive_for(id)?;
        if message.operation.tag != 0x64 {
            return Some(found);
        }
        found.push(Entry::parse(&message.operation).expect("a well-formed entry"));
    }
}
