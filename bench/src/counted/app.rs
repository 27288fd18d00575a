//! What is served to be counted.

use std::{fs, io, sync::mpsc, thread, time::Duration};

use bytes::Bytes;
use session::{MemoryStore, ServerBuilderExt, Sessions};
use socketio::{Ack, Namespace, Server, ServerBuilder, Socket};
use tokio::{net::TcpListener, runtime, sync::oneshot};

use super::peer::Peer;

/// How the server of a count differs from the plain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Without anything that is not counted on purpose.
    Plain,
    /// Each connection has a session, which no handler asks for.
    Sessions,
    /// Pings so often that heartbeats can be counted.
    Heartbeats,
}

/// Serves on this thread until `end`; `ready` hears of the listener first.
///
/// # Errors
///
/// The listener cannot be made, or fails for good.
pub fn serve(
    flavor: Flavor,
    ready: impl FnOnce(&TcpListener),
    end: impl Future<Output = ()>,
) -> io::Result<()> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ready(&listener);
        let server = build(flavor);
        tokio::select! {
            result = server.serve(listener) => result,
            () = end => Ok(()),
        }
    })
}

/// Serves on a thread of its own while `work` is done, and no longer: what a server does after that would be counted
/// with what comes next.
pub fn serve_while<R>(flavor: Flavor, work: impl FnOnce(Peer) -> R) -> R {
    let (ready, peer) = mpsc::channel();
    let (end, ended) = oneshot::channel::<()>();
    let server = thread::spawn(move || {
        let tell = |listener: &TcpListener| {
            let thread = fs::read_link("/proc/thread-self").expect("Linux tells which thread this is");
            let address = listener.local_addr().expect("it is bound");
            ready.send(Peer::new(address, thread.to_str().expect("numbers"))).expect("it is awaited");
        };
        serve(flavor, tell, async { drop(ended.await) })
    });
    let result = work(peer.recv().expect("the server starts"));
    drop(end);
    server.join().expect("the server does not panic").expect("the listener does not fail");
    result
}

fn build(flavor: Flavor) -> Server {
    let interval = match flavor {
        Flavor::Plain | Flavor::Sessions => Duration::from_secs(3600),
        Flavor::Heartbeats => Duration::from_millis(5),
    };
    let engine = engineio::Config::default().ping_interval(interval).ping_timeout(Duration::from_secs(60));
    let builder = Server::builder().engine(engine).namespace("/", namespace());
    with_sessions(builder, flavor).build()
}

fn with_sessions(builder: ServerBuilder, flavor: Flavor) -> ServerBuilder {
    if flavor != Flavor::Sessions {
        return builder;
    }
    let sessions = Sessions::builder(MemoryStore::default()).secret("keyboard cat").build();
    builder.sessions(&sessions.expect("there is a secret"))
}

fn namespace() -> Namespace {
    Namespace::new()
        .on("echo", async |socket: Socket, text: String| socket.emit_wait("echo", &text).await)
        .on("ack", async |_, text: String| Ack(text))
        .on("bin", async |socket: Socket, data: Bytes| socket.emit_wait("bin", &data).await)
        .on("all", async |socket: Socket, text: String| socket.namespace_handle().emit("all", &text))
        .on("join", async |socket: Socket, ()| {
            socket.join("room");
            Ack(())
        })
        .on("room", async |socket: Socket, text: String| {
            socket.namespace_handle().to("room").emit("room", &text)
        })
}
