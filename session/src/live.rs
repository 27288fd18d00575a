//! The sessions that somebody in this process holds: one for each id, however many sockets and requests share it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use crate::{
    Sid,
    session::{Session, Shared},
    store::ErasedStore,
};

/// The store, and which of its sessions are live here.
pub(crate) struct Backend {
    pub(crate) store: Box<dyn ErasedStore>,
    live: Mutex<HashMap<Sid, Weak<Shared>>>,
}

impl Backend {
    pub(crate) fn new(store: Box<dyn ErasedStore>) -> Self {
        Self { store, live: Mutex::default() }
    }

    pub(crate) fn live(&self, sid: &Sid) -> Option<Session> {
        self.table().get(sid).and_then(Weak::upgrade).map(Session::from)
    }

    /// Enters a session unless one of its id is live already.
    pub(crate) fn enter(&self, shared: Shared) -> Option<Session> {
        let mut table = self.table();
        if table.get(&shared.sid).is_some_and(|other| other.strong_count() > 0) {
            // A `Shared` that is dropped takes this lock.
            drop(table);
            return None;
        }
        let shared = Arc::new(shared);
        table.insert(shared.sid.clone(), Arc::downgrade(&shared));
        Some(shared.into())
    }

    /// Takes a dropped session out, unless another one of its id has been entered by now.
    pub(crate) fn leave(&self, sid: &Sid) {
        let mut table = self.table();
        if table.get(sid).is_some_and(|other| other.strong_count() == 0) {
            table.remove(sid);
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Sid, Weak<Shared>>> {
        self.live.lock().expect("nothing panics while the table is locked")
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Backend").field("live", &self.table().len()).finish_non_exhaustive()
    }
}
