//! The load generator. Its argument is an [order](bench::order::Order) in JSON, and it answers with a line of JSON.
//!
//! One thread, one epoll, frames encoded before they are needed and one buffer to receive into, with one `recv` and one
//! `send` for each event, so that it costs less than the servers that it measures. Every answer is compared byte for byte
//! with the one that is due, and the first that differs ends it.

mod broadcast;
mod clock;
mod crowd;
mod echo;
mod frame;
mod http;
mod idle;
mod polling;
mod reactor;
mod rooms;
mod script;
mod upgrade;

use std::process::ExitCode;

use bench::{
    Result,
    order::{Measured, Order, Work},
};

fn main() -> ExitCode {
    let measured =
        std::env::args().nth(1).ok_or_else(|| "an order is needed".into()).and_then(|order| run(&order));
    match measured.and_then(|measured| Ok(serde_json::to_string(&measured)?)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(order: &str) -> Result<Measured> {
    let order: Order = serde_json::from_str(order)?;
    match order.work {
        Work::Echo | Work::Ack | Work::Binary | Work::Count => echo::run(&order),
        Work::Broadcast => broadcast::run(&order),
        Work::Rooms => rooms::run(&order),
        Work::Polling => polling::run(&order),
        Work::Connect => idle::connect(&order),
        Work::Idle => idle::run(&order),
        Work::Upgrade => upgrade::run(&order),
    }
}

/// Text of a length, the same each time.
fn text(length: usize) -> String {
    ('a'..='z').chain('0'..='9').cycle().take(length).collect()
}
