//! Work for the server, in steps of which each is like the one before.

use super::{
    client::Client,
    peer::Peer,
    wire::{BINARY, CLOSE, PING, PONG, TEXT, masked, unmasked},
};

const UPGRADE: &[u8] = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What one step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A text of so many bytes, and the same back.
    Echo(usize),
    /// So many echoes of 64 bytes, in one segment.
    Pipelined(usize),
    /// A text of 64 bytes, and its acknowledgement.
    Ack,
    /// An attachment of so many bytes, and the same back.
    Binary(usize),
    /// An event that has no handler, and the ping of [`Work::Ping`], whose pong says that the event is over.
    Unhandled,
    /// A WebSocket ping and its pong.
    Ping,
    /// A text of 64 bytes from one of so many sockets to all.
    Broadcast(usize),
    /// The same to a room that all have joined.
    Room(usize),
    /// A pending poll, a post of 64 bytes, and the same back in the poll.
    Polling,
    /// A socket that connects over a WebSocket and leaves.
    Connect,
    /// A ping of the server, as a packet, and the client's pong.
    Heartbeat,
}

/// Clients that are ready for their work.
pub struct Load {
    peer: Peer,
    kind: Kind,
}

enum Kind {
    /// The first client sends; all get the same.
    Frames {
        clients: Vec<Client>,
        request: Vec<u8>,
        reply: Vec<u8>,
    },
    Polling {
        poll: Client,
        post: Client,
        get: Vec<u8>,
        message: Vec<u8>,
        reply: Vec<u8>,
    },
    Connect {
        join: Vec<u8>,
        leave: Vec<u8>,
    },
    Heartbeat {
        client: Client,
        ping: Vec<u8>,
        pong: Vec<u8>,
    },
}

impl Load {
    /// Connects the clients.
    pub fn start(peer: Peer, work: Work) -> Self {
        let sockets = |count| (0..count).map(|_| socket(&peer, &join())).collect::<Vec<_>>();
        let kind = match work {
            Work::Echo(bytes) => frames(sockets(1), &event("echo", bytes), &event("echo", bytes), 1),
            Work::Pipelined(depth) => frames(sockets(1), &event("echo", 64), &event("echo", 64), depth),
            Work::Ack => {
                let answer = format!("437[\"{}\"]", "x".repeat(64));
                frames(sockets(1), &event("ack", 64).replacen("42", "427", 1), &answer, 1)
            }
            Work::Binary(bytes) => binary(sockets(1), bytes),
            Work::Unhandled => {
                let request = [masked(TEXT, event("none", 64).as_bytes()), masked(PING, b"")].concat();
                Kind::Frames { clients: sockets(1), request, reply: unmasked(PONG, b"") }
            }
            Work::Ping => {
                Kind::Frames { clients: sockets(1), request: masked(PING, b""), reply: unmasked(PONG, b"") }
            }
            Work::Broadcast(count) => frames(sockets(count), &event("all", 64), &event("all", 64), 1),
            Work::Room(count) => {
                let mut clients = sockets(count);
                for client in &mut clients {
                    client.send(&masked(TEXT, br#"427["join"]"#));
                    client.expect(&unmasked(TEXT, b"437[]"));
                }
                frames(clients, &event("room", 64), &event("room", 64), 1)
            }
            Work::Polling => polling(&peer),
            Work::Connect => Kind::Connect { join: join(), leave: masked(CLOSE, b"") },
            Work::Heartbeat => Kind::Heartbeat {
                client: socket(&peer, &join()),
                ping: unmasked(TEXT, b"2"),
                pong: masked(TEXT, b"3"),
            },
        };
        peer.until_asleep();
        Self { peer, kind }
    }

    /// The server.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Works, and returns when the server sleeps again. Does not allocate.
    pub fn step(&mut self) {
        match &mut self.kind {
            Kind::Frames { clients, request, reply } => {
                clients[0].send(request);
                for client in clients {
                    client.expect(reply);
                }
            }
            Kind::Polling { poll, post, get, message, reply } => {
                poll.send(get);
                self.peer.until_asleep();
                post.send(message);
                assert!(post.response().as_bytes().ends_with(b"ok"), "the server takes the post");
                assert!(poll.response().as_bytes().ends_with(reply), "the poll brings the echo");
            }
            Kind::Connect { join, leave } => {
                let mut client = socket(&self.peer, join);
                client.send(leave);
                client.expect_end();
            }
            Kind::Heartbeat { client, ping, pong } => {
                client.expect(ping);
                client.send(pong);
            }
        }
        self.peer.until_asleep();
    }
}

/// An event of a text of so many bytes.
fn event(name: &str, bytes: usize) -> String {
    format!("42[\"{name}\",\"{}\"]", "x".repeat(bytes))
}

fn frames(clients: Vec<Client>, request: &str, reply: &str, times: usize) -> Kind {
    let request = masked(TEXT, request.as_bytes()).repeat(times);
    Kind::Frames { clients, request, reply: unmasked(TEXT, reply.as_bytes()).repeat(times) }
}

fn binary(clients: Vec<Client>, bytes: usize) -> Kind {
    let packet = br#"451-["bin",{"_placeholder":true,"num":0}]"#;
    let attachment = vec![0xb5; bytes];
    let request = [masked(TEXT, packet), masked(BINARY, &attachment)].concat();
    Kind::Frames { clients, request, reply: [unmasked(TEXT, packet), unmasked(BINARY, &attachment)].concat() }
}

fn join() -> Vec<u8> {
    masked(TEXT, b"40")
}

/// A socket over a WebSocket, whose server sleeps between its requests, too. Does not allocate, unless it is pinged.
fn socket(peer: &Peer, join: &[u8]) -> Client {
    let mut client = Client::connect(peer.address());
    peer.until_asleep();
    client.send(UPGRADE);
    until_object(&mut client);
    peer.until_asleep();
    client.send(join);
    until_object(&mut client);
    peer.until_asleep();
    client
}

/// Waits for what ends with an object, and answers a ping that comes before or behind it.
fn until_object(client: &mut Client) {
    let ping = [0x80 | TEXT, 1, b'2'];
    loop {
        let received = client.read_until(|bytes| bytes.ends_with(b"}") || bytes.ends_with(&ping));
        if received.as_bytes().ends_with(&ping) {
            client.send(&masked(TEXT, b"3"));
        }
        if received.as_bytes().contains(&b'}') {
            return;
        }
    }
}

fn polling(peer: &Peer) -> Kind {
    let (mut poll, mut post) = (Client::connect(peer.address()), Client::connect(peer.address()));
    poll.send(&request("GET", "", ""));
    let opened = String::from_utf8_lossy(poll.response().as_bytes()).into_owned();
    let id = opened.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
    let id = format!("&sid={id}");
    post.send(&request("POST", &id, "40"));
    assert!(post.response().as_bytes().ends_with(b"ok"), "the server takes the post");
    poll.send(&request("GET", &id, ""));
    assert!(poll.response().as_bytes().ends_with(b"}"), "the server admits the socket");
    let echo = event("echo", 64);
    let (get, message) = (request("GET", &id, ""), request("POST", &id, &echo));
    Kind::Polling { poll, post, get, message, reply: echo.into_bytes() }
}

fn request(method: &str, id: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let target = format!("/socket.io/?EIO=4&transport=polling{id}");
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}").into()
}
