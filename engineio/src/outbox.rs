//! What waits to be sent on one connection, bounded in bytes.

use std::{cell::Cell, collections::VecDeque, mem};

use crate::{SendError, message::Outgoing};

/// Messages that no transport has taken yet, in order.
///
/// Full means that it *holds* its limit or more: a message is taken as long as there is any room, so the largest
/// message fits into any outbox, and memory stays below the limit plus one message, twice that for copied texts.
#[derive(Debug)]
pub struct Outbox {
    /// There while anything waits, and until it is found that nothing does.
    waiting: Option<Box<Waiting>>,
    /// Bytes that may still be taken; none or less is full.
    room: isize,
}

#[derive(Debug)]
struct Waiting {
    queue: VecDeque<Queued>,
    /// The texts that were copied, one behind the other, up to the end; what is before `taken` has left.
    copied: String,
    taken: usize,
}

#[derive(Debug)]
enum Queued {
    Message(Outgoing),
    /// So many bytes of `copied`.
    Copied(usize),
}

impl Queued {
    fn cost(&self) -> isize {
        match self {
            Self::Message(message) => cost(message.message.len()),
            Self::Copied(length) => cost(*length),
        }
    }
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
        Self { waiting: None, room: isize::try_from(limit).unwrap_or(isize::MAX) }
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
        for message in messages {
            self.room -= cost(message.message.len());
            waiting(&mut self.waiting).queue.push_back(Queued::Message(message));
        }
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
        self.room -= cost(text.len());
        let Waiting { queue, copied, taken } = waiting(&mut self.waiting);
        if *taken >= GAP && *taken > copied.len() / 2 {
            // What has left makes room, so seldom that each text is moved once at most.
            copied.drain(..mem::take(taken));
        }
        copied.push_str(text);
        queue.push_back(Queued::Copied(text.len()));
        Ok(())
    }

    /// Takes the oldest message. A connection that is idle again holds nothing: memory is given back when this, or
    /// [`pop_text`](Self::pop_text), is asked in vain.
    #[inline]
    pub fn pop(&mut self) -> Option<Departure<'_>> {
        if self.is_empty() {
            self.vacate();
            return None;
        }
        let Waiting { queue, copied, taken } = self.waiting.as_deref_mut()?;
        let next = queue.pop_front()?;
        self.room += next.cost();
        Some(match next {
            Queued::Message(message) => Departure::Message(message),
            Queued::Copied(length) => Departure::Text(take(copied, taken, length)),
        })
    }

    /// Takes the oldest message if it is a text that was copied, as when many small ones leave together.
    #[inline]
    pub fn pop_text(&mut self) -> Option<&str> {
        if self.is_empty() {
            self.vacate();
            return None;
        }
        let Waiting { queue, copied, taken } = self.waiting.as_deref_mut()?;
        let &Queued::Copied(length) = queue.front()? else { return None };
        queue.pop_front();
        self.room += cost(length);
        Some(take(copied, taken, length))
    }

    fn vacate(&mut self) {
        if let Some(mut waiting) = self.waiting.take()
            && waiting.queue.capacity() <= KEPT_MESSAGES
            && waiting.copied.capacity() <= KEPT_BYTES
        {
            waiting.copied.clear();
            waiting.taken = 0;
            SPARE.set(Some(waiting));
        }
    }

    /// Drops everything, as when the connection ends.
    pub fn clear(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.room += waiting.queue.iter().map(Queued::cost).sum::<isize>();
        }
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.as_ref().is_none_or(|waiting| waiting.queue.is_empty())
    }

    /// Whether nothing more is taken for now.
    pub fn is_full(&self) -> bool {
        self.room <= 0
    }
}

/// What waits, in memory that another outbox has left if there was none.
#[inline]
fn waiting(waiting: &mut Option<Box<Waiting>>) -> &mut Waiting {
    waiting.get_or_insert_with(|| {
        SPARE.take().unwrap_or_else(|| {
            let queue = VecDeque::with_capacity(FEW);
            Box::new(Waiting { queue, copied: String::new(), taken: 0 })
        })
    })
}

#[inline]
fn take<'a>(copied: &'a str, taken: &mut usize, length: usize) -> &'a str {
    let start = mem::replace(taken, *taken + length);
    &copied[start..*taken]
}

/// What a message of so many bytes counts. An empty one takes room too: its place in the queue.
fn cost(length: usize) -> isize {
    // No allocation is greater.
    (length + size_of::<Queued>()) as isize
}

/// Messages for which there is room at least, once there are any.
const FEW: usize = 4;

/// Bytes of copies that have left before others are moved into their place.
const GAP: usize = 1 << 10;

thread_local! {
    /// Memory that no outbox needs now, for the next that does.
    static SPARE: Cell<Option<Box<Waiting>>> = const { Cell::new(None) };
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
        let mut outbox = Outbox::new(2 * cost(5) as usize);
        assert_eq!(outbox.push_all(["12345".into()]), Ok(()));
        assert!(!outbox.is_full());
        assert_eq!(outbox.push_all(["12345".into()]), Ok(()));
        assert!(outbox.is_full());
        assert_eq!(outbox.push_all(["x".into()]), Err(SendError::Full));
        outbox.pop();
        assert_eq!(outbox.push_all(["1".into(), "2".into()]), Ok(()));
        outbox.force_push_all(["3".into()]);
        outbox.push_copy("4").unwrap_err();
        outbox.clear();
        assert_eq!(outbox.room, 2 * cost(5), "what is dropped takes no room");
        assert!(outbox.is_empty());
        assert_eq!(outbox.push_all(["1".into(), "2".into()]), Ok(()));
        assert_eq!(drain(&mut outbox), ["1", "2"]);
        assert_eq!(outbox.room, 2 * cost(5));
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
        assert!(outbox.waiting.is_none());
        assert!(SPARE.take().is_none(), "of a burst, none is kept at all");
        outbox.push_copy("x").unwrap();
        assert_eq!(drain(&mut outbox), ["x"]);
        let mut other = Outbox::new(usize::MAX);
        other.push_copy("y").unwrap();
        assert!(SPARE.take().is_none(), "the next has taken it");
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
        assert!(
            outbox.waiting.as_ref().unwrap().copied.len() < 3 * (isize::MAX - outbox.room) as usize,
            "what has left makes room"
        );
        assert_eq!(drain(&mut outbox), Vec::from(expected));
        assert_eq!(outbox.room, isize::MAX);
    }

    #[test]
    fn copies_count() {
        let mut outbox = Outbox::new(2 * cost(5) as usize);
        assert_eq!(outbox.push_copy("12345"), Ok(()));
        assert_eq!(outbox.push_copy("12345"), Ok(()));
        assert_eq!(outbox.push_copy("1"), Err(SendError::Full));
        assert_eq!(drain(&mut outbox), ["12345", "12345"]);
    }
}
