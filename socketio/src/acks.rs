//! Who waits for which acknowledgement, without any I/O.

use crate::packet::AckId;
use std::collections::BTreeMap;

/// Who waits for which acknowledgement of one socket; `W` is how they are told.
#[derive(Debug)]
pub struct Acks<W> {
    waiting: BTreeMap<AckId, W>,
}

impl<W> Default for Acks<W> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new() }
    }
}

impl<W> Acks<W> {
    /// Notes that `waiter` waits for the acknowledgement `id`.
    pub fn insert(&mut self, id: AckId, waiter: W) {
        self.waiting.insert(id, waiter);
    }

    /// Returns who waits for `id`, once; nobody for an id that is unknown, answered or given up.
    pub fn remove(&mut self, id: AckId) -> Option<W> {
        self.waiting.remove(&id)
    }

    /// Forgets everyone.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How many are waiting.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_is_taken_once() {
        let (one, two) = (AckId::new(1).unwrap(), AckId::new(2).unwrap());
        let mut acks = Acks::default();
        acks.insert(one, "first");
        assert_eq!((acks.remove(two), acks.remove(one), acks.remove(one)), (None, Some("first"), None));
        assert_eq!(acks.waiting(), 0);
    }
}
