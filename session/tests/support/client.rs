//! A Socket.IO client as raw as can be, with the headers that a browser would send.

use socketio::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// A WebSocket, made by hand over a pipe.
pub(crate) struct Client {
    stream: DuplexStream,
    received: Vec<u8>,
    /// Of the response that has opened it.
    pub(crate) head: String,
    /// The secret id of the connection.
    pub(crate) connection: String,
}

impl Client {
    /// Opens a connection, or returns the status with which it was refused.
    pub(crate) async fn open(server: &Server, headers: &[(&str, &str)]) -> Result<Self, u16> {
        Self::switch(server, headers, "").await
    }

    /// Opens one with a cookie, and joins `/`.
    pub(crate) async fn join(server: &Server, cookie: &str) -> Self {
        let mut client = Self::open(server, &[("cookie", cookie)]).await.unwrap();
        client.enter("0").await;
        client
    }

    /// Tries to move a connection that polls to a WebSocket.
    pub(crate) async fn switch(server: &Server, headers: &[(&str, &str)], query: &str) -> Result<Self, u16> {
        let mut stream = connect(server);
        let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let target = format!("/socket.io/?EIO=4&transport=websocket{query}");
        stream.write_all(head("GET", &target, headers, websocket).as_bytes()).await.unwrap();
        let (head, received) = receive_head(&mut stream).await;
        let status = status(&head);
        if status != 101 {
            return Err(status);
        }
        let mut client = Self { stream, received, head, connection: String::new() };
        if query.is_empty() {
            let open = client.packet().await.unwrap();
            let open: serde_json::Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
            client.connection = open["sid"].as_str().unwrap().to_owned();
        }
        Ok(client)
    }

    /// Joins a namespace: `0` or `0/name,`.
    pub(crate) async fn enter(&mut self, packet: &str) {
        self.send(packet).await;
        let consent = self.receive().await.unwrap();
        assert!(consent.starts_with(packet) && consent.contains("sid"), "{consent}");
    }

    /// Sends an event with its arguments, a tuple if there are several, and returns what it is answered.
    pub(crate) async fn ask(&mut self, event: &str, data: impl serde::Serialize) -> String {
        self.send_event(event, data).await;
        self.answer().await
    }

    pub(crate) async fn send_event(&mut self, event: &str, data: impl serde::Serialize) {
        let data = match serde_json::to_value(data).unwrap() {
            serde_json::Value::Array(data) => data,
            data => vec![data],
        };
        let event = std::iter::once(event.into()).chain(data).collect::<serde_json::Value>();
        self.send(&format!("27{event}")).await;
    }

    pub(crate) async fn answer(&mut self) -> String {
        let answer = self.receive().await.expect("open");
        answer.strip_prefix("37").unwrap_or_else(|| panic!("{answer} is no answer")).to_owned()
    }

    /// Sends a Socket.IO packet.
    pub(crate) async fn send(&mut self, packet: &str) {
        self.write(1, format!("4{packet}").as_bytes()).await;
    }

    /// Receives the next Socket.IO packet; `None` when the connection has been closed.
    pub(crate) async fn receive(&mut self) -> Option<String> {
        let packet = self.packet().await?;
        (packet != "1").then(|| packet.strip_prefix('4').unwrap().to_owned())
    }

    /// What is received until the connection is closed.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(packet) = self.receive().await {
            rest.push(packet);
        }
        rest
    }

    async fn packet(&mut self) -> Option<String> {
        loop {
            match self.frame().await? {
                (1, text) if text == b"2" => self.write(1, b"3").await,
                (1, text) => return Some(String::from_utf8(text).unwrap()),
                (8, _) => return None,
                (opcode, _) => panic!("unexpected opcode {opcode}"),
            }
        }
    }

    /// One whole message as a frame, masked with zeros.
    async fn write(&mut self, opcode: u8, payload: &[u8]) {
        assert!(payload.len() < 126, "tests send little");
        let head = [0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        // A server that has closed takes no more; that is seen in what it sends.
        self.stream.write_all(&[&head, payload].concat()).await.ok();
    }

    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [first, length, rest @ ..] = &self.received[..] {
                let (header, length) = match length {
                    126 if rest.len() >= 2 => (4, usize::from(u16::from_be_bytes([rest[0], rest[1]]))),
                    126 => (4, usize::MAX - 4),
                    length => (2, usize::from(*length)),
                };
                if self.received.len() >= header + length {
                    let opcode = first & 15;
                    let frame: Vec<u8> = self.received.drain(..header + length).collect();
                    return Some((opcode, frame[header..].to_vec()));
                }
            }
            if self.stream.read_buf(&mut self.received).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}

/// The answer to a request of its own connection.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    /// The names and values of cookies that are set.
    pub(crate) fn cookies(&self) -> Vec<&str> {
        cookies(&self.head)
    }
}

pub(crate) fn cookies(head: &str) -> Vec<&str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let values = lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    values.map(|(_, value)| value.split(';').next().unwrap()).collect()
}

/// Asks something over HTTP.
pub(crate) async fn request(
    server: &Server,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    let mut stream = connect(server);
    let length = format!("Content-Length: {}\r\n", body.len());
    let request = head(method, target, headers, &length) + body;
    stream.write_all(request.as_bytes()).await.unwrap();
    let (head, mut received) = receive_head(&mut stream).await;
    let lower = head.to_ascii_lowercase();
    let length =
        lower.split_once("content-length: ").map_or("0", |(_, rest)| rest.split('\r').next().unwrap());
    let length: usize = length.parse().unwrap();
    while received.len() < length {
        assert!(stream.read_buf(&mut received).await.unwrap() > 0, "closed within a body");
    }
    Response { status: status(&head), head, body: String::from_utf8(received).unwrap() }
}

fn connect(server: &Server) -> DuplexStream {
    let (stream, far_end) = tokio::io::duplex(1 << 16);
    let server = server.clone();
    tokio::spawn(async move { server.serve_stream(far_end, None, false).await });
    stream
}

fn head(method: &str, target: &str, headers: &[(&str, &str)], more: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: site.example\r\n{headers}{more}\r\n")
}

async fn receive_head(stream: &mut DuplexStream) -> (String, Vec<u8>) {
    let mut received = Vec::new();
    loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = received.split_off(at + 4);
            return (String::from_utf8(received).unwrap(), rest);
        }
        assert!(stream.read_buf(&mut received).await.unwrap() > 0, "closed within a head");
    }
}

fn status(head: &str) -> u16 {
    head["HTTP/1.1 ".len()..][..3].parse().unwrap()
}
