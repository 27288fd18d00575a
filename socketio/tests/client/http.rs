//! The client where it speaks HTTP: requests made by hand, and polling.

use serde_json::Value;
use socketio::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// An HTTP/1.1 stream.
pub(crate) struct Http {
    stream: DuplexStream,
    received: Vec<u8>,
}

impl Http {
    pub(crate) fn open(server: &Server) -> Self {
        let (stream, far_end) = tokio::io::duplex(1 << 20);
        let server = server.clone();
        tokio::spawn(async move { server.serve_stream(far_end, None, false).await });
        Self { stream, received: Vec::new() }
    }

    pub(crate) async fn send(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).await.expect("the pipe is open");
    }

    /// Receives a response: its status and body.
    pub(crate) async fn receive(&mut self) -> (u16, String) {
        let (head, body) = self.receive_whole().await;
        let status = head["http/1.1 ".len()..][..3].parse().expect("a status");
        (status, String::from_utf8(body).expect("UTF-8"))
    }

    /// Receives a response: its head in lower case, and its body.
    pub(crate) async fn receive_whole(&mut self) -> (String, Vec<u8>) {
        let head = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break self.received.drain(..at + 4).collect::<Vec<u8>>();
            }
            self.read().await;
        };
        let head = String::from_utf8(head).expect("UTF-8").to_ascii_lowercase();
        let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest);
        let length: usize = length.split('\r').next().expect("a line").parse().expect("a length");
        while self.received.len() < length {
            self.read().await;
        }
        (head, self.received.drain(..length).collect())
    }

    pub(crate) async fn get(&mut self, target: &str) -> (u16, String) {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        self.receive().await
    }

    async fn read(&mut self) {
        let read = self.stream.read_buf(&mut self.received).await;
        assert!(read.unwrap() > 0, "the server has closed");
    }
}

/// Asks one thing on a stream of its own.
pub(crate) async fn get(server: &Server, target: &str) -> (u16, String) {
    Http::open(server).get(target).await
}

/// A connection that polls.
pub(crate) struct Polling {
    pub(crate) http: Http,
    target: String,
}

impl Polling {
    /// Opens a connection, without joining anything.
    pub(crate) async fn open(server: &Server) -> Self {
        let mut http = Http::open(server);
        let (status, open) = http.get("/socket.io/?EIO=4&transport=polling").await;
        assert_eq!((status, &open[..1]), (200, "0"));
        let open: Value = serde_json::from_str(&open[1..]).expect("JSON");
        let sid = open["sid"].as_str().expect("an id");
        Self { http, target: format!("/socket.io/?EIO=4&transport=polling&sid={sid}") }
    }

    /// Opens a connection and joins `/`.
    pub(crate) async fn join(server: &Server) -> Self {
        let mut polling = Self::open(server).await;
        polling.post("40").await;
        let consent = polling.poll().await;
        assert!(consent.starts_with("40{"), "{consent}");
        polling
    }

    /// Goes on with a stream of its own.
    pub(crate) fn reopen(&mut self, server: &Server) {
        self.http = Http::open(server);
    }

    pub(crate) async fn try_post(&mut self, body: &str) -> (u16, String) {
        let Self { http, target } = self;
        let length = body.len();
        http.send(&format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"))
            .await;
        http.receive().await
    }

    pub(crate) async fn post(&mut self, body: &str) {
        assert_eq!(self.try_post(body).await, (200, "ok".to_owned()));
    }

    /// Posts while a poll waits.
    pub(crate) async fn post_beside(&mut self, server: &Server, body: &str) {
        Self { http: Http::open(server), target: self.target.clone() }.post(body).await;
    }

    /// Sends a poll, whose answer is received later.
    pub(crate) async fn send_poll(&mut self) {
        let poll = format!("GET {} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n", self.target);
        self.http.send(&poll).await;
    }

    /// Receives the answer of a poll: packets with a separator between them.
    pub(crate) async fn receive(&mut self) -> String {
        let (status, body) = self.http.receive().await;
        assert_eq!(status, 200);
        body
    }

    pub(crate) async fn poll(&mut self) -> String {
        self.send_poll().await;
        self.receive().await
    }

    pub(crate) fn sid(&self) -> &str {
        self.target.rsplit('=').next().expect("it ends with the id")
    }
}
