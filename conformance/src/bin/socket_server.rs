//! A Socket.IO server with cookie sessions that echoes, asks and broadcasts; its twin is `js/servers/socket.mjs`.
//!
//! Namespaces: `/` and `/admin` do the same; `/refused` lets in who authenticates as a friend.

use std::{borrow::Cow, io, sync::OnceLock, time::Duration};

use bytes::Bytes;
use conformance::{Arguments, report};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use session::{MemoryStore, ServerBuilderExt, SessionError, Sessions, SocketExt, ValueError, Values};
use socketio::{Ack, Namespace, NamespaceHandle, Refusal, SendError, Server, Socket};

/// Reaches everyone, for the events that include their sender.
static SERVER: OnceLock<Server> = OnceLock::new();

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::read();
    let sessions = Sessions::builder(MemoryStore::default())
        .secret("keyboard cat")
        .save_uninitialized(true)
        .build()
        .expect("there is a secret");
    let connect_timeout = arguments.value("connect_timeout").unwrap_or(45_000);
    let server = Server::builder()
        .engine(arguments.engine_config("/socket.io/"))
        .path(arguments.text("path").unwrap_or("/socket.io/"))
        .connect_timeout(Duration::from_millis(connect_timeout))
        .sessions(&sessions)
        .namespace("/", events())
        .namespace("/admin", events())
        .namespace("/refused", events().middleware(admit_friends))
        .build();
    conformance::serve(SERVER.get_or_init(|| server).engine()).await
}

async fn admit_friends(socket: Socket) -> Result<(), Refusal> {
    match socket.auth::<Value>()?.get("token").and_then(Value::as_str) {
        Some("friend") => Ok(()),
        _ => Err(Refusal::new("not you").with_data(json!({"code": 7}))),
    }
}

fn events() -> Namespace {
    let namespace = Namespace::new()
        .on_connect(async |socket| {
            report(&json!({"event": "connect", "id": socket.id(), "namespace": socket.namespace()}));
        })
        .on_disconnect(async |socket, reason| {
            let (id, namespace, reason) = (socket.id(), socket.namespace(), reason.as_str());
            report(&json!({"event": "disconnect", "id": id, "namespace": namespace, "reason": reason}));
        });
    sessions(membership(rooms(questions(echoes(namespace)))))
}

#[derive(Deserialize, Serialize)]
struct Parcel {
    label: String,
    parts: Vec<Bytes>,
}

/// Events that come back, and are acknowledged with what they brought.
fn echoes(namespace: Namespace) -> Namespace {
    async fn echo<D: Serialize>(socket: Socket, event: &'static str, data: D) -> Result<Ack<D>, SendError> {
        socket.emit_wait(event, &data).await?;
        Ok(Ack(data))
    }
    namespace
        .on("echo", async |socket, data: (Value,)| echo(socket, "echo", data).await)
        .on("pair", async |socket, data: (Value, Value)| echo(socket, "pair", data).await)
        .on("binary", async |socket, data: Bytes| echo(socket, "binary", data).await)
        .on("parcel", async |socket, data: Parcel| echo(socket, "parcel", data).await)
        .on("count", async |socket: Socket, to: u32| {
            for nth in 0..to {
                socket.emit_wait("number", &nth).await?;
            }
            Ok::<_, SendError>(())
        })
}

/// Events upon which the server asks the client.
fn questions(namespace: Namespace) -> Namespace {
    const PATIENCE: Duration = Duration::from_secs(5);
    namespace
        .on("ask", async |socket: Socket, question: Value| {
            if let Ok(answer) = socket.emit_with_ack::<Value, _>("question", &question, PATIENCE).await {
                socket.emit("answered", &answer).ok();
            }
        })
        .on("ask-binary", async |socket: Socket, question: Bytes| {
            if let Ok(answer) = socket.emit_with_ack::<Bytes, _>("question", &question, PATIENCE).await {
                socket.emit("answered", &answer).ok();
            }
        })
        .on("ask-in-vain", async |socket: Socket, ()| {
            let answer = socket.emit_with_ack::<Value, _>("ignored", &(), Duration::from_millis(100)).await;
            socket.emit("answered", if answer.is_ok() { "something" } else { "nothing" }).ok();
        })
}

fn rooms(namespace: Namespace) -> Namespace {
    namespace
        .on("join", async |socket: Socket, room: String| {
            socket.join(room);
            Ack(())
        })
        .on("leave", async |socket: Socket, room: String| {
            socket.leave(room);
            Ack(())
        })
        .on("rooms", async |socket: Socket, ()| {
            let mut rooms: Vec<_> = socket.rooms().iter().map(|room| room.as_str().to_owned()).collect();
            // The room of the session is not in the twin.
            rooms.retain(|room| !room.starts_with("session:"));
            rooms.sort();
            Ack(rooms)
        })
        .on("say", async |socket: Socket, (room, text): (String, String)| socket.to(room).emit("said", &text))
        .on("say-except", async |socket: Socket, (room, text): (String, String)| {
            socket.except(room).emit("said", &text)
        })
        .on("say-others", async |socket: Socket, text: String| socket.broadcast().emit("said", &text))
        .on("say-all", async |socket: Socket, text: String| everyone(&socket).emit("said", &text))
        .on("say-binary", async |socket: Socket, data: Bytes| everyone(&socket).emit("said", &data))
}

fn everyone(socket: &Socket) -> NamespaceHandle {
    SERVER.get().expect("it serves this socket").of(socket.namespace())
}

/// Who somebody is, and how to leave.
fn membership(namespace: Namespace) -> Namespace {
    namespace
        .on("who-am-i", async |socket: Socket, ()| {
            let token = socket.handshake().head().query_param("token").map(Cow::into_owned);
            let auth: Value = socket.auth().unwrap_or_default();
            Ack(json!({"id": socket.id(), "auth": auth, "token": token}))
        })
        .on("disconnect-me", async |socket: Socket, ()| socket.disconnect())
        .on("close-me", async |socket: Socket, ()| socket.disconnect_connection())
}

fn sessions(namespace: Namespace) -> Namespace {
    namespace
        .on("visit", async |socket: Socket, ()| {
            let count = |values: &mut Values| {
                let visits = values.get("visits")?.unwrap_or(0) + 1;
                values.insert("visits", &visits)?;
                Ok(visits)
            };
            Ok::<Ack<u32>, SessionError>(Ack(socket.session().update(count).await?))
        })
        .on("log-in", async |socket: Socket, name: String| {
            socket.session().update(|values| values.insert("name", &name)).await?;
            Ok::<_, SessionError>(Ack(name))
        })
        .on("name", async |socket: Socket, ()| {
            Ok::<Ack<Option<String>>, ValueError>(Ack(socket.session().get("name")?))
        })
}
