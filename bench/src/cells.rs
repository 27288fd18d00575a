//! What is measured: a cell is a row of the table, with one kind of work at one size.

use crate::order::Work;

/// One row.
#[derive(Clone, Debug)]
pub struct Cell {
    /// How it is called in options and results.
    pub name: String,
    /// What the clients do.
    pub work: Work,
    /// Connections, or sessions.
    pub connections: usize,
    /// Length of what events hold.
    pub bytes: usize,
    /// Events in flight on each connection, or in all where they go to many.
    pub in_flight: usize,
    /// Events in a second; 0 for as many as come back.
    pub rate: u64,
    /// Those that take part, in this order.
    pub servers: &'static [&'static str],
    /// The one that the others are compared with.
    pub base: &'static str,
    /// Of cells that show growth: what grows, and how large it is.
    pub growth: Option<(&'static str, usize)>,
}

const WITH_TCP: &[&str] = &["floor", "tcp", "ours", "socketioxide", "node", "node-eiows"];
const ALL: &[&str] = &["floor", "ours", "socketioxide", "node", "node-eiows"];
/// The layer below WebSocket is the same with either.
const WITHOUT_EIOWS: &[&str] = &["floor", "ours", "socketioxide", "node"];
/// An allocator that gives memory back is asked, too.
const WITH_JEMALLOC: &[&str] = &["floor", "ours", "ours-jemalloc", "socketioxide", "node", "node-eiows"];
const SESSIONS: &[&str] = &["ours", "ours-memory", "ours-redis"];
const WORKERS: &[&str] = &["ours", "ours-2"];

impl Cell {
    /// One with what most have: events of 64 bytes, one in flight, and all servers beside the floor.
    #[must_use]
    pub fn new(name: impl Into<String>, work: Work, connections: usize) -> Self {
        Self {
            name: name.into(),
            work,
            connections,
            bytes: 64,
            in_flight: 1,
            rate: 0,
            servers: ALL,
            base: "floor",
            growth: None,
        }
    }

    fn bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    fn in_flight(self, in_flight: usize) -> Self {
        Self { in_flight, ..self }
    }

    fn servers(self, servers: &'static [&'static str]) -> Self {
        Self { servers, base: servers[0], ..self }
    }

    /// At a size that shows that it works, not what it costs.
    #[must_use]
    pub fn quick(self) -> Self {
        let (most, rate) = (if self.work == Work::Rooms { 20 } else { 30 }, self.rate.min(500));
        Self { connections: self.connections.min(most), rate, ..self }
    }
}

/// All but those that show growth. `descriptors` is how many files a process may have open.
#[must_use]
pub fn all(descriptors: usize) -> Vec<Cell> {
    // Some are needed for files and listeners. Above, a hundred thousand tell no more than what is below.
    let most = descriptors.saturating_sub(100).min(100_000);
    vec![
        Cell::new("echo c100 64B", Work::Echo, 100).servers(WITH_TCP),
        Cell::new("echo c100 4KiB", Work::Echo, 100).bytes(4096).servers(WITH_TCP),
        Cell::new("echo c1000 64B", Work::Echo, 1000).servers(WITH_TCP),
        Cell::new("echo c1000 4KiB", Work::Echo, 1000).bytes(4096).servers(WITH_TCP),
        Cell::new("pipelined c100 64B", Work::Echo, 100).in_flight(16).servers(WITH_TCP),
        Cell { rate: 10_000, ..Cell::new("paced c1000 64B", Work::Echo, 1000).servers(WITH_TCP) },
        Cell::new("ack c100 64B", Work::Ack, 100),
        Cell::new("ack c1000 64B", Work::Ack, 1000),
        Cell::new("binary c100 1KiB", Work::Binary, 100).bytes(1024),
        Cell::new("binary c100 64KiB", Work::Binary, 100).bytes(65_536),
        Cell::new("broadcast 1000", Work::Broadcast, 1000),
        Cell::new("broadcast 5000", Work::Broadcast, 5000),
        Cell::new("rooms 1000", Work::Rooms, 1000).in_flight(100),
        Cell::new("polling 200", Work::Polling, 200).servers(WITHOUT_EIOWS),
        Cell::new("connect 5000", Work::Connect, 5000),
        Cell::new("upgrade 2000", Work::Upgrade, 2000),
        Cell::new("idle 10000", Work::Idle, 10_000.min(most)).servers(WITH_JEMALLOC),
        Cell::new("idle max", Work::Idle, most).servers(WITH_JEMALLOC),
        Cell::new("session unchanged", Work::Echo, 100).servers(SESSIONS),
        // Without sessions there is nothing to change: there it is `ack`.
        Cell::new("session changed", Work::Count, 100).bytes(1).servers(SESSIONS),
        Cell::new("workers c1000 64B", Work::Echo, 1000).servers(WORKERS),
    ]
}
