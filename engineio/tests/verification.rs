//! Which requests to the endpoint are refused, in which order and words; hooks, headers, and who is told.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod support;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use engineio::{
    Config, Connection, Handshake, HandshakeHook, Refusal, RequestHead, Server, ServerBuilder, Sid, Transport,
};
use http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE};
use support::{Does, TEXT, TestServer, UPGRADE_LINES, get, get_with, masked, post, request, sid_of, upgrade};
use tokio::sync::Notify;

const TRANSPORT: &str = r#"{"code":0,"message":"Transport unknown"}"#;
const SID: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const METHOD: &str = r#"{"code":2,"message":"Bad handshake method"}"#;
const BAD: &str = r#"{"code":3,"message":"Bad request"}"#;
const VERSION: &str = r#"{"code":5,"message":"Unsupported protocol version"}"#;

#[tokio::test]
async fn requests_are_refused_with_the_official_bodies_in_the_official_order() {
    let long_sid = format!("EIO=4&transport=polling&sid={}", "x".repeat(7_000));
    let table: &[(&str, &str, &str)] = &[
        ("GET", "", TRANSPORT),
        ("GET", "EIO=4", TRANSPORT),
        ("GET", "EIO=4&transport=", TRANSPORT),
        ("GET", "EIO=4&transport=tobi", TRANSPORT),
        ("GET", "EIO=4&transport=webtransport", TRANSPORT),
        ("GET", "EIO=4&transport=constructor", TRANSPORT),
        ("GET", "EIO=4&transport=__proto__", TRANSPORT),
        ("GET", "EIO=4&transport=Polling", TRANSPORT),
        ("GET", "EIO=4&transport=polling&transport=tobi", TRANSPORT),
        ("POST", "transport=tobi&sid=abc", TRANSPORT),
        ("GET", "EIO=4&transport=polling&sid=abc", SID),
        ("GET", "EIO=4&transport=polling&sid=__proto__", SID),
        ("GET", "EIO=4&transport=polling&sid=toString", SID),
        ("GET", "EIO=4&transport=polling&sid=a%00b", SID),
        ("GET", "EIO=4&transport=polling&sid=%ff%fe", SID),
        ("GET", "EIO=4&transport=polling&sid=%zz", SID),
        ("GET", "EIO=4&transport=polling&sid=&sid=abc", SID),
        ("GET", "EIO=3&transport=websocket&sid=abc", SID),
        ("POST", "EIO=4&transport=polling&sid=abc", SID),
        ("DELETE", "EIO=4&transport=polling&sid=abc", SID),
        ("GET", &long_sid, SID),
        ("POST", "EIO=4&transport=polling", METHOD),
        ("POST", "transport=polling&sid=", METHOD),
        ("PUT", "EIO=4&transport=polling", METHOD),
        ("OPTIONS", "EIO=4&transport=polling", METHOD),
        ("POST", "EIO=3&transport=websocket", METHOD),
        ("GET", "EIO=4&transport=websocket", BAD),
        ("GET", "EIO=3&transport=websocket", BAD),
        ("GET", "transport=polling", VERSION),
        ("GET", "EIO=2&transport=polling", VERSION),
        ("GET", "EIO=3&transport=polling", VERSION),
        ("GET", "EIO=5&transport=polling", VERSION),
        ("GET", "EIO=44&transport=polling", VERSION),
        ("GET", "EIO=&transport=polling", VERSION),
        ("GET", "EIO=abc&transport=polling", VERSION),
        ("GET", "EIO[]=4&transport=polling", VERSION),
        ("GET", "EIO=4&EIO=3&transport=polling", VERSION),
    ];
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.connect().await;
    for (method, query, body) in table {
        println!("{method} {query:.100}");
        let response = client.ask(request(method, &format!("/engine.io/?{query}"), "")).await;
        assert_eq!(response.short(), (400, (*body).to_owned()));
        let length = format!("content-length: {}", body.len());
        assert_eq!(response.lines(), [length, "content-type: application/json".into()]);
    }
    // What is refused may have a body, and the next request is found behind it.
    assert_eq!(client.ask(post("EIO=4&transport=polling", "GET / HTTP/1.1")).await.text(), METHOD);
    assert_eq!(client.ask(get("EIO=4&transport=polling&quiet=1")).await.status, 200);
    server.nothing_seen();
    server.is_alive().await;
}

#[tokio::test]
async fn an_id_of_10_kb_is_refused_as_a_target_or_as_unknown() {
    let request = get(&format!("EIO=4&transport=polling&sid={}", "x".repeat(10_000)));
    let server = TestServer::echo(Config::default()).await;
    assert_eq!(server.ask(&request).await.status, 414);
    let config = Config::default().max_url_bytes(20_000).max_head_bytes(40_000);
    assert_eq!(TestServer::echo(config).await.ask(&request).await.short(), (400, SID.into()));
}

#[tokio::test]
async fn the_last_of_several_parameters_counts_and_an_empty_id_is_none() {
    let mut server = TestServer::echo(Config::default()).await;
    for query in [
        "EIO=4&transport=polling&sid=",
        "EIO=4&transport=polling&sid=abc&sid=",
        "EIO=3&EIO=4&transport=polling",
        "EIO=4&transport=websocket&transport=polling",
        "x&&EIO=%34&transport=%70olling&",
    ] {
        let response = server.ask(get(query)).await;
        assert_eq!(response.status, 200, "{query}");
        assert_eq!(server.opened().await.sid().as_str(), sid_of(&response.text()));
    }
}

#[tokio::test]
async fn the_version_is_of_no_matter_once_a_connection_is_open() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    for version in ["", "EIO=3&", "EIO=abc&"] {
        let query = format!("{version}transport=polling&sid={}", client.sid);
        assert_eq!(client.ask(post(&query, "4a")).await.text(), "ok");
        assert_eq!(client.ask(get(&query)).await.text(), "4a");
    }
}

#[tokio::test]
async fn origins_are_checked_for_characters_only() {
    let server = TestServer::echo(Config::default()).await;
    for origin in ["http://a", "null", "\u{e9}", "a\tb", ""] {
        let response =
            server.ask(get_with("EIO=4&transport=polling", &format!("Origin: {origin}\r\n"))).await;
        assert_eq!(response.status, 200, "{origin}");
    }
    for origin in ["a\x01b", "a\x7fb"] {
        let response =
            server.ask(get_with("EIO=4&transport=polling", &format!("Origin: {origin}\r\n"))).await;
        assert_eq!(response.status, 400, "{origin:?}");
    }
}

#[tokio::test]
async fn websockets_are_refused_before_the_101() {
    let good = "EIO=4&transport=websocket";
    let without = |line: &str| UPGRADE_LINES.replace(line, "");
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let with = |old: &str, new: &str| UPGRADE_LINES.replace(old, new);
    let bad_key = "Missing or invalid Sec-WebSocket-Key header";
    let bad_version = "Missing or invalid Sec-WebSocket-Version header";
    let table: Vec<(&str, &str, &str, String, u16, &str)> = vec![
        ("unknown transport", "GET", "EIO=4&transport=tobi", UPGRADE_LINES.into(), 400, "Transport unknown"),
        (
            "unknown id",
            "GET",
            "EIO=4&transport=websocket&sid=abc",
            UPGRADE_LINES.into(),
            400,
            "Session ID unknown",
        ),
        ("POST", "POST", good, UPGRADE_LINES.into(), 400, "Bad handshake method"),
        ("polling", "GET", "EIO=4&transport=polling", UPGRADE_LINES.into(), 400, "Bad request"),
        (
            "revision 3",
            "GET",
            "EIO=3&transport=websocket",
            UPGRADE_LINES.into(),
            400,
            "Unsupported protocol version",
        ),
        ("no key", "GET", good, without(key), 400, bad_key),
        ("empty key", "GET", good, with(key, "Sec-WebSocket-Key:\r\n"), 400, bad_key),
        ("short key", "GET", good, with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBs"), 400, bad_key),
        ("key that is no base64", "GET", good, with("dGhl", "d*hl"), 400, bad_key),
        ("two keys", "GET", good, with(key, &key.repeat(2)), 400, bad_key),
        ("no version", "GET", good, without(version), 426, bad_version),
        ("version 8", "GET", good, with(" 13", " 8"), 426, bad_version),
        ("version 14", "GET", good, with(" 13", " 14"), 426, bad_version),
        ("two versions", "GET", good, with(version, &version.repeat(2)), 426, bad_version),
        ("another protocol", "GET", good, with("websocket", "h2c"), 400, "Invalid Upgrade header"),
    ];
    let server = TestServer::echo(Config::default()).await;
    for (name, method, query, lines, status, text) in table {
        println!("{name}");
        let mut client = server.connect().await;
        let response = client.ask(request(method, &format!("/engine.io/?{query}"), &lines)).await;
        assert_eq!(response.short(), (status, text.to_owned()));
        let mut expected = vec![
            "connection: close".into(),
            format!("content-length: {}", text.len()),
            "content-type: text/html".into(),
        ];
        if status == 426 {
            expected.push("sec-websocket-version: 13".into());
        }
        assert_eq!(response.lines(), expected);
        client.expect_end().await;
    }
    // Without `Connection: upgrade` or in HTTP/1.0 it is a plain request, and gets JSON.
    let lines = without("Connection: Upgrade\r\n");
    assert_eq!(server.ask(get_with(good, &lines)).await.short(), (400, BAD.into()));
    let old = upgrade(good).replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(server.ask(old).await.short(), (400, BAD.into()));
    server.is_alive().await;
}

#[tokio::test]
async fn a_handshake_with_a_body_is_no_websocket() {
    let server = TestServer::echo(Config::default()).await;
    let mut client = server.connect().await;
    let lines = format!("{UPGRADE_LINES}Content-Length: 8\r\n");
    let response =
        client.ask(get_with("EIO=4&transport=websocket&quiet=1", &lines) + "\u{1}\u{1}234567").await;
    assert_eq!(response.status, 400, "otherwise the body would be taken for frames");
    server.is_alive().await;
}

#[tokio::test]
async fn transports_can_be_turned_off() {
    let server = TestServer::echo(Config::default().transports([Transport::Polling])).await;
    let response = server.ask(get("EIO=4&transport=polling")).await;
    assert!(response.text().contains(r#""upgrades":[]"#), "{response:?}");
    let refused = server.ask(upgrade("EIO=4&transport=websocket")).await;
    assert_eq!(refused.short(), (400, "Transport unknown".into()));
    let refused =
        server.ask(upgrade(&format!("EIO=4&transport=websocket&sid={}", sid_of(&response.text())))).await;
    assert_eq!(refused.short(), (400, "Transport unknown".into()));

    let mut server = TestServer::echo(Config::default().transports([Transport::WebSocket])).await;
    assert_eq!(server.ask(get("EIO=4&transport=polling")).await.short(), (400, TRANSPORT.into()));
    server.websocket().await;
}

/// What observers were told, as lines.
fn observed(builder: ServerBuilder) -> (ServerBuilder, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let builder = builder.on_connection_error(move |error| {
        let method = error.head.method();
        let (status, code, message) = (error.status.as_u16(), error.code, error.message);
        log.lock().unwrap().push(format!("{method} {status} {code} {message} {:?}", error.detail));
    });
    (builder, told)
}

#[tokio::test]
async fn observers_are_told_of_every_refusal() {
    let hook = async |_| Err(Refusal::forbidden("no"));
    let (builder, told) = observed(Server::builder().handshake(hook));
    let (builder, told_too) = observed(builder);
    let server = TestServer::start(builder, Does::Echo).await;
    for request in [
        get("EIO=4&transport=tobi"),
        get("EIO=4&transport=polling&sid=abc"),
        request("PUT", "/engine.io/?EIO=4&transport=polling", ""),
        get("EIO=4&transport=websocket"),
        upgrade("EIO=4&transport=polling"),
        get("EIO=3&transport=polling"),
        get("EIO=4&transport=polling"),
        upgrade("EIO=4&transport=websocket"),
        get_with("EIO=4&transport=websocket", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
    ] {
        server.ask(request).await;
    }
    let expected = [
        "GET 400 0 Transport unknown None",
        "GET 400 1 Session ID unknown None",
        "PUT 400 2 Bad handshake method None",
        r#"GET 400 3 Bad request Some("TRANSPORT_HANDSHAKE_ERROR")"#,
        r#"GET 400 3 Bad request Some("TRANSPORT_HANDSHAKE_ERROR")"#,
        "GET 400 5 Unsupported protocol version None",
        "GET 403 4 no None",
        "GET 403 4 no None",
        r#"GET 400 3 Missing or invalid Sec-WebSocket-Key header Some("TRANSPORT_HANDSHAKE_ERROR")"#,
    ];
    assert_eq!(*told.lock().unwrap(), expected);
    assert_eq!(*told_too.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_hook_refuses_with_its_status_and_message_on_both_transports() {
    let hook = async |handshake: Handshake| match handshake.head().query_param("why").as_deref() {
        None => Ok(handshake),
        Some("busy") => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "come back later")),
        Some(why) => Err(Refusal::forbidden(format!("{why} \"\u{e9}\"\n"))),
    };
    let mut server = TestServer::start(Server::builder().handshake(hook), Does::Echo).await;
    let table = [
        ("busy", 503, "come back later", r#"{"code":4,"message":"come back later"}"#),
        ("no", 403, "no \"\u{e9}\"\n", "{\"code\":4,\"message\":\"no \\\"\u{e9}\\\"\\n\"}"),
    ];
    for (why, status, plain, json) in table {
        let response = server.ask(get(&format!("EIO=4&transport=polling&why={why}"))).await;
        assert_eq!(response.short(), (status, json.into()));
        assert_eq!(response.header("content-type"), "application/json");
        let mut client = server.connect().await;
        let response = client.ask(upgrade(&format!("EIO=4&transport=websocket&why={why}"))).await;
        assert_eq!(response.short(), (status, plain.into()));
        assert_eq!(response.header("content-type"), "text/html");
        client.expect_end().await;
    }
    server.nothing_seen();
    server.polling().await;
    server.websocket().await;
    server.is_alive().await;
}

#[tokio::test]
async fn hooks_run_in_order_for_requests_that_can_succeed() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let hook = |name: &'static str| {
        let calls = Arc::clone(&calls);
        move |handshake: Handshake| {
            calls.lock().unwrap().push(name);
            let refused = handshake.head().query_param("refused").as_deref() == Some(name);
            async move { if refused { Err(Refusal::forbidden(name)) } else { Ok(handshake) } }
        }
    };
    let builder = Server::builder().handshake(hook("first")).handshake(hook("second"));
    let mut server = TestServer::start(builder, Does::Echo).await;
    let polling = "EIO=4&transport=polling";
    let table = [
        (get("EIO=3&transport=polling"), vec![]),
        (get("EIO=4&transport=polling&sid=abc"), vec![]),
        (upgrade("EIO=4&transport=websocket").replace("13", "8"), vec![]),
        (get(&format!("{polling}&refused=first")), vec!["first"]),
        (get(&format!("{polling}&refused=second")), vec!["first", "second"]),
        (get(polling), vec!["first", "second"]),
    ];
    for (request, expected) in table {
        calls.lock().unwrap().clear();
        server.ask(&request).await;
        assert_eq!(*calls.lock().unwrap(), expected, "{request}");
    }
    // Once for each connection, not for each request.
    server.opened().await;
    let mut client = server.polling().await;
    calls.lock().unwrap().clear();
    client.post("4a").await;
    client.poll().await;
    assert_eq!(*calls.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_hook_may_take_its_time_and_bytes_that_come_meanwhile_are_kept() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&entered), Arc::clone(&leave));
    let hook = move |handshake: Handshake| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            if handshake.head().query_param("slow").is_some() {
                tell.notify_one();
                wait.notified().await;
            }
            Ok(handshake)
        }
    };
    let mut server = TestServer::start(Server::builder().handshake(hook), Does::Echo).await;
    let cases: [(Vec<u8>, Option<&str>, Option<u16>); 3] = [
        (masked(TEXT, "4early"), Some("4early"), None),
        (vec![0xff; 1_000], None, Some(1002)),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), None, Some(1002)),
    ];
    for (bytes, echo, code) in cases {
        println!("{}", bytes.escape_ascii());
        let mut client = server.connect().await;
        client.send(upgrade("EIO=4&transport=websocket&slow=1")).await;
        entered.notified().await;
        server.is_alive().await;
        client.send(&bytes).await;
        leave.notify_one();
        assert_eq!(client.response_head().await.status, 101);
        assert_eq!(sid_of(&client.text().await), server.opened().await.sid().as_str());
        if let Some(echo) = echo {
            assert_eq!(client.text().await, echo);
            server.message().await;
            drop(client);
        } else {
            client.expect_close_frame(code).await;
        }
        server.closed().await;
    }
    // A client that has gone before the answer does no harm.
    let mut client = server.connect().await;
    client.send(get("EIO=4&transport=polling&slow=1&quiet=1")).await;
    entered.notified().await;
    drop(client);
    leave.notify_one();
    server.is_alive().await;
}

#[tokio::test]
async fn what_hooks_attach_is_found_by_handlers() {
    #[derive(Clone, Debug, PartialEq)]
    struct User(String);
    let hook = async |mut handshake: Handshake| {
        let user = handshake.head().query_param("user").unwrap().into_owned();
        handshake.extensions.insert(User(user));
        Ok(handshake)
    };
    let mut server = TestServer::start(Server::builder().handshake(hook), Does::Echo).await;
    let check = |connection: &Connection, transport| {
        let handshake = connection.handshake();
        assert_eq!(handshake.extensions.get(), Some(&User("tobi".into())));
        assert_eq!(handshake.head().header("x-a"), Some("b"));
        assert_eq!(handshake.head().path(), "/engine.io/");
        assert_eq!(handshake.remote_addr(), connection.remote_addr());
        assert!(connection.remote_addr().unwrap().ip().is_loopback());
        assert!(!handshake.is_secure());
        assert!(handshake.issued() <= SystemTime::now());
        assert_eq!((connection.transport(), connection.protocol()), (transport, 4));
    };
    server.ask(get_with("EIO=4&transport=polling&user=tobi", "X-A: b\r\n")).await;
    check(&server.opened().await, Transport::Polling);
    let lines = format!("{UPGRADE_LINES}X-A: b\r\n");
    let mut client = server.connect().await;
    client.send(get_with("EIO=4&transport=websocket&user=tobi", &lines)).await;
    check(&server.opened().await, Transport::WebSocket);
}

#[tokio::test]
async fn headers_of_hooks_are_sent_as_lines_of_their_own() {
    let hook = async |mut handshake: Handshake| {
        for cookie in ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"] {
            handshake.response_headers().append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        handshake.response_headers().insert("x-hook", HeaderValue::from_static("yes"));
        // The framing is the server's.
        handshake.response_headers().insert("content-length", HeaderValue::from_static("1"));
        handshake.response_headers().insert("connection", HeaderValue::from_static("close"));
        Ok(handshake)
    };
    let builder = Server::builder()
        .handshake(hook)
        .initial_headers(|headers, head| {
            headers.insert("x-initial", HeaderValue::from_str(head.method()).unwrap());
            headers.append(SET_COOKIE, HeaderValue::from_static("c=3"));
        })
        .headers(|headers, _| {
            headers.insert("x-every", HeaderValue::from_static("yes"));
        });
    let server = TestServer::start(builder, Does::Echo).await;
    let cookies = "a=1; Path=/ | b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT | c=3";
    let names = ["set-cookie", "x-hook", "x-initial", "x-every"];

    let mut polling = server.connect().await;
    let response = polling.ask(get("EIO=4&transport=polling")).await;
    assert_eq!(names.map(|name| response.header(name)), [cookies, "yes", "GET", "yes"]);
    polling.sid = sid_of(&response.text());
    let later = [polling.post("4a").await, polling.poll().await];
    for response in later {
        assert_eq!(names.map(|name| response.header(name)), ["", "", "", "yes"]);
    }
    let mut websocket = server.connect().await;
    let response = websocket.switch("EIO=4&transport=websocket").await;
    assert_eq!(names.map(|name| response.header(name)), [cookies, "yes", "GET", "yes"]);
    assert_eq!(response.header("connection"), "Upgrade");
    assert_eq!(response.header("content-length"), "");
    sid_of(&websocket.text().await);
    let mut upgrade = server.connect().await;
    let response = upgrade.switch(&format!("EIO=4&transport=websocket&sid={}", polling.sid)).await;
    assert_eq!(names.map(|name| response.header(name)), ["", "", "", "yes"]);
    // Refusals have none.
    let response = server.ask(get("EIO=4&transport=tobi")).await;
    assert_eq!(names.map(|name| response.header(name)), [""; 4]);
}

#[tokio::test]
async fn the_101_is_that_of_the_rfc() {
    let server = TestServer::echo(Config::default()).await;
    let mut client = server.connect().await;
    let response = client.switch("EIO=4&transport=websocket").await;
    let expected =
        ["connection: Upgrade", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "upgrade: websocket"];
    assert_eq!(response.lines(), expected);
    // Tokens count in any case and among others.
    let lines =
        UPGRADE_LINES.replace("Upgrade\r\n", "keep-alive, UPGRADE\r\n").replace(": websocket", ": WebSocket");
    let mut client = server.connect().await;
    client.send(get_with("EIO=4&transport=websocket", &lines)).await;
    assert_eq!(client.response_head().await.status, 101);
}

#[tokio::test]
async fn ids_are_long_and_unlike_or_of_the_applications_making() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut ids = HashSet::new();
    for _ in 0..50 {
        let sid = server.polling().await.sid;
        assert_eq!(sid.len(), 20);
        assert!(ids.insert(sid));
    }
    let builder = Server::builder().generate_id(|head| Sid::new(&head.query_param("id").unwrap()));
    let server = TestServer::start(builder, Does::Echo).await;
    let first = server.ask(get("EIO=4&transport=polling&id=mine")).await;
    assert_eq!(sid_of(&first.text()), "mine");
    // An id in use is refused, whichever the transport.
    let second = server.ask(get("EIO=4&transport=polling&id=mine")).await;
    assert_eq!(second.short(), (400, BAD.into()));
    let second = server.ask(upgrade("EIO=4&transport=websocket&id=mine")).await;
    assert_eq!(second.short(), (400, "Bad request".into()));
    let mut client = server.join("mine").await;
    assert_eq!(client.post("4a").await.text(), "ok");
    assert_eq!(client.poll().await.text(), "4a");
}

#[tokio::test]
async fn the_path_is_a_prefix() {
    let config = Config::default().path("/io").add_trailing_slash(false);
    let server = TestServer::echo(config).await;
    for (target, status) in
        [("/io", 200), ("/io/", 200), ("/io/a", 200), ("/iox", 200), ("/i", 404), ("/engine.io/", 404)]
    {
        let response = server.ask(request("GET", &format!("{target}?EIO=4&transport=polling"), "")).await;
        assert_eq!(response.status, status, "{target}");
    }
}

/// Notes what it is called for, and refuses what the query says.
#[derive(Clone)]
struct Guard(&'static str, Arc<Mutex<Vec<String>>>);

impl Guard {
    fn note(&self, what: &str) {
        self.1.lock().unwrap().push(format!("{} {what}", self.0));
    }
}

impl HandshakeHook for Guard {
    async fn call(&self, handshake: Handshake) -> Result<Handshake, Refusal> {
        self.note("call");
        Ok(handshake)
    }

    async fn settle(&self, mut handshake: Handshake) -> Result<Handshake, Refusal> {
        self.note("settle");
        handshake.response_headers().append("x-settled", HeaderValue::from_static(self.0));
        match handshake.head().query_param("unsettled").as_deref() {
            Some(name) if name == self.0 => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unsettled")),
            _ => Ok(handshake),
        }
    }

    fn follow(&self, _: &Handshake, request: &RequestHead, headers: &mut HeaderMap) -> Result<(), Refusal> {
        self.note("follow");
        headers.append("x-followed", HeaderValue::from_static(self.0));
        if request.query_param("stranger").is_some() { Err(Refusal::forbidden("stranger")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn hooks_settle_the_other_way_round_and_judge_later_requests() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let take = || std::mem::take(&mut *notes.lock().unwrap()).join(", ");
    let guard = |name| Guard(name, Arc::clone(&notes));
    let builder = Server::builder().handshake(guard("a")).handshake(guard("b"));
    let mut server = TestServer::start(builder, Does::Echo).await;
    let unsettled = server.ask(get("EIO=4&transport=polling&unsettled=b")).await;
    assert_eq!(unsettled.short(), (503, r#"{"code":4,"message":"unsettled"}"#.into()));
    assert_eq!(take(), "a call, b call, b settle");
    let opened = server.ask(get("EIO=4&transport=polling")).await;
    assert_eq!((opened.status, opened.header("x-settled")), (200, "b | a".into()));
    let sid = sid_of(&opened.text());
    assert_eq!(server.opened().await.sid().as_str(), sid);
    assert_eq!(take(), "a call, b call, b settle, a settle");

    let query = format!("EIO=4&transport=polling&sid={sid}");
    let posted = server.ask(post(&query, "4hello")).await;
    assert_eq!((posted.status, posted.header("x-followed")), (200, "a | b".into()));
    assert_eq!(take(), "a follow, b follow");
    let stranger = format!("{query}&stranger=1");
    let socket = stranger.replace("polling", "websocket");
    for request in [get(&stranger).into_bytes(), post(&stranger, "4x"), upgrade(&socket).into_bytes()] {
        assert_eq!(server.ask(request).await.status, 403);
        assert_eq!(take(), "a follow");
    }
    // Nothing of them has reached the connection.
    assert_eq!(server.ask(get(&query)).await.text(), "4hello");
}
