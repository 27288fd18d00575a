//! What others have left in Redis under the id of a session: the 23 cases that were tried with express-session.

use serde_json::Value;
use session::{Reload, Sessions};

use crate::{
    server::Server,
    support::{SECRET, Site},
};

/// Signed with [`SECRET`].
const COOKIE: &str =
    "connect.sid=s%3Aabcdefghijklmnopqrstuvwxyz012345.2T3g1YIBqofc0ViEUEt59cUq%2Ba6Wlfi59xfb4RQsxSQ";
const KEY: &str = "sess:abcdefghijklmnopqrstuvwxyz012345";

#[tokio::test]
async fn foreign_values_are_served_or_refused_and_never_overwritten_blindly() {
    let server = Server::start();
    let builder = Sessions::builder(server.store().await).secret(SECRET).reload(Reload::Never);
    let site = Site::new(&builder.build().unwrap(), async |session, path| {
        let is_new = session.is_new();
        if path == "/write" {
            session.insert("w", &1).unwrap();
        }
        is_new.to_string()
    });
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../vectors/foreign_json.json")).unwrap();
    assert_eq!(vectors.len(), 23);
    for vector in &vectors {
        let stored = vector["stored"].as_str().unwrap();
        for path in ["/read", "/write"] {
            server.command(&["SET", KEY, stored, "EX", "500"]);
            let answer = site.get(path, COOKIE).await;
            // Where Express answers 500 to every request of that browser, ours says that it cannot go on.
            let good = vector["read"]["status"] == "200";
            assert_eq!(answer.status, if good { 200 } else { 503 }, "{path} {stored}");
            let now = server.text(&["GET", KEY]);
            if !good || stored == "null" || path == "/read" {
                assert_eq!(now.as_deref(), Some(stored), "{path}");
            } else {
                let record = session::Record::from_json(&now.unwrap()).unwrap();
                assert_eq!(record.values.get::<u8>("w").unwrap(), Some(1), "{stored}");
            }
            if good {
                assert_eq!(answer.body, (stored == "null").to_string(), "{stored}");
            }
        }
    }
}
