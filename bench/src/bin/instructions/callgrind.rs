//! A server under callgrind, with the client outside.

use std::{
    env, fs, io,
    io::{BufRead, BufReader},
    process::{Command, Stdio, id},
};

use bench::counted::{
    load::{Load, Work},
    peer::Peer,
};

/// Runs a server for so many steps, and counts its instructions from its start to its end.
///
/// # Errors
///
/// Valgrind is missing, or fails.
pub(crate) fn run(work: Work, steps: u32) -> io::Result<u64> {
    let counts = env::temp_dir().join(format!("instructions-{}.callgrind", id()));
    let mut server = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(env::current_exe()?)
        .arg(super::SERVE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other("valgrind is missing: apt-get install valgrind"),
            _ => error,
        })?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut line)?;
    let address =
        line.trim().parse().map_err(|_| io::Error::other("the server under valgrind does not start"))?;

    let thread = format!("{0}/task/{0}", server.id());
    let mut load = Load::start(Peer::new(address, &thread), work);
    for _ in 0..steps {
        load.step();
    }
    drop(load);

    drop(server.stdin.take());
    let status = server.wait()?;
    let text = fs::read_to_string(&counts)?;
    fs::remove_file(&counts)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    match total {
        Some(instructions) if status.success() => Ok(instructions),
        _ => Err(io::Error::other(format!("the server under valgrind: {status}"))),
    }
}
