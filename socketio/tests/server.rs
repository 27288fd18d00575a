//! The server as a client sees it.

mod client;

use bytes::Bytes;
use client::{Client, Received};
use serde_json::{Value, json};
use socketio::{Ack, AckError, Broadcast, Event, Limits, Namespace, Refusal, SendError, Server, Socket};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc};

const SUM: Event<(i64, i64)> = Event::new("sum");
const MINUTE: Duration = Duration::from_secs(60);

/// A namespace where `echo` is acknowledged with what it carries: how tests see that nothing else was sent
/// before.
fn echo() -> Namespace {
    Namespace::new().on("echo", async |_, value: Value| Ack(value))
}

fn serve(root: Namespace) -> Server {
    Server::builder().namespace("/", root).build()
}

/// What handlers have noted, in order.
fn notes() -> (mpsc::UnboundedSender<String>, mpsc::UnboundedReceiver<String>) {
    mpsc::unbounded_channel()
}

/// Expects that nothing has been sent to the client.
async fn quiet(client: &mut Client) {
    client.send(r#"2999["echo","quiet"]"#).await;
    assert_eq!(client.text().await, r#"3999["quiet"]"#);
}

#[tokio::test]
async fn events_and_acknowledgements_both_ways() {
    let root =
        echo().on(SUM, async |_, (a, b)| Ack(a + b)).on("ask", async |socket: Socket, question: String| {
            let answer: Result<(String, u8), AckError> =
                socket.emit_with_ack("asked", &question, MINUTE).await;
            socket.emit("answered", &answer.unwrap()).unwrap();
        });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"20["sum",2,3]"#).await;
    assert_eq!(client.text().await, "30[5]");
    client.send(r#"2["sum",2,3]"#).await;
    client.send(r#"2["unknown",2,3]"#).await;
    quiet(&mut client).await;
    client.send(r#"2["ask","why?"]"#).await;
    assert_eq!(client.text().await, r#"20["asked","why?"]"#);
    client.send(r#"37["nobody asked"]"#).await;
    client.send(r#"30["because",1,"surplus"]"#).await;
    assert_eq!(client.text().await, r#"2["answered","because",1]"#);
    client.send(r#"30["twice",1]"#).await;
    quiet(&mut client).await;
}

#[tokio::test]
async fn ids_are_public_and_consent_comes_first() {
    let root = echo()
        .middleware(async |socket: Socket| {
            let name = socket.handshake().head().query_param("name").map(Into::into);
            socket.set::<String>(name.ok_or_else(|| Refusal::new("who?"))?);
            Ok(())
        })
        .on_connect(async |socket: Socket| {
            socket.emit("welcome", &socket.get::<String>()).unwrap();
        });
    let server = Server::builder().namespace("/", root).namespace("/b", echo()).build();
    let (mut client, [root_id]) = Client::join(&server, ["/"]).await;
    assert_eq!(client.text().await, r#"2["welcome","ann"]"#);
    client.send("0/b,").await;
    let b_id = client.consent("0/b,").await;
    assert_ne!(root_id, b_id);
    let sid = server.engine().connections()[0].sid().as_str().to_owned();
    assert!(root_id.len() == 20 && root_id != sid && b_id != sid);
    assert_eq!(server.of("/b").socket(&b_id).unwrap().id(), b_id);
    client.send(r#"2/b,5["echo",1]"#).await;
    assert_eq!(client.text().await, "3/b,5[1]");
}

#[tokio::test]
async fn namespaces_that_cannot_be_joined() {
    let attempts = AtomicUsize::new(0);
    let kept = Arc::new(());
    let keep = Arc::clone(&kept);
    let guarded = Namespace::new()
        .middleware(move |socket: Socket| {
            socket.join("anteroom");
            socket.set(Arc::clone(&keep));
            async { Ok(()) }
        })
        .middleware(move |socket: Socket| {
            let nth = attempts.fetch_add(1, Ordering::Relaxed);
            async move {
                let token: Value = socket.auth()?;
                tokio::task::yield_now().await;
                match nth {
                    0 => Err(Refusal::new("not yet").with_data(json!({ "token": token }))),
                    1 => panic!("a middleware that panics"),
                    _ => Ok(()),
                }
            }
        })
        .on_connect(async |_| {});
    let server = Server::builder().namespace("/", echo()).namespace("/guarded", guarded).build();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send("0/nope?a=b,").await;
    assert_eq!(client.text().await, r#"4/nope?a=b,{"message":"Invalid namespace"}"#);
    client.send(r#"0/guarded,{"t":1}"#).await;
    assert_eq!(client.text().await, r#"4/guarded,{"message":"not yet","data":{"token":{"t":1}}}"#);
    assert_eq!(Arc::strong_count(&kept), 2, "nothing holds a socket that was refused");
    client.send("0/guarded,").await;
    assert_eq!(client.text().await, r#"4/guarded,{"message":"Internal server error"}"#);
    client.send("0/guarded,").await;
    let id = client.consent("0/guarded,").await;
    assert_eq!(server.of("/guarded").to("anteroom").sockets()[0].id(), id);
    assert_eq!(Arc::strong_count(&kept), 3);
    client.send("1/guarded,").await;
    quiet(&mut client).await;
    assert_eq!(Arc::strong_count(&kept), 2, "nothing holds a socket that has left");
}

#[tokio::test]
async fn what_breaks_the_rules_closes_the_connection() {
    let slow = Namespace::new().middleware(async |_| std::future::pending().await);
    let (note, mut noted) = notes();
    let noter = note.clone();
    let root = Namespace::new()
        .on("late", move |_, ()| {
            noter.send("an event after the fault".to_owned()).unwrap();
            async {}
        })
        .on_disconnect(move |_, reason| {
            note.send(reason.to_string()).unwrap();
            async {}
        });
    let server = Server::builder().namespace("/", root).namespace("/slow", slow).build();
    for packets in [
        &["0"][..],
        &[r#"2/other,["a"]"#],
        &["3/other,1[]"],
        &["1/other,"],
        &["4{}"],
        &["2"],
        &[r#"2["a"]x"#],
        &[r#"2["connect"]"#],
        &["0/slow,", "0/slow,"],
        &["0/slow,", r#"2/slow,["a"]"#],
        &["0/slow,[]"],
        &[r#"511-["a"]"#],
        &[r#"51-["a",{"_placeholder":true,"num":0}]"#, r#"2["a"]"#],
    ] {
        let (mut client, _) = Client::join(&server, ["/"]).await;
        client.send_all(packets.iter().chain(&[r#"2["late"]"#]).map(|&text| text.to_owned())).await;
        client.closed().await;
        assert_eq!(noted.recv().await.unwrap(), "forced close", "{packets:?}");
    }
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_binary(b"unexpected").await;
    client.closed().await;
    assert_eq!((server.of("/").sockets().len(), server.of("/slow").sockets().len()), (0, 0));
}

#[tokio::test]
async fn binary_data_both_ways() {
    let root = echo().on("swap", async |socket: Socket, (a, b): (Bytes, Vec<Bytes>)| {
        socket.emit("swapped", &(b, a.clone())).unwrap();
        Ack(a)
    });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let place = |num: u8| format!(r#"{{"_placeholder":true,"num":{num}}}"#);
    client.send(&format!(r#"52-4["swap",{},[{}]]"#, place(1), place(0))).await;
    client.send_binary(b"zero").await;
    client.send_binary(b"").await;
    assert_eq!(client.text().await, format!(r#"52-["swapped",[{}],{}]"#, place(0), place(1)));
    assert_eq!(client.receive().await, Received::Binary(b"zero".to_vec()));
    assert_eq!(client.receive().await, Received::Binary(vec![]));
    assert_eq!(client.text().await, format!("61-4[{}]", place(0)));
    assert_eq!(client.receive().await, Received::Binary(vec![]));
    client.send(r#"50-["swap"]"#).await;
    quiet(&mut client).await;
}

#[tokio::test]
async fn rooms_and_broadcasts() {
    let root = echo()
        .on("join", async |socket: Socket, rooms: Vec<String>| {
            rooms.iter().for_each(|room| socket.join(room));
            Ack(())
        })
        .on("shout", async |socket: Socket, (room, text): (Option<String>, String)| {
            let everyone = socket.broadcast();
            room.into_iter().fold(everyone, Broadcast::to).emit("shouted", &text).unwrap();
        });
    let server = serve(root);
    let (mut ann, [ann_id]) = Client::join(&server, ["/"]).await;
    let (mut bob, [bob_id]) = Client::join(&server, ["/"]).await;
    let (mut eve, _) = Client::join(&server, ["/"]).await;
    for (client, rooms) in
        [(&mut ann, json!(["r", "s"])), (&mut bob, json!(["s"])), (&mut eve, json!(["s", "t"]))]
    {
        client.send(&format!(r#"20["join",{rooms}]"#)).await;
        assert_eq!(client.text().await, "30[]");
    }
    server.to("r").to("s").to(&*ann_id).except("t").emit("once", &1).unwrap();
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.text().await, r#"2["once",1]"#);
    }
    server.to(&*bob_id).emit("own", &()).unwrap();
    assert_eq!(bob.text().await, r#"2["own"]"#);
    server.except(&*bob_id).emit("others", &Bytes::from("x")).unwrap();
    for client in [&mut ann, &mut eve] {
        assert_eq!(client.text().await, r#"51-["others",{"_placeholder":true,"num":0}]"#);
        assert_eq!(client.receive().await, Received::Binary(b"x".to_vec()));
    }
    ann.send(r#"2["shout",null,"all"]"#).await;
    ann.send(r#"2["shout","t","some"]"#).await;
    assert_eq!(bob.text().await, r#"2["shouted","all"]"#);
    assert_eq!(eve.text().await, r#"2["shouted","all"]"#);
    assert_eq!(eve.text().await, r#"2["shouted","some"]"#);
    for client in [&mut ann, &mut bob, &mut eve] {
        quiet(client).await;
    }
    assert!(server.emit("connect", &()).is_err());
}

#[tokio::test]
async fn leaving_and_being_dismissed() {
    let (note, mut noted) = notes();
    let root = echo()
        .on("dismiss", async |socket: Socket, ()| {
            socket.join("r");
            socket.disconnect();
            socket.disconnect();
            socket.join("s");
            assert!(socket.rooms().is_empty());
            assert!(matches!(socket.emit("late", &()), Err(SendError::Disconnected)));
            let answer: Result<(), AckError> = socket.emit_with_ack("late", &(), MINUTE).await;
            assert!(matches!(answer, Err(AckError::Disconnected)));
            Ack("not sent either")
        })
        .on_disconnect(move |_, reason| {
            note.send(reason.to_string()).unwrap();
            async {}
        });
    let server = serve(root);
    let (mut client, [first]) = Client::join(&server, ["/"]).await;
    // What follows the dismissal was sent before the client knew: ignored.
    client.send_all([r#"21["dismiss"]"#, r#"22["echo",1]"#, "31[]", "0"].map(String::from)).await;
    assert_eq!(client.text().await, "1");
    assert_eq!(noted.recv().await.unwrap(), "server namespace disconnect");
    let second = client.consent("0").await;
    assert_ne!(first, second);
    client.send_all(["1", "0"].map(String::from)).await;
    assert_eq!(noted.recv().await.unwrap(), "client namespace disconnect");
    assert_ne!(client.consent("0").await, second);
    quiet(&mut client).await;
    drop(client);
    assert_eq!(noted.recv().await.unwrap(), "transport close");
    assert!(server.of("/").sockets().is_empty());
}

#[tokio::test]
async fn dismissal_from_elsewhere_ends_what_waits() {
    let (note, mut noted) = notes();
    let noter = note.clone();
    let root = echo()
        .on("ask", move |socket: Socket, ()| {
            let note = note.clone();
            async move {
                let answer: Result<(), AckError> = socket.emit_with_ack("asked", &(), MINUTE).await;
                note.send(format!("{answer:?}")).unwrap();
            }
        })
        .on_disconnect(move |socket, reason| {
            noter.send(format!("{} {reason}", socket.namespace())).unwrap();
            async {}
        });
    let server = serve(root);
    let (mut client, [id]) = Client::join(&server, ["/"]).await;
    client.send(r#"2["ask"]"#).await;
    assert_eq!(client.text().await, r#"20["asked"]"#);
    server.of("/").socket(&id).unwrap().disconnect();
    assert_eq!(client.text().await, "1");
    let mut both = [noted.recv().await.unwrap(), noted.recv().await.unwrap()];
    both.sort();
    assert_eq!(both, ["/ server namespace disconnect", "Err(Disconnected)"]);
}

#[tokio::test]
async fn the_whole_connection_can_be_ended() {
    let (note, mut noted) = notes();
    let noting = |path: &'static str| {
        let note = note.clone();
        echo().on_disconnect(move |_, reason| {
            note.send(format!("{path} {reason}")).unwrap();
            async {}
        })
    };
    let server = Server::builder().namespace("/", noting("/")).namespace("/b", noting("/b")).build();
    let (mut client, [id, _]) = Client::join(&server, ["/", "/b"]).await;
    server.of("/").socket(&id).unwrap().disconnect_connection();
    assert_eq!((&*client.text().await, &*client.text().await), ("1", "1/b,"));
    client.closed().await;
    assert_eq!(noted.recv().await.unwrap(), "/ server namespace disconnect");
    assert_eq!(noted.recv().await.unwrap(), "/b server namespace disconnect");
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let (shutdown, ()) = tokio::join!(server.shutdown(MINUTE), client.closed());
    shutdown.unwrap();
    assert_eq!(noted.recv().await.unwrap(), "/ server shutting down");
}

#[tokio::test]
async fn data_of_another_type_is_told() {
    let (note, mut noted) = notes();
    let root = echo().on(SUM, async |_, (a, b)| Ack(a + b)).on_error(move |_, error| {
        note.send(error.to_string()).unwrap();
    });
    let root = root.on("unsendable", async |_, ()| Ack(std::collections::BTreeMap::from([([1], 2)])));
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"27["sum",1]"#).await;
    let told = client.text().await;
    assert!(told.starts_with(r#"37[{"error":"argument 2 is missing"#), "{told}");
    assert!(noted.recv().await.unwrap().starts_with(r#"event "sum": argument 2 is missing"#));
    client.send(r#"2["sum","a","b"]"#).await;
    assert!(noted.recv().await.unwrap().starts_with(r#"event "sum": invalid type"#));
    client.send(r#"28["unsendable"]"#).await;
    let told = client.text().await;
    assert!(told.starts_with(r#"38[{"error":"reply: "#), "{told}");
    quiet(&mut client).await;
}

#[tokio::test]
async fn a_panic_loses_its_event_only() {
    let root = echo().on("now", async |_, ()| -> Ack<()> { panic!("at once") }).on(
        "later",
        async |_, ()| -> Ack<()> {
            tokio::task::yield_now().await;
            panic!("{}", "later")
        },
    );
    let (note, mut noted) = notes();
    let root = root.on_error(move |_, error| note.send(error.to_string()).unwrap());
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all([r#"21["now"]"#, r#"22["later"]"#, r#"2["now"]"#].map(String::from)).await;
    for id in [1, 2] {
        assert_eq!(client.text().await, format!(r#"3{id}[{{"error":"internal server error"}}]"#));
    }
    quiet(&mut client).await;
    let mut told = [noted.recv().await, noted.recv().await, noted.recv().await].map(Option::unwrap);
    told.sort();
    let now = r#"event "now": panic: at once"#;
    assert_eq!(told, [r#"event "later": panic: later"#, now, now]);
}

#[tokio::test]
async fn a_burst_is_answered_in_full_and_in_order() {
    let server = serve(echo());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all((0..20_000).map(|n| format!(r#"2{n}["echo",{n}]"#))).await;
    for n in 0..20_000 {
        assert_eq!(client.text().await, format!("3{n}[{n}]"));
    }
}

#[tokio::test]
async fn handlers_start_in_order_and_wait_aside() {
    let gate = Arc::new(Semaphore::new(0));
    let (note, mut noted) = notes();
    let (opened, noter) = (Arc::clone(&gate), note.clone());
    let root = echo()
        .on("wait", move |_, n: u32| {
            let (gate, note) = (Arc::clone(&opened), note.clone());
            async move {
                note.send(format!("start {n}")).unwrap();
                gate.acquire().await.unwrap().forget();
                Ack(n)
            }
        })
        .on("go", move |_, n: u32| {
            noter.send(format!("start {n}")).unwrap();
            async move { Ack(n) }
        });
    let server =
        Server::builder().namespace("/", root).limits(Limits { parked: 2, ..Limits::default() }).build();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client
        .send_all([r#"20["wait",0]"#, r#"21["go",1]"#, r#"22["wait",2]"#, r#"23["go",3]"#].map(String::from))
        .await;
    // Two wait: the last event is not even read.
    assert_eq!(client.text().await, "31[1]");
    for n in 0..3 {
        assert_eq!(noted.recv().await.unwrap(), format!("start {n}"));
    }
    assert!(noted.is_empty());
    gate.add_permits(1);
    assert_eq!(client.text().await, "30[0]");
    assert_eq!(client.text().await, "33[3]");
    gate.add_permits(1);
    assert_eq!(client.text().await, "32[2]");
}

#[tokio::test(start_paused = true)]
async fn time_limits() {
    let (note, mut noted) = notes();
    let root = echo().on("ask", move |socket: Socket, ()| {
        let note = note.clone();
        async move {
            let answer: Result<(), AckError> =
                socket.emit_with_ack("asked", &(), Duration::from_secs(5)).await;
            note.send(format!("{answer:?}")).unwrap();
        }
    });
    let config = engineio::Config::default().ping_interval(Duration::from_secs(3600));
    let server = Server::builder().engine(config).namespace("/", root).build();
    let (mut client, [id]) = Client::join(&server, ["/"]).await;
    let asked = tokio::time::Instant::now();
    client.send(r#"2["ask"]"#).await;
    assert_eq!(client.text().await, r#"20["asked"]"#);
    let socket = server.of("/").socket(&id).unwrap();
    assert_eq!(socket.pending_acks(), 1);
    assert_eq!(noted.recv().await.unwrap(), "Err(Timeout)");
    assert_eq!(socket.pending_acks(), 0);
    assert_eq!(asked.elapsed().as_secs(), 5);
    client.send("30[]").await;
    quiet(&mut client).await;

    let opened = tokio::time::Instant::now();
    let mut idle = Client::open(&server, 1 << 16).await;
    idle.send("0/nope,").await;
    assert!(idle.text().await.starts_with("4/nope,"));
    idle.closed().await;
    assert_eq!(opened.elapsed().as_secs(), 45);
    // Who has joined may be idle.
    quiet(&mut client).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let (note, mut noted) = notes();
    let root = echo().on_disconnect(move |_, reason| {
        note.send(reason.to_string()).unwrap();
        async {}
    });
    let config = engineio::Config::default().max_outbox_bytes(10_000);
    let server = Server::builder().engine(config).namespace("/", root).build();
    let (mut reader, [reader_id]) = Client::join(&server, ["/"]).await;
    let (_stuck, [stuck_id]) = Client::join(&server, ["/"]).await;
    let stuck = server.of("/").socket(&stuck_id).unwrap();
    let text = "x".repeat(9_000);
    while stuck.is_connected() {
        server.emit("news", &text).unwrap();
        assert!(reader.text().await.starts_with(r#"2["news""#));
    }
    assert_eq!(noted.recv().await.unwrap(), "slow consumer");
    let reader = server.of("/").socket(&reader_id).unwrap();
    reader.emit("fits", &text).unwrap();
    reader.emit("fits", &text).unwrap();
    assert!(matches!(reader.emit("does not", &text), Err(SendError::Full)));
    reader.emit_wait("waits", &text).await.unwrap();
}
