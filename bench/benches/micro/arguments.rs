//! Arguments of events as handlers want them.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group};
use serde::Deserialize;
use socketio::IncomingEvent;

/// What events of applications look like.
#[derive(Deserialize)]
struct Chat {
    room: String,
    text: String,
    replies_to: Option<u64>,
    tags: Vec<String>,
}

fn event(json: String, attachments: Vec<Bytes>) -> IncomingEvent {
    IncomingEvent::from_json(json, attachments).expect("an event")
}

fn arguments(criterion: &mut Criterion) {
    let plain = event(format!("[\"e\",\"{}\"]", "x".repeat(64)), Vec::new());
    criterion.bench_function("arguments: String", |bencher| {
        bencher.iter(|| black_box(&plain).decode::<String>());
    });
    let escaped = event(format!("[\"e\",\"{}\"]", "x\\n".repeat(32)), Vec::new());
    criterion.bench_function("arguments: String with escapes", |bencher| {
        bencher.iter(|| black_box(&escaped).decode::<String>());
    });
    let numbers = event("[\"e\",17,25]".to_owned(), Vec::new());
    criterion.bench_function("arguments: two numbers", |bencher| {
        bencher.iter(|| black_box(&numbers).decode::<(i64, i64)>());
    });
    let chat = r#"["e",{"room":"lobby","text":"hello, everybody","replies_to":17,"tags":["a","b"]}]"#;
    let chat = event(chat.to_owned(), Vec::new());
    criterion.bench_function("arguments: struct", |bencher| {
        bencher.iter(|| {
            let Chat { room, text, replies_to, tags } = black_box(&chat).decode().expect("it is one");
            room.len() + text.len() + tags.len() + usize::from(replies_to.is_some())
        });
    });
    let binary = r#"["e",{"_placeholder":true,"num":0}]"#.to_owned();
    let binary = event(binary, vec![vec![0xb5; 1024].into()]);
    criterion.bench_function("arguments: Bytes of 1 KiB", |bencher| {
        bencher.iter(|| black_box(&binary).decode::<Bytes>());
    });
}

criterion_group!(benches, arguments);
