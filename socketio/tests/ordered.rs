//! Namespaces where a socket's handlers run one after another.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use client::{Client, MINUTE, notes, serve};
use socketio::{Ack, AckError, Namespace, Server, Socket};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc::UnboundedReceiver};

/// A namespace whose handlers all note their beginning, pass a gate, and note their end.
struct Gated {
    server: Server,
    gate: Arc<Semaphore>,
    noted: UnboundedReceiver<String>,
}

impl Gated {
    fn new() -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let (note, noted) = notes();
        let opened = Arc::clone(&gate);
        let pass = move |what: String| {
            let (gate, note) = (Arc::clone(&opened), note.clone());
            note.send(format!("{what} begins")).unwrap();
            async move {
                gate.acquire().await.unwrap().forget();
                note.send(format!("{what} ends")).unwrap();
            }
        };
        let (connect, disconnect, event) = (pass.clone(), pass.clone(), pass);
        let root = Namespace::new()
            .ordered()
            .on_connect(move |_| connect("connect".into()))
            .on_disconnect(move |_, _| disconnect("disconnect".into()))
            .on("e", move |_, n: u8| {
                let passing = event(n.to_string());
                async move {
                    passing.await;
                    assert_ne!(n, 2, "a handler that panics");
                    Ack(n)
                }
            })
            .on("soon", async |_, ()| ());
        Self { server: serve(root), gate, noted }
    }

    async fn notes<const N: usize>(&mut self, expected: [&str; N]) {
        for expected in expected {
            assert_eq!(self.noted.recv().await.unwrap(), expected);
        }
        assert!(self.noted.is_empty());
    }
}

fn events(numbers: impl IntoIterator<Item = u8>) -> Vec<String> {
    numbers.into_iter().map(|n| format!(r#"2{n}["e",{n}]"#)).collect()
}

#[tokio::test]
async fn handlers_of_a_socket_run_one_after_another() {
    let mut gated = Gated::new();
    let (mut client, _) = Client::join(&gated.server, ["/"]).await;
    client.send_all(events(1..=4)).await;
    gated.notes(["connect begins"]).await;
    gated.gate.add_permits(1);
    gated.notes(["connect ends", "1 begins"]).await;
    gated.gate.add_permits(1);
    gated.notes(["1 ends", "2 begins"]).await;
    assert_eq!(client.text().await, "31[1]");
    // A panic gives way to the next.
    gated.gate.add_permits(1);
    gated.notes(["2 ends", "3 begins"]).await;
    assert_eq!(client.text().await, r#"32[{"error":"internal server error"}]"#);
    // One that does not wait takes its turn too.
    client.send_all([r#"2["soon"]"#.to_owned(), r#"25["e",5]"#.to_owned()]).await;
    gated.gate.add_permits(10);
    gated.notes(["3 ends", "4 begins", "4 ends", "5 begins", "5 ends"]).await;
    for n in 3..=5 {
        assert_eq!(client.text().await, format!("3{n}[{n}]"));
    }
}

#[tokio::test]
async fn other_sockets_do_not_wait() {
    let mut gated = Gated::new();
    gated.gate.add_permits(3);
    let (mut one, _) = Client::join(&gated.server, ["/"]).await;
    let (mut two, _) = Client::join(&gated.server, ["/"]).await;
    one.send_all(events([1])).await;
    assert_eq!(one.text().await, "31[1]");
    gated
        .notes(["connect begins", "connect ends", "connect begins", "connect ends", "1 begins", "1 ends"])
        .await;
    one.send_all(events([3])).await;
    gated.notes(["3 begins"]).await;
    two.send_all(events([4])).await;
    gated.notes(["4 begins"]).await;
}

#[tokio::test]
async fn what_waits_is_dropped_at_the_end_and_the_disconnect_handler_comes_last() {
    for leave in [true, false] {
        let mut gated = Gated::new();
        gated.gate.add_permits(1);
        let (mut client, _) = Client::join(&gated.server, ["/"]).await;
        client.send_all(events([1, 3, 4])).await;
        gated.notes(["connect begins", "connect ends", "1 begins"]).await;
        if leave {
            client.send_all(["1", "0"]).await;
            // The next membership does not wait for the last.
            client.consent("0").await;
            gated.notes(["connect begins"]).await;
            gated.gate.add_permits(10);
            let mut rest = Vec::new();
            for _ in 0..4 {
                rest.push(gated.noted.recv().await.unwrap());
            }
            let of_old: Vec<_> = rest.iter().filter(|note| !note.starts_with("connect")).collect();
            assert_eq!(of_old, ["1 ends", "disconnect begins", "disconnect ends"]);
            client.send_all(events([5])).await;
            assert_eq!(client.text().await, "35[5]");
        } else {
            drop(client);
            let server = gated.server.clone();
            client::eventually("it is closed", || server.of("/").sockets().is_empty()).await;
            assert!(gated.noted.is_empty());
            gated.gate.add_permits(10);
            gated.notes(["1 ends", "disconnect begins", "disconnect ends"]).await;
        }
    }
}

#[tokio::test]
async fn an_answer_does_not_wait_for_a_turn() {
    let root = Namespace::new().ordered().on("ask", async |socket: Socket, ()| {
        let answer: Result<u8, AckError> = socket.emit_with_ack("asked", &(), MINUTE).await;
        Ack(answer.unwrap())
    });
    let server = serve(root);
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send_all([r#"21["ask"]"#, r#"22["ask"]"#]).await;
    for n in [0, 1] {
        assert_eq!(client.text().await, format!(r#"2{n}["asked"]"#));
        client.send(&format!("3{n}[{}]", 7 + n)).await;
        assert_eq!(client.text().await, format!("3{}[{}]", n + 1, 7 + n));
    }
}
