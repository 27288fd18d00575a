//! More than anybody needs: what is held for a client stays bounded, and others are served meanwhile.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use client::{Client, echo, eventually, frame, others_are_served, serve};
use socketio::{Ack, Limits, Namespace, NamespaceHandle, Refusal, Server, Socket};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Mutex, Semaphore};

/// Memory is measured by one test at a time.
static MEASURED: Mutex<()> = Mutex::const_new(());

/// Bytes of memory that this process holds.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Far below what the floods are made of, far above what measuring is uncertain by.
const BOUND: usize = 48 << 20;

#[track_caller]
fn is_bounded(before: usize) {
    let grown = resident().saturating_sub(before);
    assert!(grown < BOUND, "{} MB more than before", grown >> 20);
}

#[tokio::test]
async fn echoes_that_are_not_read_hold_the_client_back() {
    let _alone = MEASURED.lock().await;
    const ECHOES: usize = 200;
    let server = serve(echo());
    let mut client = Client::open(&server, 64 << 10).await;
    client.send("0").await;
    client.consent("0").await;
    let event = frame(1, format!(r#"421["echo","{}"]"#, "x".repeat(300_000)).as_bytes());
    let before = resident();
    let sent = AtomicUsize::new(0);
    let Client { reader, writer, .. } = &mut client;
    let writing = async {
        for _ in 0..ECHOES {
            writer.write(&event).await;
            sent.fetch_add(1, Ordering::Relaxed);
        }
    };
    let reading = async {
        // Until nothing more is taken: the outbox holds some 2 MB, and 60 MB are there to come.
        let mut last = usize::MAX;
        while last != sent.load(Ordering::Relaxed) {
            last = sent.load(Ordering::Relaxed);
            others_are_served(&server).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(last < 20, "{last} echoes were taken");
        is_bounded(before);
        // Nothing is lost.
        for _ in 0..ECHOES {
            assert_eq!(reader.frame().await.unwrap().1.len(), 300_000 + r#"431[""]"#.len());
        }
    };
    tokio::join!(writing, reading);
    is_bounded(before);
}

#[tokio::test]
async fn events_that_nobody_handles_leave_nothing() {
    let _alone = MEASURED.lock().await;
    let server = serve(echo());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let before = resident();
    for n in 0..600 {
        // Each has a name of its own.
        client.send(&format!(r#"2{n}["{n}{}",1]"#, "x".repeat(100_000))).await;
    }
    client.quiet().await;
    is_bounded(before);
}

#[tokio::test]
async fn a_flood_of_events_does_not_keep_others_waiting() {
    let (count, served) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    let root = echo().on("n", move |_, ()| {
        counter.fetch_add(1, Ordering::Relaxed);
        async {}
    });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let flood = frame(1, br#"42["n"]"#).repeat(200_000);
    // A task of its own, as the test itself has its turn but now and then.
    let (handled, counter) = (Arc::clone(&count), Arc::clone(&served));
    let serving = tokio::spawn(async move {
        while handled.load(Ordering::Relaxed) < 200_000 {
            others_are_served(&server).await;
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    client.write(&flood).await;
    client.quiet().await;
    serving.await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 200_000);
    // Every few hundred events it is the turn of others, who need some ten turns.
    let served = served.load(Ordering::Relaxed);
    assert!(served >= 20, "{served} clients were served meanwhile");
}

/// A server with namespaces without number, of which some decide when they are told.
fn many_namespaces(limits: Limits, gate: &Arc<Semaphore>) -> (Server, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let (counter, gate) = (Arc::clone(&made), Arc::clone(gate));
    let pending = Namespace::new().middleware(move |_| {
        let gate = Arc::clone(&gate);
        async move { gate.acquire().await.map(drop).map_err(|error| Refusal::new(error.to_string())) }
    });
    let server = Server::builder()
        .namespace("/", echo())
        .dynamic("/pending/{n}", pending)
        .dynamic("/{n}", echo())
        .on_namespace(move |_: &NamespaceHandle| {
            counter.fetch_add(1, Ordering::Relaxed);
        })
        .limits(limits)
        .build();
    (server, made)
}

#[tokio::test]
async fn a_flood_of_connects_is_refused_beyond_the_limit() {
    const CONNECTS: usize = 5_000;
    let limits = Limits { namespaces: 20, ..Limits::default() };
    let gate = Arc::new(Semaphore::new(0));
    let (server, made) = many_namespaces(limits, &gate);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all((0..CONNECTS).map(|n| format!("0/{n},"))).await;
    for n in 0..CONNECTS {
        let answer = client.text().await;
        let joined = answer.starts_with(&format!(r#"0/{n},{{"sid""#));
        assert_eq!(joined, n < 19, "{answer}");
        assert!(joined || answer == format!(r#"4/{n},{{"message":"too many namespaces"}}"#));
    }
    assert_eq!((made.load(Ordering::Relaxed), server.namespaces().len()), (19, 20));
    client.quiet().await;
    drop(client);
    eventually("they have gone", || server.namespaces().len() == 1).await;

    // Those that are not decided count as well.
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all((0..CONNECTS).map(|n| format!("0/pending/{n},"))).await;
    for n in 19..CONNECTS {
        assert_eq!(client.text().await, format!(r#"4/pending/{n},{{"message":"too many namespaces"}}"#));
    }
    client.quiet().await;
    assert_eq!(server.namespaces().len(), 20);
    drop(client);
    gate.add_permits(1);
    eventually("they have gone", || server.namespaces().len() == 1).await;
    others_are_served(&server).await;
}

#[tokio::test]
async fn joining_and_leaving_without_end_leaves_nothing() {
    let _alone = MEASURED.lock().await;
    let (server, made) = many_namespaces(Limits::default(), &Arc::new(Semaphore::new(0)));
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let before = resident();
    for n in 0..20_000 {
        client.send_all([format!("0/{n},"), format!("1/{n},")]).await;
        client.consent(&format!("0/{n},")).await;
    }
    client.quiet().await;
    assert_eq!((made.load(Ordering::Relaxed), server.namespaces().len()), (20_000, 1));
    is_bounded(before);
}

#[tokio::test]
async fn connects_to_nowhere_leave_nothing() {
    let _alone = MEASURED.lock().await;
    let server = serve(echo());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let before = resident();
    for n in 0..500 {
        let name = format!("/{n}{}", "x".repeat(100_000));
        client.send(&format!(r#"0{name},{{"auth":"{name}"}}"#)).await;
        assert!(client.text().await.ends_with(r#"{"message":"Invalid namespace"}"#));
    }
    client.quiet().await;
    is_bounded(before);
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing() {
    let _alone = MEASURED.lock().await;
    let root = echo().on_connect(async |socket: Socket| {
        socket.join([socket.id(), "shared"]);
        socket.set(vec![1_u8; 100_000]);
        // Nobody answers, or is still there to do so.
        socket.emit_with_ack::<(), _>("asked", &(), Duration::from_secs(3600)).await.ok();
    });
    let server = serve(root);
    let before = resident();
    for _ in 0..2_000 {
        let (client, _) = Client::join(&server, ["/"]).await;
        drop(client);
    }
    eventually("they have gone", || server.engine().connection_count() == 0).await;
    assert!(server.of("/").sockets().is_empty() && server.of("/").rooms().is_empty());
    is_bounded(before);
}

#[tokio::test]
async fn rooms_without_number_are_bounded_by_the_limit() {
    let root = echo().on("join", async |socket: Socket, n: u32| {
        socket.join((0..100).map(|m| format!("{n}-{m}")).collect::<Vec<_>>());
        Ack(socket.rooms().len())
    });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all((0..100).map(|n| format!(r#"2{n}["join",{n}]"#))).await;
    for n in 0..100 {
        assert_eq!(client.text().await, format!("3{n}[{}]", ((n + 1) * 100).min(1_000)));
    }
    assert_eq!(server.of("/").rooms().len(), 1_000);
    drop(client);
    eventually("they have gone", || server.of("/").rooms().is_empty()).await;
}
