//! `GET /events`: server-sent events of what is served, and where the ingestor is in this process, of its jobs.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use futures::stream;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::own_host;
use crate::error::ApiError;
use crate::live::Listener;
use crate::state::AppState;
use crate::{Jobs, More};

/// Between comments that keep proxies from giving up, and that find out who is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Between two looks at jobs.
const JOBS_EVERY: Duration = Duration::from_millis(500);
/// When a browser comes back after it lost us.
const RETRY: Duration = Duration::from_secs(2);
/// Has nginx pass on each event at once.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// What one client hears of.
struct Heard {
    snapshots: Listener,
    jobs: Option<JobsHeard>,
}

/// Jobs, told when they changed: while any is at work, each time.
struct JobsHeard {
    jobs: Jobs,
    every: Interval,
    told: String,
}

/// Tells until the client leaves, or the server stops.
pub(super) fn tell(
    State(state): State<AppState>,
    headers: &HeaderMap,
    more: Option<More>,
) -> Result<Response, ApiError> {
    let snapshots = state.live.listen()?;
    // Browsers say where a page of another site comes from: what lies in the operator's folders is not for those.
    let may_hear = own_host::is_own(headers) && !headers.contains_key(header::ORIGIN);
    let jobs = more.filter(|_| may_hear).map(|more| JobsHeard::new(more.jobs));
    let first = stream::once(async { Ok::<_, Infallible>(Event::default().retry(RETRY)) });
    let rest = stream::unfold(Heard { snapshots, jobs }, async |mut heard| {
        let event = heard.next().await?;
        Some((Ok(event), heard))
    });
    let events = Sse::new(first.chain(rest)).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    Ok(([UNBUFFERED], events).into_response())
}

impl Heard {
    async fn next(&mut self) -> Option<Event> {
        let jobs = async {
            match &mut self.jobs {
                Some(jobs) => jobs.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = self.snapshots.next() => {
                told.map(|told| Event::default().event("snapshot").id(told.n.to_string()).data(&told.text))
            }
            jobs = jobs => Some(Event::default().event("jobs").data(jobs)),
        }
    }
}

impl JobsHeard {
    fn new(jobs: Jobs) -> Self {
        let mut every = interval(JOBS_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { jobs, every, told: String::new() }
    }

    /// The jobs once they are others than those told last. Cancelled, it has told nothing.
    async fn next(&mut self) -> &str {
        loop {
            self.every.tick().await;
            let now = (self.jobs)().to_string();
            if now != self.told {
                self.told = now;
                return &self.told;
            }
        }
    }
}
