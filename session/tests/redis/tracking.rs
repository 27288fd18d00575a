//! Changes are told, whoever makes them, and whatever happens to the connection that hears of them.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use session::{Lifetime, Observer, Replaced, Store};

use super::{
    MINUTE, create, eventually, observed::Observed, proxy::Proxy, record, server::Server, sid, value,
};

#[tokio::test]
async fn whatever_changes_a_session_is_told() {
    let server = Server::start();
    let (store, id) = (server.store().await, sid("1"));
    let observed = Observed::watch(&store).await;
    create(&store, &id, &record(0)).await;
    let text = record(1);
    let foreign: [&[&str]; 4] = [
        &["SET", "sess:1", text.as_str(), "EX", "60"],
        &["EXPIRE", "sess:1", "30"],
        &["PEXPIRE", "sess:1", "50"],
        &["SET", "sess:1", text.as_str()],
    ];
    for command in foreign {
        store.load_watched(&id).await.unwrap();
        server.command(command);
        observed.change_of(&id).await;
        if command[0] == "PEXPIRE" {
            // Asked for before it has expired or after: either way the end is told.
            if store.load_watched(&id).await.unwrap().is_some() {
                observed.change_of(&id).await;
            }
            assert_eq!(store.load_watched(&id).await.unwrap(), None);
        }
    }
    assert_eq!(store.load_watched(&id).await.unwrap(), Some(record(1)));
    server.command(&["DEL", "sess:1"]);
    observed.change_of(&id).await;
    // A session that is missing is watched, too.
    assert_eq!(store.load_watched(&id).await.unwrap(), None);
    create(&store, &id, &record(2)).await;
    observed.change_of(&id).await;
    assert_eq!(store.load_watched(&id).await.unwrap(), Some(record(2)));
    server.command(&["FLUSHALL"]);
    observed.lost_something().await;
}

#[tokio::test]
async fn own_writes_hide_no_foreign_one() {
    let server = Server::start();
    let (store, id) = (server.store().await, sid("1"));
    let observed = Observed::watch(&store).await;
    create(&store, &id, &record(0)).await;
    let mut seen = store.load_watched(&id).await.unwrap().unwrap();
    for number in 0..100 {
        let own = record(number * 2 + 1);
        match number % 3 {
            0 => assert_eq!(store.replace(&id, &seen, &own, MINUTE).await.unwrap(), Replaced::Done),
            1 => store.put(&id, &own, MINUTE).await.unwrap(),
            _ => assert!(store.touch(&id, Lifetime::Browser).await.unwrap()),
        }
        observed.change_of(&id).await;
        store.load_watched(&id).await.unwrap();
        server.command(&["SET", "sess:1", record(number * 2 + 2).as_str()]);
        observed.change_of(&id).await;
        seen = store.load_watched(&id).await.unwrap().unwrap();
        assert_eq!(value(&seen), number * 2 + 2);
    }
}

#[tokio::test]
async fn a_change_is_told_once_until_the_session_is_loaded_again() {
    let server = Server::start();
    let store = server.builder().prefix("p:").connect().await.unwrap();
    let observed = Observed::watch(&store).await;
    server.command(&["MSET", "p:1", record(1).as_str(), "p:2", record(1).as_str()]);
    store.load_watched(&sid("1")).await.unwrap();
    server.command(&["SET", "p:1", record(2).as_str()]);
    observed.change_of(&sid("1")).await;
    server.command(&["SET", "p:1", record(3).as_str()]);
    // What was not loaded, or not to be watched, is not told.
    store.load(&sid("2")).await.unwrap();
    server.command(&["SET", "p:2", record(2).as_str()]);
    store.load_watched(&sid("3")).await.unwrap();
    server.command(&["SET", "p:3", record(2).as_str()]);
    observed.change_of(&sid("3")).await;
    assert!(!observed.take(&sid("1")) && !observed.take(&sid("2")));
}

#[tokio::test]
async fn all_who_watch_are_told_and_those_who_are_gone_forgotten() {
    let server = Server::start();
    let store = server.store().await;
    let first = Observed::watch(&store).await;
    let second = Arc::new(Observed::default());
    assert!(store.watch(Arc::downgrade(&second) as Weak<dyn Observer>));
    store.load_watched(&sid("1")).await.unwrap();
    server.command(&["SET", "sess:1", "x"]);
    first.change_of(&sid("1")).await;
    second.change_of(&sid("1")).await;
    drop(first);
    store.load_watched(&sid("1")).await.unwrap();
    server.command(&["SET", "sess:1", "y"]);
    second.change_of(&sid("1")).await;
}

async fn still_watches(server: &Server, store: &impl Store, observed: &Observed) {
    store.load_watched(&sid("again")).await.unwrap();
    server.command(&["SET", "sess:again", "x"]);
    observed.change_of(&sid("again")).await;
}

#[tokio::test]
async fn killed_connections_are_replaced_and_the_loss_told() {
    let server = Server::start();
    let store = server.store().await;
    let observed = Observed::watch(&store).await;
    for round in 0..5 {
        store.load_watched(&sid("1")).await.unwrap();
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        // Missed by the dead connection.
        server.command(&["SET", "sess:1", record(round).as_str()]);
        // At any moment in between the session can be loaded.
        assert_eq!(store.load_watched(&sid("1")).await.unwrap(), Some(record(round)));
        observed.lost_something().await;
        still_watches(&server, &store, &observed).await;
    }
}

#[tokio::test]
async fn a_redis_that_was_restarted_is_watched_again() {
    let mut server = Server::start();
    let store = server.store().await;
    let observed = Observed::watch(&store).await;
    for _ in 0..2 {
        store.load_watched(&sid("1")).await.unwrap();
        server.kill();
        let failed = store.load_watched(&sid("1")).await;
        assert!(matches!(failed, Err(session::StoreError::Unavailable(_))), "{failed:?}");
        server.restart();
        observed.lost_something().await;
        still_watches(&server, &store, &observed).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_dead_without_a_word_is_noticed() {
    let server = Server::start();
    let proxy = Proxy::start(server.port).await;
    let store = proxy.builder().response_timeout(Duration::from_millis(300)).connect().await.unwrap();
    let observed = Observed::watch(&store).await;
    proxy.silence();
    // Nothing is asked on it, so only its own heartbeat can find out.
    observed.lost_something().await;
    still_watches(&server, &store, &observed).await;

    proxy.silence();
    let started = Instant::now();
    assert!(store.load_watched(&sid("1")).await.is_err());
    observed.lost_something().await;
    // Sooner than by the heartbeat.
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    still_watches(&server, &store, &observed).await;
}

#[tokio::test]
async fn a_dropped_store_leaves_no_connection() {
    let server = Server::start();
    let clients = || {
        let list = server.text(&["CLIENT", "LIST", "TYPE", "normal"]).unwrap();
        list.lines().count() - 1
    };
    let store = server.store().await;
    let observed = Observed::watch(&store).await;
    assert_eq!(clients(), 2);
    drop(store);
    eventually("the connections are closed", async || clients() == 0).await;
    assert_eq!(Arc::weak_count(&observed), 0);
}

#[tokio::test]
async fn who_may_not_track_does_not_watch() {
    let server = Server::start();
    server.command(&["ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-client|tracking"]);
    let url = server.url().replace("redis://", "redis://app:pw@");
    let store = session::store::RedisStore::connect(url).await.unwrap();
    let observed: Arc<dyn Observer> = Arc::new(Observed::default());
    assert!(!store.watch(Arc::downgrade(&observed)));
    create(&store, &sid("1"), &record(1)).await;
    assert_eq!(store.load_watched(&sid("1")).await.unwrap(), Some(record(1)));
}
