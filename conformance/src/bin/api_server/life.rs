//! What a socket is, what its client said when it came, and how it ends.

use conformance::report;
use serde::Serialize;
use serde_json::{Map, Value, json};
use socketio::{Ack, DisconnectReason, HandshakeInfo, Namespace, RemoteSocket, Socket};

use super::SERVER;

pub(crate) fn add(namespace: Namespace) -> Namespace {
    description(ends(namespace))
}

fn tell(socket: &Socket, event: &str, fields: Value) {
    let mut line = json!({"event": event, "id": socket.id(), "namespace": socket.namespace()});
    if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
        line.extend(fields);
    }
    report(&line);
}

fn ends(namespace: Namespace) -> Namespace {
    namespace
        .on_connect(async |socket| {
            let (recovered, transport) = (socket.is_recovered(), transport(&socket));
            tell(&socket, "connect", json!({"recovered": recovered, "transport": transport}));
        })
        .on_upgrade(async |socket| tell(&socket, "upgrade", json!({"transport": transport(&socket)})))
        .on_disconnecting(|socket: &Socket, reason: &DisconnectReason| {
            tell(
                socket,
                "disconnecting",
                json!({"reason": reason.as_str(), "rooms": rooms_with_own(socket)}),
            );
        })
        .on_disconnect(async |socket, reason| {
            socket.join("late");
            let rooms: Vec<_> = socket.rooms().iter().map(|room| room.as_str().to_owned()).collect();
            tell(&socket, "disconnect", json!({"reason": reason.as_str(), "rooms": rooms}));
        })
        .on("disconnect-me", async |socket, ()| socket.disconnect())
        .on("close-me", async |socket, ()| socket.disconnect_connection())
}

fn transport(socket: &Socket) -> &'static str {
    socket.connection().transport().as_str()
}

/// The rooms as the official server has them: with that of the own id.
pub(crate) fn rooms_with_own(socket: &Socket) -> Vec<String> {
    sorted(socket.id(), socket.rooms().iter().map(|room| room.as_str().to_owned()).collect())
}

fn sorted(id: &str, mut rooms: Vec<String>) -> Vec<String> {
    rooms.push(id.to_owned());
    rooms.sort();
    rooms
}

fn description(namespace: Namespace) -> Namespace {
    namespace
        .show::<Value>()
        .on("state", async |socket: Socket, ()| {
            Ack(json!({
                "id": socket.id(),
                "rooms": rooms_with_own(&socket),
                "data": socket.get::<Value>(),
                "recovered": socket.is_recovered(),
                "transport": transport(&socket),
            }))
        })
        .on("set-data", async |socket: Socket, data: Value| {
            socket.set(data.clone());
            Ack(data)
        })
        .on("handshake", async |socket, ()| Ack(HandshakeInfo::of(&socket)))
        .on("namespaces", async |_, ()| {
            let server = SERVER.get().expect("it serves this socket");
            let mut paths: Vec<_> = server.namespaces().iter().map(|each| each.path().to_owned()).collect();
            paths.sort();
            Ack(paths)
        })
}

/// A socket as others see it.
#[derive(Serialize)]
pub(crate) struct Description {
    id: String,
    rooms: Vec<String>,
    data: Value,
    auth: Value,
    url: String,
}

impl Description {
    pub(crate) fn of(socket: &RemoteSocket) -> Self {
        let HandshakeInfo { auth, url, .. } = socket.handshake();
        Self {
            id: socket.id().to_owned(),
            rooms: sorted(socket.id(), socket.rooms().iter().map(|room| room.as_str().to_owned()).collect()),
            data: socket.data().unwrap_or_else(|| Value::Object(Map::new())),
            auth,
            url,
        }
    }
}
