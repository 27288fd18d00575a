//! Requests to the endpoint: opening a connection, polls, posts, and upgrades.

use std::{borrow::Cow, io, mem, sync::Arc, time::SystemTime};

use ::http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SET_COOKIE, UPGRADE, USER_AGENT,
    },
};
use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    CloseReason, Connection, Handshake, Refusal, RequestHead, Transport,
    connection::{Role, State},
    http::{self, BodyLength, Exchange, Framing},
    open::{OpenPacket, milliseconds},
    packet::Packet,
    payload,
    request::{self, Intent, Rejection},
    server::{
        ConnectionError, Inner, TaskGuard,
        connection::{PollAnswer, PostAnswer, Request, Shared},
        exchange::{Answer, Failure, Line, Next},
        websocket::WebSocket,
    },
    websocket::{HandshakeError, check_handshake},
};

/// What becomes of a stream that turns into a WebSocket.
pub(crate) struct Switch {
    /// The 101.
    answer: Vec<u8>,
    base64: bool,
    purpose: Purpose,
}

enum Purpose {
    /// A new connection.
    Open(Arc<Shared>),
    /// An upgrade.
    Join(Connection),
}

impl Switch {
    /// Hands the stream over to a driver.
    pub(crate) fn start(self, line: Line) {
        let Line { stream, input, server, permit, .. } = line;
        let mut websocket = Box::new(WebSocket::new(stream, self.answer, input, self.base64, permit));
        match self.purpose {
            Purpose::Open(shared) => {
                for packet in first_packets(&server, &shared, Vec::new()) {
                    websocket.push_first(&packet);
                }
                server.start(shared, Transport::WebSocket, Some(websocket));
            }
            Purpose::Join(connection) => {
                if let Err(Request::WebSocket(websocket)) =
                    connection.shared().request(Request::WebSocket(websocket))
                {
                    let task = TaskGuard::closing(&server);
                    websocket.close(None, server.options.config.timing.close_timeout, task);
                }
            }
        }
    }
}

/// A refusal on its way to the client and to the observers.
struct Refused {
    status: StatusCode,
    code: u8,
    message: Cow<'static, str>,
    detail: Option<&'static str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self {
            status: rejection.status(),
            code: rejection.code(),
            message: rejection.to_string().into(),
            detail: rejection.detail(),
            header: None,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let code = Rejection::Forbidden.code();
        Self { status: refusal.status, code, message: refusal.message.into(), detail: None, header: None }
    }
}

impl From<HandshakeError> for Refused {
    fn from(error: HandshakeError) -> Self {
        Self {
            status: StatusCode::from_u16(error.status()).expect("the statuses of the handshake are valid"),
            code: 3,
            message: error.to_string().into(),
            detail: Some("TRANSPORT_HANDSHAKE_ERROR"),
            header: error.header().map(|(name, value)| {
                (HeaderName::try_from(name).expect("a constant"), HeaderValue::from_static(value))
            }),
        }
    }
}

impl Line {
    pub(crate) async fn answer_endpoint(
        &mut self,
        head: &RequestHead,
        framing: &Framing,
    ) -> io::Result<Next> {
        let mut headers = HeaderMap::new();
        if let Some(cors) = &self.server.options.config.cors {
            if let Some((status, headers)) = cors.preflight(head) {
                return Box::pin(self.answer_preflight(head, framing, status, headers)).await;
            }
            cors.apply(head, &mut headers);
        }
        match self.intent(head, framing, &mut headers) {
            Err(refused) => self.reject(head, framing, &mut headers, *refused).await,
            Ok(Intent::Open(transport)) => self.answer_first(head, framing, &mut headers, transport).await,
            Ok(Intent::Upgrade(connection)) => match accept(head, framing) {
                Ok(accept) => Ok(self.switch(head, &mut headers, accept, Purpose::Join(connection))),
                Err(error) => self.reject(head, framing, &mut headers, error.into()).await,
            },
            Ok(Intent::Poll(connection)) => {
                self.skip_body_or_close(framing).await?;
                self.answer_poll(head, framing, &mut headers, &connection).await
            }
            Ok(Intent::Post(connection)) => self.answer_post(head, framing, &mut headers, &connection).await,
            Ok(Intent::WrongMethod) => {
                self.skip_body_or_close(framing).await?;
                let answer = Answer::empty(StatusCode::INTERNAL_SERVER_ERROR, headers);
                self.respond(head, framing.keep_alive, answer).await
            }
        }
    }

    async fn answer_preflight(
        &mut self,
        head: &RequestHead,
        framing: &Framing,
        status: StatusCode,
        headers: HeaderMap,
    ) -> io::Result<Next> {
        if let Err(failure) = self.skip_body(framing).await {
            return self.answer_failure(head, &failure, headers).await;
        }
        let answer = Answer::empty(status, headers);
        self.respond(head, framing.keep_alive, answer).await
    }

    /// Says what a request wants, if it may.
    fn intent(
        &self,
        head: &RequestHead,
        framing: &Framing,
        headers: &mut HeaderMap,
    ) -> Result<Intent<Connection>, Box<Refused>> {
        let options = &self.server.options;
        let intent = request::verify(head, framing.upgrade, &options.config.transports, |sid| {
            let connection = self.server.registry.find(sid)?;
            let transport = connection.transport();
            Some((connection, transport))
        });
        let intent = intent.map_err(|rejection| Box::new(rejection.into()))?;
        if let Intent::Upgrade(connection) | Intent::Poll(connection) | Intent::Post(connection) = &intent {
            let followed = options.hooks.follow(connection.handshake(), head, headers);
            followed.map_err(|refusal| Box::new(refusal.into()))?;
        }
        Ok(intent)
    }

    /// Answers a request that opens a connection.
    async fn answer_first(
        &mut self,
        head: &RequestHead,
        framing: &Framing,
        headers: &mut HeaderMap,
        transport: Transport,
    ) -> io::Result<Next> {
        let accept = match transport {
            Transport::Polling => None,
            Transport::WebSocket => match accept(head, framing) {
                Ok(accept) => Some(accept),
                Err(error) => return self.reject(head, framing, headers, error.into()).await,
            },
        };
        let shared = match self.open(head, transport).await {
            Ok((shared, from_hooks)) => {
                merge(headers, from_hooks);
                shared
            }
            Err(refused) => return self.reject(head, framing, headers, refused).await,
        };
        match accept {
            None => {
                self.skip_body_or_close(framing).await?;
                self.answer_open(head, framing, headers, &shared).await
            }
            Some(accept) => {
                self.server.initial_headers(headers, head);
                Ok(self.switch(head, headers, accept, Purpose::Open(shared)))
            }
        }
    }

    async fn skip_body_or_close(&mut self, framing: &Framing) -> io::Result<()> {
        self.skip_body(framing).await.map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn reject(
        &mut self,
        head: &RequestHead,
        framing: &Framing,
        headers: &mut HeaderMap,
        refused: Refused,
    ) -> impl Future<Output = io::Result<Next>> + Send {
        let Refused { status, code, message, detail, header } = refused;
        let error = ConnectionError { head, status, code, message: &message, detail };
        self.server.options.observers.iter().for_each(|observe| observe(&error));
        let (body, fixed) = if framing.upgrade {
            (message.into_owned(), &HTML)
        } else {
            (request::rejection_body(code, &message), &JSON)
        };
        headers.extend(header);
        let answer = Answer { status, fixed, headers: mem::take(headers), body: body.into() };
        // A body that is not here yet is not waited for.
        let here = self.take_body(framing);
        self.respond(head, here && framing.keep_alive && !framing.upgrade, answer)
    }

    /// Lets a client in: asks the hooks, and enters the connection into the table.
    async fn open(
        &mut self,
        head: &RequestHead,
        transport: Transport,
    ) -> Result<(Arc<Shared>, HeaderMap), Refused> {
        let server = &self.server;
        if server.is_shutting_down() {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down").into());
        }
        let handshake = Handshake::new(head, self.remote_addr, self.secure, SystemTime::now());
        let mut handshake = server.options.hooks.call(handshake).await?;
        let headers = handshake.take_response_headers();
        let sid = (server.options.generate_id)(head);
        let shared = Arc::new(Shared::new(sid, handshake, transport, server.options.config.max_outbox_bytes));
        if !server.registry.insert(&shared) {
            return Err(Refused {
                status: StatusCode::BAD_REQUEST,
                code: 3,
                message: "Bad request".into(),
                detail: Some("ID_GENERATION_ERROR"),
                header: None,
            });
        }
        Ok((shared, headers))
    }

    async fn answer_open(
        &mut self,
        head: &RequestHead,
        framing: &Framing,
        headers: &mut HeaderMap,
        shared: &Arc<Shared>,
    ) -> io::Result<Next> {
        let server = Arc::clone(&self.server);
        let config = &server.options.config;
        let upgrades = config.transports.iter().copied().filter(|_| config.allow_upgrades);
        let upgrades = upgrades.filter(|&transport| transport == Transport::WebSocket).collect();
        let mut body = Vec::new();
        for packet in first_packets(&server, shared, upgrades) {
            payload::push(&mut body, &packet);
        }
        if let Some(cookie) = &config.cookie {
            headers.append(SET_COOKIE, cookie.to_header(shared.sid().as_str()));
        }
        server.initial_headers(headers, head);
        // The client may poll before this task runs again.
        server.start(Arc::clone(shared), Transport::Polling, None);
        let answer = self.payload(head, headers, body, true);
        let result = self.respond(head, framing.keep_alive, answer).await;
        if result.is_err() {
            Connection::from(Arc::clone(shared)).close_with(CloseReason::TransportClose);
        }
        result
    }

    async fn answer_poll(
        &mut self,
        head: &RequestHead,
        framing: &Framing,
        headers: &mut HeaderMap,
        connection: &Connection,
    ) -> io::Result<Next> {
        let (reply, answer) = oneshot::channel();
        if connection.shared().request(Request::Poll(reply)).is_err() {
            return self.reject(head, framing, headers, Rejection::SidUnknown.into()).await;
        }
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            () = self.hang_up() => {
                // An error means that the connection has ended meanwhile.
                let _ = connection.shared().request(Request::PollLost);
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        };
        match answer {
            Ok(PollAnswer::Payload { body, compress }) => {
                let answer = self.payload(head, headers, body, compress);
                let result = self.respond(head, framing.keep_alive, answer).await;
                if result.is_err() {
                    // What was in it is lost, and so is the order of what follows.
                    let _ = connection.shared().request(Request::PollLost);
                }
                result
            }
            Ok(PollAnswer::Overlap) => {
                let answer = Answer::empty(StatusCode::BAD_REQUEST, mem::take(headers));
                self.respond(head, framing.keep_alive, answer).await
            }
            Err(_) => self.reject(head, framing, headers, Rejection::SidUnknown.into()).await,
        }
    }

    async fn answer_post(
        &mut self,
        head: &RequestHead,
        framing: &Framing,
        headers: &mut HeaderMap,
        connection: &Connection,
    ) -> io::Result<Next> {
        let shared = connection.shared();
        let failed = |detail| {
            // An error means that the connection has ended meanwhile.
            let _ = shared.request(Request::PostFailed(CloseReason::TransportError(detail)));
        };
        // Exactly this, as with the official server; other types are taken for text.
        if head.header_values("content-type").next() == Some(b"application/octet-stream") {
            failed("invalid content");
            return Box::pin(self.answer_bad_post(head, framing, headers)).await;
        }
        let Some(guard) = shared.begin_post() else {
            failed("data request overlap from client");
            return Box::pin(self.answer_bad_post(head, framing, headers)).await;
        };
        let limit = self.server.options.config.max_payload;
        let body = tokio::select! {
            biased;
            body = self.read_body(framing, limit) => body,
            () = shared.closed() => Err(Failure::Gone),
        };
        let body = match body {
            Ok(body) => body,
            Err(failure) => {
                match &failure {
                    // Only too much; the next may be good.
                    Failure::Body(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {}
                    Failure::Timeout => failed("data request timed out"),
                    Failure::Body(_) | Failure::Head(_) => failed("malformed data request"),
                    Failure::Gone => failed("data request connection closed prematurely"),
                }
                drop(guard);
                return Box::pin(self.answer_failure(head, &failure, mem::take(headers))).await;
            }
        };
        let (reply, answer) = oneshot::channel();
        let handed_over = shared.request(Request::Post(body, reply));
        // Before the answer, as the client may post again as soon as it has that.
        drop(guard);
        if handed_over.is_err() {
            return self.reject(head, framing, headers, Rejection::SidUnknown.into()).await;
        }
        match answer.await {
            Ok(PostAnswer::Ok) => {
                self.server.headers(headers, head);
                headers.extend(for_old_browsers(head));
                let (status, headers) = (StatusCode::OK, mem::take(headers));
                let answer = Answer { status, fixed: &DONE, headers, body: Bytes::from_static(b"ok") };
                self.respond(head, framing.keep_alive, answer).await
            }
            Ok(PostAnswer::Bad) => {
                let answer = Answer::empty(StatusCode::BAD_REQUEST, mem::take(headers));
                self.respond(head, framing.keep_alive, answer).await
            }
            Err(_) => self.reject(head, framing, headers, Rejection::SidUnknown.into()).await,
        }
    }

    async fn answer_bad_post(
        &mut self,
        head: &RequestHead,
        framing: &Framing,
        headers: &mut HeaderMap,
    ) -> io::Result<Next> {
        let answer = Answer::empty(StatusCode::BAD_REQUEST, mem::take(headers));
        let skipped = self.skip_body(framing).await.is_ok();
        self.respond(head, framing.keep_alive && skipped, answer).await
    }

    /// A response with packets, compressed if that is wanted, worth it and accepted.
    fn payload(&self, head: &RequestHead, headers: &mut HeaderMap, body: Vec<u8>, compress: bool) -> Answer {
        self.server.headers(headers, head);
        headers.extend(for_old_browsers(head));
        let threshold = self.server.options.config.compression_threshold;
        let worthwhile = compress && threshold.is_some_and(|threshold| body.len() >= threshold);
        let body = match worthwhile.then(|| http::negotiate(head)).flatten() {
            Some(encoding) => {
                headers.append(CONTENT_ENCODING, encoding.header_value());
                http::compress(&body, encoding)
            }
            None => body,
        };
        Answer { status: StatusCode::OK, fixed: &PAYLOAD, headers: mem::take(headers), body: body.into() }
    }

    fn switch(&self, head: &RequestHead, headers: &mut HeaderMap, accept: String, purpose: Purpose) -> Next {
        self.server.headers(headers, head);
        let exchange = Exchange { date: None, head_only: false, keep_alive: true, version: head.version() };
        let accept = HeaderValue::try_from(accept).expect("base64 is ASCII");
        let fixed = [(&UPGRADE, &HeaderValue::from_static("websocket")), (&SEC_WEBSOCKET_ACCEPT, &accept)];
        let mut answer = Vec::with_capacity(256);
        http::write_head(
            &mut answer,
            &exchange,
            StatusCode::SWITCHING_PROTOCOLS,
            fixed.into_iter().chain(&*headers),
            0,
        );
        let base64 = head.query_param("b64").is_some_and(|wanted| !wanted.is_empty());
        Next::Switch(Box::new(Switch { answer, base64, purpose }))
    }
}

impl Inner {
    fn start(self: &Arc<Self>, shared: Arc<Shared>, transport: Transport, websocket: Option<Box<WebSocket>>) {
        let timing = Arc::clone(&self.options.config.timing);
        let state = State::new(Role::Server, transport, timing, Instant::now().into_std());
        (self.options.start)(state, shared, websocket, TaskGuard::connection(self));
    }

    fn initial_headers(&self, headers: &mut HeaderMap, head: &RequestHead) {
        self.options.initial_headers.iter().for_each(|hook| hook(headers, head));
    }

    fn headers(&self, headers: &mut HeaderMap, head: &RequestHead) {
        self.options.headers.iter().for_each(|hook| hook(headers, head));
    }
}

/// The open packet, and the message that the application wants behind it.
fn first_packets(
    server: &Inner,
    shared: &Shared,
    upgrades: Vec<Transport>,
) -> impl Iterator<Item = Packet> + use<> {
    let config = &server.options.config;
    let open = OpenPacket {
        sid: shared.sid().as_str(),
        upgrades,
        ping_interval: milliseconds(config.timing.ping_interval),
        ping_timeout: milliseconds(config.timing.ping_timeout),
        max_payload: config.max_payload,
    };
    let initial = config.initial_packet.clone().map(Packet::Message);
    [Packet::Open(open.to_json())].into_iter().chain(initial)
}

/// Checks the request for a WebSocket. One with a body is none: where its frames begin could be read in two ways.
fn accept(head: &RequestHead, framing: &Framing) -> Result<String, HandshakeError> {
    if !matches!(framing.body, BodyLength::None | BodyLength::Length(0)) {
        return Err(HandshakeError::Body);
    }
    let minor_version = u8::from(head.version() == ::http::Version::HTTP_11);
    check_handshake(head.method(), minor_version, head.headers())
}

/// Appends headers, keeping several values of one name.
fn merge(headers: &mut HeaderMap, more: HeaderMap) {
    let mut current = None;
    for (name, value) in more {
        current = name.or(current);
        if let Some(name) = &current {
            headers.append(name, value);
        }
    }
}

/// Old versions of Internet Explorer take payloads for attacks.
fn for_old_browsers(head: &RequestHead) -> Option<(HeaderName, HeaderValue)> {
    let agent = head.header(USER_AGENT.as_str())?;
    (agent.contains(";MSIE") || agent.contains("Trident/"))
        .then(|| (::http::header::X_XSS_PROTECTION, HeaderValue::from_static("0")))
}

static HTML: [(HeaderName, HeaderValue); 1] = [content_type("text/html")];
static JSON: [(HeaderName, HeaderValue); 1] = [content_type("application/json")];
/// Of the answer to a POST that has been taken.
static DONE: [(HeaderName, HeaderValue); 2] = [content_type("text/html"), NO_STORE];
static PAYLOAD: [(HeaderName, HeaderValue); 2] = [content_type("text/plain; charset=UTF-8"), NO_STORE];

const NO_STORE: (HeaderName, HeaderValue) = (CACHE_CONTROL, HeaderValue::from_static("no-store"));

const fn content_type(value: &'static str) -> (HeaderName, HeaderValue) {
    (CONTENT_TYPE, HeaderValue::from_static(value))
}
