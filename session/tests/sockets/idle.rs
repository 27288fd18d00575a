//! What is left of sessions that nobody uses.

use std::time::Duration;

use serde_json::Value;
use session::SocketExt as _;
use socketio::{Ack, Socket};

use super::{Scene, namespace};

const MOMENT: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn nothing_is_held_for_pages() {
    let scene = Scene::new(|sessions| sessions).await;
    for path in ["/login", "/", "/again", "/logout"] {
        scene.site.get(path, &scene.cookie).await;
        scene.site.visit(path).await;
    }
    tokio::time::sleep(MOMENT).await;
    assert_eq!(scene.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_held_as_long_as_its_sockets() {
    let scene = Scene::new(|sessions| sessions).await;
    let (mut one, mut two) = (scene.join().await, scene.join().await);
    one.ask("set", ("a", 1)).await;
    one.ask("fail", "b").await;
    one.ask("panic", "b").await;
    two.ask("count", ()).await;
    assert_eq!(scene.live(), 1, "one for all of them");
    drop(one);
    tokio::time::sleep(MOMENT).await;
    assert_eq!(scene.live(), 1);
    two.send("1").await;
    drop(two);
    tokio::time::sleep(MOMENT).await;
    assert_eq!(scene.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_ended_is_held_until_its_sockets_are_closed() {
    let scene = Scene::new(|sessions| sessions).await;
    let mut client = scene.join().await;
    client.ask("idle", ()).await;
    scene.site.get("/logout", &scene.cookie).await;
    client.rest().await;
    drop(client);
    tokio::time::sleep(MOMENT).await;
    assert_eq!(scene.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn tickets_hold_sessions_for_a_minute() {
    let ticket = async |socket: Socket, _: Value| socket.session().ticket().map(Ack);
    let scene = Scene::with(|sessions| sessions, namespace().on("refresh", ticket)).await;
    let mut client = scene.join().await;
    client.ask("refresh", ()).await;
    drop(client);
    tokio::time::sleep(MOMENT).await;
    assert_eq!(scene.live(), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.live(), 0);
}

/// Tasks, observers and tickets hold nothing by themselves.
#[tokio::test(start_paused = true)]
async fn sessions_that_are_dropped_drop_their_store() {
    struct Dropped(tokio::sync::mpsc::UnboundedSender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).ok();
        }
    }
    let (send, mut dropped) = tokio::sync::mpsc::unbounded_channel();
    let guard = Dropped(send);
    let interval = Duration::from_secs(1);
    let scene = Scene::new(move |sessions| {
        let hold = move |_: &session::Changed<'_>| {
            let _guard = &guard;
        };
        sessions.touch(session::Touch::Heartbeat { min_interval: interval }).on_change(hold)
    })
    .await;
    let mut client = scene.join().await;
    client.ask("set", ("a", 1)).await;
    drop(client);
    let Scene { store, sessions, server, site, .. } = scene;
    drop((sessions, server, site));
    let ended = tokio::time::timeout(Duration::from_secs(30), dropped.recv()).await;
    assert!(ended.is_ok(), "the sessions are alive");
    drop(store);
}
