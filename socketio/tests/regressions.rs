//! What other servers have got wrong once, a test for each.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use client::{Client, MINUTE, echo, eventually, frame, frame_part, http, notes, others_are_served, serve};
use engineio::Config;
use serde_json::Value;
use socketio::{Ack, AckError, Limits, Namespace, Server, Socket};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

const UNKNOWN_SID: (u16, &str) = (400, r#"{"code":1,"message":"Session ID unknown"}"#);

async fn get(server: &Server, target: &str) -> (u16, String) {
    http::get(server, target).await
}

fn as_text((status, body): &(u16, String)) -> (u16, &str) {
    (*status, body)
}

#[tokio::test]
async fn the_public_id_is_not_the_id_of_the_connection() {
    let server = Server::builder().namespace("/", echo()).namespace("/b", echo()).build();
    let (client, [root, b]) = Client::join(&server, ["/", "/b"]).await;
    assert!(root != b && root != client.sid && b != client.sid);
    for public in [root, b] {
        let answer = get(&server, &format!("/socket.io/?EIO=4&transport=polling&sid={public}")).await;
        assert_eq!(as_text(&answer), UNKNOWN_SID);
    }
}

#[tokio::test]
async fn a_socket_in_several_of_the_rooms_receives_once() {
    let root = echo().on_connect(async |socket: Socket| socket.join(["r", "s", "t"]));
    let server = serve(root);
    let (mut client, [id]) = Client::join(&server, ["/"]).await;
    server.to(["r", "s"]).to("t").to("r").to(&*id).emit("once", &()).unwrap();
    assert_eq!(client.text().await, r#"2["once"]"#);
    client.quiet().await;
    assert_eq!(server.to(["r", "s"]).sockets().len(), 1);
}

#[tokio::test]
async fn a_socket_is_in_the_room_of_its_own_id() {
    let server = serve(echo().on("tell", async |socket: Socket, id: String| {
        socket.to(id).emit("told", &()).unwrap();
    }));
    let (mut ann, [ann_id]) = Client::join(&server, ["/"]).await;
    let (mut bob, [bob_id]) = Client::join(&server, ["/"]).await;
    ann.send_all([format!(r#"2["tell","{bob_id}"]"#), format!(r#"2["tell","{ann_id}"]"#)]).await;
    assert_eq!(bob.text().await, r#"2["told"]"#);
    ann.quiet().await;
    bob.quiet().await;
    server.except(&*ann_id).emit("others", &()).unwrap();
    assert_eq!(bob.text().await, r#"2["others"]"#);
    ann.quiet().await;
    // Leaving it is not possible, and joining it changes nothing.
    let socket = server.of("/").socket(&ann_id).unwrap();
    socket.join(&*ann_id);
    socket.leave(&*ann_id);
    assert!(socket.rooms().is_empty());
    server.to(&*ann_id).emit("own", &()).unwrap();
    assert_eq!(ann.text().await, r#"2["own"]"#);
}

#[tokio::test]
async fn events_are_delivered_in_order() {
    let root = echo().on("count", async |socket: Socket, to: u32| {
        for n in 0..to {
            // By itself and to its room, in turn: one order.
            if n % 2 == 0 {
                socket.emit_wait("n", &n).await.unwrap();
            } else {
                socket.connection().ready().await.unwrap();
                socket.namespace_handle().to(socket.id()).emit("n", &n).unwrap();
            }
        }
    });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"2["count",20000]"#).await;
    for n in 0..20_000 {
        assert_eq!(client.text().await, format!(r#"2["n",{n}]"#));
    }
}

#[tokio::test]
async fn events_are_dispatched_in_order() {
    let (note, mut noted) = mpsc::unbounded_channel();
    let root = echo().on("n", move |_, n: u32| {
        note.send(n).unwrap();
        async move {
            // Handlers that wait may end in any order, but have started in this one.
            if n.is_multiple_of(3) {
                tokio::task::yield_now().await;
            }
        }
    });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all((0..20_000).map(|n| format!(r#"2["n",{n}]"#))).await;
    for n in 0..20_000 {
        assert_eq!(noted.recv().await, Some(n));
    }
}

#[tokio::test]
async fn a_malformed_sid_is_unknown_and_never_a_new_connection() {
    let server = serve(echo());
    let long = "x".repeat(5_000);
    for sid in ["abc", &*long, "%00", "%ff%fe", "__proto__", "AAAAAAAAAAAAAAAAAAAA", "a%20b", "%"] {
        for transport in ["polling", "websocket"] {
            let answer = get(&server, &format!("/socket.io/?EIO=4&transport={transport}&sid={sid}")).await;
            assert_eq!(as_text(&answer), UNKNOWN_SID, "{sid} {transport}");
        }
    }
    assert!(server.engine().connections().is_empty());
}

#[tokio::test]
async fn the_path_is_exact() {
    let server = serve(echo());
    for path in
        ["/socket.ioXYZ/", "/socket.io", "/SOCKET.IO/", "/x/socket.io/", "//socket.io/", "/engine.io/"]
    {
        assert_eq!(get(&server, &format!("{path}?EIO=4&transport=polling")).await.0, 404, "{path}");
    }
    assert_eq!(get(&server, "/socket.io/?EIO=4&transport=polling").await.0, 200);
    let server = Server::builder().path("/chat").build();
    assert_eq!(get(&server, "/chat/?EIO=4&transport=polling").await.0, 200);
    assert_eq!(get(&server, "/socket.io/?EIO=4&transport=polling").await.0, 404);
}

const MAX_PAYLOAD: usize = 1_000;

fn small_server() -> Server {
    let config = Config::default().max_payload(MAX_PAYLOAD);
    Server::builder().engine(config).namespace("/", echo()).build()
}

/// An event that is a packet of so many bytes, the `4` in front included.
fn packet(bytes: usize) -> String {
    let (head, tail) = (r#"421["echo",""#, r#""]"#);
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
}

#[tokio::test]
async fn a_websocket_message_over_the_maximum_is_closed_with_1009() {
    let server = small_server();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.write(&frame(1, packet(MAX_PAYLOAD).as_bytes())).await;
    assert!(client.text().await.starts_with("31["));
    client.write(&frame(1, packet(MAX_PAYLOAD + 1).as_bytes())).await;
    client.closed_with(1009).await;
    // At the header: the payload is not waited for.
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.write(&[&[0x81, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat()).await;
    client.closed_with(1009).await;
    others_are_served(&server).await;
}

#[tokio::test]
async fn fragments_over_the_maximum_together_are_closed_with_1009() {
    let server = small_server();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let whole = packet(MAX_PAYLOAD);
    let (first, rest) = whole.as_bytes().split_at(500);
    client.write(&[frame_part(1, first), frame_part(0x80, rest)].concat()).await;
    assert!(client.text().await.starts_with("31["));
    client.write(&[frame_part(1, first), frame_part(0, &[b'x'; 499]), frame_part(0, b"xx")].concat()).await;
    client.closed_with(1009).await;
    others_are_served(&server).await;
}

#[tokio::test]
async fn a_post_over_the_maximum_is_413_and_the_connection_lives() {
    let server = small_server();
    let mut polling = http::Polling::join(&server).await;
    assert_eq!(polling.try_post(&packet(MAX_PAYLOAD + 1)).await, (413, String::new()));
    // A stream that was sent too much is not used again.
    polling.reopen(&server);
    polling.post(&packet(MAX_PAYLOAD)).await;
    assert!(polling.poll().await.starts_with("431["));
}

#[tokio::test]
async fn ten_attachments_at_most() {
    let server = serve(echo().on("count", async |_, all: Vec<bytes::Bytes>| Ack(all.len())));
    let packet = |count: usize| {
        let places: Vec<_> =
            (0..count).map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#)).collect();
        format!(r#"5{count}-1["count",[{}]]"#, places.join(","))
    };
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(&packet(10)).await;
    for n in 0..10 {
        client.send_binary(&[n]).await;
    }
    assert_eq!(client.text().await, "31[10]");
    client.send(&packet(11)).await;
    client.closed().await;
    others_are_served(&server).await;
}

/// A server with a client that answers nothing, asked by all ways there are.
async fn asked(timeout: Duration) -> (Server, Client, Socket, mpsc::UnboundedReceiver<String>) {
    let server = serve(echo());
    let (mut client, [id]) = Client::join(&server, ["/"]).await;
    let socket = server.of("/").socket(&id).unwrap();
    let (note, noted) = notes();
    let (asker, noter) = (socket.clone(), note.clone());
    tokio::spawn(async move {
        let answer = asker.emit_with_ack::<Value, _>("one", &(), timeout).await;
        noter.send(format!("{answer:?}")).unwrap();
    });
    let all = server.of("/").everyone().emit_with_ack::<Value, _>("many", &(), timeout).unwrap();
    tokio::spawn(async move {
        let answers = all.collect().await;
        let (_, error) = &answers.missing[0];
        note.send(format!("{:?}", Err::<Value, _>(error))).unwrap();
    });
    let mut received = [client.text().await, client.text().await];
    received.sort();
    assert!(received[0].ends_with(r#"["many"]"#) && received[1].ends_with(r#"["one"]"#), "{received:?}");
    assert_eq!(socket.pending_acks(), 2);
    (server, client, socket, noted)
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_are_forgotten_at_their_timeout() {
    let start = Instant::now();
    let (_server, mut client, socket, mut noted) = asked(Duration::from_secs(5)).await;
    for _ in 0..2 {
        assert_eq!(noted.recv().await.unwrap(), "Err(Timeout)");
    }
    assert_eq!((socket.pending_acks(), start.elapsed().as_secs()), (0, 5));
    // Answers that come late are ignored.
    client.send_all(["30[1]", "31[1]"]).await;
    client.quiet().await;
}

#[tokio::test]
async fn acknowledgements_are_forgotten_at_the_disconnection() {
    for leave in ["41", "close"] {
        let (_server, mut client, socket, mut noted) = asked(MINUTE).await;
        match leave {
            "41" => client.send("1").await,
            _ => drop(client),
        }
        for _ in 0..2 {
            assert_eq!(noted.recv().await.unwrap(), "Err(Disconnected)");
        }
        assert_eq!(socket.pending_acks(), 0, "{leave}");
    }
    let (_server, _client, socket, mut noted) = asked(MINUTE).await;
    socket.disconnect();
    assert_eq!(socket.pending_acks(), 0);
    assert_eq!(noted.recv().await.unwrap(), "Err(Disconnected)");
    let late = socket.emit_with_ack::<Value, _>("late", &(), MINUTE).await;
    assert!(matches!(late, Err(AckError::Disconnected)));
}

#[tokio::test(start_paused = true)]
async fn the_first_ping_comes_after_the_interval() {
    let server = serve(echo());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let start = Instant::now();
    for pings in 1..=3 {
        assert_eq!(client.frame().await, Some((1, b"2".to_vec())));
        assert_eq!(start.elapsed().as_secs(), 25 * pings);
        client.write(&frame(1, b"3")).await;
    }
}

#[tokio::test]
async fn pongs_that_nobody_asked_for_are_harmless() {
    let server = serve(echo());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.write(&frame(1, b"3").repeat(100_000)).await;
    client.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_does_not_wait_behind_events() {
    let server = serve(echo());
    let mut client = Client::open(&server, 4096).await;
    client.send("0").await;
    let id = client.consent("0").await;
    let socket = server.of("/").socket(&id).unwrap();
    while socket.emit("news", &"x".repeat(10_000)).is_ok() {}
    tokio::time::sleep(Duration::from_secs(26)).await;
    let mut before = 0;
    while client.frame().await.unwrap().1 != b"2" {
        before += 1;
    }
    // What was on its way already comes first, of some 200.
    assert!(before <= 40, "{before} events before the ping");
    client.write(&frame(1, b"3")).await;
    assert!(client.text().await.starts_with(r#"2["news""#));
}

#[tokio::test]
async fn no_event_is_lost_right_after_a_connect() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let root = Namespace::new()
        .on_connect(async |socket: Socket| {
            socket.set(7_u8);
        })
        .on("first", move |socket: Socket, n: u32| {
            counter.fetch_add(1, Ordering::Relaxed);
            // The connect handler has run.
            let ready = socket.get::<u8>();
            async move { Ack((n, ready)) }
        });
    let server = serve(root);
    let mut clients = Vec::new();
    for n in 0..2_000 {
        let mut client = Client::open(&server, 1024).await;
        client.send_all(["0".to_owned(), format!(r#"20["first",{n}]"#)]).await;
        clients.push(client);
    }
    for (n, client) in clients.iter_mut().enumerate() {
        client.consent("0").await;
        assert_eq!(client.text().await, format!("30[{n},7]"));
    }
    assert_eq!(count.load(Ordering::Relaxed), 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_for_a_slow_reader_is_not_dropped() {
    let root = echo().on("burst", async |socket: Socket, ()| {
        let mut text = "x".repeat(100_000);
        for n in 0..2_000 {
            text.replace_range(..4, &format!("{n:04}"));
            socket.emit_wait("part", &text).await.unwrap();
        }
    });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"2["burst"]"#).await;
    for n in 0..2_000 {
        let part = client.text().await;
        assert_eq!((&part[..14], part.len()), (&*format!(r#"2["part","{n:04}"#), 100_012));
    }
    client.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_for_slow_handlers_is_not_dropped() {
    let (gate, started) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opened, counter) = (Arc::clone(&gate), Arc::clone(&started));
    let root = echo().on("part", move |_, text: String| {
        counter.fetch_add(1, Ordering::Relaxed);
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            Ack(text.len())
        }
    });
    let limits = Limits { parked: 10, ..Limits::default() };
    let server = Server::builder().namespace("/", root).limits(limits).build();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let text = "x".repeat(100_000);
    let sent = AtomicUsize::new(0);
    let sending = async {
        for n in 0..2_000 {
            client.send(&format!(r#"2{n}["part","{text}"]"#)).await;
            sent.fetch_add(1, Ordering::Relaxed);
        }
    };
    let opening = async {
        eventually("ten handlers wait", || started.load(Ordering::Relaxed) == 10).await;
        others_are_served(&server).await;
        // The client feels that nobody reads: what it sends waits in the pipe.
        assert!(sent.load(Ordering::Relaxed) < 100);
        gate.add_permits(2_000);
    };
    tokio::join!(sending, opening);
    let mut acks = Vec::new();
    for _ in 0..2_000 {
        acks.push(client.text().await);
    }
    acks.sort_unstable();
    acks.dedup();
    assert!(acks.len() == 2_000 && acks.iter().all(|ack| ack.ends_with("[100000]")));
}
