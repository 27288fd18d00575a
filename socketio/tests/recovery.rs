//! Connection state recovery, as a client sees it.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use bytes::Bytes;
use client::{
    Client, MINUTE, Received, echo, eventually, notes,
    ticket::{Ticket, ids, lose},
};
use serde_json::{Value, json};
use socketio::{Namespace, Recovery, Server, Socket};
use std::time::Duration;

fn recoverable(root: Namespace, recovery: Recovery) -> Server {
    Server::builder().namespace("/", root).recovery(recovery).build()
}

fn serve(root: Namespace) -> Server {
    recoverable(root, Recovery::default())
}

#[tokio::test]
async fn what_was_missed_comes_before_the_consent() {
    // What is shown is kept by adapters that cannot keep the data themselves.
    let root = echo().show::<String>().on_connect(async |socket: Socket| {
        if !socket.is_recovered() {
            socket.join(["r", "s"]);
            socket.set("data".to_owned());
        }
    });
    let server = serve(root);
    let (mut client, mut ticket) = Ticket::new(&server).await;
    assert!(ticket.pid.len() == 20 && ticket.pid != ticket.sid && ticket.pid != client.sid);
    let before = ticket.clone();
    server.emit("seen", &1).unwrap();
    assert_eq!(ticket.receive(&mut client).await, format!(r#"2["seen",1,"{}"]"#, ticket.offset));
    lose(&server, client).await;
    server.emit("all", &(2, "two")).unwrap();
    server.to(["r", "s"]).emit("room", &()).unwrap();
    server.to(&*ticket.sid).emit("own", &vec![3]).unwrap();
    let (mut client, missed) = ticket.recover(&server).await;
    assert_eq!(missed, [r#"["all",2,"two"]"#, r#"["room"]"#, r#"["own",[3]]"#]);
    assert_eq!((&ticket.sid, &ticket.pid), (&before.sid, &before.pid));
    let socket = server.of("/").socket(&ticket.sid).unwrap();
    assert!(socket.is_recovered());
    assert_eq!(socket.get::<String>().unwrap(), "data");
    let mut rooms = socket.rooms().iter().map(|room| room.as_str().to_owned()).collect::<Vec<_>>();
    rooms.sort();
    assert_eq!(rooms, ["r", "s"]);
    assert_eq!(socket.auth::<Value>().unwrap()["more"], "auth");
    // It lives on as any other, and can be lost again.
    socket.emit("direct", &4).unwrap();
    assert!(ticket.receive(&mut client).await.starts_with(r#"2["direct",4,""#));
    server.to("r").emit("room", &5).unwrap();
    assert!(ticket.receive(&mut client).await.starts_with(r#"2["room",5,""#));
    client.quiet().await;
    lose(&server, client).await;
    ticket.is_good(&server).await.quiet().await;
}

#[tokio::test]
async fn only_what_was_for_the_socket_is_sent_again() {
    let root = echo().on_connect(async |socket: Socket| socket.join("r"));
    let server = serve(root);
    let (client, mut ticket) = Ticket::new(&server).await;
    let socket = server.of("/").socket(&ticket.sid).unwrap();
    lose(&server, client).await;
    server.to("other").emit("to others", &()).unwrap();
    server.except("r").emit("but for its room", &()).unwrap();
    server.except(&*ticket.sid).emit("but for itself", &()).unwrap();
    server.of("/").everyone().volatile().emit("volatile", &()).unwrap();
    drop(server.of("/").everyone().emit_with_ack::<Value, _>("asked", &(), MINUTE).unwrap());
    assert!(socket.emit("to what has ended", &()).is_err());
    server.to("r").except("other").emit("for it", &()).unwrap();
    let (mut client, missed) = ticket.recover(&server).await;
    assert_eq!(missed, [r#"["for it"]"#]);
    client.quiet().await;
}

#[tokio::test]
async fn only_events_that_can_be_recovered_have_an_offset() {
    let server = serve(echo());
    let (mut client, ticket) = Ticket::new(&server).await;
    let socket = server.of("/").socket(&ticket.sid).unwrap();
    socket.volatile().emit("volatile", &1).unwrap();
    assert_eq!(client.text().await, r#"2["volatile",1]"#);
    server.of("/").everyone().volatile().emit("volatile", &2).unwrap();
    assert_eq!(client.text().await, r#"2["volatile",2]"#);
    drop(server.of("/").everyone().emit_with_ack::<Value, _>("asked", &3, MINUTE).unwrap());
    assert!(client.text().await.ends_with(r#"["asked",3]"#));
    let asking = tokio::spawn(async move { socket.emit_with_ack::<Value, _>("asked", &4, MINUTE).await });
    assert!(client.text().await.ends_with(r#"["asked",4]"#));
    asking.abort();
}

#[tokio::test]
async fn binary_events_are_recovered_with_their_attachments() {
    let server = serve(echo());
    let (mut client, mut ticket) = Ticket::new(&server).await;
    let header = |offset: &str| {
        let place = r#"{"_placeholder":true,"num":0}"#;
        format!(r#"51-["photo",{place},"small","{offset}"]"#)
    };
    server.emit("photo", &(Bytes::from("seen"), "small")).unwrap();
    let seen = ticket.receive(&mut client).await;
    assert_eq!(seen, header(&ticket.offset));
    assert_eq!(client.receive().await, Received::Binary(b"seen".to_vec()));
    lose(&server, client).await;
    server.emit("photo", &(Bytes::from("missed"), "small")).unwrap();
    let mut client = Client::open(&server, 1 << 20).await;
    client.send(&ticket.request()).await;
    let missed = ticket.receive(&mut client).await;
    assert_eq!(missed, header(&ticket.offset));
    assert_eq!(client.receive().await, Received::Binary(b"missed".to_vec()));
    assert_eq!(ids(&client.whole_consent("0").await), (ticket.sid, ticket.pid));
}

#[tokio::test]
async fn a_socket_is_recovered_once() {
    let server = serve(echo());
    let (client, ticket) = Ticket::new(&server).await;
    // While it lives, nobody else can take it.
    ticket.is_void(&server).await;
    lose(&server, client).await;
    let mut recovered = ticket.is_good(&server).await;
    ticket.is_void(&server).await;
    recovered.quiet().await;
    assert!(server.of("/").socket(&ticket.sid).unwrap().is_recovered());
    lose(&server, recovered).await;
    let (good, void) = (ticket.is_good(&server).await, ticket.is_void(&server).await);
    drop((good, void));
}

#[tokio::test]
async fn who_cannot_be_recovered_starts_anew() {
    let b = echo();
    let server =
        Server::builder().namespace("/", echo()).namespace("/b", b).recovery(Recovery::default()).build();
    let changes: [fn(&mut Ticket); 8] = [
        |ticket| ticket.pid = "x".repeat(20),
        |ticket| ticket.pid.clear(),
        |ticket| ticket.pid = ticket.sid.clone(),
        |ticket| ticket.offset = "999999".into(),
        |ticket| ticket.offset = "-1".into(),
        |ticket| ticket.offset = "none".into(),
        |ticket| ticket.offset.clear(),
        |ticket| ticket.offset = "9".repeat(10_000),
    ];
    for change in changes {
        let (client, mut ticket) = Ticket::new(&server).await;
        lose(&server, client).await;
        change(&mut ticket);
        ticket.is_void(&server).await.quiet().await;
    }
    let (client, Ticket { pid, offset, sid }) = Ticket::new(&server).await;
    lose(&server, client).await;
    let mut client = Client::open(&server, 1 << 20).await;
    // Namespaces are apart, and what is no ticket is what a client authenticates with.
    for (prefix, request) in [
        ("0/b,", format!("0/b,{}", json!({ "pid": pid, "offset": offset }))),
        ("0", format!("0{}", json!({ "pid": pid, "offset": 0 }))),
    ] {
        client.send(&request).await;
        assert_ne!(ids(&client.whole_consent(prefix).await).0, sid);
    }
    client.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_is_kept_for_a_time() {
    let recovery = Recovery { max_disconnection: Duration::from_secs(100), ..Recovery::default() };
    let server = recoverable(echo(), recovery);
    for (away, good) in [(10, true), (99, true), (101, false)] {
        let (client, mut ticket) = Ticket::new(&server).await;
        lose(&server, client).await;
        // Something to miss, of which the last is as young as can be.
        tokio::time::sleep(Duration::from_secs(away) - Duration::from_millis(500)).await;
        if good {
            server.emit("missed", &away).unwrap();
            assert_eq!(ticket.recover(&server).await.1, [format!(r#"["missed",{away}]"#)]);
        } else {
            tokio::time::sleep(Duration::from_millis(500)).await;
            ticket.is_void(&server).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_the_last_loss() {
    let recovery = Recovery { max_disconnection: Duration::from_secs(100), ..Recovery::default() };
    let server = recoverable(echo(), recovery);
    let (mut client, mut ticket) = Ticket::new(&server).await;
    for _ in 0..3 {
        lose(&server, client).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        client = ticket.is_good(&server).await;
        server.emit("young", &()).unwrap();
        ticket.receive(&mut client).await;
    }
    client.quiet().await;
}

/// What it has seen last is not kept any more, but it has missed nothing.
#[tokio::test(start_paused = true)]
async fn a_client_that_was_long_idle_is_recovered() {
    let server = serve(echo());
    let (mut client, mut ticket) = Ticket::new(&server).await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        client.quiet().await;
    }
    lose(&server, client).await;
    let client = ticket.is_good(&server).await;
    lose(&server, client).await;
    server.emit("missed", &()).unwrap();
    assert_eq!(ticket.recover(&server).await.1, [r#"["missed"]"#]);
}

#[tokio::test]
async fn memory_is_bounded_and_the_oldest_pays() {
    let server = recoverable(echo(), Recovery { max_sockets: 2, ..Recovery::default() });
    let mut tickets = Vec::new();
    for _ in 0..3 {
        let (client, ticket) = Ticket::new(&server).await;
        lose(&server, client).await;
        tickets.push(ticket);
    }
    // A client that goes away is kept, too.
    let _clients = (
        tickets[0].is_void(&server).await,
        tickets[1].is_good(&server).await,
        tickets[2].is_good(&server).await,
    );

    let server = recoverable(echo(), Recovery { max_bytes: 10_000, ..Recovery::default() });
    let (client, ticket) = Ticket::new(&server).await;
    lose(&server, client).await;
    let (client, mut later) = Ticket::new(&server).await;
    lose(&server, client).await;
    for n in 0..20 {
        if n == 15 {
            later = Ticket::new(&server).await.1;
            eventually("the connection is gone", || server.engine().connection_count() == 0).await;
        }
        server.emit("large", &"x".repeat(1_000)).unwrap();
    }
    ticket.is_void(&server).await;
    assert_eq!(later.recover(&server).await.1.len(), 5);
}

#[tokio::test]
async fn who_left_or_was_dismissed_does_not_come_back() {
    let (note, mut noted) = notes();
    let root = echo().on_disconnect(move |_, reason| {
        note.send(format!("{reason} {}", reason.is_recoverable())).unwrap();
        async {}
    });
    let server = serve(root);
    for (end, reason) in [
        ("leave", "client namespace disconnect false"),
        ("dismiss", "server namespace disconnect false"),
        ("close", "server namespace disconnect false"),
        ("no packet", "parse error false"),
        ("bad packet", "forced close true"),
        ("lose", "transport close true"),
    ] {
        let (mut client, ticket) = Ticket::new(&server).await;
        let socket = server.of("/").socket(&ticket.sid).unwrap();
        match end {
            "leave" => client.send("1").await,
            "dismiss" => socket.disconnect(),
            "close" => socket.disconnect_connection(),
            "no packet" => client.write(&client::frame(1, b"x")).await,
            "bad packet" => client.send("9").await,
            _ => {}
        }
        if matches!(end, "leave" | "dismiss") {
            assert_eq!(noted.recv().await.unwrap(), reason);
            lose(&server, client).await;
        } else {
            lose(&server, client).await;
            assert_eq!(noted.recv().await.unwrap(), reason);
        }
        let client = if reason.ends_with("true") {
            ticket.is_good(&server).await
        } else {
            ticket.is_void(&server).await
        };
        lose(&server, client).await;
        assert_eq!(noted.recv().await.unwrap(), "transport close true");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_however_often_the_connection_breaks() {
    const EVENTS: u64 = 20_000;
    let server = serve(echo());
    let (mut client, mut ticket) = Ticket::new(&server).await;
    let emitter = server.clone();
    let emitting = tokio::spawn(async move {
        for n in 0..EVENTS {
            emitter.emit("n", &n).unwrap();
            if n % 10 == 0 {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
    });
    let mut seen = 0;
    while seen < EVENTS {
        for _ in 0..(seen % 97) {
            if seen < EVENTS {
                let event = ticket.receive(&mut client).await;
                assert!(event.starts_with(&format!(r#"2["n",{seen},""#)), "{seen}: {event}");
                seen += 1;
            }
        }
        let before = (ticket.sid.clone(), ticket.pid.clone());
        lose(&server, client).await;
        let missed;
        (client, missed) = ticket.recover(&server).await;
        assert_eq!((&ticket.sid, &ticket.pid), (&before.0, &before.1));
        for event in missed {
            assert_eq!(event, format!(r#"["n",{seen}]"#));
            seen += 1;
        }
    }
    emitting.await.unwrap();
    client.quiet().await;
}
