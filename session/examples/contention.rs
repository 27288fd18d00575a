//! What it costs that no update is lost: ten writers increment one number in one session in Redis.
//!
//! ```sh
//! cargo run --release -p session --features redis --example contention [redis://127.0.0.1:6379/ [writers]]
//! ```
//!
//! - *Apart*: ten writers with sessions and connections of their own, as in ten processes.
//! - *Together*: ten writers in one process, which share the session.
//!
//! Both are compared to what express-session does, `GET` and then `SET`, under the same conditions; that loses most. The
//! two take turns, as what else the machine does changes from second to second; shown are the medians.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use session::{Lifetime, RedisStore, Session, SessionError, Sessions, Sid, Store, Stored};
use tokio::task::JoinSet;

const ROUNDS: usize = 15;
const TIME: Duration = Duration::from_millis(300);
const LIFETIME: Lifetime = Lifetime::For(Duration::from_secs(600));

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned());
    let writers = std::env::args().nth(2).map_or(Ok(10), |writers| writers.parse())?;
    let sid = Sid::generate();
    let mut apart = Vec::new();
    for _ in 0..writers {
        let store = Arc::new(RedisStore::builder(&url).prefix("contention:").connect().await?);
        let sessions = Sessions::builder(Arc::clone(&store)).secret("keyboard cat").build()?;
        apart.push(Writer { store, sessions, sid: sid.clone() });
    }
    let together = vec![apart[0].clone(); writers];
    for (how, writers) in [("apart", &apart), ("together", &together)] {
        let (mut plain, mut compared) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            plain.push(measure(writers, Writer::overwrite).await?);
            compared.push(measure(writers, Writer::update).await?);
        }
        let ratios = compared.iter().zip(&plain).map(|(compared, plain)| compared.rate() / plain.rate());
        print(&format!("{how}, GET and SET"), &plain);
        print(&format!("{how}, Session::update"), &compared);
        println!("  ratio {:.2}", median(ratios.collect()));
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

/// Has all writers increment for a while.
async fn measure(
    all: &[Writer],
    increment: for<'a> fn(&'a Writer, &'a Session) -> Done<'a>,
) -> Result<Round, Box<dyn Error>> {
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
            Ok::<i64, SessionError>(done)
        });
    }
    let mut done = 0;
    while let Some(writer) = writers.join_next().await {
        done += writer??;
    }
    let time = started.elapsed();
    let stored = one.store.load(&one.sid).await?.expect("nobody has removed it");
    Ok(Round { done, lost: done - number(&stored), time })
}

struct Round {
    done: i64,
    lost: i64,
    time: Duration,
}

impl Round {
    fn rate(&self) -> f64 {
        self.done as f64 / self.time.as_secs_f64()
    }
}

fn print(name: &str, rounds: &[Round]) {
    let rate = median(rounds.iter().map(Round::rate).collect());
    let lost: i64 = rounds.iter().map(|round| round.lost).sum();
    let done: i64 = rounds.iter().map(|round| round.done).sum();
    println!("{name:<25} {rate:>8.0} increments/s, {lost} of {done} lost");
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
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
