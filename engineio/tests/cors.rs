//! Cross-origin headers as they travel; `src/cors.rs` has the tables of the policy itself.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod support;

use std::time::Duration;

use engineio::{Config, Handshake, Refusal, Server, cors::Cors};
use http::{Method, StatusCode, header};
use support::{Does, Response, TestServer, UPGRADE_LINES, get, get_with, request, sid_of, upgrade};

const POLLING: &str = "/engine.io/?EIO=4&transport=polling";
const ASKS: &str =
    "Origin: http://a\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-a, x-b\r\n";

/// The headers of a response that are about other origins.
fn cors_lines(response: &Response) -> Vec<String> {
    let about = |line: &String| line.starts_with("access-control-") || line.starts_with("vary");
    response.lines().into_iter().filter(about).collect()
}

#[tokio::test]
async fn without_a_policy_there_are_no_headers_and_no_preflights() {
    let server = TestServer::echo(Config::default()).await;
    let preflight = server.ask(request("OPTIONS", POLLING, ASKS)).await;
    assert_eq!(preflight.short(), (400, r#"{"code":2,"message":"Bad handshake method"}"#.into()));
    let opened = server.ask(get_with("EIO=4&transport=polling", "Origin: http://a\r\n")).await;
    assert_eq!([cors_lines(&preflight), cors_lines(&opened)], [[""; 0]; 2]);
}

#[tokio::test]
async fn preflights_are_answered_before_everything_else() {
    let server = TestServer::echo(Config::default().cors(Cors::any())).await;
    let mut client = server.connect().await;
    for target in [
        POLLING,
        "/engine.io/",
        "/engine.io/?EIO=4&transport=polling&sid=unknown",
        "/engine.io/?transport=tobi",
    ] {
        let response = client.ask(request("OPTIONS", target, ASKS)).await;
        assert_eq!(response.short(), (204, String::new()), "{target}");
        let expected = [
            "access-control-allow-headers: x-a, x-b",
            "access-control-allow-methods: GET,HEAD,PUT,PATCH,POST,DELETE",
            "access-control-allow-origin: *",
            "content-length: 0",
            "vary: Access-Control-Request-Headers",
        ];
        assert_eq!(response.lines(), expected);
    }
    // With a body too, and the next request is found behind it.
    let lines = format!("{ASKS}Content-Length: 4\r\n");
    assert_eq!(client.ask(request("OPTIONS", POLLING, &lines) + "body").await.status, 204);
    assert_eq!(client.ask(get("EIO=4&transport=polling")).await.status, 200);
    // Elsewhere the policy does not apply.
    let elsewhere = client.ask(request("OPTIONS", "/", ASKS)).await;
    assert_eq!((elsewhere.status, cors_lines(&elsewhere)), (404, vec![]));
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    let hook = async |handshake: Handshake| match handshake.head().query_param("no") {
        Some(_) => Err(Refusal::forbidden("no")),
        None => Ok(handshake),
    };
    let cors =
        Cors::origins(["http://a"]).unwrap().credentials(true).unwrap().exposed_headers([header::ETAG]);
    let builder = Server::builder().config(Config::default().max_payload(1_000).cors(cors)).handshake(hook);
    let mut server = TestServer::start(builder, Does::Echo).await;
    let client = server.polling().await;
    let websocket = server.websocket().await;
    let with_sid = format!("/engine.io/?{}", client.query());
    let polling_on_websocket = format!("/engine.io/?{}", websocket.query());
    let table = [
        ("handshake", "GET", POLLING.to_owned(), "", "", 200),
        ("refused by the hook", "GET", format!("{POLLING}&no"), "", "", 403),
        ("unknown id", "GET", format!("{POLLING}&sid=x"), "", "", 400),
        ("wrong method", "PUT", with_sid.clone(), "", "", 500),
        ("mismatch", "GET", polling_on_websocket, "", "", 400),
        ("post", "POST", with_sid.clone(), "Content-Length: 2\r\n", "4a", 200),
        ("poll", "GET", with_sid.clone(), "", "", 200),
        ("too large", "POST", with_sid.clone(), "Content-Length: 1001\r\n", "", 413),
        ("bad post", "POST", with_sid.clone(), "Content-Length: 1\r\n", "x", 400),
        ("bad chunk", "POST", POLLING.into(), "Transfer-Encoding: chunked\r\n", "x\r\n", 400),
    ];
    for (name, method, target, lines, body, status) in table {
        println!("{name}");
        let lines = format!("Origin: http://a\r\n{lines}");
        let response = server.ask(request(method, &target, &lines) + body).await;
        assert_eq!(response.status, status);
        let expected = [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: http://a",
            "access-control-expose-headers: etag",
            "vary: Origin",
        ];
        assert_eq!(cors_lines(&response), expected);
    }
    let mut client = server.connect().await;
    client.send(get_with("EIO=4&transport=websocket", &format!("{UPGRADE_LINES}Origin: http://a\r\n"))).await;
    let switched = client.response_head().await;
    assert_eq!((switched.status, switched.header("access-control-allow-origin")), (101, "http://a".into()));
    let refused = upgrade("EIO=4&transport=tobi").replace("\r\n\r\n", "\r\nOrigin: http://a\r\n\r\n");
    assert_eq!(server.ask(refused).await.header("access-control-allow-origin"), "http://a");
}

#[tokio::test]
async fn another_origin_is_served_without_permission_to_read() {
    let table = [
        (Cors::origins(["http://a"]).unwrap(), "http://b", ""),
        (Cors::origins(["http://a", "http://b"]).unwrap(), "http://b", "http://b"),
        (Cors::origin("http://a").unwrap(), "http://b", "http://a"),
        (Cors::reflect(), "http://b", "http://b"),
        (Cors::predicate(|origin| origin.ends_with(".a")), "http://b.a", "http://b.a"),
        (Cors::predicate(|origin| origin.ends_with(".a")), "http://b", ""),
    ];
    for (cors, origin, allowed) in table {
        println!("{cors:?} {origin}");
        let server = TestServer::echo(Config::default().cors(cors)).await;
        let response =
            server.ask(get_with("EIO=4&transport=polling", &format!("Origin: {origin}\r\n"))).await;
        assert_eq!(response.status, 200);
        sid_of(&response.text());
        assert_eq!(response.header("access-control-allow-origin"), allowed);
        assert_eq!(response.header("vary"), "Origin");
        let mut websocket = server.connect().await;
        websocket
            .send(get_with("EIO=4&transport=websocket", &format!("{UPGRADE_LINES}Origin: {origin}\r\n")))
            .await;
        assert_eq!(websocket.response_head().await.status, 101, "WebSockets are not subject to it");
    }
}

#[tokio::test]
async fn preflights_say_what_they_are_told_to() {
    let cors = Cors::origin("http://a")
        .unwrap()
        .methods([Method::GET, Method::POST])
        .allowed_headers([header::AUTHORIZATION])
        .exposed_headers([header::ETAG])
        .credentials(true)
        .unwrap()
        .max_age(Duration::from_secs(60))
        .options_success_status(StatusCode::OK);
    let server = TestServer::echo(Config::default().cors(cors.clone())).await;
    let response = server.ask(request("OPTIONS", POLLING, ASKS)).await;
    assert_eq!(response.short(), (200, String::new()));
    let expected = [
        "access-control-allow-credentials: true",
        "access-control-allow-headers: authorization",
        "access-control-allow-methods: GET,POST",
        "access-control-allow-origin: http://a",
        "access-control-expose-headers: etag",
        "access-control-max-age: 60",
        "vary: Origin",
    ];
    assert_eq!(cors_lines(&response), expected);
    // Preflights that go on meet the endpoint, which knows no OPTIONS.
    let server = TestServer::echo(Config::default().cors(cors.preflight_continue(true))).await;
    let response = server.ask(request("OPTIONS", POLLING, ASKS)).await;
    assert_eq!((response.status, cors_lines(&response).len()), (400, expected.len()));
}

/// A value of the request cannot become a header of its own in the response.
#[tokio::test]
async fn nothing_can_be_injected() {
    let server = TestServer::echo(Config::default().cors(Cors::reflect())).await;
    let response = server.ask(get_with("EIO=4&transport=polling", "Origin: a\rX-Evil: 1\r\n")).await;
    assert_eq!((response.status, response.header("x-evil")), (400, String::new()));
    let response = server.ask(get_with("EIO=4&transport=polling", "Origin: \u{e9}\t\"\r\n")).await;
    assert_eq!(response.status, 200);
    server.is_alive().await;
}
