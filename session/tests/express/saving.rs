//! `rolling option`, `resave option`, `saveUninitialized option`.

use http::StatusCode;

use super::{
    counts, empty, puts_bob, sessions, site,
    support::{Site, Spy},
};

mod rolling_option {
    use super::*;

    #[tokio::test]
    async fn defaults_to_false() {
        let site = site(sessions(&Spy::default()), puts_bob);
        let first = site.visit("/").await;
        site.get("/", first.cookie()).await.says("bob").no_cookie();
    }

    #[tokio::test]
    async fn forces_cookie_on_unmodified_session() {
        let site = site(sessions(&Spy::default()).rolling(true), puts_bob);
        let first = site.visit("/").await;
        assert_eq!(site.get("/", first.cookie()).await.says("bob").cookie(), first.cookie());
    }

    #[tokio::test]
    async fn does_not_force_cookie_on_uninitialized_session_if_those_are_not_saved() {
        let store = Spy::default();
        let site = empty(sessions(&store).rolling(true).save_uninitialized(false));
        site.visit("/").await.says("").no_cookie();
        assert_eq!(store.calls(), [""; 0]);
    }

    #[tokio::test]
    async fn forces_cookie_and_saves_uninitialized_session_if_those_are_saved() {
        let store = Spy::default();
        empty(sessions(&store).rolling(true)).visit("/").await.says("").cookie();
        assert_eq!(store.calls(), ["create"]);
    }

    #[tokio::test]
    async fn forces_cookie_and_saves_modified_session() {
        let store = Spy::default();
        let site = site(sessions(&store).rolling(true).save_uninitialized(false), puts_bob);
        site.visit("/").await.says("bob").cookie();
        assert_eq!(store.calls(), ["create"]);
    }
}

/// There is no such option: ours is always off, as a session that was only read must not overwrite what another request
/// has changed meanwhile.
mod resave_option {
    use super::*;

    /// `should default to true` and `should force save on unmodified session`, turned round, are one with `should prevent
    /// save on unmodified session`.
    #[tokio::test]
    async fn prevents_save_on_unmodified_session() {
        let store = Spy::default();
        let site = site(sessions(&store), puts_bob);
        let first = site.visit("/").await;
        let stored = store.stored(&first.sid()).await;
        site.get("/", first.cookie()).await.says("bob");
        assert_eq!(store.calls(), ["create", "load", "touch"]);
        assert_eq!(store.stored(&first.sid()).await, stored);
    }

    #[tokio::test]
    async fn still_saves_modified_session() {
        let store = Spy::default();
        let site = Site::new(&sessions(&store).build().unwrap(), async |session, path| {
            if let Some(token) = path.strip_prefix("/put/") {
                session.insert("token", token).unwrap();
            }
            format!("token={}", session.get::<String>("token").unwrap().unwrap_or_default())
        });
        let first = site.visit("/put/w6RHhwaA").await.says("token=w6RHhwaA");
        site.get("/", first.cookie()).await.says("token=w6RHhwaA");
        assert_eq!(store.calls(), ["create", "load", "touch"]);
        site.get("/put/zfQ3rzM3", first.cookie()).await.says("token=zfQ3rzM3");
        assert_eq!(store.calls(), ["load", "replace"]);
    }

    #[tokio::test]
    async fn detects_a_cookie_property_as_modified() {
        let store = Spy::default();
        let site = site(sessions(&store), |session| {
            let cookie = session
                .get::<serde_json::Value>("user")
                .unwrap()
                .map_or(0, |user| user["cookie"].as_u64().unwrap());
            session.insert("user", &serde_json::json!({ "name": "bob", "cookie": cookie + 1 })).unwrap();
            String::new()
        });
        let first = site.visit("/").await;
        store.calls();
        site.get("/", first.cookie()).await.says("");
        assert_eq!(store.calls(), ["load", "replace"]);
    }

    /// There the response is the page, and the error is raised beside it.
    #[tokio::test]
    async fn passes_session_touch_error() {
        let store = Spy::default();
        let site = site(sessions(&store), puts_bob);
        let first = site.visit("/").await;
        store.fails("touch");
        let failed = site.get("/", first.cookie()).await;
        assert_eq!((failed.status, &failed.body[..]), (StatusCode::SERVICE_UNAVAILABLE, ""));
    }
}

mod save_uninitialized_option {
    use super::*;
    use crate::support::SECRET;

    /// Turned round.
    #[tokio::test]
    async fn defaults_to_false() {
        let store = Spy::default();
        let site = empty(session::Sessions::builder(store.clone()).secret(SECRET));
        site.visit("/").await.says("").no_cookie();
        assert_eq!(store.calls(), [""; 0]);
    }

    #[tokio::test]
    async fn forces_save_of_uninitialized_session() {
        let store = Spy::default();
        empty(sessions(&store)).visit("/").await.says("").cookie();
        assert_eq!(store.calls(), ["create"]);
    }

    #[tokio::test]
    async fn prevents_save_of_uninitialized_session() {
        let store = Spy::default();
        empty(sessions(&store).save_uninitialized(false)).visit("/").await.says("").no_cookie();
        assert_eq!(store.calls(), [""; 0]);
    }

    #[tokio::test]
    async fn still_saves_modified_session() {
        let store = Spy::default();
        site(sessions(&store).save_uninitialized(false), counts).visit("/").await.says("hits: 1").cookie();
        assert_eq!(store.calls(), ["create"]);
    }

    /// There the response is the page, with a cookie for a session that is not stored.
    #[tokio::test]
    async fn passes_session_save_error() {
        let store = Spy::default();
        store.fails("create");
        let failed = empty(sessions(&store)).visit("/").await;
        assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
        failed.no_cookie();
    }

    #[tokio::test]
    async fn prevents_uninitialized_session_from_being_touched() {
        let store = Spy::default();
        store.fails("touch");
        empty(sessions(&store).save_uninitialized(false)).visit("/").await.says("");
    }
}
