//! Which sockets of a namespace are in which rooms.

use super::{
    occupants::Occupants,
    room::{Room, SocketId},
};
use indexmap::IndexMap;
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    mem,
};

/// Membership both ways: the rooms of a socket, the sockets of a room. `S` is a handle that is cheap to
/// clone.
///
/// Every socket is alone in a room named as its id, which is not stored: names are looked up among the
/// sockets too.
pub(crate) struct Rooms<S> {
    rooms: HashMap<Room, Occupants<S>>,
    /// In about the order in which they came, and lie in memory: who goes through all of them misses the cache less.
    sockets: IndexMap<SocketId, Member<S>>,
    /// What has happened since it was last asked for; `None` if nobody asks.
    events: Option<Vec<RoomEvent>>,
}

struct Member<S> {
    socket: S,
    rooms: Vec<Room>,
}

/// Which sockets are meant: those in any of `rooms`, or everyone if there are none, but those in any of
/// `except`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Target {
    /// The rooms; empty for everyone.
    pub rooms: Vec<Room>,
    /// The rooms whose sockets are left out.
    pub except: Vec<Room>,
}

impl Target {
    /// Whether a socket that is in `rooms` is meant.
    pub(crate) fn includes(&self, rooms: &[Room]) -> bool {
        let in_any = |names: &[Room]| names.iter().any(|name| rooms.contains(name));
        (self.rooms.is_empty() || in_any(&self.rooms)) && !in_any(&self.except)
    }
}

/// What happens to rooms; see [`Namespace::on_room`](crate::Namespace::on_room).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RoomEvent {
    /// A first socket is about to be in the room.
    Create(Room),
    /// The last socket has left the room.
    Delete(Room),
    /// The socket with this id has joined the room.
    Join(Room, String),
    /// The socket with this id has left the room.
    Leave(Room, String),
}

impl<S: Clone> Rooms<S> {
    /// `observed`: whether events are to be collected.
    pub(super) fn new(observed: bool) -> Self {
        Self { rooms: HashMap::new(), sockets: IndexMap::new(), events: observed.then(Vec::new) }
    }

    /// What has happened since the last call.
    pub(super) fn take_events(&mut self) -> Vec<RoomEvent> {
        self.events.as_mut().map(mem::take).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    pub(super) fn insert(&mut self, id: SocketId, socket: S) {
        self.sockets.insert(id, Member { socket, rooms: Vec::new() });
    }

    /// Takes a socket out of the namespace and all its rooms.
    pub(super) fn remove(&mut self, id: SocketId) {
        for room in self.sockets.swap_remove(&id).map(|member| member.rooms).unwrap_or_default() {
            self.vacate(id, &room);
        }
        // The memory of a crowd goes with it.
        if self.sockets.capacity() > 64 && self.sockets.len() * 4 < self.sockets.capacity() {
            self.sockets.shrink_to_fit();
        }
    }

    /// Does nothing for a socket that is not (any more) in the namespace. Fails for one that is in `limit`
    /// rooms.
    pub(super) fn join(&mut self, id: SocketId, room: Room, limit: usize) -> Result<(), ()> {
        let Some(member) = self.sockets.get_mut(&id) else { return Ok(()) };
        if SocketId::named(room.as_str()) == Some(id) || member.rooms.contains(&room) {
            return Ok(());
        }
        if member.rooms.len() >= limit {
            return Err(());
        }
        let socket = member.socket.clone();
        let is_new = match self.rooms.entry(room.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Occupants::One(id, socket));
                true
            }
            Entry::Occupied(entry) => {
                let (room, sockets) = entry.remove_entry();
                self.rooms.insert(room, sockets.add(id, socket));
                false
            }
        };
        if let Some(events) = &mut self.events {
            if is_new {
                events.push(RoomEvent::Create(room.clone()));
            }
            events.push(RoomEvent::Join(room.clone(), id.as_str().to_owned()));
        }
        if member.rooms.is_empty() {
            // Most sockets are in one room.
            member.rooms.reserve_exact(1);
        }
        member.rooms.push(room);
        Ok(())
    }

    pub(super) fn leave(&mut self, id: SocketId, room: &Room) {
        let Some(member) = self.sockets.get_mut(&id) else { return };
        if let Some(at) = member.rooms.iter().position(|joined| joined == room) {
            member.rooms.swap_remove(at);
            self.vacate(id, room);
        }
    }

    /// All rooms that have sockets.
    pub(crate) fn all(&self) -> Vec<Room> {
        self.rooms.keys().cloned().collect()
    }

    /// The rooms that a socket has joined.
    pub(super) fn of(&self, id: SocketId) -> Vec<Room> {
        self.sockets.get(&id).map(|member| member.rooms.clone()).unwrap_or_default()
    }

    pub(super) fn contains(&self, id: SocketId, room: &str) -> bool {
        self.sockets.get(&id).is_some_and(|member| member.rooms.iter().any(|joined| joined.as_str() == room))
    }

    pub(super) fn socket(&self, id: &str) -> Option<&S> {
        self.sockets.get(&SocketId::named(id)?).map(|member| &member.socket)
    }

    /// The sockets that `target` means, each once.
    pub(super) fn select(&self, target: &Target) -> Vec<S> {
        let excluded: Vec<_> =
            target.except.iter().map(|room| (SocketId::named(room.as_str()), self.rooms.get(room))).collect();
        let receives = |id: &SocketId| {
            !excluded.iter().any(|(own, room)| {
                own.as_ref() == Some(id) || room.is_some_and(|sockets| sockets.contains(id))
            })
        };
        if target.rooms.is_empty() {
            let all = self.sockets.iter().filter(|(id, _)| receives(id));
            // Nearly all are meant, as a rule.
            let mut selected = Vec::with_capacity(self.sockets.len());
            selected.extend(all.map(|(_, member)| member.socket.clone()));
            return selected;
        }
        // A socket is in one room once, so that only a union of several can name it twice.
        let mut seen = (target.rooms.len() > 1).then(HashSet::new);
        let most: usize =
            target.rooms.iter().map(|room| self.rooms.get(room).map_or(1, Occupants::len)).sum();
        let mut selected = Vec::with_capacity(most);
        for room in &target.rooms {
            let own = SocketId::named(room.as_str()).and_then(|id| self.sockets.get_key_value(&id));
            let own = own.map(|(id, member)| (id, &member.socket));
            for (id, socket) in self.rooms.get(room).into_iter().flat_map(Occupants::iter).chain(own) {
                if receives(id) && seen.as_mut().is_none_or(|seen| seen.insert(*id)) {
                    selected.push(socket.clone());
                }
            }
        }
        selected
    }

    fn vacate(&mut self, id: SocketId, room: &Room) {
        if let Some((room, sockets)) = self.rooms.remove_entry(room) {
            let left = sockets.without(id);
            let is_empty = left.is_none();
            if let Some(left) = left {
                self.rooms.insert(room.clone(), left);
            }
            if let Some(events) = &mut self.events {
                events.push(RoomEvent::Leave(room.clone(), id.as_str().to_owned()));
                if is_empty {
                    events.push(RoomEvent::Delete(room.clone()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn id(number: u8) -> SocketId {
        SocketId::of_bytes([b'a' + number; 20])
    }

    fn names(rooms: &[&str]) -> Vec<Room> {
        rooms.iter().map(|&name| name.into()).collect()
    }

    fn four() -> Rooms<u8> {
        let mut rooms = Rooms::new(true);
        for number in 0..4 {
            rooms.insert(id(number), number);
        }
        for (number, room) in [(0, "r"), (1, "r"), (1, "s"), (2, "s")] {
            rooms.join(id(number), room.into(), 10).unwrap();
        }
        rooms
    }

    #[test]
    fn selection() {
        let rooms = four();
        let own = id(3);
        for (to, except, expected) in [
            (&[][..], &[][..], &[0, 1, 2, 3][..]),
            (&["r"], &[], &[0, 1]),
            (&["r", "s"], &[], &[0, 1, 2]),
            (&["r", "r"], &[], &[0, 1]),
            (&["r", own.as_str()], &["s"], &[0, 3]),
            (&[own.as_str()], &[], &[3]),
            (&["r", "s", own.as_str()], &[own.as_str()], &[0, 1, 2]),
            (&[], &["r", "none"], &[2, 3]),
            (&["none"], &[], &[]),
        ] {
            let mut selected = rooms.select(&Target { rooms: names(to), except: names(except) });
            selected.sort_unstable();
            assert_eq!(selected, expected, "to {to:?} except {except:?}");
        }
    }

    #[test]
    fn empty_rooms_vanish() {
        let mut rooms = four();
        rooms.leave(id(2), &"s".into());
        rooms.leave(id(2), &"s".into());
        rooms.remove(id(1));
        rooms.join(id(1), "t".into(), 10).unwrap();
        rooms.join(id(0), id(0).as_str().into(), 10).unwrap();
        assert_eq!(rooms.rooms.keys().collect::<Vec<_>>(), [&"r".into()]);
        assert_eq!((rooms.of(id(0)), rooms.of(id(1))), (names(&["r"]), vec![]));
    }

    #[test]
    fn a_socket_joins_so_many_rooms() {
        let mut rooms = four();
        assert_eq!(rooms.join(id(1), "t".into(), 2), Err(()));
        assert_eq!(rooms.join(id(1), "s".into(), 2), Ok(()));
        assert_eq!(rooms.of(id(1)).len(), 2);
    }

    #[test]
    fn events_tell_real_changes() {
        let mut rooms = four();
        rooms.take_events();
        rooms.join(id(0), "t".into(), 10).unwrap();
        rooms.join(id(0), "t".into(), 10).unwrap();
        rooms.leave(id(0), &"none".into());
        rooms.leave(id(1), &"r".into());
        rooms.remove(id(0));
        let (own, other) = (|| id(0).as_str().to_owned(), id(1).as_str().to_owned());
        let expected = [
            RoomEvent::Create("t".into()),
            RoomEvent::Join("t".into(), own()),
            RoomEvent::Leave("r".into(), other),
            RoomEvent::Leave("r".into(), own()),
            RoomEvent::Delete("r".into()),
            RoomEvent::Leave("t".into(), own()),
            RoomEvent::Delete("t".into()),
        ];
        assert_eq!(rooms.take_events(), expected);
    }

    #[test]
    fn targets() {
        let target = |rooms: &[&str], except: &[&str]| Target { rooms: names(rooms), except: names(except) };
        let member = names(&["a", "b"]);
        assert!(target(&[], &[]).includes(&member));
        assert!(target(&["x", "b"], &["y"]).includes(&member));
        assert!(!target(&["x"], &[]).includes(&member));
        assert!(!target(&[], &["a"]).includes(&member));
    }

    proptest! {
        #[test]
        fn both_ways_agree(steps in prop::collection::vec((0..3_u8, 0..6_u8, 0..4_u8), 0..60)) {
            let (mut rooms, mut model) = (four(), BTreeSet::from([(0, 'r'), (1, 'r'), (1, 's'), (2, 's')]));
            for (step, number, room) in steps {
                let room = ['r', 's', 't', 'u'][usize::from(room)];
                match step {
                    0 if number < 4 && rooms.socket(id(number).as_str()).is_some() => {
                        rooms.join(id(number), room.to_string().into(), 10).unwrap();
                        model.insert((number, room));
                    }
                    1 => {
                        rooms.leave(id(number), &room.to_string().into());
                        model.remove(&(number, room));
                    }
                    2 => {
                        rooms.remove(id(number));
                        model.retain(|&(member, _)| member != number);
                    }
                    _ => rooms.join(id(9), room.to_string().into(), 10).unwrap(),
                }
            }
            let found: BTreeSet<(u8, char)> = rooms.rooms.iter().flat_map(|(room, sockets)| {
                let room = room.as_str().chars().next().unwrap();
                sockets.iter().map(move |(_, &number)| (number, room))
            }).collect();
            prop_assert_eq!(&found, &model);
            let count: usize = (0..4).map(|number| rooms.of(id(number)).len()).sum();
            prop_assert_eq!(count, model.len());
        }
    }
}
