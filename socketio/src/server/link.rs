//! The way from anywhere to a client, and to the task that drives its connection.

use super::policy::Meter;
use crate::{encoded::Encoded, limits::Limit};
use std::{
    num::NonZeroU8,
    sync::{Arc, Mutex},
};

/// What the sockets of one connection share with the task that drives it. A clone is another handle to the same.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) connection: engineio::Connection,
    /// What all connections from the client's address are measured by.
    meter: Option<Arc<Mutex<Meter>>>,
}

/// What is asked of the connection's task, by calls from anywhere. A greater request includes the lesser.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
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
        Self { connection, meter }
    }

    pub(super) fn meter(&self) -> Option<&Mutex<Meter>> {
        self.meter.as_deref()
    }

    /// Sends what answers the client, or ends something: it never waits, nor fails but on a closed
    /// connection.
    pub(super) fn send_control(&self, packet: Encoded) {
        let sent = match packet.into_message() {
            Ok(message) => self.connection.force_send(message),
            Err(packet) => self.connection.force_send_all(packet.into_messages()),
        };
        // A closed connection is reported by `on_close`.
        sent.ok();
    }

    pub(super) fn request(&self, request: Request) {
        self.connection.notify_handler(request.into());
    }
}

impl From<Request> for NonZeroU8 {
    fn from(request: Request) -> Self {
        let code = match request {
            Request::NoticeDisconnected => 0,
            Request::Drain => 1,
            Request::Close => 2,
            Request::CloseForLimit(limit) => 3 + limit as u8,
        };
        Self::MIN.saturating_add(code)
    }
}

impl From<NonZeroU8> for Request {
    fn from(notice: NonZeroU8) -> Self {
        match notice.get() - 1 {
            0 => Self::NoticeDisconnected,
            1 => Self::Drain,
            2 => Self::Close,
            limit => Self::CloseForLimit(Limit::ALL[usize::from(limit - 3)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_arrives_as_it_was_made_and_includes_those_before() {
        let for_limits = Limit::ALL.map(Request::CloseForLimit);
        let all = [&[Request::NoticeDisconnected, Request::Drain, Request::Close][..], &for_limits].concat();
        let notices: Vec<NonZeroU8> = all.iter().map(|request| (*request).into()).collect();
        assert!(notices.is_sorted_by(|lesser, greater| lesser < greater));
        assert_eq!(notices.into_iter().map(Request::from).collect::<Vec<_>>(), all);
    }
}
