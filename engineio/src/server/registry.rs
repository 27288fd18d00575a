//! The table of open connections.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    Sid,
    server::connection::{Connection, Shared},
};

/// Open connections by id, in parts that are locked one by one.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    shards: [RwLock<HashMap<Sid, Arc<Shared>>>; SHARDS],
}

/// More than the worker threads of common machines, so that two rarely want the same.
const SHARDS: usize = 32;

impl Registry {
    /// Adds a connection; `false` if its id is taken.
    pub(crate) fn insert(&self, shared: &Arc<Shared>) -> bool {
        let mut shard = self.shard(shared.sid().as_str()).write().unwrap_or_else(PoisonError::into_inner);
        if shard.contains_key(shared.sid()) {
            return false;
        }
        shard.insert(shared.sid().clone(), Arc::clone(shared));
        true
    }

    pub(crate) fn remove(&self, sid: &Sid) {
        let mut shard = self.shard(sid.as_str()).write().unwrap_or_else(PoisonError::into_inner);
        shard.remove(sid);
        // The memory of a crowd goes with it.
        if shard.capacity() > 64 && shard.len() * 4 < shard.capacity() {
            shard.shrink_to_fit();
        }
    }

    pub(crate) fn find(&self, sid: &str) -> Option<Connection> {
        let shard = self.shard(sid).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(sid).map(|shared| Connection::from(Arc::clone(shared)))
    }

    pub(crate) fn all(&self) -> Vec<Connection> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.values().map(|shared| Connection::from(Arc::clone(shared))));
        }
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn shard(&self, sid: &str) -> &RwLock<HashMap<Sid, Arc<Shared>>> {
        // Ids are random as a rule, and if not, some shards are fuller than others.
        let sum = sid.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        &self.shards[sum % SHARDS]
    }
}
