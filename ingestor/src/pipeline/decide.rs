//! The end of a job: the change that settles an input, and its commit.

use shared::catalog::apply;
use shared::catalog::inputs::{self, Decision};
use shared::collection::OnConflict;
use shared::commit::{Change, InputRef};
use shared::dataset::Dataset;
use tokio::time::Instant;

use super::trouble::Trouble;
use super::{End, Made, Pipeline, Work};
use crate::board::Stage;
use crate::committer::AtWork;

impl Pipeline {
    pub(super) async fn put(&self, work: &Work<'_>, content: String, datasets: Vec<Dataset>) -> Result<Made, Trouble> {
        if let Some(reason) = datasets.iter().find_map(apply::unfit) {
            return self.reject(work, reason, false).await;
        }
        self.check_unchanged(work).await?;
        let keys: Vec<Vec<String>> = datasets.iter().map(|dataset| dataset.keys.clone()).collect();
        if work.source.collection.on_conflict == OnConflict::First
            && let Some((owner, _)) = self.owners(work, keys).await?.into_iter().find(|(_, there)| *there)
        {
            let reason = format!("{} already has these key values and came first", owner.path);
            return Ok(Made::Change(vec![Self::rejection(work, reason, false, Some(owner.path))]));
        }
        Ok(Made::Change(vec![Change::Put {
            input: Self::reference(work),
            version: work.seen.version.clone(),
            source_time_ms: work.seen.time_ms,
            collection: work.source.collection.name.clone(),
            content,
            datasets,
        }]))
    }

    pub(super) async fn reject(&self, work: &Work<'_>, reason: String, may_pass: bool) -> Result<Made, Trouble> {
        self.check_unchanged(work).await?;
        Ok(Made::Change(vec![Self::rejection(work, reason, may_pass, None)]))
    }

    fn rejection(work: &Work<'_>, reason: String, may_pass: bool, owner: Option<String>) -> Change {
        Change::Reject {
            input: Self::reference(work),
            version: work.seen.version.clone(),
            source_time_ms: work.seen.time_ms,
            collection: work.source.collection.name.clone(),
            reason,
            may_pass,
            owner,
        }
    }

    fn reference(work: &Work<'_>) -> InputRef {
        InputRef { source: work.source.source.name().to_owned(), path: work.seen.path.clone(), prev: work.prev }
    }

    /// Commits, together with the removal of owners that are gone from their source.
    pub(super) async fn commit(
        &self,
        work: &Work<'_>,
        mut changes: Vec<Change>,
        started: Instant,
        at_work: AtWork,
    ) -> Result<End, Trouble> {
        if let Some(Change::Put { datasets, .. }) = changes.first() {
            let keys = datasets.iter().map(|dataset| dataset.keys.clone()).collect();
            for (owner, there) in self.owners(work, keys).await? {
                if !there && work.source.remove_gone {
                    changes.insert(0, Change::Remove { input: owner });
                }
            }
        }
        let told = changes.last().cloned();
        work.entry.at(Stage::Commit);
        drop(at_work);
        match self.committer.propose(changes).await {
            Err(_) => Err(Trouble::Closed),
            Ok(None) => Err(Trouble::Changed),
            Ok(Some(n)) => {
                self.tell(work, told, n, started).await;
                Ok(End::Settled)
            }
        }
    }

    async fn tell(&self, work: &Work<'_>, change: Option<Change>, n: u64, started: Instant) {
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let input = &work.seen.path;
        match change {
            Some(Change::Put { datasets, .. }) => {
                let row = self.row(work.source, input).await.ok().flatten();
                let datasets = datasets.len();
                if let Some(owner) = row.filter(|row| row.decision == Decision::Superseded).and_then(|row| row.owner) {
                    self.board.decided("superseded");
                    tracing::warn!(input, owner, commit = n, "has the key values of a newer input; not served");
                } else {
                    self.board.decided("ingested");
                    tracing::info!(input, datasets, duration_ms, commit = n, "ingested");
                }
            }
            Some(Change::Reject { reason, may_pass, owner, .. }) => {
                self.board.decided("rejected");
                self.board.rejected(match (owner, may_pass) {
                    (Some(_), _) => "conflict",
                    (None, true) => "incomplete or crashed",
                    (None, false) => "unusable",
                });
                tracing::warn!(input, reason, commit = n, "rejected");
            }
            _ => {}
        }
    }

    /// Inputs that have these keys, and whether they are still in their source.
    async fn owners(&self, work: &Work<'_>, keys: Vec<Vec<String>>) -> Result<Vec<(InputRef, bool)>, Trouble> {
        let (collection, source, path) =
            (work.source.collection.name.clone(), work.source.source.name().to_owned(), work.seen.path.clone());
        let found = self
            .replica
            .with(move |conn| {
                let mut rows = Vec::new();
                for (source, owner, _) in inputs::owners(conn, &collection, &keys, (&source, &path))? {
                    let prev = inputs::find(conn, &source, &owner)?.map_or(0, |row| row.n);
                    rows.push(InputRef { source, path: owner, prev });
                }
                Ok(rows)
            })
            .await?;
        let mut owners = Vec::new();
        for owner in found {
            let there = match self.sources.iter().find(|s| s.source.name() == owner.source) {
                Some(source) => self.look(source, &owner.path).await?.is_some(),
                None => true,
            };
            owners.push((owner, there));
        }
        Ok(owners)
    }
}
