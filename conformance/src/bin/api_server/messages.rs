//! Whatever an event may carry, in both directions.

use bytes::Bytes;
use conformance::report;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socketio::{Ack, Acknowledge, Answer, IncomingEvent, Namespace, Reply, SendError, Socket};

use super::any::All;

const BYTES: Bytes = Bytes::from_static(&[1, 2, 3]);

/// Events that come back, or are answered with what they brought.
const ECHOED: [&str; 8] =
    ["echo", "answer", "message", "connection", "__proto__", "hasOwnProperty", "", "€ 😀"];

pub(crate) fn add(namespace: Namespace) -> Namespace {
    namespace
        .on("note", async |_, value: Value| report(&json!({"event": "note", "value": value})))
        .on("shape", async |socket, name: String| send_shape(&socket, &name).await)
        .on("say-message", async |socket: Socket, text: String| socket.emit("message", &text))
        .on("uncompressed", async |socket: Socket, data: Value| socket.compress(false).emit("shaped", &data))
        .on("reserved", async |socket: Socket, name: String| {
            Ack(if socket.emit(name.as_str(), &()).is_ok() { "sent" } else { "refused" })
        })
        .on("emit-each", emit_each)
}

/// What became of an event without a handler of its own.
pub(crate) enum Echo {
    Back(All),
    Unknown,
}

impl Reply for Echo {
    fn answer(self, ack: Acknowledge<'_>) -> Answer {
        match self {
            Self::Back(data) => ack.with(&data),
            Self::Unknown => Answer::default(),
        }
    }
}

/// The fallback.
pub(crate) async fn echo(socket: Socket, event: IncomingEvent) -> Result<Echo, SendError> {
    if !ECHOED.contains(&event.name()) {
        return Ok(Echo::Unknown);
    }
    let data = All::of(&event);
    if event.ack_id().is_none() {
        socket.emit_wait(event.name(), &data).await?;
    }
    Ok(Echo::Back(data))
}

/// Sends what the client knows by `name`.
async fn send_shape(socket: &Socket, name: &str) -> Result<(), SendError> {
    const SHAPED: &str = "shaped";
    match name {
        "nothing" => socket.emit_wait(SHAPED, &()).await,
        "text" => socket.emit_wait(SHAPED, "plain").await,
        "multibyte" => socket.emit_wait(SHAPED, &("utf8 — string", "€😀", "\0\u{2028}")).await,
        "values" => socket.emit_wait(SHAPED, &((), true, -1.5, 0, "", [(); 0], json!({}))).await,
        "several" => socket.emit_wait(SHAPED, &(1, "2", json!({"3": ["4"]}))).await,
        "date" => socket.emit_wait(SHAPED, &json!({"at": "1970-01-01T00:00:00.000Z"})).await,
        "bytes" => socket.emit_wait(SHAPED, &BYTES).await,
        "no bytes" => socket.emit_wait(SHAPED, &Bytes::new()).await,
        "bytes in between" => {
            let parts = Parts { four: [Some(BYTES), None], five: "5" };
            socket.emit_wait(SHAPED, &(1, BYTES, "3", parts)).await
        }
        "a big text" => socket.emit_wait(SHAPED, &"x".repeat(500_000)).await,
        "a big object" => {
            let list: Vec<_> =
                (0..20_000).map(|nth| json!({"nth": nth, "name": format!("item {nth}")})).collect();
            socket.emit_wait(SHAPED, &json!({"list": list})).await
        }
        "many bytes" => socket.emit_wait(SHAPED, &Bytes::from(vec![7; 500_000])).await,
        _ => Ok(()),
    }
}

#[derive(Serialize)]
struct Parts {
    four: [Option<Bytes>; 2],
    five: &'static str,
}

/// One of several events that are emitted in one go.
#[derive(Deserialize)]
struct Emission {
    event: String,
    #[serde(default)]
    volatile: bool,
    #[serde(default)]
    bytes: bool,
}

async fn emit_each(socket: Socket, list: Vec<Emission>) -> Result<Ack<()>, SendError> {
    for Emission { event, volatile, bytes } in list {
        let event = event.as_str();
        match (volatile, bytes) {
            (true, true) => socket.volatile().emit(event, &BYTES),
            (true, false) => socket.volatile().emit(event, &(Value::Null,)),
            (false, true) => socket.emit(event, &BYTES),
            (false, false) => socket.emit(event, &(Value::Null,)),
        }?;
    }
    Ok(Ack(()))
}
