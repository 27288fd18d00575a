//! Builds the peers from the registries of their languages, as their documentation recommends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Those that are there.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// The script of the official server.
    pub node: Option<PathBuf>,
    /// Whether it has this WebSocket layer, too.
    pub eiows: bool,
    /// The program of socketioxide on axum.
    pub socketioxide: Option<PathBuf>,
    /// What is missing, and why.
    pub missing: Vec<String>,
}

impl Peers {
    /// Builds those that are wanted. One that cannot be built is left out: a benchmark without it is better than none.
    #[must_use]
    pub fn build(wanted: impl Fn(&str) -> bool, target: &Path) -> Self {
        let (folder, mut peers) = (folder(), Self::default());
        if wanted("node") || wanted("node-eiows") {
            let node = folder.join("node");
            let mut install = Command::new("npm");
            match run(install.args(["ci", "--no-audit", "--no-fund"]).current_dir(&node)) {
                Ok(()) => peers.node = Some(node.join("server.js")),
                Err(error) => peers.missing.push(format!("node is left out: `npm ci` {error}")),
            }
            let mut load = Command::new("node");
            let load = load.args(["-e", "require('eiows')"]).current_dir(&node).stderr(Stdio::null());
            peers.eiows = peers.node.is_some() && run(load).is_ok();
            if wanted("node-eiows") && !peers.eiows {
                peers.missing.push("node-eiows is left out: `eiows` cannot be installed here".into());
            }
        }
        if wanted("socketioxide") {
            let target = target.join("peers");
            let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            build.args(["build", "--release", "--locked"]).current_dir(folder.join("socketioxide"));
            match run(build.env("CARGO_TARGET_DIR", &target)) {
                Ok(()) => peers.socketioxide = Some(target.join("release/socketioxide-peer")),
                Err(error) => peers.missing.push(format!("socketioxide is left out: `cargo build` {error}")),
            }
        }
        peers
    }

    /// Names and versions of what was built.
    #[must_use]
    pub fn versions(&self) -> Vec<(String, String)> {
        let mut versions = Vec::new();
        if self.node.is_some() {
            versions.extend(output("node", &["--version"]).map(|version| ("Node.js".into(), version)));
            let modules = folder().join("node/node_modules");
            versions.extend(["socket.io", "ws", "eiows"].into_iter().filter_map(|name| {
                let package = fs::read_to_string(modules.join(name).join("package.json")).ok()?;
                let package: serde_json::Value = serde_json::from_str(&package).ok()?;
                Some((name.to_owned(), package["version"].as_str()?.to_owned()))
            }));
        }
        if self.socketioxide.is_some() {
            let lock = fs::read_to_string(folder().join("socketioxide/Cargo.lock")).unwrap_or_default();
            let version = |name: &str| {
                let rest = lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1)?;
                Some((name.to_owned(), rest.split('"').next()?.to_owned()))
            };
            versions.extend(["socketioxide", "axum", "tokio"].into_iter().filter_map(version));
        }
        versions
    }
}

/// The first line of what a program prints.
#[must_use]
pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().filter(|_| output.status.success()).map(str::to_owned)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("fails with {status}")),
        Err(error) => Err(format!("cannot be started: {error}")),
    }
}
