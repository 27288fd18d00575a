//! Sessions by long-polling: each has a request that waits for an event, and posts the event that comes back in it.

use std::time::{Duration, Instant};

use bench::{
    Result,
    order::{Measured, Order},
};

use crate::{
    clock::{Count, PATIENCE},
    crowd::wrong,
    http,
    reactor::{Reactor, Socket},
    text,
};

struct Session {
    poll: Socket,
    post: Socket,
    stage: Stage,
    /// The requests of this session: to poll, to post the event, and to post it behind a pong.
    polls: Vec<u8>,
    posts: [Vec<u8>; 2],
    pinged: bool,
    heard: bool,
    posted: bool,
    since: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Opening,
    Joining,
    Joined,
}

struct Polling {
    order: Order,
    event: String,
    sessions: Vec<Session>,
    joined: usize,
    count: Count,
}

pub(crate) fn run(order: &Order) -> Result<Measured> {
    let mut reactor = Reactor::new(order.address)?;
    let session = |number: usize| {
        Ok(Session {
            poll: reactor.connect(2 * number)?,
            post: reactor.connect(2 * number + 1)?,
            stage: Stage::Opening,
            polls: http::poll(order.address, ""),
            posts: [Vec::new(), Vec::new()],
            pinged: false,
            heard: false,
            posted: false,
            since: Instant::now(),
        })
    };
    let sessions = (0..order.connections).map(session).collect::<Result<_>>()?;
    let event = format!("42[\"echo\",\"{}\"]", text(order.bytes));
    let mut polling = Polling { order: order.clone(), event, sessions, joined: 0, count: Count::default() };
    let deadline = Instant::now() + PATIENCE;
    while polling.joined < order.connections {
        polling.turn(&mut reactor)?;
        if Instant::now() > deadline {
            return Err(
                format!("only {} of {} sessions have opened", polling.joined, order.connections).into()
            );
        }
    }
    Count::measure(order, &mut polling, |polling| &mut polling.count, |polling| polling.turn(&mut reactor))
}

impl Polling {
    fn turn(&mut self, reactor: &mut Reactor) -> Result<()> {
        reactor.turn(Duration::from_millis(50), |number, buffer, readable, writable| {
            let session = &mut self.sessions[number / 2];
            let polls = number % 2 == 0;
            let socket = if polls { &mut session.poll } else { &mut session.post };
            if writable && socket.on_writable()? && polls {
                socket.send(&session.polls)?;
            }
            if !readable {
                return Ok(());
            }
            let mut answer = None;
            socket.read(buffer, |_, bytes| {
                let Some((body, length)) = http::response(bytes)? else { return Ok(0) };
                answer = Some(body);
                Ok(length)
            })?;
            let Some(body) = answer else { return Ok(()) };
            let stage = session.stage;
            let heard = if polls { self.polled(number / 2, &body) } else { self.posted(number / 2, &body) };
            heard.map_err(|error| format!("session {}, {stage:?}: {error}", number / 2).into())
        })
    }

    fn posted(&mut self, number: usize, body: &[u8]) -> Result<()> {
        if body != b"ok" {
            return Err(wrong(0, body, "ok"));
        }
        let session = &mut self.sessions[number];
        if session.stage == Stage::Joining {
            return Ok(session.poll.send(&session.polls)?);
        }
        session.posted = true;
        self.count.units += u64::from(self.count.open);
        self.next(number)
    }

    fn polled(&mut self, number: usize, body: &[u8]) -> Result<()> {
        let session = &mut self.sessions[number];
        if session.stage == Stage::Opening {
            let json = std::str::from_utf8(body)?;
            let sid = json.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next());
            let (sid, address) = (format!("&sid={}", sid.ok_or("no id")?), self.order.address);
            session.polls = http::poll(address, &sid);
            let pong = format!("3\x1e{}", self.event);
            session.posts = [http::post(address, &sid, &self.event), http::post(address, &sid, &pong)];
            session.stage = Stage::Joining;
            return Ok(session.post.send(&http::post(address, &sid, "40"))?);
        }
        let mut joined = false;
        for packet in body.split(|byte| *byte == 0x1e) {
            match packet {
                b"2" => session.pinged = true,
                _ if session.stage == Stage::Joining && packet.starts_with(b"40{") => joined = true,
                _ if session.stage == Stage::Joined && packet == self.event.as_bytes() && !session.heard => {
                    session.heard = true;
                    self.count.add(session.since);
                }
                _ => return Err(wrong(0, packet, &self.event)),
            }
        }
        if joined {
            session.stage = Stage::Joined;
            (session.heard, session.posted) = (true, true);
            self.joined += 1;
        } else if !session.heard {
            // Only a ping: asked again, as any client does.
            self.count.units += u64::from(self.count.open);
            return Ok(session.poll.send(&session.polls)?);
        }
        self.next(number)
    }

    /// Polls and posts again when both are over.
    fn next(&mut self, number: usize) -> Result<()> {
        let session = &mut self.sessions[number];
        if session.heard && session.posted {
            (session.heard, session.posted) = (false, false);
            session.since = Instant::now();
            session.poll.send(&session.polls)?;
            let pinged = std::mem::take(&mut session.pinged);
            session.post.send(&session.posts[usize::from(pinged)])?;
        }
        Ok(())
    }
}
