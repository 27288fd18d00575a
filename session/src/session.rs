//! The handle of one session.

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    CookieState, InvalidCookie, Record, Sid, StoreError, ValueError, Values,
    changes::Changes,
    shared::{MAX_ATTEMPTS, Shared, Unsaved},
    state::{OnOvertaken, Standing},
};

/// The session of one browser, and what its holder has changed in it but not saved. A clone is the same handle.
///
/// | where it comes from | who saves |
/// |---|---|
/// | [`SocketExt::session`](crate::SocketExt::session) in a handler | itself, when the handler has ended without an error, before the acknowledgement leaves |
/// | a request for a page, through [`Sessions::serve`](crate::Sessions::serve) or the tower layer | itself, before the response leaves |
/// | a handshake hook | itself, before the response leaves |
/// | anywhere else | [`save`](Self::save), [`update`](Self::update) or [`Sessions::commit`](crate::Sessions::commit) |
///
/// A handler or request sees the session as it was when it first looked, and its own changes; all others see those when
/// it has ended. A handle from anywhere else sees the newest state until it changes something; so does one that outlives
/// its handler or response, and what it changes then must be saved like that. Changes are put over
/// whatever the session has become meanwhile, name by name: no other's change is lost. Where two have set the same
/// value, [`OnConflict`](crate::OnConflict) decides; to count, use [`update`](Self::update).
///
/// `Debug` shows neither the id nor the values.
#[derive(Clone)]
pub struct Session {
    unit: Arc<Unit>,
}

/// One handler or request at work.
struct Unit {
    shared: Mutex<Arc<Shared>>,
    /// Present once something was changed, and within a handler once something was read.
    changes: Mutex<Option<Changes>>,
    scope: Scope,
    /// Sessions that end when the present one has been stored in their place.
    replaced: Mutex<Vec<Arc<Shared>>>,
    /// Something has been saved.
    wrote: AtomicBool,
    /// The handler or request has ended, and the handle has not: it is one from anywhere else now.
    released: AtomicBool,
}

/// Changes that are being saved; back in their handle if that does not happen.
struct Taken<'a> {
    session: &'a Session,
    changes: Option<Changes>,
}

/// Who saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The holder.
    Free,
    /// The middleware around an event or an occasion of a socket.
    Handler,
    /// Whoever commits the response; the request was secure or not.
    Request { secure: bool },
}

/// Why a session could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Others changed the session faster than the change could be made, or changed the same value and the policy is
    /// [`OnConflict::Fail`](crate::OnConflict::Fail); nothing was changed.
    #[error("the session was changed by others at the same time")]
    Conflict,
    /// The stored cookie has an attribute that no `Set-Cookie` can carry.
    #[error(transparent)]
    Cookie(#[from] InvalidCookie),
    /// The session was destroyed or has expired.
    #[error("the session has ended")]
    Gone,
    /// There is no response that could tell the browser of a new cookie: use a [ticket](Session::regenerate_with_ticket).
    #[error("no response can carry the cookie of a new session")]
    NoResponse,
    /// The store failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// As many [tickets](crate::Ticket) wait to be claimed as
    /// [may](crate::SessionsBuilder::max_tickets).
    #[error("too many tickets wait to be claimed")]
    Tickets,
    /// The session is new and its browser was never told of it, so that nobody could ever come back to it.
    #[error("the browser has no cookie for this session")]
    Unannounced,
    /// A value could not be read or written.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// Why a write failed, to be told to each whose changes were in it.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Conflict,
    Gone,
    Store(Arc<StoreError>),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<Failure> for SessionError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict => Self::Conflict,
            Failure::Gone => Self::Gone,
            Failure::Store(error) => Self::Store(error),
        }
    }
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, scope: Scope) -> Self {
        let shared = Mutex::new(shared);
        let (changes, replaced) = (Mutex::default(), Mutex::default());
        let (wrote, released) = (AtomicBool::default(), AtomicBool::default());
        Self { unit: Arc::new(Unit { shared, changes, scope, replaced, wrote, released }) }
    }

    /// Returns the id. A secret: whoever has it and a signing key is this browser.
    pub fn sid(&self) -> Sid {
        self.shared().sid.clone()
    }

    /// Returns the value as `T`, or `None` if there is no value of this name.
    ///
    /// # Errors
    ///
    /// [`ValueError::Mismatch`] if the value is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ValueError> {
        self.values().get(key)
    }

    /// Returns all values as this handle sees them.
    pub fn values(&self) -> Values {
        self.view().values
    }

    /// Sets a value.
    ///
    /// # Errors
    ///
    /// [`ValueError::Reserved`] and [`ValueError::Unwritable`].
    pub fn insert<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), ValueError> {
        // Written before the lock is taken, as `T` may run any code.
        let mut change = Values::default();
        change.insert(key, value)?;
        let json = change.json(key).expect("it was inserted a line ago").clone();
        self.change(|record| record.values.put(key.into(), json));
        Ok(())
    }

    /// Removes a value and tells whether it was there.
    pub fn remove(&self, key: &str) -> bool {
        self.change(|record| record.values.remove(key))
    }

    /// Returns a value, or sets it to what `make` makes if there is none.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`insert`](Self::insert).
    pub fn get_or_insert_with<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        make: impl FnOnce() -> T,
    ) -> Result<T, ValueError> {
        if let Some(value) = self.get(key)? {
            return Ok(value);
        }
        let value = make();
        self.insert(key, &value)?;
        Ok(value)
    }

    /// Returns the cookie: how long the session lives, and its attributes.
    pub fn cookie(&self) -> CookieState {
        self.view().cookie
    }

    /// Gives this session a life of its own length, from each use on; `None`: until the browser is closed. It is saved
    /// like a value, in whole milliseconds, and the browser learns of it with the next response. Zero ends the session when
    /// it is saved.
    pub fn set_max_age(&self, max_age: Option<Duration>) {
        self.change(|record| record.cookie.set_max_age(max_age, SystemTime::now()));
    }

    /// Tells whether the browser does not know of this session yet.
    pub fn is_new(&self) -> bool {
        matches!(self.shared().state().standing(), Standing::Opening | Standing::Unannounced)
    }

    /// Tells whether the session was destroyed or has expired.
    pub fn is_gone(&self) -> bool {
        self.shared().state().standing() == Standing::Gone
    }

    /// Tells whether there are changes that were not saved.
    pub fn is_modified(&self) -> bool {
        self.is_changed_here() || self.shared().state().is_changed()
    }

    /// Changes values and saves them, as one transaction: nobody's change is lost and none is made twice.
    ///
    /// The closure runs again, on newer values, whenever somebody else wrote the session in between; so it should do
    /// nothing but change the values. If it fails, nothing is changed. Other unsaved changes of this handle are saved
    /// with it.
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
        mut change: impl FnMut(&mut Values) -> Result<T, ValueError>,
    ) -> Result<T, SessionError> {
        let shared = self.shared();
        let policy = &shared.inner.config.on_conflict;
        let own = self.take_changes();
        for _ in 0..MAX_ATTEMPTS {
            let (before, text) = shared.state().snapshot(policy);
            let merged = match &own.changes {
                Some(own) => own.apply(&before, policy).map_err(|_| SessionError::Conflict)?,
                None => before.clone(),
            };
            let mut record = merged;
            let outcome = change(&mut record.values)?;
            let changes = Changes::between(before, record).read_from(text);
            match shared.save(changes, OnOvertaken::Again).await {
                Ok(()) => {
                    own.saved();
                    return Ok(outcome);
                }
                Err(Unsaved::Again) => {}
                Err(Unsaved::Error(error)) => return Err(error),
            }
        }
        Err(SessionError::Conflict)
    }

    /// Saves the changes, if there are any; the session then lives its whole age again.
    ///
    /// A new session is left to the response, which has room for its cookie.
    ///
    /// # Errors
    ///
    /// [`SessionError::Gone`] if the session has ended: a save never brings it back. [`SessionError::Unannounced`]
    /// if it is new and its response has already left. [`SessionError::Conflict`] and [`SessionError::Store`]: nothing
    /// was saved, as far as the store says, and the changes stay in this handle.
    pub async fn save(&self) -> Result<(), SessionError> {
        let own = self.take_changes();
        let Some(changes) = own.changes.clone() else { return Ok(()) };
        match self.shared().save(changes, OnOvertaken::Merge).await {
            Ok(()) => {
                own.saved();
                Ok(())
            }
            Err(Unsaved::Again) => unreachable!("what is merged is not made again"),
            Err(Unsaved::Error(error)) => Err(error),
        }
    }

    /// Reads the stored session again; unsaved changes stay on top of it.
    ///
    /// # Errors
    ///
    /// [`SessionError::Gone`] if the session has ended, [`SessionError::Store`] if that cannot be known.
    pub async fn reload(&self) -> Result<(), SessionError> {
        let shared = self.shared();
        shared.reload().await?;
        let policy = &shared.inner.config.on_conflict;
        let mut changes = lock(&self.unit.changes);
        if let Some(own) = changes.take().filter(|own| !own.is_empty()) {
            let current = shared.state().current(policy);
            let merged = own.apply(&current, policy).map_err(|_| SessionError::Conflict)?;
            *changes = Some(Changes::between(current, merged));
        }
        Ok(())
    }

    /// Lets the session live its whole age again, in the store at once. Does nothing for a new session, or with
    /// [`fixed_lifetime`](crate::SessionsBuilder::fixed_lifetime).
    ///
    /// # Errors
    ///
    /// As [`reload`](Self::reload).
    pub async fn touch(&self) -> Result<(), SessionError> {
        if self.is_gone() {
            return Err(SessionError::Gone);
        }
        self.shared().touch().await
    }

    /// Ends the session, for every socket and request that shares it, wherever they are. The browser keeps a cookie
    /// without meaning.
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`]: the session is still alive then.
    pub async fn destroy(&self) -> Result<(), SessionError> {
        self.shared().destroy().await?;
        self.discard();
        Ok(())
    }

    /// Puts a new, empty session in the place of this one; do so at login and logout, so that whoever knew the cookie
    /// before does not share what comes after. Every clone of this handle is the new session then.
    ///
    /// The old session ends only when the new one has been stored with its response. The new one has the cookie that new
    /// sessions have, whatever the old one's age was set to.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoResponse`] in handlers of a socket, and where the response has left.
    pub fn regenerate(&self) -> Result<(), SessionError> {
        let Scope::Request { secure } = self.unit.scope else { return Err(SessionError::NoResponse) };
        if self.is_free() {
            return Err(SessionError::NoResponse);
        }
        let old = self.shared();
        self.replace(old.inner.successor(&old, secure));
        Ok(())
    }

    /// Makes this handle one of another session.
    pub(crate) fn replace(&self, new: Arc<Shared>) {
        self.discard();
        let old = mem::replace(&mut *lock(&self.unit.shared), new);
        if old.state().standing() == Standing::Stored {
            lock(&self.unit.replaced).push(old);
        }
    }

    pub(crate) fn take_replaced(&self) -> Vec<Arc<Shared>> {
        mem::take(&mut *lock(&self.unit.replaced))
    }

    /// Saves before a response. Where the store has failed, the changes are dropped: the response says so.
    pub(crate) async fn save_for_response(&self) -> Result<(), SessionError> {
        match self.conclude().await {
            // A page may end its own session.
            Err(SessionError::Gone) => Ok(()),
            // What is put into a session that nobody can come back to is of use for this one response.
            Err(SessionError::Unannounced) => Ok(()),
            saved => saved,
        }
    }

    /// The handler or request has ended: saves what it has changed.
    pub(crate) async fn conclude(&self) -> Result<(), SessionError> {
        let saved = self.save().await;
        if saved.is_err() {
            self.discard();
        }
        self.release();
        saved
    }

    /// Who still has the handle sees the newest state, and saves by itself.
    pub(crate) fn release(&self) {
        let mut changes = lock(&self.unit.changes);
        if changes.as_ref().is_some_and(Changes::is_empty) {
            *changes = None;
        }
        self.unit.released.store(true, Ordering::Relaxed);
    }

    /// Whether something was saved by this handle.
    pub(crate) fn has_written(&self) -> bool {
        self.unit.wrote.load(Ordering::Relaxed)
    }

    pub(crate) fn scope(&self) -> Scope {
        self.unit.scope
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&lock(&self.unit.shared))
    }

    /// Forgets what was not saved.
    pub(crate) fn discard(&self) {
        lock(&self.unit.changes).take();
    }

    /// Whether this very handle has changed something.
    pub(crate) fn is_changed_here(&self) -> bool {
        lock(&self.unit.changes).as_ref().is_some_and(|changes| !changes.is_empty())
    }

    fn view(&self) -> Record {
        let mut changes = lock(&self.unit.changes);
        match &mut *changes {
            Some(changes) => changes.mine.clone(),
            None if self.is_free() => self.current(),
            none => none.insert(Changes::new(self.current())).mine.clone(),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        let mut changes = lock(&self.unit.changes);
        change(&mut changes.get_or_insert_with(|| Changes::new(self.current())).mine)
    }

    fn current(&self) -> Record {
        let shared = self.shared();
        shared.state().current(&shared.inner.config.on_conflict)
    }

    /// Whether nobody saves but the holder.
    fn is_free(&self) -> bool {
        self.unit.scope == Scope::Free || self.unit.released.load(Ordering::Relaxed)
    }

    fn take_changes(&self) -> Taken<'_> {
        let changes = lock(&self.unit.changes).take().filter(|changes| !changes.is_empty());
        Taken { session: self, changes }
    }
}

impl Taken<'_> {
    fn saved(mut self) {
        self.changes = None;
        self.session.unit.wrote.store(true, Ordering::Relaxed);
    }
}

/// Not saved, or given up: what was changed since then comes on top.
impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let Some(own) = self.changes.take() else { return };
        let mut changes = lock(&self.session.unit.changes);
        *changes = Some(match changes.take() {
            Some(newer) => newer.on_top_of(own),
            None => own,
        });
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

/// Changes that nobody is going to save would be lost in silence: of a handle that is nobody's but its holder's, or those
/// that a task has made after its handler had ended. What was not to be saved was discarded on purpose.
impl Drop for Unit {
    fn drop(&mut self) {
        if lock(&self.changes).as_ref().is_some_and(|changes| !changes.is_empty()) {
            tracing::warn!("changes of a session were dropped: call `save` outside of handlers and requests");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing of the application runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, Sessions};

    #[tokio::test]
    async fn what_has_ended_says_so() {
        let sessions = Sessions::builder(MemoryStore::default()).secret("key").build().unwrap();
        let session = sessions.open(&http::Request::new(())).await.unwrap();
        session.insert("user", "ada").unwrap();
        sessions.commit(&session, &mut http::HeaderMap::new()).await.unwrap();
        let other = sessions.load(&session.sid()).await.unwrap().unwrap();
        other.touch().await.unwrap();
        session.destroy().await.unwrap();
        assert!(matches!(other.touch().await, Err(SessionError::Gone)));
        assert!(matches!(other.reload().await, Err(SessionError::Gone)));
        other.insert("user", "ben").unwrap();
        assert!(matches!(other.save().await, Err(SessionError::Gone)));
        other.discard();
    }
}
