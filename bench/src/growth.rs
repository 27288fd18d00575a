//! How the cost of a unit grows with the number of connections, rooms, or bytes. Flat is what is wanted.

use crate::{
    cells::Cell,
    lines::Row,
    order::Work,
    statistics::{self, Spread},
};

const SCALES: [usize; 4] = [1, 2, 4, 8];
const SERVERS: &[&str] = &["floor", "ours", "socketioxide", "node"];

/// What grows in a cell, and the smallest of its four sizes.
const AXES: [(&str, Work, usize); 5] = [
    ("echo: connections", Work::Echo, 250),
    ("echo: bytes", Work::Echo, 512),
    ("broadcast: connections", Work::Broadcast, 500),
    ("rooms: rooms and connections", Work::Rooms, 250),
    ("idle: connections", Work::Idle, 1250),
];

/// Each axis at once, twice, four and eight times its smallest size.
#[must_use]
pub fn cells() -> Vec<Cell> {
    let sizes = AXES.iter().flat_map(|axis| SCALES.map(|scale| (axis, axis.2 * scale)));
    let cell = |(&(axis, work, _), size): (&(&'static str, Work, usize), usize)| {
        let of_bytes = axis.ends_with("bytes");
        let mut cell = Cell::new(format!("growth {axis} {size}"), work, if of_bytes { 100 } else { size });
        (cell.servers, cell.growth) = (SERVERS, Some((axis, size)));
        if of_bytes {
            cell.bytes = size;
        }
        if work == Work::Rooms {
            // Always the same share of the rooms at once.
            cell.in_flight = size / 10;
        }
        cell
    };
    sizes.map(cell).collect()
}

/// What is followed along an axis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Quantity {
    /// Microseconds of the server's CPU for a unit.
    Cpu,
    /// Bytes of resident memory for an idle connection.
    Memory,
}

impl Quantity {
    /// Of a row, if it has it.
    #[must_use]
    pub fn of(self, row: &Row) -> Option<f64> {
        match self {
            Self::Cpu => Some(row.cost()),
            Self::Memory => row.bytes_per_connection().map(|(rss, _)| rss),
        }
    }
}

/// The exponent of each round in which all sizes were measured, for one axis and server; compared within a round, because
/// the machine is not as fast in the next.
#[must_use]
pub fn exponent(rows: &[&Row], quantity: Quantity) -> Option<Spread> {
    let size = |row: &Row| row.growth.as_ref().map(|(_, size)| *size as f64);
    let mut rounds: Vec<_> = rows.iter().map(|row| row.round).collect();
    rounds.sort_unstable();
    rounds.dedup();
    let of_round = |round: usize| {
        let of_round = rows.iter().filter(|row| row.round == round);
        let points: Vec<_> = of_round.filter_map(|row| Some((size(row)?, quantity.of(row)?))).collect();
        (points.len() >= SCALES.len()).then(|| statistics::exponent(&points)).flatten()
    };
    Spread::of(rounds.into_iter().filter_map(of_round).collect())
}
