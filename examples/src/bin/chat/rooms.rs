//! What the chat remembers: rooms with their last messages, and who is online.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

/// The room that is always there.
const LOBBY: &str = "lobby";
/// Enough to fill a page.
const KEPT_MESSAGES: usize = 100;
/// Anybody may create rooms, so they are bounded.
const MAX_ROOMS: usize = 100;
const MAX_NAME_CHARACTERS: usize = 30;
const MAX_TEXT_CHARACTERS: usize = 1000;

/// A message as it is kept and sent.
#[derive(Clone, Serialize)]
pub(crate) struct Message {
    room: String,
    name: String,
    text: String,
    /// Milliseconds since 1970.
    at: u64,
}

/// Who is online.
#[derive(Serialize)]
pub(crate) struct Online {
    names: BTreeSet<String>,
    guests: usize,
}

/// Everything that the chat remembers, as long as it runs.
pub(crate) struct Rooms(Mutex<State>);

struct State {
    rooms: BTreeMap<String, VecDeque<Message>>,
    /// Names by socket id; `None` for guests.
    online: HashMap<String, Option<String>>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        let rooms = BTreeMap::from([(LOBBY.to_owned(), VecDeque::new())]);
        Self(Mutex::new(State { rooms, online: HashMap::new() }))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state().rooms.keys().cloned().collect()
    }

    /// Opens a room, creating it if it is new: its name, its messages, and whether it was created.
    pub(crate) fn open(&self, name: &str) -> Result<(String, Vec<Message>, bool), &'static str> {
        let name = check_name(name)?;
        let mut state = self.state();
        let new = !state.rooms.contains_key(&name);
        if new && state.rooms.len() == MAX_ROOMS {
            return Err("there are too many rooms");
        }
        let messages = state.rooms.entry(name.clone()).or_default().iter().cloned().collect();
        Ok((name, messages, new))
    }

    /// Keeps a message for those who come later.
    pub(crate) fn post(&self, room: &str, name: String, text: &str) -> Result<Message, &'static str> {
        let text = check(text, MAX_TEXT_CHARACTERS).ok_or("a message has 1 to 1000 characters")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = now.as_millis().try_into().unwrap_or(u64::MAX);
        let message = Message { room: room.to_owned(), name, text, at };
        let mut state = self.state();
        let messages = state.rooms.get_mut(room).ok_or("there is no such room")?;
        if messages.len() == KEPT_MESSAGES {
            messages.pop_front();
        }
        messages.push_back(message.clone());
        Ok(message)
    }

    /// Notes that a socket has come, and tells who is online now.
    pub(crate) fn arrive(&self, id: &str, name: Option<String>) -> Online {
        let mut state = self.state();
        state.online.insert(id.to_owned(), name);
        state.online()
    }

    /// Notes that a socket has gone, and tells who is online now.
    pub(crate) fn depart(&self, id: &str) -> Online {
        let mut state = self.state();
        state.online.remove(id);
        state.online()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Several tabs of one visitor count once; of guests nothing is known, so each tab counts.
    fn online(&self) -> Online {
        let names = self.online.values().flatten().cloned().collect();
        let guests = self.online.values().filter(|name| name.is_none()).count();
        Online { names, guests }
    }
}

/// Trims the name of a room or a visitor; an error for the person who chose it.
pub(crate) fn check_name(name: &str) -> Result<String, &'static str> {
    check(name, MAX_NAME_CHARACTERS).ok_or("a name has 1 to 30 characters")
}

fn check(text: &str, max_characters: usize) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.chars().count() <= max_characters).then(|| text.to_owned())
}
