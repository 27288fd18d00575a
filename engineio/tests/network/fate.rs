//! What programs, users and fate do to a connection.

use std::time::Duration;

use engineio::{CloseReason, Transport, connection::Close, packet::Packet};

use super::{Application, CLIENT, SERVER, Step, World};

impl<A: Application> World<A> {
    /// One thing that an application, a user or fate may do.
    pub(super) fn act(&mut self) {
        if self.actions_left == 0 {
            return;
        }
        self.actions_left -= 1;
        let side = self.rng.below(2) as usize;
        match self.rng.below(40) {
            0..=23 => self.application(side, A::act),
            24..=31 => self.start_upgrade(),
            32 | 33 => self.close(side, Close::AfterFlush),
            34 => self.close(side, Close::Now),
            35 | 36 => self.lose_websocket(),
            37 if self.rng.one_in(3) => {
                self.faults.push("silence");
                self.silent = true;
            }
            38 if self.rng.one_in(3) && !self.gone(SERVER) && !self.polls.is_empty() => {
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
        if how == Close::Now {
            self.cut_short = true;
            self.ends[side].outbox.clear();
        } else {
            self.application(side, A::on_closing);
        }
        let end = &mut self.ends[side];
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
}
