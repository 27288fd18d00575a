//! Redis is down, slow, read-only, full, or wants a password.

use std::{
    error::Error as _,
    time::{Duration, Instant},
};

use session::{Lifetime, Replaced, Store, StoreError, store::RedisStore};

use super::{MINUTE, create, eventually, proxy::Proxy, record, server::Server, sid};

/// The words of an error and of all that caused it.
fn words(error: &StoreError) -> String {
    let mut words = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        words = format!("{words} {error} {error:?}");
        source = error.source();
    }
    words
}

/// All that writes must be refused with this code, and change nothing.
async fn refuses(store: &RedisStore, code: &str) {
    let id = sid("sid-secret");
    let text = record("\"value-secret\"");
    let errors = [
        store.create(&sid("new"), &text, MINUTE).await.unwrap_err(),
        store.put(&id, &text, MINUTE).await.unwrap_err(),
        store.put(&id, &text, Lifetime::Unchanged).await.unwrap_err(),
        store.replace(&id, &record(1), &text, MINUTE).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
        assert!(words(&error).contains(code), "{}", words(&error));
        assert!(!words(&error).contains("secret"), "{}", words(&error));
    }
}

#[tokio::test]
async fn read_only_full_or_without_replicas() {
    let server = Server::start();
    let (store, id) = (server.store().await, sid("sid-secret"));
    create(&store, &id, &record(1)).await;

    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    refuses(&store, "NOREPLICAS").await;
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);

    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    refuses(&store, "OOM").await;
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);

    let master = Server::start();
    server.command(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]);
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    refuses(&store, "READONLY").await;
    assert_eq!(store.load(&id).await.unwrap(), Some(record(1)));
    server.command(&["REPLICAOF", "NO", "ONE"]);
    drop(master);
    assert_eq!(store.replace(&id, &record(1), &record(2), MINUTE).await.unwrap(), Replaced::Done);

    server.command(&["DEL", "sess:sid-secret"]);
    server.command(&["LPUSH", "sess:sid-secret", "secret"]);
    let error = store.load(&id).await.unwrap_err();
    assert!(words(&error).contains("WRONGTYPE") && !words(&error).contains("secret"));
}

#[tokio::test]
async fn commands_that_redis_does_not_know_are_not_quoted() {
    let server = Server::with(&["--rename-command", "SET", "", "--rename-command", "EVALSHA", ""]);
    let store = server.store().await;
    refuses(&store, "ERR").await;
}

#[tokio::test]
async fn passwords_are_used_and_never_shown() {
    let server = Server::with(&["--requirepass", "pass-secret"]);
    let error = RedisStore::connect(server.url()).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)) && words(&error).contains("NOAUTH"), "{error:?}");

    for user in [":wrong-secret", "who:pass-secret"] {
        let url = server.url().replace("redis://", &format!("redis://{user}@"));
        let error = RedisStore::connect(url).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
        assert!(!words(&error).contains("secret"), "{}", words(&error));
    }
    let builder = RedisStore::builder(server.url().replace("redis://", "redis://:pass-secret@"));
    assert!(!format!("{builder:?}").contains("secret"));
    let store = builder.connect().await.unwrap();
    let shown = format!("{store:?}");
    assert!(!shown.contains("secret") && shown.contains(&format!("127.0.0.1:{}", server.port)), "{shown}");
    create(&store, &sid("1"), &record(1)).await;
}

#[tokio::test]
async fn what_is_no_url_or_nobody_is_unavailable() {
    for url in ["", "secret", "http://secret/", "redis://127.0.0.1:1/", "redis://127.0.0.1/secret"] {
        let started = Instant::now();
        let error = RedisStore::connect(url).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{url}: {error:?}");
        assert!(!words(&error).contains("secret"), "{}", words(&error));
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_redis_that_is_down_fails_fast_and_one_that_is_back_is_used() {
    let mut server = Server::start();
    let (store, id) = (server.store().await, sid("1"));
    create(&store, &id, &record(1)).await;
    server.kill();
    for _ in 0..5 {
        let started = Instant::now();
        let errors = [
            store.load(&id).await.unwrap_err(),
            store.replace(&id, &record(1), &record(2), MINUTE).await.unwrap_err(),
            store.put(&id, &record(1), MINUTE).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    eventually("it fails at once", async || {
        let started = Instant::now();
        store.load(&id).await.is_err() && started.elapsed() < Duration::from_millis(2)
    })
    .await;
    server.restart();
    eventually("the store is used again", async || store.load(&id).await.is_ok()).await;
    create(&store, &id, &record(1)).await;
    assert_eq!(store.replace(&id, &record(1), &record(2), MINUTE).await.unwrap(), Replaced::Done);
}

#[tokio::test]
async fn a_redis_that_is_paused_is_unavailable_in_time() {
    let server = Server::start();
    let timeout = Duration::from_millis(200);
    let builder = server.builder().response_timeout(timeout).connect_timeout(timeout);
    let (store, id) = (builder.connect().await.unwrap(), sid("1"));
    create(&store, &id, &record(1)).await;
    server.command(&["CLIENT", "PAUSE", "3000", "ALL"]);
    for _ in 0..2 {
        let started = Instant::now();
        let error = store.load(&id).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(started.elapsed() < 4 * timeout, "{:?}", started.elapsed());
    }
    let started = Instant::now();
    let other = sid("2");
    let (one, two, three) = tokio::join!(store.load(&id), store.touch(&id, MINUTE), store.destroy(&other));
    assert!(one.is_err() && two.is_err() && three.is_err());
    assert!(started.elapsed() < 4 * timeout, "{:?}", started.elapsed());
    eventually("Redis goes on", async || store.load(&id).await.is_ok()).await;
}

#[tokio::test]
async fn a_connection_that_is_dead_without_a_word_is_replaced() {
    let server = Server::start();
    let proxy = Proxy::start(server.port).await;
    let store = proxy.builder().response_timeout(Duration::from_millis(200)).connect().await.unwrap();
    create(&store, &sid("1"), &record(1)).await;
    proxy.silence();
    assert!(matches!(store.load(&sid("1")).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.load(&sid("1")).await.unwrap(), Some(record(1)));
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn many_commands_at_once_share_one_connection() {
    let server = Server::start();
    let proxy = Proxy::start(server.port).await;
    let (store, id) = (std::sync::Arc::new(proxy.builder().connect().await.unwrap()), sid("1"));
    create(&store, &id, &record(1)).await;
    proxy.lose_command("GET");
    let mut loads = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let (store, id) = (std::sync::Arc::clone(&store), id.clone());
        loads.spawn(async move { store.load(&id).await.unwrap() });
    }
    while let Some(loaded) = loads.join_next().await {
        assert_eq!(loaded.unwrap(), Some(record(1)));
    }
    assert_eq!(proxy.accepted(), 2);
}
