//! `.destroy()`, `.regenerate()`, `.reload()`, `.save()`, `.touch()`.

use std::time::Duration;

use session::{Session, SessionError};

use super::{
    MINUTE, counts, puts_bob, sessions,
    support::{Site, Spy},
};

fn site<Fut>(store: &Spy, page: impl Fn(Session, String) -> Fut + Send + Sync + 'static) -> Site
where
    Fut: Future<Output = String> + Send + 'static,
{
    Site::new(&sessions(store).build().unwrap(), page)
}

#[tokio::test]
async fn destroy_ends_the_session() {
    let site = site(&Spy::default(), async |session: Session, _| {
        session.insert("a", &1).unwrap();
        session.destroy().await.unwrap();
        format!("{} {}", session.is_gone(), session.values().len())
    });
    site.visit("/").await.says("true 0").no_cookie();
}

#[tokio::test]
async fn regenerate_destroys_and_replaces_the_previous_session() {
    let store = Spy::default();
    let site = site(&store, async |session: Session, path| {
        if path == "/" {
            return puts_bob(&session);
        }
        let old = session.sid();
        session.regenerate().unwrap();
        format!("{} {}", session.sid() == old, session.values().len())
    });
    let first = site.visit("/").await;
    store.calls();
    let second = site.get("/again", first.cookie()).await.says("false 0");
    assert_ne!(second.sid(), first.sid());
    // The other way round than there, where nobody is logged in for a moment.
    assert_eq!(store.calls(), ["load", "create", "destroy"]);
    assert!(store.stored(&first.sid()).await.is_none() && store.stored(&second.sid()).await.is_some());
    assert_ne!(site.visit("/again").await.says("false 0").sid(), second.sid());
}

#[tokio::test]
async fn regenerate_takes_the_cookie_options_again() {
    let store = Spy::default();
    let site = site(&store, async |session: Session, path| {
        match &path[..] {
            "/remember" => session.set_max_age(Some(MINUTE * 60)),
            "/regenerate" => session.regenerate().unwrap(),
            _ => {}
        }
        session.insert("user", "bob").unwrap();
        format!("{:?}", session.cookie().original_max_age())
    });
    let first = site.visit("/").await;
    let usual = first.body.clone();
    let longer = format!("{:?}", Some(MINUTE * 60));
    assert_ne!(usual, longer);
    site.get("/remember", first.cookie()).await.says(&longer);
    site.get("/regenerate", first.cookie()).await.says(&usual);
}

mod reload {
    use super::*;

    #[tokio::test]
    async fn reads_session_from_store() {
        let spy = Spy::default();
        let store = spy.clone();
        let site = site(&spy, move |session: Session, path| {
            let store = store.clone();
            async move {
                if path == "/" {
                    return counts(&session);
                }
                let url: Option<String> = session.get("url").unwrap();
                assert_eq!(url, None);
                store.set(&session.sid(), "url", "/bar").await;
                session.reload().await.unwrap();
                session.get("url").unwrap().unwrap()
            }
        });
        let first = site.visit("/").await;
        site.get("/foo", first.cookie()).await.says("/bar");
    }

    /// There it drops what was not saved; here that stays, over what is stored.
    #[tokio::test]
    async fn keeps_what_was_not_saved() {
        let spy = Spy::default();
        let store = spy.clone();
        let site = site(&spy, move |session: Session, path| {
            let store = store.clone();
            async move {
                if path == "/" {
                    return counts(&session);
                }
                session.insert("mine", &1).unwrap();
                store.set(&session.sid(), "theirs", 2).await;
                session.reload().await.unwrap();
                format!("{:?}", session.values())
            }
        });
        let first = site.visit("/").await;
        site.get("/foo", first.cookie()).await;
        let json = spy.stored(&first.sid()).await.unwrap();
        assert!(json.as_str().ends_with(r#""count":1,"theirs":2,"mine":1}"#), "{}", json.as_str());
    }

    /// `should error is session missing`, and the same many times on top of each other.
    #[tokio::test]
    async fn errors_if_session_is_missing() {
        let spy = Spy::default();
        let store = spy.clone();
        let site = site(&spy, move |session: Session, path| {
            let store = store.clone();
            async move {
                if path == "/" {
                    return counts(&session);
                }
                store.remove(&session.sid()).await;
                for _ in 0..20 {
                    assert!(matches!(session.reload().await, Err(SessionError::Gone)));
                }
                "gone".to_owned()
            }
        });
        let first = site.visit("/").await;
        site.get("/foo", first.cookie()).await.says("gone").no_cookie();
        assert_eq!(spy.len(), 0);
    }
}

mod save {
    use super::*;

    /// The session is new: it is stored with the response, whose cookie is what makes it worth storing.
    #[tokio::test]
    async fn leaves_a_new_session_to_the_response() {
        let store = Spy::default();
        let site = site(&store, async |session: Session, _| {
            session.insert("hit", &true).unwrap();
            session.save().await.unwrap();
            format!("{} {}", session.is_new(), session.is_modified())
        });
        let answer = site.visit("/").await.says("true true");
        assert_eq!(store.value(&answer.sid(), "hit").await, Some(true));
        assert_eq!(store.calls(), ["create"]);
    }

    #[tokio::test]
    async fn saves_session_to_store() {
        let spy = Spy::default();
        let store = spy.clone();
        let site = site(&spy, move |session: Session, _| {
            let store = store.clone();
            async move {
                counts(&session);
                session.save().await.unwrap();
                let stored: Option<u32> = store.value(&session.sid(), "count").await;
                stored.map_or("empty", |_| "stored").to_owned()
            }
        });
        let first = site.visit("/").await.says("empty");
        site.get("/", first.cookie()).await.says("stored").cookie();
    }

    /// Also after `reload`, and whether or not uninitialized sessions are saved.
    #[tokio::test]
    async fn prevents_end_of_request_save() {
        for save_uninitialized in [true, false] {
            let store = Spy::default();
            let sessions = sessions(&store).save_uninitialized(save_uninitialized).build().unwrap();
            let site = Site::new(&sessions, async |session, path| {
                counts(&session);
                if path == "/reloaded" {
                    session.reload().await.unwrap();
                }
                session.save().await.unwrap();
                "saved".to_owned()
            });
            let first = site.visit("/").await.says("saved");
            store.calls();
            site.get("/", first.cookie()).await.says("saved").cookie();
            assert_eq!(store.calls(), ["load", "replace"]);
            site.get("/reloaded", first.cookie()).await.says("saved").cookie();
            assert_eq!(store.calls(), ["load", "load", "replace"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn touch_resets_session_expiration() {
    let store = Spy::default();
    let site = site(&store, async |session: Session, path| {
        if path == "/" {
            return counts(&session);
        }
        for _ in 0..3 {
            tokio::time::sleep(MINUTE - Duration::from_secs(1)).await;
            session.touch().await.unwrap();
        }
        "long".to_owned()
    });
    let first = site.visit("/").await;
    site.get("/long", first.cookie()).await.says("long");
    site.get("/", first.cookie()).await.says("hits: 2");
}
