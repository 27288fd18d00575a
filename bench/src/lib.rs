//! What our servers cost, beside a hand-written minimum and their peers.
//!
//! The binary `bench` is the runner. For each [cell](cells) it starts each [server](servers) anew, lets the binary `load`
//! drive it, and keeps what was [measured](order::Measured) as a line of JSON, from which the [table] and the
//! [plot] are made. What keeps them from costing more is [counted], not timed. How to run it and how to read it is in `bench/README.md`.

pub mod cells;
pub mod counted;
pub mod growth;
pub mod histogram;
pub mod lines;
pub mod machine;
pub mod options;
pub mod order;
pub mod peers;
pub mod plot;
pub mod process;
pub mod procfs;
pub mod redis;
pub mod round;
pub mod servers;
pub mod statistics;
pub mod table;

/// Nothing here recovers from an error: it is shown, and the cell is left out.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
