//! The runner: builds the peers, runs every cell with every server, round by round, and writes the table and the plot.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, SystemTime},
};

use bench::{
    Result,
    cells::{self, Cell},
    growth,
    lines::{self, About, Line},
    machine::{self, Cpus},
    options::{Options, USAGE},
    peers::{self, Peers},
    plot,
    redis::Redis,
    round::Runner,
    servers::{self, Programs, Server},
    table,
};

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprint!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match options.table.as_ref().map_or_else(|| run(&options), |results| render(results)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let program = env::current_exe()?;
    let folder = program.parent().ok_or("a program is in a folder")?;
    let target = folder.parent().ok_or("cargo puts it two folders deep")?;
    build(target)?;
    let wants = |name: &str| options.wants_server(name);
    let peers = Peers::build(wants, target);
    let cpus = Cpus::allowed()?;
    let (redis, mut notes) =
        (wants("ours-redis").then(|| Redis::start(&cpus)).transpose(), peers.missing.clone());
    if let Err(error) = &redis {
        notes.push(format!("ours-redis is left out: redis-server: {error}"));
    }
    let redis = redis.ok().flatten();
    if wants("ours-jemalloc") && servers::jemalloc().is_none() {
        notes.push("ours-jemalloc is left out: there is no libjemalloc2".into());
    }
    let programs = Programs::in_folder(folder);
    let mut servers = servers::all(&programs, &peers, redis.as_ref());
    servers.retain(|server| wants(server.name));
    if servers.iter().any(|server| !cpus.are_enough_for(server.workers)) {
        notes.push(
            "There are not enough CPUs for several workers and the generator: they share all, unpinned."
                .into(),
        );
    }
    let descriptors = machine::raise_descriptors();
    let mut cells = if options.growth { growth::cells() } else { cells::all(descriptors) };
    cells.retain(|cell| options.wants_cell(&cell.name));
    if options.quick {
        cells = cells.into_iter().map(Cell::quick).collect();
        notes.push("Too small and too short to tell any cost.".into());
    }
    notes.iter().for_each(|note| eprintln!("{note}"));

    let all =
        if options.is_part() { target.join("bench") } else { Path::new(env!("CARGO_MANIFEST_DIR")).into() };
    let results = options.out.clone().unwrap_or_else(|| all.join("results.jsonl"));
    let earlier = lines::read(&results)?;
    let rounds =
        earlier.iter().filter_map(|line| if let Line::Row(row) = line { Some(row.round + 1) } else { None });
    let first = rounds.max().unwrap_or(0);
    lines::append(&results, &Line::About(about(&peers, notes)))?;
    let runner = Runner {
        load: programs.load,
        cpus,
        warm_up: options.warm_up,
        window: options.window,
        patience: Duration::from_secs(if options.quick { 0 } else { 3 }),
        repeats: if options.quick { 0 } else { 2 },
    };
    for round in first..first + options.rounds {
        for cell in &cells {
            measure(&runner, cell, &servers, round, &results)?;
        }
    }
    render(&results)
}

/// One cell with one server after the other, so that they find the machine alike.
fn measure(runner: &Runner, cell: &Cell, servers: &[Server], round: usize, results: &Path) -> Result<()> {
    let taking_part =
        cell.servers.iter().filter_map(|name| servers.iter().find(|server| server.name == *name));
    for server in taking_part {
        let line = match runner.run(cell, server, round) {
            Ok(row) => {
                let (cost, others) = (row.cost(), 100.0 * row.others());
                eprintln!(
                    "{round} {:24} {:13} {cost:10.2} us, others {others:3.0} %",
                    cell.name, server.name
                );
                Line::Row(row)
            }
            Err(error) => {
                eprintln!("{round} {:24} {:13} {error}", cell.name, server.name);
                let (cell, server) = (cell.name.clone(), server.name.to_owned());
                Line::Failed { cell, server, round, error: error.to_string() }
            }
        };
        lines::append(results, &line)?;
    }
    Ok(())
}

/// `cargo run` has built the runner alone.
fn build(target: &Path) -> Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--package", "bench", "--bins"]);
    let cargo = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target);
    if cargo.status()?.success() { Ok(()) } else { Err("our own servers cannot be built".into()) }
}

fn about(peers: &Peers, notes: Vec<String>) -> About {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut versions = Vec::new();
    let manifest = env!("CARGO_MANIFEST_DIR");
    versions.extend(
        peers::output("git", &["-C", manifest, "rev-parse", "--short", "HEAD"]).map(|at| ("ours".into(), at)),
    );
    let rustc = peers::output("rustc", &["--version"]);
    versions.extend(rustc.and_then(|text| Some(("rustc".into(), text.split(' ').nth(1)?.to_owned()))));
    versions.extend(peers.versions());
    let arguments = env::args().skip(1).fold(String::new(), |all, argument| all + " " + &argument);
    let separator = if arguments.is_empty() { "" } else { " --" };
    About {
        date: machine::date(now),
        machine: machine::name(),
        versions,
        command: format!("cargo run --release -p bench{separator}{arguments}"),
        notes,
    }
}

/// Writes the table and the plot beside the results.
fn render(results: &Path) -> Result<()> {
    let lines = lines::read(results)?;
    let beside = |name: &str| -> PathBuf { results.with_file_name(name) };
    fs::write(beside("RESULTS.md"), table::document(&lines, "results.svg"))?;
    fs::write(beside("results.svg"), plot::svg(&lines))?;
    println!("{}", beside("RESULTS.md").display());
    Ok(())
}
