//! The server as its clients see it: where it listens, and whether it sleeps.

use std::{
    fs::File,
    io::{Read, Seek},
    net::SocketAddr,
    thread,
};

/// A server with one thread.
pub struct Peer {
    address: SocketAddr,
    /// Open for good: to open it each time would allocate.
    status: File,
}

impl Peer {
    /// `thread` is the one that serves, as a path below `/proc`: `PID/task/TID`.
    pub fn new(address: SocketAddr, thread: &str) -> Self {
        let status = File::open(format!("/proc/{thread}/stat")).expect("Linux tells whether a thread sleeps");
        Self { address, status }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns once the server waits for its sockets: it has ended all work that was begun.
    pub fn until_asleep(&self) {
        while self.fields(&mut [0; 512]).next() != Some("S") {
            thread::yield_now();
        }
    }

    /// How often the server's thread has been given a page of memory so far.
    pub fn page_faults(&self) -> u64 {
        let minor = self.fields(&mut [0; 512]).nth(7).and_then(|count| count.parse().ok());
        minor.expect("the tenth field is a number")
    }

    /// What Linux tells of the thread, from the third field on, which is its state.
    fn fields<'a>(&self, text: &'a mut [u8; 512]) -> impl Iterator<Item = &'a str> {
        let mut status = &self.status;
        status.rewind().expect("it is no pipe");
        let read = status.read(text).expect("the server runs");
        // The name before it is in parentheses, and may hold some.
        let text = str::from_utf8(&text[..read]).unwrap_or_default();
        text.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ')
    }
}
