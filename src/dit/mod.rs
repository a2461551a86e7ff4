//! The replicated tree: read snapshots of it, and the one door through which it changes.
