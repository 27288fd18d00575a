//! Sessions that open by polling and go on by WebSocket, as the official client does: it joins, polls, probes on a second
//! connection, waits for the poll to be released, upgrades, and is there when an event has come back.

use std::time::{Duration, Instant};

use bench::{
    Result,
    histogram::Histogram,
    order::{Measured, Order},
};

use crate::{
    clock::{PATIENCE, Window},
    crowd::{AT_ONCE, wrong},
    frame, http,
    reactor::{Reactor, Socket},
    text,
};

struct Client {
    poll: Option<Socket>,
    websocket: Option<Socket>,
    stage: Stage,
    sid: String,
    probed: bool,
    released: bool,
    since: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Opening,
    Posting,
    Joining,
    Upgrading,
    Probing,
    Echoing,
    Upgraded,
}

struct Upgrade {
    order: Order,
    event: String,
    clients: Vec<Client>,
    upgraded: Histogram,
}

pub(crate) fn run(order: &Order) -> Result<Measured> {
    let mut reactor = Reactor::new(order.address)?;
    let event = format!("42[\"echo\",\"{}\"]", text(order.bytes));
    let mut upgrade =
        Upgrade { order: order.clone(), event, clients: Vec::new(), upgraded: Histogram::default() };
    let window = Window::open(order);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let upgraded = usize::try_from(upgrade.upgraded.total())?;
        if upgraded == order.connections {
            return Ok(window.close(upgrade.upgraded.total(), &upgrade.upgraded));
        }
        while upgrade.clients.len() < order.connections.min(upgraded + AT_ONCE) {
            upgrade.clients.push(Client {
                poll: Some(reactor.connect(2 * upgrade.clients.len())?),
                websocket: None,
                stage: Stage::Opening,
                sid: String::new(),
                probed: false,
                released: false,
                since: Instant::now(),
            });
        }
        // Connections that are wanted wait until the reactor is free.
        let mut wanted = Vec::new();
        reactor.turn(Duration::from_millis(50), |number, buffer, readable, writable| {
            let client = &mut upgrade.clients[number / 2];
            let stage = client.stage;
            let done = match number % 2 {
                0 => client.on_poll(&upgrade.order, buffer, readable, writable),
                _ => client.on_websocket(&upgrade.order, &upgrade.event, buffer, readable, writable),
            };
            let done = done.and_then(|()| client.upgrade_if_ready(&upgrade.event));
            done.map_err(|error| format!("client {}, {stage:?}: {error}", number / 2))?;
            match client.stage {
                now if now == stage => {}
                Stage::Upgrading => wanted.push(number / 2),
                Stage::Upgraded => upgrade.upgraded.add(client.since.elapsed()),
                _ => {}
            }
            Ok(())
        })?;
        for number in wanted {
            upgrade.clients[number].websocket = Some(reactor.connect(2 * number + 1)?);
        }
        if Instant::now() > deadline {
            return Err(format!("only {upgraded} of {} have upgraded", order.connections).into());
        }
    }
}

impl Client {
    fn on_poll(&mut self, order: &Order, buffer: &mut [u8], readable: bool, writable: bool) -> Result<()> {
        // What comes behind the last answer, such as the end of the connection, is no concern of the client's.
        let Some(mut socket) = self.poll.take() else { return Ok(()) };
        if writable && socket.on_writable()? {
            socket.send(&http::poll(order.address, ""))?;
        }
        let mut answer = None;
        if readable {
            socket.read(buffer, |_, bytes| {
                let Some((body, length)) = http::response(bytes)? else { return Ok(0) };
                answer = Some(body);
                Ok(length)
            })?;
        }
        if let Some(body) = answer {
            match (self.stage, &body[..]) {
                (Stage::Opening, [b'0', b'{', ..]) => {
                    let json = std::str::from_utf8(&body)?;
                    let sid = json.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next());
                    self.sid = format!("&sid={}", sid.ok_or("no id")?);
                    socket.send(&http::post(order.address, &self.sid, "40"))?;
                    self.stage = Stage::Posting;
                }
                (Stage::Posting, b"ok") => {
                    socket.send(&http::poll(order.address, &self.sid))?;
                    self.stage = Stage::Joining;
                }
                // Some servers ping at once; a pong has time until the WebSocket is there.
                (Stage::Joining, _)
                    if body.split(|byte| *byte == 0x1e).any(|packet| packet.starts_with(b"40{")) =>
                {
                    socket.send(&http::poll(order.address, &self.sid))?;
                    self.stage = Stage::Upgrading;
                }
                (Stage::Joining | Stage::Upgrading | Stage::Probing, b"2") => {
                    socket.send(&http::poll(order.address, &self.sid))?;
                }
                (Stage::Upgrading | Stage::Probing, b"6") => {
                    self.released = true;
                    return Ok(());
                }
                _ => return Err(wrong(0, &body, "another answer")),
            }
        }
        self.poll = Some(socket);
        Ok(())
    }

    fn on_websocket(
        &mut self,
        order: &Order,
        event: &str,
        buffer: &mut [u8],
        readable: bool,
        writable: bool,
    ) -> Result<()> {
        let Some(mut socket) = self.websocket.take() else { return Ok(()) };
        if writable && socket.on_writable()? {
            socket.send(&http::upgrade(order.address, &self.sid))?;
        }
        if readable {
            socket.read(buffer, |socket, bytes| {
                let mut used = 0;
                if self.stage == Stage::Upgrading {
                    let Some(head) = http::upgraded(bytes)? else { return Ok(0) };
                    used = head;
                    socket.send(&frame::text("2probe"))?;
                    self.stage = Stage::Probing;
                }
                while let Some(frame) = frame::decode(&bytes[used..])? {
                    used += frame.length;
                    match (self.stage, frame.opcode, frame.payload) {
                        (Stage::Probing, frame::TEXT, b"3probe") => self.probed = true,
                        (_, frame::TEXT, b"2") => socket.send(&frame::text("3"))?,
                        (Stage::Echoing, frame::TEXT, payload) if payload == event.as_bytes() => {
                            self.stage = Stage::Upgraded;
                        }
                        (_, opcode, payload) => return Err(wrong(opcode, payload, "another message")),
                    }
                }
                Ok(used)
            })?;
        }
        self.websocket = Some(socket);
        Ok(())
    }

    fn upgrade_if_ready(&mut self, event: &str) -> Result<()> {
        if let Some(socket) = &mut self.websocket
            && self.stage == Stage::Probing
            && self.probed
            && self.released
        {
            socket.send(&[frame::text("5"), frame::text(event)].concat())?;
            self.stage = Stage::Echoing;
        }
        Ok(())
    }
}
