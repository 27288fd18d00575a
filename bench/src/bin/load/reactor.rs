//! Non-blocking sockets on one epoll, with one buffer to receive into.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream as StdStream},
    time::Duration,
};

use bench::Result;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

/// Connections from one address; well below the ports that a system gives out by itself.
const PER_ADDRESS: usize = 8_000;

/// Whose sockets are known by number.
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    server: SocketAddr,
}

impl Reactor {
    pub(crate) fn new(server: SocketAddr) -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(1024));
        Ok(Self { poll, events, buffer: vec![0; 256 * 1024], server })
    }

    /// Starts to connect.
    pub(crate) fn connect(&self, number: usize) -> Result<Socket> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if self.server.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            bind(&socket, &SocketAddrV4::new(source(number / PER_ADDRESS), 0))?;
        }
        match connect(&socket, &self.server) {
            Err(error) if error != rustix::io::Errno::INPROGRESS => return Err(error.into()),
            _ => {}
        }
        let mut stream = TcpStream::from_std(StdStream::from(socket));
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(number), interest)?;
        Ok(Socket { stream, connected: false, kept: Vec::new(), unsent: Vec::new() })
    }

    /// Waits for events, and calls for each with the number of its socket, the buffer, and whether it is readable and
    /// writable.
    pub(crate) fn turn(
        &mut self,
        timeout: Duration,
        mut each: impl FnMut(usize, &mut [u8], bool, bool) -> Result<()>,
    ) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            let Token(number) = event.token();
            each(number, &mut self.buffer, event.is_readable(), event.is_writable())?;
        }
        Ok(())
    }
}

/// One of this machine's addresses, another in each process, so that ports that wait for their end do not matter.
fn source(nth: usize) -> Ipv4Addr {
    let [.., salt] = std::process::id().to_be_bytes();
    let nth = u8::try_from(nth).unwrap_or(u8::MAX).min(250);
    Ipv4Addr::new(127, 1, salt, 1 + nth)
}

/// Closes with a reset when dropped, which leaves nothing behind that waits.
pub(crate) struct Socket {
    stream: TcpStream,
    connected: bool,
    /// The start of what is incomplete, from earlier reads.
    kept: Vec<u8>,
    /// What the kernel did not take.
    unsent: Vec<u8>,
}

impl Socket {
    /// Sends, or keeps what cannot be sent yet.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let sent = self.write(bytes)?;
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// To be called when it is writable; tells whether it has just been connected.
    pub(crate) fn on_writable(&mut self) -> io::Result<bool> {
        if !self.connected {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            self.connected = self.stream.peer_addr().is_ok();
            return Ok(self.connected);
        }
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            let sent = self.write(&unsent)?;
            self.unsent.extend_from_slice(&unsent[sent..]);
        }
        Ok(false)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Reads all there is and gives it to `take`, which returns how much it has used.
    ///
    /// A read that does not fill the buffer has emptied the socket, and what comes later is another event. So there is one
    /// `recv` for most events.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(&mut Self, &[u8]) -> Result<usize>,
    ) -> Result<()> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err("closed by the server".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if self.kept.is_empty() {
                let used = take(self, &buffer[..count])?;
                self.kept.extend_from_slice(&buffer[used..count]);
            } else {
                let mut all = std::mem::take(&mut self.kept);
                all.extend_from_slice(&buffer[..count]);
                let used = take(self, &all)?;
                all.drain(..used);
                self.kept = all;
            }
            if count < buffer.len() {
                return Ok(());
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).ok();
    }
}
