//! Names of events, with or without the type of their data.

use std::{fmt, marker::PhantomData};

/// The name of an event and the type of its data, as one constant for both ends.
///
/// ```
/// use socketio::Event;
///
/// const SUM: Event<(i64, i64)> = Event::new("sum");
/// assert_eq!(SUM.name(), "sum");
/// ```
pub struct Event<D: ?Sized> {
    name: &'static str,
    data: PhantomData<fn(&D)>,
}

impl<D: ?Sized> Event<D> {
    /// Names an event that carries `D`.
    pub const fn new(name: &'static str) -> Self {
        Self { name, data: PhantomData }
    }

    /// The name on the wire.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<D: ?Sized> Clone for Event<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: ?Sized> Copy for Event<D> {}

impl<D: ?Sized> fmt::Debug for Event<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.name).finish()
    }
}

/// What can name an event that carries `D`: an [`Event<D>`], which fixes the type, or a string, which accepts
/// any.
pub trait EventName<D: ?Sized>: Copy {
    /// The name on the wire.
    fn name(&self) -> &str;
}

impl<D: ?Sized> EventName<D> for Event<D> {
    fn name(&self) -> &str {
        self.name
    }
}

impl<D: ?Sized> EventName<D> for &str {
    fn name(&self) -> &str {
        self
    }
}

/// Whether the protocol keeps `name` for itself, so that no event may have it.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener"
    )
}
