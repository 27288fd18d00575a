//! A namespace of a running server, from outside.

use super::{
    broadcast::Broadcast,
    live::LiveNamespace,
    remote::{Fetched, ServerAnswers},
    room::{IntoRooms, Room},
    rooms::Target,
    socket::Socket,
};
use crate::{
    args::{Arguments, DecodeError},
    connection::IncomingEvent,
    encoded::EncodeError,
    event::{EventName, is_reserved},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc, time::Duration};

/// A namespace of a running server. A clone is another handle of the same.
#[derive(Clone)]
pub struct NamespaceHandle(pub(crate) Arc<LiveNamespace>);

impl NamespaceHandle {
    /// The path.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The part of the path that the pattern of a [dynamic](crate::ServerBuilder::dynamic) namespace calls
    /// `name`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.parameters.as_ref()?.iter().find(|(key, _)| key == name)?;
        Some(value)
    }

    /// Queues an event for everyone; see [`Broadcast::emit`].
    ///
    /// # Errors
    ///
    /// The data cannot be encoded.
    pub fn emit<D: Serialize + ?Sized>(&self, event: impl EventName<D>, data: &D) -> Result<(), EncodeError> {
        self.everyone().emit(event, data)
    }

    /// Addresses the sockets in a room, or in any of several.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.everyone().to(rooms)
    }

    /// Addresses everyone but the sockets in a room, or in any of several.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.everyone().except(rooms)
    }

    /// Addresses everyone: for what the operator can do but this handle cannot.
    pub fn everyone(&self) -> Broadcast {
        Broadcast::new(Arc::clone(&self.0), Target::default())
    }

    /// The connected socket of this server with this id.
    pub fn socket(&self, id: &str) -> Option<Socket> {
        self.0.rooms().socket(id).filter(|socket| socket.is_connected()).cloned()
    }

    /// All connected sockets of this server, as they are now.
    pub fn sockets(&self) -> Vec<Socket> {
        self.0.sockets(&Target::default())
    }

    /// All rooms that have sockets of this server, without those of the sockets' own ids.
    pub fn rooms(&self) -> Vec<Room> {
        self.0.rooms().all()
    }

    /// All sockets of all servers; see [`Broadcast::fetch_sockets`].
    pub async fn fetch_sockets(&self) -> Fetched {
        self.everyone().fetch_sockets().await
    }

    /// How many servers the cluster has, this one included.
    pub async fn server_count(&self) -> usize {
        self.0.adapter.server_count().await
    }

    /// Sends an event to all other servers of the cluster, where
    /// [`on_server_event`](crate::Namespace::on_server_event) handles it.
    ///
    /// # Errors
    ///
    /// The data is no JSON, or the name reserved.
    pub fn server_side_emit<D: Serialize + ?Sized>(
        &self,
        event: impl EventName<D>,
        data: &D,
    ) -> Result<(), EncodeError> {
        self.0.adapter.server_side_emit(&self.0.local, &server_event(event.name(), data)?);
        Ok(())
    }

    /// Sends an event to all other servers of the cluster and gathers what their handlers return.
    ///
    /// # Errors
    ///
    /// The data is no JSON, or an answer is not of the type asked for.
    pub async fn server_side_emit_with_ack<R: DeserializeOwned, D: Serialize + ?Sized>(
        &self,
        event: impl EventName<D>,
        data: &D,
        timeout: Duration,
    ) -> Result<ServerAnswers<R>, ServerEmitError> {
        let event = server_event(event.name(), data)?;
        let answers = self.0.adapter.server_side_emit_with_ack(&self.0.local, event, timeout).await;
        let decoded = answers.answers.into_iter().map(serde_json::from_value);
        let decoded = decoded.collect::<Result<_, _>>().map_err(DecodeError)?;
        Ok(ServerAnswers { answers: decoded, missing: answers.missing })
    }
}

fn server_event<D: Serialize + ?Sized>(name: &str, data: &D) -> Result<IncomingEvent, EncodeError> {
    if is_reserved(name) {
        return Err(EncodeError::ReservedName);
    }
    Ok(IncomingEvent { id: None, name: name.into(), arguments: Arguments::encode(Some(name), data, None)? })
}

/// Why an event between servers came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ServerEmitError {
    /// An answer is not of the type asked for.
    #[error("answer: {0}")]
    Decode(#[from] DecodeError),
    /// The event cannot be sent at all.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl fmt::Debug for NamespaceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamespaceHandle").field(&self.path()).finish()
    }
}
