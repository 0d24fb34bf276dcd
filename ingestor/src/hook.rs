//! The HTTP hook: stores and clouds that cannot speak NATS post their notifications here. What is understood is put on the queue before it is answered, so that
//! a sender who hears 2xx may forget it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::event::{self, Announcement, Event, PAYLOAD_BYTES_MAX};
use crate::nats::Nats;

/// Notifications that are read and put on the queue at once; more are told to try again.
const AT_ONCE_MAX: usize = 64;
/// How long one may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How CloudEvents asks whether it may send (its webhook specification, section 4).
const ORIGIN_ASKED: &str = "webhook-request-origin";
const ORIGIN_ALLOWED: &str = "webhook-allowed-origin";
/// The user name is not looked at; some senders know only basic authentication.
const BASIC: &str = "Basic ";
const BEARER: &str = "Bearer ";

/// Where what was understood goes.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub enum Sink {
    /// To all ingestors.
    Queue(Box<Nats>),
    /// To this one.
    Here(Box<dyn Fn(Vec<Event>) + Send + Sync>),
}

struct Hook {
    secret: Option<String>,
    sink: Sink,
    turns: Semaphore,
}

#[derive(Deserialize)]
struct Asked {
    secret: Option<String>,
}

/// Answers until told to stop. With a secret, only those who know it are heard: as bearer token, as the password of basic authentication, or as `?secret=`.
pub async fn serve(listener: TcpListener, secret: Option<String>, sink: Sink, shutdown: CancellationToken) {
    let hook = Arc::new(Hook { secret, sink, turns: Semaphore::new(AT_ONCE_MAX) });
    let routes = Router::new()
        .route("/", post(notified).options(may_send))
        .route("/{*anything}", post(notified).options(may_send))
        .with_state(hook);
    let serving = axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "the hook failed");
    }
}

async fn notified(State(hook): State<Arc<Hook>>, Query(asked): Query<Asked>, request: Request) -> Response {
    // Who does not know the secret is not listened to.
    if !hook.knows_secret(request.headers(), &asked) {
        let message = "the secret is missing or wrong; send it as `Authorization: Bearer …` or as `?secret=…`";
        let mut refused = told(StatusCode::UNAUTHORIZED, message);
        // Amazon SNS sends the password only after it was asked for.
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"kiln\""));
        return refused;
    }
    let Ok(_turn) = hook.turns.try_acquire() else {
        return told(StatusCode::SERVICE_UNAVAILABLE, "too many notifications at once; try again");
    };
    let body = match timeout(BODY_TIMEOUT, to_bytes(request.into_body(), PAYLOAD_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let message = format!("a notification has at most {PAYLOAD_BYTES_MAX} bytes");
            return told(StatusCode::PAYLOAD_TOO_LARGE, &message);
        }
        Err(_) => return told(StatusCode::REQUEST_TIMEOUT, "the notification did not come in time"),
    };
    match event::parse(&body) {
        Ok(Announcement::Look(events)) => hook.take(events, body).await,
        Ok(Announcement::ValidateWebhook { code }) => Json(json!({ "validationResponse": code })).into_response(),
        Ok(Announcement::ConfirmSubscription { url }) => {
            // Opening what a stranger sends would let him use us; a person looks at it first.
            tracing::warn!(url, "Amazon SNS asks to confirm a subscription: open this URL once to allow it");
            told(StatusCode::OK, "the URL to confirm stands in the ingestor's log")
        }
        Err(unknown) => hook.refuse(unknown.to_string(), body).await,
    }
}

async fn may_send(State(hook): State<Arc<Hook>>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let Some(origin) = headers.get(ORIGIN_ASKED).cloned() else { return StatusCode::NO_CONTENT.into_response() };
    if !hook.knows_secret(&headers, &asked) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    ([(ORIGIN_ALLOWED, origin), ("webhook-allowed-rate", HeaderValue::from_static("*"))]).into_response()
}

impl Hook {
    fn knows_secret(&self, headers: &HeaderMap, asked: &Asked) -> bool {
        let Some(secret) = &self.secret else { return true };
        let authorization =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let password = authorization.strip_prefix(BASIC).and_then(password);
        let bearer = authorization.strip_prefix(BEARER).map(str::to_owned);
        [bearer, password, asked.secret.clone()].into_iter().flatten().any(|said| is_same(&said, secret))
    }

    async fn take(&self, events: Vec<Event>, body: Bytes) -> Response {
        match &self.sink {
            Sink::Here(take) => take(events),
            Sink::Queue(nats) if body.len() > nats.payload_bytes_max() => {
                let message = format!("NATS takes at most {} bytes; raise its max_payload", nats.payload_bytes_max());
                tracing::warn!(bytes = body.len(), message, "a notification is too large for the queue");
                return told(StatusCode::PAYLOAD_TOO_LARGE, &message);
            }
            Sink::Queue(nats) if !events.is_empty() => {
                if let Err(error) = nats.put_event("hook", body).await {
                    tracing::warn!(%error, "a notification cannot be put on the queue; its sender is told to try again");
                    return told(StatusCode::SERVICE_UNAVAILABLE, "the queue cannot be reached; try again");
                }
            }
            Sink::Queue(_) => {}
        }
        StatusCode::NO_CONTENT.into_response()
    }

    async fn refuse(&self, reason: String, body: Bytes) -> Response {
        match &self.sink {
            Sink::Queue(nats) => {
                if nats.bury("hook", &reason, body).await.is_err() {
                    return told(StatusCode::SERVICE_UNAVAILABLE, "the queue cannot be reached; try again");
                }
                // It is kept, so nobody has to send it again.
                told(StatusCode::ACCEPTED, &format!("kept as a dead letter: {reason}"))
            }
            Sink::Here(_) => {
                tracing::warn!(reason, "a notification was not understood");
                told(StatusCode::BAD_REQUEST, &reason)
            }
        }
    }
}

fn told(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

/// The password of basic authentication (RFC 7617).
fn password(encoded: &str) -> Option<String> {
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// Compares hashes, so that the time taken tells nothing about the secret.
fn is_same(said: &str, secret: &str) -> bool {
    blake3::hash(said.as_bytes()) == blake3::hash(secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knows(secret: &str, authorization: &str, asked: Option<&str>) -> bool {
        let hook =
            Hook { secret: Some(secret.to_owned()), sink: Sink::Here(Box::new(|_| ())), turns: Semaphore::new(1) };
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        }
        hook.knows_secret(&headers, &Asked { secret: asked.map(str::to_owned) })
    }

    #[test]
    fn the_secret_is_heard_in_each_of_three_ways() {
        assert!(knows("geheim+1", "Bearer geheim+1", None));
        // `user:geheim+1`
        assert!(knows("geheim+1", "Basic dXNlcjpnZWhlaW0rMQ==", None));
        assert!(knows("geheim+1", "", Some("geheim+1")));
        for wrong in ["Bearer geheim", "Basic dXNlcjpnZWhlaW0=", "Basic %%%", "geheim+1", ""] {
            assert!(!knows("geheim+1", wrong, Some("x")), "{wrong}");
        }
    }
}
