//! The connection that watches: Redis says on it which of the keys that it has read have changed.
//!
//! Redis's client tracking asks for nothing on the other side: whoever changes a key, by `SET`, `EXPIRE` or `DEL`, or
//! time, each of them causes one message to each connection that has read the key since the last one. So this connection
//! reads only. A write on it would disarm the key without a word.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use redis::{Client, ProtocolVersion, PushInfo, PushKind, Value, aio::MultiplexedConnection};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep, timeout_at},
};

use super::{backoff::Backoff, error::Failure, link::Address};
use crate::{Observer, Sid};

/// Who watches, and over which connection.
pub(super) struct Tracking {
    address: Address,
    prefix: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    observers: Vec<Weak<dyn Observer>>,
    watching: Option<Watching>,
    task: Option<AbortHandle>,
}

#[derive(Clone)]
struct Watching {
    connection: MultiplexedConnection,
    /// Wakes the task that is to replace the connection.
    broken: Arc<Notify>,
}

impl Tracking {
    pub(super) fn new(address: Address, prefix: String) -> Self {
        Self { address, prefix, state: Mutex::default() }
    }

    /// Adds an observer, and starts to watch if it is the first one.
    pub(super) fn watch(self: &Arc<Self>, observer: Weak<dyn Observer>) {
        let mut state = self.state();
        state.observers.retain(|observer| observer.strong_count() > 0);
        state.observers.push(observer);
        // It has ended if the runtime has in which it was started.
        if state.task.as_ref().is_none_or(AbortHandle::is_finished) {
            let task = keep_watching(Arc::downgrade(self), self.address.clone());
            state.task = Some(tokio::spawn(task).abort_handle());
        }
    }

    /// Reads a key so that the next change of it is told. `None` if nothing watches now: those who watch will be told
    /// that they have lost something once something does.
    pub(super) async fn get(&self, key: &str) -> Option<Result<Value, Failure>> {
        let Watching { mut connection, broken } = self.state().watching.clone()?;
        let timeout = self.address.response_timeout;
        let mut command = redis::cmd("GET");
        let answer = command.arg(key).query_async(&mut connection);
        let failure = match timeout_at(Instant::now() + timeout, answer).await {
            Ok(Ok(value)) => return Some(Ok(value)),
            Ok(Err(error)) => Failure::sending(&error),
            Err(_) => Failure::Silent(timeout),
        };
        match failure {
            Failure::Refused(_) => Some(Err(failure)),
            Failure::Silent(_) => {
                broken.notify_one();
                Some(Err(failure))
            }
            _ => None,
        }
    }

    fn hear(&self, message: PushInfo) {
        if message.kind != PushKind::Invalidate {
            return;
        }
        for item in message.data {
            match item {
                Value::Array(keys) => {
                    for sid in keys.iter().filter_map(|key| self.sid(key)) {
                        self.tell(|observer| observer.changed(&sid));
                    }
                }
                // The database was emptied.
                _ => self.tell(|observer| observer.lost()),
            }
        }
    }

    fn sid(&self, key: &Value) -> Option<Sid> {
        let Value::BulkString(key) = key else { return None };
        let sid = str::from_utf8(key).ok()?.strip_prefix(&self.prefix)?;
        Some(sid.into())
    }

    fn tell(&self, what: impl Fn(&dyn Observer)) {
        // Not under the lock: an observer may well call back.
        let observers: Vec<_> = self.state().observers.iter().filter_map(Weak::upgrade).collect();
        for observer in observers {
            what(&*observer);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        if let Some(task) = self.state().task.take() {
            task.abort();
        }
    }
}

/// Runs until the store is dropped, which it does not keep alive.
async fn keep_watching(tracking: Weak<Tracking>, address: Address) {
    let mut backoff = Backoff::default();
    loop {
        if let Ok(watching) = open(&tracking, &address).await {
            let Some(tracking_now) = tracking.upgrade() else { return };
            tracking_now.state().watching = Some(watching.clone());
            // Even the first time: what was loaded before is not watched.
            tracking_now.tell(|observer| observer.lost());
            drop(tracking_now);
            let connected = Instant::now();
            until_broken(watching, address.response_timeout).await;
            let Some(tracking_now) = tracking.upgrade() else { return };
            tracking_now.state().watching = None;
            // One that breaks as soon as it is there is a failure like one that never is.
            if connected.elapsed() > HEARTBEAT {
                backoff.reset();
            }
        }
        sleep(backoff.wait()).await;
    }
}

async fn open(tracking: &Weak<Tracking>, address: &Address) -> Result<Watching, Failure> {
    let info = address.client.get_connection_info().clone();
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client =
        Client::open(info.set_redis_settings(settings)).map_err(|error| Failure::connecting(&error))?;
    let broken = Arc::new(Notify::new());
    let (on_end, listener) = (Arc::clone(&broken), Weak::clone(tracking));
    let mut connection = address
        .open(&client, |config| {
            // Called by the task of the connection, in the order of what comes in: no queue that could grow.
            config.set_push_sender(move |message: PushInfo| {
                if message.kind == PushKind::Disconnection {
                    on_end.notify_one();
                } else if let Some(tracking) = listener.upgrade() {
                    tracking.hear(message);
                }
                Ok::<(), ()>(())
            })
        })
        .await?;
    let mut command = redis::cmd("CLIENT");
    let answer = command.arg("TRACKING").arg("ON").exec_async(&mut connection);
    match timeout_at(Instant::now() + address.response_timeout, answer).await {
        Ok(Ok(())) => Ok(Watching { connection, broken }),
        Ok(Err(error)) => Err(Failure::sending(&error)),
        Err(_) => Err(Failure::Silent(address.response_timeout)),
    }
}

/// Waits until the connection has ended or Redis does not answer on it any more.
async fn until_broken(watching: Watching, response_timeout: Duration) {
    let Watching { mut connection, broken } = watching;
    loop {
        tokio::select! {
            () = broken.notified() => return,
            () = sleep(HEARTBEAT) => {}
        }
        let ping = redis::cmd("PING");
        let answer = ping.exec_async(&mut connection);
        if !matches!(timeout_at(Instant::now() + response_timeout, answer).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// A connection that was cut without a word is noticed after this long at most, and the response timeout. Most networks
/// forget an idle connection after minutes, so that this keeps it, too.
const HEARTBEAT: Duration = Duration::from_secs(5);
