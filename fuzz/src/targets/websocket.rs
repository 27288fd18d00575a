use engineio::websocket::{Decoder, Event, Limits, Opcode, ProtocolError, encode_header};

use super::pieces;

/// No limit, so that memory for what is announced could not be had.
const UNLIMITED: Limits = Limits { max_frame: u64::MAX, max_message: usize::MAX, max_fragments: u32::MAX };
const TIGHT: Limits = Limits { max_frame: 200, max_message: 300, max_fragments: 3 };

/// What a peer sends on a WebSocket, preceded by the length of the pieces in which it arrives: the pieces make no
/// difference, and the limits hold.
pub fn websocket(data: &[u8]) {
    let Some((&length, data)) = data.split_first() else { return };
    for limits in [TIGHT, UNLIMITED] {
        let (events, error) = decode([data], &limits);
        assert_eq!((events.clone(), error), decode(pieces(data, length), &limits));
        for event in &events {
            match event {
                Event::Text(text) => assert_message(Opcode::Text, text.as_bytes(), &limits, event),
                Event::Binary(bytes) => assert_message(Opcode::Binary, bytes, &limits, event),
                Event::Ping(payload) => assert!(payload.len() <= 125),
                Event::Pong | Event::Close(_) => {}
            }
        }
        let closed = events.iter().position(|event| matches!(event, Event::Close(_)));
        assert!(closed.is_none_or(|at| at + 1 == events.len() && error.is_none()), "input after the close");
    }
}

fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    let (mut decoder, mut events) = (Decoder::new(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            match decoder.decode(&mut piece[at..], limits) {
                Err(error) => {
                    assert_eq!(decoder.decode(&mut [0x81], limits), Ok((1, None)), "input after a mistake");
                    return (events, Some(error));
                }
                Ok((taken, event)) => {
                    at += taken;
                    let Some(event) = event else { break };
                    events.push(event.into_owned());
                }
            }
        }
        assert_eq!(at, piece.len(), "without an event everything is taken");
    }
    (events, None)
}

/// The message is within the limits, and the same again when it comes back in one frame.
fn assert_message(opcode: Opcode, payload: &[u8], limits: &Limits, event: &Event<'_>) {
    assert!(payload.len() <= limits.max_message, "{} bytes", payload.len());
    let mut frame = encode_header(opcode, payload.len()).to_vec();
    frame[1] |= 0x80;
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    assert_eq!(decode([&frame[..]], &UNLIMITED), (vec![event.clone()], None));
}
