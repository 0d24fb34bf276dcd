//! A folder as a source: its listing is the truth, its events only hints.

use std::collections::{BTreeSet, HashMap};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::sidecar::{is_ignored, owner};
use super::{Place, Seen, SeenFile, SourceError};
use crate::naming::Naming;

/// How deep folders may be nested.
const DEPTH_MAX: usize = 64;

/// File systems whose changes by other machines give no events: NFS, SMB, CIFS, FUSE, 9p (statfs(2)).
const REMOTE_FILE_SYSTEMS: [u64; 5] = [0x6969, 0xFE53_4D42, 0xFF53_4D42, 0x6573_5546, 0x0102_1997];

/// Folders whose names are kept between looks.
const KNOWN_FOLDERS_MAX: usize = 256;
/// A folder's mtime tells of a change only when it lies this far before the reading: clocks of file systems tick slowly.
const MTIME_TRUST: Duration = Duration::from_secs(1);

/// The files of folders, as long as their mtimes stay the same: a look at one file in a folder of many must not read them all.
type KnownFolders = Arc<Mutex<HashMap<PathBuf, (SystemTime, Arc<BTreeSet<String>>)>>>;

/// A watched folder.
#[derive(Clone, Debug)]
pub struct FolderSource {
    /// The source's name: like its collection unless set.
    pub name: String,
    /// Where it lies.
    pub root: PathBuf,
    /// How its paths give key values.
    pub naming: Naming,
    known: KnownFolders,
}

/// What a listing found.
#[derive(Debug, Default)]
pub struct Listing {
    /// Inputs, in order of path (bytes).
    pub inputs: Vec<Seen>,
    /// What below the root could not be read: while there is something, nothing may be called gone.
    pub faults: Vec<SourceError>,
}

impl FolderSource {
    /// A source by name, folder and naming.
    pub fn new(name: String, root: PathBuf, naming: Naming) -> Self {
        Self { name, root, naming, known: KnownFolders::default() }
    }

    /// Every input there is. Fails only if the root cannot be read; other faults are in the listing.
    pub fn list(&self) -> Result<Listing, SourceError> {
        let mut listing = Listing::default();
        self.walk("", 0, &mut listing)?;
        listing.inputs.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// Every input in a folder below the root; nothing if it is gone.
    pub fn list_below(&self, folder: &str) -> Vec<Seen> {
        let mut listing = Listing::default();
        let depth = folder.split('/').count();
        // Only a hint came from here: what cannot be read now, the next reconcile finds.
        let _ = self.walk(folder, depth, &mut listing);
        listing.inputs
    }

    /// An input as it is now; None if it is gone or no input.
    pub fn look(&self, path: &str) -> Result<Option<Seen>, SourceError> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if path.split('/').any(is_ignored) || self.naming.template(path).is_none() {
            return Ok(None);
        }
        let folder = self.root.join(folder);
        let names = match self.names(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| SourceError::new(folder.display(), error))?,
        };
        if !names.contains(name) || owner(name, &names).is_some() {
            return Ok(None);
        }
        Self::seen(path, &folder, name, &names)
    }

    /// The input that a changed file belongs to: itself, or its raster. None if neither is one.
    pub fn input_of(&self, file: &Path) -> Option<String> {
        let relative = file.strip_prefix(&self.root).ok()?.to_str()?;
        let (folder, name) = relative.rsplit_once('/').map_or((None, relative), |(folder, name)| (Some(folder), name));
        if relative.is_empty() || relative.split('/').any(is_ignored) {
            return None;
        }
        let names = self.names(file.parent()?).unwrap_or_default();
        let raster = match owner(name, &names) {
            None => name,
            Some(Some(raster)) => raster,
            Some(None) => return None,
        };
        let path = folder.map_or_else(|| raster.to_owned(), |folder| format!("{folder}/{raster}"));
        self.naming.template(&path).map(|_| path)
    }

    /// Whether a path below the root has a name that is looked at.
    pub fn is_watched(&self, path: &Path) -> bool {
        path.strip_prefix(&self.root).is_ok_and(|relative| {
            relative.components().all(|part| part.as_os_str().to_str().is_some_and(|name| !is_ignored(name)))
        })
    }

    /// What tells this folder from another in its place: device and inode.
    pub fn identity(&self) -> Option<(u64, u64)> {
        std::fs::metadata(&self.root).ok().map(|meta| (meta.dev(), meta.ino()))
    }

    /// Whether changes made elsewhere give no events here.
    pub fn is_remote(&self) -> bool {
        rustix::fs::statfs(&self.root).is_ok_and(|stat| REMOTE_FILE_SYSTEMS.contains(&(stat.f_type as u64)))
    }

    fn names(&self, folder: &Path) -> std::io::Result<Arc<BTreeSet<String>>> {
        let mtime = std::fs::metadata(folder)?.modified()?;
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, names)) = lock().get(folder)
            && *at == mtime
        {
            return Ok(Arc::clone(names));
        }
        let names = Arc::new(read_folder(folder)?.0);
        if SystemTime::now().duration_since(mtime).is_ok_and(|age| age > MTIME_TRUST) {
            let mut known = lock();
            if known.len() >= KNOWN_FOLDERS_MAX {
                known.clear();
            }
            known.insert(folder.to_owned(), (mtime, Arc::clone(&names)));
        }
        Ok(names)
    }

    fn walk(&self, relative: &str, depth: usize, listing: &mut Listing) -> Result<(), SourceError> {
        let folder = self.root.join(relative);
        let failed = |error: std::io::Error| SourceError::new(folder.display(), error);
        if depth > DEPTH_MAX {
            return Err(failed(std::io::Error::other(format!("folders are nested more than {DEPTH_MAX} deep"))));
        }
        let (names, folders) = read_folder(&folder).map_err(failed)?;
        let join = |name: &str| if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") };
        for name in &names {
            let path = join(name);
            if owner(name, &names).is_none() && self.naming.template(&path).is_some() {
                match Self::seen(&path, &folder, name, &names) {
                    Ok(seen) => listing.inputs.extend(seen),
                    Err(fault) => listing.faults.push(fault),
                }
            }
        }
        for name in &folders {
            match self.walk(&join(name), depth + 1, listing) {
                Err(fault) if !is_not_found(&fault) => listing.faults.push(fault),
                _ => {}
            }
        }
        Ok(())
    }

    fn seen(path: &str, folder: &Path, name: &str, names: &BTreeSet<String>) -> Result<Option<Seen>, SourceError> {
        let stat = |name: &str| match std::fs::metadata(folder.join(name)) {
            Ok(meta) => Ok(meta.is_file().then_some(meta)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SourceError::new(folder.join(name).display(), error)),
        };
        let Some(meta) = stat(name)? else { return Ok(None) };
        let mut seen = Seen {
            path: path.to_owned(),
            version: state(&meta),
            time_ms: meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000,
            bytes: meta.len(),
            files: vec![file(folder, name)],
        };
        let mut hasher = blake3::Hasher::new();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        // Sidecars share the beginning of their raster's name, so only those names need a look.
        let kin = names.range(stem.to_owned()..).take_while(|other| other.starts_with(stem));
        for sidecar in kin.filter(|other| owner(other, names) == Some(Some(name))) {
            if let Some(meta) = stat(sidecar)? {
                hasher.update(format!("{sidecar} {}\n", state(&meta)).as_bytes());
                seen.bytes += meta.len();
                seen.files.push(file(folder, sidecar));
            }
        }
        if seen.files.len() > 1 {
            seen.version.push('+');
            seen.version.push_str(&hasher.finalize().to_hex()[..16]);
        }
        Ok(Some(seen))
    }
}

fn file(folder: &Path, name: &str) -> SeenFile {
    SeenFile { name: name.to_owned(), place: Place::File(folder.join(name)) }
}

fn is_not_found(fault: &SourceError) -> bool {
    fault.source.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn state(meta: &Metadata) -> String {
    format!("{}-{}.{:09}", meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// Names of files and of folders, those ignored left out. Links to folders are not followed: they may lead in circles. Names that are not UTF-8 cannot be key values.
fn read_folder(folder: &Path) -> std::io::Result<(BTreeSet<String>, Vec<String>)> {
    let (mut files, mut folders) = (BTreeSet::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_ignored(&name) || name.contains(|c: char| c.is_control()) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            folders.push(name);
        } else if kind.is_file() || kind.is_symlink() {
            files.insert(name);
        }
    }
    folders.sort_unstable();
    Ok((files, folders))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(files: &[&str]) -> (tempfile::TempDir, FolderSource) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let source = FolderSource::new("default".to_owned(), dir.path().to_owned(), Naming::Folder);
        (dir, source)
    }

    #[test]
    fn a_listing_has_inputs_with_their_sidecars() {
        let (_dir, source) =
            source(&["b.tif", "b.tif.msk", "b.tfw", "a/x.tif", ".hidden/y.tif", "c.tif.part", "notes.txt", "b.ovr"]);
        let paths: Vec<String> = source.list().unwrap().inputs.into_iter().map(|s| s.path).collect();
        assert_eq!(paths, ["a/x.tif", "b.tif", "notes.txt"]);
        let b = source.look("b.tif").unwrap().unwrap();
        assert_eq!(b.files.len(), 3);
        assert_eq!(source.list().unwrap().inputs[1], b);
        assert_eq!(source.look("b.tfw").unwrap(), None);
        assert_eq!(source.look("gone/z.tif").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_hides_nothing_else() {
        let (dir, source) = source(&["a.tif"]);
        std::os::unix::fs::symlink("loop.tif", dir.path().join("loop.tif")).unwrap();
        let listing = source.list().unwrap();
        assert_eq!(listing.inputs.len(), 1);
        assert_eq!(listing.faults.len(), 1);
        assert!(listing.faults[0].to_string().contains("loop.tif"));
    }

    #[test]
    fn a_late_sidecar_makes_another_version() {
        let (dir, source) = source(&["b.tif"]);
        let before = source.look("b.tif").unwrap().unwrap();
        std::fs::write(dir.path().join("b.tif.ovr"), "o").unwrap();
        assert_ne!(source.look("b.tif").unwrap().unwrap().version, before.version);
        assert_eq!(source.input_of(&dir.path().join("b.tif.ovr")).as_deref(), Some("b.tif"));
        assert_eq!(source.input_of(&dir.path().join(".x/b.tif")), None);
    }
}
