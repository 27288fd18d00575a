//! WebSocket frames as clients see them: masked out, unmasked in, never fragmented.

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// Not zeros, so that the server has something to unmask.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) fn encode(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

pub(crate) fn text(payload: &str) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    encode(&mut frame, TEXT, payload.as_bytes());
    frame
}

pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// With its head.
    pub(crate) length: usize,
}

/// `None` until a frame is whole.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Frame<'_>>, &'static str> {
    let &[first, second, ..] = bytes else { return Ok(None) };
    if first & 0xf0 != 0x80 || first & 0x0f == 0 {
        return Err("a fragment, or reserved bits");
    }
    let (head, length) = match (second, bytes) {
        (128.., _) => return Err("a server's frame is masked"),
        (126, &[_, _, high, low, ..]) => (4, usize::from(u16::from_be_bytes([high, low]))),
        (127, &[_, _, a, b, c, d, e, f, g, h, ..]) => {
            (10, u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize)
        }
        (126 | 127, _) => return Ok(None),
        (length, _) => (2, usize::from(length)),
    };
    let payload = bytes.get(head..).and_then(|rest| rest.get(..length));
    Ok(payload.map(|payload| Frame { opcode: first & 0x0f, payload, length: head + length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let body = vec![b'x'; length];
            let mut masked = Vec::new();
            encode(&mut masked, TEXT, &body);
            // A server's frame: no mask bit, no mask, and the payload as it is.
            let head = masked.len() - length - 4;
            let mut frame = [&masked[..head], &body].concat();
            frame[1] &= 0x7f;
            let decoded = decode(&frame).expect("it is in order").expect("it is whole");
            assert_eq!((decoded.opcode, decoded.payload, decoded.length), (TEXT, &body[..], frame.len()));
            assert!(decode(&frame[..frame.len() - 1]).expect("it is in order").is_none());
            assert!(decode(&masked).is_err());
        }
    }
}
