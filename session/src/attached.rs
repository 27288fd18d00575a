//! The sockets of a session in this process.

use std::{mem, slice};

use socketio::{Socket, WeakSocket};

/// Most sessions have one socket, which costs no memory of its own.
#[derive(Default)]
pub(crate) enum Sockets {
    #[default]
    None,
    One(WeakSocket),
    #[expect(
        clippy::box_collection,
        reason = "all sessions would be larger for the few with several sockets"
    )]
    Many(Box<Vec<WeakSocket>>),
}

impl Sockets {
    pub(crate) fn add(&mut self, socket: &Socket) {
        let socket = socket.downgrade();
        *self = match mem::take(self) {
            Self::None => Self::One(socket),
            Self::One(first) => Self::Many(Box::new(vec![first, socket])),
            Self::Many(mut all) => {
                all.push(socket);
                Self::Many(all)
            }
        };
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Socket) -> bool) {
        let keep = |socket: &WeakSocket| socket.upgrade().is_some_and(|socket| keep(&socket));
        match self {
            Self::One(only) if !keep(only) => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(all) => all.retain(keep),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Those that are still there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Socket> {
        self.as_slice().iter().filter_map(WeakSocket::upgrade)
    }

    fn as_slice(&self) -> &[WeakSocket] {
        match self {
            Self::None => &[],
            Self::One(only) => slice::from_ref(only),
            Self::Many(all) => all,
        }
    }
}
