//! Who may join: three middlewares, and a rule for namespaces.

use conformance::report;
use serde::Deserialize;
use serde_json::{Value, json};
use socketio::{Namespace, NamespaceRequest, Refusal, Socket};

use super::hold;

/// Where the client wants to wait, to be refused, and more.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wishes {
    name: Option<String>,
    join: Option<String>,
    greet: Option<String>,
    wait: u32,
    refuse: Option<u32>,
}

pub(crate) fn add(namespace: Namespace) -> Namespace {
    (1..=3).fold(namespace, |namespace, nth| namespace.middleware(move |socket| decide(socket, nth)))
}

async fn decide(socket: Socket, nth: u32) -> Result<(), Refusal> {
    let Wishes { name, join, greet, wait, refuse } = socket.auth()?;
    let (id, connected) = (socket.id(), socket.is_connected());
    report(&json!({"event": "middleware", "nth": nth, "id": id, "connected": connected}));
    if nth == 1 {
        if let Some(name) = name {
            socket.set(json!({"name": name}));
        }
        if let Some(room) = join {
            socket.join(room);
        }
        if let Some(greeting) = greet {
            socket.emit("greeting", &greeting).map_err(|error| Refusal::new(error.to_string()))?;
        }
    }
    if wait == nth {
        hold::released().await;
    }
    match refuse {
        Some(refuse) if refuse == nth => {
            Err(Refusal::new(format!("refused by {nth}")).with_data(json!({"nth": nth, "why": ["no"]})))
        }
        _ => Ok(()),
    }
}

pub(crate) async fn refuse_if_asked(socket: Socket) -> Result<(), Refusal> {
    match socket.auth::<Value>()?.get("refuse") {
        Some(_) => Err(Refusal::new("not here")),
        None => Ok(()),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Member {
    member: Option<String>,
    together: usize,
}

/// Lets members in once as many of them have asked as they say that they will be.
pub(crate) async fn is_member(request: NamespaceRequest) -> bool {
    let known = ["/club-", "/open-"].iter().any(|prefix| request.path().starts_with(prefix));
    match request.auth().unwrap_or_default() {
        Member { member: Some(member), together } if known && member != "trouble" => {
            let waiting = hold::released();
            if hold::count() >= together {
                hold::release();
            }
            waiting.await;
            true
        }
        _ => false,
    }
}
