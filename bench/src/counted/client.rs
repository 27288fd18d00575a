//! A blocking client of a few lines that never allocates: whatever is counted in its process is the server's.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Generous, as servers under valgrind are slow: only one that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Client(TcpStream);

impl Client {
    /// Connects, and says nothing yet.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_nodelay(true).expect("sockets have the option");
        stream.set_read_timeout(Some(PATIENCE)).expect("sockets have the option");
        Self(stream)
    }

    /// Sends all of `bytes`, in one system call as a rule.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the server reads");
    }

    /// Reads exactly what is expected.
    pub fn expect(&mut self, mut expected: &[u8]) {
        let mut chunk = [0; 4096];
        while !expected.is_empty() {
            let room = chunk.len().min(expected.len());
            let read = self.read(&mut chunk[..room]);
            let (next, rest) = expected.split_at(read);
            assert!(&chunk[..read] == next, "the server says {:?}", String::from_utf8_lossy(&chunk[..read]));
            expected = rest;
        }
    }

    /// Reads until `is_whole` holds of all that has come.
    pub fn read_until(&mut self, is_whole: impl Fn(&[u8]) -> bool) -> Received {
        let mut received = Received { bytes: [0; 4096], filled: 0 };
        while !is_whole(received.as_bytes()) {
            let read = self.read(&mut received.bytes[received.filled..]);
            received.filled += read;
        }
        received
    }

    /// Reads one HTTP response.
    pub fn response(&mut self) -> Received {
        self.read_until(|bytes| {
            let Some(head) = find(bytes, b"\r\n\r\n") else { return false };
            let length = find(&bytes[..head], b"content-length: ").map_or(0, |at| {
                let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit());
                digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
            });
            bytes.len() >= head + length
        })
    }

    /// Waits until the server has closed, and leaves out what it still says.
    pub fn expect_end(mut self) {
        let mut rest = [0; 256];
        while self.0.read(&mut rest).expect("the server closes in time") > 0 {}
    }

    fn read(&mut self, into: &mut [u8]) -> usize {
        let read = self.0.read(into).expect("the server speaks in time");
        assert!(read > 0, "the server closes, or says more than a client has room for");
        read
    }
}

/// What has come.
pub struct Received {
    bytes: [u8; 4096],
    filled: usize,
}

impl Received {
    /// All of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

/// Where `bytes` go on behind the first `part`.
fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part).map(|at| at + part.len())
}
