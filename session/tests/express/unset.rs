//! `unset option`: there a session is ended by `req.session = null` if it is `destroy`; here, by destroying it.

use http::StatusCode;

use super::{
    sessions,
    support::{Site, Spy},
};

/// Counts visits; `end` destroys the session, and `drop` forgets the handle, which is nothing.
fn site(store: &Spy) -> Site {
    Site::new(&sessions(store).build().unwrap(), async |session, path| match &path[..] {
        "/end" => session.destroy().await.map_or_else(|error| error.to_string(), |()| "gone".to_owned()),
        "/drop" => {
            drop(session);
            "dropped".to_owned()
        }
        _ => super::counts(&session),
    })
}

#[tokio::test]
async fn keeps_by_default() {
    let store = Spy::default();
    let site = site(&store);
    let first = site.visit("/").await.says("hits: 1");
    site.get("/drop", first.cookie()).await.says("dropped").no_cookie();
    assert_eq!(store.len(), 1);
    site.get("/", first.cookie()).await.says("hits: 2");
}

#[tokio::test]
async fn allows_destroy() {
    let store = Spy::default();
    let site = site(&store);
    let first = site.visit("/").await.says("hits: 1");
    site.get("/end", first.cookie()).await.says("gone").no_cookie();
    assert_eq!(store.len(), 0);
    assert_ne!(site.get("/", first.cookie()).await.says("hits: 1").sid(), first.sid());
}

#[tokio::test]
async fn does_not_set_cookie_if_initial_session_destroyed() {
    let store = Spy::default();
    site(&store).visit("/end").await.says("gone").no_cookie();
    assert_eq!(store.len(), 0);
    assert_eq!(store.calls(), [""; 0]);
}

/// The page learns of it, and the session is alive.
#[tokio::test]
async fn passes_session_destroy_error() {
    let store = Spy::default();
    let site = site(&store);
    let first = site.visit("/").await;
    store.fails("destroy");
    let failed = site.get("/end", first.cookie()).await;
    assert_eq!((failed.status, &failed.body[..]), (StatusCode::OK, "the session store failed"));
    site.get("/", first.cookie()).await.says("hits: 2");
}
