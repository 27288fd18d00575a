use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use session::{Record, Stored, Values};

/// The text of a stored session: what can be read is written with every value byte for byte, and what we wrote is
/// read and written without any change.
pub fn session_record(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(record) = Stored::from(&*text).record() else { return };
    let members: Members = serde_json::from_str(&text).expect("an object");
    assert_eq!(record.to_json(), members.written(&record));
    let written = record.to_json();
    assert_same(&record, &written);

    let mut changed = record.clone();
    changed.values.insert("\u{0}new", &1).expect("not a reserved name");
    let with_more = changed.to_json();
    assert_same(&changed, &with_more);
    if record.values.json("\u{0}new").is_none() {
        changed.values.remove("\u{0}new");
        assert_eq!(changed.to_json(), written, "a value that came and went left something behind");
    }

    // Whatever the dates are, using the session leads to one that can be written.
    changed.cookie.touch(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 31));
    assert!(changed.cookie.same_lifetime(&record.cookie));
    assert_same(&changed, &changed.to_json());
}

fn assert_same(record: &Record, written: &str) {
    let again = Record::from_json(written).expect("what was written can be read");
    assert_eq!(again.to_json(), written);
    assert_eq!(&again, record);
}

/// The names and texts of an object as JavaScript would have them.
struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// Writes them anew, the cookie as the record has it, and without reserved names.
    fn written(&self, record: &Record) -> String {
        let mut members = Vec::new();
        for (key, value) in &self.0 {
            let name = serde_json::to_string(key).expect("a string");
            if key == "cookie" {
                let cookie = serde_json::to_string(&record.cookie).expect("an object");
                members.push(format!("{name}:{cookie}"));
            } else if Values::default().insert(key, &1).is_ok() {
                members.push(format!("{name}:{value}"));
            }
        }
        format!("{{{}}}", members.join(","))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
            match members.iter_mut().find(|(name, _)| *name == key) {
                Some((_, earlier)) => *earlier = value,
                None => members.push((key, value)),
            }
        }
        Ok(Members(members))
    }
}
