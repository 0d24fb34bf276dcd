//! AWS Lambda: the same routes, asked through its runtime API in place of a socket. The snapshot lies in the function's ephemeral storage, and is loaded before the first
//! request is taken, while starting costs nothing.
//!
//! Between requests the process is frozen: newer snapshots are looked for when it next runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::extract::ConnectInfo;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::lenient::Peer;
use crate::{Config, ServeError, TrustedProxy, prepare, routes};

/// Where Lambda says that its runtime API is.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
/// Of the ten seconds that starting may take: what the first snapshot gets.
const FIRST_SNAPSHOT: Duration = Duration::from_secs(8);

/// Whether this process was started by Lambda.
pub fn is_started_by_lambda() -> bool {
    shared::config::is_set(RUNTIME_API)
}

/// The only folder of a function that can be written.
pub fn lambda_cache_dir() -> PathBuf {
    std::env::temp_dir().join("kiln")
}

/// Answers invocations until Lambda ends the process.
pub async fn run_lambda(mut config: Config) -> Result<(), ServeError> {
    // Whoever asks has passed the gateway, whose X-Forwarded-… are believed.
    let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.settings.trusted_proxies.extend(TrustedProxy::parse("127.0.0.1"));
    let (state, reloader, _cache) = prepare(&mut config, false, &CancellationToken::new())?;
    if tokio::time::timeout(FIRST_SNAPSHOT, reloader.look()).await.is_err() {
        tracing::warn!(
            waited_s = FIRST_SNAPSHOT.as_secs(),
            "the first snapshot takes long; requests are answered 503 until it is there"
        );
    }
    tokio::spawn(reloader.run(CancellationToken::new()));
    let routes = routes::router(state, None).map_request(move |mut request: lambda_http::Request| {
        request.extensions_mut().insert(ConnectInfo(Peer::from(gateway)));
        request
    });
    lambda_http::run(routes).await.map_err(|error| ServeError::Lambda(error.to_string()))
}
