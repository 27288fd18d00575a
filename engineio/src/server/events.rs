//! Connections as async functions that wait for events.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::{
    CloseReason, Message,
    server::{Application, Connection, Handler},
};

/// What happens on a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The connection has ended. The last event.
    Closed(CloseReason),
    /// All that was queued has been handed to the transport.
    Drained,
    /// A message arrived.
    Message(Message),
    /// The connection has moved to a WebSocket.
    Upgraded,
}

/// The events of one connection, in order.
///
/// While an event waits to be taken nothing more is read from the peer.
#[derive(Debug)]
pub struct Events {
    slot: Arc<Mutex<Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    events: VecDeque<Event>,
    waker: Option<Waker>,
    ended: bool,
}

impl Events {
    /// Waits for the next event; `None` after [`Event::Closed`].
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| {
            let mut slot = lock(&self.slot);
            match slot.events.pop_front() {
                Some(event) => Poll::Ready(Some(event)),
                None if slot.ended => Poll::Ready(None),
                None => {
                    slot.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Makes an application of an async function that is run for each connection, inside its task.
///
/// The function may go on after [`Event::Closed`]; the connection's memory is freed when it returns. When it returns
/// earlier the connection lives on, and what arrives is dropped.
pub fn handler_fn<F, Fut>(function: F) -> impl Application
where
    F: Fn(Connection, Events) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    FunctionApplication(function)
}

struct FunctionApplication<F>(F);

impl<F, Fut> Application for FunctionApplication<F>
where
    F: Fn(Connection, Events) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    type Handler = FunctionHandler;

    fn accept(&self, connection: Connection) -> FunctionHandler {
        let slot = Arc::default();
        let events = Events { slot: Arc::clone(&slot) };
        FunctionHandler { future: Some(Box::pin((self.0)(connection, events))), slot }
    }
}

/// Runs the function of one connection.
struct FunctionHandler {
    /// `None` when the function has returned.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    slot: Arc<Mutex<Slot>>,
}

impl FunctionHandler {
    fn give(&mut self, event: Event, cx: &mut Context<'_>) {
        let waker = {
            let mut slot = lock(&self.slot);
            slot.ended |= matches!(event, Event::Closed(_));
            slot.events.push_back(event);
            slot.waker.take()
        };
        // Whoever waits may be a task that the function has started; the function itself runs now.
        if let Some(waker) = waker.filter(|waker| !waker.will_wake(cx.waker())) {
            waker.wake();
        }
        self.run(cx);
    }

    fn run(&mut self, cx: &mut Context<'_>) {
        if let Some(future) = &mut self.future
            && future.as_mut().poll(cx).is_ready()
        {
            self.future = None;
        }
    }
}

impl Handler for FunctionHandler {
    fn on_message(&mut self, message: Message, cx: &mut Context<'_>) {
        self.give(Event::Message(message), cx);
    }

    fn on_upgrade(&mut self, cx: &mut Context<'_>) {
        self.give(Event::Upgraded, cx);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>) {
        self.give(Event::Drained, cx);
    }

    fn on_close(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        self.give(Event::Closed(reason), cx);
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.run(cx);
        let mut slot = lock(&self.slot);
        if self.future.is_none() {
            slot.events.clear();
        }
        if slot.events.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.run(cx);
        if self.future.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

fn lock(slot: &Mutex<Slot>) -> std::sync::MutexGuard<'_, Slot> {
    // The slot is whole at every point where a panic could come from.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
