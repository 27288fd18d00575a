//! What a client must do in time.

use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// The deadlines of one connection: nothing while nothing is waited for.
pub(super) struct Deadlines(Option<Pin<Box<Waiting>>>);

pin_project! {
    struct Waiting {
        // Until the first namespace is joined.
        connect: Option<Instant>,
        // Until the next attachment of a packet that has begun.
        attachment: Option<Instant>,
        #[pin]
        timer: Sleep,
    }
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
        Self(connect.map(|connect| Waiting::until(connect, Some(connect))))
    }

    /// A namespace has been joined, which is enough for ever.
    pub(super) fn joined(&mut self) {
        let Some(waiting) = &mut self.0 else { return };
        let waiting = waiting.as_mut().project();
        if waiting.connect.take().is_some() && waiting.attachment.is_none() {
            self.0 = None;
        }
    }

    pub(super) fn wait_for_attachment(&mut self, timeout: Duration) {
        let Some(deadline) = Instant::now().checked_add(timeout) else { return };
        let waiting = self.0.get_or_insert_with(|| Waiting::until(deadline, None));
        let waiting = waiting.as_mut().project();
        *waiting.attachment = Some(deadline);
        // A timer that ends sooner is set anew then, so that a stream of attachments does not touch it.
        if waiting.timer.deadline() > deadline {
            waiting.timer.reset(deadline);
        }
    }

    pub(super) fn packet_complete(&mut self) {
        if let Some(waiting) = &mut self.0 {
            *waiting.as_mut().project().attachment = None;
        }
    }

    /// Ready when something should have been done by now.
    #[inline]
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        // As a rule, nothing is waited for.
        if self.0.is_none() { Poll::Pending } else { self.poll_timer(cx) }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        while let Some(waiting) = &mut self.0 {
            let mut waiting = waiting.as_mut().project();
            if waiting.connect.is_none() && waiting.attachment.is_none() {
                // The timer is kept for the next attachment until it ends, and meanwhile only looked at.
                if waiting.timer.is_elapsed() {
                    self.0 = None;
                }
                break;
            }
            ready!(waiting.timer.as_mut().poll(cx));
            let now = Instant::now();
            let passed =
                |deadline: &mut Option<Instant>| deadline.take_if(|deadline| *deadline <= now).is_some();
            if passed(waiting.connect) {
                return Poll::Ready(Expired::Connect);
            }
            if passed(waiting.attachment) {
                return Poll::Ready(Expired::Attachment);
            }
            if let Some(next) = waiting.connect.iter().chain(&*waiting.attachment).min() {
                waiting.timer.reset(*next);
            }
        }
        Poll::Pending
    }
}

impl Waiting {
    fn until(deadline: Instant, connect: Option<Instant>) -> Pin<Box<Self>> {
        Box::pin(Self { connect, attachment: None, timer: sleep_until(deadline) })
    }
}
