//! HTTP by hand: of the headers only the length and the key of a WebSocket are looked at.

use std::{cell::RefCell, io, rc::Rc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    hub::{Hub, Session},
    packet::{self, Action},
};

type Upgraded = (TcpStream, Option<Rc<Session>>);

/// Serves polls and posts, and returns the connection when it has become a WebSocket.
pub(crate) async fn serve(mut stream: TcpStream, hub: &RefCell<Hub>) -> io::Result<Option<Upgraded>> {
    // Kept small: a connection that becomes a WebSocket needs neither any more, one that polls lets them grow once.
    let (mut buffer, mut out) = (Vec::with_capacity(512), Vec::new());
    loop {
        let Some((head, end)) = request(&mut stream, &mut buffer).await? else { return Ok(None) };
        let line = &buffer[..find(&buffer, b"\r\n").unwrap_or(head)];
        let sid = find(line, b"&sid=").and_then(|at| line[at + 5..].split(|byte| *byte == b' ').next());
        let session = sid.and_then(|sid| hub.borrow().sessions.get(sid).cloned());
        if let Some(key) = key(&buffer[..head]) {
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\n\r\n",
                accept(key)
            );
            stream.write_all(answer.as_bytes()).await?;
            return Ok(Some((stream, session)));
        }
        let body = match session {
            None => open(&mut hub.borrow_mut()),
            Some(session) if line.starts_with(b"POST") => {
                post(&session, &buffer[head..end]);
                b"ok".to_vec()
            }
            Some(session) => {
                while session.queue.borrow().is_empty() {
                    session.wake.notified().await;
                }
                session.queue.take()
            }
        };
        buffer.drain(..end);
        out.clear();
        out.extend_from_slice(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nCache-Control: no-store\r\nContent-Length: ",
        );
        out.extend_from_slice(body.len().to_string().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&body);
        stream.write_all(&out).await?;
    }
}

/// Reads until a request is whole, and returns where its head and its body end.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<(usize, usize)>> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            let digits =
                find(&buffer[..end], b"Content-Length: ").map_or(&[][..], |at| &buffer[at + 16..end]);
            let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
            let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
            if buffer.len() >= end + 4 + length {
                return Ok(Some((end + 4, end + 4 + length)));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn open(hub: &mut Hub) -> Vec<u8> {
    let sid = format!("sid{:017}", hub.sessions.len());
    hub.sessions.insert(sid.clone().into_bytes(), Rc::default());
    packet::OPEN.replace("SID", &sid).into_bytes()
}

fn post(session: &Session, body: &[u8]) {
    for packet in body.split(|byte| *byte == 0x1e) {
        match packet::action(packet) {
            Action::Reply(reply) => session.push(&reply),
            Action::Nothing => {}
            _ => session.push(packet),
        }
    }
}

fn key(head: &[u8]) -> Option<&[u8]> {
    let at = find(head, b"Sec-WebSocket-Key: ")? + 19;
    head.get(at..at + 24)
}

fn accept(key: &[u8]) -> String {
    STANDARD
        .encode(Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize())
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
