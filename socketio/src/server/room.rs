//! Names: of rooms, and of sockets, which are alone in the room of their own id.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, str, sync::Arc};

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

impl From<&&str> for Room {
    fn from(name: &&str) -> Self {
        Self((*name).into())
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
pub(crate) struct SocketId([u8; 20]);

impl SocketId {
    pub(super) fn random() -> Self {
        let mut id = [0; 20];
        URL_SAFE_NO_PAD
            .encode_slice(rand::random::<[u8; 15]>(), &mut id)
            .expect("15 bytes are 20 characters");
        Self(id)
    }

    #[cfg(test)]
    pub(super) fn of_bytes(id: [u8; 20]) -> Self {
        Self(id)
    }

    /// The id that `name` would be, if it has the length of one.
    pub(super) fn named(name: &str) -> Option<Self> {
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

/// One room or several, as [`Socket::join`](crate::Socket::join) and [`Broadcast::to`](crate::Broadcast::to)
/// take them.
///
/// ```
/// # fn check(socket: socketio::Socket) {
/// socket.join("one");
/// socket.join(["one", "two"]);
/// socket.join(vec![String::from("three")]);
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot name rooms",
    label = "a room is a `&str`, `String` or `Room`; several are an array, a slice or a `Vec` of one of them",
    note = "collect other names into a `Vec`"
)]
pub trait IntoRooms {
    /// The rooms.
    fn into_rooms(self) -> impl Iterator<Item = Room>;
}

macro_rules! one_room {
    ($($type:ty),*) => {$(
        impl IntoRooms for $type {
            fn into_rooms(self) -> impl Iterator<Item = Room> {
                std::iter::once(self.into())
            }
        }
    )*};
}

one_room!(Room, &Room, &str, String, &String);

// Not recommended, so that the compiler speaks of `[u32; 2]` instead of `Room: From<u32>`.
#[diagnostic::do_not_recommend]
impl<R: Into<Room>, const N: usize> IntoRooms for [R; N] {
    fn into_rooms(self) -> impl Iterator<Item = Room> {
        self.into_iter().map(Into::into)
    }
}

#[diagnostic::do_not_recommend]
impl<R: Into<Room>> IntoRooms for Vec<R> {
    fn into_rooms(self) -> impl Iterator<Item = Room> {
        self.into_iter().map(Into::into)
    }
}

#[diagnostic::do_not_recommend]
impl<'a, R> IntoRooms for &'a [R]
where
    &'a R: Into<Room>,
{
    fn into_rooms(self) -> impl Iterator<Item = Room> {
        self.iter().map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_random_and_public_in_form() {
        let ids: HashSet<SocketId> = (0..1000).map(|_| SocketId::random()).collect();
        assert_eq!(ids.len(), 1000);
        let of_form = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(ids.iter().all(|id| id.as_str().bytes().all(of_form)));
    }
}
