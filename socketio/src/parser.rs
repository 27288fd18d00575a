//! How packets become messages: the default parser, or one of the program's choice.

use crate::{
    args::Arguments,
    decoder::{Decoder, DecoderError, DecoderLimits},
    encoded::{EncodeError, Encoded},
    event::is_reserved,
    packet::{AckId, Content, Outline, Packet, PacketError},
};
use bytestring::ByteString;
use engineio::Message;
use serde::Serialize;
use std::{error::Error, fmt, sync::Arc};

/// A format of packets other than the default one; clients must use the same.
///
/// A packet is what it is in the default format: JSON text, in which placeholders stand for byte buffers. A
/// parser turns this into messages and back, by whatever means.
///
/// ```
/// use engineio::Message;
/// use socketio::{
///     Parser, ParserDecoder,
///     packet::{Content, EncodeError, Packet},
/// };
/// use std::error::Error;
///
/// /// Speaks of nothing but events of `/` without attachments: `["name",...]`.
/// struct EventsOnly;
///
/// impl Parser for EventsOnly {
///     fn encode(&self, packet: &Packet) -> Result<Vec<Message>, EncodeError> {
///         match &packet.content {
///             Content::Event { arguments, .. } => Ok(vec![arguments.json().to_owned().into()]),
///             _ => Ok(vec!["".into()]),
///         }
///     }
///
///     fn decoder(&self) -> Box<dyn ParserDecoder> {
///         Box::new(Self)
///     }
/// }
///
/// impl ParserDecoder for EventsOnly {
///     fn handle_message(&mut self, message: Message) -> Result<Option<Packet>, Box<dyn Error + Send + Sync>> {
///         let Message::Text(text) = message else { return Err("binary".into()) };
///         let content = if text.is_empty() { Content::connect(None)? } else { Content::event(None, text, vec![])? };
///         Ok(Some(Packet { namespace: "/".into(), content }))
///     }
/// }
///
/// let packet = Packet { namespace: "/".into(), content: Content::event(None, r#"["a",1]"#, vec![])? };
/// let [message] = EventsOnly.encode(&packet)?.try_into().unwrap();
/// assert_eq!(EventsOnly.decoder().handle_message(message)?, Some(packet));
/// # Ok::<_, Box<dyn Error + Send + Sync>>(())
/// ```
pub trait Parser: Send + Sync + 'static {
    /// The messages that carry `packet`, in order, at least one; they are sent together.
    ///
    /// # Errors
    ///
    /// The packet cannot be said in this format.
    fn encode(&self, packet: &Packet) -> Result<Vec<Message>, EncodeError>;

    /// A decoder for one connection.
    fn decoder(&self) -> Box<dyn ParserDecoder>;
}

/// Puts packets together from the messages of one connection.
///
/// It meets whatever a client sends: it must bound what it holds, and leave the check of contents to the
/// functions of [`Content`].
pub trait ParserDecoder: Send {
    /// Takes the next message; returns the packet that it completes, or `None` if that needs more messages,
    /// which then have to come in time.
    ///
    /// # Errors
    ///
    /// The message is not of this format. The connection is closed.
    fn handle_message(&mut self, message: Message) -> Result<Option<Packet>, Box<dyn Error + Send + Sync>>;
}

/// The format that a server speaks.
#[derive(Clone)]
pub(crate) enum Format {
    Default { max_attachments: usize },
    Other(Arc<dyn Parser>),
}

impl Format {
    /// Encodes an event, with `last` as one argument more.
    pub(crate) fn event<D: Serialize + ?Sized>(
        &self,
        namespace: &str,
        id: Option<AckId>,
        name: &str,
        data: &D,
        last: Option<&str>,
    ) -> Result<Encoded, EncodeError> {
        match self {
            Self::Default { max_attachments } => {
                Encoded::event_within(*max_attachments, namespace, id, name, data, last)
            }
            Self::Other(_) if is_reserved(name) => Err(EncodeError::ReservedName),
            Self::Other(parser) => {
                let arguments = Arguments::encode(Some(name), data, last)?;
                encode(&**parser, namespace, Content::Event { id, name: name.into(), arguments })
            }
        }
    }

    /// How many attachments a packet may have, if it is written as the default parser does it.
    pub(crate) fn max_attachments(&self) -> Option<usize> {
        match self {
            Self::Default { max_attachments } => Some(*max_attachments),
            Self::Other(_) => None,
        }
    }

    /// Encodes an event whose arguments are those of another.
    pub(crate) fn event_of(
        &self,
        namespace: &str,
        id: Option<AckId>,
        arguments: &Arguments,
        last: Option<&str>,
    ) -> Result<Encoded, EncodeError> {
        let arguments = arguments.with_last(last);
        match self {
            Self::Default { max_attachments } => {
                Encoded::event_of(*max_attachments, namespace, id, &arguments)
            }
            Self::Other(parser) => {
                let content =
                    Content::event(id, arguments.json().to_owned(), arguments.attachments().to_vec())
                        .map_err(|error| EncodeError::Parser(error.into()))?;
                encode(&**parser, namespace, content)
            }
        }
    }

    pub(crate) fn ack<D: Serialize + ?Sized>(
        &self,
        namespace: &str,
        id: AckId,
        data: &D,
    ) -> Result<Encoded, EncodeError> {
        match self {
            Self::Default { max_attachments } => Encoded::ack_within(*max_attachments, namespace, id, data),
            Self::Other(parser) => {
                let arguments = Arguments::encode(None, data, None)?;
                encode(&**parser, namespace, Content::Ack { id, arguments })
            }
        }
    }

    pub(crate) fn connect<P: Serialize>(&self, namespace: &str, payload: &P) -> Result<Encoded, EncodeError> {
        match self {
            Self::Default { .. } => Encoded::connect(namespace, payload),
            Self::Other(parser) => {
                let payload = Some(json(payload)?);
                encode(&**parser, namespace, Content::Connect { payload })
            }
        }
    }

    pub(crate) fn connect_error<P: Serialize>(
        &self,
        namespace: &str,
        payload: &P,
    ) -> Result<Encoded, EncodeError> {
        match self {
            Self::Default { .. } => Encoded::connect_error(namespace, payload),
            Self::Other(parser) => {
                encode(&**parser, namespace, Content::ConnectError { payload: json(payload)? })
            }
        }
    }

    pub(crate) fn disconnect(&self, namespace: &str) -> Result<Encoded, EncodeError> {
        match self {
            Self::Default { .. } => Ok(Encoded::disconnect(namespace)),
            Self::Other(parser) => encode(&**parser, namespace, Content::Disconnect),
        }
    }

    /// Reads a packet of our own again.
    pub(crate) fn decode(&self, encoded: &Encoded) -> Option<Packet> {
        let mut decoder = self.decoder(usize::MAX);
        encoded.messages().find_map(|message| decoder.handle_message(message.message().clone()).ok()?)
    }

    pub(crate) fn decoder(&self, max_attachment_bytes: usize) -> AnyDecoder {
        match self {
            &Self::Default { max_attachments } => {
                AnyDecoder::Default(Decoder::new(DecoderLimits { max_attachments, max_attachment_bytes }))
            }
            Self::Other(parser) => AnyDecoder::Other(parser.decoder()),
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default { .. } => "Default",
            Self::Other(_) => "Other",
        })
    }
}

fn encode(parser: &dyn Parser, namespace: &str, content: Content) -> Result<Encoded, EncodeError> {
    let messages = parser.encode(&Packet { namespace: namespace.into(), content })?;
    Encoded::from_messages(messages).ok_or_else(|| EncodeError::Parser("no message for a packet".into()))
}

fn json<P: Serialize>(payload: &P) -> Result<ByteString, EncodeError> {
    Ok(serde_json::to_string(payload)?.into())
}

/// The decoder of one connection.
pub(crate) enum AnyDecoder {
    Default(Decoder),
    Other(Box<dyn ParserDecoder>),
}

impl AnyDecoder {
    #[inline(always)]
    pub(crate) fn outline_event(&self, text: &str) -> Option<Result<Outline, PacketError>> {
        match self {
            Self::Default(decoder) => decoder.outline_event(text),
            Self::Other(_) => None,
        }
    }

    pub(crate) fn handle_message(&mut self, message: Message) -> Result<Option<Packet>, ParserError> {
        match self {
            Self::Default(decoder) => Ok(decoder.handle_message(message)?),
            Self::Other(decoder) => decoder.handle_message(message).map_err(ParserError::Other),
        }
    }
}

/// What a client sent is no packet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParserError {
    #[error(transparent)]
    Default(#[from] DecoderError),
    #[error("{0}")]
    Other(Box<dyn Error + Send + Sync>),
}
