//! Client and server states against each other, in virtual time, over a network that delays, batches, and fails.
//!
//! Every run is made from a seed, which a failure prints. `SIMULATION_SEED=n` repeats and tells one, `SIMULATION_RUNS=n` sets
//! how many there are.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::{Duration, Instant},
};

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

/// A small generator (`SplitMix64`), so that a seed means the same everywhere.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

struct End {
    state: State,
    outbox: Outbox,
    /// Numbers of the messages that the outbox has taken.
    sent: u32,
    /// Number of the next message to be received.
    received: u32,
    /// Whether this end holds an open WebSocket.
    websocket: bool,
    /// Nothing arrives on a WebSocket before what was sent earlier.
    websocket_clock: Instant,
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
}

struct World {
    rng: Rng,
    now: Instant,
    begin: Instant,
    ends: [End; 2],
    agenda: BinaryHeap<Reverse<(Instant, u64)>>,
    steps: Vec<Option<Step>>,
    /// Longest delay of the network, in milliseconds.
    delay: u64,
    actions_left: u32,
    opening: bool,
    /// Nothing arrives any more.
    silent: bool,
    /// Polls that wait at the server: what the shell around the state would hold.
    polls: VecDeque<()>,
    faults: Vec<&'static str>,
    closes: [bool; 2],
    cut_short: bool,
    /// Whether every step is printed.
    told: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let begin = Instant::now();
        let transport = if rng.one_in(5) { Transport::WebSocket } else { Transport::Polling };
        let limit = [200, 2_000, usize::MAX][rng.below(3) as usize];
        let end = |role| End {
            state: State::new(role, transport, TIMING, begin),
            outbox: Outbox::new(limit),
            sent: 0,
            received: 0,
            websocket: transport == Transport::WebSocket,
            websocket_clock: begin,
        };
        let delay = [1, 20, 300][rng.below(3) as usize];
        let actions_left = 3 + rng.below(30) as u32;
        let mut world = Self {
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

    /// Runs to the end of what can happen; returns the number of steps.
    fn run(&mut self) -> usize {
        let mut quiet_at = None;
        for count in 0..20_000 {
            let timer = self.ends.iter().filter_map(|end| end.state.poll_timeout()).min();
            let planned = self.agenda.peek().map(|Reverse((at, _))| *at);
            if self.actions_left == 0 && quiet_at.is_none() {
                // Long enough for every deadline to come, and for heartbeats to prove that the ends are alive.
                quiet_at =
                    Some(self.now + 3 * (TIMING.ping_interval + TIMING.ping_timeout + TIMING.close_timeout));
            }
            let Some(next) = timer.into_iter().chain(planned).min() else { return count };
            if quiet_at.is_some_and(|at| next > at) {
                return count;
            }
            self.now = next;
            if timer == Some(next) {
                self.fire_timers();
            } else if let Some(Reverse((_, index))) = self.agenda.pop() {
                let step = self.steps[index as usize].take().expect("a step is taken once");
                self.take(step);
            }
            self.check();
        }
        panic!("the run does not come to rest");
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
        if self.silent && !matches!(step, Step::Act | Step::Pump(_)) {
            return;
        }
        match step {
            Step::Act => self.act(),
            Step::Pump(side) => self.pump(side),
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

    /// One thing that an application, a user or fate may do.
    fn act(&mut self) {
        if self.actions_left == 0 {
            return;
        }
        self.actions_left -= 1;
        let side = self.rng.below(2) as usize;
        match self.rng.below(40) {
            0..=23 => {
                let burst = 1 + self.rng.below(4);
                for _ in 0..burst {
                    let end = &mut self.ends[side];
                    let message = Message::from(end.sent.to_string());
                    if end.state.is_open() && end.outbox.push_all([message.into()]).is_ok() {
                        end.sent += 1;
                    }
                }
            }
            24..=31 => self.start_upgrade(),
            32 | 33 => self.close(side, Close::AfterFlush),
            34 => self.close(side, Close::Now),
            35 | 36 => self.lose_websocket(),
            37 if self.rng.one_in(3) => {
                self.faults.push("silence");
                self.silent = true;
            }
            38 if self.rng.one_in(3)
                && !self.gone(SERVER)
                && self.ends[SERVER].state.transport() == Transport::Polling =>
            {
                // A client that polls twice at once.
                self.faults.push("overlap");
                self.take(Step::Poll);
            }
            39 if self.rng.one_in(3) && self.polls.pop_front().is_some() => {
                self.faults.push("aborted poll");
                let lost = CloseReason::TransportError("poll connection closed prematurely");
                self.ends[SERVER].state.handle_transport_lost(Transport::Polling, lost);
                self.take(Step::PollAnswer(None));
            }
            _ => {}
        }
        self.pump_soon(side);
        let pause = Duration::from_micros(self.rng.below(self.delay * 4_000));
        self.plan(pause, Step::Act);
    }

    fn start_upgrade(&mut self) {
        let client = &self.ends[CLIENT];
        let possible = client.state.is_open() && !client.state.uses_websocket() && !client.websocket;
        // The client opens another only when the server has seen the end of the last.
        if possible && !self.opening && !self.ends[SERVER].websocket {
            self.opening = true;
            self.travel(Step::OpenWebSocketAtServer);
        }
    }

    fn close(&mut self, side: usize, how: Close) {
        let end = &mut self.ends[side];
        if how == Close::Now {
            self.cut_short = true;
            end.outbox.clear();
        }
        self.closes[side] |= end.state.closed().is_none();
        end.state.close(how, CloseReason::ForcedClose, self.now);
    }

    fn lose_websocket(&mut self) {
        if self.ends.iter().all(|end| !end.websocket) {
            return;
        }
        self.faults.push("lost WebSocket");
        self.opening = false;
        for side in [CLIENT, SERVER] {
            if std::mem::take(&mut self.ends[side].websocket) {
                let lost = CloseReason::TransportClose;
                self.ends[side].state.handle_transport_lost(Transport::WebSocket, lost);
                self.pump(side);
            }
        }
        for step in &mut self.steps {
            if matches!(step, Some(Step::Frame(..) | Step::WebSocketEnds(_) | Step::OpenWebSocketAtClient)) {
                *step = Some(Step::Frame(CLIENT, Packet::Noop));
            }
        }
    }

    fn packet(&mut self, side: usize, packet: Packet, via: Transport) {
        let event = self.ends[side].state.handle_packet(packet, via, self.now);
        self.event(side, event);
    }

    fn event(&mut self, side: usize, event: Option<Event>) {
        if let Some(Event::Message(message)) = event {
            let end = &mut self.ends[side];
            let number = end.received.to_string();
            assert_eq!(message, Message::from(number), "lost, repeated or out of order at {}", name(side));
            end.received += 1;
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
            match end
                .state
                .poll_transmit(Transport::WebSocket, &mut end.outbox)
                .map(|transmit| transmit.packet)
            {
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
            packets.push(transmit.packet);
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
    fn gone(&self, side: usize) -> bool {
        self.ends[side].state.closed().is_some()
    }

    fn check(&self) {
        for (side, peer) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
            assert!(self.ends[side].received <= self.ends[peer].sent, "a message from nowhere");
        }
    }

    /// What has to hold when nothing more happens.
    fn check_end(&self) {
        let reasons = [CLIENT, SERVER].map(|side| self.ends[side].state.closed());
        match reasons {
            [None, None] => {
                let (client, server) = (&self.ends[CLIENT], &self.ends[SERVER]);
                assert!(!self.closes[0] && !self.closes[1], "a close that never ends");
                assert_eq!(
                    (client.received, server.received),
                    (server.sent, client.sent),
                    "messages are missing"
                );
                assert_eq!(
                    client.state.transport(),
                    server.state.transport(),
                    "the ends disagree on the route"
                );
            }
            [Some(client), Some(server)] => self.check_reasons(client, server),
            _ => panic!("one end has not noticed the end"),
        }
    }

    fn check_reasons(&self, client: CloseReason, server: CloseReason) {
        let forced = CloseReason::ForcedClose;
        let by = [client == forced, server == forced];
        assert!(!by[CLIENT] || self.closes[CLIENT], "the client did not close");
        assert!(!by[SERVER] || self.closes[SERVER], "the server did not close");
        if self.faults.is_empty() {
            assert!(by[CLIENT] || by[SERVER], "an end without a cause");
            for side in [CLIENT, SERVER] {
                let reason = if side == CLIENT { client } else { server };
                // Where both close at once, requests of one may find the other gone.
                let told = matches!(reason, CloseReason::TransportClose)
                    || matches!(reason, CloseReason::TransportError("request failed"))
                    || (reason == CloseReason::PingTimeout && !by[side]);
                assert!(by[side] || told, "{} says {reason}", name(side));
            }
            // One end closed in good order, and the other had not: it has everything.
            for (side, peer) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
                if by[side] && !self.closes[peer] && !self.cut_short && self.ends[side].outbox.is_empty() {
                    assert_eq!(self.ends[peer].received, self.ends[side].sent, "lost in a close after flush");
                }
            }
        }
    }
}

fn name(side: usize) -> &'static str {
    if side == CLIENT { "the client" } else { "the server" }
}

fn simulate(seed: u64, told: bool) -> World {
    let mut world = World::new(seed);
    world.told = told;
    world.run();
    world.check_end();
    world
}

#[test]
fn nothing_is_lost_and_both_ends_agree() {
    if let Ok(seed) = std::env::var("SIMULATION_SEED") {
        simulate(seed.parse().expect("a number"), true);
        return;
    }
    let runs: u64 = std::env::var("SIMULATION_RUNS").map_or(100_000, |runs| runs.parse().expect("a number"));
    let threads = 4;
    let counts = std::thread::scope(|scope| {
        let workers = (0..threads).map(|worker| {
            scope.spawn(move || {
                let mut seen = [0_u64; 4];
                for seed in (worker..runs).step_by(threads as usize) {
                    let world = std::panic::catch_unwind(|| simulate(seed, false))
                        .unwrap_or_else(|_| panic!("seed {seed}: repeat it with SIMULATION_SEED={seed}"));
                    seen[0] += u64::from(world.ends[SERVER].state.transport() == Transport::WebSocket);
                    seen[1] += u64::from(world.gone(SERVER));
                    seen[2] += u64::from(!world.faults.is_empty());
                    seen[3] += u64::from(world.ends[SERVER].received + world.ends[CLIENT].received);
                }
                seen
            })
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().map(|worker| worker.join().expect("a run failed")).fold(
            [0; 4],
            |mut sum, seen| {
                sum.iter_mut().zip(seen).for_each(|(sum, seen)| *sum += seen);
                sum
            },
        )
    });
    // A simulation in which nothing happens proves nothing.
    let [upgraded, closed, faulty, messages] = counts;
    println!(
        "{runs} runs: {upgraded} on a WebSocket, {closed} closed, {faulty} with faults, {messages} messages"
    );
    assert!(upgraded > runs / 4 && closed > runs / 4 && faulty > runs / 20 && messages > runs * 3);
}

#[test]
fn heartbeats_for_a_day() {
    let mut world = World::new(1);
    world.actions_left = 0;
    let end = world.begin + Duration::from_secs(86_400);
    while world.now < end {
        let timer = world.ends.iter().filter_map(|end| end.state.poll_timeout()).min();
        let planned = world.agenda.peek().map(|Reverse((at, _))| *at);
        world.now = timer.into_iter().chain(planned).min().expect("a connection has a timer");
        if timer == Some(world.now) {
            world.fire_timers();
        } else if let Some(Reverse((_, index))) = world.agenda.pop() {
            let step = world.steps[index as usize].take().expect("a step is taken once");
            world.take(step);
        }
    }
    assert_eq!(world.ends.map(|end| end.state.closed()), [None, None]);
}
