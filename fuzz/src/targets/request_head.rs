use bytes::BytesMut;
use engineio::{
    RequestHead, Transport,
    http::{Framing, HeadError, HeadLimits, negotiate, parse},
    request::{Intent, verify},
    websocket::check_handshake,
};

use super::pieces;

/// One request head, preceded by the length of the pieces in which it arrives: the pieces make no difference, and
/// what is done with a head that was accepted does not fail.
pub fn request_head(data: &[u8]) {
    let Some((&length, data)) = data.split_first() else { return };
    let limits = HeadLimits { max_bytes: 2_000, max_headers: 20, max_target: 500 };
    let mut buffer = BytesMut::from(data);
    let whole = parse(&mut buffer, &limits);
    let in_pieces = parse_pieces(data, length, &limits);
    match (whole, in_pieces) {
        (Ok(Some((head, framing))), Ok(Some((other, other_framing, taken)))) => {
            assert_eq!(seen(&head), seen(&other));
            assert_eq!(framing, other_framing);
            assert_eq!(data.len() - buffer.len(), taken, "a head has one end");
            assert_eq!(seen(&head.compact()), seen(&head));
            use_head(&head, &framing);
        }
        (Ok(None), Ok(None)) => assert_eq!(buffer, data, "nothing is taken of an incomplete head"),
        // Of two mistakes the one that arrives first is reported.
        (Err(_), Err(_)) => {}
        (whole, in_pieces) => panic!("{whole:?} as a whole, {in_pieces:?} in pieces"),
    }
}

type Parsed = Option<(RequestHead, Framing, usize)>;

/// Returns with a head how many bytes of the input it took.
fn parse_pieces(data: &[u8], length: u8, limits: &HeadLimits) -> Result<Parsed, HeadError> {
    let mut buffer = BytesMut::new();
    let mut arrived = 0;
    for piece in pieces(data, length) {
        buffer.extend_from_slice(piece);
        arrived += piece.len();
        if let Some((head, framing)) = parse(&mut buffer, limits)? {
            return Ok(Some((head, framing, arrived - buffer.len())));
        }
    }
    Ok(None)
}

fn seen(head: &RequestHead) -> impl PartialEq + std::fmt::Debug {
    let texts = [head.method(), head.target(), head.path(), head.query()].map(str::to_owned);
    let headers: Vec<_> = head.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (texts, head.version(), headers)
}

fn use_head(head: &RequestHead, framing: &Framing) {
    let parts = head.to_parts();
    assert_eq!(parts.method.as_str(), head.method());
    assert_eq!(parts.headers.len(), head.headers().count());
    for (name, value) in head.headers() {
        assert!(parts.headers.get_all(name).iter().any(|other| other.as_bytes() == value), "{name}");
    }
    for (name, _) in head.query_params() {
        assert!(head.query_param(&name).is_some());
    }
    let _ = (format!("{head:?}"), negotiate(head), check_handshake(head.method(), 1, head.headers()));

    let allowed = [Transport::Polling, Transport::WebSocket];
    for current in allowed {
        let intent = verify(head, framing.upgrade, &allowed, |sid| (sid == "known").then_some(((), current)));
        let expected = match intent {
            Ok(Intent::Open(_) | Intent::Poll(())) => Some("GET"),
            Ok(Intent::Post(())) => Some("POST"),
            Ok(Intent::Upgrade(()) | Intent::WrongMethod) | Err(_) => None,
        };
        assert!(expected.is_none_or(|method| method == head.method()), "{intent:?}");
        if matches!(intent, Ok(Intent::Upgrade(()) | Intent::Open(Transport::WebSocket))) {
            assert!(framing.upgrade);
        }
    }
}
