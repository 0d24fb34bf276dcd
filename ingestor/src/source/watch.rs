//! File events of a folder: hints that something may have changed. Everything they miss, reconcile finds.

use std::path::PathBuf;

use notify::event::{AccessKind, AccessMode, CreateKind, EventKindMask, ModifyKind, RemoveKind};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::UnboundedSender;

use super::folder::FolderSource;

/// What an event asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Look at this input.
    Look(String),
    /// Something went away, or events were lost: list the source.
    List,
}

/// A watch; it ends when dropped.
#[derive(Debug)]
pub struct Watch {
    _watcher: RecommendedWatcher,
}

/// Watches a source. Fails where the system cannot (too many folders, a file system without events): the caller then polls.
pub fn watch(source: FolderSource, hints: UnboundedSender<Hint>) -> notify::Result<Watch> {
    let root = source.root.clone();
    let mask = EventKindMask::CREATE | EventKindMask::REMOVE | EventKindMask::MODIFY_NAME | EventKindMask::ACCESS_CLOSE;
    let config = Config::default().with_event_kinds(mask);
    let handler = move |event: notify::Result<Event>| {
        for hint in read(&source, event) {
            // The receiver is gone only when the process stops.
            let _ = hints.send(hint);
        }
    };
    let mut watcher = RecommendedWatcher::new(handler, config)?;
    watcher.watch(&root, RecursiveMode::Recursive)?;
    Ok(Watch { _watcher: watcher })
}

fn read(source: &FolderSource, event: notify::Result<Event>) -> Vec<Hint> {
    let mut event = match event {
        Ok(event) if !event.need_rescan() => event,
        Ok(_) => return vec![Hint::List],
        Err(error) => {
            tracing::warn!(%error, source = source.name, "file events may have been lost; listing the folder");
            return vec![Hint::List];
        }
    };
    // Names that are never looked at, such as the temporary ones of a careful copy, come and go without meaning.
    event.paths.retain(|path| source.is_watched(path));
    if event.paths.is_empty() {
        return Vec::new();
    }
    match event.kind {
        EventKind::Remove(RemoveKind::File | RemoveKind::Any) => {
            let mut hints = look(source, &event.paths);
            hints.push(Hint::List);
            hints
        }
        EventKind::Remove(_) => vec![Hint::List],
        EventKind::Modify(ModifyKind::Name(_)) => {
            let mut hints: Vec<Hint> = event.paths.iter().filter(|p| !p.exists()).map(|_| Hint::List).collect();
            hints.extend(appeared(source, event.paths));
            hints
        }
        EventKind::Create(CreateKind::File) => look(source, &event.paths),
        EventKind::Create(_) => appeared(source, event.paths),
        // Closing after reading is no change; our own conversions do it all the time.
        EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => Vec::new(),
        _ => look(source, &event.paths),
    }
}

/// A new folder gives no events for what was in it before the watch was on it.
fn appeared(source: &FolderSource, paths: Vec<PathBuf>) -> Vec<Hint> {
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let mut hints = look(source, &files);
    for folder in folders {
        if let Some(relative) = folder.strip_prefix(&source.root).ok().and_then(|p| p.to_str()) {
            hints.extend(source.list_below(relative).into_iter().map(|seen| Hint::Look(seen.path)));
        }
    }
    hints
}

fn look(source: &FolderSource, paths: &[PathBuf]) -> Vec<Hint> {
    paths.iter().filter_map(|path| source.input_of(path)).map(Hint::Look).collect()
}
