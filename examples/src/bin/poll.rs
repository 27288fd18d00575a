//! The server asks many clients and gathers what they answer.
//!
//! Start it with `cargo run -p examples --bin poll`. Clients answer the event `vote` by its callback:
//! `socket.on("vote", (question, answer) => answer(true))`. One that emits `poll` with a question gets
//! `{yes, no, missing: [{id, why}]}`.

use serde::Serialize;
use socketio::{Ack, Answers, EncodeError, Namespace, Server, Socket};
use std::time::Duration;

#[derive(Serialize)]
struct Outcome {
    yes: usize,
    no: usize,
    missing: Vec<Missing>,
}

#[derive(Serialize)]
struct Missing {
    /// Unknown of those that are connected to another server of a cluster.
    id: Option<String>,
    why: String,
}

async fn poll(socket: Socket, question: String) -> Result<Ack<Outcome>, EncodeError> {
    let asked = socket.broadcast().emit_with_ack::<bool, _>("vote", &question, Duration::from_millis(500))?;
    // `asked.next()` gives them one by one as they come.
    let Answers { answers, missing } = asked.collect().await;
    let yes = answers.iter().filter(|&&vote| vote).count();
    let missing = missing.into_iter().map(|(id, why)| Missing { id, why: why.to_string() }).collect();
    Ok(Ack(Outcome { yes, no: answers.len() - yes, missing }))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let main = Namespace::new().on("poll", poll);
    examples::serve(&Server::builder().namespace("/", main).build()).await
}
