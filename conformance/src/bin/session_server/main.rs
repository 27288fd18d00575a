//! A Socket.IO server whose sessions lie in Redis, where an Express application has them too; its twin is
//! `js/servers/session.mjs`, which says what both do.

mod events;
mod pages;

use std::{io, sync::Arc, time::Duration};

use conformance::{Arguments, report};
use engineio::Handshake;
use http::{HeaderValue, header};
use serde_json::json;
use session::{
    CookieOptions, OnEnd, RedisStore, Reload, SameSite, ServerBuilderExt, Sessions, Touch, TrustProxy,
};
use socketio::Server;

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::read();
    let sessions = sessions(&arguments);
    let count = |name| arguments.value(name).unwrap_or(false);
    let mut server = Server::builder()
        .engine(arguments.engine_config("/socket.io/"))
        .sessions(&sessions)
        .namespace("/", events::namespace(count("connect_counts"), count("disconnect_counts")))
        .namespace("/other", events::namespace(false, false))
        .fallback(sessions.serve(pages::answer));
    if count("second_cookie") {
        server = server.handshake(async |mut handshake: Handshake| {
            let theme = HeaderValue::from_static("theme=dark; Path=/");
            handshake.response_headers().append(header::SET_COOKIE, theme);
            Ok(handshake)
        });
    }
    conformance::serve(server.build().engine()).await
}

fn sessions(arguments: &Arguments) -> Sessions {
    let milliseconds = |name| arguments.value(name).map(Duration::from_millis);
    let url = arguments.text("redis").expect("redis= is needed");
    let mut store = RedisStore::builder(url).prefix(arguments.text("prefix").unwrap_or("sess:"));
    if let Some(timeout) = milliseconds("store_timeout") {
        store = store.response_timeout(timeout);
    }
    let store = store.connect_lazily().expect("redis= is a URL");

    let grace = milliseconds("grace").unwrap_or(Duration::from_millis(500));
    let interval = milliseconds("touch_interval").unwrap_or(Duration::from_secs(60));
    let mut builder = Sessions::builder(store)
        .cookie(cookie(arguments))
        .rolling(arguments.value("rolling").unwrap_or(false))
        .save_uninitialized(arguments.value("save_uninitialized").unwrap_or(false))
        .trust_proxy(match arguments.value("proxy") {
            Some(true) => TrustProxy::All,
            _ => TrustProxy::No,
        })
        .allow_origins(arguments.text("origins").into_iter().flat_map(|origins| origins.split(',')))
        .on_end(match arguments.text("end") {
            None | Some("reconnect") => OnEnd::Reconnect { grace },
            Some("disconnect") => OnEnd::Disconnect { grace },
            Some(_) => OnEnd::Callback(Arc::new(|_| {})),
        })
        .reload(match arguments.text("reload") {
            None | Some("invalidation") => Reload::OnInvalidation,
            Some("packet") => Reload::EveryPacket,
            Some(_) => Reload::Never,
        })
        .touch(match arguments.text("touch") {
            None | Some("handshake") => Touch::Handshake,
            Some("packets") => Touch::Packets { min_interval: interval },
            Some("heartbeat") => Touch::Heartbeat { min_interval: interval },
            Some(_) => Touch::Never,
        })
        .on_change(|change| {
            if change.ended {
                report(&json!({"event": "end", "why": "gone"}));
            } else {
                change.keys().for_each(|key| report(&json!({"event": "change", "key": key})));
            }
        });
    for secret in arguments.text("secret").unwrap_or("keyboard cat").split(',') {
        builder = builder.secret(secret);
    }
    builder.build().expect("the options are good")
}

fn cookie(arguments: &Arguments) -> CookieOptions {
    let mut cookie = CookieOptions::default();
    if let Some(age) = arguments.value("max_age") {
        cookie = cookie.max_age(Duration::from_millis(age));
    }
    cookie = match arguments.text("secure") {
        None => cookie,
        Some("auto") => cookie.secure_auto(),
        Some(secure) => cookie.secure(secure == "true"),
    };
    match arguments.text("same_site") {
        None => cookie,
        Some("auto") => cookie.same_site_auto(),
        Some("strict") => cookie.same_site(SameSite::Strict),
        Some("none") => cookie.same_site(SameSite::None),
        Some(_) => cookie.same_site(SameSite::Lax),
    }
}
