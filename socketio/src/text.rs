//! Text that is being written, as bytes: by `serde_json`, and by pushes of strings. All of them write UTF-8, so that it is
//! checked only where somebody needs a string of it.

use std::cell::RefCell;

/// Adds a character, and a string of JSON whose content stands for itself.
pub(crate) fn push_quoted(text: &mut Vec<u8>, before: u8, content: &str) {
    text.extend_from_slice(&[before, b'"']);
    text.extend_from_slice(content.as_bytes());
    text.push(b'"');
}

pub(crate) fn as_str(text: &[u8]) -> &str {
    simdutf8::basic::from_utf8(text).expect(UTF_8)
}

pub(crate) fn into_string(text: Vec<u8>) -> String {
    String::from_utf8(text).expect(UTF_8)
}

const UTF_8: &str = "serde_json writes UTF-8";

/// Lends a text of the thread, empty, which grows without asking for memory step by step. Data may encode other packets
/// while it is being written: those get a text of their own. What has grown beyond `kept` is not kept.
pub(crate) fn with_scratch<R>(kept: usize, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with(|scratch| {
        let Ok(mut text) = scratch.try_borrow_mut() else { return write(&mut Vec::new()) };
        // What a panic has left.
        text.clear();
        let result = write(&mut text);
        if text.capacity() > kept {
            *text = Vec::new();
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
            push_quoted(text, b'[', "ä");
            push_quoted(text, b',', "ö");
            serde_json::to_writer(&mut *text, "\n").unwrap();
            assert_eq!(as_str(text), "[\"ä\",\"ö\"\"\\n\"");
            assert_eq!(into_string(std::mem::take(text)), "[\"ä\",\"ö\"\"\\n\"");
        });
    }

    #[test]
    fn the_memory_of_a_text_is_lent_again_unless_it_is_too_much() {
        let capacity = |length: usize| {
            with_scratch(64, |text| {
                let lent = text.capacity();
                assert_eq!(as_str(text), "");
                text.extend_from_slice(&vec![b'x'; length]);
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
            outer.push(b'a');
            with_scratch(64, |inner| inner.push(b'b'));
            assert_eq!(as_str(outer), "a");
        });
    }
}
