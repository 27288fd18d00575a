//! What is done to many sockets at once.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use bytes::Bytes;
use client::{Client, MINUTE, Received, echo, notes, serve};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socketio::{AckError, Room, Server, Socket};
use std::time::Duration;
use tokio::time::Instant;

/// Four clients, in the rooms `a`, `a` and `b`, `b`, and none.
async fn four(server: &Server) -> ([Client; 4], [Socket; 4]) {
    let mut clients = Vec::new();
    let mut sockets = Vec::new();
    for rooms in [&["a"][..], &["a", "b"], &["b"], &[]] {
        let (client, [id]) = Client::join(server, ["/"]).await;
        let socket = server.of("/").socket(&id).unwrap();
        socket.join(rooms.to_vec());
        clients.push(client);
        sockets.push(socket);
    }
    (clients.try_into().ok().unwrap(), sockets.try_into().ok().unwrap())
}

/// Which of the clients have received this, and nothing else.
async fn received_by(clients: &mut [Client; 4], event: &str) -> Vec<usize> {
    let mut all = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(r#"2999["echo","quiet"]"#).await;
        let mut first = client.text().await;
        if first == event {
            all.push(n);
            first = client.text().await;
        }
        assert_eq!(first, r#"3999["quiet"]"#);
    }
    all
}

#[tokio::test]
async fn rooms_choose_who_receives() {
    let server = serve(echo());
    let (mut clients, [zero, one, ..]) = four(&server).await;
    let root = server.of("/");
    let all = root.everyone();
    let room: Room = "b".into();
    for (target, expected) in [
        (all.clone(), &[0, 1, 2, 3][..]),
        (root.to("a"), &[0, 1]),
        (root.to(["a", "b"]), &[0, 1, 2]),
        (root.to(vec!["a".to_owned()]).to(&room), &[0, 1, 2]),
        (root.to("none"), &[]),
        (root.to("none").to("b"), &[1, 2]),
        (root.except("a"), &[2, 3]),
        (root.to(["a", "b"]).except("b"), &[0]),
        (root.to("a").except(["a", "none"]), &[]),
        (root.to("b").except(one.id()), &[2]),
        (root.to(zero.id()).to("b"), &[0, 1, 2]),
        (root.to("a").local(), &[0, 1]),
        (zero.broadcast(), &[1, 2, 3]),
        (zero.to("a"), &[1]),
        (zero.to(["a", "b"]).except("a"), &[2]),
        (zero.except("b"), &[3]),
        (zero.to(zero.id()), &[]),
    ] {
        target.emit("e", &()).unwrap();
        assert_eq!(received_by(&mut clients, r#"2["e"]"#).await, expected, "{target:?}");
        let sockets = target.fetch_sockets().await.sockets;
        assert_eq!((sockets.len(), target.sockets().len()), (expected.len(), expected.len()), "{target:?}");
    }
    // A target is a value that can be used again, and is not changed by what is derived from it.
    let a = root.to("a");
    let _both = a.clone().to("b");
    a.emit("e", &()).unwrap();
    a.emit("e", &()).unwrap();
    assert_eq!(a.sockets().len(), 2);
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct User {
    name: String,
}

#[tokio::test]
async fn sockets_are_fetched_with_what_they_show() {
    let root = echo().show::<User>().on_connect(async |socket: Socket| {
        socket.set("a secret".to_owned());
        socket.join(["r", "s"]);
    });
    let server = serve(root);
    let mut client = Client::open(&server, 1 << 20).await;
    client.send(r#"0{"token":7}"#).await;
    let id = client.consent("0").await;
    let fetched = server.of("/").fetch_sockets().await;
    assert_eq!(fetched.missing_servers, 0);
    let [remote] = &fetched.sockets[..] else { panic!("{fetched:?}") };
    assert_eq!(remote.id(), id);
    assert_eq!(remote.data::<User>(), None);
    let socket = remote.local().unwrap();
    socket.set(User { name: "ann".into() });
    assert_eq!(remote.data::<User>().unwrap().name, "ann");
    assert_eq!(remote.data::<Value>().unwrap(), json!({ "name": "ann" }));
    assert_eq!(remote.data::<u8>(), None);
    let mut rooms: Vec<_> = remote.rooms().iter().map(|room| room.as_str().to_owned()).collect();
    rooms.sort();
    assert_eq!(rooms, ["r", "s"]);
    let handshake = serde_json::to_value(remote.handshake()).unwrap();
    let since: u64 = handshake["issued"].as_u64().unwrap();
    assert!(since > 1_700_000_000_000 && handshake["time"].as_str().unwrap().ends_with("GMT"));
    for (field, expected) in [
        ("url", json!("/socket.io/?EIO=4&transport=websocket&name=ann")),
        ("query", json!({ "EIO": "4", "transport": "websocket", "name": "ann" })),
        ("auth", json!({ "token": 7 })),
        ("secure", json!(false)),
        ("xdomain", json!(false)),
        ("address", json!("")),
    ] {
        assert_eq!(handshake[field], expected, "{field}");
    }
    assert_eq!(handshake["headers"]["host"], "x");
    assert_eq!(handshake["headers"]["sec-websocket-version"], "13");
}

#[tokio::test]
async fn what_is_fetched_can_be_acted_upon() {
    let server = serve(echo());
    let (mut clients, sockets) = four(&server).await;
    let fetched = server.of("/").to(sockets[2].id()).fetch_sockets().await.sockets;
    let [remote] = &fetched[..] else { panic!("one") };
    remote.emit("e", &()).unwrap();
    assert_eq!(received_by(&mut clients, r#"2["e"]"#).await, [2]);
    remote.join("new");
    remote.leave("b");
    assert_eq!(sockets[2].rooms(), ["new".into()]);
    assert!(sockets[2].is_in("new") && !sockets[2].is_in("old"));
    let mut answers = remote.emit_with_ack::<u8, _>("ask", &(), MINUTE).unwrap();
    assert_eq!(clients[2].text().await, r#"20["ask"]"#);
    clients[2].send("30[7]").await;
    let answer = answers.next().await.unwrap();
    assert_eq!((answer.socket.as_deref(), answer.result.unwrap()), (Some(sockets[2].id()), 7));
    assert!(answers.next().await.is_none());
    remote.disconnect();
    assert_eq!(clients[2].text().await, "1");
    remote.emit("late", &()).unwrap();
    assert!(remote.rooms().is_empty() && !sockets[2].is_connected());
}

#[tokio::test]
async fn many_join_leave_and_are_dismissed() {
    let (note, mut noted) = notes();
    let root = echo().on_disconnect(move |socket, reason| {
        note.send(format!("{} {reason}", socket.id())).unwrap();
        async {}
    });
    let server = Server::builder().namespace("/", root).namespace("/b", echo()).build();
    let (mut clients, sockets) = four(&server).await;
    let ids = |room: &str| {
        let mut ids: Vec<_> = server.to(room).sockets().iter().map(|socket| socket.id().to_owned()).collect();
        ids.sort();
        ids
    };
    server.to("a").join(["x", "y"]);
    assert_eq!((ids("x"), ids("y")), (ids("a"), ids("a")));
    server.to("x").except("b").leave("x");
    assert_eq!(ids("x"), [sockets[1].id()]);
    server.of("/").everyone().join("all");
    server.of("/").everyone().leave(["a", "b", "x", "y", "none"]);
    assert_eq!(server.of("/").rooms(), ["all".into()]);

    clients[3].send("0/b,").await;
    clients[3].consent("0/b,").await;
    let (zero, three) = (sockets[0].id(), sockets[3].id());
    server.to([zero, three]).disconnect();
    for n in [0, 3] {
        assert_eq!(clients[n].text().await, "1");
    }
    let mut gone = [noted.recv().await.unwrap(), noted.recv().await.unwrap()];
    let mut expected = [zero, three].map(|id| format!("{id} server namespace disconnect"));
    gone.sort();
    expected.sort();
    assert_eq!(gone, expected);
    // The connection stays, and the other namespace.
    clients[3].send(r#"2/b,1["echo",1]"#).await;
    assert_eq!(clients[3].text().await, "3/b,1[1]");
    clients[0].send("0").await;
    clients[0].consent("0").await;
    // Or all of it goes.
    clients[2].send("0/b,").await;
    clients[2].consent("0/b,").await;
    server.to(sockets[2].id()).disconnect_connections();
    assert_eq!((&*clients[2].text().await, &*clients[2].text().await), ("1", "1/b,"));
    clients[2].closed().await;
    clients[1].quiet().await;
}

#[tokio::test(start_paused = true)]
async fn answers_of_many_are_gathered() {
    let server = serve(echo());
    let (mut clients, sockets) = four(&server).await;
    let start = Instant::now();
    let ask =
        |target: socketio::Broadcast| target.emit_with_ack::<u8, _>("vote", "song", Duration::from_secs(5));
    let votes = ask(server.of("/").everyone()).unwrap();
    for client in &mut clients {
        assert_eq!(client.text().await, r#"20["vote","song"]"#);
    }
    assert!(sockets.iter().all(|socket| socket.pending_acks() == 1));
    clients[2].send("30[2]").await;
    clients[2].send("30[22]").await;
    clients[2].quiet().await;
    clients[0].send(r#"30["not a number"]"#).await;
    clients[0].quiet().await;
    clients[3].send("1").await;
    // One does not answer.
    let answers = votes.collect().await;
    assert_eq!((answers.answers, start.elapsed().as_secs()), (vec![2], 5));
    let missing: Vec<_> = answers.missing.iter().map(|(id, error)| (id.as_deref(), error)).collect();
    let [zero, one, _, three] = &sockets;
    assert!(
        matches!(&missing[..], [(a, AckError::Decode(_)), (b, AckError::Disconnected), (c, AckError::Timeout)]
            if (*a, *b, *c) == (Some(zero.id()), Some(three.id()), Some(one.id()))),
        "{missing:?}"
    );
    assert!(sockets.iter().all(|socket| socket.pending_acks() == 0));
    // All answer: there is no waiting.
    let start = Instant::now();
    let mut votes = ask(server.to("a")).unwrap();
    for n in [1, 0] {
        assert_eq!(clients[n].text().await, r#"21["vote","song"]"#);
        clients[n].send(&format!("31[{n}]")).await;
        let vote = votes.next().await.unwrap();
        assert_eq!((vote.socket.as_deref(), vote.result.unwrap()), (Some(sockets[n].id()), n as u8));
    }
    assert!(votes.next().await.is_none());
    // Nobody is asked: there is nothing to wait for.
    assert!(ask(server.to("none")).unwrap().next().await.is_none());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn who_gives_up_leaves_nothing_behind() {
    let server = serve(echo());
    let (mut clients, sockets) = four(&server).await;
    let pending = || sockets.iter().map(Socket::pending_acks).sum::<usize>();
    let all = || server.of("/").everyone().emit_with_ack::<u8, _>("vote", &(), MINUTE).unwrap();
    let mut votes = all();
    assert_eq!(pending(), 4);
    clients[1].send("30[1]").await;
    assert_eq!(votes.next().await.unwrap().result.unwrap(), 1);
    assert_eq!(pending(), 3);
    drop(votes);
    assert_eq!(pending(), 0);
    let collecting = tokio::spawn(all().collect());
    collecting.abort();
    assert!(collecting.await.unwrap_err().is_cancelled());
    assert_eq!(pending(), 0);
    // All go away while they are waited for.
    let votes = all();
    server.of("/").everyone().disconnect();
    let answers = votes.collect().await;
    assert_eq!((answers.answers.len(), answers.missing.len(), pending()), (0, 4, 0));
    assert!(answers.missing.iter().all(|(_, error)| matches!(error, AckError::Disconnected)));
}

/// Ids of questions are those of the namespace, so that a client can guess those that others are asked.
#[tokio::test]
async fn nobody_answers_for_another() {
    let server = serve(echo());
    let (mut clients, sockets) = four(&server).await;
    let asked = sockets[0].clone();
    let asking = tokio::spawn(async move { asked.emit_with_ack::<String, _>("secret", &(), MINUTE).await });
    assert_eq!(clients[0].text().await, r#"20["secret"]"#);
    clients[1].send(r#"30["forged"]"#).await;
    clients[1].quiet().await;
    assert!(!asking.is_finished());
    clients[0].send(r#"30["true"]"#).await;
    assert_eq!(asking.await.unwrap().unwrap(), "true");
}

#[tokio::test]
async fn questions_and_answers_carry_attachments() {
    let server = serve(echo());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let asked = server.of("/").everyone().emit_with_ack::<(Bytes, u8), _>("ask", &Bytes::from("raw"), MINUTE);
    assert_eq!(client.text().await, r#"51-0["ask",{"_placeholder":true,"num":0}]"#);
    assert_eq!(client.receive().await, Received::Binary(b"raw".to_vec()));
    client.send(r#"61-0[{"_placeholder":true,"num":0},7]"#).await;
    client.send_binary(b"back").await;
    assert_eq!(asked.unwrap().collect().await.answers, [(Bytes::from("back"), 7)]);
}
