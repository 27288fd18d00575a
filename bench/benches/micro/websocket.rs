//! Frames taken apart: the header, the mask taken off, and text checked to be UTF-8.

use bench::counted::wire::{BINARY, TEXT, masked};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group};
use engineio::websocket::{Decoder, Limits};

const LIMITS: Limits = Limits { max_frame: 1 << 20, max_message: 1 << 20, max_fragments: 16 };

fn frames(criterion: &mut Criterion) {
    let sizes = [64, 4 << 10, 64 << 10];
    let latin = ("text", TEXT, "x");
    // Not a character is ASCII, so that no shortcut helps.
    let greek = ("text beyond ASCII", TEXT, "ξ");
    let binary = ("binary", BINARY, "x");
    for (name, opcode, character) in [latin, greek, binary] {
        let mut group = criterion.benchmark_group(format!("frame of {name}"));
        for size in sizes {
            let frame = masked(opcode, character.repeat(size / character.len()).as_bytes());
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_with_input(BenchmarkId::from_parameter(size), &frame, |bencher, frame| {
                // The mask is taken off in place: each run needs a frame of its own.
                bencher.iter_batched_ref(
                    || (Decoder::new(), frame.clone()),
                    |(decoder, frame)| decoder.decode(frame, &LIMITS).is_ok_and(|(_, event)| event.is_some()),
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

criterion_group!(benches, frames);
