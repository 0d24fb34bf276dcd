//! A folder of rasters, with a place for the store, state and logs, gone when the test ends.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::raster::Raster;

/// A folder that is watched, and what stands around it.
#[derive(Debug)]
pub struct Scene {
    root: TempDir,
    launches: Cell<usize>,
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    /// An empty source folder.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("kiln-scene-").tempdir().expect("a scratch folder");
        fs::create_dir(root.path().join("rasters")).expect("the source folder is made");
        Self { root, launches: Cell::new(0) }
    }

    /// The folder around everything.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The folder that is watched.
    pub fn source(&self) -> PathBuf {
        self.root.path().join("rasters")
    }

    /// A name pattern below the source folder, as the command line takes it.
    pub fn pattern(&self, pattern: &str) -> PathBuf {
        self.source().join(pattern)
    }

    /// The store: where `kiln` puts it unless told otherwise.
    pub fn store(&self) -> PathBuf {
        self.root.path().join("rasters.kiln")
    }

    /// Where a writer keeps its replica.
    pub fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// A file of the source folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.source().join(name)
    }

    /// Drops a raster into the source folder, renamed into place.
    pub fn drop_raster(&self, name: &str, raster: &Raster) {
        raster.save(&self.path(name));
    }

    /// Removes a file of the source folder.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("the file is removed");
    }

    /// Renames a file of the source folder.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("the file is renamed");
    }

    /// Writes a configuration file and returns its path.
    pub fn config(&self, toml: &str) -> PathBuf {
        let path = self.root.path().join("kiln.toml");
        fs::write(&path, toml).expect("the configuration is written");
        path
    }

    /// A fresh folder for the output of one more launch.
    pub(crate) fn output_folder(&self) -> PathBuf {
        self.launches.set(self.launches.get() + 1);
        let path = self.root.path().join(format!("output-{}", self.launches.get()));
        fs::create_dir_all(&path).expect("the output folder is made");
        path
    }

    /// Every file under a folder of the store, by path relative to the store, sorted.
    pub fn stored(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        collect_files(&self.store().join(folder), &mut found);
        let mut names: Vec<_> = found
            .iter()
            .filter_map(|path| Some(path.strip_prefix(self.store()).ok()?.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        names
    }
}

fn collect_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect_files(&entry.path(), found),
            Ok(_) => found.push(entry.path()),
            Err(_) => {}
        }
    }
}
