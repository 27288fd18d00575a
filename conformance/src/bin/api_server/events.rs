//! Middleware for events, catch-all handlers, several handlers of one event, and none.

use conformance::report;
use serde_json::{Value, json};
use socketio::{Ack, Answer, EncodeError, EventError, IncomingEvent, Namespace, Next, OutgoingEvent, Socket};

use super::{
    any::All,
    hold,
    messages::{Echo, echo},
};

pub(crate) fn add(namespace: Namespace) -> Namespace {
    handlers(middleware(catch_all(namespace)))
}

fn tell(socket: &Socket, event: &str, fields: (&str, Value)) {
    let (name, value) = fields;
    report(&json!({"event": event, "id": socket.id(), name: value}));
}

fn catch_all(namespace: Namespace) -> Namespace {
    namespace
        .on_any(async |socket: Socket, event: IncomingEvent| {
            let (id, name, data) = (socket.id(), event.name(), All::of(&event).0.into_iter().next());
            report(&json!({"event": "incoming", "id": id, "name": name, "data": data}));
        })
        .on_any_outgoing(|socket: &Socket, event: &OutgoingEvent<'_>| {
            tell(socket, "outgoing", ("name", event.name().into()));
        })
        .fallback(async |socket: Socket, event: IncomingEvent| {
            let name = event.name().to_owned();
            let outcome = echo(socket.clone(), event).await;
            if let Ok(Echo::Unknown) = outcome {
                tell(&socket, "unknown", ("name", name.into()));
            }
            outcome
        })
        .on_error(|socket: &Socket, error: &EventError| {
            tell(socket, "refused-event", ("message", error.failure().to_string().into()));
        })
}

fn middleware(namespace: Namespace) -> Namespace {
    namespace.event_middleware(change).event_middleware(refuse).event_middleware(hold_answer)
}

fn tell_of(socket: &Socket, nth: u32, event: &IncomingEvent) {
    let (id, name) = (socket.id(), event.name());
    report(&json!({"event": "event-middleware", "id": id, "nth": nth, "name": name}));
}

async fn change(socket: Socket, event: IncomingEvent, next: Next) -> Result<Answer, EncodeError> {
    tell_of(&socket, 1, &event);
    let event = match event.decode::<String>() {
        Ok(text) if event.name() == "shout" => event.with_data(&text.to_uppercase())?,
        _ => event,
    };
    Ok(next.run(event).await)
}

async fn refuse(socket: Socket, event: IncomingEvent, next: Next) -> Result<Answer, &'static str> {
    tell_of(&socket, 2, &event);
    match event.name() {
        "forbidden" => Err("forbidden to you"),
        _ => Ok(next.run(event).await),
    }
}

/// Acts when the event has been handled, before the client is answered.
async fn hold_answer(_: Socket, event: IncomingEvent, next: Next) -> Answer {
    let is_held = event.name() == "held";
    let answer = next.run(event).await;
    if is_held {
        hold::released().await;
    }
    answer
}

fn handlers(namespace: Namespace) -> Namespace {
    namespace
        .on("shout", async |_, text: String| Ack(text))
        .on("forbidden", async |_, ()| report(&json!({"event": "note", "value": "forbidden was handled"})))
        .on("held", async |socket, value: Value| {
            tell(&socket, "handled", ("value", value.clone()));
            Ack(value)
        })
        .on("many", async |socket, ()| tell(&socket, "handler", ("nth", 1.into())))
        .on("many", async |socket, ()| tell(&socket, "handler", ("nth", 2.into())))
        .on_connect(async |socket: Socket| {
            if socket.once::<()>("once").await.is_ok() {
                tell(&socket, "handler", ("nth", "once".into()));
            }
        })
}
