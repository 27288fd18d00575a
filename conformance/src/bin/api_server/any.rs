//! Arguments of any number and type, which no Rust type foresees: for events that only come back.

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeTuple};
use serde_json::Value;
use socketio::IncomingEvent;

/// All arguments of an event.
pub(crate) struct All(pub(crate) Vec<Any>);

/// JSON that may have byte buffers in it.
pub(crate) enum Any {
    Bytes(Bytes),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    Plain(Value),
}

impl All {
    pub(crate) fn of(event: &IncomingEvent) -> Self {
        let arguments = event.arguments();
        let elements: Vec<Value> = serde_json::from_str(arguments.json()).expect("it was checked");
        // The first is the name.
        Self(elements.into_iter().skip(1).map(|value| Any::new(value, arguments.attachments())).collect())
    }
}

impl Any {
    fn new(value: Value, attachments: &[Bytes]) -> Self {
        match value {
            Value::Object(object) if !attachments.is_empty() => {
                let number =
                    object.get("num").and_then(Value::as_u64).filter(|_| object.contains_key("_placeholder"));
                match number.and_then(|number| attachments.get(usize::try_from(number).ok()?)) {
                    Some(bytes) => Self::Bytes(bytes.clone()),
                    None => Self::Map(
                        object
                            .into_iter()
                            .map(|(name, value)| (name, Self::new(value, attachments)))
                            .collect(),
                    ),
                }
            }
            Value::Array(list) => {
                Self::List(list.into_iter().map(|value| Self::new(value, attachments)).collect())
            }
            plain => Self::Plain(plain),
        }
    }
}

/// As a tuple, so that each element is an argument.
impl Serialize for All {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|argument| tuple.serialize_element(argument))?;
        tuple.end()
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(bytes) => bytes.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
            Self::Map(map) => serializer.collect_map(map.iter().map(|(name, value)| (name, value))),
            Self::Plain(value) => value.serialize(serializer),
        }
    }
}
