//! The backup file: a manifest, the data file in pieces, and what proves it whole.
//!
//! ```text
//! one zstd frame of
//!   manifest     one line of JSON
//!   pieces       length u32 big-endian (1 to 1 MiB), then so many bytes of the data file
//!   end          length 0
//!   seal         one line of JSON: bytes of the data file, BLAKE3 of manifest and data file
//! ```
//!
//! The seal stands last because the file is written in one go while the directory changes: nothing is copied twice and
//! no room is needed but for the result. A reader must not believe a byte before it has seen the seal.

use crate::storage::FORMAT_VERSION;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};

/// Version of this container.
const BACKUP_VERSION: u32 = 1;
/// Longest line of JSON, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Longest piece, in bytes.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// zstd's own default: most of the gain at several hundred MB a second.
const COMPRESSION_LEVEL: i32 = 3;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the container.
    pub entente_backup: u32,
    /// Version of the data file's format.
    pub format_version: u32,
    /// The cluster, hexadecimal.
    pub cluster: String,
    /// The node that was saved, hexadecimal.
    pub node: String,
    /// Its origin, hexadecimal.
    pub origin: String,
    /// The last change that is surely in it, by the origin's sequence.
    pub sequence: u64,
    /// Entries when it was begun.
    pub entries: u64,
    /// When it was begun, generalized time.
    pub taken: String,
}

/// What proves the file whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Size of the data file.
    pub bytes: u64,
    /// Over the manifest's line and the data file.
    pub blake3: String,
}

/// Why a backup cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not one of ours, or cut off, or changed.
    #[error("{0}")]
    Damaged(String),
    /// Of a program that we do not know.
    #[error("{0}")]
    Version(String),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Manifest {
    /// The versions of this program, and everything else empty.
    pub fn empty() -> Self {
        Self {
            entente_backup: BACKUP_VERSION,
            format_version: FORMAT_VERSION,
            cluster: String::new(),
            node: String::new(),
            origin: String::new(),
            sequence: 0,
            entries: 0,
            taken: String::new(),
        }
    }
}

/// Writes manifest, everything that `data` gives, and the seal. Returns the target, not flushed, with the seal.
///
/// # Errors
/// [`ArchiveError::Io`].
pub fn write<W: Write>(
    manifest: &Manifest,
    mut data: impl Read,
    target: W,
    mut progress: impl FnMut(u64),
) -> Result<(W, Seal), ArchiveError> {
    let mut encoder = zstd::stream::Encoder::new(target, COMPRESSION_LEVEL)?;
    let mut hasher = blake3::Hasher::new();
    let line = json_line(manifest)?;
    hasher.update(&line);
    encoder.write_all(&line)?;
    let mut piece = vec![0; PIECE_BYTES_MAX];
    let mut bytes = 0;
    loop {
        let length = match data.read(&mut piece) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let content = piece.get(..length).unwrap_or_default();
        encoder.write_all(&(length as u32).to_be_bytes())?;
        if content.is_empty() {
            break;
        }
        hasher.update(content);
        encoder.write_all(content)?;
        bytes += length as u64;
        progress(bytes);
    }
    let seal = Seal { bytes, blake3: hasher.finalize().to_hex().to_string() };
    encoder.write_all(&json_line(&seal)?)?;
    Ok((encoder.finish()?, seal))
}

fn json_line(value: &impl Serialize) -> Result<Vec<u8>, ArchiveError> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::from)?;
    line.push(b'\n');
    Ok(line)
}

/// A backup being read.
pub struct Archive<R: BufRead> {
    /// What it says of itself; true only once [`Archive::copy_data`] has returned.
    pub manifest: Manifest,
    stream: io::BufReader<zstd::stream::Decoder<'static, R>>,
    hasher: blake3::Hasher,
}

impl<R: BufRead> Archive<R> {
    /// Reads the manifest.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`]: this is no backup; [`ArchiveError::Version`]: one that this program cannot use.
    pub fn open(source: R) -> Result<Self, ArchiveError> {
        let mut stream =
            io::BufReader::with_capacity(PIECE_BYTES_MAX, zstd::stream::Decoder::with_buffer(source)?.single_frame());
        let not_ours =
            || ArchiveError::Damaged("this is no backup made by entente, or its beginning is damaged".to_owned());
        let line = read_line(&mut stream).map_err(|_| not_ours())?;
        let manifest: Manifest = serde_json::from_slice(&line).map_err(|_| not_ours())?;
        if manifest.entente_backup > BACKUP_VERSION || manifest.format_version > FORMAT_VERSION {
            return Err(ArchiveError::Version(format!(
                "the backup was made by a newer program (backup version {}, data format {}; this one knows {BACKUP_VERSION} and \
                 {FORMAT_VERSION}): restore it with that one",
                manifest.entente_backup, manifest.format_version
            )));
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&line);
        Ok(Self { manifest, stream, hasher })
    }

    /// Copies the data file to `target` and checks the seal. What was written is worth nothing unless this returns.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`]; [`ArchiveError::Io`] of `target`.
    pub fn copy_data(mut self, target: &mut impl Write, mut progress: impl FnMut(u64)) -> Result<Seal, ArchiveError> {
        let mut piece = vec![0; PIECE_BYTES_MAX];
        let mut bytes = 0;
        loop {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length).map_err(damaged)?;
            let length = u32::from_be_bytes(length) as usize;
            if length == 0 {
                break;
            }
            let Some(content) = piece.get_mut(..length) else {
                return Err(ArchiveError::Damaged(format!("the backup is damaged after {bytes} bytes of data")));
            };
            self.stream.read_exact(content).map_err(damaged)?;
            self.hasher.update(content);
            target.write_all(content)?;
            bytes += length as u64;
            progress(bytes);
        }
        let line = read_line(&mut self.stream).map_err(damaged)?;
        let seal: Seal = serde_json::from_slice(&line)
            .map_err(|_| ArchiveError::Damaged("the backup is damaged: its seal cannot be read".to_owned()))?;
        let found = Seal { bytes, blake3: self.hasher.finalize().to_hex().to_string() };
        if seal != found {
            return Err(ArchiveError::Damaged(
                "the backup is damaged: its content does not have the checksum that its seal names".to_owned(),
            ));
        }
        Ok(seal)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn damaged(error: io::Error) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            ArchiveError::Damaged("the backup is damaged or cut off: it ends too early".to_owned())
        }
        _ => ArchiveError::Damaged(format!("the backup is damaged: {error}")),
    }
}

/// One line, its end included.
fn read_line(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(data: &[u8]) -> Vec<u8> {
        write(&Manifest::empty(), data, Vec::new(), |_| {}).unwrap().0
    }

    fn read(backup: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        let mut out = Vec::new();
        Archive::open(backup)?.copy_data(&mut out, |_| {})?;
        Ok(out)
    }

    fn data() -> Vec<u8> {
        (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(read(&sealed(b"")).unwrap(), b"");
        assert!(read(&sealed(&data())).unwrap() == data());
    }

    #[test]
    fn a_changed_byte_or_a_missing_end_is_found_everywhere() {
        let backup = sealed(&data());
        for at in (0..backup.len()).step_by(backup.len() / 61) {
            let mut changed = backup.clone();
            changed[at] ^= 0x10;
            // A few bits of a zstd frame mean nothing; then the content is the same.
            if let Ok(found) = read(&changed) {
                assert!(found == data(), "a change at {at} was not noticed");
            }
            assert!(read(&backup[..at]).is_err(), "an end at {at} was not noticed");
        }
    }

    #[test]
    fn a_backup_of_a_newer_program_is_refused_in_words() {
        let manifest = Manifest { format_version: FORMAT_VERSION + 1, ..Manifest::empty() };
        let (backup, _) = write(&manifest, &b"x"[..], Vec::new(), |_| {}).unwrap();
        assert!(matches!(read(&backup), Err(ArchiveError::Version(_))));
        assert!(matches!(read(b"dn: dc=example"), Err(ArchiveError::Damaged(_))));
    }
}
