//! Sessions that an Express application shares, with the official JavaScript packages on both sides of a real Redis.
//!
//! The scenarios are in `js/session`; `npm run test:session:node` there runs them against the official server, and
//! `npm run faults` prints what goes wrong there, and here.

use conformance::javascript::run;

#[test]
fn express_and_the_sockets_share_one_login() {
    run("session", &[("SESSION_SERVER", env!("CARGO_BIN_EXE_session_server"))]);
}
