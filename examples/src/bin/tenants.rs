//! Namespaces that come into being when somebody joins them.
//!
//! Start it with `cargo run -p examples --bin tenants`. A client joins `io("/board/7")`, whoever it is, or
//! `io("/tenant/acme", {auth: {tenant: "acme"}})`, if that is its own.

use serde::Deserialize;
use socketio::{Ack, Namespace, NamespaceRequest, Server, Socket};

#[derive(Default, Deserialize)]
struct Auth {
    tenant: String,
}

/// Asked each time that somebody wants to join; what it does not admit is an invalid namespace.
async fn is_own_tenant(request: NamespaceRequest) -> bool {
    let tenant = request.auth::<Auth>().unwrap_or_default().tenant;
    request.path().strip_prefix("/tenant/") == Some(&tenant)
}

/// All boards are described once. A broadcast in one is not heard in another.
fn board() -> Namespace {
    Namespace::new()
        .on("which", async |socket: Socket, ()| {
            Ack(socket.namespace_handle().parameter("number").map(str::to_owned))
        })
        .on("draw", async |socket: Socket, line: (f64, f64)| socket.broadcast().emit("drawn", &line))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let tenant = Namespace::new().on("where", async |socket: Socket, ()| Ack(socket.namespace().to_owned()));
    let server = Server::builder()
        .dynamic("/board/{number}", board())
        .dynamic_if(is_own_tenant, tenant)
        .on_namespace(|namespace| println!("{} is new", namespace.path()))
        .build();
    examples::serve(&server).await
}
