//! A Redis for as long as the program runs.

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio, id},
    thread,
};

const INSTALL: &str =
    "install Redis, with `apt-get install redis-server` for example, or name the program in REDIS_SERVER";

/// A started `redis-server`. It is ended with this value.
pub(crate) struct Redis {
    /// Where it listens.
    pub(crate) url: String,
    process: Child,
    _folder: Folder,
}

/// A temporary folder. It is removed with this value.
struct Folder(PathBuf);

impl Redis {
    /// Starts the program that `REDIS_SERVER` names, or `redis-server`, on a free port, and waits until it listens.
    pub(crate) fn start() -> Result<Self, String> {
        let program = env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let failed = |error: &dyn std::fmt::Display| format!("{program} does not start: {error}");
        let port = free_port().map_err(|error| failed(&error))?.to_string();
        let folder = Folder(env::temp_dir().join(format!("express_login-{}", id())));
        fs::create_dir_all(&folder.0).map_err(|error| format!("{}: {error}", folder.0.display()))?;
        // It keeps nothing on disk, but would look for a file there.
        let options = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--dir"];
        let mut command = Command::new(&program);
        command.args(options).arg(&folder.0).stdin(Stdio::null()).stdout(Stdio::piped());
        let process = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!("there is no {program}: {INSTALL}"),
            _ => failed(&error),
        })?;
        let mut redis = Self { url: format!("redis://127.0.0.1:{port}/"), process, _folder: folder };
        let output = redis.process.stdout.take().expect("standard output is piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        if !lines.any(|line| line.contains("Ready to accept connections")) {
            return Err(failed(&"it has ended"));
        }
        // What it prints later must go somewhere, or it waits.
        thread::spawn(move || lines.for_each(drop));
        Ok(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
