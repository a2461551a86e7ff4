//! Wires storage, tree, policy and doors together: start, reload, order of shutdown.
