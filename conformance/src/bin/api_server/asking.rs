//! Acknowledgements, the client's and the server's.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use socketio::{Ack, AckError, Namespace, Socket};

use super::hold;

pub(crate) fn add(namespace: Namespace) -> Namespace {
    namespace
        .on("answer-twice", async |_, ()| Ack(1))
        .on("answer-later", async |_, value: Value| {
            hold::released().await;
            Ack(value)
        })
        .on("never", async |_, ()| ())
        .on("release", async |_, ()| hold::release())
        .on("ask", async |socket: Socket, (patience, question): (u64, Value)| {
            let answer =
                socket.emit_with_ack::<Value, _>("question", &question, Duration::from_millis(patience));
            Ack(match answer.await {
                Ok(answer) => json!({"answers": [answer]}),
                Err(AckError::Timeout) => json!({"failed": "operation has timed out"}),
                Err(error) => json!({"failed": error.to_string()}),
            })
        })
        .on("ask-bytes", async |socket: Socket, (patience, bytes): (u64, Bytes)| {
            let question = (bytes.clone(), "and", bytes);
            let patience = Duration::from_millis(patience);
            socket.emit_with_ack::<(Bytes, String, Bytes), _>("question", &question, patience).await.map(Ack)
        })
        .on("pending", async |socket: Socket, ()| Ack(socket.pending_acks()))
}
