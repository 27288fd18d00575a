//! The sockets in one room.

use super::room::SocketId;
use indexmap::IndexMap;

/// Never empty. Most rooms of a large server are those of one user or session and hold one socket or two, so the first
/// costs no memory of its own.
pub(super) enum Occupants<S> {
    One(SocketId, S),
    Many(Box<IndexMap<SocketId, S>>),
}

impl<S> Occupants<S> {
    /// Adds a socket that is not in the room yet.
    pub(super) fn add(self, id: SocketId, socket: S) -> Self {
        let mut all = match self {
            Self::One(first, other) => Box::new(IndexMap::from([(first, other)])),
            Self::Many(all) => all,
        };
        all.insert(id, socket);
        Self::Many(all)
    }

    /// Takes a socket out; `None` if it was the last one.
    pub(super) fn without(self, id: SocketId) -> Option<Self> {
        match self {
            Self::One(only, _) if only == id => None,
            Self::One(..) => Some(self),
            Self::Many(mut all) => {
                all.swap_remove(&id);
                if all.len() > 1 {
                    return Some(Self::Many(all));
                }
                all.pop().map(|(id, socket)| Self::One(id, socket))
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(..) => 1,
            Self::Many(all) => all.len(),
        }
    }

    pub(super) fn contains(&self, id: &SocketId) -> bool {
        match self {
            Self::One(only, _) => only == id,
            Self::Many(all) => all.contains_key(id),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SocketId, &S)> {
        let (one, many) = match self {
            Self::One(id, socket) => (Some((id, socket)), None),
            Self::Many(all) => (None, Some(all.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}
