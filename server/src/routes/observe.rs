//! Every answer counted, and told as an event of the target `access`: `KILN_LOG=info,access=debug` shows them.

use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::lenient::Peer;
use crate::state::AppState;

/// The route of what no route matches.
const NO_ROUTE: &str = "none";

/// Counts and tells a request.
pub(super) async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let told = tracing::enabled!(target: "access", tracing::Level::DEBUG).then(|| {
        let peer = request.extensions().get::<ConnectInfo<Peer>>().and_then(|info| info.0.ip());
        (request.method().clone(), request.uri().clone(), peer)
    });
    let response = next.run(request).await;
    let (time, status) = (started.elapsed(), response.status().as_u16());
    state.metrics.answered(route.as_deref().unwrap_or(NO_ROUTE), status, time);
    if let Some((method, uri, peer)) = told {
        let peer = peer.map(|peer| peer.to_string());
        let duration_ms = time.as_secs_f64() * 1000.0;
        tracing::debug!(target: "access", %method, path = uri.path(), query = uri.query(), status, duration_ms, peer, "answered");
    }
    response
}
