//! Names the places where allocations are made.

use std::{cmp::Reverse, fmt::Write as _, path::Path};

use serde_json::Value;

/// How many frames of our own code show a place.
const FRAMES: usize = 3;
/// Where our own code is; other crates only call what they were called for.
const CRATES: [&str; 3] = ["engineio", "socketio", "session"];

/// A line for each place: allocations per step, their mean size, and who asks for them, the innermost first.
pub(crate) fn table(profile: &Value, steps: u32) -> String {
    let mut places: Vec<_> = array(&profile["pps"]).iter().collect();
    places.sort_by_key(|place| Reverse(place["tbk"].as_u64()));
    let mut table = String::new();
    for place in places {
        let number = |key: &str| place[key].as_f64().unwrap_or_default();
        let (blocks, bytes) = (number("tbk"), number("tb"));
        let frames: Vec<_> = array(&place["fs"]).iter().filter_map(|index| frame(profile, index)).collect();
        let ours = frames.iter().filter_map(|frame| of_ours(frame));
        let mut shown: Vec<_> = ours.take(FRAMES).collect();
        if shown.is_empty() {
            shown = frames.iter().map(|&frame| frame.to_owned()).collect();
        }
        let (each, size) = (blocks / f64::from(steps), bytes / blocks);
        let shown = shown.join("\n                    < ");
        writeln!(table, "{each:>8.2} of {size:>5.0} B  {shown}").expect("a string takes all");
    }
    table
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn frame<'a>(profile: &'a Value, index: &Value) -> Option<&'a str> {
    profile["ftbl"][usize::try_from(index.as_u64()?).ok()?].as_str()
}

/// `FILE:LINE function`, if it is a frame of our code. Frames are `ADDRESS: FUNCTION (FILE:LINE:COLUMN)`, where the file
/// has its last three components only, so that the name of a crate may be missing.
fn of_ours(frame: &str) -> Option<String> {
    let (_, frame) = frame.split_once(": ")?;
    let (function, place) = frame.trim_end_matches(')').rsplit_once(" (")?;
    let (file, position) = place.split_once(':')?;
    let (line, _) = position.split_once(':')?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let inner = &file[file.find("src/")?..];
    let owners = CRATES.iter().filter(|name| file == inner || file.starts_with(*name));
    let owners: Vec<_> = owners.filter(|name| root.join(name).join(inner).exists()).copied().collect();
    // Several may have a file of that name; then the function mostly says whose it is.
    let owner = match &owners[..] {
        [] => return None,
        [owner] => (*owner).to_owned(),
        several => (several.iter().find(|name| function.contains(&format!("{name}::"))))
            .map_or_else(|| several.join("|"), |&owner| owner.to_owned()),
    };
    // What it is instantiated with fills pages.
    let function = function.split_once('<').map_or(function, |(name, _)| name);
    Some(format!("{owner}/{inner}:{line} {function}"))
}
