//! What one handler or request has done to a session.

use crate::{CookieState, Record, Stored, Values, policy::OnConflict};

/// A session as it was, and as it is to be: what is different is put over whatever the session has become meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    base: Record,
    pub(crate) mine: Record,
    /// The text that `base` was read from, if it was and that is known: this spares reading it again.
    read_from: Option<Stored>,
}

/// Two have changed the same value, and the policy is that this fails.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Irreconcilable;

impl Changes {
    /// Begins with no change of `base`.
    pub(crate) fn new(base: Record) -> Self {
        Self { mine: base.clone(), base, read_from: None }
    }

    pub(crate) fn between(base: Record, mine: Record) -> Self {
        Self { base, mine, read_from: None }
    }

    pub(crate) fn read_from(self, text: Option<Stored>) -> Self {
        Self { read_from: text, ..self }
    }

    /// Whether they were made of this very state.
    pub(crate) fn are_of(&self, record: &Record) -> bool {
        self.base == *record
    }

    /// The record of this text, if they were made of that.
    pub(crate) fn record_of(&self, text: &Stored) -> Option<&Record> {
        self.read_from.as_ref().filter(|read| read.is_same(text)).map(|_| &self.base)
    }

    /// Whether nothing is different.
    pub(crate) fn is_empty(&self) -> bool {
        is_unchanged(&self.base, &self.mine)
    }

    /// Makes the same changes in `theirs`.
    pub(crate) fn apply(&self, theirs: &Record, policy: &OnConflict) -> Result<Record, Irreconcilable> {
        let mut merged = theirs.clone();
        merged.values = Values::merge(&self.base.values, &self.mine.values, &theirs.values, policy)?;
        if self.changes_cookie() {
            merged.cookie = self.mine.cookie.clone();
        }
        Ok(merged)
    }

    /// Both, these having been made later.
    pub(crate) fn on_top_of(&self, earlier: Self) -> Self {
        let Ok(mine) = self.apply(&earlier.mine, &OnConflict::Mine) else { return earlier };
        Self { mine, ..earlier }
    }

    /// As if `earlier`, which they may have been made on top of, had never been made.
    pub(crate) fn forget(&mut self, earlier: &Self) {
        let mut undo = Self::between(earlier.mine.clone(), earlier.base.clone());
        if !is_same(&self.base.cookie, &earlier.mine.cookie) {
            undo.mine.cookie = undo.base.cookie.clone();
        }
        if let Ok(base) = undo.apply(&self.base, &OnConflict::Theirs)
            && let Ok(mine) = self.apply(&base, &OnConflict::Mine)
        {
            *self = Self::between(base, mine);
        }
    }

    fn changes_cookie(&self) -> bool {
        !is_same(&self.base.cookie, &self.mine.cookie)
    }
}

/// Whether one is as good as the other. A cookie with a new date is, one that lives longer or shorter is not.
pub(crate) fn is_unchanged(before: &Record, after: &Record) -> bool {
    before.values == after.values && is_same(&before.cookie, &after.cookie)
}

fn is_same(one: &CookieState, other: &CookieState) -> bool {
    one.same_lifetime(other) && one.same_attributes(other)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn record(pairs: &[(&str, u8)]) -> Record {
        let mut record = Record::new(CookieState::default());
        pairs.iter().for_each(|(key, value)| record.values.insert(key, value).unwrap());
        record
    }

    #[test]
    fn only_what_was_changed_is_changed() {
        let mut changes = Changes::new(record(&[("a", 1), ("b", 1), ("c", 1)]));
        assert!(changes.is_empty());
        changes.mine.values.insert("a", &2).unwrap();
        changes.mine.values.remove("b");
        let theirs = record(&[("a", 1), ("b", 1), ("c", 9), ("d", 9)]);
        let merged = changes.apply(&theirs, &OnConflict::Fail).unwrap();
        assert_eq!(merged.values, record(&[("a", 2), ("c", 9), ("d", 9)]).values);
    }

    #[test]
    fn a_longer_life_is_a_change_and_a_new_date_is_none() {
        let mut changes = Changes::new(record(&[]));
        changes.mine.cookie.touch(UNIX_EPOCH);
        assert!(changes.is_empty());
        changes.mine.cookie.set_max_age(Some(Duration::from_secs(5)), UNIX_EPOCH);
        assert!(!changes.is_empty());
        let merged = changes.apply(&record(&[("a", 1)]), &OnConflict::Fail).unwrap();
        assert_eq!(merged.cookie.original_max_age(), Some(Duration::from_secs(5)));
        assert_eq!(merged.values, record(&[("a", 1)]).values);
    }

    #[test]
    fn what_was_made_on_top_of_others_is_made_without_them() {
        let mut earlier = Changes::new(record(&[("a", 1), ("b", 1), ("c", 1)]));
        earlier.mine.values.insert("a", &2).unwrap();
        earlier.mine.values.insert("b", &2).unwrap();
        earlier.mine.cookie.set_max_age(Some(Duration::from_secs(5)), UNIX_EPOCH);
        let mut later = Changes::new(earlier.mine.clone());
        later.mine.values.insert("b", &3).unwrap();
        later.mine.values.insert("c", &2).unwrap();
        later.forget(&earlier);
        let merged = later.apply(&earlier.base, &OnConflict::Fail).unwrap();
        assert_eq!(merged.values, record(&[("a", 1), ("b", 3), ("c", 2)]).values);
        assert_eq!(merged.cookie, earlier.base.cookie);
        // Made beside them, it stays what it is, also where both have put the same.
        let mut beside = Changes::new(earlier.base.clone());
        beside.mine.values.insert("b", &2).unwrap();
        beside.forget(&earlier);
        let merged = beside.apply(&earlier.base, &OnConflict::Fail).unwrap();
        assert_eq!(merged.values, record(&[("a", 1), ("b", 2), ("c", 1)]).values);
    }

    #[test]
    fn the_policy_decides_where_both_have_changed_a_value() {
        let mut changes = Changes::new(record(&[("a", 1), ("same", 1)]));
        changes.mine.values.insert("a", &2).unwrap();
        changes.mine.values.insert("same", &7).unwrap();
        let theirs = record(&[("a", 3), ("same", 7)]);
        let merged = |policy: OnConflict| {
            changes.apply(&theirs, &policy).map(|merged| merged.values.get::<u8>("a").unwrap())
        };
        assert_eq!(merged(OnConflict::Mine), Ok(Some(2)));
        assert_eq!(merged(OnConflict::Theirs), Ok(Some(3)));
        assert_eq!(merged(OnConflict::Fail), Err(Irreconcilable));
        let sum = OnConflict::Resolve(std::sync::Arc::new(|conflict| {
            let number = |json: Option<&serde_json::value::RawValue>| json?.get().parse::<u8>().ok();
            let sum = number(conflict.mine)? + number(conflict.theirs)? - number(conflict.base)?;
            serde_json::value::to_raw_value(&sum).ok()
        }));
        assert_eq!(merged(sum), Ok(Some(4)));
        assert_eq!(merged(OnConflict::Resolve(std::sync::Arc::new(|_| None))), Ok(None));
    }
}
