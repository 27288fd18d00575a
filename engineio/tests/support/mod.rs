//! A server under test, whose application tells what it sees, and a client that speaks raw bytes.
#![allow(dead_code, unused_imports, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod client;
mod frame;

use std::{net::SocketAddr, time::Duration};

use engineio::{CloseReason, Config, Connection, Event, Events, Message, Server, ServerBuilder, handler_fn};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::mpsc,
    time::timeout,
};

pub(crate) use client::{Client, Response};
pub(crate) use frame::{Frame, masked, masked_header, masked_part};

/// The longest wait before a test fails: long enough for a busy machine, and for every timer in virtual time.
pub(crate) const REAL_PATIENCE: Duration = Duration::from_secs(10);
const VIRTUAL_PATIENCE: Duration = Duration::from_secs(3_600);

/// Bytes that a pipe holds before the writer has to wait.
pub(crate) const PIPE: usize = 64 << 10;

pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;
pub(crate) const TEXT: u8 = 0x1;

/// What the application sees.
#[derive(Debug)]
pub(crate) enum Seen {
    Opened(Connection),
    Event(Event),
}

/// What the application does with messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Does {
    /// Sends them back, waiting for room.
    Echo,
    Nothing,
}

/// A server that clients reach by TCP, or through pipes if time is virtual.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) address: Option<SocketAddr>,
    patience: Duration,
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl TestServer {
    /// An echo server on a port of its own.
    pub(crate) async fn echo(config: Config) -> Self {
        Self::start(Server::builder().config(config), Does::Echo).await
    }

    /// A server on a port of its own.
    pub(crate) async fn start(builder: ServerBuilder, does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let started =
            Self { address: Some(address), patience: REAL_PATIENCE, ..Self::in_pipes(builder, does) };
        let serving = started.server.clone();
        tokio::spawn(async move { serving.serve(listener).await.unwrap() });
        started
    }

    /// A server without a port, for tests in virtual time: every client gets a pipe.
    pub(crate) fn in_pipes(builder: ServerBuilder, does: Does) -> Self {
        let (tell, seen) = mpsc::unbounded_channel();
        let application = handler_fn(move |connection, events| run(connection, events, tell.clone(), does));
        Self { server: builder.build(application), address: None, patience: VIRTUAL_PATIENCE, seen }
    }

    /// Opens a TCP connection, or a pipe if the server has no port.
    pub(crate) async fn connect(&self) -> Client {
        if self.address.is_some() { self.connect_from("127.0.0.1").await } else { self.pipe() }
    }

    /// Opens a TCP connection from another address of this machine.
    pub(crate) async fn connect_from(&self, ip: &str) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
        let stream = socket.connect(self.address.expect("the server listens")).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client::new(stream, self.patience)
    }

    /// Opens a pipe that holds [`PIPE`] bytes each way.
    pub(crate) fn pipe(&self) -> Client {
        let (client, server) = tokio::io::duplex(PIPE);
        let serving = self.server.clone();
        tokio::spawn(async move { serving.serve_stream(server, None, false).await });
        Client::new(client, self.patience)
    }

    /// Sends a request on a stream of its own and returns the answer.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        self.connect().await.ask(request).await
    }

    /// Opens a connection by polling.
    pub(crate) async fn polling(&mut self) -> Client {
        let mut client = self.connect().await;
        let response = client.ask(get("EIO=4&transport=polling")).await;
        assert_eq!(response.status, 200, "{response:?}");
        client.sid = sid_of(&response.text());
        assert_eq!(self.opened().await.sid().as_str(), client.sid);
        client
    }

    /// Opens a connection by WebSocket; its `open` packet has been read.
    pub(crate) async fn websocket(&mut self) -> Client {
        let mut client = self.connect().await;
        client.switch("EIO=4&transport=websocket").await;
        client.sid = sid_of(&client.text().await);
        assert_eq!(self.opened().await.sid().as_str(), client.sid);
        client
    }

    /// Opens another stream for the connection with this id.
    pub(crate) async fn join(&self, sid: &str) -> Client {
        let mut client = self.connect().await;
        client.sid = sid.to_owned();
        client
    }

    async fn seen(&mut self) -> Seen {
        let seen = timeout(self.patience, self.seen.recv()).await;
        seen.expect("the application should see something").expect("the application should live")
    }

    /// The next thing but `Drained`.
    async fn news(&mut self) -> Seen {
        loop {
            match self.seen().await {
                Seen::Event(Event::Drained) => {}
                seen => return seen,
            }
        }
    }

    pub(crate) async fn opened(&mut self) -> Connection {
        match self.news().await {
            Seen::Opened(connection) => connection,
            Seen::Event(event) => panic!("expected a new connection, not {event:?}"),
        }
    }

    pub(crate) async fn message(&mut self) -> Message {
        match self.news().await {
            Seen::Event(Event::Message(message)) => message,
            seen => panic!("expected a message, not {seen:?}"),
        }
    }

    pub(crate) async fn upgraded(&mut self) {
        match self.news().await {
            Seen::Event(Event::Upgraded) => {}
            seen => panic!("expected an upgrade, not {seen:?}"),
        }
    }

    pub(crate) async fn drained(&mut self) {
        match self.seen().await {
            Seen::Event(Event::Drained) => {}
            seen => panic!("expected a drain, not {seen:?}"),
        }
    }

    pub(crate) async fn closed(&mut self) -> CloseReason {
        match self.news().await {
            Seen::Event(Event::Closed(reason)) => reason,
            seen => panic!("expected the end, not {seen:?}"),
        }
    }

    /// Like [`closed`](Self::closed), but messages that came before are passed over.
    pub(crate) async fn closed_at_last(&mut self) -> CloseReason {
        loop {
            match self.news().await {
                Seen::Event(Event::Closed(reason)) => return reason,
                Seen::Event(Event::Message(_)) => {}
                seen => panic!("expected the end, not {seen:?}"),
            }
        }
    }

    /// Asserts that the application has seen nothing more.
    pub(crate) fn nothing_seen(&mut self) {
        while let Ok(seen) = self.seen.try_recv() {
            assert!(matches!(seen, Seen::Event(Event::Drained)), "{seen:?}");
        }
    }

    /// Asserts that normal clients are served: one that polls and one with a WebSocket. The application keeps quiet
    /// about them.
    pub(crate) async fn is_alive(&self) {
        let (mut polling, mut websocket) = (self.connect().await, self.connect().await);
        let opened = polling.ask(get("EIO=4&transport=polling&quiet=1")).await;
        polling.sid = sid_of(&opened.text());
        assert_eq!(polling.post("4hello").await.text(), "ok");
        assert_eq!(polling.poll().await.text(), "4hello");
        assert_eq!(polling.post("1").await.text(), "ok");
        websocket.switch("EIO=4&transport=websocket&quiet=1").await;
        sid_of(&websocket.text().await);
        websocket.send(masked(TEXT, "4hello")).await;
        assert_eq!(websocket.text().await, "4hello");
        websocket.send(masked(CLOSE, "")).await;
        websocket.expect_close_frame(None).await;
    }
}

async fn run(connection: Connection, mut events: Events, tell: mpsc::UnboundedSender<Seen>, does: Does) {
    let quiet = connection.handshake().head().query_param("quiet").is_some();
    // The test may have ended, and listens no more.
    let tell = |seen| if quiet { Ok(()) } else { tell.send(seen) }.ok();
    tell(Seen::Opened(connection.clone()));
    while let Some(event) = events.next().await {
        tell(Seen::Event(event.clone()));
        if let Event::Message(message) = event
            && (does == Does::Echo || quiet)
        {
            connection.send(message).await.ok();
        }
    }
}

/// Repeats `check` until it says yes.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !check().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(REAL_PATIENCE, holds).await.unwrap_or_else(|_| panic!("waited too long for: {what}"));
}

/// A GET to the endpoint.
pub(crate) fn get(query: &str) -> String {
    get_with(query, "")
}

/// A GET with further header lines.
pub(crate) fn get_with(query: &str, lines: &str) -> String {
    request("GET", &format!("/engine.io/?{query}"), lines)
}

/// A POST to the endpoint.
pub(crate) fn post(query: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    post_with(query, "", body)
}

/// A POST with further header lines.
pub(crate) fn post_with(query: &str, lines: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let lines = format!("Content-Length: {}\r\n{lines}", body.len());
    let mut request = request("POST", &format!("/engine.io/?{query}"), &lines).into_bytes();
    request.extend_from_slice(body);
    request
}

/// A head with `Host` and further header lines.
pub(crate) fn request(method: &str, target: &str, lines: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// A WebSocket handshake.
pub(crate) fn upgrade(query: &str) -> String {
    get_with(query, UPGRADE_LINES)
}

/// The header lines of a WebSocket handshake; the key is the one of RFC 6455 section 1.3.
pub(crate) const UPGRADE_LINES: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// The id in the first packet of a payload.
pub(crate) fn sid_of(payload: &str) -> String {
    let rest = payload.strip_prefix("0{\"sid\":\"").unwrap_or_else(|| panic!("no open packet: {payload}"));
    rest.split('"').next().unwrap().to_owned()
}
