//! Ingesting, orchestrated: the store made ready, the sources listed and watched, jobs handed out, everything published.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::catalog::collections;
use shared::collection::Collection;
use shared::commit::Change;
use shared::slot::Slot;
use shared::store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::board::Board;
use crate::committer::Committer;
use crate::dispatch::{Dispatch, Listing, SharedWork, raise};
use crate::hook::{self, Sink};
use crate::lock::{IngestLock, LockError, author};
use crate::nats::{self, JobQueue, Nats, NatsError, NatsSettings};
use crate::pipeline::{Pipeline, SourceSetup};
use crate::probed;
use crate::progress::Progress;
use crate::publisher::{self, Publisher};
use crate::queue::{InputKey, Queue};
use crate::reconcile::{self, Gone};
use crate::replica::{Replica, ReplicaError};
use crate::scratch::Scratch;
use crate::settings::{Settings, key_list};
use crate::source::Source;
use crate::source::watch::Hint;
use crate::staging::Staging;
use crate::worker::{Pool, PoolConfig};

/// Jobs at work at once, for each thread of the budget: while some convert, others are staged or stored. Those that wait for their commit do not count.
const JOBS_PER_THREAD: usize = 8;
/// Objects in scratch at once, for each thread of the budget: one is converted while the next is downloaded.
const STAGED_PER_THREAD: usize = 2;
/// How long running jobs may finish after a stop, and how long the last publication may take.
pub(crate) const STOP_JOBS: Duration = Duration::from_secs(1);
const STOP_PUBLISH: Duration = Duration::from_secs(2);
/// COGs are at most about so much larger than their inputs: overviews add a third, the finer grid up to as much again, compression takes it back.
const EXPECTED_GROWTH_PERCENT: u64 = 150;
/// Lanes of the shared queue, each with slots of its own.
const LANES: usize = 2;
/// A job that has not got on for so long, or for twice the time a conversion may stall, is left to another ingestor.
const PATIENCE_MIN: Duration = Duration::from_mins(1);
/// Inputs found by a listing and not yet taken.
const FOUND_MAX: usize = 1000;
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
    /// The queue cannot be used.
    #[error(transparent)]
    Nats(#[from] NatsError),
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
            Self::Store(StoreError::Unusable { .. })
                | Self::Nats(NatsError::Unusable { .. })
                | Self::Lock(_)
                | Self::OtherKeys { .. }
                | Self::Space { .. }
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
    /// The queue shared with other ingestors, and how long they wait for a word of us.
    queue_shared: Option<(JobQueue, NatsSettings)>,
    stall: Duration,
    _lock: IngestLock,
    _slot: Slot,
}

/// Where notifications may be posted.
#[derive(Debug)]
pub struct Hook {
    /// Where it listens.
    pub listener: TcpListener,
    /// What those who post must know.
    pub secret: Option<String>,
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
        let of_store = settings.state.join(&blake3::hash(store.name().as_bytes()).to_hex()[..16]);
        let slot = Slot::claim(&of_store).map_err(|source| IngestError::File { path: of_store.clone(), source })?;
        let state = slot.path().to_owned();
        probed::require(&store, &of_store).await?;
        let nats = queue_of(settings.nats.clone()).await?;
        let replica = Arc::new(Replica::open(store, &state).await?);
        define(&replica, &settings.sources).await?;
        let (scratch, publish) = swept(&state)?;
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
            Publisher::new(Arc::clone(&replica), publish, at_work, published, nats.clone(), Arc::clone(&board));
        let gone =
            settings.sources.iter().map(|s| Gone::new(s, settings.delete_grace, settings.allow_removal)).collect();
        let pipeline = Arc::new(Pipeline {
            replica,
            committer,
            pool: Pool::new(pool),
            staging: Staging::new(settings.threads * STAGED_PER_THREAD),
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
            queue_shared: nats.map(JobQueue::new).zip(settings.nats),
            stall: settings.stall,
            _lock: lock,
            _slot: slot,
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

    /// Lists every source whose jobs wait in this process, puts what is to be done into its queue, and checks that there is room for it.
    async fn plan(&mut self, yes: bool) -> Result<Plan, IngestError> {
        let mut plan = Plan::default();
        for index in 0..self.pipeline.sources.len() {
            let source = &self.pipeline.sources[index];
            if self.queue_shared.is_some() && source.source.bucket().is_some() {
                continue;
            }
            let (found, mut finding) = mpsc::channel(FOUND_MAX);
            let replica = &self.pipeline.replica;
            let scan = async move { reconcile::scan(replica, source, &found).await };
            let (queue, mut inputs, mut bytes) = (&mut self.queue, 0, 0);
            let take = async {
                while let Some(undecided) = finding.recv().await {
                    inputs += 1;
                    bytes += undecided.bytes;
                    queue.add(InputKey { source: index, path: undecided.path }, Instant::now());
                }
            };
            let (scan, ()) = futures::join!(scan, take);
            if let Some(scan) = scan? {
                plan.decided += scan.known.saturating_sub(scan.gone_count);
                plan.inputs += inputs;
                plan.bytes += bytes / 100 * EXPECTED_GROWTH_PERCENT;
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

    /// Ingests until told to stop. An error means that the log cannot go on. Notifications are taken on `hook`, if there is one.
    pub async fn run(
        self,
        progress: Progress,
        hook: Option<Hook>,
        shutdown: CancellationToken,
    ) -> Result<(), IngestError> {
        let Self { pipeline, gone, queue, watch, poll, reconcile, threads, head, publisher, mut committer, .. } = self;
        let stop = shutdown.child_token();
        let mut publishing = tokio::spawn(publisher.run(head.subscribe(), stop.clone()));
        let scans = (0..gone.len()).map(|_| Listing::now()).collect();
        let (hints, hinted) = mpsc::unbounded_channel();
        let buckets: Vec<_> = pipeline.sources.iter().filter_map(|setup| setup.source.bucket().cloned()).collect();
        let mut jobs_max = threads * JOBS_PER_THREAD;
        let shared = self.queue_shared.filter(|_| !buckets.is_empty()).map(|(jobs, settings)| {
            let (paused, pause) = watch::channel(false);
            let deliveries = jobs.start_pulling(jobs_max, &pause, &stop);
            tokio::spawn(nats::plan(jobs.clone(), buckets, stop.clone()));
            jobs_max *= LANES;
            let patience = (self.stall * 2).max(PATIENCE_MIN);
            SharedWork::new(jobs, deliveries, paused, settings.ack_wait, patience)
        });
        let announced = shared.is_some() || hook.is_some();
        if let Some(Hook { listener, secret }) = hook {
            let sink = match &shared {
                Some(shared) => Sink::Queue(Box::new(shared.queue.nats().clone())),
                None => here(&pipeline, hints.clone()),
            };
            tokio::spawn(hook::serve(listener, secret, sink, stop.clone()));
        }
        let mut dispatch = Dispatch {
            pipeline,
            gone,
            queue,
            shared,
            scans,
            jobs: JoinSet::new(),
            keys: HashMap::new(),
            made: HashSet::new(),
            paused: None,
            undecided: HashMap::new(),
            head,
            progress,
            reconcile,
            poll,
            announced,
            watched: Vec::new(),
        };
        dispatch.start_watches(watch, &hints);
        let ended = tokio::select! {
            // Heard even while a listing or the log is waited for.
            () = stop.cancelled() => Ok(()),
            ended = dispatch.run(jobs_max, hinted, &stop) => ended,
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

/// Notifications that are taken by this process alone: hints to look.
fn here(pipeline: &Arc<Pipeline>, hints: mpsc::UnboundedSender<(usize, Hint)>) -> Sink {
    let pipeline = Arc::clone(pipeline);
    Sink::Here(Box::new(move |events| {
        let (pipeline, hints) = (Arc::clone(&pipeline), hints.clone());
        tokio::spawn(async move {
            for event in events {
                for (index, setup) in pipeline.sources.iter().enumerate() {
                    let Source::Bucket(bucket) = &setup.source else { continue };
                    let hint = match bucket.input_of(&event).await {
                        Ok(None) => continue,
                        Ok(Some(path)) if !path.ends_with('/') => Hint::Look(path),
                        // Of a folder, or of what cannot be told now: the listing finds it.
                        Ok(Some(_)) | Err(_) => Hint::List,
                    };
                    let _ = hints.send((index, hint));
                }
            }
        });
    }))
}

/// The queue, its streams made.
async fn queue_of(settings: Option<NatsSettings>) -> Result<Option<Nats>, IngestError> {
    let Some(settings) = settings else { return Ok(None) };
    let nats = Nats::connect(settings).await?;
    nats.ensure_streams().await?;
    Ok(Some(nats))
}

/// Folders for jobs and for publications, without what dead processes left in them.
fn swept(state: &Path) -> Result<(Scratch, PathBuf), IngestError> {
    let (scratch, publish) = (state.join("scratch"), state.join("publish"));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| IngestError::File { path, source }
    };
    let opened = Scratch::open(scratch.clone()).map_err(failed(&scratch))?;
    std::fs::create_dir_all(&publish).and_then(|()| publisher::sweep(&publish)).map_err(failed(&publish))?;
    Ok((opened, publish))
}

fn flatten(ended: Result<Result<(), ReplicaError>, tokio::task::JoinError>) -> Result<(), IngestError> {
    match ended {
        Ok(result) => Ok(result?),
        Err(error) => Err(IngestError::File { path: "a task of the ingestor".into(), source: error.into() }),
    }
}

/// Commits the definitions of the collections that differ from the log's.
async fn define(replica: &Replica, sources: &[SourceSetup]) -> Result<(), IngestError> {
    if replica.head().await? == 0 {
        // A new store has nobody to wait for.
        replica.upgrade(&author()).await?;
    }
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
