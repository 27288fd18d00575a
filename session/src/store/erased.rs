//! [`Store`] behind a pointer, so that a `Session` is one type whatever keeps it.

use std::{future::Future, pin::Pin, sync::Weak};

use super::{Created, Lifetime, Observer, Replaced, Store, StoreError, Stored};
use crate::Sid;

type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The part of [`Store`] that sessions use.
pub(crate) trait ErasedStore: Send + Sync {
    fn load<'a>(&'a self, sid: &'a Sid) -> Pending<'a, Option<Stored>>;
    fn load_watched<'a>(&'a self, sid: &'a Sid) -> Pending<'a, Option<Stored>>;
    fn create<'a>(&'a self, sid: &'a Sid, record: &'a Stored, lifetime: Lifetime) -> Pending<'a, Created>;
    fn replace<'a>(
        &'a self,
        sid: &'a Sid,
        seen: &'a Stored,
        record: &'a Stored,
        lifetime: Lifetime,
    ) -> Pending<'a, Replaced>;
    fn touch<'a>(&'a self, sid: &'a Sid, lifetime: Lifetime) -> Pending<'a, bool>;
    fn destroy<'a>(&'a self, sid: &'a Sid) -> Pending<'a, bool>;
    fn watch(&self, observer: Weak<dyn Observer>) -> bool;
}

impl<S: Store> ErasedStore for S {
    fn load<'a>(&'a self, sid: &'a Sid) -> Pending<'a, Option<Stored>> {
        Box::pin(Store::load(self, sid))
    }

    fn load_watched<'a>(&'a self, sid: &'a Sid) -> Pending<'a, Option<Stored>> {
        Box::pin(Store::load_watched(self, sid))
    }

    fn create<'a>(&'a self, sid: &'a Sid, record: &'a Stored, lifetime: Lifetime) -> Pending<'a, Created> {
        Box::pin(Store::create(self, sid, record, lifetime))
    }

    fn replace<'a>(
        &'a self,
        sid: &'a Sid,
        seen: &'a Stored,
        record: &'a Stored,
        lifetime: Lifetime,
    ) -> Pending<'a, Replaced> {
        Box::pin(Store::replace(self, sid, seen, record, lifetime))
    }

    fn touch<'a>(&'a self, sid: &'a Sid, lifetime: Lifetime) -> Pending<'a, bool> {
        Box::pin(Store::touch(self, sid, lifetime))
    }

    fn destroy<'a>(&'a self, sid: &'a Sid) -> Pending<'a, bool> {
        Box::pin(Store::destroy(self, sid))
    }

    fn watch(&self, observer: Weak<dyn Observer>) -> bool {
        Store::watch(self, observer)
    }
}
