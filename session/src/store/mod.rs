//! Where sessions lie between requests.

mod erased;
mod memory;
mod observer;
#[cfg(feature = "redis")]
mod redis;

use std::{error::Error, fmt, future::Future, sync::Arc, sync::Weak, time::Duration};

pub(crate) use erased::ErasedStore;
pub use memory::{MemoryLimits, MemoryStore};
pub use observer::Observer;

#[cfg(feature = "redis")]
pub use self::redis::{RedisStore, RedisStoreBuilder};

use crate::{Record, RecordError, Sid};

/// Keeps records under session ids, for as long as each may live.
///
/// Several processes may write the same session, also ones that know nothing of this crate. So a change is written
/// only over the text that it was made from, and a session that is gone is never brought back by a change.
///
/// Every operation fails with the [`StoreError`] that says whether it may have been done; only [`StoreError::Unavailable`]
/// leaves that open.
pub trait Store: Send + Sync + 'static {
    /// Returns the session, or `None` if there is none or it has expired.
    fn load(&self, sid: &Sid) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// As [`load`](Self::load), and has those who [`watch`](Self::watch) told when the session changes the next time.
    fn load_watched(&self, sid: &Sid) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send {
        self.load(sid)
    }

    /// Stores a new session unless there is one of this id.
    fn create(
        &self,
        sid: &Sid,
        record: &Stored,
        lifetime: Lifetime,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// Overwrites the session if what is stored still is `seen`, byte for byte.
    fn replace(
        &self,
        sid: &Sid,
        seen: &Stored,
        record: &Stored,
        lifetime: Lifetime,
    ) -> impl Future<Output = Result<Replaced, StoreError>> + Send;

    /// Stores the session whatever is there, as express-session's `set` does.
    fn put(
        &self,
        sid: &Sid,
        record: &Stored,
        lifetime: Lifetime,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lets the session live anew, its text unchanged, and returns whether it still was there.
    fn touch(&self, sid: &Sid, lifetime: Lifetime) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes the session and returns whether it was there.
    fn destroy(&self, sid: &Sid) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Has `observer` told, from now on, of sessions that change, end or expire, whoever causes it; returns false if
    /// this store cannot know. Must be called within a tokio runtime.
    ///
    /// What is told may be too much, never too little: only [`load_watched`](Self::load_watched) says what a change
    /// was, and asks for the next one.
    fn watch(&self, observer: Weak<dyn Observer>) -> bool {
        let _ = observer;
        false
    }
}

/// A record as text, as a store holds it: one JSON object. It is its own revision: a change is written only where the
/// same text is still there. `Debug` shows only its length.
#[derive(Clone, Eq, PartialEq)]
pub struct Stored(Arc<str>);

impl Stored {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the record.
    ///
    /// # Errors
    ///
    /// As [`Record::from_json`].
    pub fn record(&self) -> Result<Record, RecordError> {
        Record::from_json(&self.0)
    }

    /// Whether this is the very same text in memory, which is quicker to know than whether it is equal.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self == other
    }
}

impl From<&Record> for Stored {
    fn from(record: &Record) -> Self {
        Self(record.to_json().into())
    }
}

/// Takes what a store holds, whatever it is.
impl From<&str> for Stored {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Stored {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Stored({} bytes)", self.0.len())
    }
}

/// How long a session may live in its store from now on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lifetime {
    /// Until the browser is closed, which no store can know: as long as the store has been configured to wait.
    Browser,
    /// This long.
    For(Duration),
    /// As long as it would have lived anyway.
    Unchanged,
}

/// The outcome of [`Store::create`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Created {
    /// Stored.
    Done,
    /// There is a session of this id already; nothing was written.
    Exists,
}

/// The outcome of [`Store::replace`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Replaced {
    /// Somebody else changed it first, to this; nothing was written.
    Conflict(Stored),
    /// Stored.
    Done,
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
    /// The store cannot be reached, or has not answered: whether it did what it was asked is not known.
    #[error("the session store failed")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The store was reached and has refused, such as a replica that is read-only; nothing was written.
    #[error("the session store refused")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

/// A store that several [`Sessions`](crate::Sessions) share.
impl<S: Store> Store for Arc<S> {
    async fn load(&self, sid: &Sid) -> Result<Option<Stored>, StoreError> {
        S::load(self, sid).await
    }

    async fn load_watched(&self, sid: &Sid) -> Result<Option<Stored>, StoreError> {
        S::load_watched(self, sid).await
    }

    async fn create(&self, sid: &Sid, record: &Stored, lifetime: Lifetime) -> Result<Created, StoreError> {
        S::create(self, sid, record, lifetime).await
    }

    async fn replace(
        &self,
        sid: &Sid,
        seen: &Stored,
        record: &Stored,
        lifetime: Lifetime,
    ) -> Result<Replaced, StoreError> {
        S::replace(self, sid, seen, record, lifetime).await
    }

    async fn put(&self, sid: &Sid, record: &Stored, lifetime: Lifetime) -> Result<(), StoreError> {
        S::put(self, sid, record, lifetime).await
    }

    async fn touch(&self, sid: &Sid, lifetime: Lifetime) -> Result<bool, StoreError> {
        S::touch(self, sid, lifetime).await
    }

    async fn destroy(&self, sid: &Sid) -> Result<bool, StoreError> {
        S::destroy(self, sid).await
    }

    fn watch(&self, observer: Weak<dyn Observer>) -> bool {
        S::watch(self, observer)
    }
}
