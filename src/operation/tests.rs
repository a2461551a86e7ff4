//! Searches and compares over a small tree, answers read as PDUs.

mod access;
mod paging;
mod search;
mod support;
