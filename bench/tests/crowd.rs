//! Ten thousand idle WebSocket connections and two hundred that poll, at once, twice over: all are served, and the
//! second crowd finds room where the first has been.
//!
//! Whether freed memory goes back to the system at once is up to the allocator: glibc keeps it, jemalloc returns it,
//! for which the server needs no change: run this with `LD_PRELOAD` naming `libjemalloc.so.2` and
//! `MALLOC_CONF=background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:0`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const WEBSOCKETS: usize = 10_000;
const POLLING: usize = 200;
/// Connections that are opened at a time, well below what the listener's queue holds.
const AT_ONCE: usize = 64;
/// For any single step of one client. Generous: only a server that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_server"))
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("it was asked for");
        BufReader::new(stdout).read_line(&mut line).expect("the server says where it listens");
        let address = line.trim().rsplit('/').next().expect("an address").to_owned();
        Self { process, address }
    }

    /// Resident memory when it falls no more: allocators give it back some time after it was freed, if at all.
    async fn settled_memory(&self) -> Option<usize> {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        let (mut least, mut unchanged) = (self.memory()?, 0);
        while unchanged < 15 {
            ticks.tick().await;
            let now = self.memory()?;
            unchanged = if now < least { 0 } else { unchanged + 1 };
            least = least.min(now);
        }
        Some(least)
    }

    /// Resident memory in bytes, where the system tells.
    fn memory(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// One client; reads only what is there.
struct Client(TcpStream);

impl Client {
    async fn connect(address: &str) -> Self {
        Self(TcpStream::connect(address).await.expect("the server accepts"))
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the server reads");
    }

    /// Reads until `end` has come.
    async fn read_to(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        let mut chunk = [0; 2048];
        while !text.windows(end.len()).any(|window| window == end.as_bytes()) {
            let read = timeout(PATIENCE, self.0.read(&mut chunk)).await;
            let read = read.unwrap_or_else(|_| panic!("{end:?} never comes")).expect("the server speaks");
            assert!(read > 0, "closed before {end:?}: {}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&chunk[..read]);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    async fn join_by_websocket(address: &str) -> Self {
        let mut client = Self::connect(address).await;
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        client.send(request.as_bytes()).await;
        client.read_to("maxPayload").await;
        client.send(&frame(1, b"40")).await;
        client.read_to("40{\"sid\"").await;
        client
    }

    async fn echo(&mut self) {
        self.send(&frame(1, br#"42["echo","hello, crowd"]"#)).await;
        self.read_to("hello, crowd").await;
    }

    /// Closes and waits until the server has closed too.
    async fn leave(mut self) {
        self.send(&frame(8, b"")).await;
        let mut rest = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("the server closes").ok();
    }

    async fn join_by_polling(address: &str) -> (Self, String) {
        let mut client = Self::connect(address).await;
        let opened = client.request(address, "GET", "", "").await;
        let sid = opened.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
        let sid = format!("&sid={sid}");
        assert!(client.request(address, "POST", &sid, "40").await.ends_with("ok"));
        let joined = client.request(address, "GET", &sid, "").await;
        assert!(joined.contains("40{\"sid\""), "{joined}");
        (client, sid)
    }

    async fn request(&mut self, address: &str, method: &str, sid: &str, body: &str) -> String {
        let length = body.len();
        let request = format!(
            "{method} /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: {address}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.send(request.as_bytes()).await;
        let mut text = self.read_to("\r\n\r\n").await;
        let lower = text.to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.expect("a length").parse().expect("a number");
        let head = text.find("\r\n\r\n").expect("a head") + 4;
        while text.len() < head + length {
            let mut rest = vec![0; head + length - text.len()];
            self.0.read_exact(&mut rest).await.expect("a whole body");
            text.push_str(&String::from_utf8_lossy(&rest));
        }
        text
    }
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    // A mask of zeros leaves the payload as it is.
    [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// Makes clients, some at a time.
async fn gather<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    join: impl Fn() -> F,
) -> Vec<T> {
    let mut joined = Vec::with_capacity(count);
    while joined.len() < count {
        let group = AT_ONCE.min(count - joined.len());
        let tasks: Vec<_> = (0..group).map(|_| tokio::spawn(join())).collect();
        for task in tasks {
            joined.push(task.await.expect("a client fails"));
        }
    }
    joined
}

/// Brings a crowd, asks everybody for a sign of life, and sends it away; returns the memory with it and after it.
async fn crowd(server: &Server, websockets: usize) -> (Option<usize>, Option<usize>) {
    let address = server.address.clone();
    let by_websocket = gather(websockets, || {
        let address = address.clone();
        async move { Client::join_by_websocket(&address).await }
    });
    let mut by_websocket = by_websocket.await;
    let by_polling = gather(POLLING, || {
        let address = address.clone();
        async move { Client::join_by_polling(&address).await }
    });
    let by_polling = by_polling.await;
    let with = server.memory();
    for client in by_websocket.iter_mut().step_by(97) {
        client.echo().await;
    }
    for (mut client, sid) in by_polling {
        assert!(client.request(&address, "POST", &sid, "1").await.ends_with("ok"));
    }
    for client in by_websocket {
        client.leave().await;
    }
    Client::join_by_websocket(&address).await.echo().await;
    (with, server.settled_memory().await)
}

/// Descriptors that this process and the server may have, each.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(usize::MAX)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_come_and_go_twice() {
    let websockets = WEBSOCKETS.min(descriptors().saturating_sub(POLLING + 300));
    if websockets < WEBSOCKETS {
        println!("only {websockets} WebSocket connections: `ulimit -n` allows no more");
    }
    let server = Server::start();
    let (_, start) = crowd(&server, 1_000).await;
    let (first, after_first) = crowd(&server, websockets).await;
    let (second, after_second) = crowd(&server, websockets).await;
    let (Some(start), Some(first), Some(after_first), Some(second), Some(after_second)) =
        (start, first, after_first, second, after_second)
    else {
        println!("this system does not tell how much memory a process has");
        return;
    };
    let each = (first - start) / (websockets + POLLING);
    println!(
        "{websockets} WebSocket and {POLLING} polling connections, kB: {} at the start, {} with all ({each} bytes each), \
         {} after, {} with all again, {} after",
        start / 1024,
        first / 1024,
        after_first / 1024,
        second / 1024,
        after_second / 1024
    );
    // What the allocator keeps of the first crowd is room for the second; what is lost would add up.
    assert!(second < first + first / 10, "the second crowd costs more than the first: memory is lost");
    assert!(after_second < after_first + after_first / 10, "memory is lost with every crowd");
}
