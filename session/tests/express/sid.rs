//! Cookies whose session is not to be had.

use std::time::Duration;

use http::StatusCode;
use session::CookieOptions;

use super::{
    counts, sessions, site,
    support::{self, Spy},
};

mod when_sid_not_in_store {
    use super::*;

    #[tokio::test]
    async fn creates_a_new_session_with_a_new_sid() {
        let store = Spy::default();
        let site = site(sessions(&store), counts);
        let first = site.visit("/").await.says("hits: 1");
        store.remove(&first.sid()).await;
        let second = site.get("/", first.cookie()).await.says("hits: 1");
        assert_ne!(second.sid(), first.sid());
        assert!(store.stored(&first.sid()).await.is_none(), "an id that was once given out is not adopted");
    }
}

mod when_sid_not_properly_signed {
    use super::*;

    #[tokio::test]
    async fn generates_new_session() {
        let site = site(sessions(&Spy::default()).cookie_name("sessid"), counts);
        let first = site.visit("/").await.says("hits: 1");
        let unsigned = format!("sessid={}", first.sid().as_str());
        let second = site.get("/", &unsigned).await.says("hits: 1");
        assert!(second.cookie().starts_with("sessid="));
        assert_ne!(second.sid(), first.sid());
    }

    #[tokio::test]
    async fn does_not_attempt_fetch_from_store() {
        let store = Spy::default();
        let site = site(sessions(&store).cookie_name("sessid"), counts);
        let first = site.visit("/").await.says("hits: 1");
        let at = first.cookie().rfind('.').unwrap();
        let shortened = [&first.cookie()[..at - 3], &first.cookie()[at..]].concat();
        store.calls();
        site.get("/", &shortened).await.says("hits: 1").cookie();
        assert_eq!(store.calls(), ["create"]);
    }
}

mod when_session_expired_in_store {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn creates_a_new_session_with_a_new_sid_and_leaves_nothing_of_the_old() {
        let store = Spy::default();
        let options = CookieOptions::default().max_age(Duration::from_millis(5));
        let site = site(support::sessions(&store).cookie(options), counts);
        let first = site.visit("/").await.says("hits: 1");
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(store.stored(&first.sid()).await.is_none());
        let second = site.get("/", first.cookie()).await.says("hits: 1");
        assert_ne!(second.sid(), first.sid());
    }
}

mod when_session_without_cookie_property_in_store {
    use super::*;

    /// Theirs is 500, as long as the record is there: ours as well, but it says to try again, as it may be put right.
    #[tokio::test]
    async fn passes_error() {
        let store = Spy::default();
        let site = site(sessions(&store), counts);
        let first = site.visit("/").await;
        store.put_json(&first.sid(), r#"{"foo":"bar"}"#).await;
        let failed = site.get("/", first.cookie()).await;
        assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
        failed.no_cookie();
        assert_eq!(store.stored(&first.sid()).await.unwrap().as_str(), r#"{"foo":"bar"}"#);
    }
}
