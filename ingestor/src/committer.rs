//! The one author of this process's commits: batches what is ready within 200 ms.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::replica::{Proposal, Replica, ReplicaError};

/// How long what is ready waits for company.
const BATCH_WAIT: Duration = Duration::from_millis(200);
/// Proposals in one batch, and waiting for one.
const BATCH_MAX: usize = 1000;
/// Pauses between tries while the store fails.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

type Request = (Proposal, oneshot::Sender<Option<u64>>);

/// The process has no committer any more: the log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be committed any more")]
pub struct Closed;

/// Where proposals go.
#[derive(Clone, Debug)]
pub struct Committer {
    requests: mpsc::Sender<Request>,
    /// Jobs at work that may soon propose something: while there are none, nothing is waited for.
    at_work: Arc<AtomicUsize>,
}

/// Counts as a job at work until dropped.
#[derive(Debug)]
pub struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Committer {
    /// Starts the committer. `committed` is told every number that was won. The task ends with an error when the log cannot go on.
    pub fn start(
        replica: Arc<Replica>,
        author: String,
        at_work: Arc<AtomicUsize>,
        committed: impl Fn(u64) + Send + 'static,
    ) -> (Self, tokio::task::JoinHandle<Result<(), ReplicaError>>) {
        let (requests, receiver) = mpsc::channel(BATCH_MAX);
        let task = tokio::spawn(run(replica, author, receiver, Arc::clone(&at_work), committed));
        (Self { requests, at_work }, task)
    }

    /// A job begins that may propose something.
    pub fn begin(&self) -> AtWork {
        self.at_work.fetch_add(1, Ordering::Relaxed);
        AtWork(Arc::clone(&self.at_work))
    }

    /// Commits changes as a whole; None if what they rest on was decided meanwhile.
    pub async fn propose(&self, proposal: Proposal) -> Result<Option<u64>, Closed> {
        let (reply, answer) = oneshot::channel();
        self.requests.send((proposal, reply)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

async fn run(
    replica: Arc<Replica>,
    author: String,
    mut requests: mpsc::Receiver<Request>,
    at_work: Arc<AtomicUsize>,
    committed: impl Fn(u64) + Send + 'static,
) -> Result<(), ReplicaError> {
    while let Some(first) = requests.recv().await {
        let mut batch = vec![first];
        let deadline = Instant::now() + BATCH_WAIT;
        while batch.len() < BATCH_MAX {
            if let Ok(next) = requests.try_recv() {
                batch.push(next);
                continue;
            }
            if at_work.load(Ordering::Relaxed) == 0 {
                break;
            }
            match timeout_at(deadline, requests.recv()).await {
                Ok(Some(next)) => batch.push(next),
                Ok(None) | Err(_) => break,
            }
        }
        let (proposals, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let outcomes = append(&replica, &author, proposals).await?;
        if let Some(n) = outcomes.iter().flatten().max() {
            committed(*n);
        }
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // Whoever gave up waiting needs no answer.
            let _ = reply.send(outcome);
        }
    }
    Ok(())
}

/// Tries until the store answers; fails only on what does not pass.
async fn append(replica: &Replica, author: &str, proposals: Vec<Proposal>) -> Result<Vec<Option<u64>>, ReplicaError> {
    let mut pause = Duration::from_millis(200);
    loop {
        match replica.append(author, proposals.clone()).await {
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, retry_ms = pause.as_millis(), "cannot commit now; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_PAUSE_MAX);
            }
            other => return other,
        }
    }
}
