//! Text that is being written.

use std::{cell::RefCell, mem};

/// A text that grows. Strings go into it as they are, and values through `serde_json`, which writes bytes: only with
/// these does it have to be checked at the end whether all is UTF-8.
pub(crate) enum Text {
    Checked(String),
    Unchecked(Vec<u8>),
}

impl Default for Text {
    fn default() -> Self {
        Self::Checked(String::new())
    }
}

impl Text {
    pub(crate) fn push(&mut self, ascii: char) {
        match self {
            Self::Checked(text) => text.push(ascii),
            Self::Unchecked(bytes) => bytes.push(ascii as u8),
        }
    }

    pub(crate) fn push_str(&mut self, more: &str) {
        match self {
            Self::Checked(text) => text.push_str(more),
            Self::Unchecked(bytes) => bytes.extend_from_slice(more.as_bytes()),
        }
    }

    /// Adds a string of JSON, whose content stands for itself.
    pub(crate) fn push_quoted(&mut self, content: &str, is_first: bool) {
        match self {
            Self::Checked(text) => {
                text.reserve(content.len() + 3);
                if !is_first {
                    text.push(',');
                }
                text.push('"');
                text.push_str(content);
                text.push('"');
            }
            Self::Unchecked(bytes) => {
                bytes.reserve(content.len() + 3);
                bytes.extend_from_slice(if is_first { "\"" } else { ",\"" }.as_bytes());
                bytes.extend_from_slice(content.as_bytes());
                bytes.push(b'"');
            }
        }
    }

    /// To be written to by what writes UTF-8.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        if let Self::Checked(text) = self {
            *self = Self::Unchecked(mem::take(text).into_bytes());
        }
        match self {
            Self::Unchecked(bytes) => bytes,
            Self::Checked(_) => unreachable!("it has just been replaced"),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Checked(text) => text,
            // As a whole, which is faster than in many small parts.
            Self::Unchecked(bytes) => simdutf8::basic::from_utf8(bytes).expect(UTF_8),
        }
    }

    pub(crate) fn into_string(self) -> String {
        match self {
            Self::Checked(text) => text,
            Self::Unchecked(bytes) => String::from_utf8(bytes).expect(UTF_8),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Checked(text) => text.len(),
            Self::Unchecked(bytes) => bytes.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Checked(text) => text.capacity(),
            Self::Unchecked(bytes) => bytes.capacity(),
        }
    }

    /// Keeps the memory for another text.
    fn clear(&mut self) {
        match self {
            Self::Checked(text) => text.clear(),
            Self::Unchecked(bytes) => {
                bytes.clear();
                *self = Self::Checked(String::from_utf8(mem::take(bytes)).unwrap_or_default());
            }
        }
    }
}

const UTF_8: &str = "serde_json writes UTF-8";

/// Lends a text of the thread, empty, which grows without asking for memory step by step. Data may encode other packets
/// while it is being written: those get a text of their own. What has grown beyond `kept` is not kept.
pub(crate) fn with_scratch<R>(kept: usize, write: impl FnOnce(&mut Text) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Text> = const { RefCell::new(Text::Checked(String::new())) };
    }
    SCRATCH.with(|scratch| {
        let Ok(mut text) = scratch.try_borrow_mut() else { return write(&mut Text::default()) };
        // What a panic has left.
        text.clear();
        let result = write(&mut text);
        if text.capacity() > kept {
            *text = Text::default();
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_what_is_serialized_follow_each_other() {
        with_scratch(64, |text| {
            text.push('a');
            text.push_str("ä");
            assert!(matches!(text, Text::Checked(_)));
            serde_json::to_writer(text.bytes(), "\n").unwrap();
            text.push_str("ö");
            text.push('z');
            assert_eq!((text.as_str(), text.len()), ("aä\"\\n\"öz", 10));
            assert_eq!(mem::take(text).into_string(), "aä\"\\n\"öz");
        });
    }

    #[test]
    fn the_memory_of_a_text_is_lent_again_unless_it_is_too_much() {
        let capacity = |length: usize| {
            with_scratch(64, |text| {
                let lent = text.capacity();
                assert_eq!(text.as_str(), "");
                text.bytes().extend_from_slice(&vec![b'x'; length]);
                lent
            })
        };
        assert_eq!(capacity(40), 0);
        assert!(capacity(65) >= 40);
        assert_eq!(capacity(0), 0);
    }

    #[test]
    fn a_text_within_a_text_is_another() {
        with_scratch(64, |outer| {
            outer.push('a');
            with_scratch(64, |inner| inner.push('b'));
            assert_eq!(outer.as_str(), "a");
        });
    }
}
