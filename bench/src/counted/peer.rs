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
        let mut text = [0; 512];
        loop {
            let mut status = &self.status;
            status.rewind().expect("it is no pipe");
            let read = status.read(&mut text).expect("the server runs");
            // The name before the state is in parentheses, and may hold some.
            let state = text[..read].iter().rposition(|&byte| byte == b')').and_then(|at| text.get(at + 2));
            if state == Some(&b'S') {
                return;
            }
            thread::yield_now();
        }
    }
}
