//! Compare-and-set: nothing is lost, nothing is brought back.

use std::sync::Arc;

use session::{Lifetime, Replaced, Store, StoreError};

use super::{MINUTE, create, proxy::Proxy, record, server::Server, sid, value};

#[tokio::test]
async fn done_conflict_gone() {
    let server = Server::start();
    let (store, id) = (server.store().await, sid("1"));
    assert_eq!(store.replace(&id, &record(0), &record(1), MINUTE).await.unwrap(), Replaced::Gone);
    assert_eq!(server.integer(&["EXISTS", "sess:1"]), 0);
    create(&store, &id, &record(0)).await;
    assert_eq!(store.replace(&id, &record(0), &record(1), MINUTE).await.unwrap(), Replaced::Done);
    let replaced = store.replace(&id, &record(0), &record(2), MINUTE).await.unwrap();
    assert_eq!(replaced, Replaced::Conflict(record(1)));
    assert_eq!(store.load(&id).await.unwrap(), Some(record(1)));

    // Somebody else's text that is the same JSON is another text.
    server.command(&["SET", "sess:1", &record(1).as_str().replace(':', ": ")]);
    assert!(matches!(
        store.replace(&id, &record(1), &record(2), MINUTE).await.unwrap(),
        Replaced::Conflict(_)
    ));
    // Without a resend, our own text is a conflict like any other.
    server.command(&["SET", "sess:1", record(2).as_str()]);
    let replaced = store.replace(&id, &record(1), &record(2), MINUTE).await.unwrap();
    assert_eq!(replaced, Replaced::Conflict(record(2)));
    server.command(&["DEL", "sess:1"]);
    assert_eq!(store.replace(&id, &record(2), &record(3), MINUTE).await.unwrap(), Replaced::Gone);
    assert_eq!(server.integer(&["EXISTS", "sess:1"]), 0);
}

#[tokio::test]
async fn each_byte_counts_and_none_is_changed() {
    let server = Server::start();
    let (store, id) = (server.store().await, sid("1"));
    let odd =
        record("\"a\0b\u{2028}ü\\ud83d \\/\",\"n\":[],\"f\":0.30000000000000004,\"i\":9007199254740991");
    create(&store, &id, &odd).await;
    assert_eq!(store.load(&id).await.unwrap().unwrap(), odd);
    let large = record(format!("\"{}\"", "x".repeat(1_000_000)));
    assert_eq!(store.replace(&id, &odd, &large, MINUTE).await.unwrap(), Replaced::Done);
    assert_eq!(store.replace(&id, &odd, &odd, MINUTE).await.unwrap(), Replaced::Conflict(large));
}

#[tokio::test]
async fn redis_is_told_the_script_anew() {
    let server = Server::start();
    let (store, id) = (server.store().await, sid("1"));
    create(&store, &id, &record(0)).await;
    for number in 0..3 {
        server.command(&["SCRIPT", "FLUSH"]);
        let replaced = store.replace(&id, &record(number), &record(number + 1), MINUTE).await.unwrap();
        assert_eq!(replaced, Replaced::Done);
    }
}

#[tokio::test]
async fn a_replace_whose_answer_was_lost_is_done_once() {
    let server = Server::start();
    let proxy = Proxy::start(server.port).await;
    let (store, id) = (proxy.builder().connect().await.unwrap(), sid("1"));
    create(&store, &id, &record(0)).await;
    // Redis knows the script, so that it is run when it is sent for the first time.
    assert_eq!(store.replace(&id, &record(0), &record(1), MINUTE).await.unwrap(), Replaced::Done);

    proxy.lose_answer("EVALSHA", || {});
    assert_eq!(store.replace(&id, &record(1), &record(2), MINUTE).await.unwrap(), Replaced::Done);
    assert!(proxy.has_lost());
    assert_eq!(value(&store.load(&id).await.unwrap().unwrap()), 2);

    proxy.lose_command("EVALSHA");
    assert_eq!(store.replace(&id, &record(2), &record(3), MINUTE).await.unwrap(), Replaced::Done);
    assert!(proxy.has_lost());
    assert_eq!(value(&store.load(&id).await.unwrap().unwrap()), 3);
}

#[tokio::test]
async fn a_replace_that_others_have_overtaken_has_an_unknown_outcome() {
    let server = Arc::new(Server::start());
    let proxy = Proxy::start(server.port).await;
    let (store, id) = (proxy.builder().connect().await.unwrap(), sid("1"));
    create(&store, &id, &record(0)).await;
    assert_eq!(store.replace(&id, &record(0), &record(1), MINUTE).await.unwrap(), Replaced::Done);

    let other = Arc::clone(&server);
    proxy.lose_answer("EVALSHA", move || drop(other.command(&["SET", "sess:1", record(9).as_str()])));
    let error = store.replace(&id, &record(1), &record(2), MINUTE).await.unwrap_err();
    assert!(proxy.has_lost() && matches!(error, StoreError::Unavailable(_)));
    assert_eq!(value(&store.load(&id).await.unwrap().unwrap()), 9);

    let other = Arc::clone(&server);
    proxy.lose_answer("EVALSHA", move || drop(other.command(&["DEL", "sess:1"])));
    assert_eq!(store.replace(&id, &record(9), &record(10), MINUTE).await.unwrap(), Replaced::Gone);
    assert!(proxy.has_lost());
    assert_eq!(store.load(&id).await.unwrap(), None);
}

#[tokio::test]
async fn blind_writes_are_never_sent_again() {
    let server = Server::start();
    let proxy = Proxy::start(server.port).await;
    let (store, id) = (proxy.builder().connect().await.unwrap(), sid("1"));
    proxy.lose_command("SET");
    assert!(matches!(store.put(&id, &record(1), MINUTE).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.load(&id).await.unwrap(), None);
    proxy.lose_command("EVALSHA");
    let put = store.put(&id, &record(1), Lifetime::Unchanged).await;
    assert!(matches!(put, Err(StoreError::Unavailable(_))));
    proxy.lose_command("SET");
    assert!(matches!(store.create(&id, &record(1), MINUTE).await, Err(StoreError::Unavailable(_))));
    assert_eq!(server.integer(&["DBSIZE"]), 0);
    assert!(proxy.has_lost());
}

#[tokio::test]
async fn reads_touches_and_removals_are_sent_again() {
    let server = Server::start();
    let proxy = Proxy::start(server.port).await;
    let (store, id) = (proxy.builder().connect().await.unwrap(), sid("1"));
    create(&store, &id, &record(1)).await;
    proxy.lose_answer("GET", || {});
    assert_eq!(store.load(&id).await.unwrap(), Some(record(1)));
    proxy.lose_command("EXPIRE");
    assert!(store.touch(&id, Lifetime::Browser).await.unwrap());
    proxy.lose_answer("SCAN", || {});
    assert_eq!(store.ids().await.unwrap(), std::slice::from_ref(&id));
    proxy.lose_answer("DEL", || {});
    assert!(store.destroy(&id).await.unwrap());
    assert!(proxy.has_lost());
    assert_eq!(server.integer(&["DBSIZE"]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_writers_lose_nothing() {
    let server = Server::start();
    let (shared, id) = (Arc::new(server.store().await), sid("1"));
    create(&shared, &id, &record(0)).await;
    let mut writers = Vec::new();
    for writer in 0..10 {
        // Half of them as in one process, half as in processes of their own.
        let store = if writer % 2 == 0 { Arc::clone(&shared) } else { Arc::new(server.store().await) };
        let id = id.clone();
        writers.push(tokio::spawn(async move {
            for _ in 0..50 {
                let mut seen = store.load(&id).await.unwrap().unwrap();
                loop {
                    let next = record(value(&seen) + 1);
                    match store.replace(&id, &seen, &next, MINUTE).await.unwrap() {
                        Replaced::Done => break,
                        Replaced::Conflict(theirs) => seen = theirs,
                        Replaced::Gone => panic!("nobody has removed it"),
                    }
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(value(&shared.load(&id).await.unwrap().unwrap()), 500);
}
