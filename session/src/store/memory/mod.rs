//! Sessions in the memory of this process.

mod sweep;
mod table;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use self::table::Table;
use super::{Created, Lifetime, Observer, Replaced, Store, StoreError, Stored};
use crate::Sid;

/// A [`Store`] for one process, gone with it.
///
/// An expired session is never returned. Its memory is freed by later writes, in the order of expiry, so that the work
/// is in proportion to what expires; and by a task at the moment of expiry once somebody [watches](Store::watch).
#[derive(Debug)]
pub struct MemoryStore {
    browser_session: Duration,
    limits: MemoryLimits,
    shared: Arc<Shared>,
}

/// How much a [`MemoryStore`] takes; at a limit, writes fail with [`StoreError::Full`] until sessions have expired.
///
/// Nothing is evicted: that would let anybody who can open sessions log out everybody else.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    /// How many bytes of ids and JSON. Default 64 MiB, what a small machine can spare: 200,000 typical logins.
    pub max_bytes: usize,
    /// How many sessions. Default 200,000, where a typical login of 300 bytes meets the other limit.
    pub max_sessions: usize,
}

/// What the store has in common with the task that sweeps it.
#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    /// Tells the task that something expires earlier than what it waits for, or that the store is gone.
    wake: Arc<Notify>,
}

impl MemoryStore {
    /// Makes an empty store with other limits than the default.
    pub fn with_limits(limits: MemoryLimits) -> Self {
        Self { browser_session: BROWSER_SESSION, limits, shared: Arc::default() }
    }

    /// Keeps sessions this long after each use whose cookies last until the browser is closed. Default: a day, as
    /// connect-redis. Zero would end them at once.
    pub fn browser_session(mut self, lifetime: Duration) -> Self {
        self.browser_session = lifetime;
        self
    }

    /// Returns how many sessions are held, including expired ones that were not swept yet.
    pub fn len(&self) -> usize {
        self.shared.table().len()
    }

    /// Tells whether no session is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns when a session ends that is written now; one that is not there has no lifetime to keep.
    fn expiry(&self, lifetime: Lifetime, former: Option<Instant>, now: Instant) -> Instant {
        match (lifetime, former) {
            (Lifetime::For(lifetime), _) => now + lifetime.min(LONGEST_LIFETIME),
            (Lifetime::Unchanged, Some(former)) => former,
            (Lifetime::Browser | Lifetime::Unchanged, _) => now + self.browser_session.min(LONGEST_LIFETIME),
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_limits(MemoryLimits::default())
    }
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { max_bytes: 64 * 1024 * 1024, max_sessions: 200_000 }
    }
}

impl Store for MemoryStore {
    async fn load(&self, sid: &Sid) -> Result<Option<Stored>, StoreError> {
        Ok(self.shared.table().live(sid, Instant::now()).map(|entry| entry.record.clone()))
    }

    async fn create(&self, sid: &Sid, record: &Stored, lifetime: Lifetime) -> Result<Created, StoreError> {
        self.shared.change(|table, now| {
            if table.live(sid, now).is_some() {
                return Ok(Created::Exists);
            }
            let expires = self.expiry(lifetime, None, now);
            table.write(&self.limits, sid, record, expires, now).map(|()| Created::Done)
        })
    }

    async fn replace(
        &self,
        sid: &Sid,
        seen: &Stored,
        record: &Stored,
        lifetime: Lifetime,
    ) -> Result<Replaced, StoreError> {
        self.shared.change(|table, now| {
            let Some(entry) = table.live(sid, now) else { return Ok(Replaced::Gone) };
            if !entry.record.is_same(seen) {
                return Ok(Replaced::Conflict(entry.record.clone()));
            }
            let expires = self.expiry(lifetime, Some(entry.expires), now);
            table.write(&self.limits, sid, record, expires, now).map(|()| Replaced::Done)
        })
    }

    async fn put(&self, sid: &Sid, record: &Stored, lifetime: Lifetime) -> Result<(), StoreError> {
        self.shared.change(|table, now| {
            let former = table.live(sid, now).map(|entry| entry.expires);
            table.write(&self.limits, sid, record, self.expiry(lifetime, former, now), now)
        })
    }

    async fn touch(&self, sid: &Sid, lifetime: Lifetime) -> Result<bool, StoreError> {
        self.shared.change(|table, now| {
            let Some(entry) = table.live(sid, now) else { return Ok(false) };
            let expires = self.expiry(lifetime, Some(entry.expires), now);
            table.touch(sid, expires, now);
            Ok(true)
        })
    }

    async fn destroy(&self, sid: &Sid) -> Result<bool, StoreError> {
        self.shared.change(|table, now| Ok(table.destroy(sid, now)))
    }

    fn watch(&self, observer: Weak<dyn Observer>) -> bool {
        let mut table = self.shared.table();
        table.watch(observer);
        // Also if the task died with the runtime that it was spawned in.
        if table.sweeper.as_ref().is_none_or(AbortHandle::is_finished) {
            let task = sweep::run(Arc::downgrade(&self.shared), self.shared.wake.clone());
            table.sweeper = Some(tokio::spawn(task).abort_handle());
        }
        true
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics while the table is locked")
    }

    /// Changes the table and then, unlocked, tells those who watch it.
    fn change<T>(&self, change: impl FnOnce(&mut Table, Instant) -> T) -> T {
        let mut table = self.table();
        let awaited = table.next_expiry();
        let outcome = change(&mut table, Instant::now());
        let earlier = match (table.next_expiry(), awaited) {
            (Some(next), Some(awaited)) => next < awaited,
            (next, _) => next.is_some(),
        };
        let notices = table.take_notices();
        drop(table);
        if earlier {
            self.wake.notify_one();
        }
        notices.tell();
        outcome
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// The `ttl` that connect-redis takes for a cookie without `Expires`.
const BROWSER_SESSION: Duration = Duration::from_secs(86_400);

/// A century: as good as for ever, and no sum of it and the clock overflows.
const LONGEST_LIFETIME: Duration = Duration::from_secs(100 * 365 * 86_400);
