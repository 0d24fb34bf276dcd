//! AWS Lambda: the same routes, asked through its runtime API in place of a socket. The snapshot lies in the function's ephemeral storage, and is loaded before the first
//! request is taken, while starting costs nothing.
//!
//! Between requests the process is frozen, and nothing can go on beside them: a newer snapshot is looked for when a request finds that the last look is some time ago.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::lenient::Peer;
use crate::reload::Reloader;
use crate::{Config, ServeError, TrustedProxy, prepare, routes};

/// Where Lambda says that its runtime API is.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
/// Of the ten seconds that starting may take: what the first snapshot gets.
const FIRST_SNAPSHOT: Duration = Duration::from_secs(8);
/// How long a request waits for a look that it caused; what takes longer goes on while later requests are answered.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// Whether this process was started by Lambda.
pub fn is_started_by_lambda() -> bool {
    shared::config::is_set(RUNTIME_API)
}

/// The only folder of a function that can be written.
pub fn lambda_cache_dir() -> PathBuf {
    std::env::temp_dir().join("kiln")
}

/// Looks for newer snapshots while requests are answered.
struct Looks {
    reloader: Arc<Reloader>,
    last: Mutex<(Instant, Option<JoinHandle<bool>>)>,
}

impl Looks {
    /// Begins a look, and waits for it a while.
    async fn look(&self, limit: Duration) {
        let mut last = self.last.lock().await;
        let reloader = Arc::clone(&self.reloader);
        let (begun, look) = &mut *last;
        let running = look.get_or_insert_with(|| {
            *begun = Instant::now();
            tokio::spawn(async move { reloader.look().await })
        });
        if timeout(limit, running).await.is_ok() {
            *look = None;
        }
    }

    async fn look_if_due(&self) {
        // Of several requests at once one looks; the others are answered from what is there.
        let due = self.last.try_lock().is_ok_and(|last| last.0.elapsed() >= self.reloader.period());
        if due {
            self.look(LOOK_LIMIT).await;
        }
    }
}

/// Answers invocations until Lambda ends the process.
pub async fn run_lambda(mut config: Config) -> Result<(), ServeError> {
    // Whoever asks has passed the gateway, whose X-Forwarded-… are believed.
    let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.settings.trusted_proxies.extend(TrustedProxy::parse("127.0.0.1"));
    let (state, reloader, _cache) = prepare(&mut config, false, &CancellationToken::new())?;
    // An answer that does not end would be an invocation that does not.
    state.live.close();
    let looks = Arc::new(Looks { reloader: Arc::new(reloader), last: Mutex::new((Instant::now(), None)) });
    looks.look(FIRST_SNAPSHOT).await;
    let routes = routes::router(state, None);
    let answer = lambda_http::service_fn(move |mut request: lambda_http::Request| {
        let (looks, routes) = (Arc::clone(&looks), routes.clone());
        request.extensions_mut().insert(ConnectInfo(Peer::from(gateway)));
        async move {
            looks.look_if_due().await;
            routes.oneshot(request).await
        }
    });
    lambda_http::run(answer).await.map_err(|error| ServeError::Lambda(error.to_string()))
}
