//! What the fuzzers have found worth keeping, replayed; see `fuzz/README.md`.

use std::{fs, path::Path};

#[allow(unreachable_pub, reason = "the modules belong to the fuzz crate, where they are reached")]
#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

/// Runs a target on each file of its corpus; at least one, lest a missing folder pass for a clean one.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is there") {
        let path = entry.expect("a readable folder").path();
        // The name of the file that broke a promise stands before the panic.
        println!("{}", path.display());
        target(&fs::read(path).expect("a readable file"));
        count += 1;
    }
    assert!(count > 0, "no files in {}", folder.display());
}

#[test]
fn connection() {
    replay("connection", targets::connection);
}

#[test]
fn packet() {
    replay("packet", targets::packet);
}

#[test]
fn payload() {
    replay("payload", targets::payload);
}

#[test]
fn request_body() {
    replay("request_body", targets::request_body);
}

#[test]
fn request_head() {
    replay("request_head", targets::request_head);
}

#[test]
fn websocket() {
    replay("websocket", targets::websocket);
}
