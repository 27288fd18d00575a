//! From messages to handlers, in the connection's own task.

use super::{
    Shared,
    admission::{Admitted, Recovered, admit},
    deadlines::Deadlines,
    link::{Link, Request},
    socket::Socket,
    task::{Outcome, Task},
    turns::{Turn, Turns},
};
use crate::{
    connection::{Connection, EventRef, Incoming, IncomingEvent},
    encoded::{EncodeError, Encoded},
    error::{DisconnectReason, Refusal},
    limits::Limit,
    packet::AckId,
    parser::AnyDecoder,
};
use bytestring::ByteString;
use engineio::{CloseReason, Handler, Message};
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;
use std::{
    num::NonZeroU8,
    sync::Arc,
    task::{Context, Poll},
};

/// Handles one connection: decodes, applies the rules, and runs the handlers.
pub(super) struct Dispatcher {
    server: Arc<Shared>,
    link: Link,
    decoder: AnyDecoder,
    /// Bytes of the messages of the packet that is being received.
    received: usize,
    connection: Connection<Socket>,
    deadlines: Deadlines,
    /// Handlers that wait; boxed and absent while there are none, as in a connection that is idle.
    parked: Parked,
    /// What waits for its turn in ordered namespaces.
    turns: Option<Box<Turns>>,
    /// Why nothing that the client sends matters any more.
    ending: Option<DisconnectReason>,
    /// The connection is closed as soon as no handler is running.
    draining: bool,
}

type Parked = Option<Box<FuturesUnordered<Task>>>;

impl Dispatcher {
    pub(super) fn new(server: Arc<Shared>, connection: engineio::Connection) -> Self {
        let common = &server.common;
        let address = connection.remote_addr().map(|address| address.ip());
        let link = Link::new(connection, common.policy.address_meter(address));
        let limits = &common.policy.limits;
        Self {
            link,
            decoder: common.format.decoder(limits.attachment_bytes),
            received: 0,
            connection: Connection::default(),
            deadlines: Deadlines::new(server.connect_timeout),
            parked: None,
            turns: None,
            ending: None,
            draining: false,
            server,
        }
    }

    /// Has something run handlers of a socket: now or, in an ordered namespace, when it is its turn.
    fn run(&mut self, socket: &Socket, turn: Turn, cx: &mut Context<'_>) {
        let turn = if socket.live().blueprint.ordered {
            match self.turns.get_or_insert_default().enter(socket.0.id, turn) {
                Some(turn) => turn,
                None => return,
            }
        } else {
            turn
        };
        match Task::start_turn(socket, turn, cx) {
            Some(started) => self.started(started, cx),
            None => self.next_turn(socket, cx),
        }
    }

    /// Finishes what has not waited, and sets aside what has.
    fn started(&mut self, started: Result<Outcome, Task>, cx: &mut Context<'_>) {
        match started {
            Ok(outcome) => self.finish(outcome, cx),
            Err(task) => self.parked.get_or_insert_default().push(task),
        }
    }

    fn finish(&mut self, outcome: Outcome, cx: &mut Context<'_>) {
        match outcome {
            Outcome::Decided { path, decision } => self.decide(&path, decision, cx),
            Outcome::Answered { socket, name, answer } => {
                socket.answer(&name, answer);
                self.next_turn(&socket, cx);
            }
            Outcome::Done(socket) => self.next_turn(&socket, cx),
        }
    }

    /// A handler of `socket` has ended: runs what waits for it, up to the next that waits itself.
    fn next_turn(&mut self, socket: &Socket, cx: &mut Context<'_>) {
        while let Some(turn) = self.turns.as_mut().and_then(|turns| turns.next(socket.0.id)) {
            match Task::start_turn(socket, turn, cx) {
                Some(Ok(Outcome::Answered { name, answer, .. })) => socket.answer(&name, answer),
                Some(Ok(Outcome::Decided { .. } | Outcome::Done(_))) | None => {}
                Some(Err(task)) => {
                    self.parked.get_or_insert_default().push(task);
                    return;
                }
            }
        }
    }

    fn connect(&mut self, path: &ByteString, payload: Option<ByteString>, cx: &mut Context<'_>) {
        if self.draining {
            self.refuse(path, &Refusal::new("server shutting down"));
            return;
        }
        let policy = &self.server.common.policy;
        if self.connection.len() >= policy.limits.namespaces {
            // What the server has ended is remembered only to overlook what the client sent before it knew.
            self.connection.forget_ended();
        }
        if self.connection.len() >= policy.limits.namespaces {
            policy.judge(Limit::Namespaces, &self.link, None);
            self.refuse(path, &Refusal::new(Limit::Namespaces.to_string()));
            return;
        }
        let path = self.server.namespaces.shared_path(path).unwrap_or_else(|| (**path).into());
        self.connection.begin(Arc::clone(&path));
        self.admit(path, payload, true, cx);
    }

    fn admit(&mut self, path: Arc<str>, payload: Option<ByteString>, recover: bool, cx: &mut Context<'_>) {
        let (server, link) = (Arc::clone(&self.server), self.link.clone());
        let admission = admit(server, link, Arc::clone(&path), payload, recover);
        self.started(Task::admission(path, admission).start(cx), cx);
    }

    fn decide(&mut self, path: &Arc<str>, decision: Result<Admitted, Refusal>, cx: &mut Context<'_>) {
        match decision {
            Ok(admitted) if self.ending.is_some() => {
                let live = Arc::clone(admitted.socket().live());
                drop(admitted);
                self.server.namespaces.clean(&live);
            }
            Ok(mut admitted) => {
                let recovered = admitted.recovered.take();
                let socket = admitted.into_socket();
                if self.open(&socket, recovered) {
                    self.deadlines.joined();
                    self.connection.admit(Arc::clone(path), socket.clone());
                    self.run(&socket, Turn::Connected, cx);
                } else {
                    // Meanwhile it has missed more than is kept.
                    socket.abandon();
                    let payload = socket.0.auth.as_deref().map(ByteString::from);
                    self.admit(Arc::clone(path), payload, false, cx);
                }
            }
            Err(_) if self.ending.is_some() => {}
            Err(refusal) => {
                self.connection.refuse(path);
                self.refuse(path, &refusal);
            }
        }
    }

    /// Tells the client that it has joined, after what it has missed; the client keeps that until then.
    fn open(&self, socket: &Socket, recovered: Option<Recovered>) -> bool {
        let pid = socket.0.pid.as_ref().map(|pid| pid.as_str());
        let consent =
            self.server.common.format.connect(socket.namespace(), &Consent { sid: socket.id(), pid });
        let open = |missed: Vec<Encoded>| {
            missed.into_iter().for_each(|packet| self.link.send_control(packet));
            self.send(consent);
            // Only now, so that no broadcast overtakes the consent.
            socket.open();
        };
        let Some(Recovered { saved, offset }) = recovered else {
            open(Vec::new());
            return true;
        };
        let mut open = Some(open);
        let live = socket.live();
        live.adapter.resume(&live.local, &saved, &offset, &mut |missed| {
            if let Some(open) = open.take() {
                open(missed);
            }
        })
    }

    fn refuse(&self, namespace: &str, refusal: &Refusal) {
        self.send(self.server.common.format.connect_error(namespace, refusal));
    }

    /// Sends what only a parser of the program's choice can fail to encode.
    fn send(&self, packet: Result<Encoded, EncodeError>) {
        match packet {
            Ok(packet) => self.link.send_control(packet),
            Err(error) => {
                tracing::error!(%error, "closing a connection that cannot be answered");
                self.link.connection.close();
            }
        }
    }

    /// Handles an event when it is its turn; others see it at once.
    fn event_in_turn(&mut self, socket: &Socket, event: IncomingEvent, cx: &mut Context<'_>) {
        if let Some(task) = Task::catch_all(socket, &event.borrowed()) {
            self.started(task.start(cx), cx);
        }
        self.run(socket, Turn::Event(event), cx);
    }

    /// Runs the disconnect handlers of a socket that is no longer part of the connection.
    fn disconnected(&mut self, socket: &Socket, reason: DisconnectReason, cx: &mut Context<'_>) {
        // Whoever ended it first has named the reason: if not the caller, it was a call on the socket.
        let reason = if socket.end(&reason) { reason } else { DisconnectReason::ServerNamespaceDisconnect };
        self.server.namespaces.clean(socket.live());
        self.run(socket, Turn::Disconnected(reason), cx);
    }

    /// Closes the connection because of what the client did.
    fn fail(&mut self, error: &dyn std::fmt::Display, cx: &mut Context<'_>) {
        tracing::debug!(%error, "closing the connection");
        self.close(DisconnectReason::ForcedClose, cx);
    }

    fn close(&mut self, reason: DisconnectReason, cx: &mut Context<'_>) {
        for socket in self.connection.dismiss(|_| true) {
            self.disconnected(&socket, reason.clone(), cx);
        }
        self.ending = Some(reason);
        self.link.connection.close();
    }

    /// Does what calls on the sockets have asked for.
    fn attend(&mut self, request: Request, cx: &mut Context<'_>) {
        match request {
            Request::NoticeDisconnected => {}
            Request::Drain => self.draining = true,
            Request::Close => {
                for socket in self.connection.dismiss(|_| true) {
                    self.send(self.server.common.format.disconnect(socket.namespace()));
                    self.disconnected(&socket, DisconnectReason::ServerNamespaceDisconnect, cx);
                }
                self.close(DisconnectReason::ServerNamespaceDisconnect, cx);
            }
            Request::CloseForLimit(limit) => self.close(DisconnectReason::LimitExceeded(limit), cx),
        }
        for socket in self.connection.dismiss(|socket| !socket.is_connected()) {
            self.disconnected(&socket, DisconnectReason::ServerNamespaceDisconnect, cx);
        }
    }

    fn poll_parked(&mut self, cx: &mut Context<'_>) {
        while let Some(parked) = &mut self.parked {
            match parked.poll_next_unpin(cx) {
                Poll::Ready(Some(outcome)) => self.finish(outcome, cx),
                Poll::Ready(None) => self.parked = None,
                Poll::Pending => return,
            }
        }
    }

    /// How many handlers wait, for whatever.
    fn parked(&self) -> usize {
        let waiting = self.turns.as_ref().map_or(0, |turns| turns.waiting());
        self.parked.as_ref().map_or(0, |parked| parked.len()) + waiting
    }
}

impl Handler for Dispatcher {
    fn on_text(&mut self, text: &str, cx: &mut Context<'_>) {
        if self.ending.is_some() {
            return;
        }
        let outline = match self.decoder.outline_event(text) {
            Some(Ok(outline)) => outline,
            Some(Err(error)) => return self.fail(&error, cx),
            None => return self.on_message(Message::Text(text.into()), cx),
        };
        let event = outline.event(text);
        let socket = match self.connection.receiver(outline.namespace(text)) {
            Ok(Some(socket)) => socket,
            Ok(None) => return,
            Err(violation) => return self.fail(&violation, cx),
        };
        if !admits_event(socket, event.id, text.len(), self.draining) {
            return;
        }
        if socket.live().blueprint.ordered {
            let socket = socket.clone();
            return self.event_in_turn(&socket, event.to_owned(), cx);
        }
        start_event(socket, &event, &mut self.parked, cx);
    }

    fn on_message(&mut self, message: Message, cx: &mut Context<'_>) {
        if self.ending.is_some() {
            return;
        }
        self.received += message.len();
        let packet = match self.decoder.handle_message(message) {
            Ok(Some(packet)) => packet,
            Ok(None) => {
                let timeout = self.server.common.policy.limits.attachment_timeout;
                return self.deadlines.wait_for_attachment(timeout);
            }
            Err(error) => return self.fail(&error, cx),
        };
        self.deadlines.packet_complete();
        let bytes = std::mem::take(&mut self.received);
        match self.connection.handle_packet(packet) {
            Ok(Incoming::Event(socket, event)) => {
                if !admits_event(socket, event.id, bytes, self.draining) {
                    return;
                }
                if socket.live().blueprint.ordered {
                    let socket = socket.clone();
                    return self.event_in_turn(&socket, event, cx);
                }
                start_event(socket, &event.borrowed(), &mut self.parked, cx);
            }
            Ok(Incoming::Ack(socket, id, arguments)) => socket.acknowledge(id, arguments),
            Ok(Incoming::Connect { namespace, payload }) => self.connect(&namespace, payload, cx),
            Ok(Incoming::Disconnect(socket)) => {
                self.disconnected(&socket, DisconnectReason::ClientNamespaceDisconnect, cx);
            }
            Ok(_) => {}
            Err(violation) => self.fail(&violation, cx),
        }
    }

    fn on_upgrade(&mut self, cx: &mut Context<'_>) {
        for socket in self.connection.joined().cloned().collect::<Vec<_>>() {
            self.run(&socket, Turn::Upgraded, cx);
        }
    }

    fn on_notice(&mut self, notice: NonZeroU8, cx: &mut Context<'_>) {
        self.attend(notice.into(), cx);
    }

    fn on_close(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        self.deadlines.joined();
        let reason = self.ending.get_or_insert_with(|| reason.into()).clone();
        for socket in self.connection.close() {
            self.disconnected(&socket, reason.clone(), cx);
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(expired) = self.deadlines.poll_expired(cx) {
            self.fail(&expired, cx);
        }
        if self.parked.is_some() {
            self.poll_parked(cx);
        }
        if self.parked.is_none() && self.turns.is_none() && !self.draining {
            return Poll::Ready(());
        }
        let parked = self.parked();
        if self.draining && parked == 0 {
            self.link.connection.close_gently(CloseReason::ServerShutdown);
        }
        if parked < self.server.common.policy.limits.parked { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_parked(cx);
        if self.parked.is_none() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Handles an event, by its text or whole. The socket is only lent here: another handle to it would cost more than most
/// of this.
#[inline(always)]
fn start_event(socket: &Socket, event: &EventRef<'_>, parked: &mut Parked, cx: &mut Context<'_>) {
    let mut park = |task| parked.get_or_insert_default().push(task);
    if let Some(Err(task)) = Task::catch_all(socket, event).map(|task| task.start(cx)) {
        park(task);
    }
    match Task::start_event(socket, event, cx) {
        Ok(answer) => socket.answer(event.name, answer),
        Err(task) => park(task),
    }
}

/// Whether an event is to be handled. If not, whoever waits for its acknowledgement is told why.
#[inline(always)]
fn admits_event(socket: &Socket, id: Option<AckId>, bytes: usize, draining: bool) -> bool {
    if !socket.is_connected() {
        return false;
    }
    if let Some(limit) = socket.live().common.policy.count_event(socket, bytes) {
        refuse_event(socket, id, &limit);
        socket.exceeded(limit);
        return false;
    }
    if draining {
        refuse_event(socket, id, &"server shutting down");
    }
    !draining
}

fn refuse_event(socket: &Socket, id: Option<AckId>, why: &impl std::fmt::Display) {
    if let Some(packet) = socket.acknowledge_for(id).error(why).into_parts().0 {
        socket.link().send_control(packet);
    }
}

/// Payload of the CONNECT packet that tells a client its public id, and the private one by which it can
/// recover.
#[derive(Serialize)]
struct Consent<'a> {
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<&'a str>,
}
