//! What the fuzzer has found worth keeping, replayed; see `fuzz/README.md`.

use std::{fs, path::Path};

macro_rules! replayed {
    ($($target:ident: $file:literal,)*) => {$(
        #[allow(unreachable_pub, reason = "the module belongs to the fuzz crate, where it is reached")]
        #[path = $file]
        mod $target;

        #[test]
        fn $target() {
            replay(stringify!($target), $target::$target);
        }
    )*};
}

replayed! {
    session_cookie: "../../fuzz/src/session_cookie.rs",
    session_record: "../../fuzz/src/session_record.rs",
    session_signature: "../../fuzz/src/session_signature.rs",
}

fn replay(target: &str, take: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is there") {
        let path = entry.expect("a readable folder").path();
        println!("{}", path.display());
        take(&fs::read(path).expect("a readable file"));
        count += 1;
    }
    assert!(count > 0, "no files in {}", folder.display());
}
