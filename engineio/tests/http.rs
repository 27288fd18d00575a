//! HTTP/1.1 as raw bytes: what is refused, what is kept open, and what every limit does at its edge and beyond.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use engineio::{CloseReason, Config, RemoteAddr, Server, ServerBuilder};
use http::{Request, Response};
use support::{Does, PIPE, TestServer, UPGRADE_LINES, eventually, get, request};
use tokio::time::Instant;

/// A server whose fallback tells what it was asked.
fn pages(config: Config) -> ServerBuilder {
    Server::builder().config(config).fallback(async |request: Request<bytes::Bytes>| {
        let told = format!("{} {} {:?}", request.method(), request.uri(), request.body());
        Response::builder().header("x-page", "yes").header("content-length", "3").body(told.into()).unwrap()
    })
}

#[tokio::test]
async fn malformed_and_ambiguous_requests_are_refused_and_the_stream_closed() {
    let get = |lines: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let table: Vec<(&str, String, u16)> = vec![
        ("bare line feeds", "GET / HTTP/1.1\nHost: h\n\n".into(), 400),
        ("one bare line feed", "GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n".into(), 400),
        ("bare carriage returns", "GET / HTTP/1.1\rHost: h\r\r".into(), 400),
        ("carriage return in a value", get("A: b\rc\r\n"), 400),
        ("NUL in a value", get("A: b\0c\r\n"), 400),
        ("NUL in a name", get("A\0: b\r\n"), 400),
        ("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400),
        ("space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n".into(), 505),
        ("target without a slash", "GET a HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400),
        ("space before a colon", get("A : b\r\n"), 400),
        ("line without a colon", get("A\r\n"), 400),
        ("empty name", get(": b\r\n"), 400),
        ("folded line", get("A: b\r\n c\r\n"), 400),
        ("folded first line", "GET / HTTP/1.1\r\n Host: h\r\n\r\n".into(), 400),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("two Hosts", get("Host: h\r\n"), 400),
        ("Host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), 400),
        ("both lengths", get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
        ("both lengths, the other way", get("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400),
        ("two equal lengths", get("Content-Length: 5\r\nContent-Length: 5\r\n"), 400),
        ("two unequal lengths", get("Content-Length: 5\r\nContent-Length: 6\r\n"), 400),
        ("list of lengths", get("Content-Length: 5, 5\r\n"), 400),
        ("length with a sign", get("Content-Length: +5\r\n"), 400),
        ("negative length", get("Content-Length: -5\r\n"), 400),
        ("hexadecimal length", get("Content-Length: 0x5\r\n"), 400),
        ("empty length", get("Content-Length:\r\n"), 400),
        ("length above 2^64", get("Content-Length: 99999999999999999999\r\n"), 400),
        ("coding before chunked", get("Transfer-Encoding: gzip, chunked\r\n"), 400),
        ("coding after chunked", get("Transfer-Encoding: chunked, identity\r\n"), 400),
        ("two codings", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400),
        ("coding that is not chunked", get("Transfer-Encoding: xchunked\r\n"), 400),
        ("coding with a parameter", get("Transfer-Encoding: chunked;a=b\r\n"), 400),
        ("chunked in HTTP/1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), 400),
        ("unknown expectation", get("Expect: more\r\n"), 417),
        ("HTTP/0.9", "GET /\r\n\r\n".into(), 400),
        ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n".into(), 505),
        ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n".into(), 505),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        ("version in lower case", "GET / http/1.1\r\nHost: h\r\n\r\n".into(), 505),
        ("TLS hello", "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03".into(), 400),
        ("method without end", "A".repeat(40), 501),
        ("a head of 20 kB", get(&format!("A: {}\r\n", "x".repeat(20_000))), 431),
        ("200 headers", get(&"A: b\r\n".repeat(200)), 431),
        ("a target of 100 kB", format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(100_000)), 414),
    ];
    let server = TestServer::echo(Config::default()).await;
    for (name, bytes, status) in table {
        for bytes in [bytes.clone(), format!("\r\n{bytes}"), bytes + "GET / HTTP/1.1\r\nHost: h\r\n\r\n"] {
            println!("{name}: {:.80}", bytes.escape_debug());
            let mut client = server.connect().await;
            let response = client.ask(bytes).await;
            assert_eq!((response.status, response.header("connection")), (status, "close".into()));
            client.expect_end().await;
        }
    }
    server.is_alive().await;
}

#[tokio::test]
async fn malformed_bodies_are_refused_and_the_stream_closed() {
    let table: Vec<(&str, String, u16)> = vec![
        ("size of 17 digits", "10000000000000000\r\n".into(), 400),
        ("size with 0x", "0x5\r\nhello\r\n0\r\n\r\n".into(), 400),
        ("no size", "\r\n\r\n".into(), 400),
        ("negative size", "-1\r\n".into(), 400),
        ("space in a size", "5 \r\nhello\r\n".into(), 400),
        ("largest size", "ffffffffffffffff\r\n".into(), 413),
        ("data longer than its size", "5\r\nhello!\r\n0\r\n\r\n".into(), 400),
        ("data without a line end", "5\r\nhello0\r\n\r\n".into(), 400),
        ("bare line feed", "5\nhello\n0\n\n".into(), 400),
        ("1 MB of extension", format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(1_000_000)), 400),
        ("1 MB of trailers", format!("0\r\n{}\r\n", "A: b\r\n".repeat(170_000)), 400),
    ];
    let server = TestServer::echo(Config::default()).await;
    for (name, chunks, status) in table {
        for path in ["/", "/engine.io/?EIO=4&transport=polling&sid="] {
            println!("{name} to {path}");
            let mut client = server.connect().await;
            let bytes = request("POST", path, "Transfer-Encoding: chunked\r\n") + &chunks;
            let response = client.ask(bytes).await;
            let status = if path == "/" { status } else { 400 };
            assert_eq!((response.status, response.header("connection")), (status, "close".into()));
            client.expect_end().await;
        }
    }
    server.is_alive().await;
}

#[tokio::test]
async fn a_malformed_post_ends_its_connection() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    let bytes = format!(
        "POST /engine.io/?{} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n4a\r\n",
        client.query()
    );
    assert_eq!(client.ask(bytes).await.status, 400);
    client.expect_end().await;
    assert_eq!(server.closed().await, CloseReason::TransportError("malformed data request"));
    server.is_alive().await;
}

/// Each limit: the last size that passes, and the first that does not.
#[tokio::test]
async fn limits_hold_exactly() {
    let config = Config::default()
        .max_head_bytes(1_000)
        .max_headers(10)
        .max_url_bytes(200)
        .max_body_bytes(300)
        .max_payload(400);
    let head = |length: usize| {
        let head = "GET / HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n";
        head.replace("A: ", &format!("A: {}", "x".repeat(length - head.len())))
    };
    let headers = |count: usize| request("GET", "/", &"A: b\r\n".repeat(count - 1));
    let target = |length: usize| request("GET", &format!("/{}", "x".repeat(length - 1)), "");
    let body =
        |length: usize| request("POST", "/", &format!("Content-Length: {length}\r\n")) + &"x".repeat(length);
    let chunks = |lengths: [usize; 2]| {
        let [a, b] = lengths.map(|length| format!("{length:x}\r\n{}\r\n", "x".repeat(length)));
        request("POST", "/", "Transfer-Encoding: chunked\r\n") + &a + &b + "0\r\n\r\n"
    };
    let table = [
        ("bytes of the head", head(1_000), head(1_001), 431),
        ("headers", headers(10), headers(11), 431),
        ("bytes of the target", target(200), target(201), 414),
        ("bytes of the body", body(300), body(301), 413),
        ("bytes of the body in chunks", chunks([200, 100]), chunks([200, 101]), 413),
    ];
    assert_eq!(table[0].1.len(), 1_000);
    let server = TestServer::start(pages(config), Does::Echo).await;
    for (name, good, bad, status) in table {
        println!("{name}");
        let mut client = server.connect().await;
        assert_eq!(client.ask(&good).await.status, 200);
        assert_eq!(client.ask(&good).await.status, 200, "the stream stays open");
        let response = client.ask(&bad).await;
        assert_eq!((response.status, response.header("connection")), (status, "close".into()));
        client.expect_end().await;
    }
    // The same for the largest numbers that a length can have, at once and without its body.
    for length in [301, 1_000_000_000_000_000, u64::MAX] {
        let mut client = server.connect().await;
        let response = client.ask(request("POST", "/", &format!("Content-Length: {length}\r\n"))).await;
        assert_eq!(response.status, 413, "{length}");
    }
    server.is_alive().await;
}

#[tokio::test]
async fn requests_follow_each_other_on_one_stream() {
    let server = TestServer::start(pages(Config::default()), Does::Echo).await;
    let bytes = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n\
        POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz\
        \r\n\r\nPOST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nxy\r\n1\r\nz\r\n0\r\nA: b\r\n\r\n\
        GET http://h/d?e=f HTTP/1.1\r\nHost: h\r\n\r\n";
    let told = ["GET /a b\"\"", "POST /b b\"xyz\"", "POST /c b\"xyz\"", "GET http://h/d?e=f b\"\""];

    let mut at_once = server.connect().await;
    at_once.send(bytes).await;
    let mut byte_by_byte = server.connect().await;
    for byte in bytes.bytes() {
        byte_by_byte.send([byte]).await;
    }
    for mut client in [at_once, byte_by_byte] {
        for told in told {
            let response = client.response().await;
            assert_eq!(response.short(), (200, told.into()));
            let length = told.len();
            assert_eq!(response.lines(), [format!("content-length: {length}"), "x-page: yes".into()]);
            assert!(response.header("date").ends_with(" GMT"));
        }
    }
}

#[tokio::test]
async fn persistence_is_as_asked() {
    let server = TestServer::start(pages(Config::default()), Does::Echo).await;
    let table = [
        ("HTTP/1.1", "Host: h\r\n", "", true),
        ("HTTP/1.1", "Host: h\r\nConnection: close\r\n", "close", false),
        ("HTTP/1.1", "Host: h\r\nConnection: x, Close\r\n", "close", false),
        ("HTTP/1.0", "", "close", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", "keep-alive", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", "close", false),
    ];
    for (version, lines, connection, open) in table {
        println!("{version} {lines:?}");
        let mut client = server.connect().await;
        let head = format!("GET /engine.io/?EIO=4&transport=polling&quiet=1 {version}\r\n{lines}\r\n");
        let response = client.ask(&head).await;
        assert_eq!((response.status, response.header("connection").as_str()), (200, connection));
        if open {
            assert_eq!(client.ask(&head).await.status, 200);
        } else {
            client.expect_end().await;
        }
    }
}

#[tokio::test]
async fn head_has_the_length_of_the_body_and_no_body() {
    let server = TestServer::start(pages(Config::default()), Does::Echo).await;
    let mut client = server.connect().await;
    for (target, status, length) in [("/a", 200, "11"), ("/engine.io/?EIO=4&transport=polling", 400, "43")] {
        client.send(request("HEAD", target, "")).await;
        let response = client.response_head().await;
        assert_eq!((response.status, response.header("content-length").as_str()), (status, length));
    }
    assert_eq!(client.ask(request("GET", "/b", "")).await.text(), "GET /b b\"\"");
}

#[tokio::test]
async fn a_client_that_asks_whether_to_continue_is_told() {
    let mut server = TestServer::start(pages(Config::default().max_body_bytes(10)), Does::Echo).await;
    let mut client = server.polling().await;
    for target in ["/a".to_owned(), format!("/engine.io/?{}", client.query())] {
        client.send(request("POST", &target, "Content-Length: 3\r\nExpect: 100-continue\r\n")).await;
        let interim = client.response_head().await;
        assert_eq!((interim.status, interim.headers), (100, vec![]));
        assert_eq!(client.ask("4ab").await.status, 200);
    }
    // Not asked for when the body is here already, nor for one that will be refused.
    let head = request("POST", "/a", "Content-Length: 3\r\nExpect: 100-continue\r\n");
    assert_eq!(client.ask(head + "abc").await.status, 200);
    let head = request("POST", "/a", "Content-Length: 11\r\nExpect: 100-continue\r\n");
    assert_eq!(client.ask(head).await.status, 413);
    client.expect_end().await;
    // HTTP/1.0 knows nothing of it.
    let mut old = server.connect().await;
    old.send("POST /a HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(old.ask("abc").await.status, 200);
}

#[tokio::test]
async fn the_fallback_gets_whole_requests_and_the_default_is_404() {
    let server = TestServer::echo(Config::default()).await;
    for target in ["/", "/engine.io?EIO=4&transport=polling", "/engine.i", "/x/engine.io/", "*"] {
        let response = server.ask(request("GET", target, "")).await;
        assert_eq!(response.short(), (404, String::new()), "{target}");
    }
    // Everything below the path is the endpoint's.
    assert_eq!(server.ask(request("GET", "/engine.io/a/b?c", "")).await.status, 400);

    let builder = Server::builder().fallback(async |request: Request<bytes::Bytes>| {
        let RemoteAddr(address) = *request.extensions().get().unwrap();
        let told = format!("{} {:?}", address.unwrap().ip(), request.headers()["a"]);
        Response::builder().status(418).body(told.into()).unwrap()
    });
    let server = TestServer::start(builder, Does::Echo).await;
    let response = server.ask(request("GET", "/", "A: b\r\n")).await;
    assert_eq!(response.short(), (418, "127.0.0.1 \"b\"".into()));
}

#[tokio::test]
async fn an_upgrade_on_another_path_is_the_fallbacks() {
    let table = [
        (TestServer::echo(Config::default()).await, 404, ""),
        (TestServer::start(pages(Config::default()), Does::Echo).await, 200, "GET /ws b\"\""),
    ];
    for (server, status, body) in table {
        let mut client = server.connect().await;
        let response = client.ask(request("GET", "/ws", UPGRADE_LINES)).await;
        assert_eq!(response.short(), (status, body.into()));
        assert_eq!(response.header("connection"), "close");
        client.expect_end().await;
        server.is_alive().await;
    }
}

#[tokio::test(start_paused = true)]
async fn heads_have_to_come_in_time() {
    let server = TestServer::in_pipes(pages(Config::default()), Does::Echo);
    let since = Instant::now();
    // Nothing at all: closed without a word.
    server.connect().await.expect_end().await;
    assert_eq!(since.elapsed(), Duration::from_secs(10));

    // A hundred clients, each with a byte every second: cut ten seconds after the first, however busy they are.
    let mut clients: Vec<_> = (0..100).map(|_| server.pipe()).collect();
    let since = Instant::now();
    for byte in "GET / HTTP/1.1\r\n".bytes().take(10) {
        for client in &mut clients {
            client.send([byte]).await;
        }
        tokio::time::sleep(Duration::from_millis(999)).await;
    }
    for client in &mut clients {
        assert_eq!(client.response().await.status, 408);
        client.expect_end().await;
    }
    assert!(since.elapsed() < Duration::from_millis(10_100), "{:?}", since.elapsed());
    server.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_idle_between_requests_and_then_has_a_head_timeout_again() {
    let server = TestServer::in_pipes(pages(Config::default()), Does::Echo);
    let mut idle = server.pipe();
    assert_eq!(idle.ask(request("GET", "/", "")).await.status, 200);
    let since = Instant::now();
    idle.expect_end().await;
    assert_eq!(since.elapsed(), Duration::from_secs(60));

    // The end of the time for a head is before that for idling, and behind it.
    for idles in [20, 59] {
        let mut late = server.pipe();
        assert_eq!(late.ask(request("GET", "/", "")).await.status, 200);
        late.expect_silence(Duration::from_secs(idles)).await;
        let since = Instant::now();
        late.send("GET").await;
        assert_eq!(late.response().await.status, 408);
        assert_eq!(since.elapsed(), Duration::from_secs(10));
        late.expect_end().await;
    }
    server.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn bodies_have_to_come_in_time() {
    // A heartbeat would end the connection before.
    let config = Config::default().ping_interval(Duration::from_secs(1_000));
    let mut server = TestServer::in_pipes(pages(config), Does::Echo);
    let mut polling = server.polling().await;
    let query = polling.query();
    for target in ["/".to_owned(), format!("/engine.io/?{query}")] {
        let since = Instant::now();
        polling.send(request("POST", &target, "Content-Length: 100\r\n")).await;
        for _ in 0..29 {
            polling.send("4").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(polling.response().await.status, 408);
        assert_eq!(since.elapsed(), Duration::from_secs(30));
        polling.expect_end().await;
        polling = server.join(&polling.sid).await;
    }
    assert_eq!(server.closed().await, CloseReason::TransportError("data request timed out"));
    server.is_alive().await;
}

#[tokio::test]
async fn a_pending_post_ends_with_its_connection() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    let lines = "Content-Length: 9\r\nExpect: 100-continue\r\n";
    client.send(request("POST", &format!("/engine.io/?{}", client.query()), lines)).await;
    assert_eq!(client.response_head().await.status, 100, "the server waits for the body");
    client.send("4").await;
    server.server.connection(&client.sid).unwrap().close_now();
    assert_eq!(client.whole().await, b"");
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    server.is_alive().await;
}

#[tokio::test]
async fn connections_are_counted_in_all_and_by_address() {
    let get = request("GET", "/", "");
    let server = TestServer::echo(Config::default().max_connections(2)).await;
    let mut first = server.connect().await;
    assert_eq!(first.ask(&get).await.status, 404);
    let mut websocket = server.connect().await;
    websocket.switch("EIO=4&transport=websocket&quiet=1").await;
    server.connect_from("127.0.0.2").await.whole().await;
    assert_eq!(first.ask(&get).await.status, 404, "the first is not disturbed");
    drop(websocket);
    comes_in(&server, "127.0.0.2").await;
    drop(first);
    eventually("both are gone", async || server.server.connection_count() == 0).await;

    let server = TestServer::echo(Config::default().max_connections_per_address(1)).await;
    let mut first = server.connect().await;
    assert_eq!(first.ask(&get).await.status, 404);
    server.connect().await.whole().await;
    let mut other = server.connect_from("127.0.0.2").await;
    assert_eq!(other.ask(&get).await.status, 404);
    drop(first);
    comes_in(&server, "127.0.0.1").await;
}

/// Waits until the server has noticed that a place is free.
async fn comes_in(server: &TestServer, ip: &str) {
    eventually("a place is free", async || {
        let mut client = server.connect_from(ip).await;
        client.send_until_broken(request("GET", "/", "Connection: close\r\n").as_bytes()).await;
        client.whole().await.starts_with(b"HTTP/1.1 404 ")
    })
    .await;
}

/// A client that sends requests and reads no answers is not read either.
#[tokio::test(start_paused = true)]
async fn pipelined_requests_wait_until_replies_are_taken() {
    const REQUESTS: usize = 20_000;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let builder = Server::builder().fallback(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Response::new(vec![b'x'; 1_000].into()) }
    });
    let server = TestServer::in_pipes(builder, Does::Echo);
    let mut client = server.pipe();
    let requests = request("GET", "/", "").repeat(REQUESTS).into_bytes();
    let sent = client.send_until_blocked(&requests, Duration::from_secs(1)).await;
    assert!(sent < 4 * PIPE, "the server should stop reading: {sent}");
    assert!(asked.load(Ordering::Relaxed) <= PIPE / 1_000 + 1);
    server.is_alive().await;

    let (mut reader, mut writer) = client.split();
    let writing = tokio::spawn(async move { writer.send(&requests[sent..]).await });
    for _ in 0..REQUESTS {
        assert_eq!(reader.response().await.body.len(), 1_000);
    }
    writing.await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), REQUESTS);
}

/// Requests behind a poll that waits are kept only up to the size of one head.
#[tokio::test(start_paused = true)]
async fn requests_behind_a_pending_poll_wait() {
    let mut server = TestServer::in_pipes(Server::builder(), Does::Echo);
    let mut client = server.polling().await;
    let polls = get(&client.query()).repeat(20_000).into_bytes();
    let sent = client.send_until_blocked(&polls, Duration::from_secs(1)).await;
    assert!(sent < 3 * PIPE, "{sent}");
    server.is_alive().await;

    // They were one after the other all the same, and none overlaps with another.
    let mut other = server.join(&client.sid).await;
    for _ in 0..3 {
        assert_eq!(other.post("4a").await.text(), "ok");
        assert_eq!(client.response().await.text(), "4a");
    }
}

#[tokio::test]
async fn a_client_that_sends_too_much_can_read_the_answer() {
    let mut server = TestServer::start(pages(Config::default()), Does::Echo).await;
    let mut polling = server.polling().await;
    let body = vec![b'4'; 2_000_000];
    let chunked = |target: &str| {
        let mut bytes = request("POST", target, "Transfer-Encoding: chunked\r\n").into_bytes();
        for chunk in body.chunks(10_000) {
            bytes.extend_from_slice(b"2710\r\n");
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    };
    let endpoint = format!("/engine.io/?{}", polling.query());
    let lengths = |target: &str| {
        let head = request("POST", target, &format!("Content-Length: {}\r\n", body.len()));
        [head.as_bytes(), &body[..]].concat()
    };
    let requests = [lengths("/"), chunked("/"), lengths(&endpoint), chunked(&endpoint)];
    for request in requests {
        let mut client = server.connect().await;
        // All of it before the answer is looked at.
        client.send(&request).await;
        let response = client.response().await;
        assert_eq!(response.short(), (413, String::new()));
        client.expect_end().await;
    }
    // The connection has not suffered.
    assert_eq!(polling.post("4still here").await.text(), "ok");
    assert_eq!(server.message().await, "still here".into());
    assert_eq!(polling.poll().await.text(), "4still here");
    server.nothing_seen();
    server.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_refusal_is_bounded_in_bytes_and_time() {
    let server = TestServer::in_pipes(Server::builder(), Does::Echo);
    let head = request("POST", "/", "Content-Length: 99999999999\r\n");
    let mut endless = server.pipe();
    assert_eq!(endless.ask(&head).await.status, 413);
    let sent = endless.send_until_broken(&vec![b'x'; 64 << 20]).await;
    assert!((2 << 20..32 << 20).contains(&sent), "{sent}");

    let mut slow = server.pipe();
    assert_eq!(slow.ask(&head).await.status, 413);
    let since = Instant::now();
    while slow.send_until_broken(b"x").await == 1 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    server.is_alive().await;
}
