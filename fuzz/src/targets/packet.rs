use bytes::Bytes;
use bytestring::ByteString;
use engineio::{Message, packet::Packet};

/// One packet: what decodes is encoded to what decodes to the same.
pub fn packet(data: &[u8]) {
    let binary = Packet::decode_binary(Bytes::copy_from_slice(data));
    assert_eq!(binary, Packet::Message(Message::Binary(Bytes::copy_from_slice(data))));
    assert_round_trip(&binary);

    let Ok(text) = ByteString::try_from(data) else { return };
    let Ok(packet) = Packet::decode_text(&text) else { return };
    let encoded = assert_round_trip(&packet);
    match packet {
        // Base64 is strict, so that there is one text for each packet with data.
        Packet::Message(_) | Packet::Open(_) | Packet::ProbePing | Packet::ProbePong => {
            assert_eq!(encoded, text);
        }
        _ => assert_eq!(encoded.as_bytes()[..], data[..1]),
    }
}

fn assert_round_trip(packet: &Packet) -> ByteString {
    let mut encoded = Vec::new();
    packet.encode_text(&mut encoded);
    let encoded = ByteString::try_from(encoded).expect("packets are encoded as UTF-8");
    assert_eq!(Packet::decode_text(&encoded).as_ref(), Ok(packet));
    encoded
}
