//! What surrounds all that an event runs.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use client::{Client, echo, notes, serve};
use futures_util::future::BoxFuture;
use socketio::{Ack, Answer, EventRun, Namespace};
use std::task::Context;
use tokio::sync::mpsc::UnboundedSender;

/// Notes when an event begins and ends.
fn noting(
    name: &'static str,
    note: UnboundedSender<String>,
) -> impl Fn(EventRun<'_>, &mut Context<'_>) -> Result<Answer, BoxFuture<'static, Answer>> {
    move |run, cx| {
        note.send(format!("{name}>")).unwrap();
        match run.begin(cx) {
            Ok(answer) => {
                note.send(format!("<{name}:{}", u8::from(answer.is_error()))).unwrap();
                Ok(answer)
            }
            Err(rest) => {
                let note = note.clone();
                note.send("..".to_owned()).unwrap();
                Err(Box::pin(async move {
                    let answer = rest.await;
                    note.send(format!("<{name}:{}", u8::from(answer.is_error()))).unwrap();
                    answer
                }))
            }
        }
    }
}

/// A namespace with handlers that wait, do not wait, and fail.
fn handlers(root: Namespace) -> Namespace {
    root.on("now", async |_, ()| Ack("now"))
        .on("typed", async |_, _: bool| Ack("typed"))
        .on("later", async |_, ()| {
            tokio::task::yield_now().await;
            Ack("later")
        })
        .on("panic", async |_, (): ()| -> () { panic!("as it is to") })
}

#[tokio::test]
async fn it_is_around_middleware_and_handlers_whether_they_wait_or_not() {
    let (note, mut noted) = notes();
    let middleware = note.clone();
    let root = echo().event_scope(noting("a", note.clone())).event_scope(noting("b", note)).event_middleware(
        move |_, event, next| {
            middleware.send("middleware".to_owned()).unwrap();
            next.run(event)
        },
    );
    let server = serve(handlers(root));
    let (mut client, _) = Client::join(&server, ["/"]).await;
    for (event, answer, way) in [
        (r#"21["now"]"#, r#"31["now"]"#, "a> b> middleware <b:0 <a:0"),
        (r#"22["later"]"#, r#"32["later"]"#, "a> b> middleware .. .. <b:0 <a:0"),
        (r#"23["typed",1]"#, r#"33[{"error":"#, "a> b> middleware <b:1 <a:1"),
        (r#"24["panic"]"#, r#"34[{"error":"#, "a> b> middleware"),
    ] {
        client.send(event).await;
        assert!(client.text().await.starts_with(answer), "{event}");
        let notes: Vec<String> = std::iter::from_fn(|| noted.try_recv().ok()).collect();
        assert_eq!(notes.join(" "), way);
    }
}

#[tokio::test]
async fn it_runs_the_event_later_or_answers_by_itself() {
    let server = serve(handlers(echo().event_scope(|run, _| {
        let (caller, later) = (run.caller(), run.later());
        Err(Box::pin(async move {
            tokio::task::yield_now().await;
            let answer = later.await;
            if answer.is_error() { caller.acknowledge().with("something is wrong") } else { answer }
        }))
    })));
    let (mut client, _) = Client::join(&server, ["/"]).await;
    for (event, answer) in [
        (r#"21["now"]"#, r#"31["now"]"#),
        (r#"22["later"]"#, r#"32["later"]"#),
        (r#"23["typed",1]"#, r#"33["something is wrong"]"#),
    ] {
        client.send(event).await;
        assert_eq!(client.text().await, answer);
    }
}

#[tokio::test]
async fn an_event_that_is_not_run_is_refused() {
    let server = serve(handlers(echo().event_scope(|run, cx| {
        if run.caller().acknowledge().is_awaited() {
            Ok(run.caller().acknowledge().error(&"no"))
        } else {
            run.begin(cx)
        }
    })));
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"21["now"]"#).await;
    assert_eq!(client.text().await, r#"31[{"error":"no"}]"#);
}
