//! One client speaks, and all hear it.

use std::time::{Duration, Instant};

use bench::{
    Result,
    order::{Measured, Order},
};

use crate::{
    clock::Count,
    crowd::{Crowd, Handler, wrong},
    frame, text,
};

struct Broadcast {
    event: Vec<u8>,
    since: Instant,
    /// Broadcasts that each client has heard.
    heard: Vec<u64>,
    sent: u64,
    /// Clients that have not heard the last one.
    missing: usize,
    count: Count,
}

impl Handler for Broadcast {
    fn message(&mut self, client: usize, opcode: u8, payload: &[u8]) -> Result<()> {
        if opcode != frame::TEXT || payload != self.event {
            return Err(wrong(opcode, payload, &String::from_utf8_lossy(&self.event)));
        }
        self.heard[client] += 1;
        if self.heard[client] != self.sent {
            return Err("a broadcast has come twice".into());
        }
        self.missing -= 1;
        self.count.add(self.since);
        Ok(())
    }
}

pub(crate) fn run(order: &Order) -> Result<Measured> {
    let mut crowd = Crowd::new(order)?;
    crowd.join(order)?;
    let event = format!("42[\"bcast\",\"{}\"]", text(order.bytes));
    let request = frame::text(&event);
    let mut broadcast = Broadcast {
        event: event.into_bytes(),
        since: Instant::now(),
        heard: vec![0; order.connections],
        sent: 0,
        missing: 0,
        count: Count::default(),
    };
    Count::measure(
        order,
        &mut broadcast,
        |broadcast| &mut broadcast.count,
        |broadcast| {
            if broadcast.missing == 0 {
                broadcast.missing = order.connections;
                broadcast.sent += 1;
                broadcast.since = Instant::now();
                crowd.socket(0).send(&request)?;
            }
            crowd.turn(Duration::from_millis(50), broadcast)
        },
    )
}
