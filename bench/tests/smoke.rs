//! Every cell once, as small as can be, with our server and the floor: that the generator, the servers and the results
//! agree. What anything costs is not tested.

use std::{path::PathBuf, time::Duration};

use bench::{
    cells::{self, Cell},
    growth,
    lines::{self, About, Line},
    machine::Cpus,
    order::{Wire, Work},
    peers::Peers,
    plot,
    redis::Redis,
    round::Runner,
    servers::{self, Programs, Server},
    table,
};

fn programs() -> Programs {
    Programs {
        load: env!("CARGO_BIN_EXE_load").into(),
        server: env!("CARGO_BIN_EXE_server").into(),
        floor: env!("CARGO_BIN_EXE_floor").into(),
    }
}

fn runner() -> Runner {
    Runner {
        load: programs().load,
        cpus: Cpus::allowed().expect("the system tells"),
        warm_up: Duration::from_millis(20),
        window: Duration::from_millis(80),
        patience: Duration::ZERO,
        repeats: 0,
    }
}

/// Runs cells with those servers that take part, and checks what must be true of any server.
fn run(cells: &[Cell], servers: &[Server]) -> Vec<Line> {
    let mut lines = vec![Line::About(About { date: "today".into(), ..About::default() })];
    for cell in cells {
        let taking_part = servers.iter().filter(|server| cell.servers.contains(&server.name));
        for server in taking_part {
            let row = runner()
                .run(cell, server, 0)
                .unwrap_or_else(|error| panic!("{}, {}: {error}", cell.name, server.name));
            let measured = &row.measured;
            let (name, server) = (&cell.name, server.name);
            assert!(measured.units > 0 && measured.seconds > 0.0, "{name}, {server}: {measured:?}");
            assert!(measured.server > 0.0, "{name}, {server}: no CPU time: {measured:?}");
            assert!(measured.p50 > 0.0 && measured.p50 <= measured.p999, "{name}, {server}: {measured:?}");
            if matches!(cell.work, Work::Connect | Work::Idle | Work::Upgrade) {
                assert_eq!(usize::try_from(measured.units).ok(), Some(cell.connections), "{name}, {server}");
            }
            if cell.work == Work::Idle {
                assert!(
                    measured.rss_start > 0.0 && measured.rss_left > 0.0,
                    "{name}, {server}: {measured:?}"
                );
            }
            lines.push(Line::Row(row));
        }
    }
    lines
}

fn named(servers: Vec<Server>, names: &[&str]) -> Vec<Server> {
    servers.into_iter().filter(|server| names.contains(&server.name)).collect()
}

#[test]
fn every_cell_runs_with_ours_and_the_floor() {
    let servers = servers::all(&programs(), &Peers::default(), None);
    let servers = named(servers, &["floor", "tcp", "ours", "ours-memory", "ours-2"]);
    assert_eq!(servers.len(), 5);
    let cells: Vec<_> = cells::all(1000).into_iter().map(Cell::quick).collect();
    let measured = run(&cells, &servers);

    let folder = Folder::new("every-cell");
    let file = folder.0.join("results.jsonl");
    measured.iter().for_each(|line| lines::append(&file, line).expect("it can be written"));
    let read = lines::read(&file).expect("it is in order");
    assert_eq!(read.len(), measured.len());
    let document = table::document(&read, "results.svg");
    for cell in &cells {
        assert!(document.contains(&format!("## {}\n", cell.name)), "{} is not in the table", cell.name);
    }
    let svg = plot::svg(&read);
    assert_eq!(
        svg.matches("<title>ours: ").count(),
        cells.iter().filter(|cell| cell.base == "floor").count()
    );
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn growth_has_an_exponent_on_every_axis() {
    let servers = named(servers::all(&programs(), &Peers::default(), None), &["ours"]);
    // The largest of each axis would take long; what they show is their size.
    let small = |cell: Cell| Cell { connections: cell.connections.min(20), ..cell };
    let cells: Vec<_> = growth::cells().into_iter().map(small).collect();
    let document = table::document(&run(&cells, &servers), "results.svg");
    let exponents = document.lines().filter(|line| line.contains(" | ours | ") && !line.ends_with("| - |"));
    // Idle connections have two: of CPU and of memory.
    assert_eq!(exponents.count(), 6, "{document}");
}

#[test]
fn sessions_are_kept_in_redis() {
    let cpus = Cpus::allowed().expect("the system tells");
    let Ok(redis) = Redis::start(&cpus) else {
        println!("left out: no redis-server");
        return;
    };
    let servers = named(servers::all(&programs(), &Peers::default(), Some(&redis)), &["ours-redis"]);
    let cells: Vec<_> =
        cells::all(1000).into_iter().filter(|cell| cell.name.starts_with("session")).collect();
    let lines = run(&cells.into_iter().map(Cell::quick).collect::<Vec<_>>(), &servers);
    assert_eq!(lines.len(), 3);
}

#[test]
fn what_speaks_another_protocol_is_not_measured() {
    let servers = servers::all(&programs(), &Peers::default(), None);
    let mut tcp = named(servers, &["tcp"]).remove(0);
    tcp.wire = Wire::SocketIo;
    for (work, error) in
        [(Work::Echo, "no WebSocket: GET"), (Work::Polling, "refused: GET"), (Work::Upgrade, "refused")]
    {
        let found = runner().run(&Cell::new("wrong", work, 1), &tcp, 0).expect_err("it must not pass");
        assert!(found.to_string().contains(error), "{found}");
    }
}

/// Away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("it can be made");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
