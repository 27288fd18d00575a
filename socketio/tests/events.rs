//! What becomes of an event: its handlers, and who else sees it.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use bytes::Bytes;
use client::{Client, MINUTE, echo, eventually, notes, serve};
use serde_json::Value;
use socketio::{Ack, EventFailure, IncomingEvent, Once, OnceError, Recovery, Server, Socket, packet::AckId};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Semaphore;

#[tokio::test]
async fn several_handlers_start_in_order_and_the_first_answer_is_heard() {
    let gate = Arc::new(Semaphore::new(0));
    let (note, mut noted) = notes();
    let (opened, first, second, third) = (Arc::clone(&gate), note.clone(), note.clone(), note);
    let root = echo()
        .on("e", move |_, n: u8| {
            first.send(format!("first {n}")).unwrap();
            async {}
        })
        .on("e", move |_, n: u8| {
            second.send(format!("second {n}")).unwrap();
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire().await.unwrap().forget();
                Ack("second")
            }
        })
        .on("e", move |_, n: u8| {
            third.send(format!("third {n}")).unwrap();
            async { Ack("third") }
        });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"21["e",7]"#).await;
    for expected in ["first 7", "second 7", "third 7"] {
        assert_eq!(noted.recv().await.unwrap(), expected);
    }
    // When all have ended, and not before.
    client.quiet().await;
    gate.add_permits(1);
    assert_eq!(client.text().await, r#"31["second"]"#);
    client.quiet().await;
}

#[tokio::test]
async fn several_handlers_fail_each_for_itself() {
    let (note, mut noted) = notes();
    let root = echo()
        .on("e", async |_, _: String| Ack("not a string"))
        .on("e", async |_, _: u8| Err::<(), _>("refused"))
        .on("e", async |_, n: u8| Ack(n))
        .on_error(move |_, error| note.send(error.to_string()).unwrap());
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"21["e",7]"#).await;
    assert!(client.text().await.starts_with(r#"31[{"error":"invalid type"#));
    assert!(noted.recv().await.unwrap().starts_with(r#"event "e": invalid type"#));
    client.send(r#"2["e",7]"#).await;
    client.quiet().await;
    let mut errors = [noted.recv().await.unwrap(), noted.recv().await.unwrap()];
    errors.sort();
    assert!(errors[0].starts_with(r#"event "e": invalid type"#), "{errors:?}");
    assert_eq!(errors[1], r#"event "e": refused"#);
    assert!(noted.is_empty());
}

#[tokio::test]
async fn the_fallback_handles_what_nobody_else_does() {
    let root = echo().on("known", async |_, ()| ()).fallback(async |_, event: IncomingEvent| {
        let data: Vec<Value> = event.decode().map_err(|error| error.to_string())?;
        if data.is_empty() {
            return Err(format!("{} without data", event.name()));
        }
        Ok(Ack((event.name().to_owned(), data.len(), event.ack_id().map(AckId::value))))
    });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all([r#"21["known"]"#, r#"22["any",[1,2]]"#, r#"23["other",[]]"#, r#"24[77,[1]]"#]).await;
    assert_eq!(client.text().await, r#"32["any",2,2]"#);
    assert_eq!(client.text().await, r#"33[{"error":"other without data"}]"#);
    assert_eq!(client.text().await, r#"34["77",1,4]"#);
    client.quiet().await;
}

#[tokio::test]
async fn all_events_that_arrive_are_seen_before_anything_else() {
    let (note, mut noted) = notes();
    let (one, two, three, four) = (note.clone(), note.clone(), note.clone(), note);
    let root = echo()
        .event_middleware(move |_, event, next| {
            three.send(format!("middleware {}", event.name())).unwrap();
            next.run(event)
        })
        .on("known", move |_, n: u8| {
            four.send(format!("handler {n}")).unwrap();
            async {}
        })
        .on_any(move |_, event| {
            one.send(format!("first {} {:?}", event.name(), event.decode::<u8>().ok())).unwrap();
            // One that waits, or panics, is nobody's hindrance.
            std::future::pending()
        })
        .on_any(move |_, event| {
            two.send(format!("second {}", event.name())).unwrap();
            async { panic!("of no consequence") }
        });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all([r#"2["known",7]"#, r#"2["unknown","x"]"#]).await;
    for expected in [
        "first known Some(7)",
        "second known",
        "middleware known",
        "handler 7",
        "first unknown None",
        "second unknown",
        "middleware unknown",
    ] {
        assert_eq!(noted.recv().await.unwrap(), expected);
    }
    client.send(r#"29["echo",1]"#).await;
    assert_eq!(client.text().await, "39[1]");
}

#[tokio::test]
async fn all_events_that_are_sent_are_seen_and_no_acknowledgements() {
    for recovery in [None, Some(Recovery::default())] {
        let (note, mut noted) = notes();
        let root = echo()
            .on("ask", async |socket: Socket, ()| {
                socket.emit("told", &1).unwrap();
                Ack("an acknowledgement")
            })
            .on_any_outgoing(move |socket, event| {
                // With what it carries, and nothing else.
                let data: (Value, Option<Value>) = event.decode().unwrap();
                note.send(format!("{} {} {data:?}", &socket.id()[..3], event.name())).unwrap();
            });
        let builder = Server::builder().namespace("/", root);
        let server = recovery.into_iter().fold(builder, socketio::ServerBuilder::recovery).build();
        let (mut client, [one]) = Client::join(&server, ["/"]).await;
        let (_other, [two]) = Client::join(&server, ["/"]).await;
        client.send(r#"21["ask"]"#).await;
        let mut seen = async |id: &str, expected: &str| {
            assert_eq!(noted.recv().await.unwrap(), format!("{} {expected}", &id[..3]));
        };
        seen(&one, "told (Number(1), None)").await;
        let everyone = server.of("/").everyone();
        everyone.clone().to(&*two).emit("broadcast", "x").unwrap();
        seen(&two, r#"broadcast (String("x"), None)"#).await;
        everyone.clone().except(&*two).volatile().emit("volatile", &true).unwrap();
        seen(&one, "volatile (Bool(true), None)").await;
        drop(everyone.to(&*one).emit_with_ack::<Value, _>("asked", &2, MINUTE).unwrap());
        seen(&one, "asked (Number(2), None)").await;
        let socket = server.of("/").socket(&one).unwrap();
        let asking = socket.clone();
        tokio::spawn(async move { asking.emit_with_ack::<Value, _>("asked", &3, MINUTE).await });
        seen(&one, "asked (Number(3), None)").await;
        socket.disconnect();
        assert!(socket.emit("late", &4).is_err());
        assert!(noted.is_empty());
    }
}

#[tokio::test]
async fn outgoing_attachments_are_seen() {
    let (note, mut noted) = notes();
    let root = echo().on_any_outgoing(move |_, event| {
        note.send(format!("{:?}", event.decode::<(Bytes, String)>().unwrap())).unwrap();
    });
    let server = serve(root);
    let (_client, _) = Client::join(&server, ["/"]).await;
    server.emit("photo", &(Bytes::from("raw"), "name")).unwrap();
    assert_eq!(noted.recv().await.unwrap(), r#"(b"raw", "name")"#);
}

#[tokio::test]
async fn failures_are_told_to_the_hook() {
    let (note, mut noted) = notes();
    let root = echo()
        .on("decode", async |_, _: u8| ())
        .on("handler", async |_, ()| Err::<(), _>("its words"))
        .on("panic", async |_, ()| -> () { panic!("{} words", "its") })
        .on("panic early", |_, ()| -> std::future::Ready<()> { panic!("early") })
        .on("reply", async |_, ()| Ack(BTreeMap::from([([1], 2)])))
        .on_error(move |socket, error| {
            assert!(socket.is_connected());
            let kind = match error.failure() {
                EventFailure::Decode(_) => "decode",
                EventFailure::Handler(text) => text,
                EventFailure::Panic(text) => text,
                EventFailure::Reply(_) => "reply",
            };
            note.send(format!("{}: {kind}", error.event())).unwrap();
        });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    for (event, told, awaited) in [
        ("decode", "decode: decode", true),
        ("handler", "handler: its words", false),
        ("panic", "panic: its words", true),
        ("panic early", "panic early: early", true),
        ("reply", "reply: reply", true),
    ] {
        client.send(&format!(r#"2["{event}","x"]"#)).await;
        // A reply that nobody waits for is not encoded.
        if event != "reply" {
            assert_eq!(noted.recv().await.unwrap(), told);
        }
        client.send(&format!(r#"21["{event}","x"]"#)).await;
        assert!(client.text().await.starts_with(r#"31[{"error":"#));
        // An error that the client is told of is not lost.
        if awaited {
            assert_eq!(noted.recv().await.unwrap(), told);
        }
        client.quiet().await;
        assert!(noted.is_empty(), "{event}");
    }
}

#[tokio::test]
async fn the_next_event_of_a_name_can_be_waited_for() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let root = echo()
        .on("reply", async |_, n: u8| Ack(n))
        .on("ask", async |socket: Socket, ()| {
            let (first, second): (Once<u8>, Once<(u8, String)>) =
                (socket.once("reply"), socket.once("reply"));
            socket.emit("asked", &()).unwrap();
            let (second, first) = (second.await, first.await);
            assert!(matches!(second, Err(OnceError::Decode(_))));
            let other: String = socket.once("other").await.unwrap();
            socket.emit("got", &(first.unwrap(), other)).unwrap();
        })
        .fallback(move |_, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            async {}
        });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"2["ask"]"#).await;
    assert_eq!(client.text().await, r#"2["asked"]"#);
    // The handler runs as ever, and the event that nobody waits for any more is an event like others.
    client.send_all([r#"21["reply",7]"#, r#"22["reply",8]"#]).await;
    assert_eq!((&*client.text().await, &*client.text().await), ("31[7]", "32[8]"));
    client.quiet().await;
    client.send_all([r#"2["other","x"]"#, r#"2["other","y"]"#]).await;
    assert_eq!(client.text().await, r#"2["got",7,"x"]"#);
    client.quiet().await;
    assert_eq!(count.load(Ordering::Relaxed), 1, "the fallback gets what nobody waits for");
}

#[tokio::test]
async fn waiting_for_an_event_ends_with_the_socket_or_by_will() {
    let root = echo().fallback(async |_, event: IncomingEvent| Ack(event.name().to_owned()));
    let server = serve(root);
    let (mut client, [id]) = Client::join(&server, ["/"]).await;
    let socket = server.of("/").socket(&id).unwrap();
    // Dropped, it takes nothing from the fallback.
    drop(socket.once::<u8>("reply"));
    client.send(r#"21["reply",7]"#).await;
    assert_eq!(client.text().await, r#"31["reply"]"#);
    let waiting = tokio::spawn(socket.once::<u8>("reply"));
    client.send("1").await;
    assert!(matches!(waiting.await.unwrap(), Err(OnceError::Disconnected)));
    assert!(matches!(socket.once::<u8>("reply").await, Err(OnceError::Disconnected)));
}

#[tokio::test]
async fn a_handler_goes_on_when_its_client_has_gone() {
    let gate = Arc::new(Semaphore::new(0));
    let (note, mut noted) = notes();
    let (opened, noter) = (Arc::clone(&gate), note.clone());
    let root = echo()
        .on("work", move |socket: Socket, ()| {
            let (gate, note) = (Arc::clone(&opened), note.clone());
            async move {
                note.send("begun".to_owned()).unwrap();
                gate.acquire().await.unwrap().forget();
                note.send(format!("done, {:?}", socket.emit("late", &()).is_ok())).unwrap();
                Ack("for nobody")
            }
        })
        .on_disconnect(move |_, _| {
            noter.send("gone".to_owned()).unwrap();
            async {}
        });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"21["work"]"#).await;
    assert_eq!(noted.recv().await.unwrap(), "begun");
    drop(client);
    assert_eq!(noted.recv().await.unwrap(), "gone");
    eventually("the connection is closed", || server.engine().connection_count() == 0).await;
    // A shutdown waits for it.
    let shutdown = tokio::spawn(async move { server.shutdown(MINUTE).await });
    tokio::task::yield_now().await;
    assert!(!shutdown.is_finished() && noted.is_empty());
    gate.add_permits(1);
    assert_eq!(noted.recv().await.unwrap(), "done, false");
    shutdown.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_is_left_behind_at_the_deadline() {
    let root = echo().on("stuck", async |_, ()| std::future::pending::<()>().await);
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"2["stuck"]"#).await;
    client.quiet().await;
    let start = tokio::time::Instant::now();
    let (ended, ()) = tokio::join!(server.shutdown(MINUTE), client.closed());
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(ended, Err(1));
}
