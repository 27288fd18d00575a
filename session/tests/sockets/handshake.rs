//! The session of a handshake: who gets one, what is stored before the response, and what later requests must show.

use engineio::{Handshake, Refusal};
use serde_json::json;
use session::{CookieOptions, HandshakeExt as _, ServerBuilderExt as _, Sessions};
use socketio::Server;

use super::{
    AGE, Scene, namespace,
    support::{
        self, Client, Spy,
        client::{Response, cookies, request},
    },
};

async fn open_polling(server: &Server, headers: &[(&str, &str)]) -> Response {
    request(server, "GET", "/socket.io/?EIO=4&transport=polling", headers, "").await
}

/// The target of later requests.
fn target(open: &Response) -> String {
    let open: serde_json::Value = serde_json::from_str(&open.body[1..]).unwrap();
    format!("/socket.io/?EIO=4&transport=polling&sid={}", open["sid"].as_str().unwrap())
}

async fn post(server: &Server, target: &str, headers: &[(&str, &str)]) -> u16 {
    request(server, "POST", target, headers, "40").await.status
}

/// A server with another hook, which changes every session.
fn changing(store: &Spy) -> Server {
    let sessions = Sessions::builder(store.clone())
        .secret(support::SECRET)
        .cookie(CookieOptions::default().max_age(AGE));
    Server::builder()
        .sessions(&sessions.build().unwrap())
        .handshake(async |handshake: Handshake| -> Result<Handshake, Refusal> {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            handshake.session().insert("hook", &1).unwrap();
            Ok(handshake)
        })
        .namespace("/", namespace())
        .build()
}

#[tokio::test(start_paused = true)]
async fn one_question_to_the_store_and_none_for_garbage() {
    let scene = Scene::new(|sessions| sessions.touch(session::Touch::Never)).await;
    scene.join().await;
    assert_eq!(scene.store.calls(), ["load"]);
    let cookie = [("cookie", &scene.cookie[..])];
    for query in [
        "",
        "?EIO=4",
        "?EIO=4&transport=carrier-pigeon",
        "?EIO=4&transport=polling&sid=nobody",
        "?EIO=3&transport=polling",
    ] {
        let refused = request(&scene.server, "GET", &format!("/socket.io/{query}"), &cookie, "").await;
        assert_eq!((refused.status, refused.cookies()), (400, vec![]), "{query}");
    }
    Client::open(&scene.server, &[("cookie", "connect.sid=s%3Aevil.sig")]).await.map(drop).unwrap();
    assert_eq!(scene.store.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_hook_changes_is_stored_before_the_response() {
    let store = Spy::default();
    let server = changing(&store);
    let websocket = Client::open(&server, &[]).await.map_err(|status| status.to_string()).unwrap();
    let [cookie] = cookies(&websocket.head)[..] else { panic!("one cookie in {}", websocket.head) };
    assert_eq!(store.len(), 1);
    let polling = open_polling(&server, &[]).await;
    assert_eq!((polling.cookies().len(), store.len()), (1, 2));
    assert_eq!(store.calls().iter().filter(|&&call| call == "create").count(), 2);
    // The cookie is good for the next connection, whose hook changes nothing.
    let again = open_polling(&server, &[("cookie", cookie)]).await;
    assert_eq!((again.status, again.cookies().len(), store.len()), (200, 0, 2));
    store.fails("create");
    assert_eq!(Client::open(&server, &[]).await.err(), Some(503));
    assert_eq!(open_polling(&server, &[]).await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_no_reason_to_be_nobody() {
    let scene = Scene::new(|sessions| sessions).await;
    scene.store.fails("load");
    assert_eq!(Client::open(&scene.server, &[("cookie", &scene.cookie)]).await.err(), Some(503));
    assert_eq!(open_polling(&scene.server, &[("cookie", &scene.cookie)]).await.status, 503);

    let open = Scene::new(|sessions| sessions.fail_open(true)).await;
    open.store.fails("load");
    let mut client = open.join().await;
    assert_eq!(client.ask("get", "user").await, "[null]");
    assert!(client.ask("set", ("a", 1)).await.contains("error"));
    assert_eq!(cookies(&client.head), [""; 0]);
    open.store.is_well();
    assert_eq!(open.join().await.ask("get", "user").await, r#"["ann"]"#);
}

#[tokio::test(start_paused = true)]
async fn origins_are_judged_before_the_store_is_asked() {
    let scene = Scene::new(|sessions| sessions).await;
    let strict =
        Scene::new(|sessions| sessions.require_origin(true).allow_origins(["https://app.example"])).await;
    for (scene, origin, admitted) in [
        (&scene, None, true),
        (&scene, Some("http://site.example"), true),
        (&scene, Some("https://evil.example"), false),
        (&scene, Some("https://app.example"), false),
        (&scene, Some("null"), false),
        (&strict, None, false),
        (&strict, Some("http://site.example"), true),
        (&strict, Some("https://app.example"), true),
        (&strict, Some("https://evil.example"), false),
    ] {
        let mut headers = vec![("cookie", &scene.cookie[..])];
        headers.extend(origin.map(|origin| ("origin", origin)));
        scene.store.calls();
        let status = Client::open(&scene.server, &headers).await.map_or_else(|status| status, |_| 101);
        let polling = open_polling(&scene.server, &headers).await.status;
        assert_eq!((status, polling), if admitted { (101, 200) } else { (403, 403) }, "{origin:?}");
        assert_eq!(scene.store.calls().contains(&"load"), admitted, "{origin:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn later_requests_must_show_the_cookie_of_the_handshake() {
    let scene = Scene::new(|sessions| sessions).await;
    let cookie = [("cookie", &scene.cookie[..])];
    let other = scene.site.visit("/login").await;
    let others = [("cookie", other.cookie())];
    let open = open_polling(&scene.server, &cookie).await;
    let target = target(&open);
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    scene.store.calls();
    for thief in [&[][..], &others[..]] {
        assert_eq!(post(&scene.server, &target, thief).await, 403);
        assert_eq!(request(&scene.server, "GET", &target, thief, "").await.status, 403);
        let upgrade = target.split_once("polling").unwrap().1;
        assert_eq!(Client::switch(&scene.server, thief, upgrade).await.err(), Some(403));
    }
    assert_eq!(post(&scene.server, &target, &cookie).await, 200);
    let poll = request(&scene.server, "GET", &target, &cookie, "").await;
    assert!(poll.status == 200 && poll.body.starts_with("40{"), "{}", poll.body);
    assert_eq!(scene.store.calls(), [""; 0]);
}

/// Without a cookie there is nothing to show: programs are no browsers.
#[tokio::test(start_paused = true)]
async fn who_came_without_a_cookie_need_not_show_one() {
    let scene = Scene::new(|sessions| sessions).await;
    let target = target(&open_polling(&scene.server, &[]).await);
    assert_eq!(post(&scene.server, &target, &[]).await, 200);
}

#[tokio::test(start_paused = true)]
async fn polls_renew_the_cookie_if_it_rolls() {
    let scene = Scene::new(|sessions| sessions.rolling(true).touch(session::Touch::Never)).await;
    let cookie = [("cookie", &scene.cookie[..])];
    let open = open_polling(&scene.server, &cookie).await;
    assert_eq!(open.cookies(), [&scene.cookie]);
    tokio::time::sleep(AGE / 2).await;
    // The connection has timed out by then; another one begins.
    let open = open_polling(&scene.server, &cookie).await;
    let posted = request(&scene.server, "POST", &target(&open), &cookie, "40").await;
    assert_eq!(posted.cookies(), [&scene.cookie]);
    let polled = request(&scene.server, "GET", &target(&open), &cookie, "").await;
    assert_eq!(polled.cookies(), [&scene.cookie]);
    tokio::time::sleep(AGE * 2 / 3).await;
    assert_eq!(scene.stored("user").await, Some(json!("ann")), "it lives in the store as long");
}

/// Whoever has learned the id of a connection must not be handed its session.
#[tokio::test(start_paused = true)]
async fn polls_give_no_cookie_to_who_does_not_have_it() {
    let store = Spy::default();
    let sessions =
        Sessions::builder(store.clone()).secret(support::SECRET).rolling(true).save_uninitialized(true);
    let server = Server::builder().sessions(&sessions.build().unwrap()).namespace("/", namespace()).build();
    let open = open_polling(&server, &[]).await;
    let own = open.cookies()[0].to_owned();
    let thief = request(&server, "POST", &target(&open), &[], "40").await;
    assert_eq!((thief.status, thief.cookies()), (200, vec![]));
    let browser = request(&server, "GET", &target(&open), &[("cookie", &own)], "").await;
    assert_eq!(browser.cookies(), [&own]);
}
