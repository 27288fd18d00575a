//! Writing past the driver, for messages that go to many: to wake the task of each receiver costs as much as to
//! write.
//!
//! ```text
//!        driver falls asleep           send_now
//!  Off ----------------------> Idle -------------> Writing
//!   ^ ^                         | ^                 |   |
//!   | `------ driver wakes -----' `----- written ---'   |
//!   `----------------- the stream takes not all --------'
//! ```
//!
//! While somebody writes, the driver waits for a moment, and is told when to go on.

use std::task::Waker;

use bytes::Bytes;
use tokio::net::TcpStream;

use crate::{
    message::Outgoing,
    server::{
        connection::{Inlet, Phase, Shared},
        stream::with_write_buffer,
        websocket::push_message,
    },
};

/// Who has the WebSocket's stream.
#[derive(Default)]
pub(crate) enum Direct {
    /// Whoever sends first.
    Idle(TcpStream),
    /// The driver, if there is a WebSocket at all.
    #[default]
    Off,
    /// The driver, to which this is left to be written.
    Rest(TcpStream, Box<Bytes>),
    /// Somebody who is writing.
    Writing { driver_waits: bool },
}

/// What the driver finds when it wakes.
pub(crate) enum Returned {
    /// Somebody is writing, and will wake the driver.
    Busy,
    /// What it had, and what is to be written before anything else.
    Free(Option<(TcpStream, Option<Box<Bytes>>)>),
}

impl Direct {
    /// Takes the stream back for the driver.
    pub(crate) fn take_back(&mut self) -> Returned {
        match std::mem::take(self) {
            Self::Idle(stream) => Returned::Free(Some((stream, None))),
            Self::Off => Returned::Free(None),
            Self::Rest(stream, rest) => Returned::Free(Some((stream, Some(rest)))),
            Self::Writing { .. } => {
                *self = Self::Writing { driver_waits: true };
                Returned::Busy
            }
        }
    }
}

impl Shared {
    /// Writes messages at once if nothing is before them, without waking the driver; `None` if that cannot be, and
    /// they are to be queued.
    pub(crate) fn write_now(&self, messages: &mut dyn Iterator<Item = Outgoing>) -> Option<()> {
        let stream = {
            let mut inlet = self.lock();
            let idle = inlet.asleep && inlet.phase == Phase::Open && inlet.outbox.is_empty();
            match std::mem::take(&mut inlet.direct) {
                Direct::Idle(stream) if idle && inlet.errands.is_none() => {
                    inlet.direct = Direct::Writing { driver_waits: false };
                    stream
                }
                other => {
                    inlet.direct = other;
                    return None;
                }
            }
        };
        let waker = with_write_buffer(|frames| {
            for message in messages {
                push_message(frames, &message.message);
            }
            let written = write(&stream, frames);
            let mut inlet = self.lock();
            inlet.wrote(stream, &frames[written..])
        });
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(())
    }
}

impl Inlet {
    /// Gives the stream back; returns the driver, if it has to do the rest.
    fn wrote(&mut self, stream: TcpStream, rest: &[u8]) -> Option<Waker> {
        let waits = matches!(self.direct, Direct::Writing { driver_waits: true });
        if self.phase == Phase::Closed {
            self.direct = Direct::Off;
            return None;
        }
        if rest.is_empty() {
            self.direct = Direct::Idle(stream);
        } else {
            self.direct = Direct::Rest(stream, Box::new(Bytes::copy_from_slice(rest)));
        }
        if waits {
            return self.driver.clone();
        }
        if rest.is_empty() { None } else { self.wake_driver() }
    }
}

/// Writes as much as the stream takes at once. An error is left to the driver, whose own write will meet it.
fn write(stream: &TcpStream, frames: &[u8]) -> usize {
    let mut written = 0;
    while written < frames.len() {
        match stream.try_write(&frames[written..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => written += count,
        }
    }
    written
}
