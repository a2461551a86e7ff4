//! Masters as an operator meets them: invited, joined, served, killed, copied, restored, retired.

mod joining;
mod node;
mod trouble;
