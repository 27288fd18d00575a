//! The sessions that somebody in this process holds: one for each id, however many sockets and requests share it; and
//! which of them have been changed by others.

use std::{
    collections::{HashMap, HashSet},
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::Notify;

use crate::{Observer, Sid, shared::Shared};

/// The table of live sessions. The store tells it of changes.
#[derive(Default)]
pub(crate) struct Live {
    table: Mutex<Table>,
    news: Notify,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<Sid, Weak<Shared>>,
    /// Sessions that are being loaded, by how many, and whether they have changed meanwhile.
    loading: HashMap<Sid, (usize, bool)>,
    stale: HashSet<Sid>,
    all_stale: bool,
    closed: bool,
}

impl Live {
    pub(crate) fn get(&self, sid: &Sid) -> Option<Arc<Shared>> {
        self.table().sessions.get(sid).and_then(Weak::upgrade)
    }

    /// All sessions that are live.
    pub(crate) fn all(&self) -> Vec<Arc<Shared>> {
        self.table().sessions.values().filter_map(Weak::upgrade).collect()
    }

    /// Enters a session unless one of its id is live already.
    pub(crate) fn enter(&self, shared: Shared) -> Option<Arc<Shared>> {
        let mut table = self.table();
        if table.sessions.get(&shared.sid).is_some_and(|other| other.strong_count() > 0) {
            // A `Shared` that is dropped takes this lock.
            drop(table);
            return None;
        }
        let shared = Arc::new(shared);
        table.sessions.insert(shared.sid.clone(), Arc::downgrade(&shared));
        Some(shared)
    }

    /// Takes a dropped session out, unless another one of its id has been entered by now.
    pub(crate) fn leave(&self, sid: &Sid) {
        let mut table = self.table();
        if table.sessions.get(sid).is_some_and(|other| other.strong_count() == 0) {
            table.sessions.remove(sid);
        }
    }

    /// Notes that a session is being loaded, so that no change of it is missed before it is entered.
    pub(crate) fn begin_loading<'a>(&'a self, sid: &'a Sid) -> Loading<'a> {
        self.table().loading.entry(sid.clone()).or_default().0 += 1;
        Loading { live: self, sid }
    }

    /// Waits for sessions that others have changed; `None` when there is nobody left who wants to know.
    pub(crate) async fn next_stale(&self) -> Option<Vec<Arc<Shared>>> {
        loop {
            let news = self.news.notified();
            {
                let mut table = self.table();
                if table.closed {
                    return None;
                }
                let stale = mem::take(&mut table.stale);
                let all = mem::take(&mut table.all_stale);
                let sessions: Vec<_> = if all {
                    table.sessions.values().filter_map(Weak::upgrade).collect()
                } else {
                    stale.iter().filter_map(|sid| table.sessions.get(sid)?.upgrade()).collect()
                };
                drop(table);
                if !sessions.is_empty() {
                    return Some(sessions);
                }
            }
            news.await;
        }
    }

    pub(crate) fn close(&self) {
        self.table().closed = true;
        self.news.notify_one();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change under the lock is a single step.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is told of a session that nobody holds is forgotten, so no more is kept than there are live sessions.
impl Observer for Live {
    fn changed(&self, sid: &Sid) {
        let mut table = self.table();
        if let Some((_, changed)) = table.loading.get_mut(sid) {
            *changed = true;
        }
        if table.sessions.contains_key(sid) {
            table.stale.insert(sid.clone());
            drop(table);
            self.news.notify_one();
        }
    }

    fn lost(&self) {
        let mut table = self.table();
        table.loading.values_mut().for_each(|(_, changed)| *changed = true);
        table.all_stale = true;
        drop(table);
        self.news.notify_one();
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Live").field("sessions", &self.table().sessions.len()).finish_non_exhaustive()
    }
}

/// A session is being loaded as long as this lives.
pub(crate) struct Loading<'a> {
    live: &'a Live,
    sid: &'a Sid,
}

/// The session has been entered by now, if it was found: what it has missed is looked up again.
impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let mut table = self.live.table();
        let Some((loads, changed)) = table.loading.get_mut(self.sid) else { return };
        *loads -= 1;
        let (last, changed) = (*loads == 0, *changed);
        if last {
            table.loading.remove(self.sid);
        }
        drop(table);
        if changed {
            self.live.changed(self.sid);
        }
    }
}
