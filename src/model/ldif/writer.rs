//! Records to LDIF text (RFC 2849): the same records always give the same bytes.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{LdifBody, LdifChange, LdifControl, LdifRecord};
use crate::model::attribute::Attribute;
use crate::model::change::Modification;

/// Columns after which a line goes on in the next.
pub(super) const COLUMNS: usize = 76;

/// Writes LDIF. Each record goes to the writer in one piece, with a blank line after it.
///
/// Values are in base64 when RFC 2849 demands it (not ASCII, line ends, a blank, colon or less-than sign at the
/// beginning, a blank at the end) and when they hold other control characters, which would disturb terminals.
/// Nothing is flushed: do that at the end.
#[derive(Debug)]
pub struct LdifWriter<W: Write> {
    writer: W,
    columns: usize,
    /// One unfolded line.
    line: Vec<u8>,
    /// The record so far.
    record: Vec<u8>,
    base64: String,
}

impl<W: Write> LdifWriter<W> {
    /// Writes to `writer`, lines folded at 76 columns.
    pub const fn new(writer: W) -> Self {
        Self { writer, columns: COLUMNS, line: Vec::new(), record: Vec::new(), base64: String::new() }
    }

    /// Writes to `writer` without folding, one line for each value.
    pub fn unfolded(writer: W) -> Self {
        let mut unfolded = Self::new(writer);
        unfolded.columns = usize::MAX;
        unfolded
    }

    /// Writes the version line, which stands first in a file.
    pub fn version(&mut self) -> io::Result<()> {
        self.writer.write_all(b"version: 1\n\n")
    }

    /// Writes a comment, one `#` line for each line of `text`; it may stand before a record.
    pub fn comment(&mut self, text: &str) -> io::Result<()> {
        self.record.clear();
        for line in text.split(['\n', '\r']) {
            self.record.extend_from_slice(if line.is_empty() { b"#" } else { b"# " });
            self.record.extend_from_slice(line.as_bytes());
            self.record.push(b'\n');
        }
        self.writer.write_all(&self.record)
    }

    /// Writes an entry: its DN as text, then a line for each name (with options) and value, in the order given.
    pub fn entry<'n, 'v>(&mut self, dn: &str, values: impl IntoIterator<Item = (&'n str, &'v [u8])>) -> io::Result<()> {
        self.record.clear();
        self.line("dn", dn.as_bytes());
        for (name, value) in values {
            self.line(name, value);
        }
        self.end()
    }

    /// Writes a record as it was read, entry or change.
    pub fn change(&mut self, record: &LdifRecord) -> io::Result<()> {
        self.record.clear();
        self.line("dn", record.dn.as_bytes());
        for control in &record.controls {
            self.control(control);
        }
        match &record.body {
            LdifBody::Entry(attributes) => self.attributes(attributes),
            LdifBody::Change(LdifChange::Add(attributes)) => {
                self.line("changetype", b"add");
                self.attributes(attributes);
            }
            LdifBody::Change(LdifChange::Delete) => self.line("changetype", b"delete"),
            LdifBody::Change(LdifChange::Modify(modifications)) => {
                self.line("changetype", b"modify");
                self.modifications(modifications);
            }
            LdifBody::Change(LdifChange::ModifyDn { new_rdn, delete_old_rdn, new_superior }) => {
                self.line("changetype", b"modrdn");
                self.line("newrdn", new_rdn.as_bytes());
                self.line("deleteoldrdn", if *delete_old_rdn { b"1" } else { b"0" });
                if let Some(new_superior) = new_superior {
                    self.line("newsuperior", new_superior.as_bytes());
                }
            }
        }
        self.end()
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn attributes(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            self.values(&attribute.description.to_string(), &attribute.values);
        }
    }

    fn modifications(&mut self, modifications: &[Modification]) {
        for modification in modifications {
            let name = modification.attribute.description.to_string();
            self.line(modification.kind.word(), name.as_bytes());
            self.values(&name, &modification.attribute.values);
            self.record.extend_from_slice(b"-\n");
        }
    }

    fn values(&mut self, name: &str, values: &[Vec<u8>]) {
        for value in values {
            self.line(name, value);
        }
    }

    /// `control: OID [true][: value]`
    fn control(&mut self, control: &LdifControl) {
        self.line.clear();
        self.line.extend_from_slice(b"control: ");
        self.line.extend_from_slice(control.oid.as_bytes());
        if control.critical {
            self.line.extend_from_slice(b" true");
        }
        if let Some(value) = &control.value {
            self.append_value(value);
        }
        self.fold();
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        self.line.clear();
        self.line.extend_from_slice(name.as_bytes());
        self.append_value(value);
        self.fold();
    }

    /// Appends colon and value to the line.
    fn append_value(&mut self, value: &[u8]) {
        if is_safe(value) {
            self.line.extend_from_slice(if value.is_empty() { b":" } else { b": " });
            self.line.extend_from_slice(value);
        } else {
            self.line.extend_from_slice(b":: ");
            self.base64.clear();
            STANDARD.encode_string(value, &mut self.base64);
            self.line.extend_from_slice(self.base64.as_bytes());
        }
    }

    /// Moves the line into the record.
    fn fold(&mut self) {
        match self.line.split_at_checked(self.columns) {
            Some((first, rest)) if !rest.is_empty() => {
                self.record.extend_from_slice(first);
                for part in rest.chunks(self.columns - 1) {
                    self.record.extend_from_slice(b"\n ");
                    self.record.extend_from_slice(part);
                }
            }
            _ => self.record.extend_from_slice(&self.line),
        }
        self.record.push(b'\n');
    }

    fn end(&mut self) -> io::Result<()> {
        self.record.push(b'\n');
        self.writer.write_all(&self.record)
    }
}

/// SAFE-STRING of RFC 2849, without control characters, and without a blank at the end.
fn is_safe(value: &[u8]) -> bool {
    !matches!(value.first(), Some(b' ' | b':' | b'<'))
        && value.last() != Some(&b' ')
        && value.iter().fold(true, |safe, byte| safe & (*byte >= b' ') & (*byte < 0x7f))
}
