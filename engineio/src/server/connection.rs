//! The application's handle to a connection, and the inlet through which others reach its driver.

use std::{
    cell::Cell,
    fmt,
    net::SocketAddr,
    num::NonZeroU8,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Poll, Waker},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    CloseReason, Handshake, Message, Outbox, Outgoing, SendError, Sid, Transport,
    connection::Close,
    server::{
        direct::Direct,
        turn,
        websocket::{LARGE, WebSocket, push_message, push_text},
    },
};

/// An open connection to one client. A clone is another handle to the same.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

/// What a connection's driver shares with everybody else.
// In this order: what every message needs lies together, and apart from what is there for the program. Of a thousand
// connections in turn, each line of memory has to be fetched anew.
#[repr(C)]
pub(crate) struct Shared {
    /// What is looked at without the lock for each message: `FULL`, `QUEUED` and `ENDING`; 0 as a rule.
    status: AtomicU8,
    /// What the handler is to be told; 0 for nothing.
    notice: AtomicU8,
    inlet: Mutex<Inlet>,
    sid: Sid,
    handshake: Handshake,
}

/// What goes into the driver. Locked only for moments, never while somebody is called or waited for.
#[repr(C)]
pub(crate) struct Inlet {
    pub(crate) outbox: Outbox,
    pub(crate) errands: Option<Box<Errands>>,
    pub(crate) driver: Option<Waker>,
    pub(crate) transport: Transport,
    pub(crate) phase: Phase,
    /// Whether something sent now would leave at once.
    pub(crate) writable: bool,
    /// Whether a POST is being received.
    posting: bool,
    /// Set while the driver sleeps, so that only the first piece of news wakes it.
    pub(crate) asleep: bool,
    /// Whether there are `waiting`.
    is_awaited: bool,
    pub(crate) direct: Direct,
    /// Those who wait for room in the outbox, or for the end.
    waiting: Vec<Waker>,
}

/// What others want of the driver.
#[derive(Default)]
pub(crate) struct Errands {
    pub(crate) requests: Vec<Request>,
    pub(crate) close: Option<(Close, CloseReason)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    Open,
    /// Nothing more is taken for sending.
    Closing,
    Closed,
}

/// What HTTP requests want of the driver.
#[derive(Debug)]
pub(crate) enum Request {
    Poll(oneshot::Sender<PollAnswer>),
    /// The client has gone away from its poll, or could not be given the answer.
    PollLost,
    Post(Bytes, oneshot::Sender<PostAnswer>),
    /// The client has broken a rule while it posted.
    PostFailed(CloseReason),
    WebSocket(Box<WebSocket>),
}

/// How to answer a poll.
#[derive(Debug)]
pub(crate) enum PollAnswer {
    Payload {
        body: Vec<u8>,
        compress: bool,
    },
    /// Another poll waits already.
    Overlap,
}

/// How to answer a post.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PostAnswer {
    Ok,
    /// Something in it was no packet.
    Bad,
}

/// Bits of [`Shared::status`]: the outbox is full.
const FULL: u8 = 1;
/// It is not empty.
const QUEUED: u8 = 2;
/// Nothing more is taken for sending.
const ENDING: u8 = 4;

thread_local! {
    /// Memory for errands, which no connection keeps while there are none.
    static SPARE: Cell<Option<Box<Errands>>> = const { Cell::new(None) };
}

/// Leaves such memory to the next connection.
pub(crate) fn give_back(done: Box<Errands>) {
    SPARE.set(Some(done));
}

impl Connection {
    /// The connection's id. Whoever knows it can speak as the client: do not show it to others.
    pub fn sid(&self) -> &Sid {
        &self.shared.sid
    }

    /// Revision of the protocol that the client speaks: 4.
    pub fn protocol(&self) -> u8 {
        4
    }

    /// How messages travel now.
    pub fn transport(&self) -> Transport {
        self.shared.lock().transport
    }

    /// Address of the peer at the handshake; behind a proxy that is the proxy's.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.shared.handshake.remote_addr()
    }

    /// The request that opened the connection, and what hooks attached to it.
    pub fn handshake(&self) -> &Handshake {
        &self.shared.handshake
    }

    /// Whether messages are still taken for sending.
    pub fn is_open(&self) -> bool {
        self.shared.lock().phase == Phase::Open
    }

    /// Queues a message, or says at once that it cannot be.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`].
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<(), SendError> {
        let message = message.into();
        if self.shared.send_message_in_turn(&message.message) {
            return Ok(());
        }
        self.try_send_all([message])
    }

    /// Queues a copy of a text, which is less work than a message of its own as long as the text is small: up to some
    /// kilobytes.
    ///
    /// # Errors
    /// See [`try_send`](Self::try_send).
    pub fn try_send_copy(&self, text: &str) -> Result<(), SendError> {
        if self.shared.send_in_turn(|frames| push_text(frames, text)) {
            return Ok(());
        }
        self.shared.push(|inlet| inlet.outbox.push_copy(text))
    }

    /// Has `write` append a text message to what leaves at the end of the connection's own turn, so that the text is
    /// not copied again; the binary messages that it returns are copied behind the text. Nothing is sent if it fails.
    ///
    /// `None`, and no call, where that cannot be: outside of what the [`Handler`](crate::Handler) does with a message,
    /// on a transport that is not a WebSocket on TCP, or behind messages that are queued.
    ///
    /// What is there already belongs to other messages, and stays. What is appended must be UTF-8, which only debug
    /// builds check: this is for encoders, who know. RFC 6455 section 5.6.
    ///
    /// ```
    /// # fn answer(connection: &engineio::Connection, value: &u64) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::io::Write as _;
    ///
    /// let written = connection.write_in_turn(|frames| write!(frames, "value {value}").map(|()| Vec::new()));
    /// match written {
    ///     Some(written) => written?,
    ///     None => connection.try_send(format!("value {value}"))?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `write` returns.
    pub fn write_in_turn<E>(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<Vec<Bytes>, E>,
    ) -> Option<Result<(), E>> {
        if !self.shared.is_clear() {
            return None;
        }
        turn::add_written(&self.shared, |frames| {
            let start = frames.len();
            let written = write(frames);
            debug_assert!(frames.get(start..).is_some_and(|text| str::from_utf8(text).is_ok()));
            written
        })
    }

    /// Whether messages are queued, at a glance: without a lock, so that it may have changed already.
    pub fn has_queued(&self) -> bool {
        self.shared.has_queued()
    }

    /// Queues messages that stay together, all or none.
    ///
    /// # Errors
    /// See [`try_send`](Self::try_send).
    pub fn try_send_all(&self, messages: impl IntoIterator<Item = Outgoing>) -> Result<(), SendError> {
        self.shared.push(|inlet| inlet.outbox.push_all(messages))
    }

    /// Sends messages that stay together, all or none, without queueing them if nothing is before them: for one of
    /// many receivers of the same. What the stream does not take at once is queued after all.
    ///
    /// It costs less in total than [`try_send_all`](Self::try_send_all), whose writing is done by the connection's
    /// own task, but the caller's task bears it.
    ///
    /// # Errors
    /// See [`try_send`](Self::try_send).
    pub fn send_now_all(&self, messages: impl IntoIterator<Item = Outgoing>) -> Result<(), SendError> {
        let mut messages = messages.into_iter();
        match self.shared.write_now(&mut messages) {
            Some(()) => Ok(()),
            None => self.try_send_all(messages),
        }
    }

    /// Queues a message whatever the outbox holds. For answers: see [`force_send_all`](Self::force_send_all).
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub fn force_send(&self, message: impl Into<Outgoing>) -> Result<(), SendError> {
        let message = message.into();
        if self.shared.send_message_in_turn(&message.message) {
            return Ok(());
        }
        self.force_send_all([message])
    }

    /// Queues messages whatever the outbox holds. For answers: what a peer can cause is bounded by not reading
    /// from it while the outbox is full.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub fn force_send_all(&self, messages: impl IntoIterator<Item = Outgoing>) -> Result<(), SendError> {
        self.shared.push(|inlet| {
            inlet.outbox.force_push_all(messages);
            Ok(())
        })
    }

    /// Sends messages only if they can leave at once; returns whether they do. For what is worthless later.
    pub fn send_volatile_all(&self, messages: impl IntoIterator<Item = Outgoing>) -> bool {
        let pushed = self.shared.push(|inlet| {
            if !inlet.writable || !inlet.outbox.is_empty() || turn::has_frames(&self.shared) {
                return Err(SendError::Full);
            }
            inlet.outbox.push_all(messages)
        });
        pushed.is_ok()
    }

    /// Queues a message, waiting for room in the outbox.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn send(&self, message: impl Into<Outgoing>) -> Result<(), SendError> {
        let message = message.into();
        if self.shared.send_message_in_turn(&message.message) {
            return Ok(());
        }
        self.send_all([message]).await
    }

    /// Queues messages that stay together, waiting for room in the outbox.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn send_all(&self, messages: impl IntoIterator<Item = Outgoing>) -> Result<(), SendError> {
        let mut messages = Some(messages);
        std::future::poll_fn(move |cx| {
            let mut full = false;
            let result = self.shared.push(|inlet| {
                full = inlet.phase == Phase::Open && inlet.outbox.is_full();
                if full {
                    inlet.wait(cx.waker());
                    return Err(SendError::Full);
                }
                let messages = messages.take().expect("a future is not polled after it is ready");
                inlet.outbox.push_all(messages)
            });
            if full { Poll::Pending } else { Poll::Ready(result) }
        })
        .await
    }

    /// Waits until the outbox has room, for a [`try_send`](Self::try_send) that is likely to succeed.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn ready(&self) -> Result<(), SendError> {
        std::future::poll_fn(|cx| {
            let mut inlet = self.shared.lock();
            if inlet.phase != Phase::Open {
                return Poll::Ready(Err(SendError::Closed));
            }
            if !inlet.outbox.is_full() {
                return Poll::Ready(Ok(()));
            }
            inlet.wait(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Has [`Handler::on_notice`](crate::Handler::on_notice) called in the connection's own task, as long as the
    /// connection has not ended. Of several notices that come before that, only the greatest is heard. What they mean
    /// is between the program and its handler.
    pub fn notify_handler(&self, notice: NonZeroU8) {
        self.shared.notice.fetch_max(notice.get(), Ordering::Release);
        // Whoever is about to sleep looks for notices under the lock.
        let waker = self.shared.lock().wake_driver();
        wake(waker);
    }

    /// Closes the connection when all that is queued has been sent.
    pub fn close(&self) {
        self.close_as(Close::AfterFlush, CloseReason::ForcedClose);
    }

    /// Closes the connection at once; what is queued is dropped.
    pub fn close_now(&self) {
        self.close_as(Close::Now, CloseReason::ForcedClose);
    }

    /// Closes the connection when all that is queued has been sent, for a reason that its handler will be told.
    pub fn close_gently(&self, reason: CloseReason) {
        self.close_as(Close::AfterFlush, reason);
    }

    /// Closes the connection at once for a reason that its handler will be told.
    pub fn close_with(&self, reason: CloseReason) {
        self.close_as(Close::Now, reason);
    }

    pub(crate) fn close_as(&self, how: Close, reason: CloseReason) {
        let waker = {
            let mut inlet = self.shared.lock();
            // A flush that is under way can be cut short, but not the other way round.
            let stronger = match inlet.phase {
                Phase::Open => true,
                Phase::Closing => how == Close::Now,
                Phase::Closed => false,
            };
            if !stronger {
                return;
            }
            inlet.phase = Phase::Closing;
            self.shared.note_status(&inlet);
            inlet.errands().close = Some((how, reason));
            inlet.wake_driver()
        };
        wake(waker);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl From<Arc<Shared>> for Connection {
    fn from(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("sid", self.sid()).finish_non_exhaustive()
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Connection {}

impl Shared {
    pub(crate) fn new(sid: Sid, handshake: Handshake, transport: Transport, max_outbox_bytes: usize) -> Self {
        Self {
            sid,
            handshake,
            inlet: Mutex::new(Inlet {
                outbox: Outbox::new(max_outbox_bytes),
                errands: None,
                driver: None,
                transport,
                phase: Phase::Open,
                writable: transport == Transport::WebSocket,
                posting: false,
                asleep: false,
                is_awaited: false,
                direct: Direct::Off,
                waiting: Vec::new(),
            }),
            status: AtomicU8::new(0),
            notice: AtomicU8::new(0),
        }
    }

    pub(crate) fn sid(&self) -> &Sid {
        &self.sid
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inlet> {
        // Every change under the lock is a single step, so a panic leaves the inlet whole.
        self.inlet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, push: impl FnOnce(&mut Inlet) -> Result<(), SendError>) -> Result<(), SendError> {
        let waker = {
            let mut inlet = self.lock();
            if inlet.phase != Phase::Open {
                return Err(SendError::Closed);
            }
            let pushed = push(&mut inlet);
            self.note_status(&inlet);
            pushed?;
            inlet.wake_driver()
        };
        wake(waker);
        Ok(())
    }

    /// Notes what is looked at without the lock, whenever it may have changed.
    pub(crate) fn note_status(&self, inlet: &Inlet) {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let status = bit(inlet.outbox.is_full(), FULL)
            | bit(!inlet.outbox.is_empty(), QUEUED)
            | bit(inlet.phase != Phase::Open, ENDING);
        // Written only if it differs, which it rarely does.
        if self.status.load(Ordering::Relaxed) != status {
            self.status.store(status, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.status.load(Ordering::Relaxed) & FULL != 0
    }

    /// Whether anything is queued. Who must not miss what is queued right now asks under the lock.
    pub(crate) fn has_queued(&self) -> bool {
        self.status.load(Ordering::Relaxed) & QUEUED != 0
    }

    /// Whether messages are taken for sending, and none is queued.
    fn is_clear(&self) -> bool {
        self.status.load(Ordering::Relaxed) == 0
    }

    /// Adds a frame to those of the connection's own turn, if that is where we are and nothing is before it.
    fn send_in_turn(&self, push: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.is_clear() && turn::add(self, push)
    }

    fn send_message_in_turn(&self, message: &Message) -> bool {
        message.len() <= LARGE && self.send_in_turn(|frames| push_message(frames, message))
    }

    pub(crate) fn has_notice(&self) -> bool {
        self.notice.load(Ordering::Relaxed) != 0
    }

    /// Takes the notice for the handler. Looked for at every message, and nearly always in vain.
    pub(crate) fn take_notice(&self) -> Option<NonZeroU8> {
        if self.has_notice() { NonZeroU8::new(self.notice.swap(0, Ordering::Acquire)) } else { None }
    }

    /// Hands a request to the driver; gives it back if the connection has ended.
    pub(crate) fn request(&self, request: Request) -> Result<(), Request> {
        let waker = {
            let mut inlet = self.lock();
            if inlet.phase == Phase::Closed {
                return Err(request);
            }
            inlet.errands().requests.push(request);
            inlet.wake_driver()
        };
        wake(waker);
        Ok(())
    }

    /// Reserves the one POST that may be received at a time.
    pub(crate) fn begin_post(self: &Arc<Self>) -> Option<PostGuard> {
        let mut inlet = self.lock();
        (!std::mem::replace(&mut inlet.posting, true)).then(|| PostGuard(Arc::clone(self)))
    }

    /// Waits for the end of the connection.
    pub(crate) async fn closed(&self) {
        std::future::poll_fn(|cx| {
            let mut inlet = self.lock();
            if inlet.phase == Phase::Closed {
                return Poll::Ready(());
            }
            inlet.wait(cx.waker());
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("sid", &self.sid).finish_non_exhaustive()
    }
}

/// Holds the place of the POST that is being received.
pub(crate) struct PostGuard(Arc<Shared>);

impl Drop for PostGuard {
    fn drop(&mut self) {
        self.0.lock().posting = false;
    }
}

impl Inlet {
    /// Returns who is to be woken once the lock is released: the driver, if it sleeps.
    pub(super) fn wake_driver(&mut self) -> Option<Waker> {
        std::mem::take(&mut self.asleep).then(|| self.driver.clone()).flatten()
    }

    fn errands(&mut self) -> &mut Errands {
        self.errands.get_or_insert_with(|| SPARE.take().unwrap_or_default())
    }

    fn wait(&mut self, waker: &Waker) {
        self.is_awaited = true;
        if !self.waiting.iter().any(|other| other.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    pub(crate) fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// Returns those who wait, to be woken once the lock is released.
    pub(crate) fn take_waiting(&mut self) -> Vec<Waker> {
        self.is_awaited = false;
        std::mem::take(&mut self.waiting)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
