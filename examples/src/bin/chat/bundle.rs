//! The official client for browsers, fetched from npm the first time it is needed.

use std::{fs, path::Path, process::Command};

/// Minor versions of the client and its protocol belong together; the tests run with this one.
const CLIENT: &str = "socket.io-client@4.8.4";

/// Reads the bundle, after having fetched it with npm if it is not there.
pub(crate) fn client() -> Result<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let bundle = folder.join("node_modules/socket.io-client/dist/socket.io.min.js");
    if !bundle.exists() {
        println!("fetching {CLIENT} from npm");
        let install = ["install", "--no-save", "--no-package-lock", "--ignore-scripts", "--silent", CLIENT];
        let fetched = Command::new("npm").args(install).arg("--prefix").arg(&folder).status();
        if !fetched.is_ok_and(|status| status.success()) {
            return Err(format!("npm could not fetch {CLIENT}: install Node.js with npm, or go online once"));
        }
    }
    fs::read_to_string(&bundle).map_err(|error| format!("{}: {error}", bundle.display()))
}
