//! Connections are opened; and those that do nothing more are kept for a while, then closed all at once.

use std::time::{Duration, Instant};

use bench::{
    Result,
    order::{Measured, Order},
    procfs,
};

use crate::{
    clock::{PATIENCE, Window},
    crowd::{Crowd, NothingYet},
};

pub(crate) fn connect(order: &Order) -> Result<Measured> {
    let mut crowd = Crowd::new(order)?;
    open(order, &mut crowd)
}

fn open(order: &Order, crowd: &mut Crowd) -> Result<Measured> {
    let window = Window::open(order);
    crowd.join(order)?;
    Ok(window.close(crowd.handshakes.total(), &crowd.handshakes))
}

pub(crate) fn run(order: &Order) -> Result<Measured> {
    let descriptors = procfs::descriptors(order.process);
    let (rss_start, pss_start) = procfs::memory(order.process);
    let first = Order { connections: order.connections.div_ceil(10), ..order.clone() };
    let mut crowd = Crowd::new(&first)?;
    crowd.join(&first)?;
    drop(crowd);
    let rss_settled = left(order.process, descriptors)?;
    let mut crowd = Crowd::new(order)?;
    let measured = open(order, &mut crowd)?;
    let end = Instant::now() + order.window;
    while Instant::now() < end {
        crowd.turn(Duration::from_millis(50), &mut NothingYet)?;
    }
    let (rss_open, pss_open) = procfs::memory(order.process);
    drop(crowd);
    let rss_left = left(order.process, descriptors)?;
    Ok(Measured { rss_start, pss_start, rss_settled, rss_open, pss_open, rss_left, ..measured })
}

/// Memory when the server has closed all, and falls no more: allocators give it back some time after it was freed, if at
/// all.
fn left(process: u32, descriptors: usize) -> Result<f64> {
    let deadline = Instant::now() + PATIENCE;
    let (mut least, mut unchanged) = (f64::INFINITY, 0);
    while unchanged < 10 {
        std::thread::sleep(Duration::from_millis(50));
        if procfs::descriptors(process) > descriptors + 4 {
            if Instant::now() > deadline {
                return Err("the server keeps what clients have closed".into());
            }
            continue;
        }
        let (now, _) = procfs::memory(process);
        unchanged = if now < least { 0 } else { unchanged + 1 };
        least = least.min(now);
    }
    Ok(least)
}
