//! The official client for browsers, fetched from npm the first time it is needed.

use std::{fs, path::Path};

/// Minor versions of the client and its protocol belong together; the tests run with this one.
const CLIENT: &str = "socket.io-client@4.8.4";

/// Reads the bundle, after having fetched it with npm if it is not there.
pub(crate) fn client() -> Result<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let bundle = examples::npm::install(&folder, &[CLIENT])?.join("socket.io-client/dist/socket.io.min.js");
    fs::read_to_string(&bundle).map_err(|error| format!("{}: {error}", bundle.display()))
}
