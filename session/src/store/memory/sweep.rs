//! The task that frees sessions at the moment of their expiry, so that those who watch hear of it.

use std::sync::{Arc, Weak};

use tokio::{
    sync::Notify,
    task,
    time::{Instant, sleep_until},
};

use super::Shared;

/// Sweeps until the store is gone, which this task does not keep alive.
pub(super) async fn run(store: Weak<Shared>, wake: Arc<Notify>) {
    while let Some(next) = sweep(&store) {
        match next {
            Some(expiry) => tokio::select! {
                () = sleep_until(expiry) => {}
                () = wake.notified() => {}
            },
            None => wake.notified().await,
        }
        // A sleep into the past is none, and after a crowd has expired there may be many.
        task::yield_now().await;
    }
}

/// Frees what has expired, up to a limit, and returns when the next one does; `None` if the store is gone.
fn sweep(store: &Weak<Shared>) -> Option<Option<Instant>> {
    let store = store.upgrade()?;
    let mut table = store.table();
    table.sweep(Instant::now(), SWEPT_AT_ONCE);
    let (next, notices) = (table.next_expiry(), table.take_notices());
    drop(table);
    notices.tell();
    Some(next)
}

/// How long others have to wait for the table, and for this thread: some tenths of a millisecond.
const SWEPT_AT_ONCE: usize = 256;
