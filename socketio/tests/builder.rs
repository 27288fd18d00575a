//! What a server is told when it is built, down to its HTTP.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use client::{
    Client, echo,
    http::{Http, Polling},
};
use engineio::{Handshake, Refusal};
use http::{Response, StatusCode};
use serde_json::Value;
use socketio::{Ack, Limits, Namespace, Recovery, Server, Socket};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Clone)]
struct Visitor(String);

#[tokio::test]
async fn handshakes_are_judged_and_remembered() {
    let root = echo().on("who", async |socket: Socket, ()| {
        let Visitor(name) = socket.handshake().extensions.get().cloned().unwrap();
        Ack(name)
    });
    let server = Server::builder()
        .namespace("/", root)
        .handshake(async |mut handshake: Handshake| {
            let name = handshake.head().query_param("name").map(String::from);
            handshake.extensions.insert(Visitor(name.ok_or_else(|| Refusal::forbidden("who?"))?));
            Ok(handshake)
        })
        .handshake(async |handshake: Handshake| match handshake.extensions.get::<Visitor>() {
            Some(Visitor(name)) if name == "eve" => {
                Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "not now"))
            }
            _ => Ok(handshake),
        })
        .build();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"21["who"]"#).await;
    assert_eq!(client.text().await, r#"31["ann"]"#);
    for (query, expected) in [
        ("", (403, r#"{"code":4,"message":"who?"}"#)),
        ("&name=eve", (503, r#"{"code":4,"message":"not now"}"#)),
    ] {
        let target = format!("/socket.io/?EIO=4&transport=polling{query}");
        let (status, body) = client::http::get(&server, &target).await;
        assert_eq!((status, &*body), expected);
    }
    assert_eq!(server.engine().connection_count(), 1);
}

#[tokio::test]
async fn other_paths_are_for_the_fallback() {
    let server = Server::builder()
        .namespace("/", echo())
        .path("/io")
        .fallback(async |request: http::Request<bytes::Bytes>| {
            Response::new(format!("{} {}", request.method(), request.uri()).into())
        })
        .build();
    let mut http = Http::open(&server);
    for path in ["/", "/socket.io/?EIO=4&transport=polling", "/ioX/"] {
        assert_eq!(http.get(path).await, (200, format!("GET {path}")));
    }
    assert_eq!(http.get("/io/?EIO=4&transport=polling").await.1[..1], *"0");
}

#[tokio::test]
async fn the_engine_below_can_be_told_more() {
    let server = Server::builder()
        .namespace("/", echo())
        .map_engine(|engine| {
            engine.headers(|headers, _| {
                headers.insert("x-served-by", "me".parse().unwrap());
            })
        })
        .engine(engineio::Config::default().ping_interval(Duration::from_millis(1_234)))
        .build();
    let mut http = Http::open(&server);
    http.send("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (head, body) = http.receive_whole().await;
    assert!(head.contains("x-served-by: me\r\n"), "{head}");
    let open: Value = serde_json::from_slice(&body[1..]).unwrap();
    assert_eq!(open["pingInterval"], 1_234);
}

#[tokio::test(start_paused = true)]
async fn the_time_to_join_can_be_chosen() {
    let server = Server::builder().namespace("/", echo()).connect_timeout(Duration::from_secs(3)).build();
    let mut silent = Client::open(&server, 1024).await;
    let (mut joined, _) = Client::join(&server, ["/"]).await;
    let start = Instant::now();
    silent.closed().await;
    assert_eq!(start.elapsed().as_secs(), 3);
    // Having left all namespaces later is no fault.
    joined.send("1").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    joined.send("0").await;
    joined.consent("0").await;
}

#[tokio::test]
async fn times_may_be_without_end() {
    let never = Duration::MAX;
    let recovery = Recovery { max_disconnection: never, ..Recovery::default() };
    let server = Server::builder()
        .namespace("/", echo())
        .dynamic("/x/{n}", echo())
        .connect_timeout(never)
        .limits(Limits { attachment_timeout: never, ..Limits::default() })
        .recovery(recovery)
        .build();
    let (mut client, _) = Client::join(&server, ["/", "/x/1"]).await;
    client.send(r#"51-1["echo",{"_placeholder":true,"num":0}]"#).await;
    client.send_binary(b"x").await;
    assert!(client.text().await.starts_with("31["));
    server.emit("kept", &()).unwrap();
    assert!(client.text().await.starts_with(r#"2["kept""#));
    let asked = server.of("/").everyone().emit_with_ack::<u8, _>("ask", &(), never).unwrap();
    let asking = asked.collect();
    assert_eq!(client.text().await, r#"20["ask"]"#);
    client.send("30[7]").await;
    assert_eq!(asking.await.answers, [7]);
    client.send("1/x/1,").await;
    client.quiet().await;
    drop(client);
    client::eventually("it is lost", || server.of("/").sockets().is_empty()).await;
    client::others_are_served(&server).await;
    server.drain(Duration::ZERO, never).await.unwrap();
}

#[tokio::test]
async fn a_client_that_polls_is_served_as_any_other() {
    let server = Server::builder().namespace("/", echo()).namespace("/b", echo()).build();
    let mut polling = Polling::join(&server).await;
    polling.post("421[\"echo\",1]\u{1e}40/b,").await;
    let answer = polling.poll().await;
    assert!(answer.starts_with("431[1]\u{1e}40/b,{"), "{answer}");
    server.emit("photo", &bytes::Bytes::from("raw")).unwrap();
    assert_eq!(polling.poll().await, "451-[\"photo\",{\"_placeholder\":true,\"num\":0}]\u{1e}bcmF3");
    polling.post("451-2[\"echo\",{\"_placeholder\":true,\"num\":0}]\u{1e}bcmF3").await;
    assert!(polling.poll().await.starts_with("432["));
    // Several namespaces of one server, and those that are not there.
    polling.post("40/c,").await;
    assert_eq!(polling.poll().await, r#"44/c,{"message":"Invalid namespace"}"#);
    // The end is told as official clients know it.
    polling.post("49").await;
    assert_eq!(polling.poll().await, "6\u{1e}1");
}

#[test]
fn what_cannot_be_meant_is_refused_at_once() {
    let refused =
        |build: fn() -> socketio::ServerBuilder| std::panic::catch_unwind(|| drop(build())).is_err();
    assert!(refused(|| Server::builder().namespace("chat", Namespace::new())));
    assert!(refused(|| Server::builder().namespace("/a,b", Namespace::new())));
    assert!(refused(|| Server::builder().namespace("/a", echo()).namespace("/a", echo())));
    assert!(refused(|| Server::builder().dynamic("/{a", echo())));
    assert!(refused(|| Server::builder().namespace("/", echo().on("connect", async |_, ()| ()))));
    assert!(!refused(|| Server::builder().namespace("/a", echo().on("message", async |_, ()| ()))));
    let twice = || echo().fallback(async |_, _| ()).fallback(async |_, _| ());
    assert!(std::panic::catch_unwind(|| drop(twice())).is_err());
}
