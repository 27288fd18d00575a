//! Handlers, requests and another program at one session, in one process and in two, with every interleaving that a slow
//! store brings, against what must have come of it:
//!
//! - each `update` that has succeeded is in the store exactly once, and none that has failed; one that was given up may be
//!   there once;
//! - what was saved is what its only writer has saved last; what nobody touches stays, byte for byte;
//! - what another program writes is not lost;
//! - a session that was destroyed is never stored again, and no save succeeds after that.
//!
//! `SEEDS=100000..200000` tries others.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod store;

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, SystemTime},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use session::{
    CookieState, Lifetime, OnConflict, Record, Reload, Replaced, Session, SessionError, Sessions, Sid,
    Store as _, Stored,
};
use store::Far;

/// What has happened, as those know it who did it.
#[derive(Default)]
struct Model {
    acknowledged: Cell<u64>,
    /// Updates of another value, some of which were given up.
    acknowledged_too: Cell<u64>,
    given_up: Cell<u64>,
    by_others: Cell<u64>,
    ending: Cell<bool>,
    ended: Cell<bool>,
}

struct World {
    store: Far,
    processes: Vec<Sessions>,
    sid: Sid,
    model: Model,
}

#[test]
fn nothing_is_lost_made_twice_or_brought_back() {
    let seeds = std::env::var("SEEDS").unwrap_or_else(|_| "0..2000".to_owned());
    let (from, to) = seeds.split_once("..").unwrap();
    for seed in from.parse().unwrap()..to.parse().unwrap() {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "with SEEDS={seed}..{}", seed + 1);
    }
}

fn run(seed: u64) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut dice = StdRng::seed_from_u64(seed);
        let world = Rc::new(World::new(&mut dice).await);
        let actors: Vec<_> = (0..dice.random_range(2..6))
            .map(|actor| {
                let dice = StdRng::seed_from_u64(dice.random());
                let work =
                    Actor { world: Rc::clone(&world), dice, key: format!("own{actor}"), saved: None }.work();
                tokio::task::spawn_local(work)
            })
            .collect();
        let mut own = Vec::new();
        for actor in actors {
            own.push(actor.await.unwrap());
        }
        // What was given up may be on its way.
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.check(&own).await;
    });
}

impl World {
    async fn new(dice: &mut StdRng) -> Self {
        let store = Far::new(dice.random(), dice.random());
        let processes = (0..dice.random_range(1..3)).map(|_| {
            let reload = [Reload::Never, Reload::OnInvalidation][dice.random_range(0..2)];
            // Nobody else writes the values of others, so it must not matter.
            let policy =
                [OnConflict::Mine, OnConflict::Theirs, OnConflict::Fail][dice.random_range(0..3)].clone();
            let sessions = Sessions::builder(store.clone()).secret("key").reload(reload).on_conflict(policy);
            sessions.build().unwrap()
        });
        let processes = processes.collect();
        let sid = Sid::generate();
        let mut cookie = CookieState::default();
        cookie.set_max_age(Some(HOUR), SystemTime::now());
        let json = Record::new(cookie).to_json().replace("}}", &format!("}},{UNTOUCHED}"));
        store.near().create(&sid, &Stored::from(json), Lifetime::For(HOUR)).await.unwrap();
        Self { store, processes, sid, model: Model::default() }
    }

    async fn stored(&self) -> Option<Stored> {
        self.store.near().load(&self.sid).await.unwrap()
    }

    async fn check(&self, own: &[(String, Option<u64>)]) {
        let stored = self.stored().await;
        if self.model.ended.get() {
            assert_eq!(stored, None, "brought back");
            return;
        }
        let stored = stored.expect("it was not destroyed");
        assert!(stored.as_str().contains(UNTOUCHED.trim_end_matches('}')), "{}", stored.as_str());
        let values = stored.record().unwrap().values;
        let number = |key: &str| values.get::<u64>(key).unwrap();
        assert_eq!(number("n").unwrap_or(0), self.model.acknowledged.get(), "updates");
        let (least, doubtful) = (self.model.acknowledged_too.get(), self.model.given_up.get());
        let too = number("m").unwrap_or(0);
        assert!(
            (least..=least + doubtful).contains(&too),
            "{too} updates, not {least} and {doubtful} given up"
        );
        assert_eq!(number("others").unwrap_or(0), self.model.by_others.get(), "what another program wrote");
        for (key, saved) in own {
            assert_eq!(number(key), *saved, "{key}");
        }
    }
}

/// Who does one thing after another.
struct Actor {
    world: Rc<World>,
    dice: StdRng,
    /// A value that only it changes.
    key: String,
    saved: Option<u64>,
}

impl Actor {
    /// Returns what it has saved last.
    async fn work(mut self) -> (String, Option<u64>) {
        for step in 0..self.dice.random_range(1..8) {
            tokio::time::sleep(Duration::from_millis(self.dice.random_range(0..6))).await;
            let ended = self.world.model.ended.get();
            let outcome = self.step(step).await;
            if ended && let Some(outcome) = outcome {
                assert!(
                    matches!(outcome, Err(SessionError::Gone | SessionError::Store(_))),
                    "{outcome:?} at the end"
                );
            }
        }
        (self.key, self.saved)
    }

    async fn step(&mut self, step: u64) -> Option<Result<(), SessionError>> {
        let world = Rc::clone(&self.world);
        let sessions = &world.processes[self.dice.random_range(0..world.processes.len())];
        let kind = self.dice.random_range(0..100);
        if kind < 10 {
            self.as_another_program().await;
            return None;
        }
        let session = match sessions.load(&world.sid).await {
            Ok(Some(session)) => session,
            Ok(None) => {
                assert!(world.model.ending.get(), "lost");
                return None;
            }
            Err(error) => return Some(Err(error)),
        };
        Some(match kind {
            10..40 => {
                let outcome = update(&session, "n").await;
                self.note(&outcome, &world.model.acknowledged);
                outcome
            }
            40..55 => {
                let patience = Duration::from_millis(self.dice.random_range(0..8));
                match tokio::time::timeout(patience, update(&session, "m")).await {
                    Ok(outcome) => {
                        self.note(&outcome, &world.model.acknowledged_too);
                        outcome
                    }
                    Err(_) => {
                        world.model.given_up.set(world.model.given_up.get() + 1);
                        return None;
                    }
                }
            }
            55..75 => {
                session.insert(&self.key, &step).unwrap();
                self.save(&session, Some(step)).await
            }
            75..82 if session.remove(&self.key) => self.save(&session, None).await,
            82..90 => session.touch().await,
            90..98 => session.reload().await,
            98.. => {
                world.model.ending.set(true);
                let outcome = session.destroy().await;
                if outcome.is_ok() {
                    world.model.ended.set(true);
                }
                return None;
            }
            _ => return None,
        })
    }

    fn note(&self, outcome: &Result<(), SessionError>, counter: &Cell<u64>) {
        if outcome.is_ok() {
            counter.set(counter.get() + 1);
        }
    }

    async fn save(&mut self, session: &Session, value: Option<u64>) -> Result<(), SessionError> {
        // Some time for others between the look and the write.
        tokio::time::sleep(Duration::from_millis(self.dice.random_range(0..6))).await;
        let outcome = session.save().await;
        if outcome.is_ok() {
            self.saved = value;
        }
        outcome
    }

    /// Counts without this crate, by compare and set, as fast as nobody else.
    async fn as_another_program(&self) {
        let Some(stored) = self.world.stored().await else { return };
        let mut record = stored.record().unwrap();
        let count = record.values.get::<u64>("others").unwrap().unwrap_or(0) + 1;
        record.values.insert("others", &count).unwrap();
        let (near, sid) = (self.world.store.near(), &self.world.sid);
        let outcome = near.replace(sid, &stored, &Stored::from(&record), Lifetime::Unchanged).await;
        assert_eq!(outcome.unwrap(), Replaced::Done);
        self.world.model.by_others.set(count);
    }
}

async fn update(session: &Session, key: &str) -> Result<(), SessionError> {
    let mut least = 0;
    let count = session.update(|values| {
        let count = values.get::<u64>(key)?.unwrap_or(0) + 1;
        least = count;
        values.insert(key, &count)?;
        Ok(count)
    });
    let count = count.await?;
    assert_eq!(count, least, "the last run is the one that counts");
    Ok(())
}

/// Text that would not survive being parsed and written again.
const UNTOUCHED: &str = r#""big":123456789012345680000,"odd":{"a":1e400,"b":-0,"s":"\ud83d"}}"#;

const HOUR: Duration = Duration::from_secs(3600);
