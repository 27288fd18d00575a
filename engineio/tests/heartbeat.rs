//! The heartbeat, to the millisecond, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod support;

use std::time::Duration;

use engineio::{CloseReason, Config, Server};
use support::{CLOSE, Client, Does, Frame, PING, TEXT, TestServer, get, masked};
use tokio::time::{Instant, sleep};

const INTERVAL: Duration = Duration::from_secs(25);
const TIMEOUT: Duration = Duration::from_secs(20);

fn start(config: Config, does: Does) -> TestServer {
    TestServer::in_pipes(Server::builder().config(config), does)
}

fn text(packet: &str) -> Vec<u8> {
    masked(TEXT, packet)
}

#[tokio::test(start_paused = true)]
async fn pings_come_at_the_interval_after_the_pong_and_silence_ends_it() {
    let mut server = start(Config::default(), Does::Echo);
    let opened = Instant::now();
    let mut client = server.websocket().await;
    let delay = Duration::from_millis(100);
    for round in 1..=3 {
        assert_eq!(client.text().await, "2");
        assert_eq!(opened.elapsed(), INTERVAL * round + delay * (round - 1));
        sleep(delay).await;
        client.send(text(if round == 2 { "3probe" } else { "3" })).await;
    }
    assert_eq!(client.text().await, "2");
    let pinged = Instant::now();
    assert_eq!(client.frame().await, Frame { opcode: CLOSE, payload: vec![] });
    assert_eq!(pinged.elapsed(), TIMEOUT);
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    server.is_alive().await;
}

/// A WebSocket or a poller on which nothing ever comes is closed at interval and timeout.
#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed() {
    let config = Config::default()
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(200))
        .initial_packet("hello");
    let mut server = start(config, Does::Echo);
    let opened = Instant::now();
    let mut websocket = server.websocket().await;
    assert_eq!(websocket.text().await, "4hello");
    assert_eq!(websocket.text().await, "2");
    websocket.expect_silence(Duration::from_millis(199)).await;
    assert_eq!(websocket.frame().await.opcode, CLOSE);
    assert_eq!(opened.elapsed(), Duration::from_millis(500));
    assert_eq!(server.closed().await, CloseReason::PingTimeout);

    let opened = Instant::now();
    let client = server.polling().await;
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    assert_eq!(opened.elapsed(), Duration::from_millis(500));
    let unknown = server.ask(get(&client.query())).await;
    assert_eq!(unknown.short(), (400, r#"{"code":1,"message":"Session ID unknown"}"#.into()));
    server.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_poll_brings_the_ping_and_is_released_at_the_timeout() {
    let mut server = start(Config::default(), Does::Echo);
    let opened = Instant::now();
    let mut client = server.polling().await;
    for round in 1..=3 {
        assert_eq!(client.poll().await.text(), "2");
        assert_eq!(opened.elapsed(), INTERVAL * round);
        assert_eq!(client.post("3").await.text(), "ok");
    }
    assert_eq!(client.poll().await.text(), "2");
    let pinged = Instant::now();
    assert_eq!(client.poll().await.short(), (200, "1".into()));
    assert_eq!(pinged.elapsed(), TIMEOUT);
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_ping_waits_for_a_poll_and_its_time_runs_from_when_it_was_due() {
    let mut server = start(Config::default(), Does::Nothing);
    let opened = Instant::now();
    let mut client = server.polling().await;
    server.server.connection(&client.sid).unwrap().try_send("queued").unwrap();
    sleep(INTERVAL + TIMEOUT - Duration::from_millis(1)).await;
    assert_eq!(client.poll().await.text(), "2\x1e4queued", "the ping overtakes what is queued");
    assert_eq!(client.poll().await.text(), "1");
    assert_eq!(opened.elapsed(), INTERVAL + TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn only_pongs_count_as_life() {
    let mut server = start(Config::default(), Does::Echo);
    let mut client = server.websocket().await;
    let opened = Instant::now();
    // A pong that nobody has asked for puts the ping off.
    sleep(Duration::from_secs(10)).await;
    client.send(text("3")).await;
    assert_eq!(client.text().await, "2");
    assert_eq!(opened.elapsed(), Duration::from_secs(35));
    // Messages, noops, and pings and pongs of the WebSocket do not.
    let bytes = [text("4a"), text("6"), masked(PING, "x"), masked(0xA, "")].concat();
    for _ in 0..19 {
        sleep(Duration::from_secs(1)).await;
        client.send(&bytes).await;
    }
    assert_eq!(server.closed_at_last().await, CloseReason::PingTimeout);
    assert_eq!(opened.elapsed(), Duration::from_secs(55));
}

/// A ping does not wait behind what the application has queued.
#[tokio::test(start_paused = true)]
async fn a_ping_overtakes_the_outbox() {
    let mut server = start(Config::default(), Does::Nothing);
    let mut client = server.websocket().await;
    let connection = server.server.connection(&client.sid).unwrap();
    let large = "x".repeat(100_000);
    while connection.try_send(large.clone()).is_ok() {}
    sleep(INTERVAL).await;
    // What the pipe and the driver hold already comes first, then the ping, then the rest.
    let mut before = 0;
    while client.text().await != "2" {
        before += 1;
    }
    assert!(before <= 3, "{before} messages came before the ping");
    client.send(text("3")).await;
    assert_eq!(client.text().await.len(), 100_001);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_gone_at_the_timeout() {
    let mut server = start(Config::default(), Does::Echo);
    let mut client = server.websocket().await;
    let opened = Instant::now();
    let echoes = text(&format!("4{}", "x".repeat(100_000))).repeat(100);
    let sent = client.send_until_blocked(&echoes, Duration::from_secs(1)).await;
    assert!(sent < echoes.len());
    assert_eq!(server.closed_at_last().await, CloseReason::PingTimeout);
    assert!(opened.elapsed() <= INTERVAL + 2 * TIMEOUT, "{:?}", opened.elapsed());
    server.is_alive().await;
}

/// A client that reads slowly answers pings, but its pongs wait behind what the server does not read yet.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_little_is_not_taken_for_dead() {
    const ECHOES: usize = 60;
    let mut server = start(Config::default(), Does::Echo);
    let client = server.websocket().await;
    let echo = text(&format!("4{}", "x".repeat(300_000)));
    let (mut reader, mut writer) = client.split();
    let (pongs, mut queue) = tokio::sync::mpsc::unbounded_channel();
    let writing = tokio::spawn(async move {
        for _ in 0..ECHOES {
            writer.send(&echo).await;
        }
        while let Some(pong) = queue.recv().await {
            writer.send(text(pong)).await;
        }
    });
    let mut echoes = 0;
    while echoes < ECHOES {
        let packet = reader.text().await;
        if packet == "2" {
            pongs.send("3").unwrap();
        } else {
            echoes += 1;
            sleep(Duration::from_secs(5)).await;
        }
    }
    assert_eq!(reader.text().await, "2");
    drop(pongs);
    writing.await.unwrap();
}

/// While the application is busy nothing is read, so the pong may be here already.
#[tokio::test(start_paused = true)]
async fn a_busy_application_does_not_end_the_connection() {
    let application = engineio::handler_fn(|connection: engineio::Connection, mut events| async move {
        while let Some(event) = events.next().await {
            if let engineio::Event::Message(message) = event {
                sleep(Duration::from_secs(300)).await;
                connection.send(message).await.ok();
            }
        }
    });
    let server = Server::builder().build(application);
    let (client, stream) = tokio::io::duplex(support::PIPE);
    tokio::spawn(async move { server.serve_stream(stream, None, false).await });
    let mut client = Client::new(client, Duration::from_secs(3_600));
    client.switch("EIO=4&transport=websocket").await;
    client.text().await;
    client.send([text("4a"), text("4b")].concat()).await;
    assert_eq!(client.text().await, "2");
    client.send(text("3")).await;
    loop {
        match client.text().await.as_str() {
            "4b" => break,
            "2" => client.send(text("3")).await,
            other => assert_eq!(other, "4a"),
        }
    }
}
