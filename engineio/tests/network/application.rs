//! What uses the network.

use engineio::{Message, Outgoing};

use super::{End, Rng};

/// The programs at both ends.
pub(crate) trait Application {
    /// The program at one end does something of its own accord.
    fn act(&mut self, port: &mut Port<'_>);

    /// A message has arrived.
    fn on_message(&mut self, message: Message, port: &mut Port<'_>);

    /// What [`Port::wake_later`] has asked for.
    fn on_wake(&mut self, token: usize, port: &mut Port<'_>);

    /// The program is about to close the connection when all is sent.
    fn on_closing(&mut self, _: &mut Port<'_>) {}

    /// The connection has ended at one end; nothing arrives there any more.
    fn on_close(&mut self, _: usize) {}
}

/// What a program has of its end of the connection.
pub(crate) struct Port<'a> {
    pub(crate) side: usize,
    pub(crate) rng: &'a mut Rng,
    pub(super) end: &'a mut End,
    pub(super) wakes: &'a mut Vec<Wake>,
}

impl Port<'_> {
    /// Queues messages, if there is room; tells whether they were taken.
    pub(crate) fn send(&mut self, messages: impl IntoIterator<Item = Outgoing>) -> bool {
        self.end.state.is_open() && self.end.outbox.push_all(messages).is_ok()
    }

    /// Queues messages, if the connection is open.
    pub(crate) fn force_send(&mut self, messages: impl IntoIterator<Item = Outgoing>) -> bool {
        let open = self.end.state.is_open();
        if open {
            self.end.outbox.force_push_all(messages);
        }
        open
    }

    /// Asks to be woken with `token` in a while.
    pub(crate) fn wake_later(&mut self, token: usize) {
        self.wakes.push(Wake { side: self.side, token });
    }
}

/// A wish to be woken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wake {
    pub(super) side: usize,
    pub(super) token: usize,
}
