//! The handle of one session.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    CookieState, InvalidCookie, Sid, StoreError, ValueError, Values,
    live::Backend,
    state::{Standing, State},
    store::{Created, Replaced, Versioned},
};

/// The session of one browser. A clone is the same session, and so is the one of every other socket and request of
/// that browser in this process.
///
/// Reading and changing values is immediate and seen by all holders. A change reaches the store with
/// [`save`](Self::save), [`update`](Self::update) or [`Sessions::commit`](crate::Sessions::commit). If somebody else
/// wrote the session meanwhile (another process, an Express application), values changed here are put over theirs and
/// all others are taken from them. `Debug` shows neither the id nor the values.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) sid: Sid,
    backend: Arc<Backend>,
    state: Mutex<State>,
    /// Held while the store is asked, so that this process never conflicts with itself.
    turn: tokio::sync::Mutex<()>,
    /// The session that ends when this one is committed.
    replaces: Option<Session>,
}

/// Why a session could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Others changed the session faster than the change could be made; it was not.
    #[error("the session is being changed by too many at once")]
    Conflict,
    /// The stored cookie has an attribute that no `Set-Cookie` can carry.
    #[error(transparent)]
    Cookie(#[from] InvalidCookie),
    /// The session was destroyed or has expired.
    #[error("the session has ended")]
    Gone,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The session is new and its browser was never told of it, so that nobody could ever come back to it.
    #[error("the browser has no cookie for this session")]
    Unannounced,
    /// A value could not be read or written.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Session {
    /// Returns the id. A secret: whoever has it and a signing key is this browser.
    pub fn sid(&self) -> &Sid {
        &self.shared.sid
    }

    /// Returns the value as `T`, or `None` if there is no value of this name.
    ///
    /// # Errors
    ///
    /// [`ValueError::Mismatch`] if the value is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ValueError> {
        // A clone, since `T` may run any code and the lock is not for that.
        let values = self.state().current().values.clone();
        values.get(key)
    }

    /// Sets a value, to be saved later.
    ///
    /// # Errors
    ///
    /// [`ValueError::Reserved`] and [`ValueError::Unwritable`].
    pub fn insert<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), ValueError> {
        let mut change = Values::default();
        change.insert(key, value)?;
        let json = change.json(key).expect("it was inserted a line ago").clone();
        self.state().values_mut().put(key.into(), json);
        Ok(())
    }

    /// Removes a value, to be saved later, and tells whether it was there.
    pub fn remove(&self, key: &str) -> bool {
        self.state().values_mut().remove(key)
    }

    /// Tells whether the browser does not know of this session yet.
    pub fn is_new(&self) -> bool {
        matches!(self.state().standing, Standing::Opening | Standing::Unannounced)
    }

    /// Tells whether there are changes that were not saved.
    pub fn is_modified(&self) -> bool {
        self.state().is_modified()
    }

    /// Changes values and saves them, as one transaction: nobody's change is lost and none is made twice.
    ///
    /// The closure runs again, on newer values, whenever somebody else wrote the session in between; so it should do
    /// nothing but change the values. If it fails, nothing is changed. Other unsaved changes are saved with it.
    ///
    /// ```
    /// # async fn example(session: session::Session) -> Result<(), session::SessionError> {
    /// let views: u32 = session
    ///     .update(|values| {
    ///         let views = values.get("views")?.unwrap_or(0) + 1;
    ///         values.insert("views", &views)?;
    ///         Ok(views)
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save), and whatever the closure returns.
    pub async fn update<T>(
        &self,
        change: impl FnMut(&mut Values) -> Result<T, ValueError>,
    ) -> Result<T, SessionError> {
        let _turn = self.shared.turn.lock().await;
        self.write(change).await
    }

    /// Saves the changes, if there are any; the session then lives its whole age again.
    ///
    /// A new session is left to [`Sessions::commit`](crate::Sessions::commit), which has a response for its cookie.
    ///
    /// # Errors
    ///
    /// [`SessionError::Gone`] if the session has ended: a save never brings it back. [`SessionError::Unannounced`]
    /// if it is new and its response has already left. [`SessionError::Conflict`] and [`SessionError::Store`].
    pub async fn save(&self) -> Result<(), SessionError> {
        self.update(|_| Ok(())).await
    }

    /// Reads the stored session again; unsaved changes stay on top of it.
    ///
    /// # Errors
    ///
    /// [`SessionError::Gone`] if the session has ended, [`SessionError::Store`] if that cannot be known.
    pub async fn reload(&self) -> Result<(), SessionError> {
        let _turn = self.shared.turn.lock().await;
        match self.state().standing {
            Standing::Gone => return Err(SessionError::Gone),
            Standing::Opening | Standing::Unannounced => return Ok(()),
            Standing::Stored(_) => {}
        }
        match self.shared.backend.store.load(self.sid()).await? {
            Some(found) => self.state().rebase(found),
            None => return Err(self.end()),
        }
        Ok(())
    }

    /// Ends the session, for every socket and request that shares it. The browser keeps a cookie without meaning.
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`]: the session is still alive then.
    pub async fn destroy(&self) -> Result<(), SessionError> {
        let _turn = self.shared.turn.lock().await;
        if !matches!(self.state().standing, Standing::Gone) {
            self.shared.backend.store.destroy(self.sid()).await?;
            self.end();
        }
        Ok(())
    }

    /// Returns the session that a successor of this one must end: itself, or what it was to replace.
    pub(crate) fn replaced(&self) -> Self {
        self.shared.replaces.clone().filter(|_| self.is_new()).unwrap_or_else(|| self.clone())
    }

    /// Does what is due at the end of a response; returns the cookie if the response must carry it.
    pub(crate) async fn settle(&self, save_uninitialized: bool) -> Result<Option<CookieState>, SessionError> {
        let _turn = self.shared.turn.lock().await;
        let (standing, modified) = {
            let state = self.state();
            (state.standing.clone(), state.is_modified())
        };
        match standing {
            Standing::Gone => return Ok(None),
            Standing::Opening | Standing::Unannounced => {
                let keep = modified || save_uninitialized;
                if keep {
                    self.create().await?;
                } else {
                    self.state().standing = Standing::Unannounced;
                }
                if let Some(old) = &self.shared.replaces {
                    old.destroy().await?;
                }
                let cookie = self.state().current().cookie.clone();
                return Ok(keep.then_some(cookie));
            }
            Standing::Stored(_) if modified => self.write(|_| Ok(())).await?,
            Standing::Stored(_) => self.touch().await?,
        }
        Ok(self.state().take_due_cookie())
    }

    /// Stores a new session, whose cookie is about to be sent.
    async fn create(&self) -> Result<(), SessionError> {
        let snapshot = self.state().current().clone();
        let (mut record, now) = (snapshot.clone(), SystemTime::now());
        record.cookie.touch(now);
        let ttl = record.cookie.time_to_live(now);
        match self.shared.backend.store.create(self.sid(), &record, ttl).await? {
            Created::Done(revision) => {
                let mut state = self.state();
                state.saved(&snapshot, record, revision);
                state.take_due_cookie();
                Ok(())
            }
            Created::Exists => Err(SessionError::Conflict),
        }
    }

    /// Compare and swap, again and again; `turn` is held by the caller.
    async fn write<T>(
        &self,
        mut change: impl FnMut(&mut Values) -> Result<T, ValueError>,
    ) -> Result<T, SessionError> {
        for attempt in 0..MAX_ATTEMPTS {
            let (standing, snapshot) = {
                let state = self.state();
                (state.standing.clone(), state.current().clone())
            };
            let mut record = snapshot.clone();
            let outcome = match standing {
                Standing::Gone => return Err(SessionError::Gone),
                Standing::Unannounced => return Err(SessionError::Unannounced),
                Standing::Opening | Standing::Stored(_) => change(&mut record.values)?,
            };
            let Standing::Stored(seen) = standing else {
                self.state().apply(&snapshot, record);
                return Ok(outcome);
            };
            if !self.state().differs(&record) {
                self.state().apply(&snapshot, record);
                return Ok(outcome);
            }
            let now = SystemTime::now();
            record.cookie.touch(now);
            let ttl = record.cookie.time_to_live(now);
            match self.shared.backend.store.replace(self.sid(), &seen, &record, ttl).await? {
                Replaced::Conflict(theirs) => {
                    self.state().rebase(*theirs);
                    tokio::time::sleep(back_off(attempt)).await;
                }
                Replaced::Done(revision) => {
                    self.state().saved(&snapshot, record, revision);
                    return Ok(outcome);
                }
                Replaced::Gone => return Err(self.end()),
            }
        }
        Err(SessionError::Conflict)
    }

    async fn touch(&self) -> Result<(), SessionError> {
        let (mut cookie, now) = (self.state().current().cookie.clone(), SystemTime::now());
        cookie.touch(now);
        if self.shared.backend.store.touch(self.sid(), &cookie, cookie.time_to_live(now)).await? {
            self.state().touched(cookie);
        } else {
            self.end();
        }
        Ok(())
    }

    fn end(&self) -> SessionError {
        self.state().end();
        SessionError::Gone
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("nothing panics while the state is locked")
    }
}

impl From<Arc<Shared>> for Session {
    fn from(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (is_new, is_modified) = (self.is_new(), self.is_modified());
        formatter
            .debug_struct("Session")
            .field("is_new", &is_new)
            .field("is_modified", &is_modified)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn stored(sid: Sid, backend: Arc<Backend>, found: Versioned) -> Self {
        Self::new(sid, backend, State::stored(found), None)
    }

    pub(crate) fn opening(backend: Arc<Backend>, cookie: CookieState, replaces: Option<Session>) -> Self {
        Self::new(Sid::generate(), backend, State::opening(cookie), replaces)
    }

    fn new(sid: Sid, backend: Arc<Backend>, state: State, replaces: Option<Session>) -> Self {
        Self { sid, backend, state: Mutex::new(state), turn: tokio::sync::Mutex::default(), replaces }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.backend.leave(&self.sid);
    }
}

/// Random, so that processes that got in each other's way do not do so again; the first retry is immediate.
fn back_off(attempt: u32) -> Duration {
    let window = (1 << attempt) - 1;
    Duration::from_millis(rand::random_range(0..=window.min(LONGEST_BACK_OFF)))
}

/// The windows of [`back_off`] then add up to about two seconds: time for hundreds of others to have their turn.
const MAX_ATTEMPTS: u32 = 16;

/// Milliseconds; many times what a write takes, so that dozens of processes rarely meet within it.
const LONGEST_BACK_OFF: u64 = 255;
