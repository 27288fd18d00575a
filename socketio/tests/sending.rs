//! How events are sent: volatile, compressed or not, before and after the end.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use bytes::Bytes;
use client::{Client, Received, echo, http::Polling, serve};
use engineio::Config;
use socketio::{Namespace, SendError, Server, Socket};

fn only_socket(server: &Server) -> Socket {
    let [socket] = server.of("/").sockets().try_into().unwrap();
    socket
}

#[tokio::test]
async fn volatile_events_are_sent_to_who_can_take_them() {
    let server = serve(echo());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let socket = only_socket(&server);
    let everyone = server.of("/").everyone();
    for n in 0..5 {
        socket.volatile().emit("one", &n).unwrap();
        assert_eq!(client.text().await, format!(r#"2["one",{n}]"#));
        client.quiet().await;
        everyone.clone().volatile().emit("all", &(n, Bytes::from("x"))).unwrap();
        assert!(client.text().await.starts_with(&format!(r#"51-["all",{n},"#)));
        assert_eq!(client.receive().await, Received::Binary(b"x".to_vec()));
        client.quiet().await;
    }
}

#[tokio::test]
async fn volatile_events_are_dropped_for_who_does_not_read() {
    let server = serve(echo());
    let mut client = Client::open(&server, 4096).await;
    client.send("0").await;
    client.consent("0").await;
    let (mut other, _) = Client::join(&server, ["/"]).await;
    let everyone = server.of("/").everyone();
    for n in 0..1_000 {
        everyone.clone().volatile().emit("position", &(n, "x".repeat(10_000))).unwrap();
        assert!(other.text().await.starts_with(&format!(r#"2["position",{n},"#)));
    }
    client.send(r#"2999["echo","quiet"]"#).await;
    let mut received = 0;
    while client.text().await != r#"3999["quiet"]"# {
        received += 1;
    }
    assert!(received < 10, "{received} of 1,000 events were kept for a client that does not read");
}

#[tokio::test]
async fn volatile_events_reach_a_client_that_polls_just_then() {
    let server = serve(echo());
    let mut polling = Polling::join(&server).await;
    let socket = only_socket(&server);
    socket.volatile().emit("lost", &1).unwrap();
    polling.post(r#"421["echo",1]"#).await;
    assert_eq!(polling.poll().await, "431[1]");
    polling.send_poll().await;
    polling.post_beside(&server, r#"42["poll"]"#).await;
    socket.volatile().emit("first", &2).unwrap();
    socket.volatile().emit("second", &3).unwrap();
    assert_eq!(polling.receive().await, r#"42["first",2]"#);
}

#[tokio::test]
async fn what_is_not_to_be_compressed_is_not() {
    let server = serve(echo());
    let mut polling = Polling::join(&server).await;
    let socket = only_socket(&server);
    let everyone = server.of("/").everyone();
    let text = "x".repeat(10_000);
    let emits: [(bool, &dyn Fn()); 4] = [
        (true, &|| socket.emit("text", &text).unwrap()),
        (false, &|| socket.compress(false).emit("text", &text).unwrap()),
        (true, &|| everyone.emit("text", &text).unwrap()),
        (false, &|| everyone.clone().compress(false).emit("text", &text).unwrap()),
    ];
    for (compressed, emit) in emits {
        emit();
        polling.send_poll().await;
        let (head, body) = polling.http.receive_whole().await;
        assert_eq!(head.contains("content-encoding: gzip"), compressed, "{head}");
        assert_eq!(body.len() < 1_000, compressed);
    }
}

#[tokio::test]
async fn an_outbox_that_is_full_is_told_to_who_asks() {
    let config = Config::default().max_outbox_bytes(10_000);
    let server = Server::builder().engine(config).namespace("/", echo()).build();
    let mut client = Client::open(&server, 1024).await;
    client.send("0").await;
    client.consent("0").await;
    let socket = only_socket(&server);
    let mut sent = 0;
    let full = loop {
        match socket.emit("n", &(sent, "x".repeat(1_000))) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(full, SendError::Full) && socket.is_connected(), "{full}");
    let waiting = tokio::spawn(async move { socket.emit_wait("n", &(sent, "waited")).await });
    for n in 0..=sent {
        assert!(client.text().await.starts_with(&format!(r#"2["n",{n},""#)), "none is lost");
    }
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_middleware_sends_comes_before_the_consent() {
    let root = echo().middleware(async |socket: Socket| {
        socket.emit("early", &1).unwrap();
        // It is not one of all yet.
        let namespace = socket.namespace_handle();
        namespace.emit("not for those who wait", &()).unwrap();
        let asked = namespace.everyone().emit_with_ack::<(), _>("nor this", &(), client::MINUTE).unwrap();
        assert!(namespace.sockets().is_empty() && namespace.fetch_sockets().await.sockets.is_empty());
        assert!(namespace.socket(socket.id()).is_none() && asked.collect().await.missing.is_empty());
        Ok(())
    });
    let server = Server::builder().namespace("/", root).namespace("/b", Namespace::new()).build();
    let mut client = Client::open(&server, 1 << 20).await;
    client.send("0").await;
    assert_eq!(client.text().await, r#"2["early",1]"#);
    client.consent("0").await;
    client.quiet().await;
}

#[tokio::test]
async fn names_of_the_protocol_cannot_be_sent() {
    let server = serve(echo());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    let socket = only_socket(&server);
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert!(matches!(socket.emit(name, &()), Err(SendError::Encode(_))), "{name}");
        assert!(socket.volatile().emit(name, &()).is_err());
        assert!(server.emit(name, &()).is_err());
        assert!(server.of("/").everyone().emit_with_ack::<(), _>(name, &(), client::MINUTE).is_err());
        assert!(socket.emit_with_ack::<(), _>(name, &(), client::MINUTE).await.is_err());
    }
    assert_eq!(socket.pending_acks(), 0);
    client.quiet().await;
}
