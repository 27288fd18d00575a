//! Counts what is allocated while a load works.

use std::{fs, path::Path};

use bench::counted::load::Load;
use dhat::{HeapStats, Profiler};

/// How many blocks are allocated in so many steps, after as many for warming up. To grow a block counts as one.
pub(crate) fn blocks(load: &mut Load, steps: u32) -> u64 {
    run(load, steps);
    let _profiler = Profiler::builder().testing().build();
    run(load, steps);
    HeapStats::get().total_blocks
}

/// Runs them again, and returns where the blocks come from, in dhat's format.
pub(crate) fn profile(load: &mut Load, steps: u32) -> serde_json::Value {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("allocations.json");
    let profiler = Profiler::builder().file_name(&path).trim_backtraces(None).build();
    run(load, steps);
    drop(profiler);
    let text = fs::read(path).expect("dhat has written it");
    serde_json::from_slice(&text).expect("dhat writes JSON")
}

fn run(load: &mut Load, steps: u32) {
    for _ in 0..steps {
        load.step();
    }
}
