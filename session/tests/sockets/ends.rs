//! What the end of a session means to its sockets, and who hears of changes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use session::{InSession as _, OnEnd, SessionsBuilder, SocketExt as _, Touch};
use socketio::{Ack, Namespace, Socket};
use tokio::time::Instant;

use super::{AGE, Scene, namespace, support::Client};

const GRACE: Duration = Duration::from_secs(2);

/// Two sockets of a session that a page ends; what they receive, and after which time.
async fn end(policy: OnEnd) -> (Scene, Client, Vec<String>, Duration) {
    let scene = Scene::new(|sessions| sessions.on_end(policy)).await;
    let (mut one, mut two) = (scene.join().await, scene.join().await);
    two.enter("0/other,").await;
    one.ask("idle", ()).await;
    let begun = Instant::now();
    scene.site.get("/logout", &scene.cookie).await.says("");
    assert_eq!(one.ask("get", "user").await, "[null]", "in the time of grace it is empty");
    let received = tokio::time::timeout(GRACE * 2, two.rest()).await.unwrap_or_default();
    (scene, one, received, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn reconnect_closes_the_transport() {
    let (_scene, mut one, received, after) = end(OnEnd::Reconnect { grace: GRACE }).await;
    assert_eq!(received, [""; 0]);
    assert!(after >= GRACE && after < GRACE * 2, "{after:?}");
    assert_eq!(one.rest().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn disconnect_says_so_in_every_namespace() {
    let (_scene, mut one, mut received, after) = end(OnEnd::Disconnect { grace: GRACE }).await;
    received.sort_unstable();
    assert_eq!(received, ["1", "1/other,"]);
    assert!(after >= GRACE && after < GRACE * 2, "{after:?}");
    assert_eq!(one.rest().await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn callback_is_called_for_each_socket() {
    let called = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&called);
    let policy =
        OnEnd::Callback(Arc::new(move |socket: &Socket| note.lock().unwrap().push(socket.id().to_string())));
    let (_scene, mut one, received, _) = end(policy).await;
    assert_eq!(received, [""; 0]);
    let mut called = called.lock().unwrap().clone();
    called.sort_unstable();
    called.dedup();
    assert_eq!(called.len(), 3, "three sockets of two connections");
    assert_eq!(one.ask("idle", ()).await, r#"["idle"]"#, "nothing else happens");
}

/// Somebody else in the store, another page of a login, and time.
#[tokio::test(start_paused = true)]
async fn every_end_is_one() {
    let policy =
        |sessions: SessionsBuilder| sessions.on_end(OnEnd::Reconnect { grace: GRACE }).touch(Touch::Never);
    for way in ["removed", "replaced", "expired"] {
        let scene = Scene::new(policy).await;
        let mut client = scene.join().await;
        client.ask("idle", ()).await;
        match way {
            "removed" => scene.store.remove(&scene.sid).await,
            "replaced" => {
                scene.site.get("/again", &scene.cookie).await.says("bob").cookie();
            }
            _ => {}
        }
        let begun = Instant::now();
        assert_eq!(client.rest().await, [""; 0], "{way}");
        let wait = if way == "expired" { AGE + GRACE } else { GRACE };
        assert!(begun.elapsed() >= wait && begun.elapsed() < wait + GRACE, "{way}: {:?}", begun.elapsed());
    }
}

/// One that comes back with the old cookie meanwhile is nobody, not who it was.
#[tokio::test(start_paused = true)]
async fn who_comes_with_the_cookie_of_an_ended_session_begins_a_new_one() {
    let scene = Scene::new(|sessions| sessions).await;
    let mut one = scene.join().await;
    one.ask("idle", ()).await;
    scene.site.get("/logout", &scene.cookie).await;
    let mut two = scene.join().await;
    assert_eq!(two.ask("get", "user").await, "[null]");
    assert!(two.ask("set", ("a", 1)).await.contains("the browser has no cookie for this session"));
    assert_eq!(scene.store.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_save_does_not_bring_it_back() {
    let scene = Scene::new(|sessions| sessions.on_end(OnEnd::Callback(Arc::new(|_| {})))).await;
    let mut client = scene.join().await;
    client.send_event("slowly", ("a", 1, 1000)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    scene.site.get("/logout", &scene.cookie).await;
    assert_eq!(client.answer().await, r#"[{"error":"session not saved: the session has ended"}]"#);
    assert_eq!(scene.store.len(), 0);
    scene.site.get("/", &scene.cookie).await.says("");
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_end_its_session() {
    let root =
        namespace().on("logout", async |socket: Socket, (): ()| socket.session().destroy().await.map(Ack));
    let scene = Scene::with(|sessions| sessions.on_end(OnEnd::Disconnect { grace: GRACE }), root).await;
    let (mut one, mut two) = (scene.join().await, scene.join().await);
    two.ask("idle", ()).await;
    one.send(r#"27["logout"]"#).await;
    assert!(!one.answer().await.contains("error"));
    assert_eq!(scene.store.len(), 0);
    assert_eq!((one.rest().await, two.rest().await), (vec!["1".to_owned()], vec!["1".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn changes_and_the_end_are_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&told);
    let scene = Scene::new(|sessions| {
        sessions.on_change(move |change| {
            let keys = change.keys().collect::<Vec<_>>().join(",");
            note.lock().unwrap().push(format!("{keys}{}", if change.ended { " ended" } else { "" }));
        })
    })
    .await;
    let mut client = scene.join().await;
    client.ask("set", ("a", 1)).await;
    client.ask("set", ("a", 1)).await;
    scene.store.set(&scene.sid, "b", 2).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    client.ask("fail", "c").await;
    scene.site.get("/logout", &scene.cookie).await;
    assert_eq!(*told.lock().unwrap(), ["a", "b", "user,a,b ended"]);
}

#[tokio::test(start_paused = true)]
async fn all_sockets_of_a_session_can_be_addressed() {
    let scene =
        Scene::with(|sessions| sessions, Namespace::new().on("idle", async |_: Socket, _: u8| Ack("idle")))
            .await;
    let (mut one, mut two) = (scene.join().await, scene.join().await);
    let other = scene.site.visit("/login").await;
    let mut stranger = Client::join(&scene.server, other.cookie()).await;
    scene.server.in_session(&scene.sid).emit("news", &1).unwrap();
    assert_eq!(one.receive().await.unwrap(), r#"2["news",1]"#);
    assert_eq!(two.receive().await.unwrap(), r#"2["news",1]"#);
    assert_eq!(stranger.ask("idle", 1).await, r#"["idle"]"#, "and nothing before");
    scene.server.in_session(&scene.sid).disconnect_connections();
    assert_eq!((one.rest().await.len(), two.rest().await.len()), (1, 1));
    assert_eq!(scene.stored("user").await, Some(json!("ann")));
}
