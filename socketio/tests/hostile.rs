//! Packets that no client has reason to send. Whatever becomes of who sends them, others are served.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use bytes::Bytes;
use client::{Client, echo, eventually, notes, others_are_served};
use serde_json::Value;
use socketio::{Ack, Limits, Namespace, Server};
use std::time::Duration;
use tokio::{sync::mpsc, time::Instant};

/// What a client sends after it has joined `/`.
#[derive(Debug)]
enum Sent {
    Binary(&'static [u8]),
    Text(String),
}

fn text(text: impl Into<String>) -> Sent {
    Sent::Text(text.into())
}

/// A server that notes which events have reached a handler, and why sockets ended.
fn server(limits: Limits) -> (Server, mpsc::UnboundedReceiver<String>) {
    let (note, noted) = notes();
    let ended = note.clone();
    let pending = Namespace::new().middleware(async |_| std::future::pending().await);
    let root = echo()
        .on("number", async |_, number: f64| Ack(number))
        .on("string", async |_, string: String| Ack(string))
        .on("buffers", async |_, all: Vec<Bytes>| Ack(all.len()))
        .fallback(move |_, event| {
            note.send(format!("event {:.10}", event.name())).ok();
            async {}
        })
        .on_disconnect(move |_, reason| {
            ended.send(reason.to_string()).ok();
            async {}
        });
    let builder = Server::builder().namespace("/", root).namespace("/pending", pending);
    (builder.limits(limits).build(), noted)
}

/// Expects that the connection is closed, and that nothing of it has come to a handler.
async fn is_closed_for(what: &str, packets: impl IntoIterator<Item = Sent>) {
    let (server, mut noted) = server(Limits::default());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    for packet in packets {
        match packet {
            Sent::Binary(bytes) => client.send_binary(bytes).await,
            Sent::Text(text) => client.send(&text).await,
        }
    }
    client.send(r#"2["after all"]"#).await;
    client.closed().await;
    assert_eq!(noted.recv().await.unwrap(), "forced close", "{what}");
    eventually("the connection is gone", || server.engine().connection_count() == 0).await;
    others_are_served(&server).await;
}

/// Expects an answer, and that the connection lives on.
async fn is_answered(packet: &str, expected: &str) {
    let (server, _noted) = server(Limits::default());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(packet).await;
    let answer = client.text().await;
    assert!(answer.starts_with(expected), "{answer:.100} instead of {expected}");
    client.quiet().await;
    others_are_served(&server).await;
}

#[tokio::test]
async fn more_attachments_than_allowed_are_announced() {
    for count in ["11", "100", "99999999", "99999999999", "18446744073709551616", &"9".repeat(100_000)] {
        is_closed_for("announced", [text(format!(r#"5{count}-["a"]"#))]).await;
        is_closed_for("announced in an ack", [text(format!(r#"6{count}-1["a"]"#))]).await;
    }
    for ill in ["-1", "1.5", " 1", "1e0", "", "x", "+1", "0x1"] {
        is_closed_for(ill, [text(format!(r#"5{ill}-["a"]"#))]).await;
    }
    is_closed_for("no dash", [text(r#"51["a"]"#)]).await;
}

#[tokio::test]
async fn a_binary_packet_without_attachments_is_plain() {
    is_answered(r#"50-1["echo",{"_placeholder":true,"num":0}]"#, r#"31[{"_placeholder":true,"num":0}]"#)
        .await;
}

#[tokio::test]
async fn attachments_out_of_order() {
    let place = r#"51-["a",{"_placeholder":true,"num":0}]"#;
    is_closed_for("text instead", [text(place), text(r#"2["b"]"#)]).await;
    is_closed_for("a packet instead", [text(place), text(place)]).await;
    is_closed_for("DISCONNECT instead", [text(place), text("1")]).await;
    is_closed_for("unannounced", [Sent::Binary(b"x")]).await;
    let surplus = [text(r#"51-/other,["a"]"#), Sent::Binary(b"x")];
    is_closed_for("of a namespace that is not joined", surplus).await;
}

#[tokio::test]
async fn placeholders_that_name_nothing() {
    for num in ["-1", "1", "0.5", r#""0""#, "null", "1e0", "18446744073709551616", "[0]", "true"] {
        let packet = format!(r#"51-["a",{{"_placeholder":true,"num":{num}}}]"#);
        is_closed_for(num, [text(packet), Sent::Binary(b"x")]).await;
    }
    is_closed_for("no number", [text(r#"51-["a",{"_placeholder":true}]"#), Sent::Binary(b"x")]).await;
}

#[tokio::test]
async fn an_attachment_that_is_named_a_thousand_times() {
    let places = vec![r#"{"_placeholder":true,"num":0}"#; 1_000].join(",");
    is_closed_for("many", [text(format!(r#"51-["a",{places}]"#)), Sent::Binary(b"x")]).await;
    let nested = r#"51-["a",{"_placeholder":true,"num":0,"more":{"_placeholder":true,"num":0}}]"#;
    is_closed_for("nested", [text(nested), Sent::Binary(b"x")]).await;
}

#[tokio::test]
async fn json_that_is_too_deep() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    is_closed_for("arrays", [text(format!(r#"2["a",{}]"#, nested(129)))]).await;
    is_closed_for("many arrays", [text(format!(r#"2["a",{}]"#, nested(400_000)))]).await;
    is_closed_for("unclosed", [text(format!(r#"2["a",{}"#, "[".repeat(900_000)))]).await;
    is_closed_for("objects", [text(format!(r#"2["a",{}"#, r#"{"a":"#.repeat(150_000)))]).await;
    is_closed_for("in CONNECT", [text(format!(r#"0/b,{{"a":{}}}"#, nested(200)))]).await;
    is_closed_for("in an ack", [text(format!("31[{}]", nested(200)))]).await;
    // At the limit it is no fault of the client.
    is_answered(&format!(r#"21["echo",{}]"#, nested(100)), "31[[[[").await;
    is_answered(&format!(r#"21["buffers",{}]"#, nested(128)), r#"31[{"error":"#).await;
}

#[tokio::test]
async fn numbers_and_strings_that_mean_nothing() {
    let digits = "9".repeat(900_000);
    for (event, data) in [
        ("number", "1e400"),
        ("number", "-1e999999999999999999"),
        ("number", &*digits),
        ("string", r#""\ud800""#),
        ("string", r#""\udc00\ud800""#),
        ("echo", r#""\ud800""#),
        ("echo", "1e400"),
    ] {
        is_answered(&format!(r#"21["{event}",{data}]"#), r#"31[{"error":""#).await;
    }
    is_answered(&format!(r#"21["number",0.{digits}]"#), "31[1.0]").await;
    is_answered(&format!(r#"21["number",1e-{digits}]"#), "31[0").await;
}

#[tokio::test]
async fn text_that_is_no_packet() {
    let name = "x".repeat(900_000);
    for no_packet in [
        "",
        "7",
        "9",
        "x",
        "é",
        " 2[\"a\"]",
        "2",
        "2null",
        "2{}",
        "2[]",
        "2[null]",
        "2[{}]",
        r#"2["a""#,
        r#"2["a"]x"#,
        r#"2["a"][]"#,
        r#"2["a",]"#,
        r#"2["connect"]"#,
        r#"2["connect_error"]"#,
        r#"2["disconnect"]"#,
        r#"2["disconnecting"]"#,
        r#"2["newListener"]"#,
        r#"2["removeListener"]"#,
        r#"2["dis\u0063onnect"]"#,
        "3[]",
        "31",
        "31{}",
        "31null",
        "4",
        r#"4{"message":"x"}"#,
        "1{}",
        "1[]",
        "0,",
        r#"29007199254740992["a"]"#,
        &format!(r#"2{}["a"]"#, "9".repeat(100)),
        &format!("3{}[]", "9".repeat(100)),
        &name,
        &format!(r#"2["{name}"#),
    ] {
        is_closed_for(&format!("{no_packet:.30}"), [text(no_packet)]).await;
    }
}

#[tokio::test]
async fn packets_against_the_rules() {
    for (what, packet) in [
        ("CONNECT again", "0"),
        ("CONNECT again by name", "0/,"),
        ("an array", "0/pending,[]"),
        ("a string", r#"0/pending,"x""#),
        ("null", "0/pending,null"),
        ("an event for another namespace", r#"2/other,["a"]"#),
        ("an event for an unknown one", r#"2/?,["a"]"#),
        ("an ack for another", "3/other,1[]"),
        ("DISCONNECT of another", "1/other,"),
    ] {
        is_closed_for(what, [text(packet)]).await;
    }
    for (what, packet) in
        [("an event", r#"2/pending,["a"]"#), ("CONNECT", "0/pending,"), ("DISCONNECT", "1/pending,")]
    {
        is_closed_for(&format!("{what} before the consent"), [text("0/pending,"), text(packet)]).await;
    }
}

#[tokio::test]
async fn ids_names_and_namespaces_without_measure() {
    is_answered(r#"29007199254740991["echo",1]"#, "39007199254740991[1]").await;
    is_answered(r#"2000000000000000000000000000000007["echo",1]"#, "37[1]").await;
    let name = "x".repeat(900_000);
    is_answered(&format!("0/{name},"), "4/xxx").await;
    is_answered(&format!(r#"0/no,{{"{name}":"{name:.10}"}}"#), r#"4/no,{"message":"Invalid namespace"}"#)
        .await;
    // Nobody waits for these.
    let (server, mut noted) = server(Limits::default());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all((0..1_000).map(|n| format!("3{n}{:012}[]", 0))).await;
    client.send(&format!(r#"2["{name}"]"#)).await;
    assert_eq!(noted.recv().await.unwrap(), "event xxxxxxxxxx");
    client.quiet().await;
}

#[tokio::test]
async fn attachments_larger_than_the_limit() {
    let config = engineio::Config::default().max_payload(4_000_000);
    let server = Server::builder().engine(config).namespace("/", echo()).build();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"510-["a"]"#).await;
    // The third is beyond the 10 MB of all together.
    for _ in 0..3 {
        client.send_binary(&vec![0; 3_500_000]).await;
    }
    client.closed().await;
    others_are_served(&server).await;
}

#[tokio::test(start_paused = true)]
async fn attachments_that_never_come() {
    let (server, mut noted) = server(Limits::default());
    let mut clients = Vec::new();
    for held in 0..10 {
        let (mut client, _) = Client::join(&server, ["/"]).await;
        client.send(r#"510-["a"]"#).await;
        for _ in 0..held {
            client.send_binary(&[0; 1_000]).await;
        }
        clients.push(client);
    }
    let start = Instant::now();
    for mut client in clients {
        client.closed().await;
        assert_eq!(noted.recv().await.unwrap(), "forced close");
    }
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(server.engine().connection_count(), 0);
    others_are_served(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_joins_nothing() {
    let (server, _noted) = server(Limits::default());
    let start = Instant::now();
    let mut silent = Client::open(&server, 1 << 20).await;
    let mut announcing = Client::open(&server, 1 << 20).await;
    announcing.send(r#"51-["a"]"#).await;
    let announcing = tokio::spawn(async move {
        announcing.closed().await;
        start.elapsed().as_secs()
    });
    let mut pending = Client::open(&server, 1 << 20).await;
    pending.send("0/pending,").await;
    let mut refused = Client::open(&server, 1 << 20).await;
    for _ in 0..8 {
        refused.send("0/no,").await;
        assert!(refused.text().await.starts_with("4/no,"));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    for client in [&mut silent, &mut pending, &mut refused] {
        client.closed().await;
    }
    assert_eq!(start.elapsed().as_secs(), 45);
    // Attachments have a time of their own.
    assert_eq!(announcing.await.unwrap(), 30);
    others_are_served(&server).await;
}

#[tokio::test]
async fn values_of_all_kinds_are_kept_as_they_came() {
    let kinds = r#"{"a":[null,true,-0.5,1e3,"\u00e9\n\"",{}],"":0,"__proto__":1}"#;
    let (server, _noted) = server(Limits::default());
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(&format!(r#"21["echo",{kinds}]"#)).await;
    let answer: Value = serde_json::from_str(&client.text().await[2..]).unwrap();
    assert_eq!(answer[0], serde_json::from_str::<Value>(kinds).unwrap());
}
