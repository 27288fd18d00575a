//! What one connection has joined: the rules of namespaces, for both ends, without any I/O.

use crate::{
    args::{Arguments, ArgumentsRef},
    packet::{AckId, Content, Packet},
};
use bytestring::ByteString;
use compact_str::CompactString;
use smallvec::SmallVec;
use std::{convert::Infallible, marker::PhantomData, mem, sync::Arc};

pub use crate::acks::Acks;

/// The namespaces of one connection, as one of its ends sees them; `S` is what that end keeps for a socket.
///
/// # Server
///
/// ```text
///              CONNECT, begin            admit
///   (absent) ------------------> Connecting ----> Joined
///      ^ ^  \                        |              |  \
///      | |   `<------- refuse -------'              |   `-- dismiss --> Ended
///      | `------------- DISCONNECT -----------------'                     |
///      `---------------------- DISCONNECT, or CONNECT again --------------'
/// ```
///
/// | packet | absent | connecting | joined | ended |
/// |---|---|---|---|---|
/// | CONNECT | request | violation | violation | request |
/// | EVENT, ACK | violation | violation | delivered | ignored |
/// | DISCONNECT | violation | violation | leaves | ignored, then absent |
/// | `CONNECT_ERROR` | violation | violation | violation | violation |
///
/// *Ended* is where the server ended the membership: what the client sent before it knew is no fault.
///
/// # Client
///
/// ```text
///              begin             CONNECT, admit
///   (absent) --------> Connecting ------------> Joined
///      ^ ^                 |                    ^    |
///      | `- CONNECT_ERROR -'     CONNECT, admit |    | dismiss, or DISCONNECT
///      |                    ,-------------------'    v
///      `- CONNECT_ERROR - Rejoining <---- begin ---- Ended
/// ```
///
/// | packet | absent | connecting | rejoining | joined | ended |
/// |---|---|---|---|---|---|
/// | CONNECT | violation | consent | consent | violation | violation |
/// | EVENT | ignored | early | ignored | delivered | ignored |
/// | ACK | ignored | ignored | ignored | delivered | ignored |
/// | DISCONNECT | ignored | ignored | ignored | leaves | ignored |
/// | `CONNECT_ERROR` | violation | refusal | refusal | violation | violation |
///
/// When a client leaves and joins again at once, packets of the old membership are still on their way, and
/// nothing in them tells old from new: *rejoining* ignores everything up to the answer. Where there was no
/// membership before, an event that precedes the consent is meant for the socket to come: connection state
/// recovery sends what was missed like this, and so does middleware that emits.
///
/// A client ignores what it has no use for, as handlers of official servers go on emitting and acknowledging
/// when their socket is disconnected. Only an answer that it did not ask for is a violation.
///
/// A request cannot be taken back: a client that does not want it any more waits for the consent, admits, and
/// dismisses at once.
#[derive(Debug)]
pub struct Connection<S, R: Role = ServerRole> {
    members: SmallVec<[Member<S>; 1]>,
    role: PhantomData<R>,
}

#[derive(Debug)]
struct Member<S> {
    namespace: Arc<str>,
    state: State<S>,
}

#[derive(Debug)]
enum State<S> {
    Connecting,
    Ended,
    Joined(S),
    /// A client's only: connecting, with a membership before.
    Rejoining,
}

/// Which end of the connection this is.
pub trait Role: sealed::Sealed {
    /// Whether this end decides who joins.
    const IS_SERVER: bool;

    /// What this end alone can be told.
    type Answer;

    /// Takes what only a server says.
    ///
    /// # Errors
    ///
    /// It came from a client.
    fn hear(answer: Answer) -> Result<Self::Answer, Violation>;
}

/// The end that decides who joins.
#[derive(Debug)]
pub enum ServerRole {}

/// The end that asks to join.
#[derive(Debug)]
pub enum ClientRole {}

impl Role for ServerRole {
    const IS_SERVER: bool = true;
    type Answer = Infallible;

    fn hear(answer: Answer) -> Result<Infallible, Violation> {
        Err(match answer {
            Answer::Early { .. } => Violation::NotJoined,
            Answer::Refused { .. } => Violation::FromServerOnly,
        })
    }
}

impl Role for ClientRole {
    const IS_SERVER: bool = false;
    type Answer = Answer;

    fn hear(answer: Answer) -> Result<Answer, Violation> {
        Ok(answer)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ClientRole {}
    impl Sealed for super::ServerRole {}
}

/// What a packet asks of the end that receives it; `A` is [`Role::Answer`].
#[derive(Debug, PartialEq)]
pub enum Incoming<'a, S, A = Infallible> {
    /// The peer answers an event; ids that nobody waits for are to be ignored.
    Ack(&'a S, AckId, Arguments),
    /// The server says more about a request to join than yes.
    Answer(A),
    /// From a client, the wish to join: look the namespace up, then [`begin`](Connection::begin), or answer
    /// `CONNECT_ERROR`. From a server, the consent: [`admit`](Connection::admit).
    Connect {
        /// As the peer wrote it.
        namespace: ByteString,
        /// JSON object: what the client authenticates with, or the server's `sid`.
        payload: Option<ByteString>,
    },
    /// The peer has ended the membership; the socket is no longer part of the connection.
    Disconnect(S),
    /// An event for a socket.
    Event(&'a S, IncomingEvent),
    /// Nothing to be done.
    Nothing,
}

/// What a server says while it decides about a request to join, besides its consent.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// An event for the socket to come: to be kept until the consent, and dropped at a refusal.
    Early {
        /// The namespace.
        namespace: ByteString,
        /// The event.
        event: IncomingEvent,
    },
    /// The request is turned down; another one may follow.
    Refused {
        /// The namespace.
        namespace: ByteString,
        /// JSON object, or string in older revisions.
        payload: ByteString,
    },
}

/// An event of the peer, its data not decoded yet.
#[derive(Clone, Debug, PartialEq)]
pub struct IncomingEvent {
    pub(crate) id: Option<AckId>,
    pub(crate) name: CompactString,
    pub(crate) arguments: Arguments,
}

/// The same as long as its text is lent.
#[derive(Debug)]
pub(crate) struct EventRef<'a> {
    pub(crate) id: Option<AckId>,
    pub(crate) name: &'a str,
    pub(crate) arguments: ArgumentsRef<'a>,
    /// What lends it, if that is an event which costs less to share than to copy.
    pub(crate) whole: Option<&'a IncomingEvent>,
}

impl EventRef<'_> {
    pub(crate) fn to_owned(&self) -> IncomingEvent {
        self.whole.cloned().unwrap_or_else(|| IncomingEvent {
            id: self.id,
            name: self.name.into(),
            arguments: self.arguments.to_owned(),
        })
    }
}

impl IncomingEvent {
    pub(crate) fn borrowed(&self) -> EventRef<'_> {
        let arguments = self.arguments.borrowed();
        EventRef { id: self.id, name: &self.name, arguments, whole: Some(self) }
    }

    /// The id of the acknowledgement that the peer waits for, if it does.
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
    /// An event, acknowledgement or DISCONNECT of a client for a namespace that is not joined, or not yet.
    #[error("packet for a namespace that is not joined")]
    NotJoined,
    /// Consent or refusal of a server that was not asked.
    #[error("answer to a request that was not made")]
    NotRequested,
}

impl<S> Default for Connection<S> {
    fn default() -> Self {
        Self::server()
    }
}

impl<S> Connection<S> {
    /// Starts as a server; no namespace is joined.
    pub fn server() -> Self {
        Self { members: SmallVec::new(), role: PhantomData }
    }

    /// Turns the request down: the client may try again.
    pub fn refuse(&mut self, namespace: &str) {
        self.forget(namespace);
    }

    /// Forgets the memberships that this end has ended, where they become too many to be kept. What the
    /// client sent for them before it knew is a violation then.
    pub fn forget_ended(&mut self) {
        self.members.retain(|member| !matches!(member.state, State::Ended));
    }
}

impl<S> Connection<S, ClientRole> {
    /// Starts as a client; no namespace is joined.
    pub fn client() -> Self {
        Self { members: SmallVec::new(), role: PhantomData }
    }
}

impl<S> Connection<S> {
    /// For whom an event of this namespace is, as [`handle_packet`](Self::handle_packet) would tell; nobody may be any
    /// more.
    pub(crate) fn receiver(&self, namespace: &str) -> Result<Option<&S>, Violation> {
        match self.state(namespace) {
            Some(State::Joined(socket)) => Ok(Some(socket)),
            Some(State::Ended) => Ok(None),
            _ => Err(Violation::NotJoined),
        }
    }
}

impl<S, R: Role> Connection<S, R> {
    /// Takes the next packet of the peer and tells what it asks.
    ///
    /// # Errors
    ///
    /// The state of the namespace forbids the packet.
    pub fn handle_packet(&mut self, packet: Packet) -> Result<Incoming<'_, S, R::Answer>, Violation> {
        let Packet { namespace, content } = packet;
        match content {
            Content::Event { id, name, arguments } => {
                let event = IncomingEvent { id, name, arguments };
                match self.state(&namespace) {
                    Some(State::Joined(socket)) => Ok(Incoming::Event(socket, event)),
                    Some(State::Connecting) => {
                        R::hear(Answer::Early { namespace, event }).map(Incoming::Answer)
                    }
                    state => Self::overlook(state),
                }
            }
            Content::Ack { id, arguments } => match self.state(&namespace) {
                Some(State::Joined(socket)) => Ok(Incoming::Ack(socket, id, arguments)),
                state => Self::overlook(state),
            },
            Content::Connect { payload } => match (R::IS_SERVER, self.state(&namespace)) {
                (true, None | Some(State::Ended)) => {
                    self.forget(&namespace);
                    Ok(Incoming::Connect { namespace, payload })
                }
                (true, _) => Err(Violation::AlreadyJoined),
                (false, Some(State::Connecting | State::Rejoining)) => {
                    Ok(Incoming::Connect { namespace, payload })
                }
                (false, _) => Err(Violation::NotRequested),
            },
            Content::ConnectError { payload } => {
                let answer = R::hear(Answer::Refused { namespace: namespace.clone(), payload })?;
                match self.state(&namespace) {
                    Some(State::Connecting | State::Rejoining) => {
                        self.forget(&namespace);
                        Ok(Incoming::Answer(answer))
                    }
                    _ => Err(Violation::NotRequested),
                }
            }
            Content::Disconnect => {
                let Some(at) = self.position(&namespace) else { return Self::overlook(None) };
                let state = &mut self.members[at].state;
                let outcome = match state.end() {
                    Some(socket) => Ok(Incoming::Disconnect(socket)),
                    None => Self::overlook(Some(state)),
                };
                if R::IS_SERVER {
                    // Whoever has ended the membership, this was the client's last packet of it.
                    self.members.swap_remove(at);
                }
                outcome
            }
        }
    }

    /// Notes that a request to join `namespace` has been made, and is being decided.
    pub fn begin(&mut self, namespace: Arc<str>) {
        let again = !R::IS_SERVER && matches!(self.state(&namespace), Some(State::Ended));
        self.set(namespace, if again { State::Rejoining } else { State::Connecting });
    }

    /// Grants the request, or takes note that it is granted.
    pub fn admit(&mut self, namespace: Arc<str>, socket: S) {
        self.set(namespace, State::Joined(socket));
    }

    /// Ends memberships by this end's will, of all joined sockets that `chosen` picks, and returns them.
    pub fn dismiss(&mut self, mut chosen: impl FnMut(&S) -> bool) -> Vec<S> {
        let mut dismissed = Vec::new();
        for Member { state, .. } in &mut self.members {
            if matches!(state, State::Joined(socket) if chosen(socket)) {
                dismissed.extend(state.end());
            }
        }
        dismissed
    }

    /// Forgets everything, the connection being gone, and returns the sockets that were joined.
    pub fn close(&mut self) -> Vec<S> {
        let joined = self.dismiss(|_| true);
        self.members = SmallVec::new();
        joined
    }

    /// Whether any namespace is joined.
    pub fn has_joined(&self) -> bool {
        self.members.iter().any(|member| matches!(member.state, State::Joined(_)))
    }

    /// What is kept for the namespaces that are joined.
    pub fn joined(&self) -> impl Iterator<Item = &S> {
        self.members.iter().filter_map(|member| match &member.state {
            State::Joined(socket) => Some(socket),
            _ => None,
        })
    }

    /// How many namespaces are not absent: what there is to be kept, and to be bounded.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether all namespaces are absent.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Tells whether a packet for a socket that is not there may be ignored.
    fn overlook<'a>(state: Option<&State<S>>) -> Result<Incoming<'a, S, R::Answer>, Violation> {
        if R::IS_SERVER && !matches!(state, Some(State::Ended)) {
            return Err(Violation::NotJoined);
        }
        Ok(Incoming::Nothing)
    }

    fn state(&self, namespace: &str) -> Option<&State<S>> {
        self.position(namespace).map(|at| &self.members[at].state)
    }

    fn position(&self, namespace: &str) -> Option<usize> {
        // Byte by byte, as a call to compare costs more than the few that there are.
        let is_named = |path: &str| path.len() == namespace.len() && path.bytes().eq(namespace.bytes());
        self.members.iter().position(|member| is_named(&member.namespace))
    }

    fn forget(&mut self, namespace: &str) {
        self.members.retain(|member| &*member.namespace != namespace);
    }

    fn set(&mut self, namespace: Arc<str>, state: State<S>) {
        if let Some(at) = self.position(&namespace) {
            self.members[at].state = state;
        } else {
            self.members.push(Member { namespace, state });
        }
    }
}

impl<S> State<S> {
    /// Ends a membership and returns its socket.
    fn end(&mut self) -> Option<S> {
        match mem::replace(self, Self::Ended) {
            Self::Joined(socket) => Some(socket),
            other => {
                *self = other;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
