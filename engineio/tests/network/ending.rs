//! What has to hold when nothing more happens.

use engineio::CloseReason;

use super::{CLIENT, SERVER, World, name};

impl<A> World<A> {
    /// Whether both ends are open, after everything; otherwise both must have ended, for a reason.
    pub(crate) fn is_open(&self) -> bool {
        let reasons = [CLIENT, SERVER].map(|side| self.ends[side].state.closed());
        match reasons {
            [None, None] => {
                assert!(!self.closes[0] && !self.closes[1], "a close that never ends");
                let [client, server] = self.ends.each_ref().map(|end| end.state.transport());
                assert_eq!(client, server, "the ends disagree on the route");
                true
            }
            [Some(client), Some(server)] => {
                self.check_reasons(client, server);
                false
            }
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
        }
    }

    /// Whether one end closed in good order, and the other had not: that one has everything.
    pub(crate) fn is_flushed(&self, side: usize) -> bool {
        self.faults.is_empty()
            && self.ends[side].state.closed() == Some(CloseReason::ForcedClose)
            && !self.closes[1 - side]
            && !self.cut_short
            && self.ends[side].outbox.is_empty()
    }
}
