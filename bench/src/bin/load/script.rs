//! What a client sends and hears, encoded before it is needed.

use bench::order::{Order, Work};

use crate::{
    frame::{self, BINARY, TEXT},
    text,
};

type Message = (u8, Vec<u8>);

/// Requests in a fixed number of slots, which take turns.
pub(crate) struct Script {
    slots: usize,
    /// The requests of all slots, twice over, so that those of any slots in a row are one slice.
    requests: Vec<u8>,
    /// Where each begins.
    starts: Vec<usize>,
    /// What answers each.
    answers: Vec<Vec<Message>>,
}

impl Script {
    pub(crate) fn new(order: &Order) -> Self {
        let slots = order.in_flight.max(1);
        let text = text(order.bytes);
        let data: Vec<u8> = (0..order.bytes).map(|at| (at * 7) as u8).collect();
        let mut script = Self { slots, requests: Vec::new(), starts: vec![0], answers: Vec::new() };
        for nth in 0..2 * slots {
            let slot = nth % slots;
            let of_text = |text: String| vec![(TEXT, text.into_bytes())];
            let (request, answer) = match order.work {
                Work::Ack => (
                    of_text(format!("42{slot}[\"ack\",\"{text}\"]")),
                    of_text(format!("43{slot}[\"{text}\"]")),
                ),
                // The number is put in when it is known.
                Work::Count => (of_text(format!("42{slot}[\"count\",null]")), of_text(format!("43{slot}["))),
                Work::Binary => {
                    let head = r#"451-["bin",{"_placeholder":true,"num":0}]"#;
                    let both = vec![(TEXT, head.into()), (BINARY, data.clone())];
                    (both.clone(), both)
                }
                _ => {
                    let echo = of_text(format!("42[\"echo\",\"{text}\"]"));
                    (echo.clone(), echo)
                }
            };
            for (opcode, payload) in &request {
                frame::encode(&mut script.requests, *opcode, payload);
            }
            script.starts.push(script.requests.len());
            script.answers.push(answer);
        }
        script
    }

    /// The requests of some slots in a row, at most of all.
    pub(crate) fn requests(&self, slot: usize, count: usize) -> &[u8] {
        &self.requests[self.starts[slot]..self.starts[slot + count]]
    }

    /// What answers a request.
    pub(crate) fn answer(&self, slot: usize) -> &[Message] {
        &self.answers[slot]
    }

    pub(crate) fn after(&self, slot: usize, count: usize) -> usize {
        (slot + count) % self.slots
    }
}
