//! A store in memory that notes what it was asked.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use session::{Created, Lifetime, MemoryStore, Observer, Replaced, Sid, Store, StoreError, Stored};

#[derive(Clone, Default)]
pub(crate) struct Spy(Arc<Inside>);

#[derive(Default)]
struct Inside {
    store: MemoryStore,
    calls: Mutex<Vec<&'static str>>,
    moods: Mutex<HashMap<&'static str, Mood>>,
    blind: Mutex<bool>,
}

/// How an operation goes.
#[derive(Clone, Copy)]
pub(crate) enum Mood {
    /// It fails, and nothing was done.
    Fails,
    /// It fails after this, and nothing was done.
    FailsAfter(Duration),
    /// It is done at once, and says so only after this.
    AnswersAfter(Duration),
    /// It is done after this.
    Waits(Duration),
}

impl Spy {
    /// What was asked since this was last called, in order; `load` is any load.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        mem::take(&mut self.0.calls.lock().unwrap())
    }

    pub(crate) fn is(&self, operation: &'static str, mood: Mood) {
        self.0.moods.lock().unwrap().insert(operation, mood);
    }

    pub(crate) fn fails(&self, operation: &'static str) {
        self.is(operation, Mood::Fails);
    }

    pub(crate) fn is_well(&self) {
        self.0.moods.lock().unwrap().clear();
    }

    /// Cannot tell of changes.
    pub(crate) fn is_blind(&self) {
        *self.0.blind.lock().unwrap() = true;
    }

    pub(crate) fn len(&self) -> usize {
        self.0.store.len()
    }

    /// What is stored, unnoticed.
    pub(crate) async fn stored(&self, sid: &Sid) -> Option<Stored> {
        self.0.store.load(sid).await.unwrap()
    }

    /// Writes as somebody else, unnoticed.
    pub(crate) async fn put_json(&self, sid: &Sid, json: &str) {
        self.0.store.put(sid, &Stored::from(json), Lifetime::Browser).await.unwrap();
    }

    /// Changes a value as somebody else.
    pub(crate) async fn set(&self, sid: &Sid, key: &str, value: impl serde::Serialize) {
        let mut record = self.stored(sid).await.unwrap().record().unwrap();
        record.values.insert(key, &value).unwrap();
        self.0.store.put(sid, &Stored::from(&record), Lifetime::Unchanged).await.unwrap();
    }

    /// Ends a session as somebody else.
    pub(crate) async fn remove(&self, sid: &Sid) {
        self.0.store.destroy(sid).await.unwrap();
    }

    /// A value as it is stored.
    pub(crate) async fn value<T: serde::de::DeserializeOwned>(&self, sid: &Sid, key: &str) -> Option<T> {
        self.stored(sid).await?.record().unwrap().values.get(key).unwrap()
    }

    async fn around<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.0.calls.lock().unwrap().push(operation);
        let mood = self.0.moods.lock().unwrap().get(operation).copied();
        match mood {
            None => work.await,
            Some(Mood::Fails) => Err(StoreError::Unavailable("boom!".into())),
            Some(Mood::FailsAfter(delay)) => {
                tokio::time::sleep(delay).await;
                Err(StoreError::Unavailable("boom!".into()))
            }
            Some(Mood::AnswersAfter(delay)) => {
                let done = work.await;
                tokio::time::sleep(delay).await;
                done
            }
            Some(Mood::Waits(delay)) => {
                tokio::time::sleep(delay).await;
                work.await
            }
        }
    }
}

impl Store for Spy {
    async fn load(&self, sid: &Sid) -> Result<Option<Stored>, StoreError> {
        self.around("load", self.0.store.load(sid)).await
    }

    async fn create(&self, sid: &Sid, record: &Stored, lifetime: Lifetime) -> Result<Created, StoreError> {
        self.around("create", self.0.store.create(sid, record, lifetime)).await
    }

    async fn replace(
        &self,
        sid: &Sid,
        seen: &Stored,
        record: &Stored,
        lifetime: Lifetime,
    ) -> Result<Replaced, StoreError> {
        self.around("replace", self.0.store.replace(sid, seen, record, lifetime)).await
    }

    async fn put(&self, sid: &Sid, record: &Stored, lifetime: Lifetime) -> Result<(), StoreError> {
        self.around("put", self.0.store.put(sid, record, lifetime)).await
    }

    async fn touch(&self, sid: &Sid, lifetime: Lifetime) -> Result<bool, StoreError> {
        self.around("touch", self.0.store.touch(sid, lifetime)).await
    }

    async fn destroy(&self, sid: &Sid) -> Result<bool, StoreError> {
        self.around("destroy", self.0.store.destroy(sid)).await
    }

    fn watch(&self, observer: Weak<dyn Observer>) -> bool {
        !*self.0.blind.lock().unwrap() && self.0.store.watch(observer)
    }
}
