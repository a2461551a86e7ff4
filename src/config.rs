//! entente.toml: read, default, check; maps to the Options of each floor.
