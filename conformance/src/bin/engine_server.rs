//! An Engine.IO server that echoes, and is commanded by text messages; its twin is `js/servers/engine.mjs`.

use std::{io, sync::OnceLock};

use conformance::{Arguments, report};
use engineio::{
    CloseReason, Connection, Event, Events, Handshake, Message, Outgoing, Refusal, RequestHead, Server,
    handler_fn,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

/// Counts the connections for the command `count`.
static SERVER: OnceLock<Server> = OnceLock::new();

#[tokio::main]
async fn main() -> io::Result<()> {
    let server = Server::builder()
        .config(Arguments::read().engine_config("/engine.io/"))
        .handshake(refuse_denied)
        .initial_headers(|headers: &mut HeaderMap, _: &RequestHead| {
            headers.insert("x-first", HeaderValue::from_static("1"));
            headers.append(header::SET_COOKIE, HeaderValue::from_static("a=1"));
            headers.append(header::SET_COOKIE, HeaderValue::from_static("b=2"));
        })
        .headers(|headers: &mut HeaderMap, _: &RequestHead| {
            headers.insert("x-every", HeaderValue::from_static("1"));
        })
        .on_connection_error(|error| {
            report(&json!({"event": "error", "code": error.code, "message": error.message}));
        })
        .build(handler_fn(obey));
    conformance::serve(SERVER.get_or_init(|| server)).await
}

/// Refuses requests with `deny` in their query.
async fn refuse_denied(handshake: Handshake) -> Result<Handshake, Refusal> {
    match handshake.head().query_param("deny") {
        Some(_) => Err(Refusal::new(StatusCode::FORBIDDEN, "no entry")),
        None => Ok(handshake),
    }
}

async fn obey(connection: Connection, mut events: Events) {
    let sid = connection.sid().as_str().to_owned();
    report(&json!({"event": "open", "sid": sid}));
    while let Some(event) = events.next().await {
        match event {
            // Whoever cannot send any more learns of it by `Closed`.
            Event::Message(message) => drop(answer(&connection, message).await),
            Event::Upgraded => report(&json!({"event": "upgrade", "sid": sid})),
            Event::Drained => {}
            Event::Closed(reason) => report_close(&sid, &reason),
        }
    }
}

fn report_close(sid: &str, reason: &CloseReason) {
    report(&json!({"event": "close", "sid": sid, "reason": reason.as_str(), "detail": reason.detail()}));
}

async fn answer(connection: &Connection, message: Message) -> Result<(), engineio::SendError> {
    let Message::Text(text) = &message else { return connection.send(message).await };
    let head = connection.handshake().head();
    let (command, argument) = text.split_once(' ').unwrap_or((text, ""));
    match command {
        "close" => connection.close(),
        "close-now" => connection.close_now(),
        "bye" => {
            connection.send_all(numbered("bye", 3)).await?;
            connection.close();
        }
        "burst" => connection.send_all(numbered("burst", argument.parse().unwrap_or(0))).await?,
        "who" => {
            let who =
                json!({"transport": connection.transport().as_str(), "protocol": connection.protocol()});
            connection.send(who.to_string()).await?;
        }
        "count" => {
            let count = SERVER.get().map_or(0, Server::connection_count);
            connection.send(count.to_string()).await?;
        }
        "note" => report(&json!({"event": "note", "note": argument})),
        "target" => connection.send(head.target().to_owned()).await?,
        "header" => connection.send(head.header(argument).unwrap_or_default().to_owned()).await?,
        "address" => {
            let address = connection.remote_addr().map(|address| address.ip().to_string());
            connection.send(address.unwrap_or_default()).await?;
        }
        _ => connection.send(message).await?,
    }
    Ok(())
}

fn numbered(word: &str, count: usize) -> impl Iterator<Item = Outgoing> {
    (0..count).map(move |nth| format!("{word} {nth}").into())
}
