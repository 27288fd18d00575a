//! A client and a server in virtual time, over a network that delays, batches, and fails.
//!
//! The [`World`] runs two [`State`]s of Engine.IO; what their messages mean is the matter of an [`Application`].
//! Every run is made from a seed, which a failure prints. `SIMULATION_SEED=n` repeats and tells one,
//! `SIMULATION_RUNS=n` sets how many there are.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::{Duration, Instant},
};

use engineio::{
    CloseReason, Outbox, Transport,
    connection::{Event, Role, State, Timing},
    packet::Packet,
};

pub(crate) use application::{Application, Port};
pub(crate) use seeds::{Rng, run_seeds};

use application::Wake;

mod application;
mod ending;
mod fate;
mod seeds;

const TIMING: Timing = Timing {
    ping_interval: Duration::from_millis(2_500),
    ping_timeout: Duration::from_millis(2_000),
    upgrade_timeout: Duration::from_millis(1_000),
    close_timeout: Duration::from_millis(3_000),
};

pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;

pub(crate) fn name(side: usize) -> &'static str {
    if side == CLIENT { "the client" } else { "the server" }
}

pub(crate) struct End {
    pub(crate) state: State,
    pub(crate) outbox: Outbox,
    /// Whether this end holds an open WebSocket.
    websocket: bool,
    /// Nothing arrives on a WebSocket before what was sent earlier.
    websocket_clock: Instant,
    /// Whether the application knows that this is the end.
    mourned: bool,
}

/// What is on its way, or to be done, at a certain time.
#[derive(Clone, Debug)]
enum Step {
    Act,
    /// An end looks at what it has to send. Delayed at times, so that packets leave in batches.
    Pump(usize),
    Poll,
    /// `None`: the server refuses.
    PollAnswer(Option<Vec<Packet>>),
    Post(Vec<Packet>),
    PostAnswer(bool),
    OpenWebSocketAtServer,
    OpenWebSocketAtClient,
    Frame(usize, Packet),
    WebSocketEnds(usize),
    Wake(Wake),
}

pub(crate) struct World<A> {
    pub(crate) application: A,
    rng: Rng,
    now: Instant,
    pub(crate) begin: Instant,
    pub(crate) ends: [End; 2],
    agenda: BinaryHeap<Reverse<(Instant, u64)>>,
    steps: Vec<Option<Step>>,
    /// Longest delay of the network, in milliseconds.
    delay: u64,
    pub(crate) actions_left: u32,
    opening: bool,
    /// Nothing arrives any more.
    silent: bool,
    /// Polls that wait at the server: what the shell around the state would hold.
    polls: VecDeque<()>,
    pub(crate) faults: Vec<&'static str>,
    pub(crate) closes: [bool; 2],
    cut_short: bool,
    /// What the application wants to be woken for.
    wakes: Vec<Wake>,
    /// Whether every step is printed.
    pub(crate) told: bool,
}

impl<A: Application> World<A> {
    pub(crate) fn new(seed: u64, application: A) -> Self {
        let mut rng = Rng::new(seed);
        let begin = Instant::now();
        let transport = if rng.one_in(5) { Transport::WebSocket } else { Transport::Polling };
        let limit = [200, 2_000, usize::MAX][rng.below(3) as usize];
        let end = |role| End {
            state: State::new(role, transport, TIMING, begin),
            outbox: Outbox::new(limit),
            websocket: transport == Transport::WebSocket,
            websocket_clock: begin,
            mourned: false,
        };
        let delay = [1, 20, 300][rng.below(3) as usize];
        let actions_left = 3 + rng.below(30) as u32;
        let mut world = Self {
            application,
            now: begin,
            begin,
            ends: [end(Role::Client), end(Role::Server)],
            agenda: BinaryHeap::new(),
            steps: Vec::new(),
            delay,
            actions_left,
            opening: false,
            silent: false,
            polls: VecDeque::new(),
            faults: Vec::new(),
            closes: [false; 2],
            cut_short: false,
            wakes: Vec::new(),
            told: false,
            rng,
        };
        world.plan(Duration::ZERO, Step::Act);
        world.plan(Duration::ZERO, Step::Pump(CLIENT));
        world
    }

    fn plan(&mut self, after: Duration, step: Step) {
        self.plan_at(self.now + after, step);
    }

    fn plan_at(&mut self, at: Instant, step: Step) {
        self.agenda.push(Reverse((at, self.steps.len() as u64)));
        self.steps.push(Some(step));
    }

    fn travel(&mut self, step: Step) {
        let delay = Duration::from_micros(self.rng.below(self.delay * 1_000));
        self.plan(delay, step);
    }

    /// Puts something behind everything that went to `to` on the WebSocket before.
    fn travel_on_websocket(&mut self, to: usize, step: Step) {
        let delay = Duration::from_micros(self.rng.below(self.delay * 1_000));
        let at = (self.now + delay).max(self.ends[1 - to].websocket_clock);
        self.ends[1 - to].websocket_clock = at;
        self.plan_at(at, step);
    }

    /// Runs to the end of what can happen.
    pub(crate) fn run(&mut self) {
        let mut quiet_at = None;
        for _ in 0..20_000 {
            if self.actions_left == 0 && quiet_at.is_none() {
                // Long enough for every deadline to come, and for heartbeats to prove that the ends are alive.
                quiet_at =
                    Some(self.now + 3 * (TIMING.ping_interval + TIMING.ping_timeout + TIMING.close_timeout));
            }
            if !self.step(quiet_at) {
                return;
            }
        }
        panic!("the run does not come to rest");
    }

    /// Does what is next; returns whether there was anything, not after `end`.
    pub(crate) fn step(&mut self, end: Option<Instant>) -> bool {
        let timer = self.ends.iter().filter_map(|end| end.state.poll_timeout()).min();
        let planned = self.agenda.peek().map(|Reverse((at, _))| *at);
        let Some(next) = timer.into_iter().chain(planned).min() else { return false };
        if end.is_some_and(|end| next > end) {
            return false;
        }
        self.now = next;
        if timer == Some(next) {
            self.fire_timers();
        } else if let Some(Reverse((_, index))) = self.agenda.pop() {
            let step = self.steps[index as usize].take().expect("a step is taken once");
            self.take(step);
        }
        for side in [CLIENT, SERVER] {
            if self.gone(side) && !std::mem::replace(&mut self.ends[side].mourned, true) {
                self.application.on_close(side);
            }
        }
        true
    }

    fn fire_timers(&mut self) {
        for side in [CLIENT, SERVER] {
            if self.ends[side].state.poll_timeout() == Some(self.now) {
                let probing = self.ends[side].state.uses_websocket();
                self.ends[side].state.handle_timeout(self.now);
                if probing && !self.ends[side].state.uses_websocket() {
                    // The `5` of the client may be on its way just then; the protocol has no cure for that.
                    self.faults.push("upgrade timeout");
                }
                let next = self.ends[side].state.poll_timeout();
                assert!(next.is_none_or(|next| next > self.now), "a timer that fired is due again");
                self.pump(side);
            }
        }
    }

    fn take(&mut self, step: Step) {
        if self.told {
            println!("{:?} {step:?}", self.now - self.begin);
        }
        let lost = CloseReason::TransportError("request failed");
        if self.silent && !matches!(step, Step::Act | Step::Pump(_) | Step::Wake(_)) {
            return;
        }
        match step {
            Step::Act => self.act(),
            Step::Pump(side) => self.pump(side),
            Step::Wake(Wake { side, token }) => {
                self.application(side, |application, port| application.on_wake(token, port));
                self.pump_soon(side);
            }
            Step::Poll if self.gone(SERVER) => self.travel(Step::PollAnswer(None)),
            Step::Poll => match self.ends[SERVER].state.handle_poll() {
                Ok(()) => {
                    self.polls.push_back(());
                    self.pump_soon(SERVER);
                }
                Err(_) => {
                    self.travel(Step::PollAnswer(None));
                    self.pump(SERVER);
                }
            },
            Step::PollAnswer(Some(packets)) => {
                for packet in packets {
                    self.packet(CLIENT, packet, Transport::Polling);
                }
                let event = self.ends[CLIENT].state.handle_poll_end();
                self.event(CLIENT, event);
                self.pump_soon(CLIENT);
            }
            Step::PollAnswer(None) | Step::PostAnswer(false) => {
                self.ends[CLIENT].state.handle_transport_lost(Transport::Polling, lost);
                self.pump(CLIENT);
            }
            Step::Post(_) if self.gone(SERVER) => self.travel(Step::PostAnswer(false)),
            Step::Post(packets) => {
                assert_eq!(
                    self.ends[SERVER].state.transport(),
                    Transport::Polling,
                    "a post after the switch"
                );
                for packet in packets {
                    self.packet(SERVER, packet, Transport::Polling);
                }
                self.travel(Step::PostAnswer(true));
                self.pump_soon(SERVER);
            }
            Step::PostAnswer(true) => {
                let event = self.ends[CLIENT].state.handle_post_end();
                self.event(CLIENT, event);
                self.pump_soon(CLIENT);
            }
            Step::OpenWebSocketAtServer => {
                let welcome = !self.gone(SERVER) && self.ends[SERVER].state.handle_websocket_open(self.now);
                self.ends[SERVER].websocket = welcome;
                if welcome {
                    self.travel_on_websocket(CLIENT, Step::OpenWebSocketAtClient);
                } else {
                    self.opening = false;
                }
            }
            Step::OpenWebSocketAtClient => {
                self.opening = false;
                let welcome = self.ends[CLIENT].state.handle_websocket_open(self.now);
                self.ends[CLIENT].websocket = welcome;
                if !welcome {
                    self.travel_on_websocket(SERVER, Step::WebSocketEnds(SERVER));
                }
                self.pump(CLIENT);
            }
            Step::Frame(side, packet) if self.ends[side].websocket => {
                self.packet(side, packet, Transport::WebSocket);
                self.pump_soon(side);
            }
            Step::WebSocketEnds(side) if self.ends[side].websocket => {
                self.ends[side].websocket = false;
                self.opening = false;
                let reason = CloseReason::TransportClose;
                self.ends[side].state.handle_transport_lost(Transport::WebSocket, reason);
                self.pump(side);
            }
            Step::Frame(..) | Step::WebSocketEnds(_) => {}
        }
    }

    fn packet(&mut self, side: usize, packet: Packet, via: Transport) {
        let state = &mut self.ends[side].state;
        let delivers = matches!(packet, Packet::Message(_)).then(|| state.delivers(via));
        let event = state.handle_packet(packet, via, self.now);
        if let Some(delivers) = delivers {
            assert_eq!(delivers, matches!(event, Some(Event::Message(_))), "whether a message is delivered");
        }
        self.event(side, event);
    }

    fn event(&mut self, side: usize, event: Option<Event>) {
        if let Some(Event::Message(message)) = event {
            assert!(self.ends[side].state.is_open(), "a message after the close of {}", name(side));
            self.application(side, |application, port| application.on_message(message, port));
        }
    }

    /// Lets the program at one end do something.
    fn application(&mut self, side: usize, run: impl FnOnce(&mut A, &mut Port<'_>)) {
        let Self { application, rng, ends, wakes, .. } = self;
        run(application, &mut Port { side, rng, end: &mut ends[side], wakes });
        for wake in std::mem::take(&mut self.wakes) {
            let after = Duration::from_micros(self.rng.below(self.delay * 3_000));
            self.plan(after, Step::Wake(wake));
        }
    }

    fn pump_soon(&mut self, side: usize) {
        if self.rng.one_in(3) {
            self.travel(Step::Pump(side));
        } else {
            self.pump(side);
        }
    }

    /// What the code around a state does after each input.
    fn pump(&mut self, side: usize) {
        let peer = 1 - side;
        while self.ends[side].websocket {
            let end = &mut self.ends[side];
            let streams = end.state.streams_messages();
            let next = end
                .state
                .poll_transmit(Transport::WebSocket, &mut end.outbox)
                .map(|transmit| transmit.packet.into_owned());
            assert!(!streams || matches!(next, None | Some(Packet::Message(_))), "{next:?} before messages");
            match next {
                None => break,
                Some(Packet::Close) => {
                    self.ends[side].websocket = false;
                    self.travel_on_websocket(peer, Step::WebSocketEnds(peer));
                }
                Some(packet) => self.travel_on_websocket(peer, Step::Frame(peer, packet)),
            }
        }
        if self.ends[side].websocket && !self.ends[side].state.uses_websocket() {
            self.ends[side].websocket = false;
            self.travel_on_websocket(peer, Step::WebSocketEnds(peer));
        }
        let end = &mut self.ends[side];
        let mut packets = Vec::new();
        while let Some(transmit) = end.state.poll_transmit(Transport::Polling, &mut end.outbox) {
            packets.push(transmit.packet.into_owned());
        }
        if !packets.is_empty() {
            if side == CLIENT {
                self.travel(Step::Post(packets));
            } else if self.polls.pop_front().is_some() {
                self.travel(Step::PollAnswer(Some(packets)));
            }
        }
        if side == CLIENT && self.ends[CLIENT].state.poll_request() {
            self.travel(Step::Poll);
        }
    }

    /// Whether an end is closed and has said so: its place in the table is empty.
    pub(crate) fn gone(&self, side: usize) -> bool {
        self.ends[side].state.closed().is_some()
    }
}
