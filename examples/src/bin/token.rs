//! Who may connect, and who may do what.
//!
//! Start it with `cargo run -p examples --bin token`. A client connects with `io({auth: {token: "ada-secret"}})`, or
//! without a token as a guest. Guests may look, members may write.

use serde::Deserialize;
use serde_json::json;
use socketio::{Ack, Answer, IncomingEvent, Namespace, Next, Refusal, Server, Socket};

#[derive(Deserialize)]
struct Auth {
    token: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Visitor {
    Guest,
    Member(&'static str),
}

/// Runs before the client is told that it is connected. What it sets is there for all handlers.
async fn authenticate(socket: Socket) -> Result<(), Refusal> {
    let visitor = match socket.auth::<Auth>()?.token.as_deref() {
        None => Visitor::Guest,
        Some("ada-secret") => Visitor::Member("Ada"),
        Some(_) => return Err(Refusal::new("unknown token").with_data(json!({"retry": false}))),
    };
    socket.set(visitor);
    Ok(())
}

/// Wraps every handler: a guest's attempt to write does not get to one.
async fn members_write(socket: Socket, event: IncomingEvent, next: Next) -> Result<Answer, &'static str> {
    if event.name() == "write" && socket.get() == Some(Visitor::Guest) {
        return Err("members only");
    }
    Ok(next.run(event).await)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let main = Namespace::new()
        .middleware(authenticate)
        .event_middleware(members_write)
        .on("look", async |socket: Socket, ()| Ack(format!("{:?}", socket.get::<Visitor>())))
        .on("write", async |_: Socket, text: String| Ack(text.len()));
    examples::serve(&Server::builder().namespace("/", main).build()).await
}
