//! `req.session`, and the one row of `synchronous store` and of `cookieParser()` that is about more than Node.

use http::StatusCode;
use session::CookieOptions;

use super::{
    MINUTE, counts, empty, sessions, site,
    support::{self, Site, Spy},
};

#[tokio::test]
async fn persists() {
    let store = Spy::default();
    let site = site(sessions(&store), counts);
    let first = site.visit("/").await.says("hits: 1");
    assert_eq!(store.value(&first.sid(), "count").await, Some(1));
    site.get("/", first.cookie()).await.says("hits: 2");
}

#[tokio::test]
async fn only_sets_cookie_when_modified() {
    let site = Site::new(&sessions(&Spy::default()).build().unwrap(), async |session, path| {
        if path == "/" { counts(&session) } else { "read".to_owned() }
    });
    let first = site.visit("/").await.says("hits: 1");
    assert_eq!(site.get("/", first.cookie()).await.says("hits: 2").cookie(), first.cookie());
    site.get("/read", first.cookie()).await.says("read").no_cookie();
    assert_eq!(site.get("/", first.cookie()).await.says("hits: 3").cookie(), first.cookie());
}

/// `should not have enumerable methods`.
#[tokio::test]
async fn has_values_and_nothing_else() {
    let site = site(sessions(&Spy::default()), |session| {
        session.insert("foo", "foo").unwrap();
        session.insert("bar", "bar").unwrap();
        session.values().len().to_string()
    });
    site.visit("/").await.says("2");
}

/// There a site whose store says that it is disconnected has no sessions at all; here that is an option for requests
/// that cannot be answered otherwise.
#[tokio::test]
async fn is_empty_if_store_is_disconnected_and_there_again_when_it_reconnects() {
    let store = Spy::default();
    let cautious = site(sessions(&store), counts);
    let open = site(sessions(&store).fail_open(true), counts);
    let first = cautious.visit("/").await.says("hits: 1");
    for operation in ["load", "create", "replace", "touch", "destroy"] {
        store.fails(operation);
    }
    assert_eq!(cautious.get("/", first.cookie()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    open.get("/", first.cookie()).await.says("hits: 1").no_cookie();
    store.is_well();
    // It fails only when the page has been made.
    store.fails("replace");
    assert_eq!(cautious.get("/", first.cookie()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    open.get("/", first.cookie()).await.says("hits: 2").no_cookie();
    store.is_well();
    assert_eq!(open.get("/", first.cookie()).await.says("hits: 2").sid(), first.sid());
}

/// `synchronous store`: one that has done everything when it is asked.
#[tokio::test]
async fn responds_on_save_and_destroy() {
    let site = Site::new(&sessions(&Spy::default()).build().unwrap(), async |session, _| {
        let hits = counts(&session);
        if hits == "hits: 2" {
            session.destroy().await.unwrap();
        }
        hits
    });
    let first = site.visit("/").await.says("hits: 1");
    site.get("/", first.cookie()).await.says("hits: 2").no_cookie();
    site.get("/", first.cookie()).await.says("hits: 1").cookie();
}

mod cookie {
    use super::*;

    #[tokio::test]
    async fn is_set_only_once_for_browser_sessions() {
        let options = CookieOptions::default().path("/admin");
        let site = site(support::sessions(&Spy::default()).cookie(options), counts);
        let first = site.visit("/admin/foo").await.says("hits: 1");
        assert_eq!(first.attribute("Expires"), None);
        site.get("/admin", first.cookie()).await.says("hits: 2").no_cookie();
    }

    #[tokio::test]
    async fn preserves_cookies_of_the_page() {
        let sessions = sessions(&Spy::default()).build().unwrap();
        let site = Site::whole(&sessions, async |_| {
            let response = http::Response::builder().header("set-cookie", "previous=cookieValue; Path=/");
            response.body(bytes::Bytes::new()).unwrap()
        });
        let answer = site.visit("/").await.says("");
        assert_eq!(answer.set_cookies[0], "previous=cookieValue; Path=/");
        assert!(answer.set_cookies[1].starts_with("connect.sid=") && answer.set_cookies.len() == 2);
    }

    /// Both rows about `expires = null`.
    #[tokio::test]
    async fn is_not_reset_for_browser_sessions() {
        for change in [false, true] {
            let sessions = sessions(&Spy::default()).build().unwrap();
            let site = Site::new(&sessions, move |session, _| {
                session.set_max_age(None);
                std::future::ready(if change { counts(&session) } else { String::new() })
            });
            let first = site.visit("/").await;
            assert_eq!(first.attribute("Expires"), None);
            site.get("/", first.cookie()).await.no_cookie();
        }
    }

    /// There, one that changes alone is lost with the next request.
    #[tokio::test]
    async fn max_age_is_kept_like_a_value() {
        let store = Spy::default();
        let site = Site::new(&sessions(&store).build().unwrap(), async |session, path| {
            if path == "/longer" {
                session.set_max_age(Some(MINUTE * 2));
            }
            format!("{:?}", session.cookie().original_max_age().unwrap())
        });
        let first = site.visit("/").await.says("60s");
        site.get("/longer", first.cookie()).await.says("120s").cookie();
        site.get("/", first.cookie()).await.says("120s");
    }

    #[tokio::test]
    async fn of_another_path_is_no_session() {
        let store = Spy::default();
        let options = CookieOptions::default().path("/admin");
        empty(support::sessions(&store).cookie(options)).visit("/").await.says("").no_cookie();
        assert_eq!(store.calls(), [""; 0]);
    }
}
