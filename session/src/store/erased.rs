//! [`Store`] behind a pointer, so that a `Session` is one type whatever keeps it.

use std::{future::Future, pin::Pin, time::Duration};

use super::{Created, Replaced, Revision, Store, StoreError, Versioned};
use crate::{CookieState, Record, Sid};

type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The part of [`Store`] that sessions use.
pub(crate) trait ErasedStore: Send + Sync {
    fn load<'a>(&'a self, sid: &'a Sid) -> Pending<'a, Option<Versioned>>;
    fn create<'a>(&'a self, sid: &'a Sid, record: &'a Record, ttl: Duration) -> Pending<'a, Created>;
    fn replace<'a>(
        &'a self,
        sid: &'a Sid,
        seen: &'a Revision,
        record: &'a Record,
        ttl: Duration,
    ) -> Pending<'a, Replaced>;
    fn touch<'a>(&'a self, sid: &'a Sid, cookie: &'a CookieState, ttl: Duration) -> Pending<'a, bool>;
    fn destroy<'a>(&'a self, sid: &'a Sid) -> Pending<'a, bool>;
}

impl<S: Store> ErasedStore for S {
    fn load<'a>(&'a self, sid: &'a Sid) -> Pending<'a, Option<Versioned>> {
        Box::pin(Store::load(self, sid))
    }

    fn create<'a>(&'a self, sid: &'a Sid, record: &'a Record, ttl: Duration) -> Pending<'a, Created> {
        Box::pin(Store::create(self, sid, record, ttl))
    }

    fn replace<'a>(
        &'a self,
        sid: &'a Sid,
        seen: &'a Revision,
        record: &'a Record,
        ttl: Duration,
    ) -> Pending<'a, Replaced> {
        Box::pin(Store::replace(self, sid, seen, record, ttl))
    }

    fn touch<'a>(&'a self, sid: &'a Sid, cookie: &'a CookieState, ttl: Duration) -> Pending<'a, bool> {
        Box::pin(Store::touch(self, sid, cookie, ttl))
    }

    fn destroy<'a>(&'a self, sid: &'a Sid) -> Pending<'a, bool> {
        Box::pin(Store::destroy(self, sid))
    }
}
