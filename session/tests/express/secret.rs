//! `secret option`.

use session::{ConfigError, SessionsBuilder};

use super::{puts_bob, sessions, site, support::Spy};

fn builder(store: &Spy) -> SessionsBuilder {
    session::Sessions::builder(store.clone()).save_uninitialized(true)
}

fn reads(session: &session::Session) -> String {
    session.get("user").unwrap().unwrap_or_else(|| "undefined".to_owned())
}

async fn signs_and_unsigns(secret: impl Into<Vec<u8>>) {
    let site = site(builder(&Spy::default()).secret(secret), |session| {
        if session.values().is_empty() { puts_bob(session) } else { format!("get:{}", reads(session)) }
    });
    let first = site.visit("/").await.says("bob");
    site.get("/", first.cookie()).await.says("get:bob");
}

#[test]
fn rejects_empty_arrays() {
    assert_eq!(builder(&Spy::default()).build().err(), Some(ConfigError::NoSecret));
}

#[tokio::test]
async fn signs_and_unsigns_with_a_string() {
    signs_and_unsigns("awesome cat").await;
}

#[tokio::test]
async fn signs_and_unsigns_with_bytes() {
    signs_and_unsigns(vec![0, 255, 13, 10, 128, 0]).await;
}

mod when_an_array {
    use super::*;

    #[tokio::test]
    async fn signs_cookies_with_first_element() {
        let store = Spy::default();
        let both = site(builder(&store).secret("keyboard cat").secret("nyan cat"), puts_bob);
        let signed = both.visit("/").await.says("bob");
        let other = site(builder(&store).secret("nyan cat"), reads);
        other.get("/", signed.cookie()).await.says("undefined").cookie();
        let same = site(sessions(&store), reads);
        same.get("/", signed.cookie()).await.says("bob");
    }

    #[tokio::test]
    async fn reads_cookies_using_all_elements() {
        let store = Spy::default();
        let old = site(builder(&store).secret("nyan cat"), puts_bob);
        let signed = old.visit("/").await.says("bob");
        let both = site(builder(&store).secret("keyboard cat").secret("nyan cat").rolling(true), reads);
        let again = both.get("/", signed.cookie()).await.says("bob");
        assert_eq!(again.sid(), signed.sid());
        assert_ne!(again.cookie(), signed.cookie(), "signed anew, with the first");
    }
}
