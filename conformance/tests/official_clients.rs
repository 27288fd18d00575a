//! The official JavaScript clients, on Node, against our servers.
//!
//! The scenarios are in `js/test`; `npm run test:node` there runs them against the official servers.

use conformance::javascript::run;

const SERVERS: [(&str, &str); 3] = [
    ("API_SERVER", env!("CARGO_BIN_EXE_api_server")),
    ("ENGINE_SERVER", env!("CARGO_BIN_EXE_engine_server")),
    ("SOCKET_SERVER", env!("CARGO_BIN_EXE_socket_server")),
];

#[test]
fn official_clients_on_node() {
    run("test", &SERVERS);
}
