//! Checks JSON text in one pass, without building anything.
//!
//! A packet keeps its payload as text until the type that a handler wants is known. What must be known
//! before, because it decides whether the connection lives, is that the text is one JSON value, with nothing
//! behind it, and not nested beyond [`MAX_DEPTH`].

use std::ops::Range;

/// How deep arrays and objects may be nested, the outermost included; beyond it a payload is refused.
///
/// Far above what programs send and far below what threatens a stack; one bit each of a `u128`.
pub const MAX_DEPTH: u32 = u128::BITS;

/// Why a text is not acceptable JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JsonError {
    /// Arrays and objects nested deeper than [`MAX_DEPTH`].
    #[error("JSON nested deeper than {MAX_DEPTH} at byte {0}")]
    TooDeep(usize),
    /// Not JSON, at this byte of the text.
    #[error("not JSON at byte {0}")]
    Unexpected(usize),
}

/// Checks that `text` is exactly one JSON value, with white space around it at most.
///
/// As `JSON.parse` does, it accepts numbers beyond any range and `\u` escapes of lone surrogates: whether
/// they mean something is for the type that they are decoded into.
pub(crate) fn check(text: &str) -> Result<(), JsonError> {
    check_rest(Scanner { text: text.as_bytes(), at: 0 }, Containers { objects: 0, depth: 0 }, false)
}

/// The strings that an array begins with, if they stand for themselves and there is no white space: where they are,
/// without their quotes.
#[derive(Debug, Default)]
pub(crate) struct PlainStrings {
    pub(crate) first: Option<Range<usize>>,
    pub(crate) second: Option<Range<usize>>,
}

/// The same, and finds on the way what most events begin with.
// Inlined, as what it returns is large and taken apart at once.
#[inline(always)]
pub(crate) fn check_array(text: &str) -> Result<PlainStrings, JsonError> {
    let plain_from = |at: usize| {
        let end = at + plain_prefix(text.as_bytes().get(at..)?);
        (text.as_bytes().get(end) == Some(&b'"')).then_some(at..end)
    };
    let behind = |string: &Range<usize>| string.end + 1;
    let first = if text.starts_with("[\"") { plain_from(2) } else { None };
    let Some(at) = first.as_ref().map(behind) else { return check(text).map(|()| PlainStrings::default()) };
    // As a rule it is the only argument, so that its end is known.
    if let [b',', b'"', only @ .., b'"', b']'] = &text.as_bytes()[at..]
        && is_plain(only)
    {
        return Ok(PlainStrings { first, second: Some(at + 2..at + 2 + only.len()) });
    }
    let second = if text.as_bytes()[at..].starts_with(b",\"") { plain_from(at + 2) } else { None };
    let at = second.as_ref().map_or(at, behind);
    if &text.as_bytes()[at..] != b"]" {
        let scanner = Scanner { text: text.as_bytes(), at };
        check_rest(scanner, Containers { objects: 0, depth: 1 }, true)?;
    }
    Ok(PlainStrings { first, second })
}

/// Checks from where `scanner` is: within `open`, and behind a value or before one.
#[inline(always)]
fn check_rest(
    mut scanner: Scanner<'_>,
    mut open: Containers,
    mut behind_value: bool,
) -> Result<(), JsonError> {
    loop {
        if !behind_value {
            scanner.skip_white_space();
            let opened = scanner.at;
            match scanner.next()? {
                b'{' => {
                    open.push(true, opened)?;
                    scanner.skip_white_space();
                    if !scanner.eat(b'}') {
                        scanner.key()?;
                        continue;
                    }
                    open.pop();
                }
                b'[' => {
                    open.push(false, opened)?;
                    scanner.skip_white_space();
                    if !scanner.eat(b']') {
                        continue;
                    }
                    open.pop();
                }
                b'"' => scanner.string()?,
                b'-' => {
                    let first = scanner.next()?;
                    scanner.number(first)?;
                }
                first @ b'0'..=b'9' => scanner.number(first)?,
                b't' => scanner.literal(b"rue")?,
                b'f' => scanner.literal(b"alse")?,
                b'n' => scanner.literal(b"ull")?,
                _ => return Err(JsonError::Unexpected(opened)),
            }
        }
        behind_value = false;
        loop {
            scanner.skip_white_space();
            if open.depth == 0 {
                let end = scanner.at == scanner.text.len();
                return if end { Ok(()) } else { Err(JsonError::Unexpected(scanner.at)) };
            }
            match (scanner.next()?, open.in_object()) {
                (b',', false) => break,
                (b',', true) => {
                    scanner.skip_white_space();
                    scanner.key()?;
                    break;
                }
                (b'}', true) | (b']', false) => open.pop(),
                _ => return Err(JsonError::Unexpected(scanner.at - 1)),
            }
        }
    }
}

/// Which containers are open: bit 0 of `objects` is the innermost, set for an object.
struct Containers {
    objects: u128,
    depth: u32,
}

impl Containers {
    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn push(&mut self, object: bool, at: usize) -> Result<(), JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(JsonError::TooDeep(at));
        }
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
        Ok(())
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, JsonError> {
        let byte = self.peek().ok_or(JsonError::Unexpected(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) { Ok(()) } else { Err(JsonError::Unexpected(self.at)) }
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn key(&mut self) -> Result<(), JsonError> {
        self.expect(b'"')?;
        self.string()?;
        self.skip_white_space();
        self.expect(b':')
    }

    /// The rest of a string whose opening quote has been read.
    fn string(&mut self) -> Result<(), JsonError> {
        loop {
            self.at += plain_prefix(&self.text[self.at..]);
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        for _ in 0..4 {
                            if !self.next()?.is_ascii_hexdigit() {
                                return Err(JsonError::Unexpected(self.at - 1));
                            }
                        }
                    }
                    _ => return Err(JsonError::Unexpected(self.at - 1)),
                },
                _ => return Err(JsonError::Unexpected(self.at - 1)),
            }
        }
    }

    /// The rest of a number whose first digit has been read.
    fn number(&mut self, first: u8) -> Result<(), JsonError> {
        match first {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return Err(JsonError::Unexpected(self.at - 1)),
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.next()?.is_ascii_digit() {
            return Err(JsonError::Unexpected(self.at - 1));
        }
        self.skip_digits();
        Ok(())
    }

    fn skip_digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn literal(&mut self, rest: &[u8]) -> Result<(), JsonError> {
        rest.iter().try_for_each(|&byte| self.expect(byte))
    }
}

/// Where the value at the beginning of `text` ends. It must have been checked, as must what surrounds it.
pub(crate) fn value_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes[0] {
        b'"' => string_end(bytes, 1),
        b'[' | b'{' => {
            let (mut at, mut depth) = (1, 1);
            while depth > 0 {
                at = match bytes[at] {
                    b'"' => string_end(bytes, at + 1),
                    byte => {
                        depth += u32::from(matches!(byte, b'[' | b'{'));
                        depth -= u32::from(matches!(byte, b']' | b'}'));
                        at + 1
                    }
                };
            }
            at
        }
        _ => bytes.iter().position(|byte| b",]} \t\n\r".contains(byte)).unwrap_or(bytes.len()),
    }
}

/// Behind the closing quote of the checked string whose text begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at += plain_prefix(&bytes[at..]);
        if bytes[at] == b'"' {
            return at + 1;
        }
        // The escaped character may be a quote.
        at += 2;
    }
}

pub(crate) fn trim_start(json: &str) -> &str {
    const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
    // Programs write none, so that it is not searched for before a byte of it is seen.
    let found = json.as_bytes().first().is_some_and(|&byte| WHITE_SPACE.contains(&char::from(byte)));
    if found { json.trim_start_matches(WHITE_SPACE) } else { json }
}

/// The string at the beginning of checked `json`, if it is one that stands for itself: found faster than by a parser.
pub(crate) fn plain_string(json: &str) -> Option<&str> {
    let text = json.strip_prefix('"')?;
    let end = match text.len() {
        ..=MAY_BE_LONG => plain_prefix(text.as_bytes()),
        // Control characters would not have passed the check.
        _ => memchr::memchr2(b'"', b'\\', text.as_bytes())?,
    };
    (text.as_bytes().get(end) == Some(&b'"')).then(|| &text[..end])
}

/// How many bytes at the beginning of `text` stand for themselves in a JSON string.
///
/// Most strings are short, where it counts how soon the first step is done, but long ones are most of what is sent:
/// those are searched with the widest vectors that the machine has.
#[inline]
pub(crate) fn plain_prefix(text: &[u8]) -> usize {
    match text.first_chunk().map(|word| special_byte(*word)) {
        None => prefix_by_bytes(text),
        Some(Some(special)) => special,
        Some(None) => plain_prefix_of_more(text),
    }
}

/// Whether all of `text` stands for itself in a JSON string: with the end known, that takes fewer steps than to find it.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    if text.len() > MAY_BE_LONG {
        return plain_prefix(text) == text.len();
    }
    // What remains behind whole blocks is looked at together with what is before it, for the second time.
    let is_special = |word: &[u8; WORD]| special_byte(*word).is_some();
    if let Some(last) = text.last_chunk() {
        let (blocks, rest) = text.as_chunks();
        !(blocks.iter().any(has_special_byte) || !rest.is_empty() && has_special_byte(last))
    } else if let Some(last) = text.last_chunk() {
        !(text.as_chunks().0.iter().any(is_special) || is_special(last))
    } else {
        prefix_by_bytes(text) == text.len()
    }
}

/// [`plain_prefix`] of a text whose first word is plain.
fn plain_prefix_of_more(text: &[u8]) -> usize {
    let (blocks, rest) = text.as_chunks();
    for (at, block) in blocks.iter().enumerate() {
        if has_special_byte(block) {
            return at * BLOCK + plain_prefix_by_words(&text[at * BLOCK..]);
        }
        if at == SHORT {
            return at * BLOCK + plain_prefix_of_long(&text[at * BLOCK..]);
        }
    }
    if rest.is_empty() { text.len() } else { text.len() - rest.len() + plain_prefix_by_words(rest) }
}

/// Not inlined, as the compiler then looks at all bytes at once, and else at one after the other.
#[inline(never)]
fn has_special_byte(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(false, |found, &byte| found | ((byte ^ 0x02) < 0x21) | (byte == b'\\'))
}

#[inline(never)]
fn plain_prefix_by_words(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks();
    for (at, word) in words.iter().enumerate() {
        if let Some(special) = special_byte(*word) {
            return at * WORD + special;
        }
    }
    text.len() - rest.len() + prefix_by_bytes(rest)
}

/// The first byte that does not stand for itself.
fn special_byte(word: [u8; WORD]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; WORD]);
    let each = |byte: u8| ONES * u64::from(byte);
    let word = u64::from_le_bytes(word);
    // With that bit turned a quote, 0x22, is 0x20, and what is below stays below.
    let quotes_and_controls = (word ^ each(0x02)).wrapping_sub(each(0x21));
    let backslashes = (word ^ each(b'\\')).wrapping_sub(each(1));
    // Sets the highest bit of such bytes. Behind the first of them others may be set too.
    let found = (quotes_and_controls | backslashes) & !word & each(0x80);
    (found != 0).then_some(found.trailing_zeros() as usize / 8)
}

#[inline(never)]
fn plain_prefix_of_long(text: &[u8]) -> usize {
    let end = memchr::memchr2(b'"', b'\\', text).unwrap_or(text.len());
    let plain = &text[..end];
    // The minimum of all is found faster than the first.
    if plain.iter().copied().fold(u8::MAX, u8::min) >= b' ' { end } else { prefix_by_bytes(plain) }
}

fn prefix_by_bytes(text: &[u8]) -> usize {
    text.iter().position(|&byte| matches!(byte, b'"' | b'\\' | ..b' ')).unwrap_or(text.len())
}

/// Bytes that are looked at together.
const WORD: usize = size_of::<u64>();

const BLOCK: usize = 4 * WORD;

/// Blocks after which a string counts as long.
const SHORT: usize = 4;
const MAY_BE_LONG: usize = SHORT * BLOCK;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_prefixes_end_at_the_first_special_byte() {
        for length in (0..100).chain(120..140).chain(300..310) {
            let mut text = vec![b'x'; length];
            assert_eq!((plain_prefix(&text), is_plain(&text)), (length, true));
            for special in [b'"', b'\\', 0, 0x1f] {
                for at in 0..length {
                    text[at] = special;
                    assert_eq!((plain_prefix(&text), is_plain(&text)), (at, false));
                    text[at] = 0xc3;
                }
            }
        }
    }

    #[test]
    fn bytes_that_do_not_stand_for_themselves() {
        for byte in 0..=u8::MAX {
            let special = matches!(byte, b'"' | b'\\' | ..b' ');
            for length in [3, 8, 11, 40] {
                for at in [0, length - 1] {
                    let mut text = vec![b'x'; length];
                    text[at] = byte;
                    assert_eq!(plain_prefix(&text), if special { at } else { length }, "{byte}");
                }
            }
        }
    }

    #[test]
    fn plain_strings() {
        let long = "x".repeat(300);
        for text in ["", "a", "four", "ein längerer Text", &long] {
            for behind in ["", "]", r#","\""#, r#","b"]"#, &format!(r#","{long}"]"#)] {
                assert_eq!(plain_string(&format!(r#""{text}"{behind}"#)), Some(text));
                assert_eq!(plain_string(&format!(r#""{text}\"a"{behind}"#)), None);
            }
        }
        assert_eq!(plain_string("1"), None);
    }

    #[test]
    fn values_end_where_they_end() {
        for value in [
            r#""a""#,
            r#""\\""#,
            r#""a\"],b""#,
            "-1.5e3",
            "null",
            "[]",
            "{}",
            r#"[1,{"a":"]}"}]"#,
            r#"{"\"":[[]]}"#,
        ] {
            for behind in ["", ",1]", "]", " ,", "}", "\n]"] {
                assert_eq!(value_end(&format!("{value}{behind}")), value.len(), "{value}{behind}");
            }
        }
    }

    #[test]
    fn accepts_json() {
        for text in [
            "null",
            " true ",
            "false",
            "0",
            "-0",
            "12.50e+3",
            "1E-9",
            "1e400",
            r#""""#,
            r#""\ud800\n\\""#,
            "[]",
            "[ ]",
            "{}",
            r#"{ "a" : [ 1 , {} ] , "b":"é" }"#,
            "[[[]],[{}]]",
            "\t\r\n[1,2]\n",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_one_value() {
        for (text, at) in [
            ("", 0),
            ("[", 1),
            ("[1]x", 3),
            ("[1] 2", 4),
            ("[1,]", 3),
            ("[,1]", 1),
            ("[1}", 2),
            ("{]", 1),
            ("{1:2}", 1),
            (r#"{"a"}"#, 4),
            (r#"{"a":}"#, 5),
            (r#"{"a":1,}"#, 7),
            ("01", 1),
            ("-", 1),
            ("-a", 1),
            ("1.", 2),
            ("1.e1", 2),
            ("1e", 2),
            ("+1", 0),
            ("tru", 3),
            ("nul1", 3),
            (r#"""#, 1),
            ("\"\n\"", 1),
            (r#""\x""#, 2),
            (r#""\u12g4""#, 5),
            ("'a'", 0),
            ("NaN", 0),
            ("//", 0),
        ] {
            assert_eq!(check(text), Err(JsonError::Unexpected(at)), "{text}");
        }
    }

    #[test]
    fn bounds_the_depth() {
        let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            assert_eq!(check(&nested(open, close, 128)), Ok(()));
            let at = open.len() * 128;
            assert_eq!(check(&nested(open, close, 129)), Err(JsonError::TooDeep(at)));
            assert_eq!(check(&nested(open, close, 100_000)), Err(JsonError::TooDeep(at)));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}",:0-9.eE+\\untrlfas \-]{0,12}"#) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(check(&text).is_ok(), theirs);
        }

        #[test]
        fn strings_are_found_without_other_results(text in r#"(\[")?[a-z\\"]{0,40}(",")?[\[\]{}",:0-9a-z\\ \n]{0,40}"?\]?"#) {
            let found = check_array(&text);
            prop_assert_eq!(found.as_ref().map(|_| ()).map_err(|error| *error), check(&text));
            if let Ok(PlainStrings { first, second }) = found {
                let value = serde_json::from_str::<serde_json::Value>(&text).unwrap();
                for (at, string) in [first, second].into_iter().enumerate() {
                    prop_assert!(string.is_none_or(|string| value[at] == text[string]));
                }
            }
        }
    }
}
