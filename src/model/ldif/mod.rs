//! LDIF (RFC 2849): entries and changes as text, the form in which directories are filled, copied and edited.
//!
//! [`LdifReader`] turns text into records, [`LdifWriter`] records into text. Nothing here knows a schema: a record's
//! DN is text as written, its values are bytes, and whether they mean anything is found out above.
//!
//! The reader takes what the standard describes and what real servers write: `slapcat` (no version line,
//! operational attributes), `db2ldif` of 389 (version line, comments, perhaps a byte order mark), values in plain
//! UTF-8 where the standard wants base64, CRLF line ends. A malformed record is reported with the line and what to
//! do, and reading goes on after the next blank line, so one bad record never hides the others.
//!
//! Invariants
//! - Memory is bounded by the limits below, whatever the file holds.
//! - A value from a file (`:<`) is read only below the folder the caller names, or not at all.
//! - What the writer writes, the reader reads back as it was.

mod file_url;
mod lines;
mod reader;
mod writer;

pub use reader::LdifReader;
pub use writer::LdifWriter;

use std::path::PathBuf;

use super::attribute::Attribute;
use super::change::{Change, Modification};
use super::dn::{Dn, Rdn};

/// Longest line after unfolding, in bytes; base64 of a 48 MiB value.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest record, in bytes after unfolding and without comments.
pub const RECORD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most lines of one record after unfolding; a group of as many members is still read.
pub const RECORD_LINES_MAX: usize = 8 * 1024 * 1024;
/// Largest file a value may come from, in bytes.
pub const URL_FILE_BYTES_MAX: u64 = 48 * 1024 * 1024;

/// What to do with a value that is named by a URL (`:<`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UrlPolicy {
    /// An error: the text comes from somebody who must not read our files.
    Refuse,
    /// `file:` URLs are read when the file lies in this folder or below it, symbolic links resolved.
    Folder(PathBuf),
}

/// One record: an entry, or a change to one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LdifRecord {
    /// The line of `dn:`, counted from 1.
    pub line: u64,
    /// The DN as written, base64 undone, not parsed.
    pub dn: String,
    /// Controls for the change, in the order given.
    pub controls: Vec<LdifControl>,
    /// The entry or the change.
    pub body: LdifBody,
}

/// A `control:` line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LdifControl {
    /// Which control.
    pub oid: String,
    /// Whether a server that does not know it must refuse the change.
    pub critical: bool,
    /// Its value, if any.
    pub value: Option<Vec<u8>>,
}

/// What a record holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LdifBody {
    /// A record without `changetype:`. Consecutive lines of one description are one [`Attribute`]; the same
    /// description again further down is another.
    Entry(Vec<Attribute>),
    /// A record with `changetype:`.
    Change(LdifChange),
}

/// What a change record asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LdifChange {
    /// A new entry, with attributes grouped as in [`LdifBody::Entry`].
    Add(Vec<Attribute>),
    /// The entry goes.
    Delete,
    /// Its attributes change, in this order.
    Modify(Vec<Modification>),
    /// It gets another name or place.
    ModifyDn {
        /// The new RDN as written.
        new_rdn: String,
        /// Whether the values of the old RDN leave the entry.
        delete_old_rdn: bool,
        /// The new superior as written; `None` keeps it where it is.
        new_superior: Option<String>,
    },
}

/// A record, or the file, cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {detail}")]
pub struct LdifError {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong and what to do.
    pub detail: String,
}

impl LdifError {
    fn new(line: u64, detail: impl Into<String>) -> Self {
        Self { line, detail: detail.into() }
    }
}

impl LdifRecord {
    /// The change this record asks for; an entry is asked to be added. Controls are left out.
    ///
    /// # Errors
    /// A name in it is malformed; the line is that of `dn:`.
    pub fn into_change(self) -> Result<Change, LdifError> {
        let line = self.line;
        let name = |text: &str, what: &str| {
            Dn::parse(text).map_err(|error| LdifError::new(line, format!("{what} '{}': {error}", shorten(text))))
        };
        let dn = name(&self.dn, "dn")?;
        Ok(match self.body {
            LdifBody::Entry(attributes) | LdifBody::Change(LdifChange::Add(attributes)) => {
                Change::Add { dn, attributes }
            }
            LdifBody::Change(LdifChange::Delete) => Change::Delete { dn },
            LdifBody::Change(LdifChange::Modify(modifications)) => Change::Modify { dn, modifications },
            LdifBody::Change(LdifChange::ModifyDn { new_rdn, delete_old_rdn, new_superior }) => Change::ModifyDn {
                dn,
                new_rdn: Rdn::parse(&new_rdn)
                    .map_err(|error| LdifError::new(line, format!("newrdn '{}': {error}", shorten(&new_rdn))))?,
                delete_old_rdn,
                new_superior: new_superior.map(|text| name(&text, "newsuperior")).transpose()?,
            },
        })
    }
}

/// At most 64 characters, for messages.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((bytes, _)) => format!("{}…", text.get(..bytes).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
