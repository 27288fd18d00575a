//! The tests of express-session 1.19, group by group, as far as they need a server and a store.
//!
//! | group | theirs | here | in `src/cookie/express` | not | why not |
//! |---|---:|---:|---:|---:|---|
//! | core | 16 | 11 | | 5 | constructors, `res.end` twice and with null, `req.secret`, a session that is there already: of Node |
//! | when the response has ended | 5 | 5 | | | |
//! | sid not in the store, badly signed, expired; no cookie in the record | 8 | 8 | | | |
//! | proxy option | 7 | | 6 | 1 | `proxy: false` ignores `req.secure`; our caller has no second opinion |
//! | cookie option | 23 | | 23 | | |
//! | genid, key and name options | 9 | 8 | | 1 | a function that is none: a type |
//! | rolling, resave and saveUninitialized options | 17 | 17 | | | two of them turned round: nothing is saved that was not changed |
//! | secret option | 6 | 6 | | | |
//! | unset option | 5 | 4 | | 1 | a word that is none: no words; destroying is said by `destroy` |
//! | patched `res.end` | 3 | | | 3 | of Node |
//! | `req.session` | 5 | 5 | | | |
//! | its methods | 10 | 10 | | | |
//! | `req.session.cookie` | 22 | 5 | 17 | | |
//! | synchronous store, `cookieParser()` | 6 | 2 | | 4 | no callbacks, and no second parser: its cases are those of the header |
//! | | 142 | 81 | 46 | 15 | |
//!
//! Every session here is saved though nothing was put into it unless a test says otherwise, as that is their default.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod core;
mod ended;
mod methods;
mod object;
mod options;
mod saving;
mod secret;
mod sid;
#[path = "../support/mod.rs"]
mod support;
mod unset;

use std::time::Duration;

use session::{CookieOptions, Reload, Session, SessionsBuilder};
use support::{Site, Spy};

/// As theirs: a minute, unless it is about the cookie. Nothing is read beside the requests, so that what the store is asked
/// is what they ask.
fn sessions(store: &Spy) -> SessionsBuilder {
    let options = CookieOptions::default().max_age(MINUTE);
    support::sessions(store).cookie(options).reload(Reload::Never)
}

/// A site where nothing is put into sessions.
fn empty(sessions: SessionsBuilder) -> Site {
    Site::new(&sessions.build().unwrap(), async |_, _| String::new())
}

/// A site where every page does this.
fn site(sessions: SessionsBuilder, page: fn(&Session) -> String) -> Site {
    Site::new(&sessions.build().unwrap(), move |session, _| std::future::ready(page(&session)))
}

/// Tells which visit it is.
fn counts(session: &Session) -> String {
    let hits: u32 = session.get("count").unwrap().unwrap_or(0) + 1;
    session.insert("count", &hits).unwrap();
    format!("hits: {hits}")
}

fn puts_bob(session: &Session) -> String {
    session.insert("user", "bob").unwrap();
    "bob".to_owned()
}

const MINUTE: Duration = Duration::from_secs(60);
