//! A site without a network, and a store that counts, fails and is slow when told to.

#![allow(dead_code, unused_imports, clippy::unwrap_used, reason = "every test file uses a part of it")]

pub(crate) mod client;
pub(crate) mod spy;

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use session::{RequestExt as _, Session, Sessions, SessionsBuilder, Sid};

pub(crate) use client::Client;
pub(crate) use spy::Spy;

pub(crate) const SECRET: &str = "keyboard cat";

/// As the applications in the tests of express-session begin.
pub(crate) fn sessions(store: &Spy) -> SessionsBuilder {
    Sessions::builder(store.clone()).secret(SECRET).save_uninitialized(true)
}

type Serve = dyn Fn(Request<Bytes>) -> Pin<Box<dyn Future<Output = Response<Bytes>> + Send>> + Send + Sync;

/// An application that answers requests with its sessions around.
pub(crate) struct Site(Box<Serve>);

impl Site {
    /// Answers with what `page` says of a path.
    pub(crate) fn new<F, Fut>(sessions: &Sessions, page: F) -> Self
    where
        F: Fn(Session, String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = String> + Send + 'static,
    {
        Self::whole(sessions, move |request| {
            let page = page(request.session(), request.uri().path().to_owned());
            async move { Response::new(page.await.into()) }
        })
    }

    pub(crate) fn whole<F, Fut>(sessions: &Sessions, answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Bytes>> + Send + 'static,
    {
        Self(Box::new(sessions.serve(answer)))
    }

    /// A first request, without a cookie.
    pub(crate) async fn visit(&self, path: &str) -> Answer {
        self.ask(path, &[]).await
    }

    /// A request with a cookie.
    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.ask(path, &[("cookie", cookie)]).await
    }

    pub(crate) async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request =
            headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
        Answer::from(self.0(request.body(Bytes::new()).unwrap()).await)
    }
}

/// What a browser gets.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    pub(crate) set_cookies: Vec<String>,
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        let lines = head.headers.get_all(header::SET_COOKIE).iter();
        let set_cookies = lines.map(|line| line.to_str().unwrap().to_owned()).collect();
        Self { status: head.status, body: String::from_utf8(body.to_vec()).unwrap(), set_cookies }
    }
}

impl Answer {
    /// Expects one `Set-Cookie`, and returns its name and value, as the browser sends it back.
    pub(crate) fn cookie(&self) -> &str {
        let [line] = &self.set_cookies[..] else { panic!("one Set-Cookie in {self:?}") };
        line.split(';').next().unwrap()
    }

    /// The id in that cookie; ids that need escapes are not for this.
    pub(crate) fn sid(&self) -> Sid {
        let (_, value) = self.cookie().split_once("=s%3A").unwrap();
        Sid::from(value.rsplit_once('.').unwrap().0)
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.cookie();
        let attributes = self.set_cookies[0].split("; ").skip(1);
        attributes
            .map(|attribute| attribute.split_once('=').unwrap_or((attribute, "")))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(crate) fn no_cookie(&self) {
        assert_eq!(self.set_cookies, [""; 0]);
    }

    /// Expects success with this text.
    #[track_caller]
    pub(crate) fn says(self, body: &str) -> Self {
        assert_eq!((self.status, &self.body[..]), (StatusCode::OK, body));
        self
    }
}
