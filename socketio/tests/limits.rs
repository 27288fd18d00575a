//! Every limit, crossed and not.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use bytes::Bytes;
use client::{Client, MINUTE, Received, echo, eventually, notes, others_are_served};
use serde_json::Value;
use socketio::{Ack, AckError, Excess, Limits, Namespace, Rate, Server, Socket};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, advance},
};

/// A server with limits that notes who crosses them, and why sockets end.
struct Limited {
    server: Server,
    crossed: mpsc::UnboundedReceiver<String>,
    ended: mpsc::UnboundedReceiver<String>,
}

impl Limited {
    fn new(limits: Limits, excess: Excess) -> Self {
        let (end, ended) = notes();
        let noting = || {
            let end = end.clone();
            echo()
                .on("size", async |_, data: Bytes| Ack(data.len()))
                .on("join", async |socket: Socket, rooms: Vec<String>| {
                    socket.join(rooms);
                    Ack(socket.rooms().len())
                })
                .on_disconnect(move |_, reason| {
                    end.send(format!("{reason:?}")).unwrap();
                    async {}
                })
        };
        let (note, crossed) = notes();
        let server = Server::builder()
            .namespace("/", noting())
            .namespace("/a", noting())
            .namespace("/b", noting())
            .namespace("/c", noting())
            .limits(limits)
            .on_limit(move |exceeded| {
                let socket = exceeded.socket.map_or("nobody", Socket::namespace);
                assert!(exceeded.socket.is_none_or(|socket| socket.connection() == exceeded.connection));
                note.send(format!("{:?} {socket}", exceeded.limit)).unwrap();
                excess
            })
            .build();
        Self { server, crossed, ended }
    }

    fn refusing(limits: Limits) -> Self {
        Self::new(limits, Excess::Refuse)
    }

    async fn join(&self) -> Client {
        Client::join(&self.server, ["/"]).await.0
    }

    /// Expects that limits have been crossed, and no others.
    fn crossed<const N: usize>(&mut self, expected: [&str; N]) {
        for expected in expected {
            assert_eq!(self.crossed.try_recv().as_deref(), Ok(expected));
        }
        assert!(self.crossed.is_empty());
    }
}

fn rate(count: u32) -> Option<Rate> {
    Some(Rate::per_second(count))
}

/// Sends so many events and returns how many of them are done, before one that is refused.
async fn done(client: &mut Client, events: usize, error: &str) -> usize {
    client.send_all((0..events).map(|n| format!(r#"2{n}["echo",{n}]"#))).await;
    let mut done = 0;
    for n in 0..events {
        let answer = client.text().await;
        if answer == format!("3{n}[{n}]") {
            assert_eq!(done, n, "no event is done after one that is refused");
            done += 1;
        } else {
            assert_eq!(answer, format!(r#"3{n}[{{"error":"{error}"}}]"#));
        }
    }
    done
}

#[tokio::test(start_paused = true)]
async fn events_of_a_socket() {
    let limits = Limits { events: Some(Rate::per_second(5).burst(10)), ..Limits::default() };
    let mut limited = Limited::refusing(limits);
    let mut client = limited.join().await;
    assert_eq!(done(&mut client, 10, "").await, 10);
    limited.crossed([]);
    assert_eq!(done(&mut client, 2, "too many events").await, 0);
    limited.crossed(["Events /", "Events /"]);
    // Another socket has its own rate, even on the same connection, and answers are no events.
    client.send("0/a,").await;
    client.consent("0/a,").await;
    client.send(r#"2/a,1["echo",1]"#).await;
    assert_eq!(client.text().await, "3/a,1[1]");
    let socket = limited.server.of("/").sockets().remove(0);
    let asking = tokio::spawn(async move { socket.emit_with_ack::<u8, _>("asked", &(), MINUTE).await });
    assert_eq!(client.text().await, r#"20["asked"]"#);
    client.send("30[7]").await;
    assert_eq!(asking.await.unwrap().unwrap(), 7);
    limited.crossed([]);
    // What nobody waits for is refused in silence.
    client.send(r#"2["echo",1]"#).await;
    assert_eq!(limited.crossed.recv().await.unwrap(), "Events /");
    advance(Duration::from_secs(1)).await;
    assert_eq!(done(&mut client, 6, "too many events").await, 5);
    limited.crossed(["Events /"]);
    others_are_served(&limited.server).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_of_a_socket() {
    let limits = Limits { bytes: rate(2_000), ..Limits::default() };
    let mut limited = Limited::refusing(limits);
    let mut client = limited.join().await;
    let header = |id| format!(r#"51-{id}["size",{{"_placeholder":true,"num":0}}]"#);
    let plain = format!(r#"2["echo","{}"]"#, "x".repeat(800));
    client.send(&plain).await;
    client.send(&header(1)).await;
    client.send_binary(&[0; 800]).await;
    assert_eq!(client.text().await, "31[800]");
    limited.crossed([]);
    client.send(&header(2)).await;
    client.send_binary(&[0; 800]).await;
    assert_eq!(client.text().await, r#"32[{"error":"too many bytes"}]"#);
    limited.crossed(["Bytes /"]);
    advance(Duration::from_secs(1)).await;
    client.send(&header(3)).await;
    client.send_binary(&[0; 1_800]).await;
    assert_eq!(client.text().await, "33[1800]");
    limited.crossed([]);
}

async fn from(server: &Server, address: &str) -> Client {
    let address: SocketAddr = address.parse().unwrap();
    let mut client = Client::open_from(server, 1 << 20, Some(address)).await;
    client.send("0").await;
    client.consent("0").await;
    client
}

#[tokio::test(start_paused = true)]
async fn events_of_an_address() {
    let limits = Limits { address_events: rate(10), ..Limits::default() };
    let mut limited = Limited::refusing(limits);
    let error = "too many events from this address";
    let (mut one, mut two) =
        (from(&limited.server, "1.2.3.4:5").await, from(&limited.server, "1.2.3.4:6").await);
    assert_eq!(done(&mut one, 6, "").await, 6);
    assert_eq!(done(&mut two, 6, error).await, 4);
    assert_eq!(done(&mut one, 1, error).await, 0);
    limited.crossed(["AddressEvents /"; 3]);
    let mut other = from(&limited.server, "1.2.3.5:5").await;
    assert_eq!(done(&mut other, 10, "").await, 10);
    // Coming again is of no use.
    drop((one, two));
    eventually("they have gone", || limited.server.of("/").sockets().len() == 1).await;
    advance(Duration::from_millis(500)).await;
    let mut one = from(&limited.server, "1.2.3.4:7").await;
    assert!(done(&mut one, 8, error).await < 8);
}

#[tokio::test(start_paused = true)]
async fn bytes_of_an_address() {
    let limits = Limits { address_bytes: rate(2_000), ..Limits::default() };
    let mut limited = Limited::refusing(limits);
    let (mut one, mut two) = (from(&limited.server, "[::1]:5").await, from(&limited.server, "[::1]:6").await);
    let event = format!(r#"21["echo","{}"]"#, "x".repeat(800));
    for client in [&mut one, &mut two] {
        client.send(&event).await;
        assert!(client.text().await.starts_with(r#"31["x"#));
    }
    limited.crossed([]);
    one.send(&event).await;
    assert_eq!(one.text().await, r#"31[{"error":"too many bytes from this address"}]"#);
    limited.crossed(["AddressBytes /"]);
}

#[tokio::test]
async fn handlers_that_wait() {
    for ordered in [false, true] {
        let (gate, started) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, counter) = (Arc::clone(&gate), Arc::clone(&started));
        let root = Namespace::new().on("wait", move |_, n: u32| {
            counter.fetch_add(1, Ordering::Relaxed);
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire().await.unwrap().forget();
                Ack(n)
            }
        });
        let root = if ordered { root.ordered() } else { root };
        let limits = Limits { parked: 3, ..Limits::default() };
        let server = Server::builder().namespace("/", root).limits(limits).build();
        let (mut client, _) = Client::join(&server, ["/"]).await;
        client.send_all((0..6).map(|n| format!(r#"2{n}["wait",{n}]"#))).await;
        let at_once = if ordered { 1 } else { 3 };
        eventually("they wait", || started.load(Ordering::Relaxed) == at_once).await;
        client.send("1").await;
        // Nothing more is read, not even that the client has left.
        Client::open(&server, 1024).await;
        assert_eq!((started.load(Ordering::Relaxed), server.of("/").sockets().len()), (at_once, 1));
        gate.add_permits(1);
        assert_eq!(client.text().await, "30[0]");
        eventually("one more is read", || started.load(Ordering::Relaxed) == at_once + 1).await;
        gate.add_permits(5);
        eventually("it has left", || server.of("/").sockets().is_empty()).await;
    }
}

#[tokio::test]
async fn acknowledgements_that_are_waited_for() {
    let mut limited = Limited::refusing(Limits { pending_acks: 2, ..Limits::default() });
    let mut client = limited.join().await;
    let socket = limited.server.of("/").sockets().remove(0);
    let everyone = limited.server.of("/").everyone();
    let ask = |name| everyone.emit_with_ack::<u8, _>(name, &(), MINUTE).unwrap();
    let (first, second) = (ask("first"), ask("second"));
    limited.crossed([]);
    let third = socket.emit_with_ack::<u8, _>("third", &(), MINUTE).await;
    assert!(matches!(third, Err(AckError::TooManyPending)));
    let fourth = ask("fourth").collect().await;
    assert!(matches!(&fourth.missing[..], [(Some(id), AckError::TooManyPending)] if id == socket.id()));
    limited.crossed(["PendingAcks /", "PendingAcks /"]);
    // Only what can be answered was sent.
    assert_eq!((&*client.text().await, &*client.text().await), (r#"20["first"]"#, r#"21["second"]"#));
    client.quiet().await;
    client.send("30[1]").await;
    assert_eq!(first.collect().await.answers, [1]);
    assert_eq!(socket.pending_acks(), 1);
    drop(second);
    assert_eq!(socket.pending_acks(), 0);
}

#[tokio::test]
async fn rooms_of_a_socket() {
    let mut limited = Limited::refusing(Limits { rooms: 3, ..Limits::default() });
    let mut client = limited.join().await;
    client.send_all([r#"21["join",["a","b"]]"#, r#"22["join",["c","a","b"]]"#]).await;
    assert_eq!((&*client.text().await, &*client.text().await), ("31[2]", "32[3]"));
    limited.crossed([]);
    client.send(r#"23["join",["d"]]"#).await;
    assert_eq!(client.text().await, "33[3]");
    limited.crossed(["Rooms /"]);
    assert!(limited.server.to("d").sockets().is_empty());
    let socket = limited.server.of("/").sockets().remove(0);
    socket.leave("a");
    socket.join("d");
    limited.crossed([]);
    assert_eq!(limited.server.to("d").sockets().len(), 1);
}

#[tokio::test]
async fn namespaces_of_a_connection() {
    let mut limited = Limited::refusing(Limits { namespaces: 2, ..Limits::default() });
    let (mut client, _) = Client::join(&limited.server, ["/", "/a"]).await;
    limited.crossed([]);
    client.send("0/b,").await;
    assert_eq!(client.text().await, r#"4/b,{"message":"too many namespaces"}"#);
    limited.crossed(["Namespaces nobody"]);
    client.quiet().await;
    client.send_all(["1/a,", "0/b,"]).await;
    client.consent("0/b,").await;
    others_are_served(&limited.server).await;
    // One that the server has ended is not one that the client is in.
    limited.server.of("/b").sockets()[0].disconnect();
    assert_eq!(client.text().await, "1/b,");
    client.send("0/c,").await;
    client.consent("0/c,").await;
    limited.crossed([]);
}

#[tokio::test]
async fn attachments_of_a_packet() {
    let limited = Limited::refusing(Limits { attachments: 2, ..Limits::default() });
    let mut client = limited.join().await;
    let socket = limited.server.of("/").sockets().remove(0);
    let buffers = |count| vec![Bytes::from("x"); count];
    socket.emit("two", &buffers(2)).unwrap();
    assert!(client.text().await.starts_with(r#"52-["two""#));
    for _ in 0..2 {
        assert_eq!(client.receive().await, Received::Binary(b"x".to_vec()));
    }
    assert!(socket.emit("three", &buffers(3)).is_err());
    client.quiet().await;
    client.send(r#"53-["three"]"#).await;
    client.closed().await;
    others_are_served(&limited.server).await;
    // It can be raised, too.
    let limited = Limited::refusing(Limits { attachments: 20, ..Limits::default() });
    let mut client = limited.join().await;
    let places = (0..20).map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#)).collect::<Vec<_>>();
    client.send(&format!(r#"520-1["echo",[{}]]"#, places.join(","))).await;
    for n in 0..20 {
        client.send_binary(&[n]).await;
    }
    assert!(client.text().await.starts_with("31["));
}

#[tokio::test]
async fn bytes_of_attachments() {
    let mut limited = Limited::refusing(Limits { attachment_bytes: 1_000, ..Limits::default() });
    let mut client = limited.join().await;
    let places = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    client.send(&format!(r#"52-1["size",{places}]"#)).await;
    client.send_binary(&[0; 999]).await;
    client.send_binary(&[0; 1]).await;
    assert_eq!(client.text().await, "31[999]");
    client.send(&format!(r#"52-2["size",{places}]"#)).await;
    client.send_binary(&[0; 1_001]).await;
    client.closed().await;
    assert_eq!(limited.ended.recv().await.unwrap(), "ForcedClose");
    others_are_served(&limited.server).await;
}

#[tokio::test(start_paused = true)]
async fn time_for_an_attachment() {
    let mut limited =
        Limited::refusing(Limits { attachment_timeout: Duration::from_secs(9), ..Limits::default() });
    let mut client = limited.join().await;
    let places = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    client.send(&format!(r#"52-1["size",{places}]"#)).await;
    for _ in 0..2 {
        // Each has its own time.
        advance(Duration::from_secs(8)).await;
        client.send_binary(&[0; 10]).await;
    }
    assert_eq!(client.text().await, "31[10]");
    let start = Instant::now();
    client.send(&format!(r#"52-2["size",{places}]"#)).await;
    client.closed().await;
    assert_eq!(start.elapsed().as_secs(), 9);
    assert_eq!(limited.ended.recv().await.unwrap(), "ForcedClose");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_over_a_limit_can_be_closed() {
    let one = rate(1);
    let default = Limits::default();
    let ask = "ask";
    for (limits, limit, excess) in [
        (Limits { events: one, ..default }, "Events", r#"2["echo",1]"#),
        (Limits { bytes: one, ..default }, "Bytes", r#"2["echo",1]"#),
        (Limits { address_events: one, ..default }, "AddressEvents", r#"2["echo",1]"#),
        (Limits { address_bytes: one, ..default }, "AddressBytes", r#"2["echo",1]"#),
        (Limits { namespaces: 2, ..default }, "Namespaces", "0/b,"),
        (Limits { rooms: 1, ..default }, "Rooms", r#"2["join",["r","s"]]"#),
        (Limits { pending_acks: 0, ..default }, "PendingAcks", ask),
    ] {
        let mut limited = Limited::new(limits, Excess::Close);
        let address = "1.2.3.4:5".parse().unwrap();
        let mut client = Client::open_from(&limited.server, 1 << 20, Some(address)).await;
        client.send_all(["0", "0/a,"]).await;
        let _ids = (client.consent("0").await, client.consent("0/a,").await);
        if limit != "Rooms" {
            client.send(r#"2["echo",0]"#).await;
        }
        if excess == ask {
            let socket = limited.server.of("/").sockets().remove(0);
            socket.emit_with_ack::<Value, _>("asked", &(), MINUTE).await.unwrap_err();
        } else {
            client.send(excess).await;
        }
        while let Received::Text(text) = client.receive().await {
            assert!(text.starts_with("4/b,"), "{limit}: {text}");
        }
        for _ in 0..2 {
            assert_eq!(limited.ended.recv().await.unwrap(), format!("LimitExceeded({limit})"));
        }
        let place = if limit == "Namespaces" { "nobody" } else { "/" };
        limited.crossed([&*format!("{limit} {place}")]);
    }
}
