//! Sessions around a `Router` of axum, by itself and beside our server.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use axum::{Extension, Router, body::Body, extract::Request, routing::get};
use bytes::Bytes;
use session::{
    CookieOptions, RequestExt as _, ServerBuilderExt as _, Session, SessionLayer, Sessions, SessionsBuilder,
    SocketExt as _, Ticket,
};
use socketio::{Ack, Namespace, Server, Socket};
use support::{Answer, Client, Spy, client::request};
use tower_service::Service as _;

const AGE: Duration = Duration::from_secs(1800);

fn sessions(store: &Spy) -> SessionsBuilder {
    let options = CookieOptions::default().max_age(AGE);
    // Reads no more than what requests ask for.
    Sessions::builder(store.clone()).secret(support::SECRET).cookie(options).reload(session::Reload::Never)
}

fn router(sessions: &Sessions) -> Router {
    Router::new()
        .route("/", get(read))
        // Extractors find it, too.
        .route(
            "/login",
            get(async |Extension(session): Extension<Session>| session.insert("user", "ann").unwrap()),
        )
        .route("/again", get(again))
        .route(
            "/logout",
            get(async |Extension(session): Extension<Session>| session.destroy().await.unwrap()),
        )
        .route("/slow", get(slow))
        .route(
            "/ticket",
            get(async |Extension(session): Extension<Session>| session.ticket().unwrap().path().to_owned()),
        )
        .nest("/nested", Router::new().route("/read", get(read)))
        .layer(SessionLayer::new(sessions.clone()))
}

async fn read(request: Request) -> String {
    request.session().get("user").unwrap().unwrap_or_default()
}

async fn again(Extension(session): Extension<Session>) {
    session.regenerate().unwrap();
    session.insert("user", "bob").unwrap();
}

async fn slow(Extension(session): Extension<Session>) -> String {
    session.insert("slow", &true).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    "slow".to_owned()
}

async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(router, Request::get(path), headers).await
}

async fn send(router: &Router, request: http::request::Builder, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = router.clone().call(request.body(Body::empty()).unwrap()).await.unwrap();
    Answer::from(whole(response).await)
}

async fn whole(response: http::Response<Body>) -> http::Response<Bytes> {
    let (head, body) = response.into_parts();
    http::Response::from_parts(head, axum::body::to_bytes(body, 1 << 20).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn saves_when_the_handler_has_ended() {
    let store = Spy::default();
    let router = router(&sessions(&store).build().unwrap());
    ask(&router, "/", &[]).await.says("").no_cookie();
    assert_eq!(store.calls(), [""; 0]);
    let login = ask(&router, "/login", &[]).await.says("");
    let cookie = [("cookie", login.cookie())];
    assert!(login.attribute("Expires").is_some());
    assert_eq!(store.calls(), ["create"]);
    ask(&router, "/", &cookie).await.says("ann").no_cookie();
    ask(&router, "/nested/read", &cookie).await.says("ann");
    assert_eq!(store.calls(), ["load", "touch", "load", "touch"]);
    assert_eq!(ask(&router, "/slow", &cookie).await.says("slow").cookie(), login.cookie());
    assert_eq!(store.value(&login.sid(), "slow").await, Some(true));
    assert_eq!(store.calls(), ["load", "replace"]);
    assert_eq!(ask(&router, "/missing", &cookie).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_saves_nothing() {
    let store = Spy::default();
    let router = router(&sessions(&store).build().unwrap());
    let login = ask(&router, "/login", &[]).await;
    let cookie = [("cookie", login.cookie())];
    let given_up = tokio::time::timeout(Duration::from_millis(500), ask(&router, "/slow", &cookie)).await;
    assert!(given_up.is_err());
    assert_eq!(store.value::<bool>(&login.sid(), "slow").await, None);
    ask(&router, "/", &cookie).await.says("ann");
}

#[tokio::test(start_paused = true)]
async fn rolls() {
    let store = Spy::default();
    let router = router(&sessions(&store).rolling(true).build().unwrap());
    ask(&router, "/", &[]).await.says("").no_cookie();
    let login = ask(&router, "/login", &[]).await;
    for _ in 0..3 {
        tokio::time::advance(AGE * 2 / 3).await;
        assert_eq!(
            ask(&router, "/", &[("cookie", login.cookie())]).await.says("ann").cookie(),
            login.cookie()
        );
    }
}

#[tokio::test]
async fn regenerates_and_destroys() {
    let store = Spy::default();
    let router = router(&sessions(&store).build().unwrap());
    let ann = ask(&router, "/login", &[]).await;
    let bob = ask(&router, "/again", &[("cookie", ann.cookie())]).await;
    assert_ne!(bob.sid(), ann.sid());
    assert_eq!(store.len(), 1);
    ask(&router, "/", &[("cookie", ann.cookie())]).await.says("");
    ask(&router, "/", &[("cookie", bob.cookie())]).await.says("bob");
    ask(&router, "/logout", &[("cookie", bob.cookie())]).await.says("").no_cookie();
    assert_eq!(store.len(), 0);
    ask(&router, "/", &[("cookie", bob.cookie())]).await.says("");
}

#[tokio::test]
async fn a_store_that_fails_is_503() {
    let store = Spy::default();
    let router = router(&sessions(&store).build().unwrap());
    let login = ask(&router, "/login", &[]).await;
    let cookie = [("cookie", login.cookie())];
    for (operation, path, headers) in [
        ("load", "/", &cookie[..]),
        ("touch", "/", &cookie),
        ("replace", "/slow", &cookie),
        ("create", "/login", &[]),
    ] {
        store.fails(operation);
        let failed = ask(&router, path, headers).await;
        assert_eq!((failed.status.as_u16(), &failed.body[..]), (503, ""), "{operation}");
        failed.no_cookie();
        store.is_well();
    }
    ask(&router, "/", &cookie).await.says("ann");
    assert_eq!(store.value::<bool>(&login.sid(), "slow").await, None);
}

#[tokio::test]
async fn tickets_are_claimed() {
    let store = Spy::default();
    let router = router(&sessions(&store).build().unwrap());
    let login = ask(&router, "/login", &[]).await;
    let ticket = ask(&router, "/ticket", &[("cookie", login.cookie())]).await.body;
    let cookie = [("cookie", login.cookie())];
    assert_eq!(send(&router, Request::post(&ticket), &[]).await.status, 403);
    assert_eq!(ask(&router, &ticket, &cookie).await.status, 404, "links claim nothing");
    let claimed = send(&router, Request::post(&ticket), &cookie).await;
    assert_eq!((claimed.status.as_u16(), claimed.cookie()), (204, login.cookie()));
    assert_eq!(
        ask(&router, "/session/refresh", &[]).await.status,
        404,
        "without a ticket it is the router's"
    );
}

/// Pages of axum and sockets of ours, on one port by our fallback, are one site.
#[tokio::test(start_paused = true)]
async fn a_router_and_sockets_share_sessions() {
    let store = Spy::default();
    let sessions = sessions(&store).build().unwrap();
    let root = Namespace::new()
        .on("get", async |socket: Socket, key: String| {
            Ack(socket.session().get::<serde_json::Value>(&key).unwrap())
        })
        .on("nick", async |socket: Socket, nick: String| {
            socket.session().insert("user", &nick).map(|()| Ack("saved"))
        })
        .on("login", async |socket: Socket, user: String| {
            let session = socket.session();
            let ticket: Ticket = session.regenerate_with_ticket().await?;
            session.insert("user", &user)?;
            Ok::<_, session::SessionError>(Ack(ticket))
        });
    let router = router(&sessions);
    let server = Server::builder().sessions(&sessions).namespace("/", root).fallback({
        let router = router.clone();
        move |request: http::Request<Bytes>| {
            let mut router = router.clone();
            async move { whole(router.call(request.map(Body::from)).await.unwrap()).await }
        }
    });
    let server = server.build();

    let login = request(&server, "GET", "/login", &[], "").await;
    let cookie = login.cookies()[0];
    let mut client = Client::join(&server, cookie).await;
    assert_eq!(client.ask("get", "user").await, r#"["ann"]"#);
    assert_eq!(client.ask("nick", "annie").await, r#"["saved"]"#);
    let page = request(&server, "GET", "/", &[("cookie", cookie)], "").await;
    assert_eq!((page.status, &page.body[..], page.cookies()), (200, "annie", vec![cookie]));
    // By its own port, if it has one, it is the same.
    ask(&router, "/", &[("cookie", cookie)]).await.says("annie");

    let [path] = serde_json::from_str::<[String; 1]>(&client.ask("login", "bob").await).unwrap();
    let claimed =
        request(&server, "POST", &path, &[("cookie", cookie), ("origin", "http://site.example")], "").await;
    assert_eq!(claimed.status, 204);
    assert_eq!(client.rest().await, [""; 0], "the socket of the old session is closed");
    let cookie = claimed.cookies()[0];
    let mut client = Client::join(&server, cookie).await;
    assert_eq!(client.ask("get", "user").await, r#"["bob"]"#);
    request(&server, "GET", "/logout", &[("cookie", cookie)], "").await;
    assert_eq!(client.rest().await, [""; 0]);
    assert_eq!(store.len(), 0);
}
