//! What only the operator's own browser may be told: a page of another site, whose name was bound to a loopback address, names that site as `Host`.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::error::ApiError;

/// Answers as if there were no such route, unless the request names a loopback address or `localhost`.
pub(super) async fn only(request: Request, next: Next) -> Response {
    if is_own(request.headers()) {
        return next.run(request).await;
    }
    ApiError::not_found("this is answered on a loopback address alone; see --admin").into_response()
}

/// Whether the request names this machine.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    // A client without a name to send, as of HTTP 1.0, is no browser.
    let Some(host) = headers.get(header::HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_loopback_addresses_and_localhost_are_own() {
        let is_own =
            |host: &'static str| is_own(&HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]));
        for host in ["localhost:5000", "127.0.0.1", "127.0.0.1:5000", "[::1]:5000", "LOCALHOST"] {
            assert!(is_own(host), "{host}");
        }
        for host in ["evil.example:5000", "127.0.0.1.evil.example", "maps.example.org", "10.0.0.1:5000", ""] {
            assert!(!is_own(host), "{host}");
        }
    }
}
