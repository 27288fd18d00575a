//! Recovery of sockets that middleware has a say in.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use client::{
    Client, Received, echo, eventually, notes,
    ticket::{Ticket, lose},
};
use socketio::{Namespace, Recovery, Refusal, Server, Socket};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::Semaphore;

fn recoverable(root: Namespace, skip_middleware: bool) -> Server {
    let recovery = Recovery { skip_middleware, ..Recovery::default() };
    Server::builder().namespace("/", root).recovery(recovery).build()
}

#[tokio::test]
async fn middleware_is_skipped_or_not() {
    for skip_middleware in [true, false] {
        let (runs, refuses) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, refusing) = (Arc::clone(&runs), Arc::clone(&refuses));
        let root = echo().middleware(move |socket: Socket| {
            counter.fetch_add(1, Ordering::Relaxed);
            let refused = refusing.load(Ordering::Relaxed);
            async move {
                socket.join("r");
                if refused { Err(Refusal::new("not any more")) } else { Ok(()) }
            }
        });
        let server = recoverable(root, skip_middleware);
        let (client, ticket) = Ticket::new(&server).await;
        lose(&server, client).await;
        let client = ticket.is_good(&server).await;
        assert_eq!(runs.load(Ordering::Relaxed), if skip_middleware { 1 } else { 2 });
        lose(&server, client).await;
        refuses.store(true, Ordering::Relaxed);
        if skip_middleware {
            ticket.is_good(&server).await;
            continue;
        }
        let mut client = Client::open(&server, 1 << 20).await;
        server.emit("missed", &()).unwrap();
        client.send(&ticket.request()).await;
        assert_eq!(client.text().await, r#"4{"message":"not any more"}"#);
        assert!(server.to("r").sockets().is_empty());
        // Who was refused does not come back.
        refuses.store(false, Ordering::Relaxed);
        ticket.is_void(&server).await;
    }
}

#[tokio::test]
async fn what_is_sent_while_middleware_decides_is_missed_once() {
    let (gate, runs) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicUsize::new(0)));
    let (opened, counter) = (Arc::clone(&gate), Arc::clone(&runs));
    let root = echo().middleware(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(())
        }
    });
    let server = recoverable(root, false);
    let (client, mut ticket) = Ticket::new(&server).await;
    lose(&server, client).await;
    server.emit("before", &()).unwrap();
    let emitting = async {
        eventually("it waits", || runs.load(Ordering::Relaxed) == 2).await;
        server.emit("meanwhile", &()).unwrap();
        gate.add_permits(1);
    };
    let ((mut client, missed), ()) = tokio::join!(ticket.recover(&server), emitting);
    assert_eq!(missed, [r#"["before"]"#, r#"["meanwhile"]"#]);
    client.quiet().await;
}

/// Its client has not been told of anything.
#[tokio::test]
async fn who_is_lost_while_middleware_decides_can_ask_again() {
    let (gate, runs) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicUsize::new(0)));
    let (opened, counter) = (Arc::clone(&gate), Arc::clone(&runs));
    let root = echo().middleware(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(())
        }
    });
    let server = recoverable(root, false);
    let (client, mut ticket) = Ticket::new(&server).await;
    lose(&server, client).await;
    server.emit("missed", &()).unwrap();
    let mut client = Client::open(&server, 1 << 20).await;
    client.send(&ticket.request()).await;
    eventually("it waits", || runs.load(Ordering::Relaxed) == 2).await;
    lose(&server, client).await;
    gate.add_permits(2);
    eventually("it is decided", || gate.available_permits() == 1).await;
    let before = (ticket.sid.clone(), ticket.pid.clone());
    let (mut client, missed) = ticket.recover(&server).await;
    assert_eq!(missed, [r#"["missed"]"#]);
    assert_eq!((ticket.sid, ticket.pid), before);
    client.quiet().await;
}

#[tokio::test]
async fn who_misses_too_much_while_middleware_decides_starts_anew() {
    let (gate, runs) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicUsize::new(0)));
    let (note, mut noted) = notes();
    let (opened, counter, end) = (Arc::clone(&gate), Arc::clone(&runs), note.clone());
    let root = echo()
        .middleware(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok(())
            }
        })
        .on_connect(move |socket: Socket| {
            socket.join("r");
            note.send(format!("connect {}", socket.is_recovered())).unwrap();
            async {}
        })
        .on_disconnect(move |_, _| {
            end.send("disconnect".to_owned()).unwrap();
            async {}
        });
    let recovery = Recovery { skip_middleware: false, max_bytes: 10_000, ..Recovery::default() };
    let server = Server::builder().namespace("/", root).recovery(recovery).build();
    let (client, ticket) = Ticket::new(&server).await;
    lose(&server, client).await;
    let mut client = Client::open(&server, 1 << 20).await;
    client.send(&ticket.request()).await;
    eventually("it waits", || runs.load(Ordering::Relaxed) == 2).await;
    for _ in 0..20 {
        server.emit("large", &"x".repeat(1_000)).unwrap();
    }
    gate.add_permits(10);
    // It may have to connect again to be told.
    if let Received::Text(consent) = client.receive().await {
        assert!(!consent.contains(&ticket.sid), "{consent}");
    } else {
        client = ticket.is_void(&server).await;
    }
    lose(&server, client).await;
    eventually("nobody is left", || server.of("/").rooms().is_empty()).await;
    for expected in ["connect false", "disconnect", "connect false", "disconnect"] {
        assert_eq!(noted.recv().await.unwrap(), expected);
    }
    assert!(noted.is_empty());
}
