//! One Socket.IO packet <-> the text of one message: `<type>[<n>-][/namespace,][id][json]`.

use crate::{
    args::{self, Arguments},
    event::is_reserved,
    json,
};
use bytes::Bytes;
use bytestring::ByteString;
use engineio::Outgoing;
use serde::Serialize;

pub use crate::json::{JsonError, MAX_DEPTH};

/// Most attachments of one packet: the cap of the official parsers, ours and the clients', since
/// CVE-2026-33151.
pub const MAX_ATTACHMENTS: usize = 10;

/// Number that ties an acknowledgement to its event, at most [`AckId::MAX`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AckId(u64);

impl AckId {
    /// 2^53 - 1, the greatest that JavaScript keeps exactly.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// Takes `id`, if it is not greater than [`AckId::MAX`].
    pub fn new(id: u64) -> Option<Self> {
        (id <= Self::MAX.0).then_some(Self(id))
    }

    /// The plain number.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// A packet as it arrived: arguments are still text, checked to be JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// The namespace it belongs to; `/` if the text names none.
    pub namespace: ByteString,
    /// What it says.
    pub content: Content,
}

/// What a packet says. Binary events and acknowledgements are events and acknowledgements with attachments.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Answer to an event that carried an id.
    Ack {
        /// The id of the event.
        id: AckId,
        /// The data of the answer.
        arguments: Arguments,
    },
    /// Request to join a namespace, or the server's consent.
    Connect {
        /// JSON object; from a client, what it authenticates with.
        payload: Option<ByteString>,
    },
    /// Refusal of a request to join.
    ConnectError {
        /// JSON object, or string in older revisions.
        payload: ByteString,
    },
    /// End of the membership of a namespace.
    Disconnect,
    /// An event.
    Event {
        /// Present if the sender waits for an acknowledgement.
        id: Option<AckId>,
        /// Its name; a number, which the protocol allows too, as it was written.
        name: ByteString,
        /// What follows the name.
        arguments: Arguments,
    },
}

/// Why a text is not a packet. Whatever it is, the connection is to be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PacketError {
    /// Ack id greater than [`AckId::MAX`].
    #[error("ack id greater than 2^53 - 1")]
    AckIdTooLarge,
    /// Attachment count missing or not a plain number.
    #[error("ill-formed number of attachments")]
    Attachments,
    /// Payload is not acceptable JSON.
    #[error("payload: {0}")]
    Json(#[from] JsonError),
    /// Acknowledgement without an id.
    #[error("acknowledgement without id")]
    MissingAckId,
    /// Payload of the wrong kind, or missing or present against the rules.
    #[error("payload does not suit the packet type")]
    Payload,
    /// A placeholder names an attachment that does not exist or is named already.
    #[error("placeholder names no attachment of its own")]
    Placeholder,
    /// An event whose name is missing, not a string or number, or reserved.
    #[error("event name missing, of the wrong type or reserved")]
    EventName,
    /// More than [`MAX_ATTACHMENTS`] announced.
    #[error("more than {MAX_ATTACHMENTS} attachments")]
    TooManyAttachments,
    /// First character is not a digit from 0 to 6.
    #[error("unknown packet type")]
    Type,
}

impl Packet {
    /// Reads the text of a packet; the number is how many attachments are to follow.
    ///
    /// The parts are slices of `text`, nothing is copied but event names that contain escapes.
    pub fn parse(text: &ByteString) -> Result<(Self, usize), PacketError> {
        let (&kind, _) = text.as_bytes().split_first().ok_or(PacketError::Type)?;
        if !matches!(kind, b'0'..=b'6') {
            return Err(PacketError::Type);
        }
        let (attachments, rest) =
            if matches!(kind, b'5' | b'6') { attachment_count(&text[1..])? } else { (0, &text[1..]) };
        let (namespace, rest) = match rest.split_once(',') {
            _ if !rest.starts_with('/') => (ByteString::from_static("/"), rest),
            Some((namespace, rest)) => (text.slice_ref(namespace), rest),
            None => (text.slice_ref(rest), ""),
        };
        let (id, payload) = ack_id(rest)?;
        if !payload.is_empty() {
            json::check(payload)?;
        }
        let arguments = |names: usize| -> Result<Arguments, PacketError> {
            if attachments > 0 {
                args::check_placeholders(payload, attachments)?;
            }
            Ok(Arguments::new(text.slice_ref(payload), names))
        };
        let content = match (kind, first(payload)) {
            (b'0', None) => Content::Connect { payload: None },
            (b'0', Some(b'{')) => Content::Connect { payload: Some(text.slice_ref(payload)) },
            (b'1', None) => Content::Disconnect,
            (b'2' | b'5', Some(b'[')) => {
                Content::Event { id, name: event_name(text, payload)?, arguments: arguments(1)? }
            }
            (b'3' | b'6', Some(b'[')) => {
                Content::Ack { id: id.ok_or(PacketError::MissingAckId)?, arguments: arguments(0)? }
            }
            (b'4', Some(b'{' | b'"')) => Content::ConnectError { payload: text.slice_ref(payload) },
            _ => return Err(PacketError::Payload),
        };
        Ok((Self { namespace, content }, attachments))
    }
}

fn attachment_count(text: &str) -> Result<(usize, &str), PacketError> {
    let (digits, rest) = text.split_once('-').ok_or(PacketError::Attachments)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PacketError::Attachments);
    }
    let count = decimal(digits).and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|&count| count <= MAX_ATTACHMENTS).ok_or(PacketError::TooManyAttachments)?;
    Ok((count, rest))
}

fn ack_id(text: &str) -> Result<(Option<AckId>, &str), PacketError> {
    let (digits, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    if digits.is_empty() {
        return Ok((None, rest));
    }
    let id = decimal(digits).and_then(AckId::new).ok_or(PacketError::AckIdTooLarge)?;
    Ok((Some(id), rest))
}

/// The value of ASCII digits, if it fits.
fn decimal(digits: &str) -> Option<u64> {
    digits.bytes().try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// First byte of checked JSON that is not white space.
fn first(json: &str) -> Option<u8> {
    trim(json).bytes().next()
}

fn trim(json: &str) -> &str {
    json.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// The name of an event whose `payload`, a part of `text`, is known to be a JSON array.
fn event_name(text: &ByteString, payload: &str) -> Result<ByteString, PacketError> {
    let element = trim(&trim(payload)[1..]);
    let name = match element.bytes().next() {
        Some(b'"') => {
            let mut escaped = false;
            let closing = |byte: u8| {
                let closes = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                closes
            };
            let end = 1 + element.bytes().skip(1).position(closing).expect("the string was checked to end");
            let plain = &element[1..end];
            if plain.contains('\\') {
                let unescaped: String =
                    serde_json::from_str(&element[..=end]).map_err(|_| PacketError::EventName)?;
                unescaped.into()
            } else {
                text.slice_ref(plain)
            }
        }
        Some(b'-' | b'0'..=b'9') => {
            let end = element.find([',', ']', ' ', '\t', '\n', '\r']).expect("the array was checked to end");
            text.slice_ref(&element[..end])
        }
        _ => return Err(PacketError::EventName),
    };
    if is_reserved(&name) { Err(PacketError::EventName) } else { Ok(name) }
}

/// A packet on its way out: one text message and its attachments. A clone shares the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    text: ByteString,
    attachments: Vec<Bytes>,
}

/// Why something cannot be sent, on any connection.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The data cannot be written as JSON.
    #[error("data cannot be encoded: {0}")]
    Data(#[from] serde_json::Error),
    /// The protocol keeps this event name for itself.
    #[error("event name is reserved")]
    ReservedName,
    /// The data holds more than [`MAX_ATTACHMENTS`] byte buffers; a client would close the connection.
    #[error("more than {MAX_ATTACHMENTS} attachments")]
    TooManyAttachments,
}

impl Encoded {
    /// Encodes an event; `data` becomes its arguments as [`args`] describes.
    pub fn event<D: Serialize + ?Sized>(
        namespace: &str,
        id: Option<AckId>,
        name: &str,
        data: &D,
    ) -> Result<Self, EncodeError> {
        if is_reserved(name) {
            return Err(EncodeError::ReservedName);
        }
        Self::with_arguments(header(b'2', namespace, id), Some(name), data)
    }

    /// Encodes an acknowledgement; `data` becomes its arguments as [`args`] describes.
    pub fn ack<D: Serialize + ?Sized>(namespace: &str, id: AckId, data: &D) -> Result<Self, EncodeError> {
        Self::with_arguments(header(b'3', namespace, Some(id)), None, data)
    }

    /// Encodes a request to join (client, `payload` authenticates) or the consent to it (server).
    pub fn connect<P: Serialize>(namespace: &str, payload: &P) -> Result<Self, EncodeError> {
        Self::control(b'0', namespace, payload)
    }

    /// Encodes the refusal of a request to join.
    pub fn connect_error<P: Serialize>(namespace: &str, payload: &P) -> Result<Self, EncodeError> {
        Self::control(b'4', namespace, payload)
    }

    /// Encodes the end of a membership.
    pub fn disconnect(namespace: &str) -> Self {
        Self::plain(header(b'1', namespace, None))
    }

    /// The text of the packet.
    pub fn text(&self) -> &ByteString {
        &self.text
    }

    /// The byte buffers that follow the text, in order.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// The messages to be sent, which must stay together.
    pub fn messages(&self) -> impl Iterator<Item = Outgoing> + '_ {
        let attachments = self.attachments.iter().map(|bytes| bytes.clone().into());
        std::iter::once(self.text.clone().into()).chain(attachments)
    }

    fn control<P: Serialize>(kind: u8, namespace: &str, payload: &P) -> Result<Self, EncodeError> {
        let mut text = header(kind, namespace, None);
        serde_json::to_writer(&mut text, payload)?;
        Ok(Self::plain(text))
    }

    /// Writes the arguments and, if there are attachments, turns the packet into its binary form.
    fn with_arguments<D: Serialize + ?Sized>(
        mut text: Vec<u8>,
        name: Option<&str>,
        data: &D,
    ) -> Result<Self, EncodeError> {
        let attachments = args::write(&mut text, name, data)?;
        if attachments.len() > MAX_ATTACHMENTS {
            return Err(EncodeError::TooManyAttachments);
        }
        if !attachments.is_empty() {
            let kind = char::from(text[0] + 3);
            text.splice(..1, format!("{kind}{}-", attachments.len()).into_bytes());
        }
        Ok(Self { attachments, ..Self::plain(text) })
    }

    fn plain(text: Vec<u8>) -> Self {
        let text = String::from_utf8(text).expect("serde_json writes UTF-8");
        Self { text: text.into(), attachments: Vec::new() }
    }
}

fn header(kind: u8, namespace: &str, id: Option<AckId>) -> Vec<u8> {
    // Room for a small event, so that most need no second allocation.
    let mut text = Vec::with_capacity(128);
    text.push(kind);
    if namespace != "/" {
        text.extend_from_slice(namespace.as_bytes());
        text.push(b',');
    }
    if let Some(AckId(id)) = id {
        text.extend_from_slice(id.to_string().as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn parse(text: &str) -> Result<(Packet, usize), PacketError> {
        Packet::parse(&ByteString::from(text))
    }

    fn packet(namespace: &str, content: Content) -> Result<(Packet, usize), PacketError> {
        Ok((Packet { namespace: namespace.into(), content }, 0))
    }

    fn event(id: Option<u64>, name: &str, json: &str) -> Content {
        Content::Event {
            id: id.and_then(AckId::new),
            name: name.into(),
            arguments: Arguments::new(json.into(), 1),
        }
    }

    #[test]
    fn parses() {
        let connect = |payload: &str| Content::Connect { payload: Some(payload.into()) };
        let ack = |id, json: &str| Content::Ack {
            id: AckId::new(id).unwrap(),
            arguments: Arguments::new(json.into(), 0),
        };
        for (text, namespace, content) in [
            ("0", "/", Content::Connect { payload: None }),
            ("05", "/", Content::Connect { payload: None }),
            ("0/,", "/", Content::Connect { payload: None }),
            ("0/custom", "/custom", Content::Connect { payload: None }),
            ("0/a?b=c,{}", "/a?b=c", connect("{}")),
            (r#"0{"token":"1"}"#, "/", connect(r#"{"token":"1"}"#)),
            ("1", "/", Content::Disconnect),
            ("1/a,", "/a", Content::Disconnect),
            (r#"2["a"]"#, "/", event(None, "a", r#"["a"]"#)),
            (r#"2/a/b,12["a",1]"#, "/a/b", event(Some(12), "a", r#"["a",1]"#)),
            (r#"2007[ "a" ]"#, "/", event(Some(7), "a", r#"[ "a" ]"#)),
            (r#"29007199254740991["a"]"#, "/", event(Some(AckId::MAX.0), "a", r#"["a"]"#)),
            (r#"2["\"\\\u00e9",1]"#, "/", event(None, "\"\\é", r#"["\"\\\u00e9",1]"#)),
            ("2[1]", "/", event(None, "1", "[1]")),
            ("2[-1.50 ,2]", "/", event(None, "-1.50", "[-1.50 ,2]")),
            (r#"50-["a"]"#, "/", event(None, "a", r#"["a"]"#)),
            ("30[]", "/", ack(0, "[]")),
            ("60-/a,1[1]", "/a", ack(1, "[1]")),
            (r#"4{"message":"x"}"#, "/", Content::ConnectError { payload: r#"{"message":"x"}"#.into() }),
        ] {
            assert_eq!(parse(text), packet(namespace, content), "{text}");
        }
    }

    #[test]
    fn counts_attachments() {
        let ten = r#"510-/a,3["x",{"_placeholder":true,"num":9}]"#;
        assert_eq!(parse(ten).map(|(_, attachments)| attachments), Ok(10));
    }

    #[test]
    fn refuses() {
        use PacketError as E;
        let unexpected = |at| E::Json(JsonError::Unexpected(at));
        for (text, error) in [
            ("", E::Type),
            ("7", E::Type),
            ("é", E::Type),
            ("0,", unexpected(0)),
            ("0[]", E::Payload),
            ("0null", E::Payload),
            (r#"0"x""#, E::Payload),
            ("1{}", E::Payload),
            ("2", E::Payload),
            ("2null", E::Payload),
            ("2{}", E::Payload),
            ("2[]", E::EventName),
            ("2[null]", E::EventName),
            ("2[[]]", E::EventName),
            (r#"2["connect"]"#, E::EventName),
            (r#"2["disconn\u0065ct"]"#, E::EventName),
            (r#"2["\ud800"]"#, E::EventName),
            (r#"2["a"]x"#, unexpected(5)),
            (r#"2["a""#, unexpected(4)),
            (r#"2 1["a"]"#, unexpected(2)),
            (r#"2+1["a"]"#, unexpected(0)),
            (r#"29007199254740992["a"]"#, E::AckIdTooLarge),
            (r#"299999999999999999999999["a"]"#, E::AckIdTooLarge),
            ("31", E::Payload),
            ("3[]", E::MissingAckId),
            ("31{}", E::Payload),
            ("4", E::Payload),
            (r#"5["a"]"#, E::Attachments),
            (r#"5-["a"]"#, E::Attachments),
            (r#"5 1-["a"]"#, E::Attachments),
            (r#"51.5-["a"]"#, E::Attachments),
            (r#"5-1-["a"]"#, E::Attachments),
            (r#"511-["a"]"#, E::TooManyAttachments),
            (r#"599999999999999999999999-["a"]"#, E::TooManyAttachments),
            (r#"51-["a",{"_placeholder":true,"num":1}]"#, E::Placeholder),
            (r#"51-["a",{"_placeholder":true,"num":-1}]"#, E::Placeholder),
            (r#"51-["a",{"_placeholder":true,"num":0.5}]"#, E::Placeholder),
            (r#"51-["a",{"_placeholder":true,"num":"0"}]"#, E::Placeholder),
            (r#"51-["a",{"_placeholder":true}]"#, E::Placeholder),
            (
                r#"51-["a",[{"x":{"num":0,"_placeh\u006flder":true}}],{"_placeholder":true,"num":0}]"#,
                E::Placeholder,
            ),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        let deep = format!(r#"2["a",{}1{}]"#, "[".repeat(128), "]".repeat(128));
        assert_eq!(parse(&deep), Err(E::Json(JsonError::TooDeep(132))));
    }

    #[test]
    fn only_marked_objects_are_placeholders() {
        for text in [
            r#"51-["a",{"_placeholder":false,"num":7}]"#,
            r#"51-["a",{"_placeholder":1,"num":7},{"num":7}]"#,
            r#"2["a",{"_placeholder":true,"num":7}]"#,
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn encodes() {
        let text = |packet: Result<Encoded, EncodeError>| packet.unwrap().text().to_string();
        let id = AckId::new(7);
        assert_eq!(text(Encoded::event("/", None, "a", &())), r#"2["a"]"#);
        assert_eq!(text(Encoded::event("/n", id, "\"", &("b", 1))), r#"2/n,7["\"","b",1]"#);
        assert_eq!(text(Encoded::ack("/", id.unwrap(), &[true])), "37[true]");
        assert_eq!(text(Encoded::connect("/n", &json!({"sid": "x"}))), r#"0/n,{"sid":"x"}"#);
        assert_eq!(text(Encoded::connect_error("/", &json!({"message": "x"}))), r#"4{"message":"x"}"#);
        assert_eq!(Encoded::disconnect("/").text(), "1");
        let binary =
            Encoded::event("/n", id, "a", &(Bytes::from("one"), 1, vec![Bytes::from("two")])).unwrap();
        let [one, two] = [0, 1].map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#));
        assert_eq!(binary.text(), &format!(r#"52-/n,7["a",{one},1,[{two}]]"#));
        assert_eq!(binary.attachments(), ["one", "two"]);
        let ack = Encoded::ack("/", AckId::MAX, &Bytes::new()).unwrap();
        assert_eq!(ack.text(), &format!("61-9007199254740991[{one}]"));
    }

    #[test]
    fn what_cannot_be_sent() {
        assert!(matches!(Encoded::event("/", None, "connect", &()), Err(EncodeError::ReservedName)));
        let buffers = |count: usize| Encoded::event("/", None, "a", &vec![Bytes::new(); count]);
        assert!(buffers(10).is_ok());
        assert!(matches!(buffers(11), Err(EncodeError::TooManyAttachments)));
        let no_json = std::collections::BTreeMap::from([([1], 2)]);
        assert!(matches!(Encoded::event("/", None, "a", &no_json), Err(EncodeError::Data(_))));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..5)
                    .prop_map(|object| object.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn round_trip(
            namespace in "/[^,]{0,10}",
            id in prop::option::of(0..=AckId::MAX.0),
            name in ".*",
            data in (value(), value()),
            buffers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4).prop_map(Bytes::from), 0..=10),
        ) {
            prop_assume!(!is_reserved(&name));
            let id = id.and_then(AckId::new);
            let sent = (data.0, data.1, buffers);
            let encoded = Encoded::event(&namespace, id, &name, &sent).unwrap();
            let (mut packet, attachments) = Packet::parse(encoded.text()).unwrap();
            prop_assert_eq!(attachments, sent.2.len());
            prop_assert_eq!(&packet.namespace, &namespace);
            let Content::Event { id: got_id, name: got_name, arguments } = &mut packet.content else {
                panic!("an event")
            };
            arguments.attach(encoded.attachments().to_vec());
            prop_assert_eq!((*got_id, &**got_name), (id, &*name));
            prop_assert_eq!(arguments.decode::<(Value, Value, Vec<Bytes>)>().unwrap(), sent);
        }

        #[test]
        fn no_text_panics(text in r#"[0-6][0-9]{0,2}-?(/[a,]{0,2})?[0-9]{0,17}.{0,3}[\[{"a:,}\]\\ 0]{0,12}"#) {
            parse(&text).ok();
        }
    }
}
