//! The small examples do what they say, with the official clients.

mod running;

use running::Running;

#[test]
fn echo_answers_the_official_client() {
    let echo = Running::start(env!("CARGO_BIN_EXE_echo"));
    conformance::javascript::run("examples/echo.test.mjs", &[("ECHO", &echo.url)]);
}

#[test]
fn engine_echo_answers_the_official_client() {
    let echo = Running::start(env!("CARGO_BIN_EXE_engine_echo"));
    conformance::javascript::run("examples/engine_echo.test.mjs", &[("ENGINE_ECHO", &echo.url)]);
}
