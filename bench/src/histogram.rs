//! Latencies, counted in 64 steps for each power of two: a quantile is at most 1.6 % too low.

use std::time::Duration;

const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;

/// Counts durations; constant in memory, and cheap enough to count every message.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * (65 - STEP_BITS as usize)], total: 0, longest: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[step_of(nanos)] += 1;
        self.total += 1;
        self.longest = self.longest.max(nanos);
    }

    /// How many have been counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The duration that a share of all do not exceed, in microseconds; 0 if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let step = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        step.map_or(self.longest, |step| start_of(step).min(self.longest)) as f64 / 1000.0
    }
}

fn step_of(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(STEP_BITS + 1);
    ((shift as usize) << STEP_BITS) + (nanos >> shift) as usize
}

fn start_of(step: usize) -> u64 {
    let shift = (step >> STEP_BITS).saturating_sub(1);
    ((step - (shift << STEP_BITS)) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let mut histogram = Histogram::default();
        for micros in 1..=100_000 {
            histogram.add(Duration::from_micros(micros));
        }
        for share in [0.5, 0.99, 0.999] {
            let exact = 100_000.0 * share;
            let error = (histogram.quantile(share) - exact) / exact;
            assert!((-0.016..=0.0).contains(&error), "{share}: off by {error}");
        }
        assert_eq!(histogram.total(), 100_000);
    }

    #[test]
    fn steps_touch() {
        let mut last = 0;
        for nanos in (0..=4096).chain((13..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let step = step_of(nanos);
            assert!(step == last || step == last + 1 || nanos > 4096, "{nanos} is in {step} after {last}");
            assert!(start_of(step) <= nanos && nanos < start_of(step + 1), "{nanos} is not in {step}");
            last = step;
        }
        assert!(step_of(u64::MAX) < Histogram::default().counts.len());
    }

    #[test]
    fn nothing_has_no_latency() {
        assert_eq!(Histogram::default().quantile(0.5), 0.0);
    }
}
