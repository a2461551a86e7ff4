//! What the [`Replicator`](crate::replication::Replicator) wants read and written, on its way to the tree and back.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::Engine;
use crate::dit::{Completion, Job};
use crate::replication::{Answer, ReadRequest, RequestId, WriteRequest, store};

/// Log records of which so few are asked for are read at once.
const READ_AT_ONCE: u64 = 64;

impl Engine {
    pub(super) fn read(&self, request: RequestId, read: ReadRequest) {
        if let ReadRequest::Log { first, last, .. } = &read
            && last.saturating_sub(*first) < READ_AT_ONCE
        {
            // What was written just now is in memory: quicker than another thread is awake.
            let answer = store::read(&self.parts.dit, &read);
            let _ = self.answered.send((request, answer));
            return;
        }
        let (dit, answered) = (Arc::clone(&self.parts.dit), self.answered.clone());
        tokio::task::spawn_blocking(move || {
            let answer = store::read(&dit, &read);
            // The engine has ended.
            let _ = answered.send((request, answer));
        });
    }

    /// Hands on as many writes as the writer takes.
    pub(super) fn submit_writes(&mut self) {
        while let Some((request, write)) = self.pending_writes.pop_front() {
            let place = Arc::new(Mutex::new(Some(write)));
            let job = write_job(request, Arc::clone(&place), self.answered.clone());
            if let Err(error) = self.parts.writer.submit(job) {
                let back = place.lock().unwrap_or_else(PoisonError::into_inner).take();
                if self.parts.writer.is_poisoned() {
                    let _ = self.answered.send((request, Answer::Failed(error.to_string())));
                } else if let Some(write) = back {
                    self.pending_writes.push_front((request, write));
                    return;
                }
            }
        }
    }
}

fn write_job(
    request: RequestId,
    place: Arc<Mutex<Option<WriteRequest>>>,
    answered: mpsc::UnboundedSender<(RequestId, Answer)>,
) -> Job {
    Box::new(move |writing| {
        let write = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let outcome = match write {
            Some(write) => store::write(writing, &write),
            None => Ok(Answer::Failed("taken back".to_owned())),
        };
        match outcome {
            Ok(answer) => {
                let completion: Completion = Box::new(move |committed| {
                    let answer = committed.map_or_else(|error| Answer::Failed(error.to_string()), |()| answer);
                    // The engine has ended.
                    let _ = answered.send((request, answer));
                });
                Ok(completion)
            }
            Err(error) => {
                let text = error.to_string();
                let completion: Completion = Box::new(move |_| {
                    let _ = answered.send((request, Answer::Failed(text)));
                });
                Err((error, completion))
            }
        }
    })
}
