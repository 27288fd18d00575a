//! Events that read and change the session.

use std::time::Duration;

use conformance::report;
use serde::{Serialize, Serializer};
use serde_json::{Value, json, value::RawValue};
use session::{Session, SessionError, SocketExt, Ticket, ValueError, Values};
use socketio::{Ack, EncodeError, Namespace, Socket};

/// Any JSON, as the client has written it.
type Json = Box<RawValue>;

pub(super) fn namespace(connect_counts: bool, disconnect_counts: bool) -> Namespace {
    let namespace = Namespace::new()
        .on_connect(move |socket: Socket| async move {
            if connect_counts {
                count(&socket, "connects").await;
            }
        })
        .on_disconnect(move |socket: Socket, reason| async move {
            if disconnect_counts {
                count(&socket, "disconnects").await;
            }
            let (id, namespace, reason) = (socket.id(), socket.namespace(), reason.as_str());
            report(&json!({"event": "disconnect", "id": id, "namespace": namespace, "reason": reason}));
        })
        .on_error(|_, error| {
            let (name, message) = (error.event(), error.failure().to_string());
            report(&json!({"event": "error", "name": name, "message": message}));
        })
        .on("echo", async |_, value: Json| Ack(value))
        .on("id", async |socket: Socket, ()| Ack(socket.session().sid().as_str().to_owned()))
        .on("broadcast-in-session", async |socket: Socket, name: String| {
            socket.in_session().emit(name.as_str(), &())?;
            Ok::<_, EncodeError>(Ack(true))
        });
    lifetime(writing(reading(namespace)))
}

async fn count(socket: &Socket, key: &str) {
    if let Err(error) = increment(&socket.session(), key).await {
        report(&json!({"event": "error", "name": key, "message": error.to_string()}));
    }
}

fn reading(namespace: Namespace) -> Namespace {
    namespace
        .on("is-new", async |socket: Socket, ()| Ack(socket.session().is_new()))
        .on("get", async |socket: Socket, key: String| socket.session().get::<Json>(&key).map(Ack))
        .on("all", async |socket: Socket, ()| Ack(All(socket.session().values())))
        .on("cookie", async |socket: Socket, ()| Ack(lifetime_of(&socket.session())))
}

/// The two dates of the cookie, as they are stored.
pub(super) fn lifetime_of(session: &Session) -> Value {
    let cookie = json!(session.cookie());
    json!({"expires": cookie["expires"], "originalMaxAge": cookie["originalMaxAge"]})
}

fn writing(namespace: Namespace) -> Namespace {
    fn set(socket: &Socket, key: &str, value: &RawValue) -> Result<Ack<bool>, ValueError> {
        socket.session().insert(key, value).map(|()| Ack(true))
    }
    namespace
        .on("set", async |socket, (key, value): (String, Json)| set(&socket, &key, &value))
        .on("remove", async |socket: Socket, key: String| {
            socket.session().remove(&key);
            Ack(true)
        })
        .on("slow-set", async |socket, (key, value, ms): (String, Json, u64)| {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            set(&socket, &key, &value)
        })
        .on("set-slow", async |socket, (key, value, ms): (String, Json, u64)| {
            let set = set(&socket, &key, &value);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            set
        })
        .on("fail-set", async |socket, (key, value): (String, Json)| {
            set(&socket, &key, &value).map_err(|error| error.to_string())?;
            Err::<Ack<bool>, _>("the handler failed".to_owned())
        })
        .on("increment", async |socket: Socket, key: String| {
            increment(&socket.session(), &key).await.map(Ack)
        })
}

/// Counts as one transaction.
pub(super) async fn increment(session: &Session, key: &str) -> Result<u64, SessionError> {
    session
        .update(|values| {
            let value = values.get::<u64>(key)?.unwrap_or(0) + 1;
            values.insert(key, &value)?;
            Ok(value)
        })
        .await
}

fn lifetime(namespace: Namespace) -> Namespace {
    fn done(result: Result<(), SessionError>) -> Result<Ack<bool>, SessionError> {
        result.map(|()| Ack(true))
    }
    namespace
        .on("save", async |socket: Socket, ()| done(socket.session().save().await))
        .on("touch", async |socket: Socket, ()| done(socket.session().touch().await))
        .on("reload", async |socket: Socket, ()| done(socket.session().reload().await))
        .on("destroy", async |socket: Socket, ()| done(socket.session().destroy().await))
        .on("max-age", async |socket: Socket, ms: u64| {
            socket.session().set_max_age(Some(Duration::from_millis(ms)));
            Ack(true)
        })
        .on("regenerate", async |socket: Socket, ()| {
            Ok::<Ack<Ticket>, SessionError>(Ack(socket.session().regenerate_with_ticket().await?))
        })
        .on("ticket", async |socket: Socket, ()| socket.session().ticket().map(Ack))
}

/// All values as one object.
pub(super) struct All(pub(super) Values);

impl Serialize for All {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}
