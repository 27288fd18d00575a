//! The sessions by id and by expiry, and what is to be told of them. No task and no clock: the time is an argument.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::{Arc, Weak},
};

use tokio::{task::AbortHandle, time::Instant};

use super::MemoryLimits;
use crate::{Observer, Sid, StoreError, Stored};

#[derive(Debug)]
pub(super) struct Table {
    entries: HashMap<Sid, Entry>,
    expiry: BTreeSet<(Instant, Sid)>,
    bytes: usize,
    /// Shared with notices on their way, which outlive the lock.
    observers: Arc<[Weak<dyn Observer>]>,
    /// Whose text has changed, or that have ended, since notices were last taken; kept only for observers.
    changed: Vec<Sid>,
    /// The task that sweeps, once it was needed.
    pub(super) sweeper: Option<AbortHandle>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: Stored,
    pub(super) expires: Instant,
}

/// Sessions that have changed, and who wants to know.
#[must_use]
pub(super) struct Notices {
    observers: Arc<[Weak<dyn Observer>]>,
    changed: Vec<Sid>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn live(&self, sid: &Sid, now: Instant) -> Option<&Entry> {
        self.entries.get(sid).filter(|entry| entry.expires > now)
    }

    /// When the next session expires, or has expired.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiry.first().map(|(expires, _)| *expires)
    }

    /// Stores the text until `expires`; if that has passed, the session ends, and none is stored.
    pub(super) fn write(
        &mut self,
        limits: &MemoryLimits,
        sid: &Sid,
        record: &Stored,
        expires: Instant,
        now: Instant,
    ) -> Result<(), StoreError> {
        self.sweep(now, SWEPT_PER_WRITE);
        if expires > now && self.check_room(limits, sid, record).is_err() {
            self.sweep(now, usize::MAX);
            self.check_room(limits, sid, record)?;
        }
        let former = self.remove(sid);
        if expires > now {
            let is_unchanged = |former: &Entry| former.expires > now && former.record.is_same(record);
            if !former.as_ref().is_some_and(is_unchanged) {
                self.note(sid);
            }
            self.add(sid, Entry { record: record.clone(), expires });
        } else if former.is_some() {
            self.note(sid);
        }
        Ok(())
    }

    /// Moves the expiry; if the new one has passed, the session ends.
    pub(super) fn touch(&mut self, sid: &Sid, expires: Instant, now: Instant) {
        self.sweep(now, SWEPT_PER_WRITE);
        let Some(entry) = self.remove(sid) else { return };
        if expires > now {
            self.add(sid, Entry { expires, ..entry });
        } else {
            self.note(sid);
        }
    }

    /// Removes the session and tells whether it had not expired.
    pub(super) fn destroy(&mut self, sid: &Sid, now: Instant) -> bool {
        let Some(entry) = self.remove(sid) else { return false };
        self.note(sid);
        entry.expires > now
    }

    /// Frees expired sessions, those first that expired first.
    pub(super) fn sweep(&mut self, now: Instant, at_most: usize) {
        for _ in 0..at_most {
            match self.expiry.first() {
                Some((expires, sid)) if *expires <= now => {
                    let sid = sid.clone();
                    self.remove(&sid);
                    self.note(&sid);
                }
                _ => break,
            }
        }
    }

    /// Adds an observer, and forgets those that are gone.
    pub(super) fn watch(&mut self, observer: Weak<dyn Observer>) {
        let alive = self.observers.iter().filter(|observer| observer.strong_count() > 0);
        self.observers = alive.cloned().chain([observer]).collect();
    }

    pub(super) fn take_notices(&mut self) -> Notices {
        Notices { observers: self.observers.clone(), changed: mem::take(&mut self.changed) }
    }

    fn note(&mut self, sid: &Sid) {
        if !self.observers.is_empty() {
            self.changed.push(sid.clone());
        }
    }

    fn check_room(&self, limits: &MemoryLimits, sid: &Sid, record: &Stored) -> Result<(), StoreError> {
        let replaced = self.entries.get(sid);
        let freed = replaced.map_or(0, |entry| size(sid, &entry.record));
        if replaced.is_none() && self.entries.len() >= limits.max_sessions {
            Err(StoreError::Full("max_sessions"))
        } else if self.bytes - freed + size(sid, record) > limits.max_bytes {
            Err(StoreError::Full("max_bytes"))
        } else {
            Ok(())
        }
    }

    fn add(&mut self, sid: &Sid, entry: Entry) {
        self.bytes += size(sid, &entry.record);
        self.expiry.insert((entry.expires, sid.clone()));
        self.entries.insert(sid.clone(), entry);
    }

    fn remove(&mut self, sid: &Sid) -> Option<Entry> {
        let entry = self.entries.remove(sid)?;
        self.expiry.remove(&(entry.expires, sid.clone()));
        self.bytes -= size(sid, &entry.record);
        Some(entry)
    }
}

impl Default for Table {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            expiry: BTreeSet::new(),
            bytes: 0,
            observers: Arc::new([]),
            changed: Vec::new(),
            sweeper: None,
        }
    }
}

impl Notices {
    /// Tells each observer of each session. Not to be called while the table is locked: an observer may load.
    pub(super) fn tell(self) {
        if self.changed.is_empty() {
            return;
        }
        for observer in self.observers.iter().filter_map(Weak::upgrade) {
            self.changed.iter().for_each(|sid| observer.changed(sid));
        }
    }
}

#[cfg(test)]
impl Table {
    /// Panics unless the books are in order.
    pub(super) fn check(&self) {
        assert_eq!(self.expiry.len(), self.entries.len());
        let sizes = self.entries.iter().map(|(sid, entry)| size(sid, &entry.record));
        assert_eq!(self.bytes, sizes.sum::<usize>());
        assert!(self.changed.is_empty(), "notices that nobody took");
    }
}

fn size(sid: &Sid, record: &Stored) -> usize {
    sid.as_str().len() + record.as_str().len()
}

/// More than the one that a write can add, so that the dead never pile up; few enough that no write stalls.
pub(super) const SWEPT_PER_WRITE: usize = 16;
