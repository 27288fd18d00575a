//! Rooms of ten, as many as connections, each connection in ten of them: members leave, join, and tell the room.
//!
//! Each room goes through two steps again and again. In the first a member leaves and tells the room, which the other nine
//! hear; in the second it joins and tells the room, which all ten hear. Members take turns.

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

const MEMBERS: usize = 10;

struct Rooms {
    rooms: Vec<Room>,
    /// Rooms whose step is over.
    ready: Vec<usize>,
    count: Count,
}

struct Room {
    /// What is said when one has left, and when it has joined again.
    said: [Vec<u8>; 2],
    /// The member whose turn it is.
    actor: usize,
    joining: bool,
    /// Members who have not heard it yet, and the acknowledgement, a bit each.
    missing: u16,
    since: Instant,
}

const ACK: u16 = 1 << MEMBERS;
const ALL: u16 = ACK - 1;

fn name(room: usize) -> String {
    format!("room-{room:06}")
}

impl Rooms {
    fn client(&self, room: usize, member: usize) -> usize {
        (room + member) % self.rooms.len()
    }

    /// Which member of a room a client is.
    fn member(&self, room: usize, client: usize) -> usize {
        (client + self.rooms.len() - room) % self.rooms.len()
    }

    /// Starts a step, and returns who is to send what.
    fn step(&mut self, number: usize) -> (usize, Vec<u8>) {
        let room = &mut self.rooms[number];
        if room.joining {
            room.actor = (room.actor + 1) % MEMBERS;
        }
        room.joining = !room.joining;
        room.missing = ACK | if room.joining { ALL } else { ALL & !(1 << room.actor) };
        room.since = Instant::now();
        let (name, action) = (name(number), if room.joining { "join" } else { "leave" });
        let mut request = frame::text(&format!("42{number}[\"{action}\",\"{name}\"]"));
        let said = String::from_utf8_lossy(&room.said[usize::from(room.joining)]).replacen(
            "[\"room\"",
            &format!("[\"room\",\"{name}\""),
            1,
        );
        request.extend(frame::text(&said));
        let actor = room.actor;
        (self.client(number, actor), request)
    }

    /// Takes a bit away that must be there.
    fn heard(&mut self, number: usize, bit: u16) -> Result<()> {
        let room = &mut self.rooms[number];
        if room.missing & bit == 0 {
            return Err(format!("room {number}: heard twice, or by one who is not in it").into());
        }
        room.missing &= !bit;
        if room.missing == 0 {
            self.ready.push(number);
        }
        Ok(())
    }
}

impl Handler for Rooms {
    fn message(&mut self, client: usize, _: u8, payload: &[u8]) -> Result<()> {
        let fault = || wrong(frame::TEXT, payload, "what was said in a room, or an acknowledgement");
        let text = std::str::from_utf8(payload).map_err(|_| fault())?;
        if let Some(ack) = text.strip_prefix("43") {
            let (number, rest) = ack.split_once('[').ok_or_else(fault)?;
            let number: usize = number.parse().map_err(|_| fault())?;
            let room = self.rooms.get(number).ok_or_else(fault)?;
            if self.member(number, client) != room.actor || rest.trim_matches(['"', ']']) != name(number) {
                return Err(fault());
            }
            return self.heard(number, ACK);
        }
        let number = text.strip_prefix("42[\"room\",\"room-").and_then(|rest| rest.get(..6)?.parse().ok());
        let number: usize = number.ok_or_else(fault)?;
        let room = self.rooms.get(number).ok_or_else(fault)?;
        let (member, since) = (self.member(number, client), room.since);
        if member >= MEMBERS || payload != room.said[usize::from(room.joining)] {
            return Err(fault());
        }
        self.count.add(since);
        self.heard(number, 1 << member)
    }
}

pub(crate) fn run(order: &Order) -> Result<Measured> {
    if order.connections < MEMBERS {
        return Err("fewer clients than a room has members".into());
    }
    let mut crowd = Crowd::new(order)?;
    crowd.join(order)?;
    let text = text(order.bytes);
    let said = |room: usize, step| format!("42[\"room\",\"{} {step} {text}\"]", name(room)).into_bytes();
    let room = |room| Room {
        said: [said(room, "left"), said(room, "came")],
        actor: 0,
        joining: true,
        missing: 0,
        since: Instant::now(),
    };
    let mut rooms = Rooms {
        rooms: (0..order.connections).map(room).collect(),
        ready: Vec::new(),
        count: Count::default(),
    };
    join_all(&mut crowd, &mut rooms)?;
    // Rooms that wait for their turn; those that are over go to the end, so that all take part.
    let mut waiting: std::collections::VecDeque<_> = (0..rooms.rooms.len()).collect();
    let mut free = order.in_flight.min(waiting.len());
    Count::measure(
        order,
        &mut rooms,
        |rooms| &mut rooms.count,
        |rooms| {
            for number in waiting.drain(..free).collect::<Vec<_>>() {
                let (client, request) = rooms.step(number);
                crowd.socket(client).send(&request)?;
            }
            crowd.turn(Duration::from_millis(50), rooms)?;
            free = rooms.ready.len();
            waiting.extend(rooms.ready.drain(..));
            Ok(())
        },
    )
}

/// Every client joins its rooms, one room at a time for each.
fn join_all(crowd: &mut Crowd, rooms: &mut Rooms) -> Result<()> {
    for member in 0..MEMBERS {
        for number in 0..rooms.rooms.len() {
            let room = &mut rooms.rooms[number];
            (room.actor, room.missing) = (member, ACK);
            let client = rooms.client(number, member);
            crowd.socket(client).send(&frame::text(&format!("42{number}[\"join\",\"{}\"]", name(number))))?;
        }
        let deadline = Instant::now() + crate::clock::PATIENCE;
        while rooms.ready.len() < rooms.rooms.len() {
            crowd.turn(Duration::from_millis(50), rooms)?;
            if Instant::now() > deadline {
                return Err("rooms cannot be joined".into());
            }
        }
        rooms.ready.clear();
    }
    Ok(())
}
