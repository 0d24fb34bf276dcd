//! File events of a folder: hints that something may have changed. Everything they miss, reconcile finds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

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
    _watcher: Arc<RecommendedWatcher>,
}

/// Watches a source. Fails where the system cannot (too many folders, a file system without events): the caller then polls.
pub fn watch(source: FolderSource, hints: UnboundedSender<Hint>) -> notify::Result<Watch> {
    let mask = EventKindMask::CREATE | EventKindMask::REMOVE | EventKindMask::MODIFY_NAME | EventKindMask::ACCESS_CLOSE;
    let config = Config::default().with_event_kinds(mask);
    let (appeared, folders) = mpsc::channel();
    let (seen, told) = (source.clone(), hints.clone());
    let handler = move |event: notify::Result<Event>| {
        for folder in new_folders(&seen, &event) {
            // Neither receiver is gone before the process stops.
            let _ = appeared.send(folder);
        }
        for hint in read(&seen, event) {
            let _ = told.send(hint);
        }
    };
    let mut watcher = RecommendedWatcher::new(handler, config)?;
    watcher.watch(&source.root, RecursiveMode::Recursive)?;
    let watcher = Arc::new(watcher);
    let asked = Arc::downgrade(&watcher);
    std::thread::Builder::new().name("new-folders".to_owned()).spawn(move || {
        for folder in folders {
            // A new folder is watched only after its event was handled: what was put into it before gives none. The watcher answers once the watch is on,
            // so that nothing lies between its first event and this listing.
            let Some(watcher) = asked.upgrade() else { return };
            let _ = watcher.watched_paths();
            drop(watcher);
            for below in list_below(&source, &folder) {
                let _ = hints.send(below);
            }
        }
    })?;
    Ok(Watch { _watcher: watcher })
}

/// Folders that appeared, by being made or moved here.
fn new_folders(source: &FolderSource, event: &notify::Result<Event>) -> Vec<PathBuf> {
    match event {
        Ok(event) if matches!(event.kind, EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_))) => {
            event.paths.iter().filter(|path| source.is_watched(path) && path.is_dir()).cloned().collect()
        }
        _ => Vec::new(),
    }
}

fn list_below(source: &FolderSource, folder: &Path) -> Vec<Hint> {
    let Some(relative) = folder.strip_prefix(&source.root).ok().and_then(|path| path.to_str()) else {
        return Vec::new();
    };
    source.list_below(relative).into_iter().map(|seen| Hint::Look(seen.path)).collect()
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
            event.paths.retain(|path| !path.is_dir());
            hints.extend(look(source, &event.paths));
            hints
        }
        EventKind::Create(kind) => {
            if kind != CreateKind::File {
                event.paths.retain(|path| !path.is_dir());
            }
            look(source, &event.paths)
        }
        // Closing after reading is no change; our own conversions do it all the time.
        EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => Vec::new(),
        _ => look(source, &event.paths),
    }
}

fn look(source: &FolderSource, paths: &[PathBuf]) -> Vec<Hint> {
    paths.iter().filter_map(|path| source.input_of(path)).map(Hint::Look).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::naming::Naming;

    #[test]
    fn the_first_file_of_a_new_folder_is_never_missed() {
        let dir = tempfile::tempdir().unwrap();
        let source = FolderSource::new("default".to_owned(), dir.path().to_owned(), Naming::Folder);
        let (sender, mut hints) = unbounded_channel();
        let _watch = watch(source, sender).unwrap();
        let mut missing = BTreeSet::new();
        for number in 0..500 {
            let folder = dir.path().join(format!("{number}/deep"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(".a.part"), "a").unwrap();
            std::fs::rename(folder.join(".a.part"), folder.join("a.tif")).unwrap();
            missing.insert(format!("{number}/deep/a.tif"));
        }
        let end = Instant::now() + Duration::from_secs(30);
        while !missing.is_empty() && Instant::now() < end {
            match hints.try_recv() {
                Ok(Hint::Look(path)) => {
                    missing.remove(&path);
                }
                Ok(Hint::List) => {}
                Err(_) => std::thread::yield_now(),
            }
        }
        assert!(missing.is_empty(), "not told of {missing:?}");
    }
}
