//! How a server goes down without losing anything.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use client::{Client, MINUTE, Received, echo, http, notes};
use socketio::{Ack, Server};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc::UnboundedReceiver},
    time::Instant,
};

/// A server where `work` takes as long as the gate is closed, and what it notes.
fn gated() -> (Server, Arc<Semaphore>, UnboundedReceiver<String>) {
    let gate = Arc::new(Semaphore::new(0));
    let (note, noted) = notes();
    let opened = Arc::clone(&gate);
    let root = echo()
        .on("work", move |_, ()| {
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire().await.unwrap().forget();
                Ack("done")
            }
        })
        .on_disconnect(move |_, reason| {
            note.send(reason.to_string()).unwrap();
            async {}
        });
    let server = Server::builder().namespace("/", root).namespace("/b", echo()).build();
    (server, gate, noted)
}

const OVER: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn clients_are_closed_one_after_another() {
    let (server, _gate, mut noted) = gated();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let (mut client, _) = Client::join(&server, ["/", "/b"]).await;
        client.quiet().await;
        clients.push(client);
    }
    let start = Instant::now();
    let ends: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                client.closed().await;
                start.elapsed()
            })
        })
        .collect();
    server.drain(OVER, MINUTE).await.unwrap();
    assert!(start.elapsed() <= OVER + Duration::from_secs(1), "{:?}", start.elapsed());
    let mut moments = Vec::new();
    for end in ends {
        moments.push(end.await.unwrap());
        assert_eq!(noted.recv().await.unwrap(), "server shutting down");
    }
    let first_ten = moments[..10].iter().sum::<Duration>() / 10;
    assert!(first_ten > OVER / 10 && first_ten < OVER, "in random order, not as they came: {first_ten:?}");
    moments.sort();
    // Each in its twentieth of the time.
    for (n, moment) in (0..).zip(moments) {
        let slot = OVER / 20 * n;
        let late = Duration::from_millis(100);
        assert!(moment >= slot && moment <= slot + OVER / 20 + late, "{n}: {moment:?}");
    }
}

#[tokio::test]
async fn handlers_end_and_their_acknowledgements_arrive() {
    let (server, gate, mut noted) = gated();
    let (mut busy, _) = Client::join(&server, ["/"]).await;
    let (mut idle, _) = Client::join(&server, ["/"]).await;
    busy.send(r#"21["work"]"#).await;
    busy.quiet().await;
    let draining = tokio::spawn({
        let server = server.clone();
        async move { server.drain(Duration::ZERO, MINUTE).await }
    });
    idle.closed().await;
    assert_eq!(noted.recv().await.unwrap(), "server shutting down");
    // Nothing new is begun meanwhile.
    busy.send_all([r#"22["echo",1]"#, r#"2["echo",1]"#, "0/b,"]).await;
    assert_eq!(busy.text().await, r#"32[{"error":"server shutting down"}]"#);
    assert_eq!(busy.text().await, r#"4/b,{"message":"server shutting down"}"#);
    assert_eq!(http::get(&server, "/socket.io/?EIO=4&transport=polling").await.0, 503);
    assert!(!draining.is_finished() && noted.is_empty());
    gate.add_permits(1);
    assert_eq!(busy.text().await, r#"31["done"]"#);
    busy.closed().await;
    draining.await.unwrap().unwrap();
    assert_eq!(noted.recv().await.unwrap(), "server shutting down");
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_the_outbox_is_sent_first() {
    let (server, _gate, _noted) = gated();
    let mut client = Client::open(&server, 1024).await;
    client.send("0").await;
    client.consent("0").await;
    for n in 0..100 {
        server.emit("n", &(n, "x".repeat(1_000))).unwrap();
    }
    let draining = tokio::spawn(async move { server.drain(Duration::ZERO, MINUTE).await });
    for n in 0..100 {
        assert!(client.text().await.starts_with(&format!(r#"2["n",{n},""#)));
    }
    client.closed().await;
    draining.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_is_cut_at_the_deadline() {
    let (server, _gate, mut noted) = gated();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"21["work"]"#).await;
    client.quiet().await;
    let start = Instant::now();
    let (ended, received) = tokio::join!(server.drain(OVER, MINUTE), client.receive());
    assert_eq!((ended, start.elapsed().as_secs()), (Err(1), 60));
    assert_eq!(received, Received::Closed);
    assert_eq!(noted.recv().await.unwrap(), "server shutting down");
}

#[tokio::test(start_paused = true)]
async fn who_has_not_joined_does_not_hold_it_up() {
    let (server, _gate, _noted) = gated();
    let mut client = Client::open(&server, 1024).await;
    let start = Instant::now();
    let (ended, ()) = tokio::join!(server.drain(OVER, MINUTE), client.closed());
    ended.unwrap();
    assert!(start.elapsed() <= OVER + Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_polls_is_told_too() {
    let (server, _gate, mut noted) = gated();
    let (mut waiting, mut between) = (http::Polling::join(&server).await, http::Polling::join(&server).await);
    waiting.send_poll().await;
    let start = Instant::now();
    let draining = tokio::spawn({
        let server = server.clone();
        async move { server.drain(OVER, MINUTE).await }
    });
    assert_eq!(waiting.receive().await, "1");
    // It has some time to fetch what is left for it.
    tokio::time::sleep_until(start + OVER).await;
    assert_eq!(between.poll().await, "6\u{1e}1");
    draining.await.unwrap().unwrap();
    for _ in 0..2 {
        assert_eq!(noted.recv().await.unwrap(), "server shutting down");
    }
}
