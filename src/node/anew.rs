//! A data file that was taken anew from other members takes the old one's place, before anything is opened.
//!
//! It is put there by one rename, so that a crash leaves the old one or the new one. The old file is kept in a folder of its
//! own, `replaced`, since it alone holds what nobody else took; the next one that is replaced overwrites it.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use super::NodeError;
use crate::replication::service::{ANEW, REPLACED};
use crate::storage::{DataLock, Environment, LockError, LockUse, MetaName, Options};

/// So often, every half second, a folder is tried that somebody reads (a backup, an export); then it is served as it is.
const LOCK_TRIES: u32 = 10;
/// A folder that was read is tried again after this.
pub(super) const RETRY: Duration = Duration::from_secs(600);

/// Puts the file in place if there is one and it is whole; one that is not goes. Returns whether it has to wait, since another
/// process reads the folder.
///
/// # Errors
/// [`NodeError::Lock`], [`NodeError::System`]: the old file is in place still.
pub(super) async fn put_in_place(data_dir: &Path) -> Result<bool, NodeError> {
    let folder = data_dir.join(ANEW);
    if !folder.exists() {
        return Ok(false);
    }
    let failed = |source| NodeError::System { what: "putting the data that was taken anew in place", source };
    let mut tries = 0;
    let _lock = loop {
        match DataLock::acquire(data_dir, LockUse::Replacing("serve")) {
            Ok(lock) => break lock,
            Err(_) if tries < LOCK_TRIES => tries += 1,
            Err(LockError::BeingRead { .. }) => {
                tracing::warn!("another process reads this data directory: the content that was taken anew waits");
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    if folder.join("data.mdb").exists() && is_whole(&folder) {
        keep(data_dir).map_err(failed)?;
        std::fs::rename(folder.join("data.mdb"), data_dir.join("data.mdb")).map_err(failed)?;
        match std::fs::remove_file(data_dir.join("lock.mdb")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(failed)?;
        tracing::info!(
            kept = %data_dir.join(REPLACED).display(),
            "the content that was taken anew is in place; what was here before is kept"
        );
    }
    std::fs::remove_dir_all(&folder).map_err(failed)?;
    Ok(false)
}

/// Whether all content came.
fn is_whole(folder: &Path) -> bool {
    let options = Options { must_exist: true, ..Options::new(folder) };
    let whole = || -> Result<bool, crate::storage::StorageError> {
        let environment = Environment::open(&options)?;
        let transaction = environment.read()?;
        Ok(transaction.reader().meta(MetaName::Join)?.is_some_and(<[u8]>::is_empty))
    };
    whole().unwrap_or(false)
}

/// The old file under a second name.
fn keep(data_dir: &Path) -> std::io::Result<()> {
    let folder = data_dir.join(REPLACED);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    std::fs::hard_link(data_dir.join("data.mdb"), folder.join("data.mdb"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::dit::{Dit, Options};
    use crate::schema::Schema;
    use std::sync::Arc;

    /// A tree with this in `meta/join` and a cluster of that number.
    fn tree(folder: &Path, cluster: u8, join: Option<&[u8]>) {
        std::fs::create_dir_all(folder).unwrap();
        let options = Options { durable: false, map_bytes: 1 << 26, ..Options::new(folder) };
        let dit = Dit::open(options, Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000)).unwrap();
        dit.change_offline(|writing| {
            join.map_or(Ok(()), |join| writing.put_meta(MetaName::Join, join))?;
            writing.put_meta(MetaName::Cluster, &[cluster; 16])
        })
        .unwrap();
    }

    fn cluster(folder: &Path) -> Option<u8> {
        let environment =
            Environment::open(&crate::storage::Options { must_exist: true, ..crate::storage::Options::new(folder) });
        let environment = environment.ok()?;
        let transaction = environment.read().unwrap();
        transaction.reader().meta(MetaName::Cluster).unwrap().and_then(|bytes| bytes.first().copied())
    }

    #[tokio::test]
    async fn data_that_was_taken_anew_takes_the_old_ones_place_once_it_is_whole_and_the_old_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for (join, expected, kept) in
            [(Some(&b"members"[..]), 1, None), (None, 1, None), (Some(b""), 2, Some(1)), (Some(b""), 2, Some(2))]
        {
            if kept.is_none() {
                tree(at, 1, None);
            }
            tree(&at.join(ANEW), 2, join);
            put_in_place(at).await.unwrap();
            assert_eq!((cluster(at), cluster(&at.join(REPLACED))), (Some(expected), kept), "{join:?}");
            assert!(!at.join(ANEW).exists());
        }
        tree(&at.join(ANEW), 3, Some(b""));
        let reading = DataLock::acquire(at, LockUse::Reading).unwrap();
        assert!(put_in_place(at).await.unwrap());
        assert_eq!(cluster(at), Some(2), "somebody reads it");
        drop(reading);
        assert!(!put_in_place(at).await.unwrap());
        assert_eq!(cluster(at), Some(3));
        assert!(!put_in_place(at).await.unwrap());
        assert_eq!(cluster(at), Some(3));
    }
}
