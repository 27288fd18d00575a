//! A server process, which ends with its handle.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use crate::{Result, machine::Cpus};

/// A process that listens.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Process {
    /// Starts one that chooses its port and prints where it listens, as its first line and behind the last `/`.
    pub fn start(command: &mut Command, cpus: &Cpus, pinned: &[usize]) -> Result<Self> {
        let command = command.env("PORT", "0").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = cpus.pinned(pinned, || command.spawn())??;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.trim().rsplit('/').next().and_then(|address| address.parse().ok()) {
            Some(address) => Ok(Self { child, address }),
            None => {
                child.kill().ok();
                Err(format!("does not start, and ends with {}", child.wait()?).into())
            }
        }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
