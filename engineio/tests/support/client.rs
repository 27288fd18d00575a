//! A client that sends and reads bytes.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{CLOSE, Frame, TEXT, UPGRADE_LINES, get, get_with, post};

/// One TCP connection or pipe.
pub(crate) struct Client {
    stream: Box<dyn Duplex>,
    input: BytesMut,
    patience: Duration,
    /// Id of the connection that polls and posts are for.
    pub(crate) sid: String,
}

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// An HTTP response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// All values of a header, joined by ` | `; empty if there are none.
    pub(crate) fn header(&self, name: &str) -> String {
        let values = self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join(" | ")
    }

    /// The headers but `date`, sorted, as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let kept = self.headers.iter().filter(|(name, _)| name != "date");
        let mut lines: Vec<_> = kept.map(|(name, value)| format!("{name}: {value}")).collect();
        lines.sort();
        lines
    }

    /// Status and body, for tables.
    pub(crate) fn short(&self) -> (u16, String) {
        (self.status, self.text())
    }
}

impl Client {
    pub(crate) fn new(stream: impl Duplex + 'static, patience: Duration) -> Self {
        Self { stream: Box::new(stream), input: BytesMut::new(), patience, sid: String::new() }
    }

    /// Sends bytes, which the server has to take.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = timeout(self.patience, self.stream.write_all(bytes.as_ref())).await;
        sent.expect("the server should take what it is sent").expect("the stream should be open");
    }

    /// Sends bytes until the stream takes no more for `pause`; returns how many went.
    pub(crate) async fn send_until_blocked(&mut self, bytes: &[u8], pause: Duration) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match timeout(pause, self.stream.write(&bytes[sent..])).await {
                Ok(written) => sent += written.expect("the stream should be open"),
                Err(_) => break,
            }
        }
        sent
    }

    /// Sends bytes for as long as the server lets it; returns how many went before the stream broke.
    pub(crate) async fn send_until_broken(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            let written = timeout(self.patience, self.stream.write(&bytes[sent..])).await;
            match written.expect("the server should take more or close") {
                Ok(written) => sent += written,
                Err(_) => break,
            }
        }
        sent
    }

    /// Says that no more will be sent.
    pub(crate) async fn shut_down(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// A writer and a reader that do not wait for each other.
    pub(crate) fn split(self) -> (Self, Self) {
        let (patience, sid) = (self.patience, self.sid);
        let (reader, writer) = tokio::io::split(self.stream);
        // Each end gets a dead other half, which nobody uses.
        let reader = tokio::io::join(reader, tokio::io::sink());
        let writer = tokio::io::join(tokio::io::empty(), writer);
        let writer = Self { sid: sid.clone(), ..Self::new(writer, patience) };
        (Self { sid, input: self.input, ..Self::new(reader, patience) }, writer)
    }

    async fn fill(&mut self, what: &str) -> usize {
        let read = timeout(self.patience, self.stream.read_buf(&mut self.input)).await;
        read.unwrap_or_else(|_| panic!("waited too long for {what}; read so far: {:?}", self.input))
            .unwrap_or_else(|error| panic!("waited for {what}: {error}; read so far: {:?}", self.input))
    }

    async fn need(&mut self, length: usize, what: &str) {
        while self.input.len() < length {
            let read = self.fill(what).await;
            assert!(read > 0, "the server closed instead of {what}; read so far: {:?}", self.input);
        }
    }

    /// Reads a response with its body.
    pub(crate) async fn response(&mut self) -> Response {
        let mut response = self.response_head().await;
        if response.status >= 200 && ![204, 304].contains(&response.status) {
            let length = response.header("content-length").parse().expect("a length");
            self.need(length, "a body").await;
            response.body = self.input.split_to(length).to_vec();
        }
        response
    }

    /// Reads a response that has no body, such as one to HEAD.
    pub(crate) async fn response_head(&mut self) -> Response {
        let end = loop {
            if let Some(at) = self.input.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            self.need(self.input.len() + 1, "a response").await;
        };
        let head = self.input.split_to(end + 4);
        let mut lines = std::str::from_utf8(&head).expect("a head is ASCII").trim_end().split("\r\n");
        let status = lines.next().unwrap();
        let status = status.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("no response: {status}"));
        let status = status[..3].parse().unwrap();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"));
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Response { status, headers: lines.map(field).collect(), body: Vec::new() }
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(request).await;
        self.response().await
    }

    /// The query of polls and posts.
    pub(crate) fn query(&self) -> String {
        format!("EIO=4&transport=polling&sid={}", self.sid)
    }

    pub(crate) async fn send_poll(&mut self) {
        self.send(get(&self.query())).await;
    }

    pub(crate) async fn poll(&mut self) -> Response {
        self.send_poll().await;
        self.response().await
    }

    pub(crate) async fn post(&mut self, body: impl AsRef<[u8]>) -> Response {
        self.ask(post(&self.query(), body)).await
    }

    /// Becomes a WebSocket.
    pub(crate) async fn switch(&mut self, query: &str) -> Response {
        self.send(get_with(query, UPGRADE_LINES)).await;
        let response = self.response_head().await;
        assert_eq!(response.status, 101, "{response:?}");
        response
    }

    /// Reads a frame, which a server never masks and ours never splits.
    pub(crate) async fn frame(&mut self) -> Frame {
        self.need(2, "a frame").await;
        let (first, second) = (self.input[0], self.input[1]);
        assert_eq!(first & 0xf0, 0x80, "FIN and no reserved bit: {first:#x}");
        assert_eq!(second & 0x80, 0, "not masked");
        let (header, length) = match second {
            126 => {
                self.need(4, "a length").await;
                (4, u64::from(u16::from_be_bytes(self.input[2..4].try_into().unwrap())))
            }
            127 => {
                self.need(10, "a length").await;
                (10, u64::from_be_bytes(self.input[2..10].try_into().unwrap()))
            }
            length => (2, u64::from(length)),
        };
        let least = [0, 126, 65_536][header / 4];
        assert!(length >= least, "the shortest form: {length} in a header of {header}");
        self.need(header + length as usize, "a payload").await;
        self.input.advance(header);
        Frame { opcode: first & 0x0f, payload: self.input.split_to(length as usize).to_vec() }
    }

    /// Reads a text frame.
    pub(crate) async fn text(&mut self) -> String {
        let frame = self.frame().await;
        assert_eq!(frame.opcode, TEXT, "{frame:?}");
        String::from_utf8(frame.payload).unwrap()
    }

    /// Reads a close frame with this code, and the end of the stream behind it.
    pub(crate) async fn expect_close_frame(&mut self, code: Option<u16>) {
        let payload = code.map_or_else(Vec::new, |code| code.to_be_bytes().to_vec());
        assert_eq!(self.frame().await, Frame { opcode: CLOSE, payload });
        self.expect_end().await;
    }

    /// Asserts that the server closes and says nothing more.
    pub(crate) async fn expect_end(&mut self) {
        assert_eq!(self.rest().await.escape_ascii().to_string(), "", "nothing should come before the end");
    }

    /// Reads to the end of the stream.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill("the end of the stream").await > 0 {}
        self.input.split().to_vec()
    }

    /// Reads until the stream has ended, in good order or by a reset.
    pub(crate) async fn whole(&mut self) -> Vec<u8> {
        let gone = async { while self.stream.read_buf(&mut self.input).await.is_ok_and(|read| read > 0) {} };
        timeout(self.patience, gone).await.expect("the server should close");
        self.input.split().to_vec()
    }

    /// Asserts that nothing arrives for `pause`.
    pub(crate) async fn expect_silence(&mut self, pause: Duration) {
        assert!(self.input.is_empty(), "{:?}", self.input);
        let read = timeout(pause, self.stream.read_buf(&mut self.input)).await;
        assert!(read.is_err(), "{read:?}: {:?}", self.input);
    }
}
