//! HTTP exchanges on one stream: request, response, and the next, until either side ends it or it becomes a WebSocket.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::{Instant, Sleep, sleep_until, timeout, timeout_at},
};

use crate::{
    config::HttpLimits,
    http::{self, BodyDecoder, BodyError, BodyLength, Exchange, Framing, HeadError, RequestHead},
    server::{
        Inner, IsSecure, RemoteAddr, TaskGuard,
        admission::Permit,
        endpoint::Switch,
        stage::Stage,
        stream::{READ_BUFFER, Stream, with_write_buffer},
    },
};

/// Serves one stream to its end.
///
/// What happens seldom is awaited in a box, here and in what is called, as memory for it would lie between that which
/// every request uses.
pub(crate) fn serve(
    server: Arc<Inner>,
    stream: Stream,
    remote_addr: Option<SocketAddr>,
    secure: bool,
    permit: Permit,
) -> impl Future<Output = ()> + Send {
    let task = TaskGuard::exchange(&server);
    // Made here, as an async function would keep room for its arguments beside it.
    let mut line = Line { stream, input: BytesMut::new(), remote_addr, secure, server, permit };
    async move {
        // One and the same for all requests, as to wait for it costs more than to ask again.
        let mut down = pin!(task.server().life.reached(Stage::Down));
        // The first head has its time from the beginning of the stream on, others from their first byte.
        let mut timer = pin!(sleep_until(Instant::now() + line.limits().head_timeout));
        let mut deadline = Some(timer.deadline());
        loop {
            let (head, framing) = match line.read_head(deadline.take(), timer.as_mut(), down.as_mut()).await {
                Ok(Some(request)) => request,
                Ok(None) => return,
                Err(refusal) => return Box::pin(line.refuse(refusal)).await,
            };
            match line.answer(&head, &framing).await {
                Ok(Next::Request) => {}
                Ok(Next::Linger) => return Box::pin(line.linger()).await,
                Ok(Next::Switch(switch)) => return switch.start(line),
                // Nobody is left to be told.
                Err(_) => return,
            }
        }
    }
}

/// One stream with what has been read from it.
pub(crate) struct Line {
    pub(crate) stream: Stream,
    pub(crate) input: BytesMut,
    pub(crate) remote_addr: Option<SocketAddr>,
    pub(crate) secure: bool,
    pub(crate) server: Arc<Inner>,
    pub(crate) permit: Permit,
}

/// What becomes of the stream after an answer.
pub(crate) enum Next {
    /// Another request may come.
    Request,
    /// It is closed, with care for bytes that are still on their way.
    Linger,
    /// It becomes a WebSocket.
    Switch(Box<Switch>),
}

/// A response of the server's own.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Those that are always the same, and stand before the others.
    pub(crate) fixed: &'static [(HeaderName, HeaderValue)],
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// One without a body.
    pub(crate) fn empty(status: StatusCode, headers: HeaderMap) -> Self {
        Self { status, fixed: &[], headers, body: Bytes::new() }
    }
}

/// Why a request is not answered in the usual way.
pub(crate) enum Failure {
    Head(HeadError),
    Body(BodyError),
    /// It did not come in time.
    Timeout,
    /// The peer has gone.
    Gone,
}

impl Failure {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Head(error) => error.status(),
            Self::Body(error) => error.status(),
            Self::Timeout | Self::Gone => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl Line {
    /// Reads the next request head; `None` if there is none to come. Without a `deadline` it has its time from its
    /// first byte on.
    async fn read_head(
        &mut self,
        mut deadline: Option<Instant>,
        mut timer: Pin<&mut Sleep>,
        mut down: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Option<(RequestHead, Framing)>, Failure> {
        loop {
            let idle = self.input.is_empty();
            if !idle {
                let head = &self.server.options.config.limits.head;
                if let Some(request) = http::parse(&mut self.input, head).map_err(Failure::Head)? {
                    return Ok(Some(request));
                }
            }
            let patience = if idle { self.limits().idle_timeout } else { self.limits().head_timeout };
            let until = match deadline {
                Some(deadline) => deadline,
                None if idle => Instant::now() + patience,
                None => *deadline.insert(Instant::now() + patience),
            };
            let filled = tokio::select! {
                biased;
                filled = self.fill() => filled,
                () = pass(timer.as_mut(), until) => return if idle { Ok(None) } else { Err(Failure::Timeout) },
                () = &mut down, if idle => return Ok(None),
            };
            if matches!(filled, Ok(0) | Err(_)) {
                return Ok(None);
            }
        }
    }

    fn limits(&self) -> &HttpLimits {
        &self.server.options.config.limits
    }

    /// Reads the body of a request.
    pub(crate) async fn read_body(&mut self, framing: &Framing, limit: usize) -> Result<Bytes, Failure> {
        let rest = {
            let mut decoder = BodyDecoder::new(framing.body, limit).map_err(Failure::Body)?;
            match decoder.decode(&mut self.input).map_err(Failure::Body)? {
                Some(body) => return Ok(body),
                None => Box::pin(self.read_rest(decoder, framing.expect_continue)),
            }
        };
        rest.await
    }

    async fn read_rest(&mut self, mut decoder: BodyDecoder, expect_continue: bool) -> Result<Bytes, Failure> {
        if expect_continue {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| Failure::Gone)?;
        }
        let deadline = Instant::now() + self.server.options.config.limits.body_timeout;
        loop {
            match timeout_at(deadline, self.fill()).await {
                Err(_) => return Err(Failure::Timeout),
                Ok(Ok(0) | Err(_)) => return Err(Failure::Gone),
                Ok(Ok(_)) => {}
            }
            if let Some(body) = decoder.decode(&mut self.input).map_err(Failure::Body)? {
                return Ok(body);
            }
        }
    }

    /// Reads what there is; 0 at the end of the stream.
    async fn fill(&mut self) -> io::Result<usize> {
        let Self { stream, input, .. } = self;
        if input.is_empty() {
            // Nothing is held while nothing comes.
            *input = BytesMut::new();
        }
        std::future::poll_fn(|cx| {
            stream.poll_read_with(cx, |data| {
                input.extend_from_slice(data);
                data.len()
            })
        })
        .await
    }

    /// Waits until the peer has gone. Requests that it pipelines meanwhile are kept, up to the size of one head.
    pub(crate) async fn hang_up(&mut self) {
        let keep = self.server.options.config.limits.head.max_bytes;
        while self.input.len() < keep {
            if matches!(self.fill().await, Ok(0) | Err(_)) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    async fn answer(&mut self, head: &RequestHead, framing: &Framing) -> io::Result<Next> {
        if head.has_path_prefix(&self.server.prefix) {
            self.answer_endpoint(head, framing).await
        } else {
            Box::pin(self.answer_fallback(head, framing)).await
        }
    }

    async fn answer_fallback(&mut self, head: &RequestHead, framing: &Framing) -> io::Result<Next> {
        let body = match self.read_body(framing, self.server.options.config.limits.max_body_bytes).await {
            Ok(body) => body,
            Err(failure) => return self.answer_failure(head, &failure, HeaderMap::new()).await,
        };
        let answer = match &self.server.options.fallback {
            None => Answer::empty(StatusCode::NOT_FOUND, HeaderMap::new()),
            Some(fallback) => {
                let mut request = Request::from_parts(head.to_parts(), body);
                request.extensions_mut().insert(RemoteAddr(self.remote_addr));
                request.extensions_mut().insert(IsSecure(self.secure));
                let (parts, body) = fallback(request).await.into_parts();
                Answer { status: parts.status, fixed: &[], headers: parts.headers, body }
            }
        };
        self.respond(head, framing.keep_alive && !framing.upgrade, answer).await
    }

    /// Says what is wrong with the body of a request, and closes: where the next request begins is unknown.
    pub(crate) async fn answer_failure(
        &mut self,
        head: &RequestHead,
        failure: &Failure,
        headers: HeaderMap,
    ) -> io::Result<Next> {
        if matches!(failure, Failure::Gone) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let answer = Answer::empty(failure.status(), headers);
        self.respond(head, false, answer).await
    }

    /// Writes a response: what the peer takes at once before this returns, as a rule all of it, and the rest in the
    /// future.
    pub(crate) fn respond(
        &mut self,
        head: &RequestHead,
        keep_alive: bool,
        answer: Answer,
    ) -> impl Future<Output = io::Result<Next>> + Send {
        let keep_alive = keep_alive && self.server.life.stage() < Stage::Down;
        let Answer { status, fixed, headers, body } = answer;
        let mut behind = Bytes::new();
        let rest = self.write_made(|out| {
            let headers = fixed.iter().map(|(name, value)| (name, value)).chain(&headers);
            let (head_only, version) = (head.has_method("HEAD"), head.version());
            let length = with_date(|date| {
                let exchange = Exchange { date: Some(date), head_only, keep_alive, version };
                http::write_head(out, &exchange, status, headers, body.len())
            });
            match length {
                0 => {}
                1..=COPIED_BODY => out.extend_from_slice(&body),
                _ => behind = body,
            }
        });
        async move {
            let rest = rest?;
            if rest.is_some() || !behind.is_empty() {
                Box::pin(async move {
                    self.write(&rest.unwrap_or_default()).await?;
                    self.write(&behind).await
                })
                .await?;
            }
            Ok(if keep_alive { Next::Request } else { Next::Linger })
        }
    }

    /// Answers what is no request.
    async fn refuse(mut self, failure: Failure) {
        let (keep_alive, head_only, version) = (false, false, Version::HTTP_11);
        let rest = self.write_made(|out| {
            with_date(|date| {
                let exchange = Exchange { date: Some(date), head_only, keep_alive, version };
                http::write_head(out, &exchange, failure.status(), [], 0)
            });
        });
        if let Ok(rest) = rest
            && self.write(&rest.unwrap_or_default()).await.is_ok()
        {
            self.linger().await;
        }
    }

    /// Writes what `make` appends as far as the peer takes it now; returns the rest, unless all is on its way. As a rule
    /// it is, and it took neither memory of its own nor a timer.
    fn write_made(&mut self, make: impl FnOnce(&mut Vec<u8>)) -> io::Result<Option<Vec<u8>>> {
        with_write_buffer(|out| {
            make(out);
            // Nobody needs to be woken: whoever writes the rest asks again.
            let mut cx = Context::from_waker(Waker::noop());
            let written = match self.stream.poll_write_now(&mut cx, out) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => written?,
                Poll::Pending => 0,
            };
            if written == out.len()
                && let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(&mut cx)
            {
                return flushed.map(|()| None);
            }
            Ok(Some(out[written..].to_vec()))
        })
    }

    /// Writes all of `data`, giving up when the peer takes none of it for the time that a body may take.
    async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let patience = self.server.options.config.limits.body_timeout;
        let mut at = 0;
        while at < data.len() {
            let stream = &mut self.stream;
            let written = timeout(
                patience,
                std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, &data[at..])),
            );
            at += match written.await?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => written,
            };
        }
        match &mut self.stream {
            Stream::Tcp(_) | Stream::Lent => Ok(()),
            Stream::Other(stream) => timeout(patience, stream.flush()).await?,
        }
    }

    /// Closes so that the peer can read the last answer: a reset, caused by data that nobody reads, could overtake
    /// it. What still comes is read and dropped, so many bytes and for so long at most.
    async fn linger(mut self) {
        let mut left = LINGER_BYTES;
        let closing = async {
            self.stream.shutdown().await?;
            while left > 0 {
                let read =
                    std::future::poll_fn(|cx| self.stream.poll_read_with(cx, |data| data.len())).await?;
                if read == 0 {
                    break;
                }
                left = left.saturating_sub(read);
            }
            io::Result::Ok(())
        };
        // Either way the stream is closed now.
        let _ = timeout(LINGER_TIME, closing).await;
    }

    /// Drops the body of a request, if all of it is here already.
    pub(crate) fn take_body(&mut self, framing: &Framing) -> bool {
        let limit = self.server.options.config.max_payload;
        let decoder = BodyDecoder::new(framing.body, limit);
        decoder.and_then(|mut decoder| decoder.decode(&mut self.input)).is_ok_and(|body| body.is_some())
    }

    /// Reads a body that nobody wants, so that the next request can be read.
    pub(crate) async fn skip_body(&mut self, framing: &Framing) -> Result<(), Failure> {
        if framing.body == BodyLength::None {
            return Ok(());
        }
        let limit = self.server.options.config.max_payload;
        self.read_body(framing, limit).await.map(drop)
    }
}

/// Bodies up to this size are written together with their heads.
const COPIED_BODY: usize = 64 << 10;

/// What a client may still send after the last answer: a body that was refused, of some times the usual limit.
const LINGER_BYTES: usize = 128 * READ_BUFFER;

/// For how long it may send.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// Waits until `until` has passed. The timer is one that other deadlines have used: to let it go off too early once in a
/// while costs less than to set it for each request.
async fn pass(mut timer: Pin<&mut Sleep>, until: Instant) {
    if until < timer.deadline() {
        timer.as_mut().reset(until);
    }
    loop {
        timer.as_mut().await;
        if timer.deadline() >= until {
            return;
        }
        timer.as_mut().reset(until);
    }
}

/// Lends the time as HTTP writes it, made once a second for each thread.
fn with_date<R>(f: impl FnOnce(&HeaderValue) -> R) -> R {
    thread_local! {
        static DATE: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(made, date)| {
        if *made != second {
            *made = second;
            *date = HeaderValue::try_from(httpdate::fmt_http_date(now)).expect("a date is plain ASCII");
        }
        f(date)
    })
}
