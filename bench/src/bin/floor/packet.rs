//! What a packet asks for, by its first bytes.

pub(crate) const OPEN: &str = r#"0{"sid":"SID","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const JOINED: &[u8] = br#"40{"sid":"aaaaaaaaaaaaaaaaaaaa"}"#;

pub(crate) enum Action<'a> {
    Echo,
    Reply(Vec<u8>),
    Broadcast,
    Join(&'a [u8], Vec<u8>),
    Leave(&'a [u8], Vec<u8>),
    Room(&'a [u8], Vec<u8>),
    Nothing,
}

pub(crate) fn action(packet: &[u8]) -> Action<'_> {
    match packet {
        b"40" => Action::Reply(JOINED.into()),
        [b'4', b'2', b'0'..=b'9', ..] => acknowledged(packet).unwrap_or(Action::Nothing),
        [b'4', b'2', event @ ..] if event.starts_with(b"[\"bcast\"") => Action::Broadcast,
        [b'4', b'2', event @ ..] if event.starts_with(b"[\"room\",\"") => {
            // `["room","NAME","TEXT"]` becomes `["room","TEXT"]`.
            let event = &event[9..];
            let end = event.iter().position(|byte| *byte == b'"').unwrap_or(event.len());
            let text = event.get(end + 2..).unwrap_or_default();
            Action::Room(&event[..end], [b"42[\"room\",", text].concat())
        }
        // What comes after the probe: upgraded, or a pong.
        [b'3' | b'5', ..] => Action::Nothing,
        b"2probe" => Action::Reply(b"3probe".into()),
        _ => Action::Echo,
    }
}

/// `42ID["NAME",DATA]` is answered with `43ID[DATA]`.
fn acknowledged(packet: &[u8]) -> Option<Action<'_>> {
    let start = packet.iter().position(|byte| *byte == b'[')?;
    let event = &packet[start + 1..];
    let comma = event.iter().position(|byte| *byte == b',')?;
    let reply = [b"43", &packet[2..start], b"[", &event[comma + 1..]].concat();
    let room = || event.get(comma + 2..event.len() - 2).unwrap_or_default();
    Some(match &event[..comma] {
        b"\"join\"" => Action::Join(room(), reply),
        b"\"leave\"" => Action::Leave(room(), reply),
        _ => Action::Reply(reply),
    })
}
