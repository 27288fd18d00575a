//! Allocations of a real server on a real TCP socket, counted for each message and compared with the numbers below:
//! a guard against regressions that no clock takes part in, so that it says the same on any machine, however busy.
//!
//! A number that is no longer right is a failure in either direction: one that is better is to be written down, or
//! what was gained could be lost unseen. A failure says where the allocations of its case are made. For those of cases
//! that do not fail, name some: `ALLOCATIONS_OF=echo cargo test -p bench --test allocations -- --nocapture`.
//!
//! All is counted in one process: the client, which is blocking and on a thread of its own, allocates nothing while
//! it works. Only Linux tells a thread when another one sleeps.
#![cfg(target_os = "linux")]

mod count;
mod sites;

use std::{env, fs};

use bench::counted::{
    app::{self, Flavor},
    load::{Load, Work},
    peer::Peer,
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Less than one allocation for every batch of sixteen messages, and more than what a table that grows adds.
const TOLERANCE: f64 = 0.04;

struct Case {
    name: &'static str,
    work: Work,
    /// Steps to be counted; there are as many before that, which fill buffers and tables.
    steps: u32,
    allocations_per_step: f64,
}

const fn case(name: &'static str, work: Work, steps: u32, allocations_per_step: f64) -> Case {
    Case { name, work, steps, allocations_per_step }
}

/// Of the two of an echo, one is the `String` that the handler takes, and one the future that it is. An acknowledgement has
/// a text of its own besides, and a place where it waits for what surrounds the handler.
const PLAIN: &[Case] = &[
    case("echo 64 B", Work::Echo(64), 100, 1.0),
    case("echo 4 KiB", Work::Echo(4096), 100, 1.0),
    case("16 echoes at once", Work::Pipelined(16), 100, 16.0),
    case("ack", Work::Ack, 100, 3.0),
    // The attachment is copied from the frame, for the handler and for the way back.
    case("binary 1 KiB", Work::Binary(1024), 100, 7.0),
    // What is to be answered waits in a place of its own.
    case("WebSocket ping", Work::Ping, 100, 1.0),
    case("event without handler, and a ping", Work::Unhandled, 100, 1.0),
    // Among them the list of those who receive it.
    case("broadcast to 100", Work::Broadcast(100), 50, 4.0),
    case("broadcast to 1,000", Work::Broadcast(1000), 25, 4.0),
    case("room of 100", Work::Room(100), 50, 6.0),
    // So many as the date in a response is made anew with every second, by two allocations.
    case("polling echo", Work::Polling, 400, 10.0),
    // So many as there is a table of connections for each of 32 shards, and each has to be met once.
    case("connect and leave", Work::Connect, 400, 27.0),
];

const OTHERS: &[(Flavor, Case)] = &[
    (Flavor::Sessions, case("echo 64 B in a session", Work::Echo(64), 100, 1.0)),
    (Flavor::Heartbeats, case("heartbeat", Work::Heartbeat, 50, 0.0)),
];

/// What each recipient may add to a broadcast, whatever the numbers above say: nothing.
const PER_RECIPIENT: f64 = 0.0;

/// Returns the allocations per step, and adds to `wrong` if they are not as they should be.
fn count(peer: Peer, case: &Case, wrong: &mut Vec<String>) -> f64 {
    let mut load = Load::start(peer, case.work);
    let each = count::blocks(&mut load, case.steps) as f64 / f64::from(case.steps);
    println!("{:<40}{each:>8.2}", case.name);
    let change = each - case.allocations_per_step;
    // An optimizing compiler leaves some out.
    let differs = change > TOLERANCE || (cfg!(debug_assertions) && change < -TOLERANCE);
    if differs || env::var("ALLOCATIONS_OF").is_ok_and(|name| case.name.contains(&name)) {
        let sites = sites::table(&count::profile(&mut load, case.steps), case.steps);
        println!("{sites}");
        if differs {
            wrong.push(format!("{}: {each:.2} instead of {}\n{sites}", case.name, case.allocations_per_step));
        }
    }
    each
}

/// Whether this process may have so many sockets; the server's are its own, too.
fn can_have(sockets: usize) -> bool {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let limit = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(usize::MAX);
    2 * sockets + 200 <= limit
}

#[test]
fn nothing_allocates_more_than_it_did() {
    let plain = PLAIN.iter().map(|case| (Flavor::Plain, case));
    let others = OTHERS.iter().map(|(flavor, case)| (*flavor, case));
    let (mut wrong, mut broadcasts) = (Vec::new(), Vec::new());
    for (flavor, case) in plain.chain(others) {
        if let Work::Broadcast(recipients) = case.work {
            if can_have(recipients) {
                let each = app::serve_while(flavor, |peer| count(peer, case, &mut wrong));
                broadcasts.push((recipients as f64, each));
            } else {
                println!("{:<40}left out: `ulimit -n` does not allow it", case.name);
            }
        } else {
            app::serve_while(flavor, |peer| count(peer, case, &mut wrong));
        }
    }
    if let [(few, by_few), (many, by_many)] = broadcasts[..] {
        let each = (by_many - by_few) / (many - few);
        println!("{:<40}{each:>8.4}", "each recipient of a broadcast");
        if each > PER_RECIPIENT {
            wrong.push(format!("each recipient of a broadcast: {each:.4}, more than {PER_RECIPIENT}"));
        }
    }
    assert!(wrong.is_empty(), "allocations per step have changed:\n{}", wrong.join("\n"));
}
