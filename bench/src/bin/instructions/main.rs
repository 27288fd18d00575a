//! Instructions that the server spends on each message, outside of the kernel: counted by callgrind, and compared with
//! the numbers in `bench/instructions.json`. Unlike times they are nearly the same in every run, however busy the
//! machine is, though not on every machine: that file says where its numbers are from.
//!
//! ```sh
//! cargo run --release -p bench --bin instructions                # exit code 1 if one is too high
//! cargo run --release -p bench --bin instructions -- echo ack    # only what has these names
//! cargo run --release -p bench --bin instructions -- --update    # writes the numbers found
//! ```
//!
//! Needs valgrind and takes a minute. A message is sent when the server has gone to sleep, so each pays for a whole turn
//! of the server's loop; of many at once, a message costs less.

mod callgrind;
mod numbers;

use std::{
    env, io,
    io::{Read, Write},
    process::ExitCode,
    thread,
};

use bench::counted::{
    app::{self, Flavor},
    load::Work,
};
use numbers::{Numbers, features};
use tokio::sync::oneshot;

/// What a number may grow by: an allocation more in an echo is above it, and what differs from run to run far below.
const TOLERANCE: f64 = 0.02;

struct Scenario {
    name: &'static str,
    work: Work,
    /// Steps of the short run; the long one has six times as many.
    steps: u32,
    /// What is counted, in each step.
    units: u32,
}

const fn scenario(name: &'static str, work: Work, steps: u32, units: u32) -> Scenario {
    Scenario { name, work, steps, units }
}

const SCENARIOS: &[Scenario] = &[
    scenario("echo 64 B", Work::Echo(64), 200, 1),
    scenario("echo 4 KiB", Work::Echo(4096), 200, 1),
    scenario("16 echoes at once, each", Work::Pipelined(16), 50, 16),
    scenario("ack", Work::Ack, 200, 1),
    scenario("binary 1 KiB", Work::Binary(1024), 200, 1),
    scenario("broadcast to 100, each recipient", Work::Broadcast(100), 20, 100),
    scenario("polling echo", Work::Polling, 100, 1),
    scenario("connect and leave", Work::Connect, 100, 1),
];

/// As an argument: be the server that is counted.
const SERVE: &str = "serve";
/// As an argument: say what the processor can do.
const FEATURES: &str = "features";

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

fn run() -> io::Result<ExitCode> {
    let mut arguments: Vec<_> = env::args().skip(1).collect();
    if arguments == [SERVE] {
        return serve().map(|()| ExitCode::SUCCESS);
    }
    if arguments == [FEATURES] {
        println!("{}", features());
        return Ok(ExitCode::SUCCESS);
    }
    if cfg!(debug_assertions) {
        eprintln!(
            "without optimization the numbers say nothing: cargo run --release -p bench --bin instructions"
        );
        return Ok(ExitCode::FAILURE);
    }
    let update = arguments.iter().any(|argument| argument == "--update");
    arguments.retain(|argument| argument != "--update");
    let wanted =
        |name: &str| arguments.is_empty() || arguments.iter().any(|part| name.contains(part.as_str()));
    count(wanted, update)
}

fn count(wanted: impl Fn(&str) -> bool, update: bool) -> io::Result<ExitCode> {
    let committed = Numbers::read()?;
    let mut found = Numbers::default();
    let mut worse = false;
    for scenario in SCENARIOS.iter().filter(|scenario| wanted(scenario.name)) {
        let known = committed.instructions.get(scenario.name).copied();
        let change = |each: u64| known.map(|known| each as f64 / known as f64 - 1.0);
        let mut each = measure(scenario)?;
        // One in a hundred runs is off, for reasons of its own.
        if update || change(each).is_some_and(|change| change.abs() > TOLERANCE) {
            let mut three = [each, measure(scenario)?, measure(scenario)?];
            three.sort_unstable();
            each = three[1];
        }
        let verdict = match change(each) {
            None => "not known before".to_owned(),
            Some(change) if change > TOLERANCE => format!("{:+.1} %: worse", 100.0 * change),
            Some(change) if change < -TOLERANCE => {
                format!("{:+.1} %: better, to be kept by --update", 100.0 * change)
            }
            Some(change) => format!("{:+.1} %", 100.0 * change),
        };
        worse |= change(each).is_some_and(|change| change > TOLERANCE);
        println!("{:<34}{each:>8}  {verdict}", scenario.name);
        found.instructions.insert(scenario.name.to_owned(), each);
    }
    found.look_around()?;
    for (what, was, is) in committed.differences(&found) {
        println!(
            "The numbers to compare with are from {what} {was:?}; this is {is:?}. They may differ for that."
        );
    }
    if update {
        found.write(committed)?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(if worse { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What each unit takes: the difference between two runs, so that start and end do not count.
fn measure(scenario: &Scenario) -> io::Result<u64> {
    let short = callgrind::run(scenario.work, scenario.steps)?;
    let long = callgrind::run(scenario.work, 6 * scenario.steps)?;
    let units = 5 * scenario.steps * scenario.units;
    Ok(long.saturating_sub(short) / u64::from(units))
}

/// Serves until the standard input ends.
fn serve() -> io::Result<()> {
    let (end, ended) = oneshot::channel::<()>();
    thread::spawn(move || {
        io::stdin().read_to_end(&mut Vec::new()).ok();
        drop(end);
    });
    let tell = |listener: &tokio::net::TcpListener| {
        let address = listener.local_addr().expect("it is bound");
        println!("{address}");
        io::stdout().flush().ok();
    };
    app::serve(Flavor::Plain, tell, async { drop(ended.await) })
}
