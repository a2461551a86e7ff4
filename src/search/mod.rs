//! Find entries in one view, and say whether an entry matches.
