//! Masters as an operator meets them: invited, joined, served, killed, copied, restored, retired.

mod clients;
mod joining;
mod node;
mod trouble;
