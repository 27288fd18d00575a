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
#[derive(Clone, Debug)]
pub struct Record {
    /// Lifetime and attributes of the cookie.
    pub cookie: CookieState,
    /// What the application keeps.
    pub values: Values,
    /// Before the cookie stand the values that were put earlier than this one.
    cookie_position: usize,
}

/// Stored text that is not a session, for express-session neither; shows nothing of the text but the place.
#[derive(Debug, thiserror::Error)]
#[error("not the JSON of a session from line {line}, column {column} on")]
pub struct RecordError {
    line: usize,
    column: usize,
}

impl RecordError {
    /// Points at the first byte that is not text.
    #[cfg(feature = "redis")]
    pub(crate) fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Self {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n');
        let (line, last) = line.fold((0, before), |(line, _), last| (line + 1, last));
        Self { line, column: last.len() + 1 }
    }
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

/// Equal cookies and values, in any order.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.cookie == other.cookie && self.values == other.values
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len() + 1))?;
        let mut values = self.values.iter();
        for (key, json) in values.by_ref().take(self.values.count_before(self.cookie_position)) {
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
        let (mut cookie, mut values) = (None::<(CookieState, usize)>, Values::default());
        while let Some(key) = map.next_key::<String>()? {
            if key == "cookie" {
                // Of several the last counts, in the place of the first, as in JavaScript.
                let position = cookie.map_or_else(|| values.position(), |(_, position)| position);
                cookie = Some((map.next_value()?, position));
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
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::Lifetime;

    fn vectors(text: &str) -> Vec<Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn blobs_of_express_round_trip_byte_for_byte() {
        let vectors = vectors(include_str!("../tests/vectors/stored_blobs.json"));
        assert_eq!(vectors.len(), 23);
        for vector in &vectors {
            let blob = vector["value"].as_str().unwrap();
            let record = Record::from_json(blob).unwrap();
            assert_eq!(record.to_json(), blob, "{vector}");
            let mut touched = record.cookie.clone();
            touched.touch(UNIX_EPOCH);
            assert!(touched.same_lifetime(&record.cookie));
            let seconds = match touched.lifetime(UNIX_EPOCH) {
                Lifetime::For(lifetime) => lifetime.as_secs(),
                _ => 86_400,
            };
            // Two scenarios have options of the store that decide instead, one was not in Redis.
            match vector["scenario"].as_str().unwrap() {
                "K disableTTL" => assert_eq!(vector["ttl"], -1),
                "L ttl option" => assert_eq!(vector["ttl"], 120),
                "MemoryStore.sessions[sid] raw string" => assert!(vector["ttl"].is_null()),
                _ => assert_eq!(vector["ttl"], seconds, "{vector}"),
            }
        }
    }

    /// Each blob was read by one request, which renewed the cookie, and by another one that also set `w` to 1.
    #[test]
    fn foreign_json_becomes_what_express_makes_of_it() {
        let vectors = vectors(include_str!("../tests/vectors/foreign_json.json"));
        assert_eq!(vectors.len(), 23);
        for vector in &vectors {
            let stored = vector["stored"].as_str().unwrap();
            let record = Record::from_json(stored);
            assert_eq!(vector["read"]["status"] == "200" && stored != "null", record.is_ok(), "{vector}");
            assert_eq!(vector["read"]["status"], vector["write_status"]);
            let Ok(record) = record else { continue };
            assert_is_read(&record, vector);
            assert_is_written(record, vector);
        }
    }

    fn assert_is_read(record: &Record, vector: &Value) {
        let seen: Value = serde_json::from_str(vector["read"]["body"].as_str().unwrap()).unwrap();
        let mut keys: Vec<&str> = record.values.iter().map(|(key, _)| key).collect();
        keys.insert(record.values.count_before(record.cookie_position), "cookie");
        assert_eq!(seen["keys"], json!(keys), "{vector}");
        let age = record.cookie.original_max_age();
        assert_eq!(seen["oma"].as_u64(), age.map(|age| age.as_millis() as u64), "{vector}");
        if vector["after_read"] != "(unchanged)" {
            assert_eq!(vector["after_read"], record.to_json());
        }

        let header = vector["read"]["set_cookie"].as_str().unwrap();
        let expires = header.split("; ").find_map(|part| part.strip_prefix("Expires="));
        let expires = expires.map_or(UNIX_EPOCH, |expires| httpdate::parse_http_date(expires).unwrap());
        let now = expires - age.filter(|_| expires > UNIX_EPOCH).unwrap_or_default();
        let mut cookie = record.cookie.clone();
        cookie.touch(now);
        let lifetime = match vector["ttl_after_read"].as_u64().unwrap() {
            86_400 => Lifetime::Browser,
            seconds => Lifetime::For(Duration::from_secs(seconds)),
        };
        assert_eq!(cookie.lifetime(now), lifetime, "{vector}");
        let sent = cookie.set_cookie("connect.sid", "").map(|sent| format!("Set-Cookie: {sent}"));
        assert_eq!(header.replace('…', ""), sent.unwrap_or_default(), "{vector}");
    }

    fn assert_is_written(mut record: Record, vector: &Value) {
        let after = vector["after_write"].as_str().unwrap();
        let mut expected: Value = serde_json::from_str(after).unwrap();
        let written = Record::from_json(after).unwrap().cookie;
        let cookie = expected["cookie"].as_object_mut().unwrap();
        for key in ["originalMaxAge", "expires"] {
            cookie.entry(key).or_insert(Value::Null);
        }
        let age = written.original_max_age().unwrap_or_default();
        record.cookie.touch(written.expires().map_or(UNIX_EPOCH, |expires| expires - age));
        record.values.insert("w", &1).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&record.to_json()).unwrap(), expected, "{vector}");
    }

    /// What express-session hashes to know whether a session was modified is what we compare.
    #[test]
    fn all_but_the_own_cookie_counts_as_modified() {
        let vectors = vectors(include_str!("../tests/vectors/hash.json"));
        assert_eq!(vectors.len(), 6);
        let read = |vector: &Value| Record::from_json(vector["input"].as_str().unwrap()).unwrap().values;
        for vector in &vectors {
            let values: Vec<String> =
                read(vector).iter().map(|(key, json)| format!("{}:{json}", json!(key))).collect();
            assert_eq!(vector["hashed_text"], format!("{{{}}}", values.join(",")));
            for other in &vectors {
                assert_eq!(read(vector) == read(other), vector["sha1"] == other["sha1"], "{vector} {other}");
            }
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

    /// JSON texts that are no more than valid: what a parse and a print in between would change.
    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
            r#""([ !#-\[\]-~é😀\u{2028}]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*""#,
            Just("null".to_owned()),
            Just("true".to_owned()),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let members = prop::collection::vec((r#""([a-z]|\\u00[0-7][0-9A-F])*""#, inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|items| format!("[ {} ]", items.join(" ,\n"))),
                members.prop_map(|members| {
                    let members: Vec<_> =
                        members.iter().map(|(key, value)| format!("{key} : {value}")).collect();
                    format!("{{{}\t}}", members.join(","))
                }),
            ]
        })
    }

    const COOKIE: &str = r#""cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}"#;

    proptest! {
        #[test]
        fn untouched_values_survive_byte_for_byte(
            before in prop::collection::btree_map("[a-m]{2,9} ?", any_json(), 0..5),
            after in prop::collection::btree_map("[n-z]{2,9} ?", any_json(), 0..5),
        ) {
            let member = |(key, value): (&String, &String)| format!("{}:{value}", json!(key));
            let members = |members: &std::collections::BTreeMap<String, String>| {
                members.iter().filter(|(key, _)| !is_reserved(key)).map(member).collect::<Vec<_>>()
            };
            let all = [members(&before), vec![COOKIE.to_owned()], members(&after)].concat().join(",");
            let mut record = Record::from_json(&format!("{{{all}}}")).unwrap();
            prop_assert_eq!(record.to_json(), format!("{{{all}}}"));
            record.values.insert("A", &1).unwrap();
            prop_assert_eq!(record.to_json(), format!("{{{all},\"A\":1}}"));
            for key in before.keys().chain(after.keys()).filter(|key| !is_reserved(key)) {
                prop_assert!(record.values.remove(key));
            }
            prop_assert_eq!(record.to_json(), format!("{{{COOKIE},\"A\":1}}"));
        }

        #[test]
        fn any_text_is_survived(text: String) {
            prop_assert!(Record::from_json(&text).is_err());
        }
    }
}
