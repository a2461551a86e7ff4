//! Which faults a run has, and how many of them.

use entente::replication::Role;

use crate::network::Faults;
use crate::random::Random;

/// Which faults a run has, and how many of them; drawn from the seed, so that quiet runs occur too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) nodes: u64,
    pub(crate) ticks: u64,
    pub(crate) operations: u64,
    pub(crate) faults: Faults,
    /// In thousandths a tick.
    pub(crate) cuts: u64,
    pub(crate) link_ends: u64,
    pub(crate) crashes: u64,
    /// In thousandths a commit.
    pub(crate) torn: u64,
    pub(crate) restores: u64,
    pub(crate) clones: u64,
    pub(crate) clock_jumps: u64,
    pub(crate) joins: u64,
    pub(crate) withdrawals: u64,
    pub(crate) slander: u64,
    /// Who is down stays so for long.
    pub(crate) long_away: bool,
    pub(crate) trims: bool,
    pub(crate) settles: bool,
    /// Some attributes have very many values.
    pub(crate) many_values: bool,
    pub(crate) net: Net,
    pub(crate) readers: Readers,
}

/// Members that take no changes of clients, besides the suppliers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Readers {
    /// The place of a hub among those who send changes on.
    pub(crate) hub: Option<u64>,
    /// Whether the last member is a consumer.
    pub(crate) consumer: bool,
    /// In thousandths of those who join later, hubs and consumers each.
    pub(crate) joining: u64,
}

impl Readers {
    /// From a row of chance of their own, so that they change nothing of the runs that have none.
    pub(super) fn of(seed: u64, suppliers: u64) -> Self {
        let mut random = Random::new(seed.rotate_left(32) ^ 0x7265_6164_6572_7300);
        if !random.permille(250) {
            return Self::default();
        }
        let (hub, consumer) = [(true, false), (false, true), (true, true)][random.below(3) as usize];
        Self { hub: hub.then(|| random.between(0, suppliers)), consumer, joining: 300 }
    }

    /// How many there are at the beginning.
    pub(crate) fn count(&self) -> u64 {
        u64::from(self.hub.is_some()) + u64::from(self.consumer)
    }

    /// The role of a member at the beginning, of so many.
    pub(crate) fn role(&self, place: u64, members: u64) -> Role {
        match place {
            _ if self.hub == Some(place) => Role::Hub,
            _ if self.consumer && place + 1 == members => Role::Consumer,
            _ => Role::Supplier,
        }
    }
}

/// Who has a way to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Net {
    /// All to all.
    #[default]
    Mesh,
    /// Each to the next.
    Chain,
    /// Each to the next, the last to the first.
    Ring,
    /// All to the first.
    Star,
}

impl Weather {
    pub(crate) fn of(random: &mut Random) -> Self {
        let mut sometimes = |chance: u64, most: u64| if random.permille(chance) { random.between(1, most) } else { 0 };
        let faults = Faults {
            loss: sometimes(400, 100),
            repetition: sometimes(400, 100),
            reordering: sometimes(300, 100),
            delay_max: sometimes(600, 4),
        };
        Self {
            faults,
            cuts: sometimes(500, 40),
            link_ends: sometimes(400, 30),
            crashes: sometimes(400, 20),
            torn: sometimes(200, 20),
            restores: sometimes(300, 900),
            clones: sometimes(100, 10),
            clock_jumps: sometimes(250, 15),
            joins: sometimes(200, 10),
            withdrawals: sometimes(200, 10),
            slander: 0,
            long_away: false,
            trims: sometimes(400, 1) == 1,
            settles: sometimes(800, 1) == 1,
            many_values: sometimes(150, 1) == 1,
            net: [Net::Mesh, Net::Mesh, Net::Mesh, Net::Chain, Net::Ring, Net::Star][random.below(6) as usize],
            nodes: random.between(2, 4),
            ticks: random.between(30, 90),
            operations: random.between(200, 1500),
            readers: Readers::default(),
        }
    }
}

/// Weather that brings out one kind of fault, for runs without a rule: nothing that would hide it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Storm {
    /// Nodes are apart often and long, and forget early.
    #[cfg_attr(not(debug_assertions), expect(dead_code, reason = "rules are left out in debug builds only"))]
    Apart,
    /// Clocks jump far ahead besides.
    WrongClocks,
    /// Nodes are down while they are suspended, until others have forgotten what they deleted, and logs are short: whoever
    /// comes back takes whole entries.
    Away,
    /// Nothing goes wrong, but members say to hold more of each other's changes than there are.
    Slander,
}

impl Weather {
    /// Turns into a storm.
    pub(super) fn gather(&mut self, storm: Storm) {
        if storm == Storm::Slander {
            *self = Self { nodes: 3, ticks: 60, operations: 1_500, settles: true, slander: 30, ..Self::default() };
            return;
        }
        let away = u64::from(storm == Storm::Away);
        *self = Self {
            nodes: (self.nodes + away).clamp(3, 4),
            ticks: 60 + 60 * away,
            operations: 1_500,
            faults: Faults { loss: 50, delay_max: 4, ..Faults::default() },
            cuts: 60,
            clock_jumps: if storm == Storm::WrongClocks { 20 } else { 0 },
            crashes: 20 * away,
            withdrawals: 60 * away,
            long_away: storm == Storm::Away,
            trims: storm == Storm::Away,
            settles: true,
            ..Self::default()
        };
    }

    /// Leaves out faults by name, to see what a failure needs.
    pub(super) fn drop_named(&mut self, names: &str) {
        for name in names.split(',') {
            match name {
                "clock_jumps" => self.clock_jumps = 0,
                "clones" => self.clones = 0,
                "crashes" => (self.crashes, self.torn) = (0, 0),
                "cuts" => self.cuts = 0,
                "faults" => self.faults = Faults::default(),
                "joins" => self.joins = 0,
                "many_values" => self.many_values = false,
                "net" => self.net = Net::Mesh,
                "readers" => self.readers = Readers::default(),
                "link_ends" => self.link_ends = 0,
                "restores" => self.restores = 0,
                "settles" => self.settles = false,
                "trims" => self.trims = false,
                "withdrawals" => self.withdrawals = 0,
                other => panic!("no fault is named {other}"),
            }
        }
    }
}
