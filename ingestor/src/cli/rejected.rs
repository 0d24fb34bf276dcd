//! `kiln rejected`: what was rejected and why; `retry` releases it.

use clap::{Args, Subcommand};
use shared::catalog::inputs::{self, InputRow};
use shared::commit::{Change, InputRef};
use shared::store::Store;

use super::{Failure, say};
use crate::lock::author;
use crate::replica::Replica;

/// Flags of `kiln rejected`.
#[derive(Debug, Args)]
pub struct RejectedArgs {
    /// The store's folder
    #[arg(long, env = "KILN_STORE", global = true)]
    store: Option<String>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Release inputs, so that a running ingestor tries them again
    Retry {
        /// Paths as the list shows them [default: all]
        paths: Vec<String>,
    },
}

/// Lists or releases.
pub async fn run(args: RejectedArgs) -> Result<(), Failure> {
    let Some(store) = args.store else { return Err(Failure::bad_input("which store? name it with --store")) };
    let store = Store::open(&store, false).map_err(Failure::bad_input)?;
    // A copy of our own: a running ingestor has its own, and nothing here waits for it.
    let folder = tempfile::tempdir().map_err(Failure::other)?;
    let replica = Replica::open(store, folder.path()).await.map_err(Failure::other)?;
    let rejected = replica.with(|conn| inputs::rejected(conn)).await.map_err(Failure::other)?;
    match args.action {
        None => {
            for (source, row) in &rejected {
                say(&line(source, row));
            }
            say(&format!("{} rejected", rejected.len()));
            Ok(())
        }
        Some(Action::Retry { paths }) => retry(&replica, rejected, &paths).await,
    }
}

fn line(source: &str, row: &InputRow) -> String {
    let hint = if row.may_pass { " (may pass later)" } else { "" };
    format!("{source}: {}: {}{hint}", row.path, row.reason.as_deref().unwrap_or("no reason is known"))
}

async fn retry(replica: &Replica, rejected: Vec<(String, InputRow)>, paths: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = paths.iter().find(|path| !rejected.iter().any(|(_, row)| row.path == **path)) {
        return Err(Failure::bad_input(format!("{unknown} is not rejected; `kiln rejected` lists what is")));
    }
    let proposals: Vec<_> = rejected
        .into_iter()
        .filter(|(_, row)| paths.is_empty() || paths.contains(&row.path))
        .map(|(source, row)| vec![Change::Release { input: InputRef { source, path: row.path, prev: row.n } }])
        .collect();
    let outcomes = replica.append(&author(), proposals).await.map_err(Failure::other)?;
    let released = outcomes.iter().flatten().count();
    say(&format!("{released} released; a running ingestor tries them again within seconds"));
    Ok(())
}
