//! What clients may ask for, and a shutdown that does not have all of them return at once.
//!
//! Start it with `cargo run -p examples --bin limits`. A client that emits `work` more than 10 times at once gets
//! `{error: "too many events"}`; one that goes on and on is cut off. Ctrl-C closes the connections one by one, within
//! five seconds.

use socketio::{Ack, DisconnectReason, Excess, Limit, Limits, Namespace, Rate, Server, Socket};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// How often a client was over the limit.
#[derive(Clone, Default)]
struct Strikes(Arc<AtomicU32>);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let limits = Limits { events: Some(Rate::per_second(5).burst(10)), rooms: 3, ..Limits::default() };
    let main = Namespace::new()
        .on_connect(async |socket: Socket| drop(socket.set(Strikes::default())))
        .on("work", async |_: Socket, task: u32| Ack(task))
        .on_disconnect(async |socket: Socket, reason| {
            if let DisconnectReason::LimitExceeded(limit) = reason {
                println!("{} was cut off: {limit}", socket.id());
            }
        });
    let server = Server::builder()
        .namespace("/", main)
        .limits(limits)
        .on_limit(|exceeded| match (exceeded.limit, exceeded.socket.and_then(Socket::get::<Strikes>)) {
            (Limit::Events, Some(Strikes(count))) if count.fetch_add(1, Ordering::Relaxed) >= 20 => {
                Excess::Close
            }
            _ => Excess::Refuse,
        })
        .build();

    let stopping = server.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopping.drain(Duration::from_secs(5), Duration::from_secs(30)).await.ok();
        }
    });
    // Returns when the drain has ended.
    examples::serve(&server).await
}
