//! The chat in a real browser: two tabs, and sessions that are remembered.

mod running;

use std::{env, path::Path};

use running::Running;

#[test]
fn two_people_chat_in_chromium() {
    let chromium =
        chromium().expect("Chromium is needed: `apt-get install chromium`, or name the program in CHROMIUM");
    let chat = Running::start(env!("CARGO_BIN_EXE_chat"));
    conformance::javascript::run(
        "browser/chat.test.mjs",
        &[("CHAT", &chat.url), ("CHROMIUM", &chromium), ("SCREENSHOTS", env!("CARGO_TARGET_TMPDIR"))],
    );
}

/// The program that `CHROMIUM` names, or the one in the path.
fn chromium() -> Option<String> {
    if let Ok(named) = env::var("CHROMIUM") {
        return Path::new(&named).exists().then_some(named);
    }
    let folders = env::var_os("PATH")?;
    let found =
        env::split_paths(&folders).map(|folder| folder.join("chromium")).find(|program| program.exists())?;
    found.to_str().map(str::to_owned)
}
