//! The inner life of a socket: its states, and who waits for what of its client.

use super::{
    acks::{AckSink, AckWaiter, Share},
    link::{Link, Request},
    live::LiveNamespace,
    policy::Meter,
    room::SocketId,
    socket::Socket,
};
use crate::{
    adapter::{Flags, SavedSocket},
    args::Arguments,
    connection::{Acks, EventRef, IncomingEvent},
    encoded::Encoded,
    error::{AckError, DisconnectReason, EventError, EventFailure, SendError},
    limits::Limit,
    packet::AckId,
    reply::{Acknowledge, Answer, Awaited},
};
use http::Extensions;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};
use tokio::sync::oneshot;

/// What all handles of a socket share. As small as can be: most of a million of these are idle.
// In this order: what every event needs lies together, with the number of handles before it. Among many sockets, each
// part that lies elsewhere has to be fetched.
#[repr(C)]
pub(super) struct Membership {
    pub(super) namespace: Arc<LiveNamespace>,
    pub(super) link: Link,
    meter: Option<Box<Mutex<Meter>>>,
    status: AtomicU8,
    /// Whether there are `event_waiters`: looked at without the lock for every event.
    awaits_events: AtomicBool,
    pub(super) recovered: bool,
    pub(super) id: SocketId,
    /// The private id by which the client can recover the socket, if it can.
    pub(super) pid: Option<Box<SocketId>>,
    pub(super) auth: Option<Box<str>>,
    waiters: Mutex<Waiters>,
    extensions: Mutex<Extensions>,
}

/// ```text
/// Connecting --open--> Connected --end--> Ended
///      `------------ abandon ---------------^
/// ```
#[derive(Clone, Copy, Debug)]
enum Status {
    Connecting,
    Connected,
    Ended,
}

#[derive(Default)]
struct Waiters {
    acks: Acks<AckWaiter>,
    events: Vec<EventWaiter>,
}

struct EventWaiter {
    name: Box<str>,
    waiting: oneshot::Sender<IncomingEvent>,
}

impl Membership {
    pub(super) fn is_connected(&self) -> bool {
        self.is(Status::Connected)
    }

    pub(super) fn pending_acks(&self) -> usize {
        lock(&self.waiters).acks.waiting()
    }

    pub(super) fn extensions(&self) -> MutexGuard<'_, Extensions> {
        lock(&self.extensions)
    }

    /// Waits for the next event of a name, from now on.
    pub(super) fn wait_for_event(&self, name: &str) -> oneshot::Receiver<IncomingEvent> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = lock(&self.waiters);
        // Checked under the lock: whoever ends the socket takes the waiters afterwards.
        if !self.is(Status::Ended) {
            waiters.events.retain(|waiter| !waiter.waiting.is_closed());
            waiters.events.push(EventWaiter { name: name.into(), waiting: sender });
            self.awaits_events.store(true, Ordering::Release);
        }
        receiver
    }

    fn is(&self, status: Status) -> bool {
        self.status.load(Ordering::Acquire) == status as u8
    }
}

impl Socket {
    /// Makes a socket that is not connected yet, but may join rooms already; with `saved`, one that was there
    /// before, but for its rooms. No hook is called.
    pub(super) fn new(
        namespace: Arc<LiveNamespace>,
        link: Link,
        auth: Option<&str>,
        saved: Option<&SavedSocket>,
    ) -> Self {
        let recoverable = namespace.recovers;
        let of = |name: &String| SocketId::named(name);
        let id = saved.and_then(|saved| of(&saved.id)).unwrap_or_else(SocketId::random);
        let pid = recoverable
            .then(|| Box::new(saved.and_then(|saved| of(&saved.pid)).unwrap_or_else(SocketId::random)));
        let meter = namespace.common.policy.socket_meter();
        let socket = Self(Arc::new(Membership {
            namespace,
            link,
            id,
            pid,
            recovered: saved.is_some(),
            auth: auth.map(Into::into),
            status: AtomicU8::new(Status::Connecting as u8),
            awaits_events: AtomicBool::new(false),
            waiters: Mutex::default(),
            extensions: Mutex::new(saved.map(|saved| saved.extensions.clone()).unwrap_or_default()),
            meter,
        }));
        socket.live().change_rooms(|rooms| rooms.insert(id, socket.clone()));
        socket
    }

    pub(super) fn meter(&self) -> Option<&Mutex<Meter>> {
        self.0.meter.as_deref()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.0.is(Status::Ended)
    }

    /// The client has been told that it has joined.
    pub(super) fn open(&self) {
        self.0.status.store(Status::Connected as u8, Ordering::Release);
    }

    /// Takes a connected socket out of its namespace; false if somebody else has done so before.
    pub(super) fn end(&self, reason: &DisconnectReason) -> bool {
        let (connected, ended) = (Status::Connected as u8, Status::Ended as u8);
        let status = &self.0.status;
        let won = status.compare_exchange(connected, ended, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if won {
            for hook in &self.live().blueprint.on_disconnecting {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(self, reason))) {
                    self.report("disconnecting", EventFailure::panicked(&*panic));
                }
            }
            let saved = self.to_save(reason);
            self.abandon();
            if let Some(saved) = saved {
                self.live().adapter.save(&self.live().local, saved);
            }
        }
        won
    }

    /// Takes a socket out of its namespace, connected or not.
    pub(super) fn abandon(&self) {
        self.0.status.store(Status::Ended as u8, Ordering::Release);
        self.live().change_rooms(|rooms| rooms.remove(self.0.id));
        // Who waits is told without the lock.
        let waiters = std::mem::take(&mut *lock(&self.0.waiters));
        drop(waiters);
    }

    /// Ends the socket by a call of the program.
    pub(super) fn end_by_server(&self) {
        if self.end(&DisconnectReason::ServerNamespaceDisconnect) {
            // Before the client is told, as it may join again once it knows.
            self.link().request(Request::NoticeDisconnected);
            if let Ok(packet) = self.live().common.format.disconnect(self.namespace()) {
                self.link().send_control(packet);
            }
        }
    }

    fn to_save(&self, reason: &DisconnectReason) -> Option<SavedSocket> {
        let pid = self.0.pid.as_ref()?;
        if !reason.is_recoverable() {
            return None;
        }
        // One after the other, as both lock the extensions.
        let data = self.shown();
        let extensions = self.extensions().clone();
        let (id, pid) = (self.id().to_owned(), pid.as_str().to_owned());
        Some(SavedSocket { id, pid, rooms: self.rooms(), extensions, data })
    }

    /// Queues a packet for this client.
    pub(crate) fn send(&self, packet: &Encoded) -> Result<(), SendError> {
        Ok(self.connection().try_send_all(packet.messages())?)
    }

    /// Sends a packet that is shared with others, at once or by the connection's task, or closes a connection that does
    /// not take them fast enough.
    pub(super) fn deliver(&self, packet: &Encoded, flags: Flags, at_once: bool) {
        if !self.is_connected() {
            return;
        }
        let (connection, messages) = (self.connection(), packet.messages());
        let sent = match (flags.volatile, at_once) {
            (true, _) => {
                connection.send_volatile_all(messages);
                Ok(())
            }
            (false, true) => connection.send_now_all(messages),
            (false, false) => connection.try_send_all(messages),
        };
        if sent == Err(engineio::SendError::Full) {
            connection.close_with(engineio::CloseReason::SlowConsumer);
        }
    }

    /// Sends an event that is shared with others and has its answer put into `answers`.
    pub(super) fn ask(&self, id: AckId, packet: &Encoded, answers: &AckSink) {
        let share = Share::new(self.0.id, answers.clone());
        match self.wait_for(id, AckWaiter::Many(share)) {
            Ok(()) => {
                answers.note(id, self.clone());
                self.deliver(packet, Flags::default(), true);
            }
            Err((error, AckWaiter::Many(share))) => share.give_up(error),
            Err((_, AckWaiter::One(_))) => {}
        }
    }

    /// Notes that somebody waits for an acknowledgement, or gives the waiter back.
    pub(super) fn wait_for(&self, id: AckId, waiter: AckWaiter) -> Result<(), (AckError, AckWaiter)> {
        {
            let mut waiters = lock(&self.0.waiters);
            // Checked under the lock: whoever ends the socket takes the waiters afterwards.
            if self.is_ended() {
                return Err((AckError::Disconnected, waiter));
            }
            if waiters.acks.waiting() < self.live().common.policy.limits.pending_acks {
                waiters.acks.insert(id, waiter);
                return Ok(());
            }
        }
        self.exceeded(Limit::PendingAcks);
        Err((AckError::TooManyPending, waiter))
    }

    pub(super) fn take_waiter(&self, id: AckId) -> Option<AckWaiter> {
        lock(&self.0.waiters).acks.remove(id)
    }

    /// Passes an answer to who waits for it; nobody may.
    pub(super) fn acknowledge(&self, id: AckId, arguments: Arguments) {
        if let Some(waiter) = self.take_waiter(id) {
            waiter.answer(arguments);
        }
    }

    /// Tells those who wait for an event of this name; false if there is nobody.
    #[inline]
    pub(super) fn notify_waiters(&self, event: &EventRef<'_>) -> bool {
        self.0.awaits_events.load(Ordering::Acquire) && self.notify_those_that_wait(event)
    }

    fn notify_those_that_wait(&self, event: &EventRef<'_>) -> bool {
        let named = {
            let mut waiters = lock(&self.0.waiters);
            let all = std::mem::take(&mut waiters.events);
            let (named, others) = all.into_iter().partition(|waiter| *waiter.name == *event.name);
            waiters.events = others;
            self.0.awaits_events.store(!waiters.events.is_empty(), Ordering::Release);
            named
        };
        let named: Vec<EventWaiter> = named;
        let told = named.into_iter().filter_map(|waiter| waiter.waiting.send(event.to_owned()).ok());
        told.count() > 0
    }

    /// Where the acknowledgement of an event goes.
    pub(super) fn acknowledge_for(&self, id: Option<AckId>) -> Acknowledge<'_> {
        let awaited = |id| Awaited { format: &self.live().common.format, namespace: self.namespace(), id };
        Acknowledge(id.map(awaited))
    }

    /// Passes on what a handler has answered to an event.
    pub(super) fn answer(&self, event: &str, answer: Answer) {
        let (packet, failure) = answer.into_parts();
        if let Some(packet) = packet.filter(|_| self.is_connected()) {
            self.link().send_control(packet);
        }
        if let Some(failure) = failure {
            self.report(event, failure);
        }
    }

    pub(super) fn report(&self, event: &str, failure: EventFailure) {
        let error = EventError { event: event.to_owned(), failure };
        tracing::warn!(namespace = self.namespace(), socket = self.id(), %error, "event not handled");
        for hook in &self.live().blueprint.on_error {
            hook(self, &error);
        }
    }
}

/// Nothing panics while it holds one of these locks, so that what they guard is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the reference counts, the entry in the namespace and what the dispatcher keeps it is below 500
    /// bytes.
    #[test]
    fn an_idle_socket_is_small() {
        assert!(size_of::<Membership>() <= 160, "{}", size_of::<Membership>());
    }
}
