//! CPU time and memory of processes, as Linux tells them.

use std::{fs, ops::Sub};

/// CPU time in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// Run time of the living threads, which the kernel counts in nanoseconds.
    pub run: f64,
    /// Time in user space, in ticks.
    pub user: f64,
    /// Time in the kernel, in ticks.
    pub system: f64,
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            run: self.run - earlier.run,
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }
}

impl Cpu {
    /// What a process has used.
    #[must_use]
    pub fn of(process: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // Behind the name, which may hold spaces, come the third and later fields; user and system time are 14 and 15.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let mut ticks =
            fields.split(' ').skip(11).map(|field| field.parse().unwrap_or(0.0) / ticks_per_second());
        let (user, system) = (ticks.next().unwrap_or(0.0), ticks.next().unwrap_or(0.0));
        let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        let nanos = tasks.map(|task| {
            let times = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            times.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0)
        });
        Self { run: nanos.sum::<f64>() / 1e9, user, system }
    }
}

/// What all CPUs have done in seconds, and what the host of a virtual machine took away.
#[must_use]
pub fn machine_busy() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    // user nice system idle iowait irq softirq steal
    let ticks = stat.lines().next().unwrap_or("").split_whitespace().skip(1).take(8).enumerate();
    let busy =
        ticks.filter(|(field, _)| !matches!(field, 3 | 4)).map(|(_, ticks)| ticks.parse().unwrap_or(0.0));
    busy.sum::<f64>() / ticks_per_second()
}

/// Resident memory and proportional share of a process, in bytes.
#[must_use]
pub fn memory(process: u32) -> (f64, f64) {
    let kilobytes = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    (kilobytes("status", "VmRSS:") * 1024.0, kilobytes("smaps_rollup", "Pss:") * 1024.0)
}

/// How many descriptors a process has open.
#[must_use]
pub fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}
