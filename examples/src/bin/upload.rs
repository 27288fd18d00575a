//! Binary upload in pieces, each acknowledged, and the download.
//!
//! Start it with `cargo run -p examples --bin upload`. A client sends `piece` with `{name, data}`, where `data` is a
//! `Buffer`, `Uint8Array` or `Blob`, and awaits each acknowledgement before it sends the next: so it is never faster
//! than the server. `download` answers with the whole file.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use socketio::{Ack, Namespace, Server, Socket};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// Bytes may be anywhere in the data of an event.
#[derive(Deserialize)]
struct Piece {
    name: String,
    data: Bytes,
}

/// The files of one client.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<HashMap<String, BytesMut>>>);

/// What a client can make the server keep is bounded in every direction: empty files and long names too.
const MAX_BYTES: usize = 10_000_000;
const MAX_FILES: usize = 10;
const MAX_NAME_BYTES: usize = 100;

async fn receive(socket: Socket, piece: Piece) -> Result<Ack<usize>, &'static str> {
    let Files(files) = socket.get().unwrap_or_default();
    let mut files = files.lock().expect("nobody panics with it");
    if piece.name.len() > MAX_NAME_BYTES {
        return Err("the name is too long");
    }
    if files.len() == MAX_FILES && !files.contains_key(&piece.name) {
        return Err("too many files");
    }
    let kept: usize = files.values().map(BytesMut::len).sum();
    if kept + piece.data.len() > MAX_BYTES {
        return Err("no more room");
    }
    let file = files.entry(piece.name).or_default();
    file.extend_from_slice(&piece.data);
    Ok(Ack(file.len()))
}

async fn download(socket: Socket, name: String) -> Result<Ack<Bytes>, &'static str> {
    let Files(files) = socket.get().unwrap_or_default();
    let file = files.lock().expect("nobody panics with it").get(&name).cloned();
    Ok(Ack(file.ok_or("no such file")?.freeze()))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let main = Namespace::new()
        .on_connect(async |socket: Socket| drop(socket.set(Files::default())))
        .on("piece", receive)
        .on("download", download);
    examples::serve(&Server::builder().namespace("/", main).build()).await
}
