//! The driver: the one task of a connection. It owns the connection's state and, after an upgrade, the WebSocket.

use std::{
    borrow::Cow,
    ops::ControlFlow,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    sync::oneshot,
    task::unconstrained,
    time::{Instant, Sleep},
};

use crate::{
    CloseReason, Transport,
    connection::{Close, Event, State},
    packet::{Packet, PacketCow},
    payload,
    server::{
        Handler, TaskGuard,
        connection::{Phase, PollAnswer, PostAnswer, Request, Shared, give_back},
        direct::{Direct, Returned},
        stream::{keep_frames, take_frames},
        turn,
        websocket::{BATCH, Ended, WebSocket},
    },
    websocket::{self, ProtocolError},
};

pin_project! {
    /// Drives one connection from its opening to its end.
    pub(crate) struct Driver<H> {
        core: Core<H>,
        #[pin]
        timer: Sleep,
        // It wakes this task, so that there is no need to poll it before it has ended.
        timer_set: bool,
    }
}

struct Core<H> {
    state: State,
    handler: H,
    websocket: Option<WebSocket>,
    /// A GET that waits for an answer.
    poll: Option<oneshot::Sender<PollAnswer>>,
    /// A POST whose packets are being handled.
    post: Option<Box<Post>>,
    /// The stream of the WebSocket takes nothing for now.
    blocked: bool,
    /// Something has been sent since the handler was last told that all is.
    undrained: bool,
    /// Whether the stream has taken anything since the last ping was due.
    progress: bool,
    held_back: HeldBack,
    ended: bool,
    registration: Registration,
}

struct Post {
    packets: payload::Decode,
    /// Gone if it was answered early.
    reply: Option<oneshot::Sender<PostAnswer>>,
    /// One that came after an early answer. There are no more, as it is not answered before its turn.
    next: Option<Box<Self>>,
}

/// Why nothing is read from the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum HeldBack {
    No,
    /// The handler has enough to do.
    ByHandler,
    /// The peer does not take what is sent.
    ByOutbox,
}

/// The connection's place in the table, given up when the driver is dropped, even by a panic.
struct Registration {
    shared: Arc<Shared>,
    task: TaskGuard,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.task.server().registry.remove(self.shared.sid());
        for waker in end(&self.shared) {
            waker.wake();
        }
    }
}

impl<H: Handler> Driver<H> {
    pub(crate) fn new(
        state: State,
        handler: H,
        websocket: Option<Box<WebSocket>>,
        shared: Arc<Shared>,
        task: TaskGuard,
    ) -> Self {
        let deadline = state.poll_timeout().map_or_else(far_future, Instant::from_std);
        Self {
            core: Core {
                state,
                handler,
                websocket: websocket.map(|websocket| *websocket),
                poll: None,
                post: None,
                blocked: false,
                undrained: false,
                progress: false,
                held_back: HeldBack::No,
                ended: false,
                registration: Registration { shared, task },
            },
            timer: tokio::time::sleep_until(deadline),
            timer_set: false,
        }
    }
}

impl<H: Handler> Future for Driver<H> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let core = this.core;
        // A turn handles so many messages at most, so that one busy peer does not keep others waiting.
        let mut budget = BUDGET;
        loop {
            if core.ended {
                return core.handler.poll_finish(cx);
            }
            if !core.take_requests() {
                return Poll::Pending;
            }
            if !*this.timer_set || this.timer.is_elapsed() {
                while poll_timer(this.timer.as_mut(), cx).is_ready() {
                    core.handle_timeout(Instant::now().into_std());
                    this.timer.as_mut().reset(core.deadline());
                }
                *this.timer_set = true;
            }
            let mut frames = take_frames();
            core.receive(&mut budget, &mut frames, cx);
            core.send(&mut frames, cx);
            keep_frames(frames);
            if let Some(reason) = core.state.closed() {
                core.finish(reason, cx);
                continue;
            }
            let deadline = core.deadline();
            if deadline != this.timer.deadline() {
                this.timer.as_mut().reset(deadline);
                *this.timer_set = false;
                continue;
            }
            if budget == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if core.fall_asleep(cx) {
                return Poll::Pending;
            }
        }
    }
}

impl<H: Handler> Core<H> {
    /// Takes what others want of the connection; `false` if somebody is writing in its place, who wakes it.
    fn take_requests(&mut self) -> bool {
        let mut errands = {
            let mut inlet = self.registration.shared.lock();
            inlet.asleep = false;
            match inlet.direct.take_back() {
                Returned::Busy => return false,
                Returned::Free(Some((stream, rest))) => {
                    if let Some(websocket) = &mut self.websocket {
                        websocket.give_stream_back(stream, rest);
                    }
                }
                Returned::Free(None) => {}
            }
            match inlet.errands.take() {
                None => return true,
                Some(errands) => errands,
            }
        };
        for request in errands.requests.drain(..) {
            self.handle_request(request);
        }
        if let Some((how, reason)) = errands.close.take() {
            if how == Close::Now {
                let mut inlet = self.registration.shared.lock();
                inlet.outbox.clear();
                self.registration.shared.note_status(&inlet);
            }
            self.state.close(how, reason, Instant::now().into_std());
        }
        give_back(errands);
        true
    }

    fn handle_request(&mut self, request: Request) {
        match request {
            Request::Poll(reply) => match self.state.handle_poll() {
                Ok(()) => self.poll = Some(reply),
                Err(_) => answer(reply, PollAnswer::Overlap),
            },
            Request::PollLost => {
                self.poll = None;
                let reason = CloseReason::TransportError("poll connection closed prematurely");
                self.state.handle_transport_lost(Transport::Polling, reason);
            }
            // A client that posts after its own `5` has left the order of messages.
            Request::Post(_, reply) if self.state.transport() == Transport::WebSocket => {
                answer(reply, PostAnswer::Bad);
            }
            Request::Post(body, reply) => {
                let packets = payload::decode(body);
                let post = Some(Box::new(Post { packets, reply: Some(reply), next: None }));
                match &mut self.post {
                    Some(earlier) => earlier.next = post,
                    none => *none = post,
                }
            }
            Request::PostFailed(reason) => self.state.handle_transport_lost(Transport::Polling, reason),
            Request::WebSocket(websocket) => {
                if self.websocket.is_none() && self.state.handle_websocket_open(Instant::now().into_std()) {
                    self.websocket = Some(*websocket);
                } else {
                    self.close_websocket(*websocket, None);
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: std::time::Instant) {
        let pong_may_wait = match self.held_back {
            HeldBack::No => false,
            HeldBack::ByHandler => true,
            // A peer that takes nothing for so long has gone.
            HeldBack::ByOutbox => self.progress,
        };
        if pong_may_wait && self.state.is_pong_overdue(now) {
            self.state.defer_pong(now);
        }
        self.progress = false;
        self.state.handle_timeout(now);
    }

    /// Takes what the peer has sent, as long as the handler can take it. What is sent meanwhile may go into `frames`.
    fn receive(&mut self, budget: &mut u32, frames: &mut Vec<u8>, cx: &mut Context<'_>) {
        self.held_back = self.check_room(cx);
        while self.held_back == HeldBack::No
            && *budget > 0
            && let Some(post) = &mut self.post
        {
            *budget -= 1;
            let next = post.packets.next();
            let now = Instant::now().into_std();
            match next {
                Some(Ok(packet)) => {
                    // What was held back over the switch came before it.
                    let event = self.state.handle_packet(packet, self.state.transport(), now);
                    self.give(event, cx);
                    self.held_back = self.check_room(cx);
                }
                Some(Err(error)) => self.state.handle_parse_error(Transport::Polling, error.as_str()),
                None => self.finish_post(PostAnswer::Ok),
            }
            match self.state.closed() {
                Some(CloseReason::ParseError(_)) => self.finish_post(PostAnswer::Bad),
                // The rest has no meaning any more.
                Some(_) => self.finish_post(PostAnswer::Ok),
                None => {}
            }
        }
        if self.held_back != HeldBack::No {
            self.answer_post_early();
        }
        if self.takes_frames() && *budget > 0 && self.state.closed().is_none() {
            self.receive_frames(budget, frames, cx);
        }
    }

    fn receive_frames(&mut self, budget: &mut u32, frames: &mut Vec<u8>, cx: &mut Context<'_>) {
        let Some(mut websocket) = self.websocket.take() else { return };
        let server = self.registration.task.server();
        let limits = server.frame_limits;
        let turn = (self.state.streams_messages() && websocket.is_free()).then(|| {
            let room = BATCH.min(server.options.config.max_outbox_bytes);
            turn::open(&self.registration.shared, std::mem::take(frames), room)
        });
        let outcome = websocket.poll_events(cx, &limits, |event, cx| {
            *budget -= 1;
            let packet = match event {
                websocket::Event::Text(Cow::Borrowed(text))
                    if text.starts_with('4') && self.state.delivers(Transport::WebSocket) =>
                {
                    self.handler.on_text(&text[1..], cx);
                    None
                }
                websocket::Event::Text(text) => Some(Packet::decode_frame(std::mem::take(text))),
                websocket::Event::Binary(bytes) => Some(Ok(Packet::decode_binary(std::mem::take(bytes)))),
                websocket::Event::Ping(_) | websocket::Event::Pong | websocket::Event::Close(_) => {
                    return if *budget > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
                }
            };
            match packet {
                Some(Ok(packet)) => {
                    let now = Instant::now().into_std();
                    let event = self.state.handle_packet(packet, Transport::WebSocket, now);
                    self.give(event, cx);
                }
                Some(Err(error)) => self.state.handle_parse_error(Transport::WebSocket, error.as_str()),
                None => {}
            }
            self.held_back = self.check_room(cx);
            let goes_on = *budget > 0 && self.takes_frames() && self.state.uses_websocket();
            if goes_on && self.state.closed().is_none() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        if let Some(turn) = turn {
            *frames = turn.close();
        }
        match outcome {
            Poll::Pending | Poll::Ready(Ok(())) => self.websocket = Some(websocket),
            Poll::Ready(Err(ended)) => {
                let (reason, code) = match ended {
                    Ended::Closed(code) => (CloseReason::TransportClose, code),
                    Ended::Lost => {
                        self.state.handle_transport_lost(Transport::WebSocket, CloseReason::TransportClose);
                        return;
                    }
                    Ended::Misbehaved(error) => {
                        (CloseReason::TransportError(misbehaviour(&error)), Some(error.close_code()))
                    }
                };
                self.state.handle_transport_lost(Transport::WebSocket, reason);
                websocket.hold(frames);
                self.close_websocket(websocket, code);
            }
        }
    }

    /// Before the switch there are no messages among the frames, and the switch must not be held back.
    fn takes_frames(&self) -> bool {
        self.held_back == HeldBack::No || self.is_probing()
    }

    fn is_probing(&self) -> bool {
        self.state.uses_websocket() && self.state.transport() == Transport::Polling
    }

    fn give(&mut self, event: Option<Event>, cx: &mut Context<'_>) {
        match event {
            Some(Event::Message(message)) => self.handler.on_message(message, cx),
            Some(Event::Upgraded) => {
                {
                    let mut inlet = self.registration.shared.lock();
                    inlet.transport = Transport::WebSocket;
                    inlet.writable = true;
                }
                self.handler.on_upgrade(cx);
            }
            None => {}
        }
    }

    fn check_room(&mut self, cx: &mut Context<'_>) -> HeldBack {
        if let Some(notice) = self.registration.shared.take_notice() {
            self.handler.on_notice(notice, cx);
        }
        if self.handler.poll_ready(cx).is_pending() {
            HeldBack::ByHandler
        } else if self.registration.shared.is_full() {
            HeldBack::ByOutbox
        } else {
            HeldBack::No
        }
    }

    fn finish_post(&mut self, with: PostAnswer) {
        if let Some(post) = self.post.take() {
            if let Some(reply) = post.reply {
                answer(reply, with);
            }
            self.post = post.next;
        }
    }

    /// A client that upgrades takes nothing more from the outbox, and does not go on, before its POST is answered:
    /// it would wait for us, and we for it.
    fn answer_post_early(&mut self) {
        let probing = self.is_probing();
        if let Some(post) = self.post.as_mut().filter(|_| probing)
            && let Some(reply) = post.reply.take()
        {
            answer(reply, PostAnswer::Ok);
        }
    }

    /// Sends `frames` and what is due, over each transport that can take it.
    fn send(&mut self, frames: &mut Vec<u8>, cx: &mut Context<'_>) {
        self.answer_poll();
        let all_sent = self.send_frames(frames, cx);
        if !self.state.uses_websocket()
            && let Some(websocket) = self.websocket.take()
        {
            self.close_websocket(websocket, None);
        }
        if self.undrained && !self.blocked && (all_sent || self.registration.shared.lock().outbox.is_empty())
        {
            self.undrained = false;
            self.handler.on_drain(cx);
        }
    }

    fn answer_poll(&mut self) {
        if self.poll.is_none() {
            return;
        }
        let (mut body, mut compress) = (Vec::new(), false);
        {
            let mut inlet = self.registration.shared.lock();
            while let Some(transmit) = self.state.poll_transmit(Transport::Polling, &mut inlet.outbox) {
                payload::push_cow(&mut body, &transmit.packet);
                compress |= transmit.compress;
            }
            self.registration.shared.note_status(&inlet);
        }
        if body.is_empty() {
            return;
        }
        self.undrained = true;
        self.progress = true;
        let reply = self.poll.take();
        if reply.is_none_or(|reply| reply.send(PollAnswer::Payload { body, compress }).is_err()) {
            self.handle_request(Request::PollLost);
        }
    }

    /// Returns whether nothing is queued any more.
    fn send_frames(&mut self, frames: &mut Vec<u8>, cx: &mut Context<'_>) -> bool {
        let Some(websocket) = &mut self.websocket else { return false };
        let (state, shared) = (&mut self.state, &self.registration.shared);
        let (mut sent, mut close, mut all) = (!frames.is_empty(), false, false);
        let outcome = websocket.poll_send(cx, frames, &mut |batch| {
            if state.streams_messages() && !shared.has_queued() {
                all = true;
                return;
            }
            // Locked once for all that leaves together.
            let mut inlet = shared.lock();
            let streams = state.streams_messages();
            while streams
                && !batch.is_full()
                && let Some(text) = inlet.outbox.pop_text()
            {
                sent = true;
                batch.push_text(text);
            }
            let exhausted = streams && inlet.outbox.is_empty();
            while !(batch.is_full() || close || exhausted) {
                let Some(transmit) = state.poll_transmit(Transport::WebSocket, &mut inlet.outbox) else {
                    break;
                };
                sent = true;
                // On a WebSocket its own close frame says what the packet would.
                close = transmit.packet == PacketCow::Packet(Packet::Close);
                if !close {
                    batch.push(&transmit.packet);
                }
            }
            all = inlet.outbox.is_empty();
            shared.note_status(&inlet);
        });
        self.undrained |= sent;
        self.blocked = outcome.is_pending();
        self.progress |= websocket.take_progress();
        match outcome {
            Poll::Ready(Err(_)) => {
                self.websocket = None;
                self.state.handle_transport_lost(Transport::WebSocket, CloseReason::TransportClose);
            }
            _ if close => {
                if let Some(websocket) = self.websocket.take() {
                    self.close_websocket(websocket, None);
                }
            }
            _ => {}
        }
        all
    }

    fn close_websocket(&self, websocket: WebSocket, code: Option<u16>) {
        let server = self.registration.task.server();
        let timeout = server.options.config.timing.close_timeout;
        websocket.close(code, timeout, TaskGuard::closing(server));
    }

    /// Tells everybody that the connection has ended.
    fn finish(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        // The last packets: a poll is released, a WebSocket closed.
        self.send(&mut Vec::new(), cx);
        if let Some(websocket) = self.websocket.take() {
            self.close_websocket(websocket, None);
        }
        while self.post.is_some() {
            self.finish_post(PostAnswer::Ok);
        }
        self.ended = true;
        self.registration.task.server().registry.remove(self.registration.shared.sid());
        for waker in end(&self.registration.shared) {
            waker.wake();
        }
        self.handler.on_close(reason, cx);
    }

    fn deadline(&self) -> Instant {
        self.state.poll_timeout().map_or_else(far_future, Instant::from_std)
    }

    /// Prepares for sleep; `false` if there is news already.
    fn fall_asleep(&mut self, cx: &mut Context<'_>) -> bool {
        let waiting = {
            let shared = &self.registration.shared;
            let mut inlet = shared.lock();
            let can_send = match self.state.transport() {
                Transport::Polling => self.state.can_poll_transmit(),
                Transport::WebSocket => !self.blocked,
            };
            let news = inlet.errands.is_some() || shared.has_notice();
            let room_again = self.held_back == HeldBack::ByOutbox && !inlet.outbox.is_full();
            if news || room_again || (can_send && !inlet.outbox.is_empty()) {
                return false;
            }
            inlet.writable = can_send;
            inlet.asleep = true;
            if can_send
                && self.state.transport() == Transport::WebSocket
                && let Some(stream) = self.websocket.as_mut().and_then(WebSocket::lend_stream)
            {
                inlet.direct = Direct::Idle(stream);
            }
            if !inlet.driver.as_ref().is_some_and(|driver| driver.will_wake(cx.waker())) {
                inlet.driver = Some(cx.waker().clone());
            }
            if !inlet.is_awaited() || inlet.outbox.is_full() {
                return true;
            }
            inlet.take_waiting()
        };
        waiting.into_iter().for_each(Waker::wake);
        true
    }
}

/// Marks the connection as ended; returns who waited for that.
fn end(shared: &Shared) -> Vec<Waker> {
    let mut inlet = shared.lock();
    inlet.phase = Phase::Closed;
    inlet.outbox.clear();
    shared.note_status(&inlet);
    inlet.direct = Direct::Off;
    // Requests that came too late are dropped, which tells those who wait for answers.
    inlet.errands = None;
    inlet.driver = None;
    inlet.take_waiting()
}

/// Once this is pending, the timer wakes the task: as it would not if the runtime held it back because the handlers have
/// done so much in this turn.
fn poll_timer(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    pin!(unconstrained(timer)).poll(cx)
}

fn answer<T>(reply: oneshot::Sender<T>, with: T) {
    // Whoever asked may have gone, and then needs no answer.
    let _ = reply.send(with);
}

fn misbehaviour(error: &ProtocolError) -> &'static str {
    match error.close_code() {
        1007 => "invalid UTF-8 in a WebSocket message",
        1008 => "too many fragments in a WebSocket message",
        1009 => "WebSocket message larger than the limit",
        _ => "WebSocket protocol error",
    }
}

/// When a timer of a connection without deadlines ends: not in the life of this process.
fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(86_400 * 365)
}

/// Packets that are handled before other tasks get their turn.
const BUDGET: u32 = 256;
