//! What the sockets of one connection share with the task that drives it.

use super::policy::Meter;
use crate::{encoded::Encoded, limits::Limit};
use futures_util::task::AtomicWaker;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Waker},
};

/// The way from anywhere to the client and to the connection's task.
pub(super) struct Link {
    pub(super) connection: engineio::Connection,
    requests: AtomicU8,
    task: AtomicWaker,
    /// What all connections from the client's address are measured by.
    meter: Option<Arc<Mutex<Meter>>>,
}

/// What is asked of the connection's task, by calls from anywhere. A greater request includes the lesser.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
    Nothing,
    /// Some socket was disconnected: its disconnect handler is to run.
    NoticeDisconnected,
    /// The server is shutting down: the connection is to be closed when no handler is running.
    Drain,
    /// All sockets are to be disconnected, and the connection.
    Close,
    /// The connection is to be closed as the client is over a limit.
    CloseForLimit(Limit),
}

impl Link {
    pub(super) fn new(connection: engineio::Connection, meter: Option<Arc<Mutex<Meter>>>) -> Self {
        Self { connection, requests: AtomicU8::new(0), task: AtomicWaker::new(), meter }
    }

    pub(super) fn meter(&self) -> Option<&Mutex<Meter>> {
        self.meter.as_deref()
    }

    /// Sends what answers the client, or ends something: it never waits, nor fails but on a closed
    /// connection.
    pub(super) fn send_control(&self, packet: Encoded) {
        // A closed connection is reported by `on_close`.
        self.connection.force_send_all(packet.into_messages()).ok();
    }

    pub(super) fn notice_disconnected(&self) {
        self.request(1);
    }

    pub(super) fn drain(&self) {
        self.request(2);
    }

    pub(super) fn close(&self) {
        self.request(3);
    }

    pub(super) fn close_for(&self, limit: Limit) {
        self.request(4 + limit as u8);
    }

    fn request(&self, request: u8) {
        self.requests.fetch_max(request, Ordering::Release);
        self.task.wake();
    }

    /// Takes the greatest request; the task is woken for later ones. `registered` is by which waker, so that
    /// this costs next to nothing as long as there is nothing to do.
    pub(super) fn take_request(&self, registered: &mut Option<Waker>, cx: &Context<'_>) -> Request {
        if !registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *registered = Some(cx.waker().clone());
            self.task.register(cx.waker());
        }
        if self.requests.load(Ordering::Acquire) == 0 {
            return Request::Nothing;
        }
        let request = self.requests.swap(0, Ordering::AcqRel);
        // Whoever made the request has taken the waker, and somebody may have made one without finding it.
        self.task.register(cx.waker());
        if self.requests.load(Ordering::Acquire) != 0 {
            cx.waker().wake_by_ref();
        }
        match request {
            0 => Request::Nothing,
            1 => Request::NoticeDisconnected,
            2 => Request::Drain,
            3 => Request::Close,
            limit => Request::CloseForLimit(Limit::ALL[usize::from(limit - 4)]),
        }
    }
}
