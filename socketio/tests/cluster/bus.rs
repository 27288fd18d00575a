//! What the servers of a cluster tell each other, and through what: as over Redis, it is text, and all others get it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketio::{
    Arguments, Room, SocketInfo, Target,
    adapter::{Change, Flags},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::mpsc;

/// Sends what is published to a channel to all others who have subscribed to it. The channels of a cluster are its
/// namespaces.
#[derive(Clone, Default)]
pub(crate) struct Bus(Arc<Mutex<Vec<Subscription>>>);

struct Subscription {
    channel: String,
    server: usize,
    inbox: mpsc::UnboundedSender<String>,
    /// Whether it is counted, but hears nothing.
    deaf: bool,
}

/// What goes through a [`Bus`].
#[derive(Deserialize, Serialize)]
pub(crate) struct Message {
    pub(crate) from: usize,
    /// All others without.
    pub(crate) to: Option<usize>,
    /// By which answers find the request.
    pub(crate) request: u64,
    pub(crate) body: Body,
}

#[derive(Deserialize, Serialize)]
pub(crate) enum Body {
    Broadcast(Event, Meant),
    Change(Meant, Changed),
    /// Is told [`Asked`](Self::Asked), and then an [`Answer`](Self::Answer) for each socket.
    Ask(Event, Meant, Duration),
    Asked(usize),
    /// None of a socket that has disconnected.
    Answer(Option<Event>),
    Fetch(Meant),
    Sockets(Vec<SocketInfo>),
    ServerEvent(Event),
    ServerAsk(Event),
    /// None if nobody handles the event.
    ServerAnswer(Option<Value>),
}

/// Name and arguments of an event, or the arguments of an answer.
#[derive(Deserialize, Serialize)]
pub(crate) struct Event {
    pub(crate) json: String,
    pub(crate) attachments: Vec<Bytes>,
}

/// Which sockets are meant, and how they are sent to.
#[derive(Deserialize, Serialize)]
pub(crate) struct Meant {
    rooms: Vec<String>,
    except: Vec<String>,
    compress: bool,
    volatile: bool,
}

#[derive(Deserialize, Serialize)]
pub(crate) enum Changed {
    Disconnect { close: bool },
    Join(Vec<String>),
    Leave(Vec<String>),
}

impl Bus {
    pub(crate) fn subscribe(&self, channel: &str, server: usize) -> mpsc::UnboundedReceiver<String> {
        let (inbox, messages) = mpsc::unbounded_channel();
        let subscription = Subscription { channel: channel.to_owned(), server, inbox, deaf: false };
        self.0.lock().unwrap().push(subscription);
        messages
    }

    pub(crate) fn unsubscribe(&self, channel: &str, server: usize) {
        self.0.lock().unwrap().retain(|known| (&*known.channel, known.server) != (channel, server));
    }

    pub(crate) fn publish(&self, channel: &str, message: &Message) {
        let text = serde_json::to_string(message).unwrap();
        for known in self.0.lock().unwrap().iter() {
            let addressed = message.to.is_none_or(|to| to == known.server) && known.server != message.from;
            if known.channel == channel && addressed && !known.deaf {
                // A server that has just ended hears nothing more.
                known.inbox.send(text.clone()).ok();
            }
        }
    }

    /// How many servers have subscribed to a channel.
    pub(crate) fn count(&self, channel: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|known| known.channel == channel).count()
    }

    /// Keeps everything from a server, as if it were too slow.
    pub(crate) fn deafen(&self, server: usize) {
        for known in self.0.lock().unwrap().iter_mut().filter(|known| known.server == server) {
            known.deaf = true;
        }
    }
}

impl From<&Arguments> for Event {
    fn from(arguments: &Arguments) -> Self {
        Self { json: arguments.json().to_owned(), attachments: arguments.attachments().to_vec() }
    }
}

impl Meant {
    pub(crate) fn new(target: &Target, flags: Flags) -> Self {
        let Target { rooms, except } = target;
        let Flags { compress, volatile, .. } = flags;
        Self { rooms: names(rooms), except: names(except), compress, volatile }
    }

    pub(crate) fn into_parts(self) -> (Target, Flags) {
        let Self { rooms, except, compress, volatile } = self;
        (Target { rooms: named(rooms), except: named(except) }, Flags { compress, volatile, local: false })
    }
}

impl From<&Change> for Changed {
    fn from(change: &Change) -> Self {
        match change {
            &Change::Disconnect { close } => Self::Disconnect { close },
            Change::Join(rooms) => Self::Join(names(rooms)),
            Change::Leave(rooms) => Self::Leave(names(rooms)),
        }
    }
}

impl From<Changed> for Change {
    fn from(change: Changed) -> Self {
        match change {
            Changed::Disconnect { close } => Self::Disconnect { close },
            Changed::Join(rooms) => Self::Join(named(rooms)),
            Changed::Leave(rooms) => Self::Leave(named(rooms)),
        }
    }
}

fn names(rooms: &[Room]) -> Vec<String> {
    rooms.iter().map(|room| room.as_str().to_owned()).collect()
}

fn named(rooms: Vec<String>) -> Vec<Room> {
    rooms.into_iter().map(Into::into).collect()
}
