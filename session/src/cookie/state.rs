//! The `cookie` object of a stored session, and the `Set-Cookie` header that it makes.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{date::Date, encode};

/// What a session remembers of its cookie: lifetime and attributes, in the key order of express-session.
///
/// Attributes keep the JSON they were stored with, since other programs read it again: `"Lax"` stays `"Lax"`, and
/// an absent key is not `null`. `originalMaxAge` and `expires` are read from whatever is there and always written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CookieState {
    #[serde(deserialize_with = "lenient_milliseconds")]
    original_max_age: Option<i64>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(super) partitioned: Option<Value>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<Value>,
    #[serde(deserialize_with = "lenient_date", serialize_with = "iso_date")]
    expires: Option<Date>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(super) secure: Option<Value>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(super) http_only: Option<Value>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<Value>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<Value>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(super) same_site: Option<Value>,
}

/// An attribute that cannot be written into a `Set-Cookie` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cookie's {0} is invalid")]
pub struct InvalidCookie(pub(crate) &'static str);

impl CookieState {
    /// Returns when the browser drops the cookie; `None` when it is closed.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires.map(SystemTime::from)
    }

    /// Lets the cookie live its whole age again, from `now` on, and forgets an `expires` without an age.
    pub fn touch(&mut self, now: SystemTime) {
        self.set_max_age(self.original_max_age, now);
    }

    /// Returns how long the session may still live: until `expires`, or a day if it ends with the browser.
    pub fn time_to_live(&self, now: SystemTime) -> Duration {
        self.expires().map_or(BROWSER_SESSION, |expires| expires.duration_since(now).unwrap_or_default())
    }

    /// Writes the header's value; `value` is percent-encoded here.
    ///
    /// # Errors
    ///
    /// Names the attribute that is not in the grammar of `Set-Cookie`: this happens only to stored cookies.
    pub(crate) fn set_cookie(&self, name: &str, value: &str) -> Result<String, InvalidCookie> {
        let mut header = format!("{name}={}", encode(value));
        if let Some(domain) = text(self.domain.as_ref(), "domain", is_domain)? {
            append(&mut header, "Domain", domain);
        }
        if let Some(path) = text(self.path.as_ref(), "path", is_path)? {
            append(&mut header, "Path", path);
        }
        if let Some(expires) = self.expires() {
            append(&mut header, "Expires", &httpdate::fmt_http_date(expires));
        }
        for (flag, attribute) in [
            (&self.http_only, "; HttpOnly"),
            (&self.secure, "; Secure"),
            (&self.partitioned, "; Partitioned"),
        ] {
            if is_truthy(flag.as_ref()) {
                header.push_str(attribute);
            }
        }
        if let Some(priority) = word(self.priority.as_ref(), "priority", &["Low", "Medium", "High"])? {
            append(&mut header, "Priority", priority);
        }
        if self.same_site == Some(Value::Bool(true)) {
            append(&mut header, "SameSite", "Strict");
        } else if let Some(same_site) = word(self.same_site.as_ref(), "sameSite", &["Strict", "Lax", "None"])?
        {
            append(&mut header, "SameSite", same_site);
        }
        Ok(header)
    }

    /// `max_age` in milliseconds; none or a negative one ends the session at once.
    pub(super) fn set_max_age(&mut self, max_age: Option<i64>, now: SystemTime) {
        self.original_max_age = max_age;
        self.expires = max_age.map(|age| Date::clamped(Date::from(now).milliseconds().saturating_add(age)));
    }

    pub(super) fn set_expires(&mut self, expires: SystemTime, now: SystemTime) {
        let expires = Date::from(expires);
        self.original_max_age = Some(expires.milliseconds() - Date::from(now).milliseconds());
        self.expires = Some(expires);
    }
}

/// The cookie of express-session without options; keys that a stored one lacks count as these.
impl Default for CookieState {
    fn default() -> Self {
        Self {
            original_max_age: None,
            partitioned: None,
            priority: None,
            expires: None,
            secure: None,
            http_only: Some(true.into()),
            domain: None,
            path: Some("/".into()),
            same_site: None,
        }
    }
}

fn append(header: &mut String, attribute: &str, value: &str) {
    write!(header, "; {attribute}={value}").expect("a String takes whatever is written");
}

/// JavaScript's idea of "set", which decides whether an attribute is written.
fn is_truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(_) | Value::Object(_)) => true,
    }
}

fn text<'a>(
    value: Option<&'a Value>,
    attribute: &'static str,
    is_valid: fn(&str) -> bool,
) -> Result<Option<&'a str>, InvalidCookie> {
    if !is_truthy(value) {
        return Ok(None);
    }
    let text = value.and_then(Value::as_str).filter(|text| is_valid(text));
    text.map(Some).ok_or(InvalidCookie(attribute))
}

/// Returns the canonical spelling of a word in any case.
fn word(
    value: Option<&Value>,
    attribute: &'static str,
    words: &[&'static str],
) -> Result<Option<&'static str>, InvalidCookie> {
    let Some(text) = text(value, attribute, |_| true)? else { return Ok(None) };
    let word = words.iter().copied().find(|word| word.eq_ignore_ascii_case(text));
    word.map(Some).ok_or(InvalidCookie(attribute))
}

/// Labels of letters, digits and inner hyphens, up to 63 each; a leading dot is tolerated.
fn is_domain(domain: &str) -> bool {
    domain.strip_prefix('.').unwrap_or(domain).split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// Printable ASCII except what ends the attribute or looks like markup.
fn is_path(path: &str) -> bool {
    path.bytes().all(|byte| matches!(byte, b' '..=b':' | b'='..=b'~'))
}

/// Tells an absent key, which takes the default, from `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn lenient_milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(milliseconds(&Value::deserialize(deserializer)?))
}

fn lenient_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(match value.as_str() {
        Some(text) => Date::parse(text),
        None => milliseconds(&value).and_then(Date::new),
    })
}

fn milliseconds(value: &Value) -> Option<i64> {
    // A float that is out of range saturates, which is far enough away in either direction.
    value.as_i64().or_else(|| value.as_f64().map(|number| number as i64))
}

fn iso_date<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    date.map(Date::to_iso).serialize(serializer)
}

/// The `ttl` that connect-redis takes for a cookie without `Expires`.
const BROWSER_SESSION: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "s:abcdefghijklmnopqrstuvwxyz012345.2T3g1YIBqofc0ViEUEt59cUq+a6Wlfi59xfb4RQsxSQ";

    fn time(iso: &str) -> SystemTime {
        Date::parse(iso).unwrap().into()
    }

    /// Does what the constructor of express-session's `Cookie` does with its options.
    fn cookie(vector: &Value, now: SystemTime) -> CookieState {
        let mut options = vector["options"].as_object().cloned().unwrap_or_default();
        let max_age = options.remove("maxAge");
        options.remove("originalMaxAge");
        let mut cookie: CookieState = serde_json::from_value(options.into()).unwrap();
        if let Some(age) = max_age.as_ref().and_then(milliseconds) {
            cookie.set_max_age(Some(age), now);
        }
        if let Some(expires) = vector["expires_set"].as_str().and_then(Date::parse) {
            cookie.set_expires(expires.into(), now);
        }
        cookie
    }

    #[test]
    fn writes_as_express_does() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/vectors/set_cookie.json")).unwrap();
        assert_eq!(vectors.len(), 42);
        let mut kept_out_by_types = 0;
        for vector in &vectors {
            let error = vector["error"].as_str().unwrap_or_default();
            if error.contains("maxAge must be a number") || error.contains("expires is invalid") {
                kept_out_by_types += 1;
                continue;
            }
            let cookie = cookie(vector, time(vector["now"].as_str().unwrap()));
            match cookie.set_cookie("connect.sid", VALUE) {
                Ok(header) => assert_eq!(vector["set_cookie"], header, "{vector}"),
                Err(invalid) => {
                    assert_eq!(error, format!("TypeError: option {} is invalid", invalid.0), "{vector}");
                    continue;
                }
            }
            // Stricter than the original: both keys always, and `null` where it wrote `false`.
            let json = vector["json"].as_str().unwrap();
            let json = json.replace(
                "\"originalMaxAge\":false,\"expires\":false",
                "\"originalMaxAge\":null,\"expires\":null",
            );
            let json = json.replace("{\"httpOnly", "{\"originalMaxAge\":null,\"expires\":null,\"httpOnly");
            assert_eq!(serde_json::to_string(&cookie).unwrap(), json, "{vector}");
        }
        assert_eq!(kept_out_by_types, 3);
    }

    #[test]
    fn touch_renews_the_age() {
        let (start, later) = (time("2030-01-01T00:00:00.000Z"), time("2030-01-01T00:00:40.500Z"));
        let mut cookie = CookieState::default();
        cookie.set_max_age(Some(60_000), start);
        assert_eq!(cookie.time_to_live(later), Duration::from_millis(19_500));
        cookie.touch(later);
        assert_eq!(cookie.time_to_live(later), Duration::from_secs(60));
        assert_eq!(cookie.time_to_live(time("2031-01-01T00:00:00.000Z")), Duration::ZERO);
        assert_eq!(CookieState::default().time_to_live(later), BROWSER_SESSION);
    }

    #[test]
    fn absurd_ages_do_not_overflow() {
        for age in [i64::MIN, i64::MAX] {
            let mut cookie = CookieState::default();
            cookie.set_max_age(Some(age), SystemTime::UNIX_EPOCH);
            cookie.set_cookie("connect.sid", VALUE).unwrap();
        }
        let stored = r#"{"originalMaxAge":1e300,"expires":-1e300}"#;
        let mut cookie: CookieState = serde_json::from_str(stored).unwrap();
        cookie.touch(SystemTime::UNIX_EPOCH);
        assert_eq!(cookie.expires(), Some(time("9999-12-31T23:59:59.999Z")));
    }
}
