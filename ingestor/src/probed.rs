//! Whether a store keeps its promises, asked once a day: a folder each time, for that costs nothing.

use std::path::Path;
use std::time::Duration;

use shared::config::endpoints;
use shared::store::{Store, StoreError};

/// How long an answer counts.
const COUNTS_FOR: Duration = Duration::from_hours(24);

/// Refuses a store that does not keep its promises. `notes` is a folder of this machine that remembers when it last did.
pub(crate) async fn require(store: &Store, notes: &Path) -> Result<(), StoreError> {
    let note = notes.join("probed");
    // The same name at another endpoint is another store.
    let asked = format!("{} {}", store.name(), endpoints());
    let lately = || {
        let age = std::fs::metadata(&note).ok()?.modified().ok()?.elapsed().ok()?;
        (age < COUNTS_FOR && std::fs::read_to_string(&note).is_ok_and(|noted| noted == asked)).then_some(())
    };
    if store.local_root().is_none() && lately().is_some() {
        return Ok(());
    }
    store.require_promises().await?;
    // Without the note it is only asked again.
    let _ = std::fs::write(&note, &asked);
    Ok(())
}
