//! A Socket.IO server with all that an application can ask of it, commanded by events; its twin is
//! `js/servers/api.mjs`.
//!
//! Arguments, besides those of Engine.IO: `connect_timeout` (ms), `parser` (`msgpack`), `recovery` (ms),
//! `recovery_middleware` (`true`: it decides about recovered sockets too), `cleanup`, and limits: `max_events` (a
//! second), `max_pending_acks`, `max_rooms`, `max_namespaces`, `over_limit` (`close`).
//!
//! Namespaces: `/` and `/other` do the same; `/gate` has middleware for connections, `/events` for events;
//! `/ordered` runs one handler at a time; `/room-<n>` exists by pattern, `/club-<name>` for members,
//! `/open-<name>` by a pattern that is asked last.

mod any;
mod asking;
mod broadcasts;
mod events;
mod gate;
mod hold;
mod life;
mod messages;
mod order;

use std::{io, sync::OnceLock, time::Duration};

use conformance::{Arguments, report};
use http::StatusCode;
use serde_json::json;
use socketio::{
    Excess, Limits, MsgPackParser, Namespace, NamespaceHandle, Rate, Recovery, RoomEvent, Server,
};
use tokio::{net::TcpListener, sync::mpsc};

/// Known to the handlers that ask for all namespaces.
static SERVER: OnceLock<Server> = OnceLock::new();

/// How long connections may take to end when the server does.
const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> io::Result<()> {
    let server = SERVER.get_or_init(|| build(&Arguments::read()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut commands = standard_input();
    let ended = tokio::select! {
        served = server.serve(listener) => return served,
        command = commands.recv() => match command.as_deref() {
            None => return Ok(()),
            Some("shutdown") => server.shutdown(DEADLINE).await,
            Some(other) => {
                let over = other.strip_prefix("drain=").and_then(|over| over.parse().ok());
                server.drain(Duration::from_millis(over.expect("a command")), DEADLINE).await
            }
        },
    };
    if let Err(cut) = ended {
        eprintln!("{cut} connections were cut");
    }
    // Until nobody reads the reports any more.
    while commands.recv().await.is_some() {}
    Ok(())
}

/// The lines of standard input.
fn standard_input() -> mpsc::UnboundedReceiver<String> {
    let (sender, commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        io::stdin().lines().map_while(Result::ok).all(|line| sender.send(line.trim().to_owned()).is_ok())
    });
    commands
}

fn build(arguments: &Arguments) -> Server {
    let path = arguments.text("path").unwrap_or("/socket.io/");
    let connect_timeout = arguments.value("connect_timeout").unwrap_or(45_000);
    let mut builder = Server::builder()
        .engine(arguments.engine_config(path))
        .path(path)
        .connect_timeout(Duration::from_millis(connect_timeout))
        .cleanup_empty_child_namespaces(arguments.value("cleanup").unwrap_or(false))
        .limits(limits(arguments))
        .handshake(refuse_denied)
        .on_namespace(|namespace| report(&json!({"event": "new-namespace", "namespace": namespace.path()})))
        .namespace("/", everything())
        .namespace("/other", everything())
        .namespace("/gate", gate::add(everything()))
        .namespace("/events", events::add(without_fallback()))
        .namespace("/ordered", everything().ordered())
        .dynamic("/room-{number}", everything().middleware(gate::refuse_if_asked))
        .dynamic_if(gate::is_member, everything())
        .dynamic("/open-{name}", everything());
    if arguments.text("over_limit") == Some("close") {
        builder = builder.on_limit(|_| Excess::Close);
    }
    if let Some(away) = arguments.value("recovery") {
        let skip_middleware = !arguments.value("recovery_middleware").unwrap_or(false);
        let max_disconnection = Duration::from_millis(away);
        builder = builder.recovery(Recovery { max_disconnection, skip_middleware, ..Recovery::default() });
    }
    if arguments.text("parser") == Some("msgpack") {
        builder = builder.parser(MsgPackParser);
    }
    builder.build()
}

fn limits(arguments: &Arguments) -> Limits {
    let default = Limits::default();
    Limits {
        events: arguments.value("max_events").map(Rate::per_second),
        pending_acks: arguments.value("max_pending_acks").unwrap_or(default.pending_acks),
        rooms: arguments.value("max_rooms").unwrap_or(default.rooms),
        namespaces: arguments.value("max_namespaces").unwrap_or(default.namespaces),
        ..default
    }
}

/// Refuses requests with `deny` in their query.
async fn refuse_denied(handshake: engineio::Handshake) -> Result<engineio::Handshake, engineio::Refusal> {
    match handshake.head().query_param("deny") {
        Some(_) => Err(engineio::Refusal::new(StatusCode::FORBIDDEN, "no entry")),
        None => Ok(handshake),
    }
}

fn everything() -> Namespace {
    without_fallback().fallback(messages::echo)
}

fn without_fallback() -> Namespace {
    let namespace = Namespace::new().on_room(report_room);
    order::add(broadcasts::add(asking::add(messages::add(life::add(namespace)))))
}

fn report_room(namespace: &NamespaceHandle, change: &RoomEvent) {
    let (event, room, id) = match change {
        RoomEvent::Create(room) => ("create-room", room, None),
        RoomEvent::Delete(room) => ("delete-room", room, None),
        RoomEvent::Join(room, id) => ("join-room", room, Some(id)),
        RoomEvent::Leave(room, id) => ("leave-room", room, Some(id)),
    };
    report(&json!({"event": event, "namespace": namespace.path(), "room": room.as_str(), "id": id}));
}
