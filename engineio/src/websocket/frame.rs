//! Frames of RFC 6455 section 5, as a server reads them: the peer must mask.

use std::{borrow::Cow, mem};

use ascii::AsciiStr;
use bytes::Bytes;

use super::ProtocolError;

/// Sizes beyond which the peer is refused, each checked before the payload in question is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Payload bytes of one data frame. Control frames have the limit of the RFC, 125.
    pub max_frame: u64,
    /// Payload bytes of one message, all its frames together.
    pub max_message: usize,
    /// Frames of one message, empty ones too: each costs work whatever it carries.
    pub max_fragments: u32,
}

/// What the peer has sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event<'a> {
    /// A whole text message, its frames joined; borrowed from the input if it is all there in one frame.
    Text(Cow<'a, str>),
    /// A whole binary message, its frames joined.
    Binary(Bytes),
    /// A ping; a pong with the same payload is owed.
    Ping(Bytes),
    /// A pong, whatever its payload.
    Pong,
    /// The closing handshake with its status code, if there is one; nothing is decoded after it.
    Close(Option<u16>),
}

impl Event<'_> {
    /// Takes the event out of the input, which costs a copy of text that was borrowed.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Text(text) => Event::Text(text.into_owned().into()),
            Self::Binary(bytes) => Event::Binary(bytes),
            Self::Ping(payload) => Event::Ping(payload),
            Self::Pong => Event::Pong,
            Self::Close(code) => Event::Close(code),
        }
    }
}

/// Turns the bytes of one peer into events, however they are cut up.
///
/// ```text
///          header complete            frame complete
///  Header ----------------> Payload ------------------> Header
///     |                        |
///     +--- mistake of peer ----+--- close frame or mistake ---> Closed (ignores everything)
/// ```
///
/// Between two messages it owns no heap memory, and while a message arrives no more than about twice what has arrived.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The message that has begun and not ended; `Some` between the frames of a fragmented message.
    message: Option<Box<Partial>>,
    /// First part of a control frame. It has a place of its own as it may come between the frames of a message.
    control: Box<[u8]>,
}

impl Decoder {
    /// Returns a decoder for a connection on which nothing has been received since the handshake.
    pub fn new() -> Self {
        Self { state: State::HEADER, message: None, control: Box::default() }
    }

    /// Decodes bytes from the front of `input`, which it may overwrite, up to the end of the next event.
    ///
    /// Returns how many bytes it took, and the event. Call it again with the rest until there is no event: then all
    /// of `input` was taken. Mistakes are reported at the first byte that shows them; after one, as after
    /// [`Event::Close`], all further input is ignored.
    #[inline]
    pub fn decode<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Event<'a>>), ProtocolError> {
        // The rule, of which nothing has to be remembered.
        if let Some((frame, head)) = self.whole_text(input, limits) {
            let end = head + frame.remaining as usize;
            let text = &mut input[head..end];
            unmask(frame.mask, text);
            return match checked(text) {
                Ok(text) => Ok((end, Some(Event::Text(text.into())))),
                Err(error) => {
                    self.state = State::Closed;
                    Err(error)
                }
            };
        }
        self.decode_any(input, limits)
    }

    /// The frame at the front of `input` and the length of its header, if it is a text message and all there.
    #[inline]
    fn whole_text(&self, input: &[u8], limits: &Limits) -> Option<(Frame, usize)> {
        let is_between = matches!(self.state, State::Header { filled: 0, .. }) && self.message.is_none();
        if !is_between || input.first() != Some(&WHOLE_TEXT) {
            return None;
        }
        let (frame, head) = Frame::parse(input, None, limits).ok()??;
        (frame.remaining <= (input.len() - head) as u64).then_some((frame, head))
    }

    fn decode_any<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Event<'a>>), ProtocolError> {
        let available = input.len();
        let mut rest = input;
        let outcome = self.next_event(&mut rest, limits);
        if matches!(outcome, Err(_) | Ok(Some(Event::Close(_)))) {
            *self = Self { state: State::Closed, ..Self::new() };
        }
        outcome.map(|event| (available - rest.len(), event))
    }

    fn next_event<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        loop {
            // As a rule the header is there in one piece, and read where it lies.
            if matches!(self.state, State::Header { filled: 0, .. })
                && let Some((frame, length)) = Frame::parse(input, self.message.as_deref(), limits)?
            {
                take(input, length);
                self.state = State::Payload(frame);
            }
            match &mut self.state {
                State::Header { bytes, filled } => {
                    let known = usize::from(*filled);
                    let fresh = input.len().min(bytes.len() - known);
                    bytes[known..known + fresh].copy_from_slice(&input[..fresh]);
                    let message = self.message.as_deref();
                    let Some((frame, length)) = Frame::parse(&bytes[..known + fresh], message, limits)?
                    else {
                        *filled += fresh as u8;
                        take(input, fresh);
                        return Ok(None);
                    };
                    take(input, length - known);
                    self.state = State::Payload(frame);
                }
                State::Payload(frame) => {
                    let frame_part = input.len().min(usize::try_from(frame.remaining).unwrap_or(usize::MAX));
                    if frame_part == 0 && frame.remaining > 0 {
                        return Ok(None);
                    }
                    let part = take(input, frame_part);
                    frame.unmask(part);
                    let frame = *frame;
                    if frame.remaining == 0 {
                        self.state = State::HEADER;
                    }
                    if let Some(event) = self.handle_payload(&frame, part)? {
                        return Ok(Some(event));
                    }
                }
                State::Closed => {
                    take(input, input.len());
                    return Ok(None);
                }
            }
        }
    }

    /// Takes the next `part` of the payload of `frame`, which is the last one if nothing remains.
    fn handle_payload<'a>(
        &mut self,
        frame: &Frame,
        part: &'a [u8],
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let complete = frame.remaining == 0;
        if frame.opcode.is_control() {
            if complete && self.control.is_empty() {
                return control_event(frame.opcode, part).map(Some);
            }
            self.control = [&*self.control, part].concat().into();
            return complete.then(|| control_event(frame.opcode, &mem::take(&mut self.control))).transpose();
        }
        if complete && frame.fin && self.message.is_none() {
            return match frame.opcode {
                Opcode::Text => checked(part).map(|text| Some(Event::Text(text.into()))),
                _ => Ok(Some(Event::Binary(Bytes::copy_from_slice(part)))),
            };
        }
        let message = self.message.get_or_insert_with(|| Box::new(Partial::new(frame.opcode)));
        message.append(frame, part)?;
        if !complete {
            return Ok(None);
        }
        message.fragments += 1;
        if !frame.fin {
            return Ok(None);
        }
        self.message.take().map(|message| message.finish()).transpose()
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// What the next byte belongs to.
#[derive(Debug)]
enum State {
    Header { bytes: [u8; Self::LONGEST_HEADER], filled: u8 },
    Payload(Frame),
    Closed,
}

impl State {
    /// Two bytes, a 64-bit length, the mask.
    const LONGEST_HEADER: usize = 14;
    const HEADER: Self = Self::Header { bytes: [0; Self::LONGEST_HEADER], filled: 0 };
}

/// A frame whose header has been accepted.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    /// Rotated, so that its first byte is for the next byte of the payload.
    mask: [u8; 4],
    /// Bytes of the payload still to come.
    remaining: u64,
}

impl Frame {
    /// Reads the header at the front of `bytes` and returns it with its length, or `None` if it is incomplete.
    ///
    /// Every check looks at the shortest prefix that can decide it, in order: so an incomplete header is refused as
    /// early as possible, and for the same reason as the complete one.
    #[inline(always)]
    fn parse(
        bytes: &[u8],
        message: Option<&Partial>,
        limits: &Limits,
    ) -> Result<Option<(Self, usize)>, ProtocolError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let fin = first & FIN != 0;
        // permessage-deflate, where negotiated, would take RSV1 here on the first frame of a message.
        if first & (RSV1 | RSV2 | RSV3) != 0 {
            return Err(ProtocolError::ReservedBit);
        }
        let opcode =
            Opcode::from_bits(first & OPCODE).ok_or_else(|| ProtocolError::ReservedOpcode(first & OPCODE))?;
        if second & MASKED == 0 {
            return Err(ProtocolError::Unmasked);
        }
        match (opcode, message) {
            (Opcode::Continuation, None) => return Err(ProtocolError::UnexpectedContinuation),
            (Opcode::Continuation, Some(message)) if message.fragments >= limits.max_fragments => {
                return Err(ProtocolError::TooManyFragments(limits.max_fragments));
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(ProtocolError::InterruptedMessage),
            _ => {}
        }
        let short_length = second & !MASKED;
        if opcode.is_control() {
            if !fin {
                return Err(ProtocolError::FragmentedControl);
            }
            if short_length > MAX_SHORT {
                return Err(ProtocolError::ControlTooLong);
            }
        }

        let (remaining, shortest, rest) = match short_length {
            LENGTH_16 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*length)), u64::from(MAX_SHORT) + 1, rest)
            }
            LENGTH_64 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*length), u64::from(u16::MAX) + 1, rest)
            }
            length => (u64::from(length), 0, rest),
        };
        if remaining < shortest {
            return Err(ProtocolError::LengthNotMinimal);
        }
        if !opcode.is_control() {
            if remaining > limits.max_frame || i64::try_from(remaining).is_err() {
                return Err(ProtocolError::FrameTooLong(remaining));
            }
            let free = limits.max_message.saturating_sub(message.map_or(0, |message| message.data.len()));
            if usize::try_from(remaining).map_or(true, |remaining| remaining > free) {
                return Err(ProtocolError::MessageTooLong(limits.max_message));
            }
        }

        let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        Ok(Some((Self { opcode, fin, mask: *mask, remaining }, bytes.len() - rest.len())))
    }

    /// Unmasks the next `part` of the payload in place and counts it.
    fn unmask(&mut self, part: &mut [u8]) {
        unmask(self.mask, part);
        // As a number, for which nothing is called.
        self.mask = u32::from_be_bytes(self.mask).rotate_left(part.len() as u32 % 4 * 8).to_be_bytes();
        self.remaining -= part.len() as u64;
    }
}

/// Text of a message that is all there.
#[inline]
fn checked(text: &[u8]) -> Result<&str, ProtocolError> {
    // The rule, for which nothing wide is read right behind the narrower writes of the unmasking: it would wait for them.
    if text.len() < SHORT
        && let Ok(text) = AsciiStr::from_ascii(text)
    {
        return Ok(text.as_str());
    }
    simdutf8::basic::from_utf8(text).map_err(|_| ProtocolError::InvalidText)
}

fn unmask(mask: [u8; 4], part: &mut [u8]) {
    let [a, b, c, d] = mask;
    let wide = [a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d];
    // An array of bytes is written in one piece, which is read soon; of a `u128` the compiler makes two.
    let unmask_wide = |word: &mut [u8; 16]| *word = std::array::from_fn(|at| word[at] ^ wide[at]);
    let (blocks, tail) = part.as_chunks_mut::<64>();
    for block in blocks {
        block.as_chunks_mut().0.iter_mut().for_each(unmask_wide);
    }
    let (words, tail) = tail.as_chunks_mut();
    words.iter_mut().for_each(unmask_wide);
    let (words, tail) = tail.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// A message of which some has arrived.
#[derive(Debug)]
struct Partial {
    /// `Text` or `Binary`.
    opcode: Opcode,
    data: Vec<u8>,
    /// How much of `data` is known to be UTF-8; the rest is the beginning of a character. Text only.
    checked: usize,
    /// Frames that have arrived to the end.
    fragments: u32,
}

impl Partial {
    fn new(opcode: Opcode) -> Self {
        Self { opcode, data: Vec::new(), checked: 0, fragments: 0 }
    }

    fn append(&mut self, frame: &Frame, part: &[u8]) -> Result<(), ProtocolError> {
        let length = self.data.len() + part.len();
        if length > self.data.capacity() {
            // What the peer has announced is not reserved before it comes, but the end is not overshot either.
            let doubled = (2 * length).max(FIRST_RESERVATION);
            let end = usize::try_from(frame.remaining).map_or(usize::MAX, |more| length.saturating_add(more));
            let capacity = if frame.fin { doubled.min(end) } else { doubled };
            self.data.reserve_exact(capacity - self.data.len());
        }
        self.data.extend_from_slice(part);
        if self.opcode == Opcode::Text {
            self.checked += match str::from_utf8(&self.data[self.checked..]) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => return Err(ProtocolError::InvalidText),
            };
        }
        Ok(())
    }

    fn finish(self) -> Result<Event<'static>, ProtocolError> {
        match self.opcode {
            // Checked once more as a whole: cheap, and it needs no unsafe code.
            Opcode::Text => match String::from_utf8(self.data) {
                Ok(text) => Ok(Event::Text(text.into())),
                Err(_) => Err(ProtocolError::InvalidText),
            },
            _ => Ok(Event::Binary(self.data.into())),
        }
    }
}

fn control_event(opcode: Opcode, payload: &[u8]) -> Result<Event<'static>, ProtocolError> {
    match (opcode, payload) {
        (Opcode::Ping, payload) => Ok(Event::Ping(Bytes::copy_from_slice(payload))),
        (Opcode::Pong, _) => Ok(Event::Pong),
        (_, []) => Ok(Event::Close(None)),
        (_, [_]) => Err(ProtocolError::CloseLength),
        (_, [high, low, reason @ ..]) => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(ProtocolError::CloseCode(code));
            }
            str::from_utf8(reason).map_err(|_| ProtocolError::InvalidReason)?;
            Ok(Event::Close(Some(code)))
        }
    }
}

fn take<'a>(input: &mut &'a mut [u8], length: usize) -> &'a mut [u8] {
    input.split_off_mut(..length).expect("callers stay within the input")
}

/// The kinds of frames, section 5.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Opcode {
    /// A further frame of the message that has begun.
    Continuation = 0x0,
    /// A message of UTF-8 text, or the first frame of one.
    Text = 0x1,
    /// A message of bytes, or the first frame of one.
    Binary = 0x2,
    /// One half of the closing handshake.
    Close = 0x8,
    /// A question whether the other side is there.
    Ping = 0x9,
    /// The answer to a ping.
    Pong = 0xA,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    pub(super) fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

pub(super) const FIN: u8 = 0x80;
/// First byte of a text message in one frame.
const WHOLE_TEXT: u8 = FIN | Opcode::Text as u8;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const OPCODE: u8 = 0x0F;
const MASKED: u8 = 0x80;
/// Longest payload whose length fits the second byte, and of a control frame.
pub(super) const MAX_SHORT: u8 = 125;
/// Second byte that announces a 16-bit length.
pub(super) const LENGTH_16: u8 = 126;
/// Second byte that announces a 64-bit length.
pub(super) const LENGTH_64: u8 = 127;
/// Bytes below which a text counts as short.
const SHORT: usize = 256;
/// Bytes reserved for a message that has begun, if it is not shorter: half a dozen doublings below 1 MiB.
const FIRST_RESERVATION: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_frame: 1 << 40, max_message: 1 << 40, max_fragments: 1000 };

    fn idle(decoder: &Decoder) -> bool {
        decoder.message.is_none() && decoder.control.is_empty()
    }

    #[test]
    fn idle_connections_cost_little() {
        assert!(size_of::<Decoder>() <= 96, "{}", size_of::<Decoder>());
    }

    #[test]
    fn unmasks_any_length_at_any_offset() {
        let plain: Vec<u8> = (0..100).collect();
        for offset in 0..40 {
            let mut frame =
                Frame { opcode: Opcode::Binary, fin: true, mask: [1, 20, 130, 240], remaining: 100 };
            let mut data: Vec<u8> = plain.iter().zip(frame.mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
            let (front, back) = data.split_at_mut(offset);
            frame.unmask(front);
            frame.unmask(back);
            assert_eq!(data, plain, "split at {offset}");
            assert_eq!(frame.remaining, 0);
        }
    }

    #[test]
    fn reserves_what_arrived_and_not_what_was_announced() {
        let mut decoder = Decoder::new();
        let mut header = [0x82, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(decoder.decode(&mut header, &LIMITS), Ok((14, None)));
        assert!(idle(&decoder), "a header reserves nothing");
        for _ in 0..100 {
            decoder.decode(&mut [0; 1000], &LIMITS).unwrap();
            let data = &decoder.message.as_ref().unwrap().data;
            assert!(data.capacity() <= 2 * data.len().max(FIRST_RESERVATION), "{}", data.capacity());
        }
    }

    #[test]
    fn large_frame_in_parts_ends_in_a_buffer_of_its_size() {
        let mut decoder = Decoder::new();
        decoder.decode(&mut [0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0x86, 0xA0, 0, 0, 0, 0], &LIMITS).unwrap();
        for _ in 0..99 {
            decoder.decode(&mut [0; 1000], &LIMITS).unwrap();
        }
        assert_eq!(decoder.message.as_ref().unwrap().data.capacity(), 100_000);
    }

    #[test]
    fn text_is_checked_once_wherever_it_is_cut() {
        let mut decoder = Decoder::new();
        decoder.decode(&mut [0x81, 0xFE, 3, 0xE8, 0, 0, 0, 0], &LIMITS).unwrap();
        for part in "🦀".repeat(200).as_bytes().chunks(7) {
            decoder.decode(&mut part.to_vec(), &LIMITS).unwrap();
            let message = decoder.message.as_ref().unwrap();
            assert_eq!(message.checked, message.data.len() / 4 * 4);
        }
    }

    #[test]
    fn memory_is_freed_after_messages_control_frames_and_mistakes() {
        let cases: [(&str, &[u8]); 6] = [
            ("message in parts", &[0x82, 0x82, 0, 0, 0, 0, 1, 2]),
            ("fragmented message", &[1, 0x81, 0, 0, 0, 0, b'a', 0x80, 0x80, 0, 0, 0, 0]),
            ("ping in parts", &[0x89, 0x82, 0, 0, 0, 0, 1, 2]),
            ("close in parts", &[0x88, 0x82, 0, 0, 0, 0, 3, 0xE8]),
            ("close in a message", &[1, 0x81, 0, 0, 0, 0, b'a', 0x88, 0x80, 0, 0, 0, 0]),
            ("mistake in a message", &[1, 0x82, 0, 0, 0, 0, b'a', 0xFF]),
        ];
        for (name, input) in cases {
            let mut decoder = Decoder::new();
            for byte in input {
                let _ = decoder.decode(&mut [*byte], &LIMITS);
            }
            assert!(idle(&decoder), "{name}: {decoder:?}");
        }
    }
}
