//! `kiln store`: look after a store.

use clap::{Args, Subcommand};
use shared::store::Store;

use super::{Failure, say};
use crate::lock::IngestLock;
use crate::repair;

/// Flags of `kiln store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The store's folder
    #[arg(long, env = "KILN_STORE", global = true)]
    store: Option<String>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Replace records that do not verify. Stop every writer first
    Repair,
}

/// Does what was asked for.
pub async fn run(args: StoreArgs) -> Result<(), Failure> {
    let Some(store) = args.store else { return Err(Failure::bad_input("which store? name it with --store")) };
    let store = Store::open(&store, false).map_err(Failure::bad_input)?;
    match args.action {
        Action::Repair => {
            let _lock = IngestLock::take(&store).map_err(Failure::bad_input)?;
            let scratch = tempfile::tempdir().map_err(Failure::other)?;
            let report = repair::repair(&store, scratch.path()).await.map_err(Failure::other)?;
            for line in &report {
                say(line);
            }
            let summary = if report.is_empty() {
                "every record verifies; nothing to repair"
            } else {
                "repaired; start the writers again"
            };
            say(summary);
            Ok(())
        }
    }
}
