//! The command line.

use std::{path::PathBuf, time::Duration};

use crate::Result;

/// What is shown if it is asked for or not understood.
pub const USAGE: &str = "\
usage: cargo run --release -p bench -- [OPTION]...

  --rounds N           how often each cell is run with each server (5)
  --window SECONDS     how long is counted (2)
  --warm-up SECONDS    how long it runs before (1)
  --only CELL,..       cells whose names begin so
  --servers NAME,..    floor, tcp, ours, ours-memory, ours-redis, ours-2, ours-jemalloc, socketioxide, node, node-eiows
  --growth             how the cost of a unit grows with connections, rooms and bytes, in place of the other cells
  --quick              few connections and short windows: shows that it works, not what it costs
  --out FILE           where results are added, with the table and the plot beside it
                       (bench/results.jsonl; a part of all goes to the target folder)
  --table FILE         only the table and the plot, from earlier results
";

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How often each cell is run.
    pub rounds: usize,
    /// With counting.
    pub window: Duration,
    /// Without counting.
    pub warm_up: Duration,
    /// How the names of cells begin; empty for all.
    pub only: Vec<String>,
    /// Names of servers; empty for all.
    pub servers: Vec<String>,
    /// Cells that show growth, and no others.
    pub growth: bool,
    /// As small as can be.
    pub quick: bool,
    /// Where results are added.
    pub out: Option<PathBuf>,
    /// Results to be shown.
    pub table: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rounds: 5,
            window: Duration::from_secs(2),
            warm_up: Duration::from_secs(1),
            only: Vec::new(),
            servers: Vec::new(),
            growth: false,
            quick: false,
            out: None,
            table: None,
        }
    }
}

impl Options {
    /// Reads arguments.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            let names = |text: String| text.split(',').map(str::to_owned).collect();
            let seconds = |text: String| Result::Ok(Duration::try_from_secs_f64(text.parse()?)?);
            match name.as_str() {
                "--rounds" => options.rounds = value()?.parse()?,
                "--window" => options.window = seconds(value()?)?,
                "--warm-up" => options.warm_up = seconds(value()?)?,
                "--only" => options.only = names(value()?),
                "--servers" => options.servers = names(value()?),
                "--growth" => options.growth = true,
                "--quick" => {
                    options.quick = true;
                    (options.rounds, options.warm_up) = (1, Duration::from_millis(50));
                    options.window = Duration::from_millis(200);
                }
                "--out" => options.out = Some(value()?.into()),
                "--table" => options.table = Some(value()?.into()),
                _ => return Err(format!("{name} is no option").into()),
            }
        }
        Ok(options)
    }

    /// Whether a cell is asked for.
    #[must_use]
    pub fn wants_cell(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|start| name.starts_with(start.as_str()))
    }

    /// Whether a server is asked for.
    #[must_use]
    pub fn wants_server(&self, name: &str) -> bool {
        self.servers.is_empty() || self.servers.iter().any(|server| server == name)
    }

    /// Whether only a part is asked for, which is not for the project's table.
    #[must_use]
    pub fn is_part(&self) -> bool {
        self.quick || !self.only.is_empty() || !self.servers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        Options::parse(text.split(' ').map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let options =
            parse("--rounds 3 --window 1.5 --only echo,idle --servers ours --growth").expect("all are known");
        assert_eq!((options.rounds, options.window, options.growth), (3, Duration::from_millis(1500), true));
        assert!(options.wants_cell("echo c100 64B") && !options.wants_cell("ack c100 64B"));
        assert!(options.wants_server("ours") && !options.wants_server("ours-2"));
        assert!(options.is_part() && !parse("--rounds 1").expect("it is known").is_part());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for wrong in ["--windows 3", "--window", "--window soon", "--window -1", "--rounds few"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
