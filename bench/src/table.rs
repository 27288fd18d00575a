//! The results as Markdown.

use std::fmt::Write as _;

use crate::{
    growth::{self, Quantity},
    lines::{About, Line, Row},
    order::Work,
    statistics::{self, Spread},
};

/// The rows of one cell, by server; both in the order in which they first came.
#[derive(Debug)]
pub struct Group<'a> {
    /// The cell's name.
    pub cell: &'a str,
    /// Each server's name and rows.
    pub servers: Vec<(&'a str, Vec<&'a Row>)>,
}

impl<'a> Group<'a> {
    /// Groups some rows.
    pub fn all(rows: impl Iterator<Item = &'a Row>) -> Vec<Self> {
        let mut groups = Vec::<Self>::new();
        for row in rows {
            let known = groups.iter().position(|group| group.cell == row.cell);
            let at = known.unwrap_or_else(|| {
                groups.push(Self { cell: &row.cell, servers: Vec::new() });
                groups.len() - 1
            });
            let servers = &mut groups[at].servers;
            match servers.iter_mut().find(|(server, _)| *server == row.server) {
                Some((_, rows)) => rows.push(row),
                None => servers.push((&row.server, vec![row])),
            }
        }
        groups
    }

    /// The rows of a server.
    #[must_use]
    pub fn of(&self, server: &str) -> &[&'a Row] {
        self.servers.iter().find(|(name, _)| *name == server).map_or(&[], |(_, rows)| rows)
    }

    /// What a server costs beside the base, in the same rounds.
    #[must_use]
    pub fn ratio(&self, server: &str) -> Option<Spread> {
        let costs = |server| self.of(server).iter().map(|row| (row.round, row.cost())).collect::<Vec<_>>();
        statistics::ratio(&costs(server), &costs(self.base()))
    }

    /// The server that the others are compared with.
    #[must_use]
    pub fn base(&self) -> &'a str {
        self.servers[0].1[0].base.as_str()
    }

    fn work(&self) -> Work {
        self.servers[0].1[0].work
    }
}

/// All rows but those that show growth.
pub fn cells(lines: &[Line]) -> Vec<Group<'_>> {
    Group::all(rows(lines).filter(|row| row.growth.is_none()))
}

fn rows(lines: &[Line]) -> impl Iterator<Item = &Row> {
    lines.iter().filter_map(|line| match line {
        Line::Row(row) => Some(row),
        _ => None,
    })
}

/// The whole document, which shows the plot of the given name.
#[must_use]
pub fn document(lines: &[Line], plot: &str) -> String {
    let mut out = String::from("# Results\n\n");
    about(&mut out, lines);
    let groups = cells(lines);
    if !groups.is_empty() {
        writeln!(out, "![Server CPU for each unit of work, as a multiple of the floor]({plot})\n").ok();
        summary(&mut out, &groups);
        for group in &groups {
            cell(&mut out, group);
        }
    }
    growth_table(&mut out, lines);
    failures(&mut out, lines);
    out
}

fn about(out: &mut String, lines: &[Line]) {
    let abouts: Vec<&About> = lines
        .iter()
        .filter_map(|line| match line {
            Line::About(about) => Some(about),
            _ => None,
        })
        .collect();
    let Some(last) = abouts.last() else { return };
    let versions = distinct(
        abouts.iter().flat_map(|about| &about.versions).map(|(name, version)| format!("{name} {version}")),
    );
    writeln!(out, "Measured on {} on {}, with {}.\n", last.date, last.machine, versions.join(", ")).ok();
    let mut commands: Vec<_> = abouts.iter().map(|about| format!("    {}", about.command)).collect();
    commands.dedup();
    writeln!(out, "{}\n", commands.join("\n")).ok();
    out.push_str(
        "Costs are microseconds of the server's CPU for one unit, as the kernel counts the run time of its threads. \
         `x` is how many times that of the floor it is *in the same round*; a round runs all servers of a cell one after \
         the other. Numbers are medians of the rounds, with least and greatest in brackets. `others` is how much of a CPU \
         all else on the machine used meanwhile. Latencies are microseconds; but for the paced cells they are those of a \
         server that is kept busy, so they tell of throughput.\n\n",
    );
    let notes = distinct(abouts.iter().flat_map(|about| about.notes.iter().cloned()));
    for note in &notes {
        writeln!(out, "- {note}").ok();
    }
    if !notes.is_empty() {
        out.push('\n');
    }
}

/// What several runs have to say, each thing once.
fn distinct(said: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct = Vec::new();
    for one in said {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}

/// One line for each cell: how many times the floor each server is.
fn summary(out: &mut String, groups: &[Group<'_>]) {
    let groups: Vec<_> = groups.iter().filter(|group| group.base() == "floor").collect();
    let mut servers: Vec<&str> = Vec::new();
    for (server, _) in groups.iter().flat_map(|group| &group.servers) {
        if *server != "floor" && !servers.contains(server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        return;
    }
    head(out, &format!("cell | unit | floor, µs | {}", servers.join(" | ")), 2);
    for group in groups {
        let floor = Spread::of(group.of("floor").iter().map(|row| row.cost()).collect());
        let floor = floor.map_or_else(|| "-".into(), |floor| decimal(floor.median));
        let ratios = servers.iter().map(|server| {
            let ratio =
                group.ratio(server).map_or_else(|| "-".into(), |ratio| format!("{:.2}", ratio.median));
            if *server == "ours" { format!("**{ratio}**") } else { ratio }
        });
        let ratios: Vec<_> = ratios.collect();
        writeln!(out, "| {} | {} | {floor} | {} |", group.cell, group.work().unit(), ratios.join(" | ")).ok();
    }
    out.push('\n');
}

/// Everything about one cell.
fn cell(out: &mut String, group: &Group<'_>) {
    let (unit, idle) = (group.work().unit(), group.work() == Work::Idle);
    writeln!(out, "## {}\n", group.cell).ok();
    if idle {
        let most = group.servers.iter().flat_map(|(_, rows)| rows).map(|row| row.connections).max();
        writeln!(
            out,
            "{} connections. The last column compares with what there was after a tenth of them had come and gone: \
             code that has run once, and buffers that are kept, are none of theirs.\n",
            most.unwrap_or(0)
        )
        .ok();
    }
    let memory = " | RSS each | PSS each | RSS when all have left";
    let columns = format!(
        "server | µs/{unit} | x {} | user | system | {unit}s/s | p50 | p99 | p99.9 | others{}",
        group.base(),
        if idle { memory } else { "" }
    );
    head(out, &columns, 1);
    for (server, rows) in &group.servers {
        let median = |number: &dyn Fn(&Row) -> f64| {
            Spread::of(rows.iter().map(|row| number(row)).collect()).map_or(f64::NAN, |spread| spread.median)
        };
        let cost = Spread::of(rows.iter().map(|row| row.cost()).collect());
        let user = |row: &Row| row.measured.user * 1e6 / row.measured.units as f64;
        let mut line = [
            (*server).to_owned(),
            cost.map_or_else(|| "-".into(), |cost| spread(cost, decimal)),
            group
                .ratio(server)
                .map_or_else(|| "-".into(), |ratio| spread(ratio, |ratio| format!("{ratio:.2}"))),
            decimal(median(&user)),
            decimal(median(&|row| row.cost()) - median(&user)),
            format!("{:.0}", median(&|row| row.measured.units as f64 / row.measured.seconds)),
            format!("{:.0}", median(&|row| row.measured.p50)),
            format!("{:.0}", median(&|row| row.measured.p99)),
            format!("{:.0}", median(&|row| row.measured.p999)),
            format!("{:.0} %", 100.0 * median(&Row::others)),
        ]
        .to_vec();
        if idle {
            let each = |row: &Row| row.bytes_per_connection().unwrap_or((f64::NAN, f64::NAN));
            line.push(format!("{:.0} B", median(&|row| each(row).0)));
            line.push(format!("{:.0} B", median(&|row| each(row).1)));
            line.push(format!("+{:.0} %", 100.0 * median(&|row| row.kept().unwrap_or(f64::NAN))));
        }
        writeln!(out, "| {} |", line.join(" | ")).ok();
    }
    out.push('\n');
}

fn growth_table(out: &mut String, lines: &[Line]) {
    let axis = |row: &Row| row.growth.as_ref().map(|(axis, _)| axis.clone());
    let grown: Vec<&Row> = rows(lines).filter(|row| row.growth.is_some()).collect();
    if grown.is_empty() {
        return;
    }
    out.push_str(
        "## Growth\n\nThe cost of a unit at once, twice, four and eight times the size, and the exponent *e* of \
         cost = c · size^*e* that fits best (least squares of the logarithms, round by round): 0 is flat, 1 is as the size.\n\n",
    );
    head(out, "what grows | of a unit | server | x 1 | x 2 | x 4 | x 8 | exponent", 3);
    let mut axes: Vec<_> = grown.iter().filter_map(|row| axis(row)).collect();
    axes.dedup();
    axes.sort_unstable();
    axes.dedup();
    for name in &axes {
        for quantity in [Quantity::Cpu, Quantity::Memory] {
            let of_axis = grown.iter().copied().filter(|row| axis(row).as_ref() == Some(name));
            let of_axis: Vec<_> = of_axis.filter(|row| quantity.of(row).is_some()).collect();
            let mut servers: Vec<_> = of_axis.iter().map(|row| row.server.as_str()).collect();
            servers.sort_unstable();
            servers.dedup();
            for server in servers {
                let rows: Vec<_> = of_axis.iter().copied().filter(|row| row.server == server).collect();
                growth_line(out, name, quantity, server, &rows);
            }
        }
    }
    out.push('\n');
}

fn growth_line(out: &mut String, axis: &str, quantity: Quantity, server: &str, rows: &[&Row]) {
    let mut sizes: Vec<_> =
        rows.iter().filter_map(|row| row.growth.as_ref().map(|(_, size)| *size)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let costs = sizes.iter().map(|size| {
        let of_size = rows.iter().filter(|row| row.growth.as_ref().is_some_and(|(_, other)| other == size));
        let cost = Spread::of(of_size.filter_map(|row| quantity.of(row)).collect());
        cost.map_or_else(|| "-".into(), |cost| decimal(cost.median))
    });
    let costs: Vec<_> = costs.collect();
    let exponent = growth::exponent(rows, quantity);
    let exponent =
        exponent.map_or_else(|| "-".into(), |exponent| spread(exponent, |exponent| format!("{exponent:.2}")));
    let least = sizes.first().copied().unwrap_or(0);
    let unit = if quantity == Quantity::Cpu { "CPU, µs" } else { "memory, B" };
    writeln!(out, "| {axis} ({least} at first) | {unit} | {server} | {} | {exponent} |", costs.join(" | "))
        .ok();
}

fn failures(out: &mut String, lines: &[Line]) {
    let mut first = true;
    for line in lines {
        if let Line::Failed { cell, server, round, error } = line {
            if std::mem::take(&mut first) {
                out.push_str("## Failed\n\n");
            }
            writeln!(out, "- {cell}, {server}, round {round}: {error}").ok();
        }
    }
}

/// The head of a table; the first columns are text, the others numbers.
fn head(out: &mut String, columns: &str, text: usize) {
    let count = columns.split(" | ").count();
    writeln!(out, "| {columns} |\n|{}{}", "---|".repeat(text), "--:|".repeat(count - text)).ok();
}

fn spread(spread: Spread, show: impl Fn(f64) -> String) -> String {
    format!("{} ({}-{})", show(spread.median), show(spread.least), show(spread.greatest))
}

/// Three digits that count, or all before the point.
fn decimal(number: f64) -> String {
    let digits = match number.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{number:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Measured;

    fn row(cell: &str, server: &str, round: usize, micros: f64) -> Row {
        let measured = Measured { units: 1000, seconds: 2.0, server: micros / 1000.0, ..Measured::default() };
        let (cell, server, base) = (cell.into(), server.into(), "floor".into());
        Row {
            cell,
            server,
            round,
            work: Work::Echo,
            base,
            connections: 100,
            growth: None,
            repeated: 0,
            measured,
        }
    }

    #[test]
    fn medians_and_ratios_of_the_same_round_are_shown() {
        let lines = [
            Line::About(About { date: "2026-11-27".into(), machine: "2 x CPU".into(), ..About::default() }),
            Line::Row(row("echo", "floor", 0, 10.0)),
            Line::Row(row("echo", "ours", 0, 11.0)),
            Line::Row(row("echo", "floor", 1, 20.0)),
            Line::Row(row("echo", "ours", 1, 26.0)),
            Line::Failed { cell: "echo".into(), server: "node".into(), round: 1, error: "it fell".into() },
        ];
        let document = document(&lines, "plot.svg");
        assert!(document.contains("Measured on 2026-11-27 on 2 x CPU"), "{document}");
        assert!(document.contains("| echo | message | 15.0 | **1.20** |"), "{document}");
        assert!(
            document.contains("| ours | 18.5 (11.0-26.0) | 1.20 (1.10-1.30) | 0.00 | 18.5 | 500 |"),
            "{document}"
        );
        assert!(document.contains("- echo, node, round 1: it fell"), "{document}");
        let columns = |line: &str| line.matches('|').count();
        let tables = document.split("\n\n").filter(|block| block.starts_with('|'));
        for table in tables {
            let first = columns(table.lines().next().unwrap_or_default());
            assert!(table.lines().all(|line| columns(line) == first), "{table}");
        }
    }

    #[test]
    fn growth_is_an_exponent() {
        let sizes = [(250, 10.0), (500, 20.0), (1000, 40.0), (2000, 80.0)];
        let grown = sizes.map(|(size, micros)| {
            Line::Row(Row { growth: Some(("echo: bytes".into(), size)), ..row("growth", "ours", 0, micros) })
        });
        let whole = document(&grown, "plot.svg");
        assert!(
            whole.contains("| echo: bytes (250 at first) | CPU, µs | ours | 10.0 | 20.0 | 40.0 | 80.0 | 1.00 (1.00-1.00) |"),
            "{whole}"
        );
        // A round that was interrupted says nothing.
        assert!(document(&grown[..3], "plot.svg").contains("| 40.0 | - |"));
    }

    #[test]
    fn several_runs_say_each_thing_once() {
        let about = |version: &str, note: &str| {
            let versions = vec![("rustc".into(), "1".into()), ("ours".into(), version.into())];
            Line::About(About { versions, notes: vec![note.into()], ..About::default() })
        };
        let lines = [about("a", "node is left out"), about("b", "few CPUs"), about("b", "few CPUs")];
        let document = document(&lines, "plot.svg");
        assert!(document.contains("with rustc 1, ours a, ours b.\n"), "{document}");
        assert!(document.contains("\n- node is left out\n- few CPUs\n\n"), "{document}");
    }

    #[test]
    fn idle_connections_have_memory() {
        let measured = Measured {
            rss_start: 1e6,
            rss_settled: 1e6,
            rss_open: 3e6,
            pss_open: 2e6,
            rss_left: 1.5e6,
            units: 100,
            ..Measured::default()
        };
        let idle = Line::Row(Row { work: Work::Idle, measured, ..row("idle", "floor", 0, 1.0) });
        let document = document(&[idle], "plot.svg");
        assert!(document.contains("| 20000 B | 20000 B | +50 % |"), "{document}");
    }
}
