//! How a [`RedisStore`] is configured; the names and defaults are those of connect-redis.

use std::{fmt, sync::Arc, time::Duration};

use redis::Client;

use super::{
    RedisStore,
    error::Failure,
    link::{Address, Link, Resend},
    tracking::Tracking,
    ttl::TtlRules,
};
use crate::{Record, StoreError};

/// Configures a [`RedisStore`]; made by [`RedisStore::builder`]. `Debug` leaves the URL out, as it may hold a password.
#[must_use = "nothing is connected before `connect`"]
pub struct RedisStoreBuilder {
    url: String,
    prefix: String,
    ttl: TtlRules,
    touch: bool,
    scan_count: usize,
    response_timeout: Duration,
    connect_timeout: Duration,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            prefix: "sess:".to_owned(),
            ttl: TtlRules::default(),
            touch: true,
            scan_count: 100,
            response_timeout: RESPONSE_TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
        }
    }

    /// What stands before the session id in a key. Default `sess:`; it may be empty.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a session is kept whose cookie ends with the browser. Default a day.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl.browser = ttl;
        self
    }

    /// How long each session is kept, whatever its cookie says; zero ends it where it is [`put`](crate::Store::put).
    ///
    /// A touch must read the session then, which is one round trip more.
    pub fn ttl_with(mut self, ttl: impl Fn(&Record) -> Duration + Send + Sync + 'static) -> Self {
        self.ttl.by_record = Some(Arc::new(ttl));
        self
    }

    /// Has Redis keep sessions until they are destroyed. Something else must remove those that nobody uses any more.
    pub fn disable_ttl(mut self) -> Self {
        self.ttl.disabled = true;
        self
    }

    /// Lets no session live longer by a touch, only by being saved.
    pub fn disable_touch(mut self) -> Self {
        self.touch = false;
        self
    }

    /// How many keys Redis visits in one step when it looks for all sessions. Default 100: more are found sooner and hold
    /// up other commands for longer.
    pub fn scan_count(mut self, count: usize) -> Self {
        self.scan_count = count.max(1);
        self
    }

    /// How long a command may take, from being asked for to its answer, attempts to connect again included. Default 2 s:
    /// Redis takes less than a millisecond, and a user who waits for longer than this gives up.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How long it may take to connect. Default 2 s: the time for one packet to be lost and sent again.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Connects. Later losses of the connection heal by themselves; only this first attempt must succeed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the URL is none or nobody answers, [`StoreError::Refused`] if Redis wants another
    /// password or is still loading its data.
    pub async fn connect(self) -> Result<RedisStore, StoreError> {
        let mut store = self.connect_lazily()?;
        if !can_track(&store.link).await? {
            store.tracking = None;
        }
        Ok(store)
    }

    /// Makes the store without asking anybody, for a program that must start while Redis is down: commands fail until it
    /// is there. Redis must be one that can be watched, of version 6 or later.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the URL is none.
    pub fn connect_lazily(self) -> Result<RedisStore, StoreError> {
        let client = Client::open(self.url.as_str()).map_err(|error| Failure::connecting(&error))?;
        let Self { prefix, connect_timeout, response_timeout, .. } = self;
        let address = Address { client, connect_timeout, response_timeout };
        let link = Link::new(address.clone());
        let tracking = Some(Arc::new(Tracking::new(address.clone(), prefix.clone())));
        Ok(RedisStore {
            address,
            prefix,
            ttl: self.ttl,
            touch: self.touch,
            scan_count: self.scan_count,
            link,
            tracking,
        })
    }
}

/// Whether this Redis is of version 6 or later and the user may watch.
async fn can_track(link: &Link) -> Result<bool, Failure> {
    let mut command = redis::cmd("CLIENT");
    command.arg("TRACKING").arg("OFF");
    match link.run(&command, Resend::Safe).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.is_refusal("ERR") || failure.is_refusal("NOPERM") => Ok(false),
        Err(failure) => Err(failure),
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("ttl", &self.ttl)
            .field("touch", &self.touch)
            .field("scan_count", &self.scan_count)
            .field("response_timeout", &self.response_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
