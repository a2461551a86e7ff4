//! Tracing set-up, and the names and units of what is counted.
