//! All sessions of a store, found by their prefix.

use std::collections::HashSet;

use redis::Value;

use super::{RedisStore, error::Failure, link::Resend, text};
use crate::{Sid, StoreError, Stored};

impl RedisStore {
    /// Returns the ids of all sessions, in no order.
    ///
    /// They are all held in memory, and Redis visits all of its keys: something for tools, not for requests.
    ///
    /// # Errors
    ///
    /// As [`Store::load`](crate::Store::load).
    pub async fn ids(&self) -> Result<Vec<Sid>, StoreError> {
        let (mut seen, mut pages) = (HashSet::new(), Pages::new(self));
        while let Some(keys) = pages.next().await? {
            seen.extend(keys.iter().filter_map(|key| self.sid(key)));
        }
        Ok(seen.into_iter().collect())
    }

    /// Returns how many sessions there are; as costly as [`ids`](Self::ids), since `SCAN` may return a key twice.
    ///
    /// # Errors
    ///
    /// As [`Store::load`](crate::Store::load).
    pub async fn len(&self) -> Result<usize, StoreError> {
        Ok(self.ids().await?.len())
    }

    /// Tells whether there is no session.
    ///
    /// # Errors
    ///
    /// As [`Store::load`](crate::Store::load).
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len().await? == 0)
    }

    /// Returns all sessions, in no order and all in memory.
    ///
    /// # Errors
    ///
    /// As [`Store::load`](crate::Store::load).
    pub async fn all(&self) -> Result<Vec<(Sid, Stored)>, StoreError> {
        let (mut seen, mut all, mut pages) = (HashSet::new(), Vec::new(), Pages::new(self));
        while let Some(mut keys) = pages.next().await? {
            keys.retain(|key| self.sid(key).is_some_and(|sid| seen.insert(sid)));
            if keys.is_empty() {
                continue;
            }
            let mut command = redis::cmd("MGET");
            command.arg(&keys);
            let Value::Array(values) = self.link.run(&command, Resend::Safe).await?.value else {
                return Err(Failure::Odd.into());
            };
            for (key, value) in keys.iter().zip(values) {
                // It may have ended since.
                if let (Some(sid), Some(stored)) = (self.sid(key), text(value)?) {
                    all.push((sid, stored));
                }
            }
        }
        Ok(all)
    }

    /// Removes all sessions and returns how many. With an empty prefix that is every key of the database.
    ///
    /// # Errors
    ///
    /// As [`Store::destroy`](crate::Store::destroy); some may have been removed then.
    pub async fn clear(&self) -> Result<usize, StoreError> {
        let (mut removed, mut pages) = (0, Pages::new(self));
        while let Some(keys) = pages.next().await? {
            if keys.is_empty() {
                continue;
            }
            let mut command = redis::cmd("DEL");
            command.arg(keys);
            match self.link.run(&command, Resend::Safe).await?.value {
                Value::Int(count) => removed += usize::try_from(count).unwrap_or_default(),
                _ => return Err(Failure::Odd.into()),
            }
        }
        Ok(removed)
    }

    fn sid(&self, key: &[u8]) -> Option<Sid> {
        Some(str::from_utf8(key).ok()?.strip_prefix(&*self.prefix)?.into())
    }
}

/// Walks through the keys with the prefix, page by page.
struct Pages<'a> {
    store: &'a RedisStore,
    pattern: String,
    /// Where to go on; none at the end.
    cursor: Option<Vec<u8>>,
}

impl<'a> Pages<'a> {
    fn new(store: &'a RedisStore) -> Self {
        Self { store, pattern: format!("{}*", escaped(&store.prefix)), cursor: Some(b"0".to_vec()) }
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(&self.pattern).arg("COUNT").arg(self.store.scan_count);
        let reply = self.store.link.run(&command, Resend::Safe).await?;
        let Value::Array(reply) = reply.value else { return Err(Failure::Odd.into()) };
        let Ok([Value::BulkString(next), Value::Array(keys)]) = <[Value; 2]>::try_from(reply) else {
            return Err(Failure::Odd.into());
        };
        self.cursor = (next != b"0").then_some(next);
        let keys = keys.into_iter().filter_map(|key| match key {
            Value::BulkString(key) => Some(key),
            _ => None,
        });
        Ok(Some(keys.collect()))
    }
}

/// The pattern that matches the prefix alone; connect-redis forgets this, and so `*` in a prefix finds foreign keys.
fn escaped(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}
