//! What the fuzzer has found worth keeping, replayed; see `fuzz/README.md`.

use std::{fs, path::Path};

#[allow(unreachable_pub, reason = "the module belongs to the fuzz crate, where it is reached")]
#[path = "../../fuzz/src/socketio_packet.rs"]
mod socketio_packet;

#[test]
fn socketio_packet() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/socketio_packet");
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is there") {
        let path = entry.expect("a readable folder").path();
        println!("{}", path.display());
        socketio_packet::socketio_packet(&fs::read(path).expect("a readable file"));
        count += 1;
    }
    assert!(count > 0, "no files in {}", folder.display());
}
