//! The upgrade from polling to a WebSocket: probe, switch, order of messages, and all that can go wrong.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod support;

use std::time::Duration;

use engineio::{CloseReason, Config, Server, Transport};
use support::{
    BINARY, CLOSE, Client, Does, Frame, TEXT, TestServer, get, masked, masked_part, post, request, sid_of,
    upgrade,
};

const MISMATCH: &str = r#"{"code":3,"message":"Bad request"}"#;

fn text(packet: &str) -> Vec<u8> {
    masked(TEXT, packet)
}

/// Opens a WebSocket for the connection; nothing is probed yet.
async fn second(server: &TestServer, client: &Client) -> Client {
    let mut websocket = server.join(&client.sid).await;
    websocket.switch(&format!("EIO=4&transport=websocket&sid={}", client.sid)).await;
    websocket
}

async fn probed(server: &TestServer, client: &Client) -> Client {
    let mut websocket = second(server, client).await;
    websocket.send(text("2probe")).await;
    assert_eq!(websocket.text().await, "3probe");
    websocket
}

async fn upgraded(server: &mut TestServer, client: &Client) -> Client {
    let mut websocket = probed(server, client).await;
    websocket.send(text("5")).await;
    server.upgraded().await;
    websocket
}

/// The connection echoes over polling.
async fn polls(server: &mut TestServer, client: &Client) {
    let mut next = server.join(&client.sid).await;
    assert_eq!(next.post("4polling").await.text(), "ok");
    assert_eq!(next.poll().await.text(), "4polling");
    assert_eq!(server.message().await, "polling".into());
    assert_eq!(server.server.connection(&client.sid).unwrap().transport(), Transport::Polling);
}

/// The connection echoes over its WebSocket, and only there.
async fn uses(server: &mut TestServer, websocket: &mut Client) {
    websocket.send(text("4websocket")).await;
    assert_eq!(websocket.text().await, "4websocket");
    assert_eq!(server.message().await, "websocket".into());
    assert_eq!(server.server.connection(&websocket.sid).unwrap().transport(), Transport::WebSocket);
    assert_eq!(server.ask(get(&websocket.query())).await.short(), (400, MISMATCH.into()));
    assert_eq!(server.ask(post(&websocket.query(), "4a")).await.short(), (400, MISMATCH.into()));
}

#[tokio::test]
async fn a_probe_a_released_poll_and_the_switch() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    client.send_poll().await;
    server.is_alive().await;
    let mut websocket = probed(&server, &client).await;
    assert_eq!(client.response().await.short(), (200, "6".into()));
    // Polls that come before the switch are released at once, so the client is never stuck.
    assert_eq!(client.poll().await.short(), (200, "6".into()));
    // Posts are still taken, and answered by polling.
    assert_eq!(client.post("4late").await.text(), "ok");
    assert_eq!(server.message().await, "late".into());
    assert_eq!(client.poll().await.short(), (200, "4late".into()));
    websocket.send(text("5")).await;
    server.upgraded().await;
    uses(&mut server, &mut websocket).await;
    server.is_alive().await;
}

#[tokio::test]
async fn frames_may_share_a_segment_with_the_handshake() {
    let mut server = TestServer::echo(Config::default()).await;
    let client = server.polling().await;
    let mut websocket = server.join(&client.sid).await;
    let handshake = upgrade(&format!("EIO=4&transport=websocket&sid={}", client.sid)).into_bytes();
    let frames = [text("2probe"), text("5"), text("4a"), masked(BINARY, "b")].concat();
    websocket.send([handshake, frames].concat()).await;
    assert_eq!(websocket.response_head().await.status, 101);
    server.upgraded().await;
    assert_eq!(server.message().await, "a".into());
    assert_eq!(server.message().await, b"b".to_vec().into());
    // An answer to the probe that is not needed any more may be left out.
    let first = websocket.text().await;
    let echo = if first == "3probe" { websocket.text().await } else { first };
    assert_eq!(echo, "4a");
    assert_eq!(websocket.frame().await, Frame { opcode: BINARY, payload: b"b".into() });
    uses(&mut server, &mut websocket).await;
}

/// A client that upgrades polls no more, and goes on only when its POST has ended.
#[tokio::test]
async fn a_full_outbox_does_not_hold_back_the_post_before_the_switch() {
    let mut server = TestServer::echo(Config::default().max_outbox_bytes(10_000)).await;
    let mut client = server.polling().await;
    let mut websocket = probed(&server, &client).await;
    let connection = server.server.connection(&client.sid).unwrap();
    let message = "x".repeat(1_000);
    let mut taken = 0;
    while connection.try_send(message.clone()).is_ok() {
        taken += 1;
    }
    assert_eq!(client.post("4one\x1e4two").await.text(), "ok");
    websocket.send(text("5")).await;
    server.upgraded().await;
    for _ in 0..taken {
        assert_eq!(websocket.text().await, format!("4{message}"));
    }
    for expected in ["one", "two"] {
        assert_eq!(websocket.text().await, format!("4{expected}"));
    }
}

#[tokio::test]
async fn every_probe_is_answered() {
    let mut server = TestServer::echo(Config::default()).await;
    let client = server.polling().await;
    let mut websocket = second(&server, &client).await;
    for _ in 0..3 {
        websocket.send(text("2probe")).await;
        assert_eq!(websocket.text().await, "3probe");
    }
    websocket.send(text("5")).await;
    server.upgraded().await;
    uses(&mut server, &mut websocket).await;
}

/// What is wrong before the switch costs the WebSocket and not the connection.
#[tokio::test]
async fn a_failed_probe_leaves_the_connection_on_polling() {
    let table: &[(&str, Vec<u8>, Option<u16>)] = &[
        ("switch without a probe", text("5"), None),
        ("message instead of a probe", text("4a"), None),
        ("binary message instead of a probe", masked(BINARY, "a"), None),
        ("ping that is no probe", text("2"), None),
        ("probe of another name", text("2probes"), None),
        ("pong", text("3probe"), None),
        ("noop", text("6"), None),
        ("close packet", text("1"), None),
        ("open packet", text("0"), None),
        ("unknown packet", text("x"), None),
        ("nothing", text(""), None),
        ("broken frame", masked_part(0xf1, "2probe"), Some(1002)),
        ("bad text", masked(TEXT, b"2\xff"), Some(1007)),
        ("close frame", masked(CLOSE, [3, 232]), Some(1000)),
    ];
    let mut server = TestServer::echo(Config::default()).await;
    let client = server.polling().await;
    for (name, bytes, code) in table {
        for after_probe in [false, true] {
            if after_probe && name.contains("without a probe") {
                continue;
            }
            println!("{name}, {after_probe}");
            let mut websocket =
                if after_probe { probed(&server, &client).await } else { second(&server, &client).await };
            websocket.send(bytes).await;
            websocket.expect_close_frame(*code).await;
            polls(&mut server, &client).await;
        }
    }
    for after_probe in [false, true] {
        let websocket =
            if after_probe { probed(&server, &client).await } else { second(&server, &client).await };
        drop(websocket);
        polls(&mut server, &client).await;
    }
    server.nothing_seen();
    // And another attempt is welcome, once the server has noticed the end of the last.
    support::eventually("another upgrade", async || {
        let mut websocket = second(&server, &client).await;
        websocket.send(text("2probe")).await;
        let frame = websocket.frame().await;
        drop(websocket);
        frame.payload == b"3probe"
    })
    .await;
    server.is_alive().await;
}

#[tokio::test]
async fn a_second_websocket_is_closed_and_the_first_goes_on() {
    let mut server = TestServer::echo(Config::default()).await;
    let client = server.polling().await;
    let mut first = second(&server, &client).await;
    let mut other = second(&server, &client).await;
    other.expect_close_frame(None).await;
    first.send(text("2probe")).await;
    assert_eq!(first.text().await, "3probe");
    let mut other = second(&server, &client).await;
    other.send(text("2probe")).await;
    other.expect_close_frame(None).await;
    first.send(text("5")).await;
    server.upgraded().await;
    // Once the first is established it is refused before the 101.
    let query = format!("EIO=4&transport=websocket&sid={}", client.sid);
    assert_eq!(server.ask(upgrade(&query)).await.short(), (400, "Bad request".into()));
    uses(&mut server, &mut first).await;
    server.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_does_not_probe_or_switch_in_time_is_closed() {
    let mut server = TestServer::in_pipes(Server::builder(), Does::Echo);
    let client = server.polling().await;
    for probes in [false, true] {
        let since = tokio::time::Instant::now();
        let mut websocket =
            if probes { probed(&server, &client).await } else { second(&server, &client).await };
        websocket.expect_close_frame(None).await;
        assert_eq!(since.elapsed(), Duration::from_secs(10));
        polls(&mut server, &client).await;
    }
    server.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_in_the_last_moment_stays_and_heartbeats_go_on() {
    let mut server = TestServer::in_pipes(Server::builder(), Does::Echo);
    let client = server.polling().await;
    let opened = tokio::time::Instant::now();
    let mut websocket = probed(&server, &client).await;
    websocket.expect_silence(Duration::from_millis(9_999)).await;
    websocket.send(text("5")).await;
    server.upgraded().await;
    for round in 1..=3 {
        assert_eq!(websocket.text().await, "2");
        assert_eq!(opened.elapsed(), Duration::from_secs(25 * round), "the heartbeat is not disturbed");
        websocket.send(text("3")).await;
    }
    uses(&mut server, &mut websocket).await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_before_the_switch_may_be_answered_after_it() {
    let mut server = TestServer::in_pipes(Server::builder(), Does::Echo);
    let mut client = server.polling().await;
    assert_eq!(client.poll().await.text(), "2");
    let mut websocket = upgraded(&mut server, &client).await;
    websocket.send(text("3")).await;
    let since = tokio::time::Instant::now();
    assert_eq!(websocket.text().await, "2");
    assert_eq!(since.elapsed(), Duration::from_secs(25));
}

/// The application sends all the time while the client upgrades: nothing is lost, doubled, or out of order.
#[tokio::test]
async fn messages_keep_their_order_across_the_switch() {
    let mut server = TestServer::start(Server::builder(), Does::Nothing).await;
    for polls_before in 0..6_usize {
        let mut client = server.polling().await;
        let connection = server.server.connection(&client.sid).unwrap();
        let mut sent = 0;
        let mut send = || {
            for _ in 0..3 {
                connection.try_send(sent.to_string()).unwrap();
                sent += 1;
            }
        };
        let mut received = Vec::new();
        let mut take = |payload: String| {
            received.extend(
                payload.split('\x1e').filter_map(|packet| packet.strip_prefix('4')?.parse::<u32>().ok()),
            );
        };
        send();
        for _ in 0..polls_before.min(2) {
            take(client.poll().await.text());
            send();
        }
        let mut websocket = probed(&server, &client).await;
        send();
        for _ in 0..polls_before.saturating_sub(2) {
            take(client.poll().await.text());
            send();
        }
        websocket.send(text("5")).await;
        send();
        server.upgraded().await;
        send();
        connection.close();
        while let Frame { opcode: TEXT, payload } = websocket.frame().await {
            take(String::from_utf8(payload).unwrap());
        }
        assert_eq!(server.closed().await, CloseReason::ForcedClose);
        assert_eq!(received, (0..sent).collect::<Vec<_>>(), "after {polls_before} polls");
    }
}

#[tokio::test]
async fn what_is_posted_across_the_switch() {
    let mut server = TestServer::echo(Config::default()).await;
    let client = server.polling().await;
    // A post whose body is on its way while the client switches, against the rules.
    let mut posting = server.join(&client.sid).await;
    let lines = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    posting.send(request("POST", &format!("/engine.io/?{}", client.query()), lines)).await;
    assert_eq!(posting.response_head().await.status, 100);
    let mut websocket = upgraded(&mut server, &client).await;
    assert_eq!(posting.ask("4lost").await.short(), (400, String::new()));
    uses(&mut server, &mut websocket).await;
    server.nothing_seen();
    server.is_alive().await;
}

#[tokio::test]
async fn a_poll_that_waits_at_the_switch_is_released() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    client.send_poll().await;
    server.is_alive().await;
    let mut websocket = second(&server, &client).await;
    websocket.send([text("2probe"), text("5")].concat()).await;
    assert_eq!(client.response().await.short(), (200, "6".into()));
    server.upgraded().await;
    websocket.send(text("4a")).await;
    // An answer to the probe that is not needed any more may be left out.
    let first = websocket.text().await;
    let echo = if first == "3probe" { websocket.text().await } else { first };
    assert_eq!(echo, "4a");
    server.message().await;
    uses(&mut server, &mut websocket).await;
}

#[tokio::test]
async fn a_client_that_aborts_its_poll_while_probing_is_gone() {
    let mut server = TestServer::echo(Config::default()).await;
    let client = server.polling().await;
    let mut websocket = second(&server, &client).await;
    let mut polling = server.join(&client.sid).await;
    polling.send_poll().await;
    server.is_alive().await;
    drop(polling);
    assert_eq!(server.closed().await, CloseReason::TransportError("poll connection closed prematurely"));
    websocket.expect_close_frame(None).await;
}

#[tokio::test]
async fn a_close_while_probing_ends_both() {
    let mut server = TestServer::echo(Config::default()).await;
    // At once.
    let client = server.polling().await;
    let mut websocket = probed(&server, &client).await;
    server.server.connection(&client.sid).unwrap().close_now();
    websocket.expect_close_frame(None).await;
    assert_eq!(server.closed().await, CloseReason::ForcedClose);

    // In good order: whatever comes first, the switch or a poll, carries it.
    let client = server.polling().await;
    let mut websocket = probed(&server, &client).await;
    let connection = server.server.connection(&client.sid).unwrap();
    connection.try_send("last").unwrap();
    connection.close();
    websocket.send(text("5")).await;
    assert_eq!(websocket.text().await, "4last");
    websocket.expect_close_frame(None).await;
    server.upgraded().await;
    assert_eq!(server.closed().await, CloseReason::ForcedClose);

    let mut client = server.polling().await;
    let mut websocket = probed(&server, &client).await;
    server.server.connection(&client.sid).unwrap().close();
    assert_eq!(client.poll().await.text(), "6\x1e1");
    websocket.expect_close_frame(None).await;
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    server.is_alive().await;
}

#[tokio::test]
async fn a_client_close_over_polling_ends_the_probe_too() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.polling().await;
    let mut websocket = probed(&server, &client).await;
    assert_eq!(client.post("1").await.text(), "ok");
    websocket.expect_close_frame(None).await;
    assert_eq!(server.closed().await, CloseReason::TransportClose);
}

#[tokio::test]
async fn an_upgrade_that_was_not_offered_is_let_through() {
    let mut server = TestServer::echo(Config::default().allow_upgrades(false)).await;
    let response = server.ask(get("EIO=4&transport=polling")).await.text();
    assert!(response.contains(r#""upgrades":[]"#), "{response}");
    server.opened().await;
    let mut client = server.connect().await;
    client.sid = sid_of(&response);
    let mut websocket = upgraded(&mut server, &client).await;
    uses(&mut server, &mut websocket).await;
}

#[tokio::test]
async fn a_lost_websocket_after_the_switch_ends_the_connection() {
    let mut server = TestServer::echo(Config::default()).await;
    let client = server.polling().await;
    drop(upgraded(&mut server, &client).await);
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert_eq!(server.ask(get(&client.query())).await.status, 400);
}
