//! What others may do to a connection: put an answer into its mailbox, wake it at its deadline, tell it to end.
//!
//! A channel or a timer for each connection would cost more memory than all the rest of an idle one, so there is one
//! small shared part instead, and one task that looks at all deadlines every second.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use hashbrown::HashMap;
use tokio::sync::Notify;

use crate::operation::{BindOutcome, OperationError};
use crate::transport::HostName;

/// No deadline.
pub(super) const NEVER: u32 = u32::MAX;

/// There is mail.
const MAIL: u8 = 1;
/// The deadline may have come.
const TICKED: u8 = 2;
/// Finish what runs, take nothing new, say good-bye.
const DRAIN: u8 = 4;
/// Say good-bye now.
const END: u8 = 8;
/// The tree changed.
const COMMITTED: u8 = 16;

/// An answer that comes from another thread.
pub(super) struct Mail {
    /// Which request: ids may be used again after an abandon, serial numbers are not.
    pub(super) serial: u32,
    /// What came.
    pub(super) body: MailBody,
}

/// See [`Mail`].
pub(super) enum MailBody {
    /// A bind is decided.
    Bound(BindOutcome),
    /// A request that was set aside may run, or is refused for this.
    Held {
        /// The request.
        frame: Vec<u8>,
        /// The name of the client's host, where that was looked up.
        host: Option<HostName>,
        /// Whether this node holds what it must see.
        outcome: Result<(), OperationError>,
    },
    /// Whoever was to answer is gone.
    Lost,
    /// A complete PDU.
    Response(Vec<u8>),
}

/// What happened since the last turn.
#[derive(Clone, Copy)]
pub(super) struct News(u8);

impl News {
    pub(super) fn has_mail(self) -> bool {
        self.0 & MAIL != 0
    }

    pub(super) fn has_ticked(self) -> bool {
        self.0 & TICKED != 0
    }

    pub(super) fn is_draining(self) -> bool {
        self.0 & (DRAIN | END) != 0
    }

    pub(super) fn is_ended(self) -> bool {
        self.0 & END != 0
    }

    pub(super) fn has_committed(self) -> bool {
        self.0 & COMMITTED != 0
    }
}

/// The shared part of one connection.
pub(super) struct Mailbox {
    /// Number of the connection, rising since the start.
    pub(super) id: u64,
    waker: AtomicWaker,
    news: AtomicU8,
    /// Second at which the connection wants to be woken.
    deadline_s: AtomicU32,
    mail: Mutex<Vec<Mail>>,
}

impl Mailbox {
    /// Whom to wake.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// When to wake, in the registry's seconds; [`NEVER`] for never.
    pub(super) fn set_deadline(&self, deadline_s: u32) {
        self.deadline_s.store(deadline_s, Ordering::Relaxed);
    }

    /// What is new, once.
    pub(super) fn take_news(&self) -> News {
        News(self.news.swap(0, Ordering::AcqRel))
    }

    /// All mail, oldest first.
    pub(super) fn take_mail(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn raise(&self, news: u8) {
        self.news.fetch_or(news, Ordering::AcqRel);
        self.waker.wake();
    }

    fn deliver(&self, mail: Mail) {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
        self.raise(MAIL);
    }
}

/// The right to answer one request once. Dropped without an answer it says so, because the client waits.
pub(super) struct ReturnAddress {
    mailbox: Option<Arc<Mailbox>>,
    serial: u32,
}

impl ReturnAddress {
    pub(super) fn new(mailbox: &Arc<Mailbox>, serial: u32) -> Self {
        Self { mailbox: Some(Arc::clone(mailbox)), serial }
    }

    /// Sends the answer.
    pub(super) fn send(mut self, body: MailBody) {
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.deliver(Mail { serial: self.serial, body });
        }
    }
}

impl Drop for ReturnAddress {
    fn drop(&mut self) {
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.deliver(Mail { serial: self.serial, body: MailBody::Lost });
        }
    }
}

/// All open connections.
#[derive(Default)]
pub(super) struct Registry {
    open: Mutex<Open>,
    last_id: AtomicU64,
    now_s: AtomicU32,
    follower_came: Arc<Notify>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Who waits for followers ends.
        self.follower_came.notify_one();
    }
}

#[derive(Default)]
struct Open {
    mailboxes: HashMap<u64, Arc<Mailbox>>,
    /// Those that want to hear of commits.
    followers: HashMap<u64, Arc<Mailbox>>,
    /// What those that come late are told at once.
    news: u8,
}

impl Registry {
    /// Adds a connection.
    pub(super) fn add(&self) -> Arc<Mailbox> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.open();
        let mailbox = Arc::new(Mailbox {
            id,
            waker: AtomicWaker::new(),
            news: AtomicU8::new(open.news),
            deadline_s: AtomicU32::new(NEVER),
            mail: Mutex::new(Vec::new()),
        });
        open.mailboxes.insert(id, Arc::clone(&mailbox));
        mailbox
    }

    /// Removes a connection.
    pub(super) fn remove(&self, mailbox: &Mailbox) {
        let mut open = self.open();
        open.mailboxes.remove(&mailbox.id);
        open.followers.remove(&mailbox.id);
    }

    /// Whether the connection is told of commits from now on.
    pub(super) fn set_follower(&self, mailbox: &Arc<Mailbox>, follows: bool) {
        let mut open = self.open();
        if follows {
            open.followers.insert(mailbox.id, Arc::clone(mailbox));
            self.follower_came.notify_one();
        } else {
            open.followers.remove(&mailbox.id);
        }
    }

    /// Somebody wants to hear of commits, or the registry is gone.
    pub(super) fn follower_came(&self) -> Arc<Notify> {
        Arc::clone(&self.follower_came)
    }

    /// Tells those who follow of a commit; says whether there are any.
    pub(super) fn committed(&self) -> bool {
        let open = self.open();
        for mailbox in open.followers.values() {
            mailbox.raise(COMMITTED);
        }
        !open.followers.is_empty()
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open().mailboxes.len()
    }

    /// Seconds, as of the last tick.
    pub(super) fn now_s(&self) -> u32 {
        self.now_s.load(Ordering::Relaxed)
    }

    /// Wakes those whose deadline has come.
    pub(super) fn tick(&self, now_s: u32) {
        self.now_s.store(now_s, Ordering::Relaxed);
        for mailbox in self.open().mailboxes.values() {
            if mailbox.deadline_s.load(Ordering::Relaxed) <= now_s {
                mailbox.raise(TICKED);
            }
        }
    }

    /// Tells all to finish what they do, and to take nothing new.
    pub(super) fn drain(&self) {
        self.tell(DRAIN);
    }

    /// Tells all to end now; returns how many there are.
    pub(super) fn end(&self) -> usize {
        self.tell(END)
    }

    fn tell(&self, news: u8) -> usize {
        let mut open = self.open();
        open.news |= news;
        for mailbox in open.mailboxes.values() {
            mailbox.raise(news);
        }
        open.mailboxes.len()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_nobody_gives_is_told_to_be_lost() {
        let registry = Registry::default();
        let mailbox = registry.add();
        ReturnAddress::new(&mailbox, 1).send(MailBody::Response(vec![7]));
        drop(ReturnAddress::new(&mailbox, 2));
        assert!(mailbox.take_news().has_mail());
        let mail = mailbox.take_mail();
        assert!(matches!(&mail[0], Mail { serial: 1, body: MailBody::Response(bytes) } if bytes == &[7]));
        assert!(matches!(&mail[1], Mail { serial: 2, body: MailBody::Lost }));
        assert_eq!(mail.len(), 2);
        assert!(!mailbox.take_news().has_mail());
    }

    #[test]
    fn only_those_whose_deadline_has_come_are_woken() {
        let registry = Registry::default();
        let (early, late) = (registry.add(), registry.add());
        early.set_deadline(3);
        late.set_deadline(4);
        registry.tick(2);
        assert!(!early.take_news().has_ticked());
        registry.tick(3);
        assert!(early.take_news().has_ticked());
        assert!(!late.take_news().has_ticked());
        assert_eq!(registry.now_s(), 3);
    }

    #[test]
    fn who_comes_late_is_told_of_the_shutdown_too() {
        let registry = Registry::default();
        let early = registry.add();
        registry.drain();
        assert!(early.take_news().is_draining());
        let late = registry.add();
        let news = late.take_news();
        assert!(news.is_draining() && !news.is_ended());
        registry.remove(&early);
        assert_eq!((registry.end(), registry.len()), (1, 1));
        assert!(late.take_news().is_ended());
    }
}
