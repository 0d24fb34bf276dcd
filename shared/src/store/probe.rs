//! Whether a store keeps the promise everything rests on: of several who create one name, exactly one wins, and everybody sees it at once.

use std::time::Instant;

use bytes::Bytes;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{PutMode, PutOptions, PutPayload};

use rustix::io::Errno;

use super::{Created, Store, StoreError};
use crate::causes::causes;

/// Rounds of creations of one name, and how many try at once in each.
const ROUNDS: usize = 10;
const CREATORS: usize = 8;

/// What link(2) answers where there are no hard links.
const NO_HARD_LINKS: [Errno; 4] = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK];

/// What a probe found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// What was asked, one by one.
    pub lines: Vec<ProbeLine>,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeLine {
    /// What was asked.
    pub asked: &'static str,
    /// What came out, for people.
    pub found: String,
    /// What is wrong with that, and what it would lead to; None if nothing is.
    pub fault: Option<String>,
}

impl Probe {
    /// What is wrong, if something is.
    pub fn fault(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| line.fault.as_deref())
    }

    fn add(&mut self, asked: &'static str, found: impl Into<String>, fault: Option<&str>) {
        self.lines.push(ProbeLine { asked, found: found.into(), fault: fault.map(str::to_owned) });
    }
}

impl Store {
    /// Refuses a store that does not keep its promises, saying which.
    pub async fn require_promises(&self) -> Result<(), StoreError> {
        match self.probe().await?.fault() {
            None => Ok(()),
            Some(fault) => Err(self.unusable(fault)),
        }
    }

    /// Asks the store what it promises: a folder by one create-twice, another by rounds of concurrent creates, reads and listings. Leaves nothing behind.
    pub async fn probe(&self) -> Result<Probe, StoreError> {
        if self.local_root().is_some() { self.probe_folder().await } else { self.probe_remote().await }
    }

    async fn probe_folder(&self) -> Result<Probe, StoreError> {
        let path = Path::from(format!("probe-{}", ulid::Ulid::generate()));
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
        let mut probe = Probe::default();
        let won = match self.create_once(&path, &first).await {
            Err(error) => Err(self.unusable(&cannot_write(&error))),
            Ok(()) => self.create_exact(&path, &second).await,
        };
        let _ = self.delete(&path).await;
        let asked = "the same name created twice";
        match won? {
            Created::Lost(existing) if existing == first => probe.add(asked, "the second was refused", None),
            _ => probe.add(
                asked,
                "both succeeded",
                Some("creating the same name twice succeeded twice, so two writers could destroy each other's work; use another disk or store"),
            ),
        }
        Ok(probe)
    }

    async fn probe_remote(&self) -> Result<Probe, StoreError> {
        let mut probe = Probe::default();
        let base = format!("probe-{}", ulid::Ulid::generate());
        let names: Vec<Path> = (0..ROUNDS).map(|round| Path::from(format!("{base}/{round:02}"))).collect();
        let asked = self.ask(&names, &mut probe).await;
        for name in &names {
            // What cannot be deleted is a few bytes under a name that says what it was.
            let _ = self.delete(name).await;
        }
        asked.map(|()| probe)
    }

    async fn ask(&self, names: &[Path], probe: &mut Probe) -> Result<(), StoreError> {
        let started = Instant::now();
        let first = &names[0];
        self.create_once(first, &Bytes::from_static(b"first")).await.map_err(|e| self.unusable(&cannot_write(&e)))?;
        let again = self.create_once(first, &Bytes::from_static(b"second")).await;
        let kept = self.get(first).await? == b"first".as_slice();
        let ignores = again.is_ok() || !kept;
        probe.add(
            "a name created twice (If-None-Match: *)",
            if ignores { "the second replaced the first" } else { "the second was refused" },
            ignores.then_some(
                "it ignores If-None-Match on PUT: a second creation of a name replaces the first, so two writers would destroy each other's work; use a store with conditional writes",
            ),
        );
        if ignores {
            return Ok(());
        }
        let (mut undecided, mut doubled, mut unseen) = (0, 0, 0);
        for name in &names[1..] {
            let contents: Vec<Bytes> = (0..CREATORS).map(|creator| Bytes::from(format!("creator {creator}"))).collect();
            let outcomes = join_all(contents.iter().map(|content| self.create_once(name, content))).await;
            let winners: Vec<&Bytes> = outcomes
                .iter()
                .zip(&contents)
                .filter(|(outcome, _)| outcome.is_ok())
                .map(|(_, content)| content)
                .collect();
            let there = self.get_if_exists(name).await?;
            doubled += usize::from(winners.len() > 1);
            undecided += usize::from(winners.is_empty() && there.is_none());
            unseen += usize::from(winners.len() == 1 && there.as_ref() != Some(winners[0]));
        }
        let rounds = names.len() - 1;
        probe.add(
            "concurrent creations of one name",
            format!("{rounds} rounds of {CREATORS}: {doubled} with several winners, {undecided} with none"),
            (doubled > 0).then_some(
                "several of those who created one name at the same time were told that they won: it looks first and writes then, so two writers would destroy each other's work; use a store whose conditional writes are atomic",
            ),
        );
        probe.add(
            "read after write",
            format!("{unseen} of {rounds} not as the winner wrote it"),
            (unseen > 0).then_some("what was just written is not what is read: writers would not see each other; use a store that is consistent"),
        );
        let folder = names[0].as_ref().rsplit_once('/').map_or("", |(folder, _)| folder);
        let listed = self.list(&Path::from(folder), None).await?.len();
        probe.add(
            "list after write",
            format!("{listed} of {} listed", names.len() - undecided),
            (listed < names.len() - undecided).then_some(
                "what was just written is not listed: snapshots would not be found; use a store that is consistent",
            ),
        );
        probe.add("time", format!("{} ms", started.elapsed().as_millis()), None);
        Ok(())
    }

    /// One plain creation, its answer taken at its word.
    async fn create_once(&self, path: &Path, bytes: &Bytes) -> object_store::Result<()> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        self.inner.put_opts(path, PutPayload::from_bytes(bytes.clone()), options).await.map(|_| ())
    }

    fn unusable(&self, reason: &str) -> StoreError {
        StoreError::Unusable { store: self.name.clone(), reason: reason.to_owned() }
    }
}

/// Why a first creation failed, with what to do where that can be known.
fn cannot_write(error: &object_store::Error) -> String {
    let says_no_links =
        |io: &&std::io::Error| NO_HARD_LINKS.iter().any(|errno| io.raw_os_error() == Some(errno.raw_os_error()));
    match causes(error).filter_map(|cause| cause.downcast_ref::<std::io::Error>()).find(says_no_links) {
        Some(io) => format!(
            "its file system has no hard links ({io}), by which names are created once and for all; use a folder on another file system, such as ext4 or xfs, or a bucket"
        ),
        None => format!("it cannot be written: {error}"),
    }
}
