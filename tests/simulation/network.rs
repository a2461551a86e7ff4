//! Links between nodes: messages under way, and what befalls them.
//!
//! A link is one connection: two sessions, one at each end. Faults are drawn for each message; a direction may be blocked
//! without either end noticing.

use std::collections::{BTreeMap, BTreeSet};

use entente::replication::{Message, SessionId};

use crate::random::Random;

/// What befalls messages, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) loss: u64,
    pub(crate) repetition: u64,
    pub(crate) reordering: u64,
    /// Ticks under way at most.
    pub(crate) delay_max: u64,
}

#[derive(Debug)]
pub(crate) struct Link {
    /// Places of the nodes, and their sessions; the first dialled.
    pub(crate) ends: [(usize, SessionId); 2],
    /// Whether an end has been told of the end of the link.
    pub(crate) open: [bool; 2],
}

#[derive(Debug)]
struct Letter {
    link: u64,
    /// To which end.
    to: usize,
    message: Message,
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) faults: Faults,
    /// Directions that swallow everything: from, to.
    pub(crate) blocked: BTreeSet<(usize, usize)>,
    links: BTreeMap<u64, Link>,
    link_last: u64,
    /// By tick of arrival and number.
    letters: BTreeMap<(u64, u64), Letter>,
    letter_last: u64,
    /// Ends to be told of the end of their link, by tick.
    ends: BTreeMap<(u64, u64), (u64, usize)>,
    /// The last arrival of each direction, so that order is kept where it is not broken on purpose.
    last_arrival: BTreeMap<(u64, usize), u64>,
}

impl Network {
    pub(crate) fn new(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    pub(crate) fn connect(&mut self, dialler: (usize, SessionId), other: (usize, SessionId)) {
        self.link_last += 1;
        self.links.insert(self.link_last, Link { ends: [dialler, other], open: [true, true] });
    }

    /// Whether two nodes have a link of which neither end knows that it is over.
    pub(crate) fn connected(&self, a: usize, b: usize) -> bool {
        self.links.values().any(|link| {
            let nodes = [link.ends[0].0, link.ends[1].0];
            (nodes == [a, b] || nodes == [b, a]) && link.open == [true, true]
        })
    }

    fn find(&self, node: usize, session: SessionId) -> Option<(u64, usize)> {
        self.links.iter().find_map(|(number, link)| {
            link.ends.iter().position(|end| *end == (node, session)).map(|end| (*number, end))
        })
    }

    /// A node sends on one of its sessions.
    pub(crate) fn send(&mut self, tick: u64, node: usize, session: SessionId, message: Message, random: &mut Random) {
        let Some((number, from)) = self.find(node, session) else { return };
        let to = 1 - from;
        let Some(link) = self.links.get(&number) else { return };
        if self.blocked.contains(&(node, link.ends[to].0)) || random.permille(self.faults.loss) {
            return;
        }
        let copies = if random.permille(self.faults.repetition) { 2 } else { 1 };
        for _ in 0..copies {
            let mut at = tick + random.below(self.faults.delay_max + 1);
            let last = self.last_arrival.entry((number, to)).or_default();
            if !random.permille(self.faults.reordering) {
                at = at.max(*last);
                *last = at;
            }
            self.letter_last += 1;
            self.letters.insert((at, self.letter_last), Letter { link: number, to, message: message.clone() });
        }
    }

    /// A node ends a session; the other end hears of it later.
    pub(crate) fn close(&mut self, tick: u64, node: usize, session: SessionId) {
        let Some((number, end)) = self.find(node, session) else { return };
        self.end_link(tick + 1, number, end);
    }

    fn end_link(&mut self, tick: u64, number: u64, end: usize) {
        let Some(link) = self.links.get_mut(&number) else { return };
        link.open[end] = false;
        self.letter_last += 1;
        self.ends.insert((tick, self.letter_last), (number, 1 - end));
    }

    /// A node stops: its ends are gone, the others hear of it in a while.
    pub(crate) fn node_stopped(&mut self, tick: u64, node: usize, random: &mut Random) {
        let mine: Vec<(u64, usize)> = self
            .links
            .iter()
            .flat_map(|(number, link)| (0..2).map(|end| (*number, end, link.ends[end].0)))
            .filter(|(_, _, of)| *of == node)
            .map(|(number, end, _)| (number, end))
            .collect();
        for (number, end) in mine {
            let later = random.below(20);
            self.end_link(tick + later, number, end);
        }
    }

    /// What arrives until this tick: node, session, message; none for the end of the session.
    pub(crate) fn arrivals(&mut self, tick: u64) -> Vec<(usize, SessionId, Option<Message>)> {
        let mut arrived = Vec::new();
        while let Some(entry) = self.letters.first_entry()
            && entry.key().0 <= tick
        {
            let letter = entry.remove();
            if let Some(link) = self.links.get(&letter.link)
                && link.open[letter.to]
            {
                let (node, session) = link.ends[letter.to];
                arrived.push((node, session, Some(letter.message)));
            }
        }
        while let Some(entry) = self.ends.first_entry()
            && entry.key().0 <= tick
        {
            let (number, end) = entry.remove();
            if let Some(link) = self.links.get_mut(&number) {
                let (node, session) = link.ends[end];
                if link.open[end] {
                    arrived.push((node, session, None));
                }
                self.links.remove(&number);
            }
        }
        arrived
    }

    pub(crate) fn heal(&mut self) {
        self.faults = Faults::default();
        self.blocked.clear();
    }
}
