//! The whole server without the kernel: an event to its handler and back, and one event to many sockets. Streams are in
//! memory, and reading what has come is in the times.

use bench::counted::wire::{TEXT, masked, unmasked};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use socketio::{Ack, Namespace, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime::{Builder, Runtime},
};

const UPGRADE: &[u8] = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn server() -> Server {
    let namespace = Namespace::new().on("ack", async |_, text: String| Ack(text));
    Server::builder().namespace("/", namespace).build()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("there is a runtime")
}

/// A socket at the other end of a stream in memory.
async fn connect(server: &Server) -> DuplexStream {
    let (mut near, far) = duplex(64 << 10);
    let server = server.clone();
    tokio::spawn(async move { server.serve_stream(far, None, false).await });
    near.write_all(UPGRADE).await.expect("the server reads");
    until_object(&mut near).await;
    near.write_all(&masked(TEXT, b"40")).await.expect("the server reads");
    until_object(&mut near).await;
    near
}

async fn until_object(stream: &mut DuplexStream) {
    let mut received = Vec::new();
    while !received.ends_with(b"}") {
        assert!(stream.read_buf(&mut received).await.expect("the server speaks") > 0);
    }
}

fn dispatch(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut socket = runtime.block_on(connect(&server()));
    let text = "x".repeat(64);
    let request = masked(TEXT, format!("427[\"ack\",\"{text}\"]").as_bytes());
    let mut reply = unmasked(TEXT, format!("437[\"{text}\"]").as_bytes());
    criterion.bench_function("event to its handler, and its acknowledgement", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                socket.write_all(&request).await.expect("the server reads");
                socket.read_exact(&mut reply).await.expect("the server speaks");
            });
        });
    });
}

fn broadcast(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("broadcast");
    for recipients in [100, 1000] {
        let runtime = runtime();
        let server = server();
        let mut sockets = Vec::new();
        for _ in 0..recipients {
            sockets.push(runtime.block_on(connect(&server)));
        }
        let text = "x".repeat(64);
        let mut message = unmasked(TEXT, format!("42[\"all\",\"{text}\"]").as_bytes());
        group.throughput(Throughput::Elements(recipients));
        group.bench_with_input(BenchmarkId::from_parameter(recipients), &(), |bencher, ()| {
            bencher.iter(|| {
                runtime.block_on(async {
                    server.emit("all", &text).expect("a string is JSON");
                    for socket in &mut sockets {
                        socket.read_exact(&mut message).await.expect("the server speaks");
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, dispatch, broadcast);
