//! Sessions in the memory of this process.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use super::{Created, Replaced, Revision, Store, StoreError, Versioned};
use crate::{CookieState, Record, Sid};

/// A [`Store`] for one process, gone with it.
///
/// An expired session is never returned. Its memory is freed by later writes, in the order of expiry, so that the work
/// is in proportion to what expires and no task is needed.
#[derive(Debug)]
pub struct MemoryStore {
    limits: MemoryLimits,
    table: Mutex<Table>,
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

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Sid, Entry>,
    expiry: BTreeSet<(Instant, Sid)>,
    bytes: usize,
    revision: u64,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    revision: u64,
    expires: Instant,
    bytes: usize,
}

impl MemoryStore {
    /// Makes an empty store with other limits than the default.
    pub fn with_limits(limits: MemoryLimits) -> Self {
        Self { limits, table: Mutex::default() }
    }

    /// Returns how many sessions are held, including expired ones that were not swept yet.
    pub fn len(&self) -> usize {
        self.table().entries.len()
    }

    /// Tells whether no session is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics while the table is locked")
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
    async fn load(&self, sid: &Sid) -> Result<Option<Versioned>, StoreError> {
        Ok(self.table().live(sid, Instant::now()).map(Entry::versioned))
    }

    async fn create(&self, sid: &Sid, record: &Record, ttl: Duration) -> Result<Created, StoreError> {
        let (now, mut table) = (Instant::now(), self.table());
        if table.live(sid, now).is_some() {
            return Ok(Created::Exists);
        }
        table.write(&self.limits, sid, record, ttl, now).map(Created::Done)
    }

    async fn replace(
        &self,
        sid: &Sid,
        seen: &Revision,
        record: &Record,
        ttl: Duration,
    ) -> Result<Replaced, StoreError> {
        let (now, mut table) = (Instant::now(), self.table());
        match table.live(sid, now) {
            None => Ok(Replaced::Gone),
            Some(entry) if revision(entry.revision) != *seen => {
                Ok(Replaced::Conflict(entry.versioned().into()))
            }
            Some(_) => table.write(&self.limits, sid, record, ttl, now).map(Replaced::Done),
        }
    }

    async fn put(&self, sid: &Sid, record: &Record, ttl: Duration) -> Result<(), StoreError> {
        self.table().write(&self.limits, sid, record, ttl, Instant::now()).map(drop)
    }

    async fn touch(&self, sid: &Sid, cookie: &CookieState, ttl: Duration) -> Result<bool, StoreError> {
        let (now, mut table) = (Instant::now(), self.table());
        table.sweep(now, SWEPT_PER_WRITE);
        if table.live(sid, now).is_none() {
            return Ok(false);
        }
        let mut entry = table.remove(sid).expect("it was there a line ago");
        entry.record.cookie = cookie.clone();
        entry.expires = now + ttl.min(LONGEST_TTL);
        table.add(sid, entry);
        Ok(true)
    }

    async fn destroy(&self, sid: &Sid) -> Result<bool, StoreError> {
        let (now, mut table) = (Instant::now(), self.table());
        Ok(table.remove(sid).is_some_and(|entry| entry.expires > now))
    }
}

impl Table {
    fn live(&self, sid: &Sid, now: Instant) -> Option<&Entry> {
        self.entries.get(sid).filter(|entry| entry.expires > now)
    }

    fn write(
        &mut self,
        limits: &MemoryLimits,
        sid: &Sid,
        record: &Record,
        ttl: Duration,
        now: Instant,
    ) -> Result<Revision, StoreError> {
        self.sweep(now, SWEPT_PER_WRITE);
        let bytes = sid.as_str().len() + record.to_json().len();
        if self.fits(limits, sid, bytes).is_err() {
            self.sweep(now, usize::MAX);
            self.fits(limits, sid, bytes)?;
        }
        self.remove(sid);
        self.revision += 1;
        let entry = Entry {
            record: record.clone(),
            revision: self.revision,
            expires: now + ttl.min(LONGEST_TTL),
            bytes,
        };
        self.add(sid, entry);
        Ok(revision(self.revision))
    }

    fn fits(&self, limits: &MemoryLimits, sid: &Sid, bytes: usize) -> Result<(), StoreError> {
        let replaced = self.entries.get(sid);
        let freed = replaced.map_or(0, |entry| entry.bytes);
        if replaced.is_none() && self.entries.len() >= limits.max_sessions {
            Err(StoreError::Full("max_sessions"))
        } else if self.bytes - freed + bytes > limits.max_bytes {
            Err(StoreError::Full("max_bytes"))
        } else {
            Ok(())
        }
    }

    fn sweep(&mut self, now: Instant, at_most: usize) {
        for _ in 0..at_most {
            match self.expiry.first() {
                Some((expires, sid)) if *expires <= now => {
                    let sid = sid.clone();
                    self.remove(&sid);
                }
                _ => break,
            }
        }
    }

    fn add(&mut self, sid: &Sid, entry: Entry) {
        self.bytes += entry.bytes;
        self.expiry.insert((entry.expires, sid.clone()));
        self.entries.insert(sid.clone(), entry);
    }

    fn remove(&mut self, sid: &Sid) -> Option<Entry> {
        let entry = self.entries.remove(sid)?;
        self.expiry.remove(&(entry.expires, sid.clone()));
        self.bytes -= entry.bytes;
        Some(entry)
    }
}

impl Entry {
    fn versioned(&self) -> Versioned {
        Versioned { record: self.record.clone(), revision: revision(self.revision) }
    }
}

fn revision(number: u64) -> Revision {
    Revision::new(number.to_be_bytes())
}

/// More than the one that a write can add, so that the dead never pile up; few enough that no write stalls.
const SWEPT_PER_WRITE: usize = 16;

/// A century: as good as for ever, and no sum of it and the clock overflows.
const LONGEST_TTL: Duration = Duration::from_secs(100 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn record(value: &str) -> Record {
        let mut record = Record::new(CookieState::default());
        record.values.insert("value", value).unwrap();
        record
    }

    fn sid(number: usize) -> Sid {
        Sid::from(format!("sid{number}").as_str())
    }

    async fn create(store: &MemoryStore, number: usize, ttl: Duration) -> Result<Revision, StoreError> {
        match store.create(&sid(number), &record("x"), ttl).await? {
            Created::Done(revision) => Ok(revision),
            Created::Exists => panic!("sid{number} exists"),
        }
    }

    #[tokio::test]
    async fn replaces_only_what_was_seen() {
        let store = MemoryStore::default();
        let first = create(&store, 1, MINUTE).await.unwrap();
        assert!(matches!(store.create(&sid(1), &record("y"), MINUTE).await, Ok(Created::Exists)));

        let Ok(Replaced::Done(second)) = store.replace(&sid(1), &first, &record("y"), MINUTE).await else {
            panic!("nobody else wrote")
        };
        let Ok(Replaced::Conflict(theirs)) = store.replace(&sid(1), &first, &record("z"), MINUTE).await
        else {
            panic!("the revision is an old one")
        };
        assert_eq!((theirs.record, theirs.revision), (record("y"), second.clone()));

        store.put(&sid(1), &record("blind"), MINUTE).await.unwrap();
        assert!(matches!(
            store.replace(&sid(1), &second, &record("z"), MINUTE).await,
            Ok(Replaced::Conflict(_))
        ));
        assert!(store.destroy(&sid(1)).await.unwrap());
        assert!(!store.destroy(&sid(1)).await.unwrap());
        assert!(matches!(store.replace(&sid(1), &second, &record("z"), MINUTE).await, Ok(Replaced::Gone)));
        assert!(store.load(&sid(1)).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn expires_on_access_and_lives_on_by_touch() {
        let store = MemoryStore::default();
        let revision = create(&store, 1, MINUTE).await.unwrap();
        tokio::time::advance(MINUTE / 2).await;
        assert!(store.touch(&sid(1), &CookieState::default(), MINUTE).await.unwrap());
        tokio::time::advance(MINUTE / 2).await;
        assert_eq!(store.load(&sid(1)).await.unwrap().unwrap().revision, revision);
        tokio::time::advance(MINUTE / 2).await;
        assert!(store.load(&sid(1)).await.unwrap().is_none());
        assert!(!store.touch(&sid(1), &CookieState::default(), MINUTE).await.unwrap());
        assert!(matches!(store.replace(&sid(1), &revision, &record("y"), MINUTE).await, Ok(Replaced::Gone)));
        create(&store, 1, MINUTE).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn writes_sweep_a_bounded_number_of_the_expired() {
        let store = MemoryStore::default();
        for number in 0..SWEPT_PER_WRITE + 5 {
            create(&store, number, MINUTE).await.unwrap();
        }
        create(&store, 100, MINUTE * 3).await.unwrap();
        tokio::time::advance(MINUTE * 2).await;
        create(&store, 101, Duration::MAX).await.unwrap();
        assert_eq!(store.len(), 5 + 2);
        create(&store, 102, MINUTE).await.unwrap();
        assert_eq!(store.len(), 3);
        assert_eq!(store.table().expiry.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_says_so_until_something_expires() {
        let limits = MemoryLimits { max_sessions: 40, ..MemoryLimits::default() };
        let store = MemoryStore::with_limits(limits);
        let mut revision = None;
        for number in 0..40 {
            revision = Some(create(&store, number, MINUTE).await.unwrap());
        }
        let error = create(&store, 40, MINUTE).await.unwrap_err();
        assert_eq!(error.to_string(), "the session store is full: max_sessions reached");
        let replaced = store.replace(&sid(39), &revision.unwrap(), &record("y"), MINUTE).await;
        assert!(matches!(replaced, Ok(Replaced::Done(_))));
        tokio::time::advance(MINUTE).await;
        create(&store, 41, MINUTE).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_needs_the_room_sweeps_all_the_expired() {
        let store = MemoryStore::with_limits(MemoryLimits { max_bytes: 5000, ..MemoryLimits::default() });
        for number in 0..SWEPT_PER_WRITE * 2 {
            create(&store, number, MINUTE).await.unwrap();
        }
        tokio::time::advance(MINUTE).await;
        store.put(&sid(100), &record(&"x".repeat(4800)), MINUTE).await.unwrap();
        assert_eq!(store.len(), 1);
    }

    #[tokio::test]
    async fn bytes_are_counted_and_returned() {
        let limits = MemoryLimits { max_bytes: 1000, ..MemoryLimits::default() };
        let store = MemoryStore::with_limits(limits);
        let revision = create(&store, 1, MINUTE).await.unwrap();
        let large = record(&"x".repeat(800));
        let Ok(Replaced::Done(revision)) = store.replace(&sid(1), &revision, &large, MINUTE).await else {
            panic!("the one record fits")
        };
        assert!(matches!(store.create(&sid(2), &large, MINUTE).await, Err(StoreError::Full("max_bytes"))));
        store.touch(&sid(1), &CookieState::default(), MINUTE).await.unwrap();
        store.replace(&sid(1), &revision, &record("x"), MINUTE).await.unwrap();
        store.create(&sid(2), &large, MINUTE).await.unwrap();
        store.destroy(&sid(1)).await.unwrap();
        store.destroy(&sid(2)).await.unwrap();
        assert!(store.is_empty());
        assert_eq!(store.table().bytes, 0);
    }
}
