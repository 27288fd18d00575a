//! The store in Redis, against a real Redis that these tests start, restart, stop and kill.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod expiry;
mod faults;
mod foreign;
mod lifecycle;
mod observed;
mod proxy;
mod replacing;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod traces;
mod tracking;

use std::time::{Duration, Instant};

use session::{Created, Lifetime, Sid, Store, Stored};

const MINUTE: Lifetime = Lifetime::For(Duration::from_secs(60));

/// A record as express-session writes it, with one value.
fn record(value: impl std::fmt::Display) -> Stored {
    let cookie = r#"{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}"#;
    Stored::from(format!(r#"{{"cookie":{cookie},"value":{value}}}"#))
}

fn value(stored: &Stored) -> i64 {
    stored.record().unwrap().values.get("value").unwrap().unwrap()
}

fn sid(text: &str) -> Sid {
    Sid::from(text)
}

async fn create(store: &impl Store, sid: &Sid, record: &Stored) {
    assert_eq!(store.create(sid, record, MINUTE).await.unwrap(), Created::Done);
}

/// Waits until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// More than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(15);
