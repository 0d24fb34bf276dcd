//! One job from look to commit: look → stage → describe, convert and validate (in a child) → upload → commit.
//!
//! Kill anything between any two steps and nothing is lost or doubled: before the commit there is only unreferenced work, after it the input is decided.

mod decide;
mod trouble;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shared::catalog::inputs::{self, Decision, InputRow};
use shared::clock;
use shared::collection::Collection;
use shared::commit::Change;
use shared::dataset::Dataset;
use shared::raster_settings::RasterRules;
use tokio::time::Instant;

use crate::board::{Board, Entry, Stage};
use crate::committer::Committer;
use crate::convert::{self, ConvertAnswer, ConvertJob, ConvertedCog};
use crate::naming::KeyTemplate;
use crate::queue::{Attempts, InputKey, Turn};
use crate::replica::Replica;
use crate::scratch::{Scratch, ScratchFolder};
use crate::source::{Seen, Source, stage};
use crate::stage::content_hash;
use crate::staging::Staging;
use crate::worker::{Outcome, Pool};
use trouble::Trouble;

/// Crashes of the converter that reject an input.
const CRASHES_MAX: u32 = 2;
/// Inputs remembered that are no rasters at all.
const SKIPPED_MAX: usize = 100_000;
/// Looks at an input that keeps changing, before it is put back into the queue.
const LOOKS_MAX: u32 = 3;

/// One source with the collection it feeds.
#[derive(Debug)]
pub struct SourceSetup {
    /// The folder or bucket.
    pub source: Source,
    /// Its collection.
    pub collection: Collection,
    /// Settings of its rasters.
    pub rules: RasterRules,
    /// Whether an input that disappears is removed from the catalogue.
    pub remove_gone: bool,
    /// How long a file must stay the same before it is read.
    pub settle: Duration,
}

/// Everything a job needs.
#[derive(Debug)]
pub struct Pipeline {
    /// The catalogue.
    pub replica: Arc<Replica>,
    /// The log.
    pub committer: Committer,
    /// The converters.
    pub pool: Pool,
    /// Room for downloads.
    pub staging: Staging,
    /// Private scratch.
    pub scratch: Scratch,
    /// The sources, by the index jobs name them with.
    pub sources: Vec<SourceSetup>,
    /// GDAL drivers that may open inputs.
    pub drivers: Vec<String>,
    /// Versions of inputs that are no rasters at all: neither ingested nor rejected.
    pub skipped: Mutex<HashMap<InputKey, String>>,
    /// What is being done, for people.
    pub board: Arc<Board>,
    /// Numbers the jobs given to children.
    pub job_ids: AtomicU64,
}

/// How a job ended.
#[derive(Debug)]
pub enum End {
    /// The input is decided, or no concern of ours.
    Settled,
    /// It is gone from its source, and the catalogue has it: a listing must confirm that.
    Gone,
    /// It changed, or is still being written: look again after this pause.
    Again(Duration),
    /// A failure that may pass.
    Retry(Attempts),
    /// The disk is full: pause everything, costing no try.
    DiskFull(String),
    /// The log cannot be written any more.
    Closed,
}

/// An input as a job works on it.
struct Work<'p> {
    entry: &'p Entry<'p>,
    source: &'p SourceSetup,
    seen: Seen,
    template: KeyTemplate,
    prev: u64,
}

impl Pipeline {
    /// Does one job. `made` is called when nothing is left but its commit: another may begin meanwhile.
    pub async fn run(&self, key: &InputKey, attempts: Attempts, turn: Turn, made: impl Fn()) -> End {
        let started = Instant::now();
        let entry = self.board.begin(key);
        for _ in 0..LOOKS_MAX {
            entry.at(Stage::Look);
            let trouble = match self.once(key, &entry, &attempts, turn, (started, &made)).await {
                Ok(end) => return end,
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Changed => tracing::debug!(input = key.path, "changed while it was read; looking again"),
                Trouble::Closed => return End::Closed,
                Trouble::Disk(reason) => return End::DiskFull(reason),
                Trouble::Passing(reason) => {
                    let failures = attempts.failures + 1;
                    tracing::warn!(input = key.path, reason, failures, "cannot ingest now; trying again");
                    return End::Retry(Attempts { failures, ..attempts });
                }
            }
        }
        let is_object = self.sources.get(key.source).is_some_and(|setup| setup.source.bucket().is_some());
        if !is_object {
            // Somebody is writing into it.
            return End::Again(Duration::from_secs(1));
        }
        tracing::warn!(input = key.path, looks = LOOKS_MAX, "cannot be read as it was listed; trying again later");
        End::Retry(Attempts { failures: attempts.failures + 1, ..attempts })
    }

    async fn once(
        &self,
        key: &InputKey,
        entry: &Entry<'_>,
        attempts: &Attempts,
        turn: Turn,
        (started, made): (Instant, &impl Fn()),
    ) -> Result<End, Trouble> {
        let Some(source) = self.sources.get(key.source) else { return Ok(End::Settled) };
        let at_work = self.committer.begin();
        // The log first, then the source: what we see is never older than what we think was decided.
        self.replica.follow().await?;
        let row = self.row(source, &key.path).await?;
        let Some(seen) = self.look(source, &key.path).await? else {
            let known = row.is_some_and(|row| row.decision != Decision::Removed);
            return Ok(if known && source.remove_gone { End::Gone } else { End::Settled });
        };
        if row.as_ref().is_some_and(|row| row.version.as_ref() == Some(&seen.version)) {
            return Ok(End::Settled);
        }
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if skipped.as_ref() == Some(&seen.version) {
            return Ok(End::Settled);
        }
        if let Some(wait) = self.unsettled(source, &seen).await? {
            return Ok(End::Again(wait));
        }
        let Some(template) = source.source.template(&key.path) else { return Ok(End::Settled) };
        let work = Work { entry, source, seen, template, prev: row.map_or(0, |row| row.n) };
        let change = match self.make(&work, attempts, turn).await? {
            Made::Change(change) => change,
            Made::Retry(attempts) => return Ok(End::Retry(attempts)),
            Made::Skip(reason) => {
                tracing::info!(input = key.path, reason, "skipped");
                let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
                if skipped.len() >= SKIPPED_MAX {
                    // They are only looked at once more.
                    skipped.clear();
                }
                skipped.insert(key.clone(), work.seen.version.clone());
                return Ok(End::Settled);
            }
        };
        made();
        match self.commit(&work, change, started, at_work).await {
            // It needs a place among those at work again.
            Err(Trouble::Changed) => Ok(End::Again(Duration::ZERO)),
            ended => ended,
        }
    }

    /// A file that changed a moment ago may be in the middle of being written: it must stay as it is for a while.
    async fn unsettled(&self, source: &SourceSetup, seen: &Seen) -> Result<Option<Duration>, Trouble> {
        if source.source.bucket().is_some() {
            return Ok(None);
        }
        let age_ms = clock::now_ms() - seen.time_ms;
        let settle_ms = i64::try_from(source.settle.as_millis()).unwrap_or(i64::MAX);
        // A time to come, by another machine's clock, says nothing: it counts as just now.
        let age_ms = age_ms.max(0);
        if age_ms >= settle_ms {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis((settle_ms - age_ms).unsigned_abs())).await;
        let now = self.look(source, &seen.path).await?;
        if now.as_ref() == Some(seen) { Ok(None) } else { Ok(Some(source.settle)) }
    }

    /// Makes the change that settles the input: a `Put` or a `Reject`.
    async fn make(&self, work: &Work<'_>, attempts: &Attempts, turn: Turn) -> Result<Made, Trouble> {
        work.entry.at(Stage::Wait);
        let scratch = blocking({
            let scratch = self.scratch.clone();
            move || scratch.attempt()
        })
        .await
        .map_err(|error| match Trouble::from(error) {
            Trouble::Changed => Trouble::Passing("the scratch folder cannot be made".to_owned()),
            other => other,
        })?;
        // What is downloaded is bounded, whatever the queue holds; a file is only linked.
        let _staging = match work.source.source.bucket() {
            Some(_) => Some(self.staging.enter(turn.lane).await.ok_or(Trouble::Closed)?),
            None => None,
        };
        work.entry.at(Stage::Stage);
        let files = stage(&work.source.source, &work.seen, &scratch.input(), || work.entry.moved()).await?;
        let Some(file) = files.first().cloned() else { return Err(Trouble::Changed) };
        let (rules, template) = (work.source.rules.clone(), work.template.clone());
        let content = blocking(move || content_hash(&files, &rules, &template, convert::profile())).await?;
        if let Some(datasets) = self.known(work, &content).await? {
            return self.put(work, content, datasets).await;
        }
        work.entry.at(Stage::Wait);
        let Some(reservation) = self.pool.reserve(work.seen.bytes, turn).await else {
            return Err(Trouble::Closed);
        };
        let job = self.job(work, &scratch, file, reservation.threads, reservation.memory_bytes);
        work.entry.at(Stage::Convert);
        let outcome = self.pool.run(&job, |done| work.entry.done(done)).await;
        drop(reservation);
        self.settle(work, attempts, content, outcome).await
    }

    async fn settle(
        &self,
        work: &Work<'_>,
        attempts: &Attempts,
        content: String,
        outcome: Outcome,
    ) -> Result<Made, Trouble> {
        let answer = match outcome {
            Outcome::Answered(answer) => answer,
            Outcome::NotStarted { how } => return Err(Trouble::Passing(how)),
            Outcome::Crashed { how } => {
                let version = Some(work.seen.version.clone());
                let crashes = if attempts.version == version { attempts.crashes + 1 } else { 1 };
                tracing::warn!(input = work.seen.path, how, crashes, "a conversion failed");
                if crashes >= CRASHES_MAX {
                    let reason = format!("converting it failed {crashes} times: {how}");
                    return self.reject(work, reason, true).await;
                }
                return Ok(Made::Retry(Attempts { failures: attempts.failures + 1, crashes, version }));
            }
        };
        match answer {
            ConvertAnswer::Converted { cogs, notes, .. } => {
                for note in notes {
                    tracing::info!(input = work.seen.path, note);
                }
                // Before anything is uploaded: is it still what was converted?
                self.check_unchanged(work).await?;
                work.entry.at(Stage::Upload);
                let datasets = self.upload(work, cogs).await?;
                self.put(work, content, datasets).await
            }
            ConvertAnswer::Refused { reason, may_pass, .. } => self.reject(work, reason, may_pass).await,
            ConvertAnswer::Skipped { reason, .. } => Ok(Made::Skip(reason)),
            ConvertAnswer::Failed { reason, disk_full: true, .. } => Err(Trouble::Disk(reason)),
            ConvertAnswer::Failed { reason, .. } => Err(Trouble::Passing(reason)),
            ConvertAnswer::Ready | ConvertAnswer::Progress { .. } => Err(Trouble::Passing("no answer".to_owned())),
        }
    }

    /// Datasets made from exactly this content earlier, under the keys this input has: converting it again would give the same COGs.
    async fn known(&self, work: &Work<'_>, content: &str) -> Result<Option<Vec<Dataset>>, Trouble> {
        let (content, path) = (content.to_owned(), work.seen.path.clone());
        let found = self
            .replica
            .with(move |conn| match inputs::with_content(conn, &content, &path)? {
                Some(id) => Ok(Some(inputs::datasets(conn, id)?)),
                None => Ok(None),
            })
            .await?;
        let Some(mut datasets) = found else { return Ok(None) };
        let band_key = work.template.band_key();
        let collection = format!("cogs/{}/", work.source.collection.name);
        for dataset in &mut datasets {
            // A COG stays with its collection, and keys of another number come from another pattern.
            if !dataset.path.starts_with(&collection) || dataset.keys.len() != work.template.values.len() {
                return Ok(None);
            }
            let band = band_key.and_then(|key| dataset.keys.get(key)).cloned().unwrap_or_default();
            let variable = work.template.variable_key.and_then(|key| Some((key, dataset.keys.get(key)?.clone())));
            dataset.keys = work.template.with_band(&band);
            if let Some((key, variable)) = variable {
                dataset.keys[key] = variable;
            }
            dataset.metadata.input.clone_from(&work.seen.path);
            dataset.metadata.version.clone_from(&work.seen.version);
            dataset.metadata.source_time_ms = work.seen.time_ms;
            dataset.metadata.ingested_at_ms = clock::now_ms();
        }
        Ok(Some(datasets))
    }

    fn job(
        &self,
        work: &Work<'_>,
        scratch: &ScratchFolder,
        file: PathBuf,
        threads: usize,
        memory_bytes: u64,
    ) -> ConvertJob {
        ConvertJob {
            id: self.job_ids.fetch_add(1, Ordering::Relaxed),
            file,
            out_dir: scratch.output(),
            collection: work.source.collection.name.clone(),
            key_names: work.template.names.clone(),
            key_values: work.template.values.clone(),
            variable_key: work.template.variable_key,
            band_prefix: None,
            colormaps: work.source.collection.colormaps.keys().cloned().collect(),
            rules: work.source.rules.clone(),
            input: work.seen.path.clone(),
            version: work.seen.version.clone(),
            source_time_ms: work.seen.time_ms,
            drivers: self.drivers.clone(),
            threads,
            memory_bytes,
        }
    }

    async fn upload(&self, work: &Work<'_>, cogs: Vec<ConvertedCog>) -> Result<Vec<Dataset>, Trouble> {
        let mut all = Vec::new();
        for cog in cogs {
            let Some(path) = cog.datasets.first().map(|dataset| dataset.path.clone()) else { continue };
            let moved = || work.entry.moved();
            self.replica.store().upload_file(&cog.file, &path.as_str().into(), moved).await?;
            moved();
            self.board.stored(cog.bytes);
            all.extend(cog.datasets);
        }
        Ok(all)
    }

    /// A file may have been written into while it was converted. An object cannot: what was staged is what was seen, and if there is a newer one by now, that
    /// makes a job of its own.
    async fn check_unchanged(&self, work: &Work<'_>) -> Result<(), Trouble> {
        if work.source.source.bucket().is_some() {
            return Ok(());
        }
        let now = self.look(work.source, &work.seen.path).await?;
        if now.is_some_and(|now| now.version == work.seen.version) { Ok(()) } else { Err(Trouble::Changed) }
    }

    async fn row(&self, source: &SourceSetup, path: &str) -> Result<Option<InputRow>, Trouble> {
        let (source, path) = (source.source.name().to_owned(), path.to_owned());
        Ok(self.replica.with(move |conn| inputs::find(conn, &source, &path)).await?)
    }

    /// Whether an input is certainly gone from its source.
    pub async fn is_gone(&self, source: usize, path: &str) -> bool {
        match self.sources.get(source) {
            Some(source) => matches!(self.look(source, path).await, Ok(None)),
            None => false,
        }
    }

    async fn look(&self, source: &SourceSetup, path: &str) -> Result<Option<Seen>, Trouble> {
        source.source.look(path).await.map_err(|error| Trouble::Passing(error.to_string()))
    }
}

enum Made {
    Change(Vec<Change>),
    Retry(Attempts),
    Skip(String),
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await?
}
