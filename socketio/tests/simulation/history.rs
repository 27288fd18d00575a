//! What has happened in every membership at both ends, and what must be true of it.

use bytes::Bytes;
use socketio::Arguments;

use crate::network::{CLIENT, Rng, SERVER, name};

/// All memberships of a run, those included that were refused.
#[derive(Default)]
pub(crate) struct History {
    memberships: Vec<Membership>,
}

/// One membership; the index of an array is the end that sent, received, joined or ended.
struct Membership {
    namespace: &'static str,
    sent: [Vec<Ack>; 2],
    received: [usize; 2],
    joined: [bool; 2],
    ended: [Option<Cause>; 2],
    /// How many events the server sent before its consent.
    early: usize,
}

/// How a membership ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    ConnectionLost,
    /// Or refused.
    OwnWill,
    Told,
}

/// The acknowledgement of an event, as the sender of the event and as the receiver knows it.
#[derive(Clone, Copy)]
struct Ack {
    fate: Fate,
    /// The answer has been sent.
    sent: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Answered,
    /// The membership ended before.
    Ended,
    GivenUp,
    NotAsked,
    Waiting,
}

/// What an event or an acknowledgement carries.
pub(crate) type Data = (usize, usize, Vec<Bytes>);

/// What a packet is, for its [`data`] to be its own.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Ack,
    Event,
}

/// Membership, number of the event, and attachments, which nobody can have made up.
pub(crate) fn data(kind: Kind, sender: usize, membership: usize, number: usize) -> Data {
    let seed = ((membership * 1_000 + number) * 2 + sender) * 2 + kind as usize;
    let mut rng = Rng::new(seed as u64);
    let count = if rng.one_in(4) { rng.below(11) } else { 0 };
    let attachments = (0..count).map(|_| {
        let bytes = vec![rng.below(256) as u8; rng.below(40) as usize];
        Bytes::from(bytes)
    });
    (membership, number, attachments.collect())
}

impl History {
    /// A client asks to join; returns the membership that it may become.
    pub(crate) fn request(&mut self, namespace: &'static str) -> usize {
        self.memberships.push(Membership {
            namespace,
            sent: [Vec::new(), Vec::new()],
            received: [0; 2],
            joined: [false; 2],
            ended: [None; 2],
            early: 0,
        });
        self.memberships.len() - 1
    }

    pub(crate) fn namespace(&self, membership: usize) -> &'static str {
        self.memberships[membership].namespace
    }

    pub(crate) fn is_joined(&self, side: usize, membership: usize) -> bool {
        let membership = &self.memberships[membership];
        membership.joined[side] && membership.ended[side].is_none()
    }

    /// The server consents.
    pub(crate) fn admit(&mut self, membership: usize) {
        let membership = &mut self.memberships[membership];
        membership.joined[SERVER] = true;
        membership.early = membership.sent[SERVER].len();
    }

    /// The client hears the consent. A client that has left before cannot tell early events from belated ones.
    pub(crate) fn join(&mut self, membership: usize, has_left_before: bool) {
        let membership = &mut self.memberships[membership];
        assert!(membership.joined[SERVER] && !membership.joined[CLIENT], "a consent that nobody gave");
        membership.joined[CLIENT] = true;
        if has_left_before {
            membership.received[CLIENT] = membership.early;
        }
    }

    /// The client has taken the events that came before the consent.
    pub(crate) fn check_early(&self, membership: usize) {
        let membership = &self.memberships[membership];
        assert_eq!(membership.received[CLIENT], membership.early, "events before the consent are missing");
    }

    /// The number of the next event.
    pub(crate) fn next(&self, side: usize, membership: usize) -> usize {
        self.memberships[membership].sent[side].len()
    }

    pub(crate) fn send(&mut self, side: usize, membership: usize, asks: bool) {
        let fate = if asks { Fate::Waiting } else { Fate::NotAsked };
        self.memberships[membership].sent[side].push(Ack { fate, sent: false });
    }

    /// An event reaches a handler; returns its number.
    pub(crate) fn receive(&mut self, side: usize, membership: usize, arguments: &Arguments) -> usize {
        assert!(self.is_joined(side, membership), "an event outside of its membership at {}", name(side));
        let number = &mut self.memberships[membership].received[side];
        let received: Data = arguments.decode().unwrap();
        let expected = data(Kind::Event, 1 - side, membership, *number);
        assert_eq!(received, expected, "lost, repeated, changed or out of order at {}", name(side));
        *number += 1;
        *number - 1
    }

    /// An answer is sent.
    pub(crate) fn answer(&mut self, side: usize, membership: usize, number: usize) {
        self.memberships[membership].sent[1 - side][number].sent = true;
    }

    /// An answer arrives, for the event `waiting` if for any.
    pub(crate) fn hear(
        &mut self,
        side: usize,
        membership: usize,
        waiting: Option<usize>,
        arguments: &Arguments,
    ) {
        assert!(self.is_joined(side, membership), "an answer outside of its membership at {}", name(side));
        let received: Data = arguments.decode().unwrap();
        let number = waiting.unwrap_or(received.1);
        let expected = data(Kind::Ack, 1 - side, membership, number);
        assert_eq!(received, expected, "an answer to somebody else at {}", name(side));
        let fate = &mut self.memberships[membership].sent[side][number].fate;
        match waiting {
            Some(_) => {
                assert_eq!(*fate, Fate::Waiting, "a second answer at {}", name(side));
                *fate = Fate::Answered;
            }
            None => assert!(matches!(fate, Fate::Answered | Fate::GivenUp), "an answer that nobody took"),
        }
    }

    pub(crate) fn give_up(&mut self, side: usize, membership: usize, number: usize) {
        self.memberships[membership].sent[side][number].fate = Fate::GivenUp;
    }

    /// A membership, or the wish for it, ends at one end, where `waiting` answers are waited for.
    pub(crate) fn end(&mut self, side: usize, membership: usize, cause: Cause, waiting: usize) {
        let membership = &mut self.memberships[membership];
        assert_eq!(membership.ended[side].replace(cause), None, "{} ends twice", name(side));
        if cause == Cause::Told {
            assert_eq!(membership.ended[1 - side], Some(Cause::OwnWill), "told by nobody");
            let sent = membership.sent[1 - side].len();
            assert_eq!(membership.received[side], sent, "lost before a disconnect at {}", name(side));
        }
        let mut pending = 0;
        for ack in &mut membership.sent[side] {
            if ack.fate == Fate::Waiting {
                ack.fate = Fate::Ended;
                pending += 1;
            }
        }
        assert_eq!(waiting, pending, "answers that are waited for at {}", name(side));
    }

    /// What has to hold when nothing more happens on an open connection.
    pub(crate) fn check_open(&self, joined: &[usize]) {
        for (number, membership) in self.memberships.iter().enumerate() {
            if !joined.contains(&number) {
                assert!(membership.ended[SERVER].is_some(), "neither joined nor ended at the server");
                assert_eq!(
                    membership.joined[CLIENT],
                    membership.ended[CLIENT].is_some(),
                    "no end at the client"
                );
                continue;
            }
            assert_eq!((membership.joined, membership.ended), ([true; 2], [None; 2]));
            for (side, peer) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
                let sent = &membership.sent[side];
                assert_eq!(membership.received[peer], sent.len(), "events of {} are missing", name(side));
                let missing = sent.iter().any(|ack| ack.fate == Fate::Waiting && ack.sent);
                assert!(!missing, "an answer to {} is missing", name(side));
            }
        }
    }

    /// What has to hold when `side` closed the connection in good order: the other has heard everything.
    pub(crate) fn check_flushed(&self, side: usize) {
        let peer = 1 - side;
        for membership in &self.memberships {
            if membership.joined[peer] && membership.ended[peer] != Some(Cause::OwnWill) {
                let sent = membership.sent[side].len();
                assert_eq!(membership.received[peer], sent, "events of {} are missing", name(side));
            }
        }
    }

    /// Whether all memberships have ended at an end.
    pub(crate) fn is_over(&self, side: usize) -> bool {
        (0..self.memberships.len()).all(|membership| !self.is_joined(side, membership))
    }
}
