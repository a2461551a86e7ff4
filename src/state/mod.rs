//! The replicated state as pure functions: stamps, cells, joins, view rules.
