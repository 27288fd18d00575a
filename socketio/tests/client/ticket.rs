//! What a client needs to recover its socket.

use super::{Client, eventually};
use serde_json::{Value, json};
use socketio::Server;

/// What a client knows of its socket, and gives to have it back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ticket {
    pub(crate) sid: String,
    pub(crate) pid: String,
    pub(crate) offset: String,
}

impl Ticket {
    /// Joins `/` and receives one event, whose offset makes a socket recoverable.
    pub(crate) async fn new(server: &Server) -> (Client, Self) {
        let mut client = Client::open(server, 1 << 20).await;
        client.send("0").await;
        let (sid, pid) = ids(&client.whole_consent("0").await);
        server.to(&*sid).emit("first", &()).unwrap();
        let offset = offset(&client.text().await);
        (client, Self { sid, pid, offset })
    }

    /// Receives one event.
    pub(crate) async fn receive(&mut self, client: &mut Client) -> String {
        let event = client.text().await;
        self.offset = offset(&event);
        event
    }

    pub(crate) fn request(&self) -> String {
        let Self { pid, offset, .. } = self;
        format!("0{}", json!({ "pid": pid, "offset": offset, "more": "auth" }))
    }

    /// Opens a connection and asks for the socket; returns what comes up to the consent, without offsets.
    pub(crate) async fn recover(&mut self, server: &Server) -> (Client, Vec<String>) {
        let mut client = Client::open(server, 1 << 20).await;
        client.send(&self.request()).await;
        let mut missed = Vec::new();
        loop {
            let text = client.text().await;
            if let Some(consent) = text.strip_prefix('0') {
                let consent = serde_json::from_str(consent).unwrap();
                (self.sid, self.pid) = ids(&consent);
                return (client, missed);
            }
            self.offset = offset(&text);
            let mut event: Vec<Value> = serde_json::from_str(&text[1..]).unwrap();
            event.pop();
            missed.push(json!(event).to_string());
        }
    }

    /// Expects to be recovered without having missed anything.
    pub(crate) async fn is_good(&self, server: &Server) -> Client {
        let mut again = self.clone();
        let (client, missed) = again.recover(server).await;
        assert_eq!((&again, missed), (self, vec![]));
        client
    }

    /// Expects a new socket instead.
    pub(crate) async fn is_void(&self, server: &Server) -> Client {
        let mut new = self.clone();
        let (client, missed) = new.recover(server).await;
        assert!(new.sid != self.sid && new.pid != self.pid && missed.is_empty(), "{new:?} {missed:?}");
        assert!(!server.of("/").socket(&new.sid).unwrap().is_recovered());
        client
    }
}

pub(crate) fn ids(consent: &Value) -> (String, String) {
    let id = |name: &str| consent[name].as_str().unwrap().to_owned();
    (id("sid"), id("pid"))
}

/// The last argument of an event.
fn offset(event: &str) -> String {
    let event: Vec<Value> = serde_json::from_str(&event[event.find('[').unwrap()..]).unwrap();
    event.last().unwrap().as_str().unwrap().to_owned()
}

/// Breaks the connection and waits until the server knows.
pub(crate) async fn lose(server: &Server, client: Client) {
    let open = server.engine().connection_count();
    drop(client);
    eventually("the connection is gone", || server.engine().connection_count() < open).await;
}
