//! Namespaces that clients call into being.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

mod client;

use client::{Client, echo, eventually, notes};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use socketio::{
    Ack, Namespace, NamespaceRequest, Recovery, Refusal, Server, ServerBuilder, Socket,
    adapter::{Adapter, Local, SavedSocket},
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

fn builder() -> ServerBuilder {
    Server::builder().namespace("/", echo())
}

/// A namespace that says which one of all it is.
fn named(name: &'static str) -> Namespace {
    echo().on("which", move |socket: Socket, parameters: Vec<String>| {
        let namespace = socket.namespace_handle();
        let value = |name: &String| namespace.parameter(name).map(str::to_owned);
        let values: Vec<_> = parameters.iter().map(value).collect();
        async move { Ack((name, values)) }
    })
}

fn paths(server: &Server) -> Vec<String> {
    let mut paths: Vec<_> = server.namespaces().iter().map(|namespace| namespace.path().to_owned()).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn patterns_have_parameters_and_an_order() {
    let server = builder()
        .namespace("/org/7", named("registered"))
        .dynamic("/org/{id}", named("pattern"))
        .dynamic("/org/{id}/{*rest}", named("rest"))
        .dynamic("/{any}/{id}", named("later"))
        .dynamic_if(async |request: NamespaceRequest| request.path() == "/odd", named("predicate"))
        .build();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    for (path, expected) in [
        ("/org/7", r#"["registered",[null,null,null]]"#),
        ("/org/8", r#"["pattern",["8",null,null]]"#),
        ("/org/é?x=1", r#"["pattern",["é?x=1",null,null]]"#),
        ("/org/8/a/b", r#"["rest",["8","a/b",null]]"#),
        ("/other/8", r#"["later",["8",null,"other"]]"#),
        ("/odd", r#"["predicate",[null,null,null]]"#),
    ] {
        let prefix = format!("0{path},");
        client.send(&prefix).await;
        client.consent(&prefix).await;
        client.send(&format!(r#"2{path},1["which",["id","rest","any"]]"#)).await;
        assert_eq!(client.text().await, format!("3{path},1{expected}"));
    }
    for path in ["/org", "/org/", "/even", "/a/b/c", "/ORG"] {
        client.send(&format!("0{path},")).await;
        assert_eq!(client.text().await, format!(r#"4{path},{{"message":"Invalid namespace"}}"#));
    }
    client.quiet().await;
}

#[tokio::test]
async fn predicates_know_who_asks() {
    #[derive(Default, Deserialize)]
    struct Auth {
        tenant: String,
    }
    let admits = async |request: NamespaceRequest| {
        tokio::task::yield_now().await;
        assert_eq!(request.handshake().head().query_param("name").unwrap(), "ann");
        assert_ne!(request.path(), "/panic");
        let tenant = request.auth::<Auth>().unwrap_or_default().tenant;
        request.path().strip_prefix("/tenant/") == Some(&tenant)
    };
    let server = builder().dynamic_if(admits, echo()).build();
    let (mut client, _) = Client::join(&server, ["/"]).await;
    client.send(r#"0/tenant/a,{"tenant":"a"}"#).await;
    client.consent("0/tenant/a,").await;
    // Each is asked, also for one that is there.
    let (mut other, _) = Client::join(&server, ["/"]).await;
    for auth in [r#"{"tenant":"b"}"#, r#"{"tenant":7}"#, "{}", ""] {
        other.send(&format!("0/tenant/a,{auth}")).await;
        assert_eq!(other.text().await, r#"4/tenant/a,{"message":"Invalid namespace"}"#);
    }
    other.send("0/panic,").await;
    assert_eq!(other.text().await, r#"4/panic,{"message":"Internal server error"}"#);
    other.quiet().await;
    // The program cannot stand for a client.
    assert!(server.namespace("/tenant/b").is_none());
    assert_eq!(server.namespace("/tenant/a").unwrap().sockets().len(), 1);
}

#[tokio::test]
async fn they_end_with_their_last_socket() {
    let (note, mut noted) = notes();
    let refusing = echo().middleware(async |socket: Socket| {
        socket.join("r");
        Err(Refusal::new("no"))
    });
    let dismissing = echo().on_connect(async |socket: Socket| socket.disconnect());
    let server = builder()
        .dynamic("/x/{n}", echo())
        .dynamic("/refusing/{n}", refusing)
        .dynamic("/dismissing/{n}", dismissing)
        .on_namespace(move |namespace| note.send(namespace.path().to_owned()).unwrap())
        .build();
    let (mut one, _) = Client::join(&server, ["/x/1", "/x/2"]).await;
    let (two, _) = Client::join(&server, ["/x/1"]).await;
    assert_eq!(paths(&server), ["/", "/x/1", "/x/2"]);
    let kept = server.namespace("/x/2").unwrap();
    one.send_all(["1/x/2,", "1/x/1,"]).await;
    eventually("it is empty", || paths(&server) == ["/", "/x/1"]).await;
    drop(two);
    eventually("all are empty", || paths(&server) == ["/"]).await;
    // The next is another.
    kept.emit("for nobody", &()).unwrap();
    one.send("0/x/2,").await;
    one.consent("0/x/2,").await;
    assert!(kept.sockets().is_empty());
    server.namespace("/x/2").unwrap().emit("for one", &()).unwrap();
    assert_eq!(one.text().await, r#"2/x/2,["for one"]"#);
    one.send("0/refusing/1,").await;
    assert_eq!(one.text().await, r#"4/refusing/1,{"message":"no"}"#);
    one.send("0/dismissing/1,").await;
    one.consent("0/dismissing/1,").await;
    assert_eq!(one.text().await, "1/dismissing/1,");
    eventually("those have gone", || paths(&server) == ["/", "/x/2"]).await;
    let mut made = Vec::new();
    while let Ok(path) = noted.try_recv() {
        made.push(path);
    }
    assert_eq!(made, ["/x/1", "/x/2", "/x/2", "/refusing/1", "/dismissing/1"]);
}

#[tokio::test]
async fn they_stay_if_told_so() {
    let server = builder().dynamic("/x/{n}", echo()).cleanup_empty_child_namespaces(false).build();
    let (client, [id]) = Client::join(&server, ["/x/1"]).await;
    let kept = server.namespace("/x/1").unwrap();
    drop(client);
    eventually("it is empty", || kept.socket(&id).is_none()).await;
    assert_eq!(paths(&server), ["/", "/x/1"]);
    let (_client, [id]) = Client::join(&server, ["/x/1"]).await;
    assert!(kept.socket(&id).is_some());
}

#[tokio::test(start_paused = true)]
async fn they_stay_as_long_as_somebody_may_come_back() {
    let recovery = Recovery { max_disconnection: Duration::from_secs(100), ..Recovery::default() };
    let server = builder().dynamic("/x/{n}", echo()).recovery(recovery).build();
    let mut client = Client::open(&server, 1 << 20).await;
    client.send("0/x/1,").await;
    let before = client.whole_consent("0/x/1,").await;
    let pid = before["pid"].as_str().unwrap();
    for _ in 0..3 {
        server.of("/x/1").emit("seen", &()).unwrap();
        let seen = client.text().await;
        let (_, offset): (String, String) = serde_json::from_str(&seen["2/x/1,".len()..]).unwrap();
        drop(client);
        // Long enough for each time to be counted from the last loss, not the first.
        tokio::time::sleep(Duration::from_secs(70)).await;
        server.namespace("/x/1").unwrap().emit("missed", &()).unwrap();
        client = Client::open(&server, 1 << 20).await;
        client.send(&format!(r#"0/x/1,{{"pid":"{pid}","offset":"{offset}"}}"#)).await;
        assert!(client.text().await.starts_with(r#"2/x/1,["missed""#));
        assert_eq!(client.whole_consent("0/x/1,").await, before);
    }
    drop(client);
    tokio::time::sleep(Duration::from_secs(110)).await;
    eventually("it has ended", || paths(&server) == ["/"]).await;
}

/// A hook may ask the server for anything, wherever it is called.
#[tokio::test]
async fn hooks_are_called_without_locks() {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let (note, mut noted) = notes();
    let look = move |what: &str| {
        // In a thread of its own, so that the test does not hang.
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(SERVER.get().unwrap().namespaces().len()));
        let answer = receiver.recv_timeout(Duration::from_secs(1));
        note.send(format!("{what} {}", answer.is_ok())).unwrap();
    };
    let (rooms, made) = (look.clone(), look);
    let child = echo()
        .on_connect(async |socket: Socket| socket.join("r"))
        .on_room(move |_, event| rooms(&format!("{event:?}")[..4]));
    let server = SERVER.get_or_init(|| {
        let builder = builder().dynamic("/x/{n}", child).recovery(Recovery::default());
        builder.on_namespace(move |_| made("made")).build()
    });
    let mut client = Client::open(server, 1 << 20).await;
    client.send("0/x/1,").await;
    let before = client.whole_consent("0/x/1,").await;
    server.of("/x/1").emit("seen", &()).unwrap();
    let seen = client.text().await;
    let (_, offset): (String, String) = serde_json::from_str(&seen["2/x/1,".len()..]).unwrap();
    drop(client);
    eventually("it is lost", || server.of("/x/1").sockets().is_empty()).await;
    let mut client = Client::open(server, 1 << 20).await;
    client.send(&format!(r#"0/x/1,{{"pid":{},"offset":"{offset}"}}"#, before["pid"])).await;
    assert_eq!(client.whole_consent("0/x/1,").await, before);
    for expected in ["made", "Crea", "Join", "Leav", "Dele", "Crea", "Join"] {
        assert_eq!(noted.recv().await.unwrap(), format!("{expected} true"));
    }
}

#[tokio::test]
async fn a_program_can_call_one_into_being() {
    let server = builder().dynamic("/x/{n}", echo()).build();
    assert!(server.namespace("/x/1").is_none());
    assert_eq!(server.of("/x/1").parameter("n"), Some("1"));
    let (mut client, _) = Client::join(&server, ["/x/1"]).await;
    server.of("/x/1").to("none").emit("e", &()).unwrap();
    server.of("/x/1").emit("e", &1).unwrap();
    assert_eq!(client.text().await, r#"2/x/1,["e",1]"#);
    assert_eq!(paths(&server), ["/", "/x/1"]);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.of("/y"))).is_err());
}

#[tokio::test]
async fn who_asks_at_once_joins_the_same() {
    let (gate, made) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opened, counter) = (Arc::clone(&gate), Arc::clone(&made));
    let admits = move |_| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            true
        }
    };
    let server = builder()
        .dynamic_if(admits, echo())
        .on_namespace(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        })
        .build();
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::open(&server, 1 << 20).await;
        client.send("0/new,").await;
        clients.push(client);
    }
    gate.add_permits(10);
    for client in &mut clients {
        client.consent("0/new,").await;
    }
    server.namespace("/new").unwrap().emit("for all", &()).unwrap();
    for client in &mut clients {
        assert_eq!(client.text().await, r#"2/new,["for all"]"#);
    }
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

/// Keeps those who ask for a socket of theirs waiting.
struct Slow(Arc<Semaphore>);

impl Adapter for Slow {
    fn recovers(&self) -> bool {
        true
    }

    fn restore<'a>(&'a self, _: &'a Local, _: &'a str, _: &'a str) -> BoxFuture<'a, Option<SavedSocket>> {
        Box::pin(async {
            self.0.acquire().await.unwrap().forget();
            None
        })
    }
}

#[tokio::test]
async fn who_asks_while_the_last_leaves_joins_what_is_found() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let recovery = Recovery { max_disconnection: Duration::ZERO, ..Recovery::default() };
    let server = builder()
        .dynamic("/x/{n}", echo())
        .recovery(recovery)
        .adapter(move |_| Arc::new(Slow(Arc::clone(&opened))))
        .build();
    let (last, _) = Client::join(&server, ["/x/1"]).await;
    let mut client = Client::open(&server, 1 << 20).await;
    client.send(r#"0/x/1,{"pid":"p","offset":"o"}"#).await;
    drop(last);
    eventually("it has ended", || paths(&server) == ["/"]).await;
    gate.add_permits(1);
    let id = client.consent("0/x/1,").await;
    assert!(server.namespace("/x/1").unwrap().socket(&id).is_some());
}

/// Whoever has joined is found, however often the namespace comes and goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coming_and_going_at_once() {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let found = echo().on("found", async |socket: Socket, ()| {
        let namespace = SERVER.get().unwrap().namespace(socket.namespace());
        namespace.and_then(|namespace| namespace.socket(socket.id())).map(|_| Ack("yes")).ok_or("no")
    });
    let server = SERVER.get_or_init(|| builder().dynamic("/x/{n}", found).build());
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async {
                let (mut client, _) = Client::join(SERVER.get().unwrap(), ["/"]).await;
                for _ in 0..500 {
                    client.send("0/x/1,").await;
                    client.consent("0/x/1,").await;
                    client.send_all([r#"2/x/1,1["found"]"#, "1/x/1,"]).await;
                    assert_eq!(client.text().await, r#"3/x/1,1["yes"]"#);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    eventually("all have left", || paths(server) == ["/"]).await;
}
