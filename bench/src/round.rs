//! One server in one cell.

use std::{
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    cells::Cell,
    lines::Row,
    machine::Cpus,
    order::{Measured, Order},
    process::Process,
    procfs,
    servers::Server,
};

/// CPUs that others may use in a window; above, a cell is repeated.
const DISTURBED: f64 = 0.3;
/// CPUs that others use when the machine counts as quiet.
const QUIET: f64 = 0.15;

/// How cells are run.
#[derive(Clone, Debug)]
pub struct Runner {
    /// The load generator.
    pub load: PathBuf,
    /// Who runs where.
    pub cpus: Cpus,
    /// Without counting.
    pub warm_up: Duration,
    /// With counting.
    pub window: Duration,
    /// How long to wait for a quiet machine before each cell.
    pub patience: Duration,
    /// How often a cell is repeated at most, because it was disturbed.
    pub repeats: usize,
}

impl Runner {
    /// Measures, again if it was disturbed, and keeps what was disturbed least.
    pub fn run(&self, cell: &Cell, server: &Server, round: usize) -> Result<Row> {
        let mut best: Option<Row> = None;
        for repeated in 0..=self.repeats {
            self.wait_until_quiet();
            let measured = self.once(cell, server)?;
            let row = Row {
                cell: cell.name.clone(),
                server: server.name.into(),
                round,
                work: cell.work,
                base: cell.base.into(),
                connections: cell.connections,
                growth: cell.growth.map(|(axis, size)| (axis.into(), size)),
                repeated,
                measured,
            };
            if best.as_ref().is_none_or(|best| row.others() < best.others()) {
                best = Some(row);
            }
            if best.as_ref().is_some_and(|best| best.others() < DISTURBED) {
                break;
            }
        }
        best.ok_or_else(|| "it was not run".into())
    }

    fn once(&self, cell: &Cell, server: &Server) -> Result<Measured> {
        let (cpus, workers) = (&self.cpus, server.workers);
        let mut process = Process::start(&mut server.command(), cpus, cpus.of_server(workers))?;
        let order = Order {
            work: server.work(cell.work),
            wire: server.wire,
            address: process.address,
            process: process.id(),
            helper: server.helper,
            connections: cell.connections,
            bytes: cell.bytes,
            in_flight: cell.in_flight,
            rate: cell.rate,
            warm_up: self.warm_up,
            window: self.window,
        };
        let mut load = Command::new(&self.load);
        load.arg(serde_json::to_string(&order)?);
        let output = cpus.pinned(cpus.of_generator(workers), || load.output())??;
        if !output.status.success() {
            let ended = if process.has_ended()? { "; the server has ended" } else { "" };
            return Err(format!("{}{ended}", String::from_utf8_lossy(&output.stderr).trim()).into());
        }
        let measured: Measured = serde_json::from_slice(&output.stdout)?;
        // A server that does not answer any more is quick and cheap.
        match measured {
            Measured { units: 0, .. } => Err("nothing has come back".into()),
            Measured { server, .. } if server <= 0.0 => {
                Err("the window was too short to see the server run".into())
            }
            _ => Ok(measured),
        }
    }

    fn wait_until_quiet(&self) {
        let deadline = Instant::now() + self.patience;
        while Instant::now() < deadline {
            let (busy, start) = (procfs::machine_busy(), Instant::now());
            thread::sleep(Duration::from_millis(200));
            if (procfs::machine_busy() - busy) / start.elapsed().as_secs_f64() < QUIET {
                return;
            }
        }
    }
}
