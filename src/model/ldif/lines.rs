//! Physical lines to the unfolded lines of one record.
//!
//! A record is copied once into a buffer that is used again for the next one, each unfolded line followed by a
//! newline and remembered by its place and the number of its first physical line. Whole stretches are moved with
//! `memchr` and `memcpy`; no byte is looked at singly, since bulk loads are gigabytes of this.
//!
//! Comments are left out, with their continuations. A record that passes a limit is read to its end, so that the
//! next one is found, but not kept.

use std::io::BufRead;

use super::{LINE_BYTES_MAX, LdifError, RECORD_BYTES_MAX, RECORD_LINES_MAX};

/// Room kept from record to record; what one large record needed beyond it is given back.
const BUFFER_BYTES_KEPT: usize = 16 * 1024 * 1024;

/// One unfolded line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'b> {
    /// Number of its first physical line, from 1.
    pub(super) number: u64,
    /// The line without its end.
    pub(super) text: &'b [u8],
}

#[derive(Clone, Copy, Debug)]
struct Span {
    begin: usize,
    end: usize,
    number: u64,
}

/// The lines of the record read last.
#[derive(Debug, Default)]
pub(super) struct RecordLines {
    buffer: Vec<u8>,
    spans: Vec<Span>,
    refused: Option<LdifError>,
    in_comment: bool,
    line_number: u64,
    bytes_read: u64,
    at_end: bool,
}

/// What ended the reading of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    BlankLine,
    File,
}

impl RecordLines {
    /// Reads to the next blank line, or to the end. Afterwards there may be no line (several blank ones, comments
    /// alone).
    ///
    /// # Errors
    /// The file cannot be read, or is no text at all; nothing more will come of it.
    pub(super) fn read<R: BufRead>(&mut self, reader: &mut R) -> Result<Ended, LdifError> {
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        self.spans.clear();
        self.refused = None;
        self.in_comment = false;
        loop {
            let available = self.available(reader)?;
            let first = available.first().copied();
            let usual_bytes = self.usual_line(available);
            if usual_bytes > 0 {
                self.consume(reader, usual_bytes);
                continue;
            }
            let ended = match first {
                None => return Ok(Ended::File),
                Some(b'#') => {
                    self.in_comment = true;
                    self.physical_line(reader, false)?;
                    false
                }
                Some(b' ') => {
                    self.continuation(reader)?;
                    false
                }
                Some(_) => self.new_line(reader)?,
            };
            if ended {
                return Ok(Ended::BlankLine);
            }
        }
    }

    /// The lines in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        self.spans
            .iter()
            .map(|span| Line { number: span.number, text: self.buffer.get(span.begin..span.end).unwrap_or_default() })
    }

    /// True when nothing but blank lines and comments was read.
    pub(super) const fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.refused.is_none()
    }

    /// Why the record was not kept, if so.
    pub(super) const fn take_refused(&mut self) -> Option<LdifError> {
        self.refused.take()
    }

    /// The lines as text, unfolded, each with a newline.
    pub(super) fn text(&self) -> &[u8] {
        &self.buffer
    }

    /// Physical lines read so far.
    pub(super) const fn line_number(&self) -> u64 {
        self.line_number
    }

    /// Bytes read so far.
    pub(super) const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The case that is nearly all of a file, on a short path: a line that begins an unfolded one, is not blank and lies
    /// whole in what is available. Returns the bytes to consume; 0 when it is another case.
    fn usual_line(&mut self, available: &[u8]) -> usize {
        if self.refused.is_some() || self.line_number == 0 || matches!(available.first(), Some(b'#' | b' ' | b'\r')) {
            return 0;
        }
        let Some(bytes) = memchr::memchr(b'\n', available) else { return 0 };
        let line = available.get(..bytes).unwrap_or_default();
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        let begin = self.buffer.len();
        let end = begin + text.len();
        if text.is_empty()
            || text.len() > LINE_BYTES_MAX
            || end > RECORD_BYTES_MAX
            || self.spans.len() >= RECORD_LINES_MAX
        {
            return 0;
        }
        self.in_comment = false;
        self.line_number += 1;
        self.buffer.extend_from_slice(text);
        self.buffer.push(b'\n');
        self.spans.push(Span { begin, end, number: self.line_number });
        bytes + 1
    }

    /// A line that begins an unfolded one; true when it was blank.
    fn new_line<R: BufRead>(&mut self, reader: &mut R) -> Result<bool, LdifError> {
        self.in_comment = false;
        let begin = self.buffer.len();
        let keep = self.refused.is_none();
        let bytes = self.physical_line(reader, keep)?;
        if self.line_number == 1 && keep {
            self.first_line()?;
        }
        let is_blank = match keep {
            true => self.refused.is_none() && self.buffer.len() == begin && !self.in_comment,
            false => bytes == 0,
        };
        if self.refused.is_none() && self.buffer.len() > begin {
            self.spans.push(Span { begin, end: self.buffer.len(), number: self.line_number });
            self.buffer.push(b'\n');
            if self.spans.len() > RECORD_LINES_MAX {
                self.refuse("this record has more than 8,388,608 lines; split it");
            }
        }
        Ok(is_blank)
    }

    /// A line that goes on with the one before.
    fn continuation<R: BufRead>(&mut self, reader: &mut R) -> Result<(), LdifError> {
        self.consume(reader, 1);
        let keep = !self.in_comment && self.refused.is_none();
        if keep && self.spans.is_empty() {
            self.physical_line(reader, false)?;
            self.refuse("a line that begins with a blank goes on with the line before it, but there is none");
            return Ok(());
        }
        if keep {
            // The newline of the line that goes on.
            self.buffer.pop();
        }
        self.physical_line(reader, keep)?;
        if keep && self.refused.is_none() {
            let end = self.buffer.len();
            if let Some(span) = self.spans.last_mut() {
                span.end = end;
            }
            self.buffer.push(b'\n');
        }
        Ok(())
    }

    /// Takes one physical line with its end; appends it without the end when `keep`. Returns its bytes without the end.
    fn physical_line<R: BufRead>(&mut self, reader: &mut R, keep: bool) -> Result<usize, LdifError> {
        self.line_number += 1;
        let line_begin = match (keep, self.spans.last()) {
            (true, Some(span)) if span.end == self.buffer.len() => span.begin,
            _ => self.buffer.len(),
        };
        let kept_begin = self.buffer.len();
        let mut bytes = 0usize;
        let mut last = 0u8;
        loop {
            let available = self.available(reader)?;
            if available.is_empty() {
                break;
            }
            let newline = memchr::memchr(b'\n', available);
            let part = newline.and_then(|at| available.get(..at)).unwrap_or(available);
            let taken = part.len() + usize::from(newline.is_some());
            last = part.last().copied().unwrap_or(last);
            bytes += part.len();
            if keep && self.refused.is_none() {
                self.buffer.extend_from_slice(part);
            }
            self.consume(reader, taken);
            if self.buffer.len() - line_begin > LINE_BYTES_MAX {
                self.refuse("this line is longer than 64 MiB; a value so large does not belong in a directory");
            } else if self.buffer.len() > RECORD_BYTES_MAX {
                self.refuse("this record is longer than 256 MiB; split it");
            }
            if newline.is_some() {
                break;
            }
        }
        if bytes > 0 && last == b'\r' {
            bytes -= 1;
            if self.buffer.len() > kept_begin {
                self.buffer.pop();
            }
        }
        Ok(bytes)
    }

    /// What may stand before everything else: a byte order mark, or signs that this is no text.
    fn first_line(&mut self) -> Result<(), LdifError> {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        match self.buffer.as_slice() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                Err(LdifError::new(1, "this is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8"))
            }
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                Err(LdifError::new(1, "this is compressed; unpack it first (gunzip, unzstd)"))
            }
            text if text.starts_with(BYTE_ORDER_MARK) => {
                self.buffer.drain(..BYTE_ORDER_MARK.len());
                if self.buffer.first() == Some(&b'#') {
                    self.buffer.clear();
                    self.in_comment = true;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Forgets the record but remembers why, keeping the beginning of it for whoever asks for its text.
    fn refuse(&mut self, detail: &str) {
        self.refused.get_or_insert_with(|| LdifError::new(self.line_number, detail));
    }

    /// What lies ready; empty at the end of the file, which is asked for once only (it may be a terminal).
    fn available<'r, R: BufRead>(&mut self, reader: &'r mut R) -> Result<&'r [u8], LdifError> {
        if self.at_end {
            return Ok(&[]);
        }
        let cannot = |error| LdifError::new(self.line_number + 1, format!("cannot read on: {error}"));
        loop {
            match reader.fill_buf() {
                Ok([]) => {
                    self.at_end = true;
                    return Ok(&[]);
                }
                Ok(_) => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(cannot(error)),
            }
        }
        // Filled already, so this reads nothing; a slice returned out of the loop would borrow for the whole of it.
        reader.fill_buf().map_err(cannot)
    }

    fn consume<R: BufRead>(&mut self, reader: &mut R, bytes: usize) {
        reader.consume(bytes);
        self.bytes_read += bytes as u64;
    }
}
