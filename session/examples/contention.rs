//! What it costs that no update is lost: ten writers increment one number in one session in Redis.
//!
//! ```sh
//! cargo run --release -p session --features redis --example contention [redis://127.0.0.1:6379/]
//! ```
//!
//! - *Apart*: ten writers with a connection each, as in ten processes. Each goes on from what it has stored or been told
//!   last, without reading again. Who was told a moment ago and still is too late, waits for a time drawn by lot: if all
//!   tried again at once, nine would lose again.
//! - *Together*: ten writers in one process, over one connection, with one live session. Who comes while a save is under
//!   way changes the number in memory, and the next save is for all who wait. Each of them still waits until Redis has it.
//!
//! Both are compared to what express-session does, `GET` and then `SET`, under the same conditions; that loses most.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::Rng as _;
use session::{Created, Lifetime, Replaced, Sid, Store, StoreError, Stored, store::RedisStore};
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
    time::sleep,
};

const WRITERS: usize = 10;
const TIME: Duration = Duration::from_secs(2);
/// In milliseconds: ten writers with a round trip each need less.
const LONGEST_WAIT: u64 = 16;
const LIFETIME: Lifetime = Lifetime::For(Duration::from_secs(600));

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned());
    let sid = Sid::generate();
    let mut apart = Vec::new();
    for _ in 0..WRITERS {
        let store = Arc::new(RedisStore::builder(&url).prefix("contention:").connect().await?);
        apart.push(Writer { store, sid: sid.clone(), seen: Arc::default() });
    }
    let together = vec![apart[0].clone(); WRITERS];

    let plain = measure("apart, GET and SET", &apart, Writer::overwrite).await?;
    let compared = measure("apart, compare and set", &apart, Writer::increment).await?;
    println!("  ratio {:.2}", compared / plain);
    let plain = measure("together, GET and SET", &together, Writer::overwrite).await?;
    let live = Arc::new(Live::default());
    let increment = move |writer| Live::increment(Arc::clone(&live), writer);
    let compared = measure("together, compare and set", &together, increment).await?;
    println!("  ratio {:.2}", compared / plain);
    apart[0].store.destroy(&sid).await?;
    Ok(())
}

/// Has all writers increment for a while, prints what came of it, and returns how many increments there were a second.
async fn measure<F, R>(name: &str, all: &[Writer], increment: F) -> Result<f64, StoreError>
where
    F: Fn(Writer) -> R + Clone + Send + 'static,
    R: Future<Output = Result<(), StoreError>> + Send,
{
    let one = &all[0];
    one.store.destroy(&one.sid).await?;
    for writer in all {
        *writer.seen.lock().await = None;
    }
    assert_eq!(one.store.create(&one.sid, &text(0), LIFETIME).await?, Created::Done);
    let started = Instant::now();
    let mut writers = JoinSet::new();
    for writer in all {
        let (writer, increment) = (writer.clone(), increment.clone());
        writers.spawn(async move {
            let mut done = 0;
            while started.elapsed() < TIME {
                increment(writer.clone()).await?;
                done += 1;
            }
            Ok::<_, StoreError>(done)
        });
    }
    let mut done = 0;
    while let Some(writer) = writers.join_next().await {
        done += writer.expect("no writer panics")?;
    }
    let rate = f64::from(done) / started.elapsed().as_secs_f64();
    let lost = i64::from(done) - number(&one.load().await?);
    println!("{name:<25} {rate:>8.0} increments/s, {lost} of {done} lost");
    Ok(rate)
}

#[derive(Clone)]
struct Writer {
    store: Arc<RedisStore>,
    sid: Sid,
    /// What was stored when it looked last.
    seen: Arc<Mutex<Option<Stored>>>,
}

impl Writer {
    async fn load(&self) -> Result<Stored, StoreError> {
        Ok(self.store.load(&self.sid).await?.expect("nobody has removed it"))
    }

    async fn overwrite(self) -> Result<(), StoreError> {
        let seen = self.load().await?;
        self.store.put(&self.sid, &incremented(&seen), LIFETIME).await
    }

    async fn increment(self) -> Result<(), StoreError> {
        let mut last = self.seen.lock().await;
        let mut seen = match last.take() {
            Some(seen) => seen,
            None => self.load().await?,
        };
        let (mut is_recent, mut longest) = (false, 1);
        loop {
            let ours = incremented(&seen);
            match self.store.replace(&self.sid, &seen, &ours, LIFETIME).await? {
                Replaced::Done => {
                    *last = Some(ours);
                    return Ok(());
                }
                Replaced::Conflict(theirs) => seen = theirs,
                Replaced::Gone => panic!("nobody has removed it"),
            }
            if is_recent {
                longest = (longest * 2).min(LONGEST_WAIT);
                let wait = rand::rng().random_range(1..=longest);
                sleep(Duration::from_millis(wait)).await;
            }
            is_recent = !is_recent;
        }
    }
}

/// One session in memory, for all writers of a process.
struct Live {
    /// How many increments were asked for, and how many of them are stored.
    asked: std::sync::Mutex<u64>,
    stored: watch::Sender<u64>,
    /// What lies in Redis, as far as is known; locked while it is saved.
    seen: Mutex<Option<Stored>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { asked: std::sync::Mutex::default(), stored: watch::Sender::new(0), seen: Mutex::default() }
    }
}

impl Live {
    async fn increment(self: Arc<Self>, writer: Writer) -> Result<(), StoreError> {
        let mine = {
            let mut asked = self.asked.lock().expect("nobody panics");
            *asked += 1;
            *asked
        };
        let mut seen = self.seen.lock().await;
        let stored = *self.stored.borrow();
        if stored >= mine {
            return Ok(());
        }
        let all = *self.asked.lock().expect("nobody panics");
        let mut theirs = match seen.take() {
            Some(seen) => seen,
            None => writer.load().await?,
        };
        loop {
            let ours = text(number(&theirs) + i64::try_from(all - stored).expect("few"));
            match writer.store.replace(&writer.sid, &theirs, &ours, LIFETIME).await? {
                Replaced::Done => {
                    *seen = Some(ours);
                    self.stored.send_replace(all);
                    return Ok(());
                }
                Replaced::Conflict(other) => theirs = other,
                Replaced::Gone => panic!("nobody has removed it"),
            }
        }
    }
}

fn incremented(stored: &Stored) -> Stored {
    text(number(stored) + 1)
}

/// A record of 400 bytes, a typical login.
fn text(number: i64) -> Stored {
    let cookie = r#"{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}"#;
    Stored::from(format!(r#"{{"cookie":{cookie},"number":{number},"user":"{}"}}"#, "x".repeat(300)))
}

fn number(stored: &Stored) -> i64 {
    let record = stored.record().expect("it was written here");
    record.values.get("number").expect("it is a number").expect("it is there")
}
