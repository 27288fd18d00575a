//! Events for many, and what else is done to many.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use socketio::{Ack, Broadcast, EncodeError, Namespace, Socket};

use super::life::{Description, rooms_with_own};

pub(crate) fn add(namespace: Namespace) -> Namespace {
    others(emissions(rooms(namespace)))
}

/// The sockets that a client means; without rooms everybody.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    /// Whether the client itself is left out.
    others: bool,
    to: Vec<String>,
    except: Vec<String>,
    local: bool,
    volatile: bool,
    compress: Option<bool>,
    /// Milliseconds.
    timeout: u64,
}

impl Target {
    fn of(self, socket: &Socket) -> Broadcast {
        let chosen = if self.others { socket.broadcast() } else { socket.namespace_handle().everyone() };
        let chosen = chosen.to(self.to).except(self.except).compress(self.compress.unwrap_or(true));
        let chosen = if self.local { chosen.local() } else { chosen };
        if self.volatile { chosen.volatile() } else { chosen }
    }
}

fn emissions(namespace: Namespace) -> Namespace {
    fn tell<D: Serialize>(
        socket: &Socket,
        target: Target,
        event: &str,
        data: &D,
    ) -> Result<Ack<()>, EncodeError> {
        target.of(socket).emit(event, data).map(Ack)
    }
    namespace
        .on("tell", async |socket, (target, event, data): (Target, String, Value)| {
            // As a tuple, because `null` alone would be no argument.
            tell(&socket, target, &event, &(data,))
        })
        .on("tell-bytes", async |socket, (target, event, data): (Target, String, Bytes)| {
            tell(&socket, target, &event, &data)
        })
        .on("tell-twice", async |socket: Socket, (target, event, bytes): (Target, String, Bytes)| {
            let chosen = target.of(&socket);
            for nth in [1, 2] {
                chosen.emit(event.as_str(), &(nth, &bytes))?;
            }
            Ok::<_, EncodeError>(Ack(()))
        })
        .on("ask-all", async |socket, (target, question): (Target, Option<Value>)| {
            ask_all::<Value>(&socket, target, &question.unwrap_or_default()).await.map(Ack)
        })
        .on("ask-all-bytes", async |socket, (target, question): (Target, Bytes)| {
            ask_all(&socket, target, &question).await.map(Ack)
        })
}

#[derive(Serialize)]
struct Answers<D> {
    answers: Vec<D>,
    failed: bool,
    missing: usize,
}

async fn ask_all<D>(socket: &Socket, target: Target, question: &D) -> Result<Answers<D>, EncodeError>
where
    D: DeserializeOwned + Serialize,
{
    let patience = Duration::from_millis(target.timeout);
    let asked = target.of(socket).emit_with_ack::<D, _>("question", question, patience)?;
    let socketio::Answers { answers, missing } = asked.collect().await;
    Ok(Answers { answers, failed: !missing.is_empty(), missing: missing.len() })
}

fn others(namespace: Namespace) -> Namespace {
    namespace
        .on("sockets", async |socket, target: Target| {
            let fetched = target.of(&socket).fetch_sockets().await;
            Ack(fetched.sockets.iter().map(Description::of).collect::<Vec<_>>())
        })
        .on("sockets-join", async |socket, (target, rooms): (Target, Vec<String>)| {
            target.of(&socket).join(rooms);
            Ack(())
        })
        .on("sockets-leave", async |socket, (target, rooms): (Target, Vec<String>)| {
            target.of(&socket).leave(rooms);
            Ack(())
        })
        .on("disconnect-sockets", async |socket, (target, close): (Target, bool)| {
            let chosen = target.of(&socket);
            if close { chosen.disconnect_connections() } else { chosen.disconnect() }
        })
}

fn rooms(namespace: Namespace) -> Namespace {
    namespace
        .on("join", async |socket: Socket, rooms: Vec<String>| {
            socket.join(rooms);
            Ack(())
        })
        .on("leave", async |socket: Socket, room: String| {
            socket.leave(room);
            Ack(())
        })
        .on("rooms", async |socket, ()| Ack(rooms_with_own(&socket)))
}
