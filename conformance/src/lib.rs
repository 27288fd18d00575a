//! What the servers under test have in common: their arguments, their reports, and their end.
//!
//! Each server takes `name=value` arguments, prints `listening on http://127.0.0.1:PORT` and then one JSON line for
//! each thing that scenarios ask about. Its JavaScript twin in `js/servers/` does the same with the official packages.

pub mod javascript;

use std::{collections::HashMap, env, io, str::FromStr, time::Duration};

use engineio::{Config, Server, Transport, cookie::Cookie, cors::Cors};
use serde_json::Value;
use tokio::net::TcpListener;

/// The `name=value` arguments of a server.
pub struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Reads the arguments of this process.
    pub fn read() -> Self {
        let pairs = env::args().skip(1).filter_map(|argument| {
            let (name, value) = argument.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Self(pairs.collect())
    }

    /// Returns the value of `name`, if it was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the value of `name` as a number or a truth; panics where it is none.
    pub fn value<T: FromStr>(&self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} cannot be read")))
    }

    /// Makes the options of Engine.IO that were given: `path`, `ping_interval`, `ping_timeout` and
    /// `upgrade_timeout` (milliseconds), `max_payload` (bytes), `transports`, `allow_upgrades`, `cookie` (its name),
    /// `cors` (origins, or `*`), `initial` (the first packet).
    pub fn engine_config(&self, default_path: &str) -> Config {
        let milliseconds = |name| self.value(name).map(Duration::from_millis);
        let mut config = Config::default().path(self.text("path").unwrap_or(default_path));
        if let Some(interval) = milliseconds("ping_interval") {
            config = config.ping_interval(interval);
        }
        if let Some(timeout) = milliseconds("ping_timeout") {
            config = config.ping_timeout(timeout);
        }
        if let Some(timeout) = milliseconds("upgrade_timeout") {
            config = config.upgrade_timeout(timeout);
        }
        if let Some(bytes) = self.value("max_payload") {
            config = config.max_payload(bytes);
        }
        if let Some(names) = self.text("transports") {
            let known = [Transport::Polling, Transport::WebSocket];
            config = config.transports(
                known.into_iter().filter(|known| names.split(',').any(|name| name == known.as_str())),
            );
        }
        if let Some(allow) = self.value("allow_upgrades") {
            config = config.allow_upgrades(allow);
        }
        if let Some(name) = self.text("cookie") {
            config = config.cookie(Cookie::new(name).expect("cookie= is a cookie's name"));
        }
        if let Some(origins) = self.text("cors") {
            config = config.cors(cors(origins));
        }
        if let Some(message) = self.text("initial") {
            config = config.initial_packet(message.to_owned());
        }
        config
    }
}

fn cors(origins: &str) -> Cors {
    match origins {
        "*" => Cors::any(),
        _ => Cors::origins(origins.split(','))
            .and_then(|cors| cors.credentials(true))
            .expect("cors= is a list of origins"),
    }
}

/// Prints one report: a JSON line.
pub fn report(report: &Value) {
    println!("{report}");
}

/// Serves on a free port until standard input says `shutdown`, which closes the connections in order, or ends.
pub async fn serve(server: &Server) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    tokio::select! {
        served = server.serve(listener) => return served,
        () = standard_input_says_shutdown() => {}
    }
    if let Err(cut) = server.shutdown(Duration::from_secs(5)).await {
        eprintln!("{cut} connections were cut");
    }
    Ok(())
}

async fn standard_input_says_shutdown() {
    let read = tokio::task::spawn_blocking(|| {
        io::stdin().lines().map_while(Result::ok).any(|line| line.trim() == "shutdown")
    });
    if !read.await.expect("reading lines does not panic") {
        std::process::exit(0);
    }
}
