//! The results file: a line of JSON for each run of the benchmark, and one for each measured or failed cell.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    order::{Measured, Work},
};

/// One line.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// How the following were measured.
    About(About),
    /// A server in a cell in a round.
    Row(Row),
    /// One that did not come to an end, and why.
    Failed {
        /// The cell's name.
        cell: String,
        /// The server's name.
        server: String,
        /// The round.
        round: usize,
        /// What was wrong.
        error: String,
    },
}

/// Where and how it was measured.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct About {
    /// The day.
    pub date: String,
    /// CPUs and kernel.
    pub machine: String,
    /// Name and version of what took part.
    pub versions: Vec<(String, String)>,
    /// What was called.
    pub command: String,
    /// What a reader has to know, such as what was left out.
    pub notes: Vec<String>,
}

/// One server in one cell in one round.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Row {
    /// The cell's name.
    pub cell: String,
    /// The server's name.
    pub server: String,
    /// The round.
    pub round: usize,
    /// What the clients did.
    pub work: Work,
    /// The server that the others are compared with.
    pub base: String,
    /// Connections, or sessions.
    pub connections: usize,
    /// What grows, and how large it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth: Option<(String, usize)>,
    /// How often it was repeated, because others used the machine.
    pub repeated: usize,
    /// What was found.
    pub measured: Measured,
}

impl Row {
    /// Microseconds of the server's CPU for a unit.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.measured.server * 1e6 / self.measured.units as f64
    }

    /// CPUs that others used in the window.
    #[must_use]
    pub fn others(&self) -> f64 {
        self.measured.others / self.measured.seconds
    }

    /// Resident memory and its proportional share for a connection, where they were idle.
    #[must_use]
    pub fn bytes_per_connection(&self) -> Option<(f64, f64)> {
        let (measured, connections) = (&self.measured, self.connections as f64);
        (self.work == Work::Idle).then(|| {
            let (rss, pss) = (measured.rss_open - measured.rss_start, measured.pss_open - measured.pss_start);
            (rss / connections, pss / connections)
        })
    }

    /// How much more memory it has when all have left than when the first had, as a share.
    #[must_use]
    pub fn kept(&self) -> Option<f64> {
        (self.work == Work::Idle).then(|| self.measured.rss_left / self.measured.rss_settled - 1.0)
    }
}

/// All lines of a file; none if there is no file.
pub fn read(file: &Path) -> Result<Vec<Line>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file)?;
    let line = |(number, line)| {
        serde_json::from_str(line)
            .map_err(|error| format!("{}:{}: {error}", file.display(), number + 1).into())
    };
    text.lines().enumerate().map(line).collect()
}

/// Adds a line, so that what was measured is kept if the rest is interrupted.
pub fn append(file: &Path, line: &Line) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let text = format!("{}\n", serde_json::to_string(line)?);
    Ok(OpenOptions::new().create(true).append(true).open(file)?.write_all(text.as_bytes())?)
}
