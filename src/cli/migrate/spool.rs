//! The file in which everything from the old server waits for being loaded, superiors first.
//!
//! It holds all values and password hashes, beside data whose attributes may be encrypted at rest, and may be larger than
//! memory. So it is encrypted by a key that this process alone has (AES-256-GCM, in pieces numbered by their nonces), and has
//! no name: what a crash leaves is free blocks that nobody can read.
//!
//! Invariant: pieces are read in the order in which they were written, each once and all of them, or reading fails.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fs::File;
use std::io::{BufReader, BufWriter, Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes of content in one piece.
const PIECE_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;

fn nonce(piece: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes.iter_mut().zip(piece.to_le_bytes()).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(bytes)
}

/// The file while it is written.
pub(super) struct Spool {
    out: BufWriter<File>,
    key: LessSafeKey,
    piece: Vec<u8>,
    pieces: u64,
    bytes: u64,
}

impl Spool {
    /// A new one; the file at `path` is there for a moment only.
    ///
    /// # Errors
    /// The file cannot be made; the operating system gives no random numbers.
    pub(super) fn create(path: &Path) -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        std::fs::remove_file(path)?;
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(|_| Error::other("no random numbers for a key"))?;
        let key = UnboundKey::new(&AES_256_GCM, secret.as_slice()).map_err(|_| Error::other("no cipher"))?;
        let piece = Vec::with_capacity(PIECE_BYTES + TAG_BYTES);
        Ok(Self { out: BufWriter::new(file), key: LessSafeKey::new(key), piece, pieces: 0, bytes: 0 })
    }

    /// Everything is written: reads it from the beginning. With it, how many bytes of content there are.
    ///
    /// # Errors
    /// The file's.
    pub(super) fn into_reader(mut self) -> Result<(SpoolReader, u64)> {
        // The last piece is the one that is not full, perhaps empty.
        self.put_piece()?;
        self.out.flush()?;
        let mut file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let reader = SpoolReader {
            file: BufReader::new(file),
            key: self.key,
            content: Zeroizing::new(Vec::new()),
            at: 0,
            piece: 0,
            is_end: false,
        };
        Ok((reader, self.bytes))
    }

    fn put_piece(&mut self) -> Result<()> {
        self.key
            .seal_in_place_append_tag(nonce(self.pieces), Aad::empty(), &mut self.piece)
            .map_err(|_| Error::other("a piece cannot be encrypted"))?;
        self.pieces += 1;
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let room = PIECE_BYTES - self.piece.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.piece.extend_from_slice(taken);
        self.bytes += taken.len() as u64;
        if self.piece.len() == PIECE_BYTES {
            self.put_piece()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The file while it is read.
pub(super) struct SpoolReader {
    file: BufReader<File>,
    key: LessSafeKey,
    content: Zeroizing<Vec<u8>>,
    at: usize,
    piece: u64,
    is_end: bool,
}

impl SpoolReader {
    fn next_piece(&mut self) -> Result<()> {
        let mut sealed = Vec::with_capacity(PIECE_BYTES + TAG_BYTES);
        self.file.by_ref().take((PIECE_BYTES + TAG_BYTES) as u64).read_to_end(&mut sealed)?;
        let damaged = || Error::new(ErrorKind::InvalidData, "the spooled entries were changed on disk; begin anew");
        let opened = self.key.open_in_place(nonce(self.piece), Aad::empty(), &mut sealed).map_err(|_| damaged())?;
        let length = opened.len();
        sealed.truncate(length);
        self.is_end = length < PIECE_BYTES;
        self.piece += 1;
        self.content = Zeroizing::new(sealed);
        self.at = 0;
        Ok(())
    }
}

impl Read for SpoolReader {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        while self.at >= self.content.len() {
            if self.is_end {
                return Ok(0);
            }
            self.next_piece()?;
        }
        let rest = self.content.get(self.at..).unwrap_or_default();
        let count = rest.len().min(out.len());
        out.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    fn spooled(content: &[u8]) -> (SpoolReader, u64, File) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::create(&path).unwrap();
        spool.write_all(content).unwrap();
        assert!(!path.exists());
        let (reader, bytes) = spool.into_reader().unwrap();
        let file = reader.file.get_ref().try_clone().unwrap();
        (reader, bytes, file)
    }

    #[test]
    fn what_is_spooled_comes_back_and_is_nowhere_in_clear() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let content: Vec<u8> = b"userPassword: secret\n".iter().copied().cycle().take(length).collect();
            let (mut reader, bytes, file) = spooled(&content);
            let mut raw = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
            file.read_exact_at(&mut raw, 0).unwrap();
            assert!(memchr::memmem::find(&raw, b"secret").is_none());
            let mut back = Vec::new();
            reader.read_to_end(&mut back).unwrap();
            assert!(back == content && bytes == length as u64, "{length}");
        }
    }

    #[test]
    fn what_was_changed_or_cut_off_is_not_read() {
        let content = vec![b'x'; 2 * PIECE_BYTES + 10];
        let (mut reader, _, file) = spooled(&content);
        file.write_all_at(b"?", 70_000).unwrap();
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
        let (mut reader, _, file) = spooled(&content);
        file.set_len((2 * (PIECE_BYTES + TAG_BYTES)) as u64).unwrap();
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
    }
}
