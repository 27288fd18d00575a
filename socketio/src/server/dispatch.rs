//! From messages to handlers, in the connection's own task.

use super::{
    Shared,
    link::{Link, Request},
    socket::Socket,
    task::{Outcome, Task},
};
use crate::{
    connection::{Connection, Incoming, IncomingEvent},
    decoder::Decoder,
    error::{DisconnectReason, Refusal},
    packet::Encoded,
};
use engineio::{CloseReason, Handler, Message};
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::Sleep;

/// Handles one connection: decodes, applies the rules, and runs the handlers.
pub(super) struct Dispatcher {
    server: Arc<Shared>,
    link: Arc<Link>,
    decoder: Decoder,
    connection: Connection<Socket>,
    /// Until the first namespace is joined.
    connect_timeout: Option<Pin<Box<Sleep>>>,
    /// Handlers that wait; boxed and absent while there are none, as in a connection that is idle.
    parked: Option<Box<FuturesUnordered<Task>>>,
    /// Nothing the client sends matters any more.
    closing: bool,
}

impl Dispatcher {
    pub(super) fn new(server: Arc<Shared>, connection: engineio::Connection) -> Self {
        let connect_timeout = Some(Box::pin(tokio::time::sleep(server.connect_timeout)));
        Self {
            server,
            link: Arc::new(Link::new(connection)),
            decoder: Decoder::default(),
            connection: Connection::default(),
            connect_timeout,
            parked: None,
            closing: false,
        }
    }

    /// Runs `task` up to where it first waits.
    fn start(&mut self, mut task: Task, cx: &mut Context<'_>) {
        match Pin::new(&mut task).poll(cx) {
            Poll::Ready(outcome) => self.finish(outcome, cx),
            Poll::Pending => self.parked.get_or_insert_default().push(task),
        }
    }

    fn finish(&mut self, outcome: Outcome, cx: &mut Context<'_>) {
        match outcome {
            Outcome::Decided(socket, decision) => self.decide(socket, decision, cx),
            Outcome::Done => {}
            Outcome::Reply(socket, packet) => {
                if socket.is_connected() {
                    self.link.send_control(&packet);
                }
            }
        }
    }

    fn connect(&mut self, namespace: &str, auth: Option<&str>, cx: &mut Context<'_>) {
        let Some(live) = self.server.namespaces.get(namespace) else {
            self.refuse(namespace, &Refusal::new("Invalid namespace"));
            return;
        };
        self.connection.begin(Arc::clone(&live.path));
        let socket = Socket::new(Arc::clone(live), Arc::clone(&self.link), auth);
        if live.blueprint.middleware.is_empty() {
            self.decide(socket, Ok(()), cx);
        } else {
            self.start(Task::admission(socket), cx);
        }
    }

    fn decide(&mut self, socket: Socket, decision: Result<(), Refusal>, cx: &mut Context<'_>) {
        if self.closing {
            socket.abandon();
            return;
        }
        match decision {
            Ok(()) => {
                self.connect_timeout = None;
                self.connection.admit(Arc::clone(&socket.live().path), socket.clone());
                let consent = Encoded::connect(socket.namespace(), &Consent { sid: socket.id() });
                self.link.send_control(&consent.expect("a string encodes"));
                // Only now, so that no broadcast overtakes the consent.
                socket.open();
                if let Some(task) = Task::connected(socket) {
                    self.start(task, cx);
                }
            }
            Err(refusal) => {
                socket.abandon();
                self.connection.refuse(socket.namespace());
                self.refuse(socket.namespace(), &refusal);
            }
        }
    }

    fn refuse(&self, namespace: &str, refusal: &Refusal) {
        let packet = Encoded::connect_error(namespace, refusal).expect("a JSON value encodes");
        self.link.send_control(&packet);
    }

    fn event(&mut self, socket: Socket, event: IncomingEvent, cx: &mut Context<'_>) {
        if !socket.is_connected() {
            return;
        }
        match Task::event(socket, event) {
            Ok(task) => self.start(task, cx),
            Err(event) => tracing::debug!(event = event.name(), "no handler"),
        }
    }

    /// Runs the disconnect handler of a socket that is no longer part of the connection.
    fn disconnected(&mut self, socket: Socket, reason: DisconnectReason, cx: &mut Context<'_>) {
        // Whoever ended it first has named the reason: if not the caller, it was a call on the socket.
        let reason = if socket.end() { reason } else { DisconnectReason::ServerNamespaceDisconnect };
        if let Some(task) = Task::disconnected(socket, reason) {
            self.start(task, cx);
        }
    }

    /// Closes the connection because of what the client did.
    fn fail(&mut self, error: &dyn std::error::Error) {
        tracing::debug!(%error, "closing the connection");
        self.close();
    }

    fn close(&mut self) {
        self.closing = true;
        self.decoder = Decoder::default();
        self.link.connection.close();
    }

    /// Does what calls on the sockets have asked for.
    fn attend(&mut self, cx: &mut Context<'_>) {
        match self.link.take_request(cx) {
            Request::Nothing => {}
            Request::NoticeDisconnected => {
                for socket in self.connection.dismiss(|socket| !socket.is_connected()) {
                    self.disconnected(socket, DisconnectReason::ServerNamespaceDisconnect, cx);
                }
            }
            Request::Close => {
                for socket in self.connection.dismiss(|_| true) {
                    self.link.send_control(&Encoded::disconnect(socket.namespace()));
                    self.disconnected(socket, DisconnectReason::ServerNamespaceDisconnect, cx);
                }
                self.close();
            }
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

    fn poll_connect_timeout(&mut self, cx: &mut Context<'_>) {
        let expired =
            self.connect_timeout.as_mut().is_some_and(|timeout| timeout.as_mut().poll(cx).is_ready());
        if expired {
            self.connect_timeout = None;
            tracing::debug!("closing a connection that joined no namespace");
            self.close();
        }
    }
}

impl Handler for Dispatcher {
    fn on_message(&mut self, message: Message, cx: &mut Context<'_>) {
        if self.closing {
            return;
        }
        let packet = match self.decoder.handle_message(message) {
            Ok(Some(packet)) => packet,
            Ok(None) => return,
            Err(error) => return self.fail(&error),
        };
        match self.connection.handle_packet(packet) {
            Ok(Incoming::Event(socket, event)) => {
                let socket = socket.clone();
                self.event(socket, event, cx);
            }
            Ok(Incoming::Ack(socket, id, arguments)) => socket.acknowledge(id, arguments),
            Ok(Incoming::Connect { namespace, payload }) => self.connect(&namespace, payload.as_deref(), cx),
            Ok(Incoming::Disconnect(socket)) => {
                self.disconnected(socket, DisconnectReason::ClientNamespaceDisconnect, cx);
            }
            Ok(Incoming::Nothing) => {}
            Err(violation) => self.fail(&violation),
        }
    }

    fn on_close(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        self.closing = true;
        self.connect_timeout = None;
        let reason = DisconnectReason::from(reason);
        for socket in self.connection.close() {
            self.disconnected(socket, reason.clone(), cx);
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.attend(cx);
        self.poll_connect_timeout(cx);
        self.poll_parked(cx);
        let parked = self.parked.as_ref().map_or(0, |parked| parked.len());
        if parked < self.server.max_parked { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_parked(cx);
        if self.parked.is_none() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Payload of the CONNECT packet that tells a client its public id.
#[derive(Serialize)]
struct Consent<'a> {
    sid: &'a str,
}
