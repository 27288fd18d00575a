//! Reads the `Cookie` header as the `cookie` package of Node.js does, and percent-encodes as `encodeURIComponent`.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Returns the decoded value of the first cookie called `name`, case-sensitive, even if a later one is better.
///
/// A value with a malformed escape is returned as it stands.
pub(crate) fn find<'a>(header: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let (_, value) = header
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim_matches(BLANK), value.trim_matches(BLANK)))
        .find(|(candidate, _)| *candidate == name)?;
    let is_quoted = value.starts_with('"') && value.ends_with('"');
    // A single quotation mark is both ends of an empty value.
    Some(decode(if is_quoted { value.get(1..value.len() - 1).unwrap_or_default() } else { value }))
}

/// Encodes a cookie value: all but `A-Za-z0-9-_.!~*'()` becomes `%XX` with upper-case digits.
pub(crate) fn encode(value: &str) -> String {
    utf8_percent_encode(value, ESCAPED).to_string()
}

/// Tells whether a cookie may be called so: an RFC 9110 token.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn decode(value: &str) -> Cow<'_, str> {
    let well_formed = value.split('%').skip(1).all(|escape| {
        let mut digits = escape.bytes();
        [digits.next(), digits.next()].iter().all(|digit| digit.is_some_and(|byte| byte.is_ascii_hexdigit()))
    });
    match percent_decode_str(value).decode_utf8() {
        Ok(decoded) if well_formed => decoded,
        _ => Cow::Borrowed(value),
    }
}

const BLANK: [char; 2] = [' ', '\t'];

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_and_decodes() {
        for (header, value) in [
            ("sid=a%20b", Some("a b")),
            ("sid=", Some("")),
            ("sid=a=b", Some("a=b")),
            ("sid=\"", Some("")),
            ("sid=\"\"", Some("")),
            ("sid=\"a", Some("\"a")),
            ("sid=\"%22\"", Some("\"")),
            ("sid=1;sid=2", Some("1")),
            (";; ;SID=0;\tsid\t= 1 2 ", Some("1 2")),
            ("=0;sid=1", Some("1")),
            ("sid=%", Some("%")),
            ("sid=%4", Some("%4")),
            ("sid=%zz%41", Some("%zz%41")),
            ("sid=%FF", Some("%FF")),
            ("other=1;sid", None),
        ] {
            assert_eq!(find(header, "sid").as_deref(), value, "{header}");
        }
    }

    #[test]
    fn knows_a_token() {
        for (name, valid) in
            [("connect.sid", true), ("", false), ("a b", false), ("a;b", false), ("é", false)]
        {
            assert_eq!(is_name(name), valid, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_found(value: String) {
            let header = format!("other=1; sid={}; last=2", encode(&value));
            prop_assert_eq!(find(&header, "sid").unwrap(), value);
        }

        #[test]
        fn any_header_is_survived(header: String) {
            find(&header, "a");
        }
    }
}
