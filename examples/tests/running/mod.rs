//! An example that runs until the test ends.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
};

/// A started example. It is ended with this value.
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) url: String,
    process: Child,
}

impl Running {
    /// Starts an example on a free port and waits until it listens.
    pub(crate) fn start(binary: &str) -> Self {
        let mut process =
            Command::new(binary).env("PORT", "0").stdout(Stdio::piped()).spawn().expect("the example starts");
        let mut lines = BufReader::new(process.stdout.take().expect("standard output is piped"))
            .lines()
            .map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        // What it prints later must go somewhere, or it fails.
        thread::spawn(move || lines.for_each(drop));
        Self { url: url.expect("the example listens"), process }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
