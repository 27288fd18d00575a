//! The connection for commands: one for all, connected when it is needed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, Cmd, Value, aio::MultiplexedConnection};
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep_until, timeout_at},
};

use super::{backoff::Backoff, error::Failure};

/// How to reach Redis and how long to wait for it.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) client: Client,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
}

/// Sends commands of any number of tasks over one connection, without waiting for the answer to one before sending the
/// next. A broken connection is replaced when the next command comes, at most as often as [`Backoff`] allows; until then
/// commands fail at once.
#[derive(Clone)]
pub(super) struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    address: Address,
    live: Mutex<Option<Live>>,
    /// Locked by the one who connects.
    pace: Arc<tokio::sync::Mutex<Pace>>,
}

#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    /// Which connection it is, as those who find it broken may be late.
    number: u64,
}

#[derive(Default)]
struct Pace {
    number: u64,
    backoff: Backoff,
    /// The last attempt has failed; the next one may be then.
    failed: Option<(Failure, Instant)>,
}

/// Whether a command may be sent again when the connection was lost before its answer came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Resend {
    /// It reads, or to do it twice is the same as once.
    Safe,
    /// It may overwrite what others have written since.
    Never,
}

/// The answer to a command.
pub(super) struct Reply {
    pub(super) value: Value,
    /// The command was sent before, and it is not known whether Redis got it.
    pub(super) resent: bool,
}

impl Address {
    /// Opens a connection; `configure` adds to what is configured here.
    pub(super) async fn open(
        &self,
        client: &Client,
        configure: impl FnOnce(AsyncConnectionConfig) -> AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, Failure> {
        // The library's own response timeout is off: it would leave a connection in use that may be dead.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None)
            .set_concurrency_limit(IN_FLIGHT)
            .set_pipeline_buffer_size(QUEUED);
        let config = configure(config);
        let opening = client.get_multiplexed_async_connection_with_config(&config);
        match timeout_at(Instant::now() + self.connect_timeout, opening).await {
            Ok(result) => result.map_err(|error| Failure::connecting(&error)),
            Err(_) => Err(Failure::connecting_took(self.connect_timeout)),
        }
    }
}

impl Link {
    pub(super) fn new(address: Address) -> Self {
        Self { shared: Arc::new(Shared { address, live: Mutex::default(), pace: Arc::default() }) }
    }

    /// Sends a command and waits for the answer, for no longer than the response timeout, all attempts included.
    pub(super) async fn run(&self, command: &Cmd, resend: Resend) -> Result<Reply, Failure> {
        let timeout = self.shared.address.response_timeout;
        let deadline = Instant::now() + timeout;
        let (mut resent, mut left) = (false, RESENDS);
        loop {
            let live = match timeout_at(deadline, self.shared.live()).await {
                Ok(Ok(live)) => live,
                // Nothing was sent, so any command may wait for the next attempt, if that is soon.
                Ok(Err((Failure::Unreachable(_), next)))
                    if left > 0 && next < deadline.min(Instant::now() + WORTH_WAITING) =>
                {
                    left -= 1;
                    sleep_until(next).await;
                    continue;
                }
                Ok(Err((failure, _))) => return Err(failure),
                Err(_) => return Err(Failure::Silent(timeout)),
            };
            let Live { mut connection, number } = live;
            let failure = match timeout_at(deadline, command.query_async(&mut connection)).await {
                Ok(Ok(value)) => return Ok(Reply { value, resent }),
                Ok(Err(error)) => Failure::sending(&error),
                // Redis is busy, or the way there is cut and nobody says so: a new connection is what helps then.
                Err(_) => Failure::Silent(timeout),
            };
            if matches!(failure, Failure::Refused(_)) {
                return Err(failure);
            }
            self.shared.discard(number);
            if !matches!(failure, Failure::Lost(_)) || resend == Resend::Never || left == 0 {
                return Err(failure);
            }
            resent = true;
            left -= 1;
        }
    }
}

impl Shared {
    /// Returns the connection, or why there is none and when to ask again.
    async fn live(self: &Arc<Self>) -> Result<Live, (Failure, Instant)> {
        if let Some(live) = &*self.slot() {
            return Ok(live.clone());
        }
        let pace = Arc::clone(&self.pace).lock_owned().await;
        if let Some(live) = &*self.slot() {
            return Ok(live.clone());
        }
        if let Some((failure, next)) = &pace.failed
            && Instant::now() < *next
        {
            return Err((failure.clone(), *next));
        }
        // In a task, so that it goes on when the one who needs it gives up: the next one finds it done.
        let connecting = tokio::spawn(Arc::clone(self).connect(pace));
        connecting.await.unwrap_or_else(|_| Err((Failure::ending(), Instant::now())))
    }

    async fn connect(self: Arc<Self>, mut pace: OwnedMutexGuard<Pace>) -> Result<Live, (Failure, Instant)> {
        match self.address.open(&self.address.client, |config| config).await {
            Ok(connection) => {
                pace.number += 1;
                pace.failed = None;
                pace.backoff.reset();
                let live = Live { connection, number: pace.number };
                *self.slot() = Some(live.clone());
                Ok(live)
            }
            Err(failure) => {
                let next = Instant::now() + pace.backoff.wait();
                pace.failed = Some((failure.clone(), next));
                Err((failure, next))
            }
        }
    }

    fn discard(&self, number: u64) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|live| live.number == number) {
            *slot = None;
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enough for a Redis that was restarted or a connection that a proxy has closed; who needs more has an outage.
const RESENDS: usize = 2;

/// How long a command waits for the next attempt to connect. A Redis that is restarted is back by then; in an outage, where
/// attempts are more seldom, commands fail at once.
const WORTH_WAITING: Duration = Duration::from_millis(250);

/// Commands that wait for their answer. Redis answers a hundred thousand a second, so that more would wait for longer
/// than a user does; those who are too many wait before they are sent, within their response timeout.
const IN_FLIGHT: usize = 4096;

/// Commands that wait to be written, some hundred bytes each: what one write of the socket takes.
const QUEUED: usize = 256;
