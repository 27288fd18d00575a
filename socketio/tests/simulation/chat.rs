//! Two programs that talk over the pure core: what the code around it would do.

use std::collections::BTreeMap;

use engineio::Message;
use serde_json::{Value, json};
use socketio::{
    Arguments, IncomingEvent,
    connection::{Acks, Answer, ClientRole, Connection, Incoming},
    decoder::Decoder,
    packet::{AckId, Encoded, Packet},
};

use crate::{
    history::{Cause, History, Kind, data},
    network::{Application, CLIENT, Port, SERVER},
};

/// The last is not known to the server.
const NAMESPACES: [&str; 4] = ["/", "/a", "/b", "/nowhere"];

#[derive(Default)]
pub(crate) struct Chat {
    pub(crate) history: History,
    pub(crate) counts: Counts,
    decoders: [Decoder; 2],
    /// By number of the membership; the server's before its consent too.
    sockets: [BTreeMap<usize, Socket>; 2],
    server: Connection<usize>,
    client: Client,
    /// What [`Application::on_wake`] does.
    tasks: Vec<Task>,
}

/// How much has happened.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) answers: u64,
    pub(crate) attachments: u64,
    /// Events before a consent.
    pub(crate) early: u64,
    pub(crate) events: u64,
    pub(crate) memberships: u64,
    /// What was on its way when its membership ended.
    pub(crate) overlooked: u64,
    pub(crate) refusals: u64,
}

struct Client {
    connection: Connection<usize, ClientRole>,
    places: [Place; NAMESPACES.len()],
}

/// A namespace, as the client's program knows it.
#[derive(Default)]
struct Place {
    membership: Option<usize>,
    requested: bool,
    /// Whether the request is still meant.
    wanted: bool,
    early: Vec<IncomingEvent>,
    /// Whether something of an earlier membership may be on its way.
    has_left: bool,
}

#[derive(Default)]
struct Socket {
    acks: Acks<usize>,
    asked: u64,
}

#[derive(Clone, Copy)]
enum Task {
    Answer { membership: usize, id: AckId, number: usize },
    Decide { membership: usize },
    GiveUp { membership: usize, id: AckId },
}

impl Default for Client {
    fn default() -> Self {
        Self { connection: Connection::client(), places: Default::default() }
    }
}

impl Application for Chat {
    fn act(&mut self, port: &mut Port<'_>) {
        for _ in 0..=port.rng.below(12) {
            if port.side == CLIENT { self.act_as_client(port) } else { self.act_as_server(port) }
        }
    }

    fn on_message(&mut self, message: Message, port: &mut Port<'_>) {
        self.counts.attachments += u64::from(matches!(message, Message::Binary(_)));
        let Some(packet) = self.decoders[port.side].handle_message(message).unwrap() else { return };
        if port.side == CLIENT {
            self.hear_as_client(packet, port);
        } else {
            self.hear_as_server(packet, port);
        }
    }

    fn on_wake(&mut self, token: usize, port: &mut Port<'_>) {
        match self.tasks[token] {
            Task::Answer { membership, id, number } => self.answer(membership, id, number, port),
            Task::Decide { membership } => self.decide(membership, port),
            Task::GiveUp { membership, id } => {
                let socket = self.sockets[port.side].get_mut(&membership);
                if let Some(number) = socket.and_then(|socket| socket.acks.remove(id)) {
                    self.history.give_up(port.side, membership, number);
                }
            }
        }
    }

    fn on_closing(&mut self, port: &mut Port<'_>) {
        if port.rng.one_in(2) {
            self.leave(|_| true, port);
        }
    }

    fn on_close(&mut self, side: usize) {
        if side == CLIENT {
            self.client.connection.close();
            self.client.places = Default::default();
        } else {
            self.server.close();
        }
        let sockets: Vec<_> = self.sockets[side].keys().copied().collect();
        for membership in sockets {
            self.end(side, membership, Cause::ConnectionLost);
        }
    }
}

impl Chat {
    fn act_as_client(&mut self, port: &mut Port<'_>) {
        let at = port.rng.below(NAMESPACES.len() as u64) as usize;
        let place = &mut self.client.places[at];
        match place.membership {
            None if place.requested => place.wanted ^= port.rng.one_in(3),
            None => self.request(at, port),
            Some(membership) if port.rng.one_in(8) => {
                self.leave(|socket| socket == membership, port);
                if port.rng.one_in(2) {
                    self.request(at, port);
                }
            }
            Some(membership) => self.emit(membership, port),
        }
    }

    fn act_as_server(&mut self, port: &mut Port<'_>) {
        let sockets = &self.sockets[SERVER];
        let at = port.rng.below(sockets.len().max(1) as u64) as usize;
        let Some(&membership) = sockets.keys().nth(at) else { return };
        let joined = self.history.is_joined(SERVER, membership);
        match port.rng.below(12) {
            0 if joined => self.leave(|socket| socket == membership, port),
            // Middleware emits, too.
            chance if joined || chance < 4 => self.emit(membership, port),
            _ => {}
        }
    }

    /// The client asks to join.
    fn request(&mut self, at: usize, port: &mut Port<'_>) {
        let namespace = NAMESPACES[at];
        if port.force_send(Encoded::connect(namespace, &json!({})).unwrap().messages()) {
            self.client.connection.begin(namespace.into());
            let place = &mut self.client.places[at];
            (place.requested, place.wanted) = (true, true);
        }
    }

    /// The server has heard a request, and decides now or later.
    fn consider(&mut self, namespace: &str, port: &mut Port<'_>) {
        let known = NAMESPACES[..3].iter().find(|known| **known == namespace);
        let Some(known) = known else {
            self.refuse(namespace, port);
            return;
        };
        self.server.begin(namespace.into());
        let membership = self.history.request(known);
        self.sockets[SERVER].insert(membership, Socket::default());
        if port.rng.one_in(2) {
            self.decide(membership, port);
        } else {
            self.plan(Task::Decide { membership }, port);
        }
    }

    fn decide(&mut self, membership: usize, port: &mut Port<'_>) {
        if !self.sockets[SERVER].contains_key(&membership) {
            // The connection has ended.
            return;
        }
        let namespace = self.history.namespace(membership);
        if port.rng.one_in(4) {
            self.server.refuse(namespace);
            self.end(SERVER, membership, Cause::OwnWill);
            self.refuse(namespace, port);
            return;
        }
        let consent = Encoded::connect(namespace, &json!({ "sid": membership })).unwrap();
        if port.force_send(consent.messages()) {
            self.server.admit(namespace.into(), membership);
            self.history.admit(membership);
            for _ in 0..port.rng.below(3) {
                self.emit(membership, port);
            }
        }
    }

    fn refuse(&mut self, namespace: &str, port: &mut Port<'_>) {
        port.force_send(Encoded::connect_error(namespace, &json!({ "message": "no" })).unwrap().messages());
    }

    /// The client has heard the consent.
    fn join(&mut self, namespace: &str, payload: &str, port: &mut Port<'_>) {
        let payload: Value = serde_json::from_str(payload).unwrap();
        let membership = payload["sid"].as_u64().unwrap() as usize;
        let at = position(namespace);
        let place = &mut self.client.places[at];
        assert!(place.requested, "a consent that nobody asked for");
        assert_eq!(self.history.namespace(membership), namespace);
        self.counts.memberships += 1;
        self.history.join(membership, place.has_left);
        self.client.connection.admit(namespace.into(), membership);
        self.sockets[CLIENT].insert(membership, Socket::default());
        (place.requested, place.membership) = (false, Some(membership));
        let wanted = place.wanted;
        for event in std::mem::take(&mut place.early) {
            self.counts.early += 1;
            self.receive(membership, &event, port);
        }
        self.history.check_early(membership);
        if !wanted {
            self.leave(|socket| socket == membership, port);
        }
    }

    /// Ends memberships by one's own will.
    fn leave(&mut self, chosen: impl Fn(usize) -> bool, port: &mut Port<'_>) {
        let left = if port.side == CLIENT {
            self.client.connection.dismiss(|socket| chosen(*socket))
        } else {
            self.server.dismiss(|socket| chosen(*socket))
        };
        for membership in left {
            self.end(port.side, membership, Cause::OwnWill);
            port.force_send(Encoded::disconnect(self.history.namespace(membership)).messages());
        }
    }

    fn end(&mut self, side: usize, membership: usize, cause: Cause) {
        let mut socket = self.sockets[side].remove(&membership).expect("a socket");
        self.history.end(side, membership, cause, socket.acks.waiting());
        socket.acks.clear();
        assert_eq!(socket.acks.waiting(), 0);
        if side == CLIENT {
            let place = &mut self.client.places[position(self.history.namespace(membership))];
            *place = Place { has_left: true, ..Place::default() };
        }
    }

    fn emit(&mut self, membership: usize, port: &mut Port<'_>) {
        let side = port.side;
        let Some(socket) = self.sockets[side].get_mut(&membership) else { return };
        let number = self.history.next(side, membership);
        let id = AckId::new(socket.asked).filter(|_| port.rng.one_in(2));
        let data = data(Kind::Event, side, membership, number);
        let packet = Encoded::event(self.history.namespace(membership), id, "event", &data).unwrap();
        if !port.send(packet.messages()) {
            return;
        }
        self.history.send(side, membership, id.is_some());
        if let Some(id) = id {
            socket.asked += 1;
            socket.acks.insert(id, number);
            if port.rng.one_in(6) {
                self.plan(Task::GiveUp { membership, id }, port);
            }
        }
    }

    fn hear_as_client(&mut self, packet: Packet, port: &mut Port<'_>) {
        let incoming = self.client.connection.handle_packet(packet);
        match incoming.expect("a server that abides by the rules") {
            Incoming::Ack(&socket, id, arguments) => self.acknowledge(socket, id, &arguments, CLIENT),
            Incoming::Answer(Answer::Early { namespace, event }) => {
                self.client.places[position(&namespace)].early.push(event);
            }
            Incoming::Answer(Answer::Refused { namespace, .. }) => {
                self.counts.refusals += 1;
                let place = &mut self.client.places[position(&namespace)];
                assert!(place.requested, "a refusal that nobody asked for");
                *place = Place::default();
            }
            Incoming::Connect { namespace, payload } => self.join(&namespace, &payload.unwrap(), port),
            Incoming::Disconnect(membership) => {
                self.end(CLIENT, membership, Cause::Told);
                if port.rng.one_in(2) {
                    self.request(position(self.history.namespace(membership)), port);
                }
            }
            Incoming::Event(&socket, event) => self.receive(socket, &event, port),
            Incoming::Nothing => self.counts.overlooked += 1,
        }
    }

    fn hear_as_server(&mut self, packet: Packet, port: &mut Port<'_>) {
        match self.server.handle_packet(packet).expect("a client that abides by the rules") {
            Incoming::Ack(&socket, id, arguments) => self.acknowledge(socket, id, &arguments, SERVER),
            Incoming::Connect { namespace, .. } => self.consider(&namespace, port),
            Incoming::Disconnect(membership) => self.end(SERVER, membership, Cause::Told),
            Incoming::Event(&socket, event) => self.receive(socket, &event, port),
            Incoming::Nothing => self.counts.overlooked += 1,
        }
    }

    /// An event reaches its handler, which answers at once, later, twice or never.
    fn receive(&mut self, membership: usize, event: &IncomingEvent, port: &mut Port<'_>) {
        self.counts.events += 1;
        let number = self.history.receive(port.side, membership, event.arguments());
        let Some(id) = event.ack_id() else { return };
        match port.rng.below(8) {
            0 => {}
            1..=3 => self.plan(Task::Answer { membership, id, number }, port),
            4 => {
                self.answer(membership, id, number, port);
                self.plan(Task::Answer { membership, id, number }, port);
            }
            _ => self.answer(membership, id, number, port),
        }
    }

    fn answer(&mut self, membership: usize, id: AckId, number: usize, port: &mut Port<'_>) {
        if !self.history.is_joined(port.side, membership) {
            return;
        }
        let data = data(Kind::Ack, port.side, membership, number);
        let packet = Encoded::ack(self.history.namespace(membership), id, &data).unwrap();
        if port.force_send(packet.messages()) {
            self.history.answer(port.side, membership, number);
        }
    }

    fn acknowledge(&mut self, membership: usize, id: AckId, arguments: &Arguments, side: usize) {
        let socket = self.sockets[side].get_mut(&membership).expect("a socket");
        let waiting = socket.acks.remove(id);
        self.counts.answers += u64::from(waiting.is_some());
        self.history.hear(side, membership, waiting, arguments);
    }

    fn plan(&mut self, task: Task, port: &mut Port<'_>) {
        port.wake_later(self.tasks.len());
        self.tasks.push(task);
    }

    /// Checks that both ends of an open connection agree, when nothing more happens.
    pub(crate) fn check_agreement(&mut self) {
        assert!(self.client.places.iter().all(|place| !place.requested), "a request without an answer");
        let [mut client, mut server] = [self.client.connection.close(), self.server.close()];
        client.sort_unstable();
        server.sort_unstable();
        assert_eq!(client, server, "the ends disagree on what is joined");
        for sockets in &self.sockets {
            assert!(sockets.keys().eq(&client), "a socket that is not joined");
        }
        self.history.check_open(&client);
    }
}

fn position(namespace: &str) -> usize {
    NAMESPACES.iter().position(|known| *known == namespace).expect("a namespace that was asked for")
}
