//! `when response ended`: who has the response finds the session stored, however slow the store is.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, header};
use session::RequestExt as _;

use super::{
    MINUTE, puts_bob, sessions, site,
    support::{Site, Spy, spy::Mood},
};

/// A body of this text, with or without its length, after a store that takes 200 ms.
async fn is_saved_with(body: &'static str, length: Option<usize>) {
    let store = Spy::default();
    store.is("create", Mood::Waits(Duration::from_millis(200)));
    let site = Site::whole(&sessions(&store).build().unwrap(), move |request| {
        request.session().insert("hit", &true).unwrap();
        let mut response = Response::new(Bytes::from_static(body.as_bytes()));
        if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        std::future::ready(response)
    });
    let answer = site.visit("/").await.says(body);
    assert_eq!(store.value(&answer.sid(), "hit").await, Some(true));
}

#[tokio::test(start_paused = true)]
async fn has_saved_session() {
    is_saved_with("session saved", None).await;
}

#[tokio::test(start_paused = true)]
async fn has_saved_session_even_with_empty_response() {
    is_saved_with("", Some(0)).await;
}

/// A body in parts is one response here, too.
#[tokio::test(start_paused = true)]
async fn has_saved_session_even_with_multi_write() {
    is_saved_with("hello, world", Some(12)).await;
}

#[tokio::test(start_paused = true)]
async fn has_saved_session_even_with_non_chunked_response() {
    is_saved_with("session saved", Some(13)).await;
}

/// Theirs rewrites the record with each request, as `resave` is on; ours with each change, and lets the record of an
/// unchanged session alone, as theirs does when `resave` is off. Its life is as long either way.
#[tokio::test]
async fn has_saved_session_with_updated_cookie_expiration() {
    let store = Spy::default();
    let site = site(sessions(&store), super::counts);
    let first = site.visit("/").await;
    let stored =
        async || store.stored(&first.sid()).await.unwrap().record().unwrap().cookie.expires().unwrap();
    let before = stored().await;
    assert_eq!(httpdate::fmt_http_date(before), first.attribute("Expires").unwrap());
    tokio::time::sleep(Duration::from_millis(2)).await;
    let second = site.get("/", first.cookie()).await;
    assert!(stored().await > before);
    assert_eq!(httpdate::fmt_http_date(stored().await), second.attribute("Expires").unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_only_read_lives_on_as_well() {
    let store = Spy::default();
    let site = site(sessions(&store), puts_bob);
    let first = site.visit("/").await;
    for _ in 0..3 {
        tokio::time::advance(MINUTE * 2 / 3).await;
        site.get("/", first.cookie()).await.says("bob").no_cookie();
    }
    assert_eq!(store.calls(), ["create", "load", "touch", "load", "touch", "load", "touch"]);
}
