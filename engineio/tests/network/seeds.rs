//! Many runs, each of which a number repeats.

use std::panic::RefUnwindSafe;

/// A small generator (`SplitMix64`), so that a seed means the same everywhere.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Runs `simulate` for many seeds and adds up the counts that it returns; with `SIMULATION_SEED`, for that one alone,
/// with every step printed. Returns the number of runs and the sums.
pub(crate) fn run_seeds<const N: usize>(
    runs: u64,
    simulate: impl Fn(u64, bool) -> [u64; N] + Sync + RefUnwindSafe,
) -> Option<(u64, [u64; N])> {
    let variable = |name| std::env::var(name).ok().map(|value| value.parse().expect("a number"));
    if let Some(seed) = variable("SIMULATION_SEED") {
        simulate(seed, true);
        return None;
    }
    let runs = variable("SIMULATION_RUNS").unwrap_or(runs);
    let simulate = |seed| {
        std::panic::catch_unwind(|| simulate(seed, false))
            .unwrap_or_else(|_| panic!("seed {seed}: repeat it with SIMULATION_SEED={seed}"))
    };
    let threads = 4;
    let sums = std::thread::scope(|scope| {
        let workers = (0..threads).map(|worker| {
            scope.spawn(move || {
                let seeds = (worker..runs).step_by(threads as usize);
                seeds.map(simulate).fold([0; N], add)
            })
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().map(|worker| worker.join().expect("a run failed")).fold([0; N], add)
    });
    Some((runs, sums))
}

fn add<const N: usize>(mut sums: [u64; N], counts: [u64; N]) -> [u64; N] {
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    sums
}
