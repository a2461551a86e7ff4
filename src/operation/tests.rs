//! Searches and compares over a small tree, answers read as PDUs.

mod access;
mod bind;
mod paging;
mod search;
mod support;
