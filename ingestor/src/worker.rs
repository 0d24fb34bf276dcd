//! The pool of child processes that convert: one job per line, progress and result back. GDAL may crash or hang; that costs one attempt.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::convert::{ConvertAnswer, ConvertJob};
use crate::queue::{Lane, Turn};

/// Jobs after which a child is replaced: whatever leaks, leaks for so long.
const JOBS_PER_CHILD_MAX: u32 = 500;
/// A child that holds more than this part of the memory budget between jobs is replaced.
const IDLE_MEMORY_PARTS: u64 = 4;
/// How long a new child may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Rasters below this size are converted by one thread each, many at a time.
const SMALL_BYTES: u64 = 4 << 20;
/// Conversions beside one for each thread: a small one and a live one.
const SPARE: u64 = 2;
/// Bytes of the last words of a child that are kept.
const LAST_WORDS_BYTES: usize = 2000;

/// Budgets of the pool.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Threads shared by all conversions.
    pub threads: usize,
    /// Memory shared by all conversions.
    pub memory_bytes: u64,
    /// How long a conversion may make no progress.
    pub stall: Duration,
    /// The program that is its own worker: `kiln`.
    pub program: PathBuf,
}

/// What became of a job.
#[derive(Debug)]
pub enum Outcome {
    /// The child answered.
    Answered(ConvertAnswer),
    /// No child could be started: not the input's fault.
    NotStarted {
        /// Why, for people.
        how: String,
    },
    /// The child died, or was ended for making no progress.
    Crashed {
        /// How, for people.
        how: String,
    },
}

/// The pool.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    threads: Arc<Semaphore>,
    /// One more for small rasters, which wait for the disk and for their next about as long as they compute.
    small: Arc<Semaphore>,
    /// And one for live drops alone, that no backfill keeps them waiting.
    live: Arc<Semaphore>,
    idle: Mutex<Vec<Worker>>,
}

#[derive(Debug)]
struct Worker {
    child: Child,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    jobs: u32,
    last_words: Arc<Mutex<String>>,
}

impl Pool {
    /// A pool without children yet.
    pub fn new(config: PoolConfig) -> Self {
        let threads = Arc::new(Semaphore::new(config.threads.max(1)));
        let one = || Arc::new(Semaphore::new(1));
        Self { config, threads, small: one(), live: one(), idle: Mutex::new(Vec::new()) }
    }

    /// Waits for a part of the budgets: one thread for a small raster or while others wait, else all that are free.
    pub async fn reserve(&self, bytes: u64, turn: Turn) -> Option<Reservation> {
        let any = Arc::clone(&self.threads).acquire_owned();
        let (is_small, is_live) = (bytes < SMALL_BYTES, turn.lane == Lane::Live);
        let first = tokio::select! {
            biased;
            permit = any => permit,
            permit = Arc::clone(&self.small).acquire_owned(), if is_small => permit,
            permit = Arc::clone(&self.live).acquire_owned(), if is_live => permit,
        };
        let mut permits = vec![first.ok()?];
        if bytes >= SMALL_BYTES && !turn.others_waiting {
            while let Ok(more) = Arc::clone(&self.threads).try_acquire_owned() {
                permits.push(more);
            }
        }
        let memory_bytes =
            self.config.memory_bytes / (self.config.threads.max(1) as u64 + SPARE) * permits.len() as u64;
        Some(Reservation { threads: permits.len(), memory_bytes, _permits: permits })
    }

    /// Runs one job in a child. Dropping the future ends the child.
    pub async fn run(&self, job: &ConvertJob, mut progress: impl FnMut(f64)) -> Outcome {
        let worker = match self.idle_worker() {
            Some(worker) => Ok(worker),
            None => self.start().await,
        };
        let mut worker = match worker {
            Ok(worker) => worker,
            Err(how) => return Outcome::NotStarted { how },
        };
        match worker.run(job, self.config.stall, &mut progress).await {
            Ok(answer) => {
                worker.jobs += 1;
                if worker.jobs < JOBS_PER_CHILD_MAX
                    && worker.memory_bytes() < self.config.memory_bytes / IDLE_MEMORY_PARTS
                {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
                }
                Outcome::Answered(answer)
            }
            Err(how) => Outcome::Crashed { how: worker.autopsy(how).await },
        }
    }

    /// A child that waits for work; those that died meanwhile are no input's fault.
    fn idle_worker(&self) -> Option<Worker> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut worker = idle.pop()?;
            if matches!(worker.child.try_wait(), Ok(None)) {
                return Some(worker);
            }
        }
    }

    async fn start(&self) -> Result<Worker, String> {
        let mut command = Command::new(&self.config.program);
        command
            .arg("convert-worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C in a terminal is for us; a child ends when its standard input does.
        command.process_group(0);
        let mut child = command.spawn().map_err(|e| format!("cannot start {}: {e}", self.config.program.display()))?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("a child came without pipes".to_owned());
        };
        let last_words = Arc::new(Mutex::new(String::new()));
        tokio::spawn(keep_last_words(BufReader::new(errors).lines(), Arc::clone(&last_words)));
        let mut worker = Worker { child, input, answers: BufReader::new(output).lines(), jobs: 0, last_words };
        match timeout(START_TIMEOUT, worker.answers.next_line()).await {
            Ok(Ok(Some(line))) if matches!(serde_json::from_str(&line), Ok(ConvertAnswer::Ready)) => Ok(worker),
            _ => Err(worker.autopsy("it did not start".to_owned()).await),
        }
    }
}

/// A part of the budgets; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    /// Threads.
    pub threads: usize,
    /// Memory.
    pub memory_bytes: u64,
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Worker {
    async fn run(
        &mut self,
        job: &ConvertJob,
        stall: Duration,
        progress: &mut impl FnMut(f64),
    ) -> Result<ConvertAnswer, String> {
        let mut line = serde_json::to_string(job).map_err(|e| e.to_string())?;
        line.push('\n');
        self.input.write_all(line.as_bytes()).await.map_err(|e| format!("it does not listen: {e}"))?;
        self.input.flush().await.map_err(|e| format!("it does not listen: {e}"))?;
        loop {
            let answer = timeout(stall, self.answers.next_line()).await;
            let line = match answer {
                Err(_) => return Err(format!("it made no progress for {} s", stall.as_secs())),
                Ok(Err(error)) => return Err(error.to_string()),
                Ok(Ok(None)) => return Err("it ended".to_owned()),
                Ok(Ok(Some(line))) => line,
            };
            match serde_json::from_str(&line).map_err(|e| format!("it answered nonsense: {e}"))? {
                ConvertAnswer::Progress { id, done } if id == job.id => progress(done),
                ConvertAnswer::Ready | ConvertAnswer::Progress { .. } => {}
                answer => return Ok(answer),
            }
        }
    }

    fn memory_bytes(&self) -> u64 {
        // The second number of statm is resident pages (proc(5)).
        let pages = self
            .child
            .id()
            .and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/statm")).ok())
            .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
        pages.unwrap_or(0) * rustix::param::page_size() as u64
    }

    /// Ends the child and says how it died.
    async fn autopsy(mut self, how: String) -> String {
        let _ = self.child.start_kill();
        let status = self.child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let words = if words.is_empty() { String::new() } else { format!("; its last words: {}", words.trim()) };
        format!("the converting process failed: {how} ({status}){words}")
    }
}

async fn keep_last_words(mut lines: Lines<BufReader<tokio::process::ChildStderr>>, words: Arc<Mutex<String>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(line, "converting process");
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.push_str(&line);
        words.push('\n');
        let mut excess = words.len().saturating_sub(LAST_WORDS_BYTES);
        while !words.is_char_boundary(excess) {
            excess += 1;
        }
        words.drain(..excess);
    }
}
