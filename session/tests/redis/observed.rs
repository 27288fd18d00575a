//! An observer that remembers.

use std::sync::{Arc, Mutex, Weak};

use session::{Observer, Sid, Store};

use super::eventually;

#[derive(Default)]
pub(crate) struct Observed {
    heard: Mutex<(Vec<Sid>, usize)>,
}

impl Observed {
    /// Watches a store, and returns once it does.
    pub(crate) async fn watch(store: &impl Store) -> Arc<Self> {
        let observed = Arc::new(Self::default());
        let observer: Weak<dyn Observer> = Arc::downgrade(&observed) as _;
        assert!(store.watch(observer));
        observed.lost_something().await;
        observed
    }

    /// Waits to hear of this session, and forgets it.
    pub(crate) async fn change_of(&self, sid: &Sid) {
        eventually("a change is told", async || self.take(sid)).await;
    }

    /// Waits to hear that something may have been missed, and forgets it.
    pub(crate) async fn lost_something(&self) {
        let take = || std::mem::take(&mut self.heard.lock().unwrap().1) > 0;
        eventually("the loss is told", async || take()).await;
    }

    pub(crate) fn take(&self, sid: &Sid) -> bool {
        let mut heard = self.heard.lock().unwrap();
        let before = heard.0.len();
        heard.0.retain(|other| other != sid);
        heard.0.len() < before
    }
}

impl Observer for Observed {
    fn changed(&self, sid: &Sid) {
        self.heard.lock().unwrap().0.push(sid.clone());
    }

    fn lost(&self) {
        self.heard.lock().unwrap().1 += 1;
    }
}
