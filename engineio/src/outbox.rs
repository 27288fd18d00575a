//! What waits to be sent on one connection, bounded in bytes.

use std::collections::VecDeque;

use crate::{SendError, message::Outgoing};

/// Messages that no transport has taken yet, in order.
///
/// Full means that it *holds* its limit or more: a message is taken as long as there is any room, so the largest
/// message fits into any outbox, and memory stays below the limit plus one message.
#[derive(Debug)]
pub struct Outbox {
    queue: VecDeque<Outgoing>,
    bytes: usize,
    limit: usize,
}

impl Outbox {
    /// Makes an empty outbox that is full at `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { queue: VecDeque::new(), bytes: 0, limit }
    }

    /// Adds messages that stay together. All or none are taken.
    ///
    /// # Errors
    /// [`SendError::Full`].
    #[inline]
    pub fn push_all(&mut self, messages: impl IntoIterator<Item = Outgoing>) -> Result<(), SendError> {
        if self.is_full() {
            return Err(SendError::Full);
        }
        self.force_push_all(messages);
        Ok(())
    }

    /// Adds messages whatever the limit, for what is bounded elsewhere.
    #[inline]
    pub fn force_push_all(&mut self, messages: impl IntoIterator<Item = Outgoing>) {
        messages.into_iter().for_each(|message| {
            self.bytes += cost(&message);
            if self.queue.len() == self.queue.capacity() && self.queue.len() >= KEPT_CAPACITY {
                self.grow();
            }
            self.queue.push_back(message);
        });
    }

    /// Who sends more than a few sends many: makes room for them at once. Memory of its own is found faster than what
    /// there is grows, as allocators keep what a thread has freed at hand for new memory only.
    #[cold]
    fn grow(&mut self) {
        let mut larger = VecDeque::with_capacity(BURST.max(2 * self.queue.len()));
        larger.append(&mut self.queue);
        self.queue = larger;
    }

    /// Takes the oldest message.
    #[inline]
    pub fn pop(&mut self) -> Option<Outgoing> {
        let message = self.queue.pop_front()?;
        self.bytes -= cost(&message);
        if self.queue.is_empty() && self.queue.capacity() > KEPT_CAPACITY {
            // A connection that is idle again holds next to nothing.
            self.queue = VecDeque::new();
        }
        Some(message)
    }

    /// Drops everything, as when the connection ends.
    pub fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.bytes = 0;
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether nothing more is taken for now.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.limit
    }
}

/// An empty message takes room too: its place in the queue.
fn cost(message: &Outgoing) -> usize {
    message.message.len() + size_of::<Outgoing>()
}

/// Messages for which room is kept while the outbox is empty: what an answer with an attachment needs.
const KEPT_CAPACITY: usize = 4;

/// Messages for which there is room at least, once there are more than that.
const BURST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_full_at_its_limit_and_not_before() {
        let mut outbox = Outbox::new(2 * cost(&"12345".into()));
        assert_eq!(outbox.push_all(["12345".into()]), Ok(()));
        assert!(!outbox.is_full());
        assert_eq!(outbox.push_all(["12345".into()]), Ok(()));
        assert!(outbox.is_full());
        assert_eq!(outbox.push_all(["x".into()]), Err(SendError::Full));
        outbox.pop();
        assert_eq!(outbox.push_all(["1".into(), "2".into()]), Ok(()));
        let rest: Vec<_> = std::iter::from_fn(|| outbox.pop()).map(|m| m.message).collect();
        assert_eq!(rest, ["12345".into(), "1".into(), "2".into()]);
        assert_eq!(outbox.bytes, 0);
    }

    #[test]
    fn empty_messages_count_too() {
        let mut outbox = Outbox::new(1_000);
        let taken = (0..).take_while(|_| outbox.push_all(["".into()]).is_ok()).count();
        assert!(taken <= 1_000 / size_of::<Outgoing>() + 1, "{taken}");
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut outbox = Outbox::new(usize::MAX);
        outbox.force_push_all((0..1_000).map(|_| "x".into()));
        while outbox.pop().is_some() {}
        assert!(outbox.queue.capacity() <= KEPT_CAPACITY);
    }
}
