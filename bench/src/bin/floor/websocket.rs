//! Frames are unmasked where they lie, and all answers to one read leave in one write.

use std::{
    cell::{Cell, RefCell},
    io::{self, ErrorKind},
    rc::Rc,
};

use tokio::net::TcpStream;

use crate::{
    hub::{Hub, Peer, Session},
    packet::{self, Action},
};

const TEXT: u8 = 1;
const BINARY: u8 = 2;

struct Scratch {
    received: Vec<u8>,
    out: Vec<u8>,
}

thread_local! {
    /// Shared by all connections: each is done with it before another runs.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// With a session the connection is its upgrade, which needs no second handshake.
pub(crate) async fn serve(
    stream: TcpStream,
    session: Option<Rc<Session>>,
    hub: &RefCell<Hub>,
) -> io::Result<()> {
    let peer = Peer::new(stream);
    hub.borrow_mut().add(&peer);
    if session.is_none() {
        let mut open = Vec::new();
        frame(&mut open, TEXT, packet::OPEN.replace("SID", "aaaaaaaaaaaaaaaaaaaa").as_bytes());
        peer.send(&open);
    }
    let result = run(&peer, session, hub).await;
    hub.borrow_mut().remove(&peer);
    result
}

async fn run(peer: &Rc<Peer>, session: Option<Rc<Session>>, hub: &RefCell<Hub>) -> io::Result<()> {
    let mut kept = Vec::new();
    loop {
        if peer.unsent.borrow().is_empty() {
            tokio::select! {
                biased;
                readable = peer.stream.readable() => readable?,
                () = peer.wake.notified() => continue,
            }
        } else {
            tokio::select! {
                readable = peer.stream.readable() => readable?,
                _ = peer.stream.writable() => {
                    peer.flush();
                    continue;
                }
            }
        }
        let mut scratch = SCRATCH
            .take()
            .unwrap_or_else(|| Box::new(Scratch { received: vec![0; 64 * 1024], out: Vec::new() }));
        let Scratch { received, out } = &mut *scratch;
        out.clear();
        let count = match peer.stream.try_read(received) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                SCRATCH.set(Some(scratch));
                continue;
            }
            Err(error) => return Err(error),
        };
        let used = if kept.is_empty() {
            frames(&mut received[..count], out, peer, hub)
                .inspect(|used| kept.extend_from_slice(&received[*used..count]))
        } else {
            kept.extend_from_slice(&received[..count]);
            frames(&mut kept, out, peer, hub).inspect(|used| drop(kept.drain(..*used)))
        };
        if used.is_none() {
            return Ok(());
        }
        // The probe is answered, and the poll that waits meanwhile is released.
        if let Some(session) = &session
            && out.ends_with(b"3probe")
        {
            session.push(b"6");
        }
        if !out.is_empty() {
            peer.send(out);
        }
        SCRATCH.set(Some(scratch));
    }
}

/// Answers the frames that are whole, and returns how long they are; `None` to close.
fn frames(bytes: &mut [u8], out: &mut Vec<u8>, peer: &Rc<Peer>, hub: &RefCell<Hub>) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &mut bytes[at..];
        let Some((head, length)) = head(rest) else { return Some(at) };
        let Some(rest) = rest.get_mut(..head + 4 + length) else { return Some(at) };
        if rest[1] & 0x80 == 0 {
            return None;
        }
        let opcode = rest[0] & 0x0f;
        let (mask, payload) = rest[head..].split_at_mut(4);
        unmask(payload, [mask[0], mask[1], mask[2], mask[3]]);
        match opcode {
            TEXT => {
                std::str::from_utf8(payload).ok()?;
                answer(payload, out, peer, hub);
            }
            BINARY => frame(out, BINARY, payload),
            _ => return None,
        }
        at += head + 4 + length;
    }
}

fn answer(payload: &[u8], out: &mut Vec<u8>, peer: &Rc<Peer>, hub: &RefCell<Hub>) {
    match packet::action(payload) {
        Action::Echo => frame(out, TEXT, payload),
        Action::Reply(reply) => frame(out, TEXT, &reply),
        Action::Broadcast => tell(&hub.borrow().peers, payload),
        Action::Join(room, reply) => {
            hub.borrow_mut().join(room, peer);
            frame(out, TEXT, &reply);
        }
        Action::Leave(room, reply) => {
            hub.borrow_mut().leave(room, peer);
            frame(out, TEXT, &reply);
        }
        Action::Room(room, event) => tell(hub.borrow().rooms.get(room).map_or(&[], Vec::as_slice), &event),
        Action::Nothing => {}
    }
}

/// One frame, written to each.
fn tell(peers: &[Rc<Peer>], payload: &[u8]) {
    let mut shared = Vec::with_capacity(payload.len() + 10);
    frame(&mut shared, TEXT, payload);
    for peer in peers {
        peer.send(&shared);
    }
}

/// The length of a frame's head without the mask, and of its payload.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let length = bytes.get(1)? & 0x7f;
    match length {
        126 => Some((4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)))),
        127 => Some((10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize)),
        length => Some((2, usize::from(length))),
    }
}

/// Eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

fn frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}
