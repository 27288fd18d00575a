//! What an application decides about its sessions: when they are read again, kept alive, merged, and what their end
//! means to sockets.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::value::RawValue;
use socketio::Socket;

/// When a live session is read again, beyond handshakes and requests for pages, which always read it.
///
/// If it cannot be read before an event, the event is not handled; its acknowledgement is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reload {
    /// Before each event, which costs one question to the store.
    EveryPacket,
    /// Before an event, if what is known is older than this.
    MaxAge(Duration),
    /// Never: a change by another process is noticed when a save meets it.
    Never,
    /// When the store tells of a change. A store that cannot tell is asked as by `MaxAge` of 30 seconds.
    #[default]
    OnInvalidation,
}

/// What lets a session live its whole age again, beyond saves and requests for pages, which always do. Polls do not, or
/// a tab that lies idle would never expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Touch {
    /// A handshake. Its response does not wait for the store.
    #[default]
    Handshake,
    /// A handshake, and, as long as a socket is connected, every interval.
    Heartbeat {
        /// How often.
        min_interval: Duration,
    },
    /// Nothing.
    Never,
    /// A handshake, and events.
    Packets {
        /// At most this often.
        min_interval: Duration,
    },
}

/// What happens to the sockets of a session that has ended: destroyed, replaced at a login, or expired, here or by
/// others.
///
/// The grace is there because a page that logs somebody in destroys the old session *before* the browser has the new
/// cookie, so that a client that came back at once would do so as nobody. Meanwhile handlers find the session empty.
#[derive(Clone)]
pub enum OnEnd {
    /// Only this is called, for each socket, without a grace. The socket stays open unless it is closed there.
    Callback(Arc<dyn Fn(&Socket) + Send + Sync>),
    /// The connection is ended for good: clients do not come back by themselves.
    Disconnect {
        /// How long after the end.
        grace: Duration,
    },
    /// The connection is closed like one that broke: clients come back by themselves, with the cookie that they have
    /// then.
    Reconnect {
        /// How long after the end.
        grace: Duration,
    },
}

impl Default for OnEnd {
    /// `Reconnect` after half a second: longer than a response takes, shorter than somebody who has logged out looks on.
    fn default() -> Self {
        Self::Reconnect { grace: Duration::from_millis(500) }
    }
}

impl fmt::Debug for OnEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Callback(_) => formatter.write_str("Callback(..)"),
            Self::Disconnect { grace } => formatter.debug_struct("Disconnect").field("grace", grace).finish(),
            Self::Reconnect { grace } => formatter.debug_struct("Reconnect").field("grace", grace).finish(),
        }
    }
}

/// What becomes of a value that two have changed, each without having seen the other's. Changes of different values
/// never meet, and [`Session::update`](crate::Session::update) never gets here, as it is made again.
#[derive(Clone, Default)]
pub enum OnConflict {
    /// Nothing is saved, and the one who comes later is told: [`SessionError::Conflict`](crate::SessionError::Conflict).
    Fail,
    /// Who comes later wins.
    #[default]
    Mine,
    /// A function finds a value for both, or `None` to remove it.
    Resolve(Arc<Resolve>),
    /// Who comes first wins.
    Theirs,
}

type Resolve = dyn Fn(&Conflict<'_>) -> Option<Box<RawValue>> + Send + Sync;

/// Three states of one value; `None` where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Conflict<'a> {
    /// Its name.
    pub key: &'a str,
    /// What it was before.
    pub base: Option<&'a RawValue>,
    /// What is to be saved.
    pub mine: Option<&'a RawValue>,
    /// What has been saved meanwhile.
    pub theirs: Option<&'a RawValue>,
}

impl fmt::Debug for OnConflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Fail => "Fail",
            Self::Mine => "Mine",
            Self::Resolve(_) => "Resolve(..)",
            Self::Theirs => "Theirs",
        })
    }
}
