//! A Socket.IO client as raw as can be: WebSocket frames made by hand over a pipe.

use socketio::Server;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) struct Client {
    stream: DuplexStream,
    received: Vec<u8>,
}

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
        let (mut stream, far_end) = tokio::io::duplex(capacity);
        let server = server.clone();
        tokio::spawn(async move { server.serve_stream(far_end, None, false).await });
        let request = "GET /socket.io/?EIO=4&transport=websocket&name=ann HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("the pipe is open");
        let mut client = Self { stream, received: Vec::new() };
        let head = loop {
            if let Some(at) = client.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break client.received.drain(..at + 4).collect::<Vec<u8>>();
            }
            assert!(client.read().await, "the handshake is answered");
        };
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        let (opcode, open) = client.frame().await.expect("an open packet");
        assert_eq!((opcode, open[0]), (1, b'0'), "an open packet");
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
        let consent = self.text().await;
        let json = consent.strip_prefix(prefix).unwrap_or_else(|| panic!("{consent} starts with {prefix}"));
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        json["sid"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.write(&frame(1, &[b"4", text.as_bytes()].concat())).await;
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) {
        self.write(&frame(2, bytes)).await;
    }

    /// Sends texts in one write.
    pub(crate) async fn send_all(&mut self, texts: impl IntoIterator<Item = String>) {
        let frames: Vec<u8> =
            texts.into_iter().flat_map(|text| frame(1, format!("4{text}").as_bytes())).collect();
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
                    self.stream.shutdown().await.ok();
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

    async fn write(&mut self, bytes: &[u8]) {
        // A server that has closed the connection takes no more; the test sees that in what it receives.
        self.stream.write_all(bytes).await.ok();
    }

    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
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

/// One frame, masked with zeros.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
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
