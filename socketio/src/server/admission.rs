//! How a client gets into a namespace.

use super::{Shared, link::Link, socket::Socket};
use crate::{adapter::SavedSocket, error::Refusal};
use bytestring::ByteString;
use serde::Deserialize;
use std::sync::Arc;

/// A socket that may be connected. Dropped before, it leaves the namespace again.
pub(super) struct Admitted {
    socket: Option<Socket>,
    /// What is known of it if it has been here before.
    pub(super) recovered: Option<Recovered>,
}

/// A socket that comes back, and the last packet that its client has seen.
pub(super) struct Recovered {
    pub(super) saved: SavedSocket,
    pub(super) offset: String,
}

/// What a client sends to get its socket back.
#[derive(Deserialize)]
struct RecoveryRequest {
    pid: String,
    offset: String,
}

/// Finds the namespace, makes a socket, or finds one to `recover`, and lets the middleware judge it.
pub(super) async fn admit(
    server: Arc<Shared>,
    link: Link,
    path: Arc<str>,
    payload: Option<ByteString>,
    recover: bool,
) -> Result<Admitted, Refusal> {
    let auth = payload.as_deref();
    let live = server.namespaces.route(&path, auth, &link.connection).await;
    let Some(live) = live else { return Err(Refusal::new("Invalid namespace")) };
    let request = (recover && live.recovers)
        .then(|| serde_json::from_str::<RecoveryRequest>(auth.unwrap_or_default()).ok())
        .flatten();
    let recovered = match request {
        Some(RecoveryRequest { pid, offset }) => {
            let saved = live.adapter.restore(&live.local, &pid, &offset).await;
            saved.map(|saved| Recovered { saved, offset })
        }
        None => None,
    };
    let skip = recovered.is_some() && live.common.recovery.is_some_and(|recovery| recovery.skip_middleware);
    let saved = recovered.as_ref().map(|recovered| &recovered.saved);
    let socket = server.namespaces.enter(live, |live| Socket::new(live, link, auth, saved));
    if let Some(saved) = saved {
        socket.join(&saved.rooms[..]);
    }
    let mut admitted = Admitted { socket: Some(socket.clone()), recovered };
    if !skip {
        for middleware in &socket.live().blueprint.middleware {
            if let Err(refusal) = middleware(socket.clone()).await {
                admitted.recovered = None;
                drop(admitted);
                server.namespaces.clean(socket.live());
                return Err(refusal);
            }
        }
    }
    Ok(admitted)
}

impl Admitted {
    pub(super) fn socket(&self) -> &Socket {
        self.socket.as_ref().expect("it is taken when this is given up")
    }

    /// The socket, which is going to be connected.
    pub(super) fn into_socket(mut self) -> Socket {
        self.socket.take().expect("it is taken once")
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.abandon();
            // Its client was not told of anything, and may ask again.
            if let Some(recovered) = self.recovered.take() {
                socket.live().adapter.save(&socket.live().local, recovered.saved);
            }
        }
    }
}
