//! Many Socket.IO clients on WebSocket connections, or bare TCP connections.

use std::time::{Duration, Instant};

use bench::{
    Result,
    histogram::Histogram,
    order::{Order, Wire},
};

use crate::{
    clock::PATIENCE,
    frame, http,
    reactor::{Reactor, Socket},
};

/// Connections that are opened at a time, fewer than any listener's queue holds.
pub(crate) const AT_ONCE: usize = 64;

/// What is done with messages once a client is connected.
pub(crate) trait Handler {
    /// A WebSocket message; of bare TCP some bytes, with 0 for the opcode.
    fn message(&mut self, client: usize, opcode: u8, payload: &[u8]) -> Result<()>;

    /// All messages of one read have been given: now is the time to send.
    fn after_read(&mut self, _client: usize, _socket: &mut Socket) -> Result<()> {
        Ok(())
    }
}

pub(crate) struct Crowd {
    reactor: Reactor,
    clients: Vec<Client>,
    /// Sent when the TCP connection is there; nothing if that is all.
    request: Vec<u8>,
    pub(crate) handshakes: Histogram,
}

struct Client {
    socket: Socket,
    stage: Stage,
    started: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Connecting,
    Upgrading,
    Opening,
    Joining,
    Joined,
}

impl Crowd {
    /// Nobody yet.
    pub(crate) fn new(order: &Order) -> Result<Self> {
        let request = match order.wire {
            Wire::SocketIo => http::upgrade(order.address, ""),
            Wire::Tcp => Vec::new(),
        };
        let clients = Vec::with_capacity(order.connections);
        Ok(Self { reactor: Reactor::new(order.address)?, clients, request, handshakes: Histogram::default() })
    }

    /// All of them, and the time that each took.
    pub(crate) fn join(&mut self, order: &Order) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let joined = usize::try_from(self.handshakes.total())?;
            if joined == order.connections {
                return Ok(());
            }
            while self.clients.len() < order.connections.min(joined + AT_ONCE) {
                let started = Instant::now();
                let socket = self.reactor.connect(self.clients.len())?;
                self.clients.push(Client { socket, stage: Stage::Connecting, started });
            }
            self.turn(Duration::from_millis(100), &mut NothingYet)?;
            if Instant::now() > deadline {
                return Err(format!("only {joined} of {} have connected", order.connections).into());
            }
        }
    }

    pub(crate) fn socket(&mut self, client: usize) -> &mut Socket {
        &mut self.clients[client].socket
    }

    pub(crate) fn turn(&mut self, timeout: Duration, handler: &mut impl Handler) -> Result<()> {
        let Self { reactor, clients, request, handshakes } = self;
        reactor.turn(timeout, |number, buffer, readable, writable| {
            let client = &mut clients[number];
            let before = client.stage;
            let done = client.event(number, buffer, readable, writable, request, handler);
            done.map_err(|error| format!("client {number}, {before:?}: {error}"))?;
            if before != Stage::Joined && client.stage == Stage::Joined {
                handshakes.add(client.started.elapsed());
            }
            Ok(())
        })
    }
}

impl Client {
    fn event(
        &mut self,
        number: usize,
        buffer: &mut [u8],
        readable: bool,
        writable: bool,
        request: &[u8],
        handler: &mut impl Handler,
    ) -> Result<()> {
        let Self { socket, stage, .. } = self;
        if writable && socket.on_writable()? {
            *stage = if request.is_empty() { Stage::Joined } else { Stage::Upgrading };
            socket.send(request)?;
        }
        if !readable {
            return Ok(());
        }
        let mut heard = false;
        socket.read(buffer, |socket, bytes| {
            if request.is_empty() {
                heard = true;
                handler.message(number, 0, bytes)?;
                return Ok(bytes.len());
            }
            let mut used = 0;
            if *stage == Stage::Upgrading {
                let Some(head) = http::upgraded(bytes)? else { return Ok(0) };
                used = head;
                *stage = Stage::Opening;
            }
            while let Some(frame) = frame::decode(&bytes[used..])? {
                used += frame.length;
                match (*stage, frame.opcode, frame.payload) {
                    (_, frame::TEXT, b"2") => socket.send(&frame::text("3"))?,
                    (Stage::Joined, frame::TEXT | frame::BINARY, payload) => {
                        heard = true;
                        handler.message(number, frame.opcode, payload)?;
                    }
                    (Stage::Opening, frame::TEXT, [b'0', b'{', ..]) => {
                        socket.send(&frame::text("40"))?;
                        *stage = Stage::Joining;
                    }
                    (Stage::Joining, frame::TEXT, [b'4', b'0', b'{', ..]) => *stage = Stage::Joined,
                    (_, frame::PING, payload) => {
                        let mut pong = Vec::new();
                        frame::encode(&mut pong, frame::PONG, payload);
                        socket.send(&pong)?;
                    }
                    (_, opcode, payload) => return Err(wrong(opcode, payload, "another")),
                }
            }
            Ok(used)
        })?;
        if heard { handler.after_read(number, socket) } else { Ok(()) }
    }
}

/// Nobody speaks before all have come.
pub(crate) struct NothingYet;

impl Handler for NothingYet {
    fn message(&mut self, _: usize, opcode: u8, payload: &[u8]) -> Result<()> {
        Err(wrong(opcode, payload, "nothing"))
    }
}

/// A message that is not the one that is due.
pub(crate) fn wrong(opcode: u8, payload: &[u8], due: &str) -> Box<dyn std::error::Error> {
    let start = String::from_utf8_lossy(&payload[..payload.len().min(120)]);
    format!("{start:?} with opcode {opcode} came, {due} was due").into()
}
