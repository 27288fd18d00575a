//! What a handler changes is stored when it has ended, before its acknowledgement leaves, or not at all.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use session::SocketExt as _;
use socketio::{Ack, Namespace, Socket};
use tokio::time::Instant;

use super::{Scene, namespace, support::spy::Mood};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn saves_before_the_acknowledgement() {
    let scene = Scene::new(|sessions| sessions).await;
    scene.store.is("replace", Mood::Waits(SECOND));
    let mut client = scene.join().await;
    let begun = Instant::now();
    client.send_event("set", ("a", 1)).await;
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(scene.stored("a").await, None);
    assert_eq!(client.answer().await, r#"["set"]"#);
    assert_eq!(scene.stored("a").await, Some(json!(1)));
    assert!(begun.elapsed() >= SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_event_without_acknowledgement_is_saved_too() {
    let scene = Scene::new(|sessions| sessions).await;
    let mut client = scene.join().await;
    client.send(r#"2["set","a",1]"#).await;
    assert_eq!(client.ask("get", "a").await, "[1]");
    assert_eq!(scene.stored("a").await, Some(json!(1)));
}

#[tokio::test(start_paused = true)]
async fn costs_nothing_if_the_session_is_not_changed() {
    let scene = Scene::new(|sessions| sessions).await;
    let mut client = scene.join().await;
    client.ask("idle", ()).await;
    scene.store.calls();
    for _ in 0..10 {
        assert_eq!(client.ask("idle", ()).await, r#"["idle"]"#);
        assert_eq!(client.ask("get", "user").await, r#"["ann"]"#);
        assert_eq!(client.ask("set", ("user", "ann")).await, r#"["set"]"#);
    }
    assert_eq!(scene.store.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_that_fails_or_panics_has_changed_is_dropped() {
    let scene = Scene::new(|sessions| sessions).await;
    let mut client = scene.join().await;
    assert_eq!(client.ask("fail", "a").await, r#"[{"error":"no"}]"#);
    assert!(client.ask("panic", "b").await.contains("error"));
    assert_eq!(client.ask("get", "a").await, "[null]");
    assert_eq!(client.ask("get", "b").await, "[null]");
    assert_eq!((scene.stored("a").await, scene.stored("b").await), (None, None));
}

/// As one may have read before the other has written, order is not enough.
#[tokio::test(start_paused = true)]
async fn handlers_at_the_same_time_are_merged() {
    let scene = Scene::new(|sessions| sessions).await;
    let (mut one, mut two) = (scene.join().await, scene.join().await);
    one.send_event("slowly", ("a", 1, 300)).await;
    two.send_event("slowly", ("b", 2, 200)).await;
    two.enter("0/other,").await;
    two.send(r#"2/other,9["slowly","c",3,100]"#).await;
    assert_eq!(two.receive().await.unwrap(), r#"3/other,9["set"]"#);
    assert_eq!((one.answer().await, two.answer().await), (r#"["set"]"#.into(), r#"["set"]"#.into()));
    let values = [scene.stored("a").await, scene.stored("b").await, scene.stored("c").await];
    assert_eq!(values, [Some(json!(1)), Some(json!(2)), Some(json!(3))]);
    assert_eq!(scene.stored("user").await, Some(json!("ann")));
}

#[tokio::test(start_paused = true)]
async fn updates_of_many_sockets_are_all_counted() {
    let scene = Scene::new(|sessions| sessions).await;
    scene.store.is("replace", Mood::AnswersAfter(Duration::from_millis(10)));
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(scene.join().await);
    }
    for _ in 0..4 {
        for client in &mut clients {
            client.send_event("count", ()).await;
        }
    }
    let mut counts = Vec::new();
    for client in &mut clients {
        for _ in 0..4 {
            counts.push(serde_json::from_str::<[u64; 1]>(&client.answer().await).unwrap()[0]);
        }
    }
    counts.sort_unstable();
    assert_eq!(counts, (1..=20).collect::<Vec<_>>(), "each got a number of its own");
    assert_eq!(scene.stored("count").await, Some(json!(20)));
}

/// A socket that was closed has told the store to write, and nobody knows whether it did.
#[tokio::test(start_paused = true)]
async fn an_event_that_was_given_up_is_not_counted_twice() {
    let scene = Scene::new(|sessions| sessions).await;
    let mut client = scene.join().await;
    client.ask("idle", ()).await;
    scene.store.is("replace", Mood::AnswersAfter(SECOND));
    let session = scene.sessions.load(&scene.sid).await.unwrap().unwrap();
    let count = async |patience| {
        let counted = session.update(|values| {
            let count = values.get::<u64>("count")?.unwrap_or(0) + 1;
            values.insert("count", &count)
        });
        tokio::time::timeout(patience, counted).await.is_ok()
    };
    let (given_up, counted) = tokio::join!(count(SECOND / 2), count(SECOND * 10));
    assert!(!given_up && counted);
    assert_eq!(scene.stored("count").await, Some(json!(2)));
}

#[tokio::test(start_paused = true)]
async fn connect_and_disconnect_handlers_are_saved() {
    let root = namespace()
        .on_connect(async |socket: Socket| socket.session().insert("connected", &true).unwrap())
        .on_disconnect(async |socket: Socket, _| socket.session().insert("left", &true).unwrap());
    let scene = Scene::with(|sessions| sessions, root).await;
    let mut client = scene.join().await;
    client.ask("idle", ()).await;
    assert_eq!(scene.stored("connected").await, Some(json!(true)));
    client.send("1").await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(scene.stored("left").await, Some(json!(true)));
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_what_could_not_be_saved_and_so_is_the_error_hook() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&heard);
    let root = namespace().on_error(move |_, error| note.lock().unwrap().push(error.to_string()));
    let scene = Scene::with(|sessions| sessions, root).await;
    let mut client = scene.join().await;
    client.ask("idle", ()).await;
    scene.store.fails("replace");
    let error = r#"[{"error":"session not saved: the session store failed"}]"#;
    assert_eq!(client.ask("set", ("a", 1)).await, error);
    client.send(r#"2["set","a",1]"#).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(client.ask("get", "a").await, "[null]", "nobody sees what was not saved");
    assert!(heard.lock().unwrap().iter().any(|error| error.contains("session not saved")), "{heard:?}");
    scene.store.is_well();
    assert_eq!(client.ask("set", ("b", 1)).await, r#"["set"]"#);
    assert_eq!((scene.stored("a").await, scene.stored("b").await), (None, Some(json!(1))));
}

/// `socket.session()` is one handle in a handler, whatever that waits for, and another one in what it spawns.
#[tokio::test(start_paused = true)]
async fn the_handle_of_a_handler_is_one_and_outlives_it_as_a_free_one() {
    let (send, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let root = namespace().on("keep", move |socket: Socket, _: Value| {
        let send = send.clone();
        async move {
            let put = async |key: &str| socket.session().insert(key, &1).unwrap();
            futures_util::future::join_all([put("a"), put("b")]).await;
            let other = socket.clone();
            let seen = tokio::spawn(async move { other.session().get::<u8>("a").unwrap() });
            send.send(socket.session()).unwrap();
            Ack(seen.await.unwrap())
        }
    });
    let scene = Scene::with(|sessions| sessions, root).await;
    let mut client = scene.join().await;
    assert_eq!(client.ask("keep", ()).await, "[null]");
    assert_eq!((scene.stored("a").await, scene.stored("b").await), (Some(json!(1)), Some(json!(1))));
    let session = kept.recv().await.unwrap();
    assert_eq!(session.get::<u8>("a").unwrap(), Some(1));
    assert_eq!(client.ask("set", ("a", 2)).await, r#"["set"]"#);
    assert_eq!(session.get::<u8>("a").unwrap(), Some(2), "the newest state");
    session.insert("c", &3).unwrap();
    session.save().await.unwrap();
    assert_eq!(scene.stored("c").await, Some(json!(3)));
}

/// A save that was given up leaves its changes to the end of the handler.
#[tokio::test(start_paused = true)]
async fn what_a_handler_stopped_to_save_is_saved_at_its_end() {
    let root = Namespace::new().on("impatient", async |socket: Socket, _: Value| {
        let session = socket.session();
        session.insert("a", &1).unwrap();
        let meanwhile = async {
            tokio::time::sleep(SECOND / 2).await;
            session.insert("b", &2).unwrap();
        };
        let (saved, ()) = tokio::join!(tokio::time::timeout(SECOND, session.save()), meanwhile);
        Ack(saved.is_ok())
    });
    let scene = Scene::with(|sessions| sessions, root).await;
    let mut client = scene.join().await;
    tokio::time::sleep(SECOND).await;
    scene.store.is("replace", Mood::Waits(SECOND * 2));
    assert_eq!(client.ask("impatient", ()).await, "[false]");
    assert_eq!((scene.stored("a").await, scene.stored("b").await), (Some(json!(1)), Some(json!(2))));
}

/// What was changed meanwhile comes on top.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_saved_stays_in_its_handle() {
    let scene = Scene::new(|sessions| sessions).await;
    let session = scene.sessions.load(&scene.sid).await.unwrap().unwrap();
    session.insert("a", &1).unwrap();
    session.insert("b", &1).unwrap();
    scene.store.is("replace", Mood::FailsAfter(SECOND));
    let meanwhile = async {
        tokio::time::sleep(SECOND / 2).await;
        session.insert("b", &2).unwrap();
    };
    let (saved, ()) = tokio::join!(session.save(), meanwhile);
    assert!(saved.is_err() && session.is_modified());
    scene.store.is_well();
    session.save().await.unwrap();
    assert_eq!((scene.stored("a").await, scene.stored("b").await), (Some(json!(1)), Some(json!(2))));
}
