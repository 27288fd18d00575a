//! What was sent in a namespace lately, and who lost its connection: what recovery in memory needs.

use super::SavedSocket;
use crate::{encoded::Encoded, server::Target};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// Packets by number, and sockets by private id; both for a limited time and number.
///
/// All times are since an epoch of the caller's choice and never go back.
#[derive(Debug, Default)]
pub(super) struct Log {
    packets: VecDeque<Logged>,
    /// Number of the first packet that is kept.
    first: u64,
    bytes: usize,
    /// By private id, and until when.
    sockets: HashMap<String, (Duration, SavedSocket)>,
    /// Private ids in the order in which they expire; stale where the socket has come back meanwhile.
    expiry: VecDeque<(Duration, String)>,
}

#[derive(Debug)]
struct Logged {
    at: Duration,
    target: Target,
    packet: Encoded,
}

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) age: Duration,
    pub(super) bytes: usize,
    pub(super) sockets: usize,
}

impl Log {
    /// The offset of the next packet.
    pub(super) fn next_offset(&self) -> String {
        (self.first + self.packets.len() as u64).to_string()
    }

    /// Keeps the packet that was given the next offset.
    pub(super) fn push(&mut self, packet: Encoded, target: Target, now: Duration, bounds: &Bounds) {
        self.bytes += cost(&packet);
        self.packets.push_back(Logged { at: now, target, packet });
        while self.bytes > bounds.bytes && self.packets.len() > 1 {
            self.pop();
        }
    }

    /// The packets after `offset` that were for `socket`; `None` if they are not all kept.
    pub(super) fn since(&self, offset: &str, socket: &SavedSocket) -> Option<Vec<Encoded>> {
        // The packet at the offset has been seen, and need not be kept any more.
        let next = offset.parse::<u64>().ok()?.checked_add(1)?;
        let seen = usize::try_from(next.checked_sub(self.first)?).ok()?;
        if seen > self.packets.len() {
            return None;
        }
        let mut rooms = socket.rooms.clone();
        rooms.push(socket.id.as_str().into());
        let missed = self.packets.iter().skip(seen).filter(|logged| logged.target.includes(&rooms));
        Some(missed.map(|logged| logged.packet.clone()).collect())
    }

    /// Keeps a socket, in place of the one that expires next if there are too many.
    pub(super) fn save(&mut self, socket: SavedSocket, now: Duration, bounds: &Bounds) {
        while self.sockets.len() >= bounds.sockets {
            let Some((at, pid)) = self.expiry.pop_front() else { return };
            self.expire(at, &pid);
        }
        if self.expiry.len() >= 2 * bounds.sockets {
            let Self { expiry, sockets, .. } = self;
            expiry.retain(|(at, pid)| sockets.get(pid).is_some_and(|(until, _)| until == at));
        }
        let until = now.saturating_add(bounds.age);
        self.expiry.push_back((until, socket.pid.clone()));
        self.sockets.insert(socket.pid.clone(), (until, socket));
    }

    fn expire(&mut self, at: Duration, pid: &str) {
        if self.sockets.get(pid).is_some_and(|(until, _)| *until == at) {
            self.sockets.remove(pid);
        }
    }

    /// Takes the socket that `pid` names, if all packets after `offset` are kept.
    pub(super) fn claim(&mut self, pid: &str, offset: &str) -> Option<SavedSocket> {
        let (_, socket) = self.sockets.remove(pid)?;
        self.since(offset, &socket).map(|_| socket)
    }

    /// Drops what is too old. Returns when there is something to drop again.
    pub(super) fn sweep(&mut self, now: Duration, bounds: &Bounds) -> Option<Duration> {
        while self.packets.front().is_some_and(|logged| logged.at.saturating_add(bounds.age) <= now) {
            self.pop();
        }
        while self.expiry.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((at, pid)) = self.expiry.pop_front() {
                self.expire(at, &pid);
            }
        }
        let packet = self.packets.front().map(|logged| logged.at.saturating_add(bounds.age));
        packet.into_iter().chain(self.expiry.front().map(|(at, _)| *at)).min()
    }

    fn pop(&mut self) {
        if let Some(logged) = self.packets.pop_front() {
            self.bytes -= cost(&logged.packet);
            self.first += 1;
        }
    }
}

/// A small packet takes room too: its place in the queue and its target.
fn cost(packet: &Encoded) -> usize {
    packet.len() + size_of::<Logged>() + 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Room;

    const BOUNDS: Bounds = Bounds { age: Duration::from_secs(10), bytes: 100_000, sockets: 3 };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn socket(pid: &str, rooms: &[&str]) -> SavedSocket {
        let (id, rooms) = (format!("id of {pid}"), rooms.iter().map(|&room| room.into()).collect());
        SavedSocket { id, pid: pid.into(), rooms, extensions: http::Extensions::new(), data: None }
    }

    fn packet(name: &str) -> Encoded {
        Encoded::event("/", None, name, &()).unwrap()
    }

    fn to(rooms: &[&str], except: &[&str]) -> Target {
        let names = |names: &[&str]| names.iter().map(|&name| Room::from(name)).collect();
        Target { rooms: names(rooms), except: names(except) }
    }

    fn push(log: &mut Log, name: &str, target: Target, now: u64) -> String {
        let offset = log.next_offset();
        log.push(packet(name), target, at(now), &BOUNDS);
        offset
    }

    #[test]
    fn what_a_socket_missed() {
        let mut log = Log::default();
        let seen = push(&mut log, "seen", to(&[], &[]), 0);
        for (name, target) in [
            ("to all", to(&[], &[])),
            ("to another room", to(&["b"], &[])),
            ("to its room", to(&["b", "a"], &[])),
            ("to all but its room", to(&[], &["a"])),
            ("to all but itself", to(&[], &["id of p"])),
            ("to itself", to(&["id of p"], &[])),
        ] {
            push(&mut log, name, target, 0);
        }
        let missed = log.since(&seen, &socket("p", &["a"])).unwrap();
        assert_eq!(missed, ["to all", "to its room", "to itself"].map(packet));
        assert_eq!(log.since("6", &socket("p", &[])), Some(vec![]));
        for unknown in ["7", "", "-1", "x", "99999999999999999999"] {
            assert_eq!(log.since(unknown, &socket("p", &[])), None, "{unknown}");
        }
    }

    #[test]
    fn a_socket_comes_back_once() {
        let mut log = Log::default();
        let offset = push(&mut log, "a", to(&[], &[]), 0);
        log.save(socket("p", &[]), at(0), &BOUNDS);
        assert!(log.claim("q", &offset).is_none());
        assert!(log.claim("p", &offset).is_some());
        assert!(log.claim("p", &offset).is_none());
        // An offset that is not kept is as good as none, and the attempt counts.
        log.save(socket("p", &[]), at(0), &BOUNDS);
        assert!(log.claim("p", "1").is_none());
        assert!(log.claim("p", &offset).is_none());
    }

    #[test]
    fn nothing_is_kept_for_ever() {
        let mut log = Log::default();
        let offset = push(&mut log, "a", to(&[], &[]), 0);
        push(&mut log, "b", to(&[], &[]), 5);
        log.save(socket("p", &[]), at(2), &BOUNDS);
        assert_eq!(log.sweep(at(9), &BOUNDS), Some(at(10)));
        assert_eq!(log.sweep(at(10), &BOUNDS), Some(at(12)));
        assert_eq!(log.since(&offset, &socket("p", &[])), Some(vec![packet("b")]), "what followed is kept");
        assert_eq!(log.sweep(at(12), &BOUNDS), Some(at(15)));
        assert!(log.sockets.is_empty());
        assert_eq!(log.sweep(at(15), &BOUNDS), None);
        assert_eq!(log.since(&offset, &socket("p", &[])), None);
        assert_eq!((log.bytes, log.next_offset()), (0, "2".into()));
    }

    #[test]
    fn the_time_counts_from_the_last_loss() {
        let mut log = Log::default();
        let offset = push(&mut log, "a", to(&[], &[]), 0);
        log.save(socket("p", &[]), at(0), &BOUNDS);
        assert!(log.claim("p", &offset).is_some());
        log.save(socket("p", &[]), at(5), &BOUNDS);
        log.sweep(at(10), &BOUNDS);
        assert!(log.sockets.contains_key("p"));
        for _ in 0..100 {
            assert!(log.claim("p", &offset).is_some());
            log.save(socket("p", &[]), at(6), &BOUNDS);
        }
        assert!(log.expiry.len() <= 2 * BOUNDS.sockets);
    }

    #[test]
    fn nothing_is_kept_beyond_the_bounds() {
        let mut log = Log::default();
        for _ in 0..10_000 {
            push(&mut log, "a", to(&[], &[]), 0);
        }
        assert!(log.bytes <= BOUNDS.bytes && log.packets.len() < 1000);
        for pid in ["p", "q", "r", "s"] {
            log.save(socket(pid, &[]), at(0), &BOUNDS);
        }
        let offset = (log.next_offset().parse::<u64>().unwrap() - 1).to_string();
        assert!(log.claim("p", &offset).is_none());
        assert!(log.claim("s", &offset).is_some());
    }
}
