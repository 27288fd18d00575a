//! What this process knows of a session. Pure: stores and clocks are elsewhere.

use std::time::SystemTime;

use crate::{
    CookieState, Lifetime, Record, Stored,
    changes::{Changes, is_unchanged},
    policy::OnConflict,
    session::{Failure, SessionError},
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not in the store any more.
    Gone,
    /// New; the response that can carry its cookie is being made.
    Opening,
    /// In the store.
    Stored,
    /// New; the response has left without its cookie, so the browser knows nothing of it.
    Unannounced,
}

/// One for each session that is live; most of a million of them are idle, so it holds text and nothing parsed.
#[derive(Debug)]
pub(crate) struct State {
    standing: Standing,
    /// What the store held when last seen; of a new session, what it is to hold.
    text: Stored,
    /// What is being stored; a session that is idle has none.
    work: Option<Box<Work>>,
    /// Of the next changes; never used twice while anybody knows it, whoever may still hold an old one.
    next: u32,
    /// A new session has been changed.
    changed: bool,
    /// The stored session has changed since the browser last got its cookie.
    cookie_due: bool,
}

#[derive(Debug, Default)]
struct Work {
    /// Changes that their makers have finished and that are not stored yet, oldest first.
    pending: Vec<Pending>,
    /// Pending changes that will not be stored, until their makers ask.
    failed: Vec<(u32, Failed)>,
}

#[derive(Debug)]
struct Pending {
    id: u32,
    changes: Changes,
    /// How to go on when somebody else has changed the session.
    on_conflict: OnOvertaken,
    /// The store has been told to write them, and may have done so.
    in_flight: bool,
    /// Nobody will ask for their fate.
    abandoned: bool,
}

/// What is done with changes that were made from what is not the newest state any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnOvertaken {
    /// They are made again, by whoever made them.
    Again,
    /// They are merged.
    Merge,
}

/// Why changes were not stored.
#[derive(Clone, Debug)]
pub(crate) enum Failed {
    Again,
    For(Failure),
}

/// A write that would store everything that is pending.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) seen: Stored,
    pub(crate) record: Stored,
    pub(crate) lifetime: Lifetime,
    /// The changes in it.
    batch: Vec<u32>,
}

/// What has become of changes.
#[derive(Debug)]
pub(crate) enum Fate {
    Failed(Failed),
    Pending,
    Stored,
}

impl State {
    /// A new session.
    pub(crate) fn opening(cookie: CookieState) -> Self {
        Self::new(Standing::Opening, Stored::from(&Record::new(cookie)))
    }

    /// One that was found in the store; `text` has been read once, so that it can be read.
    pub(crate) fn stored(text: Stored) -> Self {
        Self::new(Standing::Stored, text)
    }

    fn new(standing: Standing, text: Stored) -> Self {
        Self { standing, text, work: None, next: 0, changed: false, cookie_due: false }
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    pub(crate) fn text(&self) -> &Stored {
        &self.text
    }

    /// The session with all changes that are finished, in order.
    pub(crate) fn current(&self, policy: &OnConflict) -> Record {
        let merge =
            |record: Record, pending: &Pending| pending.changes.apply(&record, policy).unwrap_or(record);
        self.pending().iter().fold(self.record(), merge)
    }

    /// The same, and the text if that is all there is to it.
    pub(crate) fn snapshot(&self, policy: &OnConflict) -> (Record, Option<Stored>) {
        (self.current(policy), self.pending().is_empty().then(|| self.text.clone()))
    }

    fn record(&self) -> Record {
        self.text.record().expect("what cannot be read is not taken over")
    }

    /// Whether changes are being stored.
    pub(crate) fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    /// Whether there is anything that a response must store.
    pub(crate) fn is_changed(&self) -> bool {
        self.changed
    }

    /// Puts changes into a new session, which is stored with its first response.
    pub(crate) fn change(&mut self, changes: &Changes, policy: &OnConflict) -> Result<(), SessionError> {
        let record = changes.apply(&self.record(), policy).map_err(|_| SessionError::Conflict)?;
        self.changed |= !changes.is_empty();
        self.text = Stored::from(&record);
        Ok(())
    }

    /// Puts a whole record into a new session.
    pub(crate) fn fill(&mut self, record: &Record) {
        self.text = Stored::from(record);
    }

    /// Lets others see changes, and the next write store them; returns how to ask for their fate. `None`: they were made
    /// of what is not the newest state any more, and have to be made again.
    pub(crate) fn push(
        &mut self,
        changes: Changes,
        on_conflict: OnOvertaken,
        policy: &OnConflict,
    ) -> Option<u32> {
        let are_newest = || {
            self.pending().is_empty() && changes.record_of(&self.text).is_some()
                || changes.are_of(&self.current(policy))
        };
        if on_conflict == OnOvertaken::Again && !are_newest() {
            return None;
        }
        let id = self.next;
        self.next = id.wrapping_add(1);
        let work = self.work.get_or_insert_default();
        work.pending.push(Pending { id, changes, on_conflict, in_flight: false, abandoned: false });
        Some(id)
    }

    /// Nobody waits for these changes any more: takes them back, unless they may be stored already.
    pub(crate) fn withdraw(&mut self, id: u32) {
        let Some(work) = &mut self.work else { return };
        work.failed.retain(|(failed, _)| *failed != id);
        match work.pending.iter_mut().find(|pending| pending.id == id) {
            Some(pending) if pending.in_flight => pending.abandoned = true,
            Some(_) => self.take_back(&[id]),
            None => self.settle(&[]),
        }
    }

    pub(crate) fn fate(&mut self, id: u32) -> Fate {
        if let Some(work) = &mut self.work
            && let Some(at) = work.failed.iter().position(|(failed, _)| *failed == id)
        {
            let (_, failed) = work.failed.swap_remove(at);
            self.settle(&[]);
            return Fate::Failed(failed);
        }
        if self.pending().iter().any(|pending| pending.id == id) { Fate::Pending } else { Fate::Stored }
    }

    /// Plans the write of all that is pending; `None` if there is nothing to be written. `extend`: the session lives
    /// its whole age again.
    pub(crate) fn write(&mut self, policy: &OnConflict, extend: bool, now: SystemTime) -> Option<Write> {
        let known = self.pending().first().and_then(|first| first.changes.record_of(&self.text)).cloned();
        let before = known.unwrap_or_else(|| self.record());
        let mut record = self.merge_pending(&before, policy);
        let batch = self.ids(|_| true);
        if batch.is_empty() {
            return None;
        }
        let has_age_of_its_own = !before.cookie.same_lifetime(&record.cookie);
        if is_unchanged(&before, &record) {
            self.settle(&batch);
            return None;
        }
        let lifetime = if extend {
            record.cookie.touch(now);
            record.cookie.lifetime(now)
        } else if has_age_of_its_own {
            record.cookie.lifetime(now)
        } else {
            Lifetime::Unchanged
        };
        if let Some(work) = &mut self.work {
            work.pending.iter_mut().for_each(|pending| pending.in_flight = true);
        }
        Some(Write { seen: self.text.clone(), record: Stored::from(&record), lifetime, batch })
    }

    /// Puts all that is pending into `before`; what cannot be, fails.
    fn merge_pending(&mut self, before: &Record, policy: &OnConflict) -> Record {
        // The write before this one was not done.
        let abandoned = self.ids(|pending| pending.abandoned);
        self.take_back(&abandoned);
        loop {
            let (mut record, mut irreconcilable) = (before.clone(), Vec::new());
            for pending in self.pending() {
                match pending.changes.apply(&record, policy) {
                    Ok(merged) => record = merged,
                    Err(_) => irreconcilable.push(pending.id),
                }
            }
            if irreconcilable.is_empty() {
                return record;
            }
            self.fail(&irreconcilable, &Failed::For(Failure::Conflict));
        }
    }

    /// The write was done. If the session has ended since, that stays so.
    pub(crate) fn written(&mut self, write: Write) {
        self.settle(&write.batch);
        if self.standing != Standing::Gone {
            self.text = write.record;
            self.cookie_due = true;
        }
    }

    /// The write was not done; its changes are dropped.
    pub(crate) fn not_written(&mut self, write: &Write, why: &Failure) {
        self.fail(&write.batch, &Failed::For(why.clone()));
    }

    /// Takes what the store holds now; whether that is another text than before.
    pub(crate) fn rebase(&mut self, text: Stored) -> bool {
        if self.standing == Standing::Gone || self.text.is_same(&text) {
            return false;
        }
        self.text = text;
        let again = self.ids(|pending| pending.on_conflict == OnOvertaken::Again);
        self.fail(&again, &Failed::Again);
        true
    }

    /// A new session has been stored.
    pub(crate) fn created(&mut self, text: Stored) {
        self.text = text;
        self.standing = Standing::Stored;
        self.changed = false;
    }

    /// The response of a new session has left without its cookie.
    pub(crate) fn unannounced(&mut self) {
        self.standing = Standing::Unannounced;
    }

    /// Whether the browser's cookie has become too old; counts it as sent.
    pub(crate) fn take_due_cookie(&mut self) -> bool {
        std::mem::take(&mut self.cookie_due)
    }

    /// The cookie as it is stored.
    pub(crate) fn cookie(&self) -> CookieState {
        self.record().cookie
    }

    /// The session is no more; false if that was known. The values are forgotten too, so that nobody is logged in by a
    /// session that has ended.
    pub(crate) fn end(&mut self) -> bool {
        if self.standing == Standing::Gone {
            return false;
        }
        let all = self.ids(|_| true);
        self.fail(&all, &Failed::For(Failure::Gone));
        self.text = Stored::from(&Record::new(self.record().cookie));
        self.standing = Standing::Gone;
        true
    }

    fn pending(&self) -> &[Pending] {
        self.work.as_ref().map_or(&[], |work| &work.pending)
    }

    fn ids(&self, which: impl Fn(&Pending) -> bool) -> Vec<u32> {
        self.pending().iter().filter(|pending| which(pending)).map(|pending| pending.id).collect()
    }

    fn fail(&mut self, ids: &[u32], why: &Failed) {
        let awaited = self.ids(|pending| ids.contains(&pending.id) && !pending.abandoned);
        if let Some(work) = &mut self.work {
            work.failed.extend(awaited.into_iter().map(|id| (id, why.clone())));
        }
        self.take_back(ids);
    }

    /// Removes changes that will not be stored. Others have seen them: what was made on top of them is made again, or
    /// merged as if they had not been there.
    fn take_back(&mut self, ids: &[u32]) {
        let Some(work) = &mut self.work else { return };
        let mut again = Vec::new();
        while let Some(at) = work.pending.iter().position(|pending| ids.contains(&pending.id)) {
            let removed = work.pending.remove(at);
            for later in &mut work.pending[at..] {
                later.changes.forget(&removed.changes);
                if later.on_conflict == OnOvertaken::Again && !ids.contains(&later.id) {
                    again.push(later.id);
                }
            }
        }
        if !again.is_empty() {
            self.fail(&again, &Failed::Again);
        }
        self.settle(&[]);
    }

    /// Nothing is to be done any more about these changes.
    fn settle(&mut self, ids: &[u32]) {
        let Some(work) = &mut self.work else { return };
        work.pending.retain(|pending| !ids.contains(&pending.id));
        if work.pending.is_empty() && work.failed.is_empty() {
            self.work = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const MINE: OnConflict = OnConflict::Mine;

    fn text(pairs: &[(&str, u8)]) -> Stored {
        let mut record = Record::new(CookieState::default());
        pairs.iter().for_each(|(key, value)| record.values.insert(key, value).unwrap());
        Stored::from(&record)
    }

    fn change(state: &State, key: &str, value: u8) -> Changes {
        let mut changes = Changes::new(state.current(&MINE));
        changes.mine.values.insert(key, &value).unwrap();
        changes
    }

    fn values(state: &State) -> Vec<(String, u8)> {
        let record = state.current(&MINE);
        record.values.iter().map(|(key, json)| (key.to_owned(), json.get().parse().unwrap())).collect()
    }

    #[test]
    fn what_is_finished_is_seen_before_it_is_stored_and_stored_together() {
        let mut state = State::stored(text(&[("a", 1)]));
        let first = change(&state, "a", 2);
        let first = state.push(first, OnOvertaken::Merge, &MINE).unwrap();
        let second = change(&state, "b", 3);
        let second = state.push(second, OnOvertaken::Merge, &MINE).unwrap();
        assert_eq!(values(&state), [("a".into(), 2), ("b".into(), 3)]);
        let write = state.write(&MINE, true, UNIX_EPOCH).unwrap();
        assert_eq!(
            (write.seen.clone(), write.record.clone()),
            (text(&[("a", 1)]), text(&[("a", 2), ("b", 3)]))
        );
        let late = change(&state, "c", 4);
        let late = state.push(late, OnOvertaken::Merge, &MINE).unwrap();
        state.written(write);
        assert!(matches!(state.fate(first), Fate::Stored) && matches!(state.fate(second), Fate::Stored));
        assert!(matches!(state.fate(late), Fate::Pending));
        assert_eq!(values(&state).len(), 3);
    }

    #[test]
    fn what_others_have_stored_is_merged_or_made_again() {
        let mut state = State::stored(text(&[("n", 1), ("a", 1)]));
        let (merged, stale) = (change(&state, "a", 2), change(&state, "n", 2));
        let merged = state.push(merged, OnOvertaken::Merge, &MINE).unwrap();
        assert_eq!(state.push(stale, OnOvertaken::Again, &MINE), None);
        let again = change(&state, "n", 2);
        let again = state.push(again, OnOvertaken::Again, &MINE).unwrap();
        assert!(state.rebase(text(&[("n", 5), ("a", 1), ("b", 1)])));
        assert!(matches!(state.fate(again), Fate::Failed(Failed::Again)));
        assert!(matches!(state.fate(merged), Fate::Pending));
        assert_eq!(values(&state), [("n".into(), 5), ("a".into(), 2), ("b".into(), 1)]);
        assert!(!state.rebase(text(&[("n", 5), ("a", 1), ("b", 1)])));
    }

    /// That it is known what a text says spares reading it, and makes nobody newer than he is.
    #[test]
    fn what_was_read_from_an_old_text_is_made_again() {
        let mut state = State::stored(text(&[("n", 1), ("a", 1)]));
        let made = |state: &State, value: u8| {
            let (before, text) = state.snapshot(&MINE);
            let mut record = before.clone();
            record.values.insert("n", &value).unwrap();
            Changes::between(before, record).read_from(text)
        };
        let (stale, beside) = (made(&state, 2), made(&state, 2));
        state.rebase(text(&[("n", 5), ("a", 1)]));
        assert_eq!(state.push(stale, OnOvertaken::Again, &MINE), None);
        let first = made(&state, 6);
        state.push(first, OnOvertaken::Again, &MINE).unwrap();
        let second = made(&state, 7);
        state.push(second, OnOvertaken::Again, &MINE).unwrap();
        assert_eq!(state.push(beside, OnOvertaken::Again, &MINE), None);
        let write = state.write(&MINE, true, UNIX_EPOCH).unwrap();
        assert_eq!(write.record, text(&[("n", 7), ("a", 1)]));
        state.rebase(text(&[("n", 8), ("a", 2)]));
        let late = made(&state, 9);
        state.push(late, OnOvertaken::Again, &MINE).unwrap();
        let write = state.write(&MINE, true, UNIX_EPOCH).unwrap();
        assert_eq!((write.seen, write.record), (text(&[("n", 8), ("a", 2)]), text(&[("n", 9), ("a", 2)])));
    }

    #[test]
    fn what_could_not_be_stored_is_seen_by_nobody_any_more() {
        let mut state = State::stored(text(&[("a", 1)]));
        let id = change(&state, "a", 2);
        let id = state.push(id, OnOvertaken::Merge, &MINE).unwrap();
        let write = state.write(&MINE, true, UNIX_EPOCH).unwrap();
        state.not_written(&write, &Failure::Conflict);
        assert_eq!(values(&state), [("a".into(), 1)]);
        assert!(matches!(state.fate(id), Fate::Failed(Failed::For(Failure::Conflict))));
        assert!(matches!(state.fate(id), Fate::Stored), "a fate is told once");
    }

    #[test]
    fn a_late_withdrawal_takes_nothing_of_others_back() {
        let mut state = State::stored(text(&[]));
        let first = change(&state, "a", 1);
        let first = state.push(first, OnOvertaken::Merge, &MINE).unwrap();
        let write = state.write(&MINE, true, UNIX_EPOCH).unwrap();
        state.written(write);
        let second = change(&state, "b", 2);
        let second = state.push(second, OnOvertaken::Merge, &MINE).unwrap();
        state.withdraw(first);
        assert!(matches!(state.fate(first), Fate::Stored) && matches!(state.fate(second), Fate::Pending));
        state.withdraw(second);
        assert_eq!(values(&state), [("a".into(), 1)]);
    }

    #[test]
    fn what_was_made_on_top_of_what_could_not_be_stored_is_made_again() {
        let mut state = State::stored(text(&[("n", 1), ("a", 1)]));
        let first = change(&state, "n", 2);
        state.push(first, OnOvertaken::Merge, &MINE).unwrap();
        let write = state.write(&MINE, true, UNIX_EPOCH).unwrap();
        let second = change(&state, "n", 3);
        let second = state.push(second, OnOvertaken::Again, &MINE).unwrap();
        let third = change(&state, "a", 2);
        let third = state.push(third, OnOvertaken::Merge, &MINE).unwrap();
        state.not_written(&write, &Failure::Conflict);
        assert!(matches!(state.fate(second), Fate::Failed(Failed::Again)));
        assert!(matches!(state.fate(third), Fate::Pending));
        assert_eq!(values(&state), [("n".into(), 1), ("a".into(), 2)]);
    }

    #[test]
    fn who_gives_up_takes_back_what_is_not_on_its_way() {
        let mut state = State::stored(text(&[("n", 1)]));
        let first = change(&state, "n", 2);
        let first = state.push(first, OnOvertaken::Merge, &MINE).unwrap();
        let second = change(&state, "n", 3);
        let second = state.push(second, OnOvertaken::Again, &MINE).unwrap();
        state.withdraw(first);
        assert!(matches!(state.fate(second), Fate::Failed(Failed::Again)));
        let third = change(&state, "n", 2);
        let third = state.push(third, OnOvertaken::Again, &MINE).unwrap();
        let write = state.write(&MINE, true, UNIX_EPOCH).unwrap();
        state.withdraw(third);
        assert_eq!(values(&state), [("n".into(), 2)], "it may be stored by now");
        state.rebase(text(&[("n", 7)]));
        assert!(state.write(&MINE, true, UNIX_EPOCH).is_none());
        assert_eq!(values(&state), [("n".into(), 7)]);
        state.written(write);
        assert!(state.work.is_none(), "nobody asks");
    }

    #[test]
    fn nothing_is_written_where_nothing_changes() {
        let mut state = State::stored(text(&[("a", 1)]));
        assert!(state.write(&MINE, true, UNIX_EPOCH).is_none());
        let id = change(&state, "a", 1);
        let id = state.push(id, OnOvertaken::Merge, &MINE).unwrap();
        assert!(state.write(&MINE, true, UNIX_EPOCH).is_none());
        assert!(matches!(state.fate(id), Fate::Stored));
    }

    #[test]
    fn who_comes_too_late_fails_alone() {
        let mut state = State::stored(text(&[("a", 1), ("b", 1)]));
        let (a, b) = (change(&state, "a", 2), change(&state, "b", 2));
        let (a, b) = (
            state.push(a, OnOvertaken::Merge, &MINE).unwrap(),
            state.push(b, OnOvertaken::Merge, &MINE).unwrap(),
        );
        state.rebase(text(&[("a", 9), ("b", 1)]));
        let write = state.write(&OnConflict::Fail, true, UNIX_EPOCH).unwrap();
        assert_eq!(write.record, text(&[("a", 9), ("b", 2)]));
        state.written(write);
        assert!(matches!(state.fate(a), Fate::Failed(Failed::For(Failure::Conflict))));
        assert!(matches!(state.fate(b), Fate::Stored));
    }

    #[test]
    fn a_write_extends_the_life_or_leaves_it() {
        let mut record = Record::new(CookieState::default());
        record.cookie.set_max_age(Some(Duration::from_secs(60)), UNIX_EPOCH);
        let mut state = State::stored(Stored::from(&record));
        let changes = change(&state, "a", 1);
        state.push(changes, OnOvertaken::Merge, &MINE).unwrap();
        let later = UNIX_EPOCH + Duration::from_secs(50);
        let write = state.write(&MINE, true, later).unwrap();
        assert_eq!(write.lifetime, Lifetime::For(Duration::from_secs(60)));
        assert_eq!(write.record.record().unwrap().cookie.expires(), Some(later + Duration::from_secs(60)));
        let write = state.write(&MINE, false, later).unwrap();
        assert_eq!(write.lifetime, Lifetime::Unchanged);
        assert_eq!(write.record.record().unwrap().cookie, record.cookie);
        let mut shorter = Changes::new(state.current(&MINE));
        shorter.mine.cookie.set_max_age(Some(Duration::from_secs(5)), later);
        state.push(shorter, OnOvertaken::Merge, &MINE).unwrap();
        let write = state.write(&MINE, false, later).unwrap();
        assert_eq!(write.lifetime, Lifetime::For(Duration::from_secs(5)), "what was set is meant");
    }

    #[test]
    fn an_ended_session_is_empty_and_stays_so() {
        let mut state = State::stored(text(&[("user", 1)]));
        let id = change(&state, "a", 1);
        let id = state.push(id, OnOvertaken::Merge, &MINE).unwrap();
        let write = state.write(&MINE, true, UNIX_EPOCH).unwrap();
        assert!(state.end() && !state.end());
        assert!(matches!(state.fate(id), Fate::Failed(Failed::For(Failure::Gone))));
        assert!(values(&state).is_empty());
        // The store's answers may overtake each other.
        state.written(write);
        assert!(!state.rebase(text(&[("user", 1)])));
        assert!(values(&state).is_empty());
    }

    /// With its lock and what the table needs it is far below what a socket costs.
    #[test]
    fn an_idle_state_is_small() {
        assert!(size_of::<State>() <= 32, "{}", size_of::<State>());
    }
}
