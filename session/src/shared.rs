//! A live session and its store: loads, writes, touches, ends.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use socketio::Socket;

use crate::{
    CookieState, Lifetime, Sid, StoreError, Stored,
    attached::Sockets,
    changes::Changes,
    contention::Contention,
    policy::OnEnd,
    session::{Failure, SessionError},
    sessions::Inner,
    state::{Failed, Fate, OnOvertaken, Standing, State, Write},
    store::{Created, Replaced},
    to_the_end::to_the_end,
};

/// What all handles of a session share.
pub(crate) struct Shared {
    pub(crate) sid: Sid,
    pub(crate) inner: Arc<Inner>,
    state: Mutex<State>,
    /// Held while the store is asked, so that this process never conflicts with itself.
    turn: tokio::sync::Mutex<Contention>,
    /// When it was read and touched last, in milliseconds of [`Inner::now`].
    loaded: AtomicU64,
    touched: AtomicU64,
    /// The sockets of the session in this process.
    sockets: Mutex<Sockets>,
}

/// Why changes were not stored.
pub(crate) enum Unsaved {
    /// They have to be made again, from a newer state.
    Again,
    Error(SessionError),
}

impl From<SessionError> for Unsaved {
    fn from(error: SessionError) -> Self {
        Self::Error(error)
    }
}

impl Shared {
    pub(crate) fn opening(inner: &Arc<Inner>, sid: Sid, cookie: CookieState) -> Self {
        Self::new(inner, sid, State::opening(cookie))
    }

    /// Takes a session over from the store.
    pub(crate) fn stored(inner: &Arc<Inner>, sid: Sid, text: Stored) -> Result<Self, StoreError> {
        text.record()?;
        Ok(Self::new(inner, sid, State::stored(text)))
    }

    fn new(inner: &Arc<Inner>, sid: Sid, state: State) -> Self {
        let now = inner.now();
        Self {
            sid,
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
            loaded: AtomicU64::new(now),
            touched: AtomicU64::new(0),
            sockets: Mutex::default(),
            inner: Arc::clone(inner),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Has changes stored, together with those of others, which see them at once. In a new session they wait for the
    /// response.
    pub(crate) async fn save(
        self: &Arc<Self>,
        changes: Changes,
        on_conflict: OnOvertaken,
    ) -> Result<(), Unsaved> {
        let id = {
            let mut state = self.state();
            match state.standing() {
                Standing::Gone => return Err(SessionError::Gone.into()),
                Standing::Unannounced => return Err(SessionError::Unannounced.into()),
                Standing::Opening => return Ok(state.change(&changes, &self.inner.config.on_conflict)?),
                Standing::Stored if changes.is_empty() => return Ok(()),
                Standing::Stored => match state.push(changes, on_conflict, &self.inner.config.on_conflict) {
                    Some(id) => id,
                    None => return Err(Unsaved::Again),
                },
            }
        };
        let _withdrawal = Withdrawal { shared: self, id };
        loop {
            let turn = self.turn.lock().await;
            let fate = self.state().fate(id);
            drop(turn);
            match fate {
                Fate::Stored => return Ok(()),
                Fate::Failed(Failed::Again) => return Err(Unsaved::Again),
                Fate::Failed(Failed::For(failure)) => return Err(Unsaved::Error(failure.into())),
                Fate::Pending => {}
            }
            // Others' changes are in the write, too, and what a store was told cannot be taken back.
            let shared = Arc::clone(self);
            to_the_end(async move {
                let mut turn = shared.turn.lock().await;
                shared.write(&mut turn).await;
            })
            .await;
        }
    }

    /// Stores all that is pending: compare and swap, again and again. The caller has the turn.
    async fn write(&self, contention: &mut Contention) {
        let config = &self.inner.config;
        for attempt in 0..MAX_ATTEMPTS {
            let extend = !config.fixed_lifetime;
            let Some(write) = self.state().write(&config.on_conflict, extend, SystemTime::now()) else {
                return;
            };
            if write.lifetime == Lifetime::For(Duration::ZERO) {
                return self.write_end(&write).await;
            }
            let Write { seen, record, lifetime, .. } = &write;
            match self.inner.store.replace(&self.sid, seen, record, *lifetime).await {
                Ok(Replaced::Done) => {
                    contention.won();
                    let (old, new) = (seen.clone(), record.clone());
                    self.state().written(write);
                    self.note_touch();
                    return self.inner.tell_change(self, &old, Some(&new));
                }
                Ok(Replaced::Gone) => return self.end(),
                Ok(Replaced::Conflict(text)) => match self.take_over(&text) {
                    Ok(()) if attempt + 1 == MAX_ATTEMPTS => {
                        self.state().not_written(&write, &Failure::Conflict);
                    }
                    // Also for changes that are made again, outside of this loop.
                    Ok(()) => {
                        if let Some(wait) = contention.lost(self.inner.now()) {
                            tokio::time::sleep(wait).await;
                        }
                    }
                    Err(error) => return self.state().not_written(&write, &Failure::from(error)),
                },
                Err(error) => return self.state().not_written(&write, &Failure::from(error)),
            }
        }
    }

    /// The application has set the age to nothing, which is how it ends a session.
    async fn write_end(&self, write: &Write) {
        match self.inner.store.destroy(&self.sid).await {
            Ok(_) => {
                self.state().written(write.clone());
                self.end();
            }
            Err(error) => self.state().not_written(write, &Failure::from(error)),
        }
    }

    /// Takes what the store holds now.
    fn take_over(&self, text: &Stored) -> Result<(), StoreError> {
        text.record()?;
        let old = {
            let mut state = self.state();
            let old = state.text().clone();
            state.rebase(text.clone()).then_some(old)
        };
        self.loaded.store(self.inner.now(), Ordering::Relaxed);
        if let Some(old) = old {
            self.inner.tell_change(self, &old, Some(text));
        }
        Ok(())
    }

    /// Reads the stored session again.
    pub(crate) async fn reload(&self) -> Result<(), SessionError> {
        let _turn = self.turn.lock().await;
        match self.state().standing() {
            Standing::Gone => return Err(SessionError::Gone),
            Standing::Opening | Standing::Unannounced => return Ok(()),
            Standing::Stored => {}
        }
        match self.inner.load(&self.sid).await? {
            Some(text) => Ok(self.take_over(&text)?),
            None => {
                self.end();
                Err(SessionError::Gone)
            }
        }
    }

    /// Reads it again if what is known is older than `age`.
    pub(crate) async fn reload_if_older(&self, age: Duration) -> Result<(), SessionError> {
        if self.inner.has_passed(age, self.loaded.load(Ordering::Relaxed)) {
            self.reload().await
        } else {
            Ok(())
        }
    }

    /// Stores a new session, whose cookie is about to be sent.
    pub(crate) async fn create(&self) -> Result<CookieState, SessionError> {
        let _turn = self.turn.lock().await;
        let (mut record, now) = (self.state().current(&self.inner.config.on_conflict), SystemTime::now());
        record.cookie.touch(now);
        let text = Stored::from(&record);
        match self.inner.store.create(&self.sid, &text, record.cookie.lifetime(now)).await? {
            Created::Done => {
                self.state().created(text);
                self.note_touch();
                Ok(record.cookie)
            }
            Created::Exists => Err(SessionError::Conflict),
        }
    }

    /// Lets the session live its whole age again. Its text stays as it is.
    pub(crate) async fn touch(&self) -> Result<(), SessionError> {
        if self.inner.config.fixed_lifetime || self.state().standing() != Standing::Stored {
            return Ok(());
        }
        let (mut cookie, now) = (self.cookie(), SystemTime::now());
        cookie.touch(now);
        self.note_touch();
        if self.inner.store.touch(&self.sid, cookie.lifetime(now)).await? {
            Ok(())
        } else {
            self.end();
            Err(SessionError::Gone)
        }
    }

    /// Touches it without waiting, unless that has been done within the interval.
    pub(crate) fn touch_in_background(self: &Arc<Self>, min_interval: Duration) {
        let last = self.touched.load(Ordering::Relaxed);
        if !self.inner.has_passed(min_interval, last) || self.state().standing() != Standing::Stored {
            return;
        }
        self.note_touch();
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            match shared.touch().await {
                Ok(()) | Err(SessionError::Gone) => {}
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "session not touched"),
            }
        });
    }

    /// Ends the session for everybody.
    pub(crate) async fn destroy(self: &Arc<Self>) -> Result<(), SessionError> {
        let shared = Arc::clone(self);
        to_the_end(async move {
            let _turn = shared.turn.lock().await;
            let standing = shared.state().standing();
            if standing == Standing::Stored {
                shared.inner.store.destroy(&shared.sid).await?;
            }
            shared.end();
            Ok(())
        })
        .await
    }

    /// The cookie as it is to be sent now, living its whole age.
    pub(crate) fn cookie(&self) -> CookieState {
        let mut cookie = self.state().current(&self.inner.config.on_conflict).cookie;
        if !self.inner.config.fixed_lifetime {
            cookie.touch(SystemTime::now());
        }
        cookie
    }

    fn note_touch(&self) {
        self.touched.store(self.inner.now(), Ordering::Relaxed);
    }

    /// Notes a socket of the session; one of a session that has ended is treated as that policy says.
    pub(crate) fn attach(&self, socket: &Socket) {
        {
            let mut sockets = lock(&self.sockets);
            sockets.retain(Socket::is_connected);
            sockets.add(socket);
        }
        if self.state().standing() == Standing::Gone {
            self.end_sockets();
        }
    }

    pub(crate) fn detach(&self, socket: &Socket) {
        lock(&self.sockets).retain(|other| other.id() != socket.id());
    }

    /// The sockets of it that are connected here.
    pub(crate) fn sockets(&self) -> Vec<Socket> {
        lock(&self.sockets).iter().collect()
    }

    /// Whether a socket of it is connected here.
    pub(crate) fn has_sockets(&self) -> bool {
        !lock(&self.sockets).is_empty()
    }

    /// Takes note that the session is no more.
    pub(crate) fn end(&self) {
        let ended = {
            let mut state = self.state();
            let old = state.text().clone();
            state.end().then_some(old)
        };
        if let Some(old) = ended {
            self.inner.tell_change(self, &old, None);
            self.end_sockets();
        }
    }

    fn end_sockets(&self) {
        let sockets = std::mem::take(&mut *lock(&self.sockets));
        if sockets.is_empty() {
            return;
        }
        let on_end = self.inner.config.on_end.clone();
        tokio::spawn(async move {
            if let OnEnd::Disconnect { grace } | OnEnd::Reconnect { grace } = on_end {
                tokio::time::sleep(grace).await;
            }
            for socket in sockets.iter() {
                match &on_end {
                    OnEnd::Callback(callback) => callback(&socket),
                    OnEnd::Disconnect { .. } => socket.disconnect_connection(),
                    OnEnd::Reconnect { .. } => socket.connection().close(),
                }
            }
        });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.inner.live.leave(&self.sid);
    }
}

/// Takes changes back that nobody waits for any more, stored or not.
struct Withdrawal<'a> {
    shared: &'a Shared,
    id: u32,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.shared.state().withdraw(self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half-done under these locks: a policy's function that panics has changed nothing yet.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With the waits in between more than a second: time for dozens of others to have their turn.
pub(crate) const MAX_ATTEMPTS: u32 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    /// One for each session that has a socket: with its text and what a socket keeps of it, less than 1,000 bytes.
    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of::<Shared>() <= 152, "{}", size_of::<Shared>());
    }
}
