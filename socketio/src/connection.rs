//! What one client has joined: the rules of namespaces and acknowledgements, without any I/O.

use crate::{
    args::Arguments,
    packet::{AckId, Content, Packet},
};
use bytestring::ByteString;
use std::{collections::BTreeMap, sync::Arc};

/// The namespaces of one connection, as the server sees them; `S` is what it keeps for a socket.
///
/// ```text
///              CONNECT             admit
///   (absent) ----------> Connecting ----> Joined
///      ^ ^  \                |              |  \
///      | |   `<-- refuse ----'              |   `-- dismiss --> Dismissed
///      | `---------- DISCONNECT ------------'                       |
///      `------------------------------ DISCONNECT, or CONNECT again-'
/// ```
///
/// | packet | absent | connecting | joined | dismissed |
/// |---|---|---|---|---|
/// | CONNECT | request | violation | violation | request |
/// | EVENT, ACK | violation | violation | delivered | ignored |
/// | DISCONNECT | violation | violation | leaves | ignored, then absent |
/// | `CONNECT_ERROR` | violation | violation | violation | violation |
///
/// *Dismissed* is where the server ended the membership: what the client sent before it knew is no fault.
///
/// The client's role differs in who sends CONNECT, `CONNECT_ERROR` and the consent; it has the same states
/// and goes into the same `match`.
#[derive(Debug)]
pub struct Connection<S> {
    members: Vec<Member<S>>,
}

#[derive(Debug)]
struct Member<S> {
    namespace: Arc<str>,
    state: State<S>,
}

#[derive(Debug)]
enum State<S> {
    Connecting,
    Dismissed,
    Joined(S),
}

/// What a packet asks of the server.
#[derive(Debug, PartialEq)]
pub enum Incoming<'a, S> {
    /// The client answers an event; ids that nobody waits for are to be ignored.
    Ack(&'a S, AckId, Arguments),
    /// The client wants to join: look the namespace up, then [`begin`](Connection::begin), or answer
    /// `CONNECT_ERROR`.
    Connect {
        /// As the client wrote it.
        namespace: ByteString,
        /// JSON object to authenticate with.
        payload: Option<ByteString>,
    },
    /// The client has left; the socket is no longer part of the connection.
    Disconnect(S),
    /// An event for a socket.
    Event(&'a S, IncomingEvent),
    /// Nothing to be done.
    Nothing,
}

/// An event of a client, its data not decoded yet.
#[derive(Clone, Debug, PartialEq)]
pub struct IncomingEvent {
    pub(crate) id: Option<AckId>,
    pub(crate) name: ByteString,
    pub(crate) arguments: Arguments,
}

impl IncomingEvent {
    /// The id of the acknowledgement that the client waits for, if it does.
    pub fn ack_id(&self) -> Option<AckId> {
        self.id
    }

    /// The data.
    pub fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A packet that the state of its namespace forbids; the connection is to be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Violation {
    /// CONNECT for a namespace that is joined, or being joined.
    #[error("CONNECT for a namespace that is joined already")]
    AlreadyJoined,
    /// `CONNECT_ERROR`, which only servers send.
    #[error("`CONNECT_ERROR` from a client")]
    FromServerOnly,
    /// Anything else for a namespace that is not joined, or not yet.
    #[error("packet for a namespace that is not joined")]
    NotJoined,
}

impl<S> Default for Connection<S> {
    fn default() -> Self {
        Self { members: Vec::new() }
    }
}

impl<S> Connection<S> {
    /// Takes the next packet of the client and tells what it asks.
    pub fn handle_packet(&mut self, packet: Packet) -> Result<Incoming<'_, S>, Violation> {
        let Packet { namespace, content } = packet;
        let Some(at) = self.position(&namespace) else {
            return match content {
                Content::Connect { payload } => Ok(Incoming::Connect { namespace, payload }),
                Content::ConnectError { .. } => Err(Violation::FromServerOnly),
                Content::Ack { .. } | Content::Disconnect | Content::Event { .. } => {
                    Err(Violation::NotJoined)
                }
            };
        };
        if matches!(
            (&content, &self.members[at].state),
            (Content::Disconnect, State::Dismissed | State::Joined(_))
        ) {
            return Ok(match self.members.swap_remove(at).state {
                State::Joined(socket) => Incoming::Disconnect(socket),
                State::Connecting | State::Dismissed => Incoming::Nothing,
            });
        }
        match (content, &self.members[at].state) {
            (Content::ConnectError { .. }, _) => Err(Violation::FromServerOnly),
            (Content::Connect { payload }, State::Dismissed) => Ok(Incoming::Connect { namespace, payload }),
            (Content::Connect { .. }, _) => Err(Violation::AlreadyJoined),
            (_, State::Connecting) => Err(Violation::NotJoined),
            (Content::Event { id, name, arguments }, State::Joined(socket)) => {
                Ok(Incoming::Event(socket, IncomingEvent { id, name, arguments }))
            }
            (Content::Ack { id, arguments }, State::Joined(socket)) => {
                Ok(Incoming::Ack(socket, id, arguments))
            }
            (_, State::Dismissed | State::Joined(_)) => Ok(Incoming::Nothing),
        }
    }

    /// Notes that the request to join `namespace` is being decided.
    pub fn begin(&mut self, namespace: Arc<str>) {
        self.set(namespace, State::Connecting);
    }

    /// Grants the request.
    pub fn admit(&mut self, namespace: Arc<str>, socket: S) {
        self.set(namespace, State::Joined(socket));
    }

    /// Turns the request down: the client may try again.
    pub fn refuse(&mut self, namespace: &str) {
        self.members.retain(|member| &*member.namespace != namespace);
    }

    /// Ends memberships by the server's will, of all joined sockets that `chosen` picks, and returns them.
    pub fn dismiss(&mut self, mut chosen: impl FnMut(&S) -> bool) -> Vec<S> {
        let mut dismissed = Vec::new();
        for member in &mut self.members {
            if !matches!(&member.state, State::Joined(socket) if chosen(socket)) {
                continue;
            }
            if let State::Joined(socket) = std::mem::replace(&mut member.state, State::Dismissed) {
                dismissed.push(socket);
            }
        }
        dismissed
    }

    /// Forgets everything, the connection being gone, and returns the sockets that were joined.
    pub fn close(&mut self) -> Vec<S> {
        let joined = self.dismiss(|_| true);
        self.members = Vec::new();
        joined
    }

    /// Whether any namespace is joined.
    pub fn has_joined(&self) -> bool {
        self.members.iter().any(|member| matches!(member.state, State::Joined(_)))
    }

    fn position(&self, namespace: &str) -> Option<usize> {
        self.members.iter().position(|member| &*member.namespace == namespace)
    }

    fn set(&mut self, namespace: Arc<str>, state: State<S>) {
        if let Some(at) = self.position(&namespace) {
            self.members[at].state = state;
        } else {
            // Most connections join one namespace and stay idle.
            self.members.reserve_exact(1);
            self.members.push(Member { namespace, state });
        }
    }
}

/// Who waits for which acknowledgement of one socket; `W` is how they are told.
#[derive(Debug)]
pub struct Acks<W> {
    waiting: BTreeMap<AckId, W>,
}

impl<W> Default for Acks<W> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new() }
    }
}

impl<W> Acks<W> {
    /// Notes that `waiter` waits for the acknowledgement `id`.
    pub fn insert(&mut self, id: AckId, waiter: W) {
        self.waiting.insert(id, waiter);
    }

    /// Returns who waits for `id`, once; nobody for an id that is unknown, answered or given up.
    pub fn remove(&mut self, id: AckId) -> Option<W> {
        self.waiting.remove(&id)
    }

    /// Forgets everyone.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How many are waiting.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle<'a>(
        connection: &'a mut Connection<&'static str>,
        text: &'static str,
    ) -> Result<Incoming<'a, &'static str>, Violation> {
        connection.handle_packet(Packet::parse(&text.into()).unwrap().0)
    }

    fn kind(incoming: &Incoming<'_, &'static str>) -> &'static str {
        match incoming {
            Incoming::Ack(..) => "ack",
            Incoming::Connect { .. } => "connect",
            Incoming::Disconnect(_) => "disconnect",
            Incoming::Event(..) => "event",
            Incoming::Nothing => "nothing",
        }
    }

    #[test]
    fn every_packet_in_every_state() {
        let states: [fn(&mut Connection<&'static str>); 4] = [
            |_| {},
            |connection| connection.begin("/a".into()),
            |connection| connection.admit("/a".into(), "socket"),
            |connection| {
                connection.admit("/a".into(), "socket");
                assert_eq!(connection.dismiss(|socket| *socket == "socket"), ["socket"]);
            },
        ];
        let (joined, not, server) =
            (Violation::AlreadyJoined, Violation::NotJoined, Violation::FromServerOnly);
        let table = [
            ("0/a,", [Ok("connect"), Err(joined), Err(joined), Ok("connect")]),
            (r#"2/a,["x"]"#, [Err(not), Err(not), Ok("event"), Ok("nothing")]),
            ("3/a,1[]", [Err(not), Err(not), Ok("ack"), Ok("nothing")]),
            ("1/a", [Err(not), Err(not), Ok("disconnect"), Ok("nothing")]),
            ("4/a,{}", [Err(server); 4]),
        ];
        for (text, expected) in table {
            for (state, expected) in states.iter().zip(expected) {
                let mut connection = Connection::default();
                connection.admit("/other".into(), "other");
                state(&mut connection);
                assert_eq!(
                    handle(&mut connection, text).as_ref().map(kind),
                    expected.as_ref().copied(),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn leaving_and_joining_again() {
        let mut connection = Connection::default();
        connection.begin("/".into());
        connection.refuse("/");
        assert!(!connection.has_joined());
        connection.begin("/".into());
        connection.admit("/".into(), "first");
        assert_eq!(handle(&mut connection, "1"), Ok(Incoming::Disconnect("first")));
        assert!(handle(&mut connection, "0").is_ok());
        connection.admit("/".into(), "second");
        connection.admit("/b".into(), "third");
        assert_eq!(connection.dismiss(|socket| *socket == "second"), ["second"]);
        assert_eq!(handle(&mut connection, "1"), Ok(Incoming::Nothing));
        assert_eq!(handle(&mut connection, "1"), Err(Violation::NotJoined));
        assert_eq!(connection.close(), ["third"]);
    }

    #[test]
    fn an_ack_is_taken_once() {
        let (one, two) = (AckId::new(1).unwrap(), AckId::new(2).unwrap());
        let mut acks = Acks::default();
        acks.insert(one, "first");
        assert_eq!((acks.remove(two), acks.remove(one), acks.remove(one)), (None, Some("first"), None));
        assert_eq!(acks.waiting(), 0);
    }
}
