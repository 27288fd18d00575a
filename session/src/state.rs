//! What a live session knows of itself. Pure: stores and clocks are elsewhere.

use crate::{
    CookieState, Record, Values,
    store::{Revision, Versioned},
};

/// How a session stands towards its store and its browser.
///
/// ```text
/// no valid cookie ──> Opening ──commit, kept───────> Stored ──destroyed, expired──> Gone
///                        │                             ^
///                  commit, not kept                    │
///                        v                             │
///                   Unannounced ───commit, kept────────┘
/// ```
///
/// Only a commit, which has a response to carry the cookie, leads to `Stored`; nothing leads away from `Gone`.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// Not in the store any more.
    Gone,
    /// New; the response that can carry its cookie is being made.
    Opening,
    /// In the store, at this revision when last seen.
    Stored(Revision),
    /// New; the response has left without its cookie, so the browser knows nothing of it.
    Unannounced,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) standing: Standing,
    /// What the store held when last seen.
    base: Record,
    /// `base` with the changes of this process.
    current: Record,
    /// The stored session has changed since the browser last got its cookie.
    cookie_due: bool,
}

impl State {
    pub(crate) fn opening(cookie: CookieState) -> Self {
        let record = Record::new(cookie);
        Self { standing: Standing::Opening, base: record.clone(), current: record, cookie_due: false }
    }

    pub(crate) fn stored(found: Versioned) -> Self {
        Self {
            standing: Standing::Stored(found.revision),
            base: found.record.clone(),
            current: found.record,
            cookie_due: false,
        }
    }

    pub(crate) fn current(&self) -> &Record {
        &self.current
    }

    pub(crate) fn values_mut(&mut self) -> &mut Values {
        &mut self.current.values
    }

    pub(crate) fn is_modified(&self) -> bool {
        self.differs(&self.current)
    }

    /// Tells whether `record` holds other values than the store did.
    pub(crate) fn differs(&self, record: &Record) -> bool {
        self.base.values != record.values
    }

    /// Takes what the store holds now and puts the unsaved changes on top of it.
    pub(crate) fn rebase(&mut self, found: Versioned) {
        self.current.values = Values::merge(&self.base.values, &self.current.values, &found.record.values);
        self.current.cookie = found.record.cookie.clone();
        self.base = found.record;
        self.standing = Standing::Stored(found.revision);
    }

    /// Takes what was made of `snapshot` and keeps the changes made since that was taken.
    pub(crate) fn apply(&mut self, snapshot: &Record, record: Record) {
        self.current.values = Values::merge(&snapshot.values, &self.current.values, &record.values);
        self.current.cookie = record.cookie;
    }

    /// As [`apply`](Self::apply), and `record` is now what the store holds.
    pub(crate) fn saved(&mut self, snapshot: &Record, record: Record, revision: Revision) {
        self.base = record.clone();
        self.apply(snapshot, record);
        self.standing = Standing::Stored(revision);
        self.cookie_due = true;
    }

    pub(crate) fn touched(&mut self, cookie: CookieState) {
        self.base.cookie = cookie.clone();
        self.current.cookie = cookie;
    }

    /// Returns the cookie if the browser's one has become too old, and counts it as sent.
    pub(crate) fn take_due_cookie(&mut self) -> Option<CookieState> {
        let due = std::mem::take(&mut self.cookie_due) && self.current.cookie.expires().is_some();
        due.then(|| self.current.cookie.clone())
    }

    /// Forgets the values too, so that nobody is logged in by a session that has ended.
    pub(crate) fn end(&mut self) {
        *self = Self { standing: Standing::Gone, ..Self::opening(self.base.cookie.clone()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(pairs: &[(&str, u8)]) -> Record {
        let mut record = Record::new(CookieState::default());
        for (key, value) in pairs {
            record.values.insert(key, value).unwrap();
        }
        record
    }

    fn found(pairs: &[(&str, u8)]) -> Versioned {
        Versioned { record: record(pairs), revision: Revision::new(*b"1") }
    }

    #[test]
    fn changes_made_while_a_save_is_under_way_stay_unsaved() {
        let mut state = State::stored(found(&[("a", 1)]));
        state.values_mut().insert("b", &2).unwrap();
        let snapshot = state.current().clone();
        state.values_mut().insert("c", &3).unwrap();
        state.saved(&snapshot, snapshot.clone(), Revision::new(*b"2"));
        assert_eq!(state.current().values, record(&[("a", 1), ("b", 2), ("c", 3)]).values);
        assert!(state.is_modified());
        assert!(!state.differs(&record(&[("a", 1), ("b", 2)])));
    }

    #[test]
    fn a_rebase_keeps_both_sides() {
        let mut state = State::stored(found(&[("a", 1), ("b", 1), ("c", 1)]));
        state.values_mut().insert("a", &2).unwrap();
        state.values_mut().remove("b");
        state.rebase(found(&[("a", 1), ("b", 1), ("c", 9), ("d", 9)]));
        assert_eq!(state.current().values, record(&[("a", 2), ("c", 9), ("d", 9)]).values);
    }

    #[test]
    fn an_ended_session_is_empty() {
        let mut state = State::stored(found(&[("user", 1)]));
        state.end();
        assert!(matches!(state.standing, Standing::Gone));
        assert!(state.current().values.is_empty() && !state.is_modified());
    }
}
