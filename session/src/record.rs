//! A session as it lies in a store: one JSON object with the application's values and the key `cookie`.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap as _,
};
use serde_json::value::RawValue;

use crate::{CookieState, Values, values::is_reserved};

/// What a store keeps of one session: its cookie and its values.
///
/// ```
/// let stored = r#"{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"big":1e400}"#;
/// let record = session::Record::from_json(stored)?;
/// assert_eq!(record.to_json(), stored);
/// # Ok::<(), session::RecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Lifetime and attributes of the cookie.
    pub cookie: CookieState,
    /// What the application keeps.
    pub values: Values,
    /// How many values stand before the cookie.
    cookie_position: usize,
}

/// Stored text that is not a session, for express-session neither; shows nothing of the text but the place.
#[derive(Debug, thiserror::Error)]
#[error("not the JSON of a session from line {line}, column {column} on")]
pub struct RecordError {
    line: usize,
    column: usize,
}

impl Record {
    /// Makes the record of a session without values.
    pub fn new(cookie: CookieState) -> Self {
        Self { cookie, values: Values::default(), cookie_position: 0 }
    }

    /// Reads a record; values with reserved names are left out, as express-session does.
    ///
    /// # Errors
    ///
    /// Fails unless the text is a JSON object with an object `cookie`.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        let error = |error: serde_json::Error| RecordError { line: error.line(), column: error.column() };
        serde_json::from_str(text).map_err(error)
    }

    /// Writes the record as `JSON.stringify` does: no blanks, values in their order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("keys are strings and values are JSON already")
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len() + 1))?;
        let mut values = self.values.iter();
        for (key, json) in values.by_ref().take(self.cookie_position) {
            map.serialize_entry(key, json)?;
        }
        map.serialize_entry("cookie", &self.cookie)?;
        for (key, json) in values {
            map.serialize_entry(key, json)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Record;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the object of a session")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let (mut cookie, mut values) = (None, Values::default());
        while let Some(key) = map.next_key::<String>()? {
            if key == "cookie" {
                cookie = Some((map.next_value()?, values.len()));
                continue;
            }
            let json: Box<RawValue> = map.next_value()?;
            if !is_reserved(&key) {
                values.put(key.into(), json.into());
            }
        }
        let (cookie, cookie_position) = cookie.ok_or_else(|| serde::de::Error::missing_field("cookie"))?;
        Ok(Record { cookie, values, cookie_position })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn blobs_of_express_round_trip_byte_for_byte() {
        let blobs: Vec<String> =
            serde_json::from_str(include_str!("../tests/vectors/stored_blobs.json")).unwrap();
        assert_eq!(blobs.len(), 23);
        for blob in &blobs {
            assert_eq!(&Record::from_json(blob).unwrap().to_json(), blob);
        }
    }

    /// Each blob was read and then changed by a request that set `w` to 1 and renewed the cookie.
    #[test]
    fn foreign_json_becomes_what_express_makes_of_it() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../tests/vectors/foreign_json.json")).unwrap();
        assert_eq!(vectors.len(), 23);
        for vector in &vectors {
            let stored = vector["stored"].as_str().unwrap();
            let record = Record::from_json(stored);
            assert_eq!(vector["status"] == "200" && stored != "null", record.is_ok(), "{vector}");
            let Ok(mut record) = record else { continue };

            let after = vector["after_write"].as_str().unwrap();
            let mut expected: Value = serde_json::from_str(after).unwrap();
            let written = Record::from_json(after).unwrap().cookie;
            let cookie = expected["cookie"].as_object_mut().unwrap();
            for key in ["originalMaxAge", "expires"] {
                cookie.entry(key).or_insert(Value::Null);
            }
            if let Some(expires) = written.expires() {
                let age = cookie["originalMaxAge"].as_u64().unwrap();
                record.cookie.touch(expires - std::time::Duration::from_millis(age));
            } else {
                record.cookie.touch(std::time::UNIX_EPOCH);
            }
            record.values.insert("w", &1).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&record.to_json()).unwrap(), expected, "{vector}");
        }
    }

    #[test]
    fn text_that_rust_cannot_hold_survives() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let cookie = r#""cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}"#;
        let stored = format!(
            r#"{{"cut":"\ud83d",{cookie},"huge":1e400,"zero":-0,"id2":123456789012345680000,"deep":{deep}}}"#
        );
        let mut record = Record::from_json(&stored).unwrap();
        record.values.insert("new", &true).unwrap();
        assert_eq!(record.to_json(), format!("{},\"new\":true}}", &stored[..stored.len() - 1]));
    }

    #[test]
    fn errors_show_the_place_and_not_the_text() {
        let error = Record::from_json("{\"cookie\":{},\n\"secret\" 5}").unwrap_err();
        assert_eq!(error.to_string(), "not the JSON of a session from line 2, column 10 on");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![any::<i64>().prop_map(Value::from), ".*".prop_map(Value::from), Just(json!(null))];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn untouched_values_survive(members in prop::collection::btree_map("[a-z]{2,9} ?", any_json(), 0..8)) {
            let cookie = r#""cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}"#;
            // Pretty-printed values, so that a parse and a print in between would show.
            let members: String = members
                .iter()
                .filter(|(key, _)| !is_reserved(key))
                .map(|(key, value)| format!(",{}:{}", json!(key), serde_json::to_string_pretty(value).unwrap()))
                .collect();
            let mut record = Record::from_json(&format!("{{{cookie}{members}}}")).unwrap();
            record.values.insert("A", &1).unwrap();
            prop_assert_eq!(record.to_json(), format!("{{{cookie}{members},\"A\":1}}"));
        }

        #[test]
        fn any_text_is_survived(text: String) {
            prop_assert!(Record::from_json(&text).is_err());
        }
    }
}
