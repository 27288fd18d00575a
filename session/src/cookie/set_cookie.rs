//! The `Set-Cookie` header of a stored cookie, as the `cookie` package of Node.js writes it.

use std::fmt::Write as _;

use serde_json::Value;

use super::{CookieState, encode};

/// An attribute that cannot be written into a `Set-Cookie` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cookie's {0} is invalid")]
pub struct InvalidCookie(pub(crate) &'static str);

impl CookieState {
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
        if let Some(priority) = word(self.priority.as_ref(), "priority", &PRIORITIES)? {
            append(&mut header, "Priority", priority);
        }
        if self.same_site == Some(Value::Bool(true)) {
            append(&mut header, "SameSite", "Strict");
        } else if let Some(same_site) = word(self.same_site.as_ref(), "sameSite", &SAME_SITES)? {
            append(&mut header, "SameSite", same_site);
        }
        Ok(header)
    }
}

fn append(header: &mut String, attribute: &str, value: &str) {
    write!(header, "; {attribute}={value}").expect("a String takes whatever is written");
}

/// JavaScript's idea of "set", which decides whether an attribute is written.
pub(super) fn is_truthy(value: Option<&Value>) -> bool {
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
pub(super) fn word(
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

pub(super) const PRIORITIES: [&str; 3] = ["Low", "Medium", "High"];

pub(super) const SAME_SITES: [&str; 3] = ["Strict", "Lax", "None"];

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::{
        super::{date::Date, state::milliseconds},
        *,
    };

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
            cookie.set_milliseconds(Some(age), now);
        }
        if let Some(expires) = vector["expires_set"].as_str().and_then(Date::parse) {
            cookie.set_expires(Some(expires.into()), now);
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
}
