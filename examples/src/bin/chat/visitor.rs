//! What the page shows of a session.

use serde::{Serialize, de::DeserializeOwned};
use session::{Session, ValueError, Values};
use socketio::Event;

/// Tells the tabs of a visitor what their session holds now.
pub(crate) const VISITOR: Event<Visitor> = Event::new("session");

/// Who the visitor is, and what the session has counted.
#[derive(Serialize)]
pub(crate) struct Visitor {
    name: Option<String>,
    visits: u64,
    messages: u64,
}

impl From<&Values> for Visitor {
    fn from(values: &Values) -> Self {
        // Nobody else writes these sessions, so what is there has these types.
        fn read<T: DeserializeOwned + Default>(values: &Values, key: &str) -> T {
            values.get(key).ok().flatten().unwrap_or_default()
        }
        Self {
            name: read(values, "name"),
            visits: read(values, "visits"),
            messages: read(values, "messages"),
        }
    }
}

/// Counts one more, in the session. It is saved with the response, or when the handler has ended without an error.
pub(crate) fn count(session: &Session, key: &str) -> Result<(), ValueError> {
    let count: u64 = session.get(key)?.unwrap_or(0);
    session.insert(key, &(count + 1))
}
