//! The WebSocket as raw frames: packets, close codes and reasons, and peers that flood or never read.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use engineio::{CloseReason, Config, Message, Server};
use support::{
    BINARY, CLOSE, Client, Does, Frame, PING, PIPE, PONG, TEXT, TestServer, get, masked, masked_header,
    masked_part, post, sid_of, upgrade,
};

const FIN: u8 = 0x80;

fn unmasked(opcode: u8, payload: &str) -> Vec<u8> {
    [&[FIN | opcode, payload.len() as u8], payload.as_bytes()].concat()
}

fn close_frame(code: Option<u16>) -> Vec<u8> {
    code.map_or_else(|| vec![0x88, 0], |code| [&[0x88, 2], &code.to_be_bytes()[..]].concat())
}

/// The connection echoes.
async fn lives(server: &mut TestServer, client: &mut Client) {
    client.send(masked(TEXT, "4still here")).await;
    assert_eq!(client.text().await, "4still here");
    assert_eq!(server.message().await, "still here".into());
}

#[tokio::test]
async fn the_open_packet_comes_first_and_offers_no_upgrade() {
    let server = TestServer::echo(Config::default()).await;
    let mut client = server.connect().await;
    client.switch("EIO=4&transport=websocket").await;
    let open = client.text().await;
    let sid = sid_of(&open);
    let expected = format!(
        r#"0{{"sid":"{sid}","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
    );
    assert_eq!(open, expected);
}

#[tokio::test]
async fn messages_travel_as_they_are() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.websocket().await;
    let table: [(Vec<u8>, Message, Frame); 7] = [
        (masked(TEXT, "4hi"), "hi".into(), Frame { opcode: TEXT, payload: b"4hi".into() }),
        (masked(TEXT, "4"), "".into(), Frame { opcode: TEXT, payload: b"4".into() }),
        (masked(TEXT, "4\u{20ac}"), "\u{20ac}".into(), Frame { opcode: TEXT, payload: "4\u{20ac}".into() }),
        (masked(BINARY, [0, 255]), vec![0, 255].into(), Frame { opcode: BINARY, payload: vec![0, 255] }),
        (masked(BINARY, "4hi"), b"4hi".to_vec().into(), Frame { opcode: BINARY, payload: b"4hi".into() }),
        (masked(BINARY, ""), vec![].into(), Frame { opcode: BINARY, payload: vec![] }),
        // Base64 in text is for proxies that know no binary frames.
        (masked(TEXT, "bAP8="), vec![0, 255].into(), Frame { opcode: BINARY, payload: vec![0, 255] }),
    ];
    for (bytes, message, frame) in &table {
        client.send(bytes).await;
        assert_eq!((server.message().await, client.frame().await), (message.clone(), frame.clone()));
    }
    // In one segment, byte by byte, and in fragments with a ping between them.
    let all: Vec<u8> = table.iter().flat_map(|(bytes, ..)| bytes.clone()).collect();
    client.send(&all).await;
    for (_, message, frame) in &table {
        assert_eq!((server.message().await, client.frame().await), (message.clone(), frame.clone()));
    }
    for byte in all {
        client.send([byte]).await;
    }
    for (_, message, frame) in &table {
        assert_eq!((server.message().await, client.frame().await), (message.clone(), frame.clone()));
    }
    client.send(masked_part(TEXT, "4\u{20ac}".as_bytes().split_at(2).0)).await;
    client.send(masked(PING, "between")).await;
    assert_eq!(client.frame().await, Frame { opcode: PONG, payload: b"between".into() });
    client.send(masked_part(0, "\u{20ac}".as_bytes().split_at(1).1)).await;
    client.send(masked_part(FIN, "")).await;
    assert_eq!(client.text().await, "4\u{20ac}");
}

#[tokio::test]
async fn frames_in_the_segment_of_the_handshake_are_handled() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.connect().await;
    let frames = [masked(TEXT, "4a"), masked(BINARY, "b"), masked(PING, "c")].concat();
    client.send([upgrade("EIO=4&transport=websocket").into_bytes(), frames].concat()).await;
    assert_eq!(client.response_head().await.status, 101);
    assert_eq!(sid_of(&client.text().await), server.opened().await.sid().as_str());
    let mut frames = [client.frame().await, client.frame().await, client.frame().await];
    frames.sort_by_key(|frame| frame.opcode);
    let expected = [(TEXT, "4a"), (BINARY, "b"), (PONG, "c")];
    assert_eq!(frames, expected.map(|(opcode, payload)| Frame { opcode, payload: payload.into() }));
}

/// What the peer does, the code of the close frame that it gets, and the reason that the application is told.
#[tokio::test]
async fn every_mistake_has_its_code_and_reason() {
    let protocol = CloseReason::TransportError("WebSocket protocol error");
    let too_large = CloseReason::TransportError("WebSocket message larger than the limit");
    let utf8 = CloseReason::TransportError("invalid UTF-8 in a WebSocket message");
    let fragments = CloseReason::TransportError("too many fragments in a WebSocket message");
    let heartbeat = CloseReason::TransportError("invalid heartbeat direction");
    let parse = CloseReason::ParseError;
    let text = |payload: &str| masked(TEXT, payload);
    let part = |first: u8, payload: &[u8]| masked_part(first, payload);
    let table: Vec<(&str, Vec<u8>, Option<u16>, CloseReason)> = vec![
        ("unknown packet", text("abc"), None, parse("unknown packet type")),
        ("packet 7", text("7"), None, parse("unknown packet type")),
        ("empty text", text(""), None, parse("empty packet")),
        ("bad base64", text("bAQI*"), None, parse("invalid base64 in a binary packet")),
        ("open packet", text("0"), None, parse("open packet after the first")),
        ("upgrade packet", text("5"), None, parse("upgrade packet outside of an upgrade")),
        ("ping", text("2"), None, heartbeat),
        ("probe", text("2probe"), None, heartbeat),
        ("close packet", text("1"), None, CloseReason::TransportClose),
        ("no mask", unmasked(TEXT, "4a"), Some(1002), protocol),
        ("no mask on a ping", unmasked(PING, ""), Some(1002), protocol),
        ("reserved bit 1", part(FIN | 0x40 | TEXT, b"4a"), Some(1002), protocol),
        ("reserved bit 2", part(FIN | 0x20 | TEXT, b"4a"), Some(1002), protocol),
        ("reserved bit 3", part(FIN | 0x10 | TEXT, b"4a"), Some(1002), protocol),
        ("opcode 3", part(FIN | 3, b"4a"), Some(1002), protocol),
        ("opcode 15", part(FIN | 15, b""), Some(1002), protocol),
        ("ping of 126 bytes", masked(PING, [0; 126]), Some(1002), protocol),
        ("close frame of 126 bytes", masked(CLOSE, [3; 126]), Some(1002), protocol),
        ("fragmented ping", part(PING, b""), Some(1002), protocol),
        ("continuation of nothing", part(FIN, b"4a"), Some(1002), protocol),
        ("message in a message", [part(TEXT, b"4a"), text("4b")].concat(), Some(1002), protocol),
        ("length in 16 bits that fits 7", vec![0x81, 0xfe, 0, 1, 0, 0, 0, 0, b'6'], Some(1002), protocol),
        ("close frame of one byte", masked(CLOSE, [3]), Some(1002), protocol),
        ("close code 999", masked(CLOSE, 999u16.to_be_bytes()), Some(1002), protocol),
        ("close code 1005", masked(CLOSE, 1005u16.to_be_bytes()), Some(1002), protocol),
        ("close reason that is not UTF-8", masked(CLOSE, [3, 232, 0xff]), Some(1007), utf8),
        ("text that is not UTF-8", masked(TEXT, b"4\xff"), Some(1007), utf8),
        ("text with a surrogate", masked(TEXT, b"4\xed\xa0\x80"), Some(1007), utf8),
        ("text that is cut", masked(TEXT, b"4\xe2\x82"), Some(1007), utf8),
        ("first fragment that is not UTF-8", part(TEXT, b"4\xff"), Some(1007), utf8),
        ("declared 1 too many", masked_header(FIN | TEXT, 1_001), Some(1009), too_large),
        ("declared 2^40", masked_header(FIN | BINARY, 1 << 40), Some(1009), too_large),
        ("declared with the top bit", masked_header(FIN | BINARY, 1 << 63), Some(1009), too_large),
        (
            "1 too many in fragments",
            [part(BINARY, &[0; 1_000]), masked_header(FIN, 1)].concat(),
            Some(1009),
            too_large,
        ),
        ("too many fragments", [part(BINARY, b""), part(0, b"").repeat(10)].concat(), Some(1008), fragments),
        ("close frame", masked(CLOSE, ""), None, CloseReason::TransportClose),
        ("close frame with a code", masked(CLOSE, [3, 232]), Some(1000), CloseReason::TransportClose),
        ("close frame with a reason", masked(CLOSE, b"\x0f\xa0bye"), Some(4000), CloseReason::TransportClose),
        ("half a frame, then nothing more", masked_header(FIN | TEXT, 10), None, CloseReason::TransportClose),
    ];
    let config = Config::default().max_payload(1_000).max_fragments(10);
    let mut server = TestServer::echo(config).await;
    for (name, bytes, code, reason) in table {
        // Also behind a good message, which is delivered, and before one that is not looked at.
        for around in [false, true] {
            println!("{name}, {around}");
            let mut client = server.websocket().await;
            if name.contains("nothing more") {
                client.send(&bytes).await;
                drop(client);
            } else if around {
                client.send([masked(TEXT, "4before"), bytes.clone(), masked(TEXT, "4after")].concat()).await;
                assert_eq!(server.message().await, "before".into());
                // Whoever breaks the rules may or may not get the echo that was on its way.
                let rest = client.rest().await;
                let rest = rest.strip_prefix(b"\x81\x074before").unwrap_or(&rest);
                assert_eq!(rest, close_frame(code));
            } else {
                client.send(&bytes).await;
                client.expect_close_frame(code).await;
            }
            assert_eq!(server.closed().await, reason);
        }
        server.is_alive().await;
    }
    server.nothing_seen();
}

#[tokio::test]
async fn the_limit_itself_is_allowed() {
    let mut server = TestServer::echo(Config::default().max_payload(1_000).max_fragments(10)).await;
    let mut client = server.websocket().await;
    client.send(masked(TEXT, format!("4{}", "x".repeat(999)))).await;
    assert_eq!(client.text().await.len(), 1_000);
    client.send(masked(BINARY, [7; 1_000])).await;
    assert_eq!(client.frame().await.payload, [7; 1_000]);
    client
        .send(
            [masked_part(BINARY, [7; 100]), masked_part(0, [7; 100]).repeat(8), masked_part(FIN, [7; 100])]
                .concat(),
        )
        .await;
    assert_eq!(client.frame().await.payload, [7; 1_000]);
}

#[tokio::test]
async fn noops_and_pongs_are_nothing() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.websocket().await;
    for packet in ["6", "3", "3probe", "3junk", "6junk"] {
        client.send(masked(TEXT, packet)).await;
    }
    client.send(masked(PONG, "unasked")).await;
    client.send([masked(TEXT, "3"), masked(PONG, "x")].concat().repeat(100_000)).await;
    lives(&mut server, &mut client).await;
}

#[tokio::test]
async fn pings_are_answered_in_kind() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.websocket().await;
    for payload in [vec![], b"hello".to_vec(), vec![0xff; 125]] {
        client.send(masked(PING, &payload)).await;
        assert_eq!(client.frame().await, Frame { opcode: PONG, payload });
    }
    lives(&mut server, &mut client).await;
}

#[tokio::test]
async fn polls_and_posts_for_a_websocket_are_refused_and_disturb_nothing() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.websocket().await;
    let body = r#"{"code":3,"message":"Bad request"}"#;
    assert_eq!(server.ask(get(&client.query())).await.short(), (400, body.into()));
    assert_eq!(server.ask(post(&client.query(), "4a")).await.short(), (400, body.into()));
    let second = server.ask(upgrade(&format!("EIO=4&transport=websocket&sid={}", client.sid))).await;
    assert_eq!(second.short(), (400, "Bad request".into()));
    lives(&mut server, &mut client).await;
    server.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_million_pings_cost_one_pong_and_delay_nobody() {
    const PINGS: u32 = 1_000_000;
    let mut server = TestServer::in_pipes(Server::builder(), Does::Echo);
    let client = server.websocket().await;
    let (mut reader, mut writer) = client.split();
    let sent = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let (count, ended) = (Arc::clone(&sent), Arc::clone(&done));
    let flood = tokio::spawn(async move {
        for batch in 0..PINGS / 1_000 {
            let pings: Vec<u8> =
                (0..1_000).flat_map(|ping| masked(PING, (batch * 1_000 + ping).to_be_bytes())).collect();
            writer.send(&pings).await;
            count.fetch_add(1_000, Ordering::Relaxed);
        }
        ended.store(true, Ordering::Relaxed);
        writer
    });
    let mut other = server.websocket().await;
    for _ in 0..20 {
        let before = sent.load(Ordering::Relaxed);
        other.send(masked(TEXT, "4quick")).await;
        assert_eq!(other.text().await, "4quick");
        let meanwhile = sent.load(Ordering::Relaxed) - before;
        // A ping has ten bytes.
        assert!(meanwhile < 4 * PIPE / 10, "{meanwhile} pings were taken before one echo");
        assert!(!done.load(Ordering::Relaxed), "the flood should still be on");
    }
    drop(other);
    // All are read, though no pong is taken.
    let mut writer = flood.await.unwrap();
    writer.send(masked(TEXT, "4last")).await;
    let mut last = None;
    let mut pongs = 0;
    loop {
        let frame = reader.frame().await;
        if frame.opcode == TEXT {
            break;
        }
        pongs += 1;
        let number = u32::from_be_bytes(frame.payload.try_into().unwrap());
        assert!(last < Some(number), "pongs come in order");
        last = Some(number);
    }
    assert_eq!(last, Some(PINGS - 1), "the newest ping is answered");
    assert!(pongs <= PIPE / 6 + 2, "{pongs}");
    server.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_not_read_and_loses_nothing() {
    const ECHOES: usize = 300;
    const SIZE: usize = 300_000;
    // The heartbeat would end a peer that is silent for so long.
    let config = Config::default().ping_interval(Duration::from_secs(1_000));
    let mut server = TestServer::in_pipes(Server::builder().config(config), Does::Echo);
    let mut client = server.websocket().await;
    let mut payload = vec![b'x'; SIZE];
    payload[0] = b'4';
    let frame = masked(TEXT, &payload);
    let mut sent = 0;
    let blocked_at = loop {
        let taken = client.send_until_blocked(&frame, Duration::from_secs(1)).await;
        sent += 1;
        if taken < frame.len() {
            break taken;
        }
    };
    // The outbox of 2 MiB takes seven and the pipe none; one more waits for room, and one is about to be read.
    assert!((6..=10).contains(&sent), "{sent} messages were taken");
    server.is_alive().await;

    let (mut reader, mut writer) = client.split();
    let writing = tokio::spawn(async move {
        writer.send(&frame[blocked_at..]).await;
        for _ in sent..ECHOES {
            writer.send(&frame).await;
        }
        writer
    });
    for number in 0..ECHOES {
        let echo = reader.frame().await;
        assert!(echo.opcode == TEXT && echo.payload == payload, "echo {number} is whole");
    }
    writing.await.unwrap();
    server.is_alive().await;
}

/// The same with replies that nobody waits for: the driver itself stops reading at the bound of the outbox.
#[tokio::test(start_paused = true)]
async fn a_peer_that_causes_answers_and_reads_none_is_not_read() {
    let config = Config::default().ping_interval(Duration::from_secs(1_000)).max_outbox_bytes(10_000);
    let application = engineio::handler_fn(|connection, mut events| async move {
        while let Some(event) = events.next().await {
            if let engineio::Event::Message(message) = event {
                connection.force_send_all([message.into()]).ok();
            }
        }
    });
    let server = Server::builder().config(config).build(application);
    let (client, stream) = tokio::io::duplex(PIPE);
    tokio::spawn(async move { server.serve_stream(stream, None, false).await });
    let mut client = Client::new(client, Duration::from_secs(3_600));
    client.switch("EIO=4&transport=websocket").await;
    client.text().await;
    let messages: Vec<u8> = (0..10_000).flat_map(|number| masked(TEXT, format!("4{number:01000}"))).collect();
    let sent = client.send_until_blocked(&messages, Duration::from_secs(1)).await;
    assert!(sent < 5 * PIPE, "{sent}");
    let (mut reader, mut writer) = client.split();
    let writing = tokio::spawn(async move {
        writer.send(&messages[sent..]).await;
        writer
    });
    for number in 0..10_000 {
        assert_eq!(reader.text().await, format!("4{number:01000}"));
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn twenty_thousand_echoes_in_one_burst_come_in_order() {
    let mut server = TestServer::echo(Config::default()).await;
    let client = server.websocket().await;
    let (mut reader, mut writer) = client.split();
    let burst: Vec<u8> = (0..20_000).flat_map(|number| masked(TEXT, format!("4{number}"))).collect();
    let writing = tokio::spawn(async move {
        writer.send(&burst).await;
        writer
    });
    for number in 0..20_000 {
        assert_eq!(reader.text().await, format!("4{number}"));
    }
    writing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_that_nobody_answers_is_waited_for_only_so_long() {
    let mut server = TestServer::in_pipes(Server::builder(), Does::Echo);
    let mut client = server.websocket().await;
    client.send(masked_part(FIN | 3, "")).await;
    assert_eq!(client.frame().await, Frame { opcode: CLOSE, payload: vec![3, 234] });
    // What the peer sends now is taken and dropped, until its time is over.
    let since = tokio::time::Instant::now();
    while client.send_until_broken(&masked(TEXT, "4late")).await > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(since.elapsed() <= Duration::from_secs(31), "{:?}", since.elapsed());
    assert!(matches!(server.closed().await, CloseReason::TransportError(_)));
    server.nothing_seen();
    server.is_alive().await;
}
