//! The server asks many clients and gathers what they answer.
//!
//! Start it with `cargo run -p examples --bin poll`. Clients answer the event `vote` by its callback:
//! `socket.on("vote", (question, answer) => answer(true))`. One that emits `poll` with a question gets
//! `{yes, no, silent}`.

use serde::Serialize;
use socketio::{Ack, EncodeError, Namespace, Server, Socket};
use std::time::Duration;

#[derive(Serialize)]
struct Outcome {
    yes: usize,
    no: usize,
    silent: usize,
}

async fn poll(socket: Socket, question: String) -> Result<Ack<Outcome>, EncodeError> {
    let mut votes = socket.broadcast().emit_with_ack("vote", &question, Duration::from_millis(500))?;
    let mut outcome = Outcome { yes: 0, no: 0, silent: 0 };
    // They come one by one; `votes.collect()` waits for all.
    while let Some(vote) = votes.next().await {
        match vote.result {
            Ok(true) => outcome.yes += 1,
            Ok(false) => outcome.no += 1,
            Err(_) => outcome.silent += 1,
        }
    }
    Ok(Ack(outcome))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let main = Namespace::new().on("poll", poll);
    examples::serve(&Server::builder().namespace("/", main).build()).await
}
