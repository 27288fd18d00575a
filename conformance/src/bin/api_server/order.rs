//! Handlers that wait now and then, and much at once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use socketio::{Ack, Namespace, SendError, Socket};
use tokio::time::sleep;

/// Long enough for other events to be started.
const PAUSE: Duration = Duration::from_millis(1);

/// What the handlers of one socket have done.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn of(socket: &Socket) -> Self {
        socket.get().expect("it was given one when it connected")
    }

    fn push(&self, entry: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }
}

pub(crate) fn add(namespace: Namespace) -> Namespace {
    namespace
        .on_connect(async |socket: Socket| drop(socket.set(Log::default())))
        .on("step", async |socket, nth: u32| {
            let log = Log::of(&socket);
            log.push(format!("{nth} starts"));
            if nth.is_multiple_of(7) {
                sleep(PAUSE).await;
            }
            log.push(format!("{nth} ends"));
        })
        .on("log", async |socket, ()| {
            Ack(Log::of(&socket).0.lock().unwrap_or_else(PoisonError::into_inner).clone())
        })
        .on("burst", async |socket: Socket, (count, size): (u32, usize)| {
            let filling = "x".repeat(size);
            for nth in 0..count {
                socket.emit_wait("number", &(nth, &filling)).await?;
            }
            Ok::<_, SendError>(())
        })
}
