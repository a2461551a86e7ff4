//! Masters as an operator meets them: invited, joined, served, killed, copied, restored, retired.

mod assurances;
mod cascade;
mod clients;
mod conflicts;
mod joining;
mod leaving;
mod links;
mod lockout;
pub(crate) mod node;
mod proxy;
mod restoring;
mod status;
mod strangers;
mod suffixes;
mod trouble;
