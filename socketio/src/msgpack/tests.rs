use super::*;
use crate::packet::MAX_DEPTH;
use MsgPackError as E;
use proptest::prelude::*;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// `{type: 3, id: 0, nsp: "/", data: [value]}`, and where the value begins.
fn ack_of(value: &[u8]) -> (Bytes, usize) {
    let start = b"\x84\xa4type\x03\xa2id\x00\xa3nsp\xa1/\xa4data\x91";
    ([start, value].concat().into(), start.len())
}

/// What a value becomes; the positions of errors are those within it.
fn to_json(value: &[u8]) -> Result<(String, Vec<Bytes>), MsgPackError> {
    let (message, start) = ack_of(value);
    let within = |at: usize| at.checked_sub(start).expect("no error before the value");
    let packet = decode(message).map_err(|error| match error {
        E::Incomplete(at) => E::Incomplete(within(at)),
        E::Key(at) => E::Key(within(at)),
        E::Placeholder(at) => E::Placeholder(within(at)),
        E::TooDeep(at) => E::TooDeep(within(at)),
        E::TrailingBytes(at) => E::TrailingBytes(within(at)),
        E::UnknownValue(at) => E::UnknownValue(within(at)),
        E::Utf8(at) => E::Utf8(within(at)),
        error => error,
    })?;
    let Content::Ack { arguments, .. } = packet.content else { panic!("another type of packet") };
    let json = arguments.json();
    Ok((json[1..json.len() - 1].to_owned(), arguments.attachments().to_vec()))
}

fn from_json(json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    from_json::append(&mut out, json, &[]).unwrap();
    out
}

#[test]
fn every_marker_without_attachments() {
    for (value, json) in [
        (&b"\x00"[..], "0"),
        (b"\x7f", "127"),
        (b"\xe0", "-32"),
        (b"\xff", "-1"),
        (b"\xc0", "null"),
        (b"\xc2", "false"),
        (b"\xc3", "true"),
        (b"\xcc\xff", "255"),
        (b"\xcd\xff\xfe", "65534"),
        (b"\xce\xff\xff\xff\xfe", "4294967294"),
        (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
        (b"\xd0\x80", "-128"),
        (b"\xd0\x7f", "127"),
        (b"\xd1\x80\x00", "-32768"),
        (b"\xd2\x80\x00\x00\x00", "-2147483648"),
        (b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"),
        (b"\xca\x3f\x00\x00\x00", "0.5"),
        (b"\xca\x3d\xcc\xcc\xcd", "0.10000000149011612"),
        (b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1"),
        (b"\xa0", r#""""#),
        (b"\xa2\xc3\xa9", r#""é""#),
        (b"\xa3\"\\\n", r#""\"\\\n""#),
        (b"\xd9\x01a", r#""a""#),
        (b"\xda\x00\x01a", r#""a""#),
        (b"\xdb\x00\x00\x00\x01a", r#""a""#),
        (b"\x90", "[]"),
        (b"\x92\x01\x91\x02", "[1,[2]]"),
        (b"\xdc\x00\x02\x01\x02", "[1,2]"),
        (b"\xdd\x00\x00\x00\x02\x01\x02", "[1,2]"),
        (b"\x80", "{}"),
        (b"\x82\xa1b\x01\xa1a\x80", r#"{"b":1,"a":{}}"#),
        (b"\xde\x00\x01\xa1b\x01", r#"{"b":1}"#),
        (b"\xdf\x00\x00\x00\x01\xa1b\x01", r#"{"b":1}"#),
        (
            b"\x85\x00\x00\xff\x01\xcd\x01\x00\x02\xd0\x80\x03\xa1\"\x04",
            r#"{"0":0,"-1":1,"256":2,"-128":3,"\"":4}"#,
        ),
        // Undefined.
        (b"\xd4\x00\x00", "null"),
        (b"\x83\xa1a\xd4\x00\x00\xa1b\x01\xa1c\xd4\x00\x00", r#"{"b":1}"#),
        (b"\x81\xac_placeholder\xc2", r#"{"_placeholder":false}"#),
        (b"\x81\xac_placeholder\x01", r#"{"_placeholder":1}"#),
        // Date of JavaScript.
        (b"\xd7\x00\x00\x00\x01\x8c\xc8\x20\xdb\x2e", r#""2024-01-02T03:04:05.678Z""#),
        (b"\xd7\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "null"),
        // Timestamps of 32, 64 and 96 bits, made by notepack.io 3.0.1.
        (b"\xd6\xff\x65\x93\x7d\x25", r#""2024-01-02T03:04:05.000Z""#),
        (b"\xd7\xff\xa1\xa5\xd6\x00\x65\x93\x7d\x25", r#""2024-01-02T03:04:05.678Z""#),
        (b"\xd7\xff\x01\x31\x2d\x02\x00\x00\x00\x00", r#""2242-03-16T12:56:32.005Z""#),
        (b"\xc7\x0c\xff\x28\x69\x75\x80\xff\xff\xff\xff\xff\xff\xff\xff", r#""1969-12-31T23:59:59.678Z""#),
        (b"\xc7\x0c\xff\x00\x4c\x4b\x40\x00\x00\x00\x04\x00\x00\x00\x00", r#""2514-05-30T01:53:04.005Z""#),
        (b"\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "null"),
    ] {
        assert_eq!(to_json(value), Ok((json.to_owned(), vec![])), "{value:x?}");
    }
}

#[test]
fn floats_are_written_as_javascript_writes_them() {
    for (value, json) in [
        (1.0, "1"),
        (-0.0, "0"),
        (-2e15, "-2000000000000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (5e-324, "5e-324"),
        (f64::NAN, "null"),
        (f64::INFINITY, "null"),
        (f64::NEG_INFINITY, "null"),
    ] {
        let value = [&[0xcb][..], &value.to_be_bytes()].concat();
        assert_eq!(to_json(&value), Ok((json.to_owned(), vec![])));
    }
}

#[test]
fn every_marker_of_byte_buffers() {
    for value in [
        &b"\xc4\x02hi"[..],
        b"\xc5\x00\x02hi",
        b"\xc6\x00\x00\x00\x02hi",
        b"\xc7\x02\x00hi",
        b"\xc8\x00\x02\x00hi",
        b"\xc9\x00\x00\x00\x02\x00hi",
    ] {
        let expected = (r#"{"_placeholder":true,"num":0}"#.to_owned(), vec![Bytes::from("hi")]);
        assert_eq!(to_json(value), Ok(expected), "{value:x?}");
    }
    let (json, attachments) = to_json(b"\x92\xc4\x00\x81\xa1a\xc7\x01\x00x").unwrap();
    assert_eq!(json, r#"[{"_placeholder":true,"num":0},{"a":{"_placeholder":true,"num":1}}]"#);
    assert_eq!(attachments, ["", "x"]);
}

#[test]
fn refuses_what_has_no_meaning() {
    for (value, error) in [
        (&b"\xc1"[..], E::UnknownValue(0)),
        (b"\x91\xc1", E::UnknownValue(1)),
        // Extensions: unknown, or of sizes that mean nothing.
        (b"\xd4\x01\x00", E::UnknownValue(0)),
        (b"\xd5\x00\x00\x00", E::UnknownValue(0)),
        (b"\xd6\x00\x00\x00\x00\x00", E::UnknownValue(0)),
        (b"\xd7\x01\x00\x00\x00\x00\x00\x00\x00\x00", E::UnknownValue(0)),
        (b"\xd8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", E::UnknownValue(0)),
        (b"\xc7\x01\x01\x00", E::UnknownValue(0)),
        (b"\xc7\x03\xff\x00\x00\x00", E::UnknownValue(0)),
        // 10^9 nanoseconds.
        (b"\xd7\xff\xee\x6b\x28\x00\x00\x00\x00\x00", E::UnknownValue(0)),
        (b"\xa1\xff", E::Utf8(0)),
        (b"\xa3\xed\xa0\x80", E::Utf8(0)),
        (b"\x81\xa1\xff\x00", E::Utf8(1)),
        (b"\x81\xc0\x00", E::Key(1)),
        (b"\x81\xc4\x01a\x00", E::Key(1)),
        (b"\x81\xca\x3f\x80\x00\x00\x00", E::Key(1)),
        (b"\x81\xd7\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", E::Key(1)),
        (b"\x82\xa3num\x00\xac_placeholder\xc3", E::Placeholder(6)),
        (b"\x82\xac_placeholder\xc3\xac_placeholder\xc2", E::Placeholder(1)),
        (b"\x00\x00", E::TrailingBytes(1)),
    ] {
        assert_eq!(to_json(value), Err(error), "{value:x?}");
    }
}

/// A size is only what somebody says: nothing is reserved for it.
#[test]
fn refuses_what_ends_too_early() {
    for (value, error) in [
        (&b""[..], E::Incomplete(0)),
        (b"\xcd\x00", E::Incomplete(0)),
        (b"\xcb\x00\x00\x00\x00\x00\x00\x00", E::Incomplete(0)),
        (b"\xa2a", E::Incomplete(0)),
        (b"\xd9", E::Incomplete(0)),
        (b"\xdb\xff\xff\xff\xffa", E::Incomplete(0)),
        (b"\xc6\xff\xff\xff\xff", E::Incomplete(0)),
        (b"\xc9\xff\xff\xff\xff\x00", E::Incomplete(0)),
        (b"\xc7\x01", E::Incomplete(0)),
        (b"\xd4\x00", E::Incomplete(0)),
        (b"\xd6\xff\x00", E::Incomplete(0)),
        (b"\xdd\xff\xff\xff\xff\x01", E::Incomplete(6)),
        (b"\xdf\xff\xff\xff\xff\xa1a\x01", E::Incomplete(8)),
        (b"\x81\xa1a", E::Incomplete(3)),
    ] {
        assert_eq!(to_json(value), Err(error), "{value:x?}");
    }
}

#[test]
fn bounds_the_depth() {
    // The packet and its data are two.
    let depth = MAX_DEPTH as usize - 2;
    for (open, close) in [(&b"\x91"[..], "]"), (b"\x81\x00", "}")] {
        let nested = |depth| [&open.repeat(depth)[..], b"\xc0"].concat();
        let (json, _) = to_json(&nested(depth)).unwrap();
        assert!(json.ends_with(&format!("null{}", close.repeat(depth))));
        // What is received can be sent.
        assert_eq!(from_json(&format!("[{json}]")).len(), 1 + from_json(&json).len());
        assert_eq!(to_json(&nested(depth + 1)), Err(E::TooDeep(depth * open.len())));
        assert_eq!(to_json(&nested(1_000_000)), Err(E::TooDeep(depth * open.len())));
    }
    assert!(from_json::append(&mut Vec::new(), &"[".repeat(1_000_000), &[]).is_err());
}

#[test]
fn the_envelope_is_checked() {
    for (message, error) in [
        (&b""[..], E::Incomplete(0)),
        (b"\x90", E::NotMap),
        (b"\x80", E::Namespace(1)),
        (b"\x81\xa3nsp\xc0", E::Namespace(5)),
        (b"\x81\xa3nsp\x01", E::Namespace(5)),
        (b"\x81\xa3nsp\xa1a", E::Namespace(5)),
        (b"\x81\xa3nsp\xa0", E::Namespace(5)),
        (b"\x81\xa3nsp\xc4\x01/", E::Namespace(5)),
        (b"\x81\xa3nsp\xd4\x00\x00", E::Namespace(8)),
        (b"\x81\xa3nsp\xa1/", E::Type(7)),
        (b"\x82\xa4type\x05\xa3nsp\xa1/", E::Type(6)),
        (b"\x82\xa4type\xff\xa3nsp\xa1/", E::Type(6)),
        (b"\x82\xa4type\xa11\xa3nsp\xa1/", E::Type(6)),
        (b"\x82\xa4type\xd4\x00\x00\xa3nsp\xa1/", E::Type(15)),
        (b"\x83\xa4type\x01\xa3nsp\xa1/\xa2id\xff", E::AckId(16)),
        (b"\x83\xa4type\x01\xa3nsp\xa1/\xa2id\xc3", E::AckId(16)),
        (b"\x83\xa4type\x01\xa3nsp\xa1/\xa2id\xa11", E::AckId(16)),
        (b"\x83\xa4type\x01\xa3nsp\xa1/\xa2id\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00", E::AckId(16)),
        (b"\x83\xa4type\x01\xa3nsp\xa1/\xa2id\xcf\x00\x20\x00\x00\x00\x00\x00\x00", E::AckId(16)),
        (b"\x83\xa4type\x01\xa3nsp\xa1/\xa4type\x01", E::Duplicate(13)),
        (b"\x82\xa4type\x01\x00\x01", E::Key(7)),
        (b"\x82\xa4type\x01\xa3nsp\xa1/\xc0", E::TrailingBytes(13)),
        (b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x81\xa1a\xc4\x00", E::Attachments(18)),
        (b"\x83\xa4type\x04\xa3nsp\xa1/\xa4data\xc4\x00", E::Attachments(18)),
    ] {
        assert_eq!(decode(message.into()), Err(error), "{message:x?}");
    }
}

#[test]
fn parts_that_make_no_packet_are_told_by_their_rule() {
    for (kind, rest, error) in [
        (0, &b"\xa4data\xc0"[..], PacketError::Payload),
        (0, b"\xa4data\x90", PacketError::Payload),
        (1, b"\xa4data\xc0", PacketError::Payload),
        (1, b"\xa4data\x80", PacketError::Payload),
        (2, b"\xa4data\x80", PacketError::Payload),
        (2, b"\xa4none\x80", PacketError::Payload),
        (2, b"\xa4data\x90", PacketError::EventName),
        (2, b"\xa4data\x91\xc0", PacketError::EventName),
        (2, b"\xa4data\x91\xc4\x00", PacketError::EventName),
        (2, b"\xa4data\x91\xa7connect", PacketError::EventName),
        (3, b"\xa4data\x90", PacketError::MissingAckId),
        (4, b"\xa4data\x01", PacketError::Payload),
        (4, b"\xa4data\xd4\x00\x00", PacketError::Payload),
    ] {
        let message = [b"\x83\xa3nsp\xa1/\xa4type", &[kind][..], rest].concat();
        assert_eq!(decode(message.into()), Err(E::Packet(error)), "{kind} {rest:x?}");
    }
}

#[test]
fn numbers_take_their_smallest_form() {
    for (json, expected) in [
        ("127", &b"\x7f"[..]),
        ("128", b"\xcc\x80"),
        ("256", b"\xcd\x01\x00"),
        ("65536", b"\xce\x00\x01\x00\x00"),
        ("4294967296", b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00"),
        ("18446744073709551615", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("18446744073709551616", b"\xcb\x43\xf0\x00\x00\x00\x00\x00\x00"),
        ("-32", b"\xe0"),
        ("-33", b"\xd0\xdf"),
        ("-129", b"\xd1\xff\x7f"),
        ("-32769", b"\xd2\xff\xff\x7f\xff"),
        ("-2147483649", b"\xd3\xff\xff\xff\xff\x7f\xff\xff\xff"),
        ("1.0", b"\x01"),
        ("-0.0", b"\x00"),
        ("-1e2", b"\xd0\x9c"),
        ("0.5", b"\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00"),
        ("1e300", b"\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c"),
    ] {
        assert_eq!(from_json(json), expected, "{json}");
    }
}

#[test]
fn sizes_take_their_smallest_form() {
    for (count, list, map, text, buffer) in [
        (0_usize, &b"\x90"[..], &b"\x80"[..], &b"\xa0"[..], &b"\xc4\x00"[..]),
        (15, b"\x9f", b"\x8f", b"\xaf", b"\xc4\x0f"),
        (16, b"\xdc\x00\x10", b"\xde\x00\x10", b"\xb0", b"\xc4\x10"),
        (32, b"\xdc\x00\x20", b"\xde\x00\x20", b"\xd9\x20", b"\xc4\x20"),
        (256, b"\xdc\x01\x00", b"\xde\x01\x00", b"\xda\x01\x00", b"\xc5\x01\x00"),
        (
            65_536,
            b"\xdd\x00\x01\x00\x00",
            b"\xdf\x00\x01\x00\x00",
            b"\xdb\x00\x01\x00\x00",
            b"\xc6\x00\x01\x00\x00",
        ),
    ] {
        let elements = |element: &str| vec![element; count].join(",");
        assert_eq!(from_json(&format!("[{}]", elements("[7]"))), [list, &b"\x91\x07".repeat(count)].concat());
        let entries = [map, &b"\xa1k\x07".repeat(count)].concat();
        assert_eq!(from_json(&format!("{{{}}}", elements(r#""k":7"#))), entries);
        let bytes = "x".repeat(count);
        assert_eq!(from_json(&format!(r#""{bytes}""#)), [text, bytes.as_bytes()].concat());
        let mut out = Vec::new();
        let attachment = Bytes::from(bytes.clone());
        from_json::append(&mut out, r#"{"num":0,"_placeholder":true}"#, &[attachment]).unwrap();
        assert_eq!(out, [buffer, bytes.as_bytes()].concat());
    }
}

/// As everywhere that JSON is read.
#[test]
fn of_equal_keys_the_last_decides() {
    for (json, expected) in [
        (r#"{"num":7,"_placeholder":true,"num":0}"#, &b"\xc4\x01x"[..]),
        (r#"{"_placeholder":true,"_placeholder":0}"#, b"\x82\xac_placeholder\xc3\xac_placeholder\x00"),
    ] {
        let mut out = Vec::new();
        from_json::append(&mut out, json, &["x".into()]).unwrap();
        assert_eq!(out, expected, "{json}");
    }
}

#[test]
fn what_cannot_be_said_is_an_error() {
    for json in [
        "",
        "[",
        "[1]]",
        "nul",
        "1e400",
        r#""\ud800""#,
        r#"{"_placeholder":true}"#,
        r#"[{"_placeholder":true,"num":1}]"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true,"num":-1}"#,
    ] {
        assert!(from_json::append(&mut Vec::new(), json, &["x".into()]).is_err(), "{json}");
    }
    let garbage = Packet { namespace: "/".into(), content: Content::Connect { payload: Some("{".into()) } };
    assert!(matches!(MsgPackParser.encode(&garbage), Err(EncodeError::Data(_))));
}

#[test]
fn text_is_refused() {
    assert!(MsgPackParser.handle_message(Message::from("2[\"a\"]")).is_err());
}

/// Data as a program may send it, and floats that JavaScript writes as we do.
#[derive(Clone, Debug)]
enum Data {
    Null,
    Boolean(bool),
    Float(f64),
    Signed(i64),
    Unsigned(u64),
    Text(String),
    Buffer(Vec<u8>),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Boolean(value) => value.serialize(serializer),
            Self::Float(value) => value.serialize(serializer),
            Self::Signed(value) => value.serialize(serializer),
            Self::Unsigned(value) => value.serialize(serializer),
            Self::Text(value) => value.serialize(serializer),
            Self::Buffer(value) => serializer.serialize_bytes(value),
            Self::List(elements) => elements.serialize(serializer),
            Self::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

fn data() -> impl Strategy<Value = Data> {
    let float =
        any::<f64>().prop_filter("as JavaScript", |value| value.fract() != 0.0 || value.abs() >= 1e21);
    let leaf = prop_oneof![
        Just(Data::Null),
        any::<bool>().prop_map(Data::Boolean),
        float.prop_map(Data::Float),
        any::<i64>().prop_map(Data::Signed),
        (-40_i64..300).prop_map(Data::Signed),
        any::<u64>().prop_map(Data::Unsigned),
        any::<String>().prop_map(Data::Text),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Data::Buffer),
    ];
    leaf.prop_recursive(5, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Data::List),
            prop::collection::vec((any::<String>(), inner), 0..20).prop_map(Data::Object),
        ]
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    let id = (0..=AckId::MAX.value()).prop_map(AckId::new);
    (data(), prop::option::of(id), "/[a-zé,]{0,20}").prop_map(|(data, id, namespace)| {
        let mut json = Vec::new();
        let mut attachments = Vec::new();
        crate::args::write(&mut json, &mut attachments, Some("name"), &data, None).unwrap();
        let content = Content::event(id.flatten(), crate::text::into_string(json), attachments).unwrap();
        Packet { namespace: namespace.into(), content }
    })
}

/// Whatever is a packet can be sent, and is the same packet then.
fn check(message: Vec<u8>) {
    if let Ok(packet) = decode(message.into()) {
        assert_eq!(decode(encode(&packet).unwrap().into()), Ok(packet));
    }
}

proptest! {
    #[test]
    fn what_is_sent_arrives(packet in packet()) {
        prop_assert_eq!(decode(encode(&packet).unwrap().into()), Ok(packet));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        check(ack_of(&bytes).0.to_vec());
        check(bytes);
    }

    #[test]
    fn no_damage_panics(
        packet in packet(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end: prop::sample::Index,
    ) {
        let mut message = encode(&packet).unwrap();
        for (index, byte) in damage {
            let index = index.index(message.len());
            message[index] = byte;
        }
        check(message.clone());
        message.truncate(end.index(message.len()));
        check(message);
    }
}
