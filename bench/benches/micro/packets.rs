//! Packets of both protocols, read and written, and the payloads of polling.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use engineio::{ByteString, packet::Packet as EnginePacket, payload};
use socketio::packet::{AckId, Encoded, MAX_ATTACHMENTS, Packet};

/// An event as clients send them, with 64 bytes of text.
fn event() -> String {
    format!("42[\"echo\",\"{}\"]", "x".repeat(64))
}

fn engine(criterion: &mut Criterion) {
    let text = event();
    criterion.bench_function("engineio packet, read", |bencher| {
        bencher.iter(|| EnginePacket::decode_frame(black_box(text.as_str()).into()));
    });
    let packet = EnginePacket::decode_frame(text.as_str().into()).expect("a packet");
    let mut out = Vec::with_capacity(256);
    criterion.bench_function("engineio packet, written", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&packet).encode_text(&mut out);
        });
    });
}

fn payloads(criterion: &mut Criterion) {
    let packets: Vec<_> =
        (0..16).map(|_| EnginePacket::decode_frame(event().into()).expect("a packet")).collect();
    let mut group = criterion.benchmark_group("payload of 16 packets");
    group.throughput(Throughput::Elements(16));
    let mut joined = Vec::with_capacity(4096);
    group.bench_function("joined", |bencher| {
        bencher.iter(|| {
            joined.clear();
            for packet in black_box(&packets) {
                payload::push(&mut joined, packet);
            }
        });
    });
    let body = Bytes::from(joined);
    group.bench_function("split", |bencher| {
        bencher.iter(|| payload::decode(black_box(body.clone())).filter(Result::is_ok).count());
    });
    group.finish();
}

fn socket(criterion: &mut Criterion) {
    let text = ByteString::from(&event()[1..]);
    criterion.bench_function("socketio packet, read", |bencher| {
        bencher.iter(|| Packet::parse(black_box(&text), MAX_ATTACHMENTS));
    });
    let with_attachment = ByteString::from_static(r#"51-["bin",{"_placeholder":true,"num":0}]"#);
    criterion.bench_function("socketio packet with an attachment, read", |bencher| {
        bencher.iter(|| Packet::parse(black_box(&with_attachment), MAX_ATTACHMENTS));
    });
    let data = "x".repeat(64);
    criterion.bench_function("socketio packet, written", |bencher| {
        bencher.iter(|| Encoded::event("/", None, "echo", black_box(&data)));
    });
    let id = AckId::new(7);
    criterion.bench_function("socketio packet with an attachment, written", |bencher| {
        bencher.iter_batched(
            || Bytes::from(vec![0xb5; 1024]),
            |data| Encoded::event("/", id, "bin", &data),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, engine, payloads, socket);
