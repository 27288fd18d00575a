//! Each event is answered by one on the same connection: `echo`, `ack`, `bin`, `count`.

use std::{
    collections::VecDeque,
    io::Write,
    time::{Duration, Instant},
};

use bench::{
    Result,
    order::{Measured, Order, Work},
};

use crate::{
    clock::Count,
    crowd::{Crowd, Handler, wrong},
    reactor::Socket,
    script::Script,
};

struct Echo {
    script: Script,
    lanes: Vec<Lane>,
    /// Whether an answer brings the next request.
    closed: bool,
    /// Whether answers hold how many there have been.
    counting: bool,
    count: Count,
}

/// One connection.
#[derive(Default)]
struct Lane {
    /// The slot to send next.
    next: usize,
    /// The slot that is to be answered next.
    due: usize,
    /// Messages of that answer that have come; on bare TCP, bytes.
    part: usize,
    answered: u64,
    /// Answers since the last read, each of which brings a request.
    credit: usize,
    /// When what is in flight was sent, or due.
    since: VecDeque<Instant>,
}

impl Echo {
    fn new(order: &Order) -> Self {
        Self {
            script: Script::new(order),
            lanes: (0..order.connections).map(|_| Lane::default()).collect(),
            closed: order.rate == 0,
            counting: order.work == Work::Count,
            count: Count::default(),
        }
    }

    fn send(&mut self, client: usize, requests: usize, since: Instant, socket: &mut Socket) -> Result<()> {
        let lane = &mut self.lanes[client];
        socket.send(self.script.requests(lane.next, requests))?;
        lane.next = self.script.after(lane.next, requests);
        lane.since.extend(std::iter::repeat_n(since, requests));
        Ok(())
    }

    fn answered(&mut self, client: usize) -> Result<()> {
        let lane = &mut self.lanes[client];
        lane.due = self.script.after(lane.due, 1);
        lane.part = 0;
        lane.answered += 1;
        lane.credit += 1;
        self.count.add(lane.since.pop_front().ok_or("an answer to nothing")?);
        Ok(())
    }

    /// On bare TCP what was sent comes back, in any pieces.
    fn bytes(&mut self, client: usize, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let lane = &mut self.lanes[client];
            let due = &self.script.requests(lane.due, 1)[lane.part..];
            let (piece, rest) = bytes.split_at(bytes.len().min(due.len()));
            if piece != &due[..piece.len()] {
                return Err(wrong(0, piece, "what was sent"));
            }
            lane.part += piece.len();
            if piece.len() == due.len() {
                self.answered(client)?;
            }
            bytes = rest;
        }
        Ok(())
    }
}

impl Handler for Echo {
    fn message(&mut self, client: usize, opcode: u8, payload: &[u8]) -> Result<()> {
        if opcode == 0 {
            return self.bytes(client, payload);
        }
        let lane = &mut self.lanes[client];
        let answer = self.script.answer(lane.due);
        let (due_opcode, due) = &answer[lane.part];
        let mut counted = Vec::new();
        if self.counting {
            counted.extend_from_slice(due);
            write!(counted, "{}]", lane.answered + 1)?;
        }
        let due = if self.counting { &counted } else { due };
        if opcode != *due_opcode || payload != due {
            return Err(wrong(opcode, payload, &String::from_utf8_lossy(due)));
        }
        lane.part += 1;
        if lane.part == answer.len() { self.answered(client) } else { Ok(()) }
    }

    fn after_read(&mut self, client: usize, socket: &mut Socket) -> Result<()> {
        let credit = std::mem::take(&mut self.lanes[client].credit);
        if self.closed && credit > 0 { self.send(client, credit, Instant::now(), socket) } else { Ok(()) }
    }
}

pub(crate) fn run(order: &Order) -> Result<Measured> {
    let mut crowd = Crowd::new(order)?;
    crowd.join(order)?;
    let mut echo = Echo::new(order);
    if echo.closed {
        for client in 0..order.connections {
            echo.send(client, order.in_flight, Instant::now(), crowd.socket(client))?;
        }
        return Count::measure(
            order,
            &mut echo,
            |echo| &mut echo.count,
            |echo| crowd.turn(Duration::from_millis(50), echo),
        );
    }
    let (start, mut sent) = (Instant::now(), 0u64);
    Count::measure(
        order,
        &mut echo,
        |echo| &mut echo.count,
        |echo| {
            // An event that is late because an earlier one has held it up counts as late, not as sent later.
            while let due = start + Duration::from_secs_f64(sent as f64 / order.rate as f64)
                && due <= Instant::now()
            {
                let client = sent as usize % order.connections;
                echo.send(client, 1, due, crowd.socket(client))?;
                sent += 1;
            }
            // Not a wait: timers of epoll are a millisecond coarse, and that would be most of the latency.
            crowd.turn(Duration::ZERO, echo)
        },
    )
}

#[cfg(test)]
mod tests {
    use bench::order::Wire;

    use super::*;
    use crate::frame::{BINARY, TEXT};

    /// A client that has sent two requests of three bytes.
    fn asked(work: Work, wire: Wire) -> Echo {
        let mut echo = Echo::new(&Order {
            work,
            wire,
            address: ([127, 0, 0, 1], 1).into(),
            process: 0,
            helper: None,
            connections: 1,
            bytes: 3,
            in_flight: 2,
            rate: 0,
            warm_up: Duration::ZERO,
            window: Duration::ZERO,
        });
        echo.lanes[0].since.extend([Instant::now(), Instant::now()]);
        echo.count.open = true;
        echo
    }

    /// What it hears.
    fn hear(work: Work, messages: &[(u8, &[u8])]) -> Result<u64> {
        let mut echo = asked(work, Wire::SocketIo);
        messages.iter().try_for_each(|(opcode, payload)| echo.message(0, *opcode, payload))?;
        Ok(echo.count.units)
    }

    #[test]
    fn only_the_answer_that_is_due_counts() {
        let echo = br#"42["echo","abc"]"#.as_slice();
        assert_eq!(hear(Work::Echo, &[(TEXT, echo), (TEXT, echo)]).ok(), Some(2));
        assert!(hear(Work::Echo, &[(TEXT, br#"42["echo","abd"]"#)]).is_err());
        assert!(hear(Work::Echo, &[(BINARY, echo)]).is_err());
        assert!(hear(Work::Echo, &[(TEXT, echo), (TEXT, echo), (TEXT, echo)]).is_err());

        let [first, second] = [br#"430["abc"]"#.as_slice(), br#"431["abc"]"#];
        assert_eq!(hear(Work::Ack, &[(TEXT, first), (TEXT, second)]).ok(), Some(2));
        assert!(hear(Work::Ack, &[(TEXT, second)]).is_err());

        assert_eq!(hear(Work::Count, &[(TEXT, b"430[1]"), (TEXT, b"431[2]")]).ok(), Some(2));
        assert!(hear(Work::Count, &[(TEXT, b"430[1]"), (TEXT, b"431[1]")]).is_err());

        let head = br#"451-["bin",{"_placeholder":true,"num":0}]"#.as_slice();
        assert_eq!(hear(Work::Binary, &[(TEXT, head), (BINARY, &[0, 7, 14])]).ok(), Some(1));
        assert_eq!(hear(Work::Binary, &[(TEXT, head)]).ok(), Some(0));
        assert!(hear(Work::Binary, &[(TEXT, head), (BINARY, &[0, 7, 15])]).is_err());
    }

    #[test]
    fn bare_bytes_come_back_in_any_pieces() {
        let mut echo = asked(Work::Echo, Wire::Tcp);
        let sent = echo.script.requests(0, 2).to_vec();
        for piece in sent.chunks(5) {
            echo.message(0, 0, piece).expect("that was sent");
        }
        assert_eq!(echo.count.units, 2);
        assert!(echo.message(0, 0, b"?").is_err());
    }
}
