//! What is answered over plain HTTP: the page, and who the visitor is.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use session::{RequestExt, Session, SessionError};

use crate::{
    rooms::check_name,
    visitor::{Visitor, count},
};

const PAGE: &str = include_str!("../../../web/index.html");
const STYLE: &str = include_str!("../../../web/style.css");
const SCRIPT: &str = include_str!("../../../web/app.js");
/// All that the page needs comes from here, so nothing else is allowed.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src data:; frame-ancestors 'none'";

/// The pages of the chat.
pub(crate) struct Pages {
    client: String,
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

impl Pages {
    pub(crate) fn new(client: String) -> Self {
        Self { client }
    }

    /// Answers one request. What it changes in the session is saved before the response leaves.
    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/style.css") => content("text/css", STYLE.into()),
            (&Method::GET, "/app.js") => content("text/javascript", SCRIPT.into()),
            (&Method::GET, "/socket.io.min.js") => content("text/javascript", self.client.clone().into()),
            (&Method::GET, "/" | "/session") | (&Method::POST, "/login" | "/logout") => {
                answer_visitor(request).unwrap_or_else(|error| {
                    eprintln!("{} {}: {error}", request.method(), request.uri());
                    problem(StatusCode::SERVICE_UNAVAILABLE, "try again")
                })
            }
            _ => problem(StatusCode::NOT_FOUND, "there is nothing here"),
        }
    }
}

fn answer_visitor(request: &Request<Bytes>) -> Result<Response<Bytes>, SessionError> {
    let session = request.session();
    match request.uri().path() {
        "/" => {
            count(&session, "visits")?;
            Ok(content("text/html", PAGE.into()))
        }
        "/login" => match login_name(request.body()) {
            Ok(name) => {
                renew(&session)?;
                session.insert("name", &name)?;
                Ok(describe(&session))
            }
            Err(error) => Ok(problem(StatusCode::UNPROCESSABLE_ENTITY, error)),
        },
        "/logout" => {
            renew(&session)?;
            Ok(describe(&session))
        }
        _ => Ok(describe(&session)),
    }
}

/// Whoever knew the cookie before somebody logged in or out must not share what comes after.
fn renew(session: &Session) -> Result<(), SessionError> {
    let visits: u64 = session.get("visits")?.unwrap_or(0);
    session.regenerate()?;
    Ok(session.insert("visits", &visits)?)
}

fn login_name(body: &[u8]) -> Result<String, &'static str> {
    let login: Login = serde_json::from_slice(body).map_err(|_| "a name is missing")?;
    check_name(&login.name)
}

fn describe(session: &Session) -> Response<Bytes> {
    json_response(StatusCode::OK, &Visitor::from(&session.values()))
}

fn problem(status: StatusCode, error: &str) -> Response<Bytes> {
    json_response(status, &json!({"error": error}))
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).expect("names and numbers have a JSON form");
    let mut response = content("application/json", body.into());
    *response.status_mut() = status;
    response
}

fn content(kind: &str, body: Bytes) -> Response<Bytes> {
    Response::builder()
        .header(header::CONTENT_TYPE, format!("{kind}; charset=utf-8"))
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(body)
        .expect("the headers are well-formed")
}
