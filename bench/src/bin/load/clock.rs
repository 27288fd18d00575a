//! The window in which is counted, and what it costs.

use std::time::{Duration, Instant};

use bench::{
    histogram::Histogram,
    order::{Measured, Order},
    procfs::{self, Cpu},
};

/// For what must come to an end at all; only a server that hangs takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// An open window.
pub(crate) struct Window {
    process: u32,
    helper: Option<u32>,
    busy: f64,
    own: Cpu,
    helped: f64,
    server: Cpu,
    opened: Instant,
}

impl Window {
    pub(crate) fn open(order: &Order) -> Self {
        Self {
            process: order.process,
            helper: order.helper,
            busy: procfs::machine_busy(),
            own: Cpu::of(std::process::id()),
            helped: run(order.helper),
            server: Cpu::of(order.process),
            opened: Instant::now(),
        }
    }

    pub(crate) fn close(self, units: u64, latencies: &Histogram) -> Measured {
        let seconds = self.opened.elapsed().as_secs_f64();
        let mut server = Cpu::of(self.process) - self.server;
        // The kernel adds up what a thread has run when it stops, or at the next tick: little may not be there yet.
        let deadline = Instant::now() + Duration::from_secs(1);
        while server.run <= 0.0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
            server = Cpu::of(self.process) - self.server;
        }
        let own = Cpu::of(std::process::id()) - self.own;
        let helped = run(self.helper) - self.helped;
        let busy = procfs::machine_busy() - self.busy;
        // Ticks tell the shares well, and the run time tells the sum.
        let ticks = server.user + server.system;
        Measured {
            units,
            seconds,
            server: server.run,
            user: if ticks > 0.0 { server.run * server.user / ticks } else { 0.0 },
            generator: own.run,
            others: (busy - server.run - own.run - helped).max(0.0),
            p50: latencies.quantile(0.5),
            p99: latencies.quantile(0.99),
            p999: latencies.quantile(0.999),
            ..Measured::default()
        }
    }
}

fn run(process: Option<u32>) -> f64 {
    process.map_or(0.0, |process| Cpu::of(process).run)
}

/// Counts units and latencies while a window is open.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) open: bool,
    pub(crate) units: u64,
    pub(crate) latencies: Histogram,
}

impl Count {
    /// One unit that was sent or due at a time.
    pub(crate) fn add(&mut self, since: Instant) {
        if self.open {
            self.units += 1;
            self.latencies.add(since.elapsed());
        }
    }

    /// Runs turns: a while without counting, then through the window, which is longer if nothing comes back in it, as on a
    /// machine that has other things to do.
    pub(crate) fn measure<S>(
        order: &Order,
        state: &mut S,
        count: impl Fn(&mut S) -> &mut Self,
        mut turn: impl FnMut(&mut S) -> bench::Result<()>,
    ) -> bench::Result<Measured> {
        let end = Instant::now() + order.warm_up;
        while Instant::now() < end {
            turn(state)?;
        }
        count(state).open = true;
        let window = Window::open(order);
        let end = Instant::now() + order.window;
        while Instant::now() < end || (count(state).units == 0 && Instant::now() < end + PATIENCE) {
            turn(state)?;
        }
        let count = count(state);
        Ok(window.close(count.units, &count.latencies))
    }
}
