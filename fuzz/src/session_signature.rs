use session::{
    Sid,
    fuzzing::{sign, verify},
};

/// A key, a NUL, and the value of a session cookie: only what the key signs is genuine, letter by letter.
pub fn session_signature(data: &[u8]) {
    let (key, value) = match data.iter().position(|&byte| byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&b"keyboard cat"[..], data),
    };
    let text = String::from_utf8_lossy(value);
    let keys = [b"another key", key];
    if let Some(sid) = verify(&keys, &text) {
        assert!(keys.iter().any(|key| sign(&[key], &sid) == text), "nobody has signed {text:?}");
    }

    let sid = Sid::from(&*text);
    let signed = sign(&[key], &sid);
    if text.is_empty() {
        assert_eq!(verify(&keys, &signed), None, "no session has an empty id");
        return;
    }
    assert_eq!(verify(&keys, &signed), Some(sid.clone()));
    assert_eq!(verify(&[b"a third key"], &signed), None);
    for longer in [format!("{signed}="), format!("{signed}."), format!(" {signed}"), format!("s:{signed}")] {
        assert_eq!(verify(&keys, &longer), None, "{longer:?}");
    }
    // One letter changed, in a place that the input chooses.
    let at = value.iter().map(|&byte| usize::from(byte)).sum::<usize>() % signed.len();
    if signed.as_bytes()[at].is_ascii() {
        let mut other = signed.clone();
        other.replace_range(at..=at, if signed.as_bytes()[at] == b'A' { "B" } else { "A" });
        assert_eq!(verify(&keys, &other), None, "{other:?}");
    }
}
