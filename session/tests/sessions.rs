//! Sessions over a store that others write too: what a page, a socket, another process or Express would see.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, header};
use session::{
    CookieOptions, CookieState, MemoryStore, Record, Session, SessionError, Sessions, Sid, Store, StoreError,
    store::{Created, Replaced, Revision, Versioned},
};

/// A store that is slow enough for others to come first.
struct Slow(MemoryStore);

impl Store for Slow {
    async fn load(&self, sid: &Sid) -> Result<Option<Versioned>, StoreError> {
        tokio::task::yield_now().await;
        self.0.load(sid).await
    }
    async fn create(&self, sid: &Sid, record: &Record, ttl: Duration) -> Result<Created, StoreError> {
        self.0.create(sid, record, ttl).await
    }
    async fn replace(
        &self,
        sid: &Sid,
        seen: &Revision,
        record: &Record,
        ttl: Duration,
    ) -> Result<Replaced, StoreError> {
        tokio::task::yield_now().await;
        self.0.replace(sid, seen, record, ttl).await
    }
    async fn put(&self, sid: &Sid, record: &Record, ttl: Duration) -> Result<(), StoreError> {
        self.0.put(sid, record, ttl).await
    }
    async fn touch(&self, sid: &Sid, cookie: &CookieState, ttl: Duration) -> Result<bool, StoreError> {
        self.0.touch(sid, cookie, ttl).await
    }
    async fn destroy(&self, sid: &Sid) -> Result<bool, StoreError> {
        self.0.destroy(sid).await
    }
}

/// One process of a site; processes with one store share its sessions.
fn process(store: &Arc<impl Store>) -> Sessions {
    Sessions::builder(store.clone()).secret("keyboard cat").build().unwrap()
}

fn process_with_age(store: &Arc<impl Store>, age: Duration) -> Sessions {
    let options = CookieOptions::default().max_age(age);
    Sessions::builder(store.clone()).secret("keyboard cat").cookie(options).build().unwrap()
}

/// Commits and returns the `Set-Cookie` header.
async fn commit(sessions: &Sessions, session: &Session) -> Option<String> {
    let mut headers = HeaderMap::new();
    sessions.commit(session, &mut headers).await.unwrap();
    headers.get(header::SET_COOKIE).map(|value| value.to_str().unwrap().into())
}

/// Makes a session with a user and returns the headers of later requests of its browser.
async fn log_in(sessions: &Sessions) -> HeaderMap {
    let session = sessions.open(&HeaderMap::new()).await.unwrap();
    session.insert("user", "ada").unwrap();
    request(&commit(sessions, &session).await.unwrap())
}

fn request(set_cookie: &str) -> HeaderMap {
    let cookie = set_cookie.split(';').next().unwrap();
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookie).unwrap())])
}

fn user(session: &Session) -> Option<String> {
    session.get("user").unwrap()
}

#[tokio::test]
async fn cookies_are_set_when_express_would() {
    let store = Arc::new(MemoryStore::default());
    let browser_session = process(&store);
    let expiring = process_with_age(&store, Duration::from_secs(60));

    let session = browser_session.open(&HeaderMap::new()).await.unwrap();
    assert_eq!(commit(&browser_session, &session).await, None);
    assert!(store.is_empty());

    for (sessions, again) in [(&browser_session, false), (&expiring, true)] {
        let cookies = log_in(sessions).await;
        let session = sessions.open(&cookies).await.unwrap();
        assert!(!session.is_new() && !session.is_modified());
        assert_eq!(commit(sessions, &session).await, None, "not modified");
        session.insert("user", "ada").unwrap();
        assert!(!session.is_modified(), "the same value again");
        session.insert("user", "bob").unwrap();
        assert_eq!(commit(sessions, &session).await.is_some(), again, "modified");
        session.update(|values| values.insert("user", "eve")).await.unwrap();
        assert_eq!(commit(sessions, &session).await.is_some(), again, "saved before the response");
        assert_eq!(commit(sessions, &session).await, None, "the browser has it by now");
    }
    let everybody = Sessions::builder(store).secret("keyboard cat").save_uninitialized(true).build().unwrap();
    let session = everybody.open(&HeaderMap::new()).await.unwrap();
    assert!(commit(&everybody, &session).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn every_request_and_every_save_renews_the_session() {
    let store = Arc::new(MemoryStore::default());
    let sessions = process_with_age(&store, Duration::from_secs(60));
    let cookies = log_in(&sessions).await;
    for step in 0..4 {
        tokio::time::advance(Duration::from_secs(40)).await;
        let session = sessions.open(&cookies).await.unwrap();
        assert_eq!(user(&session).as_deref(), Some("ada"));
        if step % 2 == 0 {
            assert_eq!(commit(&sessions, &session).await, None);
        } else {
            session.update(|values| values.insert("step", &step)).await.unwrap();
        }
        let stored = store.load(session.sid()).await.unwrap().unwrap().record;
        assert!(stored.cookie.time_to_live(SystemTime::now()) > Duration::from_secs(50));
    }
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(sessions.open(&cookies).await.unwrap().is_new());
}

#[tokio::test]
async fn page_and_socket_share_one_session() {
    let sessions = process(&Arc::new(MemoryStore::default()));
    let cookies = log_in(&sessions).await;
    let (page, socket) = (sessions.open(&cookies).await.unwrap(), sessions.open(&cookies).await.unwrap());
    page.insert("cart", &["tea"]).unwrap();
    assert_eq!(socket.get("cart").unwrap(), Some(vec!["tea".to_owned()]));
    assert!(socket.is_modified());
    assert!(socket.remove("user"));
    socket.save().await.unwrap();
    assert_eq!((user(&page), page.is_modified()), (None, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_concurrent_updaters_lose_nothing() {
    const PROCESSES: usize = 8;
    const UPDATERS: usize = 5;
    const UPDATES: usize = 10;
    let store = Arc::new(Slow(MemoryStore::default()));
    let cookies = log_in(&process(&store)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..PROCESSES {
        let sessions = process(&store);
        for updater in 0..UPDATERS {
            let (sessions, cookies) = (sessions.clone(), cookies.clone());
            tasks.spawn(async move {
                let session = sessions.open(&cookies).await.unwrap();
                for _ in 0..UPDATES {
                    let updated = session.update(|values| {
                        let count: usize = values.get("count")?.unwrap_or(0);
                        values.insert("count", &(count + 1))
                    });
                    updated.await.unwrap();
                }
                session.insert(&format!("updater {number} {updater}"), &true).unwrap();
                session.save().await.unwrap();
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let session = process(&store).open(&cookies).await.unwrap();
    assert_eq!(session.get("count").unwrap(), Some(PROCESSES * UPDATERS * UPDATES));
    let record = store.load(session.sid()).await.unwrap().unwrap().record;
    assert_eq!(record.values.len(), "user, count".split(", ").count() + PROCESSES * UPDATERS);
}

#[tokio::test]
async fn a_save_keeps_what_others_wrote_meanwhile() {
    let store = Arc::new(MemoryStore::default());
    let sessions = process(&store);
    let session = sessions.open(&log_in(&sessions).await).await.unwrap();
    session.insert("mine", &1).unwrap();
    session.insert("both", &1).unwrap();

    // As an Express application would: it knows nothing of revisions and writes numbers of its own.
    let cookie = r#"{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}"#;
    let theirs = format!(r#"{{"cookie":{cookie},"user":"bob","both":2,"cut":"\ud83d"}}"#);
    store.put(session.sid(), &Record::from_json(&theirs).unwrap(), Duration::from_secs(60)).await.unwrap();

    session.save().await.unwrap();
    let stored = store.load(session.sid()).await.unwrap().unwrap().record;
    let merged = format!(r#"{{"cookie":{cookie},"user":"bob","both":1,"cut":"\ud83d","mine":1}}"#);
    assert_eq!(stored.to_json(), merged);
    assert_eq!(user(&session).as_deref(), Some("bob"));
}

#[tokio::test]
async fn reload_shows_what_others_wrote_below_unsaved_changes() {
    let store = Arc::new(MemoryStore::default());
    let (here, there) = (process(&store), process(&store));
    let cookies = log_in(&here).await;
    let (mine, theirs) = (here.open(&cookies).await.unwrap(), there.open(&cookies).await.unwrap());
    mine.insert("unsaved", &1).unwrap();
    theirs.update(|values| values.insert("user", "bob")).await.unwrap();
    assert_eq!(user(&mine).as_deref(), Some("ada"));
    mine.reload().await.unwrap();
    assert_eq!(user(&mine).as_deref(), Some("bob"));
    assert!(mine.is_modified());
}

/// With Redis, `touch` leaves the JSON as it is, so that its `expires` is often past while the session lives.
#[tokio::test]
async fn a_save_renews_a_stale_expires() {
    let store = Arc::new(MemoryStore::default());
    let sessions = process(&store);
    let session = sessions.open(&log_in(&sessions).await).await.unwrap();
    let stale = r#"{"cookie":{"originalMaxAge":60000,"expires":"2020-01-02T03:04:05.678Z"},"user":"ada"}"#;
    store.put(session.sid(), &Record::from_json(stale).unwrap(), Duration::from_secs(60)).await.unwrap();
    session.reload().await.unwrap();
    session.update(|values| values.insert("a", &1)).await.unwrap();
    let stored = store.load(session.sid()).await.unwrap().unwrap().record;
    assert!(stored.cookie.time_to_live(SystemTime::now()) > Duration::from_secs(50));
}

#[tokio::test]
async fn nothing_brings_a_destroyed_session_back() {
    let store = Arc::new(MemoryStore::default());
    let (here, there) = (process(&store), process(&store));
    let cookies = log_in(&here).await;
    let (page, socket) = (here.open(&cookies).await.unwrap(), there.open(&cookies).await.unwrap());
    let late = process(&store).open(&cookies).await.unwrap();
    page.destroy().await.unwrap();
    page.destroy().await.unwrap();
    assert_eq!(user(&page), None);
    assert_eq!(commit(&here, &page).await, None);

    assert!(matches!(late.reload().await, Err(SessionError::Gone)));
    socket.insert("user", "ghost").unwrap();
    assert!(matches!(socket.save().await, Err(SessionError::Gone)));
    assert!(matches!(socket.update(|values| values.insert("user", "ghost")).await, Err(SessionError::Gone)));
    assert_eq!(user(&socket), None);
    assert_eq!(commit(&there, &socket).await, None);
    assert!(store.is_empty());
    let again = here.open(&cookies).await.unwrap();
    assert!(again.is_new() && again.sid() != page.sid());
}

#[tokio::test]
async fn an_update_that_fails_changes_nothing() {
    let store = Arc::new(MemoryStore::default());
    let sessions = process(&store);
    let session = sessions.open(&log_in(&sessions).await).await.unwrap();
    let failed = session.update(|values| {
        values.insert("user", "bob")?;
        values.insert("cookie", "reserved")
    });
    assert!(matches!(failed.await, Err(SessionError::Value(_))));
    assert_eq!((user(&session).as_deref(), session.is_modified()), (Some("ada"), false));
}

#[tokio::test]
async fn a_new_session_can_be_updated_before_its_response() {
    let store = Arc::new(MemoryStore::default());
    let sessions = process(&store);
    let session = sessions.open(&HeaderMap::new()).await.unwrap();
    session.update(|values| values.insert("views", &1)).await.unwrap();
    assert!(store.is_empty() && session.is_new() && session.is_modified());
    let cookies = request(&commit(&sessions, &session).await.unwrap());
    assert_eq!(process(&store).open(&cookies).await.unwrap().get("views").unwrap(), Some(1));
}

#[tokio::test]
async fn login_takes_a_new_id_and_ends_the_old_session() {
    let store = Arc::new(MemoryStore::default());
    let sessions = process(&store);
    let cookies = log_in(&sessions).await;
    let old = sessions.open(&cookies).await.unwrap();

    drop(sessions.regenerate(&old));
    assert!(sessions.open(&cookies).await.unwrap().sid() == old.sid(), "not committed");

    // Twice in one request, as when a login follows a forced logout.
    let new = sessions.regenerate(&sessions.regenerate(&old));
    assert_eq!(user(&new), None);
    new.insert("user", "bob").unwrap();
    let renewed = request(&commit(&sessions, &new).await.unwrap());
    assert!(matches!(old.save().await, Err(SessionError::Gone)));
    assert!(sessions.open(&cookies).await.unwrap().is_new());
    assert_eq!(user(&sessions.open(&renewed).await.unwrap()).as_deref(), Some("bob"));
    assert_eq!(store.len(), 1);

    // Logout: nothing is kept, so the browser keeps a cookie without meaning.
    assert_eq!(commit(&sessions, &sessions.regenerate(&new)).await, None);
    assert!(store.is_empty());
}

#[tokio::test]
async fn old_keys_verify_and_new_ones_sign() {
    let store = Arc::new(MemoryStore::default());
    let cookies = log_in(&process(&store)).await;
    let rotated = Sessions::builder(store.clone()).secret("new").secret("keyboard cat").build().unwrap();
    assert!(!rotated.open(&cookies).await.unwrap().is_new());
    let signed_by_new = log_in(&rotated).await;
    assert!(process(&store).open(&signed_by_new).await.unwrap().is_new());
}
