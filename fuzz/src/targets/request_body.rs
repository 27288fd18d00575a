use bytes::{Bytes, BytesMut};
use engineio::http::{BodyDecoder, BodyError, BodyLength};

use super::pieces;

/// One request body, preceded by its kind, its limit, and the length of the pieces in which it arrives: the pieces make
/// no difference, and the limit holds.
pub fn request_body(data: &[u8]) {
    let [kind, limit, length, data @ ..] = data else { return };
    let limit = usize::from(*limit);
    let body_length = match kind {
        0 => BodyLength::None,
        1..=127 => BodyLength::Length(u64::from(*kind)),
        _ => BodyLength::Chunked,
    };
    let whole = decode([data], body_length, limit);
    assert_eq!(whole, decode(pieces(data, *length), body_length, limit));

    match whole {
        Ok((Some(body), rest)) => {
            assert!(body.len() <= limit, "{} bytes", body.len());
            assert!(data.ends_with(&rest), "what follows the body is left alone");
            if let BodyLength::Length(length) = body_length {
                assert_eq!(body, data[..length as usize]);
                assert_eq!(body.len() + rest.len(), data.len());
            }
        }
        Ok((None, rest)) => assert!(rest.is_empty(), "what has arrived of a body is taken"),
        Err(error) => assert!(error.status().is_client_error()),
    }
}

/// Returns the body if it is complete, and what follows it.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    length: BodyLength,
    limit: usize,
) -> Result<(Option<Bytes>, BytesMut), BodyError> {
    let mut decoder = BodyDecoder::new(length, limit)?;
    let (mut body, mut input) = (decoder.decode(&mut BytesMut::new())?, BytesMut::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        if body.is_none() {
            body = decoder.decode(&mut input)?;
        }
    }
    Ok((body, input))
}
