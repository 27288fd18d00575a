//! The machine: its CPUs, limits and name.

use std::fs;

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// Who runs where.
#[derive(Clone, Debug)]
pub struct Cpus {
    allowed: Vec<usize>,
}

impl Cpus {
    /// Those that this process may use.
    pub fn allowed() -> crate::Result<Self> {
        let set = sched_getaffinity(None)?;
        Ok(Self { allowed: (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect() })
    }

    /// The first; with less than two nobody is pinned.
    #[must_use]
    pub fn of_server(&self, workers: usize) -> &[usize] {
        match self.allowed.len() {
            0 | 1 => &self.allowed,
            // Several workers and the generator on two CPUs find their places by themselves better.
            count if workers >= count => &self.allowed,
            _ => &self.allowed[..workers],
        }
    }

    /// The one behind the server's.
    #[must_use]
    pub fn of_generator(&self, workers: usize) -> &[usize] {
        match self.allowed.len() {
            0 | 1 => &self.allowed,
            count => &self.allowed[workers.min(count - 1)..][..1],
        }
    }

    /// Whether that many workers have CPUs of their own.
    #[must_use]
    pub fn are_enough_for(&self, workers: usize) -> bool {
        self.allowed.len() > workers
    }

    /// Runs what starts a process: it inherits the CPUs of the thread that starts it, so that nothing of it ever runs
    /// elsewhere.
    pub fn pinned<T>(&self, cpus: &[usize], start: impl FnOnce() -> T) -> crate::Result<T> {
        let set = |cpus: &[usize]| {
            let mut set = CpuSet::new();
            cpus.iter().for_each(|&cpu| set.set(cpu));
            sched_setaffinity(None, &set)
        };
        set(cpus)?;
        let started = start();
        set(&self.allowed)?;
        Ok(started)
    }
}

/// Raises the limit of open files to what the system allows, for this process and all that it starts.
#[must_use]
pub fn raise_descriptors() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Model and number of CPUs, and the kernel.
#[must_use]
pub fn name() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = cpus.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let models: Vec<_> = models.map(|(_, model)| model).collect();
    let system = rustix::system::uname();
    let (kernel, release) = (system.sysname().to_string_lossy(), system.release().to_string_lossy());
    format!("{} x {}, {kernel} {release}", models.len(), models.first().unwrap_or(&"unknown CPU"))
}

/// Seconds since 1970 as a day.
#[must_use]
pub fn date(seconds: u64) -> String {
    // Civil from days, for the era that we live in: years begin in March, so that the leap day is their last.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    format!("{}-{month:02}-{day:02}", era * 400 + year + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_164_800, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (1_798_761_599, "2026-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds), day);
        }
    }

    #[test]
    fn the_generator_is_not_on_the_servers_cpu() {
        let two = Cpus { allowed: vec![2, 5] };
        assert_eq!((two.of_server(1), two.of_generator(1)), (&[2][..], &[5][..]));
        assert_eq!((two.of_server(2), two.are_enough_for(2)), (&[2, 5][..], false));
        let four = Cpus { allowed: vec![0, 1, 2, 3] };
        assert_eq!((four.of_server(2), four.of_generator(2)), (&[0, 1][..], &[2][..]));
    }
}
