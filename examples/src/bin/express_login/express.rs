//! The Express application, for as long as the program runs.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

/// The versions with which the tests run.
const PACKAGES: [&str; 5] = [
    "connect-redis@9.0.0",
    "express@5.3.0",
    "express-session@1.19.0",
    "redis@5.12.1",
    "socket.io-client@4.8.4",
];

/// The started application. It is ended with this value.
pub(crate) struct Express {
    /// Where it listens.
    pub(crate) url: String,
    process: Child,
}

impl Express {
    /// Starts it on `EXPRESS_PORT`, or 3001, and waits until it listens. Its packages are fetched from npm the first time.
    pub(crate) fn start(redis: &str, secret: &str, sockets: &str) -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("express_login");
        examples::npm::install(&folder, &PACKAGES)?;
        let port = env::var("EXPRESS_PORT").unwrap_or_else(|_| "3001".into());
        let mut process = Command::new("node")
            .arg(folder.join("app.mjs"))
            .env("PORT", port)
            .env("REDIS", redis)
            .env("SECRET", secret)
            .env("SOCKETS", sockets)
            // It ends when this end is closed, however that comes about.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("node does not start: {error}; install Node.js 20 or later"))?;
        let output = process.stdout.take().expect("standard output is piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        let url = url.ok_or("Express has ended before it listened; what it said is above")?;
        // What it prints later is shown.
        thread::spawn(move || lines.for_each(|line| println!("express: {line}")));
        Ok(Self { url, process })
    }
}

impl Drop for Express {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
