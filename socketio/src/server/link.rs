//! What the sockets of one connection share with the task that drives it.

use crate::packet::Encoded;
use futures_util::task::AtomicWaker;
use std::{
    sync::atomic::{AtomicU8, Ordering},
    task::Context,
};

/// The way from anywhere to the client and to the connection's task.
pub(super) struct Link {
    pub(super) connection: engineio::Connection,
    requests: AtomicU8,
    task: AtomicWaker,
}

/// What is asked of the connection's task, by calls on sockets from anywhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
    /// Nothing.
    Nothing,
    /// Some socket was disconnected: its disconnect handler is to run.
    NoticeDisconnected,
    /// All sockets are to be disconnected, and the connection.
    Close,
}

impl Link {
    pub(super) fn new(connection: engineio::Connection) -> Self {
        Self { connection, requests: AtomicU8::new(Request::Nothing as u8), task: AtomicWaker::new() }
    }

    /// Sends what answers the client, or ends something: it never waits, nor fails but on a closed
    /// connection.
    pub(super) fn send_control(&self, packet: &Encoded) {
        // A closed connection is reported by `on_close`.
        self.connection.force_send_all(packet.messages()).ok();
    }

    /// Makes a request, unless a greater one is pending.
    pub(super) fn request(&self, request: Request) {
        self.requests.fetch_max(request as u8, Ordering::Release);
        self.task.wake();
    }

    /// Takes the pending request; the task is woken for later ones.
    pub(super) fn take_request(&self, cx: &Context<'_>) -> Request {
        self.task.register(cx.waker());
        if self.requests.load(Ordering::Acquire) == Request::Nothing as u8 {
            return Request::Nothing;
        }
        if self.requests.swap(Request::Nothing as u8, Ordering::AcqRel) == Request::Close as u8 {
            Request::Close
        } else {
            Request::NoticeDisconnected
        }
    }
}
