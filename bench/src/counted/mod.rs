//! What the counters of this crate share: a server and fixed work for it, exact to the last byte and system call.
//!
//! ```text
//! tests/allocations   server in a thread      ┐
//! tests/page_faults   the same                ├─ load::Load, step by step ─ client::Client ─ TCP ─ app
//! bin/instructions    server under valgrind   ┘
//! ```
//!
//! Between two steps the server sleeps: so every step costs it the same, however busy the machine is.

pub mod app;
pub mod client;
pub mod load;
pub mod peer;
pub mod wire;
