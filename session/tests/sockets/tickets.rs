//! Cookies for clients on WebSockets.

use std::time::Duration;

use serde_json::Value;
use session::{SessionError, Sid, SocketExt as _};
use socketio::{Ack, Namespace, Socket};

use super::{
    Scene, namespace,
    support::client::{Response, request},
};

fn root() -> Namespace {
    namespace()
        .on("login", async |socket: Socket, user: String| {
            let session = socket.session();
            let ticket = session.regenerate_with_ticket().await?;
            session.insert("user", &user)?;
            Ok::<_, SessionError>(Ack(ticket))
        })
        .on("refresh", async |socket: Socket, _: Value| socket.session().ticket().map(Ack))
        .on("regenerate", async |socket: Socket, _: Value| socket.session().regenerate().map(Ack))
}

/// Somebody who has asked for a ticket: the path.
async fn ticket(scene: &Scene, event: &str) -> String {
    let mut client = scene.join().await;
    let [path] = serde_json::from_str::<[String; 1]>(&client.ask(event, "bob").await).unwrap();
    assert!(path.starts_with("/session/refresh?ticket="), "{path}");
    path
}

async fn claim(scene: &Scene, path: &str, headers: &[(&str, &str)]) -> Response {
    // Pages of the server are the site's, too: it is asked over its own connection.
    request(&scene.server, "POST", path, headers, "").await
}

fn sid(cookie: &str) -> Sid {
    let value = cookie.strip_prefix("connect.sid=s%3A").unwrap();
    Sid::from(value.rsplit_once('.').unwrap().0)
}

#[tokio::test(start_paused = true)]
async fn a_login_in_a_handler_gets_its_cookie_by_a_ticket() {
    let scene = Scene::with(|sessions| sessions, root()).await;
    let path = ticket(&scene, "login").await;
    assert_eq!(scene.store.len(), 2, "the old session is alive until the ticket is claimed");
    let claimed = claim(&scene, &path, &[("cookie", &scene.cookie)]).await;
    assert_eq!(claimed.status, 204);
    let [cookie] = claimed.cookies()[..] else { panic!("one cookie in {}", claimed.head) };
    assert!(claimed.head.to_ascii_lowercase().contains("cache-control: no-store"));
    assert_ne!(sid(cookie), scene.sid);
    assert!(scene.store.stored(&scene.sid).await.is_none());
    scene.site.get("/", cookie).await.says("bob");
    scene.site.get("/", &scene.cookie).await.says("");
    for cookie in [cookie, &scene.cookie] {
        assert_eq!(claim(&scene, &path, &[("cookie", cookie)]).await.status, 403, "once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_may_be_for_the_same_session() {
    let scene = Scene::with(|sessions| sessions, root()).await;
    let path = ticket(&scene, "refresh").await;
    let claimed = claim(&scene, &path, &[("cookie", &scene.cookie)]).await;
    assert_eq!((claimed.status, claimed.cookies()), (204, vec![&scene.cookie[..]]));
    scene.site.get("/", &scene.cookie).await.says("ann");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_for_who_has_the_cookie_on_a_page_of_the_site() {
    let scene = Scene::with(|sessions| sessions, root()).await;
    let path = ticket(&scene, "login").await;
    let other = scene.site.visit("/login").await;
    let own = ("cookie", &scene.cookie[..]);
    let (start, last) = path.split_at(path.len() - 1);
    let wrong = format!("{start}{}", if last == "x" { "y" } else { "x" });
    for (path, headers) in [
        (&path, vec![]),
        (&path, vec![("cookie", other.cookie())]),
        (&path, vec![own, ("origin", "https://evil.example")]),
        (&path, vec![own, ("origin", "null")]),
        (&wrong, vec![own]),
    ] {
        let refused = claim(&scene, path, &headers).await;
        assert_eq!((refused.status, refused.cookies()), (403, vec![]), "{headers:?}");
    }
    let claimed = claim(&scene, &path, &[own, ("origin", "http://site.example")]).await;
    assert_eq!((claimed.status, claimed.cookies().len()), (204, 1), "those did not use it up");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_ends_after_a_minute_and_the_old_session_with_it() {
    let scene = Scene::with(|sessions| sessions, root()).await;
    let path = ticket(&scene, "login").await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(scene.store.stored(&scene.sid).await.is_some());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.store.len(), 0, "nor is there a new one that nobody can come to");
    assert_eq!(claim(&scene, &path, &[("cookie", &scene.cookie)]).await.status, 403);

    let scene = Scene::with(|sessions| sessions, root()).await;
    let path = ticket(&scene, "refresh").await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(claim(&scene, &path, &[("cookie", &scene.cookie)]).await.status, 403);
    scene.site.get("/", &scene.cookie).await.says("ann");
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may() {
    let scene = Scene::with(|sessions| sessions.max_tickets(2), root()).await;
    ticket(&scene, "refresh").await;
    let path = ticket(&scene, "login").await;
    let mut client = scene.join().await;
    for event in ["refresh", "login"] {
        assert!(client.ask(event, "bob").await.contains("too many tickets"), "{event}");
    }
    assert_eq!(scene.store.len(), 2, "what was refused leaves no session behind");
    assert_eq!(claim(&scene, &path, &[("cookie", &scene.cookie)]).await.status, 204);
    assert_eq!(scene.store.len(), 1);

    let scene = Scene::with(|sessions| sessions.max_tickets(1), root()).await;
    ticket(&scene, "refresh").await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    ticket(&scene, "refresh").await;
}

#[tokio::test(start_paused = true)]
async fn a_ticket_outlives_a_store_that_fails() {
    let scene = Scene::with(|sessions| sessions, root()).await;
    let path = ticket(&scene, "login").await;
    for operation in ["touch", "destroy"] {
        scene.store.fails(operation);
        let failed = claim(&scene, &path, &[("cookie", &scene.cookie)]).await;
        assert_eq!((failed.status, failed.cookies()), (503, vec![]), "{operation}");
        scene.store.is_well();
    }
    assert_eq!(claim(&scene, &path, &[("cookie", &scene.cookie)]).await.status, 204);
    assert_eq!(scene.store.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn there_are_none_for_sessions_that_are_not_stored() {
    let scene = Scene::with(|sessions| sessions, root()).await;
    let mut nobody =
        super::Client::open(&scene.server, &[]).await.map_err(|status| status.to_string()).unwrap();
    nobody.enter("0").await;
    for event in ["refresh", "login"] {
        assert!(
            nobody.ask(event, "bob").await.contains("the browser has no cookie for this session"),
            "{event}"
        );
    }
    assert_eq!(scene.store.len(), 1);
    let mut client = scene.join().await;
    assert!(client.ask("regenerate", ()).await.contains("no response can carry the cookie"));
}
