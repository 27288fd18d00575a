//! What a handler sends while it is given messages goes straight into the frames that leave next. To the client that looks
//! like any other way: nothing is lost, and what one has sent before another stays before it.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod support;

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Context,
    thread,
};

use engineio::{Application, CloseReason, Config, Connection, Handler, Message, SendError, Server};
use support::{BINARY, Client, TEXT, masked};
use tokio::net::TcpListener;

/// Does what its client says, one letter after the other.
struct Obeys;

struct Obedient(Connection);

impl Application for Obeys {
    type Handler = Obedient;

    fn accept(&self, connection: Connection) -> Obedient {
        Obedient(connection)
    }
}

/// On another thread, and waits for it: what that has sent is before all that follows.
fn elsewhere(connection: &Connection, message: &str) {
    thread::scope(|scope| scope.spawn(|| connection.try_send(message.to_owned()).unwrap()).join()).unwrap();
}

fn written(connection: &Connection, text: &str) {
    let write = |frames: &mut Vec<u8>| {
        frames.extend_from_slice(text.as_bytes());
        Ok::<_, Infallible>(Vec::new())
    };
    match connection.write_in_turn(write) {
        Some(Ok(())) => {}
        None => connection.try_send_copy(text).unwrap(),
    }
}

impl Handler for Obedient {
    fn on_message(&mut self, message: Message, _: &mut Context<'_>) {
        let connection = &self.0;
        let Message::Text(orders) = message else { panic!("orders are text") };
        for (number, order) in orders.chars().enumerate() {
            let text = format!("{order}{number}");
            match order {
                'c' => connection.try_send_copy(&text).unwrap(),
                'm' => connection.try_send(text).unwrap(),
                'f' => connection.force_send(text).unwrap(),
                'b' => connection.try_send(text.into_bytes()).unwrap(),
                'w' => written(connection, &text),
                // Nothing is queued: it cannot but be written.
                'W' => {
                    let write = |frames: &mut Vec<u8>| {
                        frames.extend_from_slice(text.as_bytes());
                        Ok::<_, Infallible>(Vec::new())
                    };
                    assert_eq!(connection.write_in_turn(write), Some(Ok(())));
                }
                'l' => written(connection, &format!("{text} {}", "x".repeat(70_000))),
                'L' => connection.try_send(format!("{text} {}", "x".repeat(70_000))).unwrap(),
                'q' => connection.try_send_all([text.into()]).unwrap(),
                'e' => elsewhere(connection, &text),
                'a' => {
                    let write = |frames: &mut Vec<u8>| {
                        frames.extend_from_slice(text.as_bytes());
                        Ok::<_, Infallible>(vec!["first".into(), "second".into()])
                    };
                    assert_eq!(connection.write_in_turn(write), Some(Ok(())));
                }
                'v' => {
                    let is_first = number == 0;
                    assert_eq!(connection.send_volatile_all([text.into()]), is_first, "{orders}");
                }
                'x' => {
                    let failed = connection.write_in_turn(|frames| {
                        frames.extend_from_slice(b"half of it");
                        Err(())
                    });
                    assert_ne!(failed, Some(Ok(())));
                }
                'p' => {
                    let panics = || {
                        connection.write_in_turn::<()>(|frames| {
                            frames.extend_from_slice(b"half of it");
                            panic!("on purpose")
                        })
                    };
                    catch_unwind(AssertUnwindSafe(panics)).ok();
                }
                'n' => {
                    let _ = connection.write_in_turn(|frames| {
                        frames.extend_from_slice(text.as_bytes());
                        connection.try_send_copy(&format!("within {text}"))?;
                        Ok::<_, SendError>(Vec::new())
                    });
                }
                'o' => {
                    connection.close();
                    assert_eq!(connection.try_send_copy("late"), Err(SendError::Closed));
                    assert_eq!(connection.write_in_turn(|_| Ok::<_, Infallible>(Vec::new())), None);
                }
                '!' => panic!("on purpose"),
                other => panic!("{other}"),
            }
        }
    }

    fn on_close(&mut self, _: CloseReason, _: &mut Context<'_>) {}
}

async fn start(config: Config, application: impl Application) -> (Server, std::net::SocketAddr) {
    let server = Server::builder().config(config).build(application);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(listener).await.unwrap() });
    (server, address)
}

async fn connect(address: std::net::SocketAddr) -> Client {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut client = Client::new(stream, support::REAL_PATIENCE);
    client.switch("EIO=4&transport=websocket").await;
    client.text().await;
    client
}

/// The client's view: text and binary messages alike, long ones shortened.
async fn received(client: &mut Client, orders: &str) {
    for (number, order) in orders.chars().enumerate().filter(|(_, order)| !"xpo".contains(*order)) {
        let frame = client.frame().await;
        let text = String::from_utf8(frame.payload).unwrap();
        let text = text.strip_prefix('4').unwrap_or(&text);
        let expected = match order {
            'l' | 'L' => format!("{order}{number} {}", "x".repeat(70_000)),
            _ => format!("{order}{number}"),
        };
        assert!(text == expected, "{text:.20} instead of {expected:.20} of {orders}");
    }
}

#[tokio::test]
async fn all_that_is_sent_in_a_turn_keeps_its_order() {
    let (_server, address) = start(Config::default(), Obeys).await;
    let mut client = connect(address).await;
    for orders in [
        "W", "cmfbW", "c", "m", "f", "b", "w", "q", "e", "cmfbwqe", "wec", "ewm", "qw", "qcf", "wLw", "cLm",
        "lwlwc", "eLelw",
    ] {
        client.send(masked(TEXT, format!("4{orders}").as_bytes())).await;
        received(&mut client, orders).await;
    }
    // Several messages at once are one turn.
    let all = ["wcm", "eq", "cwf", "w"];
    let frames: Vec<u8> =
        all.iter().flat_map(|orders| masked(TEXT, format!("4{orders}").as_bytes())).collect();
    client.send(frames).await;
    for orders in all {
        received(&mut client, orders).await;
    }
}

#[tokio::test]
async fn headers_are_those_of_the_length_whatever_came_before() {
    let (_server, address) = start(Config::default(), Obeys).await;
    let mut client = connect(address).await;
    for orders in ["wlw", "llw", "wwl", "lww"] {
        client.send(masked(TEXT, format!("4{orders}").as_bytes())).await;
        received(&mut client, orders).await;
    }
}

#[tokio::test]
async fn a_text_that_fails_or_panics_halfway_is_taken_back() {
    let (_server, address) = start(Config::default(), Obeys).await;
    let mut client = connect(address).await;
    for orders in ["wxw", "xc", "wpw", "pm", "wxpxpb"] {
        client.send(masked(TEXT, format!("4{orders}").as_bytes())).await;
        received(&mut client, orders).await;
    }
}

#[tokio::test]
async fn attachments_follow_their_text() {
    let (_server, address) = start(Config::default(), Obeys).await;
    let mut client = connect(address).await;
    client.send(masked(TEXT, b"4waw")).await;
    let mut frames = Vec::new();
    for _ in 0..5 {
        let frame = client.frame().await;
        frames.push((frame.opcode, String::from_utf8(frame.payload).unwrap()));
    }
    let expected = [(TEXT, "4w0"), (TEXT, "4a1"), (BINARY, "first"), (BINARY, "second"), (TEXT, "4w2")];
    assert_eq!(frames, expected.map(|(opcode, payload)| (opcode, payload.to_owned())));
}

#[tokio::test]
async fn what_is_volatile_leaves_alone_or_not_at_all() {
    let (_server, address) = start(Config::default(), Obeys).await;
    let mut client = connect(address).await;
    for orders in ["v", "vw", "wv", "cv", "ev"] {
        client.send(masked(TEXT, format!("4{orders}").as_bytes())).await;
        let sent = if orders.starts_with('v') { orders } else { &orders[..1] };
        received(&mut client, sent).await;
    }
}

/// Data may send other messages while it is being written.
#[tokio::test]
async fn what_is_sent_while_a_text_is_written_is_another_message() {
    let (_server, address) = start(Config::default(), Obeys).await;
    let mut client = connect(address).await;
    client.send(masked(TEXT, b"4wnw")).await;
    let texts = [client.text().await, client.text().await, client.text().await, client.text().await];
    assert_eq!(texts, ["4w0", "4n1", "4within n1", "4w2"]);
}

#[tokio::test]
async fn what_was_sent_before_a_close_arrives_and_nothing_after_it() {
    let (_server, address) = start(Config::default(), Obeys).await;
    let mut client = connect(address).await;
    client.send(masked(TEXT, b"4wco")).await;
    received(&mut client, "wco").await;
    client.expect_close_frame(None).await;
}

/// What was sent in the turn that ends it leaves before the farewell.
#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_answered_first() {
    let (_server, address) = start(Config::default(), Obeys).await;
    let mut client = connect(address).await;
    // A frame that is not masked.
    let frames = [masked(TEXT, b"4wc"), vec![0x81, 0x01, b'4']].concat();
    client.send(frames).await;
    received(&mut client, "wc").await;
    client.expect_close_frame(Some(1002)).await;
}

/// Its memory may be that of another connection a moment later.
#[tokio::test]
async fn after_a_panic_nobody_is_in_that_turn() {
    let (server, address) = start(Config::default(), Obeys).await;
    for _ in 0..20 {
        let mut client = connect(address).await;
        client.send(masked(TEXT, b"4wc!")).await;
        client.expect_end().await;
        let mut next = connect(address).await;
        let connection = server.connections().into_iter().next().unwrap();
        connection.try_send_copy("from outside").unwrap();
        assert_eq!(next.text().await, "4from outside");
        connection.close_now();
    }
}

/// What does not fit into the frames of a turn is queued, and what does not fit there either is refused.
#[tokio::test]
async fn the_outbox_is_bounded_all_the_same() {
    struct Floods;
    struct Flood(Connection);
    impl Application for Floods {
        type Handler = Flood;

        fn accept(&self, connection: Connection) -> Flood {
            Flood(connection)
        }
    }
    impl Handler for Flood {
        fn on_message(&mut self, _: Message, _: &mut Context<'_>) {
            let text = "x".repeat(1_000);
            let taken = (0..).take_while(|_| self.0.try_send_copy(&text).is_ok()).count();
            assert_eq!(self.0.try_send_copy(&text), Err(SendError::Full));
            self.0.force_send(taken.to_string()).unwrap();
        }

        fn on_close(&mut self, _: CloseReason, _: &mut Context<'_>) {}
    }
    let (_server, address) = start(Config::default().max_outbox_bytes(10_000), Floods).await;
    let mut client = connect(address).await;
    for _ in 0..3 {
        client.send(masked(TEXT, b"4flood")).await;
        let mut count = 0;
        let taken = loop {
            match client.text().await {
                text if text.len() > 1_000 => count += 1,
                text => break text[1..].parse::<usize>().unwrap(),
            }
        };
        assert_eq!(count, taken);
        assert!((10..=22).contains(&taken), "{taken}: of each 10,000 bytes, and one beyond");
    }
}
