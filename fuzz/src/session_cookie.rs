use session::fuzzing::{encode_cookie, find_cookie};

const NAME: &str = "connect.sid";

/// A `Cookie` header: the cookie is found as the `cookie` package of Node.js finds it, and one that we wrote is found
/// in front of any other.
pub fn session_cookie(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert_eq!(find_cookie(&text, NAME).as_deref(), node(&text).as_deref());

    let encoded = encode_cookie(&text);
    assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && !b"\";,\\".contains(&byte)), "{encoded}");
    assert_eq!(find_cookie(&format!("a=1; {NAME}={encoded}; {text}"), NAME).as_deref(), Some(&*text));
}

/// What `parse` of cookie 0.7.2 does, step by step, for one name.
fn node(header: &str) -> Option<String> {
    let mut index = 0;
    while index < header.len() {
        let equals = index + header[index..].find('=')?;
        let end = header[index..].find(';').map_or(header.len(), |end| index + end);
        if equals > end {
            index = header[..equals].rfind(';').map_or(0, |end| end + 1);
            continue;
        }
        if blanks_trimmed(&header[index..equals]) == NAME {
            let value = blanks_trimmed(&header[equals + 1..end]);
            let value = match value.as_bytes() {
                [b'"'] => "",
                [b'"', .., b'"'] => &value[1..value.len() - 1],
                _ => value,
            };
            return Some(decoded(value).unwrap_or_else(|| value.to_owned()));
        }
        index = end + 1;
    }
    None
}

fn blanks_trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// `decodeURIComponent`; `None` where it throws.
fn decoded(value: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    loop {
        rest = match rest {
            [] => return String::from_utf8(bytes).ok(),
            [b'%', high, low, rest @ ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
                rest
            }
            [b'%', ..] => return None,
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}
