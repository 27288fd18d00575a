//! What waits for somebody to say `release`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

static HELD: Mutex<Vec<oneshot::Sender<()>>> = Mutex::new(Vec::new());

pub(crate) fn release() {
    for resume in held().drain(..) {
        // Who waited may be gone.
        resume.send(()).ok();
    }
}

/// Waits from the call on, not from the first poll.
pub(crate) fn released() -> impl Future<Output = ()> + Send {
    let (resume, resumed) = oneshot::channel();
    held().push(resume);
    async move { resumed.await.unwrap_or_default() }
}

pub(crate) fn count() -> usize {
    held().len()
}

fn held() -> MutexGuard<'static, Vec<oneshot::Sender<()>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}
