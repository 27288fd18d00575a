//! An adapter that makes servers a cluster.

use crate::bus::{Body, Bus, Event, Meant, Message};
use futures_util::future::BoxFuture;
use serde_json::Value;
use socketio::{
    AckError, Arguments, EncodeError, Fetched, IncomingEvent, ServerAnswers, SocketInfo, Target,
    adapter::{AckSink, Adapter, Change, Emission, Flags, Local, gather_answers},
    packet::{AckId, Content},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// How long the sockets of other servers are waited for.
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// One namespace of one server of the cluster.
pub(crate) struct Cluster(Arc<Node>);

struct Node {
    bus: Bus,
    server: usize,
    local: Local,
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests {
    last: u64,
    pending: HashMap<u64, mpsc::UnboundedSender<Body>>,
}

/// What other servers respond to a request, up to a deadline.
struct Responses {
    inbox: mpsc::UnboundedReceiver<Body>,
    deadline: Instant,
    missing: usize,
}

impl Responses {
    async fn next(&mut self) -> Option<Body> {
        if self.missing == 0 {
            return None;
        }
        let response = timeout_at(self.deadline, self.inbox.recv()).await.ok()??;
        self.missing -= 1;
        Some(response)
    }
}

impl Cluster {
    pub(crate) fn join(bus: &Bus, server: usize, local: Local) -> Self {
        let mut messages = bus.subscribe(local.namespace(), server);
        let node = Arc::new(Node { bus: bus.clone(), server, local, requests: Mutex::default() });
        let hearer = Arc::clone(&node);
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                hearer.hear(serde_json::from_str(&message).unwrap());
            }
        });
        Self(node)
    }
}

impl Adapter for Cluster {
    fn broadcast(&self, local: &Local, emission: &Emission<'_>) -> Result<(), EncodeError> {
        local.deliver(&emission.encode(None)?, emission.target, emission.flags);
        if !emission.flags.local {
            let event = local.event(emission)?;
            let meant = Meant::new(emission.target, emission.flags);
            self.0.tell(Body::Broadcast(event.arguments().into(), meant));
        }
        Ok(())
    }

    fn broadcast_with_ack(
        &self,
        local: &Local,
        emission: &Emission<'_>,
        answers: AckSink,
        timeout: Duration,
    ) -> Result<(), EncodeError> {
        local.ask(emission, &answers)?;
        if emission.flags.local {
            return Ok(());
        }
        let event = local.event(emission)?.arguments().into();
        let meant = Meant::new(emission.target, emission.flags);
        // Earlier than the end of `timeout`, when `answers` takes nothing more.
        let mut responses = self.0.request(Body::Ask(event, meant, timeout), timeout.mul_f64(0.9));
        tokio::spawn(async move {
            while let Some(response) = responses.next().await {
                match response {
                    Body::Asked(count) => responses.missing += count,
                    Body::Answer(Some(answer)) => answers.put(None, Ok(arguments(answer))),
                    Body::Answer(None) => answers.put(None, Err(AckError::Disconnected)),
                    _ => panic!("another response"),
                }
            }
            for _ in 0..responses.missing {
                answers.put(None, Err(AckError::Timeout));
            }
        });
        Ok(())
    }

    fn fetch_sockets<'a>(
        &'a self,
        local: &'a Local,
        target: &'a Target,
        flags: Flags,
    ) -> BoxFuture<'a, Fetched> {
        Box::pin(async move {
            let mut fetched = Fetched::local(local.sockets(target));
            if flags.local {
                return fetched;
            }
            let mut responses = self.0.request(Body::Fetch(Meant::new(target, flags)), FETCH_TIMEOUT);
            while let Some(response) = responses.next().await {
                let Body::Sockets(sockets) = response else { panic!("another response") };
                fetched.extend(sockets);
            }
            fetched.missing_servers = responses.missing;
            fetched
        })
    }

    fn change_sockets(&self, local: &Local, target: &Target, flags: Flags, change: &Change) {
        local.change_sockets(target, change);
        if !flags.local {
            self.0.tell(Body::Change(Meant::new(target, flags), change.into()));
        }
    }

    fn server_count(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.0.bus.count(self.0.local.namespace()) })
    }

    fn server_side_emit(&self, _: &Local, event: &IncomingEvent) {
        self.0.tell(Body::ServerEvent(event.arguments().into()));
    }

    fn server_side_emit_with_ack<'a>(
        &'a self,
        _: &'a Local,
        event: IncomingEvent,
        timeout: Duration,
    ) -> BoxFuture<'a, ServerAnswers<Value>> {
        Box::pin(async move {
            let mut gathered = ServerAnswers::default();
            let mut responses = self.0.request(Body::ServerAsk(event.arguments().into()), timeout);
            while let Some(response) = responses.next().await {
                match response {
                    Body::ServerAnswer(Some(answer)) => gathered.answers.push(answer),
                    Body::ServerAnswer(None) => gathered.missing += 1,
                    _ => panic!("another response"),
                }
            }
            gathered.missing += responses.missing;
            gathered
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.0.bus.unsubscribe(self.0.local.namespace(), self.0.server) })
    }
}

impl Node {
    /// Tells all others.
    fn tell(&self, body: Body) {
        self.publish(None, 0, body);
    }

    /// Tells all others, and waits for what they respond.
    fn request(&self, body: Body, timeout: Duration) -> Responses {
        let (sender, inbox) = mpsc::unbounded_channel();
        let request = {
            let mut requests = self.requests.lock().unwrap();
            requests.pending.retain(|_, sender| !sender.is_closed());
            requests.last += 1;
            let request = requests.last;
            requests.pending.insert(request, sender);
            request
        };
        let missing = self.bus.count(self.local.namespace()) - 1;
        self.publish(None, request, body);
        Responses { inbox, deadline: Instant::now() + timeout, missing }
    }

    fn publish(&self, to: Option<usize>, request: u64, body: Body) {
        let message = Message { from: self.server, to, request, body };
        self.bus.publish(self.local.namespace(), &message);
    }

    /// Does what another server says.
    fn hear(self: &Arc<Self>, Message { from, request, body, .. }: Message) {
        let local = &self.local;
        match body {
            Body::Broadcast(event, meant) => {
                let (target, flags) = meant.into_parts();
                local.with_emission(&incoming(event), &target, flags, |emission| {
                    local.deliver(&emission.encode(None).unwrap(), emission.target, emission.flags);
                });
            }
            Body::Change(meant, change) => local.change_sockets(&meant.into_parts().0, &change.into()),
            Body::Fetch(meant) => {
                let sockets = local.sockets(&meant.into_parts().0);
                let sockets = Body::Sockets(sockets.iter().map(SocketInfo::of).collect());
                self.publish(Some(from), request, sockets);
            }
            Body::Ask(event, meant, timeout) => {
                let (target, flags) = meant.into_parts();
                self.publish(Some(from), request, Body::Asked(local.sockets(&target).len()));
                let (sink, mut answers) = gather_answers::<()>(timeout);
                let event = incoming(event);
                local.with_emission(&event, &target, flags, |emission| local.ask(emission, &sink).unwrap());
                drop(sink);
                let this = Arc::clone(self);
                tokio::spawn(async move {
                    while let Some(answer) = answers.next_arguments().await {
                        let answer = answer.result.ok().map(|arguments| (&arguments).into());
                        this.publish(Some(from), request, Body::Answer(answer));
                    }
                });
            }
            Body::ServerEvent(event) => {
                local.handle_server_event(incoming(event)).map(tokio::spawn);
            }
            Body::ServerAsk(event) => {
                let (this, handling) = (Arc::clone(self), local.handle_server_event(incoming(event)));
                tokio::spawn(async move {
                    let answer = match handling {
                        Some(handling) => handling.await.ok(),
                        None => None,
                    };
                    this.publish(Some(from), request, Body::ServerAnswer(answer));
                });
            }
            response @ (Body::Asked(_) | Body::Answer(_) | Body::Sockets(_) | Body::ServerAnswer(_)) => {
                let requests = self.requests.lock().unwrap();
                // What comes too late is not waited for.
                requests.pending.get(&request).map(|sender| sender.send(response).ok());
            }
        }
    }
}

fn incoming(Event { json, attachments }: Event) -> IncomingEvent {
    IncomingEvent::from_json(json, attachments).unwrap()
}

fn arguments(Event { json, attachments }: Event) -> Arguments {
    match Content::ack(AckId::new(0).unwrap(), json, attachments) {
        Ok(Content::Ack { arguments, .. }) => arguments,
        other => panic!("{other:?} instead of an answer"),
    }
}
