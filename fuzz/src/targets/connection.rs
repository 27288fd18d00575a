use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Unstructured};
use bytestring::ByteString;
use engineio::{
    CloseReason, Message, Outbox, Transport,
    connection::{Close, Event, Role, State, Timing},
    packet::Packet,
};

const TIMING: Timing = Timing {
    ping_interval: Duration::from_millis(2_500),
    ping_timeout: Duration::from_millis(2_000),
    upgrade_timeout: Duration::from_millis(1_000),
    close_timeout: Duration::from_millis(3_000),
};

/// A client and a server, and a network and peers that do what they like: messages arrive in order, once and from
/// somebody; what has ended says no more than good-bye; and where nobody misbehaved nothing is lost.
pub fn connection(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(transport) = input.arbitrary().map(choose_transport) else { return };
    let mut world = World::new(transport);
    while !input.is_empty() {
        let Ok(operation) = input.arbitrary() else { break };
        world.apply(operation);
    }
    world.settle();
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Operation {
    AbortPoll,
    Close {
        side: Side,
        now: bool,
    },
    Deliver(Lane),
    /// The peer of `to` sends what it should not.
    Forge {
        to: Side,
        over_websocket: bool,
        packet: Forged,
    },
    ForgePoll,
    Garbage {
        to: Side,
        over_websocket: bool,
    },
    LoseWebSocket,
    OpenWebSocket,
    Pump(Side),
    Send {
        side: Side,
        count: u8,
    },
    Wait {
        milliseconds: u16,
        defers_pong: bool,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Client,
    Server,
}

/// What is on its way arrives in order on each of these.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Lane {
    Answer,
    Frame(Side),
    Poll,
    Post,
    PostAnswer,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Forged {
    Close,
    Message,
    Noop,
    Open,
    Ping,
    Pong,
    ProbePing,
    ProbePong,
    Upgrade,
}

impl From<Forged> for Packet {
    fn from(forged: Forged) -> Self {
        match forged {
            Forged::Close => Self::Close,
            Forged::Message => Self::Message(FORGED.into()),
            Forged::Noop => Self::Noop,
            Forged::Open => Self::Open("{}".into()),
            Forged::Ping => Self::Ping,
            Forged::Pong => Self::Pong,
            Forged::ProbePing => Self::ProbePing,
            Forged::ProbePong => Self::ProbePong,
            Forged::Upgrade => Self::Upgrade,
        }
    }
}

const FORGED: ByteString = ByteString::from_static("forged");

struct End {
    state: State,
    outbox: Outbox,
    /// How many numbered messages the outbox has taken.
    sent: u32,
    /// The least number that may come next.
    expected: u32,
    websocket: bool,
    /// How often each transport took the last packet.
    farewells: [u8; 2],
    closed: Option<CloseReason>,
}

enum Frame {
    End,
    Opened,
    Packet(Packet),
}

struct World {
    now: Instant,
    ends: [End; 2],
    /// Whether neither the peers nor the clock did what costs messages.
    honest: bool,
    polls: usize,
    /// A GET that the server holds, and whether it is the client's own.
    waiting: Option<bool>,
    /// `None`: refused.
    answers: VecDeque<Option<Vec<Packet>>>,
    posts: VecDeque<Vec<Packet>>,
    post_answers: VecDeque<bool>,
    frames: [VecDeque<Frame>; 2],
}

impl World {
    fn new(transport: Transport) -> Self {
        let now = Instant::now();
        let end = |role| End {
            state: State::new(role, transport, TIMING, now),
            outbox: Outbox::new(500),
            sent: 0,
            expected: 0,
            websocket: transport == Transport::WebSocket,
            farewells: [0; 2],
            closed: None,
        };
        Self {
            now,
            ends: [end(Role::Client), end(Role::Server)],
            honest: true,
            polls: 0,
            waiting: None,
            answers: VecDeque::new(),
            posts: VecDeque::new(),
            post_answers: VecDeque::new(),
            frames: [VecDeque::new(), VecDeque::new()],
        }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::AbortPoll => {
                if let Some(genuine) = self.waiting.take() {
                    self.state(Side::Server).handle_transport_lost(Transport::Polling, LOST);
                    self.answer(genuine, None);
                }
            }
            Operation::Close { side, now } => {
                let how = if now { Close::Now } else { Close::AfterFlush };
                let (at, end) = (self.now, self.end(side));
                if now {
                    end.outbox.clear();
                }
                end.state.close(how, CloseReason::ForcedClose, at);
            }
            Operation::Deliver(lane) => {
                self.deliver(lane);
            }
            Operation::Forge { to, over_websocket, packet } => {
                if let Some(via) = self.way_to(to, over_websocket) {
                    self.honest = false;
                    self.packet(to, packet.into(), via);
                }
            }
            Operation::ForgePoll => {
                self.honest = false;
                self.poll(false);
            }
            Operation::Garbage { to, over_websocket } => {
                if let Some(via) = self.way_to(to, over_websocket) {
                    self.honest = false;
                    self.state(to).handle_parse_error(via, "garbage");
                }
            }
            Operation::LoseWebSocket => self.lose_websocket(),
            Operation::OpenWebSocket => self.open_websocket(),
            Operation::Pump(side) => self.pump(side),
            Operation::Send { side, count } => {
                let end = self.end(side);
                for _ in 0..count % 8 {
                    let message = Message::from(end.sent.to_string());
                    if end.state.is_open() && end.outbox.push_all([message.into()]).is_ok() {
                        end.sent += 1;
                    }
                }
            }
            Operation::Wait { milliseconds, defers_pong } => {
                self.now += Duration::from_millis(milliseconds.into());
                [Side::Client, Side::Server].into_iter().for_each(|side| self.fire(side, defers_pong));
            }
        }
        [Side::Client, Side::Server].into_iter().for_each(|side| self.check(side));
    }

    /// What is never true of an end, whatever happened.
    fn check(&mut self, side: Side) {
        let (now, end) = (self.now, self.end(side));
        if end.closed.is_some() {
            assert_eq!(end.state.closed(), end.closed, "it ends once");
        }
        end.closed = end.state.closed();
        assert_eq!(end.state.poll_timeout().is_none(), end.closed.is_some(), "timers are for the living");
        assert!(end.state.poll_timeout().is_none_or(|at| at > now), "a timer is overdue");
        assert!(!(end.closed.is_some() && end.state.is_open()));
    }

    fn fire(&mut self, side: Side, defers_pong: bool) {
        let (now, end) = (self.now, self.end(side));
        let probing = end.state.uses_websocket();
        if end.state.poll_timeout().is_some_and(|at| at <= now) {
            if defers_pong && end.state.is_pong_overdue(now) {
                end.state.defer_pong(now);
            }
            end.state.handle_timeout(now);
        }
        // The `5` of the client may be on its way just then; the protocol has no cure for that.
        self.honest &= !probing || self.end(side).state.uses_websocket();
    }

    /// Lets everything arrive, and sees that both ends agree.
    fn settle(&mut self) {
        let lanes = [
            Lane::Frame(Side::Client),
            Lane::Frame(Side::Server),
            Lane::Poll,
            Lane::Answer,
            Lane::Post,
            Lane::PostAnswer,
        ];
        for _ in 0..1_000 {
            [Side::Client, Side::Server].into_iter().for_each(|side| self.pump(side));
            let moved = lanes.map(|lane| self.deliver(lane));
            [Side::Client, Side::Server].into_iter().for_each(|side| self.check(side));
            if moved == [false; 6] {
                return self.check_rest();
            }
        }
        panic!("the ends never come to rest");
    }

    fn check_rest(&self) {
        let [client, server] = &self.ends;
        if self.honest && client.closed.is_none() && server.closed.is_none() {
            assert_eq!(
                (client.expected, server.expected),
                (server.sent, client.sent),
                "messages are missing"
            );
            assert_eq!(client.state.transport(), server.state.transport(), "the ends disagree on the route");
        }
    }

    /// Lets the oldest thing on a lane arrive; returns whether there was one.
    fn deliver(&mut self, lane: Lane) -> bool {
        match lane {
            Lane::Answer => self.answers.pop_front().map(|packets| self.take_answer(packets)),
            Lane::Frame(to) => self.frames[to as usize].pop_front().map(|frame| self.take_frame(to, frame)),
            Lane::Poll => self.polls.checked_sub(1).map(|polls| {
                self.polls = polls;
                self.poll(true);
            }),
            Lane::Post => self.posts.pop_front().map(|packets| {
                let fine = self.state(Side::Server).closed().is_none();
                self.post_answers.push_back(fine);
                for packet in packets {
                    self.packet(Side::Server, packet, Transport::Polling);
                }
            }),
            Lane::PostAnswer => self.post_answers.pop_front().map(|fine| {
                let event = if fine { self.state(Side::Client).handle_post_end() } else { None };
                self.event(Side::Client, event);
                if !fine {
                    self.state(Side::Client).handle_transport_lost(Transport::Polling, LOST);
                }
            }),
        }
        .is_some()
    }

    fn poll(&mut self, genuine: bool) {
        if self.state(Side::Server).closed().is_some() || self.state(Side::Server).handle_poll().is_err() {
            self.answer(genuine, None);
        } else {
            assert_eq!(self.waiting, None, "one GET at a time");
            self.waiting = Some(genuine);
        }
    }

    /// What a stranger is answered nobody sees.
    fn answer(&mut self, genuine: bool, packets: Option<Vec<Packet>>) {
        self.answers.extend(genuine.then_some(packets));
    }

    fn take_answer(&mut self, packets: Option<Vec<Packet>>) {
        let Some(packets) = packets else {
            return self.state(Side::Client).handle_transport_lost(Transport::Polling, LOST);
        };
        for packet in packets {
            self.packet(Side::Client, packet, Transport::Polling);
        }
        let event = self.state(Side::Client).handle_poll_end();
        self.event(Side::Client, event);
    }

    fn take_frame(&mut self, to: Side, frame: Frame) {
        match frame {
            Frame::Opened => {
                let now = self.now;
                let welcome = self.state(to).handle_websocket_open(now);
                self.end(to).websocket = welcome;
                if !welcome {
                    self.frames[to.peer() as usize].push_back(Frame::End);
                }
            }
            Frame::End if std::mem::take(&mut self.end(to).websocket) => {
                self.state(to).handle_transport_lost(Transport::WebSocket, CloseReason::TransportClose);
            }
            Frame::Packet(packet) if self.end(to).websocket => self.packet(to, packet, Transport::WebSocket),
            Frame::End | Frame::Packet(_) => {}
        }
    }

    fn open_websocket(&mut self) {
        let now = self.now;
        let possible =
            self.ends.iter().all(|end| !end.websocket) && self.frames.iter().all(VecDeque::is_empty);
        if possible && self.state(Side::Server).handle_websocket_open(now) {
            self.end(Side::Server).websocket = true;
            self.frames[Side::Client as usize].push_back(Frame::Opened);
        }
    }

    fn lose_websocket(&mut self) {
        self.frames = [VecDeque::new(), VecDeque::new()];
        for side in [Side::Client, Side::Server] {
            if std::mem::take(&mut self.end(side).websocket) {
                self.state(side).handle_transport_lost(Transport::WebSocket, CloseReason::TransportClose);
            }
        }
    }

    fn packet(&mut self, to: Side, packet: Packet, via: Transport) {
        let now = self.now;
        let was_closed = self.state(to).closed().is_some();
        let event = self.state(to).handle_packet(packet, via, now);
        assert!(event.is_none() || !was_closed, "{event:?} after the end");
        self.event(to, event);
    }

    fn event(&mut self, side: Side, event: Option<Event>) {
        let Some(Event::Message(Message::Text(text))) = event else { return };
        if text == FORGED {
            assert!(!self.honest, "a message from nowhere");
            return;
        }
        let number: u32 = text.parse().expect("numbers are sent");
        let (sent, expected) = (self.end(side.peer()).sent, self.end(side).expected);
        assert!(number < sent && number >= expected, "{number} comes after {expected} of {sent}");
        assert!(number == expected || !self.honest, "{number} comes instead of {expected}");
        self.end(side).expected = number + 1;
    }

    /// What the code around a state does after each input.
    fn pump(&mut self, side: Side) {
        let to_peer = side.peer() as usize;
        while self.end(side).websocket {
            match self.transmit(side, Transport::WebSocket) {
                None if self.state(side).uses_websocket() => break,
                None | Some(Packet::Close) => {
                    self.end(side).websocket = false;
                    self.frames[to_peer].push_back(Frame::End);
                }
                Some(packet) => self.frames[to_peer].push_back(Frame::Packet(packet)),
            }
        }
        let packets: Vec<_> = std::iter::from_fn(|| self.transmit(side, Transport::Polling)).collect();
        match side {
            Side::Client if !packets.is_empty() => {
                assert!(self.posts.is_empty() && self.post_answers.is_empty(), "one POST at a time");
                self.posts.push_back(packets);
            }
            Side::Server if !packets.is_empty() => {
                let genuine = self.waiting.take().expect("a GET that carries packets");
                self.answer(genuine, Some(packets));
            }
            _ => {}
        }
        if side == Side::Client && self.state(Side::Client).poll_request() {
            assert!(
                self.polls == 0 && self.waiting != Some(true) && self.answers.is_empty(),
                "one GET at a time"
            );
            self.polls = 1;
        }
    }

    fn transmit(&mut self, side: Side, via: Transport) -> Option<Packet> {
        let end = self.end(side);
        let was_closed = end.state.closed().is_some();
        let packet = end.state.poll_transmit(via, &mut end.outbox)?.packet.into_owned();
        if was_closed {
            assert!(matches!(packet, Packet::Close | Packet::Noop), "{packet:?} after the end");
            end.farewells[via as usize] += 1;
            assert!(end.farewells[via as usize] == 1, "a second farewell");
        }
        Some(packet)
    }

    /// How the peer can reach an end now, if it can.
    fn way_to(&mut self, to: Side, over_websocket: bool) -> Option<Transport> {
        let asked = self.polls > 0 || self.waiting == Some(true) || !self.answers.is_empty();
        match to {
            _ if over_websocket => self.end(to).websocket.then_some(Transport::WebSocket),
            Side::Client => asked.then_some(Transport::Polling),
            Side::Server => Some(Transport::Polling),
        }
    }

    fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    fn state(&mut self, side: Side) -> &mut State {
        &mut self.end(side).state
    }
}

impl Side {
    fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

fn choose_transport(websocket: bool) -> Transport {
    if websocket { Transport::WebSocket } else { Transport::Polling }
}

const LOST: CloseReason = CloseReason::TransportError("request failed");
