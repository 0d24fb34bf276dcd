//! Ingesting, orchestrated: the store made ready, the sources listed and watched, jobs handed out, everything published.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::catalog::collections;
use shared::collection::Collection;
use shared::commit::Change;
use shared::store::{Store, StoreError};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::board::Board;
use crate::committer::Committer;
use crate::dispatch::{Dispatch, raise};
use crate::lock::{IngestLock, LockError, author};
use crate::pipeline::{Pipeline, SourceSetup};
use crate::progress::Progress;
use crate::publisher::{self, Publisher};
use crate::queue::{InputKey, Queue};
use crate::reconcile::{self, Gone};
use crate::replica::{Replica, ReplicaError};
use crate::scratch::Scratch;
use crate::settings::{Settings, key_list};
use crate::worker::{Pool, PoolConfig};

/// Jobs at work at once, for each thread of the budget: while some convert, others are staged or wait for their commit.
const JOBS_PER_THREAD: usize = 8;
/// How long running jobs may finish after a stop, and how long the last publication may take.
pub(crate) const STOP_JOBS: Duration = Duration::from_secs(1);
const STOP_PUBLISH: Duration = Duration::from_secs(2);
/// COGs are at most about so much larger than their inputs: overviews add a third, the finer grid up to as much again, compression takes it back.
const EXPECTED_GROWTH_PERCENT: u64 = 150;
/// For people, as disks are sold.
pub(crate) const MEGABYTE: u64 = 1_000_000;
/// Part of the free space that may be expected to be written without asking.
const SPACE_PERCENT_MAX: u64 = 80;

/// Why ingesting cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another ingestor has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The log cannot be followed or written.
    #[error("{error}; ingesting stops{advice}", error = .0, advice = advice(.0))]
    Replica(#[from] ReplicaError),
    /// A local folder failed.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The collection exists with other keys.
    #[error(
        "the collection {name} in {store} has the keys {there}, but this source gives {here}: use another --collection or another --store"
    )]
    OtherKeys {
        /// The collection.
        name: String,
        /// The store.
        store: String,
        /// Its keys.
        there: String,
        /// The source's.
        here: String,
    },
    /// The disk may not hold it.
    #[error(
        "about {} MB would be written to {store}, more than {SPACE_PERCENT_MAX} % of the {} MB free there: make room, choose another --store, or say --yes",
        expected.div_ceil(MEGABYTE), free / MEGABYTE
    )]
    Space {
        /// The store.
        store: String,
        /// Bytes expected.
        expected: u64,
        /// Bytes free.
        free: u64,
    },
}

/// What to do where a person can do something.
fn advice(error: &ReplicaError) -> &'static str {
    if error.is_damage() {
        ". `kiln store repair` replaces what does not verify, once every writer is stopped"
    } else {
        ""
    }
}

impl IngestError {
    /// Whether the command was wrong, rather than the world.
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Unusable { .. }) | Self::Lock(_) | Self::OtherKeys { .. } | Self::Space { .. }
        )
    }
}

/// A store that is ready to be ingested into.
#[derive(Debug)]
pub struct Ingest {
    pipeline: Arc<Pipeline>,
    gone: Vec<Gone>,
    queue: Queue,
    watch: bool,
    poll: Duration,
    reconcile: Duration,
    threads: usize,
    head: watch::Sender<u64>,
    publisher: Publisher,
    committer: JoinHandle<Result<(), ReplicaError>>,
    _lock: IngestLock,
}

/// What a first listing found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Inputs to be looked at.
    pub inputs: usize,
    /// Inputs already decided.
    pub decided: usize,
    /// Bytes expected to be written.
    pub bytes: u64,
}

impl Ingest {
    /// Opens the store, takes its lock, follows its log, defines the collections and lists the sources. Nothing is converted yet.
    pub async fn open(settings: Settings, published: Arc<Notify>) -> Result<(Self, Plan), IngestError> {
        let store = Store::open(&settings.store, true)?;
        let lock = IngestLock::take(&store)?;
        store.probe().await?;
        let state = settings.state.join(&blake3::hash(store.name().as_bytes()).to_hex()[..16]);
        let replica = Arc::new(Replica::open(store, &state).await?);
        define(&replica, &settings.sources).await?;
        let scratch_path = state.join("scratch");
        let scratch =
            Scratch::open(scratch_path.clone()).map_err(|source| IngestError::File { path: scratch_path, source })?;
        let program = std::env::current_exe().map_err(|source| IngestError::File { path: "kiln".into(), source })?;
        let pool = PoolConfig {
            threads: settings.threads,
            memory_bytes: settings.memory_bytes,
            stall: settings.stall,
            program,
        };
        let head = watch::Sender::new(replica.head().await?);
        let at_work = Arc::new(AtomicUsize::new(0));
        let board = Arc::new(Board::default());
        let (committed_head, told) = (head.clone(), Arc::clone(&board));
        let (committer, committing) =
            Committer::start(Arc::clone(&replica), author(), Arc::clone(&at_work), move |n| {
                told.committed(n);
                raise(&committed_head, n);
            });
        let publisher =
            Publisher::new(Arc::clone(&replica), state.join("publish"), at_work, published, Arc::clone(&board));
        std::fs::create_dir_all(state.join("publish"))
            .map_err(|source| IngestError::File { path: state.clone(), source })?;
        publisher::sweep(&state.join("publish"))
            .map_err(|source| IngestError::File { path: state.join("publish"), source })?;
        let gone =
            settings.sources.iter().map(|s| Gone::new(s, settings.delete_grace, settings.allow_removal)).collect();
        let pipeline = Arc::new(Pipeline {
            replica,
            committer,
            pool: Pool::new(pool),
            scratch,
            sources: settings.sources,
            drivers: settings.drivers,
            skipped: Mutex::new(HashMap::new()),
            board,
            job_ids: AtomicU64::new(1),
        });
        let mut ingest = Self {
            pipeline,
            gone,
            queue: Queue::default(),
            watch: settings.watch,
            poll: settings.poll,
            reconcile: settings.reconcile,
            threads: settings.threads,
            head,
            publisher,
            committer: committing,
            _lock: lock,
        };
        let plan = ingest.plan(settings.yes).await?;
        Ok((ingest, plan))
    }

    /// What an operator may ask of it.
    pub fn more(&self) -> server::More {
        admin::more(&self.pipeline)
    }

    /// The store's name.
    pub fn store(&self) -> &Store {
        self.pipeline.replica.store()
    }

    /// Lists every source, puts what is to be done into the queue, and checks that there is room for it.
    async fn plan(&mut self, yes: bool) -> Result<Plan, IngestError> {
        let mut plan = Plan::default();
        for index in 0..self.pipeline.sources.len() {
            let source = &self.pipeline.sources[index];
            if let Some(scan) = reconcile::scan(&self.pipeline.replica, source).await? {
                plan.inputs += scan.jobs.len();
                plan.decided += scan.known.saturating_sub(scan.gone.len());
                plan.bytes += scan.jobs.iter().map(|seen| seen.bytes).sum::<u64>() / 100 * EXPECTED_GROWTH_PERCENT;
                for seen in scan.jobs {
                    self.queue.add(InputKey { source: index, path: seen.path }, Instant::now());
                }
            }
        }
        let store = self.store();
        match store.space() {
            Some((free, _)) if !yes && plan.bytes > free / 100 * SPACE_PERCENT_MAX => {
                Err(IngestError::Space { store: store.name().to_owned(), expected: plan.bytes, free })
            }
            _ => Ok(plan),
        }
    }

    /// Ingests until told to stop. An error means that the log cannot go on.
    pub async fn run(self, progress: Progress, shutdown: CancellationToken) -> Result<(), IngestError> {
        let Self { pipeline, gone, queue, watch, poll, reconcile, threads, head, publisher, mut committer, _lock } =
            self;
        let stop = shutdown.child_token();
        let mut publishing = tokio::spawn(publisher.run(head.subscribe(), stop.clone()));
        let scans = (0..gone.len()).map(|_| Instant::now()).collect();
        let (hints, hinted) = mpsc::unbounded_channel();
        let mut dispatch = Dispatch {
            pipeline,
            gone,
            queue,
            scans,
            jobs: JoinSet::new(),
            keys: HashMap::new(),
            paused: None,
            undecided: HashMap::new(),
            head,
            progress,
            reconcile,
            poll,
            watched: Vec::new(),
        };
        dispatch.start_watches(watch, &hints);
        let ended = tokio::select! {
            // Heard even while a listing or the log is waited for.
            () = stop.cancelled() => Ok(()),
            ended = dispatch.run(threads * JOBS_PER_THREAD, hinted, &stop) => ended,
            ended = &mut committer => flatten(ended),
            ended = &mut publishing => flatten(ended),
        };
        stop.cancel();
        dispatch.wind_down().await;
        // With the pipeline the last committer goes, and its task ends.
        drop(dispatch);
        let committed = if committer.is_finished() { Ok(Ok(Ok(()))) } else { timeout(STOP_JOBS, &mut committer).await };
        let published =
            if publishing.is_finished() { Ok(Ok(Ok(()))) } else { timeout(STOP_PUBLISH, &mut publishing).await };
        ended?;
        for last in [committed, published].into_iter().flatten() {
            flatten(last)?;
        }
        Ok(())
    }
}

fn flatten(ended: Result<Result<(), ReplicaError>, tokio::task::JoinError>) -> Result<(), IngestError> {
    match ended {
        Ok(result) => Ok(result?),
        Err(error) => Err(IngestError::File { path: "a task of the ingestor".into(), source: error.into() }),
    }
}

/// Commits the definitions of the collections that differ from the log's.
async fn define(replica: &Replica, sources: &[SourceSetup]) -> Result<(), IngestError> {
    for source in sources {
        loop {
            let name = source.collection.name.clone();
            let there = replica.with(move |conn| collections::find(conn, &name)).await?;
            let prev = match &there {
                Some((_, there)) if *there == source.collection => break,
                Some((_, there))
                    if there.keys.len() != source.collection.keys.len()
                        || there.key_names() != source.collection.key_names() =>
                {
                    return Err(other_keys(replica.store(), there, &source.collection));
                }
                Some((prev, _)) => *prev,
                None => 0,
            };
            let change = Change::PutCollection { prev, collection: Box::new(source.collection.clone()) };
            // Lost to another writer: what they defined is compared again.
            if replica.append(&author(), vec![vec![change]]).await?.iter().all(Option::is_some) {
                break;
            }
        }
    }
    Ok(())
}

fn other_keys(store: &Store, there: &Collection, here: &Collection) -> IngestError {
    IngestError::OtherKeys {
        name: here.name.clone(),
        store: store.name().to_owned(),
        there: key_list(&there.keys),
        here: key_list(&here.keys),
    }
}
