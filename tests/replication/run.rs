//! A case run once, with one order of delivery where the case leaves it open.

use crate::case::{Ask, Case, Command, Expect};
use crate::replica::{Replica, whole};
use entente::state::StableCut;

struct Run {
    replicas: Vec<Replica>,
    random: u64,
}

/// Runs a case. The error says in which line what was otherwise.
pub(crate) fn run(case: &Case, seed: u64) -> Result<(), String> {
    let mut run = Run { replicas: case.replicas.iter().map(|name| Replica::new(*name)).collect(), random: seed };
    run.begin()?;
    for step in &case.steps {
        run.step(&step.command).map_err(|failure| format!("line {}: {failure}", step.line))?;
    }
    run.sync().map_err(|failure| format!("at the end: {failure}"))
}

impl Run {
    /// Suffix, people and groups, everywhere.
    fn begin(&mut self) -> Result<(), String> {
        let first = self.replicas.first().unwrap();
        for dn in ["suffix", "ou=people", "ou=groups"] {
            let (code, diagnostic) = first.ask(&Ask::Add { dn: whole(dn), attributes: Vec::new() });
            if code != "success" {
                return Err(format!("{dn}: {code}: {diagnostic}"));
            }
        }
        self.sync()
    }

    fn next(&mut self, below: usize) -> usize {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
    }

    fn find(&self, name: char) -> &Replica {
        self.replicas.iter().find(|replica| replica.name == name).unwrap_or_else(|| panic!("no replica {name}"))
    }

    fn step(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::Ask { replica, at_ms, request, result } => {
                let replica = self.find(*replica);
                replica.be_at(*at_ms);
                let (code, diagnostic) = replica.ask(request);
                if code == *result { Ok(()) } else { Err(format!("{code}: {diagnostic}")) }
            }
            Command::Deliver { from, to, count } => {
                let (from, to) = (self.find(*from), self.find(*to));
                match count {
                    Some(count) => {
                        to.take(from, from.origin(), *count);
                    }
                    None => {
                        for (origin, _) in from.vector().iter() {
                            if origin != to.origin() {
                                to.take(from, origin, usize::MAX);
                            }
                        }
                    }
                }
                sound(to)
            }
            Command::Sync => self.sync(),
            Command::Exchange { from, to } => {
                let to = self.find(*to);
                to.exchange(self.find(*from));
                sound(to)
            }
            Command::Settle => {
                let mut cut = StableCut::new();
                for (origin, position) in self.find('A').vector().iter() {
                    let least = self.replicas.iter().map(|replica| replica.vector().sequence(origin)).min();
                    cut.insert(origin, least.unwrap_or(0).min(position.sequence));
                }
                for replica in &self.replicas {
                    replica.settle(cut.clone());
                    sound(replica)?;
                }
                Ok(())
            }
            Command::Reopen(name) => {
                let name = *name;
                self.replicas.iter_mut().filter(|replica| replica.name == name).for_each(Replica::reopen);
                Ok(())
            }
            Command::Expect { replica: Some(name), what } => expect(self.find(*name), what),
            Command::Expect { replica: None, what } => {
                self.replicas.iter().try_for_each(|replica| expect(replica, what))
            }
        }
    }

    /// Delivers everything to everybody, some records of somebody at a time; then all must be the same.
    fn sync(&mut self) -> Result<(), String> {
        let mut idle = 0;
        while idle < 1_000 {
            let mut ways = Vec::new();
            for (from, replica) in self.replicas.iter().enumerate() {
                for (origin, position) in replica.vector().iter() {
                    for (to, other) in self.replicas.iter().enumerate() {
                        if other.vector().sequence(origin) < position.sequence && other.origin() != origin {
                            ways.push((from, to, origin));
                        }
                    }
                }
            }
            if ways.is_empty() {
                break;
            }
            let (from, to, origin) = ways[self.next(ways.len())];
            let count = 1 + self.next(3);
            let came = self.replicas[to].take(&self.replicas[from], origin, count);
            idle = if came == 0 { idle + 1 } else { 0 };
        }
        let (first, others) = self.replicas.split_first().unwrap();
        sound(first)?;
        let shown = first.shown();
        for other in others {
            sound(other)?;
            let theirs = other.shown();
            if theirs != shown {
                let differs = |dn: &&String| shown.get(*dn) != theirs.get(*dn);
                let names: Vec<_> = shown.keys().chain(theirs.keys()).filter(differs).collect();
                let told: Vec<_> =
                    names.iter().map(|dn| (dn, shown.get(dn.as_str()), theirs.get(dn.as_str()))).collect();
                return Err(format!("{} and {} differ: {told:#?}", first.name, other.name));
            }
            if other.digest() != first.digest() {
                return Err(format!("the digests of {} and {} differ", first.name, other.name));
            }
            let (here, there) = (first.conflicts(), other.conflicts());
            if here != there {
                return Err(format!("{} wrote down {here:#?} and {} {there:#?}", first.name, other.name));
            }
        }
        Ok(())
    }
}

fn sound(replica: &Replica) -> Result<(), String> {
    let faults = replica.faults();
    if faults.is_empty() { Ok(()) } else { Err(format!("check of {}: {faults:#?}", replica.name)) }
}

fn expect(replica: &Replica, what: &Expect) -> Result<(), String> {
    let name = replica.name;
    let same = |is: String, wanted: String| {
        if is == wanted { Ok(()) } else { Err(format!("{name} has {is}, not {wanted}")) }
    };
    match what {
        Expect::Exists(dn) => same(format!("{:?}", replica.is_phantom(dn)), "Some(false)".to_owned()),
        Expect::Absent(dn) => same(format!("{:?}", replica.is_phantom(dn)), "None".to_owned()),
        Expect::Phantom(dn) => same(format!("{:?}", replica.is_phantom(dn)), "Some(true)".to_owned()),
        Expect::Losers(dn, count) => same(replica.losers(dn).to_string(), count.to_string()),
        Expect::SkippedMoves(count) => same(replica.skipped_moves().to_string(), count.to_string()),
        Expect::Moves(count) => same(replica.moves().to_string(), count.to_string()),
        Expect::Conflicts(kind, count) => same(replica.open_conflicts(kind).to_string(), count.to_string()),
        Expect::Waiting(count) => same(replica.waiting().to_string(), count.to_string()),
        Expect::Children(dn, names) => {
            let mut wanted = names.clone();
            wanted.sort_unstable();
            same(format!("{:?}", replica.children(dn)), format!("{:?}", Some(wanted)))
        }
        Expect::Values(dn, attribute, values) => {
            let is = replica.values(dn, attribute).map(|mut values| {
                values.sort_unstable();
                values
            });
            let is_name = |value: &&String| value.contains(",ou=") || value.starts_with("ou=");
            let mut wanted: Vec<String> = values
                .iter()
                .map(|value| if is_name(&value) && !value.contains("dc=") { whole(value) } else { value.clone() })
                .collect();
            wanted.sort_unstable();
            same(format!("{is:?}"), format!("{:?}", Some(wanted)))
        }
    }
}
