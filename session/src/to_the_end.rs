//! Work of which no half must be done.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

/// Does something to its end, even if nobody waits for it any more: requests and events are given up when their clients
/// are gone. What was not begun is not done.
///
/// It is a task of its own only from the moment when it is given up, so that those who wait to the end do not pay for
/// one.
pub(crate) fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> ToTheEnd<T> {
    ToTheEnd { work: Some(Box::pin(work)), runtime: None }
}

pub(crate) struct ToTheEnd<T: Send + 'static> {
    /// None while it runs: what panics does not go on.
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    /// Where it goes on, once it has begun: whoever gives it up may be anywhere.
    runtime: Option<Handle>,
}

impl<T: Send + 'static> Future for ToTheEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut work = self.work.take().expect("nobody asks again for what has ended");
        let outcome = work.as_mut().poll(cx);
        if outcome.is_pending() {
            self.work = Some(work);
            self.runtime.get_or_insert_with(Handle::current);
        }
        outcome
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        if let (Some(work), Some(runtime)) = (self.work.take(), &self.runtime) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::AssertUnwindSafe,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        time::Duration,
    };

    use futures_util::FutureExt as _;
    use tokio::sync::Notify;

    use super::*;

    #[test]
    fn what_was_begun_ends_although_it_is_given_up_outside_of_the_runtime() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let (go_on, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let work = |ended: &Arc<Notify>| {
            let (go_on, ended) = (Arc::clone(&go_on), Arc::clone(ended));
            Box::pin(to_the_end(async move {
                go_on.notified().await;
                ended.notify_one();
            }))
        };
        let mut begun = work(&ended);
        runtime.block_on(async { assert!((&mut begun).now_or_never().is_none()) });
        drop(begun);
        go_on.notify_one();
        let goes_on = async { tokio::time::timeout(Duration::from_secs(5), ended.notified()).await };
        runtime.block_on(goes_on).unwrap();

        let never = Arc::new(Notify::new());
        drop(work(&never));
        assert_eq!(Arc::strong_count(&never), 1, "it was not begun, so it is gone");
    }

    #[tokio::test]
    async fn what_panics_does_so_where_it_is_awaited_and_is_over() {
        let alive = Arc::new(AtomicBool::new(false));
        let work = to_the_end({
            let alive = Arc::clone(&alive);
            async move {
                tokio::task::yield_now().await;
                assert!(alive.swap(true, Ordering::Relaxed), "the first time");
            }
        });
        assert!(AssertUnwindSafe(work).catch_unwind().await.is_err());
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
