//! Sessions in the handlers of sockets, over real connections in memory and time that the tests move.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod ends;
mod handshake;
mod idle;
mod policies;
mod saving;
#[path = "../support/mod.rs"]
mod support;
mod tickets;

use std::time::Duration;

use serde_json::Value;
use session::{CookieOptions, ServerBuilderExt as _, Sessions, SessionsBuilder, Sid, SocketExt as _};
use socketio::{Ack, Namespace, Server, Socket};
use support::{Client, Site, Spy};

/// A site with pages and sockets, and somebody who is logged in.
struct Scene {
    store: Spy,
    sessions: Sessions,
    server: Server,
    site: Site,
    cookie: String,
    sid: Sid,
}

impl Scene {
    async fn new(configure: impl FnOnce(SessionsBuilder) -> SessionsBuilder) -> Self {
        Self::with(configure, namespace()).await
    }

    async fn with(configure: impl FnOnce(SessionsBuilder) -> SessionsBuilder, root: Namespace) -> Self {
        Self::on(Spy::default(), configure, root).await
    }

    async fn on(
        store: Spy,
        configure: impl FnOnce(SessionsBuilder) -> SessionsBuilder,
        root: Namespace,
    ) -> Self {
        let options = CookieOptions::default().max_age(AGE);
        let builder = Sessions::builder(store.clone()).secret(support::SECRET).cookie(options);
        let sessions = configure(builder).build().unwrap();
        let server =
            Server::builder().sessions(&sessions).namespace("/", root).namespace("/other", namespace());
        let server = server.fallback(sessions.serve(async |_| http::Response::new("page".into()))).build();
        let site = Site::new(&sessions, async |session, path| {
            match &path[..] {
                "/login" => session.insert("user", "ann").unwrap(),
                "/again" => session.regenerate().and_then(|()| Ok(session.insert("user", "bob")?)).unwrap(),
                "/logout" => session.destroy().await.unwrap(),
                _ => {}
            }
            session.get("user").unwrap().unwrap_or_default()
        });
        let login = site.visit("/login").await.says("ann");
        let (cookie, sid) = (login.cookie().to_owned(), login.sid());
        store.calls();
        Self { store, sessions, server, site, cookie, sid }
    }

    async fn join(&self) -> Client {
        Client::join(&self.server, &self.cookie).await
    }

    async fn stored(&self, key: &str) -> Option<Value> {
        self.store.value(&self.sid, key).await
    }

    /// How many sessions are held in memory.
    fn live(&self) -> usize {
        let debug = format!("{:?}", self.sessions);
        let (_, count) = debug.split_once("Live { sessions: ").unwrap();
        count.split_once(',').unwrap().0.parse().unwrap()
    }
}

/// Events that tests use.
fn namespace() -> Namespace {
    Namespace::new()
        .on("set", async |socket: Socket, (key, value): (String, Value)| {
            socket.session().insert(&key, &value).map(|()| Ack("set"))
        })
        .on("get", async |socket: Socket, key: String| Ack(socket.session().get::<Value>(&key).unwrap()))
        .on("idle", async |_: Socket, _: Value| Ack("idle"))
        .on("fail", async |socket: Socket, key: String| -> Result<Ack<()>, &'static str> {
            socket.session().insert(&key, &1).unwrap();
            Err("no")
        })
        .on("panic", async |socket: Socket, key: String| -> Ack<()> {
            socket.session().insert(&key, &1).unwrap();
            panic!("ouch")
        })
        .on("slowly", async |socket: Socket, (key, value, ms): (String, Value, u64)| {
            let session = socket.session();
            session.values();
            tokio::time::sleep(Duration::from_millis(ms)).await;
            session.insert(&key, &value).map(|()| Ack("set"))
        })
        .on("count", async |socket: Socket, _: Value| {
            let session = socket.session();
            let counted = session.update(|values| {
                let count = values.get::<u64>("count")?.unwrap_or(0) + 1;
                values.insert("count", &count).map(|()| count)
            });
            counted.await.map(Ack)
        })
}

const AGE: Duration = Duration::from_secs(1800);
