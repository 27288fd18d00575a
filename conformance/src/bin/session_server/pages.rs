//! The pages of `js/servers/express.mjs`, with the same sessions.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use session::{RequestExt, Session, SessionError};

use crate::events::{All, increment, lifetime_of};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    key: String,
    value: Option<Box<RawValue>>,
    user: Option<Box<RawValue>>,
    ms: u64,
}

pub(super) async fn answer(request: Request<Bytes>) -> Response<Bytes> {
    let body: Body = serde_json::from_slice(request.body()).unwrap_or_default();
    let session = request.session();
    let answered = match (request.method(), request.uri().path()) {
        (&Method::GET, "/me") => Ok(json_response(&All(session.values()))),
        (&Method::GET, "/cookie") => Ok(json_response(&lifetime_of(&session))),
        (&Method::POST, path) => change(&session, path, body).await,
        _ => Ok(failed(StatusCode::NOT_FOUND, "there is nothing here")),
    };
    answered.unwrap_or_else(|error| {
        let status = match error {
            SessionError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        failed(status, &error.to_string())
    })
}

async fn change(session: &Session, path: &str, body: Body) -> Result<Response<Bytes>, SessionError> {
    match path {
        "/login" => {
            session.regenerate()?;
            session.insert("user", &body.user)?;
        }
        "/logout" => session.destroy().await?,
        "/regenerate" => session.regenerate()?,
        "/set" => session.insert(&body.key, &body.value)?,
        "/remove" => drop(session.remove(&body.key)),
        "/increment" => return Ok(json_response(&increment(session, &body.key).await?)),
        "/max-age" => session.set_max_age(Some(Duration::from_millis(body.ms))),
        _ => return Ok(failed(StatusCode::NOT_FOUND, "there is nothing here")),
    }
    Ok(json_response(&true))
}

fn json_response(body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).expect("what was JSON is JSON");
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn failed(status: StatusCode, error: &str) -> Response<Bytes> {
    let mut response = json_response(&json!({"error": error}));
    *response.status_mut() = status;
    response
}
