//! A Redis of its own for each test.

use std::{
    env, fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use redis::Value;
use session::store::{RedisStore, RedisStoreBuilder};

/// A `redis-server` that is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    arguments: Vec<String>,
    folder: PathBuf,
    process: Option<Child>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts Redis with more options on its command line.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        for _ in 0..10 {
            // Somebody else may take the port before Redis does.
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let folder = env::temp_dir().join(format!("session-redis-{}-{port}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let mut server = Self { port, arguments: arguments.clone(), folder, process: None };
            if server.run() {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// Starts it again on the same port, empty.
    pub(crate) fn restart(&mut self) {
        assert!(self.run(), "redis-server does not start again");
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) async fn store(&self) -> RedisStore {
        self.builder().connect().await.unwrap()
    }

    pub(crate) fn builder(&self) -> RedisStoreBuilder {
        RedisStore::builder(self.url())
    }

    /// Runs a command as somebody else, on a connection of its own.
    pub(crate) fn command(&self, words: &[&str]) -> Value {
        let client = redis::Client::open(self.url()).unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query(&mut client.get_connection().unwrap()).unwrap()
    }

    pub(crate) fn integer(&self, words: &[&str]) -> i64 {
        redis::from_redis_value(self.command(words)).unwrap()
    }

    pub(crate) fn text(&self, words: &[&str]) -> Option<String> {
        redis::from_redis_value(self.command(words)).unwrap()
    }

    fn run(&mut self) -> bool {
        let program = env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let port = self.port.to_string();
        let child = Command::new(&program)
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--enable-debug-command", "yes"])
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("no {program}: install Debian's package redis-server, or set REDIS_SERVER")
            }
            Err(error) => panic!("{program}: {error}"),
        };
        self.process = Some(child);
        let deadline = Instant::now() + super::PATIENCE;
        while Instant::now() < deadline {
            if self.process.as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            if self.answers() {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else { return false };
        let mut answer = [0; 5];
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        stream.write_all(b"PING\r\n").is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && (&answer == b"+PONG" || &answer == b"-NOAU")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
