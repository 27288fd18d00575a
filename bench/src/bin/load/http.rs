//! HTTP/1.1 as far as servers of Socket.IO use it.

use std::net::SocketAddr;

use bench::Result;

/// Asks for a WebSocket; `sid` is empty or `&sid=` with an id.
pub(crate) fn upgrade(server: SocketAddr, sid: &str) -> Vec<u8> {
    format!(
        "GET /socket.io/?EIO=4&transport=websocket{sid} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// The answer to the key above, of RFC 6455.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The length of the head that accepts a WebSocket; `None` until it is whole.
pub(crate) fn upgraded(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = head(bytes) else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes[..head]);
    match text.starts_with("HTTP/1.1 101 ") && text.contains(ACCEPT) {
        true => Ok(Some(head)),
        false => Err(format!("no WebSocket: {text}").into()),
    }
}

pub(crate) fn poll(server: SocketAddr, sid: &str) -> Vec<u8> {
    format!("GET /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: {server}\r\nAccept: */*\r\n\r\n")
        .into_bytes()
}

pub(crate) fn post(server: SocketAddr, sid: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: {server}\r\nAccept: */*\r\n\
         Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The body of a response with status 200, and the length of both; `None` until it is whole.
pub(crate) fn response(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let Some(start) = head(bytes) else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..start])?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("refused: {head}").into());
    }
    let header = |name: &str| {
        let mut headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if header("transfer-encoding") == Some("chunked") {
        return chunks(bytes, start);
    }
    let length: usize = header("content-length").ok_or("a body of unknown length")?.parse()?;
    Ok(bytes[start..].get(..length).map(|body| (body.to_vec(), start + length)))
}

fn chunks(bytes: &[u8], mut at: usize) -> Result<Option<(Vec<u8>, usize)>> {
    let mut body = Vec::new();
    loop {
        let Some(line) = bytes[at..].windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line])?.trim(), 16)?;
        at += line + 2;
        let Some(chunk) = bytes[at..].get(..length + 2) else { return Ok(None) };
        body.extend_from_slice(&chunk[..length]);
        at += length + 2;
        if length == 0 {
            return Ok(Some((body, at)));
        }
    }
}

/// The length of a head with its empty line.
fn head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|end| end + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_taken_whole() {
        let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".as_slice();
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n".as_slice();
        for whole in [plain, chunked] {
            let more = [whole, b"HTTP/1.1"].concat();
            let (body, length) = response(&more).expect("it is in order").expect("it is whole");
            assert_eq!((&body[..], length), (&b"ok"[..], whole.len()));
            for end in 0..whole.len() {
                assert!(response(&whole[..end]).expect("it is in order").is_none(), "{end}");
            }
        }
        assert!(response(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
    }
}
