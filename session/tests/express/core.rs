//! `session()`.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use http::StatusCode;
use session::{ConfigError, Session, Sessions, ValueError};

use super::{counts, empty, puts_bob, sessions, site, support::Spy};

/// Gives each session a number.
fn number(session: &Session) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let next = || COUNT.fetch_add(1, Ordering::Relaxed);
    format!("session {}", session.get_or_insert_with("num", next).unwrap())
}

/// Theirs is an error with every request.
#[test]
fn errors_without_secret() {
    let error = Sessions::builder(Spy::default()).build().err();
    assert_eq!(error, Some(ConfigError::NoSecret));
}

#[tokio::test]
async fn creates_a_new_session() {
    let store = Spy::default();
    let site = site(sessions(&store), |session| {
        session.insert("active", &true).unwrap();
        "session active".to_owned()
    });
    site.visit("/").await.says("session active").cookie();
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn loads_session_from_cookie_sid() {
    let site = site(sessions(&Spy::default()), number);
    let first = site.visit("/").await;
    site.get("/", first.cookie()).await.says(&first.body);
    assert_ne!(site.visit("/").await.body, first.body);
}

/// Theirs is 500, with the message.
#[tokio::test]
async fn passes_session_fetch_error() {
    let store = Spy::default();
    let site = empty(sessions(&store));
    let first = site.visit("/").await;
    store.fails("load");
    let failed = site.get("/", first.cookie()).await;
    assert_eq!((failed.status, &failed.body[..]), (StatusCode::SERVICE_UNAVAILABLE, ""));
    failed.no_cookie();
    store.is_well();
    site.get("/", first.cookie()).await.says("");
}

/// Their stores say so by an error, ours by `None`.
#[tokio::test]
async fn treats_a_missing_session_as_not_found() {
    let store = Spy::default();
    let site = site(sessions(&store), number);
    let first = site.visit("/").await;
    store.remove(&first.sid()).await;
    let second = site.get("/", first.cookie()).await;
    assert_ne!(second.body, first.body);
    assert_ne!(second.sid(), first.sid());
}

#[tokio::test]
async fn creates_multiple_sessions() {
    let store = Spy::default();
    let site = site(sessions(&store), counts);
    let (one, two) = tokio::join!(site.visit("/"), site.visit("/"));
    assert_ne!(one.says("hits: 1").sid(), two.says("hits: 1").sid());
    assert_eq!(store.len(), 2);
}

/// An empty target is no HTTP; the nearest is one without a path.
#[tokio::test]
async fn handles_a_target_without_path() {
    empty(sessions(&Spy::default())).visit("*").await.says("").no_cookie();
    empty(sessions(&Spy::default())).visit("http://x").await.says("").cookie();
}

#[tokio::test]
async fn handles_reserved_properties_in_storage() {
    let store = Spy::default();
    let site = site(sessions(&store), counts);
    let first = site.visit("/").await;
    let json = store
        .stored(&first.sid())
        .await
        .unwrap()
        .as_str()
        .replace(r#""count":1"#, r#""save":"nope","count":1"#);
    store.put_json(&first.sid(), &json).await;
    site.get("/", first.cookie()).await.says("hits: 2");
    // And, as there, it is not stored again.
    assert!(!store.stored(&first.sid()).await.unwrap().as_str().contains("save"));
}

#[tokio::test]
async fn has_only_session_data() {
    let site = site(sessions(&Spy::default()), |session| {
        session.insert("test1", &1).unwrap();
        session.insert("test2", "b").unwrap();
        session.values().iter().map(|(key, _)| key).collect::<Vec<_>>().join(",")
    });
    site.visit("/").await.says("test1,test2");
}

/// There the id can be overwritten; here values can have names that are no values.
#[tokio::test]
async fn does_not_save_what_is_bogus() {
    let store = Spy::default();
    let site = site(sessions(&store).save_uninitialized(false), |session| {
        for name in ["cookie", "id", "req", "save", "__proto__"] {
            assert!(matches!(session.insert(name, &1), Err(ValueError::Reserved(_))), "{name}");
        }
        String::new()
    });
    site.visit("/").await.says("").no_cookie();
    assert_eq!(store.len(), 0);
}

/// A page that takes its time does not send a date that was right when it began.
#[tokio::test]
async fn updates_cookie_expiration_when_slow() {
    let store = Spy::default();
    let sessions = sessions(&store).rolling(true).build().unwrap();
    let site = super::Site::new(&sessions, async |session, path| {
        puts_bob(&session);
        if path == "/slow" {
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
        String::new()
    });
    let first = site.visit("/").await;
    let begun = std::time::SystemTime::now();
    let slow = site.get("/slow", first.cookie()).await;
    let expires = httpdate::parse_http_date(slow.attribute("Expires").unwrap()).unwrap();
    assert!(expires >= begun + super::MINUTE);
    assert_ne!(slow.attribute("Expires"), first.attribute("Expires"));
}
