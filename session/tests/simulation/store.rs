//! A store whose questions and answers take their time, and that fails now and then.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use session::{Created, Lifetime, MemoryStore, Observer, Replaced, Sid, Store, StoreError, Stored};

#[derive(Clone)]
pub(crate) struct Far {
    near: Arc<MemoryStore>,
    dice: Arc<Mutex<StdRng>>,
    failures: bool,
}

impl Far {
    pub(crate) fn new(seed: u64, failures: bool) -> Self {
        Self { near: Arc::default(), dice: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))), failures }
    }

    /// The store without the way to it.
    pub(crate) fn near(&self) -> &MemoryStore {
        &self.near
    }

    fn throw(&self, range: std::ops::Range<u64>) -> u64 {
        self.dice.lock().unwrap().random_range(range)
    }

    async fn travel(&self) {
        tokio::time::sleep(Duration::from_millis(self.throw(0..4))).await;
    }

    async fn ask<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.travel().await;
        // It fails before it has done anything, so that what it has done is known.
        if self.failures && self.throw(0..10) == 0 {
            self.travel().await;
            return Err(StoreError::Unavailable("far away".into()));
        }
        let answer = work.await;
        self.travel().await;
        answer
    }
}

impl Store for Far {
    async fn load(&self, sid: &Sid) -> Result<Option<Stored>, StoreError> {
        self.ask(self.near.load(sid)).await
    }

    async fn create(&self, sid: &Sid, record: &Stored, lifetime: Lifetime) -> Result<Created, StoreError> {
        self.ask(self.near.create(sid, record, lifetime)).await
    }

    async fn replace(
        &self,
        sid: &Sid,
        seen: &Stored,
        record: &Stored,
        lifetime: Lifetime,
    ) -> Result<Replaced, StoreError> {
        self.ask(self.near.replace(sid, seen, record, lifetime)).await
    }

    async fn put(&self, sid: &Sid, record: &Stored, lifetime: Lifetime) -> Result<(), StoreError> {
        self.ask(self.near.put(sid, record, lifetime)).await
    }

    async fn touch(&self, sid: &Sid, lifetime: Lifetime) -> Result<bool, StoreError> {
        self.ask(self.near.touch(sid, lifetime)).await
    }

    async fn destroy(&self, sid: &Sid) -> Result<bool, StoreError> {
        self.ask(self.near.destroy(sid)).await
    }

    fn watch(&self, observer: Weak<dyn Observer>) -> bool {
        self.near.watch(observer)
    }
}
