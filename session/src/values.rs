//! What an application keeps in a session: an ordered map of names to JSON text.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    changes::Irreconcilable,
    policy::{Conflict, OnConflict},
};

/// The top-level values of a session.
///
/// Each is kept as the JSON text that it was stored as, so that a value nobody touches is written back byte for byte,
/// also if it is a number or a string that Rust could not hold. A clone shares the texts. `Debug` shows only names.
///
/// ```
/// let mut values = session::Values::default();
/// values.insert("views", &3)?;
/// assert_eq!(values.get::<u32>("views")?, Some(3));
/// assert!(values.insert("cookie", &"reserved").is_err());
/// # Ok::<(), session::ValueError>(())
/// ```
#[derive(Clone, Default)]
pub struct Values {
    slots: BTreeMap<Arc<str>, Slot>,
    next: usize,
}

#[derive(Clone)]
struct Slot {
    order: usize,
    json: Arc<RawValue>,
}

/// A value of a session that cannot be read or written as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The stored value is not of the type that was asked for.
    #[error("the session's value `{key}` is of another type")]
    Mismatch {
        /// The value's name.
        key: String,
        /// What did not fit.
        source: serde_json::Error,
    },
    /// express-session could not keep a value of this name: it would hide one of its own methods.
    #[error("`{0}` is a reserved name in a session")]
    Reserved(String),
    /// The value has no JSON form.
    #[error("the session's value `{key}` cannot be written as JSON")]
    Unwritable {
        /// The value's name.
        key: String,
        /// Why it has none.
        source: serde_json::Error,
    },
}

impl Values {
    /// Returns how many values there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Tells whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the value as `T`, or `None` if there is no value of this name.
    ///
    /// # Errors
    ///
    /// [`ValueError::Mismatch`] if the value is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ValueError> {
        let Some(json) = self.json(key) else { return Ok(None) };
        let value = serde_json::from_str(json.get());
        value.map(Some).map_err(|source| ValueError::Mismatch { key: key.into(), source })
    }

    /// Returns the JSON text of a value, as it is stored.
    pub fn json(&self, key: &str) -> Option<&Arc<RawValue>> {
        self.slots.get(key).map(|slot| &slot.json)
    }

    /// Sets a value; a new name goes to the end.
    ///
    /// # Errors
    ///
    /// [`ValueError::Reserved`] and [`ValueError::Unwritable`].
    pub fn insert<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), ValueError> {
        if is_reserved(key) {
            return Err(ValueError::Reserved(key.into()));
        }
        let json = serde_json::value::to_raw_value(value);
        let json = json.map_err(|source| ValueError::Unwritable { key: key.into(), source })?;
        self.put(key.into(), json.into());
        Ok(())
    }

    /// Removes a value and tells whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        self.slots.remove(key).is_some()
    }

    /// Returns the names and JSON texts, in the order in which they were first set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        let mut slots: Vec<_> = self.slots.iter().collect();
        slots.sort_unstable_by_key(|(_, slot)| slot.order);
        slots.into_iter().map(|(key, slot)| (&**key, &*slot.json))
    }

    /// The place of the next new value; places of removed ones are not given again.
    pub(crate) fn position(&self) -> usize {
        self.next
    }

    /// Returns how many values have places before this one.
    pub(crate) fn count_before(&self, position: usize) -> usize {
        self.slots.values().filter(|slot| slot.order < position).count()
    }

    /// Sets a value of any name to a text.
    pub(crate) fn put(&mut self, key: Arc<str>, json: Arc<RawValue>) {
        match self.slots.entry(key) {
            Entry::Occupied(mut slot) => slot.get_mut().json = json,
            Entry::Vacant(slot) => {
                slot.insert(Slot { order: self.next, json });
                self.next += 1;
            }
        }
    }

    /// Does to `theirs` what was done to `base` to get `mine`: names set or removed there win, all others stay. Where
    /// both have done something else to a name, `policy` decides.
    pub(crate) fn merge(
        base: &Self,
        mine: &Self,
        theirs: &Self,
        policy: &OnConflict,
    ) -> Result<Self, Irreconcilable> {
        let mut merged = theirs.clone();
        let set = mine.slots.iter().filter(|(key, slot)| base.slots.get(*key) != Some(slot));
        let removed = base.slots.iter().filter(|(key, _)| !mine.slots.contains_key(*key));
        for (key, _) in set.chain(removed) {
            let [base, mine, theirs] = [base, mine, theirs].map(|values| values.slots.get(key));
            let json = mine.map(|slot| slot.json.clone());
            let chosen = match policy {
                _ if theirs == base || theirs == mine => json,
                OnConflict::Mine => json,
                OnConflict::Theirs => continue,
                OnConflict::Fail => return Err(Irreconcilable),
                OnConflict::Resolve(resolve) => {
                    let [base, mine, theirs] = [base, mine, theirs].map(|slot| slot.map(|slot| &*slot.json));
                    resolve(&Conflict { key, base, mine, theirs }).map(Arc::from)
                }
            };
            match chosen {
                Some(json) => merged.put(key.clone(), json),
                None => drop(merged.slots.remove(key)),
            }
        }
        Ok(merged)
    }
}

/// Equal names with equal texts, in any order.
impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.slots == other.slots
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.json, &other.json) || self.json.get() == other.json.get()
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter().map(|(key, _)| key)).finish()
    }
}

/// Tells whether express-session drops values of this name when it loads a session.
pub(crate) fn is_reserved(key: &str) -> bool {
    RESERVED.contains(&key)
}

/// `cookie`, the properties of a `Session` of express-session, and those of every object.
const RESERVED: [&str; 21] = [
    "cookie",
    "req",
    "id",
    "touch",
    "resetMaxAge",
    "save",
    "reload",
    "destroy",
    "regenerate",
    "constructor",
    "__defineGetter__",
    "__defineSetter__",
    "hasOwnProperty",
    "__lookupGetter__",
    "__lookupSetter__",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toString",
    "valueOf",
    "__proto__",
    "toLocaleString",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn values(pairs: &BTreeMap<String, u8>) -> Values {
        let mut values = Values::default();
        for (key, value) in pairs {
            values.insert(key, value).unwrap();
        }
        values
    }

    #[test]
    fn reserved_names_are_those_of_express() {
        let names: Vec<String> =
            serde_json::from_str(include_str!("../tests/vectors/reserved_keys.json")).unwrap();
        assert_eq!(names.len() + 1, RESERVED.len());
        for name in names.iter().map(String::as_str).chain(["cookie"]) {
            assert!(matches!(Values::default().insert(name, &1), Err(ValueError::Reserved(_))), "{name}");
        }
    }

    #[test]
    fn values_are_typed_at_the_door() {
        let mut values = Values::default();
        values.insert("name", "Jörg").unwrap();
        assert_eq!(values.get::<String>("name").unwrap().as_deref(), Some("Jörg"));
        assert_eq!(values.get::<String>("none").unwrap(), None);
        let error = values.get::<u8>("name").unwrap_err();
        assert_eq!(error.to_string(), "the session's value `name` is of another type");
        assert!(matches!(
            values.insert("map", &BTreeMap::from([((1, 2), 3)])),
            Err(ValueError::Unwritable { .. })
        ));
        assert_eq!(format!("{values:?}"), r#"{"name"}"#);
        assert!(values.remove("name") && !values.remove("name") && values.is_empty());
    }

    #[test]
    fn order_is_that_of_insertion() {
        let mut values = Values::default();
        for key in ["z", "a", "m", "a"] {
            values.insert(key, &1).unwrap();
        }
        assert_eq!(values.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["z", "a", "m"]);
    }

    proptest! {
        #[test]
        fn merge_loses_no_change_of_either_side(
            base in prop::collection::btree_map("[a-f]", 0..3_u8, 0..5),
            mine in prop::collection::btree_map("[a-f]", 0..3_u8, 0..5),
            theirs in prop::collection::btree_map("[a-f]", 0..3_u8, 0..5),
        ) {
            let merge = |policy| Values::merge(&values(&base), &values(&mine), &values(&theirs), &policy);
            let merged = merge(OnConflict::Mine).unwrap();
            for key in ["a", "b", "c", "d", "e", "f"] {
                let expected = if mine.get(key) == base.get(key) { theirs.get(key) } else { mine.get(key) };
                prop_assert_eq!(merged.get::<u8>(key).unwrap(), expected.copied(), "{}", key);
            }
        }
    }
}
