//! A namespace of a running server.

use super::{
    acks::AckSink,
    handle::NamespaceHandle,
    namespace::Namespace,
    policy::Policy,
    rooms::{Rooms, Target},
    socket::Socket,
};
use crate::{
    adapter::{Adapter, Emission, Flags, Local, Recovery},
    connection::IncomingEvent,
    encoded::{EncodeError, Encoded},
    event::OutgoingEvent,
    packet::{AckId, Content},
    parser::Format,
};
use std::{
    hint::black_box,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::time::Instant;

/// A namespace of a running server: its description, who is there, and how to reach them.
pub(crate) struct LiveNamespace {
    pub(super) path: Arc<str>,
    pub(crate) blueprint: Arc<Namespace>,
    pub(crate) common: Arc<Common>,
    pub(super) adapter: Arc<dyn Adapter>,
    pub(super) local: Local,
    /// Of a dynamic namespace, the parts of the path that its pattern names; `None` for one that is static.
    pub(super) parameters: Option<Vec<(String, String)>>,
    /// Whether sockets can be recovered.
    pub(super) recovers: bool,
    /// When the task that drops it is to look whether it is still empty; there is none without.
    pub(super) clean_at: Mutex<Option<Instant>>,
    rooms: RwLock<Rooms<Socket>>,
    ack_ids: AtomicU64,
}

/// What all namespaces of a server have in common.
pub(crate) struct Common {
    pub(crate) format: Format,
    pub(super) policy: Policy,
    pub(super) recovery: Option<Recovery>,
    pub(super) adapters: Box<dyn Fn(Local) -> Arc<dyn Adapter> + Send + Sync>,
}

impl LiveNamespace {
    pub(super) fn new(
        path: &str,
        blueprint: Arc<Namespace>,
        parameters: Option<Vec<(String, String)>>,
        common: Arc<Common>,
    ) -> Arc<Self> {
        let path: Arc<str> = path.into();
        Arc::new_cyclic(|live| {
            let local = Local::new(Arc::clone(&path), live.clone());
            let adapter = (common.adapters)(local.clone());
            Self {
                recovers: common.recovery.is_some() && adapter.recovers(),
                clean_at: Mutex::default(),
                adapter,
                rooms: RwLock::new(Rooms::new(!blueprint.on_room.is_empty())),
                path,
                blueprint,
                common,
                local,
                parameters,
                ack_ids: AtomicU64::new(0),
            }
        })
    }

    // Nothing panics while it holds the lock, so that what it guards is whole.
    pub(crate) fn rooms(&self) -> RwLockReadGuard<'_, Rooms<Socket>> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes who is where, and tells the hooks of it.
    pub(super) fn change_rooms<R>(self: &Arc<Self>, change: impl FnOnce(&mut Rooms<Socket>) -> R) -> R {
        let (result, events) = {
            let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
            (change(&mut rooms), rooms.take_events())
        };
        for event in events {
            for hook in &self.blueprint.on_room {
                hook(&NamespaceHandle(Arc::clone(self)), &event);
            }
        }
        result
    }

    /// Ids are counted per namespace, so that one packet can ask many sockets.
    pub(super) fn next_ack_id(&self) -> AckId {
        let id = self.ack_ids.fetch_add(1, Ordering::Relaxed);
        AckId::new(id).expect("285 years at a million a second")
    }

    /// The sockets of this server that are meant, as they are now: the lock is not held while sending.
    fn selected(&self, target: &Target) -> Vec<Socket> {
        self.rooms().select(target)
    }

    pub(crate) fn sockets(&self, target: &Target) -> Vec<Socket> {
        let mut sockets = self.selected(target);
        sockets.retain(Socket::is_connected);
        sockets
    }

    pub(super) fn broadcast(&self, emission: &Emission<'_>) -> Result<(), EncodeError> {
        self.show_outgoing(emission);
        self.adapter.broadcast(&self.local, emission)
    }

    /// Tells the hooks which sockets get an event.
    pub(crate) fn show_outgoing(&self, emission: &Emission<'_>) {
        if self.blueprint.on_any_outgoing.is_empty() {
            return;
        }
        // Who emits is told if it cannot be encoded.
        let Ok(packet) = emission.encode(None) else { return };
        let event = OutgoingEvent::new(&self.common.format, &packet);
        for socket in self.sockets(emission.target) {
            self.blueprint.on_any_outgoing.iter().for_each(|hook| hook(&socket, &event));
        }
    }

    pub(crate) fn deliver(&self, packet: &Encoded, target: &Target, flags: Flags) {
        let sockets = self.selected(target);
        let at_once = sockets.len() >= MANY;
        for next in sockets.chunks(AHEAD) {
            // Of thousands of receivers, each has to be fetched from memory. Looked at together, before the first system
            // call, some are fetched at the same time.
            for socket in next {
                black_box(socket.connection().has_queued());
            }
            for socket in next {
                socket.deliver(packet, flags, at_once);
            }
        }
    }

    pub(crate) fn ask(&self, emission: &Emission<'_>, answers: &AckSink) -> Result<(), EncodeError> {
        let id = self.next_ack_id();
        let packet = emission.encode_with_id(Some(id), None)?;
        for socket in self.sockets(emission.target) {
            socket.ask(id, &packet, answers);
        }
        Ok(())
    }

    /// The event of an emission, not encoded for any client.
    pub(crate) fn event(&self, emission: &Emission<'_>) -> Result<IncomingEvent, EncodeError> {
        let packet = self.common.format.decode(&emission.encode(None)?);
        match packet.map(|packet| packet.content) {
            Some(Content::Event { id, name, arguments }) => Ok(IncomingEvent { id, name, arguments }),
            _ => Err(EncodeError::Parser("it cannot read what it has written".into())),
        }
    }
}

/// Receivers from which on each is written to. Fewer are woken, so that who hears of several events at a time gets all of
/// it in one write: with four events on their way that took 0.6 of the CPU, with a single one 1.07 (60 receivers against
/// 68). Of many receivers it is rare that several events reach the same at a time, and there are many to wake.
const MANY: usize = 64;

/// Receivers that are fetched together: about as many as a core waits for at a time.
const AHEAD: usize = 16;
