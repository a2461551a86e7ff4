//! The commands: arguments in, text or JSON and an exit status out.

pub mod import;
pub mod progress;
