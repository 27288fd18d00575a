//! What waits to be sent on one connection, bounded in bytes.

use std::{cell::Cell, collections::VecDeque, mem};

use crate::{SendError, message::Outgoing};

/// Messages that no transport has taken yet, in order.
///
/// Full means that it *holds* its limit or more: a message is taken as long as there is any room, so the largest
/// message fits into any outbox, and memory stays below the limit plus one message, twice that for copied texts.
#[derive(Debug)]
pub struct Outbox {
    queue: VecDeque<Queued>,
    /// The texts that were copied, one behind the other, up to the end; what is before `taken` has left.
    copied: String,
    taken: usize,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
enum Queued {
    Message(Outgoing),
    /// So many bytes of `copied`.
    Copied(usize),
}

/// What leaves an outbox.
#[derive(Debug)]
pub enum Departure<'a> {
    /// A message, as it was queued.
    Message(Outgoing),
    /// A text that was copied.
    Text(&'a str),
}

impl Outbox {
    /// Makes an empty outbox that is full at `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { queue: VecDeque::new(), copied: String::new(), taken: 0, bytes: 0, limit }
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
        messages.into_iter().for_each(|message| self.push(Queued::Message(message)));
    }

    /// Adds a copy of a small text, which costs less than a message with memory of its own.
    ///
    /// # Errors
    /// [`SendError::Full`].
    #[inline]
    pub fn push_copy(&mut self, text: &str) -> Result<(), SendError> {
        if self.is_full() {
            return Err(SendError::Full);
        }
        self.furnish();
        if self.copied.capacity() == 0 {
            self.copied.reserve(COPIED);
        } else if self.taken >= COPIED && self.taken > self.copied.len() / 2 {
            // What has left makes room, so seldom that each text is moved once at most.
            self.copied.drain(..mem::take(&mut self.taken));
        }
        self.copied.push_str(text);
        self.push(Queued::Copied(text.len()));
        Ok(())
    }

    #[inline]
    fn push(&mut self, queued: Queued) {
        self.furnish();
        self.bytes += cost(match &queued {
            Queued::Message(outgoing) => outgoing.message.len(),
            Queued::Copied(length) => *length,
        });
        self.queue.push_back(queued);
    }

    /// Takes memory that another outbox has left, if this one has none.
    #[inline]
    fn furnish(&mut self) {
        if self.queue.capacity() == 0 {
            (self.queue, self.copied) = SPARE.take();
            if self.queue.capacity() == 0 {
                // From now on it has memory, wherever that comes from.
                self.queue.reserve(FEW);
            }
        }
    }

    /// Takes the oldest message. A connection that is idle again holds nothing: memory is given back when this, or
    /// [`pop_text`](Self::pop_text), is asked in vain.
    #[inline]
    pub fn pop(&mut self) -> Option<Departure<'_>> {
        let Some(queued) = self.queue.pop_front() else {
            self.vacate();
            return None;
        };
        Some(match queued {
            Queued::Message(message) => {
                self.bytes -= cost(message.message.len());
                Departure::Message(message)
            }
            Queued::Copied(length) => Departure::Text(self.take_copied(length)),
        })
    }

    /// Takes the oldest message if it is a text that was copied, as when many small ones leave together.
    #[inline]
    pub fn pop_text(&mut self) -> Option<&str> {
        match self.queue.front() {
            Some(&Queued::Copied(length)) => {
                self.queue.pop_front();
                Some(self.take_copied(length))
            }
            Some(Queued::Message(_)) => None,
            None => {
                self.vacate();
                None
            }
        }
    }

    #[inline]
    fn take_copied(&mut self, length: usize) -> &str {
        self.bytes -= cost(length);
        let start = self.taken;
        self.taken += length;
        &self.copied[start..self.taken]
    }

    fn vacate(&mut self) {
        if self.queue.capacity() == 0 {
            return;
        }
        let (queue, mut copied) = (mem::take(&mut self.queue), mem::take(&mut self.copied));
        self.taken = 0;
        if queue.capacity() <= KEPT_MESSAGES && copied.capacity() <= KEPT_BYTES {
            copied.clear();
            SPARE.set((queue, copied));
        }
    }

    /// Drops everything, as when the connection ends.
    pub fn clear(&mut self) {
        *self = Self::new(self.limit);
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

/// What a message of so many bytes counts. An empty one takes room too: its place in the queue.
fn cost(length: usize) -> usize {
    length + size_of::<Queued>()
}

/// Messages, and bytes of copies, for which there is room at least, once there are any.
const FEW: usize = 4;
const COPIED: usize = 1 << 10;

thread_local! {
    /// Memory that no outbox needs now, for the next that does.
    static SPARE: Cell<(VecDeque<Queued>, String)> = const { Cell::new((VecDeque::new(), String::new())) };
}

/// Up to which size such memory is kept.
const KEPT_MESSAGES: usize = 64;
const KEPT_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn drain(outbox: &mut Outbox) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(next) = outbox.pop() {
            texts.push(match next {
                Departure::Message(Outgoing { message: Message::Text(text), .. }) => text.to_string(),
                Departure::Message(other) => panic!("{other:?}"),
                Departure::Text(text) => text.to_owned(),
            });
        }
        texts
    }

    #[test]
    fn is_full_at_its_limit_and_not_before() {
        let mut outbox = Outbox::new(2 * cost(5));
        assert_eq!(outbox.push_all(["12345".into()]), Ok(()));
        assert!(!outbox.is_full());
        assert_eq!(outbox.push_all(["12345".into()]), Ok(()));
        assert!(outbox.is_full());
        assert_eq!(outbox.push_all(["x".into()]), Err(SendError::Full));
        outbox.pop();
        assert_eq!(outbox.push_all(["1".into(), "2".into()]), Ok(()));
        assert_eq!(drain(&mut outbox), ["12345", "1", "2"]);
        assert_eq!(outbox.bytes, 0);
    }

    #[test]
    fn empty_messages_count_too() {
        let mut outbox = Outbox::new(1_000);
        let taken = (0..).take_while(|_| outbox.push_all(["".into()]).is_ok()).count();
        assert!(taken <= 1_000 / size_of::<Outgoing>() + 1, "{taken}");
    }

    #[test]
    fn an_empty_outbox_holds_no_memory() {
        let mut outbox = Outbox::new(usize::MAX);
        outbox.force_push_all((0..1_000).map(|_| "x".into()));
        (0..1_000).for_each(|_| outbox.push_copy("x").unwrap());
        assert_eq!(drain(&mut outbox).len(), 2_000);
        assert_eq!((outbox.queue.capacity(), outbox.copied.capacity()), (0, 0));
        assert_eq!(SPARE.take().0.capacity(), 0, "of a burst, none is kept at all");
        outbox.push_copy("x").unwrap();
        assert_eq!(drain(&mut outbox), ["x"]);
        let mut other = Outbox::new(usize::MAX);
        other.push_copy("y").unwrap();
        assert_eq!(SPARE.take().1.capacity(), 0, "the next has taken it");
        assert_eq!(drain(&mut other), ["y"]);
    }

    #[test]
    fn copies_leave_in_order_with_all_others() {
        let mut outbox = Outbox::new(usize::MAX);
        let mut expected = VecDeque::new();
        for number in 0..10_000 {
            let text = format!("{number} {}", "é".repeat(number % 50));
            if number % 7 == 0 {
                outbox.force_push_all([text.clone().into()]);
            } else {
                outbox.push_copy(&text).unwrap();
            }
            expected.push_back(text);
            // Slower than it is filled.
            if number % 3 > 0 {
                let text = if number % 2 == 0 { outbox.pop_text().map(str::to_owned) } else { None };
                let next = text.unwrap_or_else(|| match outbox.pop() {
                    Some(Departure::Text(text)) => text.to_owned(),
                    Some(Departure::Message(next)) => {
                        String::from_utf8(next.message.as_bytes().to_vec()).unwrap()
                    }
                    None => panic!("it is not empty"),
                });
                assert_eq!(Some(next), expected.pop_front());
            }
        }
        assert!(outbox.copied.len() < 3 * outbox.bytes, "what has left makes room");
        assert_eq!(drain(&mut outbox), Vec::from(expected));
        assert_eq!(outbox.bytes, 0);
    }

    #[test]
    fn copies_count() {
        let mut outbox = Outbox::new(2 * cost(5));
        assert_eq!(outbox.push_copy("12345"), Ok(()));
        assert_eq!(outbox.push_copy("12345"), Ok(()));
        assert_eq!(outbox.push_copy("1"), Err(SendError::Full));
        assert_eq!(drain(&mut outbox), ["12345", "12345"]);
    }
}
