//! What a client must do in time.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// The deadlines of one connection, on one timer that is there only while something is waited for.
pub(super) struct Deadlines {
    /// Until the first namespace is joined.
    connect: Option<Instant>,
    /// Until the next attachment of a packet that has begun.
    attachment: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A deadline has passed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Expired {
    #[error("attachment not received in time")]
    Attachment,
    #[error("no namespace joined in time")]
    Connect,
}

impl Deadlines {
    pub(super) fn new(connect_timeout: Duration) -> Self {
        // What overflows is never.
        let connect = Instant::now().checked_add(connect_timeout);
        let timer = connect.map(|connect| Box::pin(sleep_until(connect)));
        Self { connect, attachment: None, timer }
    }

    /// A namespace has been joined, which is enough for ever.
    pub(super) fn joined(&mut self) {
        if self.connect.take().is_some() && self.attachment.is_none() {
            self.timer = None;
        }
    }

    pub(super) fn wait_for_attachment(&mut self, timeout: Duration) {
        let Some(deadline) = Instant::now().checked_add(timeout) else { return };
        self.attachment = Some(deadline);
        // A timer that ends sooner is set anew then, so that a stream of attachments does not touch it.
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
    }

    pub(super) fn packet_complete(&mut self) {
        self.attachment = None;
    }

    /// Ready when something should have been done by now.
    #[inline]
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        // As a rule, nothing is waited for.
        if self.timer.is_none() { Poll::Pending } else { self.poll_timer(cx) }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        if self.connect.is_none() && self.attachment.is_none() {
            // The timer is kept for the next attachment until it ends, and meanwhile only looked at.
            if self.timer.as_ref().is_some_and(|timer| timer.is_elapsed()) {
                self.timer = None;
            }
            return Poll::Pending;
        }
        while let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            let passed = |deadline: &mut Option<Instant>| {
                let passed = deadline.is_some_and(|deadline| deadline <= now);
                if passed {
                    *deadline = None;
                }
                passed
            };
            if passed(&mut self.connect) {
                return Poll::Ready(Expired::Connect);
            }
            if passed(&mut self.attachment) {
                return Poll::Ready(Expired::Attachment);
            }
            match self.connect.into_iter().chain(self.attachment).min() {
                Some(next) => timer.as_mut().reset(next),
                None => self.timer = None,
            }
        }
        Poll::Pending
    }
}
