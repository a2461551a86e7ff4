//! What a node does when nobody asks: texts of renamed entries are written afresh, numbers are gathered, the
//! certificate's end is announced.
//!
//! DN-valued attributes are links; an entry's record keeps their texts beside the naming stamp under which they were
//! written. After a rename that touches many, readers render the texts themselves until this job has rewritten the
//! records: a little at a time, through the writer like every change, so that clients' writes never wait long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::dit::{Dit, DitError, Writer};
use crate::metrics::Metrics;
use crate::storage::{ENTRY_HAS_LINKS, EntryId, Table, ViewRecord};
use crate::transport::{Admission, Shutdown, Tls};

/// How often it is looked whether there is something to do.
const PAUSE: Duration = Duration::from_secs(5);
/// How often the numbers are gathered.
const TICK: Duration = Duration::from_secs(1);
/// Between two pieces of rewriting, so that it takes a small part of the writer's time.
const PIECE_PAUSE: Duration = Duration::from_millis(50);
/// Records looked at in one snapshot.
const SCANNED_MAX: usize = 4096;
/// Records rewritten in one change.
const REWRITTEN_MAX: usize = 128;
/// The certificate's end is announced once a day, this many days before.
const CERTIFICATE_WARNING_DAYS: i64 = 30;
const DAY_S: i64 = 24 * 60 * 60;

/// What the jobs need.
pub(super) struct Parts {
    pub(super) dit: Arc<Dit>,
    pub(super) writer: Writer,
    pub(super) admission: Admission,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tls: Option<Tls>,
    pub(super) shutdown: Shutdown,
}

/// Runs until shutdown.
pub(super) async fn run(parts: Parts) {
    let shutdown = parts.shutdown.clone();
    tokio::select! {
        () = shutdown.triggered() => {}
        () = gather(&parts) => {}
        () = rewrite_stale_texts(&parts) => {}
        () = watch_certificate(&parts) => {}
    }
}

/// Numbers that others keep, for the monitor.
async fn gather(parts: &Parts) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let (metrics, stats) = (&parts.metrics, parts.writer.stats());
        metrics.writer_queue.set(stats.queued.load(std::sync::atomic::Ordering::Relaxed));
        raise(&metrics.writer_commits_total, stats.commits.load(std::sync::atomic::Ordering::Relaxed));
        raise(&metrics.writer_writes_total, stats.changes.load(std::sync::atomic::Ordering::Relaxed));
        raise(&metrics.connections_refused_total, parts.admission.refused_total());
    }
}

fn raise(counter: &crate::metrics::Counter, to: u64) {
    counter.add(to.saturating_sub(counter.value()));
}

/// Rewrites records whose link texts are older than the last rename.
async fn rewrite_stale_texts(parts: &Parts) {
    let mut done_for = 0;
    loop {
        tokio::time::sleep(PAUSE).await;
        let stamp = match parts.dit.read() {
            Ok(snapshot) => snapshot.view().naming_stamp(),
            Err(_) => continue,
        };
        if stamp == done_for {
            continue;
        }
        match rewrite_all(parts).await {
            Ok(rewritten) => {
                done_for = stamp;
                if rewritten > 0 {
                    tracing::debug!(rewritten, "records follow the last rename");
                }
            }
            Err(error) => tracing::warn!(%error, "records could not follow a rename yet; tried again later"),
        }
    }
}

/// One walk over all records.
async fn rewrite_all(parts: &Parts) -> Result<u64, DitError> {
    let mut after = EntryId::NONE;
    let mut rewritten = 0;
    loop {
        let (stale, last) = stale_records(&parts.dit, after)?;
        if !stale.is_empty() {
            rewritten += stale.len() as u64;
            rewrite(&parts.writer, stale).await?;
        }
        match last {
            Some(last) => after = last,
            None => return Ok(rewritten),
        }
        tokio::time::sleep(PIECE_PAUSE).await;
    }
}

/// The stale records after `after`, and where to go on; `None` at the end.
fn stale_records(dit: &Dit, after: EntryId) -> Result<(Vec<EntryId>, Option<EntryId>), DitError> {
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let mut cursor = view.reader().cursor(Table::Id2Entry)?.reading_ahead();
    let mut item = cursor.seek(&EntryId(after.0 + 1).to_key())?;
    let mut stale = Vec::new();
    for _ in 0..SCANNED_MAX {
        let Some((key, bytes)) = item else { return Ok((stale, None)) };
        let id = EntryId::from_key(key);
        // A record that cannot be read is for `entente check` to tell; here it has no links.
        if ViewRecord::flags_of(bytes) & ENTRY_HAS_LINKS != 0
            && let Ok(record) = ViewRecord::open(id, bytes)
            && record.naming_stamp() != view.naming_stamp()
        {
            stale.push(id);
        }
        if stale.len() == REWRITTEN_MAX {
            return Ok((stale, Some(id)));
        }
        item = cursor.next()?;
    }
    let last = item.map(|(key, _)| EntryId(EntryId::from_key(key).0 - 1));
    Ok((stale, last))
}

async fn rewrite(writer: &Writer, stale: Vec<EntryId>) -> Result<(), DitError> {
    let (tell, told) = oneshot::channel();
    writer.submit(Box::new(move |writing| {
        let outcome = stale.into_iter().try_for_each(|id| writing.rewrite_view(id));
        let completion: crate::dit::Completion = Box::new(move |committed| {
            // Nobody waits any more when the node stops.
            let _ = tell.send(committed.is_ok());
        });
        match outcome {
            Ok(()) => Ok(completion),
            Err(error) => Err((error, completion)),
        }
    }))?;
    match told.await {
        Ok(true) => Ok(()),
        _ => Err(DitError::Unavailable("the writer did not store them")),
    }
}

/// Warns before the certificate ends.
async fn watch_certificate(parts: &Parts) {
    let mut days = tokio::time::interval(Duration::from_secs(DAY_S.unsigned_abs()));
    loop {
        days.tick().await;
        let Some(expires) = parts.tls.as_ref().and_then(Tls::expires_unix_s) else { continue };
        let now = i64::try_from(parts.dit.clock().wall_ms() / 1000).unwrap_or(i64::MAX);
        let days_left = (expires - now).div_euclid(DAY_S);
        if days_left < 0 {
            tracing::error!("the TLS certificate has ended; replace it and send SIGHUP");
        } else if days_left <= CERTIFICATE_WARNING_DAYS {
            tracing::warn!(days_left, "the TLS certificate ends soon; replace it and send SIGHUP");
        }
    }
}
