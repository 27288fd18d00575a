//! Packets on their way out, in the form that the default parser gives them.

use crate::{
    args::{self, Arguments},
    event::is_reserved,
    packet::{AckId, MAX_ATTACHMENTS},
    text::{self, with_scratch},
};
use bytes::Bytes;
use bytestring::ByteString;
use engineio::{Message, Outgoing};
use serde::Serialize;

/// A packet on its way out: a message, and the attachments that follow it. Encoded once, however many receive
/// it.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    first: Message,
    rest: Vec<Message>,
    compress: bool,
}

/// Why something cannot be sent, on any connection.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The data cannot be written as JSON.
    #[error("data cannot be encoded: {0}")]
    Data(#[from] serde_json::Error),
    /// A [parser](crate::Parser) of the program's choice failed.
    #[error("parser: {0}")]
    Parser(Box<dyn std::error::Error + Send + Sync>),
    /// The protocol keeps this event name for itself.
    #[error("event name is reserved")]
    ReservedName,
    /// The data holds more byte buffers than this; a client would close the connection.
    #[error("more than {0} attachments")]
    TooManyAttachments(usize),
}

impl Encoded {
    /// Encodes an event; `data` becomes its arguments as [`args`] describes.
    ///
    /// # Errors
    ///
    /// The data is no JSON, has more than [`MAX_ATTACHMENTS`] byte buffers, or the name is reserved.
    pub fn event<D: Serialize + ?Sized>(
        namespace: &str,
        id: Option<AckId>,
        name: &str,
        data: &D,
    ) -> Result<Self, EncodeError> {
        Self::event_within(MAX_ATTACHMENTS, namespace, id, name, data, None)
    }

    /// Encodes an acknowledgement; `data` becomes its arguments as [`args`] describes.
    ///
    /// # Errors
    ///
    /// As for [`event`](Self::event).
    pub fn ack<D: Serialize + ?Sized>(namespace: &str, id: AckId, data: &D) -> Result<Self, EncodeError> {
        Self::ack_within(MAX_ATTACHMENTS, namespace, id, data)
    }

    /// Encodes a request to join (client, `payload` authenticates) or the consent to it (server).
    ///
    /// # Errors
    ///
    /// The payload is no JSON.
    pub fn connect<P: Serialize>(namespace: &str, payload: &P) -> Result<Self, EncodeError> {
        Self::control(b'0', namespace, payload)
    }

    /// Encodes the refusal of a request to join.
    ///
    /// # Errors
    ///
    /// The payload is no JSON.
    pub fn connect_error<P: Serialize>(namespace: &str, payload: &P) -> Result<Self, EncodeError> {
        Self::control(b'4', namespace, payload)
    }

    /// Encodes the end of a membership.
    pub fn disconnect(namespace: &str) -> Self {
        with_scratch(2 * COPIED, |text| {
            header(text, b'1', namespace, None);
            Self::plain(text)
        })
    }

    /// The messages to be sent, which must stay together.
    pub fn messages(&self) -> impl Iterator<Item = Outgoing> + '_ {
        let compress = self.compress;
        let messages = std::iter::once(&self.first).chain(&self.rest);
        messages.map(move |message| outgoing(message.clone(), compress))
    }

    /// The messages to be sent to one client only.
    pub fn into_messages(self) -> impl Iterator<Item = Outgoing> {
        let Self { first, rest, compress } = self;
        std::iter::once(first).chain(rest).map(move |message| outgoing(message, compress))
    }

    /// The message to be sent to one client only, if it is the only one.
    pub(crate) fn into_message(self) -> Result<Outgoing, Self> {
        if self.rest.is_empty() { Ok(outgoing(self.first, self.compress)) } else { Err(self) }
    }

    /// An event with at most `max_attachments`, and `last` as one argument more.
    pub(crate) fn event_within<D: Serialize + ?Sized>(
        max_attachments: usize,
        namespace: &str,
        id: Option<AckId>,
        name: &str,
        data: &D,
        last: Option<&str>,
    ) -> Result<Self, EncodeError> {
        if is_reserved(name) {
            return Err(EncodeError::ReservedName);
        }
        with_scratch(2 * COPIED, |text| {
            header(text, b'2', namespace, id);
            let mut attachments = Vec::new();
            args::write(text, &mut attachments, Some(name), data, last)?;
            Self::with_attachments(text, attachments, max_attachments)
        })
    }

    /// Writes an event that nobody acknowledges where it leaves from; `None` if it cannot be.
    ///
    /// # Errors
    ///
    /// An event whose attachments are too large to be copied, which has not been sent, or why it is none. Boxed, as that
    /// is seldom and large, and would be handed on from one to the next.
    pub(crate) fn send_in_turn(
        max_attachments: usize,
        connection: &engineio::Connection,
        namespace: &str,
        name: &str,
        write: &WriteArguments<'_>,
    ) -> Option<Result<(), Box<Result<Self, EncodeError>>>> {
        connection.write_in_turn(|text| {
            if is_reserved(name) {
                return Err(Box::new(Err(EncodeError::ReservedName)));
            }
            let start = text.len();
            header(text, b'2', namespace, None);
            let mut attachments = Vec::new();
            write(text, &mut attachments).map_err(|error| Box::new(Err(error.into())))?;
            if attachments.is_empty() {
                return Ok(attachments);
            }
            let copied = attachments.iter().map(Bytes::len).sum::<usize>() <= COPIED;
            if copied && attachments.len() <= max_attachments {
                announce(text, start, attachments.len());
                return Ok(attachments);
            }
            Err(Box::new(Self::with_attachments(&mut text.split_off(start), attachments, max_attachments)))
        })
    }

    /// Lends an event that nobody acknowledges as it has been written, for who only copies it.
    pub(crate) fn lend_event<R, E: From<EncodeError>>(
        max_attachments: usize,
        namespace: &str,
        name: &str,
        write: &WriteArguments<'_>,
        take: impl FnOnce(Lent<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        if is_reserved(name) {
            return Err(EncodeError::ReservedName.into());
        }
        with_scratch(2 * COPIED, move |text| {
            header(text, b'2', namespace, None);
            let mut attachments = Vec::new();
            write(text, &mut attachments).map_err(EncodeError::Data)?;
            take(if attachments.is_empty() {
                Lent::Text(text)
            } else {
                Lent::Packet(Self::with_attachments(text, attachments, max_attachments)?)
            })
        })
    }

    /// An event whose arguments are those of another.
    pub(crate) fn event_of(
        max_attachments: usize,
        namespace: &str,
        id: Option<AckId>,
        arguments: &Arguments,
    ) -> Result<Self, EncodeError> {
        with_scratch(2 * COPIED, |text| {
            header(text, b'2', namespace, id);
            text.extend_from_slice(arguments.json().as_bytes());
            Self::with_attachments(text, arguments.attachments().to_vec(), max_attachments)
        })
    }

    pub(crate) fn ack_within<D: Serialize + ?Sized>(
        max_attachments: usize,
        namespace: &str,
        id: AckId,
        data: &D,
    ) -> Result<Self, EncodeError> {
        with_scratch(2 * COPIED, |text| {
            header(text, b'3', namespace, Some(id));
            let mut attachments = Vec::new();
            args::write(text, &mut attachments, None, data, None)?;
            Self::with_attachments(text, attachments, max_attachments)
        })
    }

    /// What a parser of another format has made; `None` if that is nothing.
    pub(crate) fn from_messages(messages: Vec<Message>) -> Option<Self> {
        let mut messages = messages.into_iter();
        let first = messages.next()?;
        Some(Self { first, rest: messages.collect(), compress: true })
    }

    /// Asks the transport not to compress the packet.
    pub(crate) fn uncompressed(mut self) -> Self {
        self.compress = false;
        self
    }

    /// Bytes of all messages.
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.rest.iter().map(Message::len).sum::<usize>()
    }

    fn control<P: Serialize>(kind: u8, namespace: &str, payload: &P) -> Result<Self, EncodeError> {
        with_scratch(2 * COPIED, |text| {
            header(text, kind, namespace, None);
            serde_json::to_writer(&mut *text, payload)?;
            Ok(Self::plain(text))
        })
    }

    /// Turns a packet that has attachments into its binary form.
    #[inline]
    fn with_attachments(
        text: &mut Vec<u8>,
        attachments: Vec<Bytes>,
        max_attachments: usize,
    ) -> Result<Self, EncodeError> {
        if attachments.len() > max_attachments {
            return Err(EncodeError::TooManyAttachments(max_attachments));
        }
        if attachments.is_empty() {
            return Ok(Self::plain(text));
        }
        announce(text, 0, attachments.len());
        Ok(Self { rest: attachments.into_iter().map(Message::Binary).collect(), ..Self::plain(text) })
    }

    #[inline]
    fn plain(text: &mut Vec<u8>) -> Self {
        let first = if text.len() <= COPIED {
            ByteString::from(text::as_str(text))
        } else {
            text::into_string(std::mem::take(text)).into()
        };
        Self { first: first.into(), rest: Vec::new(), compress: true }
    }
}

/// Appends the array of an event's name and arguments, and their attachments. What is behind it need not be
/// compiled for each type of data.
pub(crate) type WriteArguments<'a> = dyn Fn(&mut Vec<u8>, &mut Vec<Bytes>) -> serde_json::Result<()> + 'a;

/// A packet that may still lie where it has been written.
pub(crate) enum Lent<'a> {
    Packet(Encoded),
    /// One without attachments.
    Text(&'a mut Vec<u8>),
}

impl Lent<'_> {
    /// The text of a packet that is nothing but a small text.
    pub(crate) fn small_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if text.len() <= SMALL => Some(text::as_str(text)),
            _ => None,
        }
    }

    pub(crate) fn into_owned(self) -> Encoded {
        match self {
            Self::Packet(packet) => packet,
            Self::Text(text) => Encoded::plain(text),
        }
    }
}

fn outgoing(message: Message, compress: bool) -> Outgoing {
    let outgoing = Outgoing::from(message);
    if compress { outgoing } else { outgoing.uncompressed() }
}

/// Makes the packet that begins at `start` one with attachments. Their number stands behind the first character, and is
/// known last.
fn announce(text: &mut Vec<u8>, start: usize, attachments: usize) {
    text[start] += 3;
    let end = text.len();
    text.extend_from_slice(itoa::Buffer::new().format(attachments).as_bytes());
    text.push(b'-');
    let moved = text.len() - end;
    text[start + 1..].rotate_right(moved);
}

#[inline]
fn header(text: &mut Vec<u8>, kind: u8, namespace: &str, id: Option<AckId>) {
    text.push(kind);
    if namespace != "/" {
        text.extend_from_slice(namespace.as_bytes());
        text.push(b',');
    }
    if let Some(id) = id {
        text.extend_from_slice(itoa::Buffer::new().format(id.value()).as_bytes());
    }
}

/// Texts up to this size are copied out of the scratch buffer, into memory that just holds them; larger ones take
/// its memory with them.
const COPIED: usize = 8 << 10;

/// Texts up to this size are queued as a copy: beyond it, that costs more than memory of their own.
const SMALL: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Content, Packet};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn text(encoded: &Encoded) -> ByteString {
        let Message::Text(text) = &encoded.first else { panic!("a text first") };
        text.clone()
    }

    fn attachments(encoded: &Encoded) -> Vec<Bytes> {
        encoded.rest.iter().map(|message| message.as_bytes().clone()).collect()
    }

    #[test]
    fn encodes() {
        let text_of = |packet: Result<Encoded, EncodeError>| text(&packet.unwrap()).to_string();
        let id = AckId::new(7);
        assert_eq!(text_of(Encoded::event("/", None, "a", &())), r#"2["a"]"#);
        assert_eq!(text_of(Encoded::event("/n", id, "\"", &("b", 1))), r#"2/n,7["\"","b",1]"#);
        assert_eq!(text_of(Encoded::ack("/", id.unwrap(), &[true])), "37[true]");
        assert_eq!(text_of(Encoded::connect("/n", &json!({"sid": "x"}))), r#"0/n,{"sid":"x"}"#);
        assert_eq!(text_of(Encoded::connect_error("/", &json!({"message": "x"}))), r#"4{"message":"x"}"#);
        assert_eq!(text(&Encoded::disconnect("/")), "1");
        let binary =
            Encoded::event("/n", id, "a", &(Bytes::from("one"), 1, vec![Bytes::from("two")])).unwrap();
        let [one, two] = [0, 1].map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#));
        assert_eq!(text(&binary), format!(r#"52-/n,7["a",{one},1,[{two}]]"#));
        assert_eq!(attachments(&binary), ["one", "two"]);
        let ack = Encoded::ack("/", AckId::MAX, &Bytes::new()).unwrap();
        assert_eq!(text(&ack), format!("61-9007199254740991[{one}]"));
    }

    #[test]
    fn what_cannot_be_sent() {
        assert!(matches!(Encoded::event("/", None, "connect", &()), Err(EncodeError::ReservedName)));
        let buffers = |count: usize| Encoded::event("/", None, "a", &vec![Bytes::new(); count]);
        assert!(buffers(10).is_ok());
        assert!(matches!(buffers(11), Err(EncodeError::TooManyAttachments(10))));
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
            id in prop::option::of(0..=AckId::MAX.value()),
            name in ".*",
            data in (value(), value()),
            buffers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4).prop_map(Bytes::from), 0..=10),
        ) {
            prop_assume!(!is_reserved(&name));
            let id = id.and_then(AckId::new);
            let sent = (data.0, data.1, buffers);
            let encoded = Encoded::event(&namespace, id, &name, &sent).unwrap();
            let (mut packet, expected) = Packet::parse(&text(&encoded), 10).unwrap();
            prop_assert_eq!(expected, sent.2.len());
            prop_assert_eq!(&packet.namespace, &namespace);
            let Content::Event { id: got_id, name: got_name, arguments } = &mut packet.content else {
                panic!("an event")
            };
            arguments.attach(attachments(&encoded));
            prop_assert_eq!((*got_id, &**got_name), (id, &*name));
            prop_assert_eq!(arguments.decode::<(Value, Value, Vec<Bytes>)>().unwrap(), sent);
        }

    }
}
