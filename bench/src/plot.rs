//! The summary as a picture: a line for each cell, a dot for each server, on a logarithmic axis of multiples of the floor.

use std::fmt::Write as _;

use crate::{lines::Line, statistics::Spread, table};

/// Colours that those who see few of them can tell apart (Okabe and Ito).
const COLOURS: [(&str, &str); 5] = [
    ("tcp", "#999999"),
    ("ours", "#d55e00"),
    ("socketioxide", "#0072b2"),
    ("node-eiows", "#56b4e9"),
    ("node", "#009e73"),
];

const LEFT: f64 = 170.0;
const WIDTH: f64 = 900.0;
const TOP: f64 = 84.0;
const ROW: f64 = 24.0;

/// The picture as SVG; its lines are those of the table's first part.
#[must_use]
pub fn svg(lines: &[Line]) -> String {
    let groups: Vec<_> = table::cells(lines).into_iter().filter(|group| group.base() == "floor").collect();
    // A logarithm of nothing is no place on the axis.
    let ratio =
        |group: &table::Group<'_>, server: &str| group.ratio(server).filter(|ratio| ratio.least > 0.0);
    let ratios =
        groups.iter().flat_map(|group| COLOURS.iter().filter_map(|(server, _)| ratio(group, server)));
    let ratios: Vec<Spread> = ratios.collect();
    let least = ratios.iter().map(|ratio| ratio.least).fold(0.9, f64::min).log2();
    let greatest = ratios.iter().map(|ratio| ratio.greatest).fold(2.0, f64::max).log2();
    let x = |ratio: f64| LEFT + (ratio.log2() - least) / (greatest - least) * (WIDTH - LEFT - 30.0);
    let bottom = TOP + ROW * groups.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" \
         font-size=\"13\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"bold\">Server CPU for each unit of work, as a multiple of \
         the floor (less is better)</text>\n",
        bottom + 40.0
    );
    let takes_part = |server: &str| groups.iter().any(|group| ratio(group, server).is_some());
    legend(&mut out, takes_part);
    let mut tick = least.ceil().exp2();
    while tick.log2() <= greatest {
        let (at, colour) = (x(tick), if tick == 1.0 { "#555" } else { "#ddd" });
        writeln!(out, r#"<path d="M{at:.1} {TOP}V{bottom}" stroke="{colour}"/>"#).ok();
        writeln!(out, r#"<text x="{at:.1}" y="{}" text-anchor="middle">{tick}×</text>"#, bottom + 20.0).ok();
        tick *= 2.0;
    }
    for (nth, group) in groups.iter().enumerate() {
        let y = TOP + ROW * (nth as f64 + 0.5);
        writeln!(out, r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#, LEFT - 12.0, y + 4.0, group.cell)
            .ok();
        let shown =
            COLOURS.iter().filter_map(|(server, colour)| Some((ratio(group, server)?, *server, *colour)));
        for (Spread { median, least, greatest }, server, colour) in shown {
            writeln!(
                out,
                r#"<path d="M{:.1} {y}H{:.1}" stroke="{colour}" stroke-width="3" opacity="0.35"/>"#,
                x(least),
                x(greatest)
            )
            .ok();
            let radius = if server == "ours" { 6 } else { 4 };
            writeln!(
                out,
                r#"<circle cx="{:.1}" cy="{y}" r="{radius}" fill="{colour}"><title>{server}: {median:.2} ({least:.2}-{greatest:.2})</title></circle>"#,
                x(median)
            )
            .ok();
        }
    }
    out.push_str("</svg>\n");
    out
}

fn legend(out: &mut String, takes_part: impl Fn(&str) -> bool) {
    let servers = COLOURS.iter().filter(|(server, _)| takes_part(server));
    for (nth, (server, colour)) in servers.enumerate() {
        let x = LEFT + 130.0 * nth as f64;
        writeln!(
            out,
            r#"<circle cx="{x}" cy="54" r="5" fill="{colour}"/><text x="{}" y="58">{server}</text>"#,
            x + 10.0
        )
        .ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lines::Row,
        order::{Measured, Work},
    };

    fn row(server: &str, seconds: f64) -> Line {
        let measured = Measured { units: 1000, seconds: 1.0, server: seconds, ..Measured::default() };
        let (cell, server, base) = ("echo".into(), server.into(), "floor".into());
        let (round, connections, repeated, growth) = (0, 100, 0, None);
        Line::Row(Row {
            cell,
            server,
            round,
            work: Work::Echo,
            base,
            connections,
            growth,
            repeated,
            measured,
        })
    }

    #[test]
    fn twice_the_floor_is_at_two() {
        let svg = svg(&[row("floor", 0.01), row("ours", 0.02)]);
        let between =
            |start: &str, end: &str| svg.split(start).nth(1).and_then(|rest| rest.split(end).next());
        let tick = svg
            .split("<text x=\"")
            .find(|text| text.contains(">2×<"))
            .and_then(|text| text.split('"').next());
        assert_eq!(between("stroke-width=\"3\" opacity=\"0.35\"/>\n<circle cx=\"", "\""), tick, "{svg}");
        assert!(svg.contains("<title>ours: 2.00 (2.00-2.00)</title>"), "{svg}");
    }

    #[test]
    fn what_costs_nothing_or_is_missing_has_no_place() {
        let free = svg(&[row("floor", 0.01), row("ours", 0.0)]);
        assert!(!free.contains("<title>") && !free.contains("inf") && !free.contains("NaN"), "{free}");
        assert!(svg(&[]).ends_with("</svg>\n"));
    }
}
