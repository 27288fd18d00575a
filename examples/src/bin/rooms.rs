//! Rooms and private messages.
//!
//! Start it with `cargo run -p examples --bin rooms`. A client sends `join` and `leave` with the name of a room,
//! `say` with a room and a text, `whisper` with the id of a socket and a text, and asks `who` is in a room. It
//! hears `said` and `whispered`.

use serde::{Deserialize, Serialize};
use socketio::{Ack, Event, Namespace, Server, Socket};

#[derive(Deserialize, Serialize)]
struct Said {
    room: String,
    text: String,
}

const SAY: Event<Said> = Event::new("say");
const SAID: Event<Said> = Event::new("said");

async fn join(socket: Socket, room: String) -> Ack<()> {
    socket.join(room);
    Ack(())
}

async fn leave(socket: Socket, room: String) -> Ack<()> {
    socket.leave(room);
    Ack(())
}

/// To everyone else in the room, by those who are in it.
async fn say(socket: Socket, said: Said) -> Result<Ack<()>, &'static str> {
    if !socket.is_in(&said.room) {
        return Err("join the room first");
    }
    socket.to(&said.room).emit(SAID, &said).map_err(|_| "cannot be said")?;
    Ok(Ack(()))
}

/// To the socket itself. `socket.to(id)` would reach it too, but also any room that a client names there, and
/// whoever has joined a room named as the id.
async fn whisper(socket: Socket, (to, text): (String, String)) -> Result<Ack<()>, &'static str> {
    let listener = socket.namespace_handle().socket(&to).ok_or("no such socket")?;
    listener.emit("whispered", &(socket.id(), text)).map_err(|_| "cannot be told")?;
    Ok(Ack(()))
}

/// The sockets of a room, on whichever server of a cluster they are.
async fn who(socket: Socket, room: String) -> Ack<Vec<String>> {
    let found = socket.namespace_handle().to(room).fetch_sockets().await;
    let mut ids: Vec<String> = found.sockets.iter().map(|socket| socket.id().to_owned()).collect();
    ids.sort();
    Ack(ids)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let main = Namespace::new()
        .on("join", join)
        .on("leave", leave)
        .on(SAY, say)
        .on("whisper", whisper)
        .on("who", who)
        .on_room(|_, event| println!("{event:?}"));
    examples::serve(&Server::builder().namespace("/", main).build()).await
}
