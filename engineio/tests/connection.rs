//! What an application can do with a connection and the server, and what the client sees of it.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod support;

use std::{
    collections::HashSet,
    num::NonZeroU8,
    task::{Context, Poll},
    time::Duration,
};

use engineio::{
    Application, CloseReason, Config, Connection, Event, Handler, Message, Outgoing, SendError, Server,
    Transport, handler_fn,
};
use http::{Request, Response};
use support::{CLOSE, Client, Does, Frame, PIPE, TEXT, TestServer, get, masked, request, sid_of};
use tokio::{
    io::BufWriter,
    time::{Instant, sleep, timeout},
};

const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// A server whose application does nothing by itself, in virtual time.
fn quiet(config: Config) -> TestServer {
    TestServer::in_pipes(Server::builder().config(config), Does::Nothing)
}

fn handle(server: &TestServer, client: &Client) -> Connection {
    server.server.connection(&client.sid).unwrap()
}

/// Asserts that the future waits for something that only others can do.
async fn waits<T: std::fmt::Debug>(future: &mut (impl Future<Output = T> + Unpin)) {
    let result = timeout(Duration::from_millis(1), future).await;
    assert!(result.is_err(), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_is_an_error_or_a_wait() {
    let mut server = quiet(Config::default().max_outbox_bytes(10_000));
    let mut client = server.polling().await;
    let connection = handle(&server, &client);
    let message = "x".repeat(1_000);
    let mut taken = 0;
    while connection.try_send(message.clone()).is_ok() {
        taken += 1;
    }
    assert!((9..=10).contains(&taken), "{taken}");
    assert_eq!(connection.try_send(""), Err(SendError::Full));
    assert_eq!(connection.try_send_all(["a".into(), "b".into()]), Err(SendError::Full));
    assert!(!connection.send_volatile_all(["v".into()]));
    // Whoever answers may go beyond, as nothing is read meanwhile.
    assert_eq!(connection.force_send_all(["forced".into()]), Ok(()));
    let mut one = Box::pin(connection.send("one"));
    let mut two = Box::pin(connection.send_all(["two".into(), "three".into()]));
    waits(&mut one).await;
    waits(&mut two).await;
    let expected = [vec![format!("4{message}"); taken], vec!["4forced".into()]].concat().join("\x1e");
    assert_eq!(client.poll().await.text(), expected);
    assert_eq!((one.await, two.await), (Ok(()), Ok(())));
    assert_eq!(client.poll().await.text(), "4one\x1e4two\x1e4three");

    // The end wakes those who wait.
    while connection.try_send(message.clone()).is_ok() {}
    let mut late = Box::pin(connection.send("late"));
    waits(&mut late).await;
    connection.close_now();
    assert_eq!(late.await, Err(SendError::Closed));
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    assert_eq!(connection.try_send("x"), Err(SendError::Closed));
    assert_eq!(connection.send("x").await, Err(SendError::Closed));
    assert_eq!(connection.force_send_all(["x".into()]), Err(SendError::Closed));
    assert!(!connection.send_volatile_all(["x".into()]));
}

#[tokio::test(start_paused = true)]
async fn one_message_may_be_larger_than_the_outbox() {
    let mut server = quiet(Config::default().max_outbox_bytes(10));
    let client = server.polling().await;
    let mut polling = server.join(&client.sid).await;
    for _ in 0..3 {
        handle(&server, &client).send("x".repeat(100_000)).await.unwrap();
        assert_eq!(polling.poll().await.body.len(), 100_001);
    }
}

#[tokio::test]
async fn messages_that_are_sent_together_stay_together() {
    let config = Config::default().max_outbox_bytes(2_000);
    let mut server = TestServer::start(Server::builder().config(config), Does::Nothing).await;
    let mut client = server.websocket().await;
    let connection = handle(&server, &client);
    for sender in 0..4 {
        let connection = connection.clone();
        tokio::spawn(async move {
            for number in 0..500 {
                let parts = ["a", "b", "c"].map(|part| Outgoing::from(format!("{sender} {number} {part}")));
                connection.send_all(parts).await.unwrap();
            }
        });
    }
    let mut next = [0; 4];
    for _ in 0..2_000 {
        let parts = [client.text().await, client.text().await, client.text().await];
        let sender: usize = parts[0][1..2].parse().unwrap();
        let number = next[sender];
        assert_eq!(parts, ["a", "b", "c"].map(|part| format!("4{sender} {number} {part}")));
        next[sender] += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn volatile_messages_leave_at_once_or_not_at_all() {
    let mut server = quiet(Config::default().ping_interval(Duration::from_secs(9_999)));
    let volatile = |connection: &Connection| connection.send_volatile_all(["now".into(), "or never".into()]);
    let mut client = server.polling().await;
    let connection = handle(&server, &client);
    sleep(Duration::from_secs(1)).await;
    assert!(!volatile(&connection), "no poll waits");
    client.send_poll().await;
    sleep(Duration::from_secs(1)).await;
    assert!(volatile(&connection));
    assert_eq!(client.response().await.text(), "4now\x1e4or never");
    assert!(!volatile(&connection), "the poll has been answered");

    let mut client = server.websocket().await;
    let connection = handle(&server, &client);
    sleep(Duration::from_secs(1)).await;
    assert!(volatile(&connection));
    assert_eq!([client.text().await, client.text().await], ["4now", "4or never"]);
    connection.try_send("x".repeat(2 * PIPE)).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(!volatile(&connection), "the client takes nothing");
    client.text().await;
    sleep(Duration::from_secs(1)).await;
    assert!(volatile(&connection));
}

#[tokio::test(start_paused = true)]
async fn drained_tells_when_all_has_been_taken() {
    let mut server = quiet(Config::default());
    let mut polling = server.polling().await;
    handle(&server, &polling).try_send_all(["a".into(), "b".into()]).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(timeout(Duration::from_millis(1), server.drained()).await.is_err());
    polling.poll().await;
    server.drained().await;

    let mut websocket = server.websocket().await;
    let connection = handle(&server, &websocket);
    connection.try_send("x".repeat(2 * PIPE)).unwrap();
    connection.try_send("y").unwrap();
    assert!(timeout(Duration::from_secs(1), server.drained()).await.is_err());
    websocket.text().await;
    websocket.text().await;
    server.drained().await;
}

/// Who closes over polling, and what the client gets, by what waited at that time.
#[tokio::test(start_paused = true)]
async fn closing_over_polling() {
    let mut server = quiet(Config::default());
    // A poll that waits is told at once.
    for now in [false, true] {
        let mut client = server.polling().await;
        client.send_poll().await;
        sleep(Duration::from_secs(1)).await;
        let connection = handle(&server, &client);
        if now {
            connection.close_now();
        } else {
            connection.close();
        };
        assert_eq!(client.response().await.short(), (200, "1".into()));
        assert_eq!(server.closed().await, CloseReason::ForcedClose);
        assert_eq!(client.poll().await.short(), (400, UNKNOWN.into()));
    }
    // Without one the next is; what the client posts meanwhile is not listened to.
    let mut client = server.polling().await;
    let connection = handle(&server, &client);
    assert!(connection.is_open());
    connection.close();
    connection.close();
    assert!(!connection.is_open());
    assert_eq!(connection.try_send("late"), Err(SendError::Closed));
    assert_eq!(client.post("4too late").await.short(), (200, "ok".into()));
    assert_eq!(client.poll().await.short(), (200, "6\x1e1".into()));
    assert_eq!(server.closed().await, CloseReason::ForcedClose);

    // What is queued goes first, in an answer of its own.
    let mut client = server.polling().await;
    let connection = handle(&server, &client);
    connection.try_send_all(["a".into(), "b".into()]).unwrap();
    connection.close();
    assert_eq!(client.poll().await.short(), (200, "4a\x1e4b".into()));
    assert_eq!(client.poll().await.short(), (200, "6\x1e1".into()));
    assert_eq!(server.closed().await, CloseReason::ForcedClose);

    // Unless it is closed at once.
    for flushing in [false, true] {
        let mut client = server.polling().await;
        let connection = handle(&server, &client);
        connection.try_send("never").unwrap();
        if flushing {
            connection.close();
            sleep(Duration::from_secs(1)).await;
        }
        connection.close_now();
        assert_eq!(server.closed().await, CloseReason::ForcedClose);
        assert_eq!(client.poll().await.short(), (400, UNKNOWN.into()));
    }
    // A client that does not poll any more is waited for so long.
    let client = server.polling().await;
    let connection = handle(&server, &client);
    connection.try_send("never").unwrap();
    let since = Instant::now();
    connection.close();
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    assert_eq!(since.elapsed(), Duration::from_secs(30));
    server.nothing_seen();
    server.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn closing_over_websocket() {
    let mut server = quiet(Config::default());
    // Everything that is queued goes before the close frame.
    let mut client = server.websocket().await;
    let connection = handle(&server, &client);
    let messages: Vec<_> = (0..20).map(|number| format!("{number}{}", "x".repeat(50_000))).collect();
    for message in &messages {
        connection.try_send(message.clone()).unwrap();
    }
    connection.close();
    assert_eq!(connection.try_send("late"), Err(SendError::Closed));
    client.send(masked(TEXT, "4too late")).await;
    for message in &messages {
        assert_eq!(client.text().await[1..], *message);
    }
    client.expect_close_frame(None).await;
    assert_eq!(server.closed().await, CloseReason::ForcedClose);

    // At once: what is queued is dropped, but a frame that has begun is ended.
    let mut client = server.websocket().await;
    let connection = handle(&server, &client);
    for message in &messages {
        connection.try_send(message.clone()).unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    connection.close_now();
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    let mut got = 0;
    while client.frame().await.opcode == TEXT {
        got += 1;
    }
    assert!(got <= 4, "{got}");
    client.expect_end().await;

    // With a reason of the application's choice.
    let mut client = server.websocket().await;
    handle(&server, &client).close_with(CloseReason::SlowConsumer);
    client.expect_close_frame(None).await;
    assert_eq!(server.closed().await, CloseReason::SlowConsumer);

    // A client that takes nothing is waited for so long.
    let mut client = server.websocket().await;
    let connection = handle(&server, &client);
    connection.try_send("x".repeat(2 * PIPE)).unwrap();
    let since = Instant::now();
    connection.close();
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    assert_eq!(since.elapsed(), Duration::from_secs(30));
    client.whole().await;
    server.nothing_seen();
    server.is_alive().await;
}

#[test]
fn reasons_have_the_official_words() {
    let table = [
        (CloseReason::ForcedClose, "forced close", None),
        (CloseReason::ParseError("x"), "parse error", Some("x")),
        (CloseReason::PingTimeout, "ping timeout", None),
        (CloseReason::ServerShutdown, "server shutting down", None),
        (CloseReason::SlowConsumer, "slow consumer", None),
        (CloseReason::TransportClose, "transport close", None),
        (CloseReason::TransportError("y"), "transport error", Some("y")),
    ];
    for (reason, words, detail) in table {
        assert_eq!((reason.as_str(), reason.detail()), (words, detail));
        assert!(reason.to_string().starts_with(words));
    }
}

#[tokio::test]
async fn connections_are_counted_found_and_listed() {
    let mut server = TestServer::start(Server::builder(), Does::Nothing).await;
    assert_eq!(server.server.connection_count(), 0);
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(server.polling().await);
        clients.push(server.websocket().await);
    }
    assert_eq!(server.server.connection_count(), 100);
    let listed: HashSet<_> =
        server.server.connections().iter().map(|connection| connection.sid().as_str().to_owned()).collect();
    assert_eq!(listed, clients.iter().map(|client| client.sid.clone()).collect());
    let (found, again) = (handle(&server, &clients[0]), handle(&server, &clients[0]));
    assert_eq!(found, again);
    assert_ne!(found, handle(&server, &clients[1]));
    assert_eq!(handle(&server, &clients[1]).transport(), Transport::WebSocket);
    assert!(server.server.connection("unknown").is_none());
    assert!(!format!("{found:?} {:?}", server.server).contains(&clients[0].sid), "ids are secrets");
    for connection in server.server.connections() {
        connection.close_now();
    }
    for _ in 0..100 {
        assert_eq!(server.closed().await, CloseReason::ForcedClose);
    }
    assert_eq!(server.server.connection_count(), 0);
}

/// Sends from `accept`, before anything has been received.
struct Greeter;

struct Silent;

impl Application for Greeter {
    type Handler = Silent;

    fn accept(&self, connection: Connection) -> Silent {
        connection.try_send("greeting").unwrap();
        Silent
    }
}

impl Handler for Silent {
    fn on_message(&mut self, _: Message, _: &mut Context<'_>) {}

    fn on_close(&mut self, _: CloseReason, _: &mut Context<'_>) {}

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Has clients told of notices.
struct Tellers;

struct Teller {
    connection: Connection,
    /// To notice something when all is sent, with which a turn ends.
    notices: bool,
}

impl Application for Tellers {
    type Handler = Teller;

    fn accept(&self, connection: Connection) -> Teller {
        Teller { connection, notices: false }
    }
}

impl Handler for Teller {
    fn on_message(&mut self, message: Message, _: &mut Context<'_>) {
        self.notices = message == "late".into();
        self.connection.try_send(message).unwrap();
    }

    fn on_drain(&mut self, _: &mut Context<'_>) {
        if std::mem::take(&mut self.notices) {
            self.connection.notify_handler(NonZeroU8::MIN);
        }
    }

    fn on_notice(&mut self, notice: NonZeroU8, _: &mut Context<'_>) {
        self.connection.try_send(format!("notice {notice}")).unwrap();
    }

    fn on_close(&mut self, _: CloseReason, _: &mut Context<'_>) {}
}

/// A pipe to a server with an application of its own.
fn pipe(server: &Server) -> Client {
    let (client, stream) = tokio::io::duplex(PIPE);
    let server = server.clone();
    tokio::spawn(async move { server.serve_stream(stream, "10.0.0.1:5".parse().ok(), true).await });
    Client::new(client, Duration::from_secs(3_600))
}

/// As TLS sessions and the like: nothing leaves before a flush.
#[tokio::test(start_paused = true)]
async fn a_stream_with_a_buffer_of_its_own_is_flushed() {
    let server = Server::builder().build(Greeter);
    let buffered = || {
        let (client, stream) = tokio::io::duplex(PIPE);
        let (server, stream) = (server.clone(), BufWriter::with_capacity(1 << 20, stream));
        tokio::spawn(async move { server.serve_stream(stream, None, false).await });
        Client::new(client, Duration::from_secs(3_600))
    };
    let mut polling = buffered();
    let opened = polling.ask(get("EIO=4&transport=polling")).await;
    polling.sid = sid_of(&opened.text());
    assert_eq!(polling.poll().await.text(), "4greeting");
    assert_eq!(buffered().ask("no request\r\n\r\n").await.status, 400);

    let mut websocket = buffered();
    websocket.switch("EIO=4&transport=websocket").await;
    assert!(websocket.text().await.starts_with('0'));
    assert_eq!(websocket.text().await, "4greeting");
}

async fn websocket(server: &Server) -> Client {
    let mut client = pipe(server);
    client.switch("EIO=4&transport=websocket").await;
    client.sid = sid_of(&client.text().await);
    client
}

#[tokio::test(start_paused = true)]
async fn an_application_may_greet() {
    let config = Config::default().initial_packet("initial");
    let server = Server::builder().config(config).build(Greeter);
    let mut client = websocket(&server).await;
    assert_eq!([client.text().await, client.text().await], ["4initial", "4greeting"]);
    let connection = server.connection(&client.sid).unwrap();
    assert_eq!(connection.remote_addr(), "10.0.0.1:5".parse().ok());
    assert!(connection.handshake().is_secure());

    let mut client = pipe(&server);
    let opened = client.ask(get("EIO=4&transport=polling")).await.text();
    assert!(opened.ends_with("\x1e4initial"), "{opened}");
    client.sid = sid_of(&opened);
    assert_eq!(client.poll().await.text(), "4greeting");
}

#[tokio::test(start_paused = true)]
async fn a_handler_hears_the_greatest_notice_before_the_next_message() {
    let server = Server::builder().build(Tellers);
    let mut client = websocket(&server).await;
    let connection = server.connection(&client.sid).unwrap();
    client.send(masked(TEXT, b"4first")).await;
    assert_eq!(client.text().await, "4first");
    let notify = |notice| connection.notify_handler(NonZeroU8::new(notice).unwrap());
    // Nothing else runs between these.
    for notice in [2, u8::MAX, 3] {
        notify(notice);
    }
    assert_eq!(client.text().await, "4notice 255");
    client.send(masked(TEXT, b"4second")).await;
    notify(1);
    assert_eq!([client.text().await, client.text().await], ["4notice 1", "4second"]);
    // Nobody wakes a driver that is awake, which must not fall asleep over it.
    client.send(masked(TEXT, b"4late")).await;
    assert_eq!([client.text().await, client.text().await], ["4late", "4notice 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_early_leaves_the_connection_open() {
    let server = Server::builder().build(handler_fn(|connection: Connection, mut events| async move {
        while let Some(event) = events.next().await {
            if let Event::Message(message) = event {
                return connection.send(message).await.unwrap();
            }
        }
    }));
    let mut client = websocket(&server).await;
    client.send(masked(TEXT, "4a").repeat(1_000)).await;
    assert_eq!(client.text().await, "4a");
    assert_eq!(client.text().await, "2");
    assert_eq!(server.connection_count(), 1);
    server.connection(&client.sid).unwrap().try_send("b").unwrap();
    assert_eq!(client.text().await, "4b");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_loses_its_connection_and_nothing_else() {
    let server = Server::builder().build(handler_fn(|connection: Connection, mut events| async move {
        while let Some(event) = events.next().await {
            if let Event::Message(message) = event {
                assert_ne!(message, "panic".into(), "this is on purpose");
                connection.send(message).await.ok();
            }
        }
    }));
    let mut other = websocket(&server).await;
    let mut client = websocket(&server).await;
    let connection = server.connection(&client.sid).unwrap();
    client.send(masked(TEXT, "4panic")).await;
    assert_eq!(client.whole().await, b"");
    assert_eq!(connection.try_send("x"), Err(SendError::Closed));

    let mut polling = pipe(&server);
    polling.sid = sid_of(&polling.ask(get("EIO=4&transport=polling")).await.text());
    let mut poll = pipe(&server);
    poll.send(get(&polling.query())).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(polling.post("4panic").await.short(), (400, UNKNOWN.into()));
    assert_eq!(poll.response().await.short(), (400, UNKNOWN.into()));
    assert_eq!(server.connection_count(), 1);
    other.send(masked(TEXT, "4a")).await;
    assert_eq!(other.text().await, "4a");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_everybody_finish() {
    let builder = Server::builder().fallback(async |request: Request<bytes::Bytes>| {
        sleep(Duration::from_secs(3)).await;
        Response::new(request.uri().path().to_owned().into())
    });
    let mut server = TestServer::in_pipes(builder, Does::Nothing);
    let mut waiting = server.polling().await;
    waiting.send_poll().await;
    let mut between = server.polling().await;
    let mut websocket = server.websocket().await;
    handle(&server, &websocket).try_send("x".repeat(2 * PIPE)).unwrap();
    let idle = server.pipe();
    let mut page = server.pipe();
    page.send(request("GET", "/page", "")).await;
    let mut half = server.pipe();
    half.send("GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n").await;
    sleep(Duration::from_secs(1)).await;

    let since = Instant::now();
    let shutting_down = server.server.clone();
    let shutdown = tokio::spawn(async move { shutting_down.shutdown(Duration::from_secs(20)).await });
    assert_eq!(waiting.response().await.short(), (200, "1".into()));
    // A request that has begun is answered, but nobody new comes in.
    half.send("\r\n").await;
    let refused = half.response().await;
    assert_eq!(refused.short(), (503, r#"{"code":4,"message":"The server is shutting down"}"#.into()));
    assert_eq!(page.response().await.text(), "/page");
    assert_eq!(websocket.text().await.len(), 1 + 2 * PIPE);
    assert_eq!(websocket.frame().await, Frame { opcode: CLOSE, payload: vec![] });
    drop(websocket);
    // Streams are kept until the last packets have been fetched on them.
    assert_eq!(between.poll().await.short(), (200, "6\x1e1".into()));
    for mut stream in [waiting, idle, page, half, between] {
        stream.expect_end().await;
        drop(stream);
    }
    assert_eq!(shutdown.await.unwrap(), Ok(()));
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert_eq!(server.server.connection_count(), 0);
    for _ in 0..3 {
        assert_eq!(server.closed().await, CloseReason::ServerShutdown);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_at_its_deadline() {
    let mut server = quiet(Config::default());
    let mut stubborn = server.websocket().await;
    handle(&server, &stubborn).try_send("x".repeat(2 * PIPE)).unwrap();
    let polling = server.polling().await;
    let since = Instant::now();
    assert_eq!(server.server.shutdown(Duration::from_secs(5)).await, Err(2));
    assert_eq!(since.elapsed(), Duration::from_secs(5));
    for _ in 0..2 {
        assert_eq!(server.closed().await, CloseReason::ServerShutdown);
    }
    assert_eq!(since.elapsed(), Duration::from_secs(5));
    assert_eq!(server.server.connection_count(), 0);
    stubborn.whole().await;
    drop(polling);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_handlers() {
    let server = Server::builder().build(handler_fn(|_, mut events| async move {
        while events.next().await.is_some() {}
        sleep(Duration::from_secs(3)).await;
    }));
    let mut client = websocket(&server).await;
    let since = Instant::now();
    let shutting_down = server.clone();
    let shutdown = tokio::spawn(async move { shutting_down.shutdown(Duration::from_secs(10)).await });
    client.expect_close_frame(None).await;
    drop(client);
    assert_eq!(shutdown.await.unwrap(), Ok(()));
    assert_eq!(since.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn a_shutdown_ends_listening() {
    let mut server = TestServer::echo(Config::default()).await;
    let mut client = server.websocket().await;
    let shutting_down = server.server.clone();
    let shutdown = tokio::spawn(async move { shutting_down.shutdown(Duration::from_secs(5)).await });
    client.expect_close_frame(None).await;
    drop(client);
    assert_eq!(shutdown.await.unwrap(), Ok(()));
    support::eventually("the port is closed", async || {
        tokio::net::TcpStream::connect(server.address.unwrap()).await.is_err()
    })
    .await;
}
