//! The `cookie` object of a stored session: how long it lives, and what the browser is told.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{
    Priority, SameSite,
    date::Date,
    set_cookie::{PRIORITIES, SAME_SITES, is_truthy, word},
};
use crate::Lifetime;

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

impl CookieState {
    /// How long the session lives after each use, in whole milliseconds; `None` if until the browser is closed. Zero
    /// if what is stored is negative.
    pub fn original_max_age(&self) -> Option<Duration> {
        self.original_max_age.map(|age| Duration::from_millis(age.try_into().unwrap_or_default()))
    }

    /// How much of its life is left at `now`; `None` if it lasts until the browser is closed.
    pub fn max_age(&self, now: SystemTime) -> Option<Duration> {
        self.expires().map(|expires| expires.duration_since(now).unwrap_or_default())
    }

    /// Gives this session a life of its own length, from `now` on and after each use; `None`: until the browser is
    /// closed. Fractions of a millisecond are cut off, and zero ends the session.
    ///
    /// Counts as a change of the session, so it is saved and the browser gets the new date. With express-session it
    /// is lost if nothing else was changed.
    pub fn set_max_age(&mut self, max_age: Option<Duration>, now: SystemTime) {
        self.set_milliseconds(max_age.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX)), now);
    }

    /// When the browser drops the cookie; `None` when it is closed.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires.map(SystemTime::from)
    }

    /// Lets the cookie live until a time; what is left from `now` to then becomes its age, as in express-session.
    pub fn set_expires(&mut self, expires: Option<SystemTime>, now: SystemTime) {
        self.expires = expires.map(Date::from);
        let left = |expires: Date| expires.milliseconds() - Date::from(now).milliseconds();
        self.original_max_age = self.expires.map(left);
    }

    /// Lets the cookie live its whole age again, from `now` on, and forgets an `expires` without an age.
    pub fn touch(&mut self, now: SystemTime) {
        self.set_milliseconds(self.original_max_age, now);
    }

    /// How long a store has to keep the session.
    pub fn lifetime(&self, now: SystemTime) -> Lifetime {
        self.max_age(now).map_or(Lifetime::Browser, Lifetime::For)
    }

    /// Whether both live equally long after each use, whenever that was: if not, the session has been modified.
    pub fn same_lifetime(&self, other: &Self) -> bool {
        self.original_max_age == other.original_max_age
    }

    /// Whether all attributes but the dates are the same.
    pub(crate) fn same_attributes(&self, other: &Self) -> bool {
        let attributes = |cookie: &'_ Self| Self { original_max_age: None, expires: None, ..cookie.clone() };
        attributes(self) == attributes(other)
    }

    /// Whether the browser sends the cookie over TLS only.
    pub fn secure(&self) -> bool {
        is_truthy(self.secure.as_ref())
    }

    /// Sets `Secure` for this session alone.
    pub fn set_secure(&mut self, secure: bool) {
        self.secure = Some(secure.into());
    }

    /// Whether scripts cannot see the cookie.
    pub fn http_only(&self) -> bool {
        is_truthy(self.http_only.as_ref())
    }

    /// Sets `HttpOnly` for this session alone.
    pub fn set_http_only(&mut self, http_only: bool) {
        self.http_only = Some(http_only.into());
    }

    /// Whether the cookie is kept apart for each site that embeds this one.
    pub fn partitioned(&self) -> bool {
        is_truthy(self.partitioned.as_ref())
    }

    /// The domain whose hosts get the cookie; `None` if only the one that set it.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_ref()?.as_str()
    }

    /// The path below which the browser sends the cookie.
    pub fn path(&self) -> Option<&str> {
        self.path.as_ref()?.as_str()
    }

    /// `None` if there is none, or none that browsers know.
    pub fn priority(&self) -> Option<Priority> {
        match word(self.priority.as_ref(), "priority", &PRIORITIES).ok()?? {
            "High" => Some(Priority::High),
            "Low" => Some(Priority::Low),
            _ => Some(Priority::Medium),
        }
    }

    /// `None` if there is none, or none that browsers know.
    pub fn same_site(&self) -> Option<SameSite> {
        if self.same_site == Some(Value::Bool(true)) {
            return Some(SameSite::Strict);
        }
        match word(self.same_site.as_ref(), "sameSite", &SAME_SITES).ok()?? {
            "Lax" => Some(SameSite::Lax),
            "None" => Some(SameSite::None),
            _ => Some(SameSite::Strict),
        }
    }

    /// Whether the cookie may go into the response to a request that came over TLS, or not: browsers refuse a `Secure`
    /// one from an insecure site, and everybody on the way would have seen it.
    pub(crate) fn may_send(&self, secure: bool) -> bool {
        secure || !self.secure()
    }

    /// Age in milliseconds; zero or a negative one ends the session at once.
    pub(super) fn set_milliseconds(&mut self, max_age: Option<i64>, now: SystemTime) {
        self.original_max_age = max_age;
        self.expires = max_age.map(|age| Date::clamped(Date::from(now).milliseconds().saturating_add(age)));
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

pub(super) fn milliseconds(value: &Value) -> Option<i64> {
    // A float that is out of range saturates, which is far enough away in either direction.
    value.as_i64().or_else(|| value.as_f64().map(|number| number as i64))
}

fn iso_date<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    date.map(Date::to_iso).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(iso: &str) -> SystemTime {
        Date::parse(iso).unwrap().into()
    }

    #[test]
    fn an_own_age_is_kept_and_counts_as_a_change() {
        let (start, later) = (time("2030-01-01T00:00:00.000Z"), time("2030-01-01T00:00:40.500Z"));
        let mut cookie = CookieState::default();
        cookie.set_max_age(Some(Duration::from_micros(60_000_999)), start);
        let stored: CookieState = serde_json::from_str(&serde_json::to_string(&cookie).unwrap()).unwrap();
        assert_eq!(stored.original_max_age(), Some(Duration::from_secs(60)));
        cookie.touch(later);
        assert!(cookie.same_lifetime(&stored) && cookie != stored);
        cookie.set_max_age(Some(Duration::from_secs(61)), later);
        assert!(!cookie.same_lifetime(&stored));
        cookie.set_max_age(None, later);
        assert!(!cookie.same_lifetime(&stored) && cookie.same_lifetime(&CookieState::default()));
        assert_eq!(cookie, CookieState::default());
    }

    #[test]
    fn both_dates_are_always_written() {
        let bare: CookieState = serde_json::from_str("{}").unwrap();
        let json = r#"{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}"#;
        assert_eq!(serde_json::to_string(&bare).unwrap(), json);
        let odd = r#"{"originalMaxAge":false,"expires":"garbage","httpOnly":true,"path":"/"}"#;
        let odd: CookieState = serde_json::from_str(odd).unwrap();
        assert_eq!(serde_json::to_string(&odd).unwrap(), json);
    }

    #[test]
    fn attributes_are_read_however_they_were_stored() {
        for (stored, priority, same_site) in [
            (r#"{"priority":"HIGH","sameSite":true}"#, Some(Priority::High), Some(SameSite::Strict)),
            (r#"{"priority":"low","sameSite":"Lax"}"#, Some(Priority::Low), Some(SameSite::Lax)),
            (r#"{"priority":"Medium","sameSite":"none"}"#, Some(Priority::Medium), Some(SameSite::None)),
            (r#"{"sameSite":"strict"}"#, None, Some(SameSite::Strict)),
            (r#"{"priority":"odd","sameSite":"auto"}"#, None, None),
            (r#"{"priority":null,"sameSite":false}"#, None, None),
        ] {
            let cookie: CookieState = serde_json::from_str(stored).unwrap();
            assert_eq!((cookie.priority(), cookie.same_site()), (priority, same_site), "{stored}");
        }
        let stored = r#"{"secure":1,"httpOnly":null,"partitioned":"","domain":"a.example","path":null}"#;
        let cookie: CookieState = serde_json::from_str(stored).unwrap();
        assert!(cookie.secure() && !cookie.http_only() && !cookie.partitioned());
        assert_eq!((cookie.domain(), cookie.path()), (Some("a.example"), None));
    }

    #[test]
    fn touch_renews_the_age() {
        let (start, later) = (time("2030-01-01T00:00:00.000Z"), time("2030-01-01T00:00:40.500Z"));
        let mut cookie = CookieState::default();
        cookie.set_max_age(Some(Duration::from_secs(60)), start);
        assert_eq!(cookie.lifetime(later), Lifetime::For(Duration::from_millis(19_500)));
        cookie.touch(later);
        assert_eq!(cookie.lifetime(later), Lifetime::For(Duration::from_secs(60)));
        assert_eq!(cookie.max_age(time("2031-01-01T00:00:00.000Z")), Some(Duration::ZERO));
        assert_eq!(CookieState::default().lifetime(later), Lifetime::Browser);
    }

    #[test]
    fn absurd_ages_do_not_overflow() {
        for age in [i64::MIN, i64::MAX] {
            let mut cookie = CookieState::default();
            cookie.set_milliseconds(Some(age), SystemTime::UNIX_EPOCH);
            cookie.set_cookie("connect.sid", "a").unwrap();
        }
        let stored = r#"{"originalMaxAge":1e300,"expires":-1e300}"#;
        let mut cookie: CookieState = serde_json::from_str(stored).unwrap();
        cookie.touch(SystemTime::UNIX_EPOCH);
        assert_eq!(cookie.expires(), Some(time("9999-12-31T23:59:59.999Z")));
    }
}
