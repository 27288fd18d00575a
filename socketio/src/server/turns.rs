//! Whose turn it is in ordered namespaces.

use super::room::SocketId;
use crate::{connection::IncomingEvent, error::DisconnectReason};
use std::collections::{HashMap, VecDeque};

/// What waits for the handlers before it, of each socket that has a handler running.
#[derive(Default)]
pub(super) struct Turns {
    sockets: HashMap<SocketId, VecDeque<Turn>>,
    waiting: usize,
}

/// Something that runs handlers.
#[derive(Debug)]
pub(super) enum Turn {
    Connected,
    Disconnected(DisconnectReason),
    Event(IncomingEvent),
    Upgraded,
}

impl Turns {
    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Gives `turn` back if it can start at once, and has it wait else.
    pub(super) fn enter(&mut self, socket: SocketId, turn: Turn) -> Option<Turn> {
        if let Some(queue) = self.sockets.get_mut(&socket) {
            if matches!(turn, Turn::Disconnected(_)) {
                // No event is started once its socket is disconnected.
                self.waiting -= queue.len();
                queue.retain(|turn| !matches!(turn, Turn::Event(_)));
                self.waiting += queue.len();
            }
            queue.push_back(turn);
            self.waiting += 1;
            return None;
        }
        self.sockets.insert(socket, VecDeque::new());
        Some(turn)
    }

    /// A handler has ended: what is next.
    pub(super) fn next(&mut self, socket: SocketId) -> Option<Turn> {
        let next = self.sockets.get_mut(&socket)?.pop_front();
        match next {
            Some(_) => self.waiting -= 1,
            None => drop(self.sockets.remove(&socket)),
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Content, MAX_ATTACHMENTS, Packet};

    fn event(name: &str) -> Turn {
        let packet = Packet::parse(&format!(r#"2["{name}"]"#).into(), MAX_ATTACHMENTS).unwrap().0;
        let Content::Event { id, name, arguments } = packet.content else { panic!("an event") };
        Turn::Event(IncomingEvent { id, name, arguments })
    }

    fn told(turn: Option<Turn>) -> String {
        match turn {
            Some(Turn::Event(event)) => event.name().to_owned(),
            Some(Turn::Disconnected(_)) => "disconnected".into(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn one_after_another() {
        let (mut turns, one, two) =
            (Turns::default(), SocketId::of_bytes([b'a'; 20]), SocketId::of_bytes([b'b'; 20]));
        assert_eq!(told(turns.enter(one, event("a"))), "a");
        assert_eq!(told(turns.enter(two, event("b"))), "b");
        assert_eq!(told(turns.enter(one, event("c"))), "None");
        assert_eq!(told(turns.enter(one, event("d"))), "None");
        assert_eq!(turns.waiting(), 2);
        assert_eq!(told(turns.next(one)), "c");
        assert_eq!(told(turns.enter(one, Turn::Disconnected(DisconnectReason::ForcedClose))), "None");
        assert_eq!(turns.waiting(), 1);
        assert_eq!(told(turns.next(one)), "disconnected");
        assert_eq!(told(turns.next(one)), "None");
        assert_eq!(told(turns.next(two)), "None");
        assert!(turns.sockets.is_empty() && turns.waiting() == 0);
    }
}
