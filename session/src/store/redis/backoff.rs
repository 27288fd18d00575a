//! How long to wait before connecting once more.

use std::time::Duration;

use rand::Rng as _;

/// Waits twice as long after each failure, up to a limit; how long exactly is drawn by lot, so that the processes that
/// lost Redis at the same moment do not come back at the same moment.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure, and returns how long to wait now.
    pub(super) fn wait(&mut self) -> Duration {
        let longest = SHORTEST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures += 1;
        longest.mul_f64(rand::rng().random_range(0.5..1.0))
    }

    /// Forgets the failures.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// About what Redis takes to start.
const SHORTEST: Duration = Duration::from_millis(50);

/// So that sessions are back soon after Redis is; one attempt in two seconds is no load for anybody.
const LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_start_anew() {
        let mut backoff = Backoff::default();
        for round in 0..40_u32 {
            let wait = backoff.wait();
            let longest = (SHORTEST * 2_u32.pow(round.min(9))).min(LONGEST);
            assert!(wait >= longest / 2 && wait <= longest, "{round}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= SHORTEST);
    }
}
