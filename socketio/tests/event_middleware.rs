//! Middleware of events: around the handlers, and before the acknowledgement.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use client::{Client, echo, notes, serve};
use serde_json::{Value, json};
use socketio::{Ack, Answer, IncomingEvent, Namespace, Next, Server, Socket};
use std::sync::Arc;
use tokio::sync::{
    Semaphore,
    mpsc::{UnboundedReceiver, UnboundedSender},
};

/// A server with one client, and what its handlers note.
struct Scene {
    _server: Server,
    client: Client,
    noted: UnboundedReceiver<String>,
}

impl Scene {
    async fn new(describe: impl FnOnce(Namespace, UnboundedSender<String>) -> Namespace) -> Self {
        let (note, noted) = notes();
        let server = serve(describe(echo(), note));
        let (client, _) = Client::join(&server, ["/"]).await;
        Self { _server: server, client, noted }
    }

    async fn asked(&mut self, event: &str) -> String {
        self.client.send(event).await;
        self.client.text().await
    }

    /// What has been noted up to now.
    fn notes(&mut self) -> String {
        let mut all = Vec::new();
        while let Ok(note) = self.noted.try_recv() {
            all.push(note);
        }
        all.join(" ")
    }
}

/// Notes an event on its way in and out.
fn noting(
    name: &'static str,
    note: UnboundedSender<String>,
) -> impl Fn(Socket, IncomingEvent, Next) -> futures_util::future::BoxFuture<'static, Answer> + Send + Sync + 'static
{
    move |_, event, next| {
        let note = note.clone();
        Box::pin(async move {
            note.send(format!("{name}>")).unwrap();
            let answer = next.run(event).await;
            note.send(format!("<{name}:{}{}", u8::from(answer.is_sent()), u8::from(answer.is_error())))
                .unwrap();
            answer
        })
    }
}

#[tokio::test]
async fn it_runs_in_order_around_all_events() {
    let mut scene = Scene::new(|root, note| {
        let (one, two, handler) = (note.clone(), note.clone(), note);
        root.event_middleware(noting("a", one)).event_middleware(noting("b", two)).on(
            "e",
            move |_, ok: bool| {
                handler.send("handler".to_owned()).unwrap();
                async move { if ok { Ok(Ack("done")) } else { Err("refused") } }
            },
        )
    })
    .await;
    assert_eq!(scene.asked(r#"21["e",true]"#).await, r#"31["done"]"#);
    assert_eq!(scene.notes(), "a> b> handler <b:10 <a:10");
    assert_eq!(scene.asked(r#"21["e",false]"#).await, r#"31[{"error":"refused"}]"#);
    assert_eq!(scene.notes(), "a> b> handler <b:11 <a:11");
    assert!(scene.asked(r#"21["e","x"]"#).await.starts_with(r#"31[{"error":"invalid type"#));
    assert_eq!(scene.notes(), "a> b> <b:11 <a:11");
    scene.client.send_all([r#"2["e",true]"#, r#"21["unknown"]"#]).await;
    assert_eq!(scene.asked(r#"22["echo",1]"#).await, "32[1]");
    assert_eq!(scene.notes(), "a> b> handler <b:00 <a:00 a> b> <b:00 <a:00 a> b> <b:10 <a:10");
}

#[tokio::test]
async fn it_changes_what_the_handlers_get() {
    let mut scene = Scene::new(|root, note| {
        root.event_middleware(async |_, event: IncomingEvent, next: Next| {
            let data: i64 = event.decode().map_err(|error| error.to_string())?;
            let event = event.with_data(&(data + 1, "more")).map_err(|error| error.to_string())?;
            let event = if event.name() == "alias" { event.with_name("e") } else { event };
            Ok::<_, String>(next.run(event).await)
        })
        .event_middleware(noting("seen", note.clone()))
        .on_any(move |_, event| {
            note.send(format!("any:{}", event.decode::<i64>().is_ok())).unwrap();
            async {}
        })
        .on("e", async |_, data: (i64, Value)| Ack(data))
        .fallback(async |_, event: IncomingEvent| {
            Ack((event.name().to_owned(), event.decode::<Value>().unwrap()))
        })
    })
    .await;
    assert_eq!(scene.asked(r#"21["e",1]"#).await, r#"31[2,"more"]"#);
    assert_eq!(scene.notes(), "any:true seen> <seen:10");
    assert_eq!(scene.asked(r#"21["alias",2]"#).await, r#"31[3,"more"]"#);
    scene.notes();
    assert_eq!(scene.asked(r#"21["other",5,"surplus"]"#).await, r#"31["other",6]"#);
    scene.notes();
    assert!(scene.asked(r#"21["e","x"]"#).await.starts_with(r#"31[{"error":"invalid type"#));
    assert_eq!(scene.notes(), "any:false");
}

#[tokio::test]
async fn it_answers_or_refuses_instead_of_the_handlers() {
    let mut scene = Scene::new(|root, note| {
        let (handler, error) = (note.clone(), note);
        root.event_middleware(async |_, event: IncomingEvent, next: Next| match event.name() {
            "forbidden" => Err("log in first"),
            "cached" => Ok(Cached(None)),
            _ => Ok(Cached(Some(next.run(event).await))),
        })
        .fallback(move |_, event| {
            handler.send(event.name().to_owned()).unwrap();
            async {}
        })
        .on_error(move |_, told| error.send(told.to_string()).unwrap())
    })
    .await;
    assert_eq!(scene.asked(r#"21["forbidden"]"#).await, r#"31[{"error":"log in first"}]"#);
    assert_eq!(scene.asked(r#"22["cached"]"#).await, r#"32["from memory"]"#);
    assert_eq!(scene.notes(), "");
    scene.client.send_all([r#"2["forbidden"]"#, r#"2["cached"]"#, r#"2["other"]"#]).await;
    scene.client.quiet().await;
    assert_eq!(scene.notes(), r#"event "forbidden": log in first other"#);
}

/// What has been answered, or an answer that is known already.
struct Cached(Option<Answer>);

impl socketio::Reply for Cached {
    fn answer(self, ack: socketio::Acknowledge<'_>) -> Answer {
        self.0.unwrap_or_else(|| ack.with("from memory"))
    }
}

#[tokio::test]
async fn it_acts_between_the_handler_and_the_acknowledgement() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let mut scene = Scene::new(|root, note| {
        let handler = note.clone();
        root.event_middleware(move |_, event, next: Next| {
            let (gate, note) = (Arc::clone(&opened), note.clone());
            async move {
                let held = event.name() == "save";
                let answer = next.run(event).await;
                if held {
                    note.send("saving".into()).unwrap();
                    gate.acquire().await.unwrap().forget();
                    note.send("saved".into()).unwrap();
                }
                answer
            }
        })
        .on("save", move |_, ()| {
            handler.send("handled".into()).unwrap();
            async { Ack("done") }
        })
    })
    .await;
    scene.client.send(r#"21["save"]"#).await;
    // Others are not held back.
    scene.client.quiet().await;
    assert_eq!(scene.notes(), "handled saving");
    gate.add_permits(1);
    assert_eq!(scene.client.text().await, r#"31["done"]"#);
    assert_eq!(scene.notes(), "saved");
}

#[tokio::test]
async fn a_panic_in_it_loses_its_event_only() {
    let mut scene = Scene::new(|root, note| {
        let handler = note.clone();
        root.event_middleware(async |_, event: IncomingEvent, next: Next| match event.name() {
            "before" => panic!("before the handler"),
            "after" => {
                let _ = next.run(event).await;
                panic!("after the handler");
            }
            _ => next.run(event).await,
        })
        .on("before", async |_, ()| Ack(json!("never")))
        .on("after", move |_, ()| {
            handler.send("handled".into()).unwrap();
            async { Ack("lost") }
        })
        .on_error(move |_, error| note.send(error.to_string()).unwrap())
    })
    .await;
    for event in ["before", "after"] {
        let answer = scene.asked(&format!(r#"21["{event}"]"#)).await;
        assert_eq!(answer, r#"31[{"error":"internal server error"}]"#);
    }
    scene.client.quiet().await;
    let told = [
        r#"event "before": panic: before the handler"#,
        "handled",
        r#"event "after": panic: after the handler"#,
    ];
    assert_eq!(scene.notes(), told.join(" "));
}

#[tokio::test]
async fn an_event_whose_socket_ends_meanwhile_is_not_handled() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let mut scene = Scene::new(|root, note| {
        let end = note.clone();
        root.event_middleware(move |_, event, next: Next| {
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire().await.unwrap().forget();
                next.run(event).await
            }
        })
        .on("e", move |_, ()| {
            note.send("handled".into()).unwrap();
            async {}
        })
        .on_disconnect(move |_, _| {
            end.send("gone".into()).unwrap();
            async {}
        })
    })
    .await;
    scene.client.send_all([r#"21["e"]"#, "1"]).await;
    assert_eq!(scene.noted.recv().await.unwrap(), "gone");
    gate.add_permits(10);
    scene.client.send_all(["0"]).await;
    scene.client.consent("0").await;
    scene.client.quiet().await;
    assert_eq!(scene.notes(), "");
}

#[tokio::test]
async fn lifecycle_middleware_is_around_all_handlers_of_an_occasion() {
    let mut scene = Scene::new(|root, note| {
        let noting = |name: &'static str, note: UnboundedSender<String>| {
            move |_: Socket, handlers: futures_util::future::BoxFuture<'static, ()>| {
                let note = note.clone();
                async move {
                    note.send(format!("{name}>")).unwrap();
                    handlers.await;
                    note.send(format!("<{name}")).unwrap();
                    if name == "b" { Err("b failed") } else { Ok(()) }
                }
            }
        };
        let (a, b, one, two, left, failed) =
            (note.clone(), note.clone(), note.clone(), note.clone(), note.clone(), note);
        root.lifecycle_middleware(noting("a", a))
            .lifecycle_middleware(noting("b", b))
            .on_connect(move |_| {
                one.send("one".to_owned()).unwrap();
                std::future::ready(())
            })
            .on_connect(move |_| {
                two.send("two".to_owned()).unwrap();
                std::future::ready(())
            })
            .on_disconnect(move |_, reason| {
                left.send(reason.to_string()).unwrap();
                std::future::ready(())
            })
            .on_error(move |_, error| failed.send(format!("[{error}]")).unwrap())
    })
    .await;
    assert_eq!(scene.asked(r#"21["echo",1]"#).await, "31[1]");
    assert_eq!(scene.notes(), "a> b> one two <b [event \"connect\": b failed] <a");
    scene.client.send("1").await;
    client::eventually("the end", || scene.noted.len() >= 6).await;
    let reason = "client namespace disconnect";
    assert_eq!(scene.notes(), format!("a> b> {reason} <b [event \"disconnect\": b failed] <a"));
}

#[tokio::test]
async fn what_every_namespace_has_is_outermost() {
    let (note, mut noted) = notes();
    let (outer, inner, dynamic) = (note.clone(), note.clone(), note);
    let server = Server::builder()
        .namespace(
            "/a",
            Namespace::new().event_middleware(noting("own", inner)).on("e", async |_, ()| Ack(1)),
        )
        .every_namespace(move || Namespace::new().event_middleware(noting("first", outer.clone())))
        .every_namespace(move || Namespace::new().event_middleware(noting("second", dynamic.clone())))
        .dynamic("/b/{x}", Namespace::new().on("e", async |_, ()| Ack(2)))
        .build();
    let (mut client, _) = Client::join(&server, ["/a", "/b/c"]).await;
    for (event, answer, way) in [
        ("2/a,1[\"e\"]", "3/a,1[1]", "first> second> own> <own:10 <second:10 <first:10"),
        ("2/b/c,1[\"e\"]", "3/b/c,1[2]", "first> second> <second:10 <first:10"),
    ] {
        client.send(event).await;
        assert_eq!(client.text().await, answer);
        let notes: Vec<String> = std::iter::from_fn(|| noted.try_recv().ok()).collect();
        assert_eq!(notes.join(" "), way);
    }
}
