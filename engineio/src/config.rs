//! Options of a server, with their defaults.

use std::{sync::Arc, time::Duration};

use crate::{
    Message, Transport, connection::Timing, cookie::Cookie, cors::Cors, http::HeadLimits, websocket,
};

/// Options of a server. The defaults are those of the official server where it has the option.
///
/// ```
/// use std::time::Duration;
/// use engineio::Config;
///
/// let config = Config::default().ping_interval(Duration::from_secs(10)).max_payload(100_000);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) path: String,
    pub(crate) add_trailing_slash: bool,
    pub(crate) timing: Arc<Timing>,
    pub(crate) max_payload: usize,
    pub(crate) transports: Vec<Transport>,
    pub(crate) allow_upgrades: bool,
    pub(crate) compression_threshold: Option<usize>,
    pub(crate) initial_packet: Option<Message>,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) cors: Option<Cors>,
    pub(crate) max_outbox_bytes: usize,
    pub(crate) max_fragments: u32,
    pub(crate) limits: HttpLimits,
}

/// What one HTTP connection may cost. Every limit has an option of the same name in [`Config`].
#[derive(Clone, Debug)]
pub(crate) struct HttpLimits {
    pub(crate) head: HeadLimits,
    pub(crate) max_body_bytes: usize,
    pub(crate) head_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_connections_per_address: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "/engine.io".into(),
            add_trailing_slash: true,
            timing: Arc::new(Timing {
                ping_interval: Duration::from_secs(25),
                ping_timeout: Duration::from_secs(20),
                upgrade_timeout: Duration::from_secs(10),
                close_timeout: Duration::from_secs(30),
            }),
            max_payload: 1_000_000,
            transports: vec![Transport::Polling, Transport::WebSocket],
            allow_upgrades: true,
            compression_threshold: Some(1024),
            initial_packet: None,
            cookie: None,
            cors: None,
            max_outbox_bytes: 2 << 20,
            max_fragments: 1024,
            limits: HttpLimits {
                head: HeadLimits { max_bytes: 16 << 10, max_headers: 100, max_target: 8 << 10 },
                max_body_bytes: 1_000_000,
                head_timeout: Duration::from_secs(10),
                body_timeout: Duration::from_secs(30),
                idle_timeout: Duration::from_secs(60),
                max_connections: None,
                max_connections_per_address: None,
            },
        }
    }
}

impl Config {
    /// Path of the endpoint, `/engine.io` by default. A trailing slash is added unless
    /// [`add_trailing_slash`](Self::add_trailing_slash) is off; requests whose path begins with the result are the
    /// server's, all others go to the fallback.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Whether the path ends with a slash, as clients ask for it by default. On by default.
    #[must_use]
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.add_trailing_slash = add;
        self
    }

    /// From a pong to the next ping; 25 s by default, below the 60 s after which common proxies cut an idle
    /// connection.
    #[must_use]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        Arc::make_mut(&mut self.timing).ping_interval = interval;
        self
    }

    /// From a ping to the latest pong; 20 s by default, which phones on bad networks need.
    #[must_use]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.timing).ping_timeout = timeout;
        self
    }

    /// From the opening of a WebSocket for an upgrade to the end of its probe; 10 s by default. When it has
    /// passed, the WebSocket is closed and the connection stays on polling.
    #[must_use]
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.timing).upgrade_timeout = timeout;
        self
    }

    /// For a peer to take what is left when the server closes: to poll once more, or to answer the close frame of
    /// a WebSocket. 30 s by default.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.timing).close_timeout = timeout;
        self
    }

    /// Most bytes of a polling request or a WebSocket message; 1 MB by default (the official server's
    /// `maxHttpBufferSize`). Crossing it is answered with 413 or close code 1009.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Transports that clients may use; both by default.
    #[must_use]
    pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
        self.transports = transports.into_iter().collect();
        self
    }

    /// Whether upgrades are offered; on by default. As with the official server a client that upgrades without
    /// an offer is let through.
    #[must_use]
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.allow_upgrades = allow;
        self
    }

    /// From how many bytes a polling response is compressed, if the client accepts that: 1,024 by default, below
    /// which it saves no packet. `None` turns it off.
    #[must_use]
    pub fn http_compression(mut self, threshold: Option<usize>) -> Self {
        self.compression_threshold = threshold;
        self
    }

    /// A message that every connection gets right after its `open` packet; none by default.
    #[must_use]
    pub fn initial_packet(mut self, message: impl Into<Message>) -> Self {
        self.initial_packet = Some(message.into());
        self
    }

    /// A cookie with the connection's id on the first polling response, for load balancers; none by default. It
    /// shows the id, which is a secret, to whatever reads cookies.
    #[must_use]
    pub fn cookie(mut self, cookie: impl Into<Option<Cookie>>) -> Self {
        self.cookie = cookie.into();
        self
    }

    /// Which other origins browsers may ask from; none by default.
    #[must_use]
    pub fn cors(mut self, cors: impl Into<Option<Cors>>) -> Self {
        self.cors = cors.into();
        self
    }

    /// Bytes that may wait for a peer that takes less than it is sent; 2 MiB by default, twice the largest message
    /// that a peer may send. At this mark `try_send` fails, `send` waits, and nothing more is read from the peer. What is
    /// just being written is not counted: as much again at most, and never more than 64 KiB and a message.
    #[must_use]
    pub fn max_outbox_bytes(mut self, bytes: usize) -> Self {
        self.max_outbox_bytes = bytes;
        self
    }

    /// Most frames that one WebSocket message may be cut into; 1,024 by default, far above what clients do (they
    /// send one), and a bound on what frames without data can cost.
    #[must_use]
    pub fn max_fragments(mut self, frames: u32) -> Self {
        self.max_fragments = frames;
        self
    }

    /// Most bytes of a request head; 16 KiB by default as in Node.js, and 65,535 at most. Crossing it is answered
    /// with 431.
    #[must_use]
    pub fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.limits.head.max_bytes = bytes.min(usize::from(u16::MAX));
        self
    }

    /// Most headers of a request; 100 by default: browsers send about 20. Crossing it is answered with 431.
    #[must_use]
    pub fn max_headers(mut self, headers: usize) -> Self {
        self.limits.head.max_headers = headers;
        self
    }

    /// Most bytes of a request target; 8 KiB by default: clients cap theirs at 8,000. Crossing it is answered with
    /// 414.
    #[must_use]
    pub fn max_url_bytes(mut self, bytes: usize) -> Self {
        self.limits.head.max_target = bytes;
        self
    }

    /// Most bytes of a request body for the fallback; 1 MB by default. Crossing it is answered with 413.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_body_bytes = bytes;
        self
    }

    /// From the first byte of a request (or the opening of the TCP connection) to the end of its head; 10 s by
    /// default, ample for any honest client. Then the connection is closed, with 408 if anything had come.
    #[must_use]
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.limits.head_timeout = timeout;
        self
    }

    /// From the end of a request head to the end of the body; 30 s by default, 1 MB at 33 kB/s. Then 408 and close.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.limits.body_timeout = timeout;
        self
    }

    /// For how long a TCP connection may stay open between two requests; 60 s by default, as common proxies keep
    /// theirs.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = timeout;
        self
    }

    /// Most TCP connections in all; unlimited by default, since the machine decides how many it can hold. One more
    /// is closed right after it was accepted.
    #[must_use]
    pub fn max_connections(mut self, connections: impl Into<Option<usize>>) -> Self {
        self.limits.max_connections = connections.into();
        self
    }

    /// Most TCP connections from one address; unlimited by default, since behind a proxy all clients share its
    /// address. One more is closed right after it was accepted.
    #[must_use]
    pub fn max_connections_per_address(mut self, connections: impl Into<Option<usize>>) -> Self {
        self.limits.max_connections_per_address = connections.into();
        self
    }

    /// What a request's path must begin with.
    pub(crate) fn prefix(&self) -> String {
        let path = self.path.strip_suffix('/').unwrap_or(&self.path);
        if self.add_trailing_slash { format!("{path}/") } else { path.to_owned() }
    }

    pub(crate) fn frame_limits(&self) -> websocket::Limits {
        // Over a WebSocket a text packet has its type in front.
        websocket::Limits {
            max_frame: self.max_payload as u64,
            max_message: self.max_payload,
            max_fragments: self.max_fragments,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_has_one_trailing_slash_or_none() {
        assert_eq!(Config::default().prefix(), "/engine.io/");
        assert_eq!(Config::default().path("/io/").prefix(), "/io/");
        assert_eq!(Config::default().path("/io/").add_trailing_slash(false).prefix(), "/io");
    }
}
