//! Handlers and senders that disagree with the event about the type of its data.

use socketio::{Event, Namespace, Server, Socket};

const RENAME: Event<String> = Event::new("rename");
const RENAMED: Event<(String, u32)> = Event::new("renamed");

async fn rename(socket: Socket, id: u32) {
    socket.emit(RENAMED, &id).ok();
    socket.to("lobby").emit(RENAMED, "ada").ok();
}

fn main() {
    let namespace = Namespace::new().on(RENAME, rename).on(RENAME, async |_: Socket, id: u64| drop(id));
    Server::builder().namespace("/", namespace).build().emit(RENAMED, &("ada", 7)).ok();
}
