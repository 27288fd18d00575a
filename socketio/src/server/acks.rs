//! Answers of clients to the server.

use super::{room::SocketId, socket::Socket};
use crate::{args::Arguments, error::AckError, packet::AckId};
use futures_util::Stream;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Sleep,
};

/// Who waits for one answer of one socket. Dropped unanswered, it tells that none will come.
pub(super) enum AckWaiter {
    One(oneshot::Sender<Arguments>),
    /// One of many that were asked the same.
    Many(Share),
}

/// A socket's share in an [`AckStream`].
pub(super) struct Share {
    socket: SocketId,
    sink: Option<AckSink>,
}

impl Share {
    pub(super) fn new(socket: SocketId, sink: AckSink) -> Self {
        Self { socket, sink: Some(sink) }
    }

    fn settle(&mut self, answer: Result<Arguments, AckError>) {
        if let Some(sink) = self.sink.take() {
            sink.put(Some(self.socket.as_str()), answer);
        }
    }

    /// Gives up waiting, for a reason.
    pub(super) fn give_up(mut self, error: AckError) {
        self.settle(Err(error));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.settle(Err(AckError::Disconnected));
    }
}

impl AckWaiter {
    pub(super) fn answer(self, arguments: Arguments) {
        match self {
            // Gone if it has just timed out.
            Self::One(waiting) => drop(waiting.send(arguments)),
            Self::Many(mut share) => share.settle(Ok(arguments)),
        }
    }
}

/// Where an [`Adapter`](crate::adapter::Adapter) puts the answers to a broadcast. There are more to come as
/// long as a clone is held.
#[derive(Clone)]
pub struct AckSink {
    answers: mpsc::UnboundedSender<SocketAnswer<Arguments>>,
    asked: Arc<Mutex<Vec<(AckId, Socket)>>>,
}

impl AckSink {
    /// Adds the answer of a socket, or the reason why there is none. Its id is known if it is here.
    pub fn put(&self, socket: Option<&str>, result: Result<Arguments, AckError>) {
        // Nobody is interested any more once the stream is dropped.
        self.answers.send(SocketAnswer { socket: socket.map(str::to_owned), result }).ok();
    }

    /// Notes that a socket has been asked, to be given up in time.
    pub(super) fn note(&self, id: AckId, socket: Socket) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push((id, socket));
    }
}

impl fmt::Debug for AckSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckSink").finish_non_exhaustive()
    }
}

/// Both ends of a question to many, for an adapter that asks the sockets of this server for another.
pub fn gather_answers<R>(timeout: Duration) -> (AckSink, AckStream<R>) {
    let (sender, answers) = mpsc::unbounded_channel();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let stream = AckStream {
        answers,
        asked: Arc::clone(&asked),
        timeout: Some(Box::pin(tokio::time::sleep(timeout))),
        answer: PhantomData,
    };
    (AckSink { answers: sender, asked }, stream)
}

/// The answers of many sockets, in the order in which they come; see [`Broadcast::emit_with_ack`].
///
/// It ends when all have answered, disconnected, or run out of time. Dropping it gives up waiting.
///
/// [`Broadcast::emit_with_ack`]: crate::Broadcast::emit_with_ack
#[must_use = "without it nobody waits for the answers"]
pub struct AckStream<R> {
    answers: mpsc::UnboundedReceiver<SocketAnswer<Arguments>>,
    asked: Arc<Mutex<Vec<(AckId, Socket)>>>,
    /// Until it is over.
    timeout: Option<Pin<Box<Sleep>>>,
    answer: PhantomData<fn() -> R>,
}

/// The answer of one socket.
#[derive(Debug)]
pub struct SocketAnswer<R> {
    /// Its id, if it is connected to this server.
    pub socket: Option<String>,
    /// What it answered, or why there is no answer.
    pub result: Result<R, AckError>,
}

/// All answers of many sockets.
#[derive(Debug)]
pub struct Answers<R> {
    /// What was answered, in the order of arrival.
    pub answers: Vec<R>,
    /// Who did not answer, or not with an `R`: their ids, if they are connected to this server, and the
    /// reasons.
    pub missing: Vec<(Option<String>, AckError)>,
}

impl<R: DeserializeOwned> AckStream<R> {
    /// Waits for the next answer; `None` when there are no more to come.
    pub async fn next(&mut self) -> Option<SocketAnswer<R>> {
        std::future::poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// Waits for all answers.
    pub async fn collect(mut self) -> Answers<R> {
        let mut all = Answers { answers: Vec::new(), missing: Vec::new() };
        while let Some(SocketAnswer { socket, result }) = self.next().await {
            match result {
                Ok(answer) => all.answers.push(answer),
                Err(error) => all.missing.push((socket, error)),
            }
        }
        all
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<SocketAnswer<R>>> {
        self.poll_arguments(cx).map(|answer| {
            let SocketAnswer { socket, result } = answer?;
            Some(SocketAnswer { socket, result: result.and_then(|arguments| Ok(arguments.decode()?)) })
        })
    }
}

impl<R> AckStream<R> {
    /// Waits for the next answer and leaves it as it came, for an adapter that passes it on.
    pub async fn next_arguments(&mut self) -> Option<SocketAnswer<Arguments>> {
        std::future::poll_fn(|cx| self.poll_arguments(cx)).await
    }

    fn poll_arguments(&mut self, cx: &mut Context<'_>) -> Poll<Option<SocketAnswer<Arguments>>> {
        if self.timeout.as_mut().is_some_and(|timeout| timeout.as_mut().poll(cx).is_ready()) {
            self.timeout = None;
            self.give_up();
            // Those who answer for other servers may hold on to their ends, but time is up.
            self.answers.close();
        }
        self.answers.poll_recv(cx)
    }

    fn give_up(&self) {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        for (id, socket) in asked {
            if let Some(AckWaiter::Many(share)) = socket.take_waiter(id) {
                share.give_up(AckError::Timeout);
            }
        }
    }
}

impl<R: DeserializeOwned> Stream for AckStream<R> {
    type Item = SocketAnswer<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SocketAnswer<R>>> {
        self.poll_answer(cx)
    }
}

impl<R> Drop for AckStream<R> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<R> fmt::Debug for AckStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckStream").finish_non_exhaustive()
    }
}
