//! A Socket.IO client as raw as can be: WebSocket frames made by hand over a pipe.
#![allow(dead_code, clippy::unwrap_used, reason = "every test file uses a part of it")]

pub(crate) mod http;
pub(crate) mod ticket;

use http::Polling;
use serde_json::Value;
use socketio::{Ack, Namespace, Server};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    sync::mpsc,
};

/// Longer than any test takes.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A namespace where `echo` is acknowledged with what it carries: how tests see that nothing else was sent
/// before.
pub(crate) fn echo() -> Namespace {
    Namespace::new().on("echo", async |_, value: Value| Ack(value))
}

pub(crate) fn serve(root: Namespace) -> Server {
    Server::builder().namespace("/", root).build()
}

/// What handlers have noted, in order.
pub(crate) fn notes() -> (mpsc::UnboundedSender<String>, mpsc::UnboundedReceiver<String>) {
    mpsc::unbounded_channel()
}

/// Waits for a condition that nothing announces.
pub(crate) async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}

/// Expects that another client is served, whatever the one under test has done; `/` must be an [`echo`].
pub(crate) async fn others_are_served(server: &Server) {
    Client::join(server, ["/"]).await.0.quiet().await;
}

pub(crate) struct Client {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    /// The secret id of the connection.
    pub(crate) sid: String,
}

/// What a client receives; apart from the other half, to do both at once.
pub(crate) struct Reader {
    stream: ReadHalf<DuplexStream>,
    received: Vec<u8>,
}

/// What a client sends.
pub(crate) struct Writer(WriteHalf<DuplexStream>);

/// What arrives, without the framing and the Engine.IO packet type.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Binary(Vec<u8>),
    Closed,
    Text(String),
}

impl Client {
    /// Opens an Engine.IO connection, without joining anything; the pipe holds `capacity` bytes each way.
    pub(crate) async fn open(server: &Server, capacity: usize) -> Self {
        Self::open_from(server, capacity, None).await
    }

    /// Opens a connection from an address.
    pub(crate) async fn open_from(server: &Server, capacity: usize, address: Option<SocketAddr>) -> Self {
        let mut client = Self::switch(server, capacity, address, "name=ann").await;
        let (opcode, open) = client.frame().await.expect("an open packet");
        assert_eq!((opcode, open[0]), (1, b'0'), "an open packet");
        let open: Value = serde_json::from_slice(&open[1..]).expect("JSON");
        client.sid = open["sid"].as_str().expect("an id").to_owned();
        client
    }

    /// Moves a connection that polls to a WebSocket.
    pub(crate) async fn upgrade(server: &Server, polling: &mut Polling) -> Self {
        let query = format!("sid={}", polling.sid());
        let mut client = Self::switch(server, 1 << 20, None, &query).await;
        client.write(&frame(1, b"2probe")).await;
        assert_eq!(client.frame().await, Some((1, b"3probe".to_vec())));
        assert_eq!(polling.poll().await, "6");
        client.write(&frame(1, b"5")).await;
        client
    }

    /// Opens a WebSocket.
    async fn switch(server: &Server, capacity: usize, address: Option<SocketAddr>, query: &str) -> Self {
        let (stream, far_end) = tokio::io::duplex(capacity);
        let server = server.clone();
        tokio::spawn(async move { server.serve_stream(far_end, address, false).await });
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket&{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let (stream, writer) = tokio::io::split(stream);
        let reader = Reader { stream, received: Vec::new() };
        let mut client = Self { reader, writer: Writer(writer), sid: String::new() };
        client.write(request.as_bytes()).await;
        let head = client.reader.head().await;
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        client
    }

    /// Opens a connection and joins namespaces; returns the ids of the sockets.
    pub(crate) async fn join<const N: usize>(server: &Server, namespaces: [&str; N]) -> (Self, [String; N]) {
        let mut client = Self::open(server, 1 << 20).await;
        let mut ids = Vec::new();
        for namespace in namespaces {
            let prefix = if namespace == "/" { "0".to_owned() } else { format!("0{namespace},") };
            client.send(&prefix).await;
            ids.push(client.consent(&prefix).await);
        }
        (client, ids.try_into().expect("one for each"))
    }

    /// Receives the consent to a request to join; returns the id of the socket.
    pub(crate) async fn consent(&mut self, prefix: &str) -> String {
        self.whole_consent(prefix).await["sid"].as_str().expect("an id").to_owned()
    }

    /// Receives the consent to a request to join.
    pub(crate) async fn whole_consent(&mut self, prefix: &str) -> Value {
        let consent = self.text().await;
        let json = consent.strip_prefix(prefix).unwrap_or_else(|| panic!("{consent} starts with {prefix}"));
        serde_json::from_str(json).expect("JSON")
    }

    /// Expects that nothing has been sent that was not received.
    pub(crate) async fn quiet(&mut self) {
        self.send(r#"2999["echo","quiet"]"#).await;
        assert_eq!(self.text().await, r#"3999["quiet"]"#);
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.write(&frame(1, &[b"4", text.as_bytes()].concat())).await;
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) {
        self.write(&frame(2, bytes)).await;
    }

    /// Sends texts in one write.
    pub(crate) async fn send_all<T: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = T>) {
        let frames: Vec<u8> =
            texts.into_iter().flat_map(|text| frame(1, format!("4{}", text.as_ref()).as_bytes())).collect();
        self.write(&frames).await;
    }

    /// Receives the next message, answering pings.
    pub(crate) async fn receive(&mut self) -> Received {
        loop {
            match self.frame().await {
                Some((1, text)) if text == b"2" => self.write(&frame(1, b"3")).await,
                Some((1, text)) if text == b"1" => return Received::Closed,
                Some((1, text)) => {
                    return Received::Text(String::from_utf8(text).expect("UTF-8").split_off(1));
                }
                Some((2, bytes)) => return Received::Binary(bytes),
                Some((8, code)) => {
                    self.write(&frame(8, &code)).await;
                    self.writer.0.shutdown().await.ok();
                    return Received::Closed;
                }
                None => return Received::Closed,
                Some(frame) => panic!("unexpected frame {frame:?}"),
            }
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.receive().await {
            Received::Text(text) => text,
            other => panic!("{other:?} instead of text"),
        }
    }

    pub(crate) async fn closed(&mut self) {
        assert_eq!(self.receive().await, Received::Closed);
    }

    /// Expects the code with which the WebSocket is closed.
    pub(crate) async fn closed_with(&mut self, code: u16) {
        assert_eq!(self.frame().await, Some((8, code.to_be_bytes().to_vec())));
    }

    /// Writes bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.writer.write(bytes).await;
    }

    /// Receives a frame: its opcode and payload.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        self.reader.frame().await
    }
}

impl Writer {
    /// Writes bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        // A server that has closed the connection takes no more; the test sees that in what it receives.
        self.0.write_all(bytes).await.ok();
    }
}

impl Reader {
    async fn head(&mut self) -> Vec<u8> {
        loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                return self.received.drain(..at + 4).collect();
            }
            assert!(self.read().await, "the handshake is answered");
        }
    }

    /// Receives a frame: its opcode and payload.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let &[first, length, ..] = &self.received[..] {
                let (header, length) = match length {
                    126 => (4, self.number(2..4)),
                    127 => (10, self.number(2..10)),
                    _ => (2, Some(usize::from(length))),
                };
                if let Some(length) = length
                    && self.received.len() >= header + length
                {
                    let frame: Vec<u8> = self.received.drain(..header + length).collect();
                    return Some((first & 15, frame[header..].to_vec()));
                }
            }
            if !self.read().await {
                return None;
            }
        }
    }

    fn number(&self, range: std::ops::Range<usize>) -> Option<usize> {
        let bytes = self.received.get(range)?;
        Some(bytes.iter().fold(0, |value, &byte| value << 8 | usize::from(byte)))
    }

    async fn read(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.received);
        let read = tokio::time::timeout(Duration::from_secs(100), read)
            .await
            .expect("something is received in time");
        read.unwrap_or(0) > 0
    }
}

/// One whole message as a frame, masked with zeros.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame_part(0x80 | opcode, payload)
}

/// One frame with this first byte.
pub(crate) fn frame_part(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
