//! `Reload`, `Touch`, `OnConflict`, `fixed_lifetime`.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use session::{OnConflict, Reload, Touch};

use super::{
    AGE, Scene, namespace,
    support::{Client, Spy},
};

const SECOND: Duration = Duration::from_secs(1);

mod reload {
    use super::*;

    /// A socket of a session that another process has changed: what its handlers see, and what that asked of the store.
    async fn sees(scene: &Scene, client: &mut Client) -> (String, Vec<&'static str>) {
        client.ask("idle", ()).await;
        scene.store.calls();
        scene.store.set(&scene.sid, "user", "eve").await;
        // As long as the task needs that follows changes.
        tokio::time::sleep(Duration::from_millis(1)).await;
        (client.ask("get", "user").await, scene.store.calls())
    }

    #[tokio::test(start_paused = true)]
    async fn never() {
        let scene = Scene::new(|sessions| sessions.reload(Reload::Never).touch(Touch::Never)).await;
        let mut client = scene.join().await;
        assert_eq!(sees(&scene, &mut client).await, (r#"["ann"]"#.to_owned(), vec![]));
        // A save meets the change, and puts its own over it.
        client.ask("set", ("a", 1)).await;
        assert_eq!(client.ask("get", "user").await, r#"["eve"]"#);
        assert_eq!(scene.store.calls(), ["replace", "replace"]);
        assert_eq!(scene.stored("user").await, Some(json!("eve")));
    }

    #[tokio::test(start_paused = true)]
    async fn every_packet() {
        let scene = Scene::new(|sessions| sessions.reload(Reload::EveryPacket).touch(Touch::Never)).await;
        let mut client = scene.join().await;
        assert_eq!(sees(&scene, &mut client).await, (r#"["eve"]"#.to_owned(), vec!["load"]));
        scene.store.fails("load");
        assert!(client.ask("get", "user").await.contains("error"), "an old state is not shown");
    }

    #[tokio::test(start_paused = true)]
    async fn max_age() {
        let policy = Reload::MaxAge(SECOND * 10);
        let scene = Scene::new(|sessions| sessions.reload(policy).touch(Touch::Never)).await;
        let mut client = scene.join().await;
        assert_eq!(sees(&scene, &mut client).await, (r#"["ann"]"#.to_owned(), vec![]));
        tokio::time::advance(SECOND * 10).await;
        assert_eq!(client.ask("get", "user").await, r#"["eve"]"#);
        client.ask("get", "user").await;
        assert_eq!(scene.store.calls(), ["load"]);
    }

    #[tokio::test(start_paused = true)]
    async fn on_invalidation() {
        let scene = Scene::new(|sessions| sessions.touch(Touch::Never)).await;
        let mut client = scene.join().await;
        assert_eq!(sees(&scene, &mut client).await, (r#"["eve"]"#.to_owned(), vec!["load"]));
        client.ask("get", "user").await;
        assert_eq!(scene.store.calls(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn on_invalidation_by_a_store_that_cannot_tell() {
        let store = Spy::default();
        store.is_blind();
        let scene = Scene::on(store, |sessions| sessions.touch(Touch::Never), namespace()).await;
        let mut client = scene.join().await;
        assert_eq!(sees(&scene, &mut client).await, (r#"["ann"]"#.to_owned(), vec![]));
        tokio::time::advance(SECOND * 30).await;
        assert_eq!(client.ask("get", "user").await, r#"["eve"]"#);
    }

    /// What has changed while the store could not be read is read when it can be.
    #[tokio::test(start_paused = true)]
    async fn on_invalidation_is_patient() {
        let scene = Scene::new(|sessions| sessions.touch(Touch::Never)).await;
        let mut client = scene.join().await;
        client.ask("idle", ()).await;
        scene.store.fails("load");
        scene.store.set(&scene.sid, "user", "eve").await;
        tokio::time::sleep(SECOND * 3).await;
        scene.store.is_well();
        tokio::time::sleep(SECOND).await;
        assert_eq!(client.ask("get", "user").await, r#"["eve"]"#);
    }
}

mod touch {
    use super::*;

    /// How often a socket touches its session in three minutes with an event every ten seconds, and in three without.
    async fn touches(policy: Touch) -> (usize, usize) {
        let scene = Scene::new(|sessions| sessions.touch(policy)).await;
        let mut client = scene.join().await;
        let count = || scene.store.calls().iter().filter(|&&call| call == "touch").count();
        for _ in 0..18 {
            client.ask("idle", ()).await;
            tokio::time::sleep(SECOND * 10).await;
        }
        let busy = count();
        // Its pings are answered.
        let idle = tokio::time::timeout(SECOND * 180, client.receive()).await;
        assert!(idle.is_err(), "it is open, and quiet");
        (busy, count())
    }

    #[tokio::test(start_paused = true)]
    async fn handshake() {
        assert_eq!(touches(Touch::Handshake).await, (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn never() {
        assert_eq!(touches(Touch::Never).await, (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn packets() {
        // Every sixth event, as those between come too early.
        assert_eq!(touches(Touch::Packets { min_interval: SECOND * 60 }).await, (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeat() {
        let (busy, idle) = touches(Touch::Heartbeat { min_interval: SECOND * 60 }).await;
        assert!((2..=4).contains(&(busy - 1)) && (2..=4).contains(&idle), "{busy} {idle}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_lives_as_long_as_its_socket_is_used() {
        let scene = Scene::new(|sessions| sessions.touch(Touch::Packets { min_interval: SECOND })).await;
        let mut client = scene.join().await;
        for _ in 0..6 {
            for _ in 0..60 {
                tokio::time::timeout(SECOND * 10, client.receive()).await.expect_err("quiet");
            }
            assert_eq!(client.ask("get", "user").await, r#"["ann"]"#);
        }
        assert!(scene.store.stored(&scene.sid).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn lifetimes_may_be_fixed() {
        let scene = Scene::new(|sessions| sessions.fixed_lifetime(true)).await;
        for _ in 0..2 {
            tokio::time::advance(AGE / 3).await;
            let mut client = scene.join().await;
            assert_eq!(client.ask("set", ("a", 1)).await, r#"["set"]"#);
            scene.site.get("/", &scene.cookie).await.says("ann");
        }
        tokio::time::advance(AGE / 3).await;
        scene.site.get("/", &scene.cookie).await.says("");
    }
}

/// A page that only reads, long after an event has changed something.
#[tokio::test(start_paused = true)]
async fn a_page_lets_the_session_live_on_though_a_cookie_is_due() {
    let scene = Scene::new(|sessions| sessions.touch(Touch::Never)).await;
    let mut client = scene.join().await;
    client.ask("set", ("a", 1)).await;
    client.send("1").await;
    tokio::time::advance(AGE * 2 / 3).await;
    scene.site.get("/", &scene.cookie).await.says("ann").cookie();
    tokio::time::advance(AGE * 2 / 3).await;
    scene.site.get("/", &scene.cookie).await.says("ann");
}

mod on_conflict {
    use super::*;

    /// Two handlers that have both seen 1 put 5, first, and 9, later: how the later one is answered, and what is stored.
    async fn both_put(policy: OnConflict) -> (String, Option<Value>) {
        let scene = Scene::new(|sessions| sessions.on_conflict(policy)).await;
        let (mut one, mut two) = (scene.join().await, scene.join().await);
        one.ask("set", ("a", 1)).await;
        two.send_event("slowly", ("a", 9, 200)).await;
        one.send_event("slowly", ("a", 5, 100)).await;
        assert_eq!(one.answer().await, r#"["set"]"#);
        (two.answer().await, scene.stored("a").await)
    }

    #[tokio::test(start_paused = true)]
    async fn mine() {
        assert_eq!(both_put(OnConflict::Mine).await, (r#"["set"]"#.into(), Some(json!(9))));
    }

    #[tokio::test(start_paused = true)]
    async fn theirs() {
        assert_eq!(both_put(OnConflict::Theirs).await, (r#"["set"]"#.into(), Some(json!(5))));
    }

    #[tokio::test(start_paused = true)]
    async fn fail() {
        let error = r#"[{"error":"session not saved: the session was changed by others at the same time"}]"#;
        assert_eq!(both_put(OnConflict::Fail).await, (error.into(), Some(json!(5))));
    }

    #[tokio::test(start_paused = true)]
    async fn resolve() {
        let sum = OnConflict::Resolve(Arc::new(|conflict| {
            let number = |json: Option<&serde_json::value::RawValue>| json?.get().parse::<u8>().ok();
            let sum = number(conflict.mine)? + number(conflict.theirs)? - number(conflict.base)?;
            serde_json::value::to_raw_value(&sum).ok()
        }));
        assert_eq!(both_put(sum).await, (r#"["set"]"#.into(), Some(json!(13))));
    }
}
