//! Sessions in Redis, as `connect-redis` keeps them.

mod backoff;
mod builder;
mod error;
mod link;
mod scan;
mod scripts;
mod tracking;
mod ttl;

use std::{fmt, sync::Arc, sync::Weak};

use redis::{Cmd, Value};

pub use builder::RedisStoreBuilder;

use self::{
    error::Failure,
    link::{Address, Link, Resend},
    scripts::Swapped,
    tracking::Tracking,
    ttl::{Expiry, TtlRules},
};
use super::{Created, Lifetime, Observer, Replaced, Store, StoreError, Stored};
use crate::{RecordError, Sid};

/// A [`Store`] in Redis that an Express application with `connect-redis` (6 to 9) may share: same keys, same text, same
/// expiry. Needs the feature `redis`, and one Redis 6 or later; clusters are not supported.
///
/// ```no_run
/// # async fn example() -> Result<(), session::StoreError> {
/// let store = session::store::RedisStore::builder("redis://:password@127.0.0.1/").prefix("sess:").connect().await?;
/// # Ok(())
/// # }
/// ```
///
/// For `rediss://` switch on a TLS feature of the crate `redis`, such as `tokio-rustls-comp` with
/// `tls-rustls-webpki-roots`.
///
/// # When Redis fails
///
/// All commands share one connection, and those who watch have another one. Both are replaced when they break, the more
/// seldom the longer it fails. A command never takes longer than [`RedisStoreBuilder::response_timeout`] (twice that if
/// Redis must be told a script, or if `ttl_with` reads before a touch), and when nobody listens at all it fails within a
/// fraction of a second, with [`StoreError::Unavailable`]. An error that Redis answers with, such as `READONLY`, `OOM` or
/// `NOREPLICAS`, is [`StoreError::Refused`].
///
/// If the connection is lost before the answer has come, these are sent again, at most twice: reads, touches, `destroy`,
/// which then counts as having removed the session, and `replace`, since it compares: if its own text is there, it was
/// done. (So if another process has made the same text of the same text at that moment, the two count as one.) If
/// another text is there, nobody can tell whether it was made from ours, and the outcome is
/// [`StoreError::Unavailable`]. `create` and `put` are never sent again.
///
/// # Watching
///
/// [`watch`](Store::watch) returns false if Redis is older than version 6 or the user may not use `CLIENT TRACKING`: look
/// for changes from time to time then. Otherwise each [`load_watched`](Store::load_watched) asks for one message about
/// that key. It may come while the session is still being loaded, and then what was loaded may be old already: load once
/// more. [`Observer::lost`] is called whenever the watching connection has been made, the first time too, and
/// when the database was emptied.
pub struct RedisStore {
    address: Address,
    prefix: String,
    ttl: TtlRules,
    touch: bool,
    scan_count: usize,
    link: Link,
    tracking: Option<Arc<Tracking>>,
}

impl RedisStore {
    /// Connects with the defaults of connect-redis.
    ///
    /// # Errors
    ///
    /// As [`RedisStoreBuilder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// Starts to configure a store; the URL is `redis://user:password@host:port/database` or `unix:///path`.
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url.into())
    }

    fn key(&self, sid: &Sid) -> String {
        format!("{}{}", self.prefix, sid.as_str())
    }

    fn command(&self, name: &str, sid: &Sid) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(self.key(sid));
        command
    }

    async fn delete(&self, sid: &Sid, resend: Resend) -> Result<bool, StoreError> {
        let reply = self.link.run(&self.command("DEL", sid), resend).await?;
        Ok(is_one(&reply.value)? || reply.resent)
    }
}

impl Store for RedisStore {
    async fn load(&self, sid: &Sid) -> Result<Option<Stored>, StoreError> {
        text(self.link.run(&self.command("GET", sid), Resend::Safe).await?.value)
    }

    async fn load_watched(&self, sid: &Sid) -> Result<Option<Stored>, StoreError> {
        let watched = match &self.tracking {
            Some(tracking) => tracking.get(&self.key(sid)).await,
            None => None,
        };
        match watched {
            Some(value) => text(value?),
            // All who watch are told to load again as soon as the watching connection is there.
            None => self.load(sid).await,
        }
    }

    async fn create(&self, sid: &Sid, record: &Stored, lifetime: Lifetime) -> Result<Created, StoreError> {
        let mut command = self.command("SET", sid);
        self.ttl.expiry_new(lifetime, record)?.option(command.arg(record.as_str()));
        match self.link.run(command.arg("NX"), Resend::Never).await?.value {
            Value::Okay => Ok(Created::Done),
            Value::Nil => Ok(Created::Exists),
            _ => Err(Failure::Odd.into()),
        }
    }

    async fn replace(
        &self,
        sid: &Sid,
        seen: &Stored,
        record: &Stored,
        lifetime: Lifetime,
    ) -> Result<Replaced, StoreError> {
        let expiry = self.ttl.expiry_alive(lifetime, record)?.argument();
        let (key, arguments) = (self.key(sid), [seen.as_str(), record.as_str(), &expiry]);
        let reply = scripts::REPLACE.run(&self.link, Resend::Safe, &key, &arguments).await?;
        match Swapped::try_from(reply.value)? {
            Swapped::Done => Ok(Replaced::Done),
            Swapped::Gone => Ok(Replaced::Gone),
            Swapped::Other(bytes) if reply.resent && bytes == record.as_str().as_bytes() => {
                Ok(Replaced::Done)
            }
            // Made from ours, or instead of it?
            Swapped::Other(_) if reply.resent => Err(Failure::Overtaken.into()),
            Swapped::Other(bytes) => stored(bytes).map(Replaced::Conflict),
        }
    }

    async fn put(&self, sid: &Sid, record: &Stored, lifetime: Lifetime) -> Result<(), StoreError> {
        match self.ttl.expiry(lifetime, record)? {
            Expiry::Past => self.delete(sid, Resend::Never).await.map(drop),
            Expiry::Kept => {
                let expiry = self.ttl.expiry_new(lifetime, record)?.argument();
                let (key, arguments) = (self.key(sid), [record.as_str(), &expiry]);
                scripts::PUT_KEEPING.run(&self.link, Resend::Never, &key, &arguments).await?;
                Ok(())
            }
            expiry => {
                let mut command = self.command("SET", sid);
                expiry.option(command.arg(record.as_str()));
                self.link.run(&command, Resend::Never).await?;
                Ok(())
            }
        }
    }

    async fn touch(&self, sid: &Sid, lifetime: Lifetime) -> Result<bool, StoreError> {
        let mut command = self.command("EXISTS", sid);
        if self.touch && !self.ttl.disabled && lifetime != Lifetime::Unchanged {
            // Only a rule that looks at the record needs it.
            let record = match self.ttl.by_record {
                Some(_) => self.load(sid).await?,
                None => Some(Stored::from("")),
            };
            let Some(record) = record else { return Ok(false) };
            if let Expiry::After(seconds) = self.ttl.expiry_alive(lifetime, &record)? {
                command = self.command("EXPIRE", sid);
                command.arg(seconds);
            }
        }
        Ok(is_one(&self.link.run(&command, Resend::Safe).await?.value)?)
    }

    async fn destroy(&self, sid: &Sid) -> Result<bool, StoreError> {
        self.delete(sid, Resend::Safe).await
    }

    fn watch(&self, observer: Weak<dyn Observer>) -> bool {
        let Some(tracking) = &self.tracking else { return false };
        tracking.watch(observer);
        true
    }
}

/// Shows where Redis is, and no password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisStore")
            .field("address", &self.address.client.get_connection_info().addr().to_string())
            .field("prefix", &self.prefix)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// What `GET` has returned; connect-redis takes the empty string for nothing, and so do we.
fn text(value: Value) -> Result<Option<Stored>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) if bytes.is_empty() => Ok(None),
        Value::BulkString(bytes) => stored(bytes).map(Some),
        _ => Err(Failure::Odd.into()),
    }
}

fn stored(bytes: Vec<u8>) -> Result<Stored, StoreError> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(RecordError::not_utf8(error.as_bytes(), error.utf8_error()).into()),
    }
}

fn is_one(value: &Value) -> Result<bool, Failure> {
    match value {
        Value::Int(count) => Ok(*count == 1),
        _ => Err(Failure::Odd),
    }
}
