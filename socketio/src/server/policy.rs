//! Who is over a limit, and what becomes of it.

use super::{
    link::{Link, Request},
    socket::Socket,
};
use crate::limits::{Bucket, Excess, Limit, Limits, Rate};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A client that has crossed a limit; see [`ServerBuilder::on_limit`](crate::ServerBuilder::on_limit).
#[derive(Debug)]
pub struct LimitExceeded<'a> {
    /// The limit.
    pub limit: Limit,
    /// The connection of the client.
    pub connection: &'a engineio::Connection,
    /// The socket; `None` if it was about to join a namespace.
    pub socket: Option<&'a Socket>,
}

type Hook = Box<dyn Fn(&LimitExceeded<'_>) -> Excess + Send + Sync>;

/// The limits of a server, and who judges those that cross them.
pub(super) struct Policy {
    pub(super) limits: Limits,
    pub(super) hook: Option<Hook>,
    epoch: Instant,
    addresses: Mutex<Addresses>,
}

#[derive(Default)]
struct Addresses {
    meters: HashMap<IpAddr, Arc<Mutex<Meter>>>,
    /// At how many those are dropped that have nothing to remember.
    sweep_at: usize,
}

/// What is left of the rates of a socket or an address.
pub(super) struct Meter {
    events: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Policy {
    pub(super) fn new(limits: Limits, hook: Option<Hook>) -> Self {
        Self { limits, hook, epoch: Instant::now(), addresses: Mutex::default() }
    }

    /// Decides about a client that has crossed a limit, and closes its connection if that is the decision.
    pub(super) fn judge(&self, limit: Limit, link: &Link, socket: Option<&Socket>) {
        tracing::debug!(%limit, socket = socket.map(Socket::id), "a client is over a limit");
        let exceeded = LimitExceeded { limit, connection: &link.connection, socket };
        if self.hook.as_ref().map_or_else(Excess::default, |hook| hook(&exceeded)) == Excess::Close {
            link.request(Request::CloseForLimit(limit));
        }
    }

    /// Counts an event of so many bytes; the limit that it crosses, if any.
    #[inline]
    pub(super) fn count_event(&self, socket: &Socket, bytes: usize) -> Option<Limit> {
        let (own, address) = (socket.meter(), socket.link().meter());
        if own.is_none() && address.is_none() {
            return None;
        }
        self.measure(own, address, bytes)
    }

    /// Takes an event of so many bytes from what is left of the rates.
    fn measure(
        &self,
        own: Option<&Mutex<Meter>>,
        address: Option<&Mutex<Meter>>,
        bytes: usize,
    ) -> Option<Limit> {
        let Limits { events, bytes: byte_rate, address_events, address_bytes, .. } = self.limits;
        let now = self.now();
        let over = |meter: Option<&Mutex<Meter>>, events: Option<Rate>, rate: Option<Rate>| {
            let mut meter = lock(meter?);
            if !take(&mut meter.events, events, 1, now) {
                return Some(false);
            }
            (!take(&mut meter.bytes, rate, bytes, now)).then_some(true)
        };
        let pick = |of_bytes, bytes, events| if of_bytes { bytes } else { events };
        over(own, events, byte_rate).map(|of_bytes| pick(of_bytes, Limit::Bytes, Limit::Events)).or_else(
            || {
                over(address, address_events, address_bytes)
                    .map(|of_bytes| pick(of_bytes, Limit::AddressBytes, Limit::AddressEvents))
            },
        )
    }

    /// What a new socket is measured by.
    pub(super) fn socket_meter(&self) -> Option<Box<Mutex<Meter>>> {
        let Limits { events, bytes, .. } = self.limits;
        (events.is_some() || bytes.is_some()).then(|| Box::new(Mutex::new(self.meter(events, bytes))))
    }

    /// What all connections from an address are measured by.
    pub(super) fn address_meter(&self, address: Option<IpAddr>) -> Option<Arc<Mutex<Meter>>> {
        let Limits { address_events, address_bytes, .. } = self.limits;
        if address_events.is_none() && address_bytes.is_none() {
            return None;
        }
        let mut addresses = lock(&self.addresses);
        if addresses.meters.len() >= addresses.sweep_at {
            // One that is full and not in use has nothing to remember: it would be the same if made anew.
            let now = self.now();
            addresses.meters.retain(|_, meter| {
                Arc::strong_count(meter) > 1 || !lock(meter).is_full(address_events, address_bytes, now)
            });
            addresses.sweep_at = (addresses.meters.len() * 2).max(SWEEP_AT);
        }
        let made = || Arc::new(Mutex::new(self.meter(address_events, address_bytes)));
        Some(Arc::clone(addresses.meters.entry(address?).or_insert_with(made)))
    }

    fn meter(&self, events: Option<Rate>, bytes: Option<Rate>) -> Meter {
        let now = self.now();
        let full = |rate| Bucket::full(rate, now);
        Meter { events: events.map(full), bytes: bytes.map(full) }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}

impl Meter {
    fn is_full(&self, events: Option<Rate>, bytes: Option<Rate>, now: Duration) -> bool {
        let full = |bucket: Option<Bucket>, rate: Option<Rate>| {
            bucket.zip(rate).is_none_or(|(bucket, rate)| bucket.is_full(rate, now))
        };
        full(self.events, events) && full(self.bytes, bytes)
    }
}

fn take(bucket: &mut Option<Bucket>, rate: Option<Rate>, count: usize, now: Duration) -> bool {
    match (bucket, rate) {
        (Some(bucket), Some(rate)) => bucket.take(rate, count, now),
        _ => true,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Addresses that are remembered before any is dropped.
const SWEEP_AT: usize = 1024;
