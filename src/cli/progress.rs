//! How far long work is: a bar for people, nothing for pipes.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar with rate and remaining time on standard error; silent when that is no terminal.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `total` units of `unit` ("B" counts bytes); of unknown length when `None`.
    pub fn new(total: Option<u64>, bytes: bool) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(8));
        let template = match (total.is_some(), bytes) {
            (true, true) => "{bar:32} {bytes}/{total_bytes} {bytes_per_sec} remaining {eta} {msg}",
            (true, false) => "{bar:32} {pos}/{len} {per_sec} remaining {eta} {msg}",
            (false, true) => "{spinner} {bytes} {bytes_per_sec} {msg}",
            (false, false) => "{spinner} {pos} {per_sec} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// No bar at all.
    pub fn silent() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    /// So much is done.
    pub fn advance(&mut self, position: u64) {
        self.bar.set_position(position);
    }

    /// How much there is to do.
    pub fn total(&mut self, total: u64) {
        self.bar.set_length(total);
    }

    /// What is being done now.
    pub fn stage(&mut self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// A line for the person, above the bar.
    pub fn note(&mut self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}
