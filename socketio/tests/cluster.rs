//! Servers that an adapter joins into a cluster.
#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

#[path = "cluster/adapter.rs"]
mod adapter;
#[path = "cluster/bus.rs"]
mod bus;
mod client;

use adapter::{Cluster, FETCH_TIMEOUT};
use bus::Bus;
use bytes::Bytes;
use client::{Client, MINUTE, Received, echo, eventually, notes};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socketio::{AckError, Namespace, NamespaceHandle, Server, Socket};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Some servers with a client each.
struct Scene<const N: usize> {
    bus: Bus,
    servers: [Server; N],
    clients: [Client; N],
    /// Of the clients' sockets in `/`.
    ids: [String; N],
}

/// Servers with a namespace `/`.
fn servers<const N: usize>(bus: &Bus, root: fn() -> Namespace) -> [Server; N] {
    std::array::from_fn(|number| {
        let bus = bus.clone();
        let builder = Server::builder().namespace("/", root()).namespace("/other", echo());
        let builder = builder.dynamic("/room/{number}", echo());
        builder.adapter(move |local| Arc::new(Cluster::join(&bus, number, local))).build()
    })
}

impl<const N: usize> Scene<N> {
    async fn new(root: fn() -> Namespace) -> Self {
        let bus = Bus::default();
        let servers = servers(&bus, root);
        let (mut clients, mut ids) = (Vec::new(), Vec::new());
        for server in &servers {
            let (client, [id]) = Client::join(server, ["/"]).await;
            clients.push(client);
            ids.push(id);
        }
        Self { bus, servers, clients: clients.try_into().ok().unwrap(), ids: ids.try_into().ok().unwrap() }
    }

    fn root(&self, server: usize) -> NamespaceHandle {
        self.servers[server].of("/")
    }

    fn socket(&self, server: usize) -> Socket {
        self.root(server).socket(&self.ids[server]).unwrap()
    }

    /// Waits until everything has been done that servers were told by now.
    async fn settle(&self) {
        // Whoever answers has done what came before.
        assert_eq!(self.root(0).fetch_sockets().await.missing_servers, 0);
        for server in 1..N {
            self.root(server).fetch_sockets().await;
        }
    }

    /// Which of the clients have received this, once and nothing else.
    async fn received_by(&mut self, event: &str) -> Vec<usize> {
        self.settle().await;
        let mut all = Vec::new();
        for (number, client) in self.clients.iter_mut().enumerate() {
            client.send(r#"2999["echo","quiet"]"#).await;
            let mut first = client.text().await;
            if first == event {
                all.push(number);
                first = client.text().await;
            }
            assert_eq!(first, r#"3999["quiet"]"#);
        }
        all
    }
}

#[tokio::test]
async fn an_event_reaches_the_sockets_of_all_servers_once() {
    let mut scene = Scene::<3>::new(echo).await;
    for server in 0..3 {
        scene.root(server).emit("e", &(server, "all")).unwrap();
        assert_eq!(scene.received_by(&format!(r#"2["e",{server},"all"]"#)).await, [0, 1, 2]);
    }
    // In order, as a connection of the sender would.
    for n in 0..100 {
        scene.root(0).emit("e", &n).unwrap();
    }
    for client in &mut scene.clients {
        for n in 0..100 {
            assert_eq!(client.text().await, format!(r#"2["e",{n}]"#));
        }
        client.quiet().await;
    }
}

#[tokio::test]
async fn rooms_choose_sockets_of_all_servers() {
    let mut scene = Scene::<3>::new(echo).await;
    scene.socket(0).join("a");
    scene.socket(1).join(["a", "b"]);
    scene.socket(2).join("b");
    let [zero, one, two] = [0, 1, 2].map(|server| scene.socket(server));
    let root = scene.root(0);
    for (target, expected) in [
        (root.to("a"), &[0, 1][..]),
        (root.to("b"), &[1, 2]),
        (root.to(["a", "b"]), &[0, 1, 2]),
        (root.to("none"), &[]),
        (root.except("a"), &[2]),
        (root.to(["a", "b"]).except("b"), &[0]),
        (root.to(two.id()), &[2]),
        (root.to("a").except(one.id()), &[0]),
        (one.broadcast(), &[0, 2]),
        (one.to("a"), &[0]),
        (two.to("b").except("a"), &[]),
        (zero.to(zero.id()), &[]),
        (root.everyone().local(), &[0]),
        (two.to(["a", "b"]).local(), &[]),
        (root.everyone().volatile().compress(false), &[0, 1, 2]),
    ] {
        target.emit("e", &()).unwrap();
        assert_eq!(scene.received_by(r#"2["e"]"#).await, expected, "{target:?}");
        assert_eq!(target.fetch_sockets().await.sockets.len(), expected.len(), "{target:?}");
    }
}

#[tokio::test]
async fn namespaces_are_kept_apart() {
    let mut scene = Scene::<2>::new(echo).await;
    let (mut other, _) = Client::join(&scene.servers[1], ["/other", "/"]).await;
    scene.servers[0].of("/other").emit("e", &()).unwrap();
    assert_eq!(other.text().await, r#"2/other,["e"]"#);
    assert_eq!(scene.received_by("none").await, [0; 0]);
    scene.root(0).emit("e", &()).unwrap();
    assert_eq!(other.text().await, r#"2["e"]"#);
    other.quiet().await;
}

#[tokio::test]
async fn servers_count_while_they_have_the_namespace() {
    let mut scene = Scene::<3>::new(echo).await;
    assert_eq!(scene.root(2).server_count().await, 3);
    let (mut guest, _) = Client::join(&scene.servers[1], ["/room/7"]).await;
    let room = scene.servers[0].of("/room/7");
    assert_eq!(room.server_count().await, 2);
    guest.send("1/room/7,").await;
    eventually("it is cleaned up", || scene.bus.count("/room/7") == 1).await;
    let leaving = async {
        scene.clients[1].closed().await;
        guest.closed().await;
    };
    tokio::join!(leaving, async { scene.servers[1].shutdown(MINUTE).await.unwrap() });
    assert_eq!(scene.root(0).server_count().await, 2);
    // The others go on without.
    assert_eq!(scene.root(0).fetch_sockets().await.sockets.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn answers_come_from_all_servers() {
    let mut scene = Scene::<3>::new(echo).await;
    let start = Instant::now();
    let question = scene.root(0).everyone().emit_with_ack::<Value, _>("ask", &("why", [1]), MINUTE).unwrap();
    for (number, client) in scene.clients.iter_mut().enumerate() {
        assert_eq!(client.text().await, r#"20["ask","why",[1]]"#);
        client.send(&format!(r#"30[{{"number":{number},"list":[[null],"x"]}},"surplus"]"#)).await;
    }
    let answers = question.collect().await;
    let mut numbers: Vec<_> = answers.answers.iter().map(|answer| answer["number"].clone()).collect();
    numbers.sort_by_key(Value::as_u64);
    assert_eq!(numbers, [0, 1, 2]);
    assert!(answers.answers.iter().all(|answer| answer["list"] == json!([[null], "x"])));
    assert!(answers.missing.is_empty(), "{:?}", answers.missing);
    assert!(start.elapsed() < MINUTE / 10, "nobody is waited for");

    // Of one socket of another server, and of none.
    let remote = scene.root(0).to(&scene.ids[2]);
    let question = remote.emit_with_ack::<u8, _>("ask", &(), MINUTE).unwrap();
    assert_eq!(scene.clients[2].text().await, r#"21["ask"]"#);
    scene.clients[2].send("31[5]").await;
    assert_eq!(question.collect().await.answers, [5]);
    let nobody = scene.root(0).to("none").emit_with_ack::<u8, _>("ask", &(), MINUTE).unwrap().collect().await;
    assert!(nobody.answers.is_empty() && nobody.missing.is_empty());
    let local = scene.root(0).everyone().local().emit_with_ack::<u8, _>("ask", &(), MINUTE).unwrap();
    scene.clients[0].text().await;
    scene.clients[0].send("33[6]").await;
    assert_eq!(local.collect().await.answers, [6]);
    assert_eq!(scene.received_by("none").await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_counted() {
    // No client is given up by its server for that long.
    const TIMEOUT: Duration = Duration::from_secs(10);
    let mut scene = Scene::<3>::new(echo).await;
    // One socket answers, one is silent and one leaves, on another server; a whole server is not heard of.
    let (mut silent, _) = Client::join(&scene.servers[1], ["/"]).await;
    let (mut leaving, _) = Client::join(&scene.servers[1], ["/"]).await;
    scene.bus.deafen(2);
    let question = scene.root(0).everyone().emit_with_ack::<u8, _>("ask", &(), TIMEOUT).unwrap();
    for (client, answer) in [(&mut silent, None), (&mut leaving, Some("1"))] {
        assert_eq!(client.text().await, r#"20["ask"]"#);
        if let Some(answer) = answer {
            client.send(answer).await;
        }
    }
    for number in [0, 1] {
        assert_eq!(scene.clients[number].text().await, r#"20["ask"]"#);
        scene.clients[number].send(&format!("30[{number}]")).await;
    }
    let start = Instant::now();
    let mut answers = question.collect().await;
    answers.answers.sort_unstable();
    assert_eq!(answers.answers, [0, 1]);
    let timeouts = answers.missing.iter().filter(|missing| matches!(missing, (None, AckError::Timeout)));
    assert_eq!(timeouts.count(), 2, "{:?}", answers.missing);
    let left = answers.missing.iter().filter(|missing| matches!(missing, (None, AckError::Disconnected)));
    assert_eq!((left.count(), answers.missing.len()), (1, 3));
    assert!(start.elapsed() <= TIMEOUT);
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct User {
    name: String,
    tags: Vec<Option<u8>>,
}

fn known() -> Namespace {
    echo().show::<User>().on_connect(async |socket: Socket| {
        socket.set(User { name: "ann".to_owned(), tags: vec![Some(1), None] });
        socket.join(["r", "s"]);
    })
}

#[tokio::test(start_paused = true)]
async fn sockets_of_all_servers_are_fetched() {
    let mut scene = Scene::<3>::new(known).await;
    let fetched = scene.root(0).fetch_sockets().await;
    assert_eq!((fetched.sockets.len(), fetched.missing_servers), (3, 0));
    for (number, id) in scene.ids.iter().enumerate() {
        let socket = fetched.sockets.iter().find(|socket| socket.id() == id).unwrap();
        assert_eq!(socket.local().is_some(), number == 0);
        let user = socket.data::<User>().unwrap();
        assert_eq!(user, User { name: "ann".to_owned(), tags: vec![Some(1), None] });
        let mut rooms: Vec<_> = socket.rooms().iter().map(|room| room.as_str().to_owned()).collect();
        rooms.sort();
        assert_eq!(rooms, ["r", "s"]);
        let handshake = socket.handshake();
        assert_eq!(handshake.query["name"], "ann");
        assert_eq!(handshake.headers["host"], "x");
    }
    // What is fetched can be acted upon, wherever it is.
    let remote = fetched.sockets.iter().find(|socket| socket.id() == scene.ids[2]).unwrap();
    remote.emit("e", &1).unwrap();
    assert_eq!(scene.received_by(r#"2["e",1]"#).await, [2]);
    remote.leave("r");
    remote.join("t");
    scene.settle().await;
    let mut rooms = scene.socket(2).rooms();
    rooms.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    assert_eq!(rooms, ["s".into(), "t".into()]);
    let question = remote.emit_with_ack::<u8, _>("ask", &(), MINUTE).unwrap();
    assert_eq!(scene.clients[2].text().await, r#"20["ask"]"#);
    scene.clients[2].send("30[9]").await;
    assert_eq!(question.collect().await.answers, [9]);

    scene.bus.deafen(1);
    let start = Instant::now();
    let fetched = scene.root(0).to("s").fetch_sockets().await;
    assert_eq!((fetched.sockets.len(), fetched.missing_servers), (2, 1));
    assert_eq!(start.elapsed(), FETCH_TIMEOUT);
    let local = scene.root(0).everyone().local().fetch_sockets().await;
    assert_eq!((local.sockets.len(), local.missing_servers), (1, 0));
}

#[tokio::test]
async fn sockets_of_all_servers_are_changed() {
    let mut scene = Scene::<3>::new(echo).await;
    let root = scene.root(0);
    root.everyone().join(["a", "b"]);
    root.except(&scene.ids[1]).leave("a");
    root.everyone().local().join("here");
    scene.settle().await;
    let rooms = |server: usize| {
        let mut rooms: Vec<_> =
            scene.socket(server).rooms().iter().map(|room| room.as_str().to_owned()).collect();
        rooms.sort();
        rooms.join(" ")
    };
    assert_eq!([rooms(0), rooms(1), rooms(2)], ["b here", "a b", "b"]);

    let (mut both, _) = Client::join(&scene.servers[1], ["/", "/other"]).await;
    root.to("a").disconnect();
    assert_eq!(scene.clients[1].text().await, "1");
    root.except([&scene.ids[0], &scene.ids[2]]).disconnect();
    assert_eq!(both.text().await, "1");
    // Its connection stays.
    scene.servers[0].of("/other").emit("e", &()).unwrap();
    assert_eq!(both.text().await, r#"2/other,["e"]"#);
    root.to(&scene.ids[2]).disconnect_connections();
    assert_eq!(scene.clients[2].receive().await, Received::Text("1".to_owned()));
    scene.clients[2].closed().await;
    scene.clients[0].quiet().await;
}

/// Answers server events, with how many sockets it has.
fn answering() -> Namespace {
    echo()
        .on_server_event("count", async |namespace: NamespaceHandle, ()| namespace.sockets().len())
        .on_server_event("note", async |namespace: NamespaceHandle, (text, number): (String, u8)| {
            namespace.everyone().local().emit("noted", &(text, number)).unwrap();
        })
        .on_server_event("sum", async |_, data: BTreeMap<String, Bytes>| {
            data.values().flat_map(|bytes| bytes.iter().copied()).map(u64::from).sum::<u64>()
        })
}

#[tokio::test(start_paused = true)]
async fn servers_send_each_other_events() {
    let mut scene = Scene::<3>::new(answering).await;
    // What could not be taken there is not sent here.
    assert!(scene.root(0).server_side_emit("connect", &()).is_err());
    scene.root(0).server_side_emit("note", &("x", 1)).unwrap();
    for client in &mut scene.clients[1..] {
        assert_eq!(client.text().await, r#"2["noted","x",1]"#);
    }
    assert_eq!(scene.received_by("none").await, [0; 0]);
    let (_more, _) = Client::join(&scene.servers[2], ["/"]).await;
    let start = Instant::now();
    let root = scene.root(0);
    let mut counts = root.server_side_emit_with_ack::<usize, _>("count", &(), MINUTE).await.unwrap();
    counts.answers.sort_unstable();
    assert_eq!((counts.answers, counts.missing), (vec![1, 2], 0));
    let data = BTreeMap::from([("one", Bytes::from_static(&[1, 2])), ("two", Bytes::from_static(&[255]))]);
    let sums = root.server_side_emit_with_ack::<u64, _>("sum", &data, MINUTE).await.unwrap();
    assert_eq!((sums.answers, sums.missing), (vec![258, 258], 0));
    assert!(root.server_side_emit_with_ack::<String, _>("count", &(), MINUTE).await.is_err());
    // Who does not know the event, or whose data it is not, cannot answer.
    let unknown = root.server_side_emit_with_ack::<Value, _>("unknown", &(), MINUTE).await.unwrap();
    assert_eq!((unknown.answers, unknown.missing), (vec![], 2));
    let ill_formed = root.server_side_emit_with_ack::<Value, _>("note", "x", MINUTE).await.unwrap();
    assert_eq!((ill_formed.answers, ill_formed.missing), (vec![], 2));
    assert!(start.elapsed() < Duration::from_secs(1), "nobody is waited for");

    scene.bus.deafen(2);
    let counts = root.server_side_emit_with_ack::<usize, _>("count", &(), MINUTE).await.unwrap();
    assert_eq!((counts.answers, counts.missing), (vec![1], 1));
    assert!(start.elapsed() >= MINUTE);
}

#[derive(Deserialize, Serialize)]
struct Parcel {
    files: Vec<(String, Bytes)>,
    note: Option<BTreeMap<String, f64>>,
}

#[tokio::test]
async fn binary_and_nested_data_travels() {
    let mut scene = Scene::<2>::new(echo).await;
    let files = vec![("a".to_owned(), Bytes::from_static(&[0, 255])), ("b\u{e9}\"".to_owned(), Bytes::new())];
    let note = Some(BTreeMap::from([("x".to_owned(), 0.1)]));
    scene.root(0).emit("parcel", &(Parcel { files, note }, Bytes::from_static(b"last"))).unwrap();
    for client in &mut scene.clients {
        let placeholder = |number: u8| format!(r#"{{"_placeholder":true,"num":{number}}}"#);
        let [a, b, last] = [0, 1, 2].map(placeholder);
        let text = format!(r#"53-["parcel",{{"files":[["a",{a}],["bé\"",{b}]],"note":{{"x":0.1}}}},{last}]"#);
        assert_eq!(client.receive().await, Received::Text(text));
        for bytes in [&[0, 255][..], b"", b"last"] {
            assert_eq!(client.receive().await, Received::Binary(bytes.to_vec()));
        }
        client.quiet().await;
    }
    // A question with attachments too.
    let question = scene.root(0).to(&scene.ids[1]);
    let question =
        question.emit_with_ack::<((Bytes, u8), String), _>("ask", &Bytes::from_static(b"?"), MINUTE).unwrap();
    assert_eq!(scene.clients[1].text().await, r#"51-0["ask",{"_placeholder":true,"num":0}]"#);
    assert_eq!(scene.clients[1].receive().await, Received::Binary(b"?".to_vec()));
    scene.clients[1].send(r#"61-0[[{"_placeholder":true,"num":0},1],"second"]"#).await;
    scene.clients[1].send_binary(b"!").await;
    let answers = question.collect().await.answers;
    assert_eq!(answers, [((Bytes::from_static(b"!"), 1), "second".to_owned())]);
}

#[tokio::test]
async fn hooks_see_events_of_other_servers() {
    let bus = Bus::default();
    let (note, mut noted) = notes();
    let root = echo().on_any_outgoing(move |_, event| {
        note.send(format!("{} {}", event.name(), event.decode::<String>().unwrap())).unwrap();
    });
    let bus_of_one = bus.clone();
    let hooked = Server::builder()
        .namespace("/", root)
        .adapter(move |local| Arc::new(Cluster::join(&bus_of_one, 7, local)))
        .build();
    let [other] = servers(&bus, echo);
    let (mut client, _) = Client::join(&hooked, ["/"]).await;
    other.of("/").emit("e", "x").unwrap();
    assert_eq!(client.text().await, r#"2["e","x"]"#);
    assert_eq!(noted.recv().await.unwrap(), "e x");
}
