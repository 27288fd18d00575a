//! Messages that are written past the driver, among those that are queued for it.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod support;

use engineio::{Config, Connection, Outgoing, SendError, Server};
use support::{Does, TestServer};
use tokio::sync::oneshot;

/// Together far more than the kernel keeps for a client that does not read.
const MESSAGES: usize = 4_000;
const LONGEST: usize = 10_000;

/// Enough for two on different threads to meet in some of them.
const ROUNDS: usize = 3_000;

fn text(sender: char, number: usize) -> String {
    format!("{sender}{number} {}", "x".repeat(number * 37 % LONGEST))
}

/// Of the messages that are sent in one way before the next: at first as many as the kernel takes, so that a write past the
/// driver ends in the midst of a message; then some.
fn way(number: usize) -> usize {
    if number < MESSAGES / 2 { 0 } else { number / 10 % 3 }
}

/// Sends by all ways in turn, waiting for room; tells when it had to wait for the first time.
async fn send_all(connection: Connection, sender: char, full: oneshot::Sender<()>) {
    let mut full = Some(full);
    for number in 0..MESSAGES {
        let text = text(sender, number);
        loop {
            let sent = match way(number) {
                0 => connection.send_now_all([Outgoing::from(text.clone())]),
                1 => connection.try_send(text.clone()),
                _ => connection.try_send_copy(&text),
            };
            match sent {
                Err(SendError::Full) => {
                    full.take().map(|full| full.send(()));
                    connection.ready().await.unwrap();
                }
                sent => break sent.unwrap(),
            }
        }
        if number % 10 == 0 {
            // So that the driver sleeps now and then.
            tokio::task::yield_now().await;
        }
    }
}

/// Who sends while another writes past the driver leaves it to the driver, which has to wait for its stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_sent_while_another_writes_is_sent_too() {
    let mut server = TestServer::start(Server::builder(), Does::Nothing).await;
    let mut client = server.connect().await;
    client.switch("EIO=4&transport=websocket").await;
    client.text().await;
    let connection = server.opened().await;
    for round in 0..ROUNDS {
        let senders = [0, 1].map(|way| {
            let connection = connection.clone();
            tokio::spawn(async move {
                match way {
                    0 => connection.send_now_all([Outgoing::from(format!("a{round}"))]).unwrap(),
                    _ => connection.try_send(format!("b{round}")).unwrap(),
                }
            })
        });
        let mut received = [client.text().await, client.text().await];
        received.sort();
        assert_eq!(received, [format!("4a{round}"), format!("4b{round}")]);
        for sender in senders {
            sender.await.unwrap();
        }
    }
    server.is_alive().await;
}

/// The client takes nothing until nothing more is taken from the senders, so that writes end in the midst of messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_sends_keeps_its_order_whoever_writes_it() {
    let config = Config::default().max_outbox_bytes(64 << 10);
    let mut server = TestServer::start(Server::builder().config(config), Does::Nothing).await;
    let mut client = server.connect().await;
    client.switch("EIO=4&transport=websocket").await;
    client.text().await;
    let connection = server.opened().await;

    let senders = ['a', 'b'].map(|sender| {
        let (full, is_full) = oneshot::channel();
        (tokio::spawn(send_all(connection.clone(), sender, full)), is_full)
    });
    let mut sending = Vec::new();
    for (task, is_full) in senders {
        is_full.await.unwrap();
        sending.push(task);
    }
    let mut next = [0, 0];
    while next != [MESSAGES, MESSAGES] {
        let received = client.text().await;
        let sender = received.chars().nth(1).unwrap();
        let number = &mut next[usize::from(sender == 'b')];
        assert!(received[1..] == text(sender, *number), "{received:.20} instead of {sender}{number}");
        *number += 1;
    }
    for task in sending {
        task.await.unwrap();
    }
    server.is_alive().await;
}
