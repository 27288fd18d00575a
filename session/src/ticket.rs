//! How a browser gets a cookie when no response is due: over a WebSocket there is none.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::{RequestFacts, Session, SessionError, Sessions, Sid, shared::Shared, state::Standing};

/// What a browser exchanges for a new cookie, once, within a minute: a path that its page has to request, with the old
/// cookie, as `fetch(path, {method: "POST"})`.
///
/// ```text
/// handler                           page                                 Sessions::serve, tower layer
///    │ session.regenerate_with_ticket()                                              │
///    │ ── acknowledgement: the ticket ──> │ ── POST /session/refresh?ticket=.. ────> │ the cookie must be the old one
///    │                                    │ <──────────────── 204, Set-Cookie ────── │ the old session ends
/// ```
///
/// Serialises as the path.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(String);

impl Ticket {
    /// The path and query to be requested.
    pub fn path(&self) -> &str {
        &self.0
    }
}

impl Serialize for Ticket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Shows nothing: who has the ticket and the old cookie has the session.
impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Ticket(..)")
    }
}

/// Tickets that were not claimed yet.
pub(crate) struct Tickets {
    limit: usize,
    claims: Mutex<HashMap<String, Claim>>,
}

struct Claim {
    /// Whose cookie is to be replaced.
    holder: Arc<Shared>,
    /// The session that takes its place, if another one does.
    successor: Option<Arc<Shared>>,
    deadline: Instant,
}

/// A ticket that is being exchanged; if that does not happen, it is as good as before.
struct Claimed<'a> {
    tickets: &'a Tickets,
    name: &'a str,
    claim: Option<Claim>,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take().filter(|claim| claim.deadline > Instant::now()) {
            self.tickets.claims().insert(self.name.to_owned(), claim);
        }
    }
}

impl Tickets {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, claims: Mutex::default() }
    }

    fn issue(&self, holder: Arc<Shared>, successor: Option<Arc<Shared>>, now: Instant) -> Option<String> {
        let mut claims = self.claims();
        if claims.len() >= self.limit {
            return None;
        }
        let name = Sid::generate().as_str().to_owned();
        claims.insert(name.clone(), Claim { holder, successor, deadline: now + LIFETIME });
        Some(name)
    }

    fn claim<'a>(&'a self, name: &'a str, sid: &Sid, now: Instant) -> Option<Claimed<'a>> {
        let mut claims = self.claims();
        // A ticket in the wrong hands stays valid for the right ones.
        if claims.get(name)?.holder.sid != *sid {
            return None;
        }
        let claim = claims.remove(name).filter(|claim| claim.deadline > now)?;
        Some(Claimed { tickets: self, name, claim: Some(claim) })
    }

    fn expire(&self, name: &str) -> Option<Claim> {
        self.claims().remove(name)
    }

    fn claims(&self) -> MutexGuard<'_, HashMap<String, Claim>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Issues a ticket for a fresh cookie of this session: for [rolling](crate::SessionsBuilder::rolling) cookies of
    /// clients on WebSockets, which have no responses.
    ///
    /// # Errors
    ///
    /// [`SessionError::Gone`], [`SessionError::Unannounced`] and [`SessionError::Tickets`].
    pub fn ticket(&self) -> Result<Ticket, SessionError> {
        let shared = self.shared();
        shared.require_stored()?;
        shared.inner.ticket(&shared, None)
    }

    /// Stores a new, empty session that is to take the place of this one, and makes this handle one of it: what a handler
    /// puts into it now is saved as ever. As [`regenerate`](Self::regenerate), where there is no response.
    ///
    /// The old session ends when the ticket is claimed, or with it. If it is not claimed, the browser is logged out.
    ///
    /// # Errors
    ///
    /// As [`ticket`](Self::ticket), and [`SessionError::Store`].
    pub async fn regenerate_with_ticket(&self) -> Result<Ticket, SessionError> {
        let old = self.shared();
        old.require_stored()?;
        let new = old.inner.successor(&old, old.cookie().secure());
        new.create().await?;
        let ticket = match old.inner.ticket(&old, Some(Arc::clone(&new))) {
            Ok(ticket) => ticket,
            Err(error) => {
                new.destroy().await?;
                return Err(error);
            }
        };
        self.replace(new);
        // It ends when the ticket is claimed.
        drop(self.take_replaced());
        Ok(ticket)
    }
}

impl Shared {
    fn require_stored(&self) -> Result<(), SessionError> {
        match self.state().standing() {
            Standing::Stored => Ok(()),
            Standing::Gone => Err(SessionError::Gone),
            Standing::Opening | Standing::Unannounced => Err(SessionError::Unannounced),
        }
    }
}

impl crate::sessions::Inner {
    fn ticket(
        self: &Arc<Self>,
        holder: &Arc<Shared>,
        successor: Option<Arc<Shared>>,
    ) -> Result<Ticket, SessionError> {
        let name = self.tickets.issue(Arc::clone(holder), successor, Instant::now());
        let name = name.ok_or(SessionError::Tickets)?;
        let ticket = Ticket(format!("{}?ticket={name}", self.config.refresh_path));
        let inner = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(LIFETIME).await;
            let claim = inner.upgrade().and_then(|inner| inner.tickets.expire(&name));
            let Some(Claim { holder, successor: Some(successor), .. }) = claim else { return };
            // Nobody has the successor's cookie, and nobody will get it.
            for session in [holder, successor] {
                if let Err(error) = session.destroy().await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a replaced session could not be ended"
                    );
                }
            }
        });
        Ok(ticket)
    }
}

impl Sessions {
    /// Answers the request that claims a ticket, as [`serve`](Self::serve) and the tower layer do by themselves; `None` if
    /// it is another request.
    ///
    /// 204 with the cookie; 403 if the ticket is not good, or not that of the cookie, or the page is of another origin;
    /// 503 if the store fails.
    pub async fn claim_ticket(
        &self,
        request: &RequestFacts<'_>,
        query: Option<&str>,
        response_headers: &mut HeaderMap,
    ) -> Option<StatusCode> {
        let name = query.and_then(|query| query.strip_prefix("ticket="))?;
        if request.path != self.inner.config.refresh_path {
            return None;
        }
        if !self.admits_origin(request.headers) {
            return Some(StatusCode::FORBIDDEN);
        }
        let claim = self
            .inner
            .verified_sid(request.headers)
            .and_then(|sid| self.inner.tickets.claim(name, &sid, Instant::now()));
        let Some(mut claimed) = claim else { return Some(StatusCode::FORBIDDEN) };
        let settled = match &claimed.claim {
            Some(claim) => self.exchange(claim, request, response_headers).await,
            None => Err(SessionError::Gone),
        };
        if !matches!(settled, Err(SessionError::Store(_))) {
            claimed.claim = None;
        }
        Some(match settled {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(SessionError::Gone) => StatusCode::FORBIDDEN,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a ticket could not be exchanged");
                StatusCode::SERVICE_UNAVAILABLE
            }
        })
    }

    async fn exchange(
        &self,
        Claim { holder, successor, .. }: &Claim,
        request: &RequestFacts<'_>,
        response_headers: &mut HeaderMap,
    ) -> Result<(), SessionError> {
        let shared = successor.as_ref().unwrap_or(holder);
        shared.touch().await?;
        shared.require_stored()?;
        if successor.is_some() {
            holder.destroy().await?;
        }
        Ok(self.inner.set_cookie(&shared.sid, &shared.cookie(), request.secure, response_headers)?)
    }
}

/// Time for a slow page to make one request.
const LIFETIME: Duration = Duration::from_secs(60);
