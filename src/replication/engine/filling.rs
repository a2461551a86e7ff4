//! The whole content taken anew by a member that only reads and holds what nobody else takes (`replicator::ahead`).
//!
//! It comes into a data file of its own in a folder below the data directory, under the same identity and a new origin, by the
//! same exchange as a join. Meanwhile clients are served from the old file, which no changes reach any more. Once the new one
//! is whole, whoever runs this service stops it, puts the file in place, and starts again; so no client ever reads a part.
//! A run that ends before that has changed nothing: the next one finds the same, and begins again.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Engine, Member, ServiceError};
use crate::dit::{Dit, DitError, Writer};
use crate::replication::identity::Identity;
use crate::replication::joining::{self, JoinError, encode_members};
use crate::replication::service::{ANEW, REPLACED};
use crate::replication::{NodeId, membership};
use crate::storage::MetaName;

/// Changes that may wait for the writer of the new file.
const QUEUE_MAX: usize = 1_024;
/// What could not be begun is tried again after this.
const RETRY_MS: u64 = 60_000;
/// So long reads that are under way may keep the new file open when the service ends.
const CLOSE_TRIES: u32 = 100;

/// The new file's writer.
pub(super) struct Filling {
    writer: Writer,
    thread: JoinHandle<()>,
    is_whole: bool,
}

impl Engine {
    /// Goes on with an empty tree in a folder of its own.
    pub(super) async fn fill_anew(&mut self) {
        self.wants_filling_at_ms = None;
        if self.filling.is_some() || self.parts.filled.is_none() {
            return;
        }
        if let Err(error) = self.begin_filling().await {
            self.alarm(format!("the whole content cannot be taken anew, which is tried again every minute: {error}"));
            self.wants_filling_at_ms = Some(self.now().monotonic_ms + RETRY_MS);
        }
    }

    async fn begin_filling(&mut self) -> Result<(), ServiceError> {
        let old = Arc::clone(&self.parts.dit);
        let (node, identity, members) = (self.node, self.trust.identity(), self.members.clone());
        let made = tokio::task::spawn_blocking(move || make(&old, node, &identity, &members)).await;
        let dit = made.map_err(|error| ServiceError::Refused(error.to_string()))??;
        let (writer, thread) = Writer::start(Arc::clone(&dit), QUEUE_MAX)?;
        self.filling = Some(Filling { writer: writer.clone(), thread, is_whole: false });
        (self.parts.dit, self.parts.writer) = (dit, writer);
        self.commits = self.parts.dit.feed().follow();
        self.bootstrap.clone_from(&self.members);
        self.begin_again().await
    }

    /// Content that was ahead is kept until an operator removes it.
    pub(super) fn tell_of_replaced(&mut self) {
        let kept = self.parts.dit.environment().directory().join(REPLACED);
        if kept.exists() {
            self.alarm(format!(
                "this node held changes that no supplier had or took, and has taken the whole content anew. What was here before \
                 is kept in {}: remove it if nothing of it is wanted",
                kept.display()
            ));
        }
    }

    /// Once all is there, says so in the file and to whoever runs this.
    pub(super) async fn finish_filling(&mut self) {
        let is_due = self.filling.as_ref().is_some_and(|filling| !filling.is_whole)
            && self.replicator.is_joined()
            && self.pending_writes.is_empty();
        if !is_due {
            return;
        }
        let written = joining::change(&self.parts.writer, |writing| Ok(writing.put_meta(MetaName::Join, b"")?)).await;
        let written = written
            .map_err(ServiceError::from)
            .and_then(|done| done.map_err(JoinError::from_invite).map_err(ServiceError::from));
        match (written, &mut self.filling) {
            (Ok(()), Some(filling)) => {
                filling.is_whole = true;
                tracing::info!("the content that was taken anew is whole: it takes the place of the old one");
                if let Some(filled) = &self.parts.filled {
                    filled();
                }
            }
            (Err(error), _) => tracing::error!(%error, "the content that was taken anew cannot be finished"),
            (Ok(()), None) => {}
        }
    }

    /// The service ends; the new file, if there is one, is closed.
    pub(super) async fn end(mut self) {
        self.note_contacts_at_end().await;
        let Some(filling) = self.filling.take() else { return };
        let dit = Arc::clone(&self.parts.dit);
        drop(self);
        filling.writer.stop();
        // A writer that ended by a defect has told it.
        let _ = tokio::task::spawn_blocking(move || filling.thread.join()).await;
        for _ in 0..CLOSE_TRIES {
            if Arc::strong_count(&dit) == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// An empty tree beside the old one, for the same member.
fn make(old: &Dit, node: NodeId, identity: &Identity, members: &[Member]) -> Result<Arc<Dit>, ServiceError> {
    let folder = old.environment().directory().join(ANEW);
    make_folder(&folder).map_err(|error| ServiceError::Refused(format!("{}: {error}", folder.display())))?;
    let (cluster, port) = {
        let snapshot = old.read()?;
        let view = snapshot.view();
        (membership::cluster_id(view)?, view.reader().meta_u64(MetaName::MemberPort).map_err(DitError::from)?)
    };
    let dit = old.open_beside(&folder)?;
    let now_ms = old.clock().wall_ms();
    dit.change_offline(|writing| {
        writing.put_meta(MetaName::Cluster, &cluster)?;
        writing.put_meta(MetaName::Node, &node.0)?;
        writing.put_meta(MetaName::Member, &identity.encode())?;
        writing.put_meta(MetaName::MemberPort, &port.to_be_bytes())?;
        writing.put_meta(MetaName::Filled, &now_ms.to_be_bytes())?;
        writing.put_meta(MetaName::Join, &encode_members(members))
    })?;
    Ok(Arc::new(dit))
}

/// What an earlier attempt left goes.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}
