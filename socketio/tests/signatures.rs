//! What the compiler says to handlers of a wrong signature: it names the type, and what is to be done.
//!
//! `TRYBUILD=overwrite cargo test -p socketio --all-features --test signatures` writes the messages anew, to be
//! read before they are kept. They are those of Rust 1.95; other versions put them in other words.

#[test]
fn wrong_signatures() {
    trybuild::TestCases::new().compile_fail("tests/signatures/*.rs");
}
