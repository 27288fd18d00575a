//! Stands between a store and Redis and loses what it is told to lose.

use std::sync::{Arc, Mutex};

use session::store::{RedisStore, RedisStoreBuilder};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub(crate) struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    accepted: usize,
    /// On connections before this one nothing passes any more, and nobody is told.
    silenced: usize,
}

struct Fault {
    command: &'static str,
    reaches_redis: bool,
    then: Box<dyn FnOnce() + Send>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, state) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(State::default())));
        tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let number = {
                        let mut state = state.lock().unwrap();
                        state.accepted += 1;
                        state.accepted - 1
                    };
                    let redis = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                    tokio::spawn(pass(client, redis, number, Arc::clone(&state)));
                }
            }
        });
        Self { port, state }
    }

    pub(crate) fn builder(&self) -> RedisStoreBuilder {
        RedisStore::builder(format!("redis://127.0.0.1:{}/", self.port))
    }

    /// Cuts the connection once, before the next such command reaches Redis.
    pub(crate) fn lose_command(&self, command: &'static str) {
        self.state.lock().unwrap().fault =
            Some(Fault { command, reaches_redis: false, then: Box::new(|| {}) });
    }

    /// Cuts the connection once, after Redis has answered the next such command and `then` was done.
    pub(crate) fn lose_answer(&self, command: &'static str, then: impl FnOnce() + Send + 'static) {
        self.state.lock().unwrap().fault = Some(Fault { command, reaches_redis: true, then: Box::new(then) });
    }

    /// Passes nothing any more on the connections that there are.
    pub(crate) fn silence(&self) {
        let mut state = self.state.lock().unwrap();
        state.silenced = state.accepted;
    }

    pub(crate) fn accepted(&self) -> usize {
        self.state.lock().unwrap().accepted
    }

    /// Whether the fault has happened.
    pub(crate) fn has_lost(&self) -> bool {
        self.state.lock().unwrap().fault.is_none()
    }
}

async fn pass(mut client: TcpStream, mut redis: TcpStream, number: usize, state: Arc<Mutex<State>>) {
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            Ok(length) = client.read(&mut up) => {
                let bytes = &up[..length];
                let (fault, silent) = {
                    let mut state = state.lock().unwrap();
                    (state.fault.take_if(|fault| contains(bytes, fault.command)), number < state.silenced)
                };
                if length == 0 {
                    return;
                }
                if silent {
                    continue;
                }
                match fault {
                    Some(fault) if fault.reaches_redis => {
                        redis.write_all(bytes).await.unwrap();
                        assert!(redis.read(&mut down).await.unwrap() > 0);
                        (fault.then)();
                        return;
                    }
                    Some(_) => return,
                    None => redis.write_all(bytes).await.unwrap(),
                }
            }
            Ok(length) = redis.read(&mut down) => {
                let silent = number < state.lock().unwrap().silenced;
                if length == 0 {
                    return;
                }
                if !silent && client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}

fn contains(bytes: &[u8], command: &str) -> bool {
    let word = format!("\r\n{command}\r\n");
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}
