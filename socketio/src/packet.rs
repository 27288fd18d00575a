//! The text of one message -> one Socket.IO packet: `<type>[<n>-][/namespace,][id][json]`.

use crate::{
    args::{self, Arguments, ArgumentsRef},
    connection::EventRef,
    event::is_reserved,
    json::{self, PlainStrings},
};
use bytes::Bytes;
use bytestring::ByteString;
use compact_str::CompactString;
use std::ops::Range;

pub use crate::{
    encoded::{EncodeError, Encoded},
    json::{JsonError, MAX_DEPTH},
};

/// Most attachments of one packet, unless told otherwise: the cap of the official parsers, servers' and
/// clients', since CVE-2026-33151.
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
        name: CompactString,
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
    /// More attachments than allowed are announced.
    #[error("more than {0} attachments")]
    TooManyAttachments(usize),
    /// First character is not a digit from 0 to 6.
    #[error("unknown packet type")]
    Type,
}

impl Packet {
    /// Reads the text of a packet; the number is how many attachments are to follow, `max_attachments` at most.
    ///
    /// The parts share `text`, nothing is copied but event names.
    ///
    /// # Errors
    ///
    /// The text is no packet.
    pub fn parse(text: &ByteString, max_attachments: usize) -> Result<(Self, usize), PacketError> {
        Self::parse_owned(text.clone(), max_attachments)
    }

    /// The same without another reference to the text, which costs more than all else in a small event.
    pub(crate) fn parse_owned(
        text: ByteString,
        max_attachments: usize,
    ) -> Result<(Self, usize), PacketError> {
        let outline = Outline::parse(&text, max_attachments)?;
        let (namespace, attachments) = (outline.shared_namespace(&text), outline.attachments);
        Ok((Self { namespace, content: outline.content(text) }, attachments))
    }
}

/// Where the parts of a packet's text are: what a packet is, found out before anything of it is copied or kept.
#[derive(Debug)]
pub(crate) struct Outline {
    kind: u8,
    attachments: usize,
    /// Empty for `/`.
    namespace: Range<usize>,
    id: Option<AckId>,
    payload: usize,
    name: Name,
    /// Where the arguments begin: behind the name of an event, or the bracket.
    first: usize,
    /// The first argument of an event, if that is a string which stands for itself.
    string: Option<Range<usize>>,
}

/// The name of an event.
#[derive(Debug)]
enum Name {
    /// It stands for itself here.
    Plain(Range<usize>),
    /// Escapes have been resolved, or it is a number. Boxed, so that all of an outline are words: to move its bytes
    /// piece by piece, as those of a compact string, waits for each piece to be written.
    Other(Box<str>),
}

impl Outline {
    /// Finds the parts of `text`, with `max_attachments` at most.
    // Inlined, as what it returns is large, and used at once.
    #[inline(always)]
    pub(crate) fn parse(text: &str, max_attachments: usize) -> Result<Self, PacketError> {
        // The rule, of which much is known before it is compiled.
        if text.starts_with("2[") {
            return Self::of_payload(b'2', 0, 0..0, None, text, 1);
        }
        let (&kind, _) = text.as_bytes().split_first().ok_or(PacketError::Type)?;
        if !matches!(kind, b'0'..=b'6') {
            return Err(PacketError::Type);
        }
        let (attachments, rest) =
            if matches!(kind, b'5' | b'6') { attachment_count(&text[1..])? } else { (0, &text[1..]) };
        if attachments > max_attachments {
            return Err(PacketError::TooManyAttachments(max_attachments));
        }
        let (namespace, rest) = if rest.starts_with('/') {
            let (namespace, behind) = rest.split_once(',').unwrap_or((rest, ""));
            let start = text.len() - rest.len();
            (start..start + namespace.len(), behind)
        } else {
            (0..0, rest)
        };
        let (id, payload) = if rest.starts_with('[') { (None, rest) } else { ack_id(rest)? };
        Self::of_payload(kind, attachments, namespace, id, text, text.len() - payload.len())
    }

    /// The parts of a packet of this kind whose payload begins at `start`.
    #[inline(always)]
    fn of_payload(
        kind: u8,
        attachments: usize,
        namespace: Range<usize>,
        id: Option<AckId>,
        text: &str,
        start: usize,
    ) -> Result<Self, PacketError> {
        let payload = &text[start..];
        let strings = match (payload.is_empty(), kind) {
            (true, _) => PlainStrings::default(),
            (false, b'2' | b'5') => json::check_array(payload)?,
            (false, _) => json::check(payload).map(|()| PlainStrings::default())?,
        };
        if attachments > 0 {
            args::check_placeholders(payload, attachments)?;
        }
        let shifted = |range: Range<usize>| start + range.start..start + range.end;
        let (name, first) = match (kind, strings.first) {
            (b'2' | b'5', Some(name)) => {
                if is_reserved(&payload[name.clone()]) {
                    return Err(PacketError::EventName);
                }
                let behind = start + name.end + 1;
                (Name::Plain(shifted(name)), behind)
            }
            _ => match (kind, first(payload)) {
                (b'2' | b'5', Some(b'[')) => event_name(payload, start)?,
                (b'3' | b'6', Some(b'[')) => {
                    id.ok_or(PacketError::MissingAckId)?;
                    let bracket = payload.len() - json::trim_start(payload).len();
                    (Name::Plain(0..0), start + bracket + 1)
                }
                (b'0', None | Some(b'{')) | (b'1', None) | (b'4', Some(b'{' | b'"')) => {
                    (Name::Plain(0..0), start)
                }
                _ => return Err(PacketError::Payload),
            },
        };
        let string = strings.second.map(shifted);
        Ok(Self { kind, attachments, namespace, id, payload: start, name, first, string })
    }

    /// The namespace of the packet with this text.
    pub(crate) fn namespace<'a>(&self, text: &'a str) -> &'a str {
        if self.namespace.is_empty() { "/" } else { &text[self.namespace.clone()] }
    }

    fn shared_namespace(&self, text: &ByteString) -> ByteString {
        if self.namespace.is_empty() {
            return ByteString::from_static("/");
        }
        text.slice_ref(self.namespace(text))
    }

    /// The event that this text is, which must be one without attachments.
    pub(crate) fn event<'a>(&'a self, text: &'a str) -> EventRef<'a> {
        let name = match &self.name {
            Name::Plain(at) => &text[at.clone()],
            Name::Other(name) => name,
        };
        let string = self.string.clone().map(|at| &text[at]);
        let arguments = ArgumentsRef::new(&text[self.payload..], self.first - self.payload, string, &[]);
        EventRef { id: self.id, name, arguments, whole: None }
    }

    /// What the packet with this text says; attachments are to be added.
    fn content(self, text: ByteString) -> Content {
        let payload = |text: &ByteString| text.slice_ref(&text[self.payload..]);
        match (self.kind, self.id) {
            (b'0', _) => {
                Content::Connect { payload: Some(payload(&text)).filter(|payload| !payload.is_empty()) }
            }
            (b'1', _) => Content::Disconnect,
            (b'3' | b'6', Some(id)) => {
                Content::Ack { id, arguments: Arguments::new(text, self.payload, self.first) }
            }
            (b'4', _) => Content::ConnectError { payload: payload(&text) },
            (_, id) => {
                let name = match self.name {
                    Name::Plain(at) => text[at].into(),
                    Name::Other(name) => (*name).into(),
                };
                Content::Event { id, name, arguments: Arguments::new(text, self.payload, self.first) }
            }
        }
    }
}

impl Content {
    /// An event, of the JSON array of its name and arguments; `attachments` are what placeholders in it stand
    /// for. This and the like of it are for [parsers](crate::Parser) of other formats.
    ///
    /// # Errors
    ///
    /// [`PacketError`] for what the default parser would not accept either.
    pub fn event(
        id: Option<AckId>,
        json: impl Into<ByteString>,
        attachments: Vec<Bytes>,
    ) -> Result<Self, PacketError> {
        Self::checked(b'2', id, json.into(), attachments)
    }

    /// An acknowledgement, of the JSON array of its arguments.
    ///
    /// # Errors
    ///
    /// As for [`event`](Self::event).
    pub fn ack(id: AckId, json: impl Into<ByteString>, attachments: Vec<Bytes>) -> Result<Self, PacketError> {
        Self::checked(b'3', Some(id), json.into(), attachments)
    }

    /// A request to join, or the consent to it, with a JSON object as payload, or none.
    ///
    /// # Errors
    ///
    /// As for [`event`](Self::event).
    pub fn connect(json: Option<ByteString>) -> Result<Self, PacketError> {
        Self::checked(b'0', None, json.unwrap_or_default(), Vec::new())
    }

    /// A refusal, with a JSON object or string as payload.
    ///
    /// # Errors
    ///
    /// As for [`event`](Self::event).
    pub fn connect_error(json: impl Into<ByteString>) -> Result<Self, PacketError> {
        Self::checked(b'4', None, json.into(), Vec::new())
    }

    fn checked(
        kind: u8,
        id: Option<AckId>,
        payload: ByteString,
        attachments: Vec<Bytes>,
    ) -> Result<Self, PacketError> {
        let mut content =
            Outline::of_payload(kind, attachments.len(), 0..0, id, &payload, 0)?.content(payload);
        content.attach(attachments);
        Ok(content)
    }

    /// Hands over the attachments that were announced.
    pub(crate) fn attach(&mut self, attachments: Vec<Bytes>) {
        if let Self::Event { arguments, .. } | Self::Ack { arguments, .. } = self {
            arguments.attach(attachments);
        }
    }
}

fn attachment_count(text: &str) -> Result<(usize, &str), PacketError> {
    let (digits, rest) = text.split_once('-').ok_or(PacketError::Attachments)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PacketError::Attachments);
    }
    // What does not fit is beyond any limit.
    let count = decimal(digits).and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
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
    json::trim_start(json).bytes().next()
}

/// The name of an event whose payload, an array, begins at `start`, and where its arguments begin.
fn event_name(payload: &str, start: usize) -> Result<(Name, usize), PacketError> {
    let element = json::trim_start(&json::trim_start(payload)[1..]);
    let end = json::value_end(element);
    let name = match element.as_bytes().first() {
        Some(b'"') => {
            serde_json::from_str::<Box<str>>(&element[..end]).map_err(|_| PacketError::EventName)?
        }
        Some(b'-' | b'0'..=b'9') => element[..end].into(),
        _ => return Err(PacketError::EventName),
    };
    if is_reserved(&name) {
        return Err(PacketError::EventName);
    }
    Ok((Name::Other(name), start + payload.len() - element.len() + end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::IncomingEvent;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<(Packet, usize), PacketError> {
        Packet::parse(&ByteString::from(text), MAX_ATTACHMENTS)
    }

    fn packet(namespace: &str, content: Content) -> Result<(Packet, usize), PacketError> {
        Ok((Packet { namespace: namespace.into(), content }, 0))
    }

    fn event(id: Option<u64>, name: &str, json: &str) -> Content {
        Content::Event {
            id: id.and_then(AckId::new),
            name: name.into(),
            arguments: Arguments::new(json.into(), 0, event_name(json, 0).map_or(1, |(_, end)| end)),
        }
    }

    #[test]
    fn an_event_is_the_same_where_it_lies() {
        for text in [
            r#"2["a"]"#,
            r#"2["a","text"]"#,
            r#"2["a","\"",1]"#,
            r#"2["\n","text",{}]"#,
            r#"2[ "a" , "text" ]"#,
            r#"2/n,7["a",["text"]]"#,
            "2[1,2]",
        ] {
            let outline = Outline::parse(text, MAX_ATTACHMENTS).unwrap();
            let (packet, _) = parse(text).unwrap();
            assert_eq!(outline.namespace(text), &*packet.namespace, "{text}");
            let Content::Event { id, name, arguments } = packet.content else { panic!("an event: {text}") };
            let here = outline.event(text);
            let first =
                |arguments: &ArgumentsRef<'_>| arguments.decode::<Option<serde_json::Value>>().unwrap();
            assert_eq!(first(&here.arguments), first(&arguments.borrowed()), "{text}");
            let string = here.arguments.decode::<String>().ok();
            assert_eq!(string, arguments.decode::<String>().ok(), "{text}");
            assert_eq!(here.to_owned(), IncomingEvent { id, name, arguments }, "{text}");
        }
    }

    #[test]
    fn parses() {
        let connect = |payload: &str| Content::Connect { payload: Some(payload.into()) };
        let ack = |id, json: &str| Content::Ack {
            id: AckId::new(id).unwrap(),
            arguments: Arguments::new(json.into(), 0, 1),
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
            (r#"511-["a"]"#, E::TooManyAttachments(10)),
            (r#"599999999999999999999999-["a"]"#, E::TooManyAttachments(10)),
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

    proptest! {
        #[test]
        fn no_text_panics(text in r#"[0-6][0-9]{0,2}-?(/[a,]{0,2})?[0-9]{0,17}.{0,3}[\[{"a:,}\]\\ 0]{0,12}"#) {
            parse(&text).ok();
        }
    }
}
