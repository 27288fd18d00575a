//! Long-polling as raw bytes: exact answers, what ends the connection, and what does not.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod support;

use std::io::Read;

use engineio::{CloseReason, Config, Message, Outgoing, Server};
use flate2::read::{GzDecoder, ZlibDecoder};
use support::{Client, Does, TestServer, get, get_with, post, post_with, request, sid_of};

const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// The connection is no more; other clients are served.
async fn is_over(server: &mut TestServer, client: &Client, reason: CloseReason) {
    assert_eq!(server.closed().await, reason);
    let mut next = server.join(&client.sid).await;
    assert_eq!(next.poll().await.short(), (400, UNKNOWN.into()));
    assert_eq!(next.post("4a").await.short(), (400, UNKNOWN.into()));
    server.is_alive().await;
}

/// The connection echoes.
async fn lives(server: &mut TestServer, client: &Client) {
    let mut next = server.join(&client.sid).await;
    assert_eq!(next.post("4still here").await.short(), (200, "ok".into()));
    assert_eq!(server.message().await, "still here".into());
    assert_eq!(next.poll().await.short(), (200, "4still here".into()));
}

#[tokio::test]
async fn answers_are_those_of_the_official_server() {
    let server = TestServer::echo(Config::default()).await;
    let mut client = server.connect().await;
    let opened = client.ask(get("EIO=4&transport=polling")).await;
    client.sid = sid_of(&opened.text());
    let body = format!(
        r#"0{{"sid":"{}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#,
        client.sid
    );
    assert_eq!(opened.short(), (200, body.clone()));
    let payload_lines = |length: usize| {
        [
            "cache-control: no-store".to_owned(),
            format!("content-length: {length}"),
            "content-type: text/plain; charset=UTF-8".into(),
        ]
    };
    assert_eq!(opened.lines(), payload_lines(body.len()));

    let posted = client.post("4\u{20ac}").await;
    assert_eq!(posted.short(), (200, "ok".into()));
    assert_eq!(posted.lines(), ["cache-control: no-store", "content-length: 2", "content-type: text/html"]);
    let polled = client.poll().await;
    assert_eq!(polled.short(), (200, "4\u{20ac}".into()));
    assert_eq!(polled.lines(), payload_lines(4));
}

#[tokio::test]
async fn old_browsers_are_told_not_to_filter() {
    let mut server = TestServer::echo(Config::default()).await;
    let client = server.polling().await;
    let explorers = [
        "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko",
        "Mozilla/4.0 (compatible;MSIE 8.0)",
    ];
    for (agent, value) in explorers.map(|agent| (agent, "0")).into_iter().chain([("Firefox", "")]) {
        let line = format!("User-Agent: {agent}\r\n");
        let posted = server.ask(post_with(&client.query(), &line, "4a")).await;
        let polled = server.ask(get_with(&client.query(), &line)).await;
        assert_eq!([posted, polled].map(|answer| answer.header("x-xss-protection")), [value; 2], "{agent}");
    }
}

#[tokio::test]
async fn payloads_carry_many_packets_and_binary_as_base64() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    assert_eq!(client.post("4a\x1ebAQIDBA==\x1e6\x1e3\x1e3junk\x1e4\x1eb").await.text(), "ok");
    let expected = ["a".into(), Message::from(vec![1, 2, 3, 4]), "".into(), Message::from(vec![])];
    for message in expected {
        assert_eq!(server.message().await, message);
    }
    assert_eq!(client.poll().await.text(), "4a\x1ebAQIDBA==\x1e4\x1eb");
    // The type of the body is of no matter, but for one.
    for kind in ["text/plain;charset=UTF-8", "Application/Octet-Stream", "application/octet-stream; a=b", "x"]
    {
        let line = format!("Content-Type: {kind}\r\n");
        assert_eq!(client.ask(post_with(&client.query(), &line, "4a")).await.text(), "ok", "{kind}");
        assert_eq!(client.poll().await.text(), "4a");
    }
}

#[tokio::test]
async fn text_may_be_cut_anywhere() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    let text = "4\u{20ac}\u{1f600}\u{e9}";
    let head = |lines: &str| request("POST", &format!("/engine.io/?{}", client.query()), lines);
    let (chunked, length) =
        (head("Transfer-Encoding: chunked\r\n"), head(&format!("Content-Length: {}\r\n", text.len())));
    for chunks in [true, false] {
        client.send(if chunks { &chunked } else { &length }).await;
        for byte in text.bytes() {
            if chunks {
                client.send(b"1\r\n").await;
            }
            client.send([byte]).await;
            if chunks {
                client.send(b"\r\n").await;
            }
        }
        if chunks {
            client.send("0\r\n\r\n").await;
        }
        assert_eq!(client.response().await.text(), "ok");
        assert_eq!(client.poll().await.text(), text);
    }
}

#[tokio::test]
async fn other_methods_are_errors_that_disturb_nothing() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    let target = format!("/engine.io/?{}", client.query());
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "get"] {
        let lines = if method == "PUT" { "Content-Length: 2\r\n" } else { "" };
        let body = if method == "PUT" { "4a" } else { "" };
        let response = client.ask(request(method, &target, lines) + body).await;
        assert_eq!(response.short(), (500, String::new()), "{method}");
    }
    lives(&mut server, &client).await;
    server.nothing_seen();
}

#[tokio::test]
async fn two_polls_at_once_end_the_connection() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut first = server.polling().await;
    first.send_poll().await;
    let mut second = server.join(&first.sid).await;
    until_polled(&server).await;
    assert_eq!(second.poll().await.short(), (400, String::new()));
    assert_eq!(first.response().await.short(), (200, "1".into()));
    is_over(&mut server, &first, CloseReason::TransportError("overlap from client")).await;
}

/// What the server has been sent before this, it has read.
async fn until_polled(server: &TestServer) {
    server.is_alive().await;
}

#[tokio::test]
async fn two_posts_at_once_end_the_connection() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut first = server.polling().await;
    let lines = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    first.send(request("POST", &format!("/engine.io/?{}", first.query()), lines)).await;
    assert_eq!(first.response_head().await.status, 100);
    let mut second = server.join(&first.sid).await;
    assert_eq!(second.post("4a").await.short(), (400, String::new()));
    assert_eq!(first.whole().await, b"", "the first is not answered at all");
    is_over(&mut server, &first, CloseReason::TransportError("data request overlap from client")).await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_connection_at_once() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut polling = server.polling().await;
    let mut aborted = server.join(&polling.sid).await;
    aborted.send_poll().await;
    until_polled(&server).await;
    drop(aborted);
    is_over(&mut server, &polling, CloseReason::TransportError("poll connection closed prematurely")).await;

    polling = server.polling().await;
    let mut aborted = server.join(&polling.sid).await;
    aborted.send(request("POST", &format!("/engine.io/?{}", polling.query()), "Content-Length: 5\r\n")).await;
    aborted.send("4a").await;
    drop(aborted);
    let reason = CloseReason::TransportError("data request connection closed prematurely");
    is_over(&mut server, &polling, reason).await;
}

#[tokio::test]
async fn a_stream_that_ends_between_requests_is_no_end_of_the_connection() {
    let mut server = TestServer::echo(Config::default()).await;
    let client = server.polling().await;
    for _ in 0..3 {
        let line = "Connection: close\r\n";
        let mut posting = server.connect().await;
        assert_eq!(posting.ask(post_with(&client.query(), line, "4a")).await.text(), "ok");
        posting.expect_end().await;
        assert_eq!(server.message().await, "a".into());
        let mut polling = server.connect().await;
        assert_eq!(polling.ask(get_with(&client.query(), line)).await.text(), "4a");
        polling.expect_end().await;
    }
    lives(&mut server, &client).await;
}

#[tokio::test]
async fn a_post_that_is_too_large_is_refused_and_the_connection_lives() {
    let mut server = TestServer::echo(Config::default().max_payload(100)).await;
    let client = server.polling().await;
    let target = format!("/engine.io/?{}", client.query());
    let length = |length: usize| {
        request("POST", &target, &format!("Content-Length: {length}\r\n")) + "4" + &"x".repeat(length - 1)
    };
    let chunked = |length: usize| {
        let head = request("POST", &target, "Transfer-Encoding: chunked\r\n");
        format!("{head}{length:x}\r\n4{}\r\n0\r\n\r\n", "x".repeat(length - 1))
    };
    for (good, bad) in [(length(100), length(101)), (chunked(100), chunked(101))] {
        assert_eq!(server.ask(good).await.short(), (200, "ok".into()));
        assert_eq!(server.message().await.len(), 99);
        let mut bad_client = server.connect().await;
        assert_eq!(bad_client.ask(bad).await.short(), (413, String::new()));
        bad_client.expect_end().await;
        assert_eq!(server.join(&client.sid).await.poll().await.body.len(), 100);
        lives(&mut server, &client).await;
    }
}

#[tokio::test]
async fn bad_posts_end_the_connection() {
    let good: &[&str] = &["a", "b"];
    let parse = CloseReason::ParseError;
    let table: &[(&str, &[u8], &[&str], CloseReason)] = &[
        ("nothing", b"", &[], parse("empty packet")),
        ("separator behind", b"4a\x1e4b\x1e", good, parse("empty packet")),
        ("separator before", b"\x1e4a", &[], parse("empty packet")),
        ("separators only", b"\x1e\x1e", &[], parse("empty packet")),
        ("unknown type", b"4a\x1e4b\x1e7\x1e4c", good, parse("unknown packet type")),
        ("no type", b"abc", &[], parse("unknown packet type")),
        ("payload of revision 3", b"2:4a", &[], CloseReason::TransportError("invalid heartbeat direction")),
        ("invalid UTF-8", b"4a\x1e4b\x1e4\xff", good, parse("invalid UTF-8 in a text packet")),
        ("surrogate", b"4\xed\xa0\x80", &[], parse("invalid UTF-8 in a text packet")),
        ("cut UTF-8", b"4\xe2\x82", &[], parse("invalid UTF-8 in a text packet")),
        (
            "base64 with a bad character",
            b"4a\x1e4b\x1ebAQI*",
            good,
            parse("invalid base64 in a binary packet"),
        ),
        ("base64 without padding", b"bAQIDBA", &[], parse("invalid base64 in a binary packet")),
        ("base64 of URLs", b"b-_-_", &[], parse("invalid base64 in a binary packet")),
        ("base64 with a line end", b"bAQID\nBA==", &[], parse("invalid base64 in a binary packet")),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0", &[], parse("invalid UTF-8 in a text packet")),
        ("open packet", b"4a\x1e4b\x1e0{}", good, parse("open packet after the first")),
        ("upgrade packet", b"5", &[], parse("upgrade packet outside of an upgrade")),
    ];
    let mut server = TestServer::echo(Config::default()).await;
    for (name, body, messages, reason) in table {
        println!("{name}");
        let mut client = server.polling().await;
        let status = if matches!(reason, CloseReason::ParseError(_)) { 400 } else { 200 };
        assert_eq!(client.post(body).await.status, status);
        for message in *messages {
            assert_eq!(server.message().await, (*message).into());
        }
        is_over(&mut server, &client, *reason).await;
    }
}

#[tokio::test]
async fn binary_posts_are_refused() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    let bytes = post_with(&client.query(), "Content-Type: application/octet-stream\r\n", "4a");
    assert_eq!(client.ask(bytes).await.short(), (400, String::new()));
    is_over(&mut server, &client, CloseReason::TransportError("invalid content")).await;
}

#[tokio::test]
async fn a_ping_of_the_client_ends_the_connection() {
    let mut server = TestServer::echo(Config::default()).await;
    for ping in ["2", "2probe", "2\x1e4never seen"] {
        let mut client = server.polling().await;
        assert_eq!(client.post(ping).await.short(), (200, "ok".into()));
        is_over(&mut server, &client, CloseReason::TransportError("invalid heartbeat direction")).await;
    }
}

#[tokio::test]
async fn a_hundred_thousand_pongs_are_harmless() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    let body = ["3"; 100_000].join("\x1e");
    assert_eq!(client.post(body).await.text(), "ok");
    lives(&mut server, &client).await;
}

#[tokio::test]
async fn the_client_closes() {
    let mut server = TestServer::echo(Config::default()).await;
    // A poll that waits is released with `6`; what follows the `1` is not looked at.
    for body in ["1", "1\x1e4never seen", "1\x1ejunk"] {
        println!("{body:?}");
        let mut client = server.polling().await;
        let mut polling = server.join(&client.sid).await;
        polling.send_poll().await;
        until_polled(&server).await;
        assert_eq!(client.post(body).await.short(), (200, "ok".into()));
        assert_eq!(polling.response().await.short(), (200, "6".into()));
        is_over(&mut server, &client, CloseReason::TransportClose).await;
    }
    let mut client = server.polling().await;
    assert_eq!(client.post("4bye\x1e1").await.short(), (200, "ok".into()));
    assert_eq!(server.message().await, "bye".into());
    is_over(&mut server, &client, CloseReason::TransportClose).await;
}

#[tokio::test]
async fn one_answer_carries_all_that_is_queued() {
    let mut server = TestServer::start(Server::builder(), Does::Nothing).await;
    let mut client = server.polling().await;
    let connection = server.server.connection(&client.sid).unwrap();
    let numbers: Vec<_> = (0..1_000).map(|number| number.to_string()).collect();
    for number in &numbers {
        connection.try_send(number.clone()).unwrap();
    }
    let packets: Vec<_> = numbers.iter().map(|number| format!("4{number}")).collect();
    assert_eq!(client.poll().await.text(), packets.join("\x1e"));
    // And a poll that waits is answered with the next message.
    client.send_poll().await;
    until_polled(&server).await;
    connection.try_send("next").unwrap();
    assert_eq!(client.response().await.text(), "4next");
}

#[tokio::test]
async fn large_answers_are_compressed_as_accepted() {
    fn gunzip(body: &[u8]) -> String {
        let mut text = String::new();
        GzDecoder::new(body).read_to_string(&mut text).unwrap();
        text
    }
    fn inflate(body: &[u8]) -> String {
        let mut text = String::new();
        ZlibDecoder::new(body).read_to_string(&mut text).unwrap();
        text
    }
    fn plain(body: &[u8]) -> String {
        String::from_utf8(body.to_vec()).unwrap()
    }
    type Decode = fn(&[u8]) -> String;
    let table: &[(usize, &str, &str, Decode)] = &[
        (1_023, "gzip, deflate", "", plain),
        (1_024, "gzip, deflate", "gzip", gunzip),
        (1_024, "deflate", "deflate", inflate),
        (1_024, "gzip;q=0.1, deflate", "deflate", inflate),
        (1_024, "*", "gzip", gunzip),
        (1_024, "gzip;q=0", "", plain),
        (1_024, "br", "", plain),
        (1_024, "", "", plain),
    ];
    let mut server = TestServer::start(Server::builder(), Does::Nothing).await;
    let mut client = server.polling().await;
    let connection = server.server.connection(&client.sid).unwrap();
    let get = |accept: &str| get_with(&client.query(), &format!("Accept-Encoding: {accept}\r\n"));
    let requests: Vec<_> = table.iter().map(|(_, accept, ..)| get(accept)).collect();
    let gzip = get("gzip");
    for ((length, accept, encoding, decode), request) in table.iter().zip(requests) {
        println!("{length} {accept:?}");
        let text = "x".repeat(length - 1);
        connection.try_send(text.clone()).unwrap();
        let response = client.ask(request).await;
        assert_eq!(response.header("content-encoding"), *encoding);
        assert_eq!(response.header("vary"), "");
        assert_eq!(decode(&response.body), format!("4{text}"));
    }
    // Bytes count, not characters.
    connection.try_send("\u{20ac}".repeat(341)).unwrap();
    assert_eq!(client.ask(&gzip).await.header("content-encoding"), "gzip");
    // Not if the sender does not want it; but with one packet that does.
    let large = Outgoing::from("x".repeat(2_000)).uncompressed();
    connection.try_send(large.clone()).unwrap();
    assert_eq!(client.ask(&gzip).await.header("content-encoding"), "");
    connection.try_send_all([large, "small".into()]).unwrap();
    assert_eq!(client.ask(&gzip).await.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn compression_has_a_threshold_or_is_off() {
    for (threshold, encoding) in [(Some(0), "gzip"), (None, "")] {
        let server = TestServer::echo(Config::default().http_compression(threshold)).await;
        let request = get_with("EIO=4&transport=polling", "Accept-Encoding: gzip\r\n");
        assert_eq!(server.ask(request).await.header("content-encoding"), encoding);
    }
}

#[tokio::test]
async fn a_poll_with_a_body_is_a_poll() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    client.post("4a").await;
    let target = format!("/engine.io/?{}", client.query());
    client.send(request("GET", &target, "Content-Length: 5\r\n") + "4junk").await;
    assert_eq!(client.response().await.text(), "4a");
    server.message().await;
    lives(&mut server, &client).await;
}

#[tokio::test]
async fn an_initial_message_and_a_cookie_come_with_the_open_packet() {
    let config = Config::default().initial_packet("welcome").cookie(engineio::cookie::Cookie::default());
    let server = TestServer::echo(config).await;
    let mut client = server.connect().await;
    let response = client.ask(get("EIO=4&transport=polling")).await;
    let sid = sid_of(&response.text());
    assert!(response.text().ends_with("}\x1e4welcome"), "{response:?}");
    assert_eq!(response.header("set-cookie"), format!("io={sid}; Path=/; HttpOnly; SameSite=Lax"));
    client.sid = sid;
    assert_eq!(client.ask(post(&client.query(), "4a")).await.header("set-cookie"), "");
    let mut websocket = server.connect().await;
    assert_eq!(websocket.switch("EIO=4&transport=websocket").await.header("set-cookie"), "");
    sid_of(&websocket.text().await);
    assert_eq!(websocket.text().await, "4welcome");
}
