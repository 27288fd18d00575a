//! What happens on the sockets.
//!
//! | client sends | acknowledged with | others get |
//! |---|---|---|
//! | `join` name | `{room, messages}` | `rooms`, if it is new |
//! | `message` `{room, text}` | `{}` | `message`, in the room |
//! | `typing` `{room, typing}` | | `typing`, in the room |
//!
//! Everyone gets `online` when somebody comes or goes. An error is acknowledged as `{error}`. A message is counted in the
//! session of its author, whose tabs get `session`.

use std::{error::Error, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::json;
use session::SocketExt;
use socketio::{Ack, Event, Namespace, Socket};

use crate::{
    rooms::{Message, Online, Rooms},
    visitor::count,
};

#[derive(Deserialize)]
struct Said {
    room: String,
    text: String,
}

#[derive(Deserialize)]
struct Typing {
    room: String,
    typing: bool,
}

const ROOMS: Event<[String]> = Event::new("rooms");
const ONLINE: Event<Online> = Event::new("online");
const MESSAGE: Event<Message> = Event::new("message");
/// Before the names of the chat's rooms, as sockets are in others, too: one of their session.
const TALK: &str = "talk:";

/// Describes the namespace of the chat.
pub(crate) fn namespace() -> Namespace {
    // Handlers are shared by all sockets; each takes a reference to what they share.
    let rooms = Arc::new(Rooms::new());
    let (connect, disconnect, join, post) = (rooms.clone(), rooms.clone(), rooms.clone(), rooms);
    Namespace::new()
        .on_connect(move |socket| on_connect(connect.clone(), socket))
        .on_disconnect(move |socket, _| on_disconnect(disconnect.clone(), socket))
        .on("join", move |socket, name: String| on_join(join.clone(), socket, name))
        .on("message", move |socket, said: Said| on_message(post.clone(), socket, said))
        .on("typing", on_typing)
}

async fn on_connect(rooms: Arc<Rooms>, socket: Socket) {
    socket.emit(ROOMS, &rooms.names()).ok();
    let online = rooms.arrive(socket.id(), user(&socket));
    tell_everyone(&socket, ONLINE, &online);
}

async fn on_disconnect(rooms: Arc<Rooms>, socket: Socket) {
    let online = rooms.depart(socket.id());
    socket.broadcast().emit(ONLINE, &online).ok();
}

async fn on_join(
    rooms: Arc<Rooms>,
    socket: Socket,
    name: String,
) -> Result<Ack<impl Serialize>, &'static str> {
    let (room, messages, new) = rooms.open(&name)?;
    let mut left = socket.rooms();
    left.retain(|room| room.as_str().starts_with(TALK));
    socket.leave(left);
    socket.join(talk(&room));
    if new {
        tell_everyone(&socket, ROOMS, &rooms.names()[..]);
    }
    Ok(Ack(json!({"room": room, "messages": messages})))
}

async fn on_message(
    rooms: Arc<Rooms>,
    socket: Socket,
    said: Said,
) -> Result<Ack<impl Serialize>, Box<dyn Error + Send + Sync>> {
    let name = user(&socket).ok_or("log in first")?;
    let room = talk(&said.room);
    if !socket.is_in(&room) {
        return Err("join the room first".into());
    }
    let message = rooms.post(&said.room, name, &said.text)?;
    count(&socket.session(), "messages")?;
    socket.to(&room).emit(MESSAGE, &message).ok();
    socket.emit(MESSAGE, &message).ok();
    Ok(Ack(json!({})))
}

async fn on_typing(socket: Socket, Typing { room, typing }: Typing) {
    if let Some(name) = user(&socket).filter(|_| socket.is_in(&talk(&room))) {
        socket.to(talk(&room)).emit("typing", &json!({"room": room, "name": name, "typing": typing})).ok();
    }
}

/// The name under which the visitor has logged in, from the session that the pages share.
fn user(socket: &Socket) -> Option<String> {
    socket.session().get("name").ok().flatten()
}

fn talk(room: &str) -> String {
    format!("{TALK}{room}")
}

fn tell_everyone<D: Serialize + ?Sized>(socket: &Socket, event: Event<D>, data: &D) {
    socket.broadcast().emit(event, data).ok();
    socket.emit(event, data).ok();
}
