//! How far a server has come in its life, and who waits for that.

use std::{
    pin::pin,
    sync::atomic::{AtomicU8, Ordering},
    task::{Poll, Waker},
};

use tokio::sync::Notify;

/// How far a server has come in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    Serving,
    /// No new connections; the open ones come to their ends.
    Draining,
    /// No new requests either.
    Down,
    /// Nothing is left.
    Ended,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Serving, Self::Draining, Self::Down, Self::Ended];
}

/// The stage of a server, which only advances.
#[derive(Debug, Default)]
pub(crate) struct Life {
    stage: AtomicU8,
    advanced: Notify,
}

impl Life {
    pub(crate) fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Ordering::Acquire))]
    }

    /// Goes on to a stage, unless that has been reached already.
    pub(crate) fn advance(&self, to: Stage) {
        if self.stage.fetch_max(to as u8, Ordering::AcqRel) < to as u8 {
            self.advanced.notify_waiters();
        }
    }

    /// Waits for a stage. To poll this again costs no lock that all share, as one that waits for requests meanwhile
    /// does so with each of them.
    pub(crate) async fn reached(&self, stage: Stage) {
        let mut advanced = pin!(self.advanced.notified());
        // Who is woken by the next advance, and from which stage.
        let mut waiting: Option<(Stage, Waker)> = None;
        std::future::poll_fn(|cx| {
            loop {
                let now = self.stage();
                if now >= stage {
                    return Poll::Ready(());
                }
                if waiting.as_ref().is_some_and(|(at, waker)| *at == now && waker.will_wake(cx.waker())) {
                    return Poll::Pending;
                }
                if advanced.as_mut().poll(cx).is_pending() {
                    waiting = Some((now, cx.waker().clone()));
                    return Poll::Pending;
                }
                advanced.set(self.advanced.notified());
                waiting = None;
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_test::{assert_pending, assert_ready, task};

    #[test]
    fn whoever_waits_is_woken_by_each_advance_until_it_is_there() {
        let life = Life::default();
        let mut down = task::spawn(life.reached(Stage::Down));
        let mut draining = task::spawn(life.reached(Stage::Draining));
        assert_pending!(down.poll());
        assert_pending!(down.poll());
        assert_pending!(draining.poll());
        life.advance(Stage::Draining);
        assert!(down.is_woken() && draining.is_woken());
        assert_ready!(draining.poll());
        assert_pending!(down.poll());
        assert_pending!(down.poll());
        life.advance(Stage::Draining);
        assert!(!down.is_woken());
        life.advance(Stage::Ended);
        assert!(down.is_woken());
        assert_ready!(down.poll());
        life.advance(Stage::Down);
        assert_eq!(life.stage(), Stage::Ended);
        assert_ready!(task::spawn(life.reached(Stage::Ended)).poll());
    }

    #[test]
    fn an_advance_before_the_first_poll_is_not_missed() {
        let life = Life::default();
        let mut down = task::spawn(life.reached(Stage::Down));
        life.advance(Stage::Draining);
        assert_pending!(down.poll());
        life.advance(Stage::Down);
        assert!(down.is_woken());
        assert_ready!(down.poll());
    }
}
