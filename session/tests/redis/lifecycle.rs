//! What the tests of connect-redis 9 assert of it.

use std::{collections::BTreeSet, time::Duration};

use session::{Created, Lifetime, Store, StoreError, Stored, store::RedisStore};

use super::{MINUTE, create, record, server::Server, sid};

async fn lifecycle(server: &Server, store: &RedisStore, prefix: &str) {
    let (id, key) = (sid("123"), format!("{prefix}123"));
    store.clear().await.unwrap();
    assert!(store.is_empty().await.unwrap());
    assert_eq!(store.load(&sid("other")).await.unwrap(), None);

    store.put(&id, &record(1), Lifetime::Browser).await.unwrap();
    assert_eq!(server.text(&["GET", &key]).unwrap(), record(1).as_str());
    let ttl = server.integer(&["TTL", &key]);
    assert!((86_390..=86_400).contains(&ttl), "{ttl}");
    assert_eq!(store.load(&id).await.unwrap(), Some(record(1)));
    assert_eq!(store.ids().await.unwrap(), std::slice::from_ref(&id));

    store.put(&id, &record(2), Lifetime::For(Duration::from_millis(59_500))).await.unwrap();
    assert!((59_501..=60_000).contains(&server.integer(&["PTTL", &key])));
    assert!(store.touch(&id, Lifetime::For(Duration::from_secs(300))).await.unwrap());
    assert!(server.integer(&["TTL", &key]) > 290);
    assert_eq!(store.load(&id).await.unwrap(), Some(record(2)));
    assert!(!store.touch(&sid("other"), MINUTE).await.unwrap());

    assert_eq!(store.create(&id, &record(3), MINUTE).await.unwrap(), Created::Exists);
    assert_eq!(store.load(&id).await.unwrap(), Some(record(2)));
    create(store, &sid("456"), &record(4)).await;
    assert_eq!(server.integer(&["TTL", &format!("{prefix}456")]), 60);
    assert_eq!(store.len().await.unwrap(), 2);
    let mut all = store.all().await.unwrap();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(all, [(id.clone(), record(2)), (sid("456"), record(4))]);

    assert!(store.destroy(&sid("456")).await.unwrap());
    assert!(!store.destroy(&sid("456")).await.unwrap());
    assert_eq!(store.len().await.unwrap(), 1);
    store.put(&id, &record(5), Lifetime::For(Duration::ZERO)).await.unwrap();
    assert_eq!(store.load(&id).await.unwrap(), None);
    assert_eq!(server.integer(&["EXISTS", &key]), 0);

    let mut ids = BTreeSet::new();
    for number in 0..1000 {
        let id = sid(&format!("many{number}"));
        store.put(&id, &record(number), MINUTE).await.unwrap();
        ids.insert(id);
    }
    assert_eq!(store.len().await.unwrap(), 1000);
    assert_eq!(store.ids().await.unwrap().into_iter().collect::<BTreeSet<_>>(), ids);
    assert_eq!(store.all().await.unwrap().len(), 1000);
    assert_eq!(store.clear().await.unwrap(), 1000);
    assert_eq!(store.len().await.unwrap(), 0);
}

#[tokio::test]
async fn with_the_defaults_as_with_other_options() {
    let server = Server::start();
    lifecycle(&server, &RedisStore::connect(server.url()).await.unwrap(), "sess:").await;
    lifecycle(&server, &server.builder().prefix("").connect().await.unwrap(), "").await;
    let store = server.builder().prefix("föö:").scan_count(7).connect().await.unwrap();
    lifecycle(&server, &store, "föö:").await;
    lifecycle(&server, &server.builder().scan_count(0).connect().await.unwrap(), "sess:").await;
}

#[tokio::test]
async fn a_prefix_is_no_pattern() {
    let server = Server::start();
    for prefix in ["a*:", "a?:", "[ab]:", "a\\:", "[^a]", "a]["] {
        let store = server.builder().prefix(prefix).connect().await.unwrap();
        for foreign in ["ab:1", "a:1", "b:1", "abc:1", "z1", "\\a:1"] {
            server.command(&["SET", foreign, "foreign"]);
        }
        create(&store, &sid("1"), &record(1)).await;
        assert_eq!(store.ids().await.unwrap(), [sid("1")], "{prefix}");
        assert_eq!(store.all().await.unwrap(), [(sid("1"), record(1))], "{prefix}");
        assert_eq!(store.clear().await.unwrap(), 1, "{prefix}");
        assert_eq!(server.integer(&["DBSIZE"]), 6, "{prefix}");
    }
}

#[tokio::test]
async fn the_empty_string_is_no_session() {
    let server = Server::start();
    let store = server.store().await;
    server.command(&["SET", "sess:1", ""]);
    assert_eq!(store.load(&sid("1")).await.unwrap(), None);
    let replaced = store.replace(&sid("1"), &Stored::from(""), &record(1), MINUTE).await.unwrap();
    assert_eq!(replaced, session::Replaced::Gone);
    assert_eq!(store.all().await.unwrap(), []);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_corrupt_and_not_shown() {
    let server = Server::start();
    let store = server.store().await;
    let client = redis::Client::open(server.url()).unwrap();
    let bytes: &[u8] = b"secret\nab\xff";
    let () = redis::cmd("SET").arg("sess:1").arg(bytes).query(&mut client.get_connection().unwrap()).unwrap();
    let errors = [
        store.load(&sid("1")).await.unwrap_err(),
        store.replace(&sid("1"), &record(1), &record(2), MINUTE).await.unwrap_err(),
        store.all().await.unwrap_err(),
    ];
    for error in errors {
        let StoreError::Corrupt(error) = error else { panic!("{error}") };
        assert_eq!(error.to_string(), "not the JSON of a session from line 2, column 3 on");
    }
}
