//! Who waits when several processes write the same session.
//!
//! A write is made of what was stored when it began, so of all that are under way at once one is done and the others
//! were for nothing. Most gets done if one process at a time writes, again and again, while the others sleep: whoever
//! knew the newest state and still was too late leaves the field. Those who wake up know an old state. Their next attempt
//! brings the new one with its answer; with that they try to get a turn, and who had it before leaves in turn.

use std::time::Duration;

/// What a session has seen of writers in other processes.
#[derive(Debug, Default)]
pub(crate) struct Contention {
    /// When somebody else was faster the last time, in milliseconds of the caller's clock. The low half is enough, as
    /// only short times are measured.
    last: u32,
    /// How often that was so in spite of the newest state.
    lost: u8,
    /// Attempts after a wait that are still to be made in any case.
    free: u8,
}

impl Contention {
    /// A write was done.
    pub(crate) fn won(&mut self) {
        self.free = 0;
    }

    /// Somebody else was faster. Returns how long to wait before the next attempt, if at all.
    pub(crate) fn lost(&mut self, now: u64) -> Option<Duration> {
        let now = now as u32;
        if now.wrapping_sub(self.last) > MEMORY {
            *self = Self::default();
        }
        self.last = now;
        if self.free > 0 {
            self.free -= 1;
            return None;
        }
        self.lost = self.lost.saturating_add(1);
        // Two that met by chance do not do so again.
        if self.lost == 1 {
            return None;
        }
        self.free = ATTEMPTS - 1;
        let longest = (1 << (self.lost - 1).min(15)).min(LONGEST);
        // By lot, or those who got in each other's way would do so again.
        Some(Duration::from_micros(rand::random_range(1000..=1000 * u64::from(longest))))
    }
}

/// Milliseconds; many times what a write takes.
const LONGEST: u32 = 16;

/// Milliseconds without a conflict after which the next one is taken for chance.
const MEMORY: u32 = 8 * LONGEST;

/// After a wait: one that learns the newest state, and two that compete with whoever has the turn.
const ATTEMPTS: u8 = 3;

#[cfg(test)]
mod tests {
    use std::{cmp::Reverse, collections::BinaryHeap};

    use super::*;

    #[test]
    fn who_meets_another_by_chance_does_not_wait() {
        let mut contention = Contention::default();
        for hour in 1..4 {
            assert_eq!(contention.lost(hour * 3_600_000), None);
            contention.won();
        }
    }

    #[test]
    fn who_is_too_late_again_and_again_leaves_the_field_for_longer_and_longer() {
        let mut contention = Contention::default();
        assert_eq!(contention.lost(1), None);
        for longest in [2, 4, 8, 16, 16, 16] {
            let wait = contention.lost(1).unwrap();
            assert!(wait >= Duration::from_millis(1) && wait <= Duration::from_millis(longest), "{wait:?}");
            assert_eq!(contention.lost(1), None, "what it knew was old");
            assert_eq!(contention.lost(1), None, "it competes");
        }
        assert!(contention.lost(1).is_some());
        contention.won();
        assert!(contention.lost(1).is_some(), "it knew the newest state");
    }

    /// What comes of writers that write for four seconds without a pause.
    struct Outcome {
        attempts: usize,
        /// Of each writer.
        done: Vec<usize>,
    }

    /// Between two attempts of a writer at the store there are 50 microseconds, more or less, and what it waits.
    fn simulate(writers: usize) -> Outcome {
        let lots = || rand::random_range(35..=65);
        let mut all: Vec<_> = (0..writers).map(|_| (Contention::default(), 0)).collect();
        let mut queue: BinaryHeap<_> = (0..writers).map(|writer| Reverse((lots(), writer))).collect();
        let mut outcome = Outcome { attempts: 0, done: vec![0; writers] };
        let mut stored = 0;
        while let Some(Reverse((now, writer))) = queue.pop().filter(|Reverse((now, _))| *now < 4_000_000) {
            let (contention, seen) = &mut all[writer];
            let mut wait = None;
            outcome.attempts += 1;
            if *seen == stored {
                stored += 1;
                outcome.done[writer] += 1;
                contention.won();
            } else {
                wait = contention.lost(now / 1000);
            }
            *seen = stored;
            let wait = wait.map_or(0, |wait| u64::try_from(wait.as_micros()).unwrap());
            queue.push(Reverse((now + lots() + wait, writer)));
        }
        outcome
    }

    #[test]
    fn most_attempts_succeed_and_everybody_has_turns() {
        let Outcome { attempts, done } = simulate(10);
        let all: usize = done.iter().sum();
        assert!(all > 70_000, "as much as one writer alone, which does 80,000: {all}");
        assert!(attempts < all * 3 / 2, "{attempts} attempts for {all}");
        assert!(done.iter().all(|done| *done > all / 40), "{done:?}");
    }
}
