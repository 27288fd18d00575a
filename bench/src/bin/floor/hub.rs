//! Who is connected, in which rooms, and which sessions poll.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use tokio::{net::TcpStream, sync::Notify};

#[derive(Default)]
pub(crate) struct Hub {
    pub(crate) peers: Vec<Rc<Peer>>,
    pub(crate) rooms: HashMap<Vec<u8>, Vec<Rc<Peer>>>,
    pub(crate) sessions: HashMap<Vec<u8>, Rc<Session>>,
}

impl Hub {
    pub(crate) fn add(&mut self, peer: &Rc<Peer>) {
        peer.place.set(self.peers.len());
        self.peers.push(Rc::clone(peer));
    }

    pub(crate) fn remove(&mut self, peer: &Rc<Peer>) {
        let place = peer.place.get();
        self.peers.swap_remove(place);
        if let Some(moved) = self.peers.get(place) {
            moved.place.set(place);
        }
        for room in peer.rooms.take() {
            self.leave(&room, peer);
        }
    }

    pub(crate) fn join(&mut self, room: &[u8], peer: &Rc<Peer>) {
        self.rooms.entry(room.to_vec()).or_default().push(Rc::clone(peer));
        peer.rooms.borrow_mut().push(room.to_vec());
    }

    pub(crate) fn leave(&mut self, room: &[u8], peer: &Rc<Peer>) {
        if let Some(peers) = self.rooms.get_mut(room) {
            peers.retain(|other| !Rc::ptr_eq(other, peer));
        }
        peer.rooms.borrow_mut().retain(|other| other != room);
    }
}

/// A session that polls.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) queue: RefCell<Vec<u8>>,
    pub(crate) wake: Notify,
}

impl Session {
    pub(crate) fn push(&self, packet: &[u8]) {
        let mut queue = self.queue.borrow_mut();
        if !queue.is_empty() {
            queue.push(0x1e);
        }
        queue.extend_from_slice(packet);
        self.wake.notify_one();
    }
}

/// A WebSocket connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// What the kernel did not take.
    pub(crate) unsent: RefCell<Vec<u8>>,
    pub(crate) wake: Notify,
    place: Cell<usize>,
    rooms: RefCell<Vec<Vec<u8>>>,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Rc<Self> {
        let (unsent, wake) = (RefCell::default(), Notify::new());
        Rc::new(Self { stream, unsent, wake, place: Cell::new(0), rooms: RefCell::default() })
    }

    /// Writes what the kernel takes, and keeps the rest.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let mut unsent = self.unsent.borrow_mut();
        let sent = if unsent.is_empty() { self.stream.try_write(bytes).unwrap_or(0) } else { 0 };
        if sent < bytes.len() {
            unsent.extend_from_slice(&bytes[sent..]);
            self.wake.notify_one();
        }
    }

    pub(crate) fn flush(&self) {
        let mut unsent = self.unsent.borrow_mut();
        if let Ok(sent) = self.stream.try_write(&unsent) {
            unsent.drain(..sent);
        }
    }
}
