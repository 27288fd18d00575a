//! What it costs that no update is lost: ten writers increment one number in one session in Redis.
//!
//! ```sh
//! cargo run --release -p session --features redis --example contention [redis://127.0.0.1:6379/]
//! ```
//!
//! - *Apart*: ten writers with sessions and connections of their own, as in ten processes.
//! - *Together*: ten writers in one process, which share the session.
//!
//! Both are compared to what express-session does, `GET` and then `SET`, under the same conditions; that loses most.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use session::{Lifetime, RedisStore, Session, SessionError, Sessions, Sid, Store, Stored};
use tokio::task::JoinSet;

const WRITERS: usize = 10;
const TIME: Duration = Duration::from_secs(2);
const LIFETIME: Lifetime = Lifetime::For(Duration::from_secs(600));

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned());
    let sid = Sid::generate();
    let mut apart = Vec::new();
    for _ in 0..WRITERS {
        let store = Arc::new(RedisStore::builder(&url).prefix("contention:").connect().await?);
        let sessions = Sessions::builder(Arc::clone(&store)).secret("keyboard cat").build()?;
        apart.push(Writer { store, sessions, sid: sid.clone() });
    }
    let together = vec![apart[0].clone(); WRITERS];
    for (how, writers) in [("apart", &apart), ("together", &together)] {
        let plain = measure(&format!("{how}, GET and SET"), writers, Writer::overwrite).await?;
        let compared = measure(&format!("{how}, Session::update"), writers, Writer::update).await?;
        println!("  ratio {:.2}", compared / plain);
    }
    apart[0].store.destroy(&sid).await?;
    Ok(())
}

#[derive(Clone)]
struct Writer {
    store: Arc<RedisStore>,
    sessions: Sessions,
    sid: Sid,
}

type Done<'a> = Pin<Box<dyn Future<Output = Result<(), SessionError>> + Send + 'a>>;

impl Writer {
    fn overwrite<'a>(&'a self, _: &'a Session) -> Done<'a> {
        Box::pin(async {
            let seen = self.store.load(&self.sid).await?.expect("nobody has removed it");
            Ok(self.store.put(&self.sid, &text(number(&seen) + 1), LIFETIME).await?)
        })
    }

    fn update<'a>(&'a self, session: &'a Session) -> Done<'a> {
        Box::pin(session.update(|values| {
            let number = values.get::<i64>("number")?.unwrap_or(0) + 1;
            values.insert("number", &number)
        }))
    }
}

/// Has all writers increment for a while, prints what came of it, and returns how many increments there were a second.
async fn measure(
    name: &str,
    all: &[Writer],
    increment: for<'a> fn(&'a Writer, &'a Session) -> Done<'a>,
) -> Result<f64, Box<dyn Error>> {
    let one = &all[0];
    one.store.put(&one.sid, &text(0), LIFETIME).await?;
    let mut writers = JoinSet::new();
    let started = Instant::now();
    for writer in all.iter().cloned() {
        writers.spawn(async move {
            let session = writer.sessions.load(&writer.sid).await?.expect("it was stored");
            let mut done = 0;
            while started.elapsed() < TIME {
                increment(&writer, &session).await?;
                done += 1;
            }
            Ok::<u32, SessionError>(done)
        });
    }
    let mut done = 0;
    while let Some(writer) = writers.join_next().await {
        done += writer??;
    }
    let rate = f64::from(done) / started.elapsed().as_secs_f64();
    let stored = one.store.load(&one.sid).await?.expect("nobody has removed it");
    let lost = i64::from(done) - number(&stored);
    println!("{name:<25} {rate:>8.0} increments/s, {lost} of {done} lost");
    Ok(rate)
}

/// A record of 400 bytes, a typical login.
fn text(number: i64) -> Stored {
    let cookie = r#"{"originalMaxAge":600000,"expires":null,"httpOnly":true,"path":"/"}"#;
    Stored::from(format!(r#"{{"cookie":{cookie},"number":{number},"user":"{}"}}"#, "x".repeat(300)))
}

fn number(stored: &Stored) -> i64 {
    let record = stored.record().expect("it was written here");
    record.values.get("number").expect("it is a number").expect("it is there")
}
