//! Places for the futures of handlers. Most are done as soon as they begin, and leave their place to the next of their kind,
//! where asking for memory and giving it back would cost more than all else in a small handler.

use futures_util::future::BoxFuture;
use pin_project_lite::pin_project;
use rustc_hash::FxBuildHasher;
use std::{
    any::{Any, TypeId},
    cell::Cell,
    hash::BuildHasher,
    pin::Pin,
    task::{Context, Poll},
};

pin_project! {
    /// Memory of a future, which may be gone.
    struct Place<F> {
        #[pin]
        future: Option<F>,
    }
}

impl<F: Future> Future for Place<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.as_pin_mut().expect("a place is polled as long as it holds a future").poll(cx)
    }
}

/// In one box more, as what is pinned cannot be `Any` itself.
type Spare<F> = Box<Pin<Box<Place<F>>>>;

/// Runs a future up to where it first waits: its output, or what is left.
pub(super) fn begin<F>(future: F, cx: &mut Context<'_>) -> Result<F::Output, BoxFuture<'static, F::Output>>
where
    F: Future + Send + 'static,
{
    let mut place = take().unwrap_or_else(|| Box::new(Box::pin(Place { future: None })));
    (*place).as_mut().project().future.set(Some(future));
    match (*place).as_mut().poll(cx) {
        Poll::Ready(output) => {
            (*place).as_mut().project().future.set(None);
            keep(place);
            Ok(output)
        }
        Poll::Pending => Err(*place),
    }
}

/// Places that a thread keeps: one for each kind of future, as long as no other takes its turn.
const KEPT: usize = 16;

/// Bytes of the largest place that is kept, so that all together are few.
const LARGEST: usize = 1 << 10;

thread_local! {
    static SPARE: [Cell<Option<Box<dyn Any>>>; KEPT] = const { [const { Cell::new(None) }; KEPT] };
}

fn cell_of<F: 'static>() -> usize {
    // Known when this is compiled.
    FxBuildHasher.hash_one(TypeId::of::<F>()) as usize % KEPT
}

fn take<F: 'static>() -> Option<Spare<F>> {
    SPARE.with(|spare| spare[cell_of::<F>()].take())?.downcast().ok()
}

fn keep<F: 'static>(place: Spare<F>) {
    if size_of::<F>() <= LARGEST {
        SPARE.with(|spare| spare[cell_of::<F>()].set(Some(place)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::{pending, poll_fn, ready},
        sync::Arc,
        task::Waker,
    };

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn is_kept<F: Future + 'static>(_: &F) -> bool {
        let place = take::<F>();
        let is_kept = place.is_some();
        place.into_iter().for_each(keep);
        is_kept
    }

    #[test]
    fn what_is_done_leaves_its_place_and_nothing_in_it() {
        let held = Arc::new(());
        for _ in 0..3 {
            let holds = Arc::clone(&held);
            // It holds on to what it has until it is dropped itself.
            let future = poll_fn(move |_| Poll::Ready(Arc::strong_count(&holds)));
            assert!(matches!(begin(future, &mut context()), Ok(2)));
            assert_eq!(Arc::strong_count(&held), 1);
        }
        assert!(matches!(begin(ready(7), &mut context()), Ok(7)));
        assert!(is_kept(&ready(7)));
        let large = [0_u8; LARGEST + 1];
        let large = || ready(large);
        assert!(begin(large(), &mut context()).is_ok());
        assert!(!is_kept(&large()));
    }

    #[test]
    fn what_waits_takes_its_place_along() {
        let twice = |mut polls: u32| {
            poll_fn(move |_| {
                polls += 1;
                if polls == 2 { Poll::Ready(polls) } else { Poll::Pending }
            })
        };
        let Err(mut first) = begin(twice(0), &mut context()) else { panic!("it waits") };
        let Ok(2) = begin(twice(1), &mut context()) else { panic!("it has a place of its own") };
        assert_eq!(first.as_mut().poll(&mut context()), Poll::Ready(2));
        drop(begin(pending::<()>(), &mut context()));
        assert!(!is_kept(&pending::<()>()));
    }

    #[test]
    fn futures_within_futures_have_places_of_their_own() {
        fn nested(depth: u32) -> impl Future<Output = u32> + Send {
            poll_fn(move |cx| match depth {
                0 => Poll::Ready(0),
                _ => match begin(Box::pin(nested(depth - 1)) as BoxFuture<'static, u32>, cx) {
                    Ok(inner) => Poll::Ready(inner + 1),
                    Err(_) => Poll::Pending,
                },
            })
        }
        assert!(matches!(begin(nested(5), &mut context()), Ok(5)));
    }

    #[test]
    fn a_panic_leaves_no_place() {
        let panics = || poll_fn(|_| -> Poll<()> { panic!("on purpose") });
        let panicked = std::panic::catch_unwind(|| begin(panics(), &mut context()).is_ok());
        assert!(panicked.is_err());
        assert!(!is_kept(&panics()));
    }
}
