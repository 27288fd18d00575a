//! Who takes part, and how each is started.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    order::{Wire, Work},
    peers::Peers,
    redis::Redis,
};

/// One that can be started any number of times.
#[derive(Clone, Debug)]
pub struct Server {
    /// How it is called in options and results.
    pub name: &'static str,
    /// What it speaks.
    pub wire: Wire,
    /// Threads that serve.
    pub workers: usize,
    /// A process that works for it, such as a database.
    pub helper: Option<u32>,
    program: PathBuf,
    arguments: Vec<PathBuf>,
    environment: Vec<(&'static str, String)>,
    sessions: bool,
}

/// Our own binaries.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The load generator.
    pub load: PathBuf,
    /// Our server.
    pub server: PathBuf,
    /// The hand-written minimum.
    pub floor: PathBuf,
}

impl Programs {
    /// All in one folder, as cargo puts them.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { load: folder.join("load"), server: folder.join("server"), floor: folder.join("floor") }
    }
}

impl Server {
    fn new(name: &'static str, program: &Path) -> Self {
        Self {
            name,
            wire: Wire::SocketIo,
            workers: 1,
            helper: None,
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            sessions: false,
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// What starts it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What clients do with it: where there are no sessions, none is changed.
    #[must_use]
    pub fn work(&self, work: Work) -> Work {
        if work == Work::Count && !self.sessions { Work::Ack } else { work }
    }
}

/// Where Debian's package `libjemalloc2` puts the library, if it is there.
#[must_use]
pub fn jemalloc() -> Option<String> {
    let path = format!("/usr/lib/{}-linux-gnu/libjemalloc.so.2", std::env::consts::ARCH);
    Path::new(&path).exists().then_some(path)
}

/// All that are there.
#[must_use]
pub fn all(programs: &Programs, peers: &Peers, redis: Option<&Redis>) -> Vec<Server> {
    let ours = |name| Server::new(name, &programs.server);
    let with_sessions = |name, url: &str| Server { sessions: true, ..ours(name).with("SESSIONS", url) };
    let mut all = vec![
        Server::new("floor", &programs.floor),
        Server { wire: Wire::Tcp, ..Server::new("tcp", &programs.floor).with("TCP", "1") },
        ours("ours"),
        with_sessions("ours-memory", "memory"),
        Server { workers: 2, ..ours("ours-2").with("WORKERS", "2") },
    ];
    if let Some(library) = jemalloc() {
        // It gives memory back soon, on a thread of its own.
        let settings = "background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:0";
        all.push(ours("ours-jemalloc").with("LD_PRELOAD", library).with("MALLOC_CONF", settings));
    }
    if let Some(redis) = redis {
        all.push(Server { helper: Some(redis.id()), ..with_sessions("ours-redis", &redis.url) });
    }
    all.extend(peers.socketioxide.iter().map(|program| Server::new("socketioxide", program)));
    if let Some(script) = &peers.node {
        let node = |name| Server { arguments: vec![script.clone()], ..Server::new(name, Path::new("node")) };
        all.push(node("node"));
        if peers.eiows {
            all.push(node("node-eiows").with("WS_ENGINE", "eiows"));
        }
    }
    all
}
