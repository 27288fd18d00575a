//! How much a client may ask for, and what happens when it asks for more.

use std::{fmt, time::Duration};

/// What one client, or all clients of one address, may ask for.
///
/// Whoever crosses a limit is judged by [`ServerBuilder::on_limit`](crate::ServerBuilder::on_limit): what
/// it asked for is refused, which is the default, or its connection is closed. Limits of the bytes and
/// connections below are in [`engineio::Config`].
///
/// ```
/// use socketio::{Limits, Rate};
///
/// let limits = Limits {
///     events: Some(Rate::per_second(50).burst(200)),
///     rooms: 20,
///     ..Limits::default()
/// };
/// # let _ = socketio::Server::builder().limits(limits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Events of one socket; no limit by default, as only the program knows what is normal.
    pub events: Option<Rate>,
    /// Bytes of the events of one socket, attachments included; no limit by default.
    pub bytes: Option<Rate>,
    /// Events of all sockets of one address together; no limit by default, as many people may be behind one.
    pub address_events: Option<Rate>,
    /// Bytes of the events of all sockets of one address together; no limit by default.
    pub address_bytes: Option<Rate>,
    /// Handlers of one connection that wait, and events that wait for their turn in an
    /// [ordered](crate::Namespace::ordered) namespace; 1,024 by default. While there are so many, nothing is
    /// read from the client, not even answers that they may be waiting for: it feels it, and loses nothing.
    pub parked: usize,
    /// Acknowledgements of one client that are waited for at a time; 10,000 by default, far above what a
    /// client answers in the time that most give it. One more is
    /// [`AckError::TooManyPending`](crate::AckError::TooManyPending).
    pub pending_acks: usize,
    /// Rooms that one socket may be in; 1,000 by default. Joining fails beyond it.
    pub rooms: usize,
    /// Namespaces that one connection may be in; 100 by default. A CONNECT beyond it is refused.
    pub namespaces: usize,
    /// Attachments of one packet, in and out; 10 by default, as the official parsers.
    pub attachments: usize,
    /// Bytes of the attachments of one packet; 10 MB by default: as many attachments of as many bytes as the
    /// official server takes.
    pub attachment_bytes: usize,
    /// How long each attachment of a packet that has begun may be waited for; 30 s by default, which is a
    /// megabyte over the slowest of mobile lines. The connection is closed after it.
    pub attachment_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: None,
            bytes: None,
            address_events: None,
            address_bytes: None,
            parked: 1024,
            pending_acks: 10_000,
            rooms: 1000,
            namespaces: 100,
            attachments: crate::packet::MAX_ATTACHMENTS,
            attachment_bytes: 10_000_000,
            attachment_timeout: Duration::from_secs(30),
        }
    }
}

/// How many of something are allowed in the long run, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    per_second: f64,
    burst: f64,
}

impl Rate {
    /// So many per second, and as many at once.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    pub fn per_second(count: u32) -> Self {
        assert!(count > 0, "a rate of 0 allows nothing");
        Self { per_second: count.into(), burst: count.into() }
    }

    /// Allows `count` at once, after a pause that was long enough.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    #[must_use]
    pub fn burst(self, count: u32) -> Self {
        assert!(count > 0, "a burst of 0 allows nothing");
        Self { burst: count.into(), ..self }
    }
}

/// What a client has asked too much of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::address_bytes`].
    AddressBytes,
    /// [`Limits::address_events`].
    AddressEvents,
    /// [`Limits::bytes`].
    Bytes,
    /// [`Limits::events`].
    Events,
    /// [`Limits::namespaces`].
    Namespaces,
    /// [`Limits::pending_acks`].
    PendingAcks,
    /// [`Limits::rooms`].
    Rooms,
}

impl Limit {
    /// All limits, each at the place of its number.
    pub(crate) const ALL: [Self; 7] = [
        Self::AddressBytes,
        Self::AddressEvents,
        Self::Bytes,
        Self::Events,
        Self::Namespaces,
        Self::PendingAcks,
        Self::Rooms,
    ];
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressBytes => "too many bytes from this address",
            Self::AddressEvents => "too many events from this address",
            Self::Bytes => "too many bytes",
            Self::Events => "too many events",
            Self::Namespaces => "too many namespaces",
            Self::PendingAcks => "too many acknowledgements are waited for",
            Self::Rooms => "too many rooms",
        })
    }
}

/// What becomes of a client that is over a limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Excess {
    /// Its connection is closed, as [`LimitExceeded`](crate::DisconnectReason::LimitExceeded).
    Close,
    /// What it asked for is not done, and it is told so where it waits for an answer.
    #[default]
    Refuse,
}

/// What is left of a [`Rate`]: a bucket of `burst` tokens that fills up again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    /// Since the epoch of the caller's choice.
    filled: Duration,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, now: Duration) -> Self {
        Self { tokens: rate.burst, filled: now }
    }

    /// Takes tokens, if there are any: what is larger than the bucket passes when that is full, and is paid
    /// for later.
    pub(crate) fn take(&mut self, rate: Rate, count: usize, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * rate.per_second).min(rate.burst);
        self.filled = self.filled.max(now);
        let count = count as f64;
        let allowed = self.tokens >= count.min(rate.burst);
        if allowed {
            self.tokens -= count;
        }
        allowed
    }

    /// Whether it would be full, so that it need not be kept.
    pub(crate) fn is_full(&self, rate: Rate, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        self.tokens + passed * rate.per_second >= rate.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, rate: Rate, at: f64) -> usize {
        (0..1000).take_while(|_| bucket.take(rate, 1, Duration::from_secs_f64(at))).count()
    }

    #[test]
    fn limits_have_numbers() {
        assert!(Limit::ALL.iter().enumerate().all(|(number, &limit)| limit as usize == number));
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let rate = Rate::per_second(10).burst(25);
        let mut bucket = Bucket::full(rate, Duration::ZERO);
        assert_eq!(taken(&mut bucket, rate, 0.0), 25);
        assert!(!bucket.is_full(rate, Duration::from_secs(2)));
        assert_eq!(taken(&mut bucket, rate, 1.0), 10);
        assert_eq!(taken(&mut bucket, rate, 1.5), 5);
        assert!(bucket.is_full(rate, Duration::from_secs(4)));
        assert_eq!(taken(&mut bucket, rate, 1000.0), 25);
        // A clock that stands still or goes back gives nothing.
        assert_eq!(taken(&mut bucket, rate, 0.0), 0);
    }

    #[test]
    fn what_is_larger_than_the_bucket_is_paid_for_later() {
        let rate = Rate::per_second(10);
        let mut bucket = Bucket::full(rate, Duration::ZERO);
        assert!(bucket.take(rate, 100, Duration::ZERO));
        assert!(!bucket.take(rate, 1, Duration::from_secs(9)));
        assert!(bucket.take(rate, 1, Duration::from_secs_f64(9.2)));
    }
}
