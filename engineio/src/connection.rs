//! The state of one connection: route, probe, heartbeat and end. Pure: no sockets, no tasks, no clock.
//!
//! Everything that decides *when* something may travel is in this file, for both roles.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    CloseReason, Message, Outbox, Outgoing, Transport,
    outbox::Departure,
    packet::{Packet, PacketCow},
};

/// One end of a connection.
///
/// Feed it with `handle_*`, command it with [`close`](Self::close); after each of these, take everything from
/// [`poll_transmit`](Self::poll_transmit) for each transport that can take a packet, look at
/// [`closed`](Self::closed) and [`uses_websocket`](Self::uses_websocket), and sleep until
/// [`poll_timeout`](Self::poll_timeout). Messages to be sent wait in an [`Outbox`] that the caller keeps.
///
/// # Route
///
/// ```text
///                      handle_websocket_open                  server: `5` after `2probe`
///        ┌─────────┐ ───────────────────────► ┌─────────┐ ──────────────────────────────► ┌───────────┐
///  ────► │ Polling │                          │ Probing │                                 │ WebSocket │ ◄──
///        └─────────┘ ◄─────────────────────── └─────────┘                                 └───────────┘
///                      wrong packet, timeout,      │ client: `3probe`                           ▲
///                      WebSocket lost              ▼                                            │
///                                             ┌──────────┐   GET and POST ended: send `5`       │
///                                             │ Draining │ ─────────────────────────────────────┘
///                                             └──────────┘
/// ```
///
/// # Phase
///
/// ```text
///   Open ── close(AfterFlush) ──► Closing ── flushed, peer gone, or deadline ──► Closed(reason)
///     └──── close(Now), peer gone, silent or misbehaved ─────────────────────────────▲
/// ```
///
/// # Heartbeat
///
/// The server sends a ping when `ping_interval` has passed since the last pong, and expects a pong within
/// `ping_timeout`. The client expects a ping within the sum of both.
#[derive(Debug)]
pub struct State {
    role: Role,
    /// Shared by all connections of a server, which are many.
    timing: Arc<Timing>,
    route: Route,
    phase: Phase,
    heartbeat: Heartbeat,
    /// Whether the next packet out is a ping (server) or a pong (client); it overtakes what waits in the outbox.
    beat_due: bool,
    /// A packet of the probe, which travels on the WebSocket only.
    signal: Option<Signal>,
    carrier: Carrier,
    /// Client: a GET is on its way.
    polling: bool,
    /// The last packet over polling.
    farewell: Option<Farewell>,
    /// Whether the last packet on the WebSocket, its close, is still to be sent.
    websocket_farewell: bool,
}

/// Which end this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Polls, probes, and answers pings.
    Client,
    /// Answers polls and probes, and sends pings.
    Server,
}

/// The durations that the open packet announces, and the server's own.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From a pong to the next ping.
    pub ping_interval: Duration,
    /// From a ping to the latest pong.
    pub ping_timeout: Duration,
    /// From the opening of a second transport to the end of its probe.
    pub upgrade_timeout: Duration,
    /// For a client to fetch what is left when the server closes.
    pub close_timeout: Duration,
}

/// What a packet meant to the application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A message arrived.
    Message(Message),
    /// The connection has moved to its WebSocket.
    Upgraded,
}

/// How to close.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Close {
    /// When everything in the outbox has been sent.
    AfterFlush,
    /// At once; the caller drops what is in the outbox.
    Now,
}

/// Two polls, or two posts, at the same time; the connection has been closed for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the client sent two requests of a kind at once")]
pub struct Overlap;

/// Where messages travel.
#[derive(Clone, Copy, Debug)]
enum Route {
    Polling,
    /// A WebSocket is being probed; messages still go through polling.
    Probing {
        deadline: Instant,
        /// Server: `2probe` has come. Only then `5` may follow, and pending polls are released.
        probed: bool,
    },
    /// Client: the probe was answered, and the last poll and post are coming to their ends.
    Draining {
        deadline: Instant,
    },
    WebSocket,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Open,
    Closing {
        reason: CloseReason,
        deadline: Instant,
        /// The poll that waits was there before the close: it gets `1` alone. A later one gets `6` before it, as
        /// from the official server.
        prompt: bool,
    },
    Closed(CloseReason),
}

#[derive(Clone, Copy, Debug)]
enum Heartbeat {
    PingAt(Instant),
    ExpectBy(Instant),
}

/// What takes packets out over polling: the server's is a GET to be answered, the client's a POST to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Carrier {
    /// Server: no GET waits. Client: a POST is on its way.
    Absent,
    Ready,
    /// Has been given its first packet.
    Loading,
}

/// What a probe says. Kept as small as this because most connections are idle.
#[derive(Clone, Copy, Debug)]
enum Signal {
    ProbePing,
    ProbePong,
    Upgrade,
}

impl From<Signal> for Transmit<'_> {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::ProbePing => Packet::ProbePing.into(),
            Signal::ProbePong => Packet::ProbePong.into(),
            Signal::Upgrade => Packet::Upgrade.into(),
        }
    }
}

/// How polling ends: the peer is told, or only its poll released.
#[derive(Clone, Copy, Debug)]
enum Farewell {
    Close,
    Noop,
}

impl From<Farewell> for Transmit<'_> {
    fn from(farewell: Farewell) -> Self {
        match farewell {
            Farewell::Close => Packet::Close.into(),
            Farewell::Noop => Packet::Noop.into(),
        }
    }
}

/// A packet to be sent, and whether the transport may compress it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transmit<'a> {
    /// The packet.
    pub packet: PacketCow<'a>,
    /// Whether the sender wants it compressed where the transport can.
    pub compress: bool,
}

impl From<Packet> for Transmit<'_> {
    fn from(packet: Packet) -> Self {
        Self { packet: packet.into(), compress: false }
    }
}

impl State {
    /// Makes the state of a connection that has just been opened over `transport`.
    pub fn new(role: Role, transport: Transport, timing: impl Into<Arc<Timing>>, now: Instant) -> Self {
        let timing = timing.into();
        Self {
            role,
            route: match transport {
                Transport::Polling => Route::Polling,
                Transport::WebSocket => Route::WebSocket,
            },
            phase: Phase::Open,
            heartbeat: match role {
                Role::Client => Heartbeat::ExpectBy(now + timing.ping_interval + timing.ping_timeout),
                Role::Server => Heartbeat::PingAt(now + timing.ping_interval),
            },
            timing,
            beat_due: false,
            signal: None,
            carrier: match role {
                Role::Client => Carrier::Ready,
                Role::Server => Carrier::Absent,
            },
            polling: false,
            farewell: None,
            websocket_farewell: false,
        }
    }

    /// Takes a packet that came over `via`.
    pub fn handle_packet(&mut self, packet: Packet, via: Transport, now: Instant) -> Option<Event> {
        if matches!(self.phase, Phase::Closed(_)) {
            return None;
        }
        match (via, self.route) {
            (Transport::WebSocket, Route::WebSocket) => self.handle_on_route(packet, now),
            (Transport::WebSocket, _) => self.handle_probe(&packet),
            // What a client posts after its own `5` has no place in the order of messages.
            (Transport::Polling, Route::WebSocket) if self.role == Role::Server => None,
            (Transport::Polling, _) => {
                let remote_close = packet == Packet::Close;
                let event = self.handle_on_route(packet, now);
                if remote_close {
                    // Who has said `1` needs no other in answer; a client's poll is only released.
                    let release = (self.role == Role::Server).then_some(Farewell::Noop);
                    self.farewell = self.farewell.and(release);
                }
                event
            }
        }
    }

    /// Whether a message that comes over `via` now is one for the application, as [`handle_packet`](Self::handle_packet)
    /// would say: for who has not made a packet of it.
    pub fn delivers(&self, via: Transport) -> bool {
        via == self.transport() && matches!(self.phase, Phase::Open)
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) for the WebSocket would return nothing but messages now: for who
    /// takes many of them from the outbox together.
    pub fn streams_messages(&self) -> bool {
        self.delivers(Transport::WebSocket) && !self.beat_due && self.signal.is_none()
    }

    fn handle_on_route(&mut self, packet: Packet, now: Instant) -> Option<Event> {
        match (packet, self.role) {
            (Packet::Message(message), _) => {
                // Whoever closes has said that it listens no more.
                return matches!(self.phase, Phase::Open).then_some(Event::Message(message));
            }
            (Packet::Pong | Packet::ProbePong, Role::Server) => {
                self.beat_due = false;
                self.heartbeat = Heartbeat::PingAt(now + self.timing.ping_interval);
            }
            (Packet::Ping | Packet::ProbePing, Role::Client) => {
                self.beat_due = true;
                self.heartbeat =
                    Heartbeat::ExpectBy(now + self.timing.ping_interval + self.timing.ping_timeout);
            }
            (Packet::Ping | Packet::ProbePing, Role::Server)
            | (Packet::Pong | Packet::ProbePong, Role::Client) => {
                self.finish(CloseReason::TransportError("invalid heartbeat direction"));
            }
            (Packet::Noop, _) => {}
            (Packet::Close, _) => self.finish(CloseReason::TransportClose),
            (Packet::Open(_), _) => self.finish(CloseReason::ParseError("open packet after the first")),
            (Packet::Upgrade, _) => {
                self.finish(CloseReason::ParseError("upgrade packet outside of an upgrade"));
            }
        }
        None
    }

    /// Takes a packet that came over a WebSocket which messages do not use yet.
    fn handle_probe(&mut self, packet: &Packet) -> Option<Event> {
        match (packet, self.role, &mut self.route) {
            (Packet::ProbePing, Role::Server, Route::Probing { probed, .. }) => {
                *probed = true;
                self.signal = Some(Signal::ProbePong);
            }
            (Packet::Upgrade, Role::Server, Route::Probing { probed: true, .. }) => {
                self.signal = None;
                self.route = Route::WebSocket;
                return Some(Event::Upgraded);
            }
            (Packet::ProbePong, Role::Client, Route::Probing { deadline, .. }) => {
                self.route = Route::Draining { deadline: *deadline };
                return self.switch_when_drained();
            }
            _ => self.abandon_probe(),
        }
        None
    }

    /// A WebSocket for this connection is open. Returns whether it may be probed; otherwise the caller closes it.
    #[must_use]
    pub fn handle_websocket_open(&mut self, now: Instant) -> bool {
        let welcome = matches!((self.route, self.phase), (Route::Polling, Phase::Open));
        if welcome {
            self.route = Route::Probing { deadline: now + self.timing.upgrade_timeout, probed: false };
            self.signal = (self.role == Role::Client).then_some(Signal::ProbePing);
        }
        welcome
    }

    /// Server: a GET waits for an answer, which [`poll_transmit`](Self::poll_transmit) gives.
    ///
    /// # Errors
    /// Another one waits already. The connection is closed for it, and the first GET is told so.
    pub fn handle_poll(&mut self) -> Result<(), Overlap> {
        if self.carrier != Carrier::Absent {
            self.handle_overlap("overlap from client");
            return Err(Overlap);
        }
        self.carrier = Carrier::Ready;
        Ok(())
    }

    /// Server: the client broke the rule of one request of a kind at a time.
    pub fn handle_overlap(&mut self, detail: &'static str) {
        self.finish(CloseReason::TransportError(detail));
    }

    /// Client: whether to send a GET now; if so, it counts as sent.
    #[must_use]
    pub fn poll_request(&mut self) -> bool {
        let polls = matches!(self.route, Route::Polling | Route::Probing { .. })
            && !matches!(self.phase, Phase::Closed(_))
            && !self.polling;
        self.polling |= polls;
        polls
    }

    /// Client: the GET has been answered, and the packets of the answer were handled.
    pub fn handle_poll_end(&mut self) -> Option<Event> {
        self.polling = false;
        self.switch_when_drained()
    }

    /// Client: the POST has been answered.
    pub fn handle_post_end(&mut self) -> Option<Event> {
        self.carrier = Carrier::Ready;
        self.switch_when_drained()
    }

    /// A transport failed or was closed by the peer: for polling, a pending GET was aborted.
    pub fn handle_transport_lost(&mut self, via: Transport, reason: CloseReason) {
        match (via, self.route) {
            (Transport::WebSocket, Route::Polling) => {}
            (Transport::WebSocket, Route::Probing { .. } | Route::Draining { .. }) => self.abandon_probe(),
            (Transport::WebSocket, Route::WebSocket) => {
                self.finish(reason);
                self.websocket_farewell = false;
            }
            (Transport::Polling, Route::WebSocket) => self.carrier = Carrier::Absent,
            (Transport::Polling, _) => {
                self.carrier = Carrier::Absent;
                self.finish(reason);
            }
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.route {
            Route::Probing { deadline, .. } | Route::Draining { deadline } if deadline <= now => {
                self.abandon_probe();
            }
            _ => {}
        }
        match self.phase {
            Phase::Closing { reason, deadline, .. } if deadline <= now => self.finish(reason),
            _ => {}
        }
        match self.heartbeat {
            Heartbeat::PingAt(at) if at <= now => {
                self.beat_due = true;
                self.heartbeat = Heartbeat::ExpectBy(now + self.timing.ping_timeout);
            }
            Heartbeat::ExpectBy(at) if at <= now => self.finish(CloseReason::PingTimeout),
            _ => {}
        }
    }

    /// Gives the peer another `ping_timeout` to be heard: it may have answered, but this end has not been reading.
    pub fn defer_pong(&mut self, now: Instant) {
        if let Heartbeat::ExpectBy(at) = &mut self.heartbeat {
            *at = now + self.timing.ping_timeout;
        }
    }

    /// Whether the peer's time to be heard ends at `now` or has ended.
    pub fn is_pong_overdue(&self, now: Instant) -> bool {
        matches!(self.heartbeat, Heartbeat::ExpectBy(at) if at <= now)
    }

    /// Ends the connection from this side; `reason` is what [`closed`](Self::closed) will say.
    pub fn close(&mut self, how: Close, reason: CloseReason, now: Instant) {
        match (how, self.phase) {
            (Close::Now, _) => self.finish(reason),
            (Close::AfterFlush, Phase::Open) => {
                self.phase = Phase::Closing {
                    reason,
                    deadline: now + self.timing.close_timeout,
                    prompt: self.carrier == Carrier::Ready,
                };
            }
            (Close::AfterFlush, _) => {}
        }
    }

    /// Ends the connection because the peer sent what is no packet.
    pub fn handle_parse_error(&mut self, via: Transport, detail: &'static str) {
        match (via, self.route) {
            (Transport::WebSocket, Route::Probing { .. } | Route::Draining { .. }) => self.abandon_probe(),
            _ => self.finish(CloseReason::ParseError(detail)),
        }
    }

    /// Returns the next packet for `via`. Call it while that transport can take one, until it returns `None`.
    ///
    /// Over polling it returns packets only while something can carry them; the `None` after a packet means that
    /// the server's answer, or the client's POST, is complete and leaves.
    pub fn poll_transmit<'a>(&mut self, via: Transport, outbox: &'a mut Outbox) -> Option<Transmit<'a>> {
        match via {
            Transport::WebSocket => self.next_on_websocket(outbox),
            Transport::Polling if self.carrier == Carrier::Absent => None,
            Transport::Polling => {
                let next = match self.role {
                    Role::Client => self.next_for_post(outbox),
                    Role::Server => self.next_for_poll(outbox),
                };
                if next.is_some() {
                    self.carrier = Carrier::Loading;
                } else if self.carrier == Carrier::Loading {
                    self.carrier = Carrier::Absent;
                    if let Phase::Closing { prompt, .. } = &mut self.phase {
                        *prompt = false;
                    }
                }
                next
            }
        }
    }

    fn next_on_websocket<'a>(&mut self, outbox: &'a mut Outbox) -> Option<Transmit<'a>> {
        if let Some(close) = self.next_websocket_farewell() {
            return Some(close);
        }
        if let Some(signal) = self.signal.take() {
            return Some(signal.into());
        }
        match (self.route, self.phase) {
            (Route::WebSocket, Phase::Open) => self.next_beat().or_else(|| next_message(outbox)),
            (Route::WebSocket, Phase::Closing { reason, .. }) => {
                self.next_beat().or_else(|| next_message(outbox)).or_else(|| {
                    self.finish(reason);
                    self.next_websocket_farewell()
                })
            }
            _ => None,
        }
    }

    /// Server: fills the answer of a GET.
    fn next_for_poll<'a>(&mut self, outbox: &'a mut Outbox) -> Option<Transmit<'a>> {
        if let Some(farewell) = self.farewell.take() {
            return Some(farewell.into());
        }
        let first = self.carrier == Carrier::Ready;
        match (self.route, self.phase) {
            (_, Phase::Closed(_)) => None,
            // Messages travel elsewhere by now; the GET is only released.
            (Route::WebSocket, _) => first.then(|| Packet::Noop.into()),
            (_, Phase::Closing { reason, prompt, .. }) => {
                self.next_beat().or_else(|| next_message(outbox)).or_else(|| {
                    first.then(|| {
                        self.finish(reason);
                        let first = if prompt { self.farewell.take() } else { None };
                        first.unwrap_or(Farewell::Noop).into()
                    })
                })
            }
            (Route::Probing { probed: true, .. }, Phase::Open) => self
                .next_beat()
                .or_else(|| next_message(outbox))
                // The client waits for its poll to end before it goes on with the upgrade.
                .or_else(|| first.then(|| Packet::Noop.into())),
            (_, Phase::Open) => self.next_beat().or_else(|| next_message(outbox)),
        }
    }

    /// Client: fills the body of a POST.
    fn next_for_post<'a>(&mut self, outbox: &'a mut Outbox) -> Option<Transmit<'a>> {
        if let Some(farewell) = self.farewell.take() {
            return Some(farewell.into());
        }
        match (self.route, self.phase) {
            (Route::Draining { .. } | Route::WebSocket, _) | (_, Phase::Closed(_)) => None,
            (_, Phase::Open) => self.next_beat().or_else(|| next_message(outbox)),
            (_, Phase::Closing { reason, .. }) => {
                self.next_beat().or_else(|| next_message(outbox)).or_else(|| {
                    self.finish(reason);
                    self.farewell.take().map(Transmit::from)
                })
            }
        }
    }

    fn next_websocket_farewell(&mut self) -> Option<Transmit<'static>> {
        std::mem::take(&mut self.websocket_farewell).then(|| Packet::Close.into())
    }

    fn next_beat(&mut self) -> Option<Transmit<'static>> {
        std::mem::take(&mut self.beat_due).then(|| match self.role {
            Role::Client => Packet::Pong.into(),
            Role::Server => Packet::Ping.into(),
        })
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next; `None` when the connection has ended.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (Heartbeat::PingAt(mut at) | Heartbeat::ExpectBy(mut at)) = self.heartbeat;
        match self.phase {
            Phase::Closed(_) => return None,
            Phase::Closing { deadline, .. } => at = at.min(deadline),
            Phase::Open => {}
        }
        if let Route::Probing { deadline, .. } | Route::Draining { deadline } = self.route {
            at = at.min(deadline);
        }
        Some(at)
    }

    /// Why the connection ended, once it has.
    pub fn closed(&self) -> Option<CloseReason> {
        match self.phase {
            Phase::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether messages to be sent are still taken.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Where messages travel now.
    pub fn transport(&self) -> Transport {
        match self.route {
            Route::WebSocket => Transport::WebSocket,
            _ => Transport::Polling,
        }
    }

    /// Whether a WebSocket belongs to the connection, be it only for a probe. Where this is false and one is open,
    /// the probe has failed, and the caller closes it.
    pub fn uses_websocket(&self) -> bool {
        !matches!(self.route, Route::Polling)
    }

    /// Whether a packet could leave over polling at once.
    pub fn can_poll_transmit(&self) -> bool {
        self.carrier == Carrier::Ready && self.transport() == Transport::Polling
    }

    /// Client: sends `5` when nothing is on its way over polling any more, so that messages keep their order.
    fn switch_when_drained(&mut self) -> Option<Event> {
        let drained = matches!(self.route, Route::Draining { .. })
            && !self.polling
            && self.carrier == Carrier::Ready
            && !matches!(self.phase, Phase::Closed(_));
        drained.then(|| {
            self.route = Route::WebSocket;
            self.signal = Some(Signal::Upgrade);
            Event::Upgraded
        })
    }

    fn abandon_probe(&mut self) {
        self.route = Route::Polling;
        self.signal = None;
    }

    fn finish(&mut self, reason: CloseReason) {
        let reason = match self.phase {
            Phase::Closed(_) => return,
            // This end had decided first; how the rest went does not change why.
            Phase::Closing { reason, .. } => reason,
            Phase::Open => reason,
        };
        self.phase = Phase::Closed(reason);
        self.signal = None;
        // A server has no way to speak without a poll; a client posts when its last post has ended.
        let can_speak = self.carrier != Carrier::Absent || self.role == Role::Client;
        self.farewell = (can_speak && self.transport() == Transport::Polling).then_some(Farewell::Close);
        self.websocket_farewell = self.uses_websocket();
    }
}

fn next_message(outbox: &mut Outbox) -> Option<Transmit<'_>> {
    Some(match outbox.pop()? {
        Departure::Message(Outgoing { message, compress }) => {
            Transmit { packet: Packet::Message(message).into(), compress }
        }
        Departure::Text(text) => Transmit { packet: PacketCow::Text(text), compress: true },
    })
}
