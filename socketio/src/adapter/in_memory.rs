//! The adapter of a single server, which also keeps what recovery needs.

use super::{
    Adapter, Emission, Local, SavedSocket,
    log::{Bounds, Log},
};
use crate::{
    encoded::{EncodeError, Encoded},
    error::SendError,
    server::Socket,
};
use futures_util::future::BoxFuture;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Options of connection state recovery: a client that loses its connection for a short time gets its socket
/// back, with id, rooms, data, and the events that it missed.
///
/// Whatever is sent to it without asking for an answer, by itself or in a broadcast, and not volatile, is kept
/// in memory for [`max_disconnection`](Self::max_disconnection). The client asks with a private id, which the
/// server takes once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Recovery {
    /// How long a client may be away; 2 minutes by default, as the official server.
    pub max_disconnection: Duration,
    /// Whether a socket that comes back is not judged by middleware again; `true` by default, as the official
    /// server.
    pub skip_middleware: bool,
    /// Bytes of packets that are kept for each namespace; 16 MiB by default. The oldest are dropped beyond
    /// it, and who missed them is not recovered but starts anew, which it is told.
    pub max_bytes: usize,
    /// Sockets that are kept for each namespace; 100,000 by default. The oldest are dropped beyond it.
    pub max_sockets: usize,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            max_disconnection: Duration::from_secs(120),
            skip_middleware: true,
            max_bytes: 16 << 20,
            max_sockets: 100_000,
        }
    }
}

/// The adapter of a server that is alone.
#[derive(Default)]
pub struct InMemory {
    recovery: Option<Arc<Recoverable>>,
}

struct Recoverable {
    log: Mutex<Log>,
    bounds: Bounds,
    epoch: Instant,
    /// Whether a task drops what is too old; it ends when there is nothing.
    swept: Mutex<bool>,
}

impl InMemory {
    /// Makes an adapter from which sockets recover.
    pub fn with_recovery(recovery: &Recovery) -> Self {
        let bounds = Bounds {
            age: recovery.max_disconnection,
            bytes: recovery.max_bytes,
            sockets: recovery.max_sockets,
        };
        let recoverable =
            Recoverable { log: Mutex::default(), bounds, epoch: Instant::now(), swept: Mutex::default() };
        Self { recovery: Some(Arc::new(recoverable)) }
    }
}

impl Recoverable {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Makes sure that what has been kept is dropped in time.
    fn sweep_later(self: &Arc<Self>) {
        // Outside of a runtime, the next call within one does it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if std::mem::replace(&mut *self.swept.lock().unwrap_or_else(PoisonError::into_inner), true) {
            return;
        }
        let this = Arc::clone(self);
        runtime.spawn(async move {
            loop {
                let next = {
                    let mut swept = this.swept.lock().unwrap_or_else(PoisonError::into_inner);
                    let next = this.log().sweep(this.now(), &this.bounds);
                    *swept = next.is_some();
                    next
                };
                let Some(next) = next else { return };
                // As good as never, if it overflows.
                sleep_until(this.epoch.checked_add(next).unwrap_or_else(far_future)).await;
            }
        });
    }
}

impl Adapter for InMemory {
    fn broadcast(&self, local: &Local, emission: &Emission<'_>) -> Result<(), EncodeError> {
        let Some(recovery) = self.recovery.as_ref().filter(|_| !emission.flags.volatile) else {
            local.deliver(&emission.encode(None)?, emission.target, emission.flags);
            return Ok(());
        };
        {
            // Held while the packet is queued everywhere, so that all clients see the same order as the log.
            let mut log = recovery.log();
            let packet = emission.encode(Some(&log.next_offset()))?;
            local.deliver(&packet, emission.target, emission.flags);
            log.push(packet, emission.target.clone(), recovery.now(), &recovery.bounds);
        }
        recovery.sweep_later();
        Ok(())
    }

    fn emit(&self, _: &Local, socket: &Socket, emission: &Emission<'_>) -> Result<(), SendError> {
        let Some(recovery) = &self.recovery else { return socket.send(&emission.encode(None)?) };
        {
            let mut log = recovery.log();
            let packet = emission.encode(Some(&log.next_offset()))?;
            // What is refused is the caller's to deal with, and not to be recovered.
            socket.send(&packet)?;
            log.push(packet, emission.target.clone(), recovery.now(), &recovery.bounds);
        }
        recovery.sweep_later();
        Ok(())
    }

    fn recovers(&self) -> bool {
        self.recovery.is_some()
    }

    fn save(&self, _: &Local, socket: SavedSocket) {
        if let Some(recovery) = &self.recovery {
            recovery.log().save(socket, recovery.now(), &recovery.bounds);
            recovery.sweep_later();
        }
    }

    fn restore<'a>(
        &'a self,
        _: &'a Local,
        pid: &'a str,
        offset: &'a str,
    ) -> BoxFuture<'a, Option<SavedSocket>> {
        Box::pin(async move {
            let recovery = self.recovery.as_ref()?;
            let mut log = recovery.log();
            log.sweep(recovery.now(), &recovery.bounds);
            log.claim(pid, offset)
        })
    }

    fn resume(
        &self,
        _: &Local,
        socket: &SavedSocket,
        offset: &str,
        open: &mut dyn FnMut(Vec<Encoded>),
    ) -> bool {
        let Some(recovery) = &self.recovery else { return false };
        // Held while the socket is opened, so that nothing is sent between what it missed and what it gets.
        let log = recovery.log();
        let missed = log.since(offset, socket);
        let kept = missed.is_some();
        missed.into_iter().for_each(open);
        kept
    }
}

fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(86_400 * 365)
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").field("recovers", &self.recovery.is_some()).finish()
    }
}
