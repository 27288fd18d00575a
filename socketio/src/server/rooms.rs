//! Which sockets of a namespace are in which rooms.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    collections::{HashMap, HashSet},
    fmt, str,
    sync::Arc,
};

/// The name of a room. A clone shares the name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Room(Arc<str>);

impl Room {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Room {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Room {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<&String> for Room {
    fn from(name: &String) -> Self {
        Self(name.as_str().into())
    }
}

impl From<&Self> for Room {
    fn from(room: &Self) -> Self {
        room.clone()
    }
}

/// Public id of a socket: 15 random bytes in base64url, as long as the official ones.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(super) struct SocketId([u8; 20]);

impl SocketId {
    pub(super) fn random() -> Self {
        let mut id = [0; 20];
        URL_SAFE_NO_PAD
            .encode_slice(rand::random::<[u8; 15]>(), &mut id)
            .expect("15 bytes are 20 characters");
        Self(id)
    }

    /// The id that `name` would be, if it has the length of one.
    fn named(name: &str) -> Option<Self> {
        name.as_bytes().try_into().ok().map(Self)
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("ids are made of strings")
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Membership both ways: the rooms of a socket, the sockets of a room. `S` is a handle that is cheap to
/// clone.
///
/// Every socket is alone in a room named as its id, which is not stored: names are looked up among the
/// sockets too.
pub(super) struct Rooms<S> {
    rooms: HashMap<Room, HashMap<SocketId, S>>,
    sockets: HashMap<SocketId, Member<S>>,
}

struct Member<S> {
    socket: S,
    rooms: Vec<Room>,
}

/// Who is to receive: the sockets in any of `rooms`, or everyone if there are none, but those in any of
/// `except`.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub(super) rooms: Vec<Room>,
    pub(super) except: Vec<Room>,
}

impl<S> Default for Rooms<S> {
    fn default() -> Self {
        Self { rooms: HashMap::new(), sockets: HashMap::new() }
    }
}

impl<S: Clone> Rooms<S> {
    pub(super) fn insert(&mut self, id: SocketId, socket: S) {
        self.sockets.insert(id, Member { socket, rooms: Vec::new() });
    }

    /// Takes a socket out of the namespace and all its rooms.
    pub(super) fn remove(&mut self, id: SocketId) {
        for room in self.sockets.remove(&id).map(|member| member.rooms).unwrap_or_default() {
            self.vacate(id, &room);
        }
        // The memory of a crowd goes with it.
        if self.sockets.capacity() > 64 && self.sockets.len() * 4 < self.sockets.capacity() {
            self.sockets.shrink_to_fit();
        }
    }

    /// Does nothing for a socket that is not (any more) in the namespace.
    pub(super) fn join(&mut self, id: SocketId, room: Room) {
        let Some(member) = self.sockets.get_mut(&id) else { return };
        if SocketId::named(&room.0) == Some(id) || member.rooms.contains(&room) {
            return;
        }
        self.rooms.entry(room.clone()).or_default().insert(id, member.socket.clone());
        member.rooms.push(room);
    }

    pub(super) fn leave(&mut self, id: SocketId, room: &Room) {
        let Some(member) = self.sockets.get_mut(&id) else { return };
        if let Some(at) = member.rooms.iter().position(|joined| joined == room) {
            member.rooms.swap_remove(at);
            self.vacate(id, room);
        }
    }

    /// The rooms that a socket has joined.
    pub(super) fn of(&self, id: SocketId) -> Vec<Room> {
        self.sockets.get(&id).map(|member| member.rooms.clone()).unwrap_or_default()
    }

    pub(super) fn socket(&self, id: &str) -> Option<&S> {
        self.sockets.get(&SocketId::named(id)?).map(|member| &member.socket)
    }

    /// The sockets that `target` means, each once.
    pub(super) fn select(&self, target: &Target) -> Vec<S> {
        let excluded: Vec<_> =
            target.except.iter().map(|room| (SocketId::named(&room.0), self.rooms.get(room))).collect();
        let receives = |id: &SocketId| {
            !excluded.iter().any(|(own, room)| {
                own.as_ref() == Some(id) || room.is_some_and(|sockets| sockets.contains_key(id))
            })
        };
        if target.rooms.is_empty() {
            let all = self.sockets.iter().filter(|(id, _)| receives(id));
            return all.map(|(_, member)| member.socket.clone()).collect();
        }
        // A socket is in one room once, so that only a union of several can name it twice.
        let mut seen = (target.rooms.len() > 1).then(HashSet::new);
        let mut selected = Vec::new();
        for room in &target.rooms {
            let own = SocketId::named(&room.0).and_then(|id| self.sockets.get_key_value(&id));
            let own = own.map(|(id, member)| (id, &member.socket));
            for (id, socket) in self.rooms.get(room).into_iter().flatten().chain(own) {
                if receives(id) && seen.as_mut().is_none_or(|seen| seen.insert(*id)) {
                    selected.push(socket.clone());
                }
            }
        }
        selected
    }

    fn vacate(&mut self, id: SocketId, room: &Room) {
        if let Some(sockets) = self.rooms.get_mut(room) {
            sockets.remove(&id);
            if sockets.is_empty() {
                self.rooms.remove(room);
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
        SocketId([b'a' + number; 20])
    }

    fn names(rooms: &[&str]) -> Vec<Room> {
        rooms.iter().map(|&name| name.into()).collect()
    }

    fn four() -> Rooms<u8> {
        let mut rooms = Rooms::default();
        for number in 0..4 {
            rooms.insert(id(number), number);
        }
        for (number, room) in [(0, "r"), (1, "r"), (1, "s"), (2, "s")] {
            rooms.join(id(number), room.into());
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
        rooms.join(id(1), "t".into());
        rooms.join(id(0), id(0).as_str().into());
        assert_eq!(rooms.rooms.keys().collect::<Vec<_>>(), [&"r".into()]);
        assert_eq!((rooms.of(id(0)), rooms.of(id(1))), (names(&["r"]), vec![]));
    }

    #[test]
    fn ids_are_random_and_public_in_form() {
        let ids: HashSet<SocketId> = (0..1000).map(|_| SocketId::random()).collect();
        assert_eq!(ids.len(), 1000);
        let of_form = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(ids.iter().all(|id| id.as_str().bytes().all(of_form)));
    }

    proptest! {
        #[test]
        fn both_ways_agree(steps in prop::collection::vec((0..3_u8, 0..6_u8, 0..4_u8), 0..60)) {
            let (mut rooms, mut model) = (four(), BTreeSet::from([(0, 'r'), (1, 'r'), (1, 's'), (2, 's')]));
            for (step, number, room) in steps {
                let room = ['r', 's', 't', 'u'][usize::from(room)];
                match step {
                    0 if number < 4 && rooms.socket(id(number).as_str()).is_some() => {
                        rooms.join(id(number), room.to_string().into());
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
                    _ => rooms.join(id(9), room.to_string().into()),
                }
            }
            let found: BTreeSet<(u8, char)> = rooms.rooms.iter().flat_map(|(room, sockets)| {
                let room = room.as_str().chars().next().unwrap();
                sockets.values().map(move |&number| (number, room))
            }).collect();
            prop_assert_eq!(&found, &model);
            let count: usize = (0..4).map(|number| rooms.of(id(number)).len()).sum();
            prop_assert_eq!(count, model.len());
        }
    }
}
