//! Bodies of requests: `Content-Length` and `Transfer-Encoding: chunked`, collected within a limit.

use ::http::StatusCode;
use bytes::{Buf, Bytes, BytesMut};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BodyLength {
    /// The body is a sequence of chunks, the last of them empty.
    Chunked,
    /// The body has this many bytes.
    Length(u64),
    /// There is no body.
    None,
}

/// Collects one request body from bytes as they arrive.
///
/// Memory grows with what has arrived, never with what was announced.
///
/// ```text
/// Length -> done
///
///    +-----------------> Size --> Extension
///    |                     |          |
///    |                     v          |
///    |    +---------- SizeNewline <---+
///    |    | size > 0       | size 0
///    |    v                v
///    |  Data          TrailerStart --> EndNewline --> done
///    |    |              ^     |
///    |    v              |     v
///    |  DataReturn       |   Trailer
///    |    |              |     |
///    |    v              |     v
///    +-- DataNewline     +-- TrailerNewline
/// ```
pub struct BodyDecoder {
    state: State,
    limit: usize,
    overhead: usize,
    collected: BytesMut,
}

#[derive(Clone, Copy)]
enum State {
    Length { remaining: usize },
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeNewline { size: u64 },
    Data { remaining: usize },
    DataReturn,
    DataNewline,
    TrailerStart,
    Trailer,
    TrailerNewline,
    EndNewline,
}

impl BodyDecoder {
    /// Starts a body of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLarge`] if the announced length is above the limit already.
    pub fn new(length: BodyLength, limit: usize) -> Result<Self, BodyError> {
        let state = match length {
            BodyLength::Chunked => SIZE,
            BodyLength::Length(length) => State::Length { remaining: within(length, limit)? },
            BodyLength::None => State::Length { remaining: 0 },
        };
        Ok(Self { state, limit, overhead: 0, collected: BytesMut::new() })
    }

    /// Takes from `input` what belongs to the body; returns the body once it is complete and leaves the rest.
    /// Call no more after that or after an error.
    ///
    /// A body with a length that is in `input` as a whole is split off without a copy.
    ///
    /// # Errors
    ///
    /// As soon as a chunk passes the limit or the chunked coding is violated (RFC 9112 section 7.1, strictly).
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, BodyError> {
        loop {
            match &mut self.state {
                State::Length { remaining: 0 } if self.collected.is_empty() => return Ok(Some(Bytes::new())),
                State::Length { remaining } if self.collected.is_empty() && input.len() >= *remaining => {
                    return Ok(Some(input.split_to(*remaining).freeze()));
                }
                State::Length { remaining } => {
                    collect(&mut self.collected, remaining, input);
                    return Ok((*remaining == 0).then(|| self.collected.split().freeze()));
                }
                State::Data { remaining } => {
                    collect(&mut self.collected, remaining, input);
                    if *remaining > 0 {
                        return Ok(None);
                    }
                    self.state = State::DataReturn;
                }
                framing => {
                    let Some(&byte) = input.first() else { return Ok(None) };
                    let ended = matches!(framing, State::EndNewline);
                    self.state = self.next(byte)?;
                    input.advance(1);
                    if ended {
                        return Ok(Some(self.collected.split().freeze()));
                    }
                }
            }
        }
    }

    /// Moves on by one byte of what surrounds the data.
    fn next(&mut self, byte: u8) -> Result<State, BodyError> {
        if matches!(self.state, State::Extension { .. } | State::Trailer) {
            self.overhead += 1;
            if self.overhead > MAX_OVERHEAD {
                return Err(BodyError::Overhead);
            }
        }
        Ok(match (self.state, byte) {
            (State::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if digits < MAX_SIZE_DIGITS =>
            {
                let digit = char::from(byte).to_digit(16).expect("the pattern has hexadecimal digits only");
                State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (State::Size { size, digits: 1.. }, b';') => State::Extension { size },
            (State::Size { size, digits: 1.. } | State::Extension { size }, b'\r') => {
                State::SizeNewline { size }
            }
            (State::Size { .. }, _) => return Err(BodyError::ChunkSize),
            (extension @ State::Extension { .. }, b'\t' | b' '..=b'~' | 0x80..) => extension,
            (State::SizeNewline { size: 0 }, b'\n') => State::TrailerStart,
            (State::SizeNewline { size }, b'\n') => {
                State::Data { remaining: within(size, self.limit - self.collected.len())? }
            }
            (State::DataReturn, b'\r') => State::DataNewline,
            (State::DataNewline, b'\n') => SIZE,
            (State::DataReturn | State::DataNewline, _) => return Err(BodyError::ChunkEnd),
            (State::TrailerStart, b'\r') => State::EndNewline,
            (State::TrailerStart, b'!'..=b'9' | b';'..=b'~') => State::Trailer,
            (State::Trailer, b'\r') => State::TrailerNewline,
            (State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => State::Trailer,
            (State::TrailerNewline | State::EndNewline, b'\n') => State::TrailerStart,
            _ => return Err(BodyError::ChunkLine),
        })
    }
}

/// Why a body is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The data of a chunk is not followed by CR LF, so it is longer than its size.
    #[error("chunk longer than its size")]
    ChunkEnd,
    /// A chunk extension or a trailer has a control character, or a line does not end with CR LF.
    #[error("malformed chunk extension or trailer")]
    ChunkLine,
    /// The size of a chunk is not 1 to 16 hexadecimal digits.
    #[error("malformed chunk size")]
    ChunkSize,
    /// Chunk extensions and trailers have more bytes than is useful.
    #[error("chunk extensions and trailers too long")]
    Overhead,
    /// The body is longer than the limit.
    #[error("body too large")]
    TooLarge,
}

impl BodyError {
    /// Returns the status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

fn within(length: u64, limit: usize) -> Result<usize, BodyError> {
    usize::try_from(length).ok().filter(|length| *length <= limit).ok_or(BodyError::TooLarge)
}

fn collect(collected: &mut BytesMut, remaining: &mut usize, input: &mut BytesMut) {
    let taken = input.len().min(*remaining);
    collected.extend_from_slice(&input[..taken]);
    input.advance(taken);
    *remaining -= taken;
}

/// Start of a chunk.
const SIZE: State = State::Size { size: 0, digits: 0 };
/// Hexadecimal digits of a chunk size: as many as a `u64` holds.
const MAX_SIZE_DIGITS: u8 = 16;
/// Bytes of all chunk extensions and trailers of one body; nobody uses them, and they escape the limit of the body.
const MAX_OVERHEAD: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds the pieces one after the other; returns the body and what is left of the input.
    fn feed(
        length: BodyLength,
        limit: usize,
        pieces: &[&[u8]],
    ) -> Result<(Option<Bytes>, BytesMut), BodyError> {
        let mut decoder = BodyDecoder::new(length, limit)?;
        let mut input = BytesMut::new();
        let mut body = None;
        for piece in pieces {
            input.extend_from_slice(piece);
            if body.is_none() {
                body = decoder.decode(&mut input)?;
            }
        }
        Ok((body, input))
    }

    fn chunked(bytes: &[u8]) -> Result<Option<Bytes>, BodyError> {
        feed(BodyLength::Chunked, 10, &[bytes]).map(|(body, _)| body)
    }

    #[test]
    fn lengths() {
        let length = |length, limit, pieces: &[&[u8]]| feed(BodyLength::Length(length), limit, pieces);
        assert_eq!(length(3, 3, &[b"abcd"]), Ok((Some("abc".into()), "d".into())));
        assert_eq!(length(3, 3, &[b"a", b"", b"b", b"cd"]), Ok((Some("abc".into()), "d".into())));
        assert_eq!(length(3, 3, &[b"ab"]), Ok((None, "".into())));
        assert_eq!(length(0, 0, &[b"x"]), Ok((Some("".into()), "x".into())));
        assert_eq!(feed(BodyLength::None, 0, &[b"x"]), Ok((Some("".into()), "x".into())));
        for too_large in [4, 1_000_000_000_000_000, u64::MAX] {
            assert_eq!(length(too_large, 3, &[]), Err(BodyError::TooLarge));
        }
        assert_eq!(BodyError::TooLarge.status(), 413);
    }

    #[test]
    fn a_body_that_is_here_is_not_copied() {
        let mut input = BytesMut::from("abcdef");
        let start = input.as_ptr();
        let body = BodyDecoder::new(BodyLength::Length(3), 3).unwrap().decode(&mut input).unwrap().unwrap();
        assert_eq!((body.as_ptr(), &*body), (start, &b"abc"[..]));
    }

    #[test]
    fn memory_follows_what_has_arrived() {
        let mut decoder = BodyDecoder::new(BodyLength::Length(1 << 40), usize::MAX).unwrap();
        assert_eq!(decoder.decode(&mut BytesMut::from("a")), Ok(None));
        assert!(decoder.collected.capacity() <= 64, "{}", decoder.collected.capacity());
        let mut decoder = BodyDecoder::new(BodyLength::Chunked, usize::MAX).unwrap();
        assert_eq!(decoder.decode(&mut BytesMut::from("fffffffffff\r\na")), Ok(None));
        assert!(decoder.collected.capacity() <= 64, "{}", decoder.collected.capacity());
    }

    #[test]
    fn chunks() {
        let table: &[(&[u8], &str)] = &[
            (b"0\r\n\r\n", ""),
            (b"3\r\nabc\r\n0\r\n\r\n", "abc"),
            (b"00000000000000A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
            (b"1;a=\"b\";c\r\na\r\n2\r\nbc\r\n000;d\r\nA: b\r\nB:\tc\r\n\r\n", "abc"),
        ];
        for (bytes, body) in table {
            let name = bytes.escape_ascii();
            assert_eq!(chunked(bytes), Ok(Some(Bytes::from_static(body.as_bytes()))), "{name}");
            for cut in 0..bytes.len() {
                assert_eq!(chunked(&bytes[..cut]), Ok(None), "{name} cut at {cut}");
            }
        }
        let pipelined = feed(BodyLength::Chunked, 9, &[b"0\r\n\r\nGET"]);
        assert_eq!(pipelined, Ok((Some("".into()), "GET".into())));
    }

    #[test]
    fn chunks_refused() {
        let table: &[(&[u8], BodyError)] = &[
            (b"\r\n", BodyError::ChunkSize),
            (b";a\r\n", BodyError::ChunkSize),
            (b"0x1\r\na", BodyError::ChunkSize),
            (b"+1\r\na", BodyError::ChunkSize),
            (b"-1\r\na", BodyError::ChunkSize),
            (b" 1\r\na", BodyError::ChunkSize),
            (b"1 \r\na", BodyError::ChunkSize),
            (b"g\r\n", BodyError::ChunkSize),
            (b"1\na", BodyError::ChunkSize),
            (b"00000000000000001\r\na", BodyError::ChunkSize),
            (b"10000000000000001\r\na", BodyError::ChunkSize),
            (b"1\ra", BodyError::ChunkLine),
            (b"1;a\nb", BodyError::ChunkLine),
            (b"1;\0\r\na", BodyError::ChunkLine),
            (b"1\r\nab\r\n", BodyError::ChunkEnd),
            (b"1\r\na\n", BodyError::ChunkEnd),
            (b"1\r\na\rb", BodyError::ChunkEnd),
            (b"0\r\n A: b\r\n", BodyError::ChunkLine),
            (b"0\r\n: b\r\n", BodyError::ChunkLine),
            (b"0\r\nA: b\nB", BodyError::ChunkLine),
            (b"0\r\nA\0: b\r\n", BodyError::ChunkLine),
            (b"0\r\n\n", BodyError::ChunkLine),
            (b"0\r\n\rG", BodyError::ChunkLine),
        ];
        for (bytes, error) in table {
            assert_eq!(chunked(bytes), Err(*error), "{}", bytes.escape_ascii());
            assert_eq!(error.status(), 400);
        }
        for bytes in [&b"b\r\n"[..], b"ffffffffffffffff\r\n", b"6\r\nabcdef\r\n5\r\n"] {
            assert_eq!(chunked(bytes), Err(BodyError::TooLarge), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn overhead_is_bounded_over_the_whole_body() {
        let extension = format!("1;{}\r\na\r\n", "x".repeat(MAX_OVERHEAD / 2 - 1));
        let twice = extension.repeat(2);
        assert_eq!(chunked(twice.as_bytes()), Ok(None));
        assert_eq!(chunked(format!("{twice}1;").as_bytes()), Ok(None));
        assert_eq!(chunked(format!("{twice}1;x").as_bytes()), Err(BodyError::Overhead));
        assert_eq!(
            chunked(format!("0\r\n{}", "A: b\r\n".repeat(MAX_OVERHEAD)).as_bytes()),
            Err(BodyError::Overhead)
        );
        assert_eq!(BodyError::Overhead.status(), 400);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_body(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend(format!("{:x};e\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\nA: b\r\n\r\nrest");
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let (body, rest) = feed(BodyLength::Chunked, 1000, &pieces).unwrap();
            prop_assert_eq!(body.unwrap(), chunks.concat());
            prop_assert_eq!(&rest[..], b"rest");
        }

        #[test]
        fn any_bytes_stay_within_the_limit(bytes in "[0-9a-f;:x\r\n]{0,60}") {
            if let Ok(Some(body)) = chunked(bytes.as_bytes()) {
                prop_assert!(body.len() <= 10);
            }
        }
    }
}
