//! When Redis lets sessions expire.

use std::time::Duration;

use session::{Created, Lifetime, Replaced, Store, StoreError, Stored};

use super::{MINUTE, create, record, server::Server, sid};

const NEVER: i64 = -1;
const GONE: i64 = -2;

fn for_seconds(seconds: u64) -> Lifetime {
    Lifetime::For(Duration::from_secs(seconds))
}

#[tokio::test]
async fn each_write_under_each_configuration() {
    let server = Server::start();
    let plain = server.builder().ttl(Duration::from_secs(500));
    let by_record = server
        .builder()
        .ttl_with(|record| Duration::from_secs(record.values.get::<u64>("value").unwrap().unwrap()));
    let stores = [
        plain.connect().await.unwrap(),
        server.builder().disable_ttl().connect().await.unwrap(),
        server.builder().disable_touch().connect().await.unwrap(),
        by_record.connect().await.unwrap(),
    ];
    // Per store: after create, put, replace and touch, on a key with 40 s to live (none for create).
    let table = [
        (Lifetime::Browser, [[500; 4], [NEVER, NEVER, NEVER, 40], [86_400, 86_400, 86_400, 40], [70; 4]]),
        (for_seconds(60), [[60; 4], [NEVER, NEVER, NEVER, 40], [60, 60, 60, 40], [70; 4]]),
        (for_seconds(0), [[1, GONE, 1, 1], [NEVER, GONE, NEVER, 40], [1, GONE, 1, 40], [70; 4]]),
        (
            Lifetime::Unchanged,
            [[500, 40, 40, 40], [NEVER, 40, 40, 40], [86_400, 40, 40, 40], [70, 40, 40, 40]],
        ),
    ];
    for (lifetime, expected) in table {
        for (number, (store, expected)) in stores.iter().zip(expected).enumerate() {
            for (operation, expected) in ["create", "put", "replace", "touch"].into_iter().zip(expected) {
                let id = sid("1");
                server.command(&["SET", "sess:1", record(70).as_str(), "EX", "40"]);
                let seen = record(70);
                match operation {
                    "create" => {
                        server.command(&["DEL", "sess:1"]);
                        assert_eq!(store.create(&id, &record(70), lifetime).await.unwrap(), Created::Done);
                    }
                    "put" => store.put(&id, &record(70), lifetime).await.unwrap(),
                    "replace" => {
                        let replaced = store.replace(&id, &seen, &record(70), lifetime).await.unwrap();
                        assert_eq!(replaced, Replaced::Done);
                    }
                    _ => assert!(store.touch(&id, lifetime).await.unwrap()),
                }
                let ttl = server.integer(&["TTL", "sess:1"]);
                let near = ttl == expected || (ttl == expected - 1 && ttl >= 0);
                assert!(near, "store {number}, {operation} for {lifetime:?}: {ttl}, not {expected}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_put_with_its_old_lifetime_does_not_stay_for_ever() {
    let server = Server::start();
    let store = server.store().await;
    store.put(&sid("1"), &record(1), Lifetime::Unchanged).await.unwrap();
    assert!(server.integer(&["TTL", "sess:1"]) > 86_000);
    server.command(&["PERSIST", "sess:1"]);
    store.put(&sid("1"), &record(2), Lifetime::Unchanged).await.unwrap();
    assert_eq!(server.integer(&["TTL", "sess:1"]), NEVER);
    assert_eq!(store.load(&sid("1")).await.unwrap(), Some(record(2)));
}

#[tokio::test]
async fn a_touch_tells_whether_the_session_is_there() {
    let server = Server::start();
    let builders = [server.builder().disable_ttl(), server.builder().disable_touch()];
    for builder in builders.into_iter().chain([server.builder().ttl_with(|_| Duration::from_secs(9))]) {
        let store = builder.connect().await.unwrap();
        for lifetime in [Lifetime::Browser, MINUTE, Lifetime::Unchanged] {
            assert!(!store.touch(&sid("1"), lifetime).await.unwrap());
            create(&store, &sid("1"), &record(1)).await;
            assert!(store.touch(&sid("1"), lifetime).await.unwrap());
            store.destroy(&sid("1")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_longest_lifetime_is_one_that_redis_takes() {
    let server = Server::start();
    let store = server.store().await;
    create(&store, &sid("1"), &record(1)).await;
    assert!(store.touch(&sid("1"), Lifetime::For(Duration::MAX)).await.unwrap());
    store.put(&sid("1"), &record(2), Lifetime::For(Duration::MAX)).await.unwrap();
    assert_eq!(store.load(&sid("1")).await.unwrap(), Some(record(2)));
}

#[tokio::test]
async fn a_rule_by_record_needs_a_record() {
    let server = Server::start();
    let store = server.builder().ttl_with(|_| Duration::from_secs(9)).connect().await.unwrap();
    let error = store.put(&sid("1"), &Stored::from("[]"), MINUTE).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)));
    assert_eq!(server.integer(&["DBSIZE"]), 0);
}
