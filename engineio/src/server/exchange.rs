//! HTTP exchanges on one stream: request, response, and the next, until either side ends it or it becomes a WebSocket.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    config::HttpLimits,
    http::{self, BodyDecoder, BodyError, BodyLength, Exchange, Framing, HeadError, RequestHead},
    server::{
        Inner, IsSecure, RemoteAddr, Stage, TaskGuard,
        admission::Permit,
        endpoint::Switch,
        stream::{READ_BUFFER, Stream, with_write_buffer},
    },
};

/// Serves one stream to its end.
pub(crate) async fn serve(
    server: Arc<Inner>,
    stream: Stream,
    remote_addr: Option<SocketAddr>,
    secure: bool,
    permit: Permit,
) {
    let mut stage = server.stage.subscribe();
    // One and the same for all requests, as to wait for it costs more than to ask again.
    let mut down = pin!(async move { drop(stage.wait_for(|stage| *stage >= Stage::Down).await) });
    let _task = TaskGuard::exchange(&server);
    let mut line = Line { stream, input: BytesMut::new(), remote_addr, secure, server, permit };
    let mut first = true;
    loop {
        let (head, framing) = match line.read_head(first, down.as_mut()).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(refusal) => return line.refuse(refusal).await,
        };
        first = false;
        match line.answer(&head, &framing).await {
            Ok(Next::Request) => {}
            Ok(Next::Linger) => return line.linger().await,
            Ok(Next::Switch(switch)) => return switch.start(line),
            // Nobody is left to be told.
            Err(_) => return,
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
    pub(crate) fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, fixed: &[], headers: HeaderMap::new(), body: body.into() }
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
    /// Reads the next request head; `None` if there is none to come.
    async fn read_head(
        &mut self,
        first: bool,
        mut down: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Option<(RequestHead, Framing)>, Failure> {
        // The first head has its time from the beginning of the stream on, others from their first byte.
        let mut deadline = first.then(|| Instant::now() + self.limits().head_timeout);
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
                filled = timeout_at(until, self.fill()) => filled,
                () = &mut down, if idle => return Ok(None),
            };
            match filled {
                Ok(Ok(0) | Err(_)) => return Ok(None),
                Ok(Ok(_)) => {}
                Err(_) if idle => return Ok(None),
                Err(_) => return Err(Failure::Timeout),
            }
        }
    }

    fn limits(&self) -> &HttpLimits {
        &self.server.options.config.limits
    }

    /// Reads the body of a request.
    pub(crate) async fn read_body(&mut self, framing: &Framing, limit: usize) -> Result<Bytes, Failure> {
        let mut decoder = BodyDecoder::new(framing.body, limit).map_err(Failure::Body)?;
        if let Some(body) = decoder.decode(&mut self.input).map_err(Failure::Body)? {
            return Ok(body);
        }
        if framing.expect_continue {
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
        if head.path().starts_with(&self.server.prefix) {
            return self.answer_endpoint(head, framing).await;
        }
        let body = match self.read_body(framing, self.server.options.config.limits.max_body_bytes).await {
            Ok(body) => body,
            Err(failure) => return self.answer_failure(head, &failure, HeaderMap::new()).await,
        };
        let answer = match &self.server.options.fallback {
            None => Answer::new(StatusCode::NOT_FOUND, Bytes::new()),
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
        let answer = Answer { headers, ..Answer::new(failure.status(), Bytes::new()) };
        self.respond(head, false, answer).await
    }

    /// Writes a response.
    pub(crate) async fn respond(
        &mut self,
        head: &RequestHead,
        keep_alive: bool,
        answer: Answer,
    ) -> io::Result<Next> {
        let keep_alive = keep_alive && *self.server.stage.borrow() < Stage::Down;
        let date = date();
        let exchange = Exchange {
            date: Some(&date),
            head_only: head.method() == "HEAD",
            keep_alive,
            version: head.version(),
        };
        let Answer { status, fixed, headers, body } = &answer;
        let mut behind: &[u8] = &[];
        let make = |out: &mut Vec<u8>| {
            let headers = fixed.iter().map(|(name, value)| (name, value)).chain(headers);
            match http::write_head(out, &exchange, *status, headers, body.len()) {
                0 => {}
                1..=COPIED_BODY => out.extend_from_slice(body),
                _ => behind = body,
            }
        };
        self.write_made(make).await?;
        if !behind.is_empty() {
            self.write(behind).await?;
        }
        Ok(if keep_alive { Next::Request } else { Next::Linger })
    }

    /// Answers what is no request.
    async fn refuse(mut self, failure: Failure) {
        let date = date();
        let exchange =
            Exchange { date: Some(&date), head_only: false, keep_alive: false, version: Version::HTTP_11 };
        let make = |out: &mut Vec<u8>| {
            http::write_head(out, &exchange, failure.status(), [], 0);
        };
        if self.write_made(make).await.is_ok() {
            self.linger().await;
        }
    }

    /// Writes all that `make` appends. As a rule it leaves at once, and needs neither memory of its own nor a timer.
    async fn write_made(&mut self, make: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let (stream, mut make) = (&mut self.stream, Some(make));
        let rest = std::future::poll_fn(|cx| {
            Poll::Ready(with_write_buffer(|out| {
                if let Some(make) = make.take() {
                    make(out);
                }
                let written = match stream.poll_write_now(cx, out) {
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(written) => written?,
                    Poll::Pending => 0,
                };
                io::Result::Ok(out[written..].to_vec())
            }))
        });
        let rest = rest.await?;
        self.write(&rest).await
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

/// The time as HTTP writes it, made once a second for each thread.
fn date() -> HeaderValue {
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
        date.clone()
    })
}
