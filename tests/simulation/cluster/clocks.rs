//! Machines' clocks that are set ahead and back, while a node runs and between two of its runs: drawn from a row of chance of its
//! own, so that it changes nothing of the runs that have none. A running node's stamps follow no such step unless the members'
//! clocks agree (`src/dit/stamp_time.rs`); its next run begins with what the machine says then.

use entente::state::hybrid_clock::WallVerdict;

use super::Cluster;
use crate::random::Random;

/// Ticks between two looks at the machine's clock.
const LOOK_TICKS: u64 = 20;
/// By how much clocks are set, milliseconds.
const STEPS_MS: [i64; 5] = [700, 3_000, 60_000, 400_000, 4_000_000];

/// What befalls the clocks of a run.
#[derive(Debug)]
pub(crate) struct Steps {
    random: Random,
    /// In thousandths a tick.
    running: u64,
    /// In thousandths a start.
    at_start: u64,
    /// In thousandths of steps that go back.
    back: u64,
}

impl Steps {
    pub(super) fn of(seed: u64) -> Option<Self> {
        let mut random = Random::new(seed.rotate_left(48) ^ 0x0063_6c6f_636b_7300);
        if !random.permille(250) {
            return None;
        }
        let (running, at_start, back) = (random.between(0, 15), random.between(0, 600), random.between(300, 1000));
        Some(Self { random, running, at_start, back })
    }

    fn draw(&mut self) -> i64 {
        let by_ms = STEPS_MS[self.random.below(STEPS_MS.len() as u64) as usize];
        if self.random.permille(self.back) { -by_ms } else { by_ms }
    }
}

impl Cluster {
    /// Sets clocks of nodes that run.
    pub(super) fn step_clocks(&mut self) {
        let Some(mut steps) = self.steps.take() else { return };
        for place in 0..self.nodes.len() {
            if self.nodes[place].is_up() && steps.random.permille(steps.running) {
                let by_ms = steps.draw();
                self.tell(format!("n{place} clock is set by {by_ms} ms"));
                self.count(if by_ms < 0 { "clock set back" } else { "clock set ahead" });
                self.nodes[place].clock.step(by_ms);
            }
        }
        self.steps = Some(steps);
    }

    /// The clock of a node that is about to start may have been set.
    pub(super) fn step_clock_at_start(&mut self, place: usize) {
        let Some(mut steps) = self.steps.take() else { return };
        if !self.calm && steps.random.permille(steps.at_start) {
            let by_ms = steps.draw();
            self.tell(format!("n{place} clock is set by {by_ms} ms before it starts"));
            self.count(if by_ms < 0 { "start set back" } else { "start set ahead" });
            self.nodes[place].clock.step(by_ms);
        }
        self.steps = Some(steps);
    }

    /// Nodes compare the time of their stamps with their machines' clocks and with the members'.
    pub(super) fn watch_clocks(&mut self) {
        if self.steps.is_none() || !self.tick.is_multiple_of(LOOK_TICKS) {
            return;
        }
        for place in self.up() {
            let running = self.nodes[place].running.as_ref().expect("it runs");
            let offsets: Vec<i64> =
                running.replicator.clock_offsets().into_iter().map(|(_, offset_ms)| offset_ms).collect();
            let before_ms = running.dit.now_ms();
            let verdict = running.dit.observe_wall(&offsets);
            let after_ms = running.dit.now_ms();
            match verdict {
                WallVerdict::StepAdopted { .. } => self.count("clock step adopted"),
                WallVerdict::StepRefused { .. } => self.count("clock step refused"),
                WallVerdict::Slewing { .. } => {}
            }
            if !matches!(verdict, WallVerdict::StepAdopted { .. }) && before_ms != after_ms {
                self.fail(format!("stamps-follow-no-step: n{place}: {before_ms} became {after_ms} by {verdict:?}"));
            }
        }
    }
}
