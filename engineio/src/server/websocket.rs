//! A WebSocket over a stream: frames in, packets out.

use std::{
    fmt,
    io::{self, IoSlice},
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Message,
    packet::{Packet, PacketCow},
    server::{
        TaskGuard,
        admission::Permit,
        stream::{READ_BUFFER, Stream},
    },
    websocket::{Decoder, Event, Limits, Opcode, ProtocolError, encode_close, encode_header},
};

/// A WebSocket that has been accepted. While nothing is on its way it owns no buffer.
pub(crate) struct WebSocket {
    stream: Stream,
    decoder: Decoder,
    /// Read but not yet decoded, because whoever takes the events had enough.
    undecoded: Option<Box<BytesMut>>,
    /// Not yet taken by the stream. As seldom as there is any, it has a place elsewhere.
    unsent: Option<Box<Unsent>>,
    /// The newest ping of the peer that has not been answered. Answering each would let it fill our memory.
    pong: Option<Box<Bytes>>,
    /// Whether the stream has taken anything since that was last asked.
    progress: bool,
    /// Whether the peer wants binary data as base64 text, because it has no binary frames.
    base64: bool,
    _permit: Permit,
}

/// Bytes that the stream has to take before anything else.
struct Unsent {
    first: Bytes,
    then: Bytes,
}

impl Unsent {
    fn new(first: Bytes, then: Bytes) -> Option<Box<Self>> {
        (!first.is_empty() || !then.is_empty()).then(|| Box::new(Self { first, then }))
    }
}

/// Frames that are written together.
pub(crate) struct Batch<'a> {
    frames: &'a mut Vec<u8>,
    /// A payload behind them that is not copied.
    large: Option<Bytes>,
    base64: bool,
}

impl Batch<'_> {
    /// Whether nothing more is to be added.
    pub(crate) fn is_full(&self) -> bool {
        self.frames.len() >= BATCH || self.large.is_some()
    }

    pub(crate) fn push(&mut self, packet: &PacketCow<'_>) {
        match packet {
            PacketCow::Packet(packet) => self.large = push_frame(self.frames, packet, self.base64),
            PacketCow::Text(text) => self.push_text(text),
        }
    }

    /// Adds a message.
    pub(crate) fn push_text(&mut self, text: &str) {
        push_text(self.frames, text);
    }
}

/// Why no more events come.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The peer has closed, with this status code.
    Closed(Option<u16>),
    /// The stream has ended or failed.
    Lost,
    /// The peer broke the protocol.
    Misbehaved(ProtocolError),
}

impl WebSocket {
    /// Takes a stream over after the request. `answer` is the response head, sent before any frame; `undecoded` is
    /// what came behind the request; with `base64` binary data leaves as text.
    pub(crate) fn new(
        stream: Stream,
        answer: Vec<u8>,
        undecoded: BytesMut,
        base64: bool,
        permit: Permit,
    ) -> Self {
        Self {
            stream,
            decoder: Decoder::new(),
            // Even an empty rest would keep the memory of the request.
            undecoded: (!undecoded.is_empty()).then(|| Box::new(undecoded)),
            unsent: Unsent::new(answer.into(), Bytes::new()),
            pong: None,
            progress: false,
            base64,
            _permit: permit,
        }
    }

    /// Lends events to `take`, which may replace them, until it breaks or the peer has sent no more; `Pending` in the
    /// latter case.
    pub(crate) fn poll_events(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        mut take: impl FnMut(&mut Event<'_>, &mut Context<'_>) -> ControlFlow<()>,
    ) -> Poll<Result<(), Ended>> {
        if let Some(mut input) = self.undecoded.take() {
            let (used, flow) =
                decode(&mut self.decoder, &mut self.pong, &mut input, limits, &mut |e| take(e, cx));
            if flow? == ControlFlow::Break(()) {
                input.advance(used);
                self.undecoded = (!input.is_empty()).then_some(input);
                return Poll::Ready(Ok(()));
            }
        }
        loop {
            let Self { stream, decoder, undecoded, pong, .. } = self;
            // The borrow of `cx` by the read ends before events are handled.
            let mut waker = Context::from_waker(cx.waker());
            let mut drained = false;
            let read = stream.poll_read_with(&mut waker, |input| {
                if input.is_empty() {
                    return Err(Ended::Lost);
                }
                drained = input.len() < READ_BUFFER;
                let (used, flow) = decode(decoder, pong, input, limits, &mut |event| take(event, cx));
                if matches!(flow, Ok(ControlFlow::Break(()))) && used < input.len() {
                    *undecoded = Some(Box::new(BytesMut::from(&input[used..])));
                }
                flow
            });
            match ready!(read) {
                Ok(Ok(ControlFlow::Continue(()))) => {}
                Ok(Ok(ControlFlow::Break(()))) => return Poll::Ready(Ok(())),
                Ok(Err(ended)) => return Poll::Ready(Err(ended)),
                Err(_) => return Poll::Ready(Err(Ended::Lost)),
            }
            // To be woken is all that is left to do, which costs less than to read in vain.
            if drained && ready!(stream.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Err(Ended::Lost));
            }
        }
    }

    /// Writes `frames`, and what `fill` puts into the batch behind them, until that is nothing. `Pending` while the
    /// stream takes nothing. There must not be frames unless [`is_free`](Self::is_free) has said so.
    ///
    /// Small packets leave together in one write, large ones without a copy.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        frames: &mut Vec<u8>,
        fill: &mut dyn FnMut(&mut Batch<'_>),
    ) -> Poll<io::Result<()>> {
        loop {
            if self.may_hold_back() {
                ready!(self.poll_flush(cx))?;
            }
            if let Some(pong) = self.pong.take() {
                frames.extend_from_slice(&encode_header(Opcode::Pong, pong.len()));
                frames.extend_from_slice(&pong);
            }
            let mut batch = Batch { frames, large: None, base64: self.base64 };
            fill(&mut batch);
            let was_full = batch.is_full();
            let large = batch.large;
            if !frames.is_empty() {
                self.write_batch(cx, frames, large)?;
                frames.clear();
            }
            if !was_full {
                return if self.may_hold_back() { self.poll_flush(cx) } else { Poll::Ready(Ok(())) };
            }
        }
    }

    /// Writes a batch and what follows it, keeping what the stream does not take.
    fn write_batch(&mut self, cx: &mut Context<'_>, batch: &[u8], large: Option<Bytes>) -> io::Result<()> {
        let mut stream = Pin::new(&mut self.stream);
        let written = match &large {
            None => stream.poll_write_now(cx, batch),
            Some(large) if stream.is_write_vectored() => {
                stream.poll_write_vectored(cx, &[IoSlice::new(batch), IoSlice::new(large)])
            }
            Some(_) => stream.poll_write(cx, batch),
        };
        let written = match written {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(result) => result?,
            Poll::Pending => 0,
        };
        self.progress |= written > 0;
        if written < batch.len() + large.as_ref().map_or(0, Bytes::len) {
            let first = Bytes::copy_from_slice(batch.get(written..).unwrap_or_default());
            let mut then = large.unwrap_or_default();
            then.advance(written.saturating_sub(batch.len()));
            self.unsent = Unsent::new(first, then);
        }
        Ok(())
    }

    /// Whether there may be something to flush.
    fn may_hold_back(&self) -> bool {
        self.unsent.is_some() || matches!(self.stream, Stream::Other(_))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(unsent) = self.unsent.as_deref_mut() else {
                // Streams such as TLS sessions have a buffer of their own.
                return match &mut self.stream {
                    Stream::Tcp(_) | Stream::Lent => Poll::Ready(Ok(())),
                    Stream::Other(stream) => Pin::new(stream).poll_flush(cx),
                };
            };
            let Unsent { first, then } = unsent;
            if first.is_empty() {
                *first = std::mem::take(then);
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, first))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.progress = true;
            first.advance(written);
            if first.is_empty() && then.is_empty() {
                self.unsent = None;
            }
        }
    }

    /// Whether frames may be made for it that are written next: it is TCP, nothing has to leave before them, and all
    /// kinds of frames are understood.
    pub(crate) fn is_free(&self) -> bool {
        !self.base64 && !self.may_hold_back()
    }

    /// Puts frames before anything else that is sent: those that there is no time to write.
    pub(crate) fn hold(&mut self, frames: &[u8]) {
        if !frames.is_empty() {
            self.unsent = Unsent::new(Bytes::copy_from_slice(frames), Bytes::new());
        }
    }

    /// Lends the stream, if all has been sent and it can be lent.
    pub(crate) fn lend_stream(&mut self) -> Option<TcpStream> {
        let busy = self.base64 || self.pong.is_some() || self.unsent.is_some();
        if busy { None } else { self.stream.lend() }
    }

    /// Takes the stream back, with what is to be written before anything else.
    pub(crate) fn give_stream_back(&mut self, stream: TcpStream, rest: Option<Box<Bytes>>) {
        self.stream = Stream::Tcp(stream);
        if let Some(rest) = rest {
            self.unsent = Unsent::new(*rest, Bytes::new());
        }
    }

    /// Whether the stream has taken anything since the last call.
    pub(crate) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Puts a packet behind what is unsent, before anything was written: the packets that open a connection.
    pub(crate) fn push_first(&mut self, packet: &Packet) {
        let mut batch = self.unsent.take().map_or_else(Vec::new, |unsent| unsent.first.into());
        let large = push_frame(&mut batch, packet, self.base64);
        batch.extend_from_slice(&large.unwrap_or_default());
        self.unsent = Unsent::new(batch.into(), Bytes::new());
    }

    /// Ends the WebSocket in the background: sends what is unsent and a close frame, and reads until the peer has
    /// gone too, so that the last bytes are not lost by a reset; all within `timeout`.
    pub(crate) fn close(mut self, code: Option<u16>, timeout: Duration, task: TaskGuard) {
        tokio::spawn(async move {
            let goodbye = async {
                std::future::poll_fn(|cx| self.poll_flush(cx)).await?;
                self.stream.write_all(&encode_close(code)).await?;
                self.stream.shutdown().await?;
                while !std::future::poll_fn(|cx| self.stream.poll_read_with(cx, |input| input.is_empty()))
                    .await?
                {}
                io::Result::Ok(())
            };
            // Whether the peer has waited for it is all the same now.
            let _ = tokio::time::timeout(timeout, goodbye).await;
            drop(task);
        });
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").finish_non_exhaustive()
    }
}

/// Decodes `input` up to its end or to where `take` breaks; returns how much was used.
fn decode(
    decoder: &mut Decoder,
    pong: &mut Option<Box<Bytes>>,
    input: &mut [u8],
    limits: &Limits,
    take: &mut dyn FnMut(&mut Event<'_>) -> ControlFlow<()>,
) -> (usize, Result<ControlFlow<()>, Ended>) {
    let mut at = 0;
    while at < input.len() {
        let (used, mut event) = match decoder.decode(&mut input[at..], limits) {
            Ok(decoded) => decoded,
            Err(error) => return (at, Err(Ended::Misbehaved(error))),
        };
        at += used;
        let flow = match &mut event {
            None => break,
            Some(Event::Close(code)) => return (at, Err(Ended::Closed(*code))),
            Some(event) => {
                if let Event::Ping(payload) = event {
                    *pong = Some(Box::new(std::mem::take(payload)));
                }
                // The flow is asked even for pings, as they take a turn's budget too.
                take(event)
            }
        };
        if flow.is_break() {
            return (at, Ok(flow));
        }
    }
    (at, Ok(ControlFlow::Continue(())))
}

/// Appends a message as a frame.
pub(crate) fn push_text(frames: &mut Vec<u8>, text: &str) {
    encode_header(Opcode::Text, 1 + text.len()).append_to(frames);
    frames.push(b'4');
    frames.extend_from_slice(text.as_bytes());
}

/// Appends a message as a frame, whatever its size.
pub(crate) fn push_message(frames: &mut Vec<u8>, message: &Message) {
    match message {
        Message::Text(text) => push_text(frames, text),
        Message::Binary(bytes) => push_binary(frames, bytes),
    }
}

pub(crate) fn push_binary(frames: &mut Vec<u8>, bytes: &[u8]) {
    encode_header(Opcode::Binary, bytes.len()).append_to(frames);
    frames.extend_from_slice(bytes);
}

/// Appends a packet as a frame; returns the payload instead if it is large enough to be sent without a copy.
pub(crate) fn push_frame(batch: &mut Vec<u8>, packet: &Packet, base64: bool) -> Option<Bytes> {
    let (opcode, head, data) = match packet {
        Packet::Message(Message::Binary(_)) if base64 => {
            let mut text = Vec::new();
            packet.encode_text(&mut text);
            batch.extend_from_slice(&encode_header(Opcode::Text, text.len()));
            batch.extend_from_slice(&text);
            return None;
        }
        Packet::Message(Message::Binary(bytes)) => (Opcode::Binary, "", &bytes[..]),
        text => {
            let (head, data) = text.text_parts();
            (Opcode::Text, head, data)
        }
    };
    encode_header(opcode, head.len() + data.len()).append_to(batch);
    match head.as_bytes() {
        // The rule, for which nothing is called.
        &[digit] => batch.push(digit),
        head => batch.extend_from_slice(head),
    }
    match packet {
        Packet::Message(message) if data.len() > LARGE => Some(message.as_bytes().clone()),
        _ => {
            batch.extend_from_slice(data);
            None
        }
    }
}

/// Bytes after which a batch is written.
pub(crate) const BATCH: usize = 64 << 10;

/// Payloads above this size are not copied into the batch: here the copy begins to cost more than another slice in
/// the system call.
pub(crate) const LARGE: usize = 16 << 10;
