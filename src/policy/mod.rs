//! Decisions without side effects: access rules, passwords, limits.
