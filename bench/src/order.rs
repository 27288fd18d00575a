//! What the runner asks of the load generator, and what it gets: a JSON argument, and a line of JSON.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

/// What the clients do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// An event of text comes back as an event.
    Echo,
    /// An event of text is acknowledged with it.
    Ack,
    /// An event with an attachment comes back.
    Binary,
    /// An event changes the session, and is acknowledged with how often it did.
    Count,
    /// An event goes to everyone.
    Broadcast,
    /// Members of rooms leave, join, and tell the room.
    Rooms,
    /// Text comes back by long-polling.
    Polling,
    /// Connections are opened.
    Connect,
    /// Connections are opened, kept, and closed.
    Idle,
    /// Sessions are opened by polling, then upgraded.
    Upgrade,
}

impl Work {
    /// What is counted.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Echo | Self::Ack | Self::Binary | Self::Count => "message",
            Self::Broadcast | Self::Rooms => "delivery",
            Self::Polling => "request",
            Self::Connect | Self::Idle => "connection",
            Self::Upgrade => "upgrade",
        }
    }
}

/// What carries the messages.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// Socket.IO over WebSocket, or over polling.
    SocketIo,
    /// The same bytes as they are, which a server without any protocol sends back.
    Tcp,
}

/// One run of the load generator.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Order {
    /// What the clients do.
    pub work: Work,
    /// What carries the messages.
    pub wire: Wire,
    /// Where the server listens.
    pub address: SocketAddr,
    /// The server's process, for its CPU time and memory.
    pub process: u32,
    /// What works for the server elsewhere, such as a database; so it does not count as a disturbance.
    pub helper: Option<u32>,
    /// Connections, or sessions where polling is part of it.
    pub connections: usize,
    /// Length of the text or attachment of an event.
    pub bytes: usize,
    /// Events in flight: on each connection, or in all where they go to many.
    pub in_flight: usize,
    /// Events in a second, sent when they are due; with 0, each is sent when one has come back.
    pub rate: u64,
    /// Without counting.
    pub warm_up: Duration,
    /// With counting; works that end by themselves count all they do.
    pub window: Duration,
}

/// What one run has found. Times are in seconds, latencies in microseconds, memory in bytes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Measured {
    /// Units of work that were done, and verified byte for byte.
    pub units: u64,
    /// Length of the window.
    pub seconds: f64,
    /// CPU time of the server's threads.
    pub server: f64,
    /// The part of it in user space; in ticks of 10 ms, so a short window tells little.
    pub user: f64,
    /// CPU time of the generator.
    pub generator: f64,
    /// CPU time of everything else on the machine, and what its host took away.
    pub others: f64,
    /// Median latency, from when an event is sent or due until its answer is here.
    pub p50: f64,
    /// 99 of 100 are not later.
    pub p99: f64,
    /// 999 of 1,000 are not later.
    pub p999: f64,
    /// Idle connections: resident memory of the server before they came.
    pub rss_start: f64,
    /// With all of them.
    pub rss_open: f64,
    /// Proportional share of resident memory before they came.
    pub pss_start: f64,
    /// With all of them.
    pub pss_open: f64,
    /// Resident memory after a first, smaller crowd had come and gone.
    pub rss_settled: f64,
    /// Resident memory when the server has closed all of them.
    pub rss_left: f64,
}
