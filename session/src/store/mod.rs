//! Where sessions lie between requests.

mod erased;
mod memory;

use std::{error::Error, fmt, future::Future, sync::Arc, time::Duration};

pub(crate) use erased::ErasedStore;
pub use memory::{MemoryLimits, MemoryStore};

use crate::{CookieState, Record, RecordError, Sid};

/// Keeps records under session ids, for as long as each may live.
///
/// Several processes may write the same session, also ones that know nothing of this crate. So a change is written
/// only over the revision that it was made from, and a session that is gone is never brought back by a change.
pub trait Store: Send + Sync + 'static {
    /// Returns the session, or `None` if there is none or it has expired.
    fn load(&self, sid: &Sid) -> impl Future<Output = Result<Option<Versioned>, StoreError>> + Send;

    /// Stores a new session unless there is one of this id.
    fn create(
        &self,
        sid: &Sid,
        record: &Record,
        ttl: Duration,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// Overwrites the session if it still is at the revision `seen`; it lives `ttl` from now on.
    fn replace(
        &self,
        sid: &Sid,
        seen: &Revision,
        record: &Record,
        ttl: Duration,
    ) -> impl Future<Output = Result<Replaced, StoreError>> + Send;

    /// Stores the session whatever is there, as express-session's `set` does.
    fn put(
        &self,
        sid: &Sid,
        record: &Record,
        ttl: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lets the session live `ttl` from now on and returns whether it still was there; its revision stays.
    fn touch(
        &self,
        sid: &Sid,
        cookie: &CookieState,
        ttl: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes the session and returns whether it was there.
    fn destroy(&self, sid: &Sid) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// A record as it was at one point in time.
#[derive(Clone, Debug)]
pub struct Versioned {
    /// What was stored.
    pub record: Record,
    /// Tells this state from every other one.
    pub revision: Revision,
}

/// Whatever a store compares to know whether a session was changed: a counter, a hash, the stored bytes themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Revision(Arc<[u8]>);

impl Revision {
    /// Wraps the mark of a store.
    pub fn new(mark: impl Into<Arc<[u8]>>) -> Self {
        Self(mark.into())
    }

    /// Returns the mark as the store made it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Shows nothing: the mark may be the session itself.
impl fmt::Debug for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Revision(..)")
    }
}

/// The outcome of [`Store::create`].
#[derive(Clone, Debug)]
pub enum Created {
    /// Stored.
    Done(Revision),
    /// There is a session of this id already; nothing was written.
    Exists,
}

/// The outcome of [`Store::replace`].
#[derive(Clone, Debug)]
pub enum Replaced {
    /// Somebody else changed it first, to this; nothing was written.
    Conflict(Box<Versioned>),
    /// Stored.
    Done(Revision),
    /// There is no such session (any more); nothing was written.
    Gone,
}

/// Why a store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What is stored is not a session.
    #[error("the store holds something else")]
    Corrupt(#[from] RecordError),
    /// There is no room; names the limit.
    #[error("the session store is full: {0} reached")]
    Full(&'static str),
    /// The store cannot be reached or has failed.
    #[error("the session store failed")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// A store that several [`Sessions`](crate::Sessions) share.
impl<S: Store> Store for Arc<S> {
    async fn load(&self, sid: &Sid) -> Result<Option<Versioned>, StoreError> {
        S::load(self, sid).await
    }

    async fn create(&self, sid: &Sid, record: &Record, ttl: Duration) -> Result<Created, StoreError> {
        S::create(self, sid, record, ttl).await
    }

    async fn replace(
        &self,
        sid: &Sid,
        seen: &Revision,
        record: &Record,
        ttl: Duration,
    ) -> Result<Replaced, StoreError> {
        S::replace(self, sid, seen, record, ttl).await
    }

    async fn put(&self, sid: &Sid, record: &Record, ttl: Duration) -> Result<(), StoreError> {
        S::put(self, sid, record, ttl).await
    }

    async fn touch(&self, sid: &Sid, cookie: &CookieState, ttl: Duration) -> Result<bool, StoreError> {
        S::touch(self, sid, cookie, ttl).await
    }

    async fn destroy(&self, sid: &Sid) -> Result<bool, StoreError> {
        S::destroy(self, sid).await
    }
}
