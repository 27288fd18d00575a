use std::{collections::BTreeMap, future::Future};

use super::{table::SWEPT_PER_WRITE, *};

const MINUTE: Lifetime = Lifetime::For(minutes(1));

const fn minutes(number: u64) -> Duration {
    Duration::from_secs(60 * number)
}

fn stored(value: &str) -> Stored {
    Stored::from(format!(r#"{{"cookie":{{}},"value":"{value}"}}"#))
}

fn sid(number: usize) -> Sid {
    Sid::from(format!("sid{number}").as_str())
}

async fn create(store: &MemoryStore, number: usize, lifetime: Lifetime) -> Stored {
    let record = stored("x");
    assert_eq!(store.create(&sid(number), &record, lifetime).await.unwrap(), Created::Done);
    record
}

async fn text(store: &MemoryStore, number: usize) -> Option<Stored> {
    store.load(&sid(number)).await.unwrap()
}

#[tokio::test]
async fn replaces_only_what_was_seen() {
    let store = MemoryStore::default();
    let (x, y, z) = (create(&store, 1, MINUTE).await, stored("y"), stored("z"));
    assert_eq!(store.create(&sid(1), &y, MINUTE).await.unwrap(), Created::Exists);
    assert_eq!(store.replace(&sid(1), &x, &y, MINUTE).await.unwrap(), Replaced::Done);
    assert_eq!(store.replace(&sid(1), &x, &z, MINUTE).await.unwrap(), Replaced::Conflict(y.clone()));

    // The text is what counts, not who wrote it or when.
    store.put(&sid(1), &stored("blind"), MINUTE).await.unwrap();
    assert_eq!(store.replace(&sid(1), &y, &z, MINUTE).await.unwrap(), Replaced::Conflict(stored("blind")));
    assert_eq!(store.replace(&sid(1), &stored("blind"), &z, MINUTE).await.unwrap(), Replaced::Done);

    assert!(store.destroy(&sid(1)).await.unwrap());
    assert!(!store.destroy(&sid(1)).await.unwrap());
    assert_eq!(store.replace(&sid(1), &z, &x, MINUTE).await.unwrap(), Replaced::Gone);
    assert_eq!(text(&store, 1).await, None);
}

#[tokio::test]
async fn holds_the_very_text_that_it_was_given() {
    let store = MemoryStore::default();
    let x = create(&store, 1, MINUTE).await;
    assert_eq!(text(&store, 1).await.unwrap().as_str().as_ptr(), x.as_str().as_ptr());
}

#[tokio::test(start_paused = true)]
async fn expires_on_access_and_lives_on_by_touch() {
    let store = MemoryStore::default();
    let x = create(&store, 1, MINUTE).await;
    tokio::time::advance(minutes(1) / 2).await;
    assert!(store.touch(&sid(1), MINUTE).await.unwrap());
    tokio::time::advance(minutes(1) / 2).await;
    assert_eq!(text(&store, 1).await.as_ref(), Some(&x));
    tokio::time::advance(minutes(1) / 2).await;
    assert_eq!(text(&store, 1).await, None);
    assert!(!store.touch(&sid(1), MINUTE).await.unwrap());
    assert!(!store.destroy(&sid(1)).await.unwrap());
    assert_eq!(store.replace(&sid(1), &x, &stored("y"), MINUTE).await.unwrap(), Replaced::Gone);
    create(&store, 1, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_lifetime() {
    let store = MemoryStore::default().browser_session(minutes(10));
    let x = create(&store, 1, Lifetime::Browser).await;
    create(&store, 2, MINUTE).await;
    create(&store, 3, Lifetime::Unchanged).await;
    store.put(&sid(4), &x, Lifetime::Unchanged).await.unwrap();
    create(&store, 5, Lifetime::For(Duration::MAX)).await;
    tokio::time::advance(minutes(1) / 2).await;
    // What had a minute keeps the rest of it through every kind of write.
    assert_eq!(store.replace(&sid(2), &x, &x, Lifetime::Unchanged).await.unwrap(), Replaced::Done);
    store.put(&sid(2), &x, Lifetime::Unchanged).await.unwrap();
    assert!(store.touch(&sid(2), Lifetime::Unchanged).await.unwrap());
    let alive = async || {
        let mut alive = Vec::new();
        for number in 1..=5 {
            alive.extend(text(&store, number).await.map(|_| number));
        }
        alive
    };
    assert_eq!(alive().await, [1, 2, 3, 4, 5]);
    tokio::time::advance(minutes(1) / 2).await;
    assert_eq!(alive().await, [1, 3, 4, 5]);
    assert!(store.touch(&sid(4), Lifetime::Browser).await.unwrap());
    tokio::time::advance(minutes(9)).await;
    assert_eq!(alive().await, [4, 5]);

    let default = MemoryStore::default();
    create(&default, 1, Lifetime::Browser).await;
    tokio::time::advance(Duration::from_millis(86_399_999)).await;
    assert!(text(&default, 1).await.is_some());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(text(&default, 1).await.is_none());
}

#[tokio::test]
async fn no_time_left_ends_a_session() {
    let store = MemoryStore::with_limits(MemoryLimits { max_sessions: 3, ..MemoryLimits::default() });
    let none = Lifetime::For(Duration::ZERO);
    for number in 1..=3 {
        create(&store, number, MINUTE).await;
    }
    // What is not stored needs no room.
    create(&store, 4, none).await;
    store.put(&sid(1), &stored("y"), none).await.unwrap();
    assert_eq!(store.replace(&sid(2), &stored("x"), &stored("y"), none).await.unwrap(), Replaced::Done);
    assert!(store.touch(&sid(3), none).await.unwrap());
    assert!(store.is_empty());
    store.shared.table().check();
}

#[tokio::test(start_paused = true)]
async fn writes_sweep_a_bounded_number_of_the_expired() {
    let store = MemoryStore::default();
    for number in 0..SWEPT_PER_WRITE + 5 {
        create(&store, number, MINUTE).await;
    }
    create(&store, 100, Lifetime::For(minutes(3))).await;
    tokio::time::advance(minutes(2)).await;
    create(&store, 101, Lifetime::For(Duration::MAX)).await;
    assert_eq!(store.len(), 5 + 2);
    assert!(store.touch(&sid(101), MINUTE).await.unwrap());
    assert_eq!(store.len(), 2);
    store.shared.table().check();
}

#[tokio::test(start_paused = true)]
async fn a_full_store_says_so_until_something_expires() {
    let limits = MemoryLimits { max_sessions: 40, ..MemoryLimits::default() };
    let store = MemoryStore::with_limits(limits);
    for number in 0..40 {
        create(&store, number, MINUTE).await;
    }
    let error = store.create(&sid(40), &stored("x"), MINUTE).await.unwrap_err();
    assert_eq!(error.to_string(), "the session store is full: max_sessions reached");
    let replaced = store.replace(&sid(39), &stored("x"), &stored("y"), MINUTE).await;
    assert_eq!(replaced.unwrap(), Replaced::Done);
    tokio::time::advance(minutes(1)).await;
    create(&store, 41, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_needs_the_room_sweeps_all_the_expired() {
    let store = MemoryStore::with_limits(MemoryLimits { max_bytes: 2000, ..MemoryLimits::default() });
    for number in 0..SWEPT_PER_WRITE * 2 {
        create(&store, number, MINUTE).await;
    }
    tokio::time::advance(minutes(1)).await;
    store.put(&sid(100), &stored(&"x".repeat(1900)), MINUTE).await.unwrap();
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn bytes_are_counted_and_returned() {
    let limits = MemoryLimits { max_bytes: 1000, ..MemoryLimits::default() };
    let store = MemoryStore::with_limits(limits);
    let (x, large) = (create(&store, 1, MINUTE).await, stored(&"x".repeat(800)));
    assert_eq!(store.replace(&sid(1), &x, &large, MINUTE).await.unwrap(), Replaced::Done);
    assert!(matches!(store.create(&sid(2), &large, MINUTE).await, Err(StoreError::Full("max_bytes"))));
    assert!(matches!(store.put(&sid(2), &large, MINUTE).await, Err(StoreError::Full("max_bytes"))));
    // A write that was refused has changed nothing.
    let too_large = stored(&"y".repeat(1000));
    assert!(store.replace(&sid(1), &large, &too_large, MINUTE).await.is_err());
    assert_eq!(text(&store, 1).await.as_ref(), Some(&large));
    store.touch(&sid(1), MINUTE).await.unwrap();
    store.replace(&sid(1), &large, &x, MINUTE).await.unwrap();
    store.create(&sid(2), &large, MINUTE).await.unwrap();
    store.shared.table().check();
    store.destroy(&sid(1)).await.unwrap();
    store.destroy(&sid(2)).await.unwrap();
    assert!(store.is_empty());
    store.shared.table().check();
}

/// Counts notices by id; as it looks into the store, it would hang if it were called under the lock.
struct Ears {
    heard: Mutex<BTreeMap<Sid, usize>>,
    store: Weak<MemoryStore>,
}

impl Ears {
    fn on(store: &Arc<MemoryStore>) -> Arc<Self> {
        let ears = Arc::new(Self { heard: Mutex::default(), store: Arc::downgrade(store) });
        let observer: Weak<Self> = Arc::downgrade(&ears);
        assert!(store.watch(observer));
        ears
    }

    fn take(&self) -> Vec<(Sid, usize)> {
        std::mem::take(&mut *self.heard.lock().unwrap()).into_iter().collect()
    }
}

impl Observer for Ears {
    fn changed(&self, sid: &Sid) {
        if let Some(store) = self.store.upgrade() {
            let _ = store.len();
        }
        *self.heard.lock().unwrap().entry(sid.clone()).or_default() += 1;
    }

    fn lost(&self) {
        panic!("there is no connection to lose");
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_text_are_told_once_and_nothing_else() {
    let store = Arc::new(MemoryStore::default());
    create(&store, 0, MINUTE).await;
    let ears = Ears::on(&store);
    let other_ears = Ears::on(&store);
    let (x, y) = (stored("x"), stored("y"));
    let once = [(sid(1), 1)];

    create(&store, 1, MINUTE).await;
    assert_eq!(ears.take(), once);
    assert_eq!(other_ears.take(), once);
    store.replace(&sid(1), &x, &y, MINUTE).await.unwrap();
    assert_eq!(ears.take(), once);
    store.put(&sid(1), &x, MINUTE).await.unwrap();
    assert_eq!(ears.take(), once);

    for lifetime in [MINUTE, Lifetime::Browser, Lifetime::Unchanged] {
        store.touch(&sid(1), lifetime).await.unwrap();
        store.replace(&sid(1), &x, &stored("x"), lifetime).await.unwrap();
        store.put(&sid(1), &stored("x"), lifetime).await.unwrap();
    }
    store.create(&sid(1), &y, MINUTE).await.unwrap();
    store.replace(&sid(1), &y, &y, MINUTE).await.unwrap();
    store.replace(&sid(9), &y, &y, MINUTE).await.unwrap();
    store.put(&sid(9), &y, Lifetime::For(Duration::ZERO)).await.unwrap();
    store.destroy(&sid(9)).await.unwrap();
    text(&store, 1).await;
    assert_eq!(ears.take(), []);

    store.destroy(&sid(1)).await.unwrap();
    assert_eq!(ears.take(), once);
    create(&store, 1, MINUTE).await;
    store.touch(&sid(1), Lifetime::For(Duration::ZERO)).await.unwrap();
    assert_eq!(ears.take(), [(sid(1), 2)]);
    create(&store, 1, MINUTE).await;
    store.put(&sid(1), &x, Lifetime::For(Duration::ZERO)).await.unwrap();
    assert_eq!(ears.take(), [(sid(1), 2)]);
    assert_eq!(other_ears.take(), [(sid(1), 7)]);
}

#[tokio::test(start_paused = true)]
async fn expiry_is_told_at_its_moment_without_any_access() {
    let store = Arc::new(MemoryStore::default());
    create(&store, 1, Lifetime::For(minutes(5))).await;
    let ears = Ears::on(&store);
    tokio::time::sleep(minutes(1)).await;
    // Each is earlier than the one that the task waits for.
    create(&store, 2, Lifetime::For(minutes(2))).await;
    create(&store, 3, Lifetime::For(minutes(1))).await;
    ears.take();
    let millisecond = Duration::from_millis(1);
    tokio::time::sleep(minutes(1) - millisecond).await;
    assert_eq!(ears.take(), []);
    tokio::time::sleep(millisecond * 2).await;
    assert_eq!(ears.take(), [(sid(3), 1)]);
    tokio::time::sleep(minutes(1)).await;
    assert_eq!(ears.take(), [(sid(2), 1)]);
    // One that lives on in between expires later, and is told then.
    store.touch(&sid(1), Lifetime::For(minutes(5))).await.unwrap();
    tokio::time::sleep(minutes(5) - millisecond * 2).await;
    assert_eq!(ears.take(), []);
    tokio::time::sleep(millisecond * 4).await;
    assert_eq!(ears.take(), [(sid(1), 1)]);
    assert!(store.is_empty());
    store.shared.table().check();

    // A table that was empty is watched no less.
    create(&store, 4, MINUTE).await;
    ears.take();
    tokio::time::sleep(minutes(1) + millisecond).await;
    assert_eq!(ears.take(), [(sid(4), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_expires_at_once_is_told_of_whole() {
    let store = Arc::new(MemoryStore::default());
    for number in 0..1000 {
        create(&store, number, MINUTE).await;
    }
    let ears = Ears::on(&store);
    tokio::time::sleep(minutes(1) + Duration::from_millis(1)).await;
    let heard = ears.take();
    assert_eq!(heard.len(), 1000);
    assert!(heard.iter().all(|(_, count)| *count == 1));
    assert!(store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn observers_and_the_store_go_as_they_please() {
    let store = Arc::new(MemoryStore::default());
    let sweepers = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = sweepers();
    drop(Ears::on(&store));
    let ears = Ears::on(&store);
    assert_eq!(sweepers(), before + 1, "one task however many watch");
    create(&store, 1, MINUTE).await;
    assert_eq!(ears.take(), [(sid(1), 1)]);
    // Long enough for the task to sleep.
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(store);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(sweepers(), before);
    assert_eq!(ears.take(), []);
}

fn paused<T>(run: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(run)
}

#[test]
fn another_runtime_gets_a_task_of_its_own() {
    let store = Arc::new(MemoryStore::default());
    let ears = paused(async { Ears::on(&store) });
    paused(async {
        let other_ears = Ears::on(&store);
        create(&store, 1, MINUTE).await;
        tokio::time::sleep(minutes(1) + Duration::from_millis(1)).await;
        assert_eq!(other_ears.take(), [(sid(1), 2)]);
    });
    assert_eq!(ears.take(), [(sid(1), 2)]);
}

/// The task is gone with its runtime, so all that sweeps is a write.
#[test]
fn what_writes_sweep_is_told_too() {
    let store = Arc::new(MemoryStore::default());
    let ears = paused(async { Ears::on(&store) });
    paused(async {
        create(&store, 1, MINUTE).await;
        create(&store, 2, MINUTE).await;
        ears.take();
        tokio::time::sleep(minutes(2)).await;
        assert_eq!(ears.take(), []);
        // This one is swept before it is stored anew.
        create(&store, 2, MINUTE).await;
        assert_eq!(ears.take(), [(sid(1), 1), (sid(2), 2)]);

        // Nor does one that had expired pass for unchanged if it is too late in the queue to be swept.
        for number in 10..=10 + SWEPT_PER_WRITE {
            create(&store, number, MINUTE).await;
        }
        tokio::time::sleep(minutes(2)).await;
        ears.take();
        let last = sid(10 + SWEPT_PER_WRITE);
        store.put(&last, &stored("x"), MINUTE).await.unwrap();
        assert!(ears.take().contains(&(last, 1)));
    });
}
