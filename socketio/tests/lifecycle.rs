//! What is heard of sockets that move: into rooms, onto a WebSocket, away.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use client::{Client, MINUTE, echo, http::Polling, notes, serve};
use engineio::Transport;
use socketio::{Namespace, Refusal, RoomEvent, Server, Socket};
use std::collections::HashMap;
use tokio::sync::mpsc::UnboundedReceiver;

/// What has been noted up to now.
fn drained(noted: &mut UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| noted.try_recv().ok()).collect()
}

#[tokio::test]
async fn rooms_come_and_go() {
    let (note, mut noted) = notes();
    let root = echo()
        .middleware(async |socket: Socket| {
            socket.join("anteroom");
            let refuse = socket.auth::<HashMap<String, u8>>()?.contains_key("refuse");
            if refuse { Err(Refusal::new("no")) } else { Ok(()) }
        })
        .on_room(move |namespace, event| {
            // The hook may look at what has happened.
            let (RoomEvent::Create(room)
            | RoomEvent::Delete(room)
            | RoomEvent::Join(room, _)
            | RoomEvent::Leave(room, _)) = event;
            namespace.to(room).sockets();
            note.send(match event {
                RoomEvent::Create(room) => format!("+{}", room.as_str()),
                RoomEvent::Delete(room) => format!("-{}", room.as_str()),
                RoomEvent::Join(room, id) => format!("{} {id}", room.as_str()),
                RoomEvent::Leave(room, id) => format!("{} !{id}", room.as_str()),
            })
            .unwrap();
        });
    let server = serve(root);
    let (one, [one_id]) = Client::join(&server, ["/"]).await;
    assert_eq!(drained(&mut noted), ["+anteroom", &format!("anteroom {one_id}")]);
    let mut two = Client::open(&server, 1 << 20).await;
    two.send(r#"0{"refuse":1}"#).await;
    assert_eq!(two.text().await, r#"4{"message":"no"}"#);
    let seen = drained(&mut noted);
    assert!(seen.len() == 2 && seen[1] == seen[0].replace(' ', " !"), "{seen:?}");
    two.send("0").await;
    let two_id = two.consent("0").await;
    assert_eq!(drained(&mut noted), [format!("anteroom {two_id}")]);

    let socket = server.of("/").socket(&one_id).unwrap();
    socket.join(["r", "r", "s", &*one_id]);
    socket.join("r");
    server.to(&*two_id).join("r");
    let expected = ["+r", &format!("r {one_id}"), "+s", &format!("s {one_id}"), &format!("r {two_id}")];
    assert_eq!(drained(&mut noted), expected);
    socket.leave(["s", "none"]);
    socket.leave("s");
    socket.leave("r");
    assert_eq!(drained(&mut noted), [&format!("s !{one_id}"), "-s", &format!("r !{one_id}")]);
    two.send("1").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(noted.recv().await.unwrap());
    }
    seen.sort();
    assert_eq!(seen, ["-r", &format!("anteroom !{two_id}"), &format!("r !{two_id}")]);
    drop(one);
    assert_eq!(noted.recv().await.unwrap(), format!("anteroom !{one_id}"));
    assert_eq!(noted.recv().await.unwrap(), "-anteroom");
}

#[tokio::test]
async fn who_is_about_to_leave_is_still_in_its_rooms() {
    let (note, mut noted) = notes();
    let noter = note.clone();
    let root = echo()
        .on_connect(async |socket: Socket| socket.join(["r", "s"]))
        .on_disconnecting(move |socket, reason| {
            note.send(format!("disconnecting {} {reason}", socket.rooms().len())).unwrap();
            socket.to("r").emit("leaving", socket.id()).unwrap();
        })
        .on_disconnect(move |socket, reason| {
            noter.send(format!("disconnect {} {reason}", socket.rooms().len())).unwrap();
            async {}
        });
    let server = serve(root);
    let (mut watcher, _) = Client::join(&server, ["/"]).await;
    for (end, reason) in [
        ("leave", "client namespace disconnect"),
        ("dismiss", "server namespace disconnect"),
        ("close", "server namespace disconnect"),
        ("break the rules", "forced close"),
        ("lose", "transport close"),
    ] {
        let (mut client, [id]) = Client::join(&server, ["/"]).await;
        let socket = server.of("/").socket(&id).unwrap();
        match end {
            "leave" => client.send("1").await,
            "dismiss" => socket.disconnect(),
            "close" => socket.disconnect_connection(),
            "break the rules" => client.send("9").await,
            _ => drop(client),
        }
        assert_eq!(watcher.text().await, format!(r#"2["leaving","{id}"]"#));
        assert_eq!(noted.recv().await.unwrap(), format!("disconnecting 2 {reason}"));
        assert_eq!(noted.recv().await.unwrap(), format!("disconnect 0 {reason}"));
    }
    let (ended, ()) = tokio::join!(server.shutdown(MINUTE), watcher.closed());
    ended.unwrap();
    assert_eq!(noted.recv().await.unwrap(), "disconnecting 2 server shutting down");
}

#[tokio::test]
async fn a_hook_that_panics_is_reported_and_the_socket_ends() {
    let (note, mut noted) = notes();
    let end = note.clone();
    let root = echo()
        .on_disconnecting(|_, _| panic!("at the end"))
        .on_error(move |_, error| note.send(error.to_string()).unwrap())
        .on_disconnect(move |_, _| {
            end.send("gone".to_owned()).unwrap();
            async {}
        });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all(["1", "0"]).await;
    assert_eq!(noted.recv().await.unwrap(), r#"event "disconnecting": panic: at the end"#);
    assert_eq!(noted.recv().await.unwrap(), "gone");
    client.consent("0").await;
    client.quiet().await;
}

#[tokio::test]
async fn who_is_refused_was_never_connected() {
    let (note, mut noted) = notes();
    let (connect, disconnecting) = (note.clone(), note.clone());
    let guarded = Namespace::new()
        .middleware(async |socket: Socket| {
            tokio::task::yield_now().await;
            socket.auth::<Vec<u8>>().map(drop)?;
            Ok(())
        })
        .on_connect(move |_| {
            connect.send("connect".into()).unwrap();
            async {}
        })
        .on_disconnecting(move |_, _| disconnecting.send("disconnecting".into()).unwrap())
        .on_disconnect(move |_, _| {
            note.send("disconnect".into()).unwrap();
            async {}
        });
    let server = Server::builder().namespace("/", echo()).namespace("/b", guarded).build();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send("0/b,").await;
    assert!(client.text().await.starts_with(r#"4/b,{"message":"#));
    client.send("0/b,").await;
    drop(client);
    client::eventually("it has gone", || server.of("/").sockets().is_empty()).await;
    assert!(server.of("/b").sockets().is_empty() && noted.try_recv().is_err());
}

#[tokio::test]
async fn all_sockets_hear_of_an_upgrade() {
    let (note, mut noted) = notes();
    let noting = || {
        let note = note.clone();
        echo().on_upgrade(move |socket: Socket| {
            assert_eq!(socket.connection().transport(), Transport::WebSocket);
            note.send(socket.namespace().to_owned()).unwrap();
            async move { socket.emit("upgraded", &()).unwrap() }
        })
    };
    let server = Server::builder().namespace("/", noting()).namespace("/b", noting()).build();
    let mut polling = Polling::join(&server).await;
    let [socket] = &server.of("/").sockets()[..] else { panic!("one") };
    assert_eq!(socket.connection().transport(), Transport::Polling);
    polling.post("40/b,").await;
    assert!(polling.poll().await.starts_with("40/b,"));
    let mut client = Client::upgrade(&server, &mut polling).await;
    let mut told = [client.text().await, client.text().await];
    told.sort();
    assert_eq!(told, [r#"2/b,["upgraded"]"#, r#"2["upgraded"]"#]);
    client.quiet().await;
    let mut seen = drained(&mut noted);
    seen.sort();
    assert_eq!(seen, ["/", "/b"]);
    // One that has begun as a WebSocket is none that has been upgraded.
    Client::join(&server, ["/"]).await.0.quiet().await;
    assert!(noted.is_empty());
}
