//! RFC 6455 section 5 as a table of raw bytes, each case decoded whole, byte by byte and in random pieces.

use bytes::Bytes;
use engineio::websocket::{Decoder, Event, Limits, Opcode, ProtocolError, encode_close, encode_header};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const LIMITS: Limits = Limits { max_frame: 1_000_000, max_message: 2_000_000, max_fragments: 50 };
const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Bytes from the peer, the events that they make, and the code of the close frame that answers a mistake.
struct Case {
    name: String,
    input: Vec<u8>,
    events: Vec<Event<'static>>,
    error: Option<u16>,
    limits: Limits,
}

fn good(name: impl Into<String>, input: Vec<u8>, events: impl Into<Vec<Event<'static>>>) -> Case {
    Case { name: name.into(), input, events: events.into(), error: None, limits: LIMITS }
}

fn bad(name: impl Into<String>, input: Vec<u8>, error: u16) -> Case {
    Case { name: name.into(), input, events: Vec::new(), error: Some(error), limits: LIMITS }
}

#[test]
fn every_case_however_it_is_cut() {
    let families = [opcodes, reserved_bits, lengths, close_frames, utf8, fragments, limits];
    let cases: Vec<Case> = families.iter().flat_map(|family| family()).collect();
    let mut random = StdRng::seed_from_u64(6455);
    for case in &cases {
        let expected = (case.events.clone(), case.error);
        for pieces in
            [vec![case.input.len()], vec![1], random_pieces(&mut random), random_pieces(&mut random)]
        {
            let (events, error) = decode(&case.input, &pieces, &case.limits);
            assert_eq!(
                (events, error.map(|error| error.close_code())),
                expected,
                "{}: {pieces:?}",
                case.name
            );
        }
    }
    assert!(cases.len() >= 300, "only {} cases", cases.len());
}

fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for opcode in 0..16 {
        for fin in [0, FIN] {
            for masked in [true, false] {
                let payload: &[u8] = if opcode == 8 { &[3, 0xE8] } else { b"ok" };
                let input = raw(fin | opcode, 7, payload.len() as u64, masked, payload);
                let name = format!("opcode {opcode:#x}, fin {fin:#x}, masked {masked}");
                cases.push(match (opcode, fin, masked) {
                    (1 | 2, 0, true) => good(name, input, []),
                    (1, FIN, true) => good(name, input, [text("ok")]),
                    (2, FIN, true) => good(name, input, [binary(b"ok")]),
                    (8, FIN, true) => good(name, input, [Event::Close(Some(1000))]),
                    (9, FIN, true) => good(name, input, [ping(b"ok")]),
                    (10, FIN, true) => good(name, input, [Event::Pong]),
                    _ => bad(name, input, 1002),
                });
            }
        }
    }
    cases
}

fn reserved_bits() -> Vec<Case> {
    let mut cases = Vec::new();
    for bits in 1..8 {
        for first in [FIN | TEXT, TEXT, FIN | BINARY, BINARY, CLOSE, PING, PONG] {
            cases.push(bad(format!("rsv {bits}, {first:#x}"), frame(first | bits << 4, b""), 1002));
        }
        let input = [frame(TEXT, b"a"), frame(FIN | bits << 4, b"b")].concat();
        cases.push(bad(format!("rsv {bits}, continuation"), input, 1002));
    }
    cases
}

fn lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    for (form, shortest, longest) in [(7, 0, 125), (16, 126, 0xFFFF), (64, 0x1_0000, u64::MAX)] {
        for length in [0_u64, 1, 124, 125, 126, 127, 128, 255, 256, 65_534, 65_535, 65_536, 65_537] {
            if length > longest {
                continue;
            }
            let payload = vec![b'x'; length as usize];
            let minimal = length >= shortest;
            let name = |kind| format!("{kind} of {length} bytes, {form}-bit length");
            let build = |first| raw(first, form, length, true, &payload);
            let case = |kind, input, event| {
                if minimal { good(name(kind), input, [event]) } else { bad(name(kind), input, 1002) }
            };
            cases.push(case("binary", build(FIN | BINARY), binary(&payload)));
            cases.push(case("text", build(FIN | TEXT), text(&"x".repeat(payload.len()))));
            let continued = [frame(BINARY, b""), build(FIN)].concat();
            cases.push(case("continuation", continued, binary(&payload)));
            for (kind, first, event) in [("ping", PING, ping(&payload)), ("pong", PONG, Event::Pong)] {
                let input = build(first);
                let fits = minimal && length <= 125;
                cases.push(if fits {
                    good(name(kind), input, [event])
                } else {
                    bad(name(kind), input, 1002)
                });
            }
        }
    }
    cases
}

fn close_frames() -> Vec<Case> {
    let valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    let registered = [3000, 3001, 3999, 4000, 4001, 4998, 4999];
    let invalid = [
        0, 1, 10, 100, 255, 256, 500, 998, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1023, 1024, 1099, 1100,
        1999, 2000, 2001, 2998, 2999, 5000, 5001, 9999, 65_534, 65_535,
    ];
    let mut cases = vec![
        good("close without code", frame(CLOSE, b""), [Event::Close(None)]),
        bad("close with one byte", frame(CLOSE, b"\x03"), 1002),
        bad("fragmented close", frame(0x08, b"\x03\xE8"), 1002),
    ];
    for reason in ["", "bye", "κόσμε", &"x".repeat(123)] {
        let input = |code: u16| frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat());
        let name = |code| format!("close {code} with {} bytes of reason", reason.len());
        for code in valid.into_iter().chain(registered) {
            cases.push(good(name(code), input(code), [Event::Close(Some(code))]));
        }
        cases.extend(invalid.map(|code| bad(name(code), input(code), 1002)));
    }
    cases.push(bad(
        "close with 126 bytes",
        frame(CLOSE, &[&[3, 0xE8], [b'x'; 124].as_slice()].concat()),
        1002,
    ));
    for (name, bytes) in INVALID_UTF8 {
        let payload = [&[3, 0xE8], *bytes].concat();
        cases.push(bad(format!("close reason, {name}"), frame(CLOSE, &payload), 1007));
    }
    let after = [frame(CLOSE, b""), frame(PING, b""), vec![0xFF; 20]].concat();
    cases.push(good("anything after close", after, [Event::Close(None)]));
    cases
}

/// In the manner of Autobahn 6.x: first and last of each length, neighbours of the holes, noncharacters.
const VALID_UTF8: &[&str] = &[
    "",
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\0",
    "\u{7F}",
    "\u{80}",
    "\u{7FF}",
    "\u{800}",
    "\u{FFF}",
    "\u{1000}",
    "\u{CFFF}",
    "\u{D000}",
    "\u{D7FF}",
    "\u{E000}",
    "\u{FFFD}",
    "\u{FFFE}",
    "\u{FFFF}",
    "\u{10000}",
    "\u{1FFFE}",
    "\u{3FFFF}",
    "\u{40000}",
    "\u{FFFFF}",
    "\u{100000}",
    "\u{10FFFF}",
    "a\u{80}\u{800}\u{10000}",
    "\u{10000}\u{800}\u{80}a",
    "🦀🦀🦀",
];

const INVALID_UTF8: &[(&str, &[u8])] = &[
    ("lone continuation 80", b"\x80"),
    ("lone continuation BF", b"\xBF"),
    ("continuations", b"\x80\xBF\x80\xBF"),
    ("continuation after text", b"abc\x80def"),
    ("one byte too many", b"\xC2\x80\x80"),
    ("cut, 2 bytes", b"\xC2"),
    ("cut, 3 bytes", b"\xE0\xA0"),
    ("cut, 4 bytes", b"\xF0\x90\x80"),
    ("cut after text", b"abc\xDF"),
    ("cut and text", b"\xE2\x82a"),
    ("cut and begun again", b"\xC3\xC3\xA9"),
    ("overlong / in 2", b"\xC0\xAF"),
    ("overlong / in 3", b"\xE0\x80\xAF"),
    ("overlong / in 4", b"\xF0\x80\x80\xAF"),
    ("overlong / in 5", b"\xF8\x80\x80\x80\xAF"),
    ("overlong / in 6", b"\xFC\x80\x80\x80\x80\xAF"),
    ("overlong NUL", b"\xC0\x80"),
    ("largest overlong in 2", b"\xC1\xBF"),
    ("largest overlong in 3", b"\xE0\x9F\xBF"),
    ("largest overlong in 4", b"\xF0\x8F\xBF\xBF"),
    ("first surrogate", b"\xED\xA0\x80"),
    ("last high surrogate", b"\xED\xAF\xBF"),
    ("first low surrogate", b"\xED\xB0\x80"),
    ("last surrogate", b"\xED\xBF\xBF"),
    ("surrogate pair", b"\xED\xA0\x80\xED\xB0\x80"),
    ("above U+10FFFF", b"\xF4\x90\x80\x80"),
    ("F5", b"\xF5\x80\x80\x80"),
    ("FE", b"\xFE"),
    ("FF", b"\xFF"),
    ("in the middle of text", b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xED\xA0\x80edited"),
];

fn utf8() -> Vec<Case> {
    let mut cases = Vec::new();
    let valid = VALID_UTF8.iter().map(|valid| (format!("{valid:?}"), valid.as_bytes(), vec![text(valid)]));
    let invalid = INVALID_UTF8.iter().map(|(name, bytes)| ((*name).into(), *bytes, Vec::new()));
    for (name, bytes, events) in valid.chain(invalid) {
        let error = events.is_empty().then_some(1007);
        let mut push = |name, input| {
            cases.push(Case { name, input, events: events.clone(), error, limits: LIMITS });
        };
        push(format!("text, {name}"), frame(FIN | TEXT, bytes));
        for split in 0..=bytes.len() {
            let (front, back) = bytes.split_at(split);
            let input = [frame(TEXT, front), frame(FIN, back)].concat();
            push(format!("text in two frames, {name}, split at {split}"), input);
        }
        let each = bytes.iter().map(|byte| frame(CONTINUATION, &[*byte]));
        let input = [frame(TEXT, b"")].into_iter().chain(each).chain([frame(FIN, b"")]).collect::<Vec<_>>();
        push(format!("text in frames of a byte, {name}"), input.concat());
        let any = frame(FIN | BINARY, bytes);
        cases.push(good(format!("binary, {name}"), any, [binary(bytes)]));
    }
    cases
}

fn fragments() -> Vec<Case> {
    let mut cases = vec![
        bad("continuation, nothing begun", frame(CONTINUATION, b"a"), 1002),
        bad("last continuation, nothing begun", frame(FIN, b""), 1002),
        good("empty frames only", [frame(TEXT, b""), frame(FIN, b"")].concat(), [text("")]),
    ];
    for (kind, first, event) in [("text", TEXT, text("abcd")), ("binary", BINARY, binary(b"abcd"))] {
        for next in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
            let input = [frame(first, b"a"), frame(next, b"b")].concat();
            cases.push(bad(format!("{next:#x} inside of {kind}"), input, 1002));
        }
        let whole = [frame(first, b"ab"), frame(CONTINUATION, b""), frame(FIN, b"cd")];
        for at in 0..=whole.len() {
            for (control, input, events) in [
                ("ping", frame(PING, b"p"), vec![ping(b"p")]),
                ("empty ping", frame(PING, b""), vec![ping(b"")]),
                ("pong", frame(PONG, b"late"), vec![Event::Pong]),
                ("longest ping", frame(PING, &[7; 125]), vec![ping(&[7; 125])]),
                ("both", [frame(PING, b"1"), frame(PONG, b"2")].concat(), vec![ping(b"1"), Event::Pong]),
            ] {
                let mut frames = whole.to_vec();
                frames.insert(at, input);
                let mut expected = events;
                expected.insert(if at == whole.len() { 0 } else { expected.len() }, event.clone());
                cases.push(good(format!("{control} at {at} of {kind}"), frames.concat(), expected));
            }
        }
        let twice = [whole.concat(), whole.concat(), frame(FIN | first, b"abcd")].concat();
        cases.push(good(format!("{kind}, again, unfragmented"), twice, vec![event.clone(); 3]));
        let closed = [frame(first, b"a"), frame(CLOSE, b""), frame(FIN, b"b")].concat();
        cases.push(good(format!("close inside of {kind}"), closed, [Event::Close(None)]));
        let late = [frame(FIN | first, b"abcd"), frame(FIN, b"e")].concat();
        let error = Some(1002);
        let name = format!("continuation after {kind}");
        cases.push(Case { events: vec![event], error, ..good(name, late, []) });
    }
    cases
}

fn limits() -> Vec<Case> {
    let limits = Limits { max_frame: 1000, max_message: 1500, max_fragments: 3 };
    let name = |what: &str, length: usize, of: &str| format!("{what} of {length} bytes, {of}");
    let mut cases = Vec::new();
    for length in [999, 1000, 1001, 1500, 1501] {
        let input = frame(FIN | BINARY, &vec![1; length]);
        let name = name("frame", length, "at most 1000");
        let event = binary(&vec![1; length]);
        cases.push(if length <= 1000 { good(name, input, [event]) } else { bad(name, input, 1009) });
    }
    for length in [499, 500, 501] {
        let input =
            [frame(BINARY, &[1; 1000]), frame(CONTINUATION, b""), frame(FIN, &vec![1; length])].concat();
        let name = name("message", 1000 + length, "at most 1500");
        let event = binary(&vec![1; 1000 + length]);
        cases.push(if length <= 500 { good(name, input, [event]) } else { bad(name, input, 1009) });
    }
    for count in [2, 3, 4, 5] {
        let mut frames = vec![frame(CONTINUATION, b""); count];
        frames[0] = frame(TEXT, b"");
        frames[count - 1] = frame(FIN, b"");
        let name = format!("{count} empty frames of at most 3");
        cases.push(if count <= 3 {
            good(name, frames.concat(), [text("")])
        } else {
            bad(name, frames.concat(), 1008)
        });
    }
    let without_payload = [1001, 1 << 16, 1 << 32, 1 << 40, i64::MAX as u64, 1 << 63, u64::MAX];
    cases.extend(without_payload.map(|length| {
        let form = if length < 1 << 16 { 16 } else { 64 };
        let header = raw(FIN | TEXT, form, length, true, b"");
        // The mask is not waited for.
        bad(format!("{length} bytes announced"), header[..header.len() - 4].to_vec(), 1009)
    }));
    let twice = [frame(FIN | BINARY, &[1; 1000]), frame(FIN | BINARY, &[2; 1000])].concat();
    let events = [binary(&[1; 1000]), binary(&[2; 1000])];
    cases.push(good("each message counts for itself", twice, events));
    for case in &mut cases {
        case.limits = limits;
    }

    let nothing = Limits { max_frame: 0, max_message: 0, max_fragments: 0 };
    let ping_anyway = good("control frames have limits of their own", frame(PING, b"12"), [ping(b"12")]);
    cases.push(Case { limits: nothing, ..ping_anyway });
    let everything = Limits { max_frame: u64::MAX, max_message: usize::MAX, max_fragments: u32::MAX };
    for length in [1 << 63, u64::MAX] {
        let top_bit =
            bad(format!("{length:#x} without limits"), raw(FIN | TEXT, 64, length, true, b""), 1009);
        cases.push(Case { limits: everything, ..top_bit });
    }
    cases
}

#[test]
fn text_fails_at_its_first_impossible_byte() {
    // Some completion of the prefix is text: every first byte allows one of these as the second.
    let possible = |prefix: &[u8]| {
        [0x80, 0x90, 0xA0].iter().any(|second| {
            let rest = [*second, 0x80, 0x80];
            (0..=3).any(|length| str::from_utf8(&[prefix, &rest[..length]].concat()).is_ok())
        })
    };
    for first in [FIN | TEXT, TEXT] {
        for (name, bytes) in INVALID_UTF8 {
            let input = frame(first, bytes);
            let header = input.len() - bytes.len();
            let impossible = (1..=bytes.len()).find(|length| !possible(&bytes[..*length]));
            let in_frame = impossible.map(|length| header + length);
            let at_end = (first & FIN != 0).then_some(input.len());
            assert_eq!(failing_byte(&input), in_frame.or(at_end), "{name}, first byte {first:#x}");
        }
    }
}

#[test]
fn headers_fail_at_their_first_wrong_byte() {
    let cases: &[(ProtocolError, &[u8])] = &[
        (ProtocolError::ReservedBit, &[0xC1, 0x81]),
        (ProtocolError::ReservedOpcode(3), &[0x83, 0x81]),
        (ProtocolError::Unmasked, &[0x81, 0x7F]),
        (ProtocolError::UnexpectedContinuation, &[0x80, 0x81]),
        (ProtocolError::FragmentedControl, &[0x09, 0x80]),
        (ProtocolError::ControlTooLong, &[0x89, 0xFE]),
        (ProtocolError::InterruptedMessage, &[0x01, 0x80, 0, 0, 0, 0, 0x01, 0x80]),
        (ProtocolError::LengthNotMinimal, &[0x81, 0xFE, 0, 125]),
        (ProtocolError::LengthNotMinimal, &[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
        (ProtocolError::FrameTooLong(1_000_001), &[0x81, 0xFF, 0, 0, 0, 0, 0, 0x0F, 0x42, 0x41]),
        (ProtocolError::CloseLength, &[0x88, 0x81, 0, 0, 0, 0, 3]),
        (ProtocolError::CloseCode(1005), &[0x88, 0x82, 0, 0, 0, 0, 3, 0xED]),
    ];
    for (error, input) in cases {
        assert_eq!(decode(input, &[1], &LIMITS).1, Some(*error));
        assert_eq!(failing_byte(input), Some(input.len()), "{error}");
    }
}

#[test]
fn headers_to_the_peer_have_the_shortest_form() {
    let cases: &[(Opcode, usize, &[u8])] = &[
        (Opcode::Text, 0, &[0x81, 0]),
        (Opcode::Binary, 125, &[0x82, 125]),
        (Opcode::Ping, 125, &[0x89, 125]),
        (Opcode::Pong, 4, &[0x8A, 4]),
        (Opcode::Text, 126, &[0x81, 126, 0, 126]),
        (Opcode::Text, 65_535, &[0x81, 126, 0xFF, 0xFF]),
        (Opcode::Text, 65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        (Opcode::Binary, 0x0102_0304, &[0x82, 127, 0, 0, 0, 0, 1, 2, 3, 4]),
    ];
    for (opcode, length, expected) in cases {
        assert_eq!(*encode_header(*opcode, *length), **expected, "{opcode:?} of {length}");
    }
    assert_eq!(*encode_close(None), [0x88, 0]);
    assert_eq!(*encode_close(Some(1009)), [0x88, 2, 0x03, 0xF1]);
}

/// As the proptest would find, too, if not in each run.
#[test]
fn a_text_that_comes_alone_inside_of_a_message_is_a_mistake() {
    let (begun, inside) = (frame(TEXT, b"a"), frame(FIN | TEXT, b"b"));
    let cut = [begun.len(), inside.len()];
    let decoded = decode(&[begun, inside].concat(), &cut, &LIMITS);
    assert_eq!(decoded, (vec![], Some(ProtocolError::InterruptedMessage)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_make_no_difference(
        frames in prop::collection::vec(any_frame(), 1..12),
        pieces in prop::collection::vec(1_usize..40, 1..20),
    ) {
        let input = frames.concat();
        let limits = Limits { max_frame: 200, max_message: 300, max_fragments: 4 };
        let whole = decode(&input, &[input.len()], &limits);
        prop_assert_eq!(&whole, &decode(&input, &[1], &limits));
        prop_assert_eq!(&whole, &decode(&input, &pieces, &limits));
        // A frame that comes alone is decoded in a way of its own.
        let each = frames.iter().map(Vec::len).collect::<Vec<_>>();
        prop_assert_eq!(&whole, &decode(&input, &each, &limits));
    }

    #[test]
    fn noise_makes_no_difference_and_no_panic(
        input in prop::collection::vec(any::<u8>(), 0..300),
        pieces in prop::collection::vec(1_usize..40, 1..20),
    ) {
        prop_assert_eq!(decode(&input, &[300], &LIMITS), decode(&input, &pieces, &LIMITS));
    }

    #[test]
    fn messages_arrive_as_they_were_sent(
        messages in prop::collection::vec((".{0,40}", any::<bool>(), prop::collection::vec(0_usize..60, 0..5)), 0..8),
        pieces in prop::collection::vec(1_usize..200, 1..20),
    ) {
        let (mut input, mut expected) = (Vec::new(), Vec::new());
        for (message, is_text, cuts) in &messages {
            let mut rest = message.as_bytes();
            let mut first = if *is_text { TEXT } else { BINARY };
            for cut in cuts {
                let (front, back) = rest.split_at(rest.len().min(*cut));
                input.extend(frame(first, front));
                input.extend(frame(PING, front.get(..1).unwrap_or_default()));
                expected.push(ping(front.get(..1).unwrap_or_default()));
                (first, rest) = (CONTINUATION, back);
            }
            input.extend(frame(FIN | first, rest));
            expected.push(if *is_text { text(message) } else { binary(message.as_bytes()) });
        }
        prop_assert_eq!(decode(&input, &pieces, &LIMITS), (expected, None));
    }
}

/// Frames that are often valid, so that sequences get somewhere, and wrong in every way that a frame can be.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        12 => prop::sample::select(vec![FIN, 0, 0, TEXT, BINARY, FIN | TEXT, FIN | BINARY, PING, PONG]),
        1 => Just(CLOSE),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        6 => ".{0,30}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (100_usize..220).prop_map(|length| vec![b'x'; length]),
        1 => (990_u16..1020).prop_map(|code| code.to_be_bytes().to_vec()),
    ];
    let form = prop_oneof![12 => Just(None), 1 => prop::sample::select(vec![Some(16), Some(64)])];
    let wrong = (prop::bool::weighted(0.02), prop::bool::weighted(0.02));
    (first, payload, form, wrong).prop_map(|(first, payload, form, (unmasked, longer))| {
        let length = payload.len() as u64 + u64::from(longer);
        raw(first, form.unwrap_or_else(|| shortest_form(length)), length, !unmasked, &payload)
    })
}

/// Decodes `input` in pieces of the lengths `pieces`, over and over, until an error.
fn decode(input: &[u8], pieces: &[usize], limits: &Limits) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    let mut input = input.to_vec();
    let mut rest = input.as_mut_slice();
    for length in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at_mut(rest.len().min(*length));
        rest = later;
        let mut at = 0;
        loop {
            match decoder.decode(&mut piece[at..], limits) {
                Err(error) => {
                    assert_ignores_input(&mut decoder, limits);
                    return (events, Some(error));
                }
                Ok((used, None)) => {
                    assert_eq!(at + used, piece.len(), "input was left behind");
                    break;
                }
                Ok((used, Some(event))) => {
                    events.push(event.into_owned());
                    at += used;
                }
            }
        }
    }
    if let Some(Event::Close(_)) = events.last() {
        assert_ignores_input(&mut decoder, limits);
    }
    (events, None)
}

fn assert_ignores_input(decoder: &mut Decoder, limits: &Limits) {
    let mut input = frame(PING, b"late");
    let length = input.len();
    assert_eq!(decoder.decode(&mut input, limits), Ok((length, None)));
}

/// How many bytes it takes until the decoder complains.
fn failing_byte(input: &[u8]) -> Option<usize> {
    (1..=input.len()).find(|length| decode(&input[..*length], &[1], &LIMITS).1.is_some())
}

fn random_pieces(random: &mut StdRng) -> Vec<usize> {
    let longest = [3, 20, 5000][random.random_range(0..3)];
    (0..50).map(|_| random.random_range(1..=longest)).collect()
}

/// A masked frame with the length in its shortest form.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u64;
    raw(first, shortest_form(length), length, true, payload)
}

fn shortest_form(length: u64) -> u32 {
    match length {
        0..=125 => 7,
        126..=0xFFFF => 16,
        _ => 64,
    }
}

/// A frame with an announced `length` of `form` bits, whatever the payload.
fn raw(first: u8, form: u32, length: u64, masked: bool, payload: &[u8]) -> Vec<u8> {
    let second = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match form {
        7 => bytes.push(second | length as u8),
        16 => {
            bytes.push(second | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(second | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    let mask = if masked { MASK } else { [0; 4] };
    if masked {
        bytes.extend(mask);
    }
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    bytes
}

fn text(text: &str) -> Event<'static> {
    Event::Text(text.to_owned().into())
}

fn binary(bytes: &[u8]) -> Event<'static> {
    Event::Binary(Bytes::copy_from_slice(bytes))
}

fn ping(bytes: &[u8]) -> Event<'static> {
    Event::Ping(Bytes::copy_from_slice(bytes))
}
