//! What a connection has at work besides the request at hand: searches between two steps, and requests that others
//! answer (the writer, the hashing threads).
//!
//! Searches take turns: the one that had a step goes to the end of the line, so that a dump of everything does not
//! hold up the small search behind it. One that is kept in step (RFC 4533) and has told everything stands aside until
//! the next commit.

use std::collections::VecDeque;

use crate::model::ResultCode;
use crate::operation::{Directory, Progress, SearchTask};
use crate::wire::operation_tag;

use super::operation_log::Record;

/// A request that somebody else answers.
pub(super) struct Waiting {
    serial: u32,
    /// Its message id.
    pub(super) id: i32,
    /// Identifier octet of the request.
    pub(super) tag: u8,
    /// The client does not want to hear of it any more.
    pub(super) is_abandoned: bool,
    /// For the log of operations.
    pub(super) record: Option<Box<Record>>,
}

/// A search between two steps.
struct Running {
    id: i32,
    task: SearchTask,
    record: Option<Box<Record>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Work {
    waiting: Vec<Waiting>,
    searches: VecDeque<Box<Running>>,
    /// They wait for a commit.
    standing: VecDeque<Box<Running>>,
    last_serial: u32,
}

impl Work {
    /// Requests at work.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.searches.len() + self.standing.len()
    }

    /// Whether nothing is at work.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a search wants a step.
    pub(super) fn has_searches(&self) -> bool {
        !self.searches.is_empty()
    }

    /// Whether a request with this id is at work.
    pub(super) fn is_in_use(&self, id: i32) -> bool {
        self.waiting.iter().any(|waiting| waiting.id == id && !waiting.is_abandoned)
            || self.searches.iter().chain(&self.standing).any(|running| running.id == id)
    }

    /// Whether some search wants to hear of commits.
    pub(super) fn follows_commits(&self) -> bool {
        !self.standing.is_empty() || self.searches.iter().any(|running| running.task.is_endless())
    }

    /// Something was committed: those that stand go on.
    pub(super) fn go_on(&mut self) {
        self.searches.extend(self.standing.drain(..));
    }

    /// Ends searches that would never end, without an answer: before a bind, and when the connection ends.
    pub(super) fn abandon_endless(&mut self) {
        self.go_on();
        self.searches.retain(|running| !running.task.is_endless());
    }

    /// Notes a request that somebody else answers; returns the serial number for the answer.
    pub(super) fn expect(&mut self, id: i32, tag: u8, record: Option<Box<Record>>) -> u32 {
        self.last_serial = self.last_serial.wrapping_add(1);
        self.waiting.push(Waiting { serial: self.last_serial, id, tag, is_abandoned: false, record });
        self.last_serial
    }

    /// The request that an answer is for; it is at work no more.
    pub(super) fn settle(&mut self, serial: u32) -> Option<Waiting> {
        let index = self.waiting.iter().position(|waiting| waiting.serial == serial)?;
        let waiting = self.waiting.swap_remove(index);
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        Some(waiting)
    }

    /// Adds a search that is not done.
    pub(super) fn add_search(&mut self, id: i32, task: SearchTask, record: Option<Box<Record>>) {
        self.searches.push_back(Box::new(Running { id, task, record }));
    }

    /// Gives one search one step that may append about `bytes_max` bytes. Returns the log's record and its id when the
    /// search is done.
    pub(super) fn step(
        &mut self,
        directory: &Directory,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Option<(i32, Box<Record>)> {
        let mut running = self.searches.pop_front()?;
        let start = out.len();
        let progress = running.task.step(directory, out, bytes_max);
        if let Some(record) = &mut running.record {
            record.count(out.get(start..).unwrap_or_default());
        }
        match progress {
            Progress::More => {
                self.searches.push_back(running);
                None
            }
            Progress::Waits => {
                self.standing.push_back(running);
                None
            }
            Progress::Done => {
                if self.searches.is_empty() {
                    self.searches = VecDeque::new();
                }
                let Running { id, record, .. } = *running;
                record.map(|record| (id, record))
            }
        }
    }

    /// RFC 4511 4.11: what is not known, or cannot be stopped, goes on; a write does, but is not answered.
    pub(super) fn abandon(&mut self, id: i32) {
        if let Some(running) = self.take_search(id) {
            running.task.abandon();
        } else if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.id == id && !waiting.is_abandoned)
        {
            waiting.is_abandoned = true;
        }
    }

    /// RFC 3909: stops the operation, which is answered by `canceled`, and returns what the cancel is answered by.
    pub(super) fn cancel(&mut self, id: i32, out: &mut Vec<u8>) -> ResultCode {
        if let Some(running) = self.take_search(id) {
            running.task.cancel(out);
            return ResultCode::SUCCESS;
        }
        match self.waiting.iter().find(|waiting| waiting.id == id && !waiting.is_abandoned) {
            Some(waiting) if waiting.tag == operation_tag::BIND => ResultCode::CANNOT_CANCEL,
            // It is with the writer.
            Some(_) => ResultCode::TOO_LATE,
            None => ResultCode::NO_SUCH_OPERATION,
        }
    }

    /// Stops all searches without an answer.
    pub(super) fn abandon_searches(&mut self) {
        self.go_on();
        for running in std::mem::take(&mut self.searches) {
            running.task.abandon();
        }
    }

    fn take_search(&mut self, id: i32) -> Option<Box<Running>> {
        if let Some(index) = self.standing.iter().position(|running| running.id == id) {
            return self.standing.swap_remove_back(index);
        }
        let index = self.searches.iter().position(|running| running.id == id)?;
        self.searches.remove(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4511 4.11, RFC 3909: writes cannot be called back.
    #[test]
    fn a_write_is_too_late_to_cancel_and_is_silent_once_abandoned() {
        let mut work = Work::default();
        let serial = work.expect(7, operation_tag::MODIFY, None);
        let mut out = Vec::new();
        assert!(work.is_in_use(7) && !work.is_in_use(8));
        assert_eq!(work.cancel(7, &mut out), ResultCode::TOO_LATE);
        assert_eq!(work.cancel(8, &mut out), ResultCode::NO_SUCH_OPERATION);
        work.abandon(8);
        work.abandon(7);
        assert!(!work.is_in_use(7), "an abandoned id may be used again");
        assert_eq!(work.cancel(7, &mut out), ResultCode::NO_SUCH_OPERATION);
        let again = work.expect(7, operation_tag::ADD, None);
        assert_eq!(work.len(), 2);
        assert!(work.settle(serial).is_some_and(|waiting| waiting.is_abandoned));
        assert!(work.settle(again).is_some_and(|waiting| !waiting.is_abandoned && waiting.tag == operation_tag::ADD));
        assert!(work.settle(again).is_none() && work.is_empty() && out.is_empty());
    }

    #[test]
    fn a_bind_cannot_be_canceled() {
        let mut work = Work::default();
        work.expect(1, operation_tag::BIND, None);
        assert_eq!(work.cancel(1, &mut Vec::new()), ResultCode::CANNOT_CANCEL);
    }
}
