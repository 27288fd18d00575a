//! Rooms and private messages.
//!
//! Start it with `cargo run -p examples --bin rooms`. A client sends `join` and `leave` with the name of a room,
//! `say` with a room and a text, `whisper` with the id of a socket and a text, and asks `who` is in a room. It
//! hears `said` and `whispered`.

use serde::{Deserialize, Serialize};
use socketio::{Ack, Event, Namespace, RoomEvent, Server, Socket};

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
    if !socket.rooms().iter().any(|room| room.as_str() == said.room) {
        return Err("join the room first");
    }
    socket.to(&said.room).emit(SAID, &said).map_err(|_| "cannot be said")?;
    Ok(Ack(()))
}

/// Each socket is alone in a room named as its id.
async fn whisper(socket: Socket, (to, text): (String, String)) {
    socket.to(to).emit("whispered", &(socket.id(), text)).ok();
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
        .on_room(|_, event| {
            if let RoomEvent::Create(room) | RoomEvent::Delete(room) = event {
                println!("{}: {event:?}", room.as_str());
            }
        });
    examples::serve(&Server::builder().namespace("/", main).build()).await
}
