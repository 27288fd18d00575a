use bytes::Bytes;
use bytestring::ByteString;
use engineio::{
    packet::{Packet, PacketError},
    payload::{self, SEPARATOR},
};

/// One payload: it is its pieces up to the first bad one, and the good ones survive another trip.
pub fn payload(data: &[u8]) {
    let decoded: Vec<_> = payload::decode(Bytes::copy_from_slice(data)).collect();
    let mut expected = Vec::new();
    for piece in data.split(|&byte| byte == SEPARATOR) {
        let text = ByteString::try_from(piece).map_err(|_| PacketError::Utf8);
        expected.push(text.and_then(|text| Packet::decode_text(&text)));
        if expected.last().is_some_and(Result::is_err) {
            break;
        }
    }
    assert_eq!(decoded, expected);

    let good: Vec<Packet> = decoded.into_iter().flatten().collect();
    let mut encoded = Vec::new();
    good.iter().for_each(|packet| payload::push(&mut encoded, packet));
    if !good.is_empty() {
        let again: Result<Vec<_>, _> = payload::decode(encoded.into()).collect();
        assert_eq!(again, Ok(good));
    }
}
